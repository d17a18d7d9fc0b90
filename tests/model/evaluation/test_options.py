"""`--set` in the evaluation."""

from __future__ import annotations

from typing import Any

import pytest

from model.evaluation.options import Options, override
from model.evaluation.tasks import EvaluationError


@pytest.mark.parametrize(
    ("assignment", "group", "attribute", "value"),
    [
        ("model.contextTokens=512", "model", "context_tokens", 512),
        ("model.contextTokens=-1", "model", "context_tokens", -1),
        ("model.name=a=b", "model", "name", "a=b"),
        ("model.offline=false", "model", "offline", False),
        ("index.ignore=a, b", "index", "ignore", ("a", "b")),
        ("retrieval.chunks=3", "retrieval", "chunks", 3),
    ],
)
def test_a_setting_is_overridden(assignment: str, group: str, attribute: str, value: Any) -> None:
    assert getattr(getattr(override(Options(), [assignment]), group), attribute) == value


@pytest.mark.parametrize(
    ("assignment", "complaint"),
    [
        ("model.contextTokens", "wants NAME=VALUE"),
        ("model.context_tokens=512", "Unknown setting 'model.context_tokens'"),
        ("completion.enabled=true", "Unknown setting"),
        ("model.contextTokens=many", "must be a whole number"),
        ("model.contextTokens=1", "must be at least 128"),
        ("model.contextTokens=-2", r"must be at least 128 \(or -1\), not -2"),
        ("model.maxTokens=-1", "must be at least 1, not -1"),
        ("model.offline=perhaps", "must be true or false"),
        ("model.device=toaster", "must be one of auto, cpu, cuda"),
    ],
)
def test_a_wrong_assignment_is_refused_in_a_sentence(assignment: str, complaint: str) -> None:
    with pytest.raises(EvaluationError, match=complaint):
        override(Options(), [assignment])
