"""`--set NAME=VALUE` without the server: the settings of the packages that a completion passes through.

Names and bounds are the ones in the fields' metadata, spelled as in the editors (`model.contextTokens`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from indexer.settings import IndexSettings, RetrievalSettings
from model.assignments import override as overridden
from model.evaluation.tasks import EvaluationError
from model.loaded import LoadedModel
from model.reading import ON_CPU
from model.settings import BlockSettings, DraftSettings, ModelSettings, RecallSettings

LEAST_WINDOW = 64  # tokens


@dataclass(frozen=True)
class Options:
    """The settings that change what is completed."""

    model: ModelSettings = field(default_factory=ModelSettings)
    index: IndexSettings = field(default_factory=IndexSettings)
    retrieval: RetrievalSettings = field(default_factory=RetrievalSettings)
    drafts: DraftSettings = field(default_factory=DraftSettings)
    recall: RecallSettings = field(default_factory=RecallSettings)
    blocks: BlockSettings = field(default_factory=BlockSettings)


def on_top(options: Options, window: int) -> Options:
    """With room for `window` tokens of the file and the longest context of any mode. Raises EvaluationError on a window
    in which nothing could be seen."""
    if window < LEAST_WINDOW:
        raise EvaluationError(f"--window is at least {LEAST_WINDOW}, not {window}")
    model = ON_CPU.fill(options.model)  # the same wherever it runs: what is compared sees the same limits
    longest = max(
        model.snippet_tokens, model.pseudo_tokens + model.hybrid_text_tokens + model.signature_tokens
    )
    return replace(options, model=replace(model, context_tokens=window + longest))


def check_fits(settings: ModelSettings, model: LoadedModel) -> None:
    """Raises EvaluationError where the coder has not the positions for a window, a context and an answer."""
    if (wanted := settings.context_tokens + settings.max_tokens) > model.positions:
        raise EvaluationError(
            f"--window, the longest context and an answer take {wanted} positions, and {model.name} has "
            f"{model.positions}"
        )


def override(options: Options, assignments: Sequence[str]) -> Options:
    """`options` with NAME=VALUE pairs. Raises EvaluationError on an unknown name or an impossible value."""
    try:
        return overridden(options, assignments)
    except ValueError as error:
        raise EvaluationError(str(error)) from None
