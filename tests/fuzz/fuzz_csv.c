/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* fuzz_csv: any bytes as fixations.csv, and as sigma.csv.

       clang -g -O1 -fsanitize=fuzzer,address,undefined,float-cast-overflow \
             -fno-sanitize-recover=all -I. tests/fuzz/fuzz_csv.c -o build/fuzz_csv -lm
       build/fuzz_csv -dict=tests/fuzz/csv.dict -max_len=1024 build/corpus tests/fuzz/corpus/csv

   (build/corpus is an empty folder for what is found.) */
#include "fuzz.h"
#ifndef DATASET_IMPLEMENTATION
#define DATASET_IMPLEMENTATION
#endif
#include "../../examples/dataset.h"

static void csv_try(const uint8_t *data, size_t size, int sigmas, int skip) {
    static const char *const names[] = { "a.jpg", "b.c.png", "train/1.jpg" };
    unsigned char *text;
    fuzz_use use = { 0, 0 };
    sal_dataset set;
    set__opener b;
    sal_dataset_entry *e;
    sal_ctx ctx;
    int i;
    fuzz_start(&ctx, &use);
    memset(&set, 0, sizeof set);
    memset(&b, 0, sizeof b);
    text = (unsigned char *)sal_alloc(&ctx, size + 1, 1);
    if (size > 0) memcpy(text, data, size);
    b.ctx = &ctx; b.set = &set;
    set.path = "fuzz";
    set.options.skip_missing = skip;
    for (i = 0; i < 3; i++) fuzz_must(set__new_entry(&b, names[i], names[i], &e) == SAL_OK);
    fuzz_must(set__sort_stems(&b) == SAL_OK);
    if (set__to_utf8(&ctx, "fuzz", &text, &size) != SAL_OK ||
        (sigmas ? set__read_sigmas : set__read_csv)(&b, "fuzz", text, size) != SAL_OK)
        fuzz_must(!strncmp(sal_error(&ctx), "fuzz:", 5));
    else if (set__check_entries(&b) == SAL_OK) {
        int n = 0;
        fuzz_must(set__sort_subjects(&b) == SAL_OK && set__sort_looks(&b) == SAL_OK);
        for (i = 0; i < set.count; i++) n += set.entry[i].count;
        fuzz_must(n == b.looks.count);
        for (i = 0; i < n; i++) {
            const sal_fixation *f = &set.fixation[i];
            fuzz_must(fabs(f->x) <= 1e7 && fabs(f->y) <= 1e7 && f->subject >= 0 &&
                      f->subject <= set.subjects);
        }
        for (i = 1; i < set.subjects; i++) fuzz_must(strcmp(set.subject[i - 1], set.subject[i]));
    }
    sal_free(&ctx, text);
    sal_free(&ctx, b.looks.list); sal_free(&ctx, (void *)b.subject);
    set__arena_free(&ctx, &b.arena);
    sal_free(&ctx, set.entry);
    fuzz_must(use.live == 0 && use.bytes < ((size_t)1 << 20) + 1000 * size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    csv_try(data, size, 0, 0);
    csv_try(data, size, 0, 1);
    csv_try(data, size, 1, 0);
    return 0;
}
