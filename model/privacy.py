"""No library's telemetry, and no library's files outside of our own cache folder: the one place that says so.

It is said in the environment because that is all they listen to: ONNX Runtime begins when its library is loaded and
goes on after `disable_telemetry_events()`, the hub's client reads its switches once, at its own import. Processes that
are started from here inherit it.
"""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

LIBRARIES = "libraries"  # folder of the cache home

# A user's other choice does not count: the promise is that nothing is sent, and it is ours.
SILENCED = {
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime >= 1.29: reports to its maker, keeps a device id and a queue of events
    "HF_HUB_DISABLE_TELEMETRY": "1",  # huggingface_hub and transformers: which tool calls them, asked of the hub
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "DO_NOT_TRACK": "1",  # the name that several have agreed on, huggingface_hub and vLLM among them
    "RAY_USAGE_STATS_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
}


def silence_libraries() -> None:
    """Must be called before any of them is imported."""
    os.environ.update(SILENCED)


def cache_home() -> Path:
    """Where the user's caches are; HEF_CACHE_DIR moves all that this project keeps.

    `indexer.cache_folder` says it in the same two lines: neither package may import the other, and handing a folder
    through every loader and engine would take more than they are. A test holds them equal.
    """
    named = os.environ.get("HEF_CACHE_DIR")
    return Path(named) if named else user_cache_path("hef-lsp", appauthor=False, opinion=False)


def keep_library_files() -> None:
    """For training and plots: matplotlib's font list and torch's compiled code go into our cache, not beside it.

    Called before they are imported. A folder that the user named is the user's.
    """
    home = cache_home().absolute() / LIBRARIES
    os.environ.setdefault("MPLCONFIGDIR", str(home / "matplotlib"))
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(home / "inductor"))
    os.environ.setdefault("TRITON_CACHE_DIR", str(home / "triton"))
