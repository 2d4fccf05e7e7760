#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# build/evaluate on the command line: parts of a run and their merging, where results go, maps of
# another shape, pictures that are not complete. Needs build/.
top=$(cd "$(dirname "$0")/.." && pwd)
evaluate="$top/build/evaluate --threads 1"
here=$(mktemp -d) && cd "$here" || exit 1
trap 'rm -rf "$here"' EXIT
passed=0 failed=0

says() {        # says STATUS STATEMENT: one line for a statement that holds if STATUS is 0
    if [ "$1" = 0 ]; then passed=$((passed + 1)); echo "ok   $2"
    else failed=$((failed + 1)); echo "FAIL $2"; [ -s err ] && head -n 3 err; fi
}
refused() {     # refused STATEMENT PATTERN ARGUMENTS...: status 1, one line on stderr with PATTERN
    statement=$1 pattern=$2; shift 2
    $evaluate "$@" >out 2>err
    [ $? = 1 ] && [ "$(wc -l <err)" = 1 ] && grep -q -- "$pattern" err && [ ! -s out ] &&
        [ -z "$(find . -name '*.tmp')" ]
    says $? "$statement"
}

# a set of twelve small pictures (shades of grey, 24 x 16) with three fixations by two viewers each
mkdir -p set/images
{ echo image,x,y,subject
  for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
      { echo "P5 24 16 255"
        awk -v i=$i 'BEGIN { for (k = 0; k < 384; k++) printf "%c", 33 + (k * i * 7 + k % 24 * i) % 90 }'
      } >"set/images/pic$i.pgm"
      echo "pic$i.pgm,$((i * 2 - 1)),$((i + 1)),a"
      echo "pic$i.pgm,$((23 - i)),$((i)),b"
      echo "pic$i.pgm,$(((i * 5) % 24)),$(((i * 3) % 16)),b"
  done; } >set/fixations.csv
models="-m center -m spectral --baselines"

$evaluate $models --data set --csv all.csv --json all.json --per-image >all.txt 2>err && [ ! -s err ]
says $? "a run over the set"
for k in 1 2 3; do $evaluate $models --data set --part $k/3 --json part$k.json --quiet >out 2>err || echo $k; done
[ "$(grep -c '"scores"' part1.json)" = 5 ] && [ ! -s err ]
says $? "three parts of it keep every score"
if command -v python3 >/dev/null; then
    python3 -c 'import json
n = [len(json.load(open("part%d.json" % k))["pictures"]) for k in (1, 2, 3)]
assert sum(n) == 12 and min(n) > 0, n' 2>err
    says $? "in JSON, and together they have all pictures"
fi
$evaluate --merge part2.json part1.json part3.json --csv merged.csv --json merged.json --per-image >merged.txt 2>err &&
    cmp -s all.csv merged.csv && cmp -s all.json merged.json && cmp -s all.txt merged.txt && [ ! -s err ]
says $? "--merge gives the CSV, JSON and table of one run, byte by byte"
refused "a part that is missing is named"    "are in none of these parts" --merge part1.json part3.json
refused "a part that is there twice, too"    "another part has" --merge part1.json part1.json part2.json part3.json
$evaluate $models --data set --part 2/3 --seed 7 --json seven.json --quiet
refused "parts of different runs are refused" "another run" --merge part1.json seven.json part3.json
cp set/images/pic1.pgm one.pgm && cp set/images/pic2.pgm two.pgm
$evaluate $models --data set --part 1/3 --power 1.5 --prior one.pgm --json first.json --quiet 2>err
for other in "--power 1.50000001 --prior one.pgm" "--power 1.5 --prior two.pgm" "--power 1.5" \
             "--power 1.5 --prior one.pgm --precision f32" "--power 1.5 --prior one.pgm --any-size"; do
    $evaluate $models --data set --part 2/3 $other --json other.json --quiet 2>>err
    refused "  so is one of $other" "another run" --merge first.json other.json
done
head -c 700 part2.json >cut.json
refused "a cut-off file is refused"           "cut.json: is not what evaluate" --merge part1.json cut.json
refused "so is the JSON of a whole run"       "all.json: is not what evaluate" --merge all.json
sed 's/"total":[0-9]*/"total":1e300/' part1.json >huge.json
sed 's/"total":[0-9]*/"totals":12/' part1.json >none.json
sed 's/"index":\[[0-9]*/"index":[null/' part1.json >null.json
sed 's/"index":\[\([0-9]*\),[0-9]*/"index":[\1,99999999/' part1.json >far.json
sed -e 's/\("index":\[[^]]*\)\]/\1,99999999]/' -e 's/"scores":\[/"scores":[[1],/' part1.json >more.json
sed 's/"run":/"x":[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]],"run":/' part1.json >deep.json
for file in huge none null far more deep; do
    refused "so is a damaged file ($file)"   "$file.json: is not what evaluate" --merge "$file.json"
