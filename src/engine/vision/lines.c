#include "engine/vision/lines.h"

#include "base/cleanup.h"

#define TEXT_MAX ((size_t)1 << 20)

static int split(struct mr_lines *l, size_t bytes, struct mr_err *e) {
    size_t n = 0;
    for (size_t k = 0; k < bytes; k++)
        n += l->text[k] == '\n';
    l->line = mr_reallocarray(NULL, n + 1, sizeof *l->line);
    if (!l->line)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    struct mr_str rest = {l->text, bytes};
    while (rest.p && rest.n)
        l->line[l->n++] = mr_str_cut(&rest, '\n');
    return 0;
}

int mr_lines_read(const char *dir, const char *file, struct mr_lines *ret, struct mr_err *e) {
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, file) >= sizeof path)
        return mr_fail(e, MR_EINVAL, "the path of %s is too long", file);
    MR_AUTO_FCLOSE FILE *f = fopen(path, "re");
    if (!f)
        return mr_fail_errno(e, path);
    struct mr_lines l = {.text = mr_malloc(TEXT_MAX + 1)};
    if (!l.text)
        return mr_fail(e, MR_ENOMEM, "out of memory");
    size_t n = fread(l.text, 1, TEXT_MAX + 1, f);
    int r = 0;
    if (ferror(f) || n > TEXT_MAX || !mr_utf8_valid((struct mr_str){l.text, n}))
        r = mr_fail(e, MR_EREFUSED, "%s is no UTF-8 text of at most 1 MiB", path);
    if (!r)
        r = split(&l, n, e);
    if (r) {
        mr_lines_release(&l);
        return r;
    }
    *ret = l;
    return 0;
}

void mr_lines_release(struct mr_lines *l) {
    mr_free(l->line);
    mr_free(l->text);
    *l = (struct mr_lines){0};
}
