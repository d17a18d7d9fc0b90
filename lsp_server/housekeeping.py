"""`--caches` and `--purge`: what is kept on disk, of which repository, and how it goes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from indexer import default_cache_dir
from indexer.cache_folder import cache_home
from indexer.caches import IN_USE, Cache, caches, delete
from lsp_server.commands import repository_of, write_line
from lsp_server.problems import UserMustActError
from lsp_server.settings import Settings
from lsp_server.visible import visible
from model.checkpoint.hub_cache import hub_cache


def show_caches(settings: Settings, *, as_json: bool) -> int:
    """Print every cache with its size, when it was used and whose it is."""
    found, hub = caches(settings.index.keep_caches_days), hub_cache()
    if as_json:
        report = {
            "home": str(cache_home()),
            "caches": [_figures(cache) for cache in found],
            "hub": str(hub) if hub.is_dir() else "",
        }
        write_line(json.dumps(report, indent=2))
        return 0
    total = _size(sum(cache.bytes for cache in found))
    write_line(visible(f"{cache_home()}: {total} in {len(found)} folders"))
    for cache in found:
        used = datetime.fromtimestamp(cache.last_used, UTC).date().isoformat()
        stale = f", stale: {cache.stale}" if cache.stale else ""
        write_line(visible(f"{_size(cache.bytes):>10}  used {used}  {_name(cache)}{stale}"))
    if hub.is_dir():
        write_line(
            visible(
                f"Models from the hub lie in {hub}; `hef-lsp --models` lists them, `hf cache` deletes them."
            )
        )
    return 0


def purge(settings: Settings, directory: str, *, stale: bool, everything: bool, as_json: bool) -> int:
    """Delete the caches of a folder and of those in it ("": the repository here), all stale ones, or all
    there are.

    1 when something had to stay.
    """
    root = Path(directory).resolve() if directory else repository_of(Path.cwd() / "any file")
    found = caches(settings.index.keep_caches_days)
    chosen = [cache for cache in found if everything or (cache.stale if stale else _is_of(cache, root))]
    problems = {cache: delete(cache) for cache in chosen}
    gone = [cache for cache in chosen if not problems[cache]]
    if as_json:
        kept = [{**_figures(cache), "problem": problem} for cache, problem in problems.items() if problem]
        deleted = [_figures(cache) for cache in gone]
        write_line(
            json.dumps(
                {"deleted": deleted, "bytes": sum(cache.bytes for cache in gone), "kept": kept}, indent=2
            )
        )
    else:
        _say(gone, "" if stale or everything else str(root))
    stayed = [f"{_name(cache)} ({problem})" for cache, problem in problems.items() if problem]
    if stayed:
        step = " Close the editors that have it open, then try again." if IN_USE in problems.values() else ""
        raise UserMustActError(visible(f"Not deleted: {', '.join(stayed)}.{step}"))
    return 0


def _say(gone: Sequence[Cache], of: str) -> None:
    for cache in gone:
        write_line(visible(f"Deleted {_size(cache.bytes)}: {_name(cache)}"))
    total = sum(cache.bytes for cache in gone)
    where = f" of {of}" if of else ""
    write_line(
        visible(f"{len(gone)} deleted{where}: {total:,} bytes." if gone else f"Nothing is kept{where}.")
    )


def _is_of(cache: Cache, root: Path) -> bool:
    if cache.shared:
        return False
    return cache.folder.parent == default_cache_dir(root) or (
        bool(cache.project) and Path(cache.project).is_relative_to(root)
    )


def _name(cache: Cache) -> str:
    place = cache.folder.relative_to(cache_home())
    return f"{cache.shared or cache.project or 'an unknown repository'} ({place})"


def _figures(cache: Cache) -> dict[str, Any]:
    used = datetime.fromtimestamp(cache.last_used, UTC).isoformat(timespec="seconds")
    return {
        "folder": str(cache.folder),
        "project": cache.project,
        "shared": cache.shared,
        "bytes": cache.bytes,
        "last_used": used,
        "stale": cache.stale,
    }


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB"
