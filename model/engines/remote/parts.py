"""A prompt with pseudo-tokens as a server takes it: vectors, and texts that it splits into tokens by itself.

Its tokenizer sees a control token wherever one is spelled, so a file that spells one would forge a prompt. Such a
prompt is not sent as text. All other texts it reads as they stand; where the budget has cut one within a word, as a few
other tokens than ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from model.prompt import PSEUDO, Prompt
from model.vocabulary import Vocabulary

RESERVED = (
    "<prompt_embeds>",
    "<##PROMPT_EMBEDS##>",
)  # by which vLLM marks where vectors go, and refuses in texts


def parts_of(vocabulary: Vocabulary, prompt: Prompt, written: Sequence[int]) -> list[str | np.ndarray] | None:
    """A prompt and what was written behind it, vectors as float16 [n, hidden]; None where its text spells what the
    prompt does not say."""
    parts: list[str | np.ndarray] = []
    ids, n_vectors = [*prompt.ids, *written], 0
    for is_pseudo, run in groupby(ids, lambda token: token == PSEUDO):
        tokens = list(run)
        if is_pseudo:
            vectors = prompt.pseudo[n_vectors : n_vectors + len(tokens)]
            parts.append(vectors.astype(np.float16))
            n_vectors += len(tokens)
            continue
        text = vocabulary.spelled(tokens)
        controls = [token for token in tokens if token in vocabulary.control_ids]
        if vocabulary.controls_in(text) != controls or any(word in text for word in RESERVED):
            return None
        parts.append(text)
    return parts


def without_vectors(prompt: Prompt) -> tuple[int, ...]:
    """Its ids where pseudo-tokens cannot be sent."""
    return tuple(token for token in prompt.ids if token != PSEUDO)
