/* evaluate: how well do saliency maps predict where people looked?

       gcc -O2 examples/evaluate.c -o evaluate -lm          (add -fopenmp to use all cores)

   Runs models over a data set of fixations, or reads their maps from a folder, scores every picture
   with the metrics of saliency.h, and writes a table, CSV, JSON and a report for the browser.
   Run  evaluate --help  for the options. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "../weights/saliency_lite.h"
#define DATASET_IMPLEMENTATION
#include "dataset.h"

static const char program[] = "evaluate";
#include "options.h"

#include <ctype.h>
#include <time.h>

static const char help[] =
    "evaluate: how well do saliency maps predict where people looked?\n"
    "\n"
    "usage: evaluate [-m MODEL | -w WEIGHTS | --maps DIR] ... --data DIR [options]\n"
    "\n"
    "What is scored (repeat them for one table side by side; default: the best model there is):\n"
    "  -m MODEL       a model by name; MODEL+center multiplies it by the centre prior\n"
    "                   without weights: center spectral itti gbvs bms\n"
    "                   networks:        lite juntingnet wepsam mlnet sam-vgg sam-resnet\n"
    "  -w WEIGHTS     a network from a .safetensors file\n"
    "  --maps DIR     maps somebody made: DIR/NAME.npy, .png, .jpg ..., NAME as the pictures';\n"
    "                 maps of another size are resized (bilinear) to the picture\n"
    "  --baselines    three more: the centre prior (density of the fixations on all other\n"
    "                 pictures), and how well viewers predict each other: each one from all\n"
    "                 others (mean over viewers), one random half from the other (both ways)\n"
    "  --crop         how many fixations stay when the best half of the area is cut out, in\n"
    "                 three shapes; beside the models, the half in the middle, and that which\n"
    "                 the fixations of other viewers choose\n"
    "\n"
    "On what:\n"
    "  --data DIR     a data set as published: plain images/ maps/ fixations.csv, OSIE, Scene,\n"
    "                 SALICON, iSUN, MIT1003, CAT2000, Toronto\n"
    "  --split NAME   one part of it (train, val, a category)\n"
    "  --limit N      the first N pictures only\n"
    "  --test-share F only the pictures that train --test-share F does not learn from; the others\n"
    "                 still serve as other pictures (centre prior, shuffled AUC)\n"
    "  --input HxW    the size of pictures as the networks see them (default: their own)\n"
    "  --domain N     lite: with the prior of 1 osie, 2 scene (default 0: any picture)\n"
    "\n"
    "How:\n"
    "  --metrics LIST names separated by commas (default: all; with --crop, its three)\n"
    "  --prior MAP    baseline of IG, .npy or picture (default: the centre prior as above)\n"
    "  --seed N       of everything drawn: AUC_Borji, AUC_shuffled, halves of viewers (default 1)\n"
    "  --threads N    use N threads (default: all cores)\n"
    "\n"
    "Results:\n"
    "  --csv OUT      one line for each model and picture\n"
    "  --json OUT     mean and standard error of each metric for each model\n"
    "  --html OUT     a report in one file: table, distributions, best and worst pictures\n"
    "  --strips N     how many pictures it shows (default 100: the 50 best and the 50 worst by\n"
    "                 the first metric of the first model)\n"
    "  --per-image    print the scores of every picture, too\n"
    "  --quiet        no table, no progress\n"
    "  -h, --help     this text\n"
    "\n"
    "Metrics:\n";
static const char help_end[] =
    "NSS, CC, SIM, KL, IG and AUC_... are computed as the MIT benchmark's MATLAB code does; AUC\n"
    "and sAUC are exact. sAUC takes the fixations on all other pictures evaluated as negatives,\n"
    "AUC_shuffled those on ten of them, with coordinates scaled to the picture's size. Scores\n"
    "not defined for a picture (no fixations) are left out of the means.\n";

enum { MAX_ROWS = 32, BLOCK = 8, THUMB = 220, TEN = 10 };

/* Columns behind the metrics of the library: what a crop of this shape keeps. */
enum { CROPS = 3, SCORES = SAL_METRICS + CROPS, ALL_METRICS = (1 << SAL_METRICS) - 1 };
static const double shape[CROPS] = { 1, 16 / 9.0, 9 / 16.0 };

/* From LEAVE_ONE_OUT on it is viewers that are scored, not maps. */
typedef enum row_kind { MODEL, MAPS, PRIOR, CENTER_BOX, LEAVE_ONE_OUT, SPLIT_HALF } row_kind;

typedef struct bytes { unsigned char *data; int size; } bytes;

/* One line of the table. */
typedef struct score_row {
    row_kind kind;
    char name[128];
    const char *model, *weights, *folder;   /* as given */
    int center, open;
    sal_model of;
    double (*value)[SCORES];                /* of each picture */
    bytes *thumb;                           /* of each map, as JPEG */
} score_row;

/* A picture of the block in progress. */
typedef struct picture_job {
    int image;
    sal_item item;
    sal_map map[MAX_ROWS];
    sal_map prior;                          /* the baseline of IG */
    sal_result result;
    char error[512];
} picture_job;

