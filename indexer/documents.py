"""Which open documents count, and as which files: a name in an editor may be a link to anywhere."""

from __future__ import annotations

import os
from pathlib import Path

from indexer.files import is_utf8
from indexer.rules import Rules, relative_path
from indexer.secret_contents import looks_secret
from indexer.settings import IndexSettings


class OpenDocuments:
    """Names of the open documents. One thread at a time; the rules are read again when their files have changed."""

    def __init__(self, root: Path, settings: IndexSettings) -> None:
        self._root = root
        self._settings = settings
        self._rules: Rules | None = None
        self._names: dict[Path, str] = {}

    def put(self, path: Path, text: str | None) -> tuple[str | None, str | None]:
        """An open document has this text, None: it was closed. Under which name it counts, and one that nothing
        counts under any more; each may be None."""
        before = self._names.pop(path, None)
        now = self._name(path) if text is not None and self._is_small(text) else None
        if now is not None and text is not None:
            now = None if looks_secret(now, text.encode("utf-8", "replace"), self._settings) else now
        if now is not None:
            self._names[path] = now
        return now, None if before in self._names.values() else before

    def _name(self, path: Path) -> str | None:
        """The real path below the root, None for what the index leaves out by the document's own name or its file's."""
        try:
            own, real = (relative_path(self._root, place) for place in (path, Path(os.path.realpath(path))))
        except ValueError:  # a NUL in the name
            return None
        if not real or not is_utf8(real):
            return None
        rules = self._current_rules()
        return None if rules.excludes(real) or (own and rules.excludes(own)) else real

    def _is_small(self, text: str) -> bool:
        most = self._settings.max_file_bytes
        return len(text) <= most and len(text.encode("utf-8", "replace")) <= most

    def _current_rules(self) -> Rules:
        if self._rules is None or not self._rules.is_current():
            self._rules = Rules(self._root, self._settings)
        return self._rules
