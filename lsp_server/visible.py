"""Names of files as people may safely read them: escapes what would steer a terminal or an editor."""

from __future__ import annotations

import unicodedata

# Control characters, formats (bidirectional overrides, zero width), lone surrogates, private ones, separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def visible(text: str) -> str:
    r"""One line in which every character is seen for what it is: an escape is `\x1b`, a line feed `\n`."""
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if unicodedata.category(character) not in _HIDDEN:
        return character
    return character.encode("unicode_escape").decode("ascii")
