/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* crop: the part of a picture that people look at.

       gcc -O2 examples/crop.c -o crop -lm          (add -fopenmp to use all cores)

   Run  crop --help  for the options. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "../weights/saliency_lite.h"

static const char program[] = "crop";
#include "cli.h"

/* stb's resizer, whichever of its two versions is there */
#if defined(__GNUC__)
#  pragma GCC diagnostic push
#  pragma GCC diagnostic ignored "-Wunused-function"
#endif
#define STB_IMAGE_RESIZE_STATIC
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#if defined(__has_include)
#  if __has_include(<stb/stb_image_resize2.h>)
#    include <stb/stb_image_resize2.h>
#    define RESIZE2
#  elif __has_include("stb_image_resize2.h")
#    include "stb_image_resize2.h"
#    define RESIZE2
#  elif __has_include(<stb/stb_image_resize.h>)
#    include <stb/stb_image_resize.h>
#  else
#    include "stb_image_resize.h"
#  endif
#else
#  include "stb_image_resize.h"
#endif
#if defined(__GNUC__)
#  pragma GCC diagnostic pop
#endif

static const char help[] =
    "crop: the part of a picture that people look at\n"
    "\n"
    "usage: crop [options] PICTURE|FOLDER ...\n"
    "\n"
    "What to cut out:\n"
    "  -a W:H            this shape, as 16:9 or 1.91:1 (default: the picture's)\n"
    "  -s WxH            a thumbnail: cut in this shape, then resize to W x H pixels\n"
    "  --box WxH         a box of exactly W x H pixels, not resized\n"
    "  --area F          the box has this share of the picture's area, 0 to 1\n"
    "                    (default: the largest box that fits)\n"
    "  --zoom            the smallest box that keeps three quarters of the saliency\n"
    "  --keep F          the same with another share; with --area, the box is not smaller\n"
    "  --uncut           do not cut through salient regions that fit into the box\n"
    "  --boxes N         the N best boxes that do not overlap\n"
    "  --boost MAP[:F]   add this to the saliency, F (default 1) times: a picture (white counts\n"
    "                    as the most salient point) or NumPy .npy; negative numbers repel\n"
    "\n"
    "Where it goes:\n"
    "  -o OUT            a .jpg or .png file; for several results, a folder for NAME.jpg ...\n"
    "                    (so it is if its name ends in a slash or has no extension); - is\n"
    "                    standard output\n"
    "  --json            print the boxes, one line of JSON for each picture; nothing is\n"
    "                    cut without -o\n"
    "  --debug OUT.png   the saliency in colours over the picture, with the boxes\n"
    "  --quiet           no progress, no list of what was written\n"
    "\n"
    "Where people look:\n"
    "  -m MODEL, -w WEIGHTS, --input HxW, --precision T, --center    as in predict; see\n"
    "                         predict --help\n"
    "  --part K/N        only share K of N of the pictures, by their names: for several machines\n"
    "  --recursive       folders with all that is below them; OUT gets the same sub-folders\n"
    "  --threads N       use N threads (default: all cores)\n"
    "  -h, --help        this text; --version: the version\n"
    "\n"
    "Without -o, --json and --debug the result is NAME-crop.jpg in the current folder, .png for\n"
    "pictures that are not JPEG. EXIF orientation is applied, the colour profile is kept, and in\n"
    "PNG transparency. What cannot be read is reported at the end and makes the exit status 1.\n";

typedef struct options {
    model_options which;
    sal_model model;
    pictures pictures;
    sal_crop_desc crop;
    const char *shape;          /* the option that gave it, or NULL */
    int w, h;                   /* of the thumbnail, or 0 */
    char boost_path[PATH_ROOM];
    double boost_weight;
    sal_map boost;
    const char *out, *debug;
    int json, zoom, uncut;
} options;

typedef struct photo {
    sal_image image;
    int jpeg;
} photo;

static void photo_free(sal_ctx *ctx, photo *p) { sal_image_free(ctx, &p->image); }

static sal_result photo_load(sal_ctx *ctx, const char *path, photo *p) {
    unsigned char *file;
    size_t size;
    sal_result r = read_file(ctx, path, &file, &size);
    memset(p, 0, sizeof *p);
    if (r) return r;
    p->jpeg = size > 2 && file[0] == 0xFF && file[1] == 0xD8;
    r = sal_image_load_memory(ctx, file, size, is_standard(path) ? "standard input" : path,
                              &p->image);
    sal_free(ctx, file);
    return r;
}

