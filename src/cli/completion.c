/* millrace completion: scripts for shells, written from the verb and settings tables. */
#include "cli/cli.h"
#include "cli/verbs.h"

#include <stdio.h>

const struct mr_spec mr_completion_spec = {
    .verb = "completion",
    .usage = "bash|zsh|fish",
    .about = "Prints a completion script.\n"
             "  bash:  source <(millrace completion bash)\n"
             "  zsh:   source <(millrace completion zsh)\n"
             "  fish:  millrace completion fish | source",
    .subs = "bash zsh fish",
};

static const struct mr_spec *const specs[] = {
    &mr_deploy_spec,   &mr_predict_spec, &mr_models_spec,   &mr_keys_spec,       &mr_logs_spec,
    &mr_metrics_spec,  &mr_prices_spec,  &mr_doctor_spec,   &mr_completion_spec, &mr_version_spec,
    &mr_generate_spec, &mr_chat_spec,    &mr_classify_spec, &mr_ocr_spec,        &mr_jobs_spec,
};
#define N_SPECS (sizeof specs / sizeof *specs)

static const struct mr_spec *spec_of(const char *verb) {
    for (size_t i = 0; i < N_SPECS; i++)
        if (!strcmp(specs[i]->verb, verb))
            return specs[i];
    return NULL;
}

static bool takes_settings(const char *verb) {
    return !strcmp(verb, "serve") || !strcmp(verb, "config");
}

static void setting_flag(const char *key, char out[64]) {
    size_t i;
    for (i = 0; key[i] && i < 63; i++)
        out[i] = key[i] == '_' ? '-' : key[i];
    out[i] = 0;
}

/* Calls fn for every option of a verb: name without dashes, whether it has a value, help. */
typedef void each_fn(const char *verb, const char *name, const char *arg, const char *help);

static void each_of(const char *verb, const struct mr_opt *o, each_fn *fn) {
    for (; o && o->name; o++)
        fn(verb, o->name + 2, o->arg, o->help);
}

static void each_option(const char *verb, each_fn *fn) {
    const struct mr_spec *s = spec_of(verb);
    if (takes_settings(verb)) {
        fn(verb, "config", "FILE", "settings file");
        for (const struct mr_setting *t = mr_settings; t->key; t++) {
            char flag[64];
            setting_flag(t->key, flag);
            fn(verb, flag, t->choices ? t->choices : "VALUE", t->help);
        }
    }
    if (!strcmp(verb, "config"))
        fn(verb, "json", NULL, "print JSON");
    if (!s)
        return;
    each_of(verb, s->opts, fn);
    if (s->net)
        each_of(verb, mr_net_opts, fn);
    each_of(verb, mr_common_opts, fn);
}

static const char *subs_of(const char *verb) {
    const struct mr_spec *s = spec_of(verb);
    if (!strcmp(verb, "config"))
        return "print";
    return s && s->subs ? s->subs : "";
}

static void word(const char *verb, const char *name, const char *arg, const char *help) {
    (void)verb;
    (void)arg;
    (void)help;
    printf(" --%s", name);
}

/* Zsh loads the same script through its bash mode. */
static void bash(void) {
    printf("_millrace() {\n"
           "    local cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
           "    local verb=\"${COMP_WORDS[1]}\" subs='' opts=''\n"
           "    COMPREPLY=()\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
           "        COMPREPLY=($(compgen -W '");
    for (const struct mr_verb *v = mr_verbs; v->name; v++)
        printf("%s ", v->name);
    printf("--help --version' -- \"$cur\"))\n"
           "        return\n"
           "    fi\n"
           "    case \"$verb\" in\n");
    for (const struct mr_verb *v = mr_verbs; v->name; v++) {
        printf("    %s) subs='%s' opts='", v->name, subs_of(v->name));
        each_option(v->name, word);
        printf("' ;;\n");
    }
    printf("    esac\n"
           "    case \"$prev\" in\n");
    for (const struct mr_setting *t = mr_settings; t->key; t++) {
        char flag[64];
        setting_flag(t->key, flag);
        if (!t->choices)
            continue;
        printf("    --%s) COMPREPLY=($(compgen -W '", flag);
        for (const char *p = t->choices; *p; p++)
            putchar(*p == '|' ? ' ' : *p);
        printf("' -- \"$cur\")); return ;;\n");
    }
    printf("    esac\n"
           "    case \"$cur\" in\n"
           "    -*) COMPREPLY=($(compgen -W \"$opts\" -- \"$cur\")) ;;\n"
           "    *)\n"
           "        if [ -z \"$subs\" ]; then\n"
           "            COMPREPLY=($(compgen -f -- \"$cur\"))\n"
           "        elif [ \"$COMP_CWORD\" -eq 2 ]; then\n"
           "            COMPREPLY=($(compgen -W \"$subs\" -- \"$cur\"))\n"
           "        fi\n"
           "        ;;\n"
           "    esac\n"
           "}\n"
           "complete -o filenames -F _millrace millrace\n");
}

static void zsh(void) {
    printf("#compdef millrace\n"
           "autoload -Uz compinit bashcompinit\n"
           "(( $+functions[compdef] )) || compinit\n"
           "bashcompinit\n");
    bash();
}

/* Text inside single quotes of fish. */
static void quoted(const char *s) {
    putchar('\'');
    for (; *s; s++) {
        if (*s == '\'' || *s == '\\')
            putchar('\\');
        putchar(*s);
    }
    putchar('\'');
}

static void fish_option(const char *verb, const char *name, const char *arg, const char *help) {
    bool file = arg && !strcmp(arg, "FILE");
    printf("complete -c millrace -n '__fish_seen_subcommand_from %s' -l %s%s -d ", verb, name,
           !arg   ? ""
           : file ? " -r -F"
                  : " -x");
    quoted(help);
    if (arg && strchr(arg, '|')) {
        printf(" -a '");
        for (const char *p = arg; *p; p++)
            putchar(*p == '|' ? ' ' : *p);
        putchar('\'');
    }
    putchar('\n');
}

static void fish(void) {
    printf("complete -c millrace -f\n");
    for (const struct mr_verb *v = mr_verbs; v->name; v++) {
        const struct mr_spec *s = spec_of(v->name);
        printf("complete -c millrace -n __fish_use_subcommand -a %s -d ", v->name);
        quoted(v->summary);
        putchar('\n');
        if (*subs_of(v->name))
            printf("complete -c millrace -n '__fish_seen_subcommand_from %s' -a '%s'\n", v->name,
                   subs_of(v->name));
        if (s && s->files)
            printf("complete -c millrace -n '__fish_seen_subcommand_from %s' -F\n", v->name);
        each_option(v->name, fish_option);
    }
}

int mr_cli_completion(int argc, char **argv) {
    static const struct {
        const char *shell;
        void (*write)(void);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    struct mr_args a;
    int status;
    if (mr_args_parse(&a, &mr_completion_spec, argc, argv, &status))
        return status;
    if (a.n_pos != 1)
        return mr_args_wrong(&a, "for which shell?");
    for (size_t i = 0; i < 3; i++) {
        if (!strcmp(a.pos[0], shells[i].shell)) {
            shells[i].write();
            return 0;
        }
    }
    return mr_args_wrong(&a, "'%.40s' is none of bash, zsh, fish", a.pos[0]);
}
