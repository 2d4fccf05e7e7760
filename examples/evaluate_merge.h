/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* evaluate --merge: the scores that several runs with --part kept in their JSON become those of one
   run. Part of evaluate.c, which includes it behind evaluate_table.h.

   JSON is read from where it lies: a value is a pointer to its first character. check_json makes
   sure that the file is whole, so what follows needs no more checks of the grammar. */

static const char *skip_blanks(const char *p) {
    while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r') p++;
    return p;
}

/* Behind the value, or NULL if it is none. */
static const char *skip_value(const char *p, int depth) {
    char close;
    double number;
    p = skip_blanks(p);
    if (*p == '"') {
        for (p++; *p && *p != '"'; p++) if (*p == '\\' && p[1]) p++;
        return *p ? p + 1 : NULL;
    }
    if (!strncmp(p, "null", 4) || !strncmp(p, "true", 4)) return p + 4;
    if (!strncmp(p, "false", 5)) return p + 5;
    if (*p != '[' && *p != '{') return !sal_number_parse(&p, &number) ? p : NULL;
    close = *p == '[' ? ']' : '}';
    p = skip_blanks(p + 1);
    if (*p == close) return p + 1;
    for (; depth < 16; p++) {
        if (close == '}') {
            p = skip_blanks(p);
            if (*p != '"' || (p = skip_value(p, depth)) == NULL) return NULL;
            p = skip_blanks(p);
            if (*p++ != ':') return NULL;
        }
        p = skip_value(p, depth + 1);
        if (!p) return NULL;
        p = skip_blanks(p);
        if (*p == close) return p + 1;
        if (*p != ',') return NULL;
    }
    return NULL;
}

/* The first element of an array, or the one behind another; NULL at the end. */
static const char *first_element(const char *array) {
    const char *p = array && *array == '[' ? skip_blanks(array + 1) : "]";
    return *p == ']' ? NULL : p;
}
static const char *next_element(const char *element) {
    const char *p = skip_blanks(skip_value(element, 0));
    return *p == ',' ? skip_blanks(p + 1) : NULL;
}
static int count_elements(const char *array) {
    int n = 0;
    const char *p;
    for (p = first_element(array); p; p = next_element(p)) n++;
    return n;
}

/* The value of this key in an object, or NULL. */
static const char *member(const char *object, const char *key) {
    size_t length = strlen(key);
    const char *p = object && *object == '{' ? skip_blanks(object + 1) : "}", *value;
    while (*p == '"') {
        value = skip_blanks(skip_blanks(skip_value(p, 0)) + 1);
        if (!strncmp(p + 1, key, length) && p[1 + length] == '"') return value;
        p = skip_blanks(skip_value(value, 0));
        if (*p == ',') p = skip_blanks(p + 1);
    }
    return NULL;
}

/* What a number cannot be is NaN: null, or nothing there. */
static double number_of(const char *value) {
    double x;
    return value && !sal_number_parse(&value, &x) ? x : NAN;
}

/* The text of a string as evaluate writes it: \u00XX and \ufffd are its only escapes. */
static void text_of(const char *value, char *out, size_t room) {
    size_t n = 0;
    unsigned code;
    if (value && *value == '"')
        for (value++; *value != '"' && n + 4 < room; value++) {
            if (*value != '\\') { out[n++] = *value; continue; }
            if (*++value != 'u') { out[n++] = *value; continue; }
            if (sscanf(value, "u%4x", &code) != 1 || code > 127) code = 0xFFFD;
            n += sal_utf8_put(out + n, code);
            value += MIN(strspn(value + 1, "0123456789abcdefABCDEF"), 4);
        }
    out[n] = 0;
}

/* --- merging ------------------------------------------------------------------------------- */

static int same_text(const char *a, const char *b) {
    const char *end = a ? skip_value(a, 0) : NULL;
    return end && b && !strncmp(a, b, (size_t)(end - a)) && skip_value(b, 0) - b == end - a;
}

