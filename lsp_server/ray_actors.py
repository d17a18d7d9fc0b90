"""Ray, which is imported here only: portions mapped over actors that each hold a fuser (`hef-lsp[batch]`).

Where RAY_ADDRESS names a cluster it works there, and every machine must have the checkout at the same path; else Ray is
started here, behind a token of its own, and ends with the run. Its usage statistics are off before it is imported.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from indexer.team.batch import EmbeddedLeaves
from lsp_server.batch import BatchRecipe, Spread
from lsp_server.problems import UserMustActError

OBJECT_STORE_BYTES = 500_000_000  # of this machine's memory, for what is on its way
BLOCK_BYTES = 8_000_000  # of one result: Ray starts an actor only where a few of them would fit
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_raylet_start_wait_time_s": "300",  # beside other work its 30 are too few
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what it is to do about GPUs that nobody asked for
}
_MOST_BLOCKS = 20_000


def over_ray(n_processes: int) -> Spread:
    """A `Spread` over so many processes, 0: one for each processor. Raises UserMustActError without Ray."""
    os.environ.update(_QUIET)  # before the import, and for the processes that it starts
    try:
        import ray.data
    except ImportError:
        raise UserMustActError("--batch needs Ray: pip install 'hef-lsp[batch]'.") from None
    return partial(_spread, ray, n_processes)


class LeafActor:
    """What one process of Ray's does."""

    def __init__(self, recipe: BatchRecipe) -> None:
        self._worker = recipe()

    def __call__(self, batch: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        for paths in batch["paths"]:
            found = self._worker.run(json.loads(paths))
            if found is not None:
                yield _row(found)


def _spread(
    ray: Any, n_processes: int, recipe: BatchRecipe, paths: Iterable[list[str]]
) -> Iterator[EmbeddedLeaves]:
    items = [{"paths": json.dumps(portion)} for portion in paths]
    if not items:
        return
    with _running(ray, n_processes) as n_actors:
        mapped = ray.data.from_items(items, override_num_blocks=min(len(items), _MOST_BLOCKS)).map_batches(
            LeafActor,
            fn_constructor_args=(recipe,),
            batch_size=1,
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(size=n_actors),
            batch_format="numpy",
        )
        for batch in mapped.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=0):
            yield from _leaves(batch)


@contextmanager
def _running(ray: Any, n_processes: int) -> Iterator[int]:
    """Ray, started where no cluster is named; how many actors there may be."""
    with tempfile.TemporaryDirectory(prefix="hef-ray-", ignore_cleanup_errors=True) as folder:
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        if os.environ.get("RAY_ADDRESS"):
            ray.init(**quiet)
        else:
            os.environ.setdefault(
                "RAY_AUTH_TOKEN", secrets.token_hex(32)
            )  # else one is left in the home folder
            ray.init(
                num_cpus=n_processes or os.cpu_count(),
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                _temp_dir=folder,
                **quiet,
            )
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.target_max_block_size = BLOCK_BYTES
        try:
            yield n_processes or max(1, int(ray.cluster_resources()["CPU"]))
        finally:
            ray.shutdown()


def _row(found: EmbeddedLeaves) -> dict[str, np.ndarray]:
    """A portion's leaves as one row of bytes: Ray's tables know nothing of float16."""
    parts = (found.digests, found.keys, found.memories)
    told = json.dumps([[part.dtype.str, part.shape] for part in parts])
    content = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
    return {"told": np.array([told]), "content": np.array([content], object)}


def _leaves(batch: dict[str, np.ndarray]) -> Iterator[EmbeddedLeaves]:
    for told, content in zip(batch["told"], batch["content"], strict=True):
        parts, start = [], 0
        for kind, shape in json.loads(told):
            count = int(np.prod(shape))
            parts.append(np.frombuffer(content, kind, count, start).reshape(shape))
            start += parts[-1].nbytes
        yield EmbeddedLeaves(*parts)
