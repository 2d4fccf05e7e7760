/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* Metrics: the benchmark's numbers, the definitions by brute force, and unusual input.

   gcc -O2 -fopenmp -Wall -Wextra -I. tests/test_metrics.c -o build/test_metrics -lm
   The reference values are read from SALIENCY_REFERENCE (default ../shared/reference). */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "test.h"

static sal_ctx ctx;


static void worst(double *so_far, double x) { if (!(fabs(x) <= *so_far)) *so_far = fabs(x); }

static int near(double a, double b, double tolerance) { return fabs(a - b) <= tolerance; }

static sal_points points(const float *x, const float *y, int count) {
    sal_points f;
    f.x = x; f.y = y; f.count = count; f.stride = 0;
    return f;
}

/* The value of one metric; -1e9 if it fails. */
static double one_of(sal_metric_kind which, const sal_score_desc *d) {
    double value;
    return sal_metric(&ctx, which, d, &value) == SAL_OK ? value : -1e9;
}

static sal_score_desc desc_of(const float *map, const float *density, int w, int h) {
    sal_score_desc d = ZEROED;
    d.map = map; d.density = density;
    d.w = w; d.h = h;
    return d;
}

/* The EMD between maps of so many cells. */
static double emd_of(const float *p, const float *q, int w, int h, int cell) {
    sal_score_desc d = desc_of(p, q, w, h);
    d.cell = cell;
    return one_of(SAL_METRIC_EMD, &d);
}

/* --- the MIT benchmark's own code, run in Octave ------------------------------------------- */

static int load(const char *folder, const char *name, int k, sal_map *map) {
    char path[1024];
    if (k >= 0) snprintf(path, sizeof path, "%s/metrics/%s%d.npy", folder, name, k);
    else snprintf(path, sizeof path, "%s/metrics/%s.npy", folder, name);
    return sal_map_load_npy(&ctx, path, map) == SAL_OK;
}

static int load_fixations(const char *folder, int k, float *x, float *y, int room) {
    char path[1024];
    int n = 0;
    FILE *file;
    snprintf(path, sizeof path, "%s/metrics/fixations%d.csv", folder, k);
    file = fopen(path, "r");
    if (!file) return 0;
    if (fgets(path, sizeof path, file))
        while (n < room && fscanf(file, "%f,%f", &x[n], &y[n]) == 2) n++;
    fclose(file);
    return n;
}

static void test_benchmark(const char *folder) {
    enum { JUDD, BORJI, BORJI_SD, SHUFFLED, SHUFFLED_SD, NSS, CC, SIM, KL, IG, COLUMNS };
    static const int metric[6] = { SAL_METRIC_AUC_JUDD, SAL_METRIC_NSS, SAL_METRIC_CC,
                                   SAL_METRIC_SIM, SAL_METRIC_KL, SAL_METRIC_IG };
    static const int column[6] = { JUDD, NSS, CC, SIM, KL, IG };
    static float x[1000], y[1000], ox[5000], oy[5000];
    char path[1024];
    double want[COLUMNS], value[SAL_METRIC_COUNT], one[SAL_METRIC_COUNT], v;
    double off[6] = { 0 }, drawn[4] = { 0 };    /* worst so far */
    sal_map map, density, baseline, other;
    sal_score_desc d;
    FILE *file;
    int k, i, same = 1;
    snprintf(path, sizeof path, "%s/metrics/values.csv", folder);
    file = fopen(path, "r");
    if (!file || !fgets(path, sizeof path, file)) {
        SKIP("the benchmark's values: %s/metrics/values.csv is not there", folder);
        return;
    }
    load(folder, "baseline", -1, &baseline);
    for (k = 0; k < 6; k++) {
        int columns = fscanf(file, "%d", &i) - 1, n, others = 0;
        for (i = 0; i < COLUMNS; i++) columns += fscanf(file, ",%lf", &want[i]);
        n = load_fixations(folder, k, x, y, 1000);
        if (!CHECK(columns == COLUMNS && n > 0 && load(folder, "sal", k, &map) &&
                   load(folder, "density", k, &density) && load(folder, "other", k, &other),
                   "the files of reference case %d are readable", k)) break;
        for (i = 0; i < other.w * other.h; i++)
            if (other.data[i] > 0 && others < 5000) {
                ox[others] = (float)(i % other.w); oy[others++] = (float)(i / other.w);
            }
        memset(&d, 0, sizeof d);
        d.w = map.w; d.h = map.h; d.map = map.data; d.density = density.data;
        d.baseline = baseline.data; d.fixations = points(x, y, n);
        d.others = points(ox, oy, others);
        d.seed = 1 + (uint64_t)k;
        same &= sal_score(&ctx, &d, value) == SAL_OK;
        for (i = 0; i < 6; i++) worst(&off[i], value[metric[i]] - want[column[i]]);
        /* the reference is a mean of 20 calls; ours is one call, or the mean of all */
        worst(&drawn[0], (value[SAL_METRIC_AUC_BORJI] - want[BORJI]) / want[BORJI_SD] / sqrt(1.05));
        worst(&drawn[1], (value[SAL_METRIC_AUC_SHUFFLED] - want[SHUFFLED]) / want[SHUFFLED_SD] /
                         sqrt(1.05));
        worst(&drawn[2],
              (value[SAL_METRIC_AUC_BORJI_MEAN] - want[BORJI]) / want[BORJI_SD] * sqrt(20.));
        worst(&drawn[3],
              (value[SAL_METRIC_AUC_SHUFFLED_MEAN] - want[SHUFFLED]) / want[SHUFFLED_SD] *
                         sqrt(20.));
        ctx.threads = 3;
        for (i = 0; i < SAL_METRIC_COUNT; i++) {
            d.metrics = SAL_METRIC_BIT(i);
            same &= sal_score(&ctx, &d, one) == SAL_OK &&
                    (one[i] == value[i] || (isnan(one[i]) && isnan(value[i])));
        }
        ctx.threads = 1;
        sal_map_free(&ctx, &map); sal_map_free(&ctx, &density); sal_map_free(&ctx, &other);
    }
    for (i = 0; i < 6; i++)
        CHECK(off[i] <= 1e-6, "%s of six maps is the benchmark's to 1e-6 (worst: %.0e)",
              sal_metric_about((sal_metric_kind)metric[i])->name, off[i]);
    CHECK(drawn[0] <= 3 && drawn[1] <= 3, "AUC_Borji and AUC_shuffled are within three standard "
          "errors of the benchmark's (worst: %.1f, %.1f)", drawn[0], drawn[1]);
    CHECK(drawn[2] <= 3 && drawn[3] <= 3, "so are the means over all draws (worst: %.1f, %.1f)",
          drawn[2], drawn[3]);
    CHECK(same, "each metric alone, with three threads, has the same bits as all at once");
    fclose(file);
    sal_map_free(&ctx, &baseline);
    for (k = 0; k < 6; k += 3) {
        double sum;
        snprintf(path, sizeof path, "%s/metrics/emd.csv", folder);
        file = fopen(path, "r");
        sum = -1;
        if (file && fgets(path, sizeof path, file))
            while (fscanf(file, "%d,%lf", &i, &sum) == 2 && i != k) {}
        if (file) fclose(file);
        load(folder, "emd_p", k, &map);
        load(folder, "emd_q", k, &density);
        v = -2;
        if (map.data && density.data)
            v = emd_of(map.data, density.data, map.w, map.h, 1);
        CHECK(near(v, sum, 1e-6), "EMD of case %d as from linear programming (%.9f)", k, v);
        sal_map_free(&ctx, &map); sal_map_free(&ctx, &density);
    }
}

