from __future__ import annotations

import importlib
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from model.checkpoint.opening import EMBEDDED_FOLDER, find_folder
from model.training import __main__ as command
from model.training.config import ConfigError, from_table, read_config


@dataclass(frozen=True)
class Example:
    out: Path
    folders: tuple[Path, ...] = ()
    rate: float = 0.1


def test_strings_become_paths_and_lists_tuples(tmp_path: Path) -> None:
    file = tmp_path / "example.toml"
    file.write_text('out = "data"\nfolders = ["a", "b"]\n')
    assert read_config(Example, file) == Example(Path("data"), (Path("a"), Path("b")))


def test_a_misspelled_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match="rat"):
        from_table(Example, {"out": "x", "rat": 1})


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(ConfigError, match="needs out"):
        from_table(Example, {})


CONFIGS = sorted((Path(command.__file__).parent / "configs").glob("*.toml"))


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_every_config_fits_its_stage(file: Path) -> None:
    module, name = command._STAGES[file.stem.partition("_")[0]]
    read_config(getattr(importlib.import_module(module), name), file)


def test_every_stage_has_a_config() -> None:
    assert {file.stem for file in CONFIGS} >= set(command._STAGES)


def test_what_is_fitted_to_an_embedded_coder_lies_beside_that_one() -> None:
    tables = [tomllib.loads(file.read_text(encoding="utf-8")) for file in CONFIGS]
    fitted = [table for table in tables if table.get("coder", "").startswith("embedded")]
    assert len(fitted) >= 2
    for table in fitted:
        assert find_folder(table["coder"]).relative_to(EMBEDDED_FOLDER.parents[1]) == Path(table["out"])
