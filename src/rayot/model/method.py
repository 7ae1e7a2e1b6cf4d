"""What constructs, trains and loads the maps of any method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from anndata import AnnData
from mudata import MuData

from rayot._docs import shared
from rayot._public import public
from rayot.data import checks
from rayot.data.files import unchanged
from rayot.data.keys import Key
from rayot.data.matrix import dense
from rayot.data.modality import modality_of
from rayot.data.spec import DataSpec
from rayot.data.split import names_kept
from rayot.data.strata import check_strata, training_strata
from rayot.model import calibrating, saved
from rayot.model.calibrating import Distributions
from rayot.model.calibration import LARGEST
from rayot.model.fit import fit_problems
from rayot.model.fitted_map import FittedMap
from rayot.model.life_cycle import LOADED
from rayot.model.methods import class_of
from rayot.model.problems import Problems, check_count, problems_of
from rayot.model.stack_model import SAVED, Fitted
from rayot.model.training_cells import checked_expression, training_cells
from rayot.model.training_distance import TrainingDistance
from rayot.model.training_sample import TrainingSample, may_calibrate
from rayot.model.unseen import UnseenStrata
from rayot.model.weighing import FEWEST_STRATA, weigh
from rayot.representation import Representation, representation_of
from rayot.solvers import Attributes, Settings, Stack
from rayot.train import TrainingOptions
from rayot.train.left_out import LeftOut


@shared
class Method(FittedMap):
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

    _verb_defaults: ClassVar[dict[str, Any]] = {}
    """Keywords of the verb whose default is not that of the other methods."""

    _verb_further: ClassVar[dict[str, str | None]] = {}
    """Keywords of the verb beside those of all methods, which name columns, and their defaults."""

    _verb_example: ClassVar[str] = """
        >>> import rayot as rt
        >>> adata = rt.datasets.simulated(n_cells=400, n_genes=50)
        >>> model = rt.tl.NAME(
        ...     adata, "control", "perturbed", max_steps=10, show_progress_bar=False
        ... )
        >>> adata.layers["NAME"].shape
        (800, 50)
        """
    """Example in the description of the verb."""

    _sample: TrainingSample | None = None
    """Training cells that genes are calibrated by, and experts for new strata are weighed by."""

    _calibrates: bool = False
    """Whether genes are calibrated."""

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
        if adata is not LOADED:
            checks.different(source_key, target_key)
        check_strata(strata, small_strata, data.strata_key)
        if self.joint and strata == "separate":
            advice = "; name the column by covariate_keys instead" if self._verb_further else ""
            raise ValueError(
                f"{type(self).__name__} fits one model to all cells, so strata='separate' cannot "
                f"be{advice}."
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
        self.source_key, self.target_key, self.seed = str(source_key), str(target_key), seed
        self.training_, self.diagnostics_ = {}, []
        if adata is LOADED:
            return
        problems = partial(Problems, self.target_key, mode=strata, n_seeds=n_seeds)
        self._take(modality_of(adata, modality), data, representation, problems, small_strata)

    def _take(
        self,
        cells: AnnData,
        data: DataSpec,
        representation: Representation | None,
        of_strata: Callable[[tuple[str, ...]], Problems],
        small_strata: str,
    ) -> None:
        """Take the training cells out of an AnnData, and check them and those to transport.

        Parameters
        ----------
        cells, data
            The user's object, which is not kept, and where cells are in it.
        representation
            One of its own, or None for that which ``data`` names.
        of_strata
            The problems of these strata.
        small_strata
            As in :func:`rayot.data.strata.training_strata`.
        """
        by_condition = {
            category: data.training_rows(cells, category)
            for category in (self.source_key, self.target_key)
        }
        names: tuple[str, ...] = ()
        groups = [list(by_condition.values())]
        if data.strata_key is not None:
            strata = training_strata(cells, data.strata_key, by_condition, small_strata)
            groups, names = list(strata.values()), tuple(strata)
        problems = of_strata(names)
        training = np.concatenate([rows for group in groups for rows in group])
        others = self._further_rows(cells, data, by_condition)
        # Every cell that will be fitted or transported.
        fitted = np.concatenate([training, others])
        rows = np.union1d(fitted, data.rows(cells, self.source_key))
        with unchanged(cells):
            with checked_expression(cells, data, rows, fitted, representation) as unchecked:
                data = data.with_scale_of(cells, training)
                representation = representation_of(cells, data, training, representation)
                self.settings = self._adapted(self.settings, representation)
                self._describe(data, representation, problems)
                if unchecked is None:
                    self._check_cells(cells, rows)
                taken = training_cells(
                    cells,
                    groups,
                    problems,
                    self._encode,
                    data.weights_key,
                    self.settings,
                    self.seed,
                    others=others,
                    attributes_of=self._attributes_in_training,
                    unchecked=unchecked,
                )
            self.training_distance = TrainingDistance.of(
                [group[0] for group in groups],
                lambda rows: dense(self._encode(cells, rows)[0]),
                self.seed,
            )
            decode = self.settings.decode
            may = may_calibrate(decode, taken.nonnegative, representation)
            if may or self._has_experts:
                sample = TrainingSample.of(cells, data, groups, representation, names, self.seed)
                self._calibrates = may and sample.calibrates(decode)
                self._sample = sample if self._calibrates or self._has_experts else None
        self._sides, self._labels = (taken.source, taken.target), taken.labels
        self._components = taken.components
        self.training_cells = names_kept(cells, fitted)
        self.source_mean = taken.source_mean
        self.data = replace(data, nonnegative=taken.nonnegative)

    @property
    def _has_experts(self) -> bool:
        """Whether new strata may be predicted by experts."""
        return (
            len(self.problems.strata) >= FEWEST_STRATA
            and not self.problems.separate
            and self.stack_type.leaves_out_strata
            and self.representation.has_decoder
        )

    def _describe(self, data: DataSpec, representation: Representation, problems: Problems) -> None:
        """Say what is fitted, or will be."""
        self.data, self.representation, self.problems = data, representation, problems

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
        strata_key: str | None = None,
        weights_key: str | None = None,
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
        {strata_key}
        {weights_key}

        Returns
        -------
        The description that the model is constructed with.

        Raises
        ------
        KeyError
            If a column, layer or representation is missing.
        ValueError
            If the split has no training cells, or there is no expression to work on.
        """
        return DataSpec.from_anndata(
            modality_of(adata, modality),
            groupby=groupby,
            layer=layer,
            use_rep=use_rep,
            split_key=split_key,
            allow_counts=allow_counts,
            strata_key=strata_key,
            weights_key=weights_key,
        )

    @classmethod
    def _adapted(cls, settings: Settings, representation: Representation) -> Settings:
        """Settings of a fit in a representation; the same by default."""
        return settings

    def _further_rows(
        self, adata: AnnData, data: DataSpec, by_condition: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Training rows of further conditions, which come along in a joint method's fit."""
        return np.zeros(0, dtype=np.intp)

    def _attributes_in_training(self, adata: AnnData, rows: np.ndarray) -> Attributes | None:
        """What a joint method knows of training cells beside their expression."""
        return None

    def _new_module(self, settings: Settings) -> Stack:
        """Maps that are not fitted."""
        names = self.problems.names
        return self.stack_type(self.representation.n_features, names, settings, self.seed)

    def _fitted(self, settings: Settings, options: TrainingOptions) -> Fitted:
        assert self._sides is not None
        module = self._new_module(settings)
        stack, components = module, self._components
        if components is not None:
            stack = components.reduced(module)
        labels = None if self._labels is None else (self._labels, self._labels)
        members = self.problems.members
        # Members that nobody asked for share the folds of the first: 25 further maps would be much.
        judges = None if self.spread_of_genes else members[0].repeat(len(members)).tolist()
        fit, (combination,) = fit_problems(
            stack, [self.problems], self._sides, [self._sides], options, labels, judges=judges
        )
        if components is not None:
            combination = components.lift(stack, module, combination)
        distance = self.training_distance
        between = None if distance is None else distance.between
        unseen = UnseenStrata.of(fit, self.problems, labels, between)
        without = {} if self.problems.separate else self._maps_without(fit.left_out)
        return Fitted(module, fit, combination, unseen, without)

    def _maps_without(self, left_out: LeftOut) -> dict[int, Stack]:
        """The map without each of some strata, of cells as they are, by numbers of the strata."""
        if not left_out.folds:
            return {}
        fitted = left_out.folds[0].transport
        maps = fitted
        if self._components is not None:
            settings = self.settings.with_batch_for(1)
            maps = self.stack_type(self.representation.n_features, fitted.names, settings, 0)
            self._components.lift(fitted, maps, None)
        maps.eval()
        return {
            stratum: maps.take([fold.number])
            for stratum, fold in zip(left_out.strata, left_out.folds, strict=True)
        }

    def _calibrate(self, options: TrainingOptions, without: Mapping[int, Stack]) -> None:
        self.calibration = None
        sample = None if self._sample is None else self._sample.copy()
        if sample is None or not (self._calibrates or without):
            return
        distributions = Distributions.of(self, sample)
        if self._calibrates:
            calibration = calibrating.calibrate(self, sample, distributions)
            self.calibration = calibration.within(LARGEST)
        if without and self.unseen is not None and not self.unseen.has_no_effect:
            weighed = weigh(self, sample, distributions, without)
            if weighed is not None:
                self.experts = weighed.experts
                self.unseen = self.unseen.with_experts(weighed.left, weighed.transfers)

    @classmethod
    def _without_cells(
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
        model = cls(
            LOADED,
            data,
            source_key,
            target_key,
            preset=preset,
            representation=representation,
            strata=problems.mode,
            n_seeds=problems.n_seeds,
            seed=seed,
            **vars(settings),
        )
        model._describe(data, representation, problems)
        model.module = model._new_module(settings).eval()
        return model

    @classmethod
    def _saved_fields(cls) -> Any:  # noqa: ANN401
        # What is in them is checked with the preset taken out.
        return {**SAVED, "settings": dict[str, Any]}

    @classmethod
    def _from_saved(
        cls,
        values: dict[str, Any],
        data: DataSpec,
        representation: Representation,
        state: dict[str, np.ndarray],
    ) -> Self:
        chosen = dict(values["settings"])
        preset, kind = chosen.pop("preset", None), cls.stack_type
        saved.check(preset, str, "settings.preset")
        settings = saved.settings_of(kind.settings_type, chosen, preset)
        strata, target = values["strata"], values["target_key"]
        problems = problems_of(data, target, strata["names"], strata["mode"], strata["n_seeds"])
        n_problems, n_features = saved.size_of(state)
        check_count([problems], n_problems)
        # A condition that was not in training has one report, whatever the members.
        saved.check_reports(values["diagnostics"], (n_problems, 1))
        build = partial(kind, n_features, ["any"], settings, 0)
        saved.check_state(state, kind, settings, build, n_problems)
        source, seed = values["source_key"], values["seed"]
        cls._check_saved(data, settings, source, target)
        return cls._without_cells(
            data, source, target, representation, seed, problems, settings, preset
        )

    @classmethod
    def _check_saved(cls, data: DataSpec, settings: Any, source: str, target: str) -> None:  # noqa: ANN401
        """Raise a ValueError if what a saved model knows does not fit together."""


def method_of(name: str) -> type[Method]:
    """Class of a method.

    Raises
    ------
    ValueError
        If there is no such method.
    """
    return class_of(name)
