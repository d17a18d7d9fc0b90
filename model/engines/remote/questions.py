"""What a vLLM server is asked, and what its events say. Token ids both ways; text only beside vectors.

https://docs.vllm.ai/en/latest/features/prompt_embeds.html: `/v1/completions` takes ids or vectors, and only
`/v1/chat/completions` both, as parts of a message that a template passes through unchanged.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.engines.remote.failure import NO_COMPLETION, ServerError
from model.engines.remote.torch_file import torch_file

COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"
N_LIKELIEST = 20  # vLLM's own --max-logprobs
MAX_EVENT_TOKENS = 4096
_NAMED = "token_id:"  # return_tokens_as_token_ids


@dataclass(frozen=True)
class Wanted:
    """Of an answer. `banned` ids are never chosen; `likeliest`: whether those beside the chosen one are told."""

    model: str
    max_tokens: int
    stop_ids: frozenset[int]
    banned: tuple[int, ...] = ()
    likeliest: bool = False

    def to_json(self) -> dict[str, Any]:
        """What both kinds of questions have."""
        return {
            "model": self.model,
            "max_tokens": self.max_tokens,
            "temperature": 0,
            "stream": True,
            "stop_token_ids": sorted(self.stop_ids),
            "logit_bias": {str(token): -100 for token in self.banned},
            "skip_special_tokens": False,
            "add_special_tokens": False,
            "return_token_ids": True,
            "return_tokens_as_token_ids": True,
        }


@dataclass(frozen=True)
class Piece:
    """What an event brings. `likeliest`: of its first token, ids and log probabilities, the likeliest first."""

    token_ids: tuple[int, ...]
    ended: bool  # the server has nothing to add
    by_length: bool = False
    likeliest: tuple[tuple[int, float], ...] = ()


def of_ids(ids: Sequence[int], wanted: Wanted) -> dict[str, Any]:
    """Asked of COMPLETIONS: what stands behind ids."""
    return {
        **wanted.to_json(),
        "prompt": list(ids),
        **({"logprobs": N_LIKELIEST} if wanted.likeliest else {}),
    }


def of_parts(parts: Sequence[str | np.ndarray], wanted: Wanted) -> dict[str, Any]:
    """Asked of CHAT: what stands behind texts and vectors, float [n, hidden], in their order."""
    content = [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "prompt_embeds", "data": base64.b64encode(torch_file(part)).decode("ascii")}
        for part in parts
    ]
    told = {"logprobs": True, "top_logprobs": N_LIKELIEST} if wanted.likeliest else {}
    return {
        **wanted.to_json(),
        "messages": [{"role": "user", "content": content}],
        "add_generation_prompt": False,
        **told,
    }


def piece_of(event: Mapping[str, Any], vocab_size: int) -> Piece:
    """What an event of either kind says. Raises ServerError on what is none, and on ids without a token."""
    if "error" in event:
        raise ServerError("has an error of its own")
    choices = event.get("choices")
    if choices == []:
        return Piece((), False)  # of usage
    if not (isinstance(choices, list) and isinstance(choices[0], dict)):
        raise ServerError(NO_COMPLETION)
    choice = choices[0]
    ids = choice.get("token_ids")
    ids = [] if ids is None else ids
    reason = choice.get("finish_reason")
    is_sound = (
        isinstance(ids, list) and len(ids) <= MAX_EVENT_TOKENS and (reason is None or isinstance(reason, str))
    )
    if not (is_sound and all(type(i) is int and 0 <= i < vocab_size for i in ids)):
        raise ServerError(NO_COMPLETION)
    if not ids and reason is None and choice.get("text"):
        raise ServerError("sends text without token ids: vLLM 0.30 or later is wanted")
    return Piece(
        tuple(ids), reason is not None, reason == "length", _likeliest(choice.get("logprobs"), vocab_size)
    )


def _likeliest(told: object, vocab_size: int) -> tuple[tuple[int, float], ...]:
    """Of the first token, in the shape of either kind; () where nothing is told."""
    if not isinstance(told, dict):
        return ()
    of_chat, of_completions = told.get("content"), told.get("top_logprobs")
    pairs: list[tuple[Any, Any]] = []
    try:
        if of_chat:
            pairs = [(one["token"], one["logprob"]) for one in of_chat[0]["top_logprobs"]]
        elif of_completions:
            pairs = list(of_completions[0].items())
        found = [(int(name.removeprefix(_NAMED)), float(chance)) for name, chance in pairs]
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as problem:
        raise ServerError(NO_COMPLETION) from problem
    known = [(token, chance) for token, chance in found if 0 <= token < vocab_size]
    return tuple(sorted(known, key=lambda one: -one[1]))
