"""`python -m model.evaluation.report PREDICTIONS... --out DIR`: the report of predictions files, Markdown with plots.

Needs the files alone: no model, no task, no repository. Several files are one report; of a task that a system answered
twice the later answer counts.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from model.evaluation.modes import ABLATIONS, BUDGETS, HARMFUL_SHARES
from model.evaluation.plots import Curve, Point, curves, scatter
from model.evaluation.predictions import STAGES, Prediction, latest, read
from model.evaluation.summary import Summary, by_system, difference, nats_cells, summarize
from model.evaluation.tasks import PYTHON, EvaluationError

FILE = "report.md"
_Answers = Mapping[tuple[str, str, str, str], Sequence[Prediction]]  # kind, source, language, label
_Group = tuple[str, str, str]  # kind, source, language


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong usage or bad input."""
    parser = argparse.ArgumentParser(prog="python -m model.evaluation.report", description=__doc__)
    parser.add_argument("predictions", type=Path, nargs="+", help="files of --predictions")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help=f"where {FILE} and its plots go"
    )
    parser.add_argument(
        "--against", default="none", metavar="MODE", help="what differences are taken to (none)"
    )
    arguments = parser.parse_args(argv)
    try:
        answers = list(latest(one for file in arguments.predictions for one in read(file)))
        if not answers:
            raise EvaluationError("the files hold no predictions")
        print(write_report(answers, arguments.out, arguments.against))
    except EvaluationError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    return 0


def write_report(answers: Sequence[Prediction], folder: Path, against: str = "none") -> Path:
    """Make the report in `folder` and return its Markdown file."""
    folder.mkdir(parents=True, exist_ok=True)
    summaries = summarize(answers)
    systems = by_system(answers)
    blocks = [_head(answers)]
    for group, here in _grouped(summaries).items():
        title = ", ".join(group if group[-1] != PYTHON else group[:-1])
        blocks += [f"## {title}", _quality(here), _nats(here), _origins(here), _costs(here)]
        blocks += [_differences(systems, group, against), *_plots(title, here, folder)]
    file = folder / FILE
    file.write_text("\n\n".join(block for block in blocks if block) + "\n", encoding="utf-8")
    return file


def _grouped(summaries: Sequence[Summary]) -> dict[_Group, list[Summary]]:
    groups: dict[_Group, list[Summary]] = {}
    for one in summaries:
        groups.setdefault((one.kind, one.source, one.language), []).append(one)
    return groups


def _head(answers: Sequence[Prediction]) -> str:
    models = ", ".join(dict.fromkeys(one.system.model for one in answers))
    n_tasks, n_repositories = len({one.task_id for one in answers}), len({one.repo for one in answers})
    budgets = ", ".join(dict.fromkeys(one.system.budget for one in answers))
    return (
        f"# Evaluation\n\n{n_tasks} tasks of {n_repositories} repositories; {models}. Greedy, each answer from an "
        f"empty cache, the answer never in the index. Tokens of a prompt: {budgets}. Intervals: 95 %, bootstrap by "
        "repository; of nats by task."
    )


def _quality(summaries: Sequence[Summary]) -> str:
    head = (
        "mode",
        "n",
        "EM %",
        "95 %",
        "ES %",
        "95 %",
        "EM LlavaCode %",
        "identifier EM %",
        "identifier F1 %",
        "tokens of a prompt",
    )
    return _markdown(
        head,
        [
            (
                one.mode,
                str(one.n),
                f"{one.em:.1f}",
                _span(one.em_interval),
                f"{one.es:.1f}",
                _span(one.es_interval),
                f"{one.token_em:.1f}",
                f"{one.id_em:.1f}",
                f"{one.id_f1:.1f}",
                one.budget,
            )
            for one in summaries
        ],
    )


def _nats(summaries: Sequence[Summary]) -> str:
    """How well the coder alone foresees the answers; nothing where they were not weighed."""
    head = ("mode", "tasks", "nats per token", "to the file alone", "95 %", "tokens of a prompt")
    rows = [(one.mode, str(one.nats.n), *nats_cells(one.nats), one.budget) for one in summaries if one.nats]
    return _markdown(head, rows) if rows else ""


