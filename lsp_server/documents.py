"""The open documents as pygls has them, read as buffers; a notebook's cells read as one text."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from lsprotocol import types
from pygls.uris import to_fs_path
from pygls.workspace import TextDocument, Workspace

from indexer import language_named, language_of
from lsp_server.aside import aside
from lsp_server.snapshot import Buffer

# `notebook` must be given: pygls clients cannot read a filter that has cells only.
NOTEBOOKS = types.NotebookDocumentSyncOptions([types.NotebookDocumentFilterWithNotebook(notebook="*")])
LOCAL_HOSTS = ("", "localhost")
BETWEEN_CELLS = "\n\n"
LONGEST_PATH, LONGEST_NAME = 4_096, 255  # bytes; the disk has no file beyond
DISK_SECONDS = 2.0  # a disk that says nothing about a folder is not waited for longer


def buffer_of(workspace: Workspace, uri: str) -> Buffer | None:
    """An open document's text as it is now, None when it is not open: the disk is never read for a
    request."""
    document = workspace.text_documents.get(unquote(uri))
    if document is None:
        return None
    notebook = workspace.get_notebook_document(cell_uri=uri)
    path = path_of(notebook.uri if notebook else uri)
    language = language_named(document.language_id or language_of(name_of(uri).name))
    before, after = _cells_around(workspace, document, notebook) if notebook else ("", "")
    return Buffer(document.uri, document.version, path, language, document.source, before, after)


def path_of(uri: str) -> Path | None:
    """The absolute path that a URI names on this disk, without "..". None for what no file here can be
    called."""
    try:
        parts = urlsplit(uri)
    except ValueError:  # "file://[": that is no URI
        return None
    if parts.scheme != "file" or parts.netloc not in LOCAL_HOSTS or not parts.path.startswith("/"):
        return None
    path = os.path.normpath(to_fs_path(f"file:///{parts.path.lstrip('/')}") or "")
    return Path(path) if os.path.isabs(path) and _fits(path) else None


def name_of(uri: str) -> PurePosixPath:
    """What a document is called that is not on this disk, or not yet: an absolute path that may be looked up
    there."""
    try:
        path = unquote(urlsplit(uri).path)
    except ValueError:
        path = unquote(uri)
    path = path.replace("\0", "\ufffd")
    whole = PurePosixPath("/", path)
    return whole if _fits(path) else PurePosixPath("/", whole.name[-(LONGEST_NAME // 4) :])


def folders_of(workspace: Workspace) -> dict[str, Path]:
    """URI -> path of the workspace folders; an older client's root when it names no folders."""
    uris = list(workspace.folders) or ([workspace.root_uri] if workspace.root_uri else [])
    return {uri: path for uri in uris if (path := path_of(uri))}


async def on_disk(folders: Mapping[str, Path]) -> tuple[dict[str, Path], list[Path]]:
    """Those that are folders indeed, and those whose disk does not answer."""
    asked = {uri: aside(path.is_dir) for uri, path in folders.items()}
    if asked:
        await asyncio.wait(asked.values(), timeout=DISK_SECONDS)
    silent = [folders[uri] for uri, answer in asked.items() if not answer.done()]
    return {uri: folders[uri] for uri, answer in asked.items() if answer.done() and _is_true(answer)}, silent


def cells_of(workspace: Workspace, notebook_uri: str) -> list[str]:
    """URIs of an open notebook's cells."""
    notebook = workspace.get_notebook_document(notebook_uri=notebook_uri)
    return [cell.document for cell in notebook.cells] if notebook else []


def _is_true(answer: asyncio.Future[bool]) -> bool:
    return answer.exception() is None and answer.result()


def _fits(path: str) -> bool:
    """Whether a disk can have a file of this name."""
    whole = path.encode("utf-8", "surrogatepass")
    if b"\0" in whole or len(whole) >= LONGEST_PATH:
        return False
    return max(map(len, whole.split(b"/"))) <= LONGEST_NAME


def _cells_around(
    workspace: Workspace, cell: TextDocument, notebook: types.NotebookDocument
) -> tuple[str, str]:
    """The text of the other cells in the same language, before and after a cell."""
    uris = [other.document for other in notebook.cells]
    here = next(index for index, uri in enumerate(uris) if unquote(uri) == unquote(cell.uri))
    before, after = (_texts(workspace, part, cell.language_id) for part in (uris[:here], uris[here + 1 :]))
    return "".join(text + BETWEEN_CELLS for text in before), "".join(BETWEEN_CELLS + text for text in after)


def _texts(workspace: Workspace, uris: Sequence[str], language: str | None) -> list[str]:
    documents = (workspace.text_documents.get(unquote(uri)) for uri in uris)
    return [document.source for document in documents if document and document.language_id == language]
