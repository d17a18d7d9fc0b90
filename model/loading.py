"""Load a generator with its adapter: from a name in the settings to something that completes."""

from __future__ import annotations

from pathlib import Path
from typing import cast, get_args

from model.checkpoint.adapter import read_config
from model.checkpoint.coder import Qwen2Config, coder_shapes, n_values
from model.checkpoint.files import NoRoomError, WeightsError, require_files
from model.checkpoint.opening import (
    EMBEDDED_FOLDER,
    Checkpoint,
    check_tensors,
    open_checkpoint,
    verify_checksums,
)
from model.encoder import Encoder
from model.engines.decoder import Decoder
from model.engines.engine import Engine, PseudoTokens
from model.engines.torch.presence import has_cuda, has_torch
from model.families import FimOrder
from model.fitted import Fitted, find_fitted
from model.fusers import Fusers
from model.loaded import LoadedModel
from model.news import Told, to_nobody
from model.reading import READINGS, Budgets, budgets_for
from model.room import Room, few_places, room_for
from model.settings import EMBEDDED, ModelSettings
from model.vocabulary import Vocabulary, VocabularyError

__all__ = ["LoadedModel", "WeightsError", "load_from_settings", "load_model", "load_opened", "open_named"]

_ONE_WAY = (
    "has no fill-in-the-middle tokens: of what is behind the cursor it reads blocks, from the next line on"
)
_ON_TORCH = ("bfloat16", "float16")  # the number formats that ONNX Runtime has no fast CPU kernels for


def load_model(
    name_or_path: str = EMBEDDED,
    *,
    engine: str = "auto",
    device: str = "auto",
    dtype: str = "auto",
    revision: str = "main",
    offline: bool = True,
    adapter: str = "",
    embedded: Path = EMBEDDED_FOLDER,
) -> LoadedModel:
    """Load "embedded", a folder or a hub id with everything else at its default. Raises WeightsError."""
    return load_from_settings(
        ModelSettings(
            name=name_or_path,
            engine=engine,
            device=device,
            dtype=dtype,
            revision=revision,
            offline=offline,
            adapter=adapter,
        ),
        embedded=embedded,
    )


def load_from_settings(settings: ModelSettings, *, embedded: Path = EMBEDDED_FOLDER) -> LoadedModel:
    """Load the checkpoint that the user chose and the adapter that fits it. Raises WeightsError.

    `embedded`: the tiny embedded model's folder, whose fuser and recall a coder without its own takes.
    """
    checkpoint = open_named(settings, embedded)
    return load_opened(settings, checkpoint, embedded=embedded, loaded=None, told=to_nobody)


def load_opened(
    settings: ModelSettings, checkpoint: Checkpoint, *, embedded: Path, loaded: Encoder | None, told: Told
) -> LoadedModel:
    """As `load_from_settings`, of a checkpoint that is open; `loaded`: an encoder that serves where it is the same."""
    config = _network_config(checkpoint)
    vocabulary, shapes = _load_vocabulary(checkpoint, config, settings.name), coder_shapes(config)
    check_tensors(checkpoint, shapes)
    engine = choose_engine(settings, n_values(shapes), told)
    budgets, positions = _budgets(settings, config, engine)
    fingerprint = checkpoint.fingerprint()
    order, fusers = fim_order(checkpoint, vocabulary), Fusers(engine, loaded)
    adapted = _adapt(settings, checkpoint, fingerprint, fusers, embedded, READINGS[order].context)
    encoder, pseudo, default_context, notes = adapted
    fitted = _fitted(settings, checkpoint, pseudo, embedded)
    one_way = () if vocabulary.fim.fills else (f"{settings.name} {_ONE_WAY}",)
    room = _room(settings, config, engine, positions, "blocks" in (settings.context, default_context))
    return LoadedModel(
        name=settings.name,
        decoder=_decoder(checkpoint, config, engine, room),
        hidden_size=config.hidden_size,
        vocabulary=vocabulary,
        fim_order=order,
        stop_ids=vocabulary.ends(order) | eos_ids(checkpoint, config.vocab_size),
        encoder=encoder,
        pseudo=pseudo,
        recall=fitted.recall,
        confidence=fitted.confidence,
        default_context=default_context,
        fingerprint=fingerprint,
        revision=checkpoint.revision,
        engine=engine.name,
        device=engine.device,
        dtype=engine.dtype,
        threads=engine.threads,
        n_parameters=n_values(shapes),
        positions=positions,
        budgets=budgets,
        places=room.places,
        notes=notes + one_way + few_places(settings, room),
    )


