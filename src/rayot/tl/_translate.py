"""The verb ``tl.translate``, between the modalities of a MuData."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

import rayot
from rayot import _arguments as arguments
from rayot._docs import shared
from rayot._public import public, warn
from rayot.data.keys import Key
from rayot.data.modality import modality_of
from rayot.tl._write import check_key, forget, plain

if TYPE_CHECKING:
    from mudata import MuData

    from rayot.model import ModalityGENOT

Inputs = ParamSpec("Inputs")
Output = TypeVar("Output")


def two_names(name: str, value: object) -> tuple[str, ...]:
    """Two texts.

    Raises
    ------
    ValueError
        If it is something else.
    """
    names = tuple(arguments.texts(name, value))
    if len(names) != 2:
        raise arguments.refused(name, "an entry of each of the two modalities", value)
    return names


@public(fused_keys=two_names)
@shared
def translate(
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
    plan_kwargs: dict[str, Any] | None = None,
    seed: int = 0,
    max_steps: int | None = None,
    batch_size: int | None = None,
    show_progress_bar: bool = True,
    key_added: str = "translate",
) -> ModalityGENOT:
    """Learn what cells of one modality are in another, from cells that need not be paired.

    A coupling under which distances within both modalities agree (Gromov-Wasserstein), and a flow
    on it, as :func:`rayot.tl.genot` learns one, which gives each cell a distribution of what it is
    in the other modality. See :class:`rayot.model.ModalityGENOT`.

    Parameters
    ----------
    mdata
        Both modalities.
    source_modality, target_modality
        Where cells come from, and what they are translated to.
    source_rep, target_rep
        Entries of the modalities' ``obsm``; None takes ``X``.
    fused_keys
        Entries of the ``obsm`` of source and target with features that both have, for a fused
        coupling.
    split_key
        Column of ``obs`` of each modality with "train" and "test"; only training cells are fitted.
        None, or no column of the default name, fits all.
    {allow_counts}
    preset
        ``"fast"``, or ``"paper"``: entropic couplings of cosine distances.
    plan_kwargs
        Settings that differ from the preset's, see
        :class:`rayot.solvers.translation.TranslationSettings`.
    {seed}
    max_steps, batch_size
        Steps of the flow, and pairs drawn at each; None takes the preset's.
    {show_progress_bar}
    {key_added}

    Returns
    -------
    The fitted model. Written to the source modality (with ``key`` for ``key_added``):

    - ``obsm["X_" + key]``: the mean translation of each cell.
    - ``obs[key + "_sd"]``: its spread, the root mean square over features.
    - ``uns[key]``: modalities, parameters, package version, seed, and diagnostics, which say
      whether the coupling leads over others.

    Raises
    ------
    KeyError
        If a modality or a representation is missing.
    ValueError
        If a modality has fewer than 20 training cells or raw counts, values are NaN, fused
        features of both sides are not as many, only one modality has the split, an option is out of
        range. ``mdata`` is then as it was.

    Examples
    --------
    >>> import rayot as rt
    >>> from mudata import MuData
    >>> mdata = MuData({name: rt.datasets.moons(n_samples=60, seed=0) for name in ("a", "b")})
    >>> model = rt.tl.translate(mdata, "a", "b", max_steps=10, show_progress_bar=False)
    >>> mdata["a"].obsm["X_translate"].shape
    (120, 2)
    """
    from rayot.model import ModalityGENOT

    check_key(modality_of(mdata, source_modality), key_added, copy=False)
    model = ModalityGENOT(
        mdata,
        source_modality,
        target_modality,
        source_rep=source_rep,
        target_rep=target_rep,
        fused_keys=fused_keys,
        split_key=split_key,
        allow_counts=allow_counts,
        preset=preset,
        seed=seed,
        **(plan_kwargs or {}),
    )
    model.train(max_steps=max_steps, batch_size=batch_size, show_progress_bar=show_progress_bar)
    _write(mdata, model, key_added)
    return model


def _write(mdata: MuData, model: ModalityGENOT, key: str) -> None:
    """Write the translation of all cells to the source modality."""
    source, target = model.modalities
    predicted = model.predict(mdata)
    cells = mdata.mod[source]
    forget(cells, key)
    cells.obsm[Key.obsm.predicted(key)] = np.asarray(predicted.X)
    cells.obs[Key.obs.spread(key)] = predicted.obs[Key.obs.spread("genot")].to_numpy()
    cells.uns[Key.uns.result(key)] = {
        Key.translation.source: source,
        Key.translation.target: target,
        Key.translation.params: plain(model.parameters()),
        Key.translation.version: rayot.__version__,
        Key.translation.seed: model.seed,
        Key.translation.diagnostics: model.diagnostics,
    }


def translates_too(genot: Callable[Inputs, Output]) -> Callable[Inputs, Output]:
    """Let ``tl.genot`` translate between modalities for one more release, with a warning."""

    @wraps(genot)
    def either(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        modalities = ("source_modality", "target_modality")
        names = (*modalities, "source_rep", "target_rep", "fused_keys")
        asked = {name: kwargs.pop(name) for name in names if name in kwargs}
        asked = {name: value for name, value in asked.items() if value is not None}
        if asked and not any(name in asked for name in modalities):
            raise ValueError(
                f"{', '.join(asked)}: of a translation between modalities, see rayot.tl.translate."
            )
        if not asked:
            return genot(*args, **kwargs)
        warn(
            "Between modalities call tl.translate(mdata, source_modality, target_modality, "
            "key_added='genot'); the next release of tl.genot does not translate.",
            FutureWarning,
        )
        return translate(*args, **{"key_added": "genot", **kwargs, **asked})

    return either
