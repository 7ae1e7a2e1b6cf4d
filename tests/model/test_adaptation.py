"""A few treated cells of a stratum that the fit has not seen."""

import anndata as ad
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import torch
from hypothesis import given, settings
from mudata import MuData
from scipy import sparse
from scipy.stats import spearmanr
from simulated_cells import of_patient, patients

import rayot as rt
from rayot.data.matrix import dense
from rayot.metrics import energy_distance
from rayot.model.adaptation import GENES, REPRESENTATION, Adaptation

# What a fit says of new strata is tested elsewhere.
pytestmark = pytest.mark.filterwarnings("ignore:The fit has not seen")

FIT = {"preset": "fast", "show_progress_bar": False, "n_seeds": 1}


def few_of(adata, n, patient="P4", first=0):
    """All control cells of a patient and so many treated ones."""
    rows = [
        of_patient(adata, patient, "control"),
        of_patient(adata, patient, "drug", slice(first, first + n)),
    ]
    return adata[np.concatenate(rows)].copy()


def fitted(adata, verb="w1ot", **options):
    fit = FIT if verb == "w1ot" else {"show_progress_bar": False}
    if "patient" in adata.obs and "split" not in adata.obs:
        rt.pp.split(adata, holdout={"patient": ["P4"]})
    options = {"strata_key": "patient", **fit, **options}
    return getattr(rt.tl, verb)(adata, "control", "drug", **options)


@pytest.fixture(scope="module")
def cells():
    """Four patients who answer much alike, and P4 who answers twice as strongly."""
    return patients([1.0, 1.2, 0.8, 1.1, 2.0])


@pytest.fixture(scope="module")
def model(cells):
    return fitted(cells, max_steps=100)


def predicted(model, adata, patient="P4"):
    """Predicted control cells."""
    return model.predict(adata[of_patient(adata, patient, "control")].copy())


def distance(found, adata):
    """To treated cells that no adaptation of these tests has seen."""
    truth = adata[of_patient(adata, "P4", "drug", slice(60, None))].X.toarray()
    return energy_distance(dense(found.X), truth)


def test_more_cells_bring_predictions_nearer(cells, model):
    start = distance(predicted(model, cells), cells)
    ends = [
        distance(predicted(model.adapt(few_of(cells, n), "P4"), cells), cells)
        for n in (1, 10, 30, 60)
    ]
    assert ends[0] < start + 0.05
    assert ends[3] < ends[2] < ends[1] < start
    assert ends[3] < 0.5 * start


def test_spaces_and_numbers_agree(cells, model):
    found = predicted(model.adapt(few_of(cells, 30), "P4"), cells)
    before = predicted(model, cells)
    control = cells[of_patient(cells, "P4", "control")].X.toarray()
    steps = np.linalg.norm(found.obsm["X_w1ot"] - control, axis=1)
    np.testing.assert_allclose(found.obs["w1ot_step"], steps, rtol=1e-4)
    assert found.obs["w1ot_step"].mean() > before.obs["w1ot_step"].mean()
    np.testing.assert_array_equal(found.obs["w1ot_potential"], before.obs["w1ot_potential"])
    assert sparse.issparse(found.X) and (found.X.data > 0).all()
    told = found.uns["w1ot"]["adapted_strata"]
    assert told["names"].tolist() == ["P4"] and told["n_cells"].tolist() == [30]


def test_the_share_follows_from_strata_that_were_left_out(cells, model):
    adapted = model.adapt(few_of(cells, 30), "P4").adaptations["P4"]
    moved = predicted(model, cells)
    own = moved.obsm["X_w1ot"] if "X_w1ot" in moved.obsm else moved.X.toarray()
    spread = torch.pdist(torch.from_numpy(own)).mean()
    left = model.unseen_strata
    error = left["residual_energy_distance"].mean()
    # Experts leave another share than the map alone.
    error *= left["left_stacked"].mean() / max(left["left_map"].mean(), 0.01)
    assert np.isclose(adapted.share, 30 / (30 + min(300, spread / max(error, 1e-12))), rtol=0.05)
    blind = fitted(cells.copy(), max_steps=20, leave_out_strata=False)
    assert np.isclose(blind.adapt(few_of(cells, 30), "P4").adaptations["P4"].share, 0.6)


