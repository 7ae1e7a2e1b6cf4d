"""A fitted map: cells in, prediction out."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from mudata import MuData
from scipy import sparse
from torch import Tensor

from rayot import _arguments as arguments
from rayot._docs import shared
from rayot._public import public, warn
from rayot.data.files import check_new_file, unchanged
from rayot.data.keys import Key
from rayot.data.matrix import chunk_rows, dense, row_chunks
from rayot.data.modality import modality_of
from rayot.data.split import Split, names_kept
from rayot.data.strata import strata_of
from rayot.model.adaptation import (
    GENES,
    REPRESENTATION,
    Adaptation,
    adapted,
    adapted_strata,
    drawn_of,
    rows_to_adapt_with,
)
from rayot.model.calibration import Calibration, uniform
from rayot.model.decoding import Decoder
from rayot.model.encoding import check_cells, encoded
from rayot.model.experts import Chosen
from rayot.model.methods import verb_of
from rayot.model.missing_genes import ERROR, FilledSpec, filled
from rayot.model.moves import Moves, moves_of, of_own_stratum
from rayot.model.prediction import Prediction, predicted_obs, warn_of_treated
from rayot.model.prediction_file import write_predictions
from rayot.model.stack_model import StackModel
from rayot.model.stands_on import StandsOn
from rayot.model.times import REASON, checked_time, two_times
from rayot.solvers import Attributes, ensemble_report, worst
from rayot.solvers.report import Report
from rayot.train.threads import threads_for

ADAPTED_SHARE = 0.5
"""Share of treated cells with which a prediction is theirs rather than the map's."""

UNSEEN = ("stacked", "map")
"""How cells of strata that the fit has not seen are predicted."""

NEAR_CELLS = 4096
"""Cells of such a stratum, at most, that say which others are near."""

NEAR_DRAW = "says which strata are near"
"""Names the draw of these."""

BLOCK_ROWS = 1024
"""Cells that are predicted at once: with larger matrices memory is split by what stays of each
block, and grows; with smaller ones prediction is slower."""


