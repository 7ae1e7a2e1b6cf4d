"""A fitted map and its cells, as a report looks at them: nothing is left in the user's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rayot import tl
from rayot.data.fitted import WrittenMap, is_result
from rayot.data.keys import Key
from rayot.data.split import hashes_of
from rayot.model.one_map import map_of, one_map

if TYPE_CHECKING:
    from anndata import AnnData

    from rayot.model import ConditionalW1OT, Screen
    from rayot.model.method import Method

N_DRAWN = 1000
"""Source cells, and target cells, that figures show at most."""


@dataclass(frozen=True)
class Subject:
    """What a report is of.

    Attributes
    ----------
    adata
        All cells.
    drawn
        A few of the cells, in memory, with the map written to them.
    fitted
        Names under which the map is in ``drawn``.
    key
        The map, as functions of :mod:`rayot.tl` take it: its name in ``adata``, or a model.
    result
        What ``uns`` says of the map.
    """

    adata: AnnData
    drawn: AnnData
    fitted: WrittenMap
    key: str | Method
    result: Mapping[str, Any]

    @property
    def has_split(self) -> bool:
        """Whether cells are known that were not in the fit."""
        split_key = self.fitted.split_key
        return split_key is not None and split_key in self.adata.obs.columns

    def table(self, verb: Callable[..., pd.DataFrame]) -> pd.DataFrame:
        """What a function of :mod:`rayot.tl` says of the map, without the copy that it keeps."""
        name = "report"
        while name in self.adata.uns:
            name += "_"
        try:
            return verb(self.adata, self.key, key_added=name)
        finally:
            # Nothing is written to a view, which would be copied for the sake of the question.
            if not self.adata.is_view:
                self.adata.uns.pop(name, None)


def check_subject(
    adata: AnnData, key: str | Method | Screen | ConditionalW1OT | None, perturbation: str | None
) -> WrittenMap:
    """The map that is meant, before anything is computed.

    Raises
    ------
    KeyError, ValueError
        If it is not there, there are several and none is named, or its conditions or genes are not
        those of the cells.
    TypeError
        If it is no map.
    """
    if adata.is_view and adata.isbacked:
        raise ValueError(
            "adata is a view of cells on disk, of which no part can be taken; pass the cells "
            "themselves, or adata.to_memory()."
        )
    if key is None or isinstance(key, str):
        if perturbation is not None:
            raise ValueError(
                f"perturbation is {perturbation!r}, and a map that was written is of one; pass the "
                "fitted screen in the place of its name."
            )
        fitted = WrittenMap.read(adata, key)
        fitted.check(adata, target=False)
        return fitted
    model = one_map(key, perturbation)
    model._check_trained("Train the model before a report is made of it.")
    if list(adata.var_names) != list(model.data.var_names):
        raise ValueError(
            f"adata has {adata.n_vars} genes and the model {len(model.data.var_names)}, others or "
            "in another order; pass adata[:, list(model.data.var_names)]."
        )
    return map_of(adata, model, target=False)


def subject_of(
    adata: AnnData,
    key: str | Method | Screen | ConditionalW1OT | None,
    perturbation: str | None,
    seed: int,
) -> Subject:
    """Take a few cells into memory, which figures show.

    Parameters
    ----------
    adata
        Cells.
    key, perturbation
        As :func:`rayot.tl.log_fold_change` takes them.
    seed
        Of the draw, which names of cells decide, and not their order.
    """
    fitted = check_subject(adata, key, perturbation)
    sides = fitted.is_source(adata), fitted.is_target(adata)
    rows = np.sort(np.concatenate([_draw(adata, side, seed) for side in sides]))
    drawn = adata[rows].to_memory()
    if key is None or isinstance(key, str):
        named: str | Method = fitted.key
    else:
        named = one_map(key, perturbation)
        name = fitted.key
        while _is_taken(drawn, name):
            name += "_"
        tl.transport(drawn, named, key_added=name)
        fitted = WrittenMap.read(drawn, name)
    return Subject(adata, drawn, fitted, named, drawn.uns[Key.uns.result(fitted.key)])


def _is_taken(adata: AnnData, name: str) -> bool:
    """Whether something has the name of the method, or of what it writes, that is no result."""
    if is_result(adata.uns.get(name)):
        return False
    columns = adata.obs.columns.intersection(list(Key.obs.of_map(name)))
    layers = name, Key.layers.spread(name)
    return (
        name in adata.uns
        or Key.obsm.predicted(name) in adata.obsm
        or len(columns) > 0
        or any(layer in adata.layers for layer in layers)
    )


def _draw(adata: AnnData, member: np.ndarray, seed: int) -> np.ndarray:
    rows = np.flatnonzero(member)
    names = adata.obs_names[rows].astype(str) + f" {seed}"
    return rows[np.argsort(hashes_of(names), kind="stable")[:N_DRAWN]]
