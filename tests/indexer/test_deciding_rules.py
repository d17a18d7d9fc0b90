"""Which rule keeps a file out, for the user who wonders."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer import Gate, IndexSettings
from indexer.secret_contents import kind_of_secret


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "a in b"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / ".gitignore").write_text("# generated\n*.log\nbuild/\n!kept.log\n", encoding="utf-8")
    (root / "sub" / ".hefignore").write_text("secret_plans.py\n", encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("x.log", "`*.log` in .gitignore"),
        ("sub/x.log", "`*.log` in .gitignore"),
        ("build/main.py", "`build/` in .gitignore"),
        ("sub/secret_plans.py", "`secret_plans.py` in sub/.hefignore"),
        ("sub/mine.py", "`mine.*` in index.ignore"),
        ("node_modules/x/y.js", "`node_modules/` in the built-in list of what is ignored"),
        (".env", "`*.env` in the built-in list of secrets"),
        ("key.pem.bak", "`*.pem` in the built-in list of secrets"),
        ("sub/Ours.PY", "`ours.py` in index.secrets"),
        (".git/hooks.py", "it lies in git's own folder"),
        ("kept.log", ""),
        ("sub/deep/main.py", ""),
    ],
)
def test_the_rule_is_named_with_its_place(root: Path, path: str, rule: str) -> None:
    settings = IndexSettings(ignore=("mine.*",), secrets=("Ours.py",))
    gate = Gate()
    assert gate.rule(root, root / path, settings) == rule
    assert bool(rule) == (gate.refusal(root, root / path, settings) is not None)


def test_a_link_is_out_for_what_it_leads_to(root: Path) -> None:
    (root / "build").mkdir()
    (root / "build" / "real.py").touch()
    (root / "link.py").symlink_to(root / "build" / "real.py")

    assert Gate().rule(root, root / "link.py") == "`build/` in .gitignore"


def test_the_kind_of_a_secret_is_named_unless_it_is_lifted() -> None:
    text = b"token = 'ghp_n3QvA7xJcR8kT2mZb5WsY1uLdF6gHpE9oK4i'\n"

    assert kind_of_secret("a.py", text, IndexSettings()) == "GitHub"
    assert kind_of_secret("a.py", text, IndexSettings(not_secret=("a.py",))) is None
    assert kind_of_secret("a.py", b"x = 1\n", IndexSettings()) is None
