/* Opcodes, one by one, as bytes. Whole files are in test_pickle_files.c. */
#include "base/err.h"
#include "mr_test.h"
#include "wire/pickle.h"
#include "wire/pickle_text.h"

struct row {
    struct mr_str in;
    const char *want;
};
#define ROW(bytes, text)                                                                           \
    { MR_LIT(bytes), text }

static void expect(const struct row *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct mr_pk_doc *d = NULL;
        struct mr_err e = {0};
        struct mr_buf b;
        mr_buf_init(&b, 10000);
        int rc = mr_pickle_load(rows[i].in.p, rows[i].in.n, NULL, &d, &e);
        if (rc) {
            mr_buf_cstr(&b, e.msg);
        } else {
            pickle_text(&b, mr_pickle_arena(d), mr_pickle_root(d), 0);
            CHECK_INT(mr_pickle_trailing(d), 0);
        }
        CHECK_STR(b.p, rows[i].want);
        mr_buf_release(&b);
        mr_pickle_free(d);
    }
}
#define EXPECT(rows) expect(rows, sizeof(rows) / sizeof *(rows))

static void refused(struct mr_str in, const char *why) {
    struct mr_pk_doc *d = NULL;
    struct mr_err e = {0};
    CHECK_INT(mr_pickle_load(in.p, in.n, NULL, &d, &e), MR_EREFUSED);
    if (!strstr(e.msg, why))
        CHECK_STR(e.msg, why);
    CHECK(!d);
}

MR_TEST(numbers) {
    static const struct row rows[] = {
        ROW("N.", "None"),
        ROW("\x88.", "True"),
        ROW("\x89.", "False"),
        ROW("I01\n.", "True"),
        ROW("I00\n.", "False"),
        ROW("I-12\n.", "-12"),
        ROW("L7L\n.", "7"),
        ROW("L-9223372036854775808L\n.", "-9223372036854775808"),
        ROW("L9223372036854775808L\n.", "int:000000000000008000"),
        ROW("L-9223372036854775809L\n.", "int:ffffffffffffff7fff"),
        ROW("K\xff.", "255"),
        ROW("M\xff\xff.", "65535"),
        ROW("J\xfe\xff\xff\xff.", "-2"),
        ROW("\x8a\x00.", "0"),
        ROW("\x8a\x01\xff.", "-1"),
        ROW("\x8a\x02\xff\x00.", "255"),
        ROW("\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80.", "-9223372036854775808"),
        ROW("\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00.", "int:000000000000008000"),
        ROW("\x8a\x0a\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00.", "5"),
        ROW("\x8b\x02\x00\x00\x00\xff\x00.", "255"),
        ROW("F1.5\n.", "1.5"),
        ROW("F-inf\n.", "-inf"),
        ROW("G\x3f\xf8\x00\x00\x00\x00\x00\x00.", "1.5"),
    };
    EXPECT(rows);
    refused(MR_LIT("I0x10\n."), "decimal");
    refused(MR_LIT("I\n."), "not an integer");
    refused(MR_LIT("F0x1p3\n."), "decimal");
    refused(MR_LIT("\x8b\xff\xff\xff\xff."), "negative length");
    refused(MR_LIT("L1\n"), "without STOP");
    refused(MR_LIT("L1"), "ends inside a text argument");
}

MR_TEST(text_and_bytes) {
    static const struct row rows[] = {
        ROW("S'a\\n\\x41\\101\\\\\\q'\n.", "'a\nAA\\\\q'"),
        ROW("S\"it's\"\n.", "'it's'"),
        ROW("S'\\xff'\n.", "b:ff"),
        ROW("U\x02hi.", "'hi'"),
        ROW("U\x01\x80.", "b:80"),
        ROW("T\x02\x00\x00\x00hi.", "'hi'"),
        ROW("Vplain\n.", "'plain'"),
        ROW("Va\\u00e9\\U0001F600\\n\xe9\n.", "'a\xc3\xa9\xf0\x9f\x98\x80\\n\xc3\xa9'"),
        ROW("\x8c\x02hi.", "'hi'"),
        ROW("X\x02\x00\x00\x00hi.", "'hi'"),
        ROW("\x8d\x02\x00\x00\x00\x00\x00\x00\x00hi.", "'hi'"),
        ROW("C\x02\x00\xff.", "b:00ff"),
        ROW("B\x01\x00\x00\x00\x07.", "b:07"),
        ROW("\x8e\x01\x00\x00\x00\x00\x00\x00\x00\x07.", "b:07"),
        ROW("\x96\x01\x00\x00\x00\x00\x00\x00\x00\x07.", "b:07"),
    };
    EXPECT(rows);
    refused(MR_LIT("S'a\n."), "without quotes");
    refused(MR_LIT("Sa\n."), "without quotes");
    refused(MR_LIT("S'\\x4'\n."), "broken escape");
    refused(MR_LIT("V\\ud800\n."), "broken escape");
    refused(MR_LIT("V\\u12\n."), "broken escape");
    refused(MR_LIT("\x8c\x01\xff."), "not UTF-8");
    refused(MR_LIT("X\xff\xff\xff\x7fhi."), "more bytes were announced");
    refused(MR_LIT("\x8d\xff\xff\xff\xff\xff\xff\xff\x3fhi."), "more bytes were announced");
}

