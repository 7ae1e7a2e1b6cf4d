"""Figures of fitted maps, from what is in AnnData alone."""

from typing import TYPE_CHECKING

from rayot._lazy import attach

if TYPE_CHECKING:
    from rayot.pl._benchmark import benchmark as benchmark
    from rayot.pl._benchmark import benchmark_effects as benchmark_effects
    from rayot.pl._benchmark import benchmark_ranks as benchmark_ranks
    from rayot.pl._calibration import calibration as calibration
    from rayot.pl._diagnostics import diagnostics as diagnostics
    from rayot.pl._evaluate import evaluate as evaluate
    from rayot.pl._history import history as history
    from rayot.pl._log_fold_change import log_fold_change as log_fold_change
    from rayot.pl._markers import markers as markers
    from rayot.pl._potential import potential as potential
    from rayot.pl._screen import screen as screen
    from rayot.pl._similarity import similarity as similarity
    from rayot.pl._transport_rays import transport_rays as transport_rays
    from rayot.pl._umap import umap as umap

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "benchmark": "_benchmark",
        "benchmark_effects": "_benchmark",
        "benchmark_ranks": "_benchmark",
        "calibration": "_calibration",
        "diagnostics": "_diagnostics",
        "evaluate": "_evaluate",
        "evaluation": "_evaluate",
        "history": "_history",
        "log_fold_change": "_log_fold_change",
        "markers": "_markers",
        "potential": "_potential",
        "screen": "_screen",
        "similarity": "_similarity",
        "transport_rays": "_transport_rays",
        "umap": "_umap",
    },
)
# A former name, which works for one release.
__all__.remove("evaluation")
