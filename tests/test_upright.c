/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* Photographs that lie on their side, with an EXIF orientation that says so, through the programs:
   all that they make of one is upright.

   gcc -O2 -fopenmp -Wall -Wextra -I. tests/test_upright.c -o build/test_upright -lm
   The programs are looked for beside this one. */
#if !defined(_XOPEN_SOURCE) && !defined(__cplusplus)
#define _XOPEN_SOURCE 700           /* setenv, mkdtemp, realpath */
#endif
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "../weights/saliency_lite.h"
#include <limits.h>
#include <stdarg.h>
#include "test.h"
#ifdef _WIN32
int main(void) {
    SKIP("the programs are run by a shell here");
    return test_done();
}
#else

enum { W = 240, H = 160 };

static sal_ctx ctx;

/* A shell command in the test's folder; 1 if it succeeds and says nothing on standard error. */
static int shell(const char *command) {
    static char line[4096];
    snprintf(line, sizeof line, "cd \"$T\" && ( %s ) 2>err && test ! -s err", command);
    if (system(line) == 0) return 1;
    if (system("cat \"$T/err\"")) printf("(no output)\n");
    return 0;
}

static const char *in_folder(const char *name) {
    static char path[4][2048];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", getenv("T"), name);
    return path[turn];
}

/* Where the pixel (x, y) of the file lies in the picture that stands upright (EXIF 2.32, table 6). */
static void upright_pixel(int how, int x, int y, int *ux, int *uy) {
    int swap = x;
    if (how > 4) { x = y; y = swap; }
    *ux = how == 2 || how == 3 || how == 6 || how == 7 ? W - 1 - x : x;
    *uy = how == 3 || how == 4 || how == 7 || how == 8 ? H - 1 - y : y;
}

/* The picture as a JPEG file in this orientation; it stands in the file if `told`. */
static int save_turned(const sal_image *upright, int how, int told, const char *path) {
    static const unsigned char exif[36] = "\xFF\xE1\0\x22" "Exif\0\0"
                                          "MM\0\x2A\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1";
    sal_image turned;
    unsigned char *file, *longer;
    size_t size;
    int x, y, ux, uy, ok;
    if (sal_image_new(&ctx, how > 4 ? H : W, how > 4 ? W : H, &turned)) return 0;
    for (y = 0; y < turned.h; y++)
        for (x = 0; x < turned.w; x++) {
            upright_pixel(how, x, y, &ux, &uy);
            memcpy(turned.data + 3 * (y * turned.w + x), upright->data + 3 * (uy * W + ux), 3);
        }
    ok = !sal_image_save(&ctx, path, &turned) && !sal_file_read(&ctx, path, &file, &size);
    sal_image_free(&ctx, &turned);
    if (!ok || !told) return ok;
    longer = (unsigned char *)sal_alloc(&ctx, size + sizeof exif, 1);
    memcpy(longer, file, 2);
    memcpy(longer + 2, exif, sizeof exif);
    longer[2 + 29] = (unsigned char)how;
    memcpy(longer + 2 + sizeof exif, file + 2, size - 2);
    ok = !sal_file_write(&ctx, path, longer, size + sizeof exif);
    sal_free(&ctx, longer);
    sal_free(&ctx, file);
    return ok;
}

/* The mean of red, green and blue. */
static sal_result load_colours(sal_ctx *c, const char *path, sal_map *map) {
    sal_image image;
    sal_result r = sal_image_load(c, path, &image);
    if (r == SAL_OK) r = sal_map_new(c, image.w, image.h, map);
    for (int i = 0; r == SAL_OK && i < image.w * image.h; i++)
        map->data[i] = (image.data[3 * i] + image.data[3 * i + 1] + image.data[3 * i + 2]) / 765.0f;
    sal_image_free(c, &image);
    return r;
}

/* The correlation of two pictures or maps of one size; -1 if they have not. */
static double alike(const char *a, const char *b) {
    sal_map x, y;
    double cc = -1;
    sal_result (*load)(sal_ctx *, const char *, sal_map *) =
        strstr(a, ".npy") ? sal_map_load_npy : load_colours;
    if (load(&ctx, a, &x)) return -1;
    if (!load(&ctx, b, &y)) {
        sal_score_desc d = ZEROED;
        d.w = x.w; d.h = x.h; d.map = x.data; d.density = y.data;
        if (x.w == y.w && x.h == y.h) sal_metric(&ctx, SAL_METRIC_CC, &d, &cc);
        sal_map_free(&ctx, &y);
    }
    sal_map_free(&ctx, &x);
    return cc;
}

static double worst(double a, double b) { return a < b ? a : b; }

