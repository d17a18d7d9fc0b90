"""What an adapter is on disk: its description, and the tensors that its weights must hold. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from model.checkpoint.coder import (
    MAX_LAYERS,
    MAX_THETA,
    MAX_VOCABULARY,
    MAX_WIDTH,
    Qwen2Config,
    Shapes,
    check_heads,
    transformer_shapes,
)
from model.checkpoint.fields import Fields
from model.checkpoint.files import TensorInfo, WeightsError, read_headers, read_json
from model.checkpoint.opening import weight_files
from model.checkpoint.packed import FLOATS
from model.settings import CONTEXT_MODES

# A parent's memory is longer than its children's, 1.4 times over one child and 3.8 over eight: ten levels leave
# float16. So it has at most so many times the root mean square of the embeddings, which the two levels that fusers are
# trained on do not reach (model/LOG.md).
LONGEST_MEMORY = 20.0


@dataclass(frozen=True)
class FuserConfig:
    """Shape of a fuser; stored in `adapter.json`."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    rope_theta: float
    d_key: int = 256
    m: int = 8  # memory vectors of a node
    max_tokens: int = 512  # of a chunk; the rest of a longer one is not read
    query_before: int = 192  # tokens before the cursor that make the query
    query_after: int = 64

    @classmethod
    def from_json(cls, raw: object) -> FuserConfig:
        """Raises ValueError by name."""
        fields = Fields(raw, "fuser")
        heads = fields.whole("num_heads", 1, MAX_WIDTH)
        config = cls(
            vocab_size=fields.whole("vocab_size", 1, MAX_VOCABULARY),
            hidden_size=fields.whole("hidden_size", 1, MAX_WIDTH),
            intermediate_size=fields.whole("intermediate_size", 1, MAX_WIDTH),
            num_layers=fields.whole("num_layers", 1, MAX_LAYERS),
            num_heads=heads,
            num_kv_heads=fields.whole("num_kv_heads", 1, heads),
            head_dim=fields.whole("head_dim", 2, MAX_WIDTH),
            rope_theta=fields.number("rope_theta", 1.0, MAX_THETA),
            d_key=fields.whole("d_key", 1, MAX_WIDTH),
            m=fields.whole("m", 1, 256),
            max_tokens=fields.whole("max_tokens", 1, 8192),
            query_before=fields.whole("query_before", 1, 8192),
            query_after=fields.whole("query_after", 0, 8192),
        )
        check_heads(config.num_heads, config.num_kv_heads, config.head_dim)
        return config

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def d_memory(self) -> int:
        return self.hidden_size

    @property
    def encoder(self) -> Qwen2Config:
        """The shape of the fuser's layers."""
        return Qwen2Config(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            intermediate_size=self.intermediate_size,
            num_hidden_layers=self.num_layers,
            num_attention_heads=self.num_heads,
            num_key_value_heads=self.num_kv_heads,
            head_dim=self.head_dim,
            rope_theta=self.rope_theta,
        )


@dataclass(frozen=True)
class AdapterConfig:
    """`adapter.json`."""

    base: str  # fingerprint of the checkpoint that the projector was trained for
    hidden_size: int  # of that checkpoint
    fuser: FuserConfig
    projector_layers: int = 3
    default_context: str = "pseudo"  # the mode that measured best for this checkpoint
    joined: bool = (
        False  # a node is one pseudo-token, of all its memory, instead of one for each of its m vectors
    )

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> AdapterConfig:
        """Raises ValueError by name."""
        fields = Fields(raw)
        default_context = fields.text("default_context", "pseudo")
        if default_context not in CONTEXT_MODES or default_context == "auto":
            raise ValueError(f"default_context is {default_context!r:.40}")
        return cls(
            base=fields.text("base"),
            hidden_size=fields.whole("hidden_size", 1, MAX_WIDTH),
            fuser=FuserConfig.from_json(raw.get("fuser")),
            projector_layers=fields.whole("projector_layers", 2, 3, 3),
            default_context=default_context,
            joined=fields.flag("joined", False),
        )

    @property
    def projector_width(self) -> int:
        """Of what goes into the projector."""
        return self.fuser.d_memory * (self.fuser.m if self.joined else 1)

    def projected_rows(self, memories: np.ndarray) -> np.ndarray:
        """float16 [n, m, d_memory] -> what goes into the projector, float32 [n * per_node, projector_width]. Raises
        ValueError on another width."""
        if memories.shape[-1] != self.fuser.d_memory:
            raise ValueError(
                f"memories are {memories.shape[-1]} wide, the projector wants {self.fuser.d_memory}"
            )
        return memories.astype(np.float32).reshape(-1, self.projector_width)

    @property
    def per_node(self) -> int:
        """Pseudo-tokens of a node."""
        return 1 if self.joined else self.fuser.m

    @property
    def adds(self) -> bool:
        """Whether the projector's layers add to the memory: between spaces of one width, and not of several vectors."""
        return not self.joined and self.fuser.d_memory == self.hidden_size

    def to_json(self) -> dict[str, Any]:
        """As `from_json` reads it; what is not joined says nothing of it, as adapters before it did."""
        return {
            "base": self.base,
            "hidden_size": self.hidden_size,
            "fuser": self.fuser.to_json(),
            "projector_layers": self.projector_layers,
            "default_context": self.default_context,
            **({"joined": True} if self.joined else {}),
        }


