/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* bench: how fast is each network here, layer by layer, and how near to what the machine can do?

       gcc -O2 -fopenmp examples/bench.c -o bench -lm          (without -fopenmp: one thread)

   Run  bench --help  for the options. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"

#ifndef _WIN32
#  include <sys/resource.h>
#  include <sys/wait.h>
#endif

static const char program[] = "bench";
#include "cli.h"
#ifdef _WIN32
#  include <psapi.h>
#endif

static const char help[] =
    "bench: milliseconds, GFLOP/s and bytes of each network and layer; of crops and scores\n"
    "\n"
    "usage: bench [options]\n"
    "\n"
    "  -m NET       one network: juntingnet wepsam mlnet sam-vgg sam-resnet lite (default: all)\n"
    "  -w WEIGHTS   a network from a .safetensors file (default: random weights)\n"
    "  --dtype T    random weights of dense layers as F32 (default), F16, BF16 or I8\n"
    "  --size HxW   another input size\n"
    "  --threads N  use N threads (default: all cores)\n"
    "  --runs N     timed runs after one warm-up (default 5)\n"
    "  --layers     a line for each layer\n"
    "  --simd SET   at most these instructions: none, 128 (bits), avx2, avx512 (default: all)\n"
    "  --reference  the textbook loops instead of the fast kernels (slow)\n"
    "  --train N    training instead: steps with batches of N random pictures, the paper's recipe\n"
    "  --json       one JSON object a line for each network, and nothing else\n"
    "  --svg OUT    a bar chart of the layers of the last network\n"
    "  -h, --help   this text; --version: the version\n"
    "\n"
    "GFLOP/s counts two operations for each multiply-add of the plain definition of a layer;\n"
    "Winograd kernels do fewer, so the share of the machine's peak can pass 100 %. The peak is\n"
    "measured first: a loop of fused multiply-adds, and reading memory. Bytes are input, output\n"
    "and weights, once.\n";

typedef struct layer_time {
    double ms;              /* median over the runs */
    double macs, bytes;
} layer_time;

typedef struct report {
    sal_run *run;
    layer_time *layer;      /* net->layers of them */
    double *sample;         /* [layer][run], ms */
    int runs, now;          /* now: the run being timed, -1 for the warm-up */
    double last;            /* when the layer before ended */
    double load, first, median, best;       /* ms */
    double macs, peak_mb;
} report;

typedef struct machine { int threads; double gflops, gbytes; } machine;

/* --- what the machine can do ----------------------------------------------------------------- */

enum { CHAINS = 12, STEPS = 1 << 20 };      /* enough independent sums to hide the latency */

#if defined(__GNUC__)
#define FMA_LOOP(name, attribute, vector, width)                                    \
    typedef float vector __attribute__((vector_size(4 * width)));                   \
    attribute static float name(float seed) {                                       \
        vector sum[CHAINS], a, b;                                                   \
        float total = 0;                                                            \
        int i, k;                                                                   \
        for (k = 0; k < width; k++) { a[k] = 1 - seed * 1e-7f; b[k] = seed; }       \
        for (k = 0; k < CHAINS; k++) sum[k] = b;                                    \
        for (i = 0; i < STEPS; i++)                                                 \
            for (k = 0; k < CHAINS; k++) sum[k] = sum[k] * a + b;                   \
        for (k = 0; k < CHAINS; k++) total += sum[k][0];                            \
        return total;                                                               \
    }
#define UNROLL __attribute__((optimize("O3,unroll-loops")))
#if defined(__clang__)
#  undef UNROLL
#  define UNROLL
#endif
enum { LANES = 4 };
FMA_LOOP(fma_plain, UNROLL, four, 4)
#if defined(__GNUC__) && defined(__x86_64__)
FMA_LOOP(fma_eight, UNROLL __attribute__((target("avx2,fma"))), eight, 8)
FMA_LOOP(fma_sixteen, UNROLL __attribute__((target("avx512f"))), sixteen, 16)
#endif
#else                           /* no vector types: what the compiler makes of plain C */
enum { LANES = 1 };
static float fma_plain(float seed) {
    float sum[CHAINS] = { 0 }, a = 1 - seed * 1e-7f, total = 0;
    int i, k;
    for (i = 0; i < STEPS; i++)
        for (k = 0; k < CHAINS; k++) sum[k] = sum[k] * a + seed;
    for (k = 0; k < CHAINS; k++) total += sum[k];
    return total;
}
#endif

