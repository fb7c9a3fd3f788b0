#include "base/alloc.h"
#include "base/cleanup.h"
#include "core/money/zone_priv.h"

#include <fcntl.h>
#include <sys/stat.h>

#define ZONE_DIR "/usr/share/zoneinfo"
enum {
    FILE_MAX = 256 * 1024,
    HEAD = 44,
    TIMES_MAX = 4096,
    OFF_MAX = 26 * 3600, /* RFC 8536: -25 h to 26 h */
    OFF_MIN = -25 * 3600,
};

struct reader {
    const uint8_t *p, *end;
};

static uint32_t be32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t be64(const uint8_t *p) {
    return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

struct counts {
    uint32_t isut, isstd, leap, time, type, chars;
    uint8_t version;
};

static bool header(struct reader *r, struct counts *c) {
    if (r->end - r->p < HEAD || memcmp(r->p, "TZif", 4))
        return false;
    const uint8_t *p = r->p + 20;
    *c = (struct counts){be32(p),      be32(p + 4),  be32(p + 8), be32(p + 12),
                         be32(p + 16), be32(p + 20), r->p[4]};
    r->p += HEAD;
    return c->type >= 1 && c->type <= 256 && c->time <= TIMES_MAX && c->leap <= TIMES_MAX &&
           c->chars <= 4096 && c->isut <= 256 && c->isstd <= 256;
}

/* Bytes of the data block whose times have `size` bytes. */
static size_t block(const struct counts *c, size_t size) {
    return c->time * (size + 1) + c->type * 6 + c->chars + c->leap * (size + 4) + c->isstd +
           c->isut;
}

static const char *read_block(const struct reader *r, const struct counts *c, struct mr_zone *z) {
    const uint8_t *at = r->p, *index = at + (size_t)c->time * 8, *type = index + c->time;
    for (uint32_t i = 0; i < c->type; i++) {
        int32_t off = (int32_t)be32(type + (size_t)i * 6);
        if (off < OFF_MIN || off > OFF_MAX)
            return "an offset is out of range";
    }
    z->first_off = (int32_t)be32(type);
    for (uint32_t i = 0; i < c->time; i++) {
        z->at[i] = be64(at + (size_t)i * 8);
        if (i && z->at[i] <= z->at[i - 1])
            return "its times do not rise";
        if (index[i] >= c->type)
            return "a type is missing";
        z->off[i] = (int32_t)be32(type + (size_t)index[i] * 6);
    }
    z->n = c->time;
    return NULL;
}

static const char *parse(struct mr_str bytes, struct mr_zone *z, bool *no_memory) {
    struct reader r = {(const uint8_t *)bytes.p, (const uint8_t *)bytes.p + bytes.n};
    struct counts c;
    if (!header(&r, &c))
        return "it is no TZif file";
    if (c.version < '2')
        return "its format is version 1, which ends in 2037";
    if ((size_t)(r.end - r.p) < block(&c, 4))
        return "it is cut off";
    r.p += block(&c, 4);
    if (!header(&r, &c))
        return "its second header is damaged";
    if (c.leap)
        return "it counts leap seconds";
    if ((size_t)(r.end - r.p) < block(&c, 8))
        return "it is cut off";
    z->at = mr_calloc(c.time ? c.time : 1, sizeof *z->at);
    z->off = mr_calloc(c.time ? c.time : 1, sizeof *z->off);
    if (!z->at || !z->off) {
        *no_memory = true;
        return "out of memory";
    }
    const char *bad = read_block(&r, &c, z);
    if (bad)
        return bad;
    r.p += block(&c, 8);
    struct mr_str foot = mr_strn((const char *)r.p, (size_t)(r.end - r.p));
    if (foot.n < 2 || foot.p[0] != '\n')
        return "its rule for later years is missing";
    foot = mr_strn(foot.p + 1, foot.n - 1);
    foot = mr_str_cut(&foot, '\n');
    if (foot.n && !mr_zone_rule_parse(foot, &z->rule))
        return "its rule for later years is damaged";
    return NULL;
}

int mr_zone_parse(struct mr_str name, struct mr_str bytes, struct mr_zone **ret, struct mr_err *e) {
    if (name.n > MR_ZONE_NAME_MAX)
        return mr_fail(e, MR_EINVAL, "the time zone's name is too long");
    struct mr_zone *z = mr_calloc(1, sizeof *z);
    bool no_memory = !z;
    const char *bad = z ? parse(bytes, z, &no_memory) : "";
    if (no_memory) {
        mr_zone_free(z);
        return mr_fail(e, MR_ENOMEM, "out of memory");
    }
    if (bad) {
        mr_zone_free(z);
        return mr_fail(e, MR_EINVAL, "the file of time zone %.*s cannot be used: %s", (int)name.n,
                       name.p, bad);
    }
    memcpy(z->name, name.p, name.n);
    *ret = z;
    return 0;
}

void mr_zone_free(struct mr_zone *z) {
    if (!z)
        return;
    mr_free(z->at);
    mr_free(z->off);
    mr_free(z);
}

/* Names go into a path: "Area/City" and nothing that climbs out. */
static bool name_ok(struct mr_str name) {
    if (!name.n || name.n > MR_ZONE_NAME_MAX || !name.p)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool begins = i == 0 || name.p[i - 1] == '/';
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool inside = (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '+' ||
                      (c == '/' && i + 1 < name.n);
        if (!letter && (begins || !inside))
            return false;
    }
    return true;
}

static int unknown(struct mr_str name, struct mr_err *e) {
    int n = (int)(name.n > 60 ? 60 : name.n);
    return mr_fail_field(e, MR_EFIELD, "timezone",
                         "there is no time zone '%.*s' (names are like Europe/Berlin or UTC)", n,
                         name.p ? name.p : "");
}

static int open_file(struct mr_str name, struct mr_zone **ret, struct mr_err *e) {
    char path[sizeof ZONE_DIR + MR_ZONE_NAME_MAX + 2];
    snprintf(path, sizeof path, ZONE_DIR "/%.*s", (int)name.n, name.p);
    MR_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
        return unknown(name, e);
    MR_AUTO_FREE char *bytes = mr_malloc(FILE_MAX);
    if (!bytes)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    size_t n = 0;
    for (ssize_t got; n < FILE_MAX && (got = read(fd, bytes + n, FILE_MAX - n)) != 0;) {
        if (got < 0)
            return mr_fail_errno(e, path);
        n += (size_t)got;
    }
    struct mr_err why = {0};
    int rc = mr_zone_parse(name, mr_strn(bytes, n), ret, &why);
    if (rc == MR_EINVAL) /* also for the folder's other files, like zone.tab */
        return mr_fail_field(e, MR_EFIELD, "timezone", "%s", why.msg);
    return rc ? mr_fail(e, rc, "%s", why.msg) : 0;
}

int mr_zone_open(struct mr_str name, struct mr_zone **ret, struct mr_err *e) {
    if (!name_ok(name))
        return unknown(name, e);
    if (!mr_str_is(name, "UTC"))
        return open_file(name, ret, e);
    struct mr_zone *z = mr_calloc(1, sizeof *z); /* also where no zone files are installed */
    if (!z)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    memcpy(z->name, "UTC", 4);
    *ret = z;
    return 0;
}

struct mr_str mr_zone_name(const struct mr_zone *z) {
    return mr_str(z->name);
}
