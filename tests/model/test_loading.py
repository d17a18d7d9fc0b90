from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from model.checkpoint.files import WeightsError
from model.checkpoint.opening import CHECKSUMS, EMBEDDED_FOLDER, write_checksums
from model.completer import Completer
from model.engines.onnx.engine import OnnxEngine
from model.engines.torch.engine import TorchEngine, open_torch_engine
from model.loaded import LoadedModel
from model.loading import choose_engine, load_from_settings, load_model
from model.recall.ranking import Forest
from model.recall.weights import RecallWeights
from model.request import Request
from model.settings import EMBEDDED_TINY, ModelSettings
from tests.tiny_checkpoint import write_tiny_checkpoint

IDS = list(range(10, 40))


def logits(model: LoadedModel) -> np.ndarray:
    return model.decoder.extend(model.decoder.embed(IDS))


def test_a_loaded_checkpoint_describes_itself(tiny_model: LoadedModel, tiny_folder: Path) -> None:
    assert tiny_model.name == str(tiny_folder)
    assert (tiny_model.device, tiny_model.dtype, tiny_model.fim_order) == ("cpu", "int8", "spm")
    assert tiny_model.engine.startswith("ONNX Runtime 1.")
    assert tiny_model.threads >= 1
    assert (tiny_model.default_context, tiny_model.notes, tiny_model.revision) == ("pseudo", (), "")
    assert tiny_model.n_parameters == sum(
        t.numel() for t in load_file(tiny_folder / "model.safetensors").values()
    )


@pytest.mark.parametrize("tied", [True, False])
def test_shards_hold_the_same_model(tmp_path: Path, tied: bool) -> None:
    whole = write_tiny_checkpoint(tmp_path / "whole", adapter=False, tie_word_embeddings=tied)
    parts = write_tiny_checkpoint(tmp_path / "parts", adapter=False, shards=3, tie_word_embeddings=tied)
    np.testing.assert_array_equal(logits(load_model(str(whole))), logits(load_model(str(parts))))


def test_a_tied_checkpoint_may_store_a_copy_of_its_head(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path, adapter=False)
    expected = logits(load_model(str(folder)))
    rewrite(folder, lambda state: state | {"lm_head.weight": state["model.embed_tokens.weight"].clone()})
    np.testing.assert_array_equal(logits(load_model(str(folder))), expected)


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_the_loaded_weights_outlive_the_file(tmp_path: Path, engine: str) -> None:
    model = load_model(str(write_tiny_checkpoint(tmp_path / "m", adapter=False)), engine=engine)
    expected = logits(model)
    model.decoder.rewind(0)
    (tmp_path / "m" / "model.safetensors").write_bytes(b"")
    np.testing.assert_array_equal(logits(model), expected)


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors")
    write_checksums(folder)


NORM = "model.norm.weight"
MISFITS = {
    "missing": (lambda s: {k: v for k, v in s.items() if k != NORM}, f"{NORM} is missing"),
    "extra": (
        lambda s: s | {"model.extra.weight": torch.zeros(2)},
        r"model\.extra\.weight is not a Qwen2 tensor",
    ),
    "misshapen": (lambda s: s | {NORM: torch.zeros(7)}, rf"{NORM} is \[7\], config\.json wants \[64\]"),
    "many": (
        lambda s: {k: v for k, v in s.items() if "layers.1" not in k},
        r"model\.layers\.1\.input_layernorm\.weight is missing \(and 11 more\)",
    ),
}


@pytest.mark.parametrize(("change", "message"), MISFITS.values(), ids=MISFITS)
def test_tensors_that_do_not_fit_are_named(
    tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], message: str
) -> None:
    folder = write_tiny_checkpoint(tmp_path, adapter=False)
    rewrite(folder, change)
    with pytest.raises(WeightsError, match=message):
        load_model(str(folder))


def test_an_untied_checkpoint_needs_its_head(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path, adapter=False, tie_word_embeddings=False)
    rewrite(folder, lambda state: {k: v for k, v in state.items() if k != "lm_head.weight"})
    with pytest.raises(WeightsError, match=r"lm_head\.weight is missing"):
        load_model(str(folder))


def test_a_config_without_its_shape_is_named(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path, adapter=False)
    config = json.loads((folder / "config.json").read_text())
    del config["intermediate_size"]
    (folder / "config.json").write_text(json.dumps(config))
    write_checksums(folder)
    with pytest.raises(
        WeightsError, match=r"config\.json in .* is no network's: intermediate_size is missing"
    ):
        load_model(str(folder))


def test_a_checkpoint_without_fim_tokens_writes_from_left_to_right(tmp_path: Path) -> None:
    model = load_model(str(write_tiny_checkpoint(tmp_path, adapter=False, control=("<|endoftext|>",))))
    assert model.fim_order == "ltr"
    assert model.notes[-1].endswith(
        "has no fill-in-the-middle tokens: of what is behind the cursor it reads blocks, from the next line on"
    )
    ask = Request("a.py", "def add(self, first", ")\n", context="none", max_tokens=4, deadline_ms=6e4)
    with_suffix, without = (
        Completer(model).complete(replace(ask, suffix=suffix), None) for suffix in (ask.suffix, "")
    )
    assert with_suffix.prompt_tokens == without.prompt_tokens


