#include "wire/zip.h"

#include "base/alloc.h"
#include "wire/decompress.h"

#include <zlib.h>

#define SIG_LOCAL      0x04034b50u
#define SIG_CENTRAL    0x02014b50u
#define SIG_END        0x06054b50u
#define SIG_END64      0x06064b50u
#define SIG_LOCATOR64  0x07064b50u
#define SIG_DESCRIPTOR 0x08074b50u
#define LOCAL_LEN      30u
#define CENTRAL_LEN    46u
#define END_LEN        22u
#define END64_LEN      56u
#define LOCATOR64_LEN  20u
#define NAME_MAX_LEN   1024u
#define FLAGS_REFUSED  0x2061u /* encrypted, patched, strong encryption, masked headers */
#define FLAG_STREAMED  0x0008u /* sizes and CRC follow the data */
#define RATIO_MAX      1100u   /* deflate's own limit is 1032 */

static uint64_t le(struct mr_str s, uint64_t at, unsigned n) {
    uint64_t v = 0;
    for (unsigned i = n; i-- > 0;)
        v = v << 8 | (uint8_t)s.p[at + i];
    return v;
}

static int bad(struct mr_err *e, const char *why) {
    return mr_fail(e, MR_EREFUSED, "zip archive: %s", why);
}

static int bad_member(struct mr_err *e, struct mr_str name, const char *why) {
    return mr_fail(e, MR_EREFUSED, "zip archive member \"%.*s\": %s",
                   name.n < 100 ? (int)name.n : 100, name.p, why);
}

bool mr_zip_sniff(struct mr_str s) {
    return s.n >= END_LEN && (le(s, 0, 4) == SIG_LOCAL || le(s, 0, 4) == SIG_END);
}

/* --- the end record ----------------------------------------------------------------------- */

struct directory {
    uint64_t at, size, count;
};

static int find_end(struct mr_str f, uint64_t *ret, struct mr_err *e) {
    if (f.n < END_LEN)
        return bad(e, "it is too short");
    uint64_t lowest = f.n > END_LEN + 0xffff ? f.n - END_LEN - 0xffff : 0;
    bool found = false;
    for (uint64_t at = f.n - END_LEN + 1; at-- > lowest;) {
        if (f.p[at] != 'P' || le(f, at, 4) != SIG_END || at + END_LEN + le(f, at + 20, 2) != f.n)
            continue;
        if (found)
            return bad(e, "it has two end records");
        found = true;
        *ret = at;
    }
    return found ? 0 : bad(e, "it has no end record at its end");
}

static int read_end(struct mr_str f, struct directory *ret, struct mr_err *e) {
    uint64_t end = 0;
    int rc = find_end(f, &end, e);
    if (rc)
        return rc;
    if (le(f, end + 4, 2) || le(f, end + 6, 2) || le(f, end + 8, 2) != le(f, end + 10, 2))
        return bad(e, "it is spread over several disks");
    struct directory d = {le(f, end + 16, 4), le(f, end + 12, 4), le(f, end + 10, 2)};
    if (end >= LOCATOR64_LEN && le(f, end - LOCATOR64_LEN, 4) == SIG_LOCATOR64) {
        uint64_t loc = end - LOCATOR64_LEN, at = le(f, loc + 8, 8);
        if (le(f, loc + 4, 4) || le(f, loc + 16, 4) > 1)
            return bad(e, "it is spread over several disks");
        if (loc < END64_LEN || at != loc - END64_LEN || le(f, at, 4) != SIG_END64 ||
            le(f, at + 4, 8) != END64_LEN - 12 || le(f, at + 16, 8) ||
            le(f, at + 24, 8) != le(f, at + 32, 8))
            return bad(e, "its zip64 end record is damaged");
        struct directory d64 = {le(f, at + 48, 8), le(f, at + 40, 8), le(f, at + 32, 8)};
        if ((d.at != UINT32_MAX && d.at != d64.at) ||
            (d.size != UINT32_MAX && d.size != d64.size) ||
            (d.count != UINT16_MAX && d.count != d64.count))
            return bad(e, "its two end records disagree");
        d = d64;
        end = at;
    }
    if (d.at > end || d.size != end - d.at)
        return bad(e, "its directory does not end where its end record begins");
    *ret = d;
    return 0;
}

