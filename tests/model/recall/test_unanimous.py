"""What nine places agree on is written, and surely enough to be shown: with the shipped coder and its fitted numbers.

Each repository is made up here: files of the same kind that differ in all but the line in question, and a new one of
that kind at whose cursor somebody types.
"""

from __future__ import annotations

from dataclasses import dataclass

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

NAMES = ("age", "callbacks", "limits", "pipes", "retries", "shutdown", "current", "prometheus", "results")
HERE = "throttle"


@dataclass(frozen=True)
class Case:
    """`template`: a file, with {name} and {Name}; `|` is where the cursor stands in the new one, which ends there."""

    template: str

    def file(self, name: str) -> str:
        return self.template.replace("|", "").format(name=name, Name=name.title())

    def prefix(self, name: str) -> str:
        return self.template.partition("|")[0].format(name=name, Name=name.title())

    def wanted(self, name: str) -> str:
        return self.template.partition("|")[2].partition("\n")[0].format(name=name, Name=name.title())


CASES = {
    "arguments of a hook": Case(
        "import time\n\nclass {Name}(Middleware):\n    def __init__(self, *, {name}=None):\n"
        "        self.{name} = {name}\n\n    def after_process_message(self, |broker, message):\n"
        "        self.{name}.pop(message.id, None)\n"
    ),
    "a name that is imported": Case(
        '"""The {name} of a broker."""\nimport threading\nfrom ..logging import |get_logger\n\n'
        "class {Name}:\n    size_{name} = 1\n"
    ),
    "a relative import of two": Case(
        '"""Handles {name}."""\nfrom .base import |Handler, registry\n\n\n@registry.add\n'
        "class {Name}Handler(Handler):\n    {name} = True\n"
    ),
    "a logger": Case(
        "import logging\nimport {name}_io\n\nlogger = logging.|getLogger(__name__)\n\n\ndef run_{name}(path):\n"
        "    return {name}_io.read(path)\n"
    ),
    "a decorator's arguments": Case(
        "import click\nfrom app import {name}\n\n\n@cli.command(|context_settings=SHARED)\ndef {name}_command(path):\n"
        "    {name}.run(path)\n"
    ),
    "the arguments of a call": Case(
        "def test_{name}(client):\n    value_{name} = make('{name}')\n"
        "    reply = client.post(|'/api/v2/jobs', headers=ADMIN)\n    assert reply.json() == value_{name}\n"
    ),
    "a context manager": Case(
        "def read_{name}(pool):\n    key = '{name}'\n    with pool.acquire(|timeout=TIMEOUT) as connection:\n"
        "        return connection.get(key, {name}=True)\n"
    ),
    "what a condition compares with": Case(
        "def {name}_of(message):\n    part = message['{name}']\n    if message.kind != |Kind.TASK:\n"
        "        return None\n    return part.{name}\n"
    ),
    "an exception": Case(
        "def parse_{name}(text):\n    try:\n        return {Name}.parse(text)\n"
        "    except |(ValueError, KeyError) as error:\n        raise BadInput('{name}') from error\n"
    ),
    "a base class": Case(
        "from core import models\n\n\nclass {Name}(|models.TimestampedModel):\n"
        "    {name} = models.TextField()\n"
    ),
    "a line under the same line": Case(
        "def write_{name}(out):\n    rows = {name}_rows()\n    with transaction():\n"
        "|        out.begin(exclusive=True)\n        for row in rows:\n            out.{name}(row)\n"
    ),
    "a return's annotation": Case(
        "class {Name}Store:\n    size = {name!r}\n\n    async def fetch(self, session: Session) -> |list[Record]:\n"
        "        return await session.all('{name}')\n"
    ),
}


@pytest.fixture(scope="module")
def coder() -> LoadedModel:
    return load_model(EMBEDDED_TINY)


def completed(model: LoadedModel, case: Case, names: tuple[str, ...] = NAMES) -> Completion:
    """At the cursor of a new file, where a line's end is wanted."""
    lines, tokens = LineIndex(), SuffixIndex()
    files = {f"app/{name}.py": case.file(name) for name in names}
    lines.update(files)
    tokens.update({path: np.array(model.vocabulary.encode(t), np.int32) for path, t in files.items()})
    request = Request(
        f"app/{HERE}.py",
        case.prefix(HERE),
        "\n",
        max_tokens=40,
        deadline_ms=float("inf"),
        finished=lambda text: "\n" in text,
        lines=lines,
        tokens=tokens,
    )
    return Completer(model, mixing=recalling(model, RecallSettings())).complete(request, None)


@pytest.mark.parametrize("kind", CASES)
def test_unanimous_places_are_shown(coder: LoadedModel, kind: str) -> None:
    answer = completed(coder, CASES[kind])

    assert answer.text.partition("\n")[0].strip() == CASES[kind].wanted(HERE).strip()
    assert answer.confidence[0] >= CompletionSettings().min_confidence


@pytest.mark.parametrize("kind", CASES)
def test_five_places_are_enough(coder: LoadedModel, kind: str) -> None:
    answer = completed(coder, CASES[kind], NAMES[:5])

    assert answer.text.partition("\n")[0].strip() == CASES[kind].wanted(HERE).strip()
    assert answer.confidence[0] >= CompletionSettings().min_confidence
