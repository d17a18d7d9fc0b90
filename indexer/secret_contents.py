"""Texts that hold a secret by what they say: private keys, and keys of services whose shape is known.

The shapes are those that common scanners look for (gitleaks above all), and only those that a service gave its keys so
that they can be found: no guess at what `password = "..."` may be. Each match must also be as random as a real key, so
that placeholders and examples are none. A secret is a long word, and few words of a text are: those are looked at, the
rest is passed over at memory speed. Every expression is bounded, and is tried at a hint only.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from indexer.patterns import Patterns
from indexer.settings import IndexSettings

SECRETS_VERSION = 1  # another one has every file read again
LOOKS_SECRET = "looks like a secret"
_SHORTEST = 24  # bytes of a word that may be, or hold, a key
_MOST_HITS = 1_000  # of one hint in one text that are looked at
_WORDS = string.ascii_letters.encode() + string.digits.encode() + b"+/_-.=~:"
_IN_WORDS = bytes(byte if byte in _WORDS else ord(" ") for byte in range(256))
_EXAMPLES = re.compile(
    rb"example|sample|dummy|fake|placeholder|redacted|changeme|your|xxxx|\.\.\.|0{8}|12345678", re.I
)


@dataclass(frozen=True)
class _Kind:
    """`hint` is in every such key; `shape` begins at the hint, and its group is what must be random."""

    name: str
    hint: bytes
    shape: re.Pattern[bytes]
    entropy: float  # least bits per byte


def _kind(
    name: str, hint: bytes, rest: bytes, entropy: float = 3.6, before: bytes = rb"(?<![A-Za-z0-9])"
) -> _Kind:
    return _Kind(name, hint, re.compile(before + re.escape(hint) + rest), entropy)


_HEX = 3.0  # sixteen digits have four bits at most
_ALL = rb"(?![A-Za-z0-9])"
_KINDS = (
    *(
        _kind("GitHub", hint, rb"([A-Za-z0-9]{36})" + _ALL)
        for hint in (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_")
    ),
    _kind("GitHub", b"github_pat_", rb"([A-Za-z0-9]{22}_[A-Za-z0-9]{59})" + _ALL),
    *(
        _kind("GitLab", hint, rb"([A-Za-z0-9_-]{20,64})")
        for hint in (b"glpat-", b"gldt-", b"glrt-", b"glptt-", b"glsoat-", b"glcbt-")
    ),
    *(
        _kind("Slack", hint, rb"(\d{9,14}-[A-Za-z0-9-]{20,120})")
        for hint in (b"xoxb-", b"xoxp-", b"xoxa-", b"xoxr-")
    ),
    _kind("Slack", b"xapp-1-", rb"([A-Z0-9]{8,16}-\d{8,16}-[a-f0-9]{32,80})"),
    _kind("Slack", b"hooks.slack.com/services/", rb"(T[A-Z0-9]{8,12}/B[A-Z0-9]{8,12}/[A-Za-z0-9]{20,30})"),
    *(_kind("Stripe", hint, rb"([A-Za-z0-9]{24,120})") for hint in (b"sk_live_", b"rk_live_")),
    _kind("Google", b"AIza", rb"([A-Za-z0-9_-]{35})(?![A-Za-z0-9_-])", 4.0),
    _kind("Google", b"GOCSPX-", rb"([A-Za-z0-9_-]{28})"),
    _kind("OpenAI", b"sk-", rb"((?:[a-z]{2,8}-)?[A-Za-z0-9_-]{16,90}T3BlbkFJ[A-Za-z0-9_-]{16,90})"),
    _kind("Anthropic", b"sk-ant-", rb"([a-z]{3,8}\d\d-[A-Za-z0-9_-]{80,120})"),
    _kind("OpenRouter", b"sk-or-v1-", rb"([a-f0-9]{64})", _HEX),
    _kind("Hugging Face", b"hf_", rb"([A-Za-z]{34})" + _ALL),
    _kind("Groq", b"gsk_", rb"([A-Za-z0-9]{52})" + _ALL),
    _kind("npm", b"npm_", rb"([A-Za-z0-9]{36})" + _ALL),
    _kind("PyPI", b"pypi-AgE", rb"([A-Za-z0-9_-]{60,400})"),
    _kind("RubyGems", b"rubygems_", rb"([a-f0-9]{48})", _HEX),
    _kind("SendGrid", b"SG.", rb"([A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43})(?![A-Za-z0-9_-])", 4.0),
    _kind("Twilio", b"SK", rb"([a-f0-9]{32})" + _ALL, _HEX),
    _kind("Azure", b"AccountKey=", rb"([A-Za-z0-9+/]{86})==", 4.5),
    _kind("DigitalOcean", b"dop_v1_", rb"([a-f0-9]{64})", _HEX),
    *(
        _kind("Shopify", hint, rb"([a-fA-F0-9]{32})", _HEX)
        for hint in (b"shpat_", b"shpca_", b"shppa_", b"shpss_")
    ),
    _kind("Databricks", b"dapi", rb"([a-f0-9]{32})" + _ALL, _HEX),
    _kind("Atlassian", b"ATATT3", rb"([A-Za-z0-9_=-]{180,200})"),
    _kind("HashiCorp Vault", b"hvs.", rb"([A-Za-z0-9_-]{90,120})"),
    _kind("HashiCorp", b".atlasv1.", rb"([A-Za-z0-9_=-]{60,70})", before=rb"(?<=[A-Za-z0-9]{14})"),
    _kind("Grafana", b"glsa_", rb"([A-Za-z0-9]{32}_[A-Fa-f0-9]{8})"),
    _kind("Linear", b"lin_api_", rb"([A-Za-z0-9]{40})" + _ALL),
    _kind("Postman", b"PMAK-", rb"([a-f0-9]{24}-[a-f0-9]{34})", _HEX),
    _kind("New Relic", b"NRAK-", rb"([A-Z0-9]{27})" + _ALL),
    _kind("Docker", b"dckr_pat_", rb"([A-Za-z0-9_-]{27})"),
    _kind("Telegram", b":AA", rb"([A-Za-z0-9_-]{33})(?![A-Za-z0-9_-])", 4.0, before=rb"(?<=\d{9})"),
    _kind("age", b"AGE-SECRET-KEY-1", rb"([0-9A-Z]{58})"),
)
# Azurite's key is in its documentation, and in every project that is tested with it.
_PUBLIC = (b"Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw",)

_HEADER = re.compile(rb"(?:[A-Z0-9]{2,9} ){0,2}PRIVATE KEY(?: BLOCK)? ?----")
_HEADERS = (
    (b"---- BEGIN ", _HEADER),
    (b"-----BEGIN ", _HEADER),
    (b"PuTTY-User-Key-File-", re.compile(rb"[23]: ")),
)
_BODY = re.compile(rb"[A-Za-z0-9+/]{40,}+")
_BODY_BYTES = 1_000  # behind a header, in which the key must have begun
_ACCESS_KEY = re.compile(rb"(?<![A-Za-z0-9])(A[KS]IA[A-Z2-7]{16})(?![A-Za-z0-9])")
_ACCESS_SECRET = re.compile(rb"(?<![A-Za-z0-9+/])([A-Za-z0-9+/]{40})(?![A-Za-z0-9+/])")
_NEAR_BYTES = 400  # between an access key and its secret


def looks_secret(path: str, content: bytes, settings: IndexSettings) -> bool:
    """Whether a file's text holds a secret; not where the user says that it does not. `path` is relative, posix."""
    return kind_of_secret(path, content, settings) is not None


