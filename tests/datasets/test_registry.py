import csv
import re

import pytest

import rayot as rt
from rayot.datasets import _registry
from rayot.datasets._registry import Entry, registry

HASHLESS = {"cellot_processed_datasets_all.zip"}


@pytest.mark.parametrize("name", sorted(registry()))
def test_every_entry_is_complete_and_has_a_loader(name):
    entry = registry()[name]
    assert callable(getattr(rt.datasets, name))
    assert entry.files
    for file in entry.files:
        assert file.url.startswith("https://")
        if file.name not in HASHLESS:
            assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        if "raw.githubusercontent.com" in file.url:
            assert re.search(r"/[0-9a-f]{40}/", file.url), "an address must name a commit"
    assert entry.doi.startswith("10.")
    assert all(entry.source().values())
    assert entry.x_description


def test_the_registry_agrees_with_the_manifest_of_the_original_files(upstream_dir):
    manifest = upstream_dir / "manifest.csv"
    if not manifest.exists():
        pytest.skip("the folder of original files has no manifest")
    known = {file.name: file for entry in registry().values() for file in entry.files}
    with manifest.open() as lines:
        for row in csv.DictReader(lines):
            file = known[row["file"]]
            assert file.sha256 == row["sha256"]
            assert file.url.endswith(f"{row['repository']}/{row['commit']}/{row['path']}")


def test_available_lists_every_entry():
    table = rt.datasets.available()
    assert list(table.index) == list(registry())
    assert table.loc["bodenmiller12", ["n_obs", "n_vars"]].tolist() == [51936, 23]
    assert table["n_obs"].isna().sum() == 2


def test_a_misspelt_field_is_an_error():
    table = {"files": [], "citatoin": "A"}
    with pytest.raises(TypeError, match="citatoin"):
        Entry.parse("toy", table)


def test_every_public_name_can_be_imported():
    for name in rt.datasets.__all__:
        assert callable(getattr(rt.datasets, name))
    assert _registry.registry() == registry()