typedef struct evaluation {
    sal_ctx ctx, *worker;                   /* worker: one for each thread */
    const char *data, *split, *prior_path, *csv, *json, *html;
    double test_share;
    int h, w;                   /* input of the networks; 0: their own */
    int domain, limit, strips, baselines, crop, per_image, quiet;
    unsigned metrics;
    int order[SCORES], columns;             /* the metrics in the order asked for */
    sal_dataset set;
    int images, set_open;
    sal_item *gaze;                         /* fixations and size of each picture */
    sal_map prior;                          /* from --prior */
    score_row row[MAX_ROWS];
    int rows;
    bytes *photo, *human;                   /* thumbnails */
    picture_job job[BLOCK];
} evaluation;

static const sal_metric_info *metric_about(int m) {
    static const char text[] = "share of the fixations in the best box of half the area";
    static const sal_metric_info crop[CROPS] = { { "crop_1:1", text, 1, SAL_NEEDS_FIXATIONS },
                                                 { "crop_16:9", text, 1, SAL_NEEDS_FIXATIONS },
                                                 { "crop_9:16", text, 1, SAL_NEEDS_FIXATIONS } };
    return m < SAL_METRICS ? sal_metric_about((sal_metric)m) : &crop[m - SAL_METRICS];
}

static const char *metric_name(int m) { return metric_about(m)->name; }

/* --- maps of one picture ------------------------------------------------------------------- */

/* DIR/NAME.npy, .png ... for picture NAME.jpg (which may lie in a sub-folder of the set). */
static sal_result read_map(sal_ctx *ctx, const char *folder, const char *name, sal_map *map) {
    static const char *const end[] = { "npy", "png", "jpg", "jpeg", "bmp", "pgm" };
    const char *slash = strrchr(name, '/'), *dot;
    char path[4096];
    int k, whole;
    for (whole = 1; whole >= 0; whole--) {
        if (!whole && slash) name = slash + 1;
        dot = strrchr(name, '.');
        for (k = 0; k < SAL__COUNT(end); k++) {
            snprintf(path, sizeof path, "%s/%.*s.%s", folder,
                     dot ? (int)(dot - name) : (int)strlen(name), name, end[k]);
            if (sal_path_kind(path) == 0)
                return k == 0 ? sal_map_load_npy(ctx, path, map)
                              : sal_map_load_image(ctx, path, map);
        }
    }
    snprintf(ctx->error, sizeof ctx->error, "%s: there is no map for %s (.npy, .png, .jpg ...)",
             folder, name);
    return SAL_ERR_IO;
}

static sal_result fit_map(sal_ctx *ctx, sal_map *map, int w, int h) {
    sal_map fitted;
    sal_result r;
    if (map->w == w && map->h == h) return SAL_OK;
    r = sal_map_new(ctx, w, h, &fitted);
    if (!r) r = sal_resize(ctx, fitted.data, w, h, map->data, map->w, map->h, 1, SAL_LINEAR);
    if (r) { sal_map_free(ctx, &fitted); return r; }
    sal_map_free(ctx, map);
    *map = fitted;
    return SAL_OK;
}

/* The fixations on the other pictures that are evaluated (only[k] tells which, NULL: all), scaled
   to this one. Release with sal_free. */
static sal_result other_fixations(sal_ctx *ctx, const evaluation *e, int image, const char *only,
                                  sal_fixation **fixation, int *count) {
    int k, i, n = 0, w = e->gaze[image].w, h = e->gaze[image].h;
    for (k = 0; k < e->images; k++)
        if (k != image && (!only || only[k])) n += e->gaze[k].fixations;
    *count = n;
    *fixation = SAL__NEW(ctx, sal_fixation, n + 1);
    if (!*fixation) return SAL_ERR_MEMORY;
    for (n = k = 0; k < e->images; k++) {
        const sal_item *g = &e->gaze[k];
        if (k == image || (only && !only[k])) continue;
        for (i = 0; i < g->fixations; i++, n++) {
            (*fixation)[n] = g->fixation[i];
            (*fixation)[n].x = (float)((g->fixation[i].x + 0.5) * w / g->w - 0.5);
            (*fixation)[n].y = (float)((g->fixation[i].y + 0.5) * h / g->h - 0.5);
        }
    }
    return SAL_OK;
}

static sal_points points_of(const sal_fixation *f, int count) {
    static const sal_fixation none = { 0, 0, 0, 0, 0 };
    sal_points p;
    if (!count) f = &none;
    p.x = &f->x; p.y = &f->y; p.count = count;
    p.stride = (int)(sizeof *f / sizeof(float));
    return p;
}

static sal_result density_of(sal_ctx *ctx, const sal_item *item, const sal_fixation *f, int count,
                             sal_map *map) {
    double sigma = item->sigma > 0 ? item->sigma : SAL__MAX(item->w, item->h) / 32.0;
    return sal_density(ctx, f, count, item->w, item->h, sigma, map);
}

/* --- scores of one picture ----------------------------------------------------------------- */

/* What all rows of a picture are compared with. */
typedef struct target {
    sal_score_desc desc;
    sal_fixation *others, *ten;     /* on all other pictures, on ten of them */
    int other_count, ten_count;
} target;

/* The share of the fixations in the box of half the picture's area (or the largest of this shape
   that fits) that keeps the most of the map. */
static sal_result score_crop(sal_ctx *ctx, const sal_map *map, double aspect, const sal_fixation *f,
                             int count, double *value) {
    sal_crop_desc d;
    sal_box box;
    sal_result r;
    int i, inside = 0;
    memset(&d, 0, sizeof d);
    d.aspect = aspect; d.area = 0.5;
    r = sal_crop(ctx, map, &d, &box);
    if (r || !count) return r;
    for (i = 0; i < count; i++) {           /* the first pixel reaches from 0 to 1 in boxes */
        double x = f[i].x + 0.5, y = f[i].y + 0.5;
        inside += x >= box.left && x <= box.right && y >= box.top && y <= box.bottom;
    }
    *value = (double)inside / count;
    return SAL_OK;
}

