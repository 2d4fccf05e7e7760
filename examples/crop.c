/* crop: the part of a picture that people look at.

       gcc -O2 examples/crop.c -o crop -lm          (add -fopenmp to use all cores)

   Run  crop --help  for the options. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "../weights/saliency_lite.h"

static const char program[] = "crop";
#include "pictures.h"

static const char help[] =
    "crop: the part of a picture that people look at\n"
    "\n"
    "usage: crop [options] PICTURE|FOLDER ...\n"
    "\n"
    "What to cut out:\n"
    "  -a W:H            this shape, as 16:9 or 1.91:1 (default: the picture's)\n"
    "  -s WxH            a thumbnail: cut in this shape, then resize to W x H pixels\n"
    "  --area F          the box has this share of the picture's area, 0 to 1\n"
    "                    (default: the largest box that fits)\n"
    "  --zoom            the smallest box that keeps three quarters of the saliency\n"
    "  --keep F          the same with another share; with --area, the box is not smaller\n"
    "  --uncut           do not cut through salient regions that fit into the box\n"
    "  --boxes N         the N best boxes that do not overlap\n"
    "  --boost MAP       add this to the saliency: a picture (white counts as the most salient\n"
    "                    point) or NumPy .npy, where negative numbers repel\n"
    "\n"
    "Where it goes:\n"
    "  -o OUT            a .jpg or .png file; for several results, a folder for NAME.jpg ...\n"
    "  --json            print the boxes, one line of JSON for each picture; nothing is\n"
    "                    cut without -o\n"
    "  --debug OUT.png   the saliency in colours over the picture, with the boxes\n"
    "  --quiet           no progress, no list of what was written\n"
    "\n"
    "Where people look:\n"
    "  -m MODEL, -w WEIGHTS, --input HxW, --center    as in predict; see predict --help\n"
    "  --threads N       use N threads (default: all cores)\n"
    "  -h, --help        this text\n"
    "\n"
    "Without -o, --json and --debug the result is NAME-crop.jpg in the current folder, .png for\n"
    "pictures that are not JPEG. EXIF orientation is applied, transparency is kept in PNG. What\n"
    "cannot be read is reported at the end and makes the exit status 1.\n";

typedef struct options {
    sal_model model;
    sal_crop_desc crop;
    sal_map boost;
    int w, h;                   /* of the thumbnail, or 0 */
    const char *out, *debug;
    int json, quiet, several;
} options;

/* The picture as the models see it, and as it is cut: with its transparency, or in grey. */
typedef struct photo {
    sal_image image;
    unsigned char *data;        /* (h, w, channels) */
    int channels, jpeg;
} photo;

/* --- reading ------------------------------------------------------------------------------- */

static unsigned number(const unsigned char *p, int bytes, int little) {
    unsigned v = 0;
    int i;
    for (i = 0; i < bytes; i++) v |= (unsigned)p[i] << 8 * (little ? i : bytes - 1 - i);
    return v;
}

/* The EXIF orientation of a JPEG file, 1 (upright) to 8; see the TIFF 6.0 specification, where it
   is entry 0x112 of the first directory. */
static int orientation(const unsigned char *data, size_t size) {
    size_t at, end, first;
    if (size < 4 || data[0] != 0xFF || data[1] != 0xD8) return 1;
    for (at = 2; at + 4 <= size && data[at] == 0xFF && data[at + 1] != 0xDA; at = end) {
        const unsigned char *tiff = data + at + 10;
        unsigned i, entries;
        int little;
        end = at + 2 + number(data + at + 2, 2, 0);
        if (end > size || end < at + 4) break;
        if (data[at + 1] != 0xE1 || end < at + 20 || memcmp(data + at + 4, "Exif\0", 6)) continue;
        little = tiff[0] == 'I';
        first = number(tiff + 4, 4, little);
        if (first > end - at - 12) break;
        entries = number(tiff + first, 2, little);
        for (i = 0; i < entries && at + 12 + first + 12 * (i + 1) <= end; i++) {
            const unsigned char *entry = tiff + first + 2 + 12 * i;
            unsigned value = number(entry + 8, 2, little);
            if (number(entry, 2, little) == 0x112) return value >= 1 && value <= 8 ? (int)value : 1;
        }
    }
    return 1;
}

