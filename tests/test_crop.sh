#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# build/crop as a person meets it: shapes, sizes, odd pictures, folders, and every mistake answered
# with one sentence on stderr, exit status 1 and no file left behind.
top=$(cd "$(dirname "$0")/.." && pwd)
crop=$top/build/crop
pictures=$top/tests/golden/images
photo=$top/examples/photos/coffee.jpg
here=$(mktemp -d) && cd "$here" || exit 1
trap 'rm -rf "$here"' EXIT
passed=0 failed=0

says() {        # says STATUS STATEMENT: one line for a statement that holds if STATUS is 0
    if [ "$1" = 0 ]; then passed=$((passed + 1)); echo "ok   $2"
    else failed=$((failed + 1)); echo "FAIL $2"; fi
}
size() {        # size FILE: width, height, colour type of a PNG as decimal numbers
    od -An -tu1 -j16 -N10 "$1" |
        awk '{ print $1*16777216 + $2*65536 + $3*256 + $4, $5*16777216 + $6*65536 + $7*256 + $8, $10 }'
}
makes() {       # makes STATEMENT "WIDTH HEIGHT TYPE" ARGUMENTS...: writes such a PNG
    statement=$1 expected=$2; shift 2
    rm -f made.png
    "$crop" -m center "$@" -o made.png >out 2>err && [ ! -s err ] &&
        [ "$(size made.png)" = "$expected" ]
    says $? "$statement"
}
json() {        # json STATEMENT PATTERN ARGUMENTS...: prints it, and writes nothing
    statement=$1 pattern=$2; shift 2
    "$crop" -m center --json "$@" >out 2>err && [ ! -s err ] && grep -Eq -- "$pattern" out &&
        [ -z "$(find . -name '*-crop*')" ]
    says $? "$statement"
}
refused() {     # refused STATEMENT PATTERN ARGUMENTS...: status 1, one line with PATTERN, no file
    statement=$1 pattern=$2; shift 2
    "$crop" -m center "$@" -o refused.png >out 2>err
    [ $? = 1 ] && [ "$(wc -l <err)" = 1 ] && grep -q -- "$pattern" err && [ ! -e refused.png ] &&
        [ -z "$(find . -name '*.tmp')" ]
    says $? "$statement"
    rm -rf refused.png
}

"$crop" --help >out 2>err && [ ! -s err ]
status=$?
for option in -a -s --area --zoom --keep --uncut --boxes --boost -o --json --debug --quiet -m -w \
              --center --threads; do
    grep -q -- "$option[ ,]" out || status=1
done
says $status "--help names every option"

makes "the whole photograph without options"    "600 400 2" "$photo"
makes "the largest square"                      "400 400 2" -a 1:1 "$photo"
makes "16:9 is 600 x 338"                       "600 338 2" -a 16:9 "$photo"
makes "a square of half the area is 346 x 346"  "346 346 2" -a 1:1 --area 0.5 "$photo"
makes "a thumbnail has the size asked for"      "123 77 2"  -s 123x77 "$photo"
makes "a thumbnail may be larger than the picture" "900 900 2" -s 900x900 "$photo"
makes "1:4 fits"                                "100 400 2" -a 1:4 "$photo"
makes "4:1 fits"                                "600 150 2" -a 4:1 "$photo"

makes "transparency is kept"                    "$(size "$pictures/alpha.png")" "$pictures/alpha.png"
makes "and in thumbnails"                       "20 20 6" -s 20x20 "$pictures/alpha.png"
makes "a grey picture stays grey"               "30 30 0" -s 30x30 "$pictures/grey.png"
makes "one pixel makes a thumbnail"             "32 32 2" -s 32x32 "$pictures/one.png"
for kind in sixteen.png cmyk.jpg progressive.jpg line.png; do
    for shape in 1:1 16:9 1:4; do
        "$crop" -m bms -a $shape -o odd.png "$pictures/$kind" >out 2>err && [ -s odd.png ] &&
            [ ! -s err ]
        says $? "$kind takes $shape"
    done
done
for shape in "1 5000" "5000 1" "3 3" "1 1"; do
    { echo "P5 $shape 255"; head -c 9000 "$photo"; } >odd.pgm
    rm -f odd.png
    for model in center spectral itti gbvs bms; do
        "$crop" -m $model -s 64x48 --area 0.5 -o odd.png --debug debug.png odd.pgm >out 2>err &&
            [ "$(size odd.png)" = "64 48 0" ] && [ -s debug.png ] && [ ! -s err ]
        says $? "a picture of $shape pixels, $model"
    done
done

# a JPEG whose EXIF entry says: turn it a quarter to the right
{ head -c 2 "$photo"
  printf '\377\341\000\042Exif\000\000MM\000\052\000\000\000\010\000\001\001\022\000\003\000\000'
  printf '\000\001\000\006\000\000\000\000\000\000'
  tail -c +3 "$photo"; } >turned.jpg
