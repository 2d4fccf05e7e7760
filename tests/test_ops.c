/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* Operators: the textbook loops against golden values from PyTorch, forward and backward
   (golden/make_golden.py), and what the default backend makes of layers that follow each other. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "test.h"

/* --- golden values ------------------------------------------------------------------------------

   One case is a set of tensors called OP.CASE.in, OP.CASE.weight, OP.CASE.out, ... Values agree if
   they differ by at most 2e-6 of the largest. Most loops sum in double and err by 1e-7; gradients
   that are added up in place, in float, by up to 6e-7. */
enum { MEMORY = 1 << 16 };
static const double tolerance = 2e-6;
static sal_safetensors golden;
static char name[32];               /* of the case, "conv2d.3" */
static int cases;
static double worst;                /* difference in this case, relative to the largest value */
static float memory[MEMORY];            /* memory of one case */
static size_t used;

static const sal_tensor *tensor_of(const char *key) {
    char text[64];
    const sal_named_tensor *t;
    snprintf(text, sizeof text, "%s.%s", name, key);
    t = sal_safetensors_find(&golden, text);
    return t ? &t->tensor : NULL;
}

/* Begin case i of an operator; 0 if the file has no such case. */
static int next_case(const char *op, int i) {
    snprintf(name, sizeof name, "%s.%d", op, i);
    if (!tensor_of("out")) return 0;
    cases++;
    used = 0;
    worst = 0;
    return 1;
}

static const float *want(const char *key) {
    const sal_tensor *t = tensor_of(key);
    return t ? (const float *)t->data : NULL;
}
static int dim(const char *key, int i) { return tensor_of(key)->dim[i]; }
static size_t count(const char *key) { return sal_tensor_count(tensor_of(key)); }
static int value(const char *key, int i) { return (int)want(key)[i]; }

static float *zeros(size_t n) {
    float *x = memory + used;
    used += n;
    if (used > MEMORY) { printf("%s: the memory is too small\n", name); exit(1); }
    memset(x, 0, n * sizeof(float));
    return x;
}

/* got must be `times` the golden tensor `key`. */
static void compare(const char *key, const float *got, int times) {
    const float *x = want(key);
    double most = 1e-3, off = 0;        /* gradients below 1e-3 may be all rounding */
    size_t i, n = count(key);
    for (i = 0; i < n; i++) {
        double d = fabs((double)got[i] - (double)times * x[i]);
        if (d > off || d != d) off = d;       /* keeps a NaN */
        most = MAX(most, times * fabs((double)x[i]));
    }
    if (!(off / most <= worst)) worst = off / most;
}

/* got must be exactly the golden indices. */
static void compare_index(const char *key, const int *got) {
    size_t i;
    for (i = 0; i < count(key); i++) if (got[i] != value(key, (int)i)) worst = INFINITY;
}

#define VERDICT(...) do {                                                                        \
        char what_[128];                                                                         \
        snprintf(what_, sizeof what_, __VA_ARGS__);                                              \
        CHECK(worst <= tolerance, "%s as in PyTorch, %s (off by %.1e of the largest value)",     \
              name, what_, worst);                                                               \
    } while (0)

/* Every backward function runs twice on the same arrays: gradients are added up. */
#define TWICE for (twice = 0; twice < 2; twice++)

static void test_gemm(void) {
    int i;
    for (i = 0; next_case("gemm", i); i++) {
        int m = dim("a", 0), k = dim("a", 1), n = dim("b", 1);
        float *c = zeros((size_t)m * n);
        sal_dense_backward_data(c, want("a"), want("b"), m, n, k);      /* c += a b */
        compare("out", c, 1);
        VERDICT("%d x %d times %d x %d", m, k, k, n);
    }
}

static void test_conv2d(void) {
    int i, twice;
    for (i = 0; next_case("conv2d", i); i++) {
        sal_conv s;
        float *out, *din = zeros(count("in")), *dweight = zeros(count("weight")), *dbias;
        s.n = dim("in", 0); s.ic = dim("in", 1); s.ih = dim("in", 2); s.iw = dim("in", 3);
        s.oc = dim("weight", 0); s.kh = dim("weight", 2); s.kw = dim("weight", 3);
        s.stride = value("geometry", 0); s.dilation = value("geometry", 1);
        s.top = value("geometry", 2); s.left = value("geometry", 3);
        s.bottom = value("geometry", 4); s.right = value("geometry", 5);
        if (sal_conv_fit(&s) || s.oh != dim("out", 2) || s.ow != dim("out", 3)) worst = INFINITY;
        out = zeros(count("out"));
        dbias = zeros((size_t)s.oc);
        sal_conv2d_forward(out, want("in"), want("weight"), want("bias"), &s);
        compare("out", out, 1);
        TWICE {
            sal_conv2d_backward_data(din, want("dout"), want("weight"), &s);
            sal_conv2d_backward_weight(dweight, want("dout"), want("in"), &s);
            sal_bias_backward(dbias, want("dout"), s.n, s.oc, s.oh * s.ow);
        }
        compare("din", din, 2);
        compare("dweight", dweight, 2);
        if (want("bias")) compare("dbias", dbias, 2);
        VERDICT("%d x %d x %d to %d x %d x %d, kernel %d x %d, stride %d, dilation %d, "
                "borders %d %d %d %d%s", s.ic, s.ih, s.iw, s.oc, s.oh, s.ow, s.kh, s.kw, s.stride,
                s.dilation, s.top, s.left, s.bottom, s.right, want("bias") ? "" : ", no bias");
    }
}

