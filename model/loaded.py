"""A model that is ready to complete: what loading leaves behind."""

from __future__ import annotations

from dataclasses import dataclass

from model.confidence import Confidence
from model.encoder import Encoder
from model.engines.decoder import Decoder
from model.engines.engine import PseudoTokens
from model.families import FimOrder
from model.reading import Budgets
from model.recall.weights import RecallWeights
from model.vocabulary import Vocabulary


@dataclass(frozen=True)
class LoadedModel:
    """Everything that a `Completer` needs. `notes` are sentences for the user."""

    name: str
    decoder: Decoder | None  # None: a server elsewhere writes
    hidden_size: int
    vocabulary: Vocabulary
    fim_order: FimOrder
    stop_ids: frozenset[int]
    encoder: Encoder | None  # None: retrieval by words and symbols only
    pseudo: PseudoTokens | None  # None: no adapter fits the checkpoint, retrieval feeds text or blocks
    recall: RecallWeights | None  # None: neither beside the checkpoint nor beside the embedded model
    confidence: Confidence | None  # None: nothing was fitted to this coder
    default_context: str
    fingerprint: str  # of the checkpoint
    revision: str
    engine: str  # the library that computes, with its version
    device: str
    dtype: str
    threads: int  # of the CPU; 0 where it does not compute
    n_parameters: int
    positions: int  # most tokens of a prompt and its completion, without blocks
    budgets: Budgets  # what is read of each kind of text where the settings leave it open
    places: (
        int  # whose keys and values are held, a slot of the decoder each; of one slot more, blocks are made
    )
    notes: tuple[str, ...]

    @property
    def own_decoder(self) -> Decoder:
        """Raises ValueError where a server elsewhere writes."""
        if self.decoder is None:
            raise ValueError(f"{self.name} is not computed here")
        return self.decoder
