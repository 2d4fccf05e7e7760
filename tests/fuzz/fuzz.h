/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* What the fuzz targets share: the implementation, a context that counts its memory, and a condition
   that must hold. */
#ifndef SAL_FUZZ_H
#define SAL_FUZZ_H
#ifndef SALIENCY_IMPLEMENTATION
#define SALIENCY_IMPLEMENTATION
#endif
#include "../../saliency.h"

typedef struct fuzz_use { int live; size_t bytes; } fuzz_use;

static inline void *fuzz_alloc(void *user, size_t size) {
    ((fuzz_use *)user)->live++;
    ((fuzz_use *)user)->bytes += size;
    return malloc(size);
}

static inline void fuzz_free(void *user, void *memory) {
    ((fuzz_use *)user)->live--;
    free(memory);
}

static inline void fuzz_start(sal_ctx *ctx, fuzz_use *use) {
    memset(ctx, 0, sizeof *ctx);
    ctx->threads = 1;
    ctx->user = use; ctx->alloc = fuzz_alloc; ctx->free = fuzz_free;
}

static inline void fuzz_must(int condition) { if (!condition) abort(); }

#endif
