"""JSON as people write it in configuration: with comments and commas behind the last item. In one pass each, whatever
a stranger wrote."""

from __future__ import annotations

import json
import re

_STRING = r'"(?:[^"\\\n]|\\.)*"?'
_COMMENT = re.compile(rf"({_STRING})|//[^\n]*|/\*(?:.*?\*/|.*)", re.S)
_LAST_COMMA = re.compile(rf"({_STRING})|,(?=\s*[}}\]])")


def read_object(text: str) -> dict[str, object] | None:
    """The object that a text is, None where it is none."""
    bare = _COMMENT.sub(_kept, text.removeprefix("\ufeff"))
    try:
        found = json.loads(_LAST_COMMA.sub(_kept, bare))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _kept(found: re.Match[str]) -> str:
    return found[1] or " "
