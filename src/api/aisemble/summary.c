/* Summaries: the text's own sentences, or a language model's. Lengths are words. */
#include "api/aisemble/analyze.h"
#include "api/api.h"
#include "core/bill/bill.h"
#include "core/text/text.h"
#include "engine/nlp/nlp.h"

#include <math.h>

struct outcome {
    struct mr_str text;
    const char *method;
    struct mr_str model;
    uint32_t original;
    bool too_short; /* the model stopped there */
    bool cut;       /* inside its last sentence */
};

static void render(struct mr_buf *b, const struct mr_summary_ask *q, const struct outcome *o) {
    uint32_t words = mr_word_count(o->text);
    double ratio = o->original ? (double)words / o->original : 0;
    mr_json_i64(b, "original_length", o->original);
    mr_json_str(b, "summary", o->text);
    mr_json_i64(b, "summary_length", words);
    mr_json_f64(b, "compression_ratio", (double)llround(ratio * 1000) / 1000);
    mr_json_str(b, "model", o->model);
    mr_json_cstr(b, "method", o->method);
    if (o->cut)
        mr_buf_cstr(b,
                    ",\"warnings\":[\"the summary was cut at max_length, in its last sentence\"]");
    else if (words < q->min_words && words < o->original)
        mr_buf_fmt(
            b, ",\"warnings\":[\"the summary has %u words, fewer than min_length: %s\"]", words,
            o->too_short ? "the model ended there" : "no more whole sentences fit into max_length");
}

static int extractive(struct mr_core *core, const struct mr_summary_ask *q, struct mr_str name,
                      struct mr_arena *arena, struct outcome *o, struct mr_err *e) {
    struct mr_use u = {0}, embedder = {0};
    struct mr_summary s;
    struct mr_bill_item *i;
    int rc = mr_bill_use(q->bill, name, MR_KIND_SUMMARY, (int64_t)q->text.n, &u, &i, e);
    if (!rc)
        rc = mr_use_begin(core->residency, mr_strn(NULL, 0), MR_KIND_EMBEDDER, &embedder, e);
    if (!rc)
        rc = mr_summarize(embedder.handle, q->text, q->min_words, q->max_words, arena, &s, e);
    if (!rc) {
        i->tokens.input = s.original_words;
        o->text = s.text;
        o->original = s.original_words;
        o->method = "extractive";
        o->model = mr_str(u.model->id);
    }
    mr_use_end(&embedder, !rc);
    mr_use_end(&u, !rc);
    return rc;
}

/* --- by a language model ------------------------------------------------------------------ */

/* The longest prefix of at most `max` words: it ends before the next word begins. */
static struct mr_str first_words(struct mr_str t, uint32_t max) {
    size_t lo = 0, hi = t.n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo + 1) / 2;
        if (mr_word_count(mr_strn(t.p, mid)) <= max)
            lo = mid;
        else
            hi = mid - 1;
    }
    while (lo < t.n && ((unsigned char)t.p[lo] & 0xC0) == 0x80)
        lo--; /* not inside a character */
    return mr_strn(t.p, lo);
}

static struct mr_str trim_space(struct mr_str s) {
    while (s.n && strchr(" \t\r\n", s.p[0]))
        s = mr_strn(s.p + 1, s.n - 1);
    while (s.n && strchr(" \t\r\n", s.p[s.n - 1]))
        s.n--;
    return s;
}

/* Within the length, at the end of a sentence when that leaves enough. */
static int fit(const struct mr_summary_ask *q, struct outcome *o, struct mr_arena *arena,
               struct mr_err *e) {
    struct mr_str t = trim_space(o->text);
    struct mr_span *span;
    size_t n;
    if (mr_word_count(t) > q->max_words) {
        t = trim_space(first_words(t, q->max_words));
        int rc = mr_sentences(t, arena, &span, &n, e);
        if (rc)
            return rc;
        size_t end = n > 1 ? span[n - 2].end : 0; /* without the sentence that was cut */
        struct mr_str whole = trim_space(mr_strn(t.p, end));
        o->cut = !whole.n || mr_word_count(whole) < q->min_words;
        if (!o->cut)
            t = whole;
    }
    o->text = t;
    return 0;
}

static int abstractive(struct mr_core *core, const struct mr_summary_ask *q, struct mr_arena *arena,
                       struct outcome *o, struct mr_err *e) {
    struct mr_text_request t = {.who = *q->bill->who,
                                .family = q->bill->family,
                                .model = q->model,
                                .on_delta = q->on_delta,
                                .arg = q->arg};
    struct mr_text_result r = {0};
    struct mr_buf b;
    char *ask = mr_arena_fmt(arena, "Summarize the following text in %u to %u words:\n\n%.*s",
                             q->min_words, q->max_words, (int)q->text.n, q->text.p);
    if (!ask)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    mr_buf_init(&b, 16u << 20);
    mr_buf_cstr(&b, "[{\"role\":\"system\",\"content\":\"You summarize texts. Answer with the "
                    "summary only.\"},{\"role\":\"user\",\"content\":");
    mr_buf_json(&b, mr_str(ask));
    mr_buf_cstr(&b, "}]");
    t.messages_json = mr_buf_view(&b);
    mr_llm_params_default(&t.params);
    t.params.temperature = 0;
    t.params.max_tokens = (int64_t)q->max_words * 2 + 16;
    int rc = mr_buf_ok(&b) ? mr_text_generate_wait(core->text, &t, arena, &r, e)
                           : mr_fail(e, MR_ETOOBIG, "the text is too large");
    mr_buf_release(&b);
    if (rc)
        return rc;
    q->bill->paid_nano = r.cost_nano;
    q->bill->paid_charge = r.charge;
    *o = (struct outcome){.text = r.text.p ? r.text : MR_LIT(""),
                          .method = "abstractive",
                          .model = r.model,
                          .original = mr_word_count(q->text),
                          .too_short = true};
    return fit(q, o, arena, e);
}

/* Whether the name is a language model's, here or at a provider. */
static bool writes(const struct mr_core *core, struct mr_str name) {
    const struct mr_catalog_model *m;
    struct mr_str provider, model;
    return mr_catalog_remote(core->catalog, name, &provider, &model) ||
           mr_catalog_adapter(core->catalog, name) ||
           !mr_catalog_find(core->catalog, name, MR_KIND_LLM, &m, NULL) ||
           memchr(name.p, '/', name.n);
}

int mr_nlp_summary(struct mr_core *core, const struct mr_summary_ask *q, struct mr_arena *arena,
                   struct mr_buf *out, struct mr_err *e) {
    const struct mr_catalog_model *m;
    struct outcome o = {0};
    struct mr_str name = q->model;
    bool own = !name.n || !mr_catalog_find(core->catalog, name, MR_KIND_SUMMARY, &m, NULL);
    int rc;
    if (q->min_words > q->max_words)
        return mr_fail_field(e, MR_EFIELD, "min_length", "min_length is larger than max_length");
    if (own)
        rc = extractive(core, q, name, arena, &o, e);
    else if (writes(core, name))
        rc = abstractive(core, q, arena, &o, e);
    else {
        rc = mr_catalog_find(core->catalog, name, MR_KIND_N, &m, e);
        if (!rc)
            rc = mr_fail_field(e, MR_EFIELD, "model", "model '%s' (%s) does not summarize", m->id,
                               mr_kind_name(m->kind));
    }
    if (!rc)
        render(out, q, &o);
    return rc;
}
