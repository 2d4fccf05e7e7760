/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* Centre prior, spectral residual, Itti, GBVS, BMS: their parts against slow plain versions, and
   the whole models on drawn pictures, odd pictures and human fixations. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#define DATASET_IMPLEMENTATION
#include "../examples/dataset.h"
#include "test.h"
#include "counter.h"
#include "pool.h"

static sal_classical_kind classical_kind(int k) { return (sal_classical_kind)k; }

/* Grey, slightly noisy ground with one disc of another colour. */
static void draw(sal_ctx *ctx, sal_image *image, int w, int h, double cx, double cy,
                 double radius) {
    static const unsigned char colour[3] = { 230, 60, 30 };
    sal_rng rng = { 2 };
    int x, y, c;
    sal_image_new(ctx, w, h, image);
    for (y = 0; y < h; y++)
        for (x = 0; x < w; x++) {
            int inside = (x - cx) * (x - cx) + (y - cy) * (y - cy) < radius * radius;
            int ground = 100 + (int)sal_rng_below(&rng, 4);
            for (c = 0; c < 3; c++)
                image->data[(y * w + x) * 3 + c] = (unsigned char)(inside ? colour[c] : ground);
        }
}

static void maximum(const sal_map *map, int *x, int *y) {
    int i, best = 0;
    for (i = 1; i < map->w * map->h; i++) if (map->data[i] > map->data[best]) best = i;
    *x = best % map->w; *y = best / map->w;
}

/* Finite, from 0 to 1, and the maximum reached. */
static int is_proper(const sal_map *map) {
    float most = 0;
    int i;
    for (i = 0; i < map->w * map->h; i++) {
        if (!(map->data[i] >= 0 && map->data[i] <= 1)) return 0;
        most = MAX(most, map->data[i]);
    }
    return most == 1;
}

static double correlation(const float *a, const float *b, int n) {
    double sa = 0, sb = 0, aa = 0, bb = 0, ab = 0;
    int i;
    for (i = 0; i < n; i++) {
        sa += a[i]; sb += b[i]; aa += (double)a[i] * a[i]; bb += (double)b[i] * b[i];
        ab += (double)a[i] * b[i];
    }
    return (ab - sa * sb / n) / sqrt((aa - sa * sa / n) * (bb - sb * sb / n));
}

/* --- parts ------------------------------------------------------------------------------- */

static void test_center(void) {
    float p[7 * 5];
    sal_center_prior(p, 7, 5, 0.2, 0.25);
    CHECK(p[2 * 7 + 3] == 1, "the centre prior is 1 in the middle");
    CHECK(fabs(p[2 * 7 + 5] - exp(-0.5 * (2 / 1.4) * (2 / 1.4))) < 1e-6 &&
          fabs(p[1 * 7 + 3] - exp(-0.5 * (1 / 1.25) * (1 / 1.25))) < 1e-6,
          "it falls by its own standard deviations along x and y");
    CHECK(p[0] == p[6] && p[0] == p[4 * 7], "its corners are alike");
}

static void test_pyramid(sal_ctx *ctx) {
    sal__arena arena = { NULL };
    sal_map in, out;
    int i;
    sal_map_new(ctx, 12, 11, &in);
    for (i = 0; i < 12 * 11; i++) in.data[i] = (float)((i * 37) % 101);
    sal__halve(ctx, &arena, &in, &out);
    CHECK(out.w == 6 && out.h == 5, "a level has half the size, rounded down");
    {
        double rows[11], want = 0;      /* output (2, 1): columns 2..7, rows 0..5 */
        static const double inner[6] = { 1, 5, 10, 10, 5, 1 };
        int x, y;
        for (y = 0; y < 11; y++)
            for (rows[y] = 0, x = 0; x < 6; x++) rows[y] += inner[x] / 32 * in.data[y * 12 + 2 + x];
        for (y = 0; y < 6; y++) want += inner[y] / 32 * rows[y];
        CHECK(fabs(out.data[1 * 6 + 2] - want) < 1e-4, "inside by 1 5 10 10 5 1 over 32");
    }
    for (i = 0; i < 12 * 11; i++) in.data[i] = 0;
    in.data[0] = 26 * 26;               /* top left: 10 10 5 1 over 26 */
    in.data[10 * 12 + 11] = 31 * 26;    /* bottom: 1 5 10 10 5 over 31, right: 1 5 10 10 over 26 */
    sal__halve(ctx, &arena, &in, &out);
    CHECK(fabs(out.data[0] - 100) < 1e-3 && fabs(out.data[4 * 6 + 5] - 50) < 1e-3,
          "at the ends by what is left of it (%.3f of 100, %.3f of 50)", out.data[0],
          out.data[4 * 6 + 5]);
    sal__arena_free(ctx, &arena);
    sal_map_free(ctx, &in);
}

