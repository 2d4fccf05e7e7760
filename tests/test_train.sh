#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# build/train as a person meets it: pictures of several sizes, going on, and every mistake answered
# with one sentence on stderr, exit status 1 and no file left behind.
top=$(cd "$(dirname "$0")/.." && pwd)
train=$top/build/train
here=$(mktemp -d) && cd "$here" || exit 1
trap 'rm -rf "$here"' EXIT
passed=0 failed=0

says() {        # says STATUS STATEMENT: one line for a statement that holds if STATUS is 0
    if [ "$1" = 0 ]; then passed=$((passed + 1)); echo "ok   $2"
    else failed=$((failed + 1)); echo "FAIL $2"; cat err; fi
}
refused() {     # refused STATEMENT PATTERN ARGUMENTS...: status 1, one line with PATTERN, no file
    statement=$1 pattern=$2; shift 2
    "$train" --out refused.safetensors "$@" >out 2>err
    [ $? = 1 ] && [ "$(wc -l <err)" = 1 ] && grep -q -- "$pattern" err && [ ! -s out ] &&
        [ -z "$(find . -name 'refused*' -o -name '*.tmp')" ]
    says $? "$statement"
}
learn() {       # learn NAME ARGUMENTS...: a small lite from the labelled photographs
    name=$1; shift
    "$train" -m lite --input 64x96 --val set --dropout 0.1 --crop 0.1 --batch 2 --opt adamw \
        --lr 1e-3 --schedule constant --quiet --out "$name.safetensors" --log "$name.csv" "$@" \
        >out 2>err && [ ! -s out ] && [ ! -s err ]
}

"$top/build/pretrain" --images "$top/examples/photos" -m center --out set --quiet >out 2>err
says $? "the sample photographs are labelled"
learn two --data set,set@64x64 --epochs 2 --threads 1 && [ "$(wc -l <two.csv)" = 3 ]
says $? "one folder in two sizes is learnt from"
learn one --data set --epochs 2e0 --threads 1 && [ "$(wc -l <one.csv)" = 3 ] &&
    ! cmp -s one.safetensors two.safetensors
says $? "which is not the same as in one size, for as many epochs, written 2e0"
learn again --data set,set@64x64 --epochs 2 --threads 2 &&
    cmp again.safetensors two.safetensors >err 2>&1
says $? "two threads write the same bytes as one"
"$train" -m lite --input 64x96 --val set --data set --epochs 1 --loss kl-nss --log none.csv \
    --out none.safetensors >out 2>err && grep -q "NSS - " out && grep -q "^1,.*,nan," none.csv &&
    [ "$(grep -c "NSS part of the loss is 0" err)" = 1 ]
says $? "without fixations there is no NSS on validation, and its part of the loss is said to be missing"
"$train" -m lite --input 64x96 --val set --data set --resume --epochs 3 --quiet \
    --out two.safetensors >out 2>err
[ $? = 1 ] && [ "$(wc -l <err)" = 1 ] && grep -q "another recipe" err &&
    cmp again.safetensors two.safetensors >>err 2>&1
says $? "another recipe is not gone on with, and the weights stay as they are"
"$train" -m lite --input 64x96 --val set --data set,set@64x64 --epochs 2 --dropout 0.1 --crop 0.1 --batch 2 --opt adamw \
    --lr 1e-3 --schedule constant --quiet --resume --domain 0,1 --out two.safetensors >out 2>err
[ $? = 1 ] && grep -q "sizes and domains" err
says $? "nor are other priors"
whole="--data set --input 96x128 --epochs 1 --crop 0 --dropout 0 --threads 1 --freeze backbone."
learn plain $whole && learn cached $whole --features features.bin &&
    awk -F, 'FNR == 2 { loss[++n] = $2 } END { d = loss[1] / loss[2] - 1; if (d < 0) d = -d
             print d; exit !(n == 2 && d < 3e-3) }' plain.csv cached.csv >err
says $? "the features of a frozen backbone, cached as half floats, teach the same (loss off by $(cat err))"
learn falls --data set --epochs 3 --threads 1 --schedule cosine --lr 1e-3 &&
    awk -F, 'FNR > 1 { rate[FNR] = $6 } END { exit !(rate[2] < 1e-3 && rate[3] < rate[2] && rate[4] < 1e-5) }' falls.csv
says $? "--schedule cosine lets the rate fall to 0"
learn falls --data set --epochs 3 --threads 1 --schedule cosine --lr 1e-3:5e-4 &&
    awk -F, 'FNR > 1 { rate[FNR] = $6 } END { exit !(rate[2] < 1e-3 && rate[3] < rate[2] && rate[4] >= 5e-4 && rate[4] < 5.5e-4) }' falls.csv
says $? "or to the second of two rates"
"$top/build/train_yours" >out 2>err && [ ! -s err ] && [ -s yours.safetensors ] &&
    awk '{ sub(".*CC ", ""); exit !($1 > 0.8) }' out
says $? "train_yours learns from pictures that it draws: $(cat out)"
"$train" --help >out 2>err && [ ! -s err ] && grep -q "FOLDER@HxW" out
says $? "--help tells of sizes"

