/* tests/onnx/onnx_recorded.h - ONNX's own tests through planned models. */
#ifndef RT_TESTS_ONNX_RECORDED_H
#define RT_TESTS_ONNX_RECORDED_H

/* Folders with model.onnx and test_data_set_N, or single models, or folders of either: 0 when none is wrong. */
int onnx_recorded(int folders, char **folder);
#endif
