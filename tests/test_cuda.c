/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* saliency_cuda.cu against the reference: every operator forward and backward over random shapes,
   the ladder of products, networks, losses, optimisers, a short training run, errors.

   The same program runs in two ways: `make test` links it with saliency_cuda.cu compiled for the
   emulation of tests/cuda_on_cpu.h (CUDA_ON_CPU is defined; shapes are small), `make test-cuda`
   with what nvcc made, on a GPU. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#define DATASET_IMPLEMENTATION
#include "../examples/dataset.h"
#include "test.h"
#include "gradcheck.h"
#include "seeded.h"
#include <sys/stat.h>

#ifdef CUDA_ON_CPU
void cuda_on_cpu_set(int devices, int major, size_t memory, int fail_launch);
size_t cuda_on_cpu_memory(void);
enum { SCALE = 1 };
#else
enum { SCALE = 4 };             /* more trials, larger shapes */
#endif

static sal_ctx ctx;
static const sal_backend *gpu;
static sal_cuda *cuda;          /* its options and statistics */

static void noise(float *x, size_t n, double scale, double offset, sal_rng *rng) {
    size_t i;
    for (i = 0; i < n; i++) x[i] = (float)(offset + scale * (2 * sal_rng_uniform(rng) - 1));
}

/* max |got - want| / max |want|, from `least` on; infinite where something is not a number */
static double off(const float *got, const float *want, size_t n, double least) {
    double most = least, d = 0;
    size_t i;
    for (i = 0; i < n; i++) {
        double e = fabs((double)got[i] - want[i]);
        if (!(e <= FLT_MAX)) return INFINITY;
        d = SAL__MAX(d, e);
        most = SAL__MAX(most, fabs((double)want[i]));
    }
    return most > 0 ? d / most : d;
}

static size_t out_size(const sal_run *run) {
    return (size_t)run->n * run->shape.c * run->shape.h * run->shape.w;
}

/* --- random layers ---------------------------------------------------------------------------- */

typedef struct pick {
    sal_rng rng;
    int n, h, w, channels, op;
    int smooth;                 /* 1: no ReLU, which a rounding can take to the other side */
    int out, kernel, stride, dilation;  /* out > 0: this convolution */
    char text[160];
} pick;
static int below(pick *p, int n) { return (int)sal_rng_below(&p->rng, (uint32_t)n); }

/* input -> 1x1 convolution to `channels` -> the layer in question, with random attributes. */
static void build(sal__builder *b, pick *p) {
    int x = sal__input(b, 3), y, in[3];
    sal_layer *l;
    x = sal__conv_any(b, x, "spread", p->channels, 1, 1 + !below(p, 4), 0, 1, 1);
    y = x;
    switch (p->op) {
    case SAL_OP_CONV2D: {
        static const int kernels[] = { 1, 1, 2, 3, 3, 3, 3, 5, 7 };
        int k = kernels[below(p, SAL__COUNT(kernels))], d = 1 + below(p, 4) * !below(p, 2);
        int s = 1 + below(p, 3) * !below(p, 2), bias = below(p, 2), norm = below(p, 2);
        int add = below(p, 3) == 0, act = below(p, 3), out = 1 + below(p, below(p, 2) ? 6 : 90);
        int span = (k - 1) * d + 1, side = SAL__MIN(b->shapes[x].h, b->shapes[x].w);
        int least = span > side ? (span - side + 1) / 2 : 0, skip = x;
        int pad = below(p, 2) ? span / 2 : below(p, span + 1);
        if (p->out) {
            sal__conv_any(b, x, "conv", p->out, p->kernel, p->stride,
                          (p->kernel - 1) * p->dilation / 2, p->dilation, 1);
            return;
        }
        if (pad < least) pad = least;
        snprintf(p->text, sizeof p->text, "%d x %d x %d x %d to %d, kernel %d, stride %d, dilation "
                 "%d, pad %d%s%s%s%s", p->n, p->channels, b->shapes[x].h, b->shapes[x].w, out, k, s,
                 d, pad, bias ? ", bias" : "", norm ? ", norm" : "", add ? ", add" : "",
                 act == 2 ? ", relu6" : act ? ", relu" : "");
        if (add) skip = sal__conv_any(b, x, "skip", out, k, s, pad, d, 1);
        y = sal__conv_any(b, x, "conv", out, k, s, pad, d, bias);
        if (norm) y = sal__norm(b, y, "norm");
        if (add) y = sal__add(b, y, skip);
        if (p->smooth) return;
        if (act == 1) sal__relu(b, y);
        if (act == 2) sal__relu6(b, y);
        return;
    }
    case SAL_OP_DEPTHWISE:
        y = sal__conv_same(b, x, "deep", 0, 1 + 2 * below(p, 3), 1 + below(p, 2));
        if (below(p, 2)) sal__relu6(b, y);
        break;
    case SAL_OP_DENSE:
        y = sal__dense(b, x, "dense", 1 + below(p, 50), 1, 1);
        if (below(p, 2) && !p->smooth) sal__relu(b, y);
        break;
    case SAL_OP_MAXOUT:
        y = sal__dense(b, x, "dense", 12, 1, 1);
        sal__maxout(b, y, 2 + below(p, 2) * 2, 3, 1, 1);    /* 2 pieces: the shape decides */
        if (b->result != SAL_OK) { b->result = SAL_OK; sal__maxout(b, y, 2, 6, 1, 1); }
        break;
    case SAL_OP_MAXPOOL:
        sal__maxpool(b, x, 2 + below(p, 2), 1 + below(p, 2),
                     below(p, 2) ? SAL_PADDING_SAME : SAL_PADDING_VALID);
        break;
    case SAL_OP_RELU:      sal__relu(b, sal__norm(b, y, "norm")); break;
    case SAL_OP_RELU6:     sal__relu6(b, sal__norm(b, y, "norm")); break;
    case SAL_OP_SOFTMAX:   sal__done(b, sal__layer(b, SAL_OP_SOFTMAX, "softmax", x)); break;
    case SAL_OP_BATCHNORM: sal__norm(b, sal__maxpool(b, x, 2, 1, SAL_PADDING_SAME), "norm"); break;
    case SAL_OP_DROPOUT:
        b->net->desc.dropout = .3f;
        sal__dropout(b, x);
        break;
    case SAL_OP_CONCAT:
        in[0] = x; in[2] = x;
        in[1] = sal__conv_any(b, x, "other", 1 + below(p, 5), 1, 1, 0, 1, 1);
        sal__concat(b, in, 2 + below(p, 2));
        break;
    case SAL_OP_ADD:
        y = sal__conv_any(b, x, "other", p->channels, 1, 1, 0, 1, 1);
        sal__add(b, sal__maxpool(b, x, 3, 1, SAL_PADDING_SAME), y);
        break;
    case SAL_OP_UPSAMPLE:
        y = sal__maxpool(b, x, 2, 2, SAL_PADDING_SAME);
        sal__upsample(b, y, below(p, 2) ? x : 0);
        break;
    case SAL_OP_MIRROR: sal__mirror(b, y); break;
    case SAL_OP_PRIOR:
        x = sal__conv_any(b, x, "one", 1, 1, 1, 0, 1, 1);
        sal__prior(b, x, "prior", 1 + below(p, 5), 1 + below(p, 5));
        break;
    case SAL_OP_LOGPRIOR:
        x = sal__conv_any(b, x, "one", 1, 1, 1, 0, 1, 1);
        sal__logprior(b, x, "prior", 3, 1 + below(p, 5), 1 + below(p, 5));
        break;
    case SAL_OP_GAUSSIANS:
        in[0] = x; in[1] = sal__gaussians(b, x, "gaussians", 1 + below(p, 5));
        sal__concat(b, in, 2);
        break;
    case SAL_OP_CONVLSTM: sal__convlstm(b, x, "lstm", 1 + below(p, 4)); break;
    default: break;
    }
    l = &b->net->layer[b->net->layers - 1];
    snprintf(p->text, sizeof p->text, "%d x %d x %d x %d, kernel %d, stride %d, %s, steps %d", p->n,
             p->channels, b->shapes[x].h, b->shapes[x].w, l->kernel, l->stride,
             l->padding == SAL_PADDING_SAME ? "same" : "valid", l->steps);
}

