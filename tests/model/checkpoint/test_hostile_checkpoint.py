"""A checkpoint is a stranger's: whatever its files say, it is refused by name and soon, or it is what it says."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from model.checkpoint.files import WeightsError
from model.loading import load_model
from tests.model.checkpoint.hostile_checkpoint import (
    Change,
    ReadingEngine,
    content,
    copy_of,
    edit,
    header,
    join,
    load,
    split,
    tensor,
    without,
)

SECONDS = 5.0  # a second, on a machine that does other things
NORM = "model.norm.weight"
DEEP = b'{"a":' * 100_000


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("model.loading.choose_engine", lambda settings, n_weights, told: ReadingEngine())
    return copy_of(tiny_folder, tmp_path / "model")


def check(folder: Path, change: Change, words: str) -> None:
    change(folder)
    start = time.monotonic()
    with pytest.raises(WeightsError, match=words):
        load(folder)
    assert time.monotonic() - start < SECONDS


def test_as_it_was_it_is_loaded(folder: Path) -> None:
    model = load(folder)
    assert None not in (model.encoder, model.pseudo, model.recall, model.confidence)


def replace_by_fifo(name: str) -> Change:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return change


def replace_by_device(name: str) -> Change:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to("/dev/zero")

    return change


def sparse(name: str, size: int) -> Change:
    return lambda folder: os.truncate(folder / name, size)


def two_shards(folder: Path) -> None:
    (folder / "other.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    index = {"weight_map": {"a": "model.safetensors", "b": "other.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def not_a_number(folder: Path) -> None:
    entries, data = split(folder / "model.safetensors")
    begin, _ = entries[NORM]["data_offsets"]
    join(
        folder / "model.safetensors",
        json.dumps(entries).encode(),
        data[:begin] + b"\0\0\xc0\x7f" + data[begin + 4 :],
    )


def index(value: object) -> Change:
    return content("model.safetensors.index.json", json.dumps(value).encode())


def raw(name: str, old: bytes, new: bytes) -> Change:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes().replace(old, new, 1))


def twice(raw: bytes) -> bytes:
    entry = json.dumps(json.loads(raw)[NORM]).encode()
    return raw[:-1] + b', "' + NORM.encode() + b'": ' + entry + b"}"


def million(_: bytes) -> bytes:
    one = '"t%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    return ("{" + ",".join(one % i for i in range(1_000_000)) + "}").encode()


CUT = r"model\.safetensors is cut or damaged"
TENSORS: dict[str, tuple[Change, str]] = {
    "overlapping": (tensor(NORM, data_offsets=[0, 256]), f"{CUT} .*offset"),
    "negative offset": (tensor(NORM, data_offsets=[-256, 0]), f"{CUT} .*-256"),
    "beyond the file": (tensor(NORM, data_offsets=[10**9, 10**9 + 256]), f"{CUT} .*offset"),
    "unknown dtype": (tensor(NORM, dtype="F31"), f"{CUT} .*F31"),
    "dtype not ours": (tensor(NORM, dtype="I32"), rf"holds I32 tensors \({NORM}\)"),
    "size": (tensor(NORM, shape=[63]), f"{CUT} .*shape"),
    "negative shape": (tensor(NORM, shape=[-8, -8]), f"{CUT} .*-8"),
    "huge shape": (tensor(NORM, shape=[2**62, 2**62]), f"{CUT} .*overflow"),
    "bool shape": (tensor(NORM, shape=[True, 64]), f"{CUT} .*boolean"),
    "float shape": (tensor(NORM, shape=[64.0]), f"{CUT} .*floating"),
    "NaN shape": (tensor(NORM, shape=[float("nan")]), CUT),
    "other shape": (tensor(NORM, shape=[8, 8]), rf"{NORM} is \[8, 8\]"),
    "a tensor twice": (header(twice), f"{CUT} .*{NORM} stands there twice"),
    "a list": (header(lambda raw: b"[]"), CUT),
    "a space ahead": (header(lambda raw: b" " + raw), f"{CUT} .*begin with"),
    "a million tensors": (header(million), f"{CUT} .*a header of"),
    "deep": (header(lambda raw: DEEP), CUT),
    "deep where nobody looks": (
        header(
            lambda raw: raw.replace(b'"dtype"', b'"x": ' + b"[" * 90_000 + b"]" * 90_000 + b', "dtype"', 1)
        ),
        CUT,
    ),
    "not UTF-8": (header(lambda raw: raw.replace(b"model", b"mod\xff", 1)), f"{CUT} .*[Uu][Tt][Ff]"),
    "metadata": (header(lambda raw: b'{"__metadata__": [1], ' + raw[1:]), CUT),
    "length of 2^63": (
        lambda f: (f / "model.safetensors").write_bytes(b"\0" * 7 + b"\x80" + b"{}" * 99),
        CUT,
    ),
    "cut": (lambda f: os.truncate(f / "model.safetensors", 5000), CUT),
    "empty": (lambda f: os.truncate(f / "model.safetensors", 0), CUT),
    "NaN": (not_a_number, r"model\.safetensors holds values that are no numbers"),
    "a name in two shards": (two_shards, "both hold model.embed_tokens.weight"),
    "an index of numbers": (index({"weight_map": {"a": 3}}), "index.json has no weight_map"),
    "an index that is a list": (index([]), "index.json is not a JSON object"),
    "an index without map": (index({"weight_map": ["model.safetensors"]}), "index.json has no weight_map"),
    "an index to nothing": (index({"weight_map": {"a": "b.safetensors"}}), "has no b.safetensors"),
    "an index to outside": (index({"weight_map": {"a": "../model.safetensors"}}), "outside its folder"),
}

CONFIG: dict[str, tuple[Change, str]] = {
    **{
        f"{name} {value!r}": (edit("config.json", name, to=value), rf"config\.json .*{name}")
        for name, values in {
            "num_hidden_layers": (10**9, -1, 0, "2", 2.0, None, True, [2]),
            "hidden_size": (65, -64, 10**12, "64"),
            "vocab_size": (0, 10**12, 320.5),
            "intermediate_size": (-1, None),
            "num_attention_heads": (0, 10**9, "4"),
            "num_key_value_heads": (-2, 5, "2"),
            "head_dim": (0, 10**9, "16"),
            "rope_theta": (0, -1, "10000", 1e300),
            "rms_norm_eps": (-1e-6, "1e-6", 7),
            "max_position_embeddings": (0, -5, 10**12, "512", 512.5),
            "tie_word_embeddings": ("false", 1, []),
            "eos_token_id": ("300", -1, 10**6, [300, "x"], True, {}),
        }.items()
        for value in values
    },
    "NaN": (
        edit("config.json", "rope_theta", to=float("nan")),
        "config.json cannot be read .NaN is no number",
    ),
    "beyond what a float holds": (raw("config.json", b"10000.0", b"1e999"), "rope_theta is inf"),
    "fewer embeddings than tokens": (
        edit("config.json", "vocab_size", to=200),
        "ids up to 306, and there are 200",
    ),
    "heads that do not divide": (edit("config.json", "num_key_value_heads", to=3), "4 heads cannot share 3"),
    "an odd head": (edit("config.json", "head_dim", to=17), "head_dim is 17, not even"),
    "a width that heads do not divide": (
        edit("config.json", "num_attention_heads", to=6),
        "not a multiple of num_att",
    ),
    "rope_scaling": (edit("config.json", "rope_scaling", to="yarn"), "scaled rotary positions"),
    "rope_scaling, a list": (edit("config.json", "rope_scaling", to=[1]), "scaled rotary positions"),
    "two ropes": (
        edit("config.json", "rope_parameters", to={"rope_type": "yarn"}),
        "scaled rotary positions",
    ),
    "another vocabulary": (
        edit("config.json", "vocab_size", to=330),
        r"model.embed_tokens.weight is \[320, 64\]",
    ),
    "more layers": (
        edit("config.json", "num_hidden_layers", to=900),
        r"layers\.10\..* is missing .and 10775 more",
    ),
    "a gigabyte": (sparse("config.json", 1 << 30), "config.json has more than 4 MB"),
    "deep": (content("config.json", DEEP), "config.json cannot be read"),
    "a name twice": (content("config.json", b'{"a": 1, "a": 2}'), "a stands there twice"),
    "not UTF-8": (content("config.json", b'{"\xff": 1}'), "config.json cannot be read"),
    "a FIFO": (replace_by_fifo("config.json"), "has no config.json"),
    "an endless device": (replace_by_device("config.json"), "has no config.json"),
    "weights, a FIFO": (replace_by_fifo("model.safetensors"), "has no model.safetensors"),
    "recall, a FIFO": (replace_by_fifo("recall.json"), "recall.json is not a regular file"),
    "confidence, a device": (replace_by_device("confidence.json"), "confidence.json is not a regular file"),
    "checksums, not a list": (content("SHA256SUMS", b"abc\n"), "SHA256SUMS .* is not a list of checksums"),
}


def first_token_twice(folder: Path) -> None:
    raw = json.loads((folder / "tokenizer.json").read_text())
    raw["added_tokens"].append(raw["added_tokens"][0])
    (folder / "tokenizer.json").write_text(json.dumps(raw))


def pattern(regex: str) -> Change:
    wanted = {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}
    return edit("tokenizer.json", "pre_tokenizer", "pretokenizers", 0, to=wanted)


VALUES: dict[str, tuple[Change, str]] = {
    **{
        f"recall {path} {value!r}": (edit("recall.json", *path, to=value), rf"recall\.json .*{path[-1]}")
        for path, values in {
            ("gate",): ([], "x", [[1.0] * 16] * 2, [[1.0] * 15] * 3, [[1.0], [1.0, 2.0]], None),
            ("sure",): ("0.5", -1, 1e9, None, [0.5]),
            ("sure_inside",): (True, -0.5),
            ("forest",): ([], 3),
            ("forest", "features"): ([[99] * 7], [[0] * 6], [], [[0.5] * 7], [[-1] * 7], "x"),
            ("forest", "values"): ([[0.0] * 8], "x"),
            ("forest", "thresholds"): ([[0.0] * 7], None),
            ("forest", "bias"): ("0", 1e300),
        }.items()
        for value in values
    },
    "recall NaN": (edit("recall.json", "sure", to=float("nan")), "recall.json cannot be read .NaN"),
    "recall empty": (content("recall.json", b""), "recall.json cannot be read"),
    "confidence missing": (without("confidence.json", "written"), "confidence.json .*written is missing"),
    "confidence text": (edit("confidence.json", "planned", to="1"), "confidence.json .*planned is '1'"),
    "confidence huge": (edit("confidence.json", "planned", to=1e9), r"confidence\.json .*planned is 10"),
    "confidence list": (content("confidence.json", b"[1]"), "confidence.json is not a JSON object"),
    **{
        f"adapter {path} {value!r}": (edit("adapter.json", *path, to=value), rf"adapter\.json .*{path[-1]}")
        for path, values in {
            ("base",): (3, None),
            ("hidden_size",): ("64", 0, 64.0),
            ("projector_layers",): (0, 4, 10**9),
            ("default_context",): ("magic", "auto", 3),
            ("fuser",): (3, [], "x"),
            ("fuser", "num_layers"): (10**9, -1, None),
            ("fuser", "m"): (0, 10**9, 2.0),
            ("fuser", "head_dim"): (17, 0),
            ("fuser", "rope_theta"): (0, "x"),
            ("fuser", "max_tokens"): (0, 10**9),
            ("fuser", "query_before"): (-1, 10**9),
        }.items()
        for value in values
    },
    "adapter of another shape": (
        edit("adapter.json", "fuser", "d_key", to=33),
        "does not fit adapter.json: key_head",
    ),
    "tokenizer, a list": (content("tokenizer.json", b"[]"), "tokenizer.json is not a JSON object"),
    "tokenizer, no tokenizer": (content("tokenizer.json", b'{"a": 1}'), "cannot complete code"),
    "tokenizer deep": (content("tokenizer.json", DEEP), "tokenizer.json cannot be read"),
    "tokenizer of 500 MB": (sparse("tokenizer.json", 500_000_000), "tokenizer.json has more than 64 MB"),
    "added tokens, no list": (edit("tokenizer.json", "added_tokens", to=3), "added tokens are no list"),
    "an added id beyond": (
        edit("tokenizer.json", "added_tokens", 0, "id", to=10**6),
        "added tokens have other ids",
    ),
    "an added id, negative": (edit("tokenizer.json", "added_tokens", 0, "id", to=-1), "not texts with ids"),
    "an added id, a text": (edit("tokenizer.json", "added_tokens", 0, "id", to="300"), "not texts with ids"),
    "an added token twice": (first_token_twice, "not all different"),
    "a token that is no bytes": (edit("tokenizer.json", "model", "vocab", "漢", to=319), "not byte-level"),
    "a token beyond": (edit("tokenizer.json", "model", "vocab", "abcdef", to=5000), "other ids than it says"),
    "a byte without token": (without("tokenizer.json", "model", "vocab", "x"), "cannot complete code"),
    "no vocabulary": (edit("tokenizer.json", "model", "vocab", to=[]), "cannot complete code"),
    "text that changes": (edit("tokenizer.json", "normalizer", to={"type": "Lowercase"}), "changes the text"),
    "a pattern that backtracks": (pattern("(x+x+)+y"), "a pattern that gives up"),
    "a pattern that is none": (pattern("(("), "cannot complete code"),
}
HOSTILE = {**TENSORS, **CONFIG, **VALUES}


@pytest.mark.parametrize(("change", "words"), HOSTILE.values(), ids=[name[:60] for name in HOSTILE])
def test_what_is_wrong_is_refused_by_name_and_soon(folder: Path, change: Change, words: str) -> None:
    check(folder, change, words)


def test_torch_refuses_what_is_no_number(tiny_folder: Path, tmp_path: Path) -> None:
    folder = copy_of(tiny_folder, tmp_path / "model")
    not_a_number(folder)
    with pytest.raises(WeightsError, match=r"model\.safetensors holds values that are no numbers"):
        load_model(str(folder), engine="torch", device="cpu")


def test_a_pattern_that_backtracks_later_is_an_error_and_not_a_panic(folder: Path) -> None:
    pattern("(q+q+)+y|.")(folder)
    vocabulary = load(folder).vocabulary
    with pytest.raises(ValueError, match="gives up on some text"):
        vocabulary.encode("q" * 100)
    assert vocabulary.encode("x")


def test_links_as_in_the_hub_s_cache_are_followed(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "recall.json"):
        (folder / name).rename(tmp_path / name)
        (folder / name).symlink_to(tmp_path / name)
    load(folder)


# --- random changes ---------------------------------------------------------------------------------------------------

FILES = (
    "config.json",
    "tokenizer.json",
    "adapter.json",
    "recall.json",
    "confidence.json",
    "model.safetensors",
)
STRANGE: tuple[Any, ...] = (
    None, True, -1, 0, 1, 3, 10**9, 10**30, 0.5, 1e308, float("nan"), float("inf"), "", "x", "\ud800", [], {}, [0] * 99
)  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) below a JSON value."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


def mutate_bytes(raw: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(raw))
    new = rng.choice(
        (bytes([rng.randrange(256)]), b"", raw[at : at + 1] * 2, b"\xff\xfe", b"9" * 30, b"{", b'"')
    )
    return raw[:at] if rng.random() < 0.05 else raw[:at] + new + raw[at + 1 :]


def mutate_value(raw: bytes, rng: random.Random) -> bytes:
    whole = json.loads(raw)
    container, key = rng.choice(places(whole))
    container[key] = rng.choice(STRANGE)
    return json.dumps(whole).encode()


def mutate(file: Path, rng: random.Random) -> None:
    change = rng.choice((mutate_bytes, mutate_value))
    if file.suffix == ".json":
        file.write_bytes(change(file.read_bytes(), rng))
    else:
        entries, data = split(file)
        join(file, change(json.dumps(entries).encode(), rng), data)


@pytest.mark.parametrize("seed", range(4))
def test_random_changes_are_refused_or_change_nothing(folder: Path, seed: int) -> None:
    run_random_changes(folder, range(seed * 50, seed * 50 + 50))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_random_changes(folder: Path) -> None:
    run_random_changes(folder, range(1000, 6000))


def run_random_changes(folder: Path, seeds: range) -> None:
    originals = {name: (folder / name).read_bytes() for name in FILES}
    for seed in seeds:
        rng = random.Random(seed)
        name = rng.choice(FILES)
        mutate(folder / name, rng)
        try:
            model = load(folder)
            assert model.vocabulary.encode("def f(x):"), f"seed {seed} in {name}"
        except WeightsError:
            pass
        except BaseException as problem:
            raise AssertionError(f"seed {seed} in {name}: {type(problem).__name__}: {problem}") from problem
        (folder / name).write_bytes(originals[name])