typedef struct probe { float *memory; size_t floats; float result[256]; int width; } probe;

static void compute(void *arg, int index, int worker) {
    probe *p = (probe *)arg;
    (void)worker;
#if defined(__GNUC__) && defined(__x86_64__)
    if (p->width == 16) { p->result[index] = fma_sixteen(1e-3f * (index + 1)); return; }
    if (p->width == 8) { p->result[index] = fma_eight(1e-3f * (index + 1)); return; }
#endif
    p->result[index] = fma_plain(1e-3f * (index + 1));
}

static void read_memory(void *arg, int index, int worker) {
    probe *p = (probe *)arg;
    const float *x = p->memory + (size_t)index * p->floats;
    float sum[16] = { 0 };
    size_t i;
    int k;
    (void)worker;
    for (i = 0; i + 16 <= p->floats; i += 16)
        for (k = 0; k < 16; k++) sum[k] += x[i + (size_t)k];
    for (k = 1; k < 16; k++) sum[0] += sum[k];
    p->result[index] = sum[0];
}

static sal_result probe_machine(sal_ctx *ctx, machine *m) {
    probe *p = (probe *)sal_alloc(ctx, 1, sizeof *p);
    int i;
    if (!p) return SAL_ERR_MEMORY;
    p->floats = (size_t)16 << 20;               /* 64 MB for each thread: larger than its cache */
    p->memory = (float *)sal_alloc(ctx, p->floats * (size_t)m->threads, sizeof(float));
    p->width = LANES;
#if defined(__GNUC__) && defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) p->width = 8;
    if (__builtin_cpu_supports("avx512f")) p->width = 16;
#endif
    for (i = 0; p->memory && i < 5; i++) {      /* the best of five */
        double t = now() * 1e3;
        sal_parallel_for(ctx, m->threads, compute, p);
        t = now() * 1e3 - t;
        m->gflops = MAX(m->gflops, 2.0 * m->threads * STEPS * CHAINS * p->width / t * 1e-6);
        t = now() * 1e3;
        sal_parallel_for(ctx, m->threads, read_memory, p);
        t = now() * 1e3 - t;
        m->gbytes = MAX(m->gbytes, (double)m->threads * (double)p->floats * 4 / t * 1e-6);
    }
    sal_free(ctx, p->memory);
    sal_free(ctx, p);
    return m->gbytes > 0 ? SAL_OK : SAL_ERR_MEMORY;
}

#ifdef _WIN32
static int measure_machine(sal_ctx *ctx, machine *m) {
    memset(m, 0, sizeof *m);
    m->threads = sal_threads(ctx);
    return probe_machine(ctx, m) ? complain("%s", sal_error(ctx)) : 0;
}

static double peak_mb(void) {           /* at least what was measured before took */
    PROCESS_MEMORY_COUNTERS memory;
    memset(&memory, 0, sizeof memory);
    K32GetProcessMemoryInfo(GetCurrentProcess(), &memory, sizeof memory);
    return (double)memory.PeakWorkingSetSize / 1048576.0;
}
#else
static double peak_mb(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss / 1024.0;            /* kilobytes on Linux */
}

/* In a process of its own, so that its memory does not count as a network's. */
static int measure_machine(sal_ctx *ctx, machine *m) {
    int ends[2];
    ssize_t got;
    pid_t child;
    memset(m, 0, sizeof *m);
    m->threads = sal_threads(ctx);
    if (pipe(ends) || (child = fork()) < 0)
        return complain("%s", "cannot start a process to measure the machine");
    if (child == 0) {
        int failed = probe_machine(ctx, m) != SAL_OK ||
                     write(ends[1], m, sizeof *m) != (ssize_t)sizeof *m;
        _exit(failed);
    }
    close(ends[1]);
    got = read(ends[0], m, sizeof *m);
    close(ends[0]);
    waitpid(child, NULL, 0);
    return got == (ssize_t)sizeof *m ? 0 : complain("%s", "the machine could not be measured");
}
#endif

/* --- one network ------------------------------------------------------------------------------ */

