"""What memory a process has taken."""

from __future__ import annotations

from pathlib import Path


def peak_mb(process: int | str = "self") -> float:
    """The most that was resident since the process began its program, MB.

    Not `ru_maxrss`: a program begins with the peak of the process that started it (`exec_mmap` in Linux' fs/exec.c), so
    that it would measure the test run.
    """
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
