/* Does this look like a pickle? First bytes only. */
#include "wire/decompress.h"
#include "wire/pickle.h"

static bool name_char(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '.';
}

/* "<module>\n<name>\n" behind GLOBAL or INST */
static bool two_names(struct mr_str s) {
    for (int k = 0; k < 2; k++) {
        size_t i = 0;
        while (i < s.n && name_char(s.p[i]))
            i++;
        if (i == s.n)
            return k == 1 || i > 2; /* cut off inside a name */
        if (!i || s.p[i] != '\n')
            return false;
        s = mr_strn(s.p + i + 1, s.n - i - 1);
    }
    return true;
}

static bool plain(struct mr_str s) {
    if (s.n < 2)
        return false;
    uint8_t a = (uint8_t)s.p[0], b = (uint8_t)s.p[1];
    if (a == 0x80)
        return b >= 2 && b <= 5;
    struct mr_str rest = mr_strn(s.p + 1, s.n - 1);
    if (a == 'c' || a == 'i')
        return two_names(rest);
    if (a == '(') {
        if (b == 'c' || b == 'i')
            return two_names(mr_strn(s.p + 2, s.n - 2));
        if (b == 'd' || b == 'l' || b == 't')
            return s.n == 2 || memchr("pq.aS(cI", s.p[2], 8) != NULL;
        return memchr("()]}KMJIFGVXSUTN2", b, 17) != NULL;
    }
    if (a == ']' || a == '}' || a == ')')
        return memchr("qrp.(0", b, 6) != NULL;
    return false;
}

bool mr_pickle_sniff(const void *p, size_t n) {
    enum mr_comp c = mr_comp_detect(p, n);
    if (c == MR_COMP_NONE)
        return plain(mr_strn(p, n < 256 ? n : 256));
    uint8_t head[256];
    size_t got = mr_decompress_prefix(c, p, n, head, sizeof head);
    return plain(mr_strn((const char *)head, got));
}
