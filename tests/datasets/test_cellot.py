"""The two loaders whose archive cannot be had here, on an archive of the same form."""

import io
import zipfile

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import rayot as rt
from rayot.datasets import _registry

ARCHIVE = "cellot_processed_datasets_all.zip"
FEATURES = [f"mean_{i}" for i in range(48)]


def cells(names, sparse_x=True, control="control"):
    rng = np.random.default_rng(0)
    x = rng.poisson(1.0, (30, len(names))).astype(np.float64)
    obs = pd.DataFrame(
        {
            "drug": pd.Categorical([control, "trametinib", "givinostat"] * 10),
            "dose": np.tile([0.0, 10.0, 1000.0], 10),
            "cell_type": ["A549", "K562", "MCF7"] * 10,
        },
        index=[f"c{i}" for i in range(30)],
    )
    var = pd.DataFrame(index=names)
    return ad.AnnData(sparse.csr_matrix(x) if sparse_x else x, obs=obs, var=var)


def as_bytes(adata, tmp_path):
    adata.write_h5ad(tmp_path / "part.h5ad")
    return (tmp_path / "part.h5ad").read_bytes()


def archive(members):
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members.items():
            zipped.writestr(f"datasets/{name}", content)
    return body.getvalue()


@pytest.fixture
def publish(site, cache, tmp_path, monkeypatch):
    """Serve an archive in the place of the one that the registry names."""
    text = _registry._TABLE.read_text(encoding="utf-8")
    url = _registry.registry()["sciplex3"].files[0].url
    table = tmp_path / "registry.toml"
    table.write_text(text.replace(url, f"{site.url}/{ARCHIVE}"), encoding="utf-8")
    monkeypatch.setattr(_registry, "_TABLE", table)

    def serve(members):
        site.pages[f"/{ARCHIVE}"] = archive(members)

    return serve


def test_both_sets_come_from_one_archive(publish, site, cache, tmp_path):
    genes, features = [f"g{i}" for i in range(10)], [*FEATURES, "sum_0"]
    publish(
        {
            "scrna-sciplex3/hvg-top1k.h5ad": as_bytes(cells(genes), tmp_path),
            "scrna-sciplex3/hvg.h5ad": b"not the one",
            "4i/8h.h5ad": as_bytes(cells(features, sparse_x=False), tmp_path),
            "4i/features.txt": "\n".join(FEATURES[::-1]),
        }
    )
    sciplex3 = rt.datasets.sciplex3()
    assert sciplex3.shape == (30, 10)
    assert sparse.issparse(sciplex3.X) and sciplex3.X.dtype == np.float32
    assert list(sciplex3.obs["perturbation"].cat.categories) == [
        "control",
        "givinostat",
        "trametinib",
    ]
    assert {"drug", "dose", "cell_type"} <= set(sciplex3.obs)
    assert isinstance(sciplex3.obs["cell_type"].dtype, pd.CategoricalDtype)
    assert sciplex3.uns["source"]["doi"] == "10.1126/science.aax6234"

    four_i = rt.datasets.four_i()
    assert list(four_i.var_names) == FEATURES[::-1]
    assert isinstance(four_i.X, np.ndarray) and four_i.X.dtype == np.float32
    expected = cells(features, sparse_x=False)[:, FEATURES[::-1]].X
    assert np.array_equal(four_i.X, expected.astype(np.float32))
    assert site.requests == [f"/{ARCHIVE}"]


def test_the_wider_file_is_read_where_the_narrow_one_is_missing(publish, tmp_path):
    publish({"scrna-sciplex3/hvg.h5ad": as_bytes(cells(["a", "b"]), tmp_path)})
    assert list(rt.datasets.sciplex3().var_names) == ["a", "b"]


def test_an_unpacked_file_serves_without_the_archive(publish, site, cache, tmp_path):
    publish({"scrna-sciplex3/hvg-top1k.h5ad": as_bytes(cells(["a"]), tmp_path)})
    rt.datasets.sciplex3()
    (cache / ARCHIVE).unlink()
    site.pages.clear()
    assert rt.datasets.sciplex3().shape == (30, 1)
    assert [path.name for path in cache.iterdir()] == ["cellot_v1_scrna-sciplex3_hvg-top1k.h5ad"]


