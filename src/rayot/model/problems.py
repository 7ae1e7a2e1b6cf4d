"""The problems of a stack: one for each member of an ensemble, and for each stratum's own map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from rayot._arguments import whole_number
from rayot.data import checks
from rayot.data.spec import DataSpec
from rayot.solvers import Cells, Population

LARGEST_ENSEMBLE = 1000
"""Members of an ensemble, at most."""


@dataclass(frozen=True)
class Problems:
    """What each problem of a stack is.

    Attributes
    ----------
    target
        Condition whose response is learned.
    strata
        Names of the strata with cells to train on; empty where all cells are one.
    mode
        ``"balanced"``: one map, to which all strata count alike. ``"separate"``: one map for each.
    n_seeds
        Members of the ensemble, which differ in initial values, draws and held-out cells.
    """

    target: str
    strata: tuple[str, ...]
    mode: str
    n_seeds: int

    def __post_init__(self) -> None:
        whole_number("n_seeds", self.n_seeds, most=LARGEST_ENSEMBLE)
        if self.separate and self.n_seeds > 1:
            check_names([self])

    @property
    def separate(self) -> bool:
        """Whether strata have maps of their own."""
        return self.mode == "separate" and bool(self.strata)

    @property
    def names(self) -> list[str]:
        """Name of each problem, which keys its draws."""
        strata = self.strata if self.separate else ("",)
        return [
            " / ".join([self.target, *filter(None, [stratum]), *([f"{k + 1}"] if k else [])])
            for k in range(self.n_seeds)
            for stratum in strata
        ]

    def __len__(self) -> int:
        return self.n_seeds * (len(self.strata) if self.separate else 1)

    @property
    def table(self) -> pd.DataFrame:
        """One row a problem: its ``name``, ``stratum`` ("" for all) and ``member``."""
        strata = self.strata if self.separate else ("",)
        return pd.DataFrame(
            {
                "name": self.names,
                "stratum": list(strata) * self.n_seeds,
                "member": [k for k in range(self.n_seeds) for _ in strata],
            }
        )

    @property
    def members(self) -> Tensor:
        """(K, S) int64: problem of each member, and of each stratum where they are separate."""
        n_maps = len(self.strata) if self.separate else 1
        return torch.arange(self.n_seeds * n_maps).view(self.n_seeds, n_maps)

    def population(
        self,
        cells: Cells,
        groups: Sequence[Tensor],
        weights: Sequence[Tensor] | None,
    ) -> Population:
        """One side of the problems.

        Parameters
        ----------
        cells
            (n, d), every training cell.
        groups
            Rows of each stratum, or of all cells.
        weights
            Their weights, or None.
        """
        return Population.from_groups(
            cells,
            list(groups) * self.n_seeds,
            n_strata=1 if self.separate else len(groups),
            weights=None if weights is None else list(weights) * self.n_seeds,
        )


def check_names(problems: Sequence[Problems]) -> None:
    """Raise a ValueError if two problems would have the same name, which keys what they draw."""
    names = Counter(name for each in problems for name in each.names)
    name, count = names.most_common(1)[0]
    if count > 1:
        raise ValueError(
            f"Two maps would be named {name!r}, which joins perturbation, stratum and member of an "
            "ensemble by ' / '; rename the perturbation or the stratum that has ' / ' in it."
        )


def problems_of(
    data: DataSpec, target: str, strata: Sequence[str], mode: str, n_seeds: int
) -> Problems:
    """What the problems of a target are."""
    checks.unique(strata, f"the strata of {target!r}")
    if strata and data.strata_key is None:
        raise ValueError(f"{target!r} has strata, and data.strata_key names no column of them.")
    return Problems(target, tuple(strata), mode, n_seeds)


def check_count(problems: Iterable[Problems], n_problems: int) -> None:
    """Raise a ValueError unless arrays are of as many problems, of which none is named yet."""
    # Not by len(), which whole numbers may be too large for.
    count = sum(each.n_seeds * (len(each.strata) if each.separate else 1) for each in problems)
    if count != n_problems:
        raise ValueError(f"there are {count} maps, and the arrays are those of {n_problems}.")
