"""What a type checker says of the verbs."""

from pathlib import Path

import pytest

import rayot as rt

SNIPPET = """
from typing import Any

import rayot as rt
from rayot.model import CPA, W1OT

adata = rt.datasets.simulated()
map: W1OT = rt.tl.w1ot(adata, "control", "perturbed", preset="fast", seed=1, clip=False)
joint: CPA = rt.tl.cpa(adata, "control", "perturbed", dose_key="dose")
trainer_kwargs: dict[str, Any] = {"num_nodes": 1}
rt.tl.w1ot(adata, "control", "perturbed", **trainer_kwargs)
"""
WRONG = {
    'rt.tl.w1ot(adata, "a", "b", seed="x")': '"seed" to "w1ot" has incompatible type "str"',
    'rt.tl.w1ot(adata, "a", "b", presett="fast")': 'did you mean "preset"?',
    'rt.tl.w1ot(adata, "a", "b", dose_key="dose")': 'Unexpected keyword argument "dose_key"',
    'rt.tl.w1ot(adata, "a")': 'Missing positional argument "target_key"',
    'wrong: CPA = rt.tl.w1ot(adata, "a", "b")': 'expression has type "W1OT"',
}
"""Lines that are errors, and what is said of them."""


@pytest.mark.slow
def test_a_type_checker_knows_keywords_and_results(tmp_path, monkeypatch):
    api = pytest.importorskip("mypy.api")
    monkeypatch.setenv("MYPYPATH", str(Path(rt.__file__).parents[1]))
    file = tmp_path / "snippet.py"
    file.write_text(SNIPPET + "\n".join(WRONG), encoding="utf-8")
    options = ["--follow-imports=silent", "--cache-dir", str(tmp_path), "--hide-error-context"]
    found = [line for line in api.run([*options, str(file)])[0].splitlines() if ": error: " in line]
    assert len(found) == len(WRONG), found
    for line, said in zip(found, WRONG.values(), strict=True):
        assert said in line
