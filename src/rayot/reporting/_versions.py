"""Versions of what is loaded."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from session_info2 import SessionInfo, session_info

from rayot.reporting._blocks import Block, Section, Table, Text

NAMED = ("rayot", "anndata", "lightning", "numpy", "pandas", "scanpy", "scipy", "sklearn", "torch")
"""Modules whose versions are told first."""

SEPARATOR = "----"
DATE = "Updated"


def versions() -> Section:
    """Packages, their dependencies and the system; the order does not depend on the session."""
    loaded = {name: sys.modules[name] for name in NAMED if name in sys.modules}
    told = replace(_installed(), user_globals=loaded)
    parts: list[list[list[str]]] = [[]]
    for line in str(told).splitlines():
        name, _, value = line.partition("\t")
        if name == SEPARATOR:
            parts.append([])
        elif name != DATE:
            parts[-1].append([name, value])
    packages, *dependencies, system = parts
    blocks: list[Block] = [
        Table("Packages", ("package", "version"), sorted(packages, key=_name), numbers=False),
        Table("System", ("component", "version"), system, numbers=False),
    ]
    others = [" ".join(row) for part in dependencies for row in sorted(part, key=_name)]
    if others:
        blocks.append(Text(f"Further packages that were loaded: {', '.join(others)}."))
    return Section("versions", "Versions", blocks)


@cache
def _installed() -> SessionInfo:
    """What is installed, which takes a second to find out and stays so while Python runs."""
    return session_info(os=True, dependencies=True)


def _name(row: Sequence[str]) -> str:
    return row[0].casefold()
