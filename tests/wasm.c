/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* Every network's map here and in WebAssembly, for tests/test_web.sh:

       wasm write FILE      maps of a photograph by all networks
       wasm compare FILE    the same again, against those of another build
       wasm time H W RUNS   milliseconds of lite */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "../weights/saliency_lite.h"
#include "test.h"
#include "seeded.h"

enum { MOST = 8192, SETS = 3 };
static const sal_simd sets[SETS] = { SAL_SIMD_BEST, SAL_SIMD_NONE, SAL_SIMD_128 };

typedef struct subject {
    const char *name, *weights;         /* weights: a file; NULL: built in; "": made from a seed */
    sal_kind kind;
    int h, w, float32;
    double near;                       /* how far maps may be apart, in their standard deviations */
} subject;

static const subject subjects[] = {
    { "lite, in whole numbers", NULL, SAL_KIND_LITE, 384, 512, 0, 0 },
    { "lite, in float32", NULL, SAL_KIND_LITE, 240, 320, 1, 1e-3 },
    { "juntingnet", "weights/juntingnet.safetensors", SAL_KIND_JUNTINGNET, 96, 96, 0, 1e-3 },
    { "wepsam", "weights/wepsam.safetensors", SAL_KIND_WEPSAM, 128, 128, 0, 1e-3 },
    { "a small ML-Net", "", SAL_KIND_MLNET, 96, 128, 0, 1e-3 },
    { "a small SAM on VGG-16", "", SAL_KIND_SAM_VGG, 96, 128, 0, 1e-3 },
    { "a small SAM on ResNet-50", "", SAL_KIND_SAM_RESNET, 96, 128, 0, 1e-3 }
};

/* What the network makes of the photograph: n numbers, before any finishing. */
static sal_result predict(const subject *s, sal_simd simd, const sal_image *photo, float *out,
                          int *n) {
    sal_ctx ctx;
    sal_net *net = NULL;
    sal_run *run = NULL;
    sal_map map;
    sal_result r;
    memset(&ctx, 0, sizeof ctx);
    memset(&map, 0, sizeof map);
    ctx.simd = simd;
    sal_use_lite(&ctx);
    if (s->weights && !*s->weights) r = make(&ctx, s->kind, 8, 0, s->h, s->w, &net);
    else if (s->weights) r = sal_net_load(&ctx, s->weights, &net);
    else r = sal_net_load_words(&ctx, ctx.weights, ctx.weights_size, "lite", &net);
    if (!r) net->desc.float32 = s->float32;
    if (!r) r = sal_run_open(&ctx, net, 1, s->w, s->h, &run);
    if (!r) r = sal_predict_run(&ctx, run, photo, &map);
    if (!r) {
        *n = run->shape.h * run->shape.w;
        if (*n > MOST) r = SAL_ERR_SHAPE;
        else memcpy(out, run->output, *n * sizeof *out);
    }
    if (r) printf("     (%s)\n", sal_error(&ctx));
    sal_map_free(&ctx, &map);
    sal_run_close(&ctx, run);
    sal_net_free(&ctx, net);
    return r;
}

/* The largest difference over the standard deviation of a; 1 if something is not a number. */
static double apart(const float *a, const float *b, int n) {
    double mean = 0, square = 0, most = 0;
    int i;
    for (i = 0; i < n; i++) { mean += a[i] / n; square += (double)a[i] * a[i] / n; }
    square = sqrt(square - mean * mean) + 1e-30;
    for (i = 0; i < n; i++) {
        double d = fabs((double)a[i] - b[i]) / square;
        if (d > most || d != d) most = d;
    }
    return most >= 0 ? most : 1;
}

static int write_maps(const char *path, const sal_image *photo) {
    FILE *f = fopen(path, "wb");
    static float out[MOST];
    int i, n, bad = f == NULL;
    for (i = 0; i < COUNT(subjects) && !bad; i++) {
        bad = predict(&subjects[i], SAL_SIMD_BEST, photo, out, &n) != SAL_OK;
        if (!bad) bad = fwrite(&n, sizeof n, 1, f) != 1 || fwrite(out, 4, n, f) != (size_t)n;
    }
    return (f && fclose(f)) || bad;
}