/* A network by build(), with random parameters. */
static sal_net *random_net(pick *p) {
    sal_net_desc desc = sal_net_desc_default(SAL_KIND_MLNET);
    sal__builder b;
    sal_net *net;
    int i;
    desc.h = desc.w = 8;
    if (sal_net_new(&ctx, &desc, &net) != SAL_OK) return NULL;  /* taken for its memory */
    net->multiple = 1;
    net->layers = net->params = 0;
    net->desc.h = p->h; net->desc.w = p->w;
    memset(&b, 0, sizeof b);
    b.ctx = &ctx; b.net = net;
    build(&b, p);
    if (b.result == SAL_OK) b.result = sal_net_init(&ctx, net, p->rng.state);
    if (b.result != SAL_OK) { sal_net_free(&ctx, net); return NULL; }
    for (i = 0; i < net->params; i++) {
        const sal_param *q = &net->param[i];
        int positive = sal__ends_with(q->name, ".running_var");
        int k = sal__ends_with(q->name, "params");
        size_t n = sal_tensor_count(&q->value);
        double fan_in = (double)n / q->value.dim[0];
        noise((float *)q->value.data, n, k ? .4 : q->value.ndim > 1 ? sqrt(6 / fan_in) : 0.5,
              k ? .5 : positive, &p->rng);
    }
    return net;
}

/* What a network does on one backend: output, gradients of input and parameters, and parameters,
   since batch-norms move their statistics. */
typedef struct result { float *out, *grad, *din, *param; size_t outs, grads, dins, params; } result;

static void forget(result *r) {
    free(r->out); free(r->grad); free(r->din); free(r->param);
    memset(r, 0, sizeof *r);
}

static float *copy(const float *x, size_t n) {
    float *y = (float *)malloc((n + 1) * sizeof(float));
    memcpy(y, x, n * sizeof(float));
    return y;
}

static sal_result work(const sal_backend *backend, sal_net *net, const pick *p, int training,
                       int fixed_norm, const float *in, result *out) {
    static const int domain[4] = { 2, 0, 2, 1 };
    sal_run_desc desc;
    sal_run *run;
    sal_result r;
    sal_rng rng;
    float *dout, *keep[SAL__MAX_PARAMS];
    size_t i, k;
    memset(out, 0, sizeof *out);
    memset(&desc, 0, sizeof desc);
    desc.n = p->n; desc.h = p->h; desc.w = p->w;
    desc.training = desc.input_gradient = training; desc.fixed_norm = fixed_norm;
    ctx.backend = backend;
    r = sal_run_open_desc(&ctx, net, &desc, &run);
    ctx.backend = NULL;
    if (r != SAL_OK) return r;
    run->seed = 77;
    if (p->op == SAL_OP_LOGPRIOR) run->domain = domain;
    out->outs = out_size(run);
    out->dins = training ? (size_t)run->n * 3 * run->h * run->w : 0;
    out->grads = run->gradient_floats;
    for (i = 0; (int)i < net->params; i++) {
        const sal_tensor *t = &net->param[i].value;
        keep[i] = t->dtype == SAL_DTYPE_F32 ? copy((float *)t->data, sal_tensor_count(t)) : NULL;
    }
    r = sal_run_forward(&ctx, run, in);
    if (r == SAL_OK) out->out = copy(run->output, out->outs);
    if (r == SAL_OK && training) {
        dout = (float *)malloc(out->outs * sizeof(float));
        rng.state = 5;
        noise(dout, out->outs, 1, 0, &rng);
        r = sal_run_backward(&ctx, run, dout);
        if (r == SAL_OK) r = sal_run_fetch(&ctx, run, NULL, SAL_RUN_GRADIENTS | SAL_RUN_WEIGHTS);
        free(dout);
        if (r == SAL_OK) {
            out->grad = copy(run->gradients, out->grads);
            out->din = copy(run->value[0].grad, out->dins);
        }
    }
    for (k = 0; (int)k < net->params; k++) {        /* parameters as they became, and back */
        const sal_tensor *t = &net->param[k].value;
        size_t n = sal_tensor_count(t);
        if (!keep[k]) continue;
        out->param = (float *)realloc(out->param, (out->params + n) * sizeof(float));
        memcpy(out->param + out->params, t->data, n * sizeof(float));
        out->params += n;
        memcpy(t->data, keep[k], n * sizeof(float));
        free(keep[k]);
    }
    sal_run_changed(run, NULL, SAL_RUN_WEIGHTS);
    sal_run_close(&ctx, run);
    return r;
}

/* How far two results are apart; *where names the worst part. */
static double apart(const result *a, const result *b, const char **where) {
    double d[4], worst = -1;
    static const char *const names[4] = { "output", "gradients", "input gradient", "parameters" };
    int i;
    if (a->outs != b->outs || a->grads != b->grads || a->params != b->params) return INFINITY;
    d[0] = off(a->out, b->out, a->outs, 1e-3);
    d[1] = a->grad ? off(a->grad, b->grad, a->grads, 1e-2) : 0;
    d[2] = a->din ? off(a->din, b->din, a->dins, 1e-3) : 0;
    d[3] = off(a->param, b->param, a->params, 1e-3);
    for (i = 0; i < 4; i++) if (d[i] > worst) { worst = d[i]; *where = names[i]; }
    return worst;
}

