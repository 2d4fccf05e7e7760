/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* web: what saliency.html calls. One picture at a time: open it, predict, view, crop.

       make web        build/web/saliency.html, one file with this, the model and the page in it

   Functions return 0, or a sal_result with its sentence in web_error(). Memory that they return is
   theirs until the next call. */
#include <emscripten.h>
#include <stdlib.h>
#define SALIENCY_IMPLEMENTATION
#include "../../saliency.h"
#include "../../weights/saliency_lite.h"

#define MAX(a, b) ((a) > (b) ? (a) : (b))
enum { MOST_PIXELS = 50000000 };        /* 16 bytes each, of the 2 GB that a page has */

static sal_ctx ctx;
static sal_model model;
static sal_image image, piece;
static sal_map map;
static int jpeg;
static unsigned char *view[2], *file;   /* picture and map as RGBA; an encoded crop */
static size_t file_size, file_room;
static int box_numbers[4];

static int fail(sal_result r, const char *why) {
    snprintf(ctx.error, sizeof ctx.error, "%s", why);
    return r;
}

/* sal_ctx.write: into memory. */
static int keep(void *user, const char *path, const void *data, size_t size) {
    (void)user; (void)path;
    if (file_size + size > file_room) {
        size_t room = (file_size + size) * 2;
        unsigned char *more = (unsigned char *)realloc(file, room);
        if (!more) return ENOMEM;
        file = more;
        file_room = room;
    }
    memcpy(file + file_size, data, size);
    file_size += size;
    return 0;
}

static void forget(void) {
    sal_image_free(&ctx, &image);
    sal_map_free(&ctx, &map);
}

static int opened(sal_result r) {
    if (r) return r;
    if ((double)image.w * image.h <= MOST_PIXELS) return SAL_OK;
    snprintf(ctx.error, sizeof ctx.error, "This picture has %d x %d pixels; the page takes up to "
             "%d million. Make it smaller first.", image.w, image.h, MOST_PIXELS / 1000000);
    forget();
    return SAL_ERR_UNSUPPORTED;
}

EMSCRIPTEN_KEEPALIVE int web_start(void) {
    sal_result r;
    sal_use_lite(&ctx);
    r = sal_self_test(&ctx, NULL, NULL);
    return r ? r : sal_model_open(&ctx, NULL, NULL, &model);
}
EMSCRIPTEN_KEEPALIVE const char *web_error(void) { return ctx.error; }

/* A picture file that saliency.h reads. */
EMSCRIPTEN_KEEPALIVE int web_open(const unsigned char *bytes, size_t size, const char *name) {
    forget();
    jpeg = size > 1 && bytes[0] == 0xFF && bytes[1] == 0xD8;
    return opened(sal_image_load_memory(&ctx, bytes, size, name, &image));
}

/* One that the browser has decoded: RGBA, upright. */
EMSCRIPTEN_KEEPALIVE int web_pixels(const unsigned char *rgba, int w, int h) {
    forget();
    jpeg = 0;
    return opened(sal_image_from_pixels(&ctx, rgba, w, h, 0, SAL_PIXELS_RGBA, &image));
}

EMSCRIPTEN_KEEPALIVE int web_predict(void) {
    if (!image.data) return fail(SAL_ERR_ARGUMENT, "There is no picture yet.");
    sal_map_free(&ctx, &map);
    return sal_model_predict(&ctx, &model, &image, &map);
}

EMSCRIPTEN_KEEPALIVE int web_width(void) { return image.w; }
EMSCRIPTEN_KEEPALIVE int web_height(void) { return image.h; }
EMSCRIPTEN_KEEPALIVE const float *web_map(void) { return map.data; }

/* Where pixel i of n begins among `from`. */
static int start(int i, int from, int n) { return (int)((int64_t)i * from / n); }

/* Picture (layer 0) or map in colours (layer 1), w x h and no larger than they are, as RGBA: the
   means of what a pixel covers. NULL: no memory, or no map yet. */
EMSCRIPTEN_KEEPALIVE const unsigned char *web_view(int layer, int w, int h) {
    float most = 1e-12f;
    unsigned char *to = map.data ? (unsigned char *)realloc(view[layer], (size_t)w * h * 4) : NULL;
    if (!to) return NULL;
    view[layer] = to;
    for (size_t i = 0; i < (size_t)map.w * map.h; i++) most = MAX(most, map.data[i]);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++, to += 4) {
            int left = start(x, image.w, w), right = MAX(start(x + 1, image.w, w), left + 1);
            int top = start(y, image.h, h), bottom = MAX(start(y + 1, image.h, h), top + 1);
            int count = (right - left) * (bottom - top);
            double sum[3] = { 0, 0, 0 };
            for (int v = top; v < bottom; v++)
                for (int u = left; u < right; u++) {
                    size_t at = (size_t)v * image.w + u;
                    if (layer) sum[0] += map.data[at];
                    else for (int k = 0; k < 3; k++) sum[k] += image.data[at * 3 + k];
                }
            if (layer) sal_colormap((float)(sum[0] / count / most), to);
            else for (int k = 0; k < 3; k++) to[k] = (unsigned char)(sum[k] / count + .5);
            to[3] = 255;
        }
    return view[layer];
}

/* The best box of width : height; x, y, w, h, or NULL. */
EMSCRIPTEN_KEEPALIVE const int *web_crop(double width, double height) {
    sal_crop_desc d;
    sal_box box;
    memset(&d, 0, sizeof d);
    d.aspect = width / height;
    if (!map.data || sal_crop(&ctx, &map, &d, &box)) return NULL;
    box_numbers[0] = box.x; box_numbers[1] = box.y; box_numbers[2] = box.w; box_numbers[3] = box.h;
    return box_numbers;
}

/* That part of the picture as a file: a JPEG if it came as one, else a PNG. */
EMSCRIPTEN_KEEPALIVE const unsigned char *web_save(int x, int y, int w, int h) {
    sal_result r;
    size_t row = (size_t)w;
    if (!image.data || x < 0 || y < 0 || w < 1 || h < 1 || x + w > image.w || y + h > image.h) {
        fail(SAL_ERR_ARGUMENT, "This box is not inside the picture.");
        return NULL;
    }
    file_size = 0;
    r = sal_image_new(&ctx, w, h, &piece);
    if (!r && image.rgba) {
        piece.rgba = (unsigned char *)sal_alloc(&ctx, row * h, 4);
        if (!piece.rgba) r = SAL_ERR_MEMORY;
    }
    for (int i = 0; !r && i < h; i++) {
        size_t at = (size_t)(y + i) * image.w + x;
        memcpy(piece.data + i * row * 3, image.data + at * 3, row * 3);
        if (piece.rgba) memcpy(piece.rgba + i * row * 4, image.rgba + at * 4, row * 4);
    }
    piece.profile = image.profile;                  /* lent */
    piece.profile_size = image.profile_size;
    ctx.write = keep;
    if (!r) r = sal_image_save(&ctx, jpeg ? "crop.jpg" : "crop.png", &piece);
    ctx.write = NULL;
    piece.profile = NULL;
    sal_image_free(&ctx, &piece);
    return r ? NULL : file;
}
EMSCRIPTEN_KEEPALIVE size_t web_save_size(void) { return file_size; }
EMSCRIPTEN_KEEPALIVE int web_is_jpeg(void) { return jpeg; }
