"""A fitted map: cells in, prediction out."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from mudata import MuData
from scipy import sparse
from torch import Tensor

from rayot._arguments import result_name
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
from rayot.model.calibration import Calibration
from rayot.model.decoding import Decoder
from rayot.model.encoding import check_cells, encoded
from rayot.model.methods import verb_of
from rayot.model.moves import Moves, moves_of, of_own_stratum
from rayot.model.prediction import Prediction, predicted_obs, warn_of_treated
from rayot.model.prediction_file import write_predictions
from rayot.model.stack_model import StackModel
from rayot.model.stands_on import StandsOn
from rayot.solvers import Attributes, ensemble_report, worst
from rayot.solvers.report import Report
from rayot.train.threads import threads_for

ADAPTED_SHARE = 0.5
"""Share of treated cells with which a prediction is theirs rather than the map's."""

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
        dose = "" if self.dose is None else f" at dose {self.dose:g}"
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
        return (
            f"{figures['certificate']}: {figures['reason']}\n{adaptations}"
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
        return Split(data.split_key, data.holdout, data.holdout_control, cells)

    @property
    def dose(self) -> float | None:
        """Dose that is predicted, in the units of ``data.dose_key``; None without doses."""
        return self.data.dose

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
        clip: bool | str = "auto",
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
        clip
            ``"auto"``: negative predictions are set to zero if the training cells had none;
            True always, False never.
        """
        with unchanged(adata):
            parts = self._predictions(adata, rows, write_genes, write_representation, clip)
            return Prediction.joined(list(parts))

    def _predictions(
        self,
        adata: AnnData,
        rows: np.ndarray,
        write_genes: bool,
        write_representation: bool,
        clip: bool | str,
    ) -> Iterator[Prediction]:
        """Predict successive blocks of cells, each as large as memory for its matrices allows."""
        self._check_trained("Train the model before it predicts.")
        widest = max(len(self.data.var_names), self.representation.n_features)
        size = min(BLOCK_ROWS, chunk_rows(widest * len(self.problems)))
        for chunk in row_chunks(rows, size):
            start, moves, decoder = self.move(adata, chunk, clip)
            moved, step = self._moved(adata, chunk, start, moves)
            further: dict[str, Any] = {}
            if self.training_distance is not None:
                further["distance"] = self.training_distance(start)
            if moves.spread is not None:
                further["spread"] = moves.spread.numpy()
            several = len(moves.maps) > 1
            if several:
                further["step_sd"] = moves.maps.norm(dim=2).std(0).numpy()
            if write_genes and decoder is not None:
                genes, further["n_clipped"] = decoder.genes(moves.in_terms("mean"))
                further["genes"] = sparse.csr_matrix(genes) if decoder.is_sparse else genes
                if several and self.spread_of_genes:
                    spread = decoder.spread(moves)
                    further["genes_sd"] = sparse.csr_matrix(spread) if decoder.is_sparse else spread
            yield Prediction(
                representation=moved if write_representation else None,
                step=step,
                potential=None if moves.potential is None else moves.potential.numpy(),
                combined=moves.combined,
                **further,
            )

    def _moved(
        self, adata: AnnData, rows: np.ndarray, start: np.ndarray, moves: Moves
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cells (n, d) where they end, in the space of the map, and how far that is (n,)."""
        moved, step = start + moves.mean.numpy(), moves.mean.norm(dim=1).numpy()
        strata = self._strata(adata, rows) if self.adaptations else None
        if strata is not None:
            names = adata.obs_names.to_numpy()[rows], np.arange(moved.shape[1]).astype(str)
            moved = adapted(self.adaptations, REPRESENTATION, moved, strata, *names, self.seed)
            own = np.isin(strata, list(self.adaptations))
            step[own] = np.linalg.norm(moved[own] - start[own], axis=1)
        return moved, step

    @torch.no_grad()
    def move(
        self, adata: AnnData, rows: np.ndarray, clip: bool | str
    ) -> tuple[np.ndarray, Moves, Decoder | None]:
        """Cells (n, d) in the space of the map, their moves, and what decodes them to genes."""
        encoded, expression = self._encode(adata, rows)
        start = dense(encoded)
        settings = self.module.settings
        with threads_for(len(rows) * max(start.shape[1], settings.widest) * settings.widest):
            moves = self._moves(adata, rows, torch.from_numpy(start))
        if expression is None:
            return start, moves, None
        at_zero = self.data.nonnegative if clip == "auto" else bool(clip)
        cells = self.data.in_gene_order(adata)
        decoder = Decoder(
            self.representation,
            self.settings.decode,
            cells,
            rows,
            start,
            expression,
            at_zero,
            self._calibrations_by_term,
            self._strata(adata, rows) if self._calibrations_by_term or self.adaptations else None,
            None if self.training_distance is None else self.training_distance.nearness,
            self.adaptations,
            self.seed,
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
        for chunk in row_chunks(rows):
            _, moves, decoder = self.move(adata, chunk, clip)
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

    @public(key=result_name)
    @shared
    def predict(
        self,
        adata: AnnData | MuData,
        *,
        modality: str | None = None,
        write_genes: bool = True,
        clip: bool | str = "auto",
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
        {clip}
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
        map there; where that is not good, a warning says so. Of those that the model was adapted
        to, ``uns[key]["adapted_strata"]`` says by how many treated cells, and with which share
        these count. Of a condition that was not in training, ``uns[key]["stands_on"]`` says which
        ones it is made of or nearest to; ``uns[key]["predictive_sd"]`` (genes,) is the standard
        deviation with which :func:`rayot.tl.ridge` predicts the mean of each gene. A warning says
        so where cells are of another condition than the map starts from. ``adata`` is not changed.
        With ``write`` the same from the file: backed (``.h5ad``) or lazy (``.zarr``).

        Raises
        ------
        RuntimeError
            If the model is not trained.
        ValueError
            If genes are missing (they are listed) or values are NaN, ``write`` has another
            ending, or a column of ``obs`` cannot be written to it.
        OSError
            If the file of the cells is moved or changed meanwhile, or ``write`` exists already, or
            cannot be written; no part of it is then left.
        """
        self._check_trained("Train the model before it predicts.")
        key = self.method if key is None else key
        cells = modality_of(adata, modality)
        if cells.n_obs == 0:
            raise ValueError("adata has no cells to predict.")
        rows = np.arange(cells.n_obs)
        path = None
        if write is not None:
            path = self._new_file(cells, write, overwrite, write_genes, cells.n_obs)
        with unchanged(cells):
            self._check_cells(cells, rows)
        warn_of_treated(cells, rows, self.data.groupby, self.source_key)
        obs = predicted_obs(cells, rows, key, self.data.groupby, self.target_key)
        if path is not None:
            represented, var_names = self._written(write_genes)
            return write_predictions(
                path,
                cells,
                self._predictions(cells, rows, write_genes, represented, clip),
                obs,
                var_names,
                key,
                uns_of=lambda prediction: self._result(cells, rows, prediction, key),
                overwrite=overwrite,
            )
        prediction = self.transport(cells, rows, write_genes=write_genes, clip=clip)
        predicted = prediction.to_anndata(obs, self.data.var_names, key)
        predicted.uns.update(self._result(cells, rows, prediction, key))
        return predicted

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
        D is the mean over the strata that were left out of the fit, in the space of the map;
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
        cells, data, stratum = modality_of(adata, modality), self.data, str(stratum)
        rows = rows_to_adapt_with(
            cells,
            data,
            self.source_key,
            self.target_key,
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
        figures: Any = {} if self.unseen is None else self.unseen.figures
        error = figures.get("residual_energy_distance", np.nan)
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
        for chunk in row_chunks(rows, BLOCK_ROWS):
            start, moves, decoder = self.move(adata, chunk, "auto")
            blocks[REPRESENTATION].append(start + moves.mean.numpy())
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

    def _written(self, write_genes: bool) -> tuple[bool, tuple[str, ...] | None]:
        """Whether a file has the representation, and which genes it has."""
        with_genes = write_genes and self.representation.has_decoder
        # On genes the representation would be the same matrix again.
        return self.representation.name is not None, self.data.var_names if with_genes else None

    def _result(
        self, adata: AnnData, rows: np.ndarray, prediction: Prediction, key: str
    ) -> dict[str, Any]:
        """What ``uns`` of predicted cells says: nothing, if they are of strata seen by one map."""
        result: dict[str, Any] = {}
        if self.problems.separate:
            result[Key.result.strata] = self.strata_summary(prediction.combined)
        new = self.new_strata(adata, rows, prediction)
        if len(new.get("names", ())):
            result[Key.result.unseen_strata] = new
        if self.adaptations:
            result[Key.result.adapted_strata] = self._adapted_strata(adata, rows)
        if self.stands_on is not None:
            result[Key.result.stands_on] = self.stands_on.columns()
        if self.predictive_sd is not None:
            result[Key.result.predictive_sd] = self.predictive_sd
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
        self, adata: AnnData, rows: np.ndarray, prediction: Prediction
    ) -> dict[str, np.ndarray]:
        """What is to be expected of strata that the fit has not seen, as plain values for ``uns``.

        A warning says so of those that ask for care.

        Parameters
        ----------
        adata, rows
            The cells.
        prediction
            Of them.
        """
        strata, distance = self._strata(adata, rows), prediction.distance
        if self.unseen is None or strata is None or distance is None:
            return {}
        # Where few treated cells count less than the prediction, what is said of it still holds.
        by_cells = [name for name, of in self.adaptations.items() if of.share >= ADAPTED_SHARE]
        known = (*self.problems.strata, *by_cells)
        return self.unseen.of_cells(strata, known, distance)

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
