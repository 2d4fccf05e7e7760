#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# Does nvcc take saliency_cuda.cu, for one architecture, and does every kernel fit into registers?
# `make cuda` builds for all architectures.
cd "$(dirname "$0")/.." || exit 1
nvcc=${NVCC:-nvcc}
log=$(mktemp)
trap 'rm -f "$log" "$log.o"' EXIT
if ! command -v "$nvcc" >/dev/null; then
    echo "skip saliency_cuda.cu is not compiled: there is no nvcc here"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
for arch in sm_90 sm_80; do
    if "$nvcc" --list-gpu-code | grep -q "$arch"; then break; fi
done
failed=0
"$nvcc" -O3 -arch=$arch -Xptxas -v -Xcompiler -Wall,-Wextra -c saliency_cuda.cu -o "$log.o" \
    >"$log" 2>&1 || failed=1
# ptxas reports each kernel in three lines; whatever else there is, is a warning
if [ $failed = 0 ] && ! grep -v -e '^ptxas info' -e 'bytes stack frame' "$log" | grep .; then
    echo "ok   nvcc compiles saliency_cuda.cu for $arch without a warning"
else
    echo "FAIL nvcc compiles saliency_cuda.cu for $arch without a warning"
    grep -v '^ptxas info' "$log" | head -n 20
    failed=1
fi
kernels=$(grep -c 'bytes spill stores' "$log")
spills=$(grep -c '[1-9][0-9]* bytes spill' "$log")
if [ "$kernels" -gt 50 ] && [ "$spills" = 0 ]; then
    echo "ok   none of its $kernels kernels spills registers to memory"
else
    echo "FAIL $spills of $kernels kernels spill registers to memory"
    grep -B 1 '[1-9][0-9]* bytes spill' "$log" | head -n 20
    failed=$((failed + 1))
fi
echo "$((2 - failed)) passed, $failed failed"
[ $failed = 0 ]