static void test_operator(int op, int trials, int batch, double tolerance, const char *how) {
    double worst = 0;
    const char *where = "";
    uint64_t fallbacks = cuda->fallbacks;
    int i, bad = 0;
    pick p;
    memset(&p, 0, sizeof p);
    p.rng.state = 99 + (uint64_t)op;
    p.op = op;
    p.smooth = tolerance > 1e-3;
    for (i = 0; i < trials && !bad; i++) {
        result a, b;
        sal_net *net;
        float *in;
        double d = INFINITY;
        int training = i % 3 != 0, fixed_norm = i % 2;
        sal_result ra = SAL_ERR_MEMORY, rb = ra;
        p.n = batch ? batch : 1 + below(&p, 3);
        p.h = 8 + below(&p, below(&p, 3) ? 8 * SCALE : 30 * SCALE);
        p.w = 8 + below(&p, below(&p, 3) ? 8 * SCALE : 30 * SCALE);
        p.channels = 1 + below(&p, below(&p, 3) ? 8 : op == SAL_OP_CONVLSTM ? 20 : 40);
        if (p.smooth && i % 2) p.channels = 16 + 16 * below(&p, 3);
        net = random_net(&p);
        in = (float *)malloc((size_t)p.n * 3 * p.h * p.w * sizeof(float));
        noise(in, (size_t)p.n * 3 * p.h * p.w, 1, 0, &p.rng);
        if (net) ra = work(sal_backend_ref(), net, &p, training, fixed_norm, in, &a);
        if (ra == SAL_OK) rb = work(gpu, net, &p, training, fixed_norm, in, &b);
        if (ra == SAL_OK && rb == SAL_OK) d = apart(&b, &a, &where);
        if (!(d <= tolerance)) bad = 1;
        worst = SAL__MAX(worst, d);
        if (ra == SAL_OK) forget(&a);
        if (ra == SAL_OK) forget(&b);
        free(in);
        sal_net_free(&ctx, net);
    }
    CHECK(!bad && cuda->fallbacks == fallbacks, "%s%s: %d random layers give the reference's "
          "values and gradients (off by %.1e at most)%s%s%s%s", sal_op_name((sal_op)op), how, i,
          worst, bad ? ", but not the " : "", bad ? where : "", bad ? " of " : "",
          bad ? p.text : "");
    if (bad) printf("     %s\n", sal_error(&ctx));
}

static void test_operators(void) {
    static const struct { int op, trials; } list[] = {
        { SAL_OP_CONV2D, 24 }, { SAL_OP_DEPTHWISE, 8 }, { SAL_OP_DENSE, 6 }, { SAL_OP_MAXOUT, 4 },
        { SAL_OP_MAXPOOL, 8 }, { SAL_OP_RELU, 3 }, { SAL_OP_RELU6, 3 }, { SAL_OP_SOFTMAX, 4 },
        { SAL_OP_BATCHNORM, 6 }, { SAL_OP_DROPOUT, 3 }, { SAL_OP_CONCAT, 4 }, { SAL_OP_ADD, 3 },
        { SAL_OP_MIRROR, 3 }, { SAL_OP_UPSAMPLE, 6 }, { SAL_OP_PRIOR, 6 }, { SAL_OP_LOGPRIOR, 4 },
        { SAL_OP_GAUSSIANS, 4 }, { SAL_OP_CONVLSTM, 5 }
    };
    int i;
    cuda->precision = SAL_CUDA_PRECISION_F32;
    for (i = 0; i < SAL__COUNT(list); i++)
        test_operator(list[i].op, list[i].trials * 2 * SCALE, 0, 1e-4, "");
    test_operator(SAL_OP_DENSE, 3, 20, 1e-4, " of large batches");
}

/* Every rung, on convolutions and dense layers. TF32 keeps 10 bits of each factor. */
static void test_ladder(void) {
    static const struct { sal_cuda_kernel kernel; sal_cuda_precision precision; int atomics;
                          double tolerance; const char *how; } rung[] = {
        { SAL_CUDA_KERNEL_NAIVE, SAL_CUDA_PRECISION_F32, 0, 1e-4, " by the naive kernel" },
        { SAL_CUDA_KERNEL_TILED, SAL_CUDA_PRECISION_F32, 0, 1e-4, " by the tiled kernel" },
        { SAL_CUDA_KERNEL_REGISTERS, SAL_CUDA_PRECISION_F32, 1, 1e-4,
          " by the register-blocked kernel, atomics" },
        { SAL_CUDA_KERNEL_TENSOR, SAL_CUDA_PRECISION_TF32, 0, 5e-3,
          " by the tensor kernel in TF32" },
        { SAL_CUDA_KERNEL_TENSOR, SAL_CUDA_PRECISION_HALF, 0, 5e-3,
          " by the tensor kernel in half" },
        { SAL_CUDA_KERNEL_BEST, SAL_CUDA_PRECISION_TF32, 0, 5e-3, " by the best kernel in TF32" },
        { SAL_CUDA_KERNEL_BEST, SAL_CUDA_PRECISION_TF32, 1, 5e-3,
          " by the best kernel in TF32, atomics" }
    };
    int i;
    for (i = 0; i < SAL__COUNT(rung); i++) {
        cuda->kernel = rung[i].kernel; cuda->precision = rung[i].precision;
        cuda->atomics = rung[i].atomics;
        test_operator(SAL_OP_CONV2D, 10 * SCALE, 0, rung[i].tolerance, rung[i].how);
        test_operator(SAL_OP_DENSE, 3, 0, rung[i].tolerance, rung[i].how);
        if (rung[i].kernel == SAL_CUDA_KERNEL_BEST && !rung[i].atomics)
            test_operator(SAL_OP_CONVLSTM, 4, 0, rung[i].tolerance, rung[i].how);
    }
    cuda->kernel = SAL_CUDA_KERNEL_BEST;
    cuda->precision = SAL_CUDA_PRECISION_F32;
    cuda->atomics = 0;
}

/* The fifth rung takes channels in sixteens. Sizes that call for each of its tiles, whole and cut
   off, sums in one piece and in several, stores of 16 bytes and of 4. */
