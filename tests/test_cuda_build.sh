#!/bin/sh
# Does nvcc take saliency_cuda.cu? One architecture, unoptimised; `make cuda` builds all of them.
cd "$(dirname "$0")/.." || exit 1
nvcc=${NVCC:-nvcc}
log=$(mktemp)
trap 'rm -f "$log" "$log.o"' EXIT
if ! command -v "$nvcc" >/dev/null; then
    echo "skip saliency_cuda.cu is not compiled: there is no nvcc here"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
if "$nvcc" -arch=sm_80 -Xcicc -O0 -Xptxas -O0 -Xcompiler -Wall,-Wextra -c saliency_cuda.cu \
       -o "$log.o" >"$log" 2>&1 && [ ! -s "$log" ]
then echo "ok   nvcc compiles saliency_cuda.cu without a warning"; echo "1 passed, 0 failed"
else echo "FAIL nvcc compiles saliency_cuda.cu without a warning"; head -n 20 "$log"
     echo "0 passed, 1 failed"; exit 1
fi
