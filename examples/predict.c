/* SPDX-License-Identifier: Unlicense OR MIT-0 */
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
    "       predict --frames WxH [options] - -o -\n"
    "\n"
    "  -m MODEL          a model by name; a network needs its weights file (see below)\n"
    "                      without weights: center spectral itti gbvs bms\n"
    "                      networks:        lite juntingnet wepsam mlnet sam-vgg sam-resnet\n"
    "  -w WEIGHTS        a network from a .safetensors file\n"
    "                    (neither: lite, which is built in)\n"
    "  --input HxW       pictures as the network sees them: smaller is faster (default: its own)\n"
    "  --domain N        lite: with the prior of 1 osie, 2 scene, 3 mit1003, 4 figrim (default 0:\n"
    "                    any picture)\n"
    "  --blur F          smooth the map with a Gaussian, sigma as a share of its long side\n"
    "  --power F         raise the map to this power: above 1 peaks are steeper\n"
    "  --viewing-distance D   --blur for a picture whose long side is D degrees of sight\n"
    "  --steps N         sam-vgg, sam-resnet: stop the ConvLSTM after N steps\n"
    "  --precision T     fast: whole numbers where the weights file allows it (default); f32\n"
    "  --center          multiply by a centre prior: people look at the middle first\n"
    "  -o OUT.png        the map as an 8-bit grey picture\n"
    "  --overlay OUT.png the map in colours over the picture\n"
    "  --npy OUT.npy     the map as NumPy float32 (height, width), maximum 1\n"
    "  --raw             --npy is the network's own output, before any post-processing\n"
    "  --strip OUT.png   sam-vgg, sam-resnet: the map after each step, above where the step looked\n"
    "  --explain OUT.png what the map depends on: the gradient of its variance times the pixel\n"
    "  --region X,Y,W,H  explain this part of the map instead, in pixels of the picture: its mean\n"
    "  --of WHAT         explain the mean or the variance\n"
    "  --layer L         explain by the values of this layer, a name or number of inspect\n"
    "  --parts OUT.csv   how much each channel of the layer contributes\n"
    "  --recursive       folders with all that is below them; OUT gets the same sub-folders\n"
    "  --part K/N        only share K of N of the pictures, by their names: for several machines\n"
    "  --frames WxH      video: raw rgb24 frames from standard input; for each one a raw grey8\n"
    "                    frame (-o -) or an rgb24 frame (--overlay -) on standard output\n"
    "  --smooth F        video: so much of the map before stays in each map, 0 (default) to 1\n"
    "  --threads N       use N threads (default: all cores)\n"
    "  --self-test       are the kernels right on this machine? A line for each, no pictures\n"
    "  --quiet           no progress, no list of what was written\n"
    "  -h, --help        this text; --version: the version\n"
    "\n"
    "If no option asks for a result, the map goes to NAME-saliency.png in the current folder.\n"
    "For several pictures or a folder, OUT is a folder and its files are called NAME.png,\n"
    "NAME.npy; so it is if there is a folder of this name, if it ends in a slash or has no\n"
    "extension. - is standard input or output, -- ends the options. Nothing is written over a\n"
    "picture that is read. Pictures are JPEG, PNG, BMP, PPM or PGM. What cannot be read is\n"
    "reported at the end and makes the exit status 1. Weights are looked for in the folder\n"
    "$SALIENCY_WEIGHTS, in weights/, beside the program, and in ../share/saliency/ from there.\n";

typedef struct options {
    model_options which;
    sal_model model;
    pictures pictures;
    const char *out, *overlay, *npy, *strip, *explain, *parts, *layer, *of;
    int raw, self_test;
    sal_explain_desc why;
    int frame[2];               /* --frames: width, height; 0: pictures */
    double smooth;
} options;

/* --- one picture --------------------------------------------------------------------------- */

static sal_result write_map(sal_ctx *ctx, options *o, const picture *of, const sal_map *map) {
    char path[PATH_ROOM];
    sal_result r = result_path(ctx, &o->pictures, of, o->out, "-saliency", "", "png", path);
    if (!r) r = sal_map_save_png(ctx, path, map);
    if (!r) written(&o->pictures, path);
    return r;
}

