#include "core/password.h"

#include "base/alloc.h"
#include "base/id.h"

#include <argon2.h>
#include <semaphore.h>

#define MEMORY_KIB 19456
#define PASSES     2
#define SALT_LEN   16
#define HASH_LEN   32

/* Verified against when there is no such user: well-formed, matches no password anyone has. */
static const char decoy[] = "$argon2id$v=19$m=19456,t=2,p=1$bWlsbHJhY2UtZGVjb3ktMA$"
                            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

struct mr_password_gate {
    sem_t slots;
};

static void enter(struct mr_password_gate *g) {
    while (sem_wait(&g->slots))
        ; /* EINTR */
}

int mr_password_hash(struct mr_password_gate *g, struct mr_str password,
                     char out[MR_PASSWORD_HASH_MAX], struct mr_err *e) {
    uint8_t salt[SALT_LEN];
    mr_random(salt, sizeof salt);
    enter(g);
    int rc = argon2id_hash_encoded(PASSES, MEMORY_KIB, 1, password.p, password.n, salt, SALT_LEN,
                                   HASH_LEN, out, MR_PASSWORD_HASH_MAX);
    sem_post(&g->slots);
    if (rc != ARGON2_OK)
        return mr_fail(e, rc == ARGON2_MEMORY_ALLOCATION_ERROR ? MR_ENOMEM : MR_EINTERNAL,
                       "hashing the password failed: %s", argon2_error_message(rc));
    return 0;
}

bool mr_password_verify(struct mr_password_gate *g, struct mr_str password, const char *hash) {
    bool known = hash && *hash;
    enter(g);
    int rc = argon2id_verify(known ? hash : decoy, password.p, password.n);
    sem_post(&g->slots);
    return known && rc == ARGON2_OK;
}

int mr_password_gate_new(unsigned parallel, struct mr_password_gate **ret, struct mr_err *e) {
    struct mr_password_gate *g = mr_calloc(1, sizeof *g);
    if (!g)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    sem_init(&g->slots, 0, parallel ? parallel : 2);
    *ret = g;
    return 0;
}

void mr_password_gate_free(struct mr_password_gate *g) {
    if (!g)
        return;
    sem_destroy(&g->slots);
    mr_free(g);
}