static void test_depthwise(void) {
    int i, twice;
    for (i = 0; next_case("depthwise", i); i++) {
        sal_conv s;
        float *out, *din = zeros(count("in")), *dweight = zeros(count("weight"));
        s.n = dim("in", 0); s.ic = s.oc = dim("in", 1); s.ih = dim("in", 2); s.iw = dim("in", 3);
        s.kh = dim("weight", 2); s.kw = dim("weight", 3);
        s.stride = value("geometry", 0); s.dilation = value("geometry", 1);
        s.top = value("geometry", 2); s.left = value("geometry", 3);
        s.bottom = value("geometry", 4); s.right = value("geometry", 5);
        if (sal_conv_fit(&s) || s.oh != dim("out", 2) || s.ow != dim("out", 3)) worst = INFINITY;
        out = zeros(count("out"));
        sal_depthwise_forward(out, want("in"), want("weight"), want("bias"), &s);
        compare("out", out, 1);
        TWICE {
            sal_depthwise_backward_data(din, want("dout"), want("weight"), &s);
            sal_depthwise_backward_weight(dweight, want("dout"), want("in"), &s);
        }
        compare("din", din, 2);
        compare("dweight", dweight, 2);
        VERDICT("%d x %d x %d to %d x %d, kernel %d x %d, stride %d, dilation %d", s.ic, s.ih, s.iw,
                s.oh, s.ow, s.kh, s.kw, s.stride, s.dilation);
    }
}

static void test_dense(void) {
    int i, twice;
    for (i = 0; next_case("dense", i); i++) {
        int n = dim("in", 0), nin = dim("in", 1), nout = dim("out", 1);
        float *out = zeros(count("out")), *din = zeros(count("in"));
        float *dweight = zeros(count("weight")), *dbias = zeros((size_t)nout);
        sal_dense_forward(out, want("in"), want("weight"), want("bias"), n, nin, nout);
        compare("out", out, 1);
        TWICE {
            sal_dense_backward_data(din, want("dout"), want("weight"), n, nin, nout);
            sal_dense_backward_weight(dweight, want("dout"), want("in"), n, nin, nout);
            sal_bias_backward(dbias, want("dout"), n, nout, 1);
        }
        compare("din", din, 2);
        compare("dweight", dweight, 2);
        if (want("bias")) compare("dbias", dbias, 2);
        VERDICT("%d samples, %d to %d%s", n, nin, nout, want("bias") ? "" : ", no bias");
    }
}

static void test_maxout(void) {
    int i, twice, arg[64];
    for (i = 0; next_case("maxout", i); i++) {
        int n = dim("in", 0), pieces = dim("in", 1);
        float *out = zeros((size_t)n), *din = zeros(count("in"));
        sal_maxout_forward(out, arg, want("in"), n, pieces);
        compare("out", out, 1);
        compare_index("arg", arg);
        TWICE sal_maxout_backward(din, want("dout"), arg, n, pieces);
        compare("din", din, 2);
        VERDICT("%d times %d pieces%s", n, pieces, i == 2 ? " with ties" : "");
    }
}

static void test_maxpool(void) {
    int i, twice, arg[256];
    for (i = 0; next_case("maxpool", i); i++) {
        sal_pool s;
        float *out = zeros(count("out")), *din = zeros(count("in"));
        int same = value("geometry", 2);
        s.n = dim("in", 1); s.ih = dim("in", 2); s.iw = dim("in", 3);
        s.k = value("geometry", 0); s.stride = value("geometry", 1);
        if (sal_pool_fit(&s, same ? SAL_PADDING_SAME : SAL_PADDING_VALID) ||
            s.oh != dim("out", 2) ||
            s.ow != dim("out", 3)) worst = INFINITY;
        sal_maxpool_forward(out, arg, want("in"), &s);
        compare("out", out, 1);
        compare_index("arg", arg);
        TWICE sal_maxpool_backward(din, want("dout"), arg, &s);
        compare("din", din, 2);
        VERDICT("%d x %d to %d x %d, window %d, stride %d, %s%s", s.ih, s.iw, s.oh, s.ow, s.k,
                s.stride, same ? "same" : "valid", i == 6 ? ", with ties" : "");
    }
}

