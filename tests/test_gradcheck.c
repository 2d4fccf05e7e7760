/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* Gradients against finite differences, in double precision: the library's own source, compiled
   with double in the place of float, so that differences are good to nine digits. */
#include <dirent.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define float double
#define fabsf fabs
#if defined(__GNUC__)
#  pragma GCC diagnostic ignored "-Wunused-function"
#endif
#define SALIENCY_NO_STB
#define SALIENCY_NO_STDIO
#define SALIENCY_NO_SIMD
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "test.h"
#include "gradcheck.h"

/* --- operators: out = forward(x[0], x[1], ...) ------------------------------------------------ */

enum { MOST = 21, STEPS = 3, LC = 2, LH = 3, LW = 4 };
typedef double *const *arrays;
static double scratch[20000], states[20000];
static int arg[2000];
static unsigned char mask[2000];

static sal_conv conv_of(int stride, int dilation, int top, int left, int bottom, int right) {
    sal_conv s;
    s.n = 2; s.ic = 3; s.ih = 7; s.iw = 6; s.oc = 2; s.kh = 3; s.kw = 2;
    s.stride = stride; s.dilation = dilation;
    s.top = top; s.left = left; s.bottom = bottom; s.right = right;
    sal_conv_fit(&s);
    return s;
}
#define CONV(name, stride, dilation, t, l, b, r)                                                 \
    static void f_##name(double *out, arrays x) {                                                \
        sal_conv s = conv_of(stride, dilation, t, l, b, r);                                      \
        sal_conv2d_forward(out, x[0], x[1], x[2], &s);                                           \
    }                                                                                            \
    static void b_##name(arrays dx, const double *dout, arrays x, const double *out) {           \
        sal_conv s = conv_of(stride, dilation, t, l, b, r);                                      \
        (void)out;                                                                               \
        sal_conv2d_backward_data(dx[0], dout, x[1], &s);                                         \
        sal_conv2d_backward_weight(dx[1], dout, x[0], &s);                                       \
        sal_bias_backward(dx[2], dout, s.n, s.oc, s.oh * s.ow);                                  \
    }
CONV(conv, 1, 1, 1, 0, 1, 1)
CONV(conv_strided, 2, 1, 0, 1, 2, 0)
CONV(conv_dilated, 1, 2, 2, 3, 2, 1)

static void f_depthwise(double *out, arrays x) {
    sal_conv s = conv_of(2, 1, 0, 1, 2, 0);
    s.oc = s.ic;
    sal_depthwise_forward(out, x[0], x[1], x[2], &s);
}
static void b_depthwise(arrays dx, const double *dout, arrays x, const double *out) {
    sal_conv s = conv_of(2, 1, 0, 1, 2, 0);
    (void)out;
    s.oc = s.ic;
    sal_depthwise_backward_data(dx[0], dout, x[1], &s);
    sal_depthwise_backward_weight(dx[1], dout, x[0], &s);
    sal_bias_backward(dx[2], dout, s.n, s.oc, s.oh * s.ow);
}

static void f_dense(double *out, arrays x) { sal_dense_forward(out, x[0], x[1], x[2], 3, 5, 4); }
static void b_dense(arrays dx, const double *dout, arrays x, const double *out) {
    (void)out;
    sal_dense_backward_data(dx[0], dout, x[1], 3, 5, 4);
    sal_dense_backward_weight(dx[1], dout, x[0], 3, 5, 4);
    sal_bias_backward(dx[2], dout, 3, 4, 1);
}
static void f_maxout(double *out, arrays x) { sal_maxout_forward(out, arg, x[0], 6, 3); }
static void b_maxout(arrays dx, const double *dout, arrays x, const double *out) {
    (void)x; (void)out;
    sal_maxout_backward(dx[0], dout, arg, 6, 3);
}
static sal_pool pool_of(void) {
    sal_pool s;
    s.n = 2; s.ih = 5; s.iw = 7; s.k = 3; s.stride = 2;
    sal_pool_fit(&s, SAL_PADDING_SAME);
    return s;
}
static void f_maxpool(double *out, arrays x) {
    sal_pool s = pool_of();
    sal_maxpool_forward(out, arg, x[0], &s);
}
static void b_maxpool(arrays dx, const double *dout, arrays x, const double *out) {
    sal_pool s = pool_of();
    (void)x; (void)out;
    sal_maxpool_backward(dx[0], dout, arg, &s);
}
#define POINTWISE(name)                                                                          \
    static void f_##name(double *out, arrays x) { sal_##name##_forward(out, x[0], 20); }         \
    static void b_##name(arrays dx, const double *dout, arrays x, const double *out) {           \
        (void)x;                                                                                 \
        sal_##name##_backward(dx[0], dout, out, 20);                                             \
    }
