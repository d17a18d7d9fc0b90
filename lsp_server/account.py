"""What `--complete` says of one completion: whether an editor would show it, who wrote it, what it read and cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lsp_server.offers import Offer, offer_of
from lsp_server.presentation import StopRule, inserted
from lsp_server.settings import Settings
from lsp_server.silence import Silence, nothing_of, shown_of
from lsp_server.snapshot import Snapshot
from lsp_server.switches import everywhere
from model.repository import ContextItem
from model.request import Completion

NAMED_SOURCES = 6  # of what was read; JSON has all


@dataclass(frozen=True, eq=False)
class Account:
    """`offer`: what there is for who asks, `shown`: what of it comes by itself; else `silence` says why none does.

    `model`: who answered, and who would in an editor.
    """

    snapshot: Snapshot
    completion: Completion
    offer: Offer | None
    shown: Offer | None
    silence: Silence | None
    model: str

    @property
    def text(self) -> str:
        """What an editor puts in for who asks by a key, "" for nothing."""
        return inserted(self.offer.suggestion, self.snapshot) if self.offer else ""

    def sentences(self) -> Iterator[str]:
        """For people, without the text."""
        done = self.completion
        yield self._verdict()
        yield f"Model: {self.model}"
        yield f"Read: {_sources(done.context)} ({done.mode}); {done.prompt_tokens:,} tokens in all."
        parts = ", ".join(f"{name} {ms:,.0f}" for name, ms in done.timings_ms.items() if name != "total")
        total = done.timings_ms.get("total", 0.0)
        drafted = f"{done.accepted:,} of {done.drafted:,} drafted ones right"
        yield f"Cost: {total:,.0f} ms ({parts}); {done.tokens:,} tokens in {done.forward_passes:,} passes, {drafted}."

    def _verdict(self) -> str:
        if self.offer is None:
            assert self.silence is not None  # there is one or the other
            return f"Nothing is suggested here. {self.silence.reason}"
        if self.silence:
            return f"Not shown by itself. {self.silence.reason} {self.silence.next_step}"
        n_lines, n_shown = (_n_lines(offer) for offer in (self.offer, self.shown))
        part = f"Its first {n_shown} of {n_lines} lines are" if n_shown < n_lines else "It is"
        chance = self.shown.confidence if self.shown else None
        sure = "how sure that is, is not known for this model" if chance is None else f"{chance:.0%} sure"
        return f"{part} shown by itself: {sure.replace('%', ' %')}."

    def to_json(self) -> dict[str, Any]:
        """`by_itself` is what of `text` an editor shows unasked; `silence` why nothing, null where something."""
        done = self.completion
        by_itself = inserted(self.shown.suggestion, self.snapshot) if self.shown else ""
        return {
            "text": self.text,
            "by_itself": by_itself,
            "silence": asdict(self.silence) if self.silence else None,
            "model": self.model,
            "tokens": done.tokens,
            "drafted": done.drafted,
            "accepted": done.accepted,
            "forward_passes": done.forward_passes,
            "prompt_tokens": done.prompt_tokens,
            "mode": done.mode,
            "stopped": done.stopped,
            "confidence": list(done.confidence),
            "timings_ms": {name: round(value, 3) for name, value in done.timings_ms.items()},
            "context": [_source_json(item) for item in done.context],
        }


def account_of(
    completion: Completion,
    snapshot: Snapshot,
    rule: StopRule,
    settings: Settings,
    model: str,
) -> Account:
    """What an editor with these settings would show of what the model wrote, by the server's own rules."""
    found = offer_of(completion, snapshot, rule)
    judged = nothing_of(completion, found) if isinstance(found, str) else found
    shown = shown_of(judged, snapshot, settings.completion.min_confidence)
    silence = shown if isinstance(shown, Silence) else everywhere(settings)
    by_itself = shown if isinstance(shown, Offer) and silence is None else None
    offer = judged if isinstance(judged, Offer) else None
    return Account(snapshot, completion, offer, by_itself, silence, model)


def _n_lines(offer: Offer | None) -> int:
    return offer.suggestion.text.count("\n") + 1 if offer else 0


def _sources(items: tuple[ContextItem, ...]) -> str:
    named = [_place(item) for item in items[:NAMED_SOURCES]]
    more = [f"{len(items) - len(named)} more"] if len(items) > len(named) else []
    return ", ".join(["this file", *named, *more])


def _place(item: ContextItem) -> str:
    if item.first_line:
        return f"{item.path}:{item.first_line}-{item.last_line}"
    return f"{item.level} {item.path}".strip()


def _source_json(item: ContextItem) -> Mapping[str, Any]:
    return {
        "path": item.path,
        "first_line": item.first_line,
        "last_line": item.last_line,
        "level": item.level,
        "score": round(float(item.score), 6),
    }