@given(
    n=st.integers(1, 400),
    error=st.floats(0.01, 3),
    seed=st.integers(0, 99),
)
@settings(max_examples=30, deadline=None)
def test_the_share_is_the_best_one(n, error, seed):
    # (1 - w)^2 D + w^2 V / n is least there.
    cells = np.random.default_rng(seed).normal(size=(200, 3)).astype(np.float32)
    adapted = Adaptation.of(
        {REPRESENTATION: cells},
        {REPRESENTATION: cells[:1].repeat(n, 0)},
        (np.ones(200), np.ones(n)),
        error,
        np.zeros(0, dtype=np.uint64),
    )
    spread = float(torch.pdist(torch.from_numpy(cells)).mean())
    if spread / error < 300:
        shares = np.linspace(0, 1, 2001)
        best = shares[np.argmin((1 - shares) ** 2 * error + shares**2 * spread / n)]
        assert abs(adapted.share - best) < 1e-3


@given(seed=st.integers(0, 99), n=st.integers(1, 200))
@settings(max_examples=20, deadline=None)
def test_cells_keep_their_ranks_and_features_become_mixtures(seed, n):
    rng = np.random.default_rng(seed)
    cells = np.maximum(rng.normal(0.5, 1, (500, 4)), 0).astype(np.float32)
    truth = np.maximum(rng.normal(1.5, 1, (n, 4)), 0).astype(np.float32)
    spaces = ({REPRESENTATION: cells, GENES: cells}, {REPRESENTATION: truth, GENES: truth})
    no_names = np.zeros(0, dtype=np.uint64)
    adapted = Adaptation.of(*spaces, (np.ones(500), np.ones(n)), 0.5, no_names)
    names = np.arange(500).astype(str), np.arange(4).astype(str)
    found = adapted(GENES, cells, *names, seed)
    for gene in range(4):
        positive = cells[:, gene] > 0
        assert spearmanr(cells[positive, gene], found[positive, gene]).statistic > 0.95
    of_both = adapted.share * (truth == 0).mean(0) + (1 - adapted.share) * (cells == 0).mean(0)
    # Zeros of 500 cells are parted by a draw.
    np.testing.assert_allclose((found == 0).mean(0), of_both, atol=0.06)
    means = adapted.share * truth.mean(0) + (1 - adapted.share) * cells.mean(0)
    np.testing.assert_allclose(found.mean(0), means, atol=0.1)


def test_other_strata_keep_their_bits_and_blocks_do_not_matter(cells, model):
    adapted = model.adapt(few_of(cells, 20), "P4")
    seen = cells[cells.obs["patient"] == "P1"].copy()
    assert (adapted.predict(seen).X != model.predict(seen).X).nnz == 0
    own = cells[of_patient(cells, "P4", "control")].copy()
    whole = adapted.predict(own)
    mixed = adapted.predict(ad.concat([seen, own[::-1]], join="outer", merge="same"))
    # Products of matrices of other sizes have other last digits.
    np.testing.assert_allclose(dense(mixed[own.obs_names].X), dense(whole.X), atol=1e-3)
    columns = ["w1ot_step", "w1ot_distance"]
    np.testing.assert_allclose(mixed.obs.loc[own.obs_names, columns], whole.obs[columns], rtol=1e-5)


def test_neither_the_model_nor_the_cells_are_changed(cells, model):
    few = few_of(cells, 20)
    before = few.copy()
    adapted = model.adapt(few, "P4")
    assert not model.adaptations and "adapted" not in repr(model)
    assert "adapted to 'P4' by 20 treated cells" in repr(adapted)
    assert (few.X != before.X).nnz == 0 and few.obs.equals(before.obs)
    assert list(few.uns) == list(before.uns) and list(few.layers) == list(before.layers)
    again = adapted.adapt(few_of(cells, 50), "P4")
    alone = model.adapt(few_of(cells, 50), "P4")
    assert (predicted(again, cells).X != predicted(alone, cells).X).nnz == 0
    assert again.adaptations["P4"].n_cells == 50 and adapted.adaptations["P4"].n_cells == 20


def test_strata_are_added(cells, model):
    renamed = few_of(cells, 25)
    renamed.obs["patient"] = "P9"
    both = model.adapt(few_of(cells, 20), "P4").adapt(renamed, "P9")
    assert {name: of.n_cells for name, of in both.adaptations.items()} == {"P4": 20, "P9": 25}
    own = cells[of_patient(cells, "P4", "control")].copy()
    own.obs["patient"] = np.repeat(["P4", "P9"], [60, 60])
    found = both.predict(own)
    for patient, model_of in (("P4", model.adapt(few_of(cells, 20), "P4")), ("P9", both)):
        part = own[own.obs["patient"] == patient].copy()
        expected = model_of.predict(part).X
        np.testing.assert_allclose(dense(found[part.obs_names].X), dense(expected), atol=1e-3)


