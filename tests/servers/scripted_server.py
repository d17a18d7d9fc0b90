"""The real server with a model that writes what a script says: `python scripted_server.py SCRIPT.json [arguments]`.

The script's keys: `targets` (documents that the model knows by heart: it writes what follows the prefix), `otherwise`
(what it writes elsewhere; null: something else at every place; "checksum": one of the prefix), `token_seconds`,
`load_seconds`, `embed_seconds` (for a batch; may be absent), `load_error`, `confidence` (of each line; may be absent),
`tokenized` (whether the repository's files are kept as lines; may be absent), `calls` (a file that gets one JSON line
per call of the model: uri path, what was typed last, how it stopped, the context's paths).
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from lsp_server import cli, server
from lsp_server.coder import LoadedCoder
from lsp_server.settings import Settings
from model.checkpoint.files import WeightsError
from model.repository import RetrievalQuery, Retrieve
from model.request import Completion, Request

TOKEN_CHARACTERS = 4


class HashEncoder:
    """Texts to vectors without a model."""

    fingerprint = "hash-encoder"

    def __init__(self, embed_seconds: float = 0.0) -> None:
        self._embed_seconds = embed_seconds

    def embed(self, texts: Sequence[str]) -> SimpleNamespace:
        time.sleep(self._embed_seconds)
        return self._nodes([text.encode() for text in texts])

    def fuse(self, groups: Sequence[np.ndarray]) -> SimpleNamespace:
        return self._nodes([np.ascontiguousarray(group).tobytes() for group in groups])

    def _nodes(self, contents: Sequence[bytes]) -> SimpleNamespace:
        keys = np.zeros((len(contents), 8), np.float16)
        for row, content in enumerate(contents):
            seed = int.from_bytes(hashlib.sha256(content).digest()[:4], "little")
            key = np.random.default_rng(seed).normal(size=8)
            keys[row] = key / np.linalg.norm(key)
        return SimpleNamespace(keys=keys, memories=np.repeat(keys[:, None, :], 2, axis=1))


class LetterTokenizer:
    """Every character is a token."""

    fingerprint = "letters"

    def encode(self, text: str) -> list[int]:
        return list(map(ord, text))


class ScriptedCompleter:
    """Plays `model.completer.Completer`."""

    def __init__(self, script: dict[str, Any]) -> None:
        self._script = script

    def accepted(self, prefix: str, text: str) -> None:
        """Nothing is learned."""

    def mode(self, asked: str) -> str:
        return "snippets"

    def prepare(self, request: Request, retrieve: Retrieve | None) -> None: ...

    def tend(self, interrupted: Callable[[], bool]) -> bool:
        return False

    def shelf(self, folder: Path) -> None: ...

    def complete(
        self, request: Request, retrieve: Retrieve | None, cancelled: Callable[[], bool] = lambda: False
    ) -> Completion:
        found = (
            retrieve(RetrievalQuery(request.path, request.prefix, request.suffix, None)) if retrieve else []
        )
        wanted = next(
            (
                target[len(request.prefix) :]
                for target in self._script["targets"]
                if target.startswith(request.prefix)
            ),
            self._script["otherwise"],
        )
        wanted = varied(request.prefix) if wanted is None else wanted
        if wanted == "checksum":
            wanted = checksum(request.prefix)
        start = time.monotonic()
        text, stopped, n_tokens = "", "end", 0
        while len(text) < len(wanted):
            if cancelled():
                stopped = "cancelled"
                break
            if (time.monotonic() - start) * 1e3 > request.deadline_ms:
                stopped = "deadline"
                break
            time.sleep(self._script["token_seconds"])
            n_tokens += 1
            text = wanted[: len(text) + TOKEN_CHARACTERS]
            if request.finished(text):
                stopped = "finished"
                break
        self._record(request, stopped, [item.path for item in found])
        return Completion(
            text=text, tokens=n_tokens, drafted=0, accepted=0, forward_passes=n_tokens, prompt_tokens=0,
            reused_tokens=0, timings_ms={"total": (time.monotonic() - start) * 1e3}, context=tuple(found),
            stopped=stopped, mode="snippets" if retrieve else "none",
            confidence=tuple(self._script.get("confidence", ())),
        )  # fmt: skip

    def _record(self, request: Request, stopped: str, paths: list[str]) -> None:
        line = {"path": request.path, "typed": request.prefix[-20:], "stopped": stopped, "context": paths}
        with Path(self._script["calls"]).open("a", encoding="utf-8") as calls:
            calls.write(json.dumps(line) + "\n")


def varied(prefix: str) -> str:
    """One to three lines that are different after every prefix, and begin with a closer now and then."""
    digest = hashlib.sha256(prefix.encode()).hexdigest()
    words = [f"w{digest[at : at + 4]}" for at in range(0, 40, 4)]
    indent = prefix[prefix.rfind("\n") + 1 :]
    indent = indent[: len(indent) - len(indent.lstrip())]
    lines = [
        f"{words[0]}({words[1]}, [{words[2]}])",
        f"{indent}{words[3]} = {words[4]}",
        f"{indent}{words[5]}()",
    ]
    start = ")" if int(digest[40], 16) < 4 else ""
    return start + "\n".join(lines[: 1 + int(digest[41], 16) % 3])


def checksum(text: str) -> str:
    """Letters that belong to this text and no other."""
    return "".join(chr(ord("a") + byte % 16) for byte in hashlib.sha256(text.encode()).digest()[:12])


def load_script(script: dict[str, Any]) -> Callable[[Settings], LoadedCoder]:
    def load(settings: Settings) -> LoadedCoder:
        time.sleep(script["load_seconds"])
        if script["load_error"]:
            raise WeightsError(script["load_error"])
        print("a stray print must not reach the protocol", flush=True)
        return LoadedCoder(
            ScriptedCompleter(script),
            HashEncoder(script.get("embed_seconds", 0.0)),
            "scripted",
            (),
            time.monotonic(),
            tokenizer=LetterTokenizer() if script.get("tokenized") else None,
        )

    return load


def main() -> int:
    script = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    create = server.create_server
    server.create_server = lambda assignments=(): create(assignments, load_script(script))
    return cli.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
