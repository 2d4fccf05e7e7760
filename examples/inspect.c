/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* inspect: what is in a weights file, a network, or a MATLAB file.

       gcc -O2 examples/inspect.c -o inspect -lm

   Run  inspect --help  for the options. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#define DATASET_IMPLEMENTATION
#include "dataset.h"

static const char program[] = "inspect";
#include "cli.h"

static const char help[] =
    "inspect: what is in a weights file, a network, or a MATLAB file\n"
    "\n"
    "usage: inspect [options] FILE.safetensors [TENSOR ...]\n"
    "       inspect [options] FILE.mat [VARIABLE ...]\n"
    "       inspect [options] -n NETWORK\n"
    "\n"
    "Of a weights file: the metadata, the tensors and, if it holds a network, its layers with\n"
    "shapes, parameters, multiply-adds and memory (3x3 /2 *4: a window of 3x3, stride 2,\n"
    "dilation 4). With names of tensors: only these, with statistics and the first values. Of a\n"
    "MATLAB file (version 5 to 7.2): its tree of variables, or of those that are named.\n"
    "\n"
    "FILE is - for a weights file from standard input.\n"
    "\n"
    "  --stats         statistics of every tensor; what is not finite is counted as nan only\n"
    "  --all           of MATLAB cells and structs all elements, not only the first three\n"
    "  -n NETWORK      the layers of a network without weights:\n"
    "                  juntingnet wepsam mlnet sam-vgg sam-resnet lite\n"
    "  --size HxW      the layers at this input size, as 480x640\n"
    "  -h, --help      this text; --version: the version\n";

typedef struct options {
    const char *network, *file;
    int size[2], stats, all;
} options;

/* --- pieces of tables ---------------------------------------------------------------------- */

/* Names and texts come from files: control characters would go to the terminal. */
static void print_text(const char *text, int width) {
    int n = 0;
    for (; *text; text++, n++) putchar((unsigned char)*text < 32 || *text == 127 ? '?' : *text);
    for (; n < width; n++) putchar(' ');
}

static const char *print_size(char *text, size_t room, double bytes) {
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
    int u = 0;
    while (bytes >= 999.5 && u < 4) { bytes /= 1000; u++; }
    snprintf(text, room, u ? "%.1f %s" : "%.0f %s", bytes, units[u]);
    return text;
}

static const char *print_shape(char *text, size_t room, const sal_tensor *t) {
    int i, n = snprintf(text, room, t->ndim ? "" : "number");
    for (i = 0; i < t->ndim; i++)
        n += snprintf(text + n, room - (size_t)n, i ? " x %d" : "%d", t->dim[i]);
    return text;
}

/* --- tensors ------------------------------------------------------------------------------- */

typedef struct stats { double min, max, mean, sd; size_t count, zeros, nans; } stats;

/* Two passes, the second for the standard deviation around the mean of the first. */
static stats tensor_stats(const sal_tensor *t) {
    float value[4096];
    const size_t most = sizeof value / sizeof *value;
    stats s = { HUGE_VAL, -HUGE_VAL, 0, 0, 0, 0, 0 };
    double sum = 0, squares = 0, finite;
    size_t start, i, n;
    int pass;
    s.count = sal_tensor_count(t);
    for (pass = 0; pass < 2; pass++) {
        for (start = 0; start < s.count; start += n) {
            n = s.count - start < most ? s.count - start : most;
            sal_tensor_read(t, start, n, value);
            for (i = 0; i < n; i++) {
                double x = value[i];
                if (!isfinite(x)) { s.nans += !pass; continue; }
                if (pass) { squares += (x - s.mean) * (x - s.mean); continue; }
                if (x < s.min) s.min = x;
                if (x > s.max) s.max = x;
                s.zeros += x == 0;
                sum += x;
            }
        }
        finite = (double)(s.count - s.nans);
        if (finite < 1) { s.min = s.max = s.mean = s.sd = NAN; return s; }
        s.mean = sum / finite;
    }
    s.sd = sqrt(squares / finite);
    return s;
}

static void print_stats_title(int width) {
    printf("%-*s %10s %10s %10s %10s %10s %8s\n", width, "", "min", "max", "mean", "sd", "zeros",
           "nan");
}

static void print_stats(const sal_tensor *t) {
    stats s;
    if (!t->data) { printf("  (values of this type are not read)\n"); return; }
    s = tensor_stats(t);
    printf(" %10.4g %10.4g %10.4g %10.4g %10.0f %8.0f\n", s.min, s.max, s.mean, s.sd,
           (double)s.zeros, (double)s.nans);
}