/* The picture turned upright. */
static sal_result turn(sal_ctx *ctx, unsigned char **data, int w, int h, int channels, int how) {
    unsigned char *out = SAL__NEW(ctx, unsigned char, (size_t)w * h * channels);
    int x, y, ow = how > 4 ? h : w, oh = how > 4 ? w : h;
    if (!out) return SAL_ERR_MEMORY;
    for (y = 0; y < oh; y++)
        for (x = 0; x < ow; x++) {      /* from (u, v): mirrored, then transposed */
            int mirror_x = how == 2 || how == 3 || how == 7 || how == 8;
            int mirror_y = how == 3 || how == 4 || how == 6 || how == 7;
            int u = how > 4 ? y : x, v = how > 4 ? x : y;
            u = mirror_x ? w - 1 - u : u;
            v = mirror_y ? h - 1 - v : v;
            memcpy(out + ((size_t)y * ow + x) * channels, *data + ((size_t)v * w + u) * channels,
                   (size_t)channels);
        }
    sal_free(ctx, *data);
    *data = out;
    return SAL_OK;
}

static void photo_free(sal_ctx *ctx, photo *p) {
    sal_free(ctx, p->data);
    sal_image_free(ctx, &p->image);
}

static sal_result photo_load(sal_ctx *ctx, const char *path, photo *p) {
    unsigned char *file, *rgba = NULL;
    size_t size, i, n;
    int w, h, c, how;
    sal_result r = sal_file_read(ctx, path, &file, &size);
    memset(p, 0, sizeof *p);
    if (r) return r;
    r = sal_image_load_memory(ctx, file, size, path, &p->image);
    if (!r) {
        n = (size_t)p->image.w * (size_t)p->image.h;
        p->jpeg = size > 2 && file[0] == 0xFF && file[1] == 0xD8;
        p->channels = p->image.grey ? 1 : 3;
        if (size <= INT_MAX && stbi_info_from_memory(file, (int)size, &w, &h, &c) &&
            (c == 2 || c == 4) && w == p->image.w && h == p->image.h && !p->jpeg)
            rgba = stbi_load_from_memory(file, (int)size, &w, &h, &c, 4);
        if (rgba) p->channels = 4;
        p->data = SAL__NEW(ctx, unsigned char, n * (size_t)p->channels);
        if (!p->data) r = SAL_ERR_MEMORY;
        else if (rgba) memcpy(p->data, rgba, 4 * n);
        else if (p->channels == 3) memcpy(p->data, p->image.data, 3 * n);
        else for (i = 0; i < n; i++) p->data[i] = p->image.data[3 * i];
        stbi_image_free(rgba);
    }
    how = r ? 1 : orientation(file, size);
    if (how > 1) {
        w = p->image.w; h = p->image.h;
        r = turn(ctx, &p->image.data, w, h, 3, how);
        if (!r) r = turn(ctx, &p->data, w, h, p->channels, how);
        if (how > 4) { p->image.w = h; p->image.h = w; }
    }
    sal_free(ctx, file);
    if (r) photo_free(ctx, p);
    return r;
}

/* --- cutting and resizing ------------------------------------------------------------------ */

/* The box as w x h pixels. Colours are weighted by their opacity, so that what is transparent does
   not shine through at edges. */