static void test_fits(void) {
    sal_conv conv = { 1, 1, 8, 8, 1, 3, 3, 1, 1, 1, 1, 1, 1, 0, 0 }, c[4] = { conv, conv, conv, conv };
    sal_pool pool = { 1, 8, 8, 2, 2, 0, 0, 0, 0 }, p[2] = { pool, pool };
    int refused = 0;
    c[0].kh = c[1].kw = c[2].stride = c[3].dilation = p[0].k = p[1].stride = 0;
    for (int i = 0; i < 4; i++) refused += sal_conv_fit(&c[i]) == SAL_ERR_SHAPE;
    for (int i = 0; i < 2; i++)
        refused += sal_pool_fit(&p[i], SAL_PADDING_SAME) == SAL_ERR_SHAPE &&
                   sal_pool_fit(&p[i], SAL_PADDING_VALID) == SAL_ERR_SHAPE;
    CHECK(refused == 6 && !sal_conv_fit(&conv) && !sal_pool_fit(&pool, SAL_PADDING_SAME),
          "windows, strides and dilations of 0 are refused (%d of 6)", refused);
}

static void test_elementwise(void) {
    typedef void forward_fn(float *out, const float *in, size_t n);
    typedef void backward_fn(float *din, const float *dout, const float *out, size_t n);
    static const char *const names[] = { "relu", "relu6", "sigmoid", "tanh" };
    static forward_fn *const forward[] = { sal_relu_forward, sal_relu6_forward,
                                           sal_sigmoid_forward, sal_tanh_forward };
    static backward_fn *const backward[] = { sal_relu_backward, sal_relu6_backward,
                                             sal_sigmoid_backward, sal_tanh_backward };
    int k, twice;
    for (k = 0; k < COUNT(names); k++) {
        size_t n;
        float *out, *din;
        if (!next_case(names[k], 0)) continue;
        n = count("in");
        out = zeros(n);
        din = zeros(n);
        memcpy(out, want("in"), n * sizeof(float));
        forward[k](out, out, n);
        compare("out", out, 1);
        TWICE backward[k](din, want("dout"), out, n);
        compare("din", din, 2);
        VERDICT("in place, from -100 to 100");
    }
}

static void test_softmax(void) {
    int i, twice;
    for (i = 0; next_case("softmax", i); i++) {
        int n = dim("in", 0), size = dim("in", 1);
        float *out = zeros(count("out")), *din = zeros(count("in"));
        sal_softmax_forward(out, want("in"), n, size);
        compare("out", out, 1);
        TWICE sal_softmax_backward(din, want("dout"), out, n, size);
        compare("din", din, 2);
        VERDICT("%d rows of %d%s", n, size, i == 2 ? " up to 2000" : "");
    }
}

static void test_batchnorm(void) {
    const float momentum = 0.1f, eps = 1e-5f;
    int fixed, twice, k;
    for (fixed = 0; fixed <= 1; fixed++) {
        int n, c, hw;
        float *out, *mean, *rstd, *din, *dweight, *dbias;
        if (!next_case(fixed ? "batchnorm" : "batchnorm_train", 0)) continue;
        n = dim("in", 0); c = dim("in", 1); hw = dim("in", 2) * dim("in", 3);
        out = zeros(count("out")); din = zeros(count("in"));
        mean = zeros((size_t)c); rstd = zeros((size_t)c);
        dweight = zeros((size_t)c); dbias = zeros((size_t)c);
        if (fixed) {
            sal_batchnorm_forward(out, want("in"), want("weight"), want("bias"), want("mean"),
                                  want("var"), eps, n, c, hw);
            for (k = 0; k < c; k++) {
                mean[k] = want("mean")[k];
                rstd[k] = (float)(1 / sqrt((double)want("var")[k] + eps));
            }
        } else {
            float *running = zeros(2 * (size_t)c), *var = zeros((size_t)c);
            memcpy(running, want("running_mean"), (size_t)c * sizeof(float));
            memcpy(running + c, want("running_var"), (size_t)c * sizeof(float));
            sal_batchnorm_forward_train(out, mean, rstd, running, running + c, want("in"),
                                        want("weight"), want("bias"), eps, momentum, n, c, hw);
            for (k = 0; k < c; k++) var[k] = 1 / (rstd[k] * rstd[k]) - eps;
            compare("mean", mean, 1);
            compare("var", var, 1);
            compare("new_mean", running, 1);
            compare("new_var", running + c, 1);
        }
        compare("out", out, 1);
        TWICE sal_batchnorm_backward(din, dweight, dbias, want("dout"), want("in"), want("weight"),
                                     mean, rstd, fixed, n, c, hw);
        compare("din", din, 2);
        compare("dweight", dweight, 2);
        compare("dbias", dbias, 2);
        VERDICT("%s", fixed ? "with fixed statistics" : "with the batch's statistics");
    }
}

