#include "io/loop.h"
#include "io/pool.h"

#include "base/clock.h"

#include "mr_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MS ((int64_t)1000000)

static void *run(void *l) {
    mr_loop_run(l);
    return NULL;
}

static void stop(void *l) {
    mr_loop_stop(l);
}

/* ---- timers fire in order, also after moves and cancels ---- */

#define N_TIMERS 500
struct tm_case {
    struct mr_timer t;
    struct mr_loop *l;
    int64_t fired_ns;
};
static int64_t last_at;
static int out_of_order, early, fired;

static void on_timer(void *arg) {
    struct tm_case *c = arg;
    c->fired_ns = mr_loop_now_ns(c->l);
    fired++;
    if (c->t.at_ns < last_at)
        out_of_order++;
    if (c->fired_ns < c->t.at_ns)
        early++;
    last_at = c->t.at_ns;
}

MR_TEST(timers) {
    struct mr_loop *l = NULL;
    static struct tm_case c[N_TIMERS];
    CHECK_INT(mr_loop_new(&l, NULL), 0);
    int64_t base = mr_mono_ns() + 20 * MS;
    unsigned seed = 7;
    for (int i = 0; i < N_TIMERS; i++) {
        c[i].l = l;
        c[i].t = (struct mr_timer){.fn = on_timer, .arg = &c[i]};
        CHECK_INT(mr_loop_timer_set(l, &c[i].t, base + (rand_r(&seed) % 50) * MS), 0);
    }
    for (int i = 0; i < N_TIMERS; i += 3) /* moved both ways */
        CHECK_INT(mr_loop_timer_set(l, &c[i].t, base + (rand_r(&seed) % 50) * MS), 0);
    int cancelled = 0;
    for (int i = 0; i < N_TIMERS; i += 5, cancelled++)
        mr_loop_timer_cancel(l, &c[i].t);
    struct mr_timer end = {.fn = stop, .arg = l};
    CHECK_INT(mr_loop_timer_set(l, &end, base + 60 * MS), 0);
    mr_loop_run(l);
    CHECK_INT(fired, N_TIMERS - cancelled);
    CHECK_INT(out_of_order, 0);
    CHECK_INT(early, 0);
    for (int i = 0; i < N_TIMERS; i++)
        CHECK((c[i].fired_ns == 0) == (i % 5 == 0));
    mr_loop_free(l);
}

/* ---- posts from many threads all run, in order of each thread ---- */

#define POSTERS 4
#define POSTS   20000
struct post {
    struct mr_loop_task task;
    int poster, seq;
};
static int next_seq[POSTERS], misordered, ran;
static struct mr_loop *post_loop;

static void on_post(void *arg) {
    struct post *p = arg;
    if (p->seq != next_seq[p->poster]++)
        misordered++;
    if (++ran == POSTERS * POSTS)
        mr_loop_stop(post_loop);
}

static void *poster(void *arg) {
    struct post *p = arg;
    for (int i = 0; i < POSTS; i++)
        mr_loop_post(post_loop, &p[i].task);
    return NULL;
}

