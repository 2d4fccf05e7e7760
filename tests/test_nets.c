/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* Networks: end to end against PyTorch (golden/make_golden.py), on both backends; shapes, memory
   plan, threads, sharing, failing allocations. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "test.h"
#include "counter.h"
#include "seeded.h"
#include "pool.h"
#include <time.h>

/* n different inputs; the first is that of the golden values. Free it. */
static float *inputs(int n, int h, int w) {
    size_t size = (size_t)3 * h * w;
    float *x = (float *)malloc(n * size * sizeof(float));
    int i;
    for (i = 0; i < n; i++) fill(x + i * size, size, i ? "another input" : "input", -1, 1);
    return x;
}

/* A small size and width for tests that look at the machinery. */
static const struct { int h, w, narrow; } small[SAL_KIND_COUNT] = {
    { 96, 96, 4 }, { 64, 64, 4 }, { 88, 168, 16 }, { 56, 40, 16 }, { 56, 40, 16 },
    { 64, 96, 8 }
};

static sal_result make_small(sal_ctx *ctx, int kind, sal_net **net) {
    return make(ctx, (sal_kind)kind, small[kind].narrow, 0, small[kind].h, small[kind].w, net);
}

static size_t out_size(const sal_run *run) {
    return (size_t)run->n * run->shape.c * run->shape.h * run->shape.w;
}

/* max |got - want| / max |want| */
static double off(const float *got, const float *want, size_t n) {
    double most = 0, d = 0;
    size_t i;
    for (i = 0; i < n; i++) {
        double e = fabs((double)got[i] - want[i]);
        if (e > d || e != e) d = e;       /* keeps a NaN */
        most = MAX(most, fabs((double)want[i]));
    }
    return d / most;
}

/* --- against PyTorch -------------------------------------------------------------------------- */

typedef struct golden_case {
    const char *name;
    sal_kind kind;
    int narrow, v15, h, w, textbook;    /* textbook: small enough for the reference backend */
    size_t params;
} golden_case;

static const golden_case golden_cases[] = {
    { "juntingnet.1",     SAL_KIND_JUNTINGNET, 1, 0,  96,  96, 1, 34864384 },
    { "wepsam.1",         SAL_KIND_WEPSAM,     1, 0, 128, 128, 1, 29946368 },
    { "mlnet.8",          SAL_KIND_MLNET,      8, 0, 168, 240, 1, 242111 },     /* one of 2 x 3 */
    { "sam-vgg.8",        SAL_KIND_SAM_VGG,    8, 0,  72,  40, 1, 856745 },
    { "sam-resnet.8",     SAL_KIND_SAM_RESNET, 8, 0,  72,  40, 1, 1154489 },
    { "sam-resnet.8.v15", SAL_KIND_SAM_RESNET, 8, 1,  72,  40, 1, 1154489 },
    { "lite.8",           SAL_KIND_LITE,       8, 0,  72,  40, 1, 51867 },
    { "lite.1",           SAL_KIND_LITE,       1, 0,  96, 128, 0, 2675537 },
    { "mlnet.1",          SAL_KIND_MLNET,      1, 0,  80,  96, 0, 15452098 }, /* a prior of 1 x 1 */
    { "sam-vgg.1",        SAL_KIND_SAM_VGG,    1, 0,  48,  64, 0, 51835841 },
    { "sam-resnet.1",     SAL_KIND_SAM_RESNET, 1, 0,  48,  64, 0, 70120001 }
};

static const struct { golden_case g; int plain, steps; sal_priors priors; } variants[] = {
    { { "sam-vgg.8.plain.0.none", SAL_KIND_SAM_VGG, 8, 0, 72, 104, 1, 230633 }, 1, 0,
      SAL_PRIORS_NONE },
    { { "sam-vgg.8.dilated.2.gaussian", SAL_KIND_SAM_VGG, 8, 0, 72, 40, 1, 856745 }, 0, 2,
      SAL_PRIORS_GAUSSIAN },
    { { "sam-resnet.8.plain.1.gaussian", SAL_KIND_SAM_RESNET, 8, 0, 72, 104, 1, 1154489 }, 1, 1,
      SAL_PRIORS_GAUSSIAN },
    { { "sam-resnet.8.dilated.0.mask", SAL_KIND_SAM_RESNET, 8, 0, 88, 168, 1, 528379 }, 0, 0,
      SAL_PRIORS_MASK },
    { { "mlnet.8.dilated.4.none", SAL_KIND_MLNET, 8, 0, 72, 40, 1, 242105 }, 0, 0, SAL_PRIORS_NONE }
};

static const sal_tensor *find(const sal_safetensors *golden, const char *name, const char *key) {
    char text[64];
    const sal_named_tensor *t;
    snprintf(text, sizeof text, "%s.%s", name, key);
    t = sal_safetensors_find(golden, text);
    return t ? &t->tensor : NULL;
}

/* The value that the golden values call features (what the head gets) or lstm; -1: has none. */
static int inner_value(const sal_net *net, const char *key) {
    int i;
    for (i = 0; i < net->layers; i++) {
        const sal_layer *l = &net->layer[i];
        if (!strcmp(key, "lstm")) { if (l->op == SAL_OP_CONVLSTM) return i; }
        else if (l->op == SAL_OP_DENSE || l->op == SAL_OP_CONVLSTM ||
                 !strcmp(l->name, "head.readout")) return l->input[0];
        else if (l->op == SAL_OP_CONCAT) return i;
    }
    return -1;
}

/* Some values of an inner layer: the network cut off behind it. 64 values spread evenly. */
static void check_inner(sal_ctx *ctx, const sal_net *net, const golden_case *g, const float *in,
                        const sal_tensor *want, const char *key) {
    sal_net part = *net;
    sal_run *run = NULL;
    float got[64];
    double error = INFINITY;
    int i;
    part.layers = inner_value(net, key) + 1;
    if (part.layers > 0 && sal_run_open(ctx, &part, 1, g->w, g->h, &run) == SAL_OK &&
        sal_run_forward(ctx, run, in) == SAL_OK) {
        for (i = 0; i < 64; i++) got[i] = run->output[(size_t)i * out_size(run) / 64];
        error = off(got, (const float *)want->data, 64);
    }
    sal_run_close(ctx, run);
    CHECK(error <= 1e-4, "%s: %s as in PyTorch on %s (off by %.1e of the largest value)", g->name,
          key, ctx->backend->name, error);
}

