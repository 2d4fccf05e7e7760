/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* The test programs that look inside the header, as one program: so the implementation is compiled
   once for them all. Each is also a program by itself. The name by which this is called says which
   one runs. */
#include "stb_memory.h"
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#define main main_classical
#include "test_classical.c"
#undef main
#define main main_fast
#include "test_fast.c"
#undef main
#define main main_files
#include "test_files.c"
#undef main
#define main main_fuzz_replay
#include "test_fuzz_replay.c"
#undef main
#define main main_nets
#include "test_nets.c"
#undef main
#define main main_ops
#include "test_ops.c"
#undef main

int main(int argc, char **argv) {
    static const struct { const char *name; int (*run)(void); } tests[] = {
        { "test_classical", main_classical }, { "test_fast", main_fast },
        { "test_files", main_files }, { "test_fuzz_replay", main_fuzz_replay },
        { "test_nets", main_nets }, { "test_ops", main_ops }
    };
    const char *name = argc > 0 ? argv[0] : "";
    for (const char *at = name; *at; at++)              /* the name alone: folders have names, too */
        if (*at == '/' || *at == '\\') name = at + 1;
    for (int i = 0; i < COUNT(tests); i++)
        if (!strncmp(name, tests[i].name, strlen(tests[i].name))) return tests[i].run();
    printf("call this by the name of a test\n");
    return 1;
}
