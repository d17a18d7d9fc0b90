"""Where objects lie in the store, and the one kind that changes: a ref, which lists the packs of one branch, or of one
version of a public package and its signatures.

A ref carries a sum that is keyed with the team's secret, and the names in it are the sums of what they name: who has
not the secret can put nothing into a reader's index, whatever the bucket allows.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import asdict, dataclass

from indexer.signatures import MAX_FOLDED_BYTES
from indexer.team.pack import MAX_PACK_BYTES, MAX_ROWS, PackError, SealedPack

MAX_REF_BYTES = 4_000_000
MAX_PACKS = 10_000
SHORTEST_SECRET = 16  # characters
_FORMAT = 1
PACKAGES = "pypi"  # in place of a repository's owner
_SHA256 = re.compile("[0-9a-f]{64}")
_STRANGE = re.compile("[^A-Za-z0-9._+-]")
_MAX_PARTS, _MAX_PART_CHARS = 8, 100


@dataclass(frozen=True)
class PackEntry:
    """A pack that a ref lists: the names of its two objects, its rows and its size in bytes."""

    pack: str
    index: str
    rows: int
    bytes: int

    @classmethod
    def of(cls, pack: SealedPack) -> PackEntry:
        return cls(pack.name, pack.index_name, pack.rows, len(pack.content))


@dataclass(frozen=True)
class SignaturesEntry:
    """The signatures of a package that a ref lists: the name of their object, and its size in bytes."""

    name: str
    bytes: int


@dataclass(frozen=True)
class Ref:
    """What lies at one path. `signatures`: of a package alone."""

    packs: tuple[PackEntry, ...] = ()
    signatures: SignaturesEntry | None = None


def secret_key(secret: str) -> bytes:
    """What digests and refs are keyed with. Raises ValueError, one sentence, where the secret is too short."""
    if len(secret.strip()) < SHORTEST_SECRET:
        raise ValueError(f"The team's secret has fewer than {SHORTEST_SECRET} characters.")
    return hashlib.blake2b(secret.strip().encode("utf-8"), digest_size=32, person=b"hef-team").digest()


def pack_path(fingerprint: str, name: str) -> str:
    return f"v1/{fingerprint}/packs/{name}.safetensors"


def index_path(fingerprint: str, name: str) -> str:
    return f"v1/{fingerprint}/indexes/{name}.safetensors"


def ref_path(fingerprint: str, repository: str, branch: str) -> str:
    """`repository` and `branch` may be anything that git allows: what is no plain name becomes one."""
    return f"v1/{fingerprint}/refs/{_plain(repository)}/{_plain(branch)}.json"


def signatures_path(fingerprint: str, name: str) -> str:
    return f"v1/{fingerprint}/signatures/{name}.z"


def package_path(fingerprint: str, package: str, version: str) -> str:
    """Of a package's ref. `package`: as PyPI compares names."""
    return ref_path(fingerprint, f"{PACKAGES}/{package}", version)


def written(path: str, ref: Ref, key: bytes) -> bytes:
    """A ref as it lies at `path`."""
    packs = [asdict(entry) for entry in sorted(ref.packs, key=lambda entry: entry.pack)]
    told = {"signatures": asdict(ref.signatures)} if ref.signatures else {}
    body: dict[str, object] = {"format": _FORMAT, "packs": packs, **told}
    return json.dumps({**body, "sum": _sum(path, body, key)}, indent=1, sort_keys=True).encode("ascii")


def listed(path: str, content: bytes, key: bytes) -> Ref:
    """The ref at `path`. Raises PackError where it was not written with this secret, or is no ref."""
    if len(content) > MAX_REF_BYTES:
        raise PackError("a ref that is too large")
    try:
        told = json.loads(content)
        found = told.pop("sum")
        if not hmac.compare_digest(str(found), _sum(path, told, key)):
            raise PackError("a ref that was not written with this team's secret")
        entries = tuple(PackEntry(**entry) for entry in told["packs"])
        signatures = SignaturesEntry(**told["signatures"]) if "signatures" in told else None
    except PackError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise PackError("a ref that is none") from None
    if told["format"] != _FORMAT or len(entries) > MAX_PACKS or not all(map(_is_sound, entries)):
        raise PackError("a ref of another kind")
    if signatures and not _has_signatures(signatures):
        raise PackError("a ref of another kind")
    return Ref(entries, signatures)


def _is_sound(entry: PackEntry) -> bool:
    named = all(isinstance(name, str) and _SHA256.fullmatch(name) for name in (entry.pack, entry.index))
    sizes = isinstance(entry.rows, int) and isinstance(entry.bytes, int)
    return named and sizes and 0 < entry.rows <= MAX_ROWS and 0 < entry.bytes <= MAX_PACK_BYTES


def _has_signatures(entry: SignaturesEntry) -> bool:
    is_named = isinstance(entry.name, str) and _SHA256.fullmatch(entry.name) is not None
    return is_named and isinstance(entry.bytes, int) and 0 < entry.bytes <= MAX_FOLDED_BYTES


def _sum(path: str, body: object, key: bytes) -> str:
    content = path + "\0" + json.dumps(body, sort_keys=True)
    return hashlib.blake2b(content.encode("ascii", "backslashreplace"), key=key, digest_size=32).hexdigest()


def _plain(name: str) -> str:
    """A name whose parts cannot leave their folder."""
    cleaned = [_STRANGE.sub("-", part)[:_MAX_PART_CHARS].lstrip(".") for part in name.split("/")]
    return "/".join([part for part in cleaned if part][:_MAX_PARTS]) or "unnamed"
