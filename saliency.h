/* saliency.h - predict where people look in a picture                             >>about

   (manual: being written)
*/
/* ============================================================================================
   >>api  (stop here if you only want to use it)
   ========================================================================================== */
#ifndef SALIENCY_H
#define SALIENCY_H

#include <stddef.h>
#include <stdint.h>

#ifdef SALIENCY_STATIC
#  define SALDEF static
#elif defined(__cplusplus)
#  define SALDEF extern "C"
#else
#  define SALDEF extern
#endif

#define SAL_VERSION "0.1.0"

/* --- api: core ------------------------------------------------------------------------------

   Every function that can fail returns one of these; the sentence for a person is in
   sal_error(ctx). Results come back through the last argument, untouched or zeroed on failure. */
typedef enum sal_result {
    SAL_OK              =  0,
    SAL_ERR_ARGUMENT    = -1,   /* a value this function does not take */
    SAL_ERR_MEMORY      = -2,   /* an allocation failed, or a size overflows */
    SAL_ERR_IO          = -3,   /* a file cannot be opened, read or written */
    SAL_ERR_FORMAT      = -4,   /* a file is damaged or not what it claims to be */
    SAL_ERR_SHAPE       = -5,   /* tensors, weights or maps do not fit together */
    SAL_ERR_UNSUPPORTED = -6,   /* known, but not built in or not possible here */
    SAL_ERR_NUMERIC     = -7,   /* not a number, or infinite, where a finite value is needed */
    SAL_ERR_CANCELLED   = -8    /* a callback asked to stop */
} sal_result;

typedef struct sal_ctx sal_ctx;
typedef struct sal_backend sal_backend;

/* One piece of a parallel loop: index is the piece, worker (below ctx->threads) owns scratch. */
typedef void sal_task_fn(void *arg, int index, int worker);

/* The state of one caller. Zero-initialise it, set what you want to change, and pass it on.
   One thread at a time may use a context; any number of contexts may share a loaded network.
   A context owns nothing: there is no close function. */
struct sal_ctx {
    int threads;                /* 0: all cores when built with OpenMP, else 1 */
    uint64_t seed;              /* of everything random */
    const sal_backend *backend; /* NULL: sal_backend_cpu() */
    void *user;                 /* handed to the hooks below */
    void *(*alloc)(void *user, size_t size);      /* NULL: malloc and free */
    void (*free)(void *user, void *memory);
    void (*log)(void *user, const char *message); /* warnings, one sentence each; NULL: silent */
    /* Run fn(arg, i, worker) once for each i in 0..n-1, worker < ctx->threads, and return when all
       are done. NULL: OpenMP if the compiler enables it, else a plain loop. */
    void (*parallel_for)(void *user, int n, sal_task_fn *fn, void *arg);
    char error[512];            /* the last failure, see sal_error */
};

/* The last failure of this context as one sentence ("" if there was none). */
SALDEF const char *sal_error(const sal_ctx *ctx);
/* A short name of a result code ("ok", "memory", ...). */
SALDEF const char *sal_result_name(sal_result r);
/* count * size bytes, zeroed, aligned to 64; NULL (and an error text) if that overflows or memory
   is short. Release with sal_free; sal_free(ctx, NULL) does nothing. */
SALDEF void *sal_alloc(sal_ctx *ctx, size_t count, size_t size);
SALDEF void sal_free(sal_ctx *ctx, void *memory);
/* How many workers a parallel loop of this context has: the size of per-worker scratch. */
SALDEF int sal_threads(const sal_ctx *ctx);
SALDEF void sal_parallel_for(sal_ctx *ctx, int n, sal_task_fn *fn, void *arg);

/* Counter-based random numbers (splitmix64): the i-th value depends on seed and i alone. */
typedef struct sal_rng { uint64_t state; } sal_rng;
SALDEF uint64_t sal_rng_next(sal_rng *r);
SALDEF double sal_rng_uniform(sal_rng *r);      /* [0, 1), 53 bits */
SALDEF double sal_rng_normal(sal_rng *r);       /* N(0, 1), two draws by Box-Muller */
SALDEF uint32_t sal_rng_below(sal_rng *r, uint32_t n);  /* 0..n-1 without bias; n > 0 */

#ifndef SALIENCY_NO_STDIO
/* A whole file in memory, with a zero byte after its end; sal_free the data. */
SALDEF sal_result sal_file_read(sal_ctx *ctx, const char *path, unsigned char **data, size_t *size);
/* Write a whole file or nothing: to a temporary name beside it, fsync, rename. */
SALDEF sal_result sal_file_write(sal_ctx *ctx, const char *path, const void *data, size_t size);
/* The names in a folder (without "." and ".."), sorted by byte value. One block: sal_free it. */
SALDEF sal_result sal_dir_list(sal_ctx *ctx, const char *path, char ***names, int *count);
/* 1 a folder, 0 another kind of file, -1 nothing there. */
SALDEF int sal_path_kind(const char *path);
#endif

/* --- api: tensor ------------------------------------------------------------------------- */

typedef enum sal_dtype { SAL_F32, SAL_F16, SAL_BF16, SAL_I8 } sal_dtype;

/* A view of numbers in memory: at most four dimensions, the last one contiguous (NCHW for maps,
   OIHW for convolution weights, (out, in) for dense ones). I8 values are data[i] * scale[row],
   a row being everything behind the first dimension. */
typedef struct sal_tensor {
    int ndim, dim[4];
    sal_dtype dtype;
    void *data;
    float *scale;       /* I8 only: dim[0] values */
} sal_tensor;

SALDEF size_t sal_dtype_size(sal_dtype t);          /* bytes of one element */
SALDEF const char *sal_dtype_name(sal_dtype t);     /* "F32", ... as safetensors spells it */
SALDEF size_t sal_tensor_count(const sal_tensor *t);    /* number of elements */
/* count elements from start on as float. */
SALDEF void sal_tensor_read(const sal_tensor *t, size_t start, size_t count, float *out);
SALDEF float sal_f16_to_f32(uint16_t h);
SALDEF uint16_t sal_f32_to_f16(float f);            /* to nearest even; overflow becomes infinity */
SALDEF float sal_bf16_to_f32(uint16_t h);
SALDEF uint16_t sal_f32_to_bf16(float f);           /* to nearest even */

/* --- api: image -----------------------------------------------------------------------------

   Pictures are 8-bit RGB, rows from the top, no gaps. Maps are one float a pixel. Both own their
   data: release with the matching _free. x runs right, y down, pixel centres are whole numbers. */
typedef struct sal_image {
    int w, h;
    int grey;               /* 1: the source had no colour (R = G = B everywhere) */
    unsigned char *data;    /* h * w * 3 */
} sal_image;

typedef struct sal_map {
    int w, h;
    float *data;            /* h * w */
} sal_map;

#define SAL_MAX_PIXELS (1 << 28)    /* of any picture or map; more is refused */

SALDEF void sal_image_free(sal_ctx *ctx, sal_image *image);
SALDEF void sal_map_free(sal_ctx *ctx, sal_map *map);
/* A new map of zeros. */
SALDEF sal_result sal_map_new(sal_ctx *ctx, int w, int h, sal_map *map);

/* Separable resampling of an interleaved plane set, pixel centres on half-pixel positions (as PIL,
   MATLAB's imresize and PyTorch with align_corners=False have it). When a side shrinks the filter
   widens with it (antialias); weights are normalised at the borders. SAL_AREA takes the mean of what
   an output pixel covers, SAL_CUBIC is Keys' with a = -1/2. Same size: an exact copy. out and in
   are (height, width, channels) and may not overlap. */
