/* Stripe-Signature: rotation, age, malformed headers; what is refused before anything is read. */
#include "stripe_events.h"

#define BODY      "{\"id\":\"evt_1\"}"
#define NOW       INT64_C(1760000000)
#define KNOWN_MAC "73d43bcf6b5d75523ff95fe8ec6f1598e21a540bac471d50c96c2187d6a98bb7"

static int verify(const char *header, const char *body, int64_t now) {
    struct mr_err e;
    return mr_stripe_verify(mr_str(SECRET), mr_str(header), mr_str(body), now, &e);
}

MR_TEST(a_known_value) {
    /* HMAC-SHA256("whsec_test_5f1c", "1760000000.{\"id\":\"evt_1\"}") as Python's hmac gives it */
    CHECK_INT(verify("t=1760000000,v1=" KNOWN_MAC, BODY, NOW), 0);
}

MR_TEST(only_300_seconds_either_way) {
    char h[200];
    sign(h, sizeof h, SECRET, NOW, BODY);
    CHECK_INT(verify(h, BODY, NOW + 300), 0);
    CHECK_INT(verify(h, BODY, NOW - 300), 0);
    CHECK_INT(verify(h, BODY, NOW + 301), MR_EINVAL);
    CHECK_INT(verify(h, BODY, NOW - 301), MR_EINVAL);
}

MR_TEST(any_v1_counts_other_schemes_do_not) {
    char good[200], other[200], h[900];
    sign(good, sizeof good, SECRET, NOW, BODY);
    sign(other, sizeof other, "whsec_other", NOW, BODY);
    const char *mac = strstr(good, "v1=") + 3, *wrong = strstr(other, "v1=") + 3;
    snprintf(h, sizeof h, "t=%lld,v1=%s,v1=%s", (long long)NOW, wrong, mac);
    CHECK_INT(verify(h, BODY, NOW), 0);
    snprintf(h, sizeof h, "t=%lld,v1=%s,v1=%s,v0=%s", (long long)NOW, mac, wrong, wrong);
    CHECK_INT(verify(h, BODY, NOW), 0);
    snprintf(h, sizeof h, " v1=%s , t=%lld", mac, (long long)NOW);
    CHECK_INT(verify(h, BODY, NOW), 0);
    snprintf(h, sizeof h, "t=%lld,v0=%s", (long long)NOW, mac);
    CHECK_INT(verify(h, BODY, NOW), MR_EINVAL);
    snprintf(h, sizeof h, "t=%lld,v1=%s", (long long)NOW, wrong);
    CHECK_INT(verify(h, BODY, NOW), MR_EINVAL);
}

MR_TEST(every_bit_of_the_signature_counts) {
    char h[200], bad[200];
    sign(h, sizeof h, SECRET, NOW, BODY);
    size_t start = (size_t)(strstr(h, "v1=") + 3 - h);
    for (size_t i = start; h[i]; i++)
        for (int bit = 0; bit < 7; bit++) {
            memcpy(bad, h, sizeof bad);
            bad[i] = (char)(bad[i] ^ (1 << bit));
            CHECK_INT(verify(bad, BODY, NOW), MR_EINVAL);
        }
    for (size_t cut = start; h[cut]; cut++) { /* a prefix is not enough */
        memcpy(bad, h, sizeof bad);
        bad[cut] = 0;
        CHECK_INT(verify(bad, BODY, NOW), MR_EINVAL);
    }
    snprintf(bad, sizeof bad, "%.150s0", h);
    CHECK_INT(verify(bad, BODY, NOW), MR_EINVAL);
    CHECK_INT(verify(h, BODY " ", NOW), MR_EINVAL);
    CHECK_INT(verify(h, "", NOW), MR_EINVAL);
}