static void test_dropout(void) {
    enum { N = 100000 };
    static float in[N], out[N];
    static unsigned char mask[N], again[N];
    sal_rng rng = { 5 }, same = { 5 };
    float rate = 0.3f;
    int i, k, twice, kept = 0, right = 1;
    for (i = 0; next_case("dropout", i); i++) {     /* the mask is given: only backward uses one */
        size_t n = count("in"), j;
        float *din = zeros(n);
        for (j = 0; j < n; j++) mask[j] = want("mask")[j] != 0;
        TWICE sal_dropout_backward(din, want("dout"), mask, n, want("rate")[0]);
        compare("din", din, 2);
        VERDICT("the gradient with a given mask, rate %.1f", want("rate")[0]);
    }
    for (k = 0; k < N; k++) in[k] = (float)(k + 1);
    sal_dropout_forward(out, mask, in, N, rate, &rng);
    sal_dropout_forward(out, again, in, N, rate, &same);
    for (k = 0; k < N; k++) {
        volatile float share = mask[k] ? in[k] / (1 - rate) : 0;        /* as it is stored */
        kept += mask[k];
        if (out[k] != share) right = 0;
    }
    CHECK(right, "dropout zeroes what the mask drops and divides the rest by 0.7");
    /* binomial: standard deviation sqrt(0.3 * 0.7 / N) = 0.0014 */
    CHECK(fabs((double)kept / N - 0.7) < 0.006, "dropout at rate 0.3 keeps 70%% (%.2f%%)",
          100.0 * kept / N);
    CHECK(!memcmp(mask, again, N), "dropout drops the same from the same seed");
}

static void test_concat_add(void) {
    int twice;
    if (next_case("concat", 0)) {
        const float *in[3];
        float *out = zeros(count("out")), *din[3];
        int channels[3], n = dim("out", 0), hw = dim("out", 2) * dim("out", 3), k;
        static const char *const keys[] = { "a", "b", "c" }, *const dkeys[] = { "da", "db", "dc" };
        for (k = 0; k < 3; k++) {
            in[k] = want(keys[k]);
            channels[k] = dim(keys[k], 1);
            din[k] = zeros(count(keys[k]));
        }
        sal_concat_forward(out, in, channels, 3, n, hw);
        compare("out", out, 1);
        TWICE sal_concat_backward(din, want("dout"), channels, 3, n, hw);
        for (k = 0; k < 3; k++) compare(dkeys[k], din[k], 2);
        VERDICT("%d + %d + %d channels", channels[0], channels[1], channels[2]);
    }
    if (next_case("add", 0)) {
        size_t n = count("a");
        float *out = zeros(n), *da = zeros(n), *db = zeros(n);
        sal_add_forward(out, want("a"), want("b"), n);
        compare("out", out, 1);
        TWICE sal_add_backward(da, db, want("dout"), n);
        compare("da", da, 2);
        compare("db", db, 2);
        VERDICT("%d values", (int)n);
    }
}

static void test_mirror(void) {
    int i, twice;
    for (i = 0; next_case("mirror", i); i++) {
        size_t n = count("in");
        int w = dim("in", 1);
        float *out = zeros(n), *din = zeros(n);
        sal_mirror_forward(out, want("in"), n / w, w);
        compare("out", out, 1);
        TWICE sal_mirror_backward(din, want("dout"), n / w, w);
        compare("din", din, 2);
        VERDICT("%d rows of %d", (int)(n / w), w);
    }
}

static void test_upsample(void) {
    int i, twice;
    for (i = 0; next_case("upsample", i); i++) {
        int n = dim("in", 1), ih = dim("in", 2), iw = dim("in", 3);
        int oh = dim("out", 2), ow = dim("out", 3);
        float *out = zeros(count("out")), *din = zeros(count("in"));
        sal_upsample_forward(out, want("in"), n, iw, ih, ow, oh);
        compare("out", out, 1);
        TWICE sal_upsample_backward(din, want("dout"), n, iw, ih, ow, oh);
        compare("din", din, 2);
        VERDICT("%d x %d to %d x %d", ih, iw, oh, ow);
    }
}

