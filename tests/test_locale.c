/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* Numbers in files have a decimal point in every country: weights, states, tables, arrays. */
#define _POSIX_C_SOURCE 200809L
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#define DATASET_IMPLEMENTATION
#include "../examples/dataset.h"
#include "test.h"
#include <locale.h>

/* 1 in a locale that writes one half as 0,5. If none is installed, glibc can make one. */
static int decimal_comma(void) {
    static const char *const names[] = { "de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8",
                                         "fr_FR.utf8", "ru_RU.UTF-8" };
    char half[32];
    for (int made = 0; made < 2; made++) {
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            if (!setlocale(LC_ALL, names[i])) continue;
            snprintf(half, sizeof half, "%.1f", 0.5);
            if (!strcmp(half, "0,5")) return 1;
        }
        if (made || system("mkdir -p build/locale && localedef -i de_DE -f UTF-8 "
                           "build/locale/de_DE.UTF-8 2>/dev/null")) break;
        setenv("LOCPATH", "build/locale", 1);
    }
    setlocale(LC_ALL, "C");
    return 0;
}

static int reads(const char *text, double want, const char *rest) {
    double got = -77;
    return !sal_number_parse(&text, &got) && got == want && !strcmp(text, rest);
}

static int nearly(const char *text, double want) {
    double got = -77;
    return !sal_number_parse(&text, &got) && fabs(got / want - 1) < 1e-14;
}

static int none(const char *text) {
    const char *at = text;
    double got = -77;
    return sal_number_parse(&at, &got) && at == text && got == -77;
}

static void numbers(const char *where) {
    char text[32], many[700];
    int good = 1;
    CHECK(reads("0.5", .5, "") && reads("-1.25e2;", -125, ";") && reads("+.5", .5, "") &&
          reads("7.", 7, "") && reads("0.1", .1, "") && reads("1e22", 1e22, ""),
          "%s: numbers are read to the last bit", where);
    CHECK(reads("0,5", 0, ",5") && reads("1.2.3", 1.2, ".3") && reads("1 000", 1, " 000"),
          "%s: a comma, a second point and a blank end a number", where);
    CHECK(none("") && none(".") && none("-") && none("1e") && none("1e+") && none("nan") &&
          none("inf") && none(" 1"), "%s: what is no number is none", where);
    CHECK(nearly("1.2345678901234567e-300", 1.2345678901234567e-300) &&
          nearly("2.2250738585072014e-308", DBL_MIN), "%s: the smallest numbers are not 0", where);
    memset(many, '0', sizeof many);
    many[0] = '1'; many[350] = '.'; many[sizeof many - 1] = 0;
    const char *at = many;
    double huge = 0;
    CHECK(!sal_number_parse(&at, &huge) && huge > DBL_MAX && reads("1e-9999", 0, "") &&
          reads("100000000000000000000000000000e-29", 1, "") && reads("0e9999", 0, ""),
          "%s: very long and very large numbers are infinite, tiny or right, never NaN", where);
    CHECK(!strcmp(sal_number_print(text, .1f, 0), "0.1") &&
          !strcmp(sal_number_print(text, -1.0004f, 0), "-1.0004") &&
          !strcmp(sal_number_print(text, 1234567.5, 6), "1.23457e+06") &&
          !strcmp(sal_number_print(text, 3, 6), "3") && !strcmp(sal_number_print(text, 1e-5, 6),
          "1e-05"), "%s: numbers are printed with a point", where);
    CHECK(!strcmp(sal_number_print(text, (double)NAN, 6), "nan") &&
          !strcmp(sal_number_print(text, -(double)INFINITY, 0), "-inf") &&
          strlen(sal_number_print(text, -1.7976931348623157e308, 17)) < 32,
          "%s: so are what is not finite and the longest", where);
    sal_ctx ctx = ZEROED;
    sal_loss loss;
    CHECK(!sal_loss_parse(&ctx, "0.25*kl-1.5*cc", &loss) && loss.weight[SAL_LOSS_KL] == .25 &&
          loss.weight[SAL_LOSS_CC] == -1.5, "%s: so are the factors of a loss", where);
    sal_rng rng = { 1 };
    for (int i = 0; i < 20000; i++) {
        uint32_t bits = (uint32_t)sal_rng_next(&rng);
        float f;
        const char *back = text;
        double again;
        memcpy(&f, &bits, sizeof f);
        if (!(fabsf(f) <= FLT_MAX)) continue;
        sal_number_print(text, f, 0);
        good &= !sal_number_parse(&back, &again) && !*back && (float)again == f;
    }
    CHECK(good, "%s: every float is printed such that it is read again", where);
}

/* --- files ------------------------------------------------------------------------------------ */

#define SET "build/test_locale_set"
enum { WEIGHTS, STATE, NPY, PNG, FILES };
static const char *const file[FILES] = { "build/test_locale.safetensors", "build/test_locale.state",
    "build/test_locale.npy", SET "/images/a.png" };

static sal_result load(void *user, sal_ctx *ctx, int i, sal_sample *sample) {
    (void)user;
    TRY(sal_image_new(ctx, 48, 48, &sample->image));
    TRY(sal_map_new(ctx, 48, 48, &sample->density));
    for (int k = 0; k < 48 * 48; k++) sample->image.data[3 * k] = (unsigned char)(k * (i + 3));
    sample->density.data[100 * i + 7] = 1;
    return SAL_OK;
}

