/* Images: what they show, as JSON. */
#include "api/aisemble/analyze.h"
#include "api/api.h"
#include "base/codec.h"
#include "core/bill/bill.h"
#include "core/money/money.h"
#include "engine/vision/vision.h"

#include <math.h>

void mr_json_share(struct mr_buf *b, const char *key, double v) {
    double clean = v > 0 ? v < 1 ? v : 1 : 0;
    mr_json_f64(b, key, (double)llround(clean * 1e6) / 1e6);
}

int mr_close_bill(struct mr_bill *bill, int rc, struct mr_buf *out, struct mr_err *e) {
    rc = mr_bill_close(bill, rc, e);
    if (rc)
        return rc;
    mr_json_key(out, "cost");
    mr_money_print(out, bill->cost_nano + bill->paid_nano);
    mr_json_key(out, "charge_ids");
    mr_buf_char(out, '[');
    for (size_t i = 0; i < bill->n; i++)
        mr_buf_fmt(out, "%s%lld", i ? "," : "", (long long)bill->item[i].hold.charge);
    if (bill->paid_charge)
        mr_buf_fmt(out, "%s%lld", bill->n ? "," : "", (long long)bill->paid_charge);
    mr_buf_char(out, ']');
    return 0;
}

unsigned mr_vision_kind(struct mr_str name) {
    return mr_str_is(name, "object_detection")  ? MR_SEE_OBJECTS
           : mr_str_is(name, "text_extraction") ? MR_SEE_TEXT
           : mr_str_is(name, "scene_analysis")  ? MR_SEE_SCENE
                                                : 0;
}

int mr_vision_base64(struct mr_str text, const char *field, struct mr_buf *out, struct mr_err *e) {
    if (mr_str_starts(text, MR_LIT("data:"))) {
        const char *comma = memchr(text.p, ',', text.n);
        size_t head = comma ? (size_t)(comma - text.p) : 0;
        if (!comma || !mr_str_ends(mr_strn(text.p, head), MR_LIT(";base64")))
            return mr_fail_field(e, MR_EFIELD, field, "%s is not a Base64 data: URL", field);
        text = mr_strn(comma + 1, text.n - head - 1);
    }
    if (mr_base64_decode(text, out) && out->n)
        return 0;
    if (!mr_buf_ok(out))
        return mr_fail_field(e, MR_ETOOBIG, field, "%s is larger than %zu bytes", field, out->max);
    return mr_fail_field(e, MR_EFIELD, field, "%s is not Base64", field);
}

/* --- one image under analysis ------------------------------------------------------------- */

struct view {
    struct mr_core *core;
    const struct mr_vision_ask *q;
    struct mr_arena *arena;
    struct mr_image im;
    struct mr_object *object;
    size_t n_object;
    bool looked;        /* objects are known */
    struct mr_buf used; /* "object_detection":"id",… */
    const char *first;  /* the model that did the first analysis */
};

static int open_image(struct view *v, struct mr_err *e) {
    int rc = mr_image_decode(v->core->image_crew, v->q->bytes, &v->im, e);
    if (rc && e && !e->field[0] && (rc == MR_EINVAL || rc == MR_ETOOBIG))
        snprintf(e->field, sizeof e->field, "image");
    return rc;
}

static void say_used(struct view *v, const char *what, const struct mr_use *u) {
    mr_buf_fmt(&v->used, "%s\"%s\":\"%s\"", v->used.n ? "," : "", what, u->model->id);
    if (!v->first)
        v->first = u->model->id;
}

/* The model that the caller named when it is of this kind, else the default. */
static int begin(struct view *v, enum mr_model_kind kind, struct mr_use *u, struct mr_err *e) {
    const struct mr_catalog_model *m;
    struct mr_str name = v->q->model;
    if (name.n && mr_catalog_find(v->core->catalog, name, kind, &m, NULL))
        name = mr_strn(NULL, 0);
    return mr_bill_use(v->q->bill, name, kind, 0, u, NULL, e);
}

/* A named model must be for something that was asked. */
static int check_model(struct view *v, unsigned kinds, struct mr_err *e) {
    static const struct {
        unsigned see;
        enum mr_model_kind kind;
    } fits[] = {{MR_SEE_OBJECTS | MR_SEE_SCENE, MR_KIND_DETECTOR},
                {MR_SEE_TEXT, MR_KIND_OCR},
                {MR_SEE_SCENE, MR_KIND_CLASSIFIER}};
    const struct mr_catalog_model *m;
    struct mr_str name = v->q->model;
    if (!name.n)
        return 0;
    for (size_t i = 0; i < sizeof fits / sizeof *fits; i++)
        if (kinds & fits[i].see && !mr_catalog_find(v->core->catalog, name, fits[i].kind, &m, NULL))
            return 0;
    int rc = mr_catalog_find(v->core->catalog, name, MR_KIND_N, &m, e);
    return rc ? rc
              : mr_fail_field(e, MR_EFIELD, "model", "model '%s' (%s) does none of these analyses",
                              m->id, mr_kind_name(m->kind));
}

