"""Whether an answer stands in the repository a second time, word for word: what copying could reach at most."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from model.evaluation.tasks import Task


def copy_shares(tasks: Sequence[Task], texts: Mapping[str, Mapping[str, str]]) -> dict[str, float]:
    """Shares in % of the tasks whose answer stands in another file, or there or before the hole; `texts` by repository
    and path.

    Compared line by line without the white space at both ends: the whole answer, and its first line alone.
    """
    framed = {repo: {path: _framed(text) for path, text in files.items()} for repo, files in texts.items()}
    shares = {}
    for what, part in (("first line", _first_line), ("whole answer", _whole)):
        wanted = [_framed(part(task)) for task in tasks]
        elsewhere = [
            _in_any(lines, (text for path, text in framed[task.repo].items() if path != task.path))
            for task, lines in zip(tasks, wanted, strict=True)
        ]
        before = [
            lines in _framed(task.prefix) or there
            for task, lines, there in zip(tasks, wanted, elsewhere, strict=True)
        ]
        shares[f"{what} in other files"] = _percent(elsewhere)
        shares[f"{what} there or before"] = _percent(before)
    return shares


def _whole(task: Task) -> str:
    return task.target


def _first_line(task: Task) -> str:
    return task.target.strip().split("\n")[0]


def _in_any(lines: str, texts: Iterable[str]) -> bool:
    return any(lines in text for text in texts)


def _framed(text: str) -> str:
    """Between line ends, so that only whole lines are found."""
    return "\n" + "\n".join(line.strip() for line in text.strip().split("\n")) + "\n"


def _percent(found: Sequence[bool]) -> float:
    return round(100 * sum(found) / len(found), 1) if found else 0.0
