"""`python -m lsp_server`, for editors that know an interpreter rather than a script."""

import sys

from lsp_server.cli import main

sys.exit(main())