static sal_result write_image(sal_ctx *ctx, options *o, const picture *of, const char *out,
                              const sal_image *image) {
    char path[PATH_ROOM];
    sal_result r = result_path(ctx, &o->pictures, of, out, "", "", "png", path);
    if (!r) r = sal_image_save(ctx, path, image);
    if (!r) written(&o->pictures, path);
    return r;
}

static sal_result write_overlay(sal_ctx *ctx, options *o, const picture *of,
                                const sal_image *image, const sal_map *map) {
    sal_image colours;
    sal_result r = sal_overlay(ctx, image, map, 0.6f, &colours);
    if (r) return r;
    r = write_image(ctx, o, of, o->overlay, &colours);
    sal_image_free(ctx, &colours);
    return r;
}

static sal_result write_npy(sal_ctx *ctx, options *o, const picture *of, const sal_map *map) {
    char path[PATH_ROOM];
    sal_tensor raw = sal_model_raw(&o->model);
    sal_map numbers = *map;                     /* not to be freed */
    sal_result r = result_path(ctx, &o->pictures, of, o->npy, "", "", "npy", path);
    if (o->raw) {
        numbers.w = raw.dim[1];
        numbers.h = raw.dim[0];
        numbers.data = (float *)raw.data;
    }
    if (!r) r = sal_map_save_npy(ctx, path, &numbers);
    if (!r) written(&o->pictures, path);
    return r;
}

/* --- why, and in which steps ---------------------------------------------------------------- */

/* channel,part: the sum over the layer's positions. */
static sal_result write_parts(sal_ctx *ctx, options *o, const picture *of,
                              const sal_explanation *e) {
    enum { LINE = 48 };
    char path[PATH_ROOM], number[32], *text;
    int c, i, area = e->shape.h * e->shape.w, used;
    sal_result r = result_path(ctx, &o->pictures, of, o->parts, "", "", "csv", path);
    if (r) return r;
    text = NEW(ctx, char, (e->shape.c + 1) * LINE);
    if (!text) return SAL_ERR_MEMORY;
    used = sprintf(text, "channel,part\n");
    for (c = 0; c < e->shape.c; c++) {
        double sum = 0;
        for (i = 0; i < area; i++) sum += e->part[c * area + i];
        used += sprintf(text + used, "%d,%s\n", c, sal_number_print(number, (float)sum, 0));
    }
    r = sal_file_write(ctx, path, text, (size_t)used);
    if (!r) written(&o->pictures, path);
    sal_free(ctx, text);
    return r;
}

/* The explanation in colours over the picture, and a white frame around the region. */
static sal_result explain(sal_ctx *ctx, options *o, const picture *of, const sal_image *image) {
    sal_explanation e;
    sal_image colours;
    const sal_explain_desc *d = &o->why;
    int x, y, w = image->w, h = image->h;
    sal_result r = sal_explain(ctx, o->model.net, image, d, &e);
    if (r) return r;
    if (o->parts) r = write_parts(ctx, o, of, &e);
    if (!r && d->layer == 0)            /* single pixels are noise */
        r = sal_blur(ctx, e.map.data, e.map.data, w, h, (w + h) / 200.0, 4, SAL_BORDER_REPLICATE);
    if (!r && o->explain && !(r = sal_overlay(ctx, image, &e.map, 0.6f, &colours))) {
        for (y = 0; d->w && y < h; y++)
            for (x = 0; x < w; x++) {
                int left = x - d->x, top = y - d->y, right = d->x + d->w - 1 - x;
                int bottom = d->y + d->h - 1 - y;
                if (left >= 0 && top >= 0 && right >= 0 && bottom >= 0 &&
                    (left < 2 || top < 2 || right < 2 || bottom < 2))
                    memset(colours.data + 3 * ((size_t)y * w + x), 255, 3);
            }
        r = write_image(ctx, o, of, o->explain, &colours);
        sal_image_free(ctx, &colours);
    }
    sal_explanation_free(ctx, &e);
    return r;
}

/* Puts a map in colours over the picture into a larger picture, from (x, y) on. */
static sal_result place(sal_ctx *ctx, sal_image *into, int x, int y, const sal_image *image,
                        const sal_map *map) {
    sal_image colours;
    int row;
    sal_result r = sal_overlay(ctx, image, map, 0.6f, &colours);
    if (r) return r;
    for (row = 0; row < image->h; row++)
        memcpy(into->data + 3 * ((size_t)(y + row) * into->w + x),
               colours.data + 3 * (size_t)row * image->w, 3 * (size_t)image->w);
    sal_image_free(ctx, &colours);
    return SAL_OK;
}

