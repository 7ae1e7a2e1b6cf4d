"""Where a verb's model finds its cells."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anndata import AnnData

    from rayot.data.spec import DataSpec
    from rayot.model import ConditionalW1OT
    from rayot.model.method import Method
    from rayot.representation import Representation


def described(
    model: type[Method] | type[ConditionalW1OT],
    cells: AnnData,
    use_rep: str | Representation | None,
    **where: Any,  # noqa: ANN401
) -> tuple[DataSpec, Representation | None]:
    """What ``setup_anndata`` says of the cells, and the representation if it is no entry of theirs.

    Parameters
    ----------
    model
        Class whose ``setup_anndata`` is called.
    cells, use_rep
        As a verb takes them.
    **where
        Its further arguments.
    """
    from rayot.representation import Representation

    if not isinstance(use_rep, Representation):
        return model.setup_anndata(cells, use_rep=use_rep, **where), None
    data = model.setup_anndata(cells, use_rep=None, **where)
    return replace(data, use_rep=use_rep.name), use_rep
