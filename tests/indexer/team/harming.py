"""What can have happened to an object in a bucket."""

from __future__ import annotations

from pathlib import Path


def harm(file: Path, how: str) -> None:
    """One bit flipped, half of it gone, nothing in it, other content, far too much, or not there any more."""
    if how == "gone":
        file.unlink()
        return
    content = file.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    harmed = {
        "flip": bytes(flipped),
        "half": content[: len(content) // 2],
        "empty": b"",
        "other": b"{}",
        "huge": bytes(9_000_000),
    }
    file.write_bytes(harmed[how])
