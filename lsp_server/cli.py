"""The command line. Exit codes: 0 done, 1 the user must act (the message says how), 2 wrong usage, 130
interrupted."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from lsp_server.problems import EXPECTED, UsageError, UserMustActError, explain

if TYPE_CHECKING:
    from lsp_server.settings import Settings

# An index thread that reads a file hands Python over this often. The usual 5 ms are waited for whenever a
# request comes and after each call into the model that it needs.
SWITCH_SECONDS = 0.0005
INTERRUPTED = 130  # as shells count a process that SIGINT ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    _write_anything()
    try:
        try:
            return _run(_options(arguments))
        finally:
            if sys.stdout:
                sys.stdout.flush()  # here, where a full disk or a closed pipe still can be said
    except KeyboardInterrupt:
        return _complain("Interrupted; finished work is kept.", INTERRUPTED)
    except EXPECTED as error:  # what else there is is a mistake of ours, and its traceback is wanted
        return _complain(explain(error), 2 if isinstance(error, UsageError) else 1)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.stale or (options.all and options.doctor is None)) and options.purge != "":
        parser.error("--stale and --all stand behind --purge, in place of its DIR")
    if options.batch is not None and (options.publish is None or options.batch < 0):
        parser.error("--batch stands beside --publish, with a number of processes or without")
    if options.package and options.publish is None:
        parser.error("--package stands beside --publish")
    if options.vectors and not options.package:
        parser.error("--vectors stands beside --package")
    return options


def _run(options: argparse.Namespace) -> int:
    # Each command imports what it needs: `--version` must not wait, nor Ctrl-C come before `main`.
    from lsp_server.settings import DEFAULTS, override

    try:
        settings = override(DEFAULTS, options.set)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if options.version:
        from lsp_server.version import own_version

        print(f"hef-lsp {own_version()}")
        return 0
    if options.doctor is not None:
        from lsp_server.doctor import doctor

        folder = Path(options.doctor) if options.doctor else None
        return doctor(settings, folder, as_json=options.json, name_all=options.all)
    if options.reindex is not None:
        from lsp_server.reindexing import reindex

        return reindex(settings, Path(options.reindex), as_json=options.json)
    if options.package:
        from lsp_server.package_publishing import publish_packages

        where, shape = Path(options.publish), {"vectors": options.vectors, "as_json": options.json}
        return publish_packages(settings, where, options.package, **shape)
    if options.publish is not None:
        from lsp_server.publishing import publish

        return publish(settings, Path(options.publish), as_json=options.json, batch=options.batch)
    if options.complete is not None:
        from lsp_server.commands import complete

        return complete(settings, options.complete, options.context, as_json=options.json)
    if options.models is not None:
        return _models(settings, options.models, as_json=options.json)
    if options.caches or options.purge is not None:
        return _caches(options, settings)
    return _serve(options, settings)


def _caches(options: argparse.Namespace, settings: Settings) -> int:
    from lsp_server.housekeeping import purge, show_caches

    if options.caches:
        return show_caches(settings, as_json=options.json)
    which = {"stale": options.stale, "everything": options.all}
    return purge(settings, options.purge, **which, as_json=options.json)


def _models(settings: Settings, words: Sequence[str], *, as_json: bool) -> int:
    from lsp_server.models import pull, show_models

    match words:
        case []:
            return show_models(settings, as_json=as_json)
        case ["pull", name]:
            return pull(settings, name)
    raise UsageError("--models stands alone, or before `pull NAME`.")


def _serve(options: argparse.Namespace, settings: Settings) -> NoReturn:
    from model.engines.machine import keep_heaps_small

    keep_heaps_small()
    from lsp_server import transport
    from lsp_server.server import create_server

    transport.log_to_stderr()
    sys.setswitchinterval(SWITCH_SECONDS)
    if options.tcp is None:
        transport.leave(transport.serve_stdio(create_server(options.set)))
    try:
        host, port = transport.parse_address(options.tcp)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if not transport.is_loopback(host):
        if not settings.server.allow_remote:
            raise UserMustActError(
                f"{host} is reached by other machines, and the connection has no password; "
                "add --set server.allowRemote=true if that is what you want."
            )
        sys.stderr.write(f"Warning: whoever reaches {host}:{port} can read what is indexed.\n")
    transport.leave(transport.serve_tcp(create_server(options.set), host, port))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hef-lsp",
        description="Repository-aware inline code completion. Without a command it serves LSP on stdio.",
        allow_abbrev=False,
    )
    command = parser.add_mutually_exclusive_group()
    command.add_argument("--stdio", action="store_true", help="serve on stdio (the default)")
    command.add_argument("--tcp", metavar="HOST:PORT", help="serve one client on TCP, on loopback by default")
    command.add_argument(
        "--reindex", metavar="DIR", nargs="?", const=".", help="bring the index of DIR up to date"
    )
    command.add_argument(
        "--publish",
        metavar="DIR",
        nargs="?",
        const=".",
        help="bring the index of DIR up to date and put its vectors into the team's store (for CI)",
    )
    command.add_argument(
        "--complete", metavar="FILE:LINE:COL", help="print the completion there (counted from 1)"
    )
    _add_looks(command)
    command.add_argument("--version", action="store_true", help="print the version")
    _add_options(parser)
    return parser


def _add_looks(command: argparse._MutuallyExclusiveGroup) -> None:
    """What looks after the installation: its health, its models, what it keeps on disk."""
    command.add_argument(
        "--doctor",
        metavar="DIR",
        nargs="?",
        const="",
        help="say what works, what does not and what to do, in the folder DIR (default: the repository here)",
    )
    command.add_argument(
        "--models",
        metavar="pull NAME",
        nargs="*",
        help="list the models that are here and what fits this machine; with pull NAME fetch one from the hub",
    )
    command.add_argument(
        "--caches", action="store_true", help="list what is kept on disk, of which repository, how old"
    )
    command.add_argument(
        "--purge",
        metavar="DIR",
        nargs="?",
        const="",
        help="delete what is kept of DIR (default: the repository here)",
    )


def _add_options(parser: argparse.ArgumentParser) -> None:
    from model.settings import CONTEXT_MODES

    parser.add_argument(
        "--context", choices=CONTEXT_MODES, help="context mode of --complete (default: the setting)"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--stale", action="store_true", help="--purge what nobody will want")
    which.add_argument(
        "--all", action="store_true", help="--purge everything; --doctor: name every skipped file"
    )
    many = "--publish: embed with Ray (hef-lsp[batch]) in N processes, or on the cluster of RAY_ADDRESS"
    parser.add_argument("--batch", metavar="N", nargs="?", const=0, type=int, help=many)
    public = (
        "--publish: not DIR, but signatures of this public Python package that it imports; may be repeated"
    )
    parser.add_argument("--package", metavar="NAME", action="append", default=[], help=public)
    parser.add_argument("--vectors", action="store_true", help="--package: vectors of its chunks as well")
    parser.add_argument("--json", action="store_true", help="print JSON for scripts")
    again = "override one setting; may be repeated"
    parser.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], help=again)


def _complain(sentence: str, code: int) -> int:
    with suppress(OSError, AttributeError):  # nobody may be listening
        sys.stderr.write(f"hef-lsp: {sentence}\n")
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:  # Python would try once more at its end, and say so in a traceback
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _write_anything() -> None:
    """What the terminal's encoding lacks is written as an escape instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
