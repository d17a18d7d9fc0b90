"""The second choice, a llama.cpp server: `/infill` takes the texts around the cursor, no vectors and no ids.

It splits them without seeing control tokens in them, and puts those of its own model around.
https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from model.engines.remote.failure import NO_COMPLETION, ServerError
from model.engines.remote.questions import MAX_EVENT_TOKENS, Piece, Wanted
from model.prompt import Prompt
from model.vocabulary import Vocabulary

INFILL = "/infill"
OWNER = "llamacpp"  # as /v1/models says


def of_texts(
    vocabulary: Vocabulary, prompt: Prompt, written: Sequence[int], wanted: Wanted
) -> dict[str, Any]:
    """Asked of INFILL: what stands between the texts of a prompt; the rest of it is left out."""
    return {
        "input_prefix": vocabulary.spelled([*prompt.before, *written]),
        "input_suffix": vocabulary.spelled(prompt.after),
        "n_predict": wanted.max_tokens,
        "temperature": 0,
        "stream": True,
        "cache_prompt": True,
        "return_tokens": True,
        "logit_bias": [[token, False] for token in wanted.banned],
    }


def piece_of_infill(event: Mapping[str, Any], vocab_size: int) -> Piece:
    """What an event says. Raises ServerError on what is none, and on ids without a token."""
    if "error" in event:
        raise ServerError("has an error of its own")
    ids, ends = event.get("tokens", []), event.get("stop")
    is_sound = isinstance(ids, list) and len(ids) <= MAX_EVENT_TOKENS and isinstance(ends, bool)
    if not (is_sound and all(type(i) is int and 0 <= i < vocab_size for i in ids)):
        raise ServerError(NO_COMPLETION)
    if not ids and not ends and event.get("content"):
        raise ServerError("sends text without token ids: a newer llama.cpp is wanted")
    return Piece(tuple(ids), ends is True, event.get("stop_type") == "limit")