/* Values of a size that keeps activations alive through ReLU layers. */
static float random_value(sal_rng *rng, double reach) {
    return (float)(reach * (2 * sal_rng_uniform(rng) - 1));
}

/* n values of this type, made without an F32 copy. */
static sal_result random_tensor(sal_ctx *ctx, sal_tensor *t, size_t n, sal_dtype dtype,
                                double reach, sal_rng *rng) {
    size_t i, scales = dtype == SAL_DTYPE_I8 ? (size_t)t->dim[0] : 0, size = sal_dtype_size(dtype);
    void *data = sal_alloc(ctx, n * size + 4 * scales + 64, 1);     /* one block, scales last */
    if (!data) return SAL_ERR_MEMORY;
    t->data = data;
    t->dtype = dtype;
    t->scale = scales ? (float *)(void *)((char *)data + (n + 63) / 64 * 64) : NULL;
    for (i = 0; i < n; i++) {
        float x = random_value(rng, reach);
        if (dtype == SAL_DTYPE_F32) ((float *)data)[i] = x;
        else if (dtype == SAL_DTYPE_F16) ((uint16_t *)data)[i] = sal_f32_to_f16(x);
        else if (dtype == SAL_DTYPE_BF16) ((uint16_t *)data)[i] = sal_f32_to_bf16(x);
        else ((int8_t *)data)[i] = (int8_t)(x / reach * 127);
    }
    for (i = 0; i < scales; i++) t->scale[i] = (float)(reach / 127);
    return SAL_OK;
}

static sal_result random_weights(sal_ctx *ctx, sal_net *net, sal_dtype dtype) {
    sal_rng rng = { 1 };
    int i, k;
    for (i = 0; i < net->layers; i++)
    for (k = 0; k < net->layer[i].params; k++) {
        sal_param *p = &net->param[net->layer[i].param + k];
        size_t n = sal_tensor_count(&p->value), j;
        int matrix = p->value.ndim >= 2, dense = net->layer[i].op == SAL_OP_DENSE && k == 0;
        double reach = matrix ? sqrt(6.0 * p->value.dim[0] / (double)n) : 1;
        sal_result r = random_tensor(ctx, &p->value, n, dense ? dtype : SAL_DTYPE_F32, reach, &rng);
        if (r) return r;
        p->owned = 1;
        for (j = 0; !matrix && j < n; j++) ((float *)p->value.data)[j] = 0.5f;
    }
    return SAL_OK;
}

static void watch(void *arg, const sal_run *run, int i) {
    report *r = (report *)arg;
    double t = now() * 1e3;
    (void)run;
    if (r->now >= 0) r->sample[(size_t)i * (size_t)r->runs + (size_t)r->now] = t - r->last;
    r->last = t;
}

/* Bytes of a layer's inputs, output and weights. */
static double layer_bytes(const sal_run *run, int i) {
    const sal_layer *l = &run->net->layer[i];
    sal_shape out = run->value[run->step[i].output].shape;
    double floats = (double)out.c * out.h * out.w, bytes = 0;
    int k;
    for (k = 0; k < l->inputs; k++) {
        sal_shape in = run->value[l->input[k]].shape;
        floats += (double)in.c * in.h * in.w;
    }
    for (k = 0; k < l->params; k++) {
        const sal_tensor *t = &run->net->param[l->param + k].value;
        bytes += (double)sal_tensor_count(t) * (double)sal_dtype_size(t->dtype);
    }
    return bytes + 4 * run->n * floats;
}

