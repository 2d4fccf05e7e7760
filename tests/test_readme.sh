#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# What the README and the licence say is what the programs and files say. Needs build/.
cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0
says() {        # STATUS SENTENCE
    if [ "$1" = 0 ]; then passed=$((passed + 1)); echo "ok   $2"
    else failed=$((failed + 1)); echo "FAIL $2"; fi
}

# | `lite` | 480 x 640 | 60 x 80 | 2.7 M | 3.7 G | ...: to half a unit of the last digit
rows=$(sed -n 's/^| `\([a-z-]*\)` | \([0-9]*\) x \([0-9]*\) | [0-9]* x [0-9]* | \([0-9.]*\) M | \([0-9.]*\) G |.*/\1 \2x\3 \4 \5/p' README.md)
while read -r name size parameters macs; do
    build/inspect -n "$name" --size "$size" |
        sed -n 's/.*(\([0-9.]*\) million), \([0-9.]*\) G multiply-adds.*/\1 \2/p' |
        awk -v p="$parameters" -v m="$macs" '
            function same(a, b,   unit) {
                unit = 1
                if (index(a, ".")) unit = 10 ^ -(length(a) - index(a, "."))
                return b - a <= unit * .5001 + .005 && a - b <= unit * .5001 + .005
            }
            { exit !same(p, $1) || !same(m, $2) }
            END { if (!NR) exit 1 }'
    says $? "$name at $size has $parameters million parameters and takes $macs G multiply-adds"
done <<END
$rows
END
[ "$(echo "$rows" | wc -l)" = 6 ]
says $? "those are all six networks"

# Scanners know licences by their words, whatever the line breaks.
words() { tr -s ' \n' '\n\n' | grep -v '^-*$' | tr '\n' ' '; }
here=$(mktemp -d) || exit 1
trap 'rm -rf "$here"' EXIT
for licence in "This is free and unencumbered|unlicense.org>" "MIT No Attribution|IN THE SOFTWARE.\$"; do
    from=${licence%|*} to=${licence#*|}
    sed -n "/$from/,/$to/p" LICENSE | words >"$here/a"
    sed -n "/>>licence  /,\$p" saliency.h | sed -n "/^ *$from/,/$to/p" | sed '/====/d' | words >"$here/b"
    [ "$(wc -w <"$here/a")" -gt 100 ] && cmp -s "$here/a" "$here/b"
    says $? "LICENSE and saliency.h have the same words of '$from'"
done
lacking=$(find . -path ./build -prune -o -path ./.git -prune -o -type f \
    \( -name '*.[ch]' -o -name '*.cu' -o -name '*.sh' -o -name '*.py' -o -name Makefile \) -print |
    while read -r file; do
        head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Unlicense OR MIT-0' || echo "$file"
    done)
[ -z "$lacking" ]
says $? "every source file says what its licence is $lacking"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
