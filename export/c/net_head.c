/* How sums are computed: 0 plain C, 1 Arm's dot products, 2 AVX2, 3 AVX-VNNI, 4 AVX-512 VNNI. All give the same bits.
 * Both C files must be compiled for the same; -DNET_FORM=0 asks for plain C. */
#ifndef NET_FORM
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define NET_FORM 4
#elif defined(__AVXVNNI__)
#define NET_FORM 3
#elif defined(__AVX2__)
#define NET_FORM 2
#elif defined(__ARM_FEATURE_DOTPROD) && defined(__ARM_NEON) && !defined(__ARM_BIG_ENDIAN)
#define NET_FORM 1
#else
#define NET_FORM 0
#endif
#endif

#if NET_FORM == 0
#define NET_PICK(plain, lanes) plain
#define NET_DATA(array) net_plain_##array
#if defined(__SSE2__) && !defined(__SSE4_1__)
typedef float net_cell;              /* vectors of SSE2 have no product of 32-bit integers */
#else
typedef int32_t net_cell;
#endif
#else
#define NET_PICK(plain, lanes) lanes
#define NET_DATA(array) net_lanes_##array
#if NET_FORM == 1
typedef int8_t net_cell;
#elif NET_FORM == 2
typedef int16_t net_cell;
#else
typedef uint8_t net_cell;
#endif
#endif
