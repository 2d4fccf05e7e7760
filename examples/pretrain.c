/* pretrain: a data set for weak pre-training, from photographs nobody has looked at yet
   (WEPSAM, section 3.1): a saliency model labels them, the clearest labels are kept.

       gcc -O2 examples/pretrain.c -o pretrain -lm          (add -fopenmp to use all cores)

   Run  pretrain --help  for the options. The result is a data set like any other:
       train -m wepsam --data OUT ... */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"

static const char program[] = "pretrain";
#include "options.h"

static const char help[] =
    "pretrain: label photographs with a saliency model and keep the clearest\n"
    "\n"
    "usage: pretrain --images FOLDER --out FOLDER [options]\n"
    "\n"
    "  --images FOLDER  the photographs (JPEG, PNG, BMP, PPM)\n"
    "  --out FOLDER     becomes a data set: images/ and maps/ of what is kept, ranking.csv of all\n"
    "  --keep N         keep the N maps of lowest entropy (default: all)\n"
    "  --size N         side of the map that is made and judged (default 32)\n"
    "  -m MODEL         what labels them (default gbvs); MODEL+center: times the centre prior\n"
    "  -w WEIGHTS       a network from a file instead; several -w: the mean of their maps\n"
    "  --mirror         and of those of the mirrored photograph, turned back\n"
    "  --threads N      use N threads (default: all cores)\n"
    "  --quiet          no progress\n"
    "  -h, --help       this text\n"
    "\n"
    "The entropy of a map is that of the histogram of its 256 grey levels, in bits: few grey\n"
    "levels mean one clear peak on black. A run that was cut off goes on where it stopped; maps\n"
    "that exist in OUT/candidates/ are not made again (so take another OUT for another model).\n"
    "Photographs that cannot be read are reported, left out, and make the exit status 1.\n";

typedef struct photo {
    char *name;
    double entropy;         /* bits; negative: no map */
    char error[sizeof ((sal_ctx *)0)->error];
} photo;

typedef struct job {
    sal_ctx *ctx;           /* one for each worker: a context belongs to one thread */
    sal_model *model;       /* likewise, teachers of them */
    int teachers, mirror;
    const char *images, *out;
    photo *photos;
    int size, first;
} job;

/* FOLDER/PART/NAME.png without the picture's own extension. */
static void map_path(char *path, size_t size, const char *folder, const char *part,
                     const char *name) {
    const char *dot = strrchr(name, '.');
    snprintf(path, size, "%s/%s/%.*s.png", folder, part, (int)(dot - name), name);
}

/* E = - sum over the grey levels of p log2 p, p the share of pixels with that level (WEPSAM 3.1) */
static double entropy_of(const sal_map *map) {
    int count[256] = { 0 }, i, n = map->w * map->h;
    double sum = 0;
    for (i = 0; i < n; i++) count[(int)(map->data[i] * 255 + 0.5f) & 255]++;
    for (i = 0; i < 256; i++)
        if (count[i]) sum -= (double)count[i] / n * log((double)count[i] / n) / log(2.0);
    return sum;
}

static void mirror(void *data, int w, int h, size_t pixel) {
    char *left = (char *)data, keep[16];
    int x, y;
    for (y = 0; y < h; y++, left += w * pixel)
        for (x = 0; x < w / 2; x++) {
            char *a = left + x * pixel, *b = left + (w - 1 - x) * pixel;
            memcpy(keep, a, pixel); memcpy(a, b, pixel); memcpy(b, keep, pixel);
        }
}

/* The mean of what all teachers say, each map scaled to the sum 1, then to the maximum 1. */
static sal_result ask(sal_ctx *ctx, const job *j, int worker, sal_image *image, sal_map *mean) {
    int k, times = j->mirror ? 2 : 1;
    size_t i, n = (size_t)image->w * image->h;
    float top = 0;
    sal_result r = sal_map_new(ctx, image->w, image->h, mean);
    for (k = 0; !r && k < times * j->teachers; k++) {
        sal_map map = { 0 };
        double sum = 0;
        if (k % times) mirror(image->data, image->w, image->h, 3);
        r = sal_model_predict(ctx, &j->model[worker * j->teachers + k / times], image, &map);
        if (!r && k % times) mirror(map.data, map.w, map.h, sizeof(float));
        if (k % times) mirror(image->data, image->w, image->h, 3);
        for (i = 0; !r && i < n; i++) sum += map.data[i];
        for (i = 0; !r && sum > 0 && i < n; i++) mean->data[i] += (float)(map.data[i] / sum);
        sal_map_free(ctx, &map);
    }
    for (i = 0; !r && i < n; i++) if (mean->data[i] > top) top = mean->data[i];
    for (i = 0; !r && top > 0 && i < n; i++) mean->data[i] /= top;
    return r;
}