/* SAM's Fig. 3: a column for each step, above the map if the ConvLSTM stops there, below where that
   step looked. */
static sal_result write_strip(sal_ctx *ctx, options *o, const picture *of,
                              const sal_image *image) {
    enum { GAP = 4 };
    sal_net *net = o->model.net;
    int t, steps = net->desc.steps, h = o->model.run->h, w = o->model.run->w;
    sal_run *run = o->model.run;                /* of all steps, kept for the next picture */
    sal_image strip;
    sal_map map;
    sal_result r = sal_image_new(ctx, steps * (image->w + GAP) - GAP, 2 * image->h + GAP, &strip);
    if (r) return r;
    memset(strip.data, 255, 3 * (size_t)strip.w * strip.h);
    o->model.run = NULL;
    for (t = 1; t <= steps && !r; t++) {
        int x = (t - 1) * (image->w + GAP);
        r = sal_net_steps(ctx, net, t);
        if (!r) r = sal_model_resize(ctx, &o->model, w, h);
        if (r || (r = sal_model_predict(ctx, &o->model, image, &map))) break;
        r = place(ctx, &strip, x, 0, image, &map);
        sal_map_free(ctx, &map);
        if (r || (r = sal_attention(ctx, net, image, t, &map))) break;
        r = place(ctx, &strip, x, image->h + GAP, image, &map);
        sal_map_free(ctx, &map);
    }
    if (!r) r = write_image(ctx, o, of, o->strip, &strip);
    sal_image_free(ctx, &strip);
    sal_run_close(ctx, o->model.run);
    o->model.run = run;
    sal_net_steps(ctx, net, steps);
    return r;
}

static sal_result predict(sal_ctx *ctx, void *arg, const picture *of) {
    options *o = (options *)arg;
    sal_image image;
    sal_map map;
    sal_result r = load_image(ctx, of->path, &image);
    if (r) return r;
    r = sal_model_predict(ctx, &o->model, &image, &map);
    if (!r) {
        if (o->out || (!o->overlay && !o->npy && !o->strip && !o->explain && !o->parts))
            r = write_map(ctx, o, of, &map);
        if (!r && o->overlay) r = write_overlay(ctx, o, of, &image, &map);
        if (!r && o->npy) r = write_npy(ctx, o, of, &map);
        sal_map_free(ctx, &map);
    }
    if (!r && (o->explain || o->parts)) r = explain(ctx, o, of, &image);
    if (!r && o->strip) r = write_strip(ctx, o, of, &image);
    sal_image_free(ctx, &image);
    return r;
}

/* --- video --------------------------------------------------------------------------------- */

/* What goes from frame to frame. */
typedef struct video {
    sal_image frame;
    sal_map smooth;             /* the map before, and as it is shown */
    unsigned char *grey;
    int count;
} video;

/* The next frame: 1, 0 at the end, -1 after a complaint. */
static int read_frame(video *v) {
    size_t size = (size_t)v->frame.w * (size_t)v->frame.h * 3;
    size_t got = fread(v->frame.data, 1, size, stdin);
    if (got == size) return 1;
    if (ferror(stdin)) complain("standard input: cannot be read: %s", strerror(errno));
    else if (!got) return 0;
    else complain("frame %d is cut off: %.0f of %.0f bytes", v->count + 1, (double)got,
                  (double)size);
    return -1;
}

static sal_result write_frame(sal_ctx *ctx, const options *o, video *v) {
    size_t i, n = (size_t)v->frame.w * (size_t)v->frame.h;
    sal_image colours;
    sal_result r;
    if (!o->overlay) {
        for (i = 0; i < n; i++) v->grey[i] = (unsigned char)(v->smooth.data[i] * 255 + 0.5f);
        fwrite(v->grey, 1, n, stdout);
    } else {
        r = sal_overlay(ctx, &v->frame, &v->smooth, 0.6f, &colours);
        if (r) return r;
        fwrite(colours.data, 1, 3 * n, stdout);
        sal_image_free(ctx, &colours);
    }
    return fflush(stdout) || ferror(stdout) ? SAL_ERR_IO : SAL_OK;      /* finish() says why */
}

