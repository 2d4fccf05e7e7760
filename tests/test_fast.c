/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* The fast kernels against the textbook, on random shapes, with each instruction set of this
   processor. Every array a kernel gets lies between two pages that must not be touched: close to
   the one behind it, then close to the one before it; scratch and outputs begin as NaN. The results
   must be the same bits wherever the arrays lie and whatever the number of threads. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "test.h"

#include <signal.h>
#ifdef _WIN32
#  define WIN32_LEAN_AND_MEAN
#  define NOMINMAX
#  include <windows.h>
#else
#  include <sys/mman.h>
#  include <unistd.h>
#endif

/* One array each; only what is used takes memory. The one behind them is for scratch. */
enum { SLOTS = 40, SLOT = 8 << 20, BIG = 32 << 20 };
static size_t slot_size(int slot) { return slot < SLOTS ? SLOT : BIG; }
static char *slots;
static long page;

typedef struct trial {
    sal_ctx ctx;
    sal_rng rng;
    int side, slot;             /* arrays end (0) or begin (1) at a page; slots taken */
    double error;               /* the largest normalised mean squared error */
    uint64_t bits;              /* of the results */
} trial;
static char what[200];          /* the trial under way */

static void touched(int signal_number) {
    static const char text[] = "FAIL memory outside of the arrays is touched: ";
    (void)signal_number;
    if (write(1, text, sizeof text - 1) < 0 || write(1, what, strlen(what)) < 0 ||
        write(1, "\n", 1) < 0) _exit(2);
    _exit(1);
}

