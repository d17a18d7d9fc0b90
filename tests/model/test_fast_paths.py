"""Greedy output is the same with every fast path on and off: the tiny embedded model on this repository's own files.

All tasks of a bench folder: `python -m tests.benchmarks.identical`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from indexer import SuffixIndex
from model.completer import Completer
from model.drafts.drafter import Drafter
from model.loaded import LoadedModel
from model.loading import load_model
from model.request import Completion, Request
from model.settings import EMBEDDED_TINY, DraftSettings

HERE = Path(__file__).parent
FILES = [HERE / name for name in ("test_generator.py", "test_prompt.py", "test_context.py")]
N_TOKENS = 24


@pytest.fixture(scope="module")
def embedded() -> LoadedModel:
    return load_model(EMBEDDED_TINY)


@pytest.fixture(scope="module")
def repository(embedded: LoadedModel) -> SuffixIndex:
    index = SuffixIndex()
    index.update(
        {file.name: np.array(embedded.vocabulary.encode(file.read_text("utf-8")), np.int32) for file in FILES}
    )
    return index


def requests(repository: SuffixIndex | None) -> Iterator[Request]:
    """Places in the files: at the start of a line, inside one, behind a space or a bracket, at both ends."""
    for file in FILES:
        text = file.read_text("utf-8")
        for share in (0.0, 0.55, 1.0):
            at = int(share * len(text))
            line_start = text.rfind("\n", 0, at) + 1
            for cursor in {at, line_start}:
                yield Request(
                    file.name,
                    text[:cursor],
                    text[cursor:],
                    max_tokens=N_TOKENS,
                    deadline_ms=float("inf"),
                    tokens=repository,
                )


def outcomes(completions: list[Completion]) -> list[tuple[str, int, str]]:
    return [(completion.text, completion.tokens, completion.stopped) for completion in completions]


def test_drafts_and_reused_caches_change_nothing_but_the_number_of_passes(
    embedded: LoadedModel, repository: SuffixIndex
) -> None:
    plain = [
        Completer(embedded, drafts=DraftSettings(enabled=False)).complete(request, None)
        for request in requests(None)
    ]
    drafter = Drafter(embedded.vocabulary)  # learns as it goes; a completer each, so that no cache is reused
    drafted = [
        Completer(embedded, drafter=drafter).complete(request, None) for request in requests(repository)
    ]
    assert outcomes(drafted) == outcomes(plain)
    warm = Completer(embedded)
    twice = [warm.complete(request, None) for request in requests(repository) for _ in range(2)]
    assert outcomes(twice[::2]) == outcomes(twice[1::2]) == outcomes(plain)
    assert sum(completion.reused_tokens for completion in twice) > sum(c.prompt_tokens for c in twice) / 3
    n_passes = [
        sum(completion.forward_passes for completion in done) for done in (plain, drafted, twice[1::2])
    ]
    assert n_passes[0] > 1.5 * n_passes[1]
    assert n_passes[0] > 4 * n_passes[2]  # asked again, the answer is in the session's cache