/* shown = F * shown before + (1 - F) * map. Maps run from 0 to 1. */
static sal_result predict_frame(sal_ctx *ctx, options *o, video *v) {
    size_t i, n = (size_t)v->frame.w * (size_t)v->frame.h;
    float keep = v->count ? (float)o->smooth : 0;
    sal_map map;
    sal_result r = sal_model_predict(ctx, &o->model, &v->frame, &map);
    if (r) return r;
    for (i = 0; i < n; i++)
        v->smooth.data[i] = keep * v->smooth.data[i] + (1 - keep) * map.data[i];
    sal_map_free(ctx, &map);
    return write_frame(ctx, o, v);
}

static int predict_frames(sal_ctx *ctx, options *o) {
    int w = o->frame[0], h = o->frame[1], status = 0, more = 0, bar;
    double start = now(), last = start;
    video v;
    memset(&v, 0, sizeof v);
    v.grey = (unsigned char *)sal_alloc(ctx, (size_t)w * (size_t)h, 1);
    if (!v.grey || sal_image_new(ctx, w, h, &v.frame) || sal_map_new(ctx, w, h, &v.smooth))
        status = complain("%s", sal_error(ctx));
    bar = !o->pictures.quiet && is_terminal(2);
    while (!status && (more = read_frame(&v)) > 0) {
        if (predict_frame(ctx, o,
                          &v)) status = *sal_error(ctx) ? complain("%s", sal_error(ctx)) : 1;
        v.count++;
        if (!bar || now() < last + 0.5) continue;
        last = now();
        fprintf(stderr, "\r%d frames, %.1f frames/second ", v.count, v.count / (last - start));
    }
    if (!o->pictures.quiet && v.count)
        fprintf(stderr, "%s%d frames, %.1f frames/second\n", bar ? "\r" : "", v.count,
                v.count / (now() - start));
    sal_map_free(ctx, &v.smooth);
    sal_image_free(ctx, &v.frame);
    sal_free(ctx, v.grey);
    return status || more < 0;
}

/* --- options ------------------------------------------------------------------------------- */

static int read_frame_size(void *into, const char *option, const char *value) {
    int *frame = (int *)into;
    char rest;
    if (sscanf(value, "%5dx%5d%c", &frame[0], &frame[1], &rest) == 2 && frame[0] > 0 &&
        frame[1] > 0) return 0;
    return complain("%s %s: WIDTHxHEIGHT, please, as 640x360", option, value);
}

/* Frames come from standard input and go to standard output. */
static int check_frames(options *o, char **argv, int count) {
    if (count != 1 || !is_standard(argv[0]))
        return complain("--frames reads raw rgb24 frames from standard input: give - and nothing "
                        "else");
    if (o->npy || o->strip || o->explain || o->parts || (o->out && o->overlay) ||
        (o->out && !is_standard(o->out)) ||
        (o->overlay && !is_standard(o->overlay)))
        return complain("--frames writes to standard output: -o - or --overlay -");
    return 0;
}

/* --- self-test ----------------------------------------------------------------------------- */

static void show_kernel(void *user, const char *kernel, double error) {
    (void)user;
    printf("%-5s  %s\n", error < 1e-3 ? "right" : "WRONG", kernel);
}

static int self_test(sal_ctx *ctx) {    /* -1: all is done */
    return sal_self_test(ctx, show_kernel, NULL) ? complain("%s", sal_error(ctx)) : -1;
}

static int read_region(void *into, const char *option, const char *value) {
    sal_explain_desc *d = (sal_explain_desc *)into;
    char rest;
    if (sscanf(value, "%6d,%6d,%6d,%6d%c", &d->x, &d->y, &d->w, &d->h, &rest) == 4 && d->x >= 0 &&
        d->y >= 0 && d->w > 0 && d->h > 0) return 0;
    return complain("%s %s: X,Y,WIDTH,HEIGHT, please, as 100,40,64,64", option, value);
}

