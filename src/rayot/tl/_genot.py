"""The verb ``tl.genot``, within one space and between two."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, cleandoc, signature
from typing import TYPE_CHECKING, Any

import numpy as np

import rayot
from rayot._public import public
from rayot.data.keys import Key
from rayot.data.modality import modality_of
from rayot.tl._methods import genot as within_one_space
from rayot.tl._write import check_key, forget, plain

if TYPE_CHECKING:
    from mudata import MuData

    from rayot.model import GENOT, ModalityGENOT

BETWEEN = {
    **dict.fromkeys(
        ("source_modality", "target_modality", "source_rep", "target_rep"), "str | None"
    ),
    "fused_keys": "Sequence[str] | None",
}
"""Keywords of a translation between the modalities of a MuData, and what they are."""

DESCRIPTION = """
source_modality, target_modality
    Modalities of a MuData, in the place of ``source_key`` and ``target_key``: cells of the one are
    translated to the other, which :class:`rayot.model.ModalityGENOT` describes. Of the other
    keywords ``split_key``, ``allow_counts``, ``preset``, ``seed``, ``key_added``, ``max_steps``,
    ``batch_size``, ``show_progress_bar`` and ``plan_kwargs`` count then. Rows need not be paired.
    Written to the source modality: ``obsm["X_" + key]``, the mean translation,
    ``obs[key + "_sd"]``, its spread, and ``uns[key]``, whose ``diagnostics`` say whether the
    coupling leads over others.
source_rep, target_rep
    Entries of the modalities' ``obsm``; None takes ``X``.
fused_keys
    Entries of both modalities' ``obsm`` with features that both have, for a fused coupling.
"""


def _with_modalities(plain_verb: Callable[..., GENOT]) -> Callable[..., Any]:
    """The verb, which also takes two modalities."""
    known = list(signature(plain_verb).parameters.values())
    expected = signature(plain_verb).replace(
        parameters=[
            *(
                each.replace(default=None)
                if each.name.endswith("_key") and each.kind is Parameter.POSITIONAL_OR_KEYWORD
                else each
                for each in known[:-1]
            ),
            *(
                Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=kind)
                for name, kind in BETWEEN.items()
            ),
            known[-1],
        ]
    )

    def genot(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        found = {name: kwargs.pop(name) for name in BETWEEN if name in kwargs}
        given = {name: value for name, value in found.items() if value is not None}
        if not {"source_modality", "target_modality"} & set(given):
            if given:
                raise ValueError(
                    f"{', '.join(given)} need source_modality and target_modality of a MuData."
                )
            return plain_verb(*args, **kwargs)
        known = set(signature(_translate).parameters)
        if foreign := sorted(set(kwargs) - known):
            raise ValueError(
                f"{', '.join(foreign)} cannot be set for a translation between modalities; it "
                f"takes {sorted(known - {'mdata'})}."
            )
        if len(args) > 1:
            raise ValueError(
                "A translation between modalities takes no source_key and target_key; name "
                "source_modality and target_modality."
            )
        return _translate(*args, **{**given, **kwargs})

    assert plain_verb.__doc__ is not None
    split = "\n**trainer_kwargs"
    genot.__doc__ = plain_verb.__doc__.replace(split, f"\n{cleandoc(DESCRIPTION)}{split}", 1)
    genot.__signature__ = expected  # type: ignore[attr-defined]
    genot.__name__ = genot.__qualname__ = "genot"
    return public()(genot)


def _translate(
    mdata: MuData,
    *,
    source_modality: str | None = None,
    target_modality: str | None = None,
    source_rep: str | None = None,
    target_rep: str | None = None,
    fused_keys: tuple[str, str] | None = None,
    split_key: str | None = Key.obs.split,
    allow_counts: bool = False,
    preset: str = "fast",
    seed: int = 0,
    key_added: str = "genot",
    max_steps: int | None = None,
    batch_size: int | None = None,
    show_progress_bar: bool = True,
    plan_kwargs: dict[str, Any] | None = None,
) -> ModalityGENOT:
    from rayot.model import ModalityGENOT

    if source_modality is None or target_modality is None:
        raise ValueError("Name both source_modality and target_modality.")
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
    predicted = model.predict(mdata)
    cells = mdata.mod[source_modality]
    forget(cells, key_added)
    cells.obsm[Key.obsm.predicted(key_added)] = np.asarray(predicted.X)
    cells.obs[Key.obs.spread(key_added)] = predicted.obs[Key.obs.spread("genot")].to_numpy()
    cells.uns[Key.uns.result(key_added)] = {
        Key.translation.source: source_modality,
        Key.translation.target: target_modality,
        Key.translation.params: plain(model.parameters()),
        Key.translation.version: rayot.__version__,
        Key.translation.seed: seed,
        Key.translation.diagnostics: model.diagnostics,
    }
    return model


genot = _with_modalities(within_one_space)