def test_nothing_is_unpacked_into_a_folder_that_cannot_be_written_to(
    publish, cache, tmp_path, monkeypatch
):
    publish({"scrna-sciplex3/hvg-top1k.h5ad": as_bytes(cells(["a"]), tmp_path)})
    monkeypatch.setattr("rayot.datasets._archive.os.access", lambda *args: False)
    cache.mkdir()
    (cache / ARCHIVE).write_bytes(
        archive({"scrna-sciplex3/hvg-top1k.h5ad": as_bytes(cells(["a"]), tmp_path)})
    )
    assert rt.datasets.sciplex3().shape == (30, 1)
    assert [path.name for path in cache.iterdir()] == [ARCHIVE]


@pytest.mark.parametrize(
    ("load", "members"),
    [
        (rt.datasets.sciplex3, "scrna-sciplex3/hvg-top1k.h5ad of it will do"),
        (rt.datasets.four_i, "4i/features.txt and 4i/8h.h5ad of it will do"),
    ],
)
def test_a_missing_archive_says_where_to_get_it_how_large_it_is_and_where_to_put_it(
    publish, site, cache, load, members
):
    with pytest.raises(OSError) as caught:
        load()
    message = str(caught.value)
    for part in (f"{site.url}/{ARCHIVE}", "404", "GB", str(cache), "RAYOT_DATA_DIR", members):
        assert part in message
    assert message.endswith(".") and ". " not in message.replace("404 Client Error: ", "")


@pytest.mark.parametrize("load", [rt.datasets.sciplex3, rt.datasets.four_i])
def test_a_folder_that_is_no_path_is_named(load):
    with pytest.raises(ValueError, match=r"folder must be a path, found 5\."):
        load(5)


@pytest.mark.parametrize("place", ["", "datasets", "processed_datasets_all/datasets"])
def test_files_that_a_person_unpacked_are_found_in_a_folder(tmp_path, place):
    folder = tmp_path / place
    for name in ("scrna-sciplex3", "4i"):
        (folder / name).mkdir(parents=True)
    cells(["a"]).write_h5ad(folder / "scrna-sciplex3" / "hvg-top1k.h5ad")
    cells(FEATURES, sparse_x=False).write_h5ad(folder / "4i" / "8h.h5ad")
    (folder / "4i" / "features.txt").write_text("\n".join(FEATURES))
    assert rt.datasets.sciplex3(tmp_path).shape == (30, 1)
    assert rt.datasets.four_i(str(tmp_path)).shape == (30, 48)


def test_an_archive_under_the_name_that_its_authors_gave_it_is_found(tmp_path):
    content = as_bytes(cells(["a"]), tmp_path)
    body = archive({"scrna-sciplex3/hvg-top1k.h5ad": content})
    (tmp_path / "processed_datasets_all.zip").write_bytes(body)
    assert rt.datasets.sciplex3(tmp_path).shape == (30, 1)


def test_a_page_in_the_place_of_the_archive_is_an_error(publish, site, cache):
    site.pages[f"/{ARCHIVE}"] = b"<html>please log in</html>"
    with pytest.raises(ValueError, match=r"is not a whole zip archive .*; delete it"):
        rt.datasets.sciplex3()
    assert [path.name for path in cache.iterdir()] == [ARCHIVE]


def test_an_archive_of_something_else_is_an_error(publish):
    publish({"readme.txt": "hello"})
    with pytest.raises(ValueError, match=r"holds none of scrna-sciplex3/hvg-top1k\.h5ad"):
        rt.datasets.sciplex3()


def test_cells_without_a_control_are_an_error(publish, tmp_path):
    stranger = cells(["a"], control="DMSO")
    publish({"scrna-sciplex3/hvg-top1k.h5ad": as_bytes(stranger, tmp_path)})
    with pytest.raises(ValueError, match=r"obs\['drug'\].*'control'.*'DMSO'"):
        rt.datasets.sciplex3()


def test_cells_without_drugs_are_an_error(publish, tmp_path):
    stranger = cells(["a"])
    del stranger.obs["drug"]
    publish({"scrna-sciplex3/hvg-top1k.h5ad": as_bytes(stranger, tmp_path)})
    with pytest.raises(ValueError, match=r"obs\['drug'\].*'cell_type', 'dose'"):
        rt.datasets.sciplex3()


def test_a_feature_that_is_not_there_is_named(publish, tmp_path):
    publish(
        {
            "4i/8h.h5ad": as_bytes(cells(FEATURES[1:], sparse_x=False), tmp_path),
            "4i/features.txt": "\n".join(FEATURES),
        }
    )
    with pytest.raises(ValueError, match=r"no feature 'mean_0'.*0 more"):
        rt.datasets.four_i()
