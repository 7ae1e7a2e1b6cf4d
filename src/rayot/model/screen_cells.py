"""Training cells of a screen: which they are, and how they become chunks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from anndata import AnnData

from rayot.data import checks
from rayot.data.keys import Key
from rayot.data.matrix import chunk_rows, row_chunks
from rayot.data.spec import DataSpec
from rayot.data.strata import training_strata, weights_of
from rayot.model.chunk import Chunk
from rayot.model.components import Components, in_components
from rayot.model.encoding import Block, Encode, as_one_block, encoded
from rayot.model.missing_genes import MeanExpression
from rayot.model.problems import Problems
from rayot.representation import Representation
from rayot.solvers import Settings
from rayot.train import TrainingOptions

logger = logging.getLogger(__name__)

SMALL = ("skip", "raise")


class ScreenCells:
    """Training cells of one control and many perturbations.

    Parameters
    ----------
    adata, data
        Where they are; nothing is read of the expression yet.
    control
        Category of ``obs[data.groupby]`` that cells start from.
    perturbations
        Categories whose response is learned; None takes all others.
    method
        Name of the method that is fitted.
    min_cells
        Training cells that a perturbation needs.
    small_perturbations
        ``"skip"``: those with fewer are left out, with a warning. ``"raise"``: they are an error.
    small_strata
        As in :func:`rayot.tl.screen`.

    Raises
    ------
    KeyError, ValueError
        If conditions are missing, or no perturbation is left.
    """

    def __init__(
        self,
        adata: AnnData,
        data: DataSpec,
        control: str,
        perturbations: Sequence[str] | None,
        *,
        method: str,
        min_cells: int,
        small_perturbations: str,
        small_strata: str,
    ) -> None:
        if small_perturbations not in SMALL:
            raise ValueError(
                f"small_perturbations must be one of {SMALL}, found {small_perturbations!r}."
            )
        if min_cells < checks.MIN_CELLS:
            raise ValueError(f"min_cells must be at least {checks.MIN_CELLS}, found {min_cells}.")
        assert data.groupby is not None
        self.adata, self.data, self.method = adata, data, method
        self.control_name = str(control)
        self.control_rows = data.training_rows(adata, control)
        names = perturbations_of(adata, data.groupby, control, perturbations)
        self.groups: dict[str, dict[str, list[np.ndarray]]] = {}
        few = []
        for name in names:
            try:
                rows = data.training_rows(adata, name)
                if len(rows) < min_cells:
                    raise checks.TooFewCells(f"{name!r} has {len(rows)} training cells")
                self.groups[name] = self._strata(control, name, rows, small_strata)
            except checks.TooFewCells as error:
                if small_perturbations == "raise":
                    raise
                few.append(f"{name!r} ({error})")
        if few and not self.groups:
            raise ValueError(f"No perturbation has enough cells: {'; '.join(few)}")
        if few:
            logger.warning("Perturbations with too few cells are skipped: %s", "; ".join(few))
        self.types = self._types()

    def part(self, names: Sequence[str]) -> list[str]:
        """Those of some perturbations that have enough cells, in the order of all.

        Raises
        ------
        ValueError
            If one is no perturbation, or none is left.
        """
        assert self.data.groupby is not None
        asked = perturbations_of(self.adata, self.data.groupby, self.control_name, names)
        left = [name for name in self.groups if name in set(asked)]
        if not left:
            raise ValueError(
                f"part names {len(asked)} perturbations, of which none has enough cells to fit."
            )
        return left

    def _strata(
        self, control: str, name: str, rows: np.ndarray, small_strata: str
    ) -> dict[str, list[np.ndarray]]:
        """Rows of control and perturbation, by stratum; "" is the only one without strata."""
        both = {control: self.control_rows, name: rows}
        if self.data.strata_key is None:
            return {"": list(both.values())}
        return training_strata(self.adata, self.data.strata_key, both, small_strata)

    def _types(self) -> pd.Categorical | None:
        """Cell type of every cell of the AnnData."""
        if Key.obs.cell_type not in self.adata.obs.columns:
            return None
        types = checks.labels(self.adata, Key.obs.cell_type)
        return pd.Categorical(types, categories=sorted(set(types) - {""}))

    @property
    def type_names(self) -> list[str]:
        """Cell types, in the order of a chunk's labels."""
        return [] if self.types is None else list(self.types.categories)

    def n_cells(self, name: str) -> int:
        """Training cells of a perturbation."""
        return sum(map(len, self._treated(name)))

    @property
    def rows(self) -> np.ndarray:
        """Row numbers of all training cells."""
        treated = [rows for name in self.groups for rows in self._treated(name)]
        return np.concatenate([self.control_rows, *treated])

    def encode_control(
        self, representation: Representation, settings: Settings, seed: int
    ) -> Components | None:
        """Keep the control's cells in the space of the maps, once for all chunks.

        Where all training cells in that space are too many to hold, those of a map are coordinates
        in leading components, which are returned.
        """
        self.nonnegative = True
        self.encode: Encode = partial(encoded, representation, data=self.data)
        components = None
        if in_components(settings, len(self.rows), representation.n_features):
            assert settings.n_components is not None
            groups = [[self.control_rows], *(self._treated(name) for name in self.groups)]
            components = Components.from_sample(
                self.adata, groups, self.encode, settings.n_components, seed
            )
            self.encode = components.encoder(self.encode)
        self.control = self._encode(self.control_rows, MeanExpression(len(self.data.var_names)))
        return components

    def _treated(self, name: str) -> list[np.ndarray]:
        return [rows for _, rows in self.groups[name].values()]

    def _encode(self, rows: np.ndarray, mean: MeanExpression | None = None) -> Block:
        ascending = np.sort(rows)
        blocks = []
        for chunk in row_chunks(ascending, chunk_rows(self.adata.n_vars)):
            block, expression = self.encode(self.adata, chunk)
            blocks.append(block)
            if expression is not None:
                self.nonnegative &= bool(expression.min() >= 0)
                if mean is not None:
                    mean.look_at(expression, np.ones(len(chunk), dtype=bool))
        if mean is not None:
            self.control_mean = mean.mean()
        return as_one_block(blocks)

    def chunk(
        self,
        problems: Sequence[Problems],
        settings: Settings,
        seed: int,
        options: TrainingOptions,
    ) -> Chunk:
        """The perturbations of these problems, ready to be fitted anywhere."""
        strata = [self.groups[each.target] for each in problems]
        # In the order of the file, where conditions often lie mixed.
        treated = np.sort(
            np.concatenate([rows for of_target in strata for _, rows in of_target.values()])
        )
        groups = [
            tuple(
                (np.searchsorted(self.control_rows, control), np.searchsorted(treated, rows))
                for control, rows in of_target.values()
            )
            for of_target in strata
        ]
        sides = self.control_rows, treated
        weights = None
        if self.data.weights_key is not None:
            of_sides = [weights_of(self.adata, self.data.weights_key, rows) for rows in sides]
            weights = of_sides[0], of_sides[1]
        labels = [
            np.full(len(rows), -1) if self.types is None else self.types.codes[rows].astype(int)
            for rows in sides
        ]
        return Chunk(
            self.method,
            tuple(problems),
            self.control,
            self._encode(treated),
            tuple(groups),
            weights,
            (labels[0], labels[1]),
            len(self.type_names),
            settings,
            seed,
            options,
        )


def perturbations_of(
    adata: AnnData, groupby: str, control: str, perturbations: Sequence[str] | None
) -> list[str]:
    """Categories whose response is learned, without the control, none twice.

    Raises
    ------
    ValueError
        If one is no category, or none is left.
    """
    if isinstance(perturbations, str):
        raise ValueError(f"perturbations must be a list of names, found {perturbations!r}.")
    if perturbations is None:
        names = checks.categories(adata, groupby)
    else:
        names = list(dict.fromkeys(map(str, perturbations)))
        for name in names:
            checks.in_category(adata, groupby, name)
        if str(control) in names:
            logger.warning("%r is the control and is not transported to itself.", str(control))
    names = [name for name in names if name != str(control)]
    if not names:
        raise ValueError(
            f"adata.obs[{groupby!r}] has no perturbation beside the control {str(control)!r}."
        )
    return names
