#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# Numbers on the command line of every program: read whole and within their range, or refused, as is
# every empty value, with one sentence that names the option and what was given, before any work is
# done. Needs build/.
cd "$(dirname "$0")/.." || exit 1
photo=examples/photos/coffee.jpg
here=$(mktemp -d) || exit 1
trap 'rm -rf "$here"' EXIT
passed=0 failed=0

refused() {     # PROGRAM OPTION VALUE ARGUMENTS: status 1, one line with both, nothing made
    program=$1 option=$2 value=$3; shift 3
    timeout 60 "build/$program" "$@" "$option" "$value" >"$here/out" 2>"$here/err"
    if [ $? = 1 ] && [ "$(wc -l <"$here/err")" = 1 ] && [ ! -s "$here/out" ] && [ ! -e "$here/made" ] &&
       grep -Fq -- "$program: $option ${value:-\"\"}: " "$here/err"
    then passed=$((passed + 1)); echo "ok   $program $option ${value:-\"\"} is refused"
    else failed=$((failed + 1)); echo "FAIL $program $option ${value:-\"\"} is refused"; cat "$here/err"
    fi
}

for value in 2x 0 1.5 ''; do
    refused predict  --threads "$value" -o "$here/made" $photo
    refused evaluate --threads "$value" -m center --data nowhere
    refused bench    --threads "$value" -m juntingnet
    refused bench    --runs    "$value" -m juntingnet
    refused pretrain --threads "$value" --images "$here" --out "$here/made"
    refused pretrain --size    "$value" --images "$here" --out "$here/made"
    refused crop     --boxes   "$value" -o "$here/made" $photo
done
for value in osie 1.5 -1 99; do
    refused predict  --domain "$value" -o "$here/made" $photo
    refused evaluate --domain "$value" -m lite --data nowhere
done
for value in 10% abc 2 -.1; do refused evaluate --test-share "$value" -m center --data nowhere; done
for value in 96 96x96q 96x 0x96 -96x96 99999999999x96; do
    refused predict  --input "$value" -o "$here/made" $photo
    refused crop     --input "$value" -o "$here/made" $photo
    refused evaluate --input "$value" -m lite --data nowhere
    refused bench    --size  "$value" -m juntingnet
    refused inspect  --size  "$value" -n lite
    refused train    --input "$value" -m lite --data nowhere --out "$here/made"
done
# An empty value is a variable that was not set: pretrain would write to /images, train validate on nothing.
for option in -o --npy --explain -m; do refused predict $option '' --quiet $photo; done
for option in -o --boost --debug; do refused crop $option '' $photo; done
for option in --data --split --csv --maps; do refused evaluate $option '' -m center --data nowhere; done
for option in --val --freeze --domain --plot --log --out; do
    refused train $option '' -m lite --data nowhere
done
refused pretrain --out '' --images "$here"
refused convert  --ranges '' f16 weights/lite.safetensors "$here/made"
refused inspect  -n ''
refused bench    --svg '' -m juntingnet

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
