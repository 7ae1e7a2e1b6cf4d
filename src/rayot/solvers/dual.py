"""The Kantorovich-Rubinstein dual of the Wasserstein-1 distance."""

from torch import Tensor


def dual_value(source_values: Tensor, target_values: Tensor) -> Tensor:
    r"""Dual objective of each problem (paper, equations 4 and 13).

    :math:`E_{x \sim \mu} f(x) - E_{y \sim \nu} f(y)`, to be maximised. For a 1-Lipschitz f and
    cells it was not fitted on, it is a lower bound of W1, up to sampling.

    Parameters
    ----------
    source_values, target_values
        Potential of source and target cells, each (P, n).

    Returns
    -------
    (P,).

    Examples
    --------
    >>> import torch
    >>> dual_value(torch.ones(1, 4), torch.zeros(1, 3))
    tensor([1.])
    """
    return source_values.mean(-1) - target_values.mean(-1)
