/* Files of items: JSON lines, CSV, lines of text, zip archives. */
#include "core/jobs/source.h"

#include "base/alloc.h"
#include "base/num.h"
#include "wire/csv.h"
#include "wire/zip.h"

#include <yyjson.h>

#define LINE_MAX_BYTES (16u << 20)
#define COLUMNS_MAX    10000u
#define MEMBERS_MAX    200000u
#define STOP_EVERY     256u

static const char *const forms[] = {"", "jsonl", "csv", "zip", "text"};

int mr_job_form_parse(struct mr_str s, enum mr_job_form *ret, struct mr_err *e) {
    *ret = MR_JOB_FORM_ANY;
    if (!s.p)
        return 0;
    for (size_t i = 1; i < sizeof forms / sizeof *forms; i++)
        if (mr_str_is(s, forms[i])) {
            *ret = (enum mr_job_form)i;
            return 0;
        }
    return mr_fail_field(e, MR_EFIELD, "parameters.input_format",
                         "input_format must be \"jsonl\", \"csv\", \"zip\" or \"text\"");
}

const char *mr_job_form_name(enum mr_job_form f) {
    return (unsigned)f < sizeof forms / sizeof *forms && f ? forms[f] : "jsonl";
}

static bool ends(struct mr_str name, const char *with) {
    size_t n = strlen(with);
    return name.n >= n && mr_str_ieq(mr_strn(name.p + name.n - n, n), mr_str(with));
}

enum mr_job_form mr_job_form_of_name(struct mr_str name) {
    if (ends(name, ".jsonl") || ends(name, ".ndjson"))
        return MR_JOB_JSONL;
    if (ends(name, ".csv"))
        return MR_JOB_CSV;
    if (ends(name, ".zip"))
        return MR_JOB_ZIP;
    return ends(name, ".txt") ? MR_JOB_TEXT : MR_JOB_FORM_ANY;
}

static enum mr_job_form form_of_bytes(struct mr_str b) {
    if (mr_zip_sniff(b))
        return MR_JOB_ZIP;
    while (b.n && (b.p[0] == ' ' || b.p[0] == '\n' || b.p[0] == '\r' || b.p[0] == '\t'))
        b = mr_strn(b.p + 1, b.n - 1);
    return b.n && (b.p[0] == '{' || b.p[0] == '[') ? MR_JOB_JSONL : MR_JOB_CSV;
}

static int stopped(const struct mr_job_pack *p, const atomic_bool *stop, struct mr_err *e) {
    if (p->n % STOP_EVERY == 0 && stop && atomic_load(stop))
        return mr_fail(e, MR_ECANCELLED, "the job is stopped");
    return 0;
}

/* --- lines -------------------------------------------------------------------------------- */

static int is_json(struct mr_str s) {
    yyjson_doc *doc =
        yyjson_read_opts((char *)(uintptr_t)s.p, s.n, YYJSON_READ_NUMBER_AS_RAW, NULL, NULL);
    yyjson_doc_free(doc);
    return doc != NULL;
}

static int add_text(struct mr_job_pack *p, struct mr_str text, struct mr_err *e) {
    struct mr_buf b;
    if (!mr_utf8_valid(text))
        return mr_fail(e, MR_EINVAL, "the text of item %llu is not UTF-8",
                       (unsigned long long)p->n);
    mr_buf_init(&b, 6 * (size_t)MR_JOB_ITEM_MAX + 2);
    mr_buf_json(&b, text);
    int rc = mr_buf_ok(&b) ? mr_job_pack_json(p, mr_buf_view(&b), e)
                           : mr_fail(e, b.fail, "item %llu is too large", (unsigned long long)p->n);
    mr_buf_release(&b);
    return rc;
}

static int one_line(struct mr_str line, bool json, uint64_t number, struct mr_job_pack *p,
                    struct mr_err *e) {
    if (line.n > LINE_MAX_BYTES)
        return mr_fail(e, MR_ETOOBIG, "line %llu is longer than %u MB", (unsigned long long)number,
                       LINE_MAX_BYTES >> 20);
    if (!json)
        return add_text(p, line, e);
    if (!is_json(line))
        return mr_fail(e, MR_EINVAL, "line %llu is not JSON", (unsigned long long)number);
    return mr_job_pack_json(p, line, e);
}

