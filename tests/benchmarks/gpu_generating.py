"""Whole completions on a GPU through the public `Generator`: first token, LlavaCode's prompts, a line with drafts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from model.drafts.tree import NO_DRAFT, Draft
from model.generator import Generation, Generator, StopLimits
from model.prompt import Prompt
from tests.benchmarks.gpu_subjects import Prompts, Subject, in_turns, share_equal
from tests.benchmarks.measurement import Measurement

N_DRAFTED = 8


class Rehearsed:
    """A drafter that knows the line, and is wrong about every fourth token of it."""

    def __init__(self, line: Sequence[int], n_vocabulary: int) -> None:
        self._line, self._n_vocabulary = line, n_vocabulary
        self._begun: int | None = None

    def draft(self, context: Sequence[int], n_chain: int, banned: np.ndarray | None) -> Draft:
        if self._begun is None:
            self._begun = len(context)
        first = len(context) - self._begun
        tokens = [
            token if place % 4 else (token + 1) % self._n_vocabulary
            for place, token in enumerate(self._line[first : first + N_DRAFTED], start=first)
        ]
        if not tokens:
            return NO_DRAFT
        return Draft(tuple(tokens), tuple(range(-1, len(tokens) - 1)), (1.0,) * len(tokens))

    def verified(self, n_rows: int, seconds: float) -> None:
        """It learns nothing."""


def agreement(
    subject: Subject, generator: Generator, ids: Sequence[int], theirs: Sequence[int]
) -> Measurement:
    """Greedy tokens of ours and of transformers. In bfloat16 two right programs part where two logits nearly tie."""
    nothing = np.zeros((0, subject.config.hidden_size), np.float32)
    ours = generator.generate(Prompt(tuple(ids), nothing), StopLimits(max_tokens=len(theirs))).token_ids
    values = {"equal_from_start": share_equal(theirs, ours), "tokens": len(ours)}
    return subject.measured("agreement", "with transformers", values)


def first_tokens(subject: Subject, generator: Generator) -> Iterator[Measurement]:
    prompts = Prompts(subject.config)
    for n in subject.sizes.prompts:
        [ms] = in_turns({"": _first_ms(generator, partial(prompts.text, n))}, subject.sizes.rounds).values()
        target = "<= 20 ms at 1,500" if subject.name == "1.5B" else ""
        values = {"ms": ms, "floor_ms": subject.prompt_floor_ms(n)}
        yield subject.measured("first token", f"{n} tokens", values, target)


def compressions(subject: Subject, generator: Generator) -> Iterator[Measurement]:
    """LlavaCode, tables 5 and 6: the first token, and each token behind it, where retrieved text is replaced by 10
    pseudo-tokens (their A100: 1.5B 198 -> 157 ms)."""
    prompts, n_tokens = Prompts(subject.config), subject.sizes.line
    for before, after in subject.sizes.compressions:
        found = in_turns(
            {
                "text_ms": _first_ms(generator, partial(prompts.text, before)),
                "pseudo_ms": _first_ms(generator, partial(prompts.compressed, after)),
                "text_token_ms": _next_ms(generator, prompts.text(before), n_tokens),
                "pseudo_token_ms": _next_ms(generator, prompts.compressed(after), n_tokens),
            },
            subject.sizes.rounds,
        )
        saved = 100 * (1 - found["pseudo_ms"] / found["text_ms"])
        yield subject.measured(
            "compression", f"{before} -> {after} tokens", {**found, "saved_percent": saved}
        )


def lines(subject: Subject, generator: Generator) -> Iterator[Measurement]:
    """One line behind a prompt that is cached, without drafts and with drafts of 8 tokens of which 3 in 4 are right."""
    prompt = Prompts(subject.config).text(subject.sizes.line_prompt)
    limits = StopLimits(max_tokens=subject.sizes.line)
    plain = generator.generate(prompt, limits)
    last: dict[str, Generation] = {}

    def run(name: str) -> float:
        drafter = Rehearsed(plain.token_ids, subject.config.vocab_size) if name == "on" else None
        last[name] = done = generator.generate(prompt, limits, drafter)
        return done.prefill_ms + done.decode_ms

    found = in_turns({name: partial(run, name) for name in ("off", "on")}, subject.sizes.rounds)
    for name, ms in found.items():
        done = last[name]
        values = {
            "ms": ms,
            "ms_per_token": ms / len(done.token_ids),
            "passes": done.forward_passes,
            "tokens": len(done.token_ids),
            "equal_from_start": share_equal(plain.token_ids, done.token_ids),
        }
        yield subject.measured("line", f"drafts {name}", values)


def _first_ms(generator: Generator, prompt: Callable[[], Prompt]) -> Callable[[], float]:
    return lambda: generator.generate(prompt(), StopLimits(max_tokens=1)).prefill_ms


def _next_ms(generator: Generator, prompt: Prompt, n_tokens: int) -> Callable[[], float]:
    """Of each token behind a prompt that is cached but for its end; no draft."""

    def run() -> float:
        done = generator.generate(prompt, StopLimits(max_tokens=n_tokens))
        return done.decode_ms / len(done.token_ids)

    return run
