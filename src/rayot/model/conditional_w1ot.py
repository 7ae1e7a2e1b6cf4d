"""One Wasserstein-1 model of many conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Unpack

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from tqdm.auto import tqdm

from rayot._docs import shared
from rayot._keywords import takes
from rayot._public import public
from rayot.data.condition_columns import vectors_of
from rayot.data.conditions import Conditions
from rayot.data.files import unchanged
from rayot.data.keys import Key
from rayot.data.modality import modality_of
from rayot.data.spec import DataSpec
from rayot.data.split import names_kept
from rayot.model.calibrations import CellsOfPerturbations
from rayot.model.conditional_cells import by_exposure, columns_of, training_groups
from rayot.model.encoding import check_cells, encoded
from rayot.model.fitted_conditional import FittedConditional
from rayot.model.training_cells import training_cells
from rayot.model.training_sample import may_calibrate
from rayot.model.w1ot import W1OT
from rayot.representation import Representation, representation_of
from rayot.representation.resolve import has_decoder
from rayot.solvers import ConditionalW1Settings
from rayot.train import TRAINING, TrainingKeywords, TrainingOptions, train_conditional


@shared
class ConditionalW1OT(FittedConditional):
    """Wasserstein-1 maps of many drugs, doses, cell types or patients, learned by one network.

    The potential f(x, c) is 1-Lipschitz in the cell x for every condition c, which enters each of
    its layers (Chen et al. 2025, Discussion); so it has a map for conditions that training never
    saw: doses between others, combinations ``"A+B"`` of perturbations, and whatever has a vector.
    How much of its way a cell goes at a new dose is interpolated between the logarithms of the
    doses beside it, so a perturbation without a detectable effect at both has none between them.
    Genes are calibrated by the cells of each condition (``decode``). A new combination whose moves
    are added (``combination``) has the calibrated changes of its parts added up, where all parts
    were in training, and sums below zero are clipped; other new conditions keep the decoded change.

    Parameters
    ----------
    adata
        Annotated data; a MuData needs ``modality``.
    data
        What :meth:`setup_anndata` returned.
    control
        Category of the column it named: where cells start.
    {dose_key}
    {condition_keys}
    {embedding_key}
    {min_condition_cells}
    preset
        ``"fast"`` or ``"paper"``.
    representation
        A representation of its own, such as :class:`rayot.representation.SCVI`; None takes the
        one that ``data`` names.
    modality
        Modality of a MuData.
    {n_seeds}
    seed
        Keys every draw.
    **plan_kwargs
        Settings that differ from the preset's, see
        :class:`rayot.solvers.ConditionalW1Settings`.

    Raises
    ------
    KeyError, ValueError
        If conditions are missing or too small, a dose is not above 0, a category has no vector,
        values are NaN, or a setting is unknown.

    Examples
    --------
    >>> import rayot as rt
    >>> adata = rt.datasets.simulated_screen(3, n_cells=60, n_genes=20)
    >>> data = rt.model.ConditionalW1OT.setup_anndata(adata)
    >>> model = rt.model.ConditionalW1OT(adata, data, "control")
    >>> model.train(max_steps=10, show_progress_bar=False)
    >>> model.predict(adata[:5], "drug_000+drug_001").shape
    (5, 20)
    """

    @public()
    def __init__(
        self,
        adata: AnnData | MuData,
        data: DataSpec,
        control: str,
        *,
        dose_key: str | None = None,
        condition_keys: Sequence[str] = (),
        embedding_key: str | Mapping[str, str] | None = None,
        min_cells: int = 10,
        preset: str = "fast",
        representation: Representation | None = None,
        modality: str | None = None,
        n_seeds: int = 1,
        seed: int = 0,
        **plan_kwargs: Any,  # noqa: ANN401
    ) -> None:
        settings = ConditionalW1Settings.from_preset(preset, **plan_kwargs)
        cells = modality_of(adata, modality)
        assert data.groupby is not None
        columns = columns_of(cells, data.groupby, condition_keys, dose_key)
        if not isinstance(embedding_key, Mapping):
            embedding_key = {} if embedding_key is None else {data.groupby: embedding_key}
        if foreign := sorted(set(embedding_key) - set(columns)):
            raise ValueError(
                f"embedding_key names {foreign}, which are neither groupby nor in condition_keys: "
                f"{columns}."
            )
        given = {column: vectors_of(cells, key) for column, key in embedding_key.items()}
        groups = training_groups(cells, data, str(control), columns, dose_key, min_cells)
        known = list(groups)
        conditions = Conditions.learn(str(control), known, columns, dose_key, given)
        n_cells = [len(target) for _, target in groups.values()]
        rows = np.unique(np.concatenate([each for pair in groups.values() for each in pair]))
        with unchanged(cells):
            checked = representation is None and has_decoder(cells, data.use_rep)
            if checked:
                data.check_expression(cells, rows)
            data = data.with_scale_of(cells, rows)
            representation = representation_of(cells, data, rows, representation)
            if not checked:
                check_cells(representation, cells, rows, data=data)
            self._describe(
                data, representation, conditions, known, n_cells, settings, preset, n_seeds, seed
            )
            taken = training_cells(
                cells,
                [list(pair) for pair in groups.values()],
                self.problems,
                partial(encoded, representation, data=data),
                None,
                settings,
                seed,
            )
            self.sample = None
            if may_calibrate(settings.decode, taken.nonnegative, representation):
                sample = CellsOfPerturbations(
                    cells, self.data, representation, by_exposure(groups), seed
                ).copy()
                self.sample = sample if sample.calibrates(settings.decode) else None
        self.sides, self.labels = (taken.source, taken.target), taken.labels
        self.components = taken.components
        self.training_cells = names_kept(cells, rows)
        self.data = replace(data, nonnegative=taken.nonnegative)

    @classmethod
    @public()
    @shared
    def setup_anndata(
        cls,
        adata: AnnData | MuData,
        *,
        groupby: str = Key.obs.perturbation,
        layer: str | None = None,
        use_rep: str | None = None,
        split_key: str | None = Key.obs.split,
        modality: str | None = None,
        allow_counts: bool = False,
    ) -> DataSpec:
        """Check where a model finds its cells, and write nothing to ``adata``.

        Parameters
        ----------
        {adata}
        {groupby}
        {layer}
        {use_rep}
        {split_key}
        {modality}
        {allow_counts}

        Returns
        -------
        The description that the model is constructed with.

        Raises
        ------
        KeyError, ValueError
            As :meth:`W1OT.setup_anndata`.
        """
        return W1OT.setup_anndata(
            adata,
            groupby=groupby,
            layer=layer,
            use_rep=use_rep,
            split_key=split_key,
            modality=modality,
            allow_counts=allow_counts,
        )

    @public()
    @shared
    @takes(TrainingKeywords, TRAINING, without=("n_folds", "leave_out_strata"))
    def train(self, **options: Unpack[TrainingKeywords]) -> None:
        """Fit the maps of all conditions; fills ``history`` and :attr:`table`.

        Parameters
        ----------
        {options}

        Raises
        ------
        ValueError, OSError, RuntimeError, FloatingPointError, KeyboardInterrupt
            As :meth:`W1OT.train`.
        """
        self._check_can_train()
        assert self.sides is not None
        training = TrainingOptions.of(**options, n_folds=1, leave_out_strata=False)
        limits = options.get("max_steps"), options.get("batch_size")
        settings = self.settings.with_limits(*limits)
        settings = settings.with_batch_for(len(self.sides[0].rows.unique()))
        maps = fitted = self._new_module(settings, self.representation.n_features)
        of_fit = settings
        if self.components is not None:
            of_fit = replace(settings, n_components=None, standardise=True)
            fitted = self._new_module(of_fit, self.components.basis.shape[1])
        kinds = [each[:2] for each in self.known]
        result = train_conditional(
            fitted,
            [each.name for each in self.known],
            [kinds.index(kind) for kind in kinds],
            *self.sides,
            training,
            None if self.labels is None else (self.labels, self.labels),
        )
        if self.components is not None:
            self.components.lift(fitted, maps, None)
        # Until all of it is there, should it be interrupted.
        self._is_trained = False
        self.module = maps.eval()
        self._history = {
            phase: pd.DataFrame(columns).set_index("step")
            for phase, columns in result.history.items()
        }
        self.diagnostics_ = result.diagnostics
        self.training_ = {
            **training.chosen(),
            **settings.steps(),
            "batch_size": settings.batch_size,
        }
        self.calibrations = {}
        if self.sample is not None:
            exposures = {each.exposure.name: each.exposure for each in self.known}
            with tqdm(unit="map", disable=not training.progress) as bar:
                self.calibrations = dict(
                    self.sample.calibrations(
                        settings.decode, lambda name: self._uncalibrated(exposures[name]), bar
                    )
                )
        self._is_trained = True
