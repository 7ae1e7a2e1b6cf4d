"""Fit the map of a model on the cells that it holds, whole or in their leading components."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rayot.model.unseen import UnseenStrata
from rayot.solvers import Settings, Stack, choose_combination, instability
from rayot.train import TrainingOptions, train_transport
from rayot.train.left_out import combined_without_strata
from rayot.train.runner import Fit

if TYPE_CHECKING:
    from rayot.model.method import Method


def fit(model: Method, settings: Settings, options: TrainingOptions) -> tuple[Stack, Fit]:
    """Fit a new map of cells; sets ``model.combination`` and ``model.unseen``.

    Parameters
    ----------
    model
        Holds the training cells; its map stays as it is.
    settings, options
        What is fitted, and how.

    Returns
    -------
    The map, and what the fit leaves beside it.
    """
    transport = model.new_module(settings)
    fitted, components = transport, model.components
    if components is not None:
        fitted = components.reduced(transport)
    labels = None if model.labels is None else (model.labels, model.labels)
    members = model.problems.members
    # Members that nobody asked for share the folds of the first: 25 further maps would be much.
    judges = None if model.spread_of_genes else members[0].repeat(len(members)).tolist()
    result = train_transport(fitted, model.source, model.target, options, labels, judges=judges)
    if len(members) > 1:
        for problem, value in instability(fitted, members, model.source).items():
            result.diagnostics[problem]["instability"] = value
    model.combination = None
    if model.problems.separate:
        sides = model.source, model.target
        model.combination = choose_combination(fitted, members, *sides)
        if options.leave_out_strata:
            left_out = combined_without_strata(fitted, members, sides)
            result = replace(result, left_out=left_out)
    if components is not None:
        model.combination = components.lift(fitted, transport, model.combination)
    model.unseen = UnseenStrata.of(model, result, labels)
    return transport.eval(), result