/* --- directory entries -------------------------------------------------------------------- */

/* Fills the sizes that a 32-bit field could not hold from the zip64 extra field. `want` lists them
 * in the order of the format. */
static int zip64_extra(struct mr_str extra, uint64_t **want, unsigned n_want) {
    bool seen = false;
    while (extra.n >= 4) {
        uint64_t id = le(extra, 0, 2), len = le(extra, 2, 2);
        if (len > extra.n - 4)
            return -1;
        if (id == 1) {
            if (seen || len < 8ull * n_want)
                return -1;
            seen = true;
            for (unsigned i = 0; i < n_want; i++)
                *want[i] = le(extra, 4 + 8ull * i, 8);
        }
        extra = mr_strn(extra.p + 4 + len, extra.n - 4 - len);
    }
    return extra.n || (n_want && !seen) ? -1 : 0;
}

static bool good_name(struct mr_str s) {
    if (!s.n || s.n > NAME_MAX_LEN || s.p[0] == '/' || !mr_utf8_valid(s))
        return false;
    if (memchr(s.p, 0, s.n) || memchr(s.p, '\\', s.n) || memchr(s.p, ':', s.n))
        return false;
    while (s.p) {
        struct mr_str part = mr_str_cut(&s, '/');
        if (mr_str_is(part, "..") || mr_str_is(part, ".") || (!part.n && s.p))
            return false;
    }
    return true;
}

static int central(struct mr_str f, uint64_t at, uint64_t end, struct mr_zip_entry *m,
                   uint64_t *ret_next, struct mr_err *e) {
    if (end - at < CENTRAL_LEN || le(f, at, 4) != SIG_CENTRAL)
        return bad(e, "its directory is damaged");
    uint64_t n_name = le(f, at + 28, 2), n_extra = le(f, at + 30, 2), n_note = le(f, at + 32, 2);
    if (n_name + n_extra + n_note > end - at - CENTRAL_LEN)
        return bad(e, "its directory is cut off");
    *m = (struct mr_zip_entry){
        .name = mr_strn(f.p + at + CENTRAL_LEN, n_name),
        .method = (uint16_t)le(f, at + 10, 2),
        .flags = (uint16_t)le(f, at + 8, 2),
        .crc = (uint32_t)le(f, at + 16, 4),
        .packed = le(f, at + 20, 4),
        .size = le(f, at + 24, 4),
        .header = le(f, at + 42, 4),
    };
    if (!good_name(m->name))
        return bad_member(e, m->name, "the name is not a plain relative path");
    if (m->flags & FLAGS_REFUSED)
        return bad_member(e, m->name, "it is encrypted or patched");
    if (m->method != 0 && m->method != 8)
        return bad_member(e, m->name, "its compression method is not read");
    if (le(f, at + 34, 2))
        return bad_member(e, m->name, "it is on another disk");
    uint64_t *want[3];
    unsigned n = 0;
    if (m->size == UINT32_MAX)
        want[n++] = &m->size;
    if (m->packed == UINT32_MAX)
        want[n++] = &m->packed;
    if (m->header == UINT32_MAX)
        want[n++] = &m->header;
    if (zip64_extra(mr_strn(f.p + at + CENTRAL_LEN + n_name, n_extra), want, n))
        return bad_member(e, m->name, "its extra fields are damaged");
    if (m->method == 0 && m->packed != m->size)
        return bad_member(e, m->name, "it is stored, but its two sizes differ");
    *ret_next = at + CENTRAL_LEN + n_name + n_extra + n_note;
    return 0;
}

/* Length of the data descriptor at `at` that agrees with m; 0 when none does. */
static unsigned descriptor(struct mr_str f, uint64_t at, uint64_t limit,
                           const struct mr_zip_entry *m) {
    static const struct { unsigned sig, width; } forms[] = {{4, 4}, {4, 8}, {0, 4}, {0, 8}};
    for (unsigned i = 0; i < 4; i++) {
        unsigned s = forms[i].sig, w = forms[i].width, len = s + 4 + 2 * w;
        if (limit - at < len || (s && le(f, at, 4) != SIG_DESCRIPTOR))
            continue;
        if (le(f, at + s, 4) == m->crc && le(f, at + s + 4, w) == m->packed &&
            le(f, at + s + 4 + w, w) == m->size) {
            /* the next record must begin here, else it is a longer form */
            uint64_t next = at + len;
            if (next == limit || (limit - next >= 4 && le(f, next, 4) == SIG_LOCAL))
                return len;
        }
    }
    return 0;
}

