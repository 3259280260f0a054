/* ARM with NEON: every aarch64, and armv7 where the build says so. */
#if defined(__aarch64__) || defined(__ARM_NEON)
#include <arm_neon.h>

#include "kernels.h"
#include "tables.h"

#define BC_KIND "neon"
#define BC_NAME(x) x##_neon
#define BC_VECTOR 16
#if defined(__aarch64__)
#define BC_REGISTERS 256
#else
#define BC_REGISTERS 160
#endif

typedef uint8_t bc_vector __attribute__((vector_size(16), may_alias));
typedef uint8_t bc_unaligned __attribute__((vector_size(16), may_alias, aligned(1)));
typedef int8_t bc_signed __attribute__((vector_size(16), may_alias));
typedef struct {
    uint8x16_t low, high;
} bc_split;

static inline uint8x16_t look_up(const uint8_t *table, uint8x16_t index) {
#if defined(__aarch64__)
    return vqtbl1q_u8(vld1q_u8(table), index);
#else
    const uint8x8x2_t halves = {{vld1_u8(table), vld1_u8(table + 8)}};
    return vcombine_u8(vtbl2_u8(halves, vget_low_u8(index)), vtbl2_u8(halves, vget_high_u8(index)));
#endif
}

static inline bc_split bc_split_of(bc_vector x) {
    return (bc_split){vandq_u8((uint8x16_t)x, vdupq_n_u8(15)), vshrq_n_u8((uint8x16_t)x, 4)};
}

static inline bc_vector bc_times(bc_split x, uint8_t coefficient) {
    const uint8_t *products = bc_nibble_products + 32u * coefficient;
    return (bc_vector)veorq_u8(look_up(products, x.low), look_up(products + 16, x.high));
}

#include "kernels_body.h"
#else
typedef int bc_kernels_neon_empty;
#endif