static void test_priors(void) {
    int i, twice;
    for (i = 0; next_case("prior", i); i++) {
        int n = dim("in", 0), h = dim("in", 2), w = dim("in", 3);
        int ph = dim("prior", 2), pw = dim("prior", 3);
        float *out = zeros(count("out")), *mask = zeros((size_t)h * w);
        float *din = zeros(count("in")), *dprior = zeros(count("prior"));
        float *dmask = zeros((size_t)h * w);
        sal_prior_forward(out, mask, want("in"), want("prior"), n, w, h, pw, ph);
        compare("out", out, 1);
        compare("mask", mask, 1);
        TWICE sal_prior_backward(din, dprior, dmask, want("dout"), want("in"), mask, n, w, h, pw,
                                 ph);
        compare("din", din, 2);
        compare("dprior", dprior, 2);
        VERDICT("%d x %d on %d x %d", ph, pw, h, w);
    }
    for (i = 0; next_case("logprior", i); i++) {
        int n = dim("in", 0), h = dim("in", 2), w = dim("in", 3), domain[8], k;
        int ph = dim("prior", 2), pw = dim("prior", 3);
        float *out = zeros(count("out")), *map = zeros((size_t)h * w);
        float *din = zeros(count("in")), *dprior = zeros(count("prior"));
        for (k = 0; k < n; k++) domain[k] = value("domain", k);
        sal_logprior_forward(out, map, want("in"), want("prior"), domain, n, w, h, pw, ph);
        compare("out", out, 1);
        TWICE sal_logprior_backward(din, dprior, want("dout"), domain, n, w, h, pw, ph);
        compare("din", din, 2);
        compare("dprior", dprior, 2);
        VERDICT("%d x %d on %d x %d, %d samples", ph, pw, h, w, n);
    }
    for (i = 0; next_case("gaussians", i); i++) {
        int k = dim("out", 1), h = dim("out", 2), w = dim("out", 3), size = k * h * w;
        float *out = zeros(2 * (size_t)size), *dparams = zeros(4 * (size_t)k);
        sal_gaussians_forward(out, want("params"), 2, k, w, h);
        compare("out", out, 1);
        compare("out", out + size, 1);          /* the second sample gets the same maps */
        if (want("dparams")) {
            TWICE sal_gaussians_backward(dparams, want("dout"), out, want("params"), 1, k, w, h);
            compare("dparams", dparams, 2);
        }
        VERDICT("%d of %d x %d", k, h, w);
    }
}

static void test_convlstm(void) {
    static const char *const gates[] = { "Wa", "Ua", "Va", "Wi", "Ui", "Wf", "Uf", "Wc", "Uc",
                                         "Wo", "Uo" };
    int i, k, twice;
    for (i = 0; next_case("convlstm", i); i++) {
        int n = dim("in", 0), c = dim("in", 1), h = dim("in", 2), w = dim("in", 3), p = 0;
        int steps = value("steps", 0);
        const float *params[SAL_LSTM_COUNT];
        float *dparams[SAL_LSTM_COUNT], *out = zeros(count("out")), *din = zeros(count("in"));
        float *scratch = zeros(sal_convlstm_scratch(n, c, w, h) +
                               sal_convlstm_backward_scratch(n, c, w, h));
        float *states = zeros(sal_convlstm_states(steps, n, c, w, h));
        char keys[SAL_LSTM_COUNT][16];
        /* the order of SAL_LSTM_WA ... SAL_LSTM_UO_BIAS; Va has no bias */
        for (k = 0; k < 11; k++) {
            snprintf(keys[p++], sizeof keys[0], "d%s.weight", gates[k]);
            if (k != 2) snprintf(keys[p++], sizeof keys[0], "d%s.bias", gates[k]);
        }
        for (k = 0; k < SAL_LSTM_COUNT; k++) {
            params[k] = want(keys[k] + 1);
            dparams[k] = zeros(count(keys[k]));
        }
        sal_convlstm_forward(out, want("in"), params, steps, n, c, w, h, scratch, NULL);
        compare("out", out, 1);
        sal_convlstm_forward(out, want("in"), params, steps, n, c, w, h, scratch, states);
        compare("out", out, 1);
        TWICE {
            sal_convlstm_forward(out, want("in"), params, steps, n, c, w, h, scratch, states);
            sal_convlstm_backward(din, dparams, want("dout"), want("in"), params, states, steps, n,
                                  c, w, h, scratch);
        }
        compare("din", din, 2);
        for (k = 0; k < SAL_LSTM_COUNT; k++) compare(keys[k], dparams[k], 2);
        VERDICT("%d steps, %d samples of %d x %d x %d", steps, n, c, h, w);
    }
}

