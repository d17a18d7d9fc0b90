"""Each test that the security page names is there: a promise whose test is gone is no promise."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / ".github" / "SECURITY.md").read_text(encoding="utf-8")


def test_the_tests_that_hold_it_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)
    missing = [f"{file}::{test}" for file, test in named if not _defines(ROOT / file, test)]

    assert len(named) > 10
    assert missing == []


def _defines(file: Path, test: str) -> bool:
    return file.is_file() and f"def {test}(" in file.read_text(encoding="utf-8")
