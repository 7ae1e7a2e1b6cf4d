"""GENOT from one modality to another (Klein et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Self, TypedDict

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from mudata import MuData

from rayot._docs import shared
from rayot._public import public
from rayot.data import checks
from rayot.data.keys import Key
from rayot.data.matrix import dense, expression_of
from rayot.data.modality import modality_of
from rayot.model import saved
from rayot.model.life_cycle import LOADED, NO_CELLS, Model, history_arrays
from rayot.model.missing_genes import ERROR, missing_among, values_for
from rayot.model.saved import Figure
from rayot.representation import Representation
from rayot.solvers.translation import Translation, TranslationSettings
from rayot.train.translation import train_translation


class SavedDiagnostics(TypedDict):
    """What is saved of :attr:`rayot.solvers.gromov.GromovCoupling.diagnostics`."""

    loss: float
    chance_loss: float
    start_losses: list[float]
    other_loss: Figure
    other_distance: Figure
    n_source: int
    n_target: int
    certificate: Literal["good", "check", "poor"]
    reason: str


@dataclass(frozen=True)
class SavedTranslation:
    """Types of the fields of a saved model; what has a default lacks in early ones."""

    model: str
    version: str
    modalities: tuple[str, str]
    representations: tuple[str | None, str | None]
    source_names: list[str]
    target_names: list[str]
    preset: str
    seed: int
    settings: dict[str, Any]
    diagnostics: SavedDiagnostics | None = None


class ModalityGENOT(Model):
    """Samples of what a cell of one modality is in another, from unpaired cells.

    A coupling under which distances within both modalities agree (Gromov-Wasserstein), fused with
    a comparison of what both have where ``fused_keys`` names it, and a flow from noise to the
    cells that a cell is coupled with. Such couplings have local optima, mirror images above all:
    the best one from several starts is taken, and ``diagnostics`` says whether it leads.

    Parameters
    ----------
    mdata
        Both modalities. Rows of equal names may be the same cells, which is not made use of.
    source_modality, target_modality
        Where cells come from, and what they are translated to.
    source_rep, target_rep
        Entries of their ``obsm``; None takes ``X``.
    fused_keys
        Entries of the ``obsm`` of source and target with as many features in both.
    split_key
        Column of ``obs`` of each modality with "train" and "test"; only training cells are fitted.
        None, or no column of the default name, fits all.
    allow_counts
        Whether ``X`` that looks like raw counts is taken.
    preset
        ``"fast"``, or ``"paper"``: entropic couplings of cosine distances.
    seed
        Keys every draw.
    **plan_kwargs
        Settings that differ, see :class:`rayot.solvers.translation.TranslationSettings`.

    Raises
    ------
    KeyError, ValueError
        If a modality, a representation or a setting is missing or unknown, values are NaN, the
        fused features of both sides are not as many, only one modality has the split, or a modality
        has too few cells, or raw counts.

    Examples
    --------
    >>> import rayot as rt
    >>> from mudata import MuData
    >>> modalities = {name: rt.datasets.moons(n_samples=60, seed=0) for name in ("a", "b")}
    >>> model = rt.model.ModalityGENOT(MuData(modalities), "a", "b")
    >>> model.train(max_steps=10, show_progress_bar=False)
    >>> model.predict(modalities["a"][:5]).shape
    (5, 2)
    >>> sorted(model.diagnostics)[:2]
    ['certificate', 'chance_loss']
    """

    _cells: list[np.ndarray] | None = None
    """Training cells of source and target; None of a model that was loaded."""
    _shared: tuple[np.ndarray, np.ndarray] | None = None
    """What both modalities have of them."""

    @public()
    def __init__(
        self,
        mdata: MuData,
        source_modality: str,
        target_modality: str,
        *,
        source_rep: str | None = None,
        target_rep: str | None = None,
        fused_keys: tuple[str, str] | None = None,
        split_key: str | None = Key.obs.split,
        allow_counts: bool = False,
        preset: str = "fast",
        seed: int = 0,
        **plan_kwargs: Any,  # noqa: ANN401
    ) -> None:
        if source_modality == target_modality:
            raise ValueError(
                f"source_modality and target_modality are both {source_modality!r}; name two."
            )
        self.settings = TranslationSettings.from_preset(preset, **plan_kwargs)
        self.preset, self.seed = preset, seed
        self.modalities = (source_modality, target_modality)
        self.representations = (source_rep, target_rep)
        self.diagnostics_: dict[str, Any] | None = None
        if mdata is not LOADED:
            self._take(mdata, fused_keys, split_key, allow_counts)

    def _take(
        self,
        mdata: MuData,
        fused_keys: tuple[str, str] | None,
        split_key: str | None,
        allow_counts: bool,
    ) -> None:
        """Take the training cells of both modalities, once all of them are checked."""
        sides = [modality_of(mdata, name) for name in self.modalities]
        for side, rep, name in zip(sides, self.representations, self.modalities, strict=True):
            if rep is None:
                checks.aligned_genes(side.var_names, (), f"Cells of the modality {name!r}")
        _check_split(mdata, sides, self.modalities, split_key)
        training = [_training(side, split_key) for side in sides]
        reps = zip(sides, training, self.representations, self.modalities, strict=True)
        cells = [_features(side, rows, rep, name) for side, rows, rep, name in reps]
        for values, rep, name in zip(cells, self.representations, self.modalities, strict=True):
            checks.enough_cells(len(values), f"The modality {name!r}")
            if rep is None and not allow_counts:
                checks.not_counts(values, f"X of the modality {name!r}")
        if fused_keys is not None:
            shared = [
                _features(side, rows, key, name)
                for side, rows, key, name in zip(
                    sides, training, fused_keys, self.modalities, strict=True
                )
            ]
            widths = [block.shape[1] for block in shared]
            if widths[0] != widths[1]:
                raise ValueError(
                    f"fused_keys must name as many features in both modalities, found {widths}."
                )
            self._shared = (shared[0], shared[1])
        self._cells = cells
        names = [_names(side, rep) for side, rep in zip(sides, self.representations, strict=True)]
        self._describe(names[0], names[1])

    def _describe(self, source_names: list[str], target_names: list[str]) -> None:
        """Say what is fitted, by a flow that is not fitted yet."""
        self.source_names, self.target_names = source_names, target_names
        sizes = len(source_names), len(target_names)
        self.module = Translation(*sizes, self.settings, self.seed)

    def _subject(self) -> str:
        (source, target), names = self.modalities, (self.source_names, self.target_names)
        sizes = [f"{len(features)} features" for features in names]
        return (
            f"ModalityGENOT from {source!r} ({sizes[0]}) to {target!r} ({sizes[1]}), "
            f"preset {self.preset!r}, seed {self.seed}"
        )

    def _state(self) -> str:
        figures = self.diagnostics_
        if figures is None:
            return "trained by an early version, which kept no diagnostics"
        return (
            f"trained on {figures['n_source']} and {figures['n_target']} coupled cells, "
            f"{self.settings.n_steps} steps\n{figures['certificate']}: {figures['reason']}\n"
            f"next: predict(cells of {self.modalities[0]!r}), save(folder); all figures are in "
            "diagnostics"
        )

    @property
    def diagnostics(self) -> dict[str, Any]:
        """Losses of the coupling, a word and the reason for it.

        See :class:`rayot.solvers.gromov.GromovCoupling`. The word is "check" where another coupling
        agrees with the distances about as well.

        Raises
        ------
        RuntimeError
            If the model is not trained, or an early version saved it without them.
        """
        if self.diagnostics_ is None:
            raise RuntimeError(
                "The model was saved by an early version, without diagnostics; fit it again."
                if self._is_trained
                else "Train the model first."
            )
        return dict(self.diagnostics_)

    @public()
    def train(
        self,
        *,
        max_steps: int | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool = True,
    ) -> None:
        """Couple the training cells and fit the flow; fills ``history`` and ``diagnostics``.

        Parameters
        ----------
        max_steps, batch_size
            Steps of the flow, and pairs drawn at each; None takes the preset's.
        show_progress_bar
            Whether a progress bar is shown.

        Raises
        ------
        ValueError
            If an option is out of range.
        FloatingPointError
            If the loss becomes NaN or infinite, or the coupling underflows.
        """
        if self._cells is None:
            raise RuntimeError(NO_CELLS)
        settings = self.settings.with_limits(max_steps, batch_size)
        self.settings = settings.with_batch_for(len(self._cells[0]))
        self.module.settings = self.settings
        source, target = self._cells
        columns, self.diagnostics_ = train_translation(
            self.module, source, target, self._shared, progress=show_progress_bar
        )
        self._history = {"velocity": pd.DataFrame(columns).set_index("step")}
        self._is_trained = True

    @public()
    @shared
    def predict(
        self,
        adata: AnnData | MuData,
        *,
        n_samples: int | None = None,
        missing_genes: Literal["error", "zero", "mean"] = "error",
    ) -> AnnData:
        """Translate cells of the source modality.

        Parameters
        ----------
        adata
            Cells of the source modality, or a MuData that has it.
        n_samples
            Samples of p(y | x) for each cell; None takes the setting.
        {missing_genes}

        Returns
        -------
        An AnnData in the target's features: ``X`` their mean, ``layers["sd"]`` their standard
        deviation, and ``obs["genot_sd"]`` the root mean square of it over features. With
        ``missing_genes="zero"`` or ``"mean"`` ``uns["genot"]["missing_genes"]`` says by what source
        genes were filled in, and ``uns["genot"]["n_missing_genes"]`` how many.

        Raises
        ------
        RuntimeError
            If the model is not trained.
        ValueError
            If features are missing, and not to be filled in, or NaN.
        """
        self._check_trained("Train the model before it predicts.")
        cells = modality_of(adata, self.modalities[0]) if isinstance(adata, MuData) else adata
        rows = np.arange(cells.n_obs)
        values = _features(cells, rows, self.representations[0], self.modalities[0])
        filling = missing_genes != ERROR and self.representations[0] is None
        filled_in: dict[str, Any] = {}
        if filling:
            values, n_missing = self._filled(cells, values, missing_genes)
            filled_in = {
                Key.result.missing_genes: missing_genes,
                Key.result.n_missing_genes: n_missing,
            }
        elif self.representations[0] is None:
            values = values[:, checks.aligned_genes(cells.var_names, self.source_names)]
        elif values.shape[1] != len(self.source_names):
            raise ValueError(
                f"The model was fitted on {len(self.source_names)} features, found "
                f"{values.shape[1]}."
            )
        number = self.settings.n_samples if n_samples is None else n_samples
        if number < 1:
            raise ValueError(f"n_samples must be at least 1, found {number}.")
        samples = self.module.samples(torch.from_numpy(values), number)
        spread = samples.std(0, unbiased=False).numpy()
        predicted = AnnData(
            samples.mean(0).numpy(),
            obs=checks.table_of(cells).copy(),
            var=pd.DataFrame(index=pd.Index(self.target_names)),
            layers={"sd": spread},
            uns={Key.uns.result("genot"): filled_in} if filled_in else None,
        )
        predicted.obs[Key.obs.spread("genot")] = np.sqrt((spread**2).mean(1))
        return predicted

    def _filled(
        self, cells: AnnData, values: np.ndarray, missing_genes: str
    ) -> tuple[np.ndarray, int]:
        """Source features (n, d) of cells that may lack some, and how many they lack."""
        is_missing = missing_among(cells.var_names, self.source_names)
        n_missing = int(is_missing.sum())
        mean = self.module.source_mean.numpy()
        by = values_for(missing_genes, n_missing, mean, len(self.source_names))
        filled = np.repeat(by[None], len(values), axis=0)
        names = pd.Index(self.source_names)[~is_missing]
        filled[:, ~is_missing] = values[:, cells.var_names.get_indexer(names)]
        return filled, n_missing

    def parameters(self) -> dict[str, Any]:
        """Everything that was chosen for this fit, as plain values."""
        return {"preset": self.preset, **self.settings.to_json()}

    def _to_saved(self) -> tuple[dict[str, Any], saved.Arrays]:
        values = {
            "modalities": self.modalities,
            "representations": self.representations,
            "source_names": self.source_names,
            "target_names": self.target_names,
            "preset": self.preset,
            "seed": self.seed,
            "settings": self.settings.to_json(),
            "diagnostics": self.diagnostics_,
        }
        arrays = {name: value.numpy() for name, value in self.module.state_dict().items()}
        arrays["history"] = history_arrays(self.history)[1]["velocity"]
        return values, arrays

    @classmethod
    def _saved_fields(cls) -> Any:  # noqa: ANN401
        return SavedTranslation

    @classmethod
    def _restored(
        cls, values: dict[str, Any], arrays: saved.Arrays, representation: Representation | None
    ) -> Self:
        if representation is not None:
            raise ValueError("it was fitted in entries of obsm, which no representation replaces.")
        settings = saved.settings_of(TranslationSettings, values["settings"], values["preset"])
        assert isinstance(settings, TranslationSettings)
        names = values["source_names"], values["target_names"]
        for of_side, side in zip(names, ("source_names", "target_names"), strict=True):
            checks.unique(of_side, side)
        curve = {"velocity": arrays.pop("history", np.zeros(0))}
        history = saved.history_of({"velocity": ["loss"]}, curve)
        build = partial(Translation, len(names[0]), len(names[1]), settings, values["seed"])
        saved.check_module(arrays, settings, Translation.counts(settings), build)
        reps = values["representations"]
        model = cls(
            LOADED,
            *values["modalities"],
            source_rep=reps[0],
            target_rep=reps[1],
            preset=values["preset"],
            seed=values["seed"],
            **vars(settings),
        )
        model._describe(*names)
        model.module.load_state_dict(saved.tensors(arrays))
        model.module.eval()
        model.diagnostics_, model._history = values.get("diagnostics"), history
        model._is_trained = True
        return model


def _check_split(
    mdata: MuData, sides: Sequence[AnnData], modalities: Sequence[str], split_key: str | None
) -> None:
    """Raise a ValueError if a split is there, but not in both modalities."""
    if split_key is None:
        return
    have = [name for name, side in zip(modalities, sides, strict=True) if split_key in side.obs]
    if not have and split_key in mdata.obs:
        raise ValueError(
            f"mdata.obs[{split_key!r}] is not in the modalities, so its test cells would be "
            f"fitted; call mdata.push_obs([{split_key!r}]), or pass split_key=None to fit all."
        )
    if len(have) == 1:
        (lacking,) = set(modalities) - set(have)
        raise ValueError(
            f"The modality {have[0]!r} has obs[{split_key!r}] and {lacking!r} has not, so its test "
            f"cells would be fitted; copy the column to both, or pass split_key=None to fit all."
        )


def _training(adata: AnnData, split_key: str | None) -> np.ndarray:
    missing_default = split_key == Key.obs.split and split_key not in adata.obs.columns
    if split_key is None or missing_default:
        return np.arange(adata.n_obs)
    return np.flatnonzero(checks.in_category(adata, split_key, Key.obs.train))


def _features(adata: AnnData, rows: np.ndarray, rep: str | None, modality: str) -> np.ndarray:
    if rep is None:
        values = dense(expression_of(adata, None, rows))
    else:
        if rep not in adata.obsm:
            raise KeyError(
                f"The modality {modality!r} has no obsm[{rep!r}]; it has {sorted(adata.obsm)}."
            )
        values = np.asarray(adata.obsm[rep])[rows]
    values = np.ascontiguousarray(values, dtype=np.float32)
    if not np.isfinite(values).all():
        raise ValueError(f"Cells of the modality {modality!r} have NaN or infinite values.")
    return values


def _names(adata: AnnData, rep: str | None) -> list[str]:
    if rep is None:
        return list(map(str, adata.var_names))
    return [f"{rep}_{number + 1}" for number in range(np.asarray(adata.obsm[rep]).shape[1])]
