"""From the settings to a loaded coder: the one that they name, or in an editor the tiny one of the package before it.

A coder takes over when this machine has shown that it meets the deadline with it. Where it does not, or it cannot be
loaded, the tiny one stays, and one sentence says why. What computes is imported here, lazily.
"""

from __future__ import annotations

import gc
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lsp_server.coder import LoadedCoder, StaysError, Successor
from lsp_server.elsewhere import load_from_server
from lsp_server.paces import KeptPace
from lsp_server.problems import explain
from lsp_server.settings import Settings
from model.checkpoint.files import NoRoomError, WeightsError
from model.engines.machine import give_back
from model.engines.torch.presence import give_back_gpu
from model.news import News, Told, to_nobody
from model.pace import Pace
from model.settings import EMBEDDED, EMBEDDED_LARGE, EMBEDDED_TINY

if TYPE_CHECKING:  # Loading imports the engine's libraries, and the editor is waiting for its first answer.
    from model.checkpoint.opening import Checkpoint
    from model.encoder import Encoder
    from model.loaded import LoadedModel

ONLY_RECALLED = "learned Python, other languages are only recalled"


def load_first(settings: Settings, embedded: Path | None = None) -> LoadedCoder:
    """For an editor: the tiny coder, with who takes over from it; the named one where there is no tiny one.

    `embedded`: the folder of the embedded models, None: the package's. Raises WeightsError.
    """
    gc.unfreeze()  # an earlier model can go
    if settings.model.server:
        return _from_server(settings, embedded)
    name = _successor(settings, embedded)
    if name is None:
        return load_coder(settings, embedded=embedded)
    try:
        tiny = load_coder(_naming(settings, EMBEDDED_TINY), embedded=embedded)
    except WeightsError:
        return load_coder(settings, embedded=embedded)
    return replace(tiny, successor=_successor_of(name, tiny.encoder, embedded))


def load_named(settings: Settings, embedded: Path | None = None, *, timed: bool = False) -> LoadedCoder:
    """For a command: the coder that the settings name, of the embedded ones the large one where this machine carries
    it. Nothing is fetched: that has a command of its own. `timed`: with its pace. Raises WeightsError."""
    gc.unfreeze()
    settings = replace(settings, model=replace(settings.model, offline=True))
    if settings.model.server:
        return _from_server(settings, embedded, waits=True)
    name = _successor(settings, embedded)
    if settings.model.name != EMBEDDED or name is None:
        coder = load_coder(settings, embedded=embedded)
        coder = replace(coder, pace=_kept_pace(coder.fingerprint, settings) if name else None)
    else:
        try:
            return _load_next(settings, name, None, embedded, to_nobody)
        except Exception as error:
            coder = load_coder(_naming(settings, EMBEDDED_TINY), embedded=embedded)
            needs_ms = error.needs_ms if isinstance(error, StaysError) else math.inf
            why = StaysError(why_tiny(name, error), needs_ms)
            coder = replace(coder, notes=(*coder.notes, str(why)), passed_over=why)
    return _timed(coder, settings) if timed else coder


def who_answers(settings: Settings, coder: LoadedCoder) -> str:
    """Why a command that is more patient than these settings has loaded this coder, or an editor has another; "" where
    it is as the settings name it, and where its pace is not known."""
    if coder.passed_over:
        return str(coder.passed_over)
    if settings.model.server:
        return coder.said[-1]
    name = _successor(settings, None)
    try:
        _check(settings, name or "", coder.pace if name else None)
    except StaysError as error:
        return f"In an editor {error}"
    return ""


def load_coder(
    settings: Settings,
    *,
    embedded: Path | None = None,
    checkpoint: Checkpoint | None = None,
    encoder: object = None,
    told: Told = to_nobody,
) -> LoadedCoder:
    """Load what the settings name, which can take seconds, or minutes the first time. Raises WeightsError, saying what
    the user can do.

    `checkpoint`: if it is open already; `encoder`: of another coder, shared where it is the same.
    """
    from model.checkpoint.opening import EMBEDDED_FOLDER
    from model.completer import Completer
    from model.loading import load_opened, open_named
    from model.recall.mixer import recalling

    embedded = embedded or EMBEDDED_FOLDER
    checkpoint = checkpoint or open_named(settings.model, embedded, told)
    loaded = cast("Encoder | None", encoder)
    model = load_opened(settings.model, checkpoint, embedded=embedded, loaded=loaded, told=told)
    mixing = recalling(model, settings.recall)
    coder = LoadedCoder(
        completer=Completer(
            model, settings.model, mixing=mixing, drafts=settings.drafts, blocks=settings.blocks
        ),
        encoder=model.encoder,
        description=describe(model),
        notes=model.notes,
        loaded_at=time.monotonic(),
        tokenizer=model.vocabulary,
        fingerprint=model.fingerprint,
    )
    # What the libraries have made stays: to look through it for garbage takes up to 90 ms, in which no one
    # is answered.
    gc.freeze()
    return coder


def _from_server(settings: Settings, embedded: Path | None, *, waits: bool = False) -> LoadedCoder:
    """The coder of `model.server`; the tiny one where there is nothing to ask it with. Raises WeightsError."""
    try:
        return load_from_server(settings, embedded, waits=waits)
    except (WeightsError, ModuleNotFoundError) as error:
        tiny = load_coder(_naming(settings, EMBEDDED_TINY), embedded=embedded)
        missing = isinstance(error, ModuleNotFoundError)
        why = "model.server needs `pip install 'hef-lsp[remote]'`." if missing else explain(error)
        return replace(tiny, notes=(*tiny.notes, f"{EMBEDDED_TINY} answers, because {why}"))


