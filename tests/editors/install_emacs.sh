#!/bin/bash
# install_emacs.sh: Emacs with eglot and lsp-mode from this Debian's own packages, where they are missing. Not being root
# is no error: the tests that need them are skipped then.
set -euo pipefail

has() { command -v emacs >/dev/null && emacs --batch --eval "(kill-emacs (if (require '$1 nil t) 0 1))" 2>/dev/null; }

{ has eglot && has lsp-mode; } || {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "Emacs lacks eglot or lsp-mode: their tests are skipped" >&2; exit 0; }
  apt-get install -y -q --no-install-recommends emacs-nox elpa-eglot elpa-lsp-mode >/dev/null
}
emacs --version | head -1
