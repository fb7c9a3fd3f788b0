/* Loading at first use, waiting together, failing and trying again, unloading, stopping services,
 * making room. The models are doubles whose opening the test controls. */
#include "base/clock.h"
#include "core/catalog/catalog_priv.h"
#include "core/catalog/drivers.h"
#include "mr_test.h"
#include "mr_tmp.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

static struct mr_tmp tmp;
static struct mr_err err;
static struct mr_catalog *catalog;
static atomic_int opened, closed, fail_next, hold, loaded_told, stop_told;

static int open_double(const struct mr_catalog_model *m, const struct mr_residency_config *c,
                       void **ret, struct mr_err *e) {
    (void)c;
    atomic_fetch_add(&opened, 1);
    while (atomic_load(&hold))
        usleep(1000);
    int fail = atomic_exchange(&fail_next, 0);
    if (fail)
        return fail == 1 ? mr_fail(e, MR_EREFUSED, "the file is damaged")
                         : mr_fail(e, MR_EUNAVAIL, "its process was killed");
    *ret = (void *)m;
    return 0;
}
static void close_double(void *handle) {
    (void)handle;
    atomic_fetch_add(&closed, 1);
}
static uint64_t memory_double(void *handle) {
    (void)handle;
    return 100;
}
static void told(void *arg, const struct mr_catalog_model *m) {
    (void)arg, (void)m;
    atomic_fetch_add(&loaded_told, 1);
}
static void told_stop(void *arg, enum mr_service s, const struct mr_catalog_model *m) {
    (void)arg, (void)s, (void)m;
    atomic_fetch_add(&stop_told, 1);
}

static const struct mr_model_driver doubles[MR_KIND_N] = {
    [MR_KIND_LLM] = {open_double, close_double, memory_double, NULL, NULL},
    [MR_KIND_OCR] = {open_double, close_double, memory_double, NULL, NULL},
};

static struct mr_residency *make(uint64_t memory_max) {
    struct mr_residency *r = NULL;
    atomic_store(&opened, 0);
    atomic_store(&closed, 0);
    atomic_store(&loaded_told, 0);
    atomic_store(&stop_told, 0);
    CHECK_INT(mr_residency_new(&(struct mr_residency_config){.catalog = catalog,
                                                             .memory_max = memory_max,
                                                             .drivers = doubles},
                               &r, &err),
              0);
    mr_residency_hook(r, &(struct mr_residency_hooks){.on_loaded = told, .on_stop = told_stop});
    return r;
}

static int begin(struct mr_residency *r, const char *name, struct mr_use *u) {
    err = (struct mr_err){0};
    return mr_use_begin(r, mr_str(name), MR_KIND_N, u, &err);
}

static struct mr_model_stats stats(struct mr_residency *r, const char *id) {
    const struct mr_catalog_model *m = NULL;
    struct mr_model_stats s = {0};
    if (!mr_catalog_find(catalog, mr_str(id), MR_KIND_N, &m, &err))
        mr_model_stats(r, m, &s);
    return s;
}

static const struct mr_catalog_model *model(const char *id) {
    const struct mr_catalog_model *m = NULL;
    mr_catalog_find(catalog, mr_str(id), MR_KIND_N, &m, &err);
    return m;
}

struct user {
    struct mr_residency *r;
    int rc;
};
static void *use_a(void *arg) {
    struct user *x = arg;
    struct mr_use u = {0};
    struct mr_err e;
    x->rc = mr_use_begin(x->r, MR_LIT("a"), MR_KIND_N, &u, &e);
    mr_use_end(&u, true);
    return NULL;
}

static int run_users(struct mr_residency *r, int n, int want) {
    pthread_t t[8];
    struct user x[8];
    int right = 0;
    atomic_store(&hold, 1);
    for (int i = 0; i < n; i++) {
        x[i] = (struct user){r, 99};
        pthread_create(&t[i], NULL, use_a, &x[i]);
    }
    while (!atomic_load(&opened))
        usleep(1000);
    struct mr_service_stats s = {0};
    while (s.queue < (uint64_t)n) /* all of them wait */
        mr_service_stats(r, MR_SERVICE_LLM, &s);
    atomic_store(&hold, 0);
    for (int i = 0; i < n; i++) {
        pthread_join(t[i], NULL);
        right += x[i].rc == want;
    }
    return right;
}