def test_saved_and_loaded(cells, model, tmp_path, saved_folder):
    adapted = model.adapt(few_of(cells, 20), "P4")
    adapted.save(tmp_path / "model")
    loaded = rt.model.W1OT.load(tmp_path / "model")
    assert (predicted(loaded, cells).X != predicted(adapted, cells).X).nnz == 0
    assert loaded.adaptations["P4"].share == adapted.adaptations["P4"].share
    # A model that was loaded can be adapted as well.
    model.save(tmp_path / "plain")
    plain = rt.model.W1OT.load(tmp_path / "plain").adapt(few_of(cells, 20), "P4")
    assert (predicted(plain, cells).X != predicted(adapted, cells).X).nnz == 0
    folder = saved_folder(tmp_path / "model")
    whole, arrays = folder.values, folder.arrays

    def is_refused(message, values=None, changed=None):
        folder.sign({**whole, "strata": {**whole["strata"], **(values or {})}})
        folder.replace_arrays({**arrays, **(changed or {})})
        with pytest.raises(ValueError, match=message):
            rt.model.W1OT.load(tmp_path / "model")

    one = whole["strata"]["adapted"][0]
    is_refused("more than once", {"adapted": [{**one, "name": "P1"}]})
    is_refused("out of range", {"adapted": [{**one, "share": 1.5}]})
    is_refused("must be a whole number", {"adapted": [{**one, "n_cells": "many"}]})
    is_refused("adaptation", {"adapted": [one, {**one, "name": "P7"}]})
    is_refused("which is not known", {"adapted": []})
    name = "adaptation.genes.observed.quantiles"
    is_refused("not ascending", changed={name: arrays[name][:, :, ::-1].copy()})


def test_the_cells_are_known_as_long_as_they_count(cells):
    model = fitted(cells.copy(), max_steps=10)
    n_fitted = len(model.split.training_cells)
    adapted = model.adapt(few_of(cells, 20), "P4")
    assert len(adapted.split.training_cells) == n_fitted + 20
    assert len(adapted.adapt(few_of(cells, 5), "P4").split.training_cells) == n_fitted + 5
    adapted.train(max_steps=10, show_progress_bar=False)
    assert not adapted.adaptations and len(adapted.split.training_cells) == n_fitted


def test_few_control_cells_do_not_narrow_what_is_predicted(cells):
    model = fitted(cells.copy(), "quantile_map")
    control, treated = (of_patient(cells, "P4", name) for name in ("control", "drug"))
    others = cells[control[20:]].copy()
    plain = dense(model.predict(others).X)
    for first in range(0, 20, 10):
        pilot = cells[np.concatenate([control[first : first + 10], treated[:1]])].copy()
        adapted = dense(model.adapt(pilot, "P4").predict(others).X)
        ratio = adapted.std(0).mean() / plain.std(0).mean()
        assert 0.97 < ratio < 1.1
        assert np.abs(adapted - plain).mean() < 0.1


def test_cells_of_which_no_stratum_is_known(cells, model):
    adapted = model.adapt(few_of(cells, 20), "P4")
    own = cells[of_patient(cells, "P4", "control")].copy()
    other = own.copy()
    other.obs["patient"] = "P8"
    assert len(adapted.predict(other).uns["w1ot"]["adapted_strata"]["names"]) == 0
    del own.obs["patient"]
    with pytest.warns(UserWarning, match="no column 'patient'.*'P4', which the model was adapted"):
        found = adapted.predict(own)
    assert len(found.uns["w1ot"]["adapted_strata"]["names"]) == 0


def test_one_cell_says_no_more_than_the_fit():
    adata = patients([0.3, 3.0, -2.0, 1.1, 6.0])
    model = fitted(adata, max_steps=60)
    own = adata[of_patient(adata, "P4", "control")].copy()
    few, many = (model.adapt(few_of(adata, n), "P4").predict(own) for n in (1, 100))
    assert few.uns["w1ot"]["unseen_strata"]["names"].tolist() == ["P4"]
    assert many.uns["w1ot"]["adapted_strata"]["share"][0] > 0.5
    assert "unseen_strata" not in many.uns["w1ot"]


