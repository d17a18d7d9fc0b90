"""What git knows about a folder and we need: where its work tree begins, and which files name what it ignores.

git itself is not run: it may not be installed, and a process per question is slow.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from indexer.rule_files import RuleFiles


@dataclass(frozen=True)
class Excludes:
    """A file beside .gitignore that says what git ignores. `of_user`: not written by the repository's author."""

    file: Path
    of_user: bool


def work_tree(folder: Path) -> Path | None:
    """The top of the work tree that a folder lies in."""
    return next((above for above in (folder, *folder.parents) if os.path.exists(above / ".git")), None)


def excludes(top: Path, files: RuleFiles) -> list[Excludes]:
    """The files beside .gitignore that say what git ignores, most important first; they need not exist."""
    shared = own_directory(top, files, shared=True)
    named = _named_in(shared / "config", top, files)
    return [
        Excludes(shared / "info" / "exclude", False),
        Excludes(named, False) if named else _of_user(top, files),
    ]


def own_directory(top: Path, files: RuleFiles, *, shared: bool) -> Path:
    """The repository's own folder: .git, or what a .git file of a submodule or a linked work tree points to. `shared`:
    the one that all its work trees have in common."""
    named = _text(files.content(top / ".git"))
    if not named.startswith("gitdir:"):
        return top / ".git"
    own = _path(named.removeprefix("gitdir:").strip(), top)
    if own is None:
        return top / ".git"
    if not shared:
        return own
    return _path(_text(files.content(own / "commondir")).strip() or ".", own) or own


def _of_user(top: Path, files: RuleFiles) -> Excludes:
    """core.excludesFile, or where git looks without it. Configuration that is included by other files is not read."""
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    of_user = os.environ.get("GIT_CONFIG_GLOBAL")
    of_users = ["~/.gitconfig", f"{home}/git/config"] if of_user is None else [of_user]
    for file in (*of_users, "/etc/gitconfig"):
        if file and (named := _named_in(Path(file).expanduser(), top, files, of_user=True)):
            return Excludes(named, True)
    return Excludes(Path(home, "git", "ignore").expanduser(), True)


def _named_in(configuration: Path, top: Path, files: RuleFiles, *, of_user: bool = False) -> Path | None:
    """The last core.excludesFile of a configuration file."""
    section, found = "", ""
    for line in _text(files.content(configuration, of_user=of_user)).split("\n"):
        line = line.strip()
        if line.startswith("["):
            header, _, line = line[1:].partition("]")
            section = header.strip().lower()
        name, _, value = line.partition("=")
        if section == "core" and name.strip().lower() == "excludesfile":
            found = value.strip().strip('"')
    return _path(found, top) if found else None


def _path(named: str, base: Path) -> Path | None:
    """A path that a file names. None for one on another machine, which a look at it would call."""
    if named.startswith(("//", "\\\\")):
        return None
    try:
        return Path.home() / named[2:] if named.startswith("~/") else base / named
    except RuntimeError:  # nobody is at home
        return None


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")
