/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* dataset.h - fixation data sets as their authors publish them, for saliency.h

   Reads, from a folder, photographs with what people looked at: OSIE, Scene, SALICON, iSUN,
   MIT1003, CAT2000, Toronto, and plain folders of pictures with maps or a table of fixations (see
   sal_dataset_open below for the layouts). It has the reader for MATLAB files (versions 5 to 7.2)
   and for CSV that this takes, and hands folders to the trainer of saliency.h as a source of
   samples. Include it after saliency.h, whose public functions are all that it uses. In ONE source
   file define DATASET_IMPLEMENTATION first:

       #define SALIENCY_IMPLEMENTATION
       #include "saliency.h"
       #define DATASET_IMPLEMENTATION
       #include "dataset.h"

       int main(int argc, char **argv) {
           sal_ctx ctx = { 0 };
           sal_dataset set;
           sal_item item;
           if (argc < 2 || sal_dataset_open(&ctx, argv[1], NULL, &set)) return 1;
           for (int i = 0; i < set.count; i++)
               if (sal_dataset_item(&ctx, &set, i, SAL_ITEM_FIXATIONS, &item) == SAL_OK) {
                   printf("%s: %d x %d, %d fixations\n", item.name, item.w, item.h, item.fixations);
                   sal_item_free(&ctx, &item);
               }
           sal_dataset_close(&ctx, &set);
           return 0;
       }

   Results, errors, memory and threads are as in saliency.h: sal_error(ctx) says what went wrong,
   everything is released by the function of its name, and an open set may be read by many contexts
   at once. Licence: as saliency.h, public domain or MIT-0. */
#ifndef SALIENCY_H
#  error "include saliency.h before dataset.h"
#endif
#ifndef SALIENCY_DATASET_H
#define SALIENCY_DATASET_H

/* MATLAB files of versions 5 to 7.2, either byte order, as a tree. The root stands for the file: a
   1 x 1 struct whose fields are the variables. Everything belongs to the root: sal_mat_free it. */
typedef enum sal_mat_kind {
    SAL_MAT_UNKNOWN,    /* function handles and objects: recognised, their contents are not read */
    SAL_MAT_NUMBERS,    /* every numeric class, and logical: count numbers, column by column */
    SAL_MAT_SPARSE,     /* number[i] stands at (row[i], column[i]), counted from 0; count of them */
    SAL_MAT_TEXT,       /* UTF-8; the rows of a char matrix are separated by newlines */
    SAL_MAT_CELL,       /* count children */
    SAL_MAT_STRUCT      /* count elements, each of `fields` children */
} sal_mat_kind;

typedef struct sal_mat {
    sal_mat_kind kind;
    const char *name;           /* of the variable or field; "" inside a cell */
    const char *class_name;     /* as MATLAB says it: "double", "uint8", "logical", "cell", ... */
    int ndim;
    const int *dim;             /* at least two */
    size_t count;               /* elements: the product of dim (sparse: entries that are stored) */
    const double *number;       /* 64-bit integers beyond 2^53 are rounded */
    const double *imag;         /* the imaginary part, or NULL */
    const int *row, *column;
    const char *text;
    int fields;
    struct sal_mat *child;
    void *memory;               /* the root holds all of it */
} sal_mat;

/* Damaged files are refused (SAL_ERR_FORMAT), as are files of version 4 and of version 7.3, which
   is HDF5 (SAL_ERR_UNSUPPORTED). `name` stands in error texts. */
SALDEF sal_result sal_mat_load_memory(sal_ctx *ctx, const void *data, size_t size,
                                      const char *name, sal_mat *mat);
SALDEF void sal_mat_free(sal_ctx *ctx, sal_mat *mat);
/* The field of one element of a struct, the content of a cell; NULL if mat is NULL or has none. */
SALDEF const sal_mat *sal_mat_field(const sal_mat *mat, size_t index, const char *name);
SALDEF const sal_mat *sal_mat_cell(const sal_mat *mat, size_t index);

#ifndef SALIENCY_NO_STDIO
SALDEF sal_result sal_mat_load(sal_ctx *ctx, const char *path, sal_mat *mat);

/* Fixation data sets in the folders their authors published. sal_dataset_open recognises:
     plain    images/ (or stimuli/) with maps/NAME.png or fixations.csv or both, and sigma.csv
              (image, sigma_px) if it is there. Columns of the fixations, in any order: image, x,
              y; subject, duration_ms, start_ms if known.
     OSIE     the same with fixations.mat, or data/stimuli/ and data/eye/fixations.mat
     Scene    the same; the .mat says which of the two it is
              Or, instead of the table, fixations/NAME.png or .bmp: black, but for fixated pixels.
     SALICON  images/, fixations/ (NAME.mat, of either release), maps/, each with train/ and val/
              inside or flat
     iSUN     images/, training.mat, validation.mat; saliency/NAME.mat if there
     MIT1003  ALLSTIMULI/, ALLFIXATIONMAPS/ (NAME_fixMap.jpg, NAME_fixPts.jpg), DATA/viewer/NAME.mat
     CAT2000  Stimuli/CATEGORY/, FIXATIONLOCS/, FIXATIONMAPS/; or a folder with trainSet/ inside
     Toronto  origfixdata.mat, pictures in "Original Image Set"/, images/ or beside it
   Which file a picture takes its map and fixations from is settled at opening, and what is missing
   there is an error, so that nothing fails hours later. */
typedef enum sal_layout { SAL_LAYOUT_PLAIN, SAL_LAYOUT_OSIE, SAL_LAYOUT_SCENE, SAL_LAYOUT_SALICON,
                          SAL_LAYOUT_ISUN, SAL_LAYOUT_MIT1003,
                          SAL_LAYOUT_CAT2000, SAL_LAYOUT_TORONTO } sal_layout;

/* All zero is the default. */
typedef struct sal_dataset_options {
    const char *split;      /* only this sub-folder ("train", "Action") or file ("training") */
    const char *fixations;  /* plain, OSIE, Scene: this file in the folder, .csv or .mat */
    double sigma;           /* > 0: blur of the density maps that are made, in pixels */
    int make_density;       /* 1: make them from the fixations even where there are map files */
    int pooled;             /* 1: MIT1003: the published points of all viewers, not DATA/ */
    int keep_first;         /* 1: MIT1003: with the first fixation, forced to the centre */
    int skip_missing;       /* 1: leave out (and log) incomplete pictures instead of failing */
} sal_dataset_options;

typedef struct sal_dataset_entry {
    const char *name;       /* of the picture, with its sub-folder if the set has such */
    const char *image;      /* its file */
    const char *map;        /* file of its density map; NULL: made from the fixations */
    const char *fixations;  /* file of its fixations; NULL: read at opening */
    double sigma;           /* of this picture, 0: by the rule of the set */
    int first, count;       /* its part of the fixations read at opening */
} sal_dataset_entry;

typedef struct sal_dataset {
    sal_layout layout;
    const char *path;
    int count;
    sal_dataset_entry *entry;
    int subjects;                   /* named viewers; 0 if they have no names */
    const char *const *subject;
    const sal_fixation *fixation;   /* those read at opening */
    sal_dataset_options options;
    void *memory;
} sal_dataset;

/* One picture of a set with its ground truth. */
typedef struct sal_item {
    const char *name;           /* belongs to the set */
    int w, h;                   /* of the picture, whatever parts were asked for */
    sal_image image;
    sal_map density;            /* maximum 1, size of the picture */
    sal_fixation *fixation;     /* by subject, in the order of time where the set has it */
    int fixations;
    int subjects;               /* one more than the largest subject index, 0 without fixations */
    int dropped;                /* fixations discarded: more than a pixel outside, or (if they
                                   are read now) without numbers */
    double sigma;               /* of the density map, in pixels (as far as is known) */
} sal_item;

enum { SAL_ITEM_IMAGE = 1, SAL_ITEM_DENSITY = 2, SAL_ITEM_FIXATIONS = 4, SAL_ITEM_ALL = 7 };

SALDEF sal_result sal_dataset_open(sal_ctx *ctx, const char *path,
                                   const sal_dataset_options *options, sal_dataset *set);
SALDEF void sal_dataset_close(sal_ctx *ctx, sal_dataset *set);
SALDEF const char *sal_layout_name(sal_layout layout);
/* Load parts of picture i. Any number of contexts may do so at once. */
SALDEF sal_result sal_dataset_item(sal_ctx *ctx, const sal_dataset *set, int i, int parts,
                                   sal_item *item);
SALDEF void sal_item_free(sal_ctx *ctx, sal_item *item);
/* Training data in folders, as two sources for sal_train. */
typedef struct sal_folders_desc {
    const char *const *data;    /* `datas` folders, see sal_dataset_open */
    const char *const *val;     /* `vals` folders to validate on; without them: val_split */
    int datas, vals;
    const int *domain;          /* of each folder of data (see sal_sample_info); NULL: neutral */
    const int (*size)[2];       /* height, width of the input that each folder of data is learnt at;
                                   0, 0 or NULL: the network's own. The same folder at several sizes
                                   makes one network for all these sizes */
    double val_split;           /* this share of the pictures, by a hash of names and seed */
    double test_share;          /* pictures with sal_name_share(name, 0) below it are left out: they
                                   are for the last test. Both count only pictures with fixations,
                                   if there are such: what a model labelled is all for training */
    uint64_t seed;              /* of the split */
    int skip;                   /* 1: leave out and log incomplete pictures instead of failing */
} sal_folders_desc;

typedef struct sal_folders {
    sal_source train, val;      /* point them out to sal_train_desc; val may be empty */
    sal_dataset *set;           /* of data, then of val */
    int sets;
    void *memory;
} sal_folders;

SALDEF sal_result sal_folders_open(sal_ctx *ctx, const sal_folders_desc *desc,
                                   sal_folders *folders);
SALDEF void sal_folders_close(sal_ctx *ctx, sal_folders *folders);
/* sal_train with desc->train and desc->val from folders. */
SALDEF sal_result sal_train_folders(sal_ctx *ctx, sal_net *net, const sal_train_desc *desc,
                                    const sal_folders_desc *data, sal_train_result *result);
#endif /* SALIENCY_NO_STDIO */

#endif /* SALIENCY_DATASET_H */

/* ============================================================================================
   The implementation
   ========================================================================================== */
#if defined(DATASET_IMPLEMENTATION) && !defined(DATASET_IMPLEMENTED)
#define DATASET_IMPLEMENTED

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SET__MIN(a, b) ((a) < (b) ? (a) : (b))
#define SET__MAX(a, b) ((a) > (b) ? (a) : (b))
#define SET__COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
/* Leave the function with this result unless it is SAL_OK. */
#define SET__TRY(call) do { sal_result r_ = (call); if (r_ != SAL_OK) return r_; } while (0)
/* An array of n zeroed T, or NULL. */
#define SET__NEW(ctx, T, n) ((T *)sal_alloc(ctx, (size_t)(n), sizeof(T)))

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
/* Set the text of sal_error and return r. */
static sal_result set__fail(sal_ctx *ctx, sal_result r, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(ctx->error, sizeof ctx->error, format, args);
    va_end(args);
    return r;
}

/* 0 and *out = a * b, or 1 if that does not fit. */
static int set__mul_overflows(size_t a, size_t b, size_t *out) {
    *out = a * b;
    return a != 0 && b > SIZE_MAX / a;
}

/* The number in so many bytes, the most significant one first if big. */
static uint64_t set__uint(const unsigned char *p, int bytes, int big) {
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++) v = v << 8 | p[big ? i : bytes - 1 - i];
    return v;
}

/* Pieces of memory that are released together. */
typedef struct set__piece { struct set__piece *next; void *memory; } set__piece;
typedef struct set__arena { set__piece *last; } set__arena;

/* Release memory (of sal_alloc) with the arena; at once if there is no room to note it. */
static void *set__arena_own(sal_ctx *ctx, set__arena *arena, void *memory) {
    set__piece *piece = memory ? SET__NEW(ctx, set__piece, 1) : NULL;
    if (!piece) {
        sal_free(ctx, memory);
        return NULL;
    }
    piece->next = arena->last; piece->memory = memory;
    arena->last = piece;
    return memory;
}

static void *set__arena_alloc(sal_ctx *ctx, set__arena *arena, size_t count, size_t size) {
    return set__arena_own(ctx, arena, sal_alloc(ctx, count, size));
}

/* array = n zeroed T; without memory, leave the function. */
#define SET__TRY_PUT(array, ctx, arena, T, n) do { \
        (array) = (T *)set__arena_alloc(ctx, arena, (size_t)(n), sizeof(T)); \
        if (!(array)) return SAL_ERR_MEMORY; \
    } while (0)

static void set__arena_free(sal_ctx *ctx, set__arena *arena) {
    while (arena->last) {
        set__piece *piece = arena->last;
        arena->last = piece->next;
        sal_free(ctx, piece->memory);
        sal_free(ctx, piece);
    }
}

/* A zero-terminated copy of length bytes; what is not UTF-8 becomes U+FFFD. */
static char *set__arena_text(sal_ctx *ctx, set__arena *arena, const void *text, size_t length) {
    char *copy = (char *)set__arena_alloc(ctx, arena, length + 1, 1), *whole, *out;
    const char *at = copy;
    if (!copy) return NULL;
    memcpy(copy, text, length);
    while (*at && sal_utf8_length(at)) at += sal_utf8_length(at);
    if (!*at) return copy;
    whole = out = (char *)set__arena_alloc(ctx, arena, length + 1, 3);
    for (at = copy; whole && *at; ) {
        int n = sal_utf8_length(at);
        if (n) memcpy(out, at, (size_t)n);
        out += n ? (size_t)n : sal_utf8_put(out, 0xFFFD);
        at += n ? n : 1;
    }
    return whole;
}

