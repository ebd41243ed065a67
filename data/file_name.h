/* data/file_name.h - what a text means where a model's file is expected: the file of that name, or what somebody above
 * says, who was asked to give texts a meaning: a version of a registry becomes the file of its bytes.
 *
 * It is decided once, where arguments and configurations come in, so that all of a run sees one file under one name,
 * and what is written (configurations in effect, provenance, states of steps) holds the file with its digest and not a
 * tag that moves. Before work begins, in one thread. */
#ifndef RT_DATA_FILE_NAME_H
#define RT_DATA_FILE_NAME_H

#include <cjson/cJSON.h>

#include "engine/error.h"

enum { RT_MEANT_PATH = 1200, RT_MEANT_NAME = 128 };

/* path "": the text is the name of a file. called: what reports call that file. */
typedef rt_status rt_file_meaning(void *arg, const char *text, char path[RT_MEANT_PATH], char called[RT_MEANT_NAME]);
/* From now on; NULL: texts are names of files, as at first. */
void rt_file_names_by(rt_file_meaning *, void *arg);

/* Puts the file in the place of the text: of equal texts the same one, whatever has happened since. It lives as long as
 * the process. */
rt_status rt_file_name(const char **text);
/* The same of every text of a configuration that stands where a model does: under "teacher", "students", "init",
 * "model", "baseline", "candidate", "input" and their like, or in a list there, at any depth. */
rt_status rt_file_names_in(cJSON *config);
/* What a path is called that rt_file_name gave; else NULL. */
const char *rt_file_called(const char *path);
/* What reports call the model, predictions or specification of this path: what rt_file_called says, else of
 * "FOLDER/model.h5" the folder's name (where that is one), else the file's own, without the ending of a format that is
 * read there (.h5, .hdf5, .onnx, .json, .npy, .npz, .csv, in any case) and with all other points: "ft.01/model.h5" is
 * "ft.01", "v1.2.h5" "v1.2". Into n bytes, cut between UTF-8 characters. */
void rt_file_title(char *name, size_t n, const char *path);
/* This thread's message anew, with "CALLED (PATH)" where it names a path that rt_file_name gave; returns st. */
rt_status rt_file_names_told(rt_status st);
#endif
