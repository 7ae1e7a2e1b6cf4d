"""The table of metrics, from which scores, tests and documentation are generated."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from rayot.metrics import _de_agreement as de
from rayot.metrics._delta import (
    pearson_delta,
    pearson_delta_systema,
    weighted_mse,
    weighted_r2_delta,
)
from rayot.metrics._discrimination import centroid_accuracy, discrimination_score
from rayot.metrics._energy_distance import energy_distance
from rayot.metrics._knn_enrichment import knn_enrichment
from rayot.metrics._log_fold_change import log_fold_change_error, mean_difference_error
from rayot.metrics._mean import coefficient_of_determination, l2, r2
from rayot.metrics._metric import Metric
from rayot.metrics._mmd import mmd
from rayot.metrics._spread import correlation_error, l2_sd, spread_error
from rayot.metrics._transport import sinkhorn_divergence, sliced_wasserstein1, wasserstein2
from rayot.metrics._wasserstein1 import wasserstein1

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric(
                name="r2",
                kind="mean",
                direction="higher",
                best=1.0,
                formula="cor(mean X, mean Y)²",
                description="Squared Pearson correlation of feature means; blind to shift, scale "
                "and shape.",
                source="Chen et al. (W1OT)",
                function=r2,
                by_default=True,
            ),
            Metric(
                name="l2",
                kind="mean",
                direction="lower",
                best=0.0,
                formula="‖mean X − mean Y‖",
                description="Euclidean distance of mean profiles; blind to shape.",
                source="Bunne et al. 2023 (CellOT)",
                function=l2,
                by_default=True,
            ),
            Metric(
                name="mmd",
                kind="distribution",
                direction="lower",
                best=0.0,
                formula="mean over γ of mean k(X, X) + mean k(Y, Y) − 2 mean k(X, Y), "
                "k = exp(−γ ‖x − y‖²), 50 γ from 10 to 0.001",
                description="Maximum mean discrepancy of the W1OT paper; biased, so it depends on "
                "the number of cells.",
                source="Bunne et al. 2023 (CellOT)",
                function=mmd,
                by_default=True,
            ),
            Metric(
                name="energy_distance",
                kind="distribution",
                direction="lower",
                best=0.0,
                formula="2 E‖x − y‖ − E‖x − x'‖ − E‖y − y'‖",
                description="Energy distance, Euclidean and unbiased.",
                source="Székely & Rizzo 2013",
                function=energy_distance,
                by_default=True,
            ),
            Metric(
                name="wasserstein1",
                kind="distribution",
                direction="lower",
                best=0.0,
                formula="min over couplings of E‖x − y‖",
                description="Exact Wasserstein-1 distance of at most 500 cells each; mostly "
                "sampling error in many dimensions.",
                source="Kantorovich 1942",
                function=wasserstein1,
                by_default=True,
            ),
            Metric(
                name="log_fold_change_error",
                kind="mean",
                direction="lower",
                best=0.0,
                formula="mean over genes of |log2 FC(X) − log2 FC(Y)|",
                description="Mean absolute error of log2 fold changes against control, from means "
                "on the linear scale.",
                function=log_fold_change_error,
                needs=("control",),
            ),
            Metric(
                name="mean_difference_error",
                kind="mean",
                direction="lower",
                best=0.0,
                formula="mean over genes of |mean X − mean Y|",
                description="Mean absolute difference of feature means, on whatever scale.",
                function=mean_difference_error,
            ),
            Metric(
                name="mae",
                kind="mean",
                direction="lower",
                best=0.0,
                formula="mean over genes of |mean X − mean Y|",
                description="Mean absolute error of mean profiles: mean_difference_error by the "
                "name that the field has for it.",
                source="Roohani et al. 2025 (Virtual Cell Challenge)",
                function=mean_difference_error,
            ),
            Metric(
                name="coefficient_of_determination",
                kind="mean",
                direction="higher",
                best=1.0,
                formula="1 − Σ (mean Y − mean X)² / Σ (mean Y − mean of mean Y)²",
                description="R² of scikit-learn, CellFlow and pertpy: sees shift and scale of the "
                "means; blind to shape.",
                source="Klein et al. 2025 (CellFlow)",
                function=coefficient_of_determination,
            ),
            Metric(
                name="pearson_delta",
                kind="mean",
                direction="higher",
                best=1.0,
                formula="cor(mean X − mean C, mean Y − mean C)",
                description="Correlation of the changes; high for all that predicts what "
                "perturbations have in common.",
                source="Ahlmann-Eltze et al. 2025",
                function=pearson_delta,
                needs=("control",),
            ),
            Metric(
                name="pearson_delta_systema",
                kind="mean",
                direction="higher",
                best=1.0,
                formula="cor(mean X − m, mean Y − m), m the mean of training perturbations",
                description="Correlation of what is particular to a perturbation; needs ten others "
                "in training.",
                source="Viñas Torné et al. 2025 (Systema)",
                function=pearson_delta_systema,
                needs=("reference",),
            ),
            Metric(
                name="weighted_mse",
                kind="mean",
                direction="lower",
                best=0.0,
                formula="Σ w (mean X − mean Y)² / Σ w",
                description="Squared error in the genes that respond.",
                source="Mejia et al. 2025",
                function=weighted_mse,
                needs=("weights",),
            ),
            Metric(
                name="weighted_r2_delta",
                kind="mean",
                direction="higher",
                best=1.0,
                formula="1 − Σ w (e − d)² / Σ w (e − mean e)², d = mean X − mean C, e = mean Y − "
                "mean C",
                description="Share of the change that is explained, in the genes that respond.",
                source="Mejia et al. 2025",
                function=weighted_r2_delta,
                needs=(
                    "control",
                    "weights",
                ),
            ),
            Metric(
                name="l2_sd",
                kind="spread",
                direction="lower",
                best=0.0,
                formula="‖sd X − sd Y‖",
                description="Euclidean distance of standard deviations; ruled by the genes that "
                "vary most.",
                source="Bunne et al. 2023 (CellOT)",
                function=l2_sd,
            ),
            Metric(
                name="spread_error",
                kind="spread",
                direction="lower",
                best=0.0,
                formula="mean over genes of |log2 (sd X / sd Y)|",
                description="How many times too narrow or too wide predictions are; all genes that "
                "vary count alike.",
                source="this package",
                function=spread_error,
            ),
            Metric(
                name="correlation_error",
                kind="spread",
                direction="lower",
                best=0.0,
                formula="mean over pairs of genes of |cor X − cor Y|",
                description="Whether genes go together as they do in observed cells; blind to "
                "means and spread.",
                source="Bunne et al. 2023 (CellOT)",
                function=correlation_error,
            ),
            Metric(
                name="mmd_unbiased",
                kind="distribution",
                direction="lower",
                best=0.0,
                formula="mmd without the pairs of each cell with itself",
                description="Does not depend on the number of cells; can be below zero.",
                source="Gretton et al. 2012",
                function=partial(mmd, unbiased=True),
            ),
            Metric(
                name="mmd_cellflow",
                kind="distribution",
                direction="lower",
                best=0.0,
                formula="mmd with γ of 2, 1, 0.5, 0.1, 0.01 and 0.005",
                description="Maximum mean discrepancy that CellFlow reports; biased.",
                source="Klein et al. 2025 (CellFlow)",
                function=partial(mmd, gammas="cellflow"),
            ),
            Metric(
                name="mmd_median",
                kind="distribution",
                direction="lower",
                best=0.0,
                formula="mmd with the single γ = 1 / median ‖x − y‖²",
                description="Maximum mean discrepancy whose width adapts to data and dimensions; "
                "biased.",
                source="Gretton et al. 2012",
                function=partial(mmd, gammas="median"),
            ),
            Metric(
                name="wasserstein2",
                kind="distribution",
                direction="lower",
                best=0.0,
                formula="root of the min over couplings of E‖x − y‖²",
                description="Exact Wasserstein-2 distance of at most 500 cells each; mostly "
                "sampling error in many dimensions.",
                source="Kantorovich 1942",
                function=wasserstein2,
            ),
            Metric(
                name="sliced_wasserstein1",
                kind="distribution",
                direction="lower",
                best=0.0,
                formula="mean over 500 directions u of W1(⟨u, X⟩, ⟨u, Y⟩)",
                description="Wasserstein-1 distance of projections, of all cells; its sampling "
                "error does not grow with dimensions.",
                source="Bonneel et al. 2015",
                function=sliced_wasserstein1,
            ),
            Metric(
                name="sinkhorn_divergence",
                kind="distribution",
                direction="lower",
                best=0.0,
                formula="S(X, Y) − (S(X, X) + S(Y, Y)) / 2, S entropic with ε = 10",
                description="Between the squared W2 and the squared distance of means; at most 500 "
                "cells each.",
                source="Feydy et al. 2019; CellFlow",
                function=sinkhorn_divergence,
            ),
            Metric(
                name="knn_enrichment",
                kind="distribution",
                direction="nearest",
                best=0.5,
                formula="share of predicted among the 50 and 100 nearest of X and Y to x",
                description="Whether predicted cells lie among observed ones, or apart from them.",
                source="Bunne et al. 2023 (CellOT)",
                function=knn_enrichment,
            ),
            Metric(
                name="de_overlap",
                kind="differential expression",
                direction="higher",
                best=1.0,
                formula="|top k of X ∩ top k of Y| / k by |log2 FC|, k = significant genes of Y",
                description="Whether the right genes come first; depends on the number of cells.",
                source="Roohani et al. 2025 (Virtual Cell Challenge)",
                function=de.de_overlap,
                needs=("control",),
            ),
            Metric(
                name="de_direction_match",
                kind="differential expression",
                direction="higher",
                best=1.0,
                formula="share of the significant genes of Y with the same sign of log2 FC",
                description="Whether genes go up and down as they should.",
                source="Adduri et al. 2025 (cell-eval)",
                function=de.de_direction_match,
                needs=("control",),
            ),
            Metric(
                name="de_spearman_lfc",
                kind="differential expression",
                direction="higher",
                best=1.0,
                formula="Spearman of log2 FC over the significant genes of Y",
                description="Whether the genes that respond are in the right order.",
                source="Adduri et al. 2025 (cell-eval)",
                function=de.de_spearman_lfc,
                needs=("control",),
            ),
            Metric(
                name="de_precision",
                kind="differential expression",
                direction="higher",
                best=1.0,
                formula="|significant in X and Y| / |significant in X|",
                description="Falls where predictions have too little spread, and all genes are "
                "significant.",
                source="Adduri et al. 2025 (cell-eval)",
                function=de.de_precision,
                needs=("control",),
            ),
            Metric(
                name="de_recall",
                kind="differential expression",
                direction="higher",
                best=1.0,
                formula="|significant in X and Y| / |significant in Y|",
                description="Share of the responding genes that are found; read it beside the "
                "precision.",
                source="Adduri et al. 2025 (cell-eval)",
                function=de.de_recall,
                needs=("control",),
            ),
            Metric(
                name="de_pr_auc",
                kind="differential expression",
                direction="higher",
                best=1.0,
                formula="average precision of the q-values of X, significant genes of Y to be "
                "found",
                description="Order of the genes by significance; by chance the share of "
                "significant genes.",
                source="Adduri et al. 2025 (cell-eval)",
                function=de.de_pr_auc,
                needs=("control",),
            ),
            Metric(
                name="de_roc_auc",
                kind="differential expression",
                direction="higher",
                best=1.0,
                formula="ROC AUC of the q-values of X, significant genes of Y to be found",
                description="Order of the genes by significance; 0.5 by chance.",
                source="Adduri et al. 2025 (cell-eval)",
                function=de.de_roc_auc,
                needs=("control",),
            ),
            Metric(
                name="centroid_accuracy",
                kind="discrimination",
                direction="higher",
                best=1.0,
                formula="share of q ≠ p with ‖x_p − t_q‖ > ‖x_p − t_p‖ of mean profiles",
                description="Whether the prediction is nearer to its own truth than to others; the "
                "NIR of shift. 0.5 by chance.",
                source="Viñas Torné et al. 2025 (Systema)",
                function=centroid_accuracy,
                needs=("perturbations",),
            ),
            Metric(
                name="discrimination_score_l1",
                kind="discrimination",
                direction="higher",
                best=1.0,
                formula="1 − rank / (p − 1) of the right perturbation, l1 of changes of mean "
                "profiles",
                description="Perturbation discrimination score, without the target gene; rewards "
                "predictions that are too large.",
                source="Roohani et al. 2025 (Virtual Cell Challenge)",
                function=partial(discrimination_score, distance="l1"),
                needs=(
                    "control",
                    "perturbations",
                ),
            ),
            Metric(
                name="discrimination_score_l2",
                kind="discrimination",
                direction="higher",
                best=1.0,
                formula="1 − rank / (p − 1) of the right perturbation, l2 of changes of mean "
                "profiles",
                description="The same by Euclidean distance; rewards predictions that are too "
                "large.",
                source="Roohani et al. 2025 (Virtual Cell Challenge)",
                function=partial(discrimination_score, distance="l2"),
                needs=(
                    "control",
                    "perturbations",
                ),
            ),
            Metric(
                name="discrimination_score_cosine",
                kind="discrimination",
                direction="higher",
                best=1.0,
                formula="1 − rank / (p − 1) of the right perturbation, cosine of changes of mean "
                "profiles",
                description="The same by angle; blind to the size of the change.",
                source="Roohani et al. 2025 (Virtual Cell Challenge)",
                function=partial(discrimination_score, distance="cosine"),
                needs=(
                    "control",
                    "perturbations",
                ),
            ),
        )
    }
)
"""Every metric by its name."""