/* --- cutting and resizing ------------------------------------------------------------------ */

/* Of (h, w, channels) bytes, the last of four the opacity. stb's filters work in linear light: a
   fine pattern of black and white keeps its brightness. */
static int fit(const unsigned char *in, int w, int h, int pitch, unsigned char *out, int ow, int oh,
               int channels) {
#ifdef RESIZE2
    return stbir_resize_uint8_srgb(in, w, h, pitch, out, ow, oh, ow * channels,
                                   channels == 4 ? STBIR_RGBA : STBIR_RGB) != NULL;
#else
    return stbir_resize_uint8_srgb(in, w, h, pitch, out, ow, oh, ow * channels, channels,
                                   channels == 4 ? 3 : STBIR_ALPHA_CHANNEL_NONE, 0);
#endif
}

/* The box as w x h pixels; without its transparency if it cannot be kept. */
static sal_result cut(sal_ctx *ctx, const sal_image *image, int opaque, const sal_box *b, int w,
                      int h, sal_image *out) {
    const unsigned char *data = image->rgba && !opaque ? image->rgba : image->data;
    int channels = data == image->rgba ? 4 : 3, pitch = image->w * channels;
    sal_pixels format = channels == 4 ? SAL_PIXELS_RGBA : SAL_PIXELS_RGB;
    unsigned char *fitted;
    sal_result r;
    data += ((size_t)b->y * image->w + b->x) * channels;
    if (w == b->w && h == b->h) return sal_image_from_pixels(ctx, data, w, h, pitch, format, out);
    fitted = NEW(ctx, unsigned char, (size_t)w * h * channels);
    if (!fitted) return SAL_ERR_MEMORY;
    r = fit(data, b->w, b->h, pitch, fitted, w, h, channels) ? SAL_OK : SAL_ERR_MEMORY;
    if (!r) r = sal_image_from_pixels(ctx, fitted, w, h, 0, format, out);
    sal_free(ctx, fitted);
    return r;
}

static sal_result save_box(sal_ctx *ctx, const options *o, const char *path, const photo *p,
                           const sal_box *b) {
    sal_image out;
    sal_result r = cut(ctx, &p->image, !has_ending(path, ".png"), b, o->w ? o->w : b->w,
                       o->h ? o->h : b->h, &out);
    if (r) return r;
    out.profile = p->image.profile;             /* lent */
    out.profile_size = p->image.profile_size;
    r = sal_image_save(ctx, path, &out);
    out.profile = NULL;
    sal_image_free(ctx, &out);
    return r;
}

static void draw_box(sal_image *image, const sal_box *b) {
    int x, y, thick = 1 + MAX(image->w, image->h) / 250;
    for (y = b->y; y < b->y + b->h; y++)
        for (x = b->x; x < b->x + b->w; x++) {
            int edge = MIN(MIN(x - b->x, b->x + b->w - 1 - x),
                           MIN(y - b->y, b->y + b->h - 1 - y));
            if (edge < 2 * thick)       /* a white frame with a dark one inside */
                memset(image->data + 3 * ((size_t)y * image->w + x), edge < thick ? 255 : 0, 3);
        }
}

static sal_result save_debug(sal_ctx *ctx, const options *o, const char *path, const photo *p,
                             const sal_map *map, const sal_box *box) {
    sal_image colours;
    int i;
    sal_result r = sal_overlay(ctx, &p->image, map, 0.6f, &colours);
    if (r) return r;
    for (i = 0; i < o->crop.boxes; i++) draw_box(&colours, &box[i]);
    r = sal_image_save(ctx, path, &colours);
    sal_image_free(ctx, &colours);
    return r;
}

/* --- one picture --------------------------------------------------------------------------- */

static void print_json(const options *o, const char *picture, const photo *p, const sal_box *box) {
    int i;
    char name[JSON_ROOM];
    printf("{\"picture\": \"%s", json_text(name, picture));
    printf("\", \"width\": %d, \"height\": %d, \"boxes\": [", p->image.w, p->image.h);
    for (i = 0; i < o->crop.boxes && box[i].w; i++)
        printf("%s{\"x\": %d, \"y\": %d, \"w\": %d, \"h\": %d, \"kept\": %.4f}", i ? ", " : "",
               box[i].x, box[i].y, box[i].w, box[i].h, box[i].kept);
    printf("]}\n");
}

