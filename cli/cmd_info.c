#include "cli/cli.h"
const cli_command cli_info = {"info", "", "", 0, 0, 0};
