import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import rayot as rt


def split(adata):
    control = (adata.obs["perturbation"] == "control").to_numpy()
    return control, ~control


def test_what_is_in_it(tmp_path):
    adata = rt.datasets.simulated(50, 30, 4)
    assert adata.shape == (100, 30)
    for matrix in (adata.X, *adata.layers.values()):
        assert isinstance(matrix, sparse.csr_matrix) and matrix.dtype == np.float32
    assert list(adata.obs["perturbation"].cat.categories) == ["control", "perturbed"]
    assert adata.obs["perturbation"].value_counts().to_dict() == {"control": 50, "perturbed": 50}
    assert list(adata.obs["cell_type"].cat.categories) == ["type_0", "type_1", "type_2", "type_3"]
    assert adata.varm["true_log_fold_change"].shape == (30, 4)
    adata.write_h5ad(tmp_path / "simulated.h5ad")


@settings(max_examples=20, deadline=None)
@given(
    n_cells=st.integers(1, 20),
    n_genes=st.integers(1, 30),
    n_cell_types=st.integers(1, 5),
    dispersion=st.sampled_from([0.0, 0.1, 2.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_x_is_the_log_of_normalised_counts(n_cells, n_genes, n_cell_types, dispersion, seed):
    adata = rt.datasets.simulated(n_cells, n_genes, n_cell_types, dispersion=dispersion, seed=seed)
    counts = adata.layers["counts"].toarray().astype(float)
    assert (counts >= 0).all() and np.array_equal(counts, np.round(counts))
    scale = 870 / adata.obs["library_size"].to_numpy(float)[:, None]
    assert np.allclose(adata.X.toarray(), np.log1p(scale * counts), rtol=1e-5)
    assert "counts per 870" in adata.uns["x_description"]
    _, perturbed = split(adata)
    for name in ("counterfactual", "second_counterfactual"):
        answer = adata.layers[name].toarray()
        assert np.array_equal(answer[perturbed], adata.X.toarray()[perturbed])


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_without_an_effect_the_counterfactual_is_the_cell_itself(seed):
    adata = rt.datasets.simulated(30, 20, effect_size=0.0, seed=seed)
    assert (adata.X != adata.layers["counterfactual"]).nnz == 0
    assert not adata.var["perturbed"].any()


def test_the_counterfactual_follows_the_sign_of_the_response_cell_by_cell():
    adata = rt.datasets.simulated(200, 60, 4, seed=3)
    control, _ = split(adata)
    kind = adata.obs["cell_type"][control]
    response = adata.varm["true_log_fold_change"][kind].to_numpy().T
    for name in ("counterfactual", "second_counterfactual"):
        change = (adata.layers[name] - adata.X).toarray()[control]
        assert (change[response == 0] == 0).all()
        assert (change[response > 0] >= 0).all() and (change[response > 0] > 0).any()
        assert (change[response < 0] <= 0).all() and (change[response < 0] < 0).any()


def test_two_counterfactuals_of_a_cell_differ_by_chance_alone():
    adata = rt.datasets.simulated(4000, 40, 2, seed=1)
    control, perturbed = split(adata)
    first, second = (
        adata.layers[name].toarray()[control]
        for name in ("counterfactual", "second_counterfactual")
    )
    assert not np.array_equal(first, second)
    assert np.abs(first.mean(axis=0) - second.mean(axis=0)).max() < 0.05
    other = adata.X.toarray()[perturbed]
    apart = [np.linalg.norm(first - cells, axis=1).mean() for cells in (second, other)]
    assert apart[0] < apart[1]


def test_the_counterfactual_is_distributed_as_the_perturbed_cells():
    adata = rt.datasets.simulated(4000, 40, 2, effect_size=1.5, library_size=40_000, seed=1)
    control, perturbed = split(adata)
    x, answer = adata.X.toarray(), adata.layers["counterfactual"].toarray()
    moved = np.abs(x[control].mean(axis=0) - x[perturbed].mean(axis=0)).max()
    left = np.abs(answer[control].mean(axis=0) - x[perturbed].mean(axis=0)).max()
    assert moved > 1
    assert left < 0.15
    spread = answer[control].std(axis=0) / x[perturbed].std(axis=0)
    assert np.allclose(spread, 1, atol=0.1)


def test_expected_counts_follow_the_true_fold_change():
    adata = rt.datasets.simulated(
        6000, 40, 2, heterogeneity=0.0, non_responders=0, dispersion=0, library_size=40_000, seed=2
    )
    control, perturbed = split(adata)
    counts = adata.layers["counts"].toarray()
    for cell_type in adata.obs["cell_type"].cat.categories:
        inside = (adata.obs["cell_type"] == cell_type).to_numpy()
        before = counts[control & inside].mean(axis=0)
        after = counts[perturbed & inside].mean(axis=0)
        truth = adata.varm["true_log_fold_change"][cell_type].to_numpy()
        often = before > 5
        assert often.sum() > 10
        assert np.allclose(np.log2(after / before)[often], truth[often], atol=0.1)


def test_the_response_differs_between_types_and_within_a_type():
    adata = rt.datasets.simulated(500, 100, 3, heterogeneity=0.8, non_responders=0)
    truth = adata.varm["true_log_fold_change"]
    assert not np.allclose(truth["type_0"], truth["type_1"])
    assert np.array_equal(adata.var["perturbed"], (truth != 0).any(axis=1))
    strength = adata.obs["response_strength"]
    assert strength.min() >= 0.2 - 1e-6 and strength.max() <= 1.8 + 1e-6
    assert strength.groupby(adata.obs["cell_type"], observed=True).std().min() > 0.2
    same = rt.datasets.simulated(20, 10, heterogeneity=0.0, non_responders=0)
    assert (same.obs["response_strength"] == 1).all()


def test_types_share_as_many_genes_as_asked():
    def types_of_genes(shared):
        adata = rt.datasets.simulated(20, 200, 4, responding=0.3, shared=shared)
        truth = adata.varm["true_log_fold_change"].to_numpy()
        assert adata.var["perturbed"].sum() == 60
        return (truth != 0).sum(axis=1)[adata.var["perturbed"]]

    assert (types_of_genes(1) == 4).all()
    assert (types_of_genes(0) == 2).all()
    assert set(types_of_genes(0.5)) == {2, 4}


def test_the_responsive_lineage_answers_in_more_genes_and_has_larger_libraries():
    adata = rt.datasets.simulated(500, 400, 7)
    responsive = ["type_0", "type_3", "type_6"]
    genes = (adata.varm["true_log_fold_change"] != 0).sum()
    library = adata.obs.groupby("cell_type", observed=True)["library_size"].median()
    for table in (genes, library):
        assert table[responsive].min() > 1.5 * table.drop(responsive).max()
    frequency = adata.obs["cell_type"].value_counts(sort=False)
    assert frequency["type_0"] > frequency["type_2"] > frequency["type_6"]


def test_one_type_alone_has_the_library_size_asked_for():
    adata = rt.datasets.simulated(2000, 20, 1, library_size=500)
    assert np.median(adata.obs["library_size"]) == pytest.approx(500, rel=0.05)
    assert adata.var["perturbed"].sum() == 10


def test_cells_that_do_not_answer_stay_as_they_are():
    adata = rt.datasets.simulated(1000, 30, non_responders=0.3, seed=4)
    control, _ = split(adata)
    silent = (adata.obs["response_strength"] == 0).to_numpy()
    assert silent.mean() == pytest.approx(0.3, abs=0.05)
    same = silent & control
    assert (adata.X[same] != adata.layers["counterfactual"][same]).nnz == 0
    changed = (adata.X[~silent & control] != adata.layers["counterfactual"][~silent & control]).nnz
    assert changed > 0
    all_answer = rt.datasets.simulated(20, 10, non_responders=0)
    assert (all_answer.obs["response_strength"] > 0).all()


def test_dispersion_spreads_the_counts():
    def variance(dispersion):
        adata = rt.datasets.simulated(3000, 10, 1, dispersion=dispersion, seed=5)
        return adata.layers["counts"].toarray().var(axis=0)

    assert (variance(2.0) > variance(0.0)).all()


def test_the_largest_arguments_can_be_drawn():
    adata = rt.datasets.simulated(
        200, 50, effect_size=3, heterogeneity=1, dispersion=10, library_size=1e6
    )
    assert np.isfinite(adata.X.data).all()


def test_the_seed_decides():
    draw = rt.datasets.simulated
    assert (draw(20, 10, seed=1).X != draw(20, 10, seed=1).X).nnz == 0
    assert (draw(20, 10, seed=1).X != draw(20, 10, seed=2).X).nnz > 0


def test_genes_can_be_drawn_apart_from_cells():
    draw = rt.datasets.simulated
    first, second = (draw(20, 10, seed=seed, gene_seed=7) for seed in (1, 2))
    assert (first.X != second.X).nnz > 0
    assert first.var.equals(second.var)
    assert not first.var.equals(draw(20, 10, seed=1, gene_seed=8).var)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_cells": 0}, r"n_cells must be a whole number of at least 1, found 0\."),
        ({"n_genes": -3}, r"n_genes must be .* found -3"),
        ({"n_cell_types": 1.5}, r"n_cell_types must be .* found 1.5"),
        ({"effect_size": -1}, r"effect_size must be at least 0 and at most 3, found -1\."),
        ({"heterogeneity": 2}, r"heterogeneity must be at least 0 and at most 1, found 2\."),
        ({"dispersion": -0.1}, r"dispersion must be .* found -0.1"),
        ({"responding": 1.1}, r"responding must be at least 0 and at most 1, found 1.1\."),
        ({"shared": -0.5}, r"shared must be at least 0 and at most 1, found -0.5\."),
        ({"non_responders": "few"}, r"non_responders must be .* found 'few'"),
        ({"library_size": 0}, r"library_size must be above 0 and at most 1e\+06, found 0\."),
        ({"seed": "x"}, r"seed must be .* found 'x'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        rt.datasets.simulated(**arguments)


def test_a_screen_responds_more_the_higher_the_dose():
    doses = [0.1, 1.0, 10.0]
    # So many cells that what chance adds to two effects near saturation does not order them.
    screen = rt.datasets.simulated_screen(2, n_cells=4000, n_genes=50, inactive=0, doses=doses)
    assert (screen.obs["dose"][screen.obs["perturbation"] == "control"] == 0).all()
    control = screen[screen.obs["perturbation"] == "control"].X.mean(0)
    for drug in ("drug_000", "drug_001"):
        of_drug = screen[screen.obs["perturbation"] == drug]
        means = [of_drug[np.isclose(of_drug.obs["dose"], dose)].X.mean(0) for dose in doses]
        effects = [float(np.linalg.norm(mean - control)) for mean in means]
        assert effects[0] < effects[1] < effects[2]
    plain = rt.datasets.simulated_screen(2, n_cells=300, n_genes=50, inactive=0)
    assert "dose" not in plain.obs


@pytest.mark.parametrize("doses", [[], [0.0, 1.0], [-1.0], [float("nan")]])
def test_doses_of_a_screen_are_above_zero(doses):
    with pytest.raises(ValueError, match="doses must be finite numbers above 0"):
        rt.datasets.simulated_screen(2, n_cells=50, n_genes=10, doses=doses)