done
sed 's/"pictures":\["[^"]*"/"pictures":["\\u"/' part1.json >escape.json
$evaluate --merge escape.json part2.json part3.json --csv out.csv --per-image >out 2>err &&
    grep -q "$(printf '\357\277\275')" out.csv
says $? "an escape without digits is no text"
refused "--merge wants files"                 "which JSON files" --merge
refused "and nothing to evaluate"             "--merge takes" --merge part1.json --data set
refused "a part has no report"                "--html" --part 1/3 --html x.html -m center --data set
refused "a part that is none is refused"      "--part 0/3: K/N" --part 0/3 -m center --data set
$evaluate --merge part1.json part2.json part3.json --json part1.json >out 2>err
[ $? = 1 ] && grep -q '"scores"' part1.json
says $? "--merge does not write over its input"

$evaluate -m center --data set --json - >out.json 2>err && [ "$(head -c 10 out.json)" = '{"models":' ] && [ ! -s err ]
says $? "--json - is JSON and nothing else"
mkdir results && $evaluate -m center --data set --csv results --html results/ --quiet 2>err &&
    [ -s results/evaluate.csv ] && [ -s results/evaluate.html ]
says $? "a folder for results gets evaluate.csv, evaluate.html"
cp set/fixations.csv before
refused "the fixations are not written over" "fixations.csv: is read, too" -m center --data set --csv set/fixations.csv
ln -s set/images/pic3.pgm link.pgm
refused "nor a picture, through a link"      "link.pgm: is read, too" -m center --data set --json link.pgm
cmp -s set/fixations.csv before
says $? "and they are as they were"
refused "one result goes to standard output" "one result" -m center --data set --json - --csv -
refused "the report of --html -, without --per-image" "leave --per-image out" -m center --data set --html - --per-image
refused "and so with --merge" "leave --per-image out" --merge part1.json part2.json part3.json --csv - --per-image
$evaluate -m center -m center -m center --data set --metrics CC --csv - >out.csv 2>err &&
    [ "$(sed 1d out.csv | cut -d, -f1 | uniq | tr '\n' ,)" = "center,center (2),center (3)," ]
says $? "three models of one name get three names"
if [ -e /dev/full ]; then
    for option in "" "--json -" "--csv -"; do
        $evaluate -m center --data set $option >/dev/full 2>err
        [ $? = 1 ] && grep -q "standard output" err
        says $? "a full disk for the table $option is an error"
    done
fi

mkdir maps turned && for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
    { echo "P5 12 8 255"; head -c 96 /dev/zero | tr '\000' x | sed 's/x/y/7'; } >maps/pic$i.PGM
    { echo "P5 16 24 255"; head -c 384 /dev/zero | tr '\000' x | sed 's/x/y/7'; } >turned/pic$i.pgm
done
$evaluate --maps maps --data set >out 2>err && [ ! -s err ]
says $? "maps of half the size are taken, also with capital letters in their names"
refused "turned maps are refused"            "16 x 24.*as if transposed" --maps turned --data set
$evaluate --maps turned --any-size --data set >out 2>err && [ ! -s err ]
says $? "unless --any-size insists"

cp -r set holes && echo junk >holes/images/pic3.pgm && head -c 60 set/images/pic5.pgm >holes/images/pic5.pgm &&
    rm holes/images/pic7.pgm
refused "a picture that is not there stops a run" "pic7.pgm: this picture is not there" -m center --data holes
$evaluate -m center --data holes --skip-missing >out 2>err && [ "$(wc -l <err)" = 3 ] && grep -q "holes: 9 pictures" out &&
    grep -q "3 rows are of pictures that are not there, the first of pic7.pgm" err && grep -q "pic3.pgm: a text file" err
says $? "--skip-missing leaves it out, and what cannot be read, and says each once"

# The densities are the maps of spectral, smoothed and squared: --fit finds that, on pictures that are not scored.
"$top/build/pretrain" --images "$top/examples/photos" -m spectral --out fitted --quiet
"$top/build/predict" -m spectral --power 2 --blur 0.04 -o fitted/maps --quiet "$top/examples/photos"
count=$(ls fitted/images | wc -l)
$evaluate -m spectral --data fitted --metrics CC --fit 1 --json fit.json >out 2>err &&
    grep -q "^spectral: --domain 0 --blur 0.04 --power 2, chosen on 1 pictures (CC 1.000" out &&
    grep -q "fitted: $((count - 1)) pictures" out &&
    grep -q '"fit":{"domain":0,"blur":0.04,"power":2}' fit.json
