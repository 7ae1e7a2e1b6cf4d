"""Read the Returns section of a docstring as text, not as a list of types.

Types of returned values come from the annotations, so the section is free to say in words and lists
what is returned and what is written.
"""

from sphinx.application import Sphinx
from sphinx.ext.napoleon import NumpyDocstring


def _returns(self: NumpyDocstring, section: str) -> list[str]:
    text = self._dedent(self._consume_to_next_section())
    if text[:1] == [":"]:  # left of the heading
        del text[0]
    lines = self._format_block(":returns: ", text)
    return [*lines, ""] if lines and lines[-1] else lines


def setup(app: Sphinx) -> dict[str, bool]:
    NumpyDocstring._parse_returns_section = _returns
    return {"parallel_read_safe": True}
