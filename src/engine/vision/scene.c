/* The setting from what was classified and detected (scene_groups.h), the time of day and the
 * weather from the sky's pixels, and only in settings that are outdoors. All of it is derived:
 * there is no scene network. */
#include "engine/vision/scene_groups.h"
#include "engine/vision/vision.h"

#include <math.h>

#define SETTING_LEAST  0.3  /* below: "unknown" */
#define OUTDOORS_LEAST 0.35 /* the sky is only looked for above this */
#define EVIDENCE_LEAST 0.02
#define SAMPLES        20000

static const struct mr_setting_sign *find(const struct mr_setting_sign *t, size_t n, int id) {
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (t[mid].id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && t[lo].id == id ? &t[lo] : NULL;
}

struct votes {
    double classes[MR_SETTINGS]; /* the classifier's confidences are exclusive: they add up */
    double objects[MR_SETTINGS]; /* of the objects the strongest, a kind once */
};

static void vote(struct votes *v, const struct mr_class *c, size_t n, const struct mr_object *o,
                 size_t n_o) {
    for (size_t k = 0; k < n; k++) {
        const struct mr_setting_sign *s = find(mr_setting_class, mr_setting_n_class, c[k].class_id);
        if (s)
            v->classes[s->setting] += c[k].confidence * s->percent / 100;
    }
    bool seen[128] = {false}; /* ten cups are no better evidence than one */
    for (size_t k = 0; k < n_o; k++) {
        const struct mr_setting_sign *s =
            find(mr_setting_object, mr_setting_n_object, o[k].class_id);
        if (!s || seen[s->id])
            continue;
        seen[s->id] = true;
        double share = o[k].confidence * s->percent / 100;
        v->objects[s->setting] = 1 - (1 - v->objects[s->setting]) * (1 - share);
    }
}

static enum mr_setting choose(const struct votes *v, double *ret_confidence) {
    enum mr_setting best = MR_SETTING_NONE;
    double most = 0;
    for (int s = 1; s < MR_SETTINGS; s++) {
        double both = 1 - (1 - v->classes[s]) * (1 - v->objects[s]);
        if (both > most) {
            most = both;
            best = (enum mr_setting)s;
        }
    }
    if (!(most >= SETTING_LEAST))
        return MR_SETTING_NONE;
    *ret_confidence = fmin(most, 1);
    return best;
}

static int collect(enum mr_setting setting, const struct mr_class *c, size_t n,
                   const struct mr_object *o, size_t n_o, struct mr_arena *arena,
                   struct mr_scene *ret, struct mr_err *e) {
    ret->evidence = mr_arena_array(arena, n + n_o + 1, sizeof *ret->evidence);
    if (!ret->evidence)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    for (size_t k = 0; k < n; k++) {
        const struct mr_setting_sign *s = find(mr_setting_class, mr_setting_n_class, c[k].class_id);
        if (s && s->setting == setting && c[k].confidence >= EVIDENCE_LEAST)
            ret->evidence[ret->n_evidence++] = c[k];
    }
    for (size_t k = 0; k < n_o; k++) {
        const struct mr_setting_sign *s =
            find(mr_setting_object, mr_setting_n_object, o[k].class_id);
        if (s && s->setting == setting)
            ret->evidence[ret->n_evidence++] =
                (struct mr_class){o[k].name, o[k].class_id, o[k].confidence};
    }
    return 0;
}

/* --- pixels ------------------------------------------------------------------------------- */
struct light {
    double mean, dark;                       /* of the picture: luma, share below 40 */
    double top_mean, top_blue, top_overcast; /* of the upper fifth: luma, shares of smooth pixels */
};

static unsigned luma(const uint8_t *p) {
    return (77u * p[0] + 150u * p[1] + 29u * p[2]) >> 8;
}

/* Close to the pixel on its left: sky is, leaves and walls mostly are not. */
static bool smooth(const uint8_t *p, const uint8_t *left) {
    return abs((int)luma(p) - (int)luma(left)) <= 6;
}

static struct light measure(const struct mr_image *im) {
    struct light l = {0};
    size_t n = (size_t)im->width * im->height, step = n / SAMPLES + 1, seen = 0, top = 0;
    size_t edge = (size_t)(im->height / 5) * im->width;
    step += step % im->width == 0; /* not one column */
    for (size_t k = 1; k < n; k += step) {
        const uint8_t *p = im->rgb + k * 3;
        double y = luma(p);
        seen++;
        l.mean += y;
        l.dark += y < 40;
        if (k >= edge)
            continue;
        top++;
        l.top_mean += y;
        int lo = p[0] < p[1] ? p[0] : p[1], hi = p[0] > p[1] ? p[0] : p[1];
        lo = p[2] < lo ? p[2] : lo;
        hi = p[2] > hi ? p[2] : hi;
        bool even = smooth(p, p - 3);
        l.top_blue += even && p[2] >= p[0] + 25 && p[2] >= p[1] && y >= 90;
        l.top_overcast += even && hi - lo <= 18 && y >= 120 && y <= 225;
    }
    if (seen) {
        l.mean /= (double)seen;
        l.dark /= (double)seen;
    }
    if (top) {
        l.top_mean /= (double)top;
        l.top_blue /= (double)top;
        l.top_overcast /= (double)top;
    }
    return l;
}

/* A blue or evenly grey sky on top is the evidence; a white one may be haze, cloud or exposure. */
static void look_up(const struct mr_image *im, struct mr_scene *s) {
    struct light l = measure(im);
    if (l.mean < 45 && l.dark > 0.65 && l.top_mean < 40) {
        s->time_of_day = "night";
        return;
    }
    if (l.top_blue >= 0.5)
        s->weather = "clear";
    else if (l.top_overcast >= 0.6)
        s->weather = "overcast";
    if (l.mean >= 75 && (l.top_blue >= 0.5 || l.top_overcast >= 0.6 || l.top_mean >= 170))
        s->time_of_day = "daytime";
}

int mr_scene_derive(const struct mr_image *im, const struct mr_class *classes, size_t n_classes,
                    const struct mr_object *objects, size_t n_objects, struct mr_arena *arena,
                    struct mr_scene *ret, struct mr_err *e) {
    struct votes v = {0};
    struct mr_scene s = {.time_of_day = "unknown", .weather = "unknown"};
    vote(&v, classes, n_classes, objects, n_objects);
    enum mr_setting setting = choose(&v, &s.confidence);
    s.setting = mr_setting_name[setting];
    int r = setting ? collect(setting, classes, n_classes, objects, n_objects, arena, &s, e) : 0;
    if (r)
        return r;
    if (mr_setting_outdoors(setting) && s.confidence >= OUTDOORS_LEAST)
        look_up(im, &s);
    *ret = s;
    return 0;
}
