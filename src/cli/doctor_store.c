/* What the data folder holds: the books and the blobs. Looks only, also while a server runs. */
#include "base/codec.h"
#include "cli/doctor.h"
#include "core/deployments.h"
#include "core/money/ledger.h"

#include <unistd.h>

#define GRACE_US    3600000000ll /* as the server's collection */
#define NAMES_SHOWN 3

struct names {
    struct mr_buf text;
    size_t n;
};

static void add_name(void *arg, const struct mr_blob_name *name, uint64_t size) {
    struct names *k = arg;
    (void)size;
    if (k->n++ >= NAMES_SHOWN)
        return;
    mr_buf_cstr(&k->text, k->n > 1 ? ", " : "");
    mr_hex_add(&k->text, name->sha, sizeof name->sha);
}

static void books(struct mr_doctor *d, struct mr_db *db) {
    struct mr_err e = {0};
    if (mr_ledger_check_db(db, &e))
        mr_doctor_say(d, MR_HEALTH_FAIL, "books",
                      "keep a copy of the data folder and report this; no entry is ever changed",
                      "%s", e.msg);
    else
        mr_doctor_say(d, MR_HEALTH_OK, "books", NULL, "entries, charges and roll-ups agree");
}

static void blobs(struct mr_doctor *d, struct mr_db *db, const char *dir) {
    char path[4200];
    struct mr_err e = {0};
    struct mr_blobs *b = NULL;
    struct mr_blob_swept sum = {0};
    struct names names = {.n = 0};
    mr_buf_init(&names.text, 4096);
    snprintf(path, sizeof path, "%s/blobs", dir);
    int rc = mr_blobs_open_fs_as_is(path, &b, &e);
    if (!rc)
        rc = mr_blob_gc_look(db, b, GRACE_US, add_name, &names, &sum, &e);
    if (rc)
        mr_doctor_say(d, MR_HEALTH_WARN, "blobs", "make the data folder readable for this user",
                      "%s", e.msg);
    else if (sum.blobs)
        mr_doctor_say(d, MR_HEALTH_OK, "blobs", NULL,
                      "%llu files (%.1f MB) that nothing refers to; the server deletes them within "
                      "a day: %s%s",
                      (unsigned long long)sum.blobs, (double)sum.bytes / 1e6,
                      names.text.p ? names.text.p : "", names.n > NAMES_SHOWN ? ", ..." : "");
    else
        mr_doctor_say(d, MR_HEALTH_OK, "blobs", NULL, "every file is referred to");
    mr_buf_release(&names.text);
    mr_blobs_free(b);
}

void mr_doctor_store(struct mr_doctor *d, const struct mr_config *c) {
    const char *dir = c->data_dir ? c->data_dir : "data";
    char path[4200];
    struct mr_err e = {0};
    struct mr_db *db = NULL;
    snprintf(path, sizeof path, "%s/millrace.db", dir);
    if (access(path, F_OK))
        return; /* the first start makes it */
    int rc = mr_db_open_read_only(path, &db, &e);
    if (rc == MR_ECONFLICT)
        mr_doctor_say(d, MR_HEALTH_WARN, "database",
                      "start the server once, then look again; books and blobs were not checked",
                      "%s", e.msg);
    else if (rc)
        mr_doctor_say(d, MR_HEALTH_FAIL, "database",
                      rc == MR_EUNSUPPORTED ? "use the program that wrote it, or a newer one"
                                            : "make it readable for this user",
                      "%s", e.msg);
    if (rc)
        return;
    books(d, db);
    blobs(d, db, dir);
    mr_db_close(db);
}
