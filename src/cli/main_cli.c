#include "cli/cli.h"
#include "cli/verbs.h"

#include <stdio.h>
#include <string.h>

const struct mr_spec mr_version_spec = {
    .verb = "version",
    .usage = "[--json]",
    .about = "Prints the version of this program.",
};

static int version(int argc, char **argv) {
    struct mr_args a;
    int status;
    if (mr_args_parse(&a, &mr_version_spec, argc, argv, &status))
        return status;
    if (a.json)
        printf("{\"version\":\"" MR_VERSION "\"}\n");
    else
        printf("millrace " MR_VERSION "\n");
    return 0;
}

const struct mr_verb mr_verbs[] = {
    {"serve", "run the server", mr_cli_serve},
    {"deploy", "upload a model file and wait until it serves", mr_cli_deploy},
    {"predict", "ask a deployed model", mr_cli_predict},
    {"models", "deployed models, and those that come with millrace", mr_cli_models},
    {"chat", "talk with a language model", mr_cli_chat},
    {"generate", "text from a language model", mr_cli_generate},
    {"classify", "what an image shows", mr_cli_classify},
    {"ocr", "what is written on an image", mr_cli_ocr},
    {"jobs", "work over many items in the background", mr_cli_jobs},
    {"metrics", "figures of a deployment", mr_cli_metrics},
    {"prices", "what models cost, and why", mr_cli_prices},
    {"keys", "create, list and revoke API keys", mr_cli_keys},
    {"logs", "print the server's log file", mr_cli_logs},
    {"doctor", "check this machine, the server and the key", mr_cli_doctor},
    {"config", "print the settings in force", mr_cli_config},
    {"completion", "completion script for a shell", mr_cli_completion},
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
        return version(argc - 1, argv + 1);
    for (const struct mr_verb *v = mr_verbs; v->name; v++)
        if (!strcmp(argv[1], v->name))
            return v->run(argc - 1, argv + 1);
    fprintf(stderr, "millrace: unknown verb '%s'\n\n", argv[1]);
    help(stderr);
    return 2;
}
