"""What computes: a decoder, a fuser and a projector from one source, ONNX Runtime or torch."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from model.checkpoint.adapter import AdapterConfig
from model.checkpoint.coder import Qwen2Config
from model.checkpoint.opening import Checkpoint, WeightsError, require_files
from model.encoder import Encoder, Fusing, PseudoTokens, adapter_fingerprint
from model.engines.decoder import Decoder
from model.vocabulary import Vocabulary, VocabularyError


class Engine(Protocol):
    """Loads what it is handed, whose checksums were verified before. Its methods raise WeightsError."""

    @property
    def name(self) -> str:
        """For people: the library and its version."""

    @property
    def device(self) -> str: ...

    @property
    def dtype(self) -> str:
        """Number format of the weights."""

    @property
    def threads(self) -> int:
        """CPU threads; 0 where the CPU does not compute."""

    @property
    def arithmetic(self) -> str:
        """What of this engine decides a node's vectors, empty for floating point (`adapter_fingerprint`)."""

    def available_memory(self) -> int | None:
        """Free bytes where the weights go, or None where the system does not say."""

    def needed_memory(self, n_weights: int, n_cached: int) -> int:
        """Bytes that so many weights and so many values of keys and values take."""

    def decoder(self, checkpoint: Checkpoint, config: Qwen2Config, capacity: int, n_slots: int) -> Decoder: ...

    def fuser(self, folder: Path, config: AdapterConfig) -> Fusing: ...

    def projector(self, folder: Path, config: AdapterConfig) -> PseudoTokens: ...


def load_encoder(folder: Path, config: AdapterConfig, engine: Engine) -> Encoder:
    """The fuser of an adapter's folder with its tokenizer. Raises WeightsError naming the file that is wrong."""
    require_files(folder, ("tokenizer.json",))
    try:
        vocabulary = Vocabulary.load(folder / "tokenizer.json")
    except VocabularyError as problem:
        raise WeightsError(f"the adapter in {folder} cannot be used: {problem}") from problem
    fuser = engine.fuser(folder, config)
    return Encoder(fuser, config.fuser, vocabulary, adapter_fingerprint(folder, config.fuser, engine.arithmetic))