/* --- by hand ------------------------------------------------------------------------------- */

static void test_by_hand(void) {
    static const float m[4] = { 1, 2, 3, 4 }, q[4] = { 0, 0, 1, 1 }, flat[4] = { 1, 1, 1, 1 };
    static const float x[3] = { 1, 0, 1 }, y[3] = { 1, 1, 1 };     /* values 4, 3, 4 */
    static const float ox[3] = { 0, 1, 0 }, oy[3] = { 0, 0, 1 };   /* values 1, 2, 3 */
    sal_points f = points(x, y, 3), o = points(ox, oy, 3);
    sal_score_desc d = desc_of(m, q, 2, 2), e;
    d.fixations = f; d.others = o; d.baseline = flat; d.step = .5;
    e = d;
    e.baseline = q; e.epsilon = .1;
    CHECK(near(one_of(SAL_METRIC_CC, &d), 2 / sqrt(5.), 1e-12),
          "CC of 1 2 3 4 and 0 0 1 1 is 2 / sqrt 5");
    CHECK(near(one_of(SAL_METRIC_SIM_SUM, &d), .3 + .4, 1e-12),
          "SIM without stretching: min(.3, .5) + min(.4, .5)");
    CHECK(near(one_of(SAL_METRIC_SIM, &d), 2. / 6 + 3. / 6, 1e-12),
          "SIM with stretching: 0 1 2 3 over 6");
    CHECK(near(one_of(SAL_METRIC_KL, &d), .5 * log(.5 / .3) + .5 * log(.5 / .4), 1e-12),
          "KL by hand");
    CHECK(near(one_of(SAL_METRIC_KL, &e), .5 * log(.1 + .5 / .4) + .5 * log(.1 + .5 / .5), 1e-12),
          "and with epsilon 0.1");
    CHECK(near(one_of(SAL_METRIC_NSS, &d), 1 / sqrt(5. / 3), 1e-12) &&
          near(one_of(SAL_METRIC_NSS, &d), .775, 5e-4), "NSS of pixels 3 and 4: (3.5 - 2.5) / sd");
    CHECK(near(one_of(SAL_METRIC_NSS_ALL, &d), (11. / 3 - 2.5) / sqrt(5. / 3), 1e-12) &&
          near(one_of(SAL_METRIC_NSS_ALL, &d), .904, 5e-4), "NSS of fixations 4, 3, 4");
    CHECK(near(one_of(SAL_METRIC_IG_SUM, &d), (2 * log2(.4 / .25) + log2(.3 / .25)) / 3, 1e-12),
          "IG over a uniform baseline");
    e.epsilon = 0;
    CHECK(near(one_of(SAL_METRIC_IG, &e), (log2(3. / 6 / .5) + log2(2. / 6 / .5)) / 2, 1e-12),
          "IG of stretched maps");
    CHECK(near(one_of(SAL_METRIC_AUC, &d), (3.5 + 2.5 + 3.5) / 12, 1e-12),
          "AUC: 4 beats three pixels and ties with one");
    CHECK(near(one_of(SAL_METRIC_SAUC, &d), (3 + 2.5 + 3) / 9, 1e-12) &&
          near(one_of(SAL_METRIC_SAUC, &d), .944, 5e-4),
          "sAUC against fixations on values 1, 2, 3");
    CHECK(near(one_of(SAL_METRIC_AUC_JUDD, &d), 1, 1e-12),
          "AUC_Judd is 1 when all fixated pixels are the highest");
    CHECK(near(one_of(SAL_METRIC_AUC_BORJI_MEAN, &d), .25 * .5 / 2 + .25 * .75 + .5 * 1, 1e-12),
          "the mean AUC_Borji with thresholds 0, 0.5, 1 is the area of three trapezoids");
}

