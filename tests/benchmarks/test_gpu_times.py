"""The page about GPUs says what the functions compute, and its commands are ones that the programs take."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable, Sequence
from itertools import product

import pytest

from model.evaluation import cli as evaluation
from model.pace import LINE_TOKENS
from model.reading import ON_CUDA
from model.settings import DEFAULT_MODEL
from model.training import __main__ as training
from model.training.config import SHIPPED
from tests.benchmarks import gpu
from tests.benchmarks.gpu_arithmetic import A100, CARDS, H100, PUBLISHED_MS, RTX_4090, Shapes, Work
from tests.benchmarks.gpu_runs import (
    AS_PUBLISHED,
    FROZEN,
    LLAVACODE,
    QWEN3_EMBEDDING,
    AdapterRun,
    benchmark_work,
    evaluation_work,
)
from tests.benchmarks.gpu_subjects import SHAPES, TINY
from tests.benchmarks.gpu_times import BEGIN, CODERS, PAGE, pace_on, page_with_tables, tables

Parse = Callable[[Sequence[str]], object]
PARSERS: dict[str, Parse] = {
    "tests.benchmarks.gpu": gpu._parser().parse_args,
    "model.training": training._parser().parse_args,
    "model.evaluation": evaluation._parser().parse_args,
}
_COMMAND = re.compile(r"^\.venv/bin/python -m (\S+) (.*)$", re.MULTILINE)


def test_the_page_has_the_tables_that_are_computed() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page_with_tables(text) == text, "run: python -m tests.benchmarks.gpu_times --write"


def test_a_page_without_marks_is_told() -> None:
    with pytest.raises(ValueError, match="the page has no"):
        page_with_tables(BEGIN)


def test_each_command_of_the_page_is_one_that_its_program_takes() -> None:
    commands = [command for command in _COMMAND.findall(PAGE.read_text("utf-8")) if command[0] in PARSERS]
    assert {module for module, _ in commands} == PARSERS.keys()
    for module, arguments in commands:
        PARSERS[module](shlex.split(arguments, comments=True))


@pytest.mark.parametrize(
    ("name", "weights", "body", "row_bytes"),
    [("0.5B", 494.0, 357.9, 12_288), ("1.5B", 1543.7, 1310.3, 28_672), ("7B", 7615.6, 6525.6, 57_344)],
)
def test_the_shapes_are_the_published_ones(name: str, weights: float, body: float, row_bytes: int) -> None:
    """Qwen2.5-Coder's model cards: 0.49B (0.36B), 1.54B (1.31B) and 7.61B (6.53B) without embeddings."""
    coder = CODERS[name]
    assert coder.n_weights / 1e6 == pytest.approx(weights, abs=0.1)
    assert coder.body / 1e6 == pytest.approx(body, abs=0.1)
    assert coder.row_bytes == row_bytes


def test_the_encoder_of_llavacode_has_its_weights() -> None:
    assert 0.59e9 < Shapes(QWEN3_EMBEDDING).n_weights < 0.6e9


def test_the_longer_of_operations_and_bytes_counts() -> None:
    one_second = Work(operations=0.5 * H100.operations_per_s, n_bytes=0.1 * H100.bytes_per_s)
    assert one_second.seconds(H100) == pytest.approx(1.0)
    assert (one_second * 3 + Work(n_bytes=6.7 * H100.bytes_per_s)).seconds(H100) == pytest.approx(10.0)


@pytest.mark.parametrize("name", ["7B", "14B"])
def test_a_first_token_is_near_what_was_published(name: str) -> None:
    for (coder, n), (_, vllm) in PUBLISHED_MS.items():
        if coder == name:
            assert 0.75 < pace_on(A100, CODERS[name], n).prompt_ms / vllm < 1.3


def test_a_prompt_is_computed_and_a_token_is_read() -> None:
    coder = CODERS["1.5B"]
    prompt, token = coder.first_token(2000), coder.token(2000)
    assert prompt.operations == pytest.approx(2 * 1.3103e9 * 2000, rel=0.1)  # a head and attention on top
    assert token.n_bytes == pytest.approx(2 * 1_543_714_304 + 2001 * 28_672)
    assert prompt.seconds(RTX_4090) > 10 * token.seconds(RTX_4090)
    in_two = coder.forward(1200) + coder.forward(800, past=1200)
    assert in_two.operations == pytest.approx(prompt.operations, rel=0.001)  # but for the second head


def test_what_is_read_on_cuda_leaves_time_for_retrieval_and_twice_as_much_does_not() -> None:
    """`ON_CUDA` was chosen so: a cold place and a line, on the slowest pair of a coder and a card that fits it."""
    deadline = DEFAULT_MODEL.deadline_ms
    taken = {
        (name, card.name): [
            (pace := pace_on(card, coder, n)).begin_ms + pace.line_ms
            for n in (ON_CUDA.context_tokens, 2 * ON_CUDA.context_tokens)
        ]
        for (name, coder), card in product(CODERS.items(), CARDS)
        if name != "14B"
    }
    once, twice = taken.pop(("7B", "RTX 4090"))
    assert once < 0.6 * deadline
    assert twice > 0.95 * deadline
    assert max(ms for ms, _ in taken.values()) < 150


def test_the_recipe_has_the_steps_of_the_paper() -> None:
    assert LLAVACODE.rows / 66 == pytest.approx(6600, rel=0.05)
    encoded = AS_PUBLISHED.seconds(CODERS["1.5B"], H100) / LLAVACODE.seconds(CODERS["1.5B"], H100)
    assert 1.08 < encoded < 1.15
    assert LLAVACODE.seconds(CODERS["1.5B"], H100) < LLAVACODE.seconds(CODERS["1.5B"], RTX_4090)
    per_row = FROZEN.seconds(CODERS["1.5B"], H100) / FROZEN.rows
    operations = 3 * 2 * 1.31e9 * FROZEN.row_tokens  # forward twice and back once; the fuser's layers on top
    fuser = 3 * 2 * (3 / 28 * 1.31e9) * 8 * 192
    assert per_row == pytest.approx((operations + fuser) / (0.4 * H100.operations_per_s), rel=0.1)


@pytest.mark.parametrize(("name", "run"), [("frozen", FROZEN), ("llavacode", LLAVACODE)])
def test_the_runs_are_those_of_the_recipes(name: str, run: AdapterRun) -> None:
    recipe = tomllib.loads((SHIPPED / f"{name}.toml").read_text(encoding="utf-8"))
    assert (run.row_tokens, run.together) == (recipe["shape"]["length"], recipe["batch"])
    assert run.rollout_tokens == recipe.get("rollout_tokens", 0)


def test_more_rounds_and_longer_answers_take_longer() -> None:
    tiny = Shapes(SHAPES["tiny"])
    small, full = (sum(work.operations for work in benchmark_work(tiny, sizes)) for sizes in (TINY, gpu.FULL))
    assert small < full / 100
    tokens = [work.n_bytes for work in evaluation_work(CODERS["0.5B"])]
    assert tokens[1] > tokens[0]  # as many calls as lines, of more tokens each


def test_a_line_has_as_many_tokens_as_the_pace_says() -> None:
    pace = pace_on(H100, CODERS["7B"], 2048)
    assert pace.line_ms == LINE_TOKENS * pace.token_ms
    assert f"{pace.begin_ms + pace.line_ms:.0f}" in tables()
