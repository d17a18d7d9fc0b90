"""Which threads give way to others."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress

LOWEST = 19


def give_way(by: int) -> None:
    """Lower this thread's priority, for good, where a thread has one of its own (Linux): by 1 a little, by 19 as far as
    it goes. For the disk, too, which takes it from there (ioprio_set(2)). Threads that it starts have the same."""
    if sys.platform == "linux":
        with suppress(OSError):
            thread = threading.get_native_id()
            now = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, min(now + by, LOWEST))
