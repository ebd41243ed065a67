/* tests/data/unpack_plugin.h - what test_unpack.c and its plugin agree on. */
#ifndef RT_TESTS_UNPACK_PLUGIN_H
#define RT_TESTS_UNPACK_PLUGIN_H

enum { RT_TEST_FILTER = 257, RT_TEST_OTHER_FD = 9 };
enum { RT_TEST_FAIL = 0x7e570001, RT_TEST_SHORT, RT_TEST_LONG, RT_TEST_CRASH, RT_TEST_LEAVE, RT_TEST_HANG, RT_TEST_SLOW,
       RT_TEST_EAT, RT_TEST_LOOK };
#endif