static void test_async(void) {
    static const struct { int n, channels, out, h, w, kernel, stride, dilation; } list[] = {
        { 1, 16, 128, 64, 64, 1, 1, 1 }, { 1, 16, 64, 64, 64, 3, 1, 1 },
        { 3, 48, 20, 13, 11, 3, 1, 2 }, { 2, 32, 48, 21, 18, 3, 2, 1 },
        { 1, 128, 16, 8, 8, 3, 1, 1 }, { 2, 128, 16, 9, 11, 3, 1, 1 },
        { 1, 32, 160, 10, 12, 5, 1, 1 }, { 1, 80, 96, 9, 8, 3, 1, 1 },
        { 3, 48, 20, 12, 10, 1, 1, 1 }, { 2, 32, 24, 9, 11, 1, 1, 1 }
    };
    int half, i, lost = 0;
    for (half = 0; half < 2; half++) {
        const char *where = "";
        double worst = 0;
        cuda->precision = half ? SAL_CUDA_PRECISION_HALF : SAL_CUDA_PRECISION_TF32;
        for (i = 0; i < SAL__COUNT(list) && worst <= 5e-3; i++) {
            double d = INFINITY;
            result a, b;
            sal_net *net;
            float *in;
            size_t count;
            pick p;
            memset(&p, 0, sizeof p);
            p.rng.state = (uint64_t)i;
            p.op = SAL_OP_CONV2D; p.n = list[i].n; p.h = list[i].h; p.w = list[i].w;
            p.channels = list[i].channels; p.out = list[i].out; p.kernel = list[i].kernel;
            p.stride = list[i].stride; p.dilation = list[i].dilation;
            net = random_net(&p);
            count = (size_t)p.n * 3 * p.h * p.w;
            in = (float *)malloc(count * sizeof(float));
            noise(in, count, 1, 0, &p.rng);
            memset(&a, 0, sizeof a); memset(&b, 0, sizeof b);
            if (net && work(sal_backend_ref(), net, &p, !half, 0, in, &a) == SAL_OK &&
                work(gpu, net, &p, !half, 0, in, &b) == SAL_OK) d = apart(&b, &a, &where);
            worst = SAL__MAX(worst, d);
            forget(&b);
            in[0] = sal__f32_from_bits(0x7FFFFFFF);     /* NaN, as a GPU writes it */
            if (d <= 5e-3 && work(gpu, net, &p, 0, 0, in, &b) == SAL_OK)
                lost += off(b.out, a.out, b.outs, 0) < INFINITY;
            forget(&a); forget(&b);
            free(in);
            sal_net_free(&ctx, net);
        }
        CHECK(worst <= 5e-3, "%d convolutions by the kernel with asynchronous copies, %s: the "
              "reference's values%s (off by %.1e, %s)%s", i, half ? "half" : "TF32",
              half ? "" : " and gradients", worst, where, worst <= 5e-3 ? "" : sal_error(&ctx));
    }
    CHECK(!lost, "and NaN does not become a number on the way");
    cuda->precision = SAL_CUDA_PRECISION_F32;
}

static void test_dense_types(void) {
    static const sal_dtype types[] = { SAL_DTYPE_F16, SAL_DTYPE_BF16, SAL_DTYPE_I8 };
    int i, batch;
    for (i = 0; i < 6; i++) {
        const char *where = "";
        double d = INFINITY;
        sal_tensor small, whole;
        sal_param *weight;
        float in[20 * 3 * 11 * 9];
        result a, b;
        sal_net *net;
        pick p;
        memset(&p, 0, sizeof p);
        batch = i / 3 ? 20 : 2;
        p.op = SAL_OP_DENSE; p.n = batch; p.h = 11; p.w = 9; p.channels = 7;
        net = random_net(&p);
        noise(in, (size_t)p.n * 3 * p.h * p.w, 1, 0, &p.rng);
        if (!net) { CHECK(0, "a dense layer is built: %s", sal_error(&ctx)); return; }
        weight = &net->param[2];
        memset(&a, 0, sizeof a); memset(&b, 0, sizeof b);
        if (sal_tensor_convert(&ctx, &weight->value, types[i % 3], &small) == SAL_OK &&
            sal_tensor_convert(&ctx, &small, SAL_DTYPE_F32, &whole) == SAL_OK) {
            sal_free(&ctx, weight->value.data);
            weight->value = small;
            if (work(sal_backend_ref(), net, &p, 0, 0, in, &a) == SAL_OK &&
                work(gpu, net, &p, 0, 0, in, &b) == SAL_OK) d = apart(&b, &a, &where);
            sal_free(&ctx, whole.data);
        }
        CHECK(d <= 1e-4, "a dense layer with %s weights, batch %d, gives the reference's values "
              "(off by %.1e)", sal_dtype_name(types[i % 3]), batch, d);
        forget(&a); forget(&b);
        sal_net_free(&ctx, net);
    }
}

/* --- networks --------------------------------------------------------------------------------- */

#ifdef CUDA_ON_CPU
static const struct { int h, w, narrow; } small[SAL_KIND_COUNT] = {
    { 96, 96, 32 }, { 64, 64, 16 }, { 32, 40, 32 }, { 32, 32, 32 }, { 32, 32, 32 }, { 32, 64, 16 }
};
#else
static const struct { int h, w, narrow; } small[SAL_KIND_COUNT] = {
    { 96, 96, 1 }, { 128, 128, 1 }, { 240, 320, 2 }, { 120, 160, 4 }, { 120, 160, 4 },
    { 192, 256, 1 }
};
#endif

static void test_network(int kind) {
    result a, b, c;
    sal_net *net = NULL;
    sal_run *run = NULL;
    const char *where = "";
    const char *name = sal_kind_name((sal_kind)kind);
    double d = INFINITY;
    float *in, *again = NULL;
    sal_cuda before;
    sal_rng rng;
    pick p;
    int same = 0;
    memset(&p, 0, sizeof p);
    p.n = 2; p.h = small[kind].h; p.w = small[kind].w;
    memset(&a, 0, sizeof a); b = c = a;
    if (make(&ctx, (sal_kind)kind, small[kind].narrow, 0, p.h, p.w, &net) != SAL_OK) {
        CHECK(0, "%s is made: %s", name, sal_error(&ctx));
        return;
    }
    in = (float *)malloc((size_t)p.n * 3 * p.h * p.w * sizeof(float));
    rng.state = 3;
    noise(in, (size_t)p.n * 3 * p.h * p.w, 1, 0, &rng);
    /* predicting */
    if (work(sal_backend_cpu(), net, &p, 0, 0, in, &a) == SAL_OK) {
        ctx.backend = gpu;
        if (sal_run_open(&ctx, net, p.n, p.w, p.h, &run) == SAL_OK &&
            sal_run_forward(&ctx, run, in) == SAL_OK) {
            again = copy(run->output, a.outs);
            d = off(run->output, a.out, a.outs, 0);
        }
        CHECK(d <= 1e-4, "%s predicts what the CPU predicts (off by %.1e)%s", name, d,
              d <= 1e-4 ? "" : sal_error(&ctx));
        before = *cuda;
        if (again && sal_run_forward(&ctx, run, in) == SAL_OK &&
            sal_run_forward(&ctx, run, in) == SAL_OK)
            same = !memcmp(again, run->output, a.outs * sizeof(float));
        CHECK(same && cuda->graphs == before.graphs + 2, "%s again, replayed as a graph: the same "
              "bits", name);
        CHECK(cuda->uploads == before.uploads + 2 && cuda->downloads == before.downloads + 2 &&
              cuda->fallbacks == before.fallbacks, "%s: one upload and one download a prediction, "
              "nothing on the CPU", name);
        sal_run_close(&ctx, run);
        ctx.backend = NULL;
    }
    forget(&a);
    /* training; the small sizes make statistics of few values, so they stay fixed */
    d = INFINITY;
    before = *cuda;
    if (work(sal_backend_cpu(), net, &p, 1, 1, in, &a) == SAL_OK &&
        work(gpu, net, &p, 1, 1, in, &b) == SAL_OK) d = apart(&b, &a, &where);
    CHECK(d <= 5e-4, "%s: gradients of input and parameters are the CPU's (off by %.1e, %s)", name,
          d, where);
    CHECK(cuda->fallbacks == before.fallbacks, "%s: no layer falls back to the CPU in training",
          name);
    same = work(gpu, net, &p, 1, 1, in, &c) == SAL_OK && b.grad &&
           !memcmp(b.grad, c.grad, b.grads * sizeof(float));
    CHECK(same, "%s: the gradients of a second run have the same bits", name);
    forget(&a); forget(&b); forget(&c);
    free(in); free(again);
    sal_net_free(&ctx, net);
}