MR_TEST(users_wait_for_one_load) {
    struct mr_residency *r = make(0);
    CHECK_INT(run_users(r, 8, 0), 8);
    CHECK_INT(atomic_load(&opened), 1);
    CHECK_INT(atomic_load(&loaded_told), 1);
    struct mr_model_stats s = stats(r, "a");
    CHECK_INT(s.state, MR_MODEL_LOADED);
    CHECK_INT(s.requests, 8);
    CHECK_INT(s.last_hour, 8);
    CHECK_INT(s.memory, 100);
    mr_residency_free(r);
    CHECK_INT(atomic_load(&closed), 1);
}

MR_TEST(a_failed_load_fails_all_that_wait_and_is_tried_again) {
    struct mr_residency *r = make(0);
    atomic_store(&fail_next, 1);
    CHECK_INT(run_users(r, 4, MR_ENOTLOADED), 4);
    CHECK_INT(atomic_load(&opened), 1);
    CHECK_INT(stats(r, "a").state, MR_MODEL_FAILED);
    CHECK_STR(stats(r, "a").error, "the file is damaged");
    struct mr_use u;
    CHECK_INT(begin(r, "a", &u), 0);
    mr_use_end(&u, false);
    CHECK_INT(stats(r, "a").failures, 1);
    mr_residency_free(r);
}

MR_TEST(what_passes_is_no_fault_of_the_model) {
    struct mr_residency *r = make(0);
    struct mr_use u;
    atomic_store(&fail_next, 2);
    CHECK_INT(begin(r, "a", &u), MR_EUNAVAIL);
    CHECK_STR(err.msg, "its process was killed");
    CHECK_INT(begin(r, "a", &u), 0);
    mr_use_end(&u, true);
    mr_residency_free(r);
}

static atomic_int unloaded;

static void *unload_a(void *arg) {
    struct mr_err e;
    int rc = mr_model_unload(arg, model("a"), &e);
    atomic_store(&unloaded, 1);
    return rc ? arg : NULL;
}

MR_TEST(an_unload_waits_for_the_last_user) {
    struct mr_residency *r = make(0);
    struct mr_use u, v;
    pthread_t t;
    void *bad;
    CHECK_INT(begin(r, "a", &u), 0);
    CHECK_INT(begin(r, "a", &v), 0);
    pthread_create(&t, NULL, unload_a, r);
    while (!atomic_load(&stop_told)) /* it has begun */
        usleep(500);
    mr_use_end(&u, true);
    usleep(20000);
    CHECK_INT(atomic_load(&unloaded), 0);
    CHECK_INT(atomic_load(&closed), 0);
    mr_use_end(&v, true);
    pthread_join(t, &bad);
    CHECK(!bad);
    CHECK_INT(atomic_load(&closed), 1);
    CHECK_INT(stats(r, "a").state, MR_MODEL_UNLOADED);
    mr_residency_free(r);
}

MR_TEST(unloaded_by_hand_stays_unloaded) {
    struct mr_residency *r = make(0);
    struct mr_use u;
    CHECK_INT(begin(r, "a", &u), 0);
    mr_use_end(&u, true);
    CHECK_INT(mr_model_unload(r, model("a"), &err), 0);
    CHECK_INT(atomic_load(&stop_told), 1);
    CHECK_INT(atomic_load(&closed), 1);
    CHECK_INT(begin(r, "a", &u), MR_ENOTLOADED);
    CHECK(strstr(err.msg, "unloaded") != NULL);
    CHECK_INT(mr_model_load(r, model("a"), false, &err), 0);
    CHECK_INT(begin(r, "a", &u), 0); /* waits for the load */
    CHECK_INT(atomic_load(&opened), 2);
    CHECK_INT(mr_model_load(r, model("a"), false, &err), 0); /* is loaded: nothing happens */
    CHECK_INT(atomic_load(&opened), 2);
    mr_use_end(&u, true);
    CHECK_INT(mr_model_load(r, model("a"), true, &err), 0);
    CHECK_INT(begin(r, "a", &u), 0);
    CHECK_INT(atomic_load(&opened), 3);
    mr_use_end(&u, true);
    mr_residency_free(r);
    CHECK_INT(atomic_load(&closed), 3);
}

