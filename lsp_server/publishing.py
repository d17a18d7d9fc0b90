"""`--publish`: CI's part of a team's vectors. Brings an index up to date, and puts what is new into the store."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from indexer.team.batch import Collected
from indexer.team.bucket import BucketError
from indexer.team.joining import writer
from indexer.team.naming import repository_name
from indexer.team.pack import PackError
from indexer.team.publishing import PackWriter, Published
from indexer.team.publishing import publish as publish_store
from lsp_server.commands import index_of, loaded, write_line
from lsp_server.problems import UserMustActError
from lsp_server.settings import Settings
from lsp_server.visible import visible

PATIENCE_MS = 10_000  # for the store, where what it has shall not be computed


def publish(settings: Settings, directory: Path, *, as_json: bool, batch: int | None = None) -> int:
    """Have the team's store list the vectors of a folder's index. What is wrong with the store is seen before anything
    is computed. `batch`: leaves first, by so many processes of Ray's, 0 for one on each processor."""
    if not directory.is_dir():
        raise UserMustActError(visible(f"{directory} is not a folder."))
    root, began, first = directory.resolve(), time.perf_counter(), Collected(0, 0)
    repository = settings.team.repository or repository_name(root)
    try:
        with loaded(settings) as (coder, thread):
            if coder.encoder is None:
                raise UserMustActError("This model has no fuser: there are no vectors to publish.")
            packs = writer(settings.team, root, coder.encoder.fingerprint)
            packs.known(repository, settings.team.branch)
            if batch is not None:
                first = _batch(settings, root, packs, repository, batch)
                settings = replace(settings, team=replace(settings.team, wait_ms=PATIENCE_MS))
            with closing(index_of(root, settings, coder, thread)) as index:
                report = index.update()
            done = publish_store(index.folder, packs, repository, settings.team.branch)
    except (BucketError, PackError) as error:
        raise UserMustActError(f"Not published: {error}") from error
    figures = {
        "nodes": done.nodes,
        "known": done.known,
        "packs": done.packs,
        "bytes": done.bytes,
        "requests": packs.bucket.requests,
        "batch_leaves": first.leaves,
        "batch_packs": first.packs,
        "embedded": report.embedded,
        "pulled": report.pulled,
        "seconds": round(time.perf_counter() - began, 3),
    }
    said = _sentence(done, repository, settings.team.branch)
    if first.packs:
        said = f"{first.leaves:,} leaves were embedded into {first.packs} packs. {said}"
    write_line(json.dumps(figures) if as_json else visible(said))
    return 0


def _batch(settings: Settings, root: Path, packs: PackWriter, repository: str, n_processes: int) -> Collected:
    from lsp_server.batch import BatchRecipe, embed_leaves
    from lsp_server.ray_actors import over_ray

    recipe = BatchRecipe(root, settings.index, settings.model, packs.fingerprint, packs.key)
    return embed_leaves(recipe, packs, repository, settings.team.branch, over_ray(n_processes))


def _sentence(done: Published, repository: str, branch: str) -> str:
    where = f"as {repository}, branch {branch}"
    if not done.packs:
        return f"The team's store knows all {done.known:,} nodes already, {where}."
    packs = f"{done.packs} pack{'s' if done.packs > 1 else ''}, {done.bytes / 1e6:.1f} MB"
    return f"Published {done.nodes:,} nodes in {packs}, {where}; {done.known:,} were known."
