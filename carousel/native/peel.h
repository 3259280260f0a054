/* Inactivation: an order in which each LT column follows from a sparse row, earlier columns and inactive ones. */
#ifndef BC_PEEL_H
#define BC_PEEL_H

#include <stdint.h>

#include "arena.h"
#include "matrix.h"

#define BC_NOT_INACTIVE UINT16_MAX

struct bc_pivot {
    uint16_t row, column;
};

struct bc_peel {
    struct bc_pivot *pivots;   /* in order: a row's other LT columns are earlier pivots' or inactive */
    uint32_t pivot_count;
    uint16_t *inactive;        /* inactive columns: the P permanent ones, then those that peeling gave up */
    uint32_t inactive_count;
    uint16_t *inactive_index;  /* for each of the L columns its place in `inactive`, or BC_NOT_INACTIVE */
    uint16_t *residuals;       /* sparse rows that are no pivot's: their sum is an equation of inactive columns */
    uint32_t residual_count;
};

int bc_peel_run(struct bc_peel *peel, struct bc_arena *arena, const struct bc_matrix *matrix);

#endif
