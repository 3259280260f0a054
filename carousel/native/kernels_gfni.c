/* x86-64 with AVX2 and GFNI: a multiplication by a constant is one instruction, a bit matrix. */
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels.h"
#include "tables.h"
#include "target.h"

BC_TARGET_BEGIN("avx2,gfni")

#define BC_KIND "gfni"
#define BC_NAME(x) x##_gfni
#define BC_VECTOR 32
#define BC_REGISTERS 256

typedef uint8_t bc_vector __attribute__((vector_size(32), may_alias));
typedef uint8_t bc_unaligned __attribute__((vector_size(32), may_alias, aligned(1)));
typedef int8_t bc_signed __attribute__((vector_size(32), may_alias));
typedef bc_vector bc_split;

static inline bc_split bc_split_of(bc_vector x) {
    return x;
}

static inline bc_vector bc_times(bc_split x, uint8_t coefficient) {
    const __m256i matrix = _mm256_set1_epi64x((long long)bc_affine[coefficient]);
    return (bc_vector)_mm256_gf2p8affine_epi64_epi8((__m256i)x, matrix, 0);
}

#include "kernels_body.h"

BC_TARGET_END
#else
typedef int bc_kernels_gfni_empty;
#endif
