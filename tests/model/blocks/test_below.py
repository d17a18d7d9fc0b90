"""A coder without fill-in-the-middle reads what stands below the cursor's line as a block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.blocks.block import SPAN
from model.blocks.choosing import BlockChoice
from model.completer import Completer
from model.loaded import LoadedModel
from model.loading import load_from_settings
from model.prompt import Budget, at_token_boundary, build_prompt, empty_head
from model.repository import RetrievalQuery
from model.request import Request
from model.settings import DraftSettings, ModelSettings
from model.vocabulary import Vocabulary
from tests.model.block_mask import in_one_pass
from tests.model.engines.test_torch_decoder import reference
from tests.model.found_item import FoundItem
from tests.tiny_checkpoint import tiny_config, tiny_network, write_tiny_checkpoint

CONTROL = ("<|endoftext|>",)  # of a coder that was never taught to fill a hole
SHAPE: dict[str, object] = {"max_position_embeddings": 1024}
PREFIX = "import os\nclass A:\n    def add(self, first, second):\n        return self."
LINE_END = "first)\n"
BELOW = "\ndef after(first):\n    return os.path\n"
ITEM_TEXT = "class A:\n    second = 1\n"
NO_DEADLINE = 600_000.0  # milliseconds


def retrieve(query: RetrievalQuery) -> Sequence[FoundItem]:
    return [FoundItem("other.py", ITEM_TEXT)]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> ModelSettings:
    folder = tmp_path_factory.mktemp("ltr") / "coder"
    write_tiny_checkpoint(folder, adapter=False, control=CONTROL, **SHAPE)
    return ModelSettings(name=str(folder), context="blocks", dtype="float32", max_tokens=8)


@pytest.fixture(scope="module")
def model(settings: ModelSettings, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_from_settings(settings, embedded=tmp_path_factory.mktemp("nothing"))


@pytest.fixture
def completer(model: LoadedModel, settings: ModelSettings) -> Completer:
    for slot in range(model.decoder.n_slots):
        model.decoder.select(slot)
        model.decoder.rewind(0)
    return Completer(model, settings, drafts=DraftSettings(enabled=False))


def request(prefix: str = PREFIX, suffix: str = LINE_END + BELOW) -> Request:
    return Request("a.py", prefix, suffix, context="blocks", max_tokens=4, deadline_ms=NO_DEADLINE)


def below(vocabulary: Vocabulary, suffix: str, rows: int = 1024) -> str | None:
    """The text of the block."""
    choice = BlockChoice(vocabulary, rows, 1.0, reads_below=True)
    found = choice.below(suffix)
    return found and b"".join(map(vocabulary.token_bytes, found.ids)).decode()


def placed(completer: Completer, asked: Request) -> int:
    """Rows of blocks that the prompt has once all that is wanted is made."""
    completer.prepare(asked, retrieve)
    return n_blocks(completer, asked)


def n_blocks(completer: Completer, asked: Request) -> int:
    """Rows of blocks that the prompt has, without the sink."""
    window, _ = at_token_boundary(completer.model.vocabulary, asked.prefix)
    answer = completer.complete(asked, retrieve)
    return answer.prompt_tokens - len(completer.model.vocabulary.encode(window)) - 1


class TestText:
    def test_it_begins_below_the_cursor_s_line(self, vocabulary: Vocabulary) -> None:
        assert below(vocabulary, LINE_END + BELOW) == BELOW
        assert below(vocabulary, "\n" + BELOW) == BELOW
        assert below(vocabulary, ")\r\nx = 1\r\n") == "x = 1\r\n"

    @pytest.mark.parametrize("suffix", ["", "\n", ")", ")\n", "\n \n\t\n", "x" * 100_000 + "\ny = 1\n"])
    def test_where_nothing_stands_there_is_none(self, vocabulary: Vocabulary, suffix: str) -> None:
        assert below(vocabulary, suffix) is None

    def test_it_is_one_block_and_the_rest_is_among_the_document_s_parts(self, vocabulary: Vocabulary) -> None:
        long = "".join(f"value_{n} = {n}\n" for n in range(100))
        choice = BlockChoice(vocabulary, 10_000, 1.0, reads_below=True)
        window = build_prompt(vocabulary, "ltr", empty_head(8), PREFIX, "\n" + long, Budget(64, 0))
        first = choice.below("\n" + long)
        texts, _ = choice.choose([], window, PREFIX, "\n" + long)
        assert first is not None
        assert len(first.ids) == SPAN
        read = [
            b"".join(map(vocabulary.token_bytes, ids)).decode()
            for ids in (first.ids, *(t.ids for t in texts))
        ]
        assert all(any(line in text for text in read) for line in long.splitlines())
        assert (
            sum(map(len, read)) < len(long) + 2 * SPAN
        )  # one part is read whole that the first has a piece of

    def test_all_blocks_together_have_no_more_rows_than_allowed(self, vocabulary: Vocabulary) -> None:
        long = "".join(f"value_{n} = {n}\n\n" for n in range(200))
        window = build_prompt(vocabulary, "ltr", empty_head(8), long, "\n" + long, Budget(64, 0))
        for rows in (0, 100, SPAN, 300):
            choice = BlockChoice(vocabulary, rows, 1.0, reads_below=True)
            first = choice.below("\n" + long)
            texts, _ = choice.choose([FoundItem("other.py", ITEM_TEXT)], window, long, "\n" + long)
            assert sum(len(text.ids) for text in (*texts, *([first] if first else []))) <= rows

    def test_a_coder_that_fills_holes_has_none(self, vocabulary: Vocabulary) -> None:
        assert BlockChoice(vocabulary, 1024, 1.0).below(LINE_END + BELOW) is None


def by_the_mask(model: LoadedModel, parts: Sequence[str], prefix: str, target: str) -> np.ndarray:
    """Log chances of `target` behind `prefix`, by transformers in one pass: each of `parts` sees the sink and itself,
    and what follows sees all. Float64 [n]."""
    encode = model.vocabulary.encode
    answer = encode(target)
    window = [*encode(prefix), *answer]
    blocks = [encode(part) for part in parts]
    ids, positions, sees = in_one_pass(model.vocabulary.fim.end, blocks, window)
    theirs = reference(tiny_config(**SHAPE))
    theirs.load_state_dict(tiny_network(tiny_config(**SHAPE)).state_dict(), strict=False)
    theirs.tie_weights()
    mask = torch.where(torch.from_numpy(sees), 0.0, float("-inf"))[None, None]
    inputs = {"attention_mask": mask, "position_ids": torch.tensor([positions])}
    with torch.inference_mode():
        logits = theirs(torch.tensor([ids]), **inputs).logits[0, -len(answer) - 1 : -1].double()
    return np.asarray(logits.log_softmax(-1)[range(len(answer)), answer])


def test_what_is_placed_is_one_pass_under_the_mask(completer: Completer, model: LoadedModel) -> None:
    asked, target = request("import os\nself", LINE_END + BELOW), "add"
    completer.prepare(asked, retrieve)
    found = completer.log_chances(asked, retrieve, target, 8)
    item = f"# other.py\n{ITEM_TEXT}"
    expected = by_the_mask(model, [item, BELOW], asked.prefix, target)
    without = by_the_mask(model, [item], asked.prefix, target)
    error = np.abs(found - expected).max()  # blocks are kept in int8
    assert error < 0.1
    assert np.abs(without - expected).max() > 5 * error


def test_typing_in_the_line_keeps_it(completer: Completer) -> None:
    completer.prepare(request(), retrieve)
    before = completer.complete(request(), retrieve)
    for typed in ("f", "fi", "fir", "first", "first, second"):
        answer = completer.complete(request(PREFIX + typed), retrieve)
        assert not completer.tend(lambda: False)
        assert answer.prompt_tokens - answer.reused_tokens <= len(typed) + 2
        assert answer.prompt_tokens > before.prompt_tokens
    broken = completer.complete(request(PREFIX + "first)\n"), retrieve)
    assert not completer.tend(lambda: False)  # nor does a new line above it
    assert broken.prompt_tokens > before.prompt_tokens


def test_an_edit_below_makes_it_anew_and_until_then_the_old_one_is_read(completer: Completer) -> None:
    n_before = placed(completer, request())
    edited = request(suffix=LINE_END + "x = 1\n" + BELOW)
    assert n_blocks(completer, edited) == n_before
    assert not completer.tend(lambda: False)  # one block was wanted, and is made
    encode = completer.model.vocabulary.encode
    added = len(encode("x = 1\n" + BELOW)) - len(encode(BELOW))
    assert n_blocks(completer, edited) - n_before == added > 0


def test_another_text_below_costs_the_end_of_the_window_only(completer: Completer) -> None:
    long = "".join(f"    value_{n} = self.first\n" for n in range(30)) + PREFIX
    placed(completer, request(long))
    edited = request(long, LINE_END + "x = 1\n" + BELOW)
    completer.complete(edited, retrieve)
    completer.tend(lambda: False)
    answer = completer.complete(edited, retrieve)
    assert len(completer.model.vocabulary.encode(long)) > 300
    assert 0 < answer.prompt_tokens - answer.reused_tokens <= 32


def test_it_is_read_before_all_else_is_made(completer: Completer) -> None:
    assert n_blocks(completer, request()) == 0
    assert completer.tend(lambda: False)  # one of two
    assert n_blocks(completer, request()) == len(completer.model.vocabulary.encode(BELOW))


def test_what_is_deleted_below_is_read_no_more(completer: Completer) -> None:
    with_it = placed(completer, request())
    n_below = len(completer.model.vocabulary.encode(BELOW))
    assert n_blocks(completer, request(suffix=LINE_END)) == with_it - n_below


@pytest.mark.parametrize("suffix", ["", "\n", ")\n\n", ")"])
def test_at_the_end_of_a_file_nothing_of_it_is_read(completer: Completer, suffix: str) -> None:
    item = completer.model.vocabulary.encode(f"# other.py\n{ITEM_TEXT}")
    assert placed(completer, request(suffix=suffix)) == len(item)


def test_a_coder_that_fills_holes_reads_it_in_its_window_only(
    model: LoadedModel, settings: ModelSettings
) -> None:
    filling = replace(model, fim_order="spm")
    assert Completer(filling, settings)._contexts._choice.below(LINE_END + BELOW) is None


def test_left_alone_such_a_coder_reads_blocks(settings: ModelSettings, tmp_path: Path) -> None:
    auto = replace(settings, context="auto")
    model = load_from_settings(auto, embedded=tmp_path)
    assert model.default_context == "blocks"
    assert Completer(model, auto).mode("auto") == "blocks"
