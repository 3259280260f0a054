/* x86-64 with AVX2: every one since about 2013. */
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels.h"
#include "tables.h"
#include "target.h"

BC_TARGET_BEGIN("avx2")

#define BC_KIND "avx2"
#define BC_NAME(x) x##_avx2
#define BC_VECTOR 32
#define BC_REGISTERS 256

typedef uint8_t bc_vector __attribute__((vector_size(32), may_alias));
typedef uint8_t bc_unaligned __attribute__((vector_size(32), may_alias, aligned(1)));
typedef int8_t bc_signed __attribute__((vector_size(32), may_alias));
typedef struct {
    __m256i low, high;
} bc_split;

static inline bc_split bc_split_of(bc_vector x) {
    const __m256i nibble = _mm256_set1_epi8(15);
    return (bc_split){_mm256_and_si256((__m256i)x, nibble),
                      _mm256_and_si256(_mm256_srli_epi64((__m256i)x, 4), nibble)};
}

static inline bc_vector bc_times(bc_split x, uint8_t coefficient) {
    const __m128i *products = (const __m128i *)(bc_nibble_products + 32u * coefficient);
    const __m256i low = _mm256_broadcastsi128_si256(_mm_loadu_si128(products));
    const __m256i high = _mm256_broadcastsi128_si256(_mm_loadu_si128(products + 1));
    return (bc_vector)_mm256_xor_si256(_mm256_shuffle_epi8(low, x.low), _mm256_shuffle_epi8(high, x.high));
}

#include "kernels_body.h"

BC_TARGET_END
#else
typedef int bc_kernels_avx2_empty;
#endif
