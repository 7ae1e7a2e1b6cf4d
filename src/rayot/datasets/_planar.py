"""What all point sets share: their form as AnnData, and how they seed scikit-learn."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from rayot.data.keys import Key


def legacy_seed(rng: np.random.Generator) -> int:
    """Draw a 32-bit seed for scikit-learn, which takes no Generator."""
    return int(rng.integers(2**32, dtype=np.uint32))


def two_populations(source: np.ndarray, target: np.ndarray) -> AnnData:
    """Stack source over target, (n, d) each, in one AnnData; x and y name the axes of the plane."""
    names = [Key.obs.control, Key.obs.perturbed]
    sizes = [len(source), len(target)]
    obs = pd.DataFrame(
        {Key.obs.perturbation: pd.Categorical(np.repeat(names, sizes), categories=names)},
        index=[f"{name}_{i}" for name, size in zip(names, sizes, strict=True) for i in range(size)],
    )
    points = np.concatenate([source, target]).astype(np.float32)
    dim = points.shape[1]
    axes = ["x", "y"] if dim == 2 else [f"x{axis}" for axis in range(1, dim + 1)]
    return AnnData(points, obs=obs, var=pd.DataFrame(index=axes))
