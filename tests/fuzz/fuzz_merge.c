/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* fuzz_merge: any bytes as one of the JSON files that evaluate --merge reads.

       clang -g -O1 -fsanitize=fuzzer,address,undefined,float-cast-overflow \
             -fno-sanitize-recover=all -I. tests/fuzz/fuzz_merge.c -o build/fuzz_merge -lm
       build/fuzz_merge -dict=tests/fuzz/merge.dict -max_len=2048 build/corpus tests/fuzz/corpus/merge

   (build/corpus is an empty folder for what is found.) */
#include "fuzz.h"
#ifndef DATASET_IMPLEMENTATION
#define DATASET_IMPLEMENTATION
#endif
#include "../../examples/dataset.h"
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-function"      /* most of evaluate */
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#endif
static const char program[] = "fuzz";
#include "../../examples/cli.h"
#define complain(...) 1                                 /* in silence */
#include "../../examples/evaluate_score.h"
#include "../../examples/evaluate_table.h"
#include "../../examples/evaluate_merge.h"
#undef complain

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    evaluation *e = (evaluation *)calloc(1, sizeof *e);
    char *json = (char *)malloc(size + 1);              /* as sal_file_read leaves it */
    int i, k, named = 0;
    memcpy(json, data, size);
    json[size] = 0;
    if (!check_json("fuzz", json, size) && !(number_of(member(json, "total")) > 1000) &&
        !take_shape(e, json)) {
        fuzz_must(e->columns > 0 && e->columns <= SCORES && e->rows <= MAX_ROWS);
        if (!take_scores(e, "fuzz", json)) {
            for (i = 0; i < e->images; i++) named += e->name[i] != NULL;
            fuzz_must(named == count_elements(member(json, "index")));
            fuzz_must(take_scores(e, "fuzz", json) == (named > 0));     /* the same part again */
        }
        same_run(json, json);
    }
    for (k = 0; k < e->rows; k++) free(e->row[k].value);
    for (i = 0; e->name && i < e->images; i++) free(e->name[i]);
    free(e->name);
    free(e);
    free(json);
    return 0;
}
