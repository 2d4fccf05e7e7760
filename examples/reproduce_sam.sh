#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# The tables of SAM (Cornia et al. 2018) on real data: what each part of the network gives (Table II), Gaussian
# priors against ML-Net's mask (Table III), fewer steps of the ConvLSTM (Table IV, Fig. 3), losses (Figs. 5 and 6).
# All heads learn on the features of one frozen ImageNet backbone, from a few hundred pictures, not 10,000: the
# differences count, not the heights. Goes on where it was cut off.
#
#     sh examples/reproduce_sam.sh DATA BACKBONE OUT [BUILD]
#
# DATA has osie/; BACKBONE is an ImageNet VGG-16 as safetensors; OUT gets table*.csv, *.svg, claims.txt and the
# weights of the whole network; BUILD has train, evaluate and predict (default build). May be set outside: SET=osie, NET=sam-vgg,
# SIZE=120x160, EPOCHS=6, LR=3e-4, SEEDS="1 2 3", LSTM_SEEDS="1" (with the ConvLSTM, many times as slow),
# LOSS_STEPS=0 (of the ConvLSTM where losses are compared), THREADS=2.
set -e
. "$(dirname "$0")/reproduce.sh"
data=${1:?DATA} backbone=${2:?BACKBONE} out=${3:?OUT} build=${4:-build}
set=${SET:-osie} net=${NET:-sam-vgg} size=${SIZE:-120x160} epochs=${EPOCHS:-6} threads=${THREADS:-2}
seeds=${SEEDS:-1 2 3} lstm_seeds=${LSTM_SEEDS:-1} loss_steps=${LOSS_STEPS:-0}
recipe="--no-mirror --val-split 0.1 --batch 10 --opt adamw --schedule onecycle --lr ${LR:-3e-4} --epochs $epochs \
    --select cc --checkpoint 60"
keep="all"
[ -d "$data/$set" ] || { echo "skip: $data/$set is not there"; exit 0; }
[ -f "$backbone" ] || { echo "skip: $backbone is not there"; exit 0; }
mkdir -p "$out"

for seed in $seeds; do              # Table II, without the ConvLSTM
    learn plain-$seed plain -m $net --plain --steps 0 --priors none --seed $seed
    learn dilated-$seed dilated -m $net --steps 0 --priors none --seed $seed
    learn priors-$seed dilated -m $net --steps 0 --priors gaussian --seed $seed
    learn mask-$seed dilated -m $net --steps 0 --priors mask --seed $seed
done
for seed in $seeds; do              # Figs. 5 and 6
    for loss in kl -cc -nss peak:mse cosine chi2 tvd; do
        learn loss$loss-$seed dilated -m $net --steps $loss_steps --loss=$loss --seed $seed
    done
    [ $loss_steps = 0 ] || learn loss_sam-$seed dilated -m $net --steps $loss_steps --seed $seed
    [ $loss_steps = 0 ] && cp "$out/priors-$seed.csv" "$out/loss_sam-$seed.csv"
done
for seed in $lstm_seeds; do         # Tables II and III, with it
    learn all-$seed dilated -m $net --seed $seed
    for t in 1 2 3 4; do            # Table IV
        [ -f "$out/step$t-$seed.csv" ] || score step$t-$seed "$out/all-$seed.safetensors" --steps $t
    done
    learn lstm-$seed dilated -m $net --priors none --seed $seed
    learn lstm_mask-$seed dilated -m $net --priors mask --seed $seed
done

published() { case $net in sam-resnet) echo "$2" ;; *) echo "$1" ;; esac; }     # CC, SALICON: VGG, ResNet
table "$out/table2.csv" "plain=plain CNN=$(published .743 .771)" "dilated=dilated (DCN)=$(published .801 .823)" \
    "lstm=DCN + ConvLSTM=$(published .809 .841)" "priors=DCN + priors=$(published .824 .840)" \
    "all=DCN + ConvLSTM + priors=$(published .830 .844)"
table "$out/table3.csv" "mask=DCN + mask=" "priors=DCN + Gaussians=$(published .824 .840)" \
    "lstm_mask=ConvLSTM + mask=$(published .811 .840)" "all=ConvLSTM + Gaussians=$(published .830 .844)"
table "$out/table4.csv" "step1=1 step=$(published .821 .785)" "step2=2 steps=$(published .827 .829)" \
    "step3=3 steps=$(published .828 .842)" "step4=4 steps=$(published .830 .844)"
table "$out/losses.csv" "loss_sam=10 KL - 2 CC - NSS=" "losskl=KL=" "loss-cc=CC=" "loss-nss=NSS=" "losspeak:mse=Euclidean=" \
    "losscosine=cosine=" "losschi2=chi squared=" "losstvd=total variation="
for name in table2 table3 table4 losses; do draw "$out/$name.csv" CC "CC, $net, $set" >"$out/$name-cc.svg"; done
draw "$out/losses.csv" NSS "NSS, $net, $set" >"$out/losses-nss.svg"
{
    claim CC dilated plain "the dilated network is better than the plain one"
    claim CC priors dilated "learned priors improve the dilated network"
    claim CC lstm dilated "the ConvLSTM improves the dilated network"
    claim CC all priors "the ConvLSTM improves the network with priors"
    claim CC all lstm "learned priors improve the network with the ConvLSTM"
    claim CC priors mask "Gaussian priors are better than a mask, without the ConvLSTM"
    claim CC all lstm_mask "Gaussian priors are better than a mask, with the ConvLSTM"
    for t in 1 2 3; do
        claim CC step$((t + 1)) step$t "$((t + 1)) steps of the ConvLSTM are better than $t"
    done
    for loss in kl -cc -nss peak:mse cosine chi2 tvd; do
        claim NSS loss_sam loss$loss "the combined loss gives a better NSS than $loss alone"
        claim CC loss_sam loss$loss "the combined loss gives a better CC than $loss alone"
    done
} | tee "$out/claims.txt"
photo=$(ls "$data/$set"/*/*.jpg "$data/$set"/*.jpg 2>/dev/null | head -n 1)
weights=$(ls "$out"/all-[0-9]*.safetensors 2>/dev/null | head -n 1)
if [ -n "$weights" ]; then "$build/predict" -w "$weights" --quiet --strip "$out/fig3.png" "$photo"; fi
