from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from model.blocks.packing import DTYPES, Packing
from model.engines.decoder import Rows
from tests.model.made_blocks import PACKING, made


def packing_of(dtype: str) -> Packing:
    return Packing(PACKING.layers, PACKING.kv_heads, PACKING.head_dim, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 7, 128])
def test_rows_come_back_as_exactly_as_their_format_allows(dtype: str, n: int) -> None:
    rows, packing = made(1, n).rows, packing_of(dtype)
    rows.keys[:, :, :, 3] *= 1_000  # a channel that is much larger than the others

    read = packing.unpack(packing.pack(rows))

    assert read.positions.dtype == np.int64
    assert read.positions.tolist() == rows.positions.tolist()
    for name in ("keys", "values"):
        exact, kept = getattr(rows, name), getattr(read, name)
        largest = np.abs(exact).max(axis=2, keepdims=True)
        allowed = np.abs(exact) / 2**11 + 2**-25 if dtype == "float16" else largest * (0.5001 / 127)
        assert (np.abs(exact - kept.astype(np.float32)) <= allowed).all()


def test_a_channel_of_nothing_stays_nothing() -> None:
    rows = made(1).rows
    rows.values[1, 0, :, 5] = 0

    assert not PACKING.unpack(PACKING.pack(rows)).values[1, 0, :, 5].any()


def test_int8_takes_a_quarter_and_float16_half() -> None:
    rows = made(1).rows
    exact = rows.keys.nbytes + rows.values.nbytes

    assert len(PACKING.pack(rows)) < exact / 4 * 1.1
    assert len(packing_of("float16").pack(rows)) < exact / 2 * 1.1


def without_a_layer(rows: Rows) -> Rows:
    return Rows(rows.keys[:2], rows.values[:2], rows.positions)


def narrower(rows: Rows) -> Rows:
    return Rows(rows.keys[..., :8], rows.values[..., :8], rows.positions)


def with_fewer_values(rows: Rows) -> Rows:
    return Rows(rows.keys, rows.values[:, :, :5], rows.positions)


def without_rows(rows: Rows) -> Rows:
    return rows[:0]


def with_no_number(rows: Rows) -> Rows:
    return Rows(np.where(rows.keys > 2, np.float32("nan"), rows.keys), rows.values, rows.positions)


def with_an_infinite_one(rows: Rows) -> Rows:
    return Rows(rows.keys, np.where(rows.values > 2, np.float32("inf"), rows.values), rows.positions)


BROKEN = [without_a_layer, narrower, with_fewer_values, without_rows, with_no_number, with_an_infinite_one]


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_that_do_not_fit_are_refused(broken: Callable[[Rows], Rows], dtype: str) -> None:
    with pytest.raises(ValueError, match="rows"):
        packing_of(dtype).pack(broken(made(1).rows))


def test_float16_refuses_what_it_does_not_hold() -> None:
    rows = made(1).rows
    rows.keys[0, 0, 0, 0] = 70_000

    with pytest.raises(ValueError, match="float16"):
        packing_of("float16").pack(rows)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bytes_that_are_not_whole_rows_are_refused(dtype: str) -> None:
    packing = packing_of(dtype)
    packed = packing.pack(made(1).rows)

    for broken in (
        b"",
        packed[:-1],
        packed + b"\0",
        Packing(5, 1, 8, dtype).pack(made(1, 3, Packing(5, 1, 8)).rows),
    ):
        with pytest.raises(ValueError, match="no rows"):
            packing.unpack(broken)


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="int4"):
        packing_of("int4")
