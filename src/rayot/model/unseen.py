"""What a fit says of strata that it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from rayot._public import warn
from rayot.model.problems import Problems
from rayot.model.saved import check
from rayot.solvers import CERTIFICATES, diagnostics_left_out
from rayot.solvers.report import Report
from rayot.train.runner import Fit

NEXT = "Try more strata, or model.adapt with a few treated cells."
"""What helps where strata differ."""

SAVED = {"figures": dict[str, Any], "strata": dict[str, dict[str, Any]]}
"""Types of what a saved model keeps."""


@dataclass(frozen=True)
class UnseenStrata:
    """Held-out figures of strata that were left out of the fit, one after the other.

    Attributes
    ----------
    figures
        Means over strata, with the word about them and its reason.
    strata
        By name of the stratum: its figures, and ``distance``, how far its source cells are from
        those of the others, see :class:`rayot.model.training_distance.TrainingDistance`.
    """

    figures: Report
    strata: dict[str, Report]

    @classmethod
    def of(
        cls,
        fitted: Fit,
        problems: Problems,
        labels: tuple[Tensor, Tensor] | None,
        between: Callable[[int], float] | None,
    ) -> UnseenStrata | None:
        """Judge what a fit left out; None where it left out nothing.

        Parameters
        ----------
        fitted
            The fit.
        problems
            Of the fit.
        labels
            Cell type of each training cell of source and target.
        between
            How far cells of a stratum are from those of all others; None where it is not known.
        """
        left_out = fitted.left_out
        if not left_out.folds:
            return None
        p_value = float(fitted.diagnostics[0]["p_value"])
        figures, of_strata = diagnostics_left_out(left_out.folds, p_value, labels)
        names = [problems.strata[number] for number in left_out.strata]
        for number, of_stratum in zip(left_out.strata, of_strata, strict=True):
            of_stratum["distance"] = np.nan if between is None else between(number)
        by_name = dict(zip(names, of_strata, strict=True))
        word, reason = _word(figures, by_name)
        if left_out.failure:
            word, reason = "poor", left_out.failure
        return cls({**figures, "certificate": word, "reason": reason}, by_name)

    @property
    def distance(self) -> float:
        """Energy distance, in the space of the map, of what is predicted of strata left out.

        NaN where it is not known.
        """
        left = self.table.reindex(columns=["left_stacked", "left_map"]).mean().clip(lower=0.01)
        # Experts were judged in genes.
        share = np.nan_to_num(left["left_stacked"] / left["left_map"], nan=1.0)
        return float(share * self.figures.get("residual_energy_distance", np.nan))

    @property
    def has_no_effect(self) -> bool:
        """Whether nothing was found that could be learned."""
        return self.figures["certificate"] == CERTIFICATES[-1]

    @property
    def table(self) -> pd.DataFrame:
        """One row a stratum that was left out."""
        return pd.DataFrame.from_dict(self.strata, orient="index").rename_axis("stratum")

    @property
    def farthest(self) -> float:
        """Largest distance of a stratum to the others."""
        return max(figures["distance"] for figures in self.strata.values())

    def said(self, by_experts: bool) -> tuple[str, str]:
        """The word about new strata as the map or, where there are any, experts predict them."""
        if by_experts and "stacked_reason" in self.figures:
            return self.figures["stacked_certificate"], self.figures["stacked_reason"]
        return self.figures["certificate"], self.figures["reason"]

    def word(self, distance: float, by_experts: bool) -> tuple[str, str]:
        """The word about a new stratum, and its reason.

        Parameters
        ----------
        distance
            Mean distance of its cells to those of the fit.
        by_experts
            Whether these predict it.
        """
        word, reason = self.said(by_experts)
        if distance > self.farthest and word == "good":
            return "check", (
                f"Its cells are farther from those of the fit ({distance:.2f}) than cells of any "
                f"stratum are from those of the others (up to {self.farthest:.2f}), so "
                "nothing says how good the map is there. Try model.adapt with a few treated cells."
            )
        return word, reason

    def with_experts(
        self, left: Mapping[str, Mapping[str, float]], transfers: bool
    ) -> UnseenStrata:
        """The same with how far experts come, see :class:`rayot.model.experts.Experts`.

        Parameters
        ----------
        left
            By stratum: the share of its energy distance that each leaves, and ``"stacked"``.
        transfers
            Whether these are to be expected to help at all.
        """
        strata: dict[str, Any] = {
            name: {
                **figures,
                **{f"left_{expert}": share for expert, share in left.get(name, {}).items()},
            }
            for name, figures in self.strata.items()
        }
        of_map, shift, stacked = (
            np.mean([of_stratum[expert] for of_stratum in left.values()])
            for expert in ("map", "shift", "stacked")
        )
        word = self.figures["certificate"] if transfers else "poor"
        if transfers:
            reason = (
                f"{self.figures['reason']} In genes experts leave {stacked:.0%} of the energy "
                f"distance, the map alone {of_map:.0%}."
            )
        else:
            reason = (
                f"No transfer expected: of {len(left)} strata, each left out of a fit once, the "
                f"map leaves {of_map:.0%} of the energy distance in genes, untouched cells all of "
                f"it and the mean shift {shift:.0%}. Cells of new strata are moved by the mean "
                "shift, as far as strata agree in it. Try model.adapt with a few treated cells."
            )
        figures: Report = {
            **self.figures,
            "stacked_certificate": word,
            "stacked_reason": reason,
        }
        return UnseenStrata(figures, strata)

    def beside(self, report: Report) -> Report:
        """Diagnostics of a model, with what they say of strata that were left out."""
        word, reason = self.said(by_experts=True)
        return {
            **report,
            "unseen_certificate": word,
            "unseen_reason": reason,
            "unseen_share_left": self.figures["share_left"],
            "n_strata_left_out": len(self.strata),
        }

    def of_cells(
        self,
        strata: np.ndarray,
        training_strata: Sequence[str],
        distance: np.ndarray,
        by_experts: bool,
    ) -> dict[str, np.ndarray]:
        """What is to be expected of cells of new strata, as columns with a row for each stratum.

        Of words that ask for care a warning says the reason.

        Parameters
        ----------
        strata
            (n,) stratum of each cell.
        training_strata
            Strata of the fit.
        distance
            (n,) of :class:`rayot.model.training_distance.TrainingDistance`.
        by_experts
            Whether these predict them.
        """
        rows = []
        for name in sorted(set(strata) - {"", *training_strata}):
            own = distance[strata == name]
            mean = float(own.mean())
            rows.append((name, len(own), mean, *self.word(mean, by_experts)))
        by_reason: dict[tuple[str, str], list[str]] = {}
        for name, _, _, word, reason in rows:
            by_reason.setdefault((word, reason), []).append(repr(name))
        for (word, reason), names in by_reason.items():
            if word in ("poor", "check"):
                shown = ", ".join(names[:3]) + (" and others" if names[3:] else "")
                warn(f"The fit has not seen {shown} ({word!r}). {reason}")
        columns = ("names", "n_cells", "distance", "certificate", "reason")
        values = zip(*rows, strict=True) if rows else [[] for _ in columns]
        kinds = (str, np.int64, np.float32, str, str)
        return {
            column: np.asarray(list(column_values), dtype=kind)
            for column, column_values, kind in zip(columns, values, kinds, strict=True)
        }

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"figures": self.figures, "strata": self.strata}

    @classmethod
    def from_json(cls, values: Any, strata: Sequence[str]) -> UnseenStrata | None:  # noqa: ANN401
        """What was saved; None where nothing was.

        Raises
        ------
        ValueError
            If it is not of these strata.
        """
        if values is None:
            return None
        check(values, SAVED, "strata.unseen")
        if not values["strata"] or set(values["strata"]) - set(strata):
            raise ValueError("strata.unseen must be of strata of the fit.")
        for report in (values["figures"], *values["strata"].values()):
            words = {name: report.get(name) for name in ("certificate", "reason")}
            check(words, dict.fromkeys(words, str), "strata.unseen")
        return cls(values["figures"], values["strata"])


def _word(figures: Report, strata: dict[str, Report]) -> tuple[str, str]:
    """By the mean over strata; "check" where it is good and the worst of them is poor."""
    word, reason = figures["certificate"], figures["reason"]
    said = f"Of {len(strata)} strata, each left out of a fit once: {reason[0].lower()}{reason[1:]}"
    if word == "no effect":
        return word, said
    # A stratum without an effect has nothing to be left.
    share = {
        name: of_stratum["share_left"]
        for name, of_stratum in strata.items()
        if np.isfinite(of_stratum["share_left"])
    }
    worst = max(share, key=lambda name: share[name], default=None)
    if worst is None:
        return word, said
    first, _, _ = said.partition(". ")
    sentence = f"{first.rstrip('.')} ({max(0.0, share[worst]):.0%} of {worst!r}, the most)."
    if word == "good" and strata[worst]["certificate"] == CERTIFICATES[0]:
        word = "check"
    return word, sentence if word == "good" else f"{sentence} {NEXT}"
