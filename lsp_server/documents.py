"""The open documents as pygls has them, read as buffers; a notebook's cells read as one text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from lsprotocol import types
from pygls.uris import to_fs_path
from pygls.workspace import TextDocument, Workspace

from indexer import language_of
from lsp_server.snapshot import Buffer

# `notebook` must be given: pygls clients cannot read a filter that has cells only.
NOTEBOOKS = types.NotebookDocumentSyncOptions([types.NotebookDocumentFilterWithNotebook(notebook="*")])
BETWEEN_CELLS = "\n\n"


def buffer_of(workspace: Workspace, uri: str) -> Buffer | None:
    """An open document's text as it is now, None when it is not open: the disk is never read for a request."""
    document = workspace.text_documents.get(unquote(uri))
    if document is None:
        return None
    notebook = workspace.get_notebook_document(cell_uri=uri)
    path = path_of(notebook.uri if notebook else uri)
    language = document.language_id or language_of(document.path or "")
    before, after = _cells_around(workspace, document, notebook) if notebook else ("", "")
    return Buffer(document.uri, document.version, path, language, document.source, before, after)


def path_of(uri: str) -> Path | None:
    """The file that a URI names, None for what is no file."""
    path = to_fs_path(uri) if uri.startswith("file:") else None
    return Path(path) if path else None


def folders_of(workspace: Workspace) -> dict[str, Path]:
    """URI -> path of the workspace folders on this disk; an older client's root when it names no folders."""
    uris = list(workspace.folders) or ([workspace.root_uri] if workspace.root_uri else [])
    paths = {uri: path_of(uri) for uri in uris}
    return {uri: path for uri, path in paths.items() if path and path.is_dir()}


def cells_of(workspace: Workspace, notebook_uri: str) -> list[str]:
    """URIs of an open notebook's cells."""
    notebook = workspace.get_notebook_document(notebook_uri=notebook_uri)
    return [cell.document for cell in notebook.cells] if notebook else []


def _cells_around(workspace: Workspace, cell: TextDocument, notebook: types.NotebookDocument) -> tuple[str, str]:
    """The text of the other cells in the same language, before and after a cell."""
    uris = [other.document for other in notebook.cells]
    here = next(index for index, uri in enumerate(uris) if unquote(uri) == unquote(cell.uri))
    before, after = (_texts(workspace, part, cell.language_id) for part in (uris[:here], uris[here + 1 :]))
    return "".join(text + BETWEEN_CELLS for text in before), "".join(BETWEEN_CELLS + text for text in after)


def _texts(workspace: Workspace, uris: Sequence[str], language: str | None) -> list[str]:
    documents = (workspace.text_documents.get(unquote(uri)) for uri in uris)
    return [document.source for document in documents if document and document.language_id == language]
