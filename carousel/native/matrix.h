/* The sparse rows of the constraint matrix (RFC 6330 5.3.3.4): received symbols, padding symbols, LDPC rows. */
#ifndef BC_MATRIX_H
#define BC_MATRIX_H

#include <stdint.h>

#include "arena.h"
#include "params.h"

struct bc_matrix {
    const struct bc_params *params;
    uint32_t rows;            /* inputs, then K' - K padding symbols, then S LDPC rows */
    uint32_t inputs;          /* rows whose right side is a symbol; that of the others is zero */
    uint32_t *row_start;      /* LT columns of row r: row_column[row_start[r]] up to row_start[r + 1] */
    uint16_t *row_column;
    uint32_t *column_start;   /* the rows of LT column c, likewise */
    uint16_t *column_row;
    uint16_t (*pi)[BC_MAX_PI];  /* PI columns of each row, as columns */
    uint8_t *pi_count;
};

/* isis: the internal symbol IDs of the inputs. Returns a bc_status. */
int bc_matrix_init(struct bc_matrix *matrix, struct bc_arena *arena, const struct bc_params *params,
                   const uint32_t *isis, uint32_t inputs);

#endif
