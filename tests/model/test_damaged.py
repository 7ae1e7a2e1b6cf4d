"""Saved files that were changed: each is refused in one sentence, or the change does no harm."""

import json
import random
import resource
import shutil
import signal
from collections import Counter
from contextlib import contextmanager

import anndata as ad
import numpy as np
import pytest
import scanpy as sc
from mudata import MuData

import rayot as rt
from rayot.model import screen_fit
from rayot.model.chunk_fit import FittedChunk, fit_chunk
from rayot.model.method import method_of
from rayot.model.methods import METHODS
from rayot.model.profiles import ProfileMethod

QUICK = {"max_steps": 10, "batch_size": 32, "n_folds": 1, "show_progress_bar": False}
MODALITIES = "ignore:(From 0.4 .update|Cannot join columns)"
VALUES = [None, -1, 0, 1e9, 10**12, "x", "", [], {}, True, [1, 2], float("nan")]
GONE = "gone"
SECONDS = 20
BYTES = 2**32

CONTENT = {
    "data.covariate_keys",
    "data.dose",
    "data.layer",
    "data.nonnegative",
    "data.strata_key",
    "data.var_names",
    "representation.name",
    "representations",
    "seed",
    "settings.conditions.covariates.column",
    "settings.covariates",
    "settings.dose",
    "source_names",
    "stack.problems.strata",
    "strata.names",
    "table.perturbation",
    "target_key",
}
"""What a description alone says, so that another value is another model and no damage."""

SMALL = {
    "conditional": {"n_seeds": 2, "dose_key": "dose", "covariate_keys": ["cell_type"]},
    "screen": {"strata_key": "cell_type", "strata": "separate", "n_seeds": 2, "fdr": None},
    "cpa": {"dose_key": "dose", "plan_kwargs": {"width": 8, "adversary_width": 8}},
    "w1ot": {
        "preset": "fast",
        "strata_key": "cell_type",
        "strata": "separate",
        "n_seeds": 2,
        "plan_kwargs": {"n_components": 3, "decode": "calibrated"},
    },
    "genot": {"plan_kwargs": {"n_samples": 2, "width": 8}, "n_seeds": 2},
}


@pytest.fixture(scope="module")
def cells():
    """A control and two drugs at three doses, in two cell types."""
    found = rt.datasets.simulated_screen(2, n_cells=60, n_genes=12, n_cell_types=2, inactive=0.0)
    sc.pp.pca(found, n_comps=4)
    doses = np.random.default_rng(0).choice([1.0, 10.0], found.n_obs)
    found.obs["dose"] = np.where(found.obs["perturbation"] == "control", 0.0, doses)
    return found


def of_modality(cells):
    sides = {"rna": ad.AnnData(cells.X[:60].toarray()), "atac": ad.AnnData(cells.obsm["X_pca"])}
    model = rt.model.ModalityGENOT(MuData(sides), "rna", "atac", width=8, integration_steps=3)
    model.train(max_steps=10, show_progress_bar=False)
    return model, lambda loaded: loaded.predict(sides["rna"][:5]).to_df().to_numpy()


def of_screen(cells):
    model = rt.tl.screen(cells.copy(), "control", **QUICK, **SMALL["screen"])
    return model, lambda loaded: loaded.predict(cells[:5], "drug_000").to_df().to_numpy()


def of_conditional(cells):
    quick = {name: value for name, value in QUICK.items() if name != "n_folds"}
    model = rt.tl.conditional_w1ot(cells.copy(), "control", **quick, **SMALL["conditional"])
    return model, lambda loaded: loaded.predict(cells[:5], "drug_000", dose=3.0).to_df().to_numpy()


