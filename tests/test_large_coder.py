"""The large embedded coder as the package has it, alone and in a server; in one file, so that it is prepared once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from model.checkpoint.opening import EMBEDDED_FOLDER, LARGE, has_large, open_checkpoint
from model.completer import Completer
from model.loaded import LoadedModel
from model.loading import load_from_settings
from model.repository import RetrievalQuery
from model.request import Completion, Request
from model.settings import EMBEDDED_LARGE, EMBEDDED_TINY, DraftSettings, ModelSettings
from tests.e2e.editor import Editor
from tests.model.found_item import FoundItem

pytestmark = [
    pytest.mark.skipif(not has_large(), reason="this checkout has no large coder"),
    pytest.mark.timeout(400),
]
SETTINGS = ModelSettings(name=EMBEDDED_LARGE, window_tokens=128, block_tokens=256, recent_places=1)
NAMES = ("sail", "door", "sheet", "wall")
PREFIX = "\n\n".join(f"def area_of_{name}(width, height):\n    return width * height / 2\n" for name in NAMES)
PREFIX = PREFIX.removesuffix(" width * height / 2\n")
BELOW = "\n\ndef area_of_floor(width, height):\n    return width * height\n"
ITEM = "UNIT = 'square meter'\n"
TAKEOVER_SECONDS = 200.0
PATIENT = (  # any machine carries it, and nothing is held back
    *("--set", "model.deadlineMs=60000"),
    *("--set", "completion.minConfidence=0"),
    *("--set", "drafts.packages=false"),
)


@pytest.fixture(scope="module")
def large() -> LoadedModel:
    return load_from_settings(SETTINGS)


def retrieve(query: RetrievalQuery) -> Sequence[FoundItem]:
    return [FoundItem("units.py", ITEM)]


def answered(model: LoadedModel, *, drafts: bool) -> Completion:
    """As in an editor, once the blocks that are wanted are made."""
    for slot in range(model.decoder.n_slots):
        model.decoder.select(slot)
        model.decoder.rewind(0)
    completer = Completer(model, SETTINGS, drafts=DraftSettings(enabled=drafts))
    request = Request("areas.py", PREFIX, "\n" + BELOW, max_tokens=12, deadline_ms=float("inf"))
    completer.prepare(request, retrieve)
    return completer.complete(request, retrieve)


def test_it_opens_and_its_checksums_hold() -> None:
    assert open_checkpoint(EMBEDDED_LARGE).folder == EMBEDDED_FOLDER / LARGE  # not trusted without them


def test_it_has_the_shapes_that_its_card_says(large: LoadedModel) -> None:
    assert (large.decoder.vocab_size, large.decoder.hidden_size, large.n_parameters) == (
        49_152,
        576,
        134_515_008,
    )
    assert (large.fim_order, large.default_context, large.positions) == ("ltr", "blocks", 960 + 48)
    assert large.stop_ids == {0, 2, 3, 4, 5, 6}
    assert large.encoder is not None  # the tiny one's fuser


def test_its_tokenizer_gives_texts_back(large: LoadedModel) -> None:
    text = "def größe(x):\n\treturn x[0] + 12.5  # 漢字\n\n    if x != y:\r\n"
    ids = large.vocabulary.encode(text)
    assert b"".join(map(large.vocabulary.token_bytes, ids)).decode() == text
    assert len(large.vocabulary.encode("2026")) == 4


def test_greedy_with_blocks_is_the_same_with_drafts_and_without(large: LoadedModel) -> None:
    plain, drafted = answered(large, drafts=False), answered(large, drafts=True)
    assert (plain.mode, plain.text.partition("\n")[0]) == ("blocks", " width * height / 2")
    assert (drafted.text, drafted.tokens, drafted.stopped) == (plain.text, plain.tokens, plain.stopped)
    assert drafted.accepted > 0
    assert drafted.forward_passes < plain.forward_passes
    encode = large.vocabulary.encode
    blocks = len(encode(f"# units.py\n{ITEM}")) + len(encode(BELOW))  # what is below the cursor is one, too
    assert plain.prompt_tokens == 1 + blocks + len(encode(PREFIX))


@pytest.mark.asyncio
async def test_in_a_server_it_takes_over_from_the_tiny_one(tmp_path: Path) -> None:
    (tmp_path / "areas.py").write_text(PREFIX, encoding="utf-8")
    editor, uri = Editor(), (tmp_path / "fresh.py").as_uri()
    line = PREFIX.count("\n")
    try:
        await editor.start((sys.executable, "-m", "lsp_server"), *PATIENT)
        await editor.hello(tmp_path, options=None)
        editor.open(uri, PREFIX)
        assert await editor.suggestions(uri, line, len("    return"))
        await editor.until(lambda: "large" in answering(editor), "it did not take over", TAKEOVER_SECONDS)
        assert await editor.suggestions(uri, line, len("    return")) == [" width * height / 2"]
        told = dict.fromkeys(status["model"].split(" (")[0] for status in editor.statuses if status["model"])
        assert list(told) == [EMBEDDED_TINY, EMBEDDED_LARGE]
        assert not any(EMBEDDED_TINY in note for note in editor.statuses[-1]["notes"])
        assert await editor.bye() == 0
    finally:
        await editor.leave()


def answering(editor: Editor) -> str:
    return str(editor.statuses[-1]["model"]) if editor.statuses else ""
