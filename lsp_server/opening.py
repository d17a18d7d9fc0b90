"""What a folder is opened with: its index, its blocks, and who watches its files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from indexer import Embedder, Index, Tokenizer, Watcher
from indexer.cache_folder import cache_home, make_private
from indexer.package_signatures import PackageSignatures
from indexer.package_vectors import PackageVectors
from indexer.sharing import TeamVectors
from lsp_server.coder import LoadedCoder
from lsp_server.holdings import Reader
from lsp_server.kept_blocks import KeptBlocks
from lsp_server.settings import Settings


def open_index(
    root: Path,
    settings: Settings,
    embedder: Embedder | None,
    tokenizer: Tokenizer | None,
    on_packages: Callable[[bool], None] | None,
) -> Index:
    """A folder's index as its settings want it. `on_packages`: see `Index.open`; called where drafts use
    packages. Without it nothing installed is read.

    Raises CacheError.
    """
    team = _team(settings, root, embedder)
    index = Index.open(
        root,
        embedder,
        settings=settings.index,
        retrieval=settings.retrieval,
        tokenizer=tokenizer,
        on_packages=on_packages if _with_packages(settings) else None,
        team=team,
    )
    if on_packages and settings.retrieval.packages:
        store, kept = (team.packages if team else None), index.folder / "team"
        searching = None
        if embedder and settings.team.package_vectors:
            searching = PackageVectors(embedder, settings.index, settings.retrieval)
        index.mirrors.signatures = PackageSignatures(index.root, cache_home(), store, kept, searching)
    return index


def _team(settings: Settings, root: Path, embedder: Embedder | None) -> TeamVectors | None:
    """Who else has vectors. The code for it is not even imported unless the user has named a store."""
    if not settings.team.store or embedder is None:
        return None
    from indexer.team.joining import joined

    return joined(settings.team, root, embedder.fingerprint)


def _with_packages(settings: Settings) -> bool:
    return settings.drafts.enabled and settings.drafts.packages


def reader_of(
    coder: LoadedCoder, settings: Settings, on_packages: Callable[[bool], None] | None = None
) -> Reader:
    """A coder as a folder with these settings sees it. `on_packages`: as in `open_index`."""
    return Reader(
        coder.fingerprint,
        coder.tokenizer,
        lambda index: open_blocks(index, settings, coder),
        on_packages if _with_packages(settings) else None,
    )


def open_blocks(index: Index, settings: Settings, coder: LoadedCoder) -> KeptBlocks | None:
    """The blocks of a folder whose index is open; None where none are read or kept.

    Raises CacheError, OSError and sqlite3.DatabaseError.
    """
    folder = blocks_folder(index, settings, coder)
    if folder is None:
        return None
    make_private(folder)
    shelf = coder.completer.shelf(folder)
    return KeptBlocks(shelf, folder, index.files()) if shelf else None


def blocks_folder(index: Index, settings: Settings, coder: LoadedCoder) -> Path | None:
    """Where a folder's blocks lie, in the store's folder; None where none are read or kept."""
    if coder.completer.mode(settings.model.context) != "blocks" or not settings.blocks.disk_bytes:
        return None
    # All but how much is kept decides what a block is.
    made_as = replace(settings.blocks, disk_bytes=0, memory_bytes=0)
    digest = blake2b(f"{coder.fingerprint} {made_as}".encode(), digest_size=6)
    return index.folder / f"blocks-{digest.hexdigest()}"


def watch(root: Path, changed: Callable[[Iterable[Path]], None]) -> Callable[[], object]:
    """Follow the folder on disk. Raises OSError when the system has no watches left."""
    watcher = Watcher(root, changed)
    watcher.start()
    return watcher.stop