makes "EXIF orientation is applied"             "400 600 2" turned.jpg

# a chequerboard of black and white is half as bright as white: 188 in sRGB, not 128
{ printf 'P5 64 64 255\n'
  for row in $(seq 32); do
      for pair in $(seq 32); do printf '\000\377'; done
      for pair in $(seq 32); do printf '\377\000'; done
  done; } >board.pgm
status=1
"$crop" -m center -s 1x1 -o board.png board.pgm >out 2>err
for level in 273 274 275; do            # 187 to 189, octal
    printf "P5 1 1 255\n\\$level" >flat.pgm
    "$crop" -m center -o flat.png flat.pgm >out 2>err && cmp -s flat.png board.png && status=0
done
says $status "a thumbnail of a fine pattern is as bright as the pattern"

# Debian ships the first of stb's two resizers; a stand-in for the second paints all red.
mkdir -p second/stb
cat >second/stb/stb_image_resize2.h <<'END'
typedef enum { STBIR_RGB = 3, STBIR_RGBA = 4 } stbir_pixel_layout;
static unsigned char *stbir_resize_uint8_srgb(const unsigned char *in, int w, int h, int row,
                                              unsigned char *out, int ow, int oh, int out_row,
                                              stbir_pixel_layout layout) {
    for (int y = 0; in && w > 0 && h > 0 && row > 0 && y < oh; y++)
        for (int x = 0; x < ow * layout; x++) out[y * out_row + x] = x % layout % 3 ? 0 : 255;
    return out;
}
END
if command -v gcc >/dev/null && [ -e "$top/build/saliency.o" ]; then
    printf 'P6 1 1 255\n\377\000\000' >red.ppm && "$crop" -m center -s 9x7 -o red.png red.ppm >out &&
        gcc -w -fopenmp -I second $(pkg-config --cflags stb 2>/dev/null) -DSALIENCY_IMPLEMENTED \
            "$top/examples/crop.c" "$top/build/saliency.o" -o crop2 -lm >out 2>err &&
        ./crop2 -m center -s 9x7 -o two.png "$photo" >out 2>err && cmp -s two.png red.png
    says $? "crop resizes with stb_image_resize2.h where that is installed"
fi

# a white square on transparency, on the right
{ printf 'BM\066\100\000\000\000\000\000\000\066\000\000\000\050\000\000\000\100\000\000\000\040\000'
  printf '\000\000\001\000\040\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000'
  printf '\000\000\000\000\000\000\000\000'
  for row in $(seq 32); do
      for x in $(seq 64); do
          if [ "$x" -gt 44 ] && [ "$row" -gt 8 ] && [ "$row" -le 24 ]; then printf '\377\377\377\377'
          else printf '\377\377\377\000'; fi
      done
  done; } >logo.bmp
"$crop" -m bms --json -a 1:1 logo.bmp >out 2>err && grep -q '"x": 32' out
says $? "a white logo on transparency is what is kept"

json "the box of a thumbnail as JSON" \
     '^\{"picture": ".*coffee.jpg", "width": 600, "height": 400, "boxes": \[\{"x": 100, "y": 0, "w": 400, "h": 400, "kept": 0\.[0-9]*\}\]\}$' \
     -a 1:1 "$photo"
json "two boxes as JSON"           '"kept": 0\.[0-9]*\}, \{"x"' --boxes 2 --area 0.1 "$photo"
json "boxes that do not fit are left out" '"boxes": \[[^}]*\}\]' --boxes 2 --area 0.9 "$photo"
json "a zoom is smaller than the picture" '"w": [0-9][0-9][0-9], "h": [0-9]*, "kept": 0.75' --zoom "$photo"
json "a zoom with another share"   '"kept": 0.5' --keep 0.5 "$photo"
json "regions that are not cut"    '"boxes": \[\{"x"' --uncut -a 1:1 "$photo"
"$crop" -m center --json "$top/examples/photos" >out 2>err && [ "$(wc -l <out)" = 4 ]
says $? "one line of JSON for each picture of a folder"

makes "a box of exactly 200 x 100 pixels"       "200 100 2" --box 200x100 "$photo"
json "which is not resized"        '"w": 200, "h": 100,' --box 200x100 "$photo"
printf 'P5 3 1 255\n\000\000\377' >pull.pgm
"$crop" -m center --json -a 1:2 --boost pull.pgm:0.001 "$photo" >weak 2>err &&
    "$crop" -m center --json -a 1:2 "$photo" >plain 2>err && "$crop" -m center --json -a 1:2 --boost pull.pgm:1 "$photo" >strong 2>err &&
    [ "$(sed 's/.*"x": \([0-9]*\).*/\1/' weak)" -lt 300 ] && grep -q '"x": 400' strong