/* Two calls, as the two kinds of shuffled AUC have different negatives. */
static sal_result score(sal_ctx *ctx, const evaluation *e, const target *t, const sal_map *map,
                        const float *density, const sal_fixation *f, int count, double *value) {
    const unsigned mit = SAL_METRIC_BIT(SAL_AUC_SHUFFLED) | SAL_METRIC_BIT(SAL_AUC_SHUFFLED_MEAN);
    sal_score_desc d = t->desc;
    double shuffled[SAL_METRICS];
    sal_result r = SAL_OK;
    int m;
    d.map = map->data; d.density = density;
    d.fixations = points_of(f, count);
    d.others = points_of(t->others, t->other_count);
    for (m = 0; m < SCORES; m++) value[m] = NAN;
    d.metrics = e->metrics & ALL_METRICS & ~mit;
    if (d.metrics) r = sal_score(ctx, &d, value);
    d.others = points_of(t->ten, t->ten_count);
    d.metrics = e->metrics & mit;
    if (!r && d.metrics) r = sal_score(ctx, &d, shuffled);
    for (m = 0; m < SAL_METRICS; m++)
        if (e->metrics & mit & SAL_METRIC_BIT(m)) value[m] = shuffled[m];
    for (m = SAL_METRICS; m < SCORES && !r; m++)
        if (e->metrics >> m & 1)
            r = score_crop(ctx, map, shape[m - SAL_METRICS], f, count, &value[m]);
    return r;
}

/* How well do the fixations of the viewers not chosen predict those of the chosen ones? Adds to the
   sums over comparisons; map, if not NULL, receives the prediction. */
static sal_result compare_viewers(sal_ctx *ctx, const evaluation *e, const target *t,
                                  const sal_item *item, const char *chosen, double *sum, int *n,
                                  sal_map *keep) {
    sal_fixation *f = SAL__NEW(ctx, sal_fixation, item->fixations);
    sal_map map, density;
    double value[SCORES];
    sal_result r = f ? SAL_OK : SAL_ERR_MEMORY;
    int i, in = 0, out = 0, m;
    memset(&map, 0, sizeof map); memset(&density, 0, sizeof density);
    for (i = 0; !r && i < item->fixations; i++) {       /* chosen in front, the others behind */
        const sal_fixation *from = &item->fixation[i];
        if (chosen[from->subject]) f[in++] = *from; else f[item->fixations - ++out] = *from;
    }
    if (!r && in && out) {
        r = density_of(ctx, item, f + in, out, &map);
        if (!r) r = density_of(ctx, item, f, in, &density);
        if (!r) r = score(ctx, e, t, &map, density.data, f, in, value);
        for (m = 0; !r && m < SCORES; m++)
            if (!isnan(value[m])) { sum[m] += value[m]; n[m]++; }
    }
    if (keep) { sal_map_free(ctx, keep); *keep = map; } else sal_map_free(ctx, &map);
    sal_map_free(ctx, &density);
    sal_free(ctx, f);
    return r;
}

static sal_result score_viewers(sal_ctx *ctx, const evaluation *e, const target *t, row_kind kind,
                                const sal_item *item, double *value, sal_map *map) {
    char *chosen = SAL__NEW(ctx, char, item->subjects + 1);
    double sum[SCORES] = { 0 };
    int n[SCORES] = { 0 }, s, m, viewers = item->subjects;
    sal_result r = chosen ? SAL_OK : SAL_ERR_MEMORY;
    sal_rng rng;
    rng.state = t->desc.seed;
    if (kind == LEAVE_ONE_OUT) {
        for (s = 0; !r && s < viewers; s++) {
            chosen[s] = 1;
            r = compare_viewers(ctx, e, t, item, chosen, sum, n, map);
            chosen[s] = 0;
        }
    } else if (!r) {
        for (s = 0; s < viewers / 2; ) {                /* a random half */
            uint32_t pick = sal_rng_below(&rng, (uint32_t)viewers);
            if (!chosen[pick]) { chosen[pick] = 1; s++; }
        }
        r = compare_viewers(ctx, e, t, item, chosen, sum, n, NULL);
        for (s = 0; s < viewers; s++) chosen[s] = !chosen[s];
        if (!r) r = compare_viewers(ctx, e, t, item, chosen, sum, n, map);
    }
    for (m = 0; m < SCORES; m++) value[m] = n[m] ? sum[m] / n[m] : NAN;
    sal_free(ctx, chosen);
    return r;
}

/* --- thumbnails ---------------------------------------------------------------------------- */

static void append_bytes(void *context, void *data, int size) {
    bytes *b = (bytes *)context;
    unsigned char *more = b->size < 0 ? NULL : (unsigned char *)realloc(b->data,
                                                                        (size_t)(b->size + size));
    if (!more) { free(b->data); b->data = NULL; b->size = -1; return; }
    memcpy(more + b->size, data, (size_t)size);
    b->data = more;
    b->size += size;
}

