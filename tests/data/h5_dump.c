/* tests/data/h5_dump.c - everything that retort reads of an HDF5 file, for experiments/peers/h5_against_h5py.py.
 *
 * h5_dump FILE: for each set a line "name TAB refused TAB reason", or "name TAB type TAB shape TAB bytes" and behind it
 * the values, little-endian, row by row. Status: that of the first failure, 0 otherwise. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "data/source.h"

static rt_status dump_rows(rt_source *s)
{
    enum { ROWS = 64 };
    rt_status st = RT_OK;
    char *rows = malloc(ROWS * rt_source_row_bytes(s) + 1);
    for (uint64_t i = 0; i < rt_source_rows(s) && !st; i += ROWS) {
        uint64_t row[ROWS], n = rt_source_rows(s) - i < ROWS ? rt_source_rows(s) - i : ROWS;
        for (uint64_t k = 0; k < n; k++) row[k] = i + k;
        st = rt_source_read(s, row, (int)n, rows);
        if (!st) fwrite(rows, rt_source_row_bytes(s), n, stdout);
    }
    free(rows);
    return st;
}

int main(int argc, char **argv)
{
    rt_h5_file *f;
    rt_status st, first = RT_OK;
    if (argc != 2) return RT_USAGE;
    if ((st = rt_h5_scan(&f, argv[1]))) {
        fprintf(stderr, "%s\n", rt_error_message());
        return (int)st;
    }
    if (f->cut) fprintf(stderr, "%s: more links than are looked at\n", argv[1]);
    for (int i = 0; i < f->sets; i++) {
        const rt_h5_dataset *d = &f->set[i];
        rt_source *s = NULL;
        if (d->refused[0] || rt_source_open_in(&s, f, d->name)) {
            printf("%s\trefused\t%s\n", d->name, d->refused[0] ? d->refused : rt_error_message());
            continue;
        }
        uint64_t bytes = d->element;
        printf("%s\t%s\t", d->name, d->type == RT_TEXT ? "text" : rt_dtype_name(d->type));
        for (int k = 0; k < d->rank; k++) {
            printf("%s%" PRIu64, k ? "," : "", d->dim[k]);
            bytes *= d->dim[k];
        }
        printf("\t%" PRIu64 "\n", bytes);
        st = dump_rows(s);
        rt_source_close(s);
        if (st) {                                    /* the stream ends here: its reader sees too few bytes */
            fprintf(stderr, "%s\n", rt_error_message());
            first = st;
            break;
        }
    }
    rt_h5_close(f);
    return (int)first;
}