/* Lines without any character are no items. */
static int read_lines(struct mr_str rest, bool json, struct mr_job_pack *p, const atomic_bool *stop,
                      struct mr_err *e) {
    uint64_t number = 0;
    if (mr_str_starts(rest, MR_LIT("\xef\xbb\xbf")))
        rest = mr_strn(rest.p + 3, rest.n - 3);
    while (rest.n) {
        const char *end = memchr(rest.p, '\n', rest.n);
        struct mr_str line = mr_strn(rest.p, end ? (size_t)(end - rest.p) : rest.n);
        size_t used = line.n + (end != NULL);
        number++;
        rest = mr_strn(rest.p + used, rest.n - used);
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        int rc = stopped(p, stop, e);
        if (!rc && mr_str_trim(line).n)
            rc = one_line(line, json, number, p, e);
        if (rc)
            return rc;
    }
    return 0;
}

/* --- CSV ---------------------------------------------------------------------------------- */

/* A number in JSON's own grammar: "007" and "1." are text. */
static bool is_number(struct mr_str s) {
    double v;
    if (!s.n || s.n > 40 || !(s.p[0] == '-' || (s.p[0] >= '0' && s.p[0] <= '9')))
        return false;
    return mr_f64_parse(s, &v) && is_json(s);
}

/* Quoted: text. Else nothing is null, a number is one, true and false are themselves. */
static void add_value(struct mr_buf *b, const struct mr_csv_field *f) {
    if (f->quoted)
        mr_buf_json(b, f->text);
    else if (!f->text.n)
        mr_buf_cstr(b, "null");
    else if (is_number(f->text) || mr_str_is(f->text, "true") || mr_str_is(f->text, "false"))
        mr_buf_str(b, f->text);
    else
        mr_buf_json(b, f->text);
}

struct columns {
    struct mr_buf names; /* ready to print: "name": */
    size_t *end;
    size_t n;
};

static int read_header(struct mr_csv *c, struct columns *k, struct mr_err *e) {
    int rc = mr_csv_next(c, e);
    if (rc <= 0)
        return rc < 0 ? rc : mr_fail(e, MR_EINVAL, "the CSV file has no header");
    k->end = mr_calloc(c->n, sizeof *k->end);
    if (!k->end)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (k->n = 0; k->n < c->n; k->n++) {
        struct mr_str name = c->field[k->n].text;
        if (!name.n || !mr_utf8_valid(name))
            return mr_fail(e, MR_EINVAL, "column %zu of the CSV header has no name in UTF-8",
                           k->n + 1);
        for (size_t i = 0; i < k->n; i++)
            if (mr_str_eq(name, c->field[i].text))
                return mr_fail(e, MR_EINVAL, "the CSV header names \"%.*s\" twice",
                               (int)(name.n > 60 ? 60 : name.n), name.p);
        mr_buf_json(&k->names, name);
        mr_buf_char(&k->names, ':');
        k->end[k->n] = k->names.n;
    }
    return mr_buf_ok(&k->names) ? 0 : mr_fail(e, k->names.fail, "the CSV header is too long");
}

static int add_row(const struct mr_csv *c, const struct columns *k, struct mr_buf *b,
                   struct mr_job_pack *p, struct mr_err *e) {
    if (c->n != k->n)
        return mr_fail(e, MR_EINVAL, "CSV, record at line %llu: it has %zu fields, the header %zu",
                       (unsigned long long)c->line, c->n, k->n);
    mr_buf_clear(b);
    for (size_t i = 0; i < k->n; i++) {
        size_t from = i ? k->end[i - 1] : 0;
        if (!mr_utf8_valid(c->field[i].text))
            return mr_fail(e, MR_EINVAL, "CSV, record at line %llu: it is not UTF-8",
                           (unsigned long long)c->line);
        mr_buf_char(b, i ? ',' : '{');
        mr_buf_add(b, k->names.p + from, k->end[i] - from);
        add_value(b, &c->field[i]);
    }
    mr_buf_char(b, '}');
    return mr_buf_ok(b) ? mr_job_pack_json(p, mr_buf_view(b), e)
                        : mr_fail(e, b->fail, "CSV, record at line %llu: it is too long",
                                  (unsigned long long)c->line);
}

