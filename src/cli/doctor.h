/* Findings of `millrace doctor`. */
#ifndef MR_CLI_DOCTOR_H
#define MR_CLI_DOCTOR_H

#include "cli/client.h"
#include "core/config.h"

enum mr_health { MR_HEALTH_OK, MR_HEALTH_WARN, MR_HEALTH_FAIL };

struct mr_doctor {
    struct mr_buf json; /* items of a JSON array */
    bool as_json;
    int n[3]; /* findings of each kind */
};
/* One line. `what_to_do` is NULL or "" for an ok. */
void mr_doctor_say(struct mr_doctor *d, enum mr_health h, const char *check, const char *what_to_do,
                   const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* This machine. */
void mr_doctor_machine(struct mr_doctor *d, const struct mr_config *c);
/* The books and the blobs in the data folder. */
void mr_doctor_store(struct mr_doctor *d, const struct mr_config *c);
/* Whether payments are set up. */
void mr_doctor_payments(struct mr_doctor *d, const struct mr_config *c);
/* Providers in the settings. */
void mr_doctor_providers(struct mr_doctor *d, const struct mr_config *c);
/* The server and the key. */
void mr_doctor_server(struct mr_doctor *d, const struct mr_args *a);

#endif
