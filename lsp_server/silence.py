"""Why nothing is suggested: one kind of reason for the status of every editor, for `--complete` and for `--doctor`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lsp_server.offers import Offer
from lsp_server.presentation import Flaw
from lsp_server.snapshot import Snapshot
from lsp_server.visible import visible
from model.request import Completion

Code = Literal[
    "off",  # by a setting, in the whole document
    "secret",
    "ignored",
    "unknown",  # whether it is one of these
    "manual",  # nothing comes unasked
    "snoozed",  # the same, for a while
    "loading",
    "failed",
    "busy",
    "superseded",
    "late",
    "nothing",
    "unsure",
]
_REFUSED: Sequence[Code] = ("off", "secret", "ignored", "unknown")


@dataclass(frozen=True)
class Silence:
    """One reason. `reason` and `next_step` are a sentence each, for the user who wonders why nothing comes."""

    code: Code
    reason: str
    next_step: str = ""

    @property
    def is_refusal(self) -> bool:
        """Whether nothing is suggested anywhere in the document, also not when asked for."""
        return self.code in _REFUSED


OFF = Silence("off", "Suggestions are off: completion.enabled is false.", "Set completion.enabled to true.")
MANUAL = Silence(
    "manual",
    "Suggestions come only when asked for: completion.automatic is false.",
    "Ask by a key, or set completion.automatic to true.",
)
SUBTLE = Silence(
    "manual",
    "Suggestions are kept ready and come when asked for: completion.subtle is true.",
    "Ask by a key, or set completion.subtle to false.",
)
UNKNOWN_FILE = Silence(
    "unknown",
    "The disk does not say whether the file is ignored or secret: nothing is suggested until it does.",
    "Look after the drive that it lies on.",
)
LOADING = Silence("loading", "The model is still loading.", "Type on: it answers once it is there.")
NO_MODEL = Silence("failed", "There is no model that could answer.", "Run `hef-lsp --doctor`, then restart.")
FAILED = Silence("failed", "The model failed at this place.", "The server's log says at what.")
BUSY = Silence(
    "busy", "The model was busy with other work until the deadline.", "Type on, or raise model.deadlineMs."
)
SUPERSEDED = Silence(
    "superseded", "The text changed before the answer was there.", "Wait a moment, or ask by a key."
)
LATE = Silence(
    "late",
    "Nothing sound was there at the deadline (model.deadlineMs).",
    "Type on, or raise model.deadlineMs.",
)
LATE_FOR_MENU = Silence(
    "late", "The menu did not wait for the answer (completion.menuWaitMs).", "The next key brings it."
)
_TYPE_ON = "Type on: behind another word it may."
NOTHING = Silence("nothing", "The model has nothing to add here.", _TYPE_ON)
_FLAWS: Mapping[Flaw, str] = {
    "closers": "The model would only close brackets or quotes, or set a sign: that is quicker typed than read.",
    "short": "What the model wrote is too short to be worth showing.",
    "repeated": "What the model wrote is in the document already, right here or just around.",
    "no code": "What the model wrote is no code that may stand here: prose, or what the syntax does not allow.",
    "elsewhere": "What the model wrote does not lead to what follows the cursor.",
}
UNFIT: Mapping[Flaw, Silence] = {
    flaw: Silence("nothing", reason, _TYPE_ON) for flaw, reason in _FLAWS.items()
}
LINE_ENDS = Silence("nothing", "The line is complete: the next one comes behind its end.", "Press Enter.")


def snoozed(end: str) -> Silence:
    """`end`: "until 14:35"."""
    return Silence(
        "snoozed", f"Suggestions are snoozed {end}.", "Ask for a suggestion by a key, or end the snooze."
    )


def off_for(language: str) -> Silence:
    """By completion.disabledLanguages."""
    reason = f"Suggestions are off for {visible(language)}."
    return Silence("off", reason, "Take it out of completion.disabledLanguages.")


def off_in(pattern: str) -> Silence:
    """By completion.disabledFiles."""
    return Silence(
        "off", f"Suggestions are off in {visible(pattern)}.", "Take it out of completion.disabledFiles."
    )


def too_large(size: int, most: int) -> Silence:
    """By completion.maxFileChars."""
    reason = (
        f"The document is too large ({size:,} characters of at most {most:,}): nothing is suggested in it."
    )
    return Silence("off", reason, "Raise completion.maxFileChars, if the editor stays quick.")


def secret_by_name(rule: str) -> Silence:
    """`rule`: the pattern and where it stands."""
    reason = f"The file's name says that it holds secrets ({visible(rule)}): nothing is suggested in it, nor from it."
    return Silence(
        "secret", reason, "Secrets are never completed in; give the file another name if it holds none."
    )


def secret_by_text(kind: str) -> Silence:
    """`kind`: "private key", or the service whose key it is."""
    found = "a private key" if kind == "private key" else f"a key of {kind}"
    reason = f"The text looks like a secret ({found}): nothing is suggested in it, nor from it."
    return Silence(
        "secret", reason, "Take the secret out, or name the file in index.notSecret if it is none."
    )


def ignored_by(rule: str) -> Silence:
    """`rule`: the pattern and where it stands."""
    reason = f"The file is ignored ({visible(rule)}): nothing is suggested in it, nor from it."
    in_setting = rule.endswith("index.ignore")  # which beats .hefignore
    step = "Take it out of index.ignore." if in_setting else "Bring it back with `!pattern` in .hefignore."
    return Silence("ignored", reason, step)


def unsure(chance: float, least: float) -> Silence:
    """Held back: right with this chance, where `least` is wanted (completion.minConfidence)."""
    # Rounded down: never the figure that would have been shown.
    reason = f"Held back as unsure: {int(round(100 * chance, 6))} % sure, shown from {100 * least:g} %."
    return Silence("unsure", reason, "Ask for it by a key, or lower completion.minConfidence.")


def nothing_of(completion: Completion, flaw: Flaw) -> Silence:
    """Why nothing of what the model wrote is an offer."""
    if completion.stopped == "cancelled":
        return SUPERSEDED
    if completion.stopped == "deadline":
        return LATE
    return UNFIT[flaw] if completion.text.strip() else NOTHING


def shown_of(found: Offer | Silence, snapshot: Snapshot, min_confidence: float) -> Offer | Silence:
    """What of an offer is shown by itself where it must be right with this chance; else why nothing is."""
    if isinstance(found, Silence):
        return found
    if found.ahead:
        return LINE_ENDS
    return found.as_sure_as(min_confidence, snapshot) or unsure(found.least_chance, min_confidence)