/* --- losses, optimisers, training ------------------------------------------------------------- */

/* A network of two layers that ends in one map. */
static sal_net *map_net(int h, int w, int n, pick *p) {
    memset(p, 0, sizeof *p);
    p->rng.state = 4;
    p->op = SAL_OP_PRIOR; p->n = n; p->h = h; p->w = w; p->channels = 5;
    return random_net(p);
}

static void targets(float *density, float *fixations, size_t n, sal_rng *rng) {
    size_t i;
    noise(density, n, .5, .5, rng);
    for (i = 0; i < n; i++) fixations[i] = sal_rng_below(rng, 10) == 0;
}

static void test_losses(void) {
    enum { N = 2, MOST = N * 24 * 16 * 32 * 16 };
    static const char *const texts[] = { "mse", "mlnet", "mlnet_code", "nss", "cc", "kl", "tvd",
                                         "chi2", "cosine", "bce", "10*kl-2*cc-nss", "sam" };
    float *density = (float *)malloc(3 * (size_t)MOST * sizeof(float)), *scratch;
    float *fixations = density + MOST, in[N * 3 * 8 * 10];
    double weight[N] = { .5, .25 }, value[2][N], worst = 0;
    pick p;
    sal_net *net = map_net(8, 10, N, &p);
    sal_rng rng;
    int k, b, bad = 0;
    rng.state = 11;
    scratch = fixations + MOST;
    targets(density, fixations, MOST, &rng);
    noise(in, sizeof in / sizeof *in, 1, .2, &rng);
    for (k = 0; k < SAL__COUNT(texts) && !bad; k++) {
        sal_run *run[2] = { NULL, NULL };
        sal_loss loss;
        sal_run_desc desc;
        double d = 0;
        memset(&desc, 0, sizeof desc);
        desc.n = N; desc.h = 8; desc.w = 10; desc.training = 1;
        sal_loss_parse(&ctx, texts[k], &loss);
        if (k == 4) loss.upsample = 3;
        for (b = 0; b < 2; b++) {
            ctx.backend = b ? gpu : sal_backend_cpu();
            bad |= sal_run_open_desc(&ctx, net, &desc, &run[b]) != SAL_OK ||
                   sal_run_forward(&ctx, run[b], in) != SAL_OK ||
                   sal_run_loss(&ctx, run[b], &loss, density, fixations, weight, value[b],
                                scratch) ||
                   sal_run_backward(&ctx, run[b], NULL) != SAL_OK ||
                   sal_run_fetch(&ctx, run[b], NULL, SAL_RUN_GRADIENTS) != SAL_OK;
        }
        ctx.backend = NULL;
        if (!bad) {
            d = off(run[1]->gradients, run[0]->gradients, run[0]->gradient_floats, 1e-6);
            for (b = 0; b < N; b++)
                d = SAL__MAX(d, fabs(value[1][b] - value[0][b]) / (1e-3 + fabs(value[0][b])));
        }
        if (!(d <= 1e-4)) bad = 1;
        worst = SAL__MAX(worst, d);
        for (b = 0; b < 2; b++) sal_run_close(&ctx, run[b]);
        if (bad) break;
    }
    CHECK(!bad, "%d losses and their gradients are the CPU's (off by %.1e)%s%s %s", k, worst,
          bad ? ", but not " : "", bad ? texts[k] : "", bad ? sal_error(&ctx) : "");
    free(density);
    sal_net_free(&ctx, net);
}

/* `steps` updates of a network; the losses go to curve, the parameters stay in the network. */
static sal_result learn(const sal_backend *backend, sal_net *net, const sal_optim_desc *od,
                        const char *loss_text, int n, int steps, double rate, double *curve,
                        int *fallbacks) {
    sal_run_desc desc;
    sal_run *run;
    sal_optim *optim = NULL;
    sal_loss loss;
    sal_result r;
    sal_rng rng;
    float *in, *density, *fixations, *scratch;
    double *weight, *value, norm;
    size_t map, pixels;
    int t, i;
    uint64_t before = cuda->fallbacks;
    memset(&desc, 0, sizeof desc);
    desc.n = n; desc.training = 1;
    SAL__TRY(sal_loss_parse(&ctx, loss_text, &loss));
    ctx.backend = backend;
    r = sal_run_open_desc(&ctx, net, &desc, &run);
    ctx.backend = NULL;
    if (r != SAL_OK) return r;
    map = (size_t)run->shape.h * run->shape.w * SAL__MAX(loss.upsample, 1) *
          SAL__MAX(loss.upsample, 1);
    pixels = (size_t)3 * run->h * run->w;
    in = (float *)malloc(n * pixels * sizeof(float));
    density = (float *)malloc(4 * n * map * sizeof(float)); fixations = density + n * map;
    scratch = (float *)malloc((size_t)sal_threads(&ctx) * 2 * map * sizeof(float));
    weight = (double *)malloc(2 * (size_t)n * sizeof(double)); value = weight + n;
    rng.state = 8;
    r = sal_optim_open(&ctx, od, run, &optim);
    for (t = 0; t < steps && r == SAL_OK; t++) {
        noise(in, n * pixels, 1, 0, &rng);
        targets(density, fixations, n * map, &rng);
        for (i = 0; i < n; i++) weight[i] = 1.0 / n;
        run->seed = (uint64_t)t;
        r = sal_run_forward(&ctx, run, in);
        if (r == SAL_OK)
            r = sal_run_loss(&ctx, run, &loss, density, fixations, weight, value, scratch);
        sal_run_clear(run);
        if (r == SAL_OK) r = sal_run_backward(&ctx, run, NULL);
        if (r == SAL_OK) r = sal_optim_step(&ctx, optim, net, run, rate, .9, &norm);
        for (i = 0, curve[t] = 0; i < n; i++) curve[t] += value[i];
    }
    if (r == SAL_OK) r = sal_run_fetch(&ctx, run, optim, SAL_RUN_WEIGHTS | SAL_RUN_STATE);
    *fallbacks = (int)(cuda->fallbacks - before);
    sal_optim_close(&ctx, optim);
    sal_run_close(&ctx, run);
    free(in); free(density); free(scratch); free(weight);
    return r;
}