/* One warm-up, then r->runs timed predictions of noise. */
static sal_result measure(sal_ctx *ctx, report *r) {
    const sal_net *net = r->run->net;
    size_t count = (size_t)3 * (size_t)r->run->h * (size_t)r->run->w, i;
    float *input = (float *)sal_alloc(ctx, count, sizeof *input);
    double *whole = (double *)sal_alloc(ctx, (size_t)r->runs, sizeof *whole), start;
    sal_shape *shapes = (sal_shape *)sal_alloc(ctx, (size_t)net->layers, sizeof *shapes);
    sal_rng rng = { 2 };
    sal_result result = SAL_ERR_MEMORY;
    int k;
    r->layer = (layer_time *)sal_alloc(ctx, (size_t)net->layers, sizeof *r->layer);
    r->sample = (double *)sal_alloc(ctx, (size_t)net->layers * (size_t)r->runs, sizeof *r->sample);
    if (input && whole && shapes && r->layer && r->sample)
        result = sal_net_shapes(ctx, net, r->run->w, r->run->h, shapes);
    for (i = 0; !result && i < count; i++) input[i] = (float)(2 * sal_rng_uniform(&rng) - 1);
    r->run->watch = watch; r->run->watch_arg = r;
    for (r->now = -1; !result && r->now < r->runs; r->now++) {
        start = r->last = now() * 1e3;
        result = sal_run_forward(ctx, r->run, input);
        if (r->now < 0) r->first = now() * 1e3 - start;
        else whole[r->now] = now() * 1e3 - start;
    }
    for (k = 1; !result && k < net->layers; k++) {
        r->layer[k].ms = median(r->sample + (size_t)k * (size_t)r->runs, r->runs);
        r->layer[k].macs = sal_layer_macs(net, k, shapes);
        r->layer[k].bytes = layer_bytes(r->run, k);
        r->macs += r->layer[k].macs;
    }
    for (k = 1; !result && k < net->layers; k++)        /* fused: done in its convolution's time */
        if (r->run->step[k].wide >= 0) r->layer[k].macs += r->layer[r->run->step[k].wide].macs;
    if (!result) { r->median = median(whole, r->runs); r->best = whole[0]; }
    sal_free(ctx, shapes);
    sal_free(ctx, whole);
    sal_free(ctx, input);
    return result;
}

/* --- showing it ------------------------------------------------------------------------------- */

static double gflops(double macs, double ms) { return ms > 0 ? 2e-6 * macs / ms : 0; }

/* "head.lstm convlstm", with what was fused into it. */
static void layer_title(char *text, size_t size, const sal_run *run, int i) {
    const sal_step *s = &run->step[i];
    snprintf(text, size, "%s %s%s%s%s", run->net->layer[i].name, sal_op_name(run->net->layer[i].op),
             s->norm >= 0 ? "+norm" : "", s->add >= 0 ? "+add" : "",
             s->wide >= 0 ? "+depthwise" : s->act != SAL_ACT_IDENTITY ? "+relu" : "");
}

static void show_text(const report *r, const machine *m, int layers) {
    const sal_run *run = r->run;
    char title[96];
    int i;
    printf("%-10s %4d x %-4d %d thread%s  median %.2f ms  best %.2f  load %.0f  first %.2f  "
           "%.1f GFLOP/s (%.0f %% of peak)  %.0f MB\n", run->net->name, run->h, run->w, m->threads,
           m->threads > 1 ? "s" : "", r->median, r->best, r->load, r->first,
           gflops(r->macs, r->median), 100 * gflops(r->macs, r->median) / m->gflops, r->peak_mb);
    if (!layers) return;
    printf("  %-44s %16s %9s %9s %7s %8s\n", "layer", "output", "ms", "GFLOP/s", "peak", "MB");
    for (i = 1; i < run->net->layers; i++) {
        sal_shape s = run->value[run->step[i].output].shape;
        double speed = gflops(r->layer[i].macs, r->layer[i].ms);
        char shape[32];
        if (run->step[i].skip) continue;
        layer_title(title, sizeof title, run, i);
        snprintf(shape, sizeof shape, "%dx%dx%d", s.c, s.h, s.w);
        printf("  %-44s %16s %9.3f %9.1f %5.0f %% %8.2f\n", title, shape, r->layer[i].ms, speed,
               100 * speed / m->gflops, r->layer[i].bytes * 1e-6);
    }
}

static void show_json(const report *r, const machine *m) {
    const sal_run *run = r->run;
    char title[96];
    int i, first = 1;
    printf("{\"network\":\"%s\",\"height\":%d,\"width\":%d,\"threads\":%d,\"runs\":%d,"
           "\"median\":%.4f,"
           "\"min\":%.4f,\"load\":%.3f,\"first\":%.4f,\"gflops\":%.3f,\"peak_gflops\":%.3f,"
           "\"read_gbytes\":%.3f,\"peak_mb\":%.1f,\"layers\":[", run->net->name, run->h, run->w,
           m->threads, r->runs, r->median, r->best, r->load, r->first, gflops(r->macs, r->median),
           m->gflops, m->gbytes, r->peak_mb);
    for (i = 1; i < run->net->layers; i++) {
        if (run->step[i].skip) continue;
        layer_title(title, sizeof title, run, i);
        printf("%s{\"layer\":\"%s\",\"ms\":%.4f,\"gflops\":%.3f,\"mbytes\":%.3f}", first ? "" : ",",
               title, r->layer[i].ms, gflops(r->layer[i].macs, r->layer[i].ms),
               r->layer[i].bytes * 1e-6);
        first = 0;
    }
    printf("]}\n");
}

