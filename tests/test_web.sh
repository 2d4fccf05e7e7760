#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# WebAssembly: the page (make web) in a headless Chromium against the programs here; with ALL=1 also
# the kernels and every network's map in node. Debian: emscripten, chromium. $CHROMIUM names another.
#
#     sh tests/test_web.sh [PHOTO...]       any pictures that the page can take; else two samples
for photo; do                               # from the folder where they are meant
    case $photo in /*) ;; *) photo=$PWD/$photo ;; esac
    set -- "$@" "$photo"
    shift
done
cd "$(dirname "$0")/.." || exit 1
[ $# -gt 0 ] || set -- examples/photos/coffee.jpg examples/photos/rocket.jpg
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
shots=$dir/shots
rm -rf "$shots"
mkdir -p "$shots"
cp examples/photos/coffee.jpg "$shots/sample.jpg"
check "make web makes the page" make -s web
check "predict and crop are built" make -s build/predict build/crop
number=0
for photo; do
    number=$((number + 1))
    there=$shots/$number
    mkdir -p "$there"
    ending=png
    [ "$(head -c 2 "$photo" | od -An -tx1 | tr -d ' ')" = ffd8 ] && ending=jpg
    check "predict writes the map of $(basename "$photo")" build/predict --quiet --npy "$there/map.npy" -- "$photo"
    for shape in 1:1 16:9 9:16 4:5; do
        build/crop --json -a $shape -- "$photo"
    done >"$there/crops.json" 2>"$dir/log"
    check "crop writes a crop" build/crop --quiet -a 1:1 -o "$there/crop-1.$ending" -- "$photo"
done
node tests/web.js "$chromium" $dir/saliency.html "$shots" "$@" >"$dir/log" 2>&1
status=$?
grep -E '^(ok|FAIL)' "$dir/log"
counts=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$dir/log" | tr -dc '0-9 ')
set -- $counts
passed=$((passed + ${1:-0})) failed=$((failed + ${2:-0}))
check "and Chromium came to its end" test $status = 0 -a -n "$counts"
done_
