"""What every model is: trained or not yet, with a history and a description."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData


def words_of(table: pd.DataFrame) -> str:
    """How many maps of a table have each word, as in "3 good, 1 check"."""
    counts = table["certificate"].value_counts()
    return ", ".join(f"{n} {word}" for word, n in counts.items())


class Model(ABC):
    """A model on scvi-tools' life cycle: set up, train, predict, save, load.

    It is no :class:`scvi.model.base.BaseModelClass`, whose AnnDataManager refuses views and objects
    on disk, writes to the user's object, keeps it alive and saves a pickle, and most of whose
    public names would not work here.
    """

    _is_trained: bool = False
    _history: dict[str, pd.DataFrame]
    _adata: AnnData | MuData | None = None

    @property
    def is_trained(self) -> bool:
        """Whether the model is trained."""
        return self._is_trained

    @property
    def history(self) -> dict[str, pd.DataFrame]:
        """For each phase, its losses and held-out value by step, means over all maps.

        Raises
        ------
        RuntimeError
            If the model is not trained.
        """
        self._check_trained()
        return self._history

    @property
    def adata(self) -> AnnData | MuData | None:
        """What a verb with ``copy=True`` wrote to; None of others, which let go of their cells."""
        return self._adata

    def _check_trained(self, message: str = "Train the model first.") -> None:
        if not self._is_trained:
            raise RuntimeError(message)

    def __repr__(self) -> str:
        """What is fitted, on what, how good it is, and what comes next."""
        found = self._found() if self._is_trained else "not trained: call train()"
        return f"{self._subject()}\n{found}"

    @abstractmethod
    def _subject(self) -> str:
        """What is fitted, on what."""

    @abstractmethod
    def _found(self) -> str:
        """How good it is, and what comes next."""
