/* The wire of model providers: bodies, replies, errors in each known shape, stream events. */
#include "base/buf.h"
#include "engine/provider/provider.h"
#include "mr_test.h"

static struct mr_arena arena;

static void fresh(void) {
    mr_arena_release(&arena);
    mr_arena_init(&arena, 1 << 20);
}

#define CHECK_TEXT(got, want)                                                                      \
    do {                                                                                           \
        char text_[2048];                                                                          \
        struct mr_str s_ = (got);                                                                  \
        snprintf(text_, sizeof text_, "%.*s", (int)s_.n, s_.p ? s_.p : "(absent)");                \
        CHECK_STR(text_, want);                                                                    \
    } while (0)

MR_TEST(bodies_differ_by_dialect) {
    struct mr_buf b;
    mr_buf_init(&b, 4096);
    struct mr_chat_body q = {.model = MR_LIT("m"),
                             .prompt = MR_LIT("a\"\xff"),
                             .max_tokens = 7,
                             .temperature = (double)NAN,
                             .stream = true};
    static const char *const want[] = {
        "\"max_completion_tokens\":7,\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
        "\"max_tokens\":7,\"stream\":true}",
        "\"max_tokens\":7,\"stream\":true,\"stream_options\":{\"include_usage\":true}}"};
    for (int d = 0; d < 3; d++) {
        char all[512];
        snprintf(all, sizeof all,
                 "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\\\"\xEF\xBF\xBD"
                 "\"}],%s",
                 want[d]);
        mr_buf_clear(&b);
        mr_provider_chat_body((enum mr_dialect)d, &q, &b);
        CHECK_STR(b.p, all);
    }
    mr_buf_clear(&b);
    mr_provider_chat_body(
        MR_DIALECT_OPENAI,
        &(struct mr_chat_body){.model = MR_LIT("m"), .messages_json = MR_LIT("[1]")}, &b);
    CHECK_STR(b.p, "{\"model\":\"m\",\"messages\":[1],\"temperature\":0.0}");
    mr_buf_release(&b);
}

MR_TEST(more_members_go_along_in_the_dialect_s_words) {
    struct mr_buf b;
    mr_buf_init(&b, 4096);
    struct mr_chat_body q = {.model = MR_LIT("m"),
                             .messages_json = MR_LIT("[]"),
                             .temperature = (double)NAN,
                             .extra_json = MR_LIT("\"seed\":7,\"tool_choice\":\"required\"")};
    mr_provider_chat_body(MR_DIALECT_OPENAI, &q, &b);
    CHECK_STR(b.p, "{\"model\":\"m\",\"messages\":[],\"seed\":7,\"tool_choice\":\"required\"}");
    mr_buf_clear(&b);
    mr_provider_chat_body(MR_DIALECT_MISTRAL, &q, &b);
    CHECK_STR(b.p, "{\"model\":\"m\",\"messages\":[],\"random_seed\":7,\"tool_choice\":\"any\"}");
    mr_buf_release(&b);
}

static int reply(const char *body, struct mr_chat_reply *r, struct mr_err *e) {
    fresh();
    return mr_provider_reply(mr_str(body), &arena, r, e);
}

MR_TEST(a_reply_has_text_model_reason_and_counts) {
    struct mr_chat_reply r;
    struct mr_err e;
    CHECK_INT(
        reply("{\"id\":\"i\",\"model\":\"m-1\",\"choices\":[{\"message\":{\"content\":\"hey\"},"
              "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,"
              "\"completion_tokens\":2,\"total_tokens\":11,\"prompt_tokens_details\":{"
              "\"cached_tokens\":4,\"cache_write_tokens\":5}}}",
              &r, &e),
        0);
    CHECK_TEXT(r.text, "hey");
    CHECK_TEXT(r.model, "m-1");
    CHECK_TEXT(r.id, "i");
    CHECK_TEXT(r.finish_reason, "stop");
    CHECK(r.usage.present);
    CHECK_INT(r.usage.input, 9);
    CHECK_INT(r.usage.cached, 4);
    CHECK_INT(r.usage.cache_write, 5);
    CHECK_INT(r.usage.output, 2);
    CHECK_INT(reply("{\"choices\":[{\"message\":{\"content\":null,\"refusal\":\"no\"}}]}", &r, &e),
              0);
    CHECK_TEXT(r.text, "no");
    CHECK_INT(
        reply("{\"choices\":[{\"message\":{\"content\":[{\"type\":\"thinking\",\"text\":\"z\"},"
              "{\"type\":\"text\",\"text\":\"a\"},\"b\"]}}]}",
              &r, &e),
        0);
    CHECK_TEXT(r.text, "ab");
    CHECK_TEXT(r.finish_reason, "");
    CHECK_INT(reply("{\"choices\":[{\"message\":{\"content\":\"\xc3(\"}}]}", &r, &e), 0);
    CHECK_TEXT(r.text, "\xEF\xBF\xBD(");
    CHECK_INT(reply("{\"choices\":[{\"message\":{\"content\":\"\\\\ud800 \\ud83d\\ude00 "
                    "\\ud800x\\udc00\"}}]}",
                    &r, &e),
              0);
    CHECK_TEXT(r.text, "\\ud800 \xF0\x9F\x98\x80 \xEF\xBF\xBDx\xEF\xBF\xBD");
}