/* The Gabor filters as the paper's program applies them: 27 x 27 taps each. */
static void test_orientations(sal_ctx *ctx) {
    enum { W = 37, H = 29, R = 13, S = 2 * R + 1 };
    static double filter[2][S][S];
    static float want[W * H];
    sal_map in, map[4], *out[4];
    sal_rng rng = { 3 };
    double worst = 0, flat = 0, least = 1;
    int o, i, k, x, y, p;
    sal_map_new(ctx, W, H, &in);
    for (i = 0; i < W * H; i++) in.data[i] = (float)sal_rng_uniform(&rng);
    for (o = 0; o < 4; o++) { sal_map_new(ctx, W, H, &map[o]); out[o] = &map[o]; }
    sal__orientations(ctx, &in, out);
    for (o = 0; o < 4; o++) {
        double angle = o * SAL__PI / 4;
        for (p = 0; p < 2; p++) {
            double mean = 0, norm = 0;
            for (i = 0; i < S * S; i++) {
                double dx = i % S - R, dy = i / S - R;
                double u = dx * cos(angle) + dy * sin(angle);
                double v = dy * cos(angle) - dx * sin(angle);
                double f = exp(-u * u / 32 - v * v / 8) * (p ? sin(2 * v) : cos(2 * v));
                filter[p][i / S][i % S] = f;
                mean += f / (S * S);
            }
            for (i = 0; i < S * S; i++) {
                double f = filter[p][i / S][i % S] -= mean;
                norm += f * f;
            }
            for (i = 0; i < S * S; i++) filter[p][i / S][i % S] /= sqrt(norm);
        }
        for (y = 0; y < H; y++)
            for (x = 0; x < W; x++) {
                double sum[2] = { 0, 0 };
                for (i = 0; i < S * S; i++) {
                    int sx = (int)sal__clamp(x + i % S - R, 0, W - 1);
                    int sy = (int)sal__clamp(y + i / S - R, 0, H - 1);
                    for (p = 0; p < 2; p++)
                        sum[p] += filter[p][i / S][i % S] * in.data[sy * W + sx];
                }
                want[y * W + x] = (float)(fabs(sum[0]) + fabs(sum[1]));
            }
        sal__fade(want, W, H, 13);
        for (i = 0; i < W * H; i++) worst = MAX(worst, fabs(want[i] - map[o].data[i]));
        least = MIN(least, correlation(want, map[o].data, W * H));
    }
    CHECK(worst < 2e-3 && least > 0.99999,
          "separable Gabor filters give what 27 x 27 taps give (off by %.1e)", worst);
    for (i = 0; i < W * H; i++) in.data[i] = 0.6f;
    sal__orientations(ctx, &in, out);
    for (o = 0; o < 4; o++)
        for (k = 0; k < W * H; k++) flat = MAX(flat, map[o].data[k]);
    CHECK(flat < 1e-5, "on a plane of one grey they answer nothing (%.1e)", flat);
    for (o = 0; o < 4; o++) sal_map_free(ctx, &map[o]);
    sal_map_free(ctx, &in);
}

/* v' = P v with column-normalised P(i,j) until it no longer changes. */
static void power_iteration(double *v, const double *weight, int n) {
    double *next = (double *)calloc((size_t)n, sizeof(double)), change = 1, sum;
    int i, j;
    for (i = 0; i < n; i++) v[i] = 1.0 / n;
    while (change > 1e-13) {
        for (i = 0; i < n; i++) next[i] = 0;
        for (j = 0; j < n; j++) {
            for (sum = 0, i = 0; i < n; i++) sum += weight[i * n + j];
            for (i = 0; i < n; i++) next[i] += weight[i * n + j] / sum * v[j];
        }
        for (change = 0, i = 0; i < n; i++) { change += fabs(next[i] - v[i]); v[i] = next[i]; }
    }
    free(next);
}

