/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* The program evaluate: run it on a small data set made here, and read what it wrote.

   gcc -O2 -fopenmp -Wall -Wextra -I. tests/test_evaluate.c -o build/test_evaluate -lm
   Looks for evaluate beside itself and skips without it; the report is also opened in Chromium if
   that is installed. */
#if !defined(_POSIX_C_SOURCE) && !defined(__cplusplus)
#define _POSIX_C_SOURCE 200809L     /* setenv, mkdtemp */
#endif
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#define DATASET_IMPLEMENTATION
#include "../examples/dataset.h"
#include "test.h"
#ifdef _WIN32
int main(void) {
    SKIP("evaluate is run by a shell here");
    return test_done();
}
#else
#include <sys/wait.h>

enum { PICTURES = 6, VIEWERS = 4, LOOKS = 5, W = 160, H = 120 };

static sal_ctx ctx;

/* A file under $T. */
static const char *in_folder(const char *name) {
    static char path[2][2048];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", getenv("T"), name);
    return path[turn];
}

/* Run a shell command, its output in $T/out and $T/err; its exit status. */
static int shell(const char *command) {
    static char line[8192];
    int status;
    snprintf(line, sizeof line, "( %s ) >\"$T/out\" 2>\"$T/err\"", command);
    status = system(line);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int run(const char *arguments) {
    static char line[4096];
    snprintf(line, sizeof line, "$RUNNER \"$EVALUATE\" %s", arguments);
    return shell(line);
}

/* A whole file of $T as text; release with sal_free. */
static char *slurp(const char *name) {
    unsigned char *data;
    size_t size;
    return sal_file_read(&ctx, in_folder(name), &data, &size) ? NULL : (char *)data;
}

static int holds(const char *name, const char *what) {
    char *text = slurp(name);
    int found = text && strstr(text, what);
    sal_free(&ctx, text);
    return found;
}

static int count_lines(const char *name) {
    char *text = slurp(name), *p;
    int n = 0;
    for (p = text; p && *p; p++) n += *p == '\n';
    sal_free(&ctx, text);
    return n;
}

/* Six pictures, each with a bright disc that four viewers look at, and the right maps. */
static int make_set(void) {
    FILE *csv;
    sal_dataset set;
    sal_rng r;
    int k, i, v, ok;
    char name[64];
    ok = shell("mkdir -p \"$T/set/images\" \"$T/good\" \"$T/few\"") == 0;
    csv = fopen(in_folder("set/fixations.csv"), "w");
    if (!ok || !csv) return 0;
    fprintf(csv, "image,subject,x,y,duration_ms\n");
    r.state = 1;
    for (k = 0; k < PICTURES; k++) {
        sal_image image;
        int cx = 30 + 20 * k, cy = 40 + 11 * (k % 4);
        if (sal_image_new(&ctx, W, H, &image)) return 0;
        for (i = 0; i < W * H; i++) {
            int dx = i % W - cx, dy = i / W - cy, in = dx * dx + dy * dy < 150;
            for (v = 0; v < 3; v++)
                image.data[3 * i + v] = (unsigned char)(in ? 250 - 60 * v : 40 + i % W / 4);
        }
        snprintf(name, sizeof name, "set/images/p%d.png", k);
        ok &= sal_image_save(&ctx, in_folder(name), &image) == SAL_OK;
        sal_image_free(&ctx, &image);
        for (v = 0; v < VIEWERS; v++)
            for (i = 0; i < LOOKS; i++)
                fprintf(csv, "p%d.png,s%02d,%.2f,%.2f,200\n", k, v + 1,
                        cx + 9 * sal_rng_normal(&r), cy + 9 * sal_rng_normal(&r));
    }
    ok &= fclose(csv) == 0;
    if (sal_dataset_open(&ctx, in_folder("set"), NULL, &set)) return 0;
    for (k = 0; k < PICTURES; k++) {
        sal_item item;
        if (sal_dataset_item(&ctx, &set, k, SAL_ITEM_DENSITY, &item)) return 0;
        snprintf(name, sizeof name, "good/p%d.npy", k);
        ok &= sal_map_save_npy(&ctx, in_folder(name), &item.density) == SAL_OK;
        snprintf(name, sizeof name, "few/p%d.png", k);
        if (k < 3) ok &= sal_map_save_png(&ctx, in_folder(name), &item.density) == SAL_OK;
        sal_item_free(&ctx, &item);
    }
    sal_dataset_close(&ctx, &set);
    return ok;
}

/* The mean (or "se") of a metric of a model in $T/json. */
static double json_value(const char *model, const char *metric, const char *what) {
    char *text = slurp("json"), key[100], *p;
    double value = -1e9;
    snprintf(key, sizeof key, "{\"name\":\"%s\",\"images\":%d,\"metrics\":{", model, PICTURES);
    p = text ? strstr(text, key) : NULL;
    snprintf(key, sizeof key, "\"%s\":{", metric);
    if (p) p = strstr(p, key);
    snprintf(key, sizeof key, "\"%s\":", what);
    if (p) p = strstr(p, key);
    if (p) value = strtod(p + strlen(key), NULL);
    sal_free(&ctx, text);
    return value;
}

/* Mean and standard error of the first metric (CC) of a model from $T/csv. */
static void csv_summary(const char *model, double *mean, double *se) {
    char *text = slurp("csv"), *line;
    double sum = 0, square = 0;
    int n = 0;
    for (line = text ? strtok(text, "\n") : NULL; line; line = strtok(NULL, "\n"))
        if (!strncmp(line, model, strlen(model)) && line[strlen(model)] == ',') {
            double v = strtod(strchr(line + strlen(model) + 1, ',') + 1, NULL);
            sum += v; square += v * v; n++;
        }
    *mean = n ? sum / n : -1;
    *se = n ? sqrt((square / n - *mean * *mean) / (n - 1)) : -1;
    sal_free(&ctx, text);
}

static void test_scores(void) {
    double mean, se, small;
    int status = run("-m center -m center+center --maps \"$T/good\" --baselines --data \"$T/set\" "
                     "--threads 1 --csv \"$T/csv\" --json \"$T/json\" --html \"$T/report.html\"");
    CHECK(status == 0, "a model, a folder of maps and the baselines are evaluated in one call");
    CHECK(count_lines("err") == 0, "no progress bar where stderr is no terminal");
    CHECK(holds("out", "center") && holds("out", "good") && holds("out", "centre prior") &&
          holds("out", "half vs half") && holds("out", "AUC_shuffled"),
          "the table names models, baselines and metrics");
    CHECK(fabs(json_value("good", "CC", "mean") - 1) < 1e-6 &&
          fabs(json_value("good", "SIM", "mean") - 1) < 1e-6 &&
          fabs(json_value("good", "KL", "mean")) < 1e-6 &&
          fabs(json_value("good", "EMD", "mean")) < 1e-6,
          "the true density as a map has CC 1, SIM 1, KL 0, EMD 0");
    CHECK(json_value("good", "NSS", "mean") > json_value("center", "NSS", "mean") &&
          json_value("good", "sAUC", "mean") > .9 &&
          json_value("centre prior", "IG", "mean") == 0 &&
          json_value("centre prior", "sAUC", "mean") < .5 &&
          json_value("viewer vs others", "AUC", "mean") > .8,
          "scores are in the order they must have; the centre prior gains nothing over itself");
    csv_summary("center", &mean, &se);
    CHECK(fabs(mean - json_value("center", "CC", "mean")) < 1e-8 &&
          fabs(se - json_value("center", "CC", "se")) < 1e-8,
          "mean and standard error are those of the lines of the CSV file (%.6f, %.6f)", mean, se);
    CHECK(count_lines("csv") == 1 + 6 * PICTURES, "the CSV file has a line for each model and "
          "picture, and one of names");
    CHECK(holds("report.html", "<svg") && holds("report.html", "data:image/jpeg;base64,") &&
          !holds("report.html", "http") && !holds("report.html", "<script") &&
          !holds("report.html", ">nan") && holds("report.html", "</html>"),
          "the report holds plots and pictures, and needs nothing from elsewhere");
    status = run("-m center -m center+center --maps \"$T/good\" --baselines --data \"$T/set\" "
                 "--threads 3 --csv \"$T/csv3\" --json \"$T/json3\" --html \"$T/report3.html\"");
    CHECK(status == 0 && shell("cmp \"$T/csv\" \"$T/csv3\" && cmp \"$T/json\" \"$T/json3\" && "
                               "cmp \"$T/report.html\" \"$T/report3.html\"") == 0,
          "three threads write the same files as one, byte for byte");
    status = run("--maps \"$T/good\" --data \"$T/set\" --limit 2 --metrics KL,CC --per-image "
                 "--csv \"$T/csv3\"");
    CHECK(status == 0 && holds("csv3", "model,image,KL,CC\n") && count_lines("csv3") == 3 &&
          holds("out", "p1.png  good") && !holds("out", "NSS"),
          "--metrics, --limit and --per-image do what they say");
    status = run("--maps \"$T/good\" --maps \"$T/good\" --data \"$T/set\" --metrics CC --quiet "
                 "--json \"$T/json3\"");
    CHECK(status == 0 && holds("json3", "\"good\"") && holds("json3", "\"good (2)\"") &&
          count_lines("out") == 0, "models of one name are told apart; --quiet prints nothing");
    status = run("--maps \"$T/good\" --prior \"$T/good/p0.npy\" --data \"$T/set\" --metrics IG "
                 "--limit 1 --json \"$T/json3\"");
    CHECK(status == 0 && holds("json3", "\"IG\":{\"mean\":0,\"se\":null,\"images\":1}"),
          "--prior is the baseline of IG; with one picture there is no standard error");
    status = run("-m lite --input 96x128 --data \"$T/set\" --metrics CC --json \"$T/json\"");
    small = json_value("lite", "CC", "mean");
    status |= run("-m lite --input 192x256 --data \"$T/set\" --metrics CC --json \"$T/json\"");
    mean = json_value("lite", "CC", "mean");
    CHECK(status == 0 && mean > .3 && small > -1 && small != mean,
          "--input: lite finds the disc at 192 x 256 (CC %.2f), and sees it otherwise at 96 x 128 "
          "(%.2f)", mean, small);
}

/* The share of fixations in the middle box of half the area, mean over pictures: from the CSV. */
static double middle_share(double aspect) {
    double w = sqrt(0.5 * W * H * aspect), h = w / aspect, x, y, sum = 0;
    char *text = slurp("set/fixations.csv"), *line;
    int n = 0;
    if (h > H) { w *= H / h; h = H; }
    for (line = text ? strtok(text, "\n") : NULL; line; line = strtok(NULL, "\n"))
        if (sscanf(line, "p%*d.png,s%*d,%lf,%lf", &x, &y) == 2) {
            sum += fabs(x + 0.5 - W / 2.0) <= w / 2 && fabs(y + 0.5 - H / 2.0) <= h / 2;
            n++;
        }
    sal_free(&ctx, text);
    return n ? sum / n : -1;
}

static void test_crop(void) {
    int status = run("-m center --maps \"$T/good\" --crop --data \"$T/set\" --json \"$T/json\" "
                     "--csv \"$T/csv\"");
    CHECK(status == 0 && holds("csv", "model,image,crop_1:1,crop_16:9,crop_9:16\n") &&
          !holds("out", "NSS"), "--crop prints what boxes of three shapes keep");
    CHECK(fabs(json_value("centre box", "crop_1:1", "mean") - middle_share(1)) < 1e-9 &&
          fabs(json_value("centre box", "crop_16:9", "mean") - middle_share(16 / 9.0)) < 1e-9 &&
          fabs(json_value("centre box", "crop_9:16", "mean") - middle_share(9 / 16.0)) < 1e-9,
          "the box in the middle keeps %.4f, %.4f, %.4f of the fixations",
          middle_share(1), middle_share(16 / 9.0), middle_share(9 / 16.0));
    CHECK(fabs(json_value("center", "crop_1:1", "mean") - middle_share(1)) < 1e-9,
          "as does that of the centre model");
    CHECK(json_value("good", "crop_9:16", "mean") > .99 &&
          json_value("viewer vs others", "crop_9:16", "mean") > .99,
          "true maps and other viewers keep all of a disc");
    status = run("-m center --metrics CC --crop --data \"$T/set\" --limit 2 --csv \"$T/csv3\"");
    CHECK(status == 0 && holds("csv3", "model,image,CC,crop_1:1") && holds("csv3", "centre box,"),
          "--metrics beside --crop adds its own");
}

static void test_browser(void) {
    sal_image shot;
    size_t i, n, colourful = 0, dark = 0;
    if (shell("command -v chromium || command -v chromium-browser || command -v google-chrome")) {
        SKIP("the report in a browser: Chromium is not installed");
        return;
    }
    shell("browser=$(command -v chromium || command -v chromium-browser || "
          "command -v google-chrome); timeout 60 \"$browser\" --headless --no-sandbox "
          "--disable-gpu --hide-scrollbars --user-data-dir=\"$T/profile\" "
          "--window-size=1280,3400 --screenshot=\"$T/shot.png\" \"file://$T/report.html\"");
    if (sal_path_kind(in_folder("shot.png")) != 0) {
        SKIP("the report in a browser: Chromium does not run here");
        return;
    }
    if (!CHECK(sal_image_load(&ctx, in_folder("shot.png"), &shot) == SAL_OK,
               "Chromium makes a screenshot of the report")) return;
    n = (size_t)shot.w * (size_t)shot.h;
    for (i = 0; i < n; i++) {
        const unsigned char *p = shot.data + 3 * i;
        int low = MIN(p[0], MIN(p[1], p[2])), high = MAX(p[0], MAX(p[1], p[2]));
        colourful += high - low > 60;
        dark += high < 100;
    }
    CHECK(colourful > n / 100 && dark > n / 200 && dark < n / 2,
          "it is not blank: %.1f %% of the pixels are colourful, %.1f %% dark",
          100. * (double)colourful / (double)n, 100. * (double)dark / (double)n);
    sal_image_free(&ctx, &shot);
}

/* Exit status 1, one line on stderr that says what, nothing on stdout, no file. */
static void refuses(const char *arguments, const char *says, const char *statement) {
    int status;
    remove(in_folder("never"));
    status = run(arguments);
    CHECK(status == 1 && count_lines("err") == 1 && count_lines("out") == 0 && holds("err", says) &&
          sal_path_kind(in_folder("never")) == -1, "%s: one sentence, exit status 1, no file",
          statement);
}

static void test_errors(void) {
    sal_map turned;
    refuses("-m center --json \"$T/never\"", "--data", "no data set");
    refuses("-m center --data \"$T/nowhere\" --json \"$T/never\"", "nowhere", "a missing data set");
    refuses("-m center --data \"$T/good\" --json \"$T/never\"", "good", "a folder that is none");
    refuses("-m nosuch --data \"$T/set\" --json \"$T/never\"", "nosuch", "an unknown model");
    refuses("-w \"$T/csv\" --data \"$T/set\" --json \"$T/never\"", "csv", "weights that are none");
    refuses("-m center --metrics CC,AOC --data \"$T/set\" --json \"$T/never\"", "AOC",
            "an unknown metric");
    refuses("--maps \"$T/nowhere\" --data \"$T/set\" --json \"$T/never\"", "nowhere",
            "a missing folder of maps");
    refuses("--maps \"$T/few\" --data \"$T/set\" --json \"$T/never\"", "p3.png",
            "a folder in which maps are missing");
    refuses("-m center --data \"$T/set\" --json \"$T/no/never\"", "no/never", "an unwritable file");
    refuses("-m center --data \"$T/set\" --json \"$T/set/fixations.csv\"", "is read, too",
            "the fixations as output");
    refuses("-m center --data \"$T/set\" --limit none --json \"$T/never\"", "--limit",
            "a limit that is no number");
    refuses("-m lite --data \"$T/set\" --input 96x128q --json \"$T/never\"", "HEIGHTxWIDTH",
            "a size with more behind it");
    refuses("-m lite --data \"$T/set\" --input 97x128 --json \"$T/never\"", "multiples of 8",
            "a size that lite does not take");
    refuses("-m center --data \"$T/set\" stray --json \"$T/never\"", "stray", "a stray argument");
    refuses("-m center --data \"$T/set\" --json", "--json", "an option without its value");
    refuses("-m center --data \"$T/set\" --jason \"$T/never\"", "--jason", "an unknown option");
    shell("cp -r \"$T/good\" \"$T/turned\"");
    if (sal_map_new(&ctx, H, W, &turned) == SAL_OK) {
        turned.data[7] = 1;
        sal_map_save_npy(&ctx, in_folder("turned/p2.npy"), &turned);
        sal_map_free(&ctx, &turned);
    }
    refuses("--maps \"$T/turned\" --data \"$T/set\" --json \"$T/never\"", "as if transposed",
            "a map that is transposed");
    CHECK(run("--maps \"$T/turned\" --any-size --metrics CC --data \"$T/set\" --quiet") == 0,
          "but with --any-size it is stretched");
    shell("cp -r \"$T/set\" \"$T/unseen\"; cp \"$T/set/images/p0.png\" \"$T/unseen/images/q.png\"");
    CHECK(run("-m center --metrics CC --data \"$T/unseen\"") == 0 &&
          holds("err", "as q.png, have") && count_lines("err") == 1,
          "a picture nobody looked at is left out, and that is said");
    shell("echo q2.png,s01,3,4,200 >> \"$T/unseen/fixations.csv\"");
    refuses("-m center --data \"$T/unseen\" --json \"$T/never\"", "--skip-missing",
            "fixations without their picture");
    CHECK(run("-m center --metrics CC --data \"$T/unseen\" --skip-missing") == 0 &&
          holds("err", "q2.png"), "but with --skip-missing they are left out");
    shell("echo x,1 > \"$T/few/p3.npy\"");
    refuses("--maps \"$T/few\" --data \"$T/set\" --json \"$T/never\"", "p3.npy", "a damaged map");
    shell("mkdir -p \"$T/empty/images\"; echo image,x,y > \"$T/empty/fixations.csv\"");
    refuses("-m center --data \"$T/empty\" --json \"$T/never\"", "empty", "a set without pictures");
    CHECK(run("--help") == 0 && holds("out", "--baselines") && holds("out", "--html") &&
          holds("out", "AUC_shuffled_mean") && count_lines("err") == 0,
          "--help explains options and metrics on stdout");
}

int main(int argc, char **argv) {
    char folder[] = "/tmp/saliency-evaluate-XXXXXX", program[2048];
    const char *slash = strrchr(argv[0], '/');
    (void)argc;
    snprintf(program, sizeof program, "%.*sevaluate", slash ? (int)(slash - argv[0]) + 1 : 0,
             argv[0]);
    if (sal_path_kind(program) != 0) {
        SKIP("evaluate: %s is not built", program);
        return test_done();
    }
    if (!CHECK(mkdtemp(folder) && !setenv("T", folder, 1) && !setenv("EVALUATE", program, 1) &&
               make_set(), "a small data set is made under %s", folder)) return test_done();
    test_scores();
    test_crop();
    test_browser();
    test_errors();
    CHECK(system("rm -rf \"$T\"") == 0, "the folder is removed");
    return test_done();
}
#endif
