/* The loops over bytes, once for each kind of processor; all give the same bytes.
 *
 * A block is worked on in column strips of n * 32 bytes, n from 1 to BC_MAX_LANES, so that the rows of a strip stay in
 * the cache. Work rows are aligned to 32 bytes and n * 32 bytes apart; symbols lie anywhere.
 */
#ifndef BC_KERNELS_H
#define BC_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define BC_LANE 32u
#define BC_MAX_LANES 8u

/* A program of row sums, 16-bit words. Each operation: where to, input + 1 or 0, how many rows, the rows:
 * work[to] = inputs[input] ^ work[row] ^ ... The words come from a plan, which has checked every number. */
typedef void bc_rows_kernel(const uint16_t *op, const uint16_t *end, uint8_t *work, const uint8_t *const *inputs,
                            size_t offset);
/* The same, but outputs[to] takes the sum, and there are no inputs. */
typedef void bc_out_kernel(const uint16_t *op, const uint16_t *end, const uint8_t *work, uint8_t *const *outputs,
                           size_t offset);
/* y = alpha * y + work[j] for all j < count, bucket[pair[j]] += y; the last y goes to bucket[pair[count - 1]] alone. */
typedef void bc_hdpc_kernel(const uint8_t *pair, uint32_t count, const uint8_t *work, uint8_t *buckets);

struct bc_gf_job {
    uint32_t outs, ins;
    const uint8_t *coefficients;      /* outs x ins octets */
    const uint8_t *const *in;         /* ins rows */
    uint8_t *const *out;              /* outs rows, none of which is also an input */
    uint32_t lanes;
    int adds;                         /* out[i] += sum, too, instead of out[i] = sum */
};
/* out[i] = sum of coefficients[i][j] * in[j] over GF(256) */
typedef void bc_gf_kernel(const struct bc_gf_job *job);

/* to += coefficient * from, size octets, a multiple of 32 */
typedef void bc_add_kernel(uint8_t *to, const uint8_t *from, uint8_t coefficient, size_t size);

struct bc_kernels {
    const char *name;
    bc_rows_kernel *rows[BC_MAX_LANES + 1];
    bc_out_kernel *out[BC_MAX_LANES + 1];
    bc_hdpc_kernel *hdpc[BC_MAX_LANES + 1];
    bc_gf_kernel *gf;
    bc_add_kernel *add_times;
    uint32_t registers_bytes;         /* what its vector registers hold beside their other work: the widest strip */
};

extern const struct bc_kernels bc_kernels_plain;
#if defined(__x86_64__)
extern const struct bc_kernels bc_kernels_ssse3, bc_kernels_avx2, bc_kernels_gfni;
#elif defined(__aarch64__) || defined(__ARM_NEON)
extern const struct bc_kernels bc_kernels_neon;
#endif

/* The best that this processor runs. */
const struct bc_kernels *bc_kernels(void);

#endif