MR_TEST(containers) {
    static const struct row rows[] = {
        ROW("].", "[]"),
        ROW("]K\x01\x61.", "[1]"),
        ROW("](K\x01K\x02\x65.", "[1 2]"),
        ROW("(K\x01K\x02l.", "[1 2]"),
        ROW(").", "()"),
        ROW("(K\x01t.", "(1)"),
        ROW("N\x85.", "(None)"),
        ROW("NK\x01\x86.", "(None 1)"),
        ROW("NK\x01K\x02\x87.", "(None 1 2)"),
        ROW("}.", "{}"),
        ROW("}U\x01kK\x01s.", "{'k' 1}"),
        ROW("}(U\x01kK\x01u.", "{'k' 1}"),
        ROW("(U\x01kK\x01\x64.", "{'k' 1}"),
        ROW("\x8f(K\x01\x90.", "<1>"),
        ROW("(K\x01\x91.", "<1>"),
        ROW("](e.", "[]"),
    };
    EXPECT(rows);
    refused(MR_LIT("}(Nu."), "key without a value");
    refused(MR_LIT("(Nd."), "key without a value");
    refused(MR_LIT("NNa."), "no container of that kind");
    refused(MR_LIT("](N\x90."), "no container of that kind");
    refused(MR_LIT(")Na."), "no container of that kind");
    refused(MR_LIT("Ne."), "no mark");
    refused(MR_LIT("(Ne."), "nothing on the stack");
    refused(MR_LIT("N(\x85."), "nothing on the stack");
}

