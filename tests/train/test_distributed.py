"""One map on two processes: each draws half of every batch, and both end with the same map."""

import os
import subprocess
import sys

import numpy as np
import pytest

SCRIPT = """
import os
import sys

import numpy as np

import rayot as rt

if __name__ == "__main__":
    adata = rt.datasets.moons(n_samples=500)
    model = rt.tl.w1ot(
        adata, "control", "perturbed", preset="fast", max_steps=150, show_progress_bar=False,
        checkpoint_dir=sys.argv[1] + "/checkpoints", accelerator="cpu", devices=2, strategy="ddp",
    )
    state = {name: values.numpy() for name, values in model.module.state_dict().items()}
    np.savez(f"{sys.argv[1]}/{os.environ['LOCAL_RANK']}.npz", **state)
    way = rt.tl.evaluate(adata).loc["w1ot", "way_energy_distance"]
    assert way > 0.95, way
"""


@pytest.mark.slow
def test_two_processes_end_with_one_map(tmp_path):
    script = tmp_path / "fit.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, str(script), str(tmp_path)], check=True, env=environment, timeout=300
    )
    first, second = (np.load(tmp_path / f"{rank}.npz") for rank in (0, 1))
    for name in first.files:
        np.testing.assert_array_equal(first[name], second[name])