typedef enum sal_filter { SAL_AREA, SAL_LINEAR, SAL_CUBIC } sal_filter;
SALDEF sal_result sal_resize(sal_ctx *ctx, float *out, int ow, int oh, const float *in, int w,
                             int h, int channels, sal_filter filter);

/* Gaussian blur of one plane: taps up to floor(cut * sigma + 0.5) pixels away, weights normalised.
   out may be in. sigma <= 0 copies. */
typedef enum sal_border { SAL_BORDER_ZERO, SAL_BORDER_REPLICATE } sal_border;
SALDEF sal_result sal_blur(sal_ctx *ctx, float *out, const float *in, int w, int h, double sigma,
                           double cut, sal_border border);

/* --- api: operators -------------------------------------------------------------------------

   Textbook versions: short loops for reading, teaching and testing. Outputs first, then inputs,
   then shapes. Arrays are float32, NCHW, owned by the caller; nothing is allocated, nothing can
   fail if the shapes are true. The equation and its source stand above each definition. */

/* The geometry of a convolution. Padding is zeros, per side, so it may be asymmetric. */
typedef struct sal_conv {
    int n, ic, ih, iw;              /* input  (n, ic, ih, iw) */
    int oc, kh, kw;                 /* weight (oc, ic, kh, kw) */
    int stride, dilation;
    int top, left, bottom, right;
    int oh, ow;                     /* output (n, oc, oh, ow): sal_conv_fit fills these in */
} sal_conv;

typedef enum sal_padding { SAL_VALID, SAL_SAME } sal_padding;

/* The geometry of a pooling of n planes; padded cells never win. */
typedef struct sal_pool {
    int n, ih, iw;                  /* n: samples times channels */
    int k, stride, top, left;
    int oh, ow;
} sal_pool;

/* Compute oh and ow; 0 if the window does not fit into the padded input. */
SALDEF int sal_conv_fit(sal_conv *s);
/* valid: floor((H-k)/s)+1; same: ceil(H/s), the larger half of the padding at the bottom, right. */
SALDEF int sal_pool_fit(sal_pool *s, sal_padding padding);

SALDEF void sal_gemm(float *c, const float *a, const float *b, int m, int n, int k);
SALDEF void sal_conv2d_forward(float *out, const float *in, const float *weight, const float *bias,
                               const sal_conv *s);
SALDEF void sal_dense_forward(float *out, const float *in, const float *weight, const float *bias,
                              int n, int nin, int nout);
SALDEF void sal_maxout_forward(float *out, int *arg, const float *in, int n, int pieces);
SALDEF void sal_maxpool_forward(float *out, int *arg, const float *in, const sal_pool *s);
SALDEF void sal_relu_forward(float *out, const float *in, size_t n);
SALDEF void sal_sigmoid_forward(float *out, const float *in, size_t n);
SALDEF void sal_tanh_forward(float *out, const float *in, size_t n);
SALDEF void sal_softmax_forward(float *out, const float *in, int n, int size);
SALDEF void sal_batchnorm_forward(float *out, const float *in, const float *weight,
                                  const float *bias, const float *mean, const float *var,
                                  float eps, int n, int c, int hw);
SALDEF void sal_dropout_forward(float *out, unsigned char *mask, const float *in, size_t n,
                                float rate, sal_rng *rng);
SALDEF void sal_concat_forward(float *out, const float *const *in, const int *channels, int count,
                               int n, int hw);
SALDEF void sal_add_forward(float *out, const float *a, const float *b, size_t n);
SALDEF void sal_upsample_forward(float *out, const float *in, int n, int ih, int iw, int oh,
                                 int ow);
SALDEF void sal_prior_forward(float *out, float *mask, const float *in, const float *prior, int n,
                              int h, int w, int ph, int pw);
SALDEF void sal_gaussians_forward(float *out, const float *params, int n, int count, int h, int w);

/* The 21 parameter arrays of the attentive ConvLSTM, in this order. */
enum { SAL_WA, SAL_WA_BIAS, SAL_UA, SAL_UA_BIAS, SAL_VA, SAL_WI, SAL_WI_BIAS, SAL_UI, SAL_UI_BIAS,
       SAL_WF, SAL_WF_BIAS, SAL_UF, SAL_UF_BIAS, SAL_WC, SAL_WC_BIAS, SAL_UC, SAL_UC_BIAS,
       SAL_WO, SAL_WO_BIAS, SAL_UO, SAL_UO_BIAS, SAL_LSTM_PARAMS };
/* Floats of scratch that sal_convlstm_forward needs. */
SALDEF size_t sal_convlstm_scratch(int n, int c, int h, int w);
SALDEF void sal_convlstm_forward(float *out, const float *in, const float *const *params, int steps,
                                 int n, int c, int h, int w, float *scratch);

/* --- api: (further sections declare themselves here) --------------------------------------- */

#endif /* SALIENCY_H */

/* ============================================================================================
   The implementation. Everything below is compiled once, where SALIENCY_IMPLEMENTATION is defined.
   ========================================================================================== */
#if defined(SALIENCY_IMPLEMENTATION) && !defined(SALIENCY_IMPLEMENTED)
#define SALIENCY_IMPLEMENTED

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#  include <omp.h>
#endif
#ifndef SALIENCY_NO_STDIO
#  include <dirent.h>
#  include <errno.h>
#  include <fcntl.h>
#  include <sys/stat.h>
#  include <unistd.h>
#endif
/* stb_image (decoding, inflate) and stb_image_write (PNG, JPEG): private copies, so they never
   clash with yours. If you included them before this header, yours are used. */
#ifndef SALIENCY_NO_STB
#  if defined(__GNUC__)
#    pragma GCC diagnostic push
#    pragma GCC diagnostic ignored "-Wunused-function"
#    pragma GCC diagnostic ignored "-Wunused-parameter"
#    pragma GCC diagnostic ignored "-Wsign-compare"
#    pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#  endif
#  ifndef STBI_INCLUDE_STB_IMAGE_H
#    define STB_IMAGE_STATIC
#    define STB_IMAGE_IMPLEMENTATION
     /* 2.27 misspells one definition; later versions do not have this name */
#    define stbi__unpremultiply_on_load_thread stbi_set_unpremultiply_on_load_thread
#    define STBI_NO_HDR
#    define STBI_NO_LINEAR
#  endif
#  ifndef INCLUDE_STB_IMAGE_WRITE_H
#    define STB_IMAGE_WRITE_STATIC
#    define STB_IMAGE_WRITE_IMPLEMENTATION
#  endif
#  if defined(__has_include)
#    if __has_include(<stb/stb_image.h>)
#      define SAL__STB_FOLDER
#    endif
#  endif
#  ifdef SAL__STB_FOLDER        /* Debian's libstb-dev */
#    include <stb/stb_image.h>
#    include <stb/stb_image_write.h>
#  else
#    include "stb_image.h"
#    include "stb_image_write.h"
#  endif
#  if defined(__GNUC__)
#    pragma GCC diagnostic pop
#  endif
#endif

/* ============================================================================================
   >>core  results, memory, threads, random numbers, files
   ========================================================================================== */

#define SAL__PI 3.14159265358979323846
#define SAL__MIN(a, b) ((a) < (b) ? (a) : (b))
#define SAL__MAX(a, b) ((a) > (b) ? (a) : (b))
#define SAL__COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
/* Leave the function with this result unless it is SAL_OK. */
#define SAL__TRY(call) do { sal_result r_ = (call); if (r_ != SAL_OK) return r_; } while (0)
/* An array of n zeroed T, or NULL (C++ wants the cast). */
#define SAL__NEW(ctx, T, n) ((T *)sal_alloc(ctx, (size_t)(n), sizeof(T)))

