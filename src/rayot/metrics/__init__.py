"""Numbers that say how close predicted cells are to observed ones."""

from typing import TYPE_CHECKING

from rayot._lazy import attach

if TYPE_CHECKING:
    from rayot.metrics._comparison import compare_methods as compare_methods
    from rayot.metrics._energy_distance import energy_distance as energy_distance
    from rayot.metrics._instability import instability as instability
    from rayot.metrics._log_fold_change import log_fold_change as log_fold_change
    from rayot.metrics._log_fold_change import log_fold_change_error as log_fold_change_error
    from rayot.metrics._log_fold_change import mean_difference_error as mean_difference_error
    from rayot.metrics._mean import l2 as l2
    from rayot.metrics._mean import r2 as r2
    from rayot.metrics._mmd import mmd as mmd
    from rayot.metrics._registry import METRICS as METRICS
    from rayot.metrics._registry import Metric as Metric
    from rayot.metrics._registry import describe as describe
    from rayot.metrics._registry import get_metrics as get_metrics
    from rayot.metrics._registry import score as score
    from rayot.metrics._summary import rank_methods as rank_methods
    from rayot.metrics._summary import summarise as summarise
    from rayot.metrics._translation import foscttm as foscttm
    from rayot.metrics._translation import label_transfer_accuracy as label_transfer_accuracy
    from rayot.metrics._wasserstein1 import wasserstein1 as wasserstein1
    from rayot.metrics._way import way as way

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "METRICS": "_registry",
        "Metric": "_registry",
        "compare_methods": "_comparison",
        "describe": "_registry",
        "energy_distance": "_energy_distance",
        "foscttm": "_translation",
        "get_metrics": "_registry",
        "instability": "_instability",
        "l2": "_mean",
        "label_transfer_accuracy": "_translation",
        "log_fold_change": "_log_fold_change",
        "log_fold_change_error": "_log_fold_change",
        "mean_difference_error": "_log_fold_change",
        "mmd": "_mmd",
        "r2": "_mean",
        "rank_methods": "_summary",
        "score": "_registry",
        "summarise": "_summary",
        "wasserstein1": "_wasserstein1",
        "way": "_way",
    },
)
