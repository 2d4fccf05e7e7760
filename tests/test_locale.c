/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* Numbers in files have a decimal point in every country. */
#define _POSIX_C_SOURCE 200809L
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
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
    return sal_number_parse(&text, &got) && got == want && !strcmp(text, rest);
}

static int none(const char *text) {
    const char *at = text;
    double got = -77;
    return !sal_number_parse(&at, &got) && at == text && got == -77;
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
    memset(many, '0', sizeof many);
    many[0] = '1'; many[350] = '.'; many[sizeof many - 1] = 0;
    const char *at = many;
    double huge = 0;
    CHECK(sal_number_parse(&at, &huge) && huge > DBL_MAX && reads("1e-9999", 0, "") &&
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
    sal_rng rng = { 1 };
    for (int i = 0; i < 20000; i++) {
        float f = sal__f32_from_bits((uint32_t)sal_rng_next(&rng));
        const char *back = text;
        double again;
        if (!(fabsf(f) <= FLT_MAX)) continue;
        sal_number_print(text, f, 0);
        good &= sal_number_parse(&back, &again) && !*back && (float)again == f;
    }
    CHECK(good, "%s: every float is printed such that it is read again", where);
}

int main(void) {
    numbers("in C");
    if (!decimal_comma()) SKIP("no locale with a decimal comma is installed or can be made");
    else numbers("with decimal commas");
    {
        char version[32];
        snprintf(version, sizeof version, "%d.%d.%d", SAL_VERSION_MAJOR, SAL_VERSION_MINOR,
                 SAL_VERSION_PATCH);
        CHECK(!strcmp(version, SAL_VERSION) && !strcmp(sal_version(), SAL_VERSION),
              "the version is the same as numbers, as text and from the library");
    }
    return test_done();
}