def kind_of_secret(path: str, content: bytes, settings: IndexSettings) -> str | None:
    """What `looks_secret` has found: see `find_secret`."""
    found = find_secret(content)
    lifted = found and _lifted(settings.not_secret).verdict(path.encode("utf-8", "replace"), False)
    return None if lifted else found


def find_secret(content: bytes) -> str | None:
    """The kind of the first secret that is found, None for none. Linear in the text's length, and bounded per hint."""
    if b"PRIVATE KEY" in content or b"PuTTY-User" in content:
        for hint, shape in _HEADERS:
            if any(_begins_key(content, place, shape) for place in _places(content, hint)):
                return "private key"
    words = b"\n".join(word for word in content.translate(_IN_WORDS).split() if len(word) >= _SHORTEST)
    if not words:
        return None
    if any(_is_access_key(content, place) for hint in (b"AKIA", b"ASIA") for place in _places(content, hint)):
        return "AWS"
    for kind in _KINDS:
        for place in _places(words, kind.hint):
            match = kind.shape.match(words, place)
            if match and _is_random(match[1], kind.entropy):
                return kind.name
    return None


@lru_cache(maxsize=8)
def _lifted(patterns: tuple[str, ...]) -> Patterns:
    return Patterns(pattern.encode("utf-8", "replace") for pattern in patterns)


def _places(text: bytes, hint: bytes) -> Iterator[int]:
    """Where a hint is found, at most so many times."""
    place = -1
    for _ in range(_MOST_HITS):
        place = text.find(hint, place + 1)
        if place < 0:
            return
        yield place


def _begins_key(content: bytes, place: int, header: re.Pattern[bytes]) -> bool:
    """Whether a key follows, and not code that looks for its header or writes one."""
    begin = header.search(content, place, place + 60)
    if begin is None:
        return False
    body = _BODY.search(content, begin.end(), begin.end() + _BODY_BYTES)
    return body is not None and _is_random(body[0][:200], 3.6)


def _is_access_key(content: bytes, place: int) -> bool:
    """AWS: the key's id alone opens nothing; its secret stands near."""
    key = _ACCESS_KEY.match(content, place)
    if key is None or not _is_random(key[1], 2.5):
        return False
    near = content[max(0, key.start() - _NEAR_BYTES) : key.end() + _NEAR_BYTES]
    return any(_is_random(found[1], 4.2) for found in _ACCESS_SECRET.finditer(near))


def _is_random(text: bytes, entropy: float) -> bool:
    """Whether a real key may look so: varied, no example, no row of letters as typed by hand."""
    if text in _PUBLIC or _EXAMPLES.search(text):
        return False
    in_row = sum(after - before == 1 for before, after in pairwise(text))
    if in_row * 4 > len(text):
        return False
    counts = Counter(text).values()
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts) >= entropy
