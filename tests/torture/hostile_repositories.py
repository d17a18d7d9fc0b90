"""Repositories that somebody made to hurt: each function puts one kind of trap into a folder.

`outside` is a folder beside the repository whose files hold SECRET. What a function returns, if anything, is done
later, when the repository was indexed once.
"""

from __future__ import annotations

import base64
import os
import random
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.torture.material import HELL

FLIPS = "flip.py"
TRAP = "trap"  # name of the threads that a repository starts
SECRET = "zqoutside_pass_4711_secret"
SECRET_LINE = f"password_of_customer = '{SECRET}'\n"
SECRET_NAMES = (
    ".env", ".env~", ".env-prod", ".env.local", "kubeconfig", ".docker/config.json", "service-account.json",
    "application_default_credentials.json", "prod.tfvars.json", ".yarnrc.yml", "pip.conf", "key.pem.bak", ".npmrc.bak",
    ".bash_history", "auth.json", ".kube/config", ".aws/credentials", ".ssh/id_rsa", ".ssh/notes.py", ".gnupg/x.txt",
    "ID_RSA", "id_ed25519.old", ".netrc", ".pgpass", "secrets.yml", "server.key", "terraform.tfstate", ".pypirc",
)  # fmt: skip

STRANGE_NAMES = ("%00", "\0x.py", "\ud800.py", "new\nline.py", "x" * 5_000)

Later = Callable[[], None] | None


def links(root: Path, outside: Path, rng: random.Random) -> Later:
    (root / "a.py").symlink_to(outside / "secret.py")
    (root / "b.py").symlink_to("a.py")
    (root / "linked").symlink_to(outside, target_is_directory=True)
    (root / "gone.py").symlink_to("nowhere.py")
    return None


def link_loops(root: Path, outside: Path, rng: random.Random) -> Later:
    (root / "x.py").symlink_to("y.py")
    (root / "y.py").symlink_to("x.py")
    (root / "again").symlink_to(".", target_is_directory=True)
    (root / "up").symlink_to("..", target_is_directory=True)
    return None


def link_to_a_device(root: Path, outside: Path, rng: random.Random) -> Later:
    for name, device in (("zero.py", "/dev/zero"), ("random.md", "/dev/urandom"), ("tty.py", "/dev/stdin")):
        (root / name).symlink_to(device)
    return None


def file_becomes_a_link(root: Path, outside: Path, rng: random.Random) -> Later:
    """Indexed as a file, then replaced: what is known of it must not be read again through the link."""
    file = root / "turncoat.py"
    file.write_text("innocent_value = 1\n")

    def later() -> None:
        file.unlink()
        file.symlink_to(outside / "secret.py")

    return later


def folder_becomes_a_link(root: Path, outside: Path, rng: random.Random) -> Later:
    folder = root / "turning"
    folder.mkdir()
    (folder / "secret.py").write_text("innocent_value = 1\n")

    def later() -> None:
        (folder / "secret.py").unlink()
        folder.rmdir()
        folder.symlink_to(outside, target_is_directory=True)

    return later


def file_becomes_a_pipe(root: Path, outside: Path, rng: random.Random) -> Later:
    file = root / "turncoat.py"
    file.write_text("innocent_value = 1\n")

    def later() -> None:
        file.unlink()
        os.mkfifo(file)

    return later


def file_grows(root: Path, outside: Path, rng: random.Random) -> Later:
    file = root / "small.py"
    file.write_text("innocent_value = 1\n")
    return lambda: os.truncate(file, 3 << 30)


def pipes(root: Path, outside: Path, rng: random.Random) -> Later:
    for name in ("pipe.py", "app/pipe.md", "requirements.txt"):
        (root / name).parent.mkdir(exist_ok=True)
        os.mkfifo(root / name)
    return None


def sockets(root: Path, outside: Path, rng: random.Random) -> Later:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(root / "socket.py"))
    return None


def rules_are_a_pipe(root: Path, outside: Path, rng: random.Random) -> Later:
    os.mkfifo(root / rng.choice((".gitignore", ".hefignore", "app/.gitignore")))
    return None


def rules_are_a_link(root: Path, outside: Path, rng: random.Random) -> Later:
    (root / rng.choice((".gitignore", ".hefignore"))).symlink_to(
        rng.choice(("/dev/zero", str(outside / "rules")))
    )
    return None


def rules_from_hell(root: Path, outside: Path, rng: random.Random) -> Later:
    (root / ".gitignore").write_text("\n".join(HELL) + "\n*a*a*a*a*a*a*a*a*a*a*b\n")
    (root / ("a" * 60)).write_text("value = 1\n")
    (root / ("a" * 200)).write_text("value = 1\n")
    return None


def rules_without_end(root: Path, outside: Path, rng: random.Random) -> Later:
    (root / ".gitignore").write_text("".join(f"*pattern{n}*\n" for n in range(20_000)))
    with (root / "app/.gitignore").open("wb") as file:
        file.truncate(2 << 30)
    return None


def git_is_a_pipe(root: Path, outside: Path, rng: random.Random) -> Later:
    os.mkfifo(root / ".git")
    return None


