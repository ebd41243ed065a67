/* CSV: every value, every assumption said, every refusal with its place. The files are as pandas 3.0, R 4 and Excel
 * write them; what they mean is written beside them. */
#include "tests/data/import_support.h"

static rt_import_spec csv(const char *path) { return (rt_import_spec){.format = RT_FORMAT_CSV, .input = path}; }
static rt_import_spec labelled(const char *path, const char *label)
{
    rt_import_spec s = csv(path);
    s.label = label;
    return s;
}
static int has_header(const imported *r)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(r->report, "header"),
                                                         "present"));
}

/* Imports text, says whether line 1 was taken as a header, and how many rows and columns there are. */
static void check_header(const char *text, const char *label, int header, uint64_t rows, uint64_t columns)
{
    imported r = import(labelled(put("h.csv", text, strlen(text)), label));
    if (has_header(&r) != header || r.dim[0] != rows || r.dim[1] != columns)
        fail_msg("header %d, %d rows, %d columns of:\n%s", has_header(&r), (int)r.dim[0], (int)r.dim[1], text);
    assert_true(*text_of(cJSON_GetObjectItemCaseSensitive(r.report, "header"), "why") != 0);
    done(&r);
}

static void plain(void **state)
{
    (void)state;
    imported r = import(labelled(TEXT("a.csv", "a,b,kind\n1,2.5,\"dog, big\"\n-3,4e2,cat\n5,6,cat\n"), "kind"));
    CHECK_X(r, float, 1, 2.5f, -3, 400, 5, 6);
    CHECK_Y(r, 1, 0, 0);
    assert_int_equal(r.type, RT_F32);
    assert_string_equal(names_of(r.manifest, "classes"), "cat|dog, big");
    assert_string_equal(names_of(r.manifest, "columns"), "a|b");
    assert_string_equal(names_of(r.report, "columns"), "a|b");
    assert_string_equal(names_of(r.report, "class_rows"), "2|1");
    assert_string_equal(text_of(r.report, "label_column"), "kind");
    const cJSON *from = cJSON_GetObjectItemCaseSensitive(r.manifest, "imported");
    assert_string_equal(text_of(from, "label_column"), "kind");
    assert_int_equal(strlen(text_of(cJSON_GetObjectItemCaseSensitive(from, "inputs")->child, "xxh128")), 32);
    done(&r);
    r = import(csv(TEXT("n.csv", "a\r\n0.1\r\n\r\n+.5\r\n1.\r\n-1.5E-3\r\n12345678901234567890e-19\r\n")));
    CHECK_X(r, float, 0.1f, 0.5f, 1, -1.5e-3f, (float)1.2345678901234567890);
    assert_true(skipped(&r, "blank lines") == 1 && !r.y);
    done(&r);
    r = import(csv(TEXT("mac.csv", "a,b\r1,2\r3,4\r")));
    CHECK_X(r, float, 1, 2, 3, 4);
    done(&r);
    r = import(labelled(TEXT("q.csv", "k,a\n\"say \"\"hi\"\"\",1\n\"two\nlines\",2\n"), "k"));
    assert_string_equal(names_of(r.manifest, "classes"), "say \"hi\"|two\nlines");
    done(&r);
}

