"""Drafts on and off, and each part of drafting off in turn: passes, acceptance, time. The output must be the same.

Lines and function bodies are taken out of real files and completed where they stood. All configurations answer each
task one after the other, from an empty cache, so that they see the same machine in the same state; what drafting
learns (session, odds, costs) is kept from task to task, as in the server.
"""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np

from indexer import Index
from indexer.installed import imported
from indexer.packages import PackageTokens
from model.completer import Completer
from model.drafts.drafter import Drafter, Parts
from model.engines.decoder import Decoder
from model.loaded import LoadedModel
from model.request import Completion, Request
from model.settings import DraftSettings
from tests.benchmarks.completion import cursors
from tests.benchmarks.measurement import Measurement, percentiles
from tests.benchmarks.subjects import Subject

N_LINES = 24
N_BLOCKS = 16
MAX_TOKENS = {"line": 48, "block": 128}
WIDTHS = (1, 2, 4, 8, 16, 32, 64)
N_CONTEXT = 512  # positions before a timed pass
PACKAGES_SECONDS = 180.0  # that building the packages' tokens may take
_SIGNATURE = re.compile(r"^[ ]*def [^\n]*:\n", re.MULTILINE)

PARTS: Mapping[str, tuple[DraftSettings, Parts]] = {
    "all": (DraftSettings(), Parts()),
    "no repository": (DraftSettings(), Parts(repository=False)),
    "no packages": (DraftSettings(), Parts(packages=False)),
    "no session": (DraftSettings(), Parts(session=False)),
    "document only": (DraftSettings(), Parts(repository=False, packages=False, session=False)),
    "8 nodes": (DraftSettings(nodes=8), Parts()),
    "1 node": (DraftSettings(nodes=1), Parts()),
    "no skip": (DraftSettings(), Parts(skip=False)),
    "no missing table": (DraftSettings(), Parts(missing_table=False)),
}


@dataclass(frozen=True, eq=False)
class _Task:
    kind: str
    path: str
    prefix: str
    suffix: str
    finished: Callable[[str], bool]


@dataclass(eq=False)
class _Contestant:
    """A configuration, what it has learned and what it has done; None: drafts are off."""

    drafter: Drafter | None
    done: list[Completion] = field(default_factory=list)


def ablation(subject: Subject, model: LoadedModel) -> Iterator[Measurement]:
    """One row per kind of task and configuration, then the cost of a pass by its width."""
    with closing(
        Index.open(subject.root, None, subject.cache / "drafts", tokenizer=model.vocabulary)
    ) as index:
        index.update()
        packages = _packages(subject, model)
        for kind, tasks in (("line", list(_lines(subject))), ("block", list(_blocks(subject)))):
            field_ = {"off": _Contestant(None)}
            field_ |= {name: _Contestant(Drafter(model.vocabulary, *how)) for name, how in PARTS.items()}
            for task in tasks:
                for one in field_.values():
                    one.done.append(_complete(model, one.drafter, task, index, packages))
            yield from _rows(subject, kind, field_)
        packages.stop()
    yield _pass_costs(subject, model.decoder)


def _packages(subject: Subject, model: LoadedModel) -> PackageTokens:
    """What the subject imports, but nothing of itself: its answers must not be among its packages."""
    texts = (file.read_text(encoding="utf-8", errors="replace") for file in subject.files)
    imports = Counter(name for text in texts for name in imported(text))
    own = {
        subject.name,
        *(file.relative_to(subject.root).parts[0].removesuffix(".py") for file in subject.files),
    }
    packages = PackageTokens(subject.root, subject.cache, model.vocabulary)
    packages.follow(Counter({name: n for name, n in imports.items() if name not in own}))
    packages.wait(PACKAGES_SECONDS)
    return packages


def _lines(subject: Subject) -> Iterator[_Task]:
    for cursor in cursors(subject, N_LINES):
        yield _Task("line", cursor.path, cursor.prefix, cursor.suffix, lambda text: "\n" in text.lstrip())


def _blocks(subject: Subject) -> Iterator[_Task]:
    """Bodies of functions, one per file, drawn with a fixed seed."""
    draw = random.Random(3)
    n_found = 0
    for file in subject.sample(N_BLOCKS * 4):
        text = file.read_text(encoding="utf-8", errors="replace")
        places = [(found, body) for found in _SIGNATURE.finditer(text) if (body := _body(text, found.end()))]
        if places and n_found < N_BLOCKS:
            n_found += 1
            found, body = draw.choice(places)
            path = file.relative_to(subject.root).as_posix()
            suffix = text[found.end() + len(body) :]
            yield _Task("block", path, text[: found.end()], suffix, _dedented(_indent(found[0])))