static void test_graph(void) {
    enum { W = 8, H = 6, N = W * H };
    static double weight[N * N], v[N];
    float a[N], out[N];
    sal_rng rng = { 9 };
    double off = 0, s = 0.15 * (W + H) / 2;
    int i, j;
    for (i = 0; i < N; i++) a[i] = (float)sal_rng_uniform(&rng);
    for (i = 0; i < N; i++)
        for (j = 0; j < N; j++) {
            int dx = i % W - j % W, dy = i / W - j / W;
            weight[i * N + j] = exp(-(dx * dx + dy * dy) / (2 * s * s)) *
                                fabs((double)a[i] - a[j]);
        }
    power_iteration(v, weight, N);
    sal__gbvs_activate(out, a, W, H);
    for (i = 0; i < N; i++) off = MAX(off, fabs(out[i] - v[i]));
    CHECK(off < 1e-6, "GBVS: the stationary distribution is what power iteration finds (%.1e)",
          off);
    for (i = 0; i < N; i++) a[i] = 0.5f;
    sal__gbvs_activate(out, a, W, H);
    CHECK(out[0] == out[N - 1] && fabs(out[5] - 1.0 / N) < 1e-9,
          "without any difference the walker is everywhere alike");
}

/* Flood every region of equal pixels that touches the border; what is left is figure. */
static void flood(unsigned char *mark, const unsigned char *map, int w, int h, int x, int y) {
    int dx, dy;
    if (mark[y * w + x]) return;
    mark[y * w + x] = 1;
    for (dy = -1; dy <= 1; dy++)
        for (dx = -1; dx <= 1; dx++)
            if (x + dx >= 0 && x + dx < w && y + dy >= 0 && y + dy < h &&
                map[(y + dy) * w + x + dx] == map[y * w + x])
                flood(mark, map, w, h, x + dx, y + dy);
}

static void test_boolean_maps(void) {
    enum { W = 31, H = 23, N = W * H };
    unsigned char level[N], map[N], mark[N], figure[N], want[N];
    sal__segment run[2 * H * (W / 2 + 2)], *row[2 * H];
    int wrong = 0, some = 0, t, i, j;
    sal_rng rng = { 5 };
    for (t = 0; t < 60; t++) {
        for (i = 0; i < N; i++) {       /* ever coarser noise, so that regions are of all sizes */
            int c = 1 + t % 4;
            level[i] = (i / W % c || i % W % c) && i % W >= c && i / W >= c
                       ? level[i - (i / W % c) * W - i % W % c]
                       : (unsigned char)sal_rng_below(&rng, 256);
        }
        for (i = 0; i < N; i++) map[i] = level[i] > 60 + 2 * t;
        memset(mark, 0, sizeof mark);
        memset(want, 0, sizeof want);
        for (i = 0; i < N; i++)
            if (i % W == 0 || i % W == W - 1 || i / W == 0 || i / W == H - 1)
                flood(mark, map, W, H, i % W, i / W);
        for (i = 0; i < N; i++)
            for (j = -3; j <= 3 && !mark[i]; j++)
                if (i % W + j >= 0 && i % W + j < W) want[i + j] |= map[i] ? 1 : 2;
        sal__bms_figures(figure, level, 60 + 2 * t, W, H, run, row);
        wrong += memcmp(figure, want, N) != 0;
        for (i = 0; i < N; i++) some += figure[i] != 0;
    }
    CHECK(wrong == 0 && some > 1000,
          "BMS: regions found run by run are those a flood fill finds (%d of 60 differ)", wrong);
}

static void test_colour_parts(void) {
    static const float white[3] = { 255, 255, 255 }, red[3] = { 255 }, blue[3] = { 0, 0, 255 };
    double a[3][3] = { { 4, 1, -2 }, { 1, 3, 0.5 }, { -2, 0.5, 5 } }, b[3][3], v[3][3], d[3];
    double worst = 0;
    float lab[3];
    int i, j, k, bad = 0;
    sal__lab8(lab, white);
    CHECK(lab[0] == 255 && lab[1] == 128 && lab[2] == 128, "white is L 255, a 128, b 128");
    sal__lab8(lab, red);
    CHECK(lab[0] == 136 && lab[1] == 208 && lab[2] == 195, "red is 136 208 195 in 8-bit Lab");
    sal__lab8(lab, blue);
    CHECK(lab[0] == 82 && lab[1] == 207 && lab[2] == 20, "blue is 82 207 20 in 8-bit Lab");
    memcpy(b, a, sizeof b);
    sal__eigen3(b, v, d);
    for (i = 0; i < 3; i++)
        for (j = 0; j < 3; j++) {
            double back = 0;
            for (k = 0; k < 3; k++) back += v[i][k] * d[k] * v[j][k];
            worst = MAX(worst, fabs(back - a[i][j]));
        }
    CHECK(worst < 1e-10, "eigenvectors and eigenvalues give the matrix back (%.1e)", worst);
    for (i = 0; i < 512; i++) {         /* right for all zeros and ones: right for all numbers */
        unsigned char v[9];
        for (k = 0, j = 0; j < 9; j++) k += v[j] = (unsigned char)(i >> j & 1);
        bad += sal__median9(v) != (k > 4);
    }
    CHECK(bad == 0, "the exchanges find the median of any nine");
}