static double sal__clamp(double x, double low, double high) {
    return x < low ? low : x > high ? high : x;
}

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
/* Remember why, and hand the code on: return sal__fail(ctx, SAL_ERR_IO, "cannot ...", ...); */
static sal_result sal__fail(sal_ctx *ctx, sal_result r, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(ctx->error, sizeof ctx->error, format, args);
    va_end(args);
    return r;
}

SALDEF const char *sal_error(const sal_ctx *ctx) { return ctx->error; }

SALDEF const char *sal_result_name(sal_result r) {
    static const char *const names[] = { "ok", "argument", "memory", "io", "format", "shape",
                                         "unsupported", "numeric", "cancelled" };
    return r <= 0 && -(int)r < SAL__COUNT(names) ? names[-(int)r] : "unknown";
}

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static void sal__warn(sal_ctx *ctx, const char *format, ...) {
    char text[512];
    va_list args;
    if (!ctx->log) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ctx->log(ctx->user, text);
}

/* --- memory ------------------------------------------------------------------------------ */

/* 0 and *out = a * b, or 1 if that does not fit. */
static int sal__mul_overflows(size_t a, size_t b, size_t *out) {
    *out = a * b;
    return a != 0 && b > SIZE_MAX / a;
}

SALDEF void *sal_alloc(sal_ctx *ctx, size_t count, size_t size) {
    enum { ALIGN = 64 };
    size_t bytes;
    unsigned char *raw = NULL, *memory;
    if (!sal__mul_overflows(count, size, &bytes) && bytes <= SIZE_MAX / 2) {
        size_t whole = bytes + ALIGN + sizeof(void *);
        raw = (unsigned char *)(ctx->alloc ? ctx->alloc(ctx->user, whole) : malloc(whole));
    }
    if (!raw) {
        sal__fail(ctx, SAL_ERR_MEMORY, "out of memory: %.0f bytes are not to be had",
                  (double)count * (double)size);
        return NULL;
    }
    memory = raw + sizeof(void *);
    memory += (ALIGN - (uintptr_t)memory % ALIGN) % ALIGN;
    memcpy(memory - sizeof(void *), &raw, sizeof raw);
    memset(memory, 0, bytes);
    return memory;
}

SALDEF void sal_free(sal_ctx *ctx, void *memory) {
    void *raw;
    if (!memory) return;
    memcpy(&raw, (unsigned char *)memory - sizeof raw, sizeof raw);
    if (ctx->free) ctx->free(ctx->user, raw);
    else if (!ctx->alloc) free(raw);
}

/* --- threads ----------------------------------------------------------------------------- */

SALDEF int sal_threads(const sal_ctx *ctx) {
    int n = ctx->threads;
#ifdef _OPENMP
    if (n <= 0) n = omp_get_max_threads();
#else
    if (!ctx->parallel_for) n = 1;
#endif
    return n < 1 ? 1 : n > 256 ? 256 : n;
}

SALDEF void sal_parallel_for(sal_ctx *ctx, int n, sal_task_fn *fn, void *arg) {
    int i;
    if (ctx->parallel_for) { ctx->parallel_for(ctx->user, n, fn, arg); return; }
#ifdef _OPENMP
    if (sal_threads(ctx) > 1 && n > 1) {
        #pragma omp parallel for schedule(dynamic, 1) num_threads(sal_threads(ctx))
        for (i = 0; i < n; i++) fn(arg, i, omp_get_thread_num());
        return;
    }
#endif
    for (i = 0; i < n; i++) fn(arg, i, 0);
}

/* --- random numbers ---------------------------------------------------------------------- */

/* Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014. */
SALDEF uint64_t sal_rng_next(sal_rng *r) {
    uint64_t z = (r->state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

SALDEF double sal_rng_uniform(sal_rng *r) {
    return (double)(sal_rng_next(r) >> 11) * (1.0 / 9007199254740992.0);
}

SALDEF double sal_rng_normal(sal_rng *r) {
    double u = 1.0 - sal_rng_uniform(r), v = sal_rng_uniform(r);   /* u in (0, 1] */
    return sqrt(-2.0 * log(u)) * cos(2.0 * SAL__PI * v);
}

SALDEF uint32_t sal_rng_below(sal_rng *r, uint32_t n) {
    uint32_t limit = UINT32_MAX - UINT32_MAX % n, x;    /* refuse the uneven rest at the top */
    do x = (uint32_t)(sal_rng_next(r) >> 32); while (x >= limit);
    return x % n;
}

/* --- files ------------------------------------------------------------------------------- */
#ifndef SALIENCY_NO_STDIO

SALDEF sal_result sal_file_read(sal_ctx *ctx, const char *path, unsigned char **data,
                                size_t *size) {
    FILE *file;
    unsigned char *bytes;
    long length;
    *data = NULL; *size = 0;
    if (sal_path_kind(path) == 1)
        return sal__fail(ctx, SAL_ERR_IO, "%s: is a folder, not a file", path);
    file = fopen(path, "rb");
    if (!file) return sal__fail(ctx, SAL_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    if (fseek(file, 0, SEEK_END) || (length = ftell(file)) < 0 || fseek(file, 0, SEEK_SET)) {
        fclose(file);
        return sal__fail(ctx, SAL_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    }
    bytes = SAL__NEW(ctx, unsigned char, (size_t)length + 1);
    if (!bytes) { fclose(file); return SAL_ERR_MEMORY; }
    if (fread(bytes, 1, (size_t)length, file) != (size_t)length) {
        fclose(file);
        sal_free(ctx, bytes);
        return sal__fail(ctx, SAL_ERR_IO, "%s: cannot be read to its end (%ld bytes)", path,
                         length);
    }
    fclose(file);
    *data = bytes; *size = (size_t)length;
    return SAL_OK;
}

/* unistd.h hides this one in strict C99 modes. */
#ifdef __cplusplus
extern "C"
#endif
int fsync(int);

SALDEF sal_result sal_file_write(sal_ctx *ctx, const char *path, const void *data, size_t size) {
    const unsigned char *bytes = (const unsigned char *)data;
    size_t length = strlen(path) + 40, done = 0;
    char *temporary = SAL__NEW(ctx, char, length);
    int file, reason = 0;
    if (!temporary) return SAL_ERR_MEMORY;
    /* process and context make the name unique: two writers never share a temporary file */
    snprintf(temporary, length, "%s.%lx-%lx.tmp", path, (unsigned long)getpid(),
             (unsigned long)((uintptr_t)ctx & 0xFFFFFFu));
    file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (file < 0) reason = errno;
    while (!reason && done < size) {
        ssize_t n = write(file, bytes + done, SAL__MIN(size - done, (size_t)1 << 30));
        if (n > 0) done += (size_t)n;
        else if (n < 0 && errno != EINTR) reason = errno;
    }
    if (!reason && fsync(file) && errno != EINVAL) reason = errno;
    if (file >= 0 && close(file) && !reason) reason = errno;
    if (!reason && rename(temporary, path)) reason = errno;
    if (reason && file >= 0) unlink(temporary);
    sal_free(ctx, temporary);
    if (reason)
        return sal__fail(ctx, SAL_ERR_IO, "%s: cannot be written: %s", path, strerror(reason));
    return SAL_OK;
}

SALDEF int sal_path_kind(const char *path) {
    struct stat s;
    if (stat(path, &s)) return -1;
    return S_ISDIR(s.st_mode) ? 1 : 0;
}

static int sal__compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

SALDEF sal_result sal_dir_list(sal_ctx *ctx, const char *path, char ***names, int *count) {
    size_t bytes = 0, used = 0;
    int n = 0, i = 0;
    struct dirent *entry;
    char *text;
    DIR *dir = opendir(path);
    *names = NULL; *count = 0;
    if (!dir) return sal__fail(ctx, SAL_ERR_IO, "%s: cannot be listed: %s", path, strerror(errno));
    while ((entry = readdir(dir)) != NULL) { n++; bytes += strlen(entry->d_name) + 1; }
    /* pointers first, the names behind them, so that one sal_free releases everything */
    *names = (char **)sal_alloc(ctx, 1, (size_t)(n + 1) * sizeof(char *) + bytes);
    if (!*names) { closedir(dir); return SAL_ERR_MEMORY; }
    text = (char *)(*names + n + 1);
    rewinddir(dir);
    while ((entry = readdir(dir)) != NULL && i < n) {   /* a folder that grows meanwhile: cut off */
        size_t length = strlen(entry->d_name) + 1;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (used + length > bytes) break;
        memcpy(text + used, entry->d_name, length);
        (*names)[i++] = text + used;
        used += length;
    }
    closedir(dir);
    qsort(*names, (size_t)i, sizeof(char *), sal__compare_names);
    *count = i;
    return SAL_OK;
}
#endif /* SALIENCY_NO_STDIO */

/* ============================================================================================
   >>tensor  element types and views
   ========================================================================================== */

SALDEF size_t sal_dtype_size(sal_dtype t) { return t == SAL_F32 ? 4 : t == SAL_I8 ? 1 : 2; }

SALDEF const char *sal_dtype_name(sal_dtype t) {
    static const char *const names[] = { "F32", "F16", "BF16", "I8" };
    return names[t];
}

SALDEF size_t sal_tensor_count(const sal_tensor *t) {
    size_t n = 1;
    int i;
    for (i = 0; i < t->ndim; i++) n *= (size_t)t->dim[i];
    return n;
}

static float sal__f32_from_bits(uint32_t bits) { float f; memcpy(&f, &bits, 4); return f; }
static uint32_t sal__f32_bits(float f) { uint32_t bits; memcpy(&bits, &f, 4); return bits; }

/* IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits. */
SALDEF float sal_f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = (h >> 10) & 31u, fraction = h & 1023u;
    if (exponent == 31) return sal__f32_from_bits(sign | 0x7F800000u | (fraction << 13));
    if (exponent == 0) {                                /* zero and subnormal: fraction * 2^-24 */
        float f = (float)fraction * (1.0f / 16777216.0f);
        return sign ? -f : f;
    }
    return sal__f32_from_bits(sign | ((exponent + 112u) << 23) | (fraction << 13));
}

SALDEF uint16_t sal_f32_to_f16(float f) {
    uint32_t bits = sal__f32_bits(f), sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
    uint32_t half, rest, tie;
    if (magnitude > 0x7F800000u) return (uint16_t)(sign | 0x7E00u);     /* not a number */
    if (magnitude >= 0x47800000u) return (uint16_t)(sign | 0x7C00u);    /* 2^16 and up */
    if (magnitude < 0x38800000u) {                      /* below 2^-14: subnormal or zero */
        int shift = 126 - (int)(magnitude >> 23);       /* to units of 2^-24 */
        if (shift > 24) return (uint16_t)sign;
        magnitude = (magnitude & 0x7FFFFFu) | 0x800000u;
        half = magnitude >> shift;
        rest = magnitude & ((1u << shift) - 1u);
        tie = 1u << (shift - 1);
    } else {
        half = (magnitude >> 13) - (112u << 10);
        rest = magnitude & 0x1FFFu;
        tie = 0x1000u;
    }
    if (rest > tie || (rest == tie && (half & 1u))) half++;     /* may carry into the exponent */
    return (uint16_t)(sign | half);
}

SALDEF float sal_bf16_to_f32(uint16_t h) { return sal__f32_from_bits((uint32_t)h << 16); }

SALDEF uint16_t sal_f32_to_bf16(float f) {
    uint32_t bits = sal__f32_bits(f);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return (uint16_t)((bits >> 16) | 0x40u);
    return (uint16_t)((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

SALDEF void sal_tensor_read(const sal_tensor *t, size_t start, size_t count, float *out) {
    size_t i, row = t->dtype == SAL_I8 && t->dim[0] ? sal_tensor_count(t) / (size_t)t->dim[0] : 1;
    const uint16_t *half = (const uint16_t *)t->data + start;
    const int8_t *byte = (const int8_t *)t->data + start;
    switch (t->dtype) {
    case SAL_F32:  memcpy(out, (const float *)t->data + start, count * sizeof(float)); break;
    case SAL_F16:  for (i = 0; i < count; i++) out[i] = sal_f16_to_f32(half[i]); break;
    case SAL_BF16: for (i = 0; i < count; i++) out[i] = sal_bf16_to_f32(half[i]); break;
    case SAL_I8:
        for (i = 0; i < count; i++) out[i] = (float)byte[i] * t->scale[(start + i) / row];
        break;
    }
}

/* ============================================================================================
   >>gemm  matrix products
   ========================================================================================== */

/* C = A B.   c (m, n), a (m, k), b (k, n), rows contiguous:
       c[i][j] = sum over p of a[i][p] * b[p][j]
   The inner loop runs along rows of b and c, so memory is read in order. */
SALDEF void sal_gemm(float *c, const float *a, const float *b, int m, int n, int k) {
    int i, j, p;
    for (i = 0; i < m; i++) {
        float *row = c + (size_t)i * n;
        memset(row, 0, (size_t)n * sizeof(float));
        for (p = 0; p < k; p++) {
            float x = a[(size_t)i * k + p];
            const float *other = b + (size_t)p * n;
            for (j = 0; j < n; j++) row[j] += x * other[j];
        }
    }
}

/* Fully connected layer.   out (n, nout), in (n, nin), weight (nout, nin), bias (nout) or NULL:
       out[s][o] = bias[o] + sum over i of weight[o][i] * in[s][i] */
SALDEF void sal_dense_forward(float *out, const float *in, const float *weight, const float *bias,
                              int n, int nin, int nout) {
    int s, o, i;
    for (s = 0; s < n; s++)
        for (o = 0; o < nout; o++) {
            const float *x = in + (size_t)s * nin, *w = weight + (size_t)o * nin;
            double sum = bias ? bias[o] : 0;
            for (i = 0; i < nin; i++) sum += (double)w[i] * x[i];
            out[(size_t)s * nout + o] = (float)sum;
        }
}

/* ============================================================================================
   >>conv  two-dimensional convolution
   ========================================================================================== */

SALDEF int sal_conv_fit(sal_conv *s) {
    int h = s->ih + s->top + s->bottom - ((s->kh - 1) * s->dilation + 1);
    int w = s->iw + s->left + s->right - ((s->kw - 1) * s->dilation + 1);
    s->oh = h < 0 ? 0 : h / s->stride + 1;
    s->ow = w < 0 ? 0 : w / s->stride + 1;
    return h >= 0 && w >= 0;
}

/* The kernel positions k for which 0 <= start + k * dilation < size: [*first, *last). */
static void sal__taps(int start, int dilation, int k, int size, int *first, int *last) {
    *first = start >= 0 ? 0 : (-start + dilation - 1) / dilation;
    *last = start >= size ? 0 : (size - 1 - start) / dilation + 1;
    if (*last > k) *last = k;
}

/* Cross-correlation, as every deep learning framework calls convolution.
   out (n, oc, oh, ow), in (n, ic, ih, iw), weight (oc, ic, kh, kw), bias (oc) or NULL:
       out[o][y][x] = bias[o] + sum over c, i, j of weight[o][c][i][j] * in[c][v][u],
       v = y * stride - top + i * dilation,   u = x * stride - left + j * dilation,
   where in is zero outside its borders. */
SALDEF void sal_conv2d_forward(float *out, const float *in, const float *weight, const float *bias,
                               const sal_conv *s) {
    int n, o, y, x, c, i, j;
    for (n = 0; n < s->n; n++)
    for (o = 0; o < s->oc; o++)
    for (y = 0; y < s->oh; y++)
    for (x = 0; x < s->ow; x++) {
        int top = y * s->stride - s->top, left = x * s->stride - s->left, i0, i1, j0, j1;
        double sum = bias ? bias[o] : 0;
        sal__taps(top, s->dilation, s->kh, s->ih, &i0, &i1);
        sal__taps(left, s->dilation, s->kw, s->iw, &j0, &j1);
        for (c = 0; c < s->ic; c++)
            for (i = i0; i < i1; i++) {
                size_t y_in = (size_t)(n * s->ic + c) * s->ih + top + i * s->dilation;
                const float *row = in + y_in * s->iw;
                const float *w = weight + ((size_t)(o * s->ic + c) * s->kh + i) * s->kw;
                for (j = j0; j < j1; j++) sum += (double)w[j] * row[left + j * s->dilation];
            }
        *out++ = (float)sum;
    }
}

/* ============================================================================================
   >>layers  the other operators
   ========================================================================================== */

/* Goodfellow et al., "Maxout networks", ICML 2013.   out (n), in (n, pieces):
       out[i] = max over p of in[i][p];   arg[i] is the piece that won (the first of equals) */
SALDEF void sal_maxout_forward(float *out, int *arg, const float *in, int n, int pieces) {
    int i, p;
    for (i = 0; i < n; i++) {
        const float *x = in + (size_t)i * pieces;
        int best = 0;
        for (p = 1; p < pieces; p++) if (x[p] > x[best]) best = p;
        out[i] = x[best];
        if (arg) arg[i] = best;
    }
}

SALDEF int sal_pool_fit(sal_pool *s, sal_padding padding) {
    s->top = s->left = 0;
    if (padding == SAL_SAME) {
        s->oh = (s->ih + s->stride - 1) / s->stride;
        s->ow = (s->iw + s->stride - 1) / s->stride;
        s->top  = SAL__MAX((s->oh - 1) * s->stride + s->k - s->ih, 0) / 2;
        s->left = SAL__MAX((s->ow - 1) * s->stride + s->k - s->iw, 0) / 2;
        return 1;
    }
    s->oh = s->ih < s->k ? 0 : (s->ih - s->k) / s->stride + 1;
    s->ow = s->iw < s->k ? 0 : (s->iw - s->k) / s->stride + 1;
    return s->oh > 0 && s->ow > 0;
}

/* out (n, oh, ow), in (n, ih, iw):
       out[y][x] = max of in over the k x k window at (y * stride - top, x * stride - left);
   arg (as out, or NULL) is the winner's index in its plane, the first of equals. */
SALDEF void sal_maxpool_forward(float *out, int *arg, const float *in, const sal_pool *s) {
    int n, y, x, i, j;
    for (n = 0; n < s->n; n++, in += (size_t)s->ih * s->iw)
    for (y = 0; y < s->oh; y++)
    for (x = 0; x < s->ow; x++) {
        int top = y * s->stride - s->top, left = x * s->stride - s->left;
        int i0 = SAL__MAX(top, 0), i1 = SAL__MIN(top + s->k, s->ih);
        int j0 = SAL__MAX(left, 0), j1 = SAL__MIN(left + s->k, s->iw);
        int best = i0 * s->iw + j0;
        for (i = i0; i < i1; i++)
            for (j = j0; j < j1; j++)
                if (in[i * s->iw + j] > in[best]) best = i * s->iw + j;
        *out++ = in[best];
        if (arg) *arg++ = best;
    }
}

/* out[i] = max(0, in[i]).   The element-wise functions may work in place (out == in). */
SALDEF void sal_relu_forward(float *out, const float *in, size_t n) {
    size_t i;
    for (i = 0; i < n; i++) out[i] = in[i] > 0 ? in[i] : 0;
}

/* out[i] = 1 / (1 + exp(-in[i])) */
SALDEF void sal_sigmoid_forward(float *out, const float *in, size_t n) {
    size_t i;
    for (i = 0; i < n; i++) out[i] = (float)(1.0 / (1.0 + exp(-(double)in[i])));
}

/* out[i] = tanh(in[i]) */
SALDEF void sal_tanh_forward(float *out, const float *in, size_t n) {
    size_t i;
    for (i = 0; i < n; i++) out[i] = (float)tanh((double)in[i]);
}

/* Softmax over each of n rows of size values; a row may be all positions of a map (SAM eq. (8)).
       out[i] = exp(in[i] - m) / sum over j of exp(in[j] - m)
   with m = max in[j], so that no exponential overflows. */
SALDEF void sal_softmax_forward(float *out, const float *in, int n, int size) {
    int s, i;
    for (s = 0; s < n; s++, in += size, out += size) {
        float top = in[0];
        double sum = 0;
        for (i = 1; i < size; i++) if (in[i] > top) top = in[i];
        for (i = 0; i < size; i++) sum += exp((double)in[i] - top);
        for (i = 0; i < size; i++) out[i] = (float)(exp((double)in[i] - top) / sum);
    }
}

/* Ioffe, Szegedy, "Batch normalization", ICML 2015, with fixed statistics (inference).
   out, in (n, c, hw), the others (c):
       out[c][i] = weight[c] * (in[c][i] - mean[c]) / sqrt(var[c] + eps) + bias[c] */
SALDEF void sal_batchnorm_forward(float *out, const float *in, const float *weight,
                                  const float *bias, const float *mean, const float *var,
                                  float eps, int n, int c, int hw) {
    int s, k, i;
    for (s = 0; s < n; s++)
        for (k = 0; k < c; k++, in += hw, out += hw) {
            double scale = weight[k] / sqrt((double)var[k] + eps);
            double shift = bias[k] - mean[k] * scale;
            for (i = 0; i < hw; i++) out[i] = (float)(in[i] * scale + shift);
        }
}

/* Srivastava et al., "Dropout", JMLR 2014, scaled while training so that inference needs nothing:
       mask[i] = 1 with probability 1 - rate;   out[i] = in[i] * mask[i] / (1 - rate) */
SALDEF void sal_dropout_forward(float *out, unsigned char *mask, const float *in, size_t n,
                                float rate, sal_rng *rng) {
    size_t i;
    float keep = 1 - rate;
    for (i = 0; i < n; i++) {
        mask[i] = sal_rng_uniform(rng) >= rate;
        out[i] = mask[i] ? in[i] / keep : 0;
    }
}

/* Concatenation along the channels.   in[k] (n, channels[k], hw), out (n, sum of channels, hw) */
SALDEF void sal_concat_forward(float *out, const float *const *in, const int *channels, int count,
                               int n, int hw) {
    int s, k;
    for (s = 0; s < n; s++)
        for (k = 0; k < count; k++) {
            size_t size = (size_t)channels[k] * hw;
            memcpy(out, in[k] + s * size, size * sizeof(float));
            out += size;
        }
}

/* out[i] = a[i] + b[i] */
SALDEF void sal_add_forward(float *out, const float *a, const float *b, size_t n) {
    size_t i;
    for (i = 0; i < n; i++) out[i] = a[i] + b[i];
}

/* Where output pixel x of `out` pixels falls in a row of `in` pixels, half-pixel centres, edges
   clamped:  s = (x + 1/2) * in / out - 1/2, between pixels *low and *high, *t of the way. */
static void sal__bilinear_tap(int x, int in, int out, int *low, int *high, double *t) {
    double s = sal__clamp((x + 0.5) * in / out - 0.5, 0, in - 1);
    *low = (int)s;
    *high = SAL__MIN(*low + 1, in - 1);
    *t = s - *low;
}

/* Bilinear interpolation of n planes (half-pixel centres, edges clamped).
   out (n, oh, ow), in (n, ih, iw):
       out[y][x] = (1-v) ((1-u) in[y0][x0] + u in[y0][x1]) + v ((1-u) in[y1][x0] + u in[y1][x1]) */
SALDEF void sal_upsample_forward(float *out, const float *in, int n, int ih, int iw, int oh,
                                 int ow) {
    int s, y, x, y0, y1, x0, x1;
    double u, v;
    for (s = 0; s < n; s++, in += (size_t)ih * iw)
        for (y = 0; y < oh; y++) {
            const float *top, *bottom;
            sal__bilinear_tap(y, ih, oh, &y0, &y1, &v);
            top = in + (size_t)y0 * iw; bottom = in + (size_t)y1 * iw;
            for (x = 0; x < ow; x++) {
                sal__bilinear_tap(x, iw, ow, &x0, &x1, &u);
                *out++ = (float)((1 - v) * ((1 - u) * top[x0] + u * top[x1]) +
                                 v * ((1 - u) * bottom[x0] + u * bottom[x1]));
            }
        }
}

/* ML-Net's learned prior (paper eq. (1)): a coarse mask, upsampled and multiplied in.
   out, in (n, h, w), prior (ph, pw), mask (h, w) receives the upsampled prior:
       out[s][i] = in[s][i] * mask[i] */
SALDEF void sal_prior_forward(float *out, float *mask, const float *in, const float *prior, int n,
                              int h, int w, int ph, int pw) {
    size_t s, i, hw = (size_t)h * w;
    sal_upsample_forward(mask, prior, 1, ph, pw, h, w);
    for (s = 0; s < (size_t)n; s++)
        for (i = 0; i < hw; i++) out[s * hw + i] = in[s * hw + i] * mask[i];
}

/* The allowed ranges of SAM's Gaussians: mu_x, mu_y, sigma_x, sigma_y (released code). */
static const double sal__gaussian_range[4][2] = { {.25, .75}, {.35, .65}, {.1, .9}, {.2, .8} };

/* SAM's learned priors (paper eq. (9)).   params (4, count): mu_x, mu_y, sigma_x, sigma_y, each
   clipped to its range; out (n, count, h, w), the same for every sample:
       g = exp(-((x - mu_x)^2 / (2 sigma_x^2 + eps) + (y - mu_y)^2 / (2 sigma_y^2 + eps)))
       out = g / max g
   x runs from 0 to 1 over the columns, y from (1-e)/2 to (1+e)/2 over the rows, e = h / w;
   eps = 1e-7.
   (The factor 1 / (2 pi sigma_x sigma_y) of the paper cancels in the division by the maximum.) */
SALDEF void sal_gaussians_forward(float *out, const float *params, int n, int count, int h, int w) {
    size_t hw = (size_t)h * w, i;
    int s, k, j, y, x;
    double e = (double)h / w, eps = 1e-7;
    for (k = 0; k < count; k++) {
        float *map = out + k * hw;
        double p[4], top = 0;       /* mu_x, mu_y, sigma_x, sigma_y */
        for (j = 0; j < 4; j++)
            p[j] = sal__clamp(params[j * count + k], sal__gaussian_range[j][0],
                              sal__gaussian_range[j][1]);
        for (y = 0; y < h; y++)
            for (x = 0; x < w; x++) {
                double dx = (w > 1 ? (double)x / (w - 1) : 0) - p[0];
                double dy = (h > 1 ? (1 - e) / 2 + e * y / (h - 1) : (1 - e) / 2) - p[1];
                double g = exp(-(dx * dx / (2 * p[2] * p[2] + eps) +
                                 dy * dy / (2 * p[3] * p[3] + eps)));
                map[(size_t)y * w + x] = (float)g;
                if (g > top) top = g;
            }
        for (i = 0; i < hw; i++) map[i] = (float)(map[i] / top);
    }
    for (s = 1; s < n; s++) memcpy(out + s * count * hw, out, count * hw * sizeof(float));
}

/* ============================================================================================
   >>convlstm  SAM's attentive convolutional LSTM
   ========================================================================================== */

/* SAM eqs. (1)-(8). All convolutions are 3x3 with a border of one zero; * is a convolution, . goes
   element by element, H and C start as zero. For each of the `steps` steps:
       A  = softmax over the positions of  Va * tanh(Wa * X + Ua * H)      where to look
       X~ = A . X                                                          the input, so weighted
       I  = sigmoid(Wi * X~ + Ui * H)                                      how much enters
       F  = sigmoid(Wf * X~ + Uf * H)                                      how much stays
       O  = sigmoid(Wo * X~ + Uo * H)                                      how much is shown
       G  = tanh   (Wc * X~ + Uc * H)
       C  = F . C + I . G
       H  = O . tanh(C)
   out = the last H.   out, in (n, c, h, w); params: 21 arrays, see SAL_WA: W and U (c, c, 3, 3)
   with a bias (c) each, Va (1, c, 3, 3) without. (The released code swaps the names Wa and Ua.) */
SALDEF size_t sal_convlstm_scratch(int n, int c, int h, int w) {
    return (size_t)n * ((size_t)c * 7 + 2) * h * w;     /* X~, C, four gates, one sum, Z, A */
}

/* out = tanh or sigmoid of (w * a + u * b); sum is scratch of the same size. */
static void sal__lstm_gate(float *out, float *sum, const float *a, const float *b,
                           const float *const *p, int w, int u, const sal_conv *s, int squash) {
    size_t i, size = (size_t)s->n * s->oc * s->oh * s->ow;
    sal_conv2d_forward(out, a, p[w], p[w + 1], s);
    sal_conv2d_forward(sum, b, p[u], p[u + 1], s);
    for (i = 0; i < size; i++) out[i] += sum[i];
    if (squash) sal_sigmoid_forward(out, out, size); else sal_tanh_forward(out, out, size);
}

SALDEF void sal_convlstm_forward(float *out, const float *in, const float *const *params, int steps,
                                 int n, int c, int h, int w, float *scratch) {
    size_t hw = (size_t)h * w, size = n * c * hw, i;
    float *x = scratch, *cell = x + size, *gi = cell + size, *gf = gi + size, *go = gf + size;
    float *gc = go + size, *sum = gc + size, *z = sum + size, *a = z + n * hw;
    sal_conv s, to_one;
    int t;
    memset(&s, 0, sizeof s);
    s.n = n; s.ic = s.oc = c; s.ih = h; s.iw = w; s.kh = s.kw = 3; s.stride = s.dilation = 1;
    s.top = s.left = s.bottom = s.right = 1;
    sal_conv_fit(&s);
    to_one = s; to_one.oc = 1;
    memset(out, 0, size * sizeof(float));       /* H */
    memset(cell, 0, size * sizeof(float));
    for (t = 0; t < steps; t++) {
        sal__lstm_gate(gc, sum, in, out, params, SAL_WA, SAL_UA, &s, 0);
        sal_conv2d_forward(z, gc, params[SAL_VA], NULL, &to_one);
        sal_softmax_forward(a, z, n, (int)hw);
        for (i = 0; i < size; i++) x[i] = in[i] * a[i / (c * hw) * hw + i % hw];
        sal__lstm_gate(gi, sum, x, out, params, SAL_WI, SAL_UI, &s, 1);
        sal__lstm_gate(gf, sum, x, out, params, SAL_WF, SAL_UF, &s, 1);
        sal__lstm_gate(go, sum, x, out, params, SAL_WO, SAL_UO, &s, 1);
        sal__lstm_gate(gc, sum, x, out, params, SAL_WC, SAL_UC, &s, 0);
        for (i = 0; i < size; i++) {
            cell[i] = gf[i] * cell[i] + gi[i] * gc[i];
            out[i] = go[i] * (float)tanh((double)cell[i]);
        }
    }
}

/* ============================================================================================
   >>graph  layers in execution order: shapes, memory plan, forward
   ========================================================================================== */

/* ============================================================================================
   >>nets  the five networks
   ========================================================================================== */

/* ============================================================================================
   >>weights  safetensors files
   ========================================================================================== */

/* ============================================================================================
   >>image  pictures and maps: files, resizing, blurring, colours
   ========================================================================================== */

SALDEF void sal_image_free(sal_ctx *ctx, sal_image *image) {
    sal_free(ctx, image->data);
    memset(image, 0, sizeof *image);
}

SALDEF void sal_map_free(sal_ctx *ctx, sal_map *map) {
    sal_free(ctx, map->data);
    memset(map, 0, sizeof *map);
}

/* A picture or map of w x h may exist: positive, and small enough to count its pixels in an int. */
static sal_result sal__check_size(sal_ctx *ctx, const char *what, double w, double h) {
    if (w >= 1 && h >= 1 && w * h <= SAL_MAX_PIXELS) return SAL_OK;
    return sal__fail(ctx, SAL_ERR_ARGUMENT, "%s: %.0f x %.0f pixels; sides must be positive and "
                     "their product at most %d", what, w, h, SAL_MAX_PIXELS);
}

SALDEF sal_result sal_map_new(sal_ctx *ctx, int w, int h, sal_map *map) {
    memset(map, 0, sizeof *map);
    SAL__TRY(sal__check_size(ctx, "new map", w, h));
    map->data = SAL__NEW(ctx, float, (size_t)w * (size_t)h);
    if (!map->data) return SAL_ERR_MEMORY;
    map->w = w; map->h = h;
    return SAL_OK;
}

/* --- resampling --------------------------------------------------------------------------

   One axis at a time. Output pixel o covers the input from o * step to (o + 1) * step; its value
   is a weighted mean of `width` input pixels from first[o] on, tabulated once for each axis. */
typedef struct sal__taps {
    int width;
    int *first;
    float *weight;      /* [out][width]; pixels outside the filter have weight 0 */
} sal__taps;

/* The triangle, and Keys' cubic with a = -1/2 ("Cubic convolution interpolation for digital image
   processing", IEEE ASSP 1981, eq. 15), at a distance of x pixels. */
static double sal__filter_at(sal_filter filter, double x) {
    x = fabs(x);
    if (filter == SAL_LINEAR) return x < 1 ? 1 - x : 0;
    return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((2.5 - 0.5 * x) * x - 4) * x + 2 : 0;
}

static sal_result sal__taps_new(sal_ctx *ctx, int out, int in, sal_filter filter, sal__taps *t) {
    double step = (double)in / out, stretch = SAL__MAX(step, 1);
    double reach = filter == SAL_AREA ? step / 2 : (filter == SAL_LINEAR ? 1 : 2) * stretch;
    int o, k;
    t->width = (int)SAL__MIN((double)in, ceil(2 * reach) + 1);
    t->first = SAL__NEW(ctx, int, out);
    t->weight = SAL__NEW(ctx, float, (size_t)out * (size_t)t->width);
    if (!t->first || !t->weight) return SAL_ERR_MEMORY;     /* the caller releases both */
    for (o = 0; o < out; o++) {
        double centre = (o + 0.5) * step, total = 0;
        int first = (int)sal__clamp(floor(centre - reach), 0, in - t->width);
        float *weight = t->weight + (size_t)o * (size_t)t->width;
        for (k = 0; k < t->width; k++) {
            double at = first + k, w;
            if (filter == SAL_AREA)     /* the part of pixel [at, at + 1] that o covers */
                w = SAL__MAX(0, SAL__MIN(centre + reach, at + 1) - SAL__MAX(centre - reach, at));
            else
                w = sal__filter_at(filter, (at + 0.5 - centre) / stretch);
            weight[k] = (float)w;
            total += w;
        }
        for (k = 0; k < t->width; k++) weight[k] = (float)(weight[k] / total);
        t->first[o] = first;
    }
    return SAL_OK;
}

typedef struct sal__resize_pass {
    float *out;
    const float *in;
    int ow, w, channels;
    sal__taps taps;
} sal__resize_pass;

static void sal__resize_row(void *arg, int y, int worker) {     /* in (w) -> out (ow) */
    const sal__resize_pass *p = (const sal__resize_pass *)arg;
    int x, c, k, channels = p->channels, width = p->taps.width;
    const float *in = p->in + (size_t)y * (size_t)p->w * (size_t)channels;
    float *out = p->out + (size_t)y * (size_t)p->ow * (size_t)channels;
    const float *weight = p->taps.weight;
    (void)worker;
    for (x = 0; x < p->ow; x++, weight += width) {
        const float *from = in + (size_t)p->taps.first[x] * (size_t)channels;
        for (c = 0; c < channels; c++) {
            float sum = 0;
            for (k = 0; k < width; k++) sum += weight[k] * from[(size_t)k * (size_t)channels + c];
            *out++ = sum;
        }
    }
}

static void sal__resize_column(void *arg, int y, int worker) {  /* output row y from `width` rows */
    const sal__resize_pass *p = (const sal__resize_pass *)arg;
    size_t x, row = (size_t)p->w * (size_t)p->channels;
    const float *weight = p->taps.weight + (size_t)y * (size_t)p->taps.width;
    const float *in = p->in + (size_t)p->taps.first[y] * row;
    float *out = p->out + (size_t)y * row;
    int k;
    (void)worker;
    for (x = 0; x < row; x++) out[x] = weight[0] * in[x];
    for (k = 1; k < p->taps.width; k++) {
        in += row;
        if (weight[k] != 0)
            for (x = 0; x < row; x++) out[x] += weight[k] * in[x];
    }
}

/* One pass along x or y, into out. */
static sal_result sal__resize_axis(sal_ctx *ctx, float *out, int ow, int oh, const float *in, int w,
                                   int h, int channels, sal_filter filter) {
    sal__resize_pass p;
    sal_result r;
    memset(&p, 0, sizeof p);
    p.out = out; p.in = in; p.ow = ow; p.w = w; p.channels = channels;
    r = w != ow ? sal__taps_new(ctx, ow, w, filter, &p.taps)
                : sal__taps_new(ctx, oh, h, filter, &p.taps);
    if (r == SAL_OK) sal_parallel_for(ctx, oh, w != ow ? sal__resize_row : sal__resize_column, &p);
    sal_free(ctx, p.taps.first);
    sal_free(ctx, p.taps.weight);
    return r;
}

SALDEF sal_result sal_resize(sal_ctx *ctx, float *out, int ow, int oh, const float *in, int w, int h,
                             int channels, sal_filter filter) {
    float *between;
    int across = (double)ow * h <= (double)oh * w;      /* x first if that leaves less to do for y */
    int bw = across ? ow : w, bh = across ? h : oh;
    sal_result r;
    SAL__TRY(sal__check_size(ctx, "resize from", w, h));
    SAL__TRY(sal__check_size(ctx, "resize to", ow, oh));
    if (channels < 1)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "resize: %d channels, 1 or more expected", channels);
    if (w == ow && h == oh) {
        memcpy(out, in, (size_t)w * (size_t)h * (size_t)channels * sizeof(float));
        return SAL_OK;
    }
    if (w == ow || h == oh) return sal__resize_axis(ctx, out, ow, oh, in, w, h, channels, filter);
    between = SAL__NEW(ctx, float, (size_t)bw * (size_t)bh * (size_t)channels);
    if (!between) return SAL_ERR_MEMORY;
    r = sal__resize_axis(ctx, between, bw, bh, in, w, h, channels, filter);
    if (r == SAL_OK) r = sal__resize_axis(ctx, out, ow, oh, between, bw, bh, channels, filter);
    sal_free(ctx, between);
    return r;
}

/* --- Gaussian blur ----------------------------------------------------------------------- */

typedef struct sal__blur_pass {
    float *out;
    const float *in;
    const float *weight;    /* of the distances 0..radius */
    float *line;            /* [worker][w + 2 radius]: a row with its borders */
    int w, h, radius;
    sal_border border;
} sal__blur_pass;

/* out += weight * (a + b): the filter is symmetric, so taps come in pairs. */
static void sal__add_pair(float *out, float weight, const float *a, const float *b, int n) {
    int i;
    for (i = 0; i < n; i++) out[i] += weight * (a[i] + b[i]);
}

static void sal__blur_row(void *arg, int y, int worker) {
    const sal__blur_pass *p = (const sal__blur_pass *)arg;
    int i, w = p->w, radius = p->radius, edge = p->border == SAL_BORDER_REPLICATE;
    const float *in = p->in + (size_t)y * (size_t)w;
    float *out = p->out + (size_t)y * (size_t)w;
    float *line = p->line + (size_t)worker * ((size_t)w + 2 * (size_t)radius) + radius;
    memcpy(line, in, (size_t)w * sizeof(float));
    for (i = 1; i <= radius; i++) {
        line[-i] = edge ? in[0] : 0;
        line[w - 1 + i] = edge ? in[w - 1] : 0;
    }
    for (i = 0; i < w; i++) out[i] = p->weight[0] * line[i];
    for (i = 1; i <= radius; i++) sal__add_pair(out, p->weight[i], line - i, line + i, w);
}

static void sal__blur_column(void *arg, int y, int worker) {
    const sal__blur_pass *p = (const sal__blur_pass *)arg;
    int i, w = p->w, h = p->h;
    const float *in = p->in + (size_t)y * (size_t)w;
    const float *zeros = p->line;   /* a row of zeros stands for the rows outside */
    float *out = p->out + (size_t)y * (size_t)w;
    (void)worker;
    for (i = 0; i < w; i++) out[i] = p->weight[0] * in[i];
    for (i = 1; i <= p->radius; i++) {
        const float *up = p->in + (size_t)SAL__MAX(y - i, 0) * (size_t)w;
        const float *down = p->in + (size_t)SAL__MIN(y + i, h - 1) * (size_t)w;
        if (p->border == SAL_BORDER_ZERO && y - i < 0) up = zeros;
        if (p->border == SAL_BORDER_ZERO && y + i >= h) down = zeros;
        sal__add_pair(out, p->weight[i], up, down, w);
    }
}

SALDEF sal_result sal_blur(sal_ctx *ctx, float *out, const float *in, int w, int h, double sigma,
                           double cut, sal_border border) {
    size_t size = (size_t)w * (size_t)h, line;
    double total = 1, radius = floor(cut * sigma + 0.5);
    float *between, *weight, *lines;
    sal__blur_pass p;
    int i;
    SAL__TRY(sal__check_size(ctx, "blur", w, h));
    if (!(radius <= 1e6))
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "blur: sigma %g cut at %g sigmas reaches further "
                         "than a million pixels", sigma, cut);
    if (sigma <= 0 || radius < 1) {
        if (out != in) memcpy(out, in, size * sizeof(float));
        return SAL_OK;
    }
    p.w = w; p.h = h; p.radius = (int)radius; p.border = border;
    line = (size_t)w + 2 * (size_t)p.radius;
    between = SAL__NEW(ctx, float, size);
    weight = SAL__NEW(ctx, float, p.radius + 1);
    lines = SAL__NEW(ctx, float, line * (size_t)sal_threads(ctx));
    if (!between || !weight || !lines) {
        sal_free(ctx, lines); sal_free(ctx, weight); sal_free(ctx, between);
        return SAL_ERR_MEMORY;
    }
    for (i = 1; i <= p.radius; i++) total += 2 * exp(-0.5 * i * i / (sigma * sigma));
    for (i = 0; i <= p.radius; i++) weight[i] = (float)(exp(-0.5 * i * i / (sigma * sigma)) / total);
    p.weight = weight; p.line = lines;
    p.out = between; p.in = in;
    sal_parallel_for(ctx, h, sal__blur_row, &p);
    memset(lines, 0, (size_t)w * sizeof(float));
    p.out = out; p.in = between;
    sal_parallel_for(ctx, h, sal__blur_column, &p);
    sal_free(ctx, lines); sal_free(ctx, weight); sal_free(ctx, between);
    return SAL_OK;
}

/* ============================================================================================
   >>classical  models without weights: centre, spectral residual, Itti, GBVS, BMS
   ========================================================================================== */

/* ============================================================================================
   >>data  fixation data sets: folder layouts, CSV, MATLAB files
   ========================================================================================== */

/* ============================================================================================
   >>metrics  how well does a map predict fixations?
   ========================================================================================== */

/* ============================================================================================
   >>predict  picture in, map out
   ========================================================================================== */

/* ============================================================================================
   >>debug  a person looks inside
   ========================================================================================== */

/* ============================================================================================
   >>fast  SIMD and Winograd kernels: everything a student may skip
   ========================================================================================== */

#endif /* SALIENCY_IMPLEMENTATION */

/* ============================================================================================
   >>licence

   This software is available under two licences; choose the one you prefer.

   A. Public domain (www.unlicense.org). Anyone is free to copy, modify, publish, use, compile,
      sell, or distribute this software, in source or binary form, for any purpose, commercial or
      not, and by any means. The authors dedicate all copyright interest in it to the public domain.

   B. MIT No Attribution. Permission is granted, free of charge, to any person obtaining a copy of
      this software and its documentation, to deal in it without restriction, including the rights
      to use, copy, modify, merge, publish, distribute, sublicense and sell copies.

   In both cases the software is provided "as is", without warranty of any kind, express or implied,
   including the warranties of merchantability, fitness for a particular purpose and
   noninfringement. In no event shall the authors be liable for any claim, damages or other
   liability arising from the software or its use.
   ========================================================================================== */
