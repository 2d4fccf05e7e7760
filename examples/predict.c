/* predict: photographs in, saliency maps out.

       gcc -O2 examples/predict.c -o predict -lm          (add -fopenmp to use all cores)

   Run  predict --help  for the options. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "../weights/saliency_lite.h"

static const char program[] = "predict";
#include "pictures.h"

static const char help[] =
    "predict: where people look in a picture\n"
    "\n"
    "usage: predict [options] PICTURE|FOLDER ...\n"
    "\n"
    "  -m MODEL          a model by name; a network needs its file in weights/\n"
    "                      without weights: center spectral itti gbvs bms\n"
    "                      networks:        lite juntingnet wepsam mlnet sam-vgg sam-resnet\n"
    "  -w WEIGHTS        a network from a .safetensors file\n"
    "                    (neither: lite, which is built in)\n"
    "  --input HxW       pictures as the network sees them: smaller is faster (default: its own)\n"
    "  --domain N        lite: with the prior of 1 osie, 2 scene (default 0: any picture)\n"
    "  --center          multiply by a centre prior: people look at the middle first\n"
    "  -o OUT.png        the map as an 8-bit grey picture\n"
    "  --overlay OUT.png the map in colours over the picture\n"
    "  --npy OUT.npy     the map as NumPy float32 (height, width), maximum 1\n"
    "  --raw             --npy is the network's own output, before any post-processing\n"
    "  --threads N       use N threads (default: all cores)\n"
    "  --quiet           no progress, no list of what was written\n"
    "  -h, --help        this text\n"
    "\n"
    "Without -o, --overlay and --npy the map goes to NAME-saliency.png in the current folder.\n"
    "For several pictures or a folder, OUT is a folder and its files are called NAME.png,\n"
    "NAME.npy. Pictures are JPEG, PNG, BMP, PPM or PGM. What cannot be read is reported at the\n"
    "end and makes the exit status 1. Networks look for weights in the folder\n"
    "$SALIENCY_WEIGHTS, or weights/.\n";

typedef struct options {
    sal_model model;
    const char *out, *overlay, *npy;
    int raw, quiet, several;
} options;

/* --- one picture --------------------------------------------------------------------------- */

/* OUT itself for one picture, OUT/NAME.end for several. */
static void result_path(char *path, size_t size, const char *out, const char *picture,
                        const char *end, int several) {
    int length;
    const char *name = stem(picture, &length);
    if (!out) snprintf(path, size, "%.*s-saliency.%s", length, name, end);
    else if (several) snprintf(path, size, "%s/%.*s.%s", out, length, name, end);
    else snprintf(path, size, "%s", out);
}

static sal_result write_results(sal_ctx *ctx, const options *o, const char *picture,
                                const sal_image *image, const sal_map *map) {
    char path[4096];
    sal_map raw;
    sal_image colours;
    sal_result r = SAL_OK;
    if (o->out || (!o->overlay && !o->npy)) {
        result_path(path, sizeof path, o->out, picture, "png", o->several);
        r = sal_map_save_png(ctx, path, map);
        if (!r && !o->quiet && !o->several) printf("%s\n", path);
    }
    if (!r && o->overlay) {
        result_path(path, sizeof path, o->overlay, picture, "png", o->several);
        r = sal_overlay(ctx, image, map, 0.6f, &colours);
        if (!r) {
            r = sal_image_save(ctx, path, &colours);
            sal_image_free(ctx, &colours);
        }
        if (!r && !o->quiet && !o->several) printf("%s\n", path);
    }
    if (!r && o->npy) {
        result_path(path, sizeof path, o->npy, picture, "npy", o->several);
        raw = o->raw ? sal_model_raw(&o->model) : *map;     /* not to be freed */
        r = sal_map_save_npy(ctx, path, &raw);
        if (!r && !o->quiet && !o->several) printf("%s\n", path);
    }
    return r;
}

static sal_result predict(sal_ctx *ctx, void *arg, const char *picture) {
    options *o = (options *)arg;
    sal_image image;
    sal_map map;
    sal_result r = sal_image_load(ctx, picture, &image);
    if (r) return r;
    r = sal_model_predict(ctx, &o->model, &image, &map);
    if (!r) {
        r = write_results(ctx, o, picture, &image, &map);
        sal_map_free(ctx, &map);
    }
    sal_image_free(ctx, &image);
    return r;
}

int main(int argc, char **argv) {
    sal_ctx ctx;
    options o;
    list pictures = { NULL, 0, 0 };
    const char *name = NULL, *weights = NULL, *input = NULL;
    int i, status = 0, center = 0, domain = SAL_DOMAIN_NEUTRAL;
    memset(&ctx, 0, sizeof ctx);
    sal_use_lite(&ctx);
    memset(&o, 0, sizeof o);

    for (i = 1; i < argc && !status; i++) {
        const char *a = argv[i], **value = NULL, *threads = NULL, *prior = NULL;
        if (!strcmp(a, "-h") || !strcmp(a, "--help")) {
            fputs(help, stdout);
            list_free(&pictures);
            return 0;
        } else if (!strcmp(a, "-m")) value = &name;
        else if (!strcmp(a, "-w")) value = &weights;
        else if (!strcmp(a, "-o")) value = &o.out;
        else if (!strcmp(a, "--overlay")) value = &o.overlay;
        else if (!strcmp(a, "--npy")) value = &o.npy;
        else if (!strcmp(a, "--domain")) value = &prior;
        else if (!strcmp(a, "--input")) value = &input;
        else if (!strcmp(a, "--threads")) value = &threads;
        else if (!strcmp(a, "--center")) center = 1;
        else if (!strcmp(a, "--raw")) o.raw = 1;
        else if (!strcmp(a, "--quiet")) o.quiet = 1;
        else if (a[0] == '-') status = complain("%s is not an option; see predict --help", a);
        else status = list_path(&ctx, &pictures, a, &o.several);
        if (value && i + 1 == argc) status = complain("%s needs a value; see predict --help", a);
        else if (value) *value = argv[++i];
        if (!status && threads) status = read_whole(a, threads, 1, MOST_THREADS, &ctx.threads);
        if (!status && prior) status = read_whole(a, prior, 0, SAL_DOMAINS - 1, &domain);
    }
    if (!status && !pictures.count)
        status = complain("%s", "which pictures? see predict --help");
    if (!status && o.raw && !o.npy)
        status = complain("%s", "--raw says what --npy writes: add --npy");
    if (pictures.count > 1) o.several = 1;
    if (!status && o.several)
        status = check_collisions(&pictures) || make_folder(o.out) || make_folder(o.overlay) ||
                 make_folder(o.npy);
    if (!status && sal_model_open(&ctx, name, weights, &o.model))
        status = complain("%s", sal_error(&ctx));
    if (!status && input) status = resize_input(&ctx, &o.model, input);
    if (!status && o.raw && !o.model.net)
        status = complain("--raw: %s is not a network, it has no raw output", o.model.name);
    o.model.center = center;
    o.model.domain = domain;
    if (!status) status = for_all(&ctx, &pictures, o.quiet, predict, &o);
    sal_model_close(&ctx, &o.model);
    list_free(&pictures);
    return status;
}
