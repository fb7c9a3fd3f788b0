/* millrace generate and chat: language models, answered as they write. */
#include "base/cleanup.h"
#include "base/num.h"
#include "cli/client.h"
#include "cli/read_input.h"
#include "cli/verbs.h"

#include <errno.h>
#include <unistd.h>

#define TEXT_MAX    (4u << 20)
#define HISTORY_MAX (16u << 20)

#define COMMON_OPTS                                                                                \
    {"--model", "NAME", "a model of the catalogue or provider/model; default: the local one"},     \
        {"--adapter", "NAME", "a LoRA adapter of the server's catalogue, on its base model"},      \
        {"--max-tokens", "N", "longest answer"},                                                   \
        {"--temperature", "T", "0 is the most likely text, 2 the wildest"},

static const struct mr_opt generate_opts[] = {
    COMMON_OPTS{"--raw", NULL, "send the prompt as it is, without the model's chat template"},
    {"--seed", "N", "the same text again for the same seed"},
    {NULL, NULL, NULL},
};
const struct mr_spec mr_generate_spec = {
    .verb = "generate",
    .usage = "PROMPT|@FILE|- [options]",
    .about = "Text from a language model, printed as it is written.",
    .opts = generate_opts,
    .net = true,
};

static const struct mr_opt chat_opts[] = {
    COMMON_OPTS{"--system", "TEXT", "how the model should behave"},
    {"--message", "TEXT", "ask this one thing and end"},
    {"--history", "FILE", "keep the conversation in this file and go on with it"},
    {NULL, NULL, NULL},
};
const struct mr_spec mr_chat_spec = {
    .verb = "chat",
    .usage = "[options]",
    .about =
        "A conversation with a language model. An empty line or Ctrl-D ends it; /reset forgets\n"
        "what was said.",
    .opts = chat_opts,
    .net = true,
};

/* Members that both verbs send; seed < 0: none. */
static int add_common(const struct mr_args *a, int64_t seed, struct mr_buf *b) {
    const char *model = mr_args_get(a, "--model"), *heat = mr_args_get(a, "--temperature");
    const char *adapter = mr_args_get(a, "--adapter");
    int64_t tokens;
    double t;
    if (!mr_args_int(a, "--max-tokens", 1, 1 << 24, 0, &tokens))
        return 2;
    if (heat && (!mr_f64_parse(mr_str(heat), &t) || !(t >= 0 && t <= 2)))
        return mr_args_wrong(a, "--temperature must be 0 to 2");
    if (model) {
        mr_buf_cstr(b, ",\"model\":");
        mr_buf_json(b, mr_str(model));
    }
    if (tokens)
        mr_buf_fmt(b, ",\"max_tokens\":%lld", (long long)tokens);
    if (heat)
        mr_buf_fmt(b, ",\"temperature\":%s", heat);
    if (adapter || seed >= 0)
        mr_buf_cstr(b, ",\"parameters\":{");
    if (adapter) {
        mr_buf_cstr(b, "\"adapter\":");
        mr_buf_json(b, mr_str(adapter));
    }
    if (seed >= 0)
        mr_buf_fmt(b, "%s\"seed\":%lld", adapter ? "," : "", (long long)seed);
    if (adapter || seed >= 0)
        mr_buf_char(b, '}');
    return 0;
}

/* --- streams ------------------------------------------------------------------------------ */

struct show {
    struct mr_buf said; /* the whole answer */
    struct mr_err err;
};

static struct mr_str delta_of(yyjson_val *event) {
    yyjson_val *choice = yyjson_arr_get_first(yyjson_obj_get(event, "choices"));
    yyjson_val *d = choice ? yyjson_obj_get(yyjson_obj_get(choice, "delta"), "content")
                           : yyjson_obj_get(event, "delta");
    return mr_strn(yyjson_get_str(d), yyjson_get_len(d));
}

