#include "inactive.h"

#include <string.h>

#include "core.h"
#include "hdpc.h"

static void set_bit(uint64_t *set, uint32_t bit) {
    set[bit / 64] ^= 1ull << (bit % 64);
}

static int has_bit(const uint64_t *set, uint32_t bit) {
    return set[bit / 64] >> (bit % 64) & 1;
}

static void add(uint64_t *restrict to, const uint64_t *restrict from, uint32_t words) {
    for (uint32_t i = 0; i < words; i++)
        to[i] ^= from[i];
}

static inline __attribute__((always_inline)) void combine_words(const struct bc_inactive *in,
                                                                const struct bc_matrix *m, uint32_t row,
                                                                uint64_t *set, uint32_t words) {
    for (uint32_t i = m->row_start[row]; i < m->row_start[row + 1]; i++)
        add(set, in->combination + (size_t)m->row_column[i] * words, words);
    for (uint32_t i = 0; i < m->pi_count[row]; i++)
        add(set, in->combination + (size_t)m->pi[row][i] * words, words);
}

/* The sum of a row's columns, as a set of inactive columns; the column that the row is the pivot of is still empty. */
static void combine_row(const struct bc_inactive *in, const struct bc_matrix *m, uint32_t row, uint64_t *set) {
    switch (in->words) { /* as a number that the compiler knows, for the usual blocks: of 500 to 8000 symbols */
    case 1:
        return combine_words(in, m, row, set, 1);
    case 2:
        return combine_words(in, m, row, set, 2);
    case 3:
        return combine_words(in, m, row, set, 3);
    case 4:
        return combine_words(in, m, row, set, 4);
    default:
        return combine_words(in, m, row, set, in->words);
    }
}

static void combine_columns(struct bc_inactive *in, const struct bc_matrix *m, const struct bc_peel *peel,
                            uint64_t *set) {
    for (uint32_t i = 0; i < peel->inactive_count; i++)
        set_bit(in->combination + (size_t)peel->inactive[i] * in->words, i);
    for (uint32_t i = 0; i < peel->pivot_count; i++) {
        memset(set, 0, in->words * sizeof *set);
        combine_row(in, m, peel->pivots[i].row, set);
        memcpy(in->combination + (size_t)peel->pivots[i].column * in->words, set, in->words * sizeof *set);
    }
}

/* Gauss and Jordan over GF(2): each line is a set of inactive columns, then the set of residual rows that it sums. */
struct system {
    uint64_t *lines;
    uint32_t count, words, column_words;
};

static uint64_t *line_of(const struct system *system, uint32_t i) {
    return system->lines + (size_t)i * system->words;
}

static int eliminate_column(struct system *system, uint32_t rank, uint32_t column) {
    uint32_t found = rank;
    while (found < system->count && !has_bit(line_of(system, found), column))
        found++;
    if (found == system->count)
        return 0;
    uint64_t *pivot = line_of(system, rank), *other = line_of(system, found);
    for (uint32_t i = 0; found != rank && i < system->words; i++) {
        const uint64_t word = pivot[i];
        pivot[i] = other[i];
        other[i] = word;
    }
    for (uint32_t i = 0; i < system->count; i++)
        if (i != rank && has_bit(line_of(system, i), column))
            add(line_of(system, i), pivot, system->words);
    return 1;
}

/* Lines that ran out of columns: what they sum must be zero. */
static int keep_checks(struct bc_inactive *in, struct bc_arena *arena, const struct system *system) {
    in->check_count = system->count - in->solved_count;
    in->check = BC_UNSET_ARRAY(arena, (size_t)in->check_count * in->sum_words, uint64_t);
    if (!in->check)
        return BC_NO_MEMORY;
    for (uint32_t i = 0; i < in->check_count; i++)
        memcpy(in->check + (size_t)i * in->sum_words, line_of(system, in->solved_count + i) + in->words,
               in->sum_words * sizeof(uint64_t));
    return BC_OK;
}

static int solve_binary(struct bc_inactive *in, struct bc_arena *arena, const struct bc_matrix *m,
                        const struct bc_peel *peel) {
    in->sum_words = (peel->residual_count + 63) / 64;
    struct system system = {.count = peel->residual_count, .column_words = in->words};
    system.words = in->words + in->sum_words;
    system.lines = BC_ARRAY(arena, (size_t)system.count * system.words + 1, uint64_t);
    in->solved = BC_UNSET_ARRAY(arena, peel->inactive_count, uint16_t);
    in->sum = BC_UNSET_ARRAY(arena, (size_t)peel->inactive_count * in->sum_words + 1, uint64_t);
    in->free_part = BC_ARRAY(arena, peel->inactive_count, uint32_t);
    if (!system.lines || !in->solved || !in->sum || !in->free_part)
        return BC_NO_MEMORY;
    for (uint32_t i = 0; i < system.count; i++) {
        combine_row(in, m, peel->residuals[i], line_of(&system, i));
        set_bit(line_of(&system, i) + in->words, i);
    }
    for (uint32_t column = 0; column < peel->inactive_count; column++) {
        if (eliminate_column(&system, in->solved_count, column))
            in->solved[in->solved_count++] = (uint16_t)column;
        else if (in->free_count == m->params->h)
            return BC_DEPENDENT;
        else
            in->free_columns[in->free_count++] = (uint16_t)column;
    }
    for (uint32_t i = 0; i < in->solved_count; i++) {
        memcpy(in->sum + (size_t)i * in->sum_words, line_of(&system, i) + in->words, in->sum_words * sizeof(uint64_t));
        for (uint32_t f = 0; f < in->free_count; f++)
            in->free_part[i] |= (uint32_t)has_bit(line_of(&system, i), in->free_columns[f]) << f;
    }
    return in->with_checks ? keep_checks(in, arena, &system) : BC_OK;
}

int bc_inactive_solve(struct bc_inactive *in, struct bc_arena *scratch, struct bc_arena *kept,
                      const struct bc_matrix *m, const struct bc_peel *peel) {
    *in = (struct bc_inactive){.with_checks = in->with_checks, .words = (peel->inactive_count + 63) / 64};
    in->combination = BC_ARRAY(scratch, (size_t)m->params->l * in->words, uint64_t);
    uint64_t *set = BC_UNSET_ARRAY(scratch, in->words, uint64_t);
    if (!in->combination || !set)
        return BC_NO_MEMORY;
    combine_columns(in, m, peel, set);
    const int status = solve_binary(in, scratch, m, peel);
    return status == BC_OK && (in->free_count || in->with_checks) ? bc_hdpc_solve(in, scratch, kept, m, peel) : status;
}