POINTWISE(relu)
POINTWISE(sigmoid)
POINTWISE(tanh)
static void f_relu6(double *out, arrays x) {        /* wide enough that both ends cut */
    for (int i = 0; i < 20; i++) scratch[i] = 6 * x[0][i];
    sal_relu6_forward(out, scratch, 20);
}
static void b_relu6(arrays dx, const double *dout, arrays x, const double *out) {
    double d[20] = { 0 };
    (void)x;
    sal_relu6_backward(d, dout, out, 20);
    for (int i = 0; i < 20; i++) dx[0][i] += 6 * d[i];
}
static void f_softmax(double *out, arrays x) { sal_softmax_forward(out, x[0], 3, 7); }
static void b_softmax(arrays dx, const double *dout, arrays x, const double *out) {
    (void)x;
    sal_softmax_backward(dx[0], dout, out, 3, 7);
}
static void f_batchnorm(double *out, arrays x) {    /* 2 samples, 3 channels, 4 positions */
    double running[6] = { 0 };
    sal_batchnorm_forward_train(out, scratch, scratch + 3, running, running + 3, x[0], x[1], x[2],
                                1e-3, .1, 2, 3, 4);
}
static void b_batchnorm(arrays dx, const double *dout, arrays x, const double *out) {
    (void)out;
    sal_batchnorm_backward(dx[0], dx[1], dx[2], dout, x[0], x[1], scratch, scratch + 3, 0, 2, 3, 4);
}
static const double fixed_mean[3] = { .1, -.2, .3 }, fixed_var[3] = { 1, .5, 2 };
static void f_batchnorm_fixed(double *out, arrays x) {
    sal_batchnorm_forward(out, x[0], x[1], x[2], fixed_mean, fixed_var, 1e-3, 2, 3, 4);
}
static void b_batchnorm_fixed(arrays dx, const double *dout, arrays x, const double *out) {
    double rstd[3];
    int k;
    (void)out;
    for (k = 0; k < 3; k++) rstd[k] = 1 / sqrt(fixed_var[k] + 1e-3);
    sal_batchnorm_backward(dx[0], dx[1], dx[2], dout, x[0], x[1], fixed_mean, rstd, 1, 2, 3, 4);
}
static void f_dropout(double *out, arrays x) {
    sal_rng rng = { 5 };
    sal_dropout_forward(out, mask, x[0], 24, .3, &rng);
}
static void b_dropout(arrays dx, const double *dout, arrays x, const double *out) {
    (void)x; (void)out;
    sal_dropout_backward(dx[0], dout, mask, 24, .3);
}
static const int widths[3] = { 2, 1, 3 };
static void f_concat(double *out, arrays x) {
    const double *in[3] = { x[0], x[1], x[2] };
    sal_concat_forward(out, in, widths, 3, 2, 4);
}
static void b_concat(arrays dx, const double *dout, arrays x, const double *out) {
    (void)x; (void)out;
    sal_concat_backward(dx, dout, widths, 3, 2, 4);
}
static void f_add(double *out, arrays x) { sal_add_forward(out, x[0], x[1], 10); }
static void b_add(arrays dx, const double *dout, arrays x, const double *out) {
    (void)x; (void)out;
    sal_add_backward(dx[0], dx[1], dout, 10);
}
static void f_mirror(double *out, arrays x) { sal_mirror_forward(out, x[0], 3, 5); }
static void b_mirror(arrays dx, const double *dout, arrays x, const double *out) {
    (void)x; (void)out;
    sal_mirror_backward(dx[0], dout, 3, 5);
}
static void f_upsample(double *out, arrays x) { sal_upsample_forward(out, x[0], 2, 2, 3, 5, 7); }
static void b_upsample(arrays dx, const double *dout, arrays x, const double *out) {
    (void)x; (void)out;
    sal_upsample_backward(dx[0], dout, 2, 2, 3, 5, 7);
}
static void f_prior(double *out, arrays x) {
    sal_prior_forward(out, scratch, x[0], x[1], 3, 6, 5, 3, 2);
}
static void b_prior(arrays dx, const double *dout, arrays x, const double *out) {
    (void)out;
    sal_prior_backward(dx[0], dx[1], scratch + 100, dout, x[0], scratch, 3, 6, 5, 3, 2);
}
static const int domains[3] = { 1, 0, 1 };
static void f_logprior(double *out, arrays x) {
    sal_logprior_forward(out, scratch, x[0], x[1], domains, 3, 6, 5, 3, 2);
}
static void b_logprior(arrays dx, const double *dout, arrays x, const double *out) {
    (void)x; (void)out;
    sal_logprior_backward(dx[0], dx[1], dout, domains, 3, 6, 5, 3, 2);
}
static double gaussian_params[16];      /* x[0], moved into the ranges or beyond them */
static void spread(arrays x) {
    static const double middle[4] = { .5, .5, .4, .45 }, width[4] = { .3, .2, .4, .4 };
    int j;
    for (j = 0; j < 16; j++) gaussian_params[j] = middle[j / 4] + width[j / 4] * .8 * x[0][j];
}
static void f_gaussians(double *out, arrays x) {
    spread(x);
    sal_gaussians_forward(out, gaussian_params, 2, 4, 9, 6);
}
static void b_gaussians(arrays dx, const double *dout, arrays x, const double *out) {
    static const double width[4] = { .3, .2, .4, .4 };
    double d[16] = { 0 };
    int j;
    spread(x);
    sal_gaussians_backward(d, dout, out, gaussian_params, 2, 4, 9, 6);
    for (j = 0; j < 16; j++) dx[0][j] += d[j] * width[j / 4] * .8;
}
static void f_convlstm(double *out, arrays x) {
    sal_convlstm_forward(out, x[0], (const double *const *)x + 1, STEPS, 2, LC, LW, LH, scratch,
                         states);
}
static void b_convlstm(arrays dx, const double *dout, arrays x, const double *out) {
    (void)out;
    sal_convlstm_backward(dx[0], dx + 1, dout, x[0], (const double *const *)x + 1, states, STEPS, 2,
                          LC, LW, LH, scratch);
}

