"""How good a fitted map is on cells that it has not seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.sparse import issparse

from rayot import _arguments as arguments
from rayot._docs import shared
from rayot._public import public, warn
from rayot.data.files import unchanged
from rayot.data.keys import Key
from rayot.data.leaks import leaks
from rayot.data.matrix import expression_of, matrix_of
from rayot.data.modality import modality_of
from rayot.data.scale import UNKNOWN, Scale
from rayot.data.scores import EVALUATE
from rayot.metrics import METRICS, get_metrics, way
from rayot.model.one_map import predicted_by
from rayot.model.scored_cells import known_scale, read_held_out, read_maps, read_one_map
from rayot.model.scoring import DIFFERENCES, FOLD_CHANGES, TESTS, Truth
from rayot.tl._evaluate_screen import evaluate_screens

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    from rayot.data.fitted import WrittenMap
    from rayot.model import Screen
    from rayot.model.method import Method

WAYS = ("mmd", "energy_distance")
"""Metrics of whole populations, whose share of the way from identity to observed is given."""


@public(key=None, n_cells=partial(arguments.whole_number, least=2))
@shared
def evaluate(
    adata: AnnData | MuData,
    key: str | Sequence[str] | Method | Screen | Mapping[str, Screen] | None = None,
    *,
    n_top_genes: int = 50,
    n_cells: int = 1500,
    metrics: Iterable[str] | None = None,
    cell_mask: ArrayLike | None = None,
    missing_genes: Literal["error", "zero", "mean"] = "error",
    replicate: str | None = None,
    modality: str | None = None,
    key_added: str = Key.uns.evaluate,
    seed: int = 0,
) -> pd.DataFrame:
    """Score fitted maps on held-out cells, beside what doing nothing and the truth would score.

    Expression of the transported test cells of the source is compared with that of the test cells
    of the target, whatever space the map works in. Every row scores equally many cells against the
    same target cells. Without a column of train and test cells all cells are used, with a warning,
    and the target cells are halved: one half is the truth, the other the row ``observed``. A map to
    a dose is compared with target cells of that dose, or, with a warning, of all doses where no
    cell has it. Of a dose or a perturbation whose cells are all for testing, half is the truth and
    half ``observed``; genes and mean shift come from training cells of its other doses, or of all
    other perturbations. If no source cell is for testing then, those of training are transported.

    Parameters
    ----------
    adata
        Cells with the fitted maps; in memory, a view, backed or lazy. From a file the training
        cells are read once, block by block, and otherwise only what is scored.
    key
        Name of a fitted map, or of several between the same conditions with the same split. None
        takes the only one in ``adata``. Or a fitted model, which then predicts the cells that are
        scored and no others: nothing need have been written to ``adata``. Or a screen, or several
        of the same cells, ``{"w1ot": screen, "quantile map": other}``; or any mapping from
        perturbations to models, ``{"A": model.at("A"), "B": model.at("B")}``.
    n_top_genes
        Score these many genes: those with the largest absolute t statistic between source and
        target training cells. All features are scored where there are fewer than 100.
    n_cells
        Largest number of cells of each population. All are subsampled to the size of the smallest.
    metrics
        Names out of :data:`rayot.metrics.METRICS`; by default those of
        :func:`rayot.metrics.get_metrics`. Log fold changes are taken of amounts, to which
        expression is brought back by the scale that was found out at the fit; where that is not
        known the column is ``mean_difference_error`` instead, with a warning.
    cell_mask
        Which cells may be scored (one cell type, one patient), shape (n_obs,), bool. A Series is
        matched by the names of the cells. Genes and mean shift still come from all training cells.
    {missing_genes}
        A fitted model that is passed as ``key`` does so; genes that are filled in are not scored.
    replicate
        Column of ``obs`` with donors or other replicates, in which the perturbations of a screen
        are then scored one by one, each beside its own control cells.
    {modality}
    {key_of_scores}
    seed
        Seed of the subsampling.

    Returns
    -------
    One row a method: each key; ``identity``, the source cells untouched; ``mean shift``, the source
    cells plus the difference of the training means; ``observed``, training cells of the target,
    which is NaN where ``cell_mask`` leaves none. One column a metric, then ``way_mmd`` and
    ``way_energy_distance``, the share of the way from identity to observed, and ``n_cells``.
    :func:`rayot.pl.evaluate` draws what was written.

    Of screens one row for each perturbation (and ``replicate``), method and metric, with the
    columns and the rows of controls of :func:`rayot.tl.evaluate_predictions`: ``identity``,
    ``perturbed mean``, ``observed`` and ``interpolated duplicate``. Genes and means of
    perturbations come from training cells. The truth is then one half of the test cells of a
    perturbation, and ``observed`` the other. :func:`rayot.metrics.summarise`,
    :func:`rayot.metrics.rank_methods` and :func:`rayot.metrics.compare_methods` sum it up, over
    perturbations or, by ``unit=``, over replicates. It is not written to ``adata``.

    Raises
    ------
    KeyError
        If a map was not fitted, or has not written predicted expression.
    ValueError
        If there are several maps and none is named, those that are named do not compare, fewer
        than two cells of a kind are there to be scored, or ``key_added`` names something else.
        Nothing is then written.
    OSError
        If the file of the cells is moved or changed meanwhile.

    Warns
    -----
    UserWarning
        If genes, scaling or components were computed on test cells, of cells in memory that have
        principal components, the means of genes, or negative values; see
        :func:`rayot.pp.check_split`.

    See Also
    --------
    evaluate_predictions : the same of predictions of any tool, and of many perturbations.
    log_fold_change : the same gene by gene.
    rayot.metrics.describe : what each metric is.

    Examples
    --------
    >>> import anndata as ad, numpy as np, rayot as rt
    >>> adata = ad.AnnData(np.random.default_rng(0).gamma(2, size=(80, 5)))
    >>> adata.obs["perturbation"] = np.repeat(["control", "drug"], 40)
    >>> adata.obs["split"] = np.tile(["train", "test"], 40)
    >>> adata.X[40:] += 3
    >>> adata.layers["w1ot"] = adata.X + 2
    >>> adata.uns["w1ot"] = dict(
    ...     source="control", target="drug", groupby="perturbation", split_key="split"
    ... )
    >>> table = rt.tl.evaluate(adata, metrics=["l2", "mmd"])
    >>> table.index.tolist()
    ['w1ot', 'identity', 'mean shift', 'observed']
    >>> table.columns.tolist()
    ['l2', 'mmd', 'way_mmd', 'n_cells']
    >>> bool(0 < table.loc["w1ot", "way_mmd"] < table.loc["mean shift", "way_mmd"])
    True
    """
    adata = modality_of(adata, modality)
    EVALUATE.check_key(adata, key_added)
    names = [metric.name for metric in get_metrics(metrics)]
    if isinstance(key, Mapping):
        with unchanged(adata):
            return evaluate_screens(
                adata,
                _screens(key),
                metrics=None if metrics is None else names,
                n_top_genes=n_top_genes,
                n_cells=n_cells,
                cell_mask=cell_mask,
                missing_genes=missing_genes,
                replicate=replicate,
                seed=seed,
            )
    if replicate is not None:
        raise ValueError(
            f"replicate={replicate!r} is for screens; of one map pass {{target: model}}, or "
            "cell_mask for one replicate."
        )
    with unchanged(adata):
        if key is None or isinstance(key, Sequence):
            model, maps = None, read_maps(adata, key)
        else:
            _check_one(key)
            model, maps = read_one_map(adata, key)
        cells = read_held_out(
            adata,
            maps,
            n_top_genes=n_top_genes,
            n_cells=n_cells,
            cell_mask=cell_mask,
            seed=seed,
            predict=None
            if model is None
            else partial(predicted_by, model, adata, missing_genes=missing_genes),
        )
    _warn_of_leaks(adata, maps[0])
    scale = UNKNOWN
    if any(name == FOLD_CHANGES or METRICS[name].kind == TESTS for name in names):
        scale = known_scale(adata, maps[0])
        names = [_by_scale(name, scale) for name in names]
    truth = Truth(cells.truth, cells.control, scale)
    table = pd.DataFrame.from_dict(
        {
            method: truth.scores(population, names)
            if len(population)
            else dict.fromkeys(names, np.nan)
            for method, population in cells.methods().items()
        },
        orient="index",
        columns=names,
    )
    for metric in (name for name in WAYS if name in names):
        values = table[metric].to_dict()
        identity, observed = values[Key.table.identity], values[Key.table.observed]
        # Where other observed cells are no nearer than the source is, there is no way to measure.
        table[Key.table.way(metric)] = [
            way(identity, value, observed) if observed < identity else np.nan
            for value in values.values()
        ]
    table[Key.table.n_cells] = [len(population) for population in cells.methods().values()]
    table.index.name = Key.table.method
    EVALUATE.write(adata, key_added, table)
    return table


def _warn_of_leaks(adata: AnnData, fitted: WrittenMap) -> None:
    """Say where test cells took part in what was done before the fit, see `pp.check_split`.

    Cells on disk are not read for it.
    """
    matrix = matrix_of(adata, fitted.layer)
    in_memory = isinstance(matrix, np.ndarray) or issparse(matrix)
    if fitted.split_key is None or fitted.split_key not in adata.obs.columns or not in_memory:
        return
    in_components = fitted.use_rep == Key.obsm.pca and Key.varm.loadings in adata.varm
    first = expression_of(adata, fitted.layer, np.arange(min(1, adata.n_obs)))
    if not in_components and Key.var.means not in adata.var and first.min() >= 0:
        # Scaled genes are negative in some cells, and a pass over all of them takes its time.
        return
    for finding in leaks(adata, fitted.split_key, fitted.layer):
        used = finding.check != "components" or fitted.use_rep == Key.obsm.pca
        if finding.status == "leak" and used:
            warn(
                f"obs[{fitted.split_key!r}] leaks: {finding.reason} Scores are then better than "
                "they would be on cells that are new."
            )


def _check_one(model: object) -> None:
    """Raise a TypeError if a model is of many conditions, and knows no list of them."""
    from rayot.model.conditional_w1ot import ConditionalW1OT

    if isinstance(model, ConditionalW1OT):
        raise TypeError(
            "Of a conditional model score one map, model.at(perturbation), or several as a "
            "mapping, {'A': model.at('A'), 'B': model.at('B')}."
        )


def _screens(key: Mapping[str, Any]) -> dict[str, Mapping[str, Method]]:
    """Screens by their methods' names: one, several, or a mapping that is none of its own.

    Raises
    ------
    TypeError
        If it holds something else than fitted models.
    ValueError
        If it is empty.
    """
    from rayot.model.method import Method

    if not key:
        raise ValueError("key is an empty mapping; it needs at least one fitted model.")
    models = list(key.values())
    if all(isinstance(each, Method) for each in models):
        return {models[0].method: key}
    if all(isinstance(each, Mapping) for each in models):
        nested = [each for of_screen in models for each in of_screen.values()]
        if all(isinstance(each, Method) for each in nested):
            return dict(key)
    raise TypeError(
        "A mapping must lead from perturbations to fitted models, or from names to screens; found "
        f"{', '.join(sorted({type(each).__name__ for each in models}))}."
    )


def _by_scale(name: str, scale: Scale) -> str:
    return DIFFERENCES if name == FOLD_CHANGES and not scale.is_known else name
