"""The paper's experiments beside its figures: python benchmarks/reproduce.py FOLDER [FOLDER ...].

One table of those that ``rayot reproduce`` wrote to the folders. Figures 2 and 4 are those of
toy.csv and dimension.csv, which were measured with the same settings.
"""

import argparse
from pathlib import Path

import pandas as pd
from rows import RESULTS

from rayot.reproduce import _figure2, _figure4

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path)
    options = parser.parse_args()
    tables = [
        _figure2.table_of(pd.read_csv(RESULTS / "toy.csv"), quick=False),
        _figure4.table_of(pd.read_csv(RESULTS / "dimension.csv"), quick=False),
        *[pd.read_csv(folder / "table.csv") for folder in options.folders],
    ]
    pd.concat(tables).to_csv(RESULTS / "reproduce.csv", index=False)