static const struct {
    const char *name;
    void (*forward)(double *out, arrays x);
    void (*backward)(arrays dx, const double *dout, arrays x, const double *out);
    int outputs, sizes[MOST + 2];       /* of the inputs, 0 ends the list */
} operators[] = {
    { "convolution", f_conv, b_conv, 2 * 2 * 7 * 6, { 252, 36, 2 } },
    { "convolution, stride 2", f_conv_strided, b_conv_strided, 2 * 2 * 4 * 3, { 252, 36, 2 } },
    { "convolution, dilation 2", f_conv_dilated, b_conv_dilated, 2 * 2 * 7 * 8, { 252, 36, 2 } },
    { "depthwise convolution", f_depthwise, b_depthwise, 2 * 3 * 4 * 3, { 252, 18, 3 } },
    { "dense", f_dense, b_dense, 12, { 15, 20, 4 } },
    { "maxout", f_maxout, b_maxout, 6, { 18 } },
    { "max-pool, overlapping windows", f_maxpool, b_maxpool, 24, { 70 } },
    { "ReLU", f_relu, b_relu, 20, { 20 } },
    { "ReLU6", f_relu6, b_relu6, 20, { 20 } },
    { "sigmoid", f_sigmoid, b_sigmoid, 20, { 20 } },
    { "tanh", f_tanh, b_tanh, 20, { 20 } },
    { "softmax", f_softmax, b_softmax, 21, { 21 } },
    { "batch-norm, training", f_batchnorm, b_batchnorm, 24, { 24, 3, 3 } },
    { "batch-norm, fixed statistics", f_batchnorm_fixed, b_batchnorm_fixed, 24, { 24, 3, 3 } },
    { "dropout", f_dropout, b_dropout, 24, { 24 } },
    { "concatenation", f_concat, b_concat, 48, { 16, 8, 24 } },
    { "addition", f_add, b_add, 10, { 10, 10 } },
    { "mirroring", f_mirror, b_mirror, 15, { 15 } },
    { "upsampling", f_upsample, b_upsample, 70, { 12 } },
    { "ML-Net's prior", f_prior, b_prior, 90, { 90, 6 } },
    { "a prior for each data set", f_logprior, b_logprior, 90, { 90, 12 } },
    { "SAM's Gaussians", f_gaussians, b_gaussians, 2 * 4 * 54, { 16 } },
    { "attentive ConvLSTM", f_convlstm, b_convlstm, 2 * LC * LH * LW,
      { 2 * LC * LH * LW, 36, 2, 36, 2, 18, 36, 2, 36, 2, 36, 2, 36, 2, 36, 2, 36, 2, 36, 2, 36,
        2 } }
};

