/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* Every seed of every fuzz target again, and mutations of it: flipped, cut, doubled. A target ends
   the program when something is wrong, so that lines missing at the end are a failure, too. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#define DATASET_IMPLEMENTATION
#include "../examples/dataset.h"
#include "test.h"

#define LLVMFuzzerTestOneInput fuzz_safetensors
#include "fuzz/fuzz_safetensors.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_npy
#include "fuzz/fuzz_npy.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_image
#include "fuzz/fuzz_image.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_mat
#include "fuzz/fuzz_mat.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_csv
#include "fuzz/fuzz_csv.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_merge
#include "fuzz/fuzz_merge.c"
#undef LLVMFuzzerTestOneInput

typedef int fuzz_fn(const uint8_t *data, size_t size);

/* Exactly as much memory as there are bytes, so that a sanitizer sees each step beyond. */
static void run_one(fuzz_fn *fuzz, const unsigned char *data, size_t size) {
    unsigned char *copy = (unsigned char *)malloc(size > 0 ? size : 1);
    memcpy(copy, data, size);
    fuzz(copy, size);
    free(copy);
}

static void replay(sal_ctx *ctx, const char *name, fuzz_fn *fuzz) {
    enum { MOST = 8192, FLIPS = 500, CUTS = 60 };
    unsigned char *data, bad[MOST];
    char folder[200], path[600], **names;
    int seeds = 0, mutations = 0, i, k, f, n;
    sal_rng rng = { 1 };
    snprintf(folder, sizeof folder, "tests/fuzz/corpus/%s", name);
    if (sal_dir_list(ctx, folder, &names, &n) != SAL_OK) n = 0;
    for (i = 0; i < n; i++) {
        size_t size, cut;
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        if (sal_file_read(ctx, path, &data, &size) != SAL_OK || size > MOST) continue;
        run_one(fuzz, data, size);
        seeds++;
        for (k = 0; k < FLIPS && size > 0; k++, mutations++) {
            memcpy(bad, data, size);
            for (f = 0; f <= k % 8; f++) {
                uint32_t at = sal_rng_below(&rng, (uint32_t)size);
                if (k & 1) bad[at] ^= (unsigned char)(1u << sal_rng_below(&rng, 8));
                else bad[at] = (unsigned char)sal_rng_below(&rng, 256);
            }
            run_one(fuzz, bad, size);
        }
        for (k = 0; k < CUTS && size > 0; k++, mutations++) {
            cut = sal_rng_below(&rng, (uint32_t)size);
            if (k < CUTS / 2) cut = size * (size_t)k / (CUTS / 2);
            run_one(fuzz, data, cut);
        }
        sal_free(ctx, data);
    }
    if (n > 0) sal_free(ctx, names);
    CHECK(seeds > 3 && seeds == n, "%s: %d seeds and %d mutations of them end in a result or "
          "an error", name, seeds, mutations);
}

int main(void) {
    sal_ctx ctx;
    memset(&ctx, 0, sizeof ctx);
    replay(&ctx, "safetensors", fuzz_safetensors);
    replay(&ctx, "npy", fuzz_npy);
    replay(&ctx, "image", fuzz_image);
    replay(&ctx, "mat", fuzz_mat);
    replay(&ctx, "csv", fuzz_csv);
    replay(&ctx, "merge", fuzz_merge);
    return test_done();
}
