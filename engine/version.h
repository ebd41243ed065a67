/* engine/version.h - what made a file: the tool's version and the git commit it was built from.
 *
 * The commit is looked up at build time, not at configure time, and carries a "+" when tracked files differed from it;
 * "unknown" outside a git checkout. Only version.c is compiled anew when it changes. */
#ifndef RT_ENGINE_VERSION_H
#define RT_ENGINE_VERSION_H

const char *rt_tool_version(void);      /* "0.1.0" */
const char *rt_commit(void);       /* "7902e61d1d2c", "7902e61d1d2c+" or "unknown" */
const char *rt_tool(void);         /* "retort 0.1.0 7902e61d1d2c", as written into files */
#endif