static double dot(const double *a, const double *b, int n) {
    double sum = 0;
    while (n--) sum += *a++ * *b++;
    return sum;
}

static void check_operator(int which) {
    static double memory[2][4000], out[1000], dout[1000];
    double *x[MOST + 2], *dx[MOST + 2], worst = 0;
    const int *sizes = operators[which].sizes;
    const double step = 1e-6, before = 1;       /* gradients are added to what is there */
    sal_rng rng = { 7 };
    int k, j, total = 0;
    for (k = 0; sizes[k]; k++) {
        x[k] = memory[0] + total; dx[k] = memory[1] + total;
        total += sizes[k];
    }
    for (j = 0; j < total; j++) { memory[0][j] = sal_rng_normal(&rng); memory[1][j] = before; }
    for (j = 0; j < operators[which].outputs; j++) dout[j] = sal_rng_normal(&rng);
    operators[which].forward(out, x);
    operators[which].backward(dx, dout, x, out);
    for (j = 0; j < total; j++) {
        double keep = memory[0][j], up, down, numeric, error;
        memory[0][j] = keep + step;
        operators[which].forward(out, x);
        up = dot(out, dout, operators[which].outputs);
        memory[0][j] = keep - step;
        operators[which].forward(out, x);
        down = dot(out, dout, operators[which].outputs);
        memory[0][j] = keep;
        numeric = (up - down) / (2 * step);
        error = fabs(memory[1][j] - before - numeric) / (1 + fabs(numeric));
        if (error > worst || error != error) worst = error;
    }
    CHECK(worst < 2e-8, "%s: %d partial derivatives agree with differences (worst %.1e)",
          operators[which].name, total, worst);
}

/* --- losses ----------------------------------------------------------------------------------- */

static void check_loss(const char *text, int upsample) {
    enum { H = 5, W = 6, N = H * W };
    static double x[N], dx[N], density[N * 16], fixations[N * 16], memory[N * 32];
    sal_ctx ctx;
    sal_loss loss;
    sal_rng rng = { 21 };
    double worst = 0, most = 0;
    int i, n = N * upsample * upsample;
    memset(&ctx, 0, sizeof ctx);
    if (sal_loss_parse(&ctx, text, &loss) != SAL_OK) { CHECK(0, "%s", sal_error(&ctx)); return; }
    loss.upsample = upsample;
    for (i = 0; i < N; i++) { x[i] = .05 + .9 * sal_rng_uniform(&rng); dx[i] = 1; }
    for (i = 0; i < n; i++) {
        density[i] = sal_rng_uniform(&rng);
        fixations[i] = sal_rng_below(&rng, 4) == 0;
    }
    sal_loss_map(&loss, dx, x, density, fixations, W, H, .7, memory);
    for (i = 0; i < N; i++) {
        double keep = x[i], d;
        x[i] = keep + 1e-6;
        d = sal_loss_map(&loss, NULL, x, density, fixations, W, H, .7, memory);
        x[i] = keep - 1e-6;
        d -= sal_loss_map(&loss, NULL, x, density, fixations, W, H, .7, memory);
        x[i] = keep;
        most = MAX(most, fabs(dx[i] - 1));
        if (!(fabs(dx[i] - 1 - d / 2e-6) <= worst)) worst = fabs(dx[i] - 1 - d / 2e-6);
    }
    CHECK(most > 0 && worst < 1e-7 * MAX(most, .01), "%s%s: its gradient agrees with "
          "differences (worst %.1e of %.1e)", text, upsample > 1 ? ", enlarged" : "", worst, most);
}

