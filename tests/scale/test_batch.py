"""`--publish --batch` with real Ray on two processors: fills a folder and moto's S3, is gone on with after a kill.

The environment is `tests/scale/install_batch.sh`'s (HEF_BATCH_ENV, else .scale/batch).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.scale.s3_server import S3Server, s3_server
from tests.tiny_coder import ARGUMENTS

ROOT = Path(__file__).resolve().parents[2]
PLACE = Path(os.environ.get("HEF_BATCH_ENV", ROOT / ".scale" / "batch")).absolute()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not (PLACE / "bin" / "hef-lsp").exists(), reason="make test-scale installs it"),
]


@dataclass(frozen=True)
class Store:
    """Where packs go, and the environment in which it can be reached."""

    url: str
    environment: dict[str, str]

    def command(self, folder: Path, *words: str) -> list[str]:
        where = ["--set", f"team.store={self.url}", "--set", "team.repository=o/r"]
        where += ["--set", "team.waitMs=10000"]  # beside other work the first answer takes its time
        return [str(PLACE / "bin" / "python"), "-m", "lsp_server", *words, str(folder), *ARGUMENTS, *where]

    def run(self, cache: Path, folder: Path, *words: str) -> dict[str, int]:
        """One command to its end; the JSON that it prints, which is shown as well."""
        began = time.monotonic()
        done = subprocess.run(
            [*self.command(folder, *words), "--json"],
            env=self.env(cache),
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        figures: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
        print(f"{' '.join(words)}: {time.monotonic() - began:.1f} s, {figures}")
        return figures

    def env(self, cache: Path) -> dict[str, str]:
        secret = {"HEF_TEAM_SECRET": "correct horse battery staple", "HEF_CACHE_DIR": str(cache)}
        # As nice as this process: Ray's workers are nicer by 15, and get nothing beside other work.
        return {
            **os.environ,
            **secret,
            "PYTHONPATH": str(ROOT),
            "RAY_worker_niceness": "0",
            **self.environment,
        }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(PLACE, tmp_path_factory.mktemp("s3") / "server.log") as server:
        yield server


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return Store(str(tmp_path / "bucket"), {})
    server = request.getfixturevalue("server")
    return Store(server.url, dict(server.environment))


@pytest.fixture
def code(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "indexer", tmp_path / "code"))


def test_it_fills_the_store_and_a_fresh_clone_embeds_nothing(store, code, tmp_path):
    first = store.run(tmp_path / "one", code, "--batch", "2", "--publish")
    assert first["batch_leaves"] > 300
    assert first["embedded"] == 0
    again = store.run(tmp_path / "two", code, "--batch", "2", "--publish")
    assert again["batch_leaves"] == again["batch_packs"] == again["packs"] == again["embedded"] == 0
    clone = Path(shutil.copytree(code, tmp_path / "clone"))
    fresh = store.run(tmp_path / "three", clone, "--reindex")
    assert fresh["embedded"] == 0
    assert fresh["pulled"] == first["batch_leaves"] + first["nodes"]  # those above in packs of their own
    file = clone / "exact.py"
    file.write_text(file.read_text() + "\n\ndef added(count: int) -> int:\n    return count + 1\n")
    assert store.run(tmp_path / "three", clone, "--reindex")["embedded"] == 1


def test_a_killed_run_is_gone_on_with(code, tmp_path):
    shutil.copytree(ROOT / "lsp_server", code / "lsp_server")
    bucket = tmp_path / "bucket"
    store = Store(str(bucket), {})
    command = store.command(code, "--batch", "2", "--publish")
    killed = subprocess.Popen(command, env=store.env(tmp_path / "one"), cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 900
    while not listed(bucket) and time.monotonic() < deadline:
        assert killed.poll() is None, "it ended before anything was listed"
        time.sleep(0.1)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    kept = listed(bucket)
    second = store.run(tmp_path / "two", code, "--batch", "2", "--publish")
    print(f"{kept} leaves were listed when it was killed")
    assert kept > 0
    assert second["batch_leaves"] > 0
    assert second["embedded"] == 0
    assert listed(bucket) == kept + second["batch_leaves"] + second["nodes"]  # nothing twice
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "/hef-ray-" not in left  # Ray's processes end with their run, killed or not


def listed(bucket: Path) -> int:
    """Rows of all packs that refs list."""
    refs = [json.loads(ref.read_text()) for ref in bucket.rglob("*.json")]
    return sum(pack["rows"] for ref in refs for pack in ref["packs"])
