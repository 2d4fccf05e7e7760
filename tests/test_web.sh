#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# WebAssembly: the page (make web) in a headless Chromium against the programs here; with ALL=1 also
# the kernels and every network's map in node. Debian: emscripten, chromium. $CHROMIUM names another.
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

if [ -n "$ALL" ]; then
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
fi

chromium=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome)}
[ -n "$chromium" ] || { skip "the page: chromium is not installed"; done_; }
shots=$dir/shots photo=$dir/shots/photo.jpg
mkdir -p "$shots"
cp examples/photos/coffee.jpg "$photo"
check "make web makes the page" make -s web
check "predict and crop are built" make -s build/predict build/crop
check "predict writes the map" build/predict --quiet --npy "$shots/map.npy" "$photo"
for shape in 1:1 16:9 9:16 4:5; do
    build/crop --json -a $shape "$photo"
done >"$shots/crops.json" 2>"$dir/log"
check "crop writes a crop" build/crop --quiet -a 1:1 -o "$shots/crop-1.jpg" "$photo"
node tests/web.js "$chromium" $dir/saliency.html "$shots" >"$dir/log" 2>&1
status=$?
grep -E '^(ok|FAIL)' "$dir/log"
set -- $(grep -E '^[0-9]+ passed, [0-9]+ failed' "$dir/log" | tr -dc '0-9 ')
passed=$((passed + ${1:-0})) failed=$((failed + ${2:-0}))
check "and Chromium came to its end" test $status = 0
done_