static int read_csv(struct mr_str bytes, struct mr_job_pack *p, const atomic_bool *stop,
                    struct mr_err *e) {
    struct mr_csv c;
    struct columns k = {0};
    struct mr_buf b;
    mr_csv_init(&c, bytes, COLUMNS_MAX, LINE_MAX_BYTES);
    mr_buf_init(&k.names, LINE_MAX_BYTES);
    mr_buf_init(&b, MR_JOB_ITEM_MAX);
    int rc = read_header(&c, &k, e);
    while (!rc) {
        int more = mr_csv_next(&c, e);
        if (more <= 0) {
            rc = more;
            break;
        }
        rc = stopped(p, stop, e);
        if (!rc)
            rc = add_row(&c, &k, &b, p, e);
    }
    mr_csv_release(&c);
    mr_buf_release(&k.names);
    mr_buf_release(&b);
    mr_free(k.end);
    return rc;
}

/* --- zip ---------------------------------------------------------------------------------- */

/* What operating systems leave in archives and folders. */
static bool hidden(struct mr_str name) {
    if (mr_str_starts(name, MR_LIT("__MACOSX/")))
        return true;
    while (name.p) {
        struct mr_str part = mr_str_cut(&name, '/');
        if (part.n && part.p[0] == '.')
            return true;
    }
    return false;
}

static int read_zip(struct mr_str bytes, struct mr_job_pack *p, const atomic_bool *stop,
                    struct mr_err *e) {
    struct mr_zip z;
    int rc = mr_zip_open(bytes, MEMBERS_MAX, &z, e);
    if (rc)
        return rc;
    for (size_t i = 0; i < z.n && !rc; i++) {
        const struct mr_zip_entry *m = &z.entry[i];
        struct mr_str body;
        void *owned = NULL;
        if (m->name.p[m->name.n - 1] == '/' || hidden(m->name))
            continue;
        if (stop && atomic_load(stop))
            rc = mr_fail(e, MR_ECANCELLED, "the job is stopped");
        if (!rc && m->size > p->max - p->at)
            rc = mr_fail(e, MR_ETOOBIG, "the archive's files are larger than %llu MB together",
                         (unsigned long long)(p->max >> 20));
        if (!rc)
            rc = mr_zip_read(&z, m, MR_JOB_ITEM_MAX, &body, &owned, e);
        if (!rc)
            rc = mr_job_member_read(m->name, body, p, stop, e);
        mr_free(owned);
    }
    mr_zip_release(&z);
    return rc;
}

/* --- any ---------------------------------------------------------------------------------- */

int mr_job_bytes_read(struct mr_str bytes, enum mr_job_form form, struct mr_str name,
                      struct mr_job_pack *p, const atomic_bool *stop, struct mr_err *e) {
    if (form == MR_JOB_FORM_ANY)
        form = mr_job_form_of_name(name);
    if (form == MR_JOB_FORM_ANY)
        form = form_of_bytes(bytes);
    switch (form) {
    case MR_JOB_ZIP:
        return read_zip(bytes, p, stop, e);
    case MR_JOB_CSV:
        return read_csv(bytes, p, stop, e);
    default:
        return read_lines(bytes, form == MR_JOB_JSONL, p, stop, e);
    }
}

int mr_job_member_read(struct mr_str name, struct mr_str bytes, struct mr_job_pack *p,
                       const atomic_bool *stop, struct mr_err *e) {
    struct mr_err why;
    int rc;
    if (ends(name, ".txt"))
        rc = add_text(p, bytes, &why);
    else if (ends(name, ".json"))
        rc = is_json(bytes) ? mr_job_pack_json(p, bytes, &why)
                            : mr_fail(&why, MR_EINVAL, "it is not JSON");
    else if (mr_job_form_of_name(name) == MR_JOB_JSONL)
        rc = read_lines(bytes, true, p, stop, &why);
    else if (mr_job_form_of_name(name) == MR_JOB_CSV)
        rc = read_csv(bytes, p, stop, &why);
    else
        return mr_job_pack_file(p, name, bytes, e);
    return rc ? mr_fail(e, rc, "%.*s: %s", (int)(name.n > 200 ? 200 : name.n), name.p, why.msg) : 0;
}
