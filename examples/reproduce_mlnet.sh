#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# ML-Net's claims (Cornia et al. 2016) on real data: its loss against plain squared error, its prior on and off,
# and section IV-C, what the features of conv3, conv4 and conv5 contribute to the map. All heads learn on the
# features of one frozen ImageNet VGG-16. Goes on where it was cut off.
#
#     sh examples/reproduce_mlnet.sh DATA BACKBONE OUT [BUILD]
#
# DATA has osie/; BACKBONE is an ImageNet VGG-16 as safetensors; OUT gets mlnet.csv, contributions.csv, levels.csv,
# *.svg, claims.txt and the weights of the whole network; BUILD has train, evaluate and predict (default build). May be set outside:
# SET=osie, SIZE=240x320, WARM=3 epochs at LR=1e-3, then EPOCHS=10 at FINE=1e-4, SEEDS="1 2 3", PICTURES=50
# (explained), THREADS=2.
set -e
. "$(dirname "$0")/reproduce.sh"
data=${1:?DATA} backbone=${2:?BACKBONE} out=${3:?OUT} build=${4:-build}
set=${SET:-osie} size=${SIZE:-240x320} epochs=${EPOCHS:-10} threads=${THREADS:-2} seeds=${SEEDS:-1 2 3}
pictures=${PICTURES:-50}
recipe="--no-mirror --val-split 0.1 --batch 10 --opt adamw --schedule onecycle --select cc --checkpoint 60"
warm=${WARM:-3} rate=${LR:-1e-3} fine=${FINE:-1e-4}
keep="warm-mask warm-none mlnet-mask"
[ -d "$data/$set" ] || { echo "skip: $data/$set is not there"; exit 0; }
[ -f "$backbone" ] || { echo "skip: $backbone is not there"; exit 0; }
mkdir -p "$out"

# The features are large: from random weights both losses would end in a ReLU that is zero everywhere. So a few
# epochs of KL - CC come first, the same for both.
for seed in $seeds; do
    for priors in mask none; do
        learn warm-$priors-$seed vgg -m mlnet --priors $priors --loss kl-cc --epochs $warm --lr $rate --seed $seed
        for loss in mlnet mse; do
            case $loss in mse) text=peak:mse ;; *) text=$loss ;; esac
            learn $loss-$priors-$seed vgg --init "$out/warm-$priors-$seed.safetensors" --loss $text --epochs $epochs \
                --lr $fine --seed $seed
        done
    done
done
table "$out/mlnet.csv" "warm-mask=KL - CC + prior=" "mlnet-mask=its loss + prior=" "mlnet-none=its loss + no prior=" "mse-mask=squared error + prior=" \
    "mse-none=squared error + no prior="
draw "$out/mlnet.csv" CC "CC, mlnet, $set" >"$out/mlnet-cc.svg"

# Section IV-C: mean over test pictures of gradient times feature, for the mean and the variance of the map.
seed=${seeds%% *}
tail -n +2 "$out/mlnet-mask-$seed.csv" | awk -F, -v n="$pictures" 'NR <= n { print $2 }' >"$out/explained"
for of in mean variance; do
    mkdir -p "$out/$of"
    while read -r name; do
        [ -f "$out/$of/${name%.*}.csv" ] && continue
        photo=$(find "$data/$set/" -name "${name%.*}.jpg" | head -n 1)
        "$build/predict" -w "$out/mlnet-mask-$seed.safetensors" --quiet --threads $threads --layer concat --of $of \
            --parts "$out/$of/${name%.*}.csv" "$photo" </dev/null
    done <"$out/explained"
done
for of in mean variance; do         # channels: 256 of conv3, 512 of conv4, 512 of conv5
    awk -F, -v of=$of 'FNR > 1 { sum[$1 + 0] += $2; size[$1 + 0] += $2 < 0 ? -$2 : $2 } FNR == 1 { n++ }
        END { for (c = 0; c < 1280; c++)
            printf "%s,conv%d,%d,%.6g,%.6g\n", of, c < 256 ? 3 : c < 768 ? 4 : 5, c, sum[c] / n, size[c] / n }' "$out/$of"/*.csv
done | sort -t, -k1,1 -k5,5gr | { echo "of,level,channel,part,size"; cat; } >"$out/contributions.csv"
awk -F, 'NR > 1 { k = $1 " by " $2; sum[k] += $5; all[$1] += $5; count[k]++; if (seen[$1]++ < 100) top[k]++ }
    END { print "what,share,channels,of_first_100"
          for (k in sum) { split(k, p, " "); printf "%s,%.4f,%d,%d\n", k, sum[k] / all[p[1]], count[k], top[k] } }' \
    "$out/contributions.csv" | { read -r title; echo "$title"; sort; } | tee "$out/levels.csv"
draw "$out/levels.csv" share "share of all contributions" >"$out/levels.svg"
{
    claim CC mlnet-mask mse-mask "its loss gives a better CC than squared error"
    claim NSS mlnet-mask mse-mask "its loss gives a better NSS than squared error"
    claim CC mlnet-mask mlnet-none "the prior improves CC"
    claim NSS mlnet-mask mlnet-none "the prior improves NSS"
    awk -F, '$1 ~ /^(mean|variance) by conv/ { split($1, p, " "); part[p[1]] = part[p[1]] sprintf(" %s %.0f %%,", p[3], 100 * $2)
             if (!(p[1] in least) || $2 < least[p[1]]) least[p[1]] = $2 }
        END { for (of in part) printf "all three levels contribute to the %s of the map: %s (%s one seed)\n", of,
              (least[of] > .05 ? "holds" : "does not hold"), part[of] }' "$out/levels.csv"
} | tee "$out/claims.txt"
