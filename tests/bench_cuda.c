/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* How fast is saliency_cuda.cu? Each network with random weights: milliseconds of a prediction and
   of a training step (mean squared error, SGD), then its layers. `make bench-cuda` builds and runs
   it, beside PyTorch if tests/bench_cuda.py finds one with CUDA.

       bench_cuda_gpu [-m NET] [-b BATCH] [--f32 | --half] [--layers] [--json]

   --json prints one object a line for each network, its layers with what PyTorch needs to build the
   same network. Times are medians; each ends when the result is on the host. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"

static const char program[] = "bench_cuda";
#include "../examples/cli.h"

enum { RUNS = 20, WARM = 5 };

typedef struct bench { double predict, step, macs, layer[SAL__MAX_LAYERS]; } bench;

static sal_result predict(sal_ctx *ctx, const sal_net *net, int batch, bench *b) {
    double time[RUNS], each[SAL__MAX_LAYERS], (*all)[RUNS];
    sal_cuda *cuda = sal_backend_cuda(ctx->backend);
    sal_shape shapes[SAL__MAX_LAYERS];
    sal_rng rng;
    sal_run *run;
    float *in;
    size_t n, k;
    int i, pass, t;
    sal_result r = SAL_OK;
    all = (double (*)[RUNS])calloc(SAL__MAX_LAYERS, sizeof *all);
    for (pass = 0; pass < 2 && r == SAL_OK; pass++) {       /* as a whole, then layer by layer */
        cuda->layer_ms = pass ? each : NULL;
        r = sal_run_open(ctx, net, batch, 0, 0, &run);
        if (r != SAL_OK) break;
        n = (size_t)batch * 3 * run->h * run->w;
        in = (float *)malloc(n * sizeof(float));
        rng.state = 1;
        for (k = 0; k < n; k++) in[k] = (float)sal_rng_normal(&rng);
        for (t = -WARM; t < RUNS && r == SAL_OK; t++) {
            double start = now() * 1e3;
            r = sal_run_forward(ctx, run, in);
            if (t < 0) continue;
            if (!pass) time[t] = now() * 1e3 - start;
            for (i = 0; pass && i < net->layers; i++) all[i][t] = each[i];
        }
        free(in);
        sal_run_close(ctx, run);
    }
    cuda->layer_ms = NULL;
    if (r == SAL_OK) b->predict = median(time, RUNS);
    if (r == SAL_OK) r = sal_net_shapes(ctx, net, net->desc.w, net->desc.h, shapes);
    for (i = 0; i < net->layers && r == SAL_OK; i++) {
        b->layer[i] = median(all[i], RUNS);
        b->macs += batch * sal_layer_macs(net, i, shapes);
    }
    free(all);
    return r;
}

static sal_result train(sal_ctx *ctx, sal_net *net, int batch, bench *b) {
    double time[RUNS], *weight, *value;
    sal_optim_desc od;
    sal_run_desc rd;
    sal_optim *optim = NULL;
    sal_loss loss;
    sal_run *run;
    float *in, *maps;
    size_t n, m, k;
    int t;
    sal_result r;
    memset(&od, 0, sizeof od); memset(&rd, 0, sizeof rd);
    rd.n = batch; rd.training = 1;
    SAL__TRY(sal_loss_parse(ctx, "mse", &loss));
    SAL__TRY(sal_run_open_desc(ctx, net, &rd, &run));
    n = (size_t)batch * 3 * run->h * run->w; m = (size_t)batch * run->shape.h * run->shape.w;
    in = (float *)malloc(n * sizeof(float));
    maps = (float *)calloc(m, sizeof(float));
    weight = (double *)malloc(2 * (size_t)batch * sizeof(double)); value = weight + batch;
    for (k = 0; k < n; k++) in[k] = (float)(k * 2654435761u % 1000) / 500 - 1;
    for (t = 0; t < batch; t++) weight[t] = 1.0 / batch;
    r = sal_optim_open(ctx, &od, run, &optim);
    for (t = -WARM; t < RUNS && r == SAL_OK; t++) {
        double start = now() * 1e3;
        r = sal_run_forward(ctx, run, in);
        if (r == SAL_OK) r = sal_run_loss(ctx, run, &loss, maps, maps, weight, value, NULL);
        sal_run_clear(run);
        if (r == SAL_OK) r = sal_run_backward(ctx, run, NULL);
        if (r == SAL_OK) r = sal_optim_step(ctx, optim, net, run, 1e-6, .9, NULL);
        if (r == SAL_OK) r = sal_run_fetch(ctx, run, NULL, 0);      /* waits */
        if (t >= 0) time[t] = now() * 1e3 - start;
    }
    if (r == SAL_OK) b->step = median(time, RUNS);
    free(in); free(maps); free(weight);
    sal_optim_close(ctx, optim);
    sal_run_close(ctx, run);
    return r;
}

