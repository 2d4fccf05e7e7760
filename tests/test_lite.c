/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* lite as it ships: the weights file, the same bytes inside the program, the default model. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "../weights/saliency_lite.h"
#include "test.h"

static const char file_name[] = "weights/lite.safetensors";

/* The whole map of a photograph by what is built in, or by a file. */
static sal_result map_by(sal_ctx *ctx, const char *file, const char *photo, int domain,
                         sal_map *map) {
    sal_image image;
    sal_model model;
    sal_result r;
    memset(map, 0, sizeof *map);
    TRY(sal_image_load(ctx, photo, &image));
    r = sal_model_open(ctx, NULL, file, &model);
    if (r == SAL_OK) {
        model.domain = domain;
        r = sal_model_predict(ctx, &model, &image, map);
        if (strcmp(model.name, "lite")) r = SAL_ERR_UNSUPPORTED;
        sal_model_close(ctx, &model);
    }
    sal_image_free(ctx, &image);
    return r;
}

static sal_result map_of(sal_ctx *ctx, const char *photo, int domain, sal_map *map) {
    return map_by(ctx, NULL, photo, domain, map);
}

/* The brightest point as a share of width and height. */
static void peak(const sal_map *map, double *x, double *y) {
    size_t i, best = 0, n = (size_t)map->w * map->h;
    for (i = 1; i < n; i++) if (map->data[i] > map->data[best]) best = i;
    *x = ((double)(best % (size_t)map->w) + 0.5) / map->w;
    *y = ((double)(best / (size_t)map->w) + 0.5) / map->h;
}

static void test_files(sal_ctx *ctx) {
    unsigned char *bytes = NULL;
    size_t size = 0, numbers = 0;
    sal_net *net = NULL;
    double macs = 0;
    static sal_shape shapes[512];
    sal_result r = sal_file_read(ctx, file_name, &bytes, &size);
    int i;
    CHECK(r == SAL_OK && size == SAL_LITE_BYTES && !memcmp(bytes, sal_lite_words, size),
          "saliency_lite.h holds the bytes of %s", file_name);
    CHECK(size <= 3200000, "they are %.2f MB", (double)size / 1e6);
    sal_free(ctx, bytes);
    r = sal_net_load_lite(ctx, &net);
    CHECK(r == SAL_OK, "sal_net_load_lite needs no file %s", r ? sal_error(ctx) : "");
    if (r != SAL_OK) return;
    r = sal_net_shapes(ctx, net, 320, 240, shapes);
    for (i = 0; i < net->layers; i++) macs += sal_layer_macs(net, i, shapes);
    for (i = 0; i < net->params; i++) numbers += sal_tensor_count(&net->param[i].value);
    CHECK(r == SAL_OK && numbers <= 3000000 && macs <= 1.2e9,
          "lite has %.2f million parameters and takes %.2f G multiply-adds at 240 x 320",
          (double)numbers / 1e6, macs / 1e9);
    sal_net_free(ctx, net);
}

