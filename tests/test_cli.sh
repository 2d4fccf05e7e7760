#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# What all programs share, as a person meets it: options, standard input and output, folders for
# results, nothing written over what is read, full disks. Needs build/.
top=$(cd "$(dirname "$0")/.." && pwd)
build=$top/build
photos=$top/examples/photos
photo=$photos/coffee.jpg
here=$(mktemp -d) && cd "$here" || exit 1
trap 'rm -rf "$here"' EXIT
passed=0 failed=0 skipped=0

says() {        # says STATUS STATEMENT: one line for a statement that holds if STATUS is 0
    if [ "$1" = 0 ]; then passed=$((passed + 1)); echo "ok   $2"
    else failed=$((failed + 1)); echo "FAIL $2"; [ -s err ] && head -n 3 err; fi
}
refused() {     # refused STATEMENT PATTERN COMMAND...: status 1, one line on stderr with PATTERN
    statement=$1 pattern=$2; shift 2
    "$@" >out 2>err </dev/null
    [ $? = 1 ] && [ "$(wc -l <err)" = 1 ] && grep -q -- "$pattern" err && [ ! -s out ] &&
        [ -z "$(find . -name '*.tmp')" ]
    says $? "$statement"
}
keeps() {       # keeps STATEMENT FILE COMMAND...: refused, and FILE is as it was
    statement=$1 file=$2; shift 2
    cp -L "$file" before
    "$@" >out 2>err </dev/null
    [ $? = 1 ] && cmp -s "$file" before && [ -s err ]
    says $? "$statement"
}
predict="$build/predict -m center --threads 1"
crop="$build/crop -m center --threads 1"

# --- options -----------------------------------------------------------------------------------
for program in predict crop evaluate inspect train pretrain bench convert; do
    "$build/$program" --version >out 2>err && [ ! -s err ] && grep -q "^$program [0-9]" out
    says $? "$program --version"
    "$build/$program" --help >out 2>err && [ ! -s err ] && grep -q "^$program: " out
    says $? "$program --help"
    refused "$program refuses what is no option" "--nonsense is not an option" \
            "$build/$program" --nonsense
    refused "and with a value, too" "--nonsense=3 is not an option" "$build/$program" --nonsense=3
    if [ -e /dev/full ]; then
        "$build/$program" --help >/dev/full 2>err
        [ $? = 1 ] && [ "$(wc -l <err)" = 1 ] && grep -q "standard output" err
        says $? "$program: help that is lost is an error"
    else
        skipped=$((skipped + 1)); echo "skip there is no /dev/full here"
    fi
done
$predict --threads=1 --overlay=over.png "$photo" >out 2>err && [ -s over.png ]
says $? "--opt=value is --opt value"
refused "a flag takes no value" "--quiet takes no value" $predict --quiet=yes "$photo"
refused "a value may be empty, and is then refused" "^predict: --threads \"\": an empty value" $predict --threads= "$photo"

# --- standard input and output -----------------------------------------------------------------
$predict -o file.png "$photo" >/dev/null && $predict -o - - <"$photo" >pipe.png 2>err &&
    cmp -s file.png pipe.png
says $? "predict - -o - is the same map"
$predict --npy file.npy "$photo" >/dev/null && $predict --npy - - <"$photo" >pipe.npy 2>err &&
    cmp -s file.npy pipe.npy
says $? "--npy - is the same map"
$predict --overlay - "$photo" 2>err | cmp -s - over.png
says $? "--overlay - is the same picture"
$crop -a 1:1 -o file.jpg "$photo" >/dev/null && $crop -a 1:1 -o - - <"$photo" >pipe.jpg 2>err &&
    cmp -s file.jpg pipe.jpg
says $? "crop - -o - is the same JPEG"
refused "two results cannot go to standard output" "one result" $predict -o - --npy - "$photo"
refused "nor those of a folder" "one result" $predict -o - "$photos"
refused "nothing on standard input is no picture" "standard input" $predict -o x.png -
cp "$photo" ./-x.jpg
$predict -- -x.jpg >out 2>err && [ -s ./-x-saliency.png ]
says $? "-- ends the options"
$predict -- --quiet >out 2>err
[ $? = 1 ] && grep -q -- "--quiet: cannot be opened" err
says $? "what follows is never an option"
"$build/inspect" - <"$top/weights/lite.safetensors" >out 2>err &&
    "$build/inspect" "$top/weights/lite.safetensors" | diff - out >/dev/null
