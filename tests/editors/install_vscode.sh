#!/usr/bin/env bash
# Installs what the VS Code tests need into PREFIX: node 24, code-server (the real VS Code workbench and extension
# host), playwright-core; Chromium from the system's packages; and the extension's own development packages.
# About 900 MB and two minutes the first time; nothing the second. Then: HEF_VSCODE=PREFIX pytest -m slow tests/editors/vscode
set -euo pipefail

prefix=${1:?"usage: $0 PREFIX"}
node_version=24.21.0
playwright_version=1.65.1
code_server_version=4.139.1
wanted="node $node_version, playwright-core $playwright_version, code-server $code_server_version"
extension=$(cd "$(dirname "$0")/../../editors/vscode" && pwd)

packages() { # install Debian packages, where that is needed and allowed
    echo "installing $*"
    local sudo=()
    [ "$(id -u)" = 0 ] || sudo=(sudo)
    "${sudo[@]}" apt-get install -y -qq --no-install-recommends "$@" >/dev/null ||
        { "${sudo[@]}" apt-get update -qq && "${sudo[@]}" apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }
}

npm_install() { # FOLDER PACKAGE...
    mkdir -p "$1"
    [ -f "$1/package.json" ] || echo '{}' >"$1/package.json"
    (cd "$1" && npm install --no-audit --no-fund --loglevel=error "${@:2}")
}

command -v npm >/dev/null || { echo "npm is missing: install Node.js 20 or newer" >&2; exit 1; }
command -v chromium >/dev/null || packages chromium
if [ "$(cat "$prefix/installed" 2>/dev/null)" != "$wanted" ]; then
    # code-server compiles its kerberos module.
    [ -e /usr/include/gssapi/gssapi.h ] || packages libkrb5-dev pkg-config g++ make
    npm_install "$prefix/node" "node@$node_version" "playwright-core@$playwright_version"
    PATH="$(cd "$prefix/node/node_modules/node/bin" && pwd):$PATH" \
        npm_install "$prefix/code-server" "code-server@$code_server_version"
    echo "$wanted" >"$prefix/installed"
fi
(cd "$extension" && { [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --loglevel=error; })
