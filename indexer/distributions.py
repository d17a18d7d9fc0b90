"""A distribution that lies in a folder: its version, its modules, and whether it looks public."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from indexer.installed import Package, distributions, is_own
from indexer.pins import is_version, normalized
from indexer.reading import ReadingError, read_inside

_MAX_LIST_BYTES = 8_000_000
_PRIVATE = b"Classifier: Private ::"  # what says "Do Not Upload" to every public index


@dataclass(frozen=True)
class Distribution:
    """`name`: as PyPI compares them; `packages`: what of it can be imported."""

    name: str
    version: str
    packages: tuple[Package, ...]


class NotPublicError(ValueError):
    """A distribution that is not there, or that no public index can have; the message is a sentence."""


def public_distribution(folder: Path, name: str) -> Distribution:
    """The distribution of that name which was installed, or unpacked, in `folder`, from an index by its name. Raises
    NotPublicError.

    Whether that index was a public one cannot be seen: who names it says so.
    """
    wanted = normalized(name)
    entries = [entry for entry in distributions(folder) if wanted and _named(entry)[0] == wanted]
    if len(entries) != 1:
        raise NotPublicError(f"There {'are several' if entries else 'is no'} {name} in {folder}.")
    (entry,) = entries
    version = _named(entry)[1]
    if not is_version(version) or not entry.endswith(".dist-info"):
        raise NotPublicError(f"{name} {version} has no version that a public index could have.")
    if (folder / entry / "direct_url.json").exists():  # PEP 610
        raise NotPublicError(f"{name} was installed from an address or a folder, not from an index.")
    if _PRIVATE in _listed(folder, f"{entry}/METADATA"):
        raise NotPublicError(f"{name} says of itself that it is private.")
    packages = tuple(_packages(folder, entry, wanted, version))
    if not packages:
        raise NotPublicError(f"{name} has no Python module in {folder}.")
    return Distribution(wanted, version, packages)


def _named(entry: str) -> tuple[str, str]:
    """Name and version that NAME-VERSION.dist-info tells."""
    name, _, version = entry.rpartition(".")[0].partition("-")
    return normalized(name), version


def _packages(folder: Path, entry: str, name: str, version: str) -> Iterator[Package]:
    tops = set(_listed(folder, f"{entry}/top_level.txt").decode("utf-8", "replace").split())
    record = _listed(folder, f"{entry}/RECORD").decode("utf-8", "replace").split("\n")
    tops = tops or {line.partition(",")[0].partition("/")[0].removesuffix(".py") for line in record}
    tops = {top for top in tops if top.isidentifier() and not top.startswith("__")}
    for top in sorted(tops or {name.replace("-", "_")}):
        places = (folder / top, folder / f"{top}.py")
        place = next((place for place in places if is_own(place)), None)
        if place:
            yield Package(f"{name}.{top}", version, place)


def _listed(folder: Path, file: str) -> bytes:
    try:
        return read_inside(folder, file, _MAX_LIST_BYTES)
    except ReadingError:
        return b""