MR_TEST(malformed_headers_are_refused) {
    static const char *const bad[] = {
        "",          ",",          "t",        "t=",     "t=,v1=",
        "t=1",       "v1=ab",      "t=x,v1=a", "=,=,=",  "t=1760000000",
        "t=-1,v1=a", "t= 1,v1=a",  "v1=,t=1",  "t=1;v1", "t=99999999999999999999,v1=a",
        "T=1,V1=a",  "t=1e9,v1=a", "v1",       "t=0x1",  "t=1760000000,v1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_INT(verify(bad[i], BODY, NOW), MR_EINVAL);
    CHECK_INT(verify(NULL, BODY, NOW), MR_EINVAL);
    char *longest = malloc(9000), *many = malloc(4000);
    memset(longest, 'a', 8999);
    longest[8999] = 0;
    CHECK_INT(verify(longest, BODY, NOW), MR_EINVAL);
    /* more signatures than are looked at */
    char h[200];
    sign(h, sizeof h, SECRET, NOW, BODY);
    int n = snprintf(many, 4000, "t=%lld", (long long)NOW);
    for (int i = 0; i < 40; i++)
        n += snprintf(many + n, 4000 - (size_t)n, ",v1=00");
    snprintf(many + n, 4000 - (size_t)n, ",%s", strstr(h, "v1="));
    CHECK_INT(verify(many, BODY, NOW), MR_EINVAL);
    free(longest);
    free(many);
}

MR_TEST(nothing_is_booked_unverified) {
    struct books b;
    struct mr_err e;
    char object[OBJECT_MAX], body[OBJECT_MAX + 600], header[200];
    books_open(&b);
    session_json(object, &(struct session_shape){.id = "cs_1",
                                                 .mode = "payment",
                                                 .payment_status = "paid",
                                                 .email = "eve@example.com",
                                                 .payment_intent = "pi_1",
                                                 .amount = 100});
    event_json(body, sizeof body, "evt_1", "checkout.session.completed", T0, object);
    sign(header, sizeof header, "whsec_guess", mr_now_us() / 1000000, body);
    CHECK_INT(mr_billing_event(b.billing, mr_str(header), mr_str(body), &e), MR_EINVAL);
    sign(header, sizeof header, SECRET, mr_now_us() / 1000000 - 400, body);
    CHECK_INT(mr_billing_event(b.billing, mr_str(header), mr_str(body), &e), MR_EINVAL);
    CHECK_INT(mr_billing_event(b.billing, (struct mr_str){0}, mr_str(body), &e), MR_EINVAL);
    CHECK_BOOKS(&b, "");
    static const char *const rubbish[] = {
        "",           "{",
        "[]",         "null",
        "{\"id\":1}", "{\"id\":\"e\",\"type\":\"t\"}",
        "\"a\"}",     "{\"id\":\"e\",\"type\":\"t\",\"data\":{}}"};
    for (size_t i = 0; i < sizeof rubbish / sizeof *rubbish; i++) {
        sign(header, sizeof header, SECRET, mr_now_us() / 1000000, rubbish[i]);
        CHECK_INT(mr_billing_event(b.billing, mr_str(header), mr_str(rubbish[i]), &e), MR_EINVAL);
    }
    /* Without a secret, or with an empty one that anybody could sign with: nothing is taken. */
    static const char *const none[] = {NULL, ""};
    for (int i = 0; i < 2; i++) {
        struct mr_billing *open = NULL;
        struct mr_billing_config c = {.db = b.db,
                                      .ledger = b.ledger,
                                      .webhook_secret = none[i],
                                      .operator_account = b.operator_};
        must_(mr_billing_open(&c, &open, &e), &e);
        sign(header, sizeof header, "", mr_now_us() / 1000000, body);
        CHECK_INT(mr_billing_event(open, mr_str(header), mr_str(body), &e), MR_EUNAVAIL);
        mr_billing_free(open);
    }
    CHECK_BOOKS(&b, "");
    books_close(&b);
}

MR_TEST_MAIN(CASE(a_known_value), CASE(only_300_seconds_either_way),
             CASE(any_v1_counts_other_schemes_do_not), CASE(every_bit_of_the_signature_counts),
             CASE(malformed_headers_are_refused), CASE(nothing_is_booked_unverified))