static void check_golden(sal_ctx *ctx, const sal_safetensors *golden, const golden_case *g,
                         sal_net_desc desc) {
    static const char *const keys[] = { "features", "lstm" };
    const sal_tensor *want = find(golden, g->name, "out");
    sal_net *net;
    size_t params = 0;
    float *in = inputs(1, g->h, g->w);
    int i, backend;
    sal_result r;
    desc.narrow = g->narrow;
    desc.stride_on_3x3 = g->v15;
    /* SAM's weights fit every size: the network is that of 240 x 320, the run that of the case */
    if (g->kind < SAL_KIND_SAM_VGG ||
        desc.priors == SAL_PRIORS_MASK) { desc.h = g->h; desc.w = g->w; }
    r = make_desc(ctx, &desc, &net);
    if (!want || r != SAL_OK) {
        CHECK(0, "%s is built and has golden values: %s", g->name, sal_error(ctx));
        free(in);
        return;
    }
    for (i = 0; i < net->params; i++) params += sal_tensor_count(&net->param[i].value);
    CHECK(params == g->params, "%s has %d parameters", g->name, (int)params);
    for (backend = !g->textbook; backend < 2; backend++) {
        sal_run *run;
        double error = INFINITY;
        ctx->backend = backend ? sal_backend_cpu() : sal_backend_ref();
        ctx->threads = 3;
        for (i = 0; i < 2; i++) {
            const sal_tensor *inner = find(golden, g->name, keys[i]);
            if (inner) check_inner(ctx, net, g, in, inner, keys[i]);
        }
        r = sal_run_open(ctx, net, 1, g->w, g->h, &run);
        if (r == SAL_OK) r = sal_run_forward(ctx, run, in);
        if (r == SAL_OK && run->shape.c == want->dim[1] && run->shape.h == want->dim[2] &&
            run->shape.w == want->dim[3])
            error = off(run->output, (const float *)want->data, out_size(run));
        CHECK(error <= 1e-4, "%s: %d x %d to %d x %d as in PyTorch on %s (off by %.1e of the "
              "largest value)", g->name, g->h, g->w, want->dim[2], want->dim[3],
              ctx->backend->name, error);
        if (r == SAL_OK && backend) {       /* the run was opened for three threads */
            float *first = (float *)malloc(out_size(run) * sizeof(float));
            memcpy(first, run->output, out_size(run) * sizeof(float));
            ctx->threads = 1;
            r = sal_run_forward(ctx, run, in);
            CHECK(r == SAL_OK && !memcmp(first, run->output, out_size(run) * sizeof(float)),
                  "%s: one thread gives the same bits as three", g->name);
            free(first);
        }
        sal_run_close(ctx, run);
        ctx->threads = 0;
    }
    ctx->backend = NULL;
    sal_net_free(ctx, net);
    free(in);
}

/* SAM's Table IV: a network of four steps that stops after two is a network of two. */
static void check_fewer_steps(sal_ctx *ctx, const sal_safetensors *golden) {
    const sal_tensor *want = find(golden, "sam-vgg.8.dilated.2.gaussian", "out");
    float *in = inputs(1, 72, 40);
    sal_net *net = NULL;
    sal_run *run = NULL;
    double error = INFINITY;
    if (want && make(ctx, SAL_KIND_SAM_VGG, 8, 0, 0, 0, &net) == SAL_OK &&
        sal_net_steps(ctx, net, 2) == SAL_OK && sal_run_open(ctx, net, 1, 40, 72, &run) == SAL_OK &&
        sal_run_forward(ctx, run, in) == SAL_OK)
        error = off(run->output, (const float *)want->data, out_size(run));
    CHECK(error <= 1e-4 && net->desc.steps == 2, "four steps of the ConvLSTM, cut to two, give "
          "PyTorch's two (off by %.1e)", error);
    sal_net_steps(ctx, net, 4);
    error = run && sal_run_forward(ctx, run, in) == SAL_OK && want
          ? off(run->output, (const float *)want->data, out_size(run)) : INFINITY;
    CHECK(error <= 1e-4, "a run that is open keeps its two steps (off by %.1e)", error);
    sal_net_steps(ctx, net, 2);
    CHECK(net && sal_net_steps(ctx, net, 0) == SAL_ERR_ARGUMENT && net->desc.steps == 2,
          "no step at all is refused: %s", sal_error(ctx));
    sal_run_close(ctx, run);
    sal_net_free(ctx, net);
    if (make_small(ctx, SAL_KIND_MLNET, &net) == SAL_OK)
        CHECK(sal_net_steps(ctx, net, 2) == SAL_ERR_ARGUMENT, "steps of a network without ConvLSTM "
              "are refused: %s", sal_error(ctx));
    sal_net_free(ctx, net);
    free(in);
}

static void test_golden(sal_ctx *ctx) {
    sal_safetensors golden;
    int i;
    sal_result r = sal_safetensors_load(ctx, "tests/golden/nets.safetensors", &golden);
    CHECK(r == SAL_OK, "golden values are read %s", r ? sal_error(ctx) : "from tests/golden");
    if (r != SAL_OK) return;
    for (i = 0; i < COUNT(golden_cases); i++) {
        const golden_case *g = &golden_cases[i];
        double seconds = (double)clock() / CLOCKS_PER_SEC;
        if (!g->textbook && seconds > 30)       /* in an emulator: it would take minutes */
            SKIP("%s: this machine is too slow, %.0f s until here", g->name, seconds);
        else
            check_golden(ctx, &golden, g, sal_net_desc_default(g->kind));
    }
    for (i = 0; i < COUNT(variants); i++) {
        const golden_case *g = &variants[i].g;
        sal_net_desc desc = sal_net_desc_default(g->kind);
        desc.plain = variants[i].plain; desc.steps = variants[i].steps;
        desc.priors = variants[i].priors;
        check_golden(ctx, &golden, g, desc);
    }
    check_fewer_steps(ctx, &golden);
    sal_safetensors_free(ctx, &golden);
}

/* Numbers of no network, operator, ...: the tables that they are places in end before them. */
static void test_no_such(sal_ctx *ctx) {
    static const int none[] = { -1, 100, 2000000000 };
    sal_net *net;
    for (int i = 0; i < COUNT(none); i++) {
        int n = none[i];
        sal_net_desc desc = sal_net_desc_default((sal_kind)n);
        sal_train_desc recipe = sal_train_desc_paper((sal_kind)n);
        CHECK(!strcmp(sal_kind_name((sal_kind)n), "?") && !strcmp(sal_op_name((sal_op)n), "?") &&
              !strcmp(sal_classical_name((sal_classical_kind)n), "?") &&
              !strcmp(sal_dtype_name((sal_dtype)n), "?") && !sal_dtype_size((sal_dtype)n) &&
              !recipe.epochs && sal_net_new(ctx, &desc, &net) == SAL_ERR_ARGUMENT && !net,
              "what there is no number %d of has the name ?: %s", n, sal_error(ctx));
    }
}