/* A plane set of 1 channel (in the colours of sal_colormap) or 3 (0..255), as a small JPEG. */
static sal_result make_thumb(sal_ctx *ctx, const float *in, int w, int h, int channels,
                             bytes *out) {
    double scale = SAL__MIN(1.0, (double)THUMB / SAL__MAX(w, h));
    int tw = SAL__MAX(1, (int)(w * scale + 0.5)), th = SAL__MAX(1, (int)(h * scale + 0.5)), i;
    float *small = SAL__NEW(ctx, float, tw * th * channels), top = 0;
    unsigned char *rgb = SAL__NEW(ctx, unsigned char, tw * th * 3);
    sal_result r = small && rgb ? SAL_OK : SAL_ERR_MEMORY;
    if (!r) r = sal_resize(ctx, small, tw, th, in, w, h, channels, SAL_AREA);
    if (!r) {
        for (i = 0; i < tw * th * channels; i++) if (small[i] > top) top = small[i];
        for (i = 0; i < tw * th; i++)
            if (channels == 1) sal_colormap(top > 0 ? small[i] / top : 0, rgb + 3 * i);
        for (i = 0; channels == 3 && i < tw * th * 3; i++)
            rgb[i] = (unsigned char)sal__clamp(small[i] + 0.5, 0, 255);
        free(out->data);
        out->data = NULL; out->size = 0;
        if (!stbi_write_jpg_to_func(append_bytes, out, tw, th, 3, rgb, 85) || out->size <= 0)
            r = SAL_ERR_MEMORY;
    }
    sal_free(ctx, rgb); sal_free(ctx, small);
    return r;
}

static sal_result make_thumbs(sal_ctx *ctx, evaluation *e, picture_job *j) {
    const sal_image *photo = &j->item.image;
    size_t i, n = (size_t)photo->w * (size_t)photo->h * 3;
    float *plane = SAL__NEW(ctx, float, n);
    sal_result r = plane ? SAL_OK : SAL_ERR_MEMORY;
    int k;
    for (i = 0; plane && i < n; i++) plane[i] = photo->data[i];
    if (!r) r = make_thumb(ctx, plane, photo->w, photo->h, 3, &e->photo[j->image]);
    if (!r) r = make_thumb(ctx, j->item.density.data, j->item.density.w, j->item.density.h, 1,
                           &e->human[j->image]);
    for (k = 0; k < e->rows && !r; k++)
        if (j->map[k].data)
            r = make_thumb(ctx, j->map[k].data, j->map[k].w, j->map[k].h, 1,
                           &e->row[k].thumb[j->image]);
    sal_free(ctx, plane);
    return r;
}

/* --- a block of pictures ------------------------------------------------------------------- */

static void job_failed(picture_job *j, const sal_ctx *ctx, sal_result r) {
    if (!r || j->result) return;
    j->result = r;
    snprintf(j->error, sizeof j->error, "%s", sal_error(ctx));
}

/* Load the picture; make the maps that need no network. */
static void prepare(void *arg, int index, int worker) {
    evaluation *e = (evaluation *)arg;
    picture_job *j = &e->job[index];
    sal_ctx *ctx = &e->worker[worker];
    sal_result r;
    int k, parts = SAL_ITEM_DENSITY | (e->html ? SAL_ITEM_IMAGE : 0);
    for (k = 0; k < e->rows; k++) if (e->row[k].kind == MODEL) parts |= SAL_ITEM_IMAGE;
    r = sal_dataset_item(ctx, &e->set, j->image, parts, &j->item);
    for (k = 0; k < e->rows && !r; k++) {
        const score_row *row = &e->row[k];
        if (row->kind == MAPS) r = read_map(ctx, row->folder, j->item.name, &j->map[k]);
        else if (row->kind == MODEL && !row->of.net)
            r = sal_model_predict(ctx, (sal_model *)&row->of, &j->item.image, &j->map[k]);
        if (!r && j->map[k].data) r = fit_map(ctx, &j->map[k], j->item.w, j->item.h);
    }
    job_failed(j, ctx, r);
}

static int needs(const evaluation *e, int what) {
    int m;
    for (m = 0; m < SAL_METRICS; m++)
        if (e->metrics >> m & 1 && sal_metric_about((sal_metric)m)->needs & what) return 1;
    return 0;
}

