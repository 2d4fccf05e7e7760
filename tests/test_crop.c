/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* Cropping: the boxes of sal_crop against all boxes there are.

   gcc -O2 -fopenmp -Wall -Wextra -I. tests/test_crop.c -o build/test_crop -lm */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "test.h"
#include "counter.h"

static sal_ctx ctx;

static sal_map random_map(int w, int h, uint64_t seed) {
    sal_map map;
    sal_rng rng;
    int i;
    rng.state = seed;
    if (sal_map_new(&ctx, w, h, &map)) exit(1);
    for (i = 0; i < w * h; i++) {
        double u = sal_rng_uniform(&rng);
        map.data[i] = u < 0.3 ? 0 : (float)(u * u * u);
    }
    return map;
}

/* The sum inside of a box, pixel by pixel, each by the part of it that is covered. */
static double inside(const sal_map *map, double left, double top, double right, double bottom) {
    double sum = 0;
    int x, y;
    for (y = 0; y < map->h; y++)
        for (x = 0; x < map->w; x++) {
            double u = MIN(right, x + 1) - MAX(left, x);
            double v = MIN(bottom, y + 1) - MAX(top, y);
            if (u > 0 && v > 0) sum += u * v * map->data[y * map->w + x];
        }
    return sum;
}

static double total(const sal_map *map) { return inside(map, 0, 0, map->w, map->h); }

static double inside_box(const sal_map *map, const sal_box *b) {
    return inside(map, b->left, b->top, b->right, b->bottom);
}

static int in_bounds(const sal_map *map, const sal_box *b) {
    return b->w > 0 && b->h > 0 && b->x >= 0 && b->y >= 0 && b->x + b->w <= map->w &&
           b->y + b->h <= map->h && b->left >= 0 && b->top >= 0 && b->right <= map->w + 1e-9 &&
           b->bottom <= map->h + 1e-9;
}

static int overlap(const sal_box *a, const sal_box *b) {
    return a->x < b->x + b->w && b->x < a->x + a->w && a->y < b->y + b->h && b->y < a->y + a->h;
}

/* Whole-pixel neighbours of one region, one inside and one outside of the box. */
static int cuts(const sal_map *map, double level, const sal_box *b) {
    int x, y, n = 0;
#define IN(u, v) ((u) >= b->x && (u) < b->x + b->w && (v) >= b->y && (v) < b->y + b->h)
#define ON(u, v) (map->data[(v) * map->w + (u)] > level)
    for (y = 0; y < map->h; y++)
        for (x = 0; x < map->w; x++) {
            if (x + 1 < map->w) n += ON(x, y) && ON(x + 1, y) && IN(x, y) != IN(x + 1, y);
            if (y + 1 < map->h) n += ON(x, y) && ON(x, y + 1) && IN(x, y) != IN(x, y + 1);
        }
#undef IN
#undef ON
    return n;
}