def _origins(summaries: Sequence[Summary]) -> str:
    """How tasks that were found in different ways fare; nothing where there is one origin only."""
    names = sorted({name for one in summaries for name in one.origins})
    if len(names) < 2:
        return ""
    rows = []
    for one in summaries:
        parts = [one.origins[name] for name in names if name in one.origins]
        rows.append((one.mode, *(f"{part['em']:.1f} / {part['es']:.1f} ({part['n']:.0f})" for part in parts)))
    return _markdown(("mode", *(f"{name}: EM / ES % (n)" for name in names)), rows)


def _costs(summaries: Sequence[Summary]) -> str:
    head = (
        "mode",
        *(f"{stage} ms p50 / p95" for stage in STAGES),
        "prompt tokens",
        "prefilled",
        "written",
        "passes",
        "drafts taken",
    )
    return _markdown(
        head,
        [
            (
                one.mode,
                *(f"{p50:.0f} / {p95:.0f}" for p50, p95 in one.stages_ms.values()),
                f"{one.prompt_tokens:.0f}",
                f"{one.prefilled:.0f}",
                f"{one.tokens:.1f}",
                f"{one.forward_passes:.1f}",
                f"{one.accepted:.1f} of {one.drafted:.1f}",
            )
            for one in summaries
        ],
    )


def _differences(systems: _Answers, group: _Group, against: str) -> str:
    """Every mode against the reference, on the tasks that both answered."""
    reference = systems.get((*group, against))
    if not reference:
        return ""
    rows = []
    for (*of, mode), answers in systems.items():
        if tuple(of) != group or mode == against:
            continue
        if found := difference(answers, reference):
            em, es = f"{found.em:+.1f}", f"{found.es:+.1f}"
            spans = _span(found.em_interval), _span(found.es_interval)
            rows.append((mode, str(found.n), em, spans[0], es, spans[1], f"{found.p50_ratio:.2f}"))
    head = (f"mode against {against}", "n", "EM points", "95 %", "ES points", "95 %", "p50 latency, times")
    return _markdown(head, rows) if rows else ""


def _plots(title: str, summaries: Sequence[Summary], folder: Path) -> Iterator[str]:
    """Markdown of the plots that the answers suffice for."""
    ablated = {name for modes in ABLATIONS.values() for name in modes}
    points = [Point(one.mode, one.p50_ms, one.em) for one in summaries if one.mode not in ablated]
    kind, _, rest = title.partition(", ")
    ending = f"{kind}_{_slug(rest)}.png"
    if points:
        name = f"em_latency_{ending}"
        scatter(
            folder / name,
            points,
            f"{title}: exact match against latency",
            "median latency, ms",
            "exact match, %",
        )
        yield f"![Exact match against latency]({name})"
    by_mode = {one.mode: one for one in summaries}
    budget = [(n, by_mode[name]) for n, name in BUDGETS.items() if name in by_mode]
    if len(budget) > 1:
        name = f"budget_{ending}"
        sides = [Curve("exact match, %", [(n, one.em) for n, one in budget])]
        sides.append(Curve("median latency, ms", [(n, one.p50_ms) for n, one in budget]))
        curves(folder / name, sides, f"{title}: budget of pseudo-tokens", "pseudo-tokens", apart=True)
        yield f"![Exact match and latency against the pseudo-token budget]({name})"
    harmful = list(_harmful(by_mode))
    if harmful:
        name = f"harmful_{ending}"
        curves(folder / name, harmful, f"{title}: harmful retrieval", "hits from another repository, %")
        yield f"![Exact match against harmful retrieval]({name})"


def _harmful(by_mode: Mapping[str, Summary]) -> Iterator[Curve]:
    """Exact match by the share of foreign hits, from none of them on, and without any context beside it."""
    shares = {context: {0.0: f"plain-{context}", **names} for context, names in HARMFUL_SHARES.items()}
    found = {
        context: [(100 * share, by_mode[name].em) for share, name in names.items() if name in by_mode]
        for context, names in shares.items()
    }
    drawn = {context: points for context, points in found.items() if len(points) > 1}
    yield from (Curve(context, points) for context, points in drawn.items())
    if drawn and "plain-none" in by_mode:
        yield Curve("none", [(share, by_mode["plain-none"].em) for share in (0, 100)])


def _slug(name: str) -> str:
    return re.sub(r"\W+", "-", name.lower())


def _span(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.1f} to {interval[1]:.1f}"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
