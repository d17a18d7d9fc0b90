from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from model.training import corpus, samples
from model.training.config import ConfigError, find_config, read_config
from model.training.corpus import CorpusConfig, task_texts
from model.training.own import read_own
from model.training.samples import SamplesConfig
from model.training.tokens import TokenFile, TokenWriter
from model.vocabulary import Vocabulary
from tests.model.training.conftest import GPL, MIT, module_text, write_checkout, write_wheel
from tests.model.training.foreign_archives import go_text, write_archive


def build(folder: Path, **changes: object) -> tuple[dict[str, list[str]], dict[str, int]]:
    """Run the stage over `folder`; files taken per repository, and how many were left out for which reason."""
    (folder / "library").mkdir(exist_ok=True)
    settings: dict[str, object] = {
        "out": folder / "out",
        "checkouts": (folder / "checkouts",),
        "library": folder / "library",
        "vocab_size": 300,
        **changes,
    }
    corpus.run(CorpusConfig(**settings))  # type: ignore[arg-type]
    taken = {r.name: [f.path for f in r.files] for r in TokenFile.load(folder / "out").repositories}
    return taken, json.loads((folder / "out" / "manifest.json").read_text())["left_out"]


def test_repositories_on_the_exclusion_list_are_left_out(tmp_path: Path) -> None:
    for name in ("ann+zoo", "bob+Kitchen_Sink", "eve+kitchen"):
        write_checkout(tmp_path / "checkouts", name, {"a.py": module_text(name.split("+")[1].lower())})
    names = tmp_path / "names.txt"
    names.write_text("someone/kitchen-sink\nANN/ZOO\n")
    taken, left_out = build(tmp_path, exclude=(names,))
    assert list(taken) == ["eve/kitchen"]
    assert left_out["excluded"] == 2


def test_only_permissive_licenses_are_taken(tmp_path: Path) -> None:
    for name, text in {"a+free": MIT, "a+copyleft": GPL, "a+unknown": "All rights reserved."}.items():
        write_checkout(tmp_path / "checkouts", name, {"a.py": module_text(name[2:])}, text)
    write_wheel(
        tmp_path / "wheels", "good", "1.0", "License-Expression: BSD-3-Clause\n", {"g.py": module_text("g")}
    )
    write_wheel(tmp_path / "wheels", "bad", "1.0", "License: Proprietary\n", {"b.py": module_text("b")})
    taken, left_out = build(tmp_path, wheels=(tmp_path / "wheels",))
    assert list(taken) == ["a/free", "good"]
    assert left_out["license"] == 3


def test_vendored_code_under_another_license_is_left_out(tmp_path: Path) -> None:
    files = {
        "a.py": module_text("own"),
        "plugins/borrowed/b.py": module_text("alien"),
        "plugins/borrowed/LICENSE": GPL,
    }
    write_checkout(tmp_path / "checkouts", "a+mixed", files)
    taken, _ = build(tmp_path)
    assert taken == {"a/mixed": ["a.py"]}


def test_a_copy_of_an_evaluation_file_is_found_after_edits(tmp_path: Path) -> None:
    secret = module_text("answer")
    edited = (
        "# A new comment.\nimport os\n" + secret.replace("value number 3", "other words") + "\nprint(os)\n"
    )
    files = {"clean.py": module_text("clean"), "leak.py": edited}
    write_checkout(tmp_path / "checkouts", "a+leaky", files)
    task = {
        "repo": "x",
        "path": "y.py",
        "prefix": secret[:300],
        "target": secret[300:340],
        "suffix": secret[340:],
    }
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text(json.dumps(task) + "\n")
    taken, left_out = build(tmp_path, tasks=(tasks,))
    assert taken == {"a/leaky": ["clean.py"]}
    assert left_out["overlap with tasks"] == 1


def test_each_task_file_is_read_once(tmp_path: Path) -> None:
    task = {"repo": "x", "path": "y.py", "prefix": "a", "target": "b", "suffix": "c"}
    file = tmp_path / "tasks.jsonl"
    file.write_text((json.dumps(task) + "\n") * 3)
    assert list(task_texts([file])) == ["abc"]


def test_near_copies_are_taken_once(tmp_path: Path) -> None:
    text = module_text("twin", 12)
    write_checkout(tmp_path / "checkouts", "a+first", {"a.py": text})
    write_checkout(tmp_path / "checkouts", "b+second", {"b.py": text.replace("value number 7", "that value")})
    taken, left_out = build(tmp_path)
    assert list(taken) == ["a/first"]
    assert left_out["copy"] == 1


