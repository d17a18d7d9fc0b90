"""Which networks can be computed: refused is, by name, what the decoder would compute wrongly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.checkpoint.files import WeightsError
from model.checkpoint.packed import METHOD, packing_of


def check_architecture(config: Mapping[str, Any], folder: Path, called: str = "") -> None:
    """Refuse, by name, what the decoder would compute wrongly. Raises WeightsError."""
    kind = config.get("model_type")
    refused = {
        f"architecture {kind!r}": kind not in ("qwen2", "llama"),
        "code of its own (auto_map)": "auto_map" in config,
        "quantized weights": _quantized_by_others(config.get("quantization_config")),
        "scaled rotary positions": any(
            _scaled(config.get(key)) for key in ("rope_scaling", "rope_parameters")
        ),
        "sliding-window attention": bool(config.get("use_sliding_window")),
        f"activation {config.get('hidden_act')!r}": config.get("hidden_act", "silu") != "silu",
        "biases that Llama does not have": bool(
            kind == "llama" and (config.get("attention_bias") or config.get("mlp_bias"))
        ),
    }
    for what, wrong in refused.items():
        if wrong:
            raise WeightsError(
                f"{called or folder.name} has {what}: only plain Qwen2 and Llama checkpoints are supported"
            )
    try:
        packing_of(config)
    except ValueError as problem:
        raise WeightsError(f"config.json in {folder} cannot be used: {problem}") from problem


def _quantized_by_others(raw: object) -> bool:
    return raw is not None and not (isinstance(raw, dict) and raw.get("quant_method") == METHOD)


def _scaled(rope: object) -> bool:
    """Whether a table of rope settings asks for more than plain positions; what is no table asks for who knows what."""
    if not isinstance(rope, dict):
        return rope is not None
    return bool(rope.get("rope_type", rope.get("type", "default")) != "default")
