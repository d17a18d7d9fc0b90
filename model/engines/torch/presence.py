"""Whether there is torch, and a GPU for it: asked before either costs anything."""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.util import find_spec

_CUDA_DRIVER = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"


def has_torch() -> bool:
    """Whether torch is installed; it is not imported."""
    return find_spec("torch") is not None


def has_cuda() -> bool:
    """Whether torch finds a GPU; it is not imported where there is no driver for one."""
    if not has_torch():
        return False
    try:
        ctypes.CDLL(_CUDA_DRIVER)
    except OSError:
        return False
    import torch

    return bool(torch.cuda.is_available())


def give_back_gpu() -> None:
    """What was freed of a GPU's memory goes to the system, where torch would keep it; torch is not imported for it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
