"""The decoder of the CPU: `Decoder` on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnxruntime

from model.checkpoint.coder import Qwen2Config
from model.checkpoint.tensors import Matrix, widened
from model.engines.decoder import PREFILL_PIECE, Rows, check_rewind, check_room, must_move, tree_mask
from model.engines.positions import Positions, check_filled, check_rows

_HIDDEN = np.float32(-1e9)  # a score that softmax turns into nothing


class _Cache:
    """One sequence: keys and values [layers, kv heads, capacity, head_dim], `length` rows of them filled."""

    def __init__(self, config: Qwen2Config, capacity: int) -> None:
        shape = (config.num_hidden_layers, config.num_key_value_heads, capacity, config.head_dim)
        self.keys, self.values = np.zeros(shape, np.float32), np.zeros(shape, np.float64)
        self.positions = Positions(capacity)
        self.length = 0

    def by_head(self) -> Iterator[np.ndarray]:
        """What belongs to the names of `kv_names`, in their order: views, [capacity, head_dim]."""
        for keys, values in zip(self.keys, self.values, strict=True):
            for pair in zip(keys, values, strict=True):
                yield from pair

    def keep(self, start: int, rows: Sequence[int]) -> None:
        if must_move(rows):
            source = [start + row for row in rows]
            for array in (self.keys, self.values):
                array[:, :, start : start + len(rows)] = array[:, :, source]
            self.positions.keep(start, rows)
        self.length = start + len(rows)


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
        self._names = [name for pair in kv_names(config) for name in pair]
        self._outputs = ["logits", *(f"new_{name}" for name in self._names)]
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
        return widened(self._table[np.asarray(ids, dtype=np.int64)])

    def extend(
        self, vectors: np.ndarray, *, all_rows: bool = False, parents: Sequence[int] | None = None
    ) -> np.ndarray:
        """As `Decoder.extend`: a sequence is the tree whose rows each follow the one before."""
        n, past, cache = len(vectors), self.length, self._cache
        check_room(past, n, self.capacity)
        sees = tree_mask(range(-1, n - 1) if parents is None else parents, self._fewest)
        positions = cache.positions.extend(past, sees.sum(axis=1)[:n] - 1)
        every = all_rows or parents is not None
        feed = {name: array[:past] for name, array in zip(self._names, cache.by_head(), strict=True)}
        feed |= self._new_rows(vectors, positions, sees)
        feed |= self._asked_rows(range(n) if every else [n - 1])
        logits, *new = self._session.run(self._outputs, feed)
        for array, rows in zip(cache.by_head(), new, strict=True):
            array[past : past + n] = rows[:n]
        cache.length = past + n
        wanted: np.ndarray = logits[:n] if every else logits[0]
        return wanted

    def _new_rows(self, vectors: np.ndarray, positions: np.ndarray, sees: np.ndarray) -> dict[str, np.ndarray]:
        """Filled up to the size of the mask with what the last row is."""
        filled = np.minimum(np.arange(len(sees)), len(vectors) - 1)
        return {
            "x": np.ascontiguousarray(vectors[filled], dtype=np.float32),
            "cos": self._cos[positions[filled]],
            "sin": self._sin[positions[filled]],
            "mask": np.repeat(np.where(sees, np.float32(0), _HIDDEN), self._group, axis=0),
        }

    def _asked_rows(self, asked: Sequence[int]) -> dict[str, np.ndarray]:
        rows = [*asked, *[asked[-1]] * (self._fewest - len(asked))]
        wanted = [*range(len(asked)), *[0] * (self._fewest_wanted - len(asked))]
        return {"rows": np.array(rows), "wanted": np.array(wanted)}

    def read(self, start: int, stop: int) -> Rows:
        """As `Decoder.read`, in float32: values are float64 only where they are summed."""
        check_filled(self.length, start, stop)
        cache = self._cache
        keys, values = (array[:, :, start:stop].astype(np.float32) for array in (cache.keys, cache.values))
        return Rows(keys, values, cache.positions[start:stop])

    def place(self, rows: Rows, following: int) -> None:
        """As `Decoder.place`."""
        check_rows(rows, following, self._config)
        cache, n, past = self._cache, len(rows), self.length
        check_room(past, n, self.capacity)
        cache.keys[:, :, past : past + n] = rows.keys
        cache.values[:, :, past : past + n] = rows.values.astype(np.float32, copy=False)
        cache.positions.place(past, rows.positions, following)
        cache.length = past + n
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


def kv_names(config: Qwen2Config) -> list[tuple[str, str]]:
    """What the graph calls its cached keys and values, one pair for each layer and kv head."""
    heads = [f"{i}_{j}" for i in range(config.num_hidden_layers) for j in range(config.num_key_value_heads)]
    return [(f"key_{name}", f"value_{name}") for name in heads]


def rotary_table(head_dim: int, theta: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """cos and sin of positions 0 to n - 1, float32 [n, head_dim / 2]."""
    frequencies = np.float32(theta) ** -(np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim))
    angles = np.arange(n, dtype=np.float32)[:, None] * frequencies
    return np.cos(angles), np.sin(angles)
