"""Names that are imported when they are first used (PEP 562)."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def attach(
    package: str, modules: dict[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Give a package ``__getattr__``, ``__dir__`` and ``__all__`` that import on first use.

    anndata, torch, scvi and lightning take seconds to import; a user who only wants a data set or
    the version should not wait for them.

    Parameters
    ----------
    package
        ``__name__`` of the package.
    modules
        From each public name to the module below ``package`` that defines it; a name that maps to
        itself is a submodule.

    Returns
    -------
    ``__getattr__``, ``__dir__`` and ``__all__``.
    """

    def __getattr__(name: str) -> Any:  # noqa: ANN401
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(f"{package}.{modules[name]}")
        return module if modules[name] == name else getattr(module, name)

    def __dir__() -> list[str]:
        return sorted(modules)

    return __getattr__, __dir__, sorted(modules)
