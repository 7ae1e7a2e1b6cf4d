"""Training of a translation between two spaces."""

import math
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from rayot.solvers.flow import matching_loss
from rayot.solvers.gromov import gromov_coupling
from rayot.solvers.random import generator
from rayot.solvers.translation import Translation
from rayot.train.threads import threads_for
from rayot.train.training import BLOCK_STEPS


def train_translation(
    translation: Translation,
    source: np.ndarray,
    target: np.ndarray,
    shared_features: tuple[np.ndarray, np.ndarray] | None = None,
    *,
    progress: bool = True,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Couple training cells, then learn the flow on pairs drawn from the coupling.

    One coupling of many cells, and not one of each batch: that of a batch may turn the space
    another way than that of the next.

    Parameters
    ----------
    translation
        Changed in place.
    source, target
        (n, d) and (m, e) float32, training cells of both spaces.
    shared_features
        (n, f) and (m, f), features that both have.
    progress
        Whether a progress bar is shown.

    Returns
    -------
    History: "step" and the mean "loss" of each block of 100 steps, (blocks,); and the diagnostics
    of the coupling, see :class:`rayot.solvers.gromov.GromovCoupling`.

    Raises
    ------
    FloatingPointError
        If the loss becomes NaN or infinite, or the coupling underflows.
    """
    settings, seed = translation.settings, translation.seed
    chosen = [
        torch.randperm(len(cells), generator=generator(seed, "coupling", side)).numpy()[
            : settings.largest_coupling
        ]
        for side, cells in (("source", source), ("target", target))
    ]
    coupled = [cells[rows] for cells, rows in zip((source, target), chosen, strict=True)]
    both = None
    if shared_features is not None:
        both = (shared_features[0][chosen[0]], shared_features[1][chosen[1]])
    coupling = gromov_coupling(coupled[0], coupled[1], settings, both)
    plan = torch.from_numpy(coupling.plan)
    pairs = plan.nonzero()
    masses = plan[tuple(pairs.T)].cumsum(0)
    first, second = map(torch.from_numpy, coupled)
    for side, cells in (("source", first), ("target", second)):
        getattr(translation, f"{side}_mean").copy_(cells.mean(0))
        getattr(translation, f"{side}_sd").copy_(cells.std(0).clamp_min(1e-6))
    conditions = translation.standardised(first, "source")
    ends = translation.standardised(second, "target")
    adam = torch.optim.Adam(translation.velocity.parameters(), settings.lr, settings.betas)
    losses = np.zeros(settings.n_steps)
    with (
        threads_for(settings.batch_size * settings.width**2),
        tqdm(total=settings.n_steps, unit="step", disable=not progress) as bar,
    ):
        for step in range(settings.n_steps):
            share = (1 + math.cos(math.pi * step / settings.n_steps)) / 2
            adam.param_groups[0]["lr"] = settings.lr_end + (settings.lr - settings.lr_end) * share
            draw = generator(seed, "step", step)
            drawn = torch.rand(settings.batch_size, dtype=masses.dtype, generator=draw) * masses[-1]
            rows, columns = pairs[torch.searchsorted(masses, drawn)].T
            noise = torch.randn(
                len(rows), translation.n_target, generator=draw, dtype=torch.float32
            )
            loss = matching_loss(
                translation.velocity,
                noise[None],
                ends[columns][None],
                [draw],
                conditions[rows][None],
            ).sum()
            adam.zero_grad()
            loss.backward()
            adam.step()
            losses[step] = float(loss.detach())
            bar.update()
            if not math.isfinite(losses[step]):
                raise FloatingPointError(
                    f"The loss of the translation became {losses[step]} at step {step + 1}; a "
                    "lower learning rate may help."
                )
    translation.eval()
    steps = np.minimum(np.arange(0, settings.n_steps, BLOCK_STEPS) + BLOCK_STEPS, settings.n_steps)
    means = [block.mean() for block in np.split(losses, steps[:-1])]
    return {"step": steps, "loss": np.array(means)}, coupling.diagnostics