static void header(void **state)
{
    (void)state;
    check_header("a,b\n1,2\n3,4\n", NULL, 1, 2, 2);
    check_header("1,2\n3,4\n", NULL, 0, 2, 2);
    check_header("1.5,x\n2.5,y\n", "-1", 0, 2, 1);                        /* a text label is no header */
    check_header("5.1,3.5,setosa\n4.9,3,setosa\n7,3.2,versicolor\n", "2", 0, 3, 2);
    check_header("5.1,3.5,rare\n4.9,3,setosa\n7,3.2,setosa\n", "2", 0, 3, 2);
    check_header("w,h,k\n5.1,3.5,setosa\n4.9,3,setosa\n", "-1", 1, 2, 2);
    check_header("0,1,2,3\n9,4,0,7\n5,5,1,2\n", NULL, 1, 2, 4);           /* DataFrame(x).to_csv(index=False) */
    check_header("0,1,2,3,label\n9,4,0,7,u\n5,5,1,2,v\n", "label", 1, 2, 4);
    check_header("0,1,2,3,label\n9,4,0,7,u\n5,5,1,2,v\n", "-1", 1, 2, 4);
    check_header("0,label\n5.1,u\n5,v\n3,u\n4,v\n", "1", 1, 4, 1);
    check_header(",0,1,2,3\n0,9,4,0,7\n1,5,5,1,2\n", NULL, 1, 2, 4);      /* with its index */
    check_header(",0,1,2,3\n0,9,4,0,0\n1,5,5,1,3\n", "-1", 1, 2, 3);
    check_header("2019,2020,2021\n1.5,2,2.5\n3,4,5\n", NULL, 1, 2, 3);
    check_header("2000,2005,2010\n1.5,2,2.5\n3,4,5\n", NULL, 1, 2, 3);
    check_header("400,402.5,405,407.5,410,412.5,415,418\n5,2,3,1,2,3,4,1\n1,2,2,4,5,4,6,1\n", NULL, 1, 2, 8);
    check_header("0,1,2,3\n4,5,6,7\n8,9,10,11\n", NULL, 0, 3, 4);         /* arange(12).reshape(3, 4) */
    check_header("3,1,2\n2,1,4\n", NULL, 0, 2, 3);
    check_header("1,2,4,8,16,32,64,128\n1,3,9,27,81,243,729,2187\n", NULL, 0, 2, 8);
    check_header("7,8,9\n9,9.5,1\n", NULL, 0, 2, 3);
    check_header("1,2\n5,7\n", NULL, 0, 2, 2);
    check_header("1,2\n", NULL, 0, 1, 2);
    check_header("x,1980\n2,3\n4,5\n", "x", 1, 2, 1);
    check_header("0,1\n1,0\n1,1\n", NULL, 0, 3, 2);
    refuse(csv(TEXT("m.csv", "7,oops,9\n1,2,3\n4,5,6\n")), RT_USAGE, "cannot tell whether line 1 is a header");
    refuse(csv(TEXT("m1.csv", "1,2,3\n5,7,1\n2,9,4\n")), RT_USAGE, "give --header yes or no");
    refuse(csv(TEXT("m2.csv", "0,1\n5,7\n2,9\n")), RT_USAGE, "give --header yes or no");
    /* The rows below may have the pattern of line 1 by chance: a header, or not? */
    refuse(labelled(TEXT("m3.csv", "0,1,2\n3,4,1\n5,6,0\n"), "2"), RT_USAGE, "and rows below hold such, too");
    refuse(csv(TEXT("m4.csv", "0,1\n5,7\n2,9\n3,4\n")), RT_USAGE, "and rows below hold such, too");
    refuse(csv(TEXT("m5.csv", "2001,2002,2003\n5,7,1\n2,9,1\n2004,2005,2006\n1,1,1\n2,1,2\n3,1,3\n")), RT_USAGE,
           "and rows below hold such, too");
    refuse(labelled(TEXT("m6.csv", "0,1,k\n7,9,1\n9,3,0\n"), "2"), RT_USAGE, "it holds text where the rows below");
    refuse(csv(TEXT("m7.csv", "2001\n7.5\n-3\n")), RT_USAGE, "it holds a year, and no row below does");
    check_header("2001\n2003\n1999\n", NULL, 0, 3, 1);
    check_header("2026,2010,2003\n1993,2021,2011\n1990,1990,2010\n", NULL, 0, 3, 3);     /* years in every row */
    refuse(csv(TEXT("m8.csv", "2001,2002\n1,0\n1,1\n")), RT_USAGE, "it holds numbers that may be names");
    rt_import_spec s = csv(TEXT("f.csv", "1,2\n3,4\n"));
    s.header = RT_HEADER_YES;
    imported r = import(s);
    CHECK_X(r, float, 3, 4);
    assert_string_equal(names_of(r.manifest, "columns"), "1|2");
    done(&r);
    s = csv(TEXT("0.csv", "0,1,2\n5,3,4\n"));
    s.header = RT_HEADER_NO;
    r = import(s);
    CHECK_X(r, float, 0, 1, 2, 5, 3, 4);
    assert_string_equal(names_of(r.manifest, "columns"), "(none)");
    done(&r);
    /* A first row with a gap is a row: it is not lost. */
    refuse(csv(TEXT("g.csv", "1.5,,3\n2,3,4\n")), RT_INPUT, "line 1, column 1: there is no value");
    refuse(csv(TEXT("g2.csv", ",2.5,3\n2,3,4\n")), RT_INPUT, "line 1, column 0: there is no value");
    refuse(csv(TEXT("g3.csv", "NA,2.5,3\n2,3,4\n")), RT_INPUT, "line 1, column 0: there is no value");
    s = csv(TEXT("g4.csv", "1.5,NaN,3\n2,3,4\n5,6,7\n"));
    s.drop_missing = 1;
    r = import(s);
    CHECK_X(r, float, 2, 3, 4, 5, 6, 7);
    assert_true(skipped(&r, "rows") == 1);
    done(&r);
}

