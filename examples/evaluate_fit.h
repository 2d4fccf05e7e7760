/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* evaluate --fit: which settings of a model, or of maps that somebody made, suit a data set best.
   Data sets differ in few numbers: where people look before they see anything (lite's prior), how
   wide the fixations were smoothed (blur), how steep the peaks are (power). They are chosen by CC on
   pictures that are not scored afterwards. Part of evaluate.c, which includes it behind
   evaluate_score.h. */

static const double fit_blur[] = { 0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06 };
static const double fit_power[] = { 1, 0.5, 0.6, 0.7, 0.8, 0.9, 1.1, 1.25, 1.5, 1.75, 2 };
enum { FIT_BLURS = COUNT(fit_blur), FIT_POWERS = COUNT(fit_power), FIT_SIDE = 160 };

/* Sums of CC over pictures. */
typedef double fit_sums[FIT_BLURS][FIT_POWERS];

/* CC of the map after an adjustment, which leaves the map itself as it is. */
static sal_result fit_score(sal_ctx *ctx, const sal_map *map, const sal_map *density, double blur,
                            double power, double *sum) {
    double value[SAL_METRIC_COUNT];
    sal_score_desc d;
    sal_map changed;
    sal_result r = sal_map_new(ctx, map->w, map->h, &changed);
    if (r) return r;
    memcpy(changed.data, map->data, (size_t)map->w * (size_t)map->h * sizeof(float));
    r = sal_map_adjust(ctx, &changed, blur, power);
    memset(&d, 0, sizeof d);
    d.w = map->w; d.h = map->h;
    d.map = changed.data; d.density = density->data;
    d.metrics = SAL_METRIC_BIT(SAL_METRIC_CC);
    if (!r) r = sal_score(ctx, &d, value);
    if (!r && isfinite(value[SAL_METRIC_CC])) *sum += value[SAL_METRIC_CC];
    sal_map_free(ctx, &changed);
    return r;
}

/* Adds one picture. Map and density are made small first: they are smooth. */
static sal_result fit_picture(evaluation *e, score_row *row, int image, fit_sums sums) {
    sal_ctx *ctx = &e->ctx;
    sal_item item;
    sal_map map;
    sal_result r = sal_dataset_item(ctx, &e->set, image, SAL_ITEM_IMAGE | SAL_ITEM_DENSITY, &item);
    double scale = r ? 1 : MIN(1, (double)FIT_SIDE / MAX(item.w, item.h));
    int w, h, k;
    if (r) return r;
    w = MAX(1, (int)(item.w * scale));
    h = MAX(1, (int)(item.h * scale));
    memset(&map, 0, sizeof map);
    r = row_map(ctx, e, row, &item, &map);
    if (!r) r = fit_map(ctx, &map, w, h);
    if (!r) r = fit_map(ctx, &item.density, w, h);
    for (k = 0; k < FIT_BLURS * FIT_POWERS && !r; k++)
        r = fit_score(ctx, &map, &item.density, fit_blur[k / FIT_POWERS],
                      fit_power[k % FIT_POWERS], &sums[k / FIT_POWERS][k % FIT_POWERS]);
    sal_map_free(ctx, &map);
    sal_item_free(ctx, &item);
    return r;
}

/* Of the combinations that are equally good the first is taken: the least change. */
static int fit_row(evaluation *e, score_row *row) {
    sal_model *model = &row->of;
    int domains = has_domains(model) ? SAL_DOMAIN_COUNT : 1;
    int domain, i, k, chosen = 0;
    fit_sums sums;
    row->fit_after = -INFINITY;
    model->blur = model->power = 0;
    for (domain = 0; domain < domains; domain++) {
        memset(sums, 0, sizeof sums);
        model->domain = domain;
        for (i = 0; i < e->fit; i++)
            if (fit_picture(e, row, e->todo[i], sums))
                return complain("%s: %s", e->set.entry[e->todo[i]].name, sal_error(&e->ctx));
        if (domain == 0) row->fit_before = sums[0][0] / e->fit;
        for (k = 0; k < FIT_BLURS * FIT_POWERS; k++) {
            double mean = sums[k / FIT_POWERS][k % FIT_POWERS] / e->fit;
            if (mean <= row->fit_after) continue;
            row->fit_after = mean;
            chosen = domain * FIT_BLURS * FIT_POWERS + k;
        }
    }
    model->domain = chosen / (FIT_BLURS * FIT_POWERS);
    model->blur = fit_blur[chosen / FIT_POWERS % FIT_BLURS];
    model->power = fit_power[chosen % FIT_POWERS];
    return 0;
}

/* The first pictures choose the settings of each model; the rest remain to be scored. */
static int fit_rows(evaluation *e) {
    int k;
    if (!e->fit) return 0;
    if (e->fit >= e->scored)
        return complain("--fit %d: there are %d pictures, and some must remain to be scored",
                        e->fit, e->scored);
    for (k = 0; k < e->rows; k++)
        if (e->row[k].kind <= MAPS && fit_row(e, &e->row[k])) return 1;
    e->scored -= e->fit;
    memmove(e->todo, e->todo + e->fit, (size_t)e->scored * sizeof *e->todo);
    return 0;
}