def of_method(cells, name):
    target = "drug_000"
    if issubclass(method_of(name), ProfileMethod):
        # Of combinations, in which they find other perturbations.
        cells, target = cells.copy(), "drug_000+drug_001"
        cells.obs["perturbation"] = np.resize(
            ["control", "drug_000", "drug_001", target, "drug_000+drug_002"], cells.n_obs
        )
    options = {**QUICK, "use_rep": "X_pca", **SMALL.get(name, {})}
    model = getattr(rt.tl, name)(cells.copy(), "control", target, **options)
    return model, lambda loaded: loaded.predict(cells[:5]).to_df().to_numpy()


class Case:
    """A saved folder, and what is predicted with what it holds."""

    def __init__(self, cells, kind, folder):
        self.folder = folder
        if kind == "chunk":
            self.chunk = chunk_of(cells)
            fit_chunk(self.chunk, None).write(folder, self.chunk.names, "mine")
            self.load = lambda: FittedChunk.read(folder, self.chunk, "mine")
            self.predict = lambda loaded: np.concatenate(
                [each.ravel() for _, each in sorted(loaded.state.items())]
            )
        else:
            of = {"modality": of_modality, "screen": of_screen, "conditional": of_conditional}
            model, self.predict = of[kind](cells) if kind in of else of_method(cells, kind)
            model.save(folder)
            self.load = lambda: type(model).load(folder)
        self.expected = self.predict(self.load())

    def outcome(self):
        """Whether the folder is refused, or predicts the same, or another thing."""
        with limits():
            try:
                loaded = self.load()
            except ValueError as error:
                assert str(self.folder) in str(error), error
                assert "\n" not in str(error), error
                return "refused"
            try:
                found = self.predict(loaded)
            except (KeyError, ValueError):
                return "does not predict"
        return "same" if np.array_equal(found, self.expected) else "other"


def chunk_of(cells):
    """What a screen would fit, which ends before it does."""
    chunks = []

    def keep(chunk, p_values):
        chunks.append(chunk)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screen_fit, "fit_chunk", keep)
        with pytest.raises(KeyboardInterrupt):
            rt.tl.screen(cells.copy(), "control", fdr=None, **QUICK)
    return chunks[0]


@contextmanager
def limits():
    """Neither much time nor much memory."""

    def late(*_):
        pytest.fail(f"took more than {SECONDS} seconds")

    handler = signal.signal(signal.SIGALRM, late)
    with open("/proc/self/statm") as file:
        taken = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + BYTES, before[1]))
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)


def paths(value, path=()):
    """Places in a description; of a list the first entry and the last."""
    entries = []
    if isinstance(value, dict):
        entries = list(value.items())
    elif isinstance(value, list):
        entries = list(enumerate(value))
        entries = [*entries[:1], *entries[1:][-1:]]
    for name, each in entries:
        yield (*path, name)
        yield from paths(each, (*path, name))


def changed(values, path, new):
    values = json.loads(json.dumps(values))
    inside = values
    for name in path[:-1]:
        inside = inside[name]
    if new is GONE:
        del inside[path[-1]]
    else:
        inside[path[-1]] = new
    return values


def is_content(path):
    names = [name for name in path if isinstance(name, str) and not name.startswith("drug")]
    return ".".join(names) in CONTENT


