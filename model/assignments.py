"""`--set NAME=VALUE`: one setting of a frozen dataclass of groups, by its name outside, checked against its
metadata.

A setting's name outside is `group.fieldName` (`index.maxFileBytes`). The dataclass is the caller's: the
server's has all groups, the evaluation's those that a completion passes through.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, fields, replace
from typing import Any, TypeVar

from model.settings import RENAMED

Groups = TypeVar("Groups")  # a frozen dataclass whose fields are frozen dataclasses of settings

log = logging.getLogger(__name__)

_TYPES = {"bool": "boolean", "int": "integer", "float": "number", "str": "string"}  # else array
_PYTHON: dict[str, type] = {"boolean": bool, "integer": int, "number": float, "string": str}
_KINDS = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "array": "a list of texts",
}


@dataclass(frozen=True)
class Setting:
    """One setting as the outside sees it."""

    name: str  # group.fieldName
    group: str
    attribute: str
    type: str  # boolean, integer, number, string or array (of strings)
    default: Any
    help: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    automatic: float | None  # a value besides: something else decides then


def settings_of(groups: Any) -> Iterator[Setting]:
    """Every setting of a dataclass of groups, in the order of definition."""
    for group in fields(groups):
        for item in fields(getattr(groups, group.name)):
            yield _setting(group.name, item)


def override(groups: Groups, assignments: Sequence[str]) -> Groups:
    """`groups` with NAME=VALUE pairs. Raises ValueError, one sentence, on the first that is wrong."""
    known = {setting.name: setting for setting in settings_of(groups)}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(f"--set wants NAME=VALUE, not {assignment!r}.")
        setting = named(name, known)
        try:
            groups = assigned(groups, setting, _from_text(setting, text))
        except ValueError as error:
            raise ValueError(f"Setting {setting.name!r} {error}.") from None
    return groups


def named(name: str, known: Mapping[str, Setting]) -> Setting:
    """The setting of a name, which may be an old one. Raises ValueError, one sentence, where there is
    none."""
    if name in RENAMED:
        log.warning("The setting %s is called %s now; the old name still works.", name, RENAMED[name])
    name = RENAMED.get(name, name)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise ValueError(f"Unknown setting {name!r}{f' (did you mean {near[0]!r}?)' if near else ''}.")
    return known[name]


def assigned(groups: Groups, setting: Setting, value: Any) -> Groups:
    """`groups` with one value. Raises ValueError with the rest of a sentence that begins with the setting's
    name."""
    changed = replace(getattr(groups, setting.group), **{setting.attribute: _checked(setting, value)})
    return replace(groups, **{setting.group: changed})  # type: ignore[type-var]  # a dataclass, as `fields` says


def _setting(group: str, item: Field[Any]) -> Setting:
    return Setting(
        name=f"{group}.{_camel(item.name)}",
        group=group,
        attribute=item.name,
        type=_TYPES.get(str(item.type), "array"),
        default=item.default,
        help=item.metadata["help"],
        minimum=item.metadata.get("min"),
        maximum=item.metadata.get("max"),
        choices=tuple(item.metadata.get("choices", ())),
        automatic=item.metadata.get("automatic"),
    )


def _checked(setting: Setting, value: Any) -> Any:
    """The value as the setting's type. Raises ValueError with the rest of a sentence that begins with its
    name."""
    if setting.type == "number" and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if setting.type == "integer" and isinstance(value, float) and value.is_integer():
        value = int(value)
    if (
        setting.type == "array"
        and isinstance(value, list | tuple)
        and all(isinstance(item, str) for item in value)
    ):
        return tuple(value)
    is_right = type(value) is _PYTHON.get(setting.type)
    if not is_right:
        raise ValueError(f"must be {_KINDS[setting.type]}, not {value!r}")
    if setting.choices and value not in setting.choices:
        raise ValueError(f"must be one of {', '.join(setting.choices)}, not {value!r}")
    if setting.automatic is not None and value == setting.automatic:
        return value
    if setting.minimum is not None and value < setting.minimum:
        by_itself = "" if setting.automatic is None else f" (or {setting.automatic})"
        raise ValueError(f"must be at least {setting.minimum}{by_itself}, not {value!r}")
    if setting.maximum is not None and not value <= setting.maximum:  # NaN compares with nothing
        raise ValueError(f"must be at most {setting.maximum}, not {value!r}")
    return value


def _from_text(setting: Setting, text: str) -> Any:
    if setting.type == "boolean":
        return {"true": True, "false": False}.get(text.lower(), text)
    if setting.type == "array":
        return [item.strip() for item in text.split(",") if item.strip()]
    if setting.type == "string":
        return text
    try:
        return int(text) if setting.type == "integer" else float(text)
    except ValueError:
        return text


def _camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match.group(1).upper(), name)
