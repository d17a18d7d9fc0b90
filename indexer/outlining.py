"""The outlines of what a search found, read from the same view of store and open documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from indexer.chunking import language_of
from indexer.hierarchy import DIRECTORY, FILE
from indexer.outlines import defined, directory_outline, file_outline
from indexer.overlay import Overlay
from indexer.reader import StoreReader

# What is read at most, however large a file or directory is. A name with a signature takes some 60 characters, so that
# more files would find no room, nor would more than the first lines of each.
_MAX_FILES, _CHUNKS_OF_EACH = 64, 16
_CHUNKS_OF_ONE = 256


class Outlines:
    """Open documents are outlined as they are; the one being edited is in the prompt, and left out of its directory."""

    def __init__(self, reader: StoreReader, overlay: Overlay, edited: str) -> None:
        """Use it inside `reader.snapshot()`. `edited`: the path of the cursor."""
        self._reader = reader
        self._overlay = overlay
        self._edited = edited

    def of(self, level: str, path: str) -> str:
        """The outline of a file or directory, at most MAX_CHARS characters; "" for other levels and where nothing
        is defined."""
        if level == FILE:
            return file_outline(self._lines([path], self._reader.entry_nodes([path]), _CHUNKS_OF_ONE)[path])
        return self._of_directory(path) if level == DIRECTORY else ""

    def _of_directory(self, directory: str) -> str:
        def counts(path: str) -> bool:
            return path != self._edited and language_of(path) != "text"  # a text defines nothing

        stored = self._reader.files_in(directory, _MAX_FILES, counts)
        opened = [path for path in self._overlay.documents if path.rpartition("/")[0] == directory]
        paths = sorted({*stored, *filter(counts, opened)})[:_MAX_FILES]
        lines = self._lines(paths, stored, _CHUNKS_OF_EACH)
        return directory_outline({path.rpartition("/")[2]: lines[path] for path in paths})

    def _lines(
        self, paths: Iterable[str], stored: Mapping[str, int], n_chunks: int
    ) -> dict[str, Sequence[str]]:
        """path -> lines, indented by what encloses them, of what the first chunks of a file define.

        `stored`: ids of the nodes of those that the disk has.
        """
        opened = self._overlay.documents
        saved = {path: stored[path] for path in paths if path not in opened}
        lines = self._reader.definitions_in(saved, n_chunks)
        for path in opened.keys() & set(paths):
            chunks = [found.chunk for found in opened[path][:n_chunks]]
            lines[path] = [line for chunk in chunks for line in defined(chunk.scope, chunk.signature)]
        return lines
