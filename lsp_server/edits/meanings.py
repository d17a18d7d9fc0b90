"""What the syntax tree says of a place: whether a renamed name means the same there, and whether the code is alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from indexer import Syntax, has_grammar
from lsp_server.edits.changes import ChangedTokens
from lsp_server.edits.history import Edit
from lsp_server.edits.pattern import EditPattern
from lsp_server.edits.places import EditPlace

MOST_PARSED = 1_000_000  # characters; a larger document is matched by tokens alone


@dataclass(frozen=True)
class Learned:
    """A pattern of an edit. `n_examples`: how many edits it explains; `rank`: of its edit among the newest, from 0."""

    edit: Edit
    changed: ChangedTokens
    pattern: EditPattern
    n_examples: int
    rank: int


@dataclass(frozen=True)
class OpenText:
    """An open document as it is now; `near`: the offset that places are counted from."""

    uri: str
    language: str
    text: str
    near: int = 0


class Meanings:
    """Of the documents of one question; each is parsed once, when it is first asked about."""

    def __init__(self, documents: Sequence[OpenText]) -> None:
        self._documents = {document.uri: document for document in documents}
        self._trees: dict[str, Syntax | None] = {}
        self._same: dict[tuple[int, str], frozenset[int] | None] = {}  # by edit and document

    def same_name(self, learned: Learned, document: OpenText, place: EditPlace) -> bool | None:
        """Whether a name that was renamed means the same at a place; None where no name was, or nobody can tell: of a
        language whose scopes are not known, the tokens alone say where an edit fits."""
        renamed, edit = learned.changed.renamed, learned.edit
        if renamed is None or document.uri != edit.uri:
            return None
        key = (learned.rank, document.uri)
        if key not in self._same:
            tree = self._tree(document.uri)
            found = tree.same_name(_new_start(learned), renamed[0]) if tree else None
            self._same[key] = None if found is None else frozenset(found)
        same = self._same[key]
        if same is None:
            return None
        return document.text.find(renamed[0], place.start) in same

    def same_kind(self, learned: Learned, document: OpenText, place: EditPlace) -> tuple[bool, bool] | None:
        """Whether the edit and the place are both code, strings or comments; and of the same kind of node."""
        here, there = self._tree(document.uri), self._tree(learned.edit.uri)
        if here is None or there is None:
            return None
        start = _new_start(learned)
        n_new = learned.changed.n_new_chars
        (coarse, kind), (other_coarse, other_kind) = (
            there.kind_at(start, start + n_new),
            here.kind_at(place.start, place.end),
        )
        return coarse == other_coarse, kind == other_kind

    def _tree(self, uri: str) -> Syntax | None:
        if uri not in self._trees:
            document = self._documents.get(uri)
            is_fit = (
                document is not None and has_grammar(document.language) and len(document.text) <= MOST_PARSED
            )
            self._trees[uri] = Syntax(document.text, document.language) if document and is_fit else None
        return self._trees[uri]


def _new_start(learned: Learned) -> int:
    """Where in its document the text begins that an edit brought in."""
    return learned.edit.start + learned.changed.new_start