def kind_of(value):
    """What JSON calls a value: a number is no truth, and of one kind."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return "number" if is_number else type(value)


def allowed(values, path, new):
    """What may become of a description with another value in one place."""
    for name in path:
        values = values[name]
    optional = values is None or new is None or new is GONE
    if is_content(path) and (optional or kind_of(new) == kind_of(values)):
        return {"refused", "same", "other", "does not predict"}
    return {"refused", "same"}


def check_descriptions(case, original, cases, work):
    counts = Counter()
    for path, new in cases:
        values = changed(original.values, path, new)
        if path != ("digest",):
            work.sign(values)
            outcome = case.outcome()
            counts[outcome] += 1
            assert outcome in allowed(original.values, path, new), (path, new, outcome)
        if json.dumps(values) != json.dumps(original.values):
            (work.folder / "model.json").write_text(json.dumps(values))
            assert case.outcome() == "refused", (path, new, "with the old digest")
    return counts


def check_arrays(case, original, work, names):
    arrays = original.arrays
    for name in names:
        values = arrays[name]
        others = [None, values.reshape(-1), values[:0], values[None]]
        with np.errstate(invalid="ignore", over="ignore"):
            others += [values.astype(kind) for kind in (np.float64, np.float16, np.int64)]
        is_float = np.issubdtype(values.dtype, np.floating)
        for number in (np.nan, np.inf) if values.size and is_float else ():
            spoiled = values.copy()
            spoiled.flat[0] = number
            others.append(spoiled)
        for other in others:
            same = other is not None and other.dtype == values.dtype
            if same and other.shape == values.shape and np.array_equal(other, values):
                continue
            new = {each: array for each, array in arrays.items() if each != name}
            if other is not None:
                new[name] = np.ascontiguousarray(other)
            work.replace_arrays(new)
            outcome = case.outcome()
            # Thresholds of unmatched cells, which no map moves by, say something by themselves.
            content = name.endswith(("highest_source", "lowest_target"))
            assert outcome in {"refused", "same", *["other"] * content}, (name, other, outcome)


def fuzz(cells, saved_folder, folder, kind, n_cases, n_arrays):
    case = Case(cells, kind, folder / "model")
    shutil.copytree(case.folder, folder / "original")
    original, work = saved_folder(folder / "original"), saved_folder(case.folder)
    cases = [(path, new) for path in paths(original.values) for new in (GONE, *VALUES)]
    random.Random(0).shuffle(cases)
    counts = check_descriptions(case, original, cases[:n_cases], work)
    # Much of a description says how to rebuild a map, and some of it only what was found.
    assert counts["refused"] > 0.3 * counts.total()
    assert counts["same"] > 0.05 * counts.total()
    work.sign(original.values)
    names = sorted(original.arrays)
    random.Random(0).shuffle(names)
    check_arrays(case, original, work, names[:n_arrays])
    # Nothing is left over from one case to the next.
    work.sign(original.values)
    work.replace_arrays(original.arrays)
    assert case.outcome() == "same"


@pytest.mark.filterwarnings(MODALITIES)
@pytest.mark.parametrize(
    "kind", ["w1ot", "genot", "cpa", "conditional", "screen", "modality", "chunk"]
)
def test_a_changed_folder_is_refused_or_predicts_the_same(cells, saved_folder, tmp_path, kind):
    fuzz(cells, saved_folder, tmp_path, kind, 50, 4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*METHODS, "conditional", "screen", "modality", "chunk"])
def test_whatever_is_changed(cells, saved_folder, tmp_path, kind):
    fuzz(cells, saved_folder, tmp_path, kind, None, 12)


@pytest.mark.parametrize(
    ("kind", "place", "later"),
    [
        ("w1ot", ("settings",), set()),
        ("ridge", ("settings",), {"kernel"}),
        ("conditional", ("settings", "settings"), {"unseen"}),
    ],
    ids=["w1ot", "ridge", "conditional"],
)
def test_only_settings_that_came_later_may_lack(cells, saved_folder, tmp_path, kind, place, later):
    case = Case(cells, kind, tmp_path / "model")
    folder = saved_folder(case.folder)
    original = folder.values
    settings = original
    for name in place:
        settings = settings[name]
    for name in settings:
        folder.sign(changed(original, (*place, name), GONE))
        assert (case.outcome() == "same") == (name in later), name


SIZES = {
    "w1ot": [
        "settings.n_components",
        "settings.n_rays",
        "settings.width",
        "settings.n_layers",
        "settings.step_layers",
    ],
    "genot": ["settings.width", "settings.n_layers", "settings.integration_steps"],
    "cpa": ["settings.n_latent", "settings.adversary_layers", "settings.n_layers"],
    "conditional": ["settings.settings.rank", "settings.settings.condition_layers"],
    "screen": ["n_seeds", "settings.n_rays", "settings.width"],
    "modality": ["settings.width", "settings.n_layers", "settings.n_samples"],
}


@pytest.mark.filterwarnings(MODALITIES)
@pytest.mark.parametrize("kind", SIZES)
def test_sizes_are_those_of_the_arrays(cells, saved_folder, tmp_path, kind):
    """In files of version 0.1.0, too, which have no digest."""
    case = Case(cells, kind, tmp_path / "model")
    original = saved_folder(case.folder).values
    saved_folder(case.folder).downgrade()
    assert case.outcome() == "same"
    old = json.loads((case.folder / "model.json").read_text())
    names = [*SIZES[kind], *(["strata.n_seeds"] if "strata" in original else [])]
    for name in names:
        if name == "strata.n_seeds" and kind == "screen":
            continue
        for new in (10**9, 10**12, 10**30):
            text = json.dumps(changed(old, tuple(name.split(".")), new))
            (case.folder / "model.json").write_text(text)
            assert case.outcome() == "refused", (name, new)


def test_what_is_said_of_damage(cells, saved_folder, tmp_path):
    case = Case(cells, "w1ot", tmp_path / "model")
    folder = saved_folder(case.folder)
    original, arrays = folder.values, folder.arrays
    genes = original["data"]["var_names"]
    for path, new, message in (
        (("settings", "width"), 10**9, "the sizes of its networks are too large"),
        (("settings", "width"), 10**4, r"'rays\.0\..*' must be float32 of shape"),
        (("settings", "n_rays"), 10**9, "n_rays is 1000000000 .* and the arrays are those of 2"),
        (("strata", "n_seeds"), 10**9, "n_seeds must be a whole number from 1 to 1000"),
        (("strata", "mode"), "apart", r"strata.mode must be one of \('balanced', 'separate'\)"),
        (("data", "var_names"), [genes[0], *genes[:-1]], f"{genes[0]!r} more than once"),
        (("combination", "rule"), "vote", "has a rule of .* found 'vote'"),
        (("combination",), None, "no rule combines the maps of 2 strata"),
        (("settings", "decode"), "magic", "decode must be one of"),
        (("settings", "preset"), "best", "preset must be one of .*, found 'best'"),
        (("settings", "shrink"), 1, "settings.shrink must be true or false, found 1"),
        (("settings", "mine"), 1, "settings has 'mine', which is not known"),
        (("diagnostics",), [], "diagnostics of 0 maps, and 4 maps"),
        (("representation", "kind"), "umap", "representation.kind must be one of"),
    ):
        folder.sign(changed(original, path, new))
        with pytest.raises(ValueError, match=rf"model' cannot be loaded: .*{message}"):
            case.load()
    folder.sign(original)
    for name, values, message in (
        ("module.centre", np.full_like(arrays["module.centre"], np.nan), "that are not finite"),
        ("module.scale", arrays["module.scale"].astype(np.float64), "must be float32 of shape"),
        ("mine", arrays["module.scale"], "an array 'mine', which is not known"),
        ("representation.loadings", arrays["representation.loadings"][1:], r"shape \(12, 4\)"),
    ):
        folder.replace_arrays({**arrays, name: values})
        with pytest.raises(ValueError, match=message):
            case.load()


def test_thresholds_of_unmatched_cells_may_be_infinite(cells, saved_folder, tmp_path):
    model = rt.tl.w1ot(cells.copy(), "control", "drug_000", use_rep="X_pca", **QUICK)
    model.save(tmp_path / "model")
    arrays = saved_folder(tmp_path / "model").arrays
    assert np.isinf(arrays["module.highest_source"]).all()
    rt.model.W1OT.load(tmp_path / "model")
    saved_folder(tmp_path / "model").replace_arrays(
        {**arrays, "module.highest_source": np.full_like(arrays["module.highest_source"], np.nan)}
    )
    with pytest.raises(ValueError, match="not finite"):
        rt.model.W1OT.load(tmp_path / "model")
