"""Whether the machine runs on its battery: then what nobody waits for is slower, or waits.

As Linux says it. Other systems are taken to be on mains: they slow down or hold back such work by themselves (Low Power
Mode, battery saver).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

SUPPLIES = Path("/sys/class/power_supply")
LOOK_SECONDS = 30.0  # a look may take a controller some milliseconds
ON_BATTERY = (
    "The machine runs on its battery: the index is embedded at a quarter of the pace, and nothing is computed ahead "
    "(server.saveBattery)."
)
_OWN = ("Battery", "UPS")


class Power:
    """Any thread asks `saves`, but the loop, which must not wait for a controller and reads `is_saving`."""

    def __init__(self, supplies: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """`supplies`: a folder as Linux has it, one folder in it for each; None: the machine's."""
        self.wanted = True  # by the setting
        self._supplies = supplies or SUPPLIES
        self._clock = clock
        self._looking = threading.Lock()
        self._looked_at: float | None = None
        self._on_battery = False

    @property
    def is_saving(self) -> bool:
        """Whether energy was to be saved when somebody looked last."""
        return self.wanted and self._on_battery

    def saves(self) -> bool:
        """Whether energy is to be saved, as of LOOK_SECONDS ago or less."""
        if not self.wanted:
            return False
        with self._looking:
            now = self._clock()
            if self._looked_at is None or now - self._looked_at >= LOOK_SECONDS:
                self._looked_at, self._on_battery = now, on_battery(self._supplies)
        return self.is_saving


def on_battery(supplies: Path) -> bool:
    """Whether a battery of the machine is being discharged while no other supply is there. False where nothing says
    so."""
    try:
        folders = list(supplies.iterdir())
    except OSError:
        return False
    found = [_supply(folder) for folder in folders]
    is_plugged_in = any(kind not in _OWN and online == "1" for kind, online, _ in found)
    return not is_plugged_in and any(
        kind == "Battery" and status == "Discharging" for kind, _, status in found
    )


def _supply(folder: Path) -> tuple[str, str, str]:
    """Type, online and status; a mouse's battery (scope "Device") has none."""
    if _read(folder / "scope") == "Device":
        return "", "", ""
    return _read(folder / "type"), _read(folder / "online"), _read(folder / "status")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