static void test_against_pytorch(sal_ctx *ctx) {
    int i, outs = 0;
    sal_result r = sal_safetensors_load(ctx, "tests/golden/ops.safetensors", &golden);
    CHECK(r == SAL_OK, "golden values are read %s", r ? sal_error(ctx) : "from tests/golden");
    if (r != SAL_OK) return;
    test_gemm();
    test_conv2d();
    test_depthwise();
    test_dense();
    test_maxout();
    test_maxpool();
    test_fits();
    test_elementwise();
    test_softmax();
    test_batchnorm();
    test_dropout();
    test_concat_add();
    test_mirror();
    test_upsample();
    test_priors();
    test_convlstm();
    for (i = 0; i < golden.count; i++)
        outs += strlen(golden.tensor[i].name) > 4 &&
                !strcmp(golden.tensor[i].name + strlen(golden.tensor[i].name) - 4, ".out");
    CHECK(cases == outs, "all %d cases of the file were compared (%d)", outs, cases);
    sal_safetensors_free(ctx, &golden);
}

/* --- worked examples ----------------------------------------------------------------------------

   As they stand in the comments of the header, with four digits behind the point. */
static int as_written(const float *got, const double *written, int n) {
    for (int i = 0; i < n; i++) if (!(fabs((double)got[i] - written[i]) <= 5.1e-5)) return 0;
    return 1;
}

static void test_convlstm_example(void) {
    static const double step[2][SAL__LSTM_VALUES][2] = {    /* X~, E, I, F, O, G, C, H, A */
        { { .4496, 1.1009 }, { .7616, .9640 }, { .6105, .7504 }, { 0, 0 }, { .6105, .7504 },
          { .4215, .8008 }, { .2574, .6009 }, { .1538, .4035 }, { .4496, .5504 } },
        { { .4589, 1.0822 }, { .8190, .9838 }, { .6485, .8154 }, { .6485, .8154 },
          { .6485, .8154 }, { .5460, .9025 }, { .5210, 1.2260 }, { .3103, .6861 },
          { .4589, .5411 } }
    };
    static const double dx[2] = { .3685, .1995 };
    static const struct { int param; double value; } gradient[] = {
        { SAL_LSTM_WA, .0042 }, { SAL_LSTM_VA, -.0031 }, { SAL_LSTM_WI, .1403 },
        { SAL_LSTM_WF, .0368 }, { SAL_LSTM_WO, .2226 }, { SAL_LSTM_WC, .3636 },
        { SAL_LSTM_UC, .0495 }
    };
    static const float in[2] = { 1, 2 }, middle[9] = { 0, 0, 0, 0, 1, 0, 0, 0, 0 }, none = 0;
    float out[2], din[2] = { 0, 0 }, dout[2] = { 1, 1 }, scratch[64], states[40];
    float sums[SAL_LSTM_COUNT][9], *dparams[SAL_LSTM_COUNT], *v[SAL__LSTM_VALUES];
    const float *params[SAL_LSTM_COUNT];
    memset(sums, 0, sizeof sums);
    for (int k = 0; k < SAL_LSTM_COUNT; k++) {
        int bias = k > SAL_LSTM_VA ? k % 2 == 0 : k % 2;    /* W and U take turns with their bias */
        params[k] = bias ? &none : middle;
        dparams[k] = sums[k];
    }
    sal_convlstm_forward(out, in, params, 2, 1, 1, 2, 1, scratch, states);
    int same = as_written(out, step[1][SAL__LSTM_H], 2);
    for (int t = 0; t < 2; t++) {
        sal__lstm_at(v, states + t * sal__lstm_step(1, 1, 1, 2), 2);
        for (int k = 0; k < SAL__LSTM_VALUES; k++)
            if (t || k != SAL__LSTM_F) same = same && as_written(v[k], step[t][k], 2);
    }
    CHECK(same, "the ConvLSTM's example comes out as written");
    sal_convlstm_backward(din, dparams, dout, in, params, states, 2, 1, 1, 2, 1, scratch);
    same = as_written(din, dx, 2);
    for (int k = 0; k < SAL__COUNT(gradient); k++)
        same = same && as_written(&sums[gradient[k].param][4], &gradient[k].value, 1);
    CHECK(same, "and its gradient");
}

