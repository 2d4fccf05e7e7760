#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# WebAssembly: the kernels and every network's map, in node, against those of this machine.
# Debian: emscripten.
cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0 skipped=0
dir=build/web
stb=$(for d in $(pkg-config --variable=includedir stb 2>/dev/null) /usr/include /usr/local/include; do
          [ -e "$d/stb/stb_image.h" ] && echo "$d/stb" && break; done)
mkdir -p "$dir"

check() {       # STATEMENT COMMAND...
    statement=$1
    shift
    if "$@" >"$dir/log" 2>&1; then passed=$((passed + 1)); echo "ok   $statement"
    else failed=$((failed + 1)); echo "FAIL $statement"; cut -c 1-200 "$dir/log" | tail -n 20
    fi
}
skip() { skipped=$((skipped + 1)); echo "skip $*"; }
done_() {
    if [ "$skipped" = 0 ]; then echo "$passed passed, $failed failed"
    else echo "$passed passed, $failed failed, $skipped skipped"; fi
    [ "$failed" = 0 ]
    exit
}

for tool in emcc node; do
    command -v $tool >/dev/null || { skip "WebAssembly: $tool is not installed"; done_; }
done
# Debian's emcc asks node for acorn, which a node from elsewhere does not find by itself.
export NODE_PATH="${NODE_PATH:-/usr/share/nodejs}"

check "compiles here" ${CC:-gcc} -O2 -I. $(pkg-config --cflags stb 2>/dev/null) tests/wasm.c \
    -o "$dir/wasm" -lm
check "writes maps" "$dir/wasm" write "$dir/maps"
check "compiles for WebAssembly with -msimd128, without a warning" emcc -O2 -msimd128 -Wall -Wextra \
    -Werror -I. ${stb:+-isystem "$stb"} tests/wasm.c -o "$dir/wasm.js" -sSINGLE_FILE=1 \
    -sALLOW_MEMORY_GROWTH=1 -sNODERAWFS=1
node "$dir/wasm.js" compare "$dir/maps" >"$dir/log" 2>&1
status=$?
grep -E '^(ok|FAIL)' "$dir/log"
set -- $(grep -E '^[0-9]+ passed, [0-9]+ failed' "$dir/log" | tr -dc '0-9 ')
passed=$((passed + ${1:-0})) failed=$((failed + ${2:-0}))
check "and that came to its end" test $status = 0
done_
