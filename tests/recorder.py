"""Records what a process and its children look up and connect to: by strace, else in a network namespace of its own."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_CALLS = "trace=socket,connect,sendto,sendmsg,sendmmsg"
# Talking inside the machine is no connection, but the name service caches are asked for names through such a socket.
_NAME_SERVICES = ("nscd", "resolve", "dnsmasq", "avahi")
_ADDRESS = re.compile(r"connect\(\d+, \{sa_family=AF_(?P<family>\w+)(?P<rest>[^}]*)\}")


@dataclass(frozen=True)
class Recorder:
    """`around` puts a command under the recorder, `recorded` says afterwards what it did, one line each."""

    name: str
    around: Callable[[tuple[str, ...], Path], tuple[str, ...]]
    recorded: Callable[[Path], list[str]]


def _under_strace(command: tuple[str, ...], log: Path) -> tuple[str, ...]:
    return ("strace", "-f", "-qq", "-e", _CALLS, "-o", str(log), *command)


def _seen_by_strace(log: Path) -> list[str]:
    """Sockets of the network, connections, and questions to the name services."""
    return [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if _leaves(line)]


def _leaves(line: str) -> bool:
    if "socket(AF_INET" in line:
        return True
    if not (address := _ADDRESS.search(line)):
        return False
    return address["family"] != "UNIX" or any(name in address["rest"] for name in _NAME_SERVICES)


def _in_a_namespace(command: tuple[str, ...], log: Path) -> tuple[str, ...]:
    """No way leads out of it; the kernel counts who looked for one."""
    script = '"$@"; code=$?; cat /proc/net/snmp /proc/net/snmp6 > "$0"; exit $code'
    return ("unshare", "--user", "--map-root-user", "--net", "sh", "-c", script, str(log), *command)


def _counted_by_the_kernel(log: Path) -> list[str]:
    lines = [line.split() for line in log.read_text(encoding="ascii").splitlines()]
    counts = {}
    for names, values in itertools.pairwise(lines):
        if names[0] in ("Ip:", "Udp:", "Tcp:") and names[0] == values[0]:
            counts |= {f"{names[0]}{name}": value for name, value in zip(names[1:], values[1:], strict=True)}
    counts |= {line[0]: line[1] for line in lines if line[0].startswith("Ip6")}
    looked = ("Ip:OutNoRoutes", "Ip:OutRequests", "Tcp:ActiveOpens", "Udp:OutDatagrams", "Ip6OutNoRoutes")
    return [f"{name} {counts[name]}" for name in looked if counts.get(name, "0") != "0"]


RECORDERS = (
    Recorder("strace", _under_strace, _seen_by_strace),
    Recorder("namespace", _in_a_namespace, _counted_by_the_kernel),
)


def works(recorder: Recorder, folder: Path) -> bool:
    """Whether the tool is installed and this machine lets it do its work."""
    command = recorder.around(("true",), folder / f"{recorder.name}-works")
    if not shutil.which(command[0]):
        return False
    return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