/* The code point at `at`, where `left` numbers of so many bytes stand `step` bytes apart; *taken of
   them are its own: a UTF-16 pair is two. */
static uint32_t set__code_point(const unsigned char *at, size_t step, int bytes, int big,
                                size_t left, int *taken) {
    uint32_t c = (uint32_t)set__uint(at, bytes, big), low;
    *taken = 1;
    if (c >= 0xD800 && c < 0xDC00 && left > 1) {
        low = (uint32_t)set__uint(at + step, bytes, big);
        if (low >= 0xDC00 && low < 0xE000) {
            *taken = 2;
            return 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        }
    }
    return c >= 0x110000 || (c >= 0xD800 && c < 0xE000) ? 0xFFFD : c;
}

/* --- MATLAB files --------------------------------------------------------------------------

   "MAT-File Format", The MathWorks. A header of 128 bytes, then data elements: a tag (type and
   size in bytes, 4 bytes each) and the data, padded to 8; up to 4 bytes of data may share the 8
   bytes with a tag of half the width. An array is an element of elements: flags, dimensions, name,
   then numbers or further arrays. Numbers stand in the smallest type that holds them, whatever the
   class of the array. Since version 7 each variable is usually packed into one zlib stream.

   Nothing here believes a size: elements must fit into what is left of the element around them,
   and counts into what is left of the bytes that have to hold them. */

enum { SET__MI_INT8 = 1, SET__MI_UINT8, SET__MI_INT16, SET__MI_UINT16, SET__MI_INT32,
       SET__MI_UINT32, SET__MI_SINGLE, SET__MI_DOUBLE = 9, SET__MI_INT64 = 12, SET__MI_UINT64,
       SET__MI_MATRIX, SET__MI_COMPRESSED, SET__MI_UTF8, SET__MI_UTF16, SET__MI_UTF32 };
enum { SET__MX_CELL = 1, SET__MX_STRUCT, SET__MX_OBJECT, SET__MX_CHAR, SET__MX_SPARSE,
       SET__MX_DOUBLE, SET__MX_UINT64 = 15, SET__MX_FUNCTION, SET__MX_OPAQUE,
       SET__MX_LOGICAL = 0x200, SET__MX_COMPLEX = 0x800 };      /* flags */

typedef struct set__mat_reader {
    sal_ctx *ctx;
    const char *path;               /* for error texts */
    set__arena *arena;
    const unsigned char *at, *end;  /* what is left of the element being read */
    int big;                        /* most significant byte first */
    int depth;
} set__mat_reader;

typedef struct set__mat_element {
    unsigned type;
    const unsigned char *data;
    size_t size;
} set__mat_element;

static sal_result set__mat_bad(const set__mat_reader *r, const char *what) {
    return set__fail(r->ctx, SAL_ERR_FORMAT, "%s: damaged MATLAB file: %s", r->path, what);
}

static sal_result set__mat_next(set__mat_reader *r, set__mat_element *e) {
    size_t left = (size_t)(r->end - r->at), padded;
    if (left < 8) return set__mat_bad(r, "an element is missing at its end");
    unsigned word = (unsigned)set__uint(r->at, 4, r->big);
    if (word >> 16) {                               /* size and type in one word */
        e->type = word & 0xFFFF; e->size = word >> 16; e->data = r->at + 4;
        if (e->size > 4) return set__mat_bad(r, "a small element claims more than 4 bytes");
        r->at += 8;
        return SAL_OK;
    }
    e->type = word; e->size = (size_t)set__uint(r->at + 4, 4, r->big); e->data = r->at + 8;
    if (e->size > left - 8)
        return set__fail(r->ctx, SAL_ERR_FORMAT, "%s: damaged MATLAB file: an element of %.0f "
                         "bytes where %.0f are left", r->path, (double)e->size, (double)(left - 8));
    padded = e->type == SET__MI_COMPRESSED ? e->size : (e->size + 7) / 8 * 8;
    r->at += 8 + SET__MIN(padded, left - 8);        /* the last one may lack its padding */
    return SAL_OK;
}

/* Bytes of one number or character of a type above; 0: it has none. */
static size_t set__mat_type_size(unsigned type) {
    static const unsigned char size[] = { 0, 1, 1, 2, 2, 4, 4, 4, 0, 8, 0, 0, 8, 8, 0, 0, 1, 2, 4 };
    return type < sizeof size ? size[type] : 0;
}

static double set__mat_number(const set__mat_reader *r, unsigned type, const unsigned char *p) {
    uint64_t v = set__uint(p, (int)set__mat_type_size(type), r->big);
    uint32_t low = (uint32_t)v;
    float f;
    double d;
    switch (type) {
    case SET__MI_INT8:   return (int8_t)v;
    case SET__MI_INT16:  return (int16_t)v;
    case SET__MI_INT32:  return (int32_t)v;
    case SET__MI_INT64:  return (double)(int64_t)v;
    case SET__MI_SINGLE: memcpy(&f, &low, sizeof f); return (double)f;
    case SET__MI_DOUBLE: memcpy(&d, &v, sizeof d); return d;
    }
    return (double)v;
}

static sal_result set__mat_convert(set__mat_reader *r, const set__mat_element *e, size_t count,
                                   const double **out) {
    size_t width = set__mat_type_size(e->type);
    double *number;
    if (!width) return set__mat_bad(r, "numbers of an unknown type");
    if (e->size % width || e->size / width != count)
        return set__fail(r->ctx, SAL_ERR_FORMAT, "%s: damaged MATLAB file: %.0f numbers where %.0f "
                         "are expected", r->path, (double)(e->size / width), (double)count);
    SET__TRY_PUT(number, r->ctx, r->arena, double, count);
    for (size_t i = 0; i < count; i++) number[i] = set__mat_number(r, e->type, e->data + i * width);
    *out = number;
    return SAL_OK;
}

/* The next element as count numbers. */
static sal_result set__mat_numbers(set__mat_reader *r, size_t count, const double **out) {
    set__mat_element e;
    if (count == 0 && r->at == r->end) return SAL_OK;       /* some writers leave it out */
    SET__TRY(set__mat_next(r, &e));
    return set__mat_convert(r, &e, count, out);
}

/* The next element as 32-bit integers of any count. */
static sal_result set__mat_ints(set__mat_reader *r, const int **out, size_t *count) {
    set__mat_element e;
    int *number;
    SET__TRY(set__mat_next(r, &e));
    if ((e.type != SET__MI_INT32 && e.type != SET__MI_UINT32) || e.size % 4)
        return set__mat_bad(r, "32-bit integers expected");
    *count = e.size / 4;
    SET__TRY_PUT(number, r->ctx, r->arena, int, *count);
    for (size_t i = 0; i < *count; i++) number[i] = (int32_t)set__uint(e.data + 4 * i, 4, r->big);
    *out = number;
    return SAL_OK;
}

static sal_result set__mat_name(set__mat_reader *r, const char **out) {
    set__mat_element e;
    SET__TRY(set__mat_next(r, &e));
    if (set__mat_type_size(e.type) != 1) return set__mat_bad(r, "a name that is no text");
    *out = set__arena_text(r->ctx, r->arena, e.data, e.size);
    return *out ? SAL_OK : SAL_ERR_MEMORY;
}

/* Characters stand column by column, like numbers; the text has the rows one after another. */
static sal_result set__mat_text(set__mat_reader *r, sal_mat *m) {
    set__mat_element e;
    size_t rows = (size_t)m->dim[0], columns = rows ? m->count / rows : 0, width;
    char *text, *p;
    m->text = "";
    if (m->count == 0) return SAL_OK;
    SET__TRY(set__mat_next(r, &e));
    width = set__mat_type_size(e.type);
    if (e.size == 0) return SAL_OK;                 /* char(0), as MATLAB writes it */
    if (e.type == SET__MI_UTF8 && rows == 1) {      /* count is in UTF-16 units, e.size in bytes */
        m->text = set__arena_text(r->ctx, r->arena, e.data, e.size);
        return m->text ? SAL_OK : SAL_ERR_MEMORY;
    }
    if (!width || width == 8 || e.size / width != m->count)
        return set__mat_bad(r, "as many characters as the dimensions say are not there");
    text = p = (char *)set__arena_alloc(r->ctx, r->arena, m->count, 5);     /* 4 bytes, a newline */
    if (!text) return SAL_ERR_MEMORY;
    for (size_t row = 0; row < rows; row++) {
        if (row > 0) *p++ = '\n';
        for (size_t column = 0; column < columns; column++) {
            int taken;
            p += sal_utf8_put(p, set__code_point(e.data + (row + column * rows) * width,
                                                 rows * width, (int)width, r->big, columns - column,
                                                 &taken));
            column += (size_t)taken - 1;
        }
    }
    *p = 0;         /* room is there: the last row has no newline */
    m->text = text;
    return SAL_OK;
}

/* Row indices ir[k], then jc: column c owns the entries jc[c] to jc[c + 1]. */
static sal_result set__mat_sparse(set__mat_reader *r, sal_mat *m, unsigned flags) {
    const int *ir, *jc;
    size_t entries, ends, k = 0;
    int *column, rows = m->dim[0], columns = m->dim[1];
    set__mat_element e;
    if (m->ndim != 2) return set__mat_bad(r, "a sparse array that is no matrix");
    SET__TRY(set__mat_ints(r, &ir, &entries));
    SET__TRY(set__mat_ints(r, &jc, &ends));
    if (ends != (size_t)columns + 1 || jc[0] != 0 || jc[columns] < 0 ||
            (size_t)jc[columns] > entries)
        return set__mat_bad(r, "the columns of a sparse matrix do not fit its entries");
    m->count = (size_t)jc[columns];
    SET__TRY_PUT(column, r->ctx, r->arena, int, m->count);
    for (int c = 0; c < columns; c++) {
        if (jc[c + 1] < jc[c]) return set__mat_bad(r, "the columns of a sparse matrix overlap");
        for (; k < (size_t)jc[c + 1]; k++) {
            if (k >= m->count || ir[k] < 0 || ir[k] >= rows)
                return set__mat_bad(r, "an entry outside its sparse matrix");
            column[k] = c;
        }
    }
    m->row = ir; m->column = column;
    if (r->at == r->end && m->count == 0) return SAL_OK;
    SET__TRY(set__mat_next(r, &e));
    /* MATLAB writes logical ones as bytes and calls them doubles */
    if ((flags & SET__MX_LOGICAL) && e.type == SET__MI_DOUBLE && e.size / 8 < m->count)
        e.type = SET__MI_UINT8;
    if (set__mat_type_size(e.type)) entries = e.size / set__mat_type_size(e.type);
    if (entries < m->count) return set__mat_bad(r, "a sparse matrix without all its numbers");
    SET__TRY(set__mat_convert(r, &e, entries, &m->number));     /* there may be spare ones */
    return flags & SET__MX_COMPLEX ? set__mat_numbers(r, entries, &m->imag) : SAL_OK;
}

static sal_result set__mat_array(set__mat_reader *r, sal_mat *m);

static sal_result set__mat_children(set__mat_reader *r, sal_mat *m, size_t count) {
    if (count > (size_t)(r->end - r->at) / 8)       /* each has a tag at least */
        return set__mat_bad(r, "more cells or fields than there are bytes for");
    SET__TRY_PUT(m->child, r->ctx, r->arena, sal_mat, count);
    for (size_t i = 0; i < count; i++) SET__TRY(set__mat_array(r, &m->child[i]));
    return SAL_OK;
}

static sal_result set__mat_struct(set__mat_reader *r, sal_mat *m) {
    const int *length;
    set__mat_element names;
    size_t n, fields;
    SET__TRY(set__mat_ints(r, &length, &n));        /* of a field name, with its zero */
    SET__TRY(set__mat_next(r, &names));
    if (n != 1 || length[0] < 1 || set__mat_type_size(names.type) != 1)
        return set__mat_bad(r, "a struct without proper field names");
    fields = names.size / (size_t)length[0];
    m->fields = (int)SET__MIN(fields, (size_t)INT_MAX);
    if (set__mul_overflows(m->count, fields, &n)) return set__mat_bad(r, "too large a struct");
    SET__TRY(set__mat_children(r, m, n));
    for (size_t i = 0; i < fields && n > 0; i++) {
        const char *text = (const char *)names.data + i * (size_t)length[0];
        const char *zero = (const char *)memchr(text, 0, (size_t)length[0]);
        char *name = set__arena_text(r->ctx, r->arena, text, zero ? (size_t)(zero - text)
                                                                  : (size_t)length[0]);
        if (!name) return SAL_ERR_MEMORY;
        for (size_t k = i; k < n; k += fields) m->child[k].name = name;
    }
    return SAL_OK;
}