static void test_prior_example(void) {
    static const double written[3] = { .7408, 1, .4966 };
    static const double by_mu[3] = { -1.4816, 0, .9932 }, by_sigma[3] = { .8890, 0, 1.3904 };
    static const float params[4] = { .4f, .5f, .5f, .5f };
    float out[3];
    int same = 1;
    sal_gaussians_forward(out, params, 1, 1, 3, 1);
    CHECK(as_written(out, written, 3), "the Gaussian prior's example comes out as written");
    for (int i = 0; i < 3; i++) {
        float dout[3] = { 0, 0, 0 }, d[4] = { 0, 0, 0, 0 };
        double want[4] = { by_mu[i], 0, by_sigma[i], 0 };
        dout[i] = 1;
        sal_gaussians_backward(d, dout, out, params, 1, 1, 3, 1);
        same = same && as_written(d, want, 4);
    }
    CHECK(same, "and its gradient, pixel by pixel");
}

/* --- layers joined -------------------------------------------------------------------------------

   A convolution and what the default backend does along with it (batch-norm, sum, ReLU, pooling),
   on random shapes, run on both backends; test_fast.c has the kernels themselves. Winograd
   convolutions in float32 lose up to three digits (see >>fast), so values may differ by 1e-4 of the
   largest, and by 1e-7 of it squared in the mean. */
typedef struct pick {               /* the attributes of one trial */
    sal_rng rng;
    int n, h, w, channels, op;
    char text[160];
} pick;

static int pick_below(pick *p, int n) { return (int)sal_rng_below(&p->rng, (uint32_t)n); }

/* Uniform in (-1, 1) times scale, plus offset. */
static void noise(float *x, size_t n, double scale, double offset, sal_rng *rng) {
    size_t i;
    for (i = 0; i < n; i++) x[i] = (float)(offset + scale * (2 * sal_rng_uniform(rng) - 1));
}

/* input -> 1x1 convolution to `channels`, sometimes with stride -> the layer in question. */
static void build(sal__builder *b, pick *p) {
    int x = sal__input(b, 3), y;
    int stride = 1 + !pick_below(p, 4);
    x = sal__conv_any(b, x, "spread", p->channels, 1, stride, 0, 1, 1);
    switch (p->op) {
    case SAL_OP_CONV2D: {
        static const int kernels[] = { 1, 1, 2, 3, 3, 3, 3, 5, 5, 7 };
        int k = kernels[pick_below(p, COUNT(kernels))], d = 1 + pick_below(p, 4) * !pick_below(p, 2);
        int s = 1 + pick_below(p, 3) * !pick_below(p, 3), bias = pick_below(p, 2), norm = pick_below(p, 2);
        int add = pick_below(p, 3) == 0, relu = pick_below(p, 2), pool = pick_below(p, 3) == 0;
        int out = 1 + pick_below(p, pick_below(p, 3) ? 6 : 70);
        int span = (k - 1) * d + 1, side = MIN(b->shapes[x].h, b->shapes[x].w);
        int least = span > side ? (span - side + 1) / 2 : 0, skip = x;
        int pad = pick_below(p, 2) ? span / 2 : pick_below(p, span + 1);
        if (pad < least) pad = least;
        snprintf(p->text, sizeof p->text, "%d x %d x %d to %d, kernel %d, stride %d, dilation %d, "
                 "pad %d%s%s%s%s%s", p->channels, b->shapes[x].h, b->shapes[x].w, out, k, s, d, pad,
                 bias ? ", bias" : "", norm ? ", norm" : "", add ? ", add" : "",
                 relu ? ", relu" : "", pool ? ", pool" : "");
        if (add) skip = sal__conv_any(b, x, "skip", out, k, s, pad, d, 1);
        y = sal__conv_any(b, x, "conv", out, k, s, pad, d, bias);
        if (norm) y = sal__norm(b, y, "norm");
        if (add) y = sal__add(b, y, skip);
        if (relu) y = sal__relu(b, y);
        if (pool) sal__maxpool(b, y, 2, 2, SAL_PADDING_SAME);
        break;
    }
    default: {
        int k = 1 + pick_below(p, 5), s = 1 + pick_below(p, 3) * !pick_below(p, 2), back = pick_below(p, 2);
        int relu = pick_below(p, 2), add = pick_below(p, 3) == 0;
        k = MIN(k, MIN(b->shapes[x].h, b->shapes[x].w));
        snprintf(p->text, sizeof p->text, "%d x %d x %d, kernel %d, stride %d%s%s%s", p->channels,
                 b->shapes[x].h, b->shapes[x].w, k, s, add ? ", add" : "", relu ? ", relu6" : "",
                 back ? ", upsampled" : "");
        y = sal__conv_same(b, x, "dw", 0, k, s);
        if (add) y = sal__add(b, sal__conv_same(b, x, "dw2", 0, k, s), y);
        if (relu) y = sal__relu6(b, y);
        if (back) sal__upsample(b, y, x);
        break;
    }
    }
}

