/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* convert: a network's weights in another number format, or the mean of several trainings.

       gcc -O2 examples/convert.c -o convert -lm
       ./convert i8 trained.safetensors small.safetensors

       ./convert --ranges PHOTOS --ranges MORE i8 trained.safetensors small.safetensors

   Tensors of less than 8192 values stay float32. I8 has one scale for each row. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"

static const char program[] = "convert";
#include "cli.h"

static const char help[] =
    "convert: a network's weights in another number format\n"
    "\n"
    "usage: convert [options] f32|f16|bf16|i8 IN.safetensors [IN2 ...] OUT.safetensors\n"
    "\n"
    "Several inputs must be trainings of the same network: OUT gets the mean of their weights.\n"
    "The texts that were kept with the first go along. OUT may be a folder, or - for standard\n"
    "output.\n"
    "\n"
    "  --tone POWER,FLOOR   a map m, 0 to 1, of OUT becomes the larger of m^POWER and FLOOR\n"
    "  --ranges DIR         measure the ranges of values on 64 photographs of a folder (repeat it for\n"
    "                       several) and keep them in OUT: with them the CPU predicts in whole\n"
    "                       numbers. Without the option, those of a single input go along.\n"
    "  -h, --help           this text; --version: the version\n";

/* into += share * from, parameter by parameter */
static int add(sal_net *into, const sal_net *from, double share) {
    int i;
    size_t k;
    const sal_net_desc *a = &into->desc, *b = &from->desc;
    if (into->params != from->params || a->kind != b->kind || a->plain != b->plain ||
        a->steps != b->steps || a->stride_on_3x3 != b->stride_on_3x3 || a->priors != b->priors)
        return complain("these are different networks");
    if (a->w != b->w || a->h != b->h || a->fit != b->fit || a->bgr != b->bgr ||
        a->scale != b->scale || a->blur != b->blur ||
        memcmp(a->mean, b->mean, sizeof a->mean) || memcmp(a->std, b->std, sizeof a->std))
        return complain("these networks differ in their input or in the blur of their maps: inspect "
                        "shows both");
    if (!given_of("--tone") && (a->power != b->power || a->floor != b->floor))
        return complain("these networks have different tones: which one has OUT? --tone, please");
    for (i = 0; i < into->params; i++) {
        float *to = (float *)into->param[i].value.data;
        const float *x = (const float *)from->param[i].value.data;
        size_t n = sal_tensor_count(&into->param[i].value);
        if (n != sal_tensor_count(&from->param[i].value))
            return complain("these are different networks");
        for (k = 0; k < n; k++) to[k] += (float)(share * x[k]);
    }
    return 0;
}

typedef struct tone { float power, floor; } tone;

static int read_tone(void *into, const char *option, const char *value) {
    tone *t = (tone *)into;
    const char *at = value;
    double power, least;
    if (!sal_number_parse(&at, &power) && *at++ == ',' && !sal_number_parse(&at, &least) && !*at &&
        power >= .01 && power <= 100 && least >= 0 && least <= .5) {
        t->power = (float)power;
        t->floor = (float)least;
        return 0;
    }
    return complain("%s %s: a power from 0.01 to 100 and a floor from 0 to 0.5, please, as "
                    "1.5,0.01", option, value);
}

/* --- ranges of values -------------------------------------------------------------------------
   Of each convolution and the input: lowest and highest value of what it makes, with all that is
   fused into it, and each channel's mean; layers of one name share them. All are means over the
   photographs: what only one of them has is not worth coarser steps for the others. */

enum { PHOTOS = 64, FOLDERS = 16 };

typedef struct ranges {
    sal_net *net;
    const char *folder[FOLDERS];
    int folders, photos;
    int layers;
    float **of;                 /* [layer]: low, high, means */
    double **sum;               /* of the same over the photographs */
    double *seen;               /* [layer]: how many values each is of */
} ranges;

static int read_folder(void *into, const char *option, const char *value) {
    ranges *r = (ranges *)into;
    if (r->folders == FOLDERS) return complain("%s: at most %d folders", option, FOLDERS);
    r->folder[r->folders++] = value;
    return 0;
}

/* The first layer of this name, the one that counts. */
static int first_of(const sal_net *net, int i) {
    int k = 0;
    while (strcmp(net->layer[k].name, net->layer[i].name)) k++;
    return k;
}

