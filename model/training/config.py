"""One TOML file per stage -> one frozen dataclass. Unknown keys are refused: a typo must not train with a default."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class ConfigError(ValueError):
    """The stage's configuration file cannot be used; the message names the key."""


def read_config(kind: type[T], file: Path) -> T:
    """Read `file` into the dataclass `kind`; lists become tuples and, where the default is a Path, strings paths."""
    return from_table(kind, tomllib.loads(file.read_text(encoding="utf-8")))


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