/* --- sizes ------------------------------------------------------------------------------------ */

static void test_shapes(sal_ctx *ctx) {
    int kind;
    for (kind = 0; kind < SAL_KIND_COUNT; kind++) {
        static sal_shape shapes[SAL__MAX_LAYERS];
        sal_net_desc desc = sal_net_desc_default((sal_kind)kind);
        const char *name = sal_kind_name((sal_kind)kind);
        int fixed = kind == SAL_KIND_JUNTINGNET || kind == SAL_KIND_WEPSAM, h, w, bad = 0,
            tried = 0;
        sal_net *net;
        desc.narrow = 8;
        if (sal_net_new(ctx, &desc, &net) != SAL_OK) {
            CHECK(0, "%s is built: %s", name, sal_error(ctx));
            continue;
        }
        for (h = 1; h <= 200; h++)
            for (w = 1; w <= 200; w++) {
                int takes = fixed ? h == desc.h && w == desc.w : h % 8 == 0 && w % 8 == 0;
                sal_shape s = { 0, 0, 0 };
                sal_result r;
                ctx->error[0] = 0;
                r = sal_net_shapes(ctx, net, w, h, shapes);
                if (r == SAL_OK) s = shapes[net->layers - 1];
                if (takes) bad += r != SAL_OK || (!fixed && (s.c != 1 || s.h != h / 8 ||
                                                             s.w != w / 8));
                else bad += r != SAL_ERR_SHAPE || !ctx->error[0];
                tried++;
            }
        if (fixed) CHECK(!bad, "%s takes %d x %d only, and says so (%d sizes tried)", name, desc.h,
                         desc.w, tried);
        else CHECK(!bad, "%s takes every multiple of 8 to a map of an eighth, and no other size "
                   "(%d sizes tried)", name, tried);
        sal_net_free(ctx, net);
    }
}

/* A network runs at sizes it was not made for. */
static void test_other_sizes(sal_ctx *ctx) {
    static const int sizes[][2] = { { 8, 8 }, { 8, 128 }, { 56, 16 }, { 48, 64 } };
    int kind, i, backend;
    for (kind = SAL_KIND_MLNET; kind < SAL_KIND_COUNT; kind++) {
        sal_net *net;
        double worst = 0;
        int bad = 0;
        if (make_small(ctx, kind, &net) != SAL_OK) { CHECK(0, "%s", sal_error(ctx)); continue; }
        for (i = 0; i < COUNT(sizes); i++) {
            float *in = inputs(1, sizes[i][0], sizes[i][1]), out[1024];
            for (backend = 0; backend < 2; backend++) {
                sal_run *run = NULL;
                ctx->backend = backend ? sal_backend_cpu() : sal_backend_ref();
                if (sal_run_open(ctx, net, 1, sizes[i][1], sizes[i][0], &run) != SAL_OK ||
                    sal_run_forward(ctx, run, in) != SAL_OK) { bad = 1; continue; }
                if (backend) {
                    double e = off(run->output, out, out_size(run));
                    if (e > worst) worst = e;       /* NaN: an output of zeros, which is right */
                } else {
                    memcpy(out, run->output, out_size(run) * sizeof(float));
                }
                sal_run_close(ctx, run);
            }
            free(in);
        }
        ctx->backend = NULL;
        CHECK(!bad && worst <= 1e-4, "%s runs at 8 x 8, 8 x 128, 56 x 16 and 48 x 64, alike on "
              "both backends (off by %.1e)", sal_kind_name((sal_kind)kind), worst);
        sal_net_free(ctx, net);
    }
}

static void test_refusals(sal_ctx *ctx) {
    static const struct { sal_kind kind; int plain, steps, priors; const char *part; } odd[] = {
        { SAL_KIND_LITE, 1, 0, 0, "lite has no such variant: a plain backbone" },
        { SAL_KIND_MLNET, 0, 1, 2, "mlnet has no such variant" },
        { SAL_KIND_SAM_VGG, 0, 5, 1, "sal.steps is 5; it must be from 0 to 4" },
        { SAL_KIND_SAM_RESNET, 0, -1, 1, "sal.steps is -1" },
        { SAL_KIND_MLNET, 0, 0, 1, "mlnet has no such variant" },
        { SAL_KIND_JUNTINGNET, 0, 0, 2, "a mask also for mlnet" },
        { SAL_KIND_SAM_VGG, 0, 4, 3, "sal.priors is 3" }
    };
    int i;
    sal_net_desc desc = sal_net_desc_default(SAL_KIND_MLNET);
    sal_net *net = NULL;
    sal_run *run = NULL;
    desc.w = 644;
    CHECK(sal_net_new(ctx, &desc, &net) == SAL_ERR_SHAPE && !net && strstr(sal_error(ctx), "644"),
          "a size that is no multiple of 8 is refused with its numbers: %s", sal_error(ctx));
    desc = sal_net_desc_default(SAL_KIND_JUNTINGNET);
    desc.h = desc.w = 8;
    CHECK(sal_net_new(ctx, &desc, &net) == SAL_ERR_SHAPE && !net && strstr(sal_error(ctx), "conv2"),
          "a size too small for a kernel is refused with the layer: %s", sal_error(ctx));
    desc.kind = SAL_KIND_COUNT;
    CHECK(sal_net_new(ctx, &desc, &net) == SAL_ERR_ARGUMENT && !net, "an unknown kind is refused: "
          "%s", sal_error(ctx));
    for (i = 0; i < COUNT(odd); i++) {
        desc = sal_net_desc_default(odd[i].kind);
        desc.plain = odd[i].plain; desc.steps = odd[i].steps; desc.priors = (sal_priors)odd[i].priors;
        CHECK(sal_net_new(ctx, &desc, &net) == SAL_ERR_ARGUMENT && !net &&
              strstr(sal_error(ctx), odd[i].part), "a variant that makes no sense is refused: %s",
              sal_error(ctx));
    }
    float *noise = inputs(1, 128, 128);
    desc = sal_net_desc_default(SAL_KIND_WEPSAM);
    CHECK(sal_net_new(ctx, &desc, &net) == SAL_OK && sal_run_open(ctx, net, 1, 0, 0, &run) == SAL_OK &&
          sal_run_forward(ctx, run, noise) == SAL_ERR_ARGUMENT &&
          strstr(sal_error(ctx), "conv1.weight has no values yet"), "a network without values has a plan, "
          "but predicts nothing: %s", sal_error(ctx));
    free(noise);
    sal_run_close(ctx, run);
    sal_net_free(ctx, net);
    if (make_small(ctx, SAL_KIND_JUNTINGNET, &net) != SAL_OK) { CHECK(0, "%s", sal_error(ctx));
    return; }
    CHECK(sal_run_open(ctx, net, 1, 104, 96, &run) == SAL_ERR_SHAPE && !run &&
          strstr(sal_error(ctx), "96 x 96"), "a run of another size than the dense layer's is "
          "refused: %s", sal_error(ctx));
    CHECK(sal_run_open(ctx, net, 0, 0, 0, &run) == SAL_ERR_ARGUMENT && !run,
          "a batch of none is refused: %s", sal_error(ctx));
    CHECK(sal_run_open(ctx, net, 100000000, 0, 0, &run) == SAL_ERR_MEMORY && !run,
          "a batch beyond all memory is refused: %s", sal_error(ctx));
    ctx->threads = 2;
    if (sal_run_open(ctx, net, 1, 0, 0, &run) == SAL_OK) {
        float *in = inputs(1, 96, 96);
        ctx->threads = 3;
        CHECK(sal_threads(ctx) < 3 || sal_run_forward(ctx, run, in) == SAL_ERR_ARGUMENT,
              "more threads than a run was opened for are refused: %s", sal_error(ctx));
        free(in);
    }
    ctx->threads = 0;
    sal_run_close(ctx, run);
    sal_net_free(ctx, net);
}