MR_TEST(counts_that_cannot_be_right_are_absent) {
    static const char *const usages[] = {
        "null",
        "[]",
        "{}",
        "{\"prompt_tokens\":1}",
        "{\"completion_tokens\":1}",
        "{\"prompt_tokens\":-1,\"completion_tokens\":1}",
        "{\"prompt_tokens\":1.5,\"completion_tokens\":1}",
        "{\"prompt_tokens\":\"1\",\"completion_tokens\":1}",
        "{\"prompt_tokens\":true,\"completion_tokens\":1}",
        "{\"prompt_tokens\":1e30,\"completion_tokens\":1}",
        "{\"prompt_tokens\":18446744073709551615,\"completion_tokens\":1}",
        "{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":3}",
        "{\"prompt_tokens\":1,\"completion_tokens\":1,\"prompt_tokens_details\":{\"cached_tokens\":"
        "2}}",
        "{\"prompt_tokens\":2,\"completion_tokens\":1,\"prompt_tokens_details\":{\"cached_tokens\":"
        "-1}}"};
    for (size_t i = 0; i < sizeof usages / sizeof *usages; i++) {
        char body[512];
        struct mr_chat_reply r;
        struct mr_err e;
        snprintf(body, sizeof body,
                 "{\"choices\":[{\"message\":{\"content\":\"x\"}}],\"usage\":%s}", usages[i]);
        CHECK_INT(reply(body, &r, &e), 0);
        if (r.usage.present)
            fprintf(stderr, "taken: %s\n", usages[i]);
        CHECK(!r.usage.present);
        CHECK_INT(r.usage.input + r.usage.output, 0);
    }
    struct mr_chat_reply r;
    struct mr_err e;
    CHECK_INT(reply("{\"choices\":[{\"message\":{}}],\"usage\":{\"prompt_tokens\":5.0,"
                    "\"completion_tokens\":0,\"prompt_tokens_details\":null}}",
                    &r, &e),
              0);
    CHECK(r.usage.present && r.usage.input == 5);
}

