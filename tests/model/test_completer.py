from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from indexer import SuffixIndex
from model.completer import Completer
from model.loaded import LoadedModel
from model.loading import load_model
from model.repository import ContextItem, RetrievalQuery
from model.request import Request
from model.settings import DraftSettings, ModelSettings
from tests.tiny_checkpoint import write_tiny_checkpoint

REQUEST = Request(
    "a.py", "class A:\n    def add(self, fi", "\n\nimport os\n", max_tokens=8, deadline_ms=60_000
)


@dataclass(frozen=True)
class Found:
    """What the indexer's Hit looks like from here."""

    path: str
    memory: np.ndarray = field(repr=False)
    text: str = ""
    signature: str = ""
    first_line: int = 1
    last_line: int = 2
    level: str = "chunk"
    score: float = 1.0


def found(n: int, seed: int = 0) -> list[Found]:
    memories = np.random.default_rng(seed).normal(size=(n, 2, 64)).astype(np.float16)
    return [
        Found(f"pkg/m{i}.py", memories[i], f"def f{i}(x):\n    return x\n", f"def f{i}(x):") for i in range(n)
    ]


class Repository:
    """Plays retrieval and counts how often it was asked."""

    def __init__(self, items: Sequence[ContextItem]) -> None:
        self.items = items
        self.queries: list[RetrievalQuery] = []

    def __call__(self, query: RetrievalQuery) -> Sequence[ContextItem]:
        self.queries.append(query)
        return self.items


@pytest.fixture
def completer(tiny_model: LoadedModel) -> Completer:
    return Completer(tiny_model)


@pytest.mark.parametrize("mode", ["none", "snippets", "pseudo", "hybrid", "auto"])
def test_each_mode_completes_and_says_what_it_used(completer: Completer, mode: str) -> None:
    repository = Repository(found(5))
    result = completer.complete(replace(REQUEST, context=mode), repository)
    assert result.mode == ("pseudo" if mode == "auto" else mode)
    assert result.tokens == 8
    assert set(result.timings_ms) == {"retrieve", "prefill", "decode", "total"}
    assert result.timings_ms["total"] >= result.timings_ms["prefill"] + result.timings_ms["decode"]
    assert [item.path for item in result.context] == (
        [] if mode == "none" else [f"pkg/m{i}.py" for i in range(5)]
    )


def test_the_modes_differ_in_what_the_model_reads(tiny_model: LoadedModel) -> None:
    texts = {
        mode: Completer(tiny_model).complete(replace(REQUEST, context=mode), Repository(found(3))).text
        for mode in ("none", "snippets", "pseudo", "hybrid")
    }
    assert len(set(texts.values())) == 4


def test_the_query_carries_the_fusers_key(completer: Completer) -> None:
    repository = Repository([])
    completer.complete(REQUEST, repository)
    (query,) = repository.queries
    assert (query.path, query.before, query.after) == ("a.py", REQUEST.prefix, REQUEST.suffix)
    assert query.key is not None
    assert (query.key.shape, query.key.dtype) == ((32,), np.float32)
    assert np.linalg.norm(query.key) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(("budget", "n_items"), [(0, 0), (1, 0), (2, 1), (7, 3), (32, 6)])
def test_the_pseudo_token_budget_holds(tiny_model: LoadedModel, budget: int, n_items: int) -> None:
    settings = ModelSettings(pseudo_tokens=budget)
    result = Completer(tiny_model, settings).complete(
        replace(REQUEST, context="pseudo"), Repository(found(6))
    )
    bare = Completer(tiny_model, settings).complete(replace(REQUEST, context="none"), None)
    assert len(result.context) == n_items
    assert result.prompt_tokens - bare.prompt_tokens == 2 * n_items


def test_the_best_memory_stands_last(tiny_model: LoadedModel) -> None:
    class Recorder:
        per_node = 2

        def project(self, memories: np.ndarray) -> np.ndarray:
            self.memories = memories
            return memories.reshape(-1, 64).astype(np.float32)

    recorder, items = Recorder(), found(3)
    completer = Completer(replace(tiny_model, pseudo=recorder))
    completer.complete(replace(REQUEST, context="pseudo"), Repository(items))
    np.testing.assert_array_equal(recorder.memories, [item.memory for item in reversed(items)])


def test_only_items_that_the_model_reads_are_reported(tiny_model: LoadedModel) -> None:
    settings = ModelSettings(snippet_tokens=50)
    result = Completer(tiny_model, settings).complete(
        replace(REQUEST, context="snippets"), Repository(found(9))
    )
    assert 1 <= len(result.context) < 9


