"""Small random populations."""

import numpy as np
import pytest


@pytest.fixture
def populations():
    """Two populations of unequal size that differ in place, scale and correlation."""
    generator = np.random.default_rng(1)
    mixing = generator.normal(size=(7, 7)) / 2
    return generator.normal(size=(83, 7)), 0.4 + generator.normal(size=(61, 7)) @ mixing
