#include "cli/cli.h"
const cli_command cli_bench = {"bench", "", "", 0, 0, 0};
