#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# Video through pipes: raw frames in, a raw frame out for each; with ffmpeg where it is installed.
# Needs build/predict.
top=$(cd "$(dirname "$0")/.." && pwd)
here=$(mktemp -d) && cd "$here" || exit 1
trap 'rm -rf "$here"' EXIT
passed=0 failed=0 skipped=0
predict="$top/build/predict --threads 1"

says() {        # says STATUS STATEMENT: one line for a statement that holds if STATUS is 0
    if [ "$1" = 0 ]; then passed=$((passed + 1)); echo "ok   $2"
    else failed=$((failed + 1)); echo "FAIL $2"; [ -s err ] && head -n 3 err; fi
}
refused() {     # refused STATEMENT PATTERN ARGUMENTS...: status 1, one line on stderr with PATTERN
    statement=$1 pattern=$2; shift 2
    $predict "$@" >out 2>err </dev/null
    [ $? = 1 ] && [ "$(wc -l <err)" = 1 ] && grep -q -- "$pattern" err && [ ! -s out ]
    says $? "$statement"
}
size() { wc -c <"$1" | tr -d ' '; }

# five frames of 32 x 24: a bright square of 8 x 8 that jumps from the left to the right
frame() {       # frame X [SQUARE GROUND]: the square begins at column 8 X; the colours of both
    square=${2:-'\377\377\377'} ground=${3:-'\000\000\000'}
    for y in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23; do
        for x in 0 1 2 3; do
            if [ $x = "$1" ] && [ $y -gt 7 ] && [ $y -lt 16 ]; then
                printf "$square$square$square$square$square$square$square$square"
            else
                printf "$ground$ground$ground$ground$ground$ground$ground$ground"
            fi
        done
    done
}
frame 0 >left; frame 3 >right
cat left left right right left >five

$predict -m itti --frames 32x24 - -o - <five >out 2>err && [ "$(size out)" = 3840 ] &&
    grep -q "5 frames, .* frames/second" err
says $? "a grey frame comes out for each frame, and frames a second are reported"
$predict -m itti --frames 32x24 --quiet - <five 2>err | cmp -s - out && [ ! -s err ]
says $? "--quiet says nothing, and -o - is what happens by itself"
{ echo "P6 32 24 255"; cat left; } >left.ppm
$predict -m itti --npy picture.npy left.ppm >said 2>err && head -c 768 out | od -An -v -tu1 | tr -s ' ' '\n' |
    grep . >levels && tail -c +129 picture.npy | od -An -v -tf4 | tr -s ' ' '\n' | grep . |
    awk '{ printf "%d\n", $1 * 255 + 0.5 }' | cmp -s - levels
says $? "a frame's map is that of the same picture"
frame 2 '\377\000\000' '\000\000\377' >red
{ echo "P6 32 24 255"; cat red; } >red.ppm
for m in itti gbvs; do
    $predict -m $m --quiet --npy red.npy red.ppm 2>>err
    $predict -m $m --frames 32x24 --quiet - <red 2>>err | od -An -v -tu1 | tr -s ' ' '\n' | grep . >levels.red
    tail -c +129 red.npy | od -An -v -tf4 | tr -s ' ' '\n' | grep . | awk '{ printf "%d\n", $1 * 255 + 0.5 }' |
        cmp -s - levels.red
    says $? "$m sees the colours of a frame"
done
head -c 768 out >one; head -c 1536 out | tail -c 768 >two; tail -c 768 out >last
cmp -s one two && cmp -s one last && ! [ "$(head -c 2304 out | tail -c 768 | cksum)" = "$(cksum <one)" ]
says $? "frames do not depend on those before"
$predict -m itti --frames 32x24 --overlay - --quiet - <five >colours 2>err && [ "$(size colours)" = 11520 ]
says $? "--overlay - writes rgb24 frames"

$predict -m itti --frames 32x24 --smooth 0.75 --quiet - <five >smooth 2>err && [ "$(size smooth)" = 3840 ] &&
    head -c 768 smooth | cmp -s - one