static void see(ranges *r, int layer, const float *x, sal_shape s) {
    size_t area = (size_t)s.h * (size_t)s.w, i;
    int k = first_of(r->net, layer), c;
    float low = *x, high = *x;
    for (c = 0; c < s.c; c++) {
        double sum = 0;
        for (i = 0; i < area; i++, x++) {
            sum += *x;
            if (*x < low) low = *x;
            if (*x > high) high = *x;
        }
        r->sum[k][2 + c] += sum / (double)area;
    }
    r->sum[k][0] += low; r->sum[k][1] += high;
    r->seen[k]++;
}

static void watch(void *arg, const sal_run *run, int i) {
    sal_op op = run->net->layer[i].op;
    const sal_value *v = &run->value[run->step[i].output];
    if (op == SAL_OP_CONV2D || op == SAL_OP_DEPTHWISE) see((ranges *)arg, i, v->data, v->shape);
}

/* Photographs evenly spread over the sorted folder, but none that train --test-share 0.1 leaves
   out. */
static sal_result see_folder(sal_ctx *ctx, ranges *r, sal_run *run, float *pixels,
                             const char *folder) {
    sal_shape input = { 3, 0, 0 };
    char **name, path[PATH_ROOM];
    int count, taken = 0, used, i;
    sal_result result = sal_dir_list(ctx, folder, &name, &count);
    if (result) return result;
    for (i = 0; i < count; i++)
        if (sal_is_picture(name[i]) && sal_name_share(name[i], 0) >= 0.1) name[taken++] = name[i];
    used = taken < PHOTOS ? taken : PHOTOS;
    if (!used) result = fail(ctx, "%s: no photographs to measure ranges on (those that train "
                             "--test-share 0.1 leaves out do not count)", folder);
    input.h = run->h; input.w = run->w;
    for (i = 0; i < used && !result; i++, r->photos++) {
        sal_image image;
        snprintf(path, sizeof path, "%s/%s", folder, name[(long)i * taken / used]);
        result = sal_image_load(ctx, path, &image);
        if (result) break;
        result = sal_preprocess(ctx, r->net, &image, run->w, run->h, pixels);
        sal_image_free(ctx, &image);
        if (!result) see(r, 0, pixels, input);
        if (!result) result = sal_run_forward(ctx, run, pixels);
    }
    sal_free(ctx, name);
    return result;
}

/* In floats, also if the network has ranges already. */
static sal_result see_photos(sal_ctx *ctx, ranges *r) {
    sal_backend plain = *sal_backend_cpu();
    sal_run *run = NULL;
    float *pixels = NULL;
    sal_result result;
    int i;
    plain.can_fuse = NULL;               /* so that each layer's values are seen */
    ctx->backend = &plain;
    r->net->desc.float32 = 1;
    result = sal_run_open(ctx, r->net, 1, 0, 0, &run);
    if (!result) {
        run->watch = watch; run->watch_arg = r;
        pixels = (float *)sal_alloc(ctx, (size_t)3 * (size_t)(run->h * run->w), sizeof *pixels);
        if (!pixels) result = SAL_ERR_MEMORY;
    }
    for (i = 0; i < r->folders && !result; i++)
        result = see_folder(ctx, r, run, pixels, r->folder[i]);
    sal_free(ctx, pixels);
    sal_run_close(ctx, run);
    ctx->backend = NULL;
    return result;
}

/* The network's layers get ranges, which belong to r. */
static int measure(sal_ctx *ctx, ranges *r, sal_net *net) {
    int i, c;
    sal_result result = SAL_OK;
    r->net = net;
    r->of = NEW(ctx, float *, net->layers);
    r->sum = NEW(ctx, double *, net->layers);
    r->seen = NEW(ctx, double, net->layers);
    if (r->of && r->sum && r->seen) r->layers = net->layers; else result = SAL_ERR_MEMORY;
    for (i = 0; i < net->layers && !result; i++) {
        sal_op op = net->layer[i].op;
        size_t channels = i ? (size_t)net->layer[i].shape.c : 3;
        if ((i && op != SAL_OP_CONV2D && op != SAL_OP_DEPTHWISE) || first_of(net, i) != i) continue;
        r->of[i] = (float *)sal_alloc(ctx, channels + 2, sizeof(float));
        r->sum[i] = (double *)sal_alloc(ctx, channels + 2, sizeof(double));
        if (!r->of[i] || !r->sum[i]) result = SAL_ERR_MEMORY;
    }
    if (!result) result = see_photos(ctx, r);
    if (result) return complain("%s", sal_error(ctx));
    for (i = 0; i < net->layers; i++) {
        for (c = 0; r->of[i] && c < (i ? net->layer[i].shape.c : 3) + 2; c++)
            r->of[i][c] = (float)(r->sum[i][c] / r->seen[i]);
        net->layer[i].range = r->of[i];
    }
    fprintf(ctx->write ? stderr : stdout, "ranges of values on %d photographs\n", r->photos);
    return 0;
}

