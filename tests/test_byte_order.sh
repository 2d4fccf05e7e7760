#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# Files of a little-endian machine on a big-endian one (s390x in an emulator), and back.
# Debian: gcc-s390x-linux-gnu, qemu-user.
cd "$(dirname "$0")/.." || exit 1
for tool in s390x-linux-gnu-gcc qemu-s390x; do
    if ! command -v $tool >/dev/null; then
        echo "skip byte order: $tool is not installed"
        echo "0 passed, 0 failed, 1 skipped"
        exit 0
    fi
done
passed=0 failed=0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
stb=$(for d in $(pkg-config --variable=includedir stb 2>/dev/null) /usr/include /usr/local/include; do
          [ -e "$d/stb/stb_image.h" ] && echo "$d/stb" && break; done)

# step STATEMENT COMMAND...: a command, which may print lines of its own and their sum
step() {
    statement=$1
    shift
    "$@" >"$dir/log" 2>&1
    status=$?
    grep '^FAIL' "$dir/log"
    sum=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$dir/log" | tr -dc '0-9 ')
    if [ $status = 0 ]; then passed=$((passed + 1)); echo "ok   $statement"
    else failed=$((failed + 1)); echo "FAIL $statement"; head -n 5 "$dir/log"
    fi
    set -- $sum
    passed=$((passed + ${1:-0})) failed=$((failed + ${2:-0}))
}
here=-O1 library=
[ -e build/saliency.o ] && here="-fopenmp -DSALIENCY_IMPLEMENTED" library=build/saliency.o
step "compiles for this machine" ${CC:-gcc} $here -I. $(pkg-config --cflags stb 2>/dev/null) \
    tests/byte_order.c $library -o "$dir/here" -lm
step "compiles for a big-endian machine" s390x-linux-gnu-gcc -O1 -static -I. ${stb:+-isystem "$stb"} \
    tests/byte_order.c -o "$dir/there" -lm
step "little-endian writes" "$dir/here" write "$dir/little"
step "big-endian writes" qemu-s390x "$dir/there" write "$dir/big"
step "big-endian reads what little-endian wrote" qemu-s390x "$dir/there" read "$dir/little"
step "little-endian reads what big-endian wrote" "$dir/here" read "$dir/big"
for file in tensors.safetensors map.npy set/images/p1.png; do
    step "both write the same $file" cmp "$dir/little/$file" "$dir/big/$file"
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