/* --- memory ----------------------------------------------------------------------------------- */

/* The plan by its own words, checked from the layer list: what a layer reads must still be there,
   and what lives at the same time must not overlap. */
static void check_plan(const sal_run *run) {
    const sal_net *net = run->net;
    const char *bad = NULL;
    double naive = 0;
    int i, k;
    for (i = 1; i < net->layers; i++) {
        const sal_layer *l = &net->layer[i];
        const sal_step *s = &run->step[i];
        if (s->skip) continue;
        for (k = 0; k <= l->inputs; k++) {
            int v = k < l->inputs ? l->input[k] : s->add;
            if (v < 0) continue;
            while (run->value[v].root != v) v = run->value[v].root;
            if (v && (run->value[v].first >= i || run->value[v].last < i))
                bad = "a layer reads a value outside its lifetime";
        }
    }
    for (i = 1; i < net->layers; i++) {
        const sal_value *a = &run->value[i];
        size_t size = (size_t)run->n * a->shape.c * a->shape.h * a->shape.w;
        if (a->root != i) continue;
        naive += (double)size;
        if (a->offset + size > run->arena_floats || a->data != run->arena + a->offset)
            bad = "a value is not inside the arena";
        for (k = 1; k < i; k++) {
            const sal_value *b = &run->value[k];
            size_t other = (size_t)run->n * b->shape.c * b->shape.h * b->shape.w;
            if (b->root == k && a->first <= b->last && b->first <= a->last &&
                a->offset < b->offset + other && b->offset < a->offset + size)
                bad = "two values that live at the same time overlap";
        }
    }
    if (run->value[net->layers - 1].last < net->layers - 1) bad = "the output dies too early";
    CHECK(!bad, "%s on %s: live values lie apart in the arena%s%s", net->name, run->backend->name,
          bad ? ": " : "", bad ? bad : "");
    CHECK(run->arena_floats <= naive, "%s on %s: the arena is %.1f of the %.1f MB of all values",
          net->name, run->backend->name, run->arena_floats * 4e-6, naive * 4e-6);
}

static void test_memory(void) {
    int kind, backend;
    for (kind = 0; kind < SAL_KIND_COUNT; kind++)
        for (backend = 0; backend < 2; backend++) {
            counter c;
            sal_ctx ctx = counted(&c);
            sal_net *net = NULL;
            sal_run *run = NULL;
            float *in = inputs(1, small[kind].h, small[kind].w), first[4096];
            int calls, same;
            ctx.backend = backend ? sal_backend_cpu() : sal_backend_ref();
            if (make_small(&ctx, kind, &net) != SAL_OK ||
                sal_run_open(&ctx, net, 1, 0, 0, &run) != SAL_OK ||
                sal_run_forward(&ctx, run, in) != SAL_OK) {
                CHECK(0, "%s runs on %s: %s", sal_kind_name((sal_kind)kind), ctx.backend->name,
                      sal_error(&ctx));
            } else {
                check_plan(run);
                memcpy(first, run->output, out_size(run) * sizeof(float));
                /* all bits set is not a number: whatever is read before it is written shows */
                memset(run->arena, 0xFF, run->arena_floats * sizeof(float));
                memset(run->scratch, 0xFF, run->scratch_bytes);
                calls = c.calls;
                same = sal_run_forward(&ctx, run, in) == SAL_OK &&
                       !memcmp(first, run->output, out_size(run) * sizeof(float));
                CHECK(c.calls == calls, "%s on %s: forward allocates nothing", net->name,
                      ctx.backend->name);
                CHECK(same, "%s on %s: forward gives the same bits again, whatever lies in its "
                      "memory", net->name, ctx.backend->name);
            }
            sal_run_close(&ctx, run);
            sal_net_free(&ctx, net);
            CHECK(c.live == 0, "%s on %s: closing releases everything (%d allocations)",
                  sal_kind_name((sal_kind)kind), ctx.backend->name, c.calls);
            free(in);
        }
}

/* Build, initialise, run; allocation number 1, 2, 3, ... fails until all succeeds. */
static void test_failing_allocations(void) {
    int kind;
    for (kind = 0; kind < SAL_KIND_COUNT; kind++) {
        sal_net_desc desc = sal_net_desc_default((sal_kind)kind);
        int fail, bad = 0, done = 0;
        desc.narrow = 64;
        desc.h = desc.w = kind < SAL_KIND_MLNET ? 32 : 16;
        for (fail = 1; !done && !bad && fail < 2000; fail++) {
            counter c;
            sal_ctx ctx = counted(&c);
            sal_net *net;
            sal_run *run = NULL;
            sal_image image;
            sal_map map;
            sal_result r;
            unsigned char pixels[5 * 4 * 3] = { 0 };
            memset(&map, 0, sizeof map);
            memset(&image, 0, sizeof image);
            image.w = 5; image.h = 4; image.data = pixels;
            ctx.threads = 2;
            c.fail_at = fail;
            r = sal_net_new(&ctx, &desc, &net);
            if (r == SAL_OK) r = sal_net_init(&ctx, net, 1);
            if (r == SAL_OK) r = sal_run_open(&ctx, net, 1, 0, 0, &run);
            if (r == SAL_OK) r = sal_predict_run(&ctx, run, &image, &map);
            done = r == SAL_OK;
            bad = (!done && (r != SAL_ERR_MEMORY || !ctx.error[0])) || done != (c.calls < fail);
            sal_map_free(&ctx, &map);
            sal_run_close(&ctx, run);
            sal_net_free(&ctx, net);
            bad |= c.live != 0;
        }
        CHECK(done && !bad, "%s: whichever of %d allocations fails, it is reported and nothing "
              "leaks", sal_kind_name((sal_kind)kind), fail - 2);
    }
}

