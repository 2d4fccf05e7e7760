/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* saliency.h - predict where people look in a picture                             >>about

   One file. In ONE C or C++ source file of your program write

       #define SALIENCY_IMPLEMENTATION
       #include "saliency.h"

   and everywhere else only the #include. Compile with  gcc -O2 program.c -lm  (and -fopenmp, if
   you want it to use all cores). Pictures are read with the stb headers (Debian: libstb-dev), which
   the compiler finds without an option; there is nothing else to install.

   A COMPLETE PROGRAM (saliency_lite.h, from weights/, has the weights of the default model)

       #define SALIENCY_IMPLEMENTATION
       #include "saliency.h"
       #include "saliency_lite.h"

       int main(int argc, char **argv) {
           sal_ctx ctx = { 0 };
           sal_image photo = { 0 };
           sal_map map = { 0 };
           sal_result r = argc == 3 ? SAL_OK : SAL_ERR_ARGUMENT;
           sal_use_lite(&ctx);
           if (!r) r = sal_image_load(&ctx, argv[1], &photo);
           if (!r) r = sal_saliency(&ctx, &photo, &map);
           if (!r) r = sal_map_save_png(&ctx, argv[2], &map);
           if (r) fprintf(stderr, "%s\n", argc == 3 ? sal_error(&ctx) : "hello PHOTO MAP.png");
           sal_map_free(&ctx, &map);
           sal_image_free(&ctx, &photo);
           return r != SAL_OK;
       }

   THREE LEVELS. Use the highest that does what you want.

       a model        sal_model_open, sal_model_predict: by name, picture in, map out. Also
                      sal_classical for the models without weights.
       a network      sal_net_load, sal_run_open, sal_run_forward: your own input, your own batches,
                      every activation in reach. sal_preprocess and sal_postprocess do the rest.
       an operator    sal_conv2d_forward, sal_convlstm_forward, ...: plain loops over plain arrays,
                      each with its equation and source. This is where to start reading.

   MODELS (sizes: height x width)
                    input     output   parameters  what it is
       juntingnet   96 x 96   48 x 48     34.9 M   Pan, Giro-i-Nieto 2015: three convolutions, two
                                                   dense layers, maxout
       wepsam      128 x 128  32 x 32     30.0 M   2016: the same idea, weakly pre-trained
       mlnet       480 x 640  60 x 80     15.5 M   Cornia et al. 2016: VGG-16 at three levels, a
                                                   learned prior
       sam-vgg     240 x 320  30 x 40     51.8 M   Cornia et al. 2018: VGG-16, attentive LSTM,
                                                   Gaussian priors
       sam-resnet  240 x 320  30 x 40     70.1 M   the same on a dilated ResNet-50
       lite        384 x 512  48 x 64      2.7 M   the default model: MobileNetV2 at two scales
                                                   (one with new, random weights: 240 x 320)
       center, spectral, itti, gbvs, bms           no weights: see >>classical

   FINDING YOUR WAY. Search for >>NAME. The sections, in the order of the file:

       api  core  tensor  gemm  conv  layers  convlstm  losses  graph  optim  nets  weights  image
       classical  metrics  predict  explain  crop  train  fast  kernels  stb  licence

   FOR STUDENTS: ten places to read, in the order of the file. Search for >>NAME here, too.

       dense        a layer is a sum of products; its gradients are two more
       conv2d       the same sum at every position of a picture
       relu         an element-wise layer; all other layers are about as short
       softmax      a map becomes a probability distribution
       convlstm     SAM's attentive LSTM, and its gradient through time, with a worked example
       nss          a loss and its gradient
       run          layers in a row: forward, then backward
       adam         from a gradient to new weights
       juntingnet   a whole network in ten lines
       step         one step of training: all of the above, once

   CONTRACTS
       Errors       Functions that can fail return a sal_result, 0 for success; sal_error(ctx) has a
                    sentence for a person. Nothing is printed, nothing exits, no file is ever left
                    half written.
       Memory       All of it comes from the context's allocator (malloc by default); only stb uses
                    malloc itself. The caller releases what it gets with the type's _free or _close
                    function. A failed call leaves nothing behind. Forward passes allocate nothing.
       Threads      One thread at a time for a context and for a run. A loaded network is only read:
                    any number of contexts may share it. There are no mutable globals.
       Determinism  The same input and seed give the same bits, whatever the number of threads.
                    lite's maps have the same bits on all processors (GCC, Clang); those of other
                    networks may be rounded differently there.
       Precision    float32 results, compared with float64 in the tests. No fast-math.
       Layout       NCHW, float32; pictures are RGB bytes. x right, y down, 0-based, the centre of
                    the top left pixel is (0, 0). Sizes are w, h in all calls and descriptions; in
                    memory rows follow each other, so an array's shape is written (h, w).
       Names        Enumerators begin with their type's name (SAL_KIND_LITE). A look-up by name sets
                    *kind and returns SAL_OK or an error, or returns what it finds or NULL.

   CONFIGURATION, before the #include of the implementation
       SALIENCY_STATIC     all functions static: private to this source file
       SALIENCY_NO_STB     without stb: no JPEG or PNG, no sal_inflate
       SALIENCY_NO_STDIO   without files: memory only
       SALIENCY_NO_SIMD    portable C kernels only; else AVX-512, AVX2 or SSE2 as the processor has
                           them, NEON on ARM, and WebAssembly's with emcc -msimd128
       SALDEF              what stands before every function: in a shared library perhaps
                           __attribute__((visibility("default"))), in C++ behind extern "C"
   Your source file may include stb_image.h, too, with or without STB_IMAGE_IMPLEMENTATION. If it
   does so before this header, that copy is used here. If it does so after it, both use the private
   copy of this header (GCC, Clang; other compilers report an error); stb's own options, such as
   STBI_MALLOC, must then be defined before this header.
*/
/* ============================================================================================
   >>api  (stop here if you only want to use it)
   ========================================================================================== */
#ifndef SALIENCY_H
#define SALIENCY_H

#include <stddef.h>
#include <stdint.h>

#ifdef SALDEF
#elif defined(SALIENCY_STATIC) && defined(__GNUC__)
#  define SALDEF static __attribute__((unused))
#elif defined(SALIENCY_STATIC)
#  define SALDEF static
#elif defined(__cplusplus)
#  define SALDEF extern "C"
#else
#  define SALDEF extern
#endif

#define SAL_VERSION_MAJOR 0
#define SAL_VERSION_MINOR 2
#define SAL_VERSION_PATCH 0
#define SAL_VERSION "0.2.0"

/* --- api: core ------------------------------------------------------------------------------

   Results come back through the last argument, untouched or zeroed on failure. */
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

/* Vector instruction sets; each includes those before it. 128: SSE2, NEON or WebAssembly's. */
typedef enum sal_simd { SAL_SIMD_BEST, SAL_SIMD_NONE, SAL_SIMD_128, SAL_SIMD_AVX2,
                        SAL_SIMD_AVX512 } sal_simd;

/* Piece `index` of a parallel loop; worker, below sal_threads(ctx), says whose scratch to use. */
typedef void sal_task_fn(void *arg, int index, int worker);

/* The state of one caller. Zero-initialise it, set what you want to change, and pass it on.
   One thread at a time may use a context; any number of contexts may share a loaded network.
   A context owns nothing: there is no close function. */
struct sal_ctx {
    int threads;                /* 0: all cores when built with OpenMP, else 1; at most 256 */
    sal_simd simd;              /* the CPU's instructions that may be used; 0: all it has */
    uint64_t seed;              /* of the metrics' draws; training and sal_net_init have others */
    int as_stored;              /* 1: pictures as they are stored, without EXIF's orientation */
    const sal_backend *backend; /* NULL: sal_backend_cpu() */
    void *user;                 /* handed to the hooks below */
    void *(*alloc)(void *user, size_t size);      /* NULL: malloc and free */
    void (*free)(void *user, void *memory);
    void (*log)(void *user, const char *message); /* warnings, one sentence each; NULL: silent */
    /* NULL: functions that save write files. Else they pass the bytes to this callback, piece by
       piece, which returns 0 or an errno: to save to memory, a socket, standard output. */
    int (*write)(void *user, const char *path, const void *data, size_t size);
    /* Run fn(arg, i, worker) once for each i in 0..n-1, worker < sal_threads(ctx), and return when
       all are done; set `threads`, too: without OpenMP 0 counts as 1. NULL: OpenMP if the compiler
       enables it, else a plain loop. */
    void (*parallel_for)(void *user, int n, sal_task_fn *fn, void *arg);
    const uint64_t *weights;    /* a weights file built into the program, see */
    size_t weights_size;        /* sal_net_load_words; sal_use_lite sets it. Or NULL */
    uint32_t weights_check;     /* its checksum by POSIX's cksum, for sal_self_test; 0: none */
    char error[512];            /* the last failure, see sal_error */
};

/* The last failure of this context as one sentence ("" if there was none). */
SALDEF const char *sal_error(const sal_ctx *ctx);
/* SAL_VERSION of the linked implementation; the header that was included may differ. */
SALDEF const char *sal_version(void);
/* count * size bytes, zeroed, aligned to 64; NULL (and an error text) if that overflows or memory
   is short. Release with sal_free; sal_free(ctx, NULL) does nothing. */
SALDEF void *sal_alloc(sal_ctx *ctx, size_t count, size_t size);
SALDEF void sal_free(sal_ctx *ctx, void *memory);
/* How many workers a parallel loop of this context has at most: scratch is needed for so many. */
SALDEF int sal_threads(const sal_ctx *ctx);
/* fn(arg, i, worker) for each i in 0..n-1, in any order; returns when all are done. */
SALDEF void sal_parallel_for(sal_ctx *ctx, int n, sal_task_fn *fn, void *arg);

/* Numbers in files have a decimal point, whatever the locale (strtod and printf obey it).
   Parse: the number at *text, which moves behind it, or SAL_ERR_FORMAT if there is none ("nan" and
   "inf" are none). Exact with up to 15 digits and powers of ten up to 22. */
SALDEF sal_result sal_number_parse(const char **text, double *out);
/* Print: as %g with so many significant digits (17 at most); 0: as few as give the same float
   again. Returns text. */
SALDEF const char *sal_number_print(char text[32], double value, int digits);
/* Bytes of the UTF-8 character at s (zero-terminated): 0 if it is not valid, 1 at the zero byte. */
SALDEF int sal_utf8_length(const char *s);
/* One code point as UTF-8, at most 4 bytes; returns how many. */
SALDEF size_t sal_utf8_put(char *out, uint32_t c);

/* Random numbers (splitmix64). state starts as the seed; value i depends on seed and i alone. */
typedef struct sal_rng { uint64_t state; } sal_rng;
SALDEF uint64_t sal_rng_next(sal_rng *r);
SALDEF double sal_rng_uniform(sal_rng *r);      /* [0, 1), 53 bits */
SALDEF double sal_rng_normal(sal_rng *r);       /* N(0, 1), two draws by Box-Muller */
SALDEF uint32_t sal_rng_below(sal_rng *r, uint32_t n);  /* 0..n-1 without bias; n > 0 */

/* NAME of FOLDER/NAME: behind the last slash (on Windows also backslash). */
SALDEF const char *sal_path_name(const char *path);
/* What kind of file begins with these bytes, for a sentence: "a WebP picture", "a text file". */
SALDEF const char *sal_file_kind(const void *bytes, size_t size);
#ifndef SALIENCY_NO_STDIO
/* Files are named in UTF-8 on every system.
   A whole file in memory (or all that comes from a pipe), with a zero byte after its end; sal_free
   the data. */
SALDEF sal_result sal_file_read(sal_ctx *ctx, const char *path, unsigned char **data, size_t *size);
/* Write a whole file or nothing: to a temporary file beside it, fsync, rename. Of a symbolic link
   the target is replaced; pipes and devices are written to directly. */
SALDEF sal_result sal_file_write(sal_ctx *ctx, const char *path, const void *data, size_t size);
/* The names in a folder (without "." and ".."), sorted by byte value. One block: sal_free it. */
SALDEF sal_result sal_dir_list(sal_ctx *ctx, const char *path, char ***names, int *count);
/* Make a folder, and those above it that are missing. Fine if it is there already. */
SALDEF sal_result sal_folder_make(sal_ctx *ctx, const char *path);
/* 1 a folder, 0 another kind of file, -1 nothing there. */
SALDEF int sal_path_kind(const char *path);
#endif

/* --- api: tensor ------------------------------------------------------------------------- */

typedef enum sal_dtype { SAL_DTYPE_F32, SAL_DTYPE_F16, SAL_DTYPE_BF16, SAL_DTYPE_I8 } sal_dtype;

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
/* "F32", ... as safetensors spells it. This and the other names are "?" if there is no such one. */
SALDEF const char *sal_dtype_name(sal_dtype t);
SALDEF size_t sal_tensor_count(const sal_tensor *t);    /* number of elements */
/* Elements start .. start + count - 1 as float32, I8 times its scale, into out (count). */
SALDEF void sal_tensor_read(const sal_tensor *t, size_t start, size_t count, float *out);
SALDEF float sal_f16_to_f32(uint16_t h);
SALDEF uint16_t sal_f32_to_f16(float f);            /* to nearest even; overflow becomes infinity */
SALDEF float sal_bf16_to_f32(uint16_t h);
SALDEF uint16_t sal_f32_to_bf16(float f);           /* to nearest even */

/* --- api: image -----------------------------------------------------------------------------

   Pictures are 8-bit RGB, maps one float a pixel; rows from the top, without gaps. */
typedef struct sal_image {
    int w, h;
    unsigned char *data;    /* h * w * 3, what a person sees */
    unsigned char *rgba;    /* NULL: all is opaque; else h * w * 4, with the opacity */
    unsigned char *profile; /* ICC colour profile of profile_size bytes, NULL: none, so sRGB */
    size_t profile_size;
    int turned;         /* the EXIF orientation that was undone, 0: none */
} sal_image;

typedef struct sal_map {
    int w, h;
    float *data;            /* h * w */
} sal_map;

#define SAL_MAX_PIXELS (1 << 28)    /* of any picture or map; more is refused */

SALDEF void sal_image_free(sal_ctx *ctx, sal_image *image);
SALDEF void sal_map_free(sal_ctx *ctx, sal_map *map);
/* A new map of zeros, w * h <= SAL_MAX_PIXELS; release it with sal_map_free. */
SALDEF sal_result sal_map_new(sal_ctx *ctx, int w, int h, sal_map *map);

/* Separable resampling from in to out (height, width, channels); they may not overlap. Pixels have
   their centres as in PIL, MATLAB's imresize and PyTorch with align_corners=False. When a side
   shrinks the filter widens with it (antialiasing). SAL_FILTER_AREA is the mean of what an output
   pixel covers, SAL_FILTER_CUBIC is Keys' with a = -1/2. Same size: an exact copy. */
typedef enum sal_filter { SAL_FILTER_AREA, SAL_FILTER_LINEAR, SAL_FILTER_CUBIC } sal_filter;
SALDEF sal_result sal_resize(sal_ctx *ctx, float *out, int ow, int oh, const float *in, int w,
                             int h, int channels, sal_filter filter);

/* Gaussian blur of one plane (h, w): sigma in pixels, taps up to floor(cut * sigma + 0.5) pixels
   away, weights normalised. out may be in. sigma <= 0 copies. Values may be up to FLT_MAX / 2. */
typedef enum sal_border {
    SAL_BORDER_ZERO,            /* nothing outside */
    SAL_BORDER_REPLICATE,       /* the last pixel again and again: a a a | a b c */
    SAL_BORDER_REFLECT          /* mirrored at the last pixel's centre: d c b | a b c d */
} sal_border;
SALDEF sal_result sal_blur(sal_ctx *ctx, float *out, const float *in, int w, int h, double sigma,
                           double cut, sal_border border);

/* 1 if a file of this name is likely to be a picture that can be read here. */
SALDEF int sal_is_picture(const char *name);
/* A new black picture; release it with sal_image_free. */
SALDEF sal_result sal_image_new(sal_ctx *ctx, int w, int h, sal_image *image);
/* Decode a JPEG, PNG, BMP, PPM or PGM file held in memory; `name` stands in error texts. 16-bit
   samples are reduced to 8, CMYK is converted. The picture is turned upright by its EXIF
   orientation (not with ctx->as_stored). Transparent parts of `data` are white, or black if the
   opaque ones are so bright that white would hide them. The colour profile is not applied, but kept
   for sal_image_save. Damaged and truncated files are errors (of a PNG the CRC of each chunk is
   verified, but not the Adler-32 of the unpacked rows; the pixels of a JPEG have no check sum, so
   that damage in the middle of them can go unseen). With SALIENCY_NO_STB only BMP, PPM and PGM
   are read. */
SALDEF sal_result sal_image_load_memory(sal_ctx *ctx, const void *bytes, size_t size,
                                        const char *name, sal_image *image);
/* A picture of 8-bit pixels in memory, from a decoder or a camera; they are copied. `stride` is the
   number of bytes from one row to the next: 0 if there are no gaps, negative if `pixels`, the row
   on top, is the last in memory. Alpha is not premultiplied. */
typedef enum sal_pixels {
    SAL_PIXELS_GREY, SAL_PIXELS_GREY_ALPHA, SAL_PIXELS_RGB, SAL_PIXELS_RGBA, SAL_PIXELS_BGR,
    SAL_PIXELS_BGRA
} sal_pixels;
SALDEF sal_result sal_image_from_pixels(sal_ctx *ctx, const void *pixels, int width, int height,
                                        ptrdiff_t stride, sal_pixels format, sal_image *image);
/* Unpack a zlib stream, behind which up to 7 bytes may follow; its checksum is verified. sal_free
   the data. `name` stands in error texts. Needs stb_image. */
SALDEF sal_result sal_inflate(sal_ctx *ctx, const void *stream, size_t size, const char *name,
                              unsigned char **data, size_t *unpacked);
/* Read a map from the bytes of a NumPy .npy file: bool, int, uint and float of up to 64 bits, in
   either byte order and either order of dimensions: (height, width), or with further dimensions of
   length 1, as (1, 1, height, width). */
SALDEF sal_result sal_map_load_npy_memory(sal_ctx *ctx, const void *bytes, size_t size,
                                          const char *name, sal_map *map);
#ifndef SALIENCY_NO_STDIO
/* As sal_image_load_memory, from a file. */
SALDEF sal_result sal_image_load(sal_ctx *ctx, const char *path, sal_image *image);
/* Width and height of a picture, without decoding it if its first bytes tell. */
SALDEF sal_result sal_image_size(sal_ctx *ctx, const char *path, int *w, int *h);
/* The format follows from the name: .png or, with quality 95, .jpg, .jpeg, .jpe, .jfif. PNG keeps
   transparency (rgba instead of data), both the profile; a picture without colour becomes grey,
   unless it has an RGB profile. Like all functions that save, it writes the whole file or none. */
SALDEF sal_result sal_image_save(sal_ctx *ctx, const char *path, const sal_image *image);
/* A grey picture as a map from 0 to 1, a PNG or PGM with all of 8 or 16 bits; one in colours is
   refused, for they do not say which of them stands out most. */
SALDEF sal_result sal_map_load_image(sal_ctx *ctx, const char *path, sal_map *map);
/* 8-bit grey PNG: 255 * value / maximum, rounded; what is negative becomes 0. */
SALDEF sal_result sal_map_save_png(sal_ctx *ctx, const char *path, const sal_map *map);
/* As sal_map_load_npy_memory, from a file. */
SALDEF sal_result sal_map_load_npy(sal_ctx *ctx, const char *path, sal_map *map);
/* NumPy, version 1.0, float32, C order, (h, w); the name ends in .npy. */
SALDEF sal_result sal_map_save_npy(sal_ctx *ctx, const char *path, const sal_map *map);
#endif

/* The colour of t in [0, 1]: dark blue, violet, red, orange, pale yellow, near white. Lightness L*
   is 5 + 90 t, and equal steps of t look equally far apart. */
SALDEF void sal_colormap(float t, unsigned char rgb[3]);
/* The map in these colours (0 to its maximum) over the picture: picture * (1 - opacity) + colour *
   opacity. A map of another size is stretched over the picture. out is a new picture. */
SALDEF sal_result sal_overlay(sal_ctx *ctx, const sal_image *image, const sal_map *map,
                              float opacity, sal_image *out);

/* --- api: operators -------------------------------------------------------------------------

   Textbook versions: short loops for reading, teaching and testing. Outputs first, then inputs,
   then shapes. Arrays are float32, NCHW, owned by the caller; nothing is allocated, nothing can
   fail if the shapes are right. The equation and its source stand above each definition. */

/* The geometry of a convolution. Padding is zeros, per side, so it may be asymmetric. */
typedef struct sal_conv {
    int n, ic, ih, iw;              /* input  (n, ic, ih, iw) */
    int oc, kh, kw;                 /* weight (oc, ic, kh, kw); depthwise: (ic, 1, kh, kw) */
    int stride, dilation;
    int top, left, bottom, right;
    int oh, ow;                     /* output (n, oc, oh, ow): sal_conv_fit fills these in */
} sal_conv;

typedef enum sal_padding { SAL_PADDING_VALID, SAL_PADDING_SAME } sal_padding;

/* The geometry of a pooling of n planes; padded cells never win. */
typedef struct sal_pool {
    int n, ih, iw;                  /* n: samples times channels */
    int k, stride, top, left;
    int oh, ow;
} sal_pool;

/* Compute oh and ow; SAL_ERR_SHAPE if the window does not fit into the padded input, or a side of
   it, stride or dilation is below 1. */
SALDEF sal_result sal_conv_fit(sal_conv *s);
/* Compute oh, ow, top and left; k and stride must be 1 or more. valid: floor((H-k)/s)+1 outputs, or
   SAL_ERR_SHAPE; same: ceil(H/s), the larger half of the padding at the bottom and right. */
SALDEF sal_result sal_pool_fit(sal_pool *s, sal_padding padding);

SALDEF void sal_conv2d_forward(float *out, const float *in, const float *weight, const float *bias,
                               const sal_conv *s);
SALDEF void sal_depthwise_forward(float *out, const float *in, const float *weight,
                                  const float *bias, const sal_conv *s);
SALDEF void sal_dense_forward(float *out, const float *in, const float *weight, const float *bias,
                              int n, int nin, int nout);
SALDEF void sal_maxout_forward(float *out, int *arg, const float *in, int n, int pieces);
SALDEF void sal_maxpool_forward(float *out, int *arg, const float *in, const sal_pool *s);
SALDEF void sal_relu_forward(float *out, const float *in, size_t n);
SALDEF void sal_relu6_forward(float *out, const float *in, size_t n);
SALDEF void sal_sigmoid_forward(float *out, const float *in, size_t n);
SALDEF void sal_tanh_forward(float *out, const float *in, size_t n);
SALDEF void sal_softmax_forward(float *out, const float *in, int n, int size);
SALDEF void sal_batchnorm_forward(float *out, const float *in, const float *weight,
                                  const float *bias, const float *mean, const float *var,
                                  float eps, int n, int c, int hw);
SALDEF void sal_batchnorm_forward_train(float *out, float *mean, float *rstd, float *running_mean,
                                        float *running_var, const float *in, const float *weight,
                                        const float *bias, float eps, float momentum, int n, int c,
                                        int hw);
SALDEF void sal_dropout_forward(float *out, unsigned char *mask, const float *in, size_t n,
                                float rate, sal_rng *rng);
SALDEF void sal_concat_forward(float *out, const float *const *in, const int *channels, int count,
                               int n, int hw);
SALDEF void sal_add_forward(float *out, const float *a, const float *b, size_t n);
SALDEF void sal_mirror_forward(float *out, const float *in, size_t rows, int w);
SALDEF void sal_upsample_forward(float *out, const float *in, int n, int iw, int ih, int ow,
                                 int oh);
SALDEF void sal_prior_forward(float *out, float *mask, const float *in, const float *prior, int n,
                              int w, int h, int pw, int ph);
SALDEF void sal_logprior_forward(float *out, float *map, const float *in, const float *prior,
                                 const int *domain, int n, int w, int h, int pw, int ph);
SALDEF void sal_gaussians_forward(float *out, const float *params, int n, int count, int w, int h);

/* The 21 parameter arrays of the attentive ConvLSTM, in this order. */
enum { SAL_LSTM_WA, SAL_LSTM_WA_BIAS, SAL_LSTM_UA, SAL_LSTM_UA_BIAS, SAL_LSTM_VA,
       SAL_LSTM_WI, SAL_LSTM_WI_BIAS, SAL_LSTM_UI, SAL_LSTM_UI_BIAS,
       SAL_LSTM_WF, SAL_LSTM_WF_BIAS, SAL_LSTM_UF, SAL_LSTM_UF_BIAS,
       SAL_LSTM_WC, SAL_LSTM_WC_BIAS, SAL_LSTM_UC, SAL_LSTM_UC_BIAS,
       SAL_LSTM_WO, SAL_LSTM_WO_BIAS, SAL_LSTM_UO, SAL_LSTM_UO_BIAS, SAL_LSTM_COUNT };
/* Numbers of floats: of scratch for sal_convlstm_forward; of the states that it leaves for backward
   (NULL: none); of scratch for sal_convlstm_backward, which overwrites the states. */
SALDEF size_t sal_convlstm_scratch(int n, int c, int w, int h);
SALDEF size_t sal_convlstm_states(int steps, int n, int c, int w, int h);
SALDEF size_t sal_convlstm_backward_scratch(int n, int c, int w, int h);
SALDEF void sal_convlstm_forward(float *out, const float *in, const float *const *params, int steps,
                                 int n, int c, int w, int h, float *scratch, float *states);

/* Backward: dX is the gradient of the loss with respect to X, shaped as X. Gradients are added (+=)
   to what the arrays hold; a function that computes several skips those that are NULL. */
SALDEF void sal_conv2d_backward_data(float *din, const float *dout, const float *weight,
                                     const sal_conv *s);
SALDEF void sal_conv2d_backward_weight(float *dweight, const float *dout, const float *in,
                                       const sal_conv *s);
SALDEF void sal_depthwise_backward_data(float *din, const float *dout, const float *weight,
                                        const sal_conv *s);
SALDEF void sal_depthwise_backward_weight(float *dweight, const float *dout, const float *in,
                                          const sal_conv *s);
SALDEF void sal_dense_backward_data(float *din, const float *dout, const float *weight, int n,
                                    int nin, int nout);
SALDEF void sal_dense_backward_weight(float *dweight, const float *dout, const float *in, int n,
                                      int nin, int nout);
SALDEF void sal_bias_backward(float *dbias, const float *dout, int n, int c, int hw);
SALDEF void sal_maxout_backward(float *din, const float *dout, const int *arg, int n, int pieces);
SALDEF void sal_maxpool_backward(float *din, const float *dout, const int *arg, const sal_pool *s);
SALDEF void sal_relu_backward(float *din, const float *dout, const float *out, size_t n);
SALDEF void sal_relu6_backward(float *din, const float *dout, const float *out, size_t n);
SALDEF void sal_sigmoid_backward(float *din, const float *dout, const float *out, size_t n);
SALDEF void sal_tanh_backward(float *din, const float *dout, const float *out, size_t n);
SALDEF void sal_softmax_backward(float *din, const float *dout, const float *out, int n, int size);
SALDEF void sal_batchnorm_backward(float *din, float *dweight, float *dbias, const float *dout,
                                   const float *in, const float *weight, const float *mean,
                                   const float *rstd, int fixed, int n, int c, int hw);
SALDEF void sal_dropout_backward(float *din, const float *dout, const unsigned char *mask, size_t n,
                                 float rate);
SALDEF void sal_concat_backward(float *const *din, const float *dout, const int *channels,
                                int count, int n, int hw);
SALDEF void sal_add_backward(float *da, float *db, const float *dout, size_t n);
SALDEF void sal_mirror_backward(float *din, const float *dout, size_t rows, int w);
SALDEF void sal_upsample_backward(float *din, const float *dout, int n, int iw, int ih, int ow,
                                  int oh);
SALDEF void sal_prior_backward(float *din, float *dprior, float *dmask, const float *dout,
                               const float *in, const float *mask, int n, int w, int h, int pw,
                               int ph);
SALDEF void sal_logprior_backward(float *din, float *dprior, const float *dout, const int *domain,
                                  int n, int w, int h, int pw, int ph);
SALDEF void sal_gaussians_backward(float *dparams, const float *dout, const float *out,
                                   const float *params, int n, int count, int w, int h);
SALDEF void sal_convlstm_backward(float *din, float *const *dparams, const float *dout,
                                  const float *in, const float *const *params, float *states,
                                  int steps, int n, int c, int w, int h, float *scratch);

/* --- api: losses ----------------------------------------------------------------------------

   Terms of a loss: one row each, X(ENUM, function, name). Every function compares a predicted map
   x (n) with the human one, y (n): for nss the number of fixations of each pixel, else the fixation
   density (mlnet, bce: from 0 to 1). It returns weight * value and adds weight * gradient to dx
   (NULL: no gradient). CC and NSS grow with the agreement: as losses they take negative weights. */
#define SAL_LOSSES(X)                              \
    X(MSE,        mse,        "mse")               \
    X(MLNET,      mlnet,      "mlnet")             \
    X(MLNET_CODE, mlnet_code, "mlnet_code")        \
    X(NSS,        nss,        "nss")               \
    X(CC,         cc,         "cc")                \
    X(KL,         kl,         "kl")                \
    X(TVD,        tvd,        "tvd")               \
    X(CHI2,       chi2,       "chi2")              \
    X(COSINE,     cosine,     "cosine")            \
    X(BCE,        bce,        "bce")

#define SAL_ROW(ENUM, name, text) SAL_LOSS_##ENUM,
enum { SAL_LOSSES(SAL_ROW) SAL_LOSS_COUNT };
#undef SAL_ROW

#define SAL_ROW(ENUM, name, text) \
    SALDEF double sal_loss_##name(float *dx, const float *x, const float *y, size_t n, \
                                  double weight);
SAL_LOSSES(SAL_ROW)
#undef SAL_ROW

/* A weighted sum of terms, and what is done to the network's map before it is compared. */
typedef struct sal_loss {
    double weight[SAL_LOSS_COUNT];
    int upsample;               /* enlarged bilinearly by this factor; 0 counts as 1 */
    int peak;                   /* 1: then divided by its maximum (SAM's released code) */
} sal_loss;

/* "mse" (Euclidean), "mlnet", "sam" (x16, peak, 10*kl-2*cc-nss), or any sum of terms like
   "kl-0.5*cc". With "peak:" in front, of the map divided by its maximum. */
SALDEF sal_result sal_loss_parse(sal_ctx *ctx, const char *text, sal_loss *loss);
/* The loss of one map x (h, w); density and fixations have `upsample` times its sides. Returns
   weight * loss and adds weight * gradient to dx (or NULL). scratch: sal_loss_scratch floats. */
SALDEF double sal_loss_map(const sal_loss *loss, float *dx, const float *x, const float *density,
                           const float *fixations, int w, int h, double weight, float *scratch);
SALDEF size_t sal_loss_scratch(const sal_loss *loss, int w, int h);
/* Two penalties on parameters: they return their value and add to the gradient (NULL: none). Then a
   constraint: each of `rows` rows of n weights is shortened to a length of at most c. */
SALDEF double sal_weight_decay(float *dw, const float *w, size_t n, double lambda);
SALDEF double sal_prior_penalty(float *du, const float *u, size_t n, double lambda);
SALDEF void sal_max_norm(float *w, int rows, int n, double c);

/* --- api: graph -----------------------------------------------------------------------------

   A network is a flat list of layers in execution order; layer i produces value i. The operators a
   layer can be: one row each, X(ENUM, function names, shape rule, _fast where the default backend
   has its own version for predicting, and for training). A new layer is one row here, a shape rule
   sal__shape_RULE if none fits, sal__layer_NAME and sal__layer_NAME_back. */
#define SAL_OPERATORS(X)                                \
    X(INPUT,     input,     input,     ,            )   \
    X(CONV2D,    conv2d,    conv2d,    _fast, _train)   \
    X(DEPTHWISE, depthwise, depthwise, _fast, _train)   \
    X(DENSE,     dense,     dense,     _fast, _train)   \
    X(MAXOUT,    maxout,    maxout,    ,            )   \
    X(MAXPOOL,   maxpool,   maxpool,   _fast, _train)   \
    X(RELU,      relu,      same,      ,            )   \
    X(RELU6,     relu6,     same,      ,            )   \
    X(SOFTMAX,   softmax,   same,      ,            )   \
    X(BATCHNORM, batchnorm, same,      ,            )   \
    X(DROPOUT,   dropout,   same,      ,            )   \
    X(CONCAT,    concat,    concat,    ,            )   \
    X(ADD,       add,       add,       ,            )   \
    X(MIRROR,    mirror,    same,      ,            )   \
    X(UPSAMPLE,  upsample,  upsample,  _fast, _train)   \
    X(PRIOR,     prior,     same,      ,            )   \
    X(LOGPRIOR,  logprior,  same,      ,            )   \
    X(GAUSSIANS, gaussians, gaussians, ,            )   \
    X(CONVLSTM,  convlstm,  same,      _fast, _train)

#define SAL_ROW(ENUM, name, shape, fast, train) SAL_OP_##ENUM,
typedef enum sal_op { SAL_OPERATORS(SAL_ROW) SAL_OP_COUNT } sal_op;
#undef SAL_ROW

/* "conv2d", "dense", ... */
SALDEF const char *sal_op_name(sal_op op);

typedef enum sal_act { SAL_ACT_IDENTITY, SAL_ACT_RELU, SAL_ACT_RELU6 } sal_act;

/* What a convolution or dense layer may do to its sums before storing them:
       out = act(sum * scale[channel] + bias[channel] + add),  add shaped as out
   so that batch-norm, residual and ReLU cost no pass of their own. Each pointer may be NULL. */
typedef struct sal_epilogue {
    const float *scale, *bias, *add;
    sal_act act;
} sal_epilogue;

typedef struct sal_shape { int c, h, w; } sal_shape;

typedef struct sal_layer {
    sal_op op;
    char name[40];              /* parameters are called NAME.weight, NAME.bias, ... */
    int input[4], inputs;       /* the values it reads */
    int param, params;          /* its parameters: net->param[param .. param + params - 1]; layers
                                   may share them */
    sal_shape shape;            /* of its output, at the network's own input size */
    /* attributes; which ones count depends on the operator */
    int kernel, stride, pad, dilation;
    sal_padding padding;   /* of pooling; SAL_PADDING_SAME: of a convolution, too, instead of pad */
    int steps;                  /* ConvLSTM */
    float rate, eps;            /* dropout; batch-norm */
    const float *range;         /* input and convolutions, for prediction in 8-bit integers: lowest
                                   and highest output on photographs (after norm, sum and ReLU),
                                   then each channel's mean: 2 + c floats. It lies in the weights
                                   file; NULL: not measured */
} sal_layer;

typedef struct sal_param {
    char name[56];
    sal_tensor value;
    int owned;                  /* 1: value.data is a block of its own, 0: lies in the file */
} sal_param;

/* --- api: weights ---------------------------------------------------------------------------

   Weights files are safetensors: 8 bytes of header length, a JSON header (name, type, shape and
   place of each tensor, and `__metadata__`, pairs of strings), the numbers. Little-endian. */
typedef struct sal_named_tensor {
    const char *name;
    sal_tensor tensor;          /* data is NULL for the types that sal_dtype does not have */
    const char *type;           /* as the file spells it: "F32", "I64", ... */
    size_t begin, end;          /* its bytes, counted from the end of the header */
} sal_named_tensor;

/* A weights file in memory. It owns everything below, and the names and the numbers of its tensors:
   they are valid, and may be read by any number of threads, until sal_safetensors_free. */
typedef struct sal_safetensors {
    int count;
    sal_named_tensor *tensor;   /* in the order of their bytes */
    int metas;
    const char **meta;          /* metadata: key, value, key, value, ...: 2 * metas strings */
    sal_named_tensor **by_name; /* the same tensors, sorted */
    char *text;                 /* the header: all strings point into it */
    unsigned char *data;        /* the numbers, each tensor aligned to 64 bytes */
} sal_safetensors;

/* Read a file from memory, which may go away afterwards; name is what error texts call it. The
   tensor NAME.scale of an I8 tensor NAME becomes its tensor.scale and is not listed. Refused: a
   header that is not strict JSON or lies about the data, gaps and overlaps, more than four
   dimensions, unknown types, I8 without scale. */
SALDEF sal_result sal_safetensors_parse(sal_ctx *ctx, const void *bytes, size_t size,
                                        const char *name, sal_safetensors *file);
SALDEF void sal_safetensors_free(sal_ctx *ctx, sal_safetensors *file);
/* The tensor of that name, or NULL. */
SALDEF const sal_named_tensor *sal_safetensors_find(const sal_safetensors *file, const char *name);
/* The metadata under that key, or NULL. */
SALDEF const char *sal_safetensors_meta(const sal_safetensors *file, const char *key);
/* A copy of any tensor as another element type, nearest value, ties to even. I8 takes the largest
   magnitude of a row as 127 (a row of zeros gets scale 1). SAL_ERR_NUMERIC if a finite value is
   too large for F16 or BF16, or a row of I8 is not finite. One block: sal_free(ctx, out->data). */
SALDEF sal_result sal_tensor_convert(sal_ctx *ctx, const sal_tensor *in, sal_dtype dtype,
                                     sal_tensor *out);
#ifndef SALIENCY_NO_STDIO
/* As sal_safetensors_parse, from a file. */
SALDEF sal_result sal_safetensors_load(sal_ctx *ctx, const char *path, sal_safetensors *file);
/* Write count tensors (name and tensor count; type, begin and end are ignored) and 2 * metas
   strings of metadata. Same input, same bytes: metadata in the given order, then the tensors in
   theirs, but F32 first, then scales, 16-bit types, I8: so all are aligned in the file. */
SALDEF sal_result sal_safetensors_save(sal_ctx *ctx, const char *path,
                                       const sal_named_tensor *tensor, int count,
                                       const char *const *meta, int metas);
#endif
/* --- api: nets ------------------------------------------------------------------------------ */

typedef enum sal_kind {
    SAL_KIND_JUNTINGNET, SAL_KIND_WEPSAM, SAL_KIND_MLNET, SAL_KIND_SAM_VGG, SAL_KIND_SAM_RESNET,
    SAL_KIND_LITE, SAL_KIND_COUNT
} sal_kind;

/* How a picture becomes the input: stretched to the size, letter-boxed (aspect kept, black bars),
   or its central square stretched. */
typedef enum sal_fit { SAL_FIT_STRETCH, SAL_FIT_LETTERBOX, SAL_FIT_SQUARE } sal_fit;

/* How a network learns that people look at the middle: not at all; by Gaussians beside its features
   (SAM eq. 10); by a coarse mask that its map is multiplied with (ML-Net). */
typedef enum sal_priors { SAL_PRIORS_NONE, SAL_PRIORS_GAUSSIAN, SAL_PRIORS_MASK } sal_priors;

/* The data sets that lite has priors for: pass them as a run's domain. */
enum { SAL_DOMAIN_NEUTRAL, SAL_DOMAIN_OSIE, SAL_DOMAIN_SCENE, SAL_DOMAIN_MIT1003,
       SAL_DOMAIN_FIGRIM, SAL_DOMAIN_COUNT };
#define SAL_DOMAIN_NAMES "neutral osie scene mit1003 figrim"    /* in this order */

/* Everything but the weights that tells two networks of a kind apart; kept in the weights file. */
typedef struct sal_net_desc {
    sal_kind kind;
    int w, h;                   /* input size */
    sal_fit fit;
    int bgr;                    /* channel order of the input: 0 RGB, 1 BGR */
    float scale, mean[3], std[3];   /* input = (pixel / scale - mean) / std, in channel order */
    int stride_on_3x3;          /* ResNet: 0 v1, stride on the first 1x1; 1 v1.5 (torchvision) */
    float dropout;              /* rate while training */
    float blur;                 /* sigma of a Gaussian, pixels: JuntingNet 3, of its own map; SAM 7,
                                   over the map at the picture's size; others 0 */
    float power, floor;         /* the finished map m, 0 to 1, becomes max(m^power, floor); power 0
                                   counts as 1. Regression gives too little contrast, and zeros,
                                   where KL is infinite. */
    /* variants: SAM takes all of them, ML-Net no priors or its mask */
    int plain;                  /* 1: the backbone's own strides, 32 in all; 0: 8, and dilations */
    int steps;                  /* of the ConvLSTM, 1 to 4; 0: no ConvLSTM */
    sal_priors priors;
    int float32;                /* 1: predict in float32, even if the weights file has the ranges
                                   that 8-bit integers need; not kept in the file */
    int narrow;                 /* tests: divide every inner channel count by this; 0 counts as 1 */
} sal_net_desc;

/* Layers, parameters and nothing that a prediction changes: after loading, any number of contexts
   may use one network at the same time. */
typedef struct sal_net {
    const char *name;           /* of its kind */
    sal_net_desc desc;
    int multiple;               /* sides of the input are multiples of this; 0: one size only */
    sal_layer *layer;
    int layers;
    sal_param *param;
    int params;
    sal_safetensors *file;      /* the weights file it was loaded from, or NULL */
} sal_net;

SALDEF const char *sal_kind_name(sal_kind kind);    /* "juntingnet", "sam-vgg", ... */
/* The network of that name, or SAL_ERR_ARGUMENT. */
SALDEF sal_result sal_kind_from_name(const char *name, sal_kind *kind);
/* The description that the paper or the released code gives; for lite: ours, w 320, h 240. */
SALDEF sal_net_desc sal_net_desc_default(sal_kind kind);
/* Sets the field that has this key in a weights file (see sal_net_load), from its text there:
   "sal.priors", "mask". On failure nothing changes. */
SALDEF sal_result sal_net_desc_set(sal_ctx *ctx, sal_net_desc *desc, const char *key,
                                   const char *text);

/* The layers, with parameters that have no values yet: follow with sal_net_init. Release with
   sal_net_free. Fails on input sizes the network cannot take. */
SALDEF sal_result sal_net_new(sal_ctx *ctx, const sal_net_desc *desc, sal_net **net);
SALDEF void sal_net_free(sal_ctx *ctx, sal_net *net);
/* Random parameters as the papers start from (Gaussian, Glorot, orthogonal ...). A
   parameter's values depend on seed and its name alone. */
SALDEF sal_result sal_net_init(sal_ctx *ctx, sal_net *net, uint64_t seed);
/* Runs opened from now on stop the ConvLSTM after so many steps, from 1 to 4: its weights fit any
   number (SAM's Table IV). Sets net->desc.steps; fails if the network has no ConvLSTM. */
SALDEF sal_result sal_net_steps(sal_ctx *ctx, sal_net *net, int steps);
/* All parameters as float32 in memory of their own, before training or changing them. The ranges of
   values (sal_layer) are dropped. */
SALDEF sal_result sal_net_to_float(sal_ctx *ctx, sal_net *net);
/* The shapes of all values for an input of w x h; shapes has net->layers elements. Fails, with the
   layer and the numbers in the sentence, if the network cannot take that size. */
SALDEF sal_result sal_net_shapes(sal_ctx *ctx, const sal_net *net, int w, int h, sal_shape *shapes);
/* Multiply-adds of layer i by the plain definition, for one sample and these shapes. */
SALDEF double sal_layer_macs(const sal_net *net, int i, const sal_shape *shapes);

/* As sal_net_load below, from a file in memory, which may go away afterwards; name stands in error
   texts. */
SALDEF sal_result sal_net_load_memory(sal_ctx *ctx, const void *bytes, size_t size,
                                      const char *name, sal_net **net);
/* The same from a C array of the file's bytes, eight to a word, the first one the least
   significant; size counts bytes. */
SALDEF sal_result sal_net_load_words(sal_ctx *ctx, const uint64_t *words, size_t size,
                                     const char *name, sal_net **net);
#ifndef SALIENCY_NO_STDIO
/* Network and weights from a safetensors file; release it with sal_net_free. The metadata key
   sal.model says which network (without it, the tensors' names do, but not for lite); sal.input
   "HxW", sal.preprocess, sal.fit, sal.blur, sal.tone "POWER FLOOR", sal.dropout, sal.resnet_stride
   "1x1" or "3x3", sal.backbone "dilated" or "plain", sal.steps and sal.priors "none", "gaussian" or
   "mask" override the description. Every parameter must be there with its shape (ML-Net's prior may
   have any size, lite's may lack the newest data sets); the only other tensors that are allowed are
   NAME.range and NAME.num_batches_tracked. */
SALDEF sal_result sal_net_load(sal_ctx *ctx, const char *path, sal_net **net);
/* Write all parameters: those of 8192 values and more as dtype, the others as F32. extra is a list
   of `extras` key, value pairs for the metadata, kept after the network's own keys. */
SALDEF sal_result sal_net_save(sal_ctx *ctx, const sal_net *net, const char *path, sal_dtype dtype,
                               const char *const *extra, int extras);
#endif

/* --- api: run -------------------------------------------------------------------------------

   A run is a network prepared for one batch size and input size: shapes, the memory of all
   activations planned by lifetime, scratch. Forward and backward allocate nothing.

   Time, as the plan counts it: layer i works at i going forward and at 2 * layers - i backward. */
typedef struct sal_value {
    sal_shape shape;
    float *data;                /* (n, c, h, w); valid from time `first` to time `last` */
    float *grad;                /* the same shape: gradient of the loss; NULL if not needed */
    void *aux;                  /* what the layer's forward leaves for its backward */
    int first, last, grad_first;
    size_t offset, grad_offset, aux_offset;     /* into the arena, in floats */
    int root;                   /* the value whose memory this is: itself, unless fused away */
    float unit;                /* > 0: data are bytes u, (n, h, w, c rounded up to 32), and stand */
    int zero;                   /* for unit * (u - zero) */
} sal_value;

/* How one layer is executed: alone, or with later layers fused into its epilogue. */
typedef struct sal_step {
    int skip;                   /* 1: another layer does its work */
    int output;                 /* the value it writes */
    int norm, add, pool, wide;  /* fused batch-norm layer, added value, fused 2x2 max-pool layer,
                                   fused depthwise layer; -1 for none */
    sal_act act;
    float *fold;                /* the norm as scale, then bias: 2 * channels floats */
    struct sal__whole *whole;   /* this layer, prepared for whole numbers; NULL: works in float32 */
    int learns;                 /* 1 if backward visits this layer */
    int steps;                  /* of a ConvLSTM, since the run was opened */
} sal_step;

/* Zero-initialise it, then set what you want to change. */
typedef struct sal_run_desc {
    int n;                      /* batch; 0 counts as 1 */
    int w, h;                   /* input size; 0: the network's own */
    int training;               /* 1: keep what backward needs, drop out, batch statistics */
    const char *freeze;         /* parameters that get no gradient: prefixes of their names,
                                   separated by commas; "*": all; NULL: none. Frozen batch-norms
                                   use running statistics. */
    int fixed_norm;             /* 1: all batch-norms use running statistics */
    int input_gradient;         /* 1: backward goes on to the input, run->value[0].grad */
    int gradient_of;            /* with input_gradient: stop at this layer's value instead of the
                                   input, and keep its data; 0: the input */
    int from_features;          /* 1: forward skips the frozen first layers, see sal_run_features */
} sal_run_desc;

typedef struct sal_run {
    const sal_net *net;
    sal_net *learning;          /* training: the same network, whose batch-norms forward changes */
    const sal_backend *backend;
    int n, w, h, threads;
    int training, fixed_norm;
    int kept;                   /* the layer of gradient_of, or -1 */
    int frozen;                 /* layers before the first that learns or drops out */
    int start, end;             /* the layers that forward executes, from start to before end */
    sal_value *value;           /* net->layers of each */
    sal_step *step;
    float *arena;               /* arena_floats: activations but the input, gradients, aux */
    size_t arena_floats;
    void *scratch;
    size_t scratch_bytes;
    int whole;                  /* 1: convolutions work in 8-bit integers, see >>fast */
    unsigned char *packed;      /* packed_bytes: their weights */
    size_t packed_bytes;
    sal_shape shape;            /* of the output */
    const float *output;        /* (n, shape): valid until the next forward */
    const int *domain;     /* (n) which prior of a network that has several: below SAL_DOMAIN_COUNT;
                                   NULL: 0, the neutral one */
    uint64_t seed;              /* training: of the dropout masks; set it anew for each batch */
    float **gradient;           /* training: for each parameter its gradient, or NULL if frozen */
    float *gradients;           /* gradient_floats: all of them in one block */
    size_t gradient_floats;
    double *sums;               /* backward: the gradient of step `summed`, summed up for each */
    int summed;                 /* sample and channel; it has passed the step's ReLU already */
    int begins;                 /* bit k: backward writes the gradient of input k, instead of += */
    int begins_weight;          /* 1: and that of the layer's first parameter */
    unsigned char *cleared;     /* for each parameter, 1: count its gradient as 0 (sal_run_clear) */
    /* Optional observer callback: called when forward has done layer i, whose value is still
       there (see step[i].output); later layers may take its memory. */
    void (*watch)(void *arg, const struct sal_run *run, int i);
    void *watch_arg;
    void *device;               /* what a backend with memory of its own keeps of this run */
} sal_run;

/* For predicting. h = w = 0 takes the network's own input size. The network must outlive the run;
   one thread at a time may use the run, with as many workers as sal_threads(ctx) says now, or
   fewer. */
SALDEF sal_result sal_run_open(sal_ctx *ctx, const sal_net *net, int n, int w, int h,
                               sal_run **run);
/* For training too. What is to learn must be float32 (sal_net_to_float); a batch-norm that learns
   moves its running statistics, parameters of the network, with every forward. */
SALDEF sal_result sal_run_open_desc(sal_ctx *ctx, sal_net *net, const sal_run_desc *desc,
                                    sal_run **run);
SALDEF void sal_run_close(sal_ctx *ctx, sal_run *run);
/* input (n, 3, h, w), already pre-processed; it is only read. The result is run->output. With
   from_features, input is NULL and the values of sal_run_features are read instead. */
SALDEF sal_result sal_run_forward(sal_ctx *ctx, sal_run *run, const float *input);
/* After forward, for maps of one channel: value[s] becomes weight[s] times the loss of sample s
   (double each); the gradient waits for sal_run_backward(ctx, run, NULL). density and fixations
   are (n, upsample * h, upsample * w), scratch is sal_threads(ctx) * sal_loss_scratch floats. */
SALDEF sal_result sal_run_loss(sal_ctx *ctx, sal_run *run, const sal_loss *loss,
                               const float *density, const float *fixations, const double *weight,
                               double *value, float *scratch);
/* Once after each forward: dout (n, shape) is the gradient with respect to the output. Adds to
   run->gradient[...]; clear them first with sal_run_clear: they count as 0 from then on, and the
   next backward sets or overwrites them. */
SALDEF sal_result sal_run_backward(sal_ctx *ctx, sal_run *run, const float *dout);
SALDEF void sal_run_clear(sal_run *run);
/* For backends with memory of their own (others do nothing here). prefetch: begin to upload what
   a later forward will get as input, while the device is busy; at most two at once. fetch: copy to
   the host what is newer on the device. changed: the caller wrote to the host's copy, so the
   device's is out of date. `what` is a sum of these; optim may be NULL without SAL_RUN_STATE. */
enum { SAL_RUN_WEIGHTS = 1, SAL_RUN_GRADIENTS = 2, SAL_RUN_VALUES = 4, SAL_RUN_STATE = 8 };
struct sal_optim;
SALDEF sal_result sal_run_prefetch(sal_ctx *ctx, sal_run *run, const float *input);
SALDEF sal_result sal_run_fetch(sal_ctx *ctx, sal_run *run, struct sal_optim *optim, int what);
SALDEF void sal_run_changed(sal_run *run, struct sal_optim *optim, int what);
/* The features: values of the frozen first layers that later layers read. Store them, and frozen
   layers need not run again. Returns how many there are; values: the numbers of the first 8. */
SALDEF int sal_run_features(const sal_run *run, int values[8]);

/* Bytes of a run's activations, gradients, scratch and packed weights, without the network's. */
SALDEF size_t sal_run_bytes(const sal_run *run);

/* A backend executes layers. forward[op] works on layer i of the run: it reads run->value[...].data
   and writes the value of run->step[i].output; scratch says how many bytes of run->scratch it
   wants. When training, train[op] does that and may leave `aux` bytes in run->value[i].aux, and
   backward[op] adds to the gradients of inputs and parameters. NULL entries fall back to the
   textbook operators (train and backward together). */
typedef sal_result sal_layer_fn(sal_ctx *ctx, sal_run *run, int i);

/* A backend with memory of its own works on whole runs: open sets run->device, close releases it,
   the others stand for sal_run_NAME and sal_optim_step. clear and penalty (as sal_prior_penalty, of
   parameter k) see to gradients that are on the device. */
typedef struct sal_device {
    sal_result (*open)(sal_ctx *ctx, sal_run *run);
    void (*close)(sal_ctx *ctx, sal_run *run);
    sal_result (*prefetch)(sal_ctx *ctx, sal_run *run, const float *input);
    sal_result (*forward)(sal_ctx *ctx, sal_run *run, const float *input);
    sal_result (*loss)(sal_ctx *ctx, sal_run *run, const sal_loss *loss, const float *density,
                       const float *fixations, const double *weight, double *value);
    sal_result (*backward)(sal_ctx *ctx, sal_run *run, const float *dout);
    sal_result (*penalty)(sal_ctx *ctx, sal_run *run, int k, double lambda, double *value);
    sal_result (*step)(sal_ctx *ctx, struct sal_optim *optim, sal_net *net, sal_run *run,
                       double rate, double momentum, double *norm);
    sal_result (*fetch)(sal_ctx *ctx, sal_run *run, struct sal_optim *optim, int what);
    void (*changed)(sal_run *run, struct sal_optim *optim, int what);
    void (*clear)(sal_run *run);
} sal_device;

/* What sal_backend.backs answers. */
enum { SAL_BACK_BEGINS = 1, SAL_BACK_ACT = 2, SAL_BACK_BEGINS_WEIGHT = 4 };

struct sal_backend {
    const char *name;
    int fuses;                  /* 1: its conv2d and dense take norm, add and act along; 2: act and
                                   add while training, too */
    sal_layer_fn *forward[SAL_OP_COUNT];
    size_t (*scratch)(const sal_run *run, int i);
    sal_layer_fn *train[SAL_OP_COUNT], *backward[SAL_OP_COUNT];
    size_t (*aux)(const sal_run *run, int i);
    int (*can_fuse)(const sal_run *run, int i, int next);   /* 1: the conv2d of layer i can be fused
                                   with `next`, a 2x2 max-pool or a depthwise layer; NULL: never */
    int (*whole)(sal_run *run); /* 1: the run can work in whole numbers, and has the units of its
                                   values now; NULL: never. pack prepares its weights. */
    sal_result (*pack)(sal_ctx *ctx, sal_run *run);
    const sal_device *device;   /* NULL: works in the host's memory */
    /* as sal_adam_update, for which NULL stands */
    void (*adam)(const sal_ctx *ctx, float *w, float *m, float *a, const float *g, size_t n,
                 double rate, double beta1, double beta2, double eps, double decay, uint64_t step);
    /* sets g to 0 unless 0 < x < top (NULL: leaves it); returns the sum of g */
    double (*gate)(const sal_ctx *ctx, float *g, const float *x, float top, size_t n);
    double (*squares)(const sal_ctx *ctx, const float *x, size_t n);   /* sum of squares; or NULL */
    int (*backs)(const sal_run *run, int i);    /* the sum of what backward of layer i does itself:
                                   SAL_BACK_BEGINS: it obeys run->begins; SAL_BACK_BEGINS_WEIGHT:
                                   and run->begins_weight; SAL_BACK_ACT: it goes back through the
                                   ReLU that is fused into it. NULL: nothing */
    /* sal_backend_cpu's: row -= (row . r) r for each of the rows r of x, which are orthonormal */
    void (*project)(sal_ctx *ctx, float *row, const float *x, int rows, int columns);
};
SALDEF const sal_backend *sal_backend_ref(void);    /* the textbook */
SALDEF const sal_backend *sal_backend_cpu(void);    /* fast kernels; the default */

/* The GPU: compile saliency_cuda.cu with nvcc beside your program (not with SALIENCY_STATIC), open
   GPU number `device` (from 0), then set ctx.backend = backend. One thread at a time; close runs
   before the backend. If open fails, it says why, and the CPU still works. See saliency_cuda.cu. */
#ifndef SALIENCY_STATIC
typedef enum sal_cuda_precision { SAL_CUDA_PRECISION_TF32, SAL_CUDA_PRECISION_F32,
                                  SAL_CUDA_PRECISION_HALF } sal_cuda_precision;
typedef enum sal_cuda_kernel { SAL_CUDA_KERNEL_BEST, SAL_CUDA_KERNEL_NAIVE, SAL_CUDA_KERNEL_TILED,
                               SAL_CUDA_KERNEL_REGISTERS,
                               SAL_CUDA_KERNEL_TENSOR } sal_cuda_kernel;
typedef struct sal_cuda {
    /* options, for runs that are opened afterwards */
    sal_cuda_precision precision;   /* of products: 10-bit fractions in, float32 sums; float32;
                                       halves in (predicting only), float32 sums */
    sal_cuda_kernel kernel;         /* a step of the ladder, for teaching */
    int atomics;                    /* 1: faster sums, whose last bits change from run to run */
    int no_graphs;                  /* 1: launch kernels one by one, always */
    double *layer_ms;               /* not NULL: receives each layer's time in a forward pass */
    /* what happened since open */
    uint64_t uploads, downloads, upload_bytes, download_bytes;
    uint64_t fallbacks, launches, graphs;   /* layers done by the CPU; kernels; graphs replayed */
    size_t bytes;                   /* device memory in use */
    char name[64];                  /* of the device */
    int major, minor;               /* its compute capability */
} sal_cuda;
SALDEF sal_result sal_backend_cuda_open(sal_ctx *ctx, int device, const sal_backend **backend);
SALDEF void sal_backend_cuda_close(sal_ctx *ctx, const sal_backend *backend);
/* Options and counts of such a backend, which owns them. */
SALDEF sal_cuda *sal_backend_cuda(const sal_backend *backend);
#endif

/* --- api: optimisers ------------------------------------------------------------------------ */

typedef enum sal_rule { SAL_RULE_SGD, SAL_RULE_RMSPROP, SAL_RULE_ADAM, SAL_RULE_ADAMW } sal_rule;

/* The textbook updates of n weights w by the gradient g; v, m, a (n) are the optimiser's memory,
   zero before the first update. step counts from 1. */
SALDEF void sal_sgd_update(float *w, float *v, const float *g, size_t n, double rate,
                           double momentum, int nesterov);
SALDEF void sal_rmsprop_update(float *w, float *a, const float *g, size_t n, double rate,
                               double rho, double eps);
SALDEF void sal_adam_update(float *w, float *m, float *a, const float *g, size_t n, double rate,
                            double beta1, double beta2, double eps, double decay, uint64_t step);

/* How a rate changes while training goes on. */
typedef enum sal_schedule_kind {
    SAL_SCHEDULE_CONSTANT,
    SAL_SCHEDULE_LINEAR,         /* from rate to rate_end */
    SAL_SCHEDULE_STEP,           /* times factor every `every` epochs (0 counts as 1) */
    SAL_SCHEDULE_TIME_DECAY,     /* Keras: rate / (1 + factor * updates) */
    SAL_SCHEDULE_COSINE,         /* half a cosine from rate to rate_end */
    SAL_SCHEDULE_ONE_CYCLE     /* up from rate / 25 in the first 30 %, then down to rate / 250000 */
} sal_schedule_kind;

typedef struct sal_schedule {
    sal_schedule_kind kind;
    double rate, rate_end, factor;
    int every;
} sal_schedule;

/* The learning rate of update `step` (from 0) of `steps`, `epoch_steps` of which are an epoch. */
SALDEF double sal_schedule_rate(const sal_schedule *s, uint64_t step, uint64_t epoch_steps,
                                uint64_t steps);

typedef struct sal_optim_desc {
    sal_rule rule;
    int nesterov;               /* 1: SGD with Nesterov's momentum */
    double rho, eps;            /* RMSprop's; Adam's beta2 and eps. Both rules need eps > 0 */
    double decay;               /* L2 (AdamW: decoupled); not on vectors as biases and Gaussians'
                                   places are, nor on ML-Net's prior; lite's priors do decay */
    double clip;                /* > 0: a gradient of a larger Euclidean norm is scaled to it */
    double max_norm;            /* > 0: largest norm of each unit's weights before maxout layers */
} sal_optim_desc;

/* An optimiser for what a run learns. state: `slots` blocks of run->gradient_floats, together with
   step all there is to save. */
typedef struct sal_optim {
    sal_optim_desc desc;
    uint64_t step;
    int slots;
    float *state;
    size_t floats;
} sal_optim;

SALDEF sal_result sal_optim_open(sal_ctx *ctx, const sal_optim_desc *desc, const sal_run *run,
                                 sal_optim **optim);
SALDEF void sal_optim_close(sal_ctx *ctx, sal_optim *optim);
/* Change the network by run->gradient (which is clipped and decayed in place). momentum: of SGD,
   or Adam's beta1. *norm (or NULL) receives the gradient's length before clipping; if that is not
   finite, nothing is changed and the result is SAL_ERR_NUMERIC. */
SALDEF sal_result sal_optim_step(sal_ctx *ctx, sal_optim *optim, sal_net *net, sal_run *run,
                                 double rate, double momentum, double *norm);

/* --- api: classical -------------------------------------------------------------------------

   Models that need no weights; each one's paper stands above its code. itti and gbvs follow Harel's
   GBVS toolbox, bms its authors' program (but see below), spectral OpenCV's version. */
typedef enum sal_classical_kind {
    SAL_CLASSICAL_CENTER,         /* a Gaussian in the middle: what every model must beat */
    SAL_CLASSICAL_SPECTRAL,       /* spectral residual, Hou and Zhang 2007 */
    SAL_CLASSICAL_ITTI,           /* Itti, Koch and Niebur 1998; sal_map_adjust with a blur of 0.03
                                     raises its scores */
    SAL_CLASSICAL_GBVS,           /* graph-based visual saliency, Harel, Koch and Perona 2006 */
    SAL_CLASSICAL_BMS,            /* boolean map saliency, Zhang and Sclaroff 2013. (The authors'
                                     program takes blue for red, which scores the same: to get its
                                     maps, say that the pixels are in the other order) */
    SAL_CLASSICAL_COUNT
} sal_classical_kind;

/* "center", "spectral", "itti", "gbvs", "bms"; and back, or SAL_ERR_ARGUMENT. */
SALDEF const char *sal_classical_name(sal_classical_kind kind);
SALDEF sal_result sal_classical_from_name(const char *name, sal_classical_kind *kind);
/* The map of a picture, of its size: finite, from 0 to a maximum of 1 (all 1 where the model finds
   no difference, as in a picture of one colour; 0 where the picture is transparent). The caller
   frees the map. */
SALDEF sal_result sal_classical(sal_ctx *ctx, sal_classical_kind kind, const sal_image *image,
                                sal_map *map);
/* out (h, w) = exp(-dx^2 / 2 (sx w)^2 - dy^2 / 2 (sy h)^2), dx and dy from the centre. The prior of
   models has sx = sy = 0.21, the best fit to MIT1003 (OSIE 0.225, Scene 0.195). */
SALDEF void sal_center_prior(float *out, int w, int h, double sx, double sy);

/* --- api: predict ------------------------------------------------------------------------------

   A network on a run of one's own; a model, below, is the short way. */

/* A new saliency map of the picture's size, from 0 to a maximum of 1 (all 1 if no output of the
   network is above 0; 0 where the picture is transparent). The run has n = 1 and does not train. */
SALDEF sal_result sal_predict_run(sal_ctx *ctx, sal_run *run, const sal_image *image, sal_map *map);
/* The picture as input (3, h, w) of the network: fitted, channels in order, normalised. */
SALDEF sal_result sal_preprocess(sal_ctx *ctx, const sal_net *net, const sal_image *image, int w,
                                 int h, float *input);
/* The network's output raw (rh, rw) for an input of w x h as a new map of the picture: smoothed as
   the model asks, bars removed, bilinearly resized, scaled to a maximum of 1 (negative values: 0;
   all 1 if none is positive), then changed by power and floor of the description. */
SALDEF sal_result sal_postprocess(sal_ctx *ctx, const sal_net *net, const float *raw, int rw,
                                  int rh, int w, int h, int image_w, int image_h, sal_map *map);

/* --- api: model --------------------------------------------------------------------------------

   The highest level: any model by its name. */
typedef struct sal_model {
    char name[64];
    int center;                 /* set to 1: multiply every map by the centre prior */
    int domain;                 /* lite: which prior, SAL_DOMAIN_NEUTRAL or of a data set */
    double blur, power;         /* as in sal_map_adjust; 0: left out */
    sal_classical_kind classical;
    sal_net *net;               /* NULL for a classical model */
    sal_run *run;
} sal_model;

/* A new map of a picture by the default model (ctx->weights, else gbvs), which is opened and closed
   in each call: for many pictures use sal_model_open. */
SALDEF sal_result sal_saliency(sal_ctx *ctx, const sal_image *image, sal_map *map);
/* name is a classical model or a network; weights is the path of its weights file, or NULL for what
   is built in (ctx->weights). name may be NULL: the network that the file or what is built in
   holds; without either, gbvs. Neither the working folder nor the environment counts. Release with
   sal_model_close. */
SALDEF sal_result sal_model_open(sal_ctx *ctx, const char *name, const char *weights,
                                 sal_model *model);
/* From now on the network's input has w x h pixels: fewer are faster, more resolve smaller objects.
   On a size that the network does not take it fails and changes nothing. A classical model ignores
   it. */
SALDEF sal_result sal_model_resize(sal_ctx *ctx, sal_model *model, int w, int h);
/* A new map of the picture's size, from 0 to a maximum of 1; release it with sal_map_free. */
SALDEF sal_result sal_model_predict(sal_ctx *ctx, sal_model *model, const sal_image *image,
                                    sal_map *map);
/* Adapt a map to a data set: laboratories smooth fixations differently. blur is the sigma of a
   Gaussian, as a share of the map's long side, from 0 to 1. Then each value is raised to power
   (above 1: sharper peaks; 0 stands for 1), and the maximum becomes 1. Fails, and changes nothing,
   if a value is negative or not finite; without memory for the blur only its maximum becomes 1. */
SALDEF sal_result sal_map_adjust(sal_ctx *ctx, sal_map *map, double blur, double power);
/* What the network itself returned for the last picture, before any post-processing: a view (h, w)
   of the model's memory, valid until the next prediction; all zero for a classical model. */
SALDEF sal_tensor sal_model_raw(const sal_model *model);
SALDEF void sal_model_close(sal_ctx *ctx, sal_model *model);

/* --- api: explain ------------------------------------------------------------------------------

   What a network's map depends on: the gradient of a number, the mean or the variance of the map or
   of a region of it, by each value of a layer, times that value: the first-order term of its Taylor
   series (ML-Net, section IV-C, eq. 6). Layer 0 is the picture, as the network gets it. The input
   has the network's own size. */
typedef enum sal_explain_kind { SAL_EXPLAIN_MEAN, SAL_EXPLAIN_VARIANCE } sal_explain_kind;

typedef struct sal_explain_desc {
    int layer;                  /* index in net->layer; 0: the input */
    sal_explain_kind of;
    int x, y, w, h;             /* region, in pixels of the picture; w = 0: the whole map */
    int domain;                 /* as in sal_model */
} sal_explain_desc;

typedef struct sal_explanation {
    double target;              /* the mean or the variance that is explained */
    sal_shape shape;            /* of the layer's value */
    float *part;                /* (shape) gradient times value */
    sal_map map;                /* |sum of part over the channels|, resized to the picture, the
                                   largest 1 */
} sal_explanation;

/* For one picture; release with sal_explanation_free. Fails for the mean over the whole map of a
   network that ends in a softmax (lite): it is constant. */
SALDEF sal_result sal_explain(sal_ctx *ctx, const sal_net *net, const sal_image *image,
                              const sal_explain_desc *desc, sal_explanation *out);
SALDEF void sal_explanation_free(sal_ctx *ctx, sal_explanation *e);
/* Where the ConvLSTM of a SAM network looks in a step, from 1 to net->desc.steps: the attention of
   SAM's eq. 8, brought to the picture's size, the largest 1. */
SALDEF sal_result sal_attention(sal_ctx *ctx, const sal_net *net, const sal_image *image, int step,
                                sal_map *map);

/* --- api: self-test ------------------------------------------------------------------------

   Small fixed inputs through every kind of layer of the context's backend, forward and backward,
   against stored answers, and a checksum of the built-in weights: some milliseconds that tell
   whether a compiler, a processor or an emulator does what it should. SAL_ERR_NUMERIC, with a
   sentence that names the kernel, if not. report (may be NULL) gets a line for each: its name, and
   how far it is off as a share of the result's size; what is right is below 1e-3. */
SALDEF sal_result sal_self_test(sal_ctx *ctx, void (*report)(void *user, const char *kernel,
                                                             double error), void *user);

/* --- api: crop --------------------------------------------------------------------------------

   The box of a picture that keeps the most saliency, for thumbnails and other frames. */
typedef struct sal_box {
    int x, y, w, h;             /* whole pixels of the map, inside it */
    double left, top, right, bottom;    /* before rounding: the map spans 0..w, 0..h */
    double kept;                /* share of all saliency in the whole pixels */
} sal_box;

/* All zeros: the whole map. */
typedef struct sal_crop_desc {
    double aspect;              /* width / height of the box; 0: the map's */
    double area;                /* of the box as a share of the map's; 0: the largest that fits */
    int w, h;                   /* both > 0: this size; aspect, area, keep are ignored */
    double keep;                /* > 0, the zoom: the smallest box with this share of the saliency,
                                   of the aspect, and of the area or more if area is set; if no
                                   box of the aspect keeps so much, the largest (see kept) */
    double uncut;               /* > 0: connected regions above this share of the map's maximum are
                                   not cut, if possible; those larger than the box do not count */
    int boxes;                  /* so many boxes that do not overlap, the best first; 0: one */
    const sal_map *boost;       /* NULL, or what to add to the map: < 0 makes parts unwanted */
} sal_crop_desc;

/* The best boxes of a saliency map: exact among whole-pixel positions, then refined to fractions of
   a pixel (with uncut, keep or several boxes they stay whole). A size that does not fit is reduced
   in proportion. Where saliency does not decide, the box nearer to the middle is taken. What is
   negative counts as 0; if nothing is positive, all pixels count the same. `box` has room for
   desc->boxes; when fewer find a place, the rest become all zero. desc may be NULL. */
SALDEF sal_result sal_crop(sal_ctx *ctx, const sal_map *map, const sal_crop_desc *desc,
                           sal_box *box);

/* --- api: fixations -------------------------------------------------------------------------

   Coordinates are pixels of the picture: a fixation falls into floor(x + 0.5), floor(y + 0.5). */
typedef struct sal_fixation {
    float x, y;
    float start_ms, duration_ms;    /* -1 where the set does not tell */
    int subject;                    /* from 0; always 0 in sets that pool their viewers */
} sal_fixation;

/* A new map, the density of fixations: counts per pixel, blurred by a Gaussian (sigma in pixels,
   cut at 4 sigma, zeros outside), scaled to a maximum of 1. All zeros without fixations. Fixations
   up to a pixel outside count at the picture's edge; others outside or not finite are left out. */
SALDEF sal_result sal_density(sal_ctx *ctx, const sal_fixation *fixations, int count, int w, int h,
                              double sigma, sal_map *map);

/* --- api: metrics -----------------------------------------------------------------------------

   How well does a saliency map predict where people looked? Maps are floats (h, w), rows from the
   top; map, density and baseline of one call have the same size (the MIT code would first resize
   the map to the density with imresize: do that with sal_resize). The result is a double.

   Names the MIT benchmark uses (AUC_Judd, AUC_Borji, AUC_shuffled, NSS, CC, SIM, KL, IG) mean what
   its MATLAB code computes: a pixel fixated twice counts once, SIM and IG first stretch the maps to
   0..1. The other variants have names of their own.

   What every metric does with unusual input:
     a value that is not finite      SAL_ERR_NUMERIC with the name of the array
     a constant map, zero or not     knows nothing, so it scores chance: AUC 0.5, NSS 0, CC 0; in
                                     SIM, KL, IG and EMD it is the uniform distribution (the MATLAB
                                     code divides 0 by 0, or keeps zeros in KL and SIM)
     a density without any mass      the result is NaN: there is nothing to predict
     no fixation on the map          the result is NaN, as in MATLAB; AUC_Borji needs two
     a fixation outside the map, or  left out: the pixel of a fixation is floor(x + 0.5),
     with a NaN coordinate           floor(y + 0.5)
     negative values                 fine in AUC, NSS, CC and where maps are stretched to 0..1; else
                                     SIM and IG are NaN, KL takes the real part of the logarithm (as
                                     MATLAB prints it) and EMD takes them as 0 */
typedef struct sal_points {
    const float *x, *y;         /* as in sal_fixation */
    int count;
    int stride;                 /* floats from one x (or y) to the next; 0 counts as 1 */
} sal_points;

/* Each metric's equation and source stand above its function in >>metrics. */
typedef enum sal_metric_kind {
    SAL_METRIC_CC,              /* Pearson's correlation of map and density, -1..1 */
    SAL_METRIC_NSS,             /* normalised scanpath saliency: the mean of (m - mean m) / sd m at
                                   the fixated pixels, sd over n - 1. Chance 0, no bounds */
    SAL_METRIC_AUC,             /* exact area under the ROC curve, 0..1, chance 0.5: all fixations
                                   against all pixels */
    SAL_METRIC_SAUC,            /* the same against the fixations on other images instead of all
                                   pixels, so that the centre bias earns nothing */
    SAL_METRIC_SIM,             /* similarity: the sum of min(p, q), 0..1, of maps stretched to 0..1
                                   and divided by their sums */
    SAL_METRIC_KL,              /* Kullback-Leibler divergence of the map from the density, nats, 0
                                   is best; published numbers depend on epsilon */
    SAL_METRIC_IG,              /* information gain over the baseline (the centre prior, say), bits
                                   per fixated pixel, maps stretched as in SIM */
    SAL_METRIC_EMD,             /* earth mover's distance, in cells: mass times distance that turn
                                   the map into the density. Exact; 64 x 64 cells take about a
                                   second, 65536 are the most */
    SAL_METRIC_AUC_JUDD,        /* MIT's, without jitter: thresholds at the fixated pixels;
                                   negatives are the pixels not fixated */
    SAL_METRIC_AUC_BORJI,       /* MIT's: as many random pixels as fixated ones are the negatives,
                                   thresholds 0, step, 2 step .. 1, mean of `splits` draws */
    SAL_METRIC_AUC_BORJI_MEAN,  /* its mean over all possible draws */
    SAL_METRIC_AUC_SHUFFLED,    /* MIT's: the negatives are drawn, without repetition, from the
                                   pixels fixated on other images (ten in the benchmark) */
    SAL_METRIC_AUC_SHUFFLED_MEAN,   /* likewise */
    SAL_METRIC_NSS_ALL,         /* every fixation counts, also in a pixel that has another */
    SAL_METRIC_SIM_SUM,         /* maps as they are, divided by their sums */
    SAL_METRIC_IG_SUM,          /* likewise, and every fixation counts */
    SAL_METRIC_COUNT
} sal_metric_kind;
#define SAL_METRIC_BIT(metric) (1u << (metric))

enum { SAL_NEEDS_DENSITY = 1, SAL_NEEDS_FIXATIONS = 2, SAL_NEEDS_OTHERS = 4,
       SAL_NEEDS_BASELINE = 8 };

typedef struct sal_metric_info {
    const char *name;           /* "AUC_Judd" */
    const char *text;           /* what it is, in a few words */
    int better;                 /* 1: higher is better; -1: lower is */
    int needs;                  /* SAL_NEEDS_... */
} sal_metric_info;
/* NULL if there is no such metric. */
SALDEF const sal_metric_info *sal_metric_about(sal_metric_kind metric);

typedef struct sal_score_desc {
    int w, h;
    const float *map;           /* the prediction */
    const float *density;       /* what CC, SIM, KL and EMD compare with; NULL if not needed */
    const float *baseline;      /* what IG compares with; likewise */
    sal_points fixations;       /* x NULL: there are none to compare with */
    sal_points others;          /* on other images */
    unsigned metrics;           /* of sal_score: SAL_METRIC_BITs; 0: all that the arrays allow */
    double epsilon;             /* KL, IG; 0 means DBL_EPSILON, as MIT */
    int splits;                 /* AUC_Borji, AUC_shuffled: random draws; 0 means 100 */
    double step;                /* these and their _mean: of the thresholds; 0 means 0.1 */
    uint64_t seed;              /* 0: the context's */
    int cell;                   /* EMD: the maps are first reduced (bicubic with antialiasing) to
                                   equal cells of at most so many pixels, in whose sides it is
                                   measured; 0 means 32, as MIT */
} sal_score_desc;
/* One metric; desc needs the arrays that sal_metric_about names. */
SALDEF sal_result sal_metric(sal_ctx *ctx, sal_metric_kind which, const sal_score_desc *desc,
                             double *value);
/* Several in one call, which sorts the map once. value has SAL_METRIC_COUNT elements; those not
   asked for become NaN, on failure all become 0. */
SALDEF sal_result sal_score(sal_ctx *ctx, const sal_score_desc *desc, double *value);

#ifndef SALIENCY_NO_STDIO
/* --- api: train -------------------------------------------------------------------------------

   Training from any source of samples, here `mine` (examples/dataset.h makes one of folders):
       sal_train_desc d = sal_train_desc_paper(net->desc.kind);
       d.train = &mine; d.out = "mine.safetensors";
       r = sal_train(ctx, net, &d, &result);
   Pictures are shuffled, mirrored and cut by random numbers that depend on seed, epoch and picture
   alone, and every sum has a fixed order: the same description gives the same bits, for any number
   of threads, and also when training is stopped and resumed. */

/* A picture and what people looked at in it. */
typedef struct sal_sample {
    sal_image image;
    sal_map density;            /* of the picture's size, finite, not negative, not all zero; the
                                   trainer divides it by its maximum */
    sal_fixation *fixation;     /* from sal_alloc, or NULL; those outside are left out */
    int fixations;
} sal_sample;

/* What is known of a sample before it is loaded. All zero is the default. */
typedef struct sal_sample_info {
    const char *name;           /* for messages, and to know the samples again when resuming */
    int domain;                 /* lite's prior (SAL_DOMAIN_...) in half of the training steps with
                                   this sample, at random; else, and in validation, the neutral */
    int w, h;                   /* input size in training; 0, 0: the network's own, which
                                   validation always takes. At most 7 other sizes; each batch has
                                   one size */
} sal_sample_info;

/* Where samples come from. */
typedef struct sal_source {
    int count;
    /* Fill the sample i, which is all zero, with memory of ctx: sal_image_new, sal_map_new or
       sal_density, sal_alloc. The trainer releases it, whatever the result. On failure the sentence
       for sal_error goes into ctx->error. Many threads call this at once, each with a context. */
    sal_result (*load)(void *user, sal_ctx *ctx, int i, sal_sample *sample);
    void *user;
    const sal_sample_info *info;    /* `count` of them, or NULL */
} sal_source;

/* Where training stands; rows of history are epochs. */
enum { SAL_COLUMN_EPOCH, SAL_COLUMN_LOSS, SAL_COLUMN_VAL_LOSS, SAL_COLUMN_VAL_CC,
       SAL_COLUMN_VAL_NSS,
       SAL_COLUMN_RATE, SAL_COLUMN_MOMENTUM, SAL_COLUMN_COUNT };

typedef struct sal_train_progress {
    int loading;                /* 1: still reading pictures, or making features */
    int epoch, epochs;          /* epochs that are over, and all epochs */
    int step, steps;            /* batches done in this epoch, and all batches of an epoch */
    int pictures, val_pictures, skipped;
    double bytes;               /* memory that training takes, all in all */
    double loss;                /* mean of this epoch, so far; samples left out count as 0 */
    double rate, momentum, gradient;    /* of the last step; length of the gradient */
    double best;                /* the best validation so far (loss, or -CC or -NSS) */
    int best_epoch;
    int rows;                   /* epochs in history; one more than before: an epoch is over */
    const float (*history)[SAL_COLUMN_COUNT];
} sal_train_progress;

/* What the progress callback returns. */
enum { SAL_TRAIN_GO_ON, SAL_TRAIN_CHECKPOINT, SAL_TRAIN_STOP };

typedef enum sal_select { SAL_SELECT_LOSS, SAL_SELECT_CC, SAL_SELECT_NSS } sal_select;

typedef struct sal_train_desc {
    const sal_source *train;
    const sal_source *val;      /* to validate on; NULL or empty: no validation */
    int skip;                   /* 1: leave out and log what cannot be read, instead of failing */
    double cache_bytes;         /* pictures are kept decoded up to this size, else read again and
                                   again; 0: 8 GB */
    double memory_limit;        /* > 0: refuse to start if training takes more bytes */
    /* what learns, and how */
    const char *freeze;         /* see sal_run_desc */
    int fixed_norm;
    double dropout;             /* rate of the dropout layers; < 0: as the network has it */
    sal_loss loss;
    sal_optim_desc optim;
    sal_schedule schedule;
    double momentum, momentum_end;      /* linear over all steps */
    int epochs, batch;          /* an epoch is rounded up to whole batches */
    double average;             /* > 0: validate and save the exponential moving average of the
                                   weights; its decay per step (lower at first), as 0.99 */
    int patience;               /* > 0: stop after so many epochs without a better validation */
    sal_select select;          /* what is better, if there is validation */
    uint64_t seed;              /* take seeds far apart: epoch 2 of seed 1 has the order of epoch 1
                                   of seed 2 */
    /* variations of the pictures */
    int mirror;                 /* 1: half of them, at random */
    double crop;                /* cut off up to this share of the sides */
    double colour;              /* vary brightness, contrast, saturation by up to this share */
    /* files; NULL: none */
    const char *out;            /* the best weights, float32 */
    const char *state;          /* everything, to go on from */
    int resume;                 /* 1: go on from state if it exists */
    const char *features;       /* a cache of the frozen layers' outputs for each picture (half
                                   floats); made, or completed, if necessary; needs crop = colour
                                   = 0; twice as large with mirror */
    /* called after every step and while loading; returns SAL_TRAIN_GO_ON, ...; NULL: no calls */
    int (*progress)(void *user, const sal_train_progress *p);
    void *user;
    /* training in `ranks` processes (0: 1), each with a batch of its own; rank: 0 to ranks - 1.
       reduce replaces the values (count) by their sums over all processes */
    int rank, ranks;
    sal_result (*reduce)(void *user, float *values, size_t count);
} sal_train_desc;

typedef struct sal_train_result {
    int epochs;                 /* that were run, all in all */
    int best_epoch;             /* 0 without validation: then best is infinite, val_... are NaN */
    double loss, best, val_cc, val_nss;     /* last training loss; the best epoch's validation */
    int stopped;                /* 1: by the callback */
} sal_train_result;

/* The recipe of the paper (of the released code where it says more), for lite ours. Sources, files
   and callbacks are empty: set at least train. */
SALDEF sal_train_desc sal_train_desc_paper(sal_kind kind);
/* Train the network, which holds the best weights afterwards (without validation the last). Stops
   with SAL_ERR_NUMERIC, and says where, when values are no longer finite. A checkpoint (out, state)
   is written when the callback asks for it, when it stops training, and at the end; with validation
   there is no out before the end of the first epoch. Hooks of ctx are called by several threads. */
SALDEF sal_result sal_train(sal_ctx *ctx, sal_net *net, const sal_train_desc *desc,
                            sal_train_result *result);
/* A number in [0, 1) from a hash of the file name (without folders), to split data sets by. */
SALDEF double sal_name_share(const char *name, uint64_t seed);
#endif

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
#  include <errno.h>
#  include <fcntl.h>
#  include <sys/stat.h>
#  include <time.h>
#  ifdef _WIN32
#    include <direct.h>
#    include <io.h>
#    include <process.h>
#  else
#    include <dirent.h>
#    include <unistd.h>
#  endif
#endif
#ifndef SALIENCY_FILE
#  define SALIENCY_FILE "saliency.h"
#endif
/* clang 14 vectorises plain C wrongly for WebAssembly: it reads a value that is copied into all
   lanes again, after the store that overwrites it. So only >>kernels are compiled with vectors. */
#if defined(__wasm_simd128__)
#  pragma clang attribute push(__attribute__((target("no-simd128"))), apply_to = function)
#endif
#ifndef SALIENCY_NO_STB
#  define SAL__STB
#  include SALIENCY_FILE            /* this file includes itself: see >>stb */
#  undef SAL__STB
#endif

/* Products and sums are rounded one by one, so that plain C gives the same bits with -march=native
   and on ARM as elsewhere; >>kernels say themselves where both are one instruction. */
#if defined(__clang__)
#  pragma clang fp contract(off)
#elif defined(__GNUC__)
#  pragma GCC push_options
#  pragma GCC optimize("fp-contract=off")
#endif
#if defined(__GNUC__)           /* tasks and other callbacks need not use all that they are given */
#  pragma GCC diagnostic push
#  pragma GCC diagnostic ignored "-Wunused-parameter"
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
/* The same into array; without memory, leave the function. */
#define SAL__TRY_NEW(array, ctx, T, n) \
    do { (array) = SAL__NEW(ctx, T, n); if (!(array)) return SAL_ERR_MEMORY; } while (0)

/* T x = SAL__ZEROED; all of it is zero, in C and in C++. */
#ifdef __cplusplus
#  define SAL__ZEROED {}
#else
#  define SAL__ZEROED { 0 }
#endif

static double sal__clamp(double x, double low, double high) {
    if (x < low) return low;
    return x > high ? high : x;
}
/* x cut to low..high, without its fraction; NaN, which must not be cast, becomes low. */
static int sal__to_int(double x, double low, double high) {
    if (!(x > low)) return (int)low;
    return (int)(x < high ? x : high);
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
SALDEF const char *sal_version(void) { return SAL_VERSION; }

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3), unused))
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

/* The unsigned number in `bytes` bytes from p on; big: the most significant byte comes first. */
static uint64_t sal__uint(const unsigned char *p, int bytes, int big) {
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++) v = v << 8 | p[big ? i : bytes - 1 - i];
    return v;
}

/* --- UTF-8 ------------------------------------------------------------------------------- */

SALDEF int sal_utf8_length(const char *s) {
    const unsigned char *u = (const unsigned char *)s;
    int n = u[0] < 0x80;
    if (u[0] >= 0xC2 && u[0] < 0xF5) n = 2 + (u[0] >= 0xE0) + (u[0] >= 0xF0);
    for (int i = 1; i < n; i++) if ((u[i] & 0xC0) != 0x80) return 0;
    if ((u[0] == 0xE0 && u[1] < 0xA0) || (u[0] == 0xF0 && u[1] < 0x90)) return 0;   /* too long */
    if ((u[0] == 0xED && u[1] > 0x9F) || (u[0] == 0xF4 && u[1] > 0x8F)) return 0;   /* no such */
    return n;
}

SALDEF size_t sal_utf8_put(char *out, uint32_t c) {
    int n = 1 + (c >= 0x80) + (c >= 0x800) + (c >= 0x10000);
    static const unsigned char lead[] = { 0, 0, 0xC0, 0xE0, 0xF0 };
    for (int i = n - 1; i > 0; i--, c >>= 6) out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)(lead[n] | c);
    return (size_t)n;
}

/* --- numbers in text --------------------------------------------------------------------- */

SALDEF sal_result sal_number_parse(const char **text, double *out) {
    const char *s = *text;
    uint64_t value = 0;                     /* the first digits, 18 or 19; the others only count */
    double power = 0;
    int negative = *s == '-', digits = 0, point = 0, exponent = 0, sign = 1;
    if (*s == '-' || *s == '+') s++;
    for (; (*s >= '0' && *s <= '9') || (*s == '.' && !point); s++) {
        if (*s == '.') { point = 1; continue; }
        digits = 1;
        if (value > UINT64_MAX / 20) power += !point;
        else { value = value * 10 + (uint64_t)(*s - '0'); power -= point; }
    }
    if (!digits) return SAL_ERR_FORMAT;
    if (*s == 'e' || *s == 'E') {
        s++;
        if (*s == '-' || *s == '+') sign = *s++ == '-' ? -1 : 1;
        if (*s < '0' || *s > '9') return SAL_ERR_FORMAT;
        for (; *s >= '0' && *s <= '9'; s++) exponent = SAL__MIN(exponent * 10 + (*s - '0'), 9999);
        power += sign * exponent;
    }
    *out = (double)value;
    if (value && power < -300) { *out /= 1e300; power += 300; }     /* pow would be infinite */
    if (value) *out = power < 0 ? *out / pow(10, -power) : *out * pow(10, power);
    if (negative) *out = -*out;
    *text = s;
    return SAL_OK;
}

SALDEF const char *sal_number_print(char text[32], double value, int digits) {
    for (int d = digits ? digits : 6; ; d++) {      /* 9 are enough for any float */
        char raw[64], *to = text;
        const char *back = text;
        double again;
        snprintf(raw, sizeof raw, "%.*g", SAL__MIN(d, 17), value == value ? value : 0);
        for (const char *s = value == value ? raw : "nan"; *s; s++)
            if (strchr("0123456789+-einfa", *s)) *to++ = *s;
            else if (to > text && to[-1] != '.') *to++ = '.';
        *to = 0;
        if (digits || d == 9 || (!sal_number_parse(&back, &again) && (float)again == (float)value))
            return text;
    }
}

SALDEF const char *sal_file_kind(const void *bytes, size_t size) {
    const unsigned char *p = (const unsigned char *)bytes;
    static const struct { int at, length; const char *magic, *kind; } kinds[] = {
        { 8, 4, "WEBP", "a WebP picture" }, { 4, 7, "ftypavi", "an AVIF picture" },
        { 4, 7, "ftyphei", "a HEIC picture" }, { 4, 7, "ftyphev", "a HEIC picture" },
        { 4, 7, "ftypmif", "a HEIF picture" }, { 4, 7, "ftypmsf", "a HEIF picture" },
        { 4, 7, "ftypcrx", "a raw picture of a camera" }, { 4, 4, "ftyp", "a video" },
        { 0, 4, "GIF8", "a GIF picture" }, { 0, 4, "II*\0", "a TIFF or raw picture" },
        { 0, 4, "MM\0*", "a TIFF or raw picture" }, { 0, 2, "\xFF\x0A", "a JPEG XL picture" },
        { 4, 4, "JXL ", "a JPEG XL picture" }, { 4, 4, "jP  ", "a JPEG 2000 picture" },
        { 0, 4, "\xFF\x4F\xFF\x51", "a JPEG 2000 picture" }, { 0, 4, "8BPS", "a Photoshop file" },
        { 0, 4, "%PDF", "a PDF document" }, { 0, 4, "%!PS", "a PostScript document" },
        { 0, 4, "qoif", "a QOI picture" }, { 0, 4, "\x76\x2F\x31\x01", "an OpenEXR picture" },
        { 0, 10, "#?RADIANCE", "a Radiance HDR picture" }, { 0, 4, "\0\0\1\0", "an icon" },
        { 0, 3, "P2\n", "a PGM picture in plain text" }, { 0, 3, "P4\n", "a PBM picture" },
        { 0, 3, "P3\n", "a PPM picture in plain text" }, { 0, 3, "P7\n", "a PAM picture" },
        { 0, 3, "\xFF\xD8\xFF", "a JPEG picture" }, { 0, 4, "\x89PNG", "a PNG picture" },
        { 0, 2, "PK", "a zip archive" }, { 0, 2, "\x1F\x8B", "a gzip archive" },
        { 0, 4, "\x89HDF", "an HDF5 file" }, { 0, 6, "\x93NUMPY", "a NumPy array" },
        { 0, 6, "MATLAB", "a MATLAB file" },
        { 0, 23, "version https://git-lfs",
          "a Git LFS pointer, not the file itself (\"git lfs pull\" fetches it)" }
    };
    static const struct { const char *tag, *kind; } tags[] = {
        { "<!doctype html", "an HTML page" }, { "<html", "an HTML page" },
        { "<svg", "an SVG drawing" }, { "<?xml", "an XML file" }
    };
    size_t i, k, printable = 0, begin = SAL__MIN(size, 64);
    if (!size) return "an empty file";
    for (i = 0; i < (size_t)SAL__COUNT(kinds); i++)
        if (size >= (size_t)(kinds[i].at + kinds[i].length) &&
            !memcmp(p + kinds[i].at, kinds[i].magic, (size_t)kinds[i].length))
            return kinds[i].kind;
    for (k = 0; k < (size_t)SAL__COUNT(tags); k++) {
        size_t length = strlen(tags[k].tag), same = 0;
        for (i = 0; i < size && i < 1024 && same < length; i++)     /* small letters or capitals */
            if (p[i] == tags[k].tag[same] || (p[i] | 32) == tags[k].tag[same]) same++;
            else same = p[i] == '<';
        if (same == length) return tags[k].kind;
    }
    for (i = 0; i < begin; i++)
        printable += (p[i] >= ' ' && p[i] < 127) || (p[i] >= 9 && p[i] <= 13);
    return printable == begin ? "a text file" : "an unknown kind of file";
}

/* Files hold numbers with the least significant byte first; nearly all machines do. */
static int sal__is_big_endian(void) {
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return !first;
}

/* `count` numbers of so many `bytes`, in place, from a file's order to the machine's or back. */
static void sal__file_order(void *data, size_t count, size_t bytes) {
    unsigned char *p = (unsigned char *)data;
    if (bytes == 1 || !sal__is_big_endian()) return;
    for (; count; count--, p += bytes)
        for (size_t i = 0; i < bytes / 2; i++) {
            unsigned char c = p[i];
            p[i] = p[bytes - 1 - i]; p[bytes - 1 - i] = c;
        }
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
        sal__fail(ctx, SAL_ERR_MEMORY, "out of memory: cannot allocate %.0f bytes",
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
    if (!ctx->alloc) free(raw);
    else if (ctx->free) ctx->free(ctx->user, raw);
}

/* An arena: many things that are released together. */
struct sal__arena_block { struct sal__arena_block *next; size_t used, size; };
typedef struct sal__arena { struct sal__arena_block *head; } sal__arena;

static void *sal__arena_alloc(sal_ctx *ctx, sal__arena *arena, size_t count, size_t size) {
    enum { HEADER = 64, BLOCK = 1 << 16 };
    struct sal__arena_block *b = arena->head;
    size_t bytes;
    if (sal__mul_overflows(count, size, &bytes) || bytes > SIZE_MAX / 4) bytes = SIZE_MAX / 4;
    bytes = (bytes + 7) / 8 * 8;
    if (!b || b->size - b->used < bytes) {
        size_t room = SAL__MAX(bytes, (size_t)BLOCK);
        struct sal__arena_block *fresh;
        fresh = (struct sal__arena_block *)sal_alloc(ctx, 1, HEADER + room);
        if (!fresh) return NULL;
        fresh->size = room;
        if (b && bytes > BLOCK / 4) {       /* a big piece goes behind the block in use */
            fresh->next = b->next; b->next = fresh;
        } else {
            fresh->next = b; arena->head = fresh;
        }
        b = fresh;
    }
    b->used += bytes;
    return (unsigned char *)b + HEADER + b->used - bytes;
}

/* array = n zeroed T; without memory, leave the function. */
#define SAL__TRY_PUT(array, ctx, arena, T, n) do { \
        (array) = (T *)sal__arena_alloc(ctx, arena, (size_t)(n), sizeof(T)); \
        if (!(array)) return SAL_ERR_MEMORY; \
    } while (0)

static void sal__arena_free(sal_ctx *ctx, sal__arena *arena) {
    while (arena->head) {
        struct sal__arena_block *next = arena->head->next;
        sal_free(ctx, arena->head);
        arena->head = next;
    }
}

/* --- threads ----------------------------------------------------------------------------- */

SALDEF int sal_threads(const sal_ctx *ctx) {
    int n = ctx->threads;
#ifdef _OPENMP
    if (n <= 0) n = omp_get_max_threads();
#else
    if (!ctx->parallel_for) n = 1;
#endif
    return SAL__MAX(1, SAL__MIN(n, 256));
}

SALDEF void sal_parallel_for(sal_ctx *ctx, int n, sal_task_fn *fn, void *arg) {
    int i;
    if (ctx->parallel_for) { ctx->parallel_for(ctx->user, n, fn, arg); return; }
#ifdef _OPENMP
    if (sal_threads(ctx) > 1 && n > 1) {
        int some = SAL__MAX(1, n / (16 * sal_threads(ctx)));    /* small pieces go in groups */
        #pragma omp parallel for schedule(dynamic, some) num_threads(sal_threads(ctx))
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

/* Windows reads both slashes. */
static int sal__is_slash(char c) {
#ifdef _WIN32
    if (c == '\\') return 1;
#endif
    return c == '/';
}

SALDEF const char *sal_path_name(const char *path) {
    const char *name = path;
    for (; *path; path++) if (sal__is_slash(*path)) name = path + 1;
    return name;
}

#ifndef SALIENCY_NO_STDIO
/* A growing array of bytes: zero it, add, check `failed` at the end, sal_free the data. A zero byte
   stands behind them. */
typedef struct sal__bytes {
    sal_ctx *ctx;
    unsigned char *data;
    size_t size, room;
    int failed;
} sal__bytes;

/* Makes room for `more` bytes and the zero byte; returns 0 without memory. */
static int sal__bytes_reserve(sal__bytes *b, size_t more) {
    size_t room = 2 * b->room + more + 4096;
    if (b->room - b->size > more) return 1;
    unsigned char *grown = b->failed ? NULL : SAL__NEW(b->ctx, unsigned char, room);
    if (!grown) { b->failed = 1; return 0; }
    if (b->size) memcpy(grown, b->data, b->size);
    sal_free(b->ctx, b->data);
    b->data = grown; b->room = room;
    return 1;
}

/* The signature is that of stb_image_write's callbacks. */
static void sal__bytes_add(void *bytes, void *data, int size) {
    sal__bytes *b = (sal__bytes *)bytes;
    if (!sal__bytes_reserve(b, (size_t)size)) return;
    memcpy(b->data + b->size, data, (size_t)size);
    b->size += (size_t)size;
}

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static void sal__bytes_print(sal__bytes *b, const char *format, ...) {  /* short pieces */
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    sal__bytes_add(b, text, (int)strlen(text));
}

/* --- the system --------------------------------------------------------------------------------

   All that differs between Windows and other systems. Names of files are UTF-8 (Windows wants
   UTF-16), files are bytes (no line end is translated), and larger than 2 GB where the system
   can. The functions return -1 or NULL on failure, and errno says why. */
enum { SAL__PATH = 4096 };      /* bytes of a name that is written to */

#ifdef _WIN32
/* Declared as in windows.h, which would bring thousands of macros. */
#ifdef __cplusplus
extern "C" {
#endif
__declspec(dllimport) int __stdcall MultiByteToWideChar(unsigned, unsigned long, const char *, int,
                                                        wchar_t *, int);
__declspec(dllimport) int __stdcall WideCharToMultiByte(unsigned, unsigned long, const wchar_t *,
                                                        int, char *, int, const char *, int *);
__declspec(dllimport) int __stdcall MoveFileExW(const wchar_t *, const wchar_t *, unsigned long);
__declspec(dllimport) unsigned long __stdcall GetFileAttributesW(const wchar_t *);
#ifdef __cplusplus
}
#endif

enum { SAL__WIDE = 4096 };      /* UTF-16 units of a name */

/* A name in UTF-16; returns 0 on success. A name that is not UTF-8 is in main's code page. */
static int sal__utf16(wchar_t *out, const char *name) {
    enum { UTF8 = 65001, STRICT = 8 };
    if (MultiByteToWideChar(UTF8, STRICT, name, -1, out, SAL__WIDE) ||
        MultiByteToWideChar(0, STRICT, name, -1, out, SAL__WIDE)) return 0;
    errno = ENOENT;
    return -1;
}

static FILE *sal__open_file(const char *name, const char *mode) {
    wchar_t wide[SAL__WIDE], how[4];
    int i = 0;
    do how[i] = (wchar_t)mode[i]; while (mode[i++]);
    return sal__utf16(wide, name) ? NULL : _wfopen(wide, how);
}

static void sal__expect(FILE *file, int64_t at, size_t size) { }

static int sal__seek(FILE *file, int64_t by, int from) { return _fseeki64(file, by, from); }
static int64_t sal__tell(FILE *file) { return _ftelli64(file); }

static int sal__create_file(const char *name) {
    wchar_t wide[SAL__WIDE];
    return sal__utf16(wide, name) ? -1 : _wopen(wide, _O_WRONLY | _O_CREAT | _O_EXCL | _O_BINARY,
                                               _S_IREAD | _S_IWRITE);
}

static int sal__write(int file, const void *data, size_t size) {
    return _write(file, data, (unsigned)size);
}

static int sal__flush(int file) { return _commit(file); }
static int sal__close(int file) { return _close(file); }
static unsigned long sal__process(void) { return (unsigned long)_getpid(); }

static int sal__remove(const char *name) {
    wchar_t wide[SAL__WIDE];
    return sal__utf16(wide, name) ? -1 : _wunlink(wide);
}

static int sal__replace(const char *from, const char *to) {
    enum { REPLACE_EXISTING = 1, WRITE_THROUGH = 8 };
    wchar_t wide_from[SAL__WIDE], wide_to[SAL__WIDE];
    if (sal__utf16(wide_from, from) || sal__utf16(wide_to, to)) return -1;
    if (MoveFileExW(wide_from, wide_to, REPLACE_EXISTING | WRITE_THROUGH)) return 0;
    errno = EACCES;
    return -1;
}

static int sal__make_folder(const char *name) {
    wchar_t wide[SAL__WIDE];
    return sal__utf16(wide, name) ? -1 : _wmkdir(wide);
}

static int sal__follow_links(char *name) { (void)name; return 0; }
static int sal__open_stream(const char *name) { (void)name; return -1; }

SALDEF int sal_path_kind(const char *path) {
    enum { FOLDER = 0x10 };
    wchar_t wide[SAL__WIDE];
    unsigned long attributes = sal__utf16(wide, path) ? 0xFFFFFFFFu : GetFileAttributesW(wide);
    if (attributes == 0xFFFFFFFFu) return -1;
    return attributes & FOLDER ? 1 : 0;
}

/* The names in a folder, each with its zero byte. */
static int sal__folder_names(const char *path, sal__bytes *names) {
    wchar_t wide[SAL__WIDE + 2];
    struct _wfinddata64_t found;
    char name[4 * 260];
    intptr_t search;
    if (sal__utf16(wide, path)) return -1;
    memcpy(wide + wcslen(wide), L"/*", sizeof L"/*");
    search = _wfindfirst64(wide, &found);
    if (search == -1) return -1;
    do {
        int n = WideCharToMultiByte(65001, 0, found.name, -1, name, sizeof name, NULL, NULL);
        if (n > 0) sal__bytes_add(names, name, n);
    } while (!_wfindnext64(search, &found));
    _findclose(search);
    return 0;
}
#else
#ifdef __cplusplus
extern "C"
#endif
int fsync(int);                 /* unistd.h hides it in strict C99 modes, and readlink */
#ifndef __cplusplus
ssize_t readlink(const char *, char *, size_t);
#endif

static FILE *sal__open_file(const char *name, const char *mode) { return fopen(name, mode); }

/* These bytes will be read soon: the system may prefetch them. */
static void sal__expect(FILE *file, int64_t at, size_t size) {
#ifdef POSIX_FADV_WILLNEED
    posix_fadvise(fileno(file), (off_t)at, (off_t)size, POSIX_FADV_WILLNEED);
#endif
}

static int sal__seek(FILE *file, int64_t by, int from) {
    if (by == (long)by) return fseek(file, (long)by, from);
    errno = EOVERFLOW;
    return -1;
}

static int64_t sal__tell(FILE *file) { return ftell(file); }

static int sal__create_file(const char *name) {
    return open(name, O_WRONLY | O_CREAT | O_EXCL, 0666);
}

static int sal__write(int file, const void *data, size_t size) {
    return (int)write(file, data, size);
}

static int sal__flush(int file) { return fsync(file); }
static int sal__close(int file) { return close(file); }
static unsigned long sal__process(void) { return (unsigned long)getpid(); }
static int sal__remove(const char *name) { return unlink(name); }
static int sal__replace(const char *from, const char *to) { return rename(from, to); }
static int sal__make_folder(const char *name) { return mkdir(name, 0777); }

/* Replaces a name by the target of its symbolic links; the target need not exist. */
static int sal__follow_links(char name[SAL__PATH]) {
    char to[SAL__PATH];
    for (int links = 0; links < 40; links++) {
        ssize_t n = readlink(name, to, sizeof to - 1);
        size_t at = n > 0 && to[0] == '/' ? 0 : (size_t)(sal_path_name(name) - name);
        if (n < 0) return 0;
        if (at + (size_t)n >= SAL__PATH) { errno = ENAMETOOLONG; return -1; }
        memcpy(name + at, to, (size_t)n);
        name[at + (size_t)n] = 0;
    }
    errno = ELOOP;
    return -1;
}

/* Opens a pipe, a terminal or a device for writing; -1 for files and folders. */
static int sal__open_stream(const char *name) {
    struct stat s;
    return stat(name, &s) || S_ISREG(s.st_mode) || S_ISDIR(s.st_mode) ? -1 : open(name, O_WRONLY);
}

SALDEF int sal_path_kind(const char *path) {
    struct stat s;
    if (stat(path, &s)) return -1;
    return S_ISDIR(s.st_mode) ? 1 : 0;
}

/* The names in a folder, each with its zero byte. */
static int sal__folder_names(const char *path, sal__bytes *names) {
    struct dirent *entry;
    DIR *dir = opendir(path);
    if (!dir) return -1;
    while ((entry = readdir(dir)) != NULL)
        sal__bytes_add(names, entry->d_name, (int)strlen(entry->d_name) + 1);
    closedir(dir);
    return 0;
}
#endif

/* Open a file for reading; *size: its bytes. *pipe: 1 if it is a pipe, which must be read to learn
   its size. With pipe NULL pipes are refused. On failure *file is NULL. */
static sal_result sal__open(sal_ctx *ctx, const char *path, FILE **file, size_t *size, int *pipe) {
    int64_t length;
    sal_result r = SAL_OK;
    *file = NULL;
    if (pipe) *pipe = 0;
    if (sal_path_kind(path) == 1)
        return sal__fail(ctx, SAL_ERR_IO, "%s: is a folder, not a file", path);
    *file = sal__open_file(path, "rb");
    if (!*file)
        return sal__fail(ctx, SAL_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    if (sal__seek(*file, 0, SEEK_END) || (length = sal__tell(*file)) < 0 ||
        sal__seek(*file, 0, SEEK_SET)) {
        if (pipe && errno == ESPIPE) { *pipe = 1; return SAL_OK; }
        r = sal__fail(ctx, SAL_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    } else if ((uint64_t)length > SIZE_MAX / 2)
        r = sal__fail(ctx, SAL_ERR_MEMORY, "%s: %.0f bytes are more than fit into memory", path,
                      (double)length);
    else *size = (size_t)length;
    if (r == SAL_OK) return r;
    fclose(*file);
    *file = NULL;
    return r;
}

/* Reads a file to its end and closes it; with less than `length` bytes it is cut off. A zero byte
   follows the data. */
static sal_result sal__read_all(sal_ctx *ctx, const char *path, FILE *file, size_t length,
                                unsigned char **data, size_t *size) {
    sal__bytes all = SAL__ZEROED;
    all.ctx = ctx;
    for (size_t more = length + 1; !feof(file) && !ferror(file); more = 1) {
        if (!sal__bytes_reserve(&all, more)) break;
        all.size += fread(all.data + all.size, 1, all.room - all.size - 1, file);
    }
    int cut = ferror(file) || all.size < length;
    fclose(file);
    *data = all.data; *size = all.size;
    if (!all.failed && !cut) return SAL_OK;
    sal_free(ctx, all.data);
    *data = NULL; *size = 0;
    return all.failed ? SAL_ERR_MEMORY
         : sal__fail(ctx, SAL_ERR_IO, "%s: cannot be read to its end (%.0f bytes)", path,
                     (double)SAL__MAX(all.size, length));
}

SALDEF sal_result sal_file_read(sal_ctx *ctx, const char *path, unsigned char **data,
                                size_t *size) {
    FILE *file;
    size_t length = 0;
    int pipe;
    *data = NULL; *size = 0;
    SAL__TRY(sal__open(ctx, path, &file, &length, &pipe));
    return sal__read_all(ctx, path, file, length, data, size);
}

/* Writes a file piece by piece, to a temporary name beside it. Begin, append as often as you like,
   and always end: it puts the file in place, or says what went wrong and leaves nothing behind. */
typedef struct sal__output {
    sal_ctx *ctx;
    const char *path;           /* as given */
    char *target, *temporary;   /* the file itself; what is written first, "" for streams */
    int file, reason;           /* reason: the first errno, 0 as long as all went well */
} sal__output;

/* The temporary file is always a new one: no file is overwritten, and no link followed. */
static sal_result sal__output_begin(sal_ctx *ctx, const char *path, sal__output *out) {
    enum { ROOM = SAL__PATH + 24 };
    sal_rng suffix = { (uint64_t)time(NULL) ^ (uint64_t)clock() << 20 ^
                       (uint64_t)(uintptr_t)ctx << 8 ^ (uint64_t)sal__process() << 40 };
    int attempt = 0, folder;
    out->ctx = ctx;
    out->path = path;
    out->file = -1;
    SAL__TRY_NEW(out->target, ctx, char, (int)SAL__PATH + (int)ROOM);
    out->temporary = out->target + SAL__PATH;
    out->reason = strlen(path) < SAL__PATH ? 0 : ENAMETOOLONG;
    if (!out->reason && !ctx->write) out->file = sal__open_stream(path);
    if (out->reason || out->file >= 0 || ctx->write) return SAL_OK;
    strcpy(out->target, path);
    if (sal__follow_links(out->target)) { out->reason = errno; return SAL_OK; }
    folder = (int)strlen(out->target);      /* the name itself may be as long as names can be */
    while (folder && !sal__is_slash(out->target[folder - 1])) folder--;
    do {
        snprintf(out->temporary, ROOM, "%.*s.%08lx%08lx.tmp", folder, out->target,
                 (unsigned long)sal_rng_below(&suffix, 0xFFFFFFFFu),
                 (unsigned long)sal_rng_below(&suffix, 0xFFFFFFFFu));
        out->file = sal__create_file(out->temporary);
    } while (out->file < 0 && errno == EEXIST && ++attempt < 100);
    out->reason = out->file < 0 ? errno : 0;
    return SAL_OK;
}

static void sal__output_append(sal__output *out, const void *data, size_t size) {
    const unsigned char *bytes = (const unsigned char *)data;
    size_t done = 0;
    if (out->ctx->write) {
        if (!out->reason) out->reason = out->ctx->write(out->ctx->user, out->path, data, size);
        return;
    }
    while (!out->reason && done < size) {
        int n = sal__write(out->file, bytes + done, SAL__MIN(size - done, (size_t)1 << 30));
        if (n > 0) done += (size_t)n;
        else if (n < 0 && errno != EINTR) out->reason = errno;
    }
}

/* `count` numbers; their `bytes` divide 4096. */
static void sal__output_numbers(sal__output *out, const void *data, size_t count, size_t bytes) {
    unsigned char piece[4096];
    if (!sal__is_big_endian()) { sal__output_append(out, data, count * bytes); return; }
    for (size_t done = 0, n; done < count; done += n) {
        n = SAL__MIN(count - done, sizeof piece / bytes);
        memcpy(piece, (const unsigned char *)data + done * bytes, n * bytes);
        sal__file_order(piece, n, bytes);
        sal__output_append(out, piece, n * bytes);
    }
}

static sal_result sal__output_end(sal__output *out) {
    int reason = out->reason, placed = *out->temporary && out->file >= 0;
    if (out->file >= 0 && !reason && sal__flush(out->file) && errno != EINVAL) reason = errno;
    if (out->file >= 0 && sal__close(out->file) && !reason) reason = errno;
    if (!reason && placed && sal__replace(out->temporary, out->target)) reason = errno;
    if (reason && placed) sal__remove(out->temporary);
    sal_free(out->ctx, out->target);
    if (!reason) return SAL_OK;
    return sal__fail(out->ctx, SAL_ERR_IO, "%s: cannot be written: %s", out->path,
                     strerror(reason));
}

SALDEF sal_result sal_file_write(sal_ctx *ctx, const char *path, const void *data, size_t size) {
    sal__output out;
    SAL__TRY(sal__output_begin(ctx, path, &out));
    sal__output_append(&out, data, size);
    return sal__output_end(&out);
}

SALDEF sal_result sal_folder_make(sal_ctx *ctx, const char *path) {
    char *above;
    if (sal_path_kind(path) == 1) return SAL_OK;
    SAL__TRY_NEW(above, ctx, char, strlen(path) + 1);
    for (size_t i = 0; path[i]; above[i] = path[i], i++)    /* only the last failure counts */
        if (i && sal__is_slash(path[i]) && sal_path_kind(above) < 0) sal__make_folder(above);
    sal_free(ctx, above);
    if (sal_path_kind(path) == 1 || sal__make_folder(path) == 0) return SAL_OK;
    return sal__fail(ctx, SAL_ERR_IO, "%s: cannot be made a folder: %s", path, strerror(errno));
}

static int sal__compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

SALDEF sal_result sal_dir_list(sal_ctx *ctx, const char *path, char ***names, int *count) {
    sal__bytes found = SAL__ZEROED;
    size_t i, n = 0;
    found.ctx = ctx;
    *names = NULL; *count = 0;
    if (sal__folder_names(path, &found)) {
        sal_free(ctx, found.data);
        return sal__fail(ctx, SAL_ERR_IO, "%s: cannot be listed: %s", path, strerror(errno));
    }
    for (i = 0; i < found.size; i++) n += !found.data[i];
    /* pointers first, the names behind them, so that one sal_free releases everything */
    size_t all = (n + 1) * sizeof(char *) + found.size;
    if (!found.failed) *names = (char **)sal_alloc(ctx, 1, all);
    if (!*names) { sal_free(ctx, found.data); return SAL_ERR_MEMORY; }
    char *name = (char *)(*names + n + 1), *end = name + found.size;
    if (found.size) memcpy(name, found.data, found.size);
    sal_free(ctx, found.data);
    for (; name < end; name += strlen(name) + 1)
        if (strcmp(name, ".") && strcmp(name, "..")) (*names)[(*count)++] = name;
    qsort(*names, (size_t)*count, sizeof(char *), sal__compare_names);
    return SAL_OK;
}

#endif /* SALIENCY_NO_STDIO */

/* ============================================================================================
   >>tensor  element types and views
   ========================================================================================== */

/* The element types of safetensors files; the first four are those of sal_dtype. */
static const struct { const char *name; size_t size; } sal__types[] = {
    { "F32", 4 }, { "F16", 2 }, { "BF16", 2 }, { "I8", 1 }, { "F64", 8 }, { "I64", 8 },
    { "U64", 8 }, { "I32", 4 }, { "U32", 4 }, { "I16", 2 }, { "U16", 2 }, { "U8", 1 },
    { "BOOL", 1 }, { "F8_E4M3", 1 }, { "F8_E5M2", 1 }, { "C64", 8 }
};

SALDEF size_t sal_dtype_size(sal_dtype t) {
    return (unsigned)t < SAL__COUNT(sal__types) ? sal__types[t].size : 0;
}
SALDEF const char *sal_dtype_name(sal_dtype t) {
    return (unsigned)t < SAL__COUNT(sal__types) ? sal__types[t].name : "?";
}

SALDEF size_t sal_tensor_count(const sal_tensor *t) {
    size_t n = 1;
    for (int i = 0; i < t->ndim; i++) n *= (size_t)t->dim[i];
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
    size_t row = sal_tensor_count(t) / (size_t)SAL__MAX(t->dim[0], 1);      /* of I8 */
    const uint16_t *half = (const uint16_t *)t->data + start;
    const int8_t *byte = (const int8_t *)t->data + start;
    switch (t->dtype) {
    case SAL_DTYPE_F32:  memcpy(out, (const float *)t->data + start, count * sizeof(float)); break;
    case SAL_DTYPE_F16:  for (size_t i = 0; i < count; i++) out[i] = sal_f16_to_f32(half[i]); break;
    case SAL_DTYPE_BF16:
        for (size_t i = 0; i < count; i++) out[i] = sal_bf16_to_f32(half[i]);
        break;
    case SAL_DTYPE_I8:
        for (size_t i = 0; i < count; ) {                      /* row by row */
            size_t r = (start + i) / row, end = SAL__MIN((r + 1) * row - start, count);
            for (; i < end; i++) out[i] = (float)byte[i] * t->scale[r];
        }
        break;
    }
}

/* 1 if n values are finite: infinity or NaN times 0 is NaN, and so is every sum that has it. */
static int sal__all_finite(const float *x, size_t n) {
    enum { SIDE = 16 };
    float sum[SIDE] = { 0 };
    size_t i = 0;
    for (; i + SIDE <= n; i += SIDE)
        for (int l = 0; l < SIDE; l++) sum[l] += x[i + l] * 0;
    for (; i < n; i++) sum[0] += x[i] * 0;
    for (int l = 1; l < SIDE; l++) sum[0] += sum[l];
    return sum[0] == 0;
}

/* ============================================================================================
   >>gemm  matrix products: dense layers
   ========================================================================================== */

/* >>dense  A fully connected layer.
   out (n, nout), in (n, nin), weight (nout, nin), bias (nout) or NULL:
       out[s][o] = bias[o] + sum over i of weight[o][i] * in[s][i] */
SALDEF void sal_dense_forward(float *out, const float *in, const float *weight, const float *bias,
                              int n, int nin, int nout) {
    for (int s = 0; s < n; s++)
        for (int o = 0; o < nout; o++) {
            const float *x = in + (size_t)s * nin, *w = weight + (size_t)o * nin;
            double sum = bias ? bias[o] : 0;
            for (int i = 0; i < nin; i++) sum += (double)w[i] * x[i];
            out[(size_t)s * nout + o] = (float)sum;
        }
}

/* dweight (nout, nin); that of the bias is sal_bias_backward with hw = 1.
       dweight[o][i] += sum over s of dout[s][o] * in[s][i] */
SALDEF void sal_dense_backward_weight(float *dweight, const float *dout, const float *in, int n,
                                      int nin, int nout) {
    for (int o = 0; o < nout; o++)
        for (int s = 0; s < n; s++) {
            const float *x = in + (size_t)s * nin, g = dout[(size_t)s * nout + o];
            for (int i = 0; i < nin; i++) dweight[(size_t)o * nin + i] += g * x[i];
        }
}

/* din[s][i] += sum over o of weight[o][i] * dout[s][o]: the matrix product din += dout weight */
SALDEF void sal_dense_backward_data(float *din, const float *dout, const float *weight, int n,
                                    int nin, int nout) {
    for (int s = 0; s < n; s++)
        for (int o = 0; o < nout; o++) {
            const float *w = weight + (size_t)o * nin, g = dout[(size_t)s * nout + o];
            for (int i = 0; i < nin; i++) din[(size_t)s * nin + i] += g * w[i];
        }
}

/* The bias of a convolution or dense layer.   dbias (c), dout (n, c, hw):
       dbias[k] += sum over s, i of dout[s][k][i] */
SALDEF void sal_bias_backward(float *dbias, const float *dout, int n, int c, int hw) {
    for (int k = 0; k < c; k++) {
        double sum = 0;
        for (int s = 0; s < n; s++) {
            const float *g = dout + ((size_t)s * c + k) * hw;
            for (int i = 0; i < hw; i++) sum += g[i];
        }
        dbias[k] += (float)sum;
    }
}

/* ============================================================================================
   >>conv  two-dimensional convolution
   ========================================================================================== */

SALDEF sal_result sal_conv_fit(sal_conv *s) {
    if (s->kh < 1 || s->kw < 1 || s->stride < 1 || s->dilation < 1) return SAL_ERR_SHAPE;
    int h = s->ih + s->top + s->bottom - ((s->kh - 1) * s->dilation + 1);
    int w = s->iw + s->left + s->right - ((s->kw - 1) * s->dilation + 1);
    s->oh = h < 0 ? 0 : h / s->stride + 1;
    s->ow = w < 0 ? 0 : w / s->stride + 1;
    return h >= 0 && w >= 0 ? SAL_OK : SAL_ERR_SHAPE;
}

/* The numbers i in 0..k-1 for which 0 <= start + i * step < size: [*first, *last). */
static void sal__inside(int start, int step, int k, int size, int *first, int *last) {
    *first = start >= 0 ? 0 : (-start + step - 1) / step;
    *last = start >= size ? 0 : (size - 1 - start) / step + 1;
    if (*last > k) *last = k;
}

/* >>conv2d  Cross-correlation, which every deep learning framework calls convolution.
   out (n, oc, oh, ow), in (n, ic, ih, iw), weight (oc, ic, kh, kw), bias (oc) or NULL:
       out[o][y][x] = bias[o] + sum over c, i, j of weight[o][c][i][j] * in[c][v][u],
       v = y * stride - top + i * dilation,   u = x * stride - left + j * dilation,
   where in is zero outside its borders. */
SALDEF void sal_conv2d_forward(float *out, const float *in, const float *weight, const float *bias,
                               const sal_conv *s) {
    for (int n = 0; n < s->n; n++)
    for (int o = 0; o < s->oc; o++)
    for (int y = 0; y < s->oh; y++)
    for (int x = 0; x < s->ow; x++) {
        int top = y * s->stride - s->top, left = x * s->stride - s->left, i0, i1, j0, j1;
        double sum = bias ? bias[o] : 0;
        sal__inside(top, s->dilation, s->kh, s->ih, &i0, &i1);
        sal__inside(left, s->dilation, s->kw, s->iw, &j0, &j1);
        for (int c = 0; c < s->ic; c++)
            for (int i = i0; i < i1; i++) {
                size_t y_in = (size_t)(n * s->ic + c) * s->ih + (top + i * s->dilation);
                const float *row = in + y_in * s->iw;
                const float *w = weight + ((size_t)(o * s->ic + c) * s->kh + i) * s->kw;
                for (int j = j0; j < j1; j++) sum += (double)w[j] * row[left + j * s->dilation];
            }
        *out++ = (float)sum;
    }
}

/* Forward's pairs of in[v][u] and out[y][x] again: i and j are fixed, and y, x run over the outputs
   whose v and u lie inside the input.
       din[c][v][u] += sum over o, i, j of weight[o][c][i][j] * dout[o][y][x] */
SALDEF void sal_conv2d_backward_data(float *din, const float *dout, const float *weight,
                                     const sal_conv *s) {
    int y0, y1, x0, x1;
    for (int n = 0; n < s->n; n++)
    for (int o = 0; o < s->oc; o++)
    for (int c = 0; c < s->ic; c++)
    for (int i = 0; i < s->kh; i++)
    for (int j = 0; j < s->kw; j++) {
        int top = i * s->dilation - s->top, left = j * s->dilation - s->left;
        float w = weight[((size_t)(o * s->ic + c) * s->kh + i) * s->kw + j];
        sal__inside(top, s->stride, s->oh, s->ih, &y0, &y1);
        sal__inside(left, s->stride, s->ow, s->iw, &x0, &x1);
        for (int y = y0; y < y1; y++) {
            float *to = din + ((size_t)(n * s->ic + c) * s->ih + (top + y * s->stride)) * s->iw;
            const float *from = dout + ((size_t)(n * s->oc + o) * s->oh + y) * s->ow;
            for (int x = x0; x < x1; x++) to[left + x * s->stride] += w * from[x];
        }
    }
}

/* dweight[o][c][i][j] += sum over n, y, x of dout[n][o][y][x] * in[n][c][v][u] */
SALDEF void sal_conv2d_backward_weight(float *dweight, const float *dout, const float *in,
                                       const sal_conv *s) {
    int y0, y1, x0, x1;
    for (int o = 0; o < s->oc; o++)
    for (int c = 0; c < s->ic; c++)
    for (int i = 0; i < s->kh; i++)
    for (int j = 0; j < s->kw; j++) {
        int top = i * s->dilation - s->top, left = j * s->dilation - s->left;
        double sum = 0;
        sal__inside(top, s->stride, s->oh, s->ih, &y0, &y1);
        sal__inside(left, s->stride, s->ow, s->iw, &x0, &x1);
        for (int n = 0; n < s->n; n++)
            for (int y = y0; y < y1; y++) {
                size_t y_in = (size_t)(n * s->ic + c) * s->ih + (top + y * s->stride);
                const float *row = in + y_in * s->iw;
                const float *g = dout + ((size_t)(n * s->oc + o) * s->oh + y) * s->ow;
                for (int x = x0; x < x1; x++) sum += (double)g[x] * row[left + x * s->stride];
            }
        *dweight++ += (float)sum;
    }
}

/* A depthwise convolution is one of one channel for each channel of each sample. */
static sal_conv sal__depthwise_plane(const sal_conv *s) {
    sal_conv plane = *s;
    plane.n = plane.ic = plane.oc = 1;
    return plane;
}

/* Depthwise convolution (Howard et al., "MobileNets", 2017): every channel has a kernel of its own
   and sees no other.
   out (n, c, oh, ow), in (n, c, ih, iw), weight (c, 1, kh, kw), bias (c) or NULL:
       out[c][y][x] = bias[c] + sum over i, j of weight[c][i][j] * in[c][v][u],   v, u as above */
SALDEF void sal_depthwise_forward(float *out, const float *in, const float *weight,
                                  const float *bias, const sal_conv *s) {
    sal_conv plane = sal__depthwise_plane(s);
    for (int i = 0; i < s->n * s->ic; i++, in += s->ih * s->iw, out += s->oh * s->ow) {
        int c = i % s->ic;
        sal_conv2d_forward(out, in, weight + (size_t)c * s->kh * s->kw, bias ? bias + c : NULL,
                           &plane);
    }
}

/* Its gradients: those of one convolution for each channel. dweight (c, 1, kh, kw). */
SALDEF void sal_depthwise_backward_data(float *din, const float *dout, const float *weight,
                                        const sal_conv *s) {
    sal_conv plane = sal__depthwise_plane(s);
    for (int i = 0; i < s->n * s->ic; i++, din += s->ih * s->iw, dout += s->oh * s->ow)
        sal_conv2d_backward_data(din, dout, weight + (size_t)(i % s->ic) * s->kh * s->kw, &plane);
}

SALDEF void sal_depthwise_backward_weight(float *dweight, const float *dout, const float *in,
                                          const sal_conv *s) {
    sal_conv plane = sal__depthwise_plane(s);
    for (int i = 0; i < s->n * s->ic; i++, in += s->ih * s->iw, dout += s->oh * s->ow)
        sal_conv2d_backward_weight(dweight + (size_t)(i % s->ic) * s->kh * s->kw, dout, in, &plane);
}

/* ============================================================================================
   >>layers  the other operators
   ========================================================================================== */

/* Goodfellow et al., "Maxout networks", ICML 2013.   out (n), in (n, pieces):
       out[i] = max over p of in[i][p];   arg[i] is the piece that won (the first of equals) */
SALDEF void sal_maxout_forward(float *out, int *arg, const float *in, int n, int pieces) {
    for (int i = 0; i < n; i++) {
        const float *x = in + (size_t)i * pieces;
        int best = 0;
        for (int p = 1; p < pieces; p++) if (x[p] > x[best]) best = p;
        out[i] = x[best];
        if (arg) arg[i] = best;
    }
}

/* din[i][arg[i]] += dout[i]: only the winner receives gradient. */
SALDEF void sal_maxout_backward(float *din, const float *dout, const int *arg, int n, int pieces) {
    for (int i = 0; i < n; i++) din[(size_t)i * pieces + arg[i]] += dout[i];
}

SALDEF sal_result sal_pool_fit(sal_pool *s, sal_padding padding) {
    if (s->k < 1 || s->stride < 1) return SAL_ERR_SHAPE;
    s->top = s->left = 0;
    if (padding == SAL_PADDING_SAME) {
        s->oh = (s->ih + s->stride - 1) / s->stride;
        s->ow = (s->iw + s->stride - 1) / s->stride;
        s->top  = SAL__MAX((s->oh - 1) * s->stride + s->k - s->ih, 0) / 2;
        s->left = SAL__MAX((s->ow - 1) * s->stride + s->k - s->iw, 0) / 2;
        return SAL_OK;
    }
    s->oh = s->ih < s->k ? 0 : (s->ih - s->k) / s->stride + 1;
    s->ow = s->iw < s->k ? 0 : (s->iw - s->k) / s->stride + 1;
    return s->oh > 0 && s->ow > 0 ? SAL_OK : SAL_ERR_SHAPE;
}

/* out (n, oh, ow), in (n, ih, iw):
       out[y][x] = max of in over the k x k window at (y * stride - top, x * stride - left);
   arg (as out, or NULL) is the winner's index in its plane, the first of equals. */
SALDEF void sal_maxpool_forward(float *out, int *arg, const float *in, const sal_pool *s) {
    for (int n = 0; n < s->n; n++, in += (size_t)s->ih * s->iw)
    for (int y = 0; y < s->oh; y++)
    for (int x = 0; x < s->ow; x++) {
        int top = y * s->stride - s->top, left = x * s->stride - s->left;
        int i0 = SAL__MAX(top, 0), i1 = SAL__MIN(top + s->k, s->ih);
        int j0 = SAL__MAX(left, 0), j1 = SAL__MIN(left + s->k, s->iw);
        int best = i0 * s->iw + j0;
        for (int i = i0; i < i1; i++)
            for (int j = j0; j < j1; j++)
                if (in[i * s->iw + j] > in[best]) best = i * s->iw + j;
        *out++ = in[best];
        if (arg) *arg++ = best;
    }
}

/* din[arg[y][x]] += dout[y][x]; windows that overlap may share a winner. */
SALDEF void sal_maxpool_backward(float *din, const float *dout, const int *arg, const sal_pool *s) {
    for (int n = 0; n < s->n; n++, din += (size_t)s->ih * s->iw)
        for (int i = 0; i < s->oh * s->ow; i++) din[*arg++] += *dout++;
}

/* >>relu  The element-wise functions may work in place (out == in).
       out[i] = max(0, in[i]) */
SALDEF void sal_relu_forward(float *out, const float *in, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = in[i] > 0 ? in[i] : 0;
}

/* din[i] += dout[i] where out[i] > 0 (at 0 the slope is taken as 0) */
SALDEF void sal_relu_backward(float *din, const float *dout, const float *out, size_t n) {
    for (size_t i = 0; i < n; i++) din[i] += out[i] > 0 ? dout[i] : 0;
}

/* out[i] = min(max(0, in[i]), 6) */
SALDEF void sal_relu6_forward(float *out, const float *in, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = in[i] > 0 ? SAL__MIN(in[i], 6) : 0;
}

/* din[i] += dout[i] where 0 < out[i] < 6 */
SALDEF void sal_relu6_backward(float *din, const float *dout, const float *out, size_t n) {
    for (size_t i = 0; i < n; i++) din[i] += out[i] > 0 && out[i] < 6 ? dout[i] : 0;
}

/* out[i] = 1 / (1 + exp(-in[i])) */
SALDEF void sal_sigmoid_forward(float *out, const float *in, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = (float)(1.0 / (1.0 + exp(-(double)in[i])));
}

/* din[i] += dout[i] * out[i] * (1 - out[i]) */
SALDEF void sal_sigmoid_backward(float *din, const float *dout, const float *out, size_t n) {
    for (size_t i = 0; i < n; i++) din[i] += dout[i] * out[i] * (1 - out[i]);
}

/* out[i] = tanh(in[i]) */
SALDEF void sal_tanh_forward(float *out, const float *in, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = (float)tanh((double)in[i]);
}

/* din[i] += dout[i] * (1 - out[i]^2) */
SALDEF void sal_tanh_backward(float *din, const float *dout, const float *out, size_t n) {
    for (size_t i = 0; i < n; i++) din[i] += dout[i] * (1 - out[i] * out[i]);
}

/* >>softmax  Over each of n rows of size values; a row may be all positions of a map (SAM eq. (8)).
       out[i] = exp(in[i] - m) / sum over j of exp(in[j] - m)
   with m = max in[j], so that no exponential overflows. */
SALDEF void sal_softmax_forward(float *out, const float *in, int n, int size) {
    for (int s = 0; s < n; s++, in += size, out += size) {
        float top = in[0];
        double sum = 0;
        for (int i = 1; i < size; i++) if (in[i] > top) top = in[i];
        for (int i = 0; i < size; i++) sum += exp((double)in[i] - top);
        for (int i = 0; i < size; i++) out[i] = (float)(exp((double)in[i] - top) / sum);
    }
}

/* din[i] += out[i] * (dout[i] - sum over j of dout[j] * out[j]), row by row */
SALDEF void sal_softmax_backward(float *din, const float *dout, const float *out, int n, int size) {
    for (int s = 0; s < n; s++, din += size, dout += size, out += size) {
        double dot = 0;
        for (int i = 0; i < size; i++) dot += (double)dout[i] * out[i];
        for (int i = 0; i < size; i++) din[i] += (float)(out[i] * (dout[i] - dot));
    }
}

/* Ioffe, Szegedy, "Batch normalization", ICML 2015, with fixed statistics (inference).
   out, in (n, c, hw), the others (c):
       out[c][i] = weight[c] * (in[c][i] - mean[c]) / sqrt(var[c] + eps) + bias[c] */
SALDEF void sal_batchnorm_forward(float *out, const float *in, const float *weight,
                                  const float *bias, const float *mean, const float *var,
                                  float eps, int n, int c, int hw) {
    for (int s = 0; s < n; s++)
        for (int k = 0; k < c; k++, in += hw, out += hw) {
            double scale = weight[k] / sqrt((double)var[k] + eps);
            double shift = bias[k] - mean[k] * scale;
            for (int i = 0; i < hw; i++) out[i] = (float)(in[i] * scale + shift);
        }
}

/* The same with the statistics of the batch itself, m = n * hw values a channel (training):
       mean = sum in / m,   rstd = 1 / sqrt(sum (in - mean)^2 / m + eps)
       running_mean += momentum * (mean - running_mean)
       running_var  += momentum * (var - running_var),   var = sum (in - mean)^2 / (m - 1)
   The batch is normalised by the biased variance, the running one is unbiased (as PyTorch does,
   with momentum = 0.1). mean and rstd (c) are kept for backward. */
SALDEF void sal_batchnorm_forward_train(float *out, float *mean, float *rstd, float *running_mean,
                                        float *running_var, const float *in, const float *weight,
                                        const float *bias, float eps, float momentum, int n, int c,
                                        int hw) {
    double m = (double)n * hw;
    for (int k = 0; k < c; k++) {
        double sum = 0, squares = 0, mu, scale, shift;
        for (int s = 0; s < n; s++)
            for (int i = 0; i < hw; i++) sum += in[((size_t)s * c + k) * hw + i];
        mu = sum / m;
        for (int s = 0; s < n; s++)
            for (int i = 0; i < hw; i++) {
                double d = in[((size_t)s * c + k) * hw + i] - mu;
                squares += d * d;
            }
        mean[k] = (float)mu;
        rstd[k] = (float)(1 / sqrt(squares / m + eps));
        running_mean[k] += (float)(momentum * (mu - running_mean[k]));
        running_var[k] += (float)(momentum * (squares / SAL__MAX(m - 1, 1) - running_var[k]));
        scale = weight[k] / sqrt(squares / m + eps);
        shift = bias[k] - mu * scale;
        for (int s = 0; s < n; s++)
            for (int i = 0; i < hw; i++) {
                size_t at = ((size_t)s * c + k) * hw + i;
                out[at] = (float)(in[at] * scale + shift);
            }
    }
}

/* With x = (in - mean) * rstd and sums over the m values of a channel:
       dbias   += sum dout
       dweight += sum dout * x
       din     += weight * rstd * (dout - (sum dout + x * sum dout * x) / m)
   fixed = 1: mean and rstd are the running statistics and depend on nothing,
       din     += weight * rstd * dout */
SALDEF void sal_batchnorm_backward(float *din, float *dweight, float *dbias, const float *dout,
                                   const float *in, const float *weight, const float *mean,
                                   const float *rstd, int fixed, int n, int c, int hw) {
    double m = (double)n * hw;
    for (int k = 0; k < c; k++) {
        double sum = 0, dot = 0, scale = (double)weight[k] * rstd[k];
        for (int s = 0; s < n; s++)
            for (int i = 0; i < hw; i++) {
                size_t at = ((size_t)s * c + k) * hw + i;
                sum += dout[at];
                dot += dout[at] * ((double)in[at] - mean[k]) * rstd[k];
            }
        if (dbias) dbias[k] += (float)sum;
        if (dweight) dweight[k] += (float)dot;
        if (fixed) sum = dot = 0;
        for (int s = 0; din && s < n; s++)
            for (int i = 0; i < hw; i++) {
                size_t at = ((size_t)s * c + k) * hw + i;
                double x = ((double)in[at] - mean[k]) * rstd[k];
                din[at] += (float)(scale * (dout[at] - (sum + x * dot) / m));
            }
    }
}

/* Srivastava et al., "Dropout", JMLR 2014, scaled while training so that inference needs nothing:
       mask[i] = 1 with probability 1 - rate;   out[i] = in[i] * mask[i] / (1 - rate) */
SALDEF void sal_dropout_forward(float *out, unsigned char *mask, const float *in, size_t n,
                                float rate, sal_rng *rng) {
    float keep = 1 - rate;
    for (size_t i = 0; i < n; i++) {
        mask[i] = sal_rng_uniform(rng) >= rate;
        out[i] = mask[i] ? in[i] / keep : 0;
    }
}

/* din[i] += dout[i] * mask[i] / (1 - rate) */
SALDEF void sal_dropout_backward(float *din, const float *dout, const unsigned char *mask, size_t n,
                                 float rate) {
    float keep = 1 - rate;
    for (size_t i = 0; i < n; i++) din[i] += mask[i] ? dout[i] / keep : 0;
}

/* Concatenation along the channels.   in[k] (n, channels[k], hw), out (n, sum of channels, hw) */
SALDEF void sal_concat_forward(float *out, const float *const *in, const int *channels, int count,
                               int n, int hw) {
    for (int s = 0; s < n; s++)
        for (int k = 0; k < count; k++) {
            size_t size = (size_t)channels[k] * hw;
            memcpy(out, in[k] + s * size, size * sizeof(float));
            out += size;
        }
}

/* Each input takes its channels of dout. */
SALDEF void sal_concat_backward(float *const *din, const float *dout, const int *channels,
                                int count, int n, int hw) {
    for (int s = 0; s < n; s++)
        for (int k = 0; k < count; k++) {
            size_t size = (size_t)channels[k] * hw;
            for (size_t i = 0; din[k] && i < size; i++) din[k][s * size + i] += dout[i];
            dout += size;
        }
}

/* out[i] = a[i] + b[i] */
SALDEF void sal_add_forward(float *out, const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = a[i] + b[i];
}

/* da[i] += dout[i],   db[i] += dout[i] */
SALDEF void sal_add_backward(float *da, float *db, const float *dout, size_t n) {
    for (size_t i = 0; da && i < n; i++) da[i] += dout[i];
    for (size_t i = 0; db && i < n; i++) db[i] += dout[i];
}

/* Left becomes right: out, in (rows, w):  out[r][x] = in[r][w-1-x] */
SALDEF void sal_mirror_forward(float *out, const float *in, size_t rows, int w) {
    for (size_t r = 0; r < rows; r++, in += w, out += w)
        for (int x = 0; x < w; x++) out[x] = in[w - 1 - x];
}

/* din[r][w-1-x] += dout[r][x] */
SALDEF void sal_mirror_backward(float *din, const float *dout, size_t rows, int w) {
    for (size_t r = 0; r < rows; r++, din += w, dout += w)
        for (int x = 0; x < w; x++) din[w - 1 - x] += dout[x];
}

/* Position s in a row of n pixels, edges clamped: between pixels low and high, t of the way. */
typedef struct sal__tap { int low, high; double t; } sal__tap;

static sal__tap sal__tap_at(double s, int n) {
    sal__tap tap;
    s = sal__clamp(s, 0, n - 1);
    tap.low = (int)s;
    tap.high = SAL__MIN(tap.low + 1, n - 1);
    tap.t = s - tap.low;
    return tap;
}

/* Bilinear interpolation of n planes, half-pixel centres, edges clamped.
   out (n, oh, ow), in (n, ih, iw):
       out[y][x] = in at v = (y + 1/2) * ih / oh - 1/2, u = (x + 1/2) * iw / ow - 1/2 */
SALDEF void sal_upsample_forward(float *out, const float *in, int n, int iw, int ih, int ow,
                                 int oh) {
    for (int s = 0; s < n; s++, in += (size_t)ih * iw)
        for (int y = 0; y < oh; y++) {
            sal__tap v = sal__tap_at((y + 0.5) * ih / oh - 0.5, ih);
            const float *top = in + (size_t)v.low * iw, *bottom = in + (size_t)v.high * iw;
            for (int x = 0; x < ow; x++) {
                sal__tap u = sal__tap_at((x + 0.5) * iw / ow - 0.5, iw);
                *out++ = (float)((1 - v.t) * ((1 - u.t) * top[u.low] + u.t * top[u.high]) +
                                 v.t * ((1 - u.t) * bottom[u.low] + u.t * bottom[u.high]));
            }
        }
}

/* Each of the four neighbours takes dout[y][x] times its weight. */
SALDEF void sal_upsample_backward(float *din, const float *dout, int n, int iw, int ih, int ow,
                                  int oh) {
    for (int s = 0; s < n; s++, din += (size_t)ih * iw)
        for (int y = 0; y < oh; y++) {
            sal__tap v = sal__tap_at((y + 0.5) * ih / oh - 0.5, ih);
            float *top = din + (size_t)v.low * iw, *bottom = din + (size_t)v.high * iw;
            for (int x = 0; x < ow; x++) {
                sal__tap u = sal__tap_at((x + 0.5) * iw / ow - 0.5, iw);
                double g = *dout++;
                top[u.low]     += (float)(g * (1 - v.t) * (1 - u.t));
                top[u.high]    += (float)(g * (1 - v.t) * u.t);
                bottom[u.low]  += (float)(g * v.t * (1 - u.t));
                bottom[u.high] += (float)(g * v.t * u.t);
            }
        }
}

/* ML-Net's learned prior (paper eq. (1)): a coarse mask, upsampled and multiplied in.
   out, in (n, h, w), prior (ph, pw), mask (h, w) receives the upsampled prior:
       out[s][i] = in[s][i] * mask[i] */
SALDEF void sal_prior_forward(float *out, float *mask, const float *in, const float *prior, int n,
                              int w, int h, int pw, int ph) {
    size_t hw = (size_t)h * w;
    sal_upsample_forward(mask, prior, 1, pw, ph, w, h);
    for (size_t s = 0; s < (size_t)n; s++)
        for (size_t i = 0; i < hw; i++) out[s * hw + i] = in[s * hw + i] * mask[i];
}

/* din[s][i] += dout[s][i] * mask[i];   dmask[i] = sum over s of dout[s][i] * in[s][i], and from
   there back through the upsampling into dprior. dmask (h, w) is scratch. */
SALDEF void sal_prior_backward(float *din, float *dprior, float *dmask, const float *dout,
                               const float *in, const float *mask, int n, int w, int h, int pw,
                               int ph) {
    size_t hw = (size_t)h * w;
    for (size_t s = 0; din && s < (size_t)n; s++)
        for (size_t i = 0; i < hw; i++) din[s * hw + i] += dout[s * hw + i] * mask[i];
    for (size_t i = 0; dprior && i < hw; i++) {
        double sum = 0;
        for (size_t s = 0; s < (size_t)n; s++) sum += (double)dout[s * hw + i] * in[s * hw + i];
        dmask[i] = (float)sum;
    }
    if (dprior) sal_upsample_backward(dprior, dmask, 1, pw, ph, w, h);
}

/* A log-prior, added to the input of a softmax: it multiplies the probabilities. Each data set has
   its own (its domain), coarse and upsampled; domain (n) says which, NULL counts as all 0.
   out, in (n, h, w), prior (domains, ph, pw), map (h, w) is scratch:
       out[s][i] = in[s][i] + upsampled prior[domain[s]][i] */
SALDEF void sal_logprior_forward(float *out, float *map, const float *in, const float *prior,
                                 const int *domain, int n, int w, int h, int pw, int ph) {
    size_t hw = (size_t)h * w;
    for (int s = 0; s < n; s++, in += hw, out += hw) {
        sal_upsample_forward(map, prior + (size_t)(domain ? domain[s] : 0) * ph * pw, 1, pw, ph, w,
                             h);
        for (size_t i = 0; i < hw; i++) out[i] = in[i] + map[i];
    }
}

/* din[s] += dout[s];   dprior[domain[s]] += dout[s] back through the upsampling */
SALDEF void sal_logprior_backward(float *din, float *dprior, const float *dout, const int *domain,
                                  int n, int w, int h, int pw, int ph) {
    size_t hw = (size_t)h * w;
    for (size_t i = 0; din && i < n * hw; i++) din[i] += dout[i];
    for (int s = 0; dprior && s < n; s++)
        sal_upsample_backward(dprior + (size_t)(domain ? domain[s] : 0) * ph * pw, dout + s * hw, 1,
                              pw, ph, w, h);
}

/* The allowed ranges of SAM's Gaussians: mu_x, mu_y, sigma_x, sigma_y (released code). */
static const double sal__gaussian_range[4][2] = { {.25, .75}, {.35, .65}, {.1, .9}, {.2, .8} };

/* Parameters of Gaussian k, within their ranges. */
static void sal__gaussian_at(const float *params, int count, int k, double g[4]) {
    for (int j = 0; j < 4; j++)
        g[j] = sal__clamp(params[j * count + k], sal__gaussian_range[j][0],
                          sal__gaussian_range[j][1]);
}

/* g of pixel (x, y); d is its distance from the centre and v = 2 sigma^2 + eps, both for x, y. */
static double sal__gaussian_value(const double g[4], int x, int y, int h, int w, double d[2],
                                  double v[2]) {
    double e = (double)h / w;
    d[0] = (w > 1 ? (double)x / (w - 1) : 0) - g[0];
    d[1] = (1 - e) / 2 + (h > 1 ? e * y / (h - 1) : 0) - g[1];
    for (int j = 0; j < 2; j++) v[j] = 2 * g[2 + j] * g[2 + j] + 1e-7;
    return exp(-(d[0] * d[0] / v[0] + d[1] * d[1] / v[1]));
}

/* SAM's learned priors (paper eq. (10)).   params (4, count): mu_x, mu_y, sigma_x, sigma_y, each
   clipped to its range; out (n, count, h, w), the same for every sample:
       g = exp(-((x - mu_x)^2 / (2 sigma_x^2 + eps) + (y - mu_y)^2 / (2 sigma_y^2 + eps)))
       out = g / max g
   x runs from 0 to 1 over the columns, y from (1-e)/2 to (1+e)/2 over the rows, e = h / w;
   eps = 1e-7. (The paper's factor 1 / (2 pi sigma_x sigma_y) cancels in the division.) */
SALDEF void sal_gaussians_forward(float *out, const float *params, int n, int count, int w, int h) {
    size_t hw = (size_t)h * w;
    for (int k = 0; k < count; k++) {
        float *map = out + k * hw, top = 0;
        double g[4], d[2], v[2];
        sal__gaussian_at(params, count, k, g);
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                float value = (float)sal__gaussian_value(g, x, y, h, w, d, v);
                map[(size_t)y * w + x] = value;
                if (value > top) top = value;
            }
        for (size_t i = 0; i < hw; i++) map[i] /= top;
    }
    for (int s = 1; s < n; s++) memcpy(out + s * count * hw, out, count * hw * sizeof(float));
}

/* out = g / g(m), m the pixel of the maximum, so for mu and sigma of either direction
       d out / d mu    = out * (a - a(m)),   a = 2 (x - mu) / v
       d out / d sigma = out * (b - b(m)),   b = 4 sigma (x - mu)^2 / v^2,   v = 2 sigma^2 + eps
   Where several pixels share the maximum, a(m) and b(m) are their means (as in PyTorch's amax).
   A parameter outside its range gets no gradient; on the border of the range it does.
   Example: three pixels in a row, x = (0, .5, 1), mu_x = .4, both sigma .5: the maximum is the
   second pixel, out = (e^-.3, 1, e^-.7) = (.7408, 1, .4966). a = (-1.6, .4, 2.4) and b = (1.28,
   .08, 2.88), so d out / d mu_x = (-1.4816, 0, .9932), d out / d sigma_x = (.8890, 0, 1.3904). */
SALDEF void sal_gaussians_backward(float *dparams, const float *dout, const float *out,
                                   const float *params, int n, int count, int w, int h) {
    size_t hw = (size_t)h * w, i;
    for (int k = 0; k < count; k++) {
        double slope[4] = { 0, 0, 0, 0 }, slope_top[4] = { 0, 0, 0, 0 }, sum = 0;
        double g[4], d[2], v[2];
        int tops = 0;
        sal__gaussian_at(params, count, k, g);
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                double gain = 0;        /* dL/dout * out */
                i = (size_t)y * w + x;
                for (int s = 0; s < n; s++) gain += dout[((size_t)s * count + k) * hw + i];
                gain *= out[k * hw + i];
                sal__gaussian_value(g, x, y, h, w, d, v);
                sum += gain;
                tops += out[k * hw + i] == 1;
                for (int j = 0; j < 4; j++) {
                    int q = j % 2;
                    double a = 2 * d[q] / v[q] * (j < 2 ? 1 : 2 * g[2 + q] * d[q] / v[q]);
                    slope[j] += gain * a;
                    if (out[k * hw + i] == 1) slope_top[j] += a;
                }
            }
        for (int j = 0; j < 4; j++) {
            float p = params[j * count + k];
            if (p >= sal__gaussian_range[j][0] && p <= sal__gaussian_range[j][1])
                dparams[j * count + k] += (float)(slope[j] - sum * slope_top[j] / tops);
        }
    }
}

/* ============================================================================================
   >>convlstm  SAM's attentive convolutional LSTM
   ========================================================================================== */

/* The values of one step lie in one block of memory, in this order; the letters are those of the
   equations below. Each has (n, c, h, w) values, A has (n, 1, h, w). */
enum { SAL__LSTM_X, SAL__LSTM_E, SAL__LSTM_I, SAL__LSTM_F, SAL__LSTM_O, SAL__LSTM_G, SAL__LSTM_C,
       SAL__LSTM_H, SAL__LSTM_A, SAL__LSTM_VALUES };

static size_t sal__lstm_step(int n, int c, int h, int w) {
    return (size_t)n * ((size_t)c * SAL__LSTM_A + 1) * h * w;
}
static void sal__lstm_at(float **value, float *memory, size_t size) {
    for (int k = 0; k < SAL__LSTM_VALUES; k++) value[k] = memory + k * size;
}
SALDEF size_t sal_convlstm_scratch(int n, int c, int w, int h) {
    return sal__lstm_step(n, c, h, w) + (size_t)n * ((size_t)c * 2 + 1) * h * w + (size_t)c;
}
SALDEF size_t sal_convlstm_states(int steps, int n, int c, int w, int h) {
    return (size_t)steps * sal__lstm_step(n, c, h, w);
}
SALDEF size_t sal_convlstm_backward_scratch(int n, int c, int w, int h) {
    return (size_t)n * ((size_t)c * 4 + 2) * h * w;
}

/* c to c channels, 3x3, a border of one zero. */
static sal_conv sal__lstm_conv(int n, int c, int h, int w) {
    sal_conv s = { n, c, h, w, c, 3, 3, 1, 1, 1, 1, 1, 1, h, w };
    return s;
}

/* Each gate: its value, the weights of its convolutions of X~ and of H, its activation function. */
enum { SAL__ACT_SIGMOID = 100, SAL__ACT_TANH };
static const struct { int value, w, u, act; } sal__lstm_gates[4] = {
    { SAL__LSTM_I, SAL_LSTM_WI, SAL_LSTM_UI, SAL__ACT_SIGMOID },
    { SAL__LSTM_F, SAL_LSTM_WF, SAL_LSTM_UF, SAL__ACT_SIGMOID },
    { SAL__LSTM_O, SAL_LSTM_WO, SAL_LSTM_UO, SAL__ACT_SIGMOID },
    { SAL__LSTM_G, SAL_LSTM_WC, SAL_LSTM_UC, SAL__ACT_TANH }
};

/* The functions that the cell is built from: a table, so that >>fast can bring its own. k->ctx and
   k->scratch are for them.
   forward: out = act(weight * in + bias + add); without in, act(add). add may be out; sum is
   scratch of that size. weight: over `times` steps, `step` floats apart. cell: C and H from the
   gates I, F, O, G, `stride` floats apart, and C of the step before, or NULL. */
typedef struct sal__convs sal__convs;
struct sal__convs {
    void (*forward)(const sal__convs *k, float *out, float *sum, const float *in,
                    const float *weight, const float *bias, const float *add, int act,
                    const sal_conv *s);
    void (*data)(const sal__convs *k, float *din, const float *dout, const float *weight,
                 const sal_conv *s);
    void (*weight)(const sal__convs *k, float *dweight, const float *dout, const float *in,
                   int times, size_t step, const sal_conv *s);
    void (*cell)(const sal__convs *k, float *h, float *c, const float *before, const float *gates,
                 size_t stride, size_t n);
    void (*cell_back)(const sal__convs *k, float *dh, float *dc, float *gates, size_t stride,
                      const float *c, const float *before, size_t n);
    sal_ctx *ctx;
    void *scratch;
};

static void sal__convs_forward(const sal__convs *k, float *out, float *sum, const float *in,
                               const float *weight, const float *bias, const float *add, int act,
                               const sal_conv *s) {
    size_t n = (size_t)s->n * s->oc * s->oh * s->ow;
    if (in) sal_conv2d_forward(sum, in, weight, bias, s);
    for (size_t i = 0; i < n; i++) out[i] = (in ? sum[i] : 0) + (add ? add[i] : 0);
    if (act == SAL__ACT_SIGMOID) sal_sigmoid_forward(out, out, n);
    if (act == SAL__ACT_TANH) sal_tanh_forward(out, out, n);
}

static void sal__convs_data(const sal__convs *k, float *din, const float *dout,
                            const float *weight, const sal_conv *s) {
    sal_conv2d_backward_data(din, dout, weight, s);
}

static void sal__convs_weight(const sal__convs *k, float *dweight, const float *dout,
                              const float *in, int times, size_t step, const sal_conv *s) {
    for (int t = 0; t < times; t++)
        sal_conv2d_backward_weight(dweight, dout + t * step, in + t * step, s);
}

/* C = F . C_before + I . G,   H = O . tanh(C) */
static void sal__convs_cell(const sal__convs *k, float *h, float *c, const float *before,
                            const float *gates, size_t stride, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const float *g = gates + i;
        c[i] = (before ? g[stride] * before[i] : 0) + g[0] * g[3 * stride];
        h[i] = g[2 * stride] * (float)tanh((double)c[i]);
    }
}

/* Back through the cell and the activations of its gates; p' is p before its activation. dI', dF',
   dO' and dG' overwrite the gates, dC of the step before overwrites dC.
       dC += dH . O . (1 - tanh(C)^2)
       dI' = dC . G . I (1 - I),        dF' = dC . C_before . F (1 - F)
       dO' = dH . tanh(C) . O (1 - O),  dG' = dC . I . (1 - G^2)
       dC_before = dC . F */
static void sal__convs_cell_back(const sal__convs *k, float *dh, float *dc, float *gates,
                                 size_t stride, const float *c, const float *before, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float *g = gates + i, gi = g[0], gf = before ? g[stride] : 0, go = g[2 * stride];
        float gg = g[3 * stride], th = (float)tanh((double)c[i]);
        float d = dc[i] + dh[i] * go * (1 - th * th);
        g[0] = d * gg * gi * (1 - gi);
        g[stride] = before ? d * before[i] * gf * (1 - gf) : 0;
        g[2 * stride] = dh[i] * th * go * (1 - go);
        g[3 * stride] = d * gi * (1 - gg * gg);
        dc[i] = d * gf;
    }
}

static const sal__convs sal__convs_textbook = {
    sal__convs_forward, sal__convs_data, sal__convs_weight, sal__convs_cell, sal__convs_cell_back,
    NULL, NULL
};

/* Two convolutions that are added up share one bias. */
static void sal__lstm_bias(float *bias, const float *const *params, int a, int b, int c) {
    for (int i = 0; i < c; i++) bias[i] = params[a + 1][i] + params[b + 1][i];
}

/* SAM eqs. (1)-(9). * is a convolution (3x3, zero padding of 1), . an element-wise product; H and C
   start as zero. For each of the `steps` steps:
       E  = tanh(Wa * X + Ua * H)
       Z  = Va * E
       A  = softmax of Z over the positions        where to look
       X~ = A . X                                  the input, so weighted
       I  = sigmoid(Wi * X~ + Ui * H)              how much enters
       F  = sigmoid(Wf * X~ + Uf * H)              how much stays
       O  = sigmoid(Wo * X~ + Uo * H)              how much is shown
       G  = tanh   (Wc * X~ + Uc * H)
       C  = F . C + I . G
       H  = O . tanh(C)
   out = the last H.   out, in (n, c, h, w); params: 21 arrays, see SAL_LSTM_WA: W and U (c, c, 3,
   3) with a bias (c) each, Va (1, c, 3, 3) without. (The released code swaps the names Wa and Ua.)

   Example: two pixels X = (1, 2), one channel; in all kernels the middle is 1 and the rest 0, so
   that * is a product with 1; biases 0; two steps.
       step 1:  E = (.7616, .9640)  A = (.4496, .5504)  X~ = (.4496, 1.1009)
                I = F = O = (.6105, .7504)  G = (.4215, .8008)
                C = (.2574, .6009)  H = (.1538, .4035)
       step 2:  E = (.8190, .9838)  A = (.4589, .5411)  X~ = (.4589, 1.0822)
                I = F = O = (.6485, .8154)  G = (.5460, .9025)
                C = (.5210, 1.2260)  H = (.3103, .6861) = out */
static void sal__convlstm_forward(const sal__convs *convs, float *out, const float *in,
                                  const float *const *params, int steps, int n, int c, int h, int w,
                                  float *scratch, float *states) {
    size_t hw = (size_t)h * w, size = n * c * hw, step = sal__lstm_step(n, c, h, w);
    float *v[SAL__LSTM_VALUES], *wax = scratch + step, *sum = wax + size, *z = sum + size;
    float *bias = z + n * hw;
    const float *hidden = NULL, *cell = NULL;
    sal_conv s = sal__lstm_conv(n, c, h, w), to_one = s;
    to_one.oc = 1;
    sal__lstm_bias(bias, params, SAL_LSTM_WA, SAL_LSTM_UA, c);
    convs->forward(convs, wax, sum, in, params[SAL_LSTM_WA], bias, NULL, SAL_ACT_IDENTITY, &s);
    for (int t = 0; t < steps; t++) {
        sal__lstm_at(v, states ? states + t * step : scratch, size);
        convs->forward(convs, v[SAL__LSTM_E], sum, hidden, params[SAL_LSTM_UA], NULL, wax,
                       SAL__ACT_TANH, &s);
        convs->forward(convs, z, sum, v[SAL__LSTM_E], params[SAL_LSTM_VA], NULL, NULL,
                       SAL_ACT_IDENTITY, &to_one);
        sal_softmax_forward(v[SAL__LSTM_A], z, n, (int)hw);
        for (size_t i = 0; i < (size_t)n * c; i++)
            for (size_t k = 0; k < hw; k++)
                v[SAL__LSTM_X][i * hw + k] = in[i * hw + k] * v[SAL__LSTM_A][i / c * hw + k];
        for (int k = 0; k < 4; k++) {
            int gate_w = sal__lstm_gates[k].w, u = sal__lstm_gates[k].u;
            int act = sal__lstm_gates[k].act;
            float *gate = v[sal__lstm_gates[k].value];
            if (gate == v[SAL__LSTM_F] && t == 0) continue;     /* there is nothing to keep yet */
            sal__lstm_bias(bias, params, gate_w, u, c);
            convs->forward(convs, gate, sum, v[SAL__LSTM_X], params[gate_w], bias, NULL,
                           t ? SAL_ACT_IDENTITY : act, &s);
            if (t) convs->forward(convs, gate, sum, hidden, params[u], NULL, gate, act, &s);
        }
        convs->cell(convs, v[SAL__LSTM_H], v[SAL__LSTM_C], cell, v[SAL__LSTM_I], size, size);
        hidden = v[SAL__LSTM_H];
        cell = v[SAL__LSTM_C];
    }
    memcpy(out, hidden, size * sizeof(float));
}

/* The gradients of the weights (over `times` steps) and of the bias of parameter k; either may not
   be wanted, and Va has no bias. */
static void sal__lstm_weights(const sal__convs *convs, float *const *dparams, int k,
                              const float *dout, const float *in, int times, size_t step,
                              const sal_conv *s) {
    if (dparams[k] && times > 0) convs->weight(convs, dparams[k], dout, in, times, step, s);
}
static void sal__lstm_biases(float *const *dparams, int k, const float *dout, int times,
                             size_t step, const sal_conv *s) {
    for (int t = 0; dparams[k + 1] && t < times; t++)
        sal_bias_backward(dparams[k + 1], dout + t * step, s->n, s->oc, s->oh * s->ow);
}

/* The gradients of all parameters. The states must hold dE', dI' ... (the gradients before the
   activations) in the places of E, I ... Each convolution sums over all steps at once; those of H,
   and F, begin with the second step. dE' of the first step becomes the sum over all steps. */
static void sal__lstm_back_params(const sal__convs *convs, float *const *dparams, const float *in,
                                  float *states, int steps, size_t step, const sal_conv *s) {
    float *v[SAL__LSTM_VALUES];
    size_t size = (size_t)s->n * s->ic * s->ih * s->iw;
    sal__lstm_at(v, states, size);
    for (int k = 0; k < 4; k++) {
        int w = sal__lstm_gates[k].w, u = sal__lstm_gates[k].u;
        const float *gate = v[sal__lstm_gates[k].value];
        size_t late = gate == v[SAL__LSTM_F];
        sal__lstm_weights(convs, dparams, u, gate + step, v[SAL__LSTM_H], steps - 1, step, s);
        sal__lstm_weights(convs, dparams, w, gate + late * step, v[SAL__LSTM_X] + late * step,
                          steps - (int)late, step, s);
        sal__lstm_biases(dparams, u, gate, steps, step, s);
        sal__lstm_biases(dparams, w, gate, steps, step, s);
    }
    sal__lstm_weights(convs, dparams, SAL_LSTM_UA, v[SAL__LSTM_E] + step, v[SAL__LSTM_H], steps - 1,
                      step, s);
    sal__lstm_biases(dparams, SAL_LSTM_UA, v[SAL__LSTM_E], steps, step, s);
    for (int t = 1; t < steps; t++)     /* Wa * X is the same in every step */
        for (size_t i = 0; i < size; i++) v[SAL__LSTM_E][i] += v[SAL__LSTM_E][t * step + i];
    sal__lstm_weights(convs, dparams, SAL_LSTM_WA, v[SAL__LSTM_E], in, 1, 0, s);
    sal__lstm_biases(dparams, SAL_LSTM_WA, v[SAL__LSTM_E], 1, 0, s);
}

/* Backpropagation through time: the steps from last to first, each in reverse order of the forward
   equations. dH and dC: gradients that reach H and C of this step; p' is p before its activation;
   "backwards" is sal_conv2d_backward_data. H and C before the first step are zero.
       dC_before and dI', dF', dO', dG': see sal__convs_cell_back
       dX~ = sum over the gates of W backwards
       dX += A . dX~,   dA = sum over the channels of X . dX~
       dZ  = A . (dA - sum over the positions of A . dA)
       dE  = Va backwards of dZ,   dE' = dE . (1 - E^2),   dX += Wa backwards of dE'
       dH_before = sum over the gates and Ua of U backwards
   Example: as in forward, for dH = (1, 1), dX = (.3685, .1995), and summed over both pixels
       dWa = .0042  dVa = -.0031  dWi = .1403  dWf = .0368  dWo = .2226  dWc = .3636  dUc = .0495 */
static void sal__convlstm_backward(const sal__convs *convs, float *din, float *const *dparams,
                                   const float *dout, const float *in, const float *const *params,
                                   float *states, int steps, int n, int c, int h, int w,
                                   float *scratch) {
    size_t hw = (size_t)h * w, size = n * c * hw, step = sal__lstm_step(n, c, h, w);
    float *dh = scratch, *dc = dh + size, *dx = dc + size, *de = dx + size;
    float *da = de + size, *dz = da + n * hw;
    float *v[SAL__LSTM_VALUES];
    sal_conv s = sal__lstm_conv(n, c, h, w), to_one = s;
    to_one.oc = 1;
    memcpy(dh, dout, size * sizeof(float));
    memset(dc, 0, size * sizeof(float));
    for (int t = steps - 1; t >= 0; t--) {
        sal__lstm_at(v, states + t * step, size);
        convs->cell_back(convs, dh, dc, v[SAL__LSTM_I], size, v[SAL__LSTM_C],
                         t ? v[SAL__LSTM_C] - step : NULL, size);
        memset(dx, 0, (2 * size + 2 * n * hw) * sizeof(float));     /* dX~, dE, dA, dZ */
        for (int k = 0; k < 4; k++) {
            const float *gate = v[sal__lstm_gates[k].value];
            if (gate == v[SAL__LSTM_F] && t == 0) continue;
            convs->data(convs, dx, gate, params[sal__lstm_gates[k].w], &s);
        }
        for (size_t i = 0; i < (size_t)n * c; i++) {
            const float *x = in + i * hw, *d = dx + i * hw, *a = v[SAL__LSTM_A] + i / c * hw;
            float *sum = da + i / c * hw;
            for (size_t k = 0; k < hw; k++) sum[k] += d[k] * x[k];
            for (size_t k = 0; din && k < hw; k++) din[i * hw + k] += d[k] * a[k];
        }
        sal_softmax_backward(dz, da, v[SAL__LSTM_A], n, (int)hw);
        convs->data(convs, de, dz, params[SAL_LSTM_VA], &to_one);
        sal__lstm_weights(convs, dparams, SAL_LSTM_VA, dz, v[SAL__LSTM_E], 1, 0, &to_one);
        for (size_t i = 0; i < size; i++)
            v[SAL__LSTM_E][i] = de[i] * (1 - v[SAL__LSTM_E][i] * v[SAL__LSTM_E][i]);
        if (t == 0) break;
        memset(dh, 0, size * sizeof(float));                        /* from here on dH_before */
        for (int k = 0; k < 4; k++)
            convs->data(convs, dh, v[sal__lstm_gates[k].value], params[sal__lstm_gates[k].u], &s);
        convs->data(convs, dh, v[SAL__LSTM_E], params[SAL_LSTM_UA], &s);
    }
    sal__lstm_back_params(convs, dparams, in, states, steps, step, &s);
    if (din) convs->data(convs, din, states + SAL__LSTM_E * size, params[SAL_LSTM_WA], &s);
}

SALDEF void sal_convlstm_forward(float *out, const float *in, const float *const *params, int steps,
                                 int n, int c, int w, int h, float *scratch, float *states) {
    sal__convlstm_forward(&sal__convs_textbook, out, in, params, steps, n, c, h, w, scratch,
                          states);
}

SALDEF void sal_convlstm_backward(float *din, float *const *dparams, const float *dout,
                                  const float *in, const float *const *params, float *states,
                                  int steps, int n, int c, int w, int h, float *scratch) {
    sal__convlstm_backward(&sal__convs_textbook, din, dparams, dout, in, params, states, steps, n,
                           c, h, w, scratch);
}

/* ============================================================================================
   >>losses  what training minimises
   ========================================================================================== */

#define SAL__LOSS_EPS 1e-7      /* Keras' epsilon, as in the released codes */

/* Euclidean loss:   L = sum (x - y)^2 / n,   dL/dx = 2 (x - y) / n */
SALDEF double sal_loss_mse(float *dx, const float *x, const float *y, size_t n, double weight) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)x[i] - y[i];
        sum += d * d;
        if (dx) dx[i] += (float)(weight * 2 * d / (double)n);
    }
    return weight * sum / (double)n;
}

/* ML-Net's loss, eq. (2), as a mean over pixels; m is the pixel of the maximum (the first of
   equals) and alpha = 1.1. Maxima below eps count as eps.
       code = 0, the paper:           sum ((x / x_m - y) / (alpha - y))^2 / n
       code = 1, the released code:   sum  (x / x_m - y)^2 / (alpha - y)  / n
   With d = x / x_m - y and w = 1 / (alpha - y)^2 or 1 / (alpha - y), each pixel and the maximum get
       dL/dx_i = 2 w_i d_i / (x_m n),   and in addition   dL/dx_m -= sum dL/dx_i x_i / x_m */
static double sal__loss_mlnet(float *dx, const float *x, const float *y, size_t n, double weight,
                              int code) {
    double sum = 0, through_max = 0, top;
    size_t m = 0;
    for (size_t i = 1; i < n; i++) if (x[i] > x[m]) m = i;
    top = SAL__MAX(x[m], SAL__LOSS_EPS);
    for (size_t i = 0; i < n; i++) {
        double a = 1.1 - y[i], w = code ? 1 / a : 1 / (a * a), d = x[i] / top - y[i];
        double slope = weight * 2 * w * d / top / (double)n;
        sum += w * d * d;
        through_max -= slope * x[i] / top;
        if (dx) dx[i] += (float)slope;
    }
    if (dx && x[m] > SAL__LOSS_EPS) dx[m] += (float)through_max;
    return weight * sum / (double)n;
}
SALDEF double sal_loss_mlnet(float *dx, const float *x, const float *y, size_t n, double weight) {
    return sal__loss_mlnet(dx, x, y, n, weight, 0);
}
SALDEF double sal_loss_mlnet_code(float *dx, const float *x, const float *y, size_t n,
                                  double weight) {
    return sal__loss_mlnet(dx, x, y, n, weight, 1);
}

/* Mean and standard deviation (of the population). */
static double sal__mean_sd(const float *x, size_t n, double *sd) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    sum /= (double)n;
    for (size_t i = 0; i < n; i++) squares += (x[i] - sum) * (x[i] - sum);
    *sd = sqrt(squares / (double)n);
    return sum;
}

/* >>nss  SAM eq. (12), the normalised scanpath saliency; y counts the fixations of each pixel.
   Larger is better: as a loss it takes a negative weight. 0 for constant maps and without
   fixations.
       NSS = sum y_i (x_i - mean) / (sd + eps) / sum y
       dNSS/dx_i = (y_i / sum y - 1 / n - NSS (x_i - mean) / (n sd)) / (sd + eps)
   sd is that of the population, over n, as in SAM's code; the metric (SAL_METRIC_NSS) has n - 1. */
SALDEF double sal_loss_nss(float *dx, const float *x, const float *y, size_t n, double weight) {
    double sd, mean = sal__mean_sd(x, n, &sd), total = 0, nss = 0, s = sd + SAL__LOSS_EPS;
    for (size_t i = 0; i < n; i++) { total += y[i]; nss += y[i] * (x[i] - mean) / s; }
    if (total <= 0 || sd <= 0) return 0;
    nss /= total;
    for (size_t i = 0; dx && i < n; i++)
        dx[i] += (float)(weight / s * (y[i] / total - 1 / (double)n -
                                       nss * (x[i] - mean) / ((double)n * sd)));
    return weight * nss;
}

/* SAM eq. (13), Pearson's correlation; larger is better. 0 for constant maps. With u and v the
   maps minus their means:   CC = u.v / (|u| |v|),   dCC/dx = (v / |v| - CC u / |u|) / |u| */
SALDEF double sal_loss_cc(float *dx, const float *x, const float *y, size_t n, double weight) {
    double sx, sy, mx = sal__mean_sd(x, n, &sx), my = sal__mean_sd(y, n, &sy), cc = 0;
    if (sx <= 0 || sy <= 0) return 0;
    for (size_t i = 0; i < n; i++) cc += (x[i] - mx) * (y[i] - my);
    cc /= (double)n * sx * sy;
    for (size_t i = 0; dx && i < n; i++)
        dx[i] += (float)(weight * ((y[i] - my) / sy - cc * (x[i] - mx) / sx) /
                         ((double)n * sx));
    return weight * cc;
}

/* Cosine distance (Jetley, Murray, Vig, "End-to-end saliency mapping via probability distribution
   prediction", CVPR 2016); 1 for maps that are zero.
       c = x.y / (|x| |y|),   L = 1 - c,   dL/dx = c x / |x|^2 - y / (|x| |y|) */
SALDEF double sal_loss_cosine(float *dx, const float *x, const float *y, size_t n, double weight) {
    double xx = 0, yy = 0, xy = 0, c;
    for (size_t i = 0; i < n; i++) {
        xx += (double)x[i] * x[i];
        yy += (double)y[i] * y[i];
        xy += (double)x[i] * y[i];
    }
    if (xx <= 0 || yy <= 0) return weight;
    c = xy / sqrt(xx * yy);
    for (size_t i = 0; dx && i < n; i++)
        dx[i] -= (float)(weight * (y[i] / sqrt(xx * yy) - c * x[i] / xx));
    return weight * (1 - c);
}

/* Distances between the distributions p = x / (sum x + eps) and q = y / (sum y + eps); negative
   values of x count as 0. rule returns what a pixel adds to the loss, and its derivative s by p:
       L = sum rule(p_i, q_i),   dL/dx_i = (s_i - sum s_k p_k) / (sum x + eps) */
typedef double sal__loss_rule(double p, double q, double *slope);

static double sal__loss_distance(float *dx, const float *x, const float *y, size_t n,
                                 double weight, sal__loss_rule *rule) {
    double sx = SAL__LOSS_EPS, sy = SAL__LOSS_EPS, loss = 0, dot = 0, slope;
    for (size_t i = 0; i < n; i++) { sx += x[i] < 0 ? 0 : x[i]; sy += y[i]; }   /* keeps NaN */
    for (size_t i = 0; i < n; i++) {
        double p = (x[i] < 0 ? 0 : x[i]) / sx;
        loss += rule(p, y[i] / sy, &slope);
        dot += slope * p;
    }
    for (size_t i = 0; dx && i < n; i++) {
        if (x[i] < 0) continue;
        rule(x[i] / sx, y[i] / sy, &slope);
        dx[i] += (float)(weight * (slope - dot) / sx);
    }
    return weight * loss;
}

/* SAM eq. (14), the Kullback-Leibler divergence, with r = q / (p + eps):
       L = sum q log(r + eps),   dL/dp = -q r / ((r + eps) (p + eps)) */
static double sal__rule_kl(double p, double q, double *slope) {
    double ratio = q / (p + SAL__LOSS_EPS);
    *slope = -q * ratio / ((ratio + SAL__LOSS_EPS) * (p + SAL__LOSS_EPS));
    return q * log(ratio + SAL__LOSS_EPS);
}
/* Total variation (Jetley et al.):   L = sum |p - q| / 2,   dL/dp = sign(p - q) / 2 */
static double sal__rule_tvd(double p, double q, double *slope) {
    *slope = 0.5 * ((p > q) - (p < q));
    return 0.5 * fabs(p - q);
}
/* Chi-squared divergence (Jetley et al.), with r = q / (p + eps):
       L = sum q r - q,   dL/dp = -r^2 */
static double sal__rule_chi2(double p, double q, double *slope) {
    double ratio = q / (p + SAL__LOSS_EPS);
    *slope = -ratio * ratio;
    return q * ratio - q;
}
SALDEF double sal_loss_kl(float *dx, const float *x, const float *y, size_t n, double weight) {
    return sal__loss_distance(dx, x, y, n, weight, sal__rule_kl);
}
SALDEF double sal_loss_tvd(float *dx, const float *x, const float *y, size_t n, double weight) {
    return sal__loss_distance(dx, x, y, n, weight, sal__rule_tvd);
}
SALDEF double sal_loss_chi2(float *dx, const float *x, const float *y, size_t n, double weight) {
    return sal__loss_distance(dx, x, y, n, weight, sal__rule_chi2);
}

/* Binary cross-entropy of probabilities, clipped to [eps, 1 - eps] (no gradient beyond):
       L = -sum (y log x + (1 - y) log(1 - x)) / n,   dL/dx = (x - y) / (x (1 - x) n) */
SALDEF double sal_loss_bce(float *dx, const float *x, const float *y, size_t n, double weight) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double p = sal__clamp(x[i], SAL__LOSS_EPS, 1 - SAL__LOSS_EPS);
        sum -= y[i] * log(p) + (1 - y[i]) * log(1 - p);
        if (dx && p == x[i]) dx[i] += (float)(weight * (p - y[i]) / (p * (1 - p)) / (double)n);
    }
    return weight * sum / (double)n;
}

/* --- combinations ---------------------------------------------------------------------------- */

typedef double sal__loss_fn(float *dx, const float *x, const float *y, size_t n, double weight);
#define SAL__LOSS(ENUM, name, text) sal_loss_##name,
#define SAL__LOSS_TEXT(ENUM, name, text) text,
static sal__loss_fn *const sal__loss_terms[SAL_LOSS_COUNT] = { SAL_LOSSES(SAL__LOSS) };
static const char *const sal__loss_names[SAL_LOSS_COUNT] = { SAL_LOSSES(SAL__LOSS_TEXT) };

SALDEF size_t sal_loss_scratch(const sal_loss *loss, int w, int h) {
    size_t side = (size_t)SAL__MAX(loss->upsample, 1);
    return 2 * (size_t)h * w * side * side;
}

SALDEF double sal_loss_map(const sal_loss *loss, float *dx, const float *x, const float *density,
                           const float *fixations, int w, int h, double weight, float *scratch) {
    int side = SAL__MAX(loss->upsample, 1);
    size_t n = (size_t)h * side * w * side, m = 0;
    float *big = scratch, *dbig = big + n;
    double total = 0, top = 1, through_max = 0;
    sal_upsample_forward(big, x, 1, w, h, w * side, h * side);
    memset(dbig, 0, n * sizeof(float));
    if (loss->peak) {
        for (size_t i = 1; i < n; i++) if (big[i] > big[m]) m = i;
        top = SAL__MAX(big[m], SAL__LOSS_EPS);
        for (size_t i = 0; i < n; i++) big[i] = (float)(big[i] / top);
    }
    for (int k = 0; k < SAL_LOSS_COUNT; k++)
        if (loss->weight[k] != 0)
            total += sal__loss_terms[k](dbig, big, k == SAL_LOSS_NSS ? fixations : density, n,
                                        weight * loss->weight[k]);
    if (loss->peak && dx) {             /* big = up / up_m */
        for (size_t i = 0; i < n; i++) {
            through_max -= (double)dbig[i] * big[i] / top;
            dbig[i] = (float)(dbig[i] / top);
        }
        if (top > SAL__LOSS_EPS) dbig[m] += (float)through_max;
    }
    if (dx) sal_upsample_backward(dx, dbig, 1, w, h, w * side, h * side);
    return total;
}

/* "10*kl-2*cc-nss": terms with signs and factors. */
SALDEF sal_result sal_loss_parse(sal_ctx *ctx, const char *text, sal_loss *loss) {
    int sam = !strcmp(text, "sam"), peak = !strncmp(text, "peak:", 5), terms = 0;
    const char *p = peak ? text + 5 : text;
    sal_loss sum = SAL__ZEROED;
    memset(loss, 0, sizeof *loss);
    sum.upsample = sam ? 16 : 1;
    sum.peak = sam || peak;
    if (sam) p = "10*kl-2*cc-nss";
    while (*p) {
        double sign = *p == '-' ? -1 : 1, factor = 1;
        int k;
        if (*p == '-' || *p == '+') p++;
        if ((*p >= '0' && *p <= '9') || *p == '.') {
            if (sal_number_parse(&p, &factor)) p += strlen(p);
            p += *p == '*';
        }
        size_t length = strcspn(p, "+-");
        for (k = 0; k < SAL_LOSS_COUNT; k++)
            if (strlen(sal__loss_names[k]) == length && !strncmp(p, sal__loss_names[k], length))
                break;
        if (k == SAL_LOSS_COUNT || !length)
            return sal__fail(ctx, SAL_ERR_ARGUMENT, "the loss \"%s\" is not known at \"%s\": write "
                             "sam, or a sum like 10*kl-2*cc-nss of mse, mlnet, mlnet_code, nss, "
                             "cc, kl, tvd, chi2, cosine, bce", text, p);
        sum.weight[k] += sign * factor;
        p += length;
    }
    for (int k = 0; k < SAL_LOSS_COUNT; k++) {
        terms += sum.weight[k] != 0;
        if (!(fabs(sum.weight[k]) <= FLT_MAX)) terms = -SAL_LOSS_COUNT;
    }
    if (terms <= 0)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "the loss \"%s\" has no term, or none of finite "
                         "weight: write sam, or a sum like 10*kl-2*cc-nss", text);
    *loss = sum;
    return SAL_OK;
}

/* --- penalties and constraints ---------------------------------------------------------------- */

/* L2 weight decay:   lambda / 2 * sum w^2,   dw += lambda * w */
SALDEF double sal_weight_decay(float *dw, const float *w, size_t n, double lambda) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)w[i] * w[i];
        if (dw) dw[i] += (float)(lambda * w[i]);
    }
    return lambda / 2 * sum;
}

/* ML-Net eq. (2), second term: the prior stays near one.
       lambda * sum (1 - u)^2,   du -= 2 lambda (1 - u) */
SALDEF double sal_prior_penalty(float *du, const float *u, size_t n, double lambda) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double d = 1.0 - u[i];
        sum += d * d;
        if (du) du[i] -= (float)(2 * lambda * d);
    }
    return lambda * sum;
}

/* Max-norm constraint (Srebro, Shraibman 2005; Goodfellow et al. 2013): each row of w (rows, n),
   the weights of one unit, is scaled down to a Euclidean norm of at most c. */
SALDEF void sal_max_norm(float *w, int rows, int n, double c) {
    for (int i = 0; i < rows; i++, w += n) {
        double squares = 0;
        for (int j = 0; j < n; j++) squares += (double)w[j] * w[j];
        if (squares <= c * c) continue;
        for (int j = 0; j < n; j++) w[j] = (float)(w[j] * (c / sqrt(squares)));
    }
}

/* ============================================================================================
   >>graph  layers in execution order: shapes, memory plan, forward
   ========================================================================================== */

enum { SAL__MAX_LAYERS = 512, SAL__MAX_PARAMS = 1024 };     /* used: 252 (lite), 296 (SAM-ResNet) */

static sal_result sal__too_long(sal_ctx *ctx, const char *name) {
    return sal__fail(ctx, SAL_ERR_SHAPE, "%s is too long: %d layers and %d parameters are possible",
                     name, SAL__MAX_LAYERS, SAL__MAX_PARAMS);
}

/* --- shape rules: *out from the inputs' shapes; a reason (a phrase) if that is impossible ----- */

static sal_conv sal__conv_of(const sal_layer *l, int n, sal_shape in) {
    int k = l->kernel, p = l->pad;
    sal_conv s = { n, in.c, in.h, in.w, l->shape.c, k, k, l->stride, l->dilation, p, p, p, p,
                   0, 0 };
    if (l->padding == SAL_PADDING_SAME) {           /* as TensorFlow: the larger half behind */
        int reach = (k - 1) * l->dilation + 1;
        int h = SAL__MAX((in.h - 1) / l->stride * l->stride + reach - in.h, 0);
        int w = SAL__MAX((in.w - 1) / l->stride * l->stride + reach - in.w, 0);
        s.top = h / 2;
        s.left = w / 2;
        s.bottom = h - s.top;
        s.right = w - s.left;
    }
    sal_conv_fit(&s);
    return s;
}

static sal_pool sal__pool_of(const sal_layer *l, int n, sal_shape in) {
    sal_pool s = { n * in.c, in.h, in.w, l->kernel, l->stride, 0, 0, 0, 0 };
    sal_pool_fit(&s, l->padding);
    return s;
}

static sal_shape sal__shape_of(int c, int h, int w) {
    sal_shape s = { c, h, w };
    return s;
}

static size_t sal__shape_count(sal_shape s) { return (size_t)s.c * s.h * s.w; }

static const char *sal__shape_same(const sal_layer *l, const sal_shape *in, sal_shape *out) {
    *out = in[0];
    return NULL;
}

static const char *sal__shape_input(const sal_layer *l, const sal_shape *in, sal_shape *out) {
    return NULL;                        /* set by the caller */
}

static const char *sal__shape_conv2d(const sal_layer *l, const sal_shape *in, sal_shape *out) {
    sal_conv s = sal__conv_of(l, 1, in[0]);
    *out = sal__shape_of(s.oc, s.oh, s.ow);
    return s.oh > 0 && s.ow > 0 ? NULL : "the kernel is larger than its input";
}

static const char *sal__shape_depthwise(const sal_layer *l, const sal_shape *in, sal_shape *out) {
    const char *reason = sal__shape_conv2d(l, in, out);
    out->c = in[0].c;
    return reason;
}

/* The channels of the first input, the size of the second. */
static const char *sal__shape_upsample(const sal_layer *l, const sal_shape *in, sal_shape *out) {
    *out = sal__shape_of(in[0].c, in[1].h, in[1].w);
    return NULL;
}

static const char *sal__shape_maxpool(const sal_layer *l, const sal_shape *in, sal_shape *out) {
    sal_pool s = sal__pool_of(l, 1, in[0]);
    *out = sal__shape_of(in[0].c, s.oh, s.ow);
    return s.oh > 0 && s.ow > 0 ? NULL : "the window is larger than its input";
}

/* Dense layers and maxout have the shape the builder gave them: their weights fix the input. */
static const char *sal__shape_dense(const sal_layer *l, const sal_shape *in, sal_shape *out) {
    *out = l->shape;
    return sal__shape_count(in[0]) == (size_t)l->kernel ? NULL
         : "a dense layer takes one input size only";
}

static const char *sal__shape_maxout(const sal_layer *l, const sal_shape *in, sal_shape *out) {
    *out = l->shape;
    return sal__shape_count(in[0]) == sal__shape_count(*out) * (size_t)l->kernel ? NULL
         : "its input does not divide into pieces";
}

static const char *sal__shape_concat(const sal_layer *l, const sal_shape *in, sal_shape *out) {
    *out = in[0];
    for (int k = 1; k < l->inputs; k++) {
        if (in[k].h != out->h || in[k].w != out->w) return "its inputs differ in size";
        out->c += in[k].c;
    }
    return NULL;
}

static const char *sal__shape_add(const sal_layer *l, const sal_shape *in, sal_shape *out) {
    *out = in[0];
    return in[0].c == in[1].c && in[0].h == in[1].h && in[0].w == in[1].w ? NULL
         : "its inputs differ in shape";
}

static const char *sal__shape_gaussians(const sal_layer *l, const sal_shape *in, sal_shape *out) {
    *out = sal__shape_of(l->shape.c, in[0].h, in[0].w);
    return NULL;
}

typedef const char *sal__shape_fn(const sal_layer *l, const sal_shape *in, sal_shape *out);
#define SAL__OP_SHAPE(ENUM, name, shape, fast, train) sal__shape_##shape,
#define SAL__OP_NAME(ENUM, name, shape, fast, train) #name,
static sal__shape_fn *const sal__shape_rules[SAL_OP_COUNT] = { SAL_OPERATORS(SAL__OP_SHAPE) };
static const char *const sal__op_names[SAL_OP_COUNT] = { SAL_OPERATORS(SAL__OP_NAME) };

SALDEF const char *sal_op_name(sal_op op) {
    return (unsigned)op < SAL_OP_COUNT ? sal__op_names[op] : "?";
}

static sal_result sal__input_size_ok(sal_ctx *ctx, const sal_net *net, int h, int w) {
    int multiple = SAL__MAX(net->multiple, 1), least = SAL__MAX(multiple, 8);
    if (h < least || w < least || h > 8192 || w > 8192 || h % multiple || w % multiple)
        return sal__fail(ctx, SAL_ERR_SHAPE, "%s does not take an input of %d x %d (height x "
                         "width): both must be multiples of %d from %d to 8192", net->name, h, w,
                         multiple, least);
    if (net->multiple == 0 && (h != net->desc.h || w != net->desc.w))
        return sal__fail(ctx, SAL_ERR_SHAPE, "%s does not take an input of %d x %d (height x "
                         "width): its dense layers are made for %d x %d", net->name, h, w,
                         net->desc.h, net->desc.w);
    return SAL_OK;
}

/* The shape of layer i from those before it. */
static sal_result sal__infer_shape(sal_ctx *ctx, const sal_layer *l, sal_shape *shapes, int i) {
    sal_shape in[4];
    for (int k = 0; k < l->inputs; k++) in[k] = shapes[l->input[k]];
    const char *reason = sal__shape_rules[l->op](l, in, &shapes[i]);
    if (reason)
        return sal__fail(ctx, SAL_ERR_SHAPE, "layer %s (%s) cannot take %d x %d x %d: %s", l->name,
                         sal_op_name(l->op), in[0].c, in[0].h, in[0].w, reason);
    return SAL_OK;
}

SALDEF sal_result sal_net_shapes(sal_ctx *ctx, const sal_net *net, int w, int h,
                                 sal_shape *shapes) {
    if (net->layers > SAL__MAX_LAYERS || net->params > SAL__MAX_PARAMS)
        return sal__too_long(ctx, net->name);
    SAL__TRY(sal__input_size_ok(ctx, net, h, w));
    shapes[0] = sal__shape_of(3, h, w);
    for (int i = 1; i < net->layers; i++)
        SAL__TRY(sal__infer_shape(ctx, &net->layer[i], shapes, i));
    return SAL_OK;
}

SALDEF double sal_layer_macs(const sal_net *net, int i, const sal_shape *shapes) {
    const sal_layer *l = &net->layer[i];
    double in = l->inputs ? shapes[l->input[0]].c : 0, out = (double)sal__shape_count(shapes[i]);
    double area = (double)shapes[i].h * shapes[i].w;
    switch (l->op) {
    case SAL_OP_CONV2D:   return out * in * l->kernel * l->kernel;
    case SAL_OP_DENSE:    return out * l->kernel;
    case SAL_OP_DEPTHWISE: return out * l->kernel * l->kernel;
    case SAL_OP_CONVLSTM: /* Wa once, then for each step Ua, four W, four U and Va */
        return 9 * area * in * (in + l->steps * (9 * in + 1));
    default:              return 0;
    }
}

/* --- planning: fusion, lifetimes, memory ------------------------------------------------------ */

/* The only layer that reads value v, or -1 if none or several do. */
static int sal__sole_reader(const sal_net *net, int v) {
    int reader = -1;
    for (int i = v + 1; i < net->layers; i++)
        for (int k = 0; k < net->layer[i].inputs; k++)
            if (net->layer[i].input[k] == v) {
                if (reader >= 0) return -1;
                reader = i;
            }
    return reader;
}

/* The same for what step i makes; -1, too, if step i is frozen and that layer is not: what passes
   from one to the other is kept as a feature. */
static int sal__fused_reader(const sal_run *run, int i, int v) {
    int reader = sal__sole_reader(run->net, v);
    return i < run->frozen && reader >= run->frozen ? -1 : reader;
}

/* Extends the epilogue of step i, which ends with value `end` so far, by layer `next`: a norm, then
   an addition, then a ReLU. 0: that is not possible. While training no norm is fused, whose
   backward needs its input, and an addition only if its gradient is wanted where layer i's is. */
static int sal__fuse_epilogue(sal_run *run, int i, int end, int next) {
    const sal_layer *l = &run->net->layer[next];
    sal_step *step = &run->step[i];
    int added = l->input[0] == end ? l->input[1] : l->input[0];
    if (next == run->kept || step->act != SAL_ACT_IDENTITY) return 0;   /* kept: end is needed */
    if (l->op == SAL_OP_RELU) step->act = SAL_ACT_RELU;
    else if (l->op == SAL_OP_RELU6) step->act = SAL_ACT_RELU6;
    else if (l->op == SAL_OP_BATCHNORM && end == i && !run->training) step->norm = next;
    else if (l->op == SAL_OP_ADD && step->add < 0 && added < i && (!run->training ||
             (run->backend->fuses > 1 && run->step[next].learns == step->learns)))
        step->add = added;
    else return 0;
    return 1;
}

/* 1 for a 2x2 max-pool of stride 2 that needs no padding. */
static int sal__is_2x2_pool(const sal_layer *l, sal_shape in) {
    int odd = in.h % 2 || in.w % 2;
    return l->op == SAL_OP_MAXPOOL && l->kernel == 2 && l->stride == 2 &&
           !(odd && l->padding == SAL_PADDING_SAME);
}

/* Fuses into convolution i what follows: its epilogue and, where the backend can, a max-pool or a
   depthwise layer behind it, which has an epilogue of its own. */
static void sal__fuse(sal_run *run, int i) {
    const sal_net *net = run->net;
    sal_step *step = &run->step[i];
    int end = i, next = sal__fused_reader(run, i, i);
    while (next >= 0 && sal__fuse_epilogue(run, i, end, next)) {
        run->step[next].skip = 1;
        run->value[end].root = next;
        end = next;
        next = sal__fused_reader(run, i, end);
    }
    if (next >= 0 && !run->training && step->add < 0 && run->backend->can_fuse) {
        const sal_layer *l = &net->layer[next];
        if (sal__is_2x2_pool(l, run->value[end].shape) && run->backend->can_fuse(run, i, next))
            step->pool = next;
        if (l->op == SAL_OP_DEPTHWISE && run->backend->can_fuse(run, i, next)) {
            sal__fuse(run, next);
            if (run->step[next].norm < 0 && run->step[next].add < 0) step->wide = next;
        }
        if (step->pool >= 0 || step->wide >= 0) {
            run->step[next].skip = 1;
            run->value[end].root = next;
            end = run->step[next].output;
        }
    }
    step->output = end;
}

/* The value whose memory holds value v. */
static int sal__root(const sal_run *run, int v) {
    while (run->value[v].root != v) v = run->value[v].root;
    return v;
}

/* Which layers are executed, and what is fused into them. */
static void sal__plan_steps(sal_run *run, const sal_shape *shapes) {
    const sal_net *net = run->net;
    for (int i = 0; i < net->layers; i++) {
        sal_step *step = &run->step[i];
        run->value[i].shape = shapes[i];
        run->value[i].root = step->output = i;
        step->steps = net->layer[i].steps;
        step->norm = step->add = step->pool = step->wide = -1;
    }
    for (int i = 1; i < net->layers; i++) {
        const sal_layer *l = &net->layer[i];
        int fusing = l->op == SAL_OP_CONV2D || l->op == SAL_OP_DEPTHWISE || l->op == SAL_OP_DENSE;
        if (l->op == SAL_OP_DROPOUT && !(run->training && l->rate > 0)) {
            run->step[i].skip = 1;                  /* does nothing */
            run->value[i].root = l->input[0];
        }
        if (fusing && run->backend->fuses && i >= run->start && run->step[i].output == i &&
            i != run->kept) sal__fuse(run, i);
    }
}

/* Value v is still in use at this time. */
static sal_value *sal__in_use(sal_run *run, int v, int time) {
    sal_value *value = &run->value[sal__root(run, v)];
    value->last = SAL__MAX(value->last, time);
    return value;
}

/* From when to when each value is in use; backward reads the values of layers that learn again. */
static void sal__plan_lifetimes(sal_run *run) {
    const sal_net *net = run->net;
    int end = net->layers;
    for (int i = 0; i < end; i++) {
        const sal_layer *l = &net->layer[i];
        const sal_step *step = &run->step[i];
        int again = step->learns ? 2 * end - i : i;
        if (step->skip) continue;
        sal__in_use(run, step->output, again)->first = i;
        for (int k = 0; k < l->inputs; k++) {
            sal_value *in = sal__in_use(run, l->input[k], again);
            if (step->learns) in->grad_first = 2 * end - i;     /* the last reader: begins here */
        }
        if (step->add >= 0) {
            sal_value *in = sal__in_use(run, step->add, i);
            if (step->learns) in->grad_first = 2 * end - i;
        }
    }
    sal__in_use(run, end - 1, end)->grad_first = end;           /* the caller reads the output */
    if (run->kept >= 0) sal__in_use(run, run->kept, 2 * end);
    for (int i = 0; (run->training || run->start > 1) && i < run->frozen; i++) {
        sal_value *v = &run->value[i];      /* features: the caller fills them in, or takes them */
        if (run->start > 1) v->first = 0;
        if (v->last >= run->frozen) v->last = SAL__MAX(v->last, end);
    }
}

/* Bytes of a value in whole numbers: pixel by pixel, all channels, rounded up to 32. */
static size_t sal__whole_pitch(int c) { return ((size_t)c + 31) / 32 * 32; }
static size_t sal__whole_count(sal_shape s) { return sal__whole_pitch(s.c) * s.h * s.w; }

/* A piece of the arena and the time it is in use. */
typedef struct sal__span { size_t size, *offset; int first, last; } sal__span;

static void sal__plan_span(sal__span *piece, int *count, size_t floats, size_t *offset, int first,
                           int last) {
    enum { LINE = 16 };         /* floats: every piece starts on a cache line */
    sal__span p = { (floats + LINE - 1) / LINE * LINE, offset, first, last };
    int k;
    if (!floats) return;
    for (k = (*count)++; k > 0 && piece[k - 1].size < p.size; k--) piece[k] = piece[k - 1];
    piece[k] = p;               /* sorted by size, descending */
}

static const sal_backend *sal__backend_of(const sal_run *run, int i) {
    sal_op op = run->net->layer[i].op;
    const sal_backend *b = run->backend;
    return (run->training ? b->train[op] && b->backward[op] : b->forward[op] != NULL)
         ? b : sal_backend_ref();
}

/* Largest first, each piece at the lowest place that is free while it lives. */
static void sal__plan_memory(sal_run *run) {
    int layers = run->net->layers, count = 0;
    sal__span piece[3 * SAL__MAX_LAYERS];
    for (int i = 0; i < layers; i++) {
        sal_value *v = &run->value[i];
        size_t size = run->n * sal__shape_count(v->shape);
        const sal_backend *b = sal__backend_of(run, i);
        if (v->unit > 0) size = run->n * sal__whole_count(v->shape) / sizeof(float);
        if (run->step[i].learns && b->aux)
            sal__plan_span(piece, &count, (b->aux(run, i) + sizeof(float) - 1) / sizeof(float),
                            &v->aux_offset, i, 2 * layers - i);
        if (v->root != i) continue;
        if (i > 0 && v->last >= run->start)
            sal__plan_span(piece, &count, size, &v->offset, v->first, v->last);
        if (run->step[v->first].learns)
            sal__plan_span(piece, &count, size, &v->grad_offset, v->grad_first,
                            2 * layers - v->first);
    }
    for (int i = 0; i < count; i++) {
        sal__span *p = &piece[i];
        int moved = 1;
        *p->offset = 0;
        while (moved) {                             /* step over whatever is in the way */
            moved = 0;
            for (int k = 0; k < i; k++) {
                const sal__span *o = &piece[k];
                if (p->first <= o->last && o->first <= p->last &&
                    *p->offset < *o->offset + o->size && *o->offset < *p->offset + p->size) {
                    *p->offset = *o->offset + o->size;
                    moved = 1;
                }
            }
        }
        run->arena_floats = SAL__MAX(run->arena_floats, *p->offset + p->size);
    }
}

/* 1 if name begins with one of the comma-separated prefixes, or if one of these begins with *. */
static int sal__is_frozen(const char *freeze, const char *name) {
    while (freeze && *freeze) {
        size_t n = strcspn(freeze, ",");
        if (n && (!strncmp(freeze, name, n) || *freeze == '*')) return 1;
        freeze += n + (freeze[n] == ',');
    }
    return 0;
}

static int sal__is_statistic(const sal_layer *l, int k) {      /* parameter k of the network */
    return l->op == SAL_OP_BATCHNORM && k - l->param >= 2;
}

/* run->frozen: how many layers at the beginning neither learn nor drop out. */
static void sal__plan_frozen(sal_run *run, const sal_run_desc *desc) {
    const sal_net *net = run->net;
    int i, learns = 0;
    for (i = 0; i < net->layers && !learns; i++) {
        const sal_layer *l = &net->layer[i];
        learns = l->op == SAL_OP_DROPOUT && l->rate > 0;
        for (int k = l->param; k < l->param + l->params; k++)
            learns |= !sal__is_frozen(desc->freeze, net->param[k].name) && !sal__is_statistic(l, k);
    }
    run->frozen = learns ? i - 1 : i;
    if (desc->from_features) run->start = SAL__MAX(run->frozen, 1);
}

/* Fails if a prefix freezes nothing: it is probably misspelt. */
static sal_result sal__freeze_check(sal_ctx *ctx, const sal_net *net, const char *freeze) {
    const char *f = freeze ? freeze : "";
    for (size_t n; *f; f += n + (f[n] == ',')) {
        int k = 0;
        n = strcspn(f, ",");
        while (n && *f != '*' && k < net->params && strncmp(f, net->param[k].name, n)) k++;
        if (k == net->params)
            return sal__fail(ctx, SAL_ERR_ARGUMENT, "\"%.*s\" freezes nothing: no parameter of %s "
                             "has a name that begins so", (int)SAL__MIN(n, 80), f, net->name);
    }
    return SAL_OK;
}

/* Which parameters get a gradient, and how far back it has to go. */
static sal_result sal__plan_gradients(sal_ctx *ctx, sal_run *run, const sal_run_desc *desc) {
    const sal_net *net = run->net;
    SAL__TRY(sal__freeze_check(ctx, net, desc->freeze));
    SAL__TRY_NEW(run->gradient, ctx, float *, net->params);
    SAL__TRY_NEW(run->cleared, ctx, unsigned char, net->params);
    for (int pass = 0; pass < 2; pass++) {              /* count, then share out */
        size_t floats = 0;
        int counted = 0;
        for (int i = 0; i < net->layers; i++) {
            const sal_layer *l = &net->layer[i];
            sal_step *step = &run->step[i];
            if (i == run->kept) step->learns = 1;
            for (int k = 0; k < (l->op == SAL_OP_UPSAMPLE ? 1 : l->inputs); k++)
                step->learns |= run->step[l->input[k]].learns;      /* the second: a size */
            for (int k = l->param; k < l->param + l->params; k++) {
                const sal_param *p = &net->param[k];
                size_t count = (sal_tensor_count(&p->value) + 15) / 16 * 16;    /* whole lines */
                if (sal__is_frozen(desc->freeze, p->name) || sal__is_statistic(l, k)) continue;
                if (p->value.dtype != SAL_DTYPE_F32)
                    return sal__fail(ctx, SAL_ERR_UNSUPPORTED, "%s cannot learn as %s: convert the "
                                     "network with sal_net_to_float", p->name,
                                     sal_dtype_name(p->value.dtype));
                step->learns = 1;
                if (k < counted) continue;              /* shared: the gradients add up */
                counted = k + 1;
                if (pass == 1) run->gradient[k] = run->gradients + floats;
                floats += count;
            }
        }
        run->gradient_floats = floats;
        if (pass == 0) SAL__TRY_NEW(run->gradients, ctx, float, floats);
    }
    if (!run->gradient_floats && !desc->input_gradient)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "nothing is left to learn: \"%s\" freezes all of "
                         "%s", desc->freeze ? desc->freeze : "", net->name);
    return SAL_OK;
}

/* Plan fusion, gradients and memory, once for a run. */
static sal_result sal__run_plan(sal_ctx *ctx, sal_run *run, const sal_run_desc *desc,
                                const sal_shape *shapes) {
    const sal_net *net = run->net;
    size_t folds = 0, sums = 1;
    SAL__TRY_NEW(run->value, ctx, sal_value, net->layers);
    SAL__TRY_NEW(run->step, ctx, sal_step, net->layers);
    sal__plan_frozen(run, desc);
    if (run->training) SAL__TRY(sal__plan_gradients(ctx, run, desc));
    run->whole = !run->training && !net->desc.float32 && net->layer[0].range && run->start == 1 &&
                 run->backend->whole != NULL;
    sal__plan_steps(run, shapes);
    sal__plan_lifetimes(run);
    if (run->whole && !run->backend->whole(run)) {      /* planned again, in floats */
        run->whole = 0;
        memset(run->step, 0, sizeof(sal_step) * net->layers);
        memset(run->value, 0, sizeof(sal_value) * net->layers);
        sal__plan_steps(run, shapes);
        sal__plan_lifetimes(run);
    }
    sal__plan_memory(run);
    if (run->whole) SAL__TRY(run->backend->pack(ctx, run));
    for (int i = 0; i < net->layers; i++) {
        const sal_backend *b = sal__backend_of(run, i);
        if (run->step[i].norm >= 0) folds += 2 * (size_t)shapes[i].c;
        if (run->step[i].act != SAL_ACT_IDENTITY) sums = SAL__MAX(sums, (size_t)shapes[i].c);
        if (!run->step[i].skip && b->scratch)
            run->scratch_bytes = SAL__MAX(run->scratch_bytes, b->scratch(run, i));
    }
    SAL__TRY_NEW(run->arena, ctx, float, run->arena_floats + folds);
    SAL__TRY_NEW(run->scratch, ctx, unsigned char, run->scratch_bytes + 1);
    if (run->training) SAL__TRY_NEW(run->sums, ctx, double, (size_t)run->n * sums);
    float *fold = run->arena + run->arena_floats;
    for (int i = 0; i < net->layers; i++) {
        sal_value *v = &run->value[i], *root = &run->value[sal__root(run, i)];
        if (i > 0) v->data = run->arena + root->offset;
        if (run->step[root->first].learns) v->grad = run->arena + root->grad_offset;
        if (run->step[i].learns) v->aux = run->arena + v->aux_offset;
        if (run->step[i].norm >= 0) { run->step[i].fold = fold; fold += 2 * (size_t)v->shape.c; }
    }
    run->shape = shapes[net->layers - 1];
    run->output = run->value[net->layers - 1].data;
    return run->backend->device ? run->backend->device->open(ctx, run) : SAL_OK;
}

/* Drops the ranges of values: they do not hold for changed weights. */
static void sal__net_forget_ranges(sal_net *net) {
    for (int i = 0; i < net->layers; i++) net->layer[i].range = NULL;
}

static sal_result sal__run_open(sal_ctx *ctx, const sal_net *net, sal_net *learning, int n,
                                const sal_run_desc *desc, sal_run **out) {
    sal_run *run;
    sal_shape shapes[SAL__MAX_LAYERS];
    int h = desc->h, w = desc->w;
    *out = NULL;
    if (!h && !w) { h = net->desc.h; w = net->desc.w; }
    if (n < 1)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "a batch has at least one picture, not %d", n);
    if (desc->input_gradient && (desc->gradient_of < 0 || desc->gradient_of >= net->layers))
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "there is no layer %d for gradient_of: %s has 0 to "
                         "%d", desc->gradient_of, net->name, net->layers - 1);
    SAL__TRY(sal_net_shapes(ctx, net, w, h, shapes));
    for (int i = 0; i < net->layers; i++)
        if ((double)sal__shape_count(shapes[i]) * n > INT_MAX)      /* operators count in int */
            return sal__fail(ctx, SAL_ERR_MEMORY, "a batch of %d pictures of %d x %d is too large",
                             n, w, h);
    SAL__TRY_NEW(run, ctx, sal_run, 1);
    run->net = net;
    run->learning = learning;
    run->n = n;
    run->h = h;
    run->w = w;
    run->backend = ctx->backend ? ctx->backend : sal_backend_cpu();
    run->threads = sal_threads(ctx);
    run->training = desc->training; run->fixed_norm = desc->fixed_norm;
    run->start = 1; run->end = net->layers;
    run->kept = desc->input_gradient ? desc->gradient_of : -1;
    sal_result r = sal__run_plan(ctx, run, desc, shapes);
    if (r == SAL_OK && run->gradient_floats) sal__net_forget_ranges(learning);
    if (r == SAL_OK) *out = run;
    else sal_run_close(ctx, run);
    return r;
}

SALDEF sal_result sal_run_open_desc(sal_ctx *ctx, sal_net *net, const sal_run_desc *desc,
                                    sal_run **run) {
    return sal__run_open(ctx, net, desc->training ? net : NULL, desc->n ? desc->n : 1, desc, run);
}

SALDEF sal_result sal_run_open(sal_ctx *ctx, const sal_net *net, int n, int w, int h,
                               sal_run **run) {
    sal_run_desc desc = SAL__ZEROED;
    desc.h = h;
    desc.w = w;
    return sal__run_open(ctx, net, NULL, n, &desc, run);
}

SALDEF void sal_run_close(sal_ctx *ctx, sal_run *run) {
    if (!run) return;
    if (run->device) run->backend->device->close(ctx, run);
    sal_free(ctx, run->value);
    sal_free(ctx, run->step);
    sal_free(ctx, run->arena);
    sal_free(ctx, run->scratch);
    sal_free(ctx, run->packed);
    sal_free(ctx, run->gradient);
    sal_free(ctx, run->gradients);
    sal_free(ctx, run->cleared);
    sal_free(ctx, run->sums);
    sal_free(ctx, run);
}

SALDEF size_t sal_run_bytes(const sal_run *run) {
    return (run->arena_floats + run->gradient_floats) * sizeof(float) + run->scratch_bytes +
           run->packed_bytes;
}

SALDEF int sal_run_features(const sal_run *run, int values[8]) {
    const sal_net *net = run->net;
    int count = 0;
    for (int v = 0; v < run->frozen; v++) {
        int passes = 0;
        for (int i = run->frozen; i < net->layers; i++)
            for (int k = 0; k < net->layer[i].inputs; k++) passes |= net->layer[i].input[k] == v;
        if (passes && count < 8) values[count] = v;
        count += passes;
    }
    return count;
}

/* --- the layers on the textbook operators ---------------------------------------------------- */

/* Of layer i: values, shape and gradient of input k; parameter k as a tensor, its values (they must
   be float32, nothing is converted) and its gradient. NULL if there is none. */
static const float *sal__in(const sal_run *run, int i, int k) {
    return run->value[run->net->layer[i].input[k]].data;
}
static sal_shape sal__in_shape(const sal_run *run, int i, int k) {
    return run->value[run->net->layer[i].input[k]].shape;
}
static float *sal__din(const sal_run *run, int i, int k) {
    return run->value[run->net->layer[i].input[k]].grad;
}
static const sal_tensor *sal__tensor(const sal_run *run, int i, int k) {
    return &run->net->param[run->net->layer[i].param + k].value;
}
static const float *sal__weight(const sal_run *run, int i, int k) {
    return k < run->net->layer[i].params ? (const float *)sal__tensor(run, i, k)->data : NULL;
}
static float *sal__dweight(const sal_run *run, int i, int k) {
    const sal_layer *l = &run->net->layer[i];
    return run->training && k < l->params ? run->gradient[l->param + k] : NULL;
}
static size_t sal__out_count(const sal_run *run, int i) {
    return (size_t)run->n * sal__shape_count(run->value[i].shape);
}

/* What a layer works on: its first input, its output, its parameters, and the gradients of these,
   NULL if not needed. */
typedef struct sal__layer_args {
    const sal_run *run;
    const sal_layer *l;
    int i, n;                   /* the layer, samples */
    sal_shape from, to;         /* of the input, of the output */
    size_t count;               /* values of the output, in all samples */
    const float *in, *weight, *bias, *dout;
    float *out, *din, *dweight, *dbias;
    void *aux, *scratch;
} sal__layer_args;

static sal__layer_args sal__args_of(const sal_run *run, int i) {
    const sal_value *out = &run->value[run->step[i].output];
    sal__layer_args a = {
        run, &run->net->layer[i], i, run->n, sal__in_shape(run, i, 0), run->value[i].shape,
        sal__out_count(run, i), sal__in(run, i, 0), sal__weight(run, i, 0), sal__weight(run, i, 1),
        out->grad, out->data, sal__din(run, i, 0), sal__dweight(run, i, 0),
        sal__dweight(run, i, 1), run->value[i].aux, run->scratch
    };
    return a;
}

static void sal__layer_input(const sal__layer_args *a) { }
static void sal__layer_input_back(const sal__layer_args *a) { }

#define SAL__CONVOLUTION(name) \
    static void sal__layer_##name(const sal__layer_args *a) { \
        sal_conv s = sal__conv_of(a->l, a->n, a->from); \
        sal_##name##_forward(a->out, a->in, a->weight, a->bias, &s); \
    } \
    static void sal__layer_##name##_back(const sal__layer_args *a) { \
        sal_conv s = sal__conv_of(a->l, a->n, a->from); \
        if (a->din) sal_##name##_backward_data(a->din, a->dout, a->weight, &s); \
        if (a->dweight) sal_##name##_backward_weight(a->dweight, a->dout, a->in, &s); \
        if (a->dbias) sal_bias_backward(a->dbias, a->dout, s.n, s.oc, s.oh * s.ow); \
    }
SAL__CONVOLUTION(conv2d)
SAL__CONVOLUTION(depthwise)

/* The weights of dense layers stay as the file has them (F16, I8 ...): one row at a time is made
   float, in scratch. */
static void sal__layer_dense(const sal__layer_args *a) {
    const sal_tensor *weight = sal__tensor(a->run, a->i, 0);
    float *row = (float *)a->scratch;
    int nout = weight->dim[0], nin = weight->dim[1];
    for (int o = 0; o < nout; o++) {
        sal_tensor_read(weight, (size_t)o * nin, (size_t)nin, row);
        for (int s = 0; s < a->n; s++)
            sal_dense_forward(a->out + (size_t)s * nout + o, a->in + (size_t)s * nin, row,
                              a->bias ? a->bias + o : NULL, 1, nin, 1);
    }
}

static void sal__layer_dense_back(const sal__layer_args *a) {
    const sal_tensor *weight = sal__tensor(a->run, a->i, 0);
    float *row = (float *)a->scratch;
    int nout = weight->dim[0], nin = weight->dim[1];
    if (a->dweight) sal_dense_backward_weight(a->dweight, a->dout, a->in, a->n, nin, nout);
    if (a->dbias) sal_bias_backward(a->dbias, a->dout, a->n, nout, 1);
    for (int o = 0; a->din && o < nout; o++) {
        sal_tensor_read(weight, (size_t)o * nin, (size_t)nin, row);
        for (int s = 0; s < a->n; s++)
            sal_dense_backward_data(a->din + (size_t)s * nin, a->dout + (size_t)s * nout + o, row,
                                    1, nin, 1);
    }
}

static void sal__layer_maxout(const sal__layer_args *a) {
    sal_maxout_forward(a->out, (int *)a->aux, a->in, (int)a->count, a->l->kernel);
}
static void sal__layer_maxout_back(const sal__layer_args *a) {
    sal_maxout_backward(a->din, a->dout, (const int *)a->aux, (int)a->count, a->l->kernel);
}

static void sal__layer_maxpool(const sal__layer_args *a) {
    sal_pool s = sal__pool_of(a->l, a->n, a->from);
    sal_maxpool_forward(a->out, (int *)a->aux, a->in, &s);
}
static void sal__layer_maxpool_back(const sal__layer_args *a) {
    sal_pool s = sal__pool_of(a->l, a->n, a->from);
    sal_maxpool_backward(a->din, a->dout, (const int *)a->aux, &s);
}

static void sal__layer_relu(const sal__layer_args *a) {
    sal_relu_forward(a->out, a->in, a->count);
}
static void sal__layer_relu_back(const sal__layer_args *a) {
    sal_relu_backward(a->din, a->dout, a->out, a->count);
}

static void sal__layer_relu6(const sal__layer_args *a) {
    sal_relu6_forward(a->out, a->in, a->count);
}
static void sal__layer_relu6_back(const sal__layer_args *a) {
    sal_relu6_backward(a->din, a->dout, a->out, a->count);
}

/* Over all positions of each channel. */
static void sal__layer_softmax(const sal__layer_args *a) {
    sal_softmax_forward(a->out, a->in, a->n * a->to.c, a->to.h * a->to.w);
}
static void sal__layer_softmax_back(const sal__layer_args *a) {
    sal_softmax_backward(a->din, a->dout, a->out, a->n * a->to.c, a->to.h * a->to.w);
}

/* 1: normalise by the batch, 0: by the running statistics */
static int sal__uses_batch(const sal_run *run, int i) {
    return !run->fixed_norm && (sal__dweight(run, i, 0) || sal__dweight(run, i, 1));
}

static void sal__layer_batchnorm(const sal__layer_args *a) {
    const float *mean = sal__weight(a->run, a->i, 2), *var = sal__weight(a->run, a->i, 3);
    float eps = a->l->eps, *aux = (float *)a->aux;      /* mean, 1 / sd */
    int c = a->to.c, hw = a->to.h * a->to.w;
    if (sal__uses_batch(a->run, a->i)) {
        const sal_param *moved = &a->run->learning->param[a->l->param + 2];
        sal_batchnorm_forward_train(a->out, aux, aux + c, (float *)moved[0].value.data,
                                    (float *)moved[1].value.data, a->in, a->weight, a->bias, eps,
                                    .1f, a->n, c, hw);
        return;
    }
    sal_batchnorm_forward(a->out, a->in, a->weight, a->bias, mean, var, eps, a->n, c, hw);
    for (int k = 0; aux && k < c; k++) {
        aux[k] = mean[k];
        aux[c + k] = (float)(1 / sqrt((double)var[k] + eps));
    }
}
static void sal__layer_batchnorm_back(const sal__layer_args *a) {
    const float *aux = (const float *)a->aux;
    sal_batchnorm_backward(a->din, a->dweight, a->dbias, a->dout, a->in, a->weight, aux,
                           aux + a->to.c, !sal__uses_batch(a->run, a->i), a->n, a->to.c,
                           a->to.h * a->to.w);
}

/* Only called when training; without a backward pass the mask lies in scratch. */
static void sal__layer_dropout(const sal__layer_args *a) {
    sal_rng rng = { a->run->seed + ((uint64_t)a->i << 32) };
    rng.state = sal_rng_next(&rng);             /* so that neighbouring seeds are far apart */
    sal_dropout_forward(a->out, (unsigned char *)(a->aux ? a->aux : a->scratch), a->in, a->count,
                        a->l->rate, &rng);
}
static void sal__layer_dropout_back(const sal__layer_args *a) {
    sal_dropout_backward(a->din, a->dout, (const unsigned char *)a->aux, a->count, a->l->rate);
}

static void sal__layer_concat(const sal__layer_args *a) {
    const float *in[4];
    int channels[4];
    for (int k = 0; k < a->l->inputs; k++) {
        in[k] = sal__in(a->run, a->i, k);
        channels[k] = sal__in_shape(a->run, a->i, k).c;
    }
    sal_concat_forward(a->out, in, channels, a->l->inputs, a->n, a->to.h * a->to.w);
}
static void sal__layer_concat_back(const sal__layer_args *a) {
    float *din[4];
    int channels[4];
    for (int k = 0; k < a->l->inputs; k++) {
        din[k] = sal__din(a->run, a->i, k);
        channels[k] = sal__in_shape(a->run, a->i, k).c;
    }
    sal_concat_backward(din, a->dout, channels, a->l->inputs, a->n, a->to.h * a->to.w);
}

static void sal__layer_add(const sal__layer_args *a) {
    sal_add_forward(a->out, a->in, sal__in(a->run, a->i, 1), a->count);
}
static void sal__layer_add_back(const sal__layer_args *a) {
    sal_add_backward(a->din, sal__din(a->run, a->i, 1), a->dout, a->count);
}

static void sal__layer_mirror(const sal__layer_args *a) {
    sal_mirror_forward(a->out, a->in, a->count / a->from.w, a->from.w);
}
static void sal__layer_mirror_back(const sal__layer_args *a) {
    if (a->din) sal_mirror_backward(a->din, a->dout, a->count / a->from.w, a->from.w);
}

/* Of the second input only the size counts. */
static void sal__layer_upsample(const sal__layer_args *a) {
    sal_upsample_forward(a->out, a->in, a->n * a->to.c, a->from.w, a->from.h, a->to.w, a->to.h);
}
static void sal__layer_upsample_back(const sal__layer_args *a) {
    if (a->din)
        sal_upsample_backward(a->din, a->dout, a->n * a->to.c, a->from.w, a->from.h, a->to.w,
                              a->to.h);
}

static void sal__layer_logprior(const sal__layer_args *a) {
    const int *size = sal__tensor(a->run, a->i, 0)->dim + 2;
    sal_logprior_forward(a->out, (float *)a->scratch, a->in, a->weight, a->run->domain, a->n,
                         a->to.w, a->to.h, size[1], size[0]);
}
static void sal__layer_logprior_back(const sal__layer_args *a) {
    const int *size = sal__tensor(a->run, a->i, 0)->dim + 2;
    sal_logprior_backward(a->din, a->dweight, a->dout, a->run->domain, a->n, a->to.w, a->to.h,
                          size[1], size[0]);
}

static void sal__layer_prior(const sal__layer_args *a) {
    const int *size = sal__tensor(a->run, a->i, 0)->dim + 2;
    sal_prior_forward(a->out, (float *)(a->aux ? a->aux : a->scratch), a->in, a->weight,
                      a->n * a->to.c, a->to.w, a->to.h, size[1], size[0]);
}
static void sal__layer_prior_back(const sal__layer_args *a) {
    const int *size = sal__tensor(a->run, a->i, 0)->dim + 2;
    sal_prior_backward(a->din, a->dweight, (float *)a->scratch, a->dout, a->in,
                       (const float *)a->aux, a->n * a->to.c, a->to.w, a->to.h, size[1], size[0]);
}

/* Only the size of the input counts, so the input receives no gradient. */
static void sal__layer_gaussians(const sal__layer_args *a) {
    sal_gaussians_forward(a->out, a->weight, a->n, a->to.c, a->to.w, a->to.h);
}
static void sal__layer_gaussians_back(const sal__layer_args *a) {
    if (a->dweight)
        sal_gaussians_backward(a->dweight, a->dout, a->out, a->weight, a->n, a->to.c, a->to.w,
                               a->to.h);
}

static void sal__convlstm_at(const sal__convs *convs, const sal__layer_args *a, int backward) {
    const float *params[SAL_LSTM_COUNT];
    float *dparams[SAL_LSTM_COUNT], *states = (float *)a->aux, *scratch = (float *)a->scratch;
    int steps = a->run->step[a->i].steps;
    for (int k = 0; k < SAL_LSTM_COUNT; k++) {
        params[k] = sal__weight(a->run, a->i, k);
        dparams[k] = sal__dweight(a->run, a->i, k);
    }
    if (backward)
        sal__convlstm_backward(convs, a->din, dparams, a->dout, a->in, params, states, steps, a->n,
                               a->to.c, a->to.h, a->to.w, scratch);
    else
        sal__convlstm_forward(convs, a->out, a->in, params, steps, a->n, a->to.c, a->to.h, a->to.w,
                              scratch, states);
}
static void sal__layer_convlstm(const sal__layer_args *a) {
    sal__convlstm_at(&sal__convs_textbook, a, 0);
}
static void sal__layer_convlstm_back(const sal__layer_args *a) {
    sal__convlstm_at(&sal__convs_textbook, a, 1);
}

/* These layers as functions of a backend; the textbook cannot fail. */
#define SAL__OP_LAYER(ENUM, name, shape, fast, train) \
    static sal_result sal__forward_##name(sal_ctx *ctx, sal_run *run, int i) { \
        sal__layer_args a = sal__args_of(run, i); \
        sal__layer_##name(&a); \
        return SAL_OK; \
    } \
    static sal_result sal__backward_##name(sal_ctx *ctx, sal_run *run, int i) { \
        sal__layer_args a = sal__args_of(run, i); \
        sal__layer_##name##_back(&a); \
        return SAL_OK; \
    }
SAL_OPERATORS(SAL__OP_LAYER)

static size_t sal__scratch_ref(const sal_run *run, int i) {
    const sal_layer *l = &run->net->layer[i];
    sal_shape s = run->value[i].shape;
    size_t forward, backward;
    switch (l->op) {
    case SAL_OP_DENSE:    return (size_t)l->kernel * sizeof(float);
    case SAL_OP_DROPOUT:  return sal__out_count(run, i);
    case SAL_OP_PRIOR:
    case SAL_OP_LOGPRIOR: return (size_t)s.h * s.w * sizeof(float);
    case SAL_OP_CONVLSTM:
        forward = sal_convlstm_scratch(run->n, s.c, s.w, s.h);
        backward = run->training ? sal_convlstm_backward_scratch(run->n, s.c, s.w, s.h) : 0;
        return SAL__MAX(forward, backward) * sizeof(float);
    default:              return 0;
    }
}

static size_t sal__aux_ref(const sal_run *run, int i) {
    const sal_layer *l = &run->net->layer[i];
    sal_shape s = run->value[i].shape;
    switch (l->op) {
    case SAL_OP_MAXOUT:
    case SAL_OP_MAXPOOL:   return sal__out_count(run, i) * sizeof(int);     /* the winners */
    case SAL_OP_DROPOUT:   return sal__out_count(run, i);                   /* the mask */
    case SAL_OP_BATCHNORM: return 2 * (size_t)s.c * sizeof(float);          /* mean, 1 / sd */
    case SAL_OP_PRIOR:     return (size_t)s.h * s.w * sizeof(float);        /* upsampled */
    case SAL_OP_CONVLSTM:
        return sal_convlstm_states(run->step[i].steps, run->n, s.c, s.w, s.h) * sizeof(float);
    default:               return 0;
    }
}

#define SAL__OP_FORWARD(ENUM, name, shape, fast, train) sal__forward_##name,
#define SAL__OP_BACKWARD(ENUM, name, shape, fast, train) sal__backward_##name,
SALDEF const sal_backend *sal_backend_ref(void) {
    static const sal_backend backend = { "reference", 0,
        { SAL_OPERATORS(SAL__OP_FORWARD) }, sal__scratch_ref, { SAL_OPERATORS(SAL__OP_FORWARD) },
        { SAL_OPERATORS(SAL__OP_BACKWARD) }, sal__aux_ref, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL };
    return &backend;
}

/* --- >>run: forward --------------------------------------------------------------------------- */

/* A batch-norm behind a convolution is a scale and a shift of its channels:
       w (x + b - mean) / sqrt(var + eps) + beta  =  scale * x + bias */
static void sal__fold_norm(const sal_run *run, int i) {
    const sal_step *step = &run->step[i];
    int c = run->value[i].shape.c;
    const float *conv_bias = sal__weight(run, i, 1);
    const float *weight = sal__weight(run, step->norm, 0), *beta = sal__weight(run, step->norm, 1);
    const float *mean = sal__weight(run, step->norm, 2), *var = sal__weight(run, step->norm, 3);
    for (int k = 0; k < c; k++) {
        double scale = weight[k] / sqrt((double)var[k] + run->net->layer[step->norm].eps);
        double shift = (conv_bias ? conv_bias[k] : 0) - (double)mean[k];
        step->fold[k] = (float)scale;
        step->fold[c + k] = (float)(beta[k] + shift * scale);
    }
}

static sal_epilogue sal__epilogue_of(const sal_run *run, int i) {
    const sal_step *step = &run->step[i];
    sal_epilogue e = {
        step->fold,
        step->fold ? step->fold + run->value[i].shape.c : sal__weight(run, i, 1),
        step->add >= 0 ? run->value[step->add].data : NULL,
        step->act
    };
    return e;
}

/* A NaN must not get into a network: ReLU makes 0 of it, and a wrong map would come out. */
static sal_result sal__input_check(sal_ctx *ctx, const sal_run *run, const float *input) {
    if (input && !sal__all_finite(input, (size_t)run->n * 3 * run->h * run->w))
        return sal__fail(ctx, SAL_ERR_NUMERIC, "the input of %s has a value that is not finite",
                         run->net->name);
    for (int i = run->start; !input && i < run->end; i++)
        for (int k = 0; k < run->net->layer[i].inputs; k++)
            if (sal__root(run, run->net->layer[i].input[k]) == 0)
                return sal__fail(ctx, SAL_ERR_ARGUMENT, "%s: layer %s reads the input, and there "
                                 "is none (NULL)", run->net->name, run->net->layer[i].name);
    for (int k = 0; run->domain && k < run->n; k++)
        if (run->domain[k] < 0 || run->domain[k] >= SAL_DOMAIN_COUNT)
            return sal__fail(ctx, SAL_ERR_ARGUMENT, "there is no domain %d: domains are 0 to %d",
                             run->domain[k], SAL_DOMAIN_COUNT - 1);
    return SAL_OK;
}

/* `what`, the network or its file, cannot be used before sal_net_init. */
static sal_result sal__check_filled(sal_ctx *ctx, const sal_net *net, const char *what) {
    for (int k = 0; k < net->params; k++)
        if (!net->param[k].value.data)
            return sal__fail(ctx, SAL_ERR_ARGUMENT, "%s: parameter %s has no values yet: use "
                             "sal_net_init first", what, net->param[k].name);
    return SAL_OK;
}

SALDEF sal_result sal_run_forward(sal_ctx *ctx, sal_run *run, const float *input) {
    if (sal_threads(ctx) > run->threads)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "this run was opened for %d threads, not %d",
                         run->threads, sal_threads(ctx));
    if (run->whole && !run->net->layer[0].range)    /* its weights were packed then */
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "the weights of %s have changed since this run "
                         "was opened: open another one", run->net->name);
    SAL__TRY(sal__check_filled(ctx, run->net, run->net->name));
    SAL__TRY(sal__input_check(ctx, run, input));
    for (int i = 0; i < run->net->layers; i++)      /* the input's memory is the caller's */
        if (sal__root(run, i) == 0) run->value[i].data = (float *)(uintptr_t)input;
    if (run->device) return run->backend->device->forward(ctx, run, input);
    for (int i = run->start; i < run->end; i++) {
        const sal_backend *b = sal__backend_of(run, i);
        sal_op op = run->net->layer[i].op;
        if (run->step[i].skip) continue;
        if (run->step[i].norm >= 0) sal__fold_norm(run, i);
        SAL__TRY((run->training ? b->train[op] : b->forward[op])(ctx, run, i));
        if (run->watch) run->watch(run->watch_arg, run, i);
    }
    return SAL_OK;
}

/* --- backward -------------------------------------------------------------------------------- */

SALDEF void sal_run_clear(sal_run *run) {
    if (run->device) { run->backend->device->clear(run); return; }
    if (run->cleared) memset(run->cleared, 1, (size_t)run->net->params);    /* else: predicts */
}

/* Sets the gradient of one plane to 0: all of it, or (with data) where a ReLU's output is 0 or, for
   ReLU6, at its top. */
typedef struct sal__mask_job {
    const sal_ctx *ctx;
    const sal_backend *backend;
    float *grad;
    const float *data;
    float top;                  /* 6 for ReLU6 */
    size_t count;
    double *sum;                /* of each plane, if the backend tells */
} sal__mask_job;

static void sal__mask_task(void *arg, int index, int worker) {
    const sal__mask_job *j = (const sal__mask_job *)arg;
    float *grad = j->grad + index * j->count;
    const float *data = j->data ? j->data + index * j->count : NULL;
    float top = j->top;
    if (!data) memset(grad, 0, j->count * sizeof(float));
    else if (j->backend->gate)
        j->sum[index] = j->backend->gate(j->ctx, grad, data, top, j->count);
    else for (size_t i = 0; i < j->count; i++)
        if (!(data[i] > 0 && data[i] < top)) grad[i] = 0;
}

/* Clears the input gradients that layer i adds to first, or lets it set them (run->begins). */
static void sal__begin_gradients(sal_ctx *ctx, sal_run *run, int i, int backs) {
    const sal_layer *l = &run->net->layer[i];
    int time = 2 * run->net->layers - i, first = sal__root(run, l->input[0]);
    run->begins = 0;
    for (int k = 0; k < l->inputs; k++) {
        int v = sal__root(run, l->input[k]);
        const sal_value *in = &run->value[v];
        sal__mask_job j = { ctx, run->backend, in->grad, NULL, 0, sal__shape_count(in->shape),
                            NULL };
        if (!in->grad || in->grad_first != time || (k > 0 && v == first)) continue;
        if (backs & SAL_BACK_BEGINS) run->begins |= 1 << k;
        else sal_parallel_for(ctx, run->n, sal__mask_task, &j);
    }
}

/* If the gradient of parameter k only counts as 0 (run->cleared), writes the zeros. */
static void sal__set_cleared(sal_run *run, int k) {
    if (run->cleared[k] && run->gradient[k])
        memset(run->gradient[k], 0,
               sal_tensor_count(&run->net->param[k].value) * sizeof(float));
    run->cleared[k] = 0;
}

/* The same for all parameters of layer i, except a weight whose gradient the layer itself sets. */
static void sal__begin_weights(sal_run *run, int i, int backs) {
    const sal_layer *l = &run->net->layer[i];
    run->begins_weight = l->params && run->cleared[l->param] && backs & SAL_BACK_BEGINS_WEIGHT;
    if (run->begins_weight) run->cleared[l->param] = 0;
    for (int k = l->param; k < l->param + l->params; k++) sal__set_cleared(run, k);
}

/* Above this value the ReLU that is fused into layer i has slope 0. */
static float sal__act_top(const sal_run *run, int i) {
    return run->step[i].act == SAL_ACT_RELU6 ? 6 : FLT_MAX;
}

/* Back through the ReLU that is fused into layer i, in place. */
static void sal__mask_output(sal_ctx *ctx, sal_run *run, int i) {
    const sal_value *out = &run->value[run->step[i].output];
    sal_shape s = run->value[i].shape;
    int planes = s.h * s.w < 16 ? 1 : s.c;
    sal__mask_job j = { ctx, run->backend, out->grad, out->data,
                        sal__act_top(run, i), sal__shape_count(s) / planes, run->sums };
    sal_parallel_for(ctx, run->n * planes, sal__mask_task, &j);
    run->summed = run->backend->gate && planes == s.c ? i : 0;
}

/* One sample: a value whose addition is fused into layer i gets the gradient of the sum. */
typedef struct sal__added_job {
    float *grad;
    const float *dout;
    size_t count;
    int begins;
} sal__added_job;

static void sal__added_task(void *arg, int index, int worker) {
    const sal__added_job *j = (const sal__added_job *)arg;
    float *grad = j->grad + index * j->count;
    const float *dout = j->dout + index * j->count;
    if (j->begins) memcpy(grad, dout, j->count * sizeof(float));
    else sal_add_backward(grad, NULL, dout, j->count);
}

static void sal__backward_added(sal_ctx *ctx, sal_run *run, int i) {
    const sal_layer *l = &run->net->layer[i];
    int v = sal__root(run, run->step[i].add), time = 2 * run->net->layers - i;
    const sal_value *in = &run->value[v];
    sal__added_job j = { in->grad, run->value[run->step[i].output].grad,
                         sal__shape_count(in->shape), in->grad_first == time };
    for (int k = 0; k < l->inputs; k++)         /* then the layer began it */
        if (sal__root(run, l->input[k]) == v) j.begins = 0;
    if (in->grad) sal_parallel_for(ctx, run->n, sal__added_task, &j);
}

SALDEF sal_result sal_run_backward(sal_ctx *ctx, sal_run *run, const float *dout) {
    int last = run->net->layers - 1;
    if (!run->training)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "this run was opened for predicting, not training");
    if (run->device) return run->backend->device->backward(ctx, run, dout);
    if (dout) memcpy(run->value[last].grad, dout, sal__out_count(run, last) * sizeof(float));
    run->summed = 0;
    for (int i = last; i > 0; i--) {
        const sal_step *step = &run->step[i];
        const sal_backend *b = sal__backend_of(run, i);
        int backs = b->backs ? b->backs(run, i) : 0;
        if (step->skip || !step->learns || i == run->kept) continue;
        sal__begin_gradients(ctx, run, i, backs);
        sal__begin_weights(run, i, backs);
        if (step->act != SAL_ACT_IDENTITY && run->summed != i && !(backs & SAL_BACK_ACT))
            sal__mask_output(ctx, run, i);
        SAL__TRY(b->backward[run->net->layer[i].op](ctx, run, i));
        if (step->add >= 0) sal__backward_added(ctx, run, i);
    }
    for (int k = 0; k < run->net->params; k++) sal__set_cleared(run, k);
    return SAL_OK;
}

/* --- the loss of a batch ---------------------------------------------------------------------- */

typedef struct sal__loss_job {
    sal_run *run;
    const sal_loss *loss;
    const float *density, *fixations;
    const double *weight;
    double *value;
    float *scratch;
} sal__loss_job;

static void sal__run_loss_task(void *arg, int index, int worker) {
    const sal__loss_job *j = (const sal__loss_job *)arg;
    const sal_run *run = j->run;
    int h = run->shape.h, w = run->shape.w;
    size_t n = (size_t)h * w, size = sal_loss_scratch(j->loss, w, h), map = size / 2;
    float *dx = run->training ? run->value[run->net->layers - 1].grad + index * n : NULL;
    if (dx) memset(dx, 0, n * sizeof(float));
    j->value[index] = sal_loss_map(j->loss, dx, run->output + index * n, j->density + index * map,
                                   j->fixations + index * map, w, h, j->weight[index],
                                   j->scratch + worker * size);
}

SALDEF sal_result sal_run_loss(sal_ctx *ctx, sal_run *run, const sal_loss *loss,
                               const float *density, const float *fixations, const double *weight,
                               double *value, float *scratch) {
    sal__loss_job j = { run, loss, density, fixations, weight, value, scratch };
    if (run->device)
        return run->backend->device->loss(ctx, run, loss, density, fixations, weight, value);
    sal_parallel_for(ctx, run->n, sal__run_loss_task, &j);
    return SAL_OK;
}

SALDEF sal_result sal_run_prefetch(sal_ctx *ctx, sal_run *run, const float *input) {
    return run->device ? run->backend->device->prefetch(ctx, run, input) : SAL_OK;
}
SALDEF sal_result sal_run_fetch(sal_ctx *ctx, sal_run *run, sal_optim *optim, int what) {
    return run->device ? run->backend->device->fetch(ctx, run, optim, what) : SAL_OK;
}
SALDEF void sal_run_changed(sal_run *run, sal_optim *optim, int what) {
    if (run->device) run->backend->device->changed(run, optim, what);
}

/* ============================================================================================
   >>optim  from gradients to new weights
   ========================================================================================== */

/* Stochastic gradient descent with momentum (as Keras and Lasagne write it):
       v = momentum * v - rate * g
       w = w + v,   with Nesterov's momentum   w = w + momentum * v - rate * g */
SALDEF void sal_sgd_update(float *w, float *v, const float *g, size_t n, double rate,
                           double momentum, int nesterov) {
    float m = (float)momentum, r = (float)rate;
    for (size_t i = 0; i < n; i++) {
        v[i] = m * v[i] - r * g[i];
        w[i] += nesterov ? m * v[i] - r * g[i] : v[i];
    }
}

/* RMSprop (Tieleman, Hinton 2012) as in Keras 1: epsilon stands outside of the root.
       a = rho * a + (1 - rho) * g^2
       w = w - rate * g / (sqrt(a) + eps) */
SALDEF void sal_rmsprop_update(float *w, float *a, const float *g, size_t n, double rate,
                               double rho, double eps) {
    float keep = (float)rho, take = (float)(1 - rho), r = (float)rate, e = (float)eps;
    for (size_t i = 0; i < n; i++) {
        a[i] = keep * a[i] + take * g[i] * g[i];
        w[i] -= r * g[i] / ((float)sqrt((double)a[i]) + e);
    }
}

/* >>adam  Kingma, Ba 2015. Steps count from 1; decay is AdamW's (Loshchilov, Hutter 2019).
       m = beta1 * m + (1 - beta1) * g,   a = beta2 * a + (1 - beta2) * g^2
       w = w - rate * (m / (1 - beta1^step) / (sqrt(a / (1 - beta2^step)) + eps) + decay * w) */
SALDEF void sal_adam_update(float *w, float *m, float *a, const float *g, size_t n, double rate,
                            double beta1, double beta2, double eps, double decay, uint64_t step) {
    float b1 = (float)beta1, t1 = (float)(1 - beta1), b2 = (float)beta2, t2 = (float)(1 - beta2);
    float scale = (float)(rate / (1 - pow(beta1, (double)step))), e = (float)eps;
    float root = (float)(1 / sqrt(1 - pow(beta2, (double)step))), shrink = (float)(rate * decay);
    for (size_t i = 0; i < n; i++) {
        m[i] = b1 * m[i] + t1 * g[i];
        a[i] = b2 * a[i] + t2 * g[i] * g[i];
        w[i] -= scale * m[i] / ((float)sqrt((double)a[i]) * root + e) + shrink * w[i];
    }
}

SALDEF double sal_schedule_rate(const sal_schedule *s, uint64_t step, uint64_t epoch_steps,
                                uint64_t steps) {
    double last = SAL__MAX((double)steps - 1, 1), t = SAL__MIN((double)step / last, 1);
    double up = 0.3 * (double)steps - 1;                /* one cycle: Smith 2018 */
    const double low = 1 / 25.0, end = 1 / 250000.0;
    switch (s->kind) {
    case SAL_SCHEDULE_LINEAR: return s->rate + (s->rate_end - s->rate) * t;
    case SAL_SCHEDULE_STEP:
        return s->rate * pow(s->factor, (double)(step / SAL__MAX(epoch_steps, 1) /
                                                 (uint64_t)SAL__MAX(s->every, 1)));
    case SAL_SCHEDULE_TIME_DECAY: return s->rate / (1 + s->factor * (double)step);
    case SAL_SCHEDULE_COSINE:
        return s->rate_end + (s->rate - s->rate_end) * (1 + cos(SAL__PI * t)) / 2;
    case SAL_SCHEDULE_ONE_CYCLE:
        if ((double)step <= up)
            return s->rate * (low + (1 - low) * (1 - cos(SAL__PI * (double)step / up)) / 2);
        t = SAL__MIN(((double)step - up) / (last - up), 1);
        return s->rate * (end + (1 - end) * (1 + cos(SAL__PI * t)) / 2);
    default: return s->rate;
    }
}

SALDEF sal_result sal_optim_open(sal_ctx *ctx, const sal_optim_desc *desc, const sal_run *run,
                                 sal_optim **out) {
    sal_optim *o;
    *out = NULL;
    if (!run->training || !run->gradient_floats)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "an optimiser needs a run that learns");
    if ((desc->rule != SAL_RULE_SGD && !(desc->eps > 0 && desc->rho >= 0 && desc->rho < 1)) ||
        !(desc->decay >= 0) || !(desc->clip >= 0) || !(desc->max_norm >= 0))
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "an optimiser with rho %g, eps %g, decay %g, clip "
                         "%g, max_norm %g: rho is 0 to below 1 and eps above 0, but for SGD, and "
                         "none of the others is below 0", desc->rho, desc->eps, desc->decay,
                         desc->clip, desc->max_norm);
    SAL__TRY_NEW(o, ctx, sal_optim, 1);
    o->desc = *desc;
    o->slots = desc->rule == SAL_RULE_ADAM || desc->rule == SAL_RULE_ADAMW ? 2 : 1;
    o->floats = run->gradient_floats;
    o->state = SAL__NEW(ctx, float, o->slots * o->floats);
    if (!o->state) { sal_free(ctx, o); return SAL_ERR_MEMORY; }
    *out = o;
    return SAL_OK;
}

SALDEF void sal_optim_close(sal_ctx *ctx, sal_optim *o) {
    if (!o) return;
    sal_free(ctx, o->state);
    sal_free(ctx, o);
}

/* One parameter is updated in pieces, which stay in the cache while several passes go over them; so
   the result does not depend on the number of threads. A piece is CHUNK values, or a unit of those
   whose length is limited. */
typedef struct sal__optim_job {
    const sal_ctx *ctx;
    const sal_backend *backend;
    sal_optim *o;
    float *w, *g;
    size_t count, offset;       /* values; where its memory begins in each block of state */
    double rate, momentum, scale, decay;
    double *partial;            /* sums of squares of the chunks */
    size_t size;                /* of a piece */
    int unit;                   /* the inputs of a unit, if its length is limited, or 0 */
} sal__optim_job;

enum { SAL__OPTIM_CHUNK = 8192 };

static void sal__optim_norm_task(void *arg, int index, int worker) {
    const sal__optim_job *j = (const sal__optim_job *)arg;
    size_t i = (size_t)index * SAL__OPTIM_CHUNK, end = i + SAL__OPTIM_CHUNK;
    double sum = 0;
    end = SAL__MIN(end, j->count);
    if (j->backend->squares) sum = j->backend->squares(j->ctx, j->g + i, end - i);
    if (!j->backend->squares || !(sum < FLT_MAX))       /* the backend's sum may overflow */
        for (sum = 0; i < end; i++) sum += (double)j->g[i] * j->g[i];
    j->partial[index] = sum;
}

static void sal__optim_task(void *arg, int index, int worker) {
    const sal__optim_job *j = (const sal__optim_job *)arg;
    const sal_optim_desc *d = &j->o->desc;
    size_t from = (size_t)index * j->size, n = SAL__MIN(j->count - from, j->size);
    float *w = j->w + from, *g = j->g + from, *a = j->o->state + j->offset + from;
    double coupled = d->rule == SAL_RULE_ADAMW ? 0 : j->decay;
    if (j->scale != 1) for (size_t i = 0; i < n; i++) g[i] = (float)(g[i] * j->scale);
    if (coupled > 0) sal_weight_decay(g, w, n, coupled);
    if (d->rule == SAL_RULE_SGD) sal_sgd_update(w, a, g, n, j->rate, j->momentum, d->nesterov);
    else if (d->rule == SAL_RULE_RMSPROP) sal_rmsprop_update(w, a, g, n, j->rate, d->rho, d->eps);
    else if (j->backend->adam)
        j->backend->adam(j->ctx, w, a, a + j->o->floats, g, n, j->rate, j->momentum, d->rho, d->eps,
                         j->decay - coupled, j->o->step);
    else sal_adam_update(w, a, a + j->o->floats, g, n, j->rate, j->momentum, d->rho, d->eps,
                         j->decay - coupled, j->o->step);
    if (j->unit && !(j->backend->squares && j->backend->squares(j->ctx, w, n) <
                     .9999 * d->max_norm * d->max_norm))
        sal_max_norm(w, 1, j->unit, d->max_norm);       /* exactly */
}

/* The length of the gradient. */
static sal_result sal__optim_length(sal__optim_job *j, const sal_run *run, sal_ctx *ctx,
                                    double *length) {
    size_t chunks = (run->gradient_floats + SAL__OPTIM_CHUNK - 1) / SAL__OPTIM_CHUNK;
    double squares = 0;
    SAL__TRY_NEW(j->partial, ctx, double, chunks);
    j->g = run->gradients;
    j->count = run->gradient_floats;
    sal_parallel_for(ctx, (int)chunks, sal__optim_norm_task, j);
    for (size_t k = 0; k < chunks; k++) squares += j->partial[k];
    sal_free(ctx, j->partial);
    *length = sqrt(squares);
    return SAL_OK;
}

/* Names a parameter whose gradient is not finite. */
static sal_result sal__optim_lost(sal_ctx *ctx, const sal_net *net, const sal_run *run) {
    for (int i = 0; i < net->params; i++)
        if (run->gradient[i] &&
            !sal__all_finite(run->gradient[i], sal_tensor_count(&net->param[i].value)))
            return sal__fail(ctx, SAL_ERR_NUMERIC, "the gradient of %s is no longer finite"
                             ": lower the learning rate", net->param[i].name);
    return SAL_OK;
}

/* Biases, ML-Net's prior mask (1, 1, h, w) and other vectors do not decay. */
static int sal__decays(const sal_tensor *t) {
    int mask = t->ndim == 4 && t->dim[0] * t->dim[1] == 1;
    return t->ndim >= 2 && !mask;
}

/* The inputs of a unit of dense layers in front of maxout, whose length may be limited, or 0. */
static int sal__optim_unit(const sal_net *net, int param) {
    for (int i = 1; i < net->layers; i++) {
        const sal_layer *l = &net->layer[net->layer[i].input[0]];
        if (net->layer[i].op == SAL_OP_MAXOUT && l->op == SAL_OP_DENSE && l->param == param)
            return net->param[param].value.dim[1];
    }
    return 0;
}

SALDEF sal_result sal_optim_step(sal_ctx *ctx, sal_optim *o, sal_net *net, sal_run *run,
                                 double rate, double momentum, double *norm) {
    sal__optim_job j = SAL__ZEROED;
    double length;
    int adam = o->slots == 2;
    if (!(fabs(rate) <= FLT_MAX) || !(fabs(momentum) <= FLT_MAX) || (adam && fabs(momentum) >= 1))
        return sal__fail(ctx, SAL_ERR_NUMERIC, "a learning rate of %g and a momentum of %g: both "
                         "must be finite%s", rate, momentum, adam ? ", and momentum below 1" : "");
    if (!run->training || o->floats != run->gradient_floats)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "an optimiser of %.0f weights and a run in which "
                         "%.0f learn: open the optimiser for this run", (double)o->floats,
                         (double)run->gradient_floats);
    if (run->device)
        return run->backend->device->step(ctx, o, net, run, rate, momentum, norm);
    j.ctx = ctx;
    j.backend = run->backend;
    j.o = o;
    j.rate = rate;
    j.momentum = momentum;
    SAL__TRY(sal__optim_length(&j, run, ctx, &length));
    if (norm) *norm = length;
    if (!(length <= DBL_MAX)) SAL__TRY(sal__optim_lost(ctx, net, run));
    j.scale = o->desc.clip > 0 && length > o->desc.clip ? o->desc.clip / length : 1;
    o->step++;
    for (int i = 0; i < net->params; i++) {
        const sal_tensor *t = &net->param[i].value;
        if (!run->gradient[i]) continue;
        j.w = (float *)t->data;
        j.g = run->gradient[i];
        j.count = sal_tensor_count(t);
        j.offset = (size_t)(run->gradient[i] - run->gradients);
        j.decay = sal__decays(t) ? o->desc.decay : 0;
        j.unit = o->desc.max_norm > 0 ? sal__optim_unit(net, i) : 0;
        j.size = j.unit ? (size_t)j.unit : (size_t)SAL__OPTIM_CHUNK;
        sal_parallel_for(ctx, (int)((j.count + j.size - 1) / j.size), sal__optim_task, &j);
    }
    return SAL_OK;
}

/* ============================================================================================
   >>nets  the networks
   ========================================================================================== */

/* --- the builders' vocabulary ------------------------------------------------------------------

   Each function appends one layer and returns the number of its value. The first error is kept, and
   returned at the end. */
typedef struct sal__builder {
    sal_ctx *ctx;
    sal_net *net;
    int param;                  /* of the next layer; set it back, and layers share parameters */
    sal_shape shapes[SAL__MAX_LAYERS];
    sal_result result;
} sal__builder;

static sal_layer *sal__layer(sal__builder *b, sal_op op, const char *name, int in) {
    int full = b->net->layers >= SAL__MAX_LAYERS;
    sal_layer *l = &b->net->layer[full ? SAL__MAX_LAYERS - 1 : b->net->layers];
    if (full && b->result == SAL_OK) b->result = sal__too_long(b->ctx, b->net->name);
    memset(l, 0, sizeof *l);
    l->op = op;
    snprintf(l->name, sizeof l->name, "%s", name);
    l->stride = l->dilation = 1;
    l->input[0] = in;
    l->inputs = op == SAL_OP_INPUT ? 0 : 1;
    l->param = b->param;
    return l;
}

/* A parameter of layer l, called NAME.suffix (the layer's name alone if there is no suffix). */
static void sal__param(sal__builder *b, sal_layer *l, const char *suffix, int ndim, int d0, int d1,
                       int d2, int d3) {
    if (b->param >= SAL__MAX_PARAMS) {
        if (b->result == SAL_OK) b->result = sal__too_long(b->ctx, b->net->name);
        return;
    }
    sal_param *p = &b->net->param[b->param++];
    snprintf(p->name, sizeof p->name, *suffix ? "%s.%s" : "%s", l->name, suffix);
    const int dim[4] = { d0, d1, d2, d3 };
    p->value.ndim = ndim;
    memcpy(p->value.dim, dim, sizeof dim);
    l->params++;
    b->net->params = SAL__MAX(b->net->params, b->param);
}

/* The layer is complete: infer its shape and count it in. */
static int sal__done(sal__builder *b, sal_layer *l) {
    int i = (int)(l - b->net->layer);
    if (b->result == SAL_OK) b->result = sal__infer_shape(b->ctx, l, b->shapes, i);
    l->shape = b->shapes[i];
    if (b->result == SAL_OK) b->net->layers++;      /* the next layer overwrites a failed one */
    return b->result == SAL_OK ? i : 0;
}

static int sal__input(sal__builder *b, int channels) {
    sal_layer *l = sal__layer(b, SAL_OP_INPUT, "input", 0);
    b->shapes[0] = sal__shape_of(channels, b->net->desc.h, b->net->desc.w);
    return sal__done(b, l);
}

/* A layer that slides a window over its input. */
static sal_layer *sal__window(sal__builder *b, sal_op op, const char *name, int in, int channels,
                              int kernel, int stride) {
    sal_layer *l = sal__layer(b, op, name, in);
    l->shape.c = channels;
    l->kernel = kernel;
    l->stride = stride;
    return l;
}

static int sal__conv_any(sal__builder *b, int in, const char *name, int channels, int kernel,
                         int stride, int pad, int dilation, int bias) {
    sal_layer *l = sal__window(b, SAL_OP_CONV2D, name, in, channels, kernel, stride);
    l->pad = pad;
    l->dilation = dilation;
    sal__param(b, l, "weight", 4, channels, b->shapes[in].c, kernel, kernel);
    if (bias) sal__param(b, l, "bias", 1, channels, 1, 1, 1);
    return sal__done(b, l);
}

static int sal__conv(sal__builder *b, int in, const char *name, int channels, int kernel, int pad,
                     int dilation) {
    return sal__conv_any(b, in, name, channels, kernel, 1, pad, dilation, 1);
}

/* Padded as TensorFlow does; depthwise if channels is 0. */
static int sal__conv_same(sal__builder *b, int in, const char *name, int channels, int kernel,
                          int stride) {
    int from = channels ? b->shapes[in].c : 1, to = channels ? channels : b->shapes[in].c;
    sal_layer *l = sal__window(b, channels ? SAL_OP_CONV2D : SAL_OP_DEPTHWISE, name, in, to, kernel,
                               stride);
    l->padding = SAL_PADDING_SAME;
    sal__param(b, l, "weight", 4, to, from, kernel, kernel);
    sal__param(b, l, "bias", 1, to, 1, 1, 1);
    return sal__done(b, l);
}

static int sal__relu6(sal__builder *b, int in) {
    return sal__done(b, sal__layer(b, SAL_OP_RELU6, "relu6", in));
}

static int sal__mirror(sal__builder *b, int in) {
    return sal__done(b, sal__layer(b, SAL_OP_MIRROR, "mirror", in));
}

/* Bilinearly to the size of value `like`. */
static int sal__upsample(sal__builder *b, int in, int like) {
    sal_layer *l = sal__layer(b, SAL_OP_UPSAMPLE, "upsample", in);
    l->input[1] = like;
    l->inputs = 2;
    return sal__done(b, l);
}

static int sal__logprior(sal__builder *b, int in, const char *name, int domains, int h, int w) {
    sal_layer *l = sal__layer(b, SAL_OP_LOGPRIOR, name, in);
    sal__param(b, l, "", 4, domains, 1, h, w);
    return sal__done(b, l);
}

static int sal__dense(sal__builder *b, int in, const char *name, int c, int h, int w) {
    sal_layer *l = sal__layer(b, SAL_OP_DENSE, name, in);
    l->shape = sal__shape_of(c, h, w);
    l->kernel = (int)sal__shape_count(b->shapes[in]);
    sal__param(b, l, "weight", 2, c * h * w, l->kernel, 1, 1);
    sal__param(b, l, "bias", 1, c * h * w, 1, 1, 1);
    return sal__done(b, l);
}

static int sal__maxout(sal__builder *b, int in, int pieces, int c, int h, int w) {
    sal_layer *l = sal__layer(b, SAL_OP_MAXOUT, "maxout", in);
    l->shape = sal__shape_of(c, h, w);
    l->kernel = pieces;
    return sal__done(b, l);
}

static int sal__maxpool(sal__builder *b, int in, int kernel, int stride, sal_padding padding) {
    sal_layer *l = sal__window(b, SAL_OP_MAXPOOL, "pool", in, 0, kernel, stride);
    l->padding = padding;
    return sal__done(b, l);
}

static int sal__relu(sal__builder *b, int in) {
    return sal__done(b, sal__layer(b, SAL_OP_RELU, "relu", in));
}

static int sal__dropout(sal__builder *b, int in) {
    sal_layer *l = sal__layer(b, SAL_OP_DROPOUT, "dropout", in);
    l->rate = b->net->desc.dropout;
    return sal__done(b, l);
}

static int sal__norm(sal__builder *b, int in, const char *name) {
    sal_layer *l = sal__layer(b, SAL_OP_BATCHNORM, name, in);
    int c = b->shapes[in].c;
    l->eps = 1e-5f;
    sal__param(b, l, "weight", 1, c, 1, 1, 1);
    sal__param(b, l, "bias", 1, c, 1, 1, 1);
    sal__param(b, l, "running_mean", 1, c, 1, 1, 1);
    sal__param(b, l, "running_var", 1, c, 1, 1, 1);
    return sal__done(b, l);
}

static int sal__add(sal__builder *b, int x, int y) {
    sal_layer *l = sal__layer(b, SAL_OP_ADD, "add", x);
    l->input[1] = y; l->inputs = 2;
    return sal__done(b, l);
}

static int sal__concat(sal__builder *b, const int *in, int count) {
    sal_layer *l = sal__layer(b, SAL_OP_CONCAT, "concat", in[0]);
    for (l->inputs = 0; l->inputs < count; l->inputs++) l->input[l->inputs] = in[l->inputs];
    return sal__done(b, l);
}

static int sal__prior(sal__builder *b, int in, const char *name, int h, int w) {
    sal_layer *l = sal__layer(b, SAL_OP_PRIOR, name, in);
    sal__param(b, l, "", 4, 1, 1, h, w);
    return sal__done(b, l);
}

static int sal__gaussians(sal__builder *b, int in, const char *name, int count) {
    sal_layer *l = sal__layer(b, SAL_OP_GAUSSIANS, name, in);
    l->shape.c = count;
    sal__param(b, l, "params", 1, 4 * count, 1, 1, 1);
    return sal__done(b, l);
}

static int sal__convlstm(sal__builder *b, int in, const char *name, int steps) {
    static const char *const names[] = { "Wa", "Ua", "Va", "Wi", "Ui", "Wf", "Uf", "Wc", "Uc",
                                         "Wo", "Uo" };
    sal_layer *l = sal__layer(b, SAL_OP_CONVLSTM, name, in);
    int c = b->shapes[in].c;
    char text[16];
    l->steps = steps; l->kernel = 3;
    /* the order of SAL_LSTM_WA ... SAL_LSTM_UO_BIAS */
    for (int k = 0; k < SAL__COUNT(names); k++) {
        int attention = k == 2;
        snprintf(text, sizeof text, "%s.weight", names[k]);
        sal__param(b, l, text, 4, attention ? 1 : c, c, 3, 3);
        snprintf(text, sizeof text, "%s.bias", names[k]);
        if (!attention) sal__param(b, l, text, 1, c, 1, 1, 1);
    }
    return sal__done(b, l);
}

/* --- the builders: one line a layer ----------------------------------------------------------- */

static int sal__width(const sal__builder *b, int channels) {
    return SAL__MAX(channels / SAL__MAX(b->net->desc.narrow, 1), 1);
}

/* convolution, ReLU, 2x2 max-pool */
static int sal__stage(sal__builder *b, int x, const char *name, int channels, int kernel) {
    x = sal__relu(b, sal__conv(b, x, name, sal__width(b, channels), kernel, 0, 1));
    return sal__maxpool(b, x, 2, 2, SAL_PADDING_VALID);
}

/* >>juntingnet  Pan, Giro-i-Nieto, "End-to-end convolutional network for saliency prediction",
   2015 */
static void sal__build_juntingnet(sal__builder *b) {
    int h = b->net->desc.h / 2, w = b->net->desc.w / 2;         /* the map: 48 x 48 */
    int x = sal__input(b, 3);
    x = sal__stage(b, x, "conv1", 32, 5);
    x = sal__stage(b, x, "conv2", 64, 3);
    x = sal__stage(b, x, "conv3", 64, 3);
    x = sal__dense(b, x, "fc1", 2 * h * w, 1, 1);
    x = sal__maxout(b, x, 2, h * w, 1, 1);
    x = sal__dropout(b, x);
    sal__dense(b, x, "fc2", 1, h, w);
}

/* "WEPSAM: weakly pre-learnt saliency model", 2016 */
static void sal__build_wepsam(sal__builder *b) {
    int h = b->net->desc.h / 4, w = b->net->desc.w / 4;         /* the map: 32 x 32 */
    int x = sal__input(b, 3);
    x = sal__stage(b, x, "conv1", 32, 5);
    x = sal__stage(b, x, "conv2", 64, 3);
    x = sal__stage(b, x, "conv3", 64, 3);
    x = sal__relu(b, sal__dense(b, x, "fc1", 2 * h * w, 1, 1));
    x = sal__dropout(b, x);
    x = sal__dense(b, x, "fc2", 2 * h * w, 1, 1);
    sal__maxout(b, x, 2, 1, h, w);
}

/* Simonyan, Zisserman, 2014: the 13 convolutions of VGG-16 with stride 8 in all (plain: with all of
   its pools, 32); block[1..5] are the outputs of its blocks. */
static void sal__vgg(sal__builder *b, int x, int dilation5, int *block) {
    int plain = b->net->desc.plain;
    static const int channels[] = { 64, 128, 256, 512, 512 }, convs[] = { 2, 2, 3, 3, 3 };
    for (int k = 1; k <= 5; k++) {
        for (int i = 1; i <= convs[k - 1]; i++) {
            int dilation = k == 5 && !plain ? dilation5 : 1;
            char name[32];
            snprintf(name, sizeof name, "backbone.conv%d_%d", k, i);
            x = sal__conv(b, x, name, sal__width(b, channels[k - 1]), 3, dilation, dilation);
            x = sal__relu(b, x);
        }
        if (k <= 4 || plain) x = sal__maxpool(b, x, 2, k == 4 && !plain ? 1 : 2, SAL_PADDING_SAME);
        block[k] = x;
    }
}

/* ML-Net's prior: a tenth of the map. */
static int sal__mask(sal__builder *b, int x, const char *name) {
    int h = b->shapes[x].h / 10, w = b->shapes[x].w / 10;
    return sal__relu(b, sal__prior(b, x, name, SAL__MAX(h, 1), SAL__MAX(w, 1)));
}

/* Cornia, Baraldi, Serra, Cucchiara, "A deep multi-level network for saliency prediction", 2016 */
static void sal__build_mlnet(sal__builder *b) {
    int block[6], x;
    sal__vgg(b, sal__input(b, 3), 1, block);
    x = sal__concat(b, block + 3, 3);
    x = sal__dropout(b, x);
    x = sal__relu(b, sal__conv(b, x, "encode", sal__width(b, 64), 3, 1, 1));
    x = sal__relu(b, sal__conv(b, x, "readout", 1, 1, 0, 1));
    if (b->net->desc.priors) sal__mask(b, x, "prior");
}

/* Cornia, Baraldi, Serra, Cucchiara, "Predicting human eye fixations via an LSTM-based saliency
   attentive model", 2018: what follows the backbone */
static void sal__sam_head(sal__builder *b, int x) {
    const sal_net_desc *d = &b->net->desc;
    int both[2];
    if (d->steps) x = sal__convlstm(b, x, "head.lstm", d->steps);
    for (int k = 1; k <= 2 && d->priors == SAL_PRIORS_GAUSSIAN; k++) {
        char prior[40], conv[40];
        snprintf(prior, sizeof prior, "head.prior%d", k);
        snprintf(conv, sizeof conv, "head.prior%d_conv", k);
        both[0] = x;
        both[1] = sal__gaussians(b, x, prior, 16);
        x = sal__concat(b, both, 2);
        x = sal__relu(b, sal__conv(b, x, conv, sal__width(b, 512), 5, 8, 4));
    }
    x = sal__relu(b, sal__conv(b, x, "head.readout", 1, 1, 0, 1));
    if (d->priors == SAL_PRIORS_MASK) sal__mask(b, x, "head.prior");
}

static void sal__build_sam_vgg(sal__builder *b) {
    int block[6];
    sal__vgg(b, sal__input(b, 3), 2, block);
    sal__sam_head(b, block[5]);
}

static int sal__conv_norm(sal__builder *b, int x, const char *prefix, const char *conv,
                          const char *norm, int channels, int kernel, int stride, int dilation) {
    char name[40];
    snprintf(name, sizeof name, "%s.%s", prefix, conv);
    x = sal__conv_any(b, x, name, channels, kernel, stride, kernel / 2 * dilation, dilation, 0);
    snprintf(name, sizeof name, "%s.%s", prefix, norm);
    return sal__norm(b, x, name);
}

/* He, Zhang, Ren, Sun, "Deep residual learning", 2016: a bottleneck block. The shortcut comes first
   in the list, so that the addition can be fused into conv3. */
static int sal__bottleneck(sal__builder *b, int x, const char *name, int mid, int stride,
                           int dilation, int project) {
    int s1 = b->net->desc.stride_on_3x3 ? 1 : stride, s3 = stride / s1, y = x;
    if (project)
        x = sal__conv_norm(b, x, name, "downsample.0", "downsample.1", 4 * mid, 1, stride, 1);
    y = sal__relu(b, sal__conv_norm(b, y, name, "conv1", "bn1", mid, 1, s1, 1));
    y = sal__relu(b, sal__conv_norm(b, y, name, "conv2", "bn2", mid, 3, s3, dilation));
    y = sal__conv_norm(b, y, name, "conv3", "bn3", 4 * mid, 1, 1, 1);
    return sal__relu(b, sal__add(b, y, x));
}

/* ResNet-50 with strides 8 in all; dilation takes the place of the others (unless plain). */
static void sal__build_sam_resnet(sal__builder *b) {
    static const int blocks[] = { 3, 4, 6, 3 };
    int deep = b->net->desc.plain ? 2 : 1, wide = 2 / deep;
    int stride[] = { 1, 2, deep, deep }, dilation[] = { 1, 1, wide, wide * wide };
    int x = sal__input(b, 3);
    x = sal__relu(b, sal__conv_norm(b, x, "backbone", "conv1", "bn1", sal__width(b, 64), 7, 2, 1));
    x = sal__maxpool(b, x, 3, 2, SAL_PADDING_SAME);
    for (int k = 0; k < 4; k++)
        for (int i = 0; i < blocks[k]; i++) {
            char name[40];
            snprintf(name, sizeof name, "backbone.layer%d.%d", k + 1, i);
            x = sal__bottleneck(b, x, name, sal__width(b, 64 << k), i ? 1 : stride[k], dilation[k],
                                i == 0);
        }
    x = sal__relu(b, sal__conv(b, x, "reduce", sal__width(b, 512), 3, 1, 1));
    sal__sam_head(b, x);
}

/* Sandler et al., "MobileNetV2", 2018: a block widens (1x1), filters each channel (3x3) and narrows
   again (1x1). wide and fine are the values after the first two. */
static int sal__inverted(sal__builder *b, int x, int number, int expand, int channels, int stride,
                         int *wide, int *fine) {
    char name[40];
    int in = b->shapes[x].c, y = x;
    if (expand > 1) {
        snprintf(name, sizeof name, "backbone.block%d.expand", number);
        y = sal__relu6(b, sal__conv_same(b, y, name, expand * in, 1, 1));
    }
    *wide = y;
    snprintf(name, sizeof name, "backbone.block%d.dw", number);
    *fine = y = sal__relu6(b, sal__conv_same(b, y, name, 0, 3, stride));
    snprintf(name, sizeof name, "backbone.block%d.project", number);
    y = sal__conv_same(b, y, name, channels, 1, 1);
    return stride == 1 && in == channels ? sal__add(b, y, x) : y;
}

/* Our own small network. MobileNetV2, its batch-norms folded away; tap: its features at 1/8
   (twice), 1/16 and 1/32 of x. */
static void sal__lite_backbone(sal__builder *b, int x, int *tap) {
    static const struct { int expand, channels, count, stride; } stage[] = {
        { 1, 16, 1, 1 }, { 6, 24, 2, 2 }, { 6, 32, 3, 2 }, { 6, 64, 4, 2 }, { 6, 96, 3, 1 },
        { 6, 160, 3, 2 }, { 6, 320, 1, 1 }
    };
    int wide[17], fine[17], block = 0;
    x = sal__relu6(b, sal__conv_same(b, x, "backbone.conv_stem", sal__width(b, 32), 3, 2));
    for (int k = 0; k < SAL__COUNT(stage); k++)
        for (int i = 0; i < stage[k].count; i++, block++)
            x = sal__inverted(b, x, block, stage[k].expand, sal__width(b, stage[k].channels),
                              i ? 1 : stage[k].stride, &wide[block], &fine[block]);
    x = sal__relu6(b, sal__conv_same(b, x, "backbone.conv_last", sal__width(b, 1280), 1, 1));
    tap[0] = fine[3];
    tap[1] = wide[6];
    tap[2] = wide[13];
    tap[3] = x;
}

/* The features, each brought to 128 channels, are upsampled and added up from coarse to fine; then
   a little context. Returns the log of a map at 1/8. */
static int sal__lite_head(sal__builder *b, const int *tap) {
    int head = sal__width(b, 128), x, y;
    x = sal__relu6(b, sal__conv_same(b, tap[3], "head.tap32", head, 1, 1));
    y = sal__relu6(b, sal__conv_same(b, x, "head.wide32", 0, 5, 1));    /* most of the picture */
    x = sal__add(b, sal__conv_same(b, y, "head.mix32", head, 1, 1), x);
    x = sal__upsample(b, x, tap[2]);
    x = sal__relu6(b, sal__add(b, sal__conv_same(b, tap[2], "head.tap16", head, 1, 1), x));
    x = sal__upsample(b, x, tap[1]);
    x = sal__add(b, sal__conv_same(b, tap[1], "head.tap8", head, 1, 1), x);
    x = sal__relu6(b, sal__add(b, sal__conv_same(b, tap[0], "head.tap4", head, 1, 1), x));
    x = sal__relu6(b, sal__conv_same(b, x, "head.conv", head, 3, 1));
    y = sal__relu6(b, sal__conv_same(b, x, "head.wide8", 0, 5, 1));
    x = sal__relu6(b, sal__add(b, sal__conv_same(b, y, "head.mix8", head, 1, 1), x));
    x = sal__dropout(b, x);
    return sal__conv_same(b, x, "head.readout", 1, 1, 1);
}

/* One network sees the picture at full size, which resolves small objects, and mirrored at half
   size, for large ones; mirroring the second input decorrelates their errors. The logs of both maps
   and of a prior add up. */
static void sal__build_lite(sal__builder *b) {
    int whole[4], half[4], x = sal__input(b, 3), y, head;
    sal__lite_backbone(b, x, whole);
    head = b->param;
    b->param = 0;
    y = sal__mirror(b, sal__upsample(b, x, 2));         /* to the size of the first activation */
    sal__lite_backbone(b, y, half);
    x = sal__lite_head(b, whole);
    b->param = head;
    y = sal__upsample(b, sal__mirror(b, sal__lite_head(b, half)), x);
    x = sal__logprior(b, sal__add(b, x, y), "head.prior", SAL_DOMAIN_COUNT, 6, 8);
    sal__done(b, sal__layer(b, SAL_OP_SOFTMAX, "softmax", x));
}

/* --- kinds ------------------------------------------------------------------------------------ */

typedef struct sal__kind {
    const char *name;
    void (*build)(sal__builder *b);
    int h, w, multiple;             /* default input; sizes it takes, see sal_net */
    sal_fit fit;
    int bgr;
    float scale, mean[3];
    float dropout, blur;
} sal__kind;

/* Caffe's VGG-16 and the Keras backbones take BGR minus the mean colour of ImageNet. */
#define SAL__IMAGENET_BGR SAL_FIT_LETTERBOX, 1, 1, { 103.939f, 116.779f, 123.68f }
static const sal__kind sal__kinds[SAL_KIND_COUNT] = {
    { "juntingnet", sal__build_juntingnet,  96,  96, 0, SAL_FIT_STRETCH, 0, 255, { 0 }, 0, 3 },
    { "wepsam",     sal__build_wepsam,     128, 128, 0, SAL_FIT_STRETCH, 0, 255, { 0 }, 0, 0 },
    { "mlnet",      sal__build_mlnet,      480, 640, 8, SAL__IMAGENET_BGR, 0.5f, 0 },
    { "sam-vgg",    sal__build_sam_vgg,    240, 320, 8, SAL__IMAGENET_BGR, 0, 7 },
    { "sam-resnet", sal__build_sam_resnet, 240, 320, 8, SAL__IMAGENET_BGR, 0, 7 },
    { "lite",       sal__build_lite,       240, 320, 8, SAL_FIT_STRETCH, 0, 127.5f, { 1, 1, 1 },
      0, 0 }
};

static int sal__is_sam(sal_kind kind) { return kind == SAL_KIND_SAM_VGG ||
                                        kind == SAL_KIND_SAM_RESNET; }

SALDEF const char *sal_kind_name(sal_kind kind) {
    return (unsigned)kind < SAL_KIND_COUNT ? sal__kinds[kind].name : "?";
}

SALDEF sal_result sal_kind_from_name(const char *name, sal_kind *kind) {
    for (int k = 0; k < SAL_KIND_COUNT; k++)
        if (!strcmp(name, sal__kinds[k].name)) { *kind = (sal_kind)k; return SAL_OK; }
    return SAL_ERR_ARGUMENT;
}

SALDEF sal_net_desc sal_net_desc_default(sal_kind kind) {
    sal_net_desc d = SAL__ZEROED;
    d.kind = kind;
    if ((unsigned)kind >= SAL_KIND_COUNT) return d;     /* sal_net_new refuses it */
    const sal__kind *k = &sal__kinds[kind];
    d.h = k->h;
    d.w = k->w;
    d.fit = k->fit;
    d.bgr = k->bgr;
    d.scale = k->scale;
    memcpy(d.mean, k->mean, sizeof d.mean);
    for (int c = 0; c < 3; c++) d.std[c] = 1;
    d.dropout = k->dropout;
    d.blur = k->blur;           /* as the released code */
    if (kind == SAL_KIND_MLNET) d.priors = SAL_PRIORS_MASK;
    if (sal__is_sam(kind)) {
        d.steps = 4;
        d.priors = SAL_PRIORS_GAUSSIAN;
    }
    return d;
}

/* --- descriptions -----------------------------------------------------------------------------

   How the fields of a description stand in a weights file: each under a key, in one of these forms.
   Numbers, and the places of words in their list, are from 0 to most. */
typedef enum sal__form {
    SAL__FORM_SIZE,             /* HEIGHTxWIDTH of the input */
    SAL__FORM_PIXEL,            /* see sal__parse_pixel */
    SAL__FORM_NUMBER, SAL__FORM_PAIR,   /* one or two floats */
    SAL__FORM_WHOLE, SAL__FORM_WORD     /* an int; an int, by name */
} sal__form;

typedef struct sal__field {
    const char *key;
    sal__form form;
    size_t offset;
    float most;
    const char *wanted;         /* what can stand there, for a sentence; the list of words */
} sal__field;

static const sal__field sal__fields[] = {
    { "sal.input", SAL__FORM_SIZE, 0, 0, "HEIGHTxWIDTH" },
    { "sal.preprocess", SAL__FORM_PIXEL, 0, 0,
      "like \"rgb/255, mean .485 .456 .406, std .229 .224 .225\"" },
    { "sal.fit", SAL__FORM_WORD, offsetof(sal_net_desc, fit), 2, "stretch, letterbox, square" },
    { "sal.resnet_stride", SAL__FORM_WORD, offsetof(sal_net_desc, stride_on_3x3), 1, "1x1, 3x3" },
    { "sal.backbone", SAL__FORM_WORD, offsetof(sal_net_desc, plain), 1, "dilated, plain" },
    { "sal.steps", SAL__FORM_WHOLE, offsetof(sal_net_desc, steps), 4, "a number" },
    { "sal.priors", SAL__FORM_WORD, offsetof(sal_net_desc, priors), 2, "none, gaussian, mask" },
    { "sal.narrow", SAL__FORM_WHOLE, offsetof(sal_net_desc, narrow), 4096, "a number" },
    { "sal.dropout", SAL__FORM_NUMBER, offsetof(sal_net_desc, dropout), .99f, "a number" },
    { "sal.blur", SAL__FORM_NUMBER, offsetof(sal_net_desc, blur), 100, "a number" },
    { "sal.tone", SAL__FORM_PAIR, offsetof(sal_net_desc, power), 100, "two numbers" }
};

/* The numbers of a field; 0 where it has none. */
static void sal__field_get(const sal__field *f, const sal_net_desc *d, float x[2]) {
    const char *from = (const char *)d + f->offset;
    int whole = 0;
    x[0] = x[1] = 0;
    if (f->form >= SAL__FORM_WHOLE) {
        memcpy(&whole, from, sizeof whole);
        x[0] = (float)whole;
    } else if (f->form >= SAL__FORM_NUMBER)
        memcpy(x, from, f->form == SAL__FORM_PAIR ? 2 * sizeof *x : sizeof *x);
}

/* Word i of a list with ", " between them, and its length. */
static const char *sal__word(const char *list, int i, int *length) {
    for (; i > 0; i--) list += strcspn(list, ",") + 2;
    *length = (int)strcspn(list, ",");
    return list;
}

static int sal__parse_float(const char **text, float *out) {
    double number;
    if (sal_number_parse(text, &number)) return 0;
    *out = (float)number;
    return 1;
}

static int sal__parse_three(const char **text, const char *word, float *three) {
    while (**text == ' ' || **text == ',') (*text)++;
    if (strncmp(*text, word, strlen(word))) return 1;       /* not there: as it was */
    *text += strlen(word);
    for (int i = 0; i < 3; i++) {
        while (**text == ' ') (*text)++;
        if (!sal__parse_float(text, &three[i])) return 0;
    }
    return 1;
}

/* What happens to a pixel:
       ORDER[/SCALE][-OFFSET][, mean A B C][, std A B C]      ORDER is rgb or bgr
   as "rgb/255, mean .485 .456 .406, std .229 .224 .225" or "bgr, mean 103.939 116.779 123.68". */
static int sal__parse_pixel(const char *text, sal_net_desc *d) {
    int ok = 1;
    float offset = 0;
    d->bgr = !strncmp(text, "bgr", 3);
    if (!d->bgr && strncmp(text, "rgb", 3)) return 0;
    text += 3;
    d->scale = 1;
    if (*text == '/') { text++; ok = sal__parse_float(&text, &d->scale); }
    if (ok && *text == '-') { text++; ok = sal__parse_float(&text, &offset); }
    for (int c = 0; c < 3; c++) { d->mean[c] = offset; d->std[c] = 1; }
    ok = ok && sal__parse_three(&text, "mean", d->mean) && sal__parse_three(&text, "std", d->std);
    return ok && !*text && d->scale > 0 && d->std[0] > 0 && d->std[1] > 0 && d->std[2] > 0;
}

/* A field from its text; 0 if it is not of the field's form. */
static int sal__field_parse(const sal__field *f, const char *text, sal_net_desc *d) {
    float *number = (float *)(void *)((char *)d + f->offset);
    int end = 0, length, whole = 0;
    double x = 0;
    if (f->form == SAL__FORM_SIZE)
        return sscanf(text, "%5dx%5d%n", &d->h, &d->w, &end) == 2 && !text[end];
    if (f->form == SAL__FORM_PIXEL) return sal__parse_pixel(text, d);
    if (f->form == SAL__FORM_NUMBER) return sal__parse_float(&text, number) && !*text;
    if (f->form == SAL__FORM_PAIR)
        return sal__parse_float(&text, number) && *text++ == ' ' &&
               sal__parse_float(&text, number + 1) && !*text;
    if (f->form == SAL__FORM_WHOLE) {
        if (sal_number_parse(&text, &x) || *text || x != floor(x)) return 0;
    } else
        for (const char *word; x <= f->most; x++) {
            word = sal__word(f->wanted, (int)x, &length);
            if (strlen(text) == (size_t)length && !strncmp(text, word, (size_t)length)) break;
        }
    if (!(x >= 0 && x <= f->most)) return 0;
    whole = (int)x;
    memcpy((char *)d + f->offset, &whole, sizeof whole);
    return 1;
}

SALDEF sal_result sal_net_desc_set(sal_ctx *ctx, sal_net_desc *desc, const char *key,
                                   const char *text) {
    sal_net_desc changed = *desc;
    const sal__field *f = sal__fields;
    while (f < sal__fields + SAL__COUNT(sal__fields) && strcmp(key, f->key)) f++;
    if (f == sal__fields + SAL__COUNT(sal__fields))
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "no field of a network has the key %.80s", key);
    if (!sal__field_parse(f, text, &changed))
        return sal__fail(ctx, SAL_ERR_FORMAT, "%s is \"%.80s\", not %s", key, text, f->wanted);
    *desc = changed;
    return SAL_OK;
}

#ifndef SALIENCY_NO_STDIO
enum { SAL__FIELD = 320 };

static void sal__print_pixel(const sal_net_desc *d, char text[SAL__FIELD]) {
    float value[7] = { d->scale };
    static const char *const before[] = { "/", ", mean ", " ", " ", ", std ", " ", " " };
    int used = snprintf(text, SAL__FIELD, "%s", d->bgr ? "bgr" : "rgb");
    memcpy(value + 1, d->mean, sizeof d->mean);
    memcpy(value + 4, d->std, sizeof d->std);
    for (int i = 0; i < SAL__COUNT(before); i++) {
        char number[32];
        used += snprintf(text + used, (size_t)(SAL__FIELD - used), "%s%s", before[i],
                         sal_number_print(number, value[i], 0));
    }
}

/* A field as text; 0 if it is as usual in this kind and need not be written. */
static int sal__field_print(const sal__field *f, const sal_net_desc *d, char text[SAL__FIELD]) {
    sal_net_desc usual = sal_net_desc_default(d->kind);
    float x[2], y[2];
    char number[2][32];
    int length;
    sal__field_get(f, d, x);
    sal__field_get(f, &usual, y);
    if (f->form == SAL__FORM_SIZE) snprintf(text, SAL__FIELD, "%dx%d", d->h, d->w);
    else if (f->form == SAL__FORM_PIXEL) sal__print_pixel(d, text);
    else if (f->form == SAL__FORM_WORD) {
        const char *word = sal__word(f->wanted, (int)x[0], &length);
        snprintf(text, SAL__FIELD, "%.*s", length, word);
    } else
        snprintf(text, SAL__FIELD, f->form == SAL__FORM_PAIR ? "%s %s" : "%s",
                 sal_number_print(number[0], x[0], 0), sal_number_print(number[1], x[1], 0));
    return f->form <= SAL__FORM_PIXEL || x[0] != y[0] || x[1] != y[1];
}
#endif

/* Every number must be in its range (NaN is in none), and every variant be one of this kind of
   network. */
static sal_result sal__desc_ok(sal_ctx *ctx, const sal_net_desc *d) {
    int ok = d->scale > 0 && d->scale <= FLT_MAX;
    for (int c = 0; c < 3; c++)
        ok = ok && fabsf(d->mean[c]) <= FLT_MAX && d->std[c] > 0 && d->std[c] <= FLT_MAX;
    if (!ok) return sal__fail(ctx, SAL_ERR_ARGUMENT, "%s: scale and std must be positive, and mean "
                              "finite", sal_kind_name(d->kind));
    for (int k = 0; k < SAL__COUNT(sal__fields); k++) {
        const sal__field *f = &sal__fields[k];
        float x[2];
        sal__field_get(f, d, x);
        for (int i = 0; i < 2; i++)
            if (!(x[i] >= 0 && x[i] <= f->most))
                return sal__fail(ctx, SAL_ERR_ARGUMENT, "%s: %s is %g; it must be from 0 to %g",
                                 sal_kind_name(d->kind), f->key, (double)x[i], (double)f->most);
    }
    if (!sal__is_sam(d->kind) && (d->plain || d->steps || (d->priors &&
        (d->kind != SAL_KIND_MLNET || d->priors != SAL_PRIORS_MASK))))
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "%s has no such variant: a plain backbone, steps "
                         "of a ConvLSTM and Gaussian priors are for sam-vgg and sam-resnet, a mask "
                         "also for mlnet", sal_kind_name(d->kind));
    if (d->floor <= .5f && (d->power == 0 || d->power >= .01f)) return SAL_OK;
    return sal__fail(ctx, SAL_ERR_ARGUMENT, "%s: sal.tone is %g %g, not a power from 0.01 to 100 "
                     "and a floor from 0 to 0.5", sal_kind_name(d->kind), (double)d->power,
                     (double)d->floor);
}

/* --- making and filling networks -------------------------------------------------------------- */

static sal_result sal__net_build(sal_ctx *ctx, const sal_net_desc *desc, const char *name,
                                 int multiple, void (*build)(sal__builder *), sal_net **out) {
    sal__builder b = SAL__ZEROED;
    sal_net *net;
    SAL__TRY_NEW(net, ctx, sal_net, 1);
    net->name = name;
    net->desc = *desc;
    net->multiple = multiple;
    net->layer = SAL__NEW(ctx, sal_layer, SAL__MAX_LAYERS);
    net->param = SAL__NEW(ctx, sal_param, SAL__MAX_PARAMS);
    b.ctx = ctx; b.net = net;
    if (!net->layer || !net->param) b.result = SAL_ERR_MEMORY;
    else b.result = sal__input_size_ok(ctx, net, desc->h, desc->w);
    if (b.result == SAL_OK) build(&b);
    if (b.result != SAL_OK) { sal_net_free(ctx, net); return b.result; }
    *out = net;
    return SAL_OK;
}

SALDEF sal_result sal_net_new(sal_ctx *ctx, const sal_net_desc *desc, sal_net **out) {
    *out = NULL;
    if ((int)desc->kind < 0 || desc->kind >= SAL_KIND_COUNT)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "there is no network number %d", (int)desc->kind);
    SAL__TRY(sal__desc_ok(ctx, desc));
    return sal__net_build(ctx, desc, sal_kind_name(desc->kind), sal__kinds[desc->kind].multiple,
                          sal__kinds[desc->kind].build, out);
}

SALDEF void sal_net_free(sal_ctx *ctx, sal_net *net) {
    if (!net) return;
    for (int i = 0; i < net->params; i++)
        if (net->param[i].owned) sal_free(ctx, net->param[i].value.data);
    if (net->file) sal_safetensors_free(ctx, net->file);
    sal_free(ctx, net->file);
    sal_free(ctx, net->layer);
    sal_free(ctx, net->param);
    sal_free(ctx, net);
}

SALDEF sal_result sal_net_steps(sal_ctx *ctx, sal_net *net, int steps) {
    if (!net->desc.steps || steps < 1 || steps > 4)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, net->desc.steps ? "%s takes 1 to 4 steps of its "
                         "ConvLSTM, not %d" : "%s has no ConvLSTM to take %d steps of", net->name,
                         steps);
    net->desc.steps = steps;
    for (int i = 0; i < net->layers; i++)
        if (net->layer[i].op == SAL_OP_CONVLSTM) net->layer[i].steps = steps;
    return SAL_OK;
}

/* Give parameter p float32 memory of its own, with the values it had (or zeros). */
static sal_result sal__param_own(sal_ctx *ctx, sal_param *p) {
    size_t n = sal_tensor_count(&p->value);
    float *data;
    if (p->owned) return SAL_OK;
    SAL__TRY_NEW(data, ctx, float, n);
    if (p->value.data) sal_tensor_read(&p->value, 0, n, data);
    p->value.data = data;
    p->value.dtype = SAL_DTYPE_F32;
    p->value.scale = NULL;
    p->owned = 1;
    return SAL_OK;
}

SALDEF sal_result sal_net_to_float(sal_ctx *ctx, sal_net *net) {
    for (int i = 0; i < net->params; i++) SAL__TRY(sal__param_own(ctx, &net->param[i]));
    sal__net_forget_ranges(net);
    return SAL_OK;
}

static int sal__ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

/* FNV-1a, 64 bits: a seed for each name. */
static uint64_t sal__hash_on(uint64_t h, const void *data, size_t size) {
    const unsigned char *p = (const unsigned char *)data;
    for (size_t i = 0; i < size; i++) h = (h ^ p[i]) * 0x100000001B3u;
    return h;
}
static uint64_t sal__hash(const char *text) {
    return sal__hash_on(0xCBF29CE484222325u, text, strlen(text));
}

static void sal__fill_normal(float *x, size_t n, double sd, sal_rng *rng) {
    for (size_t i = 0; i < n; i++) x[i] = (float)(sd * sal_rng_normal(rng));
}

/* Saxe et al. 2014: rows of a Gaussian matrix made orthonormal (Gram-Schmidt); rows <= columns. */
static void sal__fill_orthogonal(sal_ctx *ctx, float *x, int rows, int columns, sal_rng *rng) {
    sal__fill_normal(x, (size_t)rows * columns, 1, rng);
    for (int i = 0; i < rows; i++) {
        float *row = x + (size_t)i * columns;
        double norm = 0;
        sal_backend_cpu()->project(ctx, row, x, i, columns);
        for (int k = 0; k < columns; k++) norm += (double)row[k] * row[k];
        norm = sqrt(norm);
        for (int k = 0; k < columns; k++) row[k] = (float)(row[k] / norm);
    }
}

/* SAM's Gaussians: mu U(.3, .7), sigma U(.05, .3). */
static void sal__init_gaussians(float *x, size_t n, sal_rng *rng) {
    for (size_t i = 0; i < n / 2; i++) x[i] = (float)(.3 + .4 * sal_rng_uniform(rng));
    for (size_t i = n / 2; i < n; i++) x[i] = (float)(.05 + .25 * sal_rng_uniform(rng));
}

/* The weights of the ConvLSTM's gate (Wa, Ui ...): U of the gates orthogonal, Va 0, else normal. */
static void sal__init_convlstm(sal_ctx *ctx, const char *gate, const sal_tensor *t, float *x,
                               sal_rng *rng) {
    size_t n = sal_tensor_count(t);
    if (gate[0] == 'U' && gate[1] != 'a')
        sal__fill_orthogonal(ctx, x, t->dim[0], (int)(n / (size_t)t->dim[0]), rng);
    else sal__fill_normal(x, n, gate[0] == 'V' ? 0 : .05, rng);
}

/* The standard deviation of the weights of convolutions and dense layers: the papers' for shallow
   networks, He et al. 2015 for backbones and depthwise layers, else Glorot, Bengio 2010. */
static double sal__init_deviation(const sal_param *p, sal_op op, int shallow) {
    const int *dim = p->value.dim;
    double fan_in = (double)sal_tensor_count(&p->value) / dim[0];
    double fan_out = p->value.ndim == 4 ? dim[0] * dim[2] * dim[3] : dim[0];
    if (shallow) return .01;
    if (!strncmp(p->name, "backbone.", 9) || op == SAL_OP_DEPTHWISE) return sqrt(2 / fan_in);
    return sqrt(2 / (fan_in + fan_out));
}

/* Biases, statistics and priors begin with the same value everywhere. */
static float sal__init_constant(const sal_param *p, sal_op op, int shallow) {
    if (op == SAL_OP_PRIOR) return 1;
    if (op == SAL_OP_BATCHNORM && (sal__ends_with(p->name, ".weight") ||
                                   sal__ends_with(p->name, ".running_var"))) return 1;
    return shallow ? .1f : 0;
}

SALDEF sal_result sal_net_init(sal_ctx *ctx, sal_net *net, uint64_t seed) {
    int shallow = net->desc.kind == SAL_KIND_JUNTINGNET || net->desc.kind == SAL_KIND_WEPSAM;
    for (int i = 0; i < net->layers; i++)
    for (int k = 0; k < net->layer[i].params; k++) {
        const sal_layer *l = &net->layer[i];
        sal_param *p = &net->param[l->param + k];
        size_t n = sal_tensor_count(&p->value);
        sal_rng rng = { seed ^ sal__hash(p->name) };
        SAL__TRY(sal__param_own(ctx, p));
        float *x = (float *)p->value.data;
        int prior = l->op == SAL_OP_PRIOR || l->op == SAL_OP_LOGPRIOR;
        if (l->op == SAL_OP_GAUSSIANS) sal__init_gaussians(x, n, &rng);
        else if (l->op == SAL_OP_CONVLSTM && p->value.ndim == 4)
            sal__init_convlstm(ctx, p->name + strlen(l->name) + 1, &p->value, x, &rng);
        else if (p->value.ndim >= 2 && !prior)
            sal__fill_normal(x, n, sal__init_deviation(p, l->op, shallow), &rng);
        else
            for (size_t j = 0; j < n; j++) x[j] = sal__init_constant(p, l->op, shallow);
    }
    sal__net_forget_ranges(net);
    return SAL_OK;
}

/* ============================================================================================
   >>weights  safetensors files
   ========================================================================================== */

/* --- the header is JSON ----------------------------------------------------------------------

   A small strict parser (RFC 8259) of what such a header may have. The text ends with a zero byte,
   which no rule accepts, so nothing is read behind it. Strings are unescaped in place (they only
   get shorter) and end with a zero byte where the closing quote was. */
typedef struct sal__json {
    sal_ctx *ctx;
    const char *file;           /* for error texts */
    char *text, *at;
} sal__json;

static sal_result sal__json_fail(const sal__json *j, const char *what) {
    return sal__fail(j->ctx, SAL_ERR_FORMAT, "%s: header, byte %.0f: %s", j->file,
                     (double)(j->at - j->text), what);
}

static void sal__json_blanks(sal__json *j) {
    while (*j->at == ' ' || *j->at == '\t' || *j->at == '\n' || *j->at == '\r') j->at++;
}

/* If c is the next character that is not blank, step over it and return 1. */
static int sal__json_next(sal__json *j, char c) {
    sal__json_blanks(j);
    if (*j->at != c) return 0;
    j->at++;
    return 1;
}

static sal_result sal__json_expect(sal__json *j, char c) {
    char what[40];
    if (sal__json_next(j, c)) return SAL_OK;
    snprintf(what, sizeof what, "'%c' expected", c);
    return sal__json_fail(j, what);
}

/* The number that the four hexadecimal digits behind \u make, or -1. */
static long sal__json_hex(sal__json *j) {
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    long value = 0;
    for (int i = 0; i < 4; i++, j->at++) {
        const char *digit = *j->at ? strchr(digits, *j->at) : NULL;
        if (!digit) return -1;
        value = value * 16 + (digit - digits) % 16;
    }
    return value;
}

static sal_result sal__json_string(sal__json *j, char **string) {
    static const char escapes[] = "\"\\/bfnrt", meaning[] = "\"\\/\b\f\n\r\t";
    SAL__TRY(sal__json_expect(j, '"'));
    char *out = *string = j->at;
    while (*j->at != '"') {
        if (*j->at != '\\') {
            int n = sal_utf8_length(j->at);
            if ((unsigned char)*j->at < 0x20)
                return sal__json_fail(j, "a string is not closed, or holds a control character");
            if (!n) return sal__json_fail(j, "a string is not UTF-8");
            for (int i = 0; i < n; i++) *out++ = *j->at++;
            continue;
        }
        j->at++;
        const char *escape = *j->at ? strchr(escapes, *j->at) : NULL;
        if (escape) { *out++ = meaning[escape - escapes]; j->at++; continue; }
        if (*j->at != 'u') return sal__json_fail(j, "no such escape in a string");
        j->at++;
        long c = sal__json_hex(j);
        if (c >= 0xD800 && c < 0xDC00) {            /* the high half of a surrogate pair */
            if (j->at[0] != '\\' || j->at[1] != 'u')
                return sal__json_fail(j, "half of a surrogate pair");
            j->at += 2;
            long low = sal__json_hex(j);
            c = low >= 0xDC00 && low < 0xE000 ? 0x10000 + (c - 0xD800) * 1024 + low - 0xDC00 : -1;
        }
        if (c <= 0 || (c >= 0xD800 && c < 0xE000))
            return sal__json_fail(j, "\\u needs four digits of a character other than zero");
        out += sal_utf8_put(out, (uint32_t)c);
    }
    j->at++;
    *out = 0;
    return SAL_OK;
}

/* [1, 2, 3]: up to `most` whole numbers. *count is how many there are, also beyond `most`. */
static sal_result sal__json_numbers(sal__json *j, uint64_t *number, int most, int *count) {
    *count = 0;
    SAL__TRY(sal__json_expect(j, '['));
    if (sal__json_next(j, ']')) return SAL_OK;
    do {
        uint64_t value = 0;
        char *first;
        sal__json_blanks(j);
        for (first = j->at; *j->at >= '0' && *j->at <= '9'; j->at++) {
            unsigned digit = (unsigned)(*j->at - '0');
            if (value > (UINT64_MAX - digit) / 10) return sal__json_fail(j, "number too large");
            value = value * 10 + digit;
        }
        if (j->at == first || (*first == '0' && j->at > first + 1))
            return sal__json_fail(j, "a whole number, 0 or larger, expected");
        if (*count < most) number[*count] = value;
        if (*count < INT_MAX) ++*count;
    } while (sal__json_next(j, ','));
    return sal__json_expect(j, ']');
}

/* --- reading -------------------------------------------------------------------------------- */

#define SAL__MAX_HEADER 100000000   /* bytes, as the reference implementation has it */
#define SAL__MAX_METAS 1000
#define SAL__ALIGNED(size) (((size) + 63) & ~(size_t)63)

/* The row of a type in sal__types, or -1. */
static int sal__type(const char *name) {
    for (int i = 0; i < SAL__COUNT(sal__types); i++)
        if (!strcmp(name, sal__types[i].name)) return i;
    return -1;
}

static int sal__by_place(const void *a, const void *b) {
    const sal_named_tensor *x = (const sal_named_tensor *)a, *y = (const sal_named_tensor *)b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return x->name < y->name ? -1 : x->name > y->name;      /* empty tensors: header's order */
}

static int sal__by_name(const void *a, const void *b) {
    return strcmp((*(sal_named_tensor *const *)a)->name, (*(sal_named_tensor *const *)b)->name);
}

static void sal__sort_names(sal_safetensors *file) {
    for (int i = 0; i < file->count; i++) file->by_name[i] = &file->tensor[i];
    qsort(file->by_name, (size_t)file->count, sizeof *file->by_name, sal__by_name);
}

/* Binary search for the tensor called name + suffix. */
static sal_named_tensor *sal__find_tensor(const sal_safetensors *file, const char *name,
                                          const char *suffix) {
    size_t length = strlen(name);
    int low = 0, high = file->count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        sal_named_tensor *t = file->by_name[middle];
        int order = strncmp(name, t->name, length);
        if (!order) order = strcmp(suffix, t->name + length);
        if (!order) return t;
        if (order > 0) low = middle + 1; else high = middle;
    }
    return NULL;
}

/* Behind `"__metadata__":` an object of strings. */
static sal_result sal__read_metadata(sal__json *j, sal_safetensors *file) {
    char *key, *value;
    SAL__TRY(sal__json_expect(j, '{'));
    if (sal__json_next(j, '}')) return SAL_OK;
    do {
        SAL__TRY(sal__json_string(j, &key));
        SAL__TRY(sal__json_expect(j, ':'));
        SAL__TRY(sal__json_string(j, &value));
        if (file->metas == SAL__MAX_METAS) return sal__json_fail(j, "too much metadata");
        for (int i = 0; i < file->metas; i++)
            if (!strcmp(file->meta[2 * i], key))
                return sal__fail(j->ctx, SAL_ERR_FORMAT, "%s: metadata: the key '%.100s' "
                                 "appears twice", j->file, key);
        file->meta[2 * file->metas] = key;
        file->meta[2 * file->metas++ + 1] = value;
    } while (sal__json_next(j, ','));
    return sal__json_expect(j, '}');
}

/* Behind `"NAME":` {"dtype":"F32","shape":[64,3],"data_offsets":[0,768]}, in any order. */
static sal_result sal__read_entry(sal__json *j, sal_named_tensor *t) {
    uint64_t shape[4], place[2];
    int type, places = -1, dims = -1;
    SAL__TRY(sal__json_expect(j, '{'));
    do {
        char *field;
        SAL__TRY(sal__json_string(j, &field));
        SAL__TRY(sal__json_expect(j, ':'));
        if (!strcmp(field, "dtype") && !t->type) {
            char *text;
            SAL__TRY(sal__json_string(j, &text));
            t->type = text;
        } else if (!strcmp(field, "shape") && dims < 0) {
            SAL__TRY(sal__json_numbers(j, shape, 4, &dims));
        } else if (!strcmp(field, "data_offsets") && places < 0) {
            SAL__TRY(sal__json_numbers(j, place, 2, &places));
        } else
            return sal__fail(j->ctx, SAL_ERR_FORMAT, "%s: tensor %.100s: a second or unknown field "
                             "'%.40s'", j->file, t->name, field);
    } while (sal__json_next(j, ','));
    SAL__TRY(sal__json_expect(j, '}'));
    if (!t->type || dims < 0 || places != 2)
        return sal__fail(j->ctx, SAL_ERR_FORMAT, "%s: tensor %.100s: dtype, shape and two "
                         "data_offsets expected", j->file, t->name);
    type = sal__type(t->type);
    if (type < 0)
        return sal__fail(j->ctx, SAL_ERR_UNSUPPORTED, "%s: tensor %.100s: numbers of type '%.20s' "
                         "cannot be read here", j->file, t->name, t->type);
    if (dims > 4)
        return sal__fail(j->ctx, SAL_ERR_UNSUPPORTED, "%s: tensor %.100s has %d dimensions, at "
                         "most 4 can be read", j->file, t->name, dims);
    t->tensor.ndim = dims;
    t->tensor.dtype = type <= (int)SAL_DTYPE_I8 ? (sal_dtype)type : SAL_DTYPE_F32;
    size_t bytes = sal__types[type].size;
    for (int i = 0; i < dims; i++) {
        if (shape[i] > INT_MAX || sal__mul_overflows(bytes, (size_t)shape[i], &bytes))
            return sal__fail(j->ctx, SAL_ERR_FORMAT, "%s: tensor %.100s: dimension %d is %.0f: too "
                             "large", j->file, t->name, i, (double)shape[i]);
        t->tensor.dim[i] = (int)shape[i];
    }
    if (place[0] > place[1] || place[1] - place[0] != bytes)
        return sal__fail(j->ctx, SAL_ERR_FORMAT, "%s: tensor %.100s: bytes %.0f to %.0f, but its "
                         "shape and type %s take %.0f bytes", j->file, t->name, (double)place[0],
                         (double)place[1], t->type, (double)bytes);
    if (place[1] > SIZE_MAX) return sal__json_fail(j, "number too large");
    t->begin = (size_t)place[0]; t->end = (size_t)place[1];
    return SAL_OK;
}

/* The whole header: tensors and metadata, in any order. */
static sal_result sal__read_entries(sal__json *j, sal_safetensors *file) {
    int colons = 0, metadata = 0;
    /* an entry has four colons, a pair of metadata one: this bounds how many there can be */
    for (const char *c = file->text; *c; c++) colons += *c == ':';
    SAL__TRY_NEW(file->tensor, j->ctx, sal_named_tensor, colons / 4 + 1);
    SAL__TRY_NEW(file->by_name, j->ctx, sal_named_tensor *, colons / 4 + 1);
    SAL__TRY_NEW(file->meta, j->ctx, const char *, 2 * SAL__MIN(colons + 1, SAL__MAX_METAS));
    SAL__TRY(sal__json_expect(j, '{'));
    int more = !sal__json_next(j, '}');
    while (more) {
        char *key;
        SAL__TRY(sal__json_string(j, &key));
        SAL__TRY(sal__json_expect(j, ':'));
        if (!strcmp(key, "__metadata__")) {
            if (metadata++) return sal__json_fail(j, "a second __metadata__");
            SAL__TRY(sal__read_metadata(j, file));
        } else {
            file->tensor[file->count].name = key;
            SAL__TRY(sal__read_entry(j, &file->tensor[file->count]));
            file->count++;
        }
        more = sal__json_next(j, ',');
        if (!more) SAL__TRY(sal__json_expect(j, '}'));
    }
    sal__json_blanks(j);
    return *j->at ? sal__json_fail(j, "text behind the end of the header") : SAL_OK;
}

/* Tensors must follow each other without a gap and fill the `size` bytes behind the header. */
static sal_result sal__check_places(sal_ctx *ctx, const char *name, size_t size,
                                    sal_safetensors *file) {
    size_t at = 0;
    qsort(file->tensor, (size_t)file->count, sizeof *file->tensor, sal__by_place);
    for (int i = 0; i < file->count; i++) {
        const sal_named_tensor *t = &file->tensor[i];
        if (t->begin != at)
            return sal__fail(ctx, SAL_ERR_FORMAT, "%s: tensor %.100s begins at byte %.0f of the "
                             "data, but what is before it ends at byte %.0f: %s", name, t->name,
                             (double)t->begin, (double)at, t->begin < at ? "they overlap"
                             : "the bytes between belong to no tensor");
        at = t->end;
        if (at > size)
            return sal__fail(ctx, SAL_ERR_FORMAT, "%s: tensor %.100s ends at byte %.0f of the "
                             "data, but the file has only %.0f: is it cut off?", name, t->name,
                             (double)at, (double)size);
    }
    if (at != size)
        return sal__fail(ctx, SAL_ERR_FORMAT, "%s: the last tensor ends at byte %.0f of the data, "
                         "but the file has %.0f", name, (double)at, (double)size);
    return SAL_OK;
}

/* A tensor of type I8 needs another one with the scales of its rows. */
static sal_result sal__check_scales(sal_ctx *ctx, const char *name, const sal_safetensors *file) {
    for (int i = 0; i < file->count; i++) {
        const sal_named_tensor *t = &file->tensor[i], *s;
        if (strcmp(t->type, "I8")) continue;
        s = sal__find_tensor(file, t->name, ".scale");
        if (!s || !t->tensor.ndim)
            return sal__fail(ctx, SAL_ERR_FORMAT, "%s: tensor %.100s is I8, so it needs rows and "
                             "a tensor %.100s.scale, which is not there", name, t->name, t->name);
        if (strcmp(s->type, "F32") || s->tensor.ndim != 1 || s->tensor.dim[0] != t->tensor.dim[0])
            return sal__fail(ctx, SAL_ERR_FORMAT, "%s: tensor %.100s has %d rows, so %.100s must "
                             "be F32 of that length: it is %s with %d dimensions, the first of "
                             "length %d", name, t->name, t->tensor.dim[0], s->name, s->type,
                             s->tensor.ndim, s->tensor.dim[0]);
    }
    return SAL_OK;
}

/* Parse the header and check all of it. size: bytes behind it. */
static sal_result sal__read_header(sal_ctx *ctx, const char *name, size_t size,
                                   sal_safetensors *file) {
    sal__json j = { ctx, name, file->text, file->text };
    SAL__TRY(sal__read_entries(&j, file));
    SAL__TRY(sal__check_places(ctx, name, size, file));
    sal__sort_names(file);
    for (int i = 0; i + 1 < file->count; i++)
        if (!strcmp(file->by_name[i]->name, file->by_name[i + 1]->name))
            return sal__fail(ctx, SAL_ERR_FORMAT, "%s: two tensors are called %.100s", name,
                             file->by_name[i]->name);
    return sal__check_scales(ctx, name, file);
}

/* The bytes of a weights file, read from a file or from memory. */
typedef struct sal__reader {
    const char *name;
    const unsigned char *bytes;
    size_t at, turn;            /* in memory; byte i is bytes[i ^ turn] */
#ifndef SALIENCY_NO_STDIO
    FILE *file;                 /* NULL: memory */
#endif
} sal__reader;

/* The next `size` bytes; the caller knows that the source has them. out NULL: skip them. */
static sal_result sal__reader_next(sal_ctx *ctx, sal__reader *from, void *out, size_t size) {
#ifndef SALIENCY_NO_STDIO
    if (from->file) {
        if (out ? fread(out, 1, size, from->file) == size
                : !sal__seek(from->file, (int64_t)size, SEEK_CUR)) return SAL_OK;
        return sal__fail(ctx, SAL_ERR_IO, "%s: cannot be read to its end", from->name);
    }
#endif
    if (out && !from->turn) memcpy(out, from->bytes + from->at, size);
    for (size_t i = 0; out && from->turn && i < size; i++)
        ((unsigned char *)out)[i] = from->bytes[(from->at + i) ^ from->turn];
    from->at += size;
    return SAL_OK;
}

/* The first 8 bytes cannot be a header's length: say what kind of file this is. */
static sal_result sal__not_safetensors(sal_ctx *ctx, sal__reader *from,
                                       const unsigned char *prefix, double header, size_t size) {
    unsigned char begin[256];
    size_t more = SAL__MIN(size, sizeof begin - 8);
    memcpy(begin, prefix, 8);
    if (sal__reader_next(ctx, from, begin + 8, more) != SAL_OK) more = 0;
    const char *kind = sal_file_kind(begin, 8 + more);
    const char *hint = "";
    if (!memcmp(prefix, "PK", 2))
        hint = "; if PyTorch wrote it, save it with the safetensors package";
    else if (!memcmp(prefix, "\211HDF", 4)) hint = ", perhaps by Keras";
    if (strncmp(kind, "an unknown", 10))
        return sal__fail(ctx, SAL_ERR_FORMAT, "%s: not a safetensors file but %s%s", from->name,
                         kind, hint);
    return sal__fail(ctx, SAL_ERR_FORMAT, "%s: cut off, or not a safetensors file: the first 8 "
                     "bytes announce a header of %.0f bytes, and %.0f follow", from->name, header,
                     (double)size);
}

/* Read and check the whole header before allocating memory for the numbers. On failure the caller
   frees what `file` has. */
static sal_result sal__read_file(sal_ctx *ctx, sal__reader *from, size_t size,
                                 sal_safetensors *file) {
    const char *name = from->name;
    unsigned char prefix[8];
    size_t bytes = 0;
    int i, kept = 0;
    if (size < sizeof prefix)
        return sal__fail(ctx, SAL_ERR_FORMAT, "%s: %.0f bytes are too few for a safetensors file",
                         name, (double)size);
    SAL__TRY(sal__reader_next(ctx, from, prefix, sizeof prefix));
    uint64_t header = sal__uint(prefix, sizeof prefix, 0);
    size -= sizeof prefix;
    if (header > size || header > SAL__MAX_HEADER)
        return sal__not_safetensors(ctx, from, prefix, (double)header, size);
    size -= (size_t)header;
    SAL__TRY_NEW(file->text, ctx, char, header + 1);
    SAL__TRY(sal__reader_next(ctx, from, file->text, (size_t)header));
    if (strlen(file->text) != header)
        return sal__fail(ctx, SAL_ERR_FORMAT, "%s: header: a zero byte in the text", name);
    SAL__TRY(sal__read_header(ctx, name, size, file));
    for (i = 0; i < file->count; i++) {
        const sal_named_tensor *t = &file->tensor[i];
        if (sal__type(t->type) <= (int)SAL_DTYPE_I8) bytes += SAL__ALIGNED(t->end - t->begin);
    }
    SAL__TRY_NEW(file->data, ctx, unsigned char, bytes);
    for (i = 0, bytes = 0; i < file->count; i++) {
        sal_named_tensor *t = &file->tensor[i];
        if (sal__type(t->type) <= (int)SAL_DTYPE_I8) {
            t->tensor.data = file->data + bytes;
            bytes += SAL__ALIGNED(t->end - t->begin);
        }
        SAL__TRY(sal__reader_next(ctx, from, t->tensor.data, t->end - t->begin));
        if (t->tensor.data)
            sal__file_order(t->tensor.data, sal_tensor_count(&t->tensor),
                            sal_dtype_size(t->tensor.dtype));
    }
    for (i = 0; i < file->count; i++) {         /* scales belong to their tensors ... */
        sal_named_tensor *t = &file->tensor[i], *s;
        if (strcmp(t->type, "I8")) continue;
        s = sal__find_tensor(file, t->name, ".scale");
        t->tensor.scale = (float *)s->tensor.data;
        s->tensor.data = NULL;
    }
    for (i = 0; i < file->count; i++) {         /* ... and leave the list */
        const sal_named_tensor *t = &file->tensor[i];
        if (t->tensor.data || strcmp(t->type, "F32")) file->tensor[kept++] = *t;
    }
    file->count = kept;
    sal__sort_names(file);
    return SAL_OK;
}

SALDEF void sal_safetensors_free(sal_ctx *ctx, sal_safetensors *file) {
    sal_free(ctx, file->data);
    sal_free(ctx, (void *)file->meta);
    sal_free(ctx, file->by_name);
    sal_free(ctx, file->tensor);
    sal_free(ctx, file->text);
    memset(file, 0, sizeof *file);
}

static sal_result sal__read_with(sal_ctx *ctx, sal__reader *from, size_t size,
                                 sal_safetensors *file) {
    memset(file, 0, sizeof *file);
    sal_result r = sal__read_file(ctx, from, size, file);
    if (r != SAL_OK) sal_safetensors_free(ctx, file);
    return r;
}

SALDEF sal_result sal_safetensors_parse(sal_ctx *ctx, const void *bytes, size_t size,
                                        const char *name, sal_safetensors *file) {
    sal__reader from = SAL__ZEROED;
    from.name = name; from.bytes = (const unsigned char *)bytes;
    return sal__read_with(ctx, &from, size, file);
}

SALDEF const sal_named_tensor *sal_safetensors_find(const sal_safetensors *file, const char *name) {
    return sal__find_tensor(file, name, "");
}

SALDEF const char *sal_safetensors_meta(const sal_safetensors *file, const char *key) {
    for (int i = 0; i < file->metas; i++)
        if (!strcmp(file->meta[2 * i], key)) return file->meta[2 * i + 1];
    return NULL;
}

/* --- converting ----------------------------------------------------------------------------- */

/* One row to I8. Returns the scale, 0 if a value is not finite. */
static float sal__quantise(int8_t *out, const float *in, size_t n) {
    float most = 0, scale;
    size_t i;
    for (i = 0; i < n; i++) {
        if (!(fabsf(in[i]) <= FLT_MAX)) return 0;
        most = SAL__MAX(most, fabsf(in[i]));
    }
    scale = most / 127;
    if (scale < FLT_MIN) scale = 1;             /* zeros, or too small for a scale */
    for (i = 0; i < n; i++) out[i] = (int8_t)sal__to_int(rint((double)in[i] / scale), -127, 127);
    return scale;
}

/* n values to one of the 16-bit types. Returns the index of the first that overflows, or n. */
static size_t sal__to_half(uint16_t *out, const float *in, size_t n, sal_dtype dtype) {
    uint16_t infinity = dtype == SAL_DTYPE_F16 ? 0x7C00 : 0x7F80;
    for (size_t i = 0; i < n; i++) {
        out[i] = dtype == SAL_DTYPE_F16 ? sal_f32_to_f16(in[i]) : sal_f32_to_bf16(in[i]);
        if ((out[i] & 0x7FFF) == infinity && fabsf(in[i]) <= FLT_MAX) return i;
    }
    return n;
}

SALDEF sal_result sal_tensor_convert(sal_ctx *ctx, const sal_tensor *in, sal_dtype dtype,
                                     sal_tensor *out) {
    size_t count = sal_tensor_count(in), rows = in->ndim ? (size_t)in->dim[0] : 1, row, bad;
    size_t data = SAL__ALIGNED(count * sal_dtype_size(dtype));
    sal_result result = SAL_OK;
    memset(out, 0, sizeof *out);
    if (dtype == SAL_DTYPE_I8 && !in->ndim)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "a single number has no rows to convert to I8");
    row = rows ? count / rows : 0;
    *out = *in;
    out->dtype = dtype;
    out->data = sal_alloc(ctx, 1, data + (dtype == SAL_DTYPE_I8 ? rows * sizeof(float) : 0));
    out->scale = NULL;
    if (out->data && dtype == SAL_DTYPE_I8)
        out->scale = (float *)((unsigned char *)out->data + data);
    float *values = SAL__NEW(ctx, float, row);
    if (!out->data || !values) result = SAL_ERR_MEMORY;
    if (result == SAL_OK && dtype == in->dtype) {           /* the same bits */
        memcpy(out->data, in->data, count * sal_dtype_size(dtype));
        if (dtype == SAL_DTYPE_I8) memcpy(out->scale, in->scale, rows * sizeof(float));
        rows = 0;
    }
    for (size_t r = 0; result == SAL_OK && r < rows; r++) {
        sal_tensor_read(in, r * row, row, values);
        if (dtype == SAL_DTYPE_F32) {
            memcpy((float *)out->data + r * row, values, row * sizeof(float));
        } else if (dtype == SAL_DTYPE_I8) {
            out->scale[r] = sal__quantise((int8_t *)out->data + r * row, values, row);
            if (!(out->scale[r] > 0))
                result = sal__fail(ctx, SAL_ERR_NUMERIC, "row %.0f is not finite: it cannot become "
                                   "I8", (double)r);
        } else {
            bad = sal__to_half((uint16_t *)out->data + r * row, values, row, dtype);
            if (bad < row)
                result = sal__fail(ctx, SAL_ERR_NUMERIC, "element %.0f is %g: too large for %s",
                                   (double)(r * row + bad), (double)values[bad],
                                   sal_dtype_name(dtype));
        }
    }
    sal_free(ctx, values);
    if (result != SAL_OK) { sal_free(ctx, out->data); memset(out, 0, sizeof *out); }
    return result;
}

/* --- files, and writing --------------------------------------------------------------------- */
#ifndef SALIENCY_NO_STDIO

SALDEF sal_result sal_safetensors_load(sal_ctx *ctx, const char *path, sal_safetensors *file) {
    sal__reader from = SAL__ZEROED;
    size_t size;
    int pipe;
    from.name = path;
    memset(file, 0, sizeof *file);
    SAL__TRY(sal__open(ctx, path, &from.file, &size, &pipe));
    if (pipe) {                             /* nothing can be skipped in a pipe */
        unsigned char *bytes;
        SAL__TRY(sal__read_all(ctx, path, from.file, 0, &bytes, &size));
        sal_result r = sal_safetensors_parse(ctx, bytes, size, path, file);
        sal_free(ctx, bytes);
        return r;
    }
    sal_result r = sal__read_with(ctx, &from, size, file);
    fclose(from.file);
    return r;
}

/* A tensor of the file to write, or the scales of one that is I8. */
typedef struct sal__piece {
    const char *name, *suffix;
    sal_tensor tensor;
    size_t bytes;
} sal__piece;

/* All of them in the file's order: the longest element type first, so that each is aligned. */
static int sal__pieces(sal__piece *piece, const sal_named_tensor *tensor, int count) {
    static const size_t sizes[4] = { 4, 1, 2, 1 };  /* F32, scales of I8, 16 bits, I8 */
    int pieces = 0;
    for (int pass = 0; pass < 4; pass++)
        for (int i = 0; i < count; i++) {
            sal__piece *p = &piece[pieces];
            if (sal_dtype_size(tensor[i].tensor.dtype) != sizes[pass]) continue;
            p->name = tensor[i].name;
            p->suffix = pass == 1 ? ".scale" : "";
            p->tensor = tensor[i].tensor;
            if (pass == 1) {
                p->tensor.dtype = SAL_DTYPE_F32;
                p->tensor.ndim = 1;
                p->tensor.data = p->tensor.scale;
            }
            p->bytes = sal_tensor_count(&p->tensor) * sal_dtype_size(p->tensor.dtype);
            pieces++;
        }
    return pieces;
}

/* If `replace`, bytes that are not UTF-8 become U+FFFD; else they stay and will be refused. */
static void sal__put_string(sal__bytes *b, const char *string, int replace) {
    for (int n; *string; string += n) {
        unsigned c = (unsigned char)*string;
        n = sal_utf8_length(string);
        if (!n) { n = 1; if (replace) c = 0xFFFD; }
        if (c < 0x20 || c == 0xFFFD) sal__bytes_print(b, "\\u%04x", c);
        else sal__bytes_print(b, "%s%.*s", c == '"' || c == '\\' ? "\\" : "", n, string);
    }
}

/* The header and in front of it its length, 8 bytes; replaces what b has. */
static void sal__put_header(sal__bytes *b, const sal__piece *piece, int pieces,
                            const char *const *meta, int metas) {
    size_t at = 0;
    b->size = 0;
    sal__bytes_print(b, "%8s{", "");
    for (int i = 0; i < 2 * metas; i++) {
        sal__bytes_print(b, i == 0 ? "\"__metadata__\":{\"" : i % 2 ? ":\"" : ",\"");
        sal__put_string(b, meta[i], 1);
        sal__bytes_print(b, "\"");
    }
    if (metas) sal__bytes_print(b, pieces ? "}," : "}");
    for (int i = 0; i < pieces; at += piece[i++].bytes) {
        const sal_tensor *t = &piece[i].tensor;
        sal__bytes_print(b, i ? ",\"" : "\"");
        sal__put_string(b, piece[i].name, 0);
        sal__bytes_print(b, "%s\":{\"dtype\":\"%s\",\"shape\":[", piece[i].suffix,
                         sal_dtype_name(t->dtype));
        for (int d = 0; d < t->ndim; d++) sal__bytes_print(b, d ? ",%d" : "%d", t->dim[d]);
        sal__bytes_print(b, "],\"data_offsets\":[%.0f,%.0f]}", (double)at,
                         (double)at + (double)piece[i].bytes);
    }
    sal__bytes_print(b, "}");
    while (b->size % 8) sal__bytes_print(b, " ");
    for (int i = 0; i < 8 && !b->failed; i++)
        b->data[i] = (unsigned char)((uint64_t)(b->size - 8) >> 8 * i & 255);
}

/* Read the header that is to be written, so that a file that no reader accepts (a name twice, bad
   UTF-8, a negative dimension) is not written. */
static sal_result sal__check_header(sal_ctx *ctx, const char *path, char *text,
                                    const sal__piece *piece, int pieces) {
    sal_safetensors file = SAL__ZEROED;
    size_t size = 0;
    for (int i = 0; i < pieces; i++) size += piece[i].bytes;
    file.text = text;
    sal_result r = sal__read_header(ctx, path, size, &file);
    file.text = NULL;                           /* the caller's */
    sal_safetensors_free(ctx, &file);
    return r;
}

SALDEF sal_result sal_safetensors_save(sal_ctx *ctx, const char *path,
                                       const sal_named_tensor *tensor, int count,
                                       const char *const *meta, int metas) {
    sal__piece *piece;
    sal__bytes header = SAL__ZEROED;
    sal__output out;
    for (int i = 0; i < count; i++) {
        const sal_tensor *t = &tensor[i].tensor;
        if (t->ndim < 0 || t->ndim > 4 || (unsigned)t->dtype > SAL_DTYPE_I8 || !t->data ||
            (t->dtype == SAL_DTYPE_I8 && (!t->ndim || !t->scale)))
            return sal__fail(ctx, SAL_ERR_ARGUMENT, "%s: tensor %.100s cannot be written: it needs "
                             "data, at most 4 dimensions and, as I8, rows with scales", path,
                             tensor[i].name);
    }
    SAL__TRY_NEW(piece, ctx, sal__piece, 2 * (size_t)count + 1);
    int pieces = sal__pieces(piece, tensor, count);
    header.ctx = ctx;
    sal__put_header(&header, piece, pieces, meta, metas);
    sal_result r = header.failed ? SAL_ERR_MEMORY
                 : sal__check_header(ctx, path, (char *)header.data + 8, piece, pieces);
    if (r == SAL_OK) r = sal__output_begin(ctx, path, &out);
    if (r == SAL_OK) {
        sal__put_header(&header, piece, pieces, meta, metas);   /* the check changed the text */
        sal__output_append(&out, header.data, header.size);
        for (int i = 0; i < pieces; i++)
            sal__output_numbers(&out, piece[i].tensor.data, sal_tensor_count(&piece[i].tensor),
                                sal_dtype_size(piece[i].tensor.dtype));
        r = sal__output_end(&out);
    }
    sal_free(ctx, header.data);
    sal_free(ctx, piece);
    return r;
}
#endif /* SALIENCY_NO_STDIO */

/* --- networks in weights files ---------------------------------------------------------------- */

/* The kind of network that has these tensors, if the file does not say. */
static int sal__guess_kind(const sal_safetensors *file, sal_kind *kind) {
    const sal_named_tensor *t = sal_safetensors_find(file, "fc2.weight");
    if (t) *kind = t->tensor.dim[0] == t->tensor.dim[1] && t->tensor.dim[0] == 2304
                   ? SAL_KIND_JUNTINGNET : SAL_KIND_WEPSAM;
    else if (sal_safetensors_find(file, "encode.weight")) *kind = SAL_KIND_MLNET;
    else if (sal_safetensors_find(file, "reduce.weight")) *kind = SAL_KIND_SAM_RESNET;
    else if (sal_safetensors_find(file, "head.lstm.Wa.weight")) *kind = SAL_KIND_SAM_VGG;
    else return 0;
    return 1;
}

/* The description that the metadata gives; fields that it leaves out are the paper's. */
static sal_result sal__read_desc(sal_ctx *ctx, const sal_safetensors *file, sal_net_desc *d) {
    const char *model = sal_safetensors_meta(file, "sal.model");
    sal_kind kind;
    if (model ? sal_kind_from_name(model, &kind) != SAL_OK : !sal__guess_kind(file, &kind))
        return sal__fail(ctx, SAL_ERR_FORMAT, model
                         ? "sal.model is \"%s\", which is not a network this version has"
                         : "not a network: no sal.model in the metadata, and the tensors are "
                         "those of none%s", model ? model : "");
    *d = sal_net_desc_default(kind);
    for (int i = 0; i < SAL__COUNT(sal__fields); i++) {
        const char *text = sal_safetensors_meta(file, sal__fields[i].key);
        if (text) SAL__TRY(sal_net_desc_set(ctx, d, sal__fields[i].key, text));
    }
    const char *domains = sal_safetensors_meta(file, "sal.domains");
    if (domains && strcmp(domains, SAL_DOMAIN_NAMES))
        return sal__fail(ctx, SAL_ERR_UNSUPPORTED, "its priors are of the data sets \"%.200s\"; "
                         "this version's are \"%s\"", domains, SAL_DOMAIN_NAMES);
    return SAL_OK;
}

static sal_param *sal__find_param(const sal_net *net, const char *name) {
    for (int i = 0; i < net->params; i++)
        if (!strcmp(net->param[i].name, name)) return &net->param[i];
    return NULL;
}

static void sal__print_shape(char *text, size_t size, const sal_tensor *t) {
    int n = 0;
    text[0] = 0;
    for (int i = 0; i < t->ndim && (size_t)n < size; i++)
        n += snprintf(text + n, size - (size_t)n, i ? " x %d" : "%d", t->dim[i]);
}

/* May tensor t become parameter p? */
static sal_result sal__check_tensor(sal_ctx *ctx, const char *name, const sal_net *net,
                                    const sal_param *p, const sal_named_tensor *t) {
    char have[64], want[64];
    int same = t->tensor.ndim == p->value.ndim;
    for (int i = 0; same && i < p->value.ndim; i++) same = t->tensor.dim[i] == p->value.dim[i];
    sal__print_shape(have, sizeof have, &t->tensor);
    sal__print_shape(want, sizeof want, &p->value);
    if (!same)
        return sal__fail(ctx, SAL_ERR_SHAPE, "%s: tensor %s is %s, but %s needs %s", name, t->name,
                         have, net->name, want);
    if (!t->tensor.data)
        return sal__fail(ctx, SAL_ERR_FORMAT, "%s: tensor %s has the type %s; weights are F32, "
                         "F16, BF16 or I8", name, t->name, t->type);
    return SAL_OK;
}

/* 1 if every value is finite. In 16 bits the exponent of infinity and NaN is all ones, so that
   adding 1 to it carries into the sign's place. */
static int sal__finite(const sal_tensor *t) {
    const uint16_t *half = (const uint16_t *)t->data;
    int f16 = t->dtype == SAL_DTYPE_F16;
    unsigned ones = f16 ? 0x7C00 : 0x7F80, one = f16 ? 0x400 : 0x80, carried = 0;
    size_t n = sal_tensor_count(t);
    if (t->dtype == SAL_DTYPE_I8) return sal__all_finite(t->scale, (size_t)t->dim[0]);
    if (t->dtype == SAL_DTYPE_F32) return sal__all_finite((const float *)t->data, n);
    for (size_t i = 0; i < n; i++) carried |= (half[i] & ones) + one;
    return !(carried & 0x8000);
}

/* A NaN is refused among the weights as it is in the input, see sal__input_check. */
static sal_result sal__check_values(sal_ctx *ctx, const char *file, const char *name,
                                    const sal_tensor *t) {
    size_t n = sal__ends_with(name, ".running_var") ? sal_tensor_count(t) : 0;
    int ok = sal__finite(t);
    float x = 0;
    for (size_t i = 0; ok && i < n; i++) { sal_tensor_read(t, i, 1, &x); ok = x >= 0; }
    return ok ? SAL_OK : sal__fail(ctx, SAL_ERR_NUMERIC, "%s: tensor %s has a value that is not "
                                   "finite, or a variance below 0", file, name);
}

/* A file from before some data sets were known: their priors begin as the neutral one. */
static sal_result sal__add_domains(sal_ctx *ctx, sal_param *p, const sal_tensor *from) {
    size_t n = sal_tensor_count(from) / (size_t)from->dim[0];
    SAL__TRY(sal__param_own(ctx, p));
    for (int d = 0; d < p->value.dim[0]; d++)
        sal_tensor_read(from, d < from->dim[0] ? d * n : 0, n, (float *)p->value.data + d * n);
    return SAL_OK;
}

/* 1 if layer i can have a range of its own: layers that share parameters share the first one's. */
static int sal__has_range(const sal_net *net, int i) {
    const sal_layer *l = &net->layer[i];
    if (l->op != SAL_OP_INPUT && l->op != SAL_OP_CONV2D && l->op != SAL_OP_DEPTHWISE) return 0;
    for (int k = 0; k < i; k++) if (!strcmp(net->layer[k].name, l->name)) return 0;
    return 1;
}

/* The tensor NAME.range becomes the range of all layers called NAME. */
static sal_result sal__bind_range(sal_ctx *ctx, const char *name, sal_net *net,
                                  const sal_named_tensor *t) {
    const float *x = (const float *)t->tensor.data;
    size_t length = strlen(t->name) - 6;
    int found = 0;
    for (int i = 0; i < net->layers; i++) {
        sal_layer *l = &net->layer[i];
        int first, c = i ? l->shape.c : 3;
        if (strlen(l->name) != length || strncmp(l->name, t->name, length)) continue;
        first = sal__has_range(net, i);
        if (!first && !found) break;
        if (strcmp(t->type, "F32") || t->tensor.ndim != 1 || t->tensor.dim[0] != c + 2)
            return sal__fail(ctx, SAL_ERR_SHAPE, "%s: tensor %s must be %d F32 values", name,
                             t->name, c + 2);
        for (int k = 0; first && k < c + 2; k++)
            if (!(fabsf(x[k]) <= 1e6f && x[1] - x[0] >= 1e-6f &&
                  (k < 2 || (x[0] <= x[k] && x[k] <= x[1]))))
                return sal__fail(ctx, SAL_ERR_FORMAT, "%s: tensor %s is not a range (lowest and "
                                 "highest value, then means between them)", name, t->name);
        l->range = x;
        found = 1;
    }
    return found ? SAL_OK : sal__fail(ctx, SAL_ERR_SHAPE, "%s: tensor %s does not belong to %s",
                                      name, t->name, net->name);
}

/* Point all parameters at the tensors of net->file, which must have all of them and no others. */
static sal_result sal__bind(sal_ctx *ctx, const char *name, sal_net *net) {
    const sal_safetensors *file = net->file;
    for (int i = 0; i < file->count; i++) {
        const char *tensor = file->tensor[i].name;
        if (sal__ends_with(tensor, ".range")) {
            SAL__TRY(sal__bind_range(ctx, name, net, &file->tensor[i]));
            continue;
        }
        if (!sal__find_param(net, tensor) && !sal__ends_with(tensor, ".num_batches_tracked"))
            return sal__fail(ctx, SAL_ERR_SHAPE, "%s: tensor %s does not belong to %s", name,
                             tensor, net->name);
    }
    for (int i = 0; i < net->layers; i++)
    for (int k = 0; k < net->layer[i].params; k++) {
        sal_param *p = &net->param[net->layer[i].param + k];
        const sal_named_tensor *t = sal_safetensors_find(file, p->name);
        int as_it_is = net->layer[i].op == SAL_OP_DENSE && k == 0;
        if (p->value.data) continue;                    /* shared with an earlier layer */
        if (!t) return sal__fail(ctx, SAL_ERR_SHAPE, "%s: tensor %s is missing; %s needs it", name,
                                 p->name, net->name);
        sal_named_tensor all = *t;
        if (net->layer[i].op == SAL_OP_PRIOR && sal_tensor_count(&t->tensor) && t->tensor.ndim == 4)
            memcpy(p->value.dim + 2, t->tensor.dim + 2, 2 * sizeof(int));  /* upsampled: any size */
        int fewer = net->layer[i].op == SAL_OP_LOGPRIOR && t->tensor.dim[0] > 0 &&
                    t->tensor.dim[0] < p->value.dim[0];
        if (fewer) all.tensor.dim[0] = p->value.dim[0];
        SAL__TRY(sal__check_tensor(ctx, name, net, p, &all));
        SAL__TRY(sal__check_values(ctx, name, t->name, &t->tensor));
        if (fewer) {
            SAL__TRY(sal__add_domains(ctx, p, &t->tensor));
            continue;
        }
        p->value = t->tensor;
        if (!as_it_is && t->tensor.dtype != SAL_DTYPE_F32) SAL__TRY(sal__param_own(ctx, p));
    }
    return SAL_OK;
}

/* A network from a parsed file, which it then owns; on failure the file is freed. */
static sal_result sal__net_from(sal_ctx *ctx, const char *name, sal_safetensors *file,
                                sal_net **out) {
    sal_net_desc desc;
    sal_net *net = NULL;
    sal_safetensors *kept = SAL__NEW(ctx, sal_safetensors, 1);
    sal_result r = kept ? sal__read_desc(ctx, file, &desc) : SAL_ERR_MEMORY;
    *out = NULL;
    if (r == SAL_OK) r = sal_net_new(ctx, &desc, &net);
    if (r != SAL_OK) {
        char reason[sizeof ctx->error];
        memcpy(reason, ctx->error, sizeof reason);
        sal__fail(ctx, r, "%s: %s", name, reason);
        sal_safetensors_free(ctx, file);
        sal_free(ctx, kept);
        return r;
    }
    *kept = *file;
    net->file = kept;
    r = sal__bind(ctx, name, net);
    if (r != SAL_OK) sal_net_free(ctx, net);
    else *out = net;
    return r;
}

SALDEF sal_result sal_net_load_memory(sal_ctx *ctx, const void *bytes, size_t size,
                                      const char *name, sal_net **net) {
    sal_safetensors file;
    *net = NULL;
    SAL__TRY(sal_safetensors_parse(ctx, bytes, size, name, &file));
    return sal__net_from(ctx, name, &file, net);
}

SALDEF sal_result sal_net_load_words(sal_ctx *ctx, const uint64_t *words, size_t size,
                                     const char *name, sal_net **net) {
    sal_safetensors file;
    sal__reader from = SAL__ZEROED;
    from.name = name; from.bytes = (const unsigned char *)words;
    if (sal__is_big_endian()) from.turn = 7;
    *net = NULL;
    SAL__TRY(sal__read_with(ctx, &from, size, &file));
    return sal__net_from(ctx, name, &file, net);
}

#ifndef SALIENCY_NO_STDIO
SALDEF sal_result sal_net_load(sal_ctx *ctx, const char *path, sal_net **net) {
    sal_safetensors file;
    *net = NULL;
    SAL__TRY(sal_safetensors_load(ctx, path, &file));
    return sal__net_from(ctx, path, &file, net);
}

SALDEF sal_result sal_net_save(sal_ctx *ctx, const sal_net *net, const char *path, sal_dtype dtype,
                               const char *const *extra, int extras) {
    enum { OWN = 4 + 2 * SAL__COUNT(sal__fields), SMALL = 8192, LABEL = 48 };
    const sal_net_desc *d = &net->desc;
    char field[SAL__COUNT(sal__fields)][SAL__FIELD];
    int i, metas = 0;
    int count = net->params;
    sal_result r = sal__desc_ok(ctx, d);
    if (r == SAL_OK) r = sal__check_filled(ctx, net, path);
    sal_named_tensor *tensor = SAL__NEW(ctx, sal_named_tensor, net->params + net->layers);
    char *label = SAL__NEW(ctx, char, (size_t)net->layers * LABEL);
    const char **meta = SAL__NEW(ctx, const char *, OWN + 2 * extras);
    if (r == SAL_OK && (!tensor || !meta || !label)) r = SAL_ERR_MEMORY;
    for (i = 0; i < net->params && r == SAL_OK; i++) {
        const sal_tensor *value = &net->param[i].value;
        tensor[i].name = net->param[i].name;
        int keep = sal_tensor_count(value) < SMALL;     /* its precision: it costs little */
        r = sal_tensor_convert(ctx, value, keep ? SAL_DTYPE_F32 : dtype, &tensor[i].tensor);
        if (r == SAL_OK) r = sal__check_values(ctx, path, tensor[i].name, &tensor[i].tensor);
    }
    for (i = 0; i < net->layers && r == SAL_OK; i++) {
        sal_tensor range = { 1, { 2 + (i ? net->layer[i].shape.c : 3), 1, 1, 1 }, SAL_DTYPE_F32,
                             (void *)(uintptr_t)net->layer[i].range, NULL };
        if (!net->layer[i].range || !sal__has_range(net, i)) continue;
        tensor[count].name = label + i * LABEL;
        snprintf(label + i * LABEL, LABEL, "%s.range", net->layer[i].name);
        r = sal_tensor_convert(ctx, &range, SAL_DTYPE_F32, &tensor[count++].tensor);
    }
    if (r == SAL_OK) {
        meta[metas++] = "sal.model"; meta[metas++] = net->name;
        for (i = 0; i < SAL__COUNT(sal__fields); i++)
            if (sal__field_print(&sal__fields[i], d, field[i])) {
                meta[metas++] = sal__fields[i].key; meta[metas++] = field[i];
            }
        if (d->kind == SAL_KIND_LITE) {
            meta[metas++] = "sal.domains"; meta[metas++] = SAL_DOMAIN_NAMES;
        }
        for (i = 0; i < 2 * extras; i++) meta[metas++] = extra[i];
        r = sal_safetensors_save(ctx, path, tensor, count, meta, metas / 2);
    }
    for (i = 0; tensor && i < count; i++) sal_free(ctx, tensor[i].tensor.data);
    sal_free(ctx, tensor);
    sal_free(ctx, label);
    sal_free(ctx, (void *)(uintptr_t)meta);
    return r;
}
#endif /* SALIENCY_NO_STDIO */

/* ============================================================================================
   >>image  pictures and maps: files, resizing, blurring, colours
   ========================================================================================== */

SALDEF void sal_image_free(sal_ctx *ctx, sal_image *image) {
    sal_free(ctx, image->data);
    sal_free(ctx, image->rgba);
    sal_free(ctx, image->profile);
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

/* SAL_ERR_NUMERIC if a map cannot be shown, because a value is not finite. */
static sal_result sal__check_finite(sal_ctx *ctx, const sal_map *map) {
    if (sal__all_finite(map->data, (size_t)map->w * map->h)) return SAL_OK;
    return sal__fail(ctx, SAL_ERR_NUMERIC, "a map of %d x %d has a value that is not finite: it "
                     "cannot become grey levels or colours", map->w, map->h);
}

SALDEF sal_result sal_map_new(sal_ctx *ctx, int w, int h, sal_map *map) {
    memset(map, 0, sizeof *map);
    SAL__TRY(sal__check_size(ctx, "new map", w, h));
    SAL__TRY_NEW(map->data, ctx, float, (size_t)w * h);
    map->w = w; map->h = h;
    return SAL_OK;
}

static sal_result sal__map_put(sal_ctx *ctx, sal__arena *arena, int w, int h, sal_map *map) {
    SAL__TRY(sal__check_size(ctx, "new map", w, h));
    SAL__TRY_PUT(map->data, ctx, arena, float, (size_t)w * h);
    map->w = w; map->h = h;
    return SAL_OK;
}

/* --- names of files --- */

/* 1 if the name has one of these extensions (".jpg|.png"), in small letters or capitals. */
static int sal__has_extension(const char *name, const char *list) {
    const char *dot = strrchr(name, '.');
    if (!dot || dot <= sal_path_name(name)) return 0;       /* as of ".png" */
    for (; *list; list += strcspn(list, "|"), list += *list == '|') {
        size_t n = strcspn(list, "|"), k;
        for (k = 0; k < n && (dot[k] == list[k] || (dot[k] | 32) == list[k]); k++) {}
        if (k == n && !dot[k]) return 1;
    }
    return 0;
}

#define SAL__JPEGS ".jpg|.jpeg|.jpe|.jfif"
#define SAL__PICTURES SAL__JPEGS "|.png|.bmp|.ppm|.pgm|.pnm"

SALDEF int sal_is_picture(const char *name) { return sal__has_extension(name, SAL__PICTURES); }

/* fn for each row; work: multiply-adds of a row. Small planes are not worth waking threads for. */
static void sal__for_rows(sal_ctx *ctx, int rows, double work, sal_task_fn *fn, void *arg) {
    if (rows * work >= 1 << 20) sal_parallel_for(ctx, rows, fn, arg);
    else for (int y = 0; y < rows; y++) fn(arg, y, 0);
}

/* --- resampling --------------------------------------------------------------------------

   One axis at a time. Output pixel o covers the input from o * step to (o + 1) * step; its value
   is a weighted mean of `width` input pixels from first[o] on, tabulated once for each axis. A task
   makes a strip of the output, so that what lies between the two axes stays in the cache. */
typedef struct sal__filter_table {
    int width;
    int *first;
    float *weight;      /* [out][width]; pixels outside the filter have weight 0 */
} sal__filter_table;

/* The filter of the classical models' pyramids: 1 5 10 10 5 1 over pairs of pixels. */
#define SAL__HALF ((sal_filter)3)

/* The triangle, and Keys' cubic with a = -1/2 ("Cubic convolution interpolation for digital image
   processing", IEEE ASSP 1981, eq. 15), at a distance of x pixels. */
static double sal__filter_at(sal_filter filter, double x) {
    static const double half[4] = { 10, 5, 1, 0 };
    x = fabs(x);
    if (filter == SAL__HALF) return half[(int)SAL__MIN(2 * x, 3)];
    if (filter == SAL_FILTER_LINEAR) return SAL__MAX(1 - x, 0);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? ((2.5 - 0.5 * x) * x - 4) * x + 2 : 0;
}

static sal_result sal__filter_table_new(sal_ctx *ctx, int out, int in, sal_filter filter,
                                        sal__filter_table *t) {
    double step = filter == SAL__HALF ? 2 : (double)in / out, stretch = SAL__MAX(step, 1);
    double reach = filter == SAL_FILTER_LINEAR ? stretch : 2 * stretch;
    if (filter == SAL_FILTER_AREA) reach = step / 2;
    t->width = in == out ? 1 : (int)SAL__MIN((double)in, ceil(2 * reach) + 1);
    SAL__TRY_NEW(t->first, ctx, int, out);          /* the caller releases both */
    SAL__TRY_NEW(t->weight, ctx, float, (size_t)out * t->width);
    for (int o = 0; o < out; o++) {
        double centre = (o + 0.5) * step, total = 0;
        int first = sal__to_int(floor(centre - reach), 0, in - t->width);
        float *weight = t->weight + (size_t)o * t->width;
        if (in == out) { t->first[o] = o; *weight = 1; continue; }  /* this side stays as it is */
        for (int k = 0; k < t->width; k++) {
            double at = first + k, w;
            if (filter == SAL_FILTER_AREA)     /* the part of pixel [at, at + 1] that o covers */
                w = SAL__MAX(0, SAL__MIN(centre + reach, at + 1) - SAL__MAX(centre - reach, at));
            else
                w = sal__filter_at(filter, (at + 0.5 - centre) / stretch);
            weight[k] = (float)w;
            total += w;
        }
        for (int k = 0; k < t->width; k++) weight[k] = (float)(weight[k] / total);
        t->first[o] = first;
    }
    return SAL_OK;
}

typedef struct sal__resize_job {
    const unsigned char *bytes;         /* the input is one of the two, */
    const float *floats;
    size_t pitch;                       /* from one row to the next, in numbers */
    float *out, *scratch;
    size_t scratch_size;                /* floats of one worker */
    int ow, oh, w, channels, across;    /* across: along x first */
    int strip;                          /* rows of the output in a strip */
    sal__filter_table x, y;
} sal__resize_job;

/* Row k of the input, w * channels numbers. Here and below the inner loops run over SIDE numbers in
   a local array, which the compiler turns into vectors. */
static void sal__resize_load(const sal__resize_job *j, float *out, int k) {
    enum { SIDE = 16 };
    size_t n = (size_t)j->w * j->channels, i = 0;
    const unsigned char *from = j->bytes ? j->bytes + k * j->pitch : NULL;
    if (!from) {
        memcpy(out, j->floats + k * j->pitch, n * sizeof(float));
        return;
    }
    for (; i + SIDE <= n; i += SIDE) {
        float part[SIDE];
        for (int l = 0; l < SIDE; l++) part[l] = from[i + l];
        for (int l = 0; l < SIDE; l++) out[i + l] = part[l];
    }
    for (; i < n; i++) out[i] = from[i];
}

/* A row of the output from a row of the input, four channels at a time. Up to three numbers beyond
   the row's end are read and not used. */
static void sal__resize_row(const sal__resize_job *j, float *out, const float *in) {
    int channels = j->channels, width = j->x.width;
    const float *weight = j->x.weight;
    for (int x = 0; x < j->ow; x++, weight += width, out += channels)
        for (int c = 0; c < channels; c += 4) {
            const float *from = in + (size_t)j->x.first[x] * channels + c;
            float sum[4] = { 0, 0, 0, 0 };
            for (int k = 0; k < width; k++, from += channels) {
                float w = weight[k], part[4];
                for (int l = 0; l < 4; l++) part[l] = sum[l] + w * from[l];
                for (int l = 0; l < 4; l++) sum[l] = part[l];
            }
            for (int l = 0; l < 4 && c + l < channels; l++) out[c + l] = sum[l];
        }
}

/* out = the weighted sum of `width` rows of n numbers, pitch apart, four of them at a time. */
static void sal__resize_column(float *out, const float *in, size_t pitch, const float *weight,
                               int width, size_t n) {
    enum { SIDE = 16 };
    if (width == 1) { memcpy(out, in, n * sizeof(float)); return; }
    memset(out, 0, n * sizeof(float));
    for (int k = 0; k < width; k += 4) {
        const float *row[4];
        float w[4];
        size_t i = 0;
        for (int t = 0; t < 4; t++) {
            row[t] = in + (size_t)SAL__MIN(k + t, width - 1) * pitch;
            w[t] = k + t < width ? weight[k + t] : 0;
        }
        for (; i + SIDE <= n; i += SIDE) {
            float sum[SIDE];
            for (int l = 0; l < SIDE; l++)
                sum[l] = out[i + l] + w[0] * row[0][i + l] + w[1] * row[1][i + l] +
                         w[2] * row[2][i + l] + w[3] * row[3][i + l];
            for (int l = 0; l < SIDE; l++) out[i + l] = sum[l];
        }
        for (; i < n; i++)
            out[i] = out[i] + w[0] * row[0][i] + w[1] * row[1][i] + w[2] * row[2][i] +
                     w[3] * row[3][i];
    }
}

/* The number of input rows, from *first on, that a strip of the output is made from. */
static int sal__resize_rows(const sal__resize_job *j, int strip, int *first) {
    int last = SAL__MIN((strip + 1) * j->strip, j->oh) - 1;
    *first = j->y.first[strip * j->strip];
    return j->y.first[last] + j->y.width - *first;
}

static void sal__resize_strip(void *arg, int strip, int worker) {
    const sal__resize_job *j = (const sal__resize_job *)arg;
    int first, rows = sal__resize_rows(j, strip, &first);
    int end = SAL__MIN((strip + 1) * j->strip, j->oh);
    size_t in = (size_t)j->w * j->channels, out = (size_t)j->ow * j->channels;
    size_t between = j->across ? out : in, pitch = between;
    float *line = j->scratch + worker * j->scratch_size, *row = line + in + 4;
    const float *from = row;
    if (j->floats && !j->across) {      /* no copy needed */
        from = j->floats + first * j->pitch;
        pitch = j->pitch;
    } else for (int k = 0; k < rows; k++) {
        sal__resize_load(j, j->across ? line : row + k * in, first + k);
        if (j->across) sal__resize_row(j, row + k * out, line);
    }
    for (int y = strip * j->strip; y < end; y++) {
        float *to = j->out + y * out;
        sal__resize_column(j->across || j->w == j->ow ? to : line,
                           from + (size_t)(j->y.first[y] - first) * pitch, pitch,
                           j->y.weight + (size_t)y * j->y.width, j->y.width, between);
        if (!j->across && j->w != j->ow) sal__resize_row(j, to, line);
    }
}

/* sal_resize from bytes or floats in rows `pitch` numbers apart. */
static sal_result sal__resize(sal_ctx *ctx, float *out, int ow, int oh, const unsigned char *bytes,
                              const float *floats, size_t pitch, int w, int h, int channels,
                              sal_filter filter) {
    sal__resize_job j = SAL__ZEROED;
    int strips = 0, most = 0, first;
    sal_result r;
    SAL__TRY(sal__check_size(ctx, "resize from", w, h));
    SAL__TRY(sal__check_size(ctx, "resize to", ow, oh));
    if (channels < 1)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "resize: %d channels, at least 1 expected",
                         channels);
    j.bytes = bytes; j.floats = floats; j.pitch = pitch; j.out = out;
    j.ow = ow; j.oh = oh; j.w = w; j.channels = channels;
    /* the faster order; a tap along x costs about four times as much as along y */
    j.across = w != ow && 4.0 * ow * h + (double)ow * oh <= (double)w * oh + 4.0 * ow * oh;
    r = sal__filter_table_new(ctx, ow, w, filter, &j.x);
    if (r == SAL_OK) r = sal__filter_table_new(ctx, oh, h, filter, &j.y);
    if (r == SAL_OK) {      /* strips so high that the input rows two of them share are few */
        j.strip = sal__to_int(SAL__MAX(64, 2.0 * j.y.width) * oh / h, 1, 32);
        strips = (oh + j.strip - 1) / j.strip;
    }
    for (int k = 0; k < strips && (bytes || j.across); k++)
        most = SAL__MAX(most, sal__resize_rows(&j, k, &first));
    if (r == SAL_OK) {
        j.scratch_size = ((size_t)most * (j.across ? ow : w) + w) * channels + 4;
        j.scratch = SAL__NEW(ctx, float, j.scratch_size * sal_threads(ctx));
        r = j.scratch ? SAL_OK : SAL_ERR_MEMORY;
    }
    if (r == SAL_OK)
        sal__for_rows(ctx, strips, (double)j.x.width * ow * j.strip * channels,
                      sal__resize_strip, &j);
    sal_free(ctx, j.scratch);
    sal_free(ctx, j.x.first); sal_free(ctx, j.x.weight);
    sal_free(ctx, j.y.first); sal_free(ctx, j.y.weight);
    return r;
}

SALDEF sal_result sal_resize(sal_ctx *ctx, float *out, int ow, int oh, const float *in, int w,
                             int h, int channels, sal_filter filter) {
    return sal__resize(ctx, out, ow, oh, NULL, in, (size_t)w * channels, w, h, channels, filter);
}

/* --- Gaussian blur ----------------------------------------------------------------------- */

typedef struct sal__blur_pass {
    float *out;
    const float *in;
    const float *weight;    /* of the distances 0..radius */
    float *line;            /* [worker][w + 2 radius]: a row with its borders */
    unsigned char *empty;   /* rows of zeros: maps of fixations are full of them, so skip them */
    int w, h, radius;
    sal_border border;
} sal__blur_pass;

/* The pixel of 0..n-1 that position i shows, -1 for none. */
static int sal__border_at(int i, int n, sal_border border) {
    int period = SAL__MAX(2 * (n - 1), 1);      /* reflected forth and back */
    if (i >= 0 && i < n) return i;
    if (border == SAL_BORDER_ZERO) return -1;
    if (border == SAL_BORDER_REPLICATE) return sal__to_int(i, 0, n - 1);
    i = abs(i) % period;
    return i < n ? i : period - i;
}

/* out += weight * (a + b): the filter is symmetric, so taps come in pairs. */
static void sal__add_pair(float *out, float weight, const float *a, const float *b, int n) {
    enum { SIDE = 16 };
    int i = 0;
    for (; i + SIDE <= n; i += SIDE) {
        float sum[SIDE];
        for (int l = 0; l < SIDE; l++) sum[l] = out[i + l] + weight * (a[i + l] + b[i + l]);
        for (int l = 0; l < SIDE; l++) out[i + l] = sum[l];
    }
    for (; i < n; i++) out[i] += weight * (a[i] + b[i]);
}

static void sal__blur_row(void *arg, int y, int worker) {
    const sal__blur_pass *p = (const sal__blur_pass *)arg;
    int i, w = p->w, radius = p->radius;
    const float *in = p->in + (size_t)y * w;
    float *out = p->out + (size_t)y * w;
    float *line = p->line + (size_t)worker * ((size_t)w + 2 * (size_t)radius) + radius;
    for (i = 0; i < w && in[i] == 0; i++) { }
    p->empty[y] = i == w;
    if (i == w) { memset(out, 0, (size_t)w * sizeof(float)); return; }
    memcpy(line, in, (size_t)w * sizeof(float));
    for (i = 1; i <= radius; i++) {
        int left = sal__border_at(-i, w, p->border);
        int right = sal__border_at(w - 1 + i, w, p->border);
        line[-i] = left < 0 ? 0 : in[left];
        line[w - 1 + i] = right < 0 ? 0 : in[right];
    }
    for (i = 0; i < w; i++) out[i] = p->weight[0] * line[i];
    for (i = 1; i <= radius; i++) sal__add_pair(out, p->weight[i], line - i, line + i, w);
}

/* The row that position y shows. A row of zeros, p->line, stands for empty ones and for none. */
static const float *sal__blur_shown(const sal__blur_pass *p, int y) {
    y = sal__border_at(y, p->h, p->border);
    return y < 0 || p->empty[y] ? p->line : p->in + (size_t)y * p->w;
}

static void sal__blur_column(void *arg, int y, int worker) {
    const sal__blur_pass *p = (const sal__blur_pass *)arg;
    const float *in = p->in + (size_t)y * p->w;
    float *out = p->out + (size_t)y * p->w;
    for (int i = 0; i < p->w; i++) out[i] = p->weight[0] * in[i];
    for (int i = 1; i <= p->radius; i++) {
        const float *up = sal__blur_shown(p, y - i), *down = sal__blur_shown(p, y + i);
        if (up != p->line || down != p->line) sal__add_pair(out, p->weight[i], up, down, p->w);
    }
}

SALDEF sal_result sal_blur(sal_ctx *ctx, float *out, const float *in, int w, int h, double sigma,
                           double cut, sal_border border) {
    size_t size = (size_t)w * h, line;
    double total = 1, radius = floor(cut * sigma + 0.5);
    float *between, *weight, *lines;
    sal__blur_pass p;
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
    SAL__TRY_NEW(between, ctx, float, size + p.radius + 1 + line * sal_threads(ctx) + h);
    weight = between + size; lines = weight + p.radius + 1;
    for (int i = 1; i <= p.radius; i++) total += 2 * exp(-i * (i / (2 * sigma * sigma)));
    for (int i = 0; i <= p.radius; i++)
        weight[i] = (float)(exp(-i * (i / (2 * sigma * sigma))) / total);
    p.weight = weight; p.line = lines;
    p.empty = (unsigned char *)(lines + line * sal_threads(ctx));
    p.out = between; p.in = in;
    sal__for_rows(ctx, h, (double)w * p.radius, sal__blur_row, &p);
    memset(lines, 0, (size_t)w * sizeof(float));
    p.out = out; p.in = between;
    sal__for_rows(ctx, h, (double)w * p.radius, sal__blur_column, &p);
    sal_free(ctx, between);
    return SAL_OK;
}

/* --- picture files ----------------------------------------------------------------------- */

SALDEF sal_result sal_image_new(sal_ctx *ctx, int w, int h, sal_image *image) {
    memset(image, 0, sizeof *image);
    SAL__TRY(sal__check_size(ctx, "new picture", w, h));
    SAL__TRY_NEW(image->data, ctx, unsigned char, (size_t)w * h * 3);
    image->w = w; image->h = h;
    return SAL_OK;
}

/* 1 if R = G = B in all of n pixels of `bytes` bytes. */
static int sal__is_grey(const unsigned char *p, int bytes, size_t n) {
    while (n > 0 && p[0] == p[1] && p[0] == p[2]) { n--; p += bytes; }
    return n == 0;
}

/* For each of sal_pixels: bytes of a pixel, and the place of each colour in it. */
static const struct { int bytes, red, green, blue, alpha; } sal__formats[] = {
    { 1, 0, 0, 0, -1 }, { 2, 0, 0, 0, 1 }, { 3, 0, 1, 2, -1 }, { 4, 0, 1, 2, 3 },
    { 3, 2, 1, 0, -1 }, { 4, 2, 1, 0, 3 }
};

/* sal_image_from_pixels of rows `stride` bytes apart, turned upright: by the EXIF orientation, 1 to
   8 (Exif 2.3, table 5), row 0 of the pixels is the top or bottom of the picture, or a side. */
static sal_result sal__image_from(sal_ctx *ctx, const unsigned char *pixels, int w, int h,
                                  ptrdiff_t stride, sal_pixels format, int turn,
                                  sal_image *image) {
    int bytes = sal__formats[format].bytes, alpha = sal__formats[format].alpha;
    int red = sal__formats[format].red, green = sal__formats[format].green;
    int blue = sal__formats[format].blue;
    int left = turn == 2 || turn == 3 || turn == 7 || turn == 8;        /* pixels run to the left */
    int up = turn == 3 || turn == 4 || turn == 6 || turn == 7;          /* rows run upwards */
    ptrdiff_t across = left ? -bytes : bytes, down = up ? -stride : stride, swap = across;
    double opaque = 0, light = 0;
    int x, y, behind = 255, clear = 0;
    if (left) pixels += (ptrdiff_t)(w - 1) * bytes;
    if (up) pixels += (h - 1) * stride;
    if (turn > 4) { across = down; down = swap; x = w; w = h; h = x; }
    SAL__TRY(sal_image_new(ctx, w, h, image));
    for (y = 0; alpha >= 0 && y < h; y++)
        for (x = 0; x < w; x++) {
            const unsigned char *p = pixels + y * down + x * across;
            clear |= p[alpha] < 255;
            opaque += p[alpha];
            light += p[alpha] * (299 * p[red] + 587 * p[green] + 114 * p[blue]) / 1000.0;
        }
    if (light > 0.75 * 255 * opaque) behind = 0;
    if (clear) image->rgba = SAL__NEW(ctx, unsigned char, (size_t)w * h * 4);
    if (clear && !image->rgba) { sal_image_free(ctx, image); return SAL_ERR_MEMORY; }
    for (y = 0; y < h; y++) {
        const unsigned char *p = pixels + y * down;
        unsigned char *to = image->data + (size_t)y * w * 3;
        unsigned char *rgba = clear ? image->rgba + (size_t)y * w * 4 : NULL;
        for (x = 0; x < w; x++, p += across, to += 3) {
            to[0] = p[red]; to[1] = p[green]; to[2] = p[blue];
            if (rgba) {
                int a = p[alpha];
                memcpy(rgba, to, 3);
                rgba[3] = (unsigned char)a;
                for (int c = 0; c < 3; c++)
                    to[c] = (unsigned char)((to[c] * a + behind * (255 - a) + 127) / 255);
                rgba += 4;
            }
        }
    }
    return SAL_OK;
}

SALDEF sal_result sal_image_from_pixels(sal_ctx *ctx, const void *pixels, int width, int height,
                                        ptrdiff_t stride, sal_pixels format, sal_image *image) {
    ptrdiff_t row;
    memset(image, 0, sizeof *image);
    SAL__TRY(sal__check_size(ctx, "pixels", width, height));
    if ((int)format < 0 || (int)format > (int)SAL_PIXELS_BGRA)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "pixels: there is no format %d", (int)format);
    row = (ptrdiff_t)width * sal__formats[format].bytes;
    if (stride == 0) stride = row;
    if ((stride < 0 ? -stride : stride) < row)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "pixels: a row has %.0f bytes, more than the "
                         "stride of %.0f", (double)row, (double)stride);
    return sal__image_from(ctx, (const unsigned char *)pixels, width, height, stride, format, 1,
                           image);
}

static uint32_t sal__u32_le(const unsigned char *p) { return (uint32_t)sal__uint(p, 4, 0); }

/* The next number of a PNM header, over white space and comments; -1 if there is none. */
static long sal__pnm_number(const unsigned char *p, size_t size, size_t *at) {
    long n = -1;
    size_t i = *at;
    while (i < size && (p[i] == '#' || p[i] == ' ' || (p[i] >= 9 && p[i] <= 13)))
        if (p[i++] == '#') while (i < size && p[i] != '\n') i++;
    for (; i < size && p[i] >= '0' && p[i] <= '9' && n < 100000000; i++)
        n = (n < 0 ? 0 : n * 10) + (p[i] - '0');
    *at = i;
    return n;
}

/* Binary PPM (P6) and PGM (P5), any maximum to 65535: stb_image knows only 255, and takes what is
   missing from a truncated file from uninitialised memory. */
static sal_result sal__pnm_load(sal_ctx *ctx, const unsigned char *p, size_t size, const char *name,
                                sal_image *image) {
    size_t at = 2, samples;
    int channels = p[1] == '6' ? 3 : 1, bytes;
    long w = sal__pnm_number(p, size, &at), h = sal__pnm_number(p, size, &at);
    long most = sal__pnm_number(p, size, &at);
    unsigned char *levels;
    at++;       /* one white space before the samples */
    if (w < 1 || h < 1 || most < 1 || most > 65535)
        return sal__fail(ctx, SAL_ERR_FORMAT, "%s: a PPM/PGM header without a proper width, height "
                         "and maximum", name);
    SAL__TRY(sal__check_size(ctx, name, (double)w, (double)h));
    bytes = most > 255 ? 2 : 1;
    samples = (size_t)w * h * channels;
    if (at > size || (size - at) / (size_t)bytes < samples)
        return sal__fail(ctx, SAL_ERR_FORMAT, "%s: truncated: %ld x %ld pixels need %.0f bytes, "
                         "the file has %.0f", name, w, h, (double)samples * bytes + (double)at,
                         (double)size);
    SAL__TRY_NEW(levels, ctx, unsigned char, samples);
    p += at;
    for (size_t i = 0; i < samples; i++, p += bytes) {
        long v = bytes == 2 ? p[0] * 256L + p[1] : p[0];
        levels[i] = (unsigned char)((SAL__MIN(v, most) * 255 + most / 2) / most);
    }
    sal_result r = sal__image_from(ctx, levels, (int)w, (int)h, (ptrdiff_t)w * channels,
                                   channels == 3 ? SAL_PIXELS_RGB : SAL_PIXELS_GREY, 1, image);
    sal_free(ctx, levels);
    return r;
}

/* BMP of every header from OS/2's first to Windows' fifth, with 1 to 32 bits a pixel, run lengths
   among them: stb_image lacks some, and loses colours of OS/2's palettes. */
typedef struct sal__bmp {
    int w, h, bits, rle;
    const unsigned char *palette, *pixels, *end;
    uint32_t colours, entry;        /* of the palette: entries, and bytes of one, blue first */
    uint32_t mask[4];               /* of red, green, blue and alpha in 16 or 32 bits */
} sal__bmp;

static sal_result sal__bmp_open(sal_ctx *ctx, const unsigned char *p, size_t size,
                                const char *name, sal__bmp *b) {
    static const uint32_t masks[2][4] = { { 0x7C00, 0x3E0, 0x1F, 0 },
                                          { 0xFF0000, 0xFF00, 0xFF, 0xFF000000u } };
    const char *truncated = "%s: a truncated BMP file (%.0f bytes)";
    uint32_t header = sal__u32_le(p + 14), at = sal__u32_le(p + 10), compression = 0;
    size_t end = 14 + (size_t)header;
    if (size < 26 || size < end)
        return sal__fail(ctx, SAL_ERR_FORMAT, truncated, name, (double)size);
    int core = header < 16;
    b->w = core ? p[18] | p[19] << 8 : (int32_t)sal__u32_le(p + 18);
    b->h = core ? p[20] | p[21] << 8 : (int32_t)sal__u32_le(p + 22);
    b->bits = core ? p[24] : p[28];
    SAL__TRY(sal__check_size(ctx, name, b->w, fabs((double)b->h)));
    if (header >= 40) compression = sal__u32_le(p + 30);
    b->rle = compression == 1 || compression == 2;
    memcpy(b->mask, masks[b->bits == 32], sizeof b->mask);
    int masked = compression == 3 || compression == 6;
    if (masked) {                       /* the masks are in the header, or behind it */
        if (header < 52) end += compression == 3 ? 12 : 16;
        for (int i = 0; i < 4; i++)
            b->mask[i] = size < (size_t)(58 + 4 * i) || (i == 3 && header < 56 && compression == 3)
                             ? 0 : sal__u32_le(p + 54 + 4 * i);
    }
    int plain = b->bits == 1 || b->bits == 2 || b->bits == 4 || b->bits == 8 || b->bits == 24;
    int maskable = b->bits == 16 || b->bits == 32;
    if (!(compression == 0 ? plain || maskable : compression == 1 ? b->bits == 8
          : compression == 2 ? b->bits == 4 : masked && maskable))
        return sal__fail(ctx, SAL_ERR_UNSUPPORTED, "%s: a BMP file of %d bits a pixel and "
                         "compression %.0f, which is not read here: convert it to PNG", name,
                         b->bits, (double)compression);
    b->entry = core ? 3 : 4;
    b->colours = b->bits > 8 ? 0 : 1u << b->bits;
    if (header >= 40 && sal__u32_le(p + 46)) b->colours = SAL__MIN(b->colours, sal__u32_le(p + 46));
    if (at > size || end > size)
        return sal__fail(ctx, SAL_ERR_FORMAT, truncated, name, (double)size);
    if (at > end) b->colours = SAL__MIN(b->colours, (uint32_t)(at - end) / b->entry);
    b->colours = (uint32_t)SAL__MIN(b->colours, (size - end) / b->entry);
    b->palette = p + end;
    b->pixels = p + at; b->end = p + size;
    double row = ((double)b->w * b->bits + 7) / 8, pitch = ceil((double)b->w * b->bits / 32) * 4;
    if (!b->rle && at + pitch * (fabs((double)b->h) - 1) + floor(row) > (double)size)
        return sal__fail(ctx, SAL_ERR_FORMAT, truncated, name, (double)size);
    return SAL_OK;
}

/* A colour of the palette; those that it lacks are black. */
static void sal__bmp_colour(const sal__bmp *b, unsigned index, unsigned char *rgba) {
    for (int c = 0; c < 3; c++)
        rgba[c] = index < b->colours ? b->palette[index * b->entry + 2 - c] : 0;
    rgba[3] = 255;
}

/* Run lengths: (n, v) is n pixels of value v; (0, n) with n > 2 is followed by n values; (0, 0)
   ends a row, (0, 1) the picture; (0, 2) moves to the right and to later rows by the next two
   bytes. Returns 0 if the file ends too early. */
static int sal__bmp_runs(const sal__bmp *b, int h, unsigned char *rgba) {
    const unsigned char *p = b->pixels;
    int x = 0, y = 0;
    while (b->end - p >= 2) {
        int n = p[0], v = p[1], same = n > 0;
        p += 2;
        if (!same && v == 0) { x = 0; y = SAL__MIN(y + 1, h); continue; }
        if (!same && v == 1) return 1;
        if (!same && v == 2) {
            if (b->end - p < 2) return 0;
            x = SAL__MIN(x + p[0], b->w); y = SAL__MIN(y + p[1], h); p += 2;
            continue;
        }
        int bytes = same ? 0 : b->bits == 8 ? v : (v + 1) / 2;
        if (!same) n = v;
        if (b->end - p < bytes) return 0;
        n = SAL__MIN(n, b->w - x);              /* pixels outside the picture are dropped */
        for (int k = 0; k < n && y < h; k++) {
            int value = same ? v : b->bits == 8 ? p[k] : p[k / 2];
            if (b->bits == 4) value = k % 2 ? value & 15 : value >> 4;
            sal__bmp_colour(b, (unsigned)value, rgba + ((size_t)y * b->w + x + k) * 4);
        }
        x += n;
        p += bytes + bytes % 2;
    }
    return y >= h - (x >= b->w);
}

static sal_result sal__bmp_load(sal_ctx *ctx, const unsigned char *p, size_t size, const char *name,
                                sal_image *image) {
    sal__bmp b = SAL__ZEROED;
    unsigned char *rgba, any = 0;
    sal_result r = SAL_OK;
    SAL__TRY(sal__bmp_open(ctx, p, size, name, &b));
    int h = b.h < 0 ? -b.h : b.h, wide = b.bits / 8;
    size_t pixels = (size_t)b.w * h, pitch = ((size_t)b.w * b.bits + 31) / 32 * 4;
    SAL__TRY_NEW(rgba, ctx, unsigned char, pixels * 4);
    for (size_t i = 0; b.rle && i < pixels; i++) sal__bmp_colour(&b, 0, rgba + i * 4);
    any = (unsigned char)b.rle;
    if (b.rle && !sal__bmp_runs(&b, h, rgba))
        r = sal__fail(ctx, SAL_ERR_FORMAT, "%s: a truncated BMP file (%.0f bytes)", name,
                      (double)size);
    for (int y = 0; !b.rle && y < h; y++)
        for (int x = 0; x < b.w; x++) {
            const unsigned char *row = b.pixels + y * pitch;
            unsigned char *to = rgba + ((size_t)y * b.w + x) * 4;
            if (b.bits <= 8) {
                size_t bit = (size_t)x * b.bits;
                int index = row[bit / 8] >> (8 - b.bits - bit % 8);
                sal__bmp_colour(&b, (unsigned)index & ((1u << b.bits) - 1), to);
            } else if (b.bits == 24) {
                for (int c = 0; c < 3; c++) to[c] = row[3 * x + 2 - c];
                to[3] = 255;
            } else {
                uint32_t v = (uint32_t)sal__uint(row + (size_t)x * wide, wide, 0);
                for (int c = 0; c < 4; c++) {
                    uint32_t m = b.mask[c];
                    to[c] = m ? (unsigned char)((v & m) * 255.0 / m + 0.5) : c == 3 ? 255 : 0;
                }
            }
            any |= to[3];
        }
    for (size_t i = 0; !any && i < pixels; i++) rgba[i * 4 + 3] = 255;      /* unused bits */
    ptrdiff_t row = (ptrdiff_t)b.w * 4;
    if (r == SAL_OK)
        r = sal__image_from(ctx, b.h > 0 ? rgba + (h - 1) * row : rgba, b.w, h,
                            b.h > 0 ? -row : row, SAL_PIXELS_RGBA, 1, image);
    sal_free(ctx, rgba);
    return r;
}

#ifdef SALIENCY_NO_STB
static sal_result sal__stb_load(sal_ctx *ctx, const unsigned char *p, size_t size, const char *name,
                                sal_image *image) {
    return sal__fail(ctx, SAL_ERR_UNSUPPORTED, "%s: JPEG and PNG are not built in "
                     "(SALIENCY_NO_STB); convert it to BMP, PPM or PGM", name);
}
#else
static uint32_t sal__adler32(const unsigned char *p, size_t n) {    /* RFC 1950 */
    uint32_t a = 1, b = 0;                  /* two sums modulo 65521 */
    for (size_t i = 0; i < n; i++) {
        a += p[i]; b += a;
        if (i % 5552 == 5551) { a %= 65521; b %= 65521; }       /* before b overflows */
    }
    return (b % 65521) << 16 | a % 65521;
}

static uint32_t sal__crc32(const unsigned char *p, size_t n) {      /* four bits at a time */
    static const uint32_t table[16] = {
        0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158,
        0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4,
        0xA00AE278, 0xBDBDF21C
    };
    uint32_t crc = 0xFFFFFFFFu;
    for (; n; n--) {
        crc ^= *p++;
        crc = table[crc & 15] ^ crc >> 4;
        crc = table[crc & 15] ^ crc >> 4;
    }
    return ~crc;
}

/* What a JPEG or PNG file has beside the pixels. */
typedef struct sal__about {
    int turn;                   /* EXIF orientation, 0: none was found */
    int apple;                  /* a PNG as Xcode writes it: BGRA, premultiplied */
    unsigned char *profile;
    size_t profile_size;
    unsigned part, parts;       /* of the profile: read so far, announced by the first */
} sal__about;

/* The orientation in EXIF data (a TIFF file): entry 0x112 of its first directory; 0 if absent. */
static int sal__exif_turn(const unsigned char *tiff, size_t size) {
    int big = size > 8 && tiff[0] == 'M';
    size_t first = size > 8 ? (size_t)sal__uint(tiff + 4, 4, big) : size, i, entries;
    if (first > size || size - first < 2) return 0;
    entries = (size_t)sal__uint(tiff + first, 2, big);
    for (i = 0, first += 2; i < entries && size - first >= 12; i++, first += 12) {
        const unsigned char *entry = tiff + first;
        uint64_t turn = sal__uint(entry + 8, entry[big ? 3 : 2] == 4 ? 4 : 2, big);    /* 4: long */
        if (sal__uint(entry, 2, big) == 0x112) return turn >= 1 && turn <= 8 ? (int)turn : 0;
    }
    return 0;
}

/* Keep a profile only if it is for RGB or grey: pixels in CMYK have been converted. */
static void sal__check_profile(sal_ctx *ctx, sal__about *a) {
    const unsigned char *p = a->profile;
    if (p && a->profile_size >= 128 && sal__uint(p, 4, 1) <= a->profile_size &&
        (!memcmp(p + 16, "RGB ", 4) || !memcmp(p + 16, "GRAY", 4))) return;
    sal_free(ctx, a->profile);
    a->profile = NULL; a->profile_size = 0;
}

static unsigned sal__byte(const unsigned char *p, size_t size, size_t at) {
    return at < size ? p[at] : 0;
}

/* A part of the colour profile, in a segment APP2 (ICC.1, annex B.4): parts count from 1 on and
   stand in order. length: bytes of the segment behind its length field. */
static sal_result sal__jpeg_profile(sal_ctx *ctx, const unsigned char *data, size_t length,
                                    sal__about *a) {
    unsigned part, parts;
    if (length <= 14 || memcmp(data, "ICC_PROFILE", 12)) return SAL_OK;
    part = data[12]; parts = data[13];
    if (part == 1 && !a->profile) {
        SAL__TRY_NEW(a->profile, ctx, unsigned char, parts * (size_t)65519);
        a->parts = parts;
    }
    if (part != a->part + 1 || part > a->parts || parts != a->parts) return SAL_OK;
    memcpy(a->profile + a->profile_size, data + 14, length - 14);
    a->profile_size += length - 14;
    a->part = part;
    return SAL_OK;
}

/* The Huffman tables from `at` to `end` (class and number, 16 counts, codes) become known: bits 0
   to 3 DC, 4 to 7 AC. Returns 0 if one has more than 256 codes. */
static int sal__jpeg_tables(const unsigned char *p, size_t size, size_t at, size_t end,
                            unsigned *known) {
    while (at < end) {
        unsigned codes = 0, table = sal__byte(p, size, at);
        for (int i = 1; i <= 16; i++) codes += sal__byte(p, size, at + i);
        if (codes > 256) return 0;
        *known |= 1u << ((table >> 4 & 1) * 4 + (table & 3));
        at += 17 + codes;
    }
    return 1;
}

/* 1 if the Huffman tables that the scan header at `at` names are known. The header has a count,
   then a component and its tables, that many times, then first and last coefficient, then bits. A
   progressive scan needs tables of DC or of AC; one that refines DC needs none. */
static int sal__jpeg_scan(const unsigned char *p, size_t size, size_t at, int progressive,
                          unsigned known) {
    unsigned count = sal__byte(p, size, at), need = 0;
    unsigned first = sal__byte(p, size, at + 1 + 2 * count);
    unsigned bits = sal__byte(p, size, at + 3 + 2 * count);
    for (unsigned i = 0; i < count; i++) {
        unsigned tables = sal__byte(p, size, at + 2 + 2 * i);
        if (!progressive || (first == 0 && bits >> 4 == 0)) need |= 1u << (tables >> 4 & 3);
        if (!progressive || first > 0) need |= 16u << (tables & 3);
    }
    return !(need & ~known);
}

/* All segments of a JPEG file, in the order in which stb_image reads them. Before 2.28 it writes
   beyond its tables when a file defines a Huffman table of more than 256 codes, and reads outside
   them when a scan names a table that was never defined: both are refused. */
static sal_result sal__jpeg_walk(sal_ctx *ctx, const unsigned char *p, size_t size,
                                 const char *name, sal__about *a) {
    size_t at = 2, end, length;
    unsigned known = 0, frame = 0, inks = 0, adobe = 0;
    while (at + 4 <= size) {
        unsigned type = p[at + 1];
        int sound = 1;
        if (p[at] != 0xFF || type == 0 || type == 0xFF || (type >= 0xD0 && type <= 0xD8)) {
            at++;                               /* padding, or data of a scan */
            continue;
        }
        if (type == 0xD9) break;
        end = at + 2 + ((size_t)p[at + 2] << 8 | p[at + 3]);
        length = SAL__MIN(end, size) - SAL__MIN(at + 4, SAL__MIN(end, size));
        if (type > 0xC2 && type <= 0xCF && type != 0xC4 && type != 0xC8)
            return sal__fail(ctx, SAL_ERR_UNSUPPORTED, "%s: a JPEG picture with %s, which is "
                             "not read here: convert it to an ordinary JPEG or PNG first", name,
                             type >= 0xC9 ? "arithmetic coding" : type == 0xC3 ?
                             "lossless coding" : "hierarchical coding");
        if (type >= 0xC0 && type <= 0xC2 && !frame) {
            frame = type;
            inks = sal__byte(p, size, at + 9) == 4;
        }
        if (type == 0xEE && length >= 12 && !memcmp(p + at + 4, "Adobe", 6)) adobe = 1;
        if (type == 0xDA && inks && !adobe)     /* stb would take the first three for YCbCr */
            return sal__fail(ctx, SAL_ERR_UNSUPPORTED, "%s: a JPEG picture of four colours without "
                             "Adobe's marker that says which: convert it to PNG first", name);
        if (type == 0xE1 && !a->turn && length > 6 && !memcmp(p + at + 4, "Exif\0", 6))
            a->turn = sal__exif_turn(p + at + 10, length - 6);
        if (type == 0xE2) SAL__TRY(sal__jpeg_profile(ctx, p + at + 4, length, a));
        if (type == 0xC4) sound = sal__jpeg_tables(p, size, at + 4, end, &known);
        if (type == 0xDA) sound = sal__jpeg_scan(p, size, at + 4, frame == 0xC2, known);
        if (!sound)
            return sal__fail(ctx, SAL_ERR_FORMAT, "%s: a damaged JPEG file: a Huffman table is "
                             "missing, or has more than 256 codes", name);
        at = end;
    }
    return SAL_OK;
}

/* All chunks of a PNG file, with their checksums, which stb_image does not verify. A damaged chunk
   that is not needed for the pixels is ignored. */
static sal_result sal__png_walk(sal_ctx *ctx, const unsigned char *p, size_t size,
                                const char *name, sal__about *a) {
    size_t at = 8, length;
    for (; size - at >= 12; at += 12 + length) {
        const unsigned char *type = p + at + 4, *data = p + at + 8;
        length = (size_t)sal__uint(p + at, 4, 1);
        if (length > size - at - 12) break;
        if (sal__uint(data + length, 4, 1) != sal__crc32(type, length + 4)) {
            if (!(type[0] & 32) || !memcmp(type, "tRNS", 4))
                return sal__fail(ctx, SAL_ERR_FORMAT, "%s: a damaged PNG file: the checksum of "
                                 "chunk %.4s at byte %.0f is wrong", name, (const char *)type,
                                 (double)at);
        } else if (!memcmp(type, "IEND", 4)) return SAL_OK;
        else if (!memcmp(type, "CgBI", 4)) a->apple = 1;
        else if (!memcmp(type, "eXIf", 4)) a->turn = sal__exif_turn(data, length);
        else if (!memcmp(type, "iCCP", 4) && !a->profile && length <= 1 << 20) {
            size_t skip = 0;            /* a name, a zero byte, the kind of compression */
            while (skip < length && data[skip]) skip++;
            skip = SAL__MIN(skip + 2, length);
            if (sal_inflate(ctx, data + skip, length - skip, name, &a->profile,
                            &a->profile_size) == SAL_ERR_MEMORY) return SAL_ERR_MEMORY;
        }
    }
    return sal__fail(ctx, SAL_ERR_FORMAT, "%s: a truncated PNG file (%.0f bytes)", name,
                     (double)size);
}

/* Everything but the pixels: orientation, profile, and the size of the picture as stored (0 x 0 if
   the header is damaged: the decoder will say how). The caller frees the profile. */
static sal_result sal__stb_open(sal_ctx *ctx, const unsigned char *p, size_t size, const char *name,
                                sal__about *a, int *w, int *h) {
    int n;
    *w = *h = 0;
    if (size > INT_MAX)
        return sal__fail(ctx, SAL_ERR_UNSUPPORTED, "%s: %.0f bytes, pictures may have at most %d",
                         name, (double)size, INT_MAX);
    SAL__TRY((p[0] == 0xFF ? sal__jpeg_walk : sal__png_walk)(ctx, p, size, name, a));
    sal__check_profile(ctx, a);
    if (ctx->as_stored || !a->turn) a->turn = 1;
    if (!stbi_info_from_memory(p, (int)size, w, h, &n)) { *w = *h = 0; return SAL_OK; }
    return sal__check_size(ctx, name, *w, *h);
}

/* 1 if stb failed for want of memory. It does not always say so: then its reason is left over from
   an earlier failure, and one that a file with the right first bytes cannot have. */
static int sal__stb_lacks_memory(const char *why) {
    return why && (!strcmp(why, "outofmem") || !strcmp(why, "unknown image type") ||
                   !strcmp(why, "no SOI"));
}

/* 1 if the program has told stb_image to turn pictures upside down: a picture of two rows, 0 and
   255, is then decoded as 255, 0. -1: no memory. A copy of stb without PNG counts as 0. */
static int sal__stb_flips(void) {
    static const unsigned char file[] =
        "\x89PNG\r\n\x1A\n\0\0\0\15IHDR\0\0\0\1\0\0\0\2\10\0\0\0\0CRC:"
        "\0\0\0\17IDATx\1\1\4\0\xFB\xFF\0\0\0\xFFSUM:CRC:\0\0\0\0IEND";
    int w, h, n, flips;
    unsigned char *two = stbi_load_from_memory(file, sizeof file, &w, &h, &n, 1);
    if (two) flips = two[0] > two[1];
    else flips = stbi_info_from_memory(file, sizeof file, &w, &h, &n) ? -1 : 0;
    stbi_image_free(two);
    return flips;
}

static sal_result sal__cannot_decode(sal_ctx *ctx, const char *name) {
    return sal__fail(ctx, SAL_ERR_MEMORY, "%s: not enough memory to decode it", name);
}

static sal_result sal__stb_load(sal_ctx *ctx, const unsigned char *p, size_t size, const char *name,
                                sal_image *image) {
    static const sal_pixels formats[5] = { SAL_PIXELS_GREY, SAL_PIXELS_GREY, SAL_PIXELS_GREY_ALPHA,
                                           SAL_PIXELS_RGB, SAL_PIXELS_RGBA };
    sal__about a = SAL__ZEROED;
    unsigned char *decoded = NULL;
    int w, h, n = 0, flips = 0, known;
    sal_result r = sal__stb_open(ctx, p, size, name, &a, &w, &h);
    known = w > 0;
    if (r == SAL_OK) decoded = stbi_load_from_memory(p, (int)size, &w, &h, &n, 0);
    if (r == SAL_OK && !decoded) {
        const char *why = stbi_failure_reason();
        if (why && !strcmp(why, "bad png sig")) why = NULL;     /* from trying: this is a JPEG */
        if (known && sal__stb_lacks_memory(why)) r = sal__cannot_decode(ctx, name);
        else
            r = sal__fail(ctx, SAL_ERR_FORMAT, "%s: damaged, truncated or of an unknown variant; "
                          "it cannot be decoded%s%s", name, why && *why ? ": " : "",
                          why ? why : "");
    }
    if (r == SAL_OK) r = sal__check_size(ctx, name, w, h);
    if (r == SAL_OK && (flips = sal__stb_flips()) < 0) r = sal__cannot_decode(ctx, name);
    if (r == SAL_OK) {
        sal_pixels format = formats[n];
        if (a.apple && n >= 3) format = n == 3 ? SAL_PIXELS_BGR : SAL_PIXELS_BGRA;
        for (size_t i = 0; a.apple && n == 4 && i < (size_t)w * h; i++)
            for (unsigned char *c = decoded + i * 4, *end = c + 3; c < end; c++)
                *c = *end ? (unsigned char)SAL__MIN((*c * 255 + *end / 2) / *end, 255) : 0;
        ptrdiff_t row = (ptrdiff_t)w * n;
        r = sal__image_from(ctx, flips ? decoded + (h - 1) * row : decoded, w, h,
                            flips ? -row : row, format, a.turn, image);
    }
    if (r == SAL_OK) {
        image->profile = a.profile;
        image->profile_size = a.profile_size;
        image->turned = a.turn > 1 ? a.turn : 0;
    } else sal_free(ctx, a.profile);
    stbi_image_free(decoded);
    return r;
}
#endif

SALDEF sal_result sal_inflate(sal_ctx *ctx, const void *stream, size_t size, const char *name,
                              unsigned char **data, size_t *unpacked) {
    *data = NULL; *unpacked = 0;
#ifdef SALIENCY_NO_STB
    return sal__fail(ctx, SAL_ERR_UNSUPPORTED, "%s: has zlib streams, which need stb_image, and "
                     "this program was built without it", name);
#else
    const unsigned char *p = (const unsigned char *)stream;
    int n = 0, right = 0, none = stbi_info_from_memory(p, 0, &n, &n, &n);   /* sets a reason */
    char *bytes = size < 8 || size > INT_MAX ? NULL
                : stbi_zlib_decode_malloc_guesssize((const char *)p, (int)size, 1 << 16, &n);
    uint32_t sum = bytes ? sal__adler32((const unsigned char *)bytes, (size_t)n) : 0;
    /* stb does not check the sum at the end */
    for (size_t i = 4; bytes && i <= SAL__MIN(size, 11); i++)
        right |= sal__uint(p + size - i, 4, 1) == sum;
    if (right) *data = SAL__NEW(ctx, unsigned char, n);
    if (*data) memcpy(*data, bytes, (size_t)n);
    *unpacked = *data ? (size_t)n : 0;
    if (!none && !bytes && size >= 8 && size <= INT_MAX &&
            sal__stb_lacks_memory(stbi_failure_reason()))
        return sal__fail(ctx, SAL_ERR_MEMORY, "%s: not enough memory to unpack it", name);
    stbi_image_free(bytes);
    if (!right)
        return sal__fail(ctx, SAL_ERR_FORMAT, "%s: damaged: a compressed part does not unpack to "
                         "what was packed", name);
    return *data ? SAL_OK : SAL_ERR_MEMORY;
#endif
}

SALDEF sal_result sal_image_load_memory(sal_ctx *ctx, const void *bytes, size_t size,
                                        const char *name, sal_image *image) {
    const unsigned char *p = (const unsigned char *)bytes;
    int pnm = size > 2 && p[0] == 'P' && (p[1] == '5' || p[1] == '6') && p[2] <= ' ';
    int bmp = size > 18 && !memcmp(p, "BM", 2) && sal__u32_le(p + 14) >= 12 &&
              sal__u32_le(p + 14) <= 124;
    int stb = (size > 2 && !memcmp(p, "\xFF\xD8\xFF", 3)) ||
              (size > 7 && !memcmp(p, "\x89PNG\r\n\x1A\n", 8));
    memset(image, 0, sizeof *image);
    if (size == 0) return sal__fail(ctx, SAL_ERR_FORMAT, "%s: is empty (0 bytes)", name);
    if (!pnm && !bmp && !stb) {
        const char *kind = sal_file_kind(p, size);
        int seen = strstr(kind, "picture") || strstr(kind, "drawing") || strstr(kind, "document") ||
                   strstr(kind, "Photoshop") || strstr(kind, "icon");
        return sal__fail(ctx, SAL_ERR_FORMAT, "%s: %s%s", name, kind, seen ? ", which is not read "
                         "here; convert it to PNG or JPEG first" : ": pictures are JPEG, PNG, BMP, "
                         "PPM or PGM files");
    }
    return (pnm ? sal__pnm_load : bmp ? sal__bmp_load : sal__stb_load)(ctx, p, size, name, image);
}

/* The largest value; 0 if none is positive. NaN is ignored. */
static float sal__positive_max(const float *data, size_t n) {
    float most = 0;
    for (size_t i = 0; i < n; i++) if (data[i] > most) most = data[i];
    return most;
}

/* Divide by the maximum, which is returned; negative values and NaN become 0. */
static float sal__map_normalise(sal_map *map) {
    size_t n = (size_t)map->w * map->h;
    float top = sal__positive_max(map->data, n);
    for (size_t i = 0; i < n; i++)
        map->data[i] = map->data[i] > 0 ? SAL__MIN(map->data[i] / top, 1.0f) : 0;
    return top;
}

/* Multiplies the map by the opacity: transparent pixels cannot be seen. */
static void sal__map_hide(const sal_image *image, sal_map *map) {
    for (int y = 0; image->rgba && y < map->h; y++) {
        size_t row = (size_t)((y + 0.5) * image->h / map->h) * image->w;
        for (int x = 0; x < map->w; x++) {
            size_t at = row + (size_t)((x + 0.5) * image->w / map->w);
            map->data[(size_t)y * map->w + x] *= image->rgba[at * 4 + 3] / 255.0f;
        }
    }
    sal__map_normalise(map);
}

/* value / most * 255, rounded, from 0 to 255. */
static unsigned char sal__level(float value, float most) {
    return (unsigned char)(value > 0 ? SAL__MIN(value / most, 1.0f) * 255 + 0.5f : 0);
}

/* --- NumPy's array files -----------------------------------------------------------------

   "\x93NUMPY", major and minor version, length of the header (2 bytes, from version 2 on 4), the
   header, and the numbers. The header is a Python literal, its keys in any order:
   {'descr': '<f4', 'fortran_order': False, 'shape': (h, w), } */

static double sal__f64_from_bits(uint64_t bits) { double d; memcpy(&d, &bits, 8); return d; }

typedef struct sal__literal {
    const unsigned char *at, *end;
    char text[32];
} sal__literal;

/* The next token: 's' for a string and 'w' for a name or a number, with (the first 31 characters
   of) their text, else the character itself; 0 at the end. */
static int sal__token(sal__literal *t) {
    int quote, n = 0;
    while (t->at < t->end && (*t->at == ' ' || (*t->at >= 9 && *t->at <= 13))) t->at++;
    if (t->end - t->at > 1 && (*t->at == 'u' || *t->at == 'b') &&
        (t->at[1] == '\'' || t->at[1] == '"')) t->at++;         /* u'<f4' of Python 2 */
    if (t->at == t->end) return 0;
    quote = *t->at == '\'' || *t->at == '"' ? *t->at++ : 0;
    for (; t->at < t->end; t->at++) {
        int c = *t->at, word = (c | 32) >= 'a' && (c | 32) <= 'z';
        if (quote ? c == quote : !word && c != '_' && (c < '0' || c > '9')) break;
        if (n < (int)sizeof t->text - 1) t->text[n++] = (char)c;
    }
    t->text[n] = 0;
    if (!quote) return n ? 'w' : *t->at++;
    if (t->at == t->end) return 0;          /* not closed */
    t->at++;
    return 's';
}

typedef struct sal__npy {
    char type[32];              /* as '<f4': byte order, kind, bytes of a number */
    int fortran, dims;
    double dim[64];             /* NumPy's limit */
} sal__npy;

/* (6, 10): whole numbers, Python 2's 6L among them. */
static int sal__npy_shape(sal__literal *t, sal__npy *a) {
    int token = sal__token(t) == '(' ? sal__token(t) : 0;
    for (a->dims = 0; token == 'w' && a->dims < SAL__COUNT(a->dim); a->dims++) {
        const char *c = t->text;
        double value = 0;
        for (; *c >= '0' && *c <= '9'; c++) value = value * 10 + (*c - '0');
        if (c == t->text || (*c && strcmp(c, "L"))) return 0;
        a->dim[a->dims] = value;
        token = sal__token(t);
        if (token == ',') token = sal__token(t); else if (token != ')') return 0;
    }
    return token == ')';
}

/* The dictionary; a type that is not a string (a record) stays "". Returns 0 if it is damaged. */
static int sal__npy_header(sal__literal *t, sal__npy *a) {
    int token = sal__token(t) == '{' ? sal__token(t) : 0, known = 0;
    while (token == 's') {
        int key = !strcmp(t->text, "descr") ? 1 : !strcmp(t->text, "fortran_order") ? 2
                : !strcmp(t->text, "shape") ? 4 : 0;
        if (!key || sal__token(t) != ':') return 0;
        known |= key;
        if (key == 4) {
            if (!sal__npy_shape(t, a)) return 0;
        } else {
            token = sal__token(t);
            if (key == 1 && token == '[') return 1;
            if (token != (key == 1 ? 's' : 'w')) return 0;
            if (key == 1) memcpy(a->type, t->text, sizeof a->type);
            else a->fortran = !strcmp(t->text, "True");
        }
        token = sal__token(t);
        if (token == ',') token = sal__token(t); else if (token != '}') return 0;
    }
    return token == '}' && known == 7;
}

/* A number of `wide` bytes; kind: b boolean, u unsigned, i signed, f floating point. */
static float sal__npy_number(const unsigned char *p, int kind, int wide, int big) {
    uint64_t bits = sal__uint(p, wide, big), sign = (uint64_t)1 << (8 * wide - 1);
    if (kind == 'b') return bits != 0;
    if (kind == 'u') return (float)bits;
    if (kind == 'i') return bits & sign ? -(float)(2 * sign - bits) : (float)bits;
    return wide == 2 ? sal_f16_to_f32((uint16_t)bits)
         : wide == 4 ? sal__f32_from_bits((uint32_t)bits) : (float)sal__f64_from_bits(bits);
}

/* Byte order, kind and bytes of a number, from text like '<f4'; 0 if it cannot be read here. */
static int sal__npy_type(const char *type, int *order, int *kind, int *wide) {
    *order = *type && strchr("<>=|", *type) ? *type++ : '<';
    *kind = *type;
    *wide = *kind && type[1] > '0' && type[1] <= '8' && !type[2] ? type[1] - '0' : 0;
    int power = *wide == 1 || *wide == 2 || *wide == 4 || *wide == 8;
    return (*kind == 'b' && *wide == 1) || (*kind == 'f' && power && *wide > 1) ||
           ((*kind == 'i' || *kind == 'u') && power);
}

/* Height and width; dimensions of length 1 (a batch, a channel) are dropped. */
static sal_result sal__npy_size(sal_ctx *ctx, const char *name, sal__npy *a, int *w, int *h) {
    int wanted = 0, n = a->dims;
    for (int i = 0; i < a->dims; i++)
        if (a->dim[i] != 1 || n <= 2) a->dim[wanted++] = a->dim[i];
        else n--;
    if (wanted != 2)
        return sal__fail(ctx, SAL_ERR_SHAPE, "%s: a %d-dimensional array%s; a map has two "
                         "dimensions, height and width", name, a->dims, a->dims > 2 ?
                         ", more than two of them longer than 1" : "");
    SAL__TRY(sal__check_size(ctx, name, a->dim[1], a->dim[0]));
    *w = (int)a->dim[1];
    *h = (int)a->dim[0];
    return SAL_OK;
}

SALDEF sal_result sal_map_load_npy_memory(sal_ctx *ctx, const void *bytes, size_t size,
                                          const char *name, sal_map *map) {
    const unsigned char *p = (const unsigned char *)bytes;
    sal__npy a = SAL__ZEROED;
    int order, kind, wide, w = 0, h = 0;
    memset(map, 0, sizeof *map);
    if (size < 12 || memcmp(p, "\x93NUMPY", 6) || p[6] < 1 || p[6] > 3)
        return sal__fail(ctx, SAL_ERR_FORMAT, "%s: is not a NumPy .npy file but %s", name,
                         size < 12 || p[0] == 0x93 ? "cut off, or of another version" :
                         sal_file_kind(p, size));
    size_t start = p[6] == 1 ? 10 : 12, length = (size_t)sal__uint(p + 8, p[6] == 1 ? 2 : 4, 0);
    if (length > size - start)
        return sal__fail(ctx, SAL_ERR_FORMAT, "%s: truncated in its header", name);
    sal__literal text = { p + start, p + start + length, "" };
    if (!sal__npy_header(&text, &a))
        return sal__fail(ctx, SAL_ERR_FORMAT, "%s: damaged: its header is not the dictionary of "
                         "descr, fortran_order and shape that NumPy writes", name);
    p += start + length; size -= start + length;
    if (!sal__npy_type(a.type, &order, &kind, &wide))
        return sal__fail(ctx, SAL_ERR_UNSUPPORTED, "%s: %s%s, not real numbers of up to 8 bytes; "
                         "save it with .astype('float32')", name, *a.type ? "values of type " :
                         "records of several fields", a.type);
    SAL__TRY(sal__npy_size(ctx, name, &a, &w, &h));
    if (size / (size_t)wide / (size_t)w < (size_t)h)
        return sal__fail(ctx, SAL_ERR_FORMAT, "%s: truncated: %d x %d values of %d bytes, but %.0f "
                         "bytes behind the header", name, h, w, wide, (double)size);
    SAL__TRY(sal_map_new(ctx, w, h, map));
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++, p += wide) {    /* in Fortran order columns come first */
            size_t i = (size_t)y * w + x, to = a.fortran ? i % h * w + i / h : i;
            map->data[to] = sal__npy_number(p, kind, wide, order == '>');
        }
    return SAL_OK;
}

/* One colour of a picture from 0 to 1 (channel 0 1 2: R G B, 3: the largest of them, 4: the luma of
   ITU-R BT.601), resized to ow x oh. */
static sal_result sal__channel(sal_ctx *ctx, const sal_image *image, int channel, int ow, int oh,
                               sal_filter filter, float *out) {
    size_t n = (size_t)image->w * image->h;
    int same = ow == image->w && oh == image->h;
    float *plane = same ? out : SAL__NEW(ctx, float, n);
    sal_result r = SAL_OK;
    if (!plane) return SAL_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        const unsigned char *p = image->data + i * 3;
        if (channel < 3) plane[i] = p[channel] / 255.0f;
        else if (channel == 3) plane[i] = SAL__MAX(SAL__MAX(p[0], p[1]), p[2]) / 255.0f;
        else plane[i] = (float)(299 * p[0] + 587 * p[1] + 114 * p[2]) / 255000.0f;
    }
    if (!same) {
        r = sal_resize(ctx, out, ow, oh, plane, image->w, image->h, 1, filter);
        sal_free(ctx, plane);
    }
    return r;
}

/* --- files ------------------------------------------------------------------------------- */
#ifndef SALIENCY_NO_STDIO

/* The function that reads a whole file and passes its bytes to NAME_memory. */
#define SAL__LOADER(NAME, T) \
    SALDEF sal_result NAME(sal_ctx *ctx, const char *path, T *out) { \
        unsigned char *bytes; \
        size_t size; \
        sal_result r; \
        memset(out, 0, sizeof *out); \
        SAL__TRY(sal_file_read(ctx, path, &bytes, &size)); \
        r = NAME##_memory(ctx, bytes, size, path, out); \
        sal_free(ctx, bytes); \
        return r; \
    }
SAL__LOADER(sal_image_load, sal_image)

SALDEF sal_result sal_image_size(sal_ctx *ctx, const char *path, int *w, int *h) {
    sal_image image;
    unsigned char *bytes;
    size_t size;
    sal_result r;
    SAL__TRY(sal_file_read(ctx, path, &bytes, &size));
#ifndef SALIENCY_NO_STB
    if (size > 14 && (bytes[0] == 0xFF || bytes[0] == 0x89)) {      /* without the pixels */
        sal__about a = SAL__ZEROED;
        r = sal__stb_open(ctx, bytes, size, path, &a, w, h);
        sal_free(ctx, a.profile);
        if (a.turn > 4) { int side = *w; *w = *h; *h = side; }
        if (r == SAL_OK && *w) { sal_free(ctx, bytes); return r; }
    }
#endif
    r = sal_image_load_memory(ctx, bytes, size, path, &image);
    sal_free(ctx, bytes);
    *w = image.w; *h = image.h;
    sal_image_free(ctx, &image);
    return r;
}

SAL__LOADER(sal_map_load_npy, sal_map)

#ifndef SALIENCY_NO_STB
static void sal__put_u32_be(unsigned char *p, uint32_t v) {
    for (int i = 0; i < 4; i++) p[i] = (unsigned char)(v >> (24 - 8 * i));
}

/* The profile as a chunk iCCP (PNG, chapter 11.3.3.3), in stored blocks of deflate, or as segments
   APP2 of a JPEG file (ICC.1, annex B.4). */
static void sal__put_profile(sal__bytes *b, int png, unsigned char *profile, size_t size) {
    unsigned char head[18] = "\0\0\0\0iCCPICC\0\0\x78\x01", tail[4];
    const size_t most = png ? 65535 : 65519, start = b->size;
    if (png) sal__bytes_add(b, head, 15);
    else memcpy(head, "\xFF\xE2\0\0ICC_PROFILE", 16);
    head[17] = (unsigned char)((size + most - 1) / most);
    for (size_t at = 0, n; at < size; at += n) {
        n = SAL__MIN(size - at, most);
        if (png) {
            unsigned char block[5] = { at + n == size, (unsigned char)n, (unsigned char)(n >> 8),
                                       (unsigned char)~n, (unsigned char)(~n >> 8) };
            sal__bytes_add(b, block, 5);
        } else {
            head[2] = (unsigned char)((n + 16) >> 8); head[3] = (unsigned char)(n + 16);
            head[16]++;
            sal__bytes_add(b, head, 18);
        }
        sal__bytes_add(b, profile + at, (int)n);
    }
    if (!png) return;
    sal__put_u32_be(tail, sal__adler32(profile, size));
    sal__bytes_add(b, tail, 4);
    if (b->failed) return;
    sal__put_u32_be(b->data + start, (uint32_t)(b->size - start - 8));
    sal__put_u32_be(tail, sal__crc32(b->data + start + 4, b->size - start - 4));
    sal__bytes_add(b, tail, 4);
}
#endif

/* 8-bit samples, 1, 3 or 4 channels, in the format of the name's extension; profile may be NULL. */
static sal_result sal__save_pixels(sal_ctx *ctx, const char *path, int w, int h, int channels,
                                   const unsigned char *data, unsigned char *profile, size_t size) {
#ifdef SALIENCY_NO_STB
    return sal__fail(ctx, SAL_ERR_UNSUPPORTED, "%s: writing pictures is not built in "
                     "(SALIENCY_NO_STB)", path);
#else
    sal__bytes b = SAL__ZEROED, file = SAL__ZEROED;
    sal_result r;
    int png = sal__has_extension(path, ".png"), begin = png ? 33 : 20;     /* IHDR, JFIF */
    int done, flips;
    if (!png && !sal__has_extension(path, SAL__JPEGS))
        return sal__fail(ctx, SAL_ERR_UNSUPPORTED, "%s: pictures are written as .png, .jpg or "
                         ".jpeg", path);
    if (!png && (w > 65535 || h > 65535))
        return sal__fail(ctx, SAL_ERR_UNSUPPORTED, "%s: %d x %d pixels, a JPEG side has at most "
                         "65535; use .png", path, w, h);
    b.ctx = file.ctx = ctx;
    /* A program may have told stb to turn pictures upside down: a BMP's last row is the first. */
    stbi_write_bmp_to_func(sal__bytes_add, &b, 1, 2, 1, "\0\1");
    flips = b.size == 62 && b.data[54] == 0;
    b.size = 0;
    if (flips) stbi_flip_vertically_on_write(0);
    done = png ? stbi_write_png_to_func(sal__bytes_add, &b, w, h, channels, data, w * channels)
               : stbi_write_jpg_to_func(sal__bytes_add, &b, w, h, channels, data, 95);
    if (flips) stbi_flip_vertically_on_write(1);
    if (done && !b.failed && profile && size <= 255 * 65519) {
        sal__bytes_add(&file, b.data, begin);
        sal__put_profile(&file, png, profile, size);
        sal__bytes_add(&file, b.data + begin, (int)b.size - begin);
        sal_free(ctx, b.data);
        b = file;
    }
    if (!done || b.failed)
        r = sal__fail(ctx, SAL_ERR_MEMORY, "%s: not enough memory to encode it", path);
    else
        r = sal_file_write(ctx, path, b.data, b.size);
    sal_free(ctx, b.data);
    return r;
#endif
}

SALDEF sal_result sal_image_save(sal_ctx *ctx, const char *path, const sal_image *image) {
    int clear = image->rgba && sal__has_extension(path, ".png"), in = clear ? 4 : 3, out = in - 2;
    const unsigned char *data = clear ? image->rgba : image->data;
    unsigned char *grey, *profile = image->profile;
    int of_grey = profile && image->profile_size >= 128 && !memcmp(profile + 16, "GRAY", 4);
    SAL__TRY(sal__check_size(ctx, path, image->w, image->h));
    size_t n = (size_t)image->w * image->h;
    /* a profile is for RGB or for grey */
    if (!sal__is_grey(data, in, n) || (profile && !of_grey))
        return sal__save_pixels(ctx, path, image->w, image->h, in, data, of_grey ? NULL : profile,
                                image->profile_size);
    SAL__TRY_NEW(grey, ctx, unsigned char, n * out);
    for (size_t i = 0; i < n; i++) memcpy(grey + i * out, data + i * in + 2, out);
    sal_result r = sal__save_pixels(ctx, path, image->w, image->h, out, grey, profile,
                                    image->profile_size);
    sal_free(ctx, grey);
    return r;
}

#ifndef SALIENCY_NO_STB
/* Replaces the 256 levels in map by all 65536 of a 16-bit PNG. To be turned upright, the two bytes
   of a level travel as the red and green of a picture. */
static sal_result sal__map_deepen(sal_ctx *ctx, const char *name, const unsigned char *file,
                                  size_t size, int turned, sal_map *map) {
    int w, h, n, flips = sal__stb_flips();
    sal_image image = SAL__ZEROED;
    uint16_t *level = (uint16_t *)stbi_load_16_from_memory(file, (int)size, &w, &h, &n, 1);
    size_t count = level ? (size_t)w * h : 0;
    unsigned char *pair = count && flips >= 0 ? SAL__NEW(ctx, unsigned char, 3 * count) : NULL;
    sal_result r = pair ? SAL_OK : sal__cannot_decode(ctx, name);
    for (size_t i = 0; pair && i < count; i++) {
        pair[3 * i] = (unsigned char)(level[i] >> 8);
        pair[3 * i + 1] = (unsigned char)(level[i] & 255);
    }
    if (r == SAL_OK)
        r = sal__image_from(ctx, flips ? pair + (size_t)(h - 1) * w * 3 : pair, w, h,
                            (ptrdiff_t)w * (flips ? -3 : 3), SAL_PIXELS_RGB, turned ? turned : 1,
                            &image);
    for (size_t i = 0; r == SAL_OK && i < count; i++)
        map->data[i] = (float)(image.data[3 * i] * 256 + image.data[3 * i + 1]) / 65535;
    sal_image_free(ctx, &image);
    sal_free(ctx, pair);
    stbi_image_free(level);
    return r;
}
#endif

/* The same of a PGM file with more than 256 levels, which has been read without an error. */
static void sal__map_deepen_pgm(const unsigned char *p, size_t size, sal_map *map) {
    size_t at = 2, n = (size_t)map->w * map->h;
    sal__pnm_number(p, size, &at);
    sal__pnm_number(p, size, &at);
    long most = sal__pnm_number(p, size, &at);
    p += at + 1;
    for (size_t i = 0; most > 255 && i < n; i++, p += 2)
        map->data[i] = (float)SAL__MIN(p[0] * 256L + p[1], most) / (float)most;
}

SALDEF sal_result sal_map_load_image(sal_ctx *ctx, const char *path, sal_map *map) {
    sal_image image;
    unsigned char *file;
    size_t size;
    int most = 0;
    memset(map, 0, sizeof *map);
    SAL__TRY(sal_file_read(ctx, path, &file, &size));
    sal_result r = sal_image_load_memory(ctx, file, size, path, &image);
    for (size_t i = 0; r == SAL_OK && i < (size_t)image.w * image.h; i++) {
        const unsigned char *p = image.data + 3 * i;
        most = SAL__MAX(most, SAL__MAX(abs(p[0] - p[1]), abs(p[1] - p[2])));
    }
    if (most > 32)                              /* JPEG's rounding does not make so much */
        r = sal__fail(ctx, SAL_ERR_FORMAT, "%s: is in colours; a saliency map is grey", path);
    if (r == SAL_OK) r = sal_map_new(ctx, image.w, image.h, map);
    if (r == SAL_OK) r = sal__channel(ctx, &image, 4, image.w, image.h, SAL_FILTER_AREA, map->data);
#ifndef SALIENCY_NO_STB
    if (r == SAL_OK && size > 25 && file[0] == 0x89 && file[24] == 16 && !image.rgba)
        r = sal__map_deepen(ctx, path, file, size, image.turned, map);
#endif
    if (r == SAL_OK && size > 2 && file[0] == 'P' && file[1] == '5')
        sal__map_deepen_pgm(file, size, map);
    if (r != SAL_OK) sal_map_free(ctx, map);
    sal_image_free(ctx, &image);
    sal_free(ctx, file);
    return r;
}

SALDEF sal_result sal_map_save_png(sal_ctx *ctx, const char *path, const sal_map *map) {
    size_t n = (size_t)map->w * map->h;
    float most = sal__positive_max(map->data, n);
    unsigned char *levels;
    if (!sal__has_extension(path, ".png"))
        return sal__fail(ctx, SAL_ERR_UNSUPPORTED, "%s: a map becomes a .png here; as .npy it is "
                         "saved by sal_map_save_npy (predict --npy)", path);
    SAL__TRY(sal__check_size(ctx, path, map->w, map->h));
    SAL__TRY(sal__check_finite(ctx, map));
    SAL__TRY_NEW(levels, ctx, unsigned char, n);
    for (size_t i = 0; i < n; i++) levels[i] = sal__level(map->data[i], most);
    sal_result r = sal__save_pixels(ctx, path, map->w, map->h, 1, levels, NULL, 0);
    sal_free(ctx, levels);
    return r;
}

SALDEF sal_result sal_map_save_npy(sal_ctx *ctx, const char *path, const sal_map *map) {
    enum { START = 128 };       /* NumPy wants a multiple of 64 */
    size_t n = (size_t)map->w * map->h;
    unsigned char *file;
    if (!sal__has_extension(path, ".npy"))
        return sal__fail(ctx, SAL_ERR_UNSUPPORTED, "%s: a name for NumPy ends in .npy", path);
    SAL__TRY(sal__check_size(ctx, path, map->w, map->h));
    SAL__TRY_NEW(file, ctx, unsigned char, START + n * 4);
    memset(file, ' ', START);
    memcpy(file, "\x93NUMPY\x01\x00\x76\x00", 10);      /* version 1.0, 118 bytes of header */
    int length = snprintf((char *)file + 10, START - 10, "{'descr': '<f4', 'fortran_order': False, "
                          "'shape': (%d, %d), }", map->h, map->w);
    file[10 + length] = ' ';
    file[START - 1] = '\n';
    memcpy(file + START, map->data, n * 4);
    sal__file_order(file + START, n, 4);
    sal_result r = sal_file_write(ctx, path, file, START + n * 4);
    sal_free(ctx, file);
    return r;
}
#endif /* SALIENCY_NO_STDIO */

/* --- colours -----------------------------------------------------------------------------

   A path through CIE L*a*b* (D65): lightness 5 + 90 t, hue angle 285 + 180 t degrees, chroma
   280 t (1 - t). It stays inside sRGB, and steps of t are alike to 6 % in Euclidean distance. */

static double sal__lab_inverse(double f) {      /* CIE 15:2004, eq. 8.4 ff. backwards */
    return f > 6 / 29.0 ? f * f * f : 3 * (6 / 29.0) * (6 / 29.0) * (f - 4 / 29.0);
}

SALDEF void sal_colormap(float t, unsigned char rgb[3]) {
    static const double from_xyz[3][3] = {      /* IEC 61966-2-1, linear light */
        { 3.2404542, -1.5371385, -0.4985314 }, { -0.9692660, 1.8760108, 0.0415560 },
        { 0.0556434, -0.2040259, 1.0572252 }
    };
    double u = sal__clamp(t, 0, 1), chroma = 280 * u * (1 - u);
    double hue = (285 + 180 * u) * SAL__PI / 180;
    double fy = (5 + 90 * u + 16) / 116;
    double x = 0.95047 * sal__lab_inverse(fy + chroma * cos(hue) / 500);
    double y = sal__lab_inverse(fy);
    double z = 1.08883 * sal__lab_inverse(fy - chroma * sin(hue) / 200);
    for (int c = 0; c < 3; c++) {
        double v = from_xyz[c][0] * x + from_xyz[c][1] * y + from_xyz[c][2] * z;
        v = v <= 0.0031308 ? 12.92 * v : 1.055 * pow(v, 1 / 2.4) - 0.055;
        rgb[c] = (unsigned char)sal__to_int(v * 255 + 0.5, 0, 255);
    }
}

SALDEF sal_result sal_overlay(sal_ctx *ctx, const sal_image *image, const sal_map *map,
                              float opacity, sal_image *out) {
    unsigned char colours[256][3];
    int w = image->w, h = image->h;
    size_t n = (size_t)w * h;
    float a = opacity > 0 ? SAL__MIN(opacity, 1.0f) : 0;
    SAL__TRY(sal__check_finite(ctx, map));
    SAL__TRY(sal_image_new(ctx, w, h, out));
    float *fit = SAL__NEW(ctx, float, n);
    sal_result r = fit ? sal_resize(ctx, fit, w, h, map->data, map->w, map->h, 1, SAL_FILTER_LINEAR)
                       : SAL_ERR_MEMORY;
    float most = r == SAL_OK ? sal__positive_max(fit, n) : 0;
    for (int k = 0; k < 256; k++) sal_colormap((float)k / 255, colours[k]);
    for (size_t i = 0; r == SAL_OK && i < n; i++) {
        const unsigned char *from = image->data + i * 3;
        const unsigned char *colour = colours[sal__level(fit[i], most)];
        for (int k = 0; k < 3; k++)
            out->data[i * 3 + k] = (unsigned char)(from[k] * (1 - a) + colour[k] * a + 0.5f);
    }
    if (r != SAL_OK) sal_image_free(ctx, out);
    sal_free(ctx, fit);
    return r;
}

/* ============================================================================================
   >>classical  models without weights: centre, spectral residual, Itti, GBVS, BMS
   ========================================================================================== */

/* Minimum to 0, maximum to 1. What differs by less than `least` counts as constant and becomes
   `otherwise` everywhere. */
static void sal__scale(float *data, size_t n, float least, float otherwise) {
    float low = data[0], high = data[0];
    for (size_t i = 1; i < n; i++) {
        if (data[i] < low) low = data[i];
        if (data[i] > high) high = data[i];
    }
    int constant = high - low < least || high == low;
    for (size_t i = 0; i < n; i++)
        data[i] = constant ? otherwise : (data[i] - low) / (high - low);
}

/* The outer `border` pixels (less in small maps) fade linearly to zero: 1/(b+1), 2/(b+1), ... */
static void sal__fade(float *data, int w, int h, int border) {
    int b = SAL__MIN(border, SAL__MIN(w, h) / 2);
    for (int y = 0; y < h; y++) {
        int ky = SAL__MIN(SAL__MIN(y, h - 1 - y) + 1, b + 1);
        for (int x = 0; x < w; x++) {
            int kx = SAL__MIN(SAL__MIN(x, w - 1 - x) + 1, b + 1);
            *data++ *= (float)(ky * kx) / (float)((b + 1) * (b + 1));
        }
    }
}

/* --- centre prior ------------------------------------------------------------------------ */

#define SAL__CENTER 0.21f       /* its sx and sy in the models */

SALDEF void sal_center_prior(float *out, int w, int h, double sx, double sy) {
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            double dx = (x - (w - 1) / 2.0) / (sx * w), dy = (y - (h - 1) / 2.0) / (sy * h);
            *out++ = (float)exp(-0.5 * (dx * dx + dy * dy));
        }
}

/* --- spectral residual -------------------------------------------------------------------

   X. Hou, L. Zhang, "Saliency detection: a spectral residual approach", CVPR 2007. The log
   amplitude spectra of all pictures look alike and are smooth; what sticks out of the smooth
   curve, put back with its phase, is what sticks out of the picture (eqs. 5 to 9). */

enum { SAL__DFT = 64 };

/* The discrete Fourier transform along each row, written transposed, so that twice is the
   transform of the plane; sign -1 forwards, 1 backwards (times 64). */
static void sal__dft_rows(double (*out)[SAL__DFT][2], double (*in)[SAL__DFT][2], int sign) {
    double wave[SAL__DFT][2];
    for (int k = 0; k < SAL__DFT; k++) {
        double angle = 2 * SAL__PI * k / (int)SAL__DFT;
        wave[k][0] = cos(angle);
        wave[k][1] = sign * sin(angle);
    }
    for (int y = 0; y < SAL__DFT; y++)
        for (int k = 0; k < SAL__DFT; k++) {
            double re = 0, im = 0;
            for (int x = 0; x < SAL__DFT; x++) {
                const double *a = in[y][x], *b = wave[x * k % SAL__DFT];
                re += a[0] * b[0] - a[1] * b[1];
                im += a[0] * b[1] + a[1] * b[0];
            }
            out[k][y][0] = re;
            out[k][y][1] = im;
        }
}

/* The 8-bit luma of a picture at n x n points, each interpolated between its four neighbours. */
static void sal__sample(float *out, const sal_image *image, int n) {
    for (int y = 0; y < n; y++) {
        sal__tap v = sal__tap_at((y + 0.5) * image->h / n - 0.5, image->h);
        for (int x = 0; x < n; x++) {
            sal__tap u = sal__tap_at((x + 0.5) * image->w / n - 0.5, image->w);
            double luma = 0;
            for (int c = 0; c < 4; c++) {
                size_t row = c >> 1 ? v.high : v.low, column = c & 1 ? u.high : u.low;
                const unsigned char *p = image->data + (row * image->w + column) * 3;
                luma += (299 * p[0] + 587 * p[1] + 114 * p[2] + 500) / 1000 / 255.0 *
                        (c & 1 ? u.t : 1 - u.t) * (c >> 1 ? v.t : 1 - v.t);
            }
            *out++ = (float)luma;
        }
    }
}

static sal_result sal__spectral(sal_ctx *ctx, sal__arena *arena, const sal_image *image,
                                sal_map *map) {
    enum { N = SAL__DFT };
    typedef double plane[N][2];
    plane *a, *b;
    double *spectrum, (*flat)[2];
    SAL__TRY_PUT(a, ctx, arena, plane, N);
    SAL__TRY_PUT(b, ctx, arena, plane, N);
    SAL__TRY_PUT(spectrum, ctx, arena, double, N * N);
    SAL__TRY(sal__map_put(ctx, arena, N, N, map));
    sal__sample(map->data, image, N);
    flat = a[0];
    for (int i = 0; i < N * N; i++) flat[i][0] = map->data[i];
    sal__dft_rows(b, a, -1);
    sal__dft_rows(a, b, -1);
    /* below 1e-6 there is no amplitude, only rounding */
    for (int i = 0; i < N * N; i++)
        spectrum[i] = log(SAL__MAX(hypot(flat[i][0], flat[i][1]), 1e-6));
    for (int y = 0; y < N; y++)
        for (int x = 0; x < N; x++) {
            double mean = 0, factor;    /* of the 3 x 3 neighbours, edges repeated */
            for (int j = -1; j <= 1; j++)
                for (int i = -1; i <= 1; i++)
                    mean += spectrum[sal__to_int(y + j, 0, N - 1) * N +
                                     sal__to_int(x + i, 0, N - 1)] / 9;
            /* exp(residual) with the phase of a: a / |a| * exp(log |a| - mean) */
            factor = exp(-mean);
            a[y][x][0] *= factor; a[y][x][1] *= factor;
        }
    sal__dft_rows(b, a, 1);
    sal__dft_rows(a, b, 1);
    for (int i = 0; i < N * N; i++)
        map->data[i] = (float)(hypot(flat[i][0], flat[i][1]) / (N * N));
    /* as OpenCV: the paper squares first, and blurs with sigma 2.5 */
    SAL__TRY(sal_blur(ctx, map->data, map->data, N, N, 8, 0.25, SAL_BORDER_REFLECT));
    for (int i = 0; i < N * N; i++) map->data[i] *= map->data[i];
    return SAL_OK;
}

/* --- features of Itti and GBVS -----------------------------------------------------------

   A pyramid of the picture and, at its levels 2, 3, ... (level k is halved k times), one map for
   each feature: colour, intensity, and the energy of Gabor filters in four orientations. */

enum { SAL__TYPES = 8, SAL__LEVELS = 6 };

typedef struct sal__features {
    int types;
    int channel[SAL__TYPES];        /* 0 colour, 1 intensity, 2 orientation */
    sal_map map[SAL__TYPES][SAL__LEVELS];
} sal__features;

/* Colour after Derrington, Krauskopf and Lennie (J. Physiol. 357, 1984): a luminance, a red-green
   and a blue-yellow axis, on the cone responses L, M, S of a measured monitor. The toolbox looks
   the light of each gun up in a table of 256 measured values; the polynomial is fitted to them (a
   power law errs by 0.11, it by 0.03, which takes the maps' correlation from 0.996 to 0.9997). */
static void sal__dkl(float *lum, float *rg, float *by, const float *r, const float *g,
                     const float *b, size_t n) {
    static const double dark[3] = { 0.0249, 0.0077, 0.0423 };
    static const double cones[3][3] = {
        { 18.32535, 44.60077, 7.46216 }, { 4.09544, 28.20135, 6.66066 },
        { 0.02114, 0.10325, 1.05258 }
    };
    static const double grey[3] = { 34.918539, 19.314797, 0.585611 };   /* the adapting L, M, S */
    const float *plane[3];
    double light[3][256], d[3], f = 1 / (grey[0] + grey[1]);
    plane[0] = r; plane[1] = g; plane[2] = b;
    for (int c = 0; c < 3; c++)
        for (int k = 0; k < 256; k++) {
            double x = k / 255.0, x3 = x * x * x;
            light[c][k] = dark[c] + (1 - dark[c]) * x3 * (2.915 + x3 * (5.251 * x - 7.166));
        }
    for (size_t i = 0; i < n; i++) {
        double at[3];
        for (int c = 0; c < 3; c++)         /* entry ceil(255 x) of a table that starts at 1 */
            at[c] = light[c][sal__to_int(ceil(plane[c][i] * 255) - 1, 0, 255)];
        for (int c = 0; c < 3; c++)
            d[c] = cones[c][0] * at[0] + cones[c][1] * at[1] + cones[c][2] * at[2] - grey[c];
        lum[i] = (float)(0.5774 * sqrt(3.0) * f * (d[0] + d[1]));
        rg[i] = (float)(2.7525 * f * sqrt(grey[0] * grey[0] + grey[1] * grey[1]) *
                        (d[0] / grey[0] - d[1] / grey[1]));
        by[i] = (float)(0.4526 * f * ((grey[0] + grey[1]) / grey[2] * d[2] - d[0] - d[1]));
    }
}

/* Itti's colours, |B - min(R, G)| / I and |R - G| / I; 0 where it is black. */
static void sal__opponents(float *by, float *rg, const float *r, const float *g, const float *b,
                           const float *intensity, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float v = intensity[i];
        by[i] = v > 0 ? (float)fabs(b[i] - SAL__MIN(r[i], g[i])) / v : 0;
        rg[i] = v > 0 ? (float)fabs(r[i] - g[i]) / v : 0;
    }
}

/* out[i] += sum over k of tap[reach + k] * in[i + k * step], for i in begin..end-1 and up to 15
   more: sixteen sums run side by side. With step 1 this filters rows, with the width columns, with
   width + 1 and width - 1 the diagonals. */
static void sal__line_filter(float *out, const float *in, ptrdiff_t begin, ptrdiff_t end,
                             const float *tap, int reach, ptrdiff_t step) {
    enum { SIDE = 16 };
    for (ptrdiff_t i = begin; i < end; i += SIDE) {
        const float *p = in + i - reach * step;
        float sum[SIDE];
        for (int l = 0; l < SIDE; l++) sum[l] = 0;
        for (int k = 0; k <= 2 * reach; k++, p += step) {
            float t = tap[k];
            for (int l = 0; l < SIDE; l++) sum[l] += t * p[l];
        }
        for (int l = 0; l < SIDE; l++) out[i + l] += sum[l];
    }
}

/* Gabor filters: 27 x 27 (ALONG pixels each way), a Gaussian with standard deviation 4 along the
   stripes and 2 across, times cos or sin of 2 v (a period of pi pixels); mean removed, unit L2
   norm. exp(-u^2/32) exp(-v^2/8) cos(2v) is a product of a function of u, along, and one of v,
   across, so it is applied one axis at a time (ACROSS pixels suffice for v). On the diagonals u
   and v step by sqrt(2), and half of the pixels lie half a step off in both: a second round. */
enum { SAL__ALONG = 13, SAL__ACROSS = 10, SAL__PAD = SAL__ALONG + SAL__ACROSS + 1 };

typedef struct sal__gabor {
    int w, h;               /* of the padded plane */
    const float *in;        /* the plane with its borders repeated PAD pixels outwards */
    const float *sum;       /* its sums over 27 x 27 pixels */
    float *scratch;         /* [worker][3][plane] */
    size_t plane;
    sal_map *out[4];        /* for 0, 45, 90 and 135 degrees */
} sal__gabor;

/* |even response| + |odd response| in one orientation. */
static void sal__gabor_task(void *arg, int orientation, int worker) {
    const sal__gabor *g = (const sal__gabor *)arg;
    const sal_map *out = g->out[orientation];
    const ptrdiff_t w = g->w, h = g->h;
    const ptrdiff_t along[4] = { 1, w + 1, w, 1 - w }, across[4] = { w, 1 - w, 1, w + 1 };
    const int diagonal = orientation & 1, x0[4] = { 1, 1, 0, 1 }, y0[4] = { 0, 1, 1, -1 };
    float *between = g->scratch + (size_t)worker * 3 * g->plane;
    float *even = between + g->plane, *odd = even + g->plane;
    float taps[2 * SAL__ALONG + 1], waves[2][2 * SAL__ACROSS + 1];
    double unit = diagonal ? sqrt(2.0) : 1, total = 0, square[2] = { 0, 0 }, mean, scale[2];
    double sum_u, sum_v, u, v, gauss;
    int k;
    memset(even, 0, 2 * g->plane * sizeof(float));
    for (int half = 0; half <= diagonal; half++) {
        for (sum_u = 0, k = -SAL__ALONG; k <= SAL__ALONG; k++) {
            u = unit * (k + 0.5 * half);
            sum_u += taps[k + SAL__ALONG] = (float)exp(-u * u / 32);
        }
        for (sum_v = 0, k = -SAL__ACROSS; k <= SAL__ACROSS; k++) {
            v = unit * (k + 0.5 * half);
            sum_v += waves[0][k + SAL__ACROSS] = (float)(exp(-v * v / 8) * cos(2 * v));
            waves[1][k + SAL__ACROSS] = (float)(exp(-v * v / 8) * sin(2 * v));
        }
        total += sum_u * sum_v;
        memset(between, 0, g->plane * sizeof(float));
        sal__line_filter(between, g->in + half, (SAL__ALONG + 1) * w, (h - SAL__ALONG - 1) * w,
                         taps, SAL__ALONG, along[orientation]);
        sal__line_filter(even, between, SAL__PAD * w + SAL__PAD, (h - SAL__PAD) * w - SAL__PAD,
                         waves[0], SAL__ACROSS, across[orientation]);
        sal__line_filter(odd, between, SAL__PAD * w + SAL__PAD, (h - SAL__PAD) * w - SAL__PAD,
                         waves[1], SAL__ACROSS, across[orientation]);
    }
    mean = total / ((2 * SAL__ALONG + 1) * (2 * SAL__ALONG + 1));
    for (int y = -SAL__ALONG; y <= SAL__ALONG; y++)
        for (int x = -SAL__ALONG; x <= SAL__ALONG; x++) {
            u = (x * x0[orientation] + y * y0[orientation]) / unit;
            v = (x * y0[orientation] - y * x0[orientation]) / unit;
            gauss = exp(-u * u / 32 - v * v / 8);
            square[0] += (gauss * cos(2 * v) - mean) * (gauss * cos(2 * v) - mean);
            square[1] += gauss * sin(2 * v) * gauss * sin(2 * v);
        }
    scale[0] = 1 / sqrt(square[0]);
    scale[1] = 1 / sqrt(square[1]);
    for (int y = 0; y < out->h; y++) {
        size_t from = (size_t)(y + SAL__PAD) * (size_t)w + SAL__PAD;
        float *to = out->data + (size_t)y * out->w;
        for (int x = 0; x < out->w; x++, from++)
            to[x] = (float)(fabs(even[from] - mean * g->sum[from]) * scale[0] +
                            fabs(odd[from]) * scale[1]);
    }
    sal__fade(out->data, out->w, out->h, SAL__ALONG);
}

/* The four orientation maps of an intensity plane. */
static sal_result sal__orientations(sal_ctx *ctx, const sal_map *in, sal_map *const out[4]) {
    sal__gabor g;
    float *padded, ones[2 * SAL__ALONG + 1];
    g.w = in->w + 2 * SAL__PAD; g.h = in->h + 2 * SAL__PAD;
    g.plane = (size_t)g.w * g.h + 64;       /* sal__line_filter writes a little further */
    SAL__TRY_NEW(padded, ctx, float, g.plane * 3 * (1 + (size_t)sal_threads(ctx)));
    float *rows = padded + g.plane, *sums = rows + g.plane;
    g.scratch = sums + g.plane;
    for (int y = 0; y < g.h; y++)
        for (int x = 0; x < g.w; x++)
            padded[(size_t)y * g.w + x] =
                in->data[(size_t)sal__to_int(y - SAL__PAD, 0, in->h - 1) * (size_t)in->w +
                         (size_t)sal__to_int(x - SAL__PAD, 0, in->w - 1)];
    for (int k = 0; k < SAL__COUNT(ones); k++) ones[k] = 1;
    ptrdiff_t area = (ptrdiff_t)g.w * g.h, margin = (ptrdiff_t)g.w * SAL__PAD;
    sal__line_filter(rows, padded, SAL__ALONG, area - SAL__PAD, ones, SAL__ALONG, 1);
    sal__line_filter(sums, rows, margin, area - margin, ones, SAL__ALONG, g.w);
    g.in = padded; g.sum = sums;
    for (int k = 0; k < 4; k++) g.out[k] = out[k];
    sal_parallel_for(ctx, 4, sal__gabor_task, &g);
    sal_free(ctx, padded);
    return SAL_OK;
}

/* Half the size by the filter 1 5 10 10 5 1 / 32, centred between the two pixels it merges. */
static sal_result sal__halve(sal_ctx *ctx, sal__arena *arena, const sal_map *in, sal_map *out) {
    int by = in->w <= 10 || in->h <= 10 ? 1 : 2;    /* 1: not reduced any further */
    SAL__TRY(sal__map_put(ctx, arena, in->w / by, in->h / by, out));
    return sal_resize(ctx, out->data, out->w, out->h, in->data, in->w, in->h, 1, SAL__HALF);
}

/* A shorter side under 128 is enlarged to 128, unless that takes the longer one beyond 4096. */
static void sal__working_size(const sal_image *image, int *w, int *h) {
    double shorter = SAL__MIN(image->w, image->h), longer = SAL__MAX(image->w, image->h);
    double grow = SAL__MAX(1, SAL__MIN(128 / shorter, 4096 / longer));
    *w = (int)(image->w * grow + 0.5);
    *h = (int)(image->h * grow + 0.5);
}

/* Levels 2 to last of one colour (see sal__channel) into out[2..last]. */
static sal_result sal__pyramid(sal_ctx *ctx, sal__arena *arena, const sal_image *image, int channel,
                               int last, sal_map out[SAL__LEVELS]) {
    sal__arena large = { NULL };        /* released here */
    sal_map whole, one;
    int w, h;
    sal__working_size(image, &w, &h);
    sal_result r = sal__map_put(ctx, &large, w, h, &whole);
    if (r == SAL_OK) r = sal__channel(ctx, image, channel, w, h, SAL_FILTER_CUBIC, whole.data);
    if (r == SAL_OK) r = sal__halve(ctx, &large, &whole, &one);
    for (int k = 2; k <= last && r == SAL_OK; k++)
        r = sal__halve(ctx, arena, k == 2 ? &one : &out[k - 1], &out[k]);
    sal__arena_free(ctx, &large);
    return r;
}

/* All features. dkl: the colours of Derrington et al. (3 maps), else those of Itti et al. (2). */
static sal_result sal__features_new(sal_ctx *ctx, sal__arena *arena, const sal_image *image,
                                    int dkl, int last, sal__features *f) {
    sal_map gun[3][SAL__LEVELS];
    int colours = sal__is_grey(image->data, 3, (size_t)image->w * image->h) ? 0 : 2 + dkl;
    sal_map *intensity = f->map[colours];
    memset(gun, 0, sizeof gun);
    f->types = colours + 5;
    for (int t = 0; t < f->types; t++) f->channel[t] = (t >= colours) + (t > colours);
    SAL__TRY(sal__pyramid(ctx, arena, image, 3, last, intensity));
    for (int c = 0; c < 3 && colours; c++)
        SAL__TRY(sal__pyramid(ctx, arena, image, c, last, gun[c]));
    for (int k = 2; k <= last; k++) {
        int w = intensity[k].w, h = intensity[k].h;
        sal_map *oriented[4];
        for (int t = 0; t < f->types; t++)
            if (t != colours) SAL__TRY(sal__map_put(ctx, arena, w, h, &f->map[t][k]));
        for (int t = 0; t < 4; t++) oriented[t] = &f->map[colours + 1 + t][k];
        SAL__TRY(sal__orientations(ctx, &intensity[k], oriented));
        if (colours == 3)
            sal__dkl(f->map[0][k].data, f->map[1][k].data, f->map[2][k].data, gun[0][k].data,
                     gun[1][k].data, gun[2][k].data, (size_t)w * h);
        else if (colours == 2)
            sal__opponents(f->map[0][k].data, f->map[1][k].data, gun[0][k].data, gun[1][k].data,
                           gun[2][k].data, intensity[k].data, (size_t)w * h);
    }
    return SAL_OK;
}

/* --- Itti, Koch and Niebur ---------------------------------------------------------------

   L. Itti, C. Koch, E. Niebur, "A model of saliency-based visual attention for rapid scene
   analysis", IEEE PAMI 20(11), 1998, with the settings of J. Harel's GBVS toolbox: centre levels 2
   and 3, surrounds two levels coarser, squared differences. */

/* N(.) of the paper: maps with few strong peaks are promoted, maps with many alike suppressed. */
static void sal__promote(float *a, int w, int h) {
    double sum = 0, mean, factor;
    size_t n = (size_t)w * h;
    int peaks = 0;
    sal__scale(a, n, 1e-10f, 0);
    for (size_t i = 0; i < n; i++) a[i] *= 10;
    for (int y = 1; y < h - 1; y++)
        for (int x = 1; x < w - 1; x++) {
            const float *p = a + (size_t)y * w + x;
            if (*p >= 1 && *p >= p[-1] && *p >= p[1] && *p >= p[-w] && *p >= p[w]) {
                sum += *p;
                peaks++;
            }
        }
    mean = peaks > 1 ? sum / peaks : 0;         /* of the others, if there are others */
    factor = peaks ? (10 - mean) * (10 - mean) : 1;
    for (size_t i = 0; i < n; i++) a[i] = (float)(a[i] * factor);
}

/* The sum of the feature maps by channel, each promoted, and promoted again, into map. */
static sal_result sal__itti_sum(sal_ctx *ctx, const sal__features *f, float *surround, float *part,
                                sal_map *map) {
    size_t n = (size_t)map->w * map->h;
    float *sum = part + n;
    for (int t = 0; t < f->types; t++) {
        if (t == 0 || f->channel[t] != f->channel[t - 1]) memset(sum, 0, n * sizeof(float));
        for (int c = 2; c <= 3; c++) {
            const sal_map *fine = &f->map[t][c], *coarse = &f->map[t][c + 2];
            size_t size = (size_t)fine->w * fine->h;
            SAL__TRY(sal_resize(ctx, surround, fine->w, fine->h, coarse->data, coarse->w, coarse->h,
                                1, SAL_FILTER_CUBIC));
            for (size_t k = 0; k < size; k++)
                surround[k] = (fine->data[k] - surround[k]) * (fine->data[k] - surround[k]);
            SAL__TRY(sal_resize(ctx, part, map->w, map->h, surround, fine->w, fine->h, 1,
                                SAL_FILTER_CUBIC));
            sal__promote(part, map->w, map->h);
            for (size_t i = 0; i < n; i++) sum[i] += part[i];
        }
        if (t + 1 == f->types || f->channel[t] != f->channel[t + 1]) {
            sal__promote(sum, map->w, map->h);
            for (size_t i = 0; i < n; i++) map->data[i] += sum[i];
        }
    }
    return SAL_OK;
}

static sal_result sal__itti(sal_ctx *ctx, sal__arena *arena, const sal_image *image,
                            sal_map *map) {
    sal__features f;
    float *scratch;
    int w, h;
    SAL__TRY(sal__features_new(ctx, arena, image, 0, 5, &f));
    sal__working_size(image, &w, &h);
    double longer = SAL__MAX(w, h);
    double scale = floor(longer / 8 + 0.5) / longer;       /* an eighth of the picture */
    w = (int)SAL__MAX(1, w * scale + 0.5); h = (int)SAL__MAX(1, h * scale + 0.5);
    SAL__TRY(sal__map_put(ctx, arena, w, h, map));
    size_t fine = (size_t)f.map[0][2].w * f.map[0][2].h;
    SAL__TRY_PUT(scratch, ctx, arena, float, fine + 2 * (size_t)w * h);
    SAL__TRY(sal__itti_sum(ctx, &f, scratch, scratch + fine, map));
    sal__fade(map->data, w, h, 4);
    return SAL_OK;
}

/* --- graph-based visual saliency ---------------------------------------------------------

   J. Harel, C. Koch, P. Perona, "Graph-based visual saliency", NIPS 2006. The pixels of a small
   feature map A are the nodes of a complete graph whose edges weigh w(i,j) = |A_i - A_j| *
   exp(-d^2 / 2 s^2), d being their distance; where a random walker on it spends his time is what
   differs from its surroundings.

   The authors find that distribution by power iteration. But w is symmetric, so the walk is
   reversible, and its stationary distribution v is known: proportional to the sum of a node's
   weights, since v_j w(i,j) / sum_k w(k,j) is then symmetric in i and j. One pass over the edges
   does it (and agrees with the power iteration, which stops a little early, to 0.9999). */

enum { SAL__GRID = 32 };        /* nodes along the longer side */

/* out_i = sum over j of w(i, j), scaled to sum 1. */
static void sal__gbvs_activate(float *out, const float *a, int w, int h) {
    double s = 0.15 * (w + h) / 2, total = 0;
    size_t n = (size_t)w * h;
    memset(out, 0, n * sizeof(float));
    for (int dy = 0; dy < h; dy++)          /* each edge once: from p to q, dx right and dy down */
        for (int dx = dy ? 1 - w : 1; dx < w; dx++) {
            float decay = (float)exp(-(dx * dx + dy * dy) / (2 * s * s));
            int x0 = SAL__MAX(0, -dx), x1 = dx > 0 ? w - dx : w;
            for (int y = 0; y < h - dy; y++) {
                const float *p = a + (size_t)y * w, *q = p + dy * w + dx;
                float *out_p = out + (p - a), *out_q = out_p + dy * w + dx;
                for (int x = x0; x < x1; x++) {
                    float weight = decay * (float)fabs(p[x] - q[x]);
                    out_p[x] += weight;
                    out_q[x] += weight;
                }
            }
        }
    for (size_t i = 0; i < n; i++) total += out[i];
    for (size_t i = 0; i < n; i++) out[i] = total > 0 ? (float)(out[i] / total) : 1.0f / (float)n;
}

typedef struct sal__gbvs_job {
    float *in, *out;            /* [map][grid] */
    int w, h;
} sal__gbvs_job;

static void sal__gbvs_task(void *arg, int index, int worker) {
    const sal__gbvs_job *job = (const sal__gbvs_job *)arg;
    size_t n = (size_t)job->w * job->h;
    float *in = job->in + (size_t)index * n, *out = job->out + (size_t)index * n;
    sal__scale(in, n, 1e-5f, 0);
    sal__gbvs_activate(out, in, job->w, job->h);
    /* as the toolbox; the paper gathers what is spread by a second chain */
    for (size_t i = 0; i < n; i++) out[i] = (float)pow(out[i], 1.5);
}

static sal_result sal__gbvs(sal_ctx *ctx, sal__arena *arena, const sal_image *image,
                            sal_map *map) {
    enum { FIRST = 2, LAST = 4, COUNT = LAST - FIRST + 1 };
    sal__features f;
    sal__gbvs_job job;
    int w, h;
    SAL__TRY(sal__features_new(ctx, arena, image, 1, LAST, &f));
    sal__working_size(image, &w, &h);
    double longer = SAL__MAX(w, h);
    job.w = (int)SAL__MAX(1, w * SAL__GRID / longer + 0.5);
    job.h = (int)SAL__MAX(1, h * SAL__GRID / longer + 0.5);
    size_t n = (size_t)job.w * job.h, maps = (size_t)f.types * COUNT;
    SAL__TRY(sal__map_put(ctx, arena, job.w, job.h, map));
    SAL__TRY_PUT(job.in, ctx, arena, float, 2 * maps * n);
    job.out = job.in + maps * n;
    for (int t = 0; t < f.types; t++)
        for (int k = FIRST; k <= LAST; k++)
            SAL__TRY(sal_resize(ctx, job.in + (size_t)(t * COUNT + k - FIRST) * n, job.w, job.h,
                                f.map[t][k].data, f.map[t][k].w, f.map[t][k].h, 1,
                                SAL_FILTER_CUBIC));
    sal_parallel_for(ctx, (int)maps, sal__gbvs_task, &job);
    for (size_t k = 0; k < maps; k++)
        for (size_t i = 0; i < n; i++) map->data[i] += job.out[k * n + i];
    sal__fade(map->data, job.w, job.h, 4);
    return sal_blur(ctx, map->data, map->data, job.w, job.h, 0.02 * (int)SAL__GRID, 2,
                    SAL_BORDER_REPLICATE);
}

/* --- boolean map saliency ----------------------------------------------------------------

   J. Zhang, S. Sclaroff, "Saliency detection: a boolean map approach", ICCV 2013. Threshold a
   picture at all levels: what is surrounded - connected regions that do not touch the border -
   is figure, and the more often a pixel is figure, the more it attracts. */

/* Eigenvectors (columns of v) and eigenvalues (d) of a symmetric 3 x 3 matrix, by Jacobi rotations
   (Golub and Van Loan, "Matrix computations", section 8.5). a is destroyed. */
static void sal__eigen3(double a[3][3], double v[3][3], double d[3]) {
    for (int p = 0; p < 3; p++) for (int q = 0; q < 3; q++) v[p][q] = p == q;
    for (int sweep = 0; sweep < 30; sweep++)
        for (int p = 0; p < 2; p++)
            for (int q = p + 1; q < 3; q++) {
                if (fabs(a[p][q]) < 1e-12) continue;
                double theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
                double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1));
                double c = 1 / sqrt(t * t + 1);
                double s = t * c;
                for (int i = 0; i < 3; i++) {       /* v = v J, a = J' a J */
                    double ip = v[i][p], iq = v[i][q], pi = a[i][p], qi = a[i][q];
                    v[i][p] = c * ip - s * iq; v[i][q] = s * ip + c * iq;
                    a[i][p] = c * pi - s * qi; a[i][q] = s * pi + c * qi;
                }
                for (int i = 0; i < 3; i++) {
                    double pi = a[p][i], qi = a[q][i];
                    a[p][i] = c * pi - s * qi; a[q][i] = s * pi + c * qi;
                }
            }
    for (int p = 0; p < 3; p++) d[p] = a[p][p];
}

/* R, G, B from 0 to 255 to CIE L*a*b* (D65) in 8 bits: 255 L / 100, a + 128, b + 128. */
static void sal__lab8(float lab[3], const float rgb[3]) {
    static const double to_xyz[3][3] = {    /* rows divided by the white point */
        { 0.433953, 0.376219, 0.189828 }, { 0.212671, 0.715160, 0.072169 },
        { 0.017758, 0.109477, 0.872766 }
    };
    double linear[3], f[3];
    for (int c = 0; c < 3; c++) {
        double v = rgb[c] / 255.0;
        linear[c] = v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
    }
    for (int c = 0; c < 3; c++) {
        double t = to_xyz[c][0] * linear[0] + to_xyz[c][1] * linear[1] + to_xyz[c][2] * linear[2];
        f[c] = t > 216 / 24389.0 ? cbrt(t) : (841 / 108.0) * t + 4 / 29.0;
    }
    lab[0] = (float)floor((116 * f[1] - 16) * 2.55 + 0.5);
    lab[1] = (float)floor(500 * (f[0] - f[1]) + 128.5);
    lab[2] = (float)floor(200 * (f[1] - f[2]) + 128.5);
}

/* The pixels (n, 3) along the principal axes of their colours, each scaled by its deviation; 50 is
   added to all variances so that noise in a dull picture stays noise. */
static void sal__whiten(float *pixels, size_t n) {
    double mean[3] = { 0, 0, 0 }, cov[3][3], axis[3][3], variance[3];
    int b;
    for (size_t i = 0; i < n; i++) for (int a = 0; a < 3; a++) mean[a] += pixels[i * 3 + (size_t)a];
    for (int a = 0; a < 3; a++) mean[a] /= (double)n;
    memset(cov, 0, sizeof cov);
    for (size_t i = 0; i < n; i++) {
        const float *p = pixels + i * 3;
        for (int a = 0; a < 3; a++)
            for (b = 0; b <= a; b++) cov[a][b] += (p[a] - mean[a]) * (p[b] - mean[b]);
    }
    for (int a = 0; a < 3; a++)
        for (b = 0; b <= a; b++) cov[b][a] = cov[a][b] = cov[a][b] / (double)n + (a == b ? 50 : 0);
    sal__eigen3(cov, axis, variance);
    for (size_t i = 0; i < n; i++) {
        float *p = pixels + i * 3, old[3];
        memcpy(old, p, sizeof old);
        for (int a = 0; a < 3; a++)
            p[a] = (float)((old[0] * axis[0][a] + old[1] * axis[1][a] + old[2] * axis[2][a]) /
                           sqrt(variance[a]));
    }
}

/* The median of nine: 19 exchanges leave it in the middle (J. L. Smith, "Implementing median
   filters in XC4000E FPGAs", Xcell 23, 1996). */
static unsigned char sal__median9(unsigned char v[9]) {
    static const unsigned char pair[19][2] = {
        { 1, 2 }, { 4, 5 }, { 7, 8 }, { 0, 1 }, { 3, 4 }, { 6, 7 }, { 1, 2 }, { 4, 5 }, { 7, 8 },
        { 0, 3 }, { 5, 8 }, { 4, 7 }, { 3, 6 }, { 1, 4 }, { 2, 5 }, { 4, 7 }, { 4, 2 }, { 6, 4 },
        { 4, 2 }
    };
    for (int i = 0; i < 19; i++) {
        unsigned char a = v[pair[i][0]], b = v[pair[i][1]];
        v[pair[i][0]] = SAL__MIN(a, b);
        v[pair[i][1]] = SAL__MAX(a, b);
    }
    return v[4];
}

/* Connected components, for boolean maps and for crops: regions are trees of segments; a segment is
   pixels of a row side by side. */
typedef struct sal__segment {
    int start, end;
    int left, top, right, bottom;       /* of a root: the region's box */
    struct sal__segment *root;  /* another one of the region, nearer to its root */
} sal__segment;

static void sal__segment_begin(sal__segment *run, int start, int end, int y) {
    sal__segment r = { start, end, start, y, end, y + 1, run };
    *run = r;
}

static sal__segment *sal__segment_root(sal__segment *run) {
    while (run->root != run) run = run->root = run->root->root;
    return run;
}

/* Joins the segments a of a row with those of the next, b, that touch them by a side or, with
   corners 1, by a corner. Both lists end with one of start = w. */
static void sal__segment_rows(sal__segment *a, sal__segment *b, int w, int corners) {
    while (a->start < w && b->start < w) {
        if (SAL__MAX(a->start, b->start) < SAL__MIN(a->end, b->end) + corners) {
            sal__segment *to = sal__segment_root(a), *from = sal__segment_root(b);
            to->left = SAL__MIN(to->left, from->left);
            to->top = SAL__MIN(to->top, from->top);
            to->right = SAL__MAX(to->right, from->right);
            to->bottom = SAL__MAX(to->bottom, from->bottom);
            from->root = to;
        }
        if (a->end < b->end) a++; else b++;
    }
}

typedef struct sal__bms_job {
    int w, h;
    const float *pixels;        /* (h, w, 3), whitened */
    float *sum;                 /* [3][h][w]: the attention of each channel's boolean maps */
    /* scratch for each channel */
    unsigned char *level, *rough;               /* [3][h][w] */
    unsigned char *figure;      /* [3][h * w + 16]: read a little beyond their ends */
    sal__segment *run, **row;   /* [3][2][h * (w / 2 + 2)], [3][2][h] */
} sal__bms_job;

/* Mark the figures of the boolean map level > threshold: 1 for pixels over it, 2 for others, each
   widened by 3 pixels to the left and right. Regions are connected also by corners. run and row
   have a half for pixels that are over, and one for others. */
static void sal__bms_figures(unsigned char *figure, const unsigned char *level, int threshold,
                             int w, int h, sal__segment *run, sal__segment **row) {
    sal__segment *next[2] = { run, run + (size_t)h * (w / 2 + 2) };
    memset(figure, 0, (size_t)w * h);
    for (int y = 0; y < h; y++) {
        const unsigned char *line = level + (size_t)y * w;
        row[y] = next[0];
        row[h + y] = next[1];
        for (int x = 0, start; x < w; ) {
            int under = line[x] <= threshold;
            for (start = x; x < w && (line[x] <= threshold) == under; ) x++;
            sal__segment_begin(next[under]++, start, x, y);
        }
        for (int under = 0; under < 2; under++) {
            sal__segment_begin(next[under]++, w, w, y);
            if (y > 0) sal__segment_rows(row[under * h + y - 1], row[under * h + y], w, 1);
        }
    }
    for (int k = 0; k < 2 * h; k++)
        for (sal__segment *r = row[k]; r->start < w; r++) {
            const sal__segment *all = sal__segment_root(r);
            int end = SAL__MIN(w, r->end + 3);
            if (!all->left || !all->top || all->right == w || all->bottom == h) continue;
            for (int x = SAL__MAX(0, r->start - 3); x < end; x++)
                figure[(size_t)(k % h) * w + x] |= (unsigned char)(1 + k / h);
        }
}

/* All boolean maps of one whitened channel. */
static void sal__bms_task(void *arg, int channel, int worker) {
    enum { SIDE = 16 };         /* pixels that are handled side by side */
    const sal__bms_job *job = (const sal__bms_job *)arg;
    int w = job->w, h = job->h, low = 255, high = 0;
    size_t n = (size_t)w * h, offset = (size_t)channel * n;
    unsigned char *level = job->level + offset, *rough = job->rough + offset;
    unsigned char *figure = job->figure + offset + channel * SIDE;
    float *sum = job->sum + offset, least = job->pixels[channel], most = least;
    for (size_t k = 0; k < n; k++) {
        least = SAL__MIN(least, job->pixels[k * 3 + (size_t)channel]);
        most = SAL__MAX(most, job->pixels[k * 3 + (size_t)channel]);
    }
    if (most <= least) return;
    for (size_t k = 0; k < n; k++)
        rough[k] = (unsigned char)((job->pixels[k * 3 + (size_t)channel] - least) / (most - least) *
                                   255 + 0.5f);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            unsigned char around[9];
            for (int i = 0; i < 3; i++) {       /* edges repeated */
                const unsigned char *line = rough + (size_t)w *
                                            (size_t)SAL__MAX(0, SAL__MIN(h - 1, y + i - 1));
                around[i] = line[SAL__MAX(0, x - 1)];
                around[i + 3] = line[x];
                around[i + 6] = line[SAL__MIN(w - 1, x + 1)];
            }
            level[(size_t)y * w + x] = sal__median9(around);
        }
    for (size_t k = 0; k < n; k++) {
        low = SAL__MIN(low, level[k]);
        high = SAL__MAX(high, level[k]);
    }
    for (int threshold = low; threshold < high; threshold += 8) {
        size_t over = 0, under = 0;
        float value[4];
        sal__bms_figures(figure, level, threshold, w, h,
                         job->run + (size_t)2 * channel * h * (w / 2 + 2),
                         job->row + 2 * channel * h);
        /* widen by 3 pixels up and down: rough[y] = figure[y - 3] | ... | figure[y + 3] */
        for (int y = 0; y < h; y++) {
            unsigned char *to = rough + (size_t)y * w;
            int from = SAL__MAX(0, y - 3), end = SAL__MIN(h, y + 4);
            for (int x = 0; x < w; x += SIDE) {
                unsigned char any[SIDE];
                int part = SAL__MIN(SIDE, w - x);
                memset(any, 0, sizeof any);
                for (int i = from; i < end; i++) {
                    unsigned char line[SIDE];
                    memcpy(line, figure + (size_t)i * w + x, SIDE);
                    for (int l = 0; l < SIDE; l++) any[l] |= line[l];
                }
                memcpy(to + x, any, (size_t)part);
                for (int l = 0; l < part; l++) { over += any[l] & 1; under += any[l] >> 1; }
            }
        }
        /* each of the two maps divided by its L2 norm, then added */
        value[0] = 0;
        value[1] = over ? 1 / (float)sqrt((double)over) : 0;
        value[2] = under ? 1 / (float)sqrt((double)under) : 0;
        value[3] = value[1] + value[2];
        if (value[3] > 0) for (size_t k = 0; k < n; k++) sum[k] += value[rough[k]];
    }
}

/* out[y][x] = the largest value of in within 4 pixels; row (w) is scratch. */
static void sal__widen(float *out, const float *in, float *row, int w, int h) {
    for (int y = 0; y < h; y++, out += w) {
        int above = SAL__MAX(y - 4, 0), below = SAL__MIN(y + 4, h - 1);
        memcpy(row, in + (size_t)above * w, (size_t)w * sizeof(float));
        for (int i = above + 1; i <= below; i++)
            for (int x = 0; x < w; x++) row[x] = SAL__MAX(row[x], in[(size_t)i * w + x]);
        for (int x = 0; x < w; x++) {
            float most = row[x];
            for (int i = SAL__MAX(x - 4, 0); i <= SAL__MIN(x + 4, w - 1); i++)
                most = SAL__MAX(most, row[i]);
            out[x] = most;
        }
    }
}

static sal_result sal__bms(sal_ctx *ctx, sal__arena *arena, const sal_image *image,
                           sal_map *map) {
    sal__bms_job job;
    double longer = SAL__MAX(image->w, image->h);
    int w = (int)SAL__MAX(1, 400 * image->w / longer);
    int h = (int)SAL__MAX(1, 400 * image->h / longer);
    size_t n = (size_t)w * h;
    float *pixels;
    SAL__TRY_PUT(pixels, ctx, arena, float, 3 * n);
    SAL__TRY_PUT(job.sum, ctx, arena, float, 3 * n);
    SAL__TRY_PUT(job.level, ctx, arena, unsigned char, 9 * n + 48);
    SAL__TRY_PUT(job.run, ctx, arena, sal__segment, (size_t)6 * h * (w / 2 + 2));
    SAL__TRY_PUT(job.row, ctx, arena, sal__segment *, 6 * h);
    SAL__TRY(sal__map_put(ctx, arena, w, h, map));
    job.w = w; job.h = h; job.pixels = pixels;
    job.rough = job.level + 3 * n; job.figure = job.rough + 3 * n;
    for (int c = 0; c < 3; c++) {
        SAL__TRY(sal__channel(ctx, image, c, w, h, SAL_FILTER_AREA, map->data));
        for (size_t k = 0; k < n; k++)
            pixels[k * 3 + c] = (float)floor(map->data[k] * 255 + 0.5);
    }
    for (size_t k = 0; k < n; k++) {
        float rgb[3];
        memcpy(rgb, pixels + k * 3, sizeof rgb);
        sal__lab8(pixels + k * 3, rgb);
    }
    sal__whiten(pixels, n);
    sal_parallel_for(ctx, 3, sal__bms_task, &job);
    for (size_t k = 0; k < n; k++)
        map->data[k] = job.sum[k] + job.sum[n + k] + job.sum[2 * n + k];
    sal__widen(job.sum, map->data, pixels, w, h);
    return sal_blur(ctx, map->data, job.sum, w, h, 9, 2, SAL_BORDER_REFLECT);
}

/* --- all of them ------------------------------------------------------------------------- */

/* compute makes a map of the model's own size, which `filter` brings to the picture's. */
static const struct sal__classical_row {
    const char *name;
    sal_result (*compute)(sal_ctx *ctx, sal__arena *arena, const sal_image *image, sal_map *map);
    sal_filter filter;
} sal__classicals[SAL_CLASSICAL_COUNT] = {
    { "center", NULL, SAL_FILTER_LINEAR },
    { "spectral", sal__spectral, SAL_FILTER_LINEAR },
    { "itti", sal__itti, SAL_FILTER_CUBIC },
    { "gbvs", sal__gbvs, SAL_FILTER_CUBIC },
    { "bms", sal__bms, SAL_FILTER_LINEAR }
};

SALDEF const char *sal_classical_name(sal_classical_kind kind) {
    return (unsigned)kind < SAL_CLASSICAL_COUNT ? sal__classicals[kind].name : "?";
}

SALDEF sal_result sal_classical_from_name(const char *name, sal_classical_kind *kind) {
    for (int k = 0; k < SAL_CLASSICAL_COUNT; k++)
        if (!strcmp(name, sal__classicals[k].name)) {
            *kind = (sal_classical_kind)k;
            return SAL_OK;
        }
    return SAL_ERR_ARGUMENT;
}

/* The model's map at the size of `map`, from 0 to 1. */
static sal_result sal__classical_map(sal_ctx *ctx, const struct sal__classical_row *model,
                                     const sal_image *image, sal_map *map) {
    sal__arena arena = { NULL };
    sal_map own = SAL__ZEROED;
    sal_result r = model->compute(ctx, &arena, image, &own);
    if (r == SAL_OK) {
        sal__scale(own.data, (size_t)own.w * own.h, 0, 1);
        r = sal_resize(ctx, map->data, map->w, map->h, own.data, own.w, own.h, 1, model->filter);
    }
    if (r == SAL_OK) sal__scale(map->data, (size_t)map->w * map->h, 0, 1);
    sal__arena_free(ctx, &arena);
    return r;
}

SALDEF sal_result sal_classical(sal_ctx *ctx, sal_classical_kind kind, const sal_image *image,
                                sal_map *map) {
    sal_result r = SAL_OK;
    memset(map, 0, sizeof *map);
    if ((int)kind < 0 || kind >= SAL_CLASSICAL_COUNT)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "there is no classical model number %d", (int)kind);
    SAL__TRY(sal__check_size(ctx, "picture", image->w, image->h));
    SAL__TRY(sal_map_new(ctx, image->w, image->h, map));
    if (kind == SAL_CLASSICAL_CENTER)
        sal_center_prior(map->data, map->w, map->h, SAL__CENTER, SAL__CENTER);
    else
        r = sal__classical_map(ctx, &sal__classicals[kind], image, map);
    if (r == SAL_OK) sal__map_hide(image, map);
    else sal_map_free(ctx, map);
    return r;
}

/* ============================================================================================
   >>metrics  how well does a map predict fixations?
   ========================================================================================== */

SALDEF sal_result sal_density(sal_ctx *ctx, const sal_fixation *fixations, int count, int w, int h,
                              double sigma, sal_map *map) {
    SAL__TRY(sal_map_new(ctx, w, h, map));
    for (int k = 0; k < count; k++) {
        double fx = fixations[k].x, fy = fixations[k].y;
        int x = sal__to_int(floor(fx + 0.5), 0, w - 1), y = sal__to_int(floor(fy + 0.5), 0, h - 1);
        if (fx >= -1 && fy >= -1 && fx <= w && fy <= h) map->data[(size_t)y * w + x] += 1;
    }
    sal_result r = sal_blur(ctx, map->data, map->data, w, h, sigma, 4, SAL_BORDER_ZERO);
    if (r != SAL_OK) { sal_map_free(ctx, map); return r; }
    sal__map_normalise(map);
    return SAL_OK;
}

/* sal__eval_open checks the input, takes the statistics and looks up the fixated pixels; then each
   metric is one short function of that; the table in sal__metric_at lists them. */

/* --- sorting and ranks --------------------------------------------------------------------- */

/* Radix sort, three digits of 11 bits, lowest first; the result is in `out`, `a` is scratch. */
static void sal__sort(uint32_t *out, uint32_t *a, size_t n) {
    enum { DIGITS = 3, BITS = 11, SIZE = 1 << BITS };
    size_t count[DIGITS][SIZE];
    memset(count, 0, sizeof count);
    for (size_t i = 0; i < n; i++)
        for (int d = 0; d < DIGITS; d++) count[d][a[i] >> (d * BITS) & (SIZE - 1)]++;
    for (int d = 0; d < DIGITS; d++) {
        uint32_t *swap = a;
        size_t at = 0;
        for (size_t k = 0; k < SIZE; k++) { size_t c = count[d][k]; count[d][k] = at; at += c; }
        for (size_t i = 0; i < n; i++) out[count[d][a[i] >> (d * BITS) & (SIZE - 1)]++] = a[i];
        a = out; out = swap;
    }
}

/* How many of the n ascending values are < v (or <= v). */
static size_t sal__rank(const float *values, size_t n, float v, int or_equal) {
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (values[middle] < v || (or_equal && values[middle] == v)) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* --- what the metrics share ---------------------------------------------------------------- */

typedef struct sal__stats { double min, max, sum, mean, sd; } sal__stats;   /* sd over n - 1 */

/* Indices y * w + x of the fixations on the map: all of them, and each pixel once, ascending. */
typedef struct sal__fixated { uint32_t *all, *once; size_t count, distinct; } sal__fixated;

/* A map, what it is compared with (NULL or count 0 if nothing), and what is known about them. */
typedef struct sal__eval {
    sal_ctx *ctx;
    sal__arena arena;           /* of all that is made for it */
    sal_score_desc set;         /* what is asked for, with the defaults filled in */
    int variant;                /* of the metric: the last column of sal__metric_at */
    int w, h;
    size_t n;
    const float *map, *density, *baseline;
    sal__stats m, d, b;         /* of the three */
    sal__fixated fix, other;
    float *sorted;              /* the map's values, ascending, since sal__eval_sort */
} sal__eval;

/* The values map[at[i]], i < n (at NULL: map[i]), ascending. */
static sal_result sal__sorted(sal__eval *e, const uint32_t *at, size_t n, float **values) {
    uint32_t *key;
    SAL__TRY_PUT(key, e->ctx, &e->arena, uint32_t, 2 * n);
    for (size_t i = 0; i < n; i++) {       /* the bits of a float, made to sort like its value */
        uint32_t bits = sal__f32_bits(e->map[at ? at[i] : i] + 0.0f);   /* -0 becomes +0 */
        key[i] = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    }
    sal__sort(key + n, key, n);
    *values = (float *)(void *)key;
    for (size_t i = 0; i < n; i++) {
        uint32_t k = key[n + i];
        (*values)[i] = sal__f32_from_bits(k & 0x80000000u ? k & 0x7FFFFFFFu : ~k);
    }
    return SAL_OK;
}

static sal_result sal__stats_of(const sal__eval *e, const char *what, const float *v,
                                sal__stats *s) {
    size_t n = e->n;
    float low = FLT_MAX, high = -FLT_MAX;
    double sum = 0, square = 0;
    if (!v)
        return sal__fail(e->ctx, SAL_ERR_ARGUMENT, "metrics: the %s is missing (NULL)", what);
    for (size_t i = 0; i < n; i++) {
        if (!(fabsf(v[i]) <= FLT_MAX))
            return sal__fail(e->ctx, SAL_ERR_NUMERIC, "metrics: the %s is not finite at x %d, y %d",
                             what, (int)(i % (size_t)e->w), (int)(i / (size_t)e->w));
        if (v[i] < low) low = v[i];
        if (v[i] > high) high = v[i];
        sum += v[i];
    }
    s->min = low; s->max = high; s->sum = sum; s->mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) square += (v[i] - s->mean) * (v[i] - s->mean);
    s->sd = n > 1 ? sqrt(square / (double)(n - 1)) : 0;
    return SAL_OK;
}

static sal_result sal__fixated_of(sal__eval *e, const sal_points *f, sal__fixated *p) {
    size_t n = (size_t)f->count, stride = f->stride ? (size_t)f->stride : 1;
    if (f->count < 0 || f->stride < 0 || (f->count > 0 && (!f->x || !f->y)))
        return sal__fail(e->ctx, SAL_ERR_ARGUMENT, "metrics: fixations without coordinates (NULL), "
                         "or with a negative count or stride");
    SAL__TRY_PUT(p->all, e->ctx, &e->arena, uint32_t, 3 * n);
    p->once = p->all + n;
    uint32_t *scratch = p->once + n;
    for (size_t i = 0; i < n; i++) {
        double x = floor((double)f->x[i * stride] + 0.5);
        double y = floor((double)f->y[i * stride] + 0.5);
        if (x >= 0 && x < e->w && y >= 0 && y < e->h)
            p->all[p->count++] = (uint32_t)y * (uint32_t)e->w + (uint32_t)x;
    }
    memcpy(scratch, p->all, p->count * sizeof *scratch);
    sal__sort(p->once, scratch, p->count);
    for (size_t i = 0; i < p->count; i++)
        if (i == 0 || p->once[i] != p->once[p->distinct - 1]) p->once[p->distinct++] = p->once[i];
    return SAL_OK;
}

/* needs: which of the arrays of d must be there; those and no others are looked at. The caller
   frees the arena, also after a failure. */
static sal_result sal__eval_open(sal_ctx *ctx, const sal_score_desc *d, int needs, sal__eval *e) {
    memset(e, 0, sizeof *e);
    e->ctx = ctx;
    e->w = d->w; e->h = d->h;
    e->set = *d;
    if (d->epsilon == 0) e->set.epsilon = DBL_EPSILON;
    if (d->step == 0) e->set.step = 0.1;
    if (d->splits == 0) e->set.splits = 100;
    if (d->seed == 0) e->set.seed = ctx->seed;
    if (d->cell == 0) e->set.cell = 32;
    SAL__TRY(sal__check_size(ctx, "metrics", d->w, d->h));
    if (!(d->epsilon >= 0 && d->epsilon <= 1))
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "metrics: an epsilon of %g: it must be from 0 to "
                         "1", d->epsilon);
    e->n = (size_t)d->w * d->h;
    e->map = d->map;
    SAL__TRY(sal__stats_of(e, "map", e->map, &e->m));
    if (needs & SAL_NEEDS_DENSITY) {
        e->density = d->density;
        SAL__TRY(sal__stats_of(e, "density", e->density, &e->d));
    }
    if (needs & SAL_NEEDS_BASELINE) {
        e->baseline = d->baseline;
        SAL__TRY(sal__stats_of(e, "baseline", e->baseline, &e->b));
    }
    if (needs & SAL_NEEDS_FIXATIONS) SAL__TRY(sal__fixated_of(e, &d->fixations, &e->fix));
    if (needs & SAL_NEEDS_OTHERS) SAL__TRY(sal__fixated_of(e, &d->others, &e->other));
    return SAL_OK;
}

static sal_result sal__eval_sort(sal__eval *e) {
    return e->sorted ? SAL_OK : sal__sorted(e, NULL, e->n, &e->sorted);
}

/* p = (v - base) * scale + shift turns the values of a map into probabilities, p = m / sum of m or,
   stretched, p = (m - min m) / sum of (m - min m). */
typedef struct sal__dist { double base, scale, shift; } sal__dist;

static sal__dist sal__dist_of(const sal__eval *e, const sal__stats *s, int stretch) {
    double mass = stretch ? s->sum - (double)e->n * s->min : s->sum;
    sal__dist p = { 0, 0, 1 / (double)e->n };               /* a constant map: uniform */
    if (s->max == s->min) return p;
    p.base = stretch ? s->min : 0;
    p.scale = mass != 0 ? 1 / mass : NAN;
    p.shift = 0;
    return p;
}

static double sal__p(const sal__dist *p, float v) { return (v - p->base) * p->scale + p->shift; }

/* --- metrics on distributions -------------------------------------------------------------- */

/* 1 if nobody looked at the picture: then these metrics are not defined. */
static int sal__density_is_zero(const sal__eval *e) { return e->d.min == 0 && e->d.max == 0; }

/* Pearson:  CC = cov(m, d) / (sd m * sd d) */
static sal_result sal__cc(sal__eval *e, double *value) {
    double sum = 0;
    *value = sal__density_is_zero(e) ? NAN : 0;
    if (sal__density_is_zero(e) || e->m.max == e->m.min || e->d.max == e->d.min) return SAL_OK;
    for (size_t i = 0; i < e->n; i++) sum += (e->map[i] - e->m.mean) * (e->density[i] - e->d.mean);
    *value = sum / ((double)(e->n - 1) * e->m.sd * e->d.sd);
    return SAL_OK;
}

/* Judd, Durand, Torralba, MIT-CSAIL-TR-2012-001:  SIM = sum over i of min(p_i, q_i)
   Variant 1: maps as they are, not stretched. */
static sal_result sal__sim(sal__eval *e, double *value) {
    sal__dist p = sal__dist_of(e, &e->m, !e->variant), q = sal__dist_of(e, &e->d, !e->variant);
    double sum = 0;
    *value = NAN;
    if (sal__density_is_zero(e) || (e->variant && (e->m.min < 0 || e->d.min < 0))) return SAL_OK;
    for (size_t i = 0; i < e->n; i++) {
        double a = sal__p(&p, e->map[i]), b = sal__p(&q, e->density[i]);
        sum += a < b ? a : b;
    }
    *value = sum;
    return SAL_OK;
}

/* Kullback, Leibler 1951, with epsilon as in Bylinskii et al., "What do different evaluation
   metrics tell us about saliency models?", PAMI 2019:
       KL = sum over i of q_i log(eps + q_i / (p_i + eps)),   terms with q_i = 0 are 0
   fabs: the real part of the logarithm of a negative number. */
static sal_result sal__kl(sal__eval *e, double *value) {
    sal__dist p = sal__dist_of(e, &e->m, 0), q = sal__dist_of(e, &e->d, 0);
    double eps = e->set.epsilon, sum = 0;
    for (size_t i = 0; i < e->n; i++)
        if (e->density[i] != 0) {
            double b = sal__p(&q, e->density[i]);
            sum += b * log(fabs(eps + b / (sal__p(&p, e->map[i]) + eps)));
        }
    *value = sal__density_is_zero(e) ? NAN : sum;
    return SAL_OK;
}

/* --- metrics at the fixations -------------------------------------------------------------- */

/* The fixations to average over: their pixels, and how many. */
static size_t sal__each(const sal__fixated *p, int all, const uint32_t **at) {
    *at = all ? p->all : p->once;
    return all ? p->count : p->distinct;
}

/* Peters, Iyer, Itti, Koch, "Components of bottom-up gaze allocation in natural images", Vision
   Research 2005:  NSS = mean over fixations f of (m_f - mean m) / sd m
   sd is over n - 1, as in MATLAB; the loss of this name (>>losses) takes it over n.
   Example: the map 1 2 3 4 has the mean 2.5 and the deviation sqrt(5 / 3) = 1.291. Fixations on 4,
   3 and 4 score (1.5 + 0.5 + 1.5) / 3 / 1.291 = 0.904, each pixel once (1.5 + 0.5) / 2 / 1.291 =
   0.775. Variant 1: every fixation counts. */
static sal_result sal__nss(sal__eval *e, double *value) {
    const uint32_t *at;
    size_t count = sal__each(&e->fix, e->variant, &at);
    double sum = 0;
    *value = count ? 0 : NAN;
    if (count == 0 || e->m.max == e->m.min) return SAL_OK;
    for (size_t i = 0; i < count; i++) sum += e->map[at[i]] - e->m.mean;
    *value = sum / (double)count / e->m.sd;
    return SAL_OK;
}

/* Kuemmerer, Wallis, Bethge, "Information-theoretic model comparison unifies saliency metrics",
   PNAS 2015:  IG = mean over fixations f of log2(eps + p_f) - log2(eps + b_f)
   Variant 1: maps as they are, and every fixation counts. */
static sal_result sal__ig(sal__eval *e, double *value) {
    sal__dist p = sal__dist_of(e, &e->m, !e->variant), b = sal__dist_of(e, &e->b, !e->variant);
    const uint32_t *at;
    size_t count = sal__each(&e->fix, e->variant, &at);
    double eps = e->set.epsilon, sum = 0;
    *value = NAN;
    if (count == 0 || (e->variant && (e->m.min < 0 || e->b.min < 0))) return SAL_OK;
    for (size_t i = 0; i < count; i++)
        sum += log2(eps + sal__p(&p, e->map[at[i]])) - log2(eps + sal__p(&b, e->baseline[at[i]]));
    *value = sum / (double)count;
    return SAL_OK;
}

/* --- exact areas under the ROC curve ------------------------------------------------------- */

/* The area is the probability that the map is higher at a fixation f than at a negative o, ties
   counting half (Mann, Whitney 1947; Hanley, McNeil 1982):
       AUC = mean over f and o of  1 if m_f > m_o,  1/2 if m_f = m_o,  0 if m_f < m_o
   Negatives are all pixels or, in the shuffled AUC (variant 1), the fixations on other images:
   Tatler, Baddeley, Gilchrist, "Visual correlates of fixation selection: effects of scale and
   time", Vision Research 2005; Zhang et al., "SUN", Journal of Vision 2008.
   Example: fixations on the values 4, 3, 4, negatives 1, 2, 3. Each 4 wins all three pairs, the 3
   wins two and ties once: (3 + 2.5 + 3) / 9 = 0.944.
   With the negatives in ascending order, how many are below m_f, and how many are not above it, is
   where m_f would stand among them; the wins of f are the mean of the two. */
static sal_result sal__auc(sal__eval *e, double *value) {
    size_t n = e->variant ? e->other.count : e->n, count = e->fix.count;
    float *negative;
    double wins = 0;
    if (e->variant) SAL__TRY(sal__sorted(e, e->other.all, n, &negative));
    else SAL__TRY(sal__eval_sort(e));
    if (!e->variant) negative = e->sorted;
    for (size_t i = 0; i < count; i++) {
        float m = e->map[e->fix.all[i]];
        size_t below = sal__rank(negative, n, m, 0), not_above = sal__rank(negative, n, m, 1);
        wins += 0.5 * (double)(below + not_above);
    }
    *value = count && n ? wins / (double)count / (double)n : NAN;
    return SAL_OK;
}

/* Judd, Ehinger, Durand, Torralba, "Learning to predict where humans look", ICCV 2009, as in the
   benchmark's AUC_Judd.m. The k fixated values v_1 >= v_2 >= ... are the thresholds:
       tp_i = i / k,   fp_i = (#{pixels >= v_i} - i) / (n - k)
   AUC = the area of the trapezoids from (0, 0) over these points to (1, 1). */
static sal_result sal__auc_judd(sal__eval *e, double *value) {
    size_t n = e->n, k = e->fix.distinct;
    double area = 0, tp = 0, fp = 0;
    float *v;
    *value = k == 0 || k == n ? NAN : 0.5;
    if (k == 0 || k == n || e->m.min == e->m.max) return SAL_OK;
    SAL__TRY(sal__eval_sort(e));
    SAL__TRY(sal__sorted(e, e->fix.once, k, &v));
    for (size_t i = 1; i <= k; i++) {
        size_t above = n - sal__rank(e->sorted, n, v[k - i], 0);
        double t = (double)i / (double)k, f = ((double)above - (double)i) / (double)(n - k);
        area += (f - fp) * (t + tp) / 2;
        tp = t; fp = f;
    }
    *value = area + (1 - fp) * (1 + tp) / 2;
    return SAL_OK;
}

/* --- areas on a grid of thresholds ----------------------------------------------------------

   Borji, Tavakoli, Sihite, Itti, "Analysis of scores, datasets, and models in visual saliency
   prediction", ICCV 2013, as in the benchmark's AUC_Borji.m and AUC_shuffled.m: the thresholds are
   0, step, 2 step .. 1 on the map stretched to 0..1. (The MATLAB code stops at the largest value
   drawn; the thresholds beyond add no area.) */

/* MATLAB's 0:step:1 forgives a rounding error at the end. */
static int sal__thresholds(double step) { return (int)floor(1 / step * (1 + DBL_EPSILON)) + 1; }

static double sal__stretch(const sal__eval *e, float v) {
    return e->m.max > e->m.min ? (v - e->m.min) / (e->m.max - e->m.min) : 0;
}

/* rate[j] = share of the values at these pixels that reach threshold j */
static void sal__rates(const sal__eval *e, const uint32_t *at, size_t count, double step,
                       double *rate) {
    int j, k = sal__thresholds(step);
    for (j = 0; j < k; j++) rate[j] = 0;
    for (size_t i = 0; i < count; i++) {
        double v = sal__stretch(e, e->map[at[i]]);
        j = (int)(v / step);                    /* the highest one reached, but for rounding */
        while (j + 1 < k && (j + 1) * step <= v) j++;
        while (j >= k || j * step > v) j--;
        rate[j]++;
    }
    for (j = k - 2; j >= 0; j--) rate[j] += rate[j + 1];
    for (j = 0; j < k; j++) rate[j] /= (double)count;
}

/* The same for all pixels, from the sorted map. */
static void sal__rates_of_map(const sal__eval *e, double step, double *rate) {
    int k = sal__thresholds(step);
    size_t low = 0;
    for (int j = 0; j < k; j++) {
        for (size_t high = e->n; low < high; ) {
            size_t middle = low + (high - low) / 2;
            if (sal__stretch(e, e->sorted[middle]) < j * step) low = middle + 1; else high = middle;
        }
        rate[j] = (double)(e->n - low) / (double)e->n;
    }
}

/* Trapezoids from (0, 0) over (fp[j], tp[j]), j = k - 1 .. 0, to (1, 1). */
static double sal__roc_area(const double *tp, const double *fp, int k) {
    double area = fp[k - 1] * tp[k - 1] / 2 + (1 - fp[0]) * (1 + tp[0]) / 2;
    for (int j = k - 1; j > 0; j--) area += (fp[j - 1] - fp[j]) * (tp[j - 1] + tp[j]) / 2;
    return area;
}

/* The mean over `splits` draws of negatives, as many as fixated pixels: from all pixels with
   repetition, or (variants 2 and 3, shuffled) from those fixated on other images without. Variants
   1 and 3: the mean over all draws. The area is linear in fp, so its expectation has the fp of all
   that could be drawn. */
static sal_result sal__auc_grid(sal__eval *e, double *value) {
    const sal__fixated *f = &e->fix;
    int shuffled = e->variant >= 2, splits = e->variant % 2 ? 0 : e->set.splits;
    size_t n = shuffled ? e->other.distinct : e->n, count = f->distinct, draws;
    double *tp, *fp, step = e->set.step, sum = 0;
    uint32_t *pool;
    sal_rng rng = { e->set.seed };
    if (splits < 0 || !(step >= 1e-4 && step <= 1))
        return sal__fail(e->ctx, SAL_ERR_ARGUMENT, "metrics: %d splits with a step of %g: at least "
                         "1 split and a step from 0.0001 to 1 are possible", splits, step);
    *value = NAN;
    if (count == 0 || n == 0 || (!shuffled && splits && count == 1)) return SAL_OK;
    if (!shuffled && splits == 0) SAL__TRY(sal__eval_sort(e));
    int k = sal__thresholds(step);
    draws = shuffled ? SAL__MIN(count, n) : count;
    SAL__TRY_PUT(tp, e->ctx, &e->arena, double, 2 * k);
    SAL__TRY_PUT(pool, e->ctx, &e->arena, uint32_t, shuffled ? n : draws);
    fp = tp + k;
    if (shuffled) memcpy(pool, e->other.once, n * sizeof *pool);
    sal__rates(e, f->once, count, step, tp);
    for (int split = 0; split < splits; split++) {
        for (size_t i = 0; i < draws; i++)
            if (shuffled) {             /* the first steps of a Fisher-Yates shuffle */
                size_t other = i + sal_rng_below(&rng, (uint32_t)(n - i));
                uint32_t swap = pool[i];
                pool[i] = pool[other];
                pool[other] = swap;
            } else pool[i] = sal_rng_below(&rng, (uint32_t)n);
        sal__rates(e, pool, draws, step, fp);
        sum += sal__roc_area(tp, fp, k) / splits;
    }
    if (splits == 0) {
        if (shuffled) sal__rates(e, pool, n, step, fp);
        else sal__rates_of_map(e, step, fp);
        sum = sal__roc_area(tp, fp, k);
    }
    *value = sum;
    return SAL_OK;
}

/* --- earth mover's distance -----------------------------------------------------------------

   Rubner, Tomasi, Guibas, "The earth mover's distance as a metric for image retrieval", IJCV 2000:
       EMD(p, q) = min over flows F >= 0 of sum over i, j of F_ij |i - j|,
                   sum over j of F_ij = p_i,  sum over i of F_ij = q_j
   Because |i - j| is a metric, mass that both maps have in a cell stays there: sources are the
   cells with p > q, sinks those with p < q. This is a transportation problem, solved by the network
   simplex method (Ahuja, Magnanti, Orlin, "Network flows", 1993, chapter 11):
     - A solution is a spanning tree of sources and sinks; only its arcs carry flow. Each node keeps
       the flow on the arc to its parent and a potential pi such that |i - j| = pi_j - pi_i on the
       tree's arcs.
     - An arc i -> j with |i - j| < pi_j - pi_i would save something: it enters the tree, flow is
       pushed around the cycle it closes until an arc runs dry, and that one leaves.
     - If no such arc is left the tree is optimal.
   Masses are integers (2^52 in all), so flows are exact; ties among the arcs that run dry are
   broken such that the tree stays strongly feasible (arcs without flow point to the root), which
   excludes cycling. */
typedef struct sal__node {
    int parent, child, next, prev;      /* child: the first one; next, prev: siblings; -1: none */
    int depth;
    int place;                          /* of its cell in a table of distances */
    int64_t flow;                       /* on the arc between it and its parent */
    double pi;
} sal__node;

typedef struct sal__transport {
    sal__node *node;            /* the sources, then the sinks */
    int nodes, sources;
    const double *distance;     /* distance[place j - place i] = |i - j| */
} sal__transport;

static void sal__tree_link(sal__node *t, int k, int parent) {
    t[k].parent = parent; t[k].prev = -1; t[k].next = t[parent].child;
    if (t[k].next >= 0) t[t[k].next].prev = k;
    t[parent].child = k;
}

static void sal__tree_unlink(sal__node *t, int k) {
    if (t[k].prev >= 0) t[t[k].prev].next = t[k].next; else t[t[k].parent].child = t[k].next;
    if (t[k].next >= 0) t[t[k].next].prev = t[k].prev;
}

/* Depths and potentials of `top` and all below it, from its parent's. */
static void sal__tree_refresh(const sal__transport *tr, int top) {
    sal__node *t = tr->node;
    int k = top;
    for (;;) {
        int p = t[k].parent;
        if (p >= 0) {
            double d = tr->distance[t[k].place - t[p].place];       /* |i - j| = |j - i| */
            t[k].depth = t[p].depth + 1;
            t[k].pi = t[p].pi + (k < tr->sources ? -d : d);
        }
        if (t[k].child >= 0) { k = t[k].child; continue; }
        while (k != top && t[k].next < 0) k = t[k].parent;
        if (k == top) return;
        k = t[k].next;
    }
}

/* A first tree: walk over the cells, rows alternating in direction, and let each node trade with
   the last ones that still wait for a partner. The one of a pair that is served becomes a child of
   the other. rest: the mass each node has to trade; stack: scratch; both: an element a node. */
static void sal__tree_start(const sal__transport *tr, const int *node_at, int w, int h,
                            int64_t *rest, int *stack) {
    sal__node *t = tr->node;
    int waiting = 0;
    for (int i = 0; i < w * h; i++) {
        int y = i / w, k = node_at[y % 2 ? y * w + w - 1 - i % w : i];
        while (k >= 0 && waiting && (stack[waiting - 1] < tr->sources) != (k < tr->sources)) {
            int other = stack[waiting - 1];
            int source = SAL__MIN(k, other), sink = SAL__MAX(k, other);
            int served = rest[source] < rest[sink] ? source : sink;     /* of equals the sink */
            int64_t flow = rest[served];
            t[served].flow = flow;
            rest[source] -= flow;
            rest[sink] -= flow;
            sal__tree_link(t, served, source + sink - served);
            if (served == other) waiting--; else k = -1;
        }
        if (k >= 0) stack[waiting++] = k;
    }
    /* what still waits are sources without a rest; the first is the root, the others get an arc */
    while (waiting > 1) sal__tree_link(t, stack[--waiting], t[stack[0]].child);
    sal__tree_refresh(tr, stack[0]);
}

/* When flow goes from source i to sink j and back through the tree, which arc runs dry first? On
   both branches, up to their meeting point `top`: where flow decreases and least remains; of equals
   the one that comes last on the way from there over i -> j and back. Returns the node below it, a
   source on the branch of i, a sink on that of j. */
static int sal__tree_leaving(const sal__transport *tr, int i, int j, int *top) {
    const sal__node *t = tr->node;
    int out_a = -1, out_b = -1;
    int64_t dry_a = INT64_MAX, dry_b = INT64_MAX;
    while (i != j)
        if (t[i].depth >= t[j].depth) {
            if (i < tr->sources && t[i].flow < dry_a) { dry_a = t[i].flow; out_a = i; }
            i = t[i].parent;
        } else {
            if (j >= tr->sources && t[j].flow <= dry_b) { dry_b = t[j].flow; out_b = j; }
            j = t[j].parent;
        }
    *top = i;
    return dry_b <= dry_a ? out_b : out_a;
}

/* Let the arc from source i to sink j into the tree. */
static void sal__tree_pivot(const sal__transport *tr, int i, int j) {
    sal__node *t = tr->node;
    int top, out = sal__tree_leaving(tr, i, j, &top), last = 0;
    int64_t push = t[out].flow, flow = push;
    for (int k = i; k != top; k = t[k].parent) t[k].flow += k < tr->sources ? -push : push;
    for (int k = j; k != top; k = t[k].parent) t[k].flow += k < tr->sources ? push : -push;
    /* The part cut off holds i or j: hang it up there, below the other one, turning around the arcs
       from there to the cut. */
    int moved = out < tr->sources ? i : j, parent = i + j - moved;
    for (int k = moved; !last; ) {
        int next = t[k].parent;
        int64_t old = t[k].flow;
        last = k == out;
        sal__tree_unlink(t, k);
        sal__tree_link(t, k, parent);
        t[k].flow = flow;
        parent = k;
        flow = old;
        k = next;
    }
    sal__tree_refresh(tr, moved);
}

/* The sink to which a new arc from this source saves most, -1 if none saves anything. */
static int sal__best_arc(const sal__transport *tr, int source) {
    const sal__node *t = tr->node;
    const double *distance = tr->distance - t[source].place;
    double least = -t[source].pi - 1e-10;
    int best = -1;
    for (int j = tr->sources; j < tr->nodes; j++) {
        double cost = distance[t[j].place] - t[j].pi;
        if (cost < least) { least = cost; best = j; }
    }
    return best;
}

/* Pivot until no arc saves anything: in a round each source is asked, until it has nothing left,
   for its best arc. active: an int a source. */
static void sal__transport_solve(const sal__transport *tr, int *active) {
    int pivots = 1, count, at;
    while (pivots > 0) {
        for (count = 0; count < tr->sources; count++) active[count] = count;
        for (pivots = at = 0; count > 0; at = at + 1 < count ? at + 1 : 0) {
            int sink = sal__best_arc(tr, active[at]);
            if (sink >= 0) { sal__tree_pivot(tr, active[at], sink); pivots++; }
            else active[at--] = active[--count];
        }
    }
}

/* mass: p - q in each cell, adding up to 0. */
static sal_result sal__emd_solve(sal_ctx *ctx, sal__arena *arena, const int64_t *mass, int w, int h,
                                 double *value) {
    int cells = w * h, stride = 2 * w - 1, source = 0, sink = 0, *node_at, *scratch;
    double *table, sum = 0;
    int64_t *rest;
    sal__transport tr;
    SAL__TRY_PUT(table, ctx, arena, double, (size_t)stride * (2 * h - 1));
    SAL__TRY_PUT(node_at, ctx, arena, int, cells);
    SAL__TRY_PUT(scratch, ctx, arena, int, cells);
    SAL__TRY_PUT(rest, ctx, arena, int64_t, cells);
    SAL__TRY_PUT(tr.node, ctx, arena, sal__node, cells);
    for (int y = 1 - h; y < h; y++)
        for (int x = 1 - w; x < w; x++)
            table[(y + h - 1) * stride + x + w - 1] = sqrt((double)x * x + (double)y * y);
    tr.distance = table + (h - 1) * stride + w - 1;
    for (int k = 0; k < cells; k++) if (mass[k] > 0) sink++;
    tr.sources = sink;
    for (int k = 0; k < cells; k++) {
        node_at[k] = -1;
        if (mass[k] == 0) continue;
        int n = node_at[k] = mass[k] > 0 ? source++ : sink++;
        rest[n] = mass[k] > 0 ? mass[k] : -mass[k];
        tr.node[n].place = k / w * stride + k % w;
        tr.node[n].parent = tr.node[n].child = tr.node[n].next = tr.node[n].prev = -1;
    }
    tr.nodes = sink;
    if (tr.nodes > 0) {
        sal__tree_start(&tr, node_at, w, h, rest, scratch);
        sal__transport_solve(&tr, scratch);
    }
    for (int k = 0; k < tr.nodes; k++) {
        int p = tr.node[k].parent, d = p < 0 ? 0 : tr.node[k].place - tr.node[p].place;
        sum += (double)tr.node[k].flow * tr.distance[d];
    }
    *value = sum / 4503599627370496.0;
    return SAL_OK;
}

/* The masses of both maps, reduced to cells, in units of 2^-52. What is negative, in the maps or as
   the overshoot of the filter, counts as 0; an empty p is uniform. */
static sal_result sal__emd(sal__eval *e, double *value) {
    double unit = 4503599627370496.0, psum = 0, qsum = 0;
    int cell = e->set.cell, w = cell > 0 ? (e->w - 1) / cell + 1 : 0, largest = 0;
    int h = cell > 0 ? (e->h - 1) / cell + 1 : 0, cells = w * h;
    int64_t *mass, rest = 0;
    float *p, *q;
    if (cells < 1 || cells > 65536)
        return sal__fail(e->ctx, SAL_ERR_UNSUPPORTED, "EMD: %d x %d pixels in cells of %d make %d "
                         "cells; from 1 to 65536 are possible", e->w, e->h, cell, cells);
    SAL__TRY_PUT(p, e->ctx, &e->arena, float, cells);
    SAL__TRY_PUT(q, e->ctx, &e->arena, float, cells);
    SAL__TRY(sal_resize(e->ctx, p, w, h, e->map, e->w, e->h, 1, SAL_FILTER_CUBIC));
    SAL__TRY(sal_resize(e->ctx, q, w, h, e->density, e->w, e->h, 1, SAL_FILTER_CUBIC));
    for (int k = 0; k < cells; k++) {
        psum += SAL__MAX(p[k], 0);
        qsum += SAL__MAX(q[k], 0);
    }
    if (!(psum <= DBL_MAX && qsum <= DBL_MAX))
        return sal__fail(e->ctx, SAL_ERR_NUMERIC, "EMD: values near the limit of float overflow "
                         "when the maps are reduced: scale the maps first");
    *value = NAN;
    if (qsum == 0) return SAL_OK;
    SAL__TRY_PUT(mass, e->ctx, &e->arena, int64_t, cells);
    for (int k = 0; k < cells; k++) {
        double a = psum > 0 ? SAL__MAX(p[k], 0) / psum : 1.0 / cells, b = SAL__MAX(q[k], 0) / qsum;
        mass[k] = (int64_t)floor(a * unit + 0.5) - (int64_t)floor(b * unit + 0.5);
        rest += mass[k];
        if (fabs((double)mass[k]) > fabs((double)mass[largest])) largest = k;
    }
    mass[largest] -= rest;          /* what rounding left over: less than 2^-36 */
    return sal__emd_solve(e->ctx, &e->arena, mass, w, h, value);
}

/* --- all of them --------------------------------------------------------------------------- */

/* compute fills *value; variant is what it finds in the evaluation. */
typedef struct sal__metric_row {
    sal_metric_info info;
    sal_result (*compute)(sal__eval *e, double *value);
    int variant;
} sal__metric_row;

static const sal__metric_row *sal__metric_at(int i) {
    enum { D = SAL_NEEDS_DENSITY, F = SAL_NEEDS_FIXATIONS, O = F | SAL_NEEDS_OTHERS,
           B = F | SAL_NEEDS_BASELINE };
    static const sal__metric_row table[SAL_METRIC_COUNT] = {
        { { "CC", "correlation of map and density", 1, D }, sal__cc, 0 },
        { { "NSS", "normalised scanpath saliency, a fixated pixel counts once", 1, F },
          sal__nss, 0 },
        { { "AUC", "exact area under the ROC curve; negatives: all pixels", 1, F }, sal__auc, 0 },
        { { "sAUC", "exact; negatives: fixations on other images", 1, O }, sal__auc, 1 },
        { { "SIM", "similarity, both maps stretched to 0..1 first", 1, D }, sal__sim, 0 },
        { { "KL", "Kullback-Leibler divergence from the density, nats", -1, D }, sal__kl, 0 },
        { { "IG", "information gain, bits per fixated pixel, maps stretched", 1, B }, sal__ig, 0 },
        { { "EMD", "earth mover's distance, cells of up to 32 pixels", -1, D }, sal__emd, 0 },
        { { "AUC_Judd", "as the MIT benchmark; negatives: pixels not fixated", 1, F },
          sal__auc_judd, 0 },
        { { "AUC_Borji", "as the MIT benchmark; negatives: pixels drawn 100 times", 1, F },
          sal__auc_grid, 0 },
        { { "AUC_Borji_mean", "what AUC_Borji is on average", 1, F }, sal__auc_grid, 1 },
        { { "AUC_shuffled", "as the MIT benchmark; negatives: drawn from them 100 times", 1, O },
          sal__auc_grid, 2 },
        { { "AUC_shuffled_mean", "what AUC_shuffled is on average", 1, O }, sal__auc_grid, 3 },
        { { "NSS_all", "normalised scanpath saliency, every fixation counts", 1, F }, sal__nss, 1 },
        { { "SIM_sum", "similarity without the stretching", 1, D }, sal__sim, 1 },
        { { "IG_sum", "information gain, bits per fixation, maps as they are", 1, B }, sal__ig, 1 }
    };
    return &table[i];
}

SALDEF const sal_metric_info *sal_metric_about(sal_metric_kind metric) {
    return (unsigned)metric < SAL_METRIC_COUNT ? &sal__metric_at((int)metric)->info : NULL;
}

SALDEF sal_result sal_score(sal_ctx *ctx, const sal_score_desc *d, double *value) {
    int have = (d->density ? SAL_NEEDS_DENSITY : 0) | (d->fixations.x ? SAL_NEEDS_FIXATIONS : 0) |
               (d->others.x ? SAL_NEEDS_OTHERS : 0) | (d->baseline ? SAL_NEEDS_BASELINE : 0);
    unsigned wanted = d->metrics;
    int needs = 0;
    sal__eval e;
    for (int i = 0; i < SAL_METRIC_COUNT; i++) {
        int need = sal__metric_at(i)->info.needs;
        if (!d->metrics && !(need & ~have)) wanted |= SAL_METRIC_BIT(i);
        if (wanted & SAL_METRIC_BIT(i)) needs |= need;
        value[i] = NAN;
    }
    memset(&e, 0, sizeof e);
    sal_result r = wanted >> SAL_METRIC_COUNT
        ? sal__fail(ctx, SAL_ERR_ARGUMENT, "metrics: %#x has bits that are none of the %d metrics",
                    wanted, SAL_METRIC_COUNT)
        : sal__eval_open(ctx, d, needs, &e);
    for (int i = 0; i < SAL_METRIC_COUNT && r == SAL_OK; i++) {
        e.variant = sal__metric_at(i)->variant;
        if (wanted & SAL_METRIC_BIT(i)) r = sal__metric_at(i)->compute(&e, &value[i]);
    }
    for (int i = 0; i < SAL_METRIC_COUNT && r != SAL_OK; i++) value[i] = 0;
    sal__arena_free(ctx, &e.arena);
    return r;
}

SALDEF sal_result sal_metric(sal_ctx *ctx, sal_metric_kind which, const sal_score_desc *desc,
                             double *value) {
    sal_score_desc d = *desc;
    double all[SAL_METRIC_COUNT];
    *value = 0;
    if (!sal_metric_about(which))
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "there is no metric number %d", (int)which);
    d.metrics = SAL_METRIC_BIT(which);
    SAL__TRY(sal_score(ctx, &d, all));
    *value = all[which];
    return SAL_OK;
}

/* ============================================================================================
   >>predict  picture in, map out
   ========================================================================================== */

/* Which part of the picture (in pixels) fills which part of the network's input. */
typedef struct sal__frame {
    int sx, sy, sw, sh;         /* source rectangle */
    int x, y, w, h;             /* where it lies in the input */
} sal__frame;

static sal__frame sal__frame_of(sal_fit fit, int iw, int ih, int w, int h) {
    sal__frame f = { 0, 0, iw, ih, 0, 0, w, h };
    if (fit == SAL_FIT_SQUARE) {
        f.sw = f.sh = SAL__MIN(iw, ih);
        f.sx = (iw - f.sw) / 2; f.sy = (ih - f.sh) / 2;
    } else if (fit == SAL_FIT_LETTERBOX) {     /* whole-number arithmetic as in the released code */
        if ((double)ih * w > (double)iw * h) f.w = (int)((double)iw * h / ih);
        else                                 f.h = (int)((double)ih * w / iw);
        f.w = SAL__MAX(f.w, 1); f.h = SAL__MAX(f.h, 1);
        f.x = (w - f.w) / 2; f.y = (h - f.h) / 2;
    }
    return f;
}

/* A rectangle of a picture (bytes) or a map (floats) whose rows have `wide` pixels of c channels:
   in (sh, sw) from (x, y) on, out (h, w, c) in memory that the caller frees. */
static sal_result sal__fitted(sal_ctx *ctx, const unsigned char *bytes, const float *floats,
                              int wide, int c, int x, int y, int sw, int sh, int w, int h,
                              float **out) {
    size_t first = ((size_t)y * wide + x) * c;
    SAL__TRY_NEW(*out, ctx, float, (size_t)w * h * c);
    return sal__resize(ctx, *out, w, h, bytes ? bytes + first : NULL,
                       floats ? floats + first : NULL, (size_t)wide * c, sw, sh, c,
                       SAL_FILTER_LINEAR);
}

SALDEF sal_result sal_preprocess(sal_ctx *ctx, const sal_net *net, const sal_image *image, int w,
                                 int h, float *input) {
    const sal_net_desc *d = &net->desc;
    float *fitted;
    sal_result r;
    int x;
    if (!image->data || image->w < 1 || image->h < 1)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "the picture is empty");
    sal__frame f = sal__frame_of(d->fit, image->w, image->h, w, h);
    r = sal__fitted(ctx, image->data, NULL, image->w, 3, f.sx, f.sy, f.sw, f.sh, f.w, f.h, &fitted);
    for (int c = 0; r == SAL_OK && c < 3; c++) {
        float *plane = input + (size_t)c * h * w, shift = -d->mean[c] / d->std[c];
        float factor = (float)(1 / ((double)d->scale * d->std[c]));
        const float *pixel = fitted + (d->bgr ? 2 - c : c);
        if (f.w != w || f.h != h)
            for (x = 0; x < h * w; x++) plane[x] = shift;       /* black bars */
        for (int y = 0; y < f.h; y++)       /* (pixel / scale - mean) / std */
            for (x = 0; x < f.w; x++, pixel += 3)
                plane[(size_t)(f.y + y) * w + f.x + x] = *pixel * factor + shift;
    }
    sal_free(ctx, fitted);
    return r;
}

/* raw (rh, rw), which lies over the network's input (h, w), brought to the picture's pixels. */
static sal_result sal__to_picture(sal_ctx *ctx, sal_fit fit, const float *raw, int rh, int rw,
                                  int h, int w, int image_w, int image_h, sal_map *map) {
    sal__frame f = sal__frame_of(fit, image_w, image_h, w, h);
    int x;
    SAL__TRY(sal_map_new(ctx, image_w, image_h, map));
    sal__tap *across = SAL__NEW(ctx, sal__tap, image_w);
    double *line = SAL__NEW(ctx, double, rw);
    sal_result r = across && line ? SAL_OK : SAL_ERR_MEMORY;
    for (x = 0; r == SAL_OK && x < image_w; x++)    /* picture -> input -> map coordinates */
        across[x] = sal__tap_at(((x + 0.5 - f.sx) * f.w / f.sw + f.x) * rw / w - 0.5, rw);
    for (int y = 0; r == SAL_OK && y < image_h; y++) {
        sal__tap v = sal__tap_at(((y + 0.5 - f.sy) * f.h / f.sh + f.y) * rh / h - 0.5, rh);
        const float *top = raw + (size_t)v.low * rw, *bottom = raw + (size_t)v.high * rw;
        float *to = map->data + (size_t)y * image_w;
        for (x = 0; x < rw; x++) line[x] = (1 - v.t) * top[x] + v.t * bottom[x];
        for (x = 0; x < image_w; x++) {
            sal__tap u = across[x];
            to[x] = (float)((1 - u.t) * line[u.low] + u.t * line[u.high]);
        }
    }
    if (r != SAL_OK) sal_map_free(ctx, map);
    sal_free(ctx, across); sal_free(ctx, line);
    return r;
}

static sal_result sal__net_finite(sal_ctx *ctx, const sal_net *net, const float *x, size_t n) {
    if (sal__all_finite(x, n)) return SAL_OK;
    return sal__fail(ctx, SAL_ERR_NUMERIC, "%s computed a value that is not finite: are these its "
                     "weights?", net->name);
}

SALDEF sal_result sal_postprocess(sal_ctx *ctx, const sal_net *net, const float *raw, int rw,
                                  int rh, int w, int h, int image_w, int image_h, sal_map *map) {
    const sal_net_desc *d = &net->desc;
    double first = sal__is_sam(d->kind) ? 0 : d->blur, last = d->blur - first;
    float *smooth, power = d->power > 0 ? d->power : 1;
    size_t n = (size_t)rw * rh;
    memset(map, 0, sizeof *map);
    SAL__TRY(sal__check_size(ctx, "raw output", rw, rh));
    SAL__TRY(sal__check_size(ctx, "input", w, h));
    SAL__TRY(sal__check_size(ctx, "picture", image_w, image_h));
    SAL__TRY(sal__net_finite(ctx, net, raw, n));
    SAL__TRY_NEW(smooth, ctx, float, n);
    sal_result r = sal_blur(ctx, smooth, raw, rw, rh, first, 4, SAL_BORDER_REPLICATE);
    if (r == SAL_OK)
        r = sal__to_picture(ctx, d->fit, smooth, rh, rw, h, w, image_w, image_h, map);
    sal_free(ctx, smooth);
    if (r == SAL_OK)
        r = sal_blur(ctx, map->data, map->data, image_w, image_h, last, 4, SAL_BORDER_REPLICATE);
    if (r != SAL_OK) { sal_map_free(ctx, map); return r; }
    n = (size_t)image_w * image_h;
    if (sal__map_normalise(map) == 0)
        for (size_t i = 0; i < n; i++) map->data[i] = 1;        /* nothing stands out */
    if (power == 1 && !(d->floor > 0)) n = 0;
    for (size_t i = 0; i < n; i++) map->data[i] = SAL__MAX(powf(map->data[i], power), d->floor);
    return SAL_OK;
}

SALDEF sal_result sal_predict_run(sal_ctx *ctx, sal_run *run, const sal_image *image,
                                  sal_map *map) {
    float *input;
    memset(map, 0, sizeof *map);
    if (run->n != 1 || run->training)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "this run is for %s%d pictures at once: to predict "
                         "one takes a run of sal_run_open", run->training ? "learning from " : "",
                         run->n);
    SAL__TRY_NEW(input, ctx, float, (size_t)3 * run->h * run->w);
    sal_result r = sal_preprocess(ctx, run->net, image, run->w, run->h, input);
    if (r == SAL_OK) r = sal_run_forward(ctx, run, input);
    sal_free(ctx, input);
    SAL__TRY(r);
    SAL__TRY(sal_postprocess(ctx, run->net, run->output, run->shape.w, run->shape.h, run->w, run->h,
                             image->w, image->h, map));
    if (image->rgba) sal__map_hide(image, map);
    return SAL_OK;
}

/* --- models by name --------------------------------------------------------------------------- */

SALDEF void sal_model_close(sal_ctx *ctx, sal_model *model) {
    sal_run_close(ctx, model->run);
    sal_net_free(ctx, model->net);
    memset(model, 0, sizeof *model);
}

/* The network in the file, or what is built in; kind: what it must be, SAL_KIND_COUNT: any. */
static sal_result sal__model_net(sal_ctx *ctx, const char *name, sal_kind kind,
                                 const char *weights, sal_net **net) {
    const char *from = weights ? weights : "what is built in";
    if (!weights && !ctx->weights)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "%s needs weights, and none are built in: name a "
                         "weights file", name);
    if (!weights) SAL__TRY(sal_net_load_words(ctx, ctx->weights, ctx->weights_size, from, net));
#ifdef SALIENCY_NO_STDIO
    else return sal__fail(ctx, SAL_ERR_UNSUPPORTED, "%s: built without files", weights);
#else
    else SAL__TRY(sal_net_load(ctx, weights, net));
#endif
    if (kind == SAL_KIND_COUNT || (*net)->desc.kind == kind) return SAL_OK;
    return sal__fail(ctx, weights ? SAL_ERR_SHAPE : SAL_ERR_ARGUMENT, "%s holds the network %s, "
                     "not %s%s", from, (*net)->name, name,
                     weights ? "" : ": name a weights file");
}

SALDEF sal_result sal_model_open(sal_ctx *ctx, const char *name, const char *weights,
                                 sal_model *model) {
    sal_kind kind = SAL_KIND_COUNT;
    sal_classical_kind simple = SAL_CLASSICAL_GBVS;
    int classical = name ? !sal_classical_from_name(name, &simple) : !weights && !ctx->weights;
    memset(model, 0, sizeof *model);
    if (classical && weights)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "%s has no weights; leave out the model or the "
                         "file %s", name, weights);
    if (classical) {
        model->classical = simple;
        snprintf(model->name, sizeof model->name, "%s", sal_classical_name(simple));
        return SAL_OK;
    }
    if (name && sal_kind_from_name(name, &kind))
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "there is no model called %s", name);
    sal_result r = sal__model_net(ctx, name, kind, weights, &model->net);
    if (r == SAL_OK) r = sal_run_open(ctx, model->net, 1, 0, 0, &model->run);
    if (r == SAL_OK) snprintf(model->name, sizeof model->name, "%s", model->net->name);
    else sal_model_close(ctx, model);
    return r;
}

SALDEF sal_result sal_model_resize(sal_ctx *ctx, sal_model *model, int w, int h) {
    sal_run *run;
    if (!model->net) return SAL_OK;
    SAL__TRY(sal_run_open(ctx, model->net, 1, w, h, &run));
    sal_run_close(ctx, model->run);
    model->run = run;
    return SAL_OK;
}

SALDEF sal_result sal_map_adjust(sal_ctx *ctx, sal_map *map, double blur, double power) {
    size_t n = (size_t)map->w * map->h;
    if (!(blur >= 0 && blur <= 1))
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "a blur of %g: it is a share of the map's long "
                         "side, from 0 to 1", blur);
    if (!(power == 0 || (power >= 0.01 && power <= 100)))
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "a power of %g: it is from 0.01 to 100", power);
    for (size_t i = 0; i < n; i++)
        if (!(map->data[i] >= 0 && map->data[i] <= FLT_MAX))
            return sal__fail(ctx, SAL_ERR_NUMERIC, "a map that is blurred or raised to a power "
                             "needs finite values from 0 on, not %g at x %d, y %d",
                             (double)map->data[i], (int)(i % map->w), (int)(i / map->w));
    sal__map_normalise(map);                    /* large values would overflow */
    if (blur > 0) {
        SAL__TRY(sal_blur(ctx, map->data, map->data, map->w, map->h,
                          blur * SAL__MAX(map->w, map->h), 4, SAL_BORDER_REPLICATE));
        sal__map_normalise(map);
    }
    for (size_t i = 0; power > 0 && i < n; i++) map->data[i] = powf(map->data[i], (float)power);
    return SAL_OK;
}

/* The map times the centre prior. */
static sal_result sal__map_center(sal_ctx *ctx, sal_map *map) {
    sal_map prior;
    SAL__TRY(sal_map_new(ctx, map->w, map->h, &prior));
    sal_center_prior(prior.data, map->w, map->h, SAL__CENTER, SAL__CENTER);
    for (size_t i = 0; i < (size_t)map->w * map->h; i++) map->data[i] *= prior.data[i];
    sal_map_free(ctx, &prior);
    sal__map_normalise(map);
    return SAL_OK;
}

SALDEF sal_result sal_model_predict(sal_ctx *ctx, sal_model *model, const sal_image *image,
                                    sal_map *map) {
    int is_center = !model->net && model->classical == SAL_CLASSICAL_CENTER;
    int adjusts = model->blur != 0 || model->power != 0;
    sal_image shown = *image;
    sal_result r;
    memset(map, 0, sizeof *map);
    if (adjusts) shown.rgba = NULL;         /* what is transparent is hidden once, at the end */
    if (model->net && (model->domain < 0 || model->domain >= SAL_DOMAIN_COUNT))
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "there is no domain %d: domains are 0 to %d",
                         model->domain, SAL_DOMAIN_COUNT - 1);
    if (model->net) {
        model->run->domain = &model->domain;
        r = sal_predict_run(ctx, model->run, &shown, map);
    } else r = sal_classical(ctx, model->classical, &shown, map);
    if (r == SAL_OK && model->center && !is_center) r = sal__map_center(ctx, map);
    if (r == SAL_OK && adjusts) {
        r = sal_map_adjust(ctx, map, model->blur, model->power);
        if (r == SAL_OK && image->rgba) sal__map_hide(image, map);
    }
    if (r != SAL_OK) sal_map_free(ctx, map);
    return r;
}

SALDEF sal_tensor sal_model_raw(const sal_model *model) {
    sal_tensor raw = SAL__ZEROED;
    if (!model->run) return raw;
    raw.ndim = 2;
    raw.dim[0] = model->run->shape.h;
    raw.dim[1] = model->run->shape.w;
    raw.data = (void *)(uintptr_t)model->run->output;
    return raw;
}

SALDEF sal_result sal_saliency(sal_ctx *ctx, const sal_image *image, sal_map *map) {
    sal_model model;
    memset(map, 0, sizeof *map);
    SAL__TRY(sal_model_open(ctx, NULL, NULL, &model));
    sal_result r = sal_model_predict(ctx, &model, image, map);
    sal_model_close(ctx, &model);
    return r;
}

/* --- self-test ------------------------------------------------------------------------------ */

/* A probe is a tiny network with fixed weights and a fixed input. What is stored of it are two
   random projections of its result, and two of all its gradients. */
typedef struct sal__probe {
    const char *kernel;
    void (*build)(sal__builder *b);
    int h, w, n;
    sal_dtype dtype;            /* of dense weights; other than F32: no gradients */
    double answer[4];
} sal__probe;

/* Pictures have three channels: from these to as many as are wanted. */
static int sal__probe_input(sal__builder *b, int channels) {
    return sal__conv_any(b, sal__input(b, 3), "first", channels, 1, 1, 0, 1, 1);
}

static void sal__probe_conv3(sal__builder *b) {
    sal__relu(b, sal__norm(b, sal__conv(b, sal__probe_input(b, 16), "c", 24, 3, 1, 1), "n"));
}
static void sal__probe_conv5(sal__builder *b) {
    sal__conv(b, sal__probe_input(b, 12), "c", 20, 5, 2, 1);
}
static void sal__probe_dilated(sal__builder *b) {
    sal__conv(b, sal__probe_input(b, 16), "c", 16, 3, 2, 2);
}
static void sal__probe_conv7(sal__builder *b) {
    sal__conv_any(b, sal__input(b, 3), "c", 20, 7, 2, 3, 1, 1);
}
static void sal__probe_conv1(sal__builder *b) {
    int x = sal__conv_any(b, sal__probe_input(b, 24), "c", 40, 1, 1, 0, 1, 1);
    sal__relu(b, sal__add(b, sal__conv_any(b, x, "d", 40, 1, 1, 0, 1, 1), x));
}
static void sal__probe_pooled(sal__builder *b) {
    sal__maxpool(b, sal__relu(b, sal__conv(b, sal__probe_input(b, 16), "c", 16, 3, 1, 1)), 2, 2,
                 SAL_PADDING_VALID);
}
static void sal__probe_depthwise(sal__builder *b) {
    int x = sal__conv_same(b, sal__probe_input(b, 20), "d", 0, 3, 1);
    sal__conv_same(b, sal__relu6(b, x), "s", 0, 3, 2);
}
static void sal__probe_wide(sal__builder *b) {
    int x = sal__relu6(b, sal__conv_same(b, sal__probe_input(b, 8), "c", 96, 1, 1));
    x = sal__relu6(b, sal__conv_same(b, x, "d", 0, 3, 1));
    sal__conv_same(b, x, "e", 4, 1, 1);
}
static void sal__probe_dense(sal__builder *b) {
    sal__dense(b, sal__probe_input(b, 9), "d", 70, 1, 1);
}
static void sal__probe_maxout(sal__builder *b) {
    int x = sal__maxpool(b, sal__probe_input(b, 6), 3, 2, SAL_PADDING_SAME);
    sal__maxout(b, sal__dense(b, x, "d", 48, 1, 1), 2, 24, 1, 1);
}
static void sal__probe_upsample(sal__builder *b) {
    int x = sal__probe_input(b, 7), in[2];
    in[0] = sal__mirror(b, sal__upsample(b, sal__maxpool(b, x, 2, 2, SAL_PADDING_VALID), x));
    in[1] = x;
    sal__concat(b, in, 2);
}
static void sal__probe_convlstm(sal__builder *b) {
    sal__convlstm(b, sal__probe_input(b, 16), "l", 3);
}
static void sal__probe_priors(sal__builder *b) {
    sal__prior(b, sal__gaussians(b, sal__probe_input(b, 2), "g", 6), "p", 4, 5);
}
static void sal__probe_softmax(sal__builder *b) {
    int x = sal__logprior(b, sal__probe_input(b, 1), "p", 2, 3, 4);
    sal__done(b, sal__layer(b, SAL_OP_SOFTMAX, "softmax", x));
}
static void sal__probe_dropout(sal__builder *b) {
    sal__conv(b, sal__dropout(b, sal__probe_input(b, 8)), "c", 8, 3, 1, 1);
}
/* In whole numbers: every layer has a range (and a mean of 0 in each channel). */
static void sal__probe_whole(sal__builder *b) {
    static const float range[2 + 24] = { -4, 4 };
    int x = sal__relu6(b, sal__conv_same(b, sal__input(b, 3), "first", 24, 3, 2));
    int y = sal__relu6(b, sal__conv_same(b, x, "d", 0, 3, 1));
    y = sal__add(b, sal__conv_same(b, y, "p", 24, 1, 1), x);
    y = sal__upsample(b, sal__relu6(b, sal__conv_same(b, y, "e", 20, 3, 2)), x);
    sal__conv_same(b, y, "out", 5, 1, 1);
    for (int i = 0; i < b->net->layers; i++) b->net->layer[i].range = range;
}

static const sal__probe sal__probes[] = {
    { "convolution 3 x 3", sal__probe_conv3, 18, 24, 1, SAL_DTYPE_F32,
      { 9.49965594, 7.74767649, 44.6670267, 137.285421 } },
    { "convolution 3 x 3, small maps", sal__probe_conv3, 8, 8, 2, SAL_DTYPE_F32,
      { 5.17185888, -6.60832683, 104.308162, 56.8160541 } },
    { "convolution 5 x 5", sal__probe_conv5, 16, 20, 1, SAL_DTYPE_F32,
      { 41.3040727, -99.6840963, -326.624198, -484.222253 } },
    { "convolution 3 x 3, dilated", sal__probe_dilated, 14, 16, 1, SAL_DTYPE_F32,
      { -27.0460549, 15.5757503, 193.913106, -164.128539 } },
    { "convolution 7 x 7, stride 2", sal__probe_conv7, 22, 26, 1, SAL_DTYPE_F32,
      { 29.6806609, 13.6321421, 65.1195075, -59.9536257 } },
    { "convolution 1 x 1", sal__probe_conv1, 11, 13, 1, SAL_DTYPE_F32,
      { 21.3215039, -66.1075208, -105.876281, 121.627389 } },
    { "convolution and pooling", sal__probe_pooled, 12, 24, 1, SAL_DTYPE_F32,
      { -29.4432965, -45.8171859, 351.627898, -74.839939 } },
    { "depthwise convolution", sal__probe_depthwise, 15, 18, 1, SAL_DTYPE_F32,
      { 8.36684122, -19.1893035, -29.0628125, 51.6160179 } },
    { "depthwise convolution behind a wide one", sal__probe_wide, 38, 38, 1, SAL_DTYPE_F32,
      { -20.0878256, 5.06836645, 43.5581682, -163.814056 } },
    { "dense layer, F32", sal__probe_dense, 8, 8, 1, SAL_DTYPE_F32,
      { 8.91660738, -5.31371133, 45.7798039, 16.1649706 } },
    { "dense layer, F16", sal__probe_dense, 8, 8, 1, SAL_DTYPE_F16,
      { 8.91667951, -5.31515434, 0, 0 } },
    { "dense layer, BF16", sal__probe_dense, 8, 8, 1, SAL_DTYPE_BF16,
      { 8.9170011, -5.30999687, 0, 0 } },
    { "dense layer, I8", sal__probe_dense, 8, 8, 1, SAL_DTYPE_I8,
      { 8.95696579, -5.3377295, 0, 0 } },
    { "dense layer, several pictures", sal__probe_dense, 8, 8, 5, SAL_DTYPE_F32,
      { -5.39012989, 8.22602705, -93.1070127, -71.9150769 } },
    { "pooling and maxout", sal__probe_maxout, 12, 12, 1, SAL_DTYPE_F32,
      { 7.28400766, 5.23421883, 10.593846, -28.7733046 } },
    { "resizing and mirroring", sal__probe_upsample, 10, 14, 1, SAL_DTYPE_F32,
      { -3.61600311, -35.9559331, -46.7617292, -3.41128292 } },
    { "attentive ConvLSTM", sal__probe_convlstm, 8, 10, 1, SAL_DTYPE_F32,
      { 2.74304184, 8.04629536, 8.54677209, 8.07174687 } },
    { "priors", sal__probe_priors, 12, 15, 1, SAL_DTYPE_F32,
      { -4.05447879, -2.76813154, 1.89698813, 18.0829552 } },
    { "softmax and log-prior", sal__probe_softmax, 9, 11, 1, SAL_DTYPE_F32,
      { -0.018372613, 0.122096979, 0.289640728, -0.0325869163 } },
    { "dropout", sal__probe_dropout, 10, 12, 2, SAL_DTYPE_F32,
      { 8.16474184, -15.6690075, 0.927562032, -123.593957 } },
    { "whole numbers", sal__probe_whole, 26, 34, 1, SAL_DTYPE_I8,
      { -34.4336967, -4.93109442, 0, 0 } }
};

/* Fixed weights, of a size that keeps values near 1. */
static sal_result sal__probe_weights(sal_ctx *ctx, sal_net *net, sal_dtype dtype) {
    sal_rng rng = { 52 };
    for (int i = 0; i < net->params; i++) {
        sal_param *p = &net->param[i];
        SAL__TRY(sal__param_own(ctx, p));
        size_t n = sal_tensor_count(&p->value);
        int positive = strstr(p->name, "var") || strstr(p->name, "params");
        float *w = (float *)p->value.data;
        float reach = p->value.ndim < 2 ? 0.5f : (float)sqrt(3.0 * p->value.dim[0] / (double)n);
        for (size_t k = 0; k < n; k++)
            w[k] = (float)(positive ? 0.25 + sal_rng_uniform(&rng) / 2
                                    : reach * (2 * sal_rng_uniform(&rng) - 1));
        if (dtype != SAL_DTYPE_F32 && p->value.ndim == 2) {
            sal_tensor other;
            SAL__TRY(sal_tensor_convert(ctx, &p->value, dtype, &other));
            sal_free(ctx, w);
            p->value = other;
        }
    }
    return SAL_OK;
}

/* Adds two projections of x, and its squares. */
static void sal__project_on(double sum[3], const float *x, size_t n, sal_rng *rng) {
    for (size_t i = 0; x && i < n; i++) {
        uint64_t bits = sal_rng_next(rng);
        sum[0] += bits & 1 ? x[i] : -x[i];
        sum[1] += bits & 2 ? x[i] : -x[i];
        sum[2] += (double)x[i] * x[i];
    }
}

static double sal__off(const double sum[3], const double answer[2]) {
    double a = fabs(sum[0] - answer[0]), b = fabs(sum[1] - answer[1]);
    double off = SAL__MAX(a, b) / sqrt(sum[2] + 1e-30);
    return off >= 0 && a >= 0 && b >= 0 ? off : 1;      /* not a number: all wrong */
}

/* Forward, or backward: what is off; sum gets what was found. */
static sal_result sal__probe_run(sal_ctx *ctx, sal_net *net, const sal__probe *p, int backward,
                                 double sum[3]) {
    sal_run_desc desc = SAL__ZEROED;
    sal_run *run = NULL;
    sal_rng rng = { 7 };
    float *input, *dout = NULL;
    size_t n = (size_t)p->n * 3 * p->h * p->w, outs = 0;
    desc.n = p->n; desc.training = desc.fixed_norm = desc.input_gradient = backward;
    SAL__TRY_NEW(input, ctx, float, n);
    for (size_t i = 0; i < n; i++) input[i] = (float)(2 * sal_rng_uniform(&rng) - 1);
    sal_result r = sal_run_open_desc(ctx, net, &desc, &run);
    if (r == SAL_OK) r = sal_run_forward(ctx, run, input);
    if (r == SAL_OK) outs = (size_t)p->n * sal__shape_count(run->shape);
    if (r == SAL_OK && backward) {
        dout = SAL__NEW(ctx, float, outs);
        for (size_t i = 0; dout && i < outs; i++) dout[i] = (float)(2 * sal_rng_uniform(&rng) - 1);
        sal_run_clear(run);
        r = dout ? sal_run_backward(ctx, run, dout) : SAL_ERR_MEMORY;
    }
    if (r == SAL_OK)
        r = sal_run_fetch(ctx, run, NULL, SAL_RUN_VALUES | (backward ? SAL_RUN_GRADIENTS : 0));
    memset(sum, 0, 3 * sizeof *sum);
    rng.state = 99;
    if (r == SAL_OK && !backward) sal__project_on(sum, run->output, outs, &rng);
    for (int i = 0; r == SAL_OK && backward && i < net->params; i++)
        sal__project_on(sum, run->gradient[i], sal_tensor_count(&net->param[i].value), &rng);
    if (r == SAL_OK && backward) sal__project_on(sum, run->value[0].grad, n, &rng);
    sal_run_close(ctx, run);
    sal_free(ctx, dout); sal_free(ctx, input);
    return r;
}

/* Three updates of Adam. */
static void sal__probe_adam(sal_ctx *ctx, const sal_backend *backend, double sum[3]) {
    float w[100], m[100] = { 0 }, a[100] = { 0 }, g[100];
    sal_rng rng = { 3 };
    for (int i = 0; i < 100; i++) w[i] = (float)sal_rng_uniform(&rng);
    for (int step = 1; step <= 3; step++) {
        for (int i = 0; i < 100; i++) g[i] = (float)(2 * sal_rng_uniform(&rng) - 1);
        if (backend->adam) backend->adam(ctx, w, m, a, g, 100, .1, .9, .999, 1e-8, .01, step);
        else sal_adam_update(w, m, a, g, 100, .1, .9, .999, 1e-8, .01, step);
    }
    memset(sum, 0, 3 * sizeof *sum);
    sal__project_on(sum, w, 100, &rng);
}

/* The checksum of POSIX's cksum: a CRC of the bytes and of their number. */
static uint32_t sal__cksum(const uint64_t *words, size_t size) {
    uint32_t table[256], crc = 0;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t x = i << 24;
        for (int bit = 0; bit < 8; bit++) x = x << 1 ^ (x >> 31 ? 0x04C11DB7u : 0);
        table[i] = x;
    }
    for (size_t i = 0; i < size; i++)
        crc = crc << 8 ^ table[(crc >> 24 ^ (uint32_t)(words[i / 8] >> i % 8 * 8)) & 255];
    for (; size; size >>= 8) crc = crc << 8 ^ table[(crc >> 24 ^ (uint32_t)size) & 255];
    return ~crc;
}

SALDEF sal_result sal_self_test(sal_ctx *ctx, void (*report)(void *user, const char *kernel,
                                                             double error), void *user) {
    const sal_backend *backend = ctx->backend ? ctx->backend : sal_backend_cpu();
    char first[100] = "", name[100];
    double worst = 0;
    for (int i = 0; i < SAL__COUNT(sal__probes); i++) {
        const sal__probe *p = &sal__probes[i];
        sal_net_desc desc = sal_net_desc_default(SAL_KIND_JUNTINGNET);
        sal_net *net;
        if (p->build == sal__probe_whole && !backend->whole) continue;
        desc.h = p->h; desc.w = p->w; desc.dropout = 0.5f;
        SAL__TRY(sal__net_build(ctx, &desc, "self-test", 1, p->build, &net));
        sal_result r = sal__probe_weights(ctx, net, p->dtype);
        for (int back = 0; r == SAL_OK && back < 1 + (p->dtype == SAL_DTYPE_F32); back++) {
            double sum[3], off;
            r = sal__probe_run(ctx, net, p, back, sum);
            if (r != SAL_OK) break;
            off = sal__off(sum, p->answer + 2 * back);
            snprintf(name, sizeof name, "%s%s", p->kernel, back ? ", gradients" : "");
            if (report) report(user, name, off);
            if (off >= 1e-3 && !*first) { strcpy(first, name); worst = off; }
        }
        sal_net_free(ctx, net);
        SAL__TRY(r);
    }
    if (!backend->device) {
        static const double answer[2] = { .417086, 1.431745 };
        double sum[3], off;
        sal__probe_adam(ctx, backend, sum);
        off = sal__off(sum, answer);
        if (report) report(user, "Adam", off);
        if (off >= 1e-3 && !*first) { strcpy(first, "Adam"); worst = off; }
    }
    if (ctx->weights && ctx->weights_check) {
        int right = sal__cksum(ctx->weights, ctx->weights_size) == ctx->weights_check;
        if (report) report(user, "built-in weights", !right);
        if (!right && !*first)
            return sal__fail(ctx, SAL_ERR_NUMERIC, "self-test: the built-in weights are damaged: "
                             "compile the program again, from a fresh saliency_lite.h");
    }
    if (!*first) return SAL_OK;
    return sal__fail(ctx, SAL_ERR_NUMERIC,
                     "self-test: the kernel \"%s\" of the backend %s is wrong "
                     "(off by %.1e of its size): compile with SALIENCY_NO_SIMD or less "
                     "optimisation, or use sal_backend_ref()", first, backend->name, worst);
}

/* ============================================================================================
   >>explain  what a map depends on, where a network looks
   ========================================================================================== */

/* A run on the CPU after forward on the picture, with running statistics as in prediction, that can
   go backward to `layer`. The caller closes it and frees *input, also after a failure. */
static sal_result sal__explain_run(sal_ctx *ctx, sal_net *net, const sal_image *image, int layer,
                                   const int *domain, float **input, sal_run **run) {
    sal_run_desc d = SAL__ZEROED;
    const sal_backend *backend = ctx->backend;
    int h = net->desc.h, w = net->desc.w;
    d.training = d.fixed_norm = d.input_gradient = 1;
    d.freeze = "*"; d.gradient_of = layer;
    *run = NULL;
    SAL__TRY_NEW(*input, ctx, float, (size_t)3 * h * w);
    if (backend && backend->device) ctx->backend = NULL;
    sal_result r = sal_preprocess(ctx, net, image, w, h, *input);
    if (r == SAL_OK) r = sal_run_open_desc(ctx, net, &d, run);
    if (r == SAL_OK) { (*run)->domain = domain; r = sal_run_forward(ctx, *run, *input); }
    ctx->backend = backend;
    return r;
}

/* A copy of the network that drops nothing out. Its layers are to be freed. */
static sal_result sal__explain_net(sal_ctx *ctx, const sal_net *net, sal_net *own) {
    *own = *net;
    SAL__TRY_NEW(own->layer, ctx, sal_layer, net->layers);
    for (int i = 0; i < net->layers; i++) { own->layer[i] = net->layer[i]; own->layer[i].rate = 0; }
    return SAL_OK;
}

/* 1 if the centre of cell x (of n over an input `side` long, of which `part` pixels from `from` on
   show `sources` pixels of the picture from `source` on) is in [at, at + size) of the picture. */
static int sal__in_region(int x, int n, int side, int from, int part, int source, int sources,
                          int at, int size) {
    double centre = ((x + .5) * side / n - from) * sources / part + source;
    return centre >= at && centre < (double)at + size;
}

/* The number that is explained, of the run's output, and its gradient. */
static sal_result sal__explain_target(sal_ctx *ctx, const sal_run *run, const sal_image *image,
                                      const sal_explain_desc *d, float *dout, double *target) {
    const sal_net *net = run->net;
    int h = run->shape.h, w = run->shape.w, count = 0;
    sal__frame f = sal__frame_of(net->desc.fit, image->w, image->h, run->w, run->h);
    double sum = 0, squares = 0;
    SAL__TRY(sal__net_finite(ctx, net, run->output, (size_t)h * w));
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            int in = d->w < 1 ||
                (sal__in_region(x, w, run->w, f.x, f.w, f.sx, f.sw, d->x, d->w) &&
                 sal__in_region(y, h, run->h, f.y, f.h, f.sy, f.sh, d->y, d->h));
            dout[y * w + x] = (float)in;
            count += in;
            sum += in * (double)run->output[y * w + x];
        }
    if (!count && (d->x >= image->w || d->y >= image->h))
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "the region %d,%d,%d,%d lies outside of the "
                         "picture of %d x %d", d->x, d->y, d->w, d->h, image->w, image->h);
    if (!count)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "no pixel of %s's map of %d x %d has its centre in "
                         "the region %d,%d,%d,%d: make it larger", net->name, w, h, d->x, d->y,
                         d->w, d->h);
    if (count == h * w && d->of == SAL_EXPLAIN_MEAN &&
        net->layer[net->layers - 1].op == SAL_OP_SOFTMAX)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "%s's map always sums to one, so its mean depends "
                         "on nothing: explain its variance, or a region", net->name);
    sum /= count;
    for (int i = 0; i < h * w; i++) {
        double off = run->output[i] - sum;
        squares += dout[i] * off * off;
        dout[i] *= (float)((d->of == SAL_EXPLAIN_MEAN ? 1 : 2 * off) / count);
    }
    *target = d->of == SAL_EXPLAIN_MEAN ? sum : squares / count;
    return SAL_OK;
}

SALDEF void sal_explanation_free(sal_ctx *ctx, sal_explanation *e) {
    sal_free(ctx, e->part);
    sal_map_free(ctx, &e->map);
    memset(e, 0, sizeof *e);
}

SALDEF sal_result sal_explain(sal_ctx *ctx, const sal_net *net, const sal_image *image,
                              const sal_explain_desc *desc, sal_explanation *out) {
    sal_net own;
    sal_run *run = NULL;
    float *input = NULL, *dout = NULL, *sums = NULL;
    memset(out, 0, sizeof *out);
    if (desc->layer < 0 || desc->layer >= net->layers)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "%s has no layer %d: its layers are 0 to %d",
                         net->name, desc->layer, net->layers - 1);
    if (desc->domain < 0 || desc->domain >= SAL_DOMAIN_COUNT)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "there is no domain %d: domains are 0 to %d",
                         desc->domain, SAL_DOMAIN_COUNT - 1);
    if ((unsigned)desc->of > SAL_EXPLAIN_VARIANCE || desc->w < 0 || desc->h < 0)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "there is no kind %d of a region of %d x %d to "
                         "explain: kinds are 0 and 1", (int)desc->of, desc->w, desc->h);
    int layer = desc->layer;
    while (net->layer[layer].op == SAL_OP_DROPOUT) layer = net->layer[layer].input[0];
    SAL__TRY(sal__explain_net(ctx, net, &own));
    sal_result r = sal__explain_run(ctx, &own, image, layer, &desc->domain, &input, &run);
    if (r == SAL_OK) {
        size_t n = (size_t)run->shape.h * run->shape.w;
        dout = SAL__NEW(ctx, float, n);
        r = dout ? sal__explain_target(ctx, run, image, desc, dout, &out->target) : SAL_ERR_MEMORY;
    }
    if (r == SAL_OK) r = sal_run_backward(ctx, run, dout);
    if (r == SAL_OK) {
        const sal_value *v = &run->value[sal__root(run, layer)];
        sal_shape s = out->shape = v->shape;
        size_t area = (size_t)s.h * s.w, n = s.c * area;
        out->part = SAL__NEW(ctx, float, n);
        sums = SAL__NEW(ctx, float, area);
        if (!out->part || !sums) r = SAL_ERR_MEMORY;
        for (size_t i = 0; r == SAL_OK && i < n; i++) {
            out->part[i] = v->grad[i] * v->data[i];
            sums[i % area] += out->part[i];
        }
        if (r == SAL_OK) r = sal__net_finite(ctx, net, out->part, n);
        for (size_t i = 0; r == SAL_OK && i < area; i++) sums[i] = fabsf(sums[i]);
        if (r == SAL_OK) r = sal__to_picture(ctx, own.desc.fit, sums, s.h, s.w, run->h, run->w,
                                             image->w, image->h, &out->map);
        if (r == SAL_OK) sal__map_normalise(&out->map);
    }
    if (r != SAL_OK) sal_explanation_free(ctx, out);
    sal_run_close(ctx, run);
    sal_free(ctx, input); sal_free(ctx, dout); sal_free(ctx, sums); sal_free(ctx, own.layer);
    return r;
}

SALDEF sal_result sal_attention(sal_ctx *ctx, const sal_net *net, const sal_image *image, int step,
                                sal_map *map) {
    sal_net own;
    sal_run *run = NULL;
    float *input = NULL;
    int i = 0;
    memset(map, 0, sizeof *map);
    if (step < 1 || step > net->desc.steps)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "there is no step %d: %s has %d steps of a "
                         "ConvLSTM", step, net->name, net->desc.steps);
    SAL__TRY(sal__explain_net(ctx, net, &own));
    while (own.layer[i].op != SAL_OP_CONVLSTM) i++;
    sal_result r = sal__explain_run(ctx, &own, image, i, NULL, &input, &run);
    if (r == SAL_OK) {
        sal_shape s = run->value[i].shape;
        float *v[SAL__LSTM_VALUES], *states = (float *)run->value[i].aux;
        sal__lstm_at(v, states + (step - 1) * sal__lstm_step(1, s.c, s.h, s.w),
                     sal__shape_count(s));
        r = sal__net_finite(ctx, net, v[SAL__LSTM_A], (size_t)s.h * s.w);
        if (r == SAL_OK)
            r = sal__to_picture(ctx, own.desc.fit, v[SAL__LSTM_A], s.h, s.w, run->h, run->w,
                                image->w, image->h, map);
        if (r == SAL_OK) sal__map_normalise(map);
    }
    sal_run_close(ctx, run);
    sal_free(ctx, input); sal_free(ctx, own.layer);
    return r;
}

/* ============================================================================================
   >>crop  the part of a picture that matters
   ========================================================================================== */

/* A strip is the part of the map between two heights, which may lie within pixels: the saliency of
   a pixel is spread evenly over it. The sums over the columns left of x are what a summed-area
   table (Crow 1984) holds in its row `bottom` less what it holds in its row `top`: any box in the
   strip takes two of them. A strip that slides down needs no more of that table. */
typedef struct sal__crop {
    int w, h;                   /* of the map */
    const float *data;          /* the map with its boost, nothing negative */
    size_t pitch;               /* from row to row */
    float *peak;                /* (h) of the rows of the map alone */
    double total, top, bottom;  /* the whole saliency; the strip */
    double *column, *sum;       /* its columns (w), and those left of x (w + 2) */
    double *gain, *tilt;        /* of a box at x (w) */
    double bw, bh;              /* the box */
    const sal_box *taken;       /* boxes that may not be overlapped */
    int takens;
    sal__segment **row;         /* NULL: regions may be cut; each row's list ends with start = w */
    int *side, *line;           /* (w + 1) cuts left of x, and through a row left of x */
    int above, below;           /* the rows that `side` counts */
} sal__crop;

/* The part of the pixel i that lies between two places. */
static double sal__crop_part(int i, double from, double to) {
    return sal__clamp(SAL__MIN(to, i + 1) - SAL__MAX(from, i), 0, 1);
}

/* Makes the columns those of this strip, by the rows that enter and leave, or anew. */
static void sal__crop_strip(sal__crop *c, double top, double bottom) {
    if (fabs(top - c->top) + fabs(bottom - c->bottom) > bottom - top) {
        memset(c->column, 0, (size_t)c->w * sizeof *c->column);
        c->top = c->bottom = top;
    }
    for (int y = (int)SAL__MIN(top, c->top); y < c->h && y < SAL__MAX(bottom, c->bottom); y++) {
        double change = sal__crop_part(y, top, bottom) - sal__crop_part(y, c->top, c->bottom);
        const float *in = c->data + y * c->pitch;
        if (change < 0 || change > 0)
            for (int x = 0; x < c->w; x++) c->column[x] += change * in[x];
    }
    c->top = top; c->bottom = bottom;
}

/* The saliency inside of a box, whose rows become the strip. */
static double sal__crop_take(sal__crop *c, double left, double top, double w, double h) {
    double inside = 0;
    if (c->top != top || c->bottom != top + h) sal__crop_strip(c, top, top + h);
    for (int x = (int)left; x < c->w && x < left + w; x++)
        inside += sal__crop_part(x, left, left + w) * c->column[x];
    return inside;
}

static sal_result sal__crop_open(sal_ctx *ctx, sal__arena *arena, const sal_map *map,
                                 const sal_map *boost, sal__crop *c) {
    int w = map->w, h = map->h;
    size_t n = (size_t)w * h;
    float low = 0;
    memset(c, 0, sizeof *c);
    c->w = w; c->h = h;
    c->data = map->data;
    c->pitch = (size_t)w;
    SAL__TRY_PUT(c->column, ctx, arena, double, (size_t)4 * (w + 2));
    c->sum = c->column + w + 2; c->gain = c->sum + w + 2; c->tilt = c->gain + w + 2;
    SAL__TRY_PUT(c->peak, ctx, arena, float, h);
    for (int y = 0; y < h; y++) {
        const float *in = map->data + (size_t)y * w;
        float high = 0;
        for (int x = 0; x < w; x++) {
            low = SAL__MIN(low, in[x]);
            high = SAL__MAX(high, in[x]);
            c->column[x] += in[x];
        }
        c->peak[y] = high;
    }
    c->bottom = h;
    if (boost || low < 0) {
        float *data;
        SAL__TRY_PUT(data, ctx, arena, float, n);
        for (size_t i = 0; i < n; i++) {
            float v = boost ? map->data[i] + boost->data[i] : map->data[i];
            data[i] = v < 0 ? 0 : v;
        }
        c->data = data;
        memset(c->column, 0, (size_t)w * sizeof *c->column);
        c->bottom = 0;
    }
    c->total = sal__crop_take(c, 0, 0, w, h);
    if (!(c->total <= DBL_MAX))
        return sal__fail(ctx, SAL_ERR_NUMERIC, "the map, or its boost, has a value that is not "
                         "finite: there is no best box");
    if (!(c->total > 0)) {              /* all pixels count the same */
        float *ones;
        SAL__TRY_PUT(ones, ctx, arena, float, w);
        for (int x = 0; x < w; x++) { ones[x] = 1; c->column[x] = h; }
        c->data = ones;
        c->pitch = 0;
        c->total = (double)w * h;
    }
    return SAL_OK;
}

/* --- regions that shall not be cut ------------------------------------------------------------ */

/* Regions are pixels above this share of the maximum that touch at their sides; those larger than
   the box do not count, as every box would cut or miss them. */
static sal_result sal__crop_regions(sal_ctx *ctx, sal__arena *arena, const sal_map *map,
                                    double share, sal__crop *c) {
    int w = map->w, h = map->h;
    double level = 0;
    sal__segment *found, *a, *b;
    SAL__TRY_PUT(c->row, ctx, arena, sal__segment *, h);
    SAL__TRY_PUT(c->side, ctx, arena, int, (size_t)2 * (w + 1));
    SAL__TRY_PUT(found, ctx, arena, sal__segment, w / 2 + 2);
    c->line = c->side + w + 1;
    for (int y = 0; y < h; y++) level = SAL__MAX(level, share * c->peak[y]);
    for (int y = 0; y < h; y++) {
        const float *in = map->data + (size_t)y * w;
        int count = 0;
        for (int x = c->peak[y] > level ? 0 : w, start; x < w; ) {
            while (x + 4 <= w && SAL__MAX(SAL__MAX(in[x], in[x + 1]),
                                          SAL__MAX(in[x + 2], in[x + 3])) <= level)
                x += 4;                     /* most pixels are below: only faster */
            while (x < w && !(in[x] > level)) x++;
            for (start = x; x < w && in[x] > level; ) x++;
            sal__segment_begin(&found[count], start, x, y);
            count += x > start;
        }
        sal__segment_begin(&found[count], w, w, y);
        SAL__TRY_PUT(c->row[y], ctx, arena, sal__segment, count + 1);
        memcpy(c->row[y], found, (size_t)(count + 1) * sizeof *found);
        for (b = c->row[y]; b->start < w; b++) b->root = b;
        if (y > 0) sal__segment_rows(c->row[y - 1], c->row[y], w, 0);
    }
    for (int y = 0; y < h; y++)
        for (a = c->row[y]; a->start < w; a++) {
            b = sal__segment_root(a);
            if (b->right - b->left > c->bw || b->bottom - b->top > c->bh) a->end = a->start;
        }
    return SAL_OK;
}

/* Takes from the gains at this height what the boxes cut of regions: the fewest cuts first, then
   saliency. A side of a box cuts runs; top and bottom cut where runs touch across them. */
static void sal__crop_cuts(sal__crop *c, int top, int count) {
    int w = (int)c->bw, h = (int)c->bh, *side = c->side, *line = c->line;
    double cost = 2 * c->total;
    if (c->above > top) {               /* another search */
        c->above = c->below = 0;
        memset(side, 0, (size_t)(c->w + 1) * sizeof *side);
    }
    while (c->above < top || c->below < top + h) {
        int enters = c->below < top + h;
        for (const sal__segment *a = c->row[enters ? c->below : c->above]; a->start < c->w; a++)
            for (int x = a->start + 1; x < a->end; x++) side[x] += enters ? 1 : -1;
        if (enters) c->below++; else c->above++;
    }
    memset(line, 0, (size_t)(c->w + 1) * sizeof *line);
    for (int y = top; y <= top + h; y += h) {
        const sal__segment *a = y > 0 && y < c->h ? c->row[y - 1] : NULL, *b = a ? c->row[y] : NULL;
        while (a && a->start < c->w && b->start < c->w) {
            for (int x = SAL__MAX(a->start, b->start); x < SAL__MIN(a->end, b->end); x++)
                line[x + 1]++;
            if (a->end < b->end) a++; else b++;
        }
    }
    for (int x = 0; x < c->w; x++) line[x + 1] += line[x];
    for (int i = 0; i < count; i++)
        c->gain[i] -= cost * (side[i] + side[i + w] + line[i + w] - line[i]);
}

/* --- the search ------------------------------------------------------------------------------- */

/* The gains of the `count` boxes whose top is y, what is inside less the tilt, and the highest of
   them. The strip, which holds whole rows from y on, moves down by one. */
static double sal__crop_gains(sal__crop *c, int y, int count) {
    int n = (int)c->bw, m = (int)c->bh, moves = y + m < c->h;
    double fx = c->bw - n, fy = c->bh - m, sum = 0, most = -HUGE_VAL;   /* fy is 0 at the last y */
    const float *leaves = c->data + y * c->pitch, *enters = leaves + moves * m * c->pitch;
    for (int x = 0; x < c->w; x++) {
        c->sum[x] = sum;
        sum += c->column[x] + fy * enters[x];
        c->column[x] += (double)enters[x] - leaves[x];
    }
    c->sum[c->w] = c->sum[c->w + 1] = sum;
    c->top = y + moves;
    c->bottom = c->top + m;
    for (int i = 0; i < count; i++) {
        c->gain[i] = (1 - fx) * c->sum[i + n] + fx * c->sum[i + n + 1] - c->sum[i] - c->tilt[i];
        most = SAL__MAX(most, c->gain[i]);
    }
    return most;
}

/* Boxes at this height that would overlap one that is taken gain nothing. */
static void sal__crop_exclude(sal__crop *c, int y, int count) {
    int n = (int)c->bw, m = (int)c->bh;
    for (int k = 0; k < c->takens; k++) {
        const sal_box *t = &c->taken[k];
        if (y >= t->y + t->h || y + m <= t->y) continue;
        for (int i = SAL__MAX(0, t->x - n + 1); i < SAL__MIN(count, t->x + t->w); i++)
            c->gain[i] = -HUGE_VAL;
    }
}

/* The best position among whole pixels; 0 if there is none. A tilt of a hundred-millionth of all
   saliency decides between equal ones. */
static int sal__crop_scan(sal__crop *c, int *left, int *top) {
    int count = (int)(c->w - c->bw) + 1, found = 0;
    double best = -HUGE_VAL, tilt = 1e-8 * c->total;
    for (int i = 0; i < count; i++) c->tilt[i] = tilt * fabs(i + c->bw / 2 - c->w / 2.0) / c->w;
    sal__crop_strip(c, 0, (int)c->bh);
    for (int y = 0; y + c->bh <= c->h; y++) {
        double lower = tilt * fabs(y + c->bh / 2 - c->h / 2.0) / c->h;
        if (sal__crop_gains(c, y, count) - lower <= best) continue;
        if (c->row) sal__crop_cuts(c, y, count);
        sal__crop_exclude(c, y, count);
        for (int i = 0; i < count; i++)
            if (c->gain[i] - lower > best) {
                best = c->gain[i] - lower;
                *left = i;
                *top = y;
                found = 1;
            }
    }
    return found;
}

/* As the saliency of a pixel is even, that of a box is bilinear in its position wherever no side
   meets a pixel's border: the best one within a pixel has one side in x and one in y on borders. */
static void sal__crop_refine(sal__crop *c, double *left, double *top) {
    double x[5], y[5], best = sal__crop_take(c, *left, *top, c->bw, c->bh) + 1e-8 * c->total;
    double from_x = *left, from_y = *top;
    for (int i = 0; i < 5; i++) {
        double shift = i < 3 ? i - 1 : i - 3;
        x[i] = sal__clamp(from_x + shift - (i < 3 ? 0 : c->bw - (int)c->bw), 0, c->w - c->bw);
        y[i] = sal__clamp(from_y + shift - (i < 3 ? 0 : c->bh - (int)c->bh), 0, c->h - c->bh);
    }
    for (int k = 0; k < 5; k++)
        for (int i = 0; i < 5; i++) {
            double inside = sal__crop_take(c, x[i], y[k], c->bw, c->bh);
            if (inside > best) { best = inside; *left = x[i]; *top = y[k]; }
        }
}

/* A side in the picture, without a rounding error beside a whole number. */
static double sal__crop_side(double side, int limit) {
    double whole = floor(side + 0.5);
    return sal__clamp(fabs(side - whole) < 1e-6 ? whole : side, 1e-3, limit);
}

/* The largest box of this aspect that has at most this area and fits. */
static void sal__crop_size(sal__crop *c, double aspect, double area) {
    double w = sqrt(area * c->w * c->h * aspect), h = w / aspect;
    double fit = SAL__MIN(1, SAL__MIN(c->w / w, c->h / h));
    c->bw = sal__crop_side(w * fit, c->w); c->bh = sal__crop_side(h * fit, c->h);
}

static double sal__crop_whole(double side, int limit) {
    return sal__clamp(floor(side + 0.5), 1, limit);
}

/* Makes the box the smallest of the shape w x h whose best place keeps enough, and returns its
   longer side in pixels, `low` or more: what a size keeps grows with it. First the sizes beside the
   guess are tried, then the interval is halved. The map holds blocks of block x block pixels. */
static int sal__crop_smallest(sal__crop *c, double w, double h, double keep, int low, int block,
                              int guess) {
    double side = SAL__MAX(w, h);
    int high = (int)ceil(side), x, y;
    for (int step = 1; ; step = step < high ? 4 * step : step) {
        int middle = guess >= low && guess < high ? guess : (low + high) / 2;
        c->bw = sal__crop_whole(w * middle / side, c->w * block) / block;
        c->bh = sal__crop_whole(h * middle / side, c->h * block) / block;
        if (low >= high) return low;
        if (sal__crop_scan(c, &x, &y) &&
            sal__crop_take(c, x, y, c->bw, c->bh) >= (keep - 1e-9) * c->total) {
            high = middle; guess = middle - step;
        } else { low = middle + 1; guess = middle + step; }
    }
}

/* For a large map the guess comes from one of at most 128 x 128 blocks. */
static sal_result sal__crop_zoom(sal_ctx *ctx, sal__arena *arena, const sal_crop_desc *d,
                                 double aspect, sal__crop *c) {
    int block = 1 + SAL__MAX(c->w, c->h) / 128, low = 1, guess = -1;
    if (d->area > 0) low = (int)ceil(SAL__MAX(c->bw, c->bh));
    sal__crop_size(c, aspect, 1);
    double w = c->bw, h = c->bh;
    if (block > 1) {
        sal__crop coarse;
        sal_map blocks;
        SAL__TRY(sal__map_put(ctx, arena, (c->w + block - 1) / block, (c->h + block - 1) / block,
                              &blocks));
        for (int y = 0, i = 0; y < blocks.h; y++)
            for (int x = 0; x < blocks.w; x++)
                blocks.data[i++] = (float)sal__crop_take(c, x * block, y * block, block, block);
        SAL__TRY(sal__crop_open(ctx, arena, &blocks, NULL, &coarse));
        guess = sal__crop_smallest(&coarse, w, h, d->keep, low, block, -1);
    }
    sal__crop_smallest(c, w, h, d->keep, low, 1, guess);
    return SAL_OK;
}

/* The description has been checked. */
static sal_result sal__crop_boxes(sal_ctx *ctx, sal__arena *arena, const sal_map *map,
                                  const sal_crop_desc *d, sal_box *box) {
    sal__crop c;
    int x, y, sized = d->w && d->h;
    SAL__TRY(sal__crop_open(ctx, arena, map, d->boost, &c));
    c.taken = box;
    double aspect = d->aspect > 0 ? d->aspect : (double)c.w / c.h;
    double area = d->area > 0 ? d->area : 1;
    if (sized) {
        aspect = (double)d->w / d->h;
        area = (double)d->w * d->h / c.w / c.h;
    }
    sal__crop_size(&c, aspect, area);
    if (d->keep > 0 && !sized) SAL__TRY(sal__crop_zoom(ctx, arena, d, aspect, &c));
    if (d->uncut > 0 || d->boxes > 1) {
        c.bw = sal__crop_whole(c.bw, c.w); c.bh = sal__crop_whole(c.bh, c.h);
    }
    if (d->uncut > 0) SAL__TRY(sal__crop_regions(ctx, arena, map, d->uncut, &c));
    for (; c.takens < d->boxes && sal__crop_scan(&c, &x, &y); c.takens++) {
        sal_box *b = &box[c.takens];
        b->left = x; b->top = y;
        if (c.bw > floor(c.bw) || c.bh > floor(c.bh)) sal__crop_refine(&c, &b->left, &b->top);
        b->right = b->left + c.bw; b->bottom = b->top + c.bh;
        b->w = (int)sal__crop_whole(c.bw, c.w);
        b->h = (int)sal__crop_whole(c.bh, c.h);
        b->x = sal__to_int(floor(b->left + 0.5), 0, c.w - b->w);
        b->y = sal__to_int(floor(b->top + 0.5), 0, c.h - b->h);
        b->kept = sal__crop_take(&c, b->x, b->y, b->w, b->h) / c.total;
    }
    return SAL_OK;
}

SALDEF sal_result sal_crop(sal_ctx *ctx, const sal_map *map, const sal_crop_desc *desc,
                           sal_box *box) {
    sal_crop_desc d = SAL__ZEROED;
    sal__arena arena = { NULL };
    if (desc) d = *desc;
    d.boxes = d.boxes ? d.boxes : 1;
    if (!map->data || map->w < 1 || map->h < 1)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "an empty map has no boxes");
    if (!(d.aspect >= 0 && d.aspect <= 1e6) || !(d.area >= 0 && d.area <= 1) || d.boxes < 1 ||
        !(d.keep >= 0 && d.keep <= 1) || !(d.uncut >= 0 && d.uncut <= 1) || d.w < 0 || d.h < 0)
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "a box of aspect %g, area %g, keep %g, uncut %g, "
                         "%d x %d pixels, %d times: the aspect is width / height, area, keep and "
                         "uncut are shares from 0 to 1", d.aspect, d.area, d.keep, d.uncut, d.w,
                         d.h, d.boxes);
    if (d.boost && (!d.boost->data || d.boost->w != map->w || d.boost->h != map->h))
        return sal__fail(ctx, SAL_ERR_SHAPE, "the boost map has %d x %d values, the map %d x %d",
                         d.boost->w, d.boost->h, map->w, map->h);
    memset(box, 0, (size_t)d.boxes * sizeof *box);
    sal_result r = sal__crop_boxes(ctx, &arena, map, &d, box);
    sal__arena_free(ctx, &arena);
    return r;
}

#ifndef SALIENCY_NO_STDIO
/* ============================================================================================
   >>train  the trainer
   ========================================================================================== */

SALDEF double sal_name_share(const char *name, uint64_t seed) {
    sal_rng rng = { sal__hash(sal_path_name(name)) ^ seed };
    return sal_rng_uniform(&rng);
}

SALDEF sal_train_desc sal_train_desc_paper(sal_kind kind) {
    static const struct {
        int epochs, batch;
        const char *loss;
        sal_schedule schedule;      /* kind, rate, rate_end, factor, every */
        sal_optim_desc optim;       /* rule, nesterov, rho, eps, decay, clip, max_norm */
    } paper[SAL_KIND_COUNT] = {
        { 1000, 128, "mse", { SAL_SCHEDULE_LINEAR, 0.03, 0.0001, 0, 0 },
          { SAL_RULE_SGD, 1, 0, 0, 0, 0, 1.9365 } },    /* as Goodfellow et al.'s maxout networks */
        { 1200, 128, "mse", { SAL_SCHEDULE_LINEAR, 0.3, 0.0001, 0, 0 },
          { SAL_RULE_SGD, 1, 0, 0, 0, 0, 0 } },
        { 20, 10, "mlnet", { SAL_SCHEDULE_TIME_DECAY, 1e-3, 0, 5e-4, 0 },
          { SAL_RULE_SGD, 1, 0, 0, 0, 0, 0 } },
        { 10, 10, "sam", { SAL_SCHEDULE_STEP, 1e-4, 0, 0.1, 3 },
          { SAL_RULE_RMSPROP, 1, 0.9, 1e-7, 0, 0, 0 } },
        { 10, 10, "sam", { SAL_SCHEDULE_STEP, 1e-4, 0, 0.1, 2 },
          { SAL_RULE_RMSPROP, 1, 0.9, 1e-7, 0, 0, 0 } },
        { 12, 8, "kl-cc", { SAL_SCHEDULE_ONE_CYCLE, 5e-4, 0, 0, 0 },
          { SAL_RULE_ADAMW, 1, 0.999, 1e-8, 1e-4, 0, 0 } }      /* ours: see weights/README.md */
    };
    sal_ctx ctx = SAL__ZEROED;
    sal_train_desc d = SAL__ZEROED;
    if ((unsigned)kind >= SAL_KIND_COUNT) return d;
    sal_loss_parse(&ctx, paper[kind].loss, &d.loss);
    d.epochs = paper[kind].epochs; d.batch = paper[kind].batch;
    d.schedule = paper[kind].schedule;
    d.optim = paper[kind].optim;
    d.momentum = 0.9; d.momentum_end = kind == SAL_KIND_JUNTINGNET ? 0.999 : 0.9;
    d.dropout = -1;
    d.fixed_norm = kind == SAL_KIND_LITE;
    d.mirror = d.ranks = 1;
    return d;
}

/* --- pictures --------------------------------------------------------------------------------- */

/* A picture as the trainer keeps it: fitted into the network's frame, a little larger than its
   input if pieces are to be cut out. */
typedef struct sal__picture {
    const sal_source *from;
    int entry, domain, size;
    const char *name;
    unsigned char *image;       /* (ih, iw, 3) */
    uint16_t *density;          /* (dh, dw), 65535 is 1 */
    float *point;               /* `points` pairs x, y: fixations, 0 to 1 across the frame */
    int points;
    int bad;                    /* cannot be read, and is skipped */
    int record;                 /* its place in the file of features */
    uint64_t seen, wanted;      /* hashes of image, of density and points; 0 unless all are kept */
} sal__picture;

/* A size of the input, the sizes in which its pictures and densities are kept, and that of the maps
   that are compared. */
typedef struct sal__size {
    sal_run *run;               /* to learn; NULL if it only validates */
    int h, w, ih, iw, dh, dw, th, tw;
} sal__size;

typedef float sal__epoch[SAL_COLUMN_COUNT];
enum { SAL__SIZES = 8 };

typedef struct sal__trainer {
    sal_ctx *ctx;
    sal__arena arena;           /* of the arrays below */
    sal_net *net;
    sal_train_desc desc;
    sal_ctx *worker;            /* a context for each */
    sal__picture *picture;      /* those to train on, then those to validate on */
    int trains, vals;
    sal__size size[SAL__SIZES]; /* the first: the network's own */
    int sizes;
    int cached;                 /* 1: all samples are in memory */
    sal_run *run, *test;        /* to learn (of this batch's size), to validate */
    sal_optim *optim;
    float *input;               /* of a batch */
    float *density, *fixations, *scratch;
    double *loss, *cc, *nss, *weight;   /* of each sample of the batch */
    int *domain, *bad;          /* likewise; bad: it cannot be read, and is skipped */
    int *deck, *order;          /* pictures, shuffled; the same in batches of one size */
    float *best, *average;      /* block_floats each: copies of the parameters that change */
    size_t *place, block_floats;    /* where parameter i is in them; SIZE_MAX: it is fixed */
    FILE *features;
    int feature[8], feature_count;
    size_t feature_floats;
    int feature_kinds;          /* records of a picture: plain, perhaps mirrored */
    sal__picture **by_record;   /* `records` of them, one of each picture */
    int records;
    uint16_t *record;           /* features of a batch */
    sal__bytes recipe;          /* see sal__recipe */
    sal__epoch *history;
    sal_named_tensor *tensor;   /* all that a checkpoint holds */
    int tensors;
    sal_train_progress at;
    double epoch_loss;          /* sum over the steps of this epoch */
    int fixated;                /* 1: a picture learnt from had fixations */
    int best_unsaved;
    /* the batch that is being made; vary: 1 to train, 0 to validate */
    int count, first, vary;
    sal_result *result;         /* of each worker */
} sal__trainer;

/* Picture and map in the frame; what lies around them stays zero. */
static sal_result sal__picture_fit(sal_ctx *ctx, const sal__trainer *t, const sal__frame *f,
                                   const sal_sample *sample, sal__picture *s) {
    const sal__size *z = &t->size[s->size];
    double sx = (double)z->dw / z->iw, sy = (double)z->dh / z->ih;
    int x0 = (int)(f->x * sx + 0.5), y0 = (int)(f->y * sy + 0.5);
    int w = SAL__MIN(SAL__MAX((int)(f->w * sx + 0.5), 1), z->dw - x0);
    int h = SAL__MIN(SAL__MAX((int)(f->h * sy + 0.5), 1), z->dh - y0);
    float *image = NULL, *map = NULL;
    sal_result r = sal__fitted(ctx, sample->image.data, NULL, sample->image.w, 3, f->sx, f->sy,
                               f->sw, f->sh, f->w, f->h, &image);
    if (r == SAL_OK) r = sal__fitted(ctx, NULL, sample->density.data, sample->density.w, 1, f->sx,
                                     f->sy, f->sw, f->sh, w, h, &map);
    for (int y = 0; r == SAL_OK && y < f->h; y++)
        for (int x = 0; x < 3 * f->w; x++)
            s->image[((size_t)(f->y + y) * z->iw + f->x) * 3 + x] =
                (unsigned char)sal__to_int(image[(size_t)y * f->w * 3 + x] + 0.5, 0, 255);
    for (int y = 0; r == SAL_OK && y < h; y++)
        for (int x = 0; x < w; x++)
            s->density[(size_t)(y0 + y) * z->dw + x0 + x] =
                (uint16_t)sal__to_int(map[(size_t)y * w + x] * 65535.0 + 0.5, 0, 65535);
    sal_free(ctx, image);
    sal_free(ctx, map);
    return r;
}

static void sal__picture_drop(sal_ctx *ctx, sal__picture *s) {
    sal_free(ctx, s->image);
    sal_free(ctx, s->density);
    sal_free(ctx, s->point);
    s->image = NULL;
    s->density = NULL;
    s->point = NULL;
}

static sal_result sal__sample_check(sal_ctx *ctx, const char *name, sal_sample *s) {
    int w = s->image.w, h = s->image.h, looked = 0;
    if (!s->image.data || !s->density.data || s->density.w != w || s->density.h != h)
        return sal__fail(ctx, SAL_ERR_SHAPE, "%s: the density is %d x %d and its picture %d x %d",
                         name, s->density.w, s->density.h, w, h);
    if (s->fixations < 0 || (s->fixations && !s->fixation))
        return sal__fail(ctx, SAL_ERR_ARGUMENT, "%s: %d fixations, but no list of them", name,
                         s->fixations);
    for (size_t i = 0; i < (size_t)w * h; i++) {
        if (!(s->density.data[i] >= 0 && s->density.data[i] <= FLT_MAX))
            return sal__fail(ctx, SAL_ERR_NUMERIC, "%s: the density has the value %g: it must "
                             "be finite and not negative", name, (double)s->density.data[i]);
        if (s->density.data[i] > 0) looked = 1;
    }
    if (!looked)
        return sal__fail(ctx, SAL_ERR_NUMERIC, "%s: the density is 0 everywhere: there is nothing "
                         "to learn", name);
    sal__map_normalise(&s->density);
    return SAL_OK;
}

/* Loads and fits one picture; one that cannot be read, and may be skipped, becomes `bad`. */
static sal_result sal__picture_load(sal_ctx *ctx, const sal__trainer *t, sal__picture *s) {
    const sal__size *z = &t->size[s->size];
    sal_sample sample = SAL__ZEROED;
    sal_result r = s->from->load(s->from->user, ctx, s->entry, &sample);
    if (r == SAL_OK) r = sal__sample_check(ctx, s->name, &sample);
    if (r == SAL_OK) {
        sal__frame f = sal__frame_of(t->net->desc.fit, sample.image.w, sample.image.h, z->iw,
                                     z->ih);
        s->image = SAL__NEW(ctx, unsigned char, (size_t)z->ih * z->iw * 3);
        s->density = SAL__NEW(ctx, uint16_t, (size_t)z->dh * z->dw);
        s->point = SAL__NEW(ctx, float, 2 * (size_t)sample.fixations + 1);
        s->points = 0;
        r = s->image && s->density && s->point ? SAL_OK : SAL_ERR_MEMORY;
        if (r == SAL_OK) r = sal__picture_fit(ctx, t, &f, &sample, s);
        for (int i = 0; r == SAL_OK && i < sample.fixations; i++) { /* pixel centres to the frame */
            double x = sample.fixation[i].x + 0.5, y = sample.fixation[i].y + 0.5;
            float *to = s->point + 2 * s->points;
            if (!(x >= 0 && x < sample.image.w && y >= 0 && y < sample.image.h)) continue;
            to[0] = (float)(((x - f.sx) * f.w / f.sw + f.x) / z->iw);
            to[1] = (float)(((y - f.sy) * f.h / f.sh + f.y) / z->ih);
            s->points++;
        }
    }
    sal_image_free(ctx, &sample.image);
    sal_map_free(ctx, &sample.density);
    sal_free(ctx, sample.fixation);
    if (r != SAL_OK) sal__picture_drop(ctx, s);
    s->bad = r != SAL_OK && r != SAL_ERR_MEMORY && t->desc.skip;
    return s->bad ? SAL_OK : r;
}

/* Which part of a kept sample is shown, and how. */
typedef struct sal__view { int x, y, w, h, mirror; double gain, shift, saturation; } sal__view;

static sal__view sal__view_of(const sal__trainer *t, const sal__size *z, uint64_t key) {
    sal__view v = { 0, 0, z->iw, z->ih, 0, 1, 0, 1 };
    sal_rng rng = { key };
    if (!t->vary) return v;
    rng.state = sal_rng_next(&rng);
    v.mirror = t->desc.mirror && sal_rng_below(&rng, 2);
    if (t->desc.crop > 0) {
        double side = 1 - t->desc.crop * sal_rng_uniform(&rng);
        v.w = SAL__MAX((int)(z->iw * side + 0.5), 1);
        v.h = SAL__MAX((int)(z->ih * side + 0.5), 1);
        v.x = (int)sal_rng_below(&rng, (uint32_t)(z->iw - v.w + 1));
        v.y = (int)sal_rng_below(&rng, (uint32_t)(z->ih - v.h + 1));
    }
    if (t->desc.colour > 0) {
        double c = t->desc.colour;
        v.gain = 1 + c * (2 * sal_rng_uniform(&rng) - 1);
        v.shift = 64 * c * (2 * sal_rng_uniform(&rng) - 1);
        v.saturation = 1 + c * (2 * sal_rng_uniform(&rng) - 1);
    }
    return v;
}

/* The network's input (3, h, w) from that part. */
static sal_result sal__view_image(sal_ctx *ctx, const sal__trainer *t, const sal__picture *s,
                                  const sal__view *v, float *input) {
    const sal_net_desc *d = &t->net->desc;
    const sal__size *z = &t->size[s->size];
    int h = z->h, w = z->w;
    float *part = NULL;
    sal_result r = sal__fitted(ctx, s->image, NULL, z->iw, 3, v->x, v->y, v->w, v->h, w, h, &part);
    for (int y = 0; r == SAL_OK && y < h; y++)
        for (int x = 0; x < w; x++) {
            const float *rgb = part + ((size_t)y * w + x) * 3;
            float *to = input + (size_t)y * w + (v->mirror ? w - 1 - x : x);
            double grey = (rgb[0] + rgb[1] + rgb[2]) / 3.0;
            for (int c = 0; c < 3; c++) {
                double p = rgb[d->bgr ? 2 - c : c];
                if (t->vary && t->desc.colour > 0) {
                    p = grey + (p - grey) * v->saturation;
                    p = sal__clamp((p - 128) * v->gain + 128 + v->shift, 0, 255);
                }
                to[(size_t)c * h * w] = (float)((p / d->scale - d->mean[c]) / d->std[c]);
            }
        }
    sal_free(ctx, part);
    return r;
}

/* The density (th, tw) of that part, and 1 at every fixated pixel. */
static void sal__view_maps(const sal__trainer *t, const sal__picture *s, const sal__view *v,
                           float *density, float *fixations) {
    const sal__size *z = &t->size[s->size];
    int w = z->tw, h = z->th;
    int whole = v->w == z->iw && v->h == z->ih && w == z->dw && h == z->dh;
    for (int y = 0; y < h; y++) {
        double sy = ((y + 0.5) / h * v->h + v->y) * z->dh / z->ih - 0.5;
        sal__tap b = sal__tap_at(sy, z->dh);
        for (int x = 0; x < w; x++) {
            int to = v->mirror ? w - 1 - x : x;
            double value;
            if (whole) value = s->density[(size_t)y * w + x];
            else {
                double sx = ((x + 0.5) / w * v->w + v->x) * z->dw / z->iw - 0.5;
                sal__tap a = sal__tap_at(sx, z->dw);
                const uint16_t *top = s->density + (size_t)b.low * z->dw;
                const uint16_t *bottom = s->density + (size_t)b.high * z->dw;
                value = (1 - b.t) * ((1 - a.t) * top[a.low] + a.t * top[a.high]) +
                        b.t * ((1 - a.t) * bottom[a.low] + a.t * bottom[a.high]);
            }
            density[(size_t)y * w + to] = (float)(value / 65535);
        }
    }
    memset(fixations, 0, (size_t)h * w * sizeof(float));
    for (int i = 0; i < s->points; i++) {
        double u = (s->point[2 * i] * (float)z->iw - (float)v->x) / (float)v->w;
        double q = (s->point[2 * i + 1] * (float)z->ih - (float)v->y) / (float)v->h;
        if (v->mirror) u = 1 - u;
        if (u >= 0 && u < 1 && q >= 0 && q < 1)
            fixations[(size_t)(q * h) * w + (size_t)(u * w)] = 1;
    }
}

/* The picture that is sample i of the batch. */
static int sal__pick(const sal__trainer *t, int i) {
    return t->vary ? t->order[t->first + i] : t->trains + t->first + i;
}

static uint64_t sal__key(const sal__trainer *t, int picture) {
    return t->desc.seed ^ ((uint64_t)t->at.epoch << 32) ^ (uint64_t)picture * 0x9E3779B97F4Au;
}

static void sal__batch_task(void *arg, int index, int worker) {
    sal__trainer *t = (sal__trainer *)arg;
    sal_ctx *ctx = &t->worker[worker];
    int picture = sal__pick(t, index);
    sal__picture *kept = &t->picture[picture], fresh = *kept, *s = kept;
    const sal__size *z = &t->size[s->size];
    size_t map = (size_t)z->th * z->tw, pixels = (size_t)3 * z->h * z->w;
    uint64_t key = sal__key(t, picture);
    sal__view v = sal__view_of(t, z, key);
    sal_rng coin = { ~key };
    sal_result r = SAL_OK;
    if (t->result[worker] != SAL_OK) return;    /* its message is that of the first failure */
    t->domain[index] = t->vary && sal_rng_below(&coin, 2) ? kept->domain : SAL_DOMAIN_NEUTRAL;
    if (!s->bad && !t->cached) {
        s = &fresh;
        r = sal__picture_load(ctx, t, s);
    }
    t->bad[index] = s->bad;     /* not in *kept: a batch may hold a picture twice */
    if (s->bad) {               /* weighs nothing */
        memset(t->input + index * pixels, 0, pixels * sizeof(float));
        memset(t->density + index * map, 0, map * sizeof(float));
        memset(t->fixations + index * map, 0, map * sizeof(float));
    } else if (r == SAL_OK) {
        if (!t->feature_count)
            r = sal__view_image(ctx, t, s, &v, t->input + index * pixels);
        sal__view_maps(t, s, &v, t->density + index * map, t->fixations + index * map);
    }
    if (t->feature_count) {     /* the record was read before */
        sal_run *run = t->vary ? t->run : t->test;
        const uint16_t *from = t->record + index * t->feature_floats;
        for (int i = 0; i < t->feature_count; i++) {
            sal_value *value = &run->value[t->feature[i]];
            size_t n = sal__shape_count(value->shape);
            for (size_t k = 0; k < n; k++) value->data[index * n + k] = sal_f16_to_f32(*from++);
        }
    }
    if (s == &fresh) sal__picture_drop(ctx, s);
    t->result[worker] = r;
}

static sal_result sal__first_failure(sal__trainer *t) {
    for (int i = 0; i < sal_threads(t->ctx); i++)
        if (t->result[i] != SAL_OK)
            return sal__fail(t->ctx, t->result[i], "%s", t->worker[i].error);
    return SAL_OK;
}

/* Where the features of a picture, as it is shown now, lie in their file. */
enum { SAL__FEATURE_HEADER = 128 };
static int64_t sal__feature_place(const sal__trainer *t, int picture) {
    int mirror = sal__view_of(t, t->size, sal__key(t, picture)).mirror;
    return SAL__FEATURE_HEADER + ((int64_t)t->picture[picture].record * t->feature_kinds + mirror) *
           (int64_t)(t->feature_floats * sizeof(uint16_t));
}

static void sal__leave_out(sal__trainer *t, sal__picture *s) {
    s->bad = 1;
    t->at.skipped++;
    sal__warn(t->ctx, "%s cannot be read and is left out", s->name);
}

/* Inputs and targets of `count` samples from `first` on (in the order of this epoch). */
static sal_result sal__batch(sal__trainer *t, int first, int count, int vary) {
    int last;
    t->first = first;
    t->count = count;
    t->vary = vary;
    if (vary) t->run = t->size[t->picture[t->order[first]].size].run;
    for (int i = 0; t->feature_count && i < count; i++) {
        int picture = sal__pick(t, i);
        if (sal__seek(t->features, sal__feature_place(t, picture), SEEK_SET) ||
            fread(t->record + i * t->feature_floats, sizeof(uint16_t), t->feature_floats,
                  t->features) != t->feature_floats)
            return sal__fail(t->ctx, SAL_ERR_IO, "%s: features of picture %d cannot be read",
                             t->desc.features, picture);
    }
    last = vary ? t->at.steps * t->desc.batch * t->desc.ranks : t->vals;
    last = SAL__MIN(first + 2 * count, last);
    for (int i = count; t->feature_count && first + i < last; i++)      /* the next batch */
        sal__expect(t->features, sal__feature_place(t, sal__pick(t, i)),
                    t->feature_floats * sizeof(uint16_t));
    sal_parallel_for(t->ctx, count, sal__batch_task, t);
    for (int i = 0; i < count; i++) {
        sal__picture *s = &t->picture[sal__pick(t, i)];
        if (t->bad[i] && !s->bad) sal__leave_out(t, s);
    }
    return sal__first_failure(t);
}

/* --- losses of a batch ------------------------------------------------------------------------ */

static double sal__sample_weight(const sal__trainer *t, int index) {
    double samples = (double)t->count * (t->vary ? t->desc.ranks : 1);
    return t->picture[sal__pick(t, index)].bad ? 0 : 1 / samples;
}

/* 1 if there are fixations: map (n) is above 0 at the fixated pixels. */
static int sal__any_fixation(const float *map, size_t n) {
    for (size_t i = 0; i < n; i++) if (map[i] > 0) return 1;
    return 0;
}

static void sal__loss_task(void *arg, int index, int worker) {      /* validation */
    sal__trainer *t = (sal__trainer *)arg;
    const sal_run *run = t->test;
    int th = t->size[0].th, tw = t->size[0].tw;
    size_t n = (size_t)run->shape.h * run->shape.w, map = (size_t)th * tw;
    float *scratch = t->scratch + worker *
        sal_loss_scratch(&t->desc.loss, run->shape.w, run->shape.h);
    const float *x = run->output + index * n, *density = t->density + index * map;
    const float *fixations = t->fixations + index * map;
    double weight = sal__sample_weight(t, index);
    t->loss[index] = sal_loss_map(&t->desc.loss, NULL, x, density, fixations, run->shape.w,
                                  run->shape.h, weight, scratch);
    sal_upsample_forward(scratch, x, 1, run->shape.w, run->shape.h, tw, th);
    t->cc[index] = sal_loss_cc(NULL, scratch, density, map, weight);
    t->nss[index] = NAN;
    if (sal__any_fixation(fixations, map))
        t->nss[index] = sal_loss_nss(NULL, scratch, fixations, map, weight);
}

/* --- copies of the weights -------------------------------------------------------------------- */

enum { SAL__SAVE, SAL__RESTORE, SAL__SWAP, SAL__BLEND };

/* Between the network's weights and a block of them. BLEND: block += share * (weights - block) */
static void sal__copy_weights(const sal__trainer *t, float *block, int what, double share) {
    size_t k, n;
    sal_run_fetch(t->ctx, t->run, NULL, SAL_RUN_WEIGHTS);  /* if that fails, so does what follows */
    if (what == SAL__RESTORE || what == SAL__SWAP) sal_run_changed(t->run, NULL, SAL_RUN_WEIGHTS);
    for (int i = 0; i < t->net->params; i++) {
        float *w = (float *)t->net->param[i].value.data, *at;
        if (t->place[i] == SIZE_MAX) continue;
        at = block + t->place[i];
        n = sal_tensor_count(&t->net->param[i].value);
        switch (what) {
        case SAL__SAVE:    memcpy(at, w, n * sizeof(float)); break;
        case SAL__RESTORE: memcpy(w, at, n * sizeof(float)); break;
        case SAL__SWAP:
            for (k = 0; k < n; k++) {
                float keep = w[k];
                w[k] = at[k];
                at[k] = keep;
            }
            break;
        default:
            for (k = 0; k < n; k++) at[k] += (float)(share * (w[k] - at[k]));
            break;
        }
    }
}

/* --- files ------------------------------------------------------------------------------------ */

static void sal__block_tensor(sal_named_tensor *n, const char *name, float *data, size_t count) {
    memset(n, 0, sizeof *n);
    n->name = name;
    n->tensor.ndim = 1; n->tensor.dim[0] = (int)count;
    n->tensor.data = data;
}

/* The state of a training, as tensors. */
static sal_result sal__train_tensors(sal__trainer *t) {
    sal_named_tensor *tensor;
    SAL__TRY_PUT(tensor, t->ctx, &t->arena, sal_named_tensor, t->net->params + 4);
    t->tensor = tensor;
    for (int i = 0; i < t->net->params; i++, tensor++) {
        tensor->name = t->net->param[i].name;
        tensor->tensor = t->net->param[i].value;
    }
    sal__block_tensor(tensor++, "train.optimiser", t->optim->state,
                      t->optim->slots * t->optim->floats);
    sal__block_tensor(tensor++, "train.history", t->history[0],
                      (size_t)t->desc.epochs * SAL_COLUMN_COUNT);
    if (t->average) sal__block_tensor(tensor++, "train.average", t->average, t->block_floats);
    if (t->best) sal__block_tensor(tensor++, "train.best", t->best, t->block_floats);
    t->tensors = (int)(tensor - t->tensor);
    return SAL_OK;
}

/* All that determines the course of a training, one line each: to recognise it when resuming. */
static void sal__recipe(const sal__trainer *t, sal__bytes *text) {
    const sal_train_desc *d = &t->desc;
    const sal_net_desc *net = &t->net->desc;
    const sal_optim_desc *o = &d->optim;
    const sal_schedule *s = &d->schedule;
    uint64_t names = sal__hash(""), kinds = names;
    char piece[SAL__FIELD];
    for (int i = 0; i < t->trains + t->vals; i++) {
        const sal__picture *p = &t->picture[i];
        names = sal__hash_on(names, p->name, strlen(p->name) + 1);
        int length = snprintf(piece, sizeof piece, "%d %d %d,", p->domain, t->size[p->size].h,
                              t->size[p->size].w);
        kinds = sal__hash_on(kinds, piece, (size_t)length);
    }
    text->ctx = t->ctx;
    sal__bytes_print(text, "network %s\n", t->net->name);
    for (int i = 0; i < SAL__COUNT(sal__fields); i++) {
        sal__field_print(&sal__fields[i], net, piece);
        sal__bytes_print(text, "%s %s\n", sal__fields[i].key, piece);
    }
    sal__bytes_print(text, "%d samples to learn from\n%d to validate on\nhash of their names "
                     "%016llx\nhash of their sizes and domains %016llx\nseed %llu\nfreeze ",
                     t->trains, t->vals, (unsigned long long)names, (unsigned long long)kinds,
                     (unsigned long long)d->seed);
    if (d->freeze) sal__bytes_add(text, (void *)(uintptr_t)d->freeze, (int)strlen(d->freeze));
    const struct { const char *name; double value; } item[] = {
        { "fixed norms", (double)d->fixed_norm }, { "features from a file", d->features ? 1. : 0. },
        { "epochs", (double)d->epochs }, { "batch", (double)d->batch },
        { "processes", (double)d->ranks }, { "rule", (double)o->rule },
        { "nesterov", (double)o->nesterov }, { "rho", o->rho }, { "eps", o->eps },
        { "decay", o->decay }, { "clip", o->clip }, { "max-norm", o->max_norm },
        { "schedule", (double)s->kind }, { "rate", s->rate }, { "last rate", s->rate_end },
        { "factor", s->factor }, { "every", (double)s->every }, { "momentum", d->momentum },
        { "last momentum", d->momentum_end }, { "mirror", (double)d->mirror }, { "crop", d->crop },
        { "colour", d->colour }, { "average", d->average }, { "select", (double)d->select },
        { "loss enlarged", (double)d->loss.upsample }, { "loss of the peak", (double)d->loss.peak }
    };
    for (int i = 0; i < SAL__COUNT(item); i++)
        sal__bytes_print(text, "\n%s %s", item[i].name,
                         sal_number_print(piece, item[i].value, 15));
    for (int k = 0; k < SAL_LOSS_COUNT; k++)
        sal__bytes_print(text, "\nloss %s %s", sal__loss_names[k],
                         sal_number_print(piece, d->loss.weight[k], 15));
    sal__bytes_print(text, "\n");
}

/* A hash of all samples; 0 if they are not all in memory. */
static uint64_t sal__samples_hash(const sal__trainer *t) {
    uint64_t hash = 0;
    for (int i = 0; t->cached && i < t->trains + t->vals; i++)
        hash = hash * 31 + (t->picture[i].seen ^ t->picture[i].wanted);
    return hash;
}

/* The best weights to out, everything to state; each file is whole or not there. */
static sal_result sal__train_checkpoint(sal__trainer *t) {
    const char *meta[6] = { "train.recipe", (char *)t->recipe.data, "train.at", NULL,
                            "train.contents", NULL };
    char numbers[80], contents[24];
    uint64_t loss, best;
    sal_result r = SAL_OK;
    if (t->desc.rank) return SAL_OK;
    SAL__TRY(sal_run_fetch(t->ctx, t->run, t->optim, SAL_RUN_WEIGHTS | SAL_RUN_STATE));
    for (int i = 0; !t->best && i < t->net->params; i++)    /* a last step that was too large */
        SAL__TRY(sal__check_values(t->ctx, "lower the learning rate", t->net->param[i].name,
                                   &t->net->param[i].value));
    if (t->desc.out && (t->best_unsaved || !t->best)) {
        float *block = t->best ? t->best : t->average;
        if (block) sal__copy_weights(t, block, SAL__SWAP, 0);
        r = sal_net_save(t->ctx, t->net, t->desc.out, SAL_DTYPE_F32, NULL, 0);
        if (block) sal__copy_weights(t, block, SAL__SWAP, 0);
        t->best_unsaved = 0;
    }
    if (!t->desc.state || r != SAL_OK) return r;
    memcpy(&loss, &t->epoch_loss, sizeof loss);     /* as bits: exact, and the same everywhere */
    memcpy(&best, &t->at.best, sizeof best);
    snprintf(numbers, sizeof numbers, "%d %d %d %llx %llx", t->at.epoch, t->at.step,
             t->at.best_epoch, (unsigned long long)loss, (unsigned long long)best);
    snprintf(contents, sizeof contents, "%llx", (unsigned long long)sal__samples_hash(t));
    meta[3] = numbers;
    meta[5] = contents;
    return sal_safetensors_save(t->ctx, t->desc.state, t->tensor, t->tensors, meta, 3);
}

static uint64_t sal__steps_done(const sal__trainer *t) {
    return (uint64_t)t->at.epoch * (uint64_t)t->at.steps + (uint64_t)t->at.step;
}

static sal_result sal__train_resume(sal__trainer *t) {
    sal_safetensors file;
    sal_result r = SAL_OK;
    SAL__TRY(sal_safetensors_load(t->ctx, t->desc.state, &file));
    const char *was = sal_safetensors_meta(&file, "train.recipe"), *is = (char *)t->recipe.data;
    if (!was) was = "";
    for (size_t n; *is && (n = strcspn(is, "\n") + 1, !strncmp(was, is, n)); is += n) was += n;
    if (*is || *was)
        r = sal__fail(t->ctx, SAL_ERR_ARGUMENT, "%s is of another recipe, or for other samples: "
                      "there \"%.*s\", here \"%.*s\"", t->desc.state,
                      (int)SAL__MIN(strcspn(was, "\n"), (size_t)80), was,
                      (int)SAL__MIN(strcspn(is, "\n"), (size_t)80), is);
    const char *contents = sal_safetensors_meta(&file, "train.contents");
    unsigned long long looked = 0;
    if (contents && sscanf(contents, "%llx", &looked) == 1 && looked && sal__samples_hash(t) &&
        looked != sal__samples_hash(t) && r == SAL_OK)
        r = sal__fail(t->ctx, SAL_ERR_ARGUMENT, "%s is for other pictures, densities or fixations "
                      "under the same names", t->desc.state);
    for (int i = 0; r == SAL_OK && i < t->tensors; i++) {
        const sal_named_tensor *to = &t->tensor[i], *from = sal_safetensors_find(&file, to->name);
        size_t n = sal_tensor_count(&to->tensor);
        if (!from || from->tensor.dtype != SAL_DTYPE_F32 || sal_tensor_count(&from->tensor) != n)
            r = sal__fail(t->ctx, SAL_ERR_FORMAT, "%s: has no tensor %s of %.0f values",
                          t->desc.state, to->name, (double)n);
        else memcpy(to->tensor.data, from->tensor.data, n * sizeof(float));
    }
    if (r == SAL_OK) {
        const char *numbers = sal_safetensors_meta(&file, "train.at");
        unsigned long long loss, best;
        if (!numbers || sscanf(numbers, "%d %d %d %llx %llx", &t->at.epoch, &t->at.step,
                               &t->at.best_epoch, &loss, &best) != 5 ||
            t->at.epoch < 0 || t->at.epoch > t->desc.epochs || t->at.step < 0 ||
            t->at.step >= t->at.steps || t->at.best_epoch < 0 || t->at.best_epoch > t->at.epoch)
            r = sal__fail(t->ctx, SAL_ERR_FORMAT, "%s: train.at does not say where training "
                          "stood", t->desc.state);
        else {
            uint64_t bits = loss;
            memcpy(&t->epoch_loss, &bits, sizeof bits);
            bits = best;
            memcpy(&t->at.best, &bits, sizeof bits);
        }
        t->best_unsaved = t->at.best_epoch > 0;         /* out may be another file than then */
        t->at.rows = t->at.epoch;
        t->fixated = t->at.step > 0;            /* assumed: the file does not say */
        t->optim->step = sal__steps_done(t);
        sal_run_changed(t->run, t->optim, SAL_RUN_WEIGHTS | SAL_RUN_STATE);
    }
    sal_safetensors_free(t->ctx, &file);
    return r;
}

/* --- features of the frozen beginning, on disk -------------------------------------------------

   128 bytes that say what they belong to (with a hash of the pictures, unless there was no room to
   keep them all in memory), then for every picture, sorted by names, a record of it
   and, if pictures are mirrored, a mirrored one: half floats, clipped to their range, in the byte
   order of the machine (another order also changes the hash of the weights). A file that ends early
   is continued. */
static void sal__feature_watch(void *arg, const sal_run *run, int i) {
    const sal__trainer *t = (const sal__trainer *)arg;
    uint16_t *to = t->record;
    size_t n;
    for (int k = 0; k < t->feature_count; k++, to += n) {
        const sal_value *v = &run->value[t->feature[k]];
        n = sal__shape_count(v->shape);
        if (sal__root(run, t->feature[k]) != sal__root(run, run->step[i].output)) continue;
        for (int s = 0; s < run->n; s++)
            for (size_t x = 0; x < n; x++)
                to[s * t->feature_floats + x] =
                    sal_f32_to_f16((float)sal__clamp(v->data[s * n + x], -65504, 65504));
    }
}

static int sal__train_report(sal__trainer *t) {
    t->at.history = (const float (*)[SAL_COLUMN_COUNT])t->history;
    return t->desc.progress ? t->desc.progress(t->desc.user, &t->at) : SAL_TRAIN_GO_ON;
}

/* By name; within a name by the hash of the pixels (0: not known), then by their place. */
static int sal__picture_order(const void *a, const void *b) {
    const sal__picture *x = *(const sal__picture *const *)a, *y = *(const sal__picture *const *)b;
    int order = strcmp(x->name, y->name);
    if (!order) order = (x->seen > y->seen) - (x->seen < y->seen);
    return order ? order : (x > y) - (x < y);
}

/* The first bytes of the file: network, size, pictures, frozen weights, how pictures are shown. */
static void sal__feature_header(sal__trainer *t, char *header) {
    const sal_net_desc *d = &t->net->desc;
    uint64_t hash = sal__hash(t->net->name) + (uint64_t)d->stride_on_3x3;
    int i;
    for (i = 0; i < t->net->params; i++) {
        const sal_tensor *p = &t->net->param[i].value;
        if (!t->run->gradient[i])               /* a weight of the beginning */
            hash = sal__hash_on(hash, p->data, sal_tensor_count(p) * sizeof(float));
    }
    for (i = 0; i < 3; i++) {
        float shown[4] = { d->mean[i], d->std[i], d->scale, (float)(d->bgr + 2 * (int)d->fit) };
        hash = sal__hash_on(hash, shown, sizeof shown);
    }
    for (i = 0; i < t->records; i++)
        hash = hash * 31 + (sal__hash(t->by_record[i]->name) ^ t->by_record[i]->seen);
    memset(header, ' ', SAL__FEATURE_HEADER);
    i = snprintf(header, SAL__FEATURE_HEADER, "saliency features 3, %s %d x %d, %d pictures%s, "
                 "%.0f halves, %08lx%08lx", t->net->name, t->run->h, t->run->w, t->records,
                 t->feature_kinds == 2 ? " and mirrored" : "", (double)t->feature_floats,
                 (unsigned long)(hash >> 32), (unsigned long)(hash & 0xFFFFFFFFu));
    header[i] = ' ';
    header[SAL__FEATURE_HEADER - 1] = '\n';
}

static sal_result sal__unwritten(sal_ctx *ctx, const char *path) {
    return sal__fail(ctx, SAL_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
}

/* One picture's records, behind those that are there. */
static sal_result sal__feature_make(sal__trainer *t, sal_run *run, sal__picture *s) {
    sal__picture fresh = *s;
    int loaded = s->image != NULL;
    sal_result r = SAL_OK;
    t->vary = 0;
    sal__view v = sal__view_of(t, t->size, 0);
    if (!loaded && !s->bad) {
        r = sal__picture_load(t->ctx, t, &fresh);
        if (fresh.bad) sal__leave_out(t, s);    /* its record is never looked at */
        else s = &fresh;
    }
    for (int k = 0; k < t->feature_kinds && r == SAL_OK; k++) {
        v.mirror = k;
        if (!s->bad) r = sal__view_image(t->ctx, t, s, &v, t->input);
        if (r == SAL_OK) r = sal_run_forward(t->ctx, run, t->input);
        if (r == SAL_OK && fwrite(t->record, sizeof(uint16_t), t->feature_floats, t->features) !=
                           t->feature_floats)
            r = sal__unwritten(t->ctx, t->desc.features);
    }
    if (!loaded) sal__picture_drop(t->ctx, &fresh);
    return r;
}

/* One record for each name and hash, in this order: two sets may have pictures of one name. */
static sal_result sal__feature_records(sal__trainer *t) {
    int total = t->trains + t->vals;
    SAL__TRY_PUT(t->by_record, t->ctx, &t->arena, sal__picture *, total);
    for (int i = 0; i < total; i++) t->by_record[i] = &t->picture[i];
    qsort(t->by_record, (size_t)total, sizeof *t->by_record, sal__picture_order);
    for (int i = 0; i < total; i++) {
        sal__picture *s = t->by_record[i];
        if (!s->from->info || !s->from->info[s->entry].name)
            return sal__fail(t->ctx, SAL_ERR_ARGUMENT, "cached features need pictures with names");
        const sal__picture *last = i ? t->by_record[t->records - 1] : NULL;
        if (!last || strcmp(last->name, s->name) || !s->seen || s->seen != last->seen)
            t->by_record[t->records++] = s;
        s->record = t->records - 1;
    }
    return SAL_OK;
}

/* Open the file, or begin it; *done: how many pictures it has already. */
static sal_result sal__feature_file(sal__trainer *t, int *done) {
    char header[SAL__FEATURE_HEADER], found[SAL__FEATURE_HEADER];
    const char *path = t->desc.features;
    int mirror = t->desc.mirror != 0;
    size_t size = t->feature_floats * sizeof(uint16_t), length = sizeof header;
    if (sal_path_kind(path) < 0) {
        t->features = sal__open_file(path, "w+b");
        t->feature_kinds = 1 + mirror;
        sal__feature_header(t, header);
        if (!t->features || fwrite(header, sizeof header, 1, t->features) != 1)
            return sal__unwritten(t->ctx, path);
    } else {
        SAL__TRY(sal__open(t->ctx, path, &t->features, &length, NULL));
        int whole = fread(found, sizeof found, 1, t->features) == 1;
        for (t->feature_kinds = 2; ; t->feature_kinds--) {      /* mirrored ones do no harm */
            if (t->feature_kinds == mirror)
                return sal__fail(t->ctx, SAL_ERR_FORMAT, "%s: does not hold the features of these "
                                 "pictures at this size, with these weights: name another file, or "
                                 "delete it", path);
            sal__feature_header(t, header);
            if (whole && !memcmp(found, header, sizeof header)) break;
        }
    }
    size *= (size_t)t->feature_kinds;
    *done = (int)SAL__MIN((length - sizeof header) / size, (size_t)t->records);
    if (*done == t->records) return SAL_OK;
    fclose(t->features);
    t->features = sal__open_file(path, "r+b");
    if (!t->features || sal__seek(t->features, (int64_t)(sizeof header + *done * size), SEEK_SET))
        return sal__unwritten(t->ctx, path);
    return SAL_OK;
}

/* Open the file of features, and make those that it has not got. */
static sal_result sal__features_open(sal__trainer *t) {
    int done = 0;
    sal_run_desc desc = SAL__ZEROED;
    sal_run *run = NULL;
    sal_result r = SAL_OK;
    desc.w = t->run->w; desc.h = t->run->h; desc.freeze = t->desc.freeze;
    SAL__TRY(sal__feature_records(t));
    SAL__TRY_PUT(t->record, t->ctx, &t->arena, uint16_t, t->feature_floats * t->run->n);
    SAL__TRY(sal__feature_file(t, &done));
    if (done == t->records) return SAL_OK;
    SAL__TRY(sal_run_open_desc(t->ctx, t->net, &desc, &run));
    run->watch = sal__feature_watch;
    run->watch_arg = t;
    run->end = t->run->frozen;
    for (int i = done; r == SAL_OK && i < t->records; i++) {
        r = sal__feature_make(t, run, t->by_record[i]);
        t->at.pictures = i + 1;
        if (r == SAL_OK && sal__train_report(t) == SAL_TRAIN_STOP)
            r = sal__fail(t->ctx, SAL_ERR_CANCELLED, "stopped while making features; they are kept "
                          "and continued next time");
    }
    if (fflush(t->features) && r == SAL_OK) r = sal__unwritten(t->ctx, t->desc.features);
    sal_run_close(t->ctx, run);
    return r;
}

/* --- preparing -------------------------------------------------------------------------------- */

static void sal__train_close(sal__trainer *t) {
    sal_ctx *ctx = t->ctx;
    for (int i = 0; t->picture && i < t->trains + t->vals; i++)
        sal__picture_drop(ctx, &t->picture[i]);
    if (t->features) fclose(t->features);
    sal_optim_close(ctx, t->optim);
    sal_free(ctx, t->recipe.data);
    for (int i = 0; i < t->sizes; i++) sal_run_close(ctx, t->size[i].run);
    sal_run_close(ctx, t->test);
    sal__arena_free(ctx, &t->arena);
    memset(t, 0, sizeof *t);
}

/* The number of a size of the input; -1: too many. */
static int sal__size_of(sal__trainer *t, int h, int w) {
    int k = 0;
    if (!h) { h = t->net->desc.h; w = t->net->desc.w; }
    while (k < t->sizes && (t->size[k].h != h || t->size[k].w != w)) k++;
    if (k == t->sizes) {
        if (k == SAL__SIZES) return -1;
        t->size[k].h = h; t->size[k].w = w;
        t->sizes++;
    }
    return k;
}

/* The list of pictures, to train and to validate. */
static sal_result sal__train_pictures(sal__trainer *t) {
    const sal_train_desc *d = &t->desc;
    t->trains = d->train->count;
    t->vals = d->val ? d->val->count : 0;
    sal__size_of(t, 0, 0);
    SAL__TRY_PUT(t->picture, t->ctx, &t->arena, sal__picture, t->trains + t->vals);
    SAL__TRY_PUT(t->deck, t->ctx, &t->arena, int, t->trains);
    for (int i = 0; i < t->trains + t->vals; i++) {
        int val = i >= t->trains;
        sal__picture *s = &t->picture[i];
        sal_sample_info info = SAL__ZEROED;
        s->from = val ? d->val : d->train;
        s->entry = i - val * t->trains;
        if (s->from->info) info = s->from->info[s->entry];
        s->name = info.name ? info.name : "a sample without a name";
        s->domain = info.domain;
        s->size = val ? 0 : sal__size_of(t, info.h, info.w);
        if (s->size < 0)
            return sal__fail(t->ctx, SAL_ERR_ARGUMENT, "the samples have more than %d sizes of "
                             "the input", SAL__SIZES);
        if (s->domain < 0 || s->domain >= SAL_DOMAIN_COUNT)
            return sal__fail(t->ctx, SAL_ERR_ARGUMENT, "%s: there is no domain %d: domains are 0 "
                             "to %d", s->name, s->domain, SAL_DOMAIN_COUNT - 1);
        if (s->domain != SAL_DOMAIN_NEUTRAL && t->net->desc.kind != SAL_KIND_LITE)
            return sal__fail(t->ctx, SAL_ERR_ARGUMENT, "%s: domain %d, but %s has no priors of "
                             "data sets", s->name, s->domain, t->net->name);
    }
    return SAL_OK;
}

static void sal__load_task(void *arg, int index, int worker) {
    sal__trainer *t = (sal__trainer *)arg;
    sal__picture *s = &t->picture[t->first + index];
    const sal__size *z = &t->size[s->size];
    if (t->result[worker] != SAL_OK) return;
    sal_result r = sal__picture_load(&t->worker[worker], t, s);
    if (r == SAL_OK && !s->bad) {
        s->seen = sal__hash_on(0, s->image, (size_t)z->ih * z->iw * 3);
        for (size_t i = 0; i < (size_t)z->dh * z->dw; i++)      /* whatever the order of bytes */
            s->wanted = (s->wanted ^ s->density[i]) * 0x100000001B3u;
        for (int i = 0; i < 2 * s->points; i++)
            s->wanted = (s->wanted ^ sal__f32_bits(s->point[i])) * 0x100000001B3u;
    }
    t->result[worker] = r;
}

/* Without validation pictures no epoch could be chosen, and nothing would be saved. */
static sal_result sal__none_to_judge(sal__trainer *t, int vals) {
    return sal__fail(t->ctx, SAL_ERR_IO, "none of %d pictures to validate on can be read", vals);
}

/* Read all pictures, 64 at a time; drop the bad ones. */
static sal_result sal__train_load(sal__trainer *t) {
    int n = t->trains + t->vals, trains = t->trains, vals = t->vals;
    for (t->first = 0; t->first < n; t->first += 64) {
        sal_parallel_for(t->ctx, SAL__MIN(64, n - t->first), sal__load_task, t);
        SAL__TRY(sal__first_failure(t));
        t->at.pictures += SAL__MIN(64, n - t->first);
        if (sal__train_report(t) == SAL_TRAIN_STOP)
            return sal__fail(t->ctx, SAL_ERR_CANCELLED, "stopped while reading pictures");
    }
    for (int i = t->trains = t->vals = 0; i < n; i++) {
        sal__picture *s = &t->picture[i];
        if (s->bad) { sal__leave_out(t, s); continue; }
        t->picture[t->trains + t->vals] = *s;
        if (i < trains) t->trains++; else t->vals++;
    }
    return t->vals || !vals ? SAL_OK : sal__none_to_judge(t, vals);
}

/* Is the description one that can be trained from? */
static sal_result sal__train_check(const sal__trainer *t) {
    const sal_train_desc *d = &t->desc;
    int terms = 0;
    for (int i = 0; i < SAL_LOSS_COUNT; i++) terms += d->loss.weight[i] != 0;
    if (!d->train || d->train->count < 1 || d->epochs < 1 || d->batch < 1 || !terms ||
        !(d->crop >= 0 && d->crop < 1) || !(d->average >= 0 && d->average < 1) ||
        !(d->colour >= 0 && d->colour <= 1) || !(d->dropout <= .99) || d->loss.upsample < 0 ||
        d->loss.upsample > 64 || (d->val && d->val->count < 0))
        return sal__fail(t->ctx, SAL_ERR_ARGUMENT, "training needs samples, a loss, epochs and a "
                         "batch of at least 1; crop and average are from 0 to below 1, colour to "
                         "1, dropout is at most 0.99, maps are enlarged at most 64 times");
    if (d->ranks > 1 && (!d->reduce || d->rank < 0 || d->rank >= d->ranks))
        return sal__fail(t->ctx, SAL_ERR_ARGUMENT, "process %d of %d: processes count from 0, and "
                         "several need the function reduce, which adds up their gradients",
                         d->rank, d->ranks);
    if (d->features && (d->crop > 0 || d->colour > 0))
        return sal__fail(t->ctx, SAL_ERR_ARGUMENT, "cached features hold pictures only plain and "
                         "mirrored: leave out crop and colour");
    return sal__desc_ok(t->ctx, &t->net->desc);     /* no other can be saved */
}

/* A context for each worker: single-threaded and silent. */
static sal_result sal__train_workers(sal__trainer *t) {
    int workers = sal_threads(t->ctx);
    SAL__TRY_PUT(t->worker, t->ctx, &t->arena, sal_ctx, workers);
    SAL__TRY_PUT(t->result, t->ctx, &t->arena, sal_result, workers);
    for (int i = 0; i < workers; i++) {
        t->worker[i] = *t->ctx;
        t->worker[i].threads = 1;
        t->worker[i].parallel_for = NULL;
        t->worker[i].log = NULL;
    }
    return SAL_OK;
}

/* The network as it learns: float32, its dropout; a run to validate, one to learn for each size of
   the input, and the optimiser. */
static sal_result sal__train_runs(sal__trainer *t) {
    const sal_train_desc *d = &t->desc;
    sal_run_desc rd = SAL__ZEROED;
    int drops = 0;
    SAL__TRY(sal_net_to_float(t->ctx, t->net));
    for (int i = 0; i < t->net->layers; i++) {
        if (d->dropout < 0 || t->net->layer[i].op != SAL_OP_DROPOUT) continue;
        t->net->layer[i].rate = t->net->desc.dropout = (float)d->dropout;
        drops++;
    }
    if (d->dropout > 0 && !drops)
        return sal__fail(t->ctx, SAL_ERR_ARGUMENT, "dropout %g: %s has no dropout layers",
                         d->dropout, t->net->name);
    t->desc.batch = SAL__MIN(d->batch, SAL__MAX(t->trains / d->ranks, 1));
    rd.n = d->batch;
    rd.freeze = d->freeze;
    rd.fixed_norm = d->fixed_norm;
    rd.from_features = d->features != NULL;
    SAL__TRY(sal_run_open_desc(t->ctx, t->net, &rd, &t->test));
    SAL__TRY_PUT(t->domain, t->ctx, &t->arena, int, d->batch);
    rd.training = 1;
    for (int i = 0; i < t->trains; i++) {
        sal__size *z = &t->size[t->picture[i].size];
        if (z->run) continue;
        rd.h = z->h; rd.w = z->w;
        SAL__TRY(sal_run_open_desc(t->ctx, t->net, &rd, &z->run));
        z->run->domain = t->domain;
        t->run = z->run;
    }
    return sal_optim_open(t->ctx, &d->optim, t->run, &t->optim);
}

/* Which values the cached features are. */
static sal_result sal__train_features(sal__trainer *t) {
    if (!t->desc.features) return SAL_OK;
    if (t->sizes > 1 || !t->size[0].run)
        return sal__fail(t->ctx, SAL_ERR_ARGUMENT, "cached features are those of one size: leave "
                         "out the sizes of the samples");
    t->feature_count = sal_run_features(t->run, t->feature);
    if (t->feature_count > 8)
        return sal__fail(t->ctx, SAL_ERR_ARGUMENT, "cached features would be %d layers, more than "
                         "8: freeze less, or leave the cache out", t->feature_count);
    for (int i = 0; i < t->feature_count; i++)
        t->feature_floats += sal__shape_count(t->run->value[t->feature[i]].shape);
    if (t->run->frozen <= 1)
        return sal__fail(t->ctx, SAL_ERR_ARGUMENT, "there are no features to cache: the first "
                         "layer of %s learns", t->net->name);
    if (t->feature_count && t->feature[0] == 0)
        return sal__fail(t->ctx, SAL_ERR_ARGUMENT, "cached features are not all that %s learns "
                         "from, it also reads the picture: freeze more, or leave the cache out",
                         t->net->name);
    return SAL_OK;
}

/* Gives all parameters that change a place in copies of the weights (see sal__copy_weights). */
static sal_result sal__train_places(sal__trainer *t) {
    int seen = 0;
    SAL__TRY_PUT(t->place, t->ctx, &t->arena, size_t, t->net->params);
    for (int i = 0; i < t->net->layers; i++) {
        const sal_layer *l = &t->net->layer[i];
        for (int k = SAL__MAX(l->param, seen); k < l->param + l->params; seen = ++k) {
            int moves = t->run->gradient[k] != NULL ||
                        (l->op == SAL_OP_BATCHNORM && sal__uses_batch(t->run, i));
            t->place[k] = moves ? t->block_floats : SIZE_MAX;
            if (moves) t->block_floats += sal_tensor_count(&t->net->param[k].value);
        }
    }
    return SAL_OK;
}

/* The sizes of pictures, densities and maps; all memory of a batch, if it is within the limit. */
static sal_result sal__train_memory(sal__trainer *t) {
    const sal_train_desc *d = &t->desc;
    sal_ctx *ctx = t->ctx;
    int up = SAL__MAX(d->loss.upsample, 1), batch = d->batch;
    size_t map = 0, pixels = 0, scratch = 0;            /* of the largest size */
    double runs = (double)sal_run_bytes(t->test), store = 0, weights = 0;
    for (int i = 0; i < t->sizes; i++) {
        sal__size *z = &t->size[i];
        const sal_run *run = z->run ? z->run : t->test;
        z->th = run->shape.h * up; z->tw = run->shape.w * up;
        int more = d->crop > 0;     /* than the input, so that a piece is still sharp */
        z->ih = z->h + more * (z->h / 4);
        z->iw = z->w + more * (z->w / 4);
        z->dh = z->th + more * (z->th / 4);
        z->dw = z->tw + more * (z->tw / 4);
        map = SAL__MAX(map, (size_t)z->th * z->tw);
        pixels = SAL__MAX(pixels, (size_t)3 * z->h * z->w);
        scratch = SAL__MAX(scratch, sal_loss_scratch(&d->loss, run->shape.w, run->shape.h));
        if (z->run) runs += (double)sal_run_bytes(z->run);
    }
    for (int i = 0; i < t->trains + t->vals; i++) {
        const sal__size *z = &t->size[t->picture[i].size];
        store += (double)z->ih * z->iw * 3 + (double)z->dh * z->dw * sizeof(uint16_t);
    }
    for (int i = 0; i < t->net->params; i++)
        weights += (double)sal_tensor_count(&t->net->param[i].value);
    t->cached = store <= (d->cache_bytes > 0 ? d->cache_bytes : 8e9);
    t->at.bytes = (t->cached ? store : 0) + runs + (double)sizeof(float) *
        ((double)(t->optim->slots * t->optim->floats) +
         (double)(t->block_floats * ((t->vals > 0) + (d->average > 0))) +
         batch * (2.0 * (double)map + (double)pixels) + weights);
    if (d->memory_limit > 0 && t->at.bytes > d->memory_limit)
        return sal__fail(ctx, SAL_ERR_MEMORY, "training would take %.0f MB, %.0f MB of them for "
                         "batches of %d; the limit is %.0f MB", t->at.bytes / 1e6,
                         runs / 1e6, batch, d->memory_limit / 1e6);
    SAL__TRY_PUT(t->bad, ctx, &t->arena, int, batch);
    SAL__TRY_PUT(t->input, ctx, &t->arena, float, batch * pixels);
    SAL__TRY_PUT(t->density, ctx, &t->arena, float, batch * map);
    SAL__TRY_PUT(t->fixations, ctx, &t->arena, float, batch * map);
    SAL__TRY_PUT(t->scratch, ctx, &t->arena, float, sal_threads(ctx) * scratch);
    SAL__TRY_PUT(t->loss, ctx, &t->arena, double, 4 * batch);
    t->cc = t->loss + batch;
    t->nss = t->cc + batch;
    t->weight = t->nss + batch;
    SAL__TRY_PUT(t->history, ctx, &t->arena, sal__epoch, d->epochs);
    if (t->vals) SAL__TRY_PUT(t->best, ctx, &t->arena, float, t->block_floats);
    if (d->average > 0) SAL__TRY_PUT(t->average, ctx, &t->arena, float, t->block_floats);
    return sal__train_tensors(t);
}

/* How many batches an epoch has: whole ones of each size. */
static sal_result sal__train_steps(sal__trainer *t) {
    int together = t->desc.batch * t->desc.ranks;
    for (int k = 0; k < t->sizes; k++) {
        int pictures = 0;
        for (int i = 0; i < t->trains; i++) pictures += t->picture[i].size == k;
        t->at.steps += (pictures + together - 1) / together;
    }
    SAL__TRY_PUT(t->order, t->ctx, &t->arena, int, (size_t)t->at.steps * together);
    return SAL_OK;
}

/* Everything that can fail before the first step. */
static sal_result sal__train_open(sal__trainer *t) {
    SAL__TRY(sal__train_check(t));
    SAL__TRY(sal__train_workers(t));
    SAL__TRY(sal__train_pictures(t));
    SAL__TRY(sal__train_runs(t));
    SAL__TRY(sal__train_features(t));
    SAL__TRY(sal__train_places(t));
    SAL__TRY(sal__train_memory(t));
    t->at.loading = 1;
    t->at.epochs = t->desc.epochs;
    if (sal__train_report(t) == SAL_TRAIN_STOP)
        return sal__fail(t->ctx, SAL_ERR_CANCELLED, "stopped before training");
    if (t->cached) SAL__TRY(sal__train_load(t));
    if (!t->trains)
        return sal__fail(t->ctx, SAL_ERR_IO, "none of %d pictures can be read",
                         t->desc.train->count);
    sal__recipe(t, &t->recipe);
    if (t->recipe.failed) return SAL_ERR_MEMORY;
    if (t->desc.features) SAL__TRY(sal__features_open(t));
    for (int i = 0; t->feature_count && t->cached && i < t->trains + t->vals; i++) {
        sal_free(t->ctx, t->picture[i].image);      /* its features stand for it */
        t->picture[i].image = NULL;
    }
    SAL__TRY(sal__train_steps(t));
    t->at.loading = 0;
    t->at.pictures = t->trains;
    t->at.val_pictures = t->vals;
    t->at.best = INFINITY;
    if (t->average) sal__copy_weights(t, t->average, SAL__SAVE, 0);
    return SAL_OK;
}

/* --- training --------------------------------------------------------------------------------- */

/* Names the first layer whose output is not finite. */
static sal_result sal__train_lost(sal__trainer *t, double loss) {
    const sal_run *run = t->run;
    const char *where = "the loss";
    sal_run_fetch(t->ctx, t->run, NULL, SAL_RUN_VALUES);
    for (int i = run->start; i < run->net->layers; i++) {
        const sal_value *v = &run->value[i];
        if (!run->step[i].learns || run->step[i].skip ||
            sal__all_finite(v->data, run->n * sal__shape_count(v->shape))) continue;
        where = run->net->layer[i].name;
        break;
    }
    return sal__fail(t->ctx, SAL_ERR_NUMERIC, "epoch %d, batch %d: %s is no longer finite (loss "
                     "%g): lower the learning rate or clip the gradient", t->at.epoch + 1,
                     t->at.step + 1, where, loss);
}

/* Gradients and loss, summed up over all processes. */
static sal_result sal__train_share(sal__trainer *t, double *loss) {
    const sal_train_desc *d = &t->desc;
    float shared = (float)*loss;
    SAL__TRY(sal_run_fetch(t->ctx, t->run, NULL, SAL_RUN_GRADIENTS | SAL_RUN_WEIGHTS));
    SAL__TRY(d->reduce(d->user, t->run->gradients, t->run->gradient_floats));
    SAL__TRY(d->reduce(d->user, &shared, 1));
    *loss = shared;
    sal_run_changed(t->run, NULL, SAL_RUN_GRADIENTS | SAL_RUN_WEIGHTS); /* weights: next */
    return SAL_OK;
}

/* The running statistics of a batch-norm become their mean over all processes. */
static sal_result sal__train_share_norm(sal__trainer *t, int i) {
    const sal_train_desc *d = &t->desc;
    for (int k = 2; k < 4; k++) {
        const sal_tensor *p = &t->net->param[t->net->layer[i].param + k].value;
        float *moved = (float *)p->data;
        SAL__TRY(d->reduce(d->user, moved, (size_t)p->dim[0]));
        for (int c = 0; c < p->dim[0]; c++) moved[c] /= (float)d->ranks;
    }
    return SAL_OK;
}

/* ML-Net's penalty on the prior of layer i, lambda = 1 / (h' w'): adds to loss and gradient. */
static sal_result sal__train_penalty(sal__trainer *t, int i, double *loss) {
    sal_run *run = t->run;
    int k = run->net->layer[i].param;
    const sal_tensor *p = &run->net->param[k].value;
    size_t n = sal_tensor_count(p);
    double lambda = 1.0 / (double)n, penalty;
    if (run->device) SAL__TRY(run->backend->device->penalty(t->ctx, run, k, lambda, &penalty));
    else penalty = sal_prior_penalty(run->gradient[k], (const float *)p->data, n, lambda);
    *loss += penalty;
    return SAL_OK;
}

/* >>step  One batch: forward, loss, backward, update. */
static sal_result sal__train_step(sal__trainer *t) {
    const sal_train_desc *d = &t->desc;
    sal_ctx *ctx = t->ctx;
    uint64_t steps = (uint64_t)t->at.steps * (uint64_t)d->epochs, done = sal__steps_done(t);
    double loss = 0, way = steps > 1 ? (double)done / (double)(steps - 1) : 0;
    sal_rng rng = { d->seed ^ (done * (uint64_t)d->ranks + (uint64_t)d->rank) };
    SAL__TRY(sal__batch(t, (t->at.step * d->ranks + d->rank) * d->batch, d->batch, 1));
    const sal__size *z = &t->size[t->picture[sal__pick(t, 0)].size];
    size_t map = (size_t)z->th * z->tw;
    t->fixated = t->fixated || sal__any_fixation(t->fixations, d->batch * map);
    sal_run *run = t->run;
    run->seed = sal_rng_next(&rng);
    SAL__TRY(sal_run_forward(ctx, run, t->feature_count ? NULL : t->input));
    for (int i = 0; i < d->batch; i++) t->weight[i] = sal__sample_weight(t, i);
    SAL__TRY(sal_run_loss(ctx, run, &d->loss, t->density, t->fixations, t->weight, t->loss,
                          t->scratch));
    for (int i = 0; i < d->batch; i++) loss += t->loss[i];
    if (!(fabs(loss) <= FLT_MAX)) return sal__train_lost(t, loss);
    sal_run_clear(run);
    SAL__TRY(sal_run_backward(ctx, run, NULL));
    if (d->ranks > 1) SAL__TRY(sal__train_share(t, &loss));
    for (int i = 0; i < run->net->layers; i++) {
        const sal_layer *l = &run->net->layer[i];
        if (l->op == SAL_OP_PRIOR && run->gradient[l->param])
            SAL__TRY(sal__train_penalty(t, i, &loss));
        if (d->ranks > 1 && l->op == SAL_OP_BATCHNORM && sal__uses_batch(run, i))
            SAL__TRY(sal__train_share_norm(t, i));
    }
    t->at.rate = sal_schedule_rate(&d->schedule, done, (uint64_t)t->at.steps, steps);
    t->at.momentum = d->momentum + (d->momentum_end - d->momentum) * way;
    SAL__TRY(sal_optim_step(ctx, t->optim, t->net, run, t->at.rate, t->at.momentum,
                            &t->at.gradient));
    if (t->average)     /* early averages forget faster */
        sal__copy_weights(t, t->average, SAL__BLEND,
                     1 - SAL__MIN(d->average, (2 + (double)done) / (11 + (double)done)));
    t->epoch_loss += loss;
    t->at.step++;
    t->at.loss = t->epoch_loss / t->at.step;
    return SAL_OK;
}

/* Loss, CC and NSS of the validation pictures, in the network's own frame; NSS of those that have
   fixations, NaN if none has. */
static sal_result sal__validate(sal__trainer *t, double *loss, double *cc, double *nss) {
    int good = 0, fixated = 0;
    sal_result r = SAL_OK;
    *loss = *cc = *nss = 0;
    if (t->average) sal__copy_weights(t, t->average, SAL__SWAP, 0);
    for (int first = 0; r == SAL_OK && first < t->vals; first += t->desc.batch) {
        int n = SAL__MIN(t->desc.batch, t->vals - first);
        r = sal__batch(t, first, n, 0);
        if (r == SAL_OK) r = sal_run_forward(t->ctx, t->test, t->feature_count ? NULL : t->input);
        if (r != SAL_OK) break;
        sal_parallel_for(t->ctx, n, sal__loss_task, t);
        for (int i = 0; i < n; i++) {
            if (t->picture[t->trains + first + i].bad) continue;
            good++;
            *loss += t->loss[i] * n;
            *cc += t->cc[i] * n;
            if (!(fabs(t->nss[i]) <= DBL_MAX)) continue;
            *nss += t->nss[i] * n;
            fixated++;
        }
    }
    if (t->average) sal__copy_weights(t, t->average, SAL__SWAP, 0);
    if (r == SAL_OK && !good) r = sal__none_to_judge(t, t->vals);
    if (r == SAL_OK && !fixated && t->desc.select == SAL_SELECT_NSS)
        r = sal__fail(t->ctx, SAL_ERR_ARGUMENT, "the pictures to validate on have no fixations: "
                      "NSS cannot choose among the epochs");
    good = SAL__MAX(good, 1);
    *loss /= good;
    *cc /= good;
    *nss = fixated ? *nss / fixated : NAN;
    return r;
}

/* The order of an epoch: Fisher-Yates, from seed and epoch alone; each picture goes into the open
   batch of its size, and the last one of a size is filled up with the size's first pictures. */
static void sal__shuffle(sal__trainer *t) {
    sal_rng rng = { t->desc.seed + (uint64_t)t->at.epoch };
    int batch = t->desc.batch * t->desc.ranks, batches = 0, place[SAL__SIZES], room[SAL__SIZES];
    int open = 0;
    rng.state = sal_rng_next(&rng);
    for (int i = 0; i < t->trains; i++) t->deck[i] = i;
    for (int i = t->trains - 1; i > 0; i--) {
        int k = (int)sal_rng_below(&rng, (uint32_t)i + 1), keep = t->deck[i];
        t->deck[i] = t->deck[k];
        t->deck[k] = keep;
    }
    memset(room, 0, sizeof room);
    for (int i = 0; i < t->trains || open; i++) {
        int picture = t->deck[i % t->trains], z = t->picture[picture].size;
        if (!room[z]) {
            if (i >= t->trains) continue;
            place[z] = batches++ * batch;
            room[z] = batch;
            open++;
        }
        t->order[place[z] + batch - room[z]--] = picture;
        open -= !room[z];
    }
}

/* A loss of NSS learns from fixations. */
static sal_result sal__fixations_missing(sal__trainer *t) {
    const double *weight = t->desc.loss.weight;
    int others = 0;
    if (weight[SAL_LOSS_NSS] == 0 || t->fixated) return SAL_OK;
    for (int k = 0; k < SAL_LOSS_COUNT; k++) others += k != SAL_LOSS_NSS && weight[k] != 0;
    if (!others)
        return sal__fail(t->ctx, SAL_ERR_ARGUMENT, "the loss is NSS alone, and the pictures to "
                         "learn from have no fixations");
    sal__warn(t->ctx, "the pictures to learn from have no fixations: the NSS part of the loss is "
              "0");
    return SAL_OK;
}

static sal_result sal__train_epoch_end(sal__trainer *t) {
    float *row = t->history[t->at.epoch];
    double loss = NAN, cc = NAN, nss = NAN, judged;
    int good = 0;
    for (int i = 0; i < t->trains; i++) good += !t->picture[i].bad;
    if (!good) return sal__fail(t->ctx, SAL_ERR_IO, "none of %d pictures can be read", t->trains);
    if (t->at.epoch == 0) SAL__TRY(sal__fixations_missing(t));
    if (t->vals) SAL__TRY(sal__validate(t, &loss, &cc, &nss));
    if (t->vals && !(fabs(loss) <= FLT_MAX)) return sal__train_lost(t, loss);
    row[SAL_COLUMN_EPOCH] = (float)(t->at.epoch + 1);
    row[SAL_COLUMN_LOSS] = (float)t->at.loss;
    row[SAL_COLUMN_VAL_LOSS] = (float)loss; row[SAL_COLUMN_VAL_CC] = (float)cc;
    row[SAL_COLUMN_VAL_NSS] = (float)nss;
    row[SAL_COLUMN_RATE] = (float)t->at.rate; row[SAL_COLUMN_MOMENTUM] = (float)t->at.momentum;
    t->at.epoch++;
    t->at.rows = t->at.epoch;
    t->at.step = 0;
    t->epoch_loss = 0;
    judged = loss;
    if (t->desc.select == SAL_SELECT_CC) judged = -cc;
    if (t->desc.select == SAL_SELECT_NSS) judged = -nss;
    if (t->vals && judged < t->at.best) {
        t->at.best = judged;
        t->at.best_epoch = t->at.epoch;
        t->best_unsaved = 1;
        if (t->average) memcpy(t->best, t->average, t->block_floats * sizeof(float));
        else sal__copy_weights(t, t->best, SAL__SAVE, 0);
    }
    return SAL_OK;
}

/* Fills in the report; the network gets the best weights. */
static void sal__train_result(sal__trainer *t, sal_train_result *result) {
    const float *row = t->at.rows ? t->history[t->at.rows - 1] : NULL;
    const float *best = t->at.best_epoch ? t->history[t->at.best_epoch - 1] : row;
    result->epochs = t->at.epoch;
    result->best_epoch = t->at.best_epoch;
    result->loss = row ? row[SAL_COLUMN_LOSS] : 0;
    result->best = t->at.best;
    result->val_cc = best ? best[SAL_COLUMN_VAL_CC] : NAN;
    result->val_nss = best ? best[SAL_COLUMN_VAL_NSS] : NAN;
    if (t->best && t->at.best_epoch) sal__copy_weights(t, t->best, SAL__RESTORE, 0);
    else if (t->average) sal__copy_weights(t, t->average, SAL__RESTORE, 0);
}

/* All epochs, from where training stands. */
static sal_result sal__train_run(sal__trainer *t, int *stopped) {
    int patience = t->vals && t->desc.patience > 0 ? t->desc.patience : t->desc.epochs;
    while (!*stopped && t->at.epoch < t->desc.epochs &&
           (t->at.step || t->at.epoch - t->at.best_epoch < patience)) {
        SAL__TRY(sal__train_step(t));
        if (t->at.step == t->at.steps) {
            SAL__TRY(sal__train_epoch_end(t));
            sal__shuffle(t);
        }
        int answer = sal__train_report(t);
        if (answer == SAL_TRAIN_CHECKPOINT) SAL__TRY(sal__train_checkpoint(t));
        if (answer == SAL_TRAIN_STOP) *stopped = 1;
    }
    return sal__train_checkpoint(t);
}

SALDEF sal_result sal_train(sal_ctx *ctx, sal_net *net, const sal_train_desc *desc,
                            sal_train_result *result) {
    sal__trainer t = SAL__ZEROED;
    memset(result, 0, sizeof *result);
    t.ctx = ctx;
    t.net = net;
    t.desc = *desc;
    t.desc.ranks = SAL__MAX(desc->ranks, 1);
    sal_result r = sal__train_open(&t);
    if (r == SAL_OK && desc->resume && desc->state && sal_path_kind(desc->state) == 0)
        r = sal__train_resume(&t);
    if (r == SAL_OK) sal__shuffle(&t);
    if (r == SAL_OK) r = sal__train_run(&t, &result->stopped);
    if (r == SAL_OK) sal__train_result(&t, result);
    sal__train_close(&t);
    return r;
}
#endif /* SALIENCY_NO_STDIO */

/* ============================================================================================
   >>fast  SIMD and Winograd kernels: everything a student may skip

   HOW TO BE FASTER THAN THE TEXTBOOK LOOP.  A processor core can start two vector multiply-adds of
   eight floats in every cycle, if their numbers lie in registers. The textbook convolution fetches
   two numbers from memory for each multiply-add and works on one at a time. Three things are done
   about it here: do less arithmetic, keep numbers near, and use all lanes.

   1. Less arithmetic: Winograd.  To slide a filter of 3 taps over a signal and get 2 results,

       y0 = d0 g0 + d1 g1 + d2 g2
       y1 = d1 g0 + d2 g1 + d3 g2

   the plain way multiplies 6 times. Winograd's F(2,3) multiplies 4 times:

       m1 = (d0 - d2) g0                 m2 = (d1 + d2) (g0 + g1 + g2) / 2
       m4 = (d1 - d3) g2                 m3 = (d2 - d1) (g0 - g1 + g2) / 2
       y0 = m1 + m2 + m3                 y1 = m2 - m3 - m4

   With d = 1 2 3 4 and g = 1 1 1:  m1 = -2, m2 = 5 * 1.5 = 7.5, m3 = 1 * 0.5 = 0.5, m4 = -2, so
   that y0 = -2 + 7.5 + 0.5 = 6 = 1 + 2 + 3 and y1 = 7.5 - 0.5 + 2 = 9 = 2 + 3 + 4. (A tile of rows
   1 2 3 ... with that filter as its middle row becomes rows 6 9 12 ...: tests/test_fast.c has each
   kernel compute this.) Where it comes from: a convolution is a product of polynomials; evaluate
   both at as many points as the product has coefficients (here 0, 1, -1, infinity), multiply there,
   interpolate. In general n = m + r - 1 multiplications give m results of r taps. In matrices, with
   * element by element,

       y = A^T [ (G g) * (B^T d) ]       and in two dimensions   Y = A^T [ (G g G^T) * (B^T d B) ] A

   The sums in B, G and A look like extra work, but a picture's tile is transformed once and used
   for every output channel, and a filter once for every tile: only the products in the middle are
   many. F(6x6,3x3) does 64 of them for 36 results instead of 324 (5.1 times fewer), F(4x4,3x3) 36
   for 16 instead of 144 (4 times), F(4x4,5x5) 64 for 16 instead of 400 (6.3 times).

   Which tile? Larger ones save more, but need more points, whose powers differ more in size, so
   that float32 loses digits (n = 8 costs about one decimal place), and a map that is not a multiple
   of the tile is filled up with wasted results. sal__wino_fit estimates the time of both sizes for
   each layer, and the cheaper is taken.

   A dilated convolution sees, from pixel to pixel, only every d-th row and column: it is d * d
   ordinary convolutions on the d * d interleaved pictures (the phases), each with its own tiles.

   2. Near numbers: matrix products in blocks.  For each of the n * n points, the products over
   all input channels are a matrix product: (tiles, channels) times (channels, outputs). The
   micro-kernel (`block`) keeps 6 x 16 results in twelve vector registers and adds, for each
   input channel, 6 broadcast numbers times 2 vectors: 12 multiply-adds for 8 loads. What it
   reads is laid out in the order in which it is read ("packed"): groups of 6 tiles, panels of 16
   output channels. Blocks of at most 64 input channels of both fit into the first-level cache.
   The transformed filters are not kept: they are computed again for each chunk of tiles, which is
   cheap because a chunk is long. So in float32 there is no second copy of the weights: the memory
   of a network is its weights file, its activations and scratch.

   1x1, strided and other convolutions are the same micro-kernel on columns gathered on the fly;
   depthwise ones are sums of nine shifted rows (`taps`).

   3. One pass: whatever follows a convolution (batch-norm as a scale and a shift, the residual,
   ReLU, 2x2 pooling) is applied to the finished tile before it leaves the cache (`finish`). What
   MobileNet widens in front of a depthwise layer would fill memory: both are made together, in
   strips (`wide`).

   Dense layers with one picture are limited by memory: each weight is used once. They read F16
   weights as they are and turn them into floats in registers (`dot`); for I8 weights they turn the
   few inputs into whole numbers (`dot_i8`). With many pictures they are matrix products.

   4. Whole numbers (quantisation).  A processor multiplies four bytes in the time of one float. If
   the weights file has ranges of values (`convert --ranges`), values are bytes u that stand for x =
   s (u - z), with the scale s = (high - low) / 255 and the zero point z = round(-low / s); weights
   are t q, with t the row's largest magnitude / 127 and whole q from -127 to 127 (in depthwise
   layers, which have few products, 8191 instead of 127). For each output,

       sum w x + bias = s t (sum q u + B),   B = round((bias + lost) / (s t)) - z sum q

   t being the row's unit and `lost` the mean of what rounding the weights takes away (sum of (w - t
   q) times the input's mean). The sum is exact in 32 bits; as a float times s t / s', rounded to
   the nearest (ties to even), plus z', cut off at 0 and 255 or where ReLU ends, it is the output's
   byte. Only one float is multiplied, nothing added to it: each instruction set gives the same
   bits. With a residual, both are counted in whole 1/1024 of s', added, and rounded then.
   Example: x from -1 to 2 has s = 3 / 255, z = 85; 0.5 is u = 128. A weight of 0.3 alone in its row
   has t = 0.3 / 127, q = 127; B = -85 * 127. The sum is 127 * 128 + B = 5461 and means 5461 s t =
   0.1518 (0.5 became 0.506). Padding is z. Where a layer has no range or is not one of these kinds,
   values stay floats. Depthwise layers and bilinear resizing go through the same rule.

   Threads get pieces of work that do not overlap. Their size may depend on the number of threads,
   but not the order in which a sum is added up: the bits are always the same (tests/test_fast.c).
   ========================================================================================== */

/* --- instruction sets -----------------------------------------------------------------------
   The inner loops stand once, at >>kernels, in terms of the names sal__v... below; this file
   includes itself once for each instruction set. */
#if defined(__GNUC__)
#  define SAL__INLINE static inline __attribute__((always_inline))
#  define SAL__ALIGN __attribute__((aligned(64)))
#  define SAL__PREFETCH(p, cache) __builtin_prefetch(p, 0, cache)    /* 3: L1; p may be anywhere */
#  if defined(__clang__)                    /* a loop whose ends are known: nothing is left of it */
#    define SAL__UNROLL _Pragma("clang loop unroll(full)")
#  else
#    define SAL__UNROLL _Pragma("GCC unroll 16")
#  endif
#else
#  define SAL__UNROLL
#  define SAL__PREFETCH(p, cache) ((void)0)
#  define SAL__INLINE static inline
#  define SAL__ALIGN
#endif
#if !defined(SALIENCY_NO_SIMD) && defined(__GNUC__) && defined(__x86_64__)
#  define SAL__X86
#  pragma GCC diagnostic push
#  ifndef __clang__                 /* g++ 12 warns of its own AVX-512 functions */
#    pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#    pragma GCC diagnostic ignored "-Wuninitialized"
#  endif
#  include <immintrin.h>
#  pragma GCC diagnostic pop
#elif !defined(SALIENCY_NO_SIMD) && defined(__GNUC__) && defined(__aarch64__)
#  define SAL__NEON
#  include <arm_neon.h>
#elif !defined(SALIENCY_NO_SIMD) && defined(__wasm_simd128__)
#  define SAL__WASM
#  include <wasm_simd128.h>
#endif

#define SAL__SQRT_HALF 0.70710678118654752440
#define SAL__SQRT_TWO  1.41421356237309504880
/* How the 32-bit sums of a layer in whole numbers become its values, see sal__whole_pack. */
typedef struct sal__rule {
    const int32_t *bias;
    const float *scale;
    int real;                   /* 1: floats are wanted */
    int zero, low, high;        /* of the output */
    int add, offset;            /* what a unit of the added value counts, and what its zero does */
} sal__rule;

/* The inner loops of one instruction set; each is described where it is defined (>>kernels). */
typedef struct sal__isa {
    int width;      /* floats in a vector */
    void (*block)(float *c, size_t cs, size_t ldc, const float *a, size_t as, size_t lda,
                  const float *b, size_t bs, int panels, int k, int rows, int add,
                  const float *next);
    void (*wino_input)(float *v, size_t fs, const float *in, size_t row, size_t plane, int n,
                       int taps);
    void (*wino_weight)(float *u, size_t fs, const float *w, size_t pitch, int rows, int k, int n,
                        int r);
    void (*wino_output)(float *y, size_t row, const float *p, size_t fs, int n, int m);
    void (*finish)(float *out, const float *acc, const float *add, float scale, float bias,
                   int act, size_t n);
    void (*finish_pool)(float *out, const float *a, const float *b, float scale, float bias,
                        int act, size_t n);
    void (*dot)(float *out, const float *x, const void *weight, sal_dtype type, int rows, int k);
    void (*dot_i8)(float *out, const int16_t *x, float unit, const int8_t *weight, int rows, int k);
    void (*pack)(float *b, const float *a, size_t lda, int rows, int k);
    void (*lstm)(float *h, float *c, const float *before, const float *gates, size_t stride,
                 size_t n);
    void (*maximum)(float *out, const float *a, const float *b, size_t n);
    void (*taps)(float *out, size_t pitch, const float *const *from, size_t step,
                 const float *weight, int count, float start, int add, float low, float high, int n,
                 int rows);
    void (*taps_back)(float *sum, const float *const *from, size_t step, const float *g,
                      size_t pitch, int n, int rows);
    void (*deal)(float *even, float *odd, const float *in, int n);
    void (*zip)(float *out, const float *even, const float *odd, int n);
    void (*adam)(float *w, float *m, float *a, const float *g, const float *c, size_t n);
    double (*gate)(float *to, const float *g, const float *x, float top, size_t n);
    int bytes;      /* of a number that whole_block multiplies: 1 or 2 */
    void (*whole_block)(char *out, size_t pitch, const char *a, size_t lda, const char *b, int k,
                        int rows, const sal__rule *e, int column, const uint8_t *add);
    void (*whole_taps)(uint8_t *out, size_t pitch, const uint8_t *const *from, size_t step,
                       int taps, const int16_t *weight, size_t next, int groups,
                       const sal__rule *e, int n);
    void (*whole_widen)(int16_t *out, const uint8_t *in, int n);
    void (*whole_input)(uint8_t *out, const float *in, size_t plane, float inverse, int zero,
                        size_t n);
} sal__isa;

/* The words of an instruction set, each a type or a function of its own: SAL__K gives its name.
   sal__v is a vector of SAL__W floats, sal__i one of as many 32-bit or twice as many 16-bit
   numbers. */
#define sal__v SAL__K(v)
#define sal__i SAL__K(i)
#define sal__vset SAL__K(vset)
#define sal__vsqrt SAL__K(vsqrt)
#define sal__vmin SAL__K(vmin)
#define sal__vmax SAL__K(vmax)
#define sal__vfma SAL__K(vfma)                  /* a * b + c */
#define sal__vfnma SAL__K(vfnma)                /* c - a * b */
#define sal__veven SAL__K(veven)                /* every other one of the numbers of a and b */
#define sal__vodd SAL__K(vodd)
#define sal__vzip_low SAL__K(vzip_low)          /* the numbers of a and b by turns: first half */
#define sal__vzip_high SAL__K(vzip_high)
#define sal__vload_f16 SAL__K(vload_f16)
#define sal__vload_bf16 SAL__K(vload_bf16)
#define sal__iset SAL__K(iset)
#define sal__ifloat SAL__K(ifloat)
#define sal__iround SAL__K(iround)              /* to the nearest, ties to even */
/* c + the sums of products: of 4 bytes x with 4 bytes b, or, where SAL__BYTES is 2, of 2 numbers */
#define sal__idot SAL__K(idot)
#define sal__idot16 SAL__K(idot16)              /* ... of 2 numbers of 16 bits */
#define sal__iload_i8 SAL__K(iload_i8)          /* 2 * SAL__W bytes as 16 bits */
#define sal__iload_u8 SAL__K(iload_u8)
#define sal__izip_low SAL__K(izip_low)          /* numbers of 16 bits by turns */
#define sal__izip_high SAL__K(izip_high)
/* 2 * SAL__W sums, + zero, between low and high, as bytes */
#define sal__istore SAL__K(istore)

#ifdef SAL__X86
/* AVX-512 as servers have it since 2019 (with VNNI): 16 lanes. */
#if defined(__clang__)
#  pragma clang attribute push(__attribute__((target( \
    "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c"))), apply_to = function)
#else
#  pragma GCC push_options
#  pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")
#endif
#define SAL__W 16
#define SAL__K(name) sal__avx512_##name
#define SAL__BYTES 1
typedef __m512 sal__v;
typedef __m512i sal__i;
SAL__INLINE sal__v sal__vset(float x) { return _mm512_set1_ps(x); }
SAL__INLINE sal__v sal__vsqrt(sal__v a) { return _mm512_sqrt_ps(a); }
SAL__INLINE sal__v sal__vmin(sal__v a, sal__v b) { return _mm512_min_ps(a, b); }
SAL__INLINE sal__v sal__vmax(sal__v a, sal__v b) { return _mm512_max_ps(a, b); }
SAL__INLINE sal__v sal__vfma(sal__v a, sal__v b, sal__v c) { return _mm512_fmadd_ps(a, b, c); }
SAL__INLINE sal__v sal__vfnma(sal__v a, sal__v b, sal__v c) { return _mm512_fnmadd_ps(a, b, c); }
SAL__INLINE sal__v sal__veven(sal__v a, sal__v b) {
    return _mm512_permutex2var_ps(a, _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22,
                                                       24, 26, 28, 30), b);
}
SAL__INLINE sal__v sal__vodd(sal__v a, sal__v b) {
    return _mm512_permutex2var_ps(a, _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23,
                                                       25, 27, 29, 31), b);
}
SAL__INLINE sal__v sal__vzip_low(sal__v a, sal__v b) {
    return _mm512_permutex2var_ps(a, _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6,
                                                       22, 7, 23), b);
}
SAL__INLINE sal__v sal__vzip_high(sal__v a, sal__v b) {
    return _mm512_permutex2var_ps(a, _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29,
                                                       14, 30, 15, 31), b);
}
SAL__INLINE __m256i sal__avx512_half(const void *p) {
    return _mm256_loadu_si256((const __m256i *)p);
}
SAL__INLINE sal__v sal__vload_f16(const void *p) { return _mm512_cvtph_ps(sal__avx512_half(p)); }
SAL__INLINE sal__v sal__vload_bf16(const void *p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(sal__avx512_half(p)), 16));
}
SAL__INLINE sal__i sal__iset(int32_t x) { return _mm512_set1_epi32(x); }
SAL__INLINE sal__v sal__ifloat(sal__i a) { return _mm512_cvtepi32_ps(a); }
SAL__INLINE sal__i sal__iround(sal__v x) { return _mm512_cvtps_epi32(x); }
SAL__INLINE sal__i sal__idot(sal__i c, sal__i x, sal__i b) { return _mm512_dpbusd_epi32(c, x, b); }
SAL__INLINE sal__i sal__idot16(sal__i c, sal__i a, sal__i b) {
    return _mm512_dpwssd_epi32(c, a, b);
}
SAL__INLINE sal__i sal__iload_i8(const void *p) {
    return _mm512_cvtepi8_epi16(sal__avx512_half(p));
}
SAL__INLINE sal__i sal__iload_u8(const void *p) {
    return _mm512_cvtepu8_epi16(sal__avx512_half(p));
}
SAL__INLINE sal__i sal__izip_low(sal__i a, sal__i b) { return _mm512_unpacklo_epi16(a, b); }
SAL__INLINE sal__i sal__izip_high(sal__i a, sal__i b) { return _mm512_unpackhi_epi16(a, b); }
SAL__INLINE void sal__istore(uint8_t *p, sal__i a, sal__i b, const sal__rule *e) {
    sal__i x = _mm512_adds_epi16(_mm512_packs_epi32(a, b), _mm512_set1_epi16((short)e->zero));
    x = _mm512_max_epi16(x, _mm512_set1_epi16((short)e->low));
    x = _mm512_min_epi16(x, _mm512_set1_epi16((short)e->high));
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi16_epi8(x));
}
#include SALIENCY_FILE
#if defined(__clang__)
#  pragma clang attribute pop
#else
#  pragma GCC pop_options
#endif

/* AVX2 with FMA and half floats: 8 lanes. Every processor that has the first two has the third. */
#if defined(__clang__)
#  pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#  pragma GCC push_options
#  pragma GCC target("avx2,fma,f16c")
#endif
#define SAL__W 8
#define SAL__K(name) sal__avx2_##name
#define SAL__BYTES 2
typedef __m256 sal__v;
typedef __m256i sal__i;
SAL__INLINE sal__v sal__vset(float x) { return _mm256_set1_ps(x); }
SAL__INLINE sal__v sal__vsqrt(sal__v a) { return _mm256_sqrt_ps(a); }
SAL__INLINE sal__v sal__vmin(sal__v a, sal__v b) { return _mm256_min_ps(a, b); }
SAL__INLINE sal__v sal__vmax(sal__v a, sal__v b) { return _mm256_max_ps(a, b); }
SAL__INLINE sal__v sal__vfma(sal__v a, sal__v b, sal__v c) { return _mm256_fmadd_ps(a, b, c); }
SAL__INLINE sal__v sal__vfnma(sal__v a, sal__v b, sal__v c) { return _mm256_fnmadd_ps(a, b, c); }
SAL__INLINE sal__v sal__avx2_order(sal__v x) {      /* quarters 0 2 1 3 */
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(x), 0xD8));
}
SAL__INLINE sal__v sal__veven(sal__v a, sal__v b) {
    return sal__avx2_order(_mm256_shuffle_ps(a, b, 0x88));
}
SAL__INLINE sal__v sal__vodd(sal__v a, sal__v b) {
    return sal__avx2_order(_mm256_shuffle_ps(a, b, 0xDD));
}
SAL__INLINE sal__v sal__vzip_low(sal__v a, sal__v b) {
    return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x20);
}
SAL__INLINE sal__v sal__vzip_high(sal__v a, sal__v b) {
    return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x31);
}
SAL__INLINE __m128i sal__avx2_half(const void *p) { return _mm_loadu_si128((const __m128i *)p); }
SAL__INLINE sal__v sal__vload_f16(const void *p) { return _mm256_cvtph_ps(sal__avx2_half(p)); }
SAL__INLINE sal__v sal__vload_bf16(const void *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(sal__avx2_half(p)), 16));
}
SAL__INLINE sal__i sal__iset(int32_t x) { return _mm256_set1_epi32(x); }
SAL__INLINE sal__v sal__ifloat(sal__i a) { return _mm256_cvtepi32_ps(a); }
SAL__INLINE sal__i sal__iround(sal__v x) { return _mm256_cvtps_epi32(x); }
SAL__INLINE sal__i sal__idot16(sal__i c, sal__i a, sal__i b) {
    return _mm256_add_epi32(c, _mm256_madd_epi16(a, b));
}
SAL__INLINE sal__i sal__iload_i8(const void *p) { return _mm256_cvtepi8_epi16(sal__avx2_half(p)); }
SAL__INLINE sal__i sal__iload_u8(const void *p) { return _mm256_cvtepu8_epi16(sal__avx2_half(p)); }
SAL__INLINE sal__i sal__izip_low(sal__i a, sal__i b) { return _mm256_unpacklo_epi16(a, b); }
SAL__INLINE sal__i sal__izip_high(sal__i a, sal__i b) { return _mm256_unpackhi_epi16(a, b); }
SAL__INLINE void sal__istore(uint8_t *p, sal__i a, sal__i b, const sal__rule *e) {
    sal__i x = _mm256_adds_epi16(_mm256_packs_epi32(a, b), _mm256_set1_epi16((short)e->zero));
    x = _mm256_max_epi16(x, _mm256_set1_epi16((short)e->low));
    x = _mm256_min_epi16(x, _mm256_set1_epi16((short)e->high));
    x = _mm256_permute4x64_epi64(_mm256_packus_epi16(x, x), 8);
    _mm_storeu_si128((__m128i *)(void *)p, _mm256_castsi256_si128(x));
}
#include SALIENCY_FILE
#if defined(__clang__)
#  pragma clang attribute pop
#else
#  pragma GCC pop_options
#endif

/* SSE2, which every x86-64 has: 4 lanes. */
#define SAL__W 4
#define SAL__K(name) sal__sse2_##name
#define SAL__BYTES 2
typedef __m128 sal__v;
typedef __m128i sal__i;
SAL__INLINE sal__v sal__vset(float x) { return _mm_set1_ps(x); }
SAL__INLINE sal__v sal__vsqrt(sal__v a) { return _mm_sqrt_ps(a); }
SAL__INLINE sal__v sal__vmin(sal__v a, sal__v b) { return _mm_min_ps(a, b); }
SAL__INLINE sal__v sal__vmax(sal__v a, sal__v b) { return _mm_max_ps(a, b); }
SAL__INLINE sal__v sal__vfma(sal__v a, sal__v b, sal__v c) {
    return _mm_add_ps(_mm_mul_ps(a, b), c);
}
SAL__INLINE sal__v sal__vfnma(sal__v a, sal__v b, sal__v c) {
    return _mm_sub_ps(c, _mm_mul_ps(a, b));
}
SAL__INLINE sal__v sal__veven(sal__v a, sal__v b) { return _mm_shuffle_ps(a, b, 0x88); }
SAL__INLINE sal__v sal__vodd(sal__v a, sal__v b) { return _mm_shuffle_ps(a, b, 0xDD); }
SAL__INLINE sal__v sal__vzip_low(sal__v a, sal__v b) { return _mm_unpacklo_ps(a, b); }
SAL__INLINE sal__v sal__vzip_high(sal__v a, sal__v b) { return _mm_unpackhi_ps(a, b); }
/* half floats without F16C: shift into place, then multiply by 2^112 to move the exponent */
SAL__INLINE sal__v sal__vload_f16(const void *p) {
    sal__i x = _mm_unpacklo_epi16(_mm_loadl_epi64((const sal__i *)p), _mm_setzero_si128());
    sal__i sign = _mm_slli_epi32(_mm_and_si128(x, _mm_set1_epi32(0x8000)), 16);
    sal__v y = _mm_castsi128_ps(_mm_slli_epi32(_mm_and_si128(x, _mm_set1_epi32(0x7FFF)), 13));
    y = _mm_mul_ps(y, _mm_castsi128_ps(_mm_set1_epi32((127 + 112) << 23)));
    return _mm_or_ps(y, _mm_castsi128_ps(sign));
}
SAL__INLINE sal__v sal__vload_bf16(const void *p) {
    sal__i x = _mm_loadl_epi64((const sal__i *)p);
    return _mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), x));
}
SAL__INLINE sal__i sal__iset(int32_t x) { return _mm_set1_epi32(x); }
SAL__INLINE sal__v sal__ifloat(sal__i a) { return _mm_cvtepi32_ps(a); }
SAL__INLINE sal__i sal__iround(sal__v x) { return _mm_cvtps_epi32(x); }
SAL__INLINE sal__i sal__idot16(sal__i c, sal__i a, sal__i b) {
    return _mm_add_epi32(c, _mm_madd_epi16(a, b));
}
SAL__INLINE sal__i sal__iload_i8(const void *p) {
    sal__i x = _mm_loadl_epi64((const sal__i *)p);
    return _mm_srai_epi16(_mm_unpacklo_epi8(x, x), 8);
}
SAL__INLINE sal__i sal__iload_u8(const void *p) {
    return _mm_unpacklo_epi8(_mm_loadl_epi64((const sal__i *)p), _mm_setzero_si128());
}
SAL__INLINE sal__i sal__izip_low(sal__i a, sal__i b) { return _mm_unpacklo_epi16(a, b); }
SAL__INLINE sal__i sal__izip_high(sal__i a, sal__i b) { return _mm_unpackhi_epi16(a, b); }
SAL__INLINE void sal__istore(uint8_t *p, sal__i a, sal__i b, const sal__rule *e) {
    sal__i x = _mm_adds_epi16(_mm_packs_epi32(a, b), _mm_set1_epi16((short)e->zero));
    x = _mm_max_epi16(x, _mm_set1_epi16((short)e->low));
    x = _mm_min_epi16(x, _mm_set1_epi16((short)e->high));
    _mm_storel_epi64((sal__i *)(void *)p, _mm_packus_epi16(x, x));
}
#include SALIENCY_FILE

#elif defined(SAL__NEON)
#define SAL__W 4
#define SAL__K(name) sal__neon_##name
#define SAL__BYTES 2
typedef float32x4_t sal__v;
typedef int32x4_t sal__i;
SAL__INLINE sal__v sal__vset(float x) { return vdupq_n_f32(x); }
SAL__INLINE sal__v sal__vsqrt(sal__v a) { return vsqrtq_f32(a); }
SAL__INLINE sal__v sal__vmin(sal__v a, sal__v b) { return vminq_f32(a, b); }
SAL__INLINE sal__v sal__vmax(sal__v a, sal__v b) { return vmaxq_f32(a, b); }
SAL__INLINE sal__v sal__vfma(sal__v a, sal__v b, sal__v c) { return vfmaq_f32(c, a, b); }
SAL__INLINE sal__v sal__vfnma(sal__v a, sal__v b, sal__v c) { return vfmsq_f32(c, a, b); }
SAL__INLINE sal__v sal__veven(sal__v a, sal__v b) { return vuzp1q_f32(a, b); }
SAL__INLINE sal__v sal__vodd(sal__v a, sal__v b) { return vuzp2q_f32(a, b); }
SAL__INLINE sal__v sal__vzip_low(sal__v a, sal__v b) { return vzip1q_f32(a, b); }
SAL__INLINE sal__v sal__vzip_high(sal__v a, sal__v b) { return vzip2q_f32(a, b); }
SAL__INLINE sal__v sal__vload_f16(const uint16_t *p) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
SAL__INLINE sal__v sal__vload_bf16(const uint16_t *p) {
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}
SAL__INLINE sal__i sal__iset(int32_t x) { return vdupq_n_s32(x); }
SAL__INLINE sal__v sal__ifloat(sal__i a) { return vcvtq_f32_s32(a); }
SAL__INLINE sal__i sal__iround(sal__v x) { return vcvtnq_s32_f32(x); }
SAL__INLINE int16x8_t sal__neon_words(sal__i a) { return vreinterpretq_s16_s32(a); }
SAL__INLINE sal__i sal__idot16(sal__i c, sal__i a, sal__i b) {
    int16x8_t x = sal__neon_words(a), y = sal__neon_words(b);
    return vaddq_s32(c, vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)),
                                   vmull_high_s16(x, y)));
}
SAL__INLINE sal__i sal__iload_i8(const int8_t *p) {
    return vreinterpretq_s32_s16(vmovl_s8(vld1_s8(p)));
}
SAL__INLINE sal__i sal__iload_u8(const uint8_t *p) {
    return vreinterpretq_s32_u16(vmovl_u8(vld1_u8(p)));
}
SAL__INLINE sal__i sal__izip_low(sal__i a, sal__i b) {
    return vreinterpretq_s32_s16(vzip1q_s16(sal__neon_words(a), sal__neon_words(b)));
}
SAL__INLINE sal__i sal__izip_high(sal__i a, sal__i b) {
    return vreinterpretq_s32_s16(vzip2q_s16(sal__neon_words(a), sal__neon_words(b)));
}
SAL__INLINE void sal__istore(uint8_t *p, sal__i a, sal__i b, const sal__rule *e) {
    int16x8_t x = vcombine_s16(vqmovn_s32(a), vqmovn_s32(b));
    x = vmaxq_s16(vqaddq_s16(x, vdupq_n_s16((short)e->zero)), vdupq_n_s16((short)e->low));
    vst1_u8(p, vqmovun_s16(vminq_s16(x, vdupq_n_s16((short)e->high))));
}
#include SALIENCY_FILE

#elif defined(SAL__WASM)
/* WebAssembly: 4 lanes; pmin and pmax are one instruction of the processor, min and max are not. */
#pragma clang attribute pop
#define SAL__W 4
#define SAL__K(name) sal__wasm_##name
#define SAL__BYTES 2
typedef float sal__v __attribute__((vector_size(16)));
typedef v128_t sal__i;
SAL__INLINE sal__v sal__vset(float x) { return (sal__v)wasm_f32x4_splat(x); }
SAL__INLINE sal__v sal__vsqrt(sal__v a) { return (sal__v)wasm_f32x4_sqrt((sal__i)a); }
SAL__INLINE sal__v sal__vmin(sal__v a, sal__v b) {
    return (sal__v)wasm_f32x4_pmin((sal__i)b, (sal__i)a);
}
SAL__INLINE sal__v sal__vmax(sal__v a, sal__v b) {
    return (sal__v)wasm_f32x4_pmax((sal__i)b, (sal__i)a);
}
SAL__INLINE sal__v sal__vfma(sal__v a, sal__v b, sal__v c) { return a * b + c; }
SAL__INLINE sal__v sal__vfnma(sal__v a, sal__v b, sal__v c) { return c - a * b; }
SAL__INLINE sal__v sal__veven(sal__v a, sal__v b) {
    return (sal__v)wasm_i32x4_shuffle((sal__i)a, (sal__i)b, 0, 2, 4, 6);
}
SAL__INLINE sal__v sal__vodd(sal__v a, sal__v b) {
    return (sal__v)wasm_i32x4_shuffle((sal__i)a, (sal__i)b, 1, 3, 5, 7);
}
SAL__INLINE sal__v sal__vzip_low(sal__v a, sal__v b) {
    return (sal__v)wasm_i32x4_shuffle((sal__i)a, (sal__i)b, 0, 4, 1, 5);
}
SAL__INLINE sal__v sal__vzip_high(sal__v a, sal__v b) {
    return (sal__v)wasm_i32x4_shuffle((sal__i)a, (sal__i)b, 2, 6, 3, 7);
}
SAL__INLINE sal__v sal__vload_f16(const void *p) {      /* as in SSE2 */
    sal__i x = wasm_u32x4_load16x4(p);
    sal__i sign = wasm_i32x4_shl(wasm_v128_and(x, wasm_i32x4_splat(0x8000)), 16);
    sal__i y = wasm_i32x4_shl(wasm_v128_and(x, wasm_i32x4_splat(0x7FFF)), 13);
    y = wasm_f32x4_mul(y, wasm_i32x4_splat((127 + 112) << 23));
    return (sal__v)wasm_v128_or(y, sign);
}
SAL__INLINE sal__v sal__vload_bf16(const void *p) {
    return (sal__v)wasm_i32x4_shl(wasm_u32x4_load16x4(p), 16);
}
SAL__INLINE sal__i sal__iset(int32_t x) { return wasm_i32x4_splat(x); }
SAL__INLINE sal__v sal__ifloat(sal__i a) { return (sal__v)wasm_f32x4_convert_i32x4(a); }
SAL__INLINE sal__i sal__iround(sal__v x) {
    return wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest((sal__i)x));
}
SAL__INLINE sal__i sal__idot16(sal__i c, sal__i a, sal__i b) {
    return wasm_i32x4_add(c, wasm_i32x4_dot_i16x8(a, b));
}
SAL__INLINE sal__i sal__iload_i8(const void *p) { return wasm_i16x8_load8x8(p); }
SAL__INLINE sal__i sal__iload_u8(const void *p) { return wasm_u16x8_load8x8(p); }
SAL__INLINE sal__i sal__izip_low(sal__i a, sal__i b) {
    return wasm_i16x8_shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}
SAL__INLINE sal__i sal__izip_high(sal__i a, sal__i b) {
    return wasm_i16x8_shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}
SAL__INLINE void sal__istore(uint8_t *p, sal__i a, sal__i b, const sal__rule *e) {
    sal__i x = wasm_i16x8_narrow_i32x4(a, b);
    x = wasm_i16x8_add_sat(x, wasm_i16x8_splat((short)e->zero));
    x = wasm_i16x8_max(x, wasm_i16x8_splat((short)e->low));
    x = wasm_i16x8_min(x, wasm_i16x8_splat((short)e->high));
    wasm_v128_store64_lane(p, wasm_u8x16_narrow_i16x8(x, x), 0);
}
#include SALIENCY_FILE
#pragma clang attribute push(__attribute__((target("no-simd128"))), apply_to = function)

#endif

/* Plain C: one lane. */
#define SAL__W 1
#define SAL__K(name) sal__c_##name
#define SAL__BYTES 2
typedef float sal__v;
typedef int32_t sal__i;         /* one sum, or two numbers of 16 bits: the first below */
SAL__INLINE sal__v sal__vset(float x) { return x; }
SAL__INLINE sal__v sal__vsqrt(sal__v a) { return (float)sqrt((double)a); }
SAL__INLINE sal__v sal__vmin(sal__v a, sal__v b) { return SAL__MIN(a, b); }
SAL__INLINE sal__v sal__vmax(sal__v a, sal__v b) { return SAL__MAX(a, b); }
SAL__INLINE sal__v sal__vfma(sal__v a, sal__v b, sal__v c) { return a * b + c; }
SAL__INLINE sal__v sal__vfnma(sal__v a, sal__v b, sal__v c) { return c - a * b; }
SAL__INLINE sal__v sal__veven(sal__v a, sal__v b) { return a; }
SAL__INLINE sal__v sal__vodd(sal__v a, sal__v b) { return b; }
SAL__INLINE sal__v sal__vzip_low(sal__v a, sal__v b) { return a; }
SAL__INLINE sal__v sal__vzip_high(sal__v a, sal__v b) { return b; }
SAL__INLINE sal__v sal__vload_f16(const uint16_t *p) { return sal_f16_to_f32(*p); }
SAL__INLINE sal__v sal__vload_bf16(const uint16_t *p) { return sal_bf16_to_f32(*p); }
SAL__INLINE sal__i sal__c_two(int32_t a, int32_t b) {
    return (int32_t)((uint32_t)b << 16 | ((uint32_t)a & 0xFFFF));
}
SAL__INLINE sal__i sal__iset(int32_t x) { return x; }
SAL__INLINE sal__v sal__ifloat(sal__i a) { return (float)a; }
SAL__INLINE sal__i sal__iround(sal__v x) { return (int32_t)lrintf(x); }
SAL__INLINE sal__i sal__idot16(sal__i c, sal__i a, sal__i b) {
    return c + (int16_t)a * (int16_t)b + (a >> 16) * (b >> 16);
}
SAL__INLINE sal__i sal__iload_i8(const int8_t *p) { return sal__c_two(p[0], p[1]); }
SAL__INLINE sal__i sal__iload_u8(const uint8_t *p) { return sal__c_two(p[0], p[1]); }
SAL__INLINE sal__i sal__izip_low(sal__i a, sal__i b) { return sal__c_two(a, b); }
SAL__INLINE sal__i sal__izip_high(sal__i a, sal__i b) { return sal__c_two(a >> 16, b >> 16); }
SAL__INLINE uint8_t sal__c_byte(int32_t x, const sal__rule *e) {
    return (uint8_t)SAL__MIN(SAL__MAX(SAL__MIN(x, 32767) + e->zero, e->low), e->high);
}
SAL__INLINE void sal__istore(uint8_t *p, sal__i a, sal__i b, const sal__rule *e) {
    p[0] = sal__c_byte(a, e);
    p[1] = sal__c_byte(b, e);
}
#include SALIENCY_FILE

/* The best inner loops that this processor has and the context allows. */
static const sal__isa *sal__isa_of(const sal_ctx *ctx) {
    sal_simd most = ctx->simd != SAL_SIMD_BEST ? ctx->simd : SAL_SIMD_AVX512;
#if defined(SAL__X86)
    if (most >= SAL_SIMD_AVX512 && __builtin_cpu_supports("avx512vnni") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl")) return &sal__avx512_isa;
    if (most >= SAL_SIMD_AVX2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &sal__avx2_isa;
    if (most >= SAL_SIMD_128) return &sal__sse2_isa;
#elif defined(SAL__NEON)
    if (most >= SAL_SIMD_128) return &sal__neon_isa;
#elif defined(SAL__WASM)
    if (most >= SAL_SIMD_128) return &sal__wasm_isa;
#endif
    (void)most;
    return &sal__c_isa;
}

/* --- Winograd convolution ------------------------------------------------------------------- */

/* How one convolution is cut into tiles. A tile is m x m results, computed from n x n inputs. The
   d x d phases of a dilated convolution are convolutions of their own on every d-th pixel. */
typedef struct sal__wino {
    int n, r, m, f;         /* points, taps, results, f = n * n */
    int ty, tx;             /* tiles of a phase, down and across */
    int tiles, groups;      /* in all samples and phases; in groups of 6 */
    int kc, kblocks;        /* input channels: kblocks blocks of kc */
    int oblocks;            /* output channels in blocks of 16 */
    size_t ufs, vfs;        /* floats from one f to the next in u (kc, 16) and v (6, kc) */
    size_t u, v;            /* floats of u for one block of outputs and inputs, v for one group */
    int chunk;              /* groups worked on together */
    double cost;            /* estimated time in cycles */
} sal__wino;

/* What the tasks of one Winograd convolution share. */
typedef struct sal__wino_job {
    const sal__isa *isa;
    const sal_conv *s;
    const sal_epilogue *e;
    const float *bias2;             /* added to e->bias; NULL: none */
    int act;                        /* instead of e->act */
    int pool;                       /* 1: 2x2 max-pool what comes out (no dilation, no e->add) */
    sal__wino w;
    const float *in, *weight;
    float *out, *v, *worker;        /* scratch: inputs of a chunk, one per worker */
    size_t worker_size;
    int first, count;               /* the groups of this chunk */
    int part, parts;                /* groups of a part, parts of the chunk */
} sal__wino_job;

/* TILES: floats of a run of finished tiles of 16 channels (also enough for a patch of 16); KC: most
   input channels in a block; PANELS: blocks of outputs in a task; CHUNK: floats of v in a chunk;
   GROUPS: the most groups in a chunk. */
enum { SAL__TILES = 16 * 8 * 40, SAL__KC = 64, SAL__PANELS = 2, SAL__CHUNK = 5300000,
       SAL__GROUPS = 64 };

/* Plans s with tiles of n points; 0 if that is not possible. */
static int sal__wino_fit(sal__wino *w, const sal_conv *s, int n) {
    int d = s->dilation, kp = (s->ic + 15) & ~15, ph, pw, chunks;
    memset(w, 0, sizeof *w);
    if (s->stride != 1 || s->kh != s->kw) return 0;
    if (s->kh != 3 && !(s->kh == 5 && n == 8)) return 0;
    w->n = n; w->r = s->kh; w->m = n - s->kh + 1; w->f = n * n;
    ph = (s->oh + d - 1) / d; pw = (s->ow + d - 1) / d;
    w->ty = (ph + w->m - 1) / w->m; w->tx = (pw + w->m - 1) / w->m;
    if ((double)s->n * d * d * w->ty * w->tx > INT_MAX / 64) return 0;
    w->tiles = s->n * d * d * w->ty * w->tx;
    w->groups = (w->tiles + 5) / 6;
    w->oblocks = (s->oc + 15) / 16;
    w->kblocks = (kp + SAL__KC - 1) / SAL__KC;
    w->kc = ((kp + w->kblocks - 1) / w->kblocks + 15) & ~15;
    w->kblocks = (kp + w->kc - 1) / w->kc;
    w->ufs = (size_t)w->kc * 16 + 16;           /* one cache line more than a power of two: */
    w->vfs = (size_t)w->kc * 6 + 16;            /* neighbours in f fall on different sets */
    w->u = w->ufs * w->f; w->v = w->vfs * w->f * w->kblocks;
    w->chunk = (int)SAL__MIN(SAL__MAX(1, SAL__CHUNK / w->v), (size_t)SAL__GROUPS);
    chunks = (w->groups + w->chunk - 1) / w->chunk;
    w->chunk = (w->groups + chunks - 1) / chunks;       /* of equal size */
    /* cycles, measured with AVX2: products, transforms of inputs, of outputs, of weights */
    w->cost = (double)w->groups * w->f * w->oblocks * (6.3 * s->ic + 30 * w->kblocks) +
              (double)w->tiles * kp / 8 * (n == 8 ? 290 : 200) +
              (double)w->tiles * w->oblocks * (n == 8 ? 1200 : 650) +
              (double)kp * w->oblocks * (n == 8 ? 280 : 180) * chunks;
    return 1;
}

/* Floats of u, m (a chunk) and the finished tiles of one worker, rounded to lines. */
static size_t sal__wino_worker(const sal__wino *w) {
    return (w->u + (size_t)w->f * 96 * w->chunk) * SAL__PANELS + SAL__TILES + 8 * 64;
}

/* Where tile t starts: its sample, and the first row and column of its results in the output. */
static void sal__wino_tile(const sal__wino *w, const sal_conv *s, int t, int *sample, int *y,
                           int *x) {
    int d = s->dilation, phase;
    *x = t % w->tx * w->m * d; t /= w->tx;
    *y = t % w->ty * w->m * d; t /= w->ty;
    phase = t % (d * d); *sample = t / (d * d);
    *y += phase / d; *x += phase % d;
}

/* Copies the inputs of a run of neighbouring tiles into patch (lanes, n, SAL__PATCH): `width` of
   every d-th pixel from row y and column x on; zeros outside the picture and where channels are
   missing. */
enum { SAL__PATCH = 40 };
static void sal__wino_patch(float *patch, const float *in, const sal_conv *s, int channels, int n,
                            int lanes, int width, int y, int x) {
    ptrdiff_t plane = (ptrdiff_t)s->ih * s->iw, count = SAL__MIN(channels, lanes) * plane;
    int d = s->dilation;
    /* patch[first .. last-1] lies inside of the picture */
    int first = x < 0 ? SAL__MIN((-x + d - 1) / d, width) : 0;
    int last = SAL__MAX(first, SAL__MIN(width, (s->iw - x + d - 1) / d));
    for (int c = 0; c < lanes; c++)
        for (int i = 0; i < n; i++, patch += SAL__PATCH) {
            int row = y + i * d;
            ptrdiff_t at = c * plane + (ptrdiff_t)row * s->iw + x;
            if (row < 0 || row >= s->ih || c >= channels) {
                memset(patch, 0, SAL__PATCH * sizeof(float));
                continue;
            }
            if (d == 1 && at >= 0 && at + SAL__PATCH <= count) {
                memcpy(patch, in + at, SAL__PATCH * sizeof(float));     /* of fixed length: fast */
                for (int l = 0; l < SAL__PATCH; l += 16)
                    SAL__PREFETCH(in + at + SAL__PATCH + l, 3);
            } else for (int l = first; l < last; l++) patch[l] = in[at + l * d];
            for (int l = 0; l < first; l++) patch[l] = 0;       /* what other rows left there */
            for (int l = last; l < width; l++) patch[l] = 0;
        }
}

/* Transforms the inputs of one group of tiles: v (kblocks, f, 6, kc). */
static void sal__wino_in_group(const sal__wino_job *j, int group, float *v, float *patch) {
    const sal_conv *s = j->s;
    const sal__wino *w = &j->w;
    size_t plane = (size_t)s->ih * s->iw;
    int end = SAL__MIN(6, w->tiles - group * 6), lanes = SAL__MAX(j->isa->width, 8);
    for (int q = 0; q < end; ) {
        int sample, y, x, t = group * 6 + q, run = SAL__MIN(end - q, w->tx - t % w->tx);
        sal__wino_tile(w, s, t, &sample, &y, &x);
        y -= s->top; x -= s->left;
        const float *in = j->in + (size_t)sample * s->ic * plane;
        for (int c = 0; c < s->ic; c += lanes) {
            float *to = v + (size_t)(c / w->kc) * w->f * w->vfs + (size_t)q * w->kc + c % w->kc;
            sal__wino_patch(patch, in + c * plane, s, SAL__MIN(lanes, s->ic - c), w->n, lanes,
                            (run - 1) * w->m + w->n, y, x);
            for (int i = 0; i < run; i++)
                j->isa->wino_input(to + (size_t)i * w->kc, w->vfs, patch + i * w->m, SAL__PATCH,
                                   (size_t)w->n * SAL__PATCH, w->n, 0);
        }
        q += run;
    }
}

/* Transforms the weights of one block of 16 outputs and kc inputs: u (f, kc, 16). */
static void sal__wino_weights(const sal__wino_job *j, const float *weight, int oblock, int kblock,
                              float *u) {
    const sal_conv *s = j->s;
    const sal__wino *w = &j->w;
    size_t taps = (size_t)w->r * w->r, pitch = taps * s->ic;
    int o = oblock * 16, c = kblock * w->kc;
    j->isa->wino_weight(u, w->ufs, weight + o * pitch + c * taps, pitch,
                        SAL__MIN(16, s->oc - o), SAL__MIN(w->kc, s->ic - c), w->n, w->r);
}

/* The products of one group with some panels of weights: m (panels, f, 6, 16) = or += v u. */
static void sal__wino_multiply(const sal__wino_job *j, int group, int kblock, int panels, int add,
                               float *m, const float *v, const float *u) {
    const sal__wino *w = &j->w;
    int k = SAL__MIN(w->kc, j->s->ic - kblock * w->kc);
    int rows = SAL__MIN(6, w->tiles - group * 6);
    v += (size_t)kblock * w->f * w->vfs;
    for (int f = 0; f < w->f; f++, m += 96, u += w->ufs, v += w->vfs)
        j->isa->block(m, (size_t)w->f * 96, 16, v, 1, (size_t)w->kc, u, w->u, panels, k, rows, add,
                      v + w->vfs);
}

/* Floats from one plane of the output to the next. */
static size_t sal__wino_plane(const sal__wino_job *j) {
    return j->pool ? (size_t)(j->s->oh / 2) * (j->s->ow / 2) : (size_t)j->s->oh * j->s->ow;
}

/* Writes `width` sums of a row, finished, to out; out and add (or NULL) step by the dilation. */
enum { SAL__ROW = 48 };
static void sal__wino_out_row(const sal__wino_job *j, float *out, const float *row,
                              const float *add, float scale, float bias, int width) {
    size_t d = (size_t)j->s->dilation;
    if (d == 1) {
        j->isa->finish(out, row, add, scale, bias, j->act, (size_t)width);
        return;
    }
    float line[SAL__ROW], more[SAL__ROW] = { 0 };
    for (int i = 0; i < width; i++) more[i] = add ? add[i * d] : 0;
    j->isa->finish(line, row, add ? more : NULL, scale, bias, j->act, (size_t)width);
    for (int i = 0; i < width; i++) out[i * d] = line[i];
}

/* Transforms the products of one group back and writes its results for a block of 16 outputs, from
   plane `out` on. Neighbouring tiles are first joined to rows in y. */
static void sal__wino_out_group(const sal__wino_job *j, int group, int oblock, float *out,
                                const float *m, float *y) {
    const sal_conv *s = j->s;
    const sal__wino *w = &j->w;
    const sal_epilogue *e = j->e;
    size_t plane = sal__wino_plane(j);
    int d = s->dilation, end = SAL__MIN(6, w->tiles - group * 6);
    int channels = SAL__MIN(16, s->oc - oblock * 16);
    const float *add = e->add ? e->add + oblock * 16 * plane : NULL;
    for (int q = 0, run; q < end; q += run) {
        int sample, y0, x0, t = group * 6 + q;
        sal__wino_tile(w, s, t, &sample, &y0, &x0);
        run = SAL__MIN(end - q, w->tx - t % w->tx);
        for (int i = 0; i < run; i++)
            j->isa->wino_output(y + i * w->m, SAL__ROW, m + (q + i) * 16, 96, w->n, w->m);
        int rows = SAL__MIN(w->m, (s->oh - y0 + d - 1) / d);
        int width = SAL__MIN(run * w->m, (s->ow - x0 + d - 1) / d);
        for (int o = 0; o < channels && width > 0; o++) {
            int c = oblock * 16 + o;
            float scale = e->scale ? e->scale[c] : 1, bias = e->bias ? e->bias[c] : 0;
            size_t at = ((size_t)sample * s->oc + o) * plane;
            const float *row = y + o * w->m * SAL__ROW;
            if (j->bias2) bias += j->bias2[c];
            for (int k = 0; j->pool && k + 1 < rows; k += 2, row += 2 * SAL__ROW)
                j->isa->finish_pool(out + at + (size_t)(y0 + k) / 2 * (s->ow / 2) + x0 / 2, row,
                                    row + SAL__ROW, scale, bias, j->act, (size_t)width / 2);
            at += (size_t)y0 * s->ow + x0;
            for (int k = 0; !j->pool && k < rows; k++, row += SAL__ROW, at += (size_t)d * s->ow)
                sal__wino_out_row(j, out + at, row, add ? add + at : NULL, scale, bias, width);
        }
    }
}

/* First the inputs of a chunk are transformed; then each task transforms the weights for a few
   blocks of outputs and uses them for its part of the chunk. */
static void sal__wino_input_task(void *arg, int index, int worker) {
    const sal__wino_job *j = (const sal__wino_job *)arg;
    float *patch = j->worker + worker * j->worker_size;
    sal__wino_in_group(j, j->first + index, j->v + index * j->w.v, patch);
}

/* The share of a task, blocks of outputs and groups of the chunk, and its memory. */
typedef struct sal__wino_part { int block, blocks, group, count; float *u, *m, *y; } sal__wino_part;

static sal__wino_part sal__wino_part_of(const sal__wino_job *j, int index, int worker) {
    const sal__wino *w = &j->w;
    sal__wino_part p;
    p.block = index / j->parts * SAL__PANELS;
    p.blocks = SAL__MIN((int)SAL__PANELS, w->oblocks - p.block);
    p.group = index % j->parts * j->part;
    p.count = SAL__MIN(j->part, j->count - p.group);
    p.u = j->worker + worker * j->worker_size;
    p.m = p.u + w->u * SAL__PANELS;
    p.y = p.m + (size_t)w->f * 96 * w->chunk * SAL__PANELS;
    return p;
}

static int sal__wino_tasks(const sal__wino *w) {
    return (w->oblocks + SAL__PANELS - 1) / SAL__PANELS;
}

/* m = weight * v for the groups of p, added to what is in m if `add`. */
static void sal__wino_pass(const sal__wino_job *j, const sal__wino_part *p, const float *weight,
                           const float *v, int add) {
    const sal__wino *w = &j->w;
    for (int k = 0; k < w->kblocks; k++) {
        for (int b = 0; b < p->blocks; b++)
            sal__wino_weights(j, weight, p->block + b, k, p->u + b * w->u);
        for (int g = 0; g < p->count; g++)
            sal__wino_multiply(j, j->first + p->group + g, k, p->blocks, add || k > 0,
                               p->m + (size_t)g * SAL__PANELS * w->f * 96,
                               v + (p->group + g) * w->v, p->u);
    }
}

/* Writes the results for block b of p to out, the first of the block's planes. */
static void sal__wino_part_out(const sal__wino_job *j, const sal__wino_part *p, int b, float *out) {
    for (int g = 0; g < p->count; g++)
        sal__wino_out_group(j, j->first + p->group + g, p->block + b, out,
                            p->m + ((size_t)g * SAL__PANELS + b) * j->w.f * 96, p->y);
}

static void sal__wino_output_task(void *arg, int index, int worker) {
    const sal__wino_job *j = (const sal__wino_job *)arg;
    sal__wino_part p = sal__wino_part_of(j, index, worker);
    sal__wino_pass(j, &p, j->weight, j->v, 0);
    for (int b = 0; b < p.blocks; b++)
        sal__wino_part_out(j, &p, b, j->out + (p.block + b) * 16 * sal__wino_plane(j));
}

/* Makes the outputs of a chunk whose inputs are transformed. Weights are transformed again for each
   part, which costs as much as one group; so there are parts only where threads would be idle. */
static void sal__wino_outputs(sal_ctx *ctx, sal__wino_job *j) {
    int tasks = sal__wino_tasks(&j->w), threads = sal_threads(ctx);
    int wanted = threads > 1 ? (4 * threads + tasks - 1) / tasks : 1;
    j->parts = SAL__MIN(wanted, (j->count + 7) / 8);
    j->part = (j->count + j->parts - 1) / j->parts;
    j->parts = (j->count + j->part - 1) / j->part;
    sal_parallel_for(ctx, tasks * j->parts, sal__wino_output_task, j);
}

static size_t sal__wino_shared(const sal__wino *w) { return w->v * w->chunk; }

static size_t sal__wino_scratch(const sal__wino *w, int threads) {
    return (sal__wino_shared(w) + (size_t)threads * sal__wino_worker(w)) * sizeof(float);
}

static void sal__wino_run(sal_ctx *ctx, const sal__wino *w, float *out, const float *in,
                          const float *weight, const sal_epilogue *e, const sal_conv *s, int pool,
                          void *scratch) {
    sal__wino_job j = SAL__ZEROED;
    j.isa = sal__isa_of(ctx); j.s = s; j.e = e; j.act = e->act; j.pool = pool; j.w = *w;
    j.in = in; j.weight = weight; j.out = out;
    j.v = (float *)scratch;
    j.worker = j.v + sal__wino_shared(w);
    j.worker_size = sal__wino_worker(w);
    for (j.first = 0; j.first < w->groups; j.first += w->chunk) {
        j.count = SAL__MIN(w->chunk, w->groups - j.first);
        sal_parallel_for(ctx, j.count, sal__wino_input_task, &j);
        sal__wino_outputs(ctx, &j);
    }
}

/* --- convolution as a matrix product ---------------------------------------------------------
   out (oc, positions) = weight (oc, k) * columns (k, positions), k = ic * kh * kw. With more
   than 512 positions each call first packs the weights into blocks of 6 rows and 256 columns. A
   task does all outputs for a few panels of 16 positions: it packs their columns, which stay in the
   L2 cache, and reads the weights in order. */
enum { SAL__GEMM_KC = 256 };

typedef struct sal__gemm_job {
    const sal__isa *isa;
    const sal_conv *s;
    const sal_epilogue *e;
    const float *in, *weight;
    float *out, *packed, *worker;
    int k, panels, blocks;          /* of positions: panels in a block, blocks in a sample */
    int pack;                       /* 1: so many positions that packing the weights pays */
    size_t worker_size;
} sal__gemm_job;

/* A block has as many panels as the cache takes, at most 8, but not so many that a thread would get
   fewer than two blocks. */
static sal__gemm_job sal__gemm_fit(const sal_conv *s, int threads) {
    int all = (s->oh * s->ow + 15) / 16, least = 2 * threads / s->n;
    sal__gemm_job j = SAL__ZEROED;
    j.s = s;
    j.k = s->ic * s->kh * s->kw;
    j.pack = (size_t)s->n * s->oh * s->ow > 512;
    j.panels = (int)SAL__MIN(SAL__MAX(98304 / ((size_t)j.k * 16), 1), 8);
    j.panels = SAL__MIN(j.panels, threads > 1 && least > 1 ? (all + least - 1) / least : all);
    j.blocks = (all + j.panels - 1) / j.panels;
    j.worker_size = ((size_t)j.k + 6) * 16 * j.panels + 64;
    return j;
}

/* 1: a convolution that reads its inputs where they lie, 1x1 without a stride or borders. */
static int sal__conv_direct(const sal_conv *s) {
    return s->kh == 1 && s->kw == 1 && s->stride == 1 && s->oh == s->ih && s->ow == s->iw &&
           !s->top && !s->left;
}

static size_t sal__gemm_shared(const sal__gemm_job *j) {
    return j->pack ? ((size_t)(j->s->oc + 5) / 6 * 6 * j->k + 15) / 16 * 16 : 0;
}

/* b (k, 16): the inputs under the kernel at positions p .. p+15 of the output plane. */
static void sal__gemm_columns(const sal__gemm_job *j, const float *in, int p, float *b) {
    const sal_conv *s = j->s;
    int y[16], x[16], count = SAL__MIN(16, s->oh * s->ow - p), inside = 1;
    ptrdiff_t at[16];
    float odd[16];
    size_t plane = (size_t)s->ih * s->iw;
    for (int i = 0; i < 16; i++) {
        int q = SAL__MIN(p + i, s->oh * s->ow - 1);
        y[i] = q / s->ow * s->stride - s->top; x[i] = q % s->ow * s->stride - s->left;
        at[i] = (ptrdiff_t)y[i] * s->iw + x[i];
        inside &= y[i] >= 0 && y[i] + (s->kh - 1) * s->dilation < s->ih &&
                  x[i] >= 0 && x[i] + (s->kw - 1) * s->dilation < s->iw;
    }
    for (int c = 0; c < s->ic; c++, in += plane)
        for (int kh = 0; kh < s->kh; kh++)
            for (int kw = 0; kw < s->kw; kw++, b += 16) {
                int dy = kh * s->dilation, dx = kw * s->dilation;
                int row = y[0] + dy, left = x[0] + dx, right = x[15] + dx;
                if (y[0] == y[15] && row >= 0 && row < s->ih && left >= 0 && right < s->iw) {
                    const float *from = in + (size_t)row * s->iw;
                    if (s->stride == 1 && count == 16) memcpy(b, from + left, 16 * sizeof(float));
                    else if (s->stride == 2 && count == 16 && right + 1 < s->iw)
                        j->isa->deal(b, odd, from + left, 16);
                    else for (int i = 0; i < 16; i++) b[i] = from[x[i] + dx];
                    continue;
                }
                for (int i = 0; i < 16; i++) {
                    int v = y[i] + dy, u = x[i] + dx;
                    b[i] = inside || (v >= 0 && v < s->ih && u >= 0 && u < s->iw)
                         ? in[at[i] + (ptrdiff_t)dy * s->iw + dx] : 0;
                }
            }
}

/* The packed weights: blocks of 6 rows, in them blocks of 256 columns, in them rows. */
static void sal__gemm_pack_task(void *arg, int index, int worker) {
    const sal__gemm_job *j = (const sal__gemm_job *)arg;
    int o = index * 6;
    for (int k = 0; k < j->k; k += SAL__GEMM_KC) {
        size_t count = (size_t)SAL__MIN(SAL__GEMM_KC, j->k - k);
        for (int r = 0; r < 6 && o + r < j->s->oc; r++)
            memcpy(j->packed + (size_t)o * j->k + 6 * k + r * count,
                   j->weight + (size_t)(o + r) * j->k + k, count * sizeof(float));
    }
}

/* Packs the inputs under the kernel at `count` positions of a sample's output, from `first` on:
   panels b (panels, k, 16). */
static void sal__gemm_load(const sal__gemm_job *j, int sample, int first, int count, float *b) {
    const sal_conv *s = j->s;
    size_t size = (size_t)s->ih * s->iw;
    const float *in = j->in + sample * s->ic * size;
    int panels = (count + 15) / 16;
    if (sal__conv_direct(s)) {
        for (int k = 0; k < s->ic; k++, in += size)         /* plane by plane */
            for (int p = 0; p < panels; p++) {
                float *to = b + ((size_t)p * j->k + k) * 16;
                int part = SAL__MIN(16, count - p * 16);
                SAL__PREFETCH(in + 12 * size + first + p * 16, 3);
                if (part == 16) memcpy(to, in + first + p * 16, 16 * sizeof(float));
                else for (int i = 0; i < 16; i++) to[i] = i < part ? in[first + p * 16 + i] : 0;
            }
    } else for (int p = 0; p < panels; p++)
        sal__gemm_columns(j, in, first + p * 16, b + (size_t)p * j->k * 16);
}

/* c (rows, pitch) = the products of up to 6 rows of weights from o on with those panels. */
static void sal__gemm_rows(const sal__gemm_job *j, int o, int rows, int panels, const float *b,
                           float *c, size_t pitch) {
    for (int k = 0; k < j->k; k += SAL__GEMM_KC) {
        int columns = SAL__MIN(SAL__GEMM_KC, j->k - k);
        const float *a = (j->pack ? j->packed + 6 * k : j->weight + k) + (size_t)o * j->k;
        size_t lda = (size_t)(j->pack ? columns : j->k);
        j->isa->block(c, 16, pitch, a, 1, lda, b + (size_t)k * 16, (size_t)j->k * 16, panels,
                      columns, rows, k > 0, a + 6 * lda);
    }
}

/* Applies the epilogue to row o of c; at: its place in the output, for e->add. */
static void sal__gemm_finish(const sal__gemm_job *j, int o, float *out, const float *c, size_t at,
                             int count) {
    const sal_epilogue *e = j->e;
    j->isa->finish(out, c, e->add ? e->add + at : NULL, e->scale ? e->scale[o] : 1,
                   e->bias ? e->bias[o] : 0, e->act, (size_t)count);
}

static void sal__gemm_task(void *arg, int index, int worker) {
    const sal__gemm_job *j = (const sal__gemm_job *)arg;
    int oc = j->s->oc, size = j->s->oh * j->s->ow, sample = index / j->blocks;
    int first = index % j->blocks * j->panels * 16, count = SAL__MIN(j->panels * 16, size - first);
    size_t pitch = (size_t)j->panels * 16;
    float *b = j->worker + worker * j->worker_size, *c = b + (size_t)j->k * pitch;
    const sal_epilogue *e = j->e;
    int plain = count % 16 == 0 && !e->scale && !e->bias && !e->add && !e->act;
    if (plain) pitch = (size_t)size;            /* the sums are the output */
    sal__gemm_load(j, sample, first, count, b);
    for (int o = 0; o < oc; o += 6) {
        int rows = SAL__MIN(6, oc - o);
        size_t at = ((size_t)sample * oc + o) * size + first;
        if (plain) c = j->out + at;
        for (int r = 0; r < rows; r++)          /* pieces of planes: no prefetcher follows them */
            for (int p = 0; p < count; p += 16)
                SAL__PREFETCH(j->out + at + (size_t)r * size + p, 3);
        sal__gemm_rows(j, o, rows, (count + 15) / 16, b, c, pitch);
        for (int r = 0; r < rows && !plain; r++, at += size)
            sal__gemm_finish(j, o + r, j->out + at, c + r * pitch, at, count);
    }
}

/* Bytes that suffice for any number of threads up to `threads`. */
static size_t sal__gemm_scratch(const sal_conv *s, int threads) {
    size_t most = 0;
    for (int t = 1; t <= threads; t++) {
        sal__gemm_job j = sal__gemm_fit(s, t);
        most = SAL__MAX(most, sal__gemm_shared(&j) + t * j.worker_size);
    }
    return most * sizeof(float);
}

/* What all tasks share: the packed weights. Returns the scratch behind them. */
static float *sal__gemm_begin(sal_ctx *ctx, sal__gemm_job *j, void *scratch) {
    j->isa = sal__isa_of(ctx);
    j->packed = (float *)scratch;
    if (j->pack) sal_parallel_for(ctx, (j->s->oc + 5) / 6, sal__gemm_pack_task, j);
    return j->packed + sal__gemm_shared(j);
}

static void sal__gemm_run(sal_ctx *ctx, float *out, const float *in, const float *weight,
                          const sal_epilogue *e, const sal_conv *s, void *scratch) {
    sal__gemm_job j = sal__gemm_fit(s, sal_threads(ctx));
    j.e = e; j.in = in; j.weight = weight; j.out = out;
    j.worker = sal__gemm_begin(ctx, &j, scratch);
    sal_parallel_for(ctx, s->n * j.blocks, sal__gemm_task, &j);
}

/* --- entry points ---------------------------------------------------------------------------- */

/* Winograd tiles or a matrix product, whichever is estimated to be faster: n points or 0. */
static int sal__fast_conv2d_plan(sal__wino *w, const sal_conv *s) {
    sal__wino other;
    double k = (double)s->ic * s->kh * s->kw, panels = (s->oh * s->ow + 15) / 16 * (double)s->n;
    double direct = panels * ((s->oc + 5) / 6 * (6.3 * k + 40) + s->oc * 8.0 +
                              k * (s->kh * s->kw > 1 ? 12 : 5));
    int n = sal__wino_fit(w, s, 6) ? 6 : 0;
    if (sal__wino_fit(&other, s, 8) && (!n || other.cost < w->cost)) { *w = other; n = 8; }
    return n && s->ic > 4 && w->cost < direct ? n : 0;    /* few: mostly transforms */
}

static size_t sal__fast_conv2d_scratch(const sal_conv *s, int threads) {
    sal__wino w;
    return sal__fast_conv2d_plan(&w, s) ? sal__wino_scratch(&w, threads)
                                        : sal__gemm_scratch(s, threads);
}

static void sal__fast_conv2d(sal_ctx *ctx, float *out, const float *in, const float *weight,
                             const sal_epilogue *e, const sal_conv *s, int pool, void *scratch) {
    sal__wino w;
    if (sal__fast_conv2d_plan(&w, s)) sal__wino_run(ctx, &w, out, in, weight, e, s, pool, scratch);
    else sal__gemm_run(ctx, out, in, weight, e, s, scratch);
}

/* --- dense layers ---------------------------------------------------------------------------- */

enum { SAL__DENSE_FEW = 4, SAL__DENSE_ROWS = 64 };

typedef struct sal__dense_job {
    const sal__isa *isa;
    const sal_tensor *weight;
    const sal_epilogue *e;
    const float *in;
    float *out, *worker;
    int16_t *fixed;             /* for I8: of each sample nin high parts, nin low parts */
    float unit[SAL__DENSE_FEW]; /* and what a high part of 1 stands for */
    int n, nin, nout;
    size_t worker_size;
} sal__dense_job;

/* out[s][o] from its sum, for outputs first .. first+count-1 of sample s; scaled: the sum still
   lacks the row scales of I8 */
static void sal__dense_finish(const sal__dense_job *j, int s, int first, int count, int scaled,
                              const float *sum) {
    size_t at = (size_t)s * j->nout + first;
    for (int i = 0; i < count; i++) {
        float x = sum[i];
        if (scaled) x *= j->weight->scale[first + i];
        if (j->e->scale) x *= j->e->scale[first + i];
        if (j->e->bias) x += j->e->bias[first + i];
        if (j->e->add) x += j->e->add[at + i];
        if (j->e->act != SAL_ACT_IDENTITY && x < 0) x = 0;
        if (j->e->act == SAL_ACT_RELU6 && x > 6) x = 6;
        j->out[at + i] = x;
    }
}

/* x = unit * (high + low / 65534), high from -32767 to 32767; returns unit, NaN if x is not
   finite. out: n high parts, n low parts. */
static float sal__fixed_point(int16_t *out, const float *x, int n) {
    float most = 0, zero = 0;
    for (int i = 0; i < n; i++) {
        most = SAL__MAX(most, fabsf(x[i]));
        zero += x[i] * 0;
    }
    float inverse = most > 1e-30f && zero == 0 ? 32767 / most : 0;
    for (int i = 0; i < n; i++) {
        float v = inverse > 0 ? x[i] * inverse : 0;
        out[i] = (int16_t)(v < 0 ? v - 0.5f : v + 0.5f);
        out[n + i] = (int16_t)((v - out[i]) * 65534);
    }
    return most / 32767 + zero;
}

/* Few samples: each row of weights is read once and used for all of them. */
static void sal__dense_rows_task(void *arg, int index, int worker) {
    const sal__dense_job *j = (const sal__dense_job *)arg;
    int first = index * SAL__DENSE_ROWS, count = SAL__MIN(SAL__DENSE_ROWS, j->nout - first);
    const char *rows = (const char *)j->weight->data +
                       (size_t)first * j->nin * sal_dtype_size(j->weight->dtype);
    int i8 = j->weight->dtype == SAL_DTYPE_I8;
    float sum[SAL__DENSE_ROWS];
    for (int s = 0; s < j->n; s++) {
        if (i8)
            j->isa->dot_i8(sum, j->fixed + (size_t)s * 2 * j->nin, j->unit[s],
                           (const int8_t *)rows, count, j->nin);
        else
            j->isa->dot(sum, j->in + (size_t)s * j->nin, rows, j->weight->dtype, count, j->nin);
        sal__dense_finish(j, s, first, count, i8, sum);
    }
}

/* Many samples: a matrix product,  out (n, 32) = in (n, nin) * weights (nin, 32), 32 outputs
   each. */
static void sal__dense_panel_task(void *arg, int index, int worker) {
    enum { KC = 256 };
    const sal__dense_job *j = (const sal__dense_job *)arg;
    int first = index * 32, count = SAL__MIN(32, j->nout - first);
    float *b = j->worker + worker * j->worker_size, *rows = b + KC * 32, *sum = rows + KC * 32;
    size_t nin = (size_t)j->nin;
    for (int k = 0; k < j->nin; k += KC) {
        int part = SAL__MIN(KC, j->nin - k);
        const float *from = (const float *)j->weight->data + first * nin + k;
        if (j->weight->dtype != SAL_DTYPE_F32) {
            for (int i = 0; i < count; i++)
                sal_tensor_read(j->weight, (first + i) * nin + k, (size_t)part, rows + i * KC);
            from = rows;
        }
        for (int o = 0; o < 32; o += 16)
            j->isa->pack(b + o * KC, from + o * (from == rows ? (size_t)KC : nin),
                         from == rows ? (size_t)KC : nin, SAL__MAX(0, SAL__MIN(16, count - o)),
                             part);
        j->isa->block(sum, 16, 32, j->in + k, 1, nin, b, KC * 16, 2, part, j->n, k > 0, j->in + k);
    }
    for (int s = 0; s < j->n; s++) sal__dense_finish(j, s, first, count, 0, sum + s * 32);
}

static size_t sal__fast_dense_scratch(int n, int nin, int threads) {
    if (n <= SAL__DENSE_FEW) return (size_t)n * nin * 2 * sizeof(int16_t);
    return ((size_t)n * 32 + 2 * 256 * 32) * sizeof(float) * threads;
}

static void sal__fast_dense(sal_ctx *ctx, float *out, const float *in, const sal_tensor *weight,
                            const sal_epilogue *e, int n, int nin, int nout, void *scratch) {
    sal__dense_job j;
    j.isa = sal__isa_of(ctx); j.weight = weight; j.e = e; j.in = in; j.out = out;
    j.n = n; j.nin = nin; j.nout = nout;
    j.worker = (float *)scratch; j.worker_size = (size_t)n * 32 + 2 * 256 * 32;
    j.fixed = (int16_t *)scratch;
    for (int s = 0; s < n && n <= SAL__DENSE_FEW && weight->dtype == SAL_DTYPE_I8; s++)
        j.unit[s] = sal__fixed_point(j.fixed + (size_t)s * 2 * nin, in + (size_t)s * nin, nin);
    if (n <= SAL__DENSE_FEW)
        sal_parallel_for(ctx, (nout + SAL__DENSE_ROWS - 1) / SAL__DENSE_ROWS, sal__dense_rows_task,
                         &j);
    else
        sal_parallel_for(ctx, (nout + 31) / 32, sal__dense_panel_task, &j);
}

/* --- attentive ConvLSTM ----------------------------------------------------------------------
   The equations stand at >>convlstm. Each sample: Wa * X once; in every step X~ and H are
   transformed once and serve four gates; a task makes the four gates of 16 channels and their new
   C and H while they are in the cache. In step 1 H = C = 0: no U terms, no forget gate. */
typedef struct sal__lstm_job {
    sal__wino_job wino;
    const float *const *params;
    const float *x;
    float *a, *tilde, *cell, *out, *vx, *vh;    /* A, X~, C, H, and X~ and H transformed */
    int step;
} sal__lstm_job;

static void sal__lstm_tilde_task(void *arg, int index, int worker) {
    const sal__lstm_job *j = (const sal__lstm_job *)arg;
    size_t hw = (size_t)j->wino.s->oh * j->wino.s->ow;
    const float *x = j->x + index * hw;
    float *to = j->tilde + index * hw;
    for (size_t i = 0; i < hw; i++) to[i] = x[i] * j->a[i];
}

static void sal__lstm_gates_task(void *arg, int index, int worker) {
    static const int gate[4] = { SAL_LSTM_WI, SAL_LSTM_WF, SAL_LSTM_WO, SAL_LSTM_WC };
    const sal__lstm_job *j = (const sal__lstm_job *)arg;
    sal__wino_job t = j->wino;
    sal__wino_part p = sal__wino_part_of(&t, index, worker);
    sal_epilogue e = SAL__ZEROED;
    size_t hw = (size_t)t.s->oh * t.s->ow;
    float *gates = p.y + SAL__TILES;
    t.e = &e;
    for (int i = 0; i < 4; i++) {
        const float *const *param = j->params + gate[i];        /* W, its bias, U, its bias */
        if (i == 1 && j->step == 0) continue;
        sal__wino_pass(&t, &p, param[0], j->vx, 0);
        if (j->step > 0) sal__wino_pass(&t, &p, param[2], j->vh, 1);
        e.bias = param[1]; t.bias2 = param[3];
        t.act = i < 3 ? SAL__ACT_SIGMOID : SAL__ACT_TANH;
        for (int b = 0; b < p.blocks; b++)
            sal__wino_part_out(&t, &p, b, gates + (b * 4 + i) * 16 * hw);
    }
    for (int b = 0; b < p.blocks; b++) {
        size_t at = (size_t)(p.block + b) * 16 * hw;
        t.isa->lstm(j->out + at, j->cell + at, j->step ? j->cell + at : NULL, gates + b * 64 * hw,
                    16 * hw, SAL__MIN(16, t.s->oc - (p.block + b) * 16) * hw);
    }
}

typedef struct sal__lstm_plan {
    sal_conv s, taps;
    sal__wino w;
    size_t worker, gemm;
} sal__lstm_plan;

/* s: the convolutions of one sample; taps: Va as a 1x1 convolution to its nine taps. */
static sal__lstm_plan sal__lstm_fit(int c, int h, int w) {
    sal__wino six;
    sal__lstm_plan p;
    p.s = p.taps = sal__lstm_conv(1, c, h, w);
    p.taps.kh = p.taps.kw = 1; p.taps.oc = 9;
    p.taps.top = p.taps.left = p.taps.bottom = p.taps.right = 0;
    sal_conv_fit(&p.taps);
    sal__wino_fit(&p.w, &p.s, 8);
    if (sal__wino_fit(&six, &p.s, 6) && six.cost < p.w.cost) p.w = six;
    p.w.chunk = p.w.groups;
    sal__gemm_job g = sal__gemm_fit(&p.taps, 1);
    p.worker = SAL__MAX(sal__wino_worker(&p.w) + (size_t)128 * h * w,
                        g.worker_size + sal__gemm_shared(&g));
    return p;
}

static size_t sal__fast_convlstm_scratch(int c, int h, int w, int threads) {
    sal__lstm_plan p = sal__lstm_fit(c, h, w);
    size_t hw = (size_t)h * w;
    return (sal__wino_shared(&p.w) * 2 + c * hw * 4 + hw * 12 + c * 9 + 64 +
            p.worker * threads) * sizeof(float);
}

/* Shapes and order as sal_convlstm_forward. */
static void sal__fast_convlstm(sal_ctx *ctx, float *out, const float *in,
                               const float *const *params, int steps, int n, int c, int h, int w,
                               void *scratch) {
    sal__lstm_plan p = sal__lstm_fit(c, h, w);
    sal__lstm_job j = SAL__ZEROED;
    sal_epilogue e = SAL__ZEROED, plain = SAL__ZEROED;
    size_t hw = (size_t)h * w, shared = sal__wino_shared(&p.w);
    j.wino.isa = sal__isa_of(ctx); j.wino.s = &p.s; j.wino.w = p.w; j.wino.count = p.w.groups;
    j.params = params;
    j.vx = (float *)scratch; j.vh = j.vx + shared;
    j.tilde = j.vh + shared; j.cell = j.tilde + c * hw;
    float *wax = j.cell + c * hw, *sum = wax + c * hw, *taps = sum + c * hw, *z = taps + 9 * hw;
    float *va = z + 2 * hw;
    j.a = z + hw;
    j.wino.worker = va + (c * 9 + 15) / 16 * 16; j.wino.worker_size = p.worker;
    for (int k = 0; k < 9; k++)
        for (size_t i = 0; i < (size_t)c; i++) va[k * c + i] = params[SAL_LSTM_VA][i * 9 + k];
    for (int s = 0; s < n; s++) {
        j.x = in + s * c * hw;
        j.out = out + s * c * hw;
        /* Wa * X and both biases */
        j.wino.in = j.x; j.wino.v = j.vx;
        sal_parallel_for(ctx, p.w.groups, sal__wino_input_task, &j.wino);
        e.bias = params[SAL_LSTM_WA_BIAS]; j.wino.bias2 = params[SAL_LSTM_UA_BIAS];
        j.wino.e = &e;
        j.wino.act = SAL_ACT_IDENTITY;
        j.wino.weight = params[SAL_LSTM_WA];
        j.wino.out = wax;
        sal__wino_outputs(ctx, &j.wino);
        for (j.step = 0; j.step < steps; j.step++) {
            if (j.step == 0) {
                j.wino.isa->finish(sum, wax, NULL, 1, 0, SAL__ACT_TANH, c * hw);
            } else {
                j.wino.in = j.out; j.wino.v = j.vh;
                sal_parallel_for(ctx, p.w.groups, sal__wino_input_task, &j.wino);
                e.bias = NULL; j.wino.bias2 = NULL; e.add = wax;
                j.wino.act = SAL__ACT_TANH; j.wino.weight = params[SAL_LSTM_UA]; j.wino.out = sum;
                sal__wino_outputs(ctx, &j.wino);
                e.add = NULL;
            }
            /* Va: products with each of its nine taps, then moved to their places and added */
            sal__fast_conv2d(ctx, taps, sum, va, &plain, &p.taps, 0, j.wino.worker);
            for (int y = 0; y < h; y++)
                for (int x = 0; x < w; x++) {
                    float total = 0;
                    for (int k = 0; k < 9; k++) {
                        int v = y + k / 3 - 1, u = x + k % 3 - 1;
                        if (v >= 0 && v < h && u >= 0 && u < w) total += taps[k * hw + v * w + u];
                    }
                    z[y * w + x] = total;
                }
            sal_softmax_forward(j.a, z, 1, (int)hw);
            sal_parallel_for(ctx, c, sal__lstm_tilde_task, &j);
            j.wino.in = j.tilde; j.wino.v = j.vx;
            sal_parallel_for(ctx, p.w.groups, sal__wino_input_task, &j.wino);
            j.wino.part = p.w.groups; j.wino.parts = 1;
            sal_parallel_for(ctx, sal__wino_tasks(&p.w), sal__lstm_gates_task, &j);
        }
    }
}

/* --- depthwise convolution --------------------------------------------------------------------
   A plane at a time, within the cache: the input is copied with its borders, the columns of each
   row dealt out by their remainder modulo the stride; then what one tap sees along a row of outputs
   is a run of neighbours, and the outputs are weighted sums of such runs, nine at a time (`taps`).
   Backward: the sums of products with those runs for the weights; for the data, the inputs of each
   remainder are weighted sums of runs of dout. */
typedef struct sal__plane_job {
    const sal__isa *isa;
    const sal_conv *s;
    const sal_epilogue *e;
    const float *in, *weight, *dout, *value;    /* value: of the layer, to mask dout by, or NULL */
    float *out, *din, *dweight, *dbias, *worker;
    double *sums;               /* of each plane of din, masked by the inputs; NULL: it is not */
    float top, top_before;      /* where both ReLUs end */
    size_t *run;                /* [kh * kw] where what a tap sees begins in the copy */
    size_t worker_size, plane_size, border_size;    /* floats; of the copies of in and dout */
    int add;                    /* din += */
    int pitch, rows;            /* of the copy: floats of one remainder, rows */
    int over, beside, back;     /* border around the copy of dout, floats of its rows */
} sal__plane_job;

static sal__plane_job sal__plane_fit(const sal_conv *s, int training) {
    int reach_y = (s->kh - 1) * s->dilation, reach_x = (s->kw - 1) * s->dilation, d = s->stride;
    sal__plane_job j = SAL__ZEROED;
    j.s = s;
    j.rows = (s->oh - 1) * d + reach_y + 1;
    j.pitch = s->ow + reach_x / d;
    j.over = (reach_y + d - 1) / d;
    j.beside = (reach_x + d - 1) / d;
    j.back = s->ow + 2 * j.beside + 16;
    j.plane_size = (size_t)j.rows * d * j.pitch + 16;       /* 16: whole vectors are read */
    j.border_size = (size_t)(s->oh + 2 * j.over) * j.back + 16;
    j.worker_size = j.plane_size;
    if (training)
        j.worker_size += j.border_size + (size_t)((s->ih + d - 1) / d) * ((s->iw + d - 1) / d) * d +
                         16;
    j.worker_size = (j.worker_size + 15) / 16 * 16;
    return j;
}

static size_t sal__plane_table(const sal_conv *s) {     /* bytes of run, whole cache lines */
    return ((size_t)s->kh * s->kw * sizeof(size_t) + 63) / 64 * 64;
}

static size_t sal__fast_depthwise_scratch(const sal_conv *s, int threads, int training) {
    sal__plane_job j = sal__plane_fit(s, training);
    return sal__plane_table(s) + j.worker_size * threads * sizeof(float);
}

/* What all planes share: the table of runs, and copies whose borders are zero and stay so. */
static void sal__plane_begin(const sal_ctx *ctx, sal__plane_job *j, void *scratch, int threads) {
    const sal_conv *s = j->s;
    j->isa = sal__isa_of(ctx);
    j->run = (size_t *)scratch;
    j->worker = (float *)scratch + sal__plane_table(s) / sizeof(float);
    for (int t = 0; t < s->kh * s->kw; t++) {
        int row = t / s->kw * s->dilation, column = t % s->kw * s->dilation;
        j->run[t] = (size_t)(row * s->stride + column % s->stride) * j->pitch + column / s->stride;
    }
    memset(j->worker, 0, threads * j->worker_size * sizeof(float));
}

static void sal__plane_copy(const sal__plane_job *j, float *to, const float *in) {
    const sal_conv *s = j->s;
    int d = s->stride, left = s->left, width = d * j->pitch, i;
    int count = SAL__MIN(s->iw, width - left), rows = SAL__MIN(s->ih, j->rows - s->top);
    to += (size_t)s->top * width;
    for (int r = 0; r < rows; r++, to += width, in += s->iw) {
        if (d == 1) {
            memcpy(to + left, in, (size_t)count * sizeof(float));
            continue;
        }
        i = 0;
        if (d == 2) {           /* column i is at i + left: even columns here, odd ones there */
            j->isa->deal(to + left % 2 * j->pitch + left / 2,
                         to + (left + 1) % 2 * j->pitch + (left + 1) / 2, in, count / 2);
            i = count / 2 * 2;
        }
        for (; i < count; i++) to[(i + left) % d * j->pitch + (i + left) / d] = in[i];
    }
}

/* The runs of taps first .. first + 8; after the last tap it is repeated. */
static void sal__plane_runs(const sal__plane_job *j, const float *copy, int first,
                            const float **from) {
    for (int i = 0; i < 9; i++)
        from[i] = copy + j->run[SAL__MIN(first + i, j->s->kh * j->s->kw - 1)];
}

/* A plane of channel c; add: to what is there. */
static void sal__plane_forward(const sal__plane_job *j, int c, float *out, const float *in,
                               int add, float *copy) {
    const sal_conv *s = j->s;
    const sal_epilogue *e = j->e;
    int taps = s->kh * s->kw, i;
    size_t step = (size_t)s->stride * s->stride * j->pitch;
    float scale = e->scale ? e->scale[c] : 1, bias = e->bias ? e->bias[c] : 0, weight[9];
    const float *from[9];
    sal__plane_copy(j, copy, in);
    for (int t = 0; t < taps; t += 9) {
        int act = t + 9 < taps ? SAL_ACT_IDENTITY : e->act;
        for (i = 0; i < 9; i++) weight[i] = t + i < taps ? scale * j->weight[c * taps + t + i] : 0;
        sal__plane_runs(j, copy, t, from);
        j->isa->taps(out, (size_t)s->ow, from, step, weight, 9, t ? 0 : bias, t > 0 || add,
                     act == SAL_ACT_IDENTITY ? -INFINITY : 0, act == SAL_ACT_RELU6 ? 6 : INFINITY,
                     s->ow, s->oh);
    }
}

static void sal__depthwise_task(void *arg, int index, int worker) {
    const sal__plane_job *j = (const sal__plane_job *)arg;
    const sal_conv *s = j->s;
    size_t hw = (size_t)s->oh * s->ow;
    const float *add = j->e->add;
    float *out = j->out + index * hw;
    if (add && add != j->out) memcpy(out, add + index * hw, hw * sizeof(float));
    sal__plane_forward(j, index % s->ic, out, j->in + (size_t)index * s->ih * s->iw, add != NULL,
                       j->worker + worker * j->worker_size);
}

static void sal__fast_depthwise(sal_ctx *ctx, float *out, const float *in, const float *weight,
                                const sal_epilogue *e, const sal_conv *s, void *scratch) {
    sal__plane_job j = sal__plane_fit(s, 0);
    j.e = e; j.in = in; j.weight = weight; j.out = out;
    sal__plane_begin(ctx, &j, scratch, sal_threads(ctx));
    sal_parallel_for(ctx, s->n * s->ic, sal__depthwise_task, &j);
}

/* --- a 1x1 convolution and the depthwise one behind it ----------------------------------------
   What MobileNet expands is large and read but once. Here it never gets to memory: a task makes a
   strip of the output, six channels at a time, and what they were expanded to stays in the cache.
   The rows that two strips share are made twice. */
typedef struct sal__wide_job {
    sal__gemm_job gemm;
    sal__plane_job plane;
    int strip, strips;          /* rows of the output in a strip, strips in a sample */
} sal__wide_job;

static int sal__wide_rows(const sal_conv *d, int rows) {    /* of the input, for rows of output */
    return (rows - 1) * d->stride + (d->kh - 1) * d->dilation + 1;
}

/* s: the 1x1 convolution, d: the depthwise one */
static sal__wide_job sal__wide_fit(const sal_conv *s, const sal_conv *d, int threads) {
    sal__wide_job j = SAL__ZEROED;
    int row = (s->ic + 6) * s->iw, strip = 1, most = (d->oh + threads - 1) / threads;
    j.gemm = sal__gemm_fit(s, 1);
    j.plane = sal__plane_fit(d, 0);
    while (strip < most && sal__wide_rows(d, strip + 1) * row <= 98304) strip++;
    j.strips = (d->oh + strip - 1) / strip;
    j.strip = (d->oh + j.strips - 1) / j.strips;        /* of equal size */
    j.gemm.panels = (sal__wide_rows(d, j.strip) * s->iw + 15) / 16;
    j.plane.plane_size = (size_t)sal__wide_rows(d, j.strip) * d->stride * j.plane.pitch + 16;
    j.gemm.worker_size = ((size_t)j.gemm.k + 6) * 16 * j.gemm.panels + 64 + j.plane.plane_size;
    j.gemm.worker_size = (j.gemm.worker_size + 15) / 16 * 16;
    return j;
}

static size_t sal__wide_scratch(const sal_conv *s, const sal_conv *d, int threads) {
    size_t most = 0;
    for (int t = 1; t <= threads; t++) {
        sal__wide_job j = sal__wide_fit(s, d, t);
        most = SAL__MAX(most, sal__gemm_shared(&j.gemm) + t * j.gemm.worker_size);
    }
    return sal__plane_table(d) + most * sizeof(float);
}

static void sal__wide_task(void *arg, int index, int worker) {
    const sal__wide_job *j = (const sal__wide_job *)arg;
    const sal__gemm_job *g = &j->gemm;
    sal__plane_job plane = j->plane;
    const sal_conv *d = plane.s;
    sal_conv part = *d;         /* the strip as a small convolution of its own */
    int sample = index / j->strips, y = index % j->strips * j->strip, count;
    int top = y * d->stride - d->top, first = SAL__MAX(top, 0);
    size_t pitch = (size_t)g->panels * 16;
    float *b = g->worker + worker * g->worker_size, *c = b + g->k * pitch, *copy = c + 6 * pitch;
    part.oh = SAL__MIN(j->strip, d->oh - y);
    plane.s = &part; plane.rows = sal__wide_rows(d, part.oh);
    part.top = first - top;
    part.ih = SAL__MIN(top + plane.rows, d->ih) - first;
    count = part.ih * d->iw;
    memset(copy, 0, plane.plane_size * sizeof(float));      /* the borders of this strip */
    sal__gemm_load(g, sample, first * d->iw, count, b);
    for (int o = 0; o < d->ic; o += 6) {
        int rows = SAL__MIN(6, d->ic - o);
        sal__gemm_rows(g, o, rows, (count + 15) / 16, b, c, pitch);
        for (int r = 0; r < rows; r++, c += pitch) {
            size_t at = ((size_t)sample * d->ic + o + r) * d->oh + y;
            sal__gemm_finish(g, o + r, c, c, 0, count);
            sal__plane_forward(&plane, o + r, plane.out + at * d->ow, c, 0, copy);
        }
        c -= rows * pitch;
    }
}

static void sal__fast_wide(sal_ctx *ctx, float *out, const float *in, const float *weight,
                           const sal_epilogue *e, const sal_conv *s, const float *depthwise,
                           const sal_epilogue *de, const sal_conv *d, void *scratch) {
    sal__wide_job j = sal__wide_fit(s, d, sal_threads(ctx));
    j.gemm.e = e; j.gemm.in = in; j.gemm.weight = weight;
    j.plane.e = de; j.plane.weight = depthwise; j.plane.out = out;
    sal__plane_begin(ctx, &j.plane, scratch, 0);
    j.gemm.worker = sal__gemm_begin(ctx, &j.gemm, j.plane.worker);
    sal_parallel_for(ctx, s->n * j.strips, sal__wide_task, &j);
}

/* The gradient of every stride-th input from row v and column q on: to, rows `pitch` apart, is set
   to it or, if add, gets it added. */
static void sal__plane_back(const sal__plane_job *j, float *to, int pitch, int add,
                            const float *border, int c, int v, int q) {
    const sal_conv *s = j->s;
    int d = s->stride, rows = (s->ih - v + d - 1) / d, n = (s->iw - q + d - 1) / d;
    int taps = s->kh * s->kw, count = 0, begun = 0, whole;
    const float *from[9];
    float weight[9];
    for (int t = 0; t < taps; t++) {
        int row = v + s->top - t / s->kw * s->dilation;
        int column = q + s->left - t % s->kw * s->dilation;
        if (row % d == 0 && column % d == 0) {
            weight[count] = j->weight[c * taps + t];
            from[count++] = border + (ptrdiff_t)(row / d + j->over) * j->back + column / d +
                            j->beside;
        }
        if (count == 0 || (count < 9 && t + 1 < taps)) continue;
        for (whole = count > 4 ? 9 : 4; count < whole; count++) {
            weight[count] = 0;
            from[count] = from[0];
        }
        j->isa->taps(to, (size_t)pitch, from, (size_t)j->back, weight, count, 0, add || begun,
                     -INFINITY, INFINITY, n, rows);
        begun = 1; count = 0;
    }
    for (int y = 0; !begun && !add && y < rows; y++)
        memset(to + (size_t)y * pitch, 0, (size_t)n * sizeof(float));
}

/* The gradient of a plane's inputs, for one remainder of rows and columns modulo the stride after
   the other; to: room for d remainders of columns. */
static void sal__plane_data(const sal__plane_job *j, float *din, const float *border, int c,
                            float *to) {
    const sal_conv *s = j->s;
    int d = s->stride, n = (s->iw + d - 1) / d;
    size_t size = (size_t)((s->ih + d - 1) / d) * n;
    if (d == 1) {
        sal__plane_back(j, din, n, j->add, border, c, 0, 0);
        return;
    }
    for (int v = 0; v < SAL__MIN(d, s->ih); v++) {
        for (int q = 0; q < SAL__MIN(d, s->iw); q++)
            sal__plane_back(j, to + q * size, n, 0, border, c, v, q);
        for (int y = v, at = 0; y < s->ih; y += d, at += n) {
            float *row = din + (size_t)y * s->iw;
            const float *even = to + at, *odd = even + size;
            int x = 0;
            if (d == 2 && !j->add) {
                x = s->iw / 2 * 2;
                j->isa->zip(row, even, odd, x / 2);
            }
            for (; x < s->iw; x++) {
                float g = to[x % d * size + at + x / d];
                row[x] = j->add ? row[x] + g : g;
            }
        }
    }
}

/* One channel of all samples. dout is masked while it is copied, din when it is complete. */
static void sal__depthwise_back_task(void *arg, int c, int worker) {
    const sal__plane_job *j = (const sal__plane_job *)arg;
    const sal_conv *s = j->s;
    int taps = s->kh * s->kw, d = s->stride, lanes = j->isa->width;
    size_t step = (size_t)d * d * j->pitch;
    float *copy = j->worker + worker * j->worker_size, *border = copy + j->plane_size;
    float *rest = border + j->border_size;
    const float *from[9];
    float *inner = border + (size_t)j->over * j->back + j->beside;
    double bias = 0;
    for (int n = 0; n < s->n; n++) {
        size_t plane = (size_t)n * s->ic + c, at = plane * s->oh * s->ow;
        size_t size = (size_t)s->ih * s->iw;
        float *din = j->din ? j->din + plane * size : NULL;
        const float *in = j->in + plane * size;
        for (int y = 0; y < s->oh; y++, at += s->ow) {
            float *row = inner + (size_t)y * j->back;
            if (!j->value) memcpy(row, j->dout + at, (size_t)s->ow * sizeof(float));
            bias += j->isa->gate(row, j->dout + at, j->value ? j->value + at : NULL, j->top,
                                 (size_t)s->ow);
        }
        if (din) sal__plane_data(j, din, border, c, rest);
        if (din && j->sums) j->sums[plane] = j->isa->gate(din, din, in, j->top_before, size);
        if (!j->dweight) continue;
        sal__plane_copy(j, copy, in);
        for (int t = 0; t < taps; t += 9) {
            float sum[9 * 16];
            sal__plane_runs(j, copy, t, from);
            j->isa->taps_back(sum, from, step, inner, (size_t)j->back, s->ow, s->oh);
            for (int i = 0; i < 9 && t + i < taps; i++) {
                double total = 0;
                for (int k = 0; k < lanes; k++) total += sum[i * lanes + k];
                j->dweight[c * taps + t + i] += (float)total;
            }
        }
    }
    if (j->dbias) j->dbias[c] += (float)bias;
}

/* --- bilinear resizing: rows first, then columns; the taps of both are computed once ---------- */
typedef struct sal__upsample_job {
    sal_shape from, to;
    const float *in, *dout;
    float *out, *din, *worker;
    sal__tap *row, *column;
} sal__upsample_job;

static size_t sal__upsample_scratch(sal_shape from, sal_shape to, int threads) {
    return (size_t)(to.h + to.w) * sizeof(sal__tap) + (size_t)from.w * threads * sizeof(float);
}

static sal__upsample_job sal__upsample_fit(sal_shape from, sal_shape to, void *scratch) {
    sal__upsample_job j = SAL__ZEROED;
    int k;
    j.from = from; j.to = to;
    j.row = (sal__tap *)scratch; j.column = j.row + to.h;
    j.worker = (float *)(void *)(j.column + to.w);
    for (k = 0; k < to.h; k++) j.row[k] = sal__tap_at((k + 0.5) * from.h / to.h - 0.5, from.h);
    for (k = 0; k < to.w; k++) j.column[k] = sal__tap_at((k + 0.5) * from.w / to.w - 0.5, from.w);
    return j;
}

static void sal__upsample_task(void *arg, int index, int worker) {
    const sal__upsample_job *j = (const sal__upsample_job *)arg;
    int iw = j->from.w, ow = j->to.w;
    const float *in = j->in + (size_t)index * j->from.h * iw;
    float *out = j->out + (size_t)index * j->to.h * ow, *line = j->worker + (size_t)worker * iw;
    for (int y = 0; y < j->to.h; y++, out += ow) {
        const float *top = in + (size_t)j->row[y].low * iw;
        const float *bottom = in + (size_t)j->row[y].high * iw;
        float t = (float)j->row[y].t;
        for (int x = 0; x < iw; x++) line[x] = top[x] + t * (bottom[x] - top[x]);
        for (int x = 0; x < ow; x++) {
            const sal__tap *u = &j->column[x];
            out[x] = line[u->low] + (float)u->t * (line[u->high] - line[u->low]);
        }
    }
}

static void sal__upsample_back_task(void *arg, int index, int worker) {
    const sal__upsample_job *j = (const sal__upsample_job *)arg;
    int iw = j->from.w, ow = j->to.w;
    float *din = j->din + (size_t)index * j->from.h * iw, *line = j->worker + (size_t)worker * iw;
    const float *dout = j->dout + (size_t)index * j->to.h * ow;
    for (int y = 0; y < j->to.h; y++, dout += ow) {
        float *top = din + (size_t)j->row[y].low * iw, *bottom = din + (size_t)j->row[y].high * iw;
        float t = (float)j->row[y].t;
        for (int x = 0; x < iw; x++) line[x] = 0;
        for (int x = 0; x < ow; x++) {
            const sal__tap *u = &j->column[x];
            line[u->low]  += (1 - (float)u->t) * dout[x];
            line[u->high] += (float)u->t * dout[x];
        }
        for (int x = 0; x < iw; x++) { top[x] += (1 - t) * line[x]; bottom[x] += t * line[x]; }
    }
}

/* --- max-pooling ------------------------------------------------------------------------------
   Per plane and output row: the maximum of k input rows first (vectors), then of k neighbours. */
typedef struct sal__pool_job {
    const sal__isa *isa;
    const sal_pool *s;
    const float *in;
    float *out, *worker;
} sal__pool_job;

static size_t sal__pool_row(const sal_pool *s) { return ((size_t)s->iw + 15) / 16 * 16; }

static void sal__pool_task(void *arg, int index, int worker) {
    const sal__pool_job *j = (const sal__pool_job *)arg;
    const sal_pool *s = j->s;
    const float *in = j->in + (size_t)index * s->ih * s->iw;
    float *out = j->out + (size_t)index * s->oh * s->ow;
    float *row = j->worker + worker * sal__pool_row(s);
    for (int y = 0; y < s->oh; y++, out += s->ow) {
        int top = y * s->stride - s->top, i0 = SAL__MAX(top, 0), i1 = SAL__MIN(top + s->k, s->ih);
        const float *from = in + (size_t)i0 * s->iw, *best = from;
        for (int i = i0 + 1; i < i1; i++, best = row)
            j->isa->maximum(row, best, in + (size_t)i * s->iw, (size_t)s->iw);
        for (int x = 0; x < s->ow; x++) {
            int left = x * s->stride - s->left, j1 = SAL__MIN(left + s->k, s->iw);
            left = SAL__MAX(left, 0);
            float most = best[left];
            for (int i = left + 1; i < j1; i++) most = best[i] > most ? best[i] : most;
            out[x] = most;
        }
    }
}

/* --- whole numbers ----------------------------------------------------------------------------
   The page above has the rules. A value is bytes, pixel by pixel with all its channels; a group of
   channels is 2 * width of them, in the order of the vectors of the set that is used. */
struct sal__whole {
    sal__rule rule;
    const void *weight;         /* (groups, k, channels of a group, 4 bytes), for depthwise layers
                                   and upsampling (groups, pairs of taps, channels, 2 numbers) */
    int groups, k;              /* of outputs; units of 4 bytes of inputs, or pairs of taps */
    int pitch;                  /* input channels of a tap */
    float unit;                 /* of the input */
    int zero;
};

/* Where channel c lies in the vectors of its group: instructions that unpack bytes reorder them. */
static size_t sal__whole_place(int width, int c) {
    int at = c % (2 * width);
    if (width > 1) at = (at / 4 % 2 ? width : 0) + at / 8 * 4 + at % 4;
    return (size_t)(c - c % (2 * width) + at);
}

/* The range of what layer i reads: that of the layer that makes it. */
static const float *sal__range_of(const sal_run *run, int i) {
    const sal_layer *l = &run->net->layer[i];
    do {
        i = run->value[sal__root(run, l->input[0])].first;
        l = &run->net->layer[i];
    } while (l->op == SAL_OP_MIRROR || l->op == SAL_OP_UPSAMPLE);
    return l->range;
}

/* The unit and the zero of bytes from range[0] to range[1] and 0. */
static void sal__whole_unit(const float *range, float *unit, int *zero) {
    double low = SAL__MIN(range[0], 0), high = SAL__MAX(range[1], 0);
    *unit = (float)((high - low) / 255);
    *zero = (int)(-low / *unit + 0.5);
}

/* 1 if all layers that read value v can read bytes, and it is not the output of the network. */
static int sal__whole_read(const sal_run *run, int v) {
    const sal_net *net = run->net;
    for (int i = v + 1; i < net->layers; i++)
        for (int k = 0; k < net->layer[i].inputs && !run->step[i].skip; k++) {
            sal_op op = net->layer[i].op;
            if (sal__root(run, net->layer[i].input[k]) == v && op != SAL_OP_CONV2D &&
                op != SAL_OP_DEPTHWISE && op != SAL_OP_UPSAMPLE) return 0;
        }
    return sal__root(run, net->layers - 1) != v;
}

static int sal__whole_plan(sal_run *run) {
    const sal_net *net = run->net;
    for (int i = 1; i < net->layers; i++) {
        const sal_layer *l = &net->layer[i];
        const sal_step *step = &run->step[i];
        sal_value *out = &run->value[step->output];
        const sal_value *in = &run->value[sal__root(run, l->inputs ? l->input[0] : 0)];
        int bytes = sal__whole_read(run, step->output);
        if (step->skip) continue;
        if (l->op == SAL_OP_CONV2D || l->op == SAL_OP_DEPTHWISE) {
            const float *range = sal__range_of(run, i);
            bytes = bytes && l->range;
            if (step->norm >= 0 || (!bytes && step->act != SAL_ACT_IDENTITY) ||
                (step->add >= 0 && !(bytes && run->value[sal__root(run, step->add)].unit > 0)))
                return 0;
            if (l->op == SAL_OP_DEPTHWISE && (!bytes || in->unit <= 0 || step->add >= 0)) return 0;
            if (in->unit <= 0 && !(range && in->shape.c == 3)) return 0;
            if (bytes) sal__whole_unit(l->range, &out->unit, &out->zero);
        } else if (l->op == SAL_OP_UPSAMPLE && in->unit > 0) {
            if (!bytes) return 0;
            out->unit = in->unit; out->zero = in->zero;
        }
    }
    return 1;
}

/* *size: the bytes that layer i takes in run->packed; if `at` is not NULL, they are filled in, too.
   The page above has the equations. */
static sal_result sal__whole_fill(sal_ctx *ctx, sal_run *run, int i, unsigned char *at,
                                  size_t *size) {
    const sal_net *net = run->net;
    const sal_layer *l = &net->layer[i];
    const sal_value *in = &run->value[sal__root(run, l->input[0])];
    const sal_value *out = &run->value[run->step[i].output];
    const sal_value *add = run->step[i].add >= 0 ?
                           &run->value[sal__root(run, run->step[i].add)] : NULL;
    const float *range = sal__range_of(run, i);
    const sal__isa *isa = sal__isa_of(ctx);
    int width = isa->width, taps = l->kernel * l->kernel, dw = l->op == SAL_OP_DEPTHWISE;
    int oc = out->shape.c, ic = dw ? 1 : in->shape.c, bytes = dw ? 2 : isa->bytes;
    struct sal__whole *w = (struct sal__whole *)(void *)at;
    int groups = (oc + 2 * width - 1) / (2 * width);
    int pitch = dw ? 1 : in->unit <= 0 || taps == 1 ? (ic + 3) / 4 * 4
                                                    : (int)sal__whole_pitch(ic);
    int levels = dw ? 8191 : 127;
    size_t k = l->op == SAL_OP_UPSAMPLE ? 0 : dw ? (size_t)(taps + 1) / 2
                                                : (size_t)taps * pitch * bytes / 4;
    size_t row = (size_t)groups * 2 * width, weights = row * k * 4;
    *size = SAL__ALIGNED(sizeof *w) + 2 * SAL__ALIGNED(row * 4) + SAL__ALIGNED(weights);
    if (!at) return SAL_OK;
    int32_t *bias = (int32_t *)(void *)(at + SAL__ALIGNED(sizeof *w));
    float *scale = (float *)(void *)((unsigned char *)bias + SAL__ALIGNED(row * 4));
    unsigned char *to = (unsigned char *)scale + SAL__ALIGNED(row * 4);
    w->rule.bias = bias; w->rule.scale = scale; w->weight = to;
    w->groups = groups; w->k = (int)k; w->pitch = pitch;
    w->unit = in->unit; w->zero = in->zero;
    if (l->op == SAL_OP_UPSAMPLE) {             /* shares that add up to 4096 */
        for (size_t o = 0; o < row; o++) scale[o] = 1 / 4096.0f;
        w->rule.high = 255;
        return SAL_OK;
    }
    if (in->unit <= 0) sal__whole_unit(range, &w->unit, &w->zero);
    w->rule.real = out->unit <= 0;
    w->rule.zero = out->zero; w->rule.high = 255;
    if (run->step[i].act != SAL_ACT_IDENTITY) w->rule.low = out->zero;
    if (run->step[i].act == SAL_ACT_RELU6)
        w->rule.high = (int)SAL__MIN(255, 6 / out->unit + 0.5f + (float)out->zero);
    if (add) {
        w->rule.add = sal__to_int((double)add->unit / out->unit * 1024 + 0.5, 0, 32768);
        w->rule.offset = 512 - add->zero * w->rule.add;
    }
    for (int o = 0; o < oc; o++) {
        const float *x = sal__weight(run, i, 0) + (size_t)o * ic * taps;
        const float *b = sal__weight(run, i, 1);
        size_t place = sal__whole_place(width, o);
        float most = b ? fabsf(b[o]) / w->unit * 1.5e-5f : 0; /* the bias fits, too: 2^29 at most */
        int32_t sum = 0, all = 0;
        double lost = 0;
        for (int e = 0; e < ic * taps; e++) most = SAL__MAX(most, fabsf(x[e]));
        if (most < 1e-30f) most = 0;
        /* Twice what is wanted: the conversion to int cuts off, then it is halved and rounded. */
        float inverse = most > 0 ? (float)(2 * levels) / most : 0;
        float part = most / (float)levels;
        for (int c = 0; c < ic; c++)
            for (int t = 0; t < taps; t++, x++) {
                int q = (int)(*x * inverse);
                q = (q + (q > 0) - (q < 0)) / 2;
                sum += q;
                all += q < 0 ? -q : q;
                if (range) lost += (*x - (double)part * q) * range[2 + (dw ? o : c)];
                size_t e = dw ? (size_t)t : (size_t)t * pitch + c;      /* in the order of inputs */
                size_t unit = 4 / (size_t)bytes;
                size_t cell = ((o / (2 * width) * k + e / unit) * 2 * width +
                               place % (2 * width)) * unit + e % unit;
                if (bytes == 1) ((int8_t *)to)[cell] = (int8_t)q;
                else ((int16_t *)(void *)to)[cell] = (int16_t)q;
            }
        double count = (double)w->unit * part;
        double start = count > 0 ? ((b ? b[o] : 0) + lost) / count - (double)w->zero * sum : 0;
        double factor = w->rule.real ? count : count / out->unit * (add ? 1024 : 1);
        if (!(fabs(start) + 255.0 * all < 2e9 && (fabs(start) + 255.0 * all) * factor < 1e9) ||
            w->rule.add > 32767)
            return sal__fail(ctx, SAL_ERR_FORMAT, "%s.range does not go with the weights of %s",
                             l->name, net->name);
        bias[place] = (int32_t)floor(start + 0.5);
        scale[place] = (float)factor;
    }
    return SAL_OK;
}

static sal_result sal__whole_pack(sal_ctx *ctx, sal_run *run) {
    const sal_net *net = run->net;
    for (int pass = 0; pass < 2; pass++) {
        size_t used = 0, size;
        for (int i = 1; i < net->layers; i++) {
            const sal_layer *l = &net->layer[i];
            sal_step *step = &run->step[i];
            int k = 1;
            if (step->skip || !(l->op == SAL_OP_CONV2D || l->op == SAL_OP_DEPTHWISE ||
                                (l->op == SAL_OP_UPSAMPLE &&
                                 run->value[step->output].unit > 0))) continue;
            while (k < i && !(net->layer[k].op == l->op && l->params &&     /* shared weights */
                              net->layer[k].param == l->param)) k++;
            if (k < i) {
                step->whole = run->step[k].whole;
                continue;
            }
            SAL__TRY(sal__whole_fill(ctx, run, i, pass ? run->packed + used : NULL, &size));
            if (pass) step->whole = (struct sal__whole *)(void *)(run->packed + used);
            used += size;
        }
        if (!pass) SAL__TRY_NEW(run->packed, ctx, unsigned char, used);
        run->packed_bytes = used;
    }
    return SAL_OK;
}

typedef struct sal__whole_job {
    const sal__isa *isa;
    const struct sal__whole *w;
    sal_conv s;
    const unsigned char *in, *add;
    int real;                       /* 1: the input is floats */
    unsigned char *out, *worker, *border;
    size_t pitch, out_pitch, worker_size;
    int rows, blocks, parts, groups;    /* positions in a block, blocks in a sample; a block's
                                           groups are done in parts of so many */
    int wide;                       /* 1: the product reads the input as it lies */
} sal__whole_job;

enum { SAL__WHOLE_A = 131072 };    /* bytes of gathered inputs: with the weights they fit into L2 */

static sal__whole_job sal__whole_fit(const sal_run *run, int i, int threads) {
    sal__whole_job j = SAL__ZEROED;
    const sal_value *in = &run->value[sal__root(run, run->net->layer[i].input[0])];
    const sal_value *out = &run->value[run->step[i].output];
    j.w = run->step[i].whole;
    j.s = sal__conv_of(&run->net->layer[i], run->n, in->shape);
    j.in = (const unsigned char *)in->data;
    j.real = in->unit <= 0;
    j.out = (unsigned char *)out->data;
    j.pitch = in->unit > 0 ? sal__whole_pitch(in->shape.c) : 4;
    j.out_pitch = out->unit > 0 ? sal__whole_pitch(out->shape.c) : 0;
    if (run->step[i].add >= 0)
        j.add = (const unsigned char *)run->value[sal__root(run, run->step[i].add)].data;
    if (run->net->layer[i].op == SAL_OP_CONV2D) {
        size_t row = (size_t)j.w->k * 4;
        int all = j.s.oh * j.s.ow, most = (int)SAL__MIN(96, SAL__MAX(SAL__WHOLE_A / row, 6));
        most = SAL__MIN(most, (all + threads - 1) / threads);
        j.blocks = (all + most - 1) / most;
        j.rows = ((all + j.blocks - 1) / j.blocks + 5) / 6 * 6;
        j.blocks = (all + j.rows - 1) / j.rows;
        j.worker_size = SAL__ALIGNED(row * j.rows + 6 * 64 * sizeof(float));
        j.parts = SAL__MIN((4 * threads + j.blocks - 1) / j.blocks, threads > 1 ? j.w->groups : 1);
        j.groups = (j.w->groups + j.parts - 1) / j.parts;
        j.parts = (j.w->groups + j.groups - 1) / j.groups;
    }
    return j;
}

/* What comes before the workers' memory: the input as bytes, or a row beside the picture. */
static size_t sal__whole_shared(const sal__whole_job *j) {
    if (j->real) return SAL__ALIGNED((size_t)j->s.n * j->s.ih * j->s.iw * 4);
    return SAL__ALIGNED(((size_t)j->s.iw + j->s.kw) * j->pitch);
}

static size_t sal__whole_scratch(const sal_run *run, int i) {
    size_t most = 0;
    for (int t = 1; t <= run->threads; t++) {
        sal__whole_job j = sal__whole_fit(run, i, t);
        most = SAL__MAX(most, sal__whole_shared(&j) + t * j.worker_size);
    }
    return most;
}

static sal__whole_job sal__whole_begin(sal_ctx *ctx, sal_run *run, int i) {
    sal__whole_job j = sal__whole_fit(run, i, sal_threads(ctx));
    j.isa = sal__isa_of(ctx);
    j.border = (unsigned char *)run->scratch;
    j.worker = j.border + sal__whole_shared(&j);
    if (!j.real) memset(j.border, j.w->zero, sal__whole_shared(&j));
    return j;
}

/* Channels 0 to count - 1 at `pixels` places in a row, as numbers that the product reads. */
static void *sal__whole_copy(const sal__whole_job *j, void *to, const unsigned char *from,
                             int count) {
    if (j->isa->bytes == 1) {
        memcpy(to, from, (size_t)count);
        return (char *)to + count;
    }
    j->isa->whole_widen((int16_t *)to, from, count);
    return (int16_t *)to + count;
}

/* rows of inputs under the kernel, for `count` positions from `first` on */
static void sal__whole_gather(const sal__whole_job *j, int sample, int first, int count, void *to) {
    const sal_conv *s = &j->s;
    const unsigned char *in = j->in + (size_t)sample * s->ih * s->iw * j->pitch;
    int tap = j->w->pitch;
    for (int p = first; p < first + count; p++) {
        int top = p / s->ow * s->stride - s->top, left = p % s->ow * s->stride - s->left;
        for (int v = top; v < top + s->kh; v++) {
            const unsigned char *from = in + ((ptrdiff_t)v * s->iw + left) * (ptrdiff_t)j->pitch;
            if (v >= 0 && v < s->ih && left >= 0 && left + s->kw <= s->iw &&
                (s->kw == 1 || (size_t)tap == j->pitch)) {
                to = sal__whole_copy(j, to, from, s->kw * tap);
                continue;
            }
            for (int u = left; u < left + s->kw; u++, from += j->pitch)
                to = sal__whole_copy(j, to, v >= 0 && v < s->ih && u >= 0 && u < s->iw
                                            ? from : j->border, tap);
        }
    }
}

static void sal__whole_conv_task(void *arg, int index, int worker) {
    const sal__whole_job *j = (const sal__whole_job *)arg;
    const struct sal__whole *w = j->w;
    int width = 2 * j->isa->width, size = j->s.oh * j->s.ow, part = index % j->parts;
    int sample = index / j->parts / j->blocks, first = index / j->parts % j->blocks * j->rows;
    int count = SAL__MIN(j->rows, size - first), end = SAL__MIN((part + 1) * j->groups, w->groups);
    size_t row = (size_t)w->k * 4, at = (size_t)sample * size + first;
    char *a = (char *)j->worker + worker * j->worker_size;
    float *line = (float *)(void *)(a + row * j->rows);
    if (j->wide) {
        a = (char *)(uintptr_t)j->in + at * j->pitch;
        row = j->pitch;
    } else sal__whole_gather(j, sample, first, count, a);
    for (int g = part * j->groups; g < end; g++) {
        const char *b = (const char *)w->weight + (size_t)g * w->k * width * 4;
        int c = g * width;
        for (int r = 0; r < count; r += 6) {
            int rows = SAL__MIN(6, count - r);
            if (!w->rule.real) {
                j->isa->whole_block((char *)j->out + (at + r) * j->out_pitch + c, j->out_pitch,
                                    a + r * row, row, b, w->k, rows, &w->rule, c,
                                    j->add ? j->add + (at + r) * j->out_pitch + c : NULL);
                continue;
            }
            j->isa->whole_block((char *)line, width * sizeof(float), a + r * row, row, b, w->k,
                                rows, &w->rule, c, NULL);
            for (int o = c; o < SAL__MIN(c + width, j->s.oc); o++)
                for (int k = 0; k < rows; k++)
                    ((float *)(void *)j->out)[((size_t)sample * j->s.oc + o) * size + first + r +
                                              k] =
                        line[k * width + sal__whole_place(j->isa->width, o) % width];
        }
    }
}

static void sal__whole_input_task(void *arg, int index, int worker) {
    const sal__whole_job *j = (const sal__whole_job *)arg;
    const float *in = (const float *)(const void *)j->in;
    size_t plane = (size_t)j->s.ih * j->s.iw;
    j->isa->whole_input(j->border + index * plane * 4, in + index * plane * 3, plane,
                        1 / j->w->unit, j->w->zero, plane);
}

static void sal__whole_conv(sal_ctx *ctx, sal_run *run, int i) {
    sal__whole_job j = sal__whole_begin(ctx, run, i);
    const sal_conv *s = &j.s;
    unsigned char beside[64];
    if (j.real) {
        sal_parallel_for(ctx, s->n, sal__whole_input_task, &j);
        j.in = j.border;
        memset(beside, j.w->zero, sizeof beside);
        j.border = beside;
    }
    j.wide = j.isa->bytes == 1 && sal__conv_direct(s) && !j.real;
    sal_parallel_for(ctx, s->n * j.blocks * j.parts, sal__whole_conv_task, &j);
}

/* A row of a depthwise layer: its middle in one go, and, one by one, the pixels at its ends. */
static void sal__whole_depthwise_task(void *arg, int index, int worker) {
    enum { TAPS = 49 };
    const sal__whole_job *j = (const sal__whole_job *)arg;
    const sal_conv *s = &j->s;
    const uint8_t *from[TAPS];
    int sample = index / s->oh, top = index % s->oh * s->stride - s->top, x = 0;
    int begin = (s->left + s->stride - 1) / s->stride;
    int end = (s->iw + s->left - s->kw) / s->stride + 1;
    const unsigned char *in = j->in + (size_t)sample * s->ih * s->iw * j->pitch;
    unsigned char *out = j->out + (size_t)index * s->ow * j->out_pitch;
    while (x < s->ow) {
        int left = x * s->stride - s->left;
        int count = x < begin || x >= end ? 1 : SAL__MIN(end, s->ow) - x;
        for (int t = 0; t < s->kh * s->kw; t++) {
            int v = top + t / s->kw, u = left + t % s->kw;
            from[t] = v < 0 || v >= s->ih || u < 0 || u >= s->iw ? j->border
                    : in + ((size_t)v * s->iw + u) * j->pitch;
        }
        j->isa->whole_taps(out + x * j->out_pitch, j->out_pitch, from, s->stride * j->pitch,
                           s->kh * s->kw, (const int16_t *)j->w->weight,
                           (size_t)j->w->k * 4 * j->isa->width, j->w->groups, &j->w->rule, count);
        x += count;
    }
}

static void sal__whole_depthwise(sal_ctx *ctx, sal_run *run, int i) {
    sal__whole_job j = sal__whole_begin(ctx, run, i);
    sal_parallel_for(ctx, j.s.n * j.s.oh, sal__whole_depthwise_task, &j);
}

/* Bilinear: a depthwise layer of four taps whose shares change from pixel to pixel. */
static void sal__whole_upsample_task(void *arg, int index, int worker) {
    const sal__whole_job *j = (const sal__whole_job *)arg;
    const sal_conv *s = &j->s;          /* oh, ow: the size wanted */
    sal__tap row = sal__tap_at((index % s->oh + 0.5) * s->ih / s->oh - 0.5, s->ih);
    const unsigned char *in = j->in + (size_t)(index / s->oh) * s->ih * s->iw * j->pitch;
    const uint8_t *from[4];
    int16_t share[4 * 32];
    int v = (int)(row.t * 64 + 0.5), width = j->isa->width;
    for (int x = 0; x < s->ow; x++) {
        sal__tap column = sal__tap_at((x + 0.5) * s->iw / s->ow - 0.5, s->iw);
        int u = (int)(column.t * 64 + 0.5);
        for (int t = 0; t < 4; t++) {
            int y = t / 2 ? row.high : row.low, at = t % 2 ? column.high : column.low;
            from[t] = in + ((size_t)y * s->iw + at) * j->pitch;
            for (int c = 0; c < 2 * width; c++)
                share[t / 2 * 4 * width + c * 2 + t % 2] =
                    (int16_t)((t / 2 ? v : 64 - v) * (t % 2 ? u : 64 - u));
        }
        j->isa->whole_taps(j->out + ((size_t)index * s->ow + x) * j->out_pitch, j->out_pitch, from,
                           0, 4, share, 0, j->w->groups, &j->w->rule, 1);
    }
}

static void sal__whole_upsample(sal_ctx *ctx, sal_run *run, int i) {
    sal__whole_job j = sal__whole_begin(ctx, run, i);
    j.s.oh = run->value[i].shape.h; j.s.ow = run->value[i].shape.w;
    sal_parallel_for(ctx, j.s.n * j.s.oh, sal__whole_upsample_task, &j);
}

/* --- the default backend ---------------------------------------------------------------------- */

static sal_result sal__forward_conv2d_fast(sal_ctx *ctx, sal_run *run, int i) {
    sal__layer_args a = sal__args_of(run, i);
    sal_conv s = sal__conv_of(a.l, a.n, a.from);
    sal_epilogue e = sal__epilogue_of(run, i);
    int wide = run->step[i].wide;
    if (run->step[i].whole) {
        sal__whole_conv(ctx, run, i);
    } else if (wide >= 0) {
        sal_conv d = sal__conv_of(&run->net->layer[wide], a.n, a.to);
        sal_epilogue de = sal__epilogue_of(run, wide);
        sal__fast_wide(ctx, a.out, a.in, a.weight, &e, &s, sal__weight(run, wide, 0), &de, &d,
                       a.scratch);
    } else {
        sal__fast_conv2d(ctx, a.out, a.in, a.weight, &e, &s, run->step[i].pool >= 0, a.scratch);
    }
    return SAL_OK;
}

static sal_result sal__forward_depthwise_fast(sal_ctx *ctx, sal_run *run, int i) {
    sal__layer_args a = sal__args_of(run, i);
    sal_conv s = sal__conv_of(a.l, a.n, a.from);
    sal_epilogue e = sal__epilogue_of(run, i);
    if (run->step[i].whole) sal__whole_depthwise(ctx, run, i);
    else sal__fast_depthwise(ctx, a.out, a.in, a.weight, &e, &s, a.scratch);
    return SAL_OK;
}

static sal_result sal__forward_upsample_fast(sal_ctx *ctx, sal_run *run, int i) {
    if (run->step[i].whole) {
        sal__whole_upsample(ctx, run, i);
        return SAL_OK;
    }
    sal__layer_args a = sal__args_of(run, i);
    sal__upsample_job j = sal__upsample_fit(a.from, a.to, a.scratch);
    j.in = a.in; j.out = a.out;
    sal_parallel_for(ctx, a.n * a.to.c, sal__upsample_task, &j);
    return SAL_OK;
}

static sal_result sal__forward_dense_fast(sal_ctx *ctx, sal_run *run, int i) {
    sal__layer_args a = sal__args_of(run, i);
    const sal_tensor *weight = sal__tensor(run, i, 0);
    sal_epilogue e = sal__epilogue_of(run, i);
    sal__fast_dense(ctx, a.out, a.in, weight, &e, a.n, weight->dim[1], weight->dim[0], a.scratch);
    return SAL_OK;
}

static sal_result sal__forward_maxpool_fast(sal_ctx *ctx, sal_run *run, int i) {
    sal__layer_args a = sal__args_of(run, i);
    sal_pool s = sal__pool_of(a.l, a.n, a.from);
    sal__pool_job j = { sal__isa_of(ctx), &s, a.in, a.out, (float *)a.scratch };
    sal_parallel_for(ctx, s.n, sal__pool_task, &j);
    return SAL_OK;
}

static sal_result sal__forward_convlstm_fast(sal_ctx *ctx, sal_run *run, int i) {
    sal__layer_args a = sal__args_of(run, i);
    const float *params[SAL_LSTM_COUNT];
    for (int k = 0; k < SAL_LSTM_COUNT; k++) params[k] = sal__weight(run, i, k);
    sal__fast_convlstm(ctx, a.out, a.in, params, run->step[i].steps, a.n, a.to.c, a.to.h, a.to.w,
                       a.scratch);
    return SAL_OK;
}

/* --- backward --------------------------------------------------------------------------------

   Data: the gradient of a convolution's input is a convolution of dout with the kernels rotated by
   180 degrees and input and output channels exchanged; it uses the same fast kernels as forward.
   Weights: a matrix product over all positions,
       dweight^T (ic * kh * kw, oc) += columns (ic * kh * kw, positions) * dout^T (positions, oc),
   in a number of partial sums that does not depend on the number of threads. */

/* The convolution from dout to din; 0 if it is none (strides, borders wider than the kernel). */
static int sal__turned(sal_conv *t, const sal_conv *s) {
    int reach_y = (s->kh - 1) * s->dilation, reach_x = (s->kw - 1) * s->dilation;
    *t = *s;
    t->ic = s->oc; t->ih = s->oh; t->iw = s->ow;
    t->oc = s->ic; t->oh = s->ih; t->ow = s->iw;
    t->top = reach_y - s->top; t->left = reach_x - s->left;
    t->bottom = s->ih - s->oh + s->top; t->right = s->iw - s->ow + s->left;
    return s->stride == 1 && t->top >= 0 && t->left >= 0 && t->bottom >= 0 && t->right >= 0;
}

static size_t sal__kernel_count(const sal_conv *s) {
    return (size_t)s->oc * s->ic * s->kh * s->kw;
}

static size_t sal__fast_data_scratch(const sal_conv *s, int threads) {
    sal_conv t;
    if (!sal__turned(&t, s)) return 0;
    return ((sal__kernel_count(s) + 15) / 16 * 16) * sizeof(float) +
           sal__fast_conv2d_scratch(&t, threads);
}

typedef struct sal__back_job {
    const sal__isa *isa;
    const sal_conv *s;
    const float *in, *dout, *weight;
    float *to, *sums, *worker;
    int add;                    /* data: 1: += */
    int direct, turned;         /* 1: 1x1, rows are read where they lie; 1: of dout, not of in */
    int k, width;               /* rows and columns of dweight^T, columns padded to 16 */
    int rows, blocks;           /* rows of a task, tasks of a group */
    int groups, samples;        /* partial sums, samples of each */
    size_t worker_size;
} sal__back_job;

/* One sample of a convolution without a fast way. */
static void sal__data_task(void *arg, int index, int worker) {
    const sal__back_job *j = (const sal__back_job *)arg;
    sal_conv s = *j->s;
    size_t count = (size_t)s.ic * s.ih * s.iw;
    s.n = 1;
    if (!j->add) memset(j->to + index * count, 0, count * sizeof(float));
    sal_conv2d_backward_data(j->to + index * count,
                             j->dout + (size_t)index * s.oc * s.oh * s.ow, j->weight, &s);
}

/* The kernels of one input channel, rotated by 180 degrees. */
static void sal__turn_task(void *arg, int c, int worker) {
    const sal__back_job *j = (const sal__back_job *)arg;
    const sal_conv *s = j->s;
    int taps = s->kh * s->kw;
    for (int o = 0; o < s->oc; o++)
        for (int i = 0; i < taps; i++)
            j->to[((size_t)c * s->oc + o) * taps + i] =
                j->weight[((size_t)o * s->ic + c) * taps + taps - 1 - i];
}

/* din is set to the gradient of the inputs or, if add, gets it added. */
static void sal__fast_conv2d_data(sal_ctx *ctx, float *din, const float *dout, const float *weight,
                                  const sal_conv *s, int add, void *scratch) {
    sal_conv t;
    sal_epilogue e = SAL__ZEROED;
    sal__back_job j = SAL__ZEROED;
    float *turned = (float *)scratch;
    j.s = s; j.to = din; j.dout = dout; j.weight = weight; j.add = add;
    if (!sal__turned(&t, s)) {
        sal_parallel_for(ctx, s->n, sal__data_task, &j);
        return;
    }
    j.to = turned;
    sal_parallel_for(ctx, s->ic, sal__turn_task, &j);
    e.add = add ? din : NULL;
    sal__fast_conv2d(ctx, din, dout, turned, &e, &t, 0,
                     turned + (sal__kernel_count(s) + 15) / 16 * 16);
}

enum { SAL__BACK_KC = 256, SAL__BACK_ROWS = 48 };

static sal__back_job sal__weight_fit(const sal_conv *s) {
    sal__back_job j = SAL__ZEROED;
    j.s = s;
    j.direct = sal__conv_direct(s);
    j.turned = j.direct && s->ic < s->oc;               /* the fewer channels are packed */
    j.k = j.turned ? s->oc : s->ic * s->kh * s->kw;
    j.width = ((j.turned ? s->ic : s->oc) + 15) / 16 * 16;
    j.groups = (size_t)j.k * j.width <= 1 << 16 ? SAL__MIN(s->n, 8) : 1;
    j.samples = (s->n + j.groups - 1) / j.groups;
    j.groups = (s->n + j.samples - 1) / j.samples;
    j.rows = j.groups > 1 ? j.k : 3 * SAL__BACK_ROWS;
    j.blocks = (j.k + j.rows - 1) / j.rows;
    j.worker_size = ((size_t)j.width + SAL__BACK_ROWS) * SAL__BACK_KC;
    return j;
}

/* Row `row` of columns at the positions p .. p + count - 1: the inputs under one tap. */
static void sal__weight_column(float *to, const float *in, const sal_conv *s, int row, int p,
                               int count) {
    int kw = row % s->kw, kh = row / s->kw % s->kh, y = p / s->ow, x = p % s->ow;
    const float *plane = in + (size_t)(row / (s->kw * s->kh)) * s->ih * s->iw;
    int left = kw * s->dilation - s->left, x0, x1;
    sal__inside(left, s->stride, s->ow, s->iw, &x0, &x1);
    for (; count > 0; y++, x = 0) {
        int v = y * s->stride - s->top + kh * s->dilation, end = SAL__MIN(s->ow, x + count);
        const float *from = plane + (ptrdiff_t)v * s->iw + left;
        int a = v < 0 || v >= s->ih ? end : SAL__MIN(SAL__MAX(x0, x), end), b;
        b = v < 0 || v >= s->ih ? end : SAL__MAX(SAL__MIN(x1, end), a);
        count -= end - x;
        for (int u = x; u < a; u++) *to++ = 0;
        if (s->stride == 1) { memcpy(to, from + a, (size_t)(b - a) * sizeof(float)); to += b - a; }
        else for (int u = a; u < b; u++) *to++ = from[u * s->stride];
        for (int u = b; u < end; u++) *to++ = 0;
    }
}

static void sal__weight_task(void *arg, int index, int worker) {
    const sal__back_job *j = (const sal__back_job *)arg;
    const sal_conv *s = j->s;
    int group = index / j->blocks, first = index % j->blocks * j->rows, positions = s->oh * s->ow;
    int end = SAL__MIN(first + j->rows, j->k), sample = group * j->samples, add = 0;
    int last = SAL__MIN(sample + j->samples, s->n), columns = j->turned ? s->ic : s->oc;
    float *sum = j->sums + (size_t)group * j->k * j->width;
    float *b = j->worker + worker * j->worker_size, *copy = b + (size_t)j->width * SAL__BACK_KC;
    for (; sample < last; sample++)
        for (int p = 0; p < positions; p += SAL__BACK_KC, add = 1) {
            int part = SAL__MIN((int)SAL__BACK_KC, positions - p);
            const float *in = j->in + (size_t)sample * s->ic * s->ih * s->iw;
            const float *g = j->dout + (size_t)sample * s->oc * positions;
            const float *packed = (j->turned ? in : g) + p, *a = (j->turned ? g : in) + p;
            for (int o = 0; o < columns; o += 16)
                j->isa->pack(b + (size_t)o * SAL__BACK_KC, packed + (size_t)o * positions,
                             (size_t)positions, SAL__MIN(16, columns - o), part);
            for (int r = first; r < end; r += SAL__BACK_ROWS) {
                int rows = SAL__MIN((int)SAL__BACK_ROWS, end - r);
                size_t lda = j->direct ? (size_t)positions : (size_t)SAL__BACK_KC;
                const float *from = j->direct ? a + r * lda : copy;
                for (int i = 0; i < rows && !j->direct; i++)
                    sal__weight_column(copy + i * SAL__BACK_KC, in, s, r + i, p, part);
                j->isa->block(sum + (size_t)r * j->width, 16, (size_t)j->width, from, 1, lda, b,
                              16 * SAL__BACK_KC, (columns + 15) / 16, part, rows, add, from);
            }
        }
}

/* One output channel: its partial sums, in order. */
static void sal__weight_sum_task(void *arg, int index, int worker) {
    const sal__back_job *j = (const sal__back_job *)arg;
    float *to = j->to + index * sal__kernel_count(j->s) / j->s->oc;
    for (int g = 0; g < j->groups; g++) {
        const float *sum = j->sums + (size_t)g * j->k * j->width;
        if (j->turned)
            for (int c = 0; c < j->s->ic; c++) to[c] += sum[(size_t)index * j->width + c];
        else for (int r = 0; r < j->k; r++) to[r] += sum[(size_t)r * j->width + index];
    }
}

/* By Winograd: the k x k weights are the results, the m x m tiles of dout the taps of F(k x k,
   m x m), whose products are summed over all tiles before they are transformed back: for each of
   the 64 points f
       c[f] (oc, ic) = sum over tiles of  (G dout G^T)[f] (tiles, oc)^T  (B^T in B)[f] (tiles, ic)
   Both are kept in panels (tiles, 16) of channels, for a chunk of tiles. */
typedef struct sal__sums_job {
    const sal__isa *isa;
    const sal_conv *s;
    sal__wino w;
    const float *in, *dout;
    float *to, *v, *g, *c, *patch;
    int rows, first, count;     /* rows of tiles in a chunk; of this chunk */
    int slice, channel, channels;       /* input channels worked on together; of this slice */
    size_t step;                /* floats from each batch to the next */
    size_t fs;                  /* floats of c for one f */
} sal__sums_job;

/* Plans the sums over `times` batches; 0 if a matrix product is faster. */
static int sal__sums_fit(sal__sums_job *j, const sal_conv *s, int times) {
    double tiles, pairs, panels = (s->oc + 15) / 16 * 16, ins = (s->ic + 15) / 16 * 16;
    memset(j, 0, sizeof *j);
    if (!sal__wino_fit(&j->w, s, 8)) return 0;
    tiles = (double)j->w.tiles * times;
    pairs = panels * ins;
    j->slice = (int)SAL__MAX(1 << 24, 64 * 32 * panels) / (64 * (int)panels) / 32 * 32;
    j->slice = SAL__MIN(j->slice, (s->ic + 31) / 32 * 32);
    j->fs = (size_t)panels * j->slice + 16;
    j->rows = (int)(SAL__MAX(1e6, 1.25 * (double)j->fs * 64) / (64 * (panels + j->slice)));
    j->rows = SAL__MIN(j->rows / j->w.tx + 1, j->w.tiles / j->w.tx * times);
    return s->ic > 4 &&
           tiles * (64 * pairs * 0.07 + 64 * (panels + ins)) + pairs * 60 <     /* cycles */
           (double)times * s->n * s->oh * s->ow * s->kh * s->kw * panels * s->ic * 0.09;
}

static size_t sal__sums_floats(const sal__sums_job *j, int threads) {
    size_t panels = (size_t)(j->s->oc + 15) / 16 * 16;
    return 64 * ((size_t)j->rows * j->w.tx * (panels + j->slice) + 32 + j->fs) +
           (size_t)threads * 16 * 8 * SAL__PATCH;
}

/* One run of tiles of x: B^T x B, or G x G^T if taps. to (64, panels, tiles of the chunk, 16) */
static void sal__sums_transform(const sal__sums_job *j, float *to, const float *x,
                                const sal_conv *s, int channels, int run, int y0, int x0, int taps,
                                float *patch) {
    size_t tiles = (size_t)j->count * j->w.tx * 16, plane = (size_t)s->ih * s->iw;
    int lanes = SAL__MAX(j->isa->width, 8), n = taps ? taps : 8, panels = (channels + 15) / 16;
    for (int c = 0; c < panels * 16; c += lanes) {
        sal__wino_patch(patch, x + c * plane, s, channels - c, n, lanes, (run - 1) * j->w.m + n, y0,
                        x0);
        for (int i = 0; i < run; i++)
            j->isa->wino_input(to + c / 16 * tiles + i * 16 + c % 16, panels * tiles + 16,
                               patch + i * j->w.m, SAL__PATCH, (size_t)n * SAL__PATCH, 8, taps);
    }
}

static void sal__sums_tiles_task(void *arg, int index, int worker) {
    const sal__sums_job *j = (const sal__sums_job *)arg;
    const sal_conv *s = j->s;
    const sal__wino *w = &j->w;
    sal_conv g = *s;
    float *patch = j->patch + (size_t)worker * 16 * 8 * SAL__PATCH;
    int most = (SAL__PATCH - 8) / w->m + 1, sample, y, x;
    size_t plane = (size_t)s->ih * s->iw;
    g.ih = s->oh; g.iw = s->ow;
    for (int t = 0, run; t < w->tx; t += run) {
        size_t at = ((size_t)index * w->tx + t) * 16;
        run = SAL__MIN(most, w->tx - t);
        sal__wino_tile(w, s, (j->first + index) * w->tx + t, &sample, &y, &x);
        size_t batch = sample / s->n * j->step;
        sample %= s->n;
        sal__sums_transform(j, j->v + at, j->in + batch + ((size_t)sample * s->ic + j->channel) *
                            plane, s, j->channels, run, y - s->top, x - s->left, 0, patch);
        sal__sums_transform(j, j->g + at, j->dout + batch + (size_t)sample * s->oc * s->oh * s->ow,
                            &g, s->oc, run, y, x, w->m, patch);
    }
}

static void sal__sums_point_task(void *arg, int f, int worker) {
    enum { KC = 128 };
    const sal__sums_job *j = (const sal__sums_job *)arg;
    int tiles = j->count * j->w.tx, outs = (j->s->oc + 15) / 16, ins = (j->channels + 15) / 16;
    size_t panel = (size_t)tiles * 16, g = f * (outs * panel + 16), v = f * (ins * panel + 16);
    for (int k = 0; k < tiles; k += KC)
        for (int i = 0; i < ins; i += 2)
            for (int o = 0; o < outs; o++) {
                const float *a = j->g + g + o * panel + k * 16;
                j->isa->block(j->c + f * j->fs + (size_t)o * 16 * j->slice + i * 16, 16,
                              (size_t)j->slice, a, 16, 1, j->v + v + i * panel + k * 16, panel,
                              SAL__MIN(2, ins - i), SAL__MIN((int)KC, tiles - k), 16,
                              k > 0 || j->first > 0, a);
            }
}

/* Transforms the sums of one output channel back and adds them to its weights. */
static void sal__sums_weight_task(void *arg, int o, int worker) {
    const sal__sums_job *j = (const sal__sums_job *)arg;
    int r = j->w.r, taps = r * r;
    float y[16 * 5 * 8], *to = j->to + ((size_t)o * j->s->ic + j->channel) * taps;
    for (int c = 0; c < j->channels; c += 16) {
        j->isa->wino_output(y, 8, j->c + (size_t)o * j->slice + c, j->fs, 8, r);
        for (int i = 0; i < SAL__MIN(16, j->channels - c); i++)
            for (int k = 0; k < taps; k++, to++) *to += y[(i * r + k / r) * 8 + k % r];
    }
}

static void sal__sums_run(sal_ctx *ctx, sal__sums_job *j, int times, float *scratch) {
    const sal_conv *s = j->s;
    size_t tiles = (size_t)j->rows * j->w.tx;
    int all = j->w.tiles / j->w.tx * times;
    j->c = scratch; j->v = j->c + 64 * j->fs;
    j->g = j->v + 64 * (tiles * j->slice + 16);
    j->patch = j->g + 64 * (tiles * ((size_t)(s->oc + 15) / 16 * 16) + 16);
    for (j->channel = 0; j->channel < s->ic; j->channel += j->slice) {
        j->channels = SAL__MIN(j->slice, s->ic - j->channel);
        for (j->first = 0; j->first < all; j->first += j->rows) {
            j->count = SAL__MIN(j->rows, all - j->first);
            sal_parallel_for(ctx, j->count, sal__sums_tiles_task, j);
            sal_parallel_for(ctx, 64, sal__sums_point_task, j);
        }
        sal_parallel_for(ctx, s->oc, sal__sums_weight_task, j);
    }
}

static size_t sal__fast_weight_scratch(const sal_conv *s, int times, int threads) {
    sal__back_job j = sal__weight_fit(s);
    sal__sums_job sums;
    size_t product = (size_t)j.groups * j.k * j.width + threads * j.worker_size, points = 0;
    if (sal__sums_fit(&sums, s, times)) {       /* fewer times may take the product */
        sums.s = s;
        points = sal__sums_floats(&sums, threads);
    }
    return SAL__MAX(product, points) * sizeof(float);
}

/* dweight += the sums over `times` batches, whose in and dout are `step` floats apart */
static void sal__fast_conv2d_weight(sal_ctx *ctx, float *dweight, const float *dout,
                                    const float *in, const sal_conv *s, int times, size_t step,
                                    void *scratch) {
    sal__back_job j = sal__weight_fit(s);
    sal__sums_job sums;
    if (sal__sums_fit(&sums, s, times)) {
        sums.isa = sal__isa_of(ctx); sums.s = s; sums.in = in; sums.dout = dout; sums.to = dweight;
        sums.step = step;
        sal__sums_run(ctx, &sums, times, (float *)scratch);
        return;
    }
    j.isa = sal__isa_of(ctx); j.in = in; j.dout = dout; j.to = dweight;
    j.sums = (float *)scratch; j.worker = j.sums + (size_t)j.groups * j.k * j.width;
    for (; times > 0; times--, j.in += step, j.dout += step) {
        sal_parallel_for(ctx, j.groups * j.blocks, sal__weight_task, &j);
        sal_parallel_for(ctx, s->oc, sal__weight_sum_task, &j);
    }
}

static double sal__fast_gate(const sal_ctx *ctx, float *g, const float *x, float top, size_t n) {
    return sal__isa_of(ctx)->gate(g, g, x, top, n);
}

static double sal__fast_squares(const sal_ctx *ctx, const float *x, size_t n) {
    double sum = 0;
    float part;
    for (size_t i = 0, count; i < n; i += count, sum += part) {
        count = SAL__MIN(n - i, 8192);
        sal__isa_of(ctx)->dot(&part, x + i, x + i, SAL_DTYPE_F32, 1, (int)count);
    }
    return sum;
}

/* dbias += the sums of the channels of dout; sums, of each sample and channel, may be known. */
typedef struct sal__bias_job {
    const sal__isa *isa;
    float *dbias;
    const float *dout;
    const double *sums;
    int n, c, hw;
} sal__bias_job;

static void sal__bias_task(void *arg, int index, int worker) {
    enum { CHANNELS = 64 };
    const sal__bias_job *j = (const sal__bias_job *)arg;
    int first = index * CHANNELS, count = SAL__MIN((int)CHANNELS, j->c - first);
    double sum[CHANNELS] = { 0 };
    for (int s = 0; s < j->n; s++)
        for (int k = 0; k < count; k++) {
            size_t plane = (size_t)s * j->c + first + k;
            const float *g = j->dout + plane * j->hw;
            if (j->sums) sum[k] += j->sums[plane];
            else sum[k] += j->hw == 1 ? *g : j->isa->gate(NULL, g, NULL, 0, (size_t)j->hw);
        }
    for (int k = 0; k < count; k++) j->dbias[first + k] += (float)sum[k];
}

/* As sal_adam_update. */
static void sal__fast_adam(const sal_ctx *ctx, float *w, float *m, float *a, const float *g,
                           size_t n, double rate, double beta1, double beta2, double eps,
                           double decay, uint64_t step) {
    float c[8];
    c[0] = (float)beta1; c[1] = (float)(1 - beta1); c[2] = (float)beta2; c[3] = (float)(1 - beta2);
    c[4] = (float)(rate / (1 - pow(beta1, (double)step)));
    c[5] = (float)(1 / sqrt(1 - pow(beta2, (double)step)));
    c[6] = (float)eps; c[7] = (float)(rate * decay);
    sal__isa_of(ctx)->adam(w, m, a, g, c, n);
}

/* 64 rows at a time stay in the cache. */
static void sal__fast_project(sal_ctx *ctx, float *row, const float *x, int rows, int columns) {
    const sal__isa *isa = sal__isa_of(ctx);
    float dot[64];
    for (int i = 0, n; i < rows; i += n) {
        n = SAL__MIN(64, rows - i);
        isa->dot(dot, row, x + (size_t)i * columns, SAL_DTYPE_F32, n, columns);
        for (int k = 0; k < n; k++)
            isa->finish(row, x + (size_t)(i + k) * columns, row, -dot[k], 0, SAL_ACT_IDENTITY,
                        (size_t)columns);
    }
}

static void sal__fast_bias(sal_ctx *ctx, float *dbias, const float *dout, const double *sums, int n,
                           int c, int hw) {
    sal__bias_job j = { sal__isa_of(ctx), dbias, dout, sums, n, c, hw };
    sal_parallel_for(ctx, (c + 63) / 64, sal__bias_task, &j);
}

/* Matrix product  c (m, n) = or, with `add`, += a (m, k) * b (k, n),  all with rows in memory: a
   1x1 convolution of one row of n pixels. */
static sal_conv sal__product_conv(int m, int n, int k) {
    sal_conv s = { 1, k, 1, n, m, 1, 1, 1, 1, 0, 0, 0, 0, 1, n };
    return s;
}

static size_t sal__product_scratch(int m, int n, int k, int threads) {
    sal_conv s = sal__product_conv(m, n, k);
    return sal__gemm_scratch(&s, threads);
}

static void sal__fast_product(sal_ctx *ctx, float *c, const float *a, const float *b, int m, int n,
                              int k, int add, void *scratch) {
    sal_conv s = sal__product_conv(m, n, k);
    sal_epilogue e = SAL__ZEROED;
    e.add = add ? c : NULL;
    sal__gemm_run(ctx, c, b, a, &e, &s, scratch);
}

/* One sample. */
static void sal__maxpool_train_task(void *arg, int index, int worker) {
    const sal__layer_args *a = (const sal__layer_args *)arg;
    sal_pool s = sal__pool_of(a->l, 1, a->from);
    size_t out = index * sal__shape_count(a->to);
    const float *in = a->in + index * sal__shape_count(a->from);
    int *best = (int *)a->aux;
    if (!best || s.k != 2 || s.stride != 2 || 2 * s.oh > s.ih || 2 * s.ow > s.iw)
        sal_maxpool_forward(a->out + out, best ? best + out : NULL, in, &s);
    else for (int c = 0; c < s.n; c++, in += (size_t)s.ih * s.iw)
        for (int y = 0; y < s.oh; y++)
            for (int x = 0; x < s.ow; x++, out++) {     /* in this form it has no jumps */
                int at = 2 * y * s.iw + 2 * x;
                const float *p = in + at, *q = p + s.iw;
                float top = p[1] > p[0] ? p[1] : p[0], low = q[1] > q[0] ? q[1] : q[0];
                int right = p[1] > p[0], below = s.iw + (q[1] > q[0]);
                a->out[out] = low > top ? low : top;
                best[out] = at + right + (low > top) * (below - right);
            }
}

/* The convolution in front of layer i whose ReLU layer i goes back through, too, while the gradient
   is in the cache: no other layer reads it, and i writes its gradient. 0: there is none. */
static int sal__gated_by(const sal_run *run, int i) {
    int v = sal__root(run, run->net->layer[i].input[0]), p = run->value[v].first, k = p + 1;
    while (k < i && run->step[k].skip) k++;
    return k == i && run->begins && run->step[p].act != SAL_ACT_IDENTITY &&
           run->step[p].output == v && sal__sole_reader(run->net, v) == i ? p : 0;
}

typedef struct sal__pool_back_job { sal__layer_args a; float top; } sal__pool_back_job;

/* One plane. Only the largest inputs get a gradient, so the ReLU before looks at these alone. */
static void sal__maxpool_back_task(void *arg, int index, int worker) {
    const sal__pool_back_job *j = (const sal__pool_back_job *)arg;
    const sal__layer_args *a = &j->a;
    size_t in = (size_t)a->from.h * a->from.w, count = (size_t)a->to.h * a->to.w;
    float *din = a->din + index * in, top = j->top;
    const float *dout = a->dout + index * count, *out = a->out + index * count;
    const int *best = (const int *)a->aux + index * count;
    double sum = 0;
    if (a->run->begins) memset(din, 0, in * sizeof(float));
    for (size_t i = 0; i < count; i++) {
        float g = dout[i];
        if (top > 0 && !(out[i] > 0 && out[i] < top)) g = 0;
        din[best[i]] += g;
        sum += g;
    }
    if (top > 0) a->run->sums[index] = sum;
}

/* --- the default backend when training: forward mostly as when predicting ------------------- */
#define sal__forward_conv2d_train sal__forward_conv2d_fast
#define sal__forward_depthwise_train sal__forward_depthwise_fast
#define sal__forward_dense_train sal__forward_dense_fast
#define sal__forward_upsample_train sal__forward_upsample_fast

static sal_result sal__backward_conv2d_train(sal_ctx *ctx, sal_run *run, int i) {
    sal__layer_args a = sal__args_of(run, i);
    sal_conv s = sal__conv_of(a.l, a.n, a.from);
    if (a.din) sal__fast_conv2d_data(ctx, a.din, a.dout, a.weight, &s, !run->begins, a.scratch);
    if (a.dweight) sal__fast_conv2d_weight(ctx, a.dweight, a.dout, a.in, &s, 1, 0, a.scratch);
    if (a.dbias)
        sal__fast_bias(ctx, a.dbias, a.dout, run->summed == i ? run->sums : NULL, s.n, s.oc,
                       s.oh * s.ow);
    return SAL_OK;
}

static sal_result sal__backward_depthwise_train(sal_ctx *ctx, sal_run *run, int i) {
    sal__layer_args a = sal__args_of(run, i);
    sal_conv s = sal__conv_of(a.l, a.n, a.from);
    sal__plane_job j = sal__plane_fit(&s, 1);
    int before = a.din ? sal__gated_by(run, i) : 0;
    j.in = a.in; j.weight = a.weight; j.dout = a.dout;
    j.din = a.din; j.dweight = a.dweight; j.dbias = a.dbias;
    j.add = !run->begins;
    if (run->step[i].act != SAL_ACT_IDENTITY) j.value = run->value[run->step[i].output].data;
    j.top = sal__act_top(run, i);
    if (before) { j.sums = run->sums; j.top_before = sal__act_top(run, before); }
    sal__plane_begin(ctx, &j, a.scratch, sal_threads(ctx));
    sal_parallel_for(ctx, s.ic, sal__depthwise_back_task, &j);
    run->summed = before;
    return SAL_OK;
}

static sal_result sal__backward_upsample_train(sal_ctx *ctx, sal_run *run, int i) {
    sal__layer_args a = sal__args_of(run, i);
    sal__upsample_job j = sal__upsample_fit(a.from, a.to, a.scratch);
    j.dout = a.dout; j.din = a.din;
    if (j.din) sal_parallel_for(ctx, a.n * a.to.c, sal__upsample_back_task, &j);
    return SAL_OK;
}

static sal_result sal__backward_dense_train(sal_ctx *ctx, sal_run *run, int i) {
    sal__layer_args a = sal__args_of(run, i);
    const sal_tensor *weight = sal__tensor(run, i, 0);
    float *turned = (float *)a.scratch;
    int nout = weight->dim[0], nin = weight->dim[1], n = a.n;
    if (weight->dtype != SAL_DTYPE_F32) return sal__backward_dense(ctx, run, i);
    if (a.dbias) sal__fast_bias(ctx, a.dbias, a.dout, NULL, n, nout, 1);
    if (a.dweight) {
        for (int o = 0; o < nout; o++)
            for (int s = 0; s < n; s++) turned[(size_t)o * n + s] = a.dout[(size_t)s * nout + o];
        sal__fast_product(ctx, a.dweight, turned, a.in, nout, nin, n, !run->begins_weight,
                          turned + ((size_t)n * nout + 15) / 16 * 16);
    }
    if (a.din)
        sal__fast_product(ctx, a.din, a.dout, a.weight, n, nin, nout, !run->begins, turned);
    return SAL_OK;
}

static sal_result sal__forward_maxpool_train(sal_ctx *ctx, sal_run *run, int i) {
    sal__layer_args a = sal__args_of(run, i);
    sal_parallel_for(ctx, a.n, sal__maxpool_train_task, &a);
    return SAL_OK;
}

static sal_result sal__backward_maxpool_train(sal_ctx *ctx, sal_run *run, int i) {
    sal__pool_back_job j = { sal__args_of(run, i), 0 };
    int before = sal__gated_by(run, i);
    if (before) j.top = sal__act_top(run, before);
    if (j.a.din) sal_parallel_for(ctx, j.a.n * j.a.from.c, sal__maxpool_back_task, &j);
    run->summed = before;
    return SAL_OK;
}

/* The operations of the ConvLSTM that work number by number, see >>convlstm. */
typedef struct sal__cell_job {
    const sal__isa *isa;
    float *h, *c, *gates, *dh, *dc;
    const float *before, *add;
    size_t stride, n;
    int act;
} sal__cell_job;

enum { SAL__CELL = 8192 };      /* numbers of a task */
static void sal__cell_task(void *arg, int index, int worker) {
    const sal__cell_job *j = (const sal__cell_job *)arg;
    size_t i = (size_t)index * SAL__CELL, n = SAL__MIN(j->n - i, (size_t)SAL__CELL);
    const float *before = j->before ? j->before + i : NULL;
    if (j->dh)
        sal__convs_cell_back(NULL, j->dh + i, j->dc + i, j->gates + i, j->stride, j->c + i, before,
                             n);
    else if (j->gates) j->isa->lstm(j->h + i, j->c + i, before, j->gates + i, j->stride, n);
    else j->isa->finish(j->h + i, j->add + i, NULL, 1, 0, j->act, n);
}
static void sal__cell_run(sal_ctx *ctx, sal__cell_job *j) {
    j->isa = sal__isa_of(ctx);
    sal_parallel_for(ctx, (int)((j->n + SAL__CELL - 1) / SAL__CELL), sal__cell_task, j);
}

static void sal__fast_convs_forward(const sal__convs *k, float *out, float *sum, const float *in,
                                    const float *weight, const float *bias, const float *add,
                                    int act, const sal_conv *s) {
    if (in) {
        sal_epilogue e = SAL__ZEROED;
        e.bias = bias; e.add = add; e.act = (sal_act)act;
        sal__fast_conv2d(k->ctx, out, in, weight, &e, s, 0, k->scratch);
    } else {
        sal__cell_job j = SAL__ZEROED;
        j.h = out; j.add = add; j.act = act; j.n = (size_t)s->n * s->oc * s->oh * s->ow;
        sal__cell_run(k->ctx, &j);
    }
}
static void sal__fast_convs_data(const sal__convs *k, float *din, const float *dout,
                                 const float *weight, const sal_conv *s) {
    sal__fast_conv2d_data(k->ctx, din, dout, weight, s, 1, k->scratch);
}
static void sal__fast_convs_weight(const sal__convs *k, float *dweight, const float *dout,
                                   const float *in, int times, size_t step, const sal_conv *s) {
    sal__fast_conv2d_weight(k->ctx, dweight, dout, in, s, times, step, k->scratch);
}
static void sal__fast_convs_cell(const sal__convs *k, float *h, float *c, const float *before,
                                 const float *gates, size_t stride, size_t n) {
    sal__cell_job j = SAL__ZEROED;
    j.h = h; j.c = c; j.before = before; j.gates = (float *)(uintptr_t)gates;
    j.stride = stride; j.n = n;
    sal__cell_run(k->ctx, &j);
}
static void sal__fast_convs_cell_back(const sal__convs *k, float *dh, float *dc, float *gates,
                                      size_t stride, const float *c, const float *before,
                                      size_t n) {
    sal__cell_job j = SAL__ZEROED;
    j.dh = dh; j.dc = dc; j.gates = gates; j.c = (float *)(uintptr_t)c; j.before = before;
    j.stride = stride; j.n = n;
    sal__cell_run(k->ctx, &j);
}

static sal_result sal__convlstm_train(sal_ctx *ctx, sal_run *run, int i, int backward) {
    sal__layer_args a = sal__args_of(run, i);
    sal__convs k = { sal__fast_convs_forward, sal__fast_convs_data, sal__fast_convs_weight,
                     sal__fast_convs_cell, sal__fast_convs_cell_back, ctx,
                     (char *)run->scratch + (sal__scratch_ref(run, i) + 63) / 64 * 64 };
    sal__convlstm_at(&k, &a, backward);
    return SAL_OK;
}
static sal_result sal__forward_convlstm_train(sal_ctx *ctx, sal_run *run, int i) {
    return sal__convlstm_train(ctx, run, i, 0);
}
static sal_result sal__backward_convlstm_train(sal_ctx *ctx, sal_run *run, int i) {
    return sal__convlstm_train(ctx, run, i, 1);
}

/* A max-pool is fused only into Winograd convolutions, a depthwise layer only into 1x1 convolutions
   whose output is larger than a cache. */
static int sal__can_fuse_fast(const sal_run *run, int i, int next) {
    const sal_layer *l = &run->net->layer[i];
    sal_conv s = sal__conv_of(l, run->n, sal__in_shape(run, i, 0));
    sal__wino w;
    if (l->op != SAL_OP_CONV2D || s.dilation != 1 || run->whole) return 0;
    if (run->net->layer[next].op == SAL_OP_MAXPOOL) return sal__fast_conv2d_plan(&w, &s) != 0;
    return sal__conv_direct(&s) && (size_t)s.oc * s.oh * s.ow >= 1 << 17;
}

static size_t sal__conv_scratch(const sal_conv *s, int training, int times, int threads) {
    size_t forward = sal__fast_conv2d_scratch(s, threads);
    if (!training) return forward;
    forward = SAL__MAX(forward, sal__fast_data_scratch(s, threads));
    return SAL__MAX(forward, sal__fast_weight_scratch(s, times, threads));
}

static size_t sal__scratch_fast(const sal_run *run, int i) {
    const sal_layer *l = &run->net->layer[i];
    int training = run->training, threads = run->threads;
    sal_shape in = sal__in_shape(run, i, 0);
    sal_conv s = sal__conv_of(l, run->n, in), d;
    sal_pool p = sal__pool_of(l, run->n, in);
    size_t ref = sal__scratch_ref(run, i), forward, data;
    int nout;
    if (run->step[i].whole) return sal__whole_scratch(run, i);
    switch (l->op) {
    case SAL_OP_DEPTHWISE: return sal__fast_depthwise_scratch(&s, threads, training);
    case SAL_OP_UPSAMPLE:  return sal__upsample_scratch(in, run->value[i].shape, threads);
    case SAL_OP_MAXPOOL:   return training ? ref : sal__pool_row(&p) * sizeof(float) * threads;
    case SAL_OP_DENSE:
        forward = sal__fast_dense_scratch(run->n, l->kernel, threads);
        if (!training) return forward;
        nout = (int)sal__shape_count(run->value[i].shape);
        data = SAL__MAX(sal__product_scratch(nout, l->kernel, run->n, threads),
                        sal__product_scratch(run->n, l->kernel, nout, threads)) +
               ((size_t)run->n * nout + 15) / 16 * 16 * sizeof(float);
        return SAL__MAX(SAL__MAX(forward, data), ref);
    case SAL_OP_CONV2D:
        if (run->step[i].wide < 0) break;
        d = sal__conv_of(&run->net->layer[run->step[i].wide], run->n, run->value[i].shape);
        return sal__wide_scratch(&s, &d, threads);
    case SAL_OP_CONVLSTM:
        if (!training) return sal__fast_convlstm_scratch(in.c, in.h, in.w, threads);
        s = d = sal__lstm_conv(run->n, in.c, in.h, in.w);
        d.oc = 1;
        return ref + 64 + SAL__MAX(sal__conv_scratch(&s, 1, run->step[i].steps, threads),
                              sal__conv_scratch(&d, 1, 1, threads));
    default: return ref;
    }
    return ref + sal__conv_scratch(&s, training, 1, threads);
}

/* A depthwise layer masks a copy of dout; what was added to it needs dout itself masked. */
static int sal__backs_fast(const sal_run *run, int i) {
    sal_op op = run->net->layer[i].op;
    if (op == SAL_OP_DEPTHWISE && run->step[i].add < 0) return SAL_BACK_BEGINS | SAL_BACK_ACT;
    if (op == SAL_OP_DENSE && sal__tensor(run, i, 0)->dtype == SAL_DTYPE_F32)
        return SAL_BACK_BEGINS | SAL_BACK_BEGINS_WEIGHT;
    return op == SAL_OP_CONV2D || op == SAL_OP_DEPTHWISE || op == SAL_OP_MAXPOOL ? SAL_BACK_BEGINS
                                                                                 : 0;
}

#define SAL__OP_FAST(ENUM, name, shape, fast, train) sal__forward_##name##fast,
#define SAL__OP_TRAIN(ENUM, name, shape, fast, train) sal__forward_##name##train,
#define SAL__OP_BACK(ENUM, name, shape, fast, train) sal__backward_##name##train,
SALDEF const sal_backend *sal_backend_cpu(void) {
    static const sal_backend backend = { "cpu", 2,
        { SAL_OPERATORS(SAL__OP_FAST) }, sal__scratch_fast, { SAL_OPERATORS(SAL__OP_TRAIN) },
        { SAL_OPERATORS(SAL__OP_BACK) }, sal__aux_ref, sal__can_fuse_fast,
        sal__whole_plan, sal__whole_pack, NULL, sal__fast_adam, sal__fast_gate, sal__fast_squares,
        sal__backs_fast, sal__fast_project };
    return &backend;
}

#if defined(__wasm_simd128__)
#  pragma clang attribute pop
#endif
#if defined(__GNUC__)
#  pragma GCC diagnostic pop
#endif
#if defined(__clang__)
#  pragma clang fp contract(on)
#elif defined(__GNUC__)
#  pragma GCC pop_options
#endif
#endif /* SALIENCY_IMPLEMENTATION */

/* ============================================================================================
   >>kernels  the inner loops of >>fast, compiled once for each instruction set

   This file includes itself to get here (see >>fast), each time with another vector type sal__v of
   SAL__W floats and its functions, and with SAL__K(name) giving each function a name of its own.
   (GCC and Clang calculate with vectors as with numbers.)
   ========================================================================================== */
#ifdef SAL__K
/* Words that are written alike for all sets; copies of memory become single instructions. */
#define sal__n SAL__K(n)
#define sal__vload SAL__K(vload)
#define sal__vstore SAL__K(vstore)
#define sal__vload_part SAL__K(vload_part)
#define sal__vstore_part SAL__K(vstore_part)
#define sal__vless SAL__K(vless)
#define sal__iload SAL__K(iload)
#define sal__istore_i SAL__K(istore_i)
#define sal__iadd SAL__K(iadd)
#define sal__ishift SAL__K(ishift)
#define sal__ileft SAL__K(ileft)
#define sal__iwords SAL__K(iwords)
#if SAL__W > 1
typedef int32_t sal__n __attribute__((vector_size(4 * SAL__W)));
#else
typedef int32_t sal__n;
#endif
SAL__INLINE sal__v sal__vload(const float *p) {
    sal__v x;
    memcpy(&x, p, sizeof x);
    return x;
}
SAL__INLINE void sal__vstore(float *p, sal__v x) { memcpy(p, &x, sizeof x); }
/* The first n < SAL__W numbers of a vector, zeros behind them; what lies behind is not touched. */
SAL__INLINE sal__v sal__vload_part(const float *p, size_t n) {
#if SAL__W == 16
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#else
    float part[SAL__W] = { 0 };
    for (size_t i = 0; i < n; i++) part[i] = p[i];
    return sal__vload(part);
#endif
}
SAL__INLINE void sal__vstore_part(float *p, sal__v x, size_t n) {
#if SAL__W == 16
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), x);
#else
    float part[SAL__W];
    sal__vstore(part, x);
    for (size_t i = 0; i < n; i++) p[i] = part[i];
#endif
}
SAL__INLINE sal__i sal__iload(const void *p) {
    sal__i x;
    memcpy(&x, p, sizeof x);
    return x;
}
SAL__INLINE sal__i sal__iadd(sal__i a, sal__i b) { return (sal__i)((sal__n)a + (sal__n)b); }
SAL__INLINE sal__i sal__ishift(sal__i a, int n) { return (sal__i)((sal__n)a >> n); }
SAL__INLINE sal__i sal__ileft(sal__i a, int n) { return (sal__i)((sal__n)a << n); }
#if SAL__W > 1
SAL__INLINE sal__v sal__vless(sal__v a, sal__v b, sal__v yes, sal__v no) {
    sal__n less = (sal__n)(a < b);              /* all bits where a < b, else none */
    return (sal__v)(((sal__n)yes & less) | ((sal__n)no & ~less));
}
SAL__INLINE sal__i sal__iwords(const void *p) { return sal__iload(p); }
SAL__INLINE sal__i SAL__K(iunit)(const void *p) {
    int32_t x;
    memcpy(&x, p, 4);
    return sal__iset(x);
}
SAL__INLINE void sal__istore_i(void *p, sal__i x) { memcpy(p, &x, sizeof x); }
#else                           /* in any byte order */
SAL__INLINE sal__v sal__vless(sal__v a, sal__v b, sal__v yes, sal__v no) {
    return a < b ? yes : no;
}
SAL__INLINE sal__i sal__iwords(const void *p) {
    int16_t x[2];
    memcpy(x, p, 4);
    return sal__c_two(x[0], x[1]);
}
SAL__INLINE sal__i SAL__K(iunit)(const void *p) { return sal__iwords(p); }
SAL__INLINE void sal__istore_i(uint8_t *p, sal__i x) {
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)((uint32_t)x >> 8 * i);
}
#endif
#if SAL__BYTES == 2
SAL__INLINE sal__i sal__idot(sal__i c, sal__i x, sal__i b) { return sal__idot16(c, x, b); }
#endif

/* The transpose of SAL__T x SAL__T numbers: out[j][i] = in[i][j], rows os and is floats apart. */
#define SAL__T SAL__MIN(SAL__W, 8)
SAL__INLINE void SAL__K(transpose)(float *out, size_t os, const float *in, size_t is) {
#if SAL__W >= 8
    __m256 r[8], a[8];
    SAL__UNROLL
    for (int i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(in + i * is);
    SAL__UNROLL
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        a[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    SAL__UNROLL
    for (int i = 0; i < 8; i++) {
        int k = i / 4 * 4 + i % 4 / 2;
        r[i] = i % 2 ? _mm256_shuffle_ps(a[k], a[k + 2], 0xEE)
                     : _mm256_shuffle_ps(a[k], a[k + 2], 0x44);
    }
    SAL__UNROLL
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(out + i * os, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps(out + (i + 4) * os, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
#elif SAL__W == 4
    sal__v r0 = sal__vload(in), r1 = sal__vload(in + is), r2 = sal__vload(in + 2 * is);
    sal__v r3 = sal__vload(in + 3 * is);
    sal__v a0 = sal__veven(r0, r1), a1 = sal__vodd(r0, r1);
    sal__v a2 = sal__veven(r2, r3), a3 = sal__vodd(r2, r3);
    sal__vstore(out, sal__veven(a0, a2));
    sal__vstore(out + os, sal__veven(a1, a3));
    sal__vstore(out + 2 * os, sal__vodd(a0, a2));
    sal__vstore(out + 3 * os, sal__vodd(a1, a3));
#else
    *out = *in;
#endif
}

/* --- matrix product -------------------------------------------------------------------------
   The one loop that does nearly all the work:  c (rows, columns) = or += a (rows, k) * b (k,
   columns). a is read one number at a time and spread over a vector, b is packed so that 16 columns
   are neighbours. 6 x 16 results stay in 12 registers of 8 floats, two more hold a row of b. With
   rows and vectors known, only the loop over k is left. as, lda: from number to number and from row
   to row of a; cs, bs: from one vector to the next in c and b. */
SAL__INLINE void SAL__K(tile)(float *c, size_t cs, size_t ldc, const float *a, size_t as,
                              size_t lda, const float *b, size_t bs, int k, const int rows,
                              const int vectors, int add, const float *next) {
    sal__v sum[6][SAL__MAX(2, 16 / SAL__W)], row[SAL__MAX(2, 16 / SAL__W)];
    SAL__UNROLL
    for (int r = 0; r < rows; r++) {
        SAL__UNROLL
        for (int i = 0; i < vectors; i++)
            sum[r][i] = add ? sal__vload(c + r * ldc + i * cs) : sal__vset(0);
    }
    for (; k > 0; k--, a += as, b += 16, next += 6) {
        SAL__PREFETCH(next, 3);
        SAL__UNROLL
        for (int i = 0; i < vectors; i++) row[i] = sal__vload(b + i * bs);
        SAL__UNROLL
        for (int r = 0; r < rows; r++) {
            sal__v x = sal__vset(a[r * lda]);
            SAL__UNROLL
            for (int i = 0; i < vectors; i++) sum[r][i] = sal__vfma(x, row[i], sum[r][i]);
        }
    }
    SAL__UNROLL
    for (int r = 0; r < rows; r++) {
        SAL__UNROLL
        for (int i = 0; i < vectors; i++) sal__vstore(c + r * ldc + i * cs, sum[r][i]);
    }
}

/* The same for any number of rows: `next` is read behind them. */
SAL__INLINE void SAL__K(rows)(float *c, size_t cs, size_t ldc, const float *a, size_t as,
                              size_t lda, const float *b, size_t bs, int k, int rows,
                              const int n, int add, const float *next) {
    for (; rows > 0; rows -= 6, c += 6 * ldc, a += 6 * lda) {
        const float *soon = rows > 6 ? a + 6 * lda : next;
        switch (rows) {
        case 1:  SAL__K(tile)(c, cs, ldc, a, as, lda, b, bs, k, 1, n, add, soon); break;
        case 2:  SAL__K(tile)(c, cs, ldc, a, as, lda, b, bs, k, 2, n, add, soon); break;
        case 3:  SAL__K(tile)(c, cs, ldc, a, as, lda, b, bs, k, 3, n, add, soon); break;
        case 4:  SAL__K(tile)(c, cs, ldc, a, as, lda, b, bs, k, 4, n, add, soon); break;
        case 5:  SAL__K(tile)(c, cs, ldc, a, as, lda, b, bs, k, 5, n, add, soon); break;
        default: SAL__K(tile)(c, cs, ldc, a, as, lda, b, bs, k, 6, n, add, soon); break;
        }
    }
}

/* c (rows, panels of 16 columns) = or += a (rows, k) * b (panels, k, 16); panels lie cs and bs
   floats apart in c and b. With 16 lanes two of them are worked on as 6 x 32, in 12 registers. */
static void SAL__K(block)(float *c, size_t cs, size_t ldc, const float *a, size_t as, size_t lda,
                          const float *b, size_t bs, int panels, int k, int rows, int add,
                          const float *next) {
    enum { W = SAL__W, N = 16 / SAL__W };
    for (; W == 16 && panels > 1; panels -= 2, c += 2 * cs, b += 2 * bs)
        SAL__K(rows)(c, cs, ldc, a, as, lda, b, bs, k, rows, 2, add, next);
    for (; panels > 0; panels--, c += cs, b += bs)
        SAL__K(rows)(c, W, ldc, a, as, lda, b, W, k, rows, N, add, next);
}

/* --- Winograd transforms --------------------------------------------------------------------
   One dimension each; `in` and `out` step by is and os floats and may be the same place. n counts
   the points: 6 (0, +-sqrt(1/2), +-sqrt(2), infinity) or 8 (0, +-1, +-2, +-1/2, infinity). */

/* out[i] = even + p odd, out[i + 1] = even - p odd, for the pair of points +-p */
SAL__INLINE void SAL__K(wino_pair)(float *out, size_t os, int i, sal__v even, sal__v odd,
                                   double p) {
    sal__vstore(out + i * os, sal__vfma(sal__vset((float)p), odd, even));
    sal__vstore(out + (i + 1) * os, sal__vfnma(sal__vset((float)p), odd, even));
}

/* c + a x + b y */
SAL__INLINE sal__v SAL__K(wino_sum)(double a, sal__v x, double b, sal__v y, sal__v c) {
    return sal__vfma(sal__vset((float)a), x, sal__vfma(sal__vset((float)b), y, c));
}

/* out = B^T in: n numbers of the picture */
SAL__INLINE void SAL__K(wino_b)(float *out, size_t os, const float *in, size_t is, const int n) {
    sal__v d[8];
    SAL__UNROLL
    for (int i = 0; i < n; i++) d[i] = sal__vload(in + i * is);
    if (n == 6) {
        sal__v half = sal__vset(0.5f), two = sal__vset(2), s = sal__vset(2.5f);
        sal__vstore(out, sal__vfnma(s, d[2], d[0] + d[4]));
        SAL__K(wino_pair)(out, os, 1, sal__vfnma(two, d[2], d[4]), sal__vfnma(two, d[1], d[3]),
                          SAL__SQRT_HALF);
        SAL__K(wino_pair)(out, os, 3, sal__vfnma(half, d[2], d[4]), sal__vfnma(half, d[1], d[3]),
                          SAL__SQRT_TWO);
        sal__vstore(out + 5 * os, sal__vfnma(s, d[3], d[1] + d[5]));
    } else {
        sal__v s = sal__vset(5.25f), q = sal__vset(4.25f);
        sal__vstore(out, sal__vfma(s, d[4] - d[2], d[0] - d[6]));
        SAL__K(wino_pair)(out, os, 1, sal__vfnma(q, d[4], d[2] + d[6]),
                          sal__vfnma(q, d[3], d[1] + d[5]), 1);
        SAL__K(wino_pair)(out, os, 3, SAL__K(wino_sum)(0.25, d[2], -1.25, d[4], d[6]),
                          SAL__K(wino_sum)(0.25, d[1], -1.25, d[3], d[5]), 2);
        SAL__K(wino_pair)(out, os, 5, SAL__K(wino_sum)(4, d[2], -5, d[4], d[6]),
                          SAL__K(wino_sum)(4, d[1], -5, d[3], d[5]), 0.5);
        sal__vstore(out + 7 * os, sal__vfma(s, d[3] - d[5], d[7] - d[1]));
    }
}

/* Row p of G gives g0 + p^2 g2 + p^4 g4 +- p (g1 + p^2 g3 + p^4 g5) for the pair of points +-p and
   r taps, 3 to 6. Its divisor N (the product of the distances to the other points) is left to A,
   where it costs less. This is the part of those from g0 or g1 on. */
SAL__INLINE sal__v SAL__K(wino_poly)(const sal__v *g, const int r, const int from, double p) {
    double q = p * p;
    if (from + 4 < r) return SAL__K(wino_sum)(q * q, g[from + 4], q, g[from + 2], g[from]);
    return from + 2 < r ? sal__vfma(sal__vset((float)q), g[from + 2], g[from]) : g[from];
}

/* The p of pair i of points. */
SAL__INLINE double SAL__K(wino_point)(const int n, const int i) {
    if (n == 6) return i == 0 ? SAL__SQRT_HALF : SAL__SQRT_TWO;
    return i == 0 ? 1 : i == 1 ? 2 : 0.5;
}

/* out = G g: r taps become n numbers. */
SAL__INLINE void SAL__K(wino_g)(float *out, size_t os, const sal__v *g, const int n, const int r) {
    sal__vstore(out, g[0]);
    SAL__UNROLL
    for (int i = 0; i < n / 2 - 1; i++) {
        double p = SAL__K(wino_point)(n, i);
        SAL__K(wino_pair)(out, os, 1 + 2 * i, SAL__K(wino_poly)(g, r, 0, p),
                          SAL__K(wino_poly)(g, r, 1, p), p);
    }
    sal__vstore(out + (n - 1) * os, g[r - 1]);
}

/* out[f] = (G g G^T)[f] for the r x r taps of one pair of channels: rows of G g first, two at a
   time, each of which then goes through G once more. */
SAL__INLINE void SAL__K(wino_taps)(float *out, size_t fs, const float *tap, const int n,
                                   const int r) {
    size_t row = (size_t)n * fs;
    sal__v g[5], high[5], low[5];
    SAL__UNROLL
    for (int end = 0; end < 2; end++) {
        SAL__UNROLL
        for (int j = 0; j < r; j++) g[j] = sal__vload(tap + (end * (r - 1) * r + j) * SAL__W);
        SAL__K(wino_g)(out + end * (n - 1) * row, fs, g, n, r);
    }
    SAL__UNROLL
    for (int i = 0; i < n / 2 - 1; i++) {
        double p = SAL__K(wino_point)(n, i);
        sal__v q = sal__vset((float)p);
        SAL__UNROLL
        for (int j = 0; j < r; j++) {
            SAL__UNROLL
            for (int k = 0; k < r; k++) g[k] = sal__vload(tap + (k * r + j) * SAL__W);
            sal__v even = SAL__K(wino_poly)(g, r, 0, p), odd = SAL__K(wino_poly)(g, r, 1, p);
            high[j] = sal__vfma(q, odd, even);
            low[j] = sal__vfnma(q, odd, even);
        }
        SAL__K(wino_g)(out + (1 + 2 * i) * row, fs, high, n, r);
        SAL__K(wino_g)(out + (2 + 2 * i) * row, fs, low, n, r);
    }
}

/* out = A^T in: n products become m = n - r + 1 results,
       out[k] = sum over points p of p^k / N(p) in[p];   N: -3/2, 6 or -9/2, 90, 45/32.
   For even k both points of a pair count the same, for odd k with opposite signs. */
SAL__INLINE void SAL__K(wino_a)(float *out, size_t os, const float *in, size_t is, const int n,
                                const int m) {
    sal__v d[8], even[3], odd[3];
    SAL__UNROLL
    for (int i = 0; i < n; i++) d[i] = sal__vload(in + i * is);
    SAL__UNROLL
    for (int i = 0; i < n / 2 - 1; i++) {
        even[i] = d[1 + 2 * i] + d[2 + 2 * i];
        odd[i] = d[1 + 2 * i] - d[2 + 2 * i];
    }
    SAL__UNROLL
    for (int k = 0; k < m; k++) {
        const sal__v *x = k % 2 ? odd : even;
        double up = 1 << (n == 6 ? k / 2 : k), down = 1 / up;       /* 2^k, (1/2)^k, or of k/2 */
        sal__v sum;
        if (n == 6) {
            double half = k % 2 ? SAL__SQRT_HALF : 1, two = k % 2 ? SAL__SQRT_TWO : 1;
            sum = sal__vset((float)(up * two / 6)) * x[1];
            sum = sal__vfma(sal__vset((float)(-2 / 3.0 * down * half)), x[0], sum);
        } else {
            sum = sal__vset((float)(down * 32 / 45.0)) * x[2];
            sum = SAL__K(wino_sum)(1 / -4.5, x[0], up / 90.0, x[1], sum);
        }
        if (k == 0) sum = d[0] + sum;
        if (k == m - 1) sum = d[n - 1] + sum;
        sal__vstore(out + k * os, sum);
    }
}

/* v[f][c] = (B^T d B)[f] for one tile of SAL__LANES channels: d has n rows `row` floats apart (8 of
   each are read) in planes `plane` floats apart; v steps by fs from one f to the next. With taps
   it is (G d G^T)[f] for taps x taps numbers. */
#define SAL__LANES SAL__MAX(SAL__W, 8)
SAL__INLINE void SAL__K(wino_line)(float *out, size_t os, const float *in, size_t is, const int n,
                                   const int taps) {
    sal__v g[6];
    if (!taps) {
        SAL__K(wino_b)(out, os, in, is, n);
        return;
    }
    SAL__UNROLL
    for (int i = 0; i < taps; i++) g[i] = sal__vload(in + i * is);
    SAL__K(wino_g)(out, os, g, n, taps);
}
SAL__INLINE void SAL__K(wino_in)(float *v, size_t fs, const float *in, size_t row, size_t plane,
                                 const int n, const int taps) {
    SAL__ALIGN float t[64 * SAL__W];
    for (int c = 0; c < SAL__LANES; c += SAL__W, in += SAL__W * plane, v += SAL__W) {
        for (int i = 0; i < (taps ? taps : n); i++) {
            float *line = t + i * 8 * SAL__W;
            for (int j = 0; j < 8; j += SAL__T)
                for (int l = 0; l < SAL__W; l += SAL__T)
                    SAL__K(transpose)(line + j * SAL__W + l, SAL__W,
                                 in + (size_t)i * row + l * plane + j, plane);
            SAL__K(wino_line)(line, SAL__W, line, SAL__W, n, taps);
        }
        for (int j = 0; j < n; j++)
            SAL__K(wino_line)(v + (size_t)j * fs, (size_t)n * fs, t + j * SAL__W, 8 * SAL__W, n,
                              taps);
    }
}
static void SAL__K(wino_input)(float *v, size_t fs, const float *in, size_t row, size_t plane,
                               int n, int taps) {
    if (n == 6) SAL__K(wino_in)(v, fs, in, row, plane, 6, 0);
    else if (taps == 4) SAL__K(wino_in)(v, fs, in, row, plane, 8, 4);
    else if (taps == 6) SAL__K(wino_in)(v, fs, in, row, plane, 8, 6);
    else SAL__K(wino_in)(v, fs, in, row, plane, 8, 0);
}

/* u[f][c][o] = (G g G^T)[f] for up to 16 output channels o (rows of w, `pitch` floats apart) and k
   input channels c; what is missing to 16 is zero. u steps by fs from one f to the next. */
SAL__INLINE void SAL__K(wino_w)(float *u, size_t fs, const float *w, size_t pitch, int rows, int k,
                                int n, int r) {
    SAL__ALIGN float g[25 * 16 * SAL__W];
    int first, count, rr = r * r;
    for (first = 0; first < k; first += SAL__W) {   /* SAL__W input channels: their taps, with */
        count = SAL__MIN(SAL__W, k - first);        /* the outputs side by side, in g */
        for (int o = 0; o < 16; o += SAL__W) {
            const float *from = w + (size_t)o * pitch + first * rr;
            float *to = g + o * rr * SAL__W;
            if (o + SAL__W <= rows && count == SAL__W) {
                for (int e = 0; e < rr * SAL__W; e += SAL__T)
                    for (int l = 0; l < SAL__W; l += SAL__T)
                        SAL__K(transpose)(to + e * SAL__W + l, SAL__W, from + l * pitch + e, pitch);
                for (int i = 0; i < SAL__W; i++)        /* weights come straight from memory */
                    for (int e = 0; e < rr * SAL__W; e += 16)
                        SAL__PREFETCH(from + (size_t)i * pitch + 4 * rr * SAL__W + e, 2);
            } else {
                for (int e = 0; e < rr * count; e++)
                    for (int i = 0; i < SAL__W; i++)
                        to[e * SAL__W + i] = o + i < rows ? from[(size_t)i * pitch + e] : 0;
            }
        }
        for (int c = 0; c < count; c++)
            for (int o = 0; o < 16; o += SAL__W)
                SAL__K(wino_taps)(u + (first + c) * 16 + o, fs, g + (o + c) * rr * SAL__W, n, r);
    }
}
static void SAL__K(wino_weight)(float *u, size_t fs, const float *w, size_t pitch, int rows, int k,
                                int n, int r) {
    if (n == 6) SAL__K(wino_w)(u, fs, w, pitch, rows, k, 6, 3);
    else if (r == 3) SAL__K(wino_w)(u, fs, w, pitch, rows, k, 8, 3);
    else SAL__K(wino_w)(u, fs, w, pitch, rows, k, 8, 5);
}

/* y[o][k][l] = (A^T p A)[k][l] for one tile and 16 output channels: p[f][o] steps by fs, y by `row`
   floats from one row k of the tile to the next; 8 floats of each are written, m are meant. */
SAL__INLINE void SAL__K(wino_out)(float *y, size_t row, const float *p, size_t fs, int n, int m) {
    SAL__ALIGN float t[48 * SAL__W], z[8 * SAL__W];
    for (int i = 0; i < 8 * SAL__W; i++) z[i] = 0;
    for (int o = 0; o < 16; o += SAL__W) {
        for (int j = 0; j < n; j++)
            SAL__K(wino_a)(t + j * SAL__W, 8 * SAL__W, p + (size_t)j * fs + o, (size_t)n * fs, n,
                           m);
        for (int i = 0; i < m; i++) {
            SAL__K(wino_a)(z, SAL__W, t + i * 8 * SAL__W, SAL__W, n, m);
            for (int j = 0; j < 8; j += SAL__T)
                for (int l = 0; l < SAL__W; l += SAL__T)
                    SAL__K(transpose)(y + ((size_t)(o + l) * m + i) * row + j, m * row,
                                 z + j * SAL__W + l, SAL__W);
        }
    }
}
static void SAL__K(wino_output)(float *y, size_t row, const float *p, size_t fs, int n, int m) {
    if (n == 6) SAL__K(wino_out)(y, row, p, fs, 6, 4);
    else if (m == 3) SAL__K(wino_out)(y, row, p, fs, 8, 3);
    else if (m == 4) SAL__K(wino_out)(y, row, p, fs, 8, 4);
    else if (m == 5) SAL__K(wino_out)(y, row, p, fs, 8, 5);
    else SAL__K(wino_out)(y, row, p, fs, 8, 6);
}

/* --- functions of one number ---------------------------------------------------------------- */

/* 2^n for y = 1.5 * 2^23 + n, n from -126 to 127: the last bits of y are n. */
SAL__INLINE sal__v SAL__K(pow2)(sal__v y) {
    sal__n n;
    memcpy(&n, &y, sizeof n);
    n = (n - (0x4B400000 - 127)) << 23;
    memcpy(&y, &n, sizeof n);
    return y;
}

/* x as it is stored: the x87 unit of 32-bit x86 calculates with more digits than a float has. */
SAL__INLINE sal__v SAL__K(stored)(sal__v x) {
#if SAL__W == 1 && FLT_EVAL_METHOD != 0
    volatile sal__v kept = x;
    x = kept;
#endif
    return x;
}

/* e^x = 2^n e^r with n = round(x / ln 2), |r| <= ln(2) / 2; e^r by its series (to x^7 / 7!). */
SAL__INLINE sal__v SAL__K(exp)(sal__v x) {
    sal__v magic = sal__vset(12582912.0f), n, y, one = sal__vset(1);    /* 1.5 * 2^23 rounds */
    x = sal__vmin(sal__vmax(x, sal__vset(-87.0f)), sal__vset(88.0f));
    y = SAL__K(stored)(sal__vfma(x, sal__vset(1.44269504f), magic));
    n = y - magic;
    x = sal__vfnma(n, sal__vset(0.693359375f), x);          /* ln 2 in two pieces, so that */
    x = sal__vfnma(n, sal__vset(-2.12194440e-4f), x);       /* n * ln 2 is exact enough */
    n = sal__vfma(sal__vset((float)(1 / 5040.0)), x, sal__vset((float)(1 / 720.0)));
    n = sal__vfma(n, x, sal__vset((float)(1 / 120.0)));
    n = sal__vfma(n, x, sal__vset((float)(1 / 24.0)));
    n = sal__vfma(n, x, sal__vset((float)(1 / 6.0)));
    n = sal__vfma(n, x, sal__vset(0.5f));
    n = sal__vfma(x * x, n, x + one);
    return n * SAL__K(pow2)(y);
}

SAL__INLINE sal__v SAL__K(sigmoid)(sal__v x) {
    sal__v one = sal__vset(1);
    return one / (one + SAL__K(exp)(sal__vset(0) - x));
}

/* Near zero x + x^3 (a polynomial in x^2), elsewhere 1 - 2 / (e^(2|x|) + 1), signed as x. */
SAL__INLINE sal__v SAL__K(tanh)(sal__v x) {
    sal__v zero = sal__vset(0), minus = zero - x, a = sal__vmax(x, minus);
    sal__v s = x * x, one = sal__vset(1), p, q;
    p = sal__vfma(sal__vset(-5.70498872745e-3f), s, sal__vset(2.06390887954e-2f));
    p = sal__vfma(p, s, sal__vset(-5.37397155531e-2f));
    p = sal__vfma(p, s, sal__vset(1.33314422036e-1f));
    p = sal__vfma(p, s, sal__vset(-3.33332819422e-1f));
    p = sal__vfma(p * s, x, x);
    q = sal__vset(2) / (SAL__K(exp)(a + a) + one);
    q = sal__vless(x, zero, q - one, one - q);
    return sal__vless(a, sal__vset(0.625f), p, q);
}

/* out = act(acc * scale + bias + add); add may be NULL or out, out must not be acc. */
SAL__INLINE sal__v SAL__K(act)(sal__v x, const int act) {
    switch (act) {
    case SAL_ACT_RELU:      return sal__vmax(x, sal__vset(0));
    case SAL_ACT_RELU6:     return sal__vmin(sal__vmax(x, sal__vset(0)), sal__vset(6));
    case SAL__ACT_SIGMOID:  return SAL__K(sigmoid)(x);
    case SAL__ACT_TANH:     return SAL__K(tanh)(x);
    default:                return x;
    }
}
SAL__INLINE sal__v SAL__K(finish_at)(const float *acc, const float *add, size_t i, sal__v scale,
                                     sal__v bias, const int act) {
    sal__v x = sal__vfma(sal__vload(acc + i), scale, bias);
    if (add) x = x + sal__vload(add + i);
    return SAL__K(act)(x, act);
}
SAL__INLINE void SAL__K(finish_as)(float *out, const float *acc, const float *add, sal__v scale,
                                   sal__v bias, const int act, size_t n) {
    size_t rest = n % SAL__W;
    sal__v last = bias;         /* the vector at the end overlaps the one before: first */
    if (rest) last = SAL__K(finish_at)(acc, add, n - SAL__W, scale, bias, act);
    for (size_t i = 0; i + SAL__W <= n; i += SAL__W)
        sal__vstore(out + i, SAL__K(finish_at)(acc, add, i, scale, bias, act));
    if (rest) sal__vstore(out + n - SAL__W, last);
}
static void SAL__K(finish)(float *out, const float *acc, const float *add, float scale, float bias,
                           int act, size_t n) {
    sal__v s = sal__vset(scale), b = sal__vset(bias);
    if (n < SAL__W) {
        sal__v x = sal__vfma(sal__vload_part(acc, n), s, b);
        if (add) x = x + sal__vload_part(add, n);
        sal__vstore_part(out, SAL__K(act)(x, act), n);
        return;
    }
    switch (act) {
    case SAL_ACT_RELU:      SAL__K(finish_as)(out, acc, add, s, b, SAL_ACT_RELU, n); break;
    case SAL_ACT_RELU6:     SAL__K(finish_as)(out, acc, add, s, b, SAL_ACT_RELU6, n); break;
    case SAL__ACT_SIGMOID:  SAL__K(finish_as)(out, acc, add, s, b, SAL__ACT_SIGMOID, n); break;
    case SAL__ACT_TANH:     SAL__K(finish_as)(out, acc, add, s, b, SAL__ACT_TANH, n); break;
    default:                SAL__K(finish_as)(out, acc, add, s, b, SAL_ACT_IDENTITY, n); break;
    }
}

/* out[x] = the maximum of act(acc * scale + bias) over columns 2x, 2x + 1 of the rows a and b, for
   n values of x. Whole vectors of a and b are read. */
static void SAL__K(finish_pool)(float *out, const float *a, const float *b, float scale,
                                float bias, int act, size_t n) {
    sal__v s = sal__vset(scale), shift = sal__vset(bias), half[2];
    for (size_t i = 0; i < n; i += SAL__W) {
        SAL__UNROLL
        for (int k = 0; k < 2; k++)
            half[k] = sal__vmax(sal__vfma(sal__vload(a + 2 * i + k * SAL__W), s, shift),
                                sal__vfma(sal__vload(b + 2 * i + k * SAL__W), s, shift));
        sal__v x = sal__vmax(sal__veven(half[0], half[1]), sal__vodd(half[0], half[1]));
        x = SAL__K(act)(x, act);
        if (i + SAL__W <= n) sal__vstore(out + i, x);
        else sal__vstore_part(out + i, x, n - i);
    }
}

/* --- depthwise rows ---------------------------------------------------------------------------
   out[y][x] = start (+ out[y][x] if add) + sum over t of weight[t] * from[t][y * step + x], between
   low and high, for `rows` rows of n; 4 or 9 taps. A row's last vector overlaps the one before and
   is computed first. Fewer than a vector: whole ones are read from the runs. Rows lie in order,
   and gaps between them may be overwritten. */
SAL__INLINE sal__v SAL__K(sum_taps)(const float *const *f, size_t x, const sal__v *w,
                                    const int count, sal__v a, sal__v least, sal__v most) {
    sal__v b = w[1] * sal__vload(f[1] + x);     /* a has the even taps, b the odd ones */
    a = sal__vfma(w[0], sal__vload(f[0] + x), a);
    SAL__UNROLL
    for (int t = 2; t + 1 < count; t += 2) {
        a = sal__vfma(w[t], sal__vload(f[t] + x), a);
        b = sal__vfma(w[t + 1], sal__vload(f[t + 1] + x), b);
    }
    if (count % 2) a = sal__vfma(w[count - 1], sal__vload(f[count - 1] + x), a);
    return sal__vmin(most, sal__vmax(least, a + b));
}
SAL__INLINE void SAL__K(taps_of)(const int count, float *out, size_t pitch,
                                 const float *const *from, size_t step, const float *weight,
                                 float start, int add, float low, float high, int n, int rows) {
    sal__v first = sal__vset(start), least = sal__vset(low), most = sal__vset(high), w[9], last;
    const float *f[9];
    int x, rest = n % SAL__W;
    SAL__UNROLL
    for (int t = 0; t < count; t++) {
        w[t] = sal__vset(weight[t]);
        f[t] = from[t];
    }
    for (; rows > 0; rows--, out += pitch) {
        if (n < SAL__W && !add && (size_t)(rows - 1) * pitch + n >= SAL__W) {
            /* the vector's rest is overwritten by the next rows */
            sal__vstore(out, SAL__K(sum_taps)(f, 0, w, count, first, least, most));
        } else if (n < SAL__W) {
            last = first;
            if (add) last = first + sal__vload_part(out, (size_t)n);
            last = SAL__K(sum_taps)(f, 0, w, count, last, least, most);
            sal__vstore_part(out, last, (size_t)n);
        } else {
            last = first;
            if (rest) {
                if (add) last = first + sal__vload(out + n - SAL__W);
                last = SAL__K(sum_taps)(f, (size_t)(n - SAL__W), w, count, last, least, most);
            }
            for (x = 0; x + SAL__W <= n; x += SAL__W) {
                sal__v a = first;
                if (add) a = first + sal__vload(out + x);
                sal__vstore(out + x, SAL__K(sum_taps)(f, (size_t)x, w, count, a, least, most));
            }
            if (rest) sal__vstore(out + n - SAL__W, last);
        }
        SAL__UNROLL
        for (int t = 0; t < count; t++) f[t] += step;
    }
}
static void SAL__K(taps)(float *out, size_t pitch, const float *const *from, size_t step,
                         const float *weight, int count, float start, int add, float low,
                         float high, int n, int rows) {
    if (count == 4)
        SAL__K(taps_of)(4, out, pitch, from, step, weight, start, add, low, high, n, rows);
    else SAL__K(taps_of)(9, out, pitch, from, step, weight, start, add, low, high, n, rows);
}

/* sum[t], SAL__W partial sums: g[y * pitch + x] * from[t][y * step + x] over x and y, for nine t. g
   is zero behind its rows, as far as a vector. */
static void SAL__K(taps_back)(float *sum, const float *const *from, size_t step, const float *g,
                              size_t pitch, int n, int rows) {
    sal__v s[9];
    const float *f[9];
    SAL__UNROLL
    for (int t = 0; t < 9; t++) {
        s[t] = sal__vset(0);
        f[t] = from[t];
    }
    for (; rows > 0; rows--, g += pitch) {
        for (int x = 0; x < n; x += SAL__W) {
            sal__v d = sal__vload(g + x);
            SAL__UNROLL
            for (int t = 0; t < 9; t++) s[t] = sal__vfma(d, sal__vload(f[t] + x), s[t]);
        }
        SAL__UNROLL
        for (int t = 0; t < 9; t++) f[t] += step;
    }
    SAL__UNROLL
    for (int t = 0; t < 9; t++) sal__vstore(sum + t * SAL__W, s[t]);
}

/* Separates n pairs of numbers into the first and the second of each. */
static void SAL__K(deal)(float *even, float *odd, const float *in, int n) {
    int x = 0;
    for (; x + SAL__W <= n; x += SAL__W) {
        sal__v a = sal__vload(in + 2 * x), b = sal__vload(in + 2 * x + SAL__W);
        sal__vstore(even + x, sal__veven(a, b));
        sal__vstore(odd + x, sal__vodd(a, b));
    }
    for (; x < n; x++) { even[x] = in[2 * x]; odd[x] = in[2 * x + 1]; }
}

/* The reverse: joins them to pairs. */
static void SAL__K(zip)(float *out, const float *even, const float *odd, int n) {
    int x = 0;
    for (; x + SAL__W <= n; x += SAL__W) {
        sal__v a = sal__vload(even + x), b = sal__vload(odd + x);
        sal__vstore(out + 2 * x, sal__vzip_low(a, b));
        sal__vstore(out + 2 * x + SAL__W, sal__vzip_high(a, b));
    }
    for (; x < n; x++) { out[2 * x] = even[x]; out[2 * x + 1] = odd[x]; }
}

/* --- dense rows ------------------------------------------------------------------------------
   out[o] = sum over i of weight[o][i] * x[i] for `rows` rows. The weights are read once, in the
   form they have in memory, as four streams: rows o, o + quarter, ... side by side. */
SAL__INLINE sal__v SAL__K(load_as)(const void *w, size_t i, const sal_dtype type) {
    if (type == SAL_DTYPE_F16) return sal__vload_f16((const uint16_t *)w + i);
    if (type == SAL_DTYPE_BF16) return sal__vload_bf16((const uint16_t *)w + i);
    return sal__vload((const float *)w + i);
}
SAL__INLINE float SAL__K(one_as)(const void *w, size_t i, const sal_dtype type) {
    if (type == SAL_DTYPE_F16) return sal_f16_to_f32(((const uint16_t *)w)[i]);
    if (type == SAL_DTYPE_BF16) return sal_bf16_to_f32(((const uint16_t *)w)[i]);
    return ((const float *)w)[i];
}
SAL__INLINE float SAL__K(sum)(sal__v x) {
    float lane[SAL__W], sum = 0;
    sal__vstore(lane, x);
    for (int i = 0; i < SAL__W; i++) sum += lane[i];
    return sum;
}
SAL__INLINE void SAL__K(dot_as)(float *out, const float *x, const void *weight,
                                const sal_dtype type, const size_t bytes, int rows, size_t k) {
    int quarter = (rows + 3) / 4;
    for (int o = 0; o < quarter; o++) {
        sal__v s[4], t[4];
        size_t at[4], i;
        SAL__UNROLL
        for (int q = 0; q < 4; q++) {
            at[q] = (o + (o + q * quarter < rows ? q * quarter : 0)) * k;
            s[q] = t[q] = sal__vset(0);
        }
        for (i = 0; i + 2 * SAL__W <= k; i += 2 * SAL__W) {
            sal__v a = sal__vload(x + i), b = sal__vload(x + i + SAL__W);
            SAL__UNROLL
            for (int q = 0; q < 4; q++) {
                SAL__PREFETCH((const char *)weight + (at[q] + i + 512) * bytes, 3);
                s[q] = sal__vfma(a, SAL__K(load_as)(weight, at[q] + i, type), s[q]);
                t[q] = sal__vfma(b, SAL__K(load_as)(weight, at[q] + i + SAL__W, type), t[q]);
            }
        }
        for (int q = 0; q < 4 && o + q * quarter < rows; q++) {
            float sum = SAL__K(sum)(s[q] + t[q]);
            for (size_t e = i; e < k; e++) sum += x[e] * SAL__K(one_as)(weight, at[q] + e, type);
            out[o + q * quarter] = sum;
        }
    }
}
static void SAL__K(dot)(float *out, const float *x, const void *weight, sal_dtype type, int rows,
                        int columns) {
    size_t k = (size_t)columns;
    if (type == SAL_DTYPE_F16)       SAL__K(dot_as)(out, x, weight, SAL_DTYPE_F16, 2, rows, k);
    else if (type == SAL_DTYPE_BF16) SAL__K(dot_as)(out, x, weight, SAL_DTYPE_BF16, 2, rows, k);
    else                             SAL__K(dot_as)(out, x, weight, SAL_DTYPE_F32, 4, rows, k);
}

/* The same with I8 weights, without their scales, and whole numbers as inputs: k high parts and k
   low parts (sal__fixed_point), a high part of 1 standing for `unit`. Whole sums go over to floats
   before they can overflow: 512 * 128 * 32767 < 2^31. */
static void SAL__K(dot_i8)(float *out, const int16_t *x, float unit, const int8_t *weight, int rows,
                           int k) {
    int quarter = (rows + 3) / 4, whole = k / (4 * SAL__W) * (4 * SAL__W);
    sal__v low = sal__vset(1 / 65534.0f);
    for (int o = 0; o < quarter; o++) {
        const int8_t *w[4];
        sal__v s[4];
        SAL__UNROLL
        for (int q = 0; q < 4; q++) {
            w[q] = weight + (size_t)k * (o + (o + q * quarter < rows ? q * quarter : 0));
            s[q] = sal__vset(0);
        }
        for (int i = 0; i < whole; ) {
            int end = SAL__MIN(i + 512 * SAL__W, whole);
            sal__i h[4], l[4];
            SAL__UNROLL
            for (int q = 0; q < 4; q++) h[q] = l[q] = sal__iset(0);
            for (; i < end; i += 4 * SAL__W) {
                SAL__UNROLL
                for (int q = 0; q < 4; q++) {
                    SAL__PREFETCH(w[q] + i + 1024, 3);
                    SAL__UNROLL
                    for (int p = 0; p < 4 * SAL__W; p += 2 * SAL__W) {
                        sal__i b = sal__iload_i8(w[q] + i + p);
                        h[q] = sal__idot16(h[q], b, sal__iwords(x + i + p));
                        l[q] = sal__idot16(l[q], b, sal__iwords(x + k + i + p));
                    }
                }
            }
            SAL__UNROLL
            for (int q = 0; q < 4; q++)
                s[q] = s[q] + sal__vfma(low, sal__ifloat(l[q]), sal__ifloat(h[q]));
        }
        for (int q = 0; q < 4 && o + q * quarter < rows; q++) {
            float sum = SAL__K(sum)(s[q]);
            for (int i = whole; i < k; i++) sum += w[q][i] * (x[i] + x[k + i] / 65534.0f);
            out[o + q * quarter] = sum * unit;
        }
    }
}

/* to = g where 0 < x < top, else 0 (x may be NULL: only sums); returns the sum. to may be g. */
static double SAL__K(gate)(float *to, const float *g, const float *x, float top, size_t n) {
    sal__v zero = sal__vset(0), most = sal__vset(top);
    double sum = 0;
    size_t i = 0;
    while (i + SAL__W <= n) {
        sal__v part = zero;
        size_t end = SAL__MIN(n, i + 1024 * SAL__W);
        for (; i + SAL__W <= end; i += SAL__W) {
            sal__v y = sal__vload(g + i);
            if (x) {
                sal__v at = sal__vload(x + i);
                y = sal__vless(zero, at, y, zero);
                y = sal__vless(at, most, y, zero);
                sal__vstore(to + i, y);
            }
            part = part + y;
        }
        sum += SAL__K(sum)(part);
    }
    for (; i < n; i++) {
        float y = !x || (x[i] > 0 && x[i] < top) ? g[i] : 0;
        if (x) to[i] = y;
        sum += y;
    }
    return sum;
}

/* b (k, 16) = the transpose of `rows` <= 16 rows of a, lda apart; zeros where rows are missing. */
static void SAL__K(pack)(float *b, const float *a, size_t lda, int rows, int k) {
    int o, j, p;
    for (o = 0; o < 16; o += SAL__T) {
        p = 0;
        if (o + SAL__T <= rows)
            for (; p + SAL__T <= k; p += SAL__T)
                SAL__K(transpose)(b + p * 16 + o, 16, a + (size_t)o * lda + p, lda);
        for (; p < k; p++)
            for (j = o; j < o + SAL__T; j++) b[p * 16 + j] = j < rows ? a[(size_t)j * lda + p] : 0;
    }
}

/* --- ConvLSTM --------------------------------------------------------------------------------
   C = F . C_before + I . G,  H = O . tanh(C)  for n numbers; the gates I, F, O, G are `stride`
   floats apart; without C before, which may be C, F is not read. */
static void SAL__K(lstm)(float *h, float *c, const float *before, const float *gates, size_t stride,
                         size_t n) {
    const float *gi = gates, *gf = gi + stride, *go = gf + stride, *gg = go + stride;
    size_t i = 0, rest = n % SAL__W;
    for (; i + SAL__W <= n; i += SAL__W) {
        sal__v x = sal__vload(gi + i) * sal__vload(gg + i);
        if (before) x = sal__vfma(sal__vload(gf + i), sal__vload(before + i), x);
        sal__vstore(c + i, x);
        sal__vstore(h + i, sal__vload(go + i) * SAL__K(tanh)(x));
    }
    if (rest) {
        sal__v x = sal__vload_part(gi + i, rest) * sal__vload_part(gg + i, rest);
        if (before)
            x = sal__vfma(sal__vload_part(gf + i, rest), sal__vload_part(before + i, rest), x);
        sal__vstore_part(c + i, x, rest);
        sal__vstore_part(h + i, sal__vload_part(go + i, rest) * SAL__K(tanh)(x), rest);
    }
}

/* out = the larger of a and b; out may be a. */
static void SAL__K(maximum)(float *out, const float *a, const float *b, size_t n) {
    size_t i = 0;
    for (; i + SAL__W <= n; i += SAL__W)
        sal__vstore(out + i, sal__vmax(sal__vload(a + i), sal__vload(b + i)));
    for (; i < n; i++) out[i] = SAL__MAX(a[i], b[i]);
}

/* sal_adam_update; c has beta1, 1 - beta1, beta2, 1 - beta2, scale, root, eps, shrink. */
static void SAL__K(adam)(float *w, float *m, float *a, const float *g, const float *c, size_t n) {
    size_t i = 0;
    sal__v b1 = sal__vset(c[0]), t1 = sal__vset(c[1]), b2 = sal__vset(c[2]), t2 = sal__vset(c[3]);
    sal__v scale = sal__vset(c[4]), root = sal__vset(c[5]), e = sal__vset(c[6]);
    sal__v shrink = sal__vset(c[7]);
    for (; i + SAL__W <= n; i += SAL__W) {
        sal__v x = sal__vload(g + i), old = sal__vload(w + i), y, z;
        y = sal__vfma(b1, sal__vload(m + i), t1 * x);
        z = sal__vfma(b2, sal__vload(a + i), t2 * (x * x));
        sal__vstore(m + i, y);
        sal__vstore(a + i, z);
        z = scale * y / sal__vfma(sal__vsqrt(z), root, e);
        sal__vstore(w + i, sal__vfnma(shrink, old, old) - z);
    }
    for (; i < n; i++) {
        m[i] = c[0] * m[i] + c[1] * g[i];
        a[i] = c[2] * a[i] + c[3] * g[i] * g[i];
        w[i] -= c[4] * m[i] / ((float)sqrt((double)a[i]) * c[5] + c[6]) + c[7] * w[i];
    }
}

/* --- whole numbers ----------------------------------------------------------------------------
   Groups of 2 * SAL__W channels lie in two vectors of 32-bit sums: the order of channels in them is
   the one in which unpacking bytes puts them, see sal__whole_place. */

/* Two vectors of sums to 2 * SAL__W bytes or, if e->real, floats (in the vectors' order). */
SAL__INLINE void SAL__K(whole_end)(char *to, const sal__i *sum, const sal__v *scale,
                                   const sal__rule *e, const uint8_t *add) {
    sal__v s0 = sal__ifloat(sum[0]) * scale[0], s1 = sal__ifloat(sum[1]) * scale[1];
    sal__i c0, c1;
    if (e->real) {
        sal__vstore((float *)(void *)to, s0);
        sal__vstore((float *)(void *)to + SAL__W, s1);
        return;
    }
    c0 = sal__iround(s0); c1 = sal__iround(s1);
    if (add) {
        sal__i x = sal__iload_u8(add), by = sal__iset(e->add), zero = sal__iset(0);
        sal__i offset = sal__iset(e->offset);
        c0 = sal__idot16(sal__iadd(c0, offset), sal__izip_low(x, zero), by);
        c1 = sal__idot16(sal__iadd(c1, offset), sal__izip_high(x, zero), by);
        c0 = sal__ishift(c0, 10); c1 = sal__ishift(c1, 10);
    }
    sal__istore((uint8_t *)to, c0, c1, e);
}

/* out (rows, 2 * SAL__W) = the products of a (rows, 4 k bytes) and b (k, 2 * SAL__W, 4 bytes),
   finished; `column` is the first of the channels in the rule. Rows of out and add lie `pitch`
   bytes apart, those of a lda. */
SAL__INLINE void SAL__K(whole_rows)(char *out, size_t pitch, const char *a, size_t lda,
                                    const char *b, int k, const int rows, const sal__rule *e,
                                    int column, const uint8_t *add) {
    sal__v scale[2] = { sal__vload(e->scale + column), sal__vload(e->scale + column + SAL__W) };
    sal__i sum[6][2];
    SAL__UNROLL
    for (int r = 0; r < rows; r++) {
        sum[r][0] = sal__iload(e->bias + column);
        sum[r][1] = sal__iload(e->bias + column + SAL__W);
    }
    for (; k > 0; k--, a += 4, b += 8 * SAL__W) {
        sal__i b0 = sal__iwords(b), b1 = sal__iwords(b + 4 * SAL__W);
        SAL__UNROLL
        for (int r = 0; r < rows; r++) {
            sal__i x = SAL__K(iunit)(a + r * lda);
            sum[r][0] = sal__idot(sum[r][0], x, b0);
            sum[r][1] = sal__idot(sum[r][1], x, b1);
        }
    }
    SAL__UNROLL
    for (int r = 0; r < rows; r++)
        SAL__K(whole_end)(out + r * pitch, sum[r], scale, e, add ? add + r * pitch : NULL);
}
static void SAL__K(whole_block)(char *out, size_t pitch, const char *a, size_t lda, const char *b,
                                int k, int rows, const sal__rule *e, int column,
                                const uint8_t *add) {
    switch (rows) {
    case 1:  SAL__K(whole_rows)(out, pitch, a, lda, b, k, 1, e, column, add); break;
    case 2:  SAL__K(whole_rows)(out, pitch, a, lda, b, k, 2, e, column, add); break;
    case 3:  SAL__K(whole_rows)(out, pitch, a, lda, b, k, 3, e, column, add); break;
    case 4:  SAL__K(whole_rows)(out, pitch, a, lda, b, k, 4, e, column, add); break;
    case 5:  SAL__K(whole_rows)(out, pitch, a, lda, b, k, 5, e, column, add); break;
    default: SAL__K(whole_rows)(out, pitch, a, lda, b, k, 6, e, column, add); break;
    }
}

/* Channels c to c + 2 SAL__W - 1 of so many pixels, 1 to 4; what is loaded of the weights serves
   them all. */
SAL__INLINE void SAL__K(pixels)(uint8_t *out, size_t pitch, const uint8_t *const *from, size_t at,
                                size_t step, int taps, const int16_t *weight, int c,
                                const sal__rule *e, int pixels) {
    sal__i first[2] = { sal__iload(e->bias + c), sal__iload(e->bias + c + SAL__W) }, sum[4][2];
    sal__v scale[2] = { sal__vload(e->scale + c), sal__vload(e->scale + c + SAL__W) };
    SAL__UNROLL
    for (int i = 0; i < pixels; i++) { sum[i][0] = first[0]; sum[i][1] = first[1]; }
    for (int t = 0; t < taps; t += 2, weight += 4 * SAL__W) {
        const uint8_t *even = from[t] + at + c, *odd = from[t + 1 < taps ? t + 1 : t] + at + c;
        sal__i w[2] = { sal__iwords(weight), sal__iwords(weight + 2 * SAL__W) };
        SAL__UNROLL
        for (int i = 0; i < pixels; i++) {
            sal__i p = sal__iload_u8(even + i * step), q = sal__iload_u8(odd + i * step);
            sum[i][0] = sal__idot16(sum[i][0], sal__izip_low(p, q), w[0]);
            sum[i][1] = sal__idot16(sum[i][1], sal__izip_high(p, q), w[1]);
        }
    }
    SAL__UNROLL
    for (int i = 0; i < pixels; i++)
        SAL__K(whole_end)((char *)out + i * pitch + c, sum[i], scale, e, NULL);
}

/* A depthwise layer: n pixels of all channels from what each tap sees, `step` bytes from pixel to
   pixel. weight: for each group of channels, `next` numbers apart, pairs of taps; behind an odd
   last tap there is a zero. */
static void SAL__K(whole_taps)(uint8_t *out, size_t pitch, const uint8_t *const *from,
                               size_t step, int taps, const int16_t *weight, size_t next,
                               int groups, const sal__rule *e, int n) {
    for (int c = 0; c < groups * 2 * SAL__W; c += 2 * SAL__W, weight += next) {
        int x = 0;
        for (; x + 4 <= n; x += 4)
            SAL__K(pixels)(out + x * pitch, pitch, from, x * step, step, taps, weight, c, e, 4);
        for (; x < n; x++)
            SAL__K(pixels)(out + x * pitch, pitch, from, x * step, step, taps, weight, c, e, 1);
    }
}

/* n bytes as numbers of 16 bits; n is a multiple of 4. */
static void SAL__K(whole_widen)(int16_t *out, const uint8_t *in, int n) {
    int i = 0;
    for (; SAL__W > 1 && i + 2 * SAL__W <= n; i += 2 * SAL__W)
        sal__istore_i((uint8_t *)(out + i), sal__iload_u8(in + i));
    for (; i < n; i++) out[i] = in[i];
}

/* Three planes of n floats, divided by the unit, as n groups of four bytes. */
static void SAL__K(whole_input)(uint8_t *out, const float *in, size_t plane, float inverse,
                                int zero, size_t n) {
    sal__v by = sal__vset(inverse), low = sal__vset((float)-zero);
    sal__v high = sal__vset((float)(255 - zero));
    for (size_t i = 0; i < n; i += SAL__W) {
        sal__i pixel = sal__iset(0);
        i = n >= SAL__W ? SAL__MIN(i, n - SAL__W) : i;      /* the last vector overlaps */
        SAL__UNROLL
        for (int k = 0; k < 3; k++) {
            sal__v x = sal__vload(in + k * plane + i) * by;
            sal__i u = sal__iround(sal__vmin(sal__vmax(x, low), high));
            pixel = sal__iadd(pixel, sal__ileft(sal__iadd(u, sal__iset(zero)), 8 * k));
        }
        sal__istore_i(out + 4 * i, pixel);
    }
}

static const sal__isa SAL__K(isa) = {
    SAL__W, SAL__K(block), SAL__K(wino_input), SAL__K(wino_weight), SAL__K(wino_output),
    SAL__K(finish), SAL__K(finish_pool), SAL__K(dot), SAL__K(dot_i8), SAL__K(pack), SAL__K(lstm),
    SAL__K(maximum), SAL__K(taps), SAL__K(taps_back), SAL__K(deal), SAL__K(zip), SAL__K(adam),
    SAL__K(gate), SAL__BYTES,
    SAL__K(whole_block), SAL__K(whole_taps), SAL__K(whole_widen), SAL__K(whole_input)
};

#undef SAL__W
#undef SAL__K
#undef SAL__BYTES
#endif /* SAL__K */

/* ============================================================================================
   >>stb  stb_image (decoding, inflate) and stb_image_write (PNG, JPEG)

   Private copies, which do not clash with those of other files. If the source file includes stb
   before this header, that copy is used, wherever its implementation stands. GCC and Clang do not
   #include again what has been read by #import: so a later #include of stb gets this private copy,
   which therefore has all formats. As this text is included (see >>core), it can be marked as a
   system header, of which compilers print no warnings.
   ========================================================================================== */
#ifdef SAL__STB
#  if defined(__has_include)
#    if !__has_include("stb_image.h") && __has_include(<stb/stb_image.h>)
#      define SAL__STB_FILE(name) <stb/name>    /* Debian's libstb-dev */
#    endif
#  endif
#  ifndef SAL__STB_FILE
#    define SAL__STB_FILE(name) #name
#  endif
#  ifdef __GNUC__
#    pragma GCC system_header
#  endif
#  if defined(__clang__) && !defined(_MSC_VER)     /* stb shifts into the sign, copies no bytes
                                                      to NULL */
#    pragma clang attribute push(__attribute__((no_sanitize("shift-base", "pointer-overflow", \
         "nonnull-attribute"))), apply_to = function)
#  endif
#  ifndef STBI_INCLUDE_STB_IMAGE_H
#    ifndef STB_IMAGE_IMPLEMENTATION
#      define STB_IMAGE_STATIC
#      define STB_IMAGE_IMPLEMENTATION
#      ifndef STBI_SUPPORT_ZLIB        /* sal_inflate, also with STBI_ONLY_JPEG */
#        define STBI_SUPPORT_ZLIB
#      endif
       /* 2.27 misspells one definition; later versions do not have this name */
#      define stbi__unpremultiply_on_load_thread stbi_set_unpremultiply_on_load_thread
#      ifdef SALIENCY_NO_STDIO
#        define STBI_NO_STDIO
#      endif
#    endif
#    ifdef __GNUC__
#      import SAL__STB_FILE(stb_image.h)
#    else
#      include SAL__STB_FILE(stb_image.h)
#    endif
#    undef STB_IMAGE_IMPLEMENTATION     /* once is enough */
#  endif
#  ifndef INCLUDE_STB_IMAGE_WRITE_H
#    ifndef STB_IMAGE_WRITE_IMPLEMENTATION
#      define STB_IMAGE_WRITE_STATIC
#      define STB_IMAGE_WRITE_IMPLEMENTATION
#      ifdef SALIENCY_NO_STDIO
#        define STBI_WRITE_NO_STDIO
         /* declared there, but not defined: another's declaration a second time */
#        define stbi_write_hdr_to_func(f, context, w, h, channels, data) \
             stbi_write_tga_to_func(f, context, w, h, channels, const void *from)
#      endif
#    endif
#    ifdef __GNUC__
#      import SAL__STB_FILE(stb_image_write.h)
#    else
#      include SAL__STB_FILE(stb_image_write.h)
#    endif
#    undef STB_IMAGE_WRITE_IMPLEMENTATION
#  endif
#  if defined(__clang__) && !defined(_MSC_VER)
#    pragma clang attribute pop
#  endif
#endif

/* ============================================================================================
   >>licence  the Unlicense (public domain) or MIT-0
   ==========================================================================================
   This software is available under two licences: choose whichever you prefer.

   A. The Unlicense

   This is free and unencumbered software released into the public domain.

   Anyone is free to copy, modify, publish, use, compile, sell, or distribute this software,
   either in source code form or as a compiled binary, for any purpose, commercial or
   non-commercial, and by any means.

   In jurisdictions that recognize copyright laws, the author or authors of this software
   dedicate any and all copyright interest in the software to the public domain. We make this
   dedication for the benefit of the public at large and to the detriment of our heirs and
   successors. We intend this dedication to be an overt act of relinquishment in perpetuity of
   all present and future rights to this software under copyright law.

   THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING
   BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
   NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
   LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
   CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.

   For more information, please refer to <https://unlicense.org>

   B. MIT-0

   MIT No Attribution

   Copyright 2026 The authors of saliency.h

   Permission is hereby granted, free of charge, to any person obtaining a copy of this software
   and associated documentation files (the "Software"), to deal in the Software without
   restriction, including without limitation the rights to use, copy, modify, merge, publish,
   distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
   Software is furnished to do so.

   THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING
   BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
   NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
   DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING
   FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
   ========================================================================================== */
