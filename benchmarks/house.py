"""How large the house is, and how far a call goes through it: python benchmarks/house.py.

Lines and files of each room; files and functions of the package that `tl.w1ot`, `tl.screen`,
`tl.mean_shift` and `predict` pass, counted while they run on simulated cells after everything is
imported. Fewer of both means less to open for whoever wants to understand one of them.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import logging
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import rayot as rt

PACKAGE = Path(rt.__file__).parent
QUICK = {"max_steps": 10, "show_progress_bar": False}


def passed(call: Callable[[], object]) -> tuple[int, int]:
    """Files and functions of the package that a call passes."""
    seen: set[tuple[str, str]] = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(str(PACKAGE)):
            if not code.co_name.startswith("<"):
                seen.add((code.co_filename, code.co_qualname))

    threading.setprofile(note)
    sys.setprofile(note)
    call()
    sys.setprofile(None)
    threading.setprofile(None)
    return len({file for file, _ in seen}), len(seen)


def calls() -> dict[str, Callable[[], object]]:
    adata = rt.datasets.simulated(n_cells=300, n_genes=30)
    cells = rt.datasets.simulated_screen(3, n_cells=60, n_genes=30, n_controls=120, seed=0)
    model = rt.tl.w1ot(adata.copy(), "control", "perturbed", preset="fast", **QUICK)
    return {
        "tl.w1ot": lambda: rt.tl.w1ot(adata.copy(), "control", "perturbed", preset="fast", **QUICK),
        "tl.screen": lambda: rt.tl.screen(cells.copy(), "control", **QUICK),
        "tl.mean_shift": lambda: rt.tl.mean_shift(adata.copy(), "control", "perturbed"),
        "predict": lambda: model.predict(adata),
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    n_lines = n_files = 0
    rooms = sorted(each for each in PACKAGE.iterdir() if each.is_dir() and each.name[0] != "_")
    for room in rooms:
        files = list(room.glob("*.py"))
        lines = sum(len(file.read_text().splitlines()) for file in files)
        print(f"{room.name}: {lines:,} lines in {len(files)} files")
        n_lines, n_files = n_lines + lines, n_files + len(files)
    print(f"together: {n_lines:,} lines in {n_files} files")
    for name, call in calls().items():
        call()
        print(f"{name}: {passed(call)[1]} functions in {passed(call)[0]} files")