says $? "--boost MAP:F is weaker for a small F"
cp pull.pgm pull.pgm:2 && "$crop" -m center --json -a 1:2 --boost pull.pgm:2 "$photo" >out 2>err && grep -q '"x": 400' out
says $? "a name with a colon and a number is a name if there is such a file"
json "lite, with a smaller input"  '"w": 400, "h": 400' -m lite --input 96x128 -a 1:1 "$photo"
printf 'P5 3 1 255\n\000\000\377' >boost.pgm
"$crop" -m center --json -a 1:2 --boost boost.pgm "$photo" >out 2>err && grep -q '"x": 400' out
says $? "a white boost on the right draws the box there"

"$crop" -m center -a 1:1 "$photo" >out 2>err && [ -s coffee-crop.jpg ] && [ "$(cat out)" = coffee-crop.jpg ]
says $? "without -o it is NAME-crop.jpg"
"$crop" -m center -s 64x64 -o thumbs "$top/examples/photos" >out 2>err && [ "$(ls thumbs | wc -l)" = 4 ] &&
    [ -s thumbs/rocket.jpg ] && [ ! -s err ] && [ "$(head -n 1 out)" = thumbs/astronaut.jpg ] &&
    [ "$(wc -l <out)" = 4 ]
says $? "a folder gives one thumbnail for each picture, and the list of them"
"$crop" -m center --boxes 3 --area 0.1 -o three "$photo" >out 2>err && [ -s three/coffee-1.jpg ] &&
    [ -s three/coffee-3.jpg ]
says $? "three boxes are three files in a folder"
mkdir mixed && cp "$photo" mixed/good.jpg && echo "not a picture" >mixed/bad.png
"$crop" -m center -a 1:1 -o mixed-crops mixed >out 2>err
[ $? = 1 ] && [ -s mixed-crops/good.jpg ] && [ "$(ls mixed-crops | wc -l)" = 1 ] &&
    grep -q "bad.png" err && grep -q "1 of 2" err
says $? "a bad picture in a folder is reported, the others are done, the status is 1"
cp "$photo" own.jpg
"$crop" -m center -a 1:1 -o own.jpg own.jpg >out 2>err
[ $? = 1 ] && cmp -s own.jpg "$photo" && grep -q "overwritten" err
says $? "a picture is not overwritten by its crop"
"$crop" -m center -a 1:1 -o mixed mixed/good.jpg mixed/good.jpg >out 2>err
[ $? = 1 ] && cmp -s mixed/good.jpg "$photo"
says $? "nor are those of a folder"

: >empty.jpg
head -c 9000 "$photo" >truncated.jpg
refused "an empty file is refused by name"        "empty.jpg"        empty.jpg
refused "a truncated JPEG is refused by name"     "truncated.jpg"    truncated.jpg
refused "a missing picture is refused by name"    "nothing.jpg"      nothing.jpg
refused "no picture at all is refused"            "which pictures"
refused "an unknown option is refused by name"    "--wrong"          --wrong "$photo"
refused "a shape without a colon is refused"      "16:9"             -a 16x9 "$photo"
refused "a shape of nothing is refused"           "-a 0:1"           -a 0:1 "$photo"
refused "a size without an x is refused"          "320x240"          -s 320 "$photo"
refused "a size of too many pixels is refused"      "268435456 pixels" -s 32768x32768 "$photo"
refused "a box larger than the picture is refused" "900"           --box 900x900 "$photo"
refused "half a pixel is refused"                 "--box 10.5x10"    --box 10.5x10 "$photo"
refused "a boost that is not there is refused"    "nothing.pgm"      --boost nothing.pgm:2 "$photo"
refused "two shapes are refused"                  "already"          -a 1:1 -s 32x32 "$photo"
refused "an area of 2 is refused"                 "--area 2"         --area 2 "$photo"
refused "an area that is no number is refused"    "--area half"      --area half "$photo"
refused "no boxes are refused"                    "--boxes 0"        --boxes 0 "$photo"
refused "a boost that is no picture is refused"   "truncated.jpg"    --boost truncated.jpg "$photo"
refused "half a size of input is refused"         "HEIGHTxWIDTH"     -m lite --input 96 "$photo"
refused "an unknown model is refused by name"     "called wrong"     -m wrong "$photo"
"$crop" "$photo" -a >out 2>err
[ $? = 1 ] && grep -q "needs a value" err
says $? "an option without its value is refused"
"$crop" -m center -o crop.gif "$photo" >out 2>err
[ $? = 1 ] && grep -q "crop.gif" err && [ ! -e crop.gif ]
says $? "a format that cannot be written is refused by name"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
