/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* The self-test finds what is planted: a wrong kernel of any kind, forward or backward, and damaged
   weights. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "../weights/saliency_lite.h"
#include "test.h"

static size_t count_of(sal_shape s) { return (size_t)s.c * s.h * s.w; }

static sal_layer_fn *real;
static int wrong;               /* 1: one number, 2: NaN */

/* The layer, and then one wrong number in its result. */
static sal_result spoilt_forward(sal_ctx *ctx, sal_run *run, int i) {
    sal_result r = real(ctx, run, i);
    if (run->whole) return r;           /* (bytes) */
    int out = run->step[i].output ? run->step[i].output : i;
    float *x = run->value[out].data;
    size_t n = count_of(run->value[out].shape) / 2;
    x[n] = wrong == 2 ? NAN : x[n] + 1;
    return r;
}

static sal_result spoilt_backward(sal_ctx *ctx, sal_run *run, int i) {
    sal_result r = real(ctx, run, i);
    float *g = run->value[run->net->layer[i].input[0]].grad;
    if (g) g[count_of(run->value[run->net->layer[i].input[0]].shape) / 2] += 8;
    return r;
}

static void line(void *user, const char *kernel, double error) {
    int *count = (int *)user;
    (*count)++;
    if (!(error < 1e-3)) printf("     (%s: off by %.1e)\n", kernel, error);
}

static void test_right(sal_ctx *ctx) {
    static const char *const names[] = { "the best", "plain C", "128 bits", "AVX2", "AVX-512" };
    int lines = 0, i;
    for (i = 0; i < COUNT(names); i++) {
        ctx->simd = (sal_simd)i;
        CHECK(sal_self_test(ctx, line, &lines) == SAL_OK, "the kernels are right, with %s: %s",
              names[i], sal_error(ctx));
    }
    ctx->simd = SAL_SIMD_BEST;
    CHECK(lines > 100, "with a line for each");
    ctx->backend = sal_backend_ref();
    CHECK(sal_self_test(ctx, NULL, NULL) == SAL_OK, "the textbook is right: %s", sal_error(ctx));
    ctx->backend = NULL;
    ctx->threads = 3;
    CHECK(sal_self_test(ctx, NULL, NULL) == SAL_OK, "with several threads, too");
    ctx->threads = 1;
}

static void test_planted(sal_ctx *ctx) {
    static const struct { sal_op op; const char *kernel; } cases[] = {
        { SAL_OP_CONV2D, "convolution" }, { SAL_OP_DEPTHWISE, "depthwise" },
        { SAL_OP_DENSE, "dense" }, { SAL_OP_MAXPOOL, "pooling" }, { SAL_OP_MAXOUT, "maxout" },
        { SAL_OP_UPSAMPLE, "resizing" }, { SAL_OP_CONVLSTM, "ConvLSTM" },
        { SAL_OP_CONCAT, "resizing" }, { SAL_OP_MIRROR, "mirroring" },
        { SAL_OP_GAUSSIANS, "priors" }, { SAL_OP_PRIOR, "priors" },
        { SAL_OP_SOFTMAX, "softmax" }, { SAL_OP_LOGPRIOR, "log-prior" },
        { SAL_OP_DROPOUT, "dropout" }
    };
    int i, back;
    for (i = 0; i < COUNT(cases); i++)
        for (back = cases[i].op == SAL_OP_DROPOUT; back < 2; back++) {  /* (predicts nothing) */
            sal_backend spoilt = *sal_backend_cpu();
            sal_result r;
            if (back) {
                real = spoilt.backward[cases[i].op];
                spoilt.backward[cases[i].op] = spoilt_backward;
            } else {
                real = spoilt.forward[cases[i].op];
                spoilt.forward[cases[i].op] = spoilt_forward;
            }
            wrong = 1 + i % 2;
            ctx->backend = &spoilt;
            r = sal_self_test(ctx, NULL, NULL);
            CHECK(r == SAL_ERR_NUMERIC && strstr(sal_error(ctx), cases[i].kernel) &&
                  (strstr(sal_error(ctx), "gradients") != NULL) == back,
                  "a wrong %s%s is found: %.90s...", sal_op_name(cases[i].op),
                  back ? " backward" : "", sal_error(ctx));
        }
    ctx->backend = NULL;
}

/* What works in floats where whole numbers are wanted is as far off as rounding. */
static int no_whole(sal_run *run) { (void)run; return 0; }

static void test_whole(sal_ctx *ctx) {
    sal_backend spoilt = *sal_backend_cpu();
    spoilt.whole = no_whole;
    ctx->backend = &spoilt;
    CHECK(sal_self_test(ctx, NULL, NULL) == SAL_ERR_NUMERIC &&
          strstr(sal_error(ctx), "whole numbers"), "whole numbers that are not computed are found: "
          "%.60s...", sal_error(ctx));
    ctx->backend = NULL;
}

static void test_weights(sal_ctx *ctx) {
    uint64_t *copy = (uint64_t *)malloc((SAL_LITE_BYTES + 7) / 8 * 8);
    sal_use_lite(ctx);
    CHECK(sal_self_test(ctx, NULL, NULL) == SAL_OK, "the built-in weights are right");
    memcpy(copy, ctx->weights, (SAL_LITE_BYTES + 7) / 8 * 8);
    copy[100000] ^= 1;
    ctx->weights = copy;
    CHECK(sal_self_test(ctx, NULL, NULL) == SAL_ERR_NUMERIC &&
          strstr(sal_error(ctx), "built-in weights"), "one wrong bit in them is found: %s",
          sal_error(ctx));
    free(copy);
}

int main(void) {
    sal_ctx ctx;
    memset(&ctx, 0, sizeof ctx);
    ctx.threads = 1;
    test_right(&ctx);
    test_planted(&ctx);
    test_whole(&ctx);
    test_weights(&ctx);
    return test_done();
}