@pytest.mark.parametrize("mode", ["snippets", "pseudo", "hybrid"])
def test_the_smallest_prompt_still_has_room_for_the_cursor(tiny_model: LoadedModel, mode: str) -> None:
    settings = ModelSettings(
        context_tokens=128,
        pseudo_tokens=256,
        snippet_tokens=16384,
        hybrid_text_tokens=4096,
        signature_tokens=4096,
    )
    result = Completer(tiny_model, settings).complete(replace(REQUEST, context=mode), Repository(found(90)))
    assert result.prompt_tokens <= 128
    assert result.tokens == 8


@pytest.mark.parametrize("items", [[], found(1)])
@pytest.mark.parametrize("mode", ["snippets", "pseudo", "hybrid"])
def test_few_or_no_items_are_no_error(completer: Completer, mode: str, items: list[Found]) -> None:
    completion = completer.complete(replace(REQUEST, context=mode), Repository(items))
    assert (completion.mode, len(completion.context)) == (mode, len(items))
    assert completion.tokens == 8 or completion.stopped == "end"
    assert completion.text


@pytest.mark.parametrize(
    ("mode", "read"),
    [("snippets", ["new", "m0", "m1"]), ("pseudo", ["m0", "m1"]), ("hybrid", ["m0", "m1", "new"])],
)
def test_what_has_no_vectors_yet_is_read_as_text_alone(
    completer: Completer, mode: str, read: list[str]
) -> None:
    new = replace(
        found(1)[0], path="pkg/new.py", memory=np.zeros((0, 0), np.float16), signature="def new(x):"
    )
    result = completer.complete(replace(REQUEST, context=mode), Repository([new, *found(2)]))
    assert [item.path for item in result.context] == [f"pkg/{name}.py" for name in read]


def test_without_retrieval_it_completes_from_the_file(completer: Completer) -> None:
    result = completer.complete(REQUEST, None)
    assert (result.mode, result.context, result.tokens) == ("none", (), 8)


def test_a_space_before_the_cursor_is_the_models_to_write(completer: Completer) -> None:
    """The prompt is that of the text without it, and what the model writes goes on behind it."""
    texts: list[str] = []
    request = replace(REQUEST, prefix="return ", finished=lambda text: bool(texts.append(text)))
    behind = completer.complete(request, None)
    before = completer.complete(replace(request, prefix="return", finished=lambda text: True), None)
    assert behind.prompt_tokens == before.prompt_tokens
    assert texts[-1] == behind.text


def test_an_unknown_mode_is_refused(completer: Completer) -> None:
    with pytest.raises(ValueError, match="no context mode 'magic'"):
        completer.complete(replace(REQUEST, context="magic"), Repository([]))


def test_memories_of_another_fuser_are_refused(completer: Completer) -> None:
    foreign = [Found("x.py", np.zeros((2, 32), np.float16))]
    with pytest.raises(ValueError, match="memories are 32 wide, the projector wants 64"):
        completer.complete(REQUEST, Repository(foreign))


# --- held context ---------------------------------------------------------------------------------------------------


def test_a_keystroke_neither_retrieves_nor_prefills_again(completer: Completer) -> None:
    repository = Repository(found(5))
    first = completer.complete(REQUEST, repository)
    repository.items = found(5, seed=1)  # what would be found now is not asked for
    second = completer.complete(replace(REQUEST, prefix=REQUEST.prefix + "x"), repository)
    assert len(repository.queries) == 1
    assert second.context == first.context
    assert second.prompt_tokens - second.reused_tokens <= 2


@pytest.mark.parametrize(
    "change",
    [
        lambda r: replace(r, path="b.py"),
        lambda r: replace(r, generation=1),
        lambda r: replace(r, context="hybrid"),
        lambda r: replace(r, prefix=r.prefix + "\n\n\n\n"),
    ],
)
def test_moving_on_retrieves_again(completer: Completer, change: Callable[[Request], Request]) -> None:
    repository = Repository(found(5))
    completer.complete(REQUEST, repository)
    completer.complete(change(REQUEST), repository)
    assert len(repository.queries) == 2


def test_an_index_that_finds_the_same_again_costs_no_prefill(completer: Completer) -> None:
    repository = Repository(found(5))
    completer.complete(REQUEST, repository)
    second = completer.complete(replace(REQUEST, generation=1), repository)
    assert len(repository.queries) == 2
    assert second.prompt_tokens - second.reused_tokens == 1