says $? "inspect - reads a weights file"

# --- pipes that have names ---------------------------------------------------------------------
piped() {       # piped STATEMENT FILE COMMAND...: the command reads FILE from the named pipe p
    statement=$1 file=$2; shift 2
    rm -f p && mkfifo p || return
    cat "$file" >p 2>/dev/null & writer=$!
    timeout 60 "$@" >out 2>err
    status=$?
    kill $writer 2>/dev/null
    wait $writer
    [ $status = 0 ]
    says $? "$statement"
}
same() { cmp -s "$2" "$3"; says $? "$1"; }
piped "predict reads a picture from a pipe" "$photo" $predict -o piped.png p
same "and makes the same map" piped.png file.png
cat "$photo" | $predict -o piped.png /dev/stdin >out 2>err && cmp -s piped.png file.png
says $? "and from /dev/stdin"
piped "crop reads a picture from a pipe" "$photo" $crop -a 1:1 -o piped.jpg p
same "and cuts the same piece" piped.jpg file.jpg
piped "crop --boost reads a map from one" file.png "$build/crop" -m center --boost p -a 1:1 -o piped.jpg "$photo"
"$build/convert" f16 "$top/weights/lite.safetensors" file.st >out 2>err
piped "convert reads weights from one" "$top/weights/lite.safetensors" "$build/convert" f16 p piped.st
same "and writes the same file" piped.st file.st
piped "inspect reads a file that is no network from one" "$top/tests/golden/ops.safetensors" "$build/inspect" p
piped "predict reads weights from one" "$top/weights/lite.safetensors" "$build/predict" -w p -o piped.png "$photo"
"$build/predict" -w "$top/weights/lite.safetensors" -o file-lite.png "$photo" >out 2>err
same "and makes the same map" piped.png file-lite.png
head -c 100000 "$top/weights/lite.safetensors" >cut.st
mkfifo q; cat cut.st >q & writer=$!
refused "what is cut off in a pipe is refused" "p*q: " timeout 60 "$build/predict" -w q -o piped.png "$photo"
kill $writer 2>/dev/null; wait $writer

# --- nothing is written over what is read ------------------------------------------------------
cp file.png in.png && ln in.png hard.png && ln -s in.png soft.png
for option in -o --overlay --npy; do
    for name in in.png hard.png soft.png ./in.png; do
        keeps "predict $option $name in.png" in.png $predict $option $name in.png
    done
done
for name in in.png hard.png soft.png; do
    keeps "crop -o $name in.png" in.png $crop -a 1:1 -o $name in.png
    keeps "crop --debug $name in.png" in.png $crop -a 1:1 --debug $name in.png
done
[ -z "$(find . -name '*.tmp')" ]
says $? "and no temporary file is left"
mkdir originals && cp file.png originals/a.png && cp "$photo" originals/b.jpg
keeps "predict -o FOLDER FOLDER" originals/a.png $predict -o originals originals
keeps "crop -o FOLDER FOLDER" originals/b.jpg $crop -o originals originals
ln -s originals other
keeps "through a linked folder, too" originals/a.png $predict -o other originals
keeps "two results are never one file" over.png $predict -o same.png --overlay same.png "$photo"
cp "$top/weights/lite.safetensors" lite.safetensors
keeps "convert does not write over its input" lite.safetensors \
      "$build/convert" f16 lite.safetensors ./lite.safetensors
"$build/convert" --ranges "$photos" i8 lite.safetensors once.safetensors >out &&
    "$build/convert" --ranges "$photos" i8 once.safetensors again.safetensors >out &&
    cmp once.safetensors again.safetensors
says $? "ranges are those of floats, whether or not a file had some"
"$build/convert" --ranges "$photos" i8 lite.safetensors - 2>err | cmp -s - once.safetensors
says $? "and standard output gets the file alone"
mkdir empty
refused "a folder without photographs has no ranges" "empty: no photographs" \
        "$build/convert" --ranges "$photos" --ranges empty i8 lite.safetensors again.safetensors
