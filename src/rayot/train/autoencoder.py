"""Training of the paper's autoencoder: mean squared error, stopped early, best weights kept."""

from __future__ import annotations

import copy
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from rayot.solvers import SparseCells, generator
from rayot.train.lightning import interruptible, quiet
from rayot.train.training import BLOCK_STEPS

SCORED_CELLS = 1024


class AutoencoderTraining(pl.LightningModule):
    """Adam on the mean squared error of the reconstruction; an epoch is a block of steps.

    Parameters
    ----------
    network
        Maps (n, genes) to its reconstruction.
    cells
        (n, genes) expression of the training cells.
    validation_size
        Share set apart after a shuffle.
    batch_size, learning_rate, weight_decay
        Of the optimiser.
    bar
        Moved by one block at a time.
    seed
        Keys every draw.
    """

    def __init__(
        self,
        network: nn.Module,
        cells: Tensor | SparseCells,
        *,
        validation_size: float,
        batch_size: int,
        learning_rate: float,
        weight_decay: float,
        bar: tqdm,
        seed: int,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = network
        self.cells = cells
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.bar = bar
        self.seed = seed
        order = torch.randperm(
            cells.shape[0], generator=generator(seed, "autoencoder", "validation")
        )
        n_apart = max(1, round(validation_size * len(order)))
        self.held_out = order[:n_apart][:SCORED_CELLS]
        self.training_rows = order[n_apart:]
        self.best = float("inf")
        self.best_weights = copy.deepcopy(network.state_dict())
        self.history: dict[str, list[float]] = {"step": [], "error": [], "validation_error": []}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam with weight decay, as in CellOT."""
        return torch.optim.Adam(
            self.network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
        )

    def train_dataloader(self) -> DataLoader[int]:
        """One item: the cells are drawn on the device, block by block."""
        # A generator of its own keeps the loader from drawing on the user's random state.
        return DataLoader([0], batch_size=None, generator=torch.Generator())  # type: ignore[arg-type]

    def on_fit_start(self) -> None:
        """Bring the cells to the device."""
        self.cells = self.cells.to(self.device)

    def training_step(self, batch: int, batch_index: int) -> None:
        """Take the steps of one block, then score the cells set apart."""
        optimizer = self.optimizers(use_pl_optimizer=False)
        draws = torch.randint(
            len(self.training_rows),
            (BLOCK_STEPS, self.batch_size),
            generator=generator(self.seed, "autoencoder", "training", self.current_epoch),
        )
        total = torch.zeros((), device=self.device, dtype=torch.float32)
        for positions in draws:
            cells = self.cells[self.training_rows[positions].to(self.device)]
            loss = nn.functional.mse_loss(self.network(cells), cells)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        with torch.no_grad():
            cells = self.cells[self.held_out.to(self.device)]
            error = float(nn.functional.mse_loss(self.network(cells), cells))
        if error < self.best:
            self.best = error
            self.best_weights = copy.deepcopy(self.network.state_dict())
        self.history["step"].append((self.current_epoch + 1) * BLOCK_STEPS)
        self.history["error"].append(float(total) / BLOCK_STEPS)
        self.history["validation_error"].append(error)
        self.log("validation_error", error, batch_size=1)
        self.bar.set_postfix_str(f"validation error {error:.4g}", refresh=False)
        self.bar.update(BLOCK_STEPS)


def train_autoencoder(
    network: nn.Module,
    cells: Tensor | SparseCells,
    *,
    max_steps: int,
    patience: int,
    show_progress_bar: bool,
    accelerator: str,
    devices: int | str | list[int],
    **options: Any,  # noqa: ANN401
) -> dict[str, list[float]]:
    """Fit an autoencoder in place and leave it with its best weights.

    Parameters
    ----------
    network, cells
        As in :class:`AutoencoderTraining`.
    max_steps
        Steps at most, rounded up to whole blocks of 100.
    patience
        Blocks without improvement on the cells set apart after which training ends.
    show_progress_bar, accelerator, devices
        As elsewhere.
    **options
        Further arguments of :class:`AutoencoderTraining`.

    Returns
    -------
    ``step``, ``error`` and ``validation_error``, one value a block.
    """
    n_blocks = -(-max_steps // BLOCK_STEPS)
    total = n_blocks * BLOCK_STEPS
    with (
        tqdm(total=total, unit="step", desc="autoencoder", disable=not show_progress_bar) as bar,
        quiet(),
        interruptible(),
    ):
        training = AutoencoderTraining(network, cells, bar=bar, **options)
        trainer = pl.Trainer(
            max_epochs=n_blocks,
            accelerator=accelerator,
            devices=devices,
            callbacks=[
                EarlyStopping("validation_error", patience=patience, check_on_train_epoch_end=True)
            ],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(training)
    network.load_state_dict(training.best_weights)
    network.to("cpu")
    return training.history
