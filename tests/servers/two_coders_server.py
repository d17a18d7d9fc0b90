"""The real server with other embedded models than the package's: `python two_coders_server.py FOLDER [arguments]`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from lsp_server import cli, server
from lsp_server.loading import load_first


def main() -> int:
    load = partial(load_first, embedded=Path(sys.argv[1]))
    create = server.create_server
    server.create_server = lambda assignments=(): create(assignments, load)
    return cli.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
