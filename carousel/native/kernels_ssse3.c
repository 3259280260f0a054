/* x86-64 with SSSE3: every one since 2006. */
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels.h"
#include "tables.h"
#include "target.h"

BC_TARGET_BEGIN("ssse3")

#define BC_KIND "ssse3"
#define BC_NAME(x) x##_ssse3
#define BC_VECTOR 16
#define BC_REGISTERS 160

typedef uint8_t bc_vector __attribute__((vector_size(16), may_alias));
typedef uint8_t bc_unaligned __attribute__((vector_size(16), may_alias, aligned(1)));
typedef int8_t bc_signed __attribute__((vector_size(16), may_alias));
typedef struct {
    __m128i low, high;
} bc_split;

static inline bc_split bc_split_of(bc_vector x) {
    const __m128i nibble = _mm_set1_epi8(15);
    return (bc_split){_mm_and_si128((__m128i)x, nibble), _mm_and_si128(_mm_srli_epi64((__m128i)x, 4), nibble)};
}

static inline bc_vector bc_times(bc_split x, uint8_t coefficient) {
    const __m128i *products = (const __m128i *)(bc_nibble_products + 32u * coefficient);
    return (bc_vector)_mm_xor_si128(_mm_shuffle_epi8(_mm_loadu_si128(products), x.low),
                                    _mm_shuffle_epi8(_mm_loadu_si128(products + 1), x.high));
}

#include "kernels_body.h"

BC_TARGET_END
#else
typedef int bc_kernels_ssse3_empty;
#endif
