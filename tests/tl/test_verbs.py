"""The verbs of all methods: one signature, and what is said of it."""

import inspect
import re
from typing import get_type_hints

import pytest

import rayot as rt
from rayot.model.methods import METHODS
from rayot.tl import _methods
from rayot.tl._options import AttributeOptions, CellOptions, FitOptions, WriteOptions


@pytest.mark.parametrize("name", sorted(METHODS))
def test_verbs_take_the_same_keywords(name):
    mine, others = (inspect.signature(getattr(rt.tl, each)) for each in (name, "w1ot"))
    assert set(others.parameters) <= set(mine.parameters)
    assert mine.parameters["key_added"].default == name
    assert getattr(rt.tl, name) is getattr(rt.tl, name)


def test_every_method_has_its_function():
    functions = {name for name, each in vars(_methods).items() if inspect.isfunction(each)}
    assert functions - {"fit", "translates_too", "verb"} == set(METHODS)
    for name, method in METHODS.items():
        assert inspect.signature(getattr(_methods, name)).return_annotation == method


FITS = {
    **{name: getattr(_methods, name) for name in METHODS},
    "W1OT.train": rt.model.W1OT.train,
    "Screen.train": rt.model.Screen.train,
    "ConditionalW1OT.train": rt.model.ConditionalW1OT.train,
    "screen": rt.tl.screen,
    "conditional_w1ot": rt.tl.conditional_w1ot,
}


@pytest.mark.parametrize("name", FITS)
def test_keywords_are_described(name):
    """Those of all methods in the order of the signature."""
    text = inspect.getdoc(FITS[name])
    described = re.search("Parameters\n-+\n(.*?)\n\n(Returns|Raises)\n", text, re.DOTALL)[1]
    names = re.findall(r"^\*{0,2}(\w+)(?:, (\w+))?$", described, re.MULTILINE)
    known = [each for group in names for each in group if each]
    expected = [each for each in inspect.signature(FITS[name]).parameters if each != "self"]
    assert sorted(known) == sorted(expected)
    if name in METHODS:
        assert known == expected


def test_groups_follow_one_another():
    known = list(inspect.signature(_methods.cpa).parameters)
    groups = (CellOptions, AttributeOptions, FitOptions, WriteOptions)
    keywords = [each for group in groups for each in group.__annotations__]
    assert known == ["adata", "source_key", "target_key", *keywords, "trainer_kwargs"]
    hints = get_type_hints(_methods.cpa)
    assert hints["dose_key"] == str | None and hints["return"] is rt.model.CPA


def test_a_wrong_keyword_is_named(cells):
    with pytest.raises(ValueError, match="group_by: neither an option"):
        rt.tl.w2ot(cells, "control", "perturbed", group_by="perturbation")
    with pytest.raises(TypeError, match="target_key"):
        rt.tl.w2ot(cells, "control")