static sal_result set__mat_array(set__mat_reader *outer, sal_mat *m) {
    static const char *const classes[] = {
        "unknown", "cell", "struct", "object", "char", "sparse", "double", "single", "int8",
        "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "function_handle",
        "opaque" };
    static const int none[] = { 0, 0 };
    set__mat_reader inner = *outer, *r = &inner;
    set__mat_element e;
    size_t dims;
    memset(m, 0, sizeof *m);
    m->kind = SAL_MAT_NUMBERS; m->name = ""; m->class_name = "double"; m->ndim = 2; m->dim = none;
    SET__TRY(set__mat_next(outer, &e));
    if (e.type != SET__MI_MATRIX) return set__mat_bad(r, "an array expected, something else found");
    if (++r->depth > 64) return set__mat_bad(r, "arrays nested more than 64 deep");
    if (e.size == 0) return SAL_OK;                 /* [] */
    r->at = e.data; r->end = e.data + e.size;
    SET__TRY(set__mat_next(r, &e));
    if (e.type != SET__MI_UINT32 || e.size != 8) return set__mat_bad(r, "an array without flags");
    unsigned flags = (unsigned)set__uint(e.data, 4, r->big);
    unsigned type = flags & 0xFF;
    m->class_name = classes[type <= SET__MX_OPAQUE ? type : 0];
    if (type == SET__MX_OPAQUE) {                 /* these have no dimensions */
        m->kind = SAL_MAT_UNKNOWN;
        return set__mat_name(r, &m->name);
    }
    SET__TRY(set__mat_ints(r, &m->dim, &dims));
    if (dims < 2) return set__mat_bad(r, "an array of less than two dimensions");
    m->ndim = (int)SET__MIN(dims, (size_t)INT_MAX);
    m->count = 1;
    for (size_t i = 0; i < dims; i++) {
        if (m->dim[i] < 0 || set__mul_overflows(m->count, (size_t)m->dim[i], &m->count))
            return set__mat_bad(r, "impossible dimensions");
    }
    SET__TRY(set__mat_name(r, &m->name));
    switch (type) {
    case SET__MX_CELL:   m->kind = SAL_MAT_CELL;   return set__mat_children(r, m, m->count);
    case SET__MX_STRUCT: m->kind = SAL_MAT_STRUCT; return set__mat_struct(r, m);
    case SET__MX_CHAR:   m->kind = SAL_MAT_TEXT;   return set__mat_text(r, m);
    case SET__MX_SPARSE: m->kind = SAL_MAT_SPARSE; return set__mat_sparse(r, m, flags);
    }
    if (type < SET__MX_DOUBLE || type > SET__MX_UINT64) {
        m->kind = SAL_MAT_UNKNOWN;
        return SAL_OK;
    }
    if (flags & SET__MX_LOGICAL) m->class_name = "logical";
    SET__TRY(set__mat_numbers(r, m->count, &m->number));
    return flags & SET__MX_COMPLEX ? set__mat_numbers(r, m->count, &m->imag) : SAL_OK;
}

/* A compressed variable. */
static sal_result set__mat_packed(set__mat_reader *r, const set__mat_element *e, sal_mat *m) {
    set__mat_reader inside = *r;
    unsigned char *data;
    size_t size;
    SET__TRY(sal_inflate(r->ctx, e->data, e->size, r->path, &data, &size));
    inside.at = data; inside.end = data + size;
    sal_result result = set__mat_array(&inside, m);
    sal_free(r->ctx, data);
    return result;
}

static sal_result set__mat_read(set__mat_reader *r, const unsigned char *p, size_t size,
                                sal_mat *root) {
    static const int one[] = { 1, 1 };
    static const char hdf5[] = "\x89HDF\r\n\x1A\n";      /* first, or behind MATLAB's own header */
    set__mat_reader ahead;
    set__mat_element e;
    memset(root, 0, sizeof *root);
    if ((size >= 8 && !memcmp(p, hdf5, 8)) || (size >= 520 && !memcmp(p + 512, hdf5, 8)) ||
        (size >= 10 && !memcmp(p, "MATLAB 7.3", 10)))
        return set__fail(r->ctx, SAL_ERR_UNSUPPORTED, "%s: is a MATLAB 7.3 file (HDF5), which is "
                         "not read here; save it again in MATLAB with save(..., '-v7')", r->path);
    if (size < 128 || (memcmp(p + 126, "IM", 2) && memcmp(p + 126, "MI", 2))) {
        if (size >= 20 && memchr(p, 0, 4))          /* where version 5 has text, 4 has a number */
            return set__fail(r->ctx, SAL_ERR_UNSUPPORTED, "%s: is a MATLAB 4 file, or no MATLAB "
                             "file; save it again with save(..., '-v7')", r->path);
        return set__fail(r->ctx, SAL_ERR_FORMAT, "%s: is no MATLAB file but %s (%.0f bytes, without "
                         "the header of 128 bytes that ends in MI or IM)", r->path,
                         sal_file_kind(p, size), (double)size);
    }
    r->big = p[126] == 'M';
    unsigned version = (unsigned)set__uint(p + 124, 2, r->big);
    if (version != 0x0100)
        return set__fail(r->ctx, SAL_ERR_UNSUPPORTED, "%s: MATLAB file of version 0x%04x, 0x0100 "
                         "expected; save it again with save(..., '-v7')", r->path, version);
    r->at = p + 128; r->end = p + size;
    root->kind = SAL_MAT_STRUCT; root->name = ""; root->class_name = "struct";
    root->ndim = 2; root->dim = one; root->count = 1;
    for (ahead = *r; ahead.at < ahead.end; root->fields++) SET__TRY(set__mat_next(&ahead, &e));
    SET__TRY_PUT(root->child, r->ctx, r->arena, sal_mat, (size_t)root->fields);
    for (int i = 0; i < root->fields; i++) {
        ahead = *r;
        SET__TRY(set__mat_next(&ahead, &e));
        SET__TRY(e.type == SET__MI_COMPRESSED ? set__mat_packed(r, &e, &root->child[i])
                                              : set__mat_array(r, &root->child[i]));
        r->at = ahead.at;
    }
    return SAL_OK;
}

SALDEF sal_result sal_mat_load_memory(sal_ctx *ctx, const void *data, size_t size,
                                      const char *name, sal_mat *mat) {
    set__arena arena = { NULL };
    set__mat_reader r;
    memset(&r, 0, sizeof r);
    r.ctx = ctx; r.path = name; r.arena = &arena;
    sal_result result = set__mat_read(&r, (const unsigned char *)data, size, mat);
    if (result == SAL_OK) mat->memory = arena.last;
    else {
        set__arena_free(ctx, &arena);
        memset(mat, 0, sizeof *mat);
    }
    return result;
}

SALDEF void sal_mat_free(sal_ctx *ctx, sal_mat *mat) {
    set__arena arena = { (set__piece *)mat->memory };
    set__arena_free(ctx, &arena);
    memset(mat, 0, sizeof *mat);
}

SALDEF const sal_mat *sal_mat_field(const sal_mat *mat, size_t index, const char *name) {
    if (!mat || mat->kind != SAL_MAT_STRUCT || index >= mat->count) return NULL;
    for (int f = 0; f < mat->fields; f++) {
        const sal_mat *child = &mat->child[index * (size_t)mat->fields + (size_t)f];
        if (!strcmp(child->name, name)) return child;
    }
    return NULL;
}

SALDEF const sal_mat *sal_mat_cell(const sal_mat *mat, size_t index) {
    return mat && mat->kind == SAL_MAT_CELL && index < mat->count ? &mat->child[index] : NULL;
}

#ifndef SALIENCY_NO_STDIO
SALDEF sal_result sal_mat_load(sal_ctx *ctx, const char *path, sal_mat *mat) {
    unsigned char *bytes;
    size_t size;
    memset(mat, 0, sizeof *mat);
    SET__TRY(sal_file_read(ctx, path, &bytes, &size));
    sal_result r = sal_mat_load_memory(ctx, bytes, size, path, mat);
    sal_free(ctx, bytes);
    return r;
}

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static void set__warn(sal_ctx *ctx, const char *format, ...) {
    char text[512];
    va_list args;
    if (!ctx->log) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ctx->log(ctx->user, text);
}

/* How long is the name without its extension, which begins with a letter? */
static size_t set__stem(const char *name) {
    const char *dot = strrchr(name, '.'), *slash = strrchr(name, '/');
    return dot && (!slash || dot > slash + 1) && (dot[1] | 32) >= 'a' && (dot[1] | 32) <= 'z'
         ? (size_t)(dot - name) : strlen(name);
}

/* Does it end like one of these (".npy|.mat"), in small letters or capitals? */
static int set__has_extension(const char *name, const char *list) {
    const char *dot = name + set__stem(name);
    for (; *dot && *list; list += strcspn(list, "|"), list += *list == '|') {
        size_t n = strcspn(list, "|"), k;
        for (k = 0; k < n && (dot[k] == list[k] || (dot[k] | 32) == list[k]); k++) {}
        if (k == n && !dot[k]) return 1;
    }
    return 0;
}

/* sal_dir_list, into an arena. */
static sal_result set__dir_list(sal_ctx *ctx, set__arena *arena, const char *path, char ***names,
                                int *count) {
    SET__TRY(sal_dir_list(ctx, path, names, count));
    return set__arena_own(ctx, arena, (void *)*names) ? SAL_OK : SAL_ERR_MEMORY;
}

/* Room for one more item in an array that is n long: twice as much whenever n is a power of two. */
static sal_result set__grow(sal_ctx *ctx, void **array, int n, size_t size) {
    if (n & (n - 1)) return SAL_OK;
    if (n > INT_MAX / 4) return set__fail(ctx, SAL_ERR_MEMORY, "out of memory: too long a list");
    void *larger = sal_alloc(ctx, n > 0 ? 2 * (size_t)n : 1, size);
    if (!larger) return SAL_ERR_MEMORY;
    if (n > 0) memcpy(larger, *array, (size_t)n * size);
    sal_free(ctx, *array);
    *array = larger;
    return SAL_OK;
}

/* --- CSV ------------------------------------------------------------------------------------

   RFC 4180: cells between commas, perhaps in double quotes, in which commas and line ends are
   text and "" is a quote. If the first line has more semicolons or tabs than commas, these stand
   between the cells. LF, CRLF or CR end a line; a byte order mark and empty lines are skipped,
   blanks around a cell without quotes are dropped. Cells are cut out of the text in place. */
typedef struct set__csv {
    const char *path;
    char *at, *end;             /* *end is a zero byte */
    char between;
    int line, next_line;
    int columns, cells;         /* of the first row, of this one; 0: the end */
    char *cell[32];
} set__csv;

static int set__csv_blank(const set__csv *c, char x) {
    return x == ' ' || (x == '\t' && c->between != '\t');
}

static int set__csv_ends(const set__csv *c) {
    return c->at >= c->end || *c->at == c->between || *c->at == '\n' || *c->at == '\r';
}

static void set__csv_line_end(set__csv *c) {
    if (*c->at == '\r' && c->at[1] == '\n') c->at++;
    c->at++;
    c->next_line++;
}

/* The cell from c->at to *out; c->at moves to what ends it. */
static sal_result set__csv_cell(sal_ctx *ctx, set__csv *c, char **out) {
    char *begin;
    while (set__csv_blank(c, *c->at)) c->at++;
    begin = *out = c->at;
    if (*c->at == '"') {
        for (c->at++; c->at < c->end && (*c->at != '"' || c->at[1] == '"'); c->at++) {
            if (*c->at == '"') c->at++;
            if (*c->at == '\n') c->next_line++;
            *(*out)++ = *c->at;
        }
        if (c->at >= c->end)
            return set__fail(ctx, SAL_ERR_FORMAT, "%s:%d: a quote is opened and not closed",
                             c->path, c->line);
        for (c->at++; set__csv_blank(c, *c->at); c->at++) {}
        if (!set__csv_ends(c))
            return set__fail(ctx, SAL_ERR_FORMAT, "%s:%d: text behind a closed quote", c->path,
                             c->line);
    } else {
        while (!set__csv_ends(c)) c->at++;
        for (*out = c->at; *out > begin && set__csv_blank(c, (*out)[-1]); --*out) {}
    }
    if (c->cells == SET__COUNT(c->cell))
        return set__fail(ctx, SAL_ERR_FORMAT, "%s:%d: more than %d cells", c->path, c->line,
                         SET__COUNT(c->cell));
    c->cell[c->cells++] = begin;
    return SAL_OK;
}

static sal_result set__csv_row(sal_ctx *ctx, set__csv *c) {
    int more = 1;
    c->cells = 0;
    while (c->at < c->end && (*c->at == '\n' || *c->at == '\r')) set__csv_line_end(c);
    c->line = c->next_line;
    if (c->at >= c->end) return SAL_OK;
    while (more) {
        char *end;
        SET__TRY(set__csv_cell(ctx, c, &end));
        more = c->at < c->end && *c->at == c->between;
        if (more) c->at++;
        else if (c->at < c->end) set__csv_line_end(c);
        *end = 0;
    }
    return SAL_OK;
}

/* Text in UTF-16, with its byte order mark or without, becomes UTF-8. */
static sal_result set__to_utf8(sal_ctx *ctx, const char *path, unsigned char **text, size_t *size) {
    const unsigned char *p = *text;
    int mark = *size > 1 && ((p[0] == 0xFF && p[1] == 0xFE) || (p[0] == 0xFE && p[1] == 0xFF));
    int big = mark ? p[0] == 0xFE : *size > 1 && !p[0], taken;
    size_t n = *size / 2;
    if (*size < 2 || (!mark && p[0] && p[1])) return SAL_OK;
    if (*size % 2)
        return set__fail(ctx, SAL_ERR_FORMAT, "%s: UTF-16 text of an odd number of bytes", path);
    char *utf8 = SET__NEW(ctx, char, 3 * n + 1), *out = utf8;
    if (!utf8) return SAL_ERR_MEMORY;
    for (size_t i = (size_t)mark; i < n; i += (size_t)taken)
        out += sal_utf8_put(out, set__code_point(p + 2 * i, 2, 2, big, n - i, &taken));
    sal_free(ctx, *text);
    *text = (unsigned char *)utf8; *size = (size_t)(out - utf8);
    return SAL_OK;
}

