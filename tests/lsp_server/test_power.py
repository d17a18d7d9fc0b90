"""On battery what nobody waits for is slower, or waits; the machine's supplies are folders of the test."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from indexer import Index, IndexStats, Progress, UpdateReport
from lsp_server import doctor, foresight, power, preparing, workspace
from lsp_server.pending import Pending
from lsp_server.power import ON_BATTERY, Power, on_battery
from lsp_server.settings import Settings, override
from lsp_server.workspace import SLOWER, Events, Workspace
from tests.lsp_server.test_blocks import AHEAD, Document, root, served, until
from tests.lsp_server.test_workspace import Clock

__all__ = ["root"]

MAINS, NO_MAINS = {"type": "Mains", "online": "1"}, {"type": "Mains", "online": "0"}
USED, FULL = {"type": "Battery", "status": "Discharging"}, {"type": "Battery", "status": "Full"}
MOUSE = {**USED, "scope": "Device"}
CHARGER, NO_CHARGER = {"type": "USB", "online": "1"}, {"type": "USB", "online": "0"}


def supplies(folder: Path, *parts: dict[str, str]) -> Path:
    """A folder as Linux has it, with these and no others."""
    for old in folder.glob("*/*"):
        old.unlink()
    for number, part in enumerate(parts):
        (folder / f"supply{number}").mkdir(parents=True, exist_ok=True)
        for name, value in part.items():
            (folder / f"supply{number}" / name).write_text(f"{value}\n", encoding="ascii")
    return folder


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((), False),
        ((NO_MAINS, USED), True),
        ((USED,), True),
        ((MAINS, USED), False),  # the charger is too weak, but it is there
        ((NO_MAINS, CHARGER, USED), False),
        ((NO_MAINS, NO_CHARGER, FULL, USED), True),
        ((NO_MAINS, FULL), False),
        ((MAINS,), False),
        ((NO_MAINS,), False),
        ((MOUSE,), False),
        ((NO_MAINS, MOUSE), False),
        (({"type": "Battery"},), False),
        (({"type": "UPS", "online": "1"}, NO_MAINS, USED), True),
    ],
)
def test_on_battery_is_who_discharges_one_and_has_nothing_else(
    tmp_path: Path, parts: tuple[dict[str, str], ...], expected: bool
) -> None:
    assert on_battery(supplies(tmp_path / "power", *parts)) == expected


def test_a_machine_that_says_nothing_is_on_mains(tmp_path: Path) -> None:
    assert not on_battery(tmp_path / "absent")
    (tmp_path / "BAT0" / "type").mkdir(parents=True)  # cannot be read
    assert not on_battery(tmp_path)


def test_it_is_looked_at_every_half_minute_and_not_at_all_where_it_is_off(tmp_path: Path) -> None:
    folder, clock = supplies(tmp_path / "power", NO_MAINS, USED), Clock()
    saving = Power(folder, clock)
    saving.wanted = False
    assert not saving.saves()
    assert saving._looked_at is None
    saving.wanted = True
    assert not saving.is_saving  # which does not look
    assert saving.saves()
    supplies(folder, MAINS, USED)
    clock.now += 29
    assert (saving.saves(), saving.is_saving) == (True, True)
    clock.now += 1
    assert (saving.saves(), saving.is_saving) == (False, False)


class Embedded:
    """An index of which a whole update embeds batches of 20 ms; how long each of them and the pause before it took."""

    is_damaged = has_traces = False

    def __init__(self, n_files: int = 0) -> None:
        self.times: list[float] = []
        self.asked: list[Collection[Path] | None] = []
        self._n_files = n_files

    def update(
        self,
        paths: Collection[Path] | None,
        *,
        progress: Callable[[Progress], None],
        cancelled: Callable[[], bool],
    ) -> UpdateReport:
        for done in range(6):
            began = time.monotonic()
            progress(Progress(done, 6, "", "embedding"))
            time.sleep(0.02)
            self.times.append(time.monotonic() - began)
        self.asked.append(paths)
        return UpdateReport(0, 0, 0, 0, 0.0)

    def stats(self) -> IndexStats:
        return cast(IndexStats, SimpleNamespace(files=self._n_files))

    def verify(self) -> bool:
        return True

    def close(self) -> None: ...


@pytest.fixture
def embedding() -> Iterator[Callable[[bool], tuple[Workspace, Embedded]]]:
    started: list[Workspace] = []

    def start(saves: bool) -> tuple[Workspace, Embedded]:
        index = Embedded()
        made = Workspace(
            Path("/folder"),
            lambda _: cast(Index, index),
            None,
            Events(*(lambda *_: None,) * 4),
            saves_energy=lambda: saves,
        )
        started.append(made)
        made.start()
        deadline = time.monotonic() + 20
        while not index.asked:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return made, index

    yield start
    for one in started:
        one.stop()


def test_a_scan_embeds_slower_and_a_changed_file_does_not(
    embedding: Callable[[bool], tuple[Workspace, Embedded]],
) -> None:
    quick, slow = embedding(False)[1], embedding(True)
    times = sorted(slow[1].times[1:])
    assert times[0] >= 0.9 * SLOWER * 0.02
    assert sorted(quick.times[1:])[2] < 2 * 0.02
    slow[1].times.clear()
    slow[0].pending.changed([Path("/folder/a.py")])
    deadline = time.monotonic() + 20
    while len(slow[1].asked) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert slow[1].asked[1] == {Path("/folder/a.py")}
    assert sorted(slow[1].times)[2] < 2 * 0.02


def test_a_doze_ends_for_an_errand_and_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    began, pending = time.monotonic(), Pending()
    pending.ask(lambda: None)
    pending.doze(20)
    pending = Pending()
    pending.stop()
    pending.doze(20)
    pending = Pending()
    pending.pause(True)
    pending.doze(20)
    assert time.monotonic() - began < 5
    assert workspace.LONGEST_DOZE_SECONDS <= 0.5  # that an open document waits for


@pytest.mark.asyncio
async def test_nothing_is_computed_ahead_until_the_machine_is_plugged_in(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(foresight, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(power, "LOOK_SECONDS", 0.05)
    folder = supplies(tmp_path / "power", NO_MAINS, USED)
    looked, saving = [], Power(folder)
    monkeypatch.setattr(power, "on_battery", lambda at: looked.append(at) or on_battery(at))
    async with served(root, AHEAD, saving) as (session, recorder):
        document = Document(session, root / "open.py")
        document.open()
        n_looks = len(looked)
        await until(lambda: len(looked) > n_looks + 3)
        assert not recorder.steps
        await document.type("value = area_of_sail(")  # who asks waits for nothing
        assert recorder.done
        supplies(folder, MAINS, USED)
        n_made = len(recorder.steps)
        await until(lambda: len(recorder.steps) > n_made)
        await until(lambda: not session._foresight._waiting)


def test_status_and_doctor_say_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saving = Power(supplies(tmp_path / "power", NO_MAINS, USED))
    monkeypatch.setattr(doctor, "Power", lambda: saving)
    assert [finding.text for finding in doctor._power(Settings())] == [ON_BATTERY]
    assert list(doctor._power(override(Settings(), ("server.saveBattery=false",)))) == []
