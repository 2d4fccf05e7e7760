/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* Resampling, blurring, picture and map files, colours. */
#define _DEFAULT_SOURCE         /* mkdtemp */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "test.h"
#include "counter.h"

static float noise(sal_rng *rng) { return (float)sal_rng_uniform(rng); }

static double worst(const float *a, const float *b, int n) {
    double d = 0;
    int i;
    for (i = 0; i < n; i++) d = MAX(d, fabs((double)a[i] - b[i]));
    return d;
}

static void test_resize(sal_ctx *ctx) {
    static const char *const names[] = { "area", "linear", "cubic" };
    static const float ramp[4] = { 0, 1, 2, 3 };
    static const float half[3][2] = {   /* of the ramp 0 1 2 3, by hand */
        { 0.5f, 2.5f },                             /* (0+1)/2, (2+3)/2 */
        { 5 / 7.0f, 16 / 7.0f },                    /* (.75*0 + .75*1 + .25*2) / 1.75 */
        { 71 / 121.0f, 292 / 121.0f }               /* weights 111 111 29 -9 */
    };
    static const float thirds[2] = { 0.5f / 1.5f, 2.5f / 1.5f };    /* 0 1 2, 1.5 pixels each */
    static const float twice[8] = { 0, 0.25f, 0.75f, 1.25f, 1.75f, 2.25f, 2.75f, 3 };
    static const int sizes[][4] = { { 7, 5, 13, 9 }, { 40, 30, 11, 30 }, { 13, 17, 13, 4 },
                                    { 1, 1, 6, 4 }, { 300, 2, 1, 1 }, { 31, 9, 5, 40 } };
    enum { MOST = 1200 };
    float in[MOST * 3], out[MOST * 3], again[MOST * 3];
    sal_rng rng = { 1 };
    int f, i, s;
    for (f = 0; f < 3; f++) {
        sal_filter filter = (sal_filter)f;
        double off = 0, flat = 0;
        int threads = 1;
        sal_resize(ctx, out, 2, 1, ramp, 4, 1, 1, filter);
        CHECK(worst(out, half[f], 2) < 1e-6, "%s halves 0 1 2 3 to %.4f %.4f (got %.4f %.4f)",
              names[f], half[f][0], half[f][1], out[0], out[1]);
        sal_resize(ctx, again, 1, 2, ramp, 1, 4, 1, filter);
        CHECK(worst(out, again, 2) == 0, "%s treats a column as it treats a row", names[f]);
        for (s = 0; s < COUNT(sizes); s++) {
            int w = sizes[s][0], h = sizes[s][1], ow = sizes[s][2], oh = sizes[s][3];
            for (i = 0; i < w * h * 3; i++) in[i] = noise(&rng);
            ctx->threads = 1;
            sal_resize(ctx, out, ow, oh, in, w, h, 3, filter);
            ctx->threads = 3;
            sal_resize(ctx, again, ow, oh, in, w, h, 3, filter);
            if (memcmp(out, again, sizeof(float) * (size_t)(ow * oh * 3))) threads = 0;
            /* one of three interleaved channels by itself */
            for (i = 0; i < w * h; i++) again[i] = in[i * 3 + 1];
            memcpy(in, again, sizeof(float) * (size_t)(w * h));
            sal_resize(ctx, again, ow, oh, in, w, h, 1, filter);
            for (i = 0; i < ow * oh; i++) off = MAX(off, fabs(again[i] - out[i * 3 + 1]));
            for (i = 0; i < w * h; i++) in[i] = 0.7f;
            sal_resize(ctx, out, ow, oh, in, w, h, 1, filter);
            for (i = 0; i < ow * oh; i++) flat = MAX(flat, fabs(out[i] - 0.7));
        }
        CHECK(threads, "%s gives the same bits with 1 and 3 threads", names[f]);
        CHECK(off == 0, "%s treats interleaved channels alike", names[f]);
        CHECK(flat < 4e-6, "%s keeps a constant (error %.1e)", names[f], flat);
        for (i = 0; i < 60; i++) in[i] = noise(&rng);
        sal_resize(ctx, out, 5, 4, in, 5, 4, 3, filter);
        CHECK(!memcmp(in, out, 60 * sizeof(float)), "%s to the same size is an exact copy",
              names[f]);
    }
    sal_resize(ctx, out, 2, 1, ramp, 3, 1, 1, SAL_FILTER_AREA);
    CHECK(worst(out, thirds, 2) < 1e-6, "area splits a pixel that two outputs share");
    sal_resize(ctx, out, 8, 1, ramp, 4, 1, 1, SAL_FILTER_LINEAR);
    CHECK(worst(out, twice, 8) < 1e-6, "linear doubling takes quarters, and is flat at the ends");
    sal_resize(ctx, out, 8, 1, ramp, 4, 1, 1, SAL_FILTER_CUBIC);
    CHECK(fabs(out[3] - 1.25) < 1e-6 && fabs(out[4] - 1.75) < 1e-6,
          "cubic doubling is exact on a ramp away from the ends");
    CHECK(sal_resize(ctx, out, 0, 1, ramp, 4, 1, 1, SAL_FILTER_CUBIC) == SAL_ERR_ARGUMENT,
          "an output of no pixels is refused: %s", sal_error(ctx));
    CHECK(sal_resize(ctx, out, 1, 1, ramp, 100000, 100000, 1, SAL_FILTER_CUBIC) == SAL_ERR_ARGUMENT,
          "an absurd input size is refused: %s", sal_error(ctx));
}

static void test_blur(sal_ctx *ctx) {
    enum { W = 41, H = 37, N = W * H };
    static float in[N], out[N], again[N];
    double sum = 0, second = 0, worst_flat = 0;
    int i, x, y;
    in[18 * W + 20] = 1;
    sal_blur(ctx, out, in, W, H, 2, 4, SAL_BORDER_ZERO);
    for (y = 0; y < H; y++)
        for (x = 0; x < W; x++) {
            sum += out[y * W + x];
            second += out[y * W + x] * (x - 20.0) * (x - 20.0);
        }
    CHECK(fabs(sum - 1) < 1e-6, "a blurred impulse still sums to 1 (%.7f)", sum);
    CHECK(fabs(second - 4) < 0.02, "its variance is sigma^2 (%.4f of 4)", second);
    CHECK(fabs(out[18 * W + 22] / out[18 * W + 20] - exp(-0.5)) < 1e-6 &&
          out[18 * W + 28] > 0 && out[18 * W + 29] == 0,
          "it falls by exp(-1/2) at one sigma and is cut at 4 sigma");
    CHECK(out[18 * W + 15] == out[18 * W + 25] && out[13 * W + 20] == out[23 * W + 20],
          "it is symmetric");
    memset(in, 0, sizeof in);
    in[0] = 1;
    sal_blur(ctx, out, in, W, H, 3, 2, SAL_BORDER_ZERO);
    for (sum = 0, i = 0; i < N; i++) sum += out[i];
    CHECK(sum > 0.25 && sum < 0.4, "with a border of zeros a corner loses what leaves (%.3f)", sum);
    for (i = 0; i < N; i++) in[i] = 3;
    sal_blur(ctx, out, in, W, H, 50, 2, SAL_BORDER_REPLICATE);
    for (i = 0; i < N; i++) worst_flat = MAX(worst_flat, fabs(out[i] - 3));
    CHECK(worst_flat < 1e-5, "a replicated border keeps a constant, even if sigma exceeds the map");
    {
        static const float line[5] = { 1, 2, 4, 8, 16 };
        double k = exp(-0.5);
        sal_blur(ctx, out, line, 5, 1, 1, 1, SAL_BORDER_REPLICATE);
        CHECK(fabs(out[0] - (1 + k * (1 + 2)) / (1 + 2 * k)) < 1e-6 &&
              fabs(out[4] - (16 + k * (8 + 16)) / (1 + 2 * k)) < 1e-6,
              "replicated: the last pixel stands outside");
        sal_blur(ctx, out, line, 5, 1, 1, 1, SAL_BORDER_REFLECT);
        CHECK(fabs(out[0] - (1 + k * (2 + 2)) / (1 + 2 * k)) < 1e-6 &&
              fabs(out[4] - (16 + k * (8 + 8)) / (1 + 2 * k)) < 1e-6,
              "reflected: the last pixel but one stands outside");
        sal_blur(ctx, out, line, 3, 1, 1e4, 3e-4, SAL_BORDER_REFLECT);     /* 3 to each side, all alike */
        CHECK(fabs(out[0] - (2 + 4 + 2 + 1 + 2 + 4 + 2) / 7.0) < 1e-5 &&
              fabs(out[2] - (2 + 1 + 2 + 4 + 2 + 1 + 2) / 7.0) < 1e-5,
              "and forth and back, if the filter is longer than the map");
        sal_blur(ctx, out, line + 2, 1, 1, 5, 2, SAL_BORDER_REFLECT);
        CHECK(fabs(out[0] - 4) < 1e-5, "also of a single pixel");
    }
    for (i = 0; i < N; i++) in[i] = (float)(i * 7919 % 101);
    ctx->threads = 1;
    sal_blur(ctx, out, in, W, H, 2.5, 3, SAL_BORDER_REPLICATE);
    ctx->threads = 3;
    memcpy(again, in, sizeof in);
    sal_blur(ctx, again, again, W, H, 2.5, 3, SAL_BORDER_REPLICATE);
    CHECK(!memcmp(out, again, sizeof out), "in place, with 3 threads: the same bits");
    sal_blur(ctx, out, in, W, H, 0, 3, SAL_BORDER_ZERO);
    CHECK(!memcmp(in, out, sizeof in), "sigma 0 copies");
    CHECK(sal_blur(ctx, out, in, W, H, NAN, 3, SAL_BORDER_ZERO) == SAL_ERR_ARGUMENT,
          "a sigma that is no number is refused: %s", sal_error(ctx));
}

