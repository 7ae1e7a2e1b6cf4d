"""Cells in their leading components, where all training cells in genes are too many to hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from anndata import AnnData
from scipy import sparse
from torch import Tensor

from rayot.data.matrix import dense
from rayot.model.encoding import DENSE_ELEMENTS, Block, Encode
from rayot.model.saved import check_array, check_names
from rayot.solvers import Combination, Settings, Stack
from rayot.train.standardise import LARGEST_SAMPLE, leading_components

SAMPLE_ELEMENTS = 2**27
"""Numbers of the sample that components are found on, at most."""


@dataclass(frozen=True)
class Components:
    """Coordinates of cells x in an orthonormal basis, (x − centre) @ basis.

    A map that moves cells along its components alone is the same map in either space.

    Attributes
    ----------
    centre
        (d,) float32.
    basis
        (d, r) float32.
    """

    centre: Tensor
    basis: Tensor

    @classmethod
    def from_sample(
        cls,
        adata: AnnData,
        groups: Sequence[Sequence[np.ndarray]],
        encode: Encode,
        n_components: int,
        seed: int,
    ) -> Components:
        """Find the basis on training cells drawn alike from every group.

        Parameters
        ----------
        adata
            Has the cells.
        groups
            Training rows of source and target of each stratum.
        encode
            Cells in the space of the map.
        n_components
            r.
        seed
            Keys the draw.
        """
        rng = np.random.default_rng([seed, n_components])
        parts = [rows for group in groups for rows in group]
        n_features = encode(adata, parts[0][:1])[0].shape[1]
        each = max(1, min(LARGEST_SAMPLE, SAMPLE_ELEMENTS // n_features) // len(parts))
        rows = [rng.choice(part, min(each, len(part)), replace=False) for part in parts]
        cells = torch.from_numpy(dense(encode(adata, np.sort(np.concatenate(rows)))[0]))
        centre = cells.mean(0)
        return cls(centre, leading_components(cells.sub_(centre), n_components)[0])

    @classmethod
    def from_saved(cls, arrays: dict[str, np.ndarray], n_components: int) -> Components:
        """What a screen saved of them.

        Raises
        ------
        ValueError
            If they do not fit together, or have another number of components.
        """
        check_names(arrays, ("centre", "basis"), "the arrays of the components")
        centre, basis = arrays["centre"], arrays["basis"]
        check_array(centre, "components/centre", (centre.size,))
        check_array(basis, "components/basis", (centre.size, n_components))
        return cls(torch.from_numpy(centre), torch.from_numpy(basis))

    def encoder(self, encode: Encode) -> Encode:
        """From cells to their coordinates, with their expression as it was."""
        basis, origin = self.basis.numpy(), (self.centre @ self.basis).numpy()

        def coordinates(adata: AnnData, rows: np.ndarray) -> tuple[np.ndarray, Block | None]:
            cells, expression = encode(adata, rows)
            product = cells @ basis
            product = product.toarray() if sparse.issparse(product) else np.asarray(product)
            return product - origin, expression

        return coordinates

    def reduced(self, transport: Stack) -> Stack:
        """A new map of the coordinates in place of ``transport``."""
        settings = self.settings(transport.settings)
        return type(transport)(self.basis.shape[1], transport.names, settings, transport.seed)

    def settings(self, settings: Settings) -> Settings:
        """Settings of the map of coordinates, by those of the map of cells."""
        return replace(settings, n_components=None, standardise=True)

    @torch.no_grad()
    def lift(
        self, fitted: Stack, transport: Stack, combination: Combination | None
    ) -> Combination | None:
        """Make ``transport`` for the cells what ``fitted`` is for coordinates.

        The combination of its strata is returned, for the cells too.
        """
        values = fitted.state_dict()
        values["centre"] = self.centre + values["centre"] @ self.basis.T
        values["basis"] = self.basis.expand(len(fitted.names), -1, -1)
        transport.restore(values)
        if combination is None:
            return None
        return replace(combination, centres=self.centre + combination.centres @ self.basis.T)


def in_components(settings: Settings, n_cells: int, n_features: int) -> bool:
    """Whether so many training cells are held as coordinates.

    It follows from the settings and the size of the data alone, not from where they lie.
    """
    wanted = settings.n_components
    return wanted is not None and wanted < n_features and n_cells * n_features > DENSE_ELEMENTS
