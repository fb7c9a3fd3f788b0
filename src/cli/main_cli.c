#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static int version(int argc, char **argv) {
    (void)argc;
    (void)argv;
    printf("millrace " MR_VERSION "\n");
    return 0;
}

const struct mr_verb mr_verbs[] = {
    {"serve", "run the server", mr_cli_serve},
    {"config", "print the settings in force", mr_cli_config},
    {"version", "print the version", version},
    {NULL, NULL, NULL},
};

static void help(FILE *to) {
    fprintf(to, "usage: millrace VERB [arguments]\n\n");
    for (const struct mr_verb *v = mr_verbs; v->name; v++)
        fprintf(to, "  %-12s %s\n", v->name, v->summary);
    fprintf(to, "\nmillrace VERB --help tells more. Clients read MILLRACE_URL and MILLRACE_KEY.\n");
}

int mr_cli_main(int argc, char **argv) {
    if (argc < 2) {
        help(stderr);
        return 2;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        help(stdout);
        return 0;
    }
    if (!strcmp(argv[1], "--version"))
        return version(argc, argv);
    for (const struct mr_verb *v = mr_verbs; v->name; v++)
        if (!strcmp(argv[1], v->name))
            return v->run(argc - 1, argv + 1);
    fprintf(stderr, "millrace: unknown verb '%s'\n\n", argv[1]);
    help(stderr);
    return 2;
}
