"""Translation between modalities: an isometry is found, from unpaired cells."""

import anndata as ad
import numpy as np
import pytest
from mudata import MuData

import rayot as rt
from rayot.solvers.gromov import gromov_plan
from rayot.solvers.translation import TranslationSettings

QUICK = {"show_progress_bar": False, "max_steps": 600}
SETTINGS = {"distance": "euclidean", "width": 64, "integration_steps": 10}


@pytest.fixture
def modalities():
    """Three clusters that nothing maps onto each other, in a plane and turned into 3 dimensions."""
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 11.0]])
    kind = np.repeat([0, 1, 2], [60, 90, 50])
    plane = centres[kind] + rng.normal(size=(len(kind), 2))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0][:2]
    names = [f"cell {number}" for number in range(len(kind))]
    sides = {}
    for name, values in (("rna", plane), ("atac", plane @ turn)):
        side = ad.AnnData(values.astype(np.float32))
        side.obs_names = names
        side.obs["cell_type"] = kind.astype(str)
        side.obsm["type"] = np.eye(3)[kind]
        sides[name] = side
    return MuData(sides)


def scores(data):
    truth, found = data["atac"], data["rna"].obsm["X_translate"]
    labels = data["rna"].obs["cell_type"]
    return (
        rt.metrics.foscttm(found, truth.X),
        rt.metrics.label_transfer_accuracy(found, truth.X, labels, labels),
    )


@pytest.mark.parametrize("fused_keys", [None, ("type", "type")])
@pytest.mark.parametrize("coupling", ["exact", "entropic"])
def test_an_isometry_is_found(modalities, fused_keys, coupling, tmp_path):
    model = rt.tl.translate(
        modalities,
        source_modality="rna",
        target_modality="atac",
        fused_keys=fused_keys,
        plan_kwargs={**SETTINGS, "coupling": coupling},
        **QUICK,
    )
    distance, accuracy = scores(modalities)
    assert distance < 0.2
    assert accuracy > 0.9
    assert (modalities["rna"].obs["translate_sd"] >= 0).all()
    assert modalities["rna"].uns["translate"]["target_modality"] == "atac"
    model.save(tmp_path / "model")
    loaded = rt.model.ModalityGENOT.load(tmp_path / "model")
    np.testing.assert_array_equal(
        loaded.predict(modalities["rna"][:5]).to_df().to_numpy(),
        model.predict(modalities["rna"][:5]).to_df().to_numpy(),
    )
    np.testing.assert_equal(loaded.diagnostics, model.diagnostics)
    assert loaded.diagnostics["certificate"] == "good"
    assert modalities["rna"].uns["translate"]["diagnostics"]["certificate"] == "good"
    modalities["rna"].write_h5ad(tmp_path / "rna.h5ad")
    assert repr(loaded) == repr(model)


def test_a_model_of_an_early_version_has_no_diagnostics(modalities, tmp_path):
    model = rt.model.ModalityGENOT(modalities, "rna", "atac", **SETTINGS)
    model.train(max_steps=10, show_progress_bar=False)
    model.diagnostics_ = None
    model.save(tmp_path / "model")
    loaded = rt.model.ModalityGENOT.load(tmp_path / "model")
    assert "kept no diagnostics" in repr(loaded)
    with pytest.raises(RuntimeError, match="fit it again"):
        loaded.diagnostics  # noqa: B018


def test_only_training_cells_are_fitted(modalities):
    for side in modalities.mod.values():
        side.obs["split"] = np.resize(["train", "train", "test"], side.n_obs)
    model = rt.model.ModalityGENOT(modalities, "rna", "atac", **SETTINGS)
    model.train(max_steps=10, show_progress_bar=False)
    assert "trained on 134 and 134 coupled cells, 10 steps\n" in repr(model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source_modality": "rna"}, "missing a required argument: 'target_modality'"),
        ({"source_modality": "rna", "target_modality": "rna"}, "name two"),
        ({"source_modality": "rna", "target_modality": "protein"}, "no modality 'protein'"),
        (
            {"source_modality": "rna", "target_modality": "atac", "fused_keys": ("type",)},
            "fused_keys must be an entry of each of the two modalities",
        ),
        (
            {"source_modality": "rna", "target_modality": "atac", "fused_keys": ("type", "three")},
            "as many features",
        ),
        (
            {"source_modality": "rna", "target_modality": "atac", "source_rep": "X_pca"},
            "no obsm\\['X_pca'\\]",
        ),
        (
            {
                "source_modality": "rna",
                "target_modality": "atac",
                "plan_kwargs": {"fused_share": 1.0},
            },
            "fused_share must be between",
        ),
    ],
)
def test_bad_input(modalities, options, message):
    modalities["atac"].obsm["three"] = np.zeros((modalities.n_obs, 2))
    with pytest.raises((KeyError, TypeError, ValueError), match=message):
        rt.tl.translate(modalities, **options)
    assert "X_translate" not in modalities["rna"].obsm


def test_few_cells_and_counts_are_refused(modalities):
    few = MuData({name: side[:19].copy() for name, side in modalities.mod.items()})
    with pytest.raises(ValueError, match="'rna' has 19 training cells; a map needs at least 20"):
        rt.tl.translate(few, source_modality="rna", target_modality="atac", **QUICK)
    modalities["atac"].X = np.random.default_rng(0).poisson(5, modalities["atac"].shape)
    with pytest.raises(ValueError, match="X of the modality 'atac' holds raw counts"):
        rt.tl.translate(modalities, source_modality="rna", target_modality="atac", **QUICK)
    options = {"allow_counts": True, "max_steps": 10, "show_progress_bar": False}
    rt.tl.translate(modalities, source_modality="rna", target_modality="atac", **options)