/* --- the definitions, pixel by pixel ------------------------------------------------------- */

enum { W = 23, H = 17, N = W * H, F = 40, O = 60 };

typedef struct scene {
    float map[N], density[N];
    float x[F], y[F], ox[O], oy[O];
    char fixated[N], other[N];
    sal_points f, o;
} scene;

/* A map with `levels` different values; coordinates between pixels, some outside. */
static void make_scene(scene *s, int levels, uint64_t seed) {
    sal_rng r;
    int i;
    r.state = seed;
    memset(s, 0, sizeof *s);
    for (i = 0; i < N; i++) {
        s->map[i] = (float)sal_rng_below(&r, (uint32_t)levels) * .7f - 3;
        s->density[i] = (float)sal_rng_below(&r, 5);
    }
    for (i = 0; i < F + O; i++) {
        float x = (float)(sal_rng_uniform(&r) * (W + 4) - 2);
        float y = (float)(sal_rng_uniform(&r) * (H + 4) - 2);
        int px = (int)floorf(x + .5f), py = (int)floorf(y + .5f);
        if (i < F) { s->x[i] = x; s->y[i] = y; } else { s->ox[i - F] = x; s->oy[i - F] = y; }
        if (px < 0 || px >= W || py < 0 || py >= H) continue;
        if (i < F) s->fixated[py * W + px]++; else s->other[py * W + px]++;
    }
    s->f = points(s->x, s->y, F);
    s->o = points(s->ox, s->oy, O);
}

/* Each fixation against each negative; counts as weights. */
static double brute_auc(const scene *s, const char *negative) {
    double wins = 0, pairs = 0;
    int i, j;
    for (i = 0; i < N; i++)
        for (j = 0; j < N; j++) {
            int p = s->fixated[i], n = negative ? negative[j] : 1;
            pairs += p * n;
            wins += p * n * (s->map[i] > s->map[j] ? 1 : s->map[i] == s->map[j] ? .5 : 0);
        }
    return wins / pairs;
}

/* AUC_Judd.m, threshold by threshold. */
static double brute_judd(const scene *s) {
    float v[N];
    double area = 0, tp = 0, fp = 0;
    int k = 0, i, j;
    for (i = 0; i < N; i++) if (s->fixated[i]) v[k++] = s->map[i];
    for (i = 0; i < k; i++)
        for (j = i + 1; j < k; j++) if (v[j] > v[i]) { float t = v[i]; v[i] = v[j]; v[j] = t; }
    for (i = 0; i <= k; i++) {
        int above = 0;
        double t = 1, f = 1;
        if (i < k) {
            for (j = 0; j < N; j++) above += s->map[j] >= v[i];
            t = (i + 1.) / k; f = (above - (i + 1.)) / (N - k);
        }
        area += (f - fp) * (t + tp) / 2;
        tp = t; fp = f;
    }
    return area;
}

/* The mean over draws of the step-wise area, from the shares above each threshold. */
static double brute_grid(const scene *s, const char *negative, double step) {
    float low = s->map[0], high = s->map[0];
    double area = 0, tp = 0, fp = 0;
    int i, j;
    for (i = 0; i < N; i++) {
        if (s->map[i] < low) low = s->map[i];
        if (s->map[i] > high) high = s->map[i];
    }
    for (j = (int)(1 / step + 1e-9); j >= -1; j--) {
        double t = 0, f = 0, positives = 0, negatives = 0;
        for (i = 0; i < N; i++) {
            double v = ((double)s->map[i] - low) / ((double)high - low);
            int p = s->fixated[i] > 0, n = negative ? negative[i] > 0 : 1;
            positives += p; negatives += n;
            if (v >= j * step) { t += p; f += n; }
        }
        t /= positives; f /= negatives;
        area += (f - fp) * (t + tp) / 2;
        tp = t; fp = f;
    }
    return area;
}

