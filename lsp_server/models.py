"""`--models`: which models are here, how large they are and which this machine carries; `pull` fetches one."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsp_server.coming import Rate, coming
from lsp_server.commands import write_line
from lsp_server.paces import KeptPace, expectation
from lsp_server.problems import UsageError, UserMustActError, explain
from lsp_server.reindexing import BAR_WIDTH
from lsp_server.settings import Settings
from lsp_server.visible import visible
from model.checkpoint.files import WeightsError
from model.checkpoint.hub_cache import HubFolder, cached_models, hub_cache
from model.news import News
from model.pace import Pace
from model.settings import EMBEDDED, EMBEDDED_LARGE, EMBEDDED_TINY

if TYPE_CHECKING:
    from model.engines.engine import Engine

SHOW_SECONDS = 0.1  # between two looks of a bar

# Weights of each that is known to be of use, all in bfloat16 on the hub, and what of its license must be known.
# Source: the model cards there.
_KNOWN = (
    ("Qwen/Qwen2.5-Coder-0.5B", 494_032_768, ""),
    ("Qwen/Qwen2.5-Coder-1.5B", 1_543_714_304, ""),
    ("Qwen/Qwen2.5-Coder-3B", 3_085_938_688, ", for research only"),
    ("Qwen/Qwen2.5-Coder-7B", 7_615_616_512, ""),
)


@dataclass(frozen=True)
class ListedModel:
    """`bytes` that its `weights` have on disk or on the hub; `needs` and `free` bytes of memory, None where that is
    unknown; `problem`: why it cannot be used, in a sentence."""

    name: str
    place: str  # "package", "hub cache", "folder", "hub": to be fetched
    folder: str = ""
    weights: int = 0
    bytes: int = 0
    needs: int | None = None
    free: int | None = None
    device: str = ""
    pace: Pace | None = None
    problem: str = ""
    remark: str = ""
    chosen: bool = False

    @property
    def fits(self) -> bool:
        return not self.problem and (self.needs is None or self.free is None or self.needs <= self.free)


def show_models(settings: Settings, *, as_json: bool) -> int:
    """Print the models that are here, and some that can be fetched."""
    models = list(_models(settings))
    if as_json:
        write_line(json.dumps({"hub": str(hub_cache()), "models": list(map(_figures, models))}, indent=2))
        return 0
    usable = [model for model in models if not model.problem or model.chosen]
    width = max(len(model.name) for model in usable)
    for model in usable:
        mark = "*" if model.chosen else " "
        size = f"{model.bytes / 1e6:,.0f} MB"
        write_line(
            visible(
                f"{mark} {model.name:<{width}}  {size:>10}  {model.place:<9}  {_verdict(model, settings)}"
            )
        )
    if others := [model.name for model in models if model not in usable]:
        write_line(visible(f"Of no use here: {', '.join(others)} (--json says why)"))
    write_line(f"* is what model.name says; models of the hub lie in {visible(str(hub_cache()))}")
    return 0


def pull(settings: Settings, name: str) -> int:
    """Fetch a model from the hub, or what of it is missing or damaged. The revision is that of the settings."""
    from model.checkpoint.finding import is_hub_id
    from model.checkpoint.hub import fetch
    from model.checkpoint.opening import open_checkpoint

    if not is_hub_id(name):
        raise UsageError(f"--models pull wants a hub id such as {_KNOWN[0][0]}, not {visible(name)!r}.")
    revision = settings.model.revision
    bar = _FetchBar(name)
    try:
        folder = fetch(name, revision, bar)
        checkpoint = open_checkpoint(name, revision=revision)
    except WeightsError as error:
        raise UserMustActError(explain(error)) from error
    finally:
        bar.end()
    size = sum(file.stat().st_size for file in {info.file for info in checkpoint.tensors.values()})
    write_line(visible(f"{name} is here: {size / 1e6:,.0f} MB in {folder}"))
    write_line(
        visible(f"Next: `hef-lsp --doctor --set model.name={name}` prepares it once and says how fast it is.")
    )
    return 0


def _models(settings: Settings) -> Iterator[ListedModel]:
    from model.checkpoint.finding import EMBEDDED_FOLDER, LARGE, has_large, is_hub_id

    chosen = settings.model.name
    large = has_large()
    names = {EMBEDDED_TINY: EMBEDDED_FOLDER} | ({EMBEDDED_LARGE: EMBEDDED_FOLDER / LARGE} if large else {})
    best = EMBEDDED_LARGE if large else EMBEDDED_TINY
    packaged = [
        _here(settings, name, "package", folder, name == (best if chosen == EMBEDDED else chosen))
        for name, folder in names.items()
    ]
    yield from packaged
    hub = cached_models()
    for name in hub:
        revision = settings.model.revision if name == chosen else "main"
        yield _here(settings, name, "hub cache", HubFolder(name).found(revision), name == chosen)
    elsewhere = {name for name, _, _ in _KNOWN}.difference(hub)
    if Path(chosen).expanduser().is_dir():
        yield _here(settings, chosen, "folder", Path(chosen).expanduser(), True)
    elif chosen not in {EMBEDDED, *names, *hub, *elsewhere}:
        is_fetched = is_hub_id(chosen)
        absent = ListedModel(chosen, "hub", chosen=True)
        yield absent if is_fetched else _here(settings, chosen, "nowhere", None, True)
    for name, n_weights, remark in _KNOWN:
        if name in elsewhere:
            yield _to_fetch(settings, name, n_weights, remark, packaged[-1])


def _here(settings: Settings, name: str, place: str, folder: Path | None, chosen: bool) -> ListedModel:
    """One that is on this machine, whole or not."""
    from model.checkpoint.finding import find_folder
    from model.checkpoint.opening import read_checkpoint
    from model.loading import choose_engine, n_weights, needed_bytes

    wanted = replace(settings.model, name=name, adapter=settings.model.adapter if chosen else "")
    listed = ListedModel(name, place, str(folder or ""), chosen=chosen)
    try:
        checkpoint = read_checkpoint(
            find_folder(name, revision=wanted.revision) if folder is None else folder
        )
        files = {info.file for info in checkpoint.tensors.values()}
        size = sum(file.stat().st_size for file in files)
        listed = replace(listed, bytes=size, weights=n_weights(checkpoint))
        engine = choose_engine(wanted, listed.weights)
        needs, free = needed_bytes(wanted, checkpoint, engine), engine.free_bytes()
        pace = KeptPace(checkpoint.fingerprint(), wanted).get(float("inf"))
    except (WeightsError, OSError) as error:
        return replace(listed, problem=explain(error))
    return replace(listed, needs=needs, free=free, device=engine.device, pace=pace)


def _to_fetch(settings: Settings, name: str, weights: int, remark: str, measured: ListedModel) -> ListedModel:
    """One of the hub. `measured`: one that is here, to compare it with where its pace is known."""
    from model.loading import choose_engine

    listed = ListedModel(name, "hub", "", weights, 2 * weights, chosen=name == settings.model.name)
    try:
        engine: Engine = choose_engine(replace(settings.model, name=name), weights)
    except WeightsError as error:
        return replace(listed, problem=explain(error))
    if measured.pace and measured.weights and measured.device == engine.device:
        times, line = weights / measured.weights, f"{measured.pace.line_ms:,.0f} ms for a line here"
        remark += f", {times:.0f} times the weights of {measured.name}, which takes {line}"
    needs, free = engine.needed_bytes(weights, 0), engine.free_bytes()
    return replace(listed, needs=needs, free=free, device=engine.device, remark=remark)


def _verdict(model: ListedModel, settings: Settings) -> str:
    """What to expect of it and what to do."""
    if model.problem:
        return model.problem
    if not model.fits:
        needs, free = (model.needs or 0) / 1e9, (model.free or 0) / 1e9
        return f"does not fit: needs {needs:.1f} GB of memory on {model.device}, {free:.1f} GB are free{model.remark}"
    if model.place == "hub":
        return f"`hef-lsp --models pull {model.name}` fetches it{model.remark}"
    if model.pace is None:
        return f"fits; `hef-lsp --doctor --set model.name={model.name}` says how fast it is"
    said, step = expectation(model.pace, model.name, settings.model.deadline_ms)
    return f"{said}. {step}".rstrip(". ")


def _figures(model: ListedModel) -> dict[str, Any]:
    pace = model.pace
    return {
        "name": model.name,
        "place": model.place,
        "folder": model.folder,
        "weights": model.weights,
        "bytes": model.bytes,
        "needs_bytes": model.needs,
        "free_bytes": model.free,
        "device": model.device,
        "fits": model.fits,
        "begin_ms": round(pace.begin_ms, 1) if pace else None,
        "line_ms": round(pace.line_ms, 1) if pace else None,
        "problem": model.problem,
        "chosen": model.chosen,
    }


class _FetchBar:
    """What `fetch` tells, on a terminal's stderr."""

    def __init__(self, name: str) -> None:
        self._name, self._rate = name, Rate()
        self._last: tuple[str, float] = ("", 0.0)  # work, and when it was shown

    def __call__(self, news: News) -> None:
        now = time.monotonic()
        work, shown = self._last
        is_whole = 0 < news.total == news.done
        if not sys.stderr.isatty() or (news.work == work and now - shown < SHOW_SECONDS and not is_whole):
            return
        self._last = (news.work, now)
        said = coming(self._name, news, self._rate.of(news.done))
        filled = BAR_WIDTH * news.done // max(news.total, 1)
        sys.stderr.write(f"\r[{'#' * filled:<{BAR_WIDTH}}] {said.line}\x1b[K")
        sys.stderr.flush()

    def end(self) -> None:
        """Go to the next line."""
        if sys.stderr.isatty():
            sys.stderr.write("\n")
