#include "cli/cli.h"
const cli_command cli_export = {"export", "", "", 0, 0, 0};
