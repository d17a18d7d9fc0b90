# Sourced by the installers: programs of Debian's next release, with their own libc, beside the host's own packages,
# which stay as they are. They come from the mirror that this machine uses already; signatures are checked with the
# host's Debian keyring. amd64 only. A folder that something was put into cannot be moved afterward.

SUITE=forky
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
die() { echo "$(basename "$0"): $*" >&2; exit 1; }

need() { # PROGRAM PACKAGE
  command -v "$1" >/dev/null && return
  [ "$(id -u)" = 0 ] || die "$1 not found: run 'apt-get install -y --no-install-recommends $2' first"
  apt-get install -y -q --no-install-recommends "$2" >/dev/null || { apt-get update -q >/dev/null && apt-get install -y -q --no-install-recommends "$2" >/dev/null; }
}

is_possible() { command -v dpkg >/dev/null && [ "$(dpkg --print-architecture)" = amd64 ] && [ -r "$KEYRING" ]; }

mirror() { # the first 'main' entry of this host's own release
  apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v c="$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" \
      '$2 == "main" && ($1 == c || $1 ~ /^(stable|testing|unstable|sid)$/) && !n++ { print $3 }'
}

unpack() { # DIRECTORY PACKAGE...: Debian packages of $SUITE and all they need, into DIRECTORY/root
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
  "${apt[@]}" install -y --no-install-recommends --download-only "${@:2}" >/dev/null
  for deb in "$p"/apt/cache/archives/*.deb; do dpkg-deb -x "$deb" "$p/root"; done
  rm -rf "$p/apt"
}

use_own_libraries() { # DIRECTORY PROGRAM: so that the host's older libc does not matter
  local lib="$1/root/usr/lib/x86_64-linux-gnu"
  find "$2" "$lib" -maxdepth 4 \( -name "$(basename "$2")" -o -name '*.so*' \) -type f \
    ! -name 'ld-linux*' ! -name 'libc.so*' ! -path '*/gconv/*' -print0 |
    while IFS= read -r -d '' file; do patchelf --set-rpath "$lib" "$file" 2>/dev/null || true; done
  patchelf --set-interpreter "$lib/ld-linux-x86-64.so.2" "$2"
}