static void test_optimisers(void) {
    static const struct { const char *name; sal_optim_desc desc; double rate; } rule[] = {
        { "SGD", { SAL_RULE_SGD, 0, 0, 0, .01, .5, 0 }, .05 },
        { "Nesterov", { SAL_RULE_SGD, 1, 0, 0, 0, 0, .8 }, .05 },
        { "RMSprop", { SAL_RULE_RMSPROP, 0, .9, 1e-2, 0, 0, 0 }, .01 },
        { "Adam", { SAL_RULE_ADAM, 0, .99, 1e-2, .01, 0, 0 }, .01 },
        { "AdamW", { SAL_RULE_ADAMW, 0, .99, 1e-2, .01, 1, 0 }, .01 }
    };
    int i, k, fallbacks;
    for (i = 0; i < SAL__COUNT(rule); i++) {
        sal_net *net[2];
        double curve[2][4], d = 0;
        sal_result r = SAL_OK;
        pick p;
        for (k = 0; k < 2; k++) {
            memset(&p, 0, sizeof p);
            p.rng.state = 21;
            p.op = SAL_OP_MAXOUT; p.n = 2; p.h = 9; p.w = 11; p.channels = 6;
            net[k] = random_net(&p);
            net[k]->layer[net[k]->layers - 1].shape.c = 1;      /* a map of one channel */
            net[k]->layer[net[k]->layers - 1].shape.h = 6;
            net[k]->layer[net[k]->layers - 1].kernel = 2;
            if (r == SAL_OK)
                r = learn(k ? gpu : sal_backend_cpu(), net[k], &rule[i].desc, "mse", 2, 4,
                          rule[i].rate, curve[k], &fallbacks);
        }
        for (k = 0; k < net[0]->params; k++)
            d = SAL__MAX(d, off((float *)net[1]->param[k].value.data,
                                (float *)net[0]->param[k].value.data,
                                sal_tensor_count(&net[0]->param[k].value), 1e-3));
        CHECK(r == SAL_OK && d <= 1e-4, "%s: four steps make the weights that the CPU makes (off "
              "by %.1e)%s", rule[i].name, d, r == SAL_OK ? "" : sal_error(&ctx));
        sal_net_free(&ctx, net[0]); sal_net_free(&ctx, net[1]);
    }
}

/* A loss curve beside that of the CPU. */
static void test_training(int kind, const char *loss, int steps) {
    sal_optim_desc desc = { SAL_RULE_SGD, 1, 0, 0, 0, 1, 0 };
    double curve[2][32], worst = 0;
    sal_net *net[2] = { NULL, NULL };
    sal_result r = SAL_OK;
    int k, t, fallbacks = 0;
    for (k = 0; k < 2 && r == SAL_OK; k++) {
        r = make(&ctx, (sal_kind)kind, small[kind].narrow, 0, small[kind].h, small[kind].w,
                 &net[k]);
        if (r == SAL_OK) r = learn(k ? gpu : sal_backend_cpu(), net[k], &desc, loss, 2, steps, .01,
                                   curve[k], &fallbacks);
    }
    for (t = 0; t < steps && r == SAL_OK; t++)
        worst = SAL__MAX(worst, fabs(curve[1][t] / curve[0][t] - 1));
    CHECK(r == SAL_OK && worst <= 1e-3 && !fallbacks, "%s: %d steps of training follow the CPU's "
          "loss curve (%.4g to %.4g, off by %.1e) with nothing on the CPU%s",
          sal_kind_name((sal_kind)kind), steps, curve[0][0], curve[0][steps - 1], worst,
          r == SAL_OK ? "" : sal_error(&ctx));
    sal_net_free(&ctx, net[0]); sal_net_free(&ctx, net[1]);
}

/* --- the trainer ------------------------------------------------------------------------------ */

#define FOLDER "build/test_cuda_files"

static void make_pictures(int count, sal_rng *rng) {
    sal_image image;
    sal_map map;
    char path[96];
    int i, k;
    mkdir("build", 0777); mkdir(FOLDER, 0777);
    mkdir(FOLDER "/images", 0777); mkdir(FOLDER "/maps", 0777);
    sal_image_new(&ctx, 40, 32, &image);
    sal_map_new(&ctx, 40, 32, &map);
    for (i = 0; i < count; i++) {
        for (k = 0; k < 40 * 32 * 3; k++) image.data[k] = (unsigned char)sal_rng_below(rng, 256);
        for (k = 0; k < 40 * 32; k++) map.data[k] = (float)sal_rng_uniform(rng);
        snprintf(path, sizeof path, FOLDER "/images/p%d.png", i);
        sal_image_save(&ctx, path, &image);
        snprintf(path, sizeof path, FOLDER "/maps/p%d.png", i);
        sal_map_save_png(&ctx, path, &map);
    }
    sal_image_free(&ctx, &image);
    sal_map_free(&ctx, &map);
}

static int stop_after_one(void *user, const sal_train_progress *at) {
    (void)user;
    return at->epoch == 1 && at->step == 1 ? SAL_TRAIN_STOP : SAL_TRAIN_GO_ON;
}

/* ML-Net on a few pictures, through sal_train; its weights as they are at the end. */
static sal_net *trained(const sal_backend *backend, const sal_train_desc *d, double *loss) {
    static const char *const folder[] = { FOLDER };
    sal_folders_desc data;
    sal_train_result result;
    sal_net *net = NULL;
    memset(&data, 0, sizeof data);
    data.data = folder; data.datas = 1; data.val_split = .3; data.seed = 1;
    sal_result r = make(&ctx, SAL_KIND_MLNET, 32, 0, 32, 40, &net);
    ctx.backend = backend;
    if (r == SAL_OK) r = sal_train_folders(&ctx, net, d, &data, &result);
    ctx.backend = NULL;
    *loss = r == SAL_OK ? result.loss : NAN;
    if (r != SAL_OK) { sal_net_free(&ctx, net); net = NULL; }
    return net;
}

static double nets_apart(const sal_net *a, const sal_net *b) {
    double d = 0;
    int k;
    if (!a || !b) return INFINITY;
    for (k = 0; k < a->params; k++) {
        double e = off((float *)a->param[k].value.data, (float *)b->param[k].value.data,
                       sal_tensor_count(&a->param[k].value), 1e-3);
        d = SAL__MAX(d, e);
    }
    return d;
}

