/* Faults: chosen by a marker in the prompt or by a rule, and what they do (README.md). */
#include "standin.h"

#include "base/alloc.h"

void fault_clear(struct fault *f) {
    *f = (struct fault){.arg = -1, .times = -1, .out = -1, .cached = -1};
}

static void set_text(char *out, size_t cap, struct mr_str v) {
    size_t n = v.n < cap ? v.n : cap - 1;
    memcpy(out, v.p, n);
    out[n] = 0;
}

void fault_from_prompt(struct mr_str prompt, struct fault *f) {
    static const struct mr_str mark = MR_LIT("[standin ");
    if (!mr_str_starts(prompt, mark))
        return;
    struct mr_str rest = mr_strn(prompt.p + mark.n, prompt.n - mark.n);
    rest = mr_str_cut(&rest, ']');
    while (rest.p) {
        struct mr_str v = mr_str_cut(&rest, ' ');
        struct mr_str k = mr_str_cut(&v, '=');
        int64_t n = -1;
        (void)mr_str_i64(v, -1, INT64_MAX, &n);
        if (!v.p)
            continue;
        if (mr_str_is(k, "fault"))
            set_text(f->name, sizeof f->name, v);
        else if (mr_str_is(k, "tag"))
            set_text(f->tag, sizeof f->tag, v);
        else if (mr_str_is(k, "arg"))
            f->arg = n;
        else if (mr_str_is(k, "times"))
            f->times = n;
        else if (mr_str_is(k, "out"))
            f->out = n;
        else if (mr_str_is(k, "cached"))
            f->cached = n;
    }
}

static bool matches(const char *want, struct mr_str got) {
    return !want[0] || mr_str_is(got, want);
}

const struct fault *fault_from_rules(struct standin *s, struct mr_str path, struct mr_str model,
                                     struct mr_str key) {
    for (size_t i = 0; i < s->n_rules; i++) {
        struct rule *r = &s->rules[i];
        if (r->fault.times >= 0 && r->used >= (uint64_t)r->fault.times)
            continue;
        if (matches(r->path, path) && matches(r->model, model) && matches(r->key, key)) {
            r->used++;
            return &r->fault;
        }
    }
    return NULL;
}

static bool is(const struct fault *f, const char *name) {
    return strcmp(f->name, name) == 0;
}

static void status_error(struct standin *s, int status, const struct fault *f, enum dialect d,
                         struct answer *a) {
    char extra[96] = "";
    if (f->arg >= 0 && !is(f, "status"))
        snprintf(extra, sizeof extra, "retry-after: %lld\r\n", (long long)f->arg);
    if (status == 429 && d == OPENAI)
        standin_error(s, a, d, 429, extra, "requests", "rate_limit_exceeded",
                      "Rate limit reached for requests.");
    else if (status == 429)
        standin_error(s, a, d, 429, extra, "rate_limited", "1300", "Rate limit exceeded");
    else if (status == 408)
        standin_error(s, a, d, 408, extra, "timeout", NULL, "Request timed out.");
    else if (status < 500)
        standin_error(s, a, d, status, extra, "invalid_request_error", NULL,
                      "The request is not acceptable.");
    else
        standin_error(s, a, d, status, extra, "server_error", NULL,
                      "The server had an error while processing your request.");
}

static void quota(struct standin *s, enum dialect d, struct answer *a) {
    if (d == OPENAI)
        standin_error(s, a, d, 429, NULL, "insufficient_quota", "insufficient_quota",
                      "You exceeded your current quota, please check your plan.");
    else
        standin_error(s, a, d, 429, NULL, "insufficient_quota", "1301",
                      "Monthly quota exceeded for this workspace.");
}

static void html(struct standin *s, int status, enum dialect d, struct answer *a) {
    static const struct mr_str page =
        MR_LIT("<html><head><title>Oops</title></head><body><h1>nginx</h1></body></html>\n");
    standin_head(s, a->out, d, status, "text/html", NULL, page.n);
    mr_buf_str(a->out, page);
}

