"""Conditions as vectors: perturbations and their combinations, doses, cell types, patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple, Self

import numpy as np

from rayot._combinations import parts_of
from rayot.data import checks


def covariates_name(covariates: Sequence[str]) -> str:
    """Categories of the same cells as one name, another for others; empty without any."""
    return " / ".join(label.replace("/", "//") for label in covariates)


class Condition(NamedTuple):
    """What cells were exposed to, and which cells they are.

    Attributes
    ----------
    perturbation
        Category, or several joined by "+".
    dose
        Above 0; None where there are no doses.
    covariates
        Category of each further column, such as the cell type.
    """

    perturbation: str
    dose: float | None
    covariates: tuple[str, ...]

    @classmethod
    def of(cls, values: Sequence[str | float], *, with_dose: bool) -> Self:
        """Perturbation and covariates, then the dose, in the order of grouped cells."""
        perturbation, *covariates = map(str, values[: len(values) - with_dose])
        return cls(perturbation, float(values[-1]) if with_dose else None, tuple(covariates))

    @property
    def exposure(self) -> Condition:
        """The same for whichever cells."""
        return self._replace(covariates=())

    @property
    def name(self) -> str:
        """All of it, joined by a slash."""
        dose = () if self.dose is None else (f"{self.dose:g}",)
        return " / ".join((self.perturbation, *dose, *self.covariates))


@dataclass(frozen=True)
class Categories:
    """Vectors of the categories of one column.

    Attributes
    ----------
    column
        Its name.
    names
        (n,) categories that have a vector.
    vectors
        (n, k), centred and of unit root mean square norm over the categories of training; None
        where each category has a unit vector of its own.
    """

    column: str
    names: tuple[str, ...]
    vectors: tuple[tuple[float, ...], ...] | None

    @classmethod
    def of(
        cls, column: str, seen: Sequence[str], vector_of: Mapping[str, np.ndarray] | None
    ) -> Self:
        """Vectors of the categories seen in training: given ones, or one direction each.

        Raises
        ------
        ValueError
            If a category has no vector.
        """
        if vector_of is None:
            return cls(column, tuple(seen), None)
        lacking = [name for name in seen if name not in vector_of]
        if lacking:
            raise ValueError(
                f"{len(lacking)} of the {len(seen)} categories of adata.obs[{column!r}] have no "
                f"vector: {checks.listed(lacking)}; add theirs, or leave these cells out."
            )
        training = np.stack([vector_of[name] for name in seen])
        centre = training.mean(0)
        scale = np.sqrt(np.square(training - centre).sum(1).mean())
        # Vectors that are all the same say nothing.
        vectors = (np.stack(list(vector_of.values())) - centre) / (scale if scale > 0 else 1.0)
        return cls(column, tuple(vector_of), tuple(map(tuple, vectors.tolist())))

    @property
    def size(self) -> int:
        """Dimension k of a vector."""
        return len(self.names) if self.vectors is None else len(self.vectors[0])

    def vector(self, name: str) -> np.ndarray:
        """Vector (k,) of a category.

        Raises
        ------
        ValueError
            If it has none; names the nearest one.
        """
        if name not in self.names:
            close = get_close_matches(name, self.names, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            what = "was not in training" if self.vectors is None else "has no vector"
            raise ValueError(
                f"{name!r} of {self.column!r} {what}, so nothing is known of it.{hint}"
            )
        if self.vectors is None:
            return (np.asarray(self.names) == name).astype(np.float64)
        return np.asarray(self.vectors[self.names.index(name)])


@dataclass(frozen=True)
class Conditions:
    """How conditions become vectors.

    Attributes
    ----------
    control
        Perturbation of the cells that the others are compared with.
    perturbations
        Vectors of single perturbations; that of a combination is the sum of its parts'.
    dose_key
        Column of the doses, or of the times; None without.
    log_dose
        Mean and standard deviation of the doses of training, see :meth:`on_scale`.
    covariates
        Vectors of the categories of further columns.
    is_time
        Whether doses are times.
    """

    control: str
    perturbations: Categories
    dose_key: str | None
    log_dose: tuple[float, float]
    covariates: tuple[Categories, ...]
    is_time: bool = False

    @classmethod
    def learn(
        cls,
        control: str,
        conditions: Sequence[Condition],
        columns: Sequence[str],
        dose_key: str | None,
        vectors: Mapping[str, Mapping[str, np.ndarray]],
        *,
        is_time: bool = False,
    ) -> Self:
        """Describe the conditions of training.

        Parameters
        ----------
        control
            Source of all.
        conditions
            Of the training cells.
        columns
            Those of the perturbations, then of the covariates.
        dose_key
            Column of doses or times, or None.
        vectors
            For some columns, the vector of each category.
        is_time
            Whether doses are times.

        Raises
        ------
        ValueError
            If a category has no vector where its column has some.
        """
        groupby, *further = columns
        with_vector = vectors.get(groupby, {})
        parts = {
            part
            for condition in conditions
            for part in parts_of(condition.perturbation, with_vector, control)
        }
        doses = [condition.dose for condition in conditions if condition.dose is not None]
        scaled = doses if is_time else np.log(doses)
        spread = float(np.std(scaled)) if doses else 0.0
        return cls(
            control,
            Categories.of(groupby, sorted(parts), vectors.get(groupby)),
            dose_key,
            (float(np.mean(scaled)) if doses else 0.0, spread or 1.0),
            tuple(
                Categories.of(
                    name,
                    sorted({condition.covariates[k] for condition in conditions}),
                    vectors.get(name),
                )
                for k, name in enumerate(further)
            ),
            is_time,
        )

    @property
    def size(self) -> int:
        """Dimension of a condition's vector."""
        of_covariates = sum(column.size for column in self.covariates)
        return self.perturbations.size + (self.dose_key is not None) + of_covariates

    def on_scale(self, dose: float) -> float:
        """The logarithm of a dose, as each one is a multiple of the next; a time as it is."""
        return dose if self.is_time else float(np.log(dose))

    def vector(self, condition: Condition) -> np.ndarray:
        """Vector (k,) of a condition, float32.

        Raises
        ------
        ValueError
            If a part of it is not known.
        """
        parts = [self.perturbations.vector(part.perturbation) for part in self.parts(condition)]
        vectors = [np.sum(parts, axis=0)]
        if self.dose_key is not None:
            assert condition.dose is not None
            mean, spread = self.log_dose
            vectors.append(np.array([(self.on_scale(condition.dose) - mean) / spread]))
        vectors += [
            column.vector(name)
            for column, name in zip(self.covariates, condition.covariates, strict=True)
        ]
        return np.concatenate(vectors).astype(np.float32)

    def parts(self, condition: Condition) -> list[Condition]:
        """The conditions of its single perturbations."""
        names = parts_of(condition.perturbation, self.perturbations.names, self.control)
        return [condition._replace(perturbation=name) for name in names]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Inverse of :meth:`to_json`."""
        columns = []
        for column in (values["perturbations"], *values["covariates"]):
            vectors = column["vectors"]
            as_tuples = None if vectors is None else tuple(map(tuple, vectors))
            columns.append(Categories(column["column"], tuple(column["names"]), as_tuples))
        return cls(
            values["control"],
            columns[0],
            values["dose_key"],
            tuple(values["log_dose"]),
            tuple(columns[1:]),
            # Files of earlier versions know of doses alone.
            values.get("is_time", False),
        )