/* The small map of one photograph, made or found, and its entropy. */
static void label(void *arg, int index, int worker) {
    job *j = (job *)arg;
    photo *p = &j->photos[j->first + index];
    sal_ctx *ctx = &j->ctx[worker];
    char candidate[4096], picture[4096];
    sal_image image = { 0 };
    sal_map map = { 0 }, small = { 0 };
    sal_result r = SAL_OK;
    map_path(candidate, sizeof candidate, j->out, "candidates", p->name);
    if (sal_path_kind(candidate) != 0) {
        snprintf(picture, sizeof picture, "%s/%s", j->images, p->name);
        r = sal_image_load(ctx, picture, &image);
        if (!r) r = ask(ctx, j, worker, &image, &map);
        if (!r) r = sal_map_new(ctx, j->size, j->size, &small);
        if (!r)
            r = sal_resize(ctx, small.data, j->size, j->size, map.data, map.w, map.h, 1, SAL_AREA);
        if (!r) r = sal_map_save_png(ctx, candidate, &small);
    }
    sal_map_free(ctx, &small);
    if (!r) r = sal_map_load_image(ctx, candidate, &small);     /* judged as it was stored */
    if (!r) p->entropy = entropy_of(&small);
    if (r) snprintf(p->error, sizeof p->error, "%s", sal_error(ctx));
    sal_map_free(ctx, &small);
    sal_map_free(ctx, &map);
    sal_image_free(ctx, &image);
}

/* Put photograph and map, enlarged to its size, into the data set. */
static sal_result keep(sal_ctx *ctx, const job *j, const photo *p) {
    char from[4096], to[4096];
    unsigned char *bytes = NULL;
    size_t size;
    sal_image image = { 0 };
    sal_map small = { 0 }, map = { 0 };
    sal_result r;
    snprintf(from, sizeof from, "%s/%s", j->images, p->name);
    snprintf(to, sizeof to, "%s/images/%s", j->out, p->name);
    r = sal_file_read(ctx, from, &bytes, &size);
    if (!r && sal_path_kind(to) != 0) r = sal_file_write(ctx, to, bytes, size);
    map_path(to, sizeof to, j->out, "maps", p->name);
    if (!r && sal_path_kind(to) != 0) {
        r = sal_image_load_memory(ctx, bytes, size, from, &image);
        map_path(from, sizeof from, j->out, "candidates", p->name);
        if (!r) r = sal_map_load_image(ctx, from, &small);
        if (!r) r = sal_map_new(ctx, image.w, image.h, &map);
        if (!r)
            r = sal_resize(ctx, map.data, map.w, map.h, small.data, small.w, small.h, 1,
                           SAL_LINEAR);
        if (!r) r = sal_map_save_png(ctx, to, &map);
    }
    sal_map_free(ctx, &map);
    sal_map_free(ctx, &small);
    sal_image_free(ctx, &image);
    sal_free(ctx, bytes);
    return r;
}

/* What an earlier run kept and this one does not. */
static void drop(const job *j, const photo *p) {
    char path[4096];
    snprintf(path, sizeof path, "%s/images/%s", j->out, p->name);
    remove(path);
    map_path(path, sizeof path, j->out, "maps", p->name);
    remove(path);
}

static int by_entropy(const void *a, const void *b) {
    const photo *x = (const photo *)a, *y = (const photo *)b;
    int no_x = x->entropy < 0, no_y = y->entropy < 0;
    if (no_x != no_y) return no_x - no_y;           /* without a map: last */
    if (x->entropy != y->entropy) return x->entropy < y->entropy ? -1 : 1;
    return strcmp(x->name, y->name);
}

static sal_result write_ranking(sal_ctx *ctx, const job *j, int count, int kept) {
    char path[4096], *text = (char *)sal_alloc(ctx, (size_t)count + 1, 320);
    int i, used;
    sal_result r;
    if (!text) return SAL_ERR_MEMORY;
    used = sprintf(text, "rank,file,entropy_bits,kept\n");
    for (i = 0; i < count && j->photos[i].entropy >= 0; i++)
        used += sprintf(text + used, "%d,%.255s,%.6f,%d\n", i + 1, j->photos[i].name,
                        j->photos[i].entropy, i < kept);
    snprintf(path, sizeof path, "%s/ranking.csv", j->out);
    r = sal_file_write(ctx, path, text, (size_t)used);
    sal_free(ctx, text);
    return r;
}

static int make_folders(const char *out) {
    static const char *const parts[] = { "", "/candidates", "/images", "/maps" };
    char path[4096];
    size_t i;
    for (i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(path, sizeof path, "%s%s", out, parts[i]);
        if (sal_path_kind(path) != 1 && mkdir(path, 0777))
            return complain("%s: cannot be made a folder", path);
    }
    return 0;
}

