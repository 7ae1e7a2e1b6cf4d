"""The verbs of the methods: a function each. ``verb`` adds what all of them share."""

from __future__ import annotations

from typing import Unpack

from anndata import AnnData
from mudata import MuData

from rayot.model import (
    CPA,
    GENOT,
    OTCFM,
    W1OT,
    W2OT,
    Additive,
    Biolord,
    CellTypeShift,
    CinemaOT,
    DiscreteOT,
    FixedStep,
    GaussianOT,
    Identity,
    MeanShift,
    Nearest,
    QuantileMap,
    Ridge,
    ScGen,
)
from rayot.tl._options import JointOptions, Options
from rayot.tl._translate import translates_too
from rayot.tl._verb import fit, verb


@verb
def w1ot(
    adata: AnnData | MuData, source_key: str, target_key: str, **options: Unpack[Options]
) -> W1OT:
    return fit(W1OT, adata, source_key, target_key, **options)


@verb
def w2ot(
    adata: AnnData | MuData, source_key: str, target_key: str, **options: Unpack[Options]
) -> W2OT:
    return fit(W2OT, adata, source_key, target_key, **options)


@translates_too
@verb
def genot(
    adata: AnnData | MuData, source_key: str, target_key: str, **options: Unpack[Options]
) -> GENOT:
    return fit(GENOT, adata, source_key, target_key, **options)


@verb
def otcfm(
    adata: AnnData | MuData, source_key: str, target_key: str, **options: Unpack[Options]
) -> OTCFM:
    return fit(OTCFM, adata, source_key, target_key, **options)


@verb
def cinemaot(
    adata: AnnData | MuData, source_key: str, target_key: str, **options: Unpack[Options]
) -> CinemaOT:
    return fit(CinemaOT, adata, source_key, target_key, **options)


@verb
def scgen(
    adata: AnnData | MuData, source_key: str, target_key: str, **options: Unpack[Options]
) -> ScGen:
    return fit(ScGen, adata, source_key, target_key, **options)


@verb
def cpa(
    adata: AnnData | MuData, source_key: str, target_key: str, **options: Unpack[JointOptions]
) -> CPA:
    return fit(CPA, adata, source_key, target_key, **options)


@verb
def biolord(
    adata: AnnData | MuData, source_key: str, target_key: str, **options: Unpack[JointOptions]
) -> Biolord:
    return fit(Biolord, adata, source_key, target_key, **options)


@verb
def fixed_step(
    adata: AnnData | MuData, source_key: str, target_key: str, **options: Unpack[Options]
) -> FixedStep:
    return fit(FixedStep, adata, source_key, target_key, **options)


@verb
def discrete_ot(
    adata: AnnData | MuData, source_key: str, target_key: str, **options: Unpack[Options]
) -> DiscreteOT:
    return fit(DiscreteOT, adata, source_key, target_key, **options)


@verb
def gaussian_ot(
    adata: AnnData | MuData, source_key: str, target_key: str, **options: Unpack[Options]
) -> GaussianOT:
    return fit(GaussianOT, adata, source_key, target_key, **options)


@verb
def quantile_map(
    adata: AnnData | MuData, source_key: str, target_key: str, **options: Unpack[Options]
) -> QuantileMap:
    return fit(QuantileMap, adata, source_key, target_key, **options)


@verb
def mean_shift(
    adata: AnnData | MuData, source_key: str, target_key: str, **options: Unpack[Options]
) -> MeanShift:
    return fit(MeanShift, adata, source_key, target_key, **options)


@verb
def celltype_shift(
    adata: AnnData | MuData, source_key: str, target_key: str, **options: Unpack[Options]
) -> CellTypeShift:
    return fit(CellTypeShift, adata, source_key, target_key, **options)


@verb
def nearest(
    adata: AnnData | MuData, source_key: str, target_key: str, **options: Unpack[Options]
) -> Nearest:
    return fit(Nearest, adata, source_key, target_key, **options)


@verb
def additive(
    adata: AnnData | MuData, source_key: str, target_key: str, **options: Unpack[Options]
) -> Additive:
    return fit(Additive, adata, source_key, target_key, **options)


@verb
def ridge(
    adata: AnnData | MuData, source_key: str, target_key: str, **options: Unpack[Options]
) -> Ridge:
    return fit(Ridge, adata, source_key, target_key, **options)


@verb
def identity(
    adata: AnnData | MuData, source_key: str, target_key: str, **options: Unpack[Options]
) -> Identity:
    return fit(Identity, adata, source_key, target_key, **options)
