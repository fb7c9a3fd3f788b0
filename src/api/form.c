#include "api/form.h"

#include "api/validate.h"
#include "base/alloc.h"
#include "wire/multipart.h"

#define FIELD_MAX     (64u << 10) /* a text field */
#define TEXT_FILE_MAX (1u << 20)  /* a file read into memory (requirements.txt) */

/* What one field of the form holds. Files whose field is model_file or file stream to a blob; other
 * files are kept in memory, up to their maxLength, else TEXT_FILE_MAX. */
struct slot {
    bool seen, is_file;
    struct mr_buf text;
    struct mr_blob_writer *file;
    char file_name[256];
};

struct mr_form {
    struct mr_call *call;
    struct mr_multipart *parser;
    size_t current; /* field index, or SIZE_MAX for a part that nobody asked for */
    struct slot slot[MR_MAX_FIELDS];
};

static bool streams(const struct mr_field *f) {
    return f->format == MR_F_FILE && (!strcmp(f->name, "model_file") || !strcmp(f->name, "file"));
}

static int part_begin(void *ctx, struct mr_str name, struct mr_str file_name,
                      struct mr_str content_type, struct mr_err *e) {
    struct mr_form *form = ctx;
    const struct mr_row *row = form->call->row;
    (void)content_type;
    form->current = SIZE_MAX;
    for (size_t i = 0; i < row->n_fields; i++)
        if (row->fields[i].in == MR_IN_FORM && mr_str_is(name, row->fields[i].name))
            form->current = i;
    if (form->current == SIZE_MAX)
        return 0; /* unknown parts are skipped, as form handlers do */
    const struct mr_field *f = &row->fields[form->current];
    struct slot *s = &form->slot[form->current];
    bool list = f->type & MR_T_ARR && f->format != MR_F_FILE;
    if (s->seen && !list)
        return mr_fail_field(e, MR_EFIELD, f->name, "%s was given twice", f->name);
    if (s->seen) { /* one more value of a list */
        mr_buf_clear(&s->text);
        return 0;
    }
    s->seen = true;
    s->is_file = file_name.p != NULL;
    if (f->format == MR_F_FILE && !s->is_file)
        return mr_fail_field(e, MR_EFIELD, f->name, "%s must be a file", f->name);
    snprintf(s->file_name, sizeof s->file_name, "%.*s",
             (int)(file_name.n < sizeof s->file_name ? file_name.n : sizeof s->file_name - 1),
             file_name.p ? file_name.p : "");
    if (streams(f))
        return mr_blob_begin_write(form->call->core->blobs, &s->file, e);
    mr_buf_init(&s->text, f->format != MR_F_FILE ? FIELD_MAX
                          : f->has_max           ? (size_t)f->max
                                                 : TEXT_FILE_MAX);
    return 0;
}

static int part_data(void *ctx, const char *p, size_t n, struct mr_err *e) {
    struct mr_form *form = ctx;
    if (form->current == SIZE_MAX)
        return 0;
    const struct mr_field *f = &form->call->row->fields[form->current];
    struct slot *s = &form->slot[form->current];
    if (s->file && f->has_max && (double)(mr_blob_written(s->file) + n) > f->max)
        return mr_fail_field(e, MR_ETOOBIG, f->name, "%s is larger than %.15g bytes", f->name,
                             f->max);
    if (s->file)
        return mr_blob_write(s->file, p, n, e);
    mr_buf_add(&s->text, p, n);
    if (mr_buf_ok(&s->text))
        return 0;
    return mr_fail_field(e, s->text.fail, f->name, "%s is larger than %zu bytes", f->name,
                         s->text.max);
}

static int part_end(void *ctx, struct mr_err *e) {
    struct mr_form *form = ctx;
    if (form->current == SIZE_MAX)
        return 0;
    const struct mr_field *f = &form->call->row->fields[form->current];
    struct slot *s = &form->slot[form->current];
    struct mr_value *v = &form->call->value[form->current];
    if (s->file || f->format == MR_F_FILE) {
        v->present = v->given = true;
        return 0;
    }
    return mr_validate_form_field(form->call, form->current, mr_buf_view(&s->text), e);
}

static int feed(void *ctx, const char *p, size_t n, struct mr_err *e) {
    struct mr_form *form = ctx;
    return mr_multipart_feed(form->parser, p, n, e);
}

int mr_form_begin(struct mr_call *c, struct mr_err *e) {
    struct mr_str boundary;
    if (!mr_multipart_boundary(mr_req_header(c->req, "content-type"), &boundary))
        return mr_fail(e, MR_EFIELD,
                       "the body must be multipart/form-data with a boundary (curl: use -F)");
    struct mr_form *form = mr_calloc(1, sizeof *form);
    if (!form)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    form->call = c;
    form->current = SIZE_MAX;
    struct mr_multipart_handler h = {part_begin, part_data, part_end, form};
    int rc = mr_multipart_new(boundary, NULL, &h, &form->parser, e);
    if (rc) {
        mr_free(form);
        return rc;
    }
    c->form = form;
    c->req->sink = (struct mr_body_sink){feed, form};
    return 0;
}

int mr_form_end(struct mr_call *c, struct mr_err *e) {
    int rc = mr_multipart_end(c->form->parser, e);
    return rc ? rc : mr_validate_form_end(c, e);
}

void mr_form_free(struct mr_form *f) {
    if (!f)
        return;
    mr_multipart_free(f->parser);
    for (size_t i = 0; i < MR_MAX_FIELDS; i++) {
        mr_blob_writer_free(f->slot[i].file);
        mr_buf_release(&f->slot[i].text);
    }
    mr_free(f);
}

static struct slot *slot_of(struct mr_call *c, const char *name) {
    for (size_t i = 0; c->form && i < c->row->n_fields; i++)
        if (c->row->fields[i].in == MR_IN_FORM && !strcmp(c->row->fields[i].name, name))
            return c->form->slot[i].seen ? &c->form->slot[i] : NULL;
    return NULL;
}

struct mr_blob_writer *mr_form_take_file(struct mr_call *c, const char *name,
                                         struct mr_str *ret_file_name) {
    struct slot *s = slot_of(c, name);
    if (!s || !s->file)
        return NULL;
    struct mr_blob_writer *w = s->file;
    s->file = NULL;
    *ret_file_name = mr_str(s->file_name);
    return w;
}

struct mr_str mr_form_text_file(struct mr_call *c, const char *name) {
    struct slot *s = slot_of(c, name);
    return s && s->is_file ? mr_buf_view(&s->text) : mr_strn(NULL, 0);
}
