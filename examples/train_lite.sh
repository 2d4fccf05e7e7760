#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# How weights/lite.safetensors came about, step by step; goes on where it was cut off. About nine hours on two
# idle cores, 8 GB of memory.
#
#     sh examples/train_lite.sh DATA BACKBONE EFFICIENTNET OUT [BUILD]
#
# DATA has osie/, scene/, mit1003/, figrim/ and unlabelled/; BACKBONE is an ImageNet MobileNetV2
# (mobilenet_v2_imagenet.safetensors), EFFICIENTNET the file that teacher.py names; BUILD has the programs (default
# build); $PYTHON is a Python with PyTorch, NumPy and Pillow (default python3). Pictures of the test share are never
# learnt from, nor chosen by.
set -e
data=${1:?DATA} backbone=${2:?BACKBONE} efficientnet=${3:?EFFICIENTNET} out=${4:?OUT} build=${5:-build}
here=${0%/*} python=${PYTHON:-python3}
threads=${THREADS:-2}
osie=$data/osie scene=$data/scene
people="--data $osie,$scene --domain 1,2"
recipe="--test-share 0.1 --val-split 0.1 --loss kl-cc --opt adamw --schedule onecycle --select cc
        --threads $threads --resume"
mkdir -p "$out"

step() {            # NAME OPTIONS...: trains OUT/NAME.safetensors, once
    name=$1; shift
    [ -f "$out/$name.done" ] && return
    "$build/train" $recipe --out "$out/$name.safetensors" --log "$out/$name.csv" "$@"
    touch "$out/$name.done"
    rm -f "$out/$name.safetensors.state"
}

label() {           # NAME -w TEACHER...: makes OUT/NAME, all photographs with the teachers' maps
    name=$1; shift
    "$build/pretrain" --images "$data/unlabelled" --out "$out/$name" --size 64 --threads $threads "$@"
}

teach() {           # NAME ARGUMENTS...: one step of teacher.py, once
    [ -f "$out/$1.done" ] && return
    name=$1; shift
    THREADS=$threads "$python" "$here/teacher.py" "$@"
    touch "$out/$name.done"
}

# The head alone, on cached features of the frozen backbone.
step head -m lite $people --backbone "$backbone" --freeze backbone. --features "$out/features.bin" \
    --lr 2e-3 --decay 1e-3 --epochs 8 --batch 16 --seed 1
rm -f "$out/features.bin"

# All layers: two teachers, the second with larger pictures and other validation pictures.
step teacher1 --init "$out/head.safetensors" $people --lr 4e-4 --decay 1e-2 --dropout 0.2 --crop 0.25 \
    --colour 0.25 --average 0.995 --epochs 10 --batch 8 --seed 1
step teacher2 --init "$out/head.safetensors" --input 288x384 $people --lr 4e-4 --decay 5e-2 --dropout 0.3 \
    --crop 0.35 --colour 0.3 --average 0.99 --epochs 7 --batch 8 --seed 2

# The mean of both labels the photographs nobody looked at, and one network learns from them and from people.
label weak -w "$out/teacher1.safetensors" -w "$out/teacher2.safetensors"
step student --init "$out/teacher1.safetensors" \
    --data "$out/weak,$osie,$scene,$osie,$scene" --domain 0,1,2,1,2 --lr 4e-4 \
    --decay 1e-2 --dropout 0.1 --crop 0.25 --colour 0.3 --average 0.998 --epochs 2 --batch 8 --seed 1

# People alone, in pictures of several sizes; this one sees enough in a small photograph to label them anew.
step teacher3 --init "$out/student.safetensors" --input 480x640 --domain 1,2,1,2,1,2 \
    --data "$osie,$scene,$osie@384x512,$scene@384x512,$osie@288x384,$scene@288x384" --lr 2e-4 --decay 1e-2 \
    --dropout 0.2 --crop 0.2 --colour 0.25 --average 0.99 --epochs 2 --batch 8 --seed 7
label weak3 -w "$out/teacher3.safetensors"

# Both again: the photographs small, people's pictures large.
step both --init "$out/student.safetensors" --input 480x640 --domain 0,1,2,1,2 \
    --data "$out/weak3@240x320,$osie,$scene,$osie@336x448,$scene@336x448" --lr 3e-4 --decay 1e-2 --dropout 0.2 \
    --crop 0.25 --colour 0.3 --average 0.998 --epochs 3 --batch 8 --seed 1

# People alone, in several ways, the validation pictures among them: how long is settled by now. They all come
# from the student, so the mean of their weights is a network, too.
last="--val-split 0 --decay 1e-2 --dropout 0.2 --crop 0.2 --colour 0.25 --average 0.99 --batch 8"
small="--data $osie,$scene,$osie@240x320,$scene@240x320 --domain 1,2,1,2"
step last1 --init "$out/both.safetensors" --input 480x640 $small $last --lr 2e-4 --epochs 2 --seed 32
step last2 --init "$out/student.safetensors" --input 480x640 $small $last --lr 2e-4 --epochs 3 --seed 31
step last3 --init "$out/student.safetensors" --input 480x640 $people $last --lr 2e-4 --epochs 3 --seed 35
step last4 --init "$out/teacher3.safetensors" --input 480x640 --domain 1,2,1,2 \
    --data "$osie,$scene,$osie@336x448,$scene@336x448" $last --lr 1.5e-4 --epochs 2 --seed 33
"$build/convert" i8 "$out/last1.safetensors" "$out/last2.safetensors" "$out/last3.safetensors" \
    "$out/last4.safetensors" "$out/before.safetensors"

# With people's pictures of two more sets, each set with its own prior.
step four --init "$out/before.safetensors" --input 384x512 --val-split 0.05 --domain 1,2,3,4 \
    --data "$osie,$scene,$data/mit1003,$data/figrim" --lr 2e-4 --decay 1e-2 --dropout 0.2 --crop 0.2 \
    --colour 0.25 --average 0.995 --epochs 3 --batch 8 --seed 51

# SAM-ResNet, trained by now (weights/README.md), and this network label the photographs; from these and from
# people it learns once more, then from people alone. What comes before MobileNet's fifth block stays as it is.
label weak5 -w "$here/../weights/sam-resnet.safetensors" -w "$out/four.safetensors"
fine="--freeze backbone.conv_stem,backbone.block0,backbone.block1.,backbone.block2,backbone.block3
      --decay 1e-2 --batch 8 --seed 51"
step mixed --init "$out/four.safetensors" --input 384x512 --val-split 0.05 $fine --domain 0,1,2,3,4 \
    --data "$out/weak5@288x384,$osie,$scene,$data/mit1003,$data/figrim" \
    --lr 3e-4 --dropout 0.15 --crop 0.25 --colour 0.3 --average 0.998 --epochs 3
step people --init "$out/mixed.safetensors" --input 384x512 --val-split 0.05 $fine --domain 1,2,3,4,0,0,0 \
    --data "$osie,$scene,$data/mit1003,$data/figrim,$osie,$scene,$data/mit1003" --loss "kl-cc-0.2*nss" \
    --lr 1.5e-4 --dropout 0.2 --crop 0.2 --colour 0.25 --average 0.995 --epochs 2
"$build/convert" i8 "$out/people.safetensors" "$out/second.safetensors"

# A better backbone, EfficientNet-lite2, makes a better teacher. First it labels 1,600 parts of pictures, together
# with SAM-ResNet and lite; two epochs on these and on people (of three: the third was worse on validation).
teach teacher train "$data" "$efficientnet" "$out/teacher"
teach crops crops "$data" "$out/crops" 1600
"$build/pretrain" --images "$out/crops" --out "$out/weak6" --size 64 --threads $threads \
    -w "$here/../weights/sam-resnet.safetensors" -w "$out/second.safetensors"
teach weak7 label "$out/teacher" "$out/weak6" "$out/weak7" 0 0.6
step third --init "$out/second.safetensors" --input 384x512 --val-split 0.05 $fine --domain 0,1,2,3,4 \
    --data "$out/weak7@288x384,$osie,$scene,$data/mit1003,$data/figrim" \
    --lr 2.5e-4 --dropout 0.15 --crop 0.25 --colour 0.3 --average 0.998 --epochs 3

# Then it labels all photographs, and people's pictures as well: half of the map is the teacher's, half people's.
teach weak8 label "$out/teacher" "$data/unlabelled" "$out/weak8"
domain=0 soft=
for set in osie scene mit1003 figrim; do
    domain=$((domain + 1)) soft=$soft,$out/soft/$set
    teach "soft-$set" label "$out/teacher" "$data/$set" "$out/soft/$set" $domain
done
step fourth --init "$out/third.safetensors" --input 384x512 --val-split 0.05 $fine --domain 0,0,1,2,3,4 \
    --data "$out/weak8@288x384,$out/weak7@288x384$soft" \
    --lr 3e-4 --dropout 0.1 --crop 0.25 --colour 0.3 --average 0.998 --epochs 6
soft=${soft#,}
step lite32 --init "$out/fourth.safetensors" --input 384x512 --val-split 0.05 $fine --domain 1,2,3,4,0,0,0 \
    --data "$soft,${soft%,*}" --loss "kl-cc-0.2*nss" --lr 1.5e-4 --dropout 0.2 --crop 0.2 --colour 0.25 \
    --average 0.995 --epochs 2

# The mean of the last two, in eight bits, with the ranges of the values that lie between the layers.
set --
for set in osie scene mit1003 figrim; do set -- "$@" --ranges "$data/$set/images"; done
set -- "$@" --ranges "$data/unlabelled"
"$build/convert" "$@" i8 "$out/fourth.safetensors" "$out/lite32.safetensors" "$out/lite.safetensors"
