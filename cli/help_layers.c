#include <stdio.h>

#include "cli/cli.h"
#include "engine/graph.h"

static void print_range(const rt_attr_spec *s)
{
    switch (s->kind) {
    case RT_A_BOOL: printf(" (true false)"); break;
    case RT_A_CHOICE:
        printf(" (");
        for (int i = 0; s->names[i]; i++) printf("%s%s", i ? " " : "", s->names[i]);
        printf(")");
        break;
    case RT_A_NUMBER: printf(" (%g to %g)", s->low, s->high); break;
    default: printf(" (%.0f to %.0f)", s->low, s->high); break;
    }
}

static void print_default(const rt_attr_spec *s)
{
    if (s->required > 0) printf(" [required]");
    else if (s->kind == RT_A_INTS) printf(" [none]");
    else if (s->kind == RT_A_BOOL) printf(" [%s]", s->fallback > 0 ? "true" : "false");
    else if (s->kind == RT_A_CHOICE) printf(" [%s]", s->names[(int)s->fallback]);
    else if (s->kind == RT_A_NUMBER || s->kind == RT_A_PADDING || s->fallback >= s->low) printf(" [%g]", s->fallback);
}

void cli_help_layers(void)
{
    printf(
        "retort help layers - what \"layers\" in a model's configuration can name\n\n"
        "  {\"input\": [28, 28, 1], \"classes\": 10, \"layers\": [{\"op\": \"conv2d\", \"out\": 16, \"kernel\": 3},\n"
        "   {\"op\": \"relu\", \"name\": \"a\"}, ..., {\"op\": \"dense\", \"out\": 10}]}\n\n"
        "Every layer: op; name [op and number]; from [the layer before]: a layer's name, \"input\", or a list of "
        "them;\n"
        "share [none]: a layer of the same op before this one, whose weights it uses in place of own ones (tied\n"
        "weights).\n"
        "Behind a key: its default in brackets, its range in parentheses.\n\n");
    for (int i = 0; i < RT_LAYER_KINDS; i++) {
        rt_layer_kind k = rt_layer_kind_at(i);
        printf("%-16s %s\n", k.name, k.help);
        for (int a = 0; k.schema && a < k.schema->count; a++) {
            const rt_attr_spec *s = &k.schema->spec[a];
            printf("  %s", s->name);
            print_default(s);
            print_range(s);
            printf(": %s\n", s->help);
        }
    }
}