/* What is to be explained, and the network can. */
static int check_why(options *o) {
    const sal_net *net = o->model.net;
    sal_explain_desc *d = &o->why;
    int number, i = 0;
    if (o->strip && !(net && net->desc.steps))
        return complain("--strip: %s has no ConvLSTM", o->model.name);
    if (!o->explain && !o->parts)
        return o->layer || o->of || d->w ? complain("--region, --of and --layer are for --explain "
                                                    "and --parts") : 0;
    if (!net) return complain("--explain: %s is not a network", o->model.name);
    d->of = d->w ? SAL_EXPLAIN_MEAN : SAL_EXPLAIN_VARIANCE;
    if (o->of && !strcmp(o->of, "mean")) d->of = SAL_EXPLAIN_MEAN;
    else if (o->of && !strcmp(o->of, "variance")) d->of = SAL_EXPLAIN_VARIANCE;
    else if (o->of) return complain("--of %s: mean or variance, please", o->of);
    d->domain = o->model.domain;
    if (!o->layer) return 0;
    if (o->layer[0] >= '0' && o->layer[0] <= '9') {
        if (read_whole("--layer", o->layer, 0, net->layers - 1, &number)) return 1;
        d->layer = number;
        return 0;
    }
    while (i < net->layers && strcmp(net->layer[i].name, o->layer)) i++;
    if (i == net->layers)
        return complain("--layer %s: %s has none of this name; inspect -n %s lists them", o->layer,
                        net->name, net->name);
    d->layer = i;
    return 0;
}

static int read_command_line(sal_ctx *ctx, options *o, int argc, char **argv) {
    const option table[] = {
        option_text("-m", &o->which.name),
        option_text("-w", &o->which.weights),
        option_size("--input", o->which.input),
        option_whole("--domain", &o->which.domain, 0, SAL_DOMAIN_COUNT - 1),
        option_number("--blur", &o->which.blur, 0, 1),
        option_number("--power", &o->which.power, 0.01, 100),
        option_call("--viewing-distance", read_viewing, &o->which.blur),
        option_flag("--center", &o->which.center),
        option_call("--precision", read_precision, &o->which.float32),
        option_text("-o", &o->out),
        option_text("--overlay", &o->overlay),
        option_text("--npy", &o->npy),
        option_flag("--raw", &o->raw),
        option_whole("--steps", &o->which.steps, 1, 4),
        option_text("--strip", &o->strip),
        option_text("--explain", &o->explain),
        option_call("--region", read_region, &o->why),
        option_text("--of", &o->of),
        option_text("--layer", &o->layer),
        option_text("--parts", &o->parts),
        option_whole("--threads", &ctx->threads, 1, MOST_THREADS),
        option_flag("--recursive", &o->pictures.recursive),
        option_call("--part", read_part, &o->pictures.part),
        option_call("--frames", read_frame_size, o->frame),
        option_number("--smooth", &o->smooth, 0, 1),
        option_flag("--self-test", &o->self_test),
        option_flag("--quiet", &o->pictures.quiet),
    };
    int count, status = read_options(argc, argv, table, COUNT(table), help, &count);
    if (status) return status;
    if (o->self_test && (count || given_options > 1))
        return complain("--self-test takes no pictures and no other options");
    if (o->self_test) return self_test(ctx);
    if ((given_of("--viewing-distance") && refuse("--blur", "beside --viewing-distance, which sets "
                                                  "it")) ||
        (o->frame[0] && refuse("--recursive --part", "with --frames")))
        return 1;
    if (o->raw && !o->npy) return complain("--raw says what --npy writes: add --npy");
    if (!given_of("-o --overlay --strip --frames") && (!o->npy || o->raw) &&
        (o->explain || o->parts || o->raw) &&
        refuse("--blur --power --viewing-distance --center", "for --explain, --parts and --raw, "
               "which look at the network's output"))
        return 1;
    if (o->frame[0]) return check_frames(o, argv, count);
    if (o->smooth > 0) return complain("--smooth is for video: add --frames");
    if (o->which.weights) take(&o->pictures, o->which.weights);
    return find_pictures(ctx, &o->pictures, argv, count) || check_out(&o->pictures, o->out) ||
           check_out(&o->pictures, o->overlay) || check_out(&o->pictures, o->npy) ||
           check_out(&o->pictures, o->strip) || check_out(&o->pictures, o->explain) ||
           check_out(&o->pictures, o->parts);
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
    if (!status && o.model.net) {
        o.model.net->desc.h = o.model.run->h;           /* explain at the size of --input, too */
        o.model.net->desc.w = o.model.run->w;
    }
    if (!status) status = check_why(&o);
    if (!status && o.frame[0]) status = predict_frames(&ctx, &o);
    else if (!status) status = for_all(&ctx, &o.pictures, predict, &o);
    sal_model_close(&ctx, &o.model);
    pictures_free(&o.pictures);
    return finish(status);
}
