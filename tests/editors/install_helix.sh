#!/bin/bash
# install_helix.sh PREFIX: Helix as PREFIX/bin/hx, from Debian's next release (see newer_debian.sh). What is there
# already is kept. Where that is not possible its tests are skipped. PREFIX cannot be moved afterward.
set -euo pipefail
source "$(dirname "$0")/newer_debian.sh"

[ $# -eq 1 ] && [ -n "$1" ] || die "usage: install_helix.sh PREFIX"
PREFIX=$(realpath -m "$1")

is_there() { "$PREFIX/bin/hx" --version 2>/dev/null | grep -q "^helix"; }

install() {
  is_possible || { echo "Helix is fetched on Debian amd64 only: its tests are skipped" >&2; exit 0; }
  need patchelf patchelf
  rm -rf "$PREFIX"
  unpack "$PREFIX" hx
  use_own_libraries "$PREFIX" "$PREFIX/root/usr/lib/hx/hx"
  ln -s ../root/usr/bin/hx "$PREFIX/bin/hx"
}

is_there || install
is_there || die "PREFIX/bin/hx is not Helix"
"$PREFIX/bin/hx" --version
