"""Grids of methods, perturbations, splits, spaces and seeds, scored on the same held-out cells."""

from typing import TYPE_CHECKING

from rayot._lazy import attach

if TYPE_CHECKING:
    from rayot.benchmark._command import Command as Command
    from rayot.benchmark._grid import run as run
    from rayot.benchmark._spaces import principal_components as principal_components
    from rayot.benchmark._task import Task as Task

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Command": "_command",
        "Task": "_task",
        "principal_components": "_spaces",
        "run": "_grid",
    },
)
