"""Whether predictions of many perturbations can be told apart."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from rayot import _arguments as arguments
from rayot._public import public
from rayot.metrics._cells import Cells, as_pair, in_one_order, same_cells

DISTANCES = {"l1": "cityblock", "l2": "euclidean", "cosine": "cosine"}
"""Names of distances, and SciPy's."""


@public()
def centroid_accuracy(predicted: ArrayLike, observed: ArrayLike) -> pd.Series:
    """Share of the other perturbations that are further from each prediction than its own truth.

    Euclidean distance of mean profiles, as in Systema; shift calls it "nearest in rank" (NIR).
    Perturbations that are as far count half. It does not depend on the number of perturbations:
    0.5 by chance. Compare within one cell type or patient.

    Parameters
    ----------
    predicted, observed
        Mean profiles of the same p perturbations in the same order, shapes (p, d), at least two. Of
        two tables, rows and columns are found by their names.

    Returns
    -------
    One value between 0 and 1 (best) for each perturbation.

    Raises
    ------
    ValueError
        If the profiles are of other perturbations, of a single one, or not finite.

    References
    ----------
    Viñas Torné et al. (2025), Systema.

    Examples
    --------
    >>> import numpy as np
    >>> from rayot.metrics import centroid_accuracy
    >>> centroid_accuracy(np.eye(3), np.eye(3)[[0, 2, 1]]).tolist()
    [1.0, 0.25, 0.25]
    """
    first, second, names = _profiles(predicted, observed)
    return pd.Series(_share_further(cdist(first, second)), index=names)


@public(distance=partial(arguments.one_of, choices=tuple(DISTANCES)))
def discrimination_score(
    predicted: ArrayLike,
    observed: ArrayLike,
    control: ArrayLike,
    *,
    distance: str = "l1",
    leave_out_target: bool = True,
) -> pd.Series:
    """Perturbation discrimination score: the rank of the right perturbation, 1 where it is nearest.

    ``1 − rank / (p − 1)``, where rank counts the perturbations whose observed change is nearer to
    the predicted one than that of the right perturbation, those as near half. Both changes are
    taken from the same true control cells. cell-eval takes predicted controls, divides by p and
    lets the order of the rows decide ties, so its values differ.

    Manhattan and Euclidean distances reward predictions that are too large; cosine does not see
    their size.

    Parameters
    ----------
    predicted, observed
        Mean profiles of the same p perturbations in the same order, shapes (p, d), at least two. Of
        two tables, rows and columns are found by their names.
    control
        Observed control cells, or their mean, shape (k, d).
    distance
        ``"l1"``, ``"l2"`` or ``"cosine"``.
    leave_out_target
        Leave out, for each perturbation of a table, the gene that has its name, whose change is
        known without a model.

    Returns
    -------
    One value between 0 and 1 (best) for each perturbation; 0.5 by chance. NaN of a cosine where a
    predicted change is zero.

    Raises
    ------
    ValueError
        If the profiles are of other perturbations, of a single one, or not finite.

    References
    ----------
    Roohani et al. (2025), Virtual Cell Challenge.

    Examples
    --------
    >>> import numpy as np
    >>> from rayot.metrics import discrimination_score
    >>> control = np.zeros((1, 3))
    >>> discrimination_score(np.eye(3), np.eye(3)[[0, 2, 1]], control).tolist()
    [1.0, 0.25, 0.25]
    """
    tables = (predicted, "predicted"), (observed, "observed"), (control, "control")
    predicted, observed, control = in_one_order(*tables)
    genes = predicted.columns if isinstance(predicted, pd.DataFrame) else None
    first, second, names = _profiles(predicted, observed)
    _, cells = as_pair(predicted, control, other="control")
    first, second = first - cells.mean(axis=0), second - cells.mean(axis=0)
    if genes is None or not leave_out_target:
        return pd.Series(_share_further(_distances(first, second, distance)), index=names)
    scores = []
    for row, name in enumerate(names):
        kept = np.asarray(genes != name)
        distances = _distances(first[[row]][:, kept], second[:, kept], distance)
        scores.append(_share_further(distances, row)[0])
    return pd.Series(scores, index=names)


def _distances(first: Cells, second: Cells, distance: str) -> Cells:
    # The angle with a profile that does not change is not defined.
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(cdist(first, second, DISTANCES[distance]))


def _share_further(distances: Cells, first_row: int = 0) -> Cells:
    """Share of the other columns that are further than a row's own, ties half: (rows,).

    Parameters
    ----------
    distances
        (rows, p) from predicted to observed profiles.
    first_row
        Which perturbation the first row is.
    """
    rows, p = distances.shape
    own = distances[np.arange(rows), first_row + np.arange(rows)]
    # Equal distances may differ in their last digits.
    close = np.isclose(distances, own[:, None], rtol=1e-12, atol=1e-15)
    nearer = ((distances < own[:, None]) & ~close).sum(axis=1)
    rank = nearer + (close.sum(axis=1) - 1) / 2
    return np.where(np.isfinite(distances).all(axis=1), 1.0 - rank / (p - 1), np.nan)


def _profiles(predicted: ArrayLike, observed: ArrayLike) -> tuple[Cells, Cells, pd.Index]:
    """Profiles of the same perturbations, validated, and what these are called."""
    predicted, observed = in_one_order((predicted, "predicted"), (observed, "observed"))
    predicted, observed = same_cells(predicted, observed)
    names = next((t.index for t in (predicted, observed) if isinstance(t, pd.DataFrame)), None)
    first, second = as_pair(predicted, observed)
    if len(first) != len(second) or len(first) < 2:
        raise ValueError(
            f"predicted has {len(first)} and observed {len(second)} profiles; perturbations are "
            "told apart by one profile of each in both, of at least two."
        )
    return first, second, pd.RangeIndex(len(first)) if names is None else names