/* Score all rows of the picture. */
static void score_all(void *arg, int index, int worker) {
    evaluation *e = (evaluation *)arg;
    picture_job *j = &e->job[index];
    sal_ctx *ctx = &e->worker[worker];
    const sal_item *gaze = &e->gaze[j->image];
    char *drawn = SAL__NEW(ctx, char, e->images);
    sal_result r = drawn ? SAL_OK : SAL_ERR_MEMORY;
    sal_rng rng;
    target t;
    sal_map even;
    int k, m;
    memset(&t, 0, sizeof t);
    t.desc.w = j->item.w; t.desc.h = j->item.h;
    t.desc.seed = rng.state = e->ctx.seed + (uint64_t)j->image * 1000003u;
    for (k = 0; !r && k < SAL__MIN(TEN, e->images - 1); ) {
        uint32_t pick = sal_rng_below(&rng, (uint32_t)e->images);
        if ((int)pick != j->image && !drawn[pick]) { drawn[pick] = 1; k++; }
    }
    if (!r) r = other_fixations(ctx, e, j->image, NULL, &t.others, &t.other_count);
    if (!r) r = other_fixations(ctx, e, j->image, drawn, &t.ten, &t.ten_count);
    if (!r && needs(e, SAL_NEEDS_BASELINE)) {
        if (!e->prior.data) r = density_of(ctx, &j->item, t.others, t.other_count, &j->prior);
        else {
            r = sal_map_new(ctx, e->prior.w, e->prior.h, &j->prior);
            if (!r) memcpy(j->prior.data, e->prior.data, (size_t)e->prior.w * (size_t)e->prior.h *
                                                         sizeof(float));
            if (!r) r = fit_map(ctx, &j->prior, j->item.w, j->item.h);
        }
    }
    t.desc.baseline = j->prior.data;
    for (k = 0; k < e->rows && !r; k++) {
        score_row *row = &e->row[k];
        double *value = row->value[j->image];
        if (row->kind == PRIOR) {
            r = density_of(ctx, &j->item, t.others, t.other_count, &j->map[k]);
            if (r) break;
        }
        if (row->kind == CENTER_BOX) {
            for (m = 0; m < SCORES; m++) value[m] = NAN;
            r = sal_map_new(ctx, j->item.w, j->item.h, &even);
            for (m = SAL_METRICS; m < SCORES && !r; m++)
                r = score_crop(ctx, &even, shape[m - SAL_METRICS], gaze->fixation, gaze->fixations,
                               &value[m]);
            sal_map_free(ctx, &even);
        } else if (row->kind >= LEAVE_ONE_OUT)
            r = score_viewers(ctx, e, &t, row->kind, gaze, value, &j->map[k]);
        else
            r = score(ctx, e, &t, &j->map[k], j->item.density.data, gaze->fixation,
                      gaze->fixations, value);
    }
    if (!r && e->html) r = make_thumbs(ctx, e, j);
    sal_free(ctx, t.ten); sal_free(ctx, t.others); sal_free(ctx, drawn);
    job_failed(j, ctx, r);
}

static void show_progress(const evaluation *e, int done, time_t start) {
    int i, width = 40, full = done * width / e->images;
    double left = done ? difftime(time(NULL), start) * (e->images - done) / done : 0;
    fprintf(stderr, "\r[");
    for (i = 0; i < width; i++) fputc(i < full ? '#' : '.', stderr);
    fprintf(stderr, "] %d/%d", done, e->images);
    if (done == e->images) fprintf(stderr, "%20s\n", "");
    else if (done) fprintf(stderr, "  %d:%02d left   ", (int)left / 60, (int)left % 60);
}

static int evaluate_block(evaluation *e, int first, int count) {
    int i, k, status = 0;
    memset(e->job, 0, sizeof e->job);
    for (i = 0; i < count; i++) e->job[i].image = first + i;
    sal_parallel_for(&e->ctx, count, prepare, e);
    for (i = 0; i < count; i++)             /* a network uses all threads for one picture */
        for (k = 0; k < e->rows && !e->job[i].result; k++)
            if (e->row[k].kind == MODEL && e->row[k].of.net)
                job_failed(&e->job[i], &e->ctx,
                           sal_model_predict(&e->ctx, &e->row[k].of, &e->job[i].item.image,
                                             &e->job[i].map[k]));
    for (i = 0; i < count; i++) if (e->job[i].result) status = 1;
    if (!status) sal_parallel_for(&e->ctx, count, score_all, e);
    status = 0;
    for (i = 0; i < count; i++) {
        picture_job *j = &e->job[i];
        if (j->result && !status) status = complain("%s: %s", j->item.name ? j->item.name :
                                                    e->set.entry[j->image].name, j->error);
        for (k = 0; k < e->rows; k++) sal_map_free(&e->ctx, &j->map[k]);
        sal_map_free(&e->ctx, &j->prior);
        sal_item_free(&e->ctx, &j->item);
    }
    return status;
}

static int evaluate(evaluation *e) {
    int i, first, bar = !e->quiet && isatty(2);
    time_t start = time(NULL);
    for (i = 0; i < e->images; i++) {
        sal_item *g = &e->gaze[i];
        if (sal_dataset_item(&e->ctx, &e->set, i, SAL_ITEM_FIXATIONS, g))
            return complain("%s", sal_error(&e->ctx));
        for (first = 0; first < g->fixations; first++) {    /* up to a pixel may be outside */
            sal_fixation *f = &g->fixation[first];
            f->x = (float)sal__clamp(f->x, 0, g->w - 1);
            f->y = (float)sal__clamp(f->y, 0, g->h - 1);
        }
    }
    for (first = 0; first < e->images; first += BLOCK) {
        if (bar) show_progress(e, first, start);
        if (evaluate_block(e, first, SAL__MIN(BLOCK, e->images - first))) {
            if (bar) fprintf(stderr, "\n");
            return 1;
        }
    }
    if (bar) show_progress(e, e->images, start);
    return 0;
}

/* --- results as text ----------------------------------------------------------------------- */

typedef struct text { char *data; size_t size, room; int failed; } text;

static void say(text *t, const char *format, ...) {
    va_list args;
    int n;
    for (;;) {
        size_t left = t->room - t->size;
        char *more;
        va_start(args, format);
        n = t->failed ? 0 : vsnprintf(t->data ? t->data + t->size : NULL, left, format, args);
        va_end(args);
        if (n < 0 || t->failed) { t->failed = 1; return; }
        if ((size_t)n < left) { t->size += (size_t)n; return; }
        more = (char *)realloc(t->data, 2 * t->room + (size_t)n + 4096);
        if (!more) { t->failed = 1; return; }
        t->data = more;
        t->room = 2 * t->room + (size_t)n + 4096;
    }
}

