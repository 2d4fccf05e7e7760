#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# WEPSAM's claim (its Fig. 2) on real data: does the network that was first trained on GBVS maps of
# unlabelled photographs learn where people look sooner and better than from random weights?
# Three seeds, everything else the same. About 20 minutes on two idle cores; goes on where it was cut
# off. What one run gave stands in weights/README.md.
#
#     sh examples/reproduce_wepsam.sh DATA OUT [BUILD]
#
# DATA has unlabelled/, osie/ and scene/; OUT gets wepsam-fig2.csv, wepsam-fig2.svg and the trained weights;
# BUILD has the programs train and pretrain (default build). THREADS=2, KEEP=1000 and
# EPOCHS=15 may be set outside.
set -e
data=${1:?DATA} out=${2:?OUT} build=${3:-build}
threads=${THREADS:-2} keep=${KEEP:-1000} weak_epochs=8 epochs=${EPOCHS:-15}
recipe="--batch 32 --opt adamw --schedule onecycle --loss mse --threads $threads --checkpoint 120"
[ -d "$data/unlabelled" ] || { echo "skip: $data/unlabelled is not there"; exit 0; }
mkdir -p "$out"

learn() {           # NAME OPTIONS...: trains OUT/NAME.safetensors, once
    name=$1; shift
    [ -f "$out/$name.done" ] && return
    "$build/train" $recipe --out "$out/$name.safetensors" --log "$out/$name.csv" --resume "$@"
    rm -f "$out/$name.safetensors.state"
    touch "$out/$name.done"
}

"$build/pretrain" --images "$data/unlabelled" --keep $keep --out "$out/weak" --threads $threads
for seed in 1 2 3; do
    learn weak-$seed -m wepsam --start he --data "$out/weak" --val-split 0.1 --epochs $weak_epochs \
        --lr 5e-4 --seed $seed
    fine="--data $data/osie,$data/scene --test-share 0.1 --epochs $epochs --lr 2e-4 --seed $seed"
    learn random-$seed -m wepsam --start he $fine
    learn pretrained-$seed --init "$out/weak-$seed.safetensors" $fine
done

# Mean and standard deviation over the seeds: columns epoch, then for each start and loss mean and sd.
awk -F, '
    FNR == 1 { start = FILENAME ~ /pretrained/ ? 2 : 0; next }
    { for (i = 0; i < 2; i++) { k = $1 "," start + i; n[k]++; s[k] += $(2 + i); q[k] += $(2 + i)^2 }
      if ($1 > last) last = $1 }
    END {
        print "epoch,random_training,sd,random_validation,sd,pretrained_training,sd,pretrained_validation,sd"
        for (e = 1; e <= last; e++) {
            line = e
            for (i = 0; i < 4; i++) {
                k = e "," i; m = s[k] / n[k]; v = q[k] / n[k] - m * m
                line = line sprintf(",%.6g,%.3g", m, n[k] > 1 && v > 0 ? sqrt(v * n[k] / (n[k] - 1)) : 0)
            }
            print line
        }
    }' "$out"/random-?.csv "$out"/pretrained-?.csv > "$out/wepsam-fig2.csv"

# The same as a drawing: a line for each mean, a band of one standard deviation around it.
awk -F, '
    function x(e) { return 70 + 520 * (e - 1) / (rows > 1 ? rows - 1 : 1) }
    function y(v) { return 30 + 300 * (high - v) / (high - low) }
    NR > 1 { rows++
        for (i = 0; i < 4; i++) { m[rows, i] = $(2 + 2 * i); d[rows, i] = $(3 + 2 * i)
            if (rows == 1 && i == 0) low = high = m[1, 0]
            if (m[rows, i] + d[rows, i] > high) high = m[rows, i] + d[rows, i]
            if (m[rows, i] - d[rows, i] < low) low = m[rows, i] - d[rows, i] } }
    END {
        split("#d95f02 #d95f02 #1b6ca8 #1b6ca8", colour, " ")
        split("random start, training|random start, validation|pre-trained, training|pre-trained, validation",
              name, "|")
        print "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"620\" height=\"380\" " \
              "font-family=\"sans-serif\" font-size=\"12\">"
        print "<rect width=\"620\" height=\"380\" fill=\"white\"/>"
        print "<rect x=\"70\" y=\"30\" width=\"520\" height=\"300\" fill=\"none\" stroke=\"#888\"/>"
        for (i = 0; i <= 4; i++) {
            v = low + (high - low) * i / 4; e = int(1 + (rows - 1) * i / 4)
            printf "<text x=\"64\" y=\"%.1f\" text-anchor=\"end\">%.4f</text>", y(v) + 4, v
            printf "<text x=\"%.1f\" y=\"346\" text-anchor=\"middle\">%d</text>\n", x(e), e
        }
        for (i = 0; i < 4; i++) {
            printf "<polygon fill=\"%s\" opacity=\"0.2\" points=\"", colour[i + 1]
            for (e = 1; e <= rows; e++) printf "%.1f,%.1f ", x(e), y(m[e, i] + d[e, i])
            for (e = rows; e > 0; e--) printf "%.1f,%.1f ", x(e), y(m[e, i] - d[e, i])
            printf "\"/>\n<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\"%s points=\"",
                   colour[i + 1], i % 2 ? "" : " stroke-dasharray=\"5 3\""
            for (e = 1; e <= rows; e++) printf "%.1f,%.1f ", x(e), y(m[e, i])
            printf "\"/>\n<text x=\"580\" y=\"%d\" text-anchor=\"end\" fill=\"%s\">%s%s</text>\n",
                   50 + 16 * i, colour[i + 1], i % 2 ? "" : "- - ", name[i + 1]
        }
        print "<text x=\"330\" y=\"368\" text-anchor=\"middle\">epoch of fine-tuning; squared error per pixel</text>"
        print "</svg>"
    }' "$out/wepsam-fig2.csv" > "$out/wepsam-fig2.svg"
awk -F, 'NR == 2 || FNR > 2 { line = $0 } NR == 2 { first = $0 } END { split(first, a); split(line, b)
    printf "validation loss, first and last epoch: random start %s %s, pre-trained %s %s\n", a[4], b[4], a[8], b[8] }' \
    "$out/wepsam-fig2.csv"
