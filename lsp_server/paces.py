"""How fast each coder was on this machine: measured once, kept in the cache home, so that the next start need not.

A folder per coder, machine and version, as all else that is shared there.
"""

from __future__ import annotations

import json
import math
import time
from contextlib import suppress
from dataclasses import asdict, replace
from hashlib import blake2b

from indexer.cache_folder import cache_home, make_private, write_whole
from indexer.reading import read_regular
from lsp_server.version import own_version
from model.engines.machine import processor, processors
from model.engines.torch.presence import has_cuda
from model.pace import Pace
from model.settings import DEFAULT_MODEL, EMBEDDED_LARGE, EMBEDDED_TINY, ModelSettings

BELIEVED_SECONDS = 86_400.0  # that a bad one is believed: the machine may have been busy
_FILE, _MAX_BYTES = "pace.json", 512


class KeptPace:
    """The pace of one coder, of this machine and version, with what decides how much it computes."""

    def __init__(self, fingerprint: str, settings: ModelSettings) -> None:
        """`fingerprint`: of the checkpoint."""
        same = DEFAULT_MODEL  # of what does not decide
        decides = replace(
            settings,
            name="",
            revision="",
            offline=same.offline,
            adapter="",
            deadline_ms=same.deadline_ms,
            idle_minutes=same.idle_minutes,
        )
        about = f"{fingerprint} {decides} {processor()} {processors()} {has_cuda()} {own_version()}"
        self._folder = cache_home() / "paces" / blake2b(about.encode(), digest_size=8).hexdigest()

    def get(self, deadline_ms: float) -> Pace | None:
        """None where it is unknown, or was measured long ago and would not do for the deadline."""
        try:
            raw = json.loads(read_regular(self._folder / _FILE, _MAX_BYTES))
            pace = Pace(int(raw["prompt_tokens"]), float(raw["prompt_ms"]), float(raw["token_ms"]))
            age = time.time() - float(raw["measured"])
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            return None
        figures = (pace.prompt_tokens, pace.prompt_ms, pace.token_ms)
        sound = all(0 < figure < math.inf for figure in figures) and age >= 0
        return pace if sound and (pace.needs_ms <= deadline_ms or age < BELIEVED_SECONDS) else None

    def put(self, pace: Pace) -> None:
        """Where it cannot be written the next start measures again."""
        content = json.dumps(asdict(pace) | {"measured": time.time()})
        with suppress(OSError):
            make_private(self._folder)
            write_whole(self._folder / _FILE, content.encode("ascii"))


def expectation(pace: Pace, name: str, deadline_ms: float) -> tuple[str, str]:
    """What to expect of a coder of this name and pace, and what to do where that is too slow, "" where it is not."""
    new = f"about {pace.begin_ms:,.0f} ms until the first token at a new place ({pace.prompt_tokens:,} are read)"
    said = f"{new}, {pace.line_ms:,.0f} ms for a line"
    if pace.needs_ms <= deadline_ms:
        return said, ""
    longer = f"Set model.deadlineMs ({deadline_ms:,.0f}) to {pace.needs_ms:,} or more"
    smaller = "or choose a smaller model: `hef-lsp --models` lists them"
    is_passed_over = name not in (EMBEDDED_TINY, EMBEDDED_LARGE)  # these are insisted on by their names
    instead = f", so in an editor {EMBEDDED_TINY} answers" if is_passed_over else ""
    return f"{said}: too slow{instead}", f"{longer}, {smaller}."