def let_go() -> None:
    """Have what an earlier coder has left go back to the system: up to some 100 ms, in which no one is answered."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    give_back()
    give_back_gpu()


def rests(settings: Settings, coder: LoadedCoder) -> bool:
    """Whether the memory of a coder that a command has loaded is given back in an editor while nobody types."""
    if settings.model.server:
        return False
    return bool(
        settings.model.idle_minutes and _successor(settings, None) and not who_answers(settings, coder)
    )


def describe(model: LoadedModel) -> str:
    """A loaded model in one line."""
    from model.fitted import described

    where = f"{model.engine} on {model.device}"
    if model.threads:
        where += f" with {model.threads} thread{'s' if model.threads > 1 else ''}"
    fitted = described(model.recall, model.confidence)
    learned = f"; {ONLY_RECALLED}" if model.name == EMBEDDED_TINY else ""
    return f"{model.name} ({model.n_parameters / 1e6:,.0f}M parameters), {model.dtype}, {where}; {fitted}{learned}"


def why_tiny(name: str, error: Exception) -> str:
    """Why the tiny coder answers in place of another one, in a sentence."""
    if isinstance(error, StaysError):
        return str(error)
    if isinstance(error, NoRoomError):
        figures = f"needs {error.needed / 1e9:.1f} GB of memory and {error.available / 1e9:.1f} GB are free"
        step = f"close something and restart the server, or set model.name to {EMBEDDED_TINY}."
        return f"{EMBEDDED_TINY} answers, because {name} {figures}: {step}"
    said = explain(error)
    why = said if said.startswith(name) else f"{name} cannot be loaded: {said}"
    return f"{EMBEDDED_TINY} answers, because {why}"


def _successor(settings: Settings, embedded: Path | None) -> str | None:
    """Name of the coder that the tiny one is to make way for; None where there is one coder only."""
    from model.checkpoint.opening import EMBEDDED_FOLDER, has_large

    folder, name = embedded or EMBEDDED_FOLDER, settings.model.name
    if name == EMBEDDED:
        return EMBEDDED_LARGE if has_large(folder) else None
    return name if name != EMBEDDED_TINY and (folder / "config.json").is_file() else None


def _successor_of(name: str, encoder: object, embedded: Path | None) -> Successor:
    """The named coder, with the tiny one as its stand-in; `encoder`: the tiny one's, shared where it is the same."""

    def load(settings: Settings, told: Told) -> LoadedCoder:
        coder = _load_next(settings, name, encoder, embedded, told)
        shared = coder.encoder

        def load_tiny(settings: Settings, told: Told) -> LoadedCoder:
            wanted = _naming(settings, EMBEDDED_TINY)
            tiny = load_coder(wanted, embedded=embedded, encoder=shared, told=told)
            return replace(tiny, successor=_successor_of(name, tiny.encoder, embedded))

        return replace(coder, stand_in=Successor(EMBEDDED_TINY, load_tiny))

    return Successor(name, load)


def _load_next(
    settings: Settings, name: str, encoder: object, embedded: Path | None, told: Told
) -> LoadedCoder:
    """A coder that this machine carries, whose pace is known now. Raises StaysError where it does not, and
    WeightsError."""
    from model.checkpoint.opening import EMBEDDED_FOLDER
    from model.loading import open_named

    wanted = _naming(settings, name)
    checkpoint = open_named(wanted.model, embedded or EMBEDDED_FOLDER, told)
    told(News("loading"))
    pace = _kept_pace(checkpoint.fingerprint(), wanted)
    _check(settings, name, pace)
    coder = load_coder(wanted, embedded=embedded, checkpoint=checkpoint, encoder=encoder, told=told)
    told(News("loading"))
    coder = replace(coder, pace=pace) if pace else _timed(coder, wanted)
    _check(settings, name, coder.pace)
    return coder


def _timed(coder: LoadedCoder, settings: Settings) -> LoadedCoder:
    """With its pace on this machine, measured where none is known that would do."""
    kept, deadline_ms = KeptPace(coder.fingerprint, settings.model), settings.model.deadline_ms
    pace = kept.get(deadline_ms)
    if pace is None or pace.needs_ms > deadline_ms:
        pace = coder.completer.pace(settings.model.context)
        kept.put(pace)
    return replace(coder, pace=pace)


def _kept_pace(fingerprint: str, settings: Settings) -> Pace | None:
    return KeptPace(fingerprint, settings.model).get(settings.model.deadline_ms)


def _check(settings: Settings, name: str, pace: Pace | None) -> None:
    """Raises StaysError where a coder does not meet the deadline; who names the large one insists on it."""
    allowed = settings.model.deadline_ms
    if pace is None or pace.needs_ms <= allowed or settings.model.name == EMBEDDED_LARGE:
        return
    insist = f", or model.name to {EMBEDDED_LARGE}" if name == EMBEDDED_LARGE else ""
    raise StaysError(
        f"{EMBEDDED_TINY} answers, because on this machine {name} takes about {pace.begin_ms:,.0f} ms to begin at a "
        f"new place and {pace.line_ms:,.0f} ms for a line: set model.deadlineMs ({allowed:,.0f}) to "
        f"{pace.needs_ms:,} or more{insist}.",
        pace.needs_ms,
    )


def _naming(settings: Settings, name: str) -> Settings:
    """The settings with the model of this name."""
    if name == settings.model.name:
        return settings
    # An adapter that was named is one for the model that was named with it.
    return replace(settings, model=replace(settings.model, name=name, adapter=""))