/* The same words, but for upper and lower case? */
static int set__same(const char *a, const char *b) {
    for (; *a && *b && (*a | 32) == (*b | 32); a++) b++;
    return !*a && !*b;
}

/* Which of the cells of this row is called name, -1: none. */
static int set__csv_find(const set__csv *c, const char *name) {
    for (int i = 0; i < c->cells; i++) if (set__same(c->cell[i], name)) return i;
    return -1;
}

/* Begin, and read the first row: the names of the columns. */
static sal_result set__csv_start(sal_ctx *ctx, set__csv *c, const char *path, unsigned char *text,
                                 size_t size) {
    int commas = 0, semicolons = 0, tabs = 0;
    memset(c, 0, sizeof *c);
    c->path = path;
    c->at = (char *)text; c->end = c->at + size;
    c->next_line = 1;
    if (size >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3)) c->at += 3;
    if (memchr(text, 0, size))
        return set__fail(ctx, SAL_ERR_FORMAT, "%s: has zero bytes, which no text has: is it "
                         "damaged?", path);
    for (const char *t = c->at; t < c->end && *t != '\n' && *t != '\r'; t++) {
        commas += *t == ','; semicolons += *t == ';'; tabs += *t == '\t';
    }
    c->between = tabs > commas && tabs > semicolons ? '\t' : semicolons > commas ? ';' : ',';
    SET__TRY(set__csv_row(ctx, c));
    c->columns = c->cells;
    for (int i = 1; i < c->cells; i++)
        if (*c->cell[i] && set__csv_find(c, c->cell[i]) < i)
            return set__fail(ctx, SAL_ERR_FORMAT, "%s:%d: two columns are named %s", path, c->line,
                             c->cell[i]);
    return SAL_OK;
}

static sal_result set__csv_next(sal_ctx *ctx, set__csv *c) {
    SET__TRY(set__csv_row(ctx, c));
    if (c->cells == c->columns || c->cells == 0) return SAL_OK;
    return set__fail(ctx, SAL_ERR_FORMAT, "%s:%d: %d cells where the first line has %d", c->path,
                     c->line, c->cells, c->columns);
}

/* A finite number and nothing else. */
static int set__csv_parse(const char *s, double *out) {
    return !sal_number_parse(&s, out) && !*s && fabs(*out) <= DBL_MAX;
}

/* --- the published sets --------------------------------------------------------------------

   The blur of density maps, in pixels of the picture, about one degree of the viewers' sight:
     OSIE      24     src/common/config.m of the authors' repository (Xu et al. 2014)
     Scene            33.75 px of the 1920 x 1080 screen that the picture filled (Liang et al. 2015)
     SALICON   19     the authors' salicon-api, buildFixMap
     MIT1003   35     screen of 1280 x 1024 at 35 px per degree (Judd et al. 2009)
     CAT2000   38     1920 x 1080 px over 45.5 x 31 degrees: sqrt(42.2 * 34.8) (Borji, Itti 2015)
     Toronto   21     681 x 511 px over about 32 x 24 degrees (Bruce, Tsotsos 2005; approximate)
     iSUN, plain      not published or not known: 3 % of the longer side, about what the others are
   Coordinates in MATLAB files count from 1, so 1 is taken off (Scene: from the corner, 0.5). */
static const struct { const char *name; double sigma; } set__layouts[] = {
    { "plain", 0 }, { "OSIE", 24 }, { "Scene", 0 }, { "SALICON", 19 }, { "iSUN", 0 },
    { "MIT1003", 35 }, { "CAT2000", 38 }, { "Toronto", 21 }
};

SALDEF const char *sal_layout_name(sal_layout layout) { return set__layouts[layout].name; }

static double set__set_sigma(const sal_dataset *set, const sal_dataset_entry *e, int w, int h) {
    if (set->options.sigma > 0) return set->options.sigma;
    if (e->sigma > 0) return e->sigma;
    if (set__layouts[set->layout].sigma > 0) return set__layouts[set->layout].sigma;
    if (set->layout == SAL_LAYOUT_SCENE) return 33.75 * SET__MAX(h / 1080.0, w / 1920.0);
    return 0.03 * SET__MAX(w, h);
}

/* Fixations as they come, each with the picture it belongs to (-1: the one that is read). */
typedef struct set__seen { sal_fixation f; int entry, order; } set__seen;
typedef struct set__looks { set__seen *list; int count, dropped; } set__looks;

/* What a set is built from. */
typedef struct set__opener {
    sal_ctx *ctx;
    sal_dataset *set;
    set__arena arena;
    struct set__stem_entry *stem;   /* the names of the pictures, sorted */
    const char **file;          /* the files that belong to pictures, sorted */
    int files;
    set__looks looks;
    const char **subject;       /* in the order they turned up */
    int subjects;
    int unknown;                /* files of kinds that are not read here */
    const char *one_unknown;    /* one of them */
} set__opener;

static sal_result set__look(sal_ctx *ctx, set__looks *looks, int entry, int subject, double x,
                            double y, double start, double duration) {
    set__seen *s;
    if (!(fabs(x) < 1e7 && fabs(y) < 1e7)) {    /* not a number, or nowhere near a screen */
        looks->dropped++;
        return SAL_OK;
    }
    SET__TRY(set__grow(ctx, (void **)&looks->list, looks->count, sizeof *s));
    s = &looks->list[looks->count];
    s->entry = entry; s->order = looks->count++;
    s->f.x = (float)x; s->f.y = (float)y;
    s->f.start_ms = start >= 0 ? (float)start : -1;
    s->f.duration_ms = duration >= 0 ? (float)duration : -1;
    s->f.subject = subject;
    return SAL_OK;
}

/* --- names and files */

#define SET__PICTURES ".jpg|.jpeg|.png|.bmp|.ppm|.pgm|.jfif|.jpe|.pnm"
#define SET__MAPS ".png|.jpg|.jpeg|.npy|.mat|.pgm|.bmp"
#define SET__POINTS ".mat|.png|.bmp|.pgm"
#define SET__UNKNOWN ".webp|.heic|.heif|.avif|.gif|.tif|.tiff|.jxl|.jp2|.psd|.svg|.exr|.hdr"

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
/* printf into the arena. */
static sal_result set__text(set__opener *b, const char **out, const char *format, ...) {
    va_list args;
    char *text;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    *out = text = (char *)set__arena_alloc(b->ctx, &b->arena, (size_t)SET__MAX(n, 0) + 1, 1);
    if (!text) return SAL_ERR_MEMORY;
    va_start(args, format);
    vsnprintf(text, (size_t)SET__MAX(n, 0) + 1, format, args);
    va_end(args);
    return SAL_OK;
}

/* Is there a path of this kind, with what stands at `end` as it is or in capitals? path becomes it. */
static int set__is_there(const char *path, char *end, int kind) {
    if (sal_path_kind(path) == kind) return 1;
    if (!*end) return 0;
    for (; *end; end++)
        if (*end >= 'a' && *end <= 'z') *end = (char)(*end - 'a' + 'A');
    return sal_path_kind(path) == kind;
}

/* The first that exists of root/FOLDER/STEM.EXTENSION, over lists separated by '|', the extension
   in small letters or capitals (an empty extension list: a folder of that name). NULL: none. */
static sal_result set__find(set__opener *b, const char **out, const char *folders,
                            const char *stem, size_t length, const char *extensions) {
    char path[4096];
    *out = NULL;
    for (const char *f = folders; ; f += strcspn(f, "|") + 1) {
        int n = (int)strcspn(f, "|");
        for (const char *x = extensions; ; x += strcspn(x, "|") + 1) {
            int m = (int)strcspn(x, "|");
            int used = snprintf(path, sizeof path, "%s%s%.*s%s%.*s%.*s", b->set->path,
                                n ? "/" : "", n, f, length ? "/" : "", (int)length, stem, m, x);
            if (used > 0 && used < (int)sizeof path &&
                set__is_there(path, path + used - m, *extensions ? 0 : 1))
                return set__text(b, out, "%s", path);
            if (!x[m]) break;
        }
        if (!f[n]) break;
    }
    return SAL_OK;
}

static sal_result set__find_folder(set__opener *b, const char **out, const char *folders) {
    return set__find(b, out, folders, "", 0, "");
}

static sal_result set__find_file(set__opener *b, const char **out, const char *folders,
                                 const char *name) {
    size_t stem = set__stem(name);
    return set__find(b, out, folders, name, stem, name + stem);
}

static sal_result set__new_entry(set__opener *b, const char *name, const char *image,
                                 sal_dataset_entry **entry) {
    SET__TRY(set__grow(b->ctx, (void **)&b->set->entry, b->set->count, sizeof **entry));
    *entry = &b->set->entry[b->set->count++];
    (*entry)->name = name; (*entry)->image = image;
    return SAL_OK;
}

/* An entry for each picture directly in a folder, named PREFIX/NAME. */
static sal_result set__add_pictures(set__opener *b, const char *folder, const char *prefix) {
    sal_dataset_entry *e;
    const char *name, *image;
    char **names;
    int n;
    SET__TRY(set__dir_list(b->ctx, &b->arena, folder, &names, &n));
    for (int i = 0; i < n; i++) {
        if (names[i][0] == '.' || !sal_is_picture(names[i])) {
            if (!set__has_extension(names[i], SET__UNKNOWN)) continue;
            b->unknown++;
            SET__TRY(set__text(b, &b->one_unknown, "%s", names[i]));
            continue;
        }
        SET__TRY(set__text(b, &name, "%s%s%s", prefix, *prefix ? "/" : "", names[i]));
        SET__TRY(set__text(b, &image, "%s/%s", folder, names[i]));
        SET__TRY(set__new_entry(b, name, image, &e));
    }
    return SAL_OK;
}

/* The same with the pictures in the folders below it; with a split, only that one. */
static sal_result set__add_picture_tree(set__opener *b, const char *folder) {
    const char *split = b->set->options.split, *below;
    char **names;
    int n;
    if (!split) SET__TRY(set__add_pictures(b, folder, ""));
    SET__TRY(set__dir_list(b->ctx, &b->arena, folder, &names, &n));
    for (int i = 0; i < n; i++) {
        if (names[i][0] == '.' || (split ? strcmp(names[i], split) : !strcmp(names[i], "test")))
            continue;
        SET__TRY(set__text(b, &below, "%s/%s", folder, names[i]));
        if (sal_path_kind(below) == 1) SET__TRY(set__add_pictures(b, below, names[i]));
    }
    return SAL_OK;
}

/* Order of names with numbers in them by value: s2 before s10. */
static int set__compare_subjects(const void *left, const void *right) {
    static const char digits[] = "0123456789";
    const char *a = *(const char *const *)left, *b = *(const char *const *)right;
    while (*a && *b) {
        size_t x = strspn(a, digits), y = strspn(b, digits);
        if (x > 0 && y > 0) {
            for (; *a == '0' && x > 1; a++) x--;
            for (; *b == '0' && y > 1; b++) y--;
            if (x != y) return x < y ? -1 : 1;
            for (; x > 1 && *a == *b; x--) { a++; b++; }
        }
        if (*a != *b) break;
        a++; b++;
    }
    if (*a || *b) return (int)(unsigned char)*a - (int)(unsigned char)*b;
    return strcmp(*(const char *const *)left, *(const char *const *)right);     /* s1, s01 */
}

/* --- names of pictures to entries: binary search in the sorted stems */

typedef struct set__stem_entry { const char *name; size_t length; int entry; } set__stem_entry;

static int set__compare_stems(const void *left, const void *right) {
    const set__stem_entry *a = (const set__stem_entry *)left, *b = (const set__stem_entry *)right;
    int order = memcmp(a->name, b->name, SET__MIN(a->length, b->length));
    return order ? order : a->length < b->length ? -1 : a->length > b->length;
}

static sal_result set__sort_stems(set__opener *b) {
    sal_dataset *set = b->set;
    SET__TRY_PUT(b->stem, b->ctx, &b->arena, set__stem_entry, (size_t)set->count);
    for (int i = 0; i < set->count; i++) {
        b->stem[i].name = set->entry[i].name;
        b->stem[i].length = set__stem(set->entry[i].name);
        b->stem[i].entry = i;
    }
    qsort(b->stem, (size_t)set->count, sizeof *b->stem, set__compare_stems);
    for (int i = 1; i < set->count; i++) {
        if (!set__compare_stems(&b->stem[i - 1], &b->stem[i]))
            return set__fail(b->ctx, SAL_ERR_FORMAT, "%s: the pictures %s and %s have one name; "
                             "remove one of them", set->path, b->stem[i - 1].name, b->stem[i].name);
    }
    return SAL_OK;
}

static const set__stem_entry *set__find_stem(const set__opener *b, const char *name, size_t length) {
    set__stem_entry key = { name, length, 0 };
    return (const set__stem_entry *)bsearch(&key, b->stem, (size_t)b->set->count, sizeof key,
                                            set__compare_stems);
}

/* The picture of this file name, of this name without an extension (which may have a dot), or of
   the file name with another extension; -1 if there is none. */
