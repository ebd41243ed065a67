/* cli/cmd_verify.c - retort verify */
#include "cli/cli.h"
#include "experiments/jobs/verify_job.h"

static rt_status run(cli_args *a, cJSON **result)
{
    rt_verify_spec spec = {.input = a->count ? a->positional[0] : NULL,
                           .data = cli_value(a, "data"),
                           .rows = cli_value(a, "rows"),
                           .against = cli_value(a, "against"),
                           .c = cli_value(a, "c")};
    if (!spec.input)
        return rt_fail(RT_USAGE, "verify: a quantized model or a program is required; see 'retort verify --help'");
    if (spec.rows && !spec.data) return rt_fail(RT_USAGE, "verify: --rows are rows of --data");
    return rt_verify(&spec, &a->progress, result);
}

static const cli_option options[] = {
    {"data", CLI_SOURCE, "DATA.h5", "rows to replay; else those of --against, else 64 made up", NULL},
    {"rows", CLI_VALUE, "A:B", "some of them", NULL},
    {"against", CLI_VALUE, "FILE.npz", "what ONNX Runtime answered, as experiments/peers/ort_run.py records it", NULL},
    {"c", CLI_VALUE, "NAME.c", "exported C, which is compiled (by CC, or cc) and run, with vectors and in plain C",
     NULL},
    {0}};

static const cli_term terms[] = {
    {"kernels",
     "families of integer kernels that this processor has; bytes, here and of exported C: of all layers' outputs that "
     "are not those of the plain-C family, with the layers where there are some"},
    {"training",
     "the forward pass of a training step whose ranges stand, from the model's weights in float: numbers, the weights, "
     "steps and biases that it makes anew and that are not the program's; us, forward and backward"},
    {"answers", "numbers of the answer that differ in a bit; flips: rows whose best class is another"},
    {"us", "CPU time of a row, in microseconds: a mean; of ONNX Runtime the median that was recorded"},
    {"selftest", "of exported C: 0, or the number of the first call whose bytes are not the recorded ones"},
    {0}};

const cli_command cli_verify = {
    .name = "verify",
    .summary = "whether a quantized model answers the same wherever it runs",
    .usage = "MODEL.h5|PROGRAM.q [--data DATA.h5 [--rows A:B] | --against FILE.npz] [--c NAME.c]",
    .about =
        "Replays rows through every family of integer kernels that this processor has, through the forward pass of "
        "training, through exported C, and against "
        "recorded answers of ONNX Runtime, and counts what differs: 0 everywhere, as all of them obey one contract.\n\n"
        "Ends with 0 when all is equal, with 1 when something differs.",
    .options = options,
    .terms = terms,
    .examples = "retort verify small-int8.h5 --data test.h5\n"
                "retort verify small-int8.h5 --c firmware/small.c\n"
                "python3 experiments/peers/ort_run.py small.onnx rows.npy --out small.npz\n"
                "retort verify small-int8.h5 --against small.npz\n",
    .run = run,
    .takes = CLI_REGISTRY,
    .files = 1};