/* A network by build(), with random parameters. */
static sal_net *pick_net(sal_ctx *ctx, pick *p) {
    sal_net_desc desc = sal_net_desc_default(SAL_KIND_MLNET);
    sal__builder b;
    sal_net *net;
    int i;
    desc.h = desc.w = 8;
    if (sal_net_new(ctx, &desc, &net) != SAL_OK) return NULL;   /* taken for its memory */
    net->multiple = 1;
    net->layers = net->params = 0;
    net->desc.h = p->h; net->desc.w = p->w;
    memset(&b, 0, sizeof b);
    b.ctx = ctx; b.net = net;
    build(&b, p);
    if (b.result == SAL_OK) b.result = sal_net_init(ctx, net, p->rng.state);
    if (b.result != SAL_OK) { sal_net_free(ctx, net); return NULL; }
    for (i = 0; i < net->params; i++) {
        const sal_param *q = &net->param[i];
        int positive = sal__ends_with(q->name, ".running_var");
        size_t n = sal_tensor_count(&q->value);
        double fan_in = (double)n / q->value.dim[0];
        noise((float *)q->value.data, n, q->value.ndim > 1 ? sqrt(6 / fan_in) : 0.5, positive,
              &p->rng);
    }
    return net;
}

static sal_result run_on(sal_ctx *ctx, const sal_backend *backend, const sal_net *net,
                         const pick *p, const float *in, float *out, size_t most, size_t *size) {
    sal_run *run;
    sal_result r;
    ctx->backend = backend;
    r = sal_run_open(ctx, net, p->n, p->w, p->h, &run);
    if (r != SAL_OK) return r;
    r = sal_run_forward(ctx, run, in);
    *size = (size_t)run->n * run->shape.c * run->shape.h * run->shape.w;
    if (*size > most) r = SAL_ERR_MEMORY;
    if (r == SAL_OK) memcpy(out, run->output, *size * sizeof(float));
    sal_run_close(ctx, run);
    return r;
}

static int agree_by(const float *a, const float *b, size_t n, double *off) {
    double most = 0, squares = 0, energy = 0;
    size_t i;
    *off = 0;
    for (i = 0; i < n; i++) {
        double d = fabs((double)a[i] - b[i]);
        if (!(d <= *off)) *off = d;
        most = MAX(most, fabs((double)b[i]));
        squares += d * d;
        energy += (double)b[i] * b[i];
    }
    if (most > 0) *off /= most;
    return *off <= 1e-4 && squares <= 1e-7 * energy;
}

static void test_random(sal_ctx *ctx, sal_op op, int trials) {
    enum { MOST = 1 << 20 };
    static float in[3 * 3 * 48 * 48], a[MOST], b[MOST];
    double off, most = 0;
    int i, bad = 0;
    pick p;
    memset(&p, 0, sizeof p);
    p.rng.state = 99;
    p.op = op;
    for (i = 0; i < trials && !bad; i++) {
        size_t na = 0, nb = 0;
        sal_net *net;
        p.n = 1 + pick_below(&p, 3);
        p.h = 8 + pick_below(&p, pick_below(&p, 3) ? 12 : 40);
        p.w = 8 + pick_below(&p, pick_below(&p, 3) ? 12 : 40);
        p.channels = 1 + pick_below(&p, pick_below(&p, 3) ? 8 : 40);
        net = pick_net(ctx, &p);
        noise(in, (size_t)p.n * 3 * p.h * p.w, 1, 0, &p.rng);
        if (!net || run_on(ctx, sal_backend_ref(), net, &p, in, a, MOST, &na) != SAL_OK ||
            run_on(ctx, sal_backend_cpu(), net, &p, in, b, MOST, &nb) != SAL_OK || na != nb ||
            !agree_by(b, a, na, &off)) bad = 1;
        else most = MAX(most, off);
        sal_net_free(ctx, net);
        ctx->backend = NULL;
    }
    CHECK(!bad, "%s on both backends agrees in %d random layers (off by %.1e at most)%s%s",
          sal_op_name(op), i, most, bad ? ", but not for " : "", bad ? p.text : "");
    if (bad) printf("     %s\n", sal_error(ctx));
}

int main(void) {
    sal_ctx ctx;
    memset(&ctx, 0, sizeof ctx);
    test_against_pytorch(&ctx);
    test_convlstm_example();
    test_prior_example();
    test_random(&ctx, SAL_OP_CONV2D, 200);
    test_random(&ctx, SAL_OP_DEPTHWISE, 100);
    return test_done();
}
