"""What a server answered, read from the recorded messages: for each suggestion, how the cursor's line would look."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

UNIT = 2  # bytes of a UTF-16 unit: VS Code counts in these


@dataclass(frozen=True)
class Shown:
    """The cursor's line with the suggestion in it, and the lines that it adds below."""

    line: str
    below: tuple[str, ...]


def suggestions(messages: Iterable[dict[str, Any]], uri: str) -> set[Shown]:
    """Everything the server has suggested in one document, as it would be shown there."""
    text = ""
    asked: dict[Any, str] = {}  # request -> the document then
    shown: set[Shown] = set()
    for entry in messages:
        message = entry["message"]
        parameters = message.get("params") or {}
        if entry["from"] == "server":
            if "method" not in message and message.get("id") in asked:
                shown.update(_shown(asked[message["id"]], message.get("result") or {}))
        elif isinstance(parameters, dict) and parameters.get("textDocument", {}).get("uri") == uri:
            if message["method"] == "textDocument/didOpen":
                text = parameters["textDocument"]["text"]
            elif message["method"] == "textDocument/didChange":
                for change in parameters["contentChanges"]:
                    text = (
                        replaced(text, change["range"], change["text"])
                        if "range" in change
                        else change["text"]
                    )
            elif message["method"] == "textDocument/inlineCompletion":
                asked[message["id"]] = text
    return shown


def _shown(text: str, result: dict[str, Any]) -> Iterable[Shown]:
    for item in result.get("items", []):
        first = item["range"]["start"]["line"]
        n_lines = item["insertText"].count("\n") + 1
        lines = replaced(text, item["range"], item["insertText"]).split("\n")[first : first + n_lines]
        yield Shown(lines[0], tuple(lines[1:]))


def replaced(text: str, place: dict[str, Any], new: str) -> str:
    """`text` with an LSP range replaced."""
    return text[: _offset(text, place["start"])] + new + text[_offset(text, place["end"]) :]


def _offset(text: str, position: dict[str, int]) -> int:
    start = 0
    for _ in range(position["line"]):
        start = text.index("\n", start) + 1
    line = text[start:].partition("\n")[0]
    return start + len(line.encode("utf-16-le")[: position["character"] * UNIT].decode("utf-16-le"))