/* A bar for each layer: its length is time, its colour the share of the machine's peak. */
static sal_result write_svg(sal_ctx *ctx, const char *path, const report *r, const machine *m) {
    enum { ROW = 16, LEFT = 330, WIDTH = 520 };
    const sal_run *run = r->run;
    size_t room = 1024 + 512 * (size_t)run->net->layers;
    char *text = (char *)sal_alloc(ctx, room, 1), title[96];
    unsigned char rgb[3];
    double longest = 1e-9;
    int i, rows = 0, used;
    sal_result result;
    if (!text) return SAL_ERR_MEMORY;
    for (i = 1; i < run->net->layers; i++) {
        if (run->step[i].skip) continue;
        longest = MAX(longest, r->layer[i].ms);
        rows++;
    }
    used = snprintf(text, room, "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' "
                    "font-family='sans-serif' font-size='11'>\n<rect width='100%%' height='100%%' "
                    "fill='white'/>\n<text x='8' y='20' font-size='14'>%s %d x %d, %d thread%s: "
                    "%.2f ms, %.0f %% of the machine's peak</text>\n", LEFT + WIDTH + 110,
                    50 + ROW * rows, run->net->name, run->h, run->w, m->threads,
                    m->threads > 1 ? "s" : "", r->median,
                    100 * gflops(r->macs, r->median) / m->gflops);
    rows = 0;
    for (i = 1; i < run->net->layers; i++) {
        double share = gflops(r->layer[i].macs, r->layer[i].ms) / m->gflops;
        int y = 36 + ROW * rows;
        if (run->step[i].skip) continue;
        rows++;
        layer_title(title, sizeof title, run, i);
        sal_colormap((float)MIN(0.15 + share * 0.35, 0.85), rgb);
        used += snprintf(text + used, room - (size_t)used, "<text x='%d' y='%d' text-anchor='end'>"
                         "%s</text><rect x='%d' y='%d' width='%.1f' height='%d' "
                         "fill='#%02x%02x%02x'/>"
                         "<text x='%.1f' y='%d'>%.2f ms, %.0f %%</text>\n", LEFT - 6, y + 11, title,
                         LEFT, y, WIDTH * r->layer[i].ms / longest, ROW - 3, rgb[0], rgb[1], rgb[2],
                         LEFT + 4 + WIDTH * r->layer[i].ms / longest, y + 11, r->layer[i].ms,
                         100 * share);
    }
    used += snprintf(text + used, room - (size_t)used, "</svg>\n");
    result = sal_file_write(ctx, path, text, (size_t)used);
    sal_free(ctx, text);
    return result;
}

typedef struct options {
    const char *net, *weights, *dtype, *svg;
    int size[2], runs, train;
    int layers, json, reference;
    int quiet;                  /* standard output is for the chart */
    sal_simd simd;
} options;

static int save_svg(sal_ctx *ctx, const options *o, const report *r, const machine *m) {
    char path[PATH_ROOM];
    pictures read;
    int status;
    memset(&read, 0, sizeof read);
    if (o->weights) take(&read, o->weights);
    status = out_path(ctx, &read, o->svg, "bench.svg", path);
    if (!status && write_svg(ctx, path, r, m)) status = complain("%s", sal_error(ctx));
    pictures_free(&read);
    return status;
}

