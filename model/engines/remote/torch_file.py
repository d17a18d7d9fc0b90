"""The file format of `torch.save`, written by hand for one matrix: what vLLM takes vectors in. Nothing here reads it.

A zip with a pickle of protocol 2 that calls what `torch.load(weights_only=True)` allows, and the numbers beside it.
https://docs.pytorch.org/docs/stable/notes/serialization.html
"""

from __future__ import annotations

import io
import struct
import zipfile

import numpy as np

_STORAGES = {"float32": "FloatStorage", "float16": "HalfStorage"}
_PROTOCOL, _MARK, _TUPLE, _CALL, _STOP = b"\x80\x02", b"(", b"t", b"R", b"."
_PERSISTENT, _FALSE, _EMPTY_TUPLE = b"Q", b"\x89", b")"


def torch_file(matrix: np.ndarray) -> bytes:
    """float32 or float16 [n, width] -> bytes that `torch.load` makes the same tensor of. Raises ValueError."""
    if matrix.ndim != 2 or matrix.dtype.name not in _STORAGES:
        raise ValueError(f"a matrix of floats is wanted, not {matrix.dtype} {matrix.shape}")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("t/data.pkl", _pickled(matrix))
        archive.writestr("t/byteorder", "little")
        archive.writestr("t/data/0", matrix.astype(matrix.dtype.newbyteorder("<"), order="C").tobytes())
        archive.writestr("t/version", "3\n")
    return out.getvalue()


def _pickled(matrix: np.ndarray) -> bytes:
    """`_rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)`."""
    rows, width = matrix.shape
    kind = _global("torch", _STORAGES[matrix.dtype.name])
    storage = [
        _MARK,
        _text("storage"),
        kind,
        _text("0"),
        _text("cpu"),
        _whole(matrix.size),
        _TUPLE,
        _PERSISTENT,
    ]
    shape = [_MARK, _whole(rows), _whole(width), _TUPLE]
    strides = [_MARK, _whole(width), _whole(1), _TUPLE]
    hooks = [_global("collections", "OrderedDict"), _EMPTY_TUPLE, _CALL]
    arguments = [_MARK, *storage, _whole(0), *shape, *strides, _FALSE, *hooks, _TUPLE]
    rebuild = _global("torch._utils", "_rebuild_tensor_v2")
    return b"".join([_PROTOCOL, rebuild, *arguments, _CALL, _STOP])


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def _whole(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)
