/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* What evaluate knows, and the scores of one picture: maps against fixations, viewers against each
   other. Part of evaluate.c, which includes it behind saliency.h and cli.h. */

enum { MAX_ROWS = 32, BLOCK = 8, THUMB = 220, TEN = 10 };

/* Columns behind the metrics of the library: what a crop of this shape keeps. */
enum { CROPS = 3, SCORES = SAL_METRIC_COUNT + CROPS, ALL_METRICS = (1 << SAL_METRIC_COUNT) - 1 };
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
    double fit_before, fit_after;           /* --fit: CC on the pictures that chose */
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
    double test_share, blur, power;
    int input[2], float32, domain, steps;            /* of the networks; 0: their own */
    int limit, fit, strips, seed, baselines, crop, per_image, quiet;
    int skip_missing, any_size;
    share part;
    int merge, standard;                    /* standard: results for standard output */
    pictures read;                          /* the files that must not be written over */
    unsigned metrics;
    int order[SCORES], columns;             /* the metrics in the order asked for */
    sal_dataset set;
    int images, set_open;
    sal_item *gaze;                         /* fixations and size of each picture */
    char **name, merged_data[1024];         /* --merge: of each picture, of the set */
    int *todo, scored;                      /* which pictures are scored: all, or the part */
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
    return m < SAL_METRIC_COUNT ? sal_metric_about((sal_metric_kind)m) : &crop[m - SAL_METRIC_COUNT];
}

static const char *metric_name(int m) { return metric_about(m)->name; }

/* --- the maps of one picture ---------------------------------------------------------------- */

static sal_result fit_map(sal_ctx *ctx, sal_map *map, int w, int h) {
    sal_map fitted;
    sal_result r;
    if (map->w == w && map->h == h) return SAL_OK;
    r = sal_map_new(ctx, w, h, &fitted);
    if (!r) r = sal_resize(ctx, fitted.data, w, h, map->data, map->w, map->h, 1, SAL_FILTER_LINEAR);
    if (r) { sal_map_free(ctx, &fitted); return r; }
    sal_map_free(ctx, map);
    *map = fitted;
    return SAL_OK;
}

/* 1 if another picture of the set is called like this one in FOLDER/NAME, but for its folder. */
static int has_namesake(const evaluation *e, const char *name) {
    const char *own = sal_path_name(name);
    int i, length = stem_length(own);
    for (i = 0; i < e->set.count; i++) {
        const char *other = sal_path_name(e->set.entry[i].name);
        if (stem_length(other) == length && !memcmp(other, own, (size_t)length) &&
            strcmp(e->set.entry[i].name, name)) return 1;
    }
    return 0;
}

/* DIR/NAME.npy, .png ... for picture NAME.jpg (which may lie in a sub-folder of the set). */
static sal_result read_map(sal_ctx *ctx, const evaluation *e, const char *folder, const char *name,
                           sal_map *map) {
    static const char *const end[] = { "npy", "png", "jpg", "jpeg", "bmp", "pgm", "NPY", "PNG",
                                       "JPG", "JPEG", "BMP", "PGM" };
    const char *full = name, *slash = strrchr(name, '/'), *dot;
    char path[4096];
    int k, whole;
    for (whole = 1; whole >= 0; whole--) {
        if (!whole && slash) name = slash + 1;
        dot = strrchr(name, '.');
        for (k = 0; k < COUNT(end); k++) {
            snprintf(path, sizeof path, "%s/%.*s.%s", folder,
                     dot ? (int)(dot - name) : (int)strlen(name), name, end[k]);
            if (sal_path_kind(path) != 0) continue;
            if (!whole && slash && has_namesake(e, full))
                return fail(ctx, "%s: for which of the pictures called %s? put it into a folder as "
                            "they are", path, name);
            if (k % 6 == 0) return sal_map_load_npy(ctx, path, map);
            return sal_map_load_image(ctx, path, map);
        }
    }
    snprintf(ctx->error, sizeof ctx->error, "%s: there is no map for %s (.npy, .png, .jpg ...)",
             folder, name);
    return SAL_ERR_IO;
}

static sal_result check_shape(sal_ctx *ctx, const char *folder, const sal_item *item,
                              const sal_map *map) {
    if (same_shape(item->w, item->h, map->w, map->h)) return SAL_OK;
    snprintf(ctx->error, sizeof ctx->error, "%s: the map of %s is %d x %d, the picture %d x %d: "
             "another shape%s; --any-size stretches it", folder, item->name, map->w, map->h,
             item->w, item->h, same_shape(item->w, item->h, map->h, map->w) ? ", as if transposed"
                                                                            : "");
    return SAL_ERR_SHAPE;
}