static void check_penalties(void) {
    double w[3] = { .5, -2, 1.5 }, dw[3] = { 1, 1, 1 };
    double decay = sal_weight_decay(dw, w, 3, .1);
    CHECK(fabs(decay - .05 * 6.5) < 1e-15 && fabs(dw[1] - .8) < 1e-15,
          "weight decay is lambda / 2 times the sum of squares, with slope lambda * w");
    dw[1] = 1;
    CHECK(fabs(sal_prior_penalty(dw, w, 3, .1) - .95) < 1e-15 && fabs(dw[1] - .4) < 1e-15,
          "the prior's penalty is lambda times the squared distance from one");
    sal_max_norm(w, 1, 3, 1);
    CHECK(fabs(w[0] * w[0] * 26 - 1) < 1e-15 && fabs(w[1] / w[0] + 4) < 1e-15,
          "the max-norm shortens a long row and keeps its direction");
    sal_max_norm(w, 1, 3, 2);
    CHECK(fabs(w[1] / w[0] + 4) < 1e-15 && fabs(w[0] * w[0] * 26 - 1) < 1e-15,
          "the max-norm leaves a short row alone");
}

/* --- whole networks, narrow and small --------------------------------------------------------- */

/* Random weights large enough that gradients reach every layer: not those of a normalisation whose
   ReLU never cuts (shifts would cancel in the next), nor those of a cell that hardly moves. */
static void lively(sal_net *net, int fixed) {
    sal_rng rng = { 11 };
    int i;
    size_t j;
    for (i = 0; i < net->params; i++) {
        const char *name = net->param[i].name;
        const sal_tensor *t = &net->param[i].value;
        size_t n = sal_tensor_count(t);
        double *x = (double *)t->data;
        double spread = t->ndim >= 2 ? sqrt(2.0 / ((double)n / t->dim[0])) : .1, shift = 0;
        if (strstr(name, "prior") && !strstr(name, "conv")) continue;
        if (strstr(name, "head.") && t->ndim >= 2) spread *= 5;
        if (strstr(name, "bn") || strstr(name, "downsample.1"))
            shift = strstr(name, "bias") ? (fixed ? .2 : -.5) : strstr(name, "mean") ? 0 : 1;
        if (strstr(name, "readout.bias")) shift = 1;
        for (j = 0; j < n; j++) x[j] = shift + spread * sal_rng_normal(&rng);
        if (strstr(name, "running_var")) for (j = 0; j < n; j++) x[j] = .1 + fabs(x[j]);
    }
}

/* `samples` derivatives of each parameter. */
static void check_desc(sal_net_desc desc, const char *freeze, int fixed, int samples, double step) {
    sal_ctx ctx;
    static const char *const priors[] = { "no priors", "Gaussians", "mask" };
    char variant[40] = "";
    sal_run_desc run;
    sal_net *net = NULL;
    gradcheck_result result = { 0, "", 0, 0, 0 };
    sal_result r;
    memset(&ctx, 0, sizeof ctx);
    memset(&run, 0, sizeof run);
    ctx.seed = 3;
    ctx.backend = sal_backend_ref();        /* fast kernels know float only */
    if (desc.kind == SAL_KIND_JUNTINGNET) desc.dropout = .5;
    if (desc.kind >= SAL_KIND_MLNET && desc.kind <= SAL_KIND_SAM_RESNET)
        snprintf(variant, sizeof variant, " (%s, %d steps, %s)", desc.plain ? "plain" : "dilated",
                 desc.steps, priors[desc.priors]);
    r = sal_net_new(&ctx, &desc, &net);
    if (r == SAL_OK) r = sal_net_init(&ctx, net, 1);
    if (r == SAL_OK) lively(net, fixed);
    run.n = 2; run.freeze = freeze; run.fixed_norm = fixed;
    if (r == SAL_OK) r = gradcheck(&ctx, net, &run, samples, step, &result);
    CHECK(r == SAL_OK && result.worst < 1e-5 && result.silent == 0 && result.checked > 20 &&
          result.rough < result.checked / 10,
          "%s%s%s%s: %d derivatives agree with differences (worst %.1e in %s, %d at kinks, %d silent)"
          "%s", sal_kind_name(desc.kind), variant, freeze ? " without " : "", freeze ? freeze : "",
          result.checked, result.worst, result.where, result.rough, result.silent,
          r ? sal_error(&ctx) : "");
    sal_net_free(&ctx, net);
}

static void check_network(sal_kind kind, int h, int w, int narrow, const char *freeze, int fixed,
                          double step) {
    sal_net_desc desc = sal_net_desc_default(kind);
    desc.h = h; desc.w = w; desc.narrow = narrow;
    check_desc(desc, freeze, fixed, 3, step);
}

