"""GroupSort and MaxMin: a permutation within groups, 1-Lipschitz, exact gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rayot.nn import group_sort, max_min


@settings(max_examples=30, deadline=None)
@given(n_groups=st.sampled_from([1, 2, 4, 8, 16, 32, 64]), seed=st.integers(0, 99))
def test_each_group_is_sorted_and_keeps_its_values(n_groups, seed):
    values = torch.randn(3, 5, 64, generator=torch.Generator().manual_seed(seed))
    expected = values.unflatten(-1, (n_groups, -1)).sort(-1).values.flatten(-2)
    assert torch.equal(group_sort(values, n_groups), expected)


def test_as_many_groups_as_units_is_the_identity():
    values = torch.randn(4, 8)
    assert torch.equal(group_sort(values, 8), values)


def test_groups_that_do_not_divide_the_units_are_refused():
    with pytest.raises(ValueError, match=r"divide the 10 units, found 4"):
        group_sort(torch.zeros(10), 4)


def test_max_min_is_a_sort_of_pairs():
    values = torch.randn(6, 10)
    upper, lower = max_min(values).chunk(2, -1)
    pairs = torch.stack(values.chunk(2, -1), -1).sort(-1).values
    assert torch.equal(lower, pairs[..., 0])
    assert torch.equal(upper, pairs[..., 1])


@pytest.mark.parametrize("activation", [max_min, lambda values: group_sort(values, 2)])
def test_gradients(activation):
    values = torch.randn(3, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(activation, values)
    (gradient,) = torch.autograd.grad((activation(values) * torch.arange(8)).sum(), values)
    assert sorted(gradient[0].tolist()) == list(range(8))
