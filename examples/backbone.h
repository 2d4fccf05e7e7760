/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* backbone.h: backbones from public ImageNet checkpoints into new networks of saliency.h, whose
   public functions are all that it uses. Include it behind saliency.h.

       if (backbone_load(ctx, net, "vgg16.safetensors")) puts(sal_error(ctx));
       if (backbone_head_load(ctx, net, "sam-vgg.safetensors")) puts(sal_error(ctx));

   What a tensor of a public checkpoint is called in our files:
       torchvision VGG-16      features.N.{weight,bias}    backbone.convB_I.{weight,bias}
       ResNet-50               conv1. bn1. layerL.         backbone. in front of the same name
                               (torchvision; with batch-norm, or with it folded into the weights)
       MobileNetV2 (ours)      conv_stem. blockN. conv_last.       likewise
       our own networks        backbone.                   the same */
#ifndef SALIENCY_BACKBONE_H
#define SALIENCY_BACKBONE_H
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static inline sal_result backbone_fail(sal_ctx *ctx, sal_result r, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(ctx->error, sizeof ctx->error, format, args);
    va_end(args);
    return r;
}

static inline int backbone_begins(const char *name, const char *const *list, int count) {
    for (int i = 0; i < count; i++)
        if (!strncmp(name, list[i], strlen(list[i]))) return 1;
    return 0;
}

static inline int backbone_ends(const char *name, const char *end) {
    size_t n = strlen(name), m = strlen(end);
    return n >= m && !strcmp(name + n - m, end);
}

/* Returns 1 and the name in ours; 0 for tensors that a backbone has no use for (what follows it,
   counters), -1 for names of other networks or if ours is too short: ours is empty then. */
static inline int backbone_name(const char *name, char *ours, size_t size) {
    static const char *const same[] = { "conv1.", "bn1.", "layer", "conv_stem.", "block",
                                        "conv_last." };
    static const char *const unused[] = { "classifier.", "fc.", "head.", "encode.", "readout.",
                                          "prior", "reduce." };
    /* the position of each convolution in torchvision's list, which counts ReLU and pooling too */
    static const struct { int n, block, index; } vgg[] = {
        { 0, 1, 1 }, { 2, 1, 2 }, { 5, 2, 1 }, { 7, 2, 2 }, { 10, 3, 1 }, { 12, 3, 2 },
        { 14, 3, 3 }, { 17, 4, 1 }, { 19, 4, 2 }, { 21, 4, 3 }, { 24, 5, 1 }, { 26, 5, 2 },
        { 28, 5, 3 }
    };
    int length = -1, n = -1, end = 0;
    if (size) ours[0] = 0;
    if (backbone_begins(name, unused, (int)(sizeof unused / sizeof *unused)) ||
        backbone_ends(name, ".num_batches_tracked")) return 0;
    if (!strncmp(name, "backbone.", 9)) length = snprintf(ours, size, "%s", name);
    if (backbone_begins(name, same, (int)(sizeof same / sizeof *same)))
        length = snprintf(ours, size, "backbone.%s", name);
    if (sscanf(name, "features.%3d.%n", &n, &end) == 1 && end)
        for (size_t i = 0; i < sizeof vgg / sizeof *vgg; i++)
            if (n == vgg[i].n)
                length = snprintf(ours, size, "backbone.conv%d_%d.%s", vgg[i].block, vgg[i].index,
                                  name + end);
    return length > 0 && (size_t)length < size ? 1 : -1;
}

/* The tensor of a public checkpoint that is parameter `ours`, or NULL. */
static inline const sal_named_tensor *backbone_tensor(const sal_safetensors *file,
                                                      const char *ours) {
    char name[160];
    for (int i = 0; i < file->count; i++)
        if (backbone_name(file->tensor[i].name, name, sizeof name) == 1 && !strcmp(name, ours))
            return &file->tensor[i];
    return NULL;
}

static inline int backbone_has(const sal_net *net, const char *name) {
    for (int i = 0; i < net->params; i++)
        if (!strcmp(net->param[i].name, name)) return 1;
    return 0;
}

/* The bias of the convolution in front of batch-norm layer i: there it is if the file's batch-norm
   has been folded away. */