set="-m lite --data set"
refused "no data is refused"                         "which --data"   -m lite
refused "no network is refused"                      "which network"  --data set
refused "an unknown network is refused by name"      "nonet"          -m nonet --data set
refused "a missing folder is refused by name"        "nothing"        -m lite --data nothing
refused "so is one for the result, before it learns" "nowhere/a: cannot be written: No such" $set --out nowhere/a
refused "and one for the log"                        "nowhere/l.csv: cannot be written" $set --log nowhere/l.csv
refused "a size it does not take is refused"         "multiples of 8" -m lite --data set@65x64
refused "a size of three sides is no size"           "set@64x64x64"   -m lite --data set@64x64x64
refused "more than 64 folders are refused"           "at most 64"     -m lite --data "$(yes set | head -n 65 | paste -sd,)"
refused "what freezes nothing is refused"            "freezes nothing" $set --freeze backbon.
refused "a domain beyond them is refused"            "from 0 to"      $set --domain 4294967297
refused "a domain that is no number is refused"      "from 0 to"      $set --domain 1,x
refused "two domains for one folder are refused" "each folder of --data, which names 1" $set --domain 1,2
refused "a domain where there are none is refused" "has no priors of data sets" -m mlnet --data set --domain 1
refused "dropout of no layer is refused"          "no dropout layers" -m sam-vgg --plain --steps 1 --input 64x64 \
    --data set --val set --dropout 0.2
refused "NSS alone without fixations is refused" "NSS alone.*no fixations" $set --val set --loss nss --epochs 1 --quiet
refused "as is choosing by it"                  "no fixations.*NSS" $set --val set --select nss --epochs 1 --quiet
refused "a schedule of nan is refused"               "step:FACTOR"    $set --schedule step:nan:2
refused "an input of one side is refused"            "HEIGHTxWIDTH"   $set --input 64
refused "an input with more behind it is refused"    "HEIGHTxWIDTH"   $set --input 64x96q
refused "epochs that are no number are refused"      "--epochs two"   $set --epochs two
refused "half a picture is no batch"                 "--batch 1.5"    $set --batch 1.5
refused "a share of more than all is refused"        "from 0 to 1"    $set --val-split 2
refused "a rate that is no number is refused"        "--lr fast"      $set --lr fast
refused "half a range of rates is refused"           "--lr 1e-3:"     $set --lr 1e-3:
refused "an unknown way to select is refused"        "loss, cc or nss" $set --select best
refused "a schedule without its numbers is refused"  "step:FACTOR"    $set --schedule step:.1
refused "an unknown loss is refused by name"         "ccc"            $set --loss kl+ccc
refused "an unknown optimiser is refused by name"    "sgdd"           $set --opt sgdd
refused "a domain that is no number is refused"      "--domain x"     $set --domain x
refused "a ConvLSTM where there is none is refused"  "lite has no such variant" $set --steps 2
refused "five steps are refused"                     "from 0 to 4"    -m sam-vgg --data set --steps 5
refused "unknown priors are refused by name"         "--priors centre" -m mlnet --data set \
        --priors centre
refused "Gaussian priors of mlnet are refused"       "mlnet has no such variant" -m mlnet --data set \
        --priors gaussian
refused "a plain lite is refused"                    "lite has no such variant" $set --plain
refused "other priors than the file's are refused"   "says what it has" --init two.safetensors \
        --data set --priors none
refused "an unknown option is refused by name"       "--epoch is"     $set --epoch 3
refused "an option without its value is refused"     "--lr needs"     $set --lr
refused "a training that explodes says what to do"   "lower the learning rate" $set --val set \
        --input 64x96 --opt sgd --lr 1e9 --schedule constant --batch 2 --quiet
refused "features beside the picture are refused"    "freeze more"    $set --val set --crop 0 \
        --input 64x96 --freeze backbone.conv_stem,backbone.block0. --features refused.bin
mkfifo features.pipe
cat features.bin >features.pipe 2>/dev/null & writer=$!
refused "a pipe of features is refused"              "features.pipe: cannot be read: " -m lite --val set $whole \
        --quiet --features features.pipe
kill $writer 2>/dev/null
refused "too little memory is refused"               "MB"             $set --memory 1
# The rate counts what is learnt, not the pictures that were read before, however many.
cat >progress.c <<'C'
#define main train_main
#include "examples/train.c"
#undef main
int main(void) {
    static const float history[1][SAL_COLUMN_COUNT] = { { 1, .5f, 0, 0, 0, 0, 0 } };
    sal_train_progress p = { 0 };
    view v = { 0 };
    v.checkpoint = 1e9;
    p.loading = 1;
    for (p.pictures = 1; p.pictures <= 1500; p.pictures++) progress(&v, &p);
    p.loading = 0; p.pictures = 8; p.epochs = 2; p.steps = 4; p.step = 1;
    progress(&v, &p);                   /* the first batch is done */
    v.start -= 10;
    p.step = 0; p.epoch = p.rows = 1; p.history = history;
    progress(&v, &p);                   /* and three more, in ten seconds */
    return train_main == NULL;
}
C
${CC:-gcc} -fopenmp -I"$top" $(pkg-config --cflags stb 2>/dev/null) -DSALIENCY_IMPLEMENTED progress.c \
    "$top/build/saliency.o" -o progress -lm >out 2>err && ./progress >out 2>err &&
    grep -q 'epoch 1/2 .* 0.6 pictures/s  13 s left' out
says $? "0.6 pictures/s, and 13 s left, after 1500 pictures were read"
mkdir photos files && mv set photos/osie && cp "$top/weights/juntingnet.safetensors" files/
SHARE=0.99 THREADS=1 sh "$top/examples/ladder.sh" photos . "$top/build" files >out 2>err &&
    [ "$(wc -l <ladder.csv)" = 2 ] && grep -q '^juntingnet,34.86,[0-9.]*,0\.[0-9]*,[0-9.]*$' ladder.csv &&
    grep -q '<circle.*>juntingnet, 34.9 M<' ladder.svg
says $? "the ladder of the trained networks is measured and drawn"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
