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

static int column_width(const score_row *row) { return MAX(16, (int)strlen(row->name)); }

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
