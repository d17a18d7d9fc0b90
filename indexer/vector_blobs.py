"""How a node's vectors lie in the store: float16; the memories of a wide coder int8, with a float32 scale a vector.

Eight vectors of a coder of 1,536 numbers are 24.6 KB in float16, 12.3 KB so, and keep a cosine above 0.9999.
"""

from __future__ import annotations

import math

import numpy as np

from indexer.damage import DamagedError, seal, unseal

# From this width on a scale costs less than a hundredth of what it saves, and a node's memory fills pages of the store.
WIDE = 512
_LONGEST = 127.0  # the largest number of an int8, in absolute value
_SCALE = np.dtype("<f4")
_MIN_SCALE = 1e-12  # of a vector of zeros


def sealed(vector: np.ndarray, digest: bytes) -> bytes:
    """What is stored for a node's key, float16 [d_key], or its memory, float16 [m, d_memory]."""
    is_wide = vector.ndim > 1 and vector.shape[-1] >= WIDE
    # What is no number has no scale either: it stays what it is.
    return seal(_in_bytes(vector) if is_wide and np.isfinite(vector).all() else vector.tobytes(), digest)


def unsealed(blob: object, digest: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """float16 of this shape. Raises DamagedError where the blob is not what was stored for the digest."""
    content = unseal(blob, digest)
    if len(content) == 2 * math.prod(shape):  # a wide one, too, that was stored before there was another form
        return np.frombuffer(content, np.float16).reshape(shape)
    if len(shape) != 2 or shape[1] < WIDE or len(content) != shape[0] * (shape[1] + _SCALE.itemsize):
        raise DamagedError("blob")
    n_numbers = math.prod(shape)
    numbers = np.frombuffer(content, np.int8, n_numbers).reshape(shape)
    scales = np.frombuffer(content, _SCALE, shape[0], offset=n_numbers)
    return (numbers * scales[:, None]).astype(np.float16)


def as_stored(memories: np.ndarray) -> np.ndarray:
    """float16 [n, m, d_memory] as they are read back: an open document's pseudo-tokens are its file's to the bit,
    or what the coder has computed behind them would be lost with the first save. Once stored, nothing changes again."""
    if memories.shape[-1] < WIDE:
        return memories
    return np.stack([unsealed(sealed(memory, b""), b"", memory.shape) for memory in memories])


def _in_bytes(memory: np.ndarray) -> bytes:
    """int8 [m, d_memory], then the scales, float32 [m]."""
    exact = memory.astype(np.float32)
    scales = np.maximum(np.abs(exact).max(1) / _LONGEST, _MIN_SCALE).astype(_SCALE)
    numbers = np.rint(exact / scales[:, None]).astype(np.int8)
    return b"".join((numbers.tobytes(), scales.tobytes()))
