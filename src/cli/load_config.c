#include "base/log.h"
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SETTINGS_MAX 256

extern char **environ;

static void help(const char *verb) {
    printf("usage: millrace %s [--config FILE] [settings]\n\nSettings (flag, default):\n", verb);
    for (const struct mr_setting *s = mr_settings; s->key; s++) {
        char flag[64];
        size_t i;
        for (i = 0; s->key[i] && i < sizeof flag - 1; i++)
            flag[i] = s->key[i] == '_' ? '-' : s->key[i];
        flag[i] = 0;
        printf("  --%-24s %s%s%s\n", flag, s->help, *s->def ? "; default " : "", s->def);
    }
    printf(
        "  --provider.NAME.KEY VALUE  a model provider: base_url, model, key, key_env, key_file,\n"
        "                             dialect, fallback, concurrency; openai and mistral are "
        "there\n");
    printf("\nEach is also MILLRACE_<NAME> in the environment and a key of millrace.toml;\n"
           "flags win over the environment, the environment over the file.\n");
}

/* "--log-format=json" or "--log-format" "json" -> key and value. */
static int flag(int argc, char **argv, int *i, struct mr_config *c, bool seen[SETTINGS_MAX],
                struct mr_err *e) {
    char key[96];
    struct mr_str rest = mr_str(argv[*i] + 2);
    struct mr_str name = mr_str_cut(&rest, '=');
    if (name.n >= sizeof key)
        return mr_fail(e, MR_EFIELD, "unknown option %s", argv[*i]);
    for (size_t k = 0; k < name.n; k++)
        key[k] = name.p[k] == '-' ? '_' : name.p[k];
    struct mr_str k = mr_strn(key, name.n);
    const struct mr_setting *s = mr_config_find(k);
    bool last = *i + 1 >= argc;
    if (!rest.p && s && s->kind == MR_SET_BOOL && (last || !strncmp(argv[*i + 1], "--", 2)))
        rest = MR_LIT("true"); /* a switch */
    if (!rest.p) {
        if (last)
            return mr_fail(e, MR_EFIELD, "%s needs a value", argv[*i]);
        rest = mr_str(argv[++*i]);
    }
    bool fresh = true;
    if (s) { /* the first flag of a list replaces what file and environment said, others add */
        bool *mine = &seen[(s - mr_settings) % SETTINGS_MAX];
        fresh = !*mine;
        *mine = true;
    }
    return mr_config_set(c, k, rest, fresh, e);
}

int mr_cli_load_config(int argc, char **argv, const char *verb, struct mr_config *c,
                       int *ret_exit) {
    const char *file = getenv("MILLRACE_CONFIG");
    bool seen[SETTINGS_MAX] = {false};
    struct mr_err e = {0};
    int rc = 0;
    mr_config_defaults(c);
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            help(verb);
            *ret_exit = 0;
            return 1;
        }
        if (!strcmp(argv[i], "--config") && i + 1 < argc)
            file = argv[i + 1];
    }
    if (file)
        rc = mr_config_file(c, file, &e);
    else if (access("millrace.toml", R_OK) == 0)
        rc = mr_config_file(c, "millrace.toml", &e);
    if (!rc)
        rc = mr_config_env(c, environ, &e);
    for (int i = 1; i < argc && !rc; i++) {
        if (!strcmp(argv[i], "--config"))
            i++;
        else if (!strncmp(argv[i], "--", 2))
            rc = flag(argc, argv, &i, c, seen, &e);
        else
            rc = mr_fail(&e, MR_EFIELD, "unexpected argument '%s'", argv[i]);
    }
    if (!rc)
        rc = mr_config_finish(c, environ, &e);
    if (!rc)
        return 0;
    fprintf(stderr, "millrace: %s\n", e.msg);
    *ret_exit = 2;
    return 1;
}

int mr_cli_config(int argc, char **argv) {
    struct mr_config c;
    struct mr_buf out;
    int status, n = 0;
    bool json = false;
    if (argc < 2 || strcmp(argv[1], "print")) {
        bool asked = argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"));
        fprintf(asked ? stdout : stderr, "usage: millrace config print [--json] [settings]\n");
        return asked ? 0 : 2;
    }
    /* --json is no setting: it is taken out before the others are read. */
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--json"))
            json = true;
        else
            argv[1 + n++] = argv[i];
    }
    if (mr_cli_load_config(n, argv + 1, "config print", &c, &status)) {
        mr_config_release(&c);
        return status;
    }
    mr_buf_init(&out, 1u << 20);
    if (json)
        mr_config_print_json(&c, &out);
    else
        mr_config_print(&c, &out);
    fwrite(out.p, 1, out.n, stdout);
    mr_buf_release(&out);
    mr_config_release(&c);
    return 0;
}