static void index_column(void **state)
{
    (void)state;
    imported r = import(labelled(TEXT("p.csv", ",a,b,k\n0,1.5,2,u\n1,3,4,v\n"), "k"));     /* pandas */
    CHECK_X(r, float, 1.5f, 2, 3, 4);
    assert_string_equal(names_of(r.manifest, "columns"), "a|b");
    const cJSON *left = cJSON_GetObjectItemCaseSensitive(r.report, "left_out")->child;
    assert_string_equal(text_of(left, "column"), "");
    assert_non_null(strstr(text_of(left, "why"), "index"));
    done(&r);
    rt_import_spec s = labelled(TEXT("p.csv", ",a,b,k\n0,1.5,2,u\n1,3,4,v\n"), "k");
    s.keep_index = 1;
    r = import(s);
    CHECK_X(r, float, 0, 1.5f, 2, 1, 3, 4);
    assert_string_equal(names_of(r.manifest, "columns"), "Unnamed: 0|a|b");
    done(&r);
    s = csv(TEXT("o.csv", "a,b\n1,2\n"));
    s.keep_index = 1;
    refuse(s, RT_USAGE, "is no index");
    r = import(csv(TEXT("r.csv", "\"\",\"a\",\"b\"\n\"x\",1,2\n\"y\",3,4\n")));              /* R: write.csv */
    CHECK_X(r, float, 1, 2, 3, 4);
    done(&r);
    /* R: write.table */
    r = import(labelled(TEXT("t.txt", "\"a\" \"b\" \"k\"\n\"1\" 1 2 \"u\"\n\"2\" 3 4 \"v\"\n"), "k"));
    CHECK_X(r, float, 1, 2, 3, 4);
    CHECK_Y(r, 0, 1);
    assert_string_equal(names_of(r.manifest, "columns"), "a|b");
    done(&r);
    r = import(csv(TEXT("i.csv", "id,a\n1,5\n2,7\n3,1\n4,0\n")));
    assert_true(noted(&r, "column 'id' (0) counts the rows"));
    done(&r);
    r = import(csv(TEXT("e.csv", "a,b,\n1,2,\n3,4,\n")));                 /* each line ends in a separator */
    CHECK_X(r, float, 1, 2, 3, 4);
    done(&r);
    refuse(csv(TEXT("e2.csv", "1,2,\n3,4,5\n")), RT_INPUT, "line 1, column 2: there is no value");
}

static void columns(void **state)
{
    (void)state;
    refuse(csv(TEXT("d.csv", "a,b,a\n1,2,3\n")), RT_INPUT, "'a' stands twice, in columns 0 and 2");
    refuse(labelled(TEXT("u.csv", "a,b\n1,2\n"), "c"), RT_USAGE, "no column 'c' for --label; the file has a, b");
    refuse(labelled(TEXT("u2.csv", "1,2\n3,5\n"), "c"), RT_USAGE, "numbers go from 0 to 1");
    refuse(labelled(TEXT("u3.csv", "a,b\n1,2\n"), "2"), RT_USAGE, "no column '2'");
    refuse(labelled(TEXT("u4.csv", "a\n1\n"), "a"), RT_INPUT, "no column beside the label");
    refuse(csv(TEXT("t.csv", "a,Name,Sex\n1,Ann,f\n2,Bob,m\n")), RT_INPUT,
           "line 2, column 'Name' (1): 'Ann' is no finite number (2 of 2 rows); encode it as numbers, name it by "
           "--label, or leave it out: --drop 'Name,Sex'");
    rt_import_spec s = csv(TEXT("t.csv", "a,Name,Sex\n1,Ann,f\n2,Bob,m\n"));
    s.drop[s.drops++] = "Name";
    s.drop[s.drops++] = "-1";
    imported r = import(s);
    CHECK_X(r, float, 1, 2);
    done(&r);
    s.drop[s.drops++] = "zzz";
    refuse(s, RT_USAGE, "no column 'zzz' for --drop");
    refuse(csv(TEXT("inf.csv", "a,b\n1,inf\n")), RT_INPUT, "'inf' is no finite number");
    refuse(csv(TEXT("hex.csv", "a,b\n1,0x10\n2,3\n")), RT_INPUT, "'0x10' is no finite number");
    refuse(csv(TEXT("big.csv", "a,b\n1,1e999\n2,3\n")), RT_INPUT, "'1e999' is no finite number");
    refuse(csv(TEXT("gap.csv", "a,b\n1,2\n,4\n5,\n")), RT_INPUT,
           "line 3, column 'a' (0): there is no value, and 2 gaps in 2 columns");
    refuse(csv(TEXT("none.csv", "a,b\n1,\n2,\n")), RT_INPUT, "column 'b' (1) holds nothing");
    r = import(labelled(TEXT("num.csv", "5,0,2\n1,2,3.5\n4,5,7\n"), "0"));          /* no header: 0 is a position */
    CHECK_Y(r, 2, 0, 1);
    done(&r);
}

