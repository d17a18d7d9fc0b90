"""transformers on the same GPU and the same weights: as it comes, and compiled over its static cache."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

import torch

from tests.benchmarks.gpu_subjects import Prompts, Stopwatch, Subject, in_turns
from tests.benchmarks.measurement import Measurement

_ROUNDS = 3  # a step of theirs is long


class Peer:
    """`generate` of transformers' Qwen2 with a copy of the subject's weights. Raises ImportError without it."""

    def __init__(self, subject: Subject) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own imports
            import transformers
        self._transformers = transformers
        self._subject = subject
        self._watch = Stopwatch(subject.device)
        fields = asdict(subject.config)
        fields.pop("attention_bias")  # Qwen2 always has it
        theta = fields.pop("rope_theta")
        rope = {"rope_type": "default", "rope_theta": theta}
        config = transformers.Qwen2Config(
            **fields, rope_parameters=rope, eos_token_id=None, bos_token_id=None
        )
        with torch.device(subject.device):
            self._model = transformers.Qwen2ForCausalLM._from_config(config, dtype=subject.dtype).eval()
        self._model.load_state_dict(subject.network.state_dict(), strict=False)
        self._model.tie_weights()

    def generate(self, ids: list[int], n: int, *, compiled: bool = False) -> list[int]:
        prompt = torch.tensor([ids], device=self._subject.device)
        return self._generated({"input_ids": prompt}, n, compiled)

    def first_ms(self, n: int, prompts: Prompts) -> Callable[[], float]:
        return lambda: self._watch.ms(partial(self.generate, prompts.ids(n), 1))

    def token_ms(self, n_prompt: int, prompts: Prompts, *, compiled: bool) -> Callable[[], float]:
        """Of decoding alone: the time of many tokens less that of one."""
        steps = self._subject.sizes.steps

        def run() -> float:
            ids = prompts.ids(n_prompt)
            one = self._watch.ms(lambda: self.generate(ids, 1, compiled=compiled))
            many = self._watch.ms(lambda: self.generate(ids, 1 + steps, compiled=compiled))
            return (many - one) / steps

        return run

    def pseudo_first_ms(self, n: int) -> Callable[[], float]:
        """Vectors go in, as for pseudo-tokens."""
        hidden = self._subject.config.hidden_size

        def run() -> float:
            vectors = 0.02 * torch.randn(1, n, hidden, device=self._subject.device)
            return self._watch.ms(
                lambda: self._generated({"inputs_embeds": vectors.to(self._subject.dtype)}, 1, False)
            )

        return run

    def _generated(self, inputs: dict[str, torch.Tensor], n: int, compiled: bool) -> list[int]:
        options: dict[str, Any] = {
            "do_sample": False,
            "min_new_tokens": n,
            "max_new_tokens": n,
            "use_cache": True,
        }
        if compiled:
            options["cache_implementation"] = "static"
            if self._subject.device.type == "cpu":  # where transformers does not compile by itself
                how = self._transformers.CompileConfig(backend="eager")
                how._compile_all_devices = True
                options["compile_config"] = how
        first = next(iter(inputs.values()))
        mask = torch.ones(first.shape[:2], dtype=torch.long, device=first.device)
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = self._model.generate(**inputs, attention_mask=mask, **options)
        ids: list[int] = out[0, -n:].tolist()
        return ids


def peer_rows(subject: Subject, peer: Peer, only: Collection[str]) -> Iterator[Measurement]:
    """Their first token, token and compression, as far as these topics are wanted."""
    prompts, sizes = Prompts(subject.config), subject.sizes
    rounds = min(_ROUNDS, sizes.rounds)
    for n in sizes.prompts if "first token" in only else ():
        [ms] = in_turns({"": peer.first_ms(n, prompts)}, rounds).values()
        yield subject.measured("first token", f"{n} tokens, transformers", {"ms": ms})
    for before, after in sizes.compressions if "compression" in only else ():
        runs = {"text_ms": peer.first_ms(before, prompts), "pseudo_ms": peer.pseudo_first_ms(after)}
        found = in_turns(runs, rounds)
        found["saved_percent"] = 100 * (1 - found["pseudo_ms"] / found["text_ms"])
        yield subject.measured("compression", f"{before} -> {after}, transformers", found)
    ways = (("transformers", False), ("transformers, compiled", True))
    for case, compiled in ways if "token" in only else ():
        [ms] = in_turns({"": peer.token_ms(sizes.line_prompt, prompts, compiled=compiled)}, rounds).values()
        yield subject.token(case, ms)
