"""What a fitted map left in an AnnData, read back and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rayot.data import checks
from rayot.data.entries import entry_key
from rayot.data.keys import Key
from rayot.data.screened import is_screen
from rayot.data.split import Split, split_of

if TYPE_CHECKING:
    from anndata import AnnData

REQUIRED = (Key.result.source, Key.result.target, Key.result.groupby)
WRITER = "rayot.tl.w1ot, or another method of rayot.tl,"


@dataclass(frozen=True)
class WrittenMap:
    """Names under which one fitted map lives in an AnnData.

    Attributes
    ----------
    key
        Name of the map: ``key_added`` of the function that fitted it.
    source, target
        Categories of ``adata.obs[groupby]`` between which it maps.
    groupby
        Column of ``adata.obs`` with the conditions.
    use_rep
        Entry of ``adata.obsm`` it works on; None for expression itself.
    layer
        Layer of ``adata.layers`` with the expression; None for ``adata.X``.
    split
        Its training and test cells.
    scale
        Name of the scale of the expression, see ``rayot.data.scale``; None where the map did not
        keep it.
    dose_key, dose
        Column of ``adata.obs`` with doses, and the one that is predicted; None where doses do not
        enter.
    """

    key: str
    source: str
    target: str
    groupby: str
    use_rep: str | None = None
    layer: str | None = None
    split: Split = field(default_factory=Split)
    scale: str | None = None
    dose_key: str | None = None
    dose: float | None = None

    @classmethod
    def read(cls, adata: AnnData, key: str | None) -> WrittenMap:
        """Read ``adata.uns[key]``, or the only fitted map there is where ``key`` is None.

        Raises
        ------
        KeyError
            If no map of this name, or none at all, was fitted.
        ValueError
            If there are several and none is named.

        Examples
        --------
        >>> import anndata as ad, numpy as np
        >>> from rayot.data.fitted import WrittenMap
        >>> adata = ad.AnnData(np.eye(2))
        >>> adata.obs["perturbation"] = ["control", "drug"]
        >>> adata.uns["w1ot"] = dict(source="control", target="drug", groupby="perturbation")
        >>> WrittenMap.read(adata, None).is_target(adata).tolist()
        [False, True]
        """
        if key is not None and is_screen(adata.uns.get(key)):
            raise KeyError(
                f"adata.uns[{key!r}] is the table of a screen, whose maps are in the screen "
                "itself; pass that, or write one by rayot.tl.transport(adata, screen, name)."
            )
        key = entry_key(adata, key, is_result, "fitted map", WRITER)
        result = adata.uns[Key.uns.result(key)]
        fitted_map = cls(
            key=key,
            source=str(result[Key.result.source]),
            target=str(result[Key.result.target]),
            groupby=str(result[Key.result.groupby]),
            use_rep=result.get(Key.result.use_rep),
            layer=result.get(Key.result.layer),
            split=_kept_split(adata, result),
            scale=result.get(Key.result.scale),
            dose_key=result.get(Key.result.dose_key),
            dose=result.get(Key.result.dose),
        )
        return fitted_map

    @property
    def split_key(self) -> str | None:
        """Column of ``adata.obs`` with train and test; None if it was fitted on all cells."""
        return self.split.key

    def check(self, adata: AnnData, *, target: bool = True) -> None:
        """Raise a KeyError or ValueError if ``adata`` lacks a condition.

        Parameters
        ----------
        adata
            Cells.
        target
            Whether cells of the target are needed beside those of the source.
        """
        if self.groupby not in adata.obs.columns:
            raise KeyError(
                f"The map {self.key!r} was fitted on adata.obs[{self.groupby!r}], which is gone; "
                f"columns found: {', '.join(map(repr, adata.obs.columns))}."
            )
        for condition in (self.source, self.target) if target else (self.source,):
            if not checks.members(checks.column(adata, self.groupby), condition).any():
                raise ValueError(
                    f"No cell of adata has {condition!r} in obs[{self.groupby!r}], one of "
                    f"the two conditions of the map {self.key!r}."
                )

    def is_source(self, adata: AnnData) -> NDArray[np.bool_]:
        """Which cells are of the source condition, shape (n_obs,)."""
        return checks.members(checks.column(adata, self.groupby), self.source)

    def is_target(self, adata: AnnData) -> NDArray[np.bool_]:
        """Which cells are of the target condition, shape (n_obs,).

        Of those with the predicted dose, where there are any.
        """
        member = self.is_target_at_any_dose(adata)
        return member & self._at_dose(adata) if self.has_dose(adata) else member

    def is_target_at_any_dose(self, adata: AnnData) -> NDArray[np.bool_]:
        """Which cells are of the target condition, whatever their dose, shape (n_obs,)."""
        return checks.members(checks.column(adata, self.groupby), self.target)

    def has_dose(self, adata: AnnData) -> bool:
        """Whether target cells have the predicted dose; True where doses do not enter."""
        return bool((self.is_target_at_any_dose(adata) & self._at_dose(adata)).any())

    def _at_dose(self, adata: AnnData) -> NDArray[np.bool_]:
        if self.dose_key is None or self.dose is None:
            return np.ones(adata.n_obs, dtype=bool)
        if self.dose_key not in adata.obs.columns:
            return np.zeros(adata.n_obs, dtype=bool)
        return np.isclose(checks.numbers(adata, self.dose_key), float(self.dose))

    def require_predicted_expression(self, adata: AnnData) -> str:
        """Name of the layer with predicted expression.

        Raises
        ------
        KeyError
            If the map was fitted without writing it.
        """
        layer = Key.layers.predicted(self.key)
        if layer not in adata.layers:
            raise KeyError(
                f"adata.layers has no predicted expression {layer!r} of the map {self.key!r} "
                f"(layers found: {', '.join(map(repr, filter(None, adata.layers))) or 'none'}); "
                "fit it with write_genes=True."
            )
        return layer


def _kept_split(adata: AnnData, result: Mapping[str, Any]) -> Split:
    """What a map kept of its split; of one that kept no more than the column, what ``uns`` says."""
    groupby, key = str(result[Key.result.groupby]), result.get(Key.result.split_key)
    kept = result.get(Key.result.split)
    if not isinstance(kept, Mapping):
        has_columns = groupby in adata.obs.columns and key in adata.obs.columns
        return split_of(adata, key, groupby) if has_columns else Split(key)
    control, cells = kept.get(Key.split.control), kept.get(Key.split.training_cells)
    hashed = kept.get(Key.split.hash)
    return Split(
        key,
        tuple(map(str, kept[Key.split.holdout])),
        None if control is None else str(control),
        None if hashed is None else str(hashed),
        None if cells is None else np.asarray(cells, dtype=np.uint64),
    )


def is_result(value: Any) -> bool:  # noqa: ANN401
    """Whether an entry of ``uns`` was written by a fitted map, which names conditions by texts."""
    return isinstance(value, Mapping) and all(isinstance(value.get(n), str) for n in REQUIRED)


def is_translation(value: Any) -> bool:  # noqa: ANN401
    """Whether an entry of ``uns`` was written by a translation between modalities."""
    return isinstance(value, Mapping) and Key.translation.source in value