/* The map of a model, or one that somebody made, adjusted. item: with its picture for a model. */
static sal_result row_map(sal_ctx *ctx, const evaluation *e, score_row *row, const sal_item *item,
                          sal_map *map) {
    sal_result r;
    if (row->kind == MODEL) return sal_model_predict(ctx, &row->of, &item->image, map);
    r = read_map(ctx, e, row->folder, item->name, map);
    if (!r && !e->any_size) r = check_shape(ctx, row->folder, item, map);
    if (!r && (row->of.blur > 0 || row->of.power > 0))
        r = sal_map_adjust(ctx, map, row->of.blur, row->of.power);
    return r;
}

/* --- what maps are compared with ----------------------------------------------------------- */

/* The fixations on the other pictures that are evaluated (only[k] tells which, NULL: all), scaled
   to this one. Release with sal_free. */
static sal_result other_fixations(sal_ctx *ctx, const evaluation *e, int image, const char *only,
                                  sal_fixation **fixation, int *count) {
    int k, i, n = 0, w = e->gaze[image].w, h = e->gaze[image].h;
    for (k = 0; k < e->images; k++)
        if (k != image && (!only || only[k])) n += e->gaze[k].fixations;
    *count = n;
    *fixation = NEW(ctx, sal_fixation, n + 1);
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
    double sigma = item->sigma > 0 ? item->sigma : MAX(item->w, item->h) / 32.0;
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
    const unsigned mit = SAL_METRIC_BIT(SAL_METRIC_AUC_SHUFFLED) |
                         SAL_METRIC_BIT(SAL_METRIC_AUC_SHUFFLED_MEAN);
    sal_score_desc d = t->desc;
    double shuffled[SAL_METRIC_COUNT];
    sal_result r = SAL_OK;
    int m;
    d.map = map->data; d.density = density;
    d.fixations = points_of(f, count);
    d.others = points_of(t->others, t->other_count);
    for (m = 0; m < SCORES; m++) value[m] = NAN;
    d.metrics = e->metrics & ALL_METRICS & ~mit;
    for (m = 0; m < SAL_METRIC_COUNT && !d.baseline; m++)
        if (sal_metric_about((sal_metric_kind)m)->needs & SAL_NEEDS_BASELINE)
            d.metrics &= ~SAL_METRIC_BIT(m);
    if (d.metrics) r = sal_score(ctx, &d, value);
    d.others = points_of(t->ten, t->ten_count);
    d.metrics = e->metrics & mit;
    if (!r && d.metrics) r = sal_score(ctx, &d, shuffled);
    for (m = 0; m < SAL_METRIC_COUNT; m++)
        if (e->metrics & mit & SAL_METRIC_BIT(m)) value[m] = shuffled[m];
    for (m = SAL_METRIC_COUNT; m < SCORES && !r; m++)
        if (e->metrics >> m & 1)
            r = score_crop(ctx, map, shape[m - SAL_METRIC_COUNT], f, count, &value[m]);
    return r;
}

/* How well do the fixations of the viewers not chosen predict those of the chosen ones? Adds to the
   sums over comparisons; map, if not NULL, receives the prediction. */
static sal_result compare_viewers(sal_ctx *ctx, const evaluation *e, const target *t,
                                  const sal_item *item, const char *chosen, double *sum, int *n,
                                  sal_map *keep) {
    sal_fixation *f = NEW(ctx, sal_fixation, item->fixations);
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
    char *chosen = NEW(ctx, char, item->subjects + 1);
    double sum[SCORES] = { 0 };
    int *who = NEW(ctx, int, item->subjects + 1);
    int n[SCORES] = { 0 }, s, m, viewers = item->subjects, count = 0;
    sal_result r = chosen && who ? SAL_OK : SAL_ERR_MEMORY;
    sal_rng rng;
    rng.state = t->desc.seed;
    if (kind == LEAVE_ONE_OUT) {
        for (s = 0; !r && s < viewers; s++) {
            chosen[s] = 1;
            r = compare_viewers(ctx, e, t, item, chosen, sum, n, map);
            chosen[s] = 0;
        }
    } else if (!r) {
        for (s = 0; s < item->fixations; s++) chosen[item->fixation[s].subject] = 1;
        for (s = 0; s < viewers; s++) if (chosen[s]) who[count++] = s;      /* these saw it */
        memset(chosen, 0, (size_t)viewers);
        for (s = 0; s < count / 2; ) {                  /* a random half of them */
            uint32_t pick = sal_rng_below(&rng, (uint32_t)count);
            if (!chosen[who[pick]]) { chosen[who[pick]] = 1; s++; }
        }
        r = compare_viewers(ctx, e, t, item, chosen, sum, n, NULL);
        for (s = 0; s < count; s++) chosen[who[s]] = !chosen[who[s]];
        if (!r) r = compare_viewers(ctx, e, t, item, chosen, sum, n, map);
    }
    for (m = 0; m < SCORES; m++) value[m] = n[m] ? sum[m] / n[m] : NAN;
    sal_free(ctx, chosen); sal_free(ctx, who);
    return r;
}

