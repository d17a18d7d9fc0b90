from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from model.checkpoint.files import WeightsError, read_header
from model.checkpoint.tensors import reader


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_tensors_are_read_as_torch_reads_them(tmp_path: Path, dtype: torch.dtype) -> None:
    state = {
        name: torch.randn(shape).to(dtype) for name, shape in (("a", (3, 5)), ("b", (7,)), ("c", (2, 1, 4)))
    }
    save_file(state, tmp_path / "x.safetensors")
    read = reader(read_header(tmp_path / "x.safetensors"))
    for name, tensor in state.items():
        np.testing.assert_array_equal(read(name), tensor.float().numpy())
        assert read(name).dtype == np.float32


def test_a_format_that_is_not_supported_is_named(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3, dtype=torch.int32)}, tmp_path / "x.safetensors")
    with pytest.raises(
        WeightsError, match=r"x\.safetensors holds I32 tensors .a.: only F32, F16, BF16, U8 and I8"
    ):
        reader(read_header(tmp_path / "x.safetensors"))("a")
