/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* fuzz_safetensors: any bytes as a weights file. What is refused leaves no memory and names the
   file; what is read can be written and read again, and stays the same.

       clang -g -O1 -fsanitize=fuzzer,address,undefined,float-cast-overflow \
             -fno-sanitize-recover=all -I. tests/fuzz/fuzz_safetensors.c \
             -o build/fuzz_safetensors -lm
       build/fuzz_safetensors -dict=tests/fuzz/safetensors.dict -max_len=4096 build/corpus \
             tests/fuzz/corpus/safetensors

   (build/corpus is an empty folder for what is found.) */
#include "fuzz.h"

static int safetensors_equal(const sal_tensor *a, const sal_tensor *b) {
    return a->ndim == b->ndim && a->dtype == b->dtype && !memcmp(a->dim, b->dim, sizeof a->dim) &&
           !memcmp(a->data, b->data, sal_tensor_count(a) * sal_dtype_size(a->dtype)) &&
           (a->dtype != SAL_DTYPE_I8 ||
            !memcmp(a->scale, b->scale, (size_t)a->dim[0] * sizeof(float)));
}

/* The file again, as sal_safetensors_save writes it, but in memory. */
static unsigned char *safetensors_write(const sal_safetensors *file, size_t *size) {
    sal_named_tensor *list = (sal_named_tensor *)malloc((size_t)(file->count + 1) * sizeof *list);
    sal__piece *piece = (sal__piece *)malloc((size_t)(2 * file->count + 1) * sizeof *piece);
    sal_ctx ctx = { 0 };
    sal__bytes header = SAL__ZEROED;
    unsigned char *bytes;
    int i, count = 0, pieces;
    size_t at;
    for (i = 0; i < file->count; i++)
        if (file->tensor[i].tensor.data) list[count++] = file->tensor[i];
    pieces = sal__pieces(piece, list, count);
    header.ctx = &ctx;
    sal__put_header(&header, piece, pieces, file->meta, file->metas);
    *size = at = header.size;
    for (i = 0; i < pieces; i++) *size += piece[i].bytes;
    bytes = (unsigned char *)malloc(*size + 1);
    memcpy(bytes, header.data, at);
    for (i = 0; i < pieces; at += piece[i++].bytes)
        memcpy(bytes + at, piece[i].tensor.data, piece[i].bytes);
    sal_free(&ctx, header.data);
    free(piece);
    free(list);
    return bytes;
}

static void safetensors_try(const unsigned char *data, size_t size) {
    fuzz_use use = { 0, 0 };
    sal_ctx ctx;
    sal_safetensors file, again;
    sal_net *net;
    unsigned char *written;
    size_t length;
    int i;
    fuzz_start(&ctx, &use);
    if (sal_safetensors_parse(&ctx, data, size, "fuzz", &file) == SAL_OK) {
        written = safetensors_write(&file, &length);
        fuzz_must(sal_safetensors_parse(&ctx, written, length, "again", &again) == SAL_OK);
        fuzz_must(again.metas == file.metas);
        for (i = 0; i < 2 * file.metas; i++) fuzz_must(!strcmp(again.meta[i], file.meta[i]));
        for (i = 0; i < file.count; i++) {
            const sal_named_tensor *t = &file.tensor[i];
            fuzz_must(sal_safetensors_find(&file, t->name) == t);
            if (!t->tensor.data) continue;
            fuzz_must(safetensors_equal(&t->tensor,
                                        &sal_safetensors_find(&again, t->name)->tensor));
        }
        free(written);
        sal_safetensors_free(&ctx, &again);
        sal_safetensors_free(&ctx, &file);
    } else
        fuzz_must(!strncmp(sal_error(&ctx), "fuzz: ", 6));
    fuzz_must(use.live == 0 && use.bytes <= 64 * size + 16384);
    if (sal_net_load_memory(&ctx, data, size, "fuzz", &net) == SAL_OK) sal_net_free(&ctx, net);
    fuzz_must(use.live == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t header, i;
    unsigned char *copy;
    safetensors_try(data, size);
    /* chance rarely finds the length of a header: so once more, up to the last brace */
    for (header = size; header > 8 && data[header - 1] != '}'; header--) { }
    if (header <= 8) return 0;
    copy = (unsigned char *)malloc(size);
    memcpy(copy, data, size);
    for (i = 0; i < 8; i++) copy[i] = (unsigned char)((uint64_t)(header - 8) >> 8 * i & 255);
    safetensors_try(copy, size);
    free(copy);
    return 0;
}
