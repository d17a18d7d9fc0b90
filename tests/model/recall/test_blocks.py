"""Blocks that stand elsewhere behind the same lines: written line by line, and only as far as places agree.

With the shipped coder and its fitted numbers; each repository is made up here.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from operator import mul

import numpy as np
import pytest

from indexer import LineIndex, SuffixIndex
from lsp_server.settings import CompletionSettings
from model.completer import Completer
from model.loaded import LoadedModel
from model.loading import load_model
from model.recall.mixer import recalling
from model.request import Completion, Request
from model.settings import EMBEDDED_TINY, RecallSettings

REPORT = """import report_io


def read_report(path, strict=False):
    settings = report_io.settings_of(path)
    with settings.locked(timeout=5):
        rows = report_io.rows(path, settings)
    if strict and not rows:
        raise report_io.Empty(path)
    return report_io.Report(rows, settings)
"""
USERS = """from shop import Store


class UserStore(Store):
    def __init__(self, client, users=()):
        self.client = client
        self.users = list(users)
        for user in self.users:
            self.check_user(user, client)
        self.user_count = len(self.users)
"""
SERIES = """def open_{name}(path):
    handle = archive.open(path, "rb")
    header = archive.header(handle)
    if header.version < archive.OLDEST:
        raise archive.TooOld(path)
    {first}
    return {last}
"""
ENDS = [
    ("size = handle.read_size()", "size // 2"),
    ("key, mode = header.pair", "Locked(key)"),
    ("pass", "None"),
]


@pytest.fixture(scope="module")
def coder() -> LoadedModel:
    return load_model(EMBEDDED_TINY)


def written(model: LoadedModel, files: Mapping[str, str], prefix: str, n_lines: int) -> Completion:
    """So many lines at the end of a new file."""
    lines, tokens = LineIndex(), SuffixIndex()
    lines.update(files)
    tokens.update({path: np.array(model.vocabulary.encode(t), np.int32) for path, t in files.items()})
    request = Request(
        "app/new.py",
        prefix,
        "",
        max_tokens=200,
        deadline_ms=float("inf"),
        finished=lambda text: text.count("\n") >= n_lines,
        lines=lines,
        tokens=tokens,
    )
    return Completer(model, mixing=recalling(model, RecallSettings())).complete(request, None)


def shown(answer: Completion) -> str:
    """The lines that are sure enough, together with all before them, to be shown by themselves."""
    chances = accumulate(answer.confidence, mul)
    n_sure = sum(chance >= CompletionSettings().min_confidence for chance in chances)
    return "\n".join(answer.text.rstrip("\n").split("\n")[:n_sure])


def cut_behind(text: str, line: str) -> tuple[str, str]:
    """What stands up to the end of a line, and the rest."""
    before, _, behind = text.partition(line + "\n")
    return f"{before}{line}\n", behind.rstrip("\n")


def test_a_block_that_stands_elsewhere_is_written_as_it_is(coder: LoadedModel) -> None:
    prefix, wanted = cut_behind(REPORT, "    settings = report_io.settings_of(path)")
    files = {f"app/{name}.py": REPORT for name in ("report", "review", "audit")}
    answer = written(coder, files, prefix, wanted.count("\n") + 1)

    assert answer.text.rstrip("\n") == wanted
    assert shown(answer) == wanted


def test_with_names_exchanged_it_is_written_with_these_names(coder: LoadedModel) -> None:
    """Whoever asks for it gets it. By itself it is not shown, as few such lines are right; those behind are surer."""
    orders = USERS.replace("user", "order").replace("User", "Order")
    prefix, wanted = cut_behind(orders, "        self.client = client")
    answer = written(coder, {"app/users.py": USERS}, prefix, wanted.count("\n") + 1)

    assert answer.text.rstrip("\n") == wanted
    assert min(answer.confidence[1:4]) > 0.2 > answer.confidence[0]


def test_what_is_shown_ends_where_places_go_on_differently(coder: LoadedModel) -> None:
    files = {
        f"app/{name}.py": "import archive\n\n\n" + SERIES.format(name=name, first=first, last=last)
        for name, (first, last) in zip(("images", "books", "songs"), ENDS, strict=True)
    }
    new = "import archive\n\n\n" + SERIES.format(name="films", first="film = 1", last="film")
    prefix, rest = cut_behind(new, '    handle = archive.open(path, "rb")')
    agreed = rest.partition("\n    film")[0]

    assert agreed.count("\n") == 2
    assert shown(written(coder, files, prefix, 5)) == agreed
