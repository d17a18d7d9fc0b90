"""Bad checkpoints are refused by name, before torch sees a byte of them (DESIGN 9)."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from model.checkpoint.files import WeightsError, sha256_of
from model.checkpoint.opening import (
    CHECKSUMS,
    LARGE,
    find_folder,
    has_large,
    open_checkpoint,
    write_checksums,
)
from tests.tiny_checkpoint import tiny_config, write_tiny_checkpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_checkpoint(tmp_path / "model", adapter=False, shards=2)


def edit_config(**changes: object) -> Callable[[Path], None]:
    return lambda folder: (folder / "config.json").write_text(json.dumps(tiny_config() | changes)) and None


def shard(folder: Path) -> Path:
    return folder / "model-00002-of-00002.safetensors"


def truncate(folder: Path) -> None:
    shard(folder).write_bytes(shard(folder).read_bytes()[:-100])


def lie_about_the_header(folder: Path) -> None:
    shard(folder).write_bytes(struct.pack("<Q", 1 << 40) + shard(folder).read_bytes()[8:])


def garbage(folder: Path) -> None:
    shard(folder).write_bytes(b"\x10" + b"\x00" * 7 + b"not json at all." * 20)


def pickle_in_the_index(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "pytorch_model.bin"}}')


def leave_the_folder(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../other.safetensors"}}')


def only_a_pickle(folder: Path) -> None:
    for file in folder.glob("*.safetensors*"):
        file.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"x")


BAD = {
    "truncated": (truncate, r"model-00002-of-00002\.safetensors is cut or damaged .*not fully covered"),
    "header longer than the file": (
        lie_about_the_header,
        r"model-00002-of-00002\.safetensors is cut or damaged",
    ),
    "not safetensors": (garbage, r"model-00002-of-00002\.safetensors is cut or damaged"),
    "empty": (
        lambda folder: shard(folder).write_bytes(b""),
        r"model-00002-of-00002\.safetensors is cut or damaged",
    ),
    "a missing shard": (lambda folder: shard(folder).unlink(), r"has no model-00002-of-00002\.safetensors"),
    "no weights": (
        lambda folder: [f.unlink() for f in folder.glob("*.safetensors*")],
        r"has no model\.safetensors",
    ),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), r"has no tokenizer\.json"),
    "a config that is not JSON": (
        lambda folder: (folder / "config.json").write_text("{"),
        r"config\.json cannot be",
    ),
    "a config that is a list": (
        lambda folder: (folder / "config.json").write_text("[]"),
        "is not a JSON object",
    ),
    "only a pickle": (only_a_pickle, r"pytorch_model\.bin is a pickle, which can run code"),
    "a pickle as shard": (pickle_in_the_index, r"pytorch_model\.bin is a pickle"),
    "a shard outside": (leave_the_folder, "names files outside its folder"),
    "another architecture": (edit_config(model_type="gpt2"), "architecture 'gpt2'"),
    "mixture of experts": (edit_config(model_type="qwen2_moe"), "architecture 'qwen2_moe'"),
    "no architecture": (edit_config(model_type=None), "architecture None"),
    "code of its own": (edit_config(auto_map={"AutoModel": "evil.py"}), "code of its own"),
    "quantized": (edit_config(quantization_config={"bits": 4}), "quantized weights"),
    "scaled positions": (edit_config(rope_scaling={"type": "yarn", "factor": 4}), "scaled rotary positions"),
    "a sliding window": (edit_config(use_sliding_window=True), "sliding-window attention"),
    "another activation": (edit_config(hidden_act="gelu"), "activation 'gelu'"),
    "llama with biases": (
        edit_config(model_type="llama", attention_bias=True),
        "biases that Llama does not have",
    ),
}


@pytest.mark.parametrize(("damage", "message"), BAD.values(), ids=BAD)
def test_a_bad_checkpoint_is_refused_by_name(
    folder: Path, damage: Callable[[Path], object], message: str
) -> None:
    (folder / CHECKSUMS).unlink()
    open_checkpoint(str(folder))
    damage(folder)
    with pytest.raises(WeightsError, match=message):
        open_checkpoint(str(folder))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model-00001-of-00002.safetensors"])
def test_a_changed_file_is_refused_with_name_and_both_checksums(folder: Path, name: str) -> None:
    expected = sha256_of(folder / name)
    content = (folder / name).read_bytes()
    if name.endswith(".json"):
        (folder / name).write_bytes(content + b" ")
    else:  # one bit in the last tensor: the file still parses
        (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    actual = sha256_of(folder / name)
    with pytest.raises(
        WeightsError, match=f"{name} was changed or damaged: its sha256 is {actual}, expected {expected}"
    ):
        open_checkpoint(str(folder))


def test_a_file_that_the_checksums_do_not_know_is_refused(folder: Path) -> None:
    shutil.copy(shard(folder), folder / "extra.safetensors")
    with pytest.raises(WeightsError, match=r"extra\.safetensors is not listed in SHA256SUMS"):
        open_checkpoint(str(folder))


def test_a_file_that_only_the_checksums_know_is_missed(folder: Path) -> None:
    with (folder / CHECKSUMS).open("a") as sums:
        sums.write(f"{'0' * 64}  fuser.safetensors\n")
    with pytest.raises(WeightsError, match=r"has no fuser\.safetensors"):
        open_checkpoint(str(folder))


def test_the_embedded_model_is_not_trusted_without_checksums(folder: Path) -> None:
    assert open_checkpoint("embedded", embedded=folder).folder == folder
    (folder / CHECKSUMS).unlink()
    with pytest.raises(WeightsError, match="has no SHA256SUMS"):
        open_checkpoint("embedded", embedded=folder)


def test_an_installation_without_the_embedded_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no embedded model"):
        open_checkpoint("embedded", embedded=tmp_path / "absent")


def test_the_large_model_is_the_embedded_one_where_it_is_there_and_no_more_trusted(
    folder: Path, tmp_path: Path
) -> None:
    def opened(name: str) -> Path:
        return open_checkpoint(name, embedded=folder).folder

    assert opened("embedded-tiny") == opened("embedded") == folder
    assert not has_large(folder)
    with pytest.raises(WeightsError, match="has no large model"):
        opened("embedded-large")
    write_tiny_checkpoint(folder / LARGE, adapter=False)
    assert has_large(folder)
    assert opened("embedded-tiny") == folder
    assert opened("embedded-large") == opened("embedded") == folder / LARGE
    (folder / LARGE / CHECKSUMS).unlink()
    with pytest.raises(WeightsError, match="has no SHA256SUMS"):
        opened("embedded")


def test_the_fingerprint_names_the_weights(folder: Path, tmp_path: Path) -> None:
    same = write_tiny_checkpoint(tmp_path / "same", adapter=False)
    fingerprint = open_checkpoint(str(folder)).fingerprint()
    assert open_checkpoint(str(same)).fingerprint() == fingerprint, "sharding must not matter"
    other = write_tiny_checkpoint(tmp_path / "other", adapter=False, rope_theta=5000.0)
    assert open_checkpoint(str(other)).fingerprint() != fingerprint
    retrained = write_tiny_checkpoint(tmp_path / "retrained", adapter=False, seed=9)
    assert open_checkpoint(str(retrained)).fingerprint() != fingerprint


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "no/such/folder/at/all",
            "no model at no/such/folder/at/all: name 'embedded', a folder, or a hub id",
        ),
        ("nonsense", "no model at nonsense"),
        ("weights.pt", r"weights\.pt is a pickle"),
    ],
)
def test_a_name_that_is_nothing_is_explained(name: str, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        find_folder(name)


def test_a_file_is_not_a_folder(folder: Path) -> None:
    with pytest.raises(WeightsError, match="is a file; name the folder"):
        find_folder(str(folder / "config.json"))


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache with one checkpoint in it: files are links to blobs, weights' blobs are named by checksum."""
    cache = tmp_path / "hub"
    repository = cache / "models--org--tiny"
    snapshot, blobs = repository / "snapshots" / COMMIT, repository / "blobs"
    write_tiny_checkpoint(snapshot, adapter=False)
    (snapshot / CHECKSUMS).unlink()
    blobs.mkdir()
    for file in snapshot.iterdir():
        blob = blobs / (sha256_of(file) if file.suffix == ".safetensors" else COMMIT[::-1] + file.stem)
        shutil.move(file, blob)
        file.symlink_to(blob)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    return repository