/* --- the central square ----------------------------------------------------------------------- */

/* A network with SAL_FIT_SQUARE sees of a wide or tall picture what it sees of its middle, and the
   map goes on beside it as it is at its borders. */
static void test_square(sal_ctx *ctx) {
    enum { SIDE = 40, EXTRA = 11, LONG = SIDE + 2 * EXTRA, INPUT = 24 };
    static float in[2][3 * INPUT * INPUT], raw[6 * 6];
    sal_net *net = NULL;
    sal_net_desc d = sal_net_desc_default(SAL_KIND_WEPSAM);
    sal_rng rng = { 3 };
    d.h = d.w = INPUT; d.narrow = 16; d.fit = SAL_FIT_SQUARE;
    sal_result r = sal_net_new(ctx, &d, &net);
    for (int i = 0; i < 36; i++) raw[i] = (float)sal_rng_uniform(&rng);
    for (int tall = 0; tall < 2; tall++) {
        int w = tall ? SIDE : LONG, h = tall ? LONG : SIDE, dx = tall ? 0 : EXTRA;
        int dy = tall ? EXTRA : 0, same = 1;
        sal_image whole = ZEROED, middle = ZEROED;
        sal_map a = ZEROED, b = ZEROED;
        if (!r) r = sal_image_new(ctx, w, h, &whole);
        if (!r) r = sal_image_new(ctx, SIDE, SIDE, &middle);
        for (int i = 0; !r && i < 3 * w * h; i++)
            whole.data[i] = (unsigned char)sal_rng_below(&rng, 256);
        for (int y = 0; !r && y < SIDE; y++)
            memcpy(middle.data + 3 * y * SIDE, whole.data + 3 * ((y + dy) * w + dx), 3 * SIDE);
        if (!r) r = sal_preprocess(ctx, net, &whole, INPUT, INPUT, in[0]);
        if (!r) r = sal_preprocess(ctx, net, &middle, INPUT, INPUT, in[1]);
        CHECK(!r && !memcmp(in[0], in[1], sizeof in[0]) && in[0][0] != in[0][1], "of a %s picture, "
              "the central square is seen %s", tall ? "tall" : "wide", r ? sal_error(ctx) : "");
        if (!r) r = sal_postprocess(ctx, net, raw, 6, 6, INPUT, INPUT, w, h, &a);
        if (!r) r = sal_postprocess(ctx, net, raw, 6, 6, INPUT, INPUT, SIDE, SIDE, &b);
        for (int i = 0; !r && i < w * h; i++) {
            int x = MIN(MAX(i % w - dx, 0), SIDE - 1);
            int y = MIN(MAX(i / w - dy, 0), SIDE - 1);
            same &= fabsf(a.data[i] - b.data[y * SIDE + x]) < 1e-6f;
        }
        CHECK(!r && same, "and the map lies over it, its borders going on beside it %s",
              r ? sal_error(ctx) : "");
        sal_map_free(ctx, &a); sal_map_free(ctx, &b);
        sal_image_free(ctx, &whole); sal_image_free(ctx, &middle);
    }
    sal_net_free(ctx, net);
}

/* --- threads ---------------------------------------------------------------------------------- */

/* The output for one of two inputs, on a context of its own. */
typedef struct job {
    const sal_net *net;
    int kind, threads, hook, which, rounds;
    sal_result r;
    float out[4096];
    size_t size;
} job;

static void *work(void *arg) {
    job *j = (job *)arg;
    int h = small[j->kind].h, w = small[j->kind].w, i;
    float *in = inputs(2, h, w);
    sal_ctx ctx;
    sal_run *run;
    memset(&ctx, 0, sizeof ctx);
    ctx.threads = j->threads;
    if (j->hook) pool_use(&ctx, j->threads);
    j->r = sal_run_open(&ctx, j->net, 1, 0, 0, &run);
    for (i = 0; i < j->rounds && j->r == SAL_OK; i++)
        j->r = sal_run_forward(&ctx, run, in + (size_t)j->which * 3 * h * w);
    if (j->r == SAL_OK) {
        j->size = out_size(run) * sizeof(float);
        memcpy(j->out, run->output, j->size);
    }
    sal_run_close(&ctx, run);
    free(in);
    return NULL;
}

static job job_of(const sal_net *net, int kind, int threads, int hook, int which) {
    job j;
    memset(&j, 0, sizeof j);
    j.net = net; j.kind = kind; j.threads = threads; j.hook = hook; j.which = which; j.rounds = 1;
    return j;
}

static int same(const job *a, const job *b) {
    return a->r == SAL_OK && b->r == SAL_OK && a->size == b->size &&
           !memcmp(a->out, b->out, a->size);
}

static void test_threads(sal_ctx *ctx) {
    static const int counts[] = { 2, 3, 7 };
    static job one[2], other[2];        /* on the heap's side of the stack */
    int kind, i;
    for (kind = 0; kind < SAL_KIND_COUNT; kind++) {
        sal_net *net;
        pthread_t thread[2];
        int ok = 1, hooked = 1;
        if (make_small(ctx, kind, &net) != SAL_OK) { CHECK(0, "%s", sal_error(ctx)); continue; }
        one[0] = job_of(net, kind, 1, 0, 0);
        one[1] = job_of(net, kind, 1, 0, 1);
        work(&one[0]);
        work(&one[1]);
        for (i = 0; i < COUNT(counts); i++) {
            other[0] = job_of(net, kind, counts[i], 0, 0);
            work(&other[0]);
            ok = ok && same(&one[0], &other[0]);
            other[0] = job_of(net, kind, counts[i], 1, 0);
            work(&other[0]);
            hooked = hooked && same(&one[0], &other[0]);
        }
        CHECK(ok, "%s gives the same bits with 1, 2, 3 and 7 threads", net->name);
        CHECK(hooked, "%s gives the same bits on the caller's own parallel loop", net->name);
        for (i = 0; i < 2; i++) {
            other[i] = job_of(net, kind, 2, 1, i);
            other[i].rounds = 3;
            pthread_create(&thread[i], NULL, work, &other[i]);
        }
        for (i = 0; i < 2; i++) pthread_join(thread[i], NULL);
        CHECK(same(&one[0], &other[0]) && same(&one[1], &other[1]) &&
              memcmp(one[0].out, one[1].out, one[0].size),
              "%s, shared by two threads with contexts of their own, answers both", net->name);
        sal_net_free(ctx, net);
    }
}