static void damaged(void **state)
{
    (void)state;
    refuse(csv(TEXT("c.csv", "a,b\n1,2\n3\n")), RT_INPUT, "line 3 has 1 columns, line 1 has 2");
    refuse(csv(TEXT("l.csv", "a,b\n1,\"2\n3\"\n4,5,6\n")), RT_INPUT, "line 4 has 3 columns");
    refuse(csv(TEXT("h.csv", "a,b\n1,\"2\n3,4\n5,6\n")), RT_INPUT,
           "the quote that is opened on line 2 is never closed");
    refuse(csv(TEXT("h2.csv", "a,b\n\"1\",\"2\n\"\n\"3\",\"4\n5,6\n")), RT_INPUT,
           "the quote that is opened on line 4 is never closed");
    refuse(csv(TEXT("h3.csv", "a,b\n1,2\n3,4\"5\n")), RT_INPUT, "line 3, column 2: a quote inside a cell");
    refuse(csv(TEXT("nul.csv", "a,b\n1,2\n3,\0004\n")), RT_INPUT, "line 3 holds a NUL byte");
    refuse(csv(TEXT("e.csv", "")), RT_NOTHING, "has no records");
    refuse(csv(TEXT("e2.csv", "\n\r\n\n")), RT_NOTHING, "has no records");
    refuse(csv(TEXT("e3.csv", "a,b\n")), RT_NOTHING, "has a header and no rows");
    size_t n = 3 << 20;
    char *huge = malloc(n);
    memset(huge, 'x', n);
    memcpy(huge, "a,b\n1,2\n3,\"", 11);
    refuse(csv(put("huge.csv", huge, n)), RT_INPUT, "the cell that starts on line 3 has more than 1048576 bytes");
    free(huge);
    refuse(csv(test_folder), RT_INPUT, "is a folder");
    refuse((rt_import_spec){.format = RT_FORMAT_CSV, .input = "/dev/null"}, RT_INPUT, "is no regular file");
    refuse((rt_import_spec){.format = RT_FORMAT_CSV, .input = "none.csv"}, RT_INPUT, "No such file");
}

static void separators(void **state)
{
    (void)state;
    static const char *const texts[] = {"a;b;k\n1;2;u\n3;4;v\n", "a\tb\tk\n1\t2\tu\n3\t4\tv\n", "a|b|k\n1|2|u\n3|4|v\n",
                                        "sep=;\na;b;k\n1;2;u\n3;4;v\n", "a b  k\n 1 2\tu \n3   4 v\n",
                                            "# a b k\n1 2 u\n3 4 v\n"};
    static const char *const said[] = {";", "tab", "|", ";", "blanks", "blanks"};
    for (int i = 0; i < 6; i++) {
        imported r = import(labelled(put("s.csv", texts[i], strlen(texts[i])), "k"));
        CHECK_X(r, float, 1, 2, 3, 4);
        CHECK_Y(r, 0, 1);
        assert_string_equal(names_of(r.manifest, "columns"), "a|b");
        assert_string_equal(text_of(r.report, "separator"), said[i]);
        done(&r);
    }
    /* One comma a record could be decimal, or separate. */
    rt_import_spec s = labelled(TEXT("d.csv", "1,5;2,5;u\n3,5;4,25;v\n"), "-1");
    refuse(s, RT_INPUT, "'1,5' is no number with the decimal sign '.'; if ',' is the decimal sign, use --decimal ','");
    s.decimal = ',';
    imported r = import(s);
    CHECK_X(r, float, 1.5f, 2.5f, 3.5f, 4.25f);
    done(&r);
    s = csv(TEXT("d1.csv", "a\n1,5\n2,5\n"));
    s.decimal = ',';
    r = import(s);
    CHECK_X(r, float, 1.5f, 2.5f);
    done(&r);
    s = labelled(TEXT("d2.csv", "a;k\n1,5;1,0\n2,5;1\n2;0\n"), "k");
    s.decimal = ',';
    r = import(s);
    CHECK_Y(r, 1, 1, 0);
    done(&r);
    s = labelled(TEXT("w.csv", "a;b;k\n1;2;u\n3;4;v\n"), "k");
    s.separator = ',';
    refuse(s, RT_USAGE, "it looks separated by ';': use --separator ';'");
    s.label = NULL;
    refuse(s, RT_INPUT, "use --separator ';'");
}

/* Messages and notes are one line of valid UTF-8, whatever the cells hold and wherever they are cut. */
static void one_line(void **state)
{
    (void)state;
    refuse(csv(TEXT("nl.csv", "a,b\n1,\"x\n\033[2J\302\233y\177\"\n2,3\n")), RT_INPUT,
           "'x??[2J?y?' is no finite number");
    refuse(csv(TEXT("cut.csv", "a,b\n1,äääääääääääääääääääxäää\n2,3\n")), RT_INPUT,
           "'äääääääääääääääääääx?' is no finite number");
}

