"""Fetching from a hub that is slow, silent, cut off, refusing, gated or wrong: in time, kept, and in one sentence."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model.checkpoint import finding, hub, sums, transfer
from model.checkpoint.files import WeightsError
from model.checkpoint.hub import fetch
from model.checkpoint.hub_cache import HubFolder, cached_models, hub_cache
from model.checkpoint.opening import open_checkpoint
from model.news import News
from tests.servers.fake_hub import COMMIT, FakeHub, files_of, nobody_listens, serving
from tests.tiny_checkpoint import write_tiny_checkpoint

NAME = "org/tiny"
PATIENT_SECONDS = 20.0  # where nobody falls silent: the machine may be busy
SILENT_SECONDS = 1.0
BOUND_SECONDS = 8.0  # of all that goes wrong here, on a busy machine


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return files_of(write_tiny_checkpoint(tmp_path_factory.mktemp("tiny"), adapter=False))


@pytest.fixture(autouse=True)
def own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(transfer, "PAUSE_SECONDS", 0.01)
    for name in (
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def served(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with serving(FakeHub(NAME, dict(files))) as served:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", served.endpoint)
        yield served


def fetched(revision: str = "main", told: Callable[[News], None] = lambda _: None) -> Path:
    return fetch(NAME, revision, told, PATIENT_SECONDS)


def why_not(revision: str = "main", name: str = NAME, seconds: float = PATIENT_SECONDS) -> str:
    """What is said within the bound."""
    began = time.monotonic()
    with pytest.raises(WeightsError) as refused:
        fetch(name, revision, seconds=seconds)
    assert time.monotonic() - began < BOUND_SECONDS
    return str(refused.value)


def n_weights_asked(served: FakeHub) -> int:
    return sum("model.safetensors" in line for line in served.asked)


def test_it_is_fetched_whole_and_once_and_lies_as_the_hub_s_own_library_lays_it(
    served: FakeHub, files: dict[str, bytes]
) -> None:
    folder = fetched()
    assert folder == hub_cache() / "models--org--tiny" / "snapshots" / COMMIT
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
        name: files[name] for name in ("config.json", "tokenizer.json", "model.safetensors")
    }
    sha256 = hashlib.sha256(files["model.safetensors"]).hexdigest()
    assert (folder / "model.safetensors").readlink() == Path(f"../../blobs/{sha256}")
    assert (hub_cache() / "models--org--tiny" / "refs" / "main").read_text() == COMMIT
    assert (cached_models(), HubFolder(NAME).partial_bytes()) == ([NAME], 0)

    served.asked.clear()
    assert open_checkpoint(NAME, offline=False).revision == COMMIT  # nobody is asked for what is here
    assert served.asked == []
    assert fetched() == folder  # who asks again hears of a newer commit, and fetches no file twice
    assert served.asked == ["GET /api/models/org/tiny/revision/main?blobs=true"]


def test_huggingface_hub_finds_what_was_fetched(served: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import try_to_load_from_cache

    folder = fetched()
    assert try_to_load_from_cache(NAME, "config.json", cache_dir=hub_cache()) == str(folder / "config.json")


def test_the_hub_hears_no_more_than_it_must(served: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_user")
    fetched()
    assert sorted(served.asked) == [
        "GET /api/models/org/tiny/revision/main?blobs=true",
        *(
            f"GET /org/tiny/resolve/{COMMIT}/{name}"
            for name in ("config.json", "model.safetensors", "tokenizer.json")
        ),
    ]
    agents = {headers["user-agent"] for headers in served.headers}
    assert all("agent/" not in agent and "torch" not in agent for agent in agents)
    assert {headers["authorization"] for headers in served.headers} == {"Bearer hf_of_the_user"}


def test_the_bytes_are_told_as_they_come(served: FakeHub, files: dict[str, bytes]) -> None:
    served.bytes_per_second = 2_000_000
    heard: list[News] = []
    fetched(told=heard.append)
    done = [news.done for news in heard if news.work == "fetching"]
    assert done == sorted(done)
    assert len(set(done)) > 5
    total = len(files["tokenizer.json"]) + len(files["model.safetensors"])
    assert done[-1] == total
    assert {news.total for news in heard if news.work == "fetching"} == {0, total}


def test_a_connection_that_is_cut_off_again_and_again_goes_on_where_it_was(
    served: FakeHub, files: dict[str, bytes]
) -> None:
    size = len(files["model.safetensors"])
    served.cut_after = size // 4
    folder = fetched()
    assert (folder / "model.safetensors").read_bytes() == files["model.safetensors"]
    assert n_weights_asked(served) >= 4
    begins = [line.rpartition("bytes=")[2] for line in served.asked if "bytes=" in line]
    assert len(set(begins)) == len(begins)


def test_a_server_without_ranges_begins_again_and_no_byte_is_taken_twice(
    served: FakeHub, files: dict[str, bytes]
) -> None:
    served.silent_after = len(files["model.safetensors"]) // 2
    why_not(seconds=SILENT_SECONDS)
    served.silent_after, served.without_ranges = None, True
    assert (fetched() / "model.safetensors").read_bytes() == files["model.safetensors"]


def test_a_hub_that_falls_silent_is_left_in_time_and_gone_on_with_later(
    served: FakeHub, files: dict[str, bytes]
) -> None:
    size = len(files["model.safetensors"])
    served.silent_after = size // 2
    said = why_not(seconds=SILENT_SECONDS)
    kept = HubFolder(NAME).partial_bytes()
    assert size // 2 <= kept < size
    assert "(nothing came for 1 s)" in said
    assert f"{kept / 1e6:,.1f} MB are kept: see the network, then `hef-lsp --models pull org/tiny`" in said
    with pytest.raises(WeightsError, match=r"org/tiny \(revision main\) is here in part"):
        open_checkpoint(NAME)
    served.silent_after = None
    served.asked.clear()
    fetched()
    assert f"bytes={kept}-" in "".join(served.asked)


def test_a_hub_that_says_nothing_at_all_is_left_in_time(served: FakeHub) -> None:
    served.silent = True
    assert "cannot be fetched from 127.0.0.1" in why_not(seconds=SILENT_SECONDS)


def test_a_name_that_is_looked_up_for_ever_is_left_in_time(
    served: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: time.sleep(BOUND_SECONDS + 2))
    assert "nothing came for 1 s" in why_not(seconds=SILENT_SECONDS)


def test_a_hub_that_refuses_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with nobody_listens() as endpoint:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
        said = why_not()
    assert said.startswith("org/tiny cannot be fetched from 127.0.0.1")
    assert said.endswith("see the network, then `hef-lsp --models pull org/tiny`")


def test_gated_missing_and_wrong_revision_name_the_next_step(served: FakeHub) -> None:
    served.gated = True
    page = f"{served.endpoint}/org/tiny"
    step = "log in with `hf auth login`, then `hef-lsp --models pull org/tiny`"
    assert why_not() == f"org/tiny is gated: accept its terms at {page}, {step}"
    served.gated = False
    assert why_not("v9") == f"org/tiny has no revision v9: set model.revision to one of {page}/commits"
    assert why_not(name="org/absent").startswith(
        "the hub has no org/absent, or it is private: see model.name"
    )
    served.status = 503
    assert why_not() == (
        "the hub answers 503 for org/tiny: try `hef-lsp --models pull org/tiny` later, which goes on where it stopped"
    )
    assert "is no revision" in why_not("../../elsewhere")


def test_a_wrong_sum_is_refused_deleted_and_fetched_anew(served: FakeHub) -> None:
    served.wrong_byte = True
    what = "org/tiny came with a wrong checksum and was deleted (model.safetensors)"
    assert why_not() == f"{what}: `hef-lsp --models pull org/tiny` fetches it again"
    assert list(hub_cache().rglob("*.incomplete")) == []
    served.wrong_byte = False
    open_checkpoint(str(fetched()))


def test_what_was_damaged_on_the_disk_is_mended(served: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = (fetched() / "model.safetensors").resolve()
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(WeightsError, match="`hef-lsp --models pull org/tiny` fetches it again"):
        open_checkpoint(NAME)
    fetched()
    assert weights.read_bytes() == whole
    tokenizer = (fetched() / "tokenizer.json").resolve()
    tokenizer.write_bytes(tokenizer.read_bytes().replace(b"e", b"E"))
    with pytest.raises(WeightsError, match="its git hash is"):
        open_checkpoint(NAME)
    open_checkpoint(str(fetched()))


def test_a_full_disk_is_told_before_gigabytes_are_fetched(
    served: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(hub.shutil, "disk_usage", lambda _: usage._replace(free=hub._SPARE_BYTES + 1_000))
    assert "GB are free in" in (said := why_not())
    assert said.endswith("free some, or set HF_HUB_CACHE to a folder on another disk")
    assert n_weights_asked(served) == 0


def test_what_cannot_be_used_is_not_fetched(served: FakeHub) -> None:
    config = json.loads(served.files["config.json"])
    served.files["config.json"] = json.dumps(config | {"model_type": "mamba"}).encode()
    assert why_not().startswith("org/tiny has architecture 'mamba'")
    served.files["config.json"] = json.dumps(config).encode()
    del served.files["model.safetensors"]
    assert why_not() == "org/tiny has no safetensors, and nothing else is loaded: choose another model.name"
    assert n_weights_asked(served) == 0


def test_a_description_of_gigabytes_is_not_fetched(served: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "MAX_TOKENIZER_BYTES", 500)
    assert "is too large for what it should be" in why_not()
    assert len(served.asked) == 1


def test_only_the_shards_that_the_index_names_are_fetched(served: FakeHub, tmp_path: Path) -> None:
    served.files = files_of(write_tiny_checkpoint(tmp_path / "sharded", shards=3, adapter=False))
    served.files["consolidated.safetensors"] = b"the same once more"
    folder = fetched()
    assert len(list(folder.glob("*.safetensors"))) == 3
    assert "consolidated" not in " ".join(served.asked)
    open_checkpoint(NAME)


def test_the_environment_forbids_it_whatever_the_settings_say(
    served: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(
        WeightsError, match=r"is not on this machine: unset HF_HUB_OFFLINE, then `hef-lsp --models"
    ):
        open_checkpoint(NAME, offline=False)
    assert "while HF_HUB_OFFLINE is set" in why_not()
    assert served.asked == []


def test_who_fetches_the_same_is_waited_for_while_it_grows(served: FakeHub) -> None:
    from huggingface_hub.utils import WeakFileLock

    fetched()
    weights = (HubFolder(NAME).snapshot(COMMIT) / "model.safetensors").resolve()
    weights.unlink()
    lock = hub_cache() / ".locks" / "models--org--tiny" / f"{weights.name}.lock"
    with WeakFileLock(lock):
        assert (
            why_not(seconds=SILENT_SECONDS)
            == "another program is fetching org/tiny: wait for it or end it, then try again"
        )
    fetched()
    assert weights.exists()


def test_two_that_want_the_same_fetch_it_once(served: FakeHub, files: dict[str, bytes]) -> None:
    served.bytes_per_second = len(files["model.safetensors"]) / 1.5
    heard: list[News] = []
    with ThreadPoolExecutor() as both:
        one, other = both.submit(fetched), both.submit(fetched, told=heard.append)
        assert one.result() == other.result()
    assert n_weights_asked(served) == 1
    assert (
        len({news.done for news in heard if news.work == "fetching"}) > 3
    )  # it hears how far the other one is


def test_who_gives_up_ends_it(served: FakeHub) -> None:
    class GivenUpError(Exception):
        pass

    def told(news: News) -> None:
        if news.done:
            raise GivenUpError

    with pytest.raises(GivenUpError):
        fetched(told=told)


def test_without_links_the_files_themselves_lie_there(
    served: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError("a required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", no_links)
    folder = fetched()
    assert not any(file.is_symlink() for file in folder.iterdir())
    served.asked.clear()
    assert fetched() == folder
    assert len(served.asked) == 1


def test_gigabytes_are_read_once_and_again_when_they_changed(
    served: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sums, "SETTLED_SECONDS", -60.0)
    read: list[str] = []
    monkeypatch.setattr(
        sums,
        "sha256_of",
        lambda file, _: read.append(file.name) or hashlib.sha256(file.read_bytes()).hexdigest(),
    )
    weights = fetched() / "model.safetensors"
    for _ in range(3):
        open_checkpoint(NAME)
    assert read == ["model.safetensors"]
    time.sleep(0.02)  # a tick of the file system's clock
    blob = weights.resolve()
    blob.write_bytes(blob.read_bytes())
    open_checkpoint(NAME)
    assert len(read) == 2
    assert finding.is_whole(weights.parent)
