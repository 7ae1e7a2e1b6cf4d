"""What torch is set to around a call changes no result, and is as it was afterwards."""

import ast
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import rayot as rt
from rayot.model.methods import METHODS

SOURCE, TARGET = "control", "perturbed"
QUICK = {"preset": "fast", "max_steps": 3, "batch_size": 16, "show_progress_bar": False}
WITHOUT_FOLDS = {**QUICK, "n_folds": 1}
FACTORIES = {
    "arange", "empty", "eye", "full", "linspace", "logspace", "normal", "ones", "rand", "randn",
    "tensor", "zeros",
}  # fmt: skip
"""Functions of torch whose dtype is the default one unless they are told another."""


@contextmanager
def default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def default_device():
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def modes():
    with torch.no_grad(), torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        yield


STATES = {"default_dtype": default_dtype, "default_device": default_device, "modes": modes}


def fit(name, adata):
    if name in ("additive", "nearest", "ridge"):
        return getattr(rt.tl, name)(adata, SOURCE, "a+b", groupby="combination")
    if name == "conditional_w1ot":
        return rt.tl.conditional_w1ot(adata, SOURCE, target_key=TARGET, **QUICK)
    if name == "screen":
        return rt.tl.screen(adata, SOURCE, fdr=None, **QUICK)
    if name == "autoencoder":
        return rt.pp.autoencoder(
            adata, n_latent=3, hidden=(8,), max_steps=100, show_progress_bar=False
        )
    options = QUICK if name == "w1ot" else WITHOUT_FOLDS
    return getattr(rt.tl, name)(adata, SOURCE, TARGET, **options)


def results(name, adata):
    """Everything that a fit wrote and predicts, as arrays."""
    known = set(adata.layers)
    model = fit(name, adata)
    found = {key: np.asarray(adata.layers[key]) for key in set(adata.layers) - known}
    if name == "autoencoder":
        return {"latent": adata.obsm["X_autoencoder"]}
    if name in ("screen", "conditional_w1ot"):
        return found | {"predicted": model.predict(adata[:20].copy(), TARGET).to_df().to_numpy()}
    return found | {"predicted": np.asarray(model.predict(adata[:20].copy()).to_df().to_numpy())}


@pytest.fixture(scope="module")
def prepared():
    adata = rt.datasets.simulated(n_cells=60, n_genes=12, seed=0)
    labels = np.resize([SOURCE, "a", "b", "a+b"], adata.n_obs)
    adata.obs["combination"] = pd.Categorical(labels)
    rt.pp.split(adata)
    return adata


EVERY = sorted({*METHODS, "conditional_w1ot", "screen", "autoencoder"})


@pytest.fixture(scope="module")
def expected(prepared):
    known = {}

    def of(name):
        if name not in known:
            known[name] = results(name, prepared.copy())
        return known[name]

    return of


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("state", STATES)
def test_results_do_not_depend_on_what_torch_is_set_to(prepared, expected, name, state):
    plain = expected(name)
    with STATES[state]():
        before = settings_of_torch()
        found = results(name, prepared.copy())
        assert settings_of_torch() == before
    assert found.keys() == plain.keys()
    for key, values in plain.items():
        assert found[key].dtype == values.dtype
        np.testing.assert_array_equal(found[key], values)


def settings_of_torch():
    return (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_inference_mode_enabled(),
        torch.is_grad_enabled(),
        torch.is_autocast_enabled("cpu"),
    )


def test_saved_and_loaded_under_another_default(prepared, tmp_path):
    adata = prepared.copy()
    model = fit("w1ot", adata)
    plain = model.predict(adata[:20].copy()).to_df().to_numpy()
    for state, change in STATES.items():
        with change():
            model.save(tmp_path / state)
            loaded = rt.model.W1OT.load(tmp_path / state)
            np.testing.assert_array_equal(
                loaded.predict(adata[:20].copy()).to_df().to_numpy(), plain
            )
            rt.pl.diagnostics(adata, "w1ot", show=False)


def test_every_tensor_of_floats_names_its_dtype():
    """A dtype that is left out is the user's default, which is not always single precision."""
    unnamed = []
    for path in sorted(Path(rt.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            of_torch = isinstance(node.func.value, ast.Name) and node.func.value.id == "torch"
            if of_torch and node.func.attr in FACTORIES and not is_named(node):
                unnamed.append(f"{path.name}:{node.lineno} {ast.unparse(node)}")
    assert not unnamed, "\n".join(unnamed)


def is_named(call):
    """Whether a call names its dtype, or cannot be of floats."""
    if any(keyword.arg == "dtype" for keyword in call.keywords):
        return True
    # Whole numbers stay whole numbers, and what is True or False stays that.
    whole = call.func.attr == "arange"
    return whole or (call.func.attr == "full" and isinstance(call.args[1], ast.Constant))


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed", 64, "bf16-true", "nonsense"])
@pytest.mark.parametrize("name", ["w1ot", "genot", "cpa", "screen", "conditional_w1ot"])
def test_another_precision_is_refused(prepared, name, precision):
    adata = prepared.copy()
    with pytest.raises(ValueError, match="precision must be '32-true'"):
        if name in ("screen", "conditional_w1ot"):
            getattr(rt.tl, name)(adata, SOURCE, precision=precision, **QUICK)
        else:
            getattr(rt.tl, name)(adata, SOURCE, TARGET, precision=precision, **WITHOUT_FOLDS)
    assert name not in adata.uns


@pytest.mark.parametrize("precision", [32, "32-true"])
def test_single_precision_may_be_named(prepared, expected, precision):
    adata = prepared.copy()
    rt.tl.w1ot(adata, SOURCE, TARGET, precision=precision, **WITHOUT_FOLDS)
    np.testing.assert_array_equal(adata.layers["w1ot"], expected("w1ot")["w1ot"])
