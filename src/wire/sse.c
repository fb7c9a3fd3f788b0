#include "wire/sse.h"

/* --- writer ------------------------------------------------------------------------------ */

static void field(struct mr_buf *out, const char *name, struct mr_str v) {
    mr_buf_cstr(out, name);
    size_t at = out->n;
    mr_buf_str(out, v);
    for (; mr_buf_ok(out) && at < out->n; at++)
        if (out->p[at] == '\n' || out->p[at] == '\r')
            out->p[at] = ' ';
    mr_buf_char(out, '\n');
}

static void data_fields(struct mr_buf *out, struct mr_str d) {
    size_t from = 0;
    for (size_t i = 0; i <= d.n; i++) {
        if (i < d.n && d.p[i] != '\n' && d.p[i] != '\r')
            continue;
        mr_buf_add(out, "data: ", 6);
        mr_buf_add(out, d.p + from, i - from);
        mr_buf_char(out, '\n');
        if (i + 1 < d.n && d.p[i] == '\r' && d.p[i + 1] == '\n')
            i++;
        from = i + 1;
    }
}

void mr_sse_write(struct mr_buf *out, const struct mr_sse_event *ev) {
    if (ev->event.n)
        field(out, "event: ", ev->event);
    if (ev->id.p && !memchr(ev->id.p, 0, ev->id.n))
        field(out, "id: ", ev->id);
    if (ev->data.p)
        data_fields(out, ev->data);
    mr_buf_char(out, '\n');
}

void mr_sse_data(struct mr_buf *out, struct mr_str data) {
    data_fields(out, data.p ? data : mr_strn("", 0));
    mr_buf_char(out, '\n');
}

void mr_sse_retry(struct mr_buf *out, uint32_t ms) {
    mr_buf_add(out, "retry: ", 7);
    mr_buf_u64(out, ms);
    mr_buf_add(out, "\n\n", 2);
}

void mr_sse_comment(struct mr_buf *out, struct mr_str text) {
    field(out, ":", text);
    mr_buf_char(out, '\n');
}

/* --- parser ------------------------------------------------------------------------------ */

void mr_sse_begin(struct mr_sse_parser *p, size_t line_max, size_t data_max,
                  int (*on_event)(void *ctx, const struct mr_sse_event *ev), void *ctx) {
    *p = (struct mr_sse_parser){.line_max = line_max,
                                .data_max = data_max,
                                .on_event = on_event,
                                .ctx = ctx,
                                .retry_ms = -1};
    mr_buf_init(&p->line, line_max + 1);
    mr_buf_init(&p->data, data_max + 2); /* every line adds a line feed; the last one goes */
    mr_buf_init(&p->event, line_max + 1);
    mr_buf_init(&p->id, line_max + 1);
}

void mr_sse_release(struct mr_sse_parser *p) {
    mr_buf_release(&p->line);
    mr_buf_release(&p->data);
    mr_buf_release(&p->event);
    mr_buf_release(&p->id);
}

static int dispatch(struct mr_sse_parser *p) {
    struct mr_sse_event ev = {.event = mr_buf_view(&p->event), .id = mr_buf_view(&p->id)};
    int rc = 0;
    if (p->has_data) { /* "data:" alone is an event with empty data only when it had a line */
        ev.data = mr_strn(p->data.p, p->data.n - 1);
        if (!ev.event.n)
            ev.event = MR_LIT("message");
        rc = p->on_event(p->ctx, &ev);
    }
    mr_buf_clear(&p->data);
    mr_buf_clear(&p->event);
    p->has_data = false;
    return rc < 0 ? rc : 0;
}

static void set(struct mr_buf *b, struct mr_str v) {
    mr_buf_clear(b);
    mr_buf_str(b, v);
}

static int take_field(struct mr_sse_parser *p, struct mr_str name, struct mr_str v) {
    if (mr_str_is(name, "data")) {
        if (v.n > p->data_max || p->data.n > p->data_max - v.n)
            return MR_ETOOBIG;
        mr_buf_str(&p->data, v);
        mr_buf_char(&p->data, '\n');
        p->has_data = true;
        return p->data.fail;
    }
    if (mr_str_is(name, "event")) {
        set(&p->event, v);
        return p->event.fail;
    }
    if (mr_str_is(name, "id") && (!v.n || !memchr(v.p, 0, v.n))) {
        set(&p->id, v);
        return p->id.fail;
    }
    if (mr_str_is(name, "retry")) {
        int64_t ms;
        bool digits = v.n > 0;
        for (size_t i = 0; i < v.n; i++)
            digits = digits && v.p[i] >= '0' && v.p[i] <= '9';
        if (digits && mr_str_i64(v, 0, INT64_MAX, &ms))
            p->retry_ms = ms;
    }
    return 0;
}

static int take_line(struct mr_sse_parser *p, struct mr_str l) {
    if (!p->begun && mr_str_starts(l, MR_LIT("\xEF\xBB\xBF")))
        l = mr_strn(l.p + 3, l.n - 3);
    p->begun = true;
    if (!l.n)
        return dispatch(p);
    if (l.p[0] == ':')
        return 0;
    struct mr_str v = l;
    struct mr_str name = mr_str_cut(&v, ':');
    if (v.n && v.p[0] == ' ')
        v = mr_strn(v.p + 1, v.n - 1);
    return take_field(p, name, v.p ? v : mr_strn("", 0));
}

/* Bytes of a line that is not whole yet. */
static int keep(struct mr_sse_parser *p, const char *s, size_t n) {
    if (n > p->line_max || p->line.n > p->line_max - n)
        return MR_ETOOBIG;
    if (n)
        mr_buf_add(&p->line, s, n);
    return p->line.fail;
}

static int end_line(struct mr_sse_parser *p, const char *s, size_t n) {
    if (!p->line.n)
        return n > p->line_max ? MR_ETOOBIG : take_line(p, mr_strn(s, n));
    int rc = keep(p, s, n);
    if (!rc)
        rc = take_line(p, mr_buf_view(&p->line));
    mr_buf_clear(&p->line);
    return rc;
}

static int feed(struct mr_sse_parser *p, const char *s, size_t n) {
    size_t from = 0;
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++) {
        bool after_cr = p->skip_lf;
        p->skip_lf = false;
        if (s[i] == '\n' && after_cr) {
            from = i + 1;
        } else if (s[i] == '\n' || s[i] == '\r') {
            p->skip_lf = s[i] == '\r';
            rc = end_line(p, s + from, i - from);
            from = i + 1;
        }
    }
    return rc ? rc : keep(p, s + from, n - from);
}

int mr_sse_feed(struct mr_sse_parser *p, const char *bytes, size_t n, struct mr_err *e) {
    if (!p->failed)
        p->failed = feed(p, bytes, n);
    if (p->failed == MR_ETOOBIG)
        return mr_fail(e, MR_ETOOBIG,
                       "an event stream has a line over %zu bytes or an event over %zu bytes",
                       p->line_max, p->data_max);
    if (p->failed)
        return mr_fail(e, p->failed,
                       p->failed == MR_ENOMEM ? "out of memory" : "the event stream was ended");
    return 0;
}
