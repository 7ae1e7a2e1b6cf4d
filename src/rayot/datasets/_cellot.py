"""The two data sets of the W1OT paper, from the archive that CellOT's authors publish."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np

from rayot._public import public
from rayot.data.keys import Key
from rayot.datasets._archive import open_member
from rayot.datasets._registry import Entry, registry


@public()
def sciplex3(folder: str | Path | None = None) -> ad.AnnData:
    """Three cancer cell lines under 188 drugs (sci-Plex 3, Srivatsan et al. 2020).

    The cells as processed for CellOT. They come in one archive with `four_i`, several GB, which is
    downloaded at the first call; the part that is used is unpacked beside it. An archive that is
    at hand is found under its own name, ``processed_datasets_all.zip``, and so is the one file of
    it, ``scrna-sciplex3/hvg-top1k.h5ad``.

    Parameters
    ----------
    folder
        Where the files are, or are to go. By default the folder that the environment variable
        ``RAYOT_DATA_DIR`` names, else the user's cache.

    Returns
    -------
    AnnData of cells x 1,000 highly variable genes with

    - ``X``: float32, log-normalised, sparse or dense as in the file;
    - ``obs["perturbation"]``: "control" or the drug; all columns of the file beside it, among them
      "drug", "dose" and "cell_type";
    - ``var`` and ``varm`` as in the file, which ranks the marker genes of each drug there;
    - ``uns["source"]`` and ``uns["x_description"]``.

    Raises
    ------
    OSError
        If the archive is not cached and cannot be downloaded.
    ValueError
        If the archive or the file in it is not what it should be.

    References
    ----------
    Srivatsan SR et al. Science 367:45-51 (2020); Bunne C et al. Nat Methods 20:1759-1768 (2023);
    https://doi.org/10.3929/ethz-b-000609681.

    Examples
    --------
    >>> import rayot as rt
    >>> rt.datasets.sciplex3().n_vars  # doctest: +SKIP
    1000
    """
    entry = registry()["sciplex3"]
    with open_member(entry, entry.members, folder) as path:
        return _with_perturbation(ad.read_h5ad(path), entry)


@public()
def four_i(folder: str | Path | None = None) -> ad.AnnData:
    """Melanoma cells under 37 treatments, by multiplexed imaging of proteins (4i).

    The cells as processed for CellOT, with the 48 features that its authors select: mean
    intensities and shapes, no summed intensities. They come in one archive with `sciplex3`, several
    GB, which is downloaded at the first call. An archive that is at hand is found under its own
    name, ``processed_datasets_all.zip``, and so are its files ``4i/8h.h5ad`` and
    ``4i/features.txt``.

    Parameters
    ----------
    folder
        Where the files are, or are to go. By default the folder that the environment variable
        ``RAYOT_DATA_DIR`` names, else the user's cache.

    Returns
    -------
    AnnData of cells x 48 features with

    - ``X``: dense float32;
    - ``obs["perturbation"]``: "control" or the treatment; all columns of the file beside it;
    - ``uns["source"]`` and ``uns["x_description"]``.

    Raises
    ------
    OSError
        If the archive is not cached and cannot be downloaded.
    ValueError
        If the archive or the file in it is not what it should be.

    References
    ----------
    Gut G et al. Science 361:eaar7042 (2018); Bunne C et al. Nat Methods 20:1759-1768 (2023);
    https://doi.org/10.3929/ethz-b-000609681.

    Examples
    --------
    >>> import rayot as rt
    >>> rt.datasets.four_i().n_vars  # doctest: +SKIP
    48
    """
    entry = registry()["four_i"]
    cells_member, features_member = entry.members
    with open_member(entry, [features_member], folder, beside=[cells_member]) as path:
        features = path.read_text(encoding="utf-8").split()
    with open_member(entry, [cells_member], folder, beside=[features_member]) as path:
        parsed = ad.read_h5ad(path)
    missing = [feature for feature in features if feature not in parsed.var_names]
    if missing:
        raise ValueError(
            f"{cells_member} has no feature {missing[0]!r}, which {features_member} lists "
            f"(and {len(missing) - 1} more); the archive is not the one that CellOT published."
        )
    adata = _with_perturbation(parsed[:, features].copy(), entry)
    adata.X = adata.X if isinstance(adata.X, np.ndarray) else adata.X.toarray()
    return adata


def _with_perturbation(adata: ad.AnnData, entry: Entry) -> ad.AnnData:
    labels = adata.obs.get("drug")
    if labels is None or Key.obs.control not in set(labels):
        names = sorted(adata.obs.columns) if labels is None else sorted(set(labels))[:5]
        raise ValueError(
            f"The cells of {entry.name} should name their treatment in obs['drug'], with "
            f"{Key.obs.control!r} among the values, but there is {names}."
        )
    adata.obs[Key.obs.perturbation] = labels.astype(str).astype("category")
    return entry.sign(adata)
