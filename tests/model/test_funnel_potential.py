"""Maps whose potential is made of funnels, through the verb."""

import numpy as np
import pytest

import rayot as rt
from rayot.model import W1OT
from rayot.solvers import W1Settings


@pytest.fixture
def funnels(quick):
    return {**quick, "use_rep": "X_pca", "plan_kwargs": {"potential": "funnel", "width": 30}}


def test_a_saved_model_predicts_the_same(cells, funnels, tmp_path):
    model = rt.tl.w1ot(cells, "control", "perturbed", **funnels)
    potential = model.module.ray(0).potential
    assert (potential.temperature < potential.start_temperature).all()
    assert model.diagnostics["largest_gradient_norm"] <= 1 + 1e-3
    model.save(tmp_path / "model")
    again = W1OT.load(tmp_path / "model")
    np.testing.assert_array_equal(
        again.predict(cells).to_df().to_numpy(), model.predict(cells).to_df().to_numpy()
    )


def test_an_interrupted_fit_goes_on_where_it_was(cells, funnels, tmp_path):
    class Stop(Exception):
        pass

    from lightning.pytorch import Callback

    class StopAfter(Callback):
        def on_train_epoch_end(self, trainer, module):
            if module.block == 2:
                raise Stop

    options = {**funnels, "max_steps": 300, "checkpoint_dir": tmp_path, "checkpoint_every": 100}
    with pytest.raises(Stop):
        rt.tl.w1ot(cells, "control", "perturbed", callbacks=[StopAfter()], **options)
    resumed = rt.tl.w1ot(cells, "control", "perturbed", **options)
    plain = rt.tl.w1ot(cells, "control", "perturbed", **{**funnels, "max_steps": 300})
    np.testing.assert_array_equal(
        resumed.predict(cells).to_df().to_numpy(), plain.predict(cells).to_df().to_numpy()
    )


def test_more_centres_than_cells_repeat_them(cells, funnels):
    funnels["plan_kwargs"]["width"] = 1000
    model = rt.tl.w1ot(cells, "control", "perturbed", **{**funnels, "max_steps": 1})
    centres = model.module.ray(0).potential.centre[0].detach().numpy()
    assert len(np.unique(centres.round(2), axis=0)) < 1000


def test_any_number_of_centres_is_allowed():
    assert W1Settings.from_preset("paper", potential="funnel", width=7).width == 7
    with pytest.raises(ValueError, match="width must be"):
        W1Settings.from_preset("paper", potential="funnel", width=0)