/* The picture's own copy of the boost, in its size. */
static sal_result fit_boost(sal_ctx *ctx, const sal_map *boost, const sal_map *map, sal_map *out) {
    sal_result r;
    if (!same_shape(map->w, map->h, boost->w, boost->h))
        return fail(ctx, "--boost: a map of %d x %d for a picture of %d x %d: another shape", boost->w,
                    boost->h, map->w, map->h);
    r = sal_map_new(ctx, map->w, map->h, out);
    if (!r) r = sal_resize(ctx, out->data, map->w, map->h, boost->data, boost->w, boost->h, 1,
                           SAL_FILTER_LINEAR);
    return r;
}

/* The boxes as files, and the picture that explains them. */
static sal_result write_results(sal_ctx *ctx, options *o, const picture *of, const photo *p,
                                const sal_map *map, const sal_box *box) {
    char path[PATH_ROOM], number[16] = "";
    int i, files = o->out || (!o->json && !o->debug) ? o->crop.boxes : 0;
    sal_result r = SAL_OK;
    for (i = 0; !r && i < files && box[i].w; i++) {
        if (o->crop.boxes > 1) snprintf(number, sizeof number, "-%d", i + 1);
        r = result_path(ctx, &o->pictures, of, o->out, "-crop", number, p->jpeg ? "jpg" : "png",
                        path);
        if (!r) r = save_box(ctx, o, path, p, &box[i]);
        if (!r) written(&o->pictures, path);
    }
    if (r || !o->debug) return r;
    r = result_path(ctx, &o->pictures, of, o->debug, "", "", "png", path);
    if (!r) r = save_debug(ctx, o, path, p, map, box);
    if (!r) written(&o->pictures, path);
    return r;
}

static sal_result crop(sal_ctx *ctx, void *arg, const picture *of) {
    options *o = (options *)arg;
    sal_crop_desc d = o->crop;
    sal_map map, boost;
    sal_box *box = (sal_box *)sal_alloc(ctx, (size_t)d.boxes, sizeof *box);
    photo p;
    int i;
    sal_result r = box ? photo_load(ctx, of->path, &p) : SAL_ERR_MEMORY;
    if (r) { sal_free(ctx, box); return r; }
    if (d.w > p.image.w || d.h > p.image.h) {
        r = fail(ctx, "%s: has %d x %d pixels, a box of %d x %d does not fit", of->path, p.image.w,
                 p.image.h, d.w, d.h);
        photo_free(ctx, &p);
        sal_free(ctx, box);
        return r;
    }
    memset(&boost, 0, sizeof boost);
    r = sal_model_predict(ctx, &o->model, &p.image, &map);
    if (!r && o->boost.data) {
        r = fit_boost(ctx, &o->boost, &map, &boost);
        d.boost = &boost;
    }
    if (!r) r = sal_crop(ctx, &map, &d, box);
    for (i = 0; !r && i < d.boxes && box[i].w; i++) ;
    if (!r && i < d.boxes && !o->json)
        complain("%s: %d of %d boxes; there is no room for more (smaller ones: --area)", of->path, i,
                 d.boxes);
    if (!r) r = write_results(ctx, o, of, &p, &map, box);
    if (!r && o->json) print_json(o, of->path, &p, box);
    sal_map_free(ctx, &boost);
    sal_map_free(ctx, &map);
    photo_free(ctx, &p);
    sal_free(ctx, box);
    return r;
}

/* --- options ------------------------------------------------------------------------------- */

/* Two positive numbers with a sign between them. */
static int parse_pair(const char *text, char sign, double *a, double *b) {
    if (sal_number_parse(&text, a) || *text++ != sign) return 0;
    return !sal_number_parse(&text, b) && !*text && *a > 0 && *b > 0 && *a < 1e6 && *b < 1e6;
}

/* -a, -s and --box: only one of them can say what shape the box has. */
static int read_shape(void *into, const char *option, const char *value) {
    options *o = (options *)into;
    double w, h;
    int pixels = option[1] != 'a', exact = option[1] == '-';
    if (o->shape) return complain("%s: the shape is already given by %s", option, o->shape);
    o->shape = option;
    if (!parse_pair(value, pixels ? 'x' : ':', &w, &h) ||
        (pixels && (w > 32768 || h > 32768 || w < 1 || h < 1 || w > floor(w) || h > floor(h))))
        return complain(pixels ? "%s %s: WxH is expected, 1 to 32768 pixels, as 320x240"
                               : "%s %s: W:H is expected, as 16:9", option, value);
    if (pixels && w * h > SAL_MAX_PIXELS)
        return complain("%s %s: a picture has at most %d pixels", option, value, SAL_MAX_PIXELS);
    if (exact) { o->crop.w = (int)w; o->crop.h = (int)h; return 0; }
    if (pixels) { o->w = (int)w; o->h = (int)h; }
    o->crop.aspect = w / h;
    return 0;
}