/* A network of odd numbers, learning for an epoch with odd ones; its files. */
static sal_result train(sal_ctx *ctx, int resume, sal_net_desc *desc) {
    sal_source source = { 2, load, NULL, NULL };
    sal_train_desc d = sal_train_desc_paper(SAL_KIND_JUNTINGNET);
    sal_train_result result;
    sal_net *net = NULL;
    *desc = sal_net_desc_default(SAL_KIND_JUNTINGNET);
    desc->h = desc->w = 48; desc->narrow = 24; desc->blur = 2.5f; desc->power = 1.25f;
    desc->floor = .0625f; desc->dropout = .125f; desc->mean[1] = .481f; desc->std[2] = 1.5f;
    d.train = d.val = &source; d.epochs = 1; d.batch = 2; d.schedule.rate = .0375;
    d.loss.weight[SAL_LOSS_MSE] = .75;
    d.out = file[WEIGHTS]; d.state = file[STATE]; d.resume = resume;
    sal_result r = sal_net_new(ctx, desc, &net);
    if (!r) r = sal_net_init(ctx, net, 1);
    if (!r) r = sal_train(ctx, net, &d, &result);
    sal_net_free(ctx, net);
    return r;
}

static sal_result write_all(sal_ctx *ctx) {
    float values[6] = { .5f, 1.25f, -3.75f, 1e-9f, 0, 7 };
    sal_map map = { 3, 2, values };
    sal_image image;
    sal_net_desc desc;
    for (int i = 0; i < FILES; i++) remove(file[i]);
    TRY(sal_folder_make(ctx, SET "/images"));
    TRY(train(ctx, 0, &desc));
    TRY(sal_map_save_npy(ctx, file[NPY], &map));
    TRY(sal_image_new(ctx, 20, 10, &image));
    sal_result r = sal_image_save(ctx, file[PNG], &image);
    sal_image_free(ctx, &image);
    return r;
}

static void digests(sal_ctx *ctx, uint64_t digest[FILES]) {
    for (int i = 0; i < FILES; i++) {
        unsigned char *bytes = NULL;
        size_t size = 0;
        digest[i] = 0;
        if (!sal_file_read(ctx, file[i], &bytes, &size))
            digest[i] = hash_on(1, bytes, size);
        sal_free(ctx, bytes);
    }
}

/* What was written in C is read. */
static void read_all(sal_ctx *ctx) {
    static const char fixations[] = "image,x,y,start_ms\na.png,1.5,2.25,0.5\n";
    static const char sigmas[] = "image,sigma_px\na.png,3.5\n";
    sal_net_desc want;
    sal_net *net = NULL;
    sal_map map;
    sal_dataset set;
    sal_item item;
    CHECK(train(ctx, 1, &want) == SAL_OK, "a training goes on from a state of another locale %s",
          ctx->error);
    sal_result r = sal_net_load(ctx, file[WEIGHTS], &net);
    if (CHECK(r == SAL_OK, "the weights are read %s", r ? ctx->error : ""))
        CHECK(net->desc.blur == want.blur && net->desc.power == want.power &&
              net->desc.floor == want.floor && net->desc.dropout == want.dropout &&
              !memcmp(net->desc.mean, want.mean, sizeof want.mean) &&
              !memcmp(net->desc.std, want.std, sizeof want.std), "with every fraction");
    sal_net_free(ctx, net);
    CHECK(sal_map_load_npy(ctx, file[NPY], &map) == SAL_OK && map.data[1] == 1.25f &&
          map.data[2] == -3.75f, "so is an array");
    sal_map_free(ctx, &map);
    sal_file_write(ctx, SET "/fixations.csv", fixations, sizeof fixations - 1);
    sal_file_write(ctx, SET "/sigma.csv", sigmas, sizeof sigmas - 1);
    r = sal_dataset_open(ctx, SET, NULL, &set);
    if (r == SAL_OK) r = sal_dataset_item(ctx, &set, 0, SAL_ITEM_FIXATIONS, &item);
    if (CHECK(r == SAL_OK, "a table is read %s", r ? ctx->error : "")) {
        const sal_fixation *f = item.fixation;
        CHECK(item.fixations == 1 && f->x == 1.5f && f->y == 2.25f && f->start_ms == .5f &&
              set.entry[0].sigma == 3.5, "with its fractions");
        sal_item_free(ctx, &item);
    }
    sal_dataset_close(ctx, &set);
}

static void files(void) {
    uint64_t here[FILES], there[FILES];
    sal_ctx ctx = ZEROED;
    ctx.threads = 1;
    sal_result r = write_all(&ctx);     /* with commas */
    digests(&ctx, there);
    setlocale(LC_ALL, "C");
    if (!r) r = write_all(&ctx);
    digests(&ctx, here);
    CHECK(!r && !memcmp(here, there, sizeof here) && here[0], "weights, states, arrays and "
          "pictures are the same bytes in C and with decimal commas %s",
          r ? ctx.error : "");
    CHECK(decimal_comma(), "with decimal commas again:");
    read_all(&ctx);
    for (int i = 0; i < FILES; i++) remove(file[i]);
    remove(SET "/fixations.csv"); remove(SET "/sigma.csv");
    remove(SET "/images"); remove(SET);
}

int main(void) {
    numbers("in C");
    if (!decimal_comma()) SKIP("no locale with a decimal comma is installed or can be made");
    else {
        numbers("with decimal commas");
        files();
    }
    {
        char version[32];
        snprintf(version, sizeof version, "%d.%d.%d", SAL_VERSION_MAJOR, SAL_VERSION_MINOR,
                 SAL_VERSION_PATCH);
        CHECK(!strcmp(version, SAL_VERSION) && !strcmp(sal_version(), SAL_VERSION),
              "the version is the same as numbers, as text and from the library");
    }
    return test_done();
}
