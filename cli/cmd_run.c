#include "cli/cli.h"
const cli_command cli_run = {"run", "", "", 0, 0, 0};
