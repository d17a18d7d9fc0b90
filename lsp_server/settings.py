"""Every setting of the product in one place: composed of what each package defines beside the code that uses
it.

A setting's name outside is `group.fieldName` (`index.maxFileBytes`), for editors and `--set` alike. What a
client sends is `options`, where all may be absent or wrong; `Settings` is resolved and always valid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from indexer.settings import IndexSettings, RetrievalSettings, TeamSettings
from model.assignments import Setting, assigned, named, override, settings_of
from model.settings import BlockSettings, DraftSettings, ModelSettings, RecallSettings

SECTION = "hef-lsp"


@dataclass(frozen=True)
class CompletionSettings:
    """When and how suggestions are made."""

    enabled: bool = field(
        default=True, metadata={"help": "Off: no suggestions, no indexing and no model in memory."}
    )
    automatic: bool = field(
        default=True, metadata={"help": "Off: suggest only when asked by a key or a command."}
    )
    subtle: bool = field(
        default=False,
        metadata={
            "help": "Keep suggestions ready as you type, and show one only when you ask for it by a key; it stays "
            "while you type along."
        },
    )
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
        default=12,
        metadata={"help": "Longest suggestion in lines; 1 never suggests a block.", "min": 1, "max": 100},
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
    imports: bool = field(
        default=True,
        metadata={
            "help": "A Python suggestion that is taken brings the imports that its names lack, as the repository "
            "writes them in other files."
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
class EditSettings:
    """Next edits: what was just changed, offered where else it applies."""

    enabled: bool = field(
        default=True,
        metadata={
            "help": "Offer an edit that was just made at the other places where it applies, in editors that ask for it."
        },
    )
    min_confidence: float = field(
        default=0.6,
        metadata={
            "help": "A next edit is offered where it is wanted with at least this chance.",
            "min": 0.0,
            "max": 1.0,
        },
    )


@dataclass(frozen=True)
class ServerSettings:
    """The process itself."""

    watch: bool = field(
        default=True, metadata={"help": "Follow changes on disk. Off: index at start and by command."}
    )
    save_battery: bool = field(
        default=True,
        metadata={
            "help": "While the machine runs on its battery, the index is embedded at a quarter of the pace and nothing "
            "is computed ahead; suggestions are as ever. On Linux."
        },
    )
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
    blocks: BlockSettings = field(default_factory=BlockSettings)
    edits: EditSettings = field(default_factory=EditSettings)
    server: ServerSettings = field(default_factory=ServerSettings)
    team: TeamSettings = field(default_factory=TeamSettings)


DEFAULTS = Settings()


def all_settings() -> Iterator[Setting]:
    """Every setting, in the order of definition."""
    return settings_of(DEFAULTS)


def parse(options: Mapping[str, Any] | None, base: Settings = DEFAULTS) -> tuple[Settings, list[str]]:
    """`base` with what `options` (nested by group, or flat with dotted names) sets, and one sentence per
    problem.

    A bad value costs its own key that value; everything else holds.
    """
    known = {setting.name: setting for setting in all_settings()}
    settings, problems = base, []
    for name, value in _flat(options or {}):
        try:
            setting = named(name, known)
        except ValueError as error:
            problems.append(str(error))
            continue
        if value is None:
            continue  # editors send null for what the user left alone
        try:
            settings = assigned(settings, setting, value)
        except ValueError as error:
            kept = getattr(getattr(settings, setting.group), setting.attribute)
            problems.append(f"Setting {setting.name!r} {error}; {_shown(kept)} is used.")
    return settings, problems


def _flat(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in options.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else repr(value)


__all__ = ["DEFAULTS", "SECTION", "Setting", "Settings", "all_settings", "override", "parse"]