static void check_variant(sal_kind kind, int narrow, int plain, int steps, sal_priors priors,
                          double step) {
    sal_net_desc desc = sal_net_desc_default(kind);
    desc.h = plain ? 72 : 24; desc.w = plain ? 40 : 32; desc.narrow = narrow;
    desc.plain = plain; desc.steps = steps; desc.priors = priors;
    check_desc(desc, NULL, kind == SAL_KIND_SAM_RESNET, 1, step);
}

/* --- explanations ----------------------------------------------------------------------------- */

typedef struct push { int layer, channel; double factor; } push;

/* One channel of a layer becomes a little larger or smaller. */
static void scale_channel(void *arg, const sal_run *run, int i) {
    const push *p = (const push *)arg;
    sal_shape s = run->value[i].shape;
    int k;
    for (k = 0; i == p->layer && k < s.h * s.w; k++)
        run->value[i].data[p->channel * s.h * s.w + k] *= p->factor;
}

/* Mean or variance of the map in columns from to before end, with that push. */
static double pushed(sal_ctx *ctx, const sal_net *net, const sal_image *image, push p,
                     sal_explain_kind of, int from, int end) {
    double input[3 * 48 * 48], sum = 0, squares = 0;
    int h = net->desc.h, w = net->desc.w, k, x, y;
    sal_run *run = NULL;
    if (sal_preprocess(ctx, net, image, w, h, input) || sal_run_open(ctx, net, 1, w, h, &run))
        return HUGE_VAL;
    for (k = 0; p.layer == 0 && k < h * w; k++) input[p.channel * h * w + k] *= p.factor;
    run->watch = scale_channel; run->watch_arg = &p;
    if (sal_run_forward(ctx, run, input)) sum = HUGE_VAL;
    for (y = 0; y < run->shape.h; y++)
        for (x = from; x < end; x++) {
            double v = run->output[y * run->shape.w + x];
            sum += v; squares += v * v;
        }
    k = run->shape.h * (end - from);
    sal_run_close(ctx, run);
    return of == SAL_EXPLAIN_MEAN ? sum / k : squares / k - sum / k * (sum / k);
}

/* The parts of each channel add up to the derivative by its size. */
static void check_explain(sal_kind kind, int narrow, int h, int w, int ih, int iw,
                          const char *name, sal_explain_kind of, int x, int rw, int from, int end) {
    static unsigned char pixels[3 * 96 * 96];
    sal_ctx ctx;
    sal_net_desc desc = sal_net_desc_default(kind);
    sal_explain_desc d;
    sal_explanation e;
    sal_image image;
    sal_net *net = NULL;
    sal_rng rng = { 5 };
    double worst = 0, most = 0, target = 0;
    int k, c, area = 0;
    sal_result r;
    memset(&ctx, 0, sizeof ctx); memset(&d, 0, sizeof d); memset(&image, 0, sizeof image);
    memset(&e, 0, sizeof e);
    ctx.backend = sal_backend_ref();
    desc.narrow = narrow; desc.h = h; desc.w = w;
    for (k = 0; k < 3 * ih * iw; k++) pixels[k] = (unsigned char)(256 * sal_rng_uniform(&rng));
    image.w = iw; image.h = ih; image.data = pixels;
    r = sal_net_new(&ctx, &desc, &net);
    if (!r) r = sal_net_init(&ctx, net, 1);
    if (!r) lively(net, 1);
    for (k = 0; !r && k < net->layers && strcmp(net->layer[k].name, name); k++) {}
    d.layer = k; d.of = of; d.x = x; d.w = rw; d.h = rw ? ih : 0;
    if (!r) r = sal_explain(&ctx, net, &image, &d, &e);
    for (c = 0; !r && c < e.shape.c; c++) {
        push p = { k, c, 1 + 1e-7 };
        double up, sum = 0;
        area = e.shape.h * e.shape.w;
        up = pushed(&ctx, net, &image, p, of, from, end);
        p.factor = 1 - 1e-7;
        up -= pushed(&ctx, net, &image, p, of, from, end);
        for (int i = 0; i < area; i++) sum += e.part[c * area + i];
        worst = MAX(worst, fabs(sum - up / 2e-7));
        most = MAX(most, fabs(sum));
        p.factor = 1;
        target = pushed(&ctx, net, &image, p, of, from, end);
    }
    CHECK(!r && most > 0 && worst < 1e-5 * most && fabs(target - e.target) < 1e-12 * fabs(target) &&
          e.map.w == iw && e.map.h == ih, "%s of the map of %s%s, explained by %s: the parts of %d "
          "channels agree with differences (off by %.1e of %.1e)%s", of == SAL_EXPLAIN_MEAN ?
          "the mean" : "the variance", sal_kind_name(kind), rw ? " in a region" : "", name,
          e.shape.c, worst, most, r ? sal_error(&ctx) : "");
    sal_explanation_free(&ctx, &e);
    sal_net_free(&ctx, net);
}

