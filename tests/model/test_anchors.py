"""A keystroke costs its own tokens where the coder reads the text behind the cursor last, too."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import pytest

from model.anchors import Anchors, is_typed_around
from model.checkpoint.opening import EMBEDDED_FOLDER
from model.completer import IDLE_SECONDS, Completer
from model.generator import Generator, StopLimits
from model.layout import DocumentName
from model.loaded import LoadedModel
from model.loading import load_model
from model.prompt import Budget, Head, Prompt, build_prompt, empty_head, fit_documents, worst_first
from model.request import Completion, Request, never
from model.settings import ModelSettings
from model.vocabulary import Vocabulary
from tests.model.test_prompt import text_of
from tests.tiny_checkpoint import write_tiny_checkpoint

ABOVE = "import os\n\nclass A:\n    def add(self, first, second):\n"
BELOW = "\n    def sub(self, first, second):\n        return self.first - self.second\n\nx = A()\n"
NAME = DocumentName("a.py", "shop")
WHOLE = Budget(400, 100)


@pytest.fixture(scope="module")
def psm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint") / "psm"
    return write_tiny_checkpoint(folder, adapter=False, fim_order="psm")


@pytest.fixture
def model(psm_folder: Path) -> LoadedModel:
    return load_model(str(psm_folder), device="cpu")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Typist:
    """Asks a completer at cursors, and says what each cost."""

    def __init__(self, model: LoadedModel, settings: ModelSettings | None = None) -> None:
        self.clock = Clock()
        self.completer = Completer(model, settings or ModelSettings(), self.clock)

    def ask(self, prefix: str, suffix: str = BELOW, path: str = "a.py") -> Completion:
        return self.completer.complete(
            Request(path, prefix, suffix, max_tokens=4, deadline_ms=float("inf")), None
        )

    def cost(self, prefix: str, suffix: str = BELOW, path: str = "a.py") -> int:
        """Tokens of the prompt that were computed."""
        done = self.ask(prefix, suffix, path)
        return done.prompt_tokens - done.reused_tokens


def keys(prefix: str, text: str) -> Iterator[str]:
    """The text before the cursor after each key."""
    return (prefix + text[: n + 1] for n in range(len(text)))


def test_what_was_typed_in_the_line_stands_where_the_answer_goes_on(vocabulary: Vocabulary) -> None:
    ids = build_prompt(vocabulary, "psm", empty_head(4), ABOVE + "        x", BELOW, WHOLE).ids
    assert text_of(vocabulary, ids) == f"<|fim_prefix|>{ABOVE}<|fim_suffix|>{BELOW}<|fim_middle|>        x"


def test_a_key_costs_its_own_tokens(model: LoadedModel) -> None:
    typist = Typist(model)
    assert typist.cost(ABOVE) > 50
    assert [n for n in (typist.cost(p) for p in keys(ABOVE, "    def mul(self, first")) if n > 3] == []


def test_enter_does_not_cost_the_text_below_again(model: LoadedModel) -> None:
    typist = Typist(model)
    typist.ask(ABOVE)
    typed = "        y = first\n        z = second\n        return y\n"
    assert max(typist.cost(p) for p in keys(ABOVE, typed)) <= 4
    assert typist.cost(ABOVE + typed[:-12]) <= 4  # and deleted again, over the end of a line


def test_deleting_over_the_anchor_begins_a_line_above(model: LoadedModel) -> None:
    typist = Typist(model)
    typist.ask(ABOVE)
    joined = ABOVE[:-1]
    done = typist.ask(joined)
    assert done.text == Typist(model).ask(joined).text
    assert done.prompt_tokens - done.reused_tokens > 40
    assert max(typist.cost(p) for p in keys(joined, "  # x")) <= 3


def test_a_place_that_is_come_back_to_has_its_anchor(model: LoadedModel) -> None:
    typist = Typist(model)
    typist.ask(ABOVE + "    y = 1\n    z", path="a.py")
    elsewhere = ABOVE + BELOW
    assert typist.cost(elsewhere, "\ny = 2\n" + BELOW) > 40
    assert typist.cost("import sys\n" * 9, "", path="b.py") > 9
    assert typist.cost(ABOVE + "    y = 1\n    z ", path="a.py") <= 3


def test_an_edit_below_is_read(model: LoadedModel) -> None:
    typist = Typist(model)
    typist.ask(ABOVE + "    x")
    edited = BELOW.replace("sub", "substitute")
    assert typist.ask(ABOVE + "    xy", edited).text == Typist(model).ask(ABOVE + "    xy", edited).text
    assert typist.cost(ABOVE + "    xyz", edited) <= 3


def test_a_bracket_that_the_editor_closes_costs_nothing(model: LoadedModel) -> None:
    typist = Typist(model)
    typist.ask(ABOVE + "    f")
    assert typist.cost(ABOVE + "    f(", ")" + BELOW) <= 3
    assert typist.cost(ABOVE + "    f(['", "'])" + BELOW) <= 4
    assert typist.cost(ABOVE + "    f([''])") <= 6


@pytest.mark.parametrize(
    ("now", "same"),
    [
        ("x", True),
        (")x", True),
        ("'])x", True),
        (" x", False),
        ("y)x", False),
        ("", False),
        (")" * 9 + "x", False),
    ],
)
def test_what_an_editor_closes_is_no_edit(now: str, same: bool) -> None:
    assert is_typed_around("x", now) is same


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_edited_the_prompt_shows_what_stands_around_the_cursor(
    vocabulary: Vocabulary, seed: int
) -> None:
    rng, budget = random.Random(seed), Budget(160, 40)
    anchors, text, cursor = Anchors(vocabulary, "psm", 3), (ABOVE + BELOW) * 3, 200
    for _ in range(120):
        move = rng.random()
        if move < 0.1:
            cursor = rng.randrange(len(text))
        elif move < 0.3:
            cut = rng.randint(1, 4)
            text, cursor = text[: max(0, cursor - cut)] + text[cursor:], max(0, cursor - cut)
        else:
            typed = rng.choice(["x", "\n", "    ", "self.", "(", "é", "return y\n"])
            text, cursor = text[:cursor] + typed + text[cursor:], cursor + len(typed)
        prompt = anchors.prompt(NAME, empty_head(4), text[:cursor], text[cursor:], budget)
        before, after = (text_of(vocabulary, ids) for ids in (prompt.before, prompt.after))
        assert text[:cursor].endswith(before)
        assert text[cursor:].startswith(after)
        assert len(before) >= min(cursor, 20)
        assert len(prompt) <= budget.total


def test_far_from_the_anchor_there_is_a_new_one(vocabulary: Vocabulary) -> None:
    def middle(prompt: Prompt) -> int:
        return len(prompt.ids) - 1 - prompt.ids.index(vocabulary.fim.middle)

    for line, budget in (("y = 1\n", Budget(4000, 50)), ("y = first + second\n", Budget(300, 50))):
        anchors = Anchors(vocabulary, "psm", 3)
        n = [middle(anchors.prompt(NAME, empty_head(4), ABOVE + line * n, BELOW, budget)) for n in range(60)]
        assert n[1] > 0
        assert 1 < n.count(0) <= 8
        assert max(n) < 160


def test_a_line_longer_than_what_is_left_for_typing_stands_in_front(vocabulary: Vocabulary) -> None:
    long = "x = '" + "ab" * 2000
    ids = build_prompt(vocabulary, "psm", empty_head(4), long, BELOW, WHOLE).ids
    assert ids[-1] == vocabulary.fim.middle


def test_another_context_has_an_anchor_of_its_own(vocabulary: Vocabulary) -> None:
    anchors = Anchors(vocabulary, "psm", 3)
    heads = [Head(tuple(vocabulary.encode(text)), empty_head(4).pseudo) for text in ("# a\n", "# b\n")]
    for head in (*heads, heads[0]):
        ids = anchors.prompt(NAME, head, ABOVE + "x", BELOW, WHOLE).ids
        assert ids == build_prompt(vocabulary, "psm", head, ABOVE + "x", BELOW, WHOLE, NAME).ids


def test_the_answer_behind_a_held_anchor_is_that_of_a_fresh_cache(
    model: LoadedModel, psm_folder: Path
) -> None:
    typist, fresh = Typist(model), load_model(str(psm_folder), device="cpu")
    anchors = Anchors(model.vocabulary, "psm", 4)
    for prefix in keys(ABOVE, "        y\n        ret"):
        prompt = anchors.prompt(NAME, empty_head(64), prefix, BELOW, Budget(464, 192))
        alone = Generator(fresh.decoder, fresh.vocabulary, fresh.stop_ids).generate(prompt, StopLimits(4))
        held = typist.completer._generator.generate(prompt, StopLimits(4))
        assert (held.token_ids, held.text) == (alone.token_ids, alone.text)
        fresh.decoder.rewind(0)


def test_a_prompt_that_was_given_up_is_gone_on_with(model: LoadedModel) -> None:
    typist = Typist(model)
    asked = iter([False])
    request = Request("a.py", ABOVE * 8, BELOW, max_tokens=4, deadline_ms=float("inf"))
    given_up = typist.completer.complete(request, None, lambda: next(asked, True))
    assert given_up.stopped == "cancelled"
    done = typist.ask(ABOVE * 8 + "x")
    assert done.reused_tokens == 128


class TestIdle:
    """Once nobody types the anchor moves to the cursor's line."""

    LINES = "        y = first\n        z = second\n        r"

    def typed(self, model: LoadedModel) -> Typist:
        typist = Typist(model)
        typist.ask(ABOVE)
        typist.ask(ABOVE + self.LINES)
        return typist

    def test_then_the_text_stands_in_front(self, model: LoadedModel) -> None:
        typist = self.typed(model)
        typist.clock.now += IDLE_SECONDS
        assert not typist.completer.tend(never)
        assert typist.cost(ABOVE + self.LINES + "e") <= 3
        assert typist.ask(ABOVE + self.LINES).text == Typist(model).ask(ABOVE + self.LINES).text

    def test_not_before(self, model: LoadedModel) -> None:
        typist = self.typed(model)
        typist.clock.now += IDLE_SECONDS / 2
        assert not typist.completer.tend(never)
        assert typist.cost(ABOVE + self.LINES + "e") <= 3
        assert typist.cost(ABOVE + "        y") <= 8  # the anchor is where it was

    def test_who_types_meanwhile_goes_on_from_what_was_computed(self, model: LoadedModel) -> None:
        typist = self.typed(model)
        typist.clock.now += IDLE_SECONDS
        asked = iter([False, False])
        assert typist.completer.tend(lambda: next(asked, True))
        fresh = Typist(model).cost(ABOVE + self.LINES + "e")
        assert 3 < typist.cost(ABOVE + self.LINES + "e") <= fresh - 32
        assert not typist.completer.tend(never)

    def test_nothing_is_done_twice(self, model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
        typist = self.typed(model)
        typist.clock.now += IDLE_SECONDS
        typist.completer.tend(never)
        monkeypatch.setattr(model.decoder, "extend", None)  # would raise
        assert not typist.completer.tend(never)


@pytest.mark.parametrize(("order", "digest"), [("spm", "991544fef287b6ad"), ("ltr", "a70c47e79ea48666")])
def test_other_orders_have_the_prompts_they_had_before_there_were_anchors(order: str, digest: str) -> None:
    """Digests of ids taken at commit 1d2bc43: the embedded coder was trained on these."""
    vocabulary = Vocabulary.load(EMBEDDED_FOLDER / "tokenizer.json")
    above = "".join(f"def f{i}(self, x: int) -> int:\n    return self.g{i}(x) + {i}\n\n\n" for i in range(60))
    below = "".join(f"    value_{i} = compute(name, {i})\n" for i in range(60))
    anchors, found = Anchors(vocabulary, order, 4), blake2b(digest_size=8)
    for typed in ("", "    ", "    if x", " return self.f(", "x\n\n    y = 1\n"):
        for total in (200, 960):
            documents = fit_documents(vocabulary, [("a/b.py", "x = 1\n"), ("c.py", below)], 60)
            head = Head(worst_first(documents), empty_head(4).pseudo)
            prompt = anchors.prompt(NAME, head, above + typed, below, Budget(total, 192))
            found.update(str(prompt.ids).encode())
    assert found.hexdigest() == digest


def test_with_qwens_vocabulary_a_key_costs_one_to_three_tokens(qwen_model: LoadedModel) -> None:
    """195 before, of a suffix of as many."""
    typist = Typist(qwen_model, replace(ModelSettings(), recent_places=2))
    above, below = ABOVE * 12, BELOW * 12
    assert typist.cost(above, below) > 300
    costs = [
        typist.cost(p, below) for p in keys(above, "        total = self.add(first, 2)\n        return t")
    ]
    assert max(costs) <= 3
    assert sum(costs) / len(costs) < 2