static int set__entry_of(const set__opener *b, const char *name) {
    const set__stem_entry *file = set__find_stem(b, name, set__stem(name)), *bare;
    if (file && !strcmp(file->name, name)) return file->entry;
    bare = set__find_stem(b, name, strlen(name));
    return bare ? bare->entry : file ? file->entry : -1;
}

/* 1 for FOLDER/NAME in a folder of pictures that set__add_picture_tree leaves out. */
static int set__not_asked_for(const set__opener *b, const char *name) {
    const char *split = b->set->options.split;
    size_t n = strcspn(name, "/\\"), length = strlen(split ? split : "test");
    int same = n == length && !strncmp(name, split ? split : "test", n);
    return name[n] && (split ? !same : same);
}

/* Something that belongs to a picture, or the picture itself, is not there. */
static sal_result set__missing(set__opener *b, const char *file, const char *name,
                               const char *what) {
    if (!b->set->options.skip_missing)
        return set__fail(b->ctx, SAL_ERR_IO, "%s: %s: %s; complete the set, or open it with "
                         "skip_missing (--skip-missing)", file, name, what);
    set__warn(b->ctx, "%s: %s: %s; left out", file, name, what);
    return SAL_OK;
}

static sal_result set__subject_of(set__opener *b, const char *name, int *subject) {
    enum { MOST = 10000 };
    for (*subject = 0; *subject < b->subjects; ++*subject)
        if (!strcmp(b->subject[*subject], name)) return SAL_OK;
    if (b->subjects == MOST)
        return set__fail(b->ctx, SAL_ERR_FORMAT, "%s: more than %d viewers", b->set->path, MOST);
    SET__TRY(set__grow(b->ctx, (void **)&b->subject, b->subjects, sizeof(char *)));
    SET__TRY(set__text(b, &b->subject[b->subjects], "%s", name));
    b->subjects++;
    return SAL_OK;
}

/* Viewers without names: s01, s02, ... */
static sal_result set__subject_number(set__opener *b, size_t j, int *subject) {
    char who[32];
    snprintf(who, sizeof who, "s%02.0f", (double)j + 1);
    return set__subject_of(b, who, subject);
}

/* Number the viewers in the order of their names. */
static sal_result set__sort_subjects(set__opener *b) {
    size_t n = (size_t)b->subjects;
    const char **sorted;
    int *rank;
    if (n == 0) return SAL_OK;
    SET__TRY_PUT(sorted, b->ctx, &b->arena, const char *, n);
    SET__TRY_PUT(rank, b->ctx, &b->arena, int, n);
    for (int i = 0; i < b->subjects; i++) sorted[i] = b->subject[i];
    qsort((void *)sorted, n, sizeof *sorted, set__compare_subjects);
    for (int i = 0; i < b->subjects; i++)
        rank[i] = (int)((const char **)bsearch(&b->subject[i], (const void *)sorted, n,
                                               sizeof *sorted, set__compare_subjects) - sorted);
    for (int i = 0; i < b->looks.count; i++)
        b->looks.list[i].f.subject = rank[b->looks.list[i].f.subject];
    b->set->subject = sorted;
    b->set->subjects = b->subjects;
    return SAL_OK;
}

/* --- fixations.csv and sigma.csv */

static sal_result set__csv_column(sal_ctx *ctx, const set__csv *c, const char *name, int *column) {
    const char *kind = c->columns ? sal_file_kind(c->cell[0], strlen(c->cell[0])) : "a text file";
    int other = strcmp(kind, "a text file") && strcmp(kind, "an unknown kind of file");
    *column = set__csv_find(c, name);
    if (*column >= 0) return SAL_OK;
    return set__fail(ctx, SAL_ERR_FORMAT, "%s:%d: no column is named %s%s%s", c->path, c->line, name,
                     other ? "; it is " : "", other ? kind : "");
}

/* The number in a cell; a column that is not there (-1) gives -1, an empty cell and what programs
   write for "no number" NaN, as in MATLAB files. */
static sal_result set__csv_number(sal_ctx *ctx, const set__csv *c, int column, double *out) {
    static const char *const none[] = { "", "nan", "na", "inf", "-inf" };
    const char *text = column < 0 ? NULL : c->cell[column];
    *out = -1;
    if (!text) return SAL_OK;
    if (!sal_number_parse(&text, out) && !*text) return SAL_OK;
    for (int i = 0; i < SET__COUNT(none); i++)
        if (set__same(c->cell[column], none[i])) { *out = NAN; return SAL_OK; }
    return set__fail(ctx, SAL_ERR_FORMAT, "%s:%d: \"%.40s\" in cell %d is no number%s", c->path,
                     c->line, c->cell[column], column + 1,
                     strchr(c->cell[column], ',') ? " (its decimals need a point)" : "");
}

static void set__warn_strange(sal_ctx *ctx, const char *path, int rows, const char *first) {
    if (rows) set__warn(ctx, "%s: %d rows are of pictures that are not there, the first of %s; left "
                        "out", path, rows, first);
}

static sal_result set__read_csv(set__opener *b, const char *path, unsigned char *text,
                                size_t size) {
    sal_ctx *ctx = b->ctx;
    int image, x, y, subject, duration, start, entry = -1, who = 0, strange = 0;
    const char *last = "", *last_who = NULL, *stranger = NULL;
    double at_x, at_y, time, length;
    set__csv c;
    SET__TRY(set__csv_start(ctx, &c, path, text, size));
    SET__TRY(set__csv_column(ctx, &c, "image", &image));
    SET__TRY(set__csv_column(ctx, &c, "x", &x));
    SET__TRY(set__csv_column(ctx, &c, "y", &y));
    subject = set__csv_find(&c, "subject");
    duration = set__csv_find(&c, "duration_ms");
    start = set__csv_find(&c, "start_ms");
    for (;;) {
        SET__TRY(set__csv_next(ctx, &c));
        if (c.cells == 0) break;
        SET__TRY(set__csv_number(ctx, &c, x, &at_x));
        SET__TRY(set__csv_number(ctx, &c, y, &at_y));
        SET__TRY(set__csv_number(ctx, &c, duration, &length));
        SET__TRY(set__csv_number(ctx, &c, start, &time));
        if (entry < 0 || strcmp(last, c.cell[image])) { /* mostly the picture of the last row */
            last = c.cell[image];
            entry = set__entry_of(b, last);
        }
        if (entry < 0 && set__not_asked_for(b, last)) continue;
        if (entry < 0) {
            if (!b->set->options.skip_missing)
                return set__missing(b, path, last, "this picture is not there");
            if (!strange++) stranger = last;
            continue;
        }
        if (subject >= 0 && !*c.cell[subject])
            return set__fail(ctx, SAL_ERR_FORMAT, "%s:%d: who looked there? The cell subject is "
                             "empty", path, c.line);
        if (subject >= 0 && (!last_who || strcmp(last_who, c.cell[subject]))) {
            last_who = c.cell[subject];
            SET__TRY(set__subject_of(b, last_who, &who));
        }
        SET__TRY(set__look(ctx, &b->looks, entry, who, at_x, at_y, time, length));
    }
    set__warn_strange(ctx, path, strange, stranger);
    return SAL_OK;
}

static sal_result set__read_sigmas(set__opener *b, const char *path, unsigned char *text,
                                   size_t size) {
    int image, column, entry, strange = 0;
    const char *stranger = NULL;
    double sigma;
    set__csv c;
    SET__TRY(set__csv_start(b->ctx, &c, path, text, size));
    SET__TRY(set__csv_column(b->ctx, &c, "image", &image));
    SET__TRY(set__csv_column(b->ctx, &c, "sigma_px", &column));
    for (;;) {
        SET__TRY(set__csv_next(b->ctx, &c));
        if (c.cells == 0) break;
        SET__TRY(set__csv_number(b->ctx, &c, column, &sigma));
        if (!(sigma >= 0 && sigma <= 1e4))
            return set__fail(b->ctx, SAL_ERR_FORMAT, "%s:%d: a sigma from 0 to 10000 is expected",
                             path, c.line);
        entry = set__entry_of(b, c.cell[image]);
        if (entry >= 0 && b->set->entry[entry].sigma > 0)
            return set__fail(b->ctx, SAL_ERR_FORMAT, "%s:%d: a second sigma of %s", path, c.line,
                             c.cell[image]);
        if (entry >= 0) b->set->entry[entry].sigma = sigma;
        else if (!strange++) stranger = c.cell[image];
    }
    set__warn_strange(b->ctx, path, strange, stranger);
    return SAL_OK;
}

static sal_result set__read_table(set__opener *b, const char *path,
                                  sal_result (*read)(set__opener *, const char *, unsigned char *,
                                                     size_t)) {
    unsigned char *text;
    size_t size;
    SET__TRY(sal_file_read(b->ctx, path, &text, &size));
    sal_result r = set__to_utf8(b->ctx, path, &text, &size);
    if (r == SAL_OK) r = read(b, path, text, size);
    sal_free(b->ctx, text);
    return r;
}

/* --- fixations in MATLAB files */

static int set__is_matrix(const sal_mat *m, int columns) {
    return m && m->kind == SAL_MAT_NUMBERS &&
           (m->count == 0 || (m->ndim == 2 && m->dim[1] >= columns));
}

/* Some exporters wrap things into 1 x 1 cells. */
static const sal_mat *set__unwrap(const sal_mat *m) {
    while (m && m->kind == SAL_MAT_CELL && m->count == 1) m = m->child;
    return m;
}

/* The size of a picture as people were shown it (MATLAB ignores the orientation), and the picture,
   unless image is NULL. */
static sal_result set__shown(sal_ctx *ctx, const char *path, sal_image *image, int *w, int *h) {
    int as_stored = ctx->as_stored;
    ctx->as_stored = 1;
    sal_result r = image ? sal_image_load(ctx, path, image) : sal_image_size(ctx, path, w, h);
    ctx->as_stored = as_stored;
    if (image) { *w = image->w; *h = image->h; }
    return r;
}

/* Fixated pixels and their photograph have one size. */
static sal_result set__check_points(sal_ctx *ctx, const char *path, double pw, double ph, int w,
                                    int h) {
    if (pw == w && ph == h) return SAL_OK;
    return set__fail(ctx, SAL_ERR_SHAPE, "%s: the fixated pixels are %.10g x %.10g and their "
                     "picture %d x %d", path, pw, ph, w, h);
}

/* The pixels of a matrix that are above zero, column by column, as fixations of viewer 0. */
static sal_result set__mat_pixels(sal_ctx *ctx, const char *path, const sal_mat *m,
                                  set__looks *looks, int entry, int w, int h) {
    size_t i, rows;
    if (!m || m->ndim != 2 || (m->kind != SAL_MAT_NUMBERS && m->kind != SAL_MAT_SPARSE))
        return set__fail(ctx, SAL_ERR_FORMAT, "%s: a matrix of fixated pixels is expected", path);
    SET__TRY(set__check_points(ctx, path, m->dim[1], m->dim[0], w, h));
    for (i = 0, rows = (size_t)m->dim[0]; i < m->count; i++) {
        double x = m->kind == SAL_MAT_SPARSE ? m->column[i] : (double)(i / rows);
        double y = m->kind == SAL_MAT_SPARSE ? m->row[i] : (double)(i % rows);
        if (m->number[i] > 0) SET__TRY(set__look(ctx, looks, entry, 0, x, y, -1, -1));
    }
    return SAL_OK;
}

/* gaze(k).fixations (SALICON) or gaze(k).fixation (iSUN) has the rows [x y] of viewer k, in a picture
   of the size resolution, [h w]. */
static sal_result set__mat_gaze(sal_ctx *ctx, const char *path, const sal_mat *gaze,
                                const sal_mat *resolution, set__looks *looks, int entry, int w,
                                int h) {
    const char *field = sal_mat_field(gaze, 0, "fixation") ? "fixation" : "fixations";
    resolution = set__unwrap(resolution);
    if (resolution && resolution->kind == SAL_MAT_NUMBERS && resolution->count == 2)
        SET__TRY(set__check_points(ctx, path, resolution->number[1], resolution->number[0], w, h));
    if (gaze && gaze->count == 0) return SAL_OK;
    if (!sal_mat_field(gaze, 0, field))
        return set__fail(ctx, SAL_ERR_FORMAT, "%s: the struct array gaze with the field %s, or a "
                         "matrix I or fixLocs of fixated pixels, is expected", path, field);
    for (size_t k = 0; k < gaze->count; k++) {
        const sal_mat *m = sal_mat_field(gaze, k, field);
        if (!set__is_matrix(m, 2))
            return set__fail(ctx, SAL_ERR_FORMAT, "%s: gaze(%.0f).%s is no matrix [x y]", path,
                             (double)k + 1, field);
        size_t rows = m->count ? (size_t)m->dim[0] : 0;
        for (size_t i = 0; i < rows; i++)
            SET__TRY(set__look(ctx, looks, entry, (int)k, m->number[i] - 1,
                               m->number[rows + i] - 1, -1, -1));
    }
    return SAL_OK;
}

