"""`--set NAME=VALUE` without the server: the settings of the packages that a completion passes through.

Names and bounds are the ones in the fields' metadata, spelled as in the editors (`model.contextTokens`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from indexer.settings import IndexSettings, RetrievalSettings
from model.assignments import override as overridden
from model.evaluation.tasks import EvaluationError
from model.settings import BlockSettings, DraftSettings, ModelSettings, RecallSettings


@dataclass(frozen=True)
class Options:
    """The settings that change what is completed."""

    model: ModelSettings = field(default_factory=ModelSettings)
    index: IndexSettings = field(default_factory=IndexSettings)
    retrieval: RetrievalSettings = field(default_factory=RetrievalSettings)
    drafts: DraftSettings = field(default_factory=DraftSettings)
    recall: RecallSettings = field(default_factory=RecallSettings)
    blocks: BlockSettings = field(default_factory=BlockSettings)


def override(options: Options, assignments: Sequence[str]) -> Options:
    """`options` with NAME=VALUE pairs. Raises EvaluationError on an unknown name or an impossible value."""
    try:
        return overridden(options, assignments)
    except ValueError as error:
        raise EvaluationError(str(error)) from None
