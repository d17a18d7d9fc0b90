"""From the settings to who answers: a server's model, of which the tokenizer and the configuration are here, and the
tiny embedded one beside it.

Its weights are not needed here. Where they are, they say whether an adapter was made for them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from model.checkpoint.adapter import read_config
from model.checkpoint.coder import MAX_VOCABULARY, MAX_WIDTH
from model.checkpoint.fields import Fields
from model.checkpoint.files import (
    MAX_TOKENIZER_BYTES,
    AbsentError,
    MissingFilesError,
    WeightsError,
    read_bytes,
    read_json,
    require_files,
)
from model.checkpoint.finding import find_folder, is_hub_id
from model.checkpoint.hub_cache import HubFolder
from model.checkpoint.opening import Checkpoint, read_checkpoint, verify_checksums
from model.completer import Completer
from model.encoder import Encoder
from model.engines.engine import Engine, PseudoTokens
from model.engines.remote.address import AddressError, server_address
from model.engines.remote.client import ServerClient
from model.engines.remote.completer import StandInCompleter
from model.engines.remote.generator import RemoteGenerator
from model.engines.remote.server import CodingServer, Needs
from model.fitted import find_fitted
from model.fusers import Fusers
from model.loaded import LoadedModel
from model.loading import choose_engine, eos_ids, fim_order, load_from_settings
from model.reading import READINGS, budgets_for
from model.recall.mixer import recalling
from model.settings import EMBEDDED_TINY, DraftSettings, ModelSettings, RecallSettings
from model.vocabulary import Vocabulary, VocabularyError

_NEEDED = ("config.json", "tokenizer.json")
_DEVICE = "cuda"  # of which kind a server is that is shared


@dataclass(frozen=True, eq=False)
class Elsewhere:
    """A server's model, and who answers. `encoder`: whose vectors both find."""

    model: LoadedModel
    server: CodingServer
    completer: StandInCompleter


def load_elsewhere(
    settings: ModelSettings, recall: RecallSettings, drafts: DraftSettings, embedded: Path
) -> Elsewhere:
    """Raises WeightsError, saying what the user can do; the server is not asked yet, but looked at."""
    try:
        address = server_address(settings.server, settings.server_key_file)
    except AddressError as problem:
        raise WeightsError(str(problem)) from problem
    here = replace(settings, name=EMBEDDED_TINY, adapter="", device="cpu", engine="onnx", dtype="auto")
    tiny = load_from_settings(here, embedded=embedded)
    model, vocab_size = remote_model(settings, tiny, embedded, choose_engine(here, 0))
    needs = Needs(model.name, model.vocabulary, model.positions, model.hidden_size, model.pseudo is not None)
    server = CodingServer(ServerClient(address), needs)
    same_index = tiny.encoder is model.encoder
    tiny = tiny if same_index else replace(tiny, encoder=model.encoder, pseudo=None)
    completer = StandInCompleter(
        server,
        Completer(
            model,
            settings,
            mixing=recalling(model, recall),
            drafts=replace(drafts, enabled=False),
            generator=RemoteGenerator(server, model, vocab_size),
        ),
        Completer(tiny, here, mixing=recalling(tiny, recall), drafts=drafts),
        same_tokens=tiny.vocabulary.fingerprint == model.vocabulary.fingerprint,
    )
    server.look()
    return Elsewhere(model, server, completer)


