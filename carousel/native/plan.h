/* A plan: how the intermediate symbols C of a block follow from the symbols with given ISIs (RFC 6330 5.4).
 *
 * It is made from numbers alone, once, and run over any number of blocks. Encoding is the plan of the ISIs 0 .. K' - 1.
 * The work rows of a run, by number:
 *
 *     0 .. L - 1      the intermediate symbols
 *     bucket_row ..   the sums of the HDPC recurrence, one for each pair of rows, and the last y
 *     hdpc_row ..     the HDPC rows' right sides
 *     solved_row ..   the solved inactive columns, as long as the free ones count as zero
 *     check_row ..    with checks: sums that must be zero
 *     ...             residuals and tables of their sums, used by `first` alone
 */
#ifndef BC_PLAN_H
#define BC_PLAN_H

#include <stdint.h>

#include "arena.h"
#include "inactive.h"
#include "params.h"

struct bc_program {
    uint16_t *words;       /* operations of bc_rows_kernel */
    uint32_t size;
};

struct bc_plan {
    struct bc_params params;
    uint32_t inputs;
    uint32_t work_rows, bucket_row, hdpc_row, solved_row;
    uint32_t hdpc_columns, buckets;
    uint32_t free_count, gf_inputs;  /* 0: the residual rows gave every column, there is no HDPC step */
    uint32_t gf_rows;                /* beyond free_count, with checks: sums that must be zero */
    uint32_t check_row, check_count; /* with checks: rows that must be zero, too */
    uint16_t free_columns[BC_MAX_H]; /* as columns */
    const uint8_t *pair, *gf;
    struct bc_program first;   /* pivots with the inactive columns zero; residuals; solved columns */
    struct bc_program fold;    /* the buckets, into the HDPC rows' right sides */
    struct bc_program second;  /* solved columns, then pivots, with all values */
};

/* BC_DEPENDENT where the symbols don't determine the block. The plan lies in `kept`, what is needed only to make it in
 * `scratch`, which may be the same arena. */
int bc_plan_init(struct bc_plan *plan, struct bc_arena *kept, struct bc_arena *scratch, uint32_t k,
                 const uint32_t *isis, uint32_t count, int with_checks);

#endif
