"""One TOML file per stage -> one frozen dataclass. Unknown keys are refused: a typo must not train with a default."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

SHIPPED = Path(__file__).parent / "configs"
T = TypeVar("T")


class ConfigError(ValueError):
    """The stage's configuration file cannot be used; the message names the key."""


def shipped_configs() -> list[str]:
    """Names of the configurations that the package has."""
    return sorted(file.stem for file in SHIPPED.glob("*.toml"))


def find_config(name: str) -> Path:
    """A file, or the package's own of this name. Raises ConfigError."""
    file = Path(name).expanduser()
    if file.is_file():
        return file
    if name in shipped_configs():
        return SHIPPED / f"{name}.toml"
    raise ConfigError(f"no configuration {name}: a TOML file, or one of {', '.join(shipped_configs())}")


def read_config(kind: type[T], file: Path, over: Mapping[str, Any] | None = None) -> T:
    """Read `file` into the dataclass `kind`; lists become tuples and, where the default is a Path, strings paths. What
    `over` has goes before what the file has."""
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as problem:
        raise ConfigError(f"{file} is no TOML file: {problem}") from problem
    return from_table(kind, table | dict(over or {}))


def from_table(kind: type[T], table: dict[str, Any]) -> T:
    """A dataclass from a TOML table. Raises ConfigError, naming settings that are unknown or missing."""
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]  # T is a dataclass
    unknown = sorted(set(table) - set(fields))
    if unknown:
        raise ConfigError(f"{kind.__name__} has no setting {', '.join(unknown)}")
    missing = [name for name, field in fields.items() if _required(field) and name not in table]
    if missing:
        raise ConfigError(f"{kind.__name__} needs {', '.join(missing)}")
    return kind(**{name: _convert(value, str(fields[name].type)) for name, value in table.items()})


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _convert(value: Any, declared: str) -> Any:
    if "Path" in declared:
        return tuple(Path(v) for v in value) if isinstance(value, list) else Path(value)
    return tuple(value) if isinstance(value, list) else value
