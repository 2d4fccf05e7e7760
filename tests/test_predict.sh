#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# build/predict as a person meets it: results, odd pictures, and every mistake answered with one
# sentence on stderr, exit status 1 and no file left behind.
top=$(cd "$(dirname "$0")/.." && pwd)
predict=$top/build/predict
pictures=$top/tests/golden/images
photo=$top/examples/photos/coffee.jpg
here=$(mktemp -d) && cd "$here" || exit 1
trap 'rm -rf "$here"' EXIT
passed=0 failed=0

says() {        # says STATUS STATEMENT: one line for a statement that holds if STATUS is 0
    if [ "$1" = 0 ]; then passed=$((passed + 1)); echo "ok   $2"
    else failed=$((failed + 1)); echo "FAIL $2"; fi
}
works() {       # works STATEMENT FILE ARGUMENTS...: succeeds, and FILE is there
    statement=$1 file=$2; shift 2
    "$predict" "$@" >out 2>err && [ -s "$file" ] && [ ! -s err ]
    says $? "$statement"
}
refused() {     # refused STATEMENT PATTERN ARGUMENTS...: status 1, one line with PATTERN, no file
    statement=$1 pattern=$2; shift 2
    "$predict" "$@" -o refused.png --npy refused.npy >out 2>err
    [ $? = 1 ] && [ "$(wc -l <err)" = 1 ] && grep -q -- "$pattern" err && [ ! -e refused.png ] &&
        [ ! -e refused.npy ] && [ -z "$(find . -name '*.tmp')" ]
    says $? "$statement"
    rm -f refused.png refused.npy
}

"$predict" --help >out 2>err && [ ! -s err ]
status=$?
for option in -m -w --input --center -o --overlay --npy --raw --threads --quiet; do
    grep -q -- " $option " out || status=1
done
says $status "--help names every option"

"$predict" --self-test >out 2>err && grep -q '^right  built-in weights$' out &&
    [ "$(grep -vc '^right ' out)" = 0 ]
says $? "--self-test finds every kernel right"

for model in center spectral itti gbvs bms; do
    works "$model writes a map, an overlay and numbers" map.npy -m $model -o map.png \
          --overlay overlay.png --npy map.npy "$photo"
    for kind in grey.png sixteen.png alpha.png cmyk.jpg progressive.jpg one.png line.png; do
        works "$model takes $kind" odd.png -m $model -o odd.png "$pictures/$kind"
    done
done
works "without an option, the map is NAME-saliency.png" coffee-saliency.png -m center "$photo"
head -c 128 map.npy | grep -q "'shape': (400, 600)"
says $? "the numbers have the picture's size"

works "a folder gives one map for each picture" maps/rocket.png -m center -o maps "$top/examples/photos"
[ "$(ls maps | wc -l)" = 4 ]
says $? "four photographs, four maps"
mkdir mixed && cp "$photo" mixed/good.jpg && echo "not a picture" >mixed/bad.png
"$predict" -m center -o mixed-maps mixed >out 2>err
[ $? = 1 ] && [ -s mixed-maps/good.png ] && [ ! -e mixed-maps/bad.png ] && grep -q "bad.png" err &&
    grep -q "1 of 2" err
says $? "a bad picture in a folder is reported, the others are done, the status is 1"

: >empty.jpg
head -c 9000 "$photo" >truncated.jpg
head -c 100 "$pictures/colour.png" >truncated.png
echo "dear reader" >text.jpg
mkdir empty-folder
works "lite takes another size of input" small.png --input 240x320 -o small.png "$photo"
refused "half a size is refused"              "HEIGHTxWIDTH"      --input 240 "$photo"
refused "a size it does not take is refused"  "multiples of 8"    --input 33x40 "$photo"
refused "as is one for a model without a network" "not a network"  -m gbvs --input 240x320 "$photo"
refused "and a prior that it does not have"    "has no priors"    -m gbvs --domain 1 "$photo"
refused "an empty file is refused by name"        "empty.jpg"         -m gbvs empty.jpg
refused "a truncated JPEG is refused by name"     "truncated.jpg"     -m gbvs truncated.jpg
refused "a truncated PNG is refused by name"      "truncated.png"     -m gbvs truncated.png
refused "a text file is refused by name"          "text.jpg: a text"  -m gbvs text.jpg
refused "a missing picture is refused by name"    "nothing.jpg"       -m gbvs nothing.jpg
refused "a folder without pictures is refused"    "no pictures"       -m gbvs empty-folder
refused "an unknown model is refused by name"     "called wrong"      -m wrong "$photo"
refused "an unknown option is refused by name"    "--wrong"           --wrong "$photo"
refused "no picture at all is refused"            "which pictures"
refused "a picture is not a weights file"         "coffee.jpg"        -w "$photo" "$photo"
refused "missing weights are refused by name"     "nothing.safe"      -w nothing.safetensors "$photo"
refused "a network without weights says where it looked" "no sam-resnet.safetensors in weights/" -m sam-resnet "$photo"
refused "--raw is for networks"                   "raw"               -m gbvs --raw "$photo"
refused "steps of what has no ConvLSTM are refused" "lite has learnt 0 steps" --steps 2 "$photo"
refused "a strip of what has no ConvLSTM is refused" "lite has no ConvLSTM" --strip no.png "$photo"
refused "half a region is refused"                "X,Y,WIDTH,HEIGHT"  --region 1,2 "$photo"
refused "a region of nothing is refused"          "for --explain"     --region 1,2,3,4 "$photo"
refused "a layer that is not there is refused"    "none of this name" --explain no.png --layer no "$photo"
refused "a classical model is not explained"      "not a network"     -m gbvs --explain no.png "$photo"
refused "--threads 0 is refused"                  "threads"           --threads 0 "$photo"
"$predict" --input 64x96 --explain why.png --region 9000,10,50,50 "$photo" >out 2>err
[ $? = 1 ] && grep -q "lies outside of the picture of" err && [ ! -e why.png ]
says $? "a region beside the picture is refused"
works "a region of the map is explained by the pixels" why.png --input 240x320 --explain why.png \
      --region 200,100,200,150 "$photo"
works "the map is explained by the channels of a layer" parts.csv --input 240x320 --layer head.conv \
      --parts parts.csv "$photo"
[ "$(head -n 1 parts.csv)" = channel,part ] && [ "$(wc -l <parts.csv)" = 129 ]
says $? "all 128 of them are in the table"
"$predict" -m center -o no-folder/map.png "$photo" >out 2>err
[ $? = 1 ] && [ "$(wc -l <err)" = 1 ] && grep -q "no-folder/map.png" err
says $? "an unwritable output is refused by name"
cp "$photo" photo.jpg && cp "$photo" photo.jpeg
refused "two pictures that would share an output are refused" "one file" -m center photo.jpg photo.jpeg

# -march=native lets the compiler make one instruction of a product and a sum, where the processor has it
${CC:-gcc} -O2 -march=native $(pkg-config --cflags stb 2>/dev/null) -I"$top" "$top/examples/predict.c" -o native -lm &&
    ./native --quiet --npy native.npy "$photo" && "$predict" --quiet --npy map.npy "$photo" && cmp -s map.npy native.npy
says $? "lite's map has the same bits when compiled for this processor"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
