#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# The programs as Windows programs, compiled by mingw-w64 with the one line of their first comment and
# run by wine: the same bytes as here, whatever the names. In full (make test-windows: ALL=1) all
# programs and tests, 64 and 32 bits, and with the line's -O2. Debian: gcc-mingw-w64, wine (and wine32 for 32 bits).
# $WINE and $WINE32 run a 64-bit and a 32-bit program; $MACHINES names only one of x86_64 and i686.
cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0 skipped=0
export WINEPREFIX="${WINEPREFIX:-$PWD/build/wine}" WINEDEBUG=-all LC_ALL=C.UTF-8
dir=build/windows
stb=$(pkg-config --cflags stb 2>/dev/null)
rm -rf "$dir"
mkdir -p "$dir"

check() {       # STATEMENT COMMAND...
    statement=$1
    shift
    if "$@" >"$dir/log" 2>&1; then passed=$((passed + 1)); echo "ok   $statement"
    else failed=$((failed + 1)); echo "FAIL $statement"; head -n 20 "$dir/log"
    fi
}
skip() { skipped=$((skipped + 1)); echo "skip $*"; }
done_() {
    if [ "$skipped" = 0 ]; then echo "$passed passed, $failed failed"
    else echo "$passed passed, $failed failed, $skipped skipped"; fi
    [ "$failed" = 0 ]
    exit
}
json() { "$1" --json "$dir/$2.json" --quiet "$dir/set"; }

# Programs on Windows against those here. $1: x86_64 or i686, $2: what runs them, $3: gcc's flag here
compare() {
    predict="$dir/$1/predict.exe"
    check "$1: predict compiles without a warning" "$1-w64-mingw32-gcc" ${ALL:+-O2} -Wall -Wextra \
        -Werror $stb examples/predict.c -o "$predict" -lm
    if [ -z "$ALL" ] && [ -e build/predict ]; then cp build/predict "$dir/$1/predict"
    else check "predict compiles here${3:+ with $3}" ${CC:-gcc} -O2 $3 $stb examples/predict.c \
        -o "$dir/$1/predict" -lm
    fi
    cp examples/photos/coffee.jpg "$dir/größe 写真.jpg"
    rm -f "$dir"/here*          # not those of another machine
    "$dir/$1/predict" --quiet -o "$dir/here.png" --npy "$dir/here.npy" --overlay "$dir/here-o.png" \
        examples/photos/coffee.jpg
    check "$1: names in any script, both slashes, folders that are made" \
        $2 "$predict" --quiet -o "$dir\\$1\\neu\\" --npy "$dir/$1/карта.npy" \
        --overlay "$dir/$1/überlagert.png" "$dir/größe 写真.jpg"
    check "$1: the map's PNG has the bytes it has here" cmp "$dir/$1/neu/größe 写真.png" \
        "$dir/here.png"
    check "$1: and the array" cmp "$dir/$1/карта.npy" "$dir/here.npy"
    check "$1: and the overlay" cmp "$dir/$1/überlagert.png" "$dir/here-o.png"
    echo old >"$dir/$1/old.png"
    check "$1: a file that is there is replaced" $2 "$predict" --quiet -o "$dir/$1/old.png" \
        "$dir/größe 写真.jpg"
    check "$1: as a whole" cmp "$dir/$1/old.png" "$dir/here.png"
    $2 "$predict" --quiet -o "$dir/größe 写真.jpg" "$dir/größe 写真.jpg" >/dev/null 2>&1
    check "$1: a picture is not overwritten by its map" cmp "$dir/größe 写真.jpg" \
        examples/photos/coffee.jpg
    check "$1: a pattern names pictures" sh -c \
        "$2 '$predict' --quiet -o '$dir/$1/all' '$dir\\gr*.jpg' && [ -s '$dir/$1/all/größe 写真.png' ]"
    check "$1: nothing is left behind" sh -c "! ls -R '$dir' | grep tmp"
    $2 "$predict" nowhere.jpg >"$dir/said" 2>&1
    check "$1: a missing file is named" grep -q "nowhere.jpg: cannot be opened: No such file" \
        "$dir/said"
}

tool=x86_64-w64-mingw32-gcc
command -v $tool >/dev/null || { skip "Windows: $tool is not installed"; done_; }
command -v ${WINE:-wine} >/dev/null || { skip "Windows: wine is not installed"; done_; }
mkdir -p "$dir/x86_64" "$dir/i686"
compare x86_64 "${WINE:-wine}" ""
[ -n "$ALL" ] || done_

# All of it.
for machine in ${MACHINES:-x86_64 i686}; do
    compiler=$machine-w64-mingw32-gcc
    run="${WINE:-wine}"
    [ $machine = i686 ] && run="${WINE32:-$run}"
    command -v $compiler >/dev/null || { skip "$compiler is not installed"; continue; }
    library="$dir/$machine/saliency.o"
    check "$machine: the header compiles without a warning" $compiler -O2 -Wall -Wextra -Werror $stb -I. \
        -DSALIENCY_IMPLEMENTATION -x c -c saliency.h -o "$library"
    for source in examples/*.c tests/test_*.c tests/inside.c; do
        name=$(basename "$source" .c) how="-DSALIENCY_IMPLEMENTED $library"
        grep -q "\"$name.c\"" tests/inside.c || [ "$name" = test_cuda ] && continue
        [ "$name" = inside ] || [ "$name" = test_gradcheck ] && how=
        check "$machine: $name compiles without a warning" $compiler -O2 -Wall -Wextra -Werror -I. \
            $stb "$source" $how -o "$dir/$machine/$name.exe" -lm -static -pthread
    done
    for name in $(sed -n 's/^.include "\(test_.*\)\.c"/\1/p' tests/inside.c); do    # it goes by their names
        cp "$dir/$machine/inside.exe" "$dir/$machine/$name.exe"
    done
    if ! $run "$dir/$machine/hello.exe" 2>&1 | grep -q usage; then
        skip "$machine: wine does not run such programs here"
        continue
    fi
    if [ $machine = i686 ]; then
        if printf '#include <errno.h>\n#include <stdio.h>\nint main(void) { return 0; }\n' |
           ${CC:-gcc} -m32 -x c - -o "$dir/m32" -lm 2>/dev/null
        then compare i686 "$run" -m32
        else skip "i686: gcc -m32 is not here, whose bits could be compared"; fi
    fi
    RUNNER="$run" sh tests/run.sh "$dir/$machine"/test_*.exe >"$dir/$machine.log" 2>&1
    grep -E '^(FAIL|skip|---)' "$dir/$machine.log"
    set -- $(tail -n 1 "$dir/$machine.log" | tr -dc '0-9 ')
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + ${3:-0}))
    for program in crop evaluate train inspect convert pretrain bench; do
        [ -e "$dir/$machine/$program.exe" ] && check "$machine: $program --help" sh -c \
            "$run '$dir/$machine/$program.exe' --help | grep -q $program"
    done
done
done_
