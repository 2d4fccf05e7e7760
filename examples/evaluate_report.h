/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* The report of evaluate for the browser: one file, no scripts, nothing fetched from elsewhere.

   Part of evaluate.c, which includes it behind evaluate_table.h. */

/* --- thumbnails ---------------------------------------------------------------------------- */

/* ctx->write of a context whose user is bytes: a file is kept in memory. */
static int keep_bytes(void *user, const char *path, const void *data, size_t size) {
    bytes *b = (bytes *)user;
    unsigned char *more = (unsigned char *)realloc(b->data, (size_t)b->size + size);
    (void)path;
    if (!more) return ENOMEM;
    memcpy(more + b->size, data, size);
    b->data = more;
    b->size += (int)size;
    return 0;
}

static sal_result keep_jpeg(sal_ctx *ctx, const sal_image *image, bytes *out) {
    sal_result r;
    free(out->data);
    out->data = NULL; out->size = 0;
    ctx->write = keep_bytes; ctx->user = out;
    r = sal_image_save(ctx, "thumbnail.jpg", image);
    ctx->write = NULL; ctx->user = NULL;
    return r;
}

/* A plane set of 1 channel (in the colours of sal_colormap) or 3 (0..255), as a small JPEG. */
static sal_result make_thumb(sal_ctx *ctx, const float *in, int w, int h, int channels,
                             bytes *out) {
    double scale = MIN(1.0, (double)THUMB / MAX(w, h));
    int tw = MAX(1, (int)(w * scale + 0.5)), th = MAX(1, (int)(h * scale + 0.5)), i;
    float *small = NEW(ctx, float, tw * th * channels), top = 0;
    sal_image thumb;
    sal_result r = small ? sal_image_new(ctx, tw, th, &thumb) : SAL_ERR_MEMORY;
    if (r) { sal_free(ctx, small); return r; }
    r = sal_resize(ctx, small, tw, th, in, w, h, channels, SAL_FILTER_AREA);
    for (i = 0; !r && i < tw * th * channels; i++) top = MAX(top, small[i]);
    for (i = 0; !r && channels == 1 && i < tw * th; i++)
        sal_colormap(top > 0 ? small[i] / top : 0, thumb.data + 3 * i);
    for (i = 0; !r && channels == 3 && i < tw * th * 3; i++)
        thumb.data[i] = (unsigned char)clamp(small[i] + 0.5, 0, 255);
    if (!r) r = keep_jpeg(ctx, &thumb, out);
    sal_image_free(ctx, &thumb);
    sal_free(ctx, small);
    return r;
}