cat >deep.c <<E
#include <saliency.h>
#include <stdio.h>
int main(void) {            /* more layers and texts than most have */
    sal_ctx ctx = { 0 };
    sal_net *net;
    sal_net_desc d = sal_net_desc_default(SAL_KIND_SAM_RESNET);
    char text[40][16];
    const char *extra[80];
    int i;
    for (i = 0; i < 80; i++) extra[i] = text[i / 2];
    for (i = 0; i < 40; i++) snprintf(text[i], sizeof text[i], "n%d", i);
    d.h = 48; d.w = 64; d.narrow = 32;
    return sal_net_new(&ctx, &d, &net) || sal_net_init(&ctx, net, 1) ||
           sal_net_save(&ctx, net, "deep.safetensors", SAL_DTYPE_F32, extra, 40);
}
E
${CC:-cc} -I"$top" deep.c "$build/saliency.o" -o deep -lm -fopenmp 2>err && ./deep &&
    "$build/convert" f32 deep.safetensors deep2.safetensors >out 2>err &&
    cmp deep.safetensors deep2.safetensors >err 2>&1
says $? "convert keeps the longest network with 40 texts byte by byte"
keeps "pretrain does not work on its own photographs" originals/b.jpg sh -c \
      "mkdir -p own && cp -r originals own/images && '$build/pretrain' --images own/images --out own \
       -m center --keep 1 --quiet --threads 1; status=\$?; cmp own/images/b.jpg originals/b.jpg; exit \$status"

mkdir -p few/images && cp file.png few/images/a.png && printf 'image,x,y\na.png,3,4\n' >few/fixations.csv
keeps "train does not write over the fixations" few/fixations.csv \
      "$build/train" -m juntingnet --data few --log few/fixations.csv --out new.safetensors --epochs 1
keeps "nor over what it starts from" lite.safetensors \
      "$build/train" --init lite.safetensors --data few --out ./lite.safetensors --epochs 1
keeps "nor does bench over its weights" lite.safetensors \
      "$build/bench" -w lite.safetensors --size 64x64 --runs 1 --threads 1 --svg ./lite.safetensors