static void test_default(sal_ctx *ctx) {
    sal_map built_in, from_file, osie;
    sal_ctx plain;
    double x = 0, y = 0;
    sal_result r, s;
    memset(&plain, 0, sizeof plain);
    sal_use_lite(ctx);
    r = map_of(ctx, "examples/photos/astronaut.jpg", SAL_DOMAIN_NEUTRAL, &built_in);
    CHECK(r == SAL_OK, "with sal_use_lite the default model is lite %s", r ? sal_error(ctx) : "");
    s = map_by(&plain, file_name, "examples/photos/astronaut.jpg", SAL_DOMAIN_NEUTRAL, &from_file);
    CHECK(r == SAL_OK && s == SAL_OK && built_in.w == from_file.w &&
          !memcmp(built_in.data, from_file.data,
                  (size_t)built_in.w * built_in.h * sizeof(float)),
          "and as from the file in weights/, bit for bit");
    if (r == SAL_OK) peak(&built_in, &x, &y);
    CHECK(x > .35 && x < .55 && y > .1 && y < .35,
          "it looks at the astronaut's face (brightest at %.2f of the width, %.2f of the height)",
          x, y);
    r = map_of(ctx, "examples/photos/astronaut.jpg", SAL_DOMAIN_OSIE, &osie);
    CHECK(r == SAL_OK && s == SAL_OK && memcmp(osie.data, from_file.data,
                                               (size_t)osie.w * osie.h * sizeof(float)),
          "the prior of a data set changes the map");
    sal_map_free(ctx, &osie);
    r = map_of(ctx, "examples/photos/astronaut.jpg", SAL_DOMAIN_COUNT, &osie);
    CHECK(r == SAL_ERR_ARGUMENT && strstr(sal_error(ctx), "domain"),
          "a domain that does not exist is refused: %s", sal_error(ctx));
    r = map_of(ctx, "examples/photos/astronaut.jpg", SAL_DOMAIN_FIGRIM, &osie);
    CHECK(r == SAL_OK && s == SAL_OK && memcmp(osie.data, from_file.data,
                                               (size_t)osie.w * osie.h * sizeof(float)),
          "and so does that of the last one, which has numbers of its own");
    sal_map_free(ctx, &osie);
    sal_map_free(ctx, &built_in);
    sal_map_free(&plain, &from_file);
}

/* A run of one's own looks at no prior that is not there. */
static void test_domain_of_run(sal_ctx *ctx) {
    static const int none[] = { SAL_DOMAIN_COUNT, -1 };
    sal_model model;
    sal_image photo;
    sal_map map;
    int i;
    CHECK(sal_model_open(ctx, "lite", NULL, &model) == SAL_OK &&
          sal_model_resize(ctx, &model, 64, 48) == SAL_OK &&
          sal_image_new(ctx, 40, 30, &photo) == SAL_OK, "a run of 64 x 48");
    for (i = 0; i < 2; i++) {
        model.run->domain = &none[i];
        CHECK(sal_predict_run(ctx, model.run, &photo, &map) == SAL_ERR_ARGUMENT && !map.data,
              "domain %d is refused: %s", none[i], sal_error(ctx));
    }
    sal_image_free(ctx, &photo);
    sal_model_close(ctx, &model);
}

/* A file with fewer priors than there are data sets: what is there stays, the others begin as the
   neutral one, and what is saved has all of them, and their names. */
static void test_fewer_domains(sal_ctx *ctx) {
    const char *path = "build/test_lite.safetensors", *names;
    sal_net *net = NULL;
    sal_safetensors before, after;
    const sal_named_tensor *a, *b;
    int d, same = 1;
    size_t k, n;
    memset(&before, 0, sizeof before); memset(&after, 0, sizeof after);
    sal_result r = sal_net_load(ctx, "weights/lite.safetensors", &net);
    if (r == SAL_OK) r = sal_net_save(ctx, net, path, SAL_DTYPE_F32, NULL, 0);
    if (r == SAL_OK) r = sal_safetensors_load(ctx, "weights/lite.safetensors", &before);
    if (r == SAL_OK) r = sal_safetensors_load(ctx, path, &after);
    a = r ? NULL : sal_safetensors_find(&before, "head.prior");
    b = r ? NULL : sal_safetensors_find(&after, "head.prior");
    names = r ? NULL : sal_safetensors_meta(&after, "sal.domains");
    n = b ? sal_tensor_count(&b->tensor) / SAL_DOMAIN_COUNT : 0;
    for (d = 0; a && b && d < SAL_DOMAIN_COUNT; d++)
        for (k = 0; k < n; k++) {
            float old, kept;
            sal_tensor_read(&a->tensor, (d < a->tensor.dim[0] ? d : 0) * n + k, 1, &old);
            sal_tensor_read(&b->tensor, d * n + k, 1, &kept);
            same &= old == kept;
        }
    CHECK(b && b->tensor.dim[0] == SAL_DOMAIN_COUNT && same,
          "priors that a file lacks begin as the "
          "neutral one %s", r ? sal_error(ctx) : "");
    CHECK(names && !strcmp(names, "neutral osie scene mit1003 figrim"),
          "and a weights file names their data sets: %s", names ? names : "none");
    remove(path);
    sal_safetensors_free(ctx, &before);
    sal_safetensors_free(ctx, &after);
    sal_net_free(ctx, net);
}