static void encodings(void **state)
{
    (void)state;
    imported r = import(labelled(TEXT("bom.csv", "\357\273\277a,k\n1,u\n2,v\n"), "k"));
    assert_string_equal(names_of(r.manifest, "columns"), "a");
    done(&r);
    static const char utf16[] = "\377\376a\0,\0k\0\n\0001\0,\0\344\0\n\0002\0,\0\254\040\n\0";      /* ä, € */
    r = import(labelled(put("16.csv", utf16, sizeof utf16 - 1), "k"));
    CHECK_X(r, float, 1, 2);
    assert_string_equal(names_of(r.manifest, "classes"), "ä|€");
    assert_string_equal(text_of(r.report, "encoding"), "utf-16le");
    done(&r);
    static const char big[] = "\0a\0,\0k\0\n\0001\0,\0\344\0\n";
    rt_import_spec s = labelled(put("16be.csv", big, sizeof big - 1), "k");
    refuse(s, RT_INPUT, "if the file is UTF-16, give --encoding utf-16");
    s.encoding = "utf-16";
    r = import(s);
    assert_string_equal(names_of(r.manifest, "classes"), "ä");
    done(&r);
    static const char latin[] = "gr\366\337e,k\n1,Stra\337e\n2,\200uro\n";
    s = labelled(TEXT("l1.csv", latin), "k");
    refuse(s, RT_INPUT, "line 1 is no valid UTF-8 (byte 0xf6)");
    s.encoding = "windows-1252";
    r = import(s);
    assert_string_equal(names_of(r.manifest, "columns"), "größe");
    assert_string_equal(names_of(r.manifest, "classes"), "Straße|€uro");
    done(&r);
    s.encoding = "latin1";
    r = import(s);
    assert_string_equal(names_of(r.manifest, "classes"), "Straße|\302\200uro");
    done(&r);
    s.encoding = "klingon";
    refuse(s, RT_USAGE, "--encoding klingon: is not known");
    refuse(labelled(TEXT("over.csv", "a,k\n1,u\n2,\300\257\n"), "k"), RT_INPUT, "line 3 is no valid UTF-8 (byte 0xc0)");
    refuse(labelled(TEXT("cut.csv", "a,k\n1,u\n2,\303"), "k"), RT_INPUT, "the last line ends inside a character");
}

static void wide_numbers(void **state)
{
    (void)state;
    imported r = import(csv(TEXT("24.csv", "a,b\n16777216,1.5\n-16777216,2\n16777218,1e10\n")));
    assert_int_equal(r.type, RT_F32);                     /* all are floats exactly */
    done(&r);
    r = import(csv(TEXT("i32.csv", "a,b\n16777217,1\n3,-2147483648\n")));
    assert_int_equal(r.type, RT_I32);
    CHECK_X(r, int32_t, 16777217, 1, 3, INT32_MIN);
    assert_true(noted(&r, "f32 would round '16777217' (line 2, column 'a' (0))"));
    done(&r);
    r = import(csv(TEXT("i64.csv", "a,b\n9007199254740993,1\n3,2147483648\n")));
    assert_int_equal(r.type, RT_I64);
    CHECK_X(r, int64_t, 9007199254740993, 1, 3, 2147483648);
    done(&r);
    r = import(csv(TEXT("f64.csv", "a,b\n1700000000.5,1\n16777217,0.1\n")));
    assert_int_equal(r.type, RT_F64);
    CHECK_X(r, double, 1700000000.5, 1, 16777217, 0.1);
    done(&r);
    r = import(csv(TEXT("sci.csv", "1.677721700000000000e+07,2.5\n1e-50,3\n")));      /* numpy.savetxt */
    assert_int_equal(r.type, RT_F64);
    CHECK_X(r, double, 16777217, 2.5, 1e-50, 3);
    done(&r);
    r = import(csv(TEXT("short.csv", "1.2345679e+20,2.5\n0.1,3\n")));                 /* a float32 as it prints */
    assert_int_equal(r.type, RT_F32);
    CHECK_X(r, float, 1.2345679e+20f, 2.5f, 0.1f, 3);
    done(&r);
    refuse(csv(TEXT("no.csv", "a,b\n9007199254740993,0.5\n3,2\n")), RT_INPUT,
           "'9007199254740993' fits no type exactly that holds all other numbers");
    refuse(csv(TEXT("no2.csv", "a,b\n123456789012345678901,5\n3,2\n")), RT_INPUT,
           "line 2, column 'a' (0): '123456789012345678901'");
}

static void labels(void **state)
{
    (void)state;
    imported r = import(labelled(TEXT("m.csv", "a,k\n1,u\n2,\n3,NaN\n4,v\n5,?\n"), "k"));
    CHECK_Y(r, 0, -1, -1, 1, -1);
    assert_true(noted(&r, "rows without a label: 3"));
    assert_string_equal(names_of(r.report, "class_rows"), "1|1");
    done(&r);
    rt_import_spec s = labelled(TEXT("m.csv", "a,k\n1,u\n2,\n3,v\n"), "k");
    s.missing_labels_refused = 1;
    refuse(s, RT_INPUT, "rows without a label: 1");
    /* one class, however it is written */
    r = import(labelled(TEXT("1.csv", "a,k\n1,1\n2,1.0\n3,0\n4,2e0\n5,01\n6,\n"), "k"));
    CHECK_Y(r, 1, 1, 0, 2, 1, -1);
    assert_string_equal(names_of(r.manifest, "classes"), "0|1|2");
    assert_string_equal(names_of(r.report, "class_rows"), "1|3|1");
    done(&r);
    r = import(labelled(TEXT("02.csv", "a,k\n1,2\n2,0\n"), "k"));                     /* values are kept */
    CHECK_Y(r, 2, 0);
    assert_string_equal(names_of(r.manifest, "classes"), "0|1|2");
    assert_true(noted(&r, "1 of the classes 0 to 2 have no row"));
    done(&r);
    /* names are kept, in their order */
    r = import(labelled(TEXT("10.csv", "a,k\n1,10\n2,9\n3,1\n"), "k"));
    CHECK_Y(r, 2, 1, 0);
    assert_string_equal(names_of(r.manifest, "classes"), "1|9|10");
    assert_true(noted(&r, "class 1 is 0 in y"));
    done(&r);
    r = import(labelled(TEXT("far.csv", "a,k\n1,0\n2,100000\n"), "k"));
    CHECK_Y(r, 0, 1);
    assert_string_equal(names_of(r.manifest, "classes"), "0|100000");
    done(&r);
    r = import(labelled(TEXT("mix.csv", "a,k\n1,10\n2,9\n3,None\n"), "k"));           /* a gap among numbers */
    CHECK_Y(r, 1, 0, -1);
    done(&r);
    r = import(labelled(TEXT("mix2.csv", "a,k\n1,wood\n2,9\n3,None\n"), "k"));        /* a class among texts */
    CHECK_Y(r, 2, 0, 1);
    assert_string_equal(names_of(r.manifest, "classes"), "9|None|wood");
    done(&r);
    refuse(labelled(TEXT("all.csv", "a,k\n1,\n2,NA\n"), "k"), RT_INPUT, "no row has a label");
}

