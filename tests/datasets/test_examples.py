import doctest
from importlib import import_module
from pathlib import Path

import pytest

import rayot.datasets

MODULES = sorted(path.stem for path in Path(rayot.datasets.__file__).parent.glob("_[a-z]*.py"))


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_run(module):
    result = doctest.testmod(import_module(f"rayot.datasets.{module}"))
    assert result.failed == 0