def open_named(
    settings: ModelSettings, embedded: Path = EMBEDDED_FOLDER, told: Told = to_nobody
) -> Checkpoint:
    """The checkpoint that the settings name, verified; fetched where they allow it. Raises WeightsError."""
    return open_checkpoint(
        settings.name, revision=settings.revision, offline=settings.offline, embedded=embedded, told=told
    )


def needed_bytes(settings: ModelSettings, checkpoint: Checkpoint, engine: Engine) -> int:
    """Memory that a checkpoint takes where it reads blocks, at most. Raises WeightsError."""
    config = _network_config(checkpoint)
    _, positions = _budgets(settings, config, engine)
    room = _room(settings, config, engine, positions, places_blocks=True)
    return engine.needed_bytes(
        n_values(coder_shapes(config)), room.rows * room.n_slots * _cached_values(config)
    )


def _budgets(settings: ModelSettings, config: Qwen2Config, engine: Engine) -> tuple[Budgets, int]:
    """What is read where the settings leave it open, and the positions of the longest prompt and its completion,
    without blocks."""
    budgets = budgets_for(engine.device, config.max_position_embeddings)
    wanted = budgets.fill(settings).context_tokens + settings.max_tokens
    return budgets, min(config.max_position_embeddings, wanted)


def n_weights(checkpoint: Checkpoint) -> int:
    """How many weights its coder has. Raises WeightsError."""
    return n_values(coder_shapes(_network_config(checkpoint)))


def _room(
    settings: ModelSettings, config: Qwen2Config, engine: Engine, positions: int, places_blocks: bool
) -> Room:
    """A GPU's memory is the model's own: there is a budget on the CPU only."""

    def n_bytes(rows: int) -> int:
        return engine.needed_bytes(0, rows * _cached_values(config))

    has_budget = engine.device == "cpu"
    return room_for(settings, positions, places_blocks=places_blocks, n_bytes=n_bytes if has_budget else None)


def _decoder(checkpoint: Checkpoint, config: Qwen2Config, engine: Engine, room: Room) -> Decoder:
    _check_free_bytes(
        engine, n_values(coder_shapes(config)), room.rows * room.n_slots * _cached_values(config)
    )
    return engine.decoder(checkpoint, config, room.rows, room.n_slots)


def _cached_values(config: Qwen2Config) -> int:
    """Of one row."""
    return 2 * config.num_hidden_layers * config.kv_size


def choose_engine(settings: ModelSettings, n_weights: int, told: Told = to_nobody) -> Engine:
    """torch on CUDA, ONNX Runtime on the CPU, unless the settings say otherwise. Raises WeightsError."""
    on_torch = settings.engine == "torch" or (settings.engine == "auto" and _wants_torch(settings))
    if on_torch:
        if not has_torch():
            raise WeightsError(
                "torch is not installed, which model.engine, model.device or model.dtype asks for: "
                "pip install 'hef-lsp[cuda]', or set them to auto"
            )
        from model.engines.torch.engine import (
            open_torch_engine,
        )  # seconds that the CPU path does not have to spend

        return open_torch_engine(settings.device, settings.dtype, settings.threads)
    if settings.device == "cuda" or settings.dtype in _ON_TORCH:
        raise WeightsError(
            "model.engine onnx computes int8 or float32 on the CPU: set model.engine to auto or torch"
        )
    from model.engines.onnx.engine import open_onnx_engine

    return open_onnx_engine(settings.dtype, settings.threads, n_weights, told)


