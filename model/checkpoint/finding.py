"""Where a checkpoint is, by the name that the settings give it, and which files are its weights."""

from __future__ import annotations

import re
from pathlib import Path

from model.checkpoint.files import AbsentError, MissingFilesError, WeightsError, read_json, require_files
from model.checkpoint.hub import fetch
from model.checkpoint.hub_cache import HubFolder, is_offline
from model.checkpoint.hub_client import pull_command
from model.news import Told, to_nobody
from model.settings import EMBEDDED, EMBEDDED_LARGE, EMBEDDED_TINY

EMBEDDED_FOLDER = Path(__file__).parents[1] / "pretrained"  # of the tiny one
LARGE = "large"  # folder in that one

_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_MAX_INDEX_BYTES = 50_000_000
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


def find_folder(
    name: str,
    *,
    revision: str = "main",
    offline: bool = True,
    embedded: Path = EMBEDDED_FOLDER,
    told: Told = to_nobody,
) -> Path:
    """The folder that `name` stands for; with `offline` the network is never touched, else what is missing of a hub
    id is fetched. Raises WeightsError."""
    if name in (EMBEDDED, EMBEDDED_TINY, EMBEDDED_LARGE):
        return _embedded_folder(name, embedded)
    try:
        folder = Path(name).expanduser()
        if folder.is_dir():
            return folder
    except (OSError, RuntimeError) as problem:  # a name that is too long, a home that nobody has
        raise WeightsError(f"no model at {name:.200} ({problem})") from problem
    if folder.suffix in _PICKLES:
        raise WeightsError(f"{folder.name} is a pickle, which can run code: only safetensors are loaded")
    if folder.is_file():
        raise WeightsError(f"{folder} is a file; name the folder that holds config.json and the safetensors")
    if not is_hub_id(name):
        raise WeightsError(
            f"no model at {name}: name 'embedded', a folder, or a hub id such as Qwen/Qwen2.5-Coder-0.5B"
        )
    return _hub_folder(name, revision, offline, told)


def has_large(embedded: Path = EMBEDDED_FOLDER) -> bool:
    """Whether the package has the large model."""
    return (embedded / LARGE / "config.json").is_file()


def _embedded_folder(name: str, embedded: Path) -> Path:
    if name == EMBEDDED_LARGE and not has_large(embedded):
        raise WeightsError(
            f"this installation has no large model (model/pretrained/{LARGE}): set model.name to {EMBEDDED}"
        )
    if not embedded.is_dir():
        raise WeightsError("this installation has no embedded model (model/pretrained); reinstall hef-lsp")
    return embedded / LARGE if name != EMBEDDED_TINY and has_large(embedded) else embedded


def is_hub_id(name: str) -> bool:
    """Whether a name can be one of the hub's; a folder of this name goes before it."""
    return _HUB_ID.fullmatch(name) is not None


def is_whole(folder: Path) -> bool:
    """Whether no file of a checkpoint is missing."""
    try:
        require_files(folder, ("config.json", "tokenizer.json"))
        weight_files(folder)
    except MissingFilesError:
        return False
    except WeightsError:  # something else is wrong with it, which opening it says
        pass
    return True


def _hub_folder(name: str, revision: str, offline: bool, told: Told) -> Path:
    """What is here goes before what could be fetched: where it is whole, nobody is asked."""
    hub = HubFolder(name)
    here = hub.found(revision)
    if here is not None and is_whole(here):
        return here
    if not offline and not is_offline():
        return fetch(name, revision, told)
    partial = hub.partial_bytes()
    where = f"is here in part ({partial / 1e6:,.1f} MB)" if here or partial else "is not on this machine"
    pull = pull_command(name, revision)
    then = f"`{pull}` fetches it, and so does an editor once model.offline is false"
    if is_offline():
        then = f"unset HF_HUB_OFFLINE, then `{pull}`"
    raise AbsentError(f"{name} (revision {revision}) {where}: {then}", pull)


def weight_files(folder: Path, stem: str = "model") -> list[Path]:
    """`stem.safetensors` or the shards that its index names. Raises WeightsError naming what is absent, or a pickle."""
    index = folder / f"{stem}.safetensors.index.json"
    names = _shards(index) if index.is_file() else [f"{stem}.safetensors"]
    pickles = [name for name in names if not name.endswith(".safetensors")]
    if not all((folder / name).is_file() for name in names):
        pickles += sorted(f.name for f in folder.iterdir() if f.suffix in _PICKLES)
    if pickles:
        raise WeightsError(f"{pickles[0]} is a pickle, which can run code: only safetensors are loaded")
    require_files(folder, names)
    return [folder / name for name in names]


def _shards(index: Path) -> list[str]:
    weight_map = read_json(index, _MAX_INDEX_BYTES).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise WeightsError(f"{index.name} has no weight_map from tensors to files")
    names = sorted(set(weight_map.values()))
    if any(Path(name).name != name for name in names):
        raise WeightsError(f"{index.name} names files outside its folder")
    return names