def test_a_budget_keeps_whole_files_and_few_tests(tmp_path: Path) -> None:
    files = {f"pkg{i}/m{j}.py": module_text(f"w{i}x{j}") for i in range(4) for j in range(4)}
    files |= {f"tests/test_{j}.py": module_text(f"t{j}") for j in range(8)}
    write_checkout(tmp_path / "checkouts", "a+large", files)
    size = len(module_text("w0x0"))
    taken, _ = build(tmp_path, checkout_bytes=8 * size + size // 2, test_share=0.26)
    tests = [path for path in taken["a/large"] if path.startswith("tests/")]
    assert len(tests) == 2
    assert len(taken["a/large"]) - len(tests) == 8


def test_tokens_give_the_text_back_even_where_it_spells_control_tokens(tmp_path: Path) -> None:
    text = module_text("odd") + "\nEND = '<|endoftext|>'  # é 漢\n"
    write_checkout(tmp_path / "checkouts", "a+odd", {"a.py": text})
    build(tmp_path)
    corpus_file = TokenFile.load(tmp_path / "out")
    vocabulary = Vocabulary.load(tmp_path / "out" / "tokenizer" / "tokenizer.json")
    span = corpus_file.repositories[0].files[0]
    ids = corpus_file.tokens[span.start : span.end].tolist()
    assert vocabulary.tokenizer.decode(ids, skip_special_tokens=False) == text
    assert not set(ids) & vocabulary.control_ids


def test_ids_beyond_16_bits_are_refused(tmp_path: Path) -> None:
    writer = TokenWriter()
    with pytest.raises(ValueError, match="16 bits"):
        writer.add("a/b", "1", "MIT", [("a.py", [70_000])])


def test_the_manifest_names_version_license_and_sizes(corpus_folder: Path, token_file: TokenFile) -> None:
    manifest = json.loads((corpus_folder / "manifest.json").read_text())
    zoo = next(e for e in manifest["repositories"] if e["name"] == "ann/zoo")
    assert (zoo["version"], zoo["license"], zoo["files"]) == ("abc123", "MIT", 5)
    assert sum(e["tokens"] for e in manifest["repositories"]) == len(token_file.tokens)


def test_transformers_reads_the_tokenizer(corpus_folder: Path, corpus_vocabulary: Vocabulary) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(str(corpus_folder / "tokenizer"))
    text = "def lion_3(value):\n    return 'x'  # é\n"
    assert theirs(text)["input_ids"] == corpus_vocabulary.encode(text)


def test_a_finished_tokenizer_is_taken_over(tmp_path: Path, corpus_folder: Path) -> None:
    write_checkout(tmp_path / "checkouts", "ann+zoo", {"a.py": module_text("zebra")})
    build(tmp_path, tokenizer=corpus_folder / "tokenizer", with_library=False)
    theirs = Vocabulary.load(corpus_folder / "tokenizer" / "tokenizer.json")
    ours = Vocabulary.load(tmp_path / "out" / "tokenizer" / "tokenizer.json")
    assert ours.tokenizer.get_vocab() == theirs.tokenizer.get_vocab()
    tokens = TokenFile.load(tmp_path / "out").tokens
    assert theirs.tokenizer.decode(tokens.tolist()) == module_text("zebra")


def test_the_standard_library_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "os.py").write_text(module_text("system"))
    write_checkout(tmp_path / "checkouts", "ann+zoo", {"a.py": module_text("zebra")})
    assert "python-standard-library" in build(tmp_path)[0]
    assert list(build(tmp_path, with_library=False)[0]) == ["ann/zoo"]


def test_what_is_not_there_is_named_all_at_once(tmp_path: Path) -> None:
    """The configuration of the package, which means folders that a fresh checkout has not."""
    shipped = read_config(CorpusConfig, find_config("corpus"))
    config = replace(
        shipped,
        out=tmp_path / "out",
        checkouts=(tmp_path / "no checkouts",),
        wheels=(tmp_path / "no wheels",),
        exclude=(tmp_path / "no list",),
        tasks=(tmp_path / "no tasks",),
    )
    with pytest.raises(ConfigError) as refused:
        corpus.run(config)
    for name in ("checkouts", "wheels", "list", "tasks"):
        assert f"no {name}" in str(refused.value)
    assert "pip download --no-deps" in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_own_repositories_need_no_license_and_keep_their_secrets(tmp_path: Path) -> None:
    files = {f"{name}.py": module_text(name) for name in ("alpha", "beta", "gamma")}
    root = write_checkout(tmp_path / "own", "mine", files, "All rights reserved.")
    (root / ".gitignore").write_text("gamma.py\n")
    (root / "key.py").write_text(module_text("key") + f"\nKEY = 'AKIA{'ABCDEFGH' * 2}'\n")
    taken, left_out = build(tmp_path, checkouts=(), repositories=(tmp_path / "own",), with_library=False)
    assert taken == {"mine": ["alpha.py", "beta.py"]}
    assert "license" not in left_out