MR_TEST(stack_and_memo) {
    static const struct row rows[] = {
        ROW("NK\x01\x30.", "None"),
        ROW("N(K\x01\x31.", "None"),
        ROW("N(0.", "None"),
        ROW("]2a.", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[..."),
        ROW("K\x07p5\n0g5\n.", "7"),
        ROW("K\x07q\x05\x30h\x05.", "7"),
        ROW("K\x07r\x05\0\0\0\x30j\x05\0\0\0.", "7"),
        ROW("K\x07\x94K\x08\x94h\x00h\x01\x86.", "(7 8)"),
    };
    /* the self-containing list prints its depth limit and then closes */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (i != 3) {
            expect(&rows[i], 1);
            continue;
        }
        struct mr_pk_doc *d = NULL;
        CHECK_INT(mr_pickle_load("]2a.", 4, NULL, &d, NULL), 0);
        const struct mr_pk *r = mr_pickle_root(d);
        CHECK(r->type == MR_PK_LIST && r->l.n == 1 && r->l.v[0] == r);
        double x;
        const double *v;
        size_t n, m;
        CHECK(!mr_pk_num(r, &x));
        CHECK_INT(mr_pk_f64(mr_pickle_arena(d), r, &v, &n, &m, NULL), MR_EREFUSED);
        mr_pickle_free(d);
    }
    refused(MR_LIT("0."), "nothing on the stack");
    refused(MR_LIT("2."), "nothing on the stack");
    refused(MR_LIT("."), "nothing on the stack");
    refused(MR_LIT("N(."), "nothing on the stack");
    refused(MR_LIT("N1."), "no mark");
    refused(MR_LIT("h\x00."), "never stored");
    refused(MR_LIT("j\xff\xff\xff\xff."), "never stored");
    refused(MR_LIT("Nr\xff\xff\xff\x7f."), "memo index");
    refused(MR_LIT("Np-1\n."), "not a memo index");
    refused(MR_LIT("q\x00."), "nothing on the stack");
}

MR_TEST(objects_are_inert) {
    static const struct row rows[] = {
        ROW("cos\nsystem\n.", "os.system"),
        ROW("\x8c\x02os\x8c\x06system\x93.", "os.system"),
        ROW("cos\nsystem\nU\x02id\x85R.", "@os.system('id')"),
        ROW("cm\nC\n)\x81}U\x01\x61K\x01sb.", "@m.C() state={'a' 1}"),
        ROW("cm\nC\n)}\x92.", "@m.C()"),
        ROW("(K\x01im\nC\n.", "@m.C(1)"),
        ROW("(cm\nC\nK\x01o.", "@m.C(1)"),
        ROW("cm\nC\n)\x81(K\x01\x65.", "@m.C() items=[1]"),
        ROW("cm\nC\n)\x81U\x01kK\x01s.", "@m.C() items={'k' 1}"),
        ROW("cbuiltins\ngetattr\ncos\nsystem\nU\x01x\x86R(U\x02id\x74R.",
            "@builtins.getattr(...)()('id')"),
        ROW("Pabc\n.", "@pickle.persistent_id('abc')"),
        ROW("U\x01xQ.", "@pickle.persistent_id('x')"),
    };
    EXPECT(rows);
    refused(MR_LIT("N)R."), "not a class");
    refused(MR_LIT("cm\nC\nNR."), "no tuple");
    refused(MR_LIT("N)\x81."), "not a class");
    refused(MR_LIT("cm\nC\n)}U\x01kNs\x92."), "keyword arguments");
    refused(MR_LIT("K\x01U\x01x\x93."), "must be strings");
    refused(MR_LIT("cm\nC\n}b."), "no object");
    refused(MR_LIT("]}b."), "no object");
    refused(MR_LIT("cm\nC\n)\x81}b}b."), "state given twice");
    refused(MR_LIT("(o."), "no class above the mark");
    refused(MR_LIT("(No."), "not a class");
    refused(MR_LIT("\x82\x01."), "EXT1");
    refused(MR_LIT("\x83\x01\x00."), "EXT2");
    refused(MR_LIT("\x84\x01\x00\x00\x00."), "EXT4");
    refused(MR_LIT("\x97."), "NEXT_BUFFER");
    refused(MR_LIT("N\x98."), "READONLY_BUFFER");
    refused(MR_LIT("cm\nC\n)\x81U\x01kK\x01sK\x01\x61."), "items of another kind");
}

MR_TEST(framing) {
    static const struct row rows[] = {
        ROW("\x80\x02N.", "None"),
        ROW("\x80\x05\x95\x02\0\0\0\0\0\0\0N.", "None"),
    };
    EXPECT(rows);
    refused(MR_LIT("\x80\x06N."), "newer than 5");
    refused(MR_LIT("\x95\x03\0\0\0\0\0\0\0N."), "a frame of 3 bytes");
    refused(MR_LIT("\x95\xff\xff\xff\xff\xff\xff\xff\xffN."), "a frame of");
    refused(MR_LIT(""), "without STOP");
    refused(MR_LIT("\x80"), "announced");
    refused(MR_LIT("z"), "no pickle opcode");
    struct mr_pk_doc *d = NULL;
    CHECK_INT(mr_pickle_load("N.rest", 6, NULL, &d, NULL), 0);
    CHECK_INT(mr_pickle_trailing(d), 4);
    mr_pickle_free(d);
}

/* numpy.dtype('f8') on the stack */
#define F8                                                                                         \
    "cnumpy\ndtype\n(U\x02"                                                                        \
    "f8K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
#define EMPTY "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01\x62tR"
#define ONE   "C\x08\x00\x00\x00\x00\x00\x00\xf0\x3f"

MR_TEST(data_constructors) {
    static const struct row rows[] = {
        ROW("c_codecs\nencode\n(X\x03\0\0\0\xc3\xbfzU\x06latin1tR.", "b:ff7a"),
        ROW("c_codecs\nencode\n(X\x01\0\0\0zU\x05rot13tR.", "@_codecs.encode('z' 'rot13')"),
        ROW("c__builtin__\nbytes\n)R.", "b:"),
        ROW("cbuiltins\nbytearray\nC\x01z\x85R.", "b:7a"),
        ROW("cbuiltins\nset\n]K\x01\x61\x85R.", "<1>"),
        ROW("cbuiltins\ncomplex\nK\x01K\x02\x86R.", "@builtins.complex(1 2)"),
        ROW("cbuiltins\neval\nU\x01z\x85R.", "@builtins.eval('z')"),
        ROW("ccollections\nOrderedDict\n)RU\x01kK\x01s.", "{'k' 1}"),
        ROW("ccollections\ndefaultdict\ncbuiltins\nint\n\x85RU\x01kK\x01s.", "{'k' 1}"),
        ROW("ccollections\nOrderedDict\n]](U\x01kK\x01\x65\x61\x85R.", "{'k' 1}"),
        ROW("ccopy_reg\n_reconstructor\n(cm\nC\nc__builtin__\nobject\nNtR.", "@m.C"),
        ROW("ccopyreg\n__newobj__\n(cm\nC\nK\x01tR.", "@m.C(1)"),
        ROW(F8 ".", "dtype:f8"),
        ROW("cnumpy\ndtype\nU\x03>i4\x85R.", "dtype:>i4"),
        ROW(EMPTY "(K\x01(K\x01t" F8 "\x89" ONE "tb.", "array(1: 1.0)"),
        ROW("cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01\x62tR(K\x01(t" F8
            "\x89" ONE "tb.",
            "array(: 1.0)"),
        ROW("cnumpy._core.numeric\n_frombuffer\n(" ONE F8 "K\x01\x85U\x01\x43tR.", "array(1: 1.0)"),
        ROW("cnumpy.core.multiarray\nscalar\n(" F8 ONE "tR.", "1.0"),
        ROW(EMPTY ".", "array(0:)"),
        ROW("cnumpy.core.multiarray\n_reconstruct\n(cm\nSub\n(K\x00tU\x01\x62tR.",
            "@numpy.core.multiarray._reconstruct(m.Sub (0) 'b')"),
    };
    EXPECT(rows);
    refused(MR_LIT("cnumpy\ndtype\nU\x02q8\x85R."), "dtype \"q8\" is unknown");
    refused(MR_LIT("cnumpy\ndtype\nU\x0c"
                   "f99999999999\x85R."),
            "is unknown");
    refused(MR_LIT(EMPTY "(K\x01(K\x02t" F8 "\x89" ONE "tb."), "2 items of 8 bytes with 8 bytes");
    refused(MR_LIT(EMPTY "(K\x01(J\xff\xff\xff\xfft" F8 "\x89" ONE "tb."), "no shape");
    refused(MR_LIT(EMPTY "(K\x01(\x8a\x06\0\0\0\0\0\x01K\x02t" F8 "\x89" ONE "tb."),
            "more than 2^40");
    refused(MR_LIT(EMPTY "(K\x01(K\x01tN\x89" ONE "tb."), "without a dtype");
    refused(MR_LIT(EMPTY "(K\x01(K\x01t" F8 "\x89" ONE "tb(K\x01(K\x01t" F8 "\x89" ONE "tb."),
            "state given twice");
    refused(MR_LIT("c_codecs\nencode\n(X\x03\0\0\0\xe2\x82\xacU\x06latin1tR."), "Latin-1");
    /* a dtype cannot grow behind an array's back */
    refused(MR_LIT("cnumpy._core.numeric\n_frombuffer\n(C\x01zcnumpy\ndtype\nU\x02V1\x85Rq\x01K\x01"
                   "\x85U\x01\x43tRh\x01(K\x03U\x01|NNNK\x40K\x01K\x00tb."),
            "changed after its use");
}

MR_TEST(limits_hold) {
    struct mr_pk_limits lim = mr_pk_default_limits();
    struct mr_pk_doc *d = NULL;
    struct mr_err e = {0};
    enum { N = 100000 };
    char *p = malloc(N);
    memset(p, '2', N); /* DUP flood */
    p[0] = 'N';
    lim.max_memory = 1 << 16;
    CHECK_INT(mr_pickle_load(p, N, &lim, &d, &e), MR_EREFUSED);
    CHECK(strstr(e.msg, "MiB"));
    memset(p, '(', N); /* mark flood */
    CHECK_INT(mr_pickle_load(p, N, &lim, &d, &e), MR_EREFUSED);
    memset(p, ']', N);
    CHECK_INT(mr_pickle_load(p, N, &lim, &d, &e), MR_EREFUSED);
    lim = mr_pk_default_limits();
    lim.max_nodes = 1000;
    CHECK_INT(mr_pickle_load(p, N, &lim, &d, &e), MR_EREFUSED);
    CHECK(strstr(e.msg, "objects"));
    lim = mr_pk_default_limits(); /* nested lists */
    memset(p + N / 2, 'a', N / 2);
    CHECK_INT(mr_pickle_load(p, N, &lim, &d, &e), MR_EREFUSED);
    CHECK(strstr(e.msg, "nest more than"));
    memset(p, ')', N); /* nested tuples */
    memset(p + 1, '\x85', N - 1);
    CHECK_INT(mr_pickle_load(p, N, &lim, &d, &e), MR_EREFUSED);
    CHECK(strstr(e.msg, "nest more than"));
    CHECK(!d);
    free(p);
}

/* A few bytes of pickle that name the same data again: work is bounded, not only memory. */
MR_TEST(repeated_work_is_bounded) {
    struct mr_buf b;
    struct mr_pk_limits lim = mr_pk_default_limits();
    lim.max_memory = 4 << 20;
    mr_buf_init(&b, 4 << 20);
    mr_buf_add(&b, "c_codecs\nencode\nq\x01", 18);
    mr_buf_add(&b, "X\x00\x00\x01\x00", 5);
    memset(mr_buf_reserve(&b, 65536), 'a', 65536);
    b.n += 65536;
    mr_buf_cstr(&b, "U\x06latin1\x86q\x02");
    for (int i = 0; i < 1000; i++)
        mr_buf_cstr(&b, "0h\x01h\x02R");
    mr_buf_cstr(&b, ".");
    CHECK(mr_buf_ok(&b));
    struct mr_pk_doc *d = NULL;
    struct mr_err e = {0};
    CHECK_INT(mr_pickle_load(b.p, b.n, &lim, &d, &e), MR_EREFUSED);
    CHECK(strstr(e.msg, "over and over"));
    lim.max_memory = 128 << 20;
    CHECK_INT(mr_pickle_load(b.p, b.n, &lim, &d, &e), 0);
    mr_pickle_free(d);
    mr_buf_release(&b);
}

MR_TEST(last_key_wins_and_state_may_be_a_pair) {
    struct mr_pk_doc *d = NULL;
    static const char two[] = "cm\nC\n)\x81}U\x01\x61K\x01sU\x01\x61K\x02s}U\x01zK\x03s\x86\x62.";
    CHECK_INT(mr_pickle_load(two, sizeof two - 1, NULL, &d, NULL), 0);
    int64_t v = 0;
    const struct mr_pk *r = mr_pickle_root(d);
    CHECK(mr_pk_int(mr_pk_attr(r, "a"), &v) && v == 2);
    CHECK(mr_pk_int(mr_pk_attr(r, "z"), &v) && v == 3);
    CHECK(!mr_pk_attr(r, "b") && !mr_pk_attr(NULL, "a"));
    CHECK(mr_str_is(mr_pk_class_short(r), "C"));
    mr_pickle_free(d);
}

MR_TEST(sniff_tells_pickles_from_other_files) {
    static const struct mr_str yes[] = {
        MR_LIT("\x80\x04\x95"),   MR_LIT("ccopy_reg\n_reconstructor\np0\n"),
        MR_LIT("(dp0\n"),         MR_LIT("(lp0\n"),
        MR_LIT("]q\x00"),         MR_LIT("cos\nsystem\n"),
        MR_LIT("(ios\nsystem\n"),
    };
    static const struct mr_str no[] = {
        MR_LIT("{\"a\":1}"),
        MR_LIT("tree\nversion=v4\n"),
        MR_LIT("PK\x03\x04"),
        MR_LIT("\x08\x08\x12"),
        MR_LIT(""),
        MR_LIT("col1,col2\n1,2\n"),
        MR_LIT("\x89HDF\r\n\x1a\n"),
        MR_LIT("\x80\x09"),
        MR_LIT("x\x9c\x01\x02"),
        MR_LIT("(hello)"),
        MR_LIT("class A:\n  pass\n"),
    };
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        CHECK(mr_pickle_sniff(yes[i].p, yes[i].n));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (mr_pickle_sniff(no[i].p, no[i].n))
            CHECK_STR(no[i].p, "no pickle");
}

MR_TEST_MAIN(CASE(numbers), CASE(text_and_bytes), CASE(containers), CASE(stack_and_memo),
             CASE(objects_are_inert), CASE(framing), CASE(data_constructors), CASE(limits_hold),
             CASE(repeated_work_is_bounded), CASE(last_key_wins_and_state_may_be_a_pair),
             CASE(sniff_tells_pickles_from_other_files))
