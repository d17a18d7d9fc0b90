"""Whether the name that an answer completes stands anywhere: a small coder makes names up.

Of 94 begun words that the tiny coder completed to a name of neither the document nor the repository, 4 were right
(model/LOG.md, "Names that stand nowhere").
"""

from __future__ import annotations

import builtins
import keyword
import re

from model.drafts.stores import LONGEST
from model.repository import Tokens
from model.request import Request
from model.vocabulary import Vocabulary

LESS_SURE = 0.05  # by what the chance of a line with such a name is multiplied
_CHARS = 100  # longest name that is looked up
_WORD = re.compile(r"\w+")
_IN_FRONT = ("", " ", ".", "(")  # what tokenizers of this kind may join a name with
_PYTHON = frozenset((*dir(builtins), *keyword.kwlist, *keyword.softkwlist))


def completed_name(prefix: str, text: str) -> str:
    """The name that a text goes on with behind a cursor in the middle of it; "" where the cursor is in none."""
    begun, rest = _WORD.match(prefix[: -_CHARS - 1 : -1]), _WORD.match(text[:_CHARS])
    name = begun[0][::-1] + rest[0] if begun and rest else ""
    return "" if name[:1].isdigit() else name


def stands_somewhere(name: str, request: Request, vocabulary: Vocabulary) -> bool:
    """Whether Python, the document, the repository or what is installed has a name, alone or as the end of one."""
    if name in _PYTHON or name in request.prefix or name in request.suffix:
        return True
    known = [tokens for tokens in (request.tokens, request.packages) if tokens is not None]
    forms = [vocabulary.encode(f"{front}{name}") for front in _IN_FRONT]
    # Too long to be looked up whole: nothing is said against it.
    return any(len(ids) > LONGEST for ids in forms) or any(
        _has(tokens, ids) for tokens in known for ids in forms
    )


def _has(tokens: Tokens, ids: list[int]) -> bool:
    return tokens.find(ids, longest=len(ids), shortest=len(ids), limit=1, width=1).length > 0
