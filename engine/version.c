#include "engine/version.h"

#include "version_commit.h"        /* made by engine/version.cmake at each build */

const char *rt_tool_version(void) { return RETORT_VERSION; }
const char *rt_commit(void) { return RETORT_COMMIT; }
const char *rt_tool(void) { return "retort " RETORT_VERSION " " RETORT_COMMIT; }
