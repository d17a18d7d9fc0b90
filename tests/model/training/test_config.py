from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("stage", sorted(command._STAGES))
def test_every_stage_has_a_config_that_fits_it(stage: str) -> None:
    module, name = command._STAGES[stage]
    file = Path(command.__file__).parent / "configs" / f"{stage}.toml"
    read_config(getattr(importlib.import_module(module), name), file)


def test_an_unusable_config_ends_with_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("nonsense = 1\n")
    with pytest.raises(SystemExit) as ended:
        command.main(["corpus", "--config", str(file)])
    assert ended.value.code == 1
    assert "nonsense" in capsys.readouterr().err
