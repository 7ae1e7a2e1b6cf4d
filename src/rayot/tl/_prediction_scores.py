"""The table of scores of predictions, perturbation by perturbation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from rayot._public import warn
from rayot.data.keys import Key
from rayot.data.moments import Moments
from rayot.data.scale import Scale
from rayot.metrics import METRICS, way
from rayot.model.scoring import DIFFERENCES, FOLD_CHANGES, TESTS, Truth
from rayot.tl._draws import shuffled
from rayot.tl._observed import Comparison, Condition, compare, moments
from rayot.tl._predictions import FEWEST_CELLS, Cells, Cellset, Rows, problem

DEFAULTS = (
    "r2",
    "l2",
    "pearson_delta",
    "weighted_r2_delta",
    "spread_error",
    "correlation_error",
    "mmd",
    "energy_distance",
    "de_overlap",
    "de_direction_match",
    "de_precision",
    "de_recall",
)
"""Metrics of one perturbation."""

OF_MANY = ("centroid_accuracy", "discrimination_score_cosine")
"""Of two or more."""

OF_REFERENCES = ("pearson_delta_systema",)
"""Where there are ten others or more."""

FEWEST_REFERENCES = 10

SCORED, FAILED, UNDEFINED = "scored", "failed", "undefined"

TOO_FEW = "perturbations are told apart where all methods predict two or more"
NO_VALUE = "what the metric divides by is zero, as profiles or changes are constant"
LACKING = {
    "weights": "all genes differ alike between the control and the second half of the real cells",
    "reference": "there are no other perturbations to count from",
}
NO_GENES = "no gene is significant in the observed cells, or none in the predicted ones"


@dataclass
class Stratum:
    """What is known of the perturbations of one stratum before any is scored.

    Attributes
    ----------
    name
        Of the stratum.
    control
        Its control cells.
    conditions
        The perturbations with enough cells.
    of_control, control_mean
        Moments of the first half of the control, and mean of all of it.
    second
        Moments of the second half of each perturbation.
    means, means_control
        Mean profiles of the perturbations in training, or of all real ones, and of their control.
    source, rows
        Where these perturbations are from, and their cells, shuffled.
    learned
        Moments of the control and of each perturbation in training, where it is there.
    """

    name: str
    control: Condition
    conditions: dict[str, Condition]
    of_control: Moments
    control_mean: Cells
    second: dict[str, Moments]
    means: dict[str, Cells]
    means_control: Cells
    source: Cellset
    rows: dict[str, Rows]
    learned: dict[str, tuple[Moments, Moments]] = field(default_factory=dict)

    def genes_by(self, perturbation: str) -> tuple[Moments, Moments]:
        """Moments of control and perturbation by which genes are chosen."""
        return self.learned.get(perturbation, (self.of_control, self.second[perturbation]))

    def shift(self, perturbation: str) -> Cells | None:
        """Mean change of the other perturbations, (d,); None where there are none."""
        others = [mean for name, mean in self.means.items() if name != perturbation]
        return np.mean(others, axis=0) - self.means_control if others else None

    def others(self, perturbation: str, n: int) -> Cells | None:
        """Cells (n, d) of the other perturbations, as many of each as there are."""
        orders = [rows for name, rows in self.rows.items() if name != perturbation]
        if not orders:
            return None
        ranks = np.concatenate([np.arange(len(rows)) for rows in orders])
        pooled = np.concatenate(orders)[np.argsort(ranks, kind="stable")]
        return self.source.expression(np.resize(pooled, n))

    def reference(self, perturbation: str) -> Cells | None:
        """Mean profiles (q, d) of the perturbations in training, or of the other real ones."""
        own = set() if self.learned else {perturbation}
        profiles = [mean for name, mean in self.means.items() if name not in own]
        # They are counted from the control that predictions are compared with.
        offset = self.control_mean - self.means_control
        return np.array(profiles) + offset if profiles else None


@dataclass(frozen=True)
class Profiles:
    """Mean profiles of one perturbation: of the n cells of each row that was scored."""

    n: int
    truth: Cells
    predicted: dict[str, Cells]


@dataclass(frozen=True)
class Evaluation:
    """Predictions, what they are compared with, and how.

    Attributes
    ----------
    real, control, methods, training
        Cells with the same genes.
    control_label
        Condition of the control cells in ``control``.
    metrics, n_top_genes, n_cells, check_scale, seed
        As :func:`rayot.tl.evaluate_predictions` takes them.
    """

    real: Cellset
    control: Cellset
    control_label: str
    methods: list[Cellset]
    training: Cellset | None
    metrics: list[str] | None
    n_top_genes: int
    n_cells: int
    check_scale: bool
    seed: int

    def table(self) -> pd.DataFrame:
        """One row for each perturbation, stratum, method and metric.

        Raises
        ------
        ValueError
            If observed cells are on different scales, or are not finite.
        """
        self._check_scales()
        rows = [row for stratum in self._strata() for row in self._of_stratum(stratum)]
        columns = [
            Key.table.perturbation,
            Key.table.stratum,
            Key.table.method,
            Key.table.metric,
            Key.table.value,
            Key.table.n_cells,
            Key.table.status,
            Key.table.reason,
        ]
        table = pd.DataFrame(rows, columns=columns)
        table.insert(5, Key.table.way_of_metric, _ways(table))
        return table

    @cached_property
    def perturbations(self) -> list[str]:
        """What a method predicts, in alphabetical order."""
        predicted = {label for cells in self.methods for label in set(cells.labels)}
        return sorted(predicted - {"", self.control_label})

    @cached_property
    def scale(self) -> Scale:
        """Of the observed expression."""
        return self.real.scale()

    def _check_scales(self) -> None:
        """Raise a ValueError if observed cells are on different scales."""
        for cells in (self.control, self.training):
            if (
                cells is None
                or cells is self.real
                or not (self.check_scale and self.scale.is_known)
            ):
                continue
            own = cells.scale()
            if own.is_known and own.name != self.scale.name:
                raise ValueError(
                    f"The cells of {cells.name!r} are on the scale {own.name!r} and those of "
                    f"'real' on {self.scale.name!r}; bring both to one, or pass check_scale=False."
                )

    def _strata(self) -> list[str]:
        return sorted(set(self.real.strata) - {""}) or [""]

    def _of_stratum(self, name: str) -> Iterator[tuple[object, ...]]:
        control = Condition(self.control, self.control_label, name, self.seed)
        if control.n < FEWEST_CELLS:
            reason = f"{control.n} control cells in a half; at least {FEWEST_CELLS} are needed"
            for perturbation in self.perturbations:
                yield from self._failed(perturbation, name, self._names(0, 0), reason)
            return
        stratum = self._read(name, control)
        compared: dict[str, Profiles] = {}
        names = self._names(
            len(set(self.perturbations) & set(stratum.conditions)), len(stratum.means) - 1
        )
        for perturbation in self.perturbations:
            condition = stratum.conditions.get(perturbation)
            if condition is None:
                n = len(self.real.rows(perturbation, name))
                reason = f"real has {n} cells of it; {FEWEST_CELLS} in each half of them are needed"
                yield from self._failed(perturbation, name, names, reason)
            else:
                one = [each for each in names if not METRICS[each].of_perturbations]
                yield from self._of_perturbation(stratum, condition, one, compared)
        many = [each for each in names if METRICS[each].of_perturbations]
        yield from self._discriminated(stratum, many, compared)

    def _names(self, n_perturbations: int, n_references: int) -> list[str]:
        """Metrics that are asked for, or that are defined."""
        if self.metrics is None:
            return [
                *DEFAULTS,
                *(OF_REFERENCES if n_references >= FEWEST_REFERENCES else ()),
                *(OF_MANY if n_perturbations > 1 else ()),
            ]
        if FOLD_CHANGES not in self.metrics or self.scale.is_known:
            return self.metrics
        warn(
            "The scale of the expression is not known, so means are compared by their differences "
            "and not by their ratios."
        )
        return [DIFFERENCES if each == FOLD_CHANGES else each for each in self.metrics]

    def _read(self, name: str, control: Condition) -> Stratum:
        labels = sorted(set(self.real.labels) - {"", self.control_label})
        conditions = {label: Condition(self.real, label, name, self.seed) for label in labels}
        conditions = {k: each for k, each in conditions.items() if each.n >= FEWEST_CELLS}
        halves = [half for each in conditions.values() for half in (each.first, each.second)]
        found = moments(self.real, halves) if halves else []
        of_control = moments(self.control, [control.first, control.second])
        control_mean = _pooled(*of_control)
        first, second = (dict(zip(conditions, found[i::2], strict=True)) for i in (0, 1))
        means = {label: _pooled(first[label], second[label]) for label in conditions}
        stratum = Stratum(
            name=name,
            control=control,
            conditions=conditions,
            of_control=of_control[0],
            control_mean=control_mean,
            second=second,
            means=means,
            means_control=control_mean,
            source=self.real,
            rows={k: np.concatenate([each.first, each.second]) for k, each in conditions.items()},
        )
        if self.training is not None:
            self._learn(stratum, self.training)
        return stratum

    def _learn(self, stratum: Stratum, training: Cellset) -> None:
        """Take genes and means of perturbations from training cells."""
        labels = sorted(set(training.labels) - {""})
        groups = {label: training.rows(label, stratum.name) for label in labels}
        groups = {label: rows for label, rows in groups.items() if len(rows) >= FEWEST_CELLS}
        found = dict(zip(groups, moments(training, list(groups.values())), strict=True))
        control = found.pop(self.control_label, stratum.of_control)
        if found:
            stratum.learned = {label: (control, each) for label, each in found.items()}
            stratum.means = {label: each.mean for label, each in found.items()}
            stratum.means_control = control.mean
            stratum.source = training
            names = training.adata.obs_names
            stratum.rows = {label: shuffled(names, groups[label], self.seed) for label in found}

    def _of_perturbation(
        self,
        stratum: Stratum,
        condition: Condition,
        names: Sequence[str],
        compared: dict[str, Profiles],
    ) -> Iterator[tuple[object, ...]]:
        """Rows of one perturbation; mean profiles of what was scored are kept in ``compared``."""
        label = condition.label
        rows = {each.name: each.rows(label, stratum.name) for each in self.methods}
        enough = [len(each) for each in rows.values() if len(each) >= FEWEST_CELLS]
        n = min(self.n_cells, condition.n, stratum.control.n, *enough)
        comparison = compare(
            condition,
            stratum.control,
            n,
            n_control=self.n_cells,
            learned=stratum.genes_by(label),
            shift=stratum.shift(label),
            others=stratum.others(label, n),
            scale=self.scale,
            reference=stratum.reference(label),
            n_top_genes=self.n_top_genes,
        )
        profiles: dict[str, Cells] = {}
        compared[label] = Profiles(n, comparison.truth.observed.mean(axis=0), profiles)
        for cells in self.methods:
            found = rows[cells.name]
            population, reason = None, ""
            if len(found) < FEWEST_CELLS:
                reason = f"{len(found)} predicted cells of it; at least {FEWEST_CELLS} are needed"
            else:
                population = cells.drawn(found, n, self.seed)
                reason = self._problem(population, cells, comparison.truth)
            if population is None or reason:
                failed = dict.fromkeys(names, reason)
                yield from self._rows(stratum, label, cells.name, failed, len(found))
            else:
                profiles[cells.name] = population.mean(axis=0)
                scores = _scores(comparison, population, names)
                yield from self._rows(stratum, label, cells.name, scores, n)
        for name, population in comparison.controls.items():
            profiles[name] = population.mean(axis=0)
            yield from self._rows(stratum, label, name, _scores(comparison, population, names), n)

    def _problem(self, population: Cells, cells: Cellset, truth: Truth) -> str:
        if self.check_scale or not np.isfinite(population).all():
            return problem(population, cells.adata.uns, truth.observed, self.scale)
        return ""

    def _discriminated(
        self, stratum: Stratum, names: Sequence[str], compared: Mapping[str, Profiles]
    ) -> Iterator[tuple[object, ...]]:
        """Rows of metrics that tell perturbations apart, among those that all methods predict."""
        scored = {name for found in compared.values() for name in found.predicted}
        # A method without any prediction to score leaves the others theirs.
        common = [p for p, found in compared.items() if scored <= set(found.predicted)]
        genes = self.real.adata.var_names[self.real.columns]
        control = pd.DataFrame([stratum.control_mean], columns=genes)

        def table(profiles: Sequence[Cells]) -> pd.DataFrame:
            return pd.DataFrame(np.array(profiles), index=common, columns=genes)

        values: dict[tuple[str, str], pd.Series] = {}
        if len(common) > 1:
            truth = table([compared[p].truth for p in common])
            for method in scored:
                profiles = table([compared[p].predicted[method] for p in common])
                for name in names:
                    values[method, name] = METRICS[name].function(
                        profiles, truth, *([control] if METRICS[name].needs_control else [])
                    )
        for perturbation, found in compared.items():
            for method in dict.fromkeys([*(each.name for each in self.methods), *found.predicted]):
                scores: dict[str, float | str] = {
                    name: values[method, name][perturbation]
                    if (method, name) in values and perturbation in common
                    else TOO_FEW
                    for name in names
                }
                yield from self._rows(stratum, perturbation, method, scores, found.n)

    def _failed(
        self, perturbation: str, stratum: str, names: Sequence[str], reason: str
    ) -> Iterator[tuple[object, ...]]:
        for cells in self.methods:
            n = len(cells.rows(perturbation, stratum))
            for name in names:
                yield perturbation, stratum, cells.name, name, np.nan, n, FAILED, reason

    @staticmethod
    def _rows(
        stratum: Stratum,
        perturbation: str,
        method: str,
        scores: Mapping[str, float | str],
        n_cells: int,
    ) -> Iterator[tuple[object, ...]]:
        """Rows of one population, whose scores are numbers, or sentences where there are none."""
        for name, value in scores.items():
            where = perturbation, stratum.name, method, name
            if isinstance(value, str):
                yield *where, np.nan, n_cells, FAILED, value
            elif np.isnan(value):
                reason = NO_GENES if METRICS[name].kind == TESTS else NO_VALUE
                yield *where, np.nan, n_cells, UNDEFINED, reason
            else:
                yield *where, float(value), n_cells, SCORED, ""


def _pooled(*parts: Moments) -> Cells:
    """Mean of all cells of some groups."""
    return np.average([each.mean for each in parts], axis=0, weights=[each.n for each in parts])


def _scores(
    comparison: Comparison, predicted: Cells, names: Sequence[str]
) -> dict[str, float | str]:
    """Scores by the names of the metrics, each on its genes; a sentence where one is refused."""
    truth = comparison.truth
    lacking = [need for need in LACKING if getattr(truth, need) is None]
    without = {
        name: LACKING[need] for need in lacking for name in names if need in METRICS[name].needs
    }
    whole = [name for name in names if _of_all_genes(name) and name not in without]
    some = [name for name in names if not _of_all_genes(name)]
    top = comparison.top
    found = {
        **without,
        **_tried(truth, predicted, whole),
        **_tried(truth.of(top), predicted[:, top], some),
    }
    return {name: found[name] for name in names}


def _of_all_genes(name: str) -> bool:
    metric = METRICS[name]
    return metric.kind == TESTS or bool({"weights", "reference"} & set(metric.needs))


def _tried(truth: Truth, predicted: Cells, names: Sequence[str]) -> dict[str, float | str]:
    try:
        return dict(truth.scores(predicted, names))
    except ValueError as error:
        if len(names) == 1:
            return {names[0]: str(error)}
        return {
            name: found
            for each in names
            for name, found in _tried(truth, predicted, [each]).items()
        }


def _ways(table: pd.DataFrame) -> list[float]:
    """Share of the way from identity to observed of each row, NaN where there is none to go."""
    keys = [Key.table.perturbation, Key.table.stratum, Key.table.metric]
    ends = {
        name: table[table[Key.table.method] == name].set_index(keys)[Key.table.value].to_dict()
        for name in (Key.table.identity, Key.table.observed)
    }
    ways = []
    for *key, value in table[[*keys, Key.table.value]].itertuples(index=False):
        start, end = (ends[name].get(tuple(key), np.nan) for name in ends)
        direction = METRICS[key[-1]].direction
        better = end > start if direction == "higher" else end < start
        ways.append(way(start, value, end) if better and direction != "nearest" else np.nan)
    return ways