# --- where results go --------------------------------------------------------------------------
mkdir one && cp "$photo" one/coffee.jpg && mkdir there
$crop -s 32x32 -o thumbs one/*.jpg >out 2>err && [ -s thumbs/coffee.jpg ]
says $? "crop -o thumbs one/*.jpg, where one file matches"
$predict -o there "$photo" >out 2>err && [ "$(cat out)" = there/coffee.png ] && [ -s there/coffee.png ]
says $? "an existing folder is a folder for one picture, too"
$predict -o new/deep/ "$photo" >out 2>err && [ -s new/deep/coffee.png ]
says $? "so is a name with a slash at its end"
$predict -o maps "$photos" >out 2>err && [ "$(wc -l <out)" = 4 ] && [ "$(sort out | head -n 1)" = maps/astronaut.png ]
says $? "several pictures: the list of what was written"
$predict --quiet -o maps "$photos" >out 2>err && [ ! -s out ] && [ ! -s err ]
says $? "which --quiet leaves out"
mkdir -p tree/a/b && cp "$photo" tree/top.jpg && cp "$photo" tree/a/same.jpg && cp "$photo" tree/a/b/same.jpg
ln -s .. tree/a/up
$predict --recursive -o mirror tree >out 2>err && [ ! -s err ] && [ "$(find mirror -type f | sort | tr '\n' ' ')" = \
    "mirror/a/b/same.png mirror/a/same.png mirror/top.png " ]
says $? "--recursive keeps the tree below -o, and links that lead back end"
$predict -o flat tree >out 2>err && [ "$(find flat -type f)" = flat/top.png ] && grep -q "1 sub-folder" err
says $? "without it, sub-folders are mentioned"
ln -s target.png link.png
$predict -o link.png "$photo" >out 2>err && [ -h link.png ] && [ -s target.png ]
says $? "an output that is a symbolic link is written through it"
if [ -e /dev/full ]; then
    ln -s /dev/full full.png
    refused "a device is not replaced, and its error is told" "No space left" $predict -o full.png "$photo"
    [ -c /dev/full ] && [ -h full.png ]
    says $? "and it is still there"
fi

# --- what folders hide -------------------------------------------------------------------------
mkdir mixed && cp "$photo" mixed/a.jpg && printf 'RIFF\020\000\000\000WEBPVP8 ' >mixed/b.webp &&
    printf 'GIF89a\001\000' >mixed/c.gif && printf '\000\000\000\030ftypheic' >mixed/d.heic &&
    echo "notes" >mixed/notes.txt && cp "$photo" mixed/e.jfif && cp "$photo" mixed/f.jpe &&
    printf 'P5 2 1 255\n\000\377' >mixed/g.pnm
$predict -o seen mixed >out 2>err && [ "$(ls seen | tr '\n' ' ')" = "a.png e.png f.png g.png " ]
says $? "known endings are read: .jfif, .jpe, .pnm"
[ "$(wc -l <err)" = 1 ] && grep -q "3 files are of kinds that cannot be read here" err &&
    grep -q "b.webp (a WebP" err && grep -q "c.gif (a GIF" err && grep -q "d.heic (a HEI" err
says $? "what cannot be read is counted and named"

name=$(printf 'na\377me')
if cp "$photo" "$name.jpg" 2>/dev/null; then
    $crop --json "$name.jpg" >out 2>err && grep -q '"na.ufffdme.jpg"' out
    says $? "a file name that is not UTF-8 is U+FFFD in JSON"
else
    skipped=$((skipped + 1)); echo "skip this file system has UTF-8 names only"
fi

# --- shares of the work ------------------------------------------------------------------------
mkdir many && for i in 1 2 3 4 5 6 7 8 9 10 11 12; do cp file.png many/photo$i.png; done
for k in 1 2 3; do $crop --json --part $k/3 many 2>>err2 >part$k; done
cat part1 part2 part3 | sort >parts && $crop --json many 2>err | sort | cmp -s - parts &&
    [ -s part1 ] && [ -s part2 ] && [ -s part3 ] && [ ! -s err2 ]
says $? "--part 1/3, 2/3 and 3/3 share out a folder"
refused "a part that is none" "--part 4/3" $predict --part 4/3 -o x many

# --- what is printed and lost ------------------------------------------------------------------
if [ -e /dev/full ]; then
    lost() {    # lost STATEMENT COMMAND...
        statement=$1; shift
        "$@" >/dev/full 2>err
        [ $? = 1 ] && grep -q "standard output" err
        says $? "$statement on a full disk is an error"
    }
    lost "crop --json" $crop --json "$photo"
    lost "predict -o -" $predict -o - "$photo"
    lost "the list of what was written" $predict -o x.png "$photo"
    lost "inspect" "$build/inspect" -n lite
fi
(ulimit -f 300; $predict -m center -o limit.png --npy limit.npy "$photo" >out 2>err)
[ $? = 1 ] && [ ! -e limit.npy ] && [ -z "$(find . -name '*.tmp')" ] && grep -q "limit.npy" err
says $? "a file-size limit is an error, and no temporary file is left"

refused "an option is no value of another: it wrote a folder called -o" "-o is an option" \
        $predict -m center --npy -o x.npy "$photo"
$predict -m center --npy ./-o/ -o x.png --quiet "$photo" 2>err && [ -e ./-o/coffee.npy ]
says $? "though a file may be called so"
rm -rf ./-o

# --- weights -----------------------------------------------------------------------------------
cp "$top/weights/juntingnet.safetensors" . 2>/dev/null || : >juntingnet.safetensors
mkdir -p prefix/bin prefix/share/saliency bare && cp "$build/predict" prefix/bin && cp "$build/predict" bare
refused "a network without weights says where it looked" "beside the program" \
        bare/predict -m juntingnet -o x.png "$photo"
mv juntingnet.safetensors prefix/share/saliency/
if [ -s prefix/share/saliency/juntingnet.safetensors ]; then
    prefix/bin/predict -m juntingnet --threads 1 -o installed.png "$photo" >out 2>err && [ -s installed.png ]
    says $? "weights are found in PREFIX/share/saliency"
    SALIENCY_WEIGHTS=$here/prefix/share/saliency bare/predict -m juntingnet --threads 1 -o named.png "$photo" >out 2>err &&
        cmp -s installed.png named.png
    says $? "in \$SALIENCY_WEIGHTS"
    mv prefix/share/saliency/juntingnet.safetensors bare/ &&
        bare/predict -m juntingnet --threads 1 -o beside.png "$photo" >out 2>err && cmp -s installed.png beside.png
    says $? "beside the program"
    mkdir weights && mv bare/juntingnet.safetensors weights/ &&
        bare/predict -m juntingnet --threads 1 -o folder.png "$photo" >out 2>err && cmp -s installed.png folder.png
    says $? "and in weights/"
fi

# --- what would be lost or do nothing ------------------------------------------------------------
evaluate="$build/evaluate --threads 1"
train="$build/train -m juntingnet --epochs 1 --quiet"
refused "--strips needs --html" "--strips does nothing without --html" $evaluate -m center --data few --strips 3
refused "--fit chooses the blur" "--blur does nothing beside --fit" $evaluate -m center --data few --fit 1 --blur 0.1
refused "--prior is for IG" "--prior does nothing" $evaluate -m center --data few --metrics CC --prior file.png
refused "--merge reads its files only" "--merge takes JSON" $evaluate --merge x.json --limit 3
refused "a share of 0 has no pictures" "test-share 0" $evaluate -m center --data few --test-share 0
refused "standard output takes one result" "leave --per-image out" $evaluate -m center --data few --per-image --json -
refused "one of two sets the blur" "--blur does nothing beside" $predict --blur 0.2 --viewing-distance 20 "$photo"
refused "--explain looks at the network" "--power does nothing" "$build/predict" --explain why.png --power 2 "$photo"
refused "--self-test is alone" "takes no pictures" "$build/predict" --self-test "$photo"
refused "--box says how large the box is" "--area does nothing with --box" $crop --box 30x30 --area 0.2 "$photo"
printf 'P5\n2 8\n255\n%016d' 0 >tall.pgm
refused "a boost has the picture's shape" "another shape" $crop --boost tall.pgm -o cut.png few/images/a.png
refused "--init says which network" "-m does nothing with --init" $train --init lite.safetensors --data few
refused "a size of 0 is none" "few@0x480: no such folder" $train --data few@0x480
refused "a constant rate is one" "two rates" $train --data few --lr 1e-3:1e-4 --schedule constant
refused "rmsprop has no momentum" "--momentum does nothing with rmsprop" $train --data few --opt rmsprop --momentum 0.5
refused "juntingnet has no batch-norms" "--fixed-norm does nothing" $train --data few --val few --fixed-norm --out x.safetensors
refused "lite has no maxout" "--max-norm does nothing" "$build/train" --init lite.safetensors --data few --val few --max-norm 1 --out x.safetensors
refused "two results are two files" "two results would be this file" $train --data few --val few --out x.safetensors --log ./x.safetensors
refused "the state is one of them" "two results would be this file" $train --data few --val few --out x.safetensors --log x.safetensors.state
refused "so are evaluate's" "two results would be this file" $evaluate -m center --data few --csv x.txt --json ./x.txt
keeps "train does not write over a picture of the set" few/images/a.png $train --data few --val few --out few/images/a.png
echo "image,sigma_px" >few/sigma.csv; echo "a.png,3" >>few/sigma.csv
keeps "nor over its sigma.csv" few/sigma.csv $train --data few --val few --log few/sigma.csv
mkdir -p maps && cp file.png maps/a.png
keeps "evaluate does not write over maps" maps/a.png $evaluate --maps maps --any-size --data few --csv maps/a.png
echo trained >old.safetensors
keeps "resuming without a state does not begin anew" old.safetensors $train --data few --val few --out old.safetensors --resume

"$build/convert" --tone 2,0 f32 lite.safetensors steep.safetensors >out 2>err
refused "a mean of two tones has none" "different tones" "$build/convert" f32 lite.safetensors steep.safetensors mean.safetensors
sed 's/"sal.input": *"384x512"/"sal.input":"240x320"/' lite.safetensors >low.safetensors
if cmp -s lite.safetensors low.safetensors; then says 1 "a copy of lite for smaller pictures"; fi
refused "nor has one of two input sizes" "differ in their input" "$build/convert" f32 lite.safetensors low.safetensors mean.safetensors
cp -r few fewer && cp file.png fewer/images/b.png && printf 'b.png,3,4\n' >>fewer/fixations.csv
$evaluate --maps maps --any-size --data fewer --skip-missing --metrics NSS --json - >out 2>err && grep -q '"images":1' out && grep -q "left out" err
says $? "--skip-missing leaves out a picture without a map"
mkdir -p colours && cp "$photo" colours/a.jpg
refused "a photograph is no saliency map" "is in colours" $evaluate --maps colours --any-size --data few --metrics NSS --quiet
mkdir -p twins/images/x twins/images/y
cp file.png twins/images/x/a.png; cp file.png twins/images/y/a.png
printf 'image,x,y\nx/a.png,3,4\ny/a.png,5,6\n' >twins/fixations.csv
refused "one map is not for two pictures" "which of the pictures called a" $evaluate --maps maps --data twins --metrics NSS --quiet
mkdir -p units/images && cp file.png units/images/a.png
awk 'BEGIN { print "image,x,y"; for (i = 0; i < 9; i++) print "a.png," i / 10 "," i / 9 }' >units/fixations.csv
refused "shares are no pixels" "not shares" $evaluate -m center --data units --metrics NSS --quiet
awk 'BEGIN { print "image,x,y"; for (i = 0; i < 9; i++) print "a.png," i * 900 "," i * 90 }' >units/fixations.csv
refused "nor are the screen's pixels the picture's" "lie outside" $evaluate -m center --data units --metrics NSS --quiet

pretrain="$build/pretrain --threads 1 --quiet -m center"
mkdir -p human/images human/maps shots
cp file.png human/images/b.png; cp file.png human/maps/b.png; cp "$photo" shots/b.jpg
keeps "pretrain leaves a data set of other origin alone" human/maps/b.png $pretrain --images shots --out human --keep 1
$pretrain --images shots --out labels >out 2>err && $pretrain --images shots --out labels >out 2>err
says $? "pretrain goes on with its own"
refused "but not with other settings" "other settings" $pretrain --images shots --out labels --size 16
cp labels/maps/b.png before; sleep 1.1; cp "$photos/chelsea.jpg" shots/b.jpg
$pretrain --images shots --out labels >out 2>err && cmp -s shots/b.jpg labels/images/b.jpg && ! cmp -s labels/maps/b.png before
says $? "a photograph that was replaced is labelled anew"
# Columns 0 to 59 of 240 cannot be seen.
cat >half.c <<E
#define SALIENCY_IMPLEMENTATION
#include <saliency.h>
int main(int n, char **path) {
    sal_ctx ctx = { 0 };
    sal_image image;
    sal_map map = { 0 };
    double sum = 0;
    if (n == 2 && !sal_image_new(&ctx, 240, 120, &image) && (image.rgba = (unsigned char *)sal_alloc(&ctx, 28800, 4))) {
        for (int i = 0; i < 28800; i++)
            for (int c = 0; c < 4; c++) image.rgba[4 * i + c] = c < 3 ? i % 7 * 30 : i % 240 < 60 ? 0 : 255;
        return sal_image_save(&ctx, path[1], &image);
    }
    if (n != 3 || sal_map_load_image(&ctx, path[2], &map)) return 1;
    for (int y = 0; y < map.h; y++) for (int x = 0; x < map.w / 5; x++) sum += map.data[y * map.w + x];
    return sum > 0;
}
E
gcc -O1 -I"$top" -I/usr/include/stb half.c -o half -lm && mkdir hidden && ./half hidden/a.png &&
    $pretrain --mirror --images hidden --out seen-labels >out 2>err && ./half is seen-labels/maps/a.png
says $? "pretrain --mirror turns what is transparent, too"
cp shots/b.jpg shots/c.jpg && $pretrain --images shots --out labels >out 2>err && rm shots/c.jpg
refused "a picture of an earlier run is not left in the data set" "c.jpg: is of an earlier run" $pretrain --images shots --out labels
refused "what changes nothing is refused: of a raw map" "does nothing for" $predict --raw --npy raw.npy --power 3 "$photo"
refused "of a map that is divided into parts"           "does nothing for" $predict --parts parts.csv --blur 0.1 "$photo"
refused "and the centre prior times itself"             "is the centre prior" $predict -m center --center "$photo"

if [ "$skipped" = 0 ]; then echo "$passed passed, $failed failed"
else echo "$passed passed, $failed failed, $skipped skipped"; fi
[ "$failed" = 0 ]
