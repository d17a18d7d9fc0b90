"""Secrets by content. No key is written out here: they are made of dice, so that scanners have nothing to find."""

from __future__ import annotations

import random
import string
import time
from collections.abc import Callable

import pytest

from indexer import IndexSettings
from indexer.files import Found, Skipped, read
from indexer.query import Query
from indexer.secret_contents import find_secret

LETTERS = string.ascii_letters + string.digits


def letters(n: int, alphabet: str = LETTERS, seed: int = 7) -> str:
    dice = random.Random(seed)
    return "".join(dice.choice(alphabet) for _ in range(n))


def hexadecimal(n: int) -> str:
    return letters(n, "0123456789abcdef")


def pem(kind: str = "RSA ", end: str = "\n") -> str:
    body = end.join(letters(64, seed=line) for line in range(12))
    return f"-----BEGIN {kind}PRIVATE KEY-----{end}{body}{end}-----END {kind}PRIVATE KEY-----"


FOUND = {
    "private key": [
        pem(),
        pem(""),
        pem("EC "),
        pem("OPENSSH "),
        pem("ENCRYPTED "),
        f'{{"private_key": "{pem("", chr(92) + "n")}"}}',
        "\n".join(f'    "{line}\\n"' for line in pem().split("\n")),
        pem().replace("KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0A\n\n", 1),
        f"-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\n\n{letters(64)}\n{letters(64, seed=1)}",
        f"PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nComment: me\nPublic-Lines: 2\n{letters(64)}",
    ],
    "AWS": [
        f"aws_access_key_id = AKIA{letters(16, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567')}\n"
        f"aws_secret_access_key = {letters(39)}/\n",
        f'client("s3", "ASIA{letters(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")}", "{letters(40)}")',
    ],
    "GitHub": [f"ghp_{letters(36)}", f"GITHUB_TOKEN=gho_{letters(36)}", f"github_pat_{letters(22)}_{letters(59)}"],
    "GitLab": [f"glpat-{letters(20)}"],
    "Slack": [f"xoxb-123056789012-987054321098-{letters(24)}", f"https://hooks.slack.com/services/T0A1B2C3D/B0A1B2C3D/{letters(24)}"],
    "Stripe": ["sk_" + f"live_{letters(24)}", "rk_" + f"live_{letters(99)}"],
    "Google": [f"AIza{letters(35)}", f"GOCSPX-{letters(28)}"],
    "OpenAI": [f"sk-{letters(20)}T3BlbkFJ{letters(20)}", f"sk-proj-{letters(74)}T3BlbkFJ{letters(74)}"],
    "Anthropic": [f"sk-ant-api03-{letters(93)}AA"],
    "Hugging Face": [f"hf_{letters(34, string.ascii_letters)}"],
    "npm": [f"//registry.npmjs.org/:_authToken=npm_{letters(36)}"],
    "PyPI": [f"pypi-AgE{letters(150)}"],
    "SendGrid": [f"SG.{letters(22)}.{letters(43)}"],
    "Twilio": [f"SK{hexadecimal(32)}"],
    "Azure": [f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={letters(86)}=="],
    "DigitalOcean": [f"dop_v1_{hexadecimal(64)}"],
    "HashiCorp": [f"{letters(14)}.atlasv1.{letters(67)}"],
    "Telegram": [f"7012345699:AA{letters(33)}"],
    "age": [f"AGE-SECRET-KEY-1{letters(58, string.ascii_uppercase + string.digits)}"],
}  # fmt: skip

ORDINARY = [
    'if "-----BEGIN PRIVATE KEY-----" in text:\n    raise ValueError("a key")\n',
    'HEADER = b"-----BEGIN RSA PRIVATE KEY-----"\nFOOTER = b"-----END RSA PRIVATE KEY-----"\n',
    "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n",
    "-----BEGIN PRIVATE KEY-----\n" + "x" * 64 + "\n-----END PRIVATE KEY-----\n",
    f"-----BEGIN CERTIFICATE-----\n{letters(64)}\n-----END CERTIFICATE-----\n",
    f"-----BEGIN PUBLIC KEY-----\n{letters(64)}\n-----END PUBLIC KEY-----\n",
    f"key = 'AKIA{letters(16, string.ascii_uppercase)}'\n",
    f"AKIA{letters(16, string.ascii_uppercase)} at commit {hexadecimal(40)}\n",
    "aws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n",
    f"ghp_{'x' * 36}",
    "ghp_" + string.ascii_lowercase + "0123456789",
    f"ghp_{letters(20)}",
    f"flags = graph_{letters(40)}",
    f"MASK{hexadecimal(32)}",
    f"sha256:{hexadecimal(64)}",
    f'"integrity": "sha512-{letters(86)}=="',
    f"data:image/png;base64,{letters(4_000)}",
    f"eyJhbGciOiJIUzI1NiJ9.{letters(80)}.{letters(43)}",
    f'password = "{letters(20)}"',
    "task-" + "very-" * 30 + "long",
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
    "pattern = r'sk-ant-api03-[A-Za-z0-9_-]{93}AA|ghp_[A-Za-z0-9]{36}|AIza[0-9A-Za-z_-]{35}'",
    "",
]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in FOUND.items() for text in texts])
def test_secrets_are_found_in_the_midst_of_code(kind, text):
    assert find_secret(text.encode()) == kind
    assert find_secret(f'import os\n\nTOKEN = "{text}"  # ours\n'.encode()) == kind


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_texts_hold_none(text):
    assert find_secret(text.encode()) is None
    assert find_secret(f'a = "{text}"\n'.encode()) is None


