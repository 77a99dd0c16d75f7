#!/bin/sh
# Makes forge, anvil and solc available: reports the native ones; where one is missing, installs npm's pinned packages.
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

if forge=$(native_tool forge) && anvil=$(native_tool anvil) && solc=$(any_native_solc); then
    echo "forge: $forge"
    echo "anvil: $anvil"
    echo "solc:  $solc"
    exit 0
fi

lock=$root/package-lock.json
stamp=$root/node_modules/.installed-lock.json
if ! cmp -s "$lock" "$stamp"; then
    command -v npm >/dev/null || {
        echo "setup: forge, anvil or solc is missing and there is no npm to install it; install Foundry or Node.js" >&2
        exit 1
    }
    echo "installing forge, anvil and solc from npm into node_modules"
    (cd "$root" && npm ci --no-progress --loglevel=error </dev/null)
    cp "$lock" "$stamp"
fi

for tool in forge anvil; do
    found=$(native_tool $tool || npm_tool $tool) || {
        echo "setup: npm has no $tool for $(uname -s)-$(uname -m); install Foundry and run this script again" >&2
        exit 1
    }
    echo "$tool: $found"
done
echo "solc:  $(any_native_solc || echo "$root/script/solc ($(pinned_solc), npm)")"
