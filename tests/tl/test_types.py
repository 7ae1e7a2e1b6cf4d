"""What a type checker says of the verbs."""

from pathlib import Path

import pytest

import rayot as rt

START = """
from typing import Any

import rayot as rt

adata = rt.datasets.simulated()
trainer_kwargs: dict[str, Any] = {"num_nodes": 1}
"""
SAID = {
    'rt.tl.w1ot(adata, "a", "b", preset="fast", seed=1, clip=False, **trainer_kwargs)': "",
    'reveal_type(rt.tl.w1ot(adata, "a", "b"))': 'Revealed type is "rayot.model.w1ot.W1OT"',
    'reveal_type(rt.tl.cpa(adata, "a", "b", dose_key="c"))': '"rayot.model.cpa.CPA"',
    'rt.tl.w1ot(adata, "a", "b", seed="x")': '"seed" to "w1ot" has incompatible type "str"',
    'rt.tl.w1ot(adata, "a", "b", presett="fast")': 'did you mean "preset"?',
    'rt.tl.w1ot(adata, "a", "b", dose_key="c")': 'Unexpected keyword argument "dose_key"',
    'rt.tl.w1ot(adata, "a")': 'Missing positional argument "target_key"',
}
"""Lines, and what mypy says of each."""


@pytest.mark.slow
def test_a_type_checker_knows_keywords_and_results(tmp_path, monkeypatch):
    api = pytest.importorskip("mypy.api")
    monkeypatch.setenv("MYPYPATH", str(Path(rt.__file__).parents[1]))
    file = tmp_path / "snippet.py"
    file.write_text(START + "\n".join(SAID), encoding="utf-8")
    output, _, _ = api.run(["--follow-imports=silent", "--cache-dir", str(tmp_path), str(file)])
    found: dict[int, str] = {}
    for line in output.splitlines()[:-1]:
        _, number, text = line.split(":", 2)
        found[int(number)] = found.get(int(number), "") + text
    first = START.count("\n") + 1
    for number, (line, said) in enumerate(SAID.items(), first):
        text = found.pop(number, "")
        assert said in text and bool(said) == bool(text), f"{line}: {text}"
    assert not found, output
