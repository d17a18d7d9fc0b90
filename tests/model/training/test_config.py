from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from model.checkpoint.opening import EMBEDDED_FOLDER, find_folder
from model.training import __main__ as command
from model.training.config import ConfigError, find_config, from_table, read_config


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


RECIPES = {"frozen": "adapter", "llavacode": "adapter"}  # configurations that are not named for their stage


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_every_config_fits_its_stage(file: Path) -> None:
    stage = RECIPES.get(file.stem, file.stem.partition("_")[0])
    module, name = command._STAGES[stage]
    read_config(getattr(importlib.import_module(module), name), file)


def test_every_stage_has_a_config() -> None:
    assert {file.stem for file in CONFIGS} >= set(command._STAGES)


def test_what_is_fitted_to_an_embedded_coder_lies_beside_that_one() -> None:
    tables = [tomllib.loads(file.read_text(encoding="utf-8")) for file in CONFIGS]
    fitted = [table for table in tables if table.get("coder", "").startswith("embedded")]
    assert len(fitted) >= 2
    for table in fitted:
        assert find_folder(table["coder"]).relative_to(EMBEDDED_FOLDER.parents[1]) == Path(table["out"])


def test_a_configuration_of_the_package_can_be_named() -> None:
    assert find_config("frozen") == next(file for file in CONFIGS if file.stem == "frozen")
    with pytest.raises(ConfigError, match=r"no configuration frosen: a TOML file, or one of .*frozen"):
        find_config("frosen")


def test_what_the_command_line_says_goes_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "example.toml"
    file.write_text('out = "data"\nrate = 0.3\n')
    assert read_config(Example, file, {"out": "there"}) == Example(Path("there"), rate=0.3)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "example.toml").write_text("out = = 1")
    with pytest.raises(ConfigError, match=r"example\.toml is no TOML file"):
        read_config(Example, tmp_path / "example.toml")


def test_a_light_installation_is_told_what_training_needs() -> None:
    code = (
        "import sys; sys.modules['torch'] = None; "
        "from model.training.__main__ import main; main(['adapter', '--config', 'frozen'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "training needs torch: pipx install 'hef-lsp[train]'\n"
