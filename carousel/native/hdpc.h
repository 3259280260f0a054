/* The HDPC rows (RFC 6330 5.3.3.3), by the recurrence y[j] = alpha * y[j - 1] + C[j]: row i is the sum of the y[j] of
 * those columns j that have i among their two random rows, plus alpha^i times the last y, plus C[K' + S + i]. The y
 * are summed in a bucket for each pair of rows first, and the buckets once, at the end. */
#ifndef BC_HDPC_H
#define BC_HDPC_H

#include "inactive.h"

int bc_hdpc_solve(struct bc_inactive *inactive, struct bc_arena *scratch, struct bc_arena *kept,
                  const struct bc_matrix *matrix, const struct bc_peel *peel);

#endif