says $? "--smooth leaves the first frame alone"
# the third frame: a quarter of its own map and three quarters of the one before, which is the first
head -c 2304 out | tail -c 768 | od -An -v -tu1 | tr -s ' ' '\n' | grep . >third
head -c 2304 smooth | tail -c 768 | od -An -v -tu1 | tr -s ' ' '\n' | grep . >mixed
paste levels third mixed | awk '{ d = 0.75 * $1 + 0.25 * $2 - $3; if (d < -1.01 || d > 1.01) bad++ } END { exit bad > 0 }'
says $? "and mixes F of the map before into each one"

head -c 5000 five | $predict -m center --frames 32x24 - >out 2>err
[ $? = 1 ] && [ "$(size out)" = 1536 ] && grep -q "frame 3 is cut off: 392 of 2304 bytes" err
says $? "a cut-off last frame is an error that says so"
: | $predict -m center --frames 32x24 --quiet - >out 2>err && [ ! -s out ] && [ ! -s err ]
says $? "no frame at all is none"
refused "frames come from standard input" "give - and nothing else" --frames 32x24 left.ppm
refused "and go to standard output" "-o - or --overlay -" --frames 32x24 -o x.png -
refused "half a size is refused" "WIDTHxHEIGHT" --frames 32 -
refused "--smooth is for video" "--smooth" --smooth 0.5 left.ppm
refused "and a share" "--smooth 2" --frames 32x24 --smooth 2 -
if [ -e /dev/full ]; then
    $predict -m center --frames 32x24 --quiet - <five >/dev/full 2>err
    [ $? = 1 ] && grep -q "standard output" err
    says $? "a full disk ends it, with a sentence"
    head -c 1474560 /dev/zero | $predict -m center --frames 128x96 - >/dev/full 2>err
    [ $? = 1 ] && grep -q "standard output" err && grep -q "^1 frames" err
    says $? "at once, also if frames are larger than a buffer"
fi

# one model for all frames, and memory that does not grow: resident size after 20 and after 1000
if [ -r /proc/self/status ]; then
    mkfifo in outs
    $predict --input 32x40 --frames 32x24 --quiet - <in >outs 2>err &
    process=$!
    exec 3>in 4<outs
    run() {     # run N: so many frames in, as many out
        i=0
        while [ $i -lt "$1" ]; do cat left right >&3; head -c 1536 <&4 >/dev/null; i=$((i + 2)); done
        awk '/^VmRSS/ { print $2 }' /proc/$process/status
    }
    early=$(run 20) late=$(run 980)
    exec 3>&- 4<&-
    wait $process
    [ -n "$late" ] && [ "$late" -le $((early + 256)) ]
    says $? "memory is flat over 1000 frames: $early kB, then $late kB"
else
    skipped=$((skipped + 1)); echo "skip there is no /proc here"
fi

if command -v ffmpeg >/dev/null; then
    ffmpeg -v error -f lavfi -i testsrc=size=64x48:rate=10:duration=1 -y clip.mp4 &&
    ffmpeg -v error -i clip.mp4 -f rawvideo -pix_fmt rgb24 - </dev/null |
        $predict --input 32x40 --frames 64x48 --smooth 0.5 - -o - 2>err |
        ffmpeg -v error -f rawvideo -pix_fmt gray -s 64x48 -r 10 -i - -y maps.mkv && [ "$(
        ffmpeg -v error -i maps.mkv -f rawvideo -pix_fmt gray - </dev/null | wc -c)" = 30720 ] &&
        grep -q "^10 frames" err
    says $? "a clip goes through ffmpeg, predict and ffmpeg: ten frames become ten maps"
else
    skipped=$((skipped + 1)); echo "skip ffmpeg is not installed"
fi

if [ "$skipped" = 0 ]; then echo "$passed passed, $failed failed"
else echo "$passed passed, $failed failed, $skipped skipped"; fi
[ "$failed" = 0 ]
