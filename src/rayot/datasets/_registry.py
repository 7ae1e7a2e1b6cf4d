"""What is known of every real data set, read from a table that is data and not code."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from rayot.data.keys import Key

_TABLE = files("rayot.datasets").joinpath("registry.toml")


@dataclass(frozen=True)
class DataFile:
    """One published file: where it is, what it hashes to, and its name in the cache.

    `max_bytes` is what it can have at most; more is not read. `published_name` is what a browser
    saves it as, which serves as well; `size` tells a person how large it is.
    """

    name: str
    url: str
    sha256: str | None = None
    max_bytes: int = 1_000_000_000
    published_name: str | None = None
    size: str | None = None


@dataclass(frozen=True)
class Entry:
    """One data set of the registry.

    `x_description` is a text, or one for each modality of a MuData. `shape` is (cells, features)
    of what the loader returns, or None where it was never measured; `members` are the paths that
    the loader reads inside an archive.
    """

    name: str
    files: tuple[DataFile, ...]
    citation: str
    doi: str
    repo: str
    path: str
    repo_licence: str
    note: str
    x_description: str | dict[str, str]
    shape: tuple[int, int] | None = None
    members: tuple[str, ...] = ()

    @classmethod
    def parse(cls, name: str, table: dict[str, Any]) -> Entry:
        """Build the entry from its TOML table; a misspelt field is a TypeError."""
        fields = dict(table)
        data_files = tuple(DataFile(**one) for one in fields.pop("files"))
        shape = tuple(fields.pop("shape", ())) or None
        members = tuple(fields.pop("members", ()))
        return cls(name=name, files=data_files, shape=shape, members=members, **fields)

    def source(self) -> dict[str, str]:
        """The dictionary that goes to ``uns["source"]``."""
        names = ["citation", "doi", "note", "path", "repo", "repo_licence"]
        return {name: getattr(self, name) for name in names}

    def sign(self, adata: AnnData, modality: str | None = None) -> AnnData:
        """Bring parsed cells into the form of all loaders.

        ``X`` and layers become float32, text columns become categories in sorted order, and
        ``uns`` says where the cells come from.
        """
        adata.X = adata.X.astype(np.float32)
        # From anndata 0.13 on X is among the layers, as None.
        for layer in filter(None, list(adata.layers)):
            adata.layers[layer] = adata.layers[layer].astype(np.float32)
        for name, column in adata.obs.items():
            if isinstance(column.dtype, pd.StringDtype) or column.dtype == object:
                adata.obs[name] = pd.Categorical(column, categories=sorted(set(column)))
        described = self.x_description
        if not isinstance(described, str):
            described = described[str(modality)]
        adata.uns = {
            Key.uns.source: self.source(),
            Key.uns.x_description: described,
        }
        return adata


def registry() -> dict[str, Entry]:
    """Every entry of the registry by its name, which is also the name of its loader."""
    tables = tomllib.loads(_TABLE.read_text(encoding="utf-8"))
    return {name: Entry.parse(name, table) for name, table in tables.items()}


def available() -> pd.DataFrame:
    """List the real data sets: one row each, indexed by the name of its loader.

    Returns
    -------
    DataFrame with the columns "n_obs" and "n_vars" (missing where never measured), "note",
    "citation", "doi", "repo" and "licence".

    Examples
    --------
    >>> import rayot as rt
    >>> rt.datasets.available().loc["kang18", "n_obs"]
    np.int64(1975)
    """
    entries = registry().values()
    table = pd.DataFrame(
        {
            "n_obs": [entry.shape[0] if entry.shape else None for entry in entries],
            "n_vars": [entry.shape[1] if entry.shape else None for entry in entries],
            "note": [entry.note for entry in entries],
            "citation": [entry.citation for entry in entries],
            "doi": [entry.doi for entry in entries],
            "repo": [entry.repo for entry in entries],
            "licence": [entry.repo_licence for entry in entries],
        },
        index=pd.Index([entry.name for entry in entries], name="name"),
    )
    return table.astype({"n_obs": "Int64", "n_vars": "Int64"})
