"""Orthonormal transforms: orthogonality, both shapes, gradients, agreement with polar factors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import polar

from rayot.nn import bjorck, cayley


def weights(rows, columns, scale=1.0, stack=2, seed=0):
    return torch.randn(stack, rows, columns, generator=torch.Generator().manual_seed(seed)) * scale


def error(matrix):
    if matrix.shape[-2] < matrix.shape[-1]:
        matrix = matrix.mT
    return float((matrix.mT @ matrix - torch.eye(matrix.shape[-1])).abs().max())


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 80),
    columns=st.integers(1, 80),
    scale=st.floats(0.01, 1.0),
    seed=st.integers(0, 99),
)
def test_cayley_is_orthonormal_in_float32(rows, columns, scale, seed):
    assert error(cayley(weights(rows, columns, scale, seed=seed))) <= 1e-5


@pytest.mark.parametrize(("rows", "columns"), [(64, 2000), (2000, 64), (64, 64), (1, 64)])
def test_cayley_is_orthonormal_at_the_sizes_of_a_potential(rows, columns):
    assert error(cayley(weights(rows, columns, columns**-0.5))) <= 1e-5


@pytest.mark.parametrize(("rows", "columns"), [(16, 16), (30, 8), (8, 30)])
def test_bjorck_finds_the_nearest_orthonormal_matrix(rows, columns):
    free = weights(rows, columns) * 0.2 + torch.eye(rows, columns)
    found = bjorck(free)
    assert error(found) <= 1e-5
    for one, nearest in zip(free, found, strict=True):
        assert np.allclose(polar(one.double().numpy())[0], nearest.numpy(), atol=1e-4)


@pytest.mark.parametrize("columns", [2, 50, 64, 65, 500])
def test_bjorck_is_orthonormal_at_the_sizes_of_a_potential(columns):
    for seed in range(10):
        assert error(bjorck(weights(64, columns, columns**-0.5, seed=seed))) <= 1e-5


def test_gradient_of_cayley_is_that_of_finite_differences():
    free = weights(5, 3).double().requires_grad_(True)
    assert torch.autograd.gradcheck(cayley, free)


def test_a_stack_is_its_members():
    free = weights(7, 5, stack=3)
    for transform in (cayley, bjorck):
        one_by_one = torch.stack([transform(each) for each in free])
        assert torch.allclose(transform(free), one_by_one, atol=1e-6)