static int on_event(void *arg, struct mr_str data) {
    struct show *s = arg;
    yyjson_doc *doc = yyjson_read(data.p, data.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *err = yyjson_obj_get(root, "error");
    const char *said = yyjson_get_str(yyjson_obj_get(err, "message"));
    int rc = 0;
    if (!doc)
        rc = mr_fail(&s->err, MR_EIO, "the stream holds something that is not JSON");
    else if (err)
        rc = mr_fail(&s->err, MR_EPREDICT, "%.400s", said ? said : "the model failed");
    else {
        struct mr_str d = delta_of(root);
        mr_buf_str(&s->said, d);
        fwrite(d.p ? d.p : "", 1, d.n, stdout);
        fflush(stdout);
    }
    yyjson_doc_free(doc);
    return rc;
}

/* Shows the answer as it comes. The exit status. */
static int stream(struct mr_client *c, const struct mr_args *a, const char *path,
                  const struct mr_buf *body, struct mr_buf *ret_said) {
    struct show s = {.err = {0}};
    struct mr_reply r;
    struct mr_err e = {0};
    int status = 0;
    mr_buf_init(&s.said, HISTORY_MAX);
    int rc = mr_client_stream(c, path, mr_buf_view(body), on_event, &s, &r, &e);
    if (s.said.n)
        putchar('\n');
    if (rc)
        status = s.err.code ? mr_args_failed(a, &s.err) : mr_reply_failed(a, &r, &e);
    else if (ret_said)
        mr_buf_str(ret_said, mr_buf_view(&s.said));
    mr_reply_release(&r);
    mr_buf_release(&s.said);
    return status;
}

/* --- generate ----------------------------------------------------------------------------- */

static int generate(struct mr_client *c, const struct mr_args *a) {
    MR_CLEANUP(mr_buf_release) struct mr_buf prompt, body;
    struct mr_err e = {0};
    int64_t seed;
    mr_buf_init(&prompt, TEXT_MAX);
    mr_buf_init(&body, 2 * TEXT_MAX);
    if (mr_cli_read_input(a->pos[0], &prompt, &e))
        return mr_args_failed(a, &e);
    if (!mr_args_int(a, "--seed", 0, INT32_MAX, -1, &seed))
        return 2;
    mr_buf_cstr(&body, "{\"prompt\":");
    mr_buf_json(&body, mr_buf_view(&prompt));
    int status = add_common(a, seed, &body);
    if (status)
        return status;
    if (mr_args_get(a, "--raw"))
        mr_buf_cstr(&body, ",\"raw\":true");
    if (!a->json)
        mr_buf_cstr(&body, ",\"stream\":true");
    mr_buf_char(&body, '}');
    if (!mr_buf_ok(&body))
        return mr_args_wrong(a, "the prompt is too large");
    if (!a->json)
        return stream(c, a, "/api/v2/ai/llm/generate", &body, NULL);
    struct mr_reply r;
    if (mr_client_call(c, "POST", "/api/v2/ai/llm/generate", mr_buf_view(&body), &r, &e))
        status = mr_reply_failed(a, &r, &e);
    else
        mr_reply_print(&r);
    mr_reply_release(&r);
    return status;
}

int mr_cli_generate(int argc, char **argv) {
    struct mr_args a;
    struct mr_client c;
    struct mr_err e = {0};
    int status;
    if (mr_args_parse(&a, &mr_generate_spec, argc, argv, &status))
        return status;
    if (a.n_pos != 1)
        return mr_args_wrong(&a, "one prompt is needed (in quotes)");
    int rc = mr_client_open(&c, &a, &e);
    status = rc ? (mr_args_failed(&a, &e), 2) : generate(&c, &a);
    mr_client_release(&c);
    return status;
}

/* --- chat --------------------------------------------------------------------------------- */

/* The conversation so far: messages as JSON objects with commas between. */
struct talk {
    struct mr_client *c;
    const struct mr_args *a;
    const char *file; /* or NULL */
    struct mr_buf messages;
};

static void add_message(struct talk *t, const char *role, struct mr_str text) {
    mr_buf_fmt(&t->messages, "%s{\"role\":\"%s\",\"content\":", t->messages.n ? "," : "", role);
    mr_buf_json(&t->messages, text);
    mr_buf_char(&t->messages, '}');
}

static void begin(struct talk *t) {
    const char *system = mr_args_get(t->a, "--system");
    t->messages.n = 0;
    if (system)
        add_message(t, "system", mr_str(system));
}

/* Without blanks and line breaks at its ends. */
static struct mr_str bare(struct mr_str s) {
    while (s.n && (unsigned char)s.p[0] <= ' ')
        s.p++, s.n--;
    while (s.n && (unsigned char)s.p[s.n - 1] <= ' ')
        s.n--;
    return s;
}

/* A file of one JSON array; none yet: a new conversation. */
static int load(struct talk *t, struct mr_err *e) {
    MR_CLEANUP(mr_buf_release) struct mr_buf b;
    char at[4096];
    mr_buf_init(&b, HISTORY_MAX);
    if (!t->file || access(t->file, F_OK))
        return 0;
    snprintf(at, sizeof at, "@%s", t->file);
    int rc = mr_cli_read_input(at, &b, e);
    if (rc)
        return rc;
    struct mr_str s = bare(mr_buf_view(&b));
    yyjson_doc *doc = yyjson_read(s.p ? s.p : "", s.n, 0);
    bool good = yyjson_is_arr(yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    if (!good)
        return mr_fail(e, MR_EINVAL, "%s holds no conversation", t->file);
    t->messages.n = 0;
    mr_buf_str(&t->messages, bare(mr_strn(s.p + 1, s.n - 2)));
    return mr_buf_ok(&t->messages) ? 0 : mr_fail(e, MR_ETOOBIG, "%s is too large", t->file);
}

/* Whole or not at all: written beside, then renamed. */
static int save(const struct talk *t, struct mr_err *e) {
    char next[4096];
    if (!t->file)
        return 0;
    snprintf(next, sizeof next, "%s.new", t->file);
    FILE *f = fopen(next, "we");
    if (!f)
        return mr_fail_errno(e, next);
    fprintf(f, "[%.*s]\n", (int)t->messages.n, t->messages.p ? t->messages.p : "");
    if (fclose(f) || rename(next, t->file))
        return mr_fail_errno(e, t->file);
    return 0;
}

/* One question and its answer; a failed one is forgotten. */
static int ask(struct talk *t, struct mr_str text) {
    MR_CLEANUP(mr_buf_release) struct mr_buf body, said;
    struct mr_err e = {0};
    size_t before = t->messages.n;
    mr_buf_init(&body, HISTORY_MAX + 65536);
    mr_buf_init(&said, HISTORY_MAX);
    add_message(t, "user", text);
    mr_buf_cstr(&body, "{\"messages\":[");
    mr_buf_str(&body, mr_buf_view(&t->messages));
    mr_buf_char(&body, ']');
    int status = add_common(t->a, -1, &body);
    mr_buf_cstr(&body, ",\"stream\":true}");
    if (!status && !mr_buf_ok(&body))
        status = mr_args_wrong(t->a, "the conversation is too large: /reset begins a new one");
    if (!status)
        status = stream(t->c, t->a, "/api/v2/ai/llm/chat", &body, &said);
    if (status) {
        t->messages.n = before;
        return status;
    }
    add_message(t, "assistant", mr_buf_view(&said));
    return save(t, &e) ? mr_args_failed(t->a, &e) : 0;
}

static int converse(struct talk *t) {
    bool person = isatty(STDIN_FILENO);
    char *line = NULL;
    size_t cap = 0;
    int status = 0;
    if (person)
        fprintf(stderr, "An empty line ends the conversation, /reset begins a new one.\n");
    for (;;) {
        if (person)
            fputs("> ", stderr);
        ssize_t n = getline(&line, &cap, stdin);
        struct mr_str text = bare(mr_strn(line, n > 0 ? (size_t)n : 0));
        if (n <= 0 || !text.n)
            break;
        if (mr_str_is(text, "/reset"))
            begin(t);
        else
            status = ask(t, text);
        if (status && !person)
            break; /* a person may try again */
    }
    free(line); /* getline's own malloc */
    return person ? 0 : status;
}

int mr_cli_chat(int argc, char **argv) {
    struct mr_args a;
    struct mr_client c;
    struct mr_err e = {0};
    int status;
    if (mr_args_parse(&a, &mr_chat_spec, argc, argv, &status))
        return status;
    if (a.n_pos)
        return mr_args_wrong(&a, "chat takes no arguments: --message TEXT asks one thing");
    if (mr_client_open(&c, &a, &e)) {
        mr_client_release(&c);
        return mr_args_failed(&a, &e), 2;
    }
    struct talk t = {.c = &c, .a = &a, .file = mr_args_get(&a, "--history")};
    const char *one = mr_args_get(&a, "--message");
    mr_buf_init(&t.messages, HISTORY_MAX);
    begin(&t);
    if (load(&t, &e))
        status = mr_args_failed(&a, &e);
    else
        status = one ? ask(&t, mr_str(one)) : converse(&t);
    mr_buf_release(&t.messages);
    mr_client_release(&c);
    return status;
}