/* How alike two maps are: their correlation. */
static double likeness(sal_ctx *ctx, const sal_map *a, const sal_map *b) {
    sal_score_desc d = ZEROED;
    double cc = 0;
    d.w = a->w; d.h = a->h; d.map = a->data; d.density = b->data;
    return sal_metric(ctx, SAL_METRIC_CC, &d, &cc) == SAL_OK ? cc : 0;
}

/* The map of a photograph as a hash of its bits, for a set of instructions and so many threads. */
static uint64_t bits_of(const sal_image *photo, int h, int w, int simd, int threads) {
    sal_ctx ctx;
    sal_model model;
    sal_map map;
    uint64_t hash = 0;
    memset(&ctx, 0, sizeof ctx);
    ctx.simd = (sal_simd)simd; ctx.threads = threads;
    if (sal_model_open(&ctx, "lite", file_name, &model) ||
        sal_model_resize(&ctx, &model, w, h) || !model.run->whole ||
        sal_model_predict(&ctx, &model, photo, &map)) return (uint64_t)(simd * 8 + threads);
    hash = hash_on(1, model.run->output,
                        (size_t)model.run->shape.h * model.run->shape.w * sizeof(float));
    sal_map_free(&ctx, &map);
    sal_model_close(&ctx, &model);
    return hash;
}

/* In whole numbers, the default, every set of instructions gives the same bits; the maps are those
   of float32, nearly. */
static void test_whole_numbers(sal_ctx *ctx) {
    static const char *const photos[] = { "astronaut", "chelsea", "coffee", "rocket" };
    static const int threads[] = { 1, 2, 3, 7 }, sizes[][2] = { { 104, 136 }, { 64, 200 } };
    double mean = 0, worst = 1;
    sal_image photo;
    int i, k, simd, same = 1;
    for (i = 0; i < 4; i++) {
        char path[64];
        sal_model whole, exact;
        sal_map a, b;
        sal_result r;
        double cc;
        snprintf(path, sizeof path, "examples/photos/%s.jpg", photos[i]);
        memset(&a, 0, sizeof a); memset(&b, 0, sizeof b);
        r = sal_image_load(ctx, path, &photo);
        if (r == SAL_OK) r = sal_model_open(ctx, "lite", file_name, &whole);
        if (r == SAL_OK) r = sal_model_open(ctx, "lite", file_name, &exact);
        if (r == SAL_OK) {
            exact.net->desc.float32 = 1;
            r = sal_model_resize(ctx, &exact, 0, 0);
        }
        if (r == SAL_OK) r = sal_model_predict(ctx, &whole, &photo, &a);
        if (r == SAL_OK) r = sal_model_predict(ctx, &exact, &photo, &b);
        if (!i) CHECK(r == SAL_OK && whole.run->whole && !exact.run->whole,
                      "lite works in whole numbers, or in float32 if the description says so %s",
                      r ? sal_error(ctx) : "");
        if (r != SAL_OK) return;
        cc = likeness(ctx, &a, &b);
        mean += cc / 4;
        if (cc < worst) worst = cc;
        for (k = 0; k < 2 && !i; k++) {
            uint64_t first = bits_of(&photo, sizes[k][0], sizes[k][1], SAL_SIMD_BEST, 1);
            for (simd = SAL_SIMD_NONE; simd <= SAL_SIMD_AVX512; simd++)
                same &= bits_of(&photo, sizes[k][0], sizes[k][1], simd, threads[simd % 4]) == first;
            for (simd = 0; simd < 4; simd++)
                same &= bits_of(&photo, sizes[k][0], sizes[k][1], SAL_SIMD_BEST, threads[simd]) ==
                        first;
        }
        sal_map_free(ctx, &a); sal_map_free(ctx, &b);
        if (!i) CHECK(sal_net_to_float(ctx, whole.net) == SAL_OK &&
                      sal_model_predict(ctx, &whole, &photo, &a) == SAL_ERR_ARGUMENT &&
                      sal_model_resize(ctx, &whole, 96, 64) == SAL_OK &&
                      sal_model_predict(ctx, &whole, &photo, &a) == SAL_OK && !whole.run->whole,
                      "when the network has changed, a run in whole numbers says so");
        if (!i) sal_map_free(ctx, &a);
        sal_model_close(ctx, &whole); sal_model_close(ctx, &exact);
        sal_image_free(ctx, &photo);
    }
    CHECK(same, "whole numbers give the same bits with every set of instructions and 1, 2, 3 or 7 "
          "threads");
    CHECK(mean >= .999 && worst >= .99, "and the maps of float32 (CC %.4f, at worst %.4f)", mean,
          worst);
}

