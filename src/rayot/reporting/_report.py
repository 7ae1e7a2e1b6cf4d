"""The function ``rayot.report``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from rayot._docs import shared
from rayot._public import public
from rayot.data.keys import Key
from rayot.data.modality import modality_of
from rayot.reporting import _map, _scores
from rayot.reporting._page import check_path, write_page
from rayot.reporting._subject import check_subject, subject_of

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    from rayot.model import ConditionalW1OT, Screen
    from rayot.model.method import Method


@public(key=None)
@shared
def report(
    adata: pd.DataFrame | AnnData | MuData,
    path: str | Path,
    key: str | Method | Screen | ConditionalW1OT | None = None,
    *,
    perturbation: str | None = None,
    method: str | None = None,
    unit: str | Sequence[str] = "perturbation",
    modality: str | None = None,
    title: str | None = None,
    overwrite: bool = False,
    seed: int = 0,
) -> Path:
    """Write one HTML file about a fitted map, or about a table of scores.

    The file needs no network and no other file; it can be read on a phone, printed, and sent to a
    colleague. Of a map it says what was fitted on what, how cells were split and what
    :func:`rayot.pp.check_split` finds, the certificate, scores beside those of controls
    (:func:`rayot.tl.evaluate`), genes (:func:`rayot.tl.log_fold_change`), predicted cells,
    diagnostics, training, warnings and versions. Of a table it shows
    :func:`rayot.metrics.summarise`, :func:`rayot.metrics.compare_methods` and their figures, and
    what failed. What a map or a table lacks is named in a sentence.

    Parameters
    ----------
    adata
        Cells with the fitted map; in memory, a view, or on disk. They are not changed. Or a table
        of scores: of :func:`rayot.benchmark.run`, :func:`rayot.tl.evaluate_predictions` and
        :func:`rayot.tl.evaluate`.
    path
        File that is written; ends in ``.html``.
    key
        Name of the fitted map. None takes the only one in ``adata``. Or a fitted model, which then
        predicts the cells that are looked at; nothing need have been written.
    perturbation
        Which map of a screen or of a conditional model; None of one map.
    method
        Of a table, the method that the others are compared with; None takes the first that is no
        control.
    unit
        Of a table, column or columns whose values are taken as independent.
    {modality}
    title
        Heading; None makes one.
    overwrite
        Whether a file of that name is replaced.
    seed
        Seed of the draw of the cells that a figure shows, at most 1,000 of a condition, and of a
        UMAP that has to be fitted to these. Scores have the seed of their functions' default.

    Returns
    -------
    The path of the file.

    Raises
    ------
    KeyError
        If the map is not there, or a table lacks a column.
    ValueError
        If there are several maps and none is named, the path does not end in ``.html``, or an
        argument is for the other kind of report.
    FileExistsError, FileNotFoundError, IsADirectoryError
        If the file exists, there is no such folder, or the path is one. Nothing is then computed.

    Notes
    -----
    Warnings that are given while the report is made stand in it, and are not given again. For the
    same input the file differs in its date and in versions alone.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated(n_cells=200, n_genes=30)
    >>> rt.pp.split(adata)
    >>> model = rt.tl.mean_shift(adata, "control", "perturbed")
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = rt.report(adata, pathlib.Path(folder.name) / "report.html")
    >>> "<h1>mean_shift: control → perturbed</h1>" in path.read_text(encoding="utf-8")
    True
    >>> folder.cleanup()
    """
    file = check_path(path, overwrite)
    if isinstance(adata, pd.DataFrame):
        for name, value in (("key", key), ("perturbation", perturbation), ("modality", modality)):
            if value is not None:
                raise ValueError(f"{name} is for cells with a fitted map; this is a table.")
        if Key.table.metric not in adata and Key.table.n_cells in adata:
            sections, heading = _scores.sections_of_one(adata), "Scores on held-out cells"
        else:
            _scores.check_scores(adata, method, unit)
            sections, heading = _scores.sections_of(adata, method, unit), "Scores of methods"
    else:
        if method is not None or unit != "perturbation":
            name = "unit" if method is None else "method"
            raise ValueError(f"{name} is for a table of scores; this is an {type(adata).__name__}.")
        cells = modality_of(adata, modality)
        fitted = check_subject(cells, key, perturbation)
        heading = f"{fitted.key}: {fitted.source} → {fitted.target}"
        sections = _map.sections_of(partial(subject_of, cells, key, perturbation, seed))
    write_page(file, heading if title is None else title, sections)
    return file
