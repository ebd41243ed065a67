/* Made by record_onnx.py with ONNX Runtime 1.32.0: do not edit. */
static const struct { uint64_t file, answers; } onnx_reference[] = {
    /* Flatten 1 QGemm 1 QLinearAveragePool 1 QLinearConv 3 QLinearGlobalAveragePool 1 QuantizeLinear 1 Transpose 2
     * */
    {0x33d0e52cebf715edu, 0x8731ca0258a68a6du},
    /* Flatten 1 QGemm 1 QLinearAveragePool 1 QLinearConv 3 QLinearGlobalAveragePool 1 Transpose 2 */
    {0x3458a4236a7c8d9du, 0xfc409e73b69d2a00u},
    /* Cast 1 Gather 1 QGemm 3 QuantizeLinear 1 */
    {0x8840c5dfbae61b98u, 0xa18ea7b55491edcfu},
    /* Cast 1 Gather 1 NhwcMaxPool 1 QGemm 1 QLinearConv 2 QuantizeLinear 1 Reshape 1 Transpose 3 */
    {0x4caf671637ed176fu, 0xc707a5ca176a7500u},
    /* Cast 1 Gather 1 NhwcMaxPool 1 QGemm 1 QLinearConv 2 Reshape 1 Transpose 3 */
    {0x57aea25413b5ecaau, 0x91624365db28a3c9u},
    /* Cast 3 Flatten 1 Gather 3 MaxPool 1 NhwcMaxPool 1 QGemm 3 QLinearAdd 1 QLinearAveragePool 1 QLinearConcat 2
     * QLinearConv 5 QLinearGlobalAveragePool 1 QLinearMul 1 QuantizeLinear 1 Reshape 1 Transpose 10 */
    {0x6d8b70b2d3587266u, 0x5c3c35a0d814ecdau},
    /* Cast 3 Flatten 1 Gather 3 MaxPool 1 NhwcMaxPool 1 QGemm 3 QLinearAdd 1 QLinearAveragePool 1 QLinearConcat 2
     * QLinearConv 5 QLinearGlobalAveragePool 1 QLinearMul 1 Reshape 1 Transpose 10 */
    {0x1490a2b933bf6d1eu, 0xb9693e4affc7c240u},
    /* Flatten 1 QGemm 3 QLinearConv 2 QLinearGlobalAveragePool 1 Transpose 2 */
    {0xb456a15a630d466au, 0xab53e3b6b195ab7cu},
};
