"""The indexer's settings: each one once, with default, bounds and help (the server's settings compose these)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def _setting(default: Any, help: str, *, min: int | None = None, max: int | None = None) -> Any:
    metadata = {"help": help, "min": min, "max": max}
    return field(
        default=default, metadata={name: value for name, value in metadata.items() if value is not None}
    )


@dataclass(frozen=True)
class IndexSettings:
    """What is indexed and how it is cut and kept."""

    max_file_bytes: int = _setting(
        1_000_000, "Files larger than this many bytes are not indexed.", min=1_000, max=50_000_000
    )
    max_data_bytes: int = _setting(
        65_536,
        "The same limit for data and markup files (JSON, CSV, XML, logs, ...), which are rarely worth more.",
        min=0,
        max=50_000_000,
    )
    max_line_chars: int = _setting(
        5_000,
        "Files with a longer line than this count as minified and are not indexed.",
        min=200,
        max=1_000_000,
    )
    ignore: tuple[str, ...] = _setting(
        (), "More ignore patterns, written as in .gitignore; `!` brings files back."
    )
    secrets: tuple[str, ...] = _setting(
        (), "More file name patterns that are never indexed nor completed in. The built-in ones always hold."
    )
    not_secret: tuple[str, ...] = _setting(
        (),
        "Paths, written as in .gitignore, of files whose text looks like a secret and holds none: they are indexed and "
        "completed in. Secret names stay secret.",
    )
    chunk_max_lines: int = _setting(64, "Longest chunk in lines.", min=8, max=400)
    chunk_max_chars: int = _setting(1_600, "Longest chunk in characters.", min=200, max=20_000)
    batch_texts: int = _setting(
        16, "Texts embedded per call: a completion never waits for more than one call.", min=1, max=256
    )
    keep_vanished: int = _setting(
        50_000,
        "Vectors kept of code that is gone, so that switching branches and back embeds nothing.",
        min=0,
        max=10_000_000,
    )
    keep_caches_days: int = _setting(
        30,
        "Days that caches of vanished repositories and of models that are no longer used stay on disk.",
        min=1,
        max=3_650,
    )
    mirror_chars: int = _setting(
        24_000_000,
        "Most characters of code that are kept in memory, as tokens and lines at 6 bytes each, to complete from.",
        min=0,
        max=1_000_000_000,
    )
    exact_below: int = _setting(
        20_000,
        "Up to this many vectors search is exact; above, an HNSW graph is used.",
        min=100,
        max=10_000_000,
    )
    mapped_above: int = _setting(
        1_000_000,
        "Above this many vectors graphs are mapped from files in half the bytes (usearch, of the extra `large`).",
        min=1_000,
        max=100_000_000,
    )


@dataclass(frozen=True)
class RetrievalSettings:
    """How hits are chosen. The four levels are shares: 6/1/1/0 of 8 hits, 12/2/2/0 of 16."""

    chunks: int = _setting(6, "Share of hits that are chunks of code.", min=0, max=64)
    files: int = _setting(1, "Share of hits that are whole files.", min=0, max=64)
    directories: int = _setting(1, "Share of hits that are directories.", min=0, max=64)
    repository: int = _setting(0, "Share of hits that are the whole repository.", min=0, max=1)
    same_file: int = _setting(2, "At most this many chunks of the file being edited.", min=0, max=64)
    packages: int = _setting(
        2,
        "Classes and functions of imported Python packages whose signatures are read beside the hits; 0: no package is "
        "read for them.",
        min=0,
        max=16,
    )
    candidates: int = _setting(40, "Candidates taken from each source before fusion.", min=8, max=500)
    rrf_k: int = _setting(60, "The constant of reciprocal rank fusion.", min=1, max=1_000)


@dataclass(frozen=True)
class TeamSettings:
    """Vectors that a team computes once, in an object store; the user alone says which."""

    store: str = _setting(
        "",
        "Where vectors that others have computed are: a folder, or s3://, gs:// or az:// and a bucket. Nothing is "
        "connected to while it is empty. Its secret is the environment's HEF_TEAM_SECRET, or in team.secretFile.",
    )
    secret_file: str = _setting(
        "", "A file with the team's secret, readable for you alone; for where HEF_TEAM_SECRET is not set."
    )
    repository: str = _setting(
        "",
        "What the repository is called in the store; empty: as the address of git's origin ends, OWNER/NAME.",
    )
    branch: str = _setting(
        "main", "The branch that is published, and read beside the one that is checked out."
    )
    packages: bool = _setting(
        True,
        "Read signatures of imported public packages from the store, where they are not installed or not yet read.",
    )
    package_vectors: bool = _setting(
        False,
        "Take vectors of imported packages from the store as well, where they are installed: what they define is then "
        "searched like the repository.",
    )
    package_megabytes: int = _setting(
        200, "Most megabytes of vectors that are taken of one package.", min=1, max=10_000
    )
    wait_ms: int = _setting(
        300,
        "Milliseconds that indexing waits for the store's first answer; what comes later is still used.",
        min=0,
        max=10_000,
    )


DEFAULT_INDEX = IndexSettings()
DEFAULT_RETRIEVAL = RetrievalSettings()
