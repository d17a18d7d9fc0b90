"""Whether a text can be read in some bytes: what a bucket or a log must not give away."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{6,}")
# What our own objects consist of, beside numbers and sums.
OUR_WORDS = frozenset(
    {"memories", "digests", "indexes", "metadata", "__metadata__", "data_offsets", "d_memory", "safetensors"}
)


def names_in(texts: Iterable[str]) -> set[str]:
    """Identifiers and words of seven characters and more: shorter ones occur in random bytes."""
    return {name for text in texts for name in _NAME.findall(text) if name.lower() not in OUR_WORDS}


def legible(objects: Mapping[str, bytes], names: Iterable[str]) -> set[str]:
    """Those of some names, in lower case, that stand in an object or its path, in whatever letter case."""
    wanted = {name.lower() for name in names}
    runs = {
        run
        for path, content in objects.items()
        for run in re.findall(rb"[a-z0-9_]{7,}", content.lower() + b"\0" + path.lower().encode())
    }
    joined = b"\0".join(runs).decode("ascii")
    return {name for name in wanted if name in joined}
