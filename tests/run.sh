#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# Run test programs and scripts, as many at a time as there are processors ($JOBS), show their lines, and
# add up what they say: the last line is "N passed, N failed" (and ", N skipped"). A program that dies
# counts as a failure. $RUNNER, if set, is what runs a program (an emulator).
jobs=${JOBS:-$(nproc 2>/dev/null || echo 1)}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"    # threads that wait leave the processor to other tests

# A test runs while it holds one of the lines of this pipe, and shows what it said while it holds the other's.
mkfifo "$dir/free" "$dir/show"
exec 3<>"$dir/free" 4<>"$dir/show"
for job in $(seq "$jobs"); do echo "$job" >&3; done
echo show >&4

# Its time, and what it adds to the sums, go to $dir/times and $dir/sums.
run() {
    log=$dir/$2.log start=$(date +%s)
    case $1 in *.sh) sh "$1" ;; *) $RUNNER "./$1" ;; esac >"$log" 2>&1 3>&- 4>&-
    status=$? seconds=$(($(date +%s) - start))
    sum=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
    read -r show <&4
    echo "--- $1"
    cat "$log"
    set -- "$1" $(echo "$sum" | tr -dc '0-9 ')
    failed=${3:-0}
    if [ -z "$sum" ]; then
        echo "FAIL $1 ended with status $status before its last line"
        failed=1
    elif [ "$status" != 0 ] && [ "$failed" = 0 ]; then
        echo "FAIL $1 ended with status $status"
        failed=1
    fi
    echo "$seconds s  $1" >>"$dir/times"
    echo "${2:-0} $failed ${4:-0}" >>"$dir/sums"
    echo show >&4
}

number=0
for test; do
    number=$((number + 1))
    read -r job <&3
    { run "$test" $number; echo "$job" >&3; } &
done
wait

passed=0 failed=0 skipped=0
while read -r p f s; do
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done <"$dir/sums"
echo "--- the slowest ten"
sort -rn "$dir/times" | head -n 10
echo "--- all"
if [ "$skipped" = 0 ]; then echo "$passed passed, $failed failed"
else echo "$passed passed, $failed failed, $skipped skipped"; fi
[ "$failed" = 0 ]
