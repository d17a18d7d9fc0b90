"""A repository of two files, the second of which uses the first: for commands."""

from __future__ import annotations

from pathlib import Path


def write_small_repository(root: Path) -> Path:
    (root / ".git").mkdir(parents=True)
    (root / "shapes.py").write_text("def area(width, height):\n    return width * height\n", encoding="utf-8")
    (root / "main.py").write_text("import shapes\n\nprint(shapes.area(2, 3))\n", encoding="utf-8")
    return root
