"""A piece of a screen that one process works on: some perturbations against one control."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

import rayot
from rayot.model import files
from rayot.model.encoding import Block, as_tensor
from rayot.model.methods import stack_of
from rayot.model.problems import Problems
from rayot.solvers import Population, Settings, Stack
from rayot.train import TrainingOptions


@dataclass(frozen=True)
class Chunk:
    """Perturbations whose problems are one stack, with all that a process needs to fit it.

    Plain arrays, so that joblib can share those of the control between processes.

    Attributes
    ----------
    method
        Name of the method, see :mod:`rayot.model.methods`.
    problems
        What is fitted for each perturbation.
    control, treated
        (n, d) and (m, d), training cells, dense or CSR; the control's are those of all chunks.
    groups
        For each perturbation and stratum, rows of ``control`` and of ``treated``.
    weights
        Of the rows of ``control`` and of ``treated``; None weighs all alike.
    labels
        Cell type of each row of ``control`` and of ``treated`` as a number, −1 where unknown.
    n_types
        Number of cell types.
    settings, seed, options
        How it is fitted.
    """

    method: str
    problems: tuple[Problems, ...]
    control: Block
    treated: Block
    groups: tuple[tuple[tuple[np.ndarray, np.ndarray], ...], ...]
    weights: tuple[np.ndarray, np.ndarray] | None
    labels: tuple[np.ndarray, np.ndarray]
    n_types: int
    settings: Settings
    seed: int
    options: TrainingOptions

    @property
    def names(self) -> list[str]:
        """Name of each problem of the stack."""
        return [name for each in self.problems for name in each.names]

    def stack(self, n_features: int) -> Stack:
        """Maps that are not fitted."""
        stack_type = stack_of(self.method)
        return stack_type(n_features, self.names, self.settings, self.seed)

    def populations(self, problems: Sequence[Problems]) -> list[tuple[Population, Population]]:
        """Source and target of the problems of each perturbation."""
        stores = [as_tensor(self.control), as_tensor(self.treated)]
        pairs = []
        for each, strata in zip(problems, self.groups, strict=True):
            sides = []
            for side, cells in enumerate(stores):
                rows = [torch.from_numpy(stratum[side]) for stratum in strata]
                weights = None
                if self.weights is not None:
                    of_cells = torch.from_numpy(self.weights[side])
                    weights = [of_cells[of_stratum] for of_stratum in rows]
                sides.append(each.population(cells, rows, weights))
            pairs.append((sides[0], sides[1]))
        return pairs

    def digest(self, p_values: Sequence[float] | None) -> str:
        """What tells its fit from any other: cells, problems, settings, tests and version."""
        hashed = hashlib.blake2b(digest_size=10)
        options = self.options
        plain = [
            rayot.__version__,
            files.FORMAT,
            self.method,
            self.settings.to_json(),
            self.seed,
            self.names,
            self.n_types,
            p_values,
            options.chosen(),
            [options.accelerator, options.devices, sorted(options.trainer_kwargs.items())],
        ]
        hashed.update(repr(plain).encode())
        arrays = [row for strata in self.groups for stratum in strata for row in stratum]
        for block in (self.control, self.treated):
            if isinstance(block, np.ndarray):
                arrays.append(block)
            else:
                arrays += [block.data, block.indices, block.indptr]
        for array in (*arrays, *self.labels, *(self.weights or ())):
            hashed.update(np.ascontiguousarray(array).data)
        return hashed.hexdigest()