/* A name inside HTML (&lt;) or JSON (\u003c): no letter that means something to either. */
static void say_name(text *t, const char *name, int json) {
    for (; *name; name++) {
        unsigned char c = (unsigned char)*name;
        if (c >= ' ' && !strchr("<>&\"'\\", c)) say(t, "%c", c);
        else if (json) say(t, "\\u%04x", c);
        else say(t, "&#%d;", c);
    }
}

/* Of the pictures where the score is defined. */
typedef struct summary { int n; double mean, se; } summary;

static summary summarise(const evaluation *e, const score_row *row, int metric) {
    summary s = { 0, NAN, NAN };
    double sum = 0, square = 0;
    int i;
    for (i = 0; i < e->images; i++)
        if (!isnan(row->value[i][metric])) { sum += row->value[i][metric]; s.n++; }
    if (s.n) s.mean = sum / s.n;
    for (i = 0; i < e->images; i++)
        if (!isnan(row->value[i][metric]))
            square += (row->value[i][metric] - s.mean) * (row->value[i][metric] - s.mean);
    if (s.n > 1) s.se = sqrt(square / (s.n - 1) / s.n);
    return s;
}

static void say_number(text *t, double x, const char *format, const char *none) {
    if (isfinite(x)) say(t, format, x); else say(t, "%s", none);
}

static int column_width(const score_row *row) { return SAL__MAX(16, (int)strlen(row->name)); }

static void make_table(const evaluation *e, text *t) {
    int c, k, i;
    for (i = 0; e->per_image && i < e->images; i++)
        for (k = 0; k < e->rows; k++) {
            say(t, "%s  %s ", e->gaze[i].name, e->row[k].name);
            for (c = 0; c < e->columns; c++) {
                say(t, " %s ", metric_name(e->order[c]));
                say_number(t, e->row[k].value[i][e->order[c]], "%.4f", "-");
            }
            say(t, "\n");
        }
    if (e->quiet) return;
    say(t, "%s: %d pictures, mean and standard error\n\n%-18s", e->data, e->images, "");
    for (k = 0; k < e->rows; k++) say(t, "  %*s", column_width(&e->row[k]), e->row[k].name);
    say(t, "\n");
    for (c = 0; c < e->columns; c++) {
        say(t, "%-18s", metric_name(e->order[c]));
        for (k = 0; k < e->rows; k++) {
            summary s = summarise(e, &e->row[k], e->order[c]);
            say(t, "  %*s", column_width(&e->row[k]) - 16, "");
            if (s.n > 1) say(t, "%8.4f %7.4f", s.mean, s.se);
            else if (s.n) say(t, "%8.4f %7s", s.mean, "-");
            else say(t, "%8s %7s", "-", "-");
        }
        say(t, "\n");
    }
}

static void say_csv(text *t, const char *name) {
    if (!strpbrk(name, ",\"\n")) { say(t, "%s", name); return; }
    say(t, "\"");
    for (; *name; name++) say(t, *name == '"' ? "\"\"" : "%c", *name);
    say(t, "\"");
}

static void make_csv(const evaluation *e, text *t) {
    int i, k, c;
    say(t, "model,image");
    for (c = 0; c < e->columns; c++) say(t, ",%s", metric_name(e->order[c]));
    for (k = 0; k < e->rows; k++)
        for (i = 0; i < e->images; i++) {
            say(t, "\n");
            say_csv(t, e->row[k].name);
            say(t, ",");
            say_csv(t, e->gaze[i].name);
            for (c = 0; c < e->columns; c++) {
                say(t, ",");
                say_number(t, e->row[k].value[i][e->order[c]], "%.10g", "");
            }
        }
    say(t, "\n");
}

static void make_json(const evaluation *e, text *t) {
    int k, c;
    say(t, "{\"models\":[");
    for (k = 0; k < e->rows; k++) {
        say(t, "%s\n {\"name\":\"", k ? "," : "");
        say_name(t, e->row[k].name, 1);
        say(t, "\",\"images\":%d,\"metrics\":{", e->images);
        for (c = 0; c < e->columns; c++) {
            summary s = summarise(e, &e->row[k], e->order[c]);
            say(t, "%s\n  \"%s\":{\"mean\":", c ? "," : "", metric_name(e->order[c]));
            say_number(t, s.mean, "%.10g", "null");
            say(t, ",\"se\":");
            say_number(t, s.se, "%.10g", "null");
            say(t, "}");
        }
        say(t, "}}");
    }
    say(t, "\n]}\n");
}

#include "evaluate_report.h"      /* make_html */

static int write_text(evaluation *e, const char *path,
                      void (*make)(const evaluation *e, text *t)) {
    text t = { NULL, 0, 0, 0 };
    int status = 0;
    make(e, &t);
    if (t.failed) status = complain("%s: out of memory", path ? path : "table");
    else if (!path) fwrite(t.data ? t.data : "", 1, t.size, stdout);
    else if (sal_file_write(&e->ctx, path, t.data, t.size))
        status = complain("%s", sal_error(&e->ctx));
    free(t.data);
    return status;
}

/* --- options ------------------------------------------------------------------------------- */

static int parse_metrics(evaluation *e, const char *list) {
    e->metrics = 0; e->columns = 0;
    while (*list) {
        int length = (int)strcspn(list, ","), m, found = -1;
        for (m = 0; m < SCORES; m++)
            if ((int)strlen(metric_name(m)) == length && !strncmp(metric_name(m), list, length))
                found = m;
        if (found < 0) return complain("%.*s is not a metric; see evaluate --help", length, list);
        if (!(e->metrics >> found & 1)) e->order[e->columns++] = found;
        e->metrics |= SAL_METRIC_BIT(found);
        list += length + (list[length] == ',');
    }
    return e->columns ? 0 : complain("--metrics needs names; see evaluate --help");
}

