"""The fitted stack of a screen: its arrays, and what is known of each of its problems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from rayot.model.chunk_fit import FittedChunk
from rayot.model.problems import Problems
from rayot.solvers import Combination, TransportMap


@dataclass(frozen=True)
class ScreenStack:
    """All fitted problems of a screen.

    Attributes
    ----------
    problems
        What is fitted for each perturbation, by its name, in the order of the stack.
    state
        Arrays of a :class:`rayot.solvers.TransportMap`; the first axis counts problems.
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
    diagnostics: list[dict[str, Any]]
    combinations: dict[str, Combination]
    displacement: np.ndarray

    @classmethod
    def join(
        cls,
        problems: dict[str, Problems],
        parts: Sequence[tuple[list[str], FittedChunk]],
        shape: tuple[int, int],
    ) -> ScreenStack:
        """Put chunks together, whatever the order in which they ended.

        Parameters
        ----------
        problems
            As the attribute.
        parts
            Names of the problems of each chunk, and what fitting it left.
        shape
            (1 + T, d) of a displacement, for a screen in which nothing was fitted.
        """
        found = [name for names, _ in parts for name in names]
        place = {name: number for number, name in enumerate(found)}
        wanted = [name for each in problems.values() for name in each.table["name"]]
        order = np.array([place[name] for name in wanted], dtype=int)
        fitted = [part for _, part in parts]
        reports = [report for part in fitted for report in part.diagnostics]
        combinations: dict[str, Combination] = {}
        targets = {each.table["name"][0]: name for name, each in problems.items()}
        for names, part in parts:
            firsts = [targets[name] for name in names if name in targets]
            chosen = zip(firsts, part.combinations, strict=True)
            combinations |= {name: each for name, each in chosen if each is not None}
        return cls(
            problems,
            {
                name: np.concatenate([part.state[name] for part in fitted])[order]
                for name in (fitted[0].state if fitted else ())
            },
            _mean_history(parts),
            [reports[place[name]] for name in wanted],
            combinations,
            np.concatenate([np.empty((0, *shape)), *(part.displacement for part in fitted)])[
                order
            ].astype(np.float32),
        )

    @property
    def table(self) -> pd.DataFrame:
        """One row a problem: ``perturbation``, ``stratum``, ``member``, ``name``."""
        tables = [each.table.assign(perturbation=name) for name, each in self.problems.items()]
        columns = ["perturbation", "stratum", "member", "name"]
        return pd.concat([pd.DataFrame(columns=columns), *tables], ignore_index=True)[columns]

    def rows(self, perturbation: str) -> slice:
        """Problems of a perturbation."""
        first = 0
        for name, each in self.problems.items():
            n_problems = len(each.table)
            if name == perturbation:
                return slice(first, first + n_problems)
            first += n_problems
        return slice(first, first)

    def fill(self, module: TransportMap, perturbation: str) -> None:
        """Load what was fitted for a perturbation into a map of its problems."""
        rows = self.rows(perturbation)
        state = {name: torch.from_numpy(values[rows]) for name, values in self.state.items()}
        module.load_state_dict(state)

    def mean_displacement(self, names: Sequence[str]) -> np.ndarray:
        """Mean over the problems of each perturbation, zero where none was fitted: (n, 1 + T, d).

        Types without control cells are NaN.
        """
        found = np.zeros((len(names), *self.displacement.shape[1:]), dtype=np.float32)
        for number, name in enumerate(names):
            if name in self.problems:
                values = self.displacement[self.rows(name)]
                known = np.isfinite(values)
                counts = known.sum(0)
                total = np.where(known, values, 0).sum(0)
                found[number] = np.where(counts > 0, total / np.maximum(counts, 1), np.nan)
        return found

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
            "combinations": {name: each.to_json() for name, each in self.combinations.items()},
            "diagnostics": self.diagnostics,
            "history": {phase: list(table.columns) for phase, table in self.history.items()},
        }
        return values, arrays

    @classmethod
    def from_saved(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> ScreenStack:
        """Read what :meth:`to_saved` returned."""
        problems = {
            name: Problems(name, tuple(each["strata"]), each["mode"], each["n_seeds"])
            for name, each in values["problems"].items()
        }
        history = {}
        for phase, columns in values["history"].items():
            numbers = arrays[f"history/{phase}"]
            index = pd.Index(numbers[:, 0].astype(int), name="step")
            history[phase] = pd.DataFrame(numbers[:, 1:], index=index, columns=columns)
        combinations = {
            name: Combination(**each, centres=torch.from_numpy(arrays[f"centres/{name}"]))
            for name, each in values["combinations"].items()
        }
        prefix = "stack/"
        state = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
        return cls(
            problems, state, history, values["diagnostics"], combinations, arrays["displacement"]
        )


def _mean_history(
    parts: Sequence[tuple[list[str], FittedChunk]],
) -> dict[str, pd.DataFrame]:
    """Mean curve of each phase over all problems, chunks weighted by theirs."""
    tables: dict[str, list[pd.DataFrame]] = {}
    for names, part in parts:
        for phase, columns in part.history.items():
            tables.setdefault(phase, []).append(pd.DataFrame(columns).assign(weight=len(names)))
    history = {}
    for phase, found in tables.items():
        together = pd.concat(found)
        weight = together.pop("weight")
        steps = together["step"]
        total = together.drop(columns="step").mul(weight, axis=0).groupby(steps).sum()
        history[phase] = total.div(weight.groupby(steps).sum(), axis=0)
    return history
