"""The fitted stack of a screen: its arrays, and what is known of each of its problems."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, Literal, TypedDict, cast

import numpy as np
import pandas as pd
import torch

from rayot.data import checks
from rayot.data.spec import DataSpec
from rayot.model import saved
from rayot.model.chunk_fit import FittedChunk
from rayot.model.problems import Problems, check_count, problems_of
from rayot.model.saved import SavedCombination, check_array, check_names
from rayot.solvers import Combination, Stack
from rayot.solvers.report import Report


class SavedProblems(TypedDict):
    """What is fitted for a perturbation."""

    strata: list[str]
    mode: Literal["balanced", "separate"]
    n_seeds: int


class SavedStack(TypedDict):
    """Plain values of a stack."""

    problems: dict[str, SavedProblems]
    combinations: dict[str, SavedCombination]
    diagnostics: list[dict[str, Any]]
    history: dict[str, list[str]]


@dataclass(frozen=True)
class ScreenStack:
    """All fitted problems of a screen.

    Attributes
    ----------
    problems
        What is fitted for each perturbation, by its name, in the order of the stack.
    state
        Arrays of a :class:`rayot.solvers.Stack`; the first axis counts problems.
    history
        For each phase, the mean curve over problems.
    diagnostics
        Of each problem.
    combinations
        By perturbation, where strata have maps of their own.
    displacement
        (P, 1 + T, d), as in :class:`rayot.model.chunk_fit.FittedChunk`.
    """

    problems: dict[str, Problems]
    state: dict[str, np.ndarray]
    history: dict[str, pd.DataFrame]
    diagnostics: list[Report]
    combinations: dict[str, Combination]
    displacement: np.ndarray

    @classmethod
    def join(
        cls,
        problems: dict[str, Problems],
        parts: Iterable[tuple[list[str], FittedChunk]],
        shape: tuple[int, int],
    ) -> ScreenStack:
        """Put chunks together, whatever the order in which they end.

        Each is copied to its place and let go, so that memory holds the stack once.

        Parameters
        ----------
        problems
            As the attribute.
        parts
            Names of the problems of each chunk, and what fitting it left.
        shape
            (1 + T, d) of a displacement.
        """
        names = [name for each in problems.values() for name in each.names]
        place = {name: number for number, name in enumerate(names)}
        targets = {each.names[0]: name for name, each in problems.items()}
        state: dict[str, np.ndarray] = {}
        diagnostics: dict[int, Report] = {}
        displacement = np.zeros((len(names), *shape), dtype=np.float32)
        combinations: dict[str, Combination] = {}
        curves: dict[str, list[pd.DataFrame]] = {}
        for of_chunk, part in parts:
            rows = [place[name] for name in of_chunk]
            for name, values in part.state.items():
                if name not in state:
                    state[name] = np.empty((len(names), *values.shape[1:]), values.dtype)
                state[name], values = _equally_long(state[name], values)
                state[name][rows] = values
            for row, report in zip(rows, part.diagnostics, strict=True):
                diagnostics[row] = report
            displacement[rows] = part.displacement
            firsts = [targets[name] for name in of_chunk if name in targets]
            chosen = zip(firsts, part.combinations, strict=True)
            combinations |= {name: rule for name, rule in chosen if rule is not None}
            for phase, columns in part.history.items():
                table = pd.DataFrame(columns).assign(weight=len(of_chunk))
                curves.setdefault(phase, []).append(table)
        history = {phase: _mean_curve(tables) for phase, tables in curves.items()}
        reports = [diagnostics[row] for row in range(len(names))]
        return cls(problems, state, history, reports, combinations, displacement)

    @classmethod
    def gather(cls, stacks: Sequence[ScreenStack], shape: tuple[int, int]) -> ScreenStack:
        """Put stacks of different perturbations of one screen together.

        Parameters
        ----------
        stacks
            Of parts of the screen.
        shape
            As in :meth:`join`.
        """
        problems = {name: each for stack in stacks for name, each in stack.problems.items()}
        return cls.join(problems, (stack._as_chunk() for stack in stacks if stack.problems), shape)

    def _as_chunk(self) -> tuple[list[str], FittedChunk]:
        """Names of all problems, and what fitting them left."""
        history = {
            phase: {
                "step": table.index.to_numpy(),
                **{name: table[name].to_numpy() for name in table},
            }
            for phase, table in self.history.items()
        }
        combinations = [self.combinations.get(name) for name in self.problems]
        names = [name for each in self.problems.values() for name in each.names]
        return names, FittedChunk(
            self.state, history, self.diagnostics, combinations, self.displacement
        )

    @property
    def table(self) -> pd.DataFrame:
        """One row a problem: ``perturbation``, ``stratum``, ``member``, ``name``."""
        tables = [each.table.assign(perturbation=name) for name, each in self.problems.items()]
        columns = ["perturbation", "stratum", "member", "name"]
        return pd.concat([pd.DataFrame(columns=columns), *tables], ignore_index=True)[columns]

    @cached_property
    def _slices(self) -> dict[str, slice]:
        sizes = [len(each) for each in self.problems.values()]
        bounds = pairwise(accumulate([0, *sizes]))
        return {name: slice(*bound) for name, bound in zip(self.problems, bounds, strict=True)}

    def rows(self, perturbation: str) -> slice:
        """Problems of a perturbation."""
        return self._slices[perturbation]

    def fill(self, module: Stack, perturbation: str) -> None:
        """Load what was fitted for a perturbation into a map of its problems."""
        rows = self.rows(perturbation)
        state = {name: torch.from_numpy(values[rows]) for name, values in self.state.items()}
        module.restore(state)

    def mean_displacement(self, names: Sequence[str]) -> np.ndarray:
        """Mean over the problems of each perturbation, zero where none was fitted: (n, 1 + T, d).

        Types without control cells are NaN.
        """
        means = np.zeros((len(names), *self.displacement.shape[1:]), dtype=np.float32)
        for number, name in enumerate(names):
            if name in self.problems:
                values = self.displacement[self.rows(name)]
                present = np.isfinite(values)
                counts = present.sum(0)
                total = np.where(present, values, 0).sum(0)
                means[number] = np.where(counts > 0, total / np.maximum(counts, 1), np.nan)
        return means

    def to_saved(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Plain values and arrays, the inverse of :meth:`from_saved`."""
        arrays = {f"stack/{name}": values for name, values in self.state.items()}
        arrays["displacement"] = self.displacement
        for name, combination in self.combinations.items():
            arrays[f"centres/{name}"] = combination.centres.numpy()
        for phase, table in self.history.items():
            arrays[f"history/{phase}"] = table.reset_index().to_numpy(dtype=np.float64)
        values = {
            "problems": {
                name: {"strata": each.strata, "mode": each.mode, "n_seeds": each.n_seeds}
                for name, each in self.problems.items()
            },
            "combinations": {name: rule.to_json() for name, rule in self.combinations.items()},
            "diagnostics": self.diagnostics,
            "history": {phase: list(table.columns) for phase, table in self.history.items()},
        }
        return values, arrays

    @classmethod
    def from_saved(
        cls,
        values: SavedStack,
        data: DataSpec,
        groups: Mapping[str, dict[str, np.ndarray]],
        perturbations: Sequence[str],
        shape: tuple[int, int],
    ) -> ScreenStack:
        """Read what :meth:`to_saved` returned.

        Parameters
        ----------
        values, data
            Plain values, and what the screen needs of cells.
        groups
            Arrays by the first part of their names; those of the state are known to be whole.
        perturbations
            Those of the screen, fitted or not.
        shape
            (1 + T, d) of a displacement.

        Raises
        ------
        ValueError
            If they do not fit together.
        """
        problems = {
            name: problems_of(
                data, name, of_target["strata"], of_target["mode"], of_target["n_seeds"]
            )
            for name, of_target in values["problems"].items()
        }
        check_names(set(problems) - set(perturbations), (), "the maps")
        n_problems = len(values["diagnostics"])
        check_count(problems.values(), n_problems)
        displacement = groups["displacement"][""]
        check_array(displacement, "displacement", (n_problems, *shape), allowed="NaN")
        checks.unique((name for each in problems.values() for name in each.names), "the stack")
        saved.check_reports(values["diagnostics"], (n_problems,))
        stack = cls(
            problems,
            groups["stack"],
            saved.history_of(values["history"], groups["history"]),
            [saved.with_no_effect(cast(Report, report)) for report in values["diagnostics"]],
            {},
            displacement,
        )
        rules = values["combinations"]
        check_names(groups["centres"], rules, "the arrays of the combinations")
        check_names(set(rules) - set(problems), (), "the combinations")
        for name, each in problems.items():
            combination = saved.combination_of(
                rules.get(name),
                groups["centres"].get(name),
                each.strata if each.separate else (),
                shape[1],
                stack.state.get("strength", np.zeros(n_problems))[stack.rows(name)],
            )
            if combination is not None:
                stack.combinations[name] = combination
        return stack


def _mean_curve(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Mean curve over all problems of a phase, chunks weighted by theirs."""
    curves = pd.concat(tables)
    weight, steps = curves.pop("weight"), curves["step"]
    total = curves.drop(columns="step").mul(weight, axis=0).groupby(steps).sum()
    return total.div(weight.groupby(steps).sum(), axis=0)


def _equally_long(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Arrays whose second axis may differ, the shorter one with its last entry repeated."""
    if first.shape[1:] == second.shape[1:]:
        return first, second
    n = max(first.shape[1], second.shape[1])
    padded = [
        np.pad(
            curves, [(0, 0), (0, n - curves.shape[1]), *[(0, 0)] * (curves.ndim - 2)], mode="edge"
        )
        for curves in (first, second)
    ]
    return padded[0], padded[1]