/* OSIE: fixations{i}.img, .subjects{j}.fix_x, .fix_y, .fix_duration (ms). */
static sal_result set__read_osie(set__opener *b, const char *path, const sal_mat *fixations) {
    int subject, entry;
    for (size_t i = 0; i < fixations->count; i++) {
        const sal_mat *one = set__unwrap(&fixations->child[i]), *img, *subjects;
        img = sal_mat_field(one, 0, "img");
        subjects = sal_mat_field(one, 0, "subjects");
        if (!img || img->kind != SAL_MAT_TEXT || !subjects || subjects->kind != SAL_MAT_CELL)
            return set__fail(b->ctx, SAL_ERR_FORMAT, "%s: fixations{%.0f} lacks img or subjects",
                             path, (double)i + 1);
        entry = set__entry_of(b, img->text);
        if (entry < 0) {
            SET__TRY(set__missing(b, path, img->text, "this picture is not there"));
            continue;
        }
        if (subjects->count == 1 && subjects->child->kind == SAL_MAT_CELL)
            subjects = subjects->child;
        for (size_t j = 0; j < subjects->count; j++) {
            const sal_mat *s = set__unwrap(&subjects->child[j]);
            const sal_mat *x = sal_mat_field(s, 0, "fix_x"), *y = sal_mat_field(s, 0, "fix_y");
            const sal_mat *duration = sal_mat_field(s, 0, "fix_duration");
            SET__TRY(set__subject_number(b, j, &subject));
            if (s->kind == SAL_MAT_NUMBERS && s->count == 0) continue;      /* never filled in */
            if (!x || !y || x->kind != SAL_MAT_NUMBERS || y->kind != SAL_MAT_NUMBERS ||
                    x->count != y->count)
                return set__fail(b->ctx, SAL_ERR_FORMAT, "%s: fixations{%.0f}.subjects{%.0f} lacks "
                                 "fix_x and fix_y of one length", path, (double)i + 1,
                                 (double)j + 1);
            if (duration && (duration->kind != SAL_MAT_NUMBERS || duration->count != x->count))
                return set__fail(b->ctx, SAL_ERR_FORMAT, "%s: fix_duration of fixations{%.0f}."
                                 "subjects{%.0f} is not as long as fix_x", path, (double)i + 1,
                                 (double)j + 1);
            for (size_t k = 0; k < x->count; k++)
                SET__TRY(set__look(b->ctx, &b->looks, entry, subject, x->number[k] - 1,
                                   y->number[k] - 1, -1, duration ? duration->number[k] : -1));
        }
    }
    return SAL_OK;
}

/* Scene: fixations{i, j} has rows [y x latency duration] (seconds) of viewer j; i counts the
   pictures in the order of their names. */
static sal_result set__read_scene(set__opener *b, const char *path, const sal_mat *fixations) {
    size_t rows = (size_t)fixations->dim[0], n;
    int subject;
    if (rows != (size_t)b->set->count)
        return set__fail(b->ctx, SAL_ERR_FORMAT, "%s: fixations has %.0f rows for %d pictures",
                         path, (double)rows, b->set->count);
    for (size_t j = 0; j < fixations->count / rows; j++) {
        SET__TRY(set__subject_number(b, j, &subject));
        for (size_t i = 0; i < rows; i++) {
            const sal_mat *m = &fixations->child[j * rows + i];
            const double *v = m->number;
            if (!set__is_matrix(m, 2))
                return set__fail(b->ctx, SAL_ERR_FORMAT, "%s: fixations{%.0f,%.0f} is no matrix [y "
                                 "x latency duration]", path, (double)i + 1, (double)j + 1);
            n = m->count ? (size_t)m->dim[0] : 0;
            for (size_t k = 0; k < n; k++)
                SET__TRY(set__look(b->ctx, &b->looks, (int)i, subject, v[n + k] - 0.5, v[k] - 0.5,
                                   m->dim[1] > 2 ? v[2 * n + k] * 1000 : -1,
                                   m->dim[1] > 3 ? v[3 * n + k] * 1000 : -1));
        }
    }
    return SAL_OK;
}

static sal_result set__read_fixations(set__opener *b, const char *path, const sal_mat *file) {
    const sal_mat *fixations = sal_mat_field(file, 0, "fixations");
    if (!fixations || fixations->kind != SAL_MAT_CELL || fixations->count == 0)
        return set__fail(b->ctx, SAL_ERR_FORMAT, "%s: the cell array fixations, as in OSIE or "
                         "Scene, is expected", path);
    if (set__unwrap(fixations->child)->kind == SAL_MAT_STRUCT) {
        b->set->layout = SAL_LAYOUT_OSIE;
        return set__read_osie(b, path, fixations);
    }
    b->set->layout = SAL_LAYOUT_SCENE;
    return set__read_scene(b, path, fixations);
}

/* Toronto: white{i} is the matrix of fixated pixels of i.jpg. */
static sal_result set__read_toronto(set__opener *b, const char *path, const sal_mat *file) {
    const sal_mat *white = sal_mat_field(file, 0, "white"), *m;
    double number;
    char stem[32];
    if (!white || white->kind != SAL_MAT_CELL)
        return set__fail(b->ctx, SAL_ERR_FORMAT, "%s: the cell array white is expected", path);
    for (int i = 0; i < b->set->count; i++) {
        const char *name = b->set->entry[i].name;
        snprintf(stem, sizeof stem, "%.*s", (int)SET__MIN(set__stem(name), 31), name);
        m = set__csv_parse(stem, &number) && number >= 1 && number <= (double)white->count
            ? sal_mat_cell(white, (size_t)number - 1) : NULL;
        if (!m) SET__TRY(set__missing(b, path, name, "white has no cell of this number"));
        else {
            int w, h;
            SET__TRY(set__shown(b->ctx, b->set->entry[i].image, NULL, &w, &h));
            SET__TRY(set__mat_pixels(b->ctx, path, m, &b->looks, i, w, h));
        }
    }
    return SAL_OK;
}

/* iSUN: training(i).image, .gaze(k).fixation. */
static sal_result set__read_isun(set__opener *b, const char *path, const sal_mat *file) {
    const sal_mat *all = sal_mat_field(file, 0, "training");
    if (!all) all = sal_mat_field(file, 0, "validation");
    if (!sal_mat_field(all, 0, "image") || !sal_mat_field(all, 0, "gaze"))
        return set__fail(b->ctx, SAL_ERR_FORMAT, "%s: a struct array training or validation "
                         "with the fields image and gaze is expected", path);
    for (size_t i = 0; i < all->count; i++) {
        const sal_mat *image = set__unwrap(sal_mat_field(all, i, "image"));
        const char *name, *picture, *map;
        sal_dataset_entry *e;
        int w, h;
        if (!image || image->kind != SAL_MAT_TEXT)
            return set__fail(b->ctx, SAL_ERR_FORMAT, "%s: the image of element %.0f has no name",
                             path, (double)i + 1);
        SET__TRY(set__find(b, &picture, "images|image", image->text, strlen(image->text),
                           SET__PICTURES "|"));
        if (!picture) {
            SET__TRY(set__missing(b, path, image->text, "this picture is not in images/"));
            continue;
        }
        SET__TRY(set__text(b, &name, "%s", strrchr(picture, '/') + 1));
        SET__TRY(set__find(b, &map, "saliency|maps", name, set__stem(name), SET__MAPS));
        SET__TRY(set__new_entry(b, name, picture, &e));
        e->map = map;
        SET__TRY(set__shown(b->ctx, picture, NULL, &w, &h));
        SET__TRY(set__mat_gaze(b->ctx, path, sal_mat_field(all, i, "gaze"),
                               sal_mat_field(all, i, "resolution"), &b->looks, b->set->count - 1,
                               w, h));
    }
    return SAL_OK;
}

static sal_result set__read_mat(set__opener *b, const char *path,
                                sal_result (*read)(set__opener *, const char *, const sal_mat *)) {
    sal_mat file;
    SET__TRY(sal_mat_load(b->ctx, path, &file));
    sal_result r = read(b, path, &file);
    sal_mat_free(b->ctx, &file);
    return r;
}

/* --- opening */

/* Leave out what has neither a map nor fixations: where one file has the fixations of all pictures,
   nobody looked at such a picture; else a file is missing (see set__missing). */
static sal_result set__check_entries(set__opener *b) {
    sal_dataset *set = b->set;
    int k = 0, maps = 0, fixated = 0, bare = 0;
    const char *one = "";
    int *moved;
    SET__TRY_PUT(moved, b->ctx, &b->arena, int, set->count);
    for (int i = 0; i < b->looks.count; i++) set->entry[b->looks.list[i].entry].count++;
    for (int i = 0; i < set->count; i++) {
        sal_dataset_entry *e = &set->entry[i];
        moved[i] = k;
        maps += e->map != NULL;
        fixated += e->fixations || e->count > 0;
        if (e->map || e->fixations || e->count > 0) set->entry[k++] = *e;
        else if (b->looks.count > 0) { bare++; one = e->name; }
        else SET__TRY(set__missing(b, set->path, e->name, "there is no map and no fixation of it"));
    }
    set->count = k;
    for (int i = 0; i < b->looks.count; i++)
        b->looks.list[i].entry = moved[b->looks.list[i].entry];
    if (bare)
        set__warn(b->ctx, "%s: %d of %d pictures, as %s, have neither a map nor fixations; left "
                  "out", set->path, bare, k + bare, one);
    if (b->looks.dropped)
        set__warn(b->ctx, "%s: %d fixations have no numbers for coordinates; left out", set->path,
                  b->looks.dropped);
    if (b->unknown)
        set__warn(b->ctx, "%s: files of kinds that are not read here, as %s: %d; left out",
                  set->path, b->one_unknown, b->unknown);
    if (maps > 0 && maps < k)
        set__warn(b->ctx, "%s: %d of %d pictures have no map file; their maps are made from the "
                  "fixations", set->path, k - maps, k);
    if (fixated > 0 && fixated < k)
        set__warn(b->ctx, "%s: %d of %d pictures have no fixations", set->path, k - fixated, k);
    if (k > 0) return SAL_OK;
    return set__fail(b->ctx, SAL_ERR_IO, "%s: a %s set without pictures%s%s", set->path,
                     sal_layout_name(set->layout), set->options.split ? " in its part " : "",
                     set->options.split ? set->options.split : "");
}

/* By picture, then viewer, then time; where no time is known they stay as they came. */
static int set__compare_looks(const void *left, const void *right) {
    const set__seen *a = (const set__seen *)left, *b = (const set__seen *)right;
    if (a->entry != b->entry) return a->entry - b->entry;
    if (a->f.subject != b->f.subject) return a->f.subject - b->f.subject;
    if (a->f.start_ms != b->f.start_ms) return a->f.start_ms < b->f.start_ms ? -1 : 1;
    return a->order - b->order;
}

static sal_result set__sort_looks(set__opener *b) {
    sal_dataset *set = b->set;
    sal_fixation *sorted;
    int first = 0, n = b->looks.count;
    if (n == 0) return SAL_OK;
    qsort(b->looks.list, (size_t)n, sizeof *b->looks.list, set__compare_looks);
    SET__TRY_PUT(sorted, b->ctx, &b->arena, sal_fixation, (size_t)n);
    for (int i = 0; i < n; i++) sorted[i] = b->looks.list[i].f;
    for (int i = 0; i < set->count; first += set->entry[i++].count) set->entry[i].first = first;
    set->fixation = sorted;
    return SAL_OK;
}

