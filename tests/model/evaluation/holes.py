"""Small tasks and repositories with holes in them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from model.evaluation.tasks import Task


def a_task(**changes: Any) -> Task:
    task = Task(
        task_id="t/1",
        repo="shop",
        path="shop/cart.py",
        prefix="def total(items):\n",
        suffix="\n\nprint(total([]))\n",
        target="    return sum(items)",
        kind="line",
        source="Made up",
        origin="original",
    )
    return replace(task, **changes)


def write_tasks(file: Path, tasks: Iterable[Task]) -> Path:
    file.write_text("".join(json.dumps(asdict(task)) + "\n" for task in tasks), encoding="utf-8")
    return file


def write_archive(file: Path, texts: Mapping[str, str]) -> Path:
    """A tar of these texts by `<repo>/<path>`; compressed when the name says so."""
    with tarfile.open(file, "w:xz" if file.suffix == ".xz" else "w") as tar:
        for name, text in texts.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return file