static inline const sal_named_tensor *backbone_bias(const sal_net *net,
                                                    const sal_safetensors *file, int i) {
    char name[64];
    if (net->layer[i].op != SAL_OP_BATCHNORM) return NULL;
    snprintf(name, sizeof name, "%s.bias", net->layer[net->layer[i].input[0]].name);
    return backbone_tensor(file, name);
}

static inline const char *backbone_shape(char text[64], const sal_tensor *t) {
    int n = snprintf(text, 64, t->ndim ? "" : "one number");
    for (int i = 0; i < t->ndim && n < 50; i++)
        n += snprintf(text + n, 64 - (size_t)n, i ? " x %d" : "%d", t->dim[i]);
    return text;
}

/* May tensor t become parameter p? It needs the shape, and values that are finite (ReLU makes 0 of
   what is not a number, so that a map would come out, and a wrong one). */
static inline sal_result backbone_check(sal_ctx *ctx, const char *path, const sal_net *net,
                                        const sal_param *p, const sal_named_tensor *t) {
    size_t n = sal_tensor_count(&t->tensor), part;
    float x[256], least = backbone_ends(t->name, ".running_var") ? 0 : -FLT_MAX;
    char have[64], want[64];
    int same = t->tensor.ndim == p->value.ndim;
    for (int i = 0; same && i < p->value.ndim; i++) same = t->tensor.dim[i] == p->value.dim[i];
    if (!same)
        return backbone_fail(ctx, SAL_ERR_SHAPE, "%s: tensor %s is %s, but %s needs %s", path,
                             t->name, backbone_shape(have, &t->tensor), net->name,
                             backbone_shape(want, &p->value));
    if (!t->tensor.data)
        return backbone_fail(ctx, SAL_ERR_FORMAT, "%s: tensor %s has the type %s; weights are F32, "
                             "F16, BF16 or I8", path, t->name, t->type);
    for (size_t at = 0; at < n; at += part) {
        part = n - at < 256 ? n - at : 256;
        sal_tensor_read(&t->tensor, at, part, x);
        for (size_t k = 0; k < part; k++)
            if (!(x[k] >= least && x[k] <= FLT_MAX))
                return backbone_fail(ctx, SAL_ERR_NUMERIC, "%s: tensor %s has a value that is not "
                                     "finite, or a variance below 0", path, t->name);
    }
    return SAL_OK;
}

/* With write = 0 only checks; then, with write = 1, nothing can fail any more. */
static inline sal_result backbone_copy(sal_ctx *ctx, const char *path, sal_net *net,
                                       const sal_safetensors *file, int write) {
    int found = 0;
    for (int i = 0; i < net->layers; i++) {
        const sal_named_tensor *bias = backbone_bias(net, file, i);
        /* a norm that is folded away has weight 1, mean 0 and sqrt(variance + eps) = 1 */
        const float folded[4] = { 1, 0, 0, 1 - net->layer[i].eps };
        for (int k = 0; k < net->layer[i].params; k++) {
            sal_param *p = &net->param[net->layer[i].param + k];
            const sal_named_tensor *t = bias ? bias : backbone_tensor(file, p->name);
            size_t n = sal_tensor_count(&p->value);
            float *x = (float *)p->value.data;
            if (strncmp(p->name, "backbone.", 9)) continue;
            if (!t)
                return backbone_fail(ctx, SAL_ERR_SHAPE, "%s: nothing in it is %s, which %s needs",
                                     path, p->name, net->name);
            found++;
            sal_result r = write ? SAL_OK : backbone_check(ctx, path, net, p, t);
            if (r) return r;
            if (write && (!bias || k == 1)) sal_tensor_read(&t->tensor, 0, n, x);   /* NAME.bias */
            else for (size_t j = 0; write && j < n; j++) x[j] = folded[k];
        }
    }
    if (found) return SAL_OK;
    return backbone_fail(ctx, SAL_ERR_ARGUMENT, "%s has no backbone to load", net->name);
}

