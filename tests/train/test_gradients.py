"""One optimizer step: the same whatever the memory layout of the gradients."""

import copy

import pytest
import torch

from rayot.nn import LipschitzNetwork
from rayot.train.training import apply_gradients


@pytest.mark.parametrize("dimension", [10, 200])
def test_fused_steps_are_those_of_plain_adam(dimension):
    # Above the width of the network the gradient of its first matrix comes transposed.
    cells = torch.randn(1, 32, dimension, generator=torch.Generator().manual_seed(0))
    network = LipschitzNetwork(dimension, [torch.Generator().manual_seed(1)], width=64)
    plain = copy.deepcopy(network)
    parameters = list(network.parameters())
    fused = torch.optim.Adam(parameters, lr=1e-3, fused=True)
    reference = torch.optim.Adam(plain.parameters(), lr=1e-3, fused=False)
    for _ in range(3):
        apply_gradients(network(cells).square().mean(), parameters, fused)
        reference.zero_grad()
        plain(cells).square().mean().backward()
        reference.step()
    for found, expected in zip(parameters, plain.parameters(), strict=True):
        assert torch.allclose(found, expected, atol=1e-4)
