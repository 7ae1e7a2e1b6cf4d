"""What constructs, trains and loads the maps of any method."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Self, Unpack

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from rayot._docs import shared
from rayot._keywords import takes
from rayot._public import public
from rayot.data import checks
from rayot.data.files import unchanged
from rayot.data.matrix import dense
from rayot.data.modality import modality_of
from rayot.data.spec import DataSpec
from rayot.data.split import names_kept
from rayot.data.strata import check_strata, training_strata
from rayot.model import saved
from rayot.model.base import TransportModel
from rayot.model.calibration import LARGEST, Calibration
from rayot.model.problems import Problems
from rayot.model.schema import fields_of
from rayot.model.training_cells import training_cells
from rayot.model.training_distance import TrainingDistance
from rayot.model.training_sample import TrainingSample, may_calibrate
from rayot.model.unseen import UnseenStrata
from rayot.representation import Representation, representation_of
from rayot.representation.resolve import has_decoder
from rayot.solvers import Attributes, Settings, Stack, choose_combination, instability
from rayot.train import TRAINING, TrainingKeywords, TrainingOptions, train_transport
from rayot.train.left_out import combined_without_strata
from rayot.train.runner import Fit


@shared
class Method(TransportModel):
    """A method with its verbs; what differs between methods is the stack of maps it fits.

    Parameters
    ----------
    {method}

    Raises
    ------
    KeyError, ValueError
        If conditions are missing, equal or too small, values are NaN, or a setting is unknown.
    """

    stack_type: ClassVar[type[Stack]]
    """Maps of the method, which know its settings."""

    joint: ClassVar[bool] = False
    """Whether one model learns all conditions, so that its problems are no more than seeds."""

    default_preset: ClassVar[str] = "fast"
    """Where none is named."""

    verb_defaults: ClassVar[dict[str, Any]] = {}
    """Keywords of the verb whose default is not that of the other methods."""

    verb_further: ClassVar[dict[str, str | None]] = {}
    """Keywords of the verb beside those of all methods, which name columns, and their defaults."""

    verb_example: ClassVar[str] = """
        >>> import rayot as rt
        >>> adata = rt.datasets.simulated(n_cells=400, n_genes=50)
        >>> model = rt.tl.NAME(
        ...     adata, "control", "perturbed", max_steps=10, show_progress_bar=False
        ... )
        >>> adata.layers["NAME"].shape
        (800, 50)
        """
    """Example in the description of the verb."""

    settings: Settings
    preset: str
    sample: TrainingSample | None = None

    @public()
    def __init__(
        self,
        adata: AnnData | MuData,
        data: DataSpec,
        source_key: str,
        target_key: str,
        *,
        preset: str | None = None,
        representation: Representation | None = None,
        modality: str | None = None,
        strata: str = "balanced",
        small_strata: str = "drop",
        n_seeds: int | None = None,
        seed: int = 0,
        **plan_kwargs: Any,  # noqa: ANN401
    ) -> None:
        checks.different(source_key, target_key)
        check_strata(strata, small_strata, data.strata_key)
        if self.joint and strata == "separate":
            raise ValueError(
                f"{type(self).__name__} fits one model to all cells, so strata='separate' cannot "
                "be; name the column by covariate_key instead."
            )
        self.preset = self.default_preset if preset is None else preset
        kind = self.stack_type.settings_type
        # Genes of every member take several times as long as those of their mean.
        self.spread_of_genes = n_seeds is not None or strata == "separate"
        if n_seeds is None:
            # Maps of strata are several already.
            alone = data.strata_key is None or strata == "balanced"
            n_seeds = kind.members.get(self.preset, 1) if alone else 1
        self.settings = kind.from_preset(self.preset, n_seeds, **plan_kwargs)
        cells = modality_of(adata, modality)
        by_condition = {
            str(category): data.training_rows(cells, category)
            for category in (source_key, target_key)
        }
        names: tuple[str, ...] = ()
        groups = [list(by_condition.values())]
        if data.strata_key is not None:
            found = training_strata(cells, data.strata_key, by_condition, small_strata)
            groups, names = list(found.values()), tuple(found)
        problems = Problems(str(target_key), names, strata, n_seeds)
        training = np.concatenate([rows for group in groups for rows in group])
        others = self._further_rows(cells, data, by_condition)
        # Every cell that will be fitted or transported.
        rows = np.union1d(np.concatenate([training, others]), data.rows(cells, source_key))
        with unchanged(cells):
            checked = representation is None and has_decoder(cells, data.use_rep)
            if checked:
                data.check_expression(cells, rows)
            data = data.with_scale_of(cells, training)
            representation = representation_of(cells, data, training, representation)
            super().__init__(data, str(source_key), str(target_key), representation, seed, problems)
            if not checked:
                self._check_cells(cells, rows)
            self.settings = self._adapted(self.settings, representation)
            taken = training_cells(
                cells,
                groups,
                problems,
                self._encode,
                data.weights_key,
                self.settings,
                seed,
                others=others,
                known=self._known_in_training,
            )
            self.training_distance = TrainingDistance.of(
                [group[0] for group in groups],
                lambda rows: dense(self._encode(cells, rows)[0]),
                seed,
            )
            self.decode = self.settings.decode
            if may_calibrate(self.decode, taken.nonnegative, representation):
                sample = TrainingSample.of(cells, self.data, groups, representation, names, seed)
                self.sample = sample if sample.calibrates(self.decode) else None
        self.sides, self.labels = (taken.source, taken.target), taken.labels
        self.components = taken.components
        self.training_cells = names_kept(cells, np.concatenate([training, others]))
        self.data = replace(data, nonnegative=taken.nonnegative)
        self.module = self._new_module(self.settings)

    @classmethod
    def _adapted(cls, settings: Settings, representation: Representation) -> Settings:
        """Settings of a fit in a representation; the same by default."""
        return settings

    def _further_rows(
        self, adata: AnnData, data: DataSpec, by_condition: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Training rows of further conditions, which come along in a joint method's fit."""
        return np.zeros(0, dtype=np.intp)

    def _known_in_training(self, adata: AnnData, rows: np.ndarray) -> Attributes | None:
        """What a joint method knows of training cells beside their expression."""
        return None

    def _new_module(self, settings: Settings) -> Stack:
        """Maps that are not fitted."""
        names = self.problems.names
        return self.stack_type(self.representation.n_features, names, settings, self.seed)

    @public()
    @shared
    @takes(TrainingKeywords, TRAINING)
    def train(self, **options: Unpack[TrainingKeywords]) -> None:
        """Fit the maps; fills ``history``.

        Parameters
        ----------
        {options}

        Raises
        ------
        ValueError
            If an option is out of range, or ``checkpoint_dir`` holds another fit or symbolic links.
        OSError
            If ``checkpoint_dir`` cannot be written to, or another fit is running there.
        RuntimeError
            If the model was loaded, or the trainer was stopped by a limit or a callback.
        FloatingPointError
            If a loss becomes NaN or infinite.
        KeyboardInterrupt
            If the user interrupts; the last checkpoint stays.
        """
        self._check_can_train()
        training = TrainingOptions.of(**options)
        limits = options.get("max_steps"), options.get("batch_size")
        settings = self.settings.with_limits(*limits)
        if self.sides is not None:
            settings = settings.with_batch_for(len(self.sides[0].rows.unique()))
        module, fitted = self._fitted(settings, training)
        # Until all of it is there, should it be interrupted.
        self._is_trained = False
        self.module = module
        self._history = {
            phase: pd.DataFrame(columns).set_index("step")
            for phase, columns in fitted.history.items()
        }
        self.diagnostics_ = fitted.diagnostics
        self.training_ = {
            **training.chosen(),
            **settings.steps(),
            "batch_size": settings.batch_size,
        }
        self.calibration = None
        if self.sample is not None:
            self.calibration = Calibration.of(self, self.sample.copy()).within(LARGEST)
        self._is_trained = True

    def _fitted(self, settings: Settings, options: TrainingOptions) -> tuple[Stack, Fit]:
        """A fitted map, and what the fit leaves beside it; sets what combines maps of strata."""
        assert self.sides is not None
        module = self._new_module(settings)
        stack, components = module, self.components
        if components is not None:
            stack = components.reduced(module)
        labels = None if self.labels is None else (self.labels, self.labels)
        members = self.problems.members
        # Members that nobody asked for share the folds of the first: 25 further maps would be much.
        judges = None if self.spread_of_genes else members[0].repeat(len(members)).tolist()
        result = train_transport(stack, *self.sides, options, labels, judges=judges)
        if len(members) > 1:
            for problem, value in instability(stack, members, self.sides[0]).items():
                result.diagnostics[problem]["instability"] = value
        self.combination = None
        if self.problems.separate:
            self.combination = choose_combination(stack, members, *self.sides)
            if options.leave_out_strata:
                left_out = combined_without_strata(stack, members, self.sides)
                result = replace(result, left_out=left_out)
        if components is not None:
            self.combination = components.lift(stack, module, self.combination)
        self.unseen = UnseenStrata.of(self, result, labels)
        return module.eval(), result

    def _settings_json(self) -> dict[str, Any]:
        """Preset and settings."""
        return {"preset": self.preset, **self.settings.to_json()}

    @classmethod
    def _assembled(
        cls,
        data: DataSpec,
        source_key: str,
        target_key: str,
        representation: Representation,
        seed: int,
        problems: Problems,
        settings: Settings,
        preset: str,
    ) -> Self:
        """A model without training cells, whose map still has to be filled."""
        model = cls.__new__(cls)
        model.settings, model.preset, model.decode = settings, preset, settings.decode
        TransportModel.__init__(model, data, source_key, target_key, representation, seed, problems)
        model.module = model._new_module(settings).eval()
        return model

    @classmethod
    def _saved_settings(cls) -> Any:  # noqa: ANN401
        """Types of the fields of :meth:`_settings_json`."""
        return {"preset": str, **fields_of(cls.stack_type.settings_type)}

    @classmethod
    def _from_saved(
        cls,
        values: dict[str, Any],
        data: DataSpec,
        representation: Representation,
        state: dict[str, np.ndarray],
    ) -> Self:
        chosen = dict(values["settings"])
        preset, kind = chosen.pop("preset"), cls.stack_type
        settings = saved.settings_of(kind.settings_type, chosen, preset)
        strata, target = values["strata"], values["target_key"]
        problems = saved.problems_of(
            data, target, strata["names"], strata["mode"], strata["n_seeds"]
        )
        n_problems, n_features = saved.size_of(state)
        saved.check_count([problems], n_problems)
        # A condition that was not in training has one report, whatever the members.
        saved.check_reports(values["diagnostics"], (n_problems, 1))
        build = partial(kind, n_features, ["any"], settings, 0)
        saved.check_state(state, kind, settings, build, n_problems)
        source, seed = values["source_key"], values["seed"]
        cls._check_saved(data, settings, source, target)
        return cls._assembled(
            data, source, target, representation, seed, problems, settings, preset
        )

    @classmethod
    def _check_saved(cls, data: DataSpec, settings: Any, source: str, target: str) -> None:  # noqa: ANN401
        """Raise a ValueError if what a saved model knows does not fit together."""
