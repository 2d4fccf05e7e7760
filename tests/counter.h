/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* An allocator that counts, and fails at a chosen call: set fail_at to 1, 2, 3 ... and look at
   live; bytes is the sum of all calls. */
#ifndef SAL_TEST_COUNTER_H
#define SAL_TEST_COUNTER_H

typedef struct counter { int calls, live, fail_at; size_t bytes; } counter;

static void *counted_alloc(void *user, size_t size) {
    counter *c = (counter *)user;
    void *memory;
    if (++c->calls == c->fail_at) return NULL;
    memory = malloc(size);
    if (memory) c->live++;
    c->bytes += size;
    return memory;
}

static void counted_free(void *user, void *memory) {
    ((counter *)user)->live--;
    free(memory);
}

/* A fresh context on this allocator. */
static sal_ctx counted(counter *c) {
    sal_ctx ctx;
    memset(&ctx, 0, sizeof ctx);
    memset(c, 0, sizeof *c);
    ctx.user = c; ctx.alloc = counted_alloc; ctx.free = counted_free;
    ctx.threads = 1;            /* a counter belongs to one thread */
    return ctx;
}

#endif
