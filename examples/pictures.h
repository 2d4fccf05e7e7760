/* What programs share that take pictures and folders of pictures: the list of them, names of
   results, and progress. Include it after saliency.h and `program` (see options.h). */

#include "options.h"

/* --- the list of pictures ------------------------------------------------------------------ */

typedef struct list { char **item; int count, room; } list;

static int list_add(list *l, const char *folder, const char *name) {
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = (char *)malloc(size);
    if (l->count == l->room) {
        char **more = (char **)realloc(l->item, (size_t)(2 * l->room + 16) * sizeof(char *));
        if (!more) { free(path); return 0; }
        l->item = more;
        l->room = 2 * l->room + 16;
    }
    if (!path) return 0;
    snprintf(path, size, *folder ? "%s/%s" : "%s%s", folder, name);
    l->item[l->count++] = path;
    return 1;
}

static void list_free(list *l) {
    while (l->count) free(l->item[--l->count]);
    free(l->item);
}

/* A picture, or all pictures of a folder (*several becomes 1). */
static int list_path(sal_ctx *ctx, list *pictures, const char *path, int *several) {
    char **names;
    int count, i, before = pictures->count, ok = 1;
    if (sal_path_kind(path) != 1)
        return list_add(pictures, "", path) ? 0 : complain("%s: out of memory", path);
    *several = 1;
    if (sal_dir_list(ctx, path, &names, &count)) return complain("%s", sal_error(ctx));
    for (i = 0; i < count && ok; i++)
        if (sal_is_picture(names[i])) ok = list_add(pictures, path, names[i]);
    sal_free(ctx, names);
    if (!ok) return complain("%s: out of memory", path);
    if (pictures->count == before) return complain("%s: no pictures in this folder", path);
    return 0;
}

/* --- where results go ---------------------------------------------------------------------- */

/* NAME of FOLDER/NAME.jpg, and its length. */
static const char *stem(const char *path, int *length) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    *length = dot && dot != name ? (int)(dot - name) : (int)strlen(name);
    return name;
}

static int compare_stems(const void *a, const void *b) {
    int m, n, order;
    const char *x = stem(*(char *const *)a, &m), *y = stem(*(char *const *)b, &n);
    order = memcmp(x, y, (size_t)SAL__MIN(m, n));
    return order ? order : m - n;
}

/* No two pictures may be written to one file. Sorts the list by name. */
static int check_collisions(list *pictures) {
    int i;
    qsort(pictures->item, (size_t)pictures->count, sizeof(char *), compare_stems);
    for (i = 1; i < pictures->count; i++)
        if (!compare_stems(&pictures->item[i - 1], &pictures->item[i]))
            return complain("%s and %s would be written to one file: take them one at a time",
                            pictures->item[i - 1], pictures->item[i]);
    return 0;
}

static int resize_input(sal_ctx *ctx, sal_model *model, const char *size) {
    int h, w;
    if (read_size("--input", size, &h, &w)) return 1;
    return sal_model_resize(ctx, model, h, w) ? complain("%s", sal_error(ctx)) : 0;
}

static int make_folder(const char *path) {
    if (!path || sal_path_kind(path) == 1 || mkdir(path, 0777) == 0) return 0;
    return complain("%s: cannot be made a folder (several results need one)", path);
}

/* --- one after the other ------------------------------------------------------------------- */

static void show_progress(int done, int count) {
    int i, width = 40, full = count ? done * width / count : width;
    fprintf(stderr, "\r[");
    for (i = 0; i < width; i++) fputc(i < full ? '#' : '.', stderr);
    fprintf(stderr, "] %d/%d%s", done, count, done == count ? "\n" : "");
}

typedef sal_result picture_fn(sal_ctx *ctx, void *arg, const char *picture);

/* All pictures; what fails is reported at the end, and makes the status 1. */
static int for_all(sal_ctx *ctx, const list *pictures, int quiet, picture_fn *fn, void *arg) {
    list failures = { NULL, 0, 0 };
    int i, failed = 0, bar = pictures->count > 1 && !quiet && isatty(2);
    for (i = 0; i < pictures->count; i++) {
        if (bar) show_progress(i, pictures->count);
        if (fn(ctx, arg, pictures->item[i]) != SAL_OK) {
            failed++;
            if (!list_add(&failures, "", sal_error(ctx))) complain("%s", sal_error(ctx));
        }
    }
    if (bar) show_progress(i, pictures->count);
    for (i = 0; i < failures.count; i++) complain("%s", failures.item[i]);
    if (failed && pictures->count > 1)
        complain("%d of %d pictures failed", failed, pictures->count);
    list_free(&failures);
    return failed != 0;
}
