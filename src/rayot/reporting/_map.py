"""What a report says of a fitted map."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from rayot import pl, pp, tl
from rayot.data import checks
from rayot.data.keys import Key
from rayot.data.split import hash_of
from rayot.model.methods import METHODS, stack_of
from rayot.reporting._blocks import (
    Block,
    Facts,
    Items,
    Section,
    Table,
    Text,
    Verdict,
    or_sentence,
    shown,
)
from rayot.reporting._blocks import Figure as Pictures
from rayot.reporting._evaluation import evaluation
from rayot.reporting._images import images_of, new_axes
from rayot.reporting._subject import Subject
from rayot.reporting._versions import versions
from rayot.train import TrainingOptions

N_GENES = 20
"""Genes in the table."""

TO_TARGET = (("initial", "source"), ("residual", "predicted"), ("floor", "other target"))
"""Figures of a distance to held-out target cells, and of which cells they are."""

MEANINGS = {
    "good": "There is an effect, and at most a tenth of the distance from untreated to held-out "
    "treated cells is left. This speaks of populations, not of single cells.",
    "check": "The map may be used with care: more than a tenth of the distance is left, or "
    "something is not sure, as the reason says.",
    "poor": "More than three tenths of the distance are left. Do not rely on these predictions.",
    "no effect": "No effect could be told from sampling, and cells stay where they are. That is no "
    "proof that there is none.",
}

LIMITS = (
    "Cells are predicted from others that were measured. The farther the question is from these, "
    "the less a prediction knows.",
    "The same cell is never seen twice, so which cell becomes which is an assumption, the least "
    "movement. What can be checked are populations and subgroups of them.",
    "A difference between conditions is what was done and whatever else differed between them, "
    "such as batch, time or plate. A map learns both.",
    "A map that conserves mass moves cells in the place of those that die, divide or arrive.",
    "A new patient, batch or cell type answers to another degree than those of training. A few of "
    "its treated cells help more than any method does.",
    "Nothing is known of doses and times beyond those of training.",
)


def sections_of(make_subject: Callable[[], Subject]) -> list[Section]:
    """All sections of the report of a map; warnings that are given meanwhile have one, too.

    Parameters
    ----------
    make_subject
        Takes the cells into memory, which may warn, too.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        subject = make_subject()
        sections = [
            Section("certificate", "Certificate", _certificate(subject)),
            Section("fit", "What was fitted", _fit(subject)),
            Section("cells", "Cells", _cells(subject)),
            Section("split", "Training and test cells", _split(subject)),
            Section("scores", "Scores on held-out cells", _scores(subject)),
            Section("genes", "Genes", or_sentence(partial(_genes, subject))),
            Section("figure", "Predicted cells", or_sentence(partial(_rays, subject))),
            Section("diagnostics", "Diagnostics", or_sentence(partial(_diagnostics, subject))),
            Section("history", "Training", or_sentence(partial(_history, subject))),
        ]
    said = [
        " ".join(str(each.message).split())
        for each in caught
        if issubclass(each.category, UserWarning)
    ]
    sections.append(Section("warnings", "Warnings", _warnings(subject, said)))
    sections.append(Section("limits", "What no map can say", [Items(LIMITS)]))
    return [*sections, versions()]


def _certificate(subject: Subject) -> list[Block]:
    figures = subject.result.get(Key.result.diagnostics, {})
    if Key.diagnostics.certificate not in figures:
        return [Text("The map kept no certificate; fit it again with this version of rayot.")]
    word = str(figures[Key.diagnostics.certificate])
    reason = str(figures.get(Key.diagnostics.reason, ""))
    blocks: list[Block] = [Verdict(word, reason, MEANINGS.get(word, ""))]
    if "unseen_certificate" in figures:
        word = str(figures["unseen_certificate"])
        meaning = "This is of groups of cells (patients, batches, cell types) that no fit has seen."
        blocks.append(Verdict(word, str(figures["unseen_reason"]), meaning))
    return blocks


def _fit(subject: Subject) -> list[Block]:
    fitted, result = subject.fitted, subject.result
    expression = "X" if fitted.layer is None else f"layers[{fitted.layer!r}]"
    space = "the expression itself" if fitted.use_rep is None else f"obsm[{fitted.use_rep!r}]"
    params: Mapping[str, Any] = result.get(Key.result.params, {})
    facts = {
        "From": f"{fitted.source} (obs[{fitted.groupby!r}])",
        "To": fitted.target if fitted.dose is None else f"{fitted.target}, dose {fitted.dose:g}",
        "Method": str(result.get(Key.result.method, "not kept; the map is called " + fitted.key)),
        "Preset": str(params.get("preset", "not kept")),
        "Settings that differ": _changes(result, params),
        "Members": shown(params.get("n_seeds", 1)),
        "Seed": shown(result.get(Key.result.seed)),
        "Expression": f"{expression}, {subject.adata.n_vars:,} genes",
        "Scale": fitted.scale or "not known",
        "Representation": space,
        "Fitted by": f"rayot {result.get(Key.result.version, 'of a version that was not kept')}",
    }
    strata = result.get(Key.result.strata)
    if strata is not None:
        names = shown(strata["names"])
        facts["Strata"] = f"{names} ({strata['mode']}: cells were matched within these)"
    return [Facts(facts)]