def test_doses(cells):
    adata = cells.copy()
    drug = (adata.obs["perturbation"] == "drug").to_numpy()
    adata.obs["dose"] = np.where(drug, np.where(np.arange(len(drug)) % 2 == 0, 1.0, 10.0), np.nan)
    rt.pp.split(adata, holdout={"patient": ["P4"]})
    options = {"strata_key": "patient", "dose_key": "dose", "covariate_keys": None}
    model = rt.tl.cpa(adata, "control", "drug", max_steps=5, show_progress_bar=False, **options).at(
        dose=10.0
    )
    few = few_of(adata, 40)
    assert model.adapt(few, "P4").adaptations["P4"].n_cells == 20
    del few.obs["dose"]
    with pytest.raises(KeyError, match="no column 'dose'"):
        model.adapt(few, "P4")


def test_cells_that_were_adapted_with_are_not_scored(cells, model):
    few = few_of(cells, 40)
    adapted = model.adapt(few, "P4")
    with pytest.warns(UserWarning, match="40 cells with 'test'.*it was adapted with them"):
        table = rt.tl.evaluate(cells, adapted, metrics=["energy_distance"])
    plain = rt.tl.evaluate(cells, model, metrics=["energy_distance"])
    name = "way_energy_distance"
    assert table.loc["w1ot", name] > plain.loc["w1ot", name]


@pytest.mark.parametrize("kind", ["genes", "delta", "pca", "coordinates", "separate", "ensemble"])
def test_every_space_and_every_kind_of_map(cells, kind):
    adata = cells.copy()
    options = {"max_steps": 100}
    if kind == "delta":
        options["plan_kwargs"] = {"decode": "delta"}
    if kind in ("pca", "separate", "ensemble"):
        sc.pp.pca(adata, n_comps=6)
        options["use_rep"] = "X_pca"
    if kind == "coordinates":
        adata.obsm["X_other"] = adata.X.toarray()
        options["use_rep"] = "X_other"
    if kind == "separate":
        options["strata"] = "separate"
    if kind == "ensemble":
        options["n_seeds"] = 2
    model = fitted(adata, **options)
    few = few_of(adata, 50)
    adapted = model.adapt(few, "P4")
    own = adata[of_patient(adata, "P4", "control")].copy()
    found = adapted.predict(own)
    before = model.predict(own)
    rows = of_patient(adata, "P4", "drug", slice(60, None))
    for name in ("X_w1ot", None):
        if kind == "coordinates" and name is None:
            assert found.X is None
            continue
        if name is not None and name not in found.obsm:
            continue
        if name is None:
            truth, of = adata[rows].X.toarray(), lambda cells: dense(cells.X)
        else:
            use_rep = model.data.use_rep
            truth = adata[rows].X.toarray() if use_rep is None else adata.obsm[use_rep][rows]
            of = lambda cells: cells.obsm["X_w1ot"]  # noqa: E731
        assert energy_distance(of(found), truth) < 0.6 * energy_distance(of(before), truth)
    if kind == "ensemble":
        assert np.isfinite(found.layers["w1ot_sd"].toarray()).all()


@pytest.mark.parametrize("verb", ["quantile_map", "mean_shift", "identity", "w2ot", "cinemaot"])
def test_other_methods(cells, verb):
    model = fitted(cells.copy(), verb, **({"max_steps": 100} if verb == "w2ot" else {}))
    adapted = model.adapt(few_of(cells, 50), "P4")
    own = cells[of_patient(cells, "P4", "control")].copy()
    ends = [distance(each.predict(own), cells) for each in (model, adapted)]
    assert ends[1] < 0.6 * ends[0]


@pytest.mark.parametrize("container", ["view", "csc", "dense", "backed", "mudata", "reordered"])
def test_containers(cells, model, container, tmp_path):
    few, modality = few_of(cells, 20), None
    expected = predicted(model.adapt(few, "P4"), cells).X
    if container == "view":
        few = few_of(cells, 20)[:]
    elif container == "csc":
        few.X = few.X.tocsc()
    elif container == "dense":
        few.X = few.X.toarray()
    elif container == "backed":
        few.write_h5ad(tmp_path / "few.h5ad")
        few = ad.read_h5ad(tmp_path / "few.h5ad", backed="r")
    elif container == "mudata":
        few, modality = MuData({"rna": few}), "rna"
    else:
        few = few[:, ::-1].copy()
    adapted = model.adapt(few, "P4", modality=modality)
    assert (predicted(adapted, cells).X != expected).nnz == 0


