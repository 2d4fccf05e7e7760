/* predict: photographs in, saliency maps out.

       gcc -O2 examples/predict.c -o predict -lm          (add -fopenmp to use all cores)

   Run  predict --help  for the options. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "../weights/saliency_lite.h"

static const char program[] = "predict";
#include "cli.h"

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
    "  --domain N        lite: with the prior of 1 osie, 2 scene, 3 mit1003, 4 figrim\n"
    "                    (default 0: any picture)\n"
    "  --center          multiply by a centre prior: people look at the middle first\n"
    "  -o OUT.png        the map as an 8-bit grey picture\n"
    "  --overlay OUT.png the map in colours over the picture\n"
    "  --npy OUT.npy     the map as NumPy float32 (height, width), maximum 1\n"
    "  --raw             --npy is the network's own output, before any post-processing\n"
    "  --threads N       use N threads (default: all cores)\n"
    "  --quiet           no progress, no list of what was written\n"
    "  --recursive       folders with all that is below them; OUT gets the same sub-folders\n"
    "  -h, --help        this text; --version: the version\n"
    "\n"
    "Without -o, --overlay and --npy the map goes to NAME-saliency.png in the current folder.\n"
    "For several pictures or a folder, OUT is a folder and its files are called NAME.png,\n"
    "NAME.npy; so it is if there is a folder of this name, if it ends in a slash or has no\n"
    "extension. Nothing is written over a picture. Pictures are JPEG, PNG, BMP, PPM or PGM. What cannot be read is reported at the\n"
    "end and makes the exit status 1. Networks look for weights in the folder\n"
    "$SALIENCY_WEIGHTS, or weights/.\n";

typedef struct options {
    model_options which;
    sal_model model;
    pictures pictures;
    const char *out, *overlay, *npy;
    int raw;
} options;

/* --- one picture --------------------------------------------------------------------------- */

static sal_result write_map(sal_ctx *ctx, options *o, const picture *of, const sal_map *map) {
    char path[PATH_ROOM];
    sal_result r = result_path(ctx, &o->pictures, of, o->out, "-saliency", "", "png", path);
    if (!r) r = sal_map_save_png(ctx, path, map);
    if (!r) written(&o->pictures, path);
    return r;
}

static sal_result write_overlay(sal_ctx *ctx, options *o, const picture *of,
                                const sal_image *image, const sal_map *map) {
    char path[PATH_ROOM];
    sal_image colours;
    sal_result r = result_path(ctx, &o->pictures, of, o->overlay, "", "", "png", path);
    if (!r) r = sal_overlay(ctx, image, map, 0.6f, &colours);
    if (r) return r;
    r = sal_image_save(ctx, path, &colours);
    sal_image_free(ctx, &colours);
    if (!r) written(&o->pictures, path);
    return r;
}

static sal_result write_npy(sal_ctx *ctx, options *o, const picture *of, const sal_map *map) {
    char path[PATH_ROOM];
    sal_map numbers = o->raw ? sal_model_raw(&o->model) : *map;     /* not to be freed */
    sal_result r = result_path(ctx, &o->pictures, of, o->npy, "", "", "npy", path);
    if (!r) r = sal_map_save_npy(ctx, path, &numbers);
    if (!r) written(&o->pictures, path);
    return r;
}

static sal_result predict(sal_ctx *ctx, void *arg, const picture *of) {
    options *o = (options *)arg;
    sal_image image;
    sal_map map;
    sal_result r = sal_image_load(ctx, of->path, &image);
    if (r) return r;
    r = sal_model_predict(ctx, &o->model, &image, &map);
    if (!r) {
        if (o->out || (!o->overlay && !o->npy)) r = write_map(ctx, o, of, &map);
        if (!r && o->overlay) r = write_overlay(ctx, o, of, &image, &map);
        if (!r && o->npy) r = write_npy(ctx, o, of, &map);
        sal_map_free(ctx, &map);
    }
    sal_image_free(ctx, &image);
    return r;
}

/* --- options ------------------------------------------------------------------------------- */

static int read_command_line(sal_ctx *ctx, options *o, int argc, char **argv) {
    const option table[] = {
        option_text("-m", &o->which.name),
        option_text("-w", &o->which.weights),
        option_size("--input", o->which.input),
        option_whole("--domain", &o->which.domain, 0, SAL_DOMAINS - 1),
        option_flag("--center", &o->which.center),
        option_text("-o", &o->out),
        option_text("--overlay", &o->overlay),
        option_text("--npy", &o->npy),
        option_flag("--raw", &o->raw),
        option_whole("--threads", &ctx->threads, 1, MOST_THREADS),
        option_flag("--recursive", &o->pictures.recursive),
        option_flag("--quiet", &o->pictures.quiet),
    };
    int count, status = read_options(argc, argv, table, SAL__COUNT(table), help, &count);
    if (status) return status;
    if (o->raw && !o->npy) return complain("--raw says what --npy writes: add --npy");
    return find_pictures(ctx, &o->pictures, argv, count) || check_out(&o->pictures, o->out) ||
           check_out(&o->pictures, o->overlay) || check_out(&o->pictures, o->npy);
}

int main(int argc, char **argv) {
    sal_ctx ctx;
    options o;
    int status;
    memset(&ctx, 0, sizeof ctx);
    memset(&o, 0, sizeof o);
    sal_use_lite(&ctx);
    status = read_command_line(&ctx, &o, argc, argv);
    if (!status) status = open_model(&ctx, &o.which, &o.model);
    if (!status && o.raw && !o.model.net)
        status = complain("--raw: %s is not a network, it has no raw output", o.model.name);
    if (!status) status = for_all(&ctx, &o.pictures, predict, &o);
    sal_model_close(&ctx, &o.model);
    pictures_free(&o.pictures);
    return finish(status);
}