/* --- whole models ------------------------------------------------------------------------ */

static void test_blob(sal_ctx *ctx) {
    sal_image im;
    sal_map map, again, prior;
    sal_model model;
    int k, x, y, i;
    sal_classical_kind kind;
    draw(ctx, &im, 320, 240, 220, 90, 18);
    for (k = 0; k < SAL_CLASSICAL_COUNT; k++) {
        const char *name = sal_classical_name(classical_kind(k));
        double off = 0;
        float most;
        ctx->threads = 1;
        sal_classical(ctx, classical_kind(k), &im, &map);
        pool_use(ctx, 3);
        sal_classical(ctx, classical_kind(k), &im, &again);
        CHECK(map.w == 320 && map.h == 240 && is_proper(&map) && again.data &&
              !memcmp(map.data, again.data, 320 * 240 * sizeof(float)),
              "%s: a map of the picture's size from 0 to 1, the same with 1 and 3 threads", name);
        maximum(&map, &x, &y);
        if (k == SAL_CLASSICAL_CENTER)
            CHECK(abs(2 * x - 319) <= 1 && abs(2 * y - 239) <= 1, "center: highest in the middle");
        else
            CHECK(hypot(x - 220, y - 90) < 30,
                  "%s: the one odd disc at 220 90 attracts most (%d %d)", name, x, y);
        sal_map_free(ctx, &again);

        sal_model_open(ctx, name, NULL, &model);
        model.center = 1;
        sal_model_predict(ctx, &model, &im, &again);
        sal_model_close(ctx, &model);
        sal_map_new(ctx, 320, 240, &prior);
        sal_center_prior(prior.data, 320, 240, 0.21f, 0.21f);
        for (i = 0; i < 320 * 240 && k != SAL_CLASSICAL_CENTER; i++) prior.data[i] *= map.data[i];
        for (most = 0, i = 0; i < 320 * 240; i++) most = MAX(most, prior.data[i]);
        for (i = 0; i < 320 * 240; i++) prior.data[i] /= most;
        for (i = 0; i < 320 * 240; i++)
            off = MAX(off, fabs(prior.data[i] - again.data[i]));
        CHECK(off < 1e-6 && is_proper(&again), "%s: with the centre prior", name);
        sal_map_free(ctx, &again); sal_map_free(ctx, &prior);
        sal_map_free(ctx, &map);
    }
    CHECK(!sal_classical_from_name("gbvs", &kind) && kind == SAL_CLASSICAL_GBVS &&
          sal_classical_from_name("GBVS2", &kind) == SAL_ERR_ARGUMENT,
          "models are found by their names");
    CHECK(sal_classical(ctx, classical_kind(SAL_CLASSICAL_COUNT), &im, &map) == SAL_ERR_ARGUMENT &&
          !map.data, "there is no other model: %s", ctx->error);
    sal_image_free(ctx, &im);
}

static void test_odd_pictures(sal_ctx *ctx) {
    static const int sizes[][2] = { { 1, 1 }, { 2, 3 }, { 1, 5000 }, { 30000, 1 }, { 11, 10 },
                                    { 127, 300 }, { 129, 128 } };
    sal_image im;
    sal_map map;
    sal_rng rng = { 8 };
    int s, k, i, style, bad = 0;
    for (s = 0; s < COUNT(sizes); s++)
        for (style = 0; style < 3; style++) {       /* one colour, grey noise, coloured noise */
            if (sizes[s][0] * sizes[s][1] == 1 && style) continue;
            if (sizes[s][0] + sizes[s][1] > 5000 && style != 2) continue;
            sal_image_new(ctx, sizes[s][0], sizes[s][1], &im);
            for (i = 0; i < im.w * im.h * 3; i++)
                im.data[i] = style == 0 ? (unsigned char)(50 * (i % 3)) : style == 1 && i % 3
                           ? im.data[i - 1] : (unsigned char)sal_rng_below(&rng, 256);
            for (k = 0; k < SAL_CLASSICAL_COUNT; k++) {
                sal_result r = sal_classical(ctx, classical_kind(k), &im, &map);
                if (r != SAL_OK || map.w != im.w || map.h != im.h || !is_proper(&map)) {
                    printf("     %s, %d x %d, style %d: %s\n", sal_classical_name(classical_kind(k)), im.w,
                           im.h, style, r == SAL_OK ? "a bad map" : sal_error(ctx));
                    bad++;
                }
                sal_map_free(ctx, &map);
            }
            sal_image_free(ctx, &im);
        }
    CHECK(bad == 0, "every model gives a map from 0 to 1 for 1 x 1, 30000 x 1, one colour, grey");
}

