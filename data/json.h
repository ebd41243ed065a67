/* data/json.h - configuration and manifests as JSON: bounded, validated, with messages that help.
 *
 * A reader (rt_cfg) walks one object. Each getter names a key, its default and its bounds; a missing key is added with
 * its default, so that after reading the object is the effective configuration. rt_cfg_end rejects keys nobody asked
 * for and suggests the nearest one. The first failure sticks; later getters return defaults. */
#ifndef RT_DATA_JSON_H
#define RT_DATA_JSON_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/error.h"
#include "engine/schema.h"

enum { RT_JSON_MAX_BYTES = 4 << 20, RT_CFG_KEYS = 48 };

/* Parses text (comments allowed). name is used in messages. RT_INPUT on syntax errors (with line and column), duplicate
 * keys, numbers beyond a double. The caller frees *out with cJSON_Delete. */
rt_status rt_json_parse(cJSON **out, const char *text, size_t length, const char *name);
/* The same of a regular file; RT_RUN where the machine cannot read it. */
rt_status rt_json_file(cJSON **out, const char *path);
/* The text of an object that is read back by rt_json_sealed_file: its last member, "seal", is the XXH128 digest of the
 * text with zeros in the place of that digest. The caller frees with free(). NULL when out of memory. */
char *rt_json_sealed(cJSON *object);
/* rt_json_file of such a text, without the seal. RT_INPUT when the text is not the one that was sealed. Text without a
 * seal, of an older version or by hand, is taken as it is. */
rt_status rt_json_sealed_file(cJSON **out, const char *path);
/* "a.b.c=value" into root; the value is JSON, or else a string. RT_USAGE when malformed. */
rt_status rt_json_override(cJSON *root, const char *assignment);
/* Puts the keys of every object in order, so that equal configurations print as equal text. */
void rt_json_sort(cJSON *);
/* As text for a file or a terminal, of ASCII controls and other bytes only what JSON has outside of strings
 * (rt_put_json); the caller frees with free(). NULL when out of memory. */
char *rt_json_text(const cJSON *, int indented);
/* Copies every key of `from` over `into`, object by object. */
rt_status rt_json_merge(cJSON *into, const cJSON *from);

typedef struct rt_cfg {
    cJSON *object;
    char path[160];                 /* for messages: "train.augment" */
    const char *known[RT_CFG_KEYS];
    int count;
    rt_status status;
} rt_cfg;

/* Starts reading an object; RT_USAGE when it is none. */
rt_cfg rt_cfg_begin(cJSON *object, const char *path);
/* A nested object, created empty when absent. Its status must be folded back with rt_cfg_join. */
rt_cfg rt_cfg_object(rt_cfg *, const char *key);
void rt_cfg_join(rt_cfg *, rt_cfg *child);              /* ends the child */
rt_status rt_cfg_end(rt_cfg *);

int rt_cfg_has(const rt_cfg *, const char *key);
int rt_cfg_int(rt_cfg *, const char *key, int fallback, int min, int max);
uint64_t rt_cfg_u64(rt_cfg *, const char *key, uint64_t fallback);
double rt_cfg_number(rt_cfg *, const char *key, double fallback, double min, double max);
int rt_cfg_bool(rt_cfg *, const char *key, int fallback);
/* NULL fallback: required; "" : optional, absent reads as "". The text belongs to the object. */
const char *rt_cfg_string(rt_cfg *, const char *key, const char *fallback);
/* A file's name: as rt_cfg_string, but an empty text is refused. */
const char *rt_cfg_file(rt_cfg *, const char *key, const char *fallback);
/* Index of one of names (ended by NULL). */
int rt_cfg_choice(rt_cfg *, const char *key, const char *const *names, int fallback);
/* 1 to max ints from a number (repeated once) or a list; returns how many, 0 when absent. */
int rt_cfg_ints(rt_cfg *, const char *key, int *out, int max, int low, int high);
/* A text that is not empty or a list of 1 to max of them; returns how many, 0 when absent. The texts belong to the
 * object. */
int rt_cfg_strings(rt_cfg *, const char *key, const char **out, int max);
cJSON *rt_cfg_array(rt_cfg *, const char *key);         /* NULL when absent */
cJSON *rt_cfg_any(rt_cfg *, const char *key);           /* whatever it is; NULL when absent */
/* Every attribute of the schema, in its order; what is absent has its default. */
void rt_cfg_read(rt_cfg *, const rt_schema *, void *attributes);
void rt_cfg_fail(rt_cfg *, const char *key, const char *what);
/* A key that does not apply to what other keys chose: fails with "what" when it is given. */
void rt_cfg_refuse(rt_cfg *, const char *key, const char *what);

/* value under key, or null with the reason under "undefined" where it is not finite. */
void rt_json_number(cJSON *, const char *key, double value, const char *reason);
/* The nearest of names by edit distance, NULL when none is near. */
const char *rt_nearest(const char *word, const char *const *names, int count);
#endif