static void box(struct mr_buf *b, const struct mr_image *im, const struct mr_box *k) {
    double x1 = k->x1 < im->width ? k->x1 : im->width, y1 = k->y1 < im->height ? k->y1 : im->height;
    mr_json_key(b, "bbox");
    mr_buf_fmt(b, "[%ld,%ld,%ld,%ld]", lround(k->x0 > 0 ? k->x0 : 0), lround(k->y0 > 0 ? k->y0 : 0),
               lround(x1), lround(y1));
}

static int look(struct view *v, struct mr_err *e) {
    struct mr_detect_params p = {.min_confidence = v->q->min_confidence};
    struct mr_use u = {0};
    if (v->looked)
        return 0;
    int rc = begin(v, MR_KIND_DETECTOR, &u, e);
    if (rc)
        return rc;
    rc = mr_detector_run(u.handle, &v->im, &p, v->arena, &v->object, &v->n_object, e);
    if (!rc)
        say_used(v, "object_detection", &u);
    mr_use_end(&u, !rc);
    v->looked = !rc;
    return rc;
}

static int objects(struct view *v, struct mr_buf *b, struct mr_err *e) {
    int rc = look(v, e);
    if (rc)
        return rc;
    mr_json_key(b, "objects");
    mr_buf_char(b, '[');
    for (size_t i = 0; i < v->n_object; i++) {
        const struct mr_object *o = &v->object[i];
        mr_buf_cstr(b, i ? ",{" : "{");
        mr_json_str(b, "class", o->name);
        mr_json_i64(b, "class_id", o->class_id);
        mr_json_share(b, "confidence", o->confidence);
        box(b, &v->im, &o->box);
        if (mr_str_is(o->name, "person")) /* nobody's gender or age is guessed here */
            mr_buf_cstr(b, ",\"attributes\":{\"gender\":\"unknown\",\"age_range\":\"unknown\"}");
        mr_buf_char(b, '}');
    }
    mr_buf_char(b, ']');
    return 0;
}

/* --- text --------------------------------------------------------------------------------- */

/* Mostly bright and without colour, like paper: for the reader of documents. */
static bool like_paper(const struct mr_image *im) {
    size_t n = (size_t)im->width * im->height, step = n / 20000 + 1, paper = 0, seen = 0;
    for (size_t i = 0; i < n; i += step, seen++) {
        const uint8_t *p = im->rgb + i * 3;
        uint8_t lo = p[0] < p[1] ? p[0] : p[1], hi = p[0] > p[1] ? p[0] : p[1];
        lo = p[2] < lo ? p[2] : lo;
        hi = p[2] > hi ? p[2] : hi;
        paper += lo >= 170 && hi - lo <= 32;
    }
    return seen && paper * 100 >= seen * 55;
}

/* Documents are read by tesseract, photos by the other reader; each by the one that is there when
 * only one is installed. The reply says which it was. */
static struct mr_str pick_reader(struct view *v) {
    size_t n;
    const struct mr_catalog_model *m = mr_catalog_models(v->core->catalog, &n);
    const struct mr_catalog_model *best = NULL;
    bool paper = like_paper(&v->im);
    for (size_t i = 0; i < n; i++)
        if (m[i].kind == MR_KIND_OCR && mr_catalog_installed(&m[i]) &&
            (!best || !strcmp(m[i].runtime, "tesseract") == paper))
            if (!best || !strcmp(best->runtime, "tesseract") != paper)
                best = &m[i];
    return best ? mr_str(best->id) : mr_strn(NULL, 0);
}

static void text_line(struct mr_buf *b, const struct mr_image *im, const struct mr_text_line *l) {
    mr_json_str(b, "text", l->text);
    mr_json_share(b, "confidence", l->confidence);
    box(b, im, &l->box);
    if (!l->n_word)
        return;
    mr_json_key(b, "words");
    mr_buf_char(b, '[');
    for (size_t i = 0; i < l->n_word; i++) {
        mr_buf_cstr(b, i ? ",{" : "{");
        mr_json_str(b, "text", l->word[i].text);
        mr_json_share(b, "confidence", l->word[i].confidence);
        box(b, im, &l->word[i].box);
        mr_buf_char(b, '}');
    }
    mr_buf_char(b, ']');
}

static int text(struct view *v, struct mr_buf *b, struct mr_err *e) {
    const struct mr_catalog_model *m;
    struct mr_text_line *l = NULL;
    struct mr_use u = {0};
    size_t n = 0;
    struct mr_str name = v->q->model;
    if (!name.n || mr_catalog_find(v->core->catalog, name, MR_KIND_OCR, &m, NULL))
        name = pick_reader(v);
    int rc = mr_bill_use(v->q->bill, name, MR_KIND_OCR, 0, &u, NULL, e);
    if (rc)
        return rc;
    rc = mr_ocr_read(u.handle, &v->im, v->arena, &l, &n, e);
    if (!rc)
        say_used(v, "text_extraction", &u);
    mr_use_end(&u, !rc);
    if (rc)
        return rc;
    mr_json_key(b, "text");
    mr_buf_char(b, '[');
    for (size_t i = 0; i < n; i++) {
        mr_buf_cstr(b, i ? ",{" : "{");
        text_line(b, &v->im, &l[i]);
        mr_buf_char(b, '}');
    }
    mr_buf_char(b, ']');
    return 0;
}

