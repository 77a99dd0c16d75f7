#!/bin/sh
# Makes forge, anvil, cast and solc available: reports the native ones; where one is missing, installs npm's pinned packages. The contracts
# that ours import come from npm in any case.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/script/tools.sh"

any_native_solc() {
    if [ -n "${FOUNDRY_SOLC:-}" ]; then
        echo "$FOUNDRY_SOLC"
    else
        native_tool solc || svm_solc '0.8.[2-9][0-9]'
    fi
}

lock=$root/package-lock.json

# npm_has STAMP: whether npm has installed what package-lock.json pins, all of it or what STAMP stands for.
npm_has() {
    cmp -s "$lock" "$root/node_modules/.installed-lock.json" || cmp -s "$lock" "$root/node_modules/$1"
}

# npm_install STAMP WHAT OPTIONS: installs it, unless it is there.
npm_install() {
    stamp=$1 what=$2
    shift 2
    npm_has "$stamp" && return
    command -v npm >/dev/null || {
        echo "setup: $what: there is no npm to install it; install Node.js" >&2
        exit 1
    }
    echo "installing $what from npm into node_modules"
    (cd "$root" && npm ci "$@" --no-progress --loglevel=error </dev/null)
    cp "$lock" "$root/node_modules/$stamp"
}

if forge=$(native_tool forge) && anvil=$(native_tool anvil) && cast=$(native_tool cast) && solc=$(any_native_solc); then
    npm_install .contracts-lock.json "imported contracts" --omit=dev --omit=optional
    echo "forge: $forge"
    echo "anvil: $anvil"
    echo "cast:  $cast"
    echo "solc:  $solc"
    exit 0
fi

npm_install .installed-lock.json "imported contracts, forge, anvil, cast and solc"

for tool in forge anvil cast; do
    found=$(native_tool $tool || npm_tool $tool) || {
        echo "setup: npm has no $tool for $(uname -s)-$(uname -m); install Foundry and run this script again" >&2
        exit 1
    }
    printf '%-6s %s\n' "$tool:" "$found"
done
echo "solc:  $(any_native_solc || echo "$root/script/solc ($(pinned_solc), npm)")"
