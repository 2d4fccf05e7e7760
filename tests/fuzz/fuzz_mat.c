/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* fuzz_mat: any bytes as a MATLAB file, and its variables as the fixations of each published set.

       clang -g -O1 -fsanitize=fuzzer,address,undefined,float-cast-overflow \
             -fno-sanitize-recover=all -I. tests/fuzz/fuzz_mat.c -o build/fuzz_mat -lm
       build/fuzz_mat -dict=tests/fuzz/mat.dict -max_len=4096 build/corpus tests/fuzz/corpus/mat

   (build/corpus is an empty folder for what is found.) The first byte says how the rest is taken:
   as a whole file, as variables in either byte order, or as one variable that is then packed. */
#include "fuzz.h"
#ifndef DATASET_IMPLEMENTATION
#define DATASET_IMPLEMENTATION
#endif
#include "../../examples/dataset.h"

/* Look at everything a program could look at. */
static double mat_sum(const sal_mat *m, int depth) {
    size_t i, n = m->kind == SAL_MAT_STRUCT ? m->count * (size_t)m->fields : m->count;
    double sum = (double)strlen(m->name) + (double)strlen(m->class_name);
    fuzz_must(m->ndim >= 2 && depth < 100);
    for (i = 0; i < (size_t)m->ndim; i++) sum += m->dim[i];
    if (m->kind == SAL_MAT_TEXT) sum += (double)strlen(m->text);
    if (m->kind == SAL_MAT_NUMBERS || m->kind == SAL_MAT_SPARSE) {
        for (i = 0; i < n; i++) {
            sum += m->number[i] + (m->imag ? m->imag[i] : 0);
            if (m->kind == SAL_MAT_SPARSE)
                fuzz_must(m->row[i] >= 0 && m->row[i] < m->dim[0] &&
                          m->column[i] >= 0 && m->column[i] < m->dim[1]);
        }
    }
    if (m->kind == SAL_MAT_CELL || m->kind == SAL_MAT_STRUCT)
        for (i = 0; i < n; i++) sum += mat_sum(&m->child[i], depth + 1);
    return sum;
}

/* The readers of the layouts, on a set of four pictures that nobody opened. */
static void mat_layouts(sal_ctx *ctx, const sal_mat *file) {
    static const char *const names[] = { "1.jpg", "2.jpg", "train/3.jpg", "1e99.jpg" };
    int reader, i;
    for (reader = 0; reader < 5; reader++) {
        sal_dataset set;
        set__opener b;
        sal_dataset_entry *e;
        double scratch[64];
        memset(&set, 0, sizeof set);
        memset(&b, 0, sizeof b);
        b.ctx = ctx; b.set = &set;
        set.path = "fuzz";
        set.options.skip_missing = 1;
        for (i = 0; i < 4; i++) fuzz_must(set__new_entry(&b, names[i], names[i], &e) == SAL_OK);
        fuzz_must(set__sort_stems(&b) == SAL_OK);
        if (reader == 0) set__read_fixations(&b, "fuzz", file);
        if (reader == 1) set__read_toronto(&b, "fuzz", file);
        if (reader == 2) set__mat_gaze(ctx, "fuzz", sal_mat_field(file, 0, "gaze"),
                                       sal_mat_field(file, 0, "resolution"), &b.looks, 0, 640, 480);
        if (reader == 3)
            set__mat_pixels(ctx, "fuzz", sal_mat_field(file, 0, "fixLocs"), &b.looks, 1, 9, 7);
        for (i = 0; i < file->fields && reader == 4; i++) {
            const sal_mat *m = &file->child[i];
            int n = set__is_matrix(m, 2) && m->count ? m->dim[0] : 0;
            if (n > 0 && n <= SET__COUNT(scratch))
                set__detect(ctx, m->number, m->number + n, n, 0, 1, scratch, &b.looks);
        }
        if (reader != 4 && set__check_entries(&b) == SAL_OK && set__sort_subjects(&b) == SAL_OK &&
                set__sort_looks(&b) == SAL_OK) {
            for (i = 0; i < b.looks.count; i++) {
                const sal_fixation *f = &set.fixation[i];
                fuzz_must(fabs(f->x) <= 1e7 && fabs(f->y) <= 1e7 && f->subject >= 0);
            }
        }
        sal_free(ctx, b.looks.list); sal_free(ctx, (void *)b.subject);
        set__arena_free(ctx, &b.arena);
        sal_free(ctx, set.entry);
    }
}

static void mat_try(const unsigned char *data, size_t size) {
    fuzz_use use = { 0, 0 };
    sal_ctx ctx;
    sal_mat file;
    fuzz_start(&ctx, &use);
    if (sal_mat_load_memory(&ctx, data, size, "fuzz", &file) == SAL_OK) {
        fuzz_must(mat_sum(&file, 0) != -1);
        mat_layouts(&ctx, &file);
        sal_mat_free(&ctx, &file);
    } else {
        fuzz_must(!file.child && !file.memory && !strncmp(sal_error(&ctx), "fuzz: ", 6));
    }
    /* a byte unpacks to 1032 at most, and 8 of those make one sal_mat */
    fuzz_must(use.live == 0 && use.bytes < ((size_t)1 << 21) + 40000 * size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    unsigned char *whole;
    int length = 0, how;
    if (size < 2) return 0;
    how = data[0] % 4;
    data++; size--;
    if (how == 0) { mat_try(data, size); return 0; }
    whole = (unsigned char *)malloc(2 * size + 1024);
    memset(whole, ' ', 124);
    memcpy(whole + 124, how == 2 ? "\1\0MI" : "\0\1IM", 4);
    memcpy(whole + 128, data, size);
    if (how == 3) {
        unsigned char *packed = stbi_zlib_compress(whole + 128, (int)size, &length, 5);
        size = 8 + (size_t)length;
        memcpy(whole + 128, "\17\0\0\0", 4);
        whole[132] = (unsigned char)length; whole[133] = (unsigned char)(length >> 8);
        whole[134] = (unsigned char)(length >> 16); whole[135] = 0;
        memcpy(whole + 136, packed, (size_t)length);
        free(packed);
    }
    mat_try(whole, 128 + size);
    free(whole);
    return 0;
}
