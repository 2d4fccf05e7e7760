#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# Static checks of saliency.h, which must come out empty: compilers' warnings, cppcheck, clang-tidy, long lines.
# FULL=1 adds clang's static analyzer (minutes). Tools that are not installed are skipped, and said.
#
# Off, and why:
#   -Wsign-conversion      sizes are int in the API and size_t in memory; products start with (size_t) where they
#                          can pass 2^31, which clang-tidy's widening check and tests with large sizes look after
#   -Wdouble-promotion     sums of floats are kept in double on purpose, and float to double is exact
# Accepted of cppcheck and clang-tidy:
#   uninitvar, ctuuninitvar    it does not follow initialisation by address through our macros; MemorySanitizer does
#   invalidPointerCast         bytes of a file become floats, whose order sal__to_little has settled
#   easily-swappable-parameters, reserved-identifier, macro-parentheses, suspicious-string-compare
#                              style: (h, w), sal__, macros that paste names, !strcmp
#   implicit-widening          int products of a batch and channels, or inside one plane: networks keep them below 2^31
#   narrowing-conversions      -Wconversion says it better
#   integer-division, incorrect-roundings, branch-clone, misplaced-widening, signed-char, sizeof-expression,
#   not-null-terminated        looked at one by one: each is meant so
cd "$(dirname "$0")/.." || exit 1
stb=$(for d in /usr/include/stb stb .; do [ -f $d/stb_image.h ] && echo "-I$d" && break; done)
here=$(mktemp -d) || exit 1
trap 'rm -rf "$here"' EXIT
failed=0

clean() {           # NAME FILE: nothing stands in FILE
    if [ -s "$2" ]; then failed=$((failed + 1)); echo "FAIL $1"; head -n 40 "$2"; else echo "ok   $1"; fi
}
has() { command -v "$1" >/dev/null 2>&1 || { echo "skip $1 is not installed"; return 1; }; }

warnings="-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion"
for compiler in "gcc -std=c99 -xc" "clang -std=c99 -xc" "g++ -std=c++11 -xc++" "clang++ -std=c++11 -xc++"; do
    has "${compiler%% *}" || continue
    $compiler $warnings -fsyntax-only -DSALIENCY_IMPLEMENTATION $stb saliency.h 2>"$here/out"
    grep -v "^In file included\|pragma once in main file" "$here/out" | grep . >"$here/found"
    clean "$compiler has no warnings" "$here/found"
done
if has cppcheck; then
    cppcheck --quiet --std=c99 --language=c --enable=warning,portability,performance -DSALIENCY_IMPLEMENTATION \
        -DSALIENCY_NO_STB -U_WIN32 -U_MSC_VER -U__wasm_simd128__ --suppress=missingIncludeSystem --suppress=uninitvar \
        --suppress=ctuuninitvar --suppress=invalidPointerCast saliency.h 2>"$here/found"
    clean "cppcheck finds nothing" "$here/found"
fi
if has clang-tidy; then
    checks='bugprone-*,-bugprone-easily-swappable-parameters,-bugprone-reserved-identifier'
    checks="$checks,-bugprone-macro-parentheses,-bugprone-suspicious-string-compare,-bugprone-narrowing-conversions"
    checks="$checks,-bugprone-implicit-widening-of-multiplication-result,-bugprone-integer-division"
    checks="$checks,-bugprone-incorrect-roundings,-bugprone-branch-clone,-bugprone-misplaced-widening-cast"
    checks="$checks,-bugprone-signed-char-misuse,-bugprone-sizeof-expression,-bugprone-not-null-terminated-result"
    [ -n "$FULL" ] && checks="$checks,clang-analyzer-core.*,clang-analyzer-unix.*"
    clang-tidy --quiet saliency.h --checks="-*,$checks" -- -x c -std=c99 -DSALIENCY_IMPLEMENTATION -DSALIENCY_NO_STB \
        2>/dev/null >"$here/found"
    clean "clang-tidy finds nothing" "$here/found"
fi
for file in saliency.h examples/*.c examples/*.h tests/*.c tests/*.h; do
    case $file in saliency.h) most=100 ;; *) most=120 ;; esac
    awk -v file="$file" -v most=$most 'length > most { print file ":" FNR ": " length " columns" }' "$file"
done >"$here/found"
clean "no line is longer than 100 columns (programs and tests: 120)" "$here/found"
exit $failed