static void test_definitions(void) {
    static scene s;
    static const int levels[] = { 2, 3, 7, 50, 1000000 };
    int k, wrong_auc = 0, wrong_sauc = 0, wrong_judd = 0, wrong_grid = 0, wrong_mean = 0, same = 1;
    double v, u;
    sal_score_desc d;
    uint64_t seed;
    for (k = 0; k < COUNT(levels); k++)
        for (seed = 0; seed < 10; seed++) {
            double step = seed % 2 ? .1 : .3, mean;
            make_scene(&s, levels[k], seed * 100 + (uint64_t)k);
            d = desc_of(s.map, NULL, W, H);
            d.fixations = s.f; d.others = s.o;
            d.step = step; d.splits = 10000; d.seed = seed + 1;
            wrong_auc += !near(one_of(SAL_METRIC_AUC, &d), brute_auc(&s, NULL), 1e-12);
            wrong_sauc += !near(one_of(SAL_METRIC_SAUC, &d), brute_auc(&s, s.other), 1e-12);
            wrong_judd += !near(one_of(SAL_METRIC_AUC_JUDD, &d), brute_judd(&s), 1e-12);
            mean = one_of(SAL_METRIC_AUC_BORJI_MEAN, &d);
            wrong_grid += !near(mean, brute_grid(&s, NULL, step), 1e-12);
            wrong_mean += !near(one_of(SAL_METRIC_AUC_BORJI, &d), mean, .002);
            mean = one_of(SAL_METRIC_AUC_SHUFFLED_MEAN, &d);
            wrong_grid += !near(mean, brute_grid(&s, s.other, step), 1e-12);
            v = one_of(SAL_METRIC_AUC_SHUFFLED, &d);
            wrong_mean += !near(v, mean, .002);
            u = one_of(SAL_METRIC_AUC_SHUFFLED, &d);
            same &= u == v;
        }
    CHECK(!wrong_auc, "AUC is the share of pairs won, ties half, on 50 maps of 2 and more levels");
    CHECK(!wrong_sauc, "so is sAUC, against fixations on other images");
    CHECK(!wrong_judd, "AUC_Judd is that of its definition, tied thresholds included");
    CHECK(!wrong_grid, "the expectations of AUC_Borji and AUC_shuffled are those by definition");
    CHECK(!wrong_mean, "10000 draws come within 0.002 of the expectation");
    CHECK(same, "the same seed draws the same");
    d.splits = 10; d.step = .1;
    d.seed = 1;
    v = one_of(SAL_METRIC_AUC_BORJI, &d);
    d.seed = 2;
    u = one_of(SAL_METRIC_AUC_BORJI, &d);
    CHECK(u != v, "another seed draws others");
}

/* --- earth mover's distance ---------------------------------------------------------------- */

/* The least cost of moving integer masses p to q (n <= 24 cells of a grid of width w), one unit at
   a time along the cheapest augmenting path (Bellman-Ford): slow and simple. */
static double brute_emd(const int *p, const int *q, int n, int w) {
    static int flow[24][24];
    int rest_p[24], rest_q[24], i, j, changed;
    double total = 0, mass = 0;
    memset(flow, 0, sizeof flow);
    for (i = 0; i < n; i++) { rest_p[i] = p[i]; rest_q[i] = q[i]; mass += p[i]; }
    for (;;) {
        double best_p[24], best_q[24];
        int from_p[24], from_q[24], end = -1;
        for (i = 0; i < n; i++) {
            best_p[i] = rest_p[i] ? 0 : HUGE_VAL; best_q[i] = HUGE_VAL; from_p[i] = -1;
        }
        for (changed = 1; changed; ) {
            changed = 0;
            for (i = 0; i < n; i++)
                for (j = 0; j < n; j++) {
                    double d = hypot(i % w - j % w, i / w - j / w);
                    if (best_p[i] + d < best_q[j] - 1e-12) {
                        best_q[j] = best_p[i] + d; from_q[j] = i; changed = 1;
                    }
                    if (flow[i][j] && best_q[j] - d < best_p[i] - 1e-12) {
                        best_p[i] = best_q[j] - d; from_p[i] = j; changed = 1;
                    }
                }
        }
        for (j = 0; j < n; j++)
            if (rest_q[j] && (end < 0 || best_q[j] < best_q[end])) end = j;
        if (end < 0 || best_q[end] > 1e8) return total / mass;
        total += best_q[end];
        rest_q[end]--;
        for (j = end; ; j = from_p[i]) {
            i = from_q[j];
            flow[i][j]++;
            if (from_p[i] < 0) break;
            flow[i][from_p[i]]--;
        }
        rest_p[i]--;
    }
}