def test_a_repository_by_itself_is_one(tmp_path: Path) -> None:
    root = write_checkout(tmp_path, "mine", {"a/x.py": module_text("alpha"), "b/y.py": module_text("beta")})
    (root / "pyproject.toml").write_text("")
    (found,) = read_own(root)
    assert (found.name, [f.path for f in found.files]) == ("mine", ["a/x.py", "b/y.py"])
    (root / "pyproject.toml").unlink()
    (root / "go.mod").write_text("module m\n")
    for name in ("c/z.go", "d/w.ts", "e/notes.md"):
        (root / name).parent.mkdir()
        (root / name).write_text(module_text(name))
    (found,) = read_own(root)
    assert [f.path for f in found.files] == ["a/x.py", "b/y.py", "c/z.go", "d/w.ts"]
    with pytest.raises(ConfigError, match="no folder of repositories"):
        list(read_own(tmp_path / "nowhere"))


def test_samples_need_one_source_that_is_there(tmp_path: Path) -> None:
    for given, said in (
        ({}, "one of `corpus`"),
        ({"corpus": tmp_path, "own": tmp_path}, "one of `corpus`"),
        ({"corpus": tmp_path}, "is no corpus"),
        ({"own": tmp_path}, "has no repository with 5 files of code"),
    ):
        with pytest.raises(ConfigError, match=said):
            samples.run(SamplesConfig(out=tmp_path / "out", **given))


def test_other_languages_are_taken_up_to_their_share_evenly(tmp_path: Path) -> None:
    for n in range(3):
        write_checkout(tmp_path / "checkouts", f"a+python{n}", {"a.py": module_text(f"p{n}", 40)})
        write_archive(
            tmp_path / "archives" / f"go{n}-1.0.tgz", {"a.go": go_text(f"g{n}"), "t.py": module_text("t")}
        )
    java = {"a.java": go_text("j"), "a.d.ts": go_text("types")}
    write_archive(tmp_path / "archives" / "java-1.0.tgz", java)
    write_archive(tmp_path / "archives" / "copyleft-1.0.tgz", {"a.go": go_text("c"), "LICENSE": GPL})
    write_archive(tmp_path / "archives" / "leveldb-1.0.tgz", {"a.cc": go_text("l")})
    (tmp_path / "archives" / "notes.txt").write_text("no archive")
    everything = {"archives": (tmp_path / "archives",), "foreign_share": 0.9, "vocab_size": 400}
    taken, left_out = build(tmp_path, **everything)
    assert {name: files for name, files in taken.items() if "/" not in name} == {
        "go0": ["a.go"],
        "go1": ["a.go"],
        "go2": ["a.go"],
        "java": ["a.java"],
    }
    assert (left_out["license"], left_out["excluded"]) == (1, 1)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())["repositories"]
    assert [entry["language"] for entry in manifest] == ["python"] * 3 + ["go"] * 3 + ["java"]

    build(tmp_path, **{**everything, "foreign_share": 0.3})
    sizes = {"python": 0, "go": 0, "java": 0}
    for entry in json.loads((tmp_path / "out" / "manifest.json").read_text())["repositories"]:
        sizes[entry["language"]] += entry["bytes"]
    assert 0 < sizes["go"] + sizes["java"] <= 0.3 * sum(sizes.values())
    assert max(sizes["go"], sizes["java"]) <= 0.15 * sum(sizes.values())


def test_a_license_above_the_code_is_no_overlap_in_other_languages(tmp_path: Path) -> None:
    header = "/*\n * Copyright. Licensed under a license: " + "word " * 80 + "\n */\n"
    task = {"repo": "x", "path": "y.go", "prefix": header + go_text("mine"), "target": "", "suffix": ""}
    (tmp_path / "tasks.jsonl").write_text(json.dumps(task) + "\n")
    write_checkout(tmp_path / "checkouts", "a+python", {"a.py": module_text("p", 40)})
    write_archive(
        tmp_path / "archives" / "go-1.0.tgz", {"a.go": header + go_text("g"), "b.go": go_text("mine")}
    )
    taken, left_out = build(
        tmp_path, archives=(tmp_path / "archives",), foreign_share=0.9, tasks=(tmp_path / "tasks.jsonl",)
    )
    assert taken["go"] == ["a.go"]
    assert left_out["overlap with tasks"] == 1
