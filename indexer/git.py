"""What git knows about a folder and we need: where its work tree begins, and which files name what it ignores.

git itself is not run: it may not be installed, and a process per question is slow.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_SECTION = re.compile(r"\s*\[\s*([^\]]*?)\s*\]\s*(.*)")
_EXCLUDES_FILE = re.compile(r"\s*excludesfile\s*=\s*(.+?)\s*$", re.I)


def work_tree(folder: Path) -> Path | None:
    """The top of the work tree that a folder lies in."""
    return next((above for above in (folder, *folder.parents) if (above / ".git").exists()), None)


def excludes(top: Path) -> list[Path]:
    """The files beside .gitignore that say what git ignores, most important first; they need not exist."""
    shared = _shared_directory(top)
    return [shared / "info" / "exclude", _excludes_file(shared)]


def _shared_directory(top: Path) -> Path:
    """The repository's own folder: .git, or what a .git file of a submodule or a linked work tree points to."""
    named = _read(top / ".git")
    if not named.startswith("gitdir:"):
        return top / ".git"
    own = top / named.removeprefix("gitdir:").strip()
    return own / (_read(own / "commondir").strip() or ".")


def _excludes_file(shared: Path) -> Path:
    """core.excludesFile, or where git looks without it. Configuration that is included by other files is not read."""
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    of_user = os.environ.get("GIT_CONFIG_GLOBAL")
    of_users = ["~/.gitconfig", f"{home}/git/config"] if of_user is None else [of_user]
    for file in (str(shared / "config"), *of_users, "/etc/gitconfig"):
        if named := _configured(_read(Path(file).expanduser())):
            return Path(named).expanduser()
    return Path(home, "git", "ignore").expanduser()


def _configured(configuration: str) -> str:
    """The last core.excludesFile in the text of a configuration file, "" for none."""
    section, found = "", ""
    for line in configuration.splitlines():
        if header := _SECTION.match(line):
            section, line = header[1].lower(), header[2]
        if section == "core" and (value := _EXCLUDES_FILE.match(line)):
            found = value[1].strip('"')
    return found


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError:
        return ""
