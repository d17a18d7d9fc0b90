"""How far the coder is that is to take over: fetched, checked, prepared, loaded; the words, and the rate of bytes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from model.news import News

SECONDS = 8.0  # of the past that a rate is of
_FEWEST_SECONDS = 1.0  # before a rate is worth showing


@dataclass(frozen=True)
class Coming:
    """`message` says what is done for the model `name`; `percentage` of what is fetched, which never falls."""

    name: str
    message: str
    percentage: int | None = None

    @property
    def line(self) -> str:
        """For a list of what goes on."""
        return f"{self.name}: {self.message}"

    def to_json(self) -> dict[str, Any]:
        return {"model": self.name, "message": self.message, "percentage": self.percentage}


class Rate:
    """Bytes per second, of the last seconds. One thread's."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()

    def of(self, done: int) -> float:
        """With so many bytes done now; 0.0 where it is too early to say."""
        now = self._clock()
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()  # another file, or the same from its beginning
        self._seen.append((now, done))
        while now - self._seen[0][0] > SECONDS and len(self._seen) > 2:
            self._seen.popleft()
        since, before = self._seen[0]
        return (done - before) / (now - since) if now - since >= _FEWEST_SECONDS else 0.0


def coming(name: str, news: News, rate: float) -> Coming:
    """What somebody reads who waits for a model; `rate` in bytes per second, 0.0 where it is unknown."""
    if news.work == "preparing":
        return Coming(name, "preparing it for this machine, the first time only")
    if news.work == "loading":
        return Coming(name, "loading it; it answers once it meets the deadline")
    doing = "fetching" if news.work == "fetching" else "checking"
    if not news.total:
        return Coming(name, "asking the hub" if doing == "fetching" else doing)
    said = f"{doing} {_size(news.done, news.total)}"
    if rate > 0:
        left = (news.total - news.done) / rate
        said += f", {rate / 1e6:.1f} MB/s" + (f", about {_time(left)} left" if left >= 1 else "")
    return Coming(name, said, min(100 * news.done // news.total, 100) if doing == "fetching" else None)


def _size(done: int, total: int) -> str:
    if total >= 1e9:
        return f"{done / 1e9:.2f} of {total / 1e9:.2f} GB"
    digits = 0 if total >= 1e7 else 1
    return f"{done / 1e6:,.{digits}f} of {total / 1e6:,.{digits}f} MB"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
