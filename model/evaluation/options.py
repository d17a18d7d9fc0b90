"""`--set NAME=VALUE` without the server: the settings of the packages that a completion passes through.

Names and bounds are the ones in the fields' metadata, spelled as in the editors (`model.contextTokens`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any

from indexer.settings import IndexSettings, RetrievalSettings

from model.evaluation.tasks import EvaluationError
from model.settings import DraftSettings, ModelSettings, RecallSettings


@dataclass(frozen=True)
class Options:
    """The settings that change what is completed."""

    model: ModelSettings = field(default_factory=ModelSettings)
    index: IndexSettings = field(default_factory=IndexSettings)
    retrieval: RetrievalSettings = field(default_factory=RetrievalSettings)
    drafts: DraftSettings = field(default_factory=DraftSettings)
    recall: RecallSettings = field(default_factory=RecallSettings)


def override(options: Options, assignments: Sequence[str]) -> Options:
    """`options` with NAME=VALUE pairs. Raises EvaluationError on an unknown name or an impossible value."""
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        group_name, _, setting = name.partition(".")
        group: Any = getattr(options, group_name, None)
        known = {_camel(item.name): item for item in fields(group)} if group and equals else {}
        if setting not in known:
            wanted = f"unknown setting {name!r}" if equals else f"{assignment!r} is not NAME=VALUE"
            raise EvaluationError(f"--set: {wanted}")
        chosen = {known[setting].name: _value(name, known[setting], text)}
        changed: dict[str, Any] = {group_name: replace(group, **chosen)}
        options = replace(options, **changed)
    return options


def _value(name: str, item: Field[Any], text: str) -> Any:
    try:
        value = _parsed(text, type(item.default))
    except (KeyError, ValueError):
        kind = type(item.default).__name__
        raise EvaluationError(f"--set: {name} is of type {kind}, which {text!r} is not") from None
    limits = item.metadata
    if "choices" in limits and value not in limits["choices"]:
        raise EvaluationError(f"--set: {name} is one of {', '.join(limits['choices'])}, not {text!r}")
    if not limits.get("min", value) <= value <= limits.get("max", value):
        raise EvaluationError(f"--set: {name} is between {limits['min']} and {limits['max']}, not {text}")
    return value


def _parsed(text: str, kind: type) -> Any:
    if kind is bool:
        return {"true": True, "false": False}[text.lower()]
    if kind is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return kind(text)


def _camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match.group(1).upper(), name)