static int bench(sal_ctx *ctx, const options *o, const machine *m, sal_kind kind) {
    static const char *const names[] = { "F32", "F16", "BF16", "I8" };
    sal_net_desc desc = sal_net_desc_default(kind);
    sal_net *net = NULL;
    report r;
    int dtype = 0, status = 0;
    double start = now() * 1e3;
    sal_result result;
    memset(&r, 0, sizeof r);
    while (o->dtype && strcmp(o->dtype, names[dtype]))
        if (++dtype == 4) return complain("--dtype %s: F32, F16, BF16 or I8, please", o->dtype);
    if (o->weights) result = sal_net_load(ctx, o->weights, &net);
    else {
        result = sal_net_new(ctx, &desc, &net);
        if (!result) result = random_weights(ctx, net, (sal_dtype)dtype);
    }
    r.runs = o->runs;
    if (!result) result = sal_run_open(ctx, net, 1, o->size[1], o->size[0], &r.run);
    r.load = now() * 1e3 - start;
    if (!result) result = measure(ctx, &r);
    r.peak_mb = peak_mb();
    if (!result && o->json) show_json(&r, m);
    else if (!result && !o->quiet) show_text(&r, m, o->layers);
    if (!result && o->svg) status = save_svg(ctx, o, &r, m);
    sal_free(ctx, r.sample);
    sal_free(ctx, r.layer);
    sal_run_close(ctx, r.run);
    sal_net_free(ctx, net);
    return result ? complain("%s", sal_error(ctx)) : status;
}

/* In a process of its own, so that the memory of networks before does not count. */
static int bench_apart(sal_ctx *ctx, const options *o, const machine *m, sal_kind kind) {
#ifdef _WIN32
    return bench(ctx, o, m, kind);
#else
    int status;
    pid_t child;
    fflush(stdout);
    child = fork();
    if (child == 0) _exit(finish(bench(ctx, o, m, kind)));
    if (child < 0 || waitpid(child, &status, 0) != child)
        return complain("cannot start a process to measure %s", sal_kind_name(kind));
    return WIFEXITED(status) ? WEXITSTATUS(status)
                             : complain("%s: was ended by the system", sal_kind_name(kind));
#endif
}

/* --- training ------------------------------------------------------------------------------- */

/* One warm-up, then o->runs steps: forward, loss, backward, new weights. ms: their median. */
static sal_result measure_steps(sal_ctx *ctx, const options *o, sal_net *net, sal_run *run,
                                double *ms) {
    sal_train_desc recipe = sal_train_desc_paper(net->desc.kind);
    size_t maps = (size_t)(run->shape.h * run->shape.w) * (size_t)run->n;
    size_t count = (size_t)3 * (size_t)(run->h * run->w) * (size_t)run->n, i;
    size_t room = sal_loss_scratch(&recipe.loss, run->shape.w, run->shape.h) *
                  (size_t)sal_threads(ctx);
    float *input = (float *)sal_alloc(ctx, count + 2 * maps + room, sizeof *input);
    float *density = input + count, *fixations = density + maps, *scratch = fixations + maps;
    double *value = (double *)sal_alloc(ctx, (size_t)(2 * run->n + o->runs), sizeof *value);
    double *weight = value + run->n, *sample = weight + run->n, norm;
    sal_optim *optim = NULL;
    sal_rng rng = { 2 };
    sal_result r = input && value ? SAL_OK : SAL_ERR_MEMORY;
    int k;
    for (i = 0; !r && i < count + maps; i++) input[i] = (float)sal_rng_uniform(&rng);
    for (i = 0; !r && i < maps; i++) fixations[i] = i % 99 == 0;
    for (k = 0; !r && k < run->n; k++) weight[k] = 1.0 / run->n;
    if (!r) r = sal_optim_open(ctx, &recipe.optim, run, &optim);
    for (k = -1; !r && k < o->runs; k++) {
        double start = now();
        sal_run_clear(run);
        r = sal_run_forward(ctx, run, input);
        if (!r) r = sal_run_loss(ctx, run, &recipe.loss, density, fixations, weight, value,
                                 scratch);
        if (!r) r = sal_run_backward(ctx, run, NULL);
        if (!r) r = sal_optim_step(ctx, optim, net, run, 1e-4, 0.9, &norm);
        if (k >= 0) sample[k] = (now() - start) * 1e3;
    }
    if (!r) *ms = median(sample, o->runs);
    sal_optim_close(ctx, optim);
    sal_free(ctx, value);
    sal_free(ctx, input);
    return r;
}

