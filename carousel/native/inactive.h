/* The dense part of a plan: the inactive columns, from the residual rows over GF(2) and the HDPC rows over GF(256). */
#ifndef BC_INACTIVE_H
#define BC_INACTIVE_H

#include <stdint.h>

#include "arena.h"
#include "peel.h"

#define BC_MAX_H 16u

struct bc_inactive {
    int with_checks;         /* given: find the equations that are left over, too */
    uint32_t words;          /* 64-bit words of a set of inactive columns */
    uint64_t *combination;   /* for each of the L columns: the inactive columns that its value contains */

    uint32_t solved_count;   /* inactive columns that follow from residual rows and free columns */
    uint16_t *solved;        /* which: indices of bc_peel.inactive */
    uint32_t sum_words;
    uint64_t *sum;           /* for each: the residual rows to sum, as a set of sum_words words */
    uint32_t *free_part;     /* for each: the free columns to add, as a set */

    uint32_t check_count;    /* sums of residual rows that must be zero */
    uint64_t *check;         /* check_count sets of residual rows */

    uint32_t free_count;     /* inactive columns that follow from the HDPC rows; at most H */
    uint16_t free_columns[BC_MAX_H];
    uint32_t gf_inputs;      /* H bucket sums, the last y of the recurrence, solved columns without free part */
    uint32_t gf_rows;        /* the free columns; with checks all H, those behind the free columns' must give zero */
    uint8_t *gf;             /* gf_rows x gf_inputs octets */
    uint8_t *pair;           /* for each column below K' + S its bucket: the pair of HDPC rows that it is in */
    uint32_t buckets;        /* H * (H - 1) / 2 pairs, and one for the last y */
};

/* Which bucket the pair of HDPC rows i < j has. */
static inline uint32_t bc_bucket(uint32_t i, uint32_t j) {
    return j * (j - 1) / 2 + i;
}

/* BC_DEPENDENT where the rows do not give every column. `kept` takes pair and gf. */
int bc_inactive_solve(struct bc_inactive *inactive, struct bc_arena *scratch, struct bc_arena *kept,
                      const struct bc_matrix *matrix, const struct bc_peel *peel);

#endif
