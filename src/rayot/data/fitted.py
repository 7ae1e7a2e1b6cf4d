"""What a fitted map left in an AnnData, read back and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rayot.data import checks
from rayot.data.keys import Key

if TYPE_CHECKING:
    from anndata import AnnData

REQUIRED = (Key.result.source, Key.result.target, Key.result.groupby)


@dataclass(frozen=True)
class FittedMap:
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
    split_key
        Column of ``adata.obs`` with train and test; None if it was fitted on all cells.
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
    split_key: str | None = None
    dose_key: str | None = None
    dose: float | None = None

    @classmethod
    def read(cls, adata: AnnData, key: str) -> FittedMap:
        """Read ``adata.uns[key]``.

        Raises
        ------
        KeyError
            If no map of this name was fitted, or if the column of conditions is gone.
        ValueError
            If no source or no target cell is left.

        Examples
        --------
        >>> import anndata as ad, numpy as np
        >>> from rayot.data.fitted import FittedMap
        >>> adata = ad.AnnData(np.eye(2))
        >>> adata.obs["perturbation"] = ["control", "drug"]
        >>> adata.uns["w1ot"] = dict(source="control", target="drug", groupby="perturbation")
        >>> FittedMap.read(adata, "w1ot").is_target(adata).tolist()
        [False, True]
        """
        result = adata.uns.get(Key.uns.result(key))
        if not is_result(result):
            fitted = [repr(name) for name, value in adata.uns.items() if is_result(value)]
            found = f"fitted maps found: {', '.join(fitted)}" if fitted else "no map was fitted"
            raise KeyError(f"There is no fitted map {key!r} in adata.uns; {found}.")
        fitted_map = cls(
            key=key,
            source=str(result[Key.result.source]),
            target=str(result[Key.result.target]),
            groupby=str(result[Key.result.groupby]),
            use_rep=result.get(Key.result.use_rep),
            layer=result.get(Key.result.layer),
            split_key=result.get(Key.result.split_key),
            dose_key=result.get(Key.result.dose_key),
            dose=result.get(Key.result.dose),
        )
        fitted_map.check(adata)
        return fitted_map

    def check(self, adata: AnnData) -> None:
        """Raise a KeyError or ValueError if ``adata`` has not both conditions."""
        if self.groupby not in adata.obs.columns:
            raise KeyError(
                f"The map {self.key!r} was fitted on adata.obs[{self.groupby!r}], which is gone; "
                f"columns found: {', '.join(map(repr, adata.obs.columns))}."
            )
        for condition in (self.source, self.target):
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
        found = checks.members(checks.column(adata, self.groupby), self.target)
        return found & self._at_dose(adata) if self.has_dose(adata) else found

    def has_dose(self, adata: AnnData) -> bool:
        """Whether target cells have the predicted dose; True where doses do not enter."""
        found = checks.members(checks.column(adata, self.groupby), self.target)
        return bool((found & self._at_dose(adata)).any())

    def _at_dose(self, adata: AnnData) -> NDArray[np.bool_]:
        if self.dose_key is None or self.dose is None:
            return np.ones(adata.n_obs, dtype=bool)
        if self.dose_key not in adata.obs.columns:
            return np.zeros(adata.n_obs, dtype=bool)
        doses = pd.to_numeric(checks.column(adata, self.dose_key).astype(object), errors="coerce")
        return np.isclose(doses.to_numpy(dtype=np.float64), float(self.dose))

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
                f"(layers found: {', '.join(map(repr, adata.layers)) or 'none'}); "
                "fit it with write_genes=True."
            )
        return layer


def is_result(value: Any) -> bool:  # noqa: ANN401
    """Whether an entry of ``uns`` was written by a fitted map."""
    return isinstance(value, Mapping) and all(name in value for name in REQUIRED)


def is_translation(value: Any) -> bool:  # noqa: ANN401
    """Whether an entry of ``uns`` was written by a translation between modalities."""
    return isinstance(value, Mapping) and Key.translation.source in value
