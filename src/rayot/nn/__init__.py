"""Stacked layers: every parameter has a leading dimension P of independent problems."""

from rayot.nn.conditional import ConditionalLipschitzNetwork, ConditionalMLP
from rayot.nn.embedding import StackedEmbedding
from rayot.nn.funnel import FunnelPotential
from rayot.nn.groupsort import group_sort, max_min
from rayot.nn.icnn import ConvexNetwork
from rayot.nn.lipschitz import LipschitzNetwork
from rayot.nn.mlp import StackedMLP
from rayot.nn.orthogonal import bjorck, cayley
from rayot.nn.potential import Potential

__all__ = [
    "ConditionalLipschitzNetwork",
    "ConditionalMLP",
    "ConvexNetwork",
    "FunnelPotential",
    "LipschitzNetwork",
    "Potential",
    "StackedEmbedding",
    "StackedMLP",
    "bjorck",
    "cayley",
    "group_sort",
    "max_min",
]