/* The last part of a path, without .safetensors. */
static void short_name(char *name, size_t size, const char *path) {
    size_t end = strlen(path), start;
    char *dot;
    while (end > 1 && path[end - 1] == '/') end--;
    for (start = end; start > 0 && path[start - 1] != '/'; ) start--;
    snprintf(name, size, "%.*s", (int)(end - start), path + start);
    dot = strrchr(name, '.');
    if (dot && !strcmp(dot, ".safetensors")) *dot = 0;
}

static int add_row(evaluation *e, row_kind kind, const char *model, const char *weights,
                   const char *folder) {
    static const char *const baseline[] = { "", "", "centre prior", "centre box",
                                            "viewer vs others", "half vs half" };
    score_row *row = &e->row[e->rows];
    size_t length = model ? strlen(model) : 0;
    if (e->rows == MAX_ROWS) return complain("at most %d models in one table", MAX_ROWS);
    row->kind = kind; row->weights = weights; row->folder = folder; row->model = model;
    row->center = length > 7 && !strcmp(model + length - 7, "+center");
    snprintf(row->name, sizeof row->name, "%s", model ? model : baseline[kind]);
    if (weights || folder) short_name(row->name, sizeof row->name, weights ? weights : folder);
    e->rows++;
    return 0;
}

static int open_models(evaluation *e) {
    int k, i, same;
    char name[128];
    for (k = 0; k < e->rows; k++) {
        score_row *row = &e->row[k];
        if (row->kind == MAPS && sal_path_kind(row->folder) != 1)
            return complain("%s: is not a folder", row->folder);
        if (row->kind == MODEL) {
            snprintf(name, sizeof name, "%s", row->name);
            if (row->center) name[strlen(name) - 7] = 0;
            if (sal_model_open(&e->ctx, row->model ? name : NULL, row->weights, &row->of))
                return complain("%s", sal_error(&e->ctx));
            row->open = 1;
            row->of.center = row->center;
            row->of.domain = e->domain;
            if (e->h && sal_model_resize(&e->ctx, &row->of, e->h, e->w))
                return complain("%s", sal_error(&e->ctx));
            if (!*row->name) snprintf(row->name, sizeof row->name, "%s", row->of.name);
        }
        for (same = 1, i = 0; i < k; i++) if (!strcmp(e->row[i].name, row->name)) same++;
        if (same > 1) {
            size_t end = strlen(row->name);
            snprintf(row->name + end, sizeof row->name - end, " (%d)", same);
        }
        row->value = (double (*)[SCORES])calloc((size_t)e->images, sizeof *row->value);
        row->thumb = (bytes *)calloc((size_t)e->images, sizeof(bytes));
        if (!row->value || !row->thumb) return complain("out of memory");
    }
    return 0;
}

/* The pictures of the test share to the front; returns how many they are. */
static int test_share_first(sal_dataset *set, double share) {
    int i, count = 0;
    for (i = 0; i < set->count; i++)
        if (sal_name_share(set->entry[i].name, 0) < share) {
            sal_dataset_entry entry = set->entry[i];
            memmove(&set->entry[count + 1], &set->entry[count],
                    (size_t)(i - count) * sizeof entry);
            set->entry[count++] = entry;
        }
    return count;
}

/* Better now than after an hour: can a file be written there? */
static int check_output(const char *path) {
    char folder[4096];
    const char *slash = path ? strrchr(path, '/') : NULL;
    if (!path) return 0;
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1,
             slash ? path : ".");
    if (sal_path_kind(path) == 1) return complain("%s: is a folder", path);
    if (access(folder, W_OK)) return complain("%s: cannot be written: %s", path, strerror(errno));
    return 0;
}

static int open_all(evaluation *e) {
    sal_dataset_options options;
    int i, count;
    memset(&options, 0, sizeof options);
    options.split = e->split;
    if (!e->data) return complain("which data set? --data DIR; see evaluate --help");
    if (check_output(e->csv) || check_output(e->json) || check_output(e->html)) return 1;
    if (sal_dataset_open(&e->ctx, e->data, &options, &e->set))
        return complain("%s", sal_error(&e->ctx));
    e->set_open = 1;
    count = e->test_share > 0 ? test_share_first(&e->set, e->test_share) : e->set.count;
    e->images = e->limit ? SAL__MIN(e->limit, count) : count;
    if (e->images < 1) return complain("%s: no pictures in this data set", e->data);
    if (e->prior_path) {
        const char *dot = strrchr(e->prior_path, '.');
        if (dot && !strcmp(dot, ".npy") ? sal_map_load_npy(&e->ctx, e->prior_path, &e->prior)
                                        : sal_map_load_image(&e->ctx, e->prior_path, &e->prior))
            return complain("%s", sal_error(&e->ctx));
    }
    if (e->baselines && add_row(e, PRIOR, NULL, NULL, NULL)) return 1;
    if (e->crop && add_row(e, CENTER_BOX, NULL, NULL, NULL)) return 1;
    if ((e->baselines || e->crop) && e->set.subjects < 2)
        complain("%s does not tell viewers apart: no rows for them", e->data);
    else if ((e->baselines || e->crop) && (add_row(e, LEAVE_ONE_OUT, NULL, NULL, NULL) ||
                                           add_row(e, SPLIT_HALF, NULL, NULL, NULL))) return 1;
    if (!e->rows && add_row(e, MODEL, NULL, NULL, NULL)) return 1;
    e->gaze = (sal_item *)calloc((size_t)e->images, sizeof(sal_item));
    e->photo = (bytes *)calloc((size_t)e->images, sizeof(bytes));
    e->human = (bytes *)calloc((size_t)e->images, sizeof(bytes));
    e->worker = (sal_ctx *)calloc((size_t)sal_threads(&e->ctx), sizeof(sal_ctx));
    if (!e->gaze || !e->photo || !e->human || !e->worker) return complain("out of memory");
    for (i = 0; i < sal_threads(&e->ctx); i++) e->worker[i].threads = 1;
    return open_models(e);
}

