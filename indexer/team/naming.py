"""What a repository and its branch are called in a team's store: as git's own files say; git is not run."""

from __future__ import annotations

from pathlib import Path

from indexer.git import own_directory, work_tree
from indexer.rule_files import RuleFiles


def repository_name(root: Path) -> str:
    """OWNER/NAME of the remote called origin, else the name of the work tree's folder, else of the folder."""
    top = work_tree(root)
    if top is None:
        return root.name or "root"
    origin = _origin(own_directory(top, RuleFiles(), shared=True) / "config")
    tail = "/".join(origin.rstrip("/").replace(":", "/").split("/")[-2:]).removesuffix(".git")
    return tail or top.name or "root"


def branch_name(root: Path) -> str:
    """The branch that is checked out, "" where none is."""
    top = work_tree(root)
    if top is None:
        return ""
    files = RuleFiles()
    head = files.content(own_directory(top, files, shared=False) / "HEAD").decode("utf-8", "replace").strip()
    name = head.removeprefix("ref: refs/heads/")
    return name if name != head else ""


def _origin(configuration: Path) -> str:
    """The address of the remote called origin in a configuration file of git, "" for none."""
    section, found = "", ""
    for line in RuleFiles().content(configuration).decode("utf-8", "replace").split("\n"):
        line = line.strip()
        if line.startswith("["):
            section = line
        name, equals, value = line.partition("=")
        if equals and section == '[remote "origin"]' and name.strip().lower() == "url":
            found = value.strip()
    return found
