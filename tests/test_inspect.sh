#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# The program inspect: what it prints, and how it refuses. Needs build/inspect.
cd "$(dirname "$0")/.." || exit 1
inspect=build/inspect
passed=0 failed=0

check() {       # STATEMENT STATUS PATTERN ARGUMENTS: exit status, and a line that matches
    statement=$1 status=$2 pattern=$3
    shift 3
    output=$($inspect "$@" 2>&1)
    if [ $? = "$status" ] && printf '%s\n' "$output" | grep -Eq "$pattern"
    then passed=$((passed + 1)); echo "ok   $statement"
    else failed=$((failed + 1)); echo "FAIL $statement"; printf '%s\n' "$output" | head -n 5
    fi
}

file=tests/golden/weights/python.safetensors
check "it has a help text" 0 '^usage: inspect' --help
check "juntingnet has 34.86 million parameters" 0 '34864384 parameters' -n juntingnet
check "wepsam has 29.95 million parameters" 0 '29946368 parameters' -n wepsam
check "mlnet has 15.45 million parameters" 0 '15452145 parameters' -n mlnet
check "sam-vgg has 51.84 million parameters" 0 '51835841 parameters' -n sam-vgg
check "sam-resnet has 70.07 million parameters" 0 '70066881 parameters' -n sam-resnet
check "it shows the shapes at another input size" 0 'conv5_3 .* 512 x 8 x 16 ' \
    -n mlnet --size 64x128
check "it lists the metadata of a file" 0 'name  *Mot.*rhead' $file
check "it lists tensors with type, shape and bytes" 0 'i8  *I8  *3 x 5  *27$' $file
check "it lists types whose values it does not read" 0 'num_batches_tracked  *I64' $file --stats
check "--stats shows minimum, maximum, mean, standard deviation, zeros and nan" 0 \
    'f32 .* -3  *63.12  *19.52  *20.61  *0  *0$' $file --stats
check "a tensor by name shows its first values" 0 '^ -3 -2.875 -2.5 ' $file f32
check "a tensor that is not there is an error" 1 'there is no tensor nope' $file nope
check "no file is an error" 1 'one file, or -n'
check "an unknown network is an error" 1 'vgg is not a network' -n vgg
check "a size that the network cannot take is an error" 1 'multiples of 8' -n mlnet --size 9x9
check "a broken size is an error" 1 '^inspect: --size 9: HEIGHTxWIDTH, please, as 480x640$' -n mlnet --size 9
check "an unknown option is an error" 1 '^inspect: -x is not an option' -x
check "a missing file is an error" 1 '^inspect: missing: cannot be opened' missing
check "a picture is not a weights file" 1 'not a safetensors file' examples/photos/coffee.jpg
check "a folder is not a file" 1 'is a folder' tests

check "options that change nothing are refused" 1 'inspect: --all does nothing with a weights file' --all "$file"

osie=${SALIENCY_DATA:-../shared/data}/osie/fixations.mat
if [ -f "$osie" ]; then
    check "a MATLAB file is shown as a tree" 0 '^    img  char 1 x 8  "1002.jpg"$' "$osie"
    check "three elements of a cell stand for all" 0 '^  \.\.\. and 497 more' "$osie"
    check "--all shows all of them" 0 '^  \{500\}  struct' "$osie" --all
    check "a variable by name is shown" 0 '^fixations  cell 500 x 1$' "$osie" fixations
    check "a variable that is not there is an error" 1 'no variable nope' "$osie" nope
else
    skipped=1
    echo "skip MATLAB files: $osie is not there"
fi

echo "$passed passed, $failed failed${skipped:+, $skipped skipped}"
[ "$failed" = 0 ]