static int set__compare_texts(const void *left, const void *right) {
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* A file belongs to one picture, not to all of its name in several folders. */
static sal_result set__check_files(set__opener *b) {
    SET__TRY_PUT(b->file, b->ctx, &b->arena, const char *, 2 * (size_t)b->set->count);
    for (int i = 0; i < b->set->count; i++) {
        const sal_dataset_entry *e = &b->set->entry[i];
        if (e->map) b->file[b->files++] = e->map;
        if (e->fixations) b->file[b->files++] = e->fixations;
    }
    qsort((void *)b->file, (size_t)b->files, sizeof *b->file, set__compare_texts);
    for (int i = 1; i < b->files; i++)
        if (!strcmp(b->file[i - 1], b->file[i]))
            return set__fail(b->ctx, SAL_ERR_FORMAT, "%s: several pictures, in different "
                             "folders, have this name: put it into a folder called as that of its "
                             "picture", b->file[i]);
    return SAL_OK;
}

/* Pictures with maps and fixations beside them in files of the same name. */
static sal_result set__pair_files(set__opener *b, const char *maps, const char *map_extensions,
                                  const char *fixations, const char *fixations_extensions) {
    SET__TRY(set__sort_stems(b));
    for (int i = 0; i < b->set->count; i++) {
        sal_dataset_entry *e = &b->set->entry[i];
        const char *name = e->name, *slash = strrchr(name, '/');
        for (;;) {              /* with its folder, then flat, beside folders of pictures */
            size_t n = set__stem(name);
            if (!e->map) SET__TRY(set__find(b, &e->map, maps, name, n, map_extensions));
            if (fixations && !e->fixations)
                SET__TRY(set__find(b, &e->fixations, fixations, name, n, fixations_extensions));
            if (!slash || name > slash) break;
            name = slash + 1;
        }
    }
    return set__check_files(b);
}

/* MIT1003: the fixations are in DATA/, a folder for each viewer, or pooled in a picture. */
static sal_result set__open_mit1003(set__opener *b, const char *stimuli, const char *data) {
    const char *below, *folders = "";
    char **names;
    int n, subject;
    b->set->layout = SAL_LAYOUT_MIT1003;
    SET__TRY(set__add_pictures(b, stimuli, ""));
    SET__TRY(set__pair_files(b, "ALLFIXATIONMAPS", "_fixMap.jpg|_fixMap.jpeg|_fixMap.png",
                             "ALLFIXATIONMAPS", "_fixPts.jpg|_fixPts.jpeg|_fixPts.png"));
    if (!data || b->set->options.pooled) return SAL_OK;
    SET__TRY(set__dir_list(b->ctx, &b->arena, data, &names, &n));
    for (int i = 0; i < n; i++) {
        SET__TRY(set__text(b, &below, "%s/%s", data, names[i]));
        if (names[i][0] == '.' || sal_path_kind(below) != 1) continue;
        SET__TRY(set__subject_of(b, names[i], &subject));
        SET__TRY(set__text(b, &folders, "DATA/%s%s%s", names[i], *folders ? "|" : "", folders));
    }
    for (int i = 0; b->subjects > 0 && i < b->set->count; i++) {
        sal_dataset_entry *e = &b->set->entry[i];
        SET__TRY(set__find(b, &e->fixations, folders, e->name, set__stem(e->name), ".mat"));
    }
    return SAL_OK;
}

/* Each file in maps/ belongs to a picture; with a split, perhaps to one of another part. */
static sal_result set__check_maps(set__opener *b) {
    const char *folder, *path;
    char **names;
    int n;
    SET__TRY(set__find_folder(b, &folder, "maps"));
    if (!folder || b->set->options.split) return SAL_OK;
    SET__TRY(set__dir_list(b->ctx, &b->arena, folder, &names, &n));
    for (int i = 0; i < n; i++) {
        if (names[i][0] == '.' || !set__has_extension(names[i], SET__MAPS) ||
                set__entry_of(b, names[i]) >= 0) continue;
        SET__TRY(set__text(b, &path, "%s/%s", folder, names[i]));
        if (!bsearch(&path, (const void *)b->file, (size_t)b->files, sizeof path,
                     set__compare_texts))
            SET__TRY(set__missing(b, folder, names[i], "the picture of this map is not there"));
    }
    return SAL_OK;
}

/* Without fixations.csv nothing is said; but something that was meant to be it is an error. */
static sal_result set__no_likeness(set__opener *b) {
    static const char wanted[] = "fixations.csv";
    char **names;
    int n;
    SET__TRY(set__dir_list(b->ctx, &b->arena, b->set->path, &names, &n));
    for (int i = 0; i < n; i++) {
        size_t k = 0;
        while (wanted[k] && (names[i][k] | 32) == (wanted[k] | 32)) k++;
        if (!wanted[k] && !names[i][k])
            return set__fail(b->ctx, SAL_ERR_IO, "%s/%s: is no file called %s, in small letters",
                             b->set->path, names[i], wanted);
    }
    return SAL_OK;
}

/* Plain, OSIE, Scene: one file has the fixations of all pictures. */
static sal_result set__open_plain(set__opener *b, const char *pictures) {
    const char *path, *sigmas, *named = b->set->options.fixations;
    b->set->layout = SAL_LAYOUT_PLAIN;
    SET__TRY(set__add_picture_tree(b, pictures));
    SET__TRY(set__pair_files(b, "maps", SET__MAPS, NULL, NULL));
    SET__TRY(set__check_maps(b));
    if (named) {
        SET__TRY(set__find_file(b, &path, "", named));
        if (!path)
            return set__fail(b->ctx, SAL_ERR_IO, "%s/%s: no such file", b->set->path, named);
    } else {
        SET__TRY(set__find_file(b, &path, "", "fixations.csv"));
        if (!path)
            SET__TRY(set__find_file(b, &path, "|eye|fix|data/eye|fixations", "fixations.mat"));
        if (!path) SET__TRY(set__no_likeness(b));
    }
    SET__TRY(set__find_file(b, &sigmas, "", "sigma.csv"));
    if (sigmas) SET__TRY(set__read_table(b, sigmas, set__read_sigmas));
    if (path) SET__TRY(set__has_extension(path, ".mat")
                       ? set__read_mat(b, path, set__read_fixations)
                       : set__read_table(b, path, set__read_csv));
    return SAL_OK;
}

static sal_result set__open_set(set__opener *b) {
    const char *a, *c, *table, *split = b->set->options.split;
    if (sal_path_kind(b->set->path) != 1)
        return set__fail(b->ctx, SAL_ERR_IO, "%s: no such folder", b->set->path);
    SET__TRY(set__find_folder(b, &a, "ALLSTIMULI"));
    if (a) {
        SET__TRY(set__find_folder(b, &c, "DATA"));
        return set__open_mit1003(b, a, c);
    }
    SET__TRY(set__find_folder(b, &a, "Stimuli|trainSet/Stimuli"));
    if (a) {
        b->set->layout = SAL_LAYOUT_CAT2000;
        SET__TRY(set__add_picture_tree(b, a));
        return set__pair_files(b, "FIXATIONMAPS|trainSet/FIXATIONMAPS", ".jpg|.jpeg|.png",
                               "FIXATIONLOCS|trainSet/FIXATIONLOCS", ".mat");
    }
    SET__TRY(set__find_file(b, &c, "|fixdens|eyetrackingdata/fixdens", "origfixdata.mat"));
    if (c) {
        b->set->layout = SAL_LAYOUT_TORONTO;
        SET__TRY(set__find_folder(b, &a, "Original Image Set|fixdens/Original Image Set|"
                                  "eyetrackingdata/fixdens/Original Image Set|images|Images|"));
        SET__TRY(set__add_pictures(b, a, ""));
        return set__read_mat(b, c, set__read_toronto);
    }
    SET__TRY(set__find_file(b, &a, "", "training.mat"));
    SET__TRY(set__find_file(b, &c, "", "validation.mat"));
    if (a || c) {
        b->set->layout = SAL_LAYOUT_ISUN;
        if (a && (!split || !strcmp(split, "training")))
            SET__TRY(set__read_mat(b, a, set__read_isun));
        if (c && (!split || !strcmp(split, "validation")))
            SET__TRY(set__read_mat(b, c, set__read_isun));
        return SAL_OK;
    }
    SET__TRY(set__find_folder(b, &a, "images|stimuli|data/stimuli"));
    SET__TRY(set__find_folder(b, &c, "fixations"));
    SET__TRY(set__find_file(b, &table, "", "fixations.csv"));
    if (a && c && !table && !b->set->options.fixations) {
        b->set->layout = SAL_LAYOUT_SALICON;
        SET__TRY(set__add_picture_tree(b, a));
        /* only flat pictures, which come first, find their files in another folder */
        int flat = b->set->count > 0 && !strchr(b->set->entry[0].name, '/');
        SET__TRY(set__pair_files(b, flat ? "maps|maps/train|maps/val" : "maps", SET__MAPS,
                                 flat ? "fixations|fixations/train|fixations/val" : "fixations",
                                 SET__POINTS));
        for (int i = 0; i < b->set->count; i++) {
            const char *points = b->set->entry[i].fixations;
            if (points && set__has_extension(points, ".mat")) return SAL_OK;
        }
        b->set->layout = SAL_LAYOUT_PLAIN;
        return SAL_OK;
    }
    if (a) return set__open_plain(b, a);
    return set__fail(b->ctx, SAL_ERR_FORMAT, "%s: no known data set: expected images/ with maps/, "
                     "fixations.csv, fixations.mat or fixations/; training.mat (iSUN); ALLSTIMULI/ "
                     "(MIT1003); Stimuli/ (CAT2000); or origfixdata.mat (Toronto)", b->set->path);
}

SALDEF sal_result sal_dataset_open(sal_ctx *ctx, const char *path,
                                   const sal_dataset_options *options, sal_dataset *set) {
    set__opener b;
    memset(&b, 0, sizeof b);
    memset(set, 0, sizeof *set);
    b.ctx = ctx; b.set = set;
    if (options) set->options = *options;
    sal_result r = set__text(&b, &set->path, "%s", path);
    if (r == SAL_OK && set->options.split)      /* the strings may go away */
        r = set__text(&b, &set->options.split, "%s", set->options.split);
    if (r == SAL_OK && set->options.fixations)
        r = set__text(&b, &set->options.fixations, "%s", set->options.fixations);
    if (r == SAL_OK) r = set__open_set(&b);
    if (r == SAL_OK && set->options.split &&
            (set->layout == SAL_LAYOUT_MIT1003 || set->layout == SAL_LAYOUT_TORONTO))
        r = set__fail(ctx, SAL_ERR_ARGUMENT, "%s: a %s set has no parts, so none called %s", path,
                      sal_layout_name(set->layout), set->options.split);
    if (r == SAL_OK && !b.stem) r = set__sort_stems(&b);        /* looks for double names */
    if (r == SAL_OK) r = set__check_entries(&b);
    if (r == SAL_OK) r = set__sort_subjects(&b);
    if (r == SAL_OK) r = set__sort_looks(&b);
    sal_free(ctx, b.looks.list); sal_free(ctx, (void *)b.subject);
    set->memory = b.arena.last;
    if (r != SAL_OK) sal_dataset_close(ctx, set);
    return r;
}

SALDEF void sal_dataset_close(sal_ctx *ctx, sal_dataset *set) {
    set__arena arena = { (set__piece *)set->memory };
    set__arena_free(ctx, &arena);
    sal_free(ctx, set->entry);
    memset(set, 0, sizeof *set);
}

/* --- raw samples of MIT1003

   eyeData has the gaze 240 times a second, [x y] in pixels of the picture; blinks are negative.
   The velocity at sample t is (p[t+2] + p[t+1] - p[t-1] - p[t-2]) / 6 a sample (Engbert, Kliegl
   2003, eq. 1). A fixation is a run slower than 30 degrees a second; runs less than half a degree
   apart with at most 75 ms between them are one; what lasts less than 60 ms is none (Olsen, "The
   Tobii I-VT fixation filter", 2012). Its place is the median of its samples. The authors' own
   checkFixations.m differs in detail, so fixations at the edge of these limits will, too. */
static int set__compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double set__median(const double *v, int n, double *scratch) {
    memcpy(scratch, v, (size_t)n * sizeof *v);
    qsort(scratch, (size_t)n, sizeof *v, set__compare_doubles);
    return (scratch[(n - 1) / 2] + scratch[n / 2]) / 2;
}

static int set__is_slow(const double *x, const double *y, int n, int t, double speed) {
    int a = SET__MAX(t - 1, 0), aa = SET__MAX(t - 2, 0);
    int z = SET__MIN(t + 1, n - 1), zz = SET__MIN(t + 2, n - 1);
    double dx = (x[zz] + x[z] - x[a] - x[aa]) / 6, dy = (y[zz] + y[z] - y[a] - y[aa]) / 6;
    return x[t] >= 0 && y[t] >= 0 && dx * dx + dy * dy < speed * speed;
}

static sal_result set__detect(sal_ctx *ctx, const double *x, const double *y, int n, int subject,
                              int keep_first, double *scratch, set__looks *looks) {
    const double rate = 240, degree = 35, speed = 30 * degree / rate;
    const int gap = (int)(0.075 * rate), shortest = (int)(0.060 * rate);
    int t = 0, begin, end, from = 0, to = 0, skip = !keep_first;    /* a fixation from..to */
    double at_x = 0, at_y = 0;
    for (;;) {
        while (t < n && !set__is_slow(x, y, n, t, speed)) t++;
        for (begin = t; t < n && set__is_slow(x, y, n, t, speed); t++) {}
        end = t;
        if (end > begin && to > from && begin - to <= gap) {        /* does it go on? */
            double dx = set__median(x + begin, end - begin, scratch) - at_x;
            double dy = set__median(y + begin, end - begin, scratch) - at_y;
            if (dx * dx + dy * dy < degree * degree / 4) begin = from;
        }
        if ((begin > from || end == begin) && to - from >= shortest) {
            if (!skip) SET__TRY(set__look(ctx, looks, -1, subject, at_x - 1, at_y - 1,
                                          1000 * from / rate, 1000 * (to - from) / rate));
            skip = 0;
        }
        if (end == begin) return SAL_OK;
        from = begin; to = end;
        at_x = set__median(x + from, to - from, scratch);
        at_y = set__median(y + from, to - from, scratch);
    }
}

/* NAME.DATA(1).eyeData; the variable is called as the picture, cut at 63 letters. */
static sal_result set__read_samples(sal_ctx *ctx, const char *path, int subject, int keep_first,
                                    set__looks *looks) {
    const sal_mat *samples = NULL;
    sal_mat file;
    sal_result r;
    SET__TRY(sal_mat_load(ctx, path, &file));
    for (int f = 0; f < file.fields && !samples; f++)
        samples = sal_mat_field(sal_mat_field(&file.child[f], 0, "DATA"), 0, "eyeData");
    if (!set__is_matrix(samples, 2) || samples->count > (1 << 24))
        r = set__fail(ctx, SAL_ERR_FORMAT, "%s: NAME.DATA.eyeData, a matrix [x y ...], is expected",
                      path);
    else {
        size_t rows = samples->count ? (size_t)samples->dim[0] : 0;
        double *scratch = SET__NEW(ctx, double, rows);
        r = scratch ? set__detect(ctx, samples->number, samples->number + rows, (int)rows, subject,
                                  keep_first, scratch, looks) : SAL_ERR_MEMORY;
        sal_free(ctx, scratch);
    }
    sal_mat_free(ctx, &file);
    return r;
}

/* --- one picture of a set */

static sal_result set__read_viewers(sal_ctx *ctx, const sal_dataset *set, const char *name,
                                    set__looks *looks) {
    int n, stem = (int)SET__MIN(set__stem(name), 4000);
    char path[4096];
    for (int s = 0; s < set->subjects; s++) {
        n = snprintf(path, sizeof path, "%s/DATA/%s/%.*s.mat", set->path, set->subject[s], stem,
                     name);
        if (n < 0 || n >= (int)sizeof path || !set__is_there(path, path + n - 4, 0))
            continue;                                   /* not seen */
        SET__TRY(set__read_samples(ctx, path, s, set->options.keep_first, looks));
    }
    return SAL_OK;
}

/* A picture that is black but where somebody looked. A JPEG has ripples around such pixels; in
   other files a third grey level means that it is something else. */
static sal_result set__read_points(sal_ctx *ctx, const char *path, set__looks *looks, int w,
                                   int h) {
    int jpeg = set__has_extension(path, ".jpg|.jpeg");
    float top = 0;
    sal_map map;
    SET__TRY(sal_map_load_image(ctx, path, &map));
    sal_result r = set__check_points(ctx, path, map.w, map.h, w, h);
    for (size_t i = 0; i < (size_t)map.w * map.h; i++) top = SET__MAX(top, map.data[i]);
    for (int y = 0; y < map.h && r == SAL_OK; y++)
        for (int x = 0; x < map.w && r == SAL_OK; x++) {
            float v = map.data[(size_t)y * map.w + x];
            if (!jpeg && v > 0 && v < top)
                r = set__fail(ctx, SAL_ERR_FORMAT, "%s: has more than two grey levels, so that it "
                              "is no picture of fixated pixels (density maps belong in maps/)",
                              path);
            else if (v > (jpeg ? 0.5f : 0)) r = set__look(ctx, looks, -1, 0, x, y, -1, -1);
        }
    sal_map_free(ctx, &map);
    return r;
}

/* Those that were not read at opening, of a picture of w x h. */
static sal_result set__read_looks(sal_ctx *ctx, const sal_dataset *set, const sal_dataset_entry *e,
                                  int w, int h, set__looks *looks) {
    const sal_mat *pixels;
    sal_mat file;
    sal_result r;
    if (set->layout == SAL_LAYOUT_MIT1003 && set->subjects > 0)
        return set__read_viewers(ctx, set, e->name, looks);
    if (!set__has_extension(e->fixations, ".mat"))
        return set__read_points(ctx, e->fixations, looks, w, h);
    SET__TRY(sal_mat_load(ctx, e->fixations, &file));
    pixels = sal_mat_field(&file, 0, "fixLocs");            /* CAT2000 */
    if (!pixels) pixels = sal_mat_field(&file, 0, "I");     /* SALICON's first release */
    if (pixels) r = set__mat_pixels(ctx, e->fixations, pixels, looks, -1, w, h);
    else r = set__mat_gaze(ctx, e->fixations, sal_mat_field(&file, 0, "gaze"),
                           sal_mat_field(&file, 0, "resolution"), looks, -1, w, h);
    sal_mat_free(ctx, &file);
    return r;
}

/* A map from MATLAB: the matrix I, or the only one. */
static sal_result set__map_load_mat(sal_ctx *ctx, const char *path, sal_map *map) {
    sal_mat file;
    sal_result r;
    SET__TRY(sal_mat_load(ctx, path, &file));
    const sal_mat *m = sal_mat_field(&file, 0, "I");
    if (!m && file.fields == 1) m = file.child;
    if (!m || m->kind != SAL_MAT_NUMBERS || m->ndim != 2 || m->count == 0)
        r = set__fail(ctx, SAL_ERR_FORMAT, "%s: a map, the matrix I, is expected", path);
    else r = sal_map_new(ctx, m->dim[1], m->dim[0], map);
    for (int y = 0; r == SAL_OK && y < map->h; y++)
        for (int x = 0; x < map->w; x++)
            map->data[(size_t)y * map->w + x] =
                (float)m->number[(size_t)x * map->h + y];
    sal_mat_free(ctx, &file);
    return r;
}

/* Divide by the maximum. */
static void set__normalise(sal_map *map) {
    size_t n = (size_t)map->w * map->h;
    float top = 0;
    for (size_t i = 0; i < n; i++) top = SET__MAX(top, map->data[i]);
    for (size_t i = 0; top > 0 && i < n; i++) map->data[i] = SET__MIN(map->data[i] / top, 1.0f);
}

static sal_result set__load_density(sal_ctx *ctx, const char *path, int w, int h, sal_map *map) {
    SET__TRY(set__has_extension(path, ".npy") ? sal_map_load_npy(ctx, path, map)
             : set__has_extension(path, ".mat") ? set__map_load_mat(ctx, path, map)
             : sal_map_load_image(ctx, path, map));
    if (map->w != w || map->h != h)
        return set__fail(ctx, SAL_ERR_SHAPE, "%s: the map is %d x %d and its picture %d x %d", path,
                         map->w, map->h, w, h);
    for (size_t i = 0; i < (size_t)w * h; i++)
        if (!(map->data[i] >= 0 && map->data[i] <= FLT_MAX))
            return set__fail(ctx, SAL_ERR_NUMERIC, "%s: %g stands in the map; densities are finite "
                             "and not negative", path, (double)map->data[i]);
    set__normalise(map);
    return SAL_OK;
}

/* People look beside a picture now and then, but a quarter of their fixations there, or all of them
   in its first pixel, are coordinates of something else: a screen, or shares of the picture. */
static sal_result set__check_units(sal_ctx *ctx, const sal_item *item) {
    enum { FEW = 8 };
    int count = item->fixations + item->dropped, inside = 0;
    for (int i = 0; i < item->fixations; i++)
        inside += item->fixation[i].x <= 1 && item->fixation[i].y <= 1;
    if (count >= FEW && 4 * item->dropped > count)
        return set__fail(ctx, SAL_ERR_FORMAT, "%s: %d of %d fixations lie outside of its %d x %d "
                         "pixels: coordinates are pixels of the picture", item->name, item->dropped,
                         count, item->w, item->h);
    if (inside >= FEW && inside == item->fixations && item->w > 2 && item->h > 2)
        return set__fail(ctx, SAL_ERR_FORMAT, "%s: all %d fixations lie between 0 and 1: coordinates "
                         "are pixels of the picture, not shares", item->name, inside);
    return SAL_OK;
}

/* The loader proper; what it leaves behind on failure is released by its caller. */
static sal_result set__load_item(sal_ctx *ctx, const sal_dataset *set, const sal_dataset_entry *e,
                                 int parts, sal_item *item) {
    int make = (parts & SAL_ITEM_DENSITY) && (!e->map || set->options.make_density);
    int count = e->count;
    set__looks looks = { NULL, 0, 0 };
    item->name = e->name;
    sal_result r = set__shown(ctx, e->image, parts & SAL_ITEM_IMAGE ? &item->image : NULL, &item->w,
                              &item->h);
    if (r != SAL_OK) return r;
    item->sigma = set__set_sigma(set, e, item->w, item->h);
    if (make || (parts & SAL_ITEM_FIXATIONS)) {
        if (e->fixations) {
            r = set__read_looks(ctx, set, e, item->w, item->h, &looks);
            count = looks.count;
        }
        item->fixation = SET__NEW(ctx, sal_fixation, count);
        for (int i = 0; r == SAL_OK && item->fixation && i < count; i++) {
            sal_fixation f = e->fixations ? looks.list[i].f : set->fixation[e->first + i];
            if (f.x < -1 || f.y < -1 || f.x > (float)item->w || f.y > (float)item->h) continue;
            item->fixation[item->fixations++] = f;
            item->subjects = SET__MAX(item->subjects, f.subject + 1);
        }
        item->dropped = count - item->fixations + looks.dropped;
        sal_free(ctx, looks.list);
        SET__TRY(r);
        if (!item->fixation) return SAL_ERR_MEMORY;
        SET__TRY(set__check_units(ctx, item));
    }
    if (make)
        return sal_density(ctx, item->fixation, item->fixations, item->w, item->h, item->sigma,
                           &item->density);
    if (parts & SAL_ITEM_DENSITY)
        return set__load_density(ctx, e->map, item->w, item->h, &item->density);
    return SAL_OK;
}

SALDEF sal_result sal_dataset_item(sal_ctx *ctx, const sal_dataset *set, int i, int parts,
                                   sal_item *item) {
    memset(item, 0, sizeof *item);
    if (i < 0 || i >= set->count)
        return set__fail(ctx, SAL_ERR_ARGUMENT, "%s: there is no picture %d of %d", set->path, i,
                         set->count);
    sal_result r = set__load_item(ctx, set, &set->entry[i], parts, item);
    if (r != SAL_OK) sal_item_free(ctx, item);
    return r;
}

SALDEF void sal_item_free(sal_ctx *ctx, sal_item *item) {
    sal_image_free(ctx, &item->image);
    sal_map_free(ctx, &item->density);
    sal_free(ctx, item->fixation);
    memset(item, 0, sizeof *item);
}
/* --- folders to train on ------------------------------------------------------------------- */

/* Where a sample comes from. */
typedef struct set__origin { const sal_dataset *set; int entry; } set__origin;

static sal_result set__folders_load(void *user, sal_ctx *ctx, int i, sal_sample *sample) {
    const set__origin *from = (const set__origin *)user + i;
    sal_item item;
    SET__TRY(sal_dataset_item(ctx, from->set, from->entry, SAL_ITEM_ALL, &item));
    sample->image = item.image; sample->density = item.density;
    sample->fixation = item.fixation; sample->fixations = item.fixations;
    return SAL_OK;
}

/* Nobody's fixations, only a map. */
static int set__weak(const sal_dataset_entry *e) { return !e->fixations && !e->count; }

/* One of the two sources: 0 to train, 1 to validate. */
static sal_result set__folders_source(sal_ctx *ctx, const sal_folders_desc *d, int pass, int people,
                                      int most, const sal_folders *f, set__arena *arena,
                                      sal_source *source) {
    sal_sample_info *info;
    set__origin *origin;
    SET__TRY_PUT(info, ctx, arena, sal_sample_info, most);
    SET__TRY_PUT(origin, ctx, arena, set__origin, most);
    source->info = info; source->user = origin;
    source->load = set__folders_load;
    for (int i = 0; i < f->sets; i++) {
        int again = 0;          /* this folder at another size */
        for (int k = 0; k < i && i < d->datas; k++) again |= !strcmp(d->data[k], d->data[i]);
        for (int k = 0; k < f->set[i].count; k++) {
            const sal_dataset_entry *e = &f->set[i].entry[k];
            int weak = people && set__weak(e), val = i >= d->datas ||
                       (!d->vals && !weak && sal_name_share(e->name, d->seed + 1) < d->val_split);
            if (val != pass || (val && again) ||
                (!weak && sal_name_share(e->name, 0) < d->test_share)) continue;
            info->name = e->image;
            if (!val && d->domain) info->domain = d->domain[i];
            if (!val && d->size) { info->h = d->size[i][0]; info->w = d->size[i][1]; }
            origin->set = &f->set[i]; origin->entry = k;
            source->count++; info++; origin++;
        }
    }
    return SAL_OK;
}

SALDEF sal_result sal_folders_open(sal_ctx *ctx, const sal_folders_desc *d, sal_folders *folders) {
    sal_dataset_options options;
    set__arena arena = { NULL };
    int total = 0, people = 0;
    sal_result r;
    memset(&options, 0, sizeof options);
    memset(folders, 0, sizeof *folders);
    options.skip_missing = d->skip;
    if (d->datas < 1) return set__fail(ctx, SAL_ERR_ARGUMENT, "training needs a data set");
    folders->set = (sal_dataset *)set__arena_alloc(ctx, &arena, (size_t)(d->datas + d->vals),
                                                   sizeof(sal_dataset));
    r = folders->set ? SAL_OK : SAL_ERR_MEMORY;
    for (int i = 0; r == SAL_OK && i < d->datas + d->vals; i++) {
        sal_dataset *set = &folders->set[i];
        r = sal_dataset_open(ctx, i < d->datas ? d->data[i] : d->val[i - d->datas], &options, set);
        if (r != SAL_OK) break;
        folders->sets++;
        total += set->count;
        for (int k = 0; k < set->count; k++) people |= !set__weak(&set->entry[k]);
    }
    if (r == SAL_OK)
        r = set__folders_source(ctx, d, 0, people, total, folders, &arena, &folders->train);
    if (r == SAL_OK)
        r = set__folders_source(ctx, d, 1, people, total, folders, &arena, &folders->val);
    if (r == SAL_OK && !folders->train.count)
        r = set__fail(ctx, SAL_ERR_ARGUMENT, "%s: of %d pictures none is left to train on",
                      d->data[0], total);
    folders->memory = arena.last;
    if (r != SAL_OK) sal_folders_close(ctx, folders);
    return r;
}

SALDEF void sal_folders_close(sal_ctx *ctx, sal_folders *folders) {
    set__arena arena = { (set__piece *)folders->memory };
    for (int i = 0; i < folders->sets; i++) sal_dataset_close(ctx, &folders->set[i]);
    set__arena_free(ctx, &arena);
    memset(folders, 0, sizeof *folders);
}

SALDEF sal_result sal_train_folders(sal_ctx *ctx, sal_net *net, const sal_train_desc *desc,
                                    const sal_folders_desc *data, sal_train_result *result) {
    sal_folders folders;
    sal_train_desc d = *desc;
    memset(result, 0, sizeof *result);
    SET__TRY(sal_folders_open(ctx, data, &folders));
    d.train = &folders.train; d.val = &folders.val;
    sal_result r = sal_train(ctx, net, &d, result);
    sal_folders_close(ctx, &folders);
    return r;
}
#endif /* SALIENCY_NO_STDIO */

#endif /* DATASET_IMPLEMENTATION */
