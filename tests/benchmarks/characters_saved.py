"""What does a user feel? Real files are typed from top to bottom by someone who takes what is right of what is shown.

`python -m tests.benchmarks.characters_saved --repositories FOLDER`: each folder in it is a repository. Of some of its
files some lines are typed anew behind what stands above them; below stands nothing, or with `--below` what does. The
file is not in the index. `patient_typist` says who types, `showing` what is shown. There is no deadline: nothing
depends on the machine's load.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from indexer import Index
from indexer.hierarchy import FuserEmbedder
from lsp_server.coder import LoadedCoder
from lsp_server.loading import load_coder
from lsp_server.opening import open_index
from lsp_server.settings import Settings, override
from model.settings import EMBEDDED_TINY
from tests.benchmarks.measurement import heading, this_machine
from tests.benchmarks.patient_typist import Look, PatientTypist, Shows, Typed
from tests.benchmarks.regions import Region, Sample, regions, texts_of, unwritten
from tests.benchmarks.showing import Copying, Cost, HeldBack, Product, RepositoryLines
from tests.benchmarks.subjects import copy_of

COPY_BEHIND = (1, 4)  # characters of a line, after which the copying typist looks for another one
SEEN_CHARS = 400  # of what stands before a suggestion, in the examples


@dataclass
class Played:
    """By who shows: "product", or "copying behind" so many characters."""

    typed: dict[str, Typed] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)
    held_back: list[tuple[HeldBack, str]] = field(default_factory=list)  # with what was wanted

    def add(self, other: Played) -> None:
        for who, typed in other.typed.items():
            self.typed.setdefault(who, Typed()).add(typed)
        self.cost.n_runs += other.cost.n_runs
        self.cost.n_passes += other.cost.n_passes
        self.held_back += other.held_back


def played(coder: LoadedCoder, folder: Path, settings: Settings, sample: Sample) -> Iterator[Played]:
    """Each region of a repository."""
    with TemporaryDirectory() as place:
        subject = copy_of(folder, Path(place))
        embedder = FuserEmbedder(coder.encoder) if coder.encoder else None
        with closing(open_index(subject.root, settings, embedder, coder.tokenizer, None)) as index:
            index.update()
            texts = texts_of(subject.root, index)
            for region in regions(folder.name, texts, sample):
                others = {path: text for path, text in texts.items() if path != region.path}
                with unwritten(index, region):
                    yield _region_played(coder, index, settings, region, others)


def _region_played(
    coder: LoadedCoder, index: Index, settings: Settings, region: Region, others: Mapping[str, str]
) -> Played:
    done = Played()
    product = Product(coder, index, settings, index.root / region.path, done.cost, region.below)
    shows: dict[str, Shows] = {"product": product}
    lines = RepositoryLines(others, region.path)
    shows |= {f"copying behind {n}": Copying(lines, n) for n in COPY_BEHIND}
    for who, what in shows.items():
        done.typed[who] = asyncio.run(PatientTypist(what, region.above, region.wanted).type())
    whole = region.above + region.wanted
    done.held_back = [(held, whole[len(held.before) :]) for held in product.held_back]
    return done


def figures(done: Played) -> Iterator[dict[str, object]]:
    """One row for each who shows: shares in % of the characters, suggestions per 1,000 of them."""
    for who, typed in done.typed.items():
        n = max(1, typed.n_chars)
        n_shown = len(typed.right) + len(typed.wrong)
        row: dict[str, object] = {
            "shows": who,
            "characters": typed.n_chars,
            "saved": typed.n_saved,
            "saved_percent": round(100 * typed.n_saved / n, 1),
            "keys_percent": round(100 * typed.n_keys / n, 1),
            "keys": typed.n_keys,
            "shown": n_shown,
            "right": len(typed.right),
            "right_percent": round(100 * len(typed.right) / max(1, n_shown), 1),
            "wrong": len(typed.wrong),
            "wrong_per_1000": round(1000 * len(typed.wrong) / n, 1),
        }
        if who == "product":
            row |= {"model_runs": done.cost.n_runs, "model_passes": done.cost.n_passes}
        yield row


def line_of(row: Mapping[str, object]) -> str:
    """For people."""
    said = (
        f"  {row['shows']:<16} saved {row['saved_percent']:>5} %, keys {row['keys_percent']:>5} %; shown "
        f"{row['shown']:>5}, right {row['right']:>5} ({row['right_percent']} %), "
        f"wrong per 1,000 characters {row['wrong_per_1000']}"
    )
    if "model_runs" in row:
        said += f"; model asked {row['model_runs']} times, {row['model_passes']} passes"
    return said


def examples(repository: str, done: Played) -> Iterator[str]:
    """JSON lines: what the product showed, and what it held back."""
    typed = done.typed["product"]
    for kind, looks in (("right", typed.right), ("wrong", typed.wrong)):
        yield from (json.dumps({"repository": repository, "kind": kind, **_seen(look)}) for look in looks)
    for held, wanted in done.held_back:
        seen = _seen(Look(held.before, held.text, wanted))
        yield json.dumps({"repository": repository, "kind": "held back", "chance": held.chance, **seen})


def _seen(look: Look) -> dict[str, str]:
    return asdict(Look(look.before[-SEEN_CHARS:], look.text, look.wanted[:SEEN_CHARS]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0; 2 when there is no repository."""
    options = _options(arguments)
    settings = override(Settings(), (f"model.name={options.model}", *options.set))
    sample = Sample(options.files, options.lines, options.seed, options.below)
    coder, everything = load_coder(settings), Played()
    if not options.json:
        _write(heading(this_machine()))
    for folder in options.folders:
        done = Played()
        for region in played(coder, folder, settings, sample):
            done.add(region)
        _report(folder.name, done, as_json=options.json)
        everything.add(done)
        if options.examples:
            with options.examples.open("a", encoding="utf-8") as out:
                out.writelines(f"{line}\n" for line in examples(folder.name, done))
    _report("all", everything, as_json=options.json)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.characters_saved", description=__doc__)
    parser.add_argument("--repositories", type=Path, required=True)
    parser.add_argument("--only", default="", help="names of folders, separated by commas")
    parser.add_argument("--files", type=int, default=3, help="of each repository")
    parser.add_argument("--lines", type=int, default=40, help="of each file")
    parser.add_argument("--below", action="store_true", help="leave what stands below the lines there")
    parser.add_argument("--model", default=EMBEDDED_TINY)
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--examples", type=Path, help="file for what was shown and held back, as JSON lines")
    options = parser.parse_args(arguments)
    only = set(filter(None, options.only.split(",")))
    listed = sorted(options.repositories.iterdir()) if options.repositories.is_dir() else []
    options.folders = [one for one in listed if one.is_dir() and (not only or one.name in only)]
    if not options.folders:
        parser.error(f"no repository in {options.repositories}")
    return options


def _report(name: str, done: Played, *, as_json: bool) -> None:
    rows = list(figures(done))
    if as_json:
        _write("\n".join(json.dumps({"repository": name, **row}) for row in rows))
        return
    n_chars = rows[0]["characters"] if rows else 0
    _write("\n".join([f"{name}: {n_chars} characters", *map(line_of, rows)]))


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