def test_a_screen_and_a_file(cells, tmp_path):
    adata = cells.copy()
    rt.pp.split(adata, holdout={"patient": ["P4"]})
    screen = rt.tl.screen(
        adata, "control", strata_key="patient", max_steps=100, fdr=None, show_progress_bar=False
    )
    adapted = screen["drug"].adapt(few_of(cells, 50), "P4")
    # A screen leaves no strata out.
    assert np.isclose(adapted.adaptations["P4"].share, 50 / 70)
    own = cells[of_patient(cells, "P4", "control")].copy()
    ends = [distance(each.predict(own), cells) for each in (screen["drug"], adapted)]
    assert ends[1] < 0.6 * ends[0]
    written = adapted.predict(own, write=tmp_path / "predicted.h5ad").to_memory()
    assert (written.X != adapted.predict(own).X).nnz == 0
    assert written.uns["w1ot"]["adapted_strata"]["n_cells"].tolist() == [50]


def test_weights(cells):
    adata = cells.copy()
    adata.obs["weight"] = 1.0
    model = fitted(adata, max_steps=10, weights_key="weight")
    few = few_of(adata, 40)
    drug = few.obs["perturbation"] == "drug"
    few.obs.loc[drug, "weight"] = np.repeat([1.0, 0.0], 20)
    assert model.adapt(few, "P4").adaptations["P4"].n_cells == 20


@pytest.mark.parametrize(
    ("change", "stratum", "error", "message"),
    [
        (lambda few: few, "P1", ValueError, "The fit has seen cells of 'P1'"),
        (lambda few: few, "P7", ValueError, "no category 'P7'.*It has: 'P4'"),
        (
            lambda few: few[few.obs["perturbation"] == "control"],
            "P4",
            ValueError,
            "'P4' has 0 cells of 'drug'",
        ),
        (
            lambda few: few[few.obs["perturbation"] == "drug"],
            "P4",
            ValueError,
            "'P4' has 0 cells of 'control'.*10 cells of 'control' at least",
        ),
        (lambda few: few[:, :5], "P4", ValueError, "lack 7 of the 12 genes"),
        (lambda few: few.obs.drop(columns="patient"), "P4", KeyError, "no column 'patient'"),
        (
            lambda few: few.obs.drop(columns="perturbation"),
            "P4",
            KeyError,
            "no column 'perturbation'",
        ),
        (lambda few: np.nan, "P4", ValueError, "NaN"),
        (lambda few: few, ["P4"], ValueError, "stratum must be"),
    ],
)
def test_what_cannot_be(cells, model, change, stratum, error, message):
    few = few_of(cells, 20)
    changed = change(few)
    if isinstance(changed, pd.DataFrame):
        few.obs = changed
    elif isinstance(changed, float):
        few.X[3, 2] = changed
    else:
        few = changed
    with pytest.raises(error, match=message):
        model.adapt(few, stratum)


def test_what_cannot_be_of_a_model(cells):
    with pytest.raises(ValueError, match="without strata_key"):
        fitted(cells.copy(), "mean_shift", strata_key=None).adapt(few_of(cells, 20), "P4")
    data = rt.model.W1OT.setup_anndata(cells, strata_key="patient")
    with pytest.raises(RuntimeError, match="before it is adapted"):
        rt.model.W1OT(cells, data, "control", "drug").adapt(few_of(cells, 20), "P4")


def test_the_way_back_and_counts_are_not_adapted(cells):
    adapted = fitted(cells.copy(), "w2ot", max_steps=20).adapt(few_of(cells, 20), "P4")
    assert not adapted.back().adaptations
    few = few_of(cells, 20)
    few.X = np.round(few.X.toarray() * 3)
    with pytest.raises(ValueError, match="raw counts"):
        adapted.adapt(few, "P4")


def test_a_patient_of_a_real_trial(real_data):
    adata = rt.datasets.gbm_panobinostat()
    rt.pp.split(adata, holdout={"patient": ["PW030"]})
    train = adata[adata.obs["split"] == "train"].copy()
    sc.pp.pca(train, n_comps=50)
    model = rt.tl.w1ot(
        train, "control", "panobinostat", use_rep="X_pca", strata_key="patient", **FIT
    )
    new = adata[adata.obs["patient"] == "PW030"]
    control = new[new.obs["perturbation"] == "control"].copy()
    treated = new[new.obs["perturbation"] == "panobinostat"].copy()
    few, truth = treated[:30], treated[30:].X.toarray()
    plain = model.predict(control)
    adapted = model.adapt(ad.concat([control, few]), "PW030").predict(control)
    start, before, after = (
        energy_distance(each.X.toarray(), truth) for each in (control, plain, adapted)
    )
    assert before > 0.3 * start and after < 0.2 * start