def _wants_torch(settings: ModelSettings) -> bool:
    if settings.device == "cuda" or settings.dtype in _ON_TORCH:
        return True
    return settings.device == "auto" and settings.dtype != "int8" and has_cuda()


def _load_vocabulary(checkpoint: Checkpoint, config: Qwen2Config, name: str) -> Vocabulary:
    try:
        vocabulary = Vocabulary.load(checkpoint.folder / "tokenizer.json")
        vocabulary.check_fits(config.vocab_size)
        return vocabulary
    except VocabularyError as problem:
        raise WeightsError(f"{name} cannot complete code: {problem}") from problem


def fim_order(checkpoint: Checkpoint, vocabulary: Vocabulary) -> FimOrder:
    """`fim_order` is our own key of config.json; what others train reads as their family does."""
    order = checkpoint.config.get("fim_order", vocabulary.family.order) if vocabulary.fim.fills else "ltr"
    if order not in get_args(FimOrder):
        raise WeightsError(
            f"config.json in {checkpoint.folder} has fim_order {order!r}: one of spm, psm, ltr"
        )
    return cast(FimOrder, order)


def _network_config(checkpoint: Checkpoint) -> Qwen2Config:
    try:
        return Qwen2Config.from_json(checkpoint.config)
    except ValueError as problem:
        raise WeightsError(f"config.json in {checkpoint.folder} is no network's: {problem}") from problem


def _check_free_bytes(engine: Engine, n_weights: int, n_cached: int) -> None:
    needed, available = engine.needed_bytes(n_weights, n_cached), engine.free_bytes()
    if available is not None and needed > available:
        raise NoRoomError(
            needed,
            available,
            f"the model needs {needed / 1e9:.1f} GB on {engine.device} and {available / 1e9:.1f} GB are free: "
            "choose a smaller checkpoint, or dtype int8 (CPU) or bfloat16 (CUDA)",
        )


def _adapt(
    settings: ModelSettings,
    checkpoint: Checkpoint,
    base: str,
    fusers: Fusers,
    embedded: Path,
    context: str,
) -> tuple[Encoder | None, PseudoTokens | None, str, tuple[str, ...]]:
    """The adapter that fits; without one the embedded model's fuser still finds the text that is read instead, as
    `context` says."""
    home = _home(settings, checkpoint)
    if settings.adapter:
        require_files(home, ("adapter.json",))
        verify_checksums(home, required=False)
    if (home / "adapter.json").is_file():
        config = read_config(home)
        if (config.base, config.hidden_size) == (base, checkpoint.config["hidden_size"]):
            return (
                fusers.load(home, config),
                fusers.engine.projector(home, config),
                config.default_context,
                (),
            )
    note = (
        f"no HEF adapter fits {settings.name}: retrieval feeds {context}; make one with hef-lsp-train adapter"
    )
    return fusers.of_embedded(embedded), None, context, (note,)


def _fitted(
    settings: ModelSettings, checkpoint: Checkpoint, pseudo: PseudoTokens | None, embedded: Path
) -> Fitted:
    """An adapter that does not fit this coder brings nothing that was fitted to it."""
    folder = checkpoint.folder
    return find_fitted((_home(settings, checkpoint), folder) if pseudo else (folder,), embedded)


def _home(settings: ModelSettings, checkpoint: Checkpoint) -> Path:
    """The adapter's folder."""
    return Path(settings.adapter).expanduser() if settings.adapter else checkpoint.folder


def eos_ids(checkpoint: Checkpoint, vocab_size: int) -> frozenset[int]:
    """`eos_token_id` of config.json: one id, a list, or absent. Raises WeightsError on what are no ids."""
    eos = checkpoint.config.get("eos_token_id")
    one = [] if eos is None else [eos]
    ids = eos if isinstance(eos, list) else one
    if not all(type(i) is int and 0 <= i < vocab_size for i in ids):
        raise WeightsError(
            f"config.json in {checkpoint.folder} has eos_token_id {eos!r:.40}: ids of tokens are wanted"
        )
    return frozenset(ids)