static void print_json(const sal_net *net, const bench *b, int batch, const char *device) {
    int i, k;
    printf("{\"net\": \"%s\", \"device\": \"%s\", \"batch\": %d, \"h\": %d, \"w\": %d, "
           "\"predict\": %g, \"step\": %g, \"macs\": %g, \"layers\": [", net->name, device, batch,
           net->desc.h, net->desc.w, b->predict, b->step, b->macs);
    for (i = 0; i < net->layers; i++) {
        const sal_layer *l = &net->layer[i];
        const sal_tensor *p = l->params ? &net->param[l->param].value : NULL;
        printf("%s{\"op\": \"%s\", \"name\": \"%s\", \"ms\": %g, \"in\": [", i ? ", " : "",
               sal_op_name(l->op), l->name, b->layer[i]);
        for (k = 0; k < l->inputs; k++) printf("%s%d", k ? ", " : "", l->input[k]);
        printf("], \"shape\": [%d, %d, %d], \"kernel\": %d, \"stride\": %d, \"pad\": %d, "
               "\"dilation\": %d, \"same\": %d, \"steps\": %d, \"params\": %d, \"dim\": [",
               l->shape.c, l->shape.h, l->shape.w, l->kernel, l->stride, l->pad, l->dilation,
               l->padding == SAL_PADDING_SAME, l->steps, l->params);
        for (k = 0; p && k < p->ndim; k++) printf("%s%d", k ? ", " : "", p->dim[k]);
        printf("]}");
    }
    printf("]}\n");
    fflush(stdout);
}

int main(int argc, char **argv) {
    sal_ctx ctx;
    const sal_backend *gpu;
    const char *only = NULL;
    int batch = 8, layers = 0, json = 0, i, kind;
    sal_cuda_precision precision = SAL_CUDA_PRECISION_TF32;
    memset(&ctx, 0, sizeof ctx);
    for (i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "-m") && i + 1 < argc) only = argv[++i];
        else if (!strcmp(argv[i], "-b") && i + 1 < argc) batch = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--f32")) precision = SAL_CUDA_PRECISION_F32;
        else if (!strcmp(argv[i], "--half")) precision = SAL_CUDA_PRECISION_HALF;
        else if (!strcmp(argv[i], "--layers")) layers = 1;
        else if (!strcmp(argv[i], "--json")) json = 1;
        else { fprintf(stderr, "bench_cuda: what is %s?\n", argv[i]); return 1; }
    }
    if (sal_backend_cuda_open(&ctx, 0, &gpu) != SAL_OK) {
        fprintf(stderr, "bench_cuda: %s\n", sal_error(&ctx));
        return 1;
    }
    ctx.backend = gpu;
    sal_backend_cuda(gpu)->precision = precision;
    for (kind = 0; kind < SAL_KIND_COUNT; kind++) {
        sal_net_desc desc = sal_net_desc_default((sal_kind)kind);
        sal_net *net = NULL;
        bench b;
        sal_result r;
        memset(&b, 0, sizeof b);
        if (only && strcmp(only, sal_kind_name((sal_kind)kind))) continue;
        r = sal_net_new(&ctx, &desc, &net);
        if (r == SAL_OK) r = sal_net_init(&ctx, net, 1);
        if (r == SAL_OK) r = predict(&ctx, net, batch, &b);
        if (r == SAL_OK) r = train(&ctx, net, batch, &b);
        if (r != SAL_OK) fprintf(stderr, "%s: %s\n", sal_kind_name((sal_kind)kind), ctx.error);
        else if (json) print_json(net, &b, batch, sal_backend_cuda(gpu)->name);
        else {
            printf("%-11s batch %d: %8.2f ms a prediction (%.1f TFLOP/s), %8.2f ms a training "
                   "step\n", net->name, batch, b.predict, 2e-9 * b.macs / b.predict, b.step);
            for (i = 0; layers && i < net->layers; i++)
                if (b.layer[i] > 0)
                    printf("    %-28s %-10s %8.3f ms\n", net->layer[i].name,
                           sal_op_name(net->layer[i].op), b.layer[i]);
        }
        sal_net_free(&ctx, net);
    }
    sal_backend_cuda_close(&ctx, gpu);
    return 0;
}
