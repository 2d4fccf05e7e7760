/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* A parallel loop on plain threads, which every compiler has and the thread sanitizer understands.
   Worker k takes every piece from the end that is k modulo the number of workers (at most 8):
   another order than OpenMP's. */
#ifndef SAL_TEST_POOL_H
#define SAL_TEST_POOL_H
#include <pthread.h>

typedef struct pool { sal_ctx *ctx; sal_task_fn *fn; void *arg; int n, worker; } pool;

static void *pool_worker(void *arg) {
    pool *p = (pool *)arg;
    int i;
    for (i = p->n - 1 - p->worker; i >= 0; i -= p->ctx->threads) p->fn(p->arg, i, p->worker);
    return NULL;
}

static void pool_for(void *user, int n, sal_task_fn *fn, void *arg) {
    pthread_t thread[8];
    pool p[8];
    sal_ctx *ctx = (sal_ctx *)user;
    int k;
    for (k = 0; k < ctx->threads; k++) {
        p[k].ctx = ctx; p[k].fn = fn; p[k].arg = arg; p[k].n = n; p[k].worker = k;
        pthread_create(&thread[k], NULL, pool_worker, &p[k]);
    }
    for (k = 0; k < ctx->threads; k++) pthread_join(thread[k], NULL);
}

/* Parallel loops of this context run on so many threads. */
static void pool_use(sal_ctx *ctx, int threads) {
    ctx->threads = threads; ctx->user = ctx; ctx->parallel_for = pool_for;
}

#endif
