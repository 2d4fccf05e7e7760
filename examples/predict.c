/* predict: photographs in, saliency maps out.

       gcc -O2 examples/predict.c -o predict -lm          (add -fopenmp to use all cores)

   Run  predict --help  for the options. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"

static const char help[] =
    "predict: where people look in a picture\n"
    "\n"
    "usage: predict [options] PICTURE|FOLDER ...\n"
    "\n"
    "  -m MODEL          a model by name; a network needs its file in weights/\n"
    "                      without weights: center spectral itti gbvs bms\n"
    "                      networks:        juntingnet wepsam mlnet sam-vgg sam-resnet\n"
    "  -w WEIGHTS        a network from a .safetensors file\n"
    "                    (neither: the best network found in weights/, else gbvs)\n"
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
    "For several pictures or a folder, OUT is a folder and its files are called NAME.png, NAME.npy.\n"
    "Pictures are JPEG, PNG, BMP, PPM or PGM. What cannot be read is reported at the end and makes\n"
    "the exit status 1. Networks look for weights in the folder $SALIENCY_WEIGHTS, or weights/.\n";

typedef struct options {
    const char *model, *out, *overlay, *npy;
    int center, raw, quiet, several;
} options;

static int complain(const char *sentence, const char *about) {
    fprintf(stderr, "predict: ");
    fprintf(stderr, sentence, about);
    fprintf(stderr, "\n");
    return 1;
}

/* --- the list of pictures ------------------------------------------------------------------ */

typedef struct list { char **item; int count, room; } list;

static int list_add(list *l, const char *folder, const char *name) {
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = (char *)malloc(size);
    if (l->count == l->room) {
        char **more = (char **)realloc(l->item, (size_t)(2 * l->room + 16) * sizeof(char *));
        if (!more) { free(path); return 0; }
        l->item = more;
        l->room = 2 * l->room + 16;
    }
    if (!path) return 0;
    snprintf(path, size, *folder ? "%s/%s" : "%s%s", folder, name);
    l->item[l->count++] = path;
    return 1;
}

static void list_free(list *l) {
    while (l->count) free(l->item[--l->count]);
    free(l->item);
}

static int list_folder(sal_ctx *ctx, list *pictures, const char *folder) {
    char **names;
    int count, i, before = pictures->count, ok = 1;
    if (sal_dir_list(ctx, folder, &names, &count)) return complain("%s", sal_error(ctx));
    for (i = 0; i < count && ok; i++)
        if (sal_is_picture(names[i])) ok = list_add(pictures, folder, names[i]);
    sal_free(ctx, names);
    if (!ok) return complain("%s: out of memory", folder);
    if (pictures->count == before) return complain("%s: no pictures in this folder", folder);
    return 0;
}

/* --- where results go ---------------------------------------------------------------------- */

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* OUT itself for one picture, OUT/NAME.end for several. */
static void result_path(char *path, size_t size, const char *out, const char *picture,
                        const char *end, int several) {
    const char *name = base_name(picture), *dot = strrchr(name, '.');
    int length = dot && dot != name ? (int)(dot - name) : (int)strlen(name);
    if (!out) snprintf(path, size, "%.*s-saliency.%s", length, name, end);
    else if (several) snprintf(path, size, "%s/%.*s.%s", out, length, name, end);
    else snprintf(path, size, "%s", out);
}

static int compare_results(const void *a, const void *b) {
    char x[4096], y[4096];
    result_path(x, sizeof x, "", *(char *const *)a, "", 1);
    result_path(y, sizeof y, "", *(char *const *)b, "", 1);
    return strcmp(x, y);
}

/* No two pictures may be written to one file. Sorts the list by name. */
static int check_collisions(list *pictures) {
    int i;
    qsort(pictures->item, (size_t)pictures->count, sizeof(char *), compare_results);
    for (i = 1; i < pictures->count; i++)
        if (!compare_results(&pictures->item[i - 1], &pictures->item[i])) {
            fprintf(stderr, "predict: %s and %s would be written to one file: predict them one at a "
                    "time\n", pictures->item[i - 1], pictures->item[i]);
            return 1;
        }
    return 0;
}

/* --- one picture --------------------------------------------------------------------------- */

static sal_result write_results(sal_ctx *ctx, const options *o, sal_model *model,
                                const char *picture, const sal_image *image, const sal_map *map) {
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
        raw = o->raw ? sal_model_raw(model) : *map;         /* still the model's: not to be freed */
        r = sal_map_save_npy(ctx, path, &raw);
        if (!r && !o->quiet && !o->several) printf("%s\n", path);
    }
    return r;
}