/* The local header says the same as the directory; *ret_end is where the member ends. */
static int local(struct mr_str f, uint64_t limit, struct mr_zip_entry *m, uint64_t *ret_end,
                 struct mr_err *e) {
    uint64_t at = m->header;
    if (limit < LOCAL_LEN || at > limit - LOCAL_LEN || le(f, at, 4) != SIG_LOCAL)
        return bad_member(e, m->name, "its local header is missing");
    uint64_t n_name = le(f, at + 26, 2), n_extra = le(f, at + 28, 2);
    if (n_name + n_extra > limit - at - LOCAL_LEN)
        return bad_member(e, m->name, "its local header is cut off");
    if (!mr_str_eq(mr_strn(f.p + at + LOCAL_LEN, n_name), m->name))
        return bad_member(e, m->name, "its local header has another name");
    if (le(f, at + 6, 2) != m->flags || le(f, at + 8, 2) != m->method)
        return bad_member(e, m->name, "its local header has other flags or method");
    uint64_t crc = le(f, at + 14, 4), packed = le(f, at + 18, 4), size = le(f, at + 22, 4);
    uint64_t *want[2];
    unsigned n = 0;
    if (size == UINT32_MAX)
        want[n++] = &size;
    if (packed == UINT32_MAX)
        want[n++] = &packed;
    if (zip64_extra(mr_strn(f.p + at + LOCAL_LEN + n_name, n_extra), want, n))
        return bad_member(e, m->name, "its local extra fields are damaged");
    bool later = (m->flags & FLAG_STREAMED) && !crc && !packed && !size;
    if (!later && (crc != m->crc || packed != m->packed || size != m->size))
        return bad_member(e, m->name, "its local header has other sizes or CRC");
    m->data = at + LOCAL_LEN + n_name + n_extra;
    if (m->packed > limit - m->data)
        return bad_member(e, m->name, "its data is cut off");
    uint64_t end = m->data + m->packed;
    if (m->flags & FLAG_STREAMED) {
        unsigned len = descriptor(f, end, limit, m);
        if (!len)
            return bad_member(e, m->name, "its data descriptor disagrees or is missing");
        end += len;
    }
    *ret_end = end;
    return 0;
}

static int by_header(const void *a, const void *b) {
    const struct mr_zip_entry *x = a, *y = b;
    return (x->header > y->header) - (x->header < y->header);
}

static int by_name(const void *a, const void *b) {
    const struct mr_zip_entry *x = *(const struct mr_zip_entry *const *)a;
    const struct mr_zip_entry *y = *(const struct mr_zip_entry *const *)b;
    size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
    int c = memcmp(x->name.p, y->name.p, n);
    return c ? c : (x->name.n > y->name.n) - (x->name.n < y->name.n);
}

static int check_names(struct mr_zip *z, struct mr_err *e) {
    const struct mr_zip_entry **v = mr_arena_array(&z->arena, z->n, sizeof *v);
    if (!v)
        return mr_fail(e, MR_ENOMEM, "out of memory while reading a zip archive");
    for (size_t i = 0; i < z->n; i++)
        v[i] = &z->entry[i];
    qsort(v, z->n, sizeof *v, by_name);
    for (size_t i = 1; i < z->n; i++)
        if (!by_name(&v[i - 1], &v[i]))
            return bad_member(e, v[i]->name, "the name appears twice");
    return 0;
}

static int read_members(struct mr_zip *z, struct directory d, struct mr_err *e) {
    z->entry = mr_arena_array(&z->arena, d.count, sizeof *z->entry);
    if (!z->entry)
        return mr_fail(e, MR_ENOMEM, "out of memory while reading a zip archive");
    uint64_t at = d.at, end = d.at + d.size;
    for (z->n = 0; z->n < d.count; z->n++) {
        int rc = central(z->file, at, end, &z->entry[z->n], &at, e);
        if (rc)
            return rc;
    }
    if (at != end)
        return bad(e, "its directory is longer than its members");
    qsort(z->entry, z->n, sizeof *z->entry, by_header);
    at = 0;
    for (size_t i = 0; i < z->n; i++) {
        if (z->entry[i].header != at)
            return bad_member(e, z->entry[i].name,
                              z->entry[i].header < at ? "it overlaps another one"
                                                      : "unlisted bytes come before it");
        int rc = local(z->file, d.at, &z->entry[i], &at, e);
        if (rc)
            return rc;
    }
    if (at != d.at)
        return bad(e, "unlisted bytes come before its directory");
    return check_names(z, e);
}