static int bench_training(sal_ctx *ctx, const options *o, sal_kind kind) {
    sal_net_desc desc = sal_net_desc_default(kind);
    sal_run_desc d = { 0 };
    sal_net *net = NULL;
    sal_run *run = NULL;
    double ms = 0;
    sal_result r = o->weights ? sal_net_load(ctx, o->weights, &net) : sal_net_new(ctx, &desc, &net);
    if (!r) r = o->weights ? sal_net_to_float(ctx, net) : sal_net_init(ctx, net, 1);
    d.n = o->train; d.h = o->size[0]; d.w = o->size[1]; d.training = 1;
    if (!r) r = sal_run_open_desc(ctx, net, &d, &run);
    if (!r) r = measure_steps(ctx, o, net, run, &ms);
    if (!r) printf(o->json ? "{\"network\":\"%s\",\"height\":%d,\"width\":%d,\"batch\":%d,"
                   "\"threads\":%d,\"median\":%.4f,\"pictures\":%.3f,\"peak_mb\":%.1f}\n" :
                   "%-10s %4d x %-4d batch %d, %d threads: a step %.1f ms, %.1f pictures/s  %.0f MB\n",
                   net->name, run->h, run->w, run->n, sal_threads(ctx), ms, 1e3 * run->n / ms,
                   peak_mb());
    sal_run_close(ctx, run);
    sal_net_free(ctx, net);
    return r ? complain("%s", sal_error(ctx)) : 0;
}

/* --- what has no network ---------------------------------------------------------------------- */

enum { MAP_SIDE = 1000, EMD_SIDE = 64 };

/* Two maps of 1000 x 1000 pixels with a dozen spots each, and the places of these. */
typedef struct others {
    sal_map map, density;
    sal_fixation spot[12];
    double aspect, uncut;       /* of the crop */
} others;

static sal_result do_crop(sal_ctx *ctx, const others *o) {
    sal_crop_desc d = { 0 };
    sal_box box;
    d.aspect = o->aspect; d.area = 0.25; d.uncut = o->uncut;
    return sal_crop(ctx, &o->map, &d, &box);
}

static sal_result do_score(sal_ctx *ctx, const others *o) {
    sal_score_desc d = { 0 };
    double value[SAL_METRIC_COUNT];
    d.w = d.h = MAP_SIDE; d.map = o->map.data; d.density = d.baseline = o->density.data;
    d.fixations.x = &o->spot->x; d.fixations.y = &o->spot->y;
    d.fixations.count = COUNT(o->spot); d.fixations.stride = sizeof *o->spot / sizeof(float);
    d.others = d.fixations;
    d.metrics = ((1u << SAL_METRIC_COUNT) - 1) & ~(SAL_METRIC_BIT(SAL_METRIC_EMD) |
                SAL_METRIC_BIT(SAL_METRIC_AUC_BORJI) | SAL_METRIC_BIT(SAL_METRIC_AUC_SHUFFLED));
    return sal_score(ctx, &d, value);
}

static sal_result do_emd(sal_ctx *ctx, const others *o) {   /* of the first pixels: much to move */
    sal_score_desc d = { 0 };
    double value;
    d.w = d.h = EMD_SIDE; d.map = o->map.data; d.density = o->density.data;
    d.cell = 1;
    return sal_metric(ctx, SAL_METRIC_EMD, &d, &value);
}

/* The best of three runs in ms; < 0 on failure. */
static double best_of(sal_ctx *ctx, const others *o, sal_result (*what)(sal_ctx *,
                                                                        const others *)) {
    double best = HUGE_VAL;
    int i;
    for (i = 0; i < 3; i++) {
        double start = now();
        if (what(ctx, o) != SAL_OK) return -1;
        best = MIN(best, (now() - start) * 1e3);
    }
    return best;
}

