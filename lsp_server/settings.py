"""Every setting of the product in one place: composed of what each package defines beside the code that uses it.

A setting's name outside is `group.fieldName` (`index.maxFileBytes`), for editors and `--set` alike. What a client sends
is `options`, where all may be absent or wrong; `Settings` is resolved and always valid.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any

from indexer.settings import IndexSettings, RetrievalSettings
from model.settings import DraftSettings, ModelSettings, RecallSettings

SECTION = "hef-lsp"
_RENAMED = {"memory.enabled": "recall.enabled"}  # by 0.2; still accepted

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CompletionSettings:
    """When and how suggestions are made."""

    enabled: bool = field(default=True, metadata={"help": "Off: no suggestions, no indexing and no model in memory."})
    automatic: bool = field(default=True, metadata={"help": "Off: suggest only when asked by a key or a command."})
    disabled_languages: tuple[str, ...] = field(
        default=(), metadata={"help": "Language ids in which nothing is suggested, e.g. markdown."}
    )
    disabled_files: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "Patterns of file names, or of paths in the folder, in which nothing is suggested, e.g. *.md."
        },
    )
    max_file_chars: int = field(
        default=5_000_000,
        metadata={
            "help": "Nothing is suggested in documents with more characters than this: each keystroke would cost too "
            "much.",
            "min": 1_000,
            "max": 100_000_000,
        },
    )
    max_lines: int = field(
        default=12, metadata={"help": "Longest suggestion in lines; 1 never suggests a block.", "min": 1, "max": 100}
    )
    min_confidence: float = field(
        default=0.25,
        metadata={
            "help": "A suggestion that comes by itself is shown where it is right with at least this chance, a block "
            "as far as that holds; 0 shows everything. What is asked for by a key or a command, or is in a menu, is "
            "always shown. For models that this was measured with (the embedded one).",
            "min": 0.0,
            "max": 1.0,
        },
    )
    load_wait_ms: int = field(
        default=4000,
        metadata={
            "help": "Milliseconds that a request waits for a model that is still loading; then it is answered empty.",
            "min": 0,
            "max": 60_000,
        },
    )
    in_menu: bool = field(
        default=False,
        metadata={
            "help": "Also offer the suggestion in the completion menu of editors that have inline completion; "
            "those without always get it there."
        },
    )
    menu_wait_ms: int = field(
        default=250,
        metadata={
            "help": "Milliseconds that the completion menu may wait for a suggestion; a later one comes with the next "
            "keystroke.",
            "min": 0,
            "max": 10_000,
        },
    )


@dataclass(frozen=True)
class ServerSettings:
    """The process itself."""

    watch: bool = field(default=True, metadata={"help": "Follow changes on disk. Off: index at start and by command."})
    allow_remote: bool = field(
        default=False,
        metadata={
            "help": "Let --tcp listen on an address that other machines reach. The connection has no password and no "
            "encryption: whoever reaches it can read what is indexed."
        },
    )


@dataclass(frozen=True)
class Settings:
    """All settings, resolved."""

    completion: CompletionSettings = field(default_factory=CompletionSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    index: IndexSettings = field(default_factory=IndexSettings)
    retrieval: RetrievalSettings = field(default_factory=RetrievalSettings)
    drafts: DraftSettings = field(default_factory=DraftSettings)
    recall: RecallSettings = field(default_factory=RecallSettings)
    server: ServerSettings = field(default_factory=ServerSettings)


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


def all_settings() -> Iterator[Setting]:
    """Every setting, in the order of definition."""
    defaults = Settings()
    for group in fields(Settings):
        for item in fields(getattr(defaults, group.name)):
            yield _setting(group.name, item)


def parse(options: Mapping[str, Any] | None, base: Settings = Settings()) -> tuple[Settings, list[str]]:
    """`base` with what `options` (nested by group, or flat with dotted names) sets, and one sentence per problem.

    A bad value costs its own key that value; everything else holds.
    """
    known = {setting.name: setting for setting in all_settings()}
    settings, problems = base, []
    for name, value in ((_current(name), value) for name, value in _flat(options or {})):
        if name not in known:
            problems.append(f"Unknown setting {name!r}{_nearest(name, known)}.")
        elif value is not None:  # editors send null for what the user left alone
            try:
                settings = _with(settings, known[name], _checked(known[name], value))
            except ValueError as error:
                problems.append(f"Setting {name!r} {error}; {_shown(_value(settings, known[name]))} is used.")
    return settings, problems


def override(settings: Settings, assignments: Sequence[str]) -> Settings:
    """`settings` with the NAME=VALUE pairs of `--set`. Raises ValueError, one sentence, on the first that is wrong."""
    known = {setting.name: setting for setting in all_settings()}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(f"--set wants NAME=VALUE, not {assignment!r}.")
        name = _current(name)
        if name not in known:
            raise ValueError(f"Unknown setting {name!r}{_nearest(name, known)}.")
        try:
            settings = _with(settings, known[name], _checked(known[name], _from_text(known[name], text)))
        except ValueError as error:
            raise ValueError(f"Setting {name!r} {error}.") from None
    return settings


def _setting(group: str, item: Field[Any]) -> Setting:
    kind = {"bool": "boolean", "int": "integer", "float": "number", "str": "string"}.get(str(item.type), "array")
    return Setting(
        name=f"{group}.{_camel(item.name)}",
        group=group,
        attribute=item.name,
        type=kind,
        default=item.default,
        help=item.metadata["help"],
        minimum=item.metadata.get("min"),
        maximum=item.metadata.get("max"),
        choices=tuple(item.metadata.get("choices", ())),
    )


def _current(name: str) -> str:
    """The name that a setting has now."""
    if name in _RENAMED:
        log.warning("The setting %s is called %s now; the old name still works.", name, _RENAMED[name])
    return _RENAMED.get(name, name)


def _flat(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in options.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _checked(setting: Setting, value: Any) -> Any:
    """The value as the setting's type. Raises ValueError with the rest of a sentence that begins with its name."""
    if setting.type == "number" and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if setting.type == "integer" and isinstance(value, float) and value.is_integer():
        value = int(value)
    if setting.type == "array" and isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(value)
    types: dict[str, type] = {"boolean": bool, "integer": int, "number": float, "string": str}
    if setting.type not in types or type(value).__name__ != types[setting.type].__name__:
        raise ValueError(f"must be {_kind(setting)}, not {value!r}")
    if setting.choices and value not in setting.choices:
        raise ValueError(f"must be one of {', '.join(setting.choices)}, not {value!r}")
    if setting.minimum is not None and value < setting.minimum:
        raise ValueError(f"must be at least {setting.minimum}, not {value!r}")
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


def _with(settings: Settings, setting: Setting, value: Any) -> Settings:
    group = replace(getattr(settings, setting.group), **{setting.attribute: value})
    changed: dict[str, Any] = {setting.group: group}
    return replace(settings, **changed)


def _value(settings: Settings, setting: Setting) -> Any:
    return getattr(getattr(settings, setting.group), setting.attribute)


def _kind(setting: Setting) -> str:
    return {
        "boolean": "true or false",
        "integer": "a whole number",
        "number": "a number",
        "string": "text",
        "array": "a list of texts",
    }[setting.type]


def _shown(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else repr(value)


def _nearest(name: str, known: Mapping[str, Setting]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match.group(1).upper(), name)