MR_TEST(a_stopped_service_refuses_and_holds_nothing) {
    struct mr_residency *r = make(0);
    struct mr_use u;
    struct mr_service_stats s;
    CHECK_INT(begin(r, "a", &u), 0);
    CHECK_INT(mr_service_stop(r, MR_SERVICE_LLM, &err), 0);
    struct mr_use other;
    CHECK_INT(begin(r, "a", &other), MR_EUNAVAIL);
    CHECK_INT(mr_model_load(r, model("a"), false, &err), MR_EUNAVAIL);
    CHECK_INT(begin(r, "ocr", &other), 0); /* another service goes on */
    mr_use_end(&other, true);
    CHECK_INT(atomic_load(&closed), 0);
    mr_use_end(&u, true);
    do
        mr_service_stats(r, MR_SERVICE_LLM, &s);
    while (s.models_loaded);
    CHECK(!s.running);
    CHECK_INT(mr_model_load(r, model("a"), false, &err), MR_EUNAVAIL);
    CHECK_INT(mr_service_start(r, MR_SERVICE_LLM, &err), 0);
    CHECK_INT(begin(r, "a", &u), 0);
    mr_use_end(&u, true);
    mr_service_stats(r, MR_SERVICE_LLM, &s);
    CHECK_INT(s.ok, 2);
    mr_residency_free(r);
}

MR_TEST(idle_models_make_room) {
    struct mr_residency *r = make(250); /* two of 100 */
    struct mr_use a, b;
    CHECK_INT(begin(r, "a", &a), 0);
    CHECK_INT(begin(r, "b", &b), 0);
    mr_use_end(&b, true);
    mr_use_end(&a, true); /* b is the longest idle */
    CHECK_INT(begin(r, "big", &b), 0);
    CHECK_INT(stats(r, "b").state, MR_MODEL_AVAILABLE);
    CHECK_INT(stats(r, "a").state, MR_MODEL_LOADED);
    CHECK_INT(begin(r, "a", &a), 0);
    struct mr_use c;
    CHECK_INT(begin(r, "b", &c), MR_ENOTLOADED); /* both are in use */
    CHECK(strstr(err.msg, "in use") != NULL);
    mr_use_end(&a, true);
    mr_use_end(&b, true);
    mr_residency_free(r);
}

MR_TEST(what_is_not_installed_says_how_to_get_it) {
    struct mr_residency *r = make(0);
    struct mr_use u;
    CHECK_INT(begin(r, "absent", &u), MR_ENOTLOADED);
    CHECK(strstr(err.msg, "millrace models pull absent") != NULL);
    CHECK_INT(stats(r, "absent").state, MR_MODEL_ABSENT);
    CHECK_INT(begin(r, "nobody", &u), MR_ENOTFOUND);
    CHECK_INT(atomic_load(&opened), 0);
    mr_residency_free(r);
}

static void put(const char *path, const char *text, size_t size) {
    char full[300];
    FILE *f = fopen(mr_tmp_path(&tmp, path, full), "w");
    if (!f || fputs(text, f) < 0 || fflush(f) || (size && ftruncate(fileno(f), (off_t)size)) ||
        fclose(f))
        exit(2);
}

MR_TEST(set_up) {
    static const char text[] =
        "[[model]]\nid = \"a\"\nkind = \"language_model\"\npath = \"a.gguf\"\n"
        "[[model]]\nid = \"b\"\nkind = \"language_model\"\npath = \"b.gguf\"\n"
        "[[model]]\nid = \"big\"\nkind = \"language_model\"\npath = \"big.gguf\"\n"
        "[[model]]\nid = \"ocr\"\nkind = \"text_reader\"\npath = \"b.gguf\"\n"
        "[[model]]\nid = \"absent\"\nkind = \"language_model\"\npath = \"absent.gguf\"\n";
    char data[300];
    mr_tmp_make(&tmp);
    mkdir(mr_tmp_path(&tmp, "models", data), 0700);
    put("models/own.toml", text, 0);
    put("models/a.gguf", "x", 10);
    put("models/b.gguf", "x", 10);
    put("models/big.gguf", "x", 90);
    CHECK_INT(
        mr_catalog_open(&(struct mr_catalog_config){.models_dir = tmp.dir, .data_dir = tmp.dir},
                        &catalog, &err),
        0);
}

MR_TEST(tear_down) {
    mr_catalog_free(catalog);
    mr_tmp_remove(&tmp);
}

MR_TEST_MAIN(CASE(set_up), CASE(users_wait_for_one_load),
             CASE(a_failed_load_fails_all_that_wait_and_is_tried_again),
             CASE(unloaded_by_hand_stays_unloaded), CASE(what_passes_is_no_fault_of_the_model),
             CASE(an_unload_waits_for_the_last_user),
             CASE(a_stopped_service_refuses_and_holds_nothing), CASE(idle_models_make_room),
             CASE(what_is_not_installed_says_how_to_get_it), CASE(tear_down))
