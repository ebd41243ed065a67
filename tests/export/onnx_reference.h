/* Made by record_onnx.py with ONNX Runtime 1.32.0: do not edit. */
static const struct { uint64_t file, answers; } onnx_reference[] = {
    /* Flatten 1 QGemm 1 QLinearAveragePool 1 QLinearConv 3 QLinearGlobalAveragePool 1 QuantizeLinear 1 Transpose 2
     * */
    {0x11e13ec853d496a2u, 0x8731ca0258a68a6du},
    /* Flatten 1 QGemm 1 QLinearAveragePool 1 QLinearConv 3 QLinearGlobalAveragePool 1 Transpose 2 */
    {0x28fa9f12f070450cu, 0xfc409e73b69d2a00u},
    /* Cast 1 Gather 1 QGemm 3 QuantizeLinear 1 */
    {0xb4777cfc775cc281u, 0xa18ea7b55491edcfu},
    /* Cast 1 Gather 1 NhwcMaxPool 1 QGemm 1 QLinearConv 2 QuantizeLinear 1 Reshape 1 Transpose 3 */
    {0x4a6886fbfe70d273u, 0xc707a5ca176a7500u},
    /* Cast 1 Gather 1 NhwcMaxPool 1 QGemm 1 QLinearConv 2 Reshape 1 Transpose 3 */
    {0x693875481f3b93ceu, 0x91624365db28a3c9u},
    /* Cast 3 Flatten 1 Gather 3 MaxPool 1 NhwcMaxPool 1 QGemm 3 QLinearAdd 1 QLinearAveragePool 1 QLinearConcat 2
     * QLinearConv 5 QLinearGlobalAveragePool 1 QLinearMul 1 QuantizeLinear 1 Reshape 1 Transpose 10 */
    {0xa6ec326c050a2cb6u, 0x5c3c35a0d814ecdau},
    /* Cast 3 Flatten 1 Gather 3 MaxPool 1 NhwcMaxPool 1 QGemm 3 QLinearAdd 1 QLinearAveragePool 1 QLinearConcat 2
     * QLinearConv 5 QLinearGlobalAveragePool 1 QLinearMul 1 Reshape 1 Transpose 10 */
    {0x23aeff86429b58a5u, 0xb9693e4affc7c240u},
    /* Flatten 1 QGemm 3 QLinearConv 2 QLinearGlobalAveragePool 1 Transpose 2 */
    {0x9d442dc972535267u, 0xab53e3b6b195ab7cu},
};
