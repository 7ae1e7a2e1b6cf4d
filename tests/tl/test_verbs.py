"""The verbs of all methods: one signature, and examples that run."""

import doctest
import inspect

import pytest

import rayot as rt
from rayot.model.methods import METHODS, method_of


@pytest.mark.parametrize("name", sorted(METHODS))
def test_the_examples_run(name):
    for documented in (getattr(rt.tl, name), method_of(name)):
        finder = doctest.DocTestFinder(recurse=False)
        (found,) = finder.find(documented, name, module=False, globs={})
        assert doctest.DocTestRunner().run(found).failed == 0


@pytest.mark.parametrize("name", sorted(METHODS))
def test_verbs_take_the_same_keywords(name):
    mine, others = (inspect.signature(getattr(rt.tl, each)) for each in (name, "w1ot"))
    assert set(others.parameters) <= set(mine.parameters)
    assert mine.parameters["key_added"].default == name
    assert getattr(rt.tl, name) is getattr(rt.tl, name)


def test_a_wrong_keyword_is_named(cells):
    with pytest.raises(ValueError, match="group_by: neither an option"):
        rt.tl.w2ot(cells, "control", "perturbed", group_by="perturbation")
    with pytest.raises(TypeError, match="target_key"):
        rt.tl.w2ot(cells, "control")