static void test_best(void) {
    int k, x, y, i, bounds = 0, best = 0, finer = 0, shape = 0, kept = 0, n = 60;
    for (k = 0; k < n; k++) {
        sal_map map = random_map(1 + k * 7 % 13, 1 + k * 5 % 11, (uint64_t)k);
        sal_crop_desc d;
        sal_box b;
        double all = total(&map), most = 0, here, w, h, near = 0, aspect;
        memset(&d, 0, sizeof d);
        d.aspect = aspect = exp((k % 9 - 4) * 0.35);
        d.area = k % 4 * 0.25;
        if (sal_crop(&ctx, &map, &d, &b)) break;
        w = b.right - b.left; h = b.bottom - b.top;
        here = inside_box(&map, &b);
        for (y = 0; y + h <= map.h + 1e-9; y++)
            for (x = 0; x + w <= map.w + 1e-9; x++)
                most = MAX(most, inside(&map, x, y, x + w, y + h));
        for (i = 0; i < 41 * 41; i++) {
            double u = b.left + (i % 41 - 20) / 20.0, v = b.top + (i / 41 - 20) / 20.0;
            if (u >= floor(b.left) && u <= ceil(b.left) && v >= floor(b.top) && v <= ceil(b.top) &&
                u + w <= map.w && v + h <= map.h)
                near = MAX(near, inside(&map, u, v, u + w, v + h));
        }
        bounds += in_bounds(&map, &b);
        best += here >= most - 1e-7 * all;
        finer += here >= near - 1e-7 * all;
        shape += fabs(w / h / aspect - 1) < 1e-9 && abs(b.w - (int)(w + 0.5)) <= (w < 0.5) &&
                 abs(b.h - (int)(h + 0.5)) <= (h < 0.5) &&
                 (fabs(w * h / (d.area * map.w * map.h) - 1) < 1e-9 ||
                  ((d.area == 0 || w * h < d.area * map.w * map.h) &&
                   (w > map.w - 1e-9 || h > map.h - 1e-9)));
        kept += fabs(b.kept - inside(&map, b.x, b.y, b.x + b.w, b.y + b.h) / all) < 1e-9;
        sal_map_free(&ctx, &map);
    }
    CHECK(bounds == n, "%d of %d boxes on small random maps lie inside them", bounds, n);
    CHECK(shape == n, "%d of %d have aspect and area, or are the largest that fits", shape, n);
    CHECK(best == n, "%d of %d keep as much as every box at whole pixels", best, n);
    CHECK(finer == n, "%d of %d keep as much as every box between those pixels", finer, n);
    CHECK(kept == n, "%d of %d tell the share of saliency in their whole pixels", kept, n);
}

static void test_size(void) {
    sal_map map = random_map(80, 60, 5), one = random_map(1, 5000, 6), three = random_map(3, 3, 7);
    sal_crop_desc d;
    sal_box b;
    memset(&d, 0, sizeof d);
    CHECK(!sal_crop(&ctx, &map, NULL, &b) && b.x == 0 && b.y == 0 && b.w == 80 && b.h == 60 &&
          fabs(b.kept - 1) < 1e-12, "without a description the box is the whole map");
    d.w = 30; d.h = 20;
    CHECK(!sal_crop(&ctx, &map, &d, &b) && b.w == 30 && b.h == 20 &&
          fabs(b.right - b.left - 30) < 1e-9, "a box of 30 x 20 pixels has this size");
    d.w = 160; d.h = 40;
    CHECK(!sal_crop(&ctx, &map, &d, &b) && b.w == 80 && b.h == 20,
          "a box of 160 x 40 does not fit into 80 x 60 and becomes 80 x 20");
    d.w = d.h = 0;
    d.aspect = 1;
    CHECK(!sal_crop(&ctx, &one, &d, &b) && in_bounds(&one, &b) && b.w == 1 && b.h == 1,
          "a 1 x 5000 map has a square of one pixel");
    d.aspect = 16 / 9.0;
    CHECK(!sal_crop(&ctx, &one, &d, &b) && in_bounds(&one, &b) && b.w == 1 && b.h == 1,
          "a 1 x 5000 map has a 16:9 box of one pixel");
    d.aspect = 1e-6;
    CHECK(!sal_crop(&ctx, &map, &d, &b) && in_bounds(&map, &b) && b.w == 1 && b.h == 60,
          "an extreme aspect gives a column of pixels");
    d.area = 0.5;
    d.aspect = 1 / 4.0;
    CHECK(!sal_crop(&ctx, &three, &d, &b) && in_bounds(&three, &b) && b.w == 1 && b.h == 3,
          "a 3 x 3 map has a 1:4 box of 1 x 3");
    sal_map_free(&ctx, &map); sal_map_free(&ctx, &one); sal_map_free(&ctx, &three);
}

