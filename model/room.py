"""How much room a coder's cache has: the rows of a slot, and in how many slots places are held.

A row is as wide as its coder, 46 KB in float32 at 135M. So a slot has no row that no prompt reaches, and on the CPU,
where they lie beside everything else that the user runs, slots have a budget of bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from model.blocks.block import FIRST
from model.settings import ModelSettings

_FEWEST_POSITIONS = 3 * FIRST  # fewer leave no room behind blocks: a completion may take half
FEWEST_PLACES = 2  # whoever looks something up comes back from there


@dataclass(frozen=True)
class Room:
    """`rows` of a slot, and the `places` that are held; `makes_blocks`: one slot more has the blocks that are made."""

    rows: int
    places: int
    makes_blocks: bool

    @property
    def n_slots(self) -> int:
        return self.places + self.makes_blocks


def room_for(
    settings: ModelSettings, positions: int, *, places_blocks: bool, n_bytes: Callable[[int], int] | None
) -> Room:
    """`positions`: most tokens of a prompt and its completion, without blocks; `n_bytes` that so many rows take, None
    where they have no budget."""
    makes_blocks = places_blocks and positions >= _FEWEST_POSITIONS
    rows = positions
    if makes_blocks:
        max_tokens = min(settings.max_tokens, positions // 2)
        window = min(settings.window_tokens, positions - max_tokens - FIRST)
        rows = max(positions, 1 + settings.block_tokens + window + max_tokens)
    places = settings.recent_places
    while n_bytes and places > FEWEST_PLACES and places * n_bytes(rows) > settings.recent_places_bytes:
        places -= 1
    return Room(rows, places, makes_blocks)


def few_places(settings: ModelSettings, room: Room) -> tuple[str, ...]:
    """A sentence for the user where fewer places are held than asked."""
    if room.places == settings.recent_places:
        return ()
    return (
        f"{settings.name} holds {room.places} recent places and not {settings.recent_places}: for more, raise "
        "model.recentPlacesBytes",
    )


def beside_blocks(settings: ModelSettings, rows: int) -> int:
    """Rows of a slot that are left for the window and the completion where blocks stand in it, behind their sink."""
    return rows - 1 - settings.block_tokens
