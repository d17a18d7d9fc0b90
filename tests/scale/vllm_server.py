"""A real vLLM on loopback with the tiny embedded coder, and nginx in front of it with our own recipe."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from model.checkpoint.finding import EMBEDDED_FOLDER

ROOT = Path(__file__).resolve().parents[2]
REMOTE = ROOT / "model" / "engines" / "remote"
VENV = Path(os.environ.get("HEF_VLLM", ROOT / ".scale" / "vllm"))
START_SECONDS = 1800.0  # 35 on a free machine
VLLM_KEY, USERS = "the-key-of-vllm", {"key-of-ada": "ada", "key-of-ben": "ben"}


def has_vllm() -> bool:
    return (VENV / "bin" / "python").exists()


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port: int = server.getsockname()[1]
    return port


@dataclass
class RunningVllm:
    """`address` without a slash at its end."""

    address: str
    process: subprocess.Popen[bytes]
    log: Path

    def metric(self, name: str) -> float:
        """The sum over all labels."""
        text = read(f"{self.address}/metrics")
        return sum(
            float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(rf"{name}[{{ ]", line)
        )

    def kill(self) -> None:
        """At once, with all that it has started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def read(url: str, key: str = VLLM_KEY) -> str:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def served_folder(folder: Path) -> Path:
    """The tiny embedded coder without its adapter, which vLLM would take for weights."""
    folder.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        shutil.copy(EMBEDDED_FOLDER / name, folder / name)
    return folder


@contextmanager
def vllm(folder: Path, scratch: Path) -> Iterator[RunningVllm]:
    """Started as README.md says, on the CPU in float32."""
    port, log = free_port(), scratch / f"vllm-{time.monotonic_ns()}.log"
    told = {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        # One is enough for so small a model; two of them wait for each other where other work runs.
        "VLLM_CPU_OMP_THREADS_BIND": "0",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
    }
    command = [
        *(str(VENV / "bin" / "python"), "-m", "vllm.entrypoints.openai.api_server"),
        *("--model", str(folder), "--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port)),
        *("--dtype", "float32", "--max-model-len", "1100", "--max-num-seqs", "16", "--enforce-eager"),
        *("--enable-prompt-embeds", "--chat-template", str(REMOTE / "passthrough.jinja")),
        *("--chat-template-content-format", "openai", "--api-key", VLLM_KEY),
    ]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env={**os.environ, **told}, stdout=out, stderr=out, cwd=scratch, start_new_session=True
        )
    running = RunningVllm(f"http://127.0.0.1:{port}", process, log)
    try:
        _wait_for(running)
        yield running
    finally:
        if process.poll() is None:
            running.kill()


def _wait_for(running: RunningVllm) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            read(f"{running.address}/health")
            _warm_up(running)
            return
        except (urllib.error.URLError, OSError):
            tail = running.log.read_text("utf-8", "replace")[-3000:]
            assert running.process.poll() is None, tail
            assert time.monotonic() < until, tail
            time.sleep(0.5)


def _warm_up(running: RunningVllm) -> None:
    """The first pass of all takes seconds, on a busy machine minutes."""
    body = b'{"model": "tiny", "prompt": [5, 6, 7], "max_tokens": 1}'
    headers = {"Authorization": f"Bearer {VLLM_KEY}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{running.address}/v1/completions", data=body, headers=headers)
    urllib.request.urlopen(request, timeout=START_SECONDS).close()


@contextmanager
def nginx(upstream: str, scratch: Path) -> Iterator[tuple[str, Path]]:
    """The recipe with this machine's names in it; its address and the certificate that signs it."""
    port = free_port()
    certificate = _certificate(scratch)
    users = "".join(f'"Bearer {key}" {name};\n' for key, name in USERS.items())
    (scratch / "hef-users.map").write_text(users, encoding="ascii")
    recipe = (REMOTE / "nginx.conf").read_text("utf-8")
    for there, here in (
        ("/etc/nginx/", f"{scratch}/"),
        ("/var/log/nginx/", f"{scratch}/"),
        ("server 127.0.0.1:8000", f"server {upstream.removeprefix('http://')}"),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("CODER.EXAMPLE.ORG", "localhost"),
        ("VLLM-KEY", VLLM_KEY),
    ):
        assert there in recipe
        recipe = recipe.replace(there, here)
    around = f"daemon off;\npid {scratch}/nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n{recipe}\n}}\n"
    (scratch / "nginx.conf").write_text(around, encoding="utf-8")
    log = (scratch / "nginx.out").open("wb")
    process = subprocess.Popen(["nginx", "-c", str(scratch / "nginx.conf")], stdout=log, stderr=log)
    try:
        until = time.monotonic() + 20
        while not _listens(port):
            assert process.poll() is None, (scratch / "nginx.out").read_text("utf-8")
            assert time.monotonic() < until
            time.sleep(0.05)
        yield f"https://localhost:{port}", certificate
    finally:
        process.terminate()
        process.wait()
        log.close()


def _listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _certificate(scratch: Path) -> Path:
    file, key = scratch / "hef-certificate.pem", scratch / "hef-certificate.key"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
            ),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(file)),
        ],
        check=True,
        capture_output=True,
    )
    return file


def why_not(*programs: str) -> str:
    """What is missing, "" where nothing is."""
    if not has_vllm():
        return f"vLLM is not in {VENV}: make test-scale installs it"
    return ", ".join(f"{program} is not here" for program in programs if not shutil.which(program))
