"""Verbs that take a map take the model that holds it, and say what to call where they do not."""

import numpy as np
import pytest

import rayot as rt


@pytest.fixture(scope="module")
def cells():
    adata = rt.datasets.simulated_screen(4, n_cells=80, n_genes=20, inactive=0)
    rt.pp.split(adata)
    return adata


@pytest.fixture(scope="module")
def screen(cells):
    return rt.tl.screen(cells, "control", max_steps=15, fdr=None, show_progress_bar=False)


@pytest.fixture
def name(screen):
    return list(screen)[1]


def test_predicted_cells_of_a_screen_are_those_of_its_map(cells, screen, name):
    adata = cells.copy()
    rt.tl.transport(adata, screen, name)
    written, held = rt.get.predicted(adata, "w1ot"), rt.get.predicted(cells, screen, name)
    np.testing.assert_allclose(np.asarray(written.X), _dense(held.X), atol=1e-6)
    assert (held.obs["perturbation"] == f"predicted {name}").all()
    assert set(held.obs_names) == set(cells.obs_names[cells.obs["perturbation"] == "control"])
    one = rt.get.predicted(cells, screen[name])
    np.testing.assert_array_equal(_dense(held.X), _dense(one.X))


def test_what_is_written_is_what_the_verb_of_the_map_writes(cells, tmp_path):
    adata, other = cells.copy(), cells.copy()
    target = cells.obs["perturbation"].cat.categories[-1]
    model = rt.tl.w1ot(adata, "control", target, max_steps=15, show_progress_bar=False)
    model.save(tmp_path / "model")
    rt.tl.transport(other, rt.model.W1OT.load(tmp_path / "model"))
    np.testing.assert_array_equal(adata.layers["w1ot"], other.layers["w1ot"])
    assert set(adata.uns["w1ot"]) == set(other.uns["w1ot"])
    assert rt.tl.evaluate(adata).equals(rt.tl.evaluate(other))


def test_figures_can_be_drawn_of_a_map_of_a_screen(cells, screen, name):
    adata = cells.copy()
    rt.tl.transport(adata, screen, name, key_added="of_screen")
    assert rt.pl.history(adata, "of_screen", show=False)
    assert rt.pl.umap(adata, "of_screen", show=False).get_xlabel() == "UMAP1"


def test_fold_changes_of_a_screen_are_those_of_what_is_written(cells, screen, name):
    adata = cells.copy()
    rt.tl.transport(adata, screen, name)
    written = rt.tl.log_fold_change(adata, "w1ot")
    held = rt.tl.log_fold_change(cells.copy(), screen, perturbation=name)
    np.testing.assert_allclose(held["predicted"], written["predicted"], atol=1e-5)
    assert held["observed"].equals(written["observed"])


def test_a_conditional_model_is_taken_too(cells):
    model = rt.tl.conditional_w1ot(cells.copy(), "control", max_steps=10, show_progress_bar=False)
    target = cells.obs["perturbation"].cat.categories[-1]
    held = rt.get.predicted(cells, model, target)
    np.testing.assert_array_equal(
        _dense(held.X), _dense(rt.get.predicted(cells, model.at(target)).X)
    )


CASES = [
    (lambda a, s: rt.get.predicted(a, s), "name one, perturbation="),
    (lambda a, s: rt.get.predicted(a, s, "nonsense"), "nonsense"),
    (lambda a, s: rt.get.predicted(a, next(iter(s.values())), "x"), "leave it out"),
    (lambda a, s: rt.get.predicted(a, 3), "found int"),
    (lambda a, s: rt.get.predicted(a, "w1ot", "x"), "the fitted screen in the place"),
    (lambda a, s: rt.tl.log_fold_change(a, s), "name one, perturbation="),
    (lambda a, s: rt.tl.log_fold_change(a, perturbation="x"), "the fitted screen in the place"),
    (lambda a, s: rt.tl.transport(a, s), "name one, perturbation="),
    (lambda a, s: rt.tl.transport(a, "w1ot"), "found str"),
    (lambda a, s: rt.tl.calibration(a, s), "rayot.tl.transport"),
    (lambda a, s: rt.pl.umap(a, s), "rayot.tl.transport"),
    (lambda a, s: rt.pl.transport_rays(a, next(iter(s.values()))), "rayot.tl.transport"),
    (lambda a, s: rt.pl.umap(a, "screen"), "rayot.tl.transport"),
    (lambda a, s: rt.get.predicted(a, "screen"), "rayot.tl.transport"),
    (lambda a, s: rt.tl.evaluate(a, "screen"), "rayot.tl.transport"),
    (lambda a, s: rt.tl.transport(a[:, ::-1].copy(), s, next(iter(s))), "another order"),
    (
        lambda a, s: rt.tl.transport(a[:, :5].copy(), s, next(iter(s))),
        "5 genes and the model 20",
    ),
    (
        lambda a, s: rt.tl.transport(
            a[a.obs["perturbation"] != "control"].copy(), s, next(iter(s))
        ),
        "control",
    ),
    (lambda a, s: rt.tl.transport(a, s, next(iter(s)), key_added="screen"), "overwrite"),
]


@pytest.mark.parametrize(
    ("call", "says"), CASES, ids=[f"{n} {says}" for n, (_, says) in enumerate(CASES)]
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(cells, screen, call, says):
    adata = cells.copy()
    before = set(adata.uns), set(adata.layers), set(adata.obs)
    with pytest.raises((KeyError, TypeError, ValueError), match=says):
        call(adata, screen)
    assert (set(adata.uns), set(adata.layers), set(adata.obs)) == before


def _dense(values):
    return values.toarray() if hasattr(values, "toarray") else np.asarray(values)
