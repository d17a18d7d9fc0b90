"""The command line. Exit codes: 0 done, 1 the user must act (the message says how), 2 wrong usage."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from lsp_server.commands import UserMustActError
from lsp_server.settings import Settings, override

# An index thread that reads a file hands Python over this often. The usual 5 ms are waited for whenever a request comes
# and after each call into the model that it needs.
SWITCH_SECONDS = 0.0005
CONTEXT_MODES = ("none", "snippets", "pseudo", "hybrid", "auto")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = override(Settings(), options.set)
        return _run(options, settings)
    except (ValueError, argparse.ArgumentTypeError) as error:
        return _complain(error, 2)
    except (UserMustActError, OSError) as error:
        return _complain(error, 1)
    except KeyboardInterrupt:
        return _complain("Interrupted; finished work is kept.", 1)


def _run(options: argparse.Namespace, settings: Settings) -> int:
    # Each command imports what it needs: `--version` must not wait for the rest.
    if options.version:
        from lsp_server.server import own_version

        print(f"hef-lsp {own_version()}")
        return 0
    if options.doctor:
        from lsp_server.doctor import doctor

        return doctor(settings, Path.cwd(), as_json=options.json)
    if options.reindex is not None:
        from lsp_server.commands import reindex

        return reindex(settings, Path(options.reindex), as_json=options.json)
    if options.complete is not None:
        from lsp_server.commands import complete

        return complete(settings, options.complete, options.context, as_json=options.json)
    return _serve(options, settings)


def _serve(options: argparse.Namespace, settings: Settings) -> NoReturn:
    from lsp_server import transport
    from lsp_server.server import create_server

    transport.log_to_stderr()
    sys.setswitchinterval(SWITCH_SECONDS)
    if options.tcp is None:
        transport.leave(transport.serve_stdio(create_server(options.set)))
    host, port = transport.parse_address(options.tcp)
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
    command.add_argument("--tcp", metavar="HOST:PORT", help="serve one client on TCP; loopback unless HOST says else")
    command.add_argument("--reindex", metavar="DIR", nargs="?", const=".", help="bring the index of DIR up to date")
    command.add_argument("--complete", metavar="FILE:LINE:COL", help="print the completion there (counted from 1)")
    command.add_argument("--doctor", action="store_true", help="say what works, what does not and what to do")
    command.add_argument("--version", action="store_true", help="print the version")
    parser.add_argument("--context", choices=CONTEXT_MODES, help="context mode of --complete (default: the setting)")
    parser.add_argument("--json", action="store_true", help="print JSON for scripts")
    parser.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], help="override one setting; may be repeated"
    )
    return parser


def _complain(problem: object, code: int) -> int:
    sys.stderr.write(f"hef-lsp: {' '.join(str(problem).split())}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