static void test_emd(void) {
    static float p[64 * 64], q[64 * 64];
    float small_p[6], small_q[6];
    double v, u;
    sal_rng r;
    int k, i, wrong = 0, side = 64;
    memset(p, 0, sizeof p); memset(q, 0, sizeof q);
    p[0] = 7; q[3 * 64 + 4] = .5f;
    v = emd_of(p, q, 64, 64, 1);
    CHECK(near(v, 5, 1e-12), "EMD of two single points is their distance, whatever their masses");
    v = emd_of(p, p, 64, 64, 1);
    CHECK(v == 0, "EMD of a map and itself is 0");
    r.state = 5;
    for (k = 0; k < 300; k++) {         /* small grids with many ties and zeros */
        int a[24] = { 0 }, b[24] = { 0 }, w = 1 + k % 6, h = 4, n = w * h, sa = 0, sb = 0;
        for (i = 0; i < n; i++) {
            a[i] = (int)sal_rng_below(&r, k % 3 ? 3 : 9);
            b[i] = (int)sal_rng_below(&r, 3);
            sa += a[i]; sb += b[i];
        }
        a[0]++; b[n - 1]++; sa++; sb++;
        if (sa < sb) a[n / 2] += sb - sa; else b[n / 2] += sa - sb;
        for (i = 0; i < n; i++) { p[i] = (float)a[i]; q[i] = (float)b[i]; }
        v = emd_of(p, q, w, h, 1);
        u = emd_of(q, p, w, h, 1);
        wrong += !near(v, brute_emd(a, b, n, w), 1e-9) || !near(u, v, 1e-9);
    }
    CHECK(!wrong, "EMD is that of a brute-force solver, both ways, on 300 small grids");
    wrong = 0;
    for (k = 0; k < 20; k++) {          /* on a line: the area between the cumulated masses */
        double gap = 0, sum = 0, sp = 0, sq = 0;
        for (i = 0; i < 500; i++) {
            p[i] = (float)sal_rng_uniform(&r); q[i] = (float)sal_rng_uniform(&r);
            sp += p[i]; sq += q[i];
        }
        for (i = 0; i < 500; i++) { gap += p[i] / sp - q[i] / sq; sum += fabs(gap); }
        v = emd_of(p, q, k % 2 ? 500 : 1, k % 2 ? 1 : 500, 1);
        wrong += !near(v, sum, 1e-9);
    }
    CHECK(!wrong, "EMD on a line is the sum of the differences of the cumulated masses");
    for (k = 0; k < 7; k++) {
        for (i = 0; i < side * side; i++) {
            int x = i % side, y = i / side;
            double near_a = (x - 12.) * (x - 12) + (y - 20.) * (y - 20);
            double near_b = (x - 45.) * (x - 45) + (y - 38.) * (y - 38);
            double near_c = (x - 32.) * (x - 32) + (y - 32.) * (y - 32);
            p[i] = k == 0 ? (float)sal_rng_uniform(&r) : k == 1 ? (float)exp(-near_a / 130) + .001f
                 : k == 2 ? (float)(x < side / 2) : k == 3 ? (float)((x + y) % 2)
                 : (k == 4 ? y < side / 2 : near_c < 480) ? (float)sal_rng_uniform(&r) : 0;
            q[i] = k == 0 ? (float)sal_rng_uniform(&r) : k == 1 ? (float)exp(-near_b / 270)
                 : k == 2 ? (float)(x >= side / 2) : k == 3 ? (float)((x + y + 1) % 2)
                 : (k == 4 ? y < side / 2 : near_c < 480) ? 0 : (float)sal_rng_uniform(&r);
            if (k == 6) { p[i] = 1; q[i] = (float)exp(-near_b / 500); }
        }
        v = emd_of(p, q, side, side, 1);
        wrong = v < 0;
        if (k == 2) CHECK(!wrong && near(v, 32, 1e-9), "half a 64 x 64 grid moves by 32 cells");
        if (k == 3) CHECK(!wrong && near(v, 1, 1e-9), "a checkerboard is 1 from its negative");
    }
    float *line = (float *)calloc(2 * 65537, sizeof(float)), *far = line + 65537;
    line[0] = 1; far[65535] = 3;        /* (a walk over 65536 x 65536 cells would take minutes) */
    CHECK(emd_of(line, far, 65536, 1, 1) == 65535 && emd_of(line, far, 1, 65536, 1) == 65535,
          "a grid may be long and thin");
    sal_score_desc d = desc_of(line, far, 65537, 1);
    d.cell = 1;
    CHECK(sal_metric(&ctx, SAL_METRIC_EMD, &d, &v) == SAL_ERR_UNSUPPORTED &&
          strstr(ctx.error, "to 65536"), "but no larger than said: %s", ctx.error);
    free(line);
    for (i = 0; i < 50 * 40; i++) p[i] = 1 + (float)(i % 13 * (i % 7));
    for (i = 0; i < 50 * 40; i++) q[i] = 1 + (float)(i % 29);
    u = emd_of(p, q, 50, 40, 20);
    sal_resize(&ctx, small_p, 3, 2, p, 50, 40, 1, SAL_FILTER_CUBIC);
    sal_resize(&ctx, small_q, 3, 2, q, 50, 40, 1, SAL_FILTER_CUBIC);
    v = emd_of(small_p, small_q, 3, 2, 1);
    CHECK(u == v && v > 0, "50 x 40 maps reduced by 20 are compared on 3 x 2 cells");
    p[5] = 1e30f;
    CHECK(emd_of(p, q, 64, 64, 1) > 0, "a huge value is no problem");
}

/* --- unusual input ------------------------------------------------------------------------- */

