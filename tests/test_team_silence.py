"""With a team's store nothing but that store is connected to: the real commands under a recorder."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests import tiny_coder
from tests.indexer.team.faulty_server import serving
from tests.indexer.test_packages import install
from tests.recorder import RECORDERS, Recorder, works
from tests.test_silence import HEF, environment

SECRET = "correct horse battery staple"
N_FILES = 40  # enough to be worth asking for


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository, and a store that has its vectors and the signatures of what it imports."""
    tmp_path = tmp_path_factory.mktemp("team")
    for folder in ("home", "temporary", "repository/.git"):
        (tmp_path / folder).mkdir(parents=True)
    for number in range(N_FILES):
        text = f"from ledger_lib import Ledger\n\ndef scale_{number}(factor):\n    return {number} * factor\n"
        (tmp_path / "repository" / f"scale_{number}.py").write_text(text, encoding="utf-8")
    install(tmp_path / "repository", "ledger-lib", "1.2", {"ledger_lib/book.py": "class Ledger:\n    pass\n"})
    for words in ((), ("--package", "ledger-lib")):
        run(Recorder("none", lambda command, _: command, lambda _: []), tmp_path, "--publish", *words)
    return tmp_path


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    if not (usable := [recorder for recorder in RECORDERS if works(recorder, tmp_path)]):
        pytest.skip("neither strace nor a network namespace can be had here")
    return usable[0]


def run(
    recorder: Recorder, home: Path, *command: str, cloud: Mapping[str, str] | None = None
) -> tuple[str, list[str]]:
    """What a command that must succeed says, and what it looked up and connected to."""
    log = home / "command.log"
    store = "s3://team" if cloud else str(home / "store")
    hef = (
        *HEF,
        *command,
        *tiny_coder.ARGUMENTS,
        "--set",
        f"team.store={store}",
        "--set",
        "team.waitMs=10000",
    )
    done = subprocess.run(
        recorder.around(hef, log),
        cwd=home / "repository",
        env={**environment(home), "HEF_TEAM_SECRET": SECRET, **(cloud or {})},
        capture_output=True,
        timeout=100,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, recorder.recorded(log)


def test_with_a_store_in_a_folder_nothing_is_connected_to(recorder: Recorder, home: Path) -> None:
    shutil.rmtree(home / "cache")
    report, reindexed = run(recorder, home, "--reindex", "--json")
    _, published = run(recorder, home, "--publish", "--package", "ledger-lib")
    _, completed = run(recorder, home, "--complete", "scale_1.py:4:12")

    assert '"embedded": 0' in report
    assert reindexed + published + completed == []


def test_with_a_team_nothing_but_its_store_is_connected_to(tmp_path: Path, home: Path) -> None:
    strace = RECORDERS[0]
    if not works(strace, tmp_path):
        pytest.skip("strace is not here or not allowed")
    with serving(home / "store") as server:
        cloud = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "key",
            "AWS_REGION": "us-east-1",
        }
        shutil.rmtree(home / "cache")
        report, reindexed = run(strace, home, "--reindex", "--json", cloud=cloud)
        _, completed = run(strace, home, "--complete", "scale_1.py:4:12", cloud=cloud)

    assert '"embedded": 0' in report
    connected = [line for line in (*reindexed, *completed) if "socket(" not in line]
    assert len(connected) >= 2
    assert [line for line in connected if not _is_to(line, server.port)] == []
    assert any("/refs/pypi/ledger-lib/1.2.json" in path for path in server.asked)
    assert all(path.startswith("/team/v1/") for path in server.asked)


def _is_to(line: str, port: int) -> bool:
    return re.search(rf'sin_port=htons\({port}\), sin_addr=inet_addr\("127\.0\.0\.1"\)', line) is not None


def test_that_test_can_fail() -> None:
    other = '7 connect(9, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("127.0.0.53")}, 16) = 0'
    assert not _is_to(other, 4566)
    assert _is_to(other.replace("53)", "4566)").replace("0.53", "0.1"), 4566)
