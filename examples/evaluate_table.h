/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* The results of evaluate as text: summaries, the table, CSV, JSON. Part of evaluate.c, which
   includes it behind evaluate_score.h. */

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

/* A name inside HTML (&#60;) or JSON (\u003c): no letter that means something to either. */
static void say_name(text *t, const char *name, int json) {
    char buffer[JSON_ROOM];
    int n;
    if (json) { say(t, "%s", json_text(buffer, name)); return; }
    for (; *name; name += n ? n : 1) {
        n = sal_utf8_length(name);
        if (!n) say(t, "&#xFFFD;");
        else if (n > 1 || ((unsigned char)*name >= ' ' && !strchr("<>&\"'\\", *name)))
            say(t, "%.*s", n, name);
        else say(t, "&#%d;", *name);
    }
}

static const char *picture_name(const evaluation *e, int i) {
    return e->name ? e->name[i] : e->set.entry[i].name;
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

static int column_width(const score_row *row) { return MAX(16, (int)strlen(row->name)); }

static void make_table(const evaluation *e, text *t) {
    int c, k, i, n;
    for (n = 0; e->per_image && n < e->scored; n++)
        for (k = 0; k < e->rows; k++) {
            i = e->todo ? e->todo[n] : n;
            say(t, "%s  %s ", picture_name(e, i), e->row[k].name);
            for (c = 0; c < e->columns; c++) {
                say(t, " %s ", metric_name(e->order[c]));
                say_number(t, e->row[k].value[i][e->order[c]], "%.4f", "-");
            }
            say(t, "\n");
        }
    if (e->quiet) return;
    for (k = 0; e->fit && k < e->rows; k++) {
        const score_row *row = &e->row[k];
        if (row->kind <= MAPS)
            say(t, "%s: --domain %d --blur %g --power %g, chosen on %d pictures (CC %.4f, was %.4f)\n",
                row->name, row->of.domain, row->of.blur, row->of.power, e->fit, row->fit_after,
                row->fit_before);
    }
    say(t, "%s: %d pictures, mean and standard error\n\n%-18s", e->data, e->scored, "");
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
    for (k = 0; k < e->rows; k++)
        for (c = 0; c < e->columns; c++) {
            summary s = summarise(e, &e->row[k], e->order[c]);
            if (s.n < e->scored)
                say(t, "(%s of %s: of the %d pictures where it is defined)\n", metric_name(e->order[c]),
                    e->row[k].name, s.n);
        }
}

static void say_csv(text *t, const char *name) {
    if (!strpbrk(name, ",\"\r\n")) { say(t, "%s", name); return; }
    say(t, "\"");
    for (; *name; name++) say(t, *name == '"' ? "\"\"" : "%c", *name);
    say(t, "\"");
}

static void make_csv(const evaluation *e, text *t) {
    int i, n, k, c;
    say(t, "model,image");
    for (c = 0; c < e->columns; c++) say(t, ",%s", metric_name(e->order[c]));
    for (k = 0; k < e->rows; k++)
        for (n = 0; n < e->scored; n++) {
            i = e->todo ? e->todo[n] : n;
            say(t, "\n");
            say_csv(t, e->row[k].name);
            say(t, ",");
            say_csv(t, picture_name(e, i));
            for (c = 0; c < e->columns; c++) {
                say(t, ",");
                say_number(t, e->row[k].value[i][e->order[c]], "%.10g", "");
            }
        }
    say(t, "\n");
}

/* A number that tells maps apart (FNV-1a), 0 for none. */
static unsigned map_sum(const sal_map *map) {
    unsigned sum = map->data ? 2166136261u : 0;
    for (size_t i = 0; map->data && i < (size_t)map->w * (size_t)map->h; i++) {
        unsigned bits;
        memcpy(&bits, &map->data[i], sizeof bits);
        for (int k = 0; k < 32; k += 8) sum = (sum ^ (bits >> k & 255)) * 16777619u;
    }
    return sum;
}

/* One that tells data apart: what all pictures' viewers looked at, and how the densities are blurred. */
static unsigned long long data_sum(const evaluation *e) {
    unsigned long long sum = FNV_BEGIN;
    for (int i = 0; i < e->images; i++) {
        const sal_item *item = &e->gaze[i];
        sum = fnv_on(sum, item->fixation, (size_t)item->fixations * sizeof *item->fixation);
        sum = fnv_on(sum, &item->sigma, sizeof item->sigma);
    }
    return sum;
}

/* Another number that tells networks of one shape apart: of their parameters, in 64 bits. */
static unsigned long long net_sum(const sal_net *net) {
    unsigned long long sum = FNV_BEGIN;
    for (int i = 0; i < net->params; i++) {
        const sal_tensor *p = &net->param[i].value;
        sum = fnv_on(sum, p->data, sal_tensor_count(p) * sal_dtype_size(p->dtype));
    }
    return sum;
}

/* What --merge needs: of which run this is a part, and every score to the last bit. */
static void say_part(const evaluation *e, text *t) {
    int n, c;
    say(t, "\"part\":[%d,%d],\"data\":\"", e->part.k, e->part.n);
    say_name(t, e->data, 1);
    say(t, "\",\"run\":\"seed %d, split ", e->seed);
    say_name(t, e->split ? e->split : "-", 1);
    say(t, ", limit %d, test share %.17g, input %dx%d, domain %d, blur %.17g, power %.17g, steps %d, "
        "f32 %d, any size %d, prior %08x", e->limit, e->test_share, e->input[0], e->input[1],
        e->domain, e->blur, e->power, e->steps, e->float32, e->any_size, map_sum(&e->prior));
    for (n = 0; n < e->rows; n++)
        if (e->row[n].of.net) say(t, ", weights %016llx", net_sum(e->row[n].of.net));
    say(t, ", data %016llx\",\"total\":%d,\n \"columns\":[", data_sum(e), e->images);
    for (c = 0; c < e->columns; c++) say(t, "%s\"%s\"", c ? "," : "", metric_name(e->order[c]));
    say(t, "],\n \"pictures\":[");
    for (n = 0; n < e->scored; n++) {
        say(t, n ? ",\"" : "\"");
        say_name(t, picture_name(e, e->todo[n]), 1);
        say(t, "\"");
    }
    say(t, "],\n \"index\":[");
    for (n = 0; n < e->scored; n++) say(t, n ? ",%d" : "%d", e->todo[n]);
    say(t, "],\n ");
}

static void say_scores(const evaluation *e, text *t, const score_row *row) {
    int n, c;
    say(t, ",\n  \"scores\":[");
    for (n = 0; n < e->scored; n++) {
        say(t, n ? ",\n   [" : "[");
        for (c = 0; c < e->columns; c++) {
            double x = row->value[e->todo[n]][e->order[c]];
            say(t, c ? "," : "");
            if (isinf(x)) say(t, x > 0 ? "1e999" : "-1e999");
            else say_number(t, x, "%.17g", "null");
        }
        say(t, "]");
    }
    say(t, "]");
}

static void make_json(const evaluation *e, text *t) {
    int k, c;
    say(t, "{");
    if (e->part.n) say_part(e, t);
    say(t, "\"models\":[");
    for (k = 0; k < e->rows; k++) {
        say(t, "%s\n {\"name\":\"", k ? "," : "");
        say_name(t, e->row[k].name, 1);
        say(t, "\",\"images\":%d,", e->scored);
        if (e->fit && e->row[k].kind <= MAPS)
            say(t, "\"fit\":{\"domain\":%d,\"blur\":%g,\"power\":%g},", e->row[k].of.domain,
                e->row[k].of.blur, e->row[k].of.power);
        say(t, "\"metrics\":{");
        for (c = 0; c < e->columns; c++) {
            summary s = summarise(e, &e->row[k], e->order[c]);
            say(t, "%s\n  \"%s\":{\"mean\":", c ? "," : "", metric_name(e->order[c]));
            say_number(t, s.mean, "%.10g", "null");
            say(t, ",\"se\":");
            say_number(t, s.se, "%.10g", "null");
            say(t, ",\"images\":%d}", s.n);
        }
        say(t, "}");
        if (e->part.n) say_scores(e, t, &e->row[k]);
        say(t, "}");
    }
    say(t, "\n]}\n");
}