/* The mean of the networks in these files, in float32. */
static int load_mean(sal_ctx *ctx, char **path, int count, sal_net **mean) {
    sal_net *next;
    sal_result r = SAL_OK;
    const float **range = NULL;
    int i, k, status = 0;
    size_t j;
    for (k = 0; k < count && !r && !status; k++) {
        next = NULL;
        r = sal_net_load(ctx, path[k], &next);
        if (!r && !k) range = NEW(ctx, const float *, next->layers);
        if (!r && !k && !range) r = SAL_ERR_MEMORY;
        for (i = 0; !r && count == 1 && i < next->layers; i++) range[i] = next->layer[i].range;
        if (!r) r = sal_net_to_float(ctx, next);
        for (i = 0; !r && count == 1 && i < next->layers; i++) next->layer[i].range = range[i];
        if (!r && k) status = add(*mean, next, 1.0 / count);
        if (k) { sal_net_free(ctx, next); continue; }
        *mean = next;
        for (i = 0; !r && i < next->params; i++) {
            float *x = (float *)next->param[i].value.data;
            size_t n = sal_tensor_count(&next->param[i].value);
            for (j = 0; j < n; j++) x[j] /= (float)count;
        }
    }
    sal_free(ctx, (void *)range);
    return r ? complain("%s", sal_error(ctx)) : status;
}

/* What was kept with the network and is not its own. */
static int other_texts(const sal_net *net, const char **extra) {
    const sal_safetensors *file = net->file;
    int i, extras = 0;
    for (i = 0; file && i < file->metas; i++) {
        if (!strncmp(file->meta[2 * i], "sal.", 4)) continue;
        extra[2 * extras] = file->meta[2 * i];
        extra[2 * extras++ + 1] = file->meta[2 * i + 1];
    }
    return extras;
}

int main(int argc, char **argv) {
    static const char *const names[] = { "f32", "f16", "bf16", "i8" };
    static const sal_dtype types[] = { SAL_DTYPE_F32, SAL_DTYPE_F16, SAL_DTYPE_BF16, SAL_DTYPE_I8 };
    sal_ctx ctx = { 0 };
    sal_net *net = NULL;
    tone t = { 0, 0 };
    static ranges measured;
    const option table[] = { option_call("--tone", read_tone, &t),
                             option_call("--ranges", read_folder, &measured) };
    const char **extra = NULL;
    char out[PATH_ROOM];
    pictures files;             /* what must not be written over */
    int i, count, type = 0, extras, status;
    memset(&files, 0, sizeof files);
    status = read_options(argc, argv, table, COUNT(table), help, &count);
    if (!status && count < 3) { fputs(help, stderr); status = 1; }
    if (status) return finish(status);
    while (type < 4 && strcmp(argv[0], names[type])) type++;
    if (type == 4) return complain("%s: the format is f32, f16, bf16 or i8", argv[0]);
    for (i = 1; i < count - 1; i++) take(&files, argv[i]);
    status = out_path(&ctx, &files, argv[count - 1], sal_path_name(argv[1]), out);
    if (!status) status = load_mean(&ctx, argv + 1, count - 2, &net);
    if (!status && t.power > 0) { net->desc.power = t.power; net->desc.floor = t.floor; }
    if (!status && measured.folders) status = measure(&ctx, &measured, net);
    if (!status) extra = NEW(&ctx, const char *, 2 * net->file->metas + 1);
    extras = extra ? other_texts(net, extra) : 0;
    if (!status && !extra) status = complain("%s", sal_error(&ctx));
    if (!status && sal_net_save(&ctx, net, out, types[type], extra, extras))
        status = complain("%s", sal_error(&ctx));
    sal_net_free(&ctx, net);
    for (i = 0; i < measured.layers; i++) {
        sal_free(&ctx, measured.of[i]);
        sal_free(&ctx, measured.sum[i]);
    }
    sal_free(&ctx, measured.of); sal_free(&ctx, measured.sum); sal_free(&ctx, measured.seen);
    sal_free(&ctx, (void *)extra);
    pictures_free(&files);
    return finish(status);
}