int main(int argc, char **argv) {
    char folder[] = TEST_FOLDER "/upright-XXXXXX", line[8192], name[2][64], top[PATH_MAX];
    double map = 1, npy = 1, over = 1, explained = 1, cut = 1, label = 1, kept = 1;
    sal_image photo, upright;
    int how, x, y, ok;
    (void)argc;
    memset(&ctx, 0, sizeof ctx);
    snprintf(line, sizeof line, "%.*s", (int)(sal_path_name(argv[0]) - argv[0]), argv[0]);
    if (!*line) snprintf(line, sizeof line, "./");
    if (!realpath(line, top) || !mkdtemp(folder)) return 1;
    setenv("T", folder, 1);
    snprintf(line, sizeof line, "%s/predict", top);
    if (sal_path_kind(line) != 0) { SKIP("predict is not built"); return test_done(); }
    snprintf(line, sizeof line, "%s:%s", top, getenv("PATH"));
    setenv("PATH", line, 1);

    if (sal_image_load(&ctx, "examples/photos/coffee.jpg", &photo) ||
        sal_image_new(&ctx, W, H, &upright)) { CHECK(0, "%s", sal_error(&ctx)); return test_done(); }
    for (y = 0; y < H; y++)
        for (x = 0; x < W; x++)
            memcpy(upright.data + 3 * (y * W + x), photo.data + 3 * (y * photo.h / H * photo.w +
                                                                    x * photo.w / W), 3);
    ok = shell("mkdir photos");
    for (how = 1; how <= 8; how++) {
        snprintf(name[0], 64, "turned%d.jpg", how);
        snprintf(name[1], 64, "photos/turned%d.jpg", how);
        ok &= save_turned(&upright, how, 1, in_folder(name[0])) &&
              save_turned(&upright, how, 1, in_folder(name[1]));
        snprintf(line, sizeof line, "h=%d; predict --quiet -o map$h.png --npy map$h.npy "
                 "--overlay over$h.png --explain why$h.png turned$h.jpg && "
                 "crop -a 1:1 --quiet -o cut$h.png turned$h.jpg", how);
        ok &= shell(line);
    }
    ok &= shell("pretrain --images photos -m spectral --out set --quiet");
    CHECK(ok, "predict, crop and pretrain take a photograph in all eight orientations");
    for (how = 2; how <= 8; how++) {
        static const char *const kinds[6] = { "map%d.png", "map%d.npy", "over%d.png", "why%d.png",
                                              "cut%d.png", "set/maps/turned%d.png" };
        double *const least[6] = { &map, &npy, &over, &explained, &cut, &label };
        char first[64];
        for (x = 0; x < 6; x++) {
            snprintf(name[0], 64, kinds[x], how);
            snprintf(first, 64, kinds[x], 1);
            *least[x] = worst(*least[x], alike(in_folder(first), in_folder(name[0])));
        }
        snprintf(name[0], 64, "set/images/turned%d.jpg", how);
        ctx.as_stored = 1;                  /* as data sets are read */
        kept = worst(kept, alike(in_folder("turned1.jpg"), in_folder(name[0])));
        ctx.as_stored = 0;
        kept = worst(kept, alike(in_folder("turned1.jpg"), in_folder(name[0])));
    }
    CHECK(map >= 0.999, "maps of turned photographs are upright: CC with the upright one's %.4f", map);
    CHECK(npy >= 0.999, "so are arrays: %.4f", npy);
    CHECK(over >= 0.999, "overlays: %.4f", over);
    /* gradients see the noise of JPEG, which differs between the files */
    CHECK(explained >= 0.97, "explanations (of the pixels' gradients): %.4f", explained);
    CHECK(cut >= 0.999, "crops: the same part, and not turned again by who opens it: %.4f", cut);
    CHECK(label >= 0.999, "pretrain's maps: %.4f", label);
    CHECK(kept >= 0.999, "and the pictures that it keeps with them: %.4f", kept);

    /* In data sets coordinates count in the file's rows: people were shown it as stored. */
    ok = shell("mkdir -p told/set/images plain/set/images");
    for (how = 6; how <= 8; how++) {
        snprintf(name[0], 64, "told/set/images/p%d.jpg", how);
        snprintf(name[1], 64, "plain/set/images/p%d.jpg", how);
        ok &= save_turned(&upright, how, 1, in_folder(name[0])) &&
              save_turned(&upright, how, 0, in_folder(name[1]));
    }
    ok &= shell("for p in 6 7 8; do for s in 1 2; do for x in 20 60 100; do for y in 30 70 220; do "
                "echo p$p.jpg,s$s,$((x + p + 4 * s)),$((y + p - 5 * s)),200; done; done; done; "
                "done >looks && for d in told plain; do "
                "{ echo image,subject,x,y,duration_ms; cat looks; } >$d/set/fixations.csv; done");
    CHECK(ok && shell("for d in told plain; do cd $d && evaluate -m spectral --data set "
                      "--csv out.csv --quiet >out && cd .. || exit 1; done && "
                      "cmp told/out.csv plain/out.csv"),
          "evaluate scores the pictures of a data set as they are stored");
    CHECK(shell("for d in told plain; do cd $d && train -m lite --data set --val set --input 64x96 "
                "--epochs 1 --batch 2 --threads 1 --quiet --out out.safetensors && cd .. || exit 1; "
                "done && cmp told/out.safetensors plain/out.safetensors"),
          "so does train learn from them");
    sal_image_free(&ctx, &photo);
    sal_image_free(&ctx, &upright);
    CHECK(system("rm -rf \"$T\"") == 0, "the folder is removed");
    return test_done();
}
#endif