/* A batch is so many single pictures. */
static void test_batch(sal_ctx *ctx) {
    enum { N = 3 };
    int kind, i, backend;
    for (kind = 0; kind < SAL_KIND_COUNT; kind++)
        for (backend = 0; backend < 2; backend++) {
            size_t in_size = (size_t)3 * small[kind].h * small[kind].w;
            float *in = inputs(N, small[kind].h, small[kind].w);
            sal_net *net = NULL;
            sal_run *batch = NULL, *single = NULL;
            double worst = 0;
            ctx->backend = backend ? sal_backend_cpu() : sal_backend_ref();
            if (make_small(ctx, kind, &net) != SAL_OK ||
                sal_run_open(ctx, net, N, 0, 0, &batch) != SAL_OK ||
                sal_run_open(ctx, net, 1, 0, 0, &single) != SAL_OK ||
                sal_run_forward(ctx, batch, in) != SAL_OK) worst = INFINITY;
            for (i = 0; i < N && worst < INFINITY; i++) {
                double e = INFINITY;
                if (sal_run_forward(ctx, single, in + i * in_size) == SAL_OK)
                    e = off(batch->output + i * out_size(single), single->output,
                            out_size(single));
                if (e > worst || e != e) worst = e;
            }
            CHECK(worst <= 1e-5, "%s on %s: a batch of %d gives what single pictures give (off by "
                  "%.1e)", sal_kind_name((sal_kind)kind), ctx->backend->name, N, worst);
            sal_run_close(ctx, batch);
            sal_run_close(ctx, single);
            sal_net_free(ctx, net);
            free(in);
        }
    ctx->backend = NULL;
}

/* A network that is too long is refused where it is built, and its lists are not overrun. */
static void test_too_long(sal_ctx *ctx) {
    for (int params = 0; params < 2; params++) {
        sal_net net;
        sal__builder b;
        memset(&net, 0, sizeof net); memset(&b, 0, sizeof b);
        net.name = "endless"; net.desc.h = net.desc.w = 8;
        net.layer = (sal_layer *)malloc(SAL__MAX_LAYERS * sizeof(sal_layer));
        net.param = (sal_param *)calloc(SAL__MAX_PARAMS, sizeof(sal_param));
        b.ctx = ctx; b.net = &net;
        int v = sal__input(&b, 3);
        for (int i = 0; i < SAL__MAX_PARAMS + 9; i++) {
            if (!params) v = sal__conv(&b, v, "c", 3, 1, 0, 1);
            else sal__param(&b, &net.layer[0], "p", 1, 1, 1, 1, 1);
        }
        CHECK(b.result == SAL_ERR_SHAPE && strstr(ctx->error, "endless is too long"),
              "too many %s are refused: %s", params ? "parameters" : "layers", ctx->error);
        free(net.layer); free(net.param);
    }
    sal_net *net = NULL;
    sal_run *run = NULL;
    sal_net_desc d = sal_net_desc_default(SAL_KIND_LITE);
    if (sal_net_new(ctx, &d, &net) == SAL_OK) {
        net->layers = SAL__MAX_LAYERS + 1;      /* as of a list that somebody else made */
        CHECK(sal_run_open(ctx, net, 1, 0, 0, &run) == SAL_ERR_SHAPE, "and in a run");
        net->layers = 0;
        sal_net_free(ctx, net);
    }
}

/* `fine` is read before, by and behind the convolution to which it is added first, and `last` is
   added to its own convolution: every order in which gradients of fused additions begin. */
static void build_additions(sal__builder *b) {
    int x = sal__input(b, 3), fine, last;
    fine = sal__relu(b, sal__conv(b, x, "a", 5, 3, 1, 1));
    x = sal__conv(b, fine, "b", 5, 3, 1, 1);
    x = sal__relu6(b, sal__add(b, sal__conv(b, x, "c", 5, 1, 0, 1), fine));
    last = sal__add(b, fine, sal__conv(b, x, "d", 5, 3, 1, 1));
    x = sal__relu(b, sal__add(b, sal__conv(b, last, "e", 5, 3, 1, 1), last));
    sal__conv(b, x, "f", 1, 1, 0, 1);
}

static void test_additions(sal_ctx *ctx) {
    sal_net_desc d = sal_net_desc_default(SAL_KIND_MLNET);
    sal_net *net = NULL;
    sal_run *run[2] = { NULL, NULL };
    sal_run_desc rd;
    sal_result r;
    float *x = inputs(2, 9, 11), dout[2 * 9 * 11];
    double worst = 0;
    int k, fused = 0;
    memset(&rd, 0, sizeof rd);
    rd.n = 2; rd.training = rd.input_gradient = 1;
    d.w = 11; d.h = 9;
    fill(dout, 2 * 9 * 11, "gradient", -1, 1);
    r = sal__net_build(ctx, &d, "additions", 1, build_additions, &net);
    if (r == SAL_OK) r = sal_net_init(ctx, net, 3);
    for (k = 0; k < 2 && r == SAL_OK; k++) {
        ctx->backend = k ? sal_backend_cpu() : sal_backend_ref();
        r = sal_run_open_desc(ctx, net, &rd, &run[k]);
        if (r == SAL_OK) { sal_run_clear(run[k]); r = sal_run_forward(ctx, run[k], x); }
        if (r == SAL_OK) r = sal_run_backward(ctx, run[k], dout);
    }
    for (k = -1; r == SAL_OK && k < net->params; k++) {         /* -1: the input */
        double e = k < 0 ? off(run[1]->value[0].grad, run[0]->value[0].grad, 2 * 3 * 9 * 11)
                         : off(run[1]->gradient[k], run[0]->gradient[k],
                               sal_tensor_count(&net->param[k].value));
        if (e > worst || e != e) worst = e;
    }
    for (k = 0; r == SAL_OK && k < net->layers; k++) fused += run[1]->step[k].add >= 0;
    CHECK(r == SAL_OK && fused == 3 && worst < 1e-5, "gradients through %d fused additions, read "
          "before, behind and by the layer itself, are the textbook's (off by %.1e)%s", fused,
          worst, r ? sal_error(ctx) : "");
    for (k = 0; k < 2; k++) sal_run_close(ctx, run[k]);
    sal_net_free(ctx, net);
    ctx->backend = NULL;
    free(x);
}