static int name_width(const sal_safetensors *file) {
    int i, width = 8;
    for (i = 0; i < file->count; i++) {
        int n = (int)strlen(file->tensor[i].name);
        if (n > width) width = n;
    }
    return width < 48 ? width : 48;
}

static void print_file(const options *o, const sal_safetensors *file) {
    int i, width = name_width(file);
    double values = 0, bytes = 0;
    char shape[64], size[32];
    if (file->metas) printf("metadata\n");
    for (i = 0; i < file->metas; i++) {
        printf("  ");
        print_text(file->meta[2 * i], 20);
        printf("  ");
        print_text(file->meta[2 * i + 1], 0);
        printf("\n");
    }
    printf("%stensors", file->metas ? "\n" : "");
    if (o->stats) print_stats_title(width + 33);
    else printf("%*s%10s\n", width + 33 - 7 + 2, "", "bytes");
    for (i = 0; i < file->count; i++) {
        const sal_named_tensor *t = &file->tensor[i];
        double own = (double)(t->end - t->begin) +
                     (t->tensor.scale ? 4.0 * t->tensor.dim[0] : 0);
        printf("  ");
        print_text(t->name, width);
        printf("  %-5s  %-24s", t->type, print_shape(shape, sizeof shape, &t->tensor));
        if (o->stats) print_stats(&t->tensor);
        else printf("  %10.0f\n", own);
        values += (double)sal_tensor_count(&t->tensor);
        bytes += own;
    }
    printf("%d tensors, %.0f values (%.2f million), %s\n", file->count, values, values / 1e6,
           print_size(size, sizeof size, bytes));
}

static int print_tensor(const sal_safetensors *file, const char *name) {
    enum { FIRST = 8 };
    const sal_named_tensor *t = sal_safetensors_find(file, name);
    float value[FIRST];
    char shape[64];
    size_t i, n;
    if (!t) return complain("there is no tensor %s in this file", name);
    print_text(t->name, 0);
    printf("  %s  %s", t->type, print_shape(shape, sizeof shape, &t->tensor));
    if (!t->tensor.data) { print_stats(&t->tensor); return 0; }
    printf("\n");
    print_stats_title(0);
    print_stats(&t->tensor);
    n = sal_tensor_count(&t->tensor);
    if (n > FIRST) n = FIRST;
    sal_tensor_read(&t->tensor, 0, n, value);
    for (i = 0; i < n; i++) printf(" %.6g", (double)value[i]);
    printf("%s\n\n", sal_tensor_count(&t->tensor) > FIRST ? " ..." : "");
    return 0;
}

/* --- layers -------------------------------------------------------------------------------- */

/* Learned ones: the running mean and variance of batch-norm do not count, nor do those that an
   earlier layer has, too. */
static double layer_parameters(const sal_net *net, int i) {
    const sal_param *p = net->param + net->layer[i].param;
    double n = 0;
    int k;
    for (k = 0; k < i; k++)
        if (net->layer[k].params && net->layer[k].param == net->layer[i].param) return 0;
    for (k = 0; k < net->layer[i].params; k++)
        if (!strstr(p[k].name, ".running_")) n += (double)sal_tensor_count(&p[k].value);
    return n;
}

static void print_layer(const sal_net *net, int i, const sal_shape *shapes) {
    const sal_layer *l = &net->layer[i];
    char shape[40], window[40] = "", reads[40] = "";
    int k, n = 0;
    if ((l->op == SAL_OP_CONV2D || l->op == SAL_OP_MAXPOOL) && l->kernel) {
        n = snprintf(window, sizeof window, "%dx%d", l->kernel, l->kernel);
        if (l->stride > 1) n += snprintf(window + n, sizeof window - (size_t)n, " /%d", l->stride);
        if (l->dilation > 1) snprintf(window + n, sizeof window - (size_t)n, " *%d", l->dilation);
    }
    for (k = n = 0; k < l->inputs; k++)         /* what it reads, unless just the layer before */
        if (l->inputs > 1 || l->input[0] != i - 1)
            n += snprintf(reads + n, sizeof reads - (size_t)n, k ? ",%d" : "%d", l->input[k]);
    snprintf(shape, sizeof shape, "%d x %d x %d", shapes[i].c, shapes[i].h, shapes[i].w);
    printf("%4d  %-32s %-9s %-9s %-11s %-16s %10.0f %10.1f %9.1f\n", i, l->name, sal_op_name(l->op),
           window, reads, shape, layer_parameters(net, i), sal_layer_macs(net, i, shapes) / 1e6,
           4e-3 * shapes[i].c * shapes[i].h * shapes[i].w);
}

