"""A server on loopback that serves the tiny checkpoint, and what asks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from model.engines.remote.loading import Elsewhere, load_elsewhere
from model.settings import DraftSettings, ModelSettings, RecallSettings
from tests.servers.fake_vllm import FakeVllm, serving
from tests.tiny_checkpoint import write_tiny_checkpoint

SECONDS = 10.0  # that a test waits for what comes at once


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("embedded"), seed=3)


@pytest.fixture
def served(tiny_folder: Path) -> Iterator[FakeVllm]:
    with serving(FakeVllm(tiny_folder)) as fake:
        yield fake


@pytest.fixture
def load(tiny_folder: Path, embedded: Path) -> Iterator[Callable[..., Elsewhere]]:
    """What loads a server's model from its address, looked at."""
    loaded: list[Elsewhere] = []

    def load(address: str, **changes: object) -> Elsewhere:
        settings = replace(ModelSettings(name=str(tiny_folder), server=address), **changes)
        found = load_elsewhere(settings, RecallSettings(enabled=False), DraftSettings(), embedded)
        loaded.append(found)
        found.server.wait(SECONDS)
        return found

    yield load
    for found in loaded:
        found.server.close()