MR_TEST(posts) {
    static struct post p[POSTERS][POSTS];
    pthread_t loop_thread, threads[POSTERS];
    CHECK_INT(mr_loop_new(&post_loop, NULL), 0);
    for (int i = 0; i < POSTERS; i++)
        for (int k = 0; k < POSTS; k++)
            p[i][k] = (struct post){{NULL, on_post, &p[i][k]}, i, k};
    pthread_create(&loop_thread, NULL, run, post_loop);
    for (int i = 0; i < POSTERS; i++)
        pthread_create(&threads[i], NULL, poster, p[i]);
    for (int i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    pthread_join(loop_thread, NULL);
    CHECK_INT(ran, POSTERS * POSTS);
    CHECK_INT(misordered, 0);
    mr_loop_free(post_loop);
}

/* ---- a descriptor deleted by another's callback in the same batch stays silent ---- */

struct pair_case {
    struct mr_loop *l;
    struct mr_loop_io *io[2];
    int calls;
};

static void on_readable(void *arg, uint32_t events) {
    struct pair_case *c = arg;
    CHECK(events & EPOLLIN);
    c->calls++;
    mr_loop_del(c->io[0]);
    mr_loop_del(c->io[1]);
    mr_loop_stop(c->l);
}

static void count_one(void *arg) {
    atomic_fetch_add((atomic_int *)arg, 1);
}

/* Held back: run by a loop that is awake or ends, woken for once otherwise; a loop may be freed
 * meanwhile. More loops than are held are woken at once. */
MR_TEST(posts_whose_wake_up_is_held_back) {
    enum { N = 24 };
    struct mr_loop *l[N];
    struct mr_loop_task t[N], more[N], end[N];
    pthread_t th[N];
    atomic_int n_run = 0, gone = 0;
    for (int i = 0; i < N; i++) {
        CHECK_INT(mr_loop_new(&l[i], NULL), 0);
        pthread_create(&th[i], NULL, run, l[i]);
        t[i] = more[i] = (struct mr_loop_task){.fn = count_one, .arg = &n_run};
        end[i] = (struct mr_loop_task){.fn = stop, .arg = l[i]};
    }
    mr_loop_hold_wakes();
    for (int i = 0; i < N; i++) {
        mr_loop_post(l[i], &t[i]);
        mr_loop_post(l[i], &more[i]);
        mr_loop_post(l[i], &end[i]);
    }
    mr_loop_wake_held();
    for (int i = 0; i < N; i++) { /* every loop was woken, or this never ends */
        pthread_join(th[i], NULL);
        mr_loop_free(l[i]);
    }
    CHECK_INT(atomic_load(&n_run), 2 * N);
    CHECK_INT(mr_loop_new(&l[0], NULL), 0);
    t[0] = (struct mr_loop_task){.fn = count_one, .arg = &gone};
    mr_loop_hold_wakes();
    mr_loop_post(l[0], &t[0]);
    mr_loop_stop(l[0]);
    mr_loop_run(l[0]);
    mr_loop_free(l[0]);
    mr_loop_wake_held();
    CHECK_INT(atomic_load(&gone), 1);
}

MR_TEST(delete_inside_a_batch) {
    struct pair_case c = {0};
    int a[2], b[2];
    CHECK(pipe(a) == 0 && pipe(b) == 0);
    CHECK_INT(mr_loop_new(&c.l, NULL), 0);
    CHECK_INT(mr_loop_add(c.l, a[0], EPOLLIN, on_readable, &c, &c.io[0], NULL), 0);
    CHECK_INT(mr_loop_add(c.l, b[0], EPOLLIN, on_readable, &c, &c.io[1], NULL), 0);
    CHECK(write(a[1], "x", 1) == 1 && write(b[1], "x", 1) == 1);
    mr_loop_run(c.l);
    CHECK_INT(c.calls, 1);
    mr_loop_free(c.l);
    close(a[0]), close(a[1]), close(b[0]), close(b[1]);
}

MR_TEST(add_reports_errors) {
    struct mr_loop *l = NULL;
    struct mr_loop_io *io;
    struct mr_err e = {0};
    CHECK_INT(mr_loop_new(&l, NULL), 0);
    CHECK_INT(mr_loop_add(l, -1, EPOLLIN, on_readable, NULL, &io, &e), MR_EIO);
    CHECK(e.msg[0]);
    mr_loop_free(l);
}

/* ---- pool ---- */

static atomic_int done;
static pthread_mutex_t job_gate = PTHREAD_MUTEX_INITIALIZER;
static void gated_job(void *arg) {
    (void)arg;
    pthread_mutex_lock(&job_gate);
    pthread_mutex_unlock(&job_gate);
    atomic_fetch_add(&done, 1);
}

MR_TEST(pool_is_bounded_and_finishes) {
    struct mr_pool *p = NULL;
    int accepted = 0, refused = 0;
    CHECK_INT(mr_pool_new(2, 4, &p, NULL), 0);
    pthread_mutex_lock(&job_gate);
    for (int i = 0; i < 20; i++) {
        int rc = mr_pool_submit(p, gated_job, NULL);
        CHECK(rc == 0 || rc == MR_EUNAVAIL);
        *(rc == 0 ? &accepted : &refused) += 1;
        CHECK(mr_pool_queued(p) <= 4);
    }
    pthread_mutex_unlock(&job_gate);
    CHECK(accepted >= 4 && accepted <= 6 && refused >= 14);
    mr_pool_free(p);
    CHECK_INT(atomic_load(&done), accepted);
}

MR_TEST_MAIN(CASE(timers), CASE(posts), CASE(posts_whose_wake_up_is_held_back),
             CASE(delete_inside_a_batch), CASE(add_reports_errors),
             CASE(pool_is_bounded_and_finishes))
