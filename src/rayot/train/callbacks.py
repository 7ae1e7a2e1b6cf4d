"""What happens at the end of each block: progress and checkpoints."""

from pathlib import Path

import lightning.pytorch as pl
from tqdm.auto import tqdm

from rayot.train.checkpoints import replacing
from rayot.train.training import BLOCK_STEPS, Training


class Progress(pl.Callback):
    """One progress bar over all phases, with the phase and its held-out value.

    Parameters
    ----------
    bar
        A tqdm bar over the steps of all phases.
    """

    def __init__(self, bar: tqdm) -> None:
        self.bar = bar
        self.seen = 0

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Move the bar by one block."""
        assert isinstance(pl_module, Training)
        values = pl_module.history[pl_module.phase.monitor][-1]
        label = pl_module.phase.monitor.removeprefix("validation_").replace("_", " ")
        self.bar.set_description(pl_module.name, refresh=False)
        self.bar.set_postfix_str(f"{label} {sum(values) / len(values):.4g}", refresh=False)
        self.bar.update(pl_module.steps_done - self.seen)
        self.seen = pl_module.steps_done


class Checkpoint(pl.Callback):
    """Write the whole state of a phase every few blocks and at its end.

    Lightning's own callback counts optimizer steps, which it does not see here.

    Parameters
    ----------
    path
        File that is replaced, atomically, each time.
    every_n_blocks
        Blocks between two writes.
    """

    def __init__(self, path: Path, every_n_blocks: int) -> None:
        self.path = path
        self.every_n_blocks = every_n_blocks

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write if it is time, or the phase is done."""
        assert isinstance(pl_module, Training)
        if pl_module.finished or pl_module.block % self.every_n_blocks == 0:
            if not trainer.is_global_zero:
                # It takes part, and the first process alone writes.
                trainer.save_checkpoint(self.path, weights_only=False)
                return
            with replacing(self.path) as partial:
                trainer.save_checkpoint(partial, weights_only=False)


def blocks_between(checkpoint_every: int) -> int:
    """Whole blocks in ``checkpoint_every`` steps, at least one."""
    return max(1, checkpoint_every // BLOCK_STEPS)