class FittedMap(StackModel):
    """A map from one condition to another, which predicts.

    What is loaded, or taken from a screen, holds no cells but the few that distances are measured
    from; what was fitted also keeps those that it can be trained on again.
    """

    stands_on: StandsOn | None = None
    """What a condition stands on that was not in training; it is not saved."""

    predictive_sd: np.ndarray | None = None
    """Standard deviation (genes,) float32 with which the mean expression of each gene is predicted,
    in the order of ``data.var_names``; None where it is not known."""

    def _subject(self) -> str:
        dose = "" if self.dose is None else f" at {self.data.dose_key or 'dose'} {self.dose:g}"
        if self.data.times is not None:
            first, last = self.data.times
            dose += f" at time {self.time:g} of {first:g} to {last:g}"
        size = f"{self.representation.n_features} dimensions of"
        return (
            f"{type(self).__name__} from {self.source_key!r} to {self.target_key!r}{dose}, in "
            f"{size} {self.representation.name or 'the expression'}, seed {self.seed}"
        )

    def _state(self) -> str:
        figures = self.diagnostics
        adaptations = "".join(
            f"adapted to {stratum!r} by {of_stratum.n_cells} treated cells\n"
            for stratum, of_stratum in self.adaptations.items()
        )
        experts = ""
        if self.experts is not None:
            experts = f"new strata are predicted by experts: {self.experts}\n"
        return (
            f"{figures['certificate']}: {figures['reason']}\n{experts}{adaptations}"
            "next: predict(cells), save(folder); all figures are in diagnostics"
        )

    @property
    def method(self) -> str:
        """Name of the method's verb."""
        return verb_of(type(self))

    @property
    def split(self) -> Split:
        """Which cells the model was fitted on, and how others were set apart."""
        data = self.data
        known = [] if self.training_cells is None else [self.training_cells]
        known += [adaptation.cells for adaptation in self.adaptations.values()]
        cells = np.unique(np.concatenate(known)) if known else None
        return Split(data.split_key, data.holdout, data.holdout_control, data.split_hash, cells)

    @property
    def dose(self) -> float | None:
        """Dose that is predicted, in the units of ``data.dose_key``; None without doses."""
        return self.data.dose

    @property
    def time(self) -> float | None:
        """Time that is predicted, see :meth:`at`; None where it is that of the target."""
        return self.data.time

    @property
    def predicted_condition(self) -> str:
        """Condition that cells are predicted in: the target, or what is between, see :meth:`at`."""
        if self.time is None:
            return self.target_key
        return self.data.time_name or f"{self.target_key} at time {self.time:g}"

    @property
    def diagnostics(self) -> Report:
        """Held-out figures of the fit, see :func:`rayot.solvers.diagnostics.diagnostics`.

        Of an ensemble they are means over its members, and ``instability`` says how far the moves
        of another one would be from these, over their mean length. Of separate strata they are
        those of the worst one. :attr:`diagnostics_table` has a row of each map. Where strata were
        left out of the fit, one after the other, ``unseen_certificate``, ``unseen_reason`` and
        ``unseen_share_left`` say what it does for strata that it has not seen, means over
        ``n_strata_left_out`` strata; :attr:`unseen_strata` has each.
        """
        self._check_trained()
        report = summary_of(self.diagnostics_, self.problems.n_seeds)
        return report if self.unseen is None else self.unseen.beside(report)

    @property
    def diagnostics_table(self) -> pd.DataFrame:
        """Held-out figures of each map, one row each, named by ``stratum`` and ``member``."""
        self._check_trained()
        figures = pd.DataFrame(self.diagnostics_)
        return pd.concat([self.problems.table.drop(columns="name"), figures], axis=1)

    @property
    def unseen_strata(self) -> pd.DataFrame:
        """Figures of each stratum by a map that was fitted without it, one row each.

        They are those of :attr:`diagnostics`, and ``distance``: how far source cells of the stratum
        are from those of the others, in units of ``obs[key + "_distance"]``. It is empty where no
        stratum was left out.
        """
        self._check_trained()
        return pd.DataFrame() if self.unseen is None else self.unseen.table

    def _encode(
        self, adata: AnnData, rows: np.ndarray
    ) -> tuple[np.ndarray | sparse.csr_matrix, np.ndarray | sparse.csr_matrix | None]:
        """Cells in the space of the map, and their expression where the space has genes."""
        return encoded(self.representation, adata, rows, data=self.data)

    def _check_cells(self, adata: AnnData, rows: np.ndarray) -> None:
        """Raise a ValueError if cells cannot be encoded, before anything is computed."""
        check_cells(self.representation, adata, rows, data=self.data)

    @public()
    def transport(
        self,
        adata: AnnData,
        rows: np.ndarray,
        *,
        write_genes: bool = True,
        write_representation: bool = True,
        missing_genes: Literal["error", "zero", "mean"] = "error",
        clip: bool | str = "auto",
        unseen: str = "stacked",
    ) -> Prediction:
        """Predict cells of an AnnData, as arrays.

        Parameters
        ----------
        adata
            Cells with the genes of the model, in any order.
        rows
            (n,) row numbers of the cells to predict.
        write_genes, write_representation
            What to predict beside the numbers of each cell.
        missing_genes
            As in :meth:`predict`.
        clip
            ``"auto"``: negative predictions are set to zero if the training cells had none;
            True always, False never.
        unseen
            How cells of strata that the fit has not seen are predicted, as in :meth:`predict`.
        """
        arguments.one_of("unseen", unseen, UNSEEN)
        model = self._filling(adata, missing_genes)
        with unchanged(adata):
            parts = model._predictions(adata, rows, write_genes, write_representation, clip, unseen)
            return Prediction.joined(list(parts))

    def _filling(self, adata: AnnData, missing_genes: str) -> Self:
        """The model for cells that may lack genes, which it fills in; itself if that is an error.

        Raises
        ------
        RuntimeError, ValueError
            If it is not trained, or as :func:`rayot.model.missing_genes.filled`.
        """
        self._check_trained("Train the model before it predicts.")
        if missing_genes == ERROR:
            return self
        model = copy.copy(self)
        model.data = filled(self.data, adata, missing_genes, self.source_mean, self.representation)
        return model

    def _predictions(
        self,
        adata: AnnData,
        rows: np.ndarray,
        write_genes: bool,
        write_representation: bool,
        clip: bool | str,
        unseen: str = "stacked",
    ) -> Iterator[Prediction]:
        """Predict successive blocks of cells, each as large as memory for its matrices allows."""
        self._check_trained("Train the model before it predicts.")
        widest = max(len(self.data.var_names), self.representation.n_features)
        size = min(BLOCK_ROWS, chunk_rows(widest * len(self.problems)))
        near = self._near_strata(adata, rows) if self.adaptations or unseen == "stacked" else {}
        if unseen == "map":
            # Strata that were adapted to start from what experts predict.
            near = {name: of for name, of in near.items() if name in self.adaptations}
        for chunk in row_chunks(rows, size):
            start, moves, decoder = self.move(adata, chunk, clip, near)
            gone = moves.shortened(self.data.share)
            moved, step = self._moved(adata, chunk, start, gone, near)
            further: dict[str, Any] = {}
            if self.training_distance is not None:
                further["distance"] = self.training_distance(start)
            if gone.spread is not None:
                further["spread"] = gone.spread.numpy()
            several = len(moves.maps) > 1
            if several:
                further["step_sd"] = gone.maps.norm(dim=2).std(0).numpy()
            if write_genes and decoder is not None:
                genes, further["n_clipped"] = decoder.genes(moves.in_terms("mean"))
                further["genes"] = sparse.csr_matrix(genes) if decoder.is_sparse else genes
                if several and self.spread_of_genes:
                    # Experts without the map would look certain.
                    spread = replace(decoder, chosen=None).spread(moves)
                    further["genes_sd"] = sparse.csr_matrix(spread) if decoder.is_sparse else spread
            yield Prediction(
                representation=moved if write_representation else None,
                step=step,
                potential=None if moves.potential is None else moves.potential.numpy(),
                combined=moves.combined,
                **further,
            )

    def _moved(
        self,
        adata: AnnData,
        rows: np.ndarray,
        start: np.ndarray,
        moves: Moves,
        near: Mapping[str, np.ndarray],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cells (n, d) where they end, in the space of the map, and how far that is (n,)."""
        moved, step = start + moves.mean.numpy(), moves.mean.norm(dim=1).numpy()
        strata = self._strata(adata, rows) if near or self.adaptations else None
        if strata is not None:
            features = self.data.var_names
            if self.representation.name is not None:
                features = tuple(map(str, range(moved.shape[1])))
            names = adata.obs_names.to_numpy()[rows], np.array(features, dtype=object)
            chosen = self._chosen(strata, names[0], near)
            if chosen is not None:
                moved = chosen(REPRESENTATION, start, moved, names[1])
            moved = adapted(self.adaptations, REPRESENTATION, moved, strata, *names, self.seed)
            own = np.isin(strata, [*near, *self.adaptations])
            step[own] = np.linalg.norm(moved[own] - start[own], axis=1)
        return moved, step

    def _near_strata(self, adata: AnnData, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Shares (S,) of the strata of the fit that are near to each that it has not seen.

        They follow from the mean of cells to predict; of many a part is drawn.
        """
        strata = None if self.experts is None else self._strata(adata, rows)
        if strata is None:
            return {}
        assert self.experts is not None
        shares = {}
        for stratum in sorted(set(strata) - {"", *self.problems.strata}):
            own = rows[strata == stratum]
            draws = uniform(adata.obs_names.to_numpy()[own], np.array([NEAR_DRAW]), self.seed)
            chosen = np.sort(own[np.argsort(draws[:, 0], kind="stable")[:NEAR_CELLS]])
            total = np.zeros(self.representation.n_features)
            for chunk in row_chunks(chosen, BLOCK_ROWS):
                total += np.asarray(self._encode(adata, chunk)[0].sum(axis=0)).ravel()
            shares[stratum] = self.experts.nearness(total / len(chosen))
        return shares

    def _chosen(
        self, strata: np.ndarray | None, cells: np.ndarray, near: Mapping[str, np.ndarray]
    ) -> Chosen | None:
        """The expert of each cell of this name; None where all are predicted by the map."""
        if self.experts is None or strata is None or not near:
            return None
        return self.experts.choose(strata, cells, near, self.seed)

    @torch.no_grad()
    def move(
        self,
        adata: AnnData,
        rows: np.ndarray,
        clip: bool | str,
        near: Mapping[str, np.ndarray] = MappingProxyType({}),
    ) -> tuple[np.ndarray, Moves, Decoder | None]:
        """Cells (n, d) in the space of the map, their whole moves, and what decodes these.

        Cells of strata in ``near``, which the fit has not seen, are decoded by experts.
        """
        encoded, expression = self._encode(adata, rows)
        start = dense(encoded)
        settings = self.module.settings
        with threads_for(len(rows) * max(start.shape[1], settings.widest) * settings.widest):
            moves = self._moves(adata, rows, torch.from_numpy(start))
        if expression is None:
            return start, moves, None
        at_zero = self.data.nonnegative if clip == "auto" else bool(clip)
        cells = self.data.in_gene_order(adata)
        by_stratum = bool(self._calibrations_by_term or self.adaptations or near)
        strata = self._strata(adata, rows) if by_stratum else None
        decoder = Decoder(
            self.representation,
            self.settings.decode,
            cells,
            rows,
            self.data.var_names,
            start,
            expression,
            at_zero,
            self._calibrations_by_term,
            strata,
            None if self.training_distance is None else self.training_distance.nearness,
            self._chosen(strata, adata.obs_names.to_numpy()[rows], near),
            self.adaptations,
            self.seed,
            self.data.share,
        )
        return start, moves, decoder

    @property
    def _calibrations_by_term(self) -> tuple[Calibration, ...]:
        """Calibration of each term of a move, which is one; none where there is none."""
        return () if self.calibration is None else (self.calibration,)

    def _moves(self, adata: AnnData, rows: np.ndarray, cells: Tensor) -> Moves:
        """Moves of these cells of an AnnData, (n, d) in the space of the map."""
        strata, attributes = self._strata(adata, rows), self._attributes(adata, rows)
        return moves_of(self.module, self.problems, self.combination, cells, strata, attributes)

    def _attributes(self, adata: AnnData, rows: np.ndarray) -> Attributes | None:
        """What is known of cells to predict, (1, n), where the maps depend on it."""
        return None

    def _strata(self, adata: AnnData, rows: np.ndarray) -> np.ndarray | None:
        """Stratum of each cell, where the cells say so."""
        if self.data.strata_key is None or self.data.strata_key not in adata.obs.columns:
            return None
        return strata_of(adata, self.data.strata_key, rows)

    @torch.no_grad()
    def _member_means(
        self, adata: AnnData, rows: np.ndarray, groups: np.ndarray, clip: bool | str = "auto"
    ) -> np.ndarray:
        """Mean predicted expression of each group of cells by each member, (K, G, genes) float32.

        The spread of these means is much smaller than the mean spread of single cells, as members
        differ in their own way for each cell; it cannot be had from the latter.

        Parameters
        ----------
        adata
            Cells with the genes of the model.
        rows
            (n,) row numbers.
        groups
            (n,) int, number of each cell's group from 0; no group is empty.
        clip
            As in :meth:`predict`.
        """
        n_groups = int(groups.max()) + 1
        totals = np.zeros((self.problems.n_seeds, n_groups, len(self.data.var_names)))
        seen = 0
        near = self._near_strata(adata, rows)
        for chunk in row_chunks(rows):
            _, moves, decoder = self.move(adata, chunk, clip, near)
            assert decoder is not None
            of_chunk = groups[seen : seen + len(chunk)]
            seen += len(chunk)
            for member, total in enumerate(totals):
                np.add.at(total, of_chunk, decoder.genes(moves.in_terms("members", member))[0])
        return (totals / np.bincount(groups)[:, None]).astype(np.float32)

    def _matched_mass(self, adata: AnnData) -> np.ndarray | None:
        """Mass with which each cell is matched, (n_obs,) float32; None if all mass is.

        Of source and target cells it is 1 on average over training cells, and 0 for those that are
        left unmatched; of other cells NaN.
        """
        if not self.settings.unbalanced:
            return None
        mass = np.full(adata.n_obs, np.nan, dtype=np.float32)
        sides: tuple[tuple[str, Literal["source", "target"]], ...] = (
            (self.source_key, "source"),
            (self.target_key, "target"),
        )
        for condition, side in sides:
            rows = self.data.rows(adata, condition)
            mass[rows] = self._mass_of(adata, rows, side)
        return mass

    @torch.no_grad()
    def _mass_of(
        self, adata: AnnData, rows: np.ndarray, side: Literal["source", "target"]
    ) -> np.ndarray:
        """Mass (n,) float32 with which these cells of one side are matched."""
        parts = [np.zeros(0, dtype=np.float32)]
        for chunk in row_chunks(rows):
            cells = torch.from_numpy(dense(self._encode(adata, chunk)[0]))
            mass = self.module.mass(cells[None].expand(len(self.problems), -1, -1), side)
            parts.append(of_own_stratum(mass, self.problems, self._strata(adata, chunk)).numpy())
        return np.concatenate(parts)

    @torch.no_grad()
    def _potential_grid(self, cells: np.ndarray, n: int = 100) -> dict[str, np.ndarray] | None:
        """Potential of the first ray on a grid around 2-D cells; None where there is none.

        Parameters
        ----------
        cells
            (n, 2) float32, cells that the grid must cover.
        n
            Points along each side.

        Returns
        -------
        ``x`` and ``y`` (n,), and ``values`` (n, n) with ``values[i, j]`` at (``x[j]``, ``y[i]``).
        """
        low, high = cells.min(0), cells.max(0)
        margin = 0.1 * (high - low).max()
        x, y = (
            np.linspace(low[axis] - margin, high[axis] + margin, n, dtype=np.float32)
            for axis in (0, 1)
        )
        points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        values = self.module.potential(
            torch.from_numpy(points)[None].expand(len(self.problems), -1, -1)
        )
        if values is None:
            return None
        return {"x": x, "y": y, "values": values.mean(0).numpy().reshape(n, n)}

    @public(key=arguments.result_name)
    @shared
    def predict(
        self,
        adata: AnnData | MuData,
        *,
        modality: str | None = None,
        write_genes: bool = True,
        missing_genes: Literal["error", "zero", "mean"] = "error",
        clip: bool | str = "auto",
        unseen: str = "stacked",
        key: str | None = None,
        write: str | Path | None = None,
        overwrite: bool = False,
    ) -> AnnData:
        """Predict the response of every cell of ``adata``, seen in training or not.

        Parameters
        ----------
        {adata}
            Genes are found by name, in any order; no condition or split column is needed. Cells
            are encoded from their genes as in training, whatever ``obsm`` holds; only a
            representation without a decoder is read from there.
        {modality}
        {write_genes}
        {missing_genes}
        {clip}
        unseen
            How cells of strata are predicted that the fit has not seen, where it knows how good it
            is for these (``strata_key`` with ``strata="balanced"``, three strata or more, genes).
            ``"stacked"``: by several experts, see Notes; ``"map"``: by the map alone. It says
            nothing of strata that the model was adapted to.
        key
            Names the entries of the returned object; None takes the name of the method's verb,
            as :func:`rayot.tl.w1ot` does.
        write
            File that the predictions go to block by block, ``.h5ad`` or ``.zarr``, so that they
            need not fit in memory. It appears under this name once it is whole. It has no
            ``obsm["X_" + key]`` where the map works on genes.
        overwrite
            Whether predictions of that name may be replaced; other files never are.

        Returns
        -------
        An AnnData of the predicted cells: ``X`` (predicted expression, float32; sparse where that
        of ``adata`` is and genes are calibrated), ``obs`` of the cells with
        ``obs[key + "_step"]``, ``obs[key + "_potential"]`` and ``obs[key + "_distance"]``, and
        ``obsm["X_" + key]``. If the cells have the column of the conditions, it says
        ``"predicted <target>"``. Of several maps also ``obs[key + "_step_sd"]`` and
        ``layers[key + "_sd"]``; with separate strata ``uns[key]["strata"]`` says by which rule, and
        for how many cells, the maps of all strata were combined. Of strata that the fit has not
        seen, ``uns[key]["unseen_strata"]`` says how far they are and what is to be expected of the
        map there; where that is not good, a warning says so. ``uns[key]["experts"]`` names what
        predicts their cells, with its weights. Of those that the model was adapted
        to, ``uns[key]["adapted_strata"]`` says by how many treated cells, and with which share
        these count. Of a condition that was not in training, ``uns[key]["stands_on"]`` says which
        ones it is made of or nearest to; ``uns[key]["predictive_sd"]`` (genes,) is the standard
        deviation with which :func:`rayot.tl.ridge` predicts the mean of each gene. A warning says
        so where cells are of another condition than the map starts from. With
        ``missing_genes="zero"`` or ``"mean"`` all genes of the model are predicted,
        ``var[key + "_missing"]`` says which ones were filled in, ``uns[key]["missing_genes"]`` by
        what, and ``uns[key]["n_missing_genes"]`` how many. ``adata`` is not changed. With
        ``write`` the same from the file: backed (``.h5ad``) or lazy (``.zarr``).

        Raises
        ------
        RuntimeError
            If the model is not trained.
        ValueError
            If genes are missing (they are listed) and not to be filled in, or more than half of
            them are, values are NaN, ``write`` has another ending, or a column of ``obs`` cannot be
            written to it.
        OSError
            If the file of the cells is moved or changed meanwhile, or ``write`` exists already, or
            cannot be written; no part of it is then left.

        Notes
        -----
        A stratum that the fit has not seen may respond as the others do on average, less than
        these, or as those whose control cells are most like its own. So each of its cells is
        predicted by one of four experts, drawn by its name: ``map``; ``part``, which goes .7 of the
        map's way; ``near``, which gives each gene the change of its distribution in a stratum of
        the fit, drawn with shares that fall with the sixth power of the distance between means of
        control cells; or ``shift``, the mean shift of all strata. The weights are those with the
        least energy distance where each stratum of the fit is left out in turn (stacking); they are
        shrunk towards a third each. ``shift`` alone is taken where the mixture comes no tenth of
        the way, or the mean shift comes a tenth farther:
        ``uns[key]["unseen_strata"]`` then says "No transfer expected". What is left by each is in
        :attr:`unseen_strata`. How near strata are is asked of all cells that are predicted
        together, so pass all control cells of a new stratum at once.

        References
        ----------
        Wolpert DH. Neural Netw 5:241-259 (1992), stacking. Shepard D. Proc ACM Natl Conf
        23:517-524 (1968), weights by distance.
        """
        self._check_trained("Train the model before it predicts.")
        arguments.one_of("unseen", unseen, UNSEEN)
        key = self.method if key is None else key
        cells = modality_of(adata, modality)
        if cells.n_obs == 0:
            raise ValueError("adata has no cells to predict.")
        rows = np.arange(cells.n_obs)
        path = None
        if write is not None:
            path = self._new_file(cells, write, overwrite, write_genes, cells.n_obs)
        model = self._filling(cells, missing_genes)
        with unchanged(cells):
            model._check_cells(cells, rows)
        warn_of_treated(cells, rows, self.data.groupby, self.source_key)
        obs = predicted_obs(cells, rows, key, self.data.groupby, self.predicted_condition)
        if path is not None:
            represented, var = model._written(write_genes, key)
            return write_predictions(
                path,
                cells,
                model._predictions(cells, rows, write_genes, represented, clip, unseen),
                obs,
                var,
                key,
                uns_of=lambda prediction: model._result(cells, rows, prediction, key, unseen),
                overwrite=overwrite,
            )
        prediction = model.transport(cells, rows, write_genes=write_genes, clip=clip, unseen=unseen)
        predicted = prediction.to_anndata(obs, model._var(key), key)
        predicted.uns.update(model._result(cells, rows, prediction, key, unseen))
        return predicted

    @public(times=two_times, name=arguments.condition)
    def at(
        self,
        *,
        time: float,
        times: tuple[float, float] = (0.0, 1.0),
        name: str | None = None,
    ) -> Self:
        """The same map, predicting cells at a time between those of source and target.

        Each cell goes a share of its way along the straight line from where it is to where the map
        sends it (displacement interpolation, McCann 1997). Where genes are calibrated, one that is
        zero at one end alone is switched at a time of its own, so that cells between have as many
        zeros as cells have. This is right where all cells change at once and steadily. Where each
        cell changes in little time, some early and some late, the mixture of cells of both ends
        is better, and needs no map; see :doc:`/user_guide/populations`.

        Parameters
        ----------
        time
            In the units of ``times``.
        times
            When the source and the target were measured. By default time is the share of the way:
            0 is the source and 1 the target.
        name
            Category of the column of the conditions whose cells were measured at that time, which
            :func:`rayot.tl.evaluate` scores the prediction by. None names it by the time.

        Returns
        -------
        A model of its own, which predicts, is saved and loaded as any; this one stays as it is.
        ``uns[key]["time"]`` and ``uns[key]["times"]`` of its predictions say the time, and so does
        the column of the conditions, ``"predicted <name>"``. It has no diagnostics, as these judge
        the target, and is not adapted to further strata.

        Raises
        ------
        ValueError
            If the time is not between ``times``, these are no two numbers that ascend, or the name
            is that of the source or the target.
        RuntimeError
            If the model is not trained.

        References
        ----------
        McCann RJ. Adv Math 128:153-179 (1997).

        Examples
        --------
        >>> import rayot as rt
        >>> adata = rt.datasets.moons(n_samples=200)
        >>> model = rt.tl.w1ot(adata, "control", "perturbed", max_steps=10, show_progress_bar=False)
        >>> between = model.at(time=3, times=(0, 7)).predict(adata[:5])
        >>> between.uns["w1ot"]["time"], between.obs["perturbation"].iloc[0]
        (3.0, 'predicted perturbed at time 3')
        """
        self._check_trained("Train the model before it predicts.")
        checked_time(time, times, self.source_key, self.target_key)
        model = copy.copy(self)
        name = None if name is None else str(name)
        model.data = replace(self.data, time=time, times=times, time_name=name)
        if 0 < model.data.share < 1 and name in (self.source_key, self.target_key):
            raise ValueError(
                f"name is {name!r}, whose cells were measured at one of the two times; name the "
                "category of the cells between."
            )
        if model.data.share < 1:
            model.adaptations, model.experts, model.unseen = {}, None, None
            model.diagnostics_ = [{"certificate": "check", "reason": REASON}] * len(self.problems)
        return model

    @public()
    @shared
    def adapt(self, adata: AnnData | MuData, stratum: str, *, modality: str | None = None) -> Self:
        """Adapt to a stratum that the fit has not seen, by a few treated cells of it.

        The map stays as it is. What it predicts of the stratum's control cells is compared with its
        treated cells, feature by feature: predicted distributions become mixtures of both, and a
        cell keeps its rank in each. The fewer the cells, and the better the map was for strata that
        were left out of the fit, the less they count, see Notes.

        Parameters
        ----------
        {adata}
            It has control cells of the stratum, 10 at least, and treated cells, one at least, in
            the columns of the fit (``groupby``, ``strata_key``). All of them are taken, whatever a
            split says, so pass those alone that are not to be tested on; of very many (8 million
            values a side) a part is drawn. Cells of other strata are not looked at.
        stratum
            Name of the stratum, such as a patient or a cell type.
        {modality}

        Returns
        -------
        A model of its own, whose predictions of cells of the stratum are adapted: expression,
        ``obsm["X_" + key]`` and ``obs[key + "_step"]``. ``uns[key]["adapted_strata"]`` of a
        prediction says by how many cells, and with which share they count. The potential, the
        spread of steps between maps and figures of the fit stay those of the map. Adapting to a
        further stratum keeps earlier ones; adapting to one again takes the place of what was. This
        model and ``adata`` are not changed.

        Raises
        ------
        RuntimeError
            If the model is not trained.
        KeyError
            If ``adata`` lacks a column.
        ValueError
            If the model has no strata, the fit has seen this one, its cells are too few, genes are
            missing, or values are NaN or raw counts.

        Notes
        -----
        Energy distance is a squared distance of distributions. That of a mixture with a share w of
        n cells from the truth is (1 − w)² D + w² V / n on average, where D is the distance of the
        prediction and V the mean distance between two cells; it is least with w = n / (n + V / D).
        D is the mean over the strata that were left out of the fit, as they are predicted;
        without these V / D is 20. Features are mixed one by one with the same share.

        References
        ----------
        Székely GJ, Rizzo ML. J Stat Plan Inference 143:1249-1272 (2013), energy distance.

        Examples
        --------
        >>> import rayot as rt
        >>> adata = rt.datasets.simulated(n_cells=400, n_genes=50)
        >>> adata.obs["patient"] = ["P1", "P2", "P3", "P4"] * 200
        >>> rt.pp.split(adata, holdout={"patient": ["P4"]})
        >>> model = rt.tl.w1ot(
        ...     adata,
        ...     "control",
        ...     "perturbed",
        ...     strata_key="patient",
        ...     preset="fast",
        ...     max_steps=10,
        ...     show_progress_bar=False,
        ... )
        >>> new = adata[adata.obs["patient"] == "P4"]
        >>> control = new[new.obs["perturbation"] == "control"]
        >>> treated = new[new.obs["perturbation"] == "perturbed"]
        >>> few = new[[*control.obs_names, *treated.obs_names[:30]]]
        >>> model.adapt(few, "P4").predict(control).uns["w1ot"]["adapted_strata"]["n_cells"]
        array([30])
        """
        self._check_trained("Train the model before it is adapted.")
        if self.data.share < 1:
            raise ValueError(
                f"The model predicts time {self.time:g}, between source and target, and is not "
                "adapted; adapt the model that was fitted."
            )
        cells, data, stratum = modality_of(adata, modality), self.data, str(stratum)
        rows = rows_to_adapt_with(
            cells,
            data,
            self.source_key,
            self.predicted_condition,
            self.dose,
            stratum,
            self.problems.strata,
        )
        source, target = (drawn_of(side, len(data.var_names), self.seed) for side in rows)
        model = copy.copy(self)
        others = {name: of for name, of in self.adaptations.items() if name != stratum}
        model.adaptations = others
        with unchanged(cells):
            self._check_cells(cells, np.concatenate([source, target]))
            predicted = model._predicted_in_spaces(cells, source)
            encoded, expression = self._encode(cells, target)
        observed = {REPRESENTATION: dense(encoded)}
        if expression is not None:
            observed[GENES] = dense(expression)
        error = np.nan if self.unseen is None else self.unseen.distance
        model.adaptations = {
            **others,
            stratum: Adaptation.of(
                predicted,
                observed,
                (data.weights(cells, source), data.weights(cells, target)),
                error,
                names_kept(cells, target),
            ),
        }
        return model

    def _predicted_in_spaces(self, adata: AnnData, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Predicted cells (n, d) in the space of the map, and of genes where it has a decoder."""
        blocks: dict[str, list[np.ndarray]] = {REPRESENTATION: []}
        near = self._near_strata(adata, rows)
        for chunk in row_chunks(rows, BLOCK_ROWS):
            start, moves, decoder = self.move(adata, chunk, "auto", near)
            gone = moves.shortened(self.data.share)
            blocks[REPRESENTATION].append(self._moved(adata, chunk, start, gone, near)[0])
            if decoder is not None:
                genes = decoder.genes(moves.in_terms("mean"))[0]
                blocks.setdefault(GENES, []).append(genes)
        return {space: np.concatenate(of_space) for space, of_space in blocks.items()}

    def _new_file(
        self,
        adata: AnnData,
        path: str | Path,
        overwrite: bool,
        write_genes: bool,
        n_cells: int,
    ) -> Path:
        """Raise if so many predictions cannot be written there.

        See :func:`rayot.data.files.check_new_file`.
        """
        width = 0
        # Of calibrated genes most may be zero, which take no room.
        if write_genes and self.representation.has_decoder and not self._calibrations_by_term:
            spread = self.spread_of_genes and len(self.problems) > 1
            width += len(self.data.var_names) * (2 if spread else 1)
        if self.representation.name is not None:
            width += self.representation.n_features
        return check_new_file(path, overwrite, 4 * width * n_cells, adata)

    def _written(self, write_genes: bool, key: str) -> tuple[bool, pd.DataFrame | None]:
        """Whether a file has the representation, and the table of the genes that it has."""
        with_genes = write_genes and self.representation.has_decoder
        # On genes the representation would be the same matrix again.
        return self.representation.name is not None, self._var(key) if with_genes else None

    def _var(self, key: str) -> pd.DataFrame:
        """Table of the genes of predicted cells."""
        var = pd.DataFrame(index=pd.Index(self.data.var_names))
        if isinstance(self.data, FilledSpec):
            var[Key.var.missing(key)] = self.data.is_missing
        return var

    def _result(
        self, adata: AnnData, rows: np.ndarray, prediction: Prediction, key: str, unseen: str
    ) -> dict[str, Any]:
        """What ``uns`` of predicted cells says: nothing, if they are of strata seen by one map."""
        result: dict[str, Any] = {}
        if isinstance(self.data, FilledSpec):
            result |= self.data.result()
        if self.data.times is not None:
            result |= {Key.result.time: self.time, Key.result.times: np.array(self.data.times)}
        if self.problems.separate:
            result[Key.result.strata] = self.strata_summary(prediction.combined)
        new = self.new_strata(adata, rows, prediction, unseen)
        if len(new.get("names", ())):
            result[Key.result.unseen_strata] = new
            if self.experts is not None and unseen == "stacked":
                result[Key.result.experts] = self.experts.columns()
        if self.adaptations:
            result[Key.result.adapted_strata] = self._adapted_strata(adata, rows)
        if self.stands_on is not None:
            result[Key.result.stands_on] = self.stands_on.columns()
        if self.predictive_sd is not None:
            result[Key.result.predictive_sd] = self.predictive_sd * np.float32(self.data.share)
        return {Key.uns.result(key): result} if result else {}

    def _adapted_strata(self, adata: AnnData, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Strata of cells that the model was adapted to; warns where none can be told."""
        strata = self._strata(adata, rows)
        if strata is None:
            warn(
                f"adata.obs has no column {self.data.strata_key!r}, so no cell is known to be of "
                f"{', '.join(map(repr, self.adaptations))}, which the model was adapted to; "
                "predictions are those of the map alone."
            )
        own = set() if strata is None else set(strata)
        return adapted_strata({name: of for name, of in self.adaptations.items() if name in own})

    def new_strata(
        self, adata: AnnData, rows: np.ndarray, prediction: Prediction, unseen: str = "stacked"
    ) -> dict[str, np.ndarray]:
        """What is to be expected of strata that the fit has not seen, as plain values for ``uns``.

        A warning says so of those that ask for care.

        Parameters
        ----------
        adata, rows
            The cells.
        prediction
            Of them.
        unseen
            How they were predicted, as in :meth:`predict`.
        """
        strata, distance = self._strata(adata, rows), prediction.distance
        if self.unseen is None or strata is None or distance is None:
            return {}
        # Where few treated cells count less than the prediction, what is said of it still holds.
        by_cells = [name for name, of in self.adaptations.items() if of.share >= ADAPTED_SHARE]
        known = (*self.problems.strata, *by_cells)
        return self.unseen.of_cells(strata, known, distance, unseen == "stacked")

    def strata_summary(self, combined: np.ndarray) -> dict[str, Any]:
        """How strata entered a prediction, as plain values for ``uns``.

        Parameters
        ----------
        combined
            (n,) bool, which cells were predicted by the combination of all strata's maps.
        """
        summary: dict[str, Any] = {
            "names": np.asarray(self.problems.strata, dtype=str),
            "mode": self.problems.mode,
        }
        if self.combination is not None:
            summary |= {
                "rule": self.combination.rule,
                "share": self.combination.share,
                "n_combined": int(combined.sum()),
            }
        return summary


def summary_of(reports: Sequence[Report], n_seeds: int) -> Report:
    """Diagnostics of one prediction: of each stratum those of all members, then the worst.

    Parameters
    ----------
    reports
        Of each map, all strata of one member after the other; or a single one.
    n_seeds
        Number of members.
    """
    n_maps = max(1, len(reports) // n_seeds)
    return worst([ensemble_report(reports[number::n_maps]) for number in range(n_maps)])
