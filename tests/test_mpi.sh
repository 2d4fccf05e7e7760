#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# Two processes over MPI learn what one process learns with twice the batch.
top=$(cd "$(dirname "$0")/.." && pwd)
if ! command -v mpicc >/dev/null || ! command -v mpirun >/dev/null; then
    echo "skip no mpicc, mpirun (Debian: libopenmpi-dev openmpi-bin)"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
here=$(mktemp -d) && cd "$here" || exit 1
trap 'rm -rf "$here"' EXIT
passed=0 failed=0
says() {        # says STATUS STATEMENT: one line for a statement that holds if STATUS is 0
    if [ "$1" = 0 ]; then passed=$((passed + 1)); echo "ok   $2"
    else failed=$((failed + 1)); echo "FAIL $2"; cat out; fi
}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_btl=self,vader,tcp

mpicc -O2 -Wall -Wextra -DSALIENCY_MPI -I"$top" $(pkg-config --cflags stb 2>/dev/null) \
    "$top/examples/train.c" -o train -lm >out 2>&1 && [ ! -s out ]
says $? "train is built with mpicc -DSALIENCY_MPI, without a warning"
"$top/build/pretrain" --images "$top/examples/photos" -m center --out set --quiet >out 2>&1
learn() {       # learn PROCESSES BATCH NAME
    mpirun -np "$1" ./train -m juntingnet --input 48x48 --data set --val set --no-mirror \
        --dropout 0 --batch "$2" --epochs 8 --threads 1 --quiet --out $3.safetensors \
        --log $3.csv >out 2>&1
}
learn 1 4 one && learn 2 2 two
says $? "mpirun -np 2 trains"
awk -F, 'FNR == 1 { file++; next }
    file == 1 { for (i = 2; i <= 5; i++) a[FNR, i] = $i; rows = FNR }
    file == 2 { for (i = 2; i <= 5; i++) { d = ($i - a[FNR, i]) / (1e-9 + a[FNR, i])
                                           if (d < 0) d = -d; if (d > worst) worst = d } last = FNR }
    END { printf "%.1e\n", worst; exit !(last == 9 && last == rows && worst < 2e-5) }' \
    one.csv two.csv >worst 2>&1
says $? "2 processes with batches of 2 log what one logs with batches of 4 (off by $(cat worst))"
mpirun -np 2 ./train -m juntingnet --data nothing --out none.safetensors >out 2>&1
[ $? != 0 ] && [ "$(grep -c 'nothing: no such folder' out)" -ge 1 ] && [ ! -e none.safetensors ]
says $? "what is wrong ends both processes with a sentence"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