MR_TEST(what_is_no_reply_is_refused_with_a_reason) {
    static const struct {
        const char *body, *msg;
    } rows[] = {{"", "empty"},
                {"<html>", "not JSON"},
                {"{\"choices\":", "not JSON"},
                {"[]", "no \"choices\""},
                {"{}", "no \"choices\""},
                {"{\"choices\":{}}", "no \"choices\""},
                {"{\"choices\":[]}", "no message"},
                {"{\"choices\":[{\"message\":3}]}", "no message"},
                {"{\"choices\":[{\"message\":{\"content\":3}}]}", "neither text nor parts"},
                {"{\"error\":{\"message\":\"model is loading\"}}", "model is loading"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mr_chat_reply r;
        struct mr_err e = {0};
        CHECK_INT(reply(rows[i].body, &r, &e), MR_EINVAL);
        if (!strstr(e.msg, rows[i].msg))
            fprintf(stderr, "%s: %s\n", rows[i].body, e.msg);
        CHECK(strstr(e.msg, rows[i].msg) != NULL);
    }
}

MR_TEST(errors_of_every_shape_are_told_apart) {
    static const struct {
        int status;
        const char *body;
        enum mr_failure want;
        const char *msg;
    } rows[] = {
        {429, "{\"error\":{\"message\":\"slow down\",\"code\":\"rate_limit_exceeded\"}}",
         MR_FAIL_RETRY, "slow down"},
        {429, "{\"error\":{\"message\":\"pay\",\"code\":\"insufficient_quota\"}}", MR_FAIL_QUOTA,
         "pay"},
        {429, "{\"error\":{\"message\":\"pay\",\"type\":\"insufficient_quota\",\"code\":null}}",
         MR_FAIL_QUOTA, "pay"},
        {429,
         "{\"object\":\"error\",\"message\":\"Rate limit exceeded\",\"type\":\"rate_limited\","
         "\"param\":null,\"code\":\"1300\",\"raw_status_code\":429}",
         MR_FAIL_RETRY, "Rate limit exceeded"},
        {429, "{\"message\":\"Requests rate limit exceeded\"}", MR_FAIL_RETRY,
         "Requests rate limit exceeded"},
        {429, "rate\x01 limited\n", MR_FAIL_RETRY, "rate limited"},
        {429, "", MR_FAIL_RETRY, "HTTP status 429"},
        {402, "{}", MR_FAIL_QUOTA, "HTTP status 402"},
        {401, "{\"detail\":\"Unauthorized\"}", MR_FAIL_AUTH, "Unauthorized"},
        {401, "{\"error\":{\"message\":\"Incorrect API key provided: sk-abc**xyz. See x\"}}",
         MR_FAIL_AUTH, "Incorrect API key provided: *** See x"},
        {403, "", MR_FAIL_AUTH, "HTTP status 403"},
        {404, "{\"error\":\"model 'x' not found\"}", MR_FAIL_REQUEST, "model 'x' not found"},
        {422,
         "{\"detail\":[{\"loc\":[\"body\",\"messages\",0],\"msg\":\"bad\",\"type\":\"t\"},"
         "{\"loc\":[],\"msg\":\"worse\"}]}",
         MR_FAIL_REQUEST, "bad (body.messages.0); worse"},
        {422,
         "{\"object\":\"error\",\"message\":{\"detail\":[{\"loc\":[\"body\",\"n\"],\"msg\":"
         "\"extra\"}]}}",
         MR_FAIL_REQUEST, "extra (body.n)"},
        {400, "[1,2]", MR_FAIL_REQUEST, "[1,2]"},
        {400, "{\"error\":[[[]]],\"message\":{},\"detail\":7}", MR_FAIL_REQUEST, "HTTP status 400"},
        {408, "", MR_FAIL_RETRY, "HTTP status 408"},
        {500, "null", MR_FAIL_RETRY, "null"},
        {502, "<html><head><TITLE>502 Bad\nGateway</title></head>", MR_FAIL_RETRY,
         "502 Bad Gateway"},
        {503, "<h1>no title</h1>", MR_FAIL_RETRY, "HTTP status 503"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mr_str msg;
        fresh();
        CHECK_INT(mr_provider_error(rows[i].status, mr_str(rows[i].body), &arena, &msg),
                  rows[i].want);
        CHECK_TEXT(msg, rows[i].msg);
    }
}

MR_TEST(reasons_are_cut_and_clean) {
    static char body[20000];
    size_t n = 0;
    n += (size_t)snprintf(body, sizeof body, "{\"message\":\"");
    for (int i = 0; i < 3000; i++) {
        memcpy(body + n, "\xE2\x82\xAC", 3);
        n += 3;
    }
    memcpy(body + n, "\"}", 3);
    struct mr_str msg;
    fresh();
    mr_provider_error(500, mr_str(body), &arena, &msg);
    CHECK_INT(msg.n, 1200); /* 400 code points */
    CHECK(mr_utf8_valid(msg));
    fresh();
    mr_provider_error(500, MR_LIT("bad \xff\xfe bytes ** **"), &arena, &msg);
    CHECK_TEXT(msg, "bad \xEF\xBF\xBD\xEF\xBF\xBD bytes ** **");
}

static int event(const char *data, struct mr_chat_event *ev, struct mr_err *e) {
    fresh();
    return mr_provider_event(mr_str(data), &arena, ev, e);
}

MR_TEST(tool_calls_and_logprobs_come_as_they_were_sent) {
    struct mr_chat_reply r;
    struct mr_chat_event ev;
    struct mr_err e;
    CHECK_INT(reply("{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":[{\"id\":\"c\","
                    "\"function\":{\"name\":\"f\"}}]},\"logprobs\":{\"content\":[{\"token\":\"a\"},"
                    "{\"token\":\"b\"}]},\"finish_reason\":\"tool_calls\"}]}",
                    &r, &e),
              0);
    CHECK_TEXT(r.tool_calls_json, "[{\"id\":\"c\",\"function\":{\"name\":\"f\"}}]");
    CHECK_TEXT(r.logprobs_json, "{\"token\":\"a\"},{\"token\":\"b\"}");
    CHECK_TEXT(r.text, "");
    CHECK_INT(event("{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"\xff\"}]}}]}",
                    &ev, &e),
              0);
    CHECK_TEXT(ev.tool_calls_json, "[{\"index\":0,\"id\":\"\xEF\xBF\xBD\"}]");
    CHECK_INT(event("{\"choices\":[{\"delta\":{\"tool_calls\":[]}}]}", &ev, &e), 0);
    CHECK_TEXT(ev.tool_calls_json, "");
}

MR_TEST(stream_events) {
    struct mr_chat_event ev;
    struct mr_err e;
    CHECK_INT(event("[DONE]", &ev, &e), 0);
    CHECK(ev.done);
    CHECK_INT(
        event("{\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"he\"},\"finish_reason\":"
              "null}],\"usage\":null}",
              &ev, &e),
        0);
    CHECK_TEXT(ev.delta, "he");
    CHECK_TEXT(ev.model, "m");
    CHECK(!ev.done && !ev.usage.present && ev.finish_reason.n == 0);
    CHECK_INT(
        event("{\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}", &ev, &e),
        0);
    CHECK(ev.usage.present && ev.usage.output == 2 && ev.delta.n == 0);
    CHECK_INT(
        event("{\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"stop\"}],\"usage\":"
              "{\"prompt_tokens\":1,\"completion_tokens\":3,\"total_tokens\":4}}",
              &ev, &e),
        0);
    CHECK_TEXT(ev.finish_reason, "stop");
    CHECK_INT(ev.usage.output, 3);
    CHECK_INT(
        event("{\"choices\":[{\"delta\":{\"content\":[{\"type\":\"text\",\"text\":\"p\"}]}}]}", &ev,
              &e),
        0);
    CHECK_TEXT(ev.delta, "p");
    CHECK_INT(event("{\"error\":{\"message\":\"overloaded\"}}", &ev, &e), MR_EPREDICT);
    CHECK_STR(e.msg, "overloaded");
    CHECK_INT(event("{\"hello\":1}", &ev, &e), MR_EINVAL);
    CHECK_INT(event("{\"choices\":[", &ev, &e), MR_EINVAL);
    CHECK_INT(event("7", &ev, &e), MR_EINVAL);
    CHECK_INT(event("", &ev, &e), MR_EINVAL);
}

MR_TEST(estimates) {
    CHECK_INT(mr_provider_estimate_tokens(MR_LIT("")), 0);
    CHECK_INT(mr_provider_estimate_tokens(MR_LIT("a")), 1);
    CHECK_INT(mr_provider_estimate_tokens(MR_LIT("abcdefgh")), 2);
    CHECK_INT(mr_provider_estimate_tokens(MR_LIT("\xE6\x97\xA5\xE6\x9C\xAC")),
              2); /* a character each */
    CHECK_INT(mr_provider_estimate_tokens(MR_LIT("\xD0\xB4\xD0\xB0")), 1);
    CHECK_INT(mr_provider_estimate_tokens(MR_LIT("\x80\x80")), 1); /* never 0 */
}

MR_TEST(a_small_arena_is_an_error_and_no_crash) {
    char body[4096];
    size_t n = (size_t)snprintf(body, sizeof body, "{\"choices\":[{\"message\":{\"content\":\"");
    memset(body + n, 'x', 3000);
    memcpy(body + n + 3000, "\"}}]}", 6);
    struct mr_chat_reply r;
    struct mr_err e;
    mr_arena_release(&arena);
    mr_arena_init(&arena, 512);
    CHECK_INT(mr_provider_reply(mr_str(body), &arena, &r, &e), MR_ENOMEM);
    mr_arena_release(&arena);
}

MR_TEST_MAIN(CASE(bodies_differ_by_dialect), CASE(more_members_go_along_in_the_dialect_s_words),
             CASE(tool_calls_and_logprobs_come_as_they_were_sent),
             CASE(a_reply_has_text_model_reason_and_counts),
             CASE(counts_that_cannot_be_right_are_absent),
             CASE(what_is_no_reply_is_refused_with_a_reason),
             CASE(errors_of_every_shape_are_told_apart), CASE(reasons_are_cut_and_clean),
             CASE(stream_events), CASE(estimates), CASE(a_small_arena_is_an_error_and_no_crash))