static void compare_maps(const char *path, const sal_image *photo) {
    FILE *f = fopen(path, "rb");
    static float there[MOST], here[SETS][MOST];
    int i, k, n, m;
    for (i = 0; i < COUNT(subjects); i++) {
        const subject *s = &subjects[i];
        double worst = 0;
        int same = 1;
        if (!f || fread(&n, sizeof n, 1, f) != 1 || n > MOST ||
            fread(there, 4, n, f) != (size_t)n) {
            CHECK(0, "%s can be read", path);
            break;
        }
        for (k = 0; k < SETS; k++) {
            double d = predict(s, sets[k], photo, here[k], &m) ||
                m != n ? 1 : apart(there, here[k], n);
            if (d > worst) worst = d;
            same &= !memcmp(here[0], here[k], n * sizeof **here);
        }
        CHECK(worst <= s->near, "%s: the map is the native one (%.0e)", s->name, worst);
        if (i == 0) CHECK(same, "with the same bits from plain C and from vectors");
    }
    if (f) fclose(f);
}

static void report(void *user, const char *kernel, double error) {
    (void)user;
    CHECK(error < 1e-3, "%s (%.0e)", kernel, error);
}

/* The kernels by themselves, with their gradients. */
static void test_kernels(void) {
    sal_ctx ctx;
    int k;
    memset(&ctx, 0, sizeof ctx);
    sal_use_lite(&ctx);
    for (k = 0; k < SETS; k++) {
        ctx.simd = sets[k];
        CHECK(sal_self_test(&ctx, k ? NULL : report, NULL) == SAL_OK, "the self-test is passed: %s",
              sal_error(&ctx));
    }
#ifdef __wasm_simd128__
    ctx.simd = SAL_SIMD_BEST;
    CHECK(sal__isa_of(&ctx)->width == 4, "vectors of WebAssembly are used");
#endif
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median of a prediction. */
static int time_lite(const sal_image *photo, int h, int w, int runs) {
    static double ms[1000];
    sal_ctx ctx;
    sal_model model;
    sal_map map;
    int i;
    memset(&ctx, 0, sizeof ctx);
    ctx.threads = 1;
    sal_use_lite(&ctx);
    runs = MAX(1, MIN(runs, 1000));
    if (sal_model_open(&ctx, NULL, NULL, &model) || sal_model_resize(&ctx, &model, w, h)) return 1;
    for (i = 0; i < runs; i++) {
        double start = now();
        if (sal_model_predict(&ctx, &model, photo, &map)) return 1;
        ms[i] = now() - start;
        sal_map_free(&ctx, &map);
    }
    qsort(ms, runs, sizeof *ms, by_size);
    printf("%d x %d: %.1f ms\n", h, w, ms[runs / 2]);
    sal_model_close(&ctx, &model);
    return 0;
}

int main(int argc, char **argv) {
    sal_ctx ctx;
    sal_image photo;
    int status = 0;
    memset(&ctx, 0, sizeof ctx);
    if (argc < 3 || sal_image_load(&ctx, "examples/photos/coffee.jpg", &photo)) {
        fprintf(stderr, "wasm: %s\n", argc < 3 ? "write FILE or compare FILE" : sal_error(&ctx));
        return 2;
    }
    if (!strcmp(argv[1], "write")) status = write_maps(argv[2], &photo);
    else if (!strcmp(argv[1], "time"))
        status = time_lite(&photo, atoi(argv[2]), argc > 3 ? atoi(argv[3]) : 0,
                           argc > 4 ? atoi(argv[4]) : 15);
    else {
        test_kernels();
        compare_maps(argv[2], &photo);
        status = test_done();
    }
    sal_image_free(&ctx, &photo);
    return status;
}