static void minus_one(void **state)
{
    (void)state;
    imported r = import(labelled(TEXT("pm.csv", "a,k\n1,-1\n2,1\n3,+1\n"), "k"));
    CHECK_Y(r, 0, 1, 1);
    assert_string_equal(names_of(r.manifest, "classes"), "-1|1");
    done(&r);
    r = import(labelled(TEXT("un.csv", "a,k\n1,-1\n2,1\n3,0\n4,2\n"), "k"));
    CHECK_Y(r, -1, 1, 0, 2);
    assert_true(noted(&r, "label -1 is taken as 'no label'"));
    done(&r);
    rt_import_spec s = labelled(TEXT("am.csv", "a,k\n1,-1\n2,1\n3,0\n"), "k");
    refuse(s, RT_INPUT, "is label -1 a class, or 'no label'?");
    s.no_label = "-1.0";
    r = import(s);
    CHECK_Y(r, -1, 1, 0);
    done(&r);
    s.no_label = NULL;
    s.classes[0] = "-1", s.classes[1] = "0", s.classes[2] = "1";
    s.class_count = 3;
    r = import(s);
    CHECK_Y(r, 0, 2, 1);
    done(&r);
}

static void regression(void **state)
{
    (void)state;
    char text[40000] = "a,t\n";
    size_t n = 4;
    for (int i = 0; i < 442; i++) n += (size_t)snprintf(text + n, sizeof text - n, "%d,%d\n", i % 7,
                                                        25 + (i * 77) % 214);
    rt_import_spec s = labelled(put("d.csv", text, n), "t");
    refuse(s, RT_INPUT, "has 214 different labels in 442 rows: that looks like the target of a regression");
    s.max_classes = 214;
    imported r = import(s);
    assert_string_equal(text_of(r.report, "label_column"), "t");
    done(&r);
    n = 4;
    for (int i = 0; i < 3003; i++) n += (size_t)snprintf(text + n, sizeof text - n, "%d,c%d\n", i % 7, i % 1001);
    refuse(labelled(put("e.csv", text, n), "t"), RT_INPUT, "has 1001 different labels");
    refuse(labelled(TEXT("f.csv", "a,t\n1,0.5\n2,1\n3,1.5\n"), "t"), RT_INPUT,
           "label '0.5' is no whole number: that looks like the target of a regression");
    s = labelled(TEXT("f.csv", "a,t\n1,0.50\n2,1\n3,1.5\n"), "t");
    s.classes[0] = "0.5", s.classes[1] = "1.0", s.classes[2] = "1.5";
    s.class_count = 3;
    r = import(s);
    CHECK_Y(r, 0, 1, 2);
    done(&r);
}

