"""Numbers that say how close predicted cells are to observed ones."""

from typing import TYPE_CHECKING

from rayot._lazy import attach

if TYPE_CHECKING:
    from rayot.metrics._comparison import compare_methods as compare_methods
    from rayot.metrics._de_agreement import de_direction_match as de_direction_match
    from rayot.metrics._de_agreement import de_overlap as de_overlap
    from rayot.metrics._de_agreement import de_pr_auc as de_pr_auc
    from rayot.metrics._de_agreement import de_precision as de_precision
    from rayot.metrics._de_agreement import de_recall as de_recall
    from rayot.metrics._de_agreement import de_roc_auc as de_roc_auc
    from rayot.metrics._de_agreement import de_spearman_lfc as de_spearman_lfc
    from rayot.metrics._delta import differential_weights as differential_weights
    from rayot.metrics._delta import pearson_delta as pearson_delta
    from rayot.metrics._delta import pearson_delta_systema as pearson_delta_systema
    from rayot.metrics._delta import weighted_mse as weighted_mse
    from rayot.metrics._delta import weighted_r2_delta as weighted_r2_delta
    from rayot.metrics._differential_expression import (
        differential_expression as differential_expression,
    )
    from rayot.metrics._discrimination import centroid_accuracy as centroid_accuracy
    from rayot.metrics._discrimination import discrimination_score as discrimination_score
    from rayot.metrics._energy_distance import energy_distance as energy_distance
    from rayot.metrics._energy_distance_test import EnergyDistanceTest as EnergyDistanceTest
    from rayot.metrics._energy_distance_test import energy_distance_test as energy_distance_test
    from rayot.metrics._instability import instability as instability
    from rayot.metrics._knn_enrichment import knn_enrichment as knn_enrichment
    from rayot.metrics._log_fold_change import log_fold_change as log_fold_change
    from rayot.metrics._log_fold_change import log_fold_change_error as log_fold_change_error
    from rayot.metrics._log_fold_change import mean_difference_error as mean_difference_error
    from rayot.metrics._mean import coefficient_of_determination as coefficient_of_determination
    from rayot.metrics._mean import l2 as l2
    from rayot.metrics._mean import r2 as r2
    from rayot.metrics._metric import Metric as Metric
    from rayot.metrics._mmd import mmd as mmd
    from rayot.metrics._registry import METRICS as METRICS
    from rayot.metrics._score import describe as describe
    from rayot.metrics._score import get_metrics as get_metrics
    from rayot.metrics._score import score as score
    from rayot.metrics._spread import correlation_error as correlation_error
    from rayot.metrics._spread import l2_sd as l2_sd
    from rayot.metrics._spread import spread_error as spread_error
    from rayot.metrics._summary import rank_methods as rank_methods
    from rayot.metrics._summary import summarise as summarise
    from rayot.metrics._translation import foscttm as foscttm
    from rayot.metrics._translation import label_transfer_accuracy as label_transfer_accuracy
    from rayot.metrics._transport import sinkhorn_divergence as sinkhorn_divergence
    from rayot.metrics._transport import sliced_wasserstein1 as sliced_wasserstein1
    from rayot.metrics._transport import wasserstein2 as wasserstein2
    from rayot.metrics._wasserstein1 import wasserstein1 as wasserstein1
    from rayot.metrics._way import way as way

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "EnergyDistanceTest": "_energy_distance_test",
        "METRICS": "_registry",
        "compare_methods": "_comparison",
        "Metric": "_metric",
        "centroid_accuracy": "_discrimination",
        "coefficient_of_determination": "_mean",
        "correlation_error": "_spread",
        "de_direction_match": "_de_agreement",
        "de_overlap": "_de_agreement",
        "de_pr_auc": "_de_agreement",
        "de_precision": "_de_agreement",
        "de_recall": "_de_agreement",
        "de_roc_auc": "_de_agreement",
        "de_spearman_lfc": "_de_agreement",
        "describe": "_score",
        "differential_expression": "_differential_expression",
        "differential_weights": "_delta",
        "discrimination_score": "_discrimination",
        "energy_distance": "_energy_distance",
        "energy_distance_test": "_energy_distance_test",
        "foscttm": "_translation",
        "get_metrics": "_score",
        "instability": "_instability",
        "knn_enrichment": "_knn_enrichment",
        "l2": "_mean",
        "l2_sd": "_spread",
        "label_transfer_accuracy": "_translation",
        "log_fold_change": "_log_fold_change",
        "log_fold_change_error": "_log_fold_change",
        "mean_difference_error": "_log_fold_change",
        "mmd": "_mmd",
        "pearson_delta": "_delta",
        "pearson_delta_systema": "_delta",
        "r2": "_mean",
        "rank_methods": "_summary",
        "summarise": "_summary",
        "score": "_score",
        "sinkhorn_divergence": "_transport",
        "sliced_wasserstein1": "_transport",
        "spread_error": "_spread",
        "wasserstein1": "_wasserstein1",
        "wasserstein2": "_transport",
        "way": "_way",
        "weighted_mse": "_delta",
        "weighted_r2_delta": "_delta",
    },
)