/* Ranges and weights that no whole numbers come of are refused, or count as zeros. */
static void test_odd_numbers(sal_ctx *ctx) {
    static const float tiny[] = { 0, 1e-40f, -1e-38f };
    static float wide[100], narrow[100], input[3 * 64 * 64], out[3][64];
    sal_net *net = NULL;
    sal_run *run = NULL;
    sal_param *p;
    int i, k, same = 1;
    sal_result r = sal_net_load(ctx, file_name, &net);
    if (r) { CHECK(0, "%s", sal_error(ctx)); return; }
    for (k = 0; k < 3 * 64 * 64; k++) input[k] = (float)(k % 255) / 128 - 1;
    p = param_named(net, "head.conv.weight");
    for (i = 0; i < 3; i++) {
        size_t n = sal_tensor_count(&p->value) / (size_t)p->value.dim[0], j;
        for (j = 0; j < n; j++) ((float *)p->value.data)[j] = tiny[i];
        ((float *)p[1].value.data)[0] = 0;
        r = sal_run_open(ctx, net, 1, 64, 64, &run);
        if (!r) r = sal_run_forward(ctx, run, input);
        if (r || !run->whole) { CHECK(0, "%s", sal_error(ctx)); same = 0; break; }
        memcpy(out[i], run->output, sizeof out[i]);
        same &= !memcmp(out[i], out[0], sizeof out[0]);
        sal_run_close(ctx, run);
    }
    CHECK(same, "weights too small for any number are zeros");
    wide[0] = -1e6f; wide[1] = 1e6f; narrow[1] = 1e-6f;
    for (i = 0; i < net->layers; i++) {         /* block 2 adds what block 1 makes */
        if (!strcmp(net->layer[i].name, "backbone.block1.project")) net->layer[i].range = wide;
        if (!strcmp(net->layer[i].name, "backbone.block2.project")) net->layer[i].range = narrow;
    }
    r = sal_run_open(ctx, net, 1, 64, 64, &run);
    CHECK(r == SAL_ERR_FORMAT && !run && strstr(sal_error(ctx), "backbone.block2.project"),
          "ranges that are far apart are refused: %s", r ? sal_error(ctx) : "");
    sal_run_close(ctx, run);
    sal_net_free(ctx, net);
}

