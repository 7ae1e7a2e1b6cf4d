"""What every model is: trained or not yet, described, saved and loaded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from anndata import AnnData

import rayot
from rayot._public import public
from rayot.model import files
from rayot.model.saved import Arrays, check
from rayot.representation import Representation

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData


LOADED: Any = AnnData()
"""In the place of cells where a model is made of what was saved, and has none."""

NO_CELLS = "A loaded model holds no training cells; construct a new one to train."


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

    @public()
    def save(self, dir_path: str | Path, overwrite: bool = False) -> None:
        """Save to a folder: JSON and safetensors, nothing that can run code on load.

        Parameters
        ----------
        dir_path
            Folder, made if it does not exist.
        overwrite
            Whether a saved model there may be replaced.

        Raises
        ------
        RuntimeError
            If the model is not trained.
        ValueError
            If a map has values that are not finite, or is saved with another model.
        FileExistsError
            If the folder exists and may not be overwritten, or holds other files.
        OSError
            If it cannot be written to; what was there before still is.
        """
        self._check_trained("Train the model before it is saved.")
        values, arrays = self._to_saved()
        described = {"model": type(self).__name__, "version": rayot.__version__, **values}
        files.write(dir_path, described, arrays, overwrite)

    @classmethod
    @public()
    def load(cls, dir_path: str | Path, *, representation: Representation | None = None) -> Self:
        """Load a saved model; no AnnData is needed.

        Parameters
        ----------
        dir_path
            Folder that :meth:`save` wrote.
        representation
            The representation the model was fitted in, for one that is saved on its own (scVI).

        Raises
        ------
        FileNotFoundError
            If the folder holds no saved model.
        OSError
            If the files cannot be read.
        ValueError
            If they are of another method or format, foreign, damaged, or changed since.
        """
        restore = partial(cls._checked, representation=representation)
        return files.load(dir_path, cls.__name__, restore)

    @classmethod
    def _checked(
        cls, values: dict[str, Any], arrays: Arrays, representation: Representation | None
    ) -> Self:
        check(values, cls._saved_fields(), "")
        return cls._restored(values, arrays, representation)

    @abstractmethod
    def _to_saved(self) -> tuple[dict[str, Any], Arrays]:
        """Plain values and arrays that :meth:`_restored` makes the same model of."""

    @classmethod
    @abstractmethod
    def _saved_fields(cls) -> Any:  # noqa: ANN401
        """Types of what is saved, see :func:`rayot.model.saved.check`."""

    @classmethod
    @abstractmethod
    def _restored(
        cls, values: dict[str, Any], arrays: Arrays, representation: Representation | None
    ) -> Self:
        """The model of what :meth:`_to_saved` returned, where it is known to fit together."""

    def __repr__(self) -> str:
        """What is fitted, on what, how good it is, and what comes next."""
        state = self._state() if self._is_trained else "not trained: call train()"
        return f"{self._subject()}\n{state}"

    @abstractmethod
    def _subject(self) -> str:
        """What is fitted, on what."""

    @abstractmethod
    def _state(self) -> str:
        """How good it is, and what comes next."""


def history_arrays(history: dict[str, pd.DataFrame]) -> tuple[dict[str, list[str]], Arrays]:
    """Training curves as the names of their columns, and arrays with the steps before them."""
    columns = {phase: list(map(str, table.columns)) for phase, table in history.items()}
    arrays = {
        phase: table.reset_index().to_numpy(dtype=np.float64) for phase, table in history.items()
    }
    return columns, arrays