static void test_trainer(void) {
    sal_train_desc d = sal_train_desc_paper(SAL_KIND_MLNET);
    sal_net *cpu, *whole, *again = NULL;
    double loss[2], e;
    sal_rng rng;
    rng.state = 6;
    make_pictures(8, &rng);
    d.epochs = 2; d.batch = 2; d.seed = 1;
    d.average = .9;
    cpu = trained(sal_backend_cpu(), &d, &loss[0]);
    whole = trained(gpu, &d, &loss[1]);
    e = nets_apart(whole, cpu);
    CHECK(e <= 1e-3 && fabs(loss[1] / loss[0] - 1) <= 1e-4, "sal_train on the device makes the "
          "CPU's weights (off by %.1e) and loss (%.5g, %.5g)%s", e, loss[0], loss[1],
          e <= 1e-3 ? "" : sal_error(&ctx));
    d.state = FOLDER "/state"; d.resume = 1;
    remove(d.state);
    d.progress = stop_after_one;
    again = trained(gpu, &d, &loss[0]);
    sal_net_free(&ctx, again);
    d.progress = NULL;
    again = trained(gpu, &d, &loss[0]);
    CHECK(nets_apart(again, whole) == 0, "stopped and resumed on the device it ends with the same "
          "bits%s", again ? "" : sal_error(&ctx));
    sal_net_free(&ctx, cpu); sal_net_free(&ctx, whole); sal_net_free(&ctx, again);
    d.state = NULL; d.resume = 0; d.average = 0;
    d.freeze = "backbone."; d.features = FOLDER "/features";
    remove(d.features);
    cpu = trained(sal_backend_cpu(), &d, &loss[0]);
    remove(d.features);
    whole = trained(gpu, &d, &loss[1]);
    e = nets_apart(whole, cpu);
    CHECK(e <= 1e-3, "on cached features of a frozen beginning too (off by %.1e)%s", e,
          whole ? "" : sal_error(&ctx));
    sal_net_free(&ctx, cpu); sal_net_free(&ctx, whole);
}

/* --- what crosses to the device and back ------------------------------------------------------ */

static void test_prefetch(void) {
    pick p;
    sal_net *net = map_net(12, 9, 2, &p);
    float in[3][2 * 3 * 12 * 9], want[3][256];
    sal_run *run = NULL, *plain = NULL;
    sal_rng rng;
    int i, good = 1;
    rng.state = 2;
    noise(in[0], sizeof in / sizeof(float), 1, 0, &rng);
    ctx.backend = gpu;
    good = sal_run_open(&ctx, net, 2, 9, 12, &run) == SAL_OK &&
           sal_run_open(&ctx, net, 2, 9, 12, &plain) == SAL_OK && out_size(run) <= 256;
    for (i = 0; i < 3 && good; i++) {
        good = sal_run_forward(&ctx, plain, in[i]) == SAL_OK;
        memcpy(want[i], plain->output, out_size(run) * sizeof(float));
    }
    for (i = 0; i < 6 && good; i++) {
        if (i == 0) good = sal_run_prefetch(&ctx, run, in[0]) == SAL_OK;
        if (i < 5) good = good && sal_run_prefetch(&ctx, run, in[(i + 1) % 3]) == SAL_OK;
        good = good && sal_run_forward(&ctx, run, in[i % 3]) == SAL_OK &&
               !memcmp(want[i % 3], run->output, out_size(run) * sizeof(float));
    }
    CHECK(good, "announced inputs give what inputs that were not announced give");
    good = good && sal_run_prefetch(&ctx, run, in[0]) == SAL_OK &&
           sal_run_forward(&ctx, run, in[1]) == SAL_OK &&
           !memcmp(want[1], run->output, out_size(run) * sizeof(float));
    CHECK(good, "an announced input that does not come does no harm");
    ctx.backend = NULL;
    sal_run_close(&ctx, run); sal_run_close(&ctx, plain);
    sal_net_free(&ctx, net);
}

/* Layers without a kernel: on the CPU, counted, and right. */
static void test_fallback(void) {
    sal_backend *table = (sal_backend *)(uintptr_t)gpu;
    static const sal_op ops[] = { SAL_OP_CONCAT, SAL_OP_MAXPOOL, SAL_OP_BATCHNORM, SAL_OP_DENSE };
    sal_layer_fn *keep[3];
    int i, training;
    for (i = 0; i < SAL__COUNT(ops); i++) {
        double d = 0;
        const char *where = "";
        uint64_t before = cuda->fallbacks;
        pick p;
        keep[0] = table->forward[ops[i]]; keep[1] = table->train[ops[i]];
        keep[2] = table->backward[ops[i]];
        table->forward[ops[i]] = table->train[ops[i]] = table->backward[ops[i]] = NULL;
        memset(&p, 0, sizeof p);
        p.op = ops[i]; p.n = 2; p.h = 9; p.w = 10; p.channels = 4;
        for (training = 0; training < 2 && d < 1; training++) {
            float in[2 * 3 * 9 * 10];
            sal_net *net = random_net(&p);
            result a, b;
            noise(in, sizeof in / sizeof *in, 1, 0, &p.rng);
            memset(&b, 0, sizeof b);
            if (work(sal_backend_ref(), net, &p, training, 0, in, &a) != SAL_OK ||
                work(gpu, net, &p, training, 0, in, &b) != SAL_OK) d = INFINITY;
            else d = SAL__MAX(d, apart(&b, &a, &where));
            forget(&a); forget(&b);
            sal_net_free(&ctx, net);
        }
        CHECK(d <= 1e-4 && cuda->fallbacks == before + 3, "%s without a kernel: done by the CPU, "
              "counted, and right (off by %.1e %s)", sal_op_name(ops[i]), d, where);
        table->forward[ops[i]] = keep[0]; table->train[ops[i]] = keep[1];
        table->backward[ops[i]] = keep[2];
    }
}

/* Weights changed on the host, features as input, the watching callback, gradient check. */
static void count_values(void *arg, const sal_run *run, int i) {
    const float *x = run->value[run->step[i].output].data;
    *(double *)arg += fabs((double)x[0]);
}

