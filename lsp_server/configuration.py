"""The settings that a client has for itself and for each of its folders, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lsp_server.settings import DEFAULTS, Settings


@dataclass(frozen=True)
class Configuration:
    """`base` holds where no folder has settings of its own; `folders` are all that are open, nested ones
    too."""

    base: Settings = DEFAULTS
    folders: Mapping[Path, Settings] = field(default_factory=dict)

    def at(self, path: Path | None) -> Settings:
        """The settings that hold for a document: the innermost folder's that it lies in."""
        around = [root for root in self.folders if path is not None and path.is_relative_to(root)]
        return self.folders[max(around, key=lambda root: len(root.parts))] if around else self.base

    def root_of(self, path: Path | None) -> Path | None:
        """The outermost folder around a document, None outside of all."""
        around = [root for root in outermost(self.folders) if path is not None and path.is_relative_to(root)]
        return around[0] if around else None

    @property
    def enabled(self) -> bool:
        """Whether anything may be suggested anywhere; otherwise the model is not kept in memory."""
        return any(settings.completion.enabled for settings in (self.base, *self.folders.values()))

    @property
    def indexed(self) -> Mapping[Path, Settings]:
        """The folders whose index is kept up to date: where nothing is suggested, nothing is computed
        either."""
        return {root: settings for root, settings in self.folders.items() if settings.completion.enabled}

    @property
    def opened_with(self) -> Mapping[Path, Settings]:
        """What each indexed folder is opened with: what drafts and blocks are made from is the process's to say, and
        where a team's store is the user's: a folder may bring settings along, and must not name one."""
        base = self.base
        return {
            root: replace(own, drafts=base.drafts, blocks=base.blocks, team=base.team)
            for root, own in self.indexed.items()
        }

    def loads_as(self, other: Configuration) -> bool:
        """Whether the model need not be loaded again for `other`."""
        return _loading(self.base) == _loading(other.base)

    def indexes_as(self, other: Configuration, root: Path) -> bool:
        """Whether a folder's index need not be opened again for `other`."""
        return _indexing(self.opened_with.get(root)) == _indexing(other.opened_with.get(root))


def _loading(settings: Settings) -> tuple[object, ...]:
    """What the model is loaded with; the rest goes with each request. Of the context: whether blocks have room."""
    model, each = settings.model, DEFAULTS.model
    context = "blocks" if model.context == "blocks" else each.context
    same = replace(
        model,
        context=context,
        max_tokens=each.max_tokens,
        deadline_ms=each.deadline_ms,
        idle_minutes=each.idle_minutes,
    )
    return same, settings.drafts, settings.recall, settings.blocks


def _indexing(settings: Settings | None) -> tuple[object, ...]:
    """What a folder's index is opened with; nothing for a folder that is not to be open."""
    if settings is None:
        return ()
    # The context says whether blocks are kept.
    return settings.index, settings.retrieval, settings.team, settings.server.watch, settings.model.context


def outermost(folders: Iterable[Path]) -> set[Path]:
    """The folders that lie in none of the others: a nested root is indexed once, by the outer one."""
    found = set(folders)
    return {folder for folder in found if not any(parent in found for parent in folder.parents)}
