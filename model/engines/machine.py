"""What this machine has: free memory, processors."""

from __future__ import annotations

import ctypes
import os
import platform
from contextlib import suppress
from pathlib import Path

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # malloc.h
_OWN_PAGES_FROM = 1 << 20  # bytes; what is as large goes back when it is freed


def free_bytes() -> int | None:
    """Free bytes, or None where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf.
        return None


def processor() -> str:
    """Name of the processor, as far as the system says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return f"{platform.machine()} {platform.processor()}"


def processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def keep_heaps_small() -> None:
    """To be called before there are threads. The C library would give each of them a heap of its own, and keep in these
    what is large and freed (malloc's dynamic threshold, mallopt(3)): of a coder of 135M some 100 MB, in one run."""
    with suppress(AttributeError, OSError, TypeError):  # glibc alone has it
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, _OWN_PAGES_FROM)
        library.mallopt(_ARENA_MAX, 2)


def give_back() -> None:
    """What was freed goes to the system at once, where the C library would keep it: 130 MB behind the making of a graph
    of 135M."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