static void huge(struct standin *s, const struct fault *f, enum dialect d, struct answer *a) {
    size_t n = f->arg > 0 && f->arg < OUT_MAX / 2 ? (size_t)f->arg : (size_t)64 << 20;
    static const struct mr_str front =
        MR_LIT("{\"id\":\"x\",\"object\":\"chat.completion\",\"model\":\"m\",\"choices\":[{"
               "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"");
    static const struct mr_str back = MR_LIT("\"},\"finish_reason\":\"stop\"}]}");
    standin_head(s, a->out, d, 200, "application/json", NULL, front.n + n + back.n);
    mr_buf_str(a->out, front);
    char *at = mr_buf_reserve(a->out, n);
    if (at) {
        memset(at, 'x', n);
        a->out->n += n;
    }
    mr_buf_str(a->out, back);
}

static void big_head(struct mr_buf *out) {
    mr_buf_cstr(out, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n");
    for (int i = 0; i < 4000; i++)
        mr_buf_fmt(out, "x-filler-%d: %0100d\r\n", i, i);
    mr_buf_cstr(out, "\r\n{}");
}

bool fault_before(struct standin *s, const struct fault *f, enum dialect d, struct answer *a) {
    int64_t code = 0;
    if (mr_str_i64(mr_str(f->name), 400, 599, &code)) {
        status_error(s, (int)code, f, d, a);
    } else if (is(f, "status")) {
        status_error(s, f->arg > 0 ? (int)f->arg : 500, f, d, a);
    } else if (is(f, "hang")) {
        a->plan.ending = HANG;
    } else if (is(f, "reset")) {
        a->plan.ending = RESET;
    } else if (is(f, "close")) {
        a->plan.ending = CLOSE;
    } else if (is(f, "quota")) {
        quota(s, d, a);
    } else if (is(f, "plain-429")) { /* Mistral's third shape, and not JSON at all */
        standin_json(s, a, d, 429, NULL, MR_LIT("{\"message\":\"Requests rate limit exceeded\"}"));
    } else if (is(f, "text-429")) {
        standin_head(s, a->out, d, 429, "text/plain", NULL, 19);
        mr_buf_cstr(a->out, "rate limit exceeded");
    } else if (is(f, "detail-422")) {
        standin_json(s, a, d, 422, NULL,
                     MR_LIT("{\"detail\":[{\"type\":\"extra_forbidden\",\"loc\":[\"body\",\"x\"],"
                            "\"msg\":\"Extra inputs are not permitted\",\"input\":1}]}"));
    } else if (is(f, "html-502")) {
        html(s, 502, d, a);
    } else if (is(f, "rubbish")) {
        html(s, 200, d, a);
    } else if (is(f, "rubbish-json")) {
        standin_json(s, a, d, 200, NULL, MR_LIT("{\"hello\":[1,2,3],\"choices\":\"none\"}"));
    } else if (is(f, "empty")) {
        standin_json(s, a, d, 200, NULL, MR_LIT(""));
    } else if (is(f, "redirect")) {
        standin_head(s, a->out, d, 302, "text/plain", "location: /v1/models\r\n", 0);
    } else if (is(f, "huge")) {
        huge(s, f, d, a);
    } else if (is(f, "huge-head")) {
        big_head(a->out);
    } else {
        return false;
    }
    s->stats.faults++;
    return true;
}

void fault_after(const struct fault *f, size_t start, size_t head, struct answer *a) {
    size_t whole = a->out->n - start;
    if (is(f, "hang-after-head")) {
        a->plan.limit = head;
        a->plan.ending = HANG;
    } else if (is(f, "hang-midway")) {
        a->plan.limit = head + (whole - head) / 2;
        a->plan.ending = HANG;
    } else if (is(f, "reset-midway")) {
        a->plan.limit = head + (whole - head) / 2;
        a->plan.ending = RESET;
    } else if (is(f, "close-midway")) {
        a->plan.limit = head + (whole - head) / 2;
        a->plan.ending = CLOSE;
    } else if (is(f, "drip")) {
        a->plan.limit = head;
        a->plan.step_ms = f->arg > 0 ? f->arg : 20;
    } else if (is(f, "events")) {
        a->plan.limit = head;
        a->plan.step_ms = f->arg > 0 ? f->arg : 20;
        a->plan.by_event = true;
    } else if (is(f, "slow")) {
        a->plan.delay_ms = f->arg > 0 ? f->arg : 1000;
    }
}
