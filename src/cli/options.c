#include "cli/options.h"

#include "base/str.h"

#include <stdarg.h>

const struct mr_opt mr_net_opts[] = {
    {"--url", "URL", "server; default MILLRACE_URL, else http://127.0.0.1:8080"},
    {"--key", "KEY", "API key; default MILLRACE_KEY, else the local server's owner.key"},
    {"--http-timeout", "SECONDS", "give up when nothing moves for so long; default 60"},
    {NULL, NULL, NULL},
};
const struct mr_opt mr_common_opts[] = {
    {"--json", NULL, "print JSON"},
    {"--help", NULL, "this text"},
    {NULL, NULL, NULL},
};

static void print_opts(const struct mr_opt *o) {
    for (; o && o->name; o++) {
        char left[64];
        snprintf(left, sizeof left, "%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
        printf("  %-26s %s\n", left, o->help);
    }
}

static void help(const struct mr_spec *s) {
    printf("usage: millrace %s %s\n\n%s\n\nOptions:\n", s->verb, s->usage, s->about);
    print_opts(s->opts);
    if (s->net)
        print_opts(mr_net_opts);
    print_opts(mr_common_opts);
}

static const struct mr_opt *find_in(const struct mr_opt *o, struct mr_str name) {
    for (; o && o->name; o++)
        if (mr_str_is(name, o->name))
            return o;
    return NULL;
}

static const struct mr_opt *find(const struct mr_spec *s, struct mr_str name) {
    const struct mr_opt *o = find_in(s->opts, name);
    if (!o && s->net)
        o = find_in(mr_net_opts, name);
    return o ? o : find_in(mr_common_opts, name);
}

/* "--memory 512" or "--memory=512". */
static int option(struct mr_args *a, int argc, char **argv, int *i) {
    struct mr_str rest = mr_str(argv[*i]);
    struct mr_str name = mr_str_cut(&rest, '=');
    const struct mr_opt *o = find(a->spec, name);
    if (!o)
        return mr_args_wrong(a, "unknown option %.*s", (int)(name.n > 60 ? 60 : name.n), name.p);
    const char *value = rest.p;
    if (!o->arg && value)
        return mr_args_wrong(a, "%s takes no value", o->name);
    if (o->arg && !value) {
        if (*i + 1 >= argc)
            return mr_args_wrong(a, "%s needs a value (%s)", o->name, o->arg);
        value = argv[++*i];
    }
    if (a->n_given == MR_ARGS_OPTS)
        return mr_args_wrong(a, "too many options");
    a->given[a->n_given].opt = o;
    a->given[a->n_given++].value = value ? value : "";
    return 0;
}

int mr_args_parse(struct mr_args *a, const struct mr_spec *spec, int argc, char **argv,
                  int *ret_exit) {
    bool only_pos = false;
    *a = (struct mr_args){.spec = spec};
    for (int i = 1; i < argc; i++) {
        const char *s = argv[i];
        if (!only_pos && (!strcmp(s, "--help") || !strcmp(s, "-h"))) {
            help(spec);
            *ret_exit = 0;
            return 1;
        }
        if (!only_pos && !strcmp(s, "--")) {
            only_pos = true;
        } else if (!only_pos && s[0] == '-' && s[1] == '-') {
            if ((*ret_exit = option(a, argc, argv, &i)))
                return 1;
        } else if (a->n_pos == MR_ARGS_POS) {
            *ret_exit = mr_args_wrong(a, "too many arguments");
            return 1;
        } else {
            a->pos[a->n_pos++] = s; /* "-" and negative numbers too */
        }
    }
    a->json = mr_args_get(a, "--json") != NULL;
    return 0;
}

const char *mr_args_get(const struct mr_args *a, const char *name) {
    const char *value = NULL;
    for (size_t i = 0; i < a->n_given; i++)
        if (!strcmp(a->given[i].opt->name, name))
            value = a->given[i].value;
    return value;
}

bool mr_args_int(const struct mr_args *a, const char *name, int64_t lo, int64_t hi, int64_t def,
                 int64_t *ret) {
    const char *text = mr_args_get(a, name);
    *ret = def;
    if (!text || mr_str_i64(mr_str(text), lo, hi, ret))
        return true;
    mr_args_wrong(a, "%s must be a whole number from %lld to %lld, not '%.40s'", name,
                  (long long)lo, (long long)hi, text);
    return false;
}

int mr_args_wrong(const struct mr_args *a, const char *fmt, ...) {
    va_list ap;
    fprintf(stderr, "millrace %s: ", a->spec->verb);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\nusage: millrace %s %s\n", a->spec->verb, a->spec->usage);
    return 2;
}

int mr_args_failed(const struct mr_args *a, const struct mr_err *e) {
    fprintf(stderr, "millrace %s: %s\n", a->spec->verb, e->msg[0] ? e->msg : "failed");
    return 1;
}
