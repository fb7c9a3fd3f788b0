/* Opening, secrets in the data dir, roles. */
#include "core/accounts.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/codec.h"
#include "core/accounts_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const role_names[] = {"", "owner", "admin", "member", "viewer"};

const char *mr_role_name(int role) {
    return role >= 1 && role <= 4 ? role_names[role] : "";
}

bool mr_role_parse(struct mr_str s, int *ret) {
    for (int i = 1; i <= 4; i++)
        if (mr_str_is(s, role_names[i])) {
            *ret = i;
            return true;
        }
    return false;
}

uint32_t mr_role_scopes(int role) {
    switch (role) {
    case MR_ROLE_OWNER:
    case MR_ROLE_ADMIN:
        return MR_SCOPE_ALL;
    case MR_ROLE_MEMBER:
        return MR_SCOPE_READ | MR_SCOPE_WRITE | MR_SCOPE_PREDICT;
    case MR_ROLE_VIEWER:
        return MR_SCOPE_READ;
    default:
        return 0;
    }
}

void mr_key_hash(struct mr_str key, uint8_t out[MR_SHA256_LEN]) {
    mr_sha256(key, out);
}

void mr_key_make(struct mr_buf *out) {
    uint8_t secret[32];
    mr_random(secret, sizeof secret);
    mr_buf_cstr(out, MR_KEY_PREFIX);
    mr_base64url_add(out, secret, sizeof secret);
}

/* Reads a small secret file. MR_ENOTFOUND when there is none. */
static int read_secret(const char *path, char *out, size_t cap, size_t *ret_n, struct mr_err *e) {
    MR_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0)
        return mr_fail_errno(e, path);
    if (fstat(fd, &st))
        return mr_fail_errno(e, path);
    if (st.st_mode & 077)
        return mr_fail(e, MR_EFORBIDDEN, "%s is readable by others: run chmod 600 on it", path);
    ssize_t n = read(fd, out, cap);
    if (n < 0)
        return mr_fail_errno(e, path);
    *ret_n = (size_t)n;
    return 0;
}

/* Writes a secret file durably, whole or not at all, never over an existing one: a file that a kill
 * or a power cut left half written would lock everybody out. */
static int write_secret(const char *path, struct mr_str s, struct mr_err *e) {
    char tmp[4104], dir[4096];
    snprintf(tmp, sizeof tmp, "%s.new", path);
    snprintf(dir, sizeof dir, "%s", path);
    *strrchr(dir, '/') = 0;
    unlink(tmp); /* of an earlier start that was cut off */
    MR_AUTO_CLOSE int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    MR_AUTO_CLOSE int folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;
    if (fd < 0 || folder < 0 || write(fd, s.p, s.n) != (ssize_t)s.n || fsync(fd) ||
        link(tmp, path) || fsync(folder))
        rc = mr_fail_errno(e, path);
    unlink(tmp);
    return rc;
}

static int load_jwt_key(struct mr_accounts *a, const char *dir, struct mr_err *e) {
    char path[4096];
    size_t n;
    snprintf(path, sizeof path, "%s/jwt.key", dir);
    int rc = read_secret(path, (char *)a->jwt_key, sizeof a->jwt_key, &n, e);
    if (rc == MR_ENOTFOUND) {
        mr_random(a->jwt_key, sizeof a->jwt_key);
        return write_secret(path, mr_strn((char *)a->jwt_key, sizeof a->jwt_key), e);
    }
    if (!rc && n != sizeof a->jwt_key)
        return mr_fail(e, MR_EINVAL, "%s is damaged: it must hold %zu bytes", path,
                       sizeof a->jwt_key);
    return rc;
}

static int load_owner_key(struct mr_accounts *a, const struct mr_accounts_config *c,
                          struct mr_err *e) {
    if (c->owner_key.p) {
        if (c->owner_key.n < 16 || c->owner_key.n > 200)
            return mr_fail(e, MR_EFIELD, "the owner key must have 16 to 200 characters");
        a->owner_key = mr_strndup(c->owner_key.p, c->owner_key.n);
        return a->owner_key ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
    }
    char path[4096], text[256];
    size_t n;
    snprintf(path, sizeof path, "%s/owner.key", c->data_dir);
    int rc = read_secret(path, text, sizeof text, &n, e);
    if (rc == MR_ENOTFOUND) {
        MR_CLEANUP(mr_buf_release) struct mr_buf key;
        mr_buf_init(&key, 128);
        mr_key_make(&key);
        if (!mr_buf_ok(&key))
            return mr_fail(e, MR_ENOMEM, "out of memory");
        rc = write_secret(path, mr_buf_view(&key), e);
        if (!rc) {
            a->owner_key = mr_strndup(key.p, key.n);
            rc = a->owner_key ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
        }
        return rc;
    }
    if (rc)
        return rc;
    while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    if (n < 16)
        return mr_fail(e, MR_EINVAL, "%s is damaged: remove it to make a new key", path);
    a->owner_key = mr_strndup(text, n);
    return a->owner_key ? 0 : mr_fail(e, MR_ENOMEM, "out of memory");
}

int mr_accounts_open(const struct mr_accounts_config *c, struct mr_accounts **ret,
                     struct mr_err *e) {
    struct mr_accounts *a = mr_calloc(1, sizeof *a);
    if (!a)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    a->db = c->db;
    a->ttl_s = c->token_ttl_s ? c->token_ttl_s : 86400;
    unsigned start; /* no cache holds it from an object that was at this address before */
    mr_random(&start, sizeof start);
    atomic_init(&a->generation, start);
    int rc = mr_password_gate_new(c->hash_parallel, &a->gate, e);
    if (!rc)
        rc = load_jwt_key(a, c->data_dir, e);
    if (!rc)
        rc = load_owner_key(a, c, e);
    if (!rc)
        rc = mr_accounts_bootstrap(a, e);
    if (rc) {
        mr_accounts_free(a);
        return rc;
    }
    *ret = a;
    return 0;
}

void mr_accounts_free(struct mr_accounts *a) {
    if (!a)
        return;
    mr_password_gate_free(a->gate);
    explicit_bzero(a->jwt_key, sizeof a->jwt_key);
    mr_free(a->owner_key);
    mr_free(a);
}

struct mr_str mr_accounts_owner_key(const struct mr_accounts *a) {
    return mr_str(a->owner_key);
}

void mr_accounts_operator(const struct mr_accounts *a, struct mr_principal *ret) {
    *ret = (struct mr_principal){.authenticated = true,
                                 .operator_ = true,
                                 .scopes = MR_SCOPE_ALL,
                                 .account = a->operator_account,
                                 .key_budget_nanousd = -1,
                                 .expires_us = INT64_MAX};
}

int64_t mr_accounts_owner_created(const struct mr_accounts *a) {
    return a->operator_created_us;
}
