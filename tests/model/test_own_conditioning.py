"""A method with its own conditioning, as docs/contributing.md has it: a stack, a model, a name."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

import rayot as rt
from rayot.model.joint import JointMethod
from rayot.model.methods import METHODS
from rayot.solvers.joint import JointSettings, JointStack


@dataclass(frozen=True)
class MeansSettings(JointSettings):
    decode: str = "delta"
    presets: ClassVar = {"fast": {}}


class MeansMap(JointStack):
    settings_type = MeansSettings

    def __init__(self, n_features, names, settings, seed):
        super().__init__(n_features, names, settings, seed)
        shape = len(self.names), settings.n_conditions, settings.n_covariates, self.n_features
        self.register_buffer("means", torch.zeros(shape))

    def phases(self):
        return []

    def fit(self, source, target):
        super().fit(source, target)
        cells, attributes = self.standardise(source.cells[None]), source.attributes
        for condition, covariate in set(
            zip(attributes.condition.tolist(), attributes.covariate.tolist(), strict=True)
        ):
            own = (attributes.condition == condition) & (attributes.covariate == covariate)
            self.means[:, condition, covariate] = cells[:, own].mean(1)

    def encode(self, cells):
        return cells

    def reconstruct(self, codes, attributes):
        problems = torch.arange(len(self.names))[:, None]
        return self.means[problems, attributes.condition, attributes.covariate]


class Means(JointMethod):
    """All cells of a covariate moved by the difference of its means."""

    stack_type = MeansMap


@pytest.fixture
def screen():
    return rt.datasets.simulated_screen(3, n_cells=90, n_genes=8, n_cell_types=2, inactive=0.0)


def test_a_stack_a_model_and_a_name_are_all(screen, monkeypatch, tmp_path):
    monkeypatch.setitem(METHODS, "means", "Means")
    model = Means(screen, Means.setup_anndata(screen), "control", "drug_000")
    model.train(show_progress_bar=False)
    assert model.method == "means"
    control = screen[screen.obs["perturbation"] == "control"]
    for name in ("drug_000", "drug_001"):
        moved = model.at(name).predict(control, clip=False).to_df() - control.to_df()
        for cell_type in screen.obs["cell_type"].unique():
            of_type = screen[screen.obs["cell_type"] == cell_type]
            of_target = of_type[of_type.obs["perturbation"] == name].to_df().mean()
            of_source = of_type[of_type.obs["perturbation"] == "control"].to_df().mean()
            found = moved[control.obs["cell_type"] == cell_type]
            expected = np.tile(of_target - of_source, (len(found), 1))
            strength = float(model.at(name).module.strength)
            np.testing.assert_allclose(found, strength * expected, atol=1e-4)
    model.save(tmp_path / "model")
    again = Means.load(tmp_path / "model")
    assert again.predict(control).to_df().equals(model.predict(control).to_df())
    control = control.copy()
    control.obs["cell_type"] = "new"
    with pytest.raises(ValueError, match="'new', which no training cell has"):
        again.predict(control)
