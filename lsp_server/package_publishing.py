"""`--publish --package`: CI's part of what a team shares of public packages: signatures, and on request vectors."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from indexer import Embedder
from indexer.distributions import Distribution, NotPublicError, public_distribution
from indexer.installed import distributions, site_packages
from indexer.signatures import folded, signatures_of
from indexer.team.bucket import BucketError
from indexer.team.joining import writer
from indexer.team.pack import PackError
from indexer.team.publishing import PackWriter
from indexer.team.publishing import publish as publish_store
from indexer.team.refs import PACKAGES
from lsp_server.coder import LoadedCoder, embedder_of
from lsp_server.commands import loaded, write_line
from lsp_server.model_thread import ModelThread
from lsp_server.opening import open_index
from lsp_server.problems import UserMustActError
from lsp_server.settings import Settings
from lsp_server.visible import visible


@dataclass(frozen=True)
class PublishedPackage:
    """`signatures`: how many; `bytes`: of their object; `is_new`: whether the store lists others than before; `nodes`
    and `packs`: whose vectors were written."""

    package: str
    version: str
    signatures: int
    bytes: int
    is_new: bool
    nodes: int = 0
    packs: int = 0
    pack_bytes: int = 0
    seconds: float = 0.0


def publish_packages(
    settings: Settings, directory: Path, names: list[str], *, vectors: bool, as_json: bool
) -> int:
    """Have the team's store list signatures of packages that are installed for a folder, or unpacked in it. `vectors`:
    of their chunks, too. Raises UserMustActError, before anything is written where a package is not there."""
    if not directory.is_dir():
        raise UserMustActError(visible(f"{directory} is not a folder."))
    root = directory.resolve()
    is_unpacked = any(entry.endswith(".dist-info") for entry in distributions(root))
    place = root if is_unpacked else site_packages(root)
    try:
        found = [public_distribution(place, name) for name in names]
        with loaded(settings) as (coder, thread):
            embedder = embedder_of(coder, thread)
            if embedder is None:
                raise UserMustActError("This model has no fuser: the store has no place for it.")
            packs = writer(settings.team, root, embedder.fingerprint)
            for one in found:
                done = _published(one, packs)
                if vectors:
                    done = _with_vectors(done, one, packs, settings, coder, thread, embedder)
                write_line(json.dumps(asdict(done)) if as_json else visible(_sentence(done)))
    except (BucketError, PackError, NotPublicError) as error:
        raise UserMustActError(visible(f"Not published: {error}")) from error
    return 0


def _published(one: Distribution, packs: PackWriter) -> PublishedPackage:
    began = time.perf_counter()
    tables = [table for package in one.packages if (table := signatures_of(package, one.name))]
    content = folded(tables)
    is_new = packs.write_signatures(one.name, one.version, content)
    n_rows = sum(len(table.rows) for table in tables)
    seconds = round(time.perf_counter() - began, 3)
    return PublishedPackage(one.name, one.version, n_rows, len(content), is_new, seconds=seconds)


def _with_vectors(
    done: PublishedPackage,
    one: Distribution,
    packs: PackWriter,
    settings: Settings,
    coder: LoadedCoder,
    thread: ModelThread[LoadedCoder],
    embedder: Embedder,
) -> PublishedPackage:
    """Of the largest folder: a package's index is kept like a repository's, and so is what it has in the store."""
    began, before = time.perf_counter(), packs.bytes
    folders = [package.place for package in one.packages if package.place.is_dir()]
    if not folders:
        return done
    folder = max(folders, key=lambda place: sum(1 for _ in place.rglob("*.py")))
    named = replace(settings.team, repository=f"{PACKAGES}/{one.name}", branch=one.version)
    with closing(open_index(folder, replace(settings, team=named), embedder, coder.tokenizer, None)) as index:
        index.update()
    wrote = publish_store(index.folder, packs, named.repository, named.branch)
    seconds = round(done.seconds + time.perf_counter() - began, 3)
    return replace(
        done, nodes=wrote.nodes, packs=wrote.packs, pack_bytes=packs.bytes - before, seconds=seconds
    )


def _sentence(done: PublishedPackage) -> str:
    news = "Published" if done.is_new else "The team's store knows already"
    said = (
        f"{news} {done.signatures:,} signatures of {done.package} {done.version}, {done.bytes / 1e3:.0f} kB"
    )
    vectors = f", and {done.nodes:,} vectors in {done.packs} packs, {done.pack_bytes / 1e6:.1f} MB"
    return said + (vectors if done.packs else "") + "."