def git_points_out(root: Path, outside: Path, rng: random.Random) -> Later:
    (root / ".git").write_text(
        rng.choice(("gitdir: /dev", f"gitdir: {outside}", "gitdir: ../../..", "gitdir: \0"))
    )
    return None


def git_configuration(root: Path, outside: Path, rng: random.Random) -> Later:
    (root / ".git" / "info").mkdir(parents=True)
    os.mkfifo(root / ".git" / "info" / "exclude")
    (root / ".git" / "config").write_text("[core]\n\texcludesFile = /dev/zero\n")
    return None


def strange_names(root: Path, outside: Path, rng: random.Random) -> Later:
    names = (
        "new\nline.py",
        "\x1b]0;owned\x07.py",
        "\u202egnp.py",
        "a" * 252 + ".py",
        " .py",
        "-rf.py",
        "\\.py",
        "*.py",
    )
    for name in names:
        (root / name).write_text("value = 1\n")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff\xfe.py")).write_text("value = 1\n")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff\xfe")).mkdir()
    return None


def deep_folders(root: Path, outside: Path, rng: random.Random) -> Later:
    _dig(root)
    return None


def _dig(folder: Path) -> None:
    """A thousand folders in each other, and a file in the last: longer than a path may be, deeper than Python calls."""
    place = os.open(folder, os.O_RDONLY)
    for _ in range(1_000):
        os.mkdir("d", dir_fd=place)
        place, above = os.open("d", os.O_RDONLY, dir_fd=place), place
        os.close(above)
    with os.fdopen(os.open("deep.py", os.O_CREAT | os.O_WRONLY, dir_fd=place), "w") as file:
        file.write("value = 1\n")
    os.close(place)


def secret_names(root: Path, outside: Path, rng: random.Random) -> Later:
    for name in SECRET_NAMES:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(SECRET_LINE)
    return None


def secret_content(root: Path, outside: Path, rng: random.Random) -> Later:
    body = "\n".join(base64.b64encode(rng.randbytes(48)).decode() for _ in range(25))
    key = f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n{SECRET}\n-----END RSA PRIVATE KEY-----\n"
    (root / "settings.py").write_text(f'KEY = """{key}"""\n')
    (root / "notes.txt").write_text(key)
    return None


def flipping_file(root: Path, outside: Path, rng: random.Random) -> Later:
    """A file that is a link in one moment and a file in the next, while it is read."""
    file, draft, end = root / FLIPS, root.parent / "draft", time.monotonic() + 3

    def flip() -> None:
        while time.monotonic() < end and root.exists():
            try:
                draft.symlink_to(outside / "secret.py")
                draft.rename(file)
                draft.write_text("innocent_value = 1\n")
                draft.rename(file)
            except OSError:
                return

    threading.Thread(target=flip, name=TRAP, daemon=True).start()
    return None


def many_files(root: Path, outside: Path, rng: random.Random) -> Later:
    for number in range(20_000):
        (root / f"empty{number}.py").touch()
    return None


def huge_file(root: Path, outside: Path, rng: random.Random) -> Later:
    for name in ("huge.py", "huge.json", "huge"):
        with (root / name).open("wb") as file:
            file.truncate(2 << 30)
    return None


def unclosed_brackets(root: Path, outside: Path, rng: random.Random) -> Later:
    (root / "open.py").write_text("x = " + rng.choice(("f(", "[", "(", "{", "lambda: ")) * 60_000)
    (root / "lines.py").write_text("f(\n" * 60_000)
    (root / "imports.py").write_text("from " + "." * 100_000)
    return None


def packages(root: Path, outside: Path, rng: random.Random) -> Later:
    site = root / ".venv" / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    (root / "uses.py").write_text("import evil\nimport linked_out\nimport piped\nimport ledger\n")
    for top, name, version in (
        ("evil", "../../../planted", "1"), ("linked_out", "linked-out", "../../../planted"), ("piped", "/planted", "1"),
        ("ledger", "x/../../y", "\x1b[31m"),
    ):  # fmt: skip
        info = site / f"{top}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "top_level.txt").write_text(f"{top}\n../../..\n")
        (info / "RECORD").write_text("")
    (site / "evil").mkdir()
    (site / "evil" / "__init__.py").write_text("def evil(value):\n    return value\n" * 9)
    (site / "evil" / "secret.py").symlink_to(outside / "secret.py")
    _dig(site / "evil")
    (site / "linked_out").symlink_to(outside, target_is_directory=True)
    os.mkfifo(site / "piped.py")
    (site / "ledger.py").symlink_to(outside / "secret.py")
    return None


def strange_uris(root: Path, outside: Path, rng: random.Random) -> Later:
    """Nothing on disk: buffers whose names no file system has (`hostile` opens them)."""
    return None


REPOSITORIES = (
    links, link_loops, link_to_a_device, file_becomes_a_link, folder_becomes_a_link, file_becomes_a_pipe, file_grows,
    pipes, sockets, rules_are_a_pipe, rules_are_a_link, rules_from_hell, rules_without_end, git_is_a_pipe,
    git_points_out, git_configuration, strange_names, deep_folders, secret_names, secret_content, flipping_file,
    huge_file, unclosed_brackets, packages, strange_uris, many_files,
)  # fmt: skip
