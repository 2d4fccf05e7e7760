#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# The program of the README, as a stranger would build it: an empty folder, two headers, one line (without
# the line's -O2, which is for speed).
set -u
passed=0 failed=0
check() {
    if [ "$2" = 0 ]; then passed=$((passed + 1)); echo "ok   $1"
    else failed=$((failed + 1)); echo "FAIL $1"; fi
}
here=$(mktemp -d) || exit 1
trap 'rm -rf "$here"' EXIT
cp saliency.h weights/saliency_lite.h examples/photos/astronaut.jpg "$here"
awk '/^```c$/ { on = 1; next } /^```$/ { if (on) exit } on' README.md > "$here/hello.c"
stb=$(pkg-config --cflags stb 2>/dev/null)
(cd "$here" && ${CC:-gcc} $stb hello.c -o hello -lm) > "$here/log" 2>&1
check "the README's program builds from two headers with one line" $?
test ! -s "$here/log"
check "and without a word from the compiler" $?
(cd "$here" && ./hello astronaut.jpg map.png)
check "it makes a map of a photograph" $?
test "$(od -An -tx1 -N8 "$here/map.png" 2>/dev/null | tr -d ' \n')" = 89504e470d0a1a0a
check "which is a PNG" $?
(cd "$here" && ./hello nothing.jpg map2.png) 2> "$here/said"
test $? = 1 && grep -q nothing.jpg "$here/said" && test ! -e "$here/map2.png"
check "a photograph that is not there is named, and no map is written" $?
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
