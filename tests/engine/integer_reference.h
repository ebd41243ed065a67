/* Made by record_integer.py with ONNX Runtime 1.32.0: do not edit. */
static const conv_case conv_cases[] = {
    {1, 9, 7, 5, 11, 3, 3, 1, 1, {1, 1, 1, 1}, 1, RT_ACT_NONE, 127, 0.0199999996f, 128, 0.5f, 120, 0,
     0xce0b61086a45e79bu},  /* QLinearConv */
    {11, 12, 10, 16, 32, 3, 3, 1, 1, {1, 1, 1, 1}, 1, RT_ACT_RELU, 127, 0.0199999996f, 3, 0.25f, 0, 0,
     0xadb6e5c6abb1cbb9u},  /* QLinearConv */
    {21, 8, 8, 3, 16, 3, 3, 2, 2, {1, 1, 1, 1}, 1, RT_ACT_RELU6, 127, 0.0500000007f, 77, 0.0235294122f, 0, 0,
     0x1e643b7a85e5be80u},  /* QLinearConv */
    {31, 8, 8, 3, 16, 3, 3, 2, 2, {0, 1, 0, 1}, 1, RT_ACT_RELU6, 127, 0.0199999996f, 77, 0.0309999995f, 0, 0,
     0x3b154492c583cfadu},  /* FusedConv QuantizeLinear */
    {41, 8, 8, 8, 16, 3, 3, 1, 1, {1, 1, 1, 1}, 1, RT_ACT_RELU6, 127, 0.0199999996f, 77, 0.0399999991f, 20, 0,
     0xfbb2a44439289076u},  /* FusedConv QuantizeLinear */
    {51, 14, 11, 64, 64, 1, 1, 1, 1, {0, 0, 0, 0}, 1, RT_ACT_RELU, 127, 0.0199999996f, 0, 0.300000012f, 0, 0,
     0xbfaaec3a7120a39cu},  /* QLinearConv */
    {61, 13, 9, 24, 24, 3, 3, 1, 1, {1, 1, 1, 1}, 24, RT_ACT_RELU, 127, 0.0199999996f, 100, 0.0599999987f, 0, 0,
     0x2b833b4809f658dfu},  /* QLinearConv */
    {71, 13, 9, 24, 24, 3, 3, 2, 2, {1, 1, 1, 1}, 24, RT_ACT_NONE, 127, 0.0199999996f, 100, 0.0799999982f, 130, 0,
     0x5716799b29dfb7e4u},  /* QLinearConv */
    {81, 9, 9, 12, 18, 3, 3, 1, 1, {1, 1, 1, 1}, 3, RT_ACT_RELU, 127, 0.0199999996f, 50, 0.100000001f, 0, 0,
     0xebb905f5327203c7u},  /* QLinearConv */
    {91, 1, 60, 6, 32, 1, 5, 1, 1, {0, 0, 2, 2}, 1, RT_ACT_RELU, 127, 0.0199999996f, 128, 0.109999999f, 0, 0,
     0x0d3f83d888468282u},  /* QLinearConv */
    {101, 49, 10, 1, 64, 10, 4, 2, 2, {4, 4, 1, 1}, 1, RT_ACT_RELU, 127, 0.0199999996f, 128, 0.100000001f, 0, 0,
     0x8501c3e6f2125618u},  /* QLinearConv */
    {111, 1, 1, 300, 70, 1, 1, 1, 1, {0, 0, 0, 0}, 1, RT_ACT_RELU, 127, 0.0199999996f, 128, 0.400000006f, 0, 0,
     0xa04b83b80e2767f8u},  /* QGemm */
    {121, 1, 1, 784, 128, 1, 1, 1, 1, {0, 0, 0, 0}, 1, RT_ACT_NONE, 127, 0.0199999996f, 0, 0.899999976f, 99, 0,
     0xdf856e40a5764ac9u},  /* QGemm */
    {131, 12, 12, 16, 32, 3, 3, 1, 1, {1, 1, 1, 1}, 1, RT_ACT_RELU, 7, 0.0199999996f, 128, 0.0399999991f, 0, 0,
     0x9dddbd0a89bf8d8au},  /* QLinearConv */
    {141, 9, 7, 5, 11, 3, 3, 1, 1, {1, 1, 1, 1}, 1, RT_ACT_RELU, 127, 0.0199999996f, 128, 0.5f, 30, 0,
     0x1f7c4a56f5c86d7du},  /* FusedConv QuantizeLinear */
    {201, 1, 1, 64, 10, 1, 1, 1, 1, {0, 0, 0, 0}, 1, RT_ACT_NONE, 127, 0.0199999996f, 128, 0.0f, 0, 1,
     0xeccef84504e1fcf9u},  /* QGemm */
    {211, 1, 1, 300, 70, 1, 1, 1, 1, {0, 0, 0, 0}, 1, RT_ACT_NONE, 127, 0.0130000003f, 7, 0.0f, 0, 1,
     0xea12ec72e9f00dedu},  /* QGemm */
};
static const pair_case pair_cases[] = {
    {0, 0.0199999996f, 128, 0.0299999993f, 100, 0.0450000018f, 120, RT_ACT_NONE,
     0x7c658fa8d2e07f8du},  /* QLinearAdd */
    {0, 0.0173000004f, 0, 0.0291000009f, 131, 0.0311999992f, 0, RT_ACT_RELU,
     0xa99eab2881f46f38u},  /* QLinearAdd */
    {1, 0.0199999996f, 128, 0.0299999993f, 100, 0.0731000006f, 120, RT_ACT_NONE,
     0xe1c63b7c25185649u},  /* QLinearMul */
    {1, 0.0173000004f, 0, 0.00389999989f, 0, 0.0190999992f, 0, RT_ACT_NONE,
     0xda891900eb97fa8au},  /* QLinearMul */
};
static const concat_case concat_cases[] = {
    {401, 33, 5, 12, 0.0199999996f, 128, 0.0309999995f, 100, 0.0399999991f, 120,
     0x3afd6ed8d86c89a8u},  /* QLinearConcat */
    {411, 33, 16, 16, 0.0199999996f, 128, 0.0199999996f, 128, 0.0199999996f, 128,
     0xbbcb42c59066c01du},  /* QLinearConcat */
};
static const pool_case pool_cases[] = {
    {0, 501, 8, 8, 64, 0, 0, 0, 0.0199999996f, 128, 0.0137f, 99,
     0x12c892ab4bf3a7f4u},  /* QLinearGlobalAveragePool */
    {0, 511, 7, 7, 33, 0, 0, 0, 0.0309999995f, 0, 0.0170000009f, 0,
     0x9d72758134375cf7u},  /* QLinearGlobalAveragePool */
    {0, 521, 12, 12, 19, 2, 2, 0, 0.0199999996f, 128, 0.0137f, 99,
     0x96fe21324e070c00u},  /* QLinearAveragePool */
    {0, 531, 13, 11, 19, 3, 2, 1, 0.0199999996f, 128, 0.0171000008f, 99,
     0xeec72df2d68f6c3fu},  /* QLinearAveragePool */
    {1, 541, 13, 11, 19, 3, 2, 1, 0.0199999996f, 128, 0.0199999996f, 128,
     0x9942c49e4c8c283cu},  /* MaxPool */
    {1, 551, 12, 12, 16, 2, 2, 0, 0.0199999996f, 128, 0.0199999996f, 128,
     0x4c34417696393bf0u},  /* MaxPool */
};
static const table_case table_cases[] = {
    {RT_ACT_SIGMOID, 0.0500000007f, 128, 0.00390625f, 0,
     0xfaa891bef3ccec7au},  /* QLinearSigmoid */
    {RT_ACT_TANH, 0.0399999991f, 128, 0.0078125f, 128,
     0xe91d091a4fef4117u},  /* DequantizeLinear Tanh QuantizeLinear */
    {RT_ACT_HARDSWISH, 0.0513000004f, 120, 0.0299999993f, 12,
     0x3a214b77e90e11f7u},  /* DequantizeLinear HardSigmoid Mul QuantizeLinear */
    {RT_ACT_LEAKY, 0.0500000007f, 128, 0.0250000004f, 3,
     0x3b8249de7cfcaed4u},  /* QLinearLeakyRelu */
    {RT_ACT_SILU, 0.0500000007f, 128, 0.0260000005f, 11,
     0x9826fd849975e84bu},  /* DequantizeLinear DequantizeLinear Sigmoid Mul QuantizeLinear */
    {RT_ACT_GELU, 0.0500000007f, 128, 0.0260000005f, 7,
     0x5bc8185aecf0d142u},  /* DequantizeLinear Gelu QuantizeLinear */
    {RT_ACT_RELU, 0.0500000007f, 128, 0.0250000004f, 0,
     0x64a6c0e52835de25u},  /* DequantizeLinear QuantizeLinear */
};
static const quantize_case quantize_cases[] = {
    {601, 1000, 0.699999988f, 120,
     0xc2b4fbd79bbace3du},  /* QuantizeLinear */
    {611, 1000, 0.0309999995f, 3,
     0x365785d16a4bb629u},  /* QuantizeLinear */
    {621, 1000, 0.333333343f, 255,
     0x8c8f0ee03f49f92eu},  /* QuantizeLinear */
};