static void test_even(void) {
    static const int size[][2] = { { 100, 60 }, { 61, 101 }, { 1, 50 }, { 3, 3 }, { 800, 600 } };
    static const float value[] = { 0, 0.3f, -1 };
    int k, v, i, centred = 0, n = 0;
    for (k = 0; k < COUNT(size); k++)
        for (v = 0; v < 3; v++) {
            sal_map map;
            sal_crop_desc d;
            sal_box b;
            memset(&d, 0, sizeof d);
            d.area = 0.3; d.aspect = 1.2;
            if (sal_map_new(&ctx, size[k][0], size[k][1], &map)) exit(1);
            for (i = 0; i < map.w * map.h; i++) map.data[i] = value[v];
            if (!sal_crop(&ctx, &map, &d, &b))
                centred += abs(2 * b.x + b.w - map.w) <= 1 && abs(2 * b.y + b.h - map.h) <= 1 &&
                           fabs(b.kept - (double)b.w * b.h / map.w / map.h) < 1e-9;
            n++;
            sal_map_free(&ctx, &map);
        }
    CHECK(centred == n, "%d of %d constant, empty and negative maps have the box in the middle",
          centred, n);
}

static void test_several(void) {
    sal_map map = random_map(40, 30, 11);
    sal_crop_desc d;
    sal_box b[9];
    int i, k, apart = 1, falling = 1, bounds = 1, greedy = 1, x, y;
    memset(&d, 0, sizeof d);
    d.boxes = 5; d.area = 0.1; d.aspect = 1.3;
    CHECK(!sal_crop(&ctx, &map, &d, b), "five boxes of a tenth of the area find a place");
    for (i = 0; i < 5; i++) {
        double most = 0;
        bounds &= in_bounds(&map, &b[i]) && b[i].left == b[i].x && b[i].bottom == b[i].y + b[i].h;
        for (k = 0; k < i; k++) apart &= !overlap(&b[i], &b[k]);
        falling &= i == 0 || b[i].kept <= b[i - 1].kept + 1e-7;
        for (y = 0; y + b[i].h <= map.h; y++)
            for (x = 0; x + b[i].w <= map.w; x++) {
                sal_box other = b[i];
                int free_place = 1;
                other.x = x; other.y = y;
                for (k = 0; k < i; k++) free_place &= !overlap(&other, &b[k]);
                if (free_place)
                    most = MAX(most, inside(&map, x, y, x + other.w, y + other.h));
            }
        greedy &= b[i].kept * total(&map) >= most - 1e-6 * total(&map);
    }
    CHECK(bounds && apart, "they lie on whole pixels inside the map and do not overlap");
    CHECK(falling && greedy, "each is the best where the ones before leave room");
    d.boxes = 9; d.area = 0.25; d.aspect = 0;
    CHECK(!sal_crop(&ctx, &map, &d, b) && b[0].w == 20 && b[8].w == 0 && b[8].h == 0,
          "of nine boxes of a quarter those without a place are zero");
    sal_map_free(&ctx, &map);
}

static void disc(sal_map *map, double cx, double cy, double radius, float value) {
    int x, y;
    for (y = 0; y < map->h; y++)
        for (x = 0; x < map->w; x++)
            if ((x - cx) * (x - cx) + (y - cy) * (y - cy) <= radius * radius)
                map->data[y * map->w + x] += value;
}