static sal_result print_layers(sal_ctx *ctx, const options *o, const sal_net *net) {
    int i, h = o->size[0] ? o->size[0] : net->desc.h, w = o->size[1] ? o->size[1] : net->desc.w;
    sal_shape *shapes = (sal_shape *)sal_alloc(ctx, (size_t)net->layers, sizeof *shapes);
    double parameters = 0, macs = 0, floats = 0;
    static const char *const priors[] = { "no priors", "Gaussian priors", "a mask as prior" };
    char all[32], planned[32];
    sal_run *run = NULL;
    sal_result r = shapes ? sal_net_shapes(ctx, net, w, h, shapes) : SAL_ERR_MEMORY;
    if (!r) r = sal_run_open(ctx, net, 1, w, h, &run);      /* plans the memory */
    if (!r) {
        printf("%s, input %d x %d (height x width)", net->name, h, w);
        if (net->desc.kind == SAL_KIND_SAM_VGG || net->desc.kind == SAL_KIND_SAM_RESNET)
            printf(", %s backbone, %d steps of the ConvLSTM", net->desc.plain ? "plain" : "dilated",
                   net->desc.steps);
        if (net->desc.kind >= SAL_KIND_MLNET && net->desc.kind <= SAL_KIND_SAM_RESNET)
            printf(", %s", priors[net->desc.priors]);
        printf("\n");
        printf("   #  %-32s %-9s %-9s %-11s %-16s %10s %10s %9s\n", "layer", "operator", "window",
               "reads", "output", "parameters", "M mul-adds", "output kB");
        for (i = 0; i < net->layers; i++) {
            print_layer(net, i, shapes);
            parameters += layer_parameters(net, i);
            macs += sal_layer_macs(net, i, shapes);
            floats += (double)shapes[i].c * shapes[i].h * shapes[i].w;
        }
        printf("%d layers, %.0f parameters (%.2f million), %.2f G multiply-adds\n"
               "activations %s, planned into %s (batch-norm and ReLU in place)\n", net->layers,
               parameters, parameters / 1e6, macs / 1e9, print_size(all, sizeof all, 4 * floats),
               print_size(planned, sizeof planned, 4.0 * (double)run->arena_floats));
        sal_run_close(ctx, run);
    }
    sal_free(ctx, shapes);
    return r;
}

/* --- MATLAB files -------------------------------------------------------------------------- */

static void print_values(const sal_mat *m) {
    enum { FIRST = 6 };
    size_t i;
    for (i = 0; i < m->count && i < FIRST; i++) printf(" %.6g", m->number[i]);
    printf("%s%s", m->count > FIRST ? " ..." : "", m->imag ? " (real parts)" : "");
}

/* label: the name, or what MATLAB would write: {2} in a cell, (2) in an array of structs. */
static void print_mat(const options *o, const sal_mat *m, const char *label, int depth) {
    size_t i, few = o->all ? m->count : 3;
    int k;
    printf("%*s", 2 * depth, "");
    print_text(label, 0);
    printf("  %s ", m->class_name);
    for (k = 0; k < m->ndim; k++) printf(k ? " x %d" : "%d", m->dim[k]);
    if (m->kind == SAL_MAT_NUMBERS) { printf(" "); print_values(m); }
    if (m->kind == SAL_MAT_SPARSE) printf(" sparse, %.0f stored", (double)m->count);
    if (m->kind == SAL_MAT_TEXT) { printf("  \""); print_text(m->text, 0); printf("\""); }
    if (m->kind == SAL_MAT_UNKNOWN) printf("  (not read)");
    printf("\n");
    if (m->kind != SAL_MAT_CELL && m->kind != SAL_MAT_STRUCT) return;
    for (i = 0; i < m->count && i < few; i++) {
        char index[32];
        snprintf(index, sizeof index, m->kind == SAL_MAT_CELL ? "{%.0f}" : "(%.0f)", (double)i + 1);
        if (m->kind == SAL_MAT_CELL) { print_mat(o, &m->child[i], index, depth + 1); continue; }
        if (m->count > 1) printf("%*s%s\n", 2 * depth + 2, "", index);
        for (k = 0; k < m->fields; k++) {
            const sal_mat *field = &m->child[i * (size_t)m->fields + (size_t)k];
            print_mat(o, field, field->name, depth + (m->count > 1 ? 2 : 1));
        }
    }
    if (m->count > few)
        printf("%*s... and %.0f more (--all)\n", 2 * depth + 2, "", (double)(m->count - few));
}