def test_a_checkpoint_whose_texts_have_no_end_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path, adapter=False, control=("<s>",))
    with pytest.raises(
        WeightsError, match="cannot complete code: its tokenizer has neither fill-in-the-middle"
    ):
        load_model(str(folder))


def test_a_model_that_does_not_fit_in_memory_is_refused(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for engine in ("onnx", "torch"):
        monkeypatch.setattr(f"model.engines.{engine}.engine.free_bytes", lambda: 100_000)
        with pytest.raises(
            WeightsError, match=r"needs 0\.0 GB on cpu and 0\.0 GB are free: choose a smaller"
        ):
            load_model(str(tiny_folder), engine=engine)


def test_the_cache_is_no_longer_than_the_checkpoint_allows(tiny_folder: Path) -> None:
    for asked, given in ((200, 220), (9999, 512)):
        settings = ModelSettings(name=str(tiny_folder), context_tokens=asked, max_tokens=20)
        assert load_from_settings(settings).positions == given


def test_settings_reach_the_loader(tiny_folder: Path) -> None:
    for dtype, engine in (("bfloat16", "torch"), ("float32", "ONNX Runtime")):
        settings = ModelSettings(
            name=str(tiny_folder),
            device="cpu",
            dtype=dtype,
            threads=1,
            recent_places=2,
            context_tokens=200,
            max_tokens=20,
        )
        model = load_from_settings(settings)
        assert (model.device, model.dtype, model.threads) == ("cpu", dtype, 1)
        assert (model.decoder.capacity, model.decoder.n_slots) == (220, 2)
        assert model.engine.startswith(engine)


@pytest.mark.parametrize("dtype", ["int8", "bfloat16"])
def test_narrow_numbers_are_close_to_float32(tiny_folder: Path, dtype: str) -> None:
    wide, narrow = (logits(load_model(str(tiny_folder), device="cpu", dtype=d)) for d in ("float32", dtype))
    assert np.corrcoef(wide, narrow)[0, 1] > 0.99


def test_device_and_dtype_of_torch_follow_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert open_torch_engine() == TorchEngine(cpu, torch.float32)
    with pytest.raises(WeightsError, match="torch finds no CUDA device"):
        open_torch_engine("cuda")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert open_torch_engine() == TorchEngine(cuda, torch.bfloat16)
    assert open_torch_engine("cpu") == TorchEngine(cpu, torch.float32)
    assert open_torch_engine("auto", "float16") == TorchEngine(cuda, torch.float16)
    with pytest.raises(WeightsError, match="int8 is for the CPU"):
        open_torch_engine(dtype="int8")


ON_CPU = {
    "by itself": ({}, OnnxEngine),
    "float32": ({"dtype": "float32"}, OnnxEngine),
    "a format that it lacks": ({"dtype": "bfloat16"}, TorchEngine),
    "by name": ({"engine": "torch"}, TorchEngine),
}


@pytest.mark.parametrize(("changes", "kind"), ON_CPU.values(), ids=ON_CPU)
def test_without_a_gpu_onnx_runtime_computes(
    changes: dict[str, str], kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.loading.has_cuda", lambda: False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert isinstance(choose_engine(ModelSettings(**changes), 1000), kind)


@pytest.mark.parametrize(
    ("changes", "kind"), [({}, TorchEngine), ({"device": "cpu"}, OnnxEngine), ({"dtype": "int8"}, OnnxEngine)]
)
def test_with_a_gpu_torch_computes_unless_the_cpu_is_asked_for(
    changes: dict[str, str], kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.loading.has_cuda", lambda: True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert isinstance(choose_engine(ModelSettings(**changes), 1000), kind)


@pytest.mark.parametrize("changes", [{"device": "cuda"}, {"dtype": "bfloat16"}])
def test_what_onnx_runtime_does_not_do_here_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(WeightsError, match="engine onnx computes int8 or float32 on the CPU"):
        choose_engine(ModelSettings(engine="onnx", **changes), 1000)


@pytest.mark.parametrize("changes", [{"engine": "torch"}, {"device": "cuda"}, {"dtype": "bfloat16"}])
def test_who_asks_for_torch_where_it_is_missing_is_told(
    changes: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.loading.has_torch", lambda: False)
    with pytest.raises(WeightsError, match=r"torch is not installed.*pip install 'hef-lsp\[cuda\]'"):
        choose_engine(ModelSettings(**changes), 1000)


@pytest.mark.parametrize(("asked", "millions", "threads"), [(0, 6, 1), (0, 500, 4), (3, 6, 3), (1, 500, 1)])
def test_a_small_network_runs_on_one_thread(
    asked: int, millions: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.engines.onnx.engine.processors", lambda: 8)
    settings = ModelSettings(engine="onnx", threads=asked)
    assert choose_engine(settings, millions * 1_000_000).threads == threads


WITHOUT_TORCH = """
import sys
for name in ("torch", "transformers"):
    sys.modules[name] = None  # importing it raises ImportError

from model.completer import Completer, Request
from model.loading import load_model

model = load_model(sys.argv[1])
assert model.encoder.embed(["def add(a, b): ..."]).keys.shape[0] == 1
assert model.encoder.query("def add(", ")").ndim == 1
print(Completer(model).complete(Request("a.py", "import os\\nimport ", "\\n", max_tokens=4), None).tokens)
"""


@pytest.mark.parametrize("name", ["tiny", EMBEDDED_TINY])
def test_nothing_of_the_cpu_path_needs_torch(name: str, tiny_folder: Path) -> None:
    if name == EMBEDDED_TINY and not (EMBEDDED_FOLDER / "config.json").is_file():
        pytest.skip("no embedded model in this checkout")
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        WITHOUT_TORCH,
        str(tiny_folder) if name == "tiny" else name,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert 1 <= int(done.stdout) <= 4


# --- adapters -------------------------------------------------------------------------------------------------------

NOTE = "no HEF adapter fits {}: retrieval feeds snippets; make one with hef-lsp-train adapter"


def test_an_unknown_prompt_order_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path, adapter=False, fim_order="msp")
    with pytest.raises(WeightsError, match="has fim_order 'msp': one of spm, psm, ltr"):
        load_model(str(folder))


def test_a_checkpoint_of_its_own_brings_its_own_recall_or_takes_the_embedded_one(tmp_path: Path) -> None:
    folder, other = (write_tiny_checkpoint(tmp_path / name, adapter=False) for name in ("bare", "embedded"))
    assert load_model(str(folder), embedded=other).recall is None
    forest = Forest(np.zeros((1, 1), np.int64), np.zeros((1, 1)), np.zeros((1, 2)), 0.0)
    RecallWeights(np.zeros((3, 16)), forest, sure=0.1, sure_inside=0.2).save(other)
    taken = load_model(str(folder), embedded=other).recall
    assert taken is not None
    assert (taken.sure, taken.sure_inside) == (0.5, 0.5)
    RecallWeights(np.zeros((3, 16)), forest, sure=0.3, sure_inside=0.4).save(folder)
    write_checksums(folder)
    fitted = load_model(str(folder), embedded=other).recall
    assert fitted is not None
    assert (fitted.sure, fitted.sure_inside) == (0.3, 0.4)


def test_without_an_adapter_the_note_says_what_that_means(tmp_path: Path) -> None:
    folder = str(write_tiny_checkpoint(tmp_path / "bare", adapter=False))
    model = load_model(folder, embedded=tmp_path / "absent")
    assert model.notes == (NOTE.format(folder),)
    assert (model.encoder, model.pseudo, model.default_context) == (None, None, "snippets")


def test_an_adapter_of_another_checkpoint_is_not_used(tmp_path: Path) -> None:
    mine, other = (write_tiny_checkpoint(tmp_path / name, seed=i) for i, name in enumerate("ab"))
    for name in ("adapter.json", "fuser.safetensors", "projector.safetensors"):
        shutil.copy(other / name, mine / name)
    write_checksums(mine)
    model = load_model(str(mine), embedded=tmp_path / "absent")
    assert model.pseudo is None
    assert model.notes == (NOTE.format(mine),)


def test_an_adapter_may_live_in_a_folder_of_its_own(tmp_path: Path, tiny_folder: Path) -> None:
    adapter, bare = tmp_path / "adapter", tmp_path / "bare"
    shutil.copytree(tiny_folder, bare)
    adapter.mkdir()
    for name in ("adapter.json", "fuser.safetensors", "projector.safetensors"):
        shutil.move(bare / name, adapter / name)
    shutil.copy(bare / "tokenizer.json", adapter / "tokenizer.json")
    (bare / CHECKSUMS).unlink()
    model = load_model(str(bare), adapter=str(adapter))
    assert model.notes == ()
    assert model.encoder is not None
    beside = load_model(str(tiny_folder)).encoder
    assert beside is not None
    assert model.encoder.fingerprint == beside.fingerprint


def test_an_adapter_that_was_named_must_be_one(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"has no adapter\.json"):
        load_model(str(tiny_folder), adapter=str(tmp_path))


def test_without_an_adapter_of_its_own_the_embedded_fuser_retrieves(
    tmp_path: Path, tiny_folder: Path
) -> None:
    """So that a change of generator leaves the index as it is."""
    model = load_model(str(write_tiny_checkpoint(tmp_path, adapter=False, seed=4)), embedded=tiny_folder)
    assert model.encoder is not None
    assert model.encoder.query("def f(", ")").shape == (32,)
    assert (model.pseudo, model.default_context) == (None, "snippets")


@pytest.mark.skipif(not (EMBEDDED_FOLDER / "config.json").is_file(), reason="no embedded model yet")
def test_the_embedded_model_loads_with_its_adapter() -> None:
    model = load_model(EMBEDDED_TINY, device="cpu")
    assert model.notes == ()
    assert model.encoder is not None
    assert model.pseudo is not None