static void test_uncut(void) {
    sal_map map = random_map(70, 50, 13);
    sal_crop_desc d;
    sal_box cut, whole, b;
    double most = 0;
    int i, x, y;
    memset(&d, 0, sizeof d);
    for (i = 0; i < map.w * map.h; i++) map.data[i] *= 0.1f;
    disc(&map, 12, 20, 7, 0.9f); disc(&map, 30, 25, 8, 1.0f); disc(&map, 57, 30, 9, 0.8f);
    d.w = 22; d.h = 20;
    CHECK(!sal_crop(&ctx, &map, &d, &cut) && cuts(&map, 0.55, &cut) > 0,
          "the best box cuts one of three discs");
    d.uncut = 0.5;
    CHECK(!sal_crop(&ctx, &map, &d, &whole) && cuts(&map, 0.55, &whole) == 0 && whole.w == 22 &&
          whole.h == 20, "with the rule it cuts none of them");
    b = whole;
    for (b.y = 0; b.y + b.h <= map.h; b.y++)
        for (b.x = 0; b.x + b.w <= map.w; b.x++)
            if (!cuts(&map, 0.55, &b))
                most = MAX(most, inside(&map, b.x, b.y, b.x + b.w, b.y + b.h));
    CHECK(whole.kept * total(&map) >= most - 1e-6 * total(&map),
          "and keeps as much as any box that cuts none: %.4f of all", whole.kept);
    for (y = 0; y < map.h; y++) for (x = 0; x < map.w; x++) map.data[y * map.w + x] = 0;
    disc(&map, 30, 25, 22, 1.0f);
    CHECK(!sal_crop(&ctx, &map, &d, &b) && fabs(b.kept - 22 * 20 / total(&map)) < 1e-6,
          "a region larger than the box is cut, not avoided");
    sal_map_free(&ctx, &map);
}

/* Regions of noise, each box by itself: fewest cuts, then the most saliency. */
static void test_uncut_random(void) {
    int k, fewest = 0, most = 0, cut = 0, n = 40;
    for (k = 0; k < n; k++) {
        sal_map map = random_map(12 + k % 5, 10 + k % 3, (uint64_t)100 + k);
        sal_crop_desc d;
        sal_box b, best, c;
        int i, least = INT_MAX, found;
        double level = 0, here = 0;
        memset(&d, 0, sizeof d);
        d.w = 9; d.h = 8; d.uncut = 0.45;
        if (sal_crop(&ctx, &map, &d, &b)) break;
        best = c = b;
        for (i = 0; i < map.w * map.h; i++) level = MAX(level, d.uncut * map.data[i]);
        for (c.y = 0; c.y + c.h <= map.h; c.y++)
            for (c.x = 0; c.x + c.w <= map.w; c.x++) {
                double value = inside(&map, c.x, c.y, c.x + c.w, c.y + c.h);
                found = cuts(&map, level, &c);
                if (found < least || (found == least && value > here)) {
                    least = found; here = value; best = c;
                }
            }
        fewest += cuts(&map, level, &b) == least;
        most += b.x == best.x && b.y == best.y;
        cut += least > 0;
        sal_map_free(&ctx, &map);
    }
    CHECK(fewest == n && cut > 0, "%d of %d boxes among random regions cut as few pixels as any; "
          "%d cannot help but cut some", fewest, n, cut);
    CHECK(most == n, "%d of %d are those with the most saliency among these", most, n);
}

static void test_boost(void) {
    sal_map map, boost, small;
    sal_crop_desc d;
    sal_box b;
    memset(&d, 0, sizeof d);
    if (sal_map_new(&ctx, 60, 20, &map) || sal_map_new(&ctx, 60, 20, &boost) ||
        sal_map_new(&ctx, 20, 20, &small)) exit(1);
    disc(&map, 9, 9, 5, 1.0f);
    disc(&boost, 49, 9, 5, 1.5f);
    d.aspect = 1;
    CHECK(!sal_crop(&ctx, &map, &d, &b) && b.x < 10, "a square takes the disc on the left");
    d.boost = &boost;
    CHECK(!sal_crop(&ctx, &map, &d, &b) && b.x > 30 && fabs(b.kept - 0.6) < 1e-6,
          "a boost on the right draws it there");
    disc(&boost, 49, 9, 5, -3.0f);
    disc(&map, 49, 9, 5, 1.2f);
    CHECK(!sal_crop(&ctx, &map, &d, &b) && b.x < 10 && fabs(b.kept - 1) < 1e-6,
          "a negative boost keeps it away");
    d.boost = &small;
    CHECK(sal_crop(&ctx, &map, &d, &b) == SAL_ERR_SHAPE && strstr(sal_error(&ctx), "20 x 20"),
          "a boost of another size is refused: %s", sal_error(&ctx));
    sal_map_free(&ctx, &map); sal_map_free(&ctx, &boost); sal_map_free(&ctx, &small);
}