def _changes(result: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    """Settings that are not the preset's, and training options that are not the default."""
    method, preset = result.get(Key.result.method), params.get("preset")
    kind = stack_of(str(method)).settings_type if method in METHODS else None
    if kind is None or preset not in kind.presets:
        return "not known, as the map did not keep its method"
    usual = kind.from_preset(preset, int(params.get("n_seeds", 1))).to_json()
    usual |= {field.name: field.default for field in fields(TrainingOptions)}
    differ = [
        f"{name} = {shown(value)} (usually {shown(usual[name])})"
        for name, value in sorted(params.items())
        if name in usual and shown(usual[name]) != shown(value)
    ]
    return "; ".join(differ) or "none"


def _cells(subject: Subject) -> list[Block]:
    adata, fitted = subject.adata, subject.fitted
    is_source, is_target = fitted.is_source(adata), fitted.is_target(adata)
    groups = {
        f"{fitted.source} (source)": is_source,
        f"{fitted.target} (target)": is_target,
    }
    if not (is_source | is_target).all():
        groups["all others"] = ~(is_source | is_target)
    sides = {"cells": np.ones(adata.n_obs, dtype=bool)}
    if subject.has_split:
        assert fitted.split_key is not None
        labels = checks.labels(adata, fitted.split_key)
        sides = {name: labels == name for name in (Key.obs.train, Key.obs.test)} | sides
    table = pd.DataFrame(
        {
            side: [int((group & of_side).sum()) for group in groups.values()]
            for side, of_side in sides.items()
        },
        index=pd.Index(list(groups), name="condition"),
    )
    blocks: list[Block] = [Table.of(table, "Cells by condition")]
    trained = fitted.split.is_trained_on(adata)
    if trained is not None:
        blocks.append(Text(f"The map was fitted on {trained.sum():,} of these cells."))
    return blocks


def _split(subject: Subject) -> list[Block]:
    split, adata = subject.fitted.split, subject.adata
    if not subject.has_split or split.key is None:
        return [
            Text(
                "No column of train and test cells is known, so the map may have been fitted on "
                "all cells. The fit set a part of them apart for its certificate."
            )
        ]
    present = hash_of(adata, split.key)
    same = "as at the fit" if present == split.hash else f"at the fit it was {split.hash}"
    facts = {
        "Column": f"obs[{split.key!r}]",
        "Hash": f"{present} ({'not kept at the fit' if split.hash is None else same})",
    }
    if split.holdout:
        facts["Held out"] = f"whole groups of {', '.join(split.holdout)}"
    if split.control is not None:
        facts["Control in training"] = f"{split.control}, of what is held out, too"
    return [Facts(facts), *or_sentence(partial(_leaks, subject, split.key))]


def _leaks(subject: Subject, split_key: str) -> list[Block]:
    with warnings.catch_warnings():
        # The table says the same.
        warnings.simplefilter("ignore", UserWarning)
        found = pp.check_split(subject.adata, split_key, layer=subject.fitted.layer)
    caption = (
        "Whether test cells took part in what was done before the fit. Clean: they did not; leak: "
        "they did; unknown: it cannot be told; told: a fact that may be as it is wanted"
    )
    return [Table.of(found, caption, numbers=False)]


def _scores(subject: Subject) -> list[Block]:
    if not subject.has_split:
        return [
            Text(
                "Scores are left out: without a column of train and test cells the map would be "
                "scored on cells that it was fitted on. Split the cells before the fit, by "
                "rayot.pp.split."
            )
        ]
    return or_sentence(partial(_scored, subject))


def _scored(subject: Subject) -> list[Block]:
    return evaluation(subject.table(tl.evaluate))


def _genes(subject: Subject) -> list[Block]:
    table = subject.table(tl.log_fold_change)
    known = table.dropna(subset=[Key.table.observed])
    largest = known[Key.table.observed].abs().sort_values(ascending=False, kind="stable").index
    columns = [Key.table.observed, Key.table.predicted, Key.table.mean_shift]
    top = known.loc[largest[:N_GENES], columns].rename_axis(index="gene")
    measure = str(table[Key.table.measure].iloc[0])
    axes = new_axes(1, (4.8, 4.6))
    pl.log_fold_change(table, ax=axes[0], show=False)
    fits = known[[Key.table.observed, Key.table.predicted]].corr().iloc[0, 1]
    alt = (
        f"Predicted against observed {measure} of {len(known)} genes, with the diagonal; their "
        f"correlation is {shown(float(fits))}."
    )
    caption = "Each point is a gene; on the diagonal the prediction is right."
    cells = "held-out cells" if subject.has_split else "cells that the map was fitted on"
    return [
        Table.of(top, f"The {len(top)} genes that change most, {measure} in {cells}"),
        Pictures(images_of(axes, [alt]), caption),
    ]


def _rays(subject: Subject) -> list[Block]:
    axes = new_axes(1, (7.2, 5.2))
    fitted = subject.fitted
    pl.transport_rays(subject.drawn, fitted.key, ax=axes[0], show=False)
    n_source, n_target = (
        int(member.sum())
        for member in (fitted.is_source(subject.drawn), fitted.is_target(subject.drawn))
    )
    labels = axes[0].get_xlabel(), axes[0].get_ylabel()
    alt = (
        f"{n_source} cells of {fitted.source}, {n_target} cells of {fitted.target} and where the "
        f"map sends the former, as points over {labels[0]} and {labels[1]}, with lines from 200 "
        "source cells to their predictions."
    )
    caption = (
        f"{n_source:,} source and {n_target:,} target cells. In an embedding predicted cells stand "
        "among the observed cells nearest to them in the space of the map, so that distances are "
        "no measure of how good it is."
    )
    return [Pictures(images_of(axes, [alt]), caption), *or_sentence(partial(_potential, subject))]


def _potential(subject: Subject) -> list[Block]:
    """The potential on a grid where the map is planar, or of each cell."""
    drawn, key = subject.drawn, subject.fitted.key
    column = Key.obs.potential(key)
    if column not in drawn.obs:
        return [Text("The method has no potential.")]
    axes = new_axes(1, (7.2, 4.8))
    if Key.result.potential_grid in subject.result:
        pl.potential(drawn, key, ax=axes[0], show=False)
        what = "Contours of the potential f over the two features that the map works in"
    else:
        pl.transport_rays(drawn, key, color=column, n_cells=0, ax=axes[0], show=False)
        what = "The cells of the figure above, coloured by the potential f"
    values = drawn.obs[column].dropna()
    alt = f"{what}. Source cells have values from {shown(values.min())} to {shown(values.max())}."
    caption = (
        f"{what}. Cells move against its gradient, downhill; a predicted cell has the value of the "
        "cell that it came from."
    )
    return [Pictures(images_of(axes, [alt]), caption)]


def _diagnostics(subject: Subject) -> list[Block]:
    figures = subject.result.get(Key.result.diagnostics, {})
    with_types = np.isfinite(figures.get(Key.diagnostics.changed_type, np.nan))
    axes = new_axes(4 if with_types else 3, (3.6, 2.2))
    pl.diagnostics(subject.drawn, subject.fitted.key, ax=axes, show=False)
    names = Key.diagnostics
    ways = {
        "energy distance to held-out target cells": ("energy_distance", TO_TARGET),
        "exact Wasserstein-1 distance of samples": ("wasserstein", TO_TARGET),
    }
    alts = [
        f"{what[0].upper()}{what[1:]}: "
        + ", ".join(f"{label} {shown(figures[f'{part}_{name}'])}" for part, label in parts)
        + "."
        for what, (name, parts) in ways.items()
    ]
    bound = figures[names.held_out_dual]
    alts.append(
        f"Length of the way: mean step {shown(figures[names.mean_step])}"
        + (f", lower bound {shown(bound)}." if np.isfinite(bound) else ".")
    )
    if with_types:
        alts.append(
            f"Share among another cell type: predicted {shown(figures[names.changed_type])}, other "
            f"target cells {shown(figures[names.floor_changed_type])}."
        )
    caption = (
        f"Figures of {shown(figures[names.n_cells])} cells that the fit set apart. The dashed line "
        "is what cells of one population differ by; nothing can be seen below it."
    )
    return [Pictures(images_of(axes, alts), caption)]


def _history(subject: Subject) -> list[Block]:
    phases = subject.result.get(Key.result.history)
    if not phases:
        return [Text("No history was kept: the method is not trained step by step.")]
    axes = new_axes(len(phases), (3.8, 3.0))
    pl.history(subject.drawn, subject.fitted.key, ax=axes, show=False)
    alts = [
        f"Curves of {phase}: " + "; ".join(_ends(curves)) + "." for phase, curves in phases.items()
    ]
    caption = "Thin lines are training batches, strong lines the validation share."
    return [Pictures(images_of(axes, alts), caption)]


def _ends(curves: Mapping[str, Any]) -> Iterator[str]:
    """First and last value of each curve."""
    for name, values in curves.items():
        known = np.asarray(values, dtype=float)
        known = known[np.isfinite(known)]
        if name != Key.history.step and len(known):
            label = name.replace("_", " ")
            yield f"{label} from {shown(float(known[0]))} to {shown(float(known[-1]))}"


def _warnings(subject: Subject, said: Sequence[str]) -> list[Block]:
    """What the fit wrote of cells it has not seen, then what was said while this was made."""
    kept = []
    unseen = subject.result.get(Key.result.unseen_strata)
    if unseen is not None and len(unseen.get("names", ())):
        words = zip(unseen["names"], unseen["certificate"], unseen["reason"], strict=True)
        kept += [
            f"The fit has not seen {str(name)!r} ({str(word)!r}). {why}"
            for name, word, why in words
        ]
    clipped = float(subject.result.get(Key.result.share_clipped, 0) or 0)
    if clipped > 0:
        kept.append(f"{clipped:.1%} of the predicted values were negative and were set to zero.")
    told = list(dict.fromkeys([*kept, *said]))
    return [Items(told) if told else Text("None were given.")]