def _body(text: str, start: int) -> str:
    """The lines from `start` on that are indented deeper than the line before; "" when they are fewer than three."""
    outer = _indent(text[:start].splitlines()[-1])
    lines = []
    for line in text[start:].splitlines(keepends=True):
        if line.strip() and _indent(line) <= outer:
            break
        lines.append(line)
    return "".join(lines) if len(lines) >= 3 else ""


def _dedented(outer: int) -> Callable[[str], bool]:
    return lambda text: any(line.strip() and _indent(line) <= outer for line in text.splitlines()[:-1])


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _complete(
    model: LoadedModel, drafter: Drafter | None, task: _Task, index: Index, packages: PackageTokens
) -> Completion:
    # A new completer each, with an empty cache: the decoder's slots are all that they share.
    completer = Completer(model, drafts=DraftSettings(enabled=False), drafter=drafter)
    request = Request(
        task.path,
        task.prefix,
        task.suffix,
        max_tokens=MAX_TOKENS[task.kind],
        deadline_ms=float("inf"),
        finished=task.finished,
        tokens=index.tokens,
        packages=packages.tokens,
    )
    return completer.complete(request, None)


def _rows(subject: Subject, kind: str, field_: Mapping[str, _Contestant]) -> Iterator[Measurement]:
    plain = field_["off"].done
    for name, one in field_.items():
        values = {
            "passes": float(np.mean([completion.forward_passes for completion in one.done])),
            "fewer_passes": _ratio(plain, one.done, lambda completion: completion.forward_passes),
            "tokens_per_pass": _total(one.done, "tokens") / _total(one.done, "forward_passes"),
            "drafted_per_pass": _total(one.done, "drafted") / _total(one.done, "forward_passes"),
            "accepted_percent": 100 * _total(one.done, "accepted") / max(1, _total(one.done, "drafted")),
            **{
                f"decode_{key}": n
                for key, n in percentiles([c.timings_ms["decode"] for c in one.done]).items()
            },
            "decode_speedup": _ratio(plain, one.done, lambda completion: completion.timings_ms["decode"]),
            "total_speedup": _ratio(plain, one.done, lambda completion: completion.timings_ms["total"]),
            "same_percent": 100
            * float(np.mean([a.text == b.text for a, b in zip(plain, one.done, strict=True)])),
        }
        target = ">= 2.5 fewer passes, same 100" if name == "all" else ""
        note = f"{len(one.done)} tasks, {_total(one.done, 'tokens')} tokens" if name == "off" else ""
        yield Measurement(f"drafts, {kind}", subject.name, len(subject.files), name, values, target, note)


def _total(done: Sequence[Completion], name: str) -> int:
    return sum(getattr(completion, name) for completion in done)


def _ratio(
    plain: Sequence[Completion], done: Sequence[Completion], value: Callable[[Completion], float]
) -> float:
    return sum(map(value, plain)) / max(1e-9, sum(map(value, done)))


def _pass_costs(subject: Subject, decoder: Decoder) -> Measurement:
    """Median milliseconds of a pass of so many rows behind N_CONTEXT positions, the widths taking turns."""
    draw = np.random.default_rng(0)
    decoder.select(0)
    decoder.rewind(0)
    decoder.extend(decoder.embed(draw.integers(0, 1000, N_CONTEXT).tolist()))
    times: dict[int, list[float]] = {width: [] for width in WIDTHS}
    for _ in range(20):
        for width, samples in times.items():
            vectors = decoder.embed(draw.integers(0, 1000, width).tolist())
            start = time.perf_counter()
            decoder.extend(vectors, parents=range(-1, width - 1))[width - 1]
            samples.append((time.perf_counter() - start) * 1e3)
            decoder.keep(N_CONTEXT, [])
    costs = {width: float(np.median(samples)) for width, samples in times.items()}
    values = {f"rows_{width}_ms": cost for width, cost in costs.items()}
    # So many tokens a pass of this width must bring to be worth as much as passes of one row.
    values |= {f"break_even_{width}": cost / costs[1] for width, cost in costs.items() if width > 1}
    return Measurement(
        "pass by width", subject.name, len(subject.files), f"behind {N_CONTEXT} positions", values
    )
