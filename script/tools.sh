# Where the Solidity tools are; read by the other scripts, which set `root` to the checkout.
# Native tools come first, then the ones npm installed below node_modules.
# shellcheck shell=sh

# The solc version that package.json pins.
pinned_solc() {
    sed -n 's/^ *"solc": "\([0-9.]*\)".*/\1/p' "$root/package.json"
}

# native_tool forge|anvil|cast|solc: the user's own installation. npm's launchers on PATH are not one.
native_tool() {
    found=$(command -v "$1" 2>/dev/null) || found=
    case $found in
        '' | */node_modules/.bin/*) found=${HOME:-}/.foundry/bin/$1 ;;
    esac
    [ -x "$found" ] && echo "$found"
}

# npm_tool forge|anvil|cast: the executable of npm's package for this platform.
npm_tool() {
    case $(uname -s)-$(uname -m) in
        Linux-x86_64) platform=linux-amd64 ;;
        Linux-aarch64 | Linux-arm64) platform=linux-arm64 ;;
        Darwin-x86_64) platform=darwin-amd64 ;;
        Darwin-arm64) platform=darwin-arm64 ;;
        *) return 1 ;;
    esac
    found=$root/node_modules/@foundry-rs/$1-$platform/bin/$1
    [ -x "$found" ] && echo "$found"
}

# svm_solc VERSION: a compiler that Foundry's version manager has downloaded; VERSION may be a pattern.
svm_solc() {
    for store in .svm .local/share/svm 'Library/Application Support/svm'; do
        for found in "${HOME:-}/$store"/$1/solc-$1; do
            [ -x "$found" ] && echo "$found" && return
        done
    done
    return 1
}

# native_solc VERSION: a native compiler of exactly that version.
native_solc() {
    svm_solc "$1" && return
    found=$(native_tool solc) && "$found" --version 2>/dev/null | grep -q "^Version: $1[+]" && echo "$found"
}

# python_with REQUIREMENTS FOLDER: a virtual environment in FOLDER that has what the file lists.
python_with() {
    if ! cmp -s "$1" "$2/installed.txt"; then
        rm -rf "$2"
        python3 -m venv "$2"
        "$2/bin/pip" install --quiet --disable-pip-version-check -r "$1"
        cp "$1" "$2/installed.txt"
    fi
}
