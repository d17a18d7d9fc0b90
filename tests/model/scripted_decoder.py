"""A decoder that plays a script: what it answers depends only on the ids in its cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Script = Callable[[tuple[int, ...]], int]


def after(prompt_length: int, answer: Sequence[int]) -> Script:
    """The script that continues a prompt of this length with `answer`."""
    return lambda ids: answer[len(ids) - prompt_length] if len(ids) >= prompt_length else 0


class ScriptedDecoder:
    """`Decoder` over a script. Counts what it was asked; an embedding carries its token id in both columns."""

    hidden_size = 2

    def __init__(self, script: Script, vocab_size: int, capacity: int = 512) -> None:
        self.vocab_size = vocab_size
        self.capacity = capacity
        self.widths: list[int] = []  # rows of each forward pass
        self._script = script
        self._ids: list[int] = []

    @property
    def length(self) -> int:
        return len(self._ids)

    def embed(self, ids: Sequence[int]) -> np.ndarray:
        return np.repeat(np.array(ids, dtype=np.float32)[:, None], 2, axis=1)

    def extend(
        self, vectors: np.ndarray, *, all_rows: bool = False, parents: Sequence[int] | None = None
    ) -> np.ndarray:
        if all_rows or parents is not None:
            raise NotImplementedError("the script answers for the last row only")
        self._ids += [int(vector[0]) for vector in vectors]
        self.widths.append(len(vectors))
        logits = np.zeros(self.vocab_size, dtype=np.float32)
        logits[self._script(tuple(self._ids))] = 1.0
        return logits

    def keep(self, start: int, rows: Sequence[int]) -> None:
        raise NotImplementedError("the script has no trees")

    def rewind(self, length: int) -> None:
        del self._ids[length:]