HOSTILE = [
    lambda n: b"-----BEGIN PRIVATE KEY-----\n" * (n // 28),
    lambda n: b"-----BEGIN " + b"A " * (n // 2) + b"PRIVATE KEY",
    lambda n: b"PRIVATE KEY" + b"-----BEGIN RSA PRIVATE KEY-----aA1" * (n // 35),
    lambda n: b"AKIAABCDEFGHIJKLMNOP" * (n // 20),
    lambda n: b"AKIAABCDEFGHIJKLMNOP " + letters(40).encode() * (n // 40),
    lambda n: b"ghp_" * (n // 4),
    lambda n: b"sk-" * (n // 3),
    lambda n: b"sk-" + b"a" * n,
    lambda n: b"sk-T3BlbkFJ" * (n // 11),
    lambda n: b"sk-ant-" * (n // 7),
    lambda n: b".atlasv1." * (n // 9),
    lambda n: b"1:AA" * (n // 4),
    lambda n: b"SK" + b"a" * n,
    lambda n: b"a" * n,
    lambda n: b"a " * (n // 2),
    lambda n: b"\xff" * n,
    lambda n: b"PuTTY-User-Key-File-2: " * (n // 23),
    lambda n: letters(n, LETTERS + "+/=-_.").encode(),
]


@pytest.mark.parametrize("make", HOSTILE)
def test_no_text_takes_long(make: Callable[[int], bytes]):
    text = make(1_000_000)
    began = time.perf_counter()
    find_secret(text)
    assert time.perf_counter() - began < 2


def test_a_file_that_looks_secret_is_left_out_and_named(write, open_index):
    """Before: the key was indexed and could be suggested."""
    write("deploy.py", f'TOKEN = "ghp_{letters(36)}"\ndef deploy_somewhere():\n    pass\n')
    write("plain.py", "def deploy_elsewhere():\n    pass\n")
    index = open_index()
    assert index.update().files == 1
    assert index.stats().skipped == {"looks like a secret": ("deploy.py",)}


def test_the_user_alone_lifts_it_file_by_file(root, write, open_index):
    text = f'TOKEN = "ghp_{letters(36)}"\n'
    for name in ("tests/fake.py", "real.py", ".env"):
        write(name, text)
    write(".hefignore", "!real.py\n")  # nothing in the repository can
    assert open_index(not_secret=("tests/fake.py", ".env")).update().files == 2
    assert open_index().update().files == 1  # what was lifted is looked at again
    found = Found("real.py", 1, 1)
    assert read(root, found, IndexSettings()) == Skipped("real.py", "looks like a secret")
    assert read(root, found, IndexSettings(not_secret=("/real.py",))) == text.encode()


def test_an_open_document_that_looks_secret_is_not_taken_in(root, write, open_index):
    """Before: what stood in the buffer was found from every other file."""
    index, path = open_index(), root / "open.py"
    clean = "def very_special_name():\n    pass\n"
    query = Query(path="other.py", before="very_special_name", after="", key=None)
    index.overlay(path, clean)
    assert index.search(query)
    index.overlay(path, clean + f'TOKEN = "ghp_{letters(36)}"\n')
    assert not index.search(query)
