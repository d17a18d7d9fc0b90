"""moto's S3 server on loopback, with an account of what it was asked."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

BUCKET = "team"
_ASKED = re.compile(r'"(?:\x1b\[[\d;]*m)*((?:GET|PUT|HEAD|POST|DELETE) /\S*)')  # refused ones are in color


class S3Server:
    """`environment`: what a client needs to be told; `url`: of the store."""

    def __init__(self, port: int, log: Path) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.url = f"s3://{BUCKET}/cache"
        self._log = log
        self.environment: Mapping[str, str] = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "scale",
            "AWS_SECRET_ACCESS_KEY": "scale-secret",
            "AWS_REGION": "us-east-1",
            "NO_PROXY": "127.0.0.1",
        }

    def asked(self) -> list[str]:
        """Every request so far, as METHOD /PATH."""
        return _ASKED.findall(self._log.read_text(encoding="utf-8"))

    def objects(self) -> dict[str, bytes]:
        """Everything in the bucket."""
        from obstore import get
        from obstore import list as list_all
        from obstore.store import S3Store

        options = {"access_key_id": "scale", "secret_access_key": "scale-secret", "region": "us-east-1"}
        store = S3Store(BUCKET, endpoint=self.endpoint, client_options={"allow_http": True}, **options)
        found = [item["path"] for batch in list_all(store) for item in batch]
        return {path: bytes(get(store, path).bytes()) for path in found}


@contextmanager
def s3_server(environment: Path, log: Path) -> Iterator[S3Server]:
    """Start the server that is installed in `environment`, with one empty bucket."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [environment / "bin" / "moto_server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        server = S3Server(port, log)
        _make_bucket(server)
        yield server
    finally:
        process.terminate()
        process.wait(10)


def _make_bucket(server: S3Server) -> None:
    deadline = time.monotonic() + 60
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            direct.open(
                urllib.request.Request(f"{server.endpoint}/{BUCKET}", method="PUT"), timeout=20
            ).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
