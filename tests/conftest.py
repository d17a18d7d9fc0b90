"""What all tests share: graphs that ONNX Runtime runs are built once per run, and never in the user's own cache."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEF_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield
