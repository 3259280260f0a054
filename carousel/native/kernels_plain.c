/* Plain C, for every processor; the compiler makes of the vectors what it can. */
#include "kernels.h"
#include "tables.h"

#define BC_KIND "plain"
#define BC_NAME(x) x##_plain
#define BC_VECTOR 16
#define BC_REGISTERS 128

typedef uint8_t bc_vector __attribute__((vector_size(16), may_alias));
typedef uint8_t bc_unaligned __attribute__((vector_size(16), may_alias, aligned(1)));
typedef int8_t bc_signed __attribute__((vector_size(16), may_alias));
typedef bc_vector bc_split;

static inline bc_split bc_split_of(bc_vector x) {
    return x;
}

static inline bc_vector bc_times(bc_split x, uint8_t coefficient) {
    const uint8_t *products = bc_nibble_products + 32u * coefficient;
    bc_vector y;
    for (unsigned i = 0; i < sizeof y; i++)
        y[i] = products[x[i] & 15] ^ products[16 + (x[i] >> 4)];
    return y;
}

#include "kernels_body.h"