static int read_share(void *into, const char *option, const char *value) {
    double *share = (double *)into;
    const char *end = value;
    if (!sal_number_parse(&end, share) && !*end && *share > 0 && *share <= 1) return 0;
    return complain("%s %s: a share is above 0 and at most 1", option, value);
}

/* FILE[:WEIGHT]; a colon that no number follows belongs to the name. */
static int read_boost(void *into, const char *option, const char *value) {
    options *o = (options *)into;
    const char *colon = strrchr(value, ':'), *end = colon ? colon + 1 : NULL;
    size_t length = strlen(value);
    o->boost_weight = 1;
    if (colon && sal_path_kind(value) < 0) {
        if (sal_number_parse(&end, &o->boost_weight) || *end) o->boost_weight = 1;
        else length = (size_t)(colon - value);
    }
    if (!(fabs(o->boost_weight) <= 1e6) || length >= sizeof o->boost_path)
        return complain("%s %s: a weight from -1000000 to 1000000, please", option, value);
    memcpy(o->boost_path, value, length);
    o->boost_path[length] = 0;
    return 0;
}

static int read_command_line(sal_ctx *ctx, options *o, int argc, char **argv) {
    const option table[] = {
        option_call("-a", read_shape, o),
        option_call("-s", read_shape, o),
        option_call("--box", read_shape, o),
        option_call("--area", read_share, &o->crop.area),
        option_flag("--zoom", &o->zoom),
        option_call("--keep", read_share, &o->crop.keep),
        option_flag("--uncut", &o->uncut),
        option_whole("--boxes", &o->crop.boxes, 1, 256),
        option_call("--boost", read_boost, o),
        option_text("-o", &o->out),
        option_flag("--json", &o->json),
        option_text("--debug", &o->debug),
        option_text("-m", &o->which.name),
        option_text("-w", &o->which.weights),
        option_size("--input", o->which.input),
        option_flag("--center", &o->which.center),
        option_call("--precision", read_precision, &o->which.float32),
        option_flag("--recursive", &o->pictures.recursive),
        option_call("--part", read_part, &o->pictures.part),
        option_whole("--threads", &ctx->threads, 1, MOST_THREADS),
        option_flag("--quiet", &o->pictures.quiet),
    };
    int count, status;
    o->crop.boxes = 1;
    status = read_options(argc, argv, table, COUNT(table), help, &count);
    if (status) return status;
    if (o->crop.w && refuse("--area --zoom --keep", "with --box, which says how large the box is"))
        return 1;
    if (o->zoom && o->crop.keep <= 0) o->crop.keep = 0.75;
    if (o->uncut) o->crop.uncut = 0.5;
    if (o->crop.boxes > 1) o->pictures.several = 1;
    o->pictures.unlisted = o->json;             /* nothing else on standard output */
    if (o->which.weights) take(&o->pictures, o->which.weights);
    if (*o->boost_path) take(&o->pictures, o->boost_path);
    return find_pictures(ctx, &o->pictures, argv, count) || check_out(&o->pictures, o->out) ||
           check_out(&o->pictures, o->debug);
}

static int load_boost(sal_ctx *ctx, options *o) {
    sal_result r = has_ending(o->boost_path, ".npy")
                       ? sal_map_load_npy(ctx, o->boost_path, &o->boost)
                       : sal_map_load_image(ctx, o->boost_path, &o->boost);
    size_t i, n = r ? 0 : (size_t)o->boost.w * (size_t)o->boost.h;
    for (i = 0; i < n; i++) o->boost.data[i] *= (float)o->boost_weight;
    return r ? complain("%s", sal_error(ctx)) : 0;
}

int main(int argc, char **argv) {
    sal_ctx ctx;
    options o;
    int status;
    memset(&ctx, 0, sizeof ctx);
    memset(&o, 0, sizeof o);
    sal_use_lite(&ctx);
    status = read_command_line(&ctx, &o, argc, argv);
    if (!status && *o.boost_path) status = load_boost(&ctx, &o);
    if (!status) status = open_model(&ctx, &o.which, &o.model);
    if (!status) status = for_all(&ctx, &o.pictures, crop, &o);
    sal_model_close(&ctx, &o.model);
    sal_map_free(&ctx, &o.boost);
    pictures_free(&o.pictures);
    return finish(status);
}
