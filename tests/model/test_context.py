from __future__ import annotations

from dataclasses import replace

import pytest

from model.context import STICKY_CHARS, CursorPlace, drifted

BODY = "".join(f"line_{i} = {i}\n" for i in range(100))
HELD = CursorPlace("a.py", BODY + "self.", "\n" + BODY, "pseudo", 1)


def moved(prefix: str | None = None, suffix: str | None = None, **changes: object) -> CursorPlace:
    return replace(HELD, prefix=prefix or HELD.prefix, suffix=suffix or HELD.suffix, **changes)


HOLDS = {
    "the same place": HELD,
    "typing": moved(HELD.prefix + "value"),
    "deleting": moved(HELD.prefix[:-4]),
    "typing something else": moved(HELD.prefix[:-5] + "other.name"),
    "a bracket that the editor closed": moved(HELD.prefix + "f(", ")" + HELD.suffix),
    "a completion of two lines": moved(HELD.prefix + "x\n    y = 1\n"),
    "the cursor a little to the right": moved(HELD.prefix + HELD.suffix[:9], HELD.suffix[9:]),
    "the cursor a little to the left": moved(HELD.prefix[:-9], HELD.prefix[-9:] + HELD.suffix),
}
DRIFTS = {
    "another file": moved(path="b.py"),
    "another mode": moved(mode="hybrid"),
    "the index has changed": moved(generation=2),
    "a long text typed": moved(HELD.prefix + "x" * (STICKY_CHARS + 1)),
    "three lines down": moved(HELD.prefix + "a\nb\nc\n"),
    "an edit far above": moved("import os\n" + HELD.prefix),
    "an edit far below": moved(suffix=HELD.suffix + "x"),
    "an edit far above that keeps the length": moved("X" + HELD.prefix[1:]),
    "the cursor elsewhere": moved(BODY[:300], BODY[300:] + "self.\n" + BODY),
}


@pytest.mark.parametrize("now", HOLDS.values(), ids=HOLDS)
def test_context_holds(now: CursorPlace) -> None:
    assert not drifted(HELD, now)


@pytest.mark.parametrize("now", DRIFTS.values(), ids=DRIFTS)
def test_context_is_retrieved_again(now: CursorPlace) -> None:
    assert drifted(HELD, now)


def test_in_a_short_file_everything_is_near() -> None:
    held = CursorPlace("a.py", "x", "", "pseudo", 0)
    assert not drifted(held, replace(held, prefix="import os"))
    assert drifted(held, replace(held, prefix="x" * 200))
