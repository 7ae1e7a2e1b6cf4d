"""What importing costs, and that every public name can be had."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rayot as rt


def test_import_is_quick_and_loads_nothing_heavy():
    script = (
        "import sys, time; start = time.process_time(); import rayot; "
        "seconds = time.process_time() - start; "
        "heavy = {'anndata', 'pandas', 'torch', 'scvi', 'lightning', 'scanpy'} & set(sys.modules); "
        "print(seconds); sys.exit(bool(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert float(done.stdout) <= 0.5


@pytest.mark.parametrize(
    "room",
    [
        "datasets",
        "get",
        "metrics",
        "model",
        "pl",
        "pp",
        "representation",
        "reproduce",
        "solvers",
        "tl",
    ],
)
def test_every_public_name_is_there_and_documented(room):
    package = getattr(rt, room)
    assert package.__all__
    for name in package.__all__:
        thing = getattr(package, name)
        if callable(thing):
            assert thing.__doc__, f"{room}.{name}"
            assert "{" + "adata" + "}" not in thing.__doc__


@pytest.mark.parametrize(
    "room", ["get", "metrics", "model", "pl", "pp", "representation", "reproduce", "tl"]
)
def test_type_checkers_see_every_public_name(room):
    package = getattr(rt, room)
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    names = [
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert sorted(filter(None, names)) == sorted(package.__all__)


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match=r"'rayot.tl' has no attribute 'w3ot'"):
        _ = rt.tl.w3ot
