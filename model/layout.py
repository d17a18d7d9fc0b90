"""The order of a prompt's parts, and how documents and the file with the hole are named in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from model.families import Family, FimOrder, FimTokens
from model.vocabulary import Vocabulary


@dataclass(frozen=True)
class DocumentName:
    """Of the document with the cursor. `repository`: "" where it lies in none."""

    path: str
    repository: str = ""


@dataclass(frozen=True)
class Titles:
    """Ids of what names the document: in front of all else, between the head and the hole, and in the prefix.
    `leads`: whether the prefix begins with the head."""

    first: tuple[int, ...] = ()
    title: tuple[int, ...] = ()
    inside: tuple[int, ...] = ()
    leads: bool = False


UNTITLED = Titles()


def fim_layout(
    fim: FimTokens,
    order: FimOrder,
    head: Sequence[int],
    before: Sequence[int],
    after: Sequence[int],
    titles: Titles = UNTITLED,
) -> list[int]:
    """Ids up to where the middle begins. Before and after are tokenized apart, in training as in serving."""
    if order == "ltr":
        return [fim.end, *head, *before]
    outside = () if titles.leads else (*head, *titles.title)
    lead = (*head, *titles.title) if titles.leads else titles.inside
    if order == "spm":
        return [*titles.first, *outside, fim.suffix, *after, fim.prefix, *lead, *before]
    return [*titles.first, *outside, fim.prefix, *lead, *before, fim.suffix, *after, fim.middle]


def titles_of(vocabulary: Vocabulary, order: FimOrder, name: DocumentName | None) -> Titles:
    """As the coder's family names a file with a hole. Nothing for a coder that was taught another order than its
    family's, which is one of ours."""
    if not vocabulary.reads_as_family(order):
        return UNTITLED
    fim, family = vocabulary.fim, vocabulary.family
    first: tuple[int, ...] = () if fim.begin is None else (fim.begin,)
    if name is None or family.hole == "untitled" or not _names_files(fim, family):
        return Titles(first)
    if fim.repo_name is not None and name.repository:
        first += (fim.repo_name, *vocabulary.encode(family.repository.format(name.repository)))
    mark = () if fim.file_sep is None else (fim.file_sep,)
    text = tuple(vocabulary.encode(family.title.format(name.path)))
    if family.hole == "before title":
        return Titles(first, mark, text)
    return Titles(first, mark + text, leads=family.hole == "last document")


def document_ids(vocabulary: Vocabulary, path: str, text: str) -> list[int]:
    """A document under its title: `<|file_sep|>path\\ntext\\n`."""
    return [*title_ids(vocabulary, path), *vocabulary.encode(f"{text.rstrip()}\n")]


def title_ids(vocabulary: Vocabulary, path: str) -> list[int]:
    """What names a document, as repository-level training data of the coder's family does; a comment names it to a
    model without such a token."""
    fim, family = vocabulary.fim, vocabulary.family
    title = family.title if _names_files(fim, family) else "# {}\n"
    named = vocabulary.encode(title.format(path))
    return named if fim.file_sep is None else [fim.file_sep, *named]


def _names_files(fim: FimTokens, family: Family) -> bool:
    """Whether the checkpoint has the token that its family names files by."""
    return fim.file_sep is not None or not family.file_sep