static void like(void **state)
{
    (void)state;
    char like_path[128];
    snprintf(like_path, sizeof like_path, "%s/like.h5", test_folder);
    cJSON *report;
    rt_import_spec first = labelled(TEXT("t.csv", "a,b,k\n1,2,u\n3,4,v\n5,6,w\n"), "k");
    check_ok(rt_import_run(&first, &(rt_target){.path = like_path}, &report));
    cJSON_Delete(report);
    rt_import_spec s = labelled(TEXT("n.csv", "b,z,a,k\n2,9,1,w\n4,9,3,u\n"), "k");
    s.like = like_path;
    imported r = import(s);
    CHECK_X(r, float, 1, 2, 3, 4);
    CHECK_Y(r, 2, 0);                                      /* without v */
    assert_string_equal(names_of(r.manifest, "columns"), "a|b");
    assert_string_equal(names_of(r.manifest, "classes"), "u|v|w");
    assert_string_equal(text_of(cJSON_GetObjectItemCaseSensitive(r.report, "left_out")->child, "column"), "z");
    assert_true(noted(&r, "columns are put in the order of"));
    done(&r);
    s.label = NULL;                                        /* as in the file that it is like */
    r = import(s);
    CHECK_Y(r, 2, 0);
    done(&r);
    s = labelled(TEXT("q.csv", "b,a,k\n2,1,q\n3,1,u\n"), "k");
    s.like = like_path;
    refuse(s, RT_INPUT, "labels (q) are none of the classes of ");
    refuse(s, RT_INPUT, "(u, v, w)");
    s.input = TEXT("c.csv", "b,k\n2,u\n");
    refuse(s, RT_INPUT, "has no column 'a' of ");
    refuse(s, RT_INPUT, "it has b; needed are a, b");
    s.input = TEXT("num.csv", "a,b,k\n2,1,0\n");
    refuse(s, RT_INPUT, "labels (0) are none of the classes of ");
    s = labelled(TEXT("nh.csv", "7,8,w\n9,9.5,u\n"), "-1");
    s.like = like_path;
    r = import(s);
    assert_string_equal(names_of(r.manifest, "columns"), "a|b");
    assert_true(noted(&r, "names no columns"));
    done(&r);
    s.input = TEXT("nh3.csv", "7,8,9,w\n9,9.5,1,u\n");
    refuse(s, RT_INPUT, "cannot be matched");
    s = labelled(TEXT("pos.csv", "a,k\n7,1\n8,0\n"), "k");
    s.classes[0] = "shirt", s.classes[1] = "boot";
    s.class_count = 2;
    r = import(s);
    CHECK_Y(r, 1, 0);
    assert_string_equal(names_of(r.manifest, "classes"), "shirt|boot");
    done(&r);
    s.classes[1] = "shirt";
    refuse(s, RT_USAGE, "--classes: 'shirt' stands twice");
}

/* What is asked about labels and would do nothing, or contradicts what is asked, too. */
static void labels_asked(void **state)
{
    (void)state;
    rt_import_spec s = csv(TEXT("a.csv", "a,l\n1,x\n2,bad\n3,y\n"));
    s.label = "l";
    s.no_label = "nope";
    imported r = import(s);
    assert_true(noted(&r, "no row has the label 'nope' of --no-label"));
    done(&r);
    s.classes[0] = "x", s.classes[1] = "bad", s.classes[2] = "y";
    s.class_count = 3;
    s.no_label = "bad";
    refuse(s, RT_USAGE, "--no-label 'bad' is one of the classes of --classes");
    s.no_label = NULL;
    s.max_classes = 5;
    refuse(s, RT_USAGE, "--max-classes does nothing: the classes are those of --classes");
    s = csv(TEXT("c.csv", "a,l\n1,No\n2,no\n3,\"no \"\n4,yes\n"));
    s.label = "l";
    r = import(s);
    CHECK_Y(r, 0, 1, 2, 3);
    assert_true(noted(&r, "differ only in case or blanks: 'No' and 'no', and others"));
    done(&r);
    s = csv(TEXT("t.csv", "# made by hand, once\na,l\n1,x\n"));
    s.label = "k";
    refuse(s, RT_USAGE, "there is no column 'k' for --label");
    s = csv(TEXT("i.csv", "a,l\n1,0\n2,inf\n3,1\n"));
    s.label = "l";
    refuse(s, RT_INPUT, "label 'inf' among numbers is no class");
    s.no_label = "inf";
    r = import(s);
    CHECK_Y(r, 0, -1, 1);
    done(&r);
    s = csv(TEXT("g.csv", "a,l\n1,0\n2,255\n3,255\n"));
    s.label = "l";
    refuse(s, RT_INPUT, "has 2 different labels in 3 rows, which, keeping their numbers, would be classes 0 to 255");
}

/* A file without column names has as many as the one that it shall be like. */
static void like_width(void **state)
{
    (void)state;
    rt_import_spec s = csv(TEXT("n.csv", "1,2,x\n3,4,y\n"));
    s.label = "2";
    char like[128];
    cJSON *report;
    check_ok(rt_import_run(&s, &(rt_target){.path = out_path(), .force = 1}, &report));
    cJSON_Delete(report);
    snprintf(like, sizeof like, "%s/like.h5", test_folder);
    assert_int_equal(rename(out_path(), like), 0);
    s = csv(TEXT("w.csv", "1,2,3,x\n3,4,5,y\n"));
    s.label = "3";
    s.like = like;
    refuse(s, RT_INPUT, "its rows have the shape (3), and those of");
}

