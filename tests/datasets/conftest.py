"""Reference files, and a web server of our own for the tests of downloads."""

import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rayot.datasets import _registry


@pytest.fixture
def reference_dir(real_data):
    """The folder of .h5ad files that the loaders must reproduce."""
    folder = real_data.parent
    if not (folder / "kang2018_scgen_valid.h5ad").exists():
        pytest.skip("the reference .h5ad files are not on this machine")
    return folder


@dataclass
class Site:
    """What the server sends for each path, and what it was asked for."""

    url: str
    pages: dict[str, bytes] = field(default_factory=dict)
    cut_short: set[str] = field(default_factory=set)
    endless: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        site = self.server.site
        site.requests.append(self.path)
        body = site.pages.get(self.path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        if self.path in site.endless:
            self.end_headers()
            while not self.wfile.closed:
                try:
                    self.wfile.write(body)
                except OSError:
                    return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path in site.cut_short else body)

    def log_message(self, *args):
        pass


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.site = Site(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server.site
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("RAYOT_DATA_DIR", str(folder))
    return folder


@pytest.fixture
def entry_of():
    """Build a registry entry for files of the test server; True stands for the right hash."""

    def build(site, sha256=True, name="toy.bin", max_bytes=10**9):
        if sha256 is True:
            sha256 = hashlib.sha256(site.pages[f"/{name}"]).hexdigest()
        described = dict.fromkeys(
            ["citation", "doi", "repo", "path", "repo_licence", "note", "x_description"], "none"
        )
        file = _registry.DataFile(name, f"{site.url}/{name}", sha256, max_bytes)
        return _registry.Entry("toy", (file,), **described)

    return build
