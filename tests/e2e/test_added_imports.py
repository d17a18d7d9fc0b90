"""A suggestion that is taken brings the imports that its names lack, as the repository writes them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types

pytestmark = pytest.mark.asyncio

OTHER = "from pathlib import Path\n\nimport numpy as np\n\nfrom .shapes import area, Box\n\nx = Path\n"
HEAD = "import sys\n\nfrom .shapes import area\n\n\ndef f():\n    "
BODY = "return Path(np.zeros(area(key=Box)))"
IMPORTS = "import sys\nfrom pathlib import Path\n\nimport numpy as np\n\nfrom .shapes import Box, area\n"
WITH_IMPORTS = IMPORTS + "\n\ndef f():\n    "


class Applying:
    """The editor's side of workspace/applyEdit: what was asked, and the documents' texts with it."""

    def __init__(self, editor: Any, *, typing_first: str = "", says: bool = False) -> None:
        """`says`: what it answers where it has not applied an edit, because something was typed first."""
        self.asked: list[types.TextDocumentEdit] = []
        self.text = ""
        self._editor = editor
        self._typing_first = typing_first
        self._says = says

        @editor.feature(types.WORKSPACE_APPLY_EDIT)
        def on_apply(params: types.ApplyWorkspaceEditParams) -> types.ApplyWorkspaceEditResult:
            return types.ApplyWorkspaceEditResult(self._applied(params))

    def take(self, uri: str, text: str) -> None:
        """Put what is suggested at the end of the document."""
        self.text += text
        lines = (self.text[: -len(text)]).split("\n")
        self._editor.type(uri, len(lines) - 1, len(lines[-1]), text)

    def _applied(self, params: types.ApplyWorkspaceEditParams) -> bool:
        change = (params.edit.document_changes or [])[0]
        assert isinstance(change, types.TextDocumentEdit)
        self.asked.append(change)
        uri = change.text_document.uri
        if self._typing_first:
            self.take(uri, self._typing_first)
            self._typing_first = ""
        if change.text_document.version != self._editor.versions[uri]:
            return self._says
        for edit in change.edits:
            assert isinstance(edit, types.TextEdit)
            self._editor.edit(
                uri, types.TextDocumentContentChangePartial(range=edit.range, text=edit.new_text)
            )
            self.text = replaced(self.text, edit)
        return True


def replaced(text: str, edit: types.TextEdit) -> str:
    lines = text.splitlines(keepends=True)
    start, end = (sum(map(len, lines[: at.line])) + at.character for at in (edit.range.start, edit.range.end))
    return text[:start] + edit.new_text + text[end:]


def repository(folder: Path, other: str = OTHER) -> Path:
    package = folder / "repo" / "pkg"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "shapes.py").write_text("def area(x): ...\n\n\nclass Box: ...\n")
    (package / "other.py").write_text(other)
    return folder / "repo"


async def ready(start: Any, script: Any, root: Path, target: str = HEAD + BODY, **hello: Any) -> Any:
    editor = await start(script(targets=[target], otherwise="", tokenized=True))
    await editor.hello(root, **{"applies_edits": True, **hello})
    await editor.until_ready()
    return editor


async def accept(editor: Any, applying: Applying, uri: str, head: str = HEAD) -> None:
    applying.text = head
    editor.open(uri, head)
    lines = head.split("\n")
    for _ in range(20):  # a busy machine is late now and then
        answer = await asyncio.wait_for(editor.ask(uri, len(lines) - 1, len(lines[-1])), 20)
        if answer.items:
            break
    (item,) = answer.items
    applying.take(uri, item.insert_text)
    await editor.command(item.command.command.partition(".")[2], *item.command.arguments)


async def test_what_lacks_is_added_in_its_place_in_one_edit(start: Any, script: Any, tmp_path: Path) -> None:
    root = repository(tmp_path)
    editor = await ready(start, script, root)
    applying = Applying(editor)
    await accept(editor, applying, (root / "pkg" / "new.py").as_uri())

    await editor.until(lambda: applying.text == WITH_IMPORTS + BODY, "no imports")
    (change,) = applying.asked
    assert len(change.edits) == 1
    assert (await editor.command("status"))["suggestions"]["kept"] == 1


@pytest.mark.parametrize("says", [False, True], ids=["refused", "passed over"])
async def test_who_types_on_gets_it_for_what_the_document_is_then(
    start: Any, script: Any, tmp_path: Path, says: bool
) -> None:
    root = repository(tmp_path)
    editor = await ready(start, script, root)
    applying = Applying(editor, typing_first="\n    #", says=says)
    await accept(editor, applying, (root / "pkg" / "new.py").as_uri())

    await editor.until(lambda: applying.text == WITH_IMPORTS + BODY + "\n    #", "no imports")
    assert [change.text_document.version for change in applying.asked] == [2, 3]


async def test_the_menu_s_item_carries_it(start: Any, script: Any, tmp_path: Path) -> None:
    root = repository(tmp_path)
    editor = await ready(start, script, root, inline=False, applies_edits=False)
    uri = (root / "pkg" / "new.py").as_uri()
    editor.open(uri, HEAD)
    lines = HEAD.split("\n")
    params = types.CompletionParams(
        types.TextDocumentIdentifier(uri), types.Position(len(lines) - 1, len(lines[-1]))
    )
    for _ in range(100):  # a menu does not wait for a busy machine
        answer = await editor.text_document_completion_async(params)
        if answer.items and answer.items[0].additional_text_edits:
            break
        await asyncio.sleep(0.05)

    (edit,) = answer.items[0].additional_text_edits
    assert replaced(HEAD, edit) == WITH_IMPORTS


@pytest.mark.parametrize(
    ("head", "switched", "applies"),
    [
        pytest.param(HEAD, {"imports": False}, True, id="off"),
        pytest.param(HEAD, {}, False, id="a client that cannot"),
        pytest.param("from .all import *\n" + HEAD, {}, True, id="a star"),
        pytest.param("import sys\nfrom a import (\n" + HEAD, {}, True, id="a head that does not parse"),
    ],
)
async def test_nothing_is_added(
    start: Any, script: Any, tmp_path: Path, head: str, switched: dict[str, Any], applies: bool
) -> None:
    root = repository(tmp_path)
    options = {"model": {"name": "embedded-tiny"}, "completion": switched}
    editor = await ready(start, script, root, head + BODY, options=options, applies_edits=applies)
    applying = Applying(editor)
    await accept(editor, applying, (root / "pkg" / "new.py").as_uri(), head)
    await asyncio.sleep(0.5)

    assert applying.asked == []
    assert applying.text == head + BODY