def test_the_same_in_another_order_costs_no_prefill(completer: Completer) -> None:
    repository = Repository(found(5))
    first = completer.complete(REQUEST, repository)
    repository.items = list(reversed(repository.items))
    second = completer.complete(replace(REQUEST, generation=1), repository)
    assert second.prompt_tokens - second.reused_tokens == 1
    assert second.context == first.context


def test_something_else_found_is_read(completer: Completer) -> None:
    repository = Repository(found(5))
    completer.complete(REQUEST, repository)
    repository.items = found(5, seed=1)
    second = completer.complete(replace(REQUEST, generation=1), repository)
    assert [item.memory.tobytes() for item in second.context] == [
        item.memory.tobytes() for item in repository.items
    ]


def test_documents_that_take_turns_are_retrieved_for_and_read_once(completer: Completer) -> None:
    requests = [
        replace(REQUEST, path=f"{n}.py", prefix=f"class C{n}:\n    def add(self, fi") for n in range(4)
    ]
    repositories = [Repository(found(5, seed=n)) for n in range(4)]
    first = [completer.complete(*pair) for pair in zip(requests, repositories, strict=True)]
    again = [completer.complete(*pair) for pair in zip(requests, repositories, strict=True)]
    assert [len(repository.queries) for repository in repositories] == [1] * 4
    assert [completion.prompt_tokens - completion.reused_tokens for completion in again] == [1] * 4
    assert [completion.text for completion in again] == [completion.text for completion in first]


def test_only_so_many_places_are_held(tiny_model: LoadedModel) -> None:
    completer = Completer(tiny_model, ModelSettings(recent_places=2))
    repository = Repository(found(5))
    for path in ("a.py", "b.py", "a.py", "c.py", "a.py", "b.py"):
        completer.complete(replace(REQUEST, path=path), repository)
    assert [query.path for query in repository.queries] == ["a.py", "b.py", "c.py", "b.py"]


def test_nothing_found_is_not_held_on_to(completer: Completer) -> None:
    repository = Repository([])
    completer.complete(REQUEST, repository)
    repository.items = found(2)
    assert len(completer.complete(REQUEST, repository).context) == 2


def test_held_context_equals_fresh_token_for_token(tiny_model: LoadedModel) -> None:
    """While typing and deleting; the fresh completer finds the same, because the repository has not changed."""
    held, typed = Completer(tiny_model), ["x", "x, y", "x, y):\n        ret", "x, y):", "z"]
    requests = [replace(REQUEST, prefix=REQUEST.prefix + text) for text in typed]
    with_cache = [held.complete(request, Repository(found(5))).text for request in requests]
    tiny_model.decoder.rewind(0)
    fresh = []
    for request in requests:
        fresh.append(Completer(tiny_model).complete(request, Repository(found(5))).text)
        tiny_model.decoder.rewind(0)
    assert with_cache == fresh


# --- drafts ---------------------------------------------------------------------------------------------------------


def test_what_was_written_or_accepted_before_is_drafted(tiny_model: LoadedModel) -> None:
    plain = Completer(tiny_model, drafts=DraftSettings(enabled=False)).complete(REQUEST, None)
    assert (plain.drafted, plain.accepted, plain.forward_passes) == (0, 0, plain.tokens)
    learned, told = Completer(tiny_model), Completer(tiny_model)
    learned.complete(REQUEST, None)
    told.accepted(REQUEST.prefix, plain.text)
    for completer in (learned, told):
        again = completer.complete(REQUEST, None)
        assert again.text == plain.text
        assert again.forward_passes + again.accepted == plain.tokens
        assert again.forward_passes < plain.forward_passes


def test_tokens_of_the_repository_are_drafted_from(tiny_model: LoadedModel) -> None:
    plain = Completer(tiny_model, drafts=DraftSettings(enabled=False)).complete(REQUEST, None)
    ids = np.array(tiny_model.vocabulary.encode(REQUEST.prefix + plain.text), np.int32)
    for path, is_drafted in (("other.py", True), (REQUEST.path, False)):
        index = SuffixIndex()
        index.update({path: ids})
        result = Completer(tiny_model).complete(replace(REQUEST, tokens=index), None)
        assert result.text == plain.text
        assert (result.forward_passes < plain.forward_passes) == is_drafted


# --- interruption ---------------------------------------------------------------------------------------------------


