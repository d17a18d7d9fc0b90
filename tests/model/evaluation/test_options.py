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
        ("model.contextTokens", "is not NAME=VALUE"),
        ("model.context_tokens=512", "unknown setting 'model.context_tokens'"),
        ("completion.enabled=true", "unknown setting"),
        ("model.contextTokens=many", "is of type int"),
        ("model.contextTokens=1", "is between 128 and"),
        ("model.offline=perhaps", "is of type bool"),
        ("model.device=toaster", "is one of auto, cpu, cuda"),
    ],
)
def test_a_wrong_assignment_is_refused_in_a_sentence(assignment: str, complaint: str) -> None:
    with pytest.raises(EvaluationError, match=complaint):
        override(Options(), [assignment])
