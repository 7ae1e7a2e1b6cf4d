"""How good the maps of a screen are, perturbation by perturbation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from rayot._public import warn
from rayot.data import checks
from rayot.data.keys import Key
from rayot.model.one_map import map_of, predicted_by
from rayot.model.scored_cells import mask_of
from rayot.tl._draws import shuffled
from rayot.tl._prediction_scores import Evaluation
from rayot.tl._predictions import Cells, Cellset, Rows, cellset

if TYPE_CHECKING:
    from anndata import AnnData

    from rayot.model.fitted_map import FittedMap
    from rayot.model.method import Method

    Maps = Mapping[str, Method]


@dataclass(frozen=True)
class PredictedByScreen(Cellset):
    """Control cells as each map predicts them, once they are asked for.

    There are as many rows as control cells for each perturbation, one perturbation after the other.

    Attributes
    ----------
    maps
        The fitted maps, by their perturbations.
    missing_genes
        What they do where cells lack genes.
    """

    maps: Maps
    missing_genes: Literal["error", "zero", "mean"]

    def drawn(self, rows: Rows, n: int, seed: int) -> Cells:
        """Expression of at most n of these cells, all of one perturbation."""
        sources = rows % self.adata.n_obs
        cells = shuffled(self.adata.obs_names, sources, seed, Key.table.predicted)[:n]
        model = self.maps[str(self.labels[rows[0]])]
        return predicted_by(model, self.adata, np.sort(cells), self.columns, self.missing_genes)


def evaluate_screens(
    adata: AnnData,
    screens: Mapping[str, Maps],
    *,
    metrics: list[str] | None,
    n_top_genes: int,
    n_cells: int,
    cell_mask: ArrayLike | None,
    missing_genes: Literal["error", "zero", "mean"],
    replicate: str | None,
    seed: int,
) -> pd.DataFrame:
    """One row for each perturbation, method and metric, as :func:`rayot.tl.evaluate` returns them.

    Parameters
    ----------
    adata
        Cells of all conditions.
    screens
        From names of methods to maps by their perturbations.
    metrics, n_top_genes, n_cells, cell_mask, missing_genes, replicate, seed
        As :func:`rayot.tl.evaluate` takes them.

    Raises
    ------
    ValueError
        If screens start from different conditions or were split differently, or no cell is left.
    """
    model = _first(screens)
    assert model.data.groupby is not None
    groupby, control, layer = model.data.groupby, model.source_key, model.data.layer
    source, truth, training = _rows(adata, model, mask_of(adata, cell_mask))
    genes = adata.var_names
    names = sorted({name for maps in screens.values() for name in maps})
    real = adata[truth & np.isin(checks.labels(adata, groupby), names)]
    if not real.n_obs:
        raise ValueError(
            f"No cell of {checks.listed(names)} in obs[{groupby!r}] is for testing, so the screen "
            "cannot be scored."
        )
    options = {"groupby": groupby, "strata_key": replicate, "layer": layer}
    cells = adata[source].to_memory()
    controls = cellset("control", cells, genes, **options)
    evaluation = Evaluation(
        real=cellset("real", real, genes, **options),
        control=controls,
        control_label=control,
        methods=[_predicted(name, maps, controls, missing_genes) for name, maps in screens.items()],
        training=None
        if training is None
        else cellset("training", adata[training], genes, **options),
        metrics=metrics,
        n_top_genes=n_top_genes,
        n_cells=n_cells,
        check_scale=False,
        seed=seed,
    )
    table = evaluation.table()
    if replicate is None:
        return table.drop(columns=Key.table.stratum)
    return table.rename(columns={Key.table.stratum: replicate})


def _first(screens: Mapping[str, Maps]) -> Method:
    """A map of them, after a look whether all ask the same question."""
    first: tuple[str, Method] | None = None
    for name, maps in screens.items():
        if name in Key.table.controls:
            raise ValueError(
                f"A method is called {name!r}, as a row of controls is; give it another name."
            )
        if not maps:
            raise ValueError(f"The screen {name!r} has no perturbation.")
        model = next(iter(maps.values()))
        if first is None:
            first = name, model
        for what, own, other in (
            ("source", first[1].source_key, model.source_key),
            ("groupby", first[1].data.groupby, model.data.groupby),
            ("layer", first[1].data.layer, model.data.layer),
            ("split", first[1].split.hash, model.split.hash),
        ):
            if own != other:
                raise ValueError(
                    f"The screens {first[0]!r} and {name!r} differ in {what} ({own!r} and "
                    f"{other!r}), so their scores do not compare; evaluate them one by one."
                )
    assert first is not None
    return first[1]


def _rows(
    adata: AnnData, model: FittedMap, scored: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Which control cells are transported, which cells are the truth, and which were trained on."""
    fitted = map_of(adata, model, target=False)
    is_source = fitted.is_source(adata)
    if fitted.split_key is None or fitted.split_key not in adata.obs.columns:
        warn(
            "The screen has no column of train and test cells, so it is scored on cells that it "
            "was fitted on; split the cells first to see how it generalises."
        )
        return is_source & scored, ~is_source & scored, None
    labels = checks.labels(adata, fitted.split_key)
    is_train, is_test = labels == Key.obs.train, labels == Key.obs.test
    trained_on = fitted.split.is_trained_on(adata)
    if trained_on is not None:
        is_test &= ~trained_on
    # Training has seen these source cells, but not what becomes of their group.
    known = is_source & fitted.split.is_known_control(adata, fitted.groupby, is_test)
    source = is_source & (is_test | known) & scored
    if not source.any():
        raise ValueError(
            f"No cell of {fitted.source!r} in obs[{fitted.groupby!r}] is for testing, so there is "
            "nothing to predict from."
        )
    return source, ~is_source & is_test & scored, is_train


def _predicted(
    name: str, maps: Maps, controls: Cellset, missing_genes: Literal["error", "zero", "mean"]
) -> PredictedByScreen:
    n_controls = len(controls.labels)
    return PredictedByScreen(
        name,
        controls.adata,
        controls.layer,
        controls.columns,
        np.repeat(np.array(list(maps), dtype=object), n_controls),
        np.tile(controls.strata, len(maps)),
        maps,
        missing_genes,
    )