@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_a_hub_id_is_found_in_the_local_cache_and_its_commit_reported(hub_cache: Path, revision: str) -> None:
    checkpoint = open_checkpoint("org/tiny", revision=revision, offline=True)
    assert checkpoint.folder == hub_cache / "snapshots" / COMMIT
    assert checkpoint.revision == COMMIT


def test_a_hub_file_that_is_not_its_blob_is_refused(hub_cache: Path) -> None:
    weights = (hub_cache / "snapshots" / COMMIT / "model.safetensors").resolve()
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(
        WeightsError, match=rf"model\.safetensors was changed or damaged: .* expected {weights.name}"
    ):
        open_checkpoint("org/tiny")


@pytest.mark.parametrize(("name", "revision"), [("org/absent", "main"), ("org/tiny", "v2")])
def test_a_hub_id_that_is_not_cached_says_what_to_do(hub_cache: Path, name: str, revision: str) -> None:
    message = rf"{name} \(revision {revision}\) is not on this machine: `hef-lsp --models pull {name}"
    with pytest.raises(WeightsError, match=message):
        open_checkpoint(name, revision=revision, offline=True)


def test_a_whole_one_is_opened_without_the_hub_s_library(hub_cache: Path) -> None:
    code = (
        "import sys; from model.checkpoint.opening import open_checkpoint; open_checkpoint('org/tiny', offline=False);"
        "sys.exit('huggingface_hub' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_one_of_which_a_file_is_missing_is_named(hub_cache: Path, missing: str) -> None:
    (hub_cache / "snapshots" / COMMIT / missing).unlink()
    with pytest.raises(WeightsError, match=r"org/tiny \(revision main\) is here in part"):
        open_checkpoint("org/tiny")


def test_write_checksums_is_readable_by_sha256sum(folder: Path) -> None:
    (folder / CHECKSUMS).unlink()
    write_checksums(folder)
    lines = (folder / CHECKSUMS).read_text().splitlines()
    assert f"{sha256_of(folder / 'config.json')}  config.json" in lines
    assert len(lines) == 5