/* The columns and rows of the first part, without scores. */
static int take_shape(evaluation *e, const char *json) {
    const char *c, *model, *models = member(json, "models");
    char name[128];
    double total = number_of(member(json, "total"));
    int i, k, m;
    text_of(member(json, "data"), e->merged_data, sizeof e->merged_data);
    e->data = e->merged_data;
    if (!(total >= 1 && total <= 1 << 24)) return 1;
    e->images = e->scored = (int)total;
    for (c = first_element(member(json, "columns")); c; c = next_element(c)) {
        text_of(c, name, sizeof name);
        for (m = 0; m < SCORES && strcmp(metric_name(m), name); m++) {}
        if (m < SCORES && e->columns < SCORES) e->order[e->columns++] = m;
    }
    if (!e->columns || count_elements(models) > MAX_ROWS) return 1;
    e->name = (char **)calloc((size_t)e->images, sizeof *e->name);
    for (model = first_element(models); model && e->name; model = next_element(model)) {
        score_row *row = &e->row[e->rows++];
        text_of(member(model, "name"), row->name, sizeof row->name);
        row->value = (double (*)[SCORES])calloc((size_t)e->images, sizeof *row->value);
        if (!row->value) return complain("out of memory");
        for (i = 0; i < e->images; i++) for (k = 0; k < SCORES; k++) row->value[i][k] = NAN;
    }
    return !e->name;
}

/* The scores of one part at their places. */
static int take_scores(evaluation *e, const char *file, const char *json) {
    const char *at, *named, *model, *scores, *score;
    char name[PATH_ROOM];
    double place;
    int i, c, k = 0;
    if (count_elements(member(json, "pictures")) != count_elements(member(json, "index")))
        return complain("%s: is not what evaluate --part writes", file);
    named = first_element(member(json, "pictures"));
    for (at = first_element(member(json, "index")); at && named;
         at = next_element(at), named = next_element(named)) {
        place = number_of(at);
        if (!(place >= 0 && place < e->images))
            return complain("%s: is not what evaluate --part writes", file);
        if (e->name[(int)place])
            return complain("%s: has a picture that another part has, too", file);
        text_of(named, name, sizeof name);
        e->name[(int)place] = (char *)malloc(strlen(name) + 1);
        if (!e->name[(int)place]) return complain("out of memory");
        strcpy(e->name[(int)place], name);
    }
    for (model = first_element(member(json, "models")); model && k < e->rows;
         model = next_element(model), k++) {
        if (count_elements(member(model, "scores")) != count_elements(member(json, "index")))
            return complain("%s: has not a score for each picture", file);
        at = first_element(member(json, "index"));
        for (scores = first_element(member(model, "scores")); scores && at;
             scores = next_element(scores), at = next_element(at)) {
            i = (int)number_of(at);
            if (count_elements(scores) != e->columns)
                return complain("%s: has not a score for each picture", file);
            for (c = 0, score = first_element(scores); score && c < e->columns;
                 c++, score = next_element(score))
                e->row[k].value[i][e->order[c]] = number_of(score);
        }
    }
    return 0;
}

/* Everything but the part must be the same: options, number of pictures, columns, models. */
static int same_run(const char *a, const char *b) {
    const char *x = first_element(member(a, "models")), *y = first_element(member(b, "models"));
    for (; x && y; x = next_element(x), y = next_element(y))
        if (!same_text(member(x, "name"), member(y, "name"))) return 0;
    return !x && !y && same_text(member(a, "run"), member(b, "run")) &&
           same_text(member(a, "total"), member(b, "total")) &&
           same_text(member(a, "columns"), member(b, "columns"));
}

static int check_json(const char *file, const char *json, size_t size) {
    const char *end = skip_value(json, 0);
    if (end && (size_t)(skip_blanks(end) - json) == size && member(json, "index") &&
        member(json, "run")) return 0;
    return complain("%s: is not what evaluate --part K/N --json writes", file);
}

static int merge(evaluation *e, char **file, int count) {
    unsigned char *json = NULL, *first = NULL;
    size_t size;
    int i, missing = 0, status = 0;
    for (i = 0; i < count && !status; i++) {
        if (read_file(&e->ctx, file[i], &json, &size)) status = complain("%s", sal_error(&e->ctx));
        else status = check_json(file[i], (char *)json, size);
        if (!status && i == 0 && take_shape(e, (char *)json))
            status = complain("%s: is not what evaluate --part writes", file[0]);
        if (!status && i > 0 && !same_run((char *)first, (char *)json))
            status = complain("%s: is of another run than %s (other options, pictures or models)",
                              file[i], file[0]);
        if (!status) status = take_scores(e, file[i], (char *)json);
        if (i == 0) first = json; else sal_free(&e->ctx, json);
        json = NULL;
    }
    sal_free(&e->ctx, first);
    for (i = 0; i < e->images && !status; i++) missing += !e->name[i];
    if (missing) status = complain("%d of %d pictures are in none of these parts", missing,
                                   e->images);
    return status;
}
