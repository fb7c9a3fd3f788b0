/* millrace doctor: is all that the server needs there, and does it answer? */
#include "cli/doctor.h"

#include "cli/local_config.h"
#include "cli/verbs.h"

#include <stdarg.h>

static const struct mr_opt opts[] = {
    {"--config", "FILE", "settings file; default millrace.toml"},
    {NULL, NULL, NULL},
};
const struct mr_spec mr_doctor_spec = {
    .verb = "doctor",
    .usage = "[options]",
    .about = "Checks this machine, the settings, the server and the key. Each line is ok, warn or\n"
             "fail, with what to do; the exit status is 1 when something failed.",
    .opts = opts,
    .net = true,
};

void mr_doctor_say(struct mr_doctor *d, enum mr_health h, const char *check, const char *what_to_do,
                   const char *fmt, ...) {
    static const char *const names[] = {"ok", "warn", "fail"};
    char text[640];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    d->n[h]++;
    if (!what_to_do)
        what_to_do = "";
    if (!d->as_json) {
        printf("%-4s  %-14s %s\n", names[h], check, text);
        if (*what_to_do)
            printf("      %-14s -> %s\n", "", what_to_do);
        return;
    }
    mr_buf_fmt(&d->json, "%s{\"status\":\"%s\",\"check\":\"%s\",\"message\":", d->json.n ? "," : "",
               names[h], check);
    mr_buf_json(&d->json, mr_str(text));
    mr_buf_cstr(&d->json, ",\"do\":");
    mr_buf_json(&d->json, mr_str(what_to_do));
    mr_buf_char(&d->json, '}');
}

int mr_cli_doctor(int argc, char **argv) {
    struct mr_args a;
    struct mr_config c;
    struct mr_err e = {0};
    int status;
    if (mr_args_parse(&a, &mr_doctor_spec, argc, argv, &status))
        return status;
    if (a.n_pos)
        return mr_args_wrong(&a, "unexpected argument '%.60s'", a.pos[0]);
    struct mr_doctor d = {.as_json = a.json};
    mr_buf_init(&d.json, 1u << 20);
    if (mr_cli_local_config(&c, mr_args_get(&a, "--config"), &e))
        mr_doctor_say(&d, MR_HEALTH_FAIL, "settings", "correct the file or variable that is named",
                      "%s", e.msg);
    else
        mr_doctor_say(&d, MR_HEALTH_OK, "settings", NULL, "readable; see millrace config print");
    mr_doctor_machine(&d, &c);
    mr_doctor_store(&d, &c);
    mr_doctor_payments(&d, &c);
    mr_doctor_providers(&d, &c);
    mr_doctor_server(&d, &a);
    if (a.json)
        printf("{\"ok\":%s,\"checks\":[%s]}\n", d.n[MR_HEALTH_FAIL] ? "false" : "true",
               d.json.p ? d.json.p : "");
    else
        printf("%d ok, %d warnings, %d failures\n", d.n[0], d.n[1], d.n[2]);
    mr_buf_release(&d.json);
    mr_config_release(&c);
    return d.n[MR_HEALTH_FAIL] ? 1 : 0;
}