static void test_sizes(sal_ctx *ctx) {
    sal_model model;
    sal_image photo;
    sal_map own, small, again, still;
    sal_result r = sal_model_open(ctx, "lite", "weights/lite.safetensors", &model);
    memset(&small, 0, sizeof small); memset(&again, 0, sizeof again);
    memset(&own, 0, sizeof own); memset(&still, 0, sizeof still);
    if (r == SAL_OK) r = sal_image_load(ctx, "examples/photos/astronaut.jpg", &photo);
    if (r == SAL_OK) r = sal_model_predict(ctx, &model, &photo, &own);
    if (r == SAL_OK) r = sal_model_resize(ctx, &model, 320, 240);
    if (r == SAL_OK) r = sal_model_predict(ctx, &model, &photo, &small);
    CHECK(r == SAL_OK && model.run->h == 240 && likeness(ctx, &own, &small) > .8,
          "with an input of 240 x 320 it sees much the same (CC %.3f) %s",
          r ? 0 : likeness(ctx, &own, &small), r ? sal_error(ctx) : "");
    if (r != SAL_OK) return;
    r = sal_model_resize(ctx, &model, 40, 33);
    CHECK(r == SAL_ERR_SHAPE, "33 x 40 is refused: %.80s", sal_error(ctx));
    CHECK(sal_model_predict(ctx, &model, &photo, &still) == SAL_OK &&
          !memcmp(still.data, small.data, (size_t)own.w * own.h * sizeof(float)),
          "and the model is as it was");
    r = sal_model_resize(ctx, &model, 0, 0);
    if (r == SAL_OK) r = sal_model_predict(ctx, &model, &photo, &again);
    CHECK(r == SAL_OK && !memcmp(own.data, again.data, (size_t)own.w * own.h * sizeof(float)),
          "0 x 0 is the network's own size");
    sal_map_free(ctx, &own); sal_map_free(ctx, &small); sal_map_free(ctx, &again);
    sal_map_free(ctx, &still);
    sal_image_free(ctx, &photo);
    sal_model_close(ctx, &model);
}

/* What is opened depends on what was asked for and on what is built in: not on the folder, here one
   with weights/juntingnet.safetensors and weights/lite.safetensors, nor on the environment. */
static void test_order(void) {
    static const struct { int built_in; const char *name, *file; int result; const char *what; }
    cases[] = {
        { 0, NULL, NULL, SAL_OK, "gbvs" }, { 1, NULL, NULL, SAL_OK, "lite" },
        { 1, "lite", NULL, SAL_OK, "lite" }, { 0, "lite", NULL, SAL_ERR_ARGUMENT, "weights file" },
        { 0, "juntingnet", NULL, SAL_ERR_ARGUMENT, "weights file" },
        { 1, "juntingnet", NULL, SAL_ERR_ARGUMENT, "lite, not juntingnet" },
        { 1, NULL, "weights/juntingnet.safetensors", SAL_OK, "juntingnet" },
        { 1, "juntingnet", "weights/juntingnet.safetensors", SAL_OK, "juntingnet" },
        { 1, "lite", "weights/juntingnet.safetensors", SAL_ERR_SHAPE, "juntingnet, not lite" },
        { 1, "gbvs", NULL, SAL_OK, "gbvs" }, { 1, "gbvs", file_name, SAL_ERR_ARGUMENT,
                                               "no weights" },
        { 1, "nonet", NULL, SAL_ERR_ARGUMENT, "nonet" }, { 1, NULL, "none", SAL_ERR_IO, "none" }
    };
    for (int environment = 0; environment < 2; environment++) {
        if (environment) setenv("SALIENCY_WEIGHTS", "weights", 1);
        for (int i = 0; i < COUNT(cases); i++) {
            sal_ctx ctx;
            sal_model model;
            memset(&ctx, 0, sizeof ctx);
            if (cases[i].built_in) sal_use_lite(&ctx);
            int r = sal_model_open(&ctx, cases[i].name, cases[i].file, &model);
            CHECK(r == cases[i].result && strstr(r ? ctx.error : model.name, cases[i].what),
                  "%s, %s, %s built in: %s", cases[i].name ? cases[i].name : "no name",
                  cases[i].file ? cases[i].file : "no file", cases[i].built_in ? "lite" : "nothing",
                  r ? ctx.error : model.name);
            if (r == SAL_OK) sal_model_close(&ctx, &model);
        }
    }
    unsetenv("SALIENCY_WEIGHTS");
}

