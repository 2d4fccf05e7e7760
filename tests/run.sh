#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# Run test programs and scripts, show their lines, and add up what they say:
# the last line is "N passed, N failed" (and ", N skipped"). A program that dies counts as a failure.
# $RUNNER, if set, is what runs a program (an emulator).
passed=0 failed=0 skipped=0
log=$(mktemp) times=$(mktemp)
trap 'rm -f "$log" "$times"' EXIT
for test; do
    echo "--- $test"
    start=$(date +%s)
    case $test in *.sh) sh "$test" ;; *) $RUNNER "./$test" ;; esac >"$log" 2>&1
    status=$?
    echo "$(($(date +%s) - start)) s  $test" >> "$times"
    cat "$log"
    sum=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
    if [ -z "$sum" ]; then
        echo "FAIL $test ended with status $status before its last line"
        failed=$((failed + 1))
        continue
    fi
    set -- $(echo "$sum" | tr -dc '0-9 ')
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + ${3:-0}))
    if [ "$status" != 0 ] && [ "$2" = 0 ]; then
        echo "FAIL $test ended with status $status"
        failed=$((failed + 1))
    fi
done
echo "--- the slowest ten"
sort -rn "$times" | head -n 10
echo "--- all"
if [ "$skipped" = 0 ]; then echo "$passed passed, $failed failed"
else echo "$passed passed, $failed failed, $skipped skipped"; fi
[ "$failed" = 0 ]