static int bench_others(sal_ctx *ctx) {
    static const double aspects[] = { 0.25, 9 / 16.0, 1, 16 / 9.0, 4 };
    others o = { 0 };
    double crop[2] = { 0, 0 }, score, emd;
    sal_rng rng = { 3 };
    int i, k;
    sal_result r;
    for (i = 0; i < COUNT(o.spot); i++) {
        o.spot[i].x = (float)sal_rng_below(&rng, MAP_SIDE);
        o.spot[i].y = (float)sal_rng_below(&rng, MAP_SIDE);
    }
    r = sal_density(ctx, o.spot, COUNT(o.spot), MAP_SIDE, MAP_SIDE, 40, &o.map);
    if (!r) r = sal_density(ctx, o.spot, COUNT(o.spot) / 2, MAP_SIDE, MAP_SIDE, 20, &o.density);
    for (i = 0; !r && i < MAP_SIDE * MAP_SIDE; i++) {
        o.map.data[i] += random_value(&rng, 0.05) + 0.05f;
        o.density.data[i] += random_value(&rng, 0.05) + 0.05f;
    }
    for (i = 0; !r && i < 2 * COUNT(aspects); i++) {
        double ms;
        k = i % 2;
        o.aspect = aspects[i / 2]; o.uncut = k * 0.5;
        ms = best_of(ctx, &o, do_crop);
        if (ms < 0) r = SAL_ERR_NUMERIC;
        crop[k] = MAX(crop[k], ms);
    }
    score = r ? -1 : best_of(ctx, &o, do_score);
    emd = score < 0 ? -1 : best_of(ctx, &o, do_emd);
    if (emd >= 0)
        printf("crop       1000 x 1000, the slowest of %d shapes: %.1f ms, with regions that are "
               "not cut %.1f\nscores     1000 x 1000, %d metrics together: %.1f ms\n"
               "EMD        %d x %d: %.0f ms\n", COUNT(aspects), crop[0], crop[1],
                   SAL_METRIC_COUNT - 3,
               score, EMD_SIDE, EMD_SIDE, emd);
    sal_map_free(ctx, &o.map);
    sal_map_free(ctx, &o.density);
    return emd < 0 ? complain("%s", sal_error(ctx)) : 0;
}

static int read_simd(void *into, const char *option, const char *value) {
    static const char *const sets[] = { "", "none", "128", "avx2", "avx512" };
    int i;
    for (i = 1; i < COUNT(sets); i++)
        if (!strcmp(value, sets[i])) { *(sal_simd *)into = (sal_simd)i; return 0; }
    return complain("%s %s: none, 128, avx2 or avx512, please", option, value);
}

int main(int argc, char **argv) {
    sal_ctx ctx = { 0 };
    options o = { 0 };
    const option table[] = {
        option_text("-m", &o.net),
        option_text("-w", &o.weights),
        option_text("--dtype", &o.dtype),
        option_size("--size", o.size),
        option_whole("--threads", &ctx.threads, 1, MOST_THREADS),
        option_whole("--runs", &o.runs, 1, INT_MAX),
        option_whole("--train", &o.train, 1, 4096),
        option_flag("--layers", &o.layers),
        option_call("--simd", read_simd, &o.simd),
        option_flag("--reference", &o.reference),
        option_flag("--json", &o.json),
        option_text("--svg", &o.svg),
    };
    machine m;
    sal_kind kind = SAL_KIND_JUNTINGNET;
    int i, rest, status;
    o.runs = 5;
    status = read_options(argc, argv, table, COUNT(table), help, &rest);
    if (!status && rest) status = complain("%s: what to do with it? see bench --help", argv[0]);
    if (!status && o.train) status = refuse("--layers --svg --dtype", "with --train");
    if (!status && o.weights) status = refuse("-m --dtype", "with -w, which says it");
    if (!status && o.net && sal_kind_from_name(o.net, &kind))
        status = complain("there is no network called %s", o.net);
    if (!status && o.train && !o.net && !o.weights)
        status = complain("--train %d: of which network? -m NET, please", o.train);
    ctx.simd = o.simd;
    if (o.reference) ctx.backend = sal_backend_ref();
    o.quiet = o.svg && is_standard(o.svg);
    if (!status && o.quiet && o.json) status = complain("-: standard output takes one result only");
    if (!status && o.train) return finish(bench_training(&ctx, &o, kind));
    if (!status) status = measure_machine(&ctx, &m);
    if (status) return finish(status);
    if (!o.json && !o.quiet)
        printf("this machine, %d thread%s: %.1f GFLOP/s of multiply-adds, %.1f GB/s read\n",
               m.threads, m.threads > 1 ? "s" : "", m.gflops, m.gbytes);
    if (o.net || o.weights) return finish(bench(&ctx, &o, &m, kind));
    for (i = 0; i < SAL_KIND_COUNT && !status; i++) status = bench_apart(&ctx, &o, &m, (sal_kind)i);
    if (!status && !o.json && !o.quiet) status = bench_others(&ctx);
    return finish(status);
}