static sal_result make_thumbs(sal_ctx *ctx, evaluation *e, picture_job *j) {
    const sal_image *photo = &j->item.image;
    size_t i, n = (size_t)photo->w * (size_t)photo->h * 3;
    float *plane = NEW(ctx, float, n);
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

/* --- the page ------------------------------------------------------------------------------ */

static const char style[] =
    "body{font:15px/1.45 system-ui,sans-serif;color:#1d2430;background:#fafbfc;margin:0 auto;"
    "max-width:1240px;padding:24px}"
    "h1{font-size:26px;margin:0 0 2px}h2{font-size:19px;margin:36px 0 8px}p{margin:4px 0;"
    "max-width:85ch}.dim{color:#667085}"
    "table{border-collapse:collapse;background:#fff;box-shadow:0 0 0 1px #e4e7ec;font-size:14px}"
    "td,th{padding:5px 12px;border-top:1px solid #eef0f3;text-align:right;white-space:nowrap;"
    "font-variant-numeric:tabular-nums}"
    "th{color:#475467;font-weight:600}td:first-child,th:first-child{text-align:left}"
    "td small{color:#667085}.best{font-weight:700;background:#ecfdf3}"
    ".wide{overflow-x:auto}"
    ".cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(380px,1fr));gap:14px}"
    ".card{background:#fff;box-shadow:0 0 0 1px #e4e7ec;padding:10px 12px}"
    ".card svg{width:100%;height:auto;display:block}"
    "svg text{font:11px system-ui,sans-serif;fill:#475467}"
    ".strip{display:flex;flex-wrap:wrap;gap:8px;margin:10px 0 16px}"
    "figure{margin:0;flex:1 1 130px;max-width:220px}"
    "figure img{display:block;width:100%;border-radius:3px}"
    "figcaption{font-size:12px;color:#475467;overflow-wrap:anywhere}"
    ".dot{display:inline-block;width:10px;height:10px;border-radius:5px;margin-right:6px}";

static const char *const colour[] = { "#2563eb", "#ea580c", "#059669", "#9333ea", "#db2777",
                                      "#0891b2", "#ca8a04", "#475569" };
#define COLOUR(k) colour[(k) % COUNT(colour)]

static void say_summary_table(const evaluation *e, text *t) {
    int c, k;
    say(t, "<div class=wide><table><tr><th>metric");
    for (k = 0; k < e->rows; k++) {
        say(t, "<th><span class=dot style=\"background:%s\"></span>", COLOUR(k));
        say_name(t, e->row[k].name, 0);
    }
    say(t, "<th>better\n");
    for (c = 0; c < e->columns; c++) {
        const sal_metric_info *info = metric_about(e->order[c]);
        double best = NAN;
        for (k = 0; k < e->rows; k++) {             /* viewers do not compete */
            summary s = summarise(e, &e->row[k], e->order[c]);
            if (e->row[k].kind < LEAVE_ONE_OUT && s.n &&
                !(s.mean * info->better <= best * info->better)) best = s.mean;
        }
        say(t, "<tr title=\"");
        say_name(t, info->text, 0);
        say(t, "\"><td>%s", info->name);
        for (k = 0; k < e->rows; k++) {
            summary s = summarise(e, &e->row[k], e->order[c]);
            say(t, e->rows > 1 && e->row[k].kind < LEAVE_ONE_OUT && s.mean == best
                       ? "<td class=best>" : "<td>");
            say_number(t, s.mean, "%.4f", "&ndash;");
            say_number(t, s.se, " <small>&plusmn; %.4f</small>", "");
            if (s.n < e->scored && s.n) say(t, " <small>(%d)</small>", s.n);
        }
        say(t, "<td><small>%s</small>\n", info->better > 0 ? "higher" : "lower");
    }
    say(t, "</table></div>\n");
}

/* A round step that gives about five ticks. */
static double tick_step(double range) {
    double step = pow(10, floor(log10(range / 5)));
    return range / step > 25 ? step * 5 : range / step > 10 ? step * 2 : step;
}

/* How the scores of the pictures are distributed, one model above the other: a kernel density
   estimate (Silverman's bandwidth), a tick for each picture, a line at the mean. */
static void say_distribution(const evaluation *e, text *t, int metric) {
    enum { LEFT = 8, WIDTH = 384, LANE = 46, STEPS = 96 };
    double low = 1e300, high = -1e300, step, x;
    int i, k, height = e->rows * LANE + 30;
    for (k = 0; k < e->rows; k++)
        for (i = 0; i < e->images; i++) {
            double v = e->row[k].value[i][metric];
            if (!isfinite(v)) continue;
            low = MIN(low, v); high = MAX(high, v);
        }
    if (low > high) return;
    if (high - low < 1e-9) { low -= .5; high += .5; }
    x = (high - low) * .04; low -= x; high += x;
    say(t, "<div class=card><b>%s</b> <span class=dim>", metric_name(metric));
    say_name(t, metric_about(metric)->text, 0);
    say(t, "</span>\n<svg viewBox=\"0 0 %d %d\" role=img>", WIDTH + 2 * LEFT, height);
#define X(v) (LEFT + ((v) - low) / (high - low) * WIDTH)
    step = tick_step(high - low);
    for (x = ceil(low / step) * step; x <= high; x += step)
        say(t, "<path d=\"M%.1f 4V%d\" stroke=\"#eef0f3\"/><text x=\"%.1f\" y=\"%d\" "
            "text-anchor=middle>%g</text>", X(x), height - 22, X(x), height - 8,
            fabs(x) < step / 2 ? 0 : x);
    for (k = 0; k < e->rows; k++) {
        summary s = summarise(e, &e->row[k], metric);
        double curve[STEPS + 1], top = 0, width, base = (k + 1) * LANE - 2;
        if (!s.n) continue;
        width = s.n > 1 ? 1.06 * s.se * sqrt((double)s.n) * pow(s.n, -.2) : 0;
        if (width < (high - low) / 200) width = (high - low) / 200;
        for (i = 0; i <= STEPS; i++) curve[i] = 0;
        for (i = 0; i < e->images; i++) {
            double v = e->row[k].value[i][metric];
            int p;
            if (isfinite(v))
                for (p = 0; p <= STEPS; p++) {
                    double d = (low + (high - low) * p / STEPS - v) / width;
                    curve[p] += exp(-.5 * d * d);
                }
        }
        for (i = 0; i <= STEPS; i++) top = MAX(top, curve[i]);
        say(t, "\n<path fill=\"%s\" fill-opacity=.25 stroke=\"%s\" d=\"M%d %.1f", COLOUR(k),
            COLOUR(k), LEFT, base);
        for (i = 0; i <= STEPS; i++)
            say(t, "L%.1f %.1f", LEFT + (double)WIDTH * i / STEPS,
                base - curve[i] / top * (LANE - 16));
        say(t, "L%d %.1fZ\"/>", LEFT + WIDTH, base);
        say(t, "<path stroke=\"%s\" stroke-opacity=.3 d=\"", COLOUR(k));
        for (i = 0; i < e->images; i++)
            if (isfinite(e->row[k].value[i][metric]))
                say(t, "M%.1f %.1fv-5", X(e->row[k].value[i][metric]), base);
        say(t, "\"/><path stroke=\"%s\" stroke-width=2 d=\"M%.1f %.1fv-%d\"><title>", COLOUR(k),
            X(s.mean), base, LANE - 12);
        say_name(t, e->row[k].name, 0);
        say(t, ": mean %.4f</title></path>", s.mean);
    }
#undef X
    say(t, "</svg></div>\n");
}

static void say_image(text *t, const bytes *b) {
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char line[4 * 256 + 1];
    int i, n = 0;
    say(t, "<img loading=lazy alt=\"\" src=\"data:image/jpeg;base64,");
    for (i = 0; i < b->size; i += 3) {
        unsigned v = (unsigned)b->data[i] << 16;
        if (i + 1 < b->size) v |= (unsigned)b->data[i + 1] << 8;
        if (i + 2 < b->size) v |= b->data[i + 2];
        line[n++] = digit[v >> 18];
        line[n++] = digit[v >> 12 & 63];
        line[n++] = i + 1 < b->size ? digit[v >> 6 & 63] : '=';
        line[n++] = i + 2 < b->size ? digit[v & 63] : '=';
        if (n == 4 * 256) { say(t, "%.*s", n, line); n = 0; }
    }
    say(t, "%.*s\">", n, line);
}

static void say_strip(const evaluation *e, text *t, int image) {
    int k, c;
    say(t, "<div class=strip><figure>");
    say_image(t, &e->photo[image]);
    say(t, "<figcaption>");
    say_name(t, e->gaze[image].name, 0);
    say(t, "</figcaption></figure><figure>");
    say_image(t, &e->human[image]);
    say(t, "<figcaption>human, %d fixations</figcaption></figure>", e->gaze[image].fixations);
    for (k = 0; k < e->rows; k++) {
        if (!e->row[k].thumb[image].data) continue;
        say(t, "<figure>");
        say_image(t, &e->row[k].thumb[image]);
        say(t, "<figcaption><span class=dot style=\"background:%s\"></span>", COLOUR(k));
        say_name(t, e->row[k].name, 0);
        say(t, "<br>");
        for (c = 0; c < MIN(e->columns, 4); c++) {
            say(t, "%s%s ", c ? ", " : "", metric_name(e->order[c]));
            say_number(t, e->row[k].value[image][e->order[c]], "%.2f", "&ndash;");
        }
        say(t, "</figcaption></figure>");
    }
    say(t, "</div>\n");
}

typedef struct ranked { double score; int image; } ranked;

static int compare_ranked(const void *a, const void *b) {
    const ranked *x = (const ranked *)a, *y = (const ranked *)b;
    return x->score < y->score ? 1 : x->score > y->score ? -1 : x->image - y->image;
}

static void make_html(const evaluation *e, text *t) {
    ranked *list = (ranked *)malloc((size_t)e->images * sizeof(ranked));
    int metric = e->order[0], better = metric_about(metric)->better;
    int i, c, n = 0, half;
    if (!list) { t->failed = 1; return; }
    for (i = 0; i < e->images; i++)
        if (!isnan(e->row[0].value[i][metric])) {
            list[n].image = i;
            list[n++].score = e->row[0].value[i][metric] * better;
        }
    qsort(list, (size_t)n, sizeof(ranked), compare_ranked);
    say(t, "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content=\"width=device-width\">\n<title>Saliency: ");
    say_name(t, e->data, 0);
    say(t, "</title><style>%s</style>\n<h1>Where people look, and where models say they do</h1>\n"
        "<p class=dim>", style);
    say_name(t, e->data, 0);
    say(t, " (%s): %d pictures. Means &plusmn; standard errors over pictures; the best model of "
        "each line is marked. A number in brackets counts the pictures for which a score is "
        "defined.</p>\n<h2>Scores</h2>\n", sal_layout_name(e->set.layout), e->scored);
    say_summary_table(e, t);
    say(t, "<h2>Distributions over pictures</h2>\n<p class=dim>");
    for (i = 0; i < e->rows; i++) {
        say(t, "<span class=dot style=\"background:%s\"></span>", COLOUR(i));
        say_name(t, e->row[i].name, 0);
        say(t, " &nbsp; ");
    }
    say(t, "</p>\n<div class=cards>\n");
    for (c = 0; c < e->columns; c++) say_distribution(e, t, e->order[c]);
    say(t, "</div>\n");
    half = MIN(e->strips, n) / 2;
    half += MIN(e->strips, n) % 2;
    say(t, "<h2>Best pictures</h2>\n<p class=dim>By %s of ", metric_name(metric));
    say_name(t, e->row[0].name, 0);
    say(t, ", the best first. Photograph, density of human fixations, maps; brighter is "
        "more.</p>\n");
    for (i = 0; i < half; i++) say_strip(e, t, list[i].image);
    say(t, "<h2>Worst pictures</h2>\n<p class=dim>The worst first.</p>\n");
    for (i = n - 1; i >= half && i >= n - e->strips / 2; i--) say_strip(e, t, list[i].image);
    say(t, "</html>\n");
    free(list);
}