def test_nothing_else_is_overwritten(modalities):
    modalities["rna"].uns["translate"] = "mine"
    with pytest.raises(ValueError, match="would overwrite"):
        rt.tl.translate(modalities, source_modality="rna", target_modality="atac", **QUICK)
    with pytest.raises(TypeError, match="unexpected keyword argument 'accelerator'"):
        rt.tl.translate(
            modalities, source_modality="rna", target_modality="atac", accelerator="cpu"
        )


def test_genot_still_translates_with_a_warning(modalities):
    options = {"plan_kwargs": SETTINGS, "max_steps": 10, "show_progress_bar": False}
    between = {"source_modality": "rna", "target_modality": "atac"}
    with pytest.warns(FutureWarning, match=r"call tl.translate\(.*key_added='genot'\)") as caught:
        model = rt.tl.genot(modalities, **between, **options)
    assert caught[0].filename == __file__
    assert isinstance(model, rt.model.ModalityGENOT)
    rt.tl.translate(modalities, "rna", "atac", **options)
    rna = modalities["rna"]
    np.testing.assert_array_equal(rna.obsm["X_genot"], rna.obsm["X_translate"])
    with pytest.raises(ValueError, match=r"source_rep: of a translation .* see rayot.tl.translate"):
        rt.tl.genot(modalities, "a", "b", source_rep="X_pca")
    with pytest.raises(TypeError, match="missing a required argument: 'source_key'"):
        rt.tl.genot(modalities, source_modality=None)


def test_metrics_refuse_cells_that_are_not_paired():
    with pytest.raises(ValueError, match="must be paired"):
        rt.metrics.foscttm(np.zeros((5, 2)), np.zeros((4, 2)))


def test_foscttm_of_chance_is_a_half():
    rng = np.random.default_rng(0)
    found = rt.metrics.foscttm(rng.normal(size=(400, 3)), rng.normal(size=(400, 3)))
    assert abs(found - 0.5) < 0.05


def test_foscttm_does_not_reward_what_says_nothing():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(200, 3))
    constant = np.zeros_like(truth)
    nearer = rt.metrics.foscttm(constant, truth)
    assert nearer == pytest.approx(0.5, abs=0.01)
    broken = truth.copy()
    broken[0, 0] = np.nan
    with pytest.raises(ValueError, match="translated has NaN or infinite values in 1 of 200"):
        rt.metrics.foscttm(broken, truth)
    with pytest.raises(ValueError, match="truth has NaN or infinite values in 1 of 200"):
        rt.metrics.foscttm(truth, broken)


def test_a_second_fit_replaces_the_first(modalities):
    options = {"max_steps": 10, "show_progress_bar": False, "plan_kwargs": SETTINGS}
    for seed in (0, 1):
        between = {"source_modality": "rna", "target_modality": "atac"}
        rt.tl.translate(modalities, **between, seed=seed, **options)
    assert modalities["rna"].uns["translate"]["seed"] == 1


def test_a_split_of_one_modality_is_refused(modalities):
    rt.pp.split(modalities, modality="rna", groupby="cell_type")
    with pytest.raises(ValueError, match="'rna' has obs\\['split'\\] and 'atac' has not"):
        rt.tl.translate(modalities, source_modality="rna", target_modality="atac", **QUICK)


def test_a_split_of_the_whole_is_refused_until_it_is_pushed(modalities):
    between = {"source_modality": "rna", "target_modality": "atac"}
    modalities.obs["split"] = np.where(np.arange(modalities.n_obs) % 5, "train", "test")
    with pytest.raises(ValueError, match=r"call mdata.push_obs\(\['split'\]\)"):
        rt.tl.translate(modalities, **between, **QUICK)
    modalities.push_obs(["split"])
    model = rt.tl.translate(modalities, **between, max_steps=10, show_progress_bar=False)
    assert model.diagnostics["n_source"] == model.diagnostics["n_target"] == 160


def test_a_map_in_the_place_of_a_translation_leaves_nothing_of_it(modalities):
    between = {"source_modality": "rna", "target_modality": "atac"}
    rt.tl.translate(modalities, **between, max_steps=10, show_progress_bar=False)
    rna = modalities["rna"]
    assert {"translate_sd"} <= set(rna.obs)
    rt.tl.mean_shift(rna, "0", "1", groupby="cell_type", key_added="translate")
    assert "translate_sd" not in rna.obs
    assert "X_translate" not in rna.obsm
    rt.tl.translate(modalities, **between, max_steps=10, show_progress_bar=False)
    assert "translate" not in rna.layers
    assert "translate_step" not in rna.obs
    assert rna.uns["translate"]["source_modality"] == "rna"


def test_a_coupling_that_underflows_is_named():
    rng = np.random.default_rng(0)
    settings = TranslationSettings(coupling="entropic", epsilon=1e-7, distance="euclidean")
    with pytest.raises(FloatingPointError, match="raise epsilon"):
        gromov_plan(rng.normal(size=(100, 5)), rng.normal(size=(80, 4)), settings)


@pytest.mark.parametrize("name", ["rna", "atac"])
@pytest.mark.filterwarnings("ignore")
def test_features_of_one_name_are_refused(modalities, name):
    side = modalities[name]
    side.var_names = ["x"] * side.n_vars
    with pytest.raises(ValueError, match=f"modality '{name}' have the gene 'x' more than once"):
        rt.model.ModalityGENOT(modalities, "rna", "atac", allow_counts=True)