static void test_zoom(void) {
    sal_map map = random_map(48, 36, 17);
    sal_crop_desc d;
    sal_box b, less;
    int i, enough = 1, tight = 1;
    memset(&d, 0, sizeof d);
    for (i = 1; i <= 9; i++) {
        d.keep = i / 10.0; d.aspect = i % 3 == 0 ? 1 : i % 3 == 1 ? 1.5 : 0.6;
        d.w = d.h = 0;
        if (sal_crop(&ctx, &map, &d, &b)) break;
        enough &= b.kept >= d.keep - 1e-9 || b.w == map.w || b.h == map.h;
        d.w = b.w - 1; d.h = b.h - 1;
        if (sal_crop(&ctx, &map, &d, &less)) break;
        tight &= less.kept < d.keep;
    }
    CHECK(i == 10 && enough, "zoomed boxes keep the share of saliency that was asked for");
    CHECK(i == 10 && tight, "boxes smaller by a pixel do not");
    d.w = d.h = 0; d.keep = 0.1; d.aspect = 1; d.area = 0.25;
    CHECK(!sal_crop(&ctx, &map, &d, &b) && b.w >= 20 && b.w <= 22 && b.w == b.h,
          "a zoom does not go below the area: %d x %d of 48 x 36", b.w, b.h);
    d.area = 0; d.keep = 1; d.aspect = 0;
    for (i = 0; i < map.w * map.h; i++) map.data[i] = 0;
    disc(&map, 20, 15, 6, 1);
    CHECK(!sal_crop(&ctx, &map, &d, &b) && fabs(b.kept - 1) < 1e-9 && b.h == 13 &&
          b.w < 20, "a zoom on a disc of 13 x 13 is %d x %d", b.w, b.h);
    sal_map_free(&ctx, &map);
}

/* Maps of more than 128 pixels, where the zoom begins with a guess from a smaller map. */
static void test_zoom_large(void) {
    static const int size[][2] = { { 300, 210 }, { 129, 500 }, { 1, 3000 } };
    int k, i, n = 0, enough = 0, tight = 0;
    for (k = 0; k < COUNT(size); k++) {
        sal_map map = random_map(size[k][0], size[k][1], 23);
        sal_crop_desc d;
        sal_box b, less;
        memset(&d, 0, sizeof d);
        disc(&map, map.w * 0.7, map.h * 0.4, map.h / 12.0, 3);
        for (i = 1; i <= 5; i++, n++) {
            d.keep = i * 0.18; d.aspect = map.w == 1 ? 0.001 : i % 2 ? 1 : 0.7;
            d.w = d.h = 0;
            if (sal_crop(&ctx, &map, &d, &b)) break;
            enough += b.kept >= d.keep - 1e-9 || b.w == map.w || b.h == map.h;
            d.w = MAX(1, b.w - 1); d.h = b.h - 1;
            if (sal_crop(&ctx, &map, &d, &less)) break;
            tight += less.kept < d.keep;
        }
        sal_map_free(&ctx, &map);
    }
    CHECK(n == 15 && enough == n, "%d of %d zooms on large maps keep enough", enough, n);
    CHECK(n == 15 && tight == n, "%d of %d would not if they were smaller by a pixel", tight, n);
}

