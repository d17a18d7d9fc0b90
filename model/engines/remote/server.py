"""One server with what is known of it: which model it serves, what it takes, and whether it works."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.engines.remote.client import ServerClient, StreamedAnswer
from model.engines.remote.failure import NO_COMPLETION, ServerError
from model.engines.remote.health import Health
from model.engines.remote.infill import OWNER
from model.engines.remote.questions import CHAT, COMPLETIONS, Wanted, of_ids, of_parts
from model.vocabulary import Vocabulary

# Text that tokenizers of code disagree about; the server must read the same ids in it.
PROBE = "def area(self):\n    return 3.25 * self.größe  # 漢字\n"
MAX_MODELS = 1000


@dataclass(frozen=True)
class Needs:
    """What a server must have to be asked. `positions` of a prompt and its completion; `vectors`: whether it had better
    take vectors, of `hidden_size`."""

    name: str
    vocabulary: Vocabulary
    positions: int
    hidden_size: int
    vectors: bool


@dataclass(frozen=True)
class ServerOffer:
    """What a server has. `no_vectors`: why it takes none, "" where it does or nobody wants it to. `infills`: it is one
    of llama.cpp, which takes the texts around the cursor only."""

    model: str
    no_vectors: str = ""
    infills: bool = False


class CodingServer:
    """`look` and `ask` on the asker's thread. `told` is called on any thread, on news."""

    def __init__(self, client: ServerClient, needs: Needs, health: Health | None = None) -> None:
        self.host = client.host
        self.health = health or Health()
        self.told: Callable[[], None] = lambda: None
        self._client = client
        self._needs = needs
        self._offer = ServerOffer(needs.name)  # as it was last seen
        self._looking: Future[None] | None = None

    @property
    def offer(self) -> ServerOffer:
        return self._offer

    def look(self) -> None:
        """See whether it works, and what it has, unless it is too early; the news comes later."""
        if self.health.may_look():
            self._looking = self._client.run(self._look())

    def wait(self, seconds: float) -> None:
        """Until it was looked at, at most so long."""
        if self._looking:
            with suppress(TimeoutError, CancelledError):
                self._looking.result(seconds)

    def ask(self, path: str, question: Mapping[str, Any]) -> StreamedAnswer:
        """Raises ServerError."""
        return self._client.ask(path, question)

    def failed(self, why: str) -> None:
        """It did not answer, or not well."""
        if self.health.failed(why):
            self.told()

    def close(self) -> None:
        self._client.close()

    async def _look(self) -> None:
        try:
            offer = await self._seen()
        except ServerError as failure:
            self.failed(str(failure))
        except Exception as problem:  # whatever it is, suggestions go on, without a word of what was said
            self.failed(f"{NO_COMPLETION} ({type(problem).__name__})")
        else:
            is_news, self._offer = offer != self._offer, offer
            if self.health.recovered() or is_news:
                self.told()

    async def _seen(self) -> ServerOffer:
        """Raises ServerError where it cannot serve us."""
        needs = self._needs
        listed = await self._client.get("/v1/models")
        model, positions = _served(listed, needs.name)
        if _is_llama(listed):
            await self._check_llama()
            return ServerOffer(model, infills=True)
        if positions is not None and positions < needs.positions:
            raise ServerError(
                f"reads {positions:,} tokens, and {needs.positions:,} are wanted: lower model.contextTokens or raise "
                "its --max-model-len"
            )
        await self._check_tokens(model)
        return ServerOffer(model, await self._no_vectors(model) if needs.vectors else "")

    async def _check_tokens(self, model: str) -> None:
        """Raises ServerError where it reads other ids in a text than we do: it is another model."""
        vocabulary = self._needs.vocabulary
        fim = vocabulary.fim
        ids = [*vocabulary.encode(PROBE), fim.prefix, fim.suffix, fim.middle, fim.end]
        question = {
            **of_ids((), Wanted(model, 1, frozenset())),
            "prompt": vocabulary.spelled(ids),
            "stream": False,
        }
        choice = _choice(await self._client.post(COMPLETIONS, question))
        read = choice.get("prompt_token_ids")
        if read is None:
            raise ServerError("tells no token ids: vLLM 0.30 or later is wanted")
        if read != ids:
            raise ServerError(f"serves another model than {self._needs.name}: its tokens differ")

    async def _check_llama(self) -> None:
        """As `_check_tokens`, of a server of llama.cpp."""
        vocabulary = self._needs.vocabulary
        question = {"content": PROBE, "add_special": False, "parse_special": False}
        answer = await self._client.post("/tokenize", question)
        if not isinstance(answer, dict) or answer.get("tokens") != vocabulary.encode(PROBE):
            raise ServerError(f"serves another model than {self._needs.name}: its tokens differ")

    async def _no_vectors(self, model: str) -> str:
        """Why it takes no vectors, or changes the text beside them; "" where it does neither."""
        parts = (np.zeros((1, self._needs.hidden_size), np.float16), PROBE)
        question = {**of_parts(parts, Wanted(model, 1, frozenset())), "stream": False}
        try:
            answer = await self._client.post(CHAT, question)
        except ServerError as failure:
            if "HTTP 40" not in str(failure):
                raise
            return "takes no prompt embeddings (--enable-prompt-embeds)"
        usage = answer.get("usage") if isinstance(answer, dict) else None
        read = usage.get("prompt_tokens") if isinstance(usage, dict) else None
        if read != 1 + len(self._needs.vocabulary.encode(PROBE)):
            return "has a chat template that changes the text (--chat-template passthrough.jinja)"
        return ""


def _served(answer: Any, wanted: str) -> tuple[str, int | None]:
    """The id of a model and how many tokens it reads: the only one that is served, or the one of our name. Raises
    ServerError."""
    data = answer.get("data") if isinstance(answer, dict) else None
    models = [one for one in data[:MAX_MODELS] if isinstance(one, dict)] if isinstance(data, list) else []
    named = {one["id"]: one.get("max_model_len") for one in models if isinstance(one.get("id"), str)}
    if not named:
        raise ServerError(NO_COMPLETION)
    last = wanted.rstrip("/").rpartition("/")[2]
    names = list(named) if len(named) == 1 else [wanted, last]
    found = next((name for name in names if name in named), None)
    if found is None:
        raise ServerError(f"serves {len(named)} models, and none is called {last}")
    positions = named[found]
    return found, positions if type(positions) is int else None


def _is_llama(answer: Any) -> bool:
    """Of a list in which there is a model."""
    first = answer["data"][0]
    return isinstance(first, dict) and first.get("owned_by") == OWNER


def _choice(answer: Any) -> Mapping[str, Any]:
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not (isinstance(choices, list) and choices and isinstance(choices[0], dict)):
        raise ServerError(NO_COMPLETION)
    return choices[0]