int mr_zip_open(struct mr_str file, size_t max_entries, struct mr_zip *ret, struct mr_err *e) {
    struct directory d;
    int rc = read_end(file, &d, e);
    if (rc)
        return rc;
    if (d.count > max_entries || d.count > d.size / CENTRAL_LEN)
        return bad(e, "it has too many members");
    struct mr_zip z = {.file = file};
    mr_arena_init(&z.arena, (d.count + 1) * (sizeof *z.entry + sizeof(void *)) + 64);
    rc = read_members(&z, d, e);
    if (rc) {
        mr_arena_release(&z.arena);
        return rc;
    }
    *ret = z;
    return 0;
}

void mr_zip_release(struct mr_zip *z) {
    mr_arena_release(&z->arena);
    z->entry = NULL;
    z->n = 0;
}

const struct mr_zip_entry *mr_zip_find(const struct mr_zip *z, struct mr_str name) {
    for (size_t i = 0; i < z->n; i++)
        if (mr_str_eq(z->entry[i].name, name))
            return &z->entry[i];
    return NULL;
}

/* Is there a member called `tail`, at the top or in one top folder? */
static bool has(const struct mr_zip *z, struct mr_str tail) {
    for (size_t i = 0; i < z->n; i++) {
        struct mr_str rest = z->entry[i].name;
        if (mr_str_eq(rest, tail))
            return true;
        mr_str_cut(&rest, '/');
        if (rest.p &&
            (mr_str_eq(rest, tail) || (tail.p[tail.n - 1] == '/' && mr_str_starts(rest, tail))))
            return true;
    }
    return false;
}

enum mr_zip_kind mr_zip_kind(const struct mr_zip *z) {
    size_t npy = 0;
    for (size_t i = 0; i < z->n; i++)
        npy += mr_str_ends(z->entry[i].name, MR_LIT(".npy"));
    if (has(z, MR_LIT("MAR-INF/MANIFEST.json")))
        return MR_ZIP_MAR;
    if (has(z, MR_LIT("archive_format")) || has(z, MR_LIT("models/model.json")))
        return MR_ZIP_PT2;
    if (has(z, MR_LIT("data.pkl")))
        return has(z, MR_LIT("constants.pkl")) && has(z, MR_LIT("code/")) ? MR_ZIP_TORCHSCRIPT
                                                                          : MR_ZIP_TORCH;
    if (has(z, MR_LIT("model.weights.h5")) && has(z, MR_LIT("config.json")))
        return MR_ZIP_KERAS;
    if (has(z, MR_LIT("schema.json")))
        return MR_ZIP_SKOPS;
    return npy && npy == z->n ? MR_ZIP_NPZ : MR_ZIP_OTHER;
}

int mr_zip_read(const struct mr_zip *z, const struct mr_zip_entry *m, size_t max_size,
                struct mr_str *ret, void **ret_owned, struct mr_err *e) {
    if (m->size > max_size)
        return bad_member(e, m->name, "it is too large");
    struct mr_str raw = mr_strn(z->file.p + m->data, m->packed);
    struct mr_str out = raw;
    uint8_t *owned = NULL;
    if (m->method == 8) {
        size_t n = 0;
        int rc = mr_decompress(MR_COMP_DEFLATE, raw.p, raw.n, m->size, RATIO_MAX, &owned, &n, e);
        if (rc)
            return rc;
        out = mr_strn((const char *)owned, n);
    }
    if (out.n != m->size || crc32_z(0, (const Bytef *)out.p, out.n) != m->crc) {
        mr_free(owned);
        return bad_member(e, m->name, "its contents do not match its size or CRC");
    }
    *ret = out;
    *ret_owned = owned;
    return 0;
}
