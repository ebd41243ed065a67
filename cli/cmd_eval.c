#include "cli/cli.h"
const cli_command cli_eval = {"eval", "", "", 0, 0, 0};