static void second_file(void **state)
{
    (void)state;
    const char *x = TEXT("x.csv", "a,b\n1,2\n3,4\n5,6\n");
    static const char *const files[] = {"k\nu\nv\nu\n", "u\nv\nu\n", ",k\n0,u\n1,v\n2,u\n",
                                        "\"k\"\n\"1\",\"u\"\n\"2\",\"v\"\n\"3\",\"u\"\n"};
    for (int i = 0; i < 4; i++) {
        rt_import_spec s = csv(x);
        s.labels = put("y.csv", files[i], strlen(files[i]));
        imported r = import(s);
        CHECK_X(r, float, 1, 2, 3, 4, 5, 6);
        CHECK_Y(r, 0, 1, 0);
        assert_string_equal(names_of(r.manifest, "classes"), "u|v");
        done(&r);
    }
    rt_import_spec s = csv(x);
    s.labels = TEXT("y0.csv", "0\n1\n0\n1\n");              /* Series(y).to_csv(index=False): its header is 0 */
    refuse(s, RT_USAGE,
           "line 1 ('0') may be a label, as it stands below, too; if it is the column's name, say --label '0'");
    s.label = "0";
    imported r = import(s);
    CHECK_Y(r, 1, 0, 1);
    done(&r);
    s.label = NULL;
    s.labels = TEXT("y1.csv", "u\nu\nv\nu\n");
    refuse(s, RT_USAGE, "line 1 ('u') may be a label");
    s.labels = TEXT("y3.csv", "k\n1\n0\n\n");                  /* pandas writes \"\" for a gap, others nothing */
    refuse(s, RT_INPUT, "line 1 ('k') looks like a header above numbers, which leaves 2 labels for 3 rows");
    s.labels = TEXT("y4.csv", "u\n\nv\nu\n");
    refuse(s, RT_INPUT, "blank lines between labels: 1; write NA");
    s.labels = TEXT("y6.csv", "u\nv\nu\n\n\n");
    r = import(s);
    CHECK_Y(r, 0, 1, 0);
    done(&r);
    s.labels = TEXT("y2.csv", "u\nv\n");
    refuse(s, RT_INPUT, "has 2 labels for 3 rows");
    s.labels = TEXT("y5.csv", "u\nv\nu\nv\nu\n");
    refuse(s, RT_INPUT, "has 5 labels for 3 rows");
    s.labels = TEXT("yy.csv", "id,k\n7,u\n8,v\n9,u\n");
    refuse(s, RT_USAGE, "it has 2 columns (id, k); name that of the labels by --label");
    s.label = "k";
    r = import(s);
    CHECK_Y(r, 0, 1, 0);
    done(&r);
    s = csv(TEXT("gap.csv", "a,b\n1,2\n3,\n5,6\n"));          /* a dropped row takes its label along */
    s.labels = TEXT("y.csv", "u\nv\nw\n");
    s.drop_missing = 1;
    r = import(s);
    CHECK_X(r, float, 1, 2, 5, 6);
    assert_string_equal(names_of(r.report, "class_rows"), "1|0|1");
    CHECK_Y(r, 0, 2);
    done(&r);
}

static void applies(void **state)
{
    (void)state;
    rt_import_spec s = csv(TEXT("a.csv", "a,b\n1,2\n"));
    s.x = "x";
    refuse(s, RT_USAGE, "--x does not apply to csv");
    s = csv(TEXT("a.csv", "a,b\n1,2\n"));
    s.skip_bad = 1;
    refuse(s, RT_USAGE, "--skip-bad does not apply to csv");
    s = csv(TEXT("a.csv", "a,b\n1,2\n"));
    s.place = RT_CHANNELS_FIRST;
    refuse(s, RT_USAGE, "--channels first or last does not apply to csv");
    s = csv(TEXT("a.csv", "a,b\n1,2\n"));
    s.no_label = "x";
    refuse(s, RT_USAGE, "there are no labels");
    cJSON *report;
    const char *in = TEXT("same.csv", "a,b\n1,2\n");
    s = csv(in);
    check_fails(rt_import_run(&s, &(rt_target){.path = in, .force = 1}, &report), RT_USAGE, "is an input");
    check_fails(rt_import_run(&s, &(rt_target){.path = "/dev/null", .force = 1}, &report), RT_USAGE, "no regular file");
    rt_format f;
    check_fails(rt_import_format(&f, TEXT("x.bin", "hello")), RT_USAGE, "give --format");
    check_fails(rt_import_format(&f, TEXT("x.parquet", "PAR1....")), RT_USAGE, "Parquet");
    check_ok(rt_import_format(&f, TEXT("x.csv.gz", "a,b\n")));
    assert_int_equal(f, RT_FORMAT_CSV);
}

static void interrupted(void **state)
{
    (void)state;
    rt_import_spec s = csv(TEXT("a.csv", "a,b\n1,2\n"));
    rt_ask_to_stop(1);
    refuse(s, RT_INTERRUPTED, "interrupted");
    rt_ask_to_stop(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain), cmocka_unit_test(header), cmocka_unit_test(index_column), cmocka_unit_test(columns),
            cmocka_unit_test(damaged),
        cmocka_unit_test(separators), cmocka_unit_test(one_line), cmocka_unit_test(encodings),
        cmocka_unit_test(wide_numbers),
            cmocka_unit_test(labels), cmocka_unit_test(minus_one),
        cmocka_unit_test(regression), cmocka_unit_test(like), cmocka_unit_test(labels_asked),
        cmocka_unit_test(like_width), cmocka_unit_test(second_file),
            cmocka_unit_test(applies), cmocka_unit_test(interrupted)};
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
