"""Load fusers: what embeds the repository, with its tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from model.checkpoint.adapter import AdapterConfig, read_config
from model.checkpoint.files import WeightsError, require_files
from model.checkpoint.opening import verify_checksums
from model.encoder import Encoder, adapter_fingerprint
from model.engines.engine import Engine
from model.vocabulary import Vocabulary, VocabularyError


@dataclass(frozen=True)
class Fusers:
    """What loads fusers, but not the one that is `loaded`."""

    engine: Engine
    loaded: Encoder | None

    def load(self, folder: Path, config: AdapterConfig) -> Encoder:
        if self.loaded and self.loaded.fingerprint == adapter_fingerprint(folder, config.fuser):
            return self.loaded
        return load_encoder(folder, config, self.engine)

    def of_embedded(self, embedded: Path) -> Encoder | None:
        """That of the tiny embedded model, None where it has none."""
        if not (embedded / "adapter.json").is_file():
            return None
        verify_checksums(embedded, required=True)
        return self.load(embedded, read_config(embedded))


def load_encoder(folder: Path, config: AdapterConfig, engine: Engine) -> Encoder:
    """The fuser of an adapter's folder with its tokenizer. Raises WeightsError naming the file that is wrong."""
    require_files(folder, ("tokenizer.json",))
    try:
        vocabulary = Vocabulary.load(folder / "tokenizer.json")
        vocabulary.check_fits(config.fuser.vocab_size)
    except VocabularyError as problem:
        raise WeightsError(f"the adapter in {folder} cannot be used: {problem}") from problem
    fuser = engine.fuser(folder, config)
    return Encoder(fuser, config.fuser, vocabulary, adapter_fingerprint(folder, config.fuser))