static void test_unusual(void) {
    static scene s;
    static float flat[N], bad[N], big[N], pairs[2 * F];
    static const float far_x[2] = { -1, 1e30f }, far_y[2] = { 3, 3 }, none = 0;
    static const float in_x[2] = { 3, NAN }, in_y[2] = { 3, 3 };
    double v[SAL_METRIC_COUNT], one, two;
    sal_points outside = points(far_x, far_y, 2), empty = points(&none, &none, 0);
    sal_points single = points(in_x, in_y, 2), both;
    sal_score_desc d, e;
    int i, k, chance = 1, finite = 1, refused;
    make_scene(&s, 50, 9);
    memset(&d, 0, sizeof d);
    d.w = W; d.h = H; d.density = s.density; d.baseline = s.density; d.fixations = s.f;
    d.others = s.o;
    for (k = 0; k < 3; k++) {
        double uniform = 0, q = 0;
        for (i = 0; i < N; i++) flat[i] = k == 0 ? 0.f : k == 1 ? 3.f : -1e30f;
        for (i = 0; i < N; i++) q += s.density[i];
        for (i = 0; i < N; i++) uniform += MIN(1. / N, s.density[i] / q);
        d.map = flat;
        if (sal_score(&ctx, &d, v)) chance = 0;
        for (i = SAL_METRIC_AUC_JUDD; i <= SAL_METRIC_AUC_SHUFFLED_MEAN; i++)
            chance &= near(v[i], .5,
                           1e-12);
        chance &= near(v[SAL_METRIC_AUC], .5, 1e-12) && near(v[SAL_METRIC_SAUC], .5, 1e-12);
        chance &= v[SAL_METRIC_CC] == 0 && v[SAL_METRIC_NSS] == 0 && v[SAL_METRIC_NSS_ALL] == 0;
        chance &= near(v[SAL_METRIC_SIM], uniform, 1e-9);
        chance &= k == 2 || near(v[SAL_METRIC_SIM_SUM], uniform, 1e-9);
        chance &= v[SAL_METRIC_KL] > 0 && v[SAL_METRIC_KL] < 2 && (k == 2 || v[SAL_METRIC_EMD] < 1);
    }
    CHECK(chance, "a constant map (0, 3, -1e30) scores as chance: AUC 0.5, CC 0, NSS 0");
    d.map = s.map;
    d.density = flat;
    memset(flat, 0, sizeof flat);
    sal_score(&ctx, &d, v);
    CHECK(isnan(v[SAL_METRIC_CC]) && isnan(v[SAL_METRIC_SIM]) && isnan(v[SAL_METRIC_SIM_SUM]) &&
          isnan(v[SAL_METRIC_KL]) &&
          isnan(v[SAL_METRIC_EMD]) && v[SAL_METRIC_AUC] >= 0,
              "an empty density gives NaN where it is needed");
    d.density = s.density;
    d.fixations = outside;
    CHECK(sal_score(&ctx, &d, v) == SAL_OK && isnan(v[SAL_METRIC_NSS]) && isnan(v[SAL_METRIC_IG]) &&
          isnan(v[SAL_METRIC_AUC]) && isnan(v[SAL_METRIC_AUC_JUDD]) &&
              isnan(v[SAL_METRIC_AUC_BORJI]) &&
          isnan(v[SAL_METRIC_SAUC]) && isnan(v[SAL_METRIC_AUC_SHUFFLED]) &&
              !isnan(v[SAL_METRIC_CC]),
          "fixations that are all outside give NaN, and CC is not disturbed");
    d.fixations = empty;
    CHECK(sal_score(&ctx, &d, v) == SAL_OK && isnan(v[SAL_METRIC_NSS]) &&
          isnan(v[SAL_METRIC_AUC_JUDD]) &&
          isnan(v[SAL_METRIC_AUC_BORJI_MEAN]), "so does no fixation at all");
    d.fixations = single;
    CHECK(sal_score(&ctx, &d, v) == SAL_OK && isnan(v[SAL_METRIC_AUC_BORJI]) &&
          v[SAL_METRIC_AUC] >= 0 &&
          v[SAL_METRIC_AUC_JUDD] >= 0 && v[SAL_METRIC_AUC_SHUFFLED] >= 0,
          "one fixation (another is NaN) is enough, but AUC_Borji wants two as in MATLAB");
    one = one_of(SAL_METRIC_NSS_ALL, &d);
    d.fixations.count = 1;
    two = one_of(SAL_METRIC_NSS_ALL, &d);
    CHECK(one == two, "a fixation with a NaN coordinate is left out");
    for (i = 0; i < F; i++) { pairs[2 * i] = s.x[i]; pairs[2 * i + 1] = s.y[i]; }
    both = points(pairs, pairs + 1, F);
    both.stride = 2;
    d.fixations = s.f;
    one = one_of(SAL_METRIC_AUC, &d);
    d.fixations = both;
    two = one_of(SAL_METRIC_AUC, &d);
    CHECK(one == two, "coordinates may lie in pairs, x y x y");
    d.fixations = s.f;
    d.others = empty;
    CHECK(isnan(one_of(SAL_METRIC_SAUC, &d)), "sAUC without fixations on other images is NaN");
    d.others = s.o;
    d.w = d.h = 1;
    CHECK(isnan(one_of(SAL_METRIC_AUC_JUDD, &d)), "AUC_Judd on a single pixel is NaN: there are no negatives");
    for (k = 0; k < 4; k++) {
        memcpy(bad, s.map, sizeof bad);
        bad[W + 2] = k == 0 ? NAN : k == 1 ? INFINITY : k == 2 ? -INFINITY : -NAN;
        d = desc_of(bad, s.density, W, H);
        d.fixations = s.f;
        finite &= sal_metric(&ctx, SAL_METRIC_CC, &d, &one) == SAL_ERR_NUMERIC;
        finite &= strstr(ctx.error, "map is not finite at x 2, y 1") != NULL;
        finite &= sal_metric(&ctx, SAL_METRIC_AUC, &d, &one) == SAL_ERR_NUMERIC;
        finite &= sal_metric(&ctx, SAL_METRIC_EMD, &d, &one) == SAL_ERR_NUMERIC;
        d.map = s.map; d.density = bad;
        finite &= sal_metric(&ctx, SAL_METRIC_KL, &d, &one) == SAL_ERR_NUMERIC;
        finite &= strstr(ctx.error, "density is not finite at x 2, y 1") != NULL;
        finite &= sal_score(&ctx, &d, v) == SAL_ERR_NUMERIC;
    }
    CHECK(finite, "NaN and infinity are refused, naming the array and the pixel: %s", ctx.error);
    for (i = 0; i < N; i++) big[i] = s.map[i] * 1e37f;
    d = desc_of(s.map, s.density, W, H);
    d.baseline = s.density; d.fixations = s.f;
    e = d;
    e.map = big;
    CHECK(near(one_of(SAL_METRIC_CC, &d), one_of(SAL_METRIC_CC, &e), 1e-6),
          "values near the limit of float do not overflow");
    CHECK(isnan(one_of(SAL_METRIC_SIM_SUM, &d)),
          "a map with negative values is no distribution as it is: SIM is NaN");
    for (k = refused = 0; k < 7; k++) {
        e = d;
        if (k == 0) e.map = NULL;
        if (k == 1) e.density = NULL;
        if (k == 2) e.w = 0;
        if (k == 3) e.cell = -1;
        if (k == 4) e.splits = -1;
        if (k == 5) e.step = -.1;
        if (k == 6) e.fixations.count = -1;
        sal_metric_kind which = k < 3 ? SAL_METRIC_CC
                              : k == 3 ? SAL_METRIC_EMD : SAL_METRIC_AUC_BORJI;
        refused += sal_metric(&ctx, which, &e, &one) != SAL_OK;
    }
    CHECK(refused == 7 && sal_metric(&ctx, SAL_METRIC_COUNT, &d, &one) == SAL_ERR_ARGUMENT,
          "missing arrays, sizes below 1, negative steps, splits, counts and cells are refused");
    e = d;
    e.fixations = empty;
    CHECK(isnan(one_of(SAL_METRIC_NSS, &e)), "NSS without fixations is NaN");
    for (k = refused = 0; k < 3; k++) {
        static const double epsilon[] = { -1e-9, NAN, 2 };
        d.epsilon = epsilon[k];
        refused += sal_metric(&ctx, SAL_METRIC_KL, &d, &one) == SAL_ERR_ARGUMENT;
        refused += sal_metric(&ctx, SAL_METRIC_IG_SUM, &d, &one) == SAL_ERR_ARGUMENT;
        refused += sal_score(&ctx, &d, v) == SAL_ERR_ARGUMENT;
    }
    CHECK(refused == 9, "so is an epsilon below 0, or none: %s", ctx.error);
}