/* A point spreads to a Gaussian; a power steepens; a model does both with its maps. */
static void test_adjust(sal_ctx *ctx) {
    enum { W = 101, H = 41 };
    sal_map map, plain;
    sal_model model;
    sal_image photo;
    double worst = 0, sigma = 0.03 * W;
    int r = sal_map_new(ctx, W, H, &map);
    if (r == SAL_OK) map.data[20 * W + 50] = 0.25f;
    if (r == SAL_OK) r = sal_map_adjust(ctx, &map, 0.03, 2);
    for (int x = -9; x <= 9 && r == SAL_OK; x++)
        worst = fmax(worst, fabs(map.data[20 * W + 50 + x] - exp(-x * x / (sigma * sigma))));
    CHECK(r == SAL_OK && worst < 1e-5,
          "a point, blurred with 3 %% of the long side and squared, is "
          "a Gaussian of height 1 (worst %.1e)", worst);
    CHECK(sal_map_adjust(ctx, &map, -0.1, 1) == SAL_ERR_ARGUMENT &&
          sal_map_adjust(ctx, &map, NAN, 1) == SAL_ERR_ARGUMENT &&
          sal_map_adjust(ctx, &map, 0, NAN) == SAL_ERR_ARGUMENT &&
          sal_map_adjust(ctx, &map, 0, 1e9) == SAL_ERR_ARGUMENT && map.data[20 * W + 50] == 1,
          "a blur or a power that is none is refused, and the map stays: %s", ctx->error);
    for (int i = 0; i < W * H; i++) map.data[i] = i == 7 ? 3e30f : i == 9 ? 6e30f : 0;
    CHECK(!sal_map_adjust(ctx, &map, 0, 2) && map.data[9] == 1 && map.data[7] == 0.25f &&
          map.data[8] == 0, "squared, values of 1e30 do not overflow");
    map.data[W + 3] = NAN;
    CHECK(sal_map_adjust(ctx, &map, 0, 2) == SAL_ERR_NUMERIC && map.data[7] == 0.25f,
          "a map with a hole is refused, and stays: %s", ctx->error);
    map.data[W + 3] = -0.5f;
    CHECK(sal_map_adjust(ctx, &map, 0.1, 0) == SAL_ERR_NUMERIC && map.data[7] == 0.25f,
          "as is one with a negative value: %s", ctx->error);
    sal_map_free(ctx, &map);
    memset(&plain, 0, sizeof plain);
    r = sal_image_new(ctx, 40, 30, &photo);
    if (r == SAL_OK) memset(photo.data + 600, 255, 900);
    if (r == SAL_OK) r = sal_model_open(ctx, "itti", NULL, &model);
    if (r == SAL_OK) r = sal_model_predict(ctx, &model, &photo, &plain);
    model.blur = 0.05;
    model.power = 0.7;
    if (r == SAL_OK) r = sal_model_predict(ctx, &model, &photo, &map);
    if (r == SAL_OK) r = sal_map_adjust(ctx, &plain, 0.05, 0.7);
    CHECK(r == SAL_OK && !memcmp(plain.data, map.data, 1200 * sizeof(float)),
          "a model with a blur and a power predicts the map so adjusted");
    sal_map_free(ctx, &plain);
    sal_map_free(ctx, &map);
    model.power = -1;
    CHECK(sal_model_predict(ctx, &model, &photo, &map) == SAL_ERR_ARGUMENT && !map.data,
          "and none with a negative power: %s", ctx->error);
    sal_model_close(ctx, &model);
    sal_image_free(ctx, &photo);
}

int main(void) {
    sal_ctx ctx;
    memset(&ctx, 0, sizeof ctx);
    test_order();
    test_files(&ctx);
    test_default(&ctx);
    test_domain_of_run(&ctx);
    test_fewer_domains(&ctx);
    test_odd_numbers(&ctx);
    test_sizes(&ctx);
    test_adjust(&ctx);
    test_whole_numbers(&ctx);
    return test_done();
}
