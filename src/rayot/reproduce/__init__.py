"""The experiments of the W1OT paper, each by one call, beside what was published."""

from typing import TYPE_CHECKING

from rayot._lazy import attach

if TYPE_CHECKING:
    from rayot.reproduce._figure2 import figure2 as figure2
    from rayot.reproduce._figure3 import figure3 as figure3
    from rayot.reproduce._figure4 import figure4 as figure4
    from rayot.reproduce._supplement1 import supplement1 as supplement1
    from rayot.reproduce._supplement3 import supplement3 as supplement3

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "figure2": "_figure2",
        "figure3": "_figure3",
        "figure4": "_figure4",
        "supplement1": "_supplement1",
        "supplement3": "_supplement3",
    },
)
