"""The decoder of the CPU: `Decoder` on ONNX Runtime."""

from __future__ import annotations

import mmap
from collections.abc import Sequence

import numpy as np
import onnxruntime

from model.checkpoint.coder import Qwen2Config
from model.checkpoint.tensors import Matrix, widened
from model.engines.decoder import PREFILL_PIECE, Rows, check_rewind, check_room, must_move, tree_mask
from model.engines.positions import Positions, check_filled, check_rows

_STEP = 128  # rows by which a cache's span grows; up to so many are computed in vain
_OUTPUTS = ("logits", "new_keys", "new_values")
_HIDDEN = np.float32(-1e9)  # a score that softmax turns into nothing


class _Cache:
    """One sequence: keys and values [layers, kv heads, span, head_dim], `length` rows of them filled.

    A layer's part is handed to the graph as it lies, without a copy, so the span follows the length in steps of _STEP
    and rows are moved when it changes. What was never reached is memory that the system has not given yet.
    """

    def __init__(self, config: Qwen2Config, capacity: int) -> None:
        shape = (config.num_hidden_layers, config.num_key_value_heads, capacity, config.head_dim)
        self._keys, self._values = (np.zeros(shape, np.float32).reshape(-1) for _ in range(2))
        self._shape = shape
        self.span = 0
        self.positions = Positions(capacity)
        self.length = 0

    @property
    def keys(self) -> np.ndarray:
        return self._view(self._keys, self.span)

    @property
    def values(self) -> np.ndarray:
        return self._view(self._values, self.span)

    def fit(self, n: int) -> None:
        """Let the span be what n rows need, or a step more."""
        wanted = min(-(-n // _STEP) * _STEP, self._shape[2])
        if not wanted <= self.span <= wanted + _STEP:
            kept = min(self.length, wanted)
            for flat in (self._keys, self._values):
                _move(self._view(flat, self.span), self._view(flat, wanted), kept)
            self.span = wanted

    def write(self, keys: np.ndarray, values: np.ndarray) -> None:
        """Append rows, [layers, kv heads, n, head_dim] each."""
        past, n = self.length, keys.shape[2]
        self.fit(past + n)
        self.keys[:, :, past : past + n] = keys
        self.values[:, :, past : past + n] = values
        self.length = past + n

    def keep(self, start: int, rows: Sequence[int]) -> None:
        if must_move(rows):
            source = [start + row for row in rows]
            for array in (self.keys, self.values):
                array[:, :, start : start + len(rows)] = array[:, :, source]
            self.positions.keep(start, rows)
        self.length = start + len(rows)

    def _view(self, flat: np.ndarray, span: int) -> np.ndarray:
        layers, kv_heads, _, width = self._shape
        return flat[: layers * kv_heads * span * width].reshape(layers, kv_heads, span, width)


def _move(source: np.ndarray, target: np.ndarray, n: int) -> None:
    """The first n rows of each head to where they lie in another span of the same memory: the last head first where
    they move up, so that none is written over before it was read."""
    heads = list(np.ndindex(source.shape[:2]))
    for head in reversed(heads) if target.shape[2] > source.shape[2] else heads:
        target[head][:n] = source[head][:n]


class OnnxDecoder:
    """Runs the graph of `onnx_decoder_graph`. Lives on one thread: it owns the caches, one per slot.

    `table` holds the embeddings, [vocab, hidden], as they are stored. A pass of fewer rows than the graph notes is
    filled up with rows that nobody sees.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        table: Matrix,
        config: Qwen2Config,
        capacity: int,
        n_slots: int = 1,
        prefill_piece: int = PREFILL_PIECE,
    ) -> None:
        self._session, self._table, self._config = session, table, config
        self.capacity = capacity
        self.prefill_piece = prefill_piece
        self._names = kv_names(config)
        self._slots = [_Cache(config, capacity) for _ in range(n_slots)]
        self._cache = self._slots[0]
        self._cos, self._sin = rotary_table(config.head_dim, config.rope_theta, capacity)
        notes = session.get_modelmeta().custom_metadata_map
        self._fewest, self._fewest_wanted = int(notes["fewest_rows"]), int(notes["fewest_wanted"])
        self._group = config.num_attention_heads // config.num_key_value_heads

    @property
    def hidden_size(self) -> int:
        return self._config.hidden_size

    @property
    def vocab_size(self) -> int:
        return self._config.vocab_size

    @property
    def n_slots(self) -> int:
        return len(self._slots)

    @property
    def length(self) -> int:
        return self._cache.length

    def select(self, slot: int) -> None:
        self._cache = self._slots[slot]

    def embed(self, ids: Sequence[int]) -> np.ndarray:
        vectors = widened(self._table[np.asarray(ids, dtype=np.int64)])
        _unmap(self._table)
        return vectors

    def extend(
        self, vectors: np.ndarray, *, all_rows: bool = False, parents: Sequence[int] | None = None
    ) -> np.ndarray:
        """As `Decoder.extend`: a sequence is the tree whose rows each follow the one before."""
        n, past, cache = len(vectors), self.length, self._cache
        check_room(past, n, self.capacity)
        cache.fit(past)
        sees = tree_mask(range(-1, n - 1) if parents is None else parents, self._fewest)
        positions = cache.positions.extend(past, sees.sum(axis=1)[:n] - 1)
        every = all_rows or parents is not None
        feed = self._cached_rows() | self._new_rows(vectors, positions, sees)
        logits, keys, values = self._session.run(
            _OUTPUTS, feed | self._asked_rows(range(n) if every else [n - 1])
        )
        shape = (self._config.num_hidden_layers, self._config.num_key_value_heads, -1, self._config.head_dim)
        cache.write(keys.reshape(shape)[:, :, :n], values.reshape(shape)[:, :, :n])
        wanted: np.ndarray = logits[:n] if every else logits[0]
        return wanted

    def _cached_rows(self) -> dict[str, np.ndarray]:
        feed = {}
        for (key, value), keys, values in zip(self._names, self._cache.keys, self._cache.values, strict=True):
            feed[key], feed[value] = keys, values
        return feed

    def _new_rows(
        self, vectors: np.ndarray, positions: np.ndarray, sees: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Filled up to the size of the mask with what the last row is."""
        filled_up = np.arange(self._cache.span) < self.length
        filled = np.minimum(np.arange(len(sees)), len(vectors) - 1)
        return {
            "x": np.ascontiguousarray(vectors[filled], dtype=np.float32),
            "cos": self._cos[positions[filled]],
            "sin": self._sin[positions[filled]],
            "unfilled": np.where(filled_up, np.float32(0), _HIDDEN),
            "mask": np.repeat(np.where(sees, np.float32(0), _HIDDEN), self._group, axis=0),
        }

    def _asked_rows(self, asked: Sequence[int]) -> dict[str, np.ndarray]:
        rows = [*asked, *[asked[-1]] * (self._fewest - len(asked))]
        wanted = [*range(len(asked)), *[0] * (self._fewest_wanted - len(asked))]
        return {"rows": np.array(rows), "wanted": np.array(wanted)}

    def read(self, start: int, stop: int) -> Rows:
        """As `Decoder.read`, in float32."""
        check_filled(self.length, start, stop)
        cache = self._cache
        keys, values = (array[:, :, start:stop].copy() for array in (cache.keys, cache.values))
        return Rows(keys, values, cache.positions[start:stop])

    def place(self, rows: Rows, following: int) -> None:
        """As `Decoder.place`."""
        check_rows(rows, following, self._config)
        cache, n, past = self._cache, len(rows), self.length
        check_room(past, n, self.capacity)
        cache.positions.place(past, rows.positions, following)
        cache.write(rows.keys, rows.values)
        self._reach(following + self.capacity)

    def keep(self, start: int, rows: Sequence[int]) -> None:
        self._cache.keep(start, rows)

    def rewind(self, length: int) -> None:
        check_rewind(self.length, length)
        self._cache.length = length

    def _reach(self, n: int) -> None:
        """Let there be a table of at least so many positions."""
        if n > len(self._cos):
            config = self._config
            self._cos, self._sin = rotary_table(config.head_dim, config.rope_theta, n)


def _unmap(table: Matrix) -> None:
    """Of a mapped table nothing stays resident. Each row that is read brings 64 KB of its neighbors along: after some
    hundred it would be the whole, 28 MB at 135M. It stays in the system's cache of files."""
    for part in [table] if isinstance(table, np.ndarray) else vars(table).values():
        if isinstance(part.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            part.base.madvise(mmap.MADV_DONTNEED)


def kv_names(config: Qwen2Config) -> list[tuple[str, str]]:
    """What the graph calls its cached keys and values, one pair for each layer."""
    return [(f"key_{i}", f"value_{i}") for i in range(config.num_hidden_layers)]


def rotary_table(head_dim: int, theta: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """cos and sin of positions 0 to n - 1, float32 [n, head_dim / 2]."""
    frequencies = np.float32(theta) ** -(np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim))
    angles = np.arange(n, dtype=np.float32)[:, None] * frequencies
    return np.cos(angles), np.sin(angles)