def test_finished_cancel_and_deadline_reach_the_generator(tiny_model: LoadedModel) -> None:
    completer = Completer(tiny_model)
    calls = itertools.count()
    finished = completer.complete(replace(REQUEST, finished=lambda text: next(calls) == 1), None)
    assert (finished.stopped, finished.tokens) == ("finished", 2)
    cancelled = completer.complete(REQUEST, None, cancelled=lambda: True)
    assert (cancelled.stopped, cancelled.text, cancelled.forward_passes) == ("cancelled", "", 0)
    late = completer.complete(replace(REQUEST, deadline_ms=0.0), None)
    assert (late.stopped, late.text) == ("deadline", "")


def test_the_deadline_counts_from_the_request_not_from_the_decode(tiny_model: LoadedModel) -> None:
    times = itertools.chain([0.0, 2.0], itertools.repeat(2.0))
    completer = Completer(tiny_model, clock=lambda: next(times))
    assert completer.complete(replace(REQUEST, deadline_ms=1000.0), None).stopped == "deadline"


# --- without an adapter ---------------------------------------------------------------------------------------------


def test_without_an_adapter_every_mode_feeds_text(tmp_path: Path) -> None:
    model = load_model(str(write_tiny_checkpoint(tmp_path, adapter=False, fim_order="psm")), device="cpu")
    for mode in ("auto", "pseudo", "hybrid", "snippets"):
        result = Completer(model).complete(replace(REQUEST, context=mode), Repository(found(3)))
        assert result.mode == "snippets"
        assert len(result.context) == 3


def test_importing_it_does_not_import_torch() -> None:
    """The server builds requests and settings before it loads torch (DESIGN 8: start-up)."""
    code = "import sys, model.completer, model.settings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


@pytest.mark.parametrize("mode", ["none", "snippets", "pseudo", "hybrid"])
def test_what_is_weighed_stands_behind_the_prompt_that_was_completed(
    tiny_model: LoadedModel, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the prompt only the last position is computed again, with the text behind it; nothing is retrieved again."""
    request, repository, n_rows = replace(REQUEST, context=mode), Repository(found(4)), []
    completer, extend = Completer(tiny_model), tiny_model.decoder.extend
    completer.complete(request, repository)
    monkeypatch.setattr(
        tiny_model.decoder, "extend", lambda rows, **how: n_rows.append(len(rows)) or extend(rows, **how)
    )
    assert len(completer.log_chances(request, repository, "rst, second):", 5)) == 5
    assert n_rows == [5]
    assert len(repository.queries) == (mode != "none")


def test_a_text_to_weigh_begins_with_what_the_prompt_gave_up(completer: Completer) -> None:
    request = replace(REQUEST, prefix="class A:\n    def add(self): return ", context="none")
    ids = completer.model.vocabulary.encode(" self.x")
    assert len(completer.log_chances(request, None, "self.x", 64)) == len(ids)
    assert len(completer.log_chances(request, None, "self.x", 1)) == 1


def test_the_chance_of_a_text_is_that_of_its_tokens_among_all(completer: Completer) -> None:
    taught = completer.teach(replace(REQUEST, context="none"), None, "rst, second)", 64)
    logits = taught.logits.astype(np.float64)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert taught.ids == tuple(completer.model.vocabulary.encode("rst, second)"))
    np.testing.assert_allclose(np.exp(taught.log_chances), chances[range(len(taught.ids)), taught.ids])


@pytest.mark.parametrize("mode", ["snippets", "pseudo", "hybrid"])
def test_within_a_window_context_takes_nothing_from_the_document(tiny_model: LoadedModel, mode: str) -> None:
    long = replace(REQUEST, prefix="def add(self, first):\n" * 60 + REQUEST.prefix, context=mode)
    settings = ModelSettings(context_tokens=300, snippet_tokens=160)
    alone, read, shared = (
        Completer(tiny_model, settings).complete(request, Repository(found(9)))
        for request in (
            replace(long, context="none", window=100),
            replace(long, window=100),
            replace(long, window=None),
        )
    )
    assert 40 < alone.prompt_tokens <= 100
    assert alone.prompt_tokens < read.prompt_tokens <= 300
    head = (
        Completer(tiny_model, settings)
        ._contexts.at(replace(long, window=100), mode, Repository(found(9)))
        .head
    )
    assert read.prompt_tokens - alone.prompt_tokens == len(head.ids)
    assert shared.prompt_tokens > 200  # the document takes what the context leaves
