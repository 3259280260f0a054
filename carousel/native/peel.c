/* Rows with one active column give it away; where there are none, the column that most rows of degree 2 share becomes
 * inactive, and these rows go on. This rule costs a few more sums than the RFC's components (5.4.2.2), and is short. */
#include "peel.h"

#include <string.h>

#include "core.h"

#define STRETCH 128u

struct state {
    const struct bc_matrix *m;
    struct bc_peel *peel;
    uint16_t *degree;         /* active columns of each row */
    uint16_t *xor_of_active;  /* of their numbers: of a row of degree 1, the column */
    uint8_t *active;          /* for each LT column */
    uint16_t *pairs;          /* for each LT column the rows of degree 2 that it is in; 0 when not active */
    uint8_t *is_pivot;        /* for each row */
    uint16_t *ready;          /* a stack of rows that came down to degree 1 */
    uint32_t ready_count;
    uint32_t active_count;
};

static int init(struct state *s, struct bc_arena *arena) {
    const uint32_t columns = s->m->params->l, rows = s->m->rows;
    s->degree = BC_UNSET_ARRAY(arena, rows, uint16_t);
    s->xor_of_active = BC_ARRAY(arena, rows, uint16_t);
    s->active = BC_UNSET_ARRAY(arena, columns, uint8_t);
    s->pairs = BC_ARRAY(arena, columns, uint16_t);
    s->is_pivot = BC_ARRAY(arena, rows, uint8_t);
    s->ready = BC_UNSET_ARRAY(arena, rows, uint16_t);
    s->peel->pivots = BC_UNSET_ARRAY(arena, columns, struct bc_pivot);
    s->peel->inactive = BC_UNSET_ARRAY(arena, columns, uint16_t);
    s->peel->inactive_index = BC_UNSET_ARRAY(arena, columns, uint16_t);
    s->peel->residuals = BC_UNSET_ARRAY(arena, rows, uint16_t);
    if (!s->degree || !s->xor_of_active || !s->active || !s->pairs || !s->is_pivot || !s->ready || !s->peel->pivots ||
        !s->peel->inactive || !s->peel->inactive_index || !s->peel->residuals)
        return BC_NO_MEMORY;
    return BC_OK;
}

static void add_inactive(struct bc_peel *peel, uint32_t column) {
    peel->inactive_index[column] = (uint16_t)peel->inactive_count;
    peel->inactive[peel->inactive_count++] = (uint16_t)column;
}

/* A row has come down to degree 2: its two columns get a pair more. */
static void count_pair(struct state *s, uint32_t row) {
    for (uint32_t i = s->m->row_start[row]; i < s->m->row_start[row + 1]; i++) {
        const uint16_t column = s->m->row_column[i];
        if (s->active[column]) {
            s->pairs[column]++;
            s->pairs[s->xor_of_active[row] ^ column]++;
            return;
        }
    }
}

static void load_rows(struct state *s) {
    for (uint32_t row = 0; row < s->m->rows; row++) {
        const uint32_t first = s->m->row_start[row], end = s->m->row_start[row + 1];
        s->degree[row] = (uint16_t)(end - first);
        for (uint32_t i = first; i < end; i++)
            s->xor_of_active[row] ^= s->m->row_column[i];
        if (end - first == 1)
            s->ready[s->ready_count++] = (uint16_t)row;
        else if (end - first == 2)
            count_pair(s, row);
    }
}

/* The column is known or inactive now: its rows lose a degree. */
static void deactivate(struct state *s, uint32_t column) {
    s->active[column] = 0;
    s->pairs[column] = 0;
    s->active_count--;
    for (uint32_t i = s->m->column_start[column]; i < s->m->column_start[column + 1]; i++) {
        const uint16_t row = s->m->column_row[i];
        s->xor_of_active[row] ^= (uint16_t)column;
        const uint16_t degree = --s->degree[row];
        if (degree == 1) {
            s->pairs[s->xor_of_active[row]]--;
            s->ready[s->ready_count++] = row;
        } else if (degree == 2) {
            count_pair(s, row);
        }
    }
}

static void use_ready_rows(struct state *s) {
    while (s->ready_count) {
        const uint16_t row = s->ready[--s->ready_count];
        if (s->degree[row] != 1)
            continue; /* another row gave its column away meanwhile */
        const uint16_t column = s->xor_of_active[row];
        s->is_pivot[row] = 1;
        s->peel->pivots[s->peel->pivot_count++] = (struct bc_pivot){row, column};
        deactivate(s, column);
    }
}

/* Some active column of a row with the smallest degree; any column where no row has one. */
static uint32_t column_of_lightest_row(const struct state *s) {
    uint32_t lightest = UINT32_MAX, least = UINT16_MAX;
    for (uint32_t row = 0; row < s->m->rows; row++) {
        if (s->degree[row] && s->degree[row] < least) {
            least = s->degree[row];
            lightest = row;
        }
    }
    if (lightest != UINT32_MAX)
        for (uint32_t i = s->m->row_start[lightest]; i < s->m->row_start[lightest + 1]; i++)
            if (s->active[s->m->row_column[i]])
                return s->m->row_column[i];
    uint32_t column = 0;
    while (!s->active[column])
        column++;
    return column;
}

/* The first column with most pairs: first the stretch of columns that it is in, then itself. */
static uint32_t column_to_give_up(const struct state *s) {
    const uint32_t columns = s->m->params->w;
    uint32_t column = 0;
    uint16_t most = 0;
    for (uint32_t first = 0; first < columns; first += STRETCH) {
        const uint32_t end = columns - first < STRETCH ? columns : first + STRETCH;
        uint16_t here = 0;
        for (uint32_t c = first; c < end; c++)
            here = s->pairs[c] > here ? s->pairs[c] : here;
        if (here > most) {
            most = here;
            column = first;
        }
    }
    if (!most)
        return column_of_lightest_row(s);
    while (s->pairs[column] != most)
        column++;
    return column;
}

int bc_peel_run(struct bc_peel *peel, struct bc_arena *arena, const struct bc_matrix *m) {
    struct state s = {.m = m, .peel = peel, .active_count = m->params->w};
    *peel = (struct bc_peel){0};
    if (init(&s, arena) != BC_OK)
        return BC_NO_MEMORY;
    memset(s.active, 1, m->params->w);
    memset(peel->inactive_index, 0xff, m->params->l * sizeof *peel->inactive_index);
    for (uint32_t i = 0; i < m->params->p; i++)
        add_inactive(peel, m->params->w + i);
    load_rows(&s);
    for (;;) {
        use_ready_rows(&s);
        if (!s.active_count)
            break;
        const uint32_t column = column_to_give_up(&s);
        add_inactive(peel, column);
        deactivate(&s, column);
    }
    for (uint32_t row = 0; row < m->rows; row++)
        if (!s.is_pivot[row])
            peel->residuals[peel->residual_count++] = (uint16_t)row;
    return BC_OK;
}
