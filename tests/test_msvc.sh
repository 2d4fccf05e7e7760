#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# Would Microsoft's compiler take the header and the programs? It is not here: clang checks the
# language in its mode, against tests/msvc.h as the system's headers. Debian: clang.
cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0
command -v clang >/dev/null || {
    echo "skip MSVC: clang, which stands in for it, is not installed"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/system/sys"
for header in stdio io direct fcntl sys/stat process stdlib string errno time signal ctype math \
              locale assert malloc intrin windows shellapi psapi; do
    echo '#include "msvc.h"' >"$dir/system/$header.h"
done
cp tests/msvc.h "$dir/system"
stb=$(pkg-config --cflags stb 2>/dev/null | sed 's/-I/-isystem /g')
for folder in /usr/include /usr/local/include; do
    [ -z "$stb" ] && [ -e "$folder/stb/stb_image.h" ] && stb="-isystem $folder/stb"
done
msvc="clang -x c -std=c99 -fms-compatibility-version=19.20 -nostdinc -isystem $dir/system
      -isystem $(clang -print-resource-dir)/include $stb -I."
errors="-Werror=vla -Werror=gnu -Werror=implicit-function-declaration -Werror=implicit-int
        -Werror=incompatible-pointer-types -Werror=int-conversion -Werror=pointer-arith
        -Wno-gnu-zero-variadic-macro-arguments"

check() {       # STATEMENT COMMAND...
    statement=$1
    shift
    if "$@" >"$dir/log" 2>&1; then passed=$((passed + 1)); echo "ok   $statement"
    else failed=$((failed + 1)); echo "FAIL $statement"; head -n 20 "$dir/log"
    fi
}

printf '#include <windows.h>\n#define SALIENCY_IMPLEMENTATION\n#include "saliency.h"\n' >"$dir/whole.c"
printf '#include "saliency.h"\n' >"$dir/api.c"
for target in x86_64 i686 aarch64; do
    for source in "$dir/api.c" "$dir/whole.c"; do
        check "$target: $(basename "$source") is C as MSVC takes it" \
            $msvc --target=$target-pc-windows-msvc $errors -fsyntax-only "$source"
    done
done
for flag in -DSALIENCY_NO_STDIO -DSALIENCY_NO_STB -DSALIENCY_STATIC; do
    check "the header with $flag" \
        $msvc --target=x86_64-pc-windows-msvc $errors $flag -fsyntax-only "$dir/whole.c"
done
check "and as C++" clang -x c++ -std=c++14 $(echo $msvc | sed 's/^clang -x c -std=c99//') \
    --target=x86_64-pc-windows-msvc -Wno-error -fsyntax-only "$dir/api.c"
for source in examples/*.c; do
    check "$source" $msvc --target=x86_64-pc-windows-msvc $errors -fsyntax-only "$source"
done

# What clang takes in this mode and MSVC does not: everything of GCC's must stand behind a condition.
for source in "$dir/whole.c" examples/*.c; do
    $msvc --target=x86_64-pc-windows-msvc -E "$source" 2>/dev/null |
        awk '/^# [0-9]+ "/ { here = $3 !~ /include|system/ && $3 !~ /^"</; name = $3; line = $2 - 1; next }
             { line++ }
             here && /__attribute__|__builtin_[^vo]|typeof|__asm__|__int128|__extension__|#pragma GCC|\(\{/ {
                 print name ":" line ": " $0 }'
done >"$dir/gnu"
check "nothing of GCC's own is left when MSVC reads" sh -c "cat '$dir/gnu'; [ ! -s '$dir/gnu' ]"
check "no string literal comes near MSVC's 16380 bytes" awk '
    FNR == 1 { bytes = 0 }
    /"[[:space:]]*[;,)]*[[:space:]]*$/ && /"/ { s = $0; gsub(/^[^"]*"|"[^"]*$/, "", s); bytes += length(s)
        if (bytes > 16000) { print FILENAME ":" FNR ": " bytes; bad = 1 } 
        if ($0 ~ /[;,)][[:space:]]*$/) bytes = 0; next }
    { bytes = 0 }
    END { exit bad }' saliency.h examples/*.h examples/*.c
check "no unistd.h, dirent.h or sys/ header but for other systems" sh -c "! for f in '$dir/whole.c' examples/*.c; do
    $(echo $msvc) --target=x86_64-pc-windows-msvc -M \$f; done 2>/dev/null | grep -E 'unistd|dirent|sys/(wait|resource|mman)'"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