/* A box of any shape, with regions that are not cut or without, is found in little memory. */
static void test_large(void) {
    static const double aspect[] = { 0.25, 9 / 16.0, 1, 16 / 9.0, 4 };
    sal_map map = random_map(1000, 1000, 29);
    sal_crop_desc d;
    sal_box b;
    counter count;
    sal_ctx own = counted(&count);
    int i, calls = 0;
    for (i = 0; i < map.w * map.h; i++) map.data[i] *= 0.1f;
    for (i = 0; i < 12; i++) disc(&map, i * 83 % 1000, i * 271 % 1000, 30 + i * 5, 1);
    memset(&d, 0, sizeof d);
    d.area = 0.25;
    for (i = 0; i < 2 * COUNT(aspect); i++) {
        d.aspect = aspect[i / 2]; d.uncut = i % 2 * 0.5;
        calls += sal_crop(&own, &map, &d, &b) == SAL_OK && b.w > 0 && b.h > 0;
    }
    CHECK(calls == 10, "boxes of 1:4 to 4:1 are found on a 1000 x 1000 map");
    d.uncut = 0;
    count.bytes = 0;
    calls += sal_crop(&own, &map, &d, &b) == SAL_OK;
    CHECK(calls == 11 && count.bytes > 0 && count.bytes < 100000,
          "without regions %d bytes of memory are enough beside the map", (int)count.bytes);
    sal_map_free(&ctx, &map);
}

static void test_errors(void) {
    sal_map map = random_map(20, 10, 19), none;
    sal_crop_desc d, zero;
    sal_box b;
    counter count;
    int i, refused = 0, clean = 1;
    sal_result r;
    memset(&zero, 0, sizeof zero);
    memset(&none, 0, sizeof none);
    CHECK(sal_crop(&ctx, &none, NULL, &b) == SAL_ERR_ARGUMENT, "an empty map is refused: %s",
          sal_error(&ctx));
    d = zero; d.aspect = -1; refused += sal_crop(&ctx, &map, &d, &b) == SAL_ERR_ARGUMENT;
    d = zero; d.aspect = NAN; refused += sal_crop(&ctx, &map, &d, &b) == SAL_ERR_ARGUMENT;
    d = zero; d.area = 1.5; refused += sal_crop(&ctx, &map, &d, &b) == SAL_ERR_ARGUMENT;
    d = zero; d.keep = -0.1; refused += sal_crop(&ctx, &map, &d, &b) == SAL_ERR_ARGUMENT;
    d = zero; d.uncut = 2; refused += sal_crop(&ctx, &map, &d, &b) == SAL_ERR_ARGUMENT;
    d = zero; d.boxes = -3; refused += sal_crop(&ctx, &map, &d, &b) == SAL_ERR_ARGUMENT;
    d = zero; d.w = -5; refused += sal_crop(&ctx, &map, &d, &b) == SAL_ERR_ARGUMENT;
    CHECK(refused == 7, "aspects, shares, counts and sizes out of range are refused: %s",
          sal_error(&ctx));
    map.data[77] = NAN;
    CHECK(sal_crop(&ctx, &map, NULL, &b) == SAL_ERR_NUMERIC, "NaN in a map is refused: %s",
          sal_error(&ctx));
    map.data[77] = INFINITY;
    CHECK(sal_crop(&ctx, &map, NULL, &b) == SAL_ERR_NUMERIC, "so is infinity");
    map.data[77] = 1;
    d = zero; d.area = 0.2; d.uncut = 0.5;
    for (i = 1; i < 20; i++) {
        sal_ctx own = counted(&count);
        count.fail_at = i;
        r = sal_crop(&own, &map, &d, &b);
        clean &= count.live == 0 && (r == SAL_OK || r == SAL_ERR_MEMORY);
        if (r == SAL_OK) break;
    }
    CHECK(clean && i > 1 && i < 20, "each of %d allocations may fail, nothing is left", i - 1);
    sal_map_free(&ctx, &map);
}

int main(void) {
    test_best();
    test_size();
    test_even();
    test_several();
    test_uncut();
    test_uncut_random();
    test_boost();
    test_zoom();
    test_zoom_large();
    test_large();
    test_errors();
    return test_done();
}