/* --- memory -------------------------------------------------------------------------------- */

static int calls, fail_at, live;

static void *failing_alloc(void *user, size_t size) {
    void *p;
    (void)user;
    if (++calls == fail_at) return NULL;
    p = malloc(size);
    live += p != NULL;
    return p;
}

static void counting_free(void *user, void *memory) { (void)user; live--; free(memory); }

static void test_memory(void) {
    static scene s;
    sal_score_desc d;
    double v[SAL_METRIC_COUNT];
    sal_result r = SAL_ERR_MEMORY;
    int clean = 1;
    make_scene(&s, 50, 9);
    memset(&d, 0, sizeof d);
    d.w = W; d.h = H; d.map = s.map; d.density = s.density; d.baseline = s.density;
    d.fixations = s.f; d.others = s.o;
    ctx.alloc = failing_alloc; ctx.free = counting_free;
    for (fail_at = 1; r != SAL_OK && fail_at < 1000; fail_at++) {
        calls = 0;
        r = sal_score(&ctx, &d, v);
        clean &= live == 0 && (r == SAL_OK || r == SAL_ERR_MEMORY);
    }
    CHECK(clean && r == SAL_OK, "an allocation that fails, whichever of %d, releases all others",
          fail_at - 2);
    ctx.alloc = NULL; ctx.free = NULL;
}