static void close_all(evaluation *e) {
    int i, k;
    for (k = 0; k < e->rows; k++) {
        for (i = 0; e->row[k].thumb && i < e->images; i++) free(e->row[k].thumb[i].data);
        free(e->row[k].thumb);
        free(e->row[k].value);
        if (e->row[k].open) sal_model_close(&e->ctx, &e->row[k].of);
    }
    for (i = 0; i < e->images; i++) {
        if (e->gaze) sal_item_free(&e->ctx, &e->gaze[i]);
        if (e->photo) free(e->photo[i].data);
        if (e->human) free(e->human[i].data);
    }
    free(e->worker); free(e->human); free(e->photo); free(e->gaze);
    sal_map_free(&e->ctx, &e->prior);
    if (e->set_open) sal_dataset_close(&e->ctx, &e->set);
    free(e);
}

static void print_help(void) {
    int m;
    fputs(help, stdout);
    for (m = 0; m < SCORES; m++) printf("  %-18s %s\n", metric_name(m), metric_about(m)->text);
    fputs(help_end, stdout);
}

static int parse_options(evaluation *e, int argc, char **argv) {
    int i, status = 0, seed = 1;
    for (i = 1; i < argc && !status; i++) {
        const char *a = argv[i], *v = argv[i + 1];
        if (!strcmp(a, "--baselines")) e->baselines = 1;
        else if (!strcmp(a, "--crop")) e->crop = 1;
        else if (!strcmp(a, "--per-image")) e->per_image = 1;
        else if (!strcmp(a, "--quiet")) e->quiet = 1;
        else if (a[0] != '-') status = complain("%s: what to do with it? see evaluate --help", a);
        else if (!v) status = complain("%s: needs a value, or is no option; see evaluate --help",
                                       a);
        else if (i++, !strcmp(a, "-m")) status = add_row(e, MODEL, v, NULL, NULL);
        else if (!strcmp(a, "-w")) status = add_row(e, MODEL, NULL, v, NULL);
        else if (!strcmp(a, "--maps")) status = add_row(e, MAPS, NULL, NULL, v);
        else if (!strcmp(a, "--data")) e->data = v;
        else if (!strcmp(a, "--split")) e->split = v;
        else if (!strcmp(a, "--prior")) e->prior_path = v;
        else if (!strcmp(a, "--csv")) e->csv = v;
        else if (!strcmp(a, "--json")) e->json = v;
        else if (!strcmp(a, "--html")) e->html = v;
        else if (!strcmp(a, "--metrics")) status = parse_metrics(e, v);
        else if (!strcmp(a, "--limit")) status = read_whole(a, v, 1, INT_MAX, &e->limit);
        else if (!strcmp(a, "--threads")) status = read_whole(a, v, 1, MOST_THREADS, &e->ctx.threads);
        else if (!strcmp(a, "--test-share")) status = read_number(a, v, 0, 0, 1, &e->test_share);
        else if (!strcmp(a, "--domain")) status = read_whole(a, v, 0, SAL_DOMAINS - 1, &e->domain);
        else if (!strcmp(a, "--input")) status = read_size(a, v, &e->h, &e->w);
        else if (!strcmp(a, "--seed")) status = read_whole(a, v, 1, INT_MAX, &seed);
        else if (!strcmp(a, "--strips")) status = read_whole(a, v, 1, INT_MAX, &e->strips);
        else status = complain("%s is not an option; see evaluate --help", a);
    }
    e->ctx.seed = (uint64_t)seed;
    return status;
}

int main(int argc, char **argv) {
    evaluation *e = (evaluation *)calloc(1, sizeof *e);
    int i, status, given;
    if (!e) return complain("out of memory");
    sal_use_lite(&e->ctx);
    for (i = 1; i < argc; i++)
        if (!strcmp(argv[i], "-h") || !strcmp(argv[i], "--help")) {
            print_help();
            free(e);
            return 0;
        }
    e->strips = 100;
    status = parse_options(e, argc, argv);
    given = e->metrics != 0;
    for (i = 0; i < SCORES; i++)            /* what is scored if nobody says */
        if (!(e->metrics >> i & 1) && (i < SAL_METRICS ? !given && !e->crop : e->crop)) {
            e->order[e->columns++] = i;
            e->metrics |= SAL_METRIC_BIT(i);
        }
    status = status || open_all(e) || evaluate(e);
    if (!status) status = write_text(e, NULL, make_table);
    if (!status && e->csv) status = write_text(e, e->csv, make_csv);
    if (!status && e->json) status = write_text(e, e->json, make_json);
    if (!status && e->html) status = write_text(e, e->html, make_html);
    close_all(e);
    return status;
}