/* Label all, rank, keep the first `most`. */
static int pretrain(sal_ctx *ctx, job *j, int count, int most, int bar) {
    enum { STRIDE = 64 };
    int i, failed = 0, kept;
    for (j->first = 0; j->first < count; j->first += STRIDE) {
        sal_parallel_for(ctx, count - j->first < STRIDE ? count - j->first : STRIDE, label, j);
        if (bar) fprintf(stderr, "\r%d/%d", j->first, count);
    }
    if (bar) fprintf(stderr, "\r%d/%d\n", count, count);
    qsort(j->photos, (size_t)count, sizeof *j->photos, by_entropy);
    for (i = 0; i < count; i++)
        if (j->photos[i].entropy < 0) { failed = 1; complain("%s", j->photos[i].error); }
    for (kept = 0; kept < count && kept < most && j->photos[kept].entropy >= 0; kept++)
        if (keep(ctx, j, &j->photos[kept])) return complain("%s", sal_error(ctx));
    for (i = kept; i < count; i++) drop(j, &j->photos[i]);
    if (write_ranking(ctx, j, count, kept)) return complain("%s", sal_error(ctx));
    if (bar) fprintf(stderr, "%d of %d kept in %s\n", kept, count, j->out);
    return failed;
}

int main(int argc, char **argv) {
    sal_ctx ctx, *contexts = NULL;
    job j;
    const char *model = "gbvs", *weights[8], *file, *most = NULL, *size = NULL, *threads = NULL;
    char name[64], **names = NULL;
    int i, limit = INT_MAX, count = 0, found = 0, workers = 0, quiet = 0, status = 0, files = 0;
    int center;
    memset(&ctx, 0, sizeof ctx);
    memset(&j, 0, sizeof j);
    j.size = 32;
    for (i = 1; i < argc && !status; i++) {
        const char *a = argv[i], **value = NULL;
        if (!strcmp(a, "-h") || !strcmp(a, "--help")) { fputs(help, stdout); return 0; }
        else if (!strcmp(a, "--images")) value = &j.images;
        else if (!strcmp(a, "--out")) value = &j.out;
        else if (!strcmp(a, "--keep")) value = &most;
        else if (!strcmp(a, "--size")) value = &size;
        else if (!strcmp(a, "--threads")) value = &threads;
        else if (!strcmp(a, "-m")) value = &model;
        else if (!strcmp(a, "-w") && files < 8) value = &weights[files++];
        else if (!strcmp(a, "--mirror")) j.mirror = 1;
        else if (!strcmp(a, "--quiet")) quiet = 1;
        else status = complain("%s is not an option; see pretrain --help", a);
        if (value && i + 1 == argc) status = complain("%s needs a value; see pretrain --help", a);
        else if (value) *value = argv[++i];
    }
    if (!status && most) status = read_whole("--keep", most, 1, INT_MAX, &limit);
    if (!status && size) status = read_whole("--size", size, 1, 1 << 14, &j.size);
    if (!status && threads) status = read_whole("--threads", threads, 1, MOST_THREADS, &ctx.threads);
    if (!status && (!j.images || !j.out))
        status = complain("%s", "which --images, and --out where? see pretrain --help");
    if (status) return status;

    workers = sal_threads(&ctx);
    j.teachers = files ? files : 1;
    center = strlen(model) > 7 && !strcmp(model + strlen(model) - 7, "+center");
    snprintf(name, sizeof name, "%.*s", (int)strlen(model) - 7 * center, model);
    if (sal_dir_list(&ctx, j.images, &names, &count)) return complain("%s", sal_error(&ctx));
    j.photos = (photo *)sal_alloc(&ctx, (size_t)count + 1, sizeof *j.photos);
    contexts = (sal_ctx *)sal_alloc(&ctx, (size_t)workers, sizeof *contexts);
    j.model = (sal_model *)sal_alloc(&ctx, (size_t)workers * j.teachers, sizeof *j.model);
    j.ctx = contexts;
    if (!j.photos || !contexts || !j.model) status = complain("%s", sal_error(&ctx));
    for (i = 0; i < count && !status; i++) {
        if (!sal_is_picture(names[i])) continue;
        j.photos[found].name = names[i];
        j.photos[found++].entropy = -1;
    }
    if (!status && !found) status = complain("%s: no pictures in this folder", j.images);
    if (!status) status = make_folders(j.out);
    for (i = 0; i < workers * j.teachers && !status; i++) {
        sal_ctx *own = &contexts[i / j.teachers];
        own->threads = 1;
        file = files ? weights[i % files] : NULL;
        if (sal_model_open(own, file ? NULL : name, file, &j.model[i]))
            status = complain("%s", sal_error(own));
        j.model[i].center = center;
    }
    if (!status)
        status = pretrain(&ctx, &j, found, limit, !quiet && isatty(2));
    for (i = 0; j.model && i < workers * j.teachers; i++)
        sal_model_close(&contexts[i / j.teachers], &j.model[i]);
    sal_free(&ctx, j.model);
    sal_free(&ctx, contexts);
    sal_free(&ctx, j.photos);
    sal_free(&ctx, names);
    return status;
}