static void test_no_memory(void) {
    counter c;
    sal_ctx ctx;
    sal_image im;
    sal_map map;
    long n;
    int k;
    memset(&ctx, 0, sizeof ctx);
    draw(&ctx, &im, 40, 30, 25, 12, 4);
    ctx = counted(&c);
    for (k = 0; k < SAL_CLASSICAL_COUNT; k++) {
        long wrong = 0, leaks = 0;
        for (n = 0; n < 2000; n++) {
            sal_result r;
            c.calls = 0; c.fail_at = (int)n + 1;
            r = sal_classical(&ctx, classical_kind(k), &im, &map);
            if (r == SAL_OK) break;
            wrong += r != SAL_ERR_MEMORY || map.data;
            leaks += c.live;
        }
        sal_map_free(&ctx, &map);
        CHECK(n > 0 && n < 2000 && !wrong && !leaks && c.live == 0,
              "%s: each of %ld allocations may fail, and nothing leaks",
              sal_classical_name(classical_kind(k)), n);
    }
    memset(&ctx, 0, sizeof ctx);
    sal_image_free(&ctx, &im);
}

/* Means over 20 pictures of OSIE, measured when the maps agreed with the authors' programs (mean
   correlation 0.9997 GBVS, 0.9998 Itti, 0.994 spectral residual with OpenCV, 0.993 BMS). */
static void test_people(sal_ctx *ctx) {
    static const struct { double cc, nss; } expected[] = {
        { 0.30, 0.86 }, { 0.25, 0.84 }, { 0.23, 0.67 }, { 0.39, 1.16 }, { 0.47, 1.59 }
    };
    const char *root = getenv("SALIENCY_DATA");
    double cc[SAL_CLASSICAL_COUNT], nss[SAL_CLASSICAL_COUNT];
    char path[1024];
    sal_dataset set;
    int i, k, pictures = 0;
    memset(cc, 0, sizeof cc);
    memset(nss, 0, sizeof nss);
    snprintf(path, sizeof path, "%s/osie", root ? root : "../shared/data");
    if (sal_path_kind(path) != 1) {
        SKIP("no fixation data in %s (set SALIENCY_DATA)", path);
        return;
    }
    if (sal_dataset_open(ctx, path, NULL, &set) != SAL_OK) {
        CHECK(0, "the data set opens: %s", sal_error(ctx));
        return;
    }
    for (i = 12; i < set.count; i += set.count / 20, pictures++) {
        sal_item item;
        sal_score_desc d = ZEROED;
        if (sal_dataset_item(ctx, &set, i, SAL_ITEM_ALL, &item) != SAL_OK) break;
        d.fixations.x = &item.fixation->x; d.fixations.y = &item.fixation->y;
        d.fixations.count = item.fixations;
        d.fixations.stride = (int)(sizeof(sal_fixation) / sizeof(float));
        for (k = 0; k < SAL_CLASSICAL_COUNT; k++) {
            double one;
            sal_map map;
            sal_classical(ctx, classical_kind(k), &item.image, &map);
            d.w = map.w; d.h = map.h; d.map = map.data; d.density = item.density.data;
            sal_metric(ctx, SAL_METRIC_CC, &d, &one);
            cc[k] += one;
            sal_metric(ctx, SAL_METRIC_NSS, &d, &one);
            nss[k] += one;
            sal_map_free(ctx, &map);
        }
        sal_item_free(ctx, &item);
    }
    sal_dataset_close(ctx, &set);
    for (k = 0; k < SAL_CLASSICAL_COUNT; k++)
        CHECK(pictures >= 20 && fabs(cc[k] / pictures - expected[k].cc) < 0.015 &&
              fabs(nss[k] / pictures - expected[k].nss) < 0.03,
              "%s on %d pictures of OSIE: CC %.2f (%.2f), NSS %.2f (%.2f)",
              sal_classical_name(classical_kind(k)), pictures, cc[k] / pictures, expected[k].cc,
              nss[k] / pictures, expected[k].nss);
}

int main(void) {
    sal_ctx ctx;
    memset(&ctx, 0, sizeof ctx);
    test_center();
    test_pyramid(&ctx);
    test_orientations(&ctx);
    test_graph();
    test_boolean_maps();
    test_colour_parts();
    test_blob(&ctx);
    test_odd_pictures(&ctx);
    test_no_memory();
    test_people(&ctx);
    return test_done();
}
