/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* Networks and inputs made from a seed: what golden/make_golden.py does, and with the same values.
   Include it after saliency.h and test.h. */
#ifndef SAL_SEEDED_H
#define SAL_SEEDED_H

enum { SEED = 52 };

/* The values of make_golden.py: splitmix64 from hash(name) ^ seed. */
static void fill(float *x, size_t n, const char *name, double low, double high) {
    sal_rng rng;
    size_t i;
    rng.state = hash_on(0xCBF29CE484222325u, name, strlen(name)) ^ SEED;
    for (i = 0; i < n; i++) x[i] = (float)(low + (high - low) * sal_rng_uniform(&rng));
}

/* Parameters that keep activations at the scale of the input: seeded() in make_golden.py. */
static void fill_param(sal_param *p) {
    float *x = (float *)p->value.data;
    size_t n = sal_tensor_count(&p->value), i;
    int matrix = p->value.ndim >= 2;
    if (ends_with(p->name, "prior")) fill(x, n, p->name, .5, 1.5);
    else if (matrix) {
        double a = sqrt(6 / ((double)n / p->value.dim[0]));     /* He et al. 2015, uniform */
        if (strstr(p->name, ".lstm.W") && !strstr(p->name, ".Wa.")) a *= 16;
        fill(x, n, p->name, -a, a);
    } else if (ends_with(p->name, ".params")) {            /* mu, then sigma */
        float *u = (float *)malloc(n * sizeof(float));
        fill(x, n, p->name, .3, .7);
        fill(u, n, p->name, .05, .3);
        for (i = n / 2; i < n; i++) x[i] = u[i];
        free(u);
    } else if (ends_with(p->name, ".weight")) fill(x, n, p->name, .4, .8);
    else if (ends_with(p->name, ".running_var")) fill(x, n, p->name, .5, 1.5);
    else fill(x, n, p->name, -.1, .1);
}

static sal_result make_desc(sal_ctx *ctx, const sal_net_desc *desc, sal_net **net) {
    sal_result r;
    TRY(sal_net_new(ctx, desc, net));
    r = sal_net_to_float(ctx, *net);
    if (r != SAL_OK) { sal_net_free(ctx, *net); *net = NULL; return r; }
    for (int i = 0; i < (*net)->params; i++) fill_param(&(*net)->param[i]);
    return SAL_OK;
}

static sal_result make(sal_ctx *ctx, sal_kind kind, int narrow, int v15, int h, int w,
                       sal_net **net) {
    sal_net_desc desc = sal_net_desc_default(kind);
    desc.narrow = narrow;
    desc.stride_on_3x3 = v15;
    if (h) { desc.h = h; desc.w = w; }
    return make_desc(ctx, &desc, net);
}

#endif
