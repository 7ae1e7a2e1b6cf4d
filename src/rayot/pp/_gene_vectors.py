"""Vectors of perturbed genes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from rayot._arguments import refused
from rayot._combinations import parts_of
from rayot._docs import shared
from rayot._public import public
from rayot.data import checks
from rayot.data.condition_columns import checked_vectors
from rayot.data.keys import Key
from rayot.data.matrix import chunk_rows, dense, row_chunks
from rayot.data.modality import modality_of
from rayot.data.spec import DataSpec
from rayot.pp._vectors import check_key, perturbations, table_of, write

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


WAYS = " Keep perturbed genes where genes are selected, or give a DataFrame as source."
"""What to do where genes are not measured."""


@public()
@shared
def gene_vectors(
    adata: AnnData | MuData,
    source: str | pd.DataFrame = "coexpression",
    *,
    groupby: str = Key.obs.perturbation,
    control: str = Key.obs.control,
    n_components: int = 20,
    layer: str | None = None,
    modality: str | None = None,
    split_key: str | None = Key.obs.split,
    seed: int = 0,
    key_added: str = Key.uns.gene_vectors,
    allow_counts: bool = False,
) -> None:
    """Describe genes that are knocked out or activated, so that unseen ones can be predicted.

    Perturbations are named as their genes, combinations as ``"A+B"``.

    Parameters
    ----------
    {adata}
    source
        ``"coexpression"``: genes that go together in untreated cells are near each other. A vector
        has the gene's loadings on the principal components of the control's training cells, times
        the standard deviations of the components; with all components, products of vectors are
        covariances of genes. Any gene that is measured can be described, also one that was not
        perturbed in training.

        ``"response"``: perturbations that do the same are near each other. A vector has the
        principal components of the mean response, treated minus control training cells. They are
        not centred, so zero is no response and vectors of parts add up as responses would. A
        response of an unseen perturbation cannot exist: this source describes the parts of unseen
        combinations, and perturbations at unseen doses or in unseen covariates, alone.

        A DataFrame: vectors from elsewhere, one row for each gene, such as embeddings of a language
        model. It may have genes that were not perturbed. The arguments of the other sources then
        have no effect.
    {groupby}
    control
        Category of ``groupby`` with the untreated cells. It gets no row.
    n_components
        Length of a vector.
    {layer}
    {modality}
    split_key
        Column of ``obs`` with "train" and "test", as :func:`rayot.pp.split` writes it; only
        training cells are looked at. None, or no column of the default name, takes all cells.
    {seed}
    {key_added}
    {allow_counts}

    Returns
    -------
    None. Writes ``uns[key_added]``, a DataFrame (genes, n_components) float32 in alphabetical
    order, for ``embedding_key`` of :func:`rayot.tl.conditional_w1ot`, :func:`rayot.tl.nearest` and
    :func:`rayot.tl.ridge`. Combinations get no row, except of a DataFrame that has one: their parts
    describe them. Earlier vectors of this name are replaced.

    Raises
    ------
    KeyError
        If a layer or column is missing.
    ValueError
        If perturbations have no vector, which are listed: their genes are not measured or do not
        vary (``"coexpression"``), they have no training cells of their own (``"response"``), or no
        row. If a vector is NaN, infinite or zeros, or all are equal, a gene has two rows, values
        are raw counts or NaN, there are fewer cells, genes or perturbations than components need,
        or ``key_added`` is the name of something else.

    References
    ----------
    Ahlmann-Eltze C, Huber W, Anders S. Nat Methods 22 (2025), whose linear model takes vectors of
    genes from principal components or from elsewhere.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated_screen(2, n_cells=60, n_genes=30)
    >>> genes = ["control", "gene_0", "gene_1"]
    >>> adata.obs["perturbation"] = adata.obs["perturbation"].cat.rename_categories(genes)
    >>> rt.pp.gene_vectors(adata, n_components=5)
    >>> adata.uns["gene_vectors"].shape
    (2, 5)
    """
    cells, control = modality_of(adata, modality), str(control)
    check_key(cells, key_added)
    if isinstance(source, pd.DataFrame):
        table = _given(cells, source, groupby, control)
    elif isinstance(source, str) and source in ("coexpression", "response"):
        data = DataSpec.from_anndata(
            cells, groupby=groupby, layer=layer, split_key=split_key, allow_counts=allow_counts
        )
        if source == "coexpression":
            names, values = _coexpression(cells, data, control, n_components, seed)
        else:
            names, values = _response(cells, data, control, n_components)
        table = table_of(values, names, [f"component_{k + 1}" for k in range(n_components)])
        checked_vectors(table, f"source={source!r}")
    else:
        raise refused("source", "'coexpression', 'response' or a DataFrame", source)
    write(cells, key_added, table)


def _given(adata: AnnData, source: pd.DataFrame, groupby: str, control: str) -> pd.DataFrame:
    """Vectors from elsewhere, checked.

    Raises
    ------
    KeyError, ValueError
        As :func:`gene_vectors`.
    """
    columns = [str(name) for name in source.columns]
    checks.unique_names([Key.vectors.condition, *columns], "source", "column")
    vectors = checked_vectors(source, "source", control)
    names = perturbations(adata, groupby, control, vectors)
    if missing := [name for name in names if name not in vectors]:
        raise ValueError(
            f"source has no row of {len(missing)} of the {len(names)} perturbations: "
            f"{checks.listed(missing)}; add theirs, or leave these cells out."
        )
    kept = sorted(vectors.keys() - {control})
    return table_of(np.stack([vectors[name] for name in kept]), kept, columns)


def _coexpression(
    adata: AnnData, data: DataSpec, control: str, n_components: int, seed: int
) -> tuple[list[str], np.ndarray]:
    """Perturbed genes, and their loadings (n, n_components) in untreated cells.

    Raises
    ------
    KeyError, ValueError
        As :func:`gene_vectors`.
    """
    from sklearn.decomposition import PCA

    assert data.groupby is not None
    genes = perturbations(adata, data.groupby, control, set(data.var_names))
    positions = _positions(genes, pd.Index(data.var_names))
    rows = data.some_training_rows(adata, control)
    if n_components >= min(len(rows), adata.n_vars):
        raise ValueError(
            f"n_components={n_components} needs more genes, and more training cells of "
            f"{control!r}, than that, found {adata.n_vars} genes and {len(rows)} cells."
        )
    data.check_expression(adata, rows)
    expression = data.expression(adata, rows)
    of_genes = expression[:, positions]
    constant = dense(of_genes.max(0)).ravel() == dense(of_genes.min(0)).ravel()
    if constant.any():
        names = [gene for gene, is_constant in zip(genes, constant, strict=True) if is_constant]
        raise ValueError(
            f"{len(names)} of the {len(genes)} perturbed genes have the same value in all training "
            f"cells of {control!r}, so nothing goes together with them: {checks.listed(names)}; "
            "leave these cells out, or give a DataFrame as source."
        )
    found = PCA(n_components, svd_solver="arpack", random_state=seed).fit(expression)
    return genes, found.components_[:, positions].T * np.sqrt(found.explained_variance_)


def _response(
    adata: AnnData, data: DataSpec, control: str, n_components: int
) -> tuple[list[str], np.ndarray]:
    """Single perturbations, and the components (n, n_components) of their mean responses.

    Raises
    ------
    KeyError, ValueError
        As :func:`gene_vectors`.
    """
    from sklearn.utils.extmath import svd_flip

    assert data.groupby is not None
    names = perturbations(adata, data.groupby, control)
    if n_components > min(len(names), adata.n_vars):
        raise ValueError(
            f"n_components={n_components} needs as many perturbations and genes, found "
            f"{len(names)} perturbations and {adata.n_vars} genes."
        )
    means = _means(adata, data, [control, *names])
    left, values, right = np.linalg.svd(means[1:] - means[0], full_matrices=False)
    # Signs of components that are the same on every machine.
    left, _ = svd_flip(left, right, u_based_decision=False)
    return names, (left * values)[:, :n_components]


def _means(adata: AnnData, data: DataSpec, names: list[str]) -> np.ndarray:
    """Mean expression (n, genes) of the training cells of the control, named first, and of others.

    Raises
    ------
    ValueError
        If some have no training cells, or values are NaN or raw counts.
    """
    assert data.groupby is not None
    control = names[0]
    labels = pd.Series(checks.labels(adata, data.groupby))
    # "A+control" is A.
    parts = {label: parts_of(label, (), control) for label in labels.unique()}
    single = {label: each[0] for label, each in parts.items() if len(each) == 1}
    codes = pd.Index(names).get_indexer(pd.Index(labels.map(single)))
    if data.split_key is not None:
        codes[checks.labels(adata, data.split_key) != Key.obs.train] = -1
    rows = np.flatnonzero(codes >= 0)
    counts = np.bincount(codes[rows], minlength=len(names))
    if lacking := [name for name, count in zip(names, counts, strict=True) if not count]:
        raise ValueError(
            f"{len(lacking)} of the {len(names)} conditions have no training cells of their own, "
            f"so their response is not known: {checks.listed(lacking)}; leave these cells out, or "
            "name another source."
        )
    data.check_expression(adata, rows)
    totals = np.zeros((len(names), adata.n_vars))
    for chunk in row_chunks(rows, chunk_rows(adata.n_vars)):
        members = sparse.csr_matrix(
            (np.ones(len(chunk)), (codes[chunk], np.arange(len(chunk)))), (len(names), len(chunk))
        )
        totals += dense(members @ data.expression(adata, chunk))
    return totals / counts[:, None]


def _positions(genes: list[str], measured: pd.Index) -> np.ndarray:
    """Positions (n,) of genes among those that are measured.

    Raises
    ------
    ValueError
        If some are not; lists them.
    """
    positions = measured.get_indexer(pd.Index(genes))
    missing = [gene for gene, position in zip(genes, positions, strict=True) if position < 0]
    if missing:
        hint = checks.naming_hint(measured, missing, "in conditions")
        raise ValueError(
            f"{len(missing)} of the {len(genes)} perturbed genes are not in adata.var_names: "
            f"{checks.listed(missing)}.{hint or WAYS}"
        )
    return positions