#ifdef _WIN32
static int make_slots(void) {           /* memory is given to the part between the fences only */
    int i;
    page = 4096;
    slots = (char *)VirtualAlloc(NULL, (size_t)SLOTS * SLOT + BIG, MEM_RESERVE, PAGE_NOACCESS);
    for (i = 0; slots && i <= SLOTS; i++)
        if (!VirtualAlloc(slots + (size_t)i * SLOT + page, slot_size(i) - 2 * page, MEM_COMMIT,
                          PAGE_READWRITE)) return 0;
    signal(SIGSEGV, touched);
    return slots != NULL;
}
#else
static int make_slots(void) {
    int i;
    page = sysconf(_SC_PAGESIZE);
    slots = (char *)mmap(NULL, (size_t)SLOTS * SLOT + BIG, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (slots == (char *)MAP_FAILED) return 0;
    for (i = 0; i <= SLOTS; i++) {
        char *begin = slots + (size_t)i * SLOT;
        if (mprotect(begin, (size_t)page, PROT_NONE) ||
            mprotect(begin + slot_size(i) - page, (size_t)page, PROT_NONE)) return 0;
    }
    signal(SIGSEGV, touched);
    signal(SIGBUS, touched);
    return 1;
}
#endif

/* --- arrays ----------------------------------------------------------------------------------- */

/* size bytes of NaN, with NaN on the side without a fence */
static void *room_in(trial *t, int slot, size_t size) {
    char *begin = slots + (size_t)slot * SLOT + page, *end = begin + slot_size(slot) - 2 * page;
    char *at = t->side ? begin : end - size;
    if (slot > SLOTS || size > slot_size(slot) - 4 * (size_t)page) {
        printf("FAIL too little room for %s\n", what);
        exit(1);
    }
    memset(t->side ? at : at - 256, 0xFF, size + 256);
    return at;
}
static void *room(trial *t, size_t size) {
    return room_in(t, t->slot < SLOTS ? t->slot++ : SLOTS + 1, size);
}
/* Scratch begins at multiples of 64; a trial has it once. */
static void *scratch(trial *t, size_t size) { return room_in(t, SLOTS, (size + 63) / 64 * 64); }

static float *given(trial *t, size_t n, double scale) {
    float *x = (float *)room(t, n * sizeof(float));
    size_t i;
    for (i = 0; i < n; i++) x[i] = (float)(scale * (2 * sal_rng_uniform(&t->rng) - 1));
    return x;
}
/* Weights that keep inputs from -1 to 1 at a variance of 1. */
static float *weights(trial *t, size_t outputs, size_t fan_in) {
    return given(t, outputs * fan_in, 3 / sqrt((double)fan_in));
}
static float *copy(trial *t, const float *x, size_t n) {
    float *y = (float *)room(t, n * sizeof(float));
    memcpy(y, x, n * sizeof(float));
    return y;
}

static int below(trial *t, int n) { return (int)sal_rng_below(&t->rng, (uint32_t)n); }
static int between(trial *t, int low, int high) { return low + below(t, high - low + 1); }
/* Mostly small sizes, one in six up to `high`. */
static int size(trial *t, int high) {
    return 1 + below(t, below(t, 6) ? MIN(high, 20) : high);
}

static void agree(trial *t, const float *got, const float *want, size_t n) {
    double squares = 0, energy = 0;
    size_t i;
    for (i = 0; i < n; i++) {
        double d = (double)got[i] - want[i];
        squares += d * d;
        energy += (double)want[i] * want[i];
        t->bits = (t->bits ^ sal__f32_bits(got[i])) * 1099511628211u;
    }
    squares /= MAX(energy, .1 * (double)n);    /* sums that happen to cancel do not count */
    if (squares > t->error || squares != squares) t->error = squares;
}

/* --- convolutions ----------------------------------------------------------------------------- */

/* A shape with the kernel and stride that s has; 0 if there is none. */
static int shape_of(trial *t, sal_conv *s) {
    int reach_y = (s->kh - 1) * s->dilation, reach_x = (s->kw - 1) * s->dilation;
    s->n = between(t, 1, 3);
    s->ih = size(t, 50); s->iw = size(t, 70);
    s->top = below(t, reach_y + 1); s->bottom = below(t, reach_y + 1);
    s->left = below(t, reach_x + 1); s->right = below(t, reach_x + 1);
    return !sal_conv_fit(s);
}

static sal_epilogue epilogue(trial *t, int channels, size_t count) {
    sal_epilogue e;
    memset(&e, 0, sizeof e);
    if (below(t, 2)) e.scale = given(t, (size_t)channels, 1);
    if (below(t, 2)) e.bias = given(t, (size_t)channels, 1);
    if (below(t, 3) == 0) e.add = given(t, count, 1);
    e.act = (sal_act)below(t, 3);
    return e;
}
static void apply(float *x, const sal_epilogue *e, int n, int channels, int hw) {
    size_t i, count = (size_t)n * channels * hw;
    for (i = 0; i < count; i++) {
        size_t c = i / (size_t)hw % (size_t)channels;
        double y = x[i];
        if (e->scale) y *= e->scale[c];
        if (e->bias) y += e->bias[c];
        if (e->add) y += e->add[i];
        if (e->act != SAL_ACT_IDENTITY) y = MAX(y, 0);
        if (e->act == SAL_ACT_RELU6) y = MIN(y, 6);
        x[i] = (float)y;
    }
}

static void describe(const char *name, const sal_conv *s) {
    snprintf(what, sizeof what, "%s, %d x %d x %d x %d to %d x %d x %d, kernel %d x %d, stride %d, "
             "dilation %d", name, s->n, s->ic, s->ih, s->iw, s->oc, s->oh, s->ow, s->kh, s->kw,
             s->stride, s->dilation);
}

/* points: 0 direct, 6 or 8 Winograd, -1 whatever is planned */
static void convolution(trial *t, sal_conv *s, int points, int pool) {
    size_t count, out_count;
    float *in, *weight, *out, *want;
    sal_epilogue e;
    sal__wino w;
    s->ic = below(t, 12) ? size(t, 50) : between(t, 120, 150); s->oc = size(t, 40);
    if (!shape_of(t, s)) return;
    describe(points ? "Winograd" : "direct", s);
    out_count = count = (size_t)s->n * s->oc * s->oh * s->ow;
    in = given(t, (size_t)s->n * s->ic * s->ih * s->iw, 1);
    weight = weights(t, (size_t)s->oc, (size_t)s->ic * s->kh * s->kw);
    e = epilogue(t, s->oc, count);
    if (e.add || s->dilation > 1 || s->oh < 2 || s->ow < 2) pool = 0;
    want = (float *)room(t, count * sizeof(float));
    sal_conv2d_forward(want, in, weight, NULL, s);
    apply(want, &e, s->n, s->oc, s->oh * s->ow);
    if (pool) {
        sal_pool p = { s->n * s->oc, s->oh, s->ow, 2, 2, 0, 0, 0, 0 };
        float *all = want;
        sal_pool_fit(&p, SAL_PADDING_VALID);
        out_count = (size_t)p.n * p.oh * p.ow;
        want = (float *)room(t, out_count * sizeof(float));
        sal_maxpool_forward(want, NULL, all, &p);
    }
    out = (float *)room(t, out_count * sizeof(float));
    if (points == 0) {
        sal__gemm_run(&t->ctx, out, in, weight, &e, s,
                      scratch(t, sal__gemm_scratch(s, t->ctx.threads)));
    } else if (points < 0) {
        sal__fast_conv2d(&t->ctx, out, in, weight, &e, s, 0,
                         scratch(t, sal__fast_conv2d_scratch(s, t->ctx.threads)));
    } else {
        if (!sal__wino_fit(&w, s, points)) { t->error = INFINITY; return; }
        if (below(t, 2)) {              /* the way of large layers */
            w.chunk = MIN(w.groups, between(t, 1, 4));
        }
        sal__wino_run(&t->ctx, &w, out, in, weight, &e, s, pool,
                      scratch(t, sal__wino_scratch(&w, t->ctx.threads)));
    }
    agree(t, out, want, out_count);
}

static void any_kernel(trial *t, sal_conv *s) {
    static const int kernels[] = { 1, 2, 3, 3, 5, 7 };
    memset(s, 0, sizeof *s);
    s->kh = kernels[below(t, 6)];
    s->kw = below(t, 4) ? s->kh : kernels[below(t, 6)];
    s->stride = 1 + below(t, 3) * !below(t, 2);
    s->dilation = 1 + below(t, 3) * !below(t, 3);
}
static void direct(trial *t) { sal_conv s; any_kernel(t, &s); convolution(t, &s, 0, 0); }
static void planned(trial *t) { sal_conv s; any_kernel(t, &s); convolution(t, &s, -1, 0); }
static void one_by_one(trial *t) {
    sal_conv s;
    memset(&s, 0, sizeof s);
    s.kh = s.kw = s.dilation = 1; s.stride = 1 + !below(t, 4);
    convolution(t, &s, 0, 0);
}
static void winograd(trial *t, int kernel, int points) {
    sal_conv s;
    memset(&s, 0, sizeof s);
    s.kh = s.kw = kernel; s.stride = 1; s.dilation = 1 + below(t, 4) * !below(t, 2);
    convolution(t, &s, points, below(t, 2));
}
static void f43(trial *t) { winograd(t, 3, 6); }
static void f63(trial *t) { winograd(t, 3, 8); }
static void f45(trial *t) { winograd(t, 5, 8); }

static void conv_data(trial *t) {
    sal_conv s;
    size_t in_count, fan_out;
    float *dout, *weight, *din, *want;
    int add = below(t, 2);
    any_kernel(t, &s);
    s.ic = size(t, 40); s.oc = size(t, 40);
    if (!shape_of(t, &s)) return;
    describe("gradient of the input", &s);
    in_count = (size_t)s.n * s.ic * s.ih * s.iw; fan_out = (size_t)s.oc * s.kh * s.kw;
    dout = given(t, (size_t)s.n * s.oc * s.oh * s.ow, 1);
    weight = weights(t, (size_t)s.ic, fan_out);
    din = given(t, in_count, 1);
    want = copy(t, din, in_count);
    if (!add) memset(want, 0, in_count * sizeof *want);
    sal_conv2d_backward_data(want, dout, weight, &s);
    sal__fast_conv2d_data(&t->ctx, din, dout, weight, &s, add,
                          scratch(t, sal__fast_data_scratch(&s, t->ctx.threads)));
    agree(t, din, want, in_count);
}

/* winograd: its sums, in chunks of any size; else whatever is planned */
static void weight_gradient(trial *t, sal_conv *s, int winograd) {
    size_t count, in_step, out_step, k;
    int times = between(t, 1, 3), i;
    float *dout, *in, *dweight, *want, *noise;
    sal__sums_job j;
    s->ic = size(t, 40); s->oc = size(t, 40);
    if (!shape_of(t, s)) return;
    describe(winograd ? "Winograd gradient of the weights" : "gradient of the weights", s);
    count = sal__kernel_count(s);
    in_step = (size_t)s->n * s->ic * s->ih * s->iw; out_step = (size_t)s->n * s->oc * s->oh * s->ow;
    in_step = MAX(in_step, out_step) + 3;
    noise = weights(t, (size_t)s->oc, (size_t)s->n * s->oh * s->ow);
    dout = (float *)room(t, ((times - 1) * in_step + out_step) * sizeof(float));
    for (i = 0; i < times; i++)
        for (k = 0; k < out_step; k++) dout[i * in_step + k] = noise[(k + (size_t)i) % out_step];
    in = given(t, (times - 1) * in_step + (size_t)s->n * s->ic * s->ih * s->iw, 1);
    dweight = given(t, count, 1);
    want = copy(t, dweight, count);
    for (i = 0; i < times; i++)
        sal_conv2d_backward_weight(want, dout + i * in_step, in + i * in_step, s);
    if (!winograd) {
        sal__fast_conv2d_weight(&t->ctx, dweight, dout, in, s, times, in_step,
                                scratch(t, sal__fast_weight_scratch(s, times, t->ctx.threads)));
    } else {
        sal__sums_fit(&j, s, times);
        if (!j.rows) { t->error = INFINITY; return; }
        j.rows = between(t, 1, j.rows);
        if (below(t, 2)) { j.slice = 32; j.fs = (size_t)(s->oc + 15) / 16 * 16 * 32 + 16; }
        j.isa = sal__isa_of(&t->ctx); j.s = s; j.in = in; j.dout = dout; j.to = dweight;
        j.step = in_step;
        sal__sums_run(&t->ctx, &j, times, (float *)scratch(t, sizeof(float) *
                      sal__sums_floats(&j, t->ctx.threads)));
    }
    agree(t, dweight, want, count);
}
static void conv_weight(trial *t) { sal_conv s; any_kernel(t, &s); weight_gradient(t, &s, 0); }
static void conv_sums(trial *t) {
    sal_conv s;
    memset(&s, 0, sizeof s);
    s.kh = s.kw = 3 + 2 * below(t, 2); s.stride = 1; s.dilation = 1 + below(t, 4) * !below(t, 2);
    weight_gradient(t, &s, 1);
}

static int depthwise_shape(trial *t, sal_conv *s, const char *name) {
    any_kernel(t, s);
    s->ic = s->oc = size(t, 20);
    if (!shape_of(t, s)) return 0;
    describe(name, s);
    return 1;
}

static void depthwise(trial *t) {
    sal_conv s;
    size_t count;
    float *in, *weight, *out, *want;
    sal_epilogue e;
    if (!depthwise_shape(t, &s, "depthwise")) return;
    count = (size_t)s.n * s.ic * s.oh * s.ow;
    in = given(t, (size_t)s.n * s.ic * s.ih * s.iw, 1);
    weight = weights(t, (size_t)s.ic, (size_t)s.kh * s.kw);
    e = epilogue(t, s.ic, count);
    want = (float *)room(t, count * sizeof(float));
    out = (float *)room(t, count * sizeof(float));
    sal_depthwise_forward(want, in, weight, NULL, &s);
    apply(want, &e, s.n, s.ic, s.oh * s.ow);
    sal__fast_depthwise(&t->ctx, out, in, weight, &e, &s,
                        scratch(t, sal__fast_depthwise_scratch(&s, t->ctx.threads, 0)));
    agree(t, out, want, count);
}

/* x = 0 unless 0 < by < top. */
static void mask(float *x, const float *by, float top, size_t n) {
    size_t i;
    for (i = 0; i < n; i++) if (!(by[i] > 0 && by[i] < top)) x[i] = 0;
}

/* Some with ReLUs on both sides. */
static void depthwise_back(trial *t) {
    sal_conv s;
    size_t count, in_count, taps, i;
    float *dout, *want_in, *want_weight, *want_bias;
    int after = below(t, 2), before = below(t, 2);
    sal__plane_job j;
    if (!depthwise_shape(t, &s, "gradients of a depthwise convolution")) return;
    count = (size_t)s.n * s.ic * s.oh * s.ow; in_count = (size_t)s.n * s.ic * s.ih * s.iw;
    taps = (size_t)s.ic * s.kh * s.kw;
    j = sal__plane_fit(&s, 1);
    j.in = given(t, in_count, 1);
    j.weight = weights(t, (size_t)s.ic, (size_t)s.kh * s.kw);
    j.dout = given(t, count, 1);
    j.din = given(t, in_count, 1); j.dweight = given(t, taps, 1);
    want_in = copy(t, j.din, in_count); want_weight = copy(t, j.dweight, taps);
    j.add = below(t, 2);
    if (!j.add) memset(want_in, 0, in_count * sizeof *want_in);
    dout = copy(t, j.dout, count);
    if (after) {
        j.value = given(t, count, 8); j.top = 6;
        mask(dout, j.value, j.top, count);
    }
    if (before) {
        j.sums = (double *)room(t, (size_t)s.n * s.ic * sizeof *j.sums); j.top_before = .75f;
    }
    j.dbias = given(t, (size_t)s.ic, 1);
    want_bias = copy(t, j.dbias, (size_t)s.ic);
    for (i = 0; i < count; i++) want_bias[i / ((size_t)s.oh * s.ow) % (size_t)s.ic] += dout[i];
    sal__plane_begin(&t->ctx, &j, scratch(t, sal__fast_depthwise_scratch(&s, t->ctx.threads, 1)),
                     sal_threads(&t->ctx));
    sal_depthwise_backward_data(want_in, dout, j.weight, &s);
    sal_depthwise_backward_weight(want_weight, dout, j.in, &s);
    if (before) mask(want_in, j.in, j.top_before, in_count);
    sal_parallel_for(&t->ctx, s.ic, sal__depthwise_back_task, &j);
    agree(t, j.din, want_in, in_count);
    agree(t, j.dweight, want_weight, taps);
    agree(t, j.dbias, want_bias, (size_t)s.ic);
    for (i = 0; before && i < (size_t)s.n * s.ic; i++) {        /* want_in has the planes still */
        size_t plane = (size_t)s.ih * s.iw, k;
        double total = 0;
        float sum, got = (float)j.sums[i];
        for (k = 0; k < plane; k++) total += want_in[i * plane + k];
        sum = (float)total;
        agree(t, &got, &sum, 1);
    }
}

/* Pictures large enough to be cut into strips. */
static void wide(trial *t) {
    sal_conv s, d;
    size_t between_count, count;
    float *in, *weight, *depthwise_weight, *out, *want_between, *want;
    sal_epilogue e, de;
    any_kernel(t, &d);
    d.n = between(t, 1, 2); d.ic = d.oc = size(t, 14);
    d.ih = between(t, 1, 60); d.iw = between(t, 1, 150);
    d.top = below(t, (d.kh - 1) * d.dilation + 1); d.bottom = (d.kh - 1) * d.dilation - d.top;
    d.left = below(t, (d.kw - 1) * d.dilation + 1); d.right = (d.kw - 1) * d.dilation - d.left;
    memset(&s, 0, sizeof s);
    s.kh = s.kw = s.stride = s.dilation = 1;
    s.n = d.n; s.ic = between(t, 1, 60); s.ih = d.ih; s.iw = d.iw; s.oc = d.ic;
    if (sal_conv_fit(&s) || sal_conv_fit(&d)) return;
    describe("1x1, then depthwise", &d);
    between_count = (size_t)s.n * s.oc * s.oh * s.ow; count = (size_t)d.n * d.ic * d.oh * d.ow;
    in = given(t, (size_t)s.n * s.ic * s.ih * s.iw, 1);
    weight = weights(t, (size_t)s.oc, (size_t)s.ic);
    depthwise_weight = weights(t, (size_t)d.ic, (size_t)d.kh * d.kw);
    e = epilogue(t, s.oc, 1); de = epilogue(t, d.ic, 1);
    e.add = de.add = NULL;
    want_between = (float *)room(t, between_count * sizeof(float));
    want = (float *)room(t, count * sizeof(float));
    out = (float *)room(t, count * sizeof(float));
    sal_conv2d_forward(want_between, in, weight, NULL, &s);
    apply(want_between, &e, s.n, s.oc, s.oh * s.ow);
    sal_depthwise_forward(want, want_between, depthwise_weight, NULL, &d);
    apply(want, &de, d.n, d.ic, d.oh * d.ow);
    sal__fast_wide(&t->ctx, out, in, weight, &e, &s, depthwise_weight, &de, &d,
                   scratch(t, sal__wide_scratch(&s, &d, t->ctx.threads)));
    agree(t, out, want, count);
}

/* --- the others ------------------------------------------------------------------------------- */

static void dense(trial *t) {
    int n = between(t, 1, 9), nin = size(t, 300) + 30 * below(t, 2), nout = size(t, 150);
    float *in = given(t, (size_t)n * nin, 1), *out, *want;
    sal_tensor weight, typed, whole;
    sal_epilogue e = epilogue(t, nout, (size_t)n * nout);
    sal_dtype type = (sal_dtype)below(t, 4);
    memset(&weight, 0, sizeof weight);
    weight.dtype = SAL_DTYPE_F32; weight.ndim = 2; weight.dim[0] = nout; weight.dim[1] = nin;
    weight.data = weights(t, (size_t)nout, (size_t)nin);
    snprintf(what, sizeof what, "dense %s, %d x %d to %d", sal_dtype_name(type), n, nin, nout);
    if (sal_tensor_convert(&t->ctx, &weight, type, &typed) != SAL_OK ||
        sal_tensor_convert(&t->ctx, &typed, SAL_DTYPE_F32, &whole) != SAL_OK) {
        t->error = INFINITY;
        return;
    }
    weight = typed;                     /* with its values and scales between fences */
    weight.data = room(t, (size_t)nout * nin * sal_dtype_size(type));
    memcpy(weight.data, typed.data, (size_t)nout * nin * sal_dtype_size(type));
    if (type == SAL_DTYPE_I8) weight.scale = copy(t, typed.scale, (size_t)nout);
    want = (float *)room(t, (size_t)n * nout * sizeof(float));
    out = (float *)room(t, (size_t)n * nout * sizeof(float));
    sal_dense_forward(want, in, (const float *)whole.data, NULL, n, nin, nout);
    apply(want, &e, n, nout, 1);
    sal__fast_dense(&t->ctx, out, in, &weight, &e, n, nin, nout,
                    scratch(t, sal__fast_dense_scratch(n, nin, t->ctx.threads)));
    agree(t, out, want, (size_t)n * nout);
    sal_free(&t->ctx, typed.data);
    sal_free(&t->ctx, whole.data);
}

static void product(trial *t) {
    int m = size(t, 60), n = size(t, 150), k = size(t, 600), add = below(t, 2);
    float *a = weights(t, (size_t)m, (size_t)k), *b = given(t, (size_t)k * n, 1);
    float *c = given(t, (size_t)m * n, 1), *want = copy(t, c, (size_t)m * n);
    snprintf(what, sizeof what, "%d x %d times %d x %d, added: %d", m, k, k, n, add);
    for (int i = 0; !add && i < m * n; i++) want[i] = 0;
    for (int i = 0; !add && i < m * n; i++) c[i] = NAN;
    sal_dense_backward_data(want, a, b, m, n, k);       /* want += a b */
    sal__fast_product(&t->ctx, c, a, b, m, n, k, add,
                      scratch(t, sal__product_scratch(m, n, k, t->ctx.threads)));
    agree(t, c, want, (size_t)m * n);
}

static void bias(trial *t) {
    int n = between(t, 1, 3), c = size(t, 90), hw = below(t, 3) ? size(t, 300) : 1;
    float *dout = given(t, (size_t)n * c * hw, 1), *db = given(t, (size_t)c, 1);
    float *want = copy(t, db, (size_t)c);
    snprintf(what, sizeof what, "gradient of the bias, %d x %d x %d", n, c, hw);
    sal_bias_backward(want, dout, n, c, hw);
    sal__fast_bias(&t->ctx, db, dout, NULL, n, c, hw);
    agree(t, db, want, (size_t)c);
}

/* What goes back through ReLU6, and its sum; the sum of squares. */
static void gate(trial *t) {
    size_t n = (size_t)size(t, 3000), i;
    float *g = given(t, n, 1), *x = given(t, n, 6), *want = copy(t, g, n), sums[2], wanted[2];
    double sum = 0, squares = 0;
    snprintf(what, sizeof what, "gradient through ReLU6, %d values", (int)n);
    for (i = 0; i < n; i++) {
        if (below(t, 9) == 0) x[i] = below(t, 2) ? 0.0f : 6.0f;
        if (!(x[i] > 0 && x[i] < 6)) want[i] = 0;
        sum += want[i];
        squares += (double)want[i] * want[i];
    }
    sums[0] = (float)(sal__fast_gate(&t->ctx, g, x, 6, n) / sqrt((double)n));
    sums[1] = (float)(sal__fast_squares(&t->ctx, g, n) / (double)n);
    wanted[0] = (float)(sum / sqrt((double)n)); wanted[1] = (float)(squares / (double)n);
    agree(t, g, want, n);
    agree(t, sums, wanted, 2);
}

static void pooling(trial *t) {
    sal_pool s = { between(t, 1, 5), size(t, 40) + 1, size(t, 60) + 1, between(t, 2, 3),
                   between(t, 1, 2), 0, 0, 0, 0 };
    sal__pool_job j;
    float *want;
    size_t count;
    if (sal_pool_fit(&s, below(t, 2) ? SAL_PADDING_SAME : SAL_PADDING_VALID)) return;
    snprintf(what, sizeof what, "maxima of %d x %d, stride %d, in %d x %d x %d", s.k, s.k, s.stride,
             s.n, s.ih, s.iw);
    count = (size_t)s.n * s.oh * s.ow;
    j.isa = sal__isa_of(&t->ctx); j.s = &s;
    j.in = given(t, (size_t)s.n * s.ih * s.iw, 1);
    j.out = (float *)room(t, count * sizeof(float));
    want = (float *)room(t, count * sizeof(float));
    j.worker = (float *)scratch(t, sal__pool_row(&s) * sizeof(float) * (size_t)t->ctx.threads);
    sal_maxpool_forward(want, NULL, j.in, &s);
    sal_parallel_for(&t->ctx, s.n, sal__pool_task, &j);
    agree(t, j.out, want, count);
}

static void upsampling(trial *t) {
    sal_shape from, to;
    sal__upsample_job j;
    size_t planes = (size_t)between(t, 1, 5), in_count, count;
    float *want, *want_in;
    void *memory;
    from.c = to.c = (int)planes;
    from.h = size(t, 20); from.w = size(t, 30); to.h = size(t, 50); to.w = size(t, 70);
    snprintf(what, sizeof what, "%d x %d x %d to %d x %d", from.c, from.h, from.w, to.h, to.w);
    in_count = planes * from.h * from.w; count = planes * to.h * to.w;
    memory = scratch(t, sal__upsample_scratch(from, to, t->ctx.threads));
    j = sal__upsample_fit(from, to, memory);
    j.in = given(t, in_count, 1); j.dout = given(t, count, 1);
    j.out = (float *)room(t, count * sizeof(float));
    j.din = given(t, in_count, 1);
    want = (float *)room(t, count * sizeof(float));
    want_in = copy(t, j.din, in_count);
    sal_upsample_forward(want, j.in, from.c, from.w, from.h, to.w, to.h);
    sal_upsample_backward(want_in, j.dout, from.c, from.w, from.h, to.w, to.h);
    sal_parallel_for(&t->ctx, from.c, sal__upsample_task, &j);
    sal_parallel_for(&t->ctx, from.c, sal__upsample_back_task, &j);
    agree(t, j.out, want, count);
    agree(t, j.din, want_in, in_count);
}

static void adam(trial *t) {
    size_t n = (size_t)size(t, 300);
    float *g = given(t, n, 1), *w = given(t, n, 1), *m = given(t, n, .1), *a = given(t, n, 0);
    float *want;
    size_t i;
    for (i = 0; i < n; i++) a[i] = .1f * g[i] * g[i] + .01f;
    want = (float *)room(t, 3 * n * sizeof(float));
    memcpy(want, w, n * sizeof(float));
    memcpy(want + n, m, n * sizeof(float));
    memcpy(want + 2 * n, a, n * sizeof(float));
    snprintf(what, sizeof what, "Adam, %d weights", (int)n);
    sal_adam_update(want, want + n, want + 2 * n, g, n, .01, .9, .999, 1e-8, .01, 3);
    sal__fast_adam(&t->ctx, w, m, a, g, n, .01, .9, .999, 1e-8, .01, 3);
    agree(t, w, want, n);
    agree(t, m, want + n, n);
    agree(t, a, want + 2 * n, n);
}

static void convlstm(trial *t) {
    int n = between(t, 1, 2), c = size(t, 24), h = size(t, 14), w = size(t, 18);
    int steps = between(t, 1, 3), i;
    size_t count = (size_t)n * c * h * w;
    const float *params[SAL_LSTM_COUNT];
    float *in = given(t, count, 1), *out, *want, *memory;
    snprintf(what, sizeof what, "ConvLSTM, %d x %d x %d x %d, %d steps", n, c, h, w, steps);
    for (i = 0; i < SAL_LSTM_COUNT; i++) {
        int k = i < SAL_LSTM_VA ? i : i - 1;             /* weight, bias, ... but Va has no bias */
        params[i] = i == SAL_LSTM_VA ? weights(t, 1, 9 * (size_t)c)
                  : k % 2 == 0 ? weights(t, (size_t)c, 9 * (size_t)c)
                                          : given(t, (size_t)c, 1);
    }
    want = (float *)room(t, count * sizeof(float));
    out = (float *)room(t, count * sizeof(float));
    memory = (float *)room(t, sal_convlstm_scratch(n, c, w, h) * sizeof(float));
    sal_convlstm_forward(want, in, params, steps, n, c, w, h, memory, NULL);
    sal__fast_convlstm(&t->ctx, out, in, params, steps, n, c, h, w,
                       scratch(t, sal__fast_convlstm_scratch(c, h, w, t->ctx.threads)));
    agree(t, out, want, count);
}

/* --- whole numbers ---------------------------------------------------------------------------- */

/* size bytes, each from low to low + span - 1 */
static uint8_t *byte_array(trial *t, size_t size, int low, int span) {
    uint8_t *x = (uint8_t *)room(t, size);
    size_t i;
    for (i = 0; i < size; i++) x[i] = (uint8_t)(low + below(t, span));
    return x;
}

/* A rule for so many channels, in the order of the set's vectors, for weights up to `most`. */
static sal__rule rule(trial *t, int channels, int most) {
    sal__rule e;
    int32_t *bias = (int32_t *)room(t, (size_t)channels * sizeof(int32_t));
    float *scale = given(t, (size_t)channels, .127 / most);
    int i;
    memset(&e, 0, sizeof e);
    for (i = 0; i < channels; i++) bias[i] = between(t, -800, 800) * most;
    e.bias = bias; e.scale = scale;
    e.real = !below(t, 4);
    e.zero = below(t, 256); e.low = below(t, 100); e.high = between(t, 150, 255);
    e.add = below(t, 2000); e.offset = 512 - 100 * e.add;
    return e;
}

/* What becomes of a sum. */
static float ruled(const sal__rule *e, int32_t sum, size_t place, int add) {
    float x = (float)(sum + e->bias[place]) * e->scale[place];
    long whole;
    if (e->real) return x;
    whole = lrintf(x);
    if (add >= 0) whole = (whole + (long)add * e->add + e->offset) >> 10;
    whole = MAX(MIN(whole, 32767), -32768) + e->zero;
    return (float)MIN(MAX(whole, e->low), e->high);
}

static void whole_product(trial *t) {
    const sal__isa *isa = sal__isa_of(&t->ctx);
    int width = 2 * isa->width, rows = between(t, 1, 6), k = size(t, 80), r, c, i, g = below(t, 3);
    size_t each = 4 / (size_t)isa->bytes, n = (size_t)k * each;
    sal__rule e = rule(t, 3 * width, 127);
    uint8_t *u = byte_array(t, (size_t)rows * n, 0, 256), *add = NULL;
    int8_t *q = (int8_t *)byte_array(t, n * (size_t)width, -127, 255);
    char *a = (char *)u, *b = (char *)q, *out;
    float *got = (float *)room(t, (size_t)(rows * width) * 4), *want;
    if (isa->bytes == 2) {
        a = (char *)room(t, (size_t)rows * n * 2); b = (char *)room(t, n * (size_t)width * 2);
        isa->whole_widen((int16_t *)(void *)a, u, rows * (int)n / 4 * 4);
        for (i = rows * (int)n / 4 * 4; i < rows * (int)n; i++) ((int16_t *)(void *)a)[i] = u[i];
        for (i = 0; i < (int)n * width; i++) ((int16_t *)(void *)b)[i] = q[i];
    }
    if (!e.real && below(t, 2)) add = byte_array(t, (size_t)(rows * width), 0, 256);
    want = (float *)room(t, (size_t)(rows * width) * 4);
    out = (char *)room(t, (size_t)(rows * width) * (e.real ? 4 : 1));
    snprintf(what, sizeof what, "%d x %d x %d%s%s", rows, k, width, add ? " + bytes" : "",
             e.real ? " to floats" : "");
    isa->whole_block(out, (size_t)width * (e.real ? 4 : 1), a, n * (size_t)isa->bytes, b, k, rows,
                     &e, g * width, add);
    for (r = 0; r < rows; r++)
        for (c = 0; c < width; c++) {
            size_t place = sal__whole_place(isa->width, c);
            int32_t sum = 0;
            for (i = 0; i < (int)n; i++)
                sum += u[(size_t)r * n + (size_t)i] *
                       q[((size_t)i / each * (size_t)width + place) * each + (size_t)i % each];
            want[r * width + c] = ruled(&e, sum, (size_t)(g * width) + place,
                                        add ? add[r * width + c] : -1);
            got[r * width + c] = e.real ? ((float *)(void *)out)[r * width + (int)place]
                                        : ((uint8_t *)out)[r * width + c];
        }
    agree(t, got, want, (size_t)(rows * width));
}

static void whole_depthwise(trial *t) {
    static const int kinds[] = { 4, 9, 9, 25 };
    const sal__isa *isa = sal__isa_of(&t->ctx);
    int taps = kinds[below(t, 4)], n = size(t, 40), groups = between(t, 1, 4), i, x, c;
    int width = 2 * isa->width, pairs = (taps + 1) / 2;
    size_t pitch = (size_t)((groups * width + 31) / 32 * 32),
        step = pitch * (size_t)between(t, 0, 2);
    int most = below(t, 2) ? 127 : 8191;
    sal__rule e = rule(t, groups * width, most);
    int16_t *weight = (int16_t *)room(t, (size_t)(groups * pairs * width) * 4);
    const uint8_t *from[25];
    uint8_t *out = (uint8_t *)room(t, (size_t)n * pitch);
    float *got = (float *)room(t, (size_t)(n * groups * width) * 4);
    float *want = (float *)room(t, (size_t)(n * groups * width) * 4);
    e.real = 0;
    memset(weight, 0, (size_t)(groups * pairs * width) * 4);
    for (i = 0; i < groups * pairs * 2 * width; i++)
        if (taps % 2 == 0 || i / (2 * width) % pairs < pairs - 1 || i % 2 == 0)
            weight[i] = (int16_t)between(t, -most, most);
    for (i = 0; i < taps; i++) from[i] = byte_array(t, (size_t)(n - 1) * step + pitch, 0, 256);
    snprintf(what, sizeof what, "%d taps of %d pixels, %d groups, step %d", taps, n, groups,
             (int)step);
    isa->whole_taps(out, pitch, from, step, taps, weight, (size_t)(pairs * width) * 2, groups, &e,
                    n);
    for (x = 0; x < n; x++)
        for (c = 0; c < groups * width; c++) {
            size_t place = sal__whole_place(isa->width, c), in = place % (size_t)width;
            int32_t sum = 0;
            for (i = 0; i < taps; i++)
                sum += from[i][(size_t)x * step + (size_t)c] *
                       weight[(((size_t)(c / width * pairs + i / 2)) * (size_t)width + in) * 2 +
                              (size_t)(i % 2)];
            want[x * groups * width + c] = ruled(&e, sum, place, -1);
            got[x * groups * width + c] = out[(size_t)x * pitch + (size_t)c];
        }
    agree(t, got, want, (size_t)(n * groups * width));
}

static void whole_input(trial *t) {
    const sal__isa *isa = sal__isa_of(&t->ctx);
    size_t n = (size_t)between(t, 64, 300), i, k;
    float *in = given(t, 3 * n, 1.2), *got = (float *)room(t, 12 * n);
    float *want = (float *)room(t, 12 * n);
    uint8_t *out = (uint8_t *)room(t, 4 * n);
    int zero = below(t, 256);
    isa->whole_input(out, in, n, 127.3f, zero, n);
    for (i = 0; i < n; i++)
        for (k = 0; k < 3; k++) {
            float x = in[k * n + i] * 127.3f;
            long u = lrintf(MIN(MAX(x, (float)-zero), (float)(255 - zero))) + zero;
            want[3 * i + k] = (float)u;
            got[3 * i + k] = out[4 * i + k];
        }
    agree(t, got, want, 3 * n);
}

/* The example at >>fast: rows 1 2 3 ... and the taps 1 1 1 give rows 6 9 12 ... */
static void winograd_example(trial *t) {
    const sal__isa *isa = sal__isa_of(&t->ctx);
    int n, i, k;
    snprintf(what, sizeof what, "rows 1 2 3 ..., taps 1 1 1");
    for (n = 6; n <= 8; n += 2) {
        int m = n - 2;
        float *in = given(t, 16 * 64, 0), *tap = given(t, 9, 0), *got = given(t, 64, 0);
        float *u = (float *)room(t, 64 * 16 * sizeof *u), *v = (float *)room(t, 64 * 16 * sizeof *v);
        float *y = (float *)room(t, (size_t)(16 * m * 8) * sizeof *y), *want = given(t, 64, 0);
        for (i = 0; i < 64; i++) in[i] = (float)(i % 8 + 1);
        for (i = 3; i < 6; i++) tap[i] = 1;
        isa->wino_weight(u, 16, tap, 9, 1, 1, n, 3);
        isa->wino_input(v, 16, in, 8, 64, n, 0);
        for (i = 0; i < n * n; i++) u[i * 16] *= v[i * 16];
        isa->wino_output(y, 8, u, 16, n, m);
        for (i = 0; i < m; i++)
            for (k = 0; k < m; k++) {
                got[i * m + k] = y[i * 8 + k];
                want[i * m + k] = (float)(6 + 3 * k);
            }
        agree(t, got, want, (size_t)(m * m));
    }
}

/* --- trials ----------------------------------------------------------------------------------- */

static const struct kernel {
    const char *name;
    void (*run)(trial *t);
    int trials;
    double bound;
} kernels[] = {
    { "direct convolution", direct, 150, 1e-9 },
    { "1x1 convolution", one_by_one, 80, 1e-9 },
    { "Winograd F(4x4, 3x3)", f43, 120, 1e-7 },
    { "Winograd F(6x6, 3x3)", f63, 120, 1e-7 },
    { "Winograd F(4x4, 5x5)", f45, 80, 1e-7 },
    { "the faster of these", planned, 80, 1e-7 },
    { "Winograd's worked example", winograd_example, 1, 1e-12 },
    { "gradient of a convolution's input", conv_data, 120, 1e-7 },
    { "gradient of a convolution's weights", conv_weight, 120, 1e-7 },
    { "the same by Winograd", conv_sums, 80, 1e-7 },
    { "depthwise convolution", depthwise, 150, 1e-9 },
    { "gradients of a depthwise convolution", depthwise_back, 150, 1e-9 },
    { "1x1 and depthwise convolution in strips", wide, 60, 1e-9 },
    { "dense layer of F32, F16, BF16, I8", dense, 150, 1e-9 },
    { "matrix product", product, 60, 1e-9 },
    { "gradient of a bias", bias, 40, 1e-9 },
    { "gradient through ReLU6", gate, 40, 1e-9 },
    { "max-pooling", pooling, 80, 0 },
    { "bilinear upsampling and its gradient", upsampling, 80, 1e-9 },
    { "attentive ConvLSTM", convlstm, 40, 1e-7 },
    { "Adam's update", adam, 40, 1e-9 },
    { "product of whole numbers", whole_product, 150, 0 },
    { "depthwise layer in whole numbers", whole_depthwise, 80, 0 },
    { "floats to bytes", whole_input, 40, 0 },
};

static void try_kernel(const struct kernel *k, sal_simd simd, const char *set) {
    static const int sides[] = { 0, 1, 0 }, threads[] = { 1, 1, 3 };
    double worst = 0;
    int i, way, same = 1;
    char worst_case[sizeof what] = "";
    for (i = 0; i < k->trials; i++) {
        uint64_t bits = 0;
        for (way = 0; way < 3; way++) {
            trial t;
            memset(&t, 0, sizeof t);
            t.rng.state = (uint64_t)i + 1;
            t.side = sides[way]; t.ctx.threads = threads[way]; t.ctx.simd = simd;
            what[0] = 0;
            k->run(&t);
            if (way == 0) bits = t.bits;
            else if (t.bits != bits) same = 0;
            if (t.error > worst || t.error != t.error) {
                worst = t.error;
                memcpy(worst_case, what, sizeof what);
            }
        }
    }
    CHECK(worst <= k->bound, "%s, %s: %d random shapes as in the textbook, squared error %.1e%s%s",
          set, k->name, k->trials, worst, worst <= k->bound ? "" : ": ",
          worst <= k->bound ? "" : worst_case);
    CHECK(same, "%s, %s: the same bits wherever the arrays lie, with 1 and 3 threads", set,
          k->name);
}

int main(void) {
    static const char *const names[] = { "", "plain C", "128 bits", "AVX2", "AVX-512" };
    const sal__isa *last = NULL;
    size_t i;
    int simd;
    if (!make_slots()) { printf("no memory with fences here\n"); return 1; }
    for (simd = SAL_SIMD_NONE; simd <= SAL_SIMD_AVX512; simd++) {   /* those that there are */
        sal_ctx ctx;
        memset(&ctx, 0, sizeof ctx);
        ctx.simd = (sal_simd)simd;
        if (sal__isa_of(&ctx) == last) continue;
        last = sal__isa_of(&ctx);
        for (i = 0; i < COUNT(kernels); i++)
            try_kernel(&kernels[i], (sal_simd)simd, names[simd]);
    }
    return test_done();
}