static sal_result cut(sal_ctx *ctx, const unsigned char *data, int pitch, int channels,
                      const sal_box *b, int w, int h, unsigned char **out) {
    size_t k, n = (size_t)w * h, row = (size_t)b->w * channels;
    float *plane, *fitted;
    sal_result r;
    int x, y, c, colours = channels == 4 ? 3 : channels;
    *out = SAL__NEW(ctx, unsigned char, n * channels);
    if (!*out) return SAL_ERR_MEMORY;
    if (w == b->w && h == b->h) {
        for (y = 0; y < h; y++)
            memcpy(*out + y * row, data + ((size_t)(b->y + y) * pitch + b->x) * channels, row);
        return SAL_OK;
    }
    plane = SAL__NEW(ctx, float, row * b->h);
    fitted = SAL__NEW(ctx, float, n * channels);
    r = plane && fitted ? SAL_OK : SAL_ERR_MEMORY;
    for (y = 0; !r && y < b->h; y++)
        for (x = 0; x < b->w; x++) {
            const unsigned char *p = data + ((size_t)(b->y + y) * pitch + b->x + x) * channels;
            float *q = plane + y * row + (size_t)x * channels;
            for (c = 0; c < channels; c++)
                q[c] = channels == 4 && c < 3 ? (float)p[c] * p[3] / 255 : (float)p[c];
        }
    if (!r) r = sal_resize(ctx, fitted, w, h, plane, b->w, b->h, channels, SAL_CUBIC);
    for (k = 0; !r && k < n; k++) {
        const float *q = fitted + k * channels;
        unsigned char *p = *out + k * channels;
        double opacity = channels == 4 ? sal__clamp(q[3], 0, 255) : 255;
        for (c = 0; c < colours; c++)
            p[c] = (unsigned char)(opacity < 0.5 ? 0 :
                                   sal__clamp(q[c] * 255 / opacity + 0.5, 0, 255));
        if (channels == 4) p[3] = (unsigned char)(opacity + 0.5);
    }
    sal_free(ctx, fitted); sal_free(ctx, plane);
    if (r) sal_free(ctx, *out);
    return r;
}