/* --- one picture --------------------------------------------------------------------------- */

static int needs(const evaluation *e, int what) {
    int m;
    for (m = 0; m < SAL_METRIC_COUNT; m++)
        if (e->metrics >> m & 1 && sal_metric_about((sal_metric_kind)m)->needs & what) return 1;
    return 0;
}

/* The baseline of IG: --prior, or the density of the fixations on all other pictures, if any. */
static sal_result make_baseline(sal_ctx *ctx, const evaluation *e, picture_job *j,
                                const target *t) {
    size_t bytes = (size_t)e->prior.w * (size_t)e->prior.h * sizeof(float);
    sal_result r;
    if (!e->prior.data && !t->other_count) return SAL_OK;
    if (!e->prior.data) return density_of(ctx, &j->item, t->others, t->other_count, &j->prior);
    r = sal_map_new(ctx, e->prior.w, e->prior.h, &j->prior);
    if (r) return r;
    memcpy(j->prior.data, e->prior.data, bytes);
    return fit_map(ctx, &j->prior, j->item.w, j->item.h);
}

static sal_result make_target(sal_ctx *ctx, const evaluation *e, picture_job *j, target *t) {
    char *drawn = (char *)sal_alloc(ctx, (size_t)e->images, 1);
    sal_result r = drawn ? SAL_OK : SAL_ERR_MEMORY;
    sal_rng rng;
    int k;
    t->desc.w = j->item.w; t->desc.h = j->item.h;
    t->desc.seed = rng.state = e->ctx.seed + (uint64_t)j->image * 1000003u;
    for (k = 0; !r && k < TEN && k < e->images - 1; ) {
        uint32_t pick = sal_rng_below(&rng, (uint32_t)e->images);
        if ((int)pick != j->image && !drawn[pick]) { drawn[pick] = 1; k++; }
    }
    if (!r) r = other_fixations(ctx, e, j->image, NULL, &t->others, &t->other_count);
    if (!r) r = other_fixations(ctx, e, j->image, drawn, &t->ten, &t->ten_count);
    if (!r && needs(e, SAL_NEEDS_BASELINE)) r = make_baseline(ctx, e, j, t);
    t->desc.baseline = j->prior.data;
    sal_free(ctx, drawn);
    return r;
}

/* The box in the middle: the best one of a map that is the same everywhere. */
static sal_result score_center_box(sal_ctx *ctx, const picture_job *j, const sal_item *gaze,
                                   double *value) {
    sal_map even;
    sal_result r = sal_map_new(ctx, j->item.w, j->item.h, &even);
    int m;
    for (m = 0; m < SCORES; m++) value[m] = NAN;
    for (m = SAL_METRIC_COUNT; m < SCORES && !r; m++)
        r = score_crop(ctx, &even, shape[m - SAL_METRIC_COUNT], gaze->fixation, gaze->fixations,
                       &value[m]);
    sal_map_free(ctx, &even);
    return r;
}

/* The scores of all rows for a picture, whose maps are there. */
static sal_result score_picture(sal_ctx *ctx, evaluation *e, picture_job *j) {
    const sal_item *gaze = &e->gaze[j->image];
    target t;
    sal_result r;
    int k, m;
    memset(&t, 0, sizeof t);
    r = make_target(ctx, e, j, &t);
    for (k = 0; k < e->rows && !r; k++) {
        score_row *row = &e->row[k];
        double *value = row->value[j->image];
        if (row->kind == CENTER_BOX) r = score_center_box(ctx, j, gaze, value);
        else if (row->kind >= LEAVE_ONE_OUT)
            r = score_viewers(ctx, e, &t, row->kind, gaze, value, &j->map[k]);
        else {
            if (row->kind == PRIOR && !t.other_count) {     /* nothing to make a prior of */
                for (m = 0; m < SCORES; m++) value[m] = NAN;
                continue;
            }
            if (row->kind == PRIOR)
                r = density_of(ctx, &j->item, t.others, t.other_count, &j->map[k]);
            if (!r) r = score(ctx, e, &t, &j->map[k], j->item.density.data, gaze->fixation,
                              gaze->fixations, value);
        }
    }
    sal_free(ctx, t.ten); sal_free(ctx, t.others);
    return r;
}
