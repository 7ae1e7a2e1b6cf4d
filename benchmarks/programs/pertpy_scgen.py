"""scGen as pertpy has it, for rt.benchmark.Command: python pertpy_scgen.py FOLDER.

Runs in an environment of its own (pertpy, scvi-tools with its JAX modules), with the settings of
pertpy's tutorial: 100 epochs at most, batches of 32, early stopping after 25 epochs.
"""

import json
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pertpy as pt

folder = Path(sys.argv[1])
task = json.loads((folder / "task.json").read_text())
training, source = (ad.read_h5ad(folder / f"{name}.h5ad") for name in ("training", "source"))
conditions = [task["control"], task["perturbation"]]
training = training[training.obs[task["groupby"]].isin(conditions)].copy()
labels = "cell_type" if "cell_type" in training.obs else "patient"
training.obs = training.obs[[task["groupby"], labels]].astype(str)
pt.tl.Scgen.setup_anndata(training, batch_key=task["groupby"], labels_key=labels)
model = pt.tl.Scgen(training)
model.train(max_epochs=100, batch_size=32, early_stopping=True, early_stopping_patience=25)
own = source.copy()
own.obs = own.obs[[task["groupby"], labels]].astype(str)
predicted, _ = model.predict(
    ctrl_key=task["control"], stim_key=task["perturbation"], adata_to_predict=own
)
ad.AnnData(np.asarray(predicted.X), obs=source.obs[[]], var=source.var[[]]).write_h5ad(
    folder / "predicted.h5ad"
)
