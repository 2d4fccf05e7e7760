/* convert: a network's weights in another number format, or the mean of several trainings.

       gcc -O2 examples/convert.c -o convert -lm
       ./convert i8 trained.safetensors small.safetensors

   Tensors of less than 8192 values stay float32. I8 has one scale for each row. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"

static const char program[] = "convert";
#include "cli.h"

static const char help[] =
    "convert: a network's weights in another number format\n"
    "\n"
    "usage: convert [--tone POWER,FLOOR] f32|f16|bf16|i8 IN.safetensors [IN2 ...] OUT.safetensors\n"
    "\n"
    "Several inputs must be trainings of the same network: OUT gets the mean of their weights.\n"
    "The texts that were kept with the first go along. OUT may be a folder, or - for standard\n"
    "output.\n"
    "\n"
    "  --tone POWER,FLOOR   a map m, 0 to 1, of OUT becomes the larger of m^POWER and FLOOR\n"
    "  -h, --help           this text; --version: the version\n";

/* into += share * from, parameter by parameter */
static int add(sal_net *into, const sal_net *from, double share) {
    int i;
    size_t k;
    if (into->params != from->params) return complain("these are different networks");
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
    char rest;
    if (sscanf(value, "%f,%f%c", &t->power, &t->floor, &rest) == 2 && t->power >= .01f &&
        t->power <= 100 && t->floor >= 0 && t->floor <= .5f) return 0;
    return complain("%s %s: a power from 0.01 to 100 and a floor from 0 to 0.5, please, as "
                    "1.5,0.01", option, value);
}

/* The mean of the networks in these files, in float32. */
static int load_mean(sal_ctx *ctx, char **path, int count, sal_net **mean) {
    sal_net *next;
    sal_result r = SAL_OK;
    int i, k, status = 0;
    size_t j;
    for (k = 0; k < count && !r && !status; k++) {
        next = NULL;
        r = sal_net_load(ctx, path[k], &next);
        if (!r) r = sal_net_to_float(ctx, next);
        if (!r && k) status = add(*mean, next, 1.0 / count);
        if (k) { sal_net_free(ctx, next); continue; }
        *mean = next;
        for (i = 0; !r && i < next->params; i++) {
            float *x = (float *)next->param[i].value.data;
            size_t n = sal_tensor_count(&next->param[i].value);
            for (j = 0; j < n; j++) x[j] /= (float)count;
        }
    }
    return r ? complain("%s", sal_error(ctx)) : status;
}

/* What was kept with the network and is not its own. */
static int other_texts(const sal_net *net, const char *extra[64]) {
    const sal_safetensors *file = net->file;
    int i, extras = 0;
    for (i = 0; file && i < file->metas && extras < 32; i++) {
        if (!strncmp(file->meta[2 * i], "sal.", 4)) continue;
        extra[2 * extras] = file->meta[2 * i];
        extra[2 * extras++ + 1] = file->meta[2 * i + 1];
    }
    return extras;
}

int main(int argc, char **argv) {
    static const char *const names[] = { "f32", "f16", "bf16", "i8" };
    static const sal_dtype types[] = { SAL_F32, SAL_F16, SAL_BF16, SAL_I8 };
    sal_ctx ctx = { 0 };
    sal_net *net = NULL;
    tone t = { 0, 0 };
    const option table[] = { option_call("--tone", read_tone, &t) };
    const char *extra[64];
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
    extras = status ? 0 : other_texts(net, extra);
    if (!status && sal_net_save(&ctx, net, out, types[type], extra, extras))
        status = complain("%s", sal_error(&ctx));
    sal_net_free(&ctx, net);
    pictures_free(&files);
    return finish(status);
}