/* --- explanations ----------------------------------------------------------------------------- */

/* Noise: in patterns maxima would be equal but for rounding, and gradients go one way. */
static sal_image scene(sal_ctx *ctx, int h, int w) {
    sal_image image;
    sal_rng rng = { 3 };
    int i;
    if (sal_image_new(ctx, w, h, &image)) return image;
    for (i = 0; i < 3 * h * w; i++) image.data[i] = (unsigned char)(256 * sal_rng_uniform(&rng));
    return image;
}

/* Every layer of every network on both backends, with the dense weights in whole numbers. */
static void test_explain(sal_ctx *ctx) {
    int kind, i, k;
    for (kind = 0; kind < SAL_KIND_COUNT; kind++) {
        sal_image image = scene(ctx, small[kind].h, small[kind].w);    /* no bars, which are even */
        sal_net *net = NULL;
        double worst = 0;
        int bad = 0, layers = 0;
        if (make_small(ctx, kind, &net) != SAL_OK) { CHECK(0, "%s", sal_error(ctx)); continue; }
        for (i = 0; i < net->params; i++) {
            sal_tensor packed, *t = &net->param[i].value;
            if (t->ndim != 2 || sal_tensor_convert(ctx, t, SAL_DTYPE_I8, &packed)) continue;
            sal_free(ctx, t->data);
            *t = packed;
        }
        for (i = 0; i < net->layers; i += 1 + net->layers / 4) {
            sal_explain_desc d;
            sal_explanation e[2];
            memset(&d, 0, sizeof d);
            d.layer = i; d.of = SAL_EXPLAIN_VARIANCE;
            for (k = 0; k < 2; k++) {
                ctx->backend = k ? sal_backend_cpu() : sal_backend_ref();
                bad += sal_explain(ctx, net, &image, &d, &e[k]) != SAL_OK ||
                       e[k].map.w != image.w;
            }
            if (!bad && net->layer[i].op != SAL_OP_GAUSSIANS) {
                sal_shape shape = e[0].shape;
                double o = off(e[1].part, e[0].part, (size_t)shape.c * shape.h * shape.w);
                if (o > worst || o != o) worst = o;
            }
            for (k = 0; k < 2; k++) sal_explanation_free(ctx, &e[k]);
            layers++;
        }
        ctx->backend = NULL;
        CHECK(!bad && worst <= 1e-3, "%s: %d layers explained alike on both backends (off by %.1e "
              "of the largest part)%s%s", sal_kind_name((sal_kind)kind), layers, worst,
              bad ? ": " : "", bad ? sal_error(ctx) : "");
        sal_image_free(ctx, &image);
        sal_net_free(ctx, net);
    }
}

static void test_explain_refusals(sal_ctx *ctx) {
    sal_image image = scene(ctx, 60, 80);
    sal_explain_desc d;
    sal_explanation e;
    sal_net *net = NULL;
    memset(&d, 0, sizeof d);
    if (make_small(ctx, SAL_KIND_LITE, &net) != SAL_OK) { CHECK(0, "%s", sal_error(ctx)); return; }
    CHECK(sal_explain(ctx, net, &image, &d, &e) == SAL_ERR_ARGUMENT && !e.part &&
          strstr(sal_error(ctx), "sums to one"), "the mean of a softmax is not explained: %s",
          sal_error(ctx));
    d.x = 40; d.y = 30; d.w = 40; d.h = 30;
    CHECK(sal_explain(ctx, net, &image, &d, &e) == SAL_OK && e.part && e.shape.c == 3,
          "its mean in a region is");
    sal_explanation_free(ctx, &e);
    d.w = 1; d.h = 1;
    CHECK(sal_explain(ctx, net, &image, &d, &e) == SAL_ERR_ARGUMENT && !e.part &&
          strstr(sal_error(ctx), "40,30,1,1"), "a region between the map's pixels is refused: %s",
          sal_error(ctx));
    d.w = -40; d.h = 30; d.of = SAL_EXPLAIN_VARIANCE;
    CHECK(sal_explain(ctx, net, &image, &d, &e) == SAL_ERR_ARGUMENT && !e.part,
          "a negative width is not the whole map: %s", sal_error(ctx));
    d.w = 40; d.of = (sal_explain_kind)2;
    CHECK(sal_explain(ctx, net, &image, &d, &e) == SAL_ERR_ARGUMENT && !e.part,
          "a third kind of explanation is refused: %s", sal_error(ctx));
    d.of = SAL_EXPLAIN_MEAN;
    d.layer = net->layers;
    CHECK(sal_explain(ctx, net, &image, &d, &e) == SAL_ERR_ARGUMENT && !e.part,
          "a layer that is not there is refused: %s", sal_error(ctx));
    sal_net_free(ctx, net);
    memset(&d, 0, sizeof d);
    d.layer = 1;
    for (int k = 0; k < 2; k++) {                       /* weights whose products overflow */
        if (make_small(ctx, SAL_KIND_MLNET, &net) != SAL_OK) break;
        sal_tensor *t = &net->param[k ? net->params - 1 : 0].value;
        while (k && t->ndim != 4) t--;
        for (size_t i = 0; i < sal_tensor_count(t); i++)
            ((float *)t->data)[i] = i & 1 ? 3e38f : -3e38f;
        CHECK(sal_explain(ctx, net, &image, &d, &e) == SAL_ERR_NUMERIC && !e.part,
              "what is not finite explains nothing: %s", sal_error(ctx));
        sal_net_free(ctx, net);
    }
    sal_image_free(ctx, &image);
}

