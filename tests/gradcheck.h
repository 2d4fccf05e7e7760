/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* Is the gradient of a whole network right? Include it after the implementation of saliency.h. */
#ifndef SAL_GRADCHECK_H
#define SAL_GRADCHECK_H

/* Gradients of a network against central differences: for `samples` entries of every parameter that
   learns and of the input, with random input and a random linear loss. The error is relative to the
   largest gradient of that parameter. In float32 a step of 1e-2 gives errors around 1e-2; with
   float defined as double before this header, 1e-5 gives 1e-6. */
typedef struct gradcheck_result {
    double worst;               /* error */
    char where[56];             /* the parameter it was found in, or "input" */
    int checked;                /* derivatives compared */
    int rough;                  /* passed over: a ReLU or maximum has its kink there */
    int silent;                 /* parameters whose gradient is zero throughout: not checked */
} gradcheck_result;

/* The loss: a fixed random linear function of the output. */
static sal_result gradcheck_loss(sal_ctx *ctx, sal_run *run, const float *input,
                                 const float *dout, double *loss) {
    size_t i, n = (size_t)run->n * sal__shape_count(run->shape);
    sal_run_changed(run, NULL, SAL_RUN_WEIGHTS);
    TRY(sal_run_forward(ctx, run, input));
    for (*loss = 0, i = 0; i < n; i++) *loss += (double)dout[i] * run->output[i];
    return SAL_OK;
}

/* Compare `samples` of the n derivatives g with central differences of x,
       d(h) = (f(x + h) - f(x - h)) / 2h,   extrapolated to (4 d(h / 2) - d(h)) / 3
   Where d(h) and d(h / 2) disagree, a ReLU or a maximum changed sides in between: that derivative
   is passed over. */
static sal_result gradcheck_array(sal_ctx *ctx, sal_run *run, const float *input,
                                  const float *dout, float *x, const float *g, size_t n,
                                  const char *name, int samples, double step, sal_rng *rng,
                                  gradcheck_result *result) {
    double largest = 0, d[2], up, down, error;
    for (size_t i = 0; i < n; i++) largest = MAX(largest, fabs((double)g[i]));
    if (largest == 0) { result->silent++; return SAL_OK; }
    for (int k = 0; k < samples && (k < (int)n || samples < (int)n); k++) {
        size_t at = samples >= (int)n ? (size_t)k : sal_rng_below(rng, (uint32_t)n);
        float keep = x[at];
        for (int j = 0; j < 2; j++) {
            double h = j ? step / 2 : step;
            x[at] = (float)(keep + h);
            sal_result r = gradcheck_loss(ctx, run, input, dout, &up);
            x[at] = (float)(keep - h);
            if (r == SAL_OK) r = gradcheck_loss(ctx, run, input, dout, &down);
            x[at] = keep;
            if (r != SAL_OK) return r;
            d[j] = (up - down) / (2 * h);
        }
        double unseen = 16 * (sizeof(float) == 8 ? DBL_EPSILON : FLT_EPSILON) * fabs(up) / step;
        if (fabs(d[0] - d[1]) > .01 * largest ||        /* a kink, or nothing but rounding */
            MAX(largest, fabs(d[0])) < unseen) { result->rough++; continue; }
        error = fabs((4 * d[1] - d[0]) / 3 - g[at]) / largest;
        result->checked++;
        if (error > result->worst || error != error) {
            result->worst = error;
            snprintf(result->where, sizeof result->where, "%s", name);
        }
    }
    return SAL_OK;
}

static sal_result gradcheck(sal_ctx *ctx, sal_net *net, const sal_run_desc *desc, int samples,
                            double step, gradcheck_result *result) {
    sal_run_desc d = *desc;
    sal_run *run;
    double loss;
    sal_rng rng = { ctx->seed };
    memset(result, 0, sizeof *result);
    d.training = d.input_gradient = 1;
    TRY(sal_run_open_desc(ctx, net, &d, &run));
    size_t n = (size_t)run->n * 3 * run->h * run->w;
    size_t m = (size_t)run->n * sal__shape_count(run->shape);
    float *input = SAL__NEW(ctx, float, 2 * n + m);
    if (!input) { sal_run_close(ctx, run); return SAL_ERR_MEMORY; }
    float *dout = input + n, *dinput = dout + m;
    for (size_t i = 0; i < n + m; i++) input[i] = (float)sal_rng_normal(&rng);
    sal_result r = gradcheck_loss(ctx, run, input, dout, &loss);
    if (r == SAL_OK) r = sal_run_backward(ctx, run, dout);
    if (r == SAL_OK) r = sal_run_fetch(ctx, run, NULL, SAL_RUN_GRADIENTS);
    if (r == SAL_OK) {
        memcpy(dinput, run->value[0].grad, n * sizeof(float));
        r = gradcheck_array(ctx, run, input, dout, input, dinput, n, "input", samples, step,
                                 &rng, result);
    }
    for (int i = 0; r == SAL_OK && i < net->params; i++)
        if (run->gradient[i])
            r = gradcheck_array(ctx, run, input, dout, (float *)net->param[i].value.data,
                                     run->gradient[i], sal_tensor_count(&net->param[i].value),
                                     net->param[i].name, samples, step, &rng, result);
    sal_free(ctx, input);
    sal_run_close(ctx, run);
    return r;
}

#endif
