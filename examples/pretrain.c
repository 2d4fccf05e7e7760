/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* pretrain: a data set for weak pre-training, from photographs nobody has looked at yet
   (WEPSAM, section 3.1): a saliency model labels them, the clearest labels are kept.

       gcc -O2 examples/pretrain.c -o pretrain -lm          (add -fopenmp to use all cores)

   Run  pretrain --help  for the options. The result is a data set like any other:
       train -m wepsam --data OUT ... */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"

static const char program[] = "pretrain";
#include "cli.h"

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
    "  -h, --help       this text; --version: the version\n"
    "\n"
    "The entropy of a map is that of the histogram of its 256 grey levels, in bits: few grey\n"
    "levels mean one clear peak on black. A run that was cut off goes on where it stopped; maps\n"
    "that exist in OUT/candidates/ and are newer than their photographs are not made again (so\n"
    "another model or size needs another OUT).\n"
    "Photographs that cannot be read are reported, left out, and make the exit status 1.\n";

typedef struct photo {
    const char *name;
    double entropy;         /* bits; negative: no map */
    char error[sizeof ((sal_ctx *)0)->error];
} photo;

enum { MOST_TEACHERS = 8 };

typedef struct job {
    sal_ctx *ctx;           /* one for each worker: a context belongs to one thread */
    sal_model *model;       /* likewise, teachers of them */
    const char *name, *weights[MOST_TEACHERS];
    int workers, files, teachers, mirror;
    const char *images, *out;
    pictures found;
    photo *photos;
    int size, keep, first;
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

static void mirror_image(sal_image *image) {
    mirror(image->data, image->w, image->h, 3);
    if (image->rgba) mirror(image->rgba, image->w, image->h, 4);
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
        if (k % times) mirror_image(image);
        r = sal_model_predict(ctx, &j->model[worker * j->teachers + k / times], image, &map);
        if (!r && k % times) mirror(map.data, map.w, map.h, sizeof(float));
        if (k % times) mirror_image(image);
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
    snprintf(picture, sizeof picture, "%s/%s", j->images, p->name);
    if (sal_path_kind(candidate) != 0 || is_newer(picture, candidate)) {
        r = sal_image_load(ctx, picture, &image);
        if (!r) r = ask(ctx, j, worker, &image, &map);
        if (!r) r = sal_map_new(ctx, j->size, j->size, &small);
        if (!r)
            r = sal_resize(ctx, small.data, j->size, j->size, map.data, map.w, map.h, 1,
                           SAL_FILTER_AREA);
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

/* Put photograph and map, enlarged to its size, into the data set. Data sets are read without
   regard to EXIF orientation, so a photograph that has one is written upright. */
static sal_result keep(sal_ctx *ctx, const job *j, const photo *p) {
    char from[4096], picture[4096], to[4096];
    unsigned char *bytes = NULL;
    size_t size;
    sal_image image = { 0 };
    sal_map small = { 0 }, map = { 0 };
    sal_result r;
    snprintf(from, sizeof from, "%s/%s", j->images, p->name);
    snprintf(picture, sizeof picture, "%s/images/%s", j->out, p->name);
    map_path(to, sizeof to, j->out, "maps", p->name);
    if (sal_path_kind(picture) == 0 && sal_path_kind(to) == 0 && !is_newer(from, to)) return SAL_OK;
    r = sal_file_read(ctx, from, &bytes, &size);
    if (!r) r = sal_image_load_memory(ctx, bytes, size, from, &image);
    if (!r) r = image.turned ? sal_image_save(ctx, picture, &image)
                             : sal_file_write(ctx, picture, bytes, size);
    map_path(from, sizeof from, j->out, "candidates", p->name);
    if (!r) r = sal_map_load_image(ctx, from, &small);
    if (!r) r = sal_map_new(ctx, image.w, image.h, &map);
    if (!r)
        r = sal_resize(ctx, map.data, map.w, map.h, small.data, small.w, small.h, 1,
                       SAL_FILTER_LINEAR);
    if (!r) r = sal_map_save_png(ctx, to, &map);
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

/* A cell of a table: in quotes if it needs them. At most 255 characters of the name. */
static const char *csv_text(char out[520], const char *name) {
    char *to = out;
    int i;
    if (!strpbrk(name, ",\"\n\r")) { snprintf(out, 520, "%.255s", name); return out; }
    *to++ = '"';
    for (i = 0; name[i] && i < 255; i++) {
        if (name[i] == '"') *to++ = '"';
        *to++ = name[i];
    }
    *to++ = '"';
    *to = 0;
    return out;
}

static sal_result write_ranking(sal_ctx *ctx, const job *j, int count, int kept) {
    char path[4096], cell[520], *text = (char *)sal_alloc(ctx, (size_t)count + 1, 600);
    int i, used;
    sal_result r;
    if (!text) return SAL_ERR_MEMORY;
    used = sprintf(text, "rank,file,entropy_bits,kept\n");
    for (i = 0; i < count && j->photos[i].entropy >= 0; i++)
        used += sprintf(text + used, "%d,%s,%.6f,%d\n", i + 1, csv_text(cell, j->photos[i].name),
                        j->photos[i].entropy, i < kept);
    snprintf(path, sizeof path, "%s/ranking.csv", j->out);
    r = sal_file_write(ctx, path, text, (size_t)used);
    sal_free(ctx, text);
    return r;
}

/* What the maps depend on, beside the photographs: a line for each. */
static int describe(sal_ctx *ctx, const job *j, char *text, int room) {
    int i, n = snprintf(text, (size_t)room, "size %d\nmirror %d\n", j->size, j->mirror);
    if (!j->files) n += snprintf(text + n, (size_t)(room - n), "model %s\n", j->name);
    for (i = 0; i < j->files; i++)
        n += snprintf(text + n, (size_t)(room - n), "weights %016llx\n", file_hash(ctx, j->weights[i]));
    return n;
}

/* Maps that exist are taken as they are, so they must have been made with the same settings. */
static int same_settings(sal_ctx *ctx, const job *j) {
    char path[PATH_ROOM], now_set[512];
    unsigned char *before = NULL;
    size_t size = 0;
    int n = describe(ctx, j, now_set, sizeof now_set), same;
    snprintf(path, sizeof path, "%s/candidates/settings.txt", j->out);
    if (sal_path_kind(path) < 0)
        return sal_file_write(ctx, path, now_set, (size_t)n) ? complain("%s", sal_error(ctx)) : 0;
    if (sal_file_read(ctx, path, &before, &size)) return complain("%s", sal_error(ctx));
    same = (int)size == n && !memcmp(before, now_set, size);
    sal_free(ctx, before);
    if (same) return 0;
    return complain("%s: its maps were made with other settings; choose another --out, or delete it",
                    j->out);
}

/* The folders of the data set. The photographs must not lie in it: what is not kept is removed. */
static int make_set(const job *j) {
    static const char *const parts[] = { "candidates", "images", "maps" };
    char path[PATH_ROOM];
    identity from, to;
    int i, here[3];
    for (i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", j->out, parts[i]);
        here[i] = sal_path_kind(path) >= 0;
    }
    if (!here[0] && (here[1] || here[2]))
        return complain("%s: is a data set of other origin, and pictures of it could be removed; "
                        "choose another --out", j->out);
    for (i = 0; i < 3; i++) {
        if (snprintf(path, sizeof path, "%s/%s/", j->out, parts[i]) >= (int)sizeof path ||
            !make_folders(path)) return complain("%s/%s: cannot be made a folder", j->out,
                                                 parts[i]);
        if (identify(j->images, &from) && identify(path, &to) && same_file(&from, &to))
            return complain("%s: these photographs would be overwritten; choose another --out",
                            j->images);
    }
    return 0;
}

/* Pictures of an earlier run that are no longer among the photographs would stay in the data set,
   outside of the ranking. */
static int strangers(sal_ctx *ctx, const job *j) {
    char path[4096], **names;
    int i, k, count, status = 0;
    snprintf(path, sizeof path, "%s/images", j->out);
    if (sal_dir_list(ctx, path, &names, &count)) return complain("%s", sal_error(ctx));
    for (i = 0; i < count && !status; i++) {
        if (names[i][0] == '.') continue;
        for (k = 0; k < j->found.count && strcmp(names[i], j->found.item[k].below); k++) ;
        if (k == j->found.count)
            status = complain("%s/%s: is of an earlier run, and no longer in %s; remove it and its "
                              "map, or choose another --out", path, names[i], j->images);
    }
    sal_free(ctx, names);
    return status;
}

/* Label all, rank, keep the first. */
static int pretrain(sal_ctx *ctx, job *j) {
    enum { STRIDE = 64 };
    int i, failed = 0, kept, count = j->found.count, bar = !j->found.quiet && is_terminal(2);
    double start = now();
    for (j->first = 0; j->first < count; j->first += STRIDE) {
        if (bar) show_progress(j->first, count, start);
        sal_parallel_for(ctx, count - j->first < STRIDE ? count - j->first : STRIDE, label, j);
    }
    if (bar) show_progress(count, count, start);
    qsort(j->photos, (size_t)count, sizeof *j->photos, by_entropy);
    for (i = 0; i < count; i++)
        if (j->photos[i].entropy < 0) { failed = 1; complain("%s", j->photos[i].error); }
    for (kept = 0; kept < count && kept < j->keep && j->photos[kept].entropy >= 0; kept++)
        if (keep(ctx, j, &j->photos[kept])) return complain("%s", sal_error(ctx));
    for (i = kept; i < count; i++) drop(j, &j->photos[i]);
    if (write_ranking(ctx, j, count, kept)) return complain("%s", sal_error(ctx));
    if (bar) fprintf(stderr, "%d of %d kept in %s\n", kept, count, j->out);
    name_unread(&j->found);
    return failed;
}

/* --- options ------------------------------------------------------------------------------- */

static int read_weights(void *into, const char *option, const char *value) {
    job *j = (job *)into;
    if (j->files == MOST_TEACHERS) return complain("%s: at most %d of them", option, MOST_TEACHERS);
    j->weights[j->files++] = value;
    return 0;
}

static int read_command_line(sal_ctx *ctx, job *j, int argc, char **argv) {
    const option table[] = {
        option_text("--images", &j->images),
        option_text("--out", &j->out),
        option_whole("--keep", &j->keep, 1, INT_MAX),
        option_whole("--size", &j->size, 1, 1 << 14),
        option_text("-m", &j->name),
        option_call("-w", read_weights, j),
        option_flag("--mirror", &j->mirror),
        option_whole("--threads", &ctx->threads, 1, MOST_THREADS),
        option_flag("--quiet", &j->found.quiet),
    };
    int count, status = read_options(argc, argv, table, COUNT(table), help, &count);
    if (status) return status;
    if (count) return complain("%s: what to do with it? see pretrain --help", argv[0]);
    if (j->files && refuse("-m", "with -w")) return 1;
    if (!j->images || !j->out)
        return complain("which --images, and --out where? see pretrain --help");
    return 0;
}

static int find_photos(sal_ctx *ctx, job *j) {
    char *folder = (char *)(uintptr_t)j->images;
    int i;
    if (sal_path_kind(j->images) != 1) return complain("%s: is not a folder", j->images);
    if (find_pictures(ctx, &j->found, &folder, 1)) return 1;
    j->photos = (photo *)sal_alloc(ctx, (size_t)j->found.count, sizeof *j->photos);
    if (!j->photos) return complain("%s", sal_error(ctx));
    for (i = 0; i < j->found.count; i++) {
        j->photos[i].name = j->found.item[i].below;
        j->photos[i].entropy = -1;
    }
    return 0;
}

/* All teachers once for each worker: a model predicts one picture at a time. */
static int open_teachers(sal_ctx *ctx, job *j) {
    size_t length = strlen(j->name);
    char name[64];
    model_options which = { 0 };
    int i;
    j->workers = sal_threads(ctx);
    j->teachers = j->files ? j->files : 1;
    j->ctx = (sal_ctx *)sal_alloc(ctx, (size_t)j->workers, sizeof *j->ctx);
    j->model = (sal_model *)sal_alloc(ctx, (size_t)j->workers * j->teachers, sizeof *j->model);
    if (!j->ctx || !j->model) return complain("%s", sal_error(ctx));
    which.center = length > 7 && !strcmp(j->name + length - 7, "+center");
    snprintf(name, sizeof name, "%.*s", (int)length - 7 * which.center, j->name);
    for (i = 0; i < j->workers * j->teachers; i++) {
        sal_ctx *own = &j->ctx[i / j->teachers];
        own->threads = 1;
        which.weights = j->files ? j->weights[i % j->files] : NULL;
        which.name = j->files ? NULL : name;
        if (open_model(own, &which, &j->model[i])) return 1;
    }
    return 0;
}

static void close_all(sal_ctx *ctx, job *j) {
    int i;
    for (i = 0; j->ctx && j->model && i < j->workers * j->teachers; i++)
        sal_model_close(&j->ctx[i / j->teachers], &j->model[i]);
    sal_free(ctx, j->model);
    sal_free(ctx, j->ctx);
    sal_free(ctx, j->photos);
    pictures_free(&j->found);
}

int main(int argc, char **argv) {
    sal_ctx ctx = { 0 };
    job j;
    int status;
    memset(&j, 0, sizeof j);
    j.found.recursive = -1;
    j.size = 32;
    j.keep = INT_MAX;
    j.name = "gbvs";
    status = read_command_line(&ctx, &j, argc, argv);
    if (!status) status = find_photos(&ctx, &j);
    if (!status) status = make_set(&j);
    if (!status) status = open_teachers(&ctx, &j);
    if (!status) status = same_settings(&ctx, &j);
    if (!status) status = strangers(&ctx, &j);
    if (!status) status = pretrain(&ctx, &j);
    close_all(&ctx, &j);
    return finish(status);
}
