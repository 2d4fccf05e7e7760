/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* MATLAB files, CSV, density maps and the layouts of the published fixation data sets. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#define DATASET_IMPLEMENTATION
#include "../examples/dataset.h"
#include "mat_writer.h"
#include "test.h"

/* --- a folder to build small data sets in, removed at the end -------------------------------- */

static char root[256];

static const char *in_root(const char *format, const char *name) {
    static char path[4][1200];
    static int turn;
    char rest[900];
    turn = (turn + 1) % 4;
    snprintf(rest, sizeof rest, format, name);
    snprintf(path[turn], sizeof path[turn], "%s/%s", root, rest);
    return path[turn];
}

static void folder(const char *name) {
    sal_ctx ctx;
    memset(&ctx, 0, sizeof ctx);
    sal_folder_make(&ctx, in_root("%s", name));
}

static void remove_tree(sal_ctx *ctx, const char *path) {
    char **names, below[4096];
    int i, n;
    if (sal_path_kind(path) == 1 && sal_dir_list(ctx, path, &names, &n) == SAL_OK) {
        for (i = 0; i < n; i++) {
            snprintf(below, sizeof below, "%s/%s", path, names[i]);
            remove_tree(ctx, below);
        }
        sal_free(ctx, names);
    }
    remove(path);
}

static void save_text(const char *name, const char *text) {
    FILE *f = fopen(in_root("%s", name), "wb");
    if (f) { fwrite(text, 1, strlen(text), f); fclose(f); }
}

/* A picture whose left half is grey `left`, the right one black. Always PNG, whatever the name
   says: what a picture is shows in its bytes. */
static void save_picture(sal_ctx *ctx, const char *name, int w, int h, int left) {
    sal_image image;
    int x, y, saved;
    if (sal_image_new(ctx, w, h, &image) != SAL_OK) return;
    for (y = 0; y < h; y++)
        for (x = 0; x < w / 2; x++) memset(image.data + 3 * (y * w + x), left, 3);
    remove(in_root("%s", name));            /* (Windows does not rename over a file) */
    saved = sal_image_save(ctx, in_root("%s", "new.png"), &image) == SAL_OK &&
            rename(in_root("%s", "new.png"), in_root("%s", name)) == 0;
    CHECK(saved, "%s is written", name);
    sal_image_free(ctx, &image);
}

/* --- the MATLAB reader ----------------------------------------------------------------------- */

static const double many[6] = { 1, 2, 100, 7, 0, 33 };