/* --- files ------------------------------------------------------------------------------- */

static char folder[64] = TEST_FOLDER "/sal_test_XXXXXX";

static const char *path_of(const char *name) {
    static char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put32(unsigned char *out, size_t *n, uint32_t v) {
    int i;
    for (i = 24; i >= 0; i -= 8) out[(*n)++] = (unsigned char)(v >> i);
}

/* A PNG chunk behind the *n bytes that are there, with its checksum. */
static void put_chunk(unsigned char *out, size_t *n, const char *type, const void *data,
                      size_t size) {
    uint32_t crc = 0xFFFFFFFFu;
    size_t i, from = *n + 4;
    int bit;
    put32(out, n, (uint32_t)size);
    memcpy(out + *n, type, 4);
    if (size) memcpy(out + *n + 4, data, size);
    *n += 4 + size;
    for (i = from; i < *n; i++)
        for (crc ^= out[i], bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    put32(out, n, ~crc);
}

/* A PNG of uncompressed ("stored") data, rows already with their filter byte in front. */
static size_t make_png(unsigned char *out, int w, int h, int depth, int colour,
                       const unsigned char *rows, size_t size) {
    unsigned char idat[700] = { 0x78, 0x01, 1 }, ihdr[13];     /* zlib, one last stored block */
    uint32_t sum[2] = { 1, 0 };
    size_t n = 0, i;
    put32(ihdr, &n, (uint32_t)w);
    put32(ihdr, &n, (uint32_t)h);
    ihdr[8] = (unsigned char)depth; ihdr[9] = (unsigned char)colour;
    ihdr[10] = ihdr[11] = ihdr[12] = 0;
    memcpy(out, "\x89PNG\r\n\x1A\n", 8);
    n = 8;
    put_chunk(out, &n, "IHDR", ihdr, 13);
    idat[3] = (unsigned char)size; idat[4] = (unsigned char)(size >> 8);
    idat[5] = (unsigned char)~size; idat[6] = (unsigned char)(~size >> 8);
    memcpy(idat + 7, rows, size);
    for (i = 0; i < size; i++) {
        sum[0] = (sum[0] + rows[i]) % 65521;
        sum[1] = (sum[1] + sum[0]) % 65521;
    }
    i = 7 + size;
    put32(idat, &i, sum[1] << 16 | sum[0]);
    put_chunk(out, &n, "IDAT", idat, i);
    put_chunk(out, &n, "IEND", NULL, 0);
    return n;
}

/* 3 x 2 pixels of 24 bits, rows from the bottom, padded to 4 bytes. */
static size_t make_bmp(unsigned char *out) {
    static const unsigned char header[54] = { 'B', 'M', 78, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0,
                                              0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 24 };
    static const unsigned char rows[24] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0,
                                            11, 12, 13, 14, 15, 16, 17, 18, 19 };
    memcpy(out, header, 54);
    memcpy(out + 54, rows, 24);
    return 78;
}

/* 8 x 8 pixels of pure red in CMYK, as Adobe programs write it (inverted). */
static const char cmyk[] =
    "\xFF\xD8\xFF\xEE\x00\x0E\x41\x64\x6F\x62\x65\x00\x64\x00\x00\x00\x00\x00\xFF\xDB\x00\x43"
    "\x00\x20\x16\x18\x1C\x18\x14\x20\x1C\x1A\x1C\x24\x22\x20\x26\x30\x50\x34\x30\x2C\x2C\x30"
    "\x62\x46\x4A\x3A\x50\x74\x66\x7A\x78\x72\x66\x70\x6E\x80\x90\xB8\x9C\x80\x88\xAE\x8A\x6E"
    "\x70\xA0\xDA\xA2\xAE\xBE\xC4\xCE\xD0\xCE\x7C\x9A\xE2\xF2\xE0\xC8\xF0\xB8\xCA\xCE\xC6\xFF"
    "\xC0\x00\x14\x08\x00\x08\x00\x08\x04\x43\x11\x00\x4D\x11\x00\x59\x11\x00\x4B\x11\x00\xFF"
    "\xC4\x00\x14\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x06\xFF"
    "\xC4\x00\x14\x10\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xFF"
    "\xDA\x00\x0E\x04\x43\x00\x4D\x00\x59\x00\x4B\x00\x00\x3F\x00\x40\x3E\x3E\x40\xFF\xD9";

/* Is the first pixel r g b? */
static int starts_with(const sal_image *image, int r, int g, int b) {
    const unsigned char *p = image->data;
    return p && p[0] == r && p[1] == g && p[2] == b;
}

static void refused(sal_ctx *ctx, const char *what, const void *bytes, size_t size, sal_result as) {
    sal_image image;
    sal_result r = sal_image_load_memory(ctx, bytes, size, "odd.file", &image);
    CHECK(r == as && !image.data && strstr(sal_error(ctx), "odd.file"), "%s: %s", what,
          r == SAL_OK ? "was read" : sal_error(ctx));
    sal_image_free(ctx, &image);
}

static void test_formats(sal_ctx *ctx) {
    unsigned char file[4096], tall[30032];
    static const unsigned char rgb16[13] = { 0, 0x12, 0x34, 0xAB, 0xCD, 0xFF, 0xFF };
    static const unsigned char rgba[9] = { 0, 255, 0, 0, 128, 10, 20, 30, 255 };
    static const unsigned char greya[5] = { 0, 0, 255, 0, 0 };
    sal_image im;
    size_t n;

    sal_image_load_memory(ctx, "P6\n# made by hand\n2 1\n255\nabcdef", 32, "a.ppm", &im);
    CHECK(im.w == 2 && im.h == 1 && starts_with(&im, 'a', 'b', 'c'),
          "a PPM with a comment is read");
    sal_image_free(ctx, &im);
    sal_image_load_memory(ctx, "P5 1 2 15 \x0F\x05", 12, "a.pgm", &im);
    CHECK(im.h == 2 && starts_with(&im, 255, 255, 255) && im.data[3] == 85 && im.data[5] == 85,
          "a PGM with maximum 15 is scaled to 255 and is grey");
    sal_image_free(ctx, &im);
    sal_image_load_memory(ctx, "P5 1 1 65535 \x80\x00", 15, "a.pgm", &im);
    CHECK(starts_with(&im, 128, 128, 128), "a 16-bit PGM is reduced to 8 bits");
    sal_image_free(ctx, &im);
    memset(tall, 7, sizeof tall);
    memcpy(tall, "P5 1 30000 255 ", 15);
    sal_image_load_memory(ctx, tall, 30015, "a.pgm", &im);
    CHECK(im.w == 1 && im.h == 30000 && im.data[3 * 29999] == 7, "1 x 30000 pixels are read");
    sal_image_free(ctx, &im);

    n = make_bmp(file);
    sal_image_load_memory(ctx, file, n, "a.bmp", &im);
    CHECK(im.w == 3 && im.h == 2 && starts_with(&im, 13, 12, 11) && im.data[9] == 3,
          "a BMP is read from the bottom, blue first");
    sal_image_free(ctx, &im);
    n = make_png(file, 2, 1, 16, 2, rgb16, 13);
    sal_image_load_memory(ctx, file, n, "a.png", &im);
    CHECK(im.w == 2 && starts_with(&im, 0x12, 0xAB, 0xFF),
          "a 16-bit PNG is reduced to 8 bits");
    sal_image_free(ctx, &im);
    n = make_png(file, 2, 1, 8, 6, rgba, 9);
    sal_image_load_memory(ctx, file, n, "a.png", &im);
    CHECK(starts_with(&im, 255, 127, 127) && im.data[3] == 10 && im.data[5] == 30,
          "half transparent red becomes pink: white shows through");
    sal_image_free(ctx, &im);
    n = make_png(file, 2, 1, 8, 4, greya, 5);
    sal_image_load_memory(ctx, file, n, "a.png", &im);
    CHECK(starts_with(&im, 0, 0, 0) && im.data[3] == 255 && im.data[5] == 255,
          "grey with alpha: opaque black stays, transparent black becomes white");
    sal_image_free(ctx, &im);
    sal_image_load_memory(ctx, cmyk, sizeof cmyk - 1, "a.jpg", &im);
    CHECK(im.w == 8 && im.data && im.data[0] > 250 && im.data[1] < 5 && im.data[2] < 5,
          "a CMYK JPEG is converted to RGB");
    sal_image_free(ctx, &im);
    memcpy(file, cmyk, 2);                              /* without the segment of 16 bytes that tells */
    memcpy(file + 2, cmyk + 18, sizeof cmyk - 19);
    CHECK(sal_image_load_memory(ctx, file, sizeof cmyk - 17, "a.jpg", &im) == SAL_ERR_UNSUPPORTED &&
          strstr(ctx->error, "Adobe"), "of four colours, but which? Such a JPEG is refused");
    sal_image_free(ctx, &im);
}

static void test_odd_files(sal_ctx *ctx) {
    unsigned char file[4096], rows[48] = { 0 };
    sal_image im, back;
    unsigned char *jpeg;
    size_t n, i, size, accepted;
    refused(ctx, "an empty file", "", 0, SAL_ERR_FORMAT);
    refused(ctx, "a text file", "Dear reader,\nthis is no picture.\n", 33, SAL_ERR_FORMAT);
    refused(ctx, "unknown bytes", "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B\x0C\x0D", 13,
            SAL_ERR_FORMAT);
    refused(ctx, "a PPM header without numbers", "P6\nabc\n", 7, SAL_ERR_FORMAT);
    refused(ctx, "a PPM of no pixels", "P6 0 5 255 ", 11, SAL_ERR_FORMAT);
    refused(ctx, "a truncated PPM", "P6 2 2 255 abcdef", 17, SAL_ERR_FORMAT);
    refused(ctx, "an absurdly large PGM", "P5 99999 99999 255 a", 20, SAL_ERR_ARGUMENT);
    n = make_png(file, 20000, 20000, 8, 0, rows, 20);
    refused(ctx, "an absurdly large PNG", file, n, SAL_ERR_ARGUMENT);
    n = make_png(file, 90000, 90000, 8, 2, rows, 20);
    refused(ctx, "one beyond what stb_image takes", file, n, SAL_ERR_FORMAT);
    if (sal_file_read(ctx, "tests/fuzz/corpus/image/jpeg", &jpeg, &size) == SAL_OK) {
        for (i = 0; i + 20 < size && (jpeg[i] != 0xFF || jpeg[i + 1] != 0xC4); i++) {}
        jpeg[i + 4] ^= 1;
        refused(ctx, "a JPEG scan without its Huffman table", jpeg, size, SAL_ERR_FORMAT);
        CHECK(strstr(sal_error(ctx), "Huffman") != NULL, "before stb_image looks for it");
        jpeg[i + 4] ^= 1;
        memset(jpeg + i + 13, 200, 8);
        refused(ctx, "a JPEG Huffman table of 1600 codes", jpeg, size, SAL_ERR_FORMAT);
        sal_free(ctx, jpeg);
    }
    memset(rows, 0, sizeof rows);
    n = make_png(file, 4, 3, 8, 2, rows, 39);
    for (accepted = 0, i = 0; i + 12 < n; i++) {        /* the last 12 bytes say only "the end" */
        accepted += sal_image_load_memory(ctx, file, i, "cut.png", &im) == SAL_OK;
        sal_image_free(ctx, &im);
    }
    CHECK(accepted == 0, "no beginning of a PNG passes for a whole one (%d of %d did)",
          (int)accepted, (int)n);
    n = make_bmp(file);
    for (accepted = 0, i = 0; i + 3 < n; i++) {         /* the last 3 bytes fill up the last row */
        accepted += sal_image_load_memory(ctx, file, i, "cut.bmp", &im) == SAL_OK;
        sal_image_free(ctx, &im);
    }
    CHECK(accepted == 0, "no beginning of a BMP passes for a whole one (%d of %d did)",
          (int)accepted, (int)n);
    sal_image_new(ctx, 40, 30, &im);
    for (i = 0; i < 3600; i++) im.data[i] = (unsigned char)(i * 7);
    sal_image_save(ctx, path_of("a.jpg"), &im);
    sal_image_free(ctx, &im);
    sal_file_read(ctx, path_of("a.jpg"), &jpeg, &size);
    for (accepted = 0, i = 0; i < size; i++) {
        accepted += sal_image_load_memory(ctx, jpeg, i, "cut.jpg", &back) == SAL_OK;
        accepted += strstr(sal_error(ctx), "png") != NULL;      /* that is another format's reason */
        sal_image_free(ctx, &back);
    }
    CHECK(size > 500 && accepted == 0,
          "no beginning of a JPEG passes for a whole one (%d of %d did): %s", (int)accepted,
          (int)size, sal_error(ctx));
    sal_free(ctx, jpeg);
    CHECK(sal_image_load(ctx, path_of("none.png"), &im) == SAL_ERR_IO &&
          strstr(sal_error(ctx), "none.png"), "a missing file: %s", sal_error(ctx));
    CHECK(sal_image_load(ctx, folder, &im) == SAL_ERR_IO, "a folder: %s", sal_error(ctx));
}

static void test_saving(sal_ctx *ctx) {
    sal_image im, back;
    sal_map map, again;
    unsigned char file[800];
    unsigned char *bytes;
    size_t size;
    int i, off = 0, differ = 0;
    sal_image_new(ctx, 33, 21, &im);
    for (i = 0; i < 33 * 21; i++) {
        im.data[i * 3] = (unsigned char)(i % 33 * 7);
        im.data[i * 3 + 1] = (unsigned char)(i / 33 * 12);
        im.data[i * 3 + 2] = 100;
    }
    CHECK(sal_image_save(ctx, path_of("a.png"), &im) == SAL_OK &&
          sal_image_load(ctx, path_of("a.png"), &back) == SAL_OK && back.w == 33 && back.h == 21 &&
          !memcmp(im.data, back.data, 33 * 21 * 3), "a picture survives PNG unchanged");
    sal_image_free(ctx, &back);
    sal_image_save(ctx, path_of("b.JPEG"), &im);
    sal_image_load(ctx, path_of("b.JPEG"), &back);
    for (i = 0; back.data && i < 33 * 21 * 3; i++)
        off = MAX(off, abs((int)im.data[i] - back.data[i]));
    CHECK(back.data && off < 24, "JPEG, also spelled .JPEG, keeps it within 24 levels (%d)", off);
    sal_image_free(ctx, &back);
    CHECK(sal_image_save(ctx, path_of("a.tiff"), &im) == SAL_ERR_UNSUPPORTED &&
          sal_path_kind(path_of("a.tiff")) == -1, "another ending is refused: %s", sal_error(ctx));
    CHECK(sal_image_save(ctx, path_of("no/such/a.png"), &im) == SAL_ERR_IO,
          "an unwritable place: %s", sal_error(ctx));
    sal_image_free(ctx, &im);

    sal_map_new(ctx, 3, 2, &map);
    for (i = 0; i < 6; i++) map.data[i] = (float)(i - 1) * 0.25f;      /* -.25 0 .25 .5 .75 1 */
    sal_map_save_png(ctx, path_of("m.png"), &map);
    CHECK(sal_map_load_image(ctx, path_of("m.png"), &again) == SAL_OK && again.w == 3 &&
          again.data[0] == 0 && again.data[5] == 1 && fabs(again.data[2] - 64 / 255.0) < 1e-6,
          "a map in a PNG: negative is 0, the maximum 255, a quarter 64");
    sal_map_free(ctx, &again);
    size = make_png(file, 3, 1, 16, 0, (const unsigned char *)"\0\0\0\0\x81\xFF\xFF", 7);
    CHECK(sal_file_write(ctx, path_of("deep.png"), file, size) == SAL_OK &&
          sal_map_load_image(ctx, path_of("deep.png"), &again) == SAL_OK && again.data[0] == 0 &&
          again.data[1] == 129 / 65535.0f && again.data[2] == 1, "a PNG of 16 bits keeps them all: "
          "129 of 65535");
    sal_map_free(ctx, &again);
    CHECK(sal_file_write(ctx, path_of("deep.pgm"),
                         "P5\n# maximum 1000\n2 2 1000\n\0\0\0\x81\3\xE8\xFF\xFF", 35) == SAL_OK &&
          sal_map_load_image(ctx, path_of("deep.pgm"), &again) == SAL_OK && again.data[0] == 0 &&
          again.data[1] == 0.129f && again.data[2] == 1 && again.data[3] == 1, "so does a PGM: 129 of 1000");
    sal_map_free(ctx, &again);
    size = make_png(file, 2, 1, 8, 2, (const unsigned char *)"\0\x10\x10\x10\x90\x10\x10", 7);
    CHECK(sal_file_write(ctx, path_of("red.png"), file, size) == SAL_OK &&
          sal_map_load_image(ctx, path_of("red.png"), &again) == SAL_ERR_FORMAT && !again.data,
          "a map in colours is refused: %s", sal_error(ctx));
    map.data[1] = NAN; map.data[2] = -INFINITY; map.data[3] = 1e-40f;
    CHECK(sal_map_save_npy(ctx, path_of("m.npy"), &map) == SAL_OK &&
          sal_map_load_npy(ctx, path_of("m.npy"), &again) == SAL_OK && again.w == 3 &&
          again.h == 2 && !memcmp(map.data, again.data, 24), "a map survives .npy bit by bit");
    sal_map_free(ctx, &again);
    sal_file_read(ctx, path_of("m.npy"), &bytes, &size);
    CHECK(size == 128 + 24 && !memcmp(bytes + 10, "{'descr': '<f4', 'fortran_order': False, "
          "'shape': (2, 3), } ", 59) && bytes[127] == '\n', "its header is NumPy's");
    CHECK(sal_map_load_npy_memory(ctx, "<!DOCTYPE html>\n<html>", 22, "page.npy", &again) &&
          strstr(sal_error(ctx), "but an HTML page"), "what is no array is named: %s",
          sal_error(ctx));
    for (i = 0; i < (int)size; i++)
        differ += sal_map_load_npy_memory(ctx, bytes, (size_t)i, "cut.npy", &again) == SAL_OK;
    CHECK(differ == 0, "no beginning of an .npy file passes for a whole one: %s", sal_error(ctx));
    sal_free(ctx, bytes);
    memset(map.data, 0, 24);
    CHECK(sal_map_save_png(ctx, path_of("z.png"), &map) == SAL_OK, "a map of zeros can be written");
    CHECK(sal_map_save_png(ctx, path_of("m.gif"), &map) == SAL_ERR_UNSUPPORTED &&
          sal_path_kind(path_of("m.gif")) == -1, "a map as .gif is refused: %s", sal_error(ctx));
    sal_map_free(ctx, &map);
}

/* --- pictures as people have them ------------------------------------------------------------ */

/* A 3 x 2 picture, 1 2 3 above 4 5 6 in its red channel, as each of the eight orientations stores
   it: width and what stands in its rows. */
static const struct { int w; unsigned char at[6]; } stored[8] = {
    { 3, { 1, 2, 3, 4, 5, 6 } }, { 3, { 3, 2, 1, 6, 5, 4 } }, { 3, { 6, 5, 4, 3, 2, 1 } },
    { 3, { 4, 5, 6, 1, 2, 3 } }, { 2, { 1, 4, 2, 5, 3, 6 } }, { 2, { 3, 6, 2, 5, 1, 4 } },
    { 2, { 6, 3, 5, 2, 4, 1 } }, { 2, { 4, 1, 5, 2, 6, 3 } }
};

static int is_upright(const sal_image *im) {
    int i, ok = im->w == 3 && im->h == 2;
    for (i = 0; ok && i < 6; i++) ok = im->data[i * 3] == i + 1;
    return ok;
}

/* EXIF data with one entry, the orientation. */
static size_t make_exif(unsigned char *out, int big, int how) {
    static const unsigned char motorola[26] = { 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0,
                                                0, 0, 1 };
    static const unsigned char intel[26] = { 'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1 };
    memcpy(out, big ? motorola : intel, 26);
    out[18 + big] = (unsigned char)how;
    return 26;
}

/* A chunk put behind the IHDR of a PNG of n bytes; returns the new length. */
static size_t add_chunk(unsigned char *png, size_t n, const char *type, const void *data,
                        size_t size) {
    size_t at = 33;
    memmove(png + at + 12 + size, png + at, n - at);
    put_chunk(png, &at, type, data, size);
    return n + 12 + size;
}

static void test_upright(sal_ctx *ctx) {
    unsigned char file[4096], rows[24], exif[26], *jpeg, *turned;
    sal_image im, plain;
    size_t n, size, i;
    int how, big, w, h, right = 0, sizes = 0, same = 1;
    for (how = 1; how <= 8; how++)
        for (big = 0; big < 2; big++) {
            w = stored[how - 1].w; h = 6 / w;
            for (n = 0, i = 0; i < 6; i++) {
                if (i % (size_t)w == 0) rows[n++] = 0;
                rows[n] = stored[how - 1].at[i];
                rows[n + 1] = rows[n + 2] = 0;
                n += 3;
            }
            n = make_png(file, w, h, 8, 2, rows, n);
            n = add_chunk(file, n, "eXIf", exif, make_exif(exif, big, how));
            right += sal_image_load_memory(ctx, file, n, "turned.png", &im) == SAL_OK &&
                     is_upright(&im);
            sal_image_free(ctx, &im);
            sal_file_write(ctx, path_of("turned.png"), file, n);
            sizes += sal_image_size(ctx, path_of("turned.png"), &w, &h) == SAL_OK && w == 3 &&
                h == 2;
        }
    CHECK(right == 16, "%d of 16 PNG stand upright: 8 orientations, both byte orders", right);
    CHECK(sizes == 16, "and sal_image_size says so");
    ctx->as_stored = 1;
    sal_image_load_memory(ctx, file, n, "turned.png", &im);
    CHECK(im.w == 2 && im.h == 3 && im.data[0] == 4, "as_stored: the picture as the file has it");
    sal_image_free(ctx, &im);
    ctx->as_stored = 0;
    if (sal_file_read(ctx, "tests/fuzz/corpus/image/jpeg", &jpeg, &size)) return;
    sal_image_load_memory(ctx, jpeg, size, "plain.jpg", &plain);
    turned = (unsigned char *)sal_alloc(ctx, size + 100, 1);
    memcpy(turned, jpeg, 2);
    memcpy(turned + 2, "\xFF\xFF\xFF\xE1\0\x22" "Exif\0", 12);    /* with FF fill bytes before it */
    make_exif(turned + 14, 1, 6);
    memcpy(turned + 40, jpeg + 2, size - 2);
    sal_image_load_memory(ctx, turned, size + 38, "turned.jpg", &im);
    for (h = 0; im.w == plain.h && im.h == plain.w && h < plain.h; h++)
        for (w = 0; w < plain.w; w++)       /* its first row is the right side */
            same &= !memcmp(im.data + 3 * (w * im.w + im.w - 1 - h),
                            plain.data + 3 * (h * plain.w + w), 3);
    CHECK(same && im.w == plain.h && plain.w > 1, "a JPEG whose EXIF stands behind fill bytes");
    sal_image_free(ctx, &im);
    sal_image_free(ctx, &plain);
    sal_free(ctx, turned);
    sal_free(ctx, jpeg);
}

static void test_pixels(sal_ctx *ctx) {
    static const unsigned char bgra[2][12] = { { 3, 2, 1, 255, 6, 5, 4, 255, 99, 99, 99, 99 },
                                               { 9, 8, 7, 255, 12, 11, 10, 255, 99, 99, 99, 99 } };
    static const unsigned char want[12] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
    static const unsigned char grey[4] = { 5, 200, 5, 0 };
    sal_image im;
    CHECK(sal_image_from_pixels(ctx, bgra, 2, 2, 12, SAL_PIXELS_BGRA, &im) == SAL_OK &&
          !memcmp(im.data, want, 12) && !im.rgba, "BGRA pixels with gaps between rows");
    sal_image_free(ctx, &im);
    CHECK(sal_image_from_pixels(ctx, bgra[1], 2, 2, -12, SAL_PIXELS_BGRA, &im) == SAL_OK &&
          !memcmp(im.data, want + 6, 6) && !memcmp(im.data + 6, want, 6), "rows from the bottom");
    sal_image_free(ctx, &im);
    CHECK(sal_image_from_pixels(ctx, want, 2, 2, 0, SAL_PIXELS_RGB, &im) == SAL_OK &&
          !memcmp(im.data, want, 12), "RGB without gaps is a copy");
    sal_image_free(ctx, &im);
    CHECK(sal_image_from_pixels(ctx, want, 2, 2, 0, SAL_PIXELS_BGR, &im) == SAL_OK &&
          im.data[0] == 3 &&
          im.data[9] == 12, "BGR");
    sal_image_free(ctx, &im);
    CHECK(sal_image_from_pixels(ctx, want, 3, 1, 0, SAL_PIXELS_RGBA, &im) == SAL_OK && im.rgba &&
          !memcmp(im.rgba, want, 12), "RGBA keeps the opacity");
    sal_image_free(ctx, &im);
    CHECK(sal_image_from_pixels(ctx, grey, 2, 2, 0, SAL_PIXELS_GREY, &im) == SAL_OK &&
          im.data[3] == 200 && im.data[5] == 200, "grey");
    sal_image_free(ctx, &im);
    CHECK(sal_image_from_pixels(ctx, grey, 2, 1, 0, SAL_PIXELS_GREY_ALPHA, &im) == SAL_OK &&
          im.data[0] == 59 && im.data[2] == 59 && im.data[3] == 255 && im.rgba[3] == 200, "grey with alpha");
    sal_image_free(ctx, &im);
    CHECK(sal_image_from_pixels(ctx, grey, 2, 2, 1, SAL_PIXELS_GREY, &im) == SAL_ERR_ARGUMENT,
          "a stride below a row is refused: %s", sal_error(ctx));
    CHECK(sal_image_from_pixels(ctx, grey, 0, 2, 0, SAL_PIXELS_GREY, &im) == SAL_ERR_ARGUMENT,
          "no pixels are refused: %s", sal_error(ctx));
}

/* A square of this grey in the middle of nothing: does it show, and is all saliency on it? */
static void test_transparency(sal_ctx *ctx) {
    enum { W = 60, H = 40 };
    static unsigned char rgba[W * H * 4];
    int level, i, kind, hidden, seen, shown;
    for (level = 0; level < 2; level++) {
        sal_image im, back;
        sal_map map;
        for (i = 0; i < W * H; i++) {
            int inside = i % W >= 40 && i % W < 55 && i / W >= 10 && i / W < 30;
            memset(rgba + i * 4, level ? 255 : 20, 3);
            rgba[i * 4 + 3] = (unsigned char)(inside ? 255 : 0);
        }
        sal_image_from_pixels(ctx, rgba, W, H, 0, SAL_PIXELS_RGBA, &im);
        CHECK(im.data[0] == (level ? 0 : 255) && im.data[3 * (20 * W + 45)] == (level ? 255 : 20),
              "%s behind a %s picture", level ? "black" : "white", level ? "white" : "dark");
        for (hidden = 0, seen = 1, kind = 0; kind <= SAL_CLASSICAL_BMS; kind++) {
            sal_classical(ctx, (sal_classical_kind)kind, &im, &map);
            for (shown = 0, i = 0; map.data && i < W * H; i++) {
                hidden += map.data[i] > 0 && !rgba[i * 4 + 3];
                shown |= map.data[i] == 1;
            }
            seen &= shown;
            sal_map_free(ctx, &map);
        }
        CHECK(!hidden && seen, "no classical model finds anything where nothing can be seen");
        for (i = 0; i < W * H; i++) im.rgba[i * 4 + 3] = (unsigned char)(i % W < 30 ? 255 : 100);
        sal_model model;
        sal_map adjusted;
        sal_model_open(ctx, "spectral", NULL, &model);
        int same = sal_model_predict(ctx, &model, &im, &map) == SAL_OK;
        model.power = 1;                                /* changes nothing */
        same &= sal_model_predict(ctx, &model, &im, &adjusted) == SAL_OK &&
                !memcmp(map.data, adjusted.data, W * H * sizeof(float));
        CHECK(same, "opacity counts once, whether or not the map is adjusted");
        sal_map_free(ctx, &map); sal_map_free(ctx, &adjusted);
        sal_model_close(ctx, &model);
        for (i = 0; i < W * H; i++) im.rgba[i * 4 + 3] = rgba[i * 4 + 3];
        CHECK(sal_image_save(ctx, path_of("clear.png"), &im) == SAL_OK &&
              sal_image_load(ctx, path_of("clear.png"), &back) == SAL_OK && back.rgba &&
              !memcmp(back.rgba, rgba, sizeof rgba), "PNG keeps the transparency");
        sal_image_free(ctx, &back);
        sal_image_free(ctx, &im);
    }
}

/* An allocator with a fence behind every block; user counts the blocks that were written beyond. */
enum { FENCE = 1 << 17 };

static void *fenced_alloc(void *user, size_t size) {
    unsigned char *block = (unsigned char *)malloc(16 + size + FENCE);
    (void)user;
    memcpy(block, &size, sizeof size);
    memset(block + 16 + size, 0xA5, FENCE);
    return block + 16;
}

static void fenced_free(void *user, void *memory) {
    unsigned char *block = (unsigned char *)memory - 16;
    size_t size, i = 0;
    memcpy(&size, block, sizeof size);
    while (i < FENCE && block[16 + size + i] == 0xA5) i++;
    *(int *)user += i < FENCE;
    free(block);
}

/* Segments that disagree about how many there are: what is announced first has the memory. */
static void test_profile_parts(sal_ctx *ctx, sal_image *im) {
    unsigned char *bytes;
    size_t size;
    int beyond = 0;
    sal_image back = ZEROED;
    sal_ctx own = ZEROED;
    own.user = &beyond; own.alloc = fenced_alloc; own.free = fenced_free;
    memcpy(im->profile, "\0\0\x10\0", 4);             /* as if the first part were all of it */
    if (sal_image_save(ctx, path_of("p.jpg"), im) ||
        sal_file_read(ctx, path_of("p.jpg"), &bytes, &size)) { CHECK(0, "saved"); return; }
    CHECK(bytes[36] == 1 && bytes[37] == 3, "a profile of 140000 bytes has three segments");
    bytes[37] = 1;                      /* the others still say 3 */
    CHECK(sal_image_load_memory(&own, bytes, size, "parts", &back) == SAL_OK &&
          back.profile_size == 65519, "of segments that disagree about their number, the first "
          "counts");
    sal_image_free(&own, &back);
    CHECK(!beyond, "and nothing is written beyond its memory");
    sal_free(ctx, bytes);
}

static void test_profile(sal_ctx *ctx) {
    enum { SIZE = 140000 };             /* three JPEG segments, three deflate blocks */
    static const char *const names[] = { "p.png", "p.jpg", "g.png", "g.jpg" };
    sal_image im, back;
    int k, i;
    for (k = 0; k < 4; k++) {
        sal_image_new(ctx, 5, 4, &im);
        for (i = 0; i < 60; i++) im.data[i] = (unsigned char)(k < 2 ? 40 * i : 60);
        im.profile = (unsigned char *)sal_alloc(ctx, SIZE, 1);
        im.profile_size = SIZE;
        for (i = 0; i < SIZE; i++) im.profile[i] = (unsigned char)((unsigned)i * (unsigned)i >> 5);
        memcpy(im.profile, "\0\x02\x22\xE0", 4);        /* its own length */
        memcpy(im.profile + 16, k < 2 ? "RGB " : "GRAY", 4);
        CHECK(sal_image_save(ctx, path_of(names[k]), &im) == SAL_OK &&
              sal_image_load(ctx, path_of(names[k]), &back) == SAL_OK &&
                  back.profile_size == SIZE &&
              !memcmp(back.profile, im.profile, SIZE), "%s keeps a %s profile byte for byte",
              k % 2 ? "JPEG" : "PNG", k < 2 ? "colour" : "grey");
        sal_image_free(ctx, &back);
        if (k == 1) test_profile_parts(ctx, &im);
        if (k % 2 == 0) {                               /* with opacity */
            im.rgba = (unsigned char *)sal_alloc(ctx, 20, 4);
            for (i = 0; i < 80; i++) im.rgba[i] = (unsigned char)(i % 4 == 3 ? 3 * i : k ? 60 : i);
            CHECK(sal_image_save(ctx, path_of(names[k]), &im) == SAL_OK &&
                  sal_image_load(ctx, path_of(names[k]), &back) == SAL_OK && back.rgba &&
                  !memcmp(back.rgba, im.rgba, 80) && back.profile_size == SIZE,
                  "and so does one with opacity");
            sal_image_free(ctx, &back);
        }
        memcpy(im.profile + 16, "CMYK", 4);
        sal_image_save(ctx, path_of(names[k]), &im);
        sal_image_load(ctx, path_of(names[k]), &back);
        if (k < 2) CHECK(back.data && !back.profile, "a profile of CMYK is not kept");
        sal_image_free(ctx, &back);
        sal_image_free(ctx, &im);
    }
}

static void test_png(sal_ctx *ctx) {
    static const unsigned char rows[10] = { 0, 10, 20, 30, 1, 2, 3, 4, 5, 6 };
    /* 1 x 1, red 200, green 100, blue 50, opacity 128: premultiplied BGRA, deflate without zlib */
    static const unsigned char apple[] = { 1, 5, 0, 0xFA, 0xFF, 0, 25, 50, 100, 128 };
    static const unsigned char ihdr[13] = { 0, 0, 0, 1, 0, 0, 0, 1, 8, 6 };
    unsigned char file[400], idat[21];
    size_t n = make_png(file, 3, 1, 8, 2, rows, 10), i, accepted = 0;
    sal_image im;
    for (i = 0; i < 8 * n; i++) {
        file[i / 8] ^= (unsigned char)(1 << i % 8);
        accepted += sal_image_load_memory(ctx, file, n, "flipped.png", &im) == SAL_OK;
        sal_image_free(ctx, &im);
        file[i / 8] ^= (unsigned char)(1 << i % 8);
    }
    CHECK(accepted == 0, "a PNG with any bit flipped is refused (%d of %d were not)", (int)accepted,
          (int)n * 8);
    n = add_chunk(file, n, "tEXt", "Comment\0hello", 13);
    file[45] ^= 1;
    CHECK(sal_image_load_memory(ctx, file, n, "text.png", &im) == SAL_OK && im.data[0] == 10,
          "but a damaged comment does no harm");
    sal_image_free(ctx, &im);
    n = make_png(file, 3, 1, 8, 2, rows, 10);
    memcpy(idat, file + 41, sizeof idat);
    idat[sizeof idat - 1] ^= 1;
    n = 33;
    put_chunk(file, &n, "IDAT", idat, sizeof idat);
    put_chunk(file, &n, "IEND", NULL, 0);
    CHECK(sal_image_load_memory(ctx, file, n, "sum.png", &im) == SAL_OK &&
          !memcmp(im.data, rows + 1, 9), "the CRC is trusted with what it covers: the sum inside");
    sal_image_free(ctx, &im);
    n = 8;
    put_chunk(file, &n, "CgBI", "\x50\0\x20\x02", 4);
    put_chunk(file, &n, "IHDR", ihdr, 13);
    put_chunk(file, &n, "IDAT", apple, sizeof apple);
    put_chunk(file, &n, "IEND", NULL, 0);
    CHECK(sal_image_load_memory(ctx, file, n, "apple.png", &im) == SAL_OK && im.rgba &&
          abs(im.rgba[0] - 200) < 2 && abs(im.rgba[1] - 100) < 2 && abs(im.rgba[2] - 50) < 2 &&
          im.rgba[3] == 128, "a PNG as Xcode writes it has its colours");
    sal_image_free(ctx, &im);
}

/* A BMP file: header of that many bytes, bits and compression, then `behind` (masks, palette) and
   the pixels. Returns its length. */
static size_t odd_bmp(unsigned char *out, int header, int w, int h, int bits, int way,
                      const void *behind, size_t behinds, const void *pixels, size_t size) {
    size_t start = 14 + (size_t)header + behinds, n = start + size;
    memset(out, 0, start);
    memcpy(out, "BM", 2);
    out[2] = (unsigned char)n; out[10] = (unsigned char)start; out[11] = (unsigned char)(start >> 8);
    out[14] = (unsigned char)header;
    if (header == 12) {
        out[18] = (unsigned char)w; out[20] = (unsigned char)h; out[22] = 1;
        out[24] = (unsigned char)bits;
    } else {
        out[18] = (unsigned char)w; out[22] = (unsigned char)h; out[26] = 1;
        if (h < 0) memset(out + 23, 255, 3);
        out[28] = (unsigned char)bits; out[30] = (unsigned char)way;
    }
    if (behinds) memcpy(out + 14 + header, behind, behinds);
    memcpy(out + start, pixels, size);
    return n;
}

/* Is it read as these 2 x 2 pixels: red, green above blue, white? */
static void bmp(sal_ctx *ctx, const char *what, const unsigned char *file, size_t n) {
    static const unsigned char want[12] = { 255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255 };
    sal_image im;
    sal_result r = sal_image_load_memory(ctx, file, n, "odd.bmp", &im);
    CHECK(r == SAL_OK && im.w == 2 && im.h == 2 && !memcmp(im.data, want, 12), "BMP, %s%s%s", what,
          r ? ": " : "", r ? sal_error(ctx) : "");
    sal_image_free(ctx, &im);
}

/* Runs that go on far beyond the picture: more steps than an int counts. */
static void long_runs(sal_ctx *ctx) {
    enum { RUNS = 8500000, START = 14 + 40 + 16 };
    static const unsigned char palette[16];
    static const char *const what[] = { "down", "right" };
    unsigned char *file = (unsigned char *)calloc(START + 4 * RUNS, 1);
    for (int k = 0; k < 2; k++) {
        unsigned char step[4] = { 0, 2, 0, 255 }, row[4] = { 255, 1, 255, 1 };
        size_t n = odd_bmp(file, 40, 2, 2, 8, 1, palette, 16, "", 0);
        for (size_t i = 0; i < RUNS; i++) memcpy(file + n + 4 * i, k ? row : step, 4);
        sal_image im;
        sal_result r = sal_image_load_memory(ctx, file, n + 4 * RUNS, "long.bmp", &im);
        CHECK(r == (k ? SAL_ERR_FORMAT : SAL_OK) && (r || (im.w == 2 && !im.data[0])),
              "a BMP whose runs go %s for ever stays in its picture %s", what[k],
              r ? sal_error(ctx) : "");
        sal_image_free(ctx, &im);
    }
    free(file);
}

static void test_bmp(sal_ctx *ctx) {
    static const unsigned char three[12] = { 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255, 255 };
    static const unsigned char four[16] = { 0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 0, 255, 255, 255,
                                            0 };
    static const unsigned char bits24[16] = { 255, 0, 0, 255, 255, 255, 0, 0, 0, 0, 255, 0, 255, 0,
                                              0, 0 };
    static const unsigned char down24[16] = { 0, 0, 255, 0, 255, 0, 0, 0, 255, 0, 0, 255, 255, 255,
                                              0, 0 };
    static const unsigned char bits16[8] = { 0x1F, 0, 0xFF, 0x7F, 0, 0x7C, 0xE0, 3 };
    static const unsigned char bits565[8] = { 0x1F, 0, 0xFF, 0xFF, 0, 0xF8, 0xE0, 7 };
    static const unsigned char mask565[12] = { 0, 0xF8, 0, 0, 0xE0, 7, 0, 0, 0x1F };
    unsigned char file[300];
    size_t n;
    n = odd_bmp(file, 12, 2, 2, 8, 0, three, 12, "\2\3\0\0\0\1\0", 8);
    bmp(ctx, "OS/2's first header with 8 bits and its palette", file, n);
    n = odd_bmp(file, 12, 2, 2, 4, 0, three, 12, "\x23\0\0\0\x01\0\0", 8);
    bmp(ctx, "OS/2 with 4 bits", file, n);
    n = odd_bmp(file, 12, 2, 2, 24, 0, NULL, 0, bits24, 16);
    bmp(ctx, "OS/2 with 24 bits", file, n);
    n = odd_bmp(file, 40, 2, 2, 2, 0, four, 16, "\xB0\0\0\0\x10\0\0", 8);
    bmp(ctx, "2 bits", file, n);
    n = odd_bmp(file, 40, 2, -2, 24, 0, NULL, 0, down24, 16);
    bmp(ctx, "rows from the top", file, n);
    n = odd_bmp(file, 40, 2, 2, 16, 0, NULL, 0, bits16, 8);
    bmp(ctx, "16 bits", file, n);
    n = odd_bmp(file, 40, 2, 2, 16, 3, mask565, 12, bits565, 8);
    bmp(ctx, "16 bits with masks behind the header", file, n);
    n = odd_bmp(file, 56, 2, 2, 16, 3, NULL, 0, bits565, 8);
    memcpy(file + 54, mask565, 12);
    bmp(ctx, "the third header, with masks in it", file, n);
    n = odd_bmp(file, 124, 2, 2, 24, 0, NULL, 0, bits24, 16);
    bmp(ctx, "the fifth header", file, n);
    n = odd_bmp(file, 40, 2, 2, 8, 1, four, 16, "\1\2\1\3\0\0\1\0\1\1\0\1", 12);
    bmp(ctx, "run lengths of 8 bits", file, n);
    n = odd_bmp(file, 40, 2, 2, 4, 2, four, 16, "\2\x23\0\0\2\x01\0\1", 8);
    bmp(ctx, "run lengths of 4 bits", file, n);
    n = odd_bmp(file, 40, 2, 2, 8, 1, four, 16, "\1\2\1\3\0\0\1\0", 8);
    refused(ctx, "run lengths that end too early", file, n, SAL_ERR_FORMAT);
    n = odd_bmp(file, 40, 2, 2, 8, 4, four, 16, "\2\3\0\0\0\1\0", 8);
    refused(ctx, "a BMP with a JPEG inside", file, n, SAL_ERR_UNSUPPORTED);
    long_runs(ctx);
}

static void test_kinds(sal_ctx *ctx) {
    static const struct { const char *bytes; size_t size; const char *kind; } kinds[] = {
        { "RIFF\x10\0\0\0WEBPVP8 ....", 20, "a WebP picture" },
        { "\0\0\0\x18" "ftypheic....", 16, "a HEIC picture" },
        { "\0\0\0\x18" "ftypavif....", 16, "an AVIF picture" },
        { "GIF89a..........", 16, "a GIF picture" }, { "II*\0............", 16, "a TIFF" },
        { "MM\0*............", 16, "a TIFF" }, { "\xFF\x0A..............", 16, "a JPEG XL" },
        { "8BPS............", 16, "a Photoshop file" },
            { "%PDF-1.7........", 16, "a PDF document" },
        { "<?xml version=\"1.0\"?>\n<svg xmlns=\"", 34, "an SVG drawing" },
        { "<!DOCTYPE html>\n<html lang=en>", 30, "an HTML page" },
        { "version https://git-lfs.github.com/spec/v1\n", 43, "a Git LFS pointer" },
        { "\xFF\xD8\xFF\xC9\0\x0B\x08\0\x01\0\x01\x01\x01\x11\0..", 17, "arithmetic coding" },
        { "\xFF\xD8\xFF\xC3\0\x0B\x08\0\x01\0\x01\x01\x01\x11\0..", 17, "lossless coding" }
    };
    int k;
    sal_image im;
    for (k = 0; k < COUNT(kinds); k++) {
        sal_result r = sal_image_load_memory(ctx, kinds[k].bytes, kinds[k].size, "odd", &im);
        int convert = strstr(kinds[k].kind, "HTML") || strstr(kinds[k].kind, "LFS") ? 0 : 1;
        CHECK(r != SAL_OK && strstr(sal_error(ctx), kinds[k].kind) &&
              !strstr(sal_error(ctx), "convert it") == !convert, "%s", sal_error(ctx));
        sal_image_free(ctx, &im);
    }
    for (k = 3; k < 15; k++)
        if (sal_image_load_memory(ctx, "\xFF\xD8\xFF\xE0..........", (size_t)k, "cut.jpg", &im) ==
            SAL_OK || !strstr(sal_error(ctx), "damaged, truncated")) break;
    CHECK(k == 15, "a JPEG of a few bytes is a truncated one: %s", sal_error(ctx));
    CHECK(sal_is_picture("a.jfif") && sal_is_picture("a.JPE") && sal_is_picture("a.pnm") &&
          !sal_is_picture("a.webp"), "names of pictures");
    CHECK(!sal_is_picture(".png") && !sal_is_picture("d/.png") && sal_is_picture("d.x/a.png") &&
          !sal_is_picture("d.png/a"), "which begin with more than a dot, in any folder");
}

/* A version 1 .npy file with this header around some bytes, as a map. */
static sal_result npy(sal_ctx *ctx, const char *header, const void *bytes, size_t size,
                      sal_map *map) {
    unsigned char file[700] = { 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0 };
    size_t n = strlen(header);
    file[8] = (unsigned char)n; file[9] = (unsigned char)(n >> 8);
    memcpy(file + 10, header, n);
    memcpy(file + 10 + n, bytes, size);
    return sal_map_load_npy_memory(ctx, file, 10 + n + size, "x.npy", map);
}

#define NPY(TYPE, FORTRAN, SHAPE) \
    "{'descr': '" TYPE "', 'fortran_order': " FORTRAN ", 'shape': " SHAPE ", }"

/* Is the array read as the h x w numbers of `want`? */
static void reads(sal_ctx *ctx, const char *what, const char *header, const void *bytes,
                  size_t size, int h, int w, const float *want) {
    sal_map m;
    sal_result r = npy(ctx, header, bytes, size, &m);
    CHECK(r == SAL_OK && m.h == h && m.w == w &&
          !memcmp(m.data, want, sizeof(float) * (size_t)h * (size_t)w),
          "%s is read%s%s", what, r ? ": " : "", r ? sal_error(ctx) : "");
    sal_map_free(ctx, &m);
}

static void no_map(sal_ctx *ctx, const char *what, const char *header, const void *bytes,
                   size_t size, sal_result as) {
    sal_map m;
    sal_result r = npy(ctx, header, bytes, size, &m);
    CHECK(r == as && !m.data && strstr(sal_error(ctx), "x.npy"), "%s: %s", what,
          r == SAL_OK ? "was read" : sal_error(ctx));
    sal_map_free(ctx, &m);
}

static void test_npy(sal_ctx *ctx) {
    static const float two[2] = { 0.5f, -3 }, whole[2] = { 7, -2 }, levels[2] = { 7, 255 };
    static const float six[6] = { 0, 1, 2, 3, 4, 5 }, turned[6] = { 0, 2, 4, 1, 3, 5 };
    static const float large[2] = { 18446744073709551616.0f, -9223372036854775808.0f };
    static const double doubles[2] = { 0.5, -3 };
    static const char bytes[6] = { 0, 1, 2, 3, 4, 5 };
    char header[600];
    int i;
    sal_map m;
    reads(ctx, "float64", NPY("<f8", "False", "(1, 2)"), doubles, 16, 1, 2, two);
    reads(ctx, "float16", NPY("<f2", "False", "(1, 2)"), "\0\x38\0\xC2", 4, 1, 2, two);
    reads(ctx, "big-endian float32", NPY(">f4", "False", "(2, 1)"), "\x3F\0\0\0\xC0\x40\0\0", 8,
          2, 1, two);
    reads(ctx, "uint8", NPY("|u1", "False", "(1, 2)"), "\x07\xFF", 2, 1, 2, levels);
    reads(ctx, "int8", NPY("|i1", "False", "(1, 2)"), "\x07\xFE", 2, 1, 2, whole);
    reads(ctx, "uint16", NPY("<u2", "False", "(1, 2)"), "\x07\0\xFF\0", 4, 1, 2, levels);
    reads(ctx, "big-endian int16", NPY(">i2", "False", "(1, 2)"), "\0\x07\xFF\xFE", 4, 1, 2, whole);
    reads(ctx, "int32", NPY("<i4", "False", "(1, 2)"), "\x07\0\0\0\xFE\xFF\xFF\xFF", 8, 1, 2,
          whole);
    reads(ctx, "uint64", NPY("<u8", "False", "(1, 1)"), "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8, 1, 1,
          large);
    reads(ctx, "int64", NPY(">i8", "False", "(1, 1)"), "\x80\0\0\0\0\0\0\0", 8, 1, 1, large + 1);
    reads(ctx, "an array in Fortran order", NPY("|u1", "True", "(2, 3)"), bytes, 6, 2, 3, turned);
    reads(ctx, "an array of channels", NPY("|u1", "False", "(1, 2, 3)"), bytes, 6, 2, 3, six);
    reads(ctx, "a batch of one", NPY("|u1", "True", "(1, 2, 3, 1)"), bytes, 6, 2, 3, turned);
    reads(ctx, "a row in three dimensions", NPY("|u1", "False", "(1, 1, 6)"), bytes, 6, 1, 6, six);
    reads(ctx, "a header without blanks", "{'descr':'|u1','fortran_order':False,'shape':(2,3)}",
          bytes, 6, 2, 3, six);
    reads(ctx, "a header in another order, with double quotes and a last comma",
          "{ \"shape\" :(\t2 ,3 , ),\"fortran_order\":False, u'descr':b'|u1' }\n", bytes, 6, 2, 3,
          six);
    reads(ctx, "a shape of Python 2", NPY("|u1", "False", "(2L, 3L)"), bytes, 6, 2, 3, six);
    reads(ctx, "an array with another behind it", NPY("|u1", "False", "(1, 2)"), bytes, 6, 1, 2,
          six);
    memset(header, ' ', sizeof header);
    strcpy(header + 500, NPY("|u1", "False", "(2, 3)"));
    reads(ctx, "a long header", header, bytes, 6, 2, 3, six);
    no_map(ctx, "complex numbers", NPY("<c8", "False", "(1, 2)"), doubles, 16, SAL_ERR_UNSUPPORTED);
    no_map(ctx, "text", NPY("<U4", "False", "(1, 1)"), doubles, 16, SAL_ERR_UNSUPPORTED);
    no_map(ctx, "records", "{'descr': [('x', '<f4'), ('y', '<f4')], 'fortran_order': False, "
           "'shape': (3,), }", doubles, 16, SAL_ERR_UNSUPPORTED);
    no_map(ctx, "three long dimensions", NPY("|u1", "False", "(1, 2, 3, 1, 2)"), doubles, 12,
           SAL_ERR_SHAPE);
    no_map(ctx, "one dimension", NPY("<f8", "False", "(2,)"), doubles, 16, SAL_ERR_SHAPE);
    no_map(ctx, "a single number", NPY("<f8", "False", "()"), doubles, 8, SAL_ERR_SHAPE);
    no_map(ctx, "an empty map", NPY("<f8", "False", "(0, 2)"), doubles, 0, SAL_ERR_ARGUMENT);
    no_map(ctx, "too few bytes", NPY("<f8", "False", "(1, 3)"), doubles, 16, SAL_ERR_FORMAT);
    no_map(ctx, "a huge shape", NPY("<f8", "False", "(99999999999999999999999999999999999999, 1)"),
           doubles, 16, SAL_ERR_ARGUMENT);
    no_map(ctx, "a shape that is no tuple", NPY("<f8", "False", "(1 2)"), doubles, 16,
           SAL_ERR_FORMAT);
    no_map(ctx, "a header without a shape", "{'descr': '<f8', 'fortran_order': False}", doubles, 16,
           SAL_ERR_FORMAT);
    for (i = 0; i < 512; i++) {     /* nothing is read behind the header, wherever it is cut off */
        memset(header, ' ', sizeof header);
        strcpy(header + i, "{'descr': '");
        if (npy(ctx, header, "", 0, &m) == SAL_OK) break;
    }
    CHECK(i == 512, "a header that ends within its first string is refused");
    CHECK(sal_map_load_npy_memory(ctx, "PK\x03\x04 and so on", 14, "x.npz", &m) == SAL_ERR_FORMAT,
          "another file is refused: %s", sal_error(ctx));
}

/* 200 arrays that NumPy has written, beside what numpy.load makes of them. */
static void test_numpy(sal_ctx *ctx) {
    char command[200], name[40];
    int i, right = 0;
    snprintf(command, sizeof command, "python3 tests/npy_arrays.py %s/arrays", folder);
    if (system(command)) { SKIP("python3 with numpy is not here"); return; }
    for (i = 0; i < 200; i++) {
        sal_map map, want;
        snprintf(name, sizeof name, "arrays/%d.npy", i);
        if (sal_map_load_npy(ctx, path_of(name), &map)) printf("%s\n", sal_error(ctx));
        snprintf(name, sizeof name, "arrays/%d-want.npy", i);
        sal_map_load_npy(ctx, path_of(name), &want);
        right += map.data && want.data && map.w == want.w && map.h == want.h &&
                 !memcmp(map.data, want.data, sizeof(float) * (size_t)map.w * (size_t)map.h);
        sal_map_free(ctx, &map);
        sal_map_free(ctx, &want);
    }
    CHECK(right == 200, "%d of 200 arrays are read as numpy.load reads them", right);
    snprintf(command, sizeof command, "rm -r %s/arrays", folder);
    if (system(command)) SKIP("%s/arrays is left behind", folder);
}

/* L* of CIE L*a*b* of an 8-bit sRGB colour. */
static double lightness(const unsigned char *rgb) {
    static const double weight[3] = { 0.2126, 0.7152, 0.0722 };
    double y = 0;
    int c;
    for (c = 0; c < 3; c++) {
        double v = rgb[c] / 255.0;
        y += weight[c] * (v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4));
    }
    return y > 216 / 24389.0 ? 116 * cbrt(y) - 16 : y * 24389 / 27;
}

static void test_colours(sal_ctx *ctx) {
    unsigned char rgb[3];
    double before = -1, off = 0;
    int i, rising = 1, wrong = 0;
    sal_image im, out;
    sal_map map;
    for (i = 0; i <= 64; i++) {
        double l;
        sal_colormap((float)i / 64, rgb);
        l = lightness(rgb);
        if (l <= before) rising = 0;
        before = l;
        off = MAX(off, fabs(l - (5 + 90 * i / 64.0)));
    }
    CHECK(rising && off < 0.5, "the colours grow lighter evenly, L* = 5 + 90 t (off by %.2f)", off);
    sal_colormap(-3, rgb);
    CHECK(lightness(rgb) < 6, "values outside 0 to 1 take the colours of the ends");
    sal_image_new(ctx, 6, 4, &im);
    for (i = 0; i < 72; i++) im.data[i] = (unsigned char)(i * 3);
    sal_map_new(ctx, 3, 2, &map);
    for (i = 0; i < 6; i++) map.data[i] = (float)i;
    sal_overlay(ctx, &im, &map, 0, &out);
    CHECK(out.data && !memcmp(out.data, im.data, 72), "an overlay of opacity 0 is the picture");
    sal_image_free(ctx, &out);
    sal_overlay(ctx, &im, &map, 1, &out);
    sal_colormap(1, rgb);
    CHECK(out.w == 6 && out.h == 4 && !memcmp(out.data + 69, rgb, 3),
          "of opacity 1 it is the colours; a smaller map is stretched");
    sal_image_free(ctx, &out);
    sal_map_free(ctx, &map);
    sal_map_new(ctx, 6, 4, &map);
    sal_overlay(ctx, &im, &map, 0.5f, &out);
    sal_colormap(0, rgb);
    for (i = 0; i < 72; i++) wrong += abs(2 * out.data[i] - (im.data[i] + rgb[i % 3])) > 1;
    CHECK(wrong == 0, "half of each at opacity 0.5, also for a map of zeros");
    sal_image_free(ctx, &out);
    sal_map_free(ctx, &map);
    sal_image_free(ctx, &im);
}

/* --- running out of memory --------------------------------------------------------------- */

static sal_result everything(sal_ctx *ctx, const unsigned char *png, size_t size) {
    sal_image im, over;
    sal_map map;
    sal_result r;
    memset(&over, 0, sizeof over);
    memset(&map, 0, sizeof map);
    r = sal_image_load_memory(ctx, png, size, "m.png", &im);
    if (r == SAL_OK) r = sal_map_new(ctx, 9, 7, &map);
    if (r == SAL_OK) r = sal_blur(ctx, map.data, map.data, 9, 7, 2, 3, SAL_BORDER_ZERO);
    if (r == SAL_OK) r = sal_overlay(ctx, &im, &map, 0.5f, &over);
    if (r == SAL_OK) r = sal_image_save(ctx, path_of("o.png"), &over);
    if (r == SAL_OK) r = sal_map_save_png(ctx, path_of("o2.png"), &map);
    if (r == SAL_OK) r = sal_map_save_npy(ctx, path_of("o.npy"), &map);
    sal_map_free(ctx, &map);
    if (r == SAL_OK) r = sal_map_load_npy(ctx, path_of("o.npy"), &map);
    sal_map_free(ctx, &map);
    if (r == SAL_OK) r = sal_map_load_image(ctx, path_of("o2.png"), &map);
    sal_map_free(ctx, &map);
    sal_image_free(ctx, &over);
    sal_image_free(ctx, &im);
    return r;
}

/* What could not be read again, or shows something else, is not written. */
static void test_unwritable(sal_ctx *ctx) {
    sal_map map = ZEROED;
    sal_image image = ZEROED;
    CHECK(sal_map_save_png(ctx, path_of("0.png"), &map) == SAL_ERR_ARGUMENT, "an empty map is no "
          ".png: %s", sal_error(ctx));
    CHECK(sal_map_save_npy(ctx, path_of("0.npy"), &map) == SAL_ERR_ARGUMENT, "and no .npy: %s",
          sal_error(ctx));
    CHECK(sal_image_save(ctx, path_of("0.jpg"), &image) == SAL_ERR_ARGUMENT, "an empty picture is no "
          ".jpg: %s", sal_error(ctx));
    if (sal_map_new(ctx, 3, 3, &map)) return;
    for (int k = 0; k < 2; k++) {
        map.data[4] = k ? (float)NAN : (float)INFINITY;
        CHECK(sal_map_save_png(ctx, path_of("0.png"), &map) == SAL_ERR_NUMERIC, "%g is no grey level: "
              "%s", map.data[4], sal_error(ctx));
    }
    CHECK(sal_path_kind(path_of("0.png")) < 0, "there is no file then");
    sal_map_free(ctx, &map);
}

/* zlib.compress(b"abc") and zlib.compress(b"") of Python. */
static void test_short_streams(sal_ctx *ctx) {
    static const unsigned char abc[] = "\x78\x9c\x4b\x4c\x4a\x06\x00\x02\x4d\x01\x27",
                               none[] = "\x78\x9c\x03\x00\x00\x00\x00\x01";
    unsigned char *data;
    size_t n;
    CHECK(!sal_inflate(ctx, abc, 11, "abc", &data, &n) && n == 3 && !memcmp(data, "abc", 3),
          "three bytes are unpacked");
    sal_free(ctx, data);
    CHECK(!sal_inflate(ctx, none, 8, "none", &data, &n) && n == 0, "and none %s", sal_error(ctx));
    sal_free(ctx, data);
    CHECK(sal_inflate(ctx, abc, 10, "cut", &data, &n) == SAL_ERR_FORMAT && !data, "but not a part: "
          "%s", sal_error(ctx));
}

static void test_memory(void) {
    static const unsigned char rgb[10] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 };
    unsigned char png[200];
    size_t size = make_png(png, 3, 1, 8, 2, rgb, 10);
    sal_ctx ctx;
    counter c;
    sal_result r;
    long n, wrong = 0, leaks = 0;
    ctx = counted(&c);
    for (n = 0; n < 1000; n++) {
        c.calls = 0; c.fail_at = (int)n + 1;
        r = everything(&ctx, png, size);
        leaks += c.live;
        if (r == SAL_OK) break;
        wrong += r != SAL_ERR_MEMORY;
    }
    CHECK(n > 10 && n < 1000 && !wrong && !leaks,
          "each of %ld allocations may fail: out of memory is reported and nothing leaks", n);
}

int main(void) {
    sal_ctx ctx;
    char **names;
    int i, count = 0, temporary = 0;
    memset(&ctx, 0, sizeof ctx);
    test_resize(&ctx);
    test_blur(&ctx);
    if (!mkdtemp(folder)) { CHECK(0, "a temporary folder can be made"); return test_done(); }
    test_formats(&ctx);
    test_odd_files(&ctx);
    test_saving(&ctx);
    test_upright(&ctx);
    test_pixels(&ctx);
    test_transparency(&ctx);
    test_profile(&ctx);
    test_png(&ctx);
    test_bmp(&ctx);
    test_kinds(&ctx);
    test_npy(&ctx);
    test_numpy(&ctx);
    test_colours(&ctx);
    test_memory();
    test_unwritable(&ctx);
    test_short_streams(&ctx);
    sal_dir_list(&ctx, folder, &names, &count);
    for (i = 0; i < count; i++) {
        temporary += strstr(names[i], ".tmp") != NULL;
        remove(path_of(names[i]));
    }
    sal_free(&ctx, names);
    rmdir(folder);
    CHECK(count > 5 && temporary == 0, "no temporary file is left behind");
    return test_done();
}
