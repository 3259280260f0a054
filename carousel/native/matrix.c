#include "matrix.h"

#include <string.h>

#include "core.h"

/* The three LDPC rows of an LT column below B (5.3.3.3): those of column 0, then of the next one. */
struct ldpc {
    uint32_t s, a, rows[3];
};

static uint32_t below(uint32_t s, uint32_t row) {
    while (row >= s) /* once as a rule */
        row -= s;
    return row;
}

static void set_ldpc(struct ldpc *l, uint32_t first) {
    l->rows[0] = first;
    l->rows[1] = below(l->s, first + l->a);
    l->rows[2] = below(l->s, l->rows[1] + l->a);
}

static struct ldpc first_ldpc(const struct bc_params *p) {
    struct ldpc l = {.s = p->s, .a = 1};
    set_ldpc(&l, 0);
    return l;
}

static void next_ldpc(struct ldpc *l) {
    const uint32_t first = l->rows[0] + 1;
    l->a += first == l->s;
    set_ldpc(l, first == l->s ? 0 : first);
}

static void add_symbols(struct bc_matrix *m, const uint32_t *isis) {
    const struct bc_params *p = m->params;
    const uint32_t symbols = m->rows - p->s;
    struct bc_columns columns;
    uint32_t at = 0;
    for (uint32_t row = 0; row < symbols; row++) {
        bc_columns_of(p, row < m->inputs ? isis[row] : p->k + row - m->inputs, &columns);
        m->row_start[row] = at;
        memcpy(m->row_column + at, columns.lt, columns.lt_count * sizeof(uint16_t));
        memcpy(m->pi[row], columns.pi, sizeof columns.pi);
        m->pi_count[row] = (uint8_t)columns.pi_count;
        at += columns.lt_count;
    }
    m->row_start[symbols] = at;
}

static void add_ldpc(struct bc_matrix *m, uint32_t *filled) {
    const struct bc_params *p = m->params;
    const uint32_t first = m->rows - p->s;
    struct ldpc l = first_ldpc(p);
    for (uint32_t i = 0; i < p->b; i++, next_ldpc(&l))
        for (unsigned j = 0; j < 3; j++)
            filled[l.rows[j]]++;
    for (uint32_t i = 0; i < p->s; i++) {
        m->row_start[first + i + 1] = m->row_start[first + i] + filled[i] + 1;
        m->row_column[m->row_start[first + i]] = (uint16_t)(p->b + i);
        m->pi[first + i][0] = (uint16_t)(p->w + i % p->p);
        m->pi[first + i][1] = (uint16_t)(p->w + (i + 1) % p->p);
        m->pi_count[first + i] = 2;
        filled[i] = m->row_start[first + i] + 1;
    }
    l = first_ldpc(p);
    for (uint32_t i = 0; i < p->b; i++, next_ldpc(&l))
        for (unsigned j = 0; j < 3; j++)
            m->row_column[filled[l.rows[j]]++] = (uint16_t)i;
}

static void transpose(struct bc_matrix *m) {
    const uint32_t columns = m->params->w;
    const uint32_t entries = m->row_start[m->rows];
    for (uint32_t i = 0; i < entries; i++)
        m->column_start[m->row_column[i] + 1]++;
    for (uint32_t c = 0; c < columns; c++)
        m->column_start[c + 1] += m->column_start[c];
    for (uint32_t row = m->rows; row-- > 0;)
        for (uint32_t i = m->row_start[row]; i < m->row_start[row + 1]; i++)
            m->column_row[--m->column_start[m->row_column[i] + 1]] = (uint16_t)row;
    /* Counting down from the end of each column has moved every end to its start, one place too far. */
    memmove(m->column_start, m->column_start + 1, columns * sizeof *m->column_start);
    m->column_start[columns] = entries;
}

int bc_matrix_init(struct bc_matrix *m, struct bc_arena *arena, const struct bc_params *p, const uint32_t *isis,
                   uint32_t inputs) {
    m->params = p;
    m->inputs = inputs;
    m->rows = inputs + (p->k_prime - p->k) + p->s;
    if (inputs > UINT16_MAX || m->rows > UINT16_MAX)
        return BC_INVALID;
    const size_t entries = (size_t)m->rows * BC_MAX_LT + 3u * p->b + p->s;
    m->row_start = BC_UNSET_ARRAY(arena, m->rows + 1, uint32_t);
    m->row_column = BC_UNSET_ARRAY(arena, entries, uint16_t);
    m->pi = bc_arena_unset_array(arena, m->rows, sizeof *m->pi);
    m->pi_count = BC_UNSET_ARRAY(arena, m->rows, uint8_t);
    m->column_start = BC_ARRAY(arena, p->w + 2, uint32_t);
    uint32_t *filled = BC_ARRAY(arena, p->s, uint32_t);
    if (!m->row_start || !m->row_column || !m->pi || !m->pi_count || !m->column_start || !filled)
        return BC_NO_MEMORY;
    add_symbols(m, isis);
    add_ldpc(m, filled);
    m->column_row = BC_UNSET_ARRAY(arena, m->row_start[m->rows], uint16_t);
    if (!m->column_row)
        return BC_NO_MEMORY;
    transpose(m);
    return BC_OK;
}
