/* The body of every kernels_*.c, which defines before it includes this:
 *
 *   BC_NAME(x)       the name x of this kind of processor
 *   BC_VECTOR        the bytes of a vector, 16 or 32
 *   bc_split         a vector made ready for multiplication:  bc_split bc_split_of(bc_vector)
 *   bc_times         bc_vector bc_times(bc_split, uint8_t coefficient)
 */
#define BC_INLINE static inline __attribute__((always_inline))

BC_INLINE bc_vector bc_double(bc_vector y) {
    const bc_vector carry = (bc_vector)((bc_signed)y < (bc_signed){0});
    return (y + y) ^ (carry & 0x1d);
}

#define BC_LANES 1
#include "kernels_lanes.h"
#define BC_LANES 2
#include "kernels_lanes.h"
#define BC_LANES 3
#include "kernels_lanes.h"
#define BC_LANES 4
#include "kernels_lanes.h"
#define BC_LANES 5
#include "kernels_lanes.h"
#define BC_LANES 6
#include "kernels_lanes.h"
#define BC_LANES 7
#include "kernels_lanes.h"
#define BC_LANES 8
#include "kernels_lanes.h"

/* One vector of up to four outputs: each input is split once. */
BC_INLINE void gf_column(const struct bc_gf_job *job, uint32_t first, uint32_t outs, size_t at) {
    bc_vector sum[4] = {{0}};
    for (uint32_t i = 0; job->adds && i < outs; i++)
        sum[i] = *(const bc_unaligned *)(job->out[first + i] + at);
    const uint8_t *c = job->coefficients + (size_t)first * job->ins;
    for (uint32_t j = 0; j < job->ins; j++) {
        const bc_split x = bc_split_of(*(const bc_unaligned *)(job->in[j] + at));
        for (uint32_t i = 0; i < outs; i++)
            sum[i] ^= bc_times(x, c[(size_t)i * job->ins + j]);
    }
    for (uint32_t i = 0; i < outs; i++)
        *(bc_unaligned *)(job->out[first + i] + at) = sum[i];
}

static void gf(const struct bc_gf_job *job) {
    uint32_t first = 0;
    for (; first + 4 <= job->outs; first += 4)
        for (size_t at = 0; at < job->lanes * BC_LANE; at += BC_VECTOR)
            gf_column(job, first, 4, at);
    for (; first < job->outs; first++)
        for (size_t at = 0; at < job->lanes * BC_LANE; at += BC_VECTOR)
            gf_column(job, first, 1, at);
}

static void add_times(uint8_t *to, const uint8_t *from, uint8_t coefficient, size_t size) {
    for (size_t at = 0; at < size; at += BC_VECTOR)
        *(bc_unaligned *)(to + at) ^= bc_times(bc_split_of(*(const bc_unaligned *)(from + at)), coefficient);
}

#define BC_ALL(kind) {NULL, kind##_1, kind##_2, kind##_3, kind##_4, kind##_5, kind##_6, kind##_7, kind##_8}

const struct bc_kernels BC_NAME(bc_kernels) = {
    .name = BC_KIND,
    .rows = BC_ALL(rows),
    .out = BC_ALL(out),
    .hdpc = BC_ALL(hdpc),
    .gf = gf,
    .add_times = add_times,
    .registers_bytes = BC_REGISTERS,
};
