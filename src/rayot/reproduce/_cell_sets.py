"""Cells for Figures 3 and 4b: the paper's own, and others that stand in for them."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import rayot as rt
from rayot._arguments import refused
from rayot.data.keys import Key
from rayot.datasets._cellot import _with_perturbation
from rayot.datasets._registry import registry

if TYPE_CHECKING:
    from anndata import AnnData

DRUGS = (
    "alvespimycin_hcl",
    "belinostat",
    "dacinostat",
    "flavopiridol_hcl",
    "givinostat",
    "hesperadin",
    "jnj_26854165",
    "tak_901",
    "tanespimycin",
)
"""The nine of the published scores. The paper's text has quisinostat (JNJ-26481585) among them, its
scores have serdemetan (JNJ-26854165)."""

MOST_FEATURES_OF_4I = 100
FEATURES = "features.txt"


@dataclass(frozen=True)
class CellSet:
    """A control and treated cells.

    Attributes
    ----------
    name
        Of its loader in :mod:`rayot.datasets`.
    like
        Whose place it has in the paper: "four_i" or "sciplex3".
    perturbations
        Those that are predicted; None takes all.
    group
        Column of ``obs`` whose groups are held out.
    """

    name: str
    like: str
    perturbations: tuple[str, ...] | None = None
    group: str | None = None

    @property
    def stands_in(self) -> bool:
        """Whether the paper has other cells."""
        return self.name != self.like

    def of_interest(self, adata: AnnData) -> AnnData:
        """Control cells and those of the perturbations that are predicted.

        Raises
        ------
        ValueError
            If none of them is there.
        """
        if self.perturbations is None:
            return adata.copy()
        labels = adata.obs[Key.obs.perturbation]
        known = [name for name in self.perturbations if (labels == name).any()]
        if not known:
            raise ValueError(
                f"The cells of {self.name} have none of the perturbations "
                f"{', '.join(self.perturbations)}."
            )
        found = adata[labels.isin([Key.obs.control, *known])].copy()
        found.obs[Key.obs.perturbation] = found.obs[
            Key.obs.perturbation
        ].cat.remove_unused_categories()
        return found


SETS = {
    each.name: each
    for each in (
        CellSet("four_i", "four_i"),
        CellSet("sciplex3", "sciplex3", DRUGS, "cell_type"),
        CellSet("bodenmiller12", "four_i"),
        CellSet("kang18", "sciplex3", ("IFN-beta",), "cell_type"),
        CellSet("gbm_panobinostat", "sciplex3", ("panobinostat",), "patient"),
        CellSet("papalexi21", "sciplex3", ("IFNGR1",)),
    )
}
PAPERS = ("four_i", "sciplex3")
STAND_INS = tuple(name for name in SETS if name not in PAPERS)


def known_data(name: str, value: object) -> list[str]:
    """Names of sets, and files with the paper's.

    Raises
    ------
    ValueError
        If one is neither.
    """
    if isinstance(value, str | Path):
        value = [value]
    if not isinstance(value, Sequence) or not value:
        raise refused(name, "names of data sets or files", value)
    for each in map(str, value):
        if each in SETS:
            continue
        path = Path(each)
        if path.suffix not in (".h5ad", ".zip"):
            what = f"{', '.join(SETS)}, a .zip (CellOT's archive) or an .h5ad of it"
            raise refused(name, what, each)
        if not path.is_file():
            raise ValueError(f"{name} must be a file that exists, found {each!r}.")
    return [str(each) for each in value]


def loaded(data: Sequence[str], wanted: Sequence[str]) -> Iterator[tuple[CellSet, AnnData]]:
    """Sets one after the other, as they may be large.

    Parameters
    ----------
    data
        What :func:`known_data` returned.
    wanted
        Whose place they have to have, "four_i", "sciplex3" or both; others are not loaded.
    """
    for each in data:
        if each in SETS:
            if SETS[each].like in wanted:
                yield SETS[each], SETS[each].of_interest(getattr(rt.datasets, each)())
        elif each.endswith(".zip"):
            for name in wanted:
                yield SETS[name], SETS[name].of_interest(_of_archive(Path(each), name))
        else:
            of, adata = _of_file(Path(each))
            if of.like in wanted:
                yield of, of.of_interest(adata)


def _of_archive(path: Path, name: str) -> AnnData:
    """One of the paper's sets out of an archive, whatever it is called."""
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{str(path)!r} is no zip archive.")
    with tempfile.TemporaryDirectory() as folder:
        (known,) = registry()[name].files
        (Path(folder) / (known.published_name or known.name)).symlink_to(path.absolute())
        adata: AnnData = getattr(rt.datasets, name)(folder)
        return adata


def _of_file(path: Path) -> tuple[CellSet, AnnData]:
    """The set that a file of the archive holds, told by its features."""
    import anndata as ad

    try:
        adata = ad.read_h5ad(path)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{str(path)!r} cannot be read as .h5ad ({' '.join(str(error).split())})."
        ) from error
    listed = path.with_name(FEATURES)
    if listed.exists():
        chosen = listed.read_text(encoding="utf-8").split()
        if missing := [name for name in chosen if name not in adata.var_names]:
            raise ValueError(
                f"{str(path)!r} has no feature {missing[0]!r}, which {FEATURES} lists."
            )
        adata = adata[:, chosen].copy()
    of = SETS["four_i" if adata.n_vars <= MOST_FEATURES_OF_4I else "sciplex3"]
    return of, _with_perturbation(adata, registry()[of.name])
