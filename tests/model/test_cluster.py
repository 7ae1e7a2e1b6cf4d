"""A screen on a cluster gives the bits of one process, and outlives its workers."""

import os
import signal
import threading

import joblib
import numpy as np
import pytest

import rayot as rt

distributed = pytest.importorskip("distributed")

OPTIONS = {"show_progress_bar": False, "max_memory": 0.001, "max_steps": 100, "batch_size": 64}


@pytest.mark.slow
def test_a_killed_worker_changes_nothing():
    cells = rt.datasets.simulated_screen(6, n_cells=60, n_genes=20, inactive=0.0)
    alone = rt.tl.screen(cells.copy(), "control", **OPTIONS)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
        joblib.parallel_config(backend="dask"),
    ):
        process = next(iter(client.run(os.getpid).values()))
        threading.Timer(1.0, os.kill, (process, signal.SIGKILL)).start()
        found = rt.tl.screen(cells.copy(), "control", **OPTIONS)
        assert process not in client.run(os.getpid).values()
    for name, values in alone.stack.state.items():
        np.testing.assert_array_equal(values, found.stack.state[name])