int main(void) {
    int i;
    for (i = 0; i < COUNT(operators); i++) check_operator(i);
    for (i = 0; i < SAL_LOSS_COUNT; i++) check_loss(sal__loss_names[i], 1 + i % 2 * 3);
    check_loss("sam", 4);
    check_loss("peak:mse", 1);
    check_loss("kl-0.5*cc+.25*mse", 1);
    check_penalties();
    check_network(SAL_KIND_JUNTINGNET, 28, 28, 8, NULL, 0, 1e-5);
    check_network(SAL_KIND_WEPSAM, 32, 28, 8, NULL, 0, 1e-5);
    check_network(SAL_KIND_MLNET, 24, 32, 16, NULL, 0, 1e-5);
    check_network(SAL_KIND_MLNET, 24, 32, 16, "backbone.conv1,backbone.conv2", 0, 1e-5);
    check_network(SAL_KIND_SAM_VGG, 24, 32, 64, NULL, 0, 1e-5);
    check_network(SAL_KIND_LITE, 32, 48, 16, NULL, 0, 1e-6);
    check_network(SAL_KIND_SAM_RESNET, 24, 32, 32, NULL, 0, 1e-7);
    check_network(SAL_KIND_SAM_RESNET, 24, 32, 32, "backbone.", 1, 1e-4);
    check_variant(SAL_KIND_MLNET, 16, 0, 0, SAL_PRIORS_NONE, 1e-5);
    check_variant(SAL_KIND_SAM_VGG, 64, 1, 0, SAL_PRIORS_NONE, 1e-5);
    check_variant(SAL_KIND_SAM_VGG, 64, 0, 0, SAL_PRIORS_GAUSSIAN, 1e-5);
    check_variant(SAL_KIND_SAM_VGG, 64, 0, 2, SAL_PRIORS_MASK, 1e-5);
    check_variant(SAL_KIND_SAM_VGG, 64, 1, 2, SAL_PRIORS_GAUSSIAN, 1e-5);
    check_variant(SAL_KIND_SAM_RESNET, 32, 1, 3, SAL_PRIORS_NONE, 1e-5);
    check_variant(SAL_KIND_SAM_RESNET, 32, 0, 4, SAL_PRIORS_MASK, 1e-5);
    check_explain(SAL_KIND_MLNET, 16, 24, 32, 48, 64, "input", SAL_EXPLAIN_MEAN, 0, 0, 0, 4);
    check_explain(SAL_KIND_MLNET, 16, 24, 32, 48, 64, "concat", SAL_EXPLAIN_VARIANCE, 0, 0, 0, 4);
    check_explain(SAL_KIND_MLNET, 16, 24, 32, 48, 64, "backbone.conv4_2", SAL_EXPLAIN_MEAN, 16, 32,
                  1, 3);
    check_explain(SAL_KIND_MLNET, 16, 24, 32, 64, 64, "pool", SAL_EXPLAIN_MEAN, 0, 32, 0, 2);
    check_explain(SAL_KIND_WEPSAM, 8, 32, 28, 48, 64, "relu", SAL_EXPLAIN_VARIANCE, 0, 0, 0, 7);
    check_explain(SAL_KIND_SAM_VGG, 64, 24, 32, 48, 64, "head.lstm", SAL_EXPLAIN_MEAN, 0, 0, 0, 4);
    check_explain(SAL_KIND_SAM_RESNET, 32, 24, 32, 48, 64, "add", SAL_EXPLAIN_VARIANCE, 0, 0, 0, 4);
    check_explain(SAL_KIND_LITE, 16, 32, 48, 48, 64, "relu6", SAL_EXPLAIN_VARIANCE, 0, 0, 0, 6);
    return test_done();
}