/* Every tensor must belong to the backbone of net, or be one that it has no use for. */
static inline sal_result backbone_only(sal_ctx *ctx, const char *path, const sal_net *net,
                                       const sal_safetensors *file) {
    for (int i = 0; i < file->count; i++) {
        char ours[160];
        int use = backbone_name(file->tensor[i].name, ours, sizeof ours);
        size_t n = strlen(ours);
        if (!use || (use == 1 && backbone_has(net, ours))) continue;
        if (use == 1 && backbone_ends(ours, ".bias") && n + 3 <= sizeof ours) {
            snprintf(ours + n - 4, 7, "weight");        /* a folded batch-norm's? */
            if (backbone_has(net, ours)) continue;
        }
        return backbone_fail(ctx, SAL_ERR_SHAPE, "%s: tensor %s does not belong to the backbone of "
                             "%s", path, file->tensor[i].name, net->name);
    }
    return SAL_OK;
}

/* How the pictures were prepared that the checkpoint has learnt from, and where ResNet's strides
   are: v1.5 unless the file says that the first 1x1 has the stride. */
static inline sal_result backbone_desc(sal_ctx *ctx, const char *path, const sal_safetensors *file,
                                       sal_net_desc *desc) {
    char reason[sizeof ctx->error];
    const char *text = sal_safetensors_meta(file, "sal.preprocess");
    const char *stride = sal_safetensors_meta(file, "sal.resnet_stride");
    const char *layout = sal_safetensors_meta(file, "architecture");
    sal_result r = SAL_OK;
    if (!text) text = sal_safetensors_meta(file, "preprocess");
    if (!text && !sal_safetensors_find(file, "backbone.conv1_1.weight"))    /* as torchvision */
        text = "rgb/255, mean .485 .456 .406, std .229 .224 .225";
    if (!stride) stride = layout && strstr(layout, "first 1x1") ? "1x1" : "3x3";
    if (text) r = sal_net_desc_set(ctx, desc, "sal.preprocess", text);
    if (!r) r = sal_net_desc_set(ctx, desc, "sal.resnet_stride", stride);
    if (!r) return SAL_OK;
    memcpy(reason, ctx->error, sizeof reason);
    return backbone_fail(ctx, r, "%s: %s", path, reason);
}

/* The parameters of net called backbone.* from a checkpoint in torchvision's names or from a file
   of our own. Takes over the file's preprocessing and strides, and brings all parameters to float32
   (sal_net_to_float). On failure no value is changed. */
static inline sal_result backbone_load(sal_ctx *ctx, sal_net *net, const char *path) {
    sal_net_desc desc = net->desc;
    sal_net *fresh = NULL;
    sal_safetensors file;
    sal_result r = sal_safetensors_load(ctx, path, &file);
    if (r) return r;
    r = backbone_desc(ctx, path, &file, &desc);
    if (!r) r = backbone_only(ctx, path, net, &file);
    if (!r) r = sal_net_new(ctx, &desc, &fresh);
    if (!r) r = backbone_copy(ctx, path, net, &file, 0);
    if (!r) r = sal_net_to_float(ctx, net);
    if (!r) {                           /* the same parameters, the file's strides */
        sal_layer *layers = net->layer;
        backbone_copy(ctx, path, net, &file, 1);
        net->layer = fresh->layer;
        fresh->layer = layers;
        net->desc = desc;
    }
    sal_net_free(ctx, fresh);
    sal_safetensors_free(ctx, &file);
    return r;
}

/* The other way round: the parameters of net not called backbone.* from a file of our own, which
   may be another network's. Those that the file does not have stay as they are; at least one must
   be there. Brings all parameters to float32. On failure no value is changed. */
static inline sal_result backbone_head_load(sal_ctx *ctx, sal_net *net, const char *path) {
    sal_safetensors file;
    int found = 0;
    sal_result r = sal_safetensors_load(ctx, path, &file);
    if (r) return r;
    for (int write = 0; write < 2 && !r; write++) {
        for (int i = 0; i < net->params && !r; i++) {
            sal_param *p = &net->param[i];
            const sal_named_tensor *t = sal_safetensors_find(&file, p->name);
            if (!t || !strncmp(p->name, "backbone.", 9)) continue;
            found++;
            if (write) sal_tensor_read(&t->tensor, 0, sal_tensor_count(&t->tensor),
                                       (float *)p->value.data);
            else r = backbone_check(ctx, path, net, p, t);
        }
        if (!r && !found)
            r = backbone_fail(ctx, SAL_ERR_SHAPE, "%s: nothing in it stands behind the backbone of "
                              "%s", path, net->name);
        if (!r) r = sal_net_to_float(ctx, net);
    }
    sal_safetensors_free(ctx, &file);
    return r;
}
#endif
