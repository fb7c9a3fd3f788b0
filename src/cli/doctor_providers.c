/* Which model providers are configured. Nothing is sent to them: a request would cost money. */
#include "cli/doctor.h"

void mr_doctor_providers(struct mr_doctor *d, const struct mr_config *c) {
    for (int64_t i = 0; i < c->n_provider; i++) {
        const struct mr_config_provider *p = &c->provider[i];
        char variable[128];
        bool needs_key = strcmp(p->dialect, "compatible") || *p->key_env || *p->key_file;
        mr_config_key_variable(p, variable, sizeof variable);
        if (*p->key || !needs_key)
            mr_doctor_say(d, MR_HEALTH_OK, "provider", NULL, "%s: %s, %s, %s%s%s", p->name,
                          p->base_url, *p->model ? p->model : "no default model",
                          *p->key ? "key set" : "no key needed",
                          *p->fallback ? ", falls back to " : "", p->fallback);
        else
            mr_doctor_say(d, MR_HEALTH_OK, "provider", NULL,
                          "%s: not configured; tasks for it answer 503 until %s or %s_FILE is set",
                          p->name, variable, variable);
    }
}
