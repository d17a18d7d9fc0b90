"""What a run of stage `adapter` would train and take, for people, before it is started."""

from __future__ import annotations

from model.checkpoint.adapter import AdapterConfig, FuserConfig, read_config
from model.checkpoint.coder import Qwen2Config
from model.checkpoint.opening import open_checkpoint
from model.training.adapter_config import AdapterStage, check_modes
from model.training.adapter_training import encoder_folder
from model.training.config import from_table
from model.training.contexts import ModeMix, RowShape
from model.training.footprint import Footprint, StepShape, footprint, largest_batch
from model.training.samples import divide, read_samples

_CARD = 24 * 10**9  # bytes of the card that people have
_SHARE = 0.9  # of it that tensors may take


def plan(config: AdapterStage) -> str:
    """Lines of text. Raises ConfigError and WeightsError."""
    coder = Qwen2Config.from_json(open_checkpoint(config.coder).config)
    shape = shape_of(config, coder)
    check_modes(config, shape.modes)
    return "\n".join([*_memory(config, shape, footprint(config, shape)), *_run(config)])


def shape_of(config: AdapterStage, coder: Qwen2Config) -> StepShape:
    """Of the networks that the settings mean for a coder. Raises WeightsError."""
    taken = encoder_folder(config)
    fuser = read_config(taken).fuser if taken else _new_fuser(config, coder)
    adapter = AdapterConfig(
        "", coder.hidden_size, fuser, config.projector_layers, config.default_context, config.joined
    )
    modes, rows = from_table(ModeMix, dict(config.modes)), from_table(RowShape, dict(config.shape))
    return StepShape(coder, adapter, rows, modes, shares_table=taken is None and not config.train_embedding)


def _new_fuser(config: AdapterStage, coder: Qwen2Config) -> FuserConfig:
    return FuserConfig(
        vocab_size=coder.vocab_size,
        hidden_size=coder.hidden_size,
        intermediate_size=coder.intermediate_size,
        num_layers=config.fuser_layers,
        num_heads=coder.num_attention_heads,
        num_kv_heads=coder.num_key_value_heads,
        head_dim=coder.head_dim,
        rope_theta=coder.rope_theta,
        d_key=config.d_key,
        m=config.m,
    )


def _memory(config: AdapterStage, shape: StepShape, taken: Footprint) -> list[str]:
    trained = " and ".join(f"{name} {n:,}" for name, n in taken.trained.items())
    again = "computed again" if config.checkpointing else "kept"
    parts = {
        f"weights, {taken.frozen:,} of them only read": taken.weights,
        "gradients": taken.gradients,
        "moments of the optimizers": taken.moments,
        f"kept for the backward pass (activations inside of layers are {again})": taken.kept,
        "the largest of what lives for a moment": taken.passing,
    }
    room = largest_batch(config, shape, int(_SHARE * _CARD))
    return [
        f"trained: {trained} weights",
        f"a step: {config.accumulate} times {config.batch} rows of {shape.rows.length} tokens",
        *(f"  {n / 1e9:7.2f} GB  {what}" for what, n in parts.items()),
        f"  {taken.peak / 1e9:7.2f} GB  at the peak",
        f"a card of 24 GB takes up to {room} rows at once",
    ]


def _run(config: AdapterStage) -> list[str]:
    """How long it is, where the samples are made already."""
    repositories = list(read_samples(config.samples)) if config.samples.is_dir() else []
    learned, left_out = divide(repositories, config.left_out, config.seed)
    count = sum(len(repository.samples) for repository in learned)
    if not count:
        return [f"no samples in {config.samples} yet"]
    steps = config.steps_for(count)
    ends = f"{steps:,} steps" if steps < 10**9 else f"{config.seconds:,.0f} seconds"
    judged = f" and {len(left_out)} left out to judge by" if left_out else ""
    return [f"{count:,} samples of {len(learned)} repositories{judged}; ends after {ends}"]
