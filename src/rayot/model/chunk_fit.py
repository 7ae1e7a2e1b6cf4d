"""What a process does with a chunk of a screen: test its effects, and fit its stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import rayot
from rayot.model import files, saved
from rayot.model.chunk import Chunk
from rayot.model.fit import fit_problems
from rayot.model.methods import stack_of
from rayot.solvers import (
    SIGNIFICANCE,
    Combination,
    Population,
    Stack,
    generator,
    permutation_test,
)
from rayot.solvers.report import Report
from rayot.train.threads import threads_for

SAVED = {
    "model": str,
    "version": str,
    "fit": str,
    "names": list[str],
    "diagnostics": list[dict[str, Any]],
    "combinations": list[saved.SavedCombination | None],
    "history": dict[str, list[str]],
}
"""Types of the fields of a chunk that is done."""

DISPLACED_CELLS = 4096
"""Control cells, drawn at random, that the mean move of a map is taken over."""


@dataclass(frozen=True)
class FittedChunk:
    """What fitting a chunk leaves.

    Attributes
    ----------
    state
        Arrays of the stack; the first axis of each counts its problems.
    history
        As in :class:`rayot.train.runner.Fit`.
    diagnostics
        Of each problem.
    combinations
        Of each perturbation; None where strata have no maps of their own.
    displacement
        (P, 1 + T, d), mean move of control cells by each problem's map: of all of them, then of
        each cell type, NaN where a type has none.
    """

    state: dict[str, np.ndarray]
    history: dict[str, dict[str, np.ndarray]]
    diagnostics: list[Report]
    combinations: list[Combination | None]
    displacement: np.ndarray

    def write(self, folder: Path, names: list[str], digest: str) -> None:
        """Write to a folder, whole or not at all, with the problems and the fit that it is of."""
        arrays = {f"state/{name}": value for name, value in self.state.items()}
        arrays["displacement"] = self.displacement
        columns = {
            phase: [name for name in curves if name != "step"]
            for phase, curves in self.history.items()
        }
        for phase, names_of_phase in columns.items():
            curves = [self.history[phase][name] for name in ("step", *names_of_phase)]
            arrays[f"history/{phase}"] = np.stack(curves, axis=1).astype(np.float64)
        for number, combination in enumerate(self.combinations):
            if combination is not None:
                arrays[f"centres/{number}"] = combination.centres.numpy()
        values = {
            "model": "chunk",
            "version": rayot.__version__,
            "fit": digest,
            "names": names,
            "diagnostics": self.diagnostics,
            "combinations": [rule and rule.to_json() for rule in self.combinations],
            "history": columns,
        }
        files.write(folder, values, arrays, overwrite=True)

    @classmethod
    def read(cls, folder: Path, chunk: Chunk, digest: str) -> FittedChunk:
        """Inverse of :meth:`write`.

        Raises
        ------
        ValueError
            If the folder holds something else, or is damaged.
        """
        try:
            return files.load(folder, "chunk", partial(cls._restore, chunk, digest))
        except (FileNotFoundError, ValueError) as error:
            raise ValueError(
                f"The screen cannot go on from {str(folder)!r} ({str(error).rstrip('.')}); delete "
                "it, or pass resume=False."
            ) from error

    @classmethod
    def _restore(
        cls, chunk: Chunk, digest: str, values: dict[str, Any], arrays: dict[str, np.ndarray]
    ) -> FittedChunk:
        saved.check(values, SAVED, "")
        if (values["fit"], values["names"]) != (digest, chunk.names):
            raise ValueError(f"it is the fit of other cells or settings, {values['names'][:3]}.")
        groups = saved.grouped(arrays, "/", ("state", "displacement", "history", "centres"))
        state, centres = groups["state"], groups["centres"]
        n_problems, n_features = len(chunk.names), chunk.control.shape[1]
        kind = stack_of(chunk.method)
        build = partial(chunk.stack, n_features)
        saved.check_state(state, kind, chunk.settings, build, n_problems)
        displacement = groups["displacement"].get("", np.zeros(0))
        shape = n_problems, 1 + chunk.n_types, n_features
        saved.check_array(displacement, "displacement", shape, allowed="NaN")
        saved.check_reports(values["diagnostics"], (n_problems,))
        rules = {str(number): rule for number, rule in enumerate(values["combinations"]) if rule}
        saved.check_names(centres, rules, "the arrays of the combinations")
        if len(values["combinations"]) != len(chunk.problems):
            raise ValueError(f"it has rules of {len(values['combinations'])} perturbations.")
        combinations = []
        for number, (each, end) in enumerate(
            zip(chunk.problems, np.cumsum([len(each) for each in chunk.problems]), strict=True)
        ):
            combinations.append(
                saved.combination_of(
                    rules.get(str(number)),
                    centres.get(str(number)),
                    each.strata if each.separate else (),
                    n_features,
                    state["strength"][end - len(each) : end],
                )
            )
        tables = saved.history_of(values["history"], groups["history"])
        history = {
            phase: {
                "step": table.index.to_numpy(),
                **{name: table[name].to_numpy() for name in table},
            }
            for phase, table in tables.items()
        }
        diagnostics = list(map(saved.with_no_effect, values["diagnostics"]))
        return cls(state, history, diagnostics, combinations, displacement)


def find_effects(chunk: Chunk, n_permutations: int) -> list[tuple[float, float]]:
    """Energy distance from the control, and p-value, of each perturbation, strata together."""
    alone = [replace(each, mode="balanced", n_seeds=1) for each in chunk.problems]
    effects = []
    with threads_for(0):
        for problems, sides in zip(alone, chunk.populations(alone), strict=True):
            draws = [generator(chunk.seed, problems.target, "permutation")]
            test = permutation_test(*sides, draws, n_permutations)
            effects.append((float(test.distances[0]), float(test.p_values[0])))
    return effects


def fit_chunk(chunk: Chunk, p_values: Sequence[float] | None) -> FittedChunk:
    """Fit the stack of a chunk, on one thread: processes share the cores.

    Parameters
    ----------
    chunk
        What to fit.
    p_values
        Of the test of each perturbation, which is not taken again; None tests each problem.
    """
    pairs = chunk.populations(chunk.problems)
    source, target = (Population.join([pair[side] for pair in pairs]) for side in (0, 1))
    sizes = [len(each) for each in chunk.problems]
    transport = chunk.stack(source.cells.shape[1])
    tested = None
    if p_values is not None:
        # The screen has decided that these have an effect; none is shrunk to nothing for its own.
        n_problems = torch.tensor(sizes, dtype=torch.int64)
        of_problems = torch.tensor(p_values, dtype=torch.float32).repeat_interleave(n_problems)
        tested = of_problems.clamp_max(SIGNIFICANCE)
    labels = torch.from_numpy(chunk.labels[0]), torch.from_numpy(chunk.labels[1])
    with threads_for(0):
        try:
            fit, combinations = fit_problems(
                transport,
                chunk.problems,
                (source, target),
                pairs,
                chunk.options,
                labels if chunk.n_types else None,
                p_values=tested,
            )
        except FloatingPointError as error:
            return _failed(chunk, source.cells.shape[1], str(error))
        if tested is not None:
            for report, p_value in zip(fit.diagnostics, of_problems.tolist(), strict=True):
                report["p_value"] = p_value
        displacement = _displacement(transport, source, labels[0], chunk)
    return FittedChunk(_state(transport), fit.history, fit.diagnostics, combinations, displacement)


def _state(transport: Stack) -> dict[str, np.ndarray]:
    return {name: value.cpu().numpy() for name, value in transport.state_dict().items()}


def _failed(chunk: Chunk, d: int, message: str) -> FittedChunk:
    """Maps that stay where they are, since no problem of the chunk could be fitted."""
    transport = chunk.stack(d)
    transport.strength.zero_()
    n_problems = len(chunk.names)
    report: list[Report] = [
        {"strength": 0.0, "mean_step": 0.0, "certificate": "poor", "reason": message}
        for _ in range(n_problems)
    ]
    still = np.zeros((n_problems, 1 + chunk.n_types, d), dtype=np.float32)
    return FittedChunk(_state(transport), {}, report, [None] * len(chunk.problems), still)


@torch.no_grad()
def _displacement(
    transport: Stack, source: Population, labels: torch.Tensor, chunk: Chunk
) -> np.ndarray:
    displacement = np.full(
        (source.n_problems, 1 + chunk.n_types, transport.centre.shape[-1]), np.nan
    )
    bounds = source.problem_offsets.tolist()
    for problem, name in enumerate(transport.names):
        positions = torch.arange(*bounds[problem : problem + 2])
        draw = generator(chunk.seed, name, "displacement")
        order = torch.randperm(len(positions), generator=draw)[:DISPLACED_CELLS]
        cells = source.take(positions[order][None])
        moves = (transport.take([problem])(cells) - cells)[0].numpy()
        types = labels[source.rows[positions[order]]].numpy()
        displacement[problem, 0] = moves.mean(0)
        for cell_type in np.unique(types[types >= 0]):
            displacement[problem, 1 + cell_type] = moves[types == cell_type].mean(0)
    return displacement.astype(np.float32)