def read_config(folder: Path) -> AdapterConfig:
    """`adapter.json` of a folder. Raises WeightsError."""
    raw = read_json(folder / "adapter.json")
    try:
        return AdapterConfig.from_json(raw)
    except ValueError as problem:
        raise WeightsError(f"adapter.json in {folder} is not an adapter's ({problem})") from problem


def fuser_tensors(folder: Path, config: FuserConfig) -> Mapping[str, TensorInfo]:
    """The tensors of a fuser. Raises WeightsError on any that does not fit `config`."""
    return _fitting(weight_files(folder, "fuser"), fuser_shapes(config))


def projector_tensors(folder: Path, config: AdapterConfig) -> Mapping[str, TensorInfo]:
    """The tensors of a projector. Raises WeightsError on any that does not fit `config`."""
    widths = projector_widths(config.projector_width, config.hidden_size, config.projector_layers)
    return _fitting(weight_files(folder, "projector"), projector_shapes(widths))


def projector_widths(d_memory: int, hidden_size: int, n_layers: int) -> list[int]:
    """Widths before, between and behind a projector's layers (LlavaCode, arXiv 2510.19644): 2 layers d -> H -> H,
    3 layers (its best) d -> 2H -> 2H -> H."""
    if n_layers not in (2, 3):
        raise ValueError(f"a projector has 2 or 3 layers, not {n_layers}")
    return [d_memory, *[hidden_size * (n_layers - 1)] * (n_layers - 1), hidden_size]


def projector_shapes(widths: list[int]) -> Shapes:
    """Linear, GELU, LayerNorm for each pair of widths; the last Linear is bare."""
    shapes: Shapes = {}
    for i, (width_in, width_out) in enumerate(pairwise(widths)):
        shapes |= {f"{3 * i}.weight": (width_out, width_in), f"{3 * i}.bias": (width_out,)}
        if i < len(widths) - 2:
            shapes |= {f"{3 * i + 2}.weight": (width_out,), f"{3 * i + 2}.bias": (width_out,)}
    return shapes


def fuser_shapes(config: FuserConfig) -> Shapes:
    """Name -> shape of every tensor of a fuser."""
    width = config.hidden_size
    return {
        **transformer_shapes(config.encoder, "encoder"),
        "child_in.weight": (width, width),
        "child_in.bias": (width,),
        "key_head.weight": (config.d_key, width),
        "gain": (width,),
        **{f"{kind}_readout": (config.m, width) for kind in ("leaf", "parent", "query")},
    }


def _fitting(files: list[Path], wanted: Shapes) -> Mapping[str, TensorInfo]:
    tensors = read_headers(files)
    found = {name: info.shape for name, info in tensors.items()}
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if wrong:
        name, file = wrong[0], files[0].name
        raise WeightsError(
            f"{file} does not fit adapter.json: {name} is {found.get(name)}, not {wanted.get(name)}"
        )
    for name, info in tensors.items():
        if info.dtype not in FLOATS:
            raise WeightsError(
                f"{info.file.name} holds {name} in {info.dtype}: an adapter is in floating point"
            )
    return tensors
