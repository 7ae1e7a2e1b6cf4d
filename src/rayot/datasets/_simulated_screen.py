"""A simulated screen: many perturbations of the same cells, some of which do nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from rayot._public import public
from rayot.data.keys import Key
from rayot.datasets._expression import (
    DISPERSION,
    DISPERSIONS,
    EFFECT_SIZE,
    EFFECT_SIZES,
    HETEROGENEITY,
    LIBRARY_SIZE,
    SHARE,
    Cells,
    CellTypes,
    Genes,
    describe,
)

RESPONDING, SHARED = 0.2, 0.5


@public(inactive=SHARE, effect_size=EFFECT_SIZES, dispersion=DISPERSIONS)
def simulated_screen(
    n_perturbations: int = 10,
    n_cells: int = 200,
    n_genes: int = 200,
    n_cell_types: int = 3,
    *,
    n_controls: int | None = None,
    inactive: float = 0.5,
    doses: Sequence[float] | None = None,
    effect_size: float = EFFECT_SIZE,
    dispersion: float = DISPERSION,
    seed: int = 0,
) -> AnnData:
    r"""Cells of a control and of many perturbations, of which a share does nothing.

    Cells are those of :func:`rayot.datasets.simulated`; each active perturbation has log
    fold changes of its own, in a fifth of the genes. At a dose c they are multiplied by
    c / (c + EC50), with an EC50 of each perturbation's own between the lowest and the highest dose.

    Parameters
    ----------
    n_perturbations
        Perturbations beside the control.
    n_cells
        Median number of cells of a perturbation; sizes are log-normal, none below 40.
    n_genes
        Number of genes.
    n_cell_types
        Number of cell types, in the same proportions everywhere.
    n_controls
        Control cells; None takes five times ``n_cells``.
    inactive
        Share of the perturbations without any effect, between 0 and 1.
    doses
        Doses that each perturbation is given at, above 0, with cells of their own; None gives it at
        one, at which log fold-changes are as they are.
    effect_size
        Root mean square of the log fold changes of a gene that responds in all types (natural
        logarithm), between 0 and 3.
    dispersion
        Overdispersion of the counts, between 0 and 10.
    seed
        Seed of the generator that is made for this call.

    Returns
    -------
    AnnData with ``X`` (float32 CSR, log1p of counts per 870 of the cell's whole library),
    ``obs["perturbation"]`` ("control", "drug_000", …), ``obs["cell_type"]``, with ``doses`` also
    ``obs["dose"]`` (0 for control cells), ``uns["log1p"]`` as
    :func:`scanpy.pp.log1p` writes it, and ``uns["active"]``, the names of the perturbations that
    do something.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated_screen(4, n_cells=50, n_genes=30)
    >>> adata.obs["perturbation"].nunique(), len(adata.uns["active"])
    (5, 2)
    """
    rng = np.random.default_rng(seed)
    types = CellTypes.of(n_cell_types)
    genes = Genes.draw(n_genes, types, rng)
    dose_values = _doses(doses)
    n_controls = 5 * n_cells if n_controls is None else n_controls
    sizes = np.maximum(40, rng.lognormal(np.log(n_cells), 0.5, n_perturbations)).astype(int)
    names = [f"drug_{number:03d}" for number in range(n_perturbations)]
    n_active = n_perturbations - round(inactive * n_perturbations)
    active = sorted(rng.permutation(names)[:n_active].tolist())

    drawn = [_draw(genes, types, n_controls, dispersion, rng)]
    labels, amounts = [Key.obs.control] * n_controls, [0.0] * n_controls
    for name, size in zip(names, sizes, strict=True):
        half = (
            None
            if dose_values is None
            else np.exp(rng.uniform(*np.log([dose_values.min(), dose_values.max()])))
        )
        answer = genes
        if name in active:
            answer = genes.with_response(types, effect_size, RESPONDING, SHARED, rng)
        for dose in [1.0] if dose_values is None else dose_values.tolist():
            share = 1.0 if half is None else dose / (dose + half)
            of_dose = replace(answer, response=answer.response * share)
            drawn.append(_draw(of_dose, types, size, dispersion, rng))
            labels += [name] * size
            amounts += [dose] * size

    cell_types = np.concatenate([cells.cell_type for cells, _ in drawn])
    obs = pd.DataFrame(
        {
            Key.obs.perturbation: pd.Categorical(labels, categories=[Key.obs.control, *names]),
            Key.obs.cell_type: pd.Categorical([f"type_{number}" for number in cell_types]),
        },
        index=[f"cell_{i}" for i in range(len(cell_types))],
    )
    if dose_values is not None:
        obs[Key.obs.dose] = np.asarray(amounts, dtype=np.float32)
    adata = AnnData(sparse.vstack([x for _, x in drawn], format="csr"), obs=obs)
    adata.var_names = [f"gene_{g}" for g in range(n_genes)]
    adata.uns[Key.uns.active] = active
    describe(adata, LIBRARY_SIZE)
    return adata


def _draw(
    genes: Genes, types: CellTypes, n_cells: int, dispersion: float, rng: np.random.Generator
) -> tuple[Cells, sparse.csr_matrix]:
    """Cells that answer as these genes do, and their expression."""
    cells = Cells.draw(n_cells, types, LIBRARY_SIZE, rng)
    strength = 1 + HETEROGENEITY * np.tanh(cells.state)
    rates = genes.rates(cells, dispersion, rng)
    counts = genes.answer(rng.poisson(rates), rates, cells, strength, rng)
    return cells, cells.log_normalised(counts, LIBRARY_SIZE)


def _doses(doses: Sequence[float] | None) -> np.ndarray | None:
    if doses is None:
        return None
    values = np.asarray(doses, dtype=np.float64).reshape(-1)
    if not values.size or not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(f"doses must be finite numbers above 0, found {doses!r}.")
    return values
