#include "cli/table.h"

#include <stdarg.h>
#include <stdio.h>

void mr_table_init(struct mr_table *t, size_t cols) {
    *t = (struct mr_table){.cols = cols < MR_TABLE_COLS ? cols : MR_TABLE_COLS};
    mr_buf_init(&t->text, 16u << 20);
}

void mr_table_release(struct mr_table *t) {
    mr_buf_release(&t->text);
}

/* Code points, which is close enough to columns. */
static size_t columns(const char *s) {
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

void mr_table_cell(struct mr_table *t, const char *s) {
    size_t at = t->text.n, col = t->n % t->cols, w;
    if (!s || !*s)
        s = "-";
    mr_buf_add(&t->text, s, strlen(s) + 1);
    if (!mr_buf_ok(&t->text))
        return;
    for (char *p = t->text.p + at; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127)
            *p = '?';
    w = columns(t->text.p + at);
    if (w > t->width[col])
        t->width[col] = w;
    t->n++;
}

void mr_table_fmt(struct mr_table *t, const char *fmt, ...) {
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    mr_table_cell(t, text);
}

void mr_table_print(const struct mr_table *t) {
    const char *p = t->text.p;
    for (size_t i = 0; i < t->n; i++) {
        size_t col = i % t->cols, w = columns(p);
        bool last = col + 1 == t->cols;
        printf("%s", p);
        for (; !last && w < t->width[col] + 2; w++)
            putchar(' ');
        if (last)
            putchar('\n');
        p += strlen(p) + 1;
    }
}
