"""`python -m tests.benchmarks.import_paths FOLDER --own PATTERN`: which files of a repository its imports name, with
what its build files say and without.

Each import is asked by itself. Relative: it begins with a dot. Own: it matches the pattern, which somebody wrote who
knows what the repository calls itself. Others are of installed packages: whatever they name is named wrongly.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from indexer import Index, known_language, language_of
from indexer.module_maps import NO_MAPS, ModuleMaps
from indexer.modules import imported_by

_FORMS = {
    "javascript": (
        re.compile(r"""\b(?:from|import|require)[ \t]*\(?[ \t]*["']([^"'\n]+)["']"""),
        "import '{}'\n",
    ),
    "go": (
        re.compile(r'^(?:import[ \t]+|[ \t]+)(?:[\w.]+[ \t]+)?"([\w./~-]+)"[ \t]*$', re.M),
        'import "{}"\n',
    ),
}


def imports_in(root: Path, paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(path of the file, one import as a text of its language)."""
    for path in paths:
        known = known_language(language_of(path))
        form = _FORMS.get(known.kin) if known else None
        if form:
            text = (root / path).read_text("utf-8", "replace")
            head = text.partition("\nfunc ")[0] if known and known.kin == "go" else text
            yield from ((path, form[1].format(told)) for told in dict.fromkeys(form[0].findall(head)))


def named(statement: str, path: str, maps: ModuleMaps, by_name: dict[str, list[str]]) -> set[str]:
    """The files of its kind that an import names."""
    found = imported_by(statement, path, maps)
    kin = known_language(language_of(path))
    return {other for other in by_name[kin.kin if kin else ""] if other != path and found.names(other)}


def measured(root: Path, own: re.Pattern[str]) -> str:
    """A table of one repository."""
    with TemporaryDirectory() as cache:
        index = Index.open(root, None, Path(cache))
        index.update()
        paths, maps = sorted(index.files()), index.mirrors.maps
        index.close()
    by_kin: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        if known := known_language(language_of(path)):
            by_kin[known.kin].append(path)
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for path, statement in imports_in(root, paths):
        without, with_maps = (named(statement, path, one, by_kin) for one in (NO_MAPS, maps))
        told = statement[len("import '") : -2]
        kind = "relative" if told.startswith(".") else "own" if own.match(told) else "others"
        for name, found in (("without", without), ("with", with_maps)):
            counts[kind, name].update(n=1, resolved=bool(found), files=len(found))
            counts[kind, name]["right"] += bool(found & with_maps)
    rows = [f"{root.name}: {len(paths)} files, {len(maps.read)} build files, {len(maps.problems)} not read"]
    for (kind, name), count in sorted(counts.items()):
        share, right = (100 * count[what] / count["n"] for what in ("resolved", "right"))
        rows.append(
            f"{kind} {name}: {count['n']} imports, {share:.1f} % name a file, {right:.1f} % one of those with build "
            f"files, {count['files'] / count['n']:.2f} files each"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--own", type=re.compile, required=True, metavar="PATTERN", help="of its own import paths"
    )
    arguments = parser.parse_args()
    sys.stdout.write(measured(arguments.folder.resolve(), arguments.own) + "\n")