static sal_result predict(sal_ctx *ctx, const options *o, sal_model *model, const char *picture) {
    sal_image image;
    sal_map map;
    sal_result r = sal_image_load(ctx, picture, &image);
    if (r) return r;
    r = sal_model_predict(ctx, model, &image, &map);
    if (!r) {
        r = write_results(ctx, o, model, picture, &image, &map);
        sal_map_free(ctx, &map);
    }
    sal_image_free(ctx, &image);
    return r;
}

static void show_progress(int done, int count) {
    int i, width = 40, full = count ? done * width / count : width;
    fprintf(stderr, "\r[");
    for (i = 0; i < width; i++) fputc(i < full ? '#' : '.', stderr);
    fprintf(stderr, "] %d/%d%s", done, count, done == count ? "\n" : "");
}

/* All pictures; what fails is reported at the end. */
static int predict_all(sal_ctx *ctx, const options *o, sal_model *model, const list *pictures) {
    list failures = { NULL, 0, 0 };
    int i, failed = 0, bar = pictures->count > 1 && !o->quiet && isatty(2);
    for (i = 0; i < pictures->count; i++) {
        if (bar) show_progress(i, pictures->count);
        if (predict(ctx, o, model, pictures->item[i]) != SAL_OK) {
            failed++;
            if (!list_add(&failures, "", sal_error(ctx))) complain("%s", sal_error(ctx));
        }
    }
    if (bar) show_progress(i, pictures->count);
    for (i = 0; i < failures.count; i++) complain("%s", failures.item[i]);
    if (failed && pictures->count > 1)
        fprintf(stderr, "predict: %d of %d pictures failed\n", failed, pictures->count);
    list_free(&failures);
    return failed != 0;
}

static int make_folder(const char *path) {
    if (!path || sal_path_kind(path) == 1 || mkdir(path, 0777) == 0) return 0;
    return complain("%s: cannot be made a folder (several pictures need one)", path);
}

int main(int argc, char **argv) {
    sal_ctx ctx;
    sal_model model;
    options o;
    list pictures = { NULL, 0, 0 };
    const char *weights = NULL;
    int i, status = 0;
    memset(&ctx, 0, sizeof ctx);
    memset(&o, 0, sizeof o);

    for (i = 1; i < argc && !status; i++) {
        const char *a = argv[i], **value = NULL, *threads = NULL;
        if (!strcmp(a, "-h") || !strcmp(a, "--help")) {
            fputs(help, stdout);
            list_free(&pictures);
            return 0;
        } else if (!strcmp(a, "-m")) value = &o.model;
        else if (!strcmp(a, "-w")) value = &weights;
        else if (!strcmp(a, "-o")) value = &o.out;
        else if (!strcmp(a, "--overlay")) value = &o.overlay;
        else if (!strcmp(a, "--npy")) value = &o.npy;
        else if (!strcmp(a, "--threads")) value = &threads;
        else if (!strcmp(a, "--center")) o.center = 1;
        else if (!strcmp(a, "--raw")) o.raw = 1;
        else if (!strcmp(a, "--quiet")) o.quiet = 1;
        else if (a[0] == '-') status = complain("%s is not an option; see predict --help", a);
        else if (sal_path_kind(a) == 1) {
            status = list_folder(&ctx, &pictures, a);
            o.several = 1;
        } else if (!list_add(&pictures, "", a)) status = complain("%s: out of memory", a);
        if (value && i + 1 == argc) status = complain("%s needs a value; see predict --help", a);
        else if (value) *value = argv[++i];
        if (!status && threads) {
            ctx.threads = atoi(threads);
            if (ctx.threads < 1) status = complain("--threads %s: a number from 1 up, please", threads);
        }
    }
    if (!status && !pictures.count)
        status = complain("%s", "which pictures? see predict --help");
    if (!status && o.raw && !o.npy) status = complain("%s", "--raw says what --npy writes: add --npy");
    if (pictures.count > 1) o.several = 1;
    if (!status && o.several)
        status = check_collisions(&pictures) || make_folder(o.out) || make_folder(o.overlay) ||
                 make_folder(o.npy);
    if (!status) {
        if (sal_model_open(&ctx, o.model, weights, &model)) {
            status = complain("%s", sal_error(&ctx));
        } else if (o.raw && !model.net) {
            status = complain("--raw: %s is not a network, it has no raw output", model.name);
            sal_model_close(&ctx, &model);
        } else {
            model.center = o.center;
            status = predict_all(&ctx, &o, &model, &pictures);
            sal_model_close(&ctx, &model);
        }
    }
    list_free(&pictures);
    return status;
}