/* A file, but never the picture itself. */
static sal_result save(sal_ctx *ctx, const char *path, const char *picture, int w, int h,
                       int channels, const unsigned char *data) {
    struct stat a, b;
    if (!stat(path, &a) && !stat(picture, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino) {
        snprintf(ctx->error, sizeof ctx->error, "%s: would be overwritten by its own crop; choose "
                 "another place with -o", path);
        return SAL_ERR_ARGUMENT;
    }
    return sal__save_pixels(ctx, path, w, h, channels, data);
}

static sal_result save_box(sal_ctx *ctx, const options *o, const char *path, const char *picture,
                           const photo *p, const sal_box *b) {
    int w = o->w ? o->w : b->w, h = o->h ? o->h : b->h, length = (int)strlen(path);
    int png = length > 4 && !strcmp(path + length - 4, ".png");
    int channels = p->channels == 4 && !png ? 3 : p->channels;  /* JPEG: on white */
    unsigned char *out;
    sal_result r = cut(ctx, channels == p->channels ? p->data : p->image.data, p->image.w, channels,
                       b, w, h, &out);
    if (r) return r;
    r = save(ctx, path, picture, w, h, channels, out);
    sal_free(ctx, out);
    return r;
}

static void draw_box(sal_image *image, const sal_box *b) {
    int x, y, thick = 1 + SAL__MAX(image->w, image->h) / 250;
    for (y = b->y; y < b->y + b->h; y++)
        for (x = b->x; x < b->x + b->w; x++) {
            int edge = SAL__MIN(SAL__MIN(x - b->x, b->x + b->w - 1 - x),
                                SAL__MIN(y - b->y, b->y + b->h - 1 - y));
            if (edge < 2 * thick)       /* a white frame with a dark one inside */
                memset(image->data + 3 * ((size_t)y * image->w + x), edge < thick ? 255 : 0, 3);
        }
}

static sal_result save_debug(sal_ctx *ctx, const options *o, const char *path, const char *picture,
                             const photo *p, const sal_map *map, const sal_box *box) {
    sal_image colours;
    int i;
    sal_result r = sal_overlay(ctx, &p->image, map, 0.6f, &colours);
    if (r) return r;
    for (i = 0; i < o->crop.boxes; i++) draw_box(&colours, &box[i]);
    r = save(ctx, path, picture, colours.w, colours.h, 3, colours.data);
    sal_image_free(ctx, &colours);
    return r;
}

/* --- one picture --------------------------------------------------------------------------- */

static void result_path(char *path, size_t size, const options *o, const char *out,
                        const char *picture, const char *end, int number) {
    char count[16] = "";
    int length;
    const char *name = stem(picture, &length);
    if (o->crop.boxes > 1 && number) snprintf(count, sizeof count, "-%d", number);
    if (!out) snprintf(path, size, "%.*s-crop%s.%s", length, name, count, end);
    else if (o->several) snprintf(path, size, "%s/%.*s%s.%s", out, length, name, count, end);
    else snprintf(path, size, "%s", out);
}

static void print_name(const char *name) {
    for (; *name; name++) {
        unsigned char c = (unsigned char)*name;
        if (c < ' ' || c == '"' || c == '\\') printf("\\u%04x", c); else putchar(c);
    }
}

static void print_json(const options *o, const char *picture, const photo *p, const sal_box *box) {
    int i;
    printf("{\"picture\": \"");
    print_name(picture);
    printf("\", \"width\": %d, \"height\": %d, \"boxes\": [", p->image.w, p->image.h);
    for (i = 0; i < o->crop.boxes && box[i].w; i++)
        printf("%s{\"x\": %d, \"y\": %d, \"w\": %d, \"h\": %d, \"kept\": %.4f}", i ? ", " : "",
               box[i].x, box[i].y, box[i].w, box[i].h, box[i].kept);
    printf("]}\n");
}

/* The picture's own copy of the boost, in its size. */
static sal_result fit_boost(sal_ctx *ctx, const sal_map *boost, const sal_map *map, sal_map *out) {
    sal_result r = sal_map_new(ctx, map->w, map->h, out);
    if (!r) r = sal_resize(ctx, out->data, map->w, map->h, boost->data, boost->w, boost->h, 1,
                           SAL_LINEAR);
    return r;
}

static sal_result crop(sal_ctx *ctx, void *arg, const char *picture) {
    options *o = (options *)arg;
    sal_crop_desc d = o->crop;
    sal_map map, boost;
    sal_box *box = SAL__NEW(ctx, sal_box, d.boxes);
    char path[4096];
    photo p;
    int i;
    sal_result r = box ? photo_load(ctx, picture, &p) : SAL_ERR_MEMORY;
    if (r) { sal_free(ctx, box); return r; }
    memset(&boost, 0, sizeof boost);
    r = sal_model_predict(ctx, &o->model, &p.image, &map);
    if (!r && o->boost.data) {
        r = fit_boost(ctx, &o->boost, &map, &boost);
        d.boost = &boost;
    }
    if (!r) r = sal_crop(ctx, &map, &d, box);
    for (i = 0; !r && i < d.boxes && box[i].w && (o->out || (!o->json && !o->debug)); i++) {
        result_path(path, sizeof path, o, o->out, picture, p.jpeg ? "jpg" : "png", i + 1);
        r = save_box(ctx, o, path, picture, &p, &box[i]);
        if (!r && !o->quiet && !o->json && (!o->several || d.boxes > 1)) printf("%s\n", path);
    }
    if (!r && o->debug) {
        result_path(path, sizeof path, o, o->debug, picture, "png", 0);
        r = save_debug(ctx, o, path, picture, &p, &map, box);
        if (!r && !o->quiet && !o->json && !o->several) printf("%s\n", path);
    }
    if (!r && o->json) print_json(o, picture, &p, box);
    sal_map_free(ctx, &boost);
    sal_map_free(ctx, &map);
    photo_free(ctx, &p);
    sal_free(ctx, box);
    return r;
}

/* --- options ------------------------------------------------------------------------------- */

/* Two positive numbers with a sign between them. */
static int parse_pair(const char *text, char sign, double *a, double *b) {
    char *end;
    *a = strtod(text, &end);
    if (end == text || *end != sign) return 0;
    text = end + 1;
    *b = strtod(text, &end);
    return end != text && !*end && *a > 0 && *b > 0 && *a < 1e6 && *b < 1e6;
}

static int parse_share(const char *option, const char *text, double *share) {
    char *end;
    *share = strtod(text, &end);
    if (end != text && !*end && *share > 0 && *share <= 1) return 0;
    return complain("%s %s: a share is above 0 and at most 1", option, text);
}

static int parse_value(sal_ctx *ctx, options *o, const char *a, const char *v) {
    double w, h;
    if (!strcmp(a, "-a")) {
        if (!parse_pair(v, ':', &w, &h)) return complain("-a %s: W:H is expected, as 16:9", v);
        o->crop.aspect = w / h;
    } else if (!strcmp(a, "-s")) {
        if (!parse_pair(v, 'x', &w, &h) || w > 32768 || h > 32768 || w < 1 || h < 1)
            return complain("-s %s: WxH is expected, 1 to 32768 pixels, as 320x240", v);
        o->w = (int)w; o->h = (int)h;
        o->crop.aspect = (double)o->w / o->h;
    } else if (!strcmp(a, "--area")) return parse_share(a, v, &o->crop.area);
    else if (!strcmp(a, "--keep")) return parse_share(a, v, &o->crop.keep);
    else if (!strcmp(a, "--boxes")) return read_whole(a, v, 1, 256, &o->crop.boxes);
    else if (!strcmp(a, "--threads")) return read_whole(a, v, 1, MOST_THREADS, &ctx->threads);
    else {                                                  /* --boost */
        const char *dot = strrchr(v, '.');
        if (dot && !strcmp(dot, ".npy") ? sal_map_load_npy(ctx, v, &o->boost)
                                        : sal_map_load_image(ctx, v, &o->boost))
            return complain("%s", sal_error(ctx));
    }
    return 0;
}

int main(int argc, char **argv) {
    static const char *const with_value[] = { "-a", "-s", "--area", "--keep", "--boxes",
                                              "--threads", "--boost" };
    sal_ctx ctx;
    options o;
    list pictures = { NULL, 0, 0 };
    const char *name = NULL, *weights = NULL, *shape = NULL, *input = NULL;
    int i, k, status = 0, center = 0, zoom = 0;
    memset(&ctx, 0, sizeof ctx);
    sal_use_lite(&ctx);
    memset(&o, 0, sizeof o);
    o.crop.boxes = 1;

    for (i = 1; i < argc && !status; i++) {
        const char *a = argv[i], **text = NULL;
        int value = 0;
        for (k = 0; k < SAL__COUNT(with_value); k++) value |= !strcmp(a, with_value[k]);
        if (!strcmp(a, "-h") || !strcmp(a, "--help")) {
            fputs(help, stdout);
            list_free(&pictures);
            sal_map_free(&ctx, &o.boost);
            return 0;
        } else if (!strcmp(a, "-m")) text = &name;
        else if (!strcmp(a, "-w")) text = &weights;
        else if (!strcmp(a, "--input")) text = &input;
        else if (!strcmp(a, "-o")) text = &o.out;
        else if (!strcmp(a, "--debug")) text = &o.debug;
        else if (!strcmp(a, "--center")) center = 1;
        else if (!strcmp(a, "--json")) o.json = 1;
        else if (!strcmp(a, "--zoom")) zoom = 1;
        else if (!strcmp(a, "--uncut")) o.crop.uncut = 0.5;
        else if (!strcmp(a, "--quiet")) o.quiet = 1;
        else if (a[0] == '-' && !value)
            status = complain("%s is not an option; see crop --help", a);
        else if (!value) status = list_path(&ctx, &pictures, a, &o.several);
        if ((value || text) && i + 1 == argc)
            status = complain("%s needs a value; see crop --help", a);
        else if (text) *text = argv[++i];
        else if (value) {
            if (a[1] == 'a' || a[1] == 's') {
                if (shape) status = complain("%s: the shape is already given by %s", a, shape);
                shape = a;
            }
            if (!status) status = parse_value(&ctx, &o, a, argv[++i]);
        }
    }
    if (zoom && !o.crop.keep) o.crop.keep = 0.75;
    if (!status && !pictures.count) status = complain("which pictures? see crop --help");
    if (pictures.count > 1 || o.crop.boxes > 1) o.several = 1;
    if (!status && o.several)
        status = check_collisions(&pictures) || make_folder(o.out) || make_folder(o.debug);
    if (!status && sal_model_open(&ctx, name, weights, &o.model))
        status = complain("%s", sal_error(&ctx));
    o.model.center = center;
    if (!status && input) status = resize_input(&ctx, &o.model, input);
    if (!status) status = for_all(&ctx, &pictures, o.quiet, crop, &o);
    sal_model_close(&ctx, &o.model);
    sal_map_free(&ctx, &o.boost);
    list_free(&pictures);
    return status;
}
