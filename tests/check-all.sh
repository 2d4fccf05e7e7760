#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# The tests again, in every way they can be run here: sanitizers, clang, other optimisation levels,
# without SIMD, 64-bit ARM and big-endian s390x in an emulator. A way whose tools are missing is
# skipped with a line that says so. The last line counts ways: "N passed, N failed".
cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0 skipped=0

# way NAME COMPILER FLAGS [RUNNER [TESTS]]
way() {
    folder="build/$1" targets=tests programs="build/$1/test_*"
    [ -z "$4" ] && targets="tests all"                  # some tests run the programs beside them
    [ -n "$5" ] && targets=$(printf "$folder/test_%s " $5) && programs=$targets
    echo "=== $1: $2 $3"
    if ! command -v "${2%% *}" >/dev/null || { [ -n "$4" ] && ! command -v "${4%% *}" >/dev/null; }; then
        echo "skip $1: ${2%% *} $4 is not installed"
        skipped=$((skipped + 1))
    elif make -s -j"$(nproc)" BUILD="$folder" CC="$2" CFLAGS="$3" $targets &&
         RUNNER="$4" sh tests/run.sh $programs
    then passed=$((passed + 1)); echo "ok   $1"
    else failed=$((failed + 1)); echo "FAIL $1"
    fi
}

# stb_image_write 1.16 shifts a bit of its JPEG buffer into the sign, as C++20 allows, and stb_image copies no
# bytes to no place (an empty IDAT): clang looks at all but stb (see >>image and casts), gcc knows no such exception
sanitize="-g -O1 -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all -fno-sanitize=shift-base,nonnull-attribute"
way sanitizers gcc   "$sanitize -fopenmp"
way threads    clang "-g -O1 -fsanitize=thread -pthread"
way memory     clang "-g -O1 -fsanitize=memory -fno-sanitize-recover=all"
# whole numbers that are cut off or change their sign by themselves: meant nowhere, but in stb
mkdir -p build && echo "src:*stb_image*" >build/stb.ignore
way casts      clang "-g -O1 -fsanitize=undefined,float-cast-overflow,implicit-integer-truncation,implicit-integer-sign-change -fsanitize-ignorelist=build/stb.ignore -fno-sanitize-recover=all -fno-sanitize=shift-base"
way clang      clang "-O2"
way O1         gcc   "-O1 -fopenmp"
way O3         gcc   "-O3 -fopenmp"
way serial     gcc   "-O2"
way no-simd    gcc   "-O2 -fopenmp -DSALIENCY_NO_SIMD"
way native     gcc   "-O2 -fopenmp -march=native -ffp-contract=off"
way arm        aarch64-linux-gnu-gcc "-O2 -static -isystem /usr/include/stb" qemu-aarch64
way big-endian s390x-linux-gnu-gcc "-O2 -static -isystem /usr/include/stb" qemu-s390x \
    "weights netfiles image data metrics ops"

for part in header windows web; do          # what make test does in a short form
    echo "=== $part: tests/test_$part.sh in full"
    if ALL=1 sh tests/test_$part.sh; then passed=$((passed + 1)); echo "ok   $part"
    else failed=$((failed + 1)); echo "FAIL $part"
    fi
done

echo "--- all ways"
if [ "$skipped" = 0 ]; then echo "$passed passed, $failed failed"
else echo "$passed passed, $failed failed, $skipped skipped"; fi
[ "$failed" = 0 ]
