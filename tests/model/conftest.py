"""Saved folders as other hands leave them."""

import json

import pytest
from safetensors.numpy import load_file, save_file

from rayot.model import files


def arrays_of(folder):
    (path,) = folder.glob("arrays-*.safetensors")
    return path


def write_description(folder, values):
    """Write a description with the digest of what it says."""
    values = {name: value for name, value in values.items() if name != "digest"}
    text = json.dumps({**values, "digest": files._digest(values)})
    (folder / files.DESCRIPTION).write_text(text)


def write_arrays(folder, arrays):
    """Write other arrays, and a description that names them."""
    values = json.loads((folder / files.DESCRIPTION).read_text())
    arrays_of(folder).unlink()
    save_file(arrays, folder / "new")
    values["arrays"] = f"arrays-{files._digest_of_file(folder / 'new')}.safetensors"
    (folder / "new").rename(folder / values["arrays"])
    write_description(folder, values)


def as_format_2(folder):
    """Rewrite a saved model in the form of version 0.1.0."""
    values = json.loads((folder / files.DESCRIPTION).read_text())
    kept = {name: value for name, value in values.items() if name not in ("digest", "arrays")}
    (folder / files.DESCRIPTION).write_text(json.dumps({**kept, "format": 2}))
    arrays_of(folder).rename(folder / files.OLD_ARRAYS)


class SavedFolder:
    """A saved folder that is edited as one who knows of digests would, or does not."""

    def __init__(self, folder):
        self.folder = folder
        self.arrays_file = arrays_of(folder)

    @property
    def values(self):
        return json.loads((self.folder / files.DESCRIPTION).read_text())

    @property
    def arrays(self):
        return load_file(arrays_of(self.folder))

    def edit(self, **changes):
        """Change some fields and leave the digest."""
        text = json.dumps({**self.values, **changes})
        (self.folder / files.DESCRIPTION).write_text(text)

    def sign(self, values=None):
        write_description(self.folder, self.values if values is None else values)

    def replace_arrays(self, arrays):
        write_arrays(self.folder, arrays)

    def downgrade(self):
        as_format_2(self.folder)


@pytest.fixture
def saved_folder():
    return SavedFolder
