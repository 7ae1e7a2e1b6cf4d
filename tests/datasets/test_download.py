import pooch
import pytest

from rayot.datasets._download import data_dir, fetch

BODY = bytes(range(256)) * 400


@pytest.fixture
def full_site(site):
    site.pages["/toy.bin"] = BODY
    return site


def left_in(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_file_is_downloaded_once(full_site, cache, entry_of):
    entry = entry_of(full_site)
    assert fetch(entry)["toy.bin"].read_bytes() == BODY
    assert fetch(entry)["toy.bin"] == cache / "toy.bin"
    assert full_site.requests == ["/toy.bin"]
    assert left_in(cache) == ["toy.bin"]


def test_a_cached_file_needs_no_network_and_no_writable_folder(site, cache, entry_of, monkeypatch):
    site.pages["/toy.bin"] = BODY
    cache.mkdir()
    (cache / "toy.bin").write_bytes(BODY)
    entry = entry_of(site)

    def refuse(*args, **kwargs):
        raise AssertionError("the folder was prepared for writing")

    monkeypatch.setattr(pooch.core, "make_local_storage", refuse)
    assert fetch(entry)["toy.bin"].read_bytes() == BODY
    assert site.requests == []


def test_a_wrong_hash_is_an_error_and_leaves_nothing(full_site, cache, entry_of):
    with pytest.raises(ValueError, match=r"toy\.bin sent does not have the expected SHA-256 0000"):
        fetch(entry_of(full_site, sha256="0" * 64))
    assert left_in(cache) == []


@pytest.mark.parametrize("sha256", [True, None])
def test_a_truncated_download_is_an_error_and_leaves_nothing(full_site, cache, entry_of, sha256):
    full_site.cut_short.add("/toy.bin")
    with pytest.raises((OSError, ValueError), match=r"/toy\.bin .*by hand"):
        fetch(entry_of(full_site, sha256=sha256))
    assert left_in(cache) == []


def test_a_missing_page_says_what_to_do_by_hand(site, cache, entry_of):
    with pytest.raises(OSError, match="404") as caught:
        fetch(entry_of(site, sha256="0" * 64))
    message = str(caught.value)
    assert f"toy.bin is missing and {site.url}/toy.bin could not be downloaded" in message
    assert "name it toy.bin" in message
    assert str(cache) in message
    assert "RAYOT_DATA_DIR" in message
    assert left_in(cache) == []


def test_a_server_that_is_not_there_says_what_to_do_by_hand(site, cache, entry_of):
    site.url = "http://127.0.0.1:9"
    with pytest.raises(OSError, match=r"could not be downloaded .* RAYOT_DATA_DIR"):
        fetch(entry_of(site, sha256="0" * 64))


def test_a_damaged_file_is_downloaded_anew(full_site, cache, entry_of):
    cache.mkdir()
    (cache / "toy.bin").write_bytes(b"damaged")
    assert fetch(entry_of(full_site))["toy.bin"].read_bytes() == BODY


def test_a_damaged_file_that_cannot_be_replaced_stays_and_is_named(site, cache, entry_of):
    cache.mkdir()
    (cache / "toy.bin").write_bytes(b"damaged")
    with pytest.raises(OSError, match=r"toy\.bin is damaged and .*404"):
        fetch(entry_of(site, sha256="0" * 64))
    assert left_in(cache) == ["toy.bin"]


def test_without_a_hash_the_file_in_the_cache_is_trusted(full_site, cache, entry_of):
    cache.mkdir()
    (cache / "toy.bin").write_bytes(b"by hand")
    assert fetch(entry_of(full_site, sha256=None))["toy.bin"].read_bytes() == b"by hand"
    assert full_site.requests == []


def test_the_folder_is_the_named_one_or_the_cache_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("RAYOT_DATA_DIR", str(tmp_path))
    assert data_dir() == tmp_path
    monkeypatch.delenv("RAYOT_DATA_DIR")
    assert data_dir() == pooch.os_cache("rayot")


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("sha256", [True, None])
def test_a_download_stops_at_what_the_file_has_at_most(site, cache, entry_of, announced, sha256):
    """A server that sends on for ever must not fill the disk."""
    site.pages["/toy.bin"] = bytes(2**20)
    if not announced:
        site.endless.add("/toy.bin")
    entry = entry_of(site, sha256=sha256, max_bytes=300_000)
    with pytest.raises(OSError, match=r"sends more than the 0.0003 GB .* by hand"):
        fetch(entry)
    assert left_in(cache) == []


def test_a_file_of_just_the_size_is_taken(full_site, cache, entry_of):
    assert fetch(entry_of(full_site, sha256=None, max_bytes=len(BODY)))["toy.bin"].exists()