/* --- scene -------------------------------------------------------------------------------- */

static void scene_json(struct mr_buf *b, const struct mr_scene *s) {
    mr_json_key(b, "scene");
    mr_buf_char(b, '{');
    mr_json_cstr(b, "setting", s->setting);
    mr_json_share(b, "confidence", s->confidence);
    mr_json_cstr(b, "time_of_day", s->time_of_day);
    mr_json_cstr(b, "weather", s->weather);
    mr_json_key(b, "derived_from");
    mr_buf_char(b, '[');
    for (size_t i = 0; i < s->n_evidence; i++) {
        mr_buf_cstr(b, i ? ",{" : "{");
        mr_json_str(b, "class", s->evidence[i].name);
        mr_json_share(b, "confidence", s->evidence[i].confidence);
        mr_buf_char(b, '}');
    }
    mr_buf_cstr(b, "]}");
}

static int scene(struct view *v, struct mr_buf *b, struct mr_err *e) {
    struct mr_class *cls = NULL;
    struct mr_scene s;
    struct mr_use u = {0};
    size_t n = 0;
    int rc = look(v, e);
    if (!rc)
        rc = begin(v, MR_KIND_CLASSIFIER, &u, e);
    if (rc)
        return rc;
    rc = mr_classify(u.handle, &v->im, 1000, v->arena, &cls, &n, NULL, e);
    if (!rc)
        say_used(v, "scene_analysis", &u);
    mr_use_end(&u, !rc);
    if (!rc)
        rc = mr_scene_derive(&v->im, cls, n, v->object, v->n_object, v->arena, &s, e);
    if (!rc)
        scene_json(b, &s);
    return rc;
}

int mr_vision_analyze(struct mr_core *core, const struct mr_vision_ask *q, struct mr_arena *arena,
                      struct mr_buf *out, struct mr_err *e) {
    struct view v = {.core = core, .q = q, .arena = arena};
    unsigned kinds = q->kinds ? q->kinds : MR_SEE_ALL;
    int rc = check_model(&v, kinds, e);
    if (!rc)
        rc = open_image(&v, e);
    if (rc)
        return rc;
    mr_buf_init(&v.used, 4096);
    mr_json_key(out, "image_info");
    mr_buf_char(out, '{');
    mr_json_i64(out, "width", v.im.width);
    mr_json_i64(out, "height", v.im.height);
    mr_json_cstr(out, "format", v.im.format);
    mr_json_i64(out, "size_bytes", (int64_t)v.im.size_bytes);
    mr_buf_cstr(out, "},\"analysis_results\":{");
    if (kinds & MR_SEE_OBJECTS)
        rc = objects(&v, out, e);
    if (!rc && kinds & MR_SEE_TEXT)
        rc = text(&v, out, e);
    if (!rc && kinds & MR_SEE_SCENE)
        rc = scene(&v, out, e);
    mr_buf_char(out, '}');
    if (!rc) {
        mr_json_cstr(out, "model", v.first);
        mr_buf_fmt(out, ",\"models\":{%s}", v.used.p);
    }
    mr_buf_release(&v.used);
    mr_image_release(&v.im);
    return rc;
}

int mr_vision_classify(struct mr_core *core, const struct mr_vision_ask *q, struct mr_arena *arena,
                       struct mr_buf *out, struct mr_err *e) {
    struct view v = {.core = core, .q = q, .arena = arena};
    struct mr_class *cls = NULL;
    struct mr_use u = {0};
    size_t n = 0;
    int rc = open_image(&v, e);
    if (rc)
        return rc;
    rc = mr_bill_use(q->bill, q->model, MR_KIND_CLASSIFIER, 0, &u, NULL, e);
    if (!rc)
        rc = mr_classify(u.handle, &v.im, q->top_k ? q->top_k : 5, arena, &cls, &n, NULL, e);
    mr_image_release(&v.im);
    if (!rc) {
        mr_json_key(out, "predictions");
        mr_buf_char(out, '[');
        for (size_t i = 0; i < n; i++) {
            mr_buf_cstr(out, i ? ",{" : "{");
            mr_json_str(out, "class", cls[i].name);
            mr_json_share(out, "confidence", cls[i].confidence);
            mr_json_i64(out, "class_id", cls[i].class_id);
            mr_buf_char(out, '}');
        }
        mr_buf_char(out, ']');
        mr_json_cstr(out, "model", u.model->id);
    }
    mr_use_end(&u, !rc);
    return rc;
}
