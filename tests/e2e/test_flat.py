"""Nothing is left in memory, in files or in threads; `python -m tests.benchmarks --only flat` is the long form."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.benchmarks.flat import of_documents, of_requests, steady_slope, watched
from tests.wire import Wire

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
N_WARM = 800  # between 500 and 700 requests there is one step of 4 MB, after which it stays


@pytest.mark.parametrize(
    ("work", "count", "most"),
    # pygls alone kept 2.2 KB of each request and 4.2 KB of each document.
    [(of_requests, 800, 700), (of_documents, 300, 1_400)],
)
def test_the_server_stays_as_it_is(work: Callable[[Wire, Path, int], None], count: int, most: int) -> None:
    looks = watched(work, count, N_WARM)

    assert steady_slope(looks) / 1e3 < most, [look.bytes for look in looks]  # bytes of one
    assert looks[-1].files == looks[0].files
    assert looks[-1].threads == looks[0].threads