static void test_exchange(void) {
    pick p;
    sal_net *net = map_net(12, 9, 1, &p);
    float in[3 * 12 * 9], first[128];
    sal_run *run = NULL, *cpu = NULL;
    gradcheck_result check;
    sal_run_desc desc;
    double seen[2] = { 0, 0 }, d = INFINITY;
    int i, k, good;
    noise(in, sizeof in / sizeof *in, 1, 0, &p.rng);
    ctx.backend = gpu;
    good = sal_run_open(&ctx, net, 1, 9, 12, &run) == SAL_OK &&
           sal_run_forward(&ctx, run, in) == SAL_OK;
    memcpy(first, run->output, out_size(run) * sizeof(float));
    for (i = 0; i < net->params; i++)
        for (k = 0; k < (int)sal_tensor_count(&net->param[i].value); k++)
            ((float *)net->param[i].value.data)[k] *= 1.5f;
    sal_run_changed(run, NULL, SAL_RUN_WEIGHTS);
    good = good && sal_run_forward(&ctx, run, in) == SAL_OK;
    ctx.backend = NULL;
    good = good && sal_run_open(&ctx, net, 1, 9, 12, &cpu) == SAL_OK &&
           sal_run_forward(&ctx, cpu, in) == SAL_OK;
    if (good) d = off(run->output, cpu->output, out_size(cpu), 0);
    CHECK(d <= 1e-4 && off(first, cpu->output, out_size(cpu), 0) > .1,
          "weights that were changed on the host count after sal_run_changed");
    run->watch = cpu->watch = count_values;
    run->watch_arg = &seen[0]; cpu->watch_arg = &seen[1];
    good = good && sal_run_forward(&ctx, run, in) == SAL_OK &&
           sal_run_forward(&ctx, cpu, in) == SAL_OK;
    CHECK(good && fabs(seen[0] / seen[1] - 1) < 1e-4, "who watches a run on the device sees the "
          "values");
    sal_run_close(&ctx, run); sal_run_close(&ctx, cpu);
    memset(&desc, 0, sizeof desc);
    desc.n = 1; desc.h = 12; desc.w = 9;
    memset(&check, 0, sizeof check);
    ctx.backend = gpu;
    good = gradcheck(&ctx, net, &desc, 4, 1e-2, &check) == SAL_OK;
    ctx.backend = NULL;
    CHECK(good && check.checked > 10 && check.worst < .02, "gradients on the device pass against "
          "differences (%d checked, off by %.1e in %s)", check.checked, check.worst, check.where);
    sal_net_free(&ctx, net);
}

/* --- errors ----------------------------------------------------------------------------------- */

static int cpu_works(void) {
    pick p;
    sal_net *net = map_net(12, 9, 1, &p);
    float in[3 * 12 * 9];
    result a;
    int good;
    noise(in, sizeof in / sizeof *in, 1, 0, &p.rng);
    good = net && work(NULL, net, &p, 1, 0, in, &a) == SAL_OK;
    if (net) forget(&a);
    sal_net_free(&ctx, net);
    return good;
}

#ifdef CUDA_ON_CPU
/* A device, or code, from before TF32: float32 takes its place. */
static void test_old_device(void) {
    const sal_backend *keep = gpu;
    cuda_on_cpu_set(1, 7, (size_t)4 << 30, 0);
    if (sal_backend_cuda_open(&ctx, 0, &gpu) == SAL_OK) {
        cuda = sal_backend_cuda(gpu);
        test_operator(SAL_OP_CONV2D, 4, 0, 1e-4, " on 7.0, where there is no TF32");
        sal_backend_cuda_close(&ctx, gpu);
    } else CHECK(0, "a device of 7.0 is opened: %s", sal_error(&ctx));
    gpu = keep;
    cuda = sal_backend_cuda(gpu);
    cuda_on_cpu_set(1, 8, (size_t)4 << 30, 0);
}
#endif

static void test_no_device(const char *sentence) {
    CHECK(strstr(sentence, "CPU") && cpu_works(), "without a usable device there is a sentence, "
          "and the CPU works: %s", sentence);
}

static void test_errors(void) {
    const sal_backend *other = gpu;
    sal_result r = sal_backend_cuda_open(&ctx, 99, &other);
    CHECK(r == SAL_ERR_ARGUMENT && !other, "device 99 is refused: %s", sal_error(&ctx));
#ifdef CUDA_ON_CPU
    {
        enum { MEGA = 1 << 20 };
        pick p;
        sal_net *net = map_net(64, 64, 4, &p);
        float *in = (float *)calloc(4 * 3 * 64 * 64, sizeof(float));
        size_t used = cuda_on_cpu_memory();
        sal_run *run = NULL;
        int i, good = 0, failed = 0;
        cuda_on_cpu_set(0, 8, MEGA, 0);
        CHECK(sal_backend_cuda_open(&ctx, 0, &other) == SAL_ERR_UNSUPPORTED && !other,
              "a machine without a device: %s", sal_error(&ctx));
        cuda_on_cpu_set(1, 0, MEGA, 0);
        CHECK(sal_backend_cuda_open(&ctx, 0, &other) == SAL_ERR_UNSUPPORTED && !other &&
              strstr(sal_error(&ctx), "-gencode"), "a device of another architecture: %s",
              sal_error(&ctx));
        ctx.backend = gpu;
        for (i = 1; i < 100 && !good; i++) {        /* with ever more memory */
            cuda_on_cpu_set(1, 8, used + (size_t)i * 32768, 0);
            r = sal_run_open(&ctx, net, 4, 64, 64, &run);
            good = r == SAL_OK;
            failed += r == SAL_ERR_MEMORY && !run && cuda_on_cpu_memory() == used;
            if (i == 8) CHECK(r == SAL_ERR_MEMORY, "too little memory: %s", sal_error(&ctx));
        }
        CHECK(good && failed == i - 2 && failed > 5, "when memory is short at any point, all of it "
              "is given back (%d points)", failed);
        cuda_on_cpu_set(1, 8, (size_t)1 << 30, 2);
        r = good ? sal_run_forward(&ctx, run, in) : SAL_OK;
        CHECK(r == SAL_ERR_UNSUPPORTED, "a launch that fails is reported: %s", sal_error(&ctx));
        sal_run_close(&ctx, run);
        CHECK(cuda_on_cpu_memory() == used, "and leaves no memory behind");
        ctx.backend = NULL;
        CHECK(cpu_works(), "after all that the CPU still works");
        free(in);
        sal_net_free(&ctx, net);
    }
#endif
}

int main(void) {
    int kind;
    sal_result r;
    memset(&ctx, 0, sizeof ctx);
    ctx.seed = 1;
    r = sal_backend_cuda_open(&ctx, 0, &gpu);
    if (r != SAL_OK) {
        char why[512];
        snprintf(why, sizeof why, "%s", sal_error(&ctx));
        test_no_device(why);
        SKIP("no GPU: nothing else of saliency_cuda.cu can be tested here");
        return test_done();
    }
    cuda = sal_backend_cuda(gpu);
    printf("     on %s, compute capability %d.%d\n", cuda->name, cuda->major, cuda->minor);
    test_operators();
    test_ladder();
    test_async();
    test_dense_types();
    for (kind = 0; kind < SAL_KIND_COUNT; kind++) test_network(kind);
    test_losses();
    test_optimisers();
    test_training(SAL_KIND_MLNET, "mlnet", 6);
    test_training(SAL_KIND_SAM_RESNET, "sam", 2);
    test_training(SAL_KIND_LITE, "kl-cc", 2);
    test_trainer();
    test_prefetch();
    test_fallback();
    test_exchange();
    test_errors();
#ifdef CUDA_ON_CPU
    test_old_device();
    CHECK(cuda_on_cpu_memory() == 0, "no device memory is left when all runs are closed");
#endif
    CHECK(cuda->bytes == 0, "the count of device memory ends at 0");
    sal_backend_cuda_close(&ctx, gpu);
    return test_done();
}
