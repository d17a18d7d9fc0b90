"""The plain decoder against transformers' Qwen2. What every decoder must do is in `test_decoders`."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from model.checkpoint.coder import Qwen2Config, coder_shapes, n_values
from model.checkpoint.opening import EMBEDDED_FOLDER, open_checkpoint
from model.checkpoint.tensors import reader
from model.engines.decoder import Decoder
from model.engines.torch.decoder import TorchDecoder
from model.engines.torch.engine import load_network
from model.engines.torch.qwen2 import Qwen2
from model.settings import EMBEDDED_TINY
from tests.tiny_checkpoint import tiny_config, tiny_network, write_packed_checkpoint, write_tiny_checkpoint

CPU = torch.device("cpu")
IDS = [(7 * i) % 300 for i in range(40)]


def reference(config: dict[str, object]) -> torch.nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports
        import transformers

        kind = (
            transformers.LlamaForCausalLM
            if config["model_type"] == "llama"
            else transformers.Qwen2ForCausalLM
        )
        model = kind(kind.config_class(**config))
    return model.eval()


def reference_logits(model: torch.nn.Module, ids: list[int]) -> np.ndarray:
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits[0].numpy()


def decoder(network: Qwen2, capacity: int = 64) -> TorchDecoder:
    return TorchDecoder(network, capacity)


@pytest.fixture(scope="module")
def network() -> Qwen2:
    return tiny_network(tiny_config())


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_logits_equal_those_of_transformers(kind: str, tied: bool) -> None:
    config = tiny_config(tie_word_embeddings=tied, model_type=kind)
    ours, theirs = tiny_network(config), reference(config)
    theirs.load_state_dict(ours.state_dict(), strict=False)
    theirs.tie_weights()
    logits = decoder(ours).extend(ours.embed(torch.tensor(IDS)).numpy(), all_rows=True)
    np.testing.assert_allclose(logits, reference_logits(theirs, IDS), atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("shard_size", ["10MB", "100KB"])
def test_a_checkpoint_that_transformers_saved_gives_its_logits(tmp_path: Path, shard_size: str) -> None:
    torch.manual_seed(3)
    theirs = reference(tiny_config())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.save_pretrained(tmp_path, max_shard_size=shard_size)
    write_tiny_checkpoint(tmp_path / "donor", adapter=False)
    (tmp_path / "donor" / "tokenizer.json").rename(tmp_path / "tokenizer.json")
    checkpoint = open_checkpoint(str(tmp_path))
    assert len({info.file for info in checkpoint.tensors.values()}) == (1 if shard_size == "10MB" else 4)
    config = Qwen2Config.from_json(checkpoint.config)
    ours = decoder(load_network(checkpoint, config, CPU, torch.float32))
    np.testing.assert_allclose(
        ours.extend(ours.embed(IDS), all_rows=True), reference_logits(theirs, IDS), atol=2e-5, rtol=1e-4
    )


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("tied", [True, False])
def test_a_checkpoint_in_blocks_gives_the_logits_of_transformers_on_its_weights(
    tmp_path: Path, tied: bool, bits: int
) -> None:
    checkpoint = open_checkpoint(
        str(write_packed_checkpoint(tmp_path, embedding_bits=bits, tie_word_embeddings=tied))
    )
    config = Qwen2Config.from_json(checkpoint.config)
    theirs = reference(tiny_config(model_type="llama", tie_word_embeddings=tied))
    read = reader(checkpoint.tensors)
    theirs.load_state_dict(
        {name: torch.from_numpy(read(name)) for name in coder_shapes(config)}, strict=False
    )
    theirs.tie_weights()
    ours = decoder(load_network(checkpoint, config, CPU, torch.float32))
    np.testing.assert_allclose(
        ours.extend(ours.embed(IDS), all_rows=True), reference_logits(theirs, IDS), atol=2e-4, rtol=1e-4
    )


@pytest.mark.skipif(
    not (EMBEDDED_FOLDER / "config.json").is_file(), reason="no embedded model in this checkout"
)
def test_the_embedded_model_gives_the_logits_of_transformers() -> None:
    checkpoint = open_checkpoint(EMBEDDED_TINY)
    config = Qwen2Config.from_json(checkpoint.config)
    ours = decoder(load_network(checkpoint, config, CPU, torch.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import transformers

        theirs = transformers.Qwen2ForCausalLM.from_pretrained(EMBEDDED_FOLDER, dtype=torch.float32).eval()
    logits = ours.extend(ours.embed(IDS), all_rows=True)
    np.testing.assert_allclose(logits, reference_logits(theirs, IDS), atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("hidden", "layers", "heads", "kv_heads", "mlp", "vocab", "tied", "millions"),
    [
        (896, 24, 14, 2, 4864, 151936, True, 494.0),
        (1536, 28, 12, 2, 8960, 151936, True, 1543.7),
        (2048, 36, 16, 2, 11008, 151936, True, 3085.9),
        (3584, 28, 28, 4, 18944, 152064, False, 7615.6),
    ],
    ids=["0.5B", "1.5B", "3B", "7B"],
)
def test_the_shapes_of_qwen_coder_give_its_parameter_counts(
    hidden: int, layers: int, heads: int, kv_heads: int, mlp: int, vocab: int, tied: bool, millions: float
) -> None:
    config = tiny_config(
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        intermediate_size=mlp,
        vocab_size=vocab,
        tie_word_embeddings=tied,
    )
    shape = Qwen2Config.from_json(config)
    with torch.device("meta"):
        network = Qwen2(shape)
    assert coder_shapes(shape) == {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert n_values(coder_shapes(shape)) / 1e6 == pytest.approx(millions, abs=0.06)


def greedy(decoder: Decoder, ids: list[int], n: int) -> list[int]:
    logits, out = decoder.extend(decoder.embed(ids)), []
    for _ in range(n):
        out.append(int(logits.argmax()))
        logits = decoder.extend(decoder.embed(out[-1:]))
    return out


def greedy_without_cache(network: Qwen2, ids: list[int], n: int) -> list[int]:
    ids = list(ids)
    for _ in range(n):
        with torch.inference_mode():
            hidden = network(network.embed(torch.tensor([ids])))
            ids.append(int(network.logits(hidden[0, -1]).argmax()))
    return ids[-n:]


def test_the_cache_changes_no_token(network: Qwen2) -> None:
    assert greedy(decoder(network), IDS, 20) == greedy_without_cache(network, IDS, 20)
