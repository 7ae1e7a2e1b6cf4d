"""The demonstration: what it leaves behind, and its errors."""

import anndata as ad
import pytest

import rayot as rt
from rayot.cli import main


@pytest.mark.parametrize("data", ["moons", "pbmc_perturbed"])
def test_the_demonstration_leaves_cells_scores_model_and_figures(tmp_path, capsys, data):
    arguments = ["demo", "--data", data, "--out", str(tmp_path / "demo"), "--max-steps", "3"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    for word in ("identity", "mean shift", "observed", "mean absolute error", "Written to"):
        assert word in printed
    folder = tmp_path / "demo"
    adata = ad.read_h5ad(folder / f"{data}.h5ad")
    assert {"paper", "fast"} <= set(adata.layers)
    assert rt.model.W1OT.load(folder / "model").is_trained
    assert (folder / "evaluation.csv").exists()
    figures = {path.stem for path in folder.glob("*.png")}
    assert {"transport_rays_fast", "history_paper", "evaluation"} <= figures


def test_a_condition_that_does_not_exist_is_one_sentence(tmp_path, capsys):
    arguments = ["demo", "--data", "moons", "--target", "x", "--out", str(tmp_path / "demo")]
    assert main(arguments) == 1
    assert "no category 'x'" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


def test_a_data_set_that_does_not_exist(capsys):
    with pytest.raises(SystemExit):
        main(["demo", "--data", "kang"])
    assert "invalid choice: 'kang'" in capsys.readouterr().err