says $? "--fit finds the blur and the power of a data set, and leaves its pictures out"
$evaluate -m spectral --data fitted --metrics CC --blur 0.04 --power 2 --json - 2>err | grep -q '"CC":{"mean":\(1\|0.9999\)'
says $? "which --blur and --power set by hand"
"$top/build/predict" -m spectral --npy plain --quiet "$top/examples/photos"
$evaluate -m spectral --maps plain --data fitted --metrics CC,NSS --blur 0.03 --power 1.5 --per-image >out 2>err &&
    awk '/^[^ ]*[.]jpg/ { score = $4 " " $6; if ($2 == "plain" && score != last) bad = 1; last = score; n++ }
         END { exit bad || !n }' out
says $? "and by which maps from a folder are adjusted, too"
$evaluate --maps plain --data fitted --metrics CC --fit 1 >out 2>err &&
    grep -q "^plain: --domain 0 --blur 0.04 --power 2, chosen on 1 pictures (CC 1.000" out
says $? "--fit finds them for such maps"
# One degree is a tenth of the width: the blur that is missing to 0.03 is 0.0954.
$evaluate -m spectral --data fitted --metrics CC --viewing-distance 10 --json - >out 2>err
$evaluate -m spectral --data fitted --metrics CC --blur 0.09539392014169457 --json - 2>err | cmp -s - out
says $? "--viewing-distance in degrees is a blur"
refused "a size that nothing here takes is refused" "does nothing without a network" --input 240x320 -m center --maps plain --data fitted
refused "as are steps"                              "does nothing without a network" --steps 2 --maps plain --data fitted
refused "and a prior of a data set"                 "nothing here has priors" --domain 1 -m center --data fitted
refused "all pictures to fit leave none to score" "must remain" --fit $count -m center --data fitted
refused "a part is not fitted"                  "not of a part" --fit 1 --part 1/2 -m center --data fitted
# Each picture was seen by two viewers of twelve: what one sees from the other is what halves see.
mkdir pair && cp -r set/images pair && { echo image,x,y,subject
    for i in 1 2 3 4 5 6; do
        echo "pic$i.pgm,$((2 * i)),$((2 * i)),v$i"; echo "pic$i.pgm,$((20 - i)),$((i + 3)),w$i"
    done; } >pair/fixations.csv
$evaluate --baselines --data pair --metrics CC,NSS --csv pair.csv --quiet 2>err &&
    awk -F, '$1 == "viewer vs others" { score[$2] = $3 " " $4 } $1 == "half vs half" && $3 != "" { n++; bad += score[$2] != $3 " " $4 }
             END { exit bad || n != 6 }' pair.csv
says $? "viewers' halves are drawn from those who saw the picture"
grep -q "^lite," pair.csv
says $? "the default model stands beside them if no other is named"
$evaluate -m center --baselines --data set --metrics CC,IG --limit 1 >out 2>err &&
    awk '$1 == "CC" { cc = $4 } $1 == "IG" { ig = $2 } END { exit !(cc == "-" && ig == "-") }' out
says $? "without other pictures there is neither a centre prior nor a baseline of IG"
grep -qx "(IG of center: of the 0 pictures where it is defined)" out && ! grep -q "CC of center:" out
says $? "the table says of how many pictures a mean is, where that is not all of them"
$evaluate -m center --data set --part 1/2 --json this.json --quiet 2>err
mkdir moved && cp -r set/images moved && sed 's/,1,2,a/,2,2,a/' set/fixations.csv >moved/fixations.csv
$evaluate -m center --data moved --part 2/2 --json that.json --quiet 2>err
refused "parts of other fixations are refused" "another run" --merge this.json that.json
sed 's/\("scores":\[\[[^],]*\),[^],]*/\1/' part1.json >less.json
refused "a part without all of its scores, too" "not a score for each" --merge less.json part2.json part3.json
$evaluate -m center --maps maps --data set --metrics CC --fit 2 --html fit.html --quiet 2>err && grep -q ": 10 pictures" fit.html &&
    ! grep -q "<small>(10)" fit.html
says $? "a report counts the pictures that are scored"
mkdir coloured && cp -r set/images coloured && mkdir coloured/maps && for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
    { echo "P6 24 16 255"; head -c 1152 /dev/zero | tr '\000' x | sed 's/xxx/x(y/7'; } >coloured/maps/pic$i.pgm
done
refused "densities in colours are refused" "is in colours" -m center --data coloured
refused "and so is a prior"                "is in colours" -m center --data set --prior coloured/maps/pic1.pgm
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