/* Fixations that are not finite, or far outside, are nowhere. */
static void test_misuse(void) {
    static const float map[4] = { 1, 2, 3, 4 }, at[1] = { 0 };
    double v[SAL_METRIC_COUNT];
    sal_score_desc d;
    memset(&d, 0, sizeof d);
    d.w = d.h = 2; d.map = map; d.fixations.x = d.fixations.y = at; d.fixations.count = 1;
    CHECK(sal_metric(&ctx, SAL_METRIC_IG, &d, v) == SAL_ERR_ARGUMENT &&
          strstr(sal_error(&ctx), "the baseline"), "what a metric needs is named: %s",
          sal_error(&ctx));
    CHECK(sal_metric(&ctx, SAL_METRIC_CC, &d, v) == SAL_ERR_ARGUMENT &&
          strstr(sal_error(&ctx), "the density"), "another needs this: %s", sal_error(&ctx));
    d.metrics = SAL_METRIC_BIT(SAL_METRIC_NSS) | SAL_METRIC_BIT(SAL_METRIC_COUNT);
    CHECK(sal_score(&ctx, &d, v) == SAL_ERR_ARGUMENT && v[SAL_METRIC_NSS] == 0, "a metric that there "
          "is not is refused: %s", sal_error(&ctx));
}

static void test_odd_fixations(void) {
    const float nan = (float)NAN, inf = (float)INFINITY;
    sal_fixation odd[] = { { nan, 3, 0, 0, 0 }, { 3, nan, 0, 0, 0 }, { inf, 3, 0, 0, 0 },
                           { 3, -inf, 0, 0, 0 }, { 1e30f, -2, 0, 0, 0 }, { 5, 4, 0, 0, 0 },
                           { 12, -1, 0, 0, 0 } };
    float x[7], y[7], values[12 * 9];
    sal_map all, two;
    int i;
    for (i = 0; i < 12 * 9; i++) values[i] = (float)(i * i % 31);
    CHECK(sal_density(&ctx, odd, 7, 12, 9, 1, &all) == SAL_OK &&
          sal_density(&ctx, odd + 5, 2, 12, 9, 1, &two) == SAL_OK &&
          !memcmp(all.data, two.data, sizeof values) && all.data[11] > all.data[0],
          "sal_density leaves out what is not finite or far outside; a pixel outside is the edge");
    sal_map_free(&ctx, &two);
    CHECK(sal_density(&ctx, odd, 5, 12, 9, 1, &two) == SAL_OK && two.data[11] == 0,
          "and is zero with nothing else");
    for (i = 0; i < 7; i++) { x[i] = odd[i].x; y[i] = odd[i].y; }
    sal_points odd_points = { x, y, 7, 1 }, one = { x + 5, y + 5, 1, 1 };
    double a[6] = { 0 }, b[6] = { 1 };
    int same = 1;
    sal_score_desc d = desc_of(values, NULL, 12, 9);
    d.fixations = d.others = one;
    b[0] = one_of(SAL_METRIC_NSS_ALL, &d);
    b[1] = one_of(SAL_METRIC_AUC, &d);
    b[2] = one_of(SAL_METRIC_SAUC, &d);
    d.others = odd_points;
    a[2] = one_of(SAL_METRIC_SAUC, &d);
    d.fixations = odd_points;
    a[0] = one_of(SAL_METRIC_NSS_ALL, &d);
    a[1] = one_of(SAL_METRIC_AUC, &d);
    for (i = 0; i < 3; i++) same &= a[i] == b[i];
    CHECK(same, "the metrics leave out both (NSS %g, AUC %g, sAUC %g)", a[0], a[1], a[2]);
    sal_image image, shown;
    unsigned char rgb[3];
    sal_image_new(&ctx, 12, 9, &image);
    for (i = 0; i < 9; i++) all.data[i] = i % 3 ? i % 3 > 1 ? nan : inf : -inf;
    CHECK(sal_overlay(&ctx, &image, &all, 1, &shown) == SAL_ERR_NUMERIC, "such a map has no overlay: "
          "%s", sal_error(&ctx));
    CHECK(sal_overlay(&ctx, &image, &two, nan, &shown) == SAL_OK, "an overlay as opaque as nothing is "
          "a picture");
    sal_colormap(nan, rgb);
    sal_image_free(&ctx, &image); sal_image_free(&ctx, &shown);
    sal_map_free(&ctx, &all); sal_map_free(&ctx, &two);
}

int main(void) {
    const char *folder = getenv("SALIENCY_REFERENCE");
    int i, named = 1;
    ctx.threads = 1;
    test_by_hand();
    test_definitions();
    test_emd();
    test_odd_fixations();
    test_misuse();
    test_unusual();
    test_memory();
    for (i = 0; i < SAL_METRIC_COUNT; i++) {
        const sal_metric_info *m = sal_metric_about((sal_metric_kind)i);
        named &= m && m->name && m->text && m->needs && abs(m->better) == 1;
    }
    CHECK(named && !sal_metric_about(SAL_METRIC_COUNT), "each metric has a name and a description");
    test_benchmark(folder ? folder : "../shared/reference");
    return test_done();
}