/* --- what to do ---------------------------------------------------------------------------- */

static int inspect_network(sal_ctx *ctx, const options *o) {
    sal_kind kind;
    sal_net_desc desc;
    sal_net *net;
    sal_result r;
    if (sal_kind_from_name(o->network, &kind))
        return complain("%s is not a network; see inspect --help", o->network);
    desc = sal_net_desc_default(kind);
    r = sal_net_new(ctx, &desc, &net);
    if (r) return complain("%s", sal_error(ctx));
    r = print_layers(ctx, o, net);
    sal_net_free(ctx, net);
    return r ? complain("%s", sal_error(ctx)) : 0;
}

/* A network, or what is in the file if it is none; `reason` says why. */
static sal_result load_weights(sal_ctx *ctx, const char *path, sal_net **net,
                               sal_safetensors *file, char reason[512]) {
    unsigned char *data = NULL;
    size_t size = 0;
    const char *name = is_standard(path) ? "standard input" : path;
    sal_result r = read_file(ctx, path, &data, &size);          /* once: a pipe is empty then */
    memset(file, 0, sizeof *file);
    if (r) return r;
    r = sal_net_load_memory(ctx, data, size, name, net);
    snprintf(reason, 512, "%s", sal_error(ctx));
    if (r) r = sal_safetensors_parse(ctx, data, size, name, file);
    sal_free(ctx, data);
    return r;
}

static int inspect_weights(sal_ctx *ctx, const options *o, char **names, int count) {
    sal_net *net = NULL;
    sal_safetensors file;
    const sal_safetensors *content;
    int i, status = 0;
    char reason[512];
    /* a network has the file in it; other files (backbones) are read by themselves */
    if (load_weights(ctx, o->file, &net, &file, reason)) return complain("%s", sal_error(ctx));
    content = net ? net->file : &file;
    for (i = 0; i < count; i++) status |= print_tensor(content, names[i]);
    if (!count) {
        print_file(o, content);
        if (net) {
            printf("\n");
            if (print_layers(ctx, o, net)) status = complain("%s", sal_error(ctx));
        } else if (sal_safetensors_meta(content, "sal.model")) {    /* says it were a network */
            status = complain("%s", reason);
        } else if (o->size[0]) {
            status = complain("--size is for networks, and %s is none", o->file);
        }
    }
    sal_net_free(ctx, net);
    sal_safetensors_free(ctx, &file);
    return status;
}

static int inspect_mat(sal_ctx *ctx, const options *o, char **names, int count) {
    sal_mat root;
    int i, status = 0;
    if (sal_mat_load(ctx, o->file, &root)) return complain("%s", sal_error(ctx));
    for (i = 0; i < root.fields && !count; i++)
        print_mat(o, &root.child[i], root.child[i].name, 0);
    for (i = 0; i < count; i++) {
        const sal_mat *variable = sal_mat_field(&root, 0, names[i]);
        if (variable) print_mat(o, variable, names[i], 0);
        else status = complain("there is no variable %s in this file", names[i]);
    }
    sal_mat_free(ctx, &root);
    return status;
}

int main(int argc, char **argv) {
    sal_ctx ctx = { 0 };
    options o = { 0 };
    const option table[] = {
        option_flag("--stats", &o.stats),
        option_flag("--all", &o.all),
        option_text("-n", &o.network),
        option_size("--size", o.size),
    };
    int count, status = read_options(argc, argv, table, COUNT(table), help, &count);
    if (!status && !count == !o.network)
        status = complain("one file, or -n NETWORK; see inspect --help");
    if (!status && o.network) status = refuse("--stats --all", "with -n");
    else if (!status && has_ending(argv[0], ".mat"))
        status = refuse("--stats --size", "with a MATLAB file");
    else if (!status) status = refuse("--all", "with a weights file") ||
                               (count > 1 && refuse("--size", "with names of tensors"));
    if (status) return finish(status);
    if (o.network) return finish(inspect_network(&ctx, &o));
    o.file = argv[0];
    return finish(has_ending(o.file, ".mat") ? inspect_mat(&ctx, &o, argv + 1, count - 1)
                                             : inspect_weights(&ctx, &o, argv + 1, count - 1));
}
