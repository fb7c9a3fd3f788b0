/* CSV read, written and read again gives the same fields; nothing is longer than its caps. */
#include "wire/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FIELDS 50
#define RECORD 2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct mr_csv a, b;
    struct mr_buf text;
    mr_csv_init(&a, mr_strn((const char *)data, size), FIELDS, RECORD);
    mr_buf_init(&text, 1u << 20);
    while (mr_csv_next(&a, NULL) > 0) {
        if (!a.n || a.n > FIELDS)
            __builtin_trap();
        mr_buf_clear(&text);
        for (size_t i = 0; i < a.n; i++) {
            if (i)
                mr_buf_char(&text, ',');
            if (a.field[i].quoted && a.field[i].text.n > RECORD)
                __builtin_trap();
            if (!a.field[i].text.n) /* else a record of one empty field is an empty line */
                mr_buf_cstr(&text, "\"\"");
            else
                mr_csv_add(&text, a.field[i].text);
        }
        struct mr_str again = mr_buf_view(&text);
        if (mr_str_starts(again, MR_LIT("\xef\xbb\xbf")))
            continue; /* would be taken for the mark */
        mr_csv_init(&b, again, FIELDS, size + 1);
        if (mr_csv_next(&b, NULL) != 1 || b.n != a.n)
            __builtin_trap();
        for (size_t i = 0; i < a.n; i++)
            if (!mr_str_eq(a.field[i].text, b.field[i].text))
                __builtin_trap();
        if (mr_csv_next(&b, NULL) != 0)
            __builtin_trap();
        mr_csv_release(&b);
    }
    mr_csv_release(&a);
    mr_buf_release(&text);
    return 0;
}