/* One variable of each kind. */
static void write_zoo(mat_writer *w) {
    static const double tiny[4] = { -5, 3, 120, -1 }, wide[4] = { 1e300, -0.5, 3.25, 1e-7 };
    static const double ir[4] = { 0, 2, 1, 9 }, jc[4] = { 0, 1, 1, 3 }, pr[4] = { 4, 5, 6, 9 };
    static const double eight[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, yes[2] = { 1, 0 };
    static const double letters[6] = { 'a', 'd', 'b', 'e', 'c', 'f' }, smile[3] = { 0xE9, 0xD83D,
                                                                                    0xDE00 };
    static const int types[] = { 1, 2, 3, 4, 5, 6, 7, 9, 12, 13 };
    double dims[3] = { 2, 2, 2 };
    size_t at, in;
    int class_, i;
    char name[32];
    for (class_ = 6; class_ <= 15; class_++) {
        for (i = 0; i < COUNT(types); i++) {
            snprintf(name, sizeof name, "c%d_t%d", class_, types[i]);
            mat_matrix(w, name, class_, types[i], 2, 3, many);
        }
    }
    mat_matrix(w, "signed8", 6, 1, 1, 4, tiny);
    mat_matrix(w, "signed64", 6, 12, 1, 4, tiny);
    mat_matrix(w, "wide", 6, 9, 4, 1, wide);
    mat_matrix(w, "empty", 6, 9, 0, 3, NULL);
    at = mat_begin(w, 6, 0, 1, 1, "cube");                      /* three dimensions */
    w->size -= 24;                                              /* take back dims and name */
    mat_numbers(w, 5, dims, 3); mat_chars(w, "cube", 4);
    mat_numbers(w, 2, eight, 8);
    mat_end(w, at);
    at = mat_begin(w, 9, 2, 1, 2, "yes"); mat_numbers(w, 2, yes, 2); mat_end(w, at);
    at = mat_begin(w, 6, 8, 1, 2, "complex");
    mat_numbers(w, 9, wide, 2); mat_numbers(w, 1, tiny, 2);
    mat_end(w, at);
    mat_text(w, "text", "hello");
    mat_text(w, "nothing", "");
    at = mat_begin(w, 4, 0, 2, 3, "rows"); mat_numbers(w, 4, letters, 6); mat_end(w, at);
    at = mat_begin(w, 4, 0, 1, 3, "smile"); mat_numbers(w, 17, smile, 3); mat_end(w, at);
    at = mat_begin(w, 5, 0, 3, 3, "sparse");                    /* 4 (0,0), 5 (2,2), 6 (1,2) */
    mat_numbers(w, 5, ir, 4); mat_numbers(w, 5, jc, 4); mat_numbers(w, 9, pr, 4);
    mat_end(w, at);
    at = mat_begin(w, 5, 2, 3, 3, "flags");                     /* MATLAB: bytes called doubles */
    mat_numbers(w, 5, ir, 4); mat_numbers(w, 5, jc, 4);
    mat_int(w, 9, 4); mat_int(w, 3, 4); mat_bytes(w, "\1\1\1\0\0\0\0", 8);
    mat_end(w, at);
    at = mat_begin(w, 1, 0, 1, 3, "cell");
    mat_text(w, "", "one");
    mat_int(w, 14, 4); mat_int(w, 0, 4);                        /* [] as MATLAB leaves it */
    in = mat_begin(w, 1, 0, 1, 1, ""); mat_matrix(w, "", 6, 2, 1, 1, eight + 6); mat_end(w, in);
    mat_end(w, at);
    at = mat_begin_struct(w, "person", 1, 2, "name|age");
    mat_text(w, "", "Ada"); mat_matrix(w, "", 6, 2, 1, 1, many + 5);
    mat_text(w, "", "Bob"); mat_matrix(w, "", 6, 9, 1, 1, many + 2);
    mat_end(w, at);
    at = mat_begin_struct(w, "nobody", 0, 0, "name"); mat_end(w, at);
    at = mat_begin(w, 16, 0, 1, 1, "handle");
    mat_text(w, "", "@sin");
    mat_end(w, at);
    at = w->size + 8;                                           /* an object of a class */
    mat_int(w, 14, 4); mat_int(w, 0, 4); mat_int(w, 6, 4); mat_int(w, 8, 4);
    mat_int(w, 17, 4); mat_int(w, 0, 4);
    mat_chars(w, "thing", 5); mat_chars(w, "MCOS", 4); mat_chars(w, "table", 5);
    mat_matrix(w, "", 13, 6, 2, 3, many);
    mat_end(w, at);
}

static int equal(const double *a, const double *b, size_t n) {
    return a && !memcmp(a, b, n * sizeof *a);
}

static void test_zoo(sal_ctx *ctx, int big, int packed) {
    static const char *const classes[] = { "double", "single", "int8", "uint8", "int16", "uint16",
                                           "int32", "uint32", "int64", "uint64" };
    static const double minus[4] = { -5, 3, 120, -1 }, wide[4] = { 1e300, -0.5, 3.25, 1e-7 };
    static const int types[] = { 1, 2, 3, 4, 5, 6, 7, 9, 12, 13 };
    const char *how = big ? packed ? "big-endian, packed" : "big-endian"
                          : packed ? "little-endian, packed" : "little-endian";
    const sal_mat *m;
    sal_mat file;
    mat_writer w;
    unsigned char *data;
    size_t size;
    char name[32];
    int i, k, right = 1;
    memset(&w, 0, sizeof w);
    w.big = big;
    write_zoo(&w);
    data = mat_file(&w, packed, &size);
    if (!CHECK(sal_mat_load_memory(ctx, data, size, "zoo.mat", &file) == SAL_OK,
               "a %s file with all kinds of variables is read (%s)", how, sal_error(ctx))) return;
    for (k = 0; k < 10; k++) {
        for (i = 0; i < 10; i++) {
            snprintf(name, sizeof name, "c%d_t%d", 6 + k, types[i]);
            m = sal_mat_field(&file, 0, name);
            right &= m && m->kind == SAL_MAT_NUMBERS && !strcmp(m->class_name, classes[k]) &&
                     m->count == 6 && m->dim[0] == 2 && m->dim[1] == 3 && equal(m->number, many, 6);
        }
    }
    CHECK(right, "%s: ten numeric classes in ten storage types have the right values", how);
    m = sal_mat_field(&file, 0, "signed8");
    CHECK(m && equal(m->number, minus, 4), "%s: negative bytes", how);
    m = sal_mat_field(&file, 0, "signed64");
    CHECK(m && equal(m->number, minus, 4), "%s: negative 64-bit integers", how);
    m = sal_mat_field(&file, 0, "wide");
    CHECK(m && equal(m->number, wide, 4), "%s: doubles keep every bit", how);
    m = sal_mat_field(&file, 0, "empty");
    CHECK(m && m->count == 0 && m->dim[1] == 3, "%s: an empty matrix has its dimensions", how);
    m = sal_mat_field(&file, 0, "cube");
    CHECK(m && m->ndim == 3 && m->dim[2] == 2 && m->number[7] == 8, "%s: three dimensions", how);
    m = sal_mat_field(&file, 0, "yes");
    CHECK(m && !strcmp(m->class_name, "logical") && m->number[0] == 1, "%s: logical", how);
    m = sal_mat_field(&file, 0, "complex");
    CHECK(m && m->imag && m->imag[0] == -5 && m->number[1] == -0.5, "%s: complex numbers", how);
    m = sal_mat_field(&file, 0, "text");
    CHECK(m && m->kind == SAL_MAT_TEXT && !strcmp(m->text, "hello"), "%s: text", how);
    m = sal_mat_field(&file, 0, "nothing");
    CHECK(m && m->kind == SAL_MAT_TEXT && !strcmp(m->text, ""), "%s: empty text", how);
    m = sal_mat_field(&file, 0, "rows");
    CHECK(m && !strcmp(m->text, "abc\ndef"), "%s: a char matrix has its rows as lines", how);
    m = sal_mat_field(&file, 0, "smile");
    CHECK(m && !strcmp(m->text, "\xC3\xA9\xF0\x9F\x98\x80"), "%s: UTF-16 becomes UTF-8", how);
    m = sal_mat_field(&file, 0, "sparse");
    CHECK(m && m->kind == SAL_MAT_SPARSE && m->count == 3 && m->number[1] == 5 && m->row[1] == 2 &&
          m->column[1] == 2 && m->row[2] == 1 && m->column[0] == 0 && m->number[2] == 6,
          "%s: a sparse matrix", how);
    m = sal_mat_field(&file, 0, "flags");
    CHECK(m && m->kind == SAL_MAT_SPARSE && m->count == 3 && m->number[2] == 1 && m->row[2] == 1,
          "%s: a sparse logical matrix", how);
    m = sal_mat_field(&file, 0, "cell");
    CHECK(m && m->kind == SAL_MAT_CELL && m->count == 3 && !strcmp(m->child[0].text, "one") &&
          m->child[1].kind == SAL_MAT_NUMBERS && m->child[1].count == 0 &&
          sal_mat_cell(sal_mat_cell(m, 2), 0)->number[0] == 7, "%s: cells in cells", how);
    m = sal_mat_field(&file, 0, "person");
    CHECK(m && m->kind == SAL_MAT_STRUCT && m->count == 2 &&
          !strcmp(sal_mat_field(m, 1, "name")->text, "Bob") &&
          sal_mat_field(m, 1, "age")->number[0] == 100 &&
          sal_mat_field(m, 0, "age")->number[0] == 33 && !sal_mat_field(m, 2, "age") &&
          !sal_mat_field(m, 0, "size"), "%s: a struct array", how);
    m = sal_mat_field(&file, 0, "nobody");
    CHECK(m && m->kind == SAL_MAT_STRUCT && m->count == 0 && m->fields == 1,
          "%s: an empty struct array", how);
    m = sal_mat_field(&file, 0, "handle");
    CHECK(m && m->kind == SAL_MAT_UNKNOWN && !strcmp(m->class_name, "function_handle"),
          "%s: a function handle is recognised and skipped", how);
    m = sal_mat_field(&file, 0, "thing");
    CHECK(m && m->kind == SAL_MAT_UNKNOWN && !strcmp(m->class_name, "opaque"),
          "%s: an object is recognised and skipped", how);
    CHECK(!sal_mat_field(NULL, 0, "a") && !sal_mat_cell(NULL, 0) && !sal_mat_cell(m, 0) &&
          !sal_mat_field(&file, 0, "absent"), "%s: what is not there is NULL", how);
    sal_mat_free(ctx, &file);
    free(data); free(w.data);
}

static int refused(sal_ctx *ctx, const void *data, size_t size, sal_result with) {
    sal_mat file;
    sal_result r = sal_mat_load_memory(ctx, data, size, "some.mat", &file);
    if (r == SAL_OK) sal_mat_free(ctx, &file);
    return r == with && !file.child && !file.memory && strstr(sal_error(ctx), "some.mat") != NULL;
}

static int same_tree(const sal_mat *a, const sal_mat *b) {
    size_t i, n = a->kind == SAL_MAT_STRUCT ? a->count * (size_t)a->fields : a->count;
    if (a->kind != b->kind || strcmp(a->name, b->name) || strcmp(a->class_name, b->class_name) ||
            a->ndim != b->ndim || memcmp(a->dim, b->dim, (size_t)a->ndim * sizeof(int)) ||
            a->count != b->count || a->fields != b->fields) return 0;
    if (a->kind == SAL_MAT_TEXT) return !strcmp(a->text, b->text);
    if (a->kind == SAL_MAT_SPARSE && (memcmp(a->row, b->row, n * sizeof(int)) ||
                                      memcmp(a->column, b->column, n * sizeof(int)))) return 0;
    if (a->kind == SAL_MAT_NUMBERS || a->kind == SAL_MAT_SPARSE)
        return n == 0 || !memcmp(a->number, b->number, n * sizeof(double));
    if (a->kind != SAL_MAT_UNKNOWN)
        for (i = 0; i < n; i++) if (!same_tree(&a->child[i], &b->child[i])) return 0;
    return 1;
}

/* Flip bytes of a packed file, many times over: a load must fail, or give what was written. */
static void test_flips(sal_ctx *ctx, const char *what, const unsigned char *good, size_t size,
                       int rounds, int flips, int checked) {
    unsigned char *bad = (unsigned char *)malloc(size);
    sal_mat truth, file;
    sal_rng rng = { 7 };
    int round, i, refusals = 0, wrong = 0;
    if (sal_mat_load_memory(ctx, good, size, what, &truth) != SAL_OK) { free(bad); return; }
    for (round = 0; round < rounds; round++) {
        memcpy(bad, good, size);
        for (i = 0; i < flips; i++)
            bad[sal_rng_below(&rng, (uint32_t)size)] = (unsigned char)sal_rng_below(&rng, 256);
        if (sal_mat_load_memory(ctx, bad, size, what, &file) == SAL_OK) {
            wrong += checked && !same_tree(&truth, &file);
            sal_mat_free(ctx, &file);
        } else {
            refusals++;
        }
    }
    CHECK(!wrong && refusals > 0, "%s: %d times %d random bytes: %d refused, %d read as they were, "
          "%d wrong", what, rounds, flips, refusals, rounds - refusals - wrong, wrong);
    sal_mat_free(ctx, &truth);
    free(bad);
}

static void test_damage(sal_ctx *ctx) {
    mat_writer w;
    unsigned char *data, *bad;
    size_t size, i, at[70], depth;
    double huge[2];
    sal_mat file;
    memset(&w, 0, sizeof w);
    write_zoo(&w);
    for (i = 0; i < 2; i++) {
        size_t n;
        int refusals = 0, steps = 0;
        data = mat_file(&w, (int)i, &size);
        for (n = 0; n < size; n += n < 4000 ? 1 : 37) {
            bad = (unsigned char *)malloc(n + 1);       /* exact, so that a sanitizer sees it */
            memcpy(bad, data, n);
            if (sal_mat_load_memory(ctx, bad, n, "cut", &file) != SAL_OK) refusals++;
            sal_mat_free(ctx, &file);
            steps++;
            free(bad);
        }
        CHECK(refusals > 0 && steps - refusals < 120, "%s file cut at %d places: refused, but for "
              "%d between variables", i ? "a packed" : "a plain", steps, steps - refusals);
        test_flips(ctx, i ? "packed zoo" : "plain zoo", data, size, 2000, 10, (int)i);
        free(data);
    }
    free(w.data);

    memset(&w, 0, sizeof w);
    mat_matrix(&w, "a", 6, 9, 2, 3, many);
    data = mat_file(&w, 1, &size);
    data[size - 1] ^= 1;
    CHECK(refused(ctx, data, size, SAL_ERR_FORMAT), "a wrong checksum is refused: %s",
          sal_error(ctx));
    free(data);
    mat_put_at(&w, 4, 0x7FFFFF00u, 4);
    {   /* pack it by hand: the array inside claims two gigabytes */
        mat_writer z;
        int length;
        unsigned char *packed = stbi_zlib_compress(w.data, (int)w.size, &length, 8);
        memset(&z, 0, sizeof z);
        data = mat_file(&z, 0, &size);
        mat_bytes(&z, data, size);
        mat_int(&z, 15, 4); mat_int(&z, (uint64_t)length, 4); mat_bytes(&z, packed, (size_t)length);
        CHECK(refused(ctx, z.data, z.size, SAL_ERR_FORMAT), "a packed array that claims 2 GB is "
              "refused: %s", sal_error(ctx));
        free(z.data); free(data); free(packed);
    }
    w.size = 0;
    for (depth = 0; depth < 70; depth++) at[depth] = mat_begin(&w, 1, 0, 1, 1, "");
    mat_matrix(&w, "", 6, 9, 2, 3, many);
    while (depth-- > 0) mat_end(&w, at[depth]);
    data = mat_file(&w, 0, &size);
    CHECK(refused(ctx, data, size, SAL_ERR_FORMAT), "70 cells in each other are refused: %s",
          sal_error(ctx));
    free(data);
    for (i = 0; i < 3; i++) {
        static const int classes[] = { 1, 2, 6 };
        w.size = 0;
        huge[0] = huge[1] = 46340;
        at[0] = mat_begin(&w, classes[i], 0, 46340, 46340, "huge");
        if (classes[i] == 2) {
            double length = 32;
            mat_numbers(&w, 5, &length, 1);
            mat_chars(&w, "f\0______________________________", 32);
        }
        mat_numbers(&w, 9, many, 6);
        mat_end(&w, at[0]);
        data = mat_file(&w, 0, &size);
        CHECK(refused(ctx, data, size, SAL_ERR_FORMAT), "a %s of 2 billion elements in 200 bytes "
              "is "
              "refused: %s", i == 0 ? "cell" : i == 1 ? "struct" : "matrix", sal_error(ctx));
        free(data);
    }
    w.size = 0;
    at[0] = mat_begin(&w, 5, 0, 3, 1, "sparse");
    huge[0] = 3; huge[1] = 0;
    mat_numbers(&w, 5, huge, 1);
    huge[0] = 0; huge[1] = 1;
    mat_numbers(&w, 5, huge, 2); mat_numbers(&w, 9, many, 1);
    mat_end(&w, at[0]);
    data = mat_file(&w, 0, &size);
    CHECK(refused(ctx, data, size, SAL_ERR_FORMAT), "an entry below its sparse matrix is "
          "refused: %s",
          sal_error(ctx));
    free(data); free(w.data);

    bad = (unsigned char *)calloc(1, 1024);
    memcpy(bad, "MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 .", 58);
    memcpy(bad + 124, "\0\2IM", 4);
    memcpy(bad + 512, "\x89HDF\r\n\x1a\n", 8);
    CHECK(refused(ctx, bad, 1024, SAL_ERR_UNSUPPORTED) && strstr(sal_error(ctx), "7.3"),
          "a version 7.3 file is refused by name: %s", sal_error(ctx));
    memset(bad, 0, 512);
    memcpy(bad, "\x89HDF\r\n\x1a\n", 8);
    CHECK(refused(ctx, bad, 1024, SAL_ERR_UNSUPPORTED) && strstr(sal_error(ctx), "HDF5"),
          "a bare HDF5 file, too");
    memset(bad, 0, 1024);
    bad[4] = 2; bad[8] = 3; bad[16] = 2;
    CHECK(refused(ctx, bad, 100, SAL_ERR_UNSUPPORTED) && strstr(sal_error(ctx), "MATLAB 4"),
          "a version 4 file is refused by name: %s", sal_error(ctx));
    memset(bad, 'x', 1024);
    CHECK(refused(ctx, bad, 1024, SAL_ERR_FORMAT) && refused(ctx, bad, 5, SAL_ERR_FORMAT) &&
          refused(ctx, bad, 0, SAL_ERR_FORMAT), "what is no MATLAB file is refused: %s",
          sal_error(ctx));
    free(bad);
    CHECK(sal_mat_load(ctx, "/nowhere/a.mat", &file) == SAL_ERR_IO && strstr(sal_error(ctx),
          "/nowhere/a.mat"), "a file that is not there is named: %s", sal_error(ctx));
}

/* --- plain folders and CSV ------------------------------------------------------------------- */

static int open_fails(sal_ctx *ctx, const char *path, const sal_dataset_options *options,
                      sal_result with, const char *text) {
    sal_dataset set;
    sal_result r = sal_dataset_open(ctx, path, options, &set);
    if (r == SAL_OK) sal_dataset_close(ctx, &set);
    return r == with && strstr(sal_error(ctx), text) != NULL && !set.entry && !set.memory;
}

static char warnings[2000];

static void keep_warning(void *user, const char *message) {
    (void)user;
    strncat(warnings, message, sizeof warnings - strlen(warnings) - 1);
}

/* What spreadsheets and other programs write for the same table. */
static void test_csv_dialects(sal_ctx *ctx) {
    static const struct { const char *text, *what; int bits; } dialects[] = {
        { "image,x,y\na b.png,1.5,2\n", "commas", 8 },
        { "image;x;y\r\na b.png;1.5; 2\r\n", "semicolons", 8 },
        { "IMAGE\tX\tY\na b.png\t 1.5\t2\n", "tabs", 8 },
        { "image\tx\ty\r\na b.png\t1.5\t2", "UTF-16 and tabs", 16 },
        { "image,x,y\na b.png,1.5,2", "UTF-16, most significant byte first, without a mark", -16 },
        { "image,x,y\na b.png,NaN,2\na b.png,1.5,2\na b.png,,2\na b.png,1e999,3\na b.png,1,-inf\n",
          "rows without numbers, which are left out", 8 }
    };
    sal_dataset set;
    sal_item item;
    int i;
    folder("dialects/images");
    save_picture(ctx, "dialects/images/a b.png", 40, 30, 200);
    for (i = 0; i < COUNT(dialects); i++) {
        const char *text = dialects[i].text;
        char wide[200] = "\xFF\xFE";
        size_t k, size = strlen(text), mark = dialects[i].bits > 0 ? 2 : 0;
        for (k = 0; dialects[i].bits != 8 && k < size; k++) {
            wide[mark + 2 * k + !mark] = text[k];
            wide[mark + 2 * k + !!mark] = 0;
        }
        if (dialects[i].bits != 8) { text = wide; size = mark + 2 * size; }
        memset(&item, 0, sizeof item);
        memset(&set, 0, sizeof set);
        ctx->log = keep_warning;
        warnings[0] = 0;
        sal_file_write(ctx, in_root("%s", "dialects/fixations.csv"), text, size);
        sal_result r = sal_dataset_open(ctx, in_root("%s", "dialects"), NULL, &set);
        if (r == SAL_OK) r = sal_dataset_item(ctx, &set, 0, SAL_ITEM_FIXATIONS, &item);
        CHECK(r == SAL_OK && item.fixations == 1 && item.fixation[0].x == 1.5f &&
              item.fixation[0].y == 2 && !strstr(warnings, "4 fixations have no num") == (i < 5),
              "a table with %s is read %s%s", dialects[i].what, r ? sal_error(ctx) : "", warnings);
        sal_item_free(ctx, &item);
        if (r == SAL_OK) sal_dataset_close(ctx, &set);
    }
    ctx->log = NULL;
    sal_file_write(ctx, in_root("%s", "dialects/fixations.csv"), "\xFE\xFF\0i\0", 5);
    CHECK(open_fails(ctx, in_root("%s", "dialects"), NULL, SAL_ERR_FORMAT, "odd number"),
          "half a character of UTF-16 is refused: %s", sal_error(ctx));
    save_text("dialects/fixations.csv", "image,x,y\na b.png,1,2\n");
    save_text("dialects/sigma.csv", "image,sigma_px\na b.png,nan\n");
    CHECK(open_fails(ctx, in_root("%s", "dialects"), NULL, SAL_ERR_FORMAT, "sigma from 0"),
          "a sigma that is no number is refused: %s", sal_error(ctx));
}

/* Fixated pixels as pictures, and as the matrix I of SALICON's first release. */
static void test_points(sal_ctx *ctx) {
    static const double pixels[6] = { 0, 255, 0, 0, 0, 1 };    /* column by column: (0,1), (2,1) */
    static const char *const names[] = { "fixations/a.png", "fixations/b.BMP", "fixations/c.mat" };
    mat_writer w = { NULL, 0, 0, 0 };
    sal_dataset set;
    sal_item item;
    sal_map map;
    int i;
    folder("points/images"); folder("points/fixations");
    for (i = 0; i < 3; i++) {
        char name[40];
        snprintf(name, sizeof name, "points/images/%c.png", 'a' + i);
        save_picture(ctx, name, 3, 2, 100);
    }
    if (sal_map_new(ctx, 3, 2, &map) != SAL_OK) return;
    map.data[3] = map.data[5] = 1;
    sal_map_save_png(ctx, in_root("%s", "points/fixations/a.png"), &map);
    sal_map_save_png(ctx, in_root("%s", "new.png"), &map);
    rename(in_root("%s", "new.png"), in_root("%s", "points/fixations/b.BMP"));
    CHECK(sal_dataset_open(ctx, in_root("%s", "points"), NULL, &set) != SAL_OK &&
          strstr(sal_error(ctx), "c.png"), "a picture without its file of fixations is refused: %s",
          sal_error(ctx));
    mat_matrix(&w, "I", 9, 2, 2, 3, pixels);
    mat_save(&w, in_root("%s", "points/fixations/c.mat"), 1);
    if (CHECK(sal_dataset_open(ctx, in_root("%s", "points"), NULL, &set) == SAL_OK &&
              set.layout == SAL_LAYOUT_SALICON, "fixations/ may hold pictures %s",
                  sal_error(ctx))) {
        for (i = 0; i < 3; i++) {
            int ok = sal_dataset_item(ctx, &set, i, SAL_ITEM_ALL, &item) == SAL_OK;
            CHECK(ok && item.fixations == 2 && item.fixation[0].x == 0 && item.fixation[0].y == 1 &&
                  item.fixation[1].x == 2 && item.fixation[1].y == 1,
                  "the white pixels of %s are the fixations %s", names[i],
                  ok ? "" : sal_error(ctx));
            sal_item_free(ctx, &item);
        }
        map.data[0] = .5f;
        sal_map_save_png(ctx, in_root("%s", "points/fixations/a.png"), &map);
        CHECK(sal_dataset_item(ctx, &set, 0, SAL_ITEM_ALL, &item) == SAL_ERR_FORMAT &&
              strstr(sal_error(ctx), "two grey levels"), "a grey map is no picture of fixations: "
              "%s", sal_error(ctx));
        save_picture(ctx, "points/fixations/b.BMP", 2, 3, 255);
        CHECK(sal_dataset_item(ctx, &set, 1, SAL_ITEM_ALL, &item) == SAL_ERR_SHAPE &&
              strstr(sal_error(ctx), "2 x 3"), "fixated pixels of another size are refused: %s",
              sal_error(ctx));
        sal_dataset_close(ctx, &set);
    }
    remove(in_root("%s", "points/images/c.png"));
    CHECK(sal_dataset_open(ctx, in_root("%s", "points"), NULL, &set) == SAL_OK &&
          set.layout == SAL_LAYOUT_PLAIN, "without MATLAB files it is a plain set");
    sal_dataset_close(ctx, &set);
    sal_map_free(ctx, &map);
}

static void test_csv(sal_ctx *ctx) {
    static const struct { const char *text, *says, *what; } bad[] = {
        { "image,x\na.png,1\n", "fixations.csv:1: no column is named y", "a missing column" },
        { "image,x,y\na.png,1,2\na.png,1,two\n", "fixations.csv:3: \"two\"",
         "a word for a number" },
        { "image,x,y\r\n\r\na.png,1\r\n", "fixations.csv:3: 2 cells", "a short line" },
        { "image,x,y\na.png,1,2,3\n", "fixations.csv:2: 4 cells", "a long line" },
        { "image;x;y\na.png;1,5;2\n", "fixations.csv:2: \"1,5\" in cell 2 is no number (its",
          "a decimal comma" },
        { "image,x,y\n\"a.png,1,2\n", "fixations.csv:2: a quote", "an open quote" },
        { "image,x,y\n\"a.png\"b,1,2\n", "fixations.csv:2: text behind", "text behind a quote" },
        { "image,x,y\nzz.png,1,2\n", "zz.png: this picture is not there", "an unknown picture" },
        { "", "fixations.csv:1: no column is named image", "an empty file" },
        { "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "it is a Git LFS pointer",
          "a pointer of Git LFS" },
        { "\x89PNG\r\n\x1a\n", "no column is named image", "a file that is no CSV" },
        { "image,x,x,y\na.png,1,2,3\n", "fixations.csv:1: two columns are named x",
          "a column that is there twice" },
        { "image,x,y,subject\na.png,1,2,\n", "fixations.csv:2: who looked there", "a viewer without name" }
    };
#ifdef _WIN32       /* allows no quotes in names */
#  define ODD "b,1.png"
#  define ODD_CELL "\"b,1.png\""
#else
#  define ODD "b,\"1\".png"
#  define ODD_CELL "\"b,\"\"1\"\".png\""
#endif
    static const double back[][2] = { { 10.25, 4 }, { 1, 2 }, { 31, 1e1 }, { 3, -0.25 } };
    sal_dataset set;
    sal_item item;
    sal_dataset_options options;
    int i;
    memset(&options, 0, sizeof options);
    folder("csv/images");
    save_picture(ctx, "csv/images/a.png", 40, 30, 200);
    save_picture(ctx, "csv/images/" ODD, 32, 24, 100);
    save_text("csv/fixations.csv", "\xEF\xBB\xBF" "Y , subject,image,note,X,duration_ms\r\n"
              "2,s10,a.png,\"two\r\nlines, \"\"quoted\"\"\",1,150.5\r\n\r\n"
              "4.0,s9, a ,,+10.25,100\r1e1,s10,a.png,x,31,90\n"
              "5,s9," ODD_CELL ",,7,\t80\n-0.25,s10,a.png,,3.,90");
    CHECK(sal_dataset_open(ctx, in_root("%s", "csv"), NULL, &set) == SAL_OK,
          "a folder with images and "
          "a CSV of every oddity is opened (%s)", sal_error(ctx));
    CHECK(set.layout == SAL_LAYOUT_PLAIN && set.count == 2 && set.subjects == 2 &&
          !strcmp(set.subject[0], "s9") && !strcmp(set.subject[1], "s10"),
          "viewers are sorted by number: s9, s10");
    CHECK(sal_dataset_item(ctx, &set, 0, SAL_ITEM_ALL, &item) == SAL_OK, "its first picture is "
          "read");
    CHECK(!strcmp(item.name, "a.png") && item.fixations == 4 && item.subjects == 2 &&
          item.w == 40 &&
          item.image.h == 30 && item.density.w == 40, "with four fixations of two viewers");
    for (i = 0; i < item.fixations; i++)
        CHECK(item.fixation[i].x == back[i][0] && item.fixation[i].y == back[i][1] &&
              item.fixation[i].subject == (i > 0) && item.fixation[i].start_ms == -1,
              "fixation %d is (%g, %g)", i, back[i][0], back[i][1]);
    CHECK(item.fixation[1].duration_ms == 150.5f, "durations are read");
    sal_item_free(ctx, &item);
    CHECK(sal_dataset_item(ctx, &set, 1, SAL_ITEM_FIXATIONS, &item) == SAL_OK &&
          item.fixations == 1 &&
          item.w == 32 && item.h == 24 && !item.image.data && !item.density.data,
          "fixations alone come without picture and map, but with the size");
    sal_item_free(ctx, &item);
    CHECK(sal_dataset_item(ctx, &set, 2, SAL_ITEM_ALL, &item) == SAL_ERR_ARGUMENT,
          "there is no third: "
          "%s", sal_error(ctx));
    sal_dataset_close(ctx, &set);

    remove(in_root("%s", "csv/images/" ODD));
    for (i = 0; i < COUNT(bad); i++) {
        save_text("csv/fixations.csv", bad[i].text);
        CHECK(open_fails(ctx, in_root("%s", "csv"), NULL, i == 7 ? SAL_ERR_IO : SAL_ERR_FORMAT,
                         bad[i].says), "%s is refused: %s", bad[i].what, sal_error(ctx));
    }
    sal_file_write(ctx, in_root("%s", "csv/fixations.csv"), "image,x,y\na.png,3\0,4\n", 21);
    CHECK(open_fails(ctx, in_root("%s", "csv"), NULL, SAL_ERR_FORMAT, "zero bytes"),
          "a number that a zero byte cuts off is refused: %s", sal_error(ctx));
    options.skip_missing = 1;
    save_text("csv/fixations.csv", "image,x,y\nzz.png,1,2\na.png,3,4\n");
    CHECK(sal_dataset_open(ctx, in_root("%s", "csv"), &options, &set) == SAL_OK && set.count == 1,
          "with skip_missing rows of unknown pictures are left out");
    sal_dataset_close(ctx, &set);
    save_text("csv/fixations.csv", "image,x,y\na.png,3,4\ntest/z.png,1,2\n");
    CHECK(sal_dataset_open(ctx, in_root("%s", "csv"), NULL, &set) == SAL_OK && set.count == 1,
          "rows of pictures in test/, which is left out, are left out, too %s", sal_error(ctx));
    sal_dataset_close(ctx, &set);
    save_text("csv/Fixations.csv", "image,x,y\na.png,3,4\n");
    remove(in_root("%s", "csv/fixations.csv"));
    if (sal_path_kind(in_root("%s", "csv/fixations.csv")) < 0)      /* names have capital letters */
        CHECK(open_fails(ctx, in_root("%s", "csv"), NULL, SAL_ERR_IO, "small letters"),
              "a table that is nearly called so is not left out in silence: %s", sal_error(ctx));
    remove(in_root("%s", "csv/Fixations.csv"));
    save_text("csv/fixations.csv", "image,x,y\na.png,3,4\na.png,3,4\na.png,-1.5,4\na.png,40,4\n"
              "a.png,-0.9,29.7\n");
    if (sal_dataset_open(ctx, in_root("%s", "csv"), NULL, &set) == SAL_OK &&
            sal_dataset_item(ctx, &set, 0, SAL_ITEM_ALL, &item) == SAL_OK) {
        CHECK(item.fixations == 4 && item.dropped == 1, "a fixation more than a pixel outside is "
              "dropped and counted; two equal rows are two fixations");
        CHECK(item.sigma == 0.03 * 40, "without sigma.csv the blur is 3 %% of the longer side");
        sal_item_free(ctx, &item);
        sal_dataset_close(ctx, &set);
    }
    save_picture(ctx, "csv/images/a.5.png", 40, 30, 10);
    save_picture(ctx, "csv/images/a.big.png", 40, 30, 10);
    save_text("csv/fixations.csv", "image,x,y,start_ms\na.big,3,4,900\na.5,1,2,0\na.jpg,5,6,0\n"
              "a.big.jpg,7,8,100\n");
    save_text("csv/sigma.csv", "image,sigma_px\na.5,9\na,5\n");
    if (CHECK(sal_dataset_open(ctx, in_root("%s", "csv"), NULL, &set) == SAL_OK && set.count == 3,
              "names with dots, without extensions and with others (%s)", sal_error(ctx))) {
        static const float first[3][2] = { { 1, 9 }, { 7, 0 }, { 5, 5 } };     /* x, sigma */
        for (i = 0; i < 3; i++) {
            CHECK(sal_dataset_item(ctx, &set, i, SAL_ITEM_FIXATIONS, &item) == SAL_OK &&
                  item.fixations == (i == 1 ? 2 : 1) && item.fixation[0].x == first[i][0] &&
                  item.sigma == (i == 1 ? 0.03 * 40 : first[i][1]), "belong to %s, the earliest "
                  "fixation in front", set.entry[i].name);
            sal_item_free(ctx, &item);
        }
        sal_dataset_close(ctx, &set);
    }
    save_text("csv/sigma.csv", "image,sigma_px\na.png,9\na.5.png,2\na.png,8\n");
    CHECK(open_fails(ctx, in_root("%s", "csv"), NULL, SAL_ERR_FORMAT, "sigma.csv:4: a second sigma of a.png"),
          "one picture has one sigma: %s", sal_error(ctx));
    remove(in_root("%s", "csv/sigma.csv"));
    remove(in_root("%s", "csv/images/a.5.png"));
    remove(in_root("%s", "csv/images/a.big.png"));
    save_text("csv/fixations.csv", "image,x,y\na.png,3,4\n");
    save_picture(ctx, "csv/images/c.png", 8, 8, 10);
    save_text("csv/images/d.webp", "RIFF");
    save_text("csv/images/Thumbs.db", "nothing");
    ctx->log = keep_warning;
    warnings[0] = 0;
    if (CHECK(sal_dataset_open(ctx, in_root("%s", "csv"), NULL, &set) == SAL_OK, "a picture "
              "without map and fixations does not stop a set whose table has the others'")) {
        CHECK(set.count == 1 && strstr(warnings, "1 of 2 pictures, as c.png, have neither") &&
              strstr(warnings, "not read here, as d.webp: 1") && !strstr(warnings, "Thumbs"),
              "it is left out, as are kinds that are not read, and that is said: %s", warnings);
        sal_dataset_close(ctx, &set);
    }
    ctx->log = NULL;
    remove(in_root("%s", "csv/images/d.webp"));
    remove(in_root("%s", "csv/images/Thumbs.db"));
    save_picture(ctx, "csv/images/a.jpg", 8, 8, 10);
    CHECK(open_fails(ctx, in_root("%s", "csv"), NULL, SAL_ERR_FORMAT, "have one name"),
          "two pictures of one name are an error: %s", sal_error(ctx));
    remove(in_root("%s", "csv/images/a.jpg"));
    folder("csv/maps");
    save_picture(ctx, "csv/maps/c.png", 8, 8, 51);
    save_text("csv/sigma.csv", "sigma_px,image\n2.5,a.png\n3,A.png\n3,none.png\n");
    ctx->log = keep_warning;
    warnings[0] = 0;
    if (CHECK(sal_dataset_open(ctx, in_root("%s", "csv"), NULL, &set) == SAL_OK,
              "with its map it is a "
              "part of the set (%s)", sal_error(ctx))) {
        CHECK(sal_dataset_item(ctx, &set, 1, SAL_ITEM_ALL, &item) == SAL_OK &&
              item.fixations == 0 &&
              item.density.data[0] == 1 && item.density.data[7] == 0,
              "a map file is scaled to a maximum of 1");
        sal_item_free(ctx, &item);
        CHECK(sal_dataset_item(ctx, &set, 0, SAL_ITEM_DENSITY, &item) == SAL_OK &&
              item.sigma == 2.5 &&
              !item.image.data, "sigma.csv gives the blur of a picture");
        CHECK(strstr(warnings, "sigma.csv: 2 rows are of pictures that are not there, the first of "
                     "A.png"), "and says whose it has in vain: %s", warnings);
        ctx->log = NULL;
        sal_item_free(ctx, &item);
        sal_dataset_close(ctx, &set);
    }
    save_picture(ctx, "csv/maps/c.png", 9, 8, 51);
    if (sal_dataset_open(ctx, in_root("%s", "csv"), NULL, &set) == SAL_OK) {
        CHECK(sal_dataset_item(ctx, &set, 1, SAL_ITEM_ALL, &item) == SAL_ERR_SHAPE &&
              !item.image.data,
              "a map of another size is refused: %s", sal_error(ctx));
        save_text("csv/maps/c.png", "rubbish");
        CHECK(sal_dataset_item(ctx, &set, 1, SAL_ITEM_ALL, &item) != SAL_OK && !item.image.data &&
              strstr(sal_error(ctx), "maps/c.png"), "a damaged map is refused: %s", sal_error(ctx));
        sal_dataset_close(ctx, &set);
    }
    remove(in_root("%s", "csv/images/c.png"));
    CHECK(open_fails(ctx, in_root("%s", "csv"), NULL, SAL_ERR_IO, "the picture of this map"),
          "a map without its picture is an error: %s", sal_error(ctx));
    options.skip_missing = 0;
    options.fixations = "other.csv";
    remove(in_root("%s", "csv/maps/c.png"));
    CHECK(open_fails(ctx, in_root("%s", "csv"), &options, SAL_ERR_IO, "other.csv: no such file"),
          "a file of fixations that is asked for must be there: %s", sal_error(ctx));
    CHECK(open_fails(ctx, in_root("%s", "nowhere"), NULL, SAL_ERR_IO, "no such folder"),
          "a folder that is not there is named: %s", sal_error(ctx));
    CHECK(open_fails(ctx, root, NULL, SAL_ERR_FORMAT, "no known data set"), "an unknown layout is "
          "refused: %s", sal_error(ctx));
}

static void test_order(void) {
    static const char *const right[] = { "1a", "9", "10", "10a", "a", "s", "s1", "s2", "s09", "s9",
                                         "s10", "s10b2", "s10b10" };
    enum { NAMES = 80 };
    char text[NAMES][6];
    const char *name[NAMES];
    int i, k, m, below[NAMES][NAMES], wrong = 0;
    sal_rng rng = { 5 };
    for (i = 0; i + 1 < COUNT(right); i++)
        wrong += set__compare_subjects(&right[i], &right[i + 1]) >= 0;
    CHECK(wrong == 0, "names of viewers: numbers in them are ordered by value");
    for (i = 0; i < NAMES; i++) {
        memset(text[i], 0, sizeof text[i]);
        for (k = (int)sal_rng_below(&rng, 6); k > 0; k--)
            text[i][k - 1] = "0019ab"[sal_rng_below(&rng, 6)];
        name[i] = text[i];
    }
    for (i = 0; i < NAMES; i++)
        for (k = 0; k < NAMES; k++) below[i][k] = set__compare_subjects(&name[i], &name[k]) < 0;
    for (i = 0; i < NAMES; i++)
        for (k = 0; k < NAMES; k++) {
            wrong += below[i][k] + below[k][i] != (strcmp(name[i], name[k]) != 0);
            for (m = 0; m < NAMES; m++) wrong += below[i][k] && below[k][m] && !below[i][m];
        }
    CHECK(wrong == 0, "names of viewers: an order without cycles on 80 random names");
}

static void test_density(sal_ctx *ctx) {
    sal_fixation f[2];
    sal_map map;
    memset(f, 0, sizeof f);
    f[0].x = 10.4f; f[0].y = 7.6f;                  /* the pixel (10, 8) */
    f[1].x = -0.7f; f[1].y = 20;                    /* a pixel outside: at the edge, (0, 19) */
    if (sal_density(ctx, f, 1, 30, 20, 2, &map) == SAL_OK) {
        CHECK(map.data[8 * 30 + 10] == 1, "the density of one fixation is 1 at its pixel");
        CHECK(fabs(map.data[8 * 30 + 13] - exp(-9.0 / 8)) < 1e-6, "and exp(-9/8) three pixels "
              "beside, "
              "for sigma 2");
        CHECK(map.data[8 * 30 + 19] == 0, "and 0 beyond 4 sigma");
        sal_map_free(ctx, &map);
    }
    if (sal_density(ctx, f, 2, 30, 20, 0, &map) == SAL_OK) {
        CHECK(map.data[8 * 30 + 10] == 1 && map.data[19 * 30] == 1, "without blur each fixated "
              "pixel "
              "is 1, and fixations are clipped into the picture");
        sal_map_free(ctx, &map);
    }
    if (sal_density(ctx, f, 0, 30, 20, 2, &map) == SAL_OK) {
        CHECK(map.data[0] == 0 && map.data[599] == 0, "no fixations give a map of zeros");
        sal_map_free(ctx, &map);
    }
    CHECK(sal_density(ctx, f, 1, 0, 20, 2, &map) == SAL_ERR_ARGUMENT, "a map without width is "
          "refused");
}

/* Memory as it may come: full of what was there before. */
static void *used_alloc(void *user, size_t size) {
    void *memory = malloc(size);
    (void)user;
    if (memory) memset(memory, 'x', size);
    return memory;
}

static void used_free(void *user, void *memory) { (void)user; free(memory); }

/* Bytes that are no UTF-8, and nothing else: three bytes each, and a zero byte behind them. */
static void test_no_utf8(void) {
    enum { MOST = 70 };
    char bytes[MOST];
    int n, good = 0;
    sal_ctx ctx = ZEROED;
    ctx.alloc = used_alloc; ctx.free = used_free;
    memset(bytes, 0xFF, MOST);
    for (n = 0; n < MOST; n++) {
        set__arena arena = { NULL };
        const char *text = set__arena_text(&ctx, &arena, bytes, (size_t)n);
        good += text && strlen(text) == (size_t)(3 * n);
        set__arena_free(&ctx, &arena);
    }
    CHECK(good == MOST, "names that are not UTF-8 at all end where they end");
}

/* --- the published layouts ------------------------------------------------------------------- */

static void gaze_entry(mat_writer *w, const double *xy, int n, int type) {
    static const double time[3] = { 0, 16, 33 }, place[6] = { 1, 2, 3, 1, 2, 3 };
    mat_matrix(w, "", 6, type, 3, 2, place);        /* location */
    mat_matrix(w, "", 6, 2, 3, 1, time);            /* timestamp */
    mat_matrix(w, "", 6, type, n, n ? 2 : 0, xy);   /* fixations */
}

static void salicon_file(const char *name, int type, int packed, int big, double height) {
    const double size[2] = { height, 40 };
    static const double one[4] = { 5, 40, 6, 30 }, two[2] = { 12, 1 };
    mat_writer w;
    size_t at;
    memset(&w, 0, sizeof w);
    w.big = big;
    mat_text(&w, "image", "picture");
    mat_matrix(&w, "resolution", 6, height > 255 ? 9 : 2, 1, 2, size);
    at = mat_begin_struct(&w, "gaze", 3, 1, "location|timestamp|fixations");
    gaze_entry(&w, one, 2, type);                   /* (5, 6), (40, 30), counted from 1 */
    gaze_entry(&w, one, 0, type);
    gaze_entry(&w, two, 1, type);
    mat_end(&w, at);
    mat_save(&w, in_root("%s", name), packed);
}

static void test_salicon(sal_ctx *ctx) {
    sal_dataset set;
    sal_item item;
    sal_dataset_options options;
    memset(&options, 0, sizeof options);
    folder("salicon/images/train"); folder("salicon/images/val"); folder("salicon/images/test");
    folder("salicon/maps/train");
    folder("salicon/fixations/train"); folder("salicon/fixations/val");
    save_picture(ctx, "salicon/images/train/COCO_train2014_000000000009.jpg", 40, 30, 200);
    save_picture(ctx, "salicon/images/val/COCO_val2014_000000000073.jpg", 40, 30, 200);
    save_picture(ctx, "salicon/images/test/COCO_test2014_000000000001.jpg", 40, 30, 200);
    save_picture(ctx, "salicon/maps/train/COCO_train2014_000000000009.png", 40, 30, 100);
    salicon_file("salicon/fixations/train/COCO_train2014_000000000009.mat", 2, 1, 0, 30);
    salicon_file("salicon/fixations/val/COCO_val2014_000000000073.mat", 3, 0, 1, 30);
    if (!CHECK(sal_dataset_open(ctx, in_root("%s", "salicon"), NULL, &set) == SAL_OK, "SALICON is "
               "recognised (%s)", sal_error(ctx))) return;
    CHECK(set.layout == SAL_LAYOUT_SALICON && set.count == 2 &&
          !strcmp(set.entry[0].name, "train/COCO_train2014_000000000009.jpg") &&
          !strcmp(set.entry[1].name, "val/COCO_val2014_000000000073.jpg"),
          "SALICON: train and val, but not test");
    CHECK(sal_dataset_item(ctx, &set, 0, SAL_ITEM_ALL, &item) == SAL_OK, "SALICON: train is read "
          "(%s)",
          sal_error(ctx));
    CHECK(item.fixations == 3 && item.subjects == 3 && item.fixation[0].x == 4 &&
          item.fixation[0].y == 5 && item.fixation[1].x == 39 && item.fixation[1].y == 29 &&
          item.fixation[2].subject == 2 && item.fixation[2].x == 11 && item.fixation[2].y == 0,
          "SALICON: fixations of three viewers, one without, counted from 0");
    CHECK(item.density.data[0] == 1 && item.density.data[39] == 0, "SALICON: the map is its file");
    sal_item_free(ctx, &item);
    CHECK(sal_dataset_item(ctx, &set, 1, SAL_ITEM_ALL, &item) == SAL_OK && item.sigma == 19 &&
          item.fixations == 3 && item.density.w == 40 && item.fixation[1].y == 29,
          "SALICON: a map made with sigma 19 where there is no file");
    sal_item_free(ctx, &item);
    sal_dataset_close(ctx, &set);
    salicon_file("salicon/fixations/val/COCO_val2014_000000000073.mat", 3, 0, 0, 1e300);
    options.split = "val"; options.sigma = 3; options.make_density = 1;
    CHECK(sal_dataset_open(ctx, in_root("%s", "salicon"), &options, &set) == SAL_OK &&
          sal_dataset_item(ctx, &set, 0, SAL_ITEM_FIXATIONS, &item) == SAL_ERR_SHAPE &&
          strstr(sal_error(ctx), "40 x 1e+300"), "SALICON: another size: %s", sal_error(ctx));
    sal_dataset_close(ctx, &set);
    salicon_file("salicon/fixations/val/COCO_val2014_000000000073.mat", 3, 0, 1, 30);
    CHECK(sal_dataset_open(ctx, in_root("%s", "salicon"), &options, &set) == SAL_OK &&
          set.count == 1 &&
          sal_dataset_item(ctx, &set, 0, SAL_ITEM_DENSITY, &item) == SAL_OK && item.sigma == 3,
          "SALICON: only val, with another sigma");
    sal_item_free(ctx, &item);
    sal_dataset_close(ctx, &set);
    options.split = "nothing";
    CHECK(open_fails(ctx, in_root("%s", "salicon"), &options, SAL_ERR_IO, "nothing"),
          "SALICON: a part that is not there: %s", sal_error(ctx));
    /* flat folders, as the 2015 edition is often unpacked */
    folder("salicon15/images"); folder("salicon15/fixations/train");
    save_picture(ctx, "salicon15/images/COCO_train2014_000000000009.jpg", 40, 30, 200);
    salicon_file("salicon15/fixations/train/COCO_train2014_000000000009.mat", 9, 1, 0, 30);
    CHECK(sal_dataset_open(ctx, in_root("%s", "salicon15"), NULL, &set) == SAL_OK &&
          set.count == 1 &&
          sal_dataset_item(ctx, &set, 0, SAL_ITEM_FIXATIONS,
                           &item) == SAL_OK && item.fixations == 3,
          "SALICON: pictures in one folder, fixations in train/ (%s)", sal_error(ctx));
    sal_item_free(ctx, &item);
    sal_dataset_close(ctx, &set);
}

/* Pictures of one name in two folders, and maps that do not lie in such. */
static void test_namesakes(sal_ctx *ctx) {
    sal_dataset set;
    folder("twins/images/train"); folder("twins/images/val");
    folder("twins/maps/val"); folder("twins/fixations");
    save_picture(ctx, "twins/images/train/1.png", 40, 30, 200);
    save_picture(ctx, "twins/images/val/1.png", 40, 30, 200);
    save_picture(ctx, "twins/maps/val/1.png", 40, 30, 100);
    CHECK(open_fails(ctx, in_root("%s", "twins"), NULL, SAL_ERR_IO, "train/1.png: there is no map"),
          "a picture does not take the map of its namesake in another folder: %s", sal_error(ctx));
    remove(in_root("%s", "twins/maps/val/1.png"));
    save_picture(ctx, "twins/maps/1.png", 40, 30, 100);
    CHECK(open_fails(ctx, in_root("%s", "twins"), NULL, SAL_ERR_FORMAT, "maps/1.png: several"),
          "nor do both take one that lies flat: %s", sal_error(ctx));
    folder("flat/images/a"); folder("flat/maps");
    save_picture(ctx, "flat/images/a/1.png", 40, 30, 200);
    save_picture(ctx, "flat/maps/1.png", 40, 30, 100);
    if (CHECK(sal_dataset_open(ctx, in_root("%s", "flat"), NULL, &set) == SAL_OK && set.count == 1 &&
              set.entry[0].map, "but it belongs to the only one (%s)", sal_error(ctx)))
        sal_dataset_close(ctx, &set);
}

static void isun_file(const char *path, const char *variable, const char *first,
                      const char *second) {
    static const double size[2] = { 30, 40 }, one[4] = { 5, 39.5, 6, 30 }, two[2] = { 1, 12 };
    mat_writer w;
    size_t at, in;
    int i;
    memset(&w, 0, sizeof w);
    at = mat_begin_struct(&w, variable, 2, 1, "image|resolution|scene|gaze");
    for (i = 0; i < 2; i++) {
        mat_text(&w, "", i ? second : first);
        mat_matrix(&w, "", 6, 2, 1, 2, size);
        mat_text(&w, "", "kitchen");
        in = mat_begin_struct(&w, "", 1, 2, "location|timestamp|fixation");
        gaze_entry(&w, one, 2, 9); gaze_entry(&w, two, 1, 2);
        mat_end(&w, in);
    }
    mat_end(&w, at);
    mat_save(&w, in_root("%s", path), 1);
}

static void test_isun(sal_ctx *ctx) {
    double map[40 * 30];
    sal_dataset_options options;
    sal_dataset set;
    sal_item item;
    mat_writer w;
    int i;
    folder("isun/images"); folder("isun/saliency");
    save_picture(ctx, "isun/images/sun_a.jpg", 40, 30, 200);
    save_picture(ctx, "isun/images/sun_b.jpg", 40, 30, 100);
    save_picture(ctx, "isun/images/sun_c.jpg", 40, 30, 100);
    save_picture(ctx, "isun/images/sun_d.jpg", 40, 30, 100);
    isun_file("isun/training.mat", "training", "sun_a", "sun_b");
    isun_file("isun/validation.mat", "validation", "sun_c", "sun_d");
    for (i = 0; i < 1200; i++) map[i] = i % 30 == 7 && i / 30 == 3 ? 8 : i % 30 == 8 ? 2 : 0;
    memset(&w, 0, sizeof w);
    mat_matrix(&w, "I", 9, 2, 30, 40, map);
    mat_save(&w, in_root("%s", "isun/saliency/sun_b.mat"), 1);
    memset(&options, 0, sizeof options);
    if (!CHECK(sal_dataset_open(ctx, in_root("%s", "isun"), NULL, &set) == SAL_OK,
               "iSUN is recognised "
               "(%s)", sal_error(ctx))) return;
    CHECK(set.layout == SAL_LAYOUT_ISUN && set.count == 4 &&
          !strcmp(set.entry[2].name, "sun_c.jpg"),
          "iSUN: training, then validation");
    CHECK(sal_dataset_item(ctx, &set, 1, SAL_ITEM_ALL, &item) == SAL_OK && item.fixations == 3 &&
          item.subjects == 2 && item.fixation[1].x == 38.5f && item.fixation[1].y == 29 &&
          item.fixation[2].x == 0 && item.fixation[2].y == 11 && item.fixation[2].subject == 1,
          "iSUN: fixations of two viewers (%s)", sal_error(ctx));
    CHECK(item.density.data[7 * 40 + 3] == 1 && item.density.data[8 * 40 + 3] == 0.25f,
          "iSUN: a map from saliency/NAME.mat stands upright");
    sal_item_free(ctx, &item);
    sal_dataset_close(ctx, &set);
    options.split = "validation";
    CHECK(sal_dataset_open(ctx, in_root("%s", "isun"), &options, &set) == SAL_OK && set.count == 2,
          "iSUN: validation alone");
    sal_dataset_close(ctx, &set);
    save_picture(ctx, "isun/images/sun_d.jpg", 20, 15, 100);
    CHECK(open_fails(ctx, in_root("%s", "isun"), NULL, SAL_ERR_SHAPE, "40 x 30 and their picture 20 x 15"),
          "iSUN: a picture of another size than its fixations' is refused: %s", sal_error(ctx));
    remove(in_root("%s", "isun/images/sun_d.jpg"));
    CHECK(open_fails(ctx, in_root("%s", "isun"), NULL, SAL_ERR_IO, "sun_d: this picture is not in"),
          "iSUN: a missing picture is named: %s", sal_error(ctx));
}

static void copy_file(sal_ctx *ctx, const char *from, const char *to) {
    unsigned char *bytes;
    size_t size;
    int copied = sal_file_read(ctx, from, &bytes, &size) == SAL_OK &&
                 sal_file_write(ctx, in_root("%s", to), bytes, size) == SAL_OK;
    CHECK(copied, "%s is copied", from);
    sal_free(ctx, bytes);
}

/* Raw gaze at 240 Hz: three fixations with a little noise, saccades of 30 ms between, a blink. */
static void mit_samples(const char *path, const char *variable, int seed, int big) {
    static const double place[3][2] = { { 200, 150 }, { 61, 41 }, { 301, 221 } };
    static const int length[3] = { 60, 72, 48 };
    double v[2 * 300];
    sal_rng rng = { (uint64_t)seed };
    mat_writer w;
    size_t at, in;
    int i, k, n = 0;
    for (i = 0; i < 3; i++) {
        for (k = 0; k < length[i]; k++, n++) {
            int blink = i == 2 && k >= 20 && k < 26;
            v[n] = blink ? -320 : place[i][0] + 0.8 * sal_rng_uniform(&rng) - 0.4;
            v[300 + n] = blink ? -200 : place[i][1] + 0.8 * sal_rng_uniform(&rng) - 0.4;
        }
        for (k = 1; i < 2 && k <= 7; k++, n++) {
            v[n] = place[i][0] + (place[i + 1][0] - place[i][0]) * k / 8;
            v[300 + n] = place[i][1] + (place[i + 1][1] - place[i][1]) * k / 8;
        }
    }
    memmove(v + n, v + 300, (size_t)n * sizeof *v);
    memset(&w, 0, sizeof w);
    w.big = big;
    at = mat_begin_struct(&w, variable, 1, 1, "imgName|DATA");
    mat_text(&w, "", "scene.jpeg");
    in = mat_begin_struct(&w, "", 1, 1, "eyeData|trial");
    mat_matrix(&w, "", 6, 9, n, 2, v);
    mat_matrix(&w, "", 6, 2, 1, 1, many);
    mat_end(&w, in);
    mat_end(&w, at);
    mat_save(&w, in_root("%s", path), 1);
}

static void test_mit1003(sal_ctx *ctx) {
    sal_dataset_options options;
    sal_dataset set;
    sal_item item;
    int i, near_ = 1;
    memset(&options, 0, sizeof options);
    folder("mit/ALLSTIMULI"); folder("mit/ALLFIXATIONMAPS");
    save_picture(ctx, "mit/ALLSTIMULI/i05june05_static_street_boston_p1010764.jpeg", 400, 300, 90);
    save_picture(ctx, "mit/ALLFIXATIONMAPS/i05june05_static_street_boston_p1010764_fixMap.jpg", 400,
                 300, 90);
    /* made by libjpeg: white at (60, 40), (300, 220), (0, 0) and (399, 299) */
    copy_file(ctx, "tests/golden/fixPts.jpg",
              "mit/ALLFIXATIONMAPS/i05june05_static_street_boston_p1010764_fixPts.jpg");
    if (!CHECK(sal_dataset_open(ctx, in_root("%s", "mit"), NULL, &set) == SAL_OK, "MIT1003 is "
               "recognised (%s)", sal_error(ctx))) return;
    CHECK(set.layout == SAL_LAYOUT_MIT1003 && set.count == 1 && set.subjects == 0,
          "MIT1003: one picture");
    CHECK(sal_dataset_item(ctx, &set, 0, SAL_ITEM_ALL, &item) == SAL_OK && item.fixations == 4 &&
          item.subjects == 1 && item.fixation[0].x == 0 && item.fixation[1].x == 60 &&
          item.fixation[1].y == 40 && item.fixation[3].y == 299,
          "MIT1003: exactly the points of _fixPts.jpg, in spite of JPEG");
    CHECK(item.density.data[0] == 1 && item.density.data[399] < 0.03, "MIT1003: the map of "
          "_fixMap.jpg");
    sal_item_free(ctx, &item);
    sal_dataset_close(ctx, &set);
    folder("mit/DATA/hp"); folder("mit/DATA/CNG"); folder("mit/DATA/ajs");
    mit_samples("mit/DATA/hp/i05june05_static_street_boston_p1010764.mat",
                "i05june05_static_street_boston_p1010764", 1, 0);
    mit_samples("mit/DATA/CNG/i05june05_static_street_boston_p1010764.mat",
                "i05june05_static_street_boston_p1010764", 2, 1);
    CHECK(sal_dataset_open(ctx, in_root("%s", "mit"), NULL, &set) == SAL_OK && set.subjects == 3 &&
          !strcmp(set.subject[2], "hp"), "MIT1003: the viewers are the folders of DATA");
    CHECK(sal_dataset_item(ctx, &set, 0, SAL_ITEM_FIXATIONS, &item) == SAL_OK &&
          item.fixations == 4,
          "MIT1003: two viewers with two fixations each, without the first (%d; "
                  "%s)", item.fixations,
          sal_error(ctx));
    for (i = 0; i < item.fixations; i++)
        near_ &= fabs(item.fixation[i].x - (i % 2 ? 300 : 60)) < 0.3 &&
                 fabs(item.fixation[i].y - (i % 2 ? 220 : 40)) < 0.3 &&
                 item.fixation[i].subject == (i < 2 ? 0 : 2);
    CHECK(near_, "MIT1003: detected where the gaze rested, one across the blink");
    CHECK(fabs(item.fixation[0].start_ms - 67 * 1000 / 240.0) < 15 &&
          fabs(item.fixation[0].duration_ms - 300) < 25, "MIT1003: from %.0f ms on for %.0f ms",
          item.fixation[0].start_ms, item.fixation[0].duration_ms);
    sal_item_free(ctx, &item);
    sal_dataset_close(ctx, &set);
    options.keep_first = 1;
    CHECK(sal_dataset_open(ctx, in_root("%s", "mit"), &options, &set) == SAL_OK &&
          sal_dataset_item(ctx, &set, 0, SAL_ITEM_FIXATIONS,
                           &item) == SAL_OK && item.fixations == 6 &&
          fabs(item.fixation[0].x - 199) < 0.3, "MIT1003: with the first fixation on request");
    sal_item_free(ctx, &item);
    sal_dataset_close(ctx, &set);
    remove(in_root("%s", "mit/DATA/hp/i05june05_static_street_boston_p1010764.mat"));
    mit_samples("mit/DATA/hp/i05june05_static_street_boston_p1010764.MAT",
                "i05june05_static_street_boston_p1010764", 1, 0);
    CHECK(sal_dataset_open(ctx, in_root("%s", "mit"), &options, &set) == SAL_OK &&
          sal_dataset_item(ctx, &set, 0, SAL_ITEM_FIXATIONS, &item) == SAL_OK && item.fixations == 6,
          "MIT1003: also from a file whose name ends in capitals");
    sal_item_free(ctx, &item);
    sal_dataset_close(ctx, &set);
    options.split = "Action";
    CHECK(open_fails(ctx, in_root("%s", "mit"), &options, SAL_ERR_ARGUMENT, "no parts"),
          "MIT1003: a part of it is refused: %s", sal_error(ctx));
    options.split = NULL;
    options.pooled = 1;
    CHECK(sal_dataset_open(ctx, in_root("%s", "mit"), &options, &set) == SAL_OK &&
          set.subjects == 0 &&
          sal_dataset_item(ctx, &set, 0, SAL_ITEM_FIXATIONS,
                           &item) == SAL_OK && item.fixations == 4 &&
          item.subjects == 1, "MIT1003: the published points on request");
    sal_item_free(ctx, &item);
    sal_dataset_close(ctx, &set);
}

/* A matrix of zeros with ones at two places: (x, y) = (31, 7) and (2, 29). */
static void pixel_matrix(mat_writer *w, const char *name, int type, int logical) {
    double v[40 * 30];
    size_t at;
    memset(v, 0, sizeof v);
    v[31 * 30 + 7] = v[2 * 30 + 29] = 1;
    at = mat_begin(w, logical ? 9 : 6, logical ? 2 : 0, 30, 40, name);
    mat_numbers(w, type, v, 1200);
    mat_end(w, at);
}

static void test_cat2000(sal_ctx *ctx) {
    sal_dataset_options options;
    sal_dataset set;
    sal_item item;
    mat_writer w;
    memset(&options, 0, sizeof options);
    folder("cat/trainSet/Stimuli/Action/Output"); folder("cat/trainSet/Stimuli/Pattern/Output");
    folder("cat/trainSet/FIXATIONLOCS/Action"); folder("cat/trainSet/FIXATIONLOCS/Pattern");
    folder("cat/trainSet/FIXATIONMAPS/Action"); folder("cat/trainSet/FIXATIONMAPS/Pattern");
    save_picture(ctx, "cat/trainSet/Stimuli/Action/001.jpg", 40, 30, 90);
    save_picture(ctx, "cat/trainSet/Stimuli/Action/Output/001_SaliencyMap.jpg", 40, 30, 90);
    save_picture(ctx, "cat/trainSet/Stimuli/Pattern/001.jpg", 40, 30, 90);
    save_picture(ctx, "cat/trainSet/FIXATIONMAPS/Action/001.jpg", 40, 30, 90);
    memset(&w, 0, sizeof w);
    pixel_matrix(&w, "fixLocs", 2, 1);
    mat_save(&w, in_root("%s", "cat/trainSet/FIXATIONLOCS/Action/001.mat"), 1);
    pixel_matrix(&w, "fixLocs", 9, 0);
    mat_save(&w, in_root("%s", "cat/trainSet/FIXATIONLOCS/Pattern/001.mat"), 1);
    if (!CHECK(sal_dataset_open(ctx, in_root("%s", "cat"), NULL, &set) == SAL_OK, "CAT2000 is "
               "recognised (%s)", sal_error(ctx))) return;
    CHECK(set.layout == SAL_LAYOUT_CAT2000 && set.count == 2 && !strcmp(set.entry[0].name,
                                                                 "Action/001.jpg") &&
          !strcmp(set.entry[1].name, "Pattern/001.jpg"), "CAT2000: categories, without Output");
    CHECK(sal_dataset_item(ctx, &set, 0, SAL_ITEM_ALL, &item) == SAL_OK && item.fixations == 2 &&
          item.subjects == 1 && item.fixation[0].x == 2 && item.fixation[0].y == 29 &&
          item.fixation[1].x == 31 && item.fixation[1].y == 7 && item.density.data[0] == 1,
          "CAT2000: pooled fixations from fixLocs and the map (%s)", sal_error(ctx));
    sal_item_free(ctx, &item);
    CHECK(sal_dataset_item(ctx, &set, 1, SAL_ITEM_ALL, &item) == SAL_OK && item.fixations == 2 &&
          item.sigma == 38 && item.density.data[0] > 0.5, "CAT2000: a map made with sigma 38");
    sal_item_free(ctx, &item);
    sal_dataset_close(ctx, &set);
    options.split = "Pattern";
    CHECK(sal_dataset_open(ctx, in_root("%s", "cat/trainSet"), &options, &set) == SAL_OK &&
          set.count == 1, "CAT2000: one category, opened at trainSet");
    sal_dataset_close(ctx, &set);
    remove(in_root("%s", "cat/trainSet/FIXATIONLOCS/Pattern/001.mat"));
    CHECK(open_fails(ctx, in_root("%s", "cat"), NULL, SAL_ERR_IO, "Pattern/001.jpg"),
          "CAT2000: a picture without ground truth is named: %s", sal_error(ctx));
}

static void test_toronto(sal_ctx *ctx) {
    static const double ir[2] = { 29, 7 };
    double jc[41];
    sal_dataset set;
    sal_item item;
    mat_writer w;
    size_t at, in;
    int i;
    folder("toronto/Original Image Set");
    save_picture(ctx, "toronto/Original Image Set/1.jpg", 40, 30, 90);
    save_picture(ctx, "toronto/Original Image Set/2.jpg", 40, 30, 90);
    save_picture(ctx, "toronto/Original Image Set/10.jpg", 40, 30, 90);
    memset(&w, 0, sizeof w);
    w.big = 1;
    at = mat_begin(&w, 1, 0, 1, 10, "white");
    for (i = 1; i <= 9; i++) pixel_matrix(&w, "", 2, i == 1);
    for (i = 0; i <= 40; i++) jc[i] = (i > 2) + (i > 31);
    in = mat_begin(&w, 5, 2, 30, 40, "");           /* a sparse one */
    mat_numbers(&w, 5, ir, 2); mat_numbers(&w, 5, jc, 41); mat_numbers(&w, 2, many, 2);
    mat_end(&w, in);
    mat_end(&w, at);
    mat_save(&w, in_root("%s", "toronto/origfixdata.mat"), 1);
    if (!CHECK(sal_dataset_open(ctx, in_root("%s", "toronto"), NULL, &set) == SAL_OK, "Toronto is "
               "recognised (%s)", sal_error(ctx))) return;
    CHECK(set.layout == SAL_LAYOUT_TORONTO && set.count == 3, "Toronto: three pictures");
    for (i = 0; i < 3; i++) {
        CHECK(sal_dataset_item(ctx, &set, i, SAL_ITEM_ALL, &item) == SAL_OK &&
              item.fixations == 2 &&
              item.subjects == 1 && item.fixation[0].x == 2 && item.fixation[0].y == 29 &&
              item.fixation[1].x == 31 && item.sigma == 21, "Toronto: the pixels of white for %s",
              set.entry[i].name);
        sal_item_free(ctx, &item);
    }
    sal_dataset_close(ctx, &set);
    save_picture(ctx, "toronto/Original Image Set/10.jpg", 80, 60, 90);
    CHECK(open_fails(ctx, in_root("%s", "toronto"), NULL, SAL_ERR_SHAPE, "40 x 30 and their picture 80 x 60"),
          "Toronto: pictures of another size than white are refused: %s", sal_error(ctx));
    save_picture(ctx, "toronto/Original Image Set/10.jpg", 40, 30, 90);
    save_picture(ctx, "toronto/Original Image Set/11.jpg", 40, 30, 90);
    CHECK(open_fails(ctx, in_root("%s", "toronto"), NULL, SAL_ERR_IO, "11.jpg: white has no cell"),
          "Toronto: a picture without cell is named: %s", sal_error(ctx));
}

/* --- memory ---------------------------------------------------------------------------------- */

static int allocations, allocations_left, alive;

static void *counting_alloc(void *user, size_t size) {
    (void)user;
    allocations++;
    if (allocations_left == 0) return NULL;
    allocations_left--;
    alive++;
    return malloc(size);
}

static void counting_free(void *user, void *memory) {
    (void)user;
    alive--;
    free(memory);
}

static sal_result open_and_read(sal_ctx *ctx, const char *name) {
    sal_dataset set;
    sal_item item;
    sal_result r = sal_dataset_open(ctx, in_root("%s", name), NULL, &set);
    int i;
    for (i = 0; r == SAL_OK && i < set.count; i++) {
        r = sal_dataset_item(ctx, &set, i, SAL_ITEM_ALL, &item);
        sal_item_free(ctx, &item);
    }
    sal_dataset_close(ctx, &set);
    return r;
}

static void test_memory(void) {
    static const char *const sets[] = { "salicon", "mit", "toronto", "plain" };
    sal_ctx ctx;
    int i, n, k;
    memset(&ctx, 0, sizeof ctx);
    ctx.alloc = counting_alloc; ctx.free = counting_free;
    allocations_left = -1;
    folder("plain/images");
    save_picture(&ctx, "plain/images/a.png", 40, 30, 200);
    save_text("plain/fixations.csv", "image,subject,x,y\na,s2,1,2\na,s1,3,4\na,s2,5,6\n");
    remove(in_root("%s", "toronto/Original Image Set/11.jpg"));
    for (i = 0; i < COUNT(sets); i++) {
        int refused_ = 0, leaks = 0;
        allocations = 0; allocations_left = -1;
        if (!CHECK(open_and_read(&ctx, sets[i]) == SAL_OK, "%s is read with another allocator (%s)",
                   sets[i], sal_error(&ctx))) continue;
        n = allocations;
        for (k = 0; k < n; k++) {
            allocations_left = k;
            refused_ += open_and_read(&ctx, sets[i]) != SAL_OK;
            leaks += alive;
            alive = 0;
        }
        CHECK(refused_ == n && leaks == 0, "%s: each of its %d allocations may fail: an error, "
              "nothing "
              "left behind (%d refused, %d leaks)", sets[i], n, refused_, leaks);
    }
}

/* --- the shared data ------------------------------------------------------------------------- */

static void test_shared(sal_ctx *ctx, const char *data, const char *name, int pictures,
                        int fixations) {
    static const char *const files[] = { "fixations.csv", "fixations.mat", "fixations_matlab.mat" };
    sal_dataset_options options;
    sal_dataset set[3];
    char path[1200];
    int i, k, total = 0, differ = 0, apart = 0, opened = 0;
    double off = 0, blur = 0;
    memset(&options, 0, sizeof options);
    snprintf(path, sizeof path, "%s/%s", data, name);
    if (sal_path_kind(path) != 1) { SKIP("%s is not there", path); return; }
    for (k = 0; k < 3; k++) {
        options.fixations = files[k];
        opened += CHECK(sal_dataset_open(ctx, path, &options, &set[k]) == SAL_OK &&
                        set[k].count == pictures, "%s/%s is read (%s)", name, files[k],
                        sal_error(ctx));
    }
    for (i = 0; i < pictures && opened == 3; i++) {
        const sal_dataset_entry *a = &set[0].entry[i], *b = &set[1].entry[i], *c = &set[2].entry[i];
        int j;
        if (a->count != b->count || a->count != c->count || strcmp(a->name, b->name)) {
            apart++;
            continue;
        }
        total += a->count;
        for (j = 0; j < a->count; j++) {
            const sal_fixation *f = &set[0].fixation[a->first + j];
            const sal_fixation *g = &set[1].fixation[b->first + j];
            const sal_fixation *h = &set[2].fixation[c->first + j];
            off = MAX(off, MAX(fabs(f->x - g->x), fabs(f->y - g->y)));
            differ += f->subject != g->subject || fabs(f->duration_ms - g->duration_ms) > 0.5;
            differ += memcmp(g, h, sizeof *g) != 0;
        }
    }
    CHECK(opened == 3 && !apart && !differ && total == fixations, "%s: CSV and both MATLAB files "
          "have "
          "the same %d fixations of the same viewers in the same order", name, total);
    CHECK(off <= 0.00056, "%s: coordinates agree to the three digits of the CSV (%.5f)", name, off);
    for (i = 0; i < pictures && opened == 3; i += pictures / 40) {
        sal_item file, made;
        /* scaled pictures: some looks fall between two pixels, and rounding decides which */
        if (set[0].entry[i].sigma != 24 && set[0].entry[i].sigma != 8) continue;
        set[0].options.make_density = 0; set[1].options.make_density = 1;
        if (sal_dataset_item(ctx, &set[0], i, SAL_ITEM_DENSITY, &file) == SAL_OK &&
                sal_dataset_item(ctx, &set[1], i, SAL_ITEM_DENSITY, &made) == SAL_OK) {
            for (k = 0; k < file.w * file.h; k++)
                blur = MAX(blur, fabs(file.density.data[k] - made.density.data[k]));
            sal_item_free(ctx, &made);
        }
        sal_item_free(ctx, &file);
    }
    CHECK(blur > 0 && blur < 0.6 / 255, "%s: maps made from the fixations are the published ones "
          "to the "
          "rounding of 8 bits (%.2f of 1/255)", name, blur * 255);
    for (k = 0; k < 3; k++) sal_dataset_close(ctx, &set[k]);
    for (k = 1; k < 3; k++) {
        unsigned char *bytes;
        size_t size;
        snprintf(path, sizeof path, "%s/%s/%s", data, name, files[k]);
        if (sal_file_read(ctx, path, &bytes, &size) == SAL_OK)
            test_flips(ctx, path, bytes, size, 20, 100, 1);
        sal_free(ctx, bytes);
    }
}

/* Seeds of the fuzz target for MATLAB files whose reason to be refused is known. */
static void test_seeds(sal_ctx *ctx) {
    static const struct { const char *name, *reason; } seed[] = {
        { "sparse-overlap", "columns of a sparse matrix overlap" },
        { "dims-wrap", "impossible dimensions" }, { "deep", "nested more than 64 deep" },
        { "field-name", NULL }
    };
    for (int i = 0; i < COUNT(seed); i++) {
        static const char header[] = "MATLAB 5.0 MAT-file";
        unsigned char *data, *whole;
        size_t size;
        char path[200];
        sal_mat mat;
        snprintf(path, sizeof path, "tests/fuzz/corpus/mat/%s", seed[i].name);
        if (sal_file_read(ctx, path, &data, &size)) { CHECK(0, "%s", sal_error(ctx)); continue; }
        whole = (unsigned char *)malloc(127 + size);    /* the first byte says: no header */
        memset(whole, ' ', 124);
        memcpy(whole, header, sizeof header - 1);
        memcpy(whole + 124, "\0\1IM", 4);
        memcpy(whole + 128, data + 1, size - 1);
        sal_result r = sal_mat_load_memory(ctx, whole, 127 + size, "seed", &mat);
        if (seed[i].reason) CHECK(r == SAL_ERR_FORMAT && strstr(sal_error(ctx), seed[i].reason),
                                  "%s is refused: %s", seed[i].name, sal_error(ctx));
        else CHECK(r == SAL_OK && !strcmp(mat.child->child->name, "ABCDEFGH"), "a name that fills "
                   "its place ends with it");
        sal_mat_free(ctx, &mat);
        sal_free(ctx, data);
        free(whole);
    }
}

int main(void) {
    const char *data = getenv("SALIENCY_DATA"), *temporary = getenv("TMPDIR");
    sal_ctx ctx;
    int i;
    memset(&ctx, 0, sizeof ctx);
    if (!data) data = "../shared/data";
    snprintf(root, sizeof root, "%s/saliency-test-XXXXXX", temporary ? temporary : TEST_FOLDER);
    if (!CHECK(mkdtemp(root) != NULL, "there is a folder for the tests")) return test_done();
    test_no_utf8();
    for (i = 0; i < 4; i++) test_zoo(&ctx, i & 1, i >> 1);
    test_damage(&ctx);
    test_seeds(&ctx);
    test_csv(&ctx);
    test_csv_dialects(&ctx);
    test_points(&ctx);
    test_order();
    test_density(&ctx);
    test_salicon(&ctx);
    test_namesakes(&ctx);
    test_isun(&ctx);
    test_mit1003(&ctx);
    test_cat2000(&ctx);
    test_toronto(&ctx);
    test_memory();
    test_shared(&ctx, data, "osie", 500, 70166);
    test_shared(&ctx, data, "scene", 400, 35253);
    remove_tree(&ctx, root);
    return test_done();
}