def remote_model(
    settings: ModelSettings, tiny: LoadedModel, embedded: Path, engine: Engine
) -> tuple[LoadedModel, int]:
    """What is known of a server's model without its weights, and how many ids it may write. Raises WeightsError."""
    checkpoint = _described(settings, embedded)
    known = _known(checkpoint, settings.name)
    vocabulary = known.vocabulary
    budgets = budgets_for(_DEVICE, known.positions)
    order = fim_order(checkpoint, vocabulary)
    base = checkpoint.fingerprint() if checkpoint.tensors else ""
    encoder, pseudo, context, notes = _adapter(settings, checkpoint, base, known.hidden_size, tiny, engine)
    model = LoadedModel(
        name=settings.name,
        decoder=None,
        hidden_size=known.hidden_size,
        vocabulary=vocabulary,
        fim_order=order,
        stop_ids=vocabulary.ends(order) | eos_ids(checkpoint, known.vocab_size),
        encoder=encoder,
        pseudo=pseudo,
        recall=find_fitted((checkpoint.folder,), embedded).recall,
        confidence=None,  # it was fitted to a mixture that is not made elsewhere
        default_context=context or READINGS[order].context,
        fingerprint=base or _fingerprint(checkpoint),
        revision=checkpoint.revision,
        engine="a server",
        device=settings.server,
        dtype="the server's",
        threads=0,
        n_parameters=0,
        positions=min(known.positions, budgets.fill(settings).context_tokens + settings.max_tokens),
        budgets=budgets,
        places=settings.recent_places,
        notes=notes,
    )
    return model, known.vocab_size


@dataclass(frozen=True, eq=False)
class _Known:
    """What files that are no weights say. `positions` that the model was trained on."""

    vocabulary: Vocabulary
    vocab_size: int
    hidden_size: int
    positions: int


def _known(checkpoint: Checkpoint, name: str) -> _Known:
    """Raises WeightsError."""
    fields = Fields(checkpoint.config)
    try:
        vocabulary = Vocabulary.load(checkpoint.folder / "tokenizer.json")
        vocab_size = fields.whole("vocab_size", 1, MAX_VOCABULARY)
        vocabulary.check_fits(vocab_size)
        hidden_size = fields.whole("hidden_size", 1, MAX_WIDTH)
        return _Known(
            vocabulary, vocab_size, hidden_size, fields.whole("max_position_embeddings", 64, 1 << 30, 2048)
        )
    except (VocabularyError, ValueError) as problem:
        raise WeightsError(f"{name} cannot complete code: {problem}") from problem


def _described(settings: ModelSettings, embedded: Path) -> Checkpoint:
    """A folder with at least a configuration and a tokenizer; its weights where they are here. Raises WeightsError."""
    folder = _folder(settings, embedded)
    require_files(folder, _NEEDED)
    try:
        return read_checkpoint(folder)
    except MissingFilesError:
        return Checkpoint(folder, read_json(folder / "config.json"), {}, "")


def _folder(settings: ModelSettings, embedded: Path) -> Path:
    name = settings.name
    if is_hub_id(name) and not Path(name).expanduser().is_dir():
        found = HubFolder(name).found(settings.revision)
        if found is None or not all((found / file).is_file() for file in _NEEDED):
            step = f"hf download {name} {' '.join(_NEEDED)}"
            raise AbsentError(f"the tokenizer of {name} is not on this machine: `{step}` fetches it", step)
        return found
    return find_folder(name, revision=settings.revision, offline=True, embedded=embedded)


def _adapter(
    settings: ModelSettings,
    checkpoint: Checkpoint,
    base: str,
    hidden_size: int,
    tiny: LoadedModel,
    engine: Engine,
) -> tuple[Encoder | None, PseudoTokens | None, str, tuple[str, ...]]:
    """What finds, what makes pseudo-tokens, and the context mode of an adapter; "" without one."""
    home = Path(settings.adapter).expanduser() if settings.adapter else checkpoint.folder
    if settings.adapter:
        require_files(home, ("adapter.json",))
        verify_checksums(home, required=False)
    if (home / "adapter.json").is_file():
        config = read_config(home)
        if config.hidden_size == hidden_size and base in ("", config.base):
            encoder = Fusers(engine, tiny.encoder).load(home, config)
            return encoder, engine.projector(home, config), config.default_context, ()
    note = f"no HEF adapter fits {settings.name}: retrieval feeds it text"
    return tiny.encoder, None, "", (note,)


def _fingerprint(checkpoint: Checkpoint) -> str:
    """Of a configuration and a tokenizer, whatever the weights are."""
    digest = hashlib.sha256(repr(sorted(checkpoint.config.items())).encode())
    digest.update(read_bytes(checkpoint.folder / "tokenizer.json", MAX_TOKENIZER_BYTES))
    return f"elsewhere-{digest.hexdigest()[:16]}"
