/* convert: a network's weights in another number format, or the mean of several trainings.

       gcc -O2 examples/convert.c -o convert -lm
       ./convert i8 trained.safetensors small.safetensors

   Tensors of less than 8192 values stay float32. I8 has one scale for each row. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"

static const char program[] = "convert";
#include "options.h"

static const char help[] =
    "convert: a network's weights in another number format\n"
    "\n"
    "usage: convert [--tone POWER,FLOOR] f32|f16|bf16|i8 IN.safetensors [IN2 ...] OUT.safetensors\n"
    "\n"
    "Several inputs must be trainings of the same network: OUT gets the mean of their weights.\n"
    "The texts that were kept with the first go along.\n"
    "\n"
    "  --tone POWER,FLOOR   a map m, 0 to 1, of OUT becomes the larger of m^POWER and FLOOR\n";

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

int main(int argc, char **argv) {
    static const char *const names[] = { "f32", "f16", "bf16", "i8" };
    static const sal_dtype types[] = { SAL_F32, SAL_F16, SAL_BF16, SAL_I8 };
    sal_ctx ctx = { 0 };
    sal_net *net = NULL, *other = NULL;
    sal_result r = SAL_OK;
    const char *extra[64];
    float power = 0, floor = 0;
    int type = 0, i, k, status = 0, extras = 0;
    if (argc > 2 && !strcmp(argv[1], "--tone")) {
        char rest;
        if (sscanf(argv[2], "%f,%f%c", &power, &floor, &rest) != 2 ||
            !(power >= .01f && power <= 100) || !(floor >= 0 && floor <= .5f))
            return complain("--tone takes a power from 0.01 to 100 and a floor from 0 to 0.5, as "
                            "1.5,0.01");
        argc -= 2; argv += 2;
    }
    if (argc < 4 || !strcmp(argv[1], "--help")) {
        fputs(help, argc < 4 ? stderr : stdout);
        return argc < 4;
    }
    while (type < 4 && strcmp(argv[1], names[type])) type++;
    if (type == 4) return complain("the format is f32, f16, bf16 or i8");
    r = sal_net_load(&ctx, argv[2], &net);
    if (!r) {           /* what is not the network's own comes along */
        const sal_safetensors *file = net->file;
        for (i = 0; file && i < file->metas && extras < 32; i++)
            if (strncmp(file->meta[2 * i], "sal.", 4)) {
                extra[2 * extras] = file->meta[2 * i];
                extra[2 * extras++ + 1] = file->meta[2 * i + 1];
            }
        r = sal_net_to_float(&ctx, net);
    }
    if (!r && power > 0) { net->desc.power = power; net->desc.floor = floor; }
    for (i = 0; !r && i < net->params; i++) {
        float *x = (float *)net->param[i].value.data;
        size_t n = sal_tensor_count(&net->param[i].value), j;
        for (j = 0; j < n; j++) x[j] /= (float)(argc - 3);
    }
    for (k = 3; !r && !status && k < argc - 1; k++) {
        r = sal_net_load(&ctx, argv[k], &other);
        if (!r) r = sal_net_to_float(&ctx, other);
        if (!r) status = add(net, other, 1.0 / (argc - 3));
        sal_net_free(&ctx, other);
        other = NULL;
    }
    if (!r && !status) r = sal_net_save(&ctx, net, argv[argc - 1], types[type], extra, extras);
    if (r) status = complain("%s", sal_error(&ctx));
    sal_net_free(&ctx, net);
    return status;
}