/* The first attention looks at X alone: softmax(Va * tanh(Wa * X + both biases)). */
static void test_attention(sal_ctx *ctx) {
    sal_image image = scene(ctx, 56, 40);
    sal_net *net = NULL;
    sal_map map[4];
    int t, i, good = 1, alike = 0;
    memset(map, 0, sizeof map);
    if (make_small(ctx, SAL_KIND_SAM_VGG, &net) != SAL_OK) { CHECK(0, "%s", sal_error(ctx)); return;
    }
    for (t = 0; t < 4; t++) {
        double most = 0, least = 1;
        if (sal_attention(ctx, net, &image, t + 1, &map[t])) { good = 0; break; }
        for (i = 0; i < 56 * 40; i++) {
            most = MAX(most, map[t].data[i]);
            least = MIN(least, map[t].data[i]);
        }
        good &= most == 1 && least > 0 && map[t].w == 40 && map[t].h == 56;
        alike += t && !memcmp(map[t].data, map[0].data, 56 * 40 * sizeof(float));
    }
    CHECK(good && !alike, "the attention of each of four steps is a positive map of its own");
    for (t = 0; t < 4; t++) sal_map_free(ctx, &map[t]);
    CHECK(sal_attention(ctx, net, &image, 5, map) == SAL_ERR_ARGUMENT && !map->data,
          "the attention of a fifth is refused: %s", sal_error(ctx));
    sal_image_free(ctx, &image);
    sal_net_free(ctx, net);
}

/* --- what must not be taken for a prediction or a step ---------------------------------------- */

static void test_inputs(sal_ctx *ctx) {
    for (int k = 0; k < SAL_KIND_COUNT; k++) {
        sal_net *net = NULL;
        sal_run *run = NULL;
        if (make_small(ctx, (sal_kind)k, &net) || sal_run_open(ctx, net, 1, 0, 0, &run)) {
            CHECK(0, "%s", sal_error(ctx));
            sal_net_free(ctx, net);
            continue;
        }
        size_t n = 3 * (size_t)run->h * run->w;
        float *input = (float *)calloc(n, sizeof(float));
        input[n / 2] = k % 2 ? (float)NAN : (float)INFINITY;
        sal_result bad = sal_run_forward(ctx, run, input);
        CHECK(bad == SAL_ERR_NUMERIC, "an input with %g in it is refused: %s", input[n / 2],
              sal_error(ctx));
        CHECK(sal_run_forward(ctx, run, NULL) == SAL_ERR_ARGUMENT, "and none: %s", sal_error(ctx));
        free(input);
        sal_run_close(ctx, run);
        sal_net_free(ctx, net);
    }
}

static void test_wrong_runs(sal_ctx *ctx) {
    sal_net *net = NULL;
    sal_run *part = NULL, *all = NULL, *none = NULL;
    sal_run_desc d = ZEROED;
    sal_optim_desc od = ZEROED;
    sal_optim *o = NULL;
    sal_image photo = ZEROED;
    sal_map map = ZEROED;
    float raw[4] = { 0 };
    od.rule = SAL_RULE_SGD;
    d.training = 1;
    d.freeze = "backbone.";
    if (make_small(ctx, SAL_KIND_LITE, &net) || sal_image_new(ctx, 9, 7, &photo) ||
        sal_run_open_desc(ctx, net, &d, &part) || sal_optim_open(ctx, &od, part, &o)) {
        CHECK(0, "%s", sal_error(ctx));
        return;
    }
    d.freeze = NULL;
    d.from_features = 1;
    CHECK(!sal_run_open_desc(ctx, net, &d, &all) &&
          sal_run_forward(ctx, all, NULL) == SAL_ERR_ARGUMENT, "where nothing is frozen there are no "
          "features to go on from: %s", sal_error(ctx));
    CHECK(sal_optim_step(ctx, o, net, all, .1, .9, NULL) == SAL_ERR_ARGUMENT, "an optimiser takes no "
          "step for another run: %s", sal_error(ctx));
    CHECK(sal_predict_run(ctx, part, &photo, &map) == SAL_ERR_ARGUMENT, "a run that learns predicts "
          "nothing: %s", sal_error(ctx));
    d.input_gradient = 1;
    for (int k = 0; k < 2; k++) {
        d.gradient_of = k ? -1 : net->layers;
        CHECK(sal_run_open_desc(ctx, net, &d, &none) == SAL_ERR_ARGUMENT && !none, "a layer that "
              "there is not has no gradient: %s", sal_error(ctx));
    }
    CHECK(sal_postprocess(ctx, net, raw, 2, 2, 0, 2, 9, 7, &map) == SAL_ERR_ARGUMENT, "no map of an "
          "input without width: %s", sal_error(ctx));
    CHECK(sal_postprocess(ctx, net, raw, 2, 2, 2, 2, 0, 0, &map) == SAL_ERR_ARGUMENT, "nor of a "
          "picture without pixels: %s", sal_error(ctx));
    CHECK(sal_postprocess(ctx, net, raw, 2, 2, 2, 2, 9, 7, &map) == SAL_OK && map.data[0] == 1 &&
          map.data[62] == 1, "where a network finds nothing its map is 1 everywhere, as that of a "
          "classical model");
    sal_map_free(ctx, &map);
    sal_image_free(ctx, &photo);
    sal_optim_close(ctx, o);
    sal_run_close(ctx, part);
    sal_run_close(ctx, all);
    sal_net_free(ctx, net);
}

/* The ranges of values in a file are those of its weights. */
static void test_ranges(sal_ctx *ctx) {
    for (int k = 0; k < 2; k++) {
        sal_net *net = NULL;
        sal_run *run = NULL;
        sal_run_desc d = ZEROED;
        d.training = 1; d.w = 64; d.h = 48;
        int ranges = 0;
        sal_result r = sal_net_load(ctx, "weights/lite.safetensors", &net);
        for (int i = 0; r == SAL_OK && i < net->layers; i++) ranges += net->layer[i].range != NULL;
        if (r == SAL_OK && k) r = sal_net_init(ctx, net, 1);
        if (r == SAL_OK && !k) r = sal_run_open_desc(ctx, net, &d, &run);
        for (int i = 0; r == SAL_OK && i < net->layers; i++)
            if (net->layer[i].range) { CHECK(0, "layer %d keeps its range", i); break; }
        CHECK(r == SAL_OK && ranges > 0, "%s, a network loses the ranges of %d layers %s",
              k ? "with new weights" : "when it is to learn", ranges, r ? sal_error(ctx) : "");
        sal_run_close(ctx, run);
        sal_net_free(ctx, net);
    }
}

int main(void) {
    sal_ctx ctx;
    memset(&ctx, 0, sizeof ctx);
    test_too_long(&ctx);
    test_golden(&ctx);
    test_no_such(&ctx);
    test_shapes(&ctx);
    test_square(&ctx);
    test_other_sizes(&ctx);
    test_refusals(&ctx);
    test_memory();
    test_failing_allocations();
    test_threads(&ctx);
    test_batch(&ctx);
    test_additions(&ctx);
    test_explain(&ctx);
    test_explain_refusals(&ctx);
    test_attention(&ctx);
    test_inputs(&ctx);
    test_wrong_runs(&ctx);
    test_ranges(&ctx);
    return test_done();
}
