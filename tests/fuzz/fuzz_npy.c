/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* fuzz_npy: any bytes as a NumPy file with a map.

       clang -g -O1 -fsanitize=fuzzer,address,undefined,float-cast-overflow \
             -fno-sanitize-recover=all -I. tests/fuzz/fuzz_npy.c -o build/fuzz_npy -lm
       build/fuzz_npy -dict=tests/fuzz/npy.dict -max_len=1024 build/corpus tests/fuzz/corpus/npy

   (build/corpus is an empty folder for what is found.) */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_use use = { 0, 0 };
    volatile float last;
    sal_ctx ctx;
    sal_map map;
    fuzz_start(&ctx, &use);
    if (sal_map_load_npy_memory(&ctx, data, size, "fuzz", &map) == SAL_OK) {
        fuzz_must(map.w > 0 && map.h > 0 && (size_t)map.w * (size_t)map.h <= size);
        last = map.data[(size_t)map.w * (size_t)map.h - 1];
        (void)last;
        sal_map_free(&ctx, &map);
    } else {
        fuzz_must(!map.data && !strncmp(sal_error(&ctx), "fuzz: ", 6));
    }
    fuzz_must(use.live == 0 && use.bytes < 8192 + 16 * size);
    return 0;
}
