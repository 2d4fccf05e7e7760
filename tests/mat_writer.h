/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* Writes small MATLAB 5 files for the tests: any class, any storage type, either byte order, plain
   or zlib-packed (stb packs). Include after saliency.h. */
#ifndef MAT_WRITER_H
#define MAT_WRITER_H

#ifndef INCLUDE_STB_IMAGE_WRITE_H       /* the implementation of saliency.h is in another file */
#  define STB_IMAGE_WRITE_STATIC
#  define STB_IMAGE_WRITE_IMPLEMENTATION
#  ifdef __GNUC__
#    pragma GCC diagnostic ignored "-Wunused-function"
#  endif
#  if __has_include(<stb/stb_image_write.h>)
#    include <stb/stb_image_write.h>
#  else
#    include "stb_image_write.h"
#  endif
#endif

typedef struct mat_writer {
    unsigned char *data;
    size_t size, room;
    int big;                    /* most significant byte first */
} mat_writer;

static void mat_bytes(mat_writer *w, const void *bytes, size_t n) {
    if (w->size + n > w->room) {
        w->room = 2 * (w->size + n);
        w->data = (unsigned char *)realloc(w->data, w->room);
    }
    if (n) memcpy(w->data + w->size, bytes, n);
    w->size += n;
}

static void mat_put_at(mat_writer *w, size_t at, uint64_t v, int bytes) {
    int i;
    for (i = 0; i < bytes; i++)
        w->data[at + (size_t)(w->big ? bytes - 1 - i : i)] = (unsigned char)(v >> (8 * i));
}

static void mat_int(mat_writer *w, uint64_t v, int bytes) {
    static const unsigned char zeros[8] = { 0 };
    mat_bytes(w, zeros, (size_t)bytes);
    mat_put_at(w, w->size - (size_t)bytes, v, bytes);
}

static void mat_pad(mat_writer *w, size_t size) {
    static const unsigned char zeros[8] = { 0 };
    mat_bytes(w, zeros, (8 - size % 8) % 8);
}

static int mat_width(int type) {
    static const int width[] = { 0, 1, 1, 2, 2, 4, 4, 4, 0, 8, 0, 0, 8, 8, 0, 0, 1, 2, 4 };
    return width[type];
}

/* One element of numbers; up to 4 bytes go into a small one, as MATLAB does it. */
static void mat_numbers(mat_writer *w, int type, const double *v, size_t n) {
    size_t i, size = n * (size_t)mat_width(type);
    int small = size > 0 && size <= 4;
    if (small) mat_int(w, (uint64_t)size << 16 | (uint64_t)type, 4);
    else { mat_int(w, (uint64_t)type, 4); mat_int(w, size, 4); }
    for (i = 0; i < n; i++) {
        uint64_t bits = 0;
        float f = (float)v[i];
        uint32_t fbits;
        if (type == 7) { memcpy(&fbits, &f, 4); bits = fbits; }
        else if (type == 9) memcpy(&bits, &v[i], 8);
        else bits = v[i] < 0 ? (uint64_t)(int64_t)v[i] : (uint64_t)v[i];
        mat_int(w, bits, mat_width(type));
    }
    mat_pad(w, small ? size + 4 : size);
}

static void mat_chars(mat_writer *w, const char *s, size_t n) {
    int small = n > 0 && n <= 4;
    if (small) mat_int(w, (uint64_t)n << 16 | 1, 4);
    else { mat_int(w, 1, 4); mat_int(w, n, 4); }
    mat_bytes(w, s, n);
    mat_pad(w, small ? n + 4 : n);
}

/* Open an array (flags: 2 logical, 8 complex); close it with mat_end. */
static size_t mat_begin(mat_writer *w, int class_, int flags, int rows, int columns,
                        const char *name) {
    double dim[2];
    size_t at;
    dim[0] = rows; dim[1] = columns;
    mat_int(w, 14, 4); mat_int(w, 0, 4);
    at = w->size;
    mat_int(w, 6, 4); mat_int(w, 8, 4);
    mat_int(w, (uint64_t)(flags << 8 | class_), 4); mat_int(w, 0, 4);
    mat_numbers(w, 5, dim, 2);
    mat_chars(w, name, strlen(name));
    return at;
}

static void mat_end(mat_writer *w, size_t at) { mat_put_at(w, at - 4, w->size - at, 4); }

/* values column by column */
static void mat_matrix(mat_writer *w, const char *name, int class_, int type, int rows, int columns,
                       const double *v) {
    size_t at = mat_begin(w, class_, 0, rows, columns, name);
    mat_numbers(w, type, v, (size_t)rows * (size_t)columns);
    mat_end(w, at);
}

static void mat_text(mat_writer *w, const char *name, const char *s) {
    double v[256];
    int i, n = (int)strlen(s);
    size_t at = mat_begin(w, 4, 0, n > 0, n, name);
    for (i = 0; i < n; i++) v[i] = (unsigned char)s[i];
    mat_numbers(w, 4, v, (size_t)n);
    mat_end(w, at);
}

/* Open a struct array; its fields follow, element by element. names: "a|b|c" */
static size_t mat_begin_struct(mat_writer *w, const char *name, int rows, int columns,
                               const char *names) {
    size_t at = mat_begin(w, 2, 0, rows, columns, name), n = 0;
    char packed[1024];
    double length = 32;
    memset(packed, 0, sizeof packed);
    for (; *names; names += strcspn(names, "|"), names += *names == '|')
        memcpy(packed + 32 * n++, names, strcspn(names, "|"));
    mat_numbers(w, 5, &length, 1);
    mat_chars(w, packed, 32 * n);
    return at;
}

/* The variables written so far (each one array) as a file in memory; free() it. */
static unsigned char *mat_file(const mat_writer *w, int packed, size_t *size) {
    mat_writer out;
    char text[124];
    size_t at = 0;
    memset(&out, 0, sizeof out);
    out.big = w->big;
    memset(text, ' ', sizeof text);
    memcpy(text, "MATLAB 5.0 MAT-file", 19);
    mat_bytes(&out, text, 124);
    mat_int(&out, 0x0100, 2);
    mat_bytes(&out, w->big ? "MI" : "IM", 2);
    while (at < w->size) {
        const unsigned char *p = w->data + at + 4;
        size_t n = 8;
        int i;
        for (i = 0; i < 4; i++) n += (size_t)p[i] << (w->big ? 24 - 8 * i : 8 * i);
        if (packed) {
            int length;
            unsigned char *z = stbi_zlib_compress(w->data + at, (int)n, &length, 8);
            mat_int(&out, 15, 4); mat_int(&out, (uint64_t)length, 4);
            mat_bytes(&out, z, (size_t)length);
            free(z);
        } else {
            mat_bytes(&out, w->data + at, n);
        }
        at += n;
    }
    *size = out.size;
    return out.data;
}

static void mat_save(mat_writer *w, const char *path, int packed) {
    size_t size;
    unsigned char *data = mat_file(w, packed, &size);
    FILE *f = fopen(path, "wb");
    if (f) { fwrite(data, 1, size, f); fclose(f); }
    free(data); free(w->data);
    memset(w, 0, sizeof *w);
}

#endif
