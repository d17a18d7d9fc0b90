"""What memory a process holds, as Linux tells it."""

from __future__ import annotations

from pathlib import Path


def held(process: int | str = "self") -> dict[str, int]:
    """Linux' own names (`VmRSS`, `VmHWM`, `RssAnon`, ...) -> KiB. Raises OSError where there is no such process or no
    Linux."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace").splitlines()
    told = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    return {name: int(value[0]) for name, value in told.items() if value[1:] == ["kB"]}


def peak_mb(process: int | str = "self") -> float:
    """The most that was resident since the process began its program, MB.

    Not `ru_maxrss`: a program begins with the peak of the process that started it (`exec_mmap` in Linux' fs/exec.c), so
    that it would measure the test run.
    """
    return held(process)["VmHWM"] / 1024
