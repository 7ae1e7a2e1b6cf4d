"""Stacked layers: every parameter has a leading dimension P of independent problems."""

from rayot.nn.groupsort import group_sort, max_min
from rayot.nn.lipschitz import LipschitzNetwork
from rayot.nn.mlp import StackedMLP
from rayot.nn.orthogonal import bjorck, cayley

__all__ = ["LipschitzNetwork", "StackedMLP", "bjorck", "cayley", "group_sort", "max_min"]
