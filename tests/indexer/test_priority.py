"""A thread that gives way does so alone."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from indexer.priority import give_way

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="threads have priorities of their own on Linux"
)


def own_priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.parametrize("by", [3, 19, 40])
def test_only_the_thread_that_asks_gives_way(by: int) -> None:
    before, seen = own_priority(), list[int]()

    def run() -> None:
        give_way(by)
        seen.append(own_priority())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [min(before + by, 19)]
    assert own_priority() == before


def test_a_priority_that_may_not_be_set_stays() -> None:
    def refuse(*_: int) -> None:
        raise PermissionError("a container's rule")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "setpriority", refuse)
        before = own_priority()
        give_way(19)
        assert own_priority() == before
