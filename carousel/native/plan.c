#include "plan.h"

#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "matrix.h"
#include "peel.h"

#define HEAD 3u             /* words before an operation's rows */
#define MAX_WORK_ROWS 65535u

struct builder {
    struct bc_plan *plan;
    struct bc_matrix matrix;
    struct bc_peel peel;
    struct bc_inactive inactive;
    uint32_t residual_row, table_row;
    uint32_t group;         /* residuals summed by one table */
    int failed;             /* a program could not grow */
};

/* Begin an operation of at most `rows` rows; null where there is no memory. */
static uint16_t *begin(struct builder *b, struct bc_program *program, uint32_t rows, uint32_t to, uint32_t input) {
    const uint32_t need = program->size + HEAD + rows;
    if (need > program->room) {
        const uint32_t room = need + need / 2 + 1024;
        uint16_t *words = realloc(program->words, room * sizeof *words);
        if (!words) {
            b->failed = 1;
            return NULL;
        }
        program->words = words;
        program->room = room;
    }
    uint16_t *op = program->words + program->size;
    op[0] = (uint16_t)to;
    op[1] = (uint16_t)input;
    op[2] = 0;
    return op;
}

static void end(struct bc_program *program, const uint16_t *op) {
    program->size += HEAD + op[2];
}

static void append(uint16_t *op, uint32_t row) {
    op[HEAD + op[2]++] = (uint16_t)row;
}

static uint32_t input_of(const struct builder *b, uint32_t row) {
    return row < b->matrix.inputs ? row + 1 : 0;
}

/* to = right side of a sparse row + its pivots' columns (but not `own`), the inactive ones being zero. */
static void emit_without_inactive(struct builder *b, uint32_t row, uint32_t own, uint32_t to) {
    const struct bc_matrix *m = &b->matrix;
    const uint32_t first = m->row_start[row], last = m->row_start[row + 1];
    uint16_t *op = begin(b, &b->plan->first, last - first, to, input_of(b, row));
    if (!op)
        return;
    for (uint32_t i = first; i < last; i++) {
        const uint16_t column = m->row_column[i];
        if (column != own && b->peel.inactive_index[column] == BC_NOT_INACTIVE)
            append(op, column);
    }
    end(&b->plan->first, op);
}

static void emit_zeros(struct builder *b) {
    for (uint32_t i = 0; i < b->peel.inactive_count; i++) {
        const uint16_t *op = begin(b, &b->plan->first, 0, b->peel.inactive[i], 0);
        if (op)
            end(&b->plan->first, op);
    }
}

/* Tables of the sums of `group` residuals each (the method of the four Russians): entry m sums those whose bit is set
 * in m. Entries of one residual are that residual's row. */
static uint32_t table_entry(const struct builder *b, uint32_t group, uint32_t entry) {
    if ((entry & (entry - 1)) == 0)
        return b->residual_row + group * b->group + (uint32_t)__builtin_ctz(entry);
    return b->table_row + (group << b->group) + entry;
}

static void emit_tables(struct builder *b) {
    const uint32_t residuals = b->peel.residual_count;
    for (uint32_t first = 0; first < residuals; first += b->group) {
        const uint32_t group = first / b->group;
        const uint32_t members = residuals - first < b->group ? residuals - first : b->group;
        for (uint32_t entry = 3; entry < 1u << members; entry++) {
            if ((entry & (entry - 1)) == 0)
                continue;
            uint16_t *op = begin(b, &b->plan->first, 2, table_entry(b, group, entry), 0);
            if (!op)
                return;
            append(op, table_entry(b, group, entry & (entry - 1)));
            append(op, table_entry(b, group, entry & -entry));
            end(&b->plan->first, op);
        }
    }
}

static uint32_t bits_of(const uint64_t *set, uint32_t first, uint32_t count) {
    uint64_t bits = set[first / 64] >> (first % 64);
    if (first % 64 + count > 64)
        bits |= set[first / 64 + 1] << (64 - first % 64);
    return (uint32_t)bits & ((1u << count) - 1);
}

/* Sums of residuals, each given as a set of them, to rows in order. */
static void emit_sums(struct builder *b, const uint64_t *sums, uint32_t sum_count, uint32_t to) {
    const uint32_t residuals = b->peel.residual_count;
    for (uint32_t i = 0; i < sum_count; i++) {
        const uint64_t *sum = sums + (size_t)i * b->inactive.sum_words;
        uint16_t *op = begin(b, &b->plan->first, residuals / b->group + 1, to + i, 0);
        if (!op)
            return;
        for (uint32_t first = 0; first < residuals; first += b->group) {
            const uint32_t count = residuals - first < b->group ? residuals - first : b->group;
            const uint32_t entry = bits_of(sum, first, count);
            if (entry)
                append(op, table_entry(b, first / b->group, entry));
        }
        end(&b->plan->first, op);
    }
}

static void emit_first(struct builder *b) {
    for (uint32_t i = 0; i < b->peel.pivot_count; i++)
        emit_without_inactive(b, b->peel.pivots[i].row, b->peel.pivots[i].column, b->peel.pivots[i].column);
    for (uint32_t i = 0; i < b->peel.residual_count; i++)
        emit_without_inactive(b, b->peel.residuals[i], UINT32_MAX, b->residual_row + i);
    emit_zeros(b);
    emit_tables(b);
    emit_sums(b, b->inactive.sum, b->inactive.solved_count, b->plan->solved_row);
    emit_sums(b, b->inactive.check, b->inactive.check_count, b->plan->check_row);
}

static void emit_fold(struct builder *b) {
    const uint32_t h = b->plan->params.h;
    for (uint32_t i = 0; i < h; i++) {
        uint16_t *op = begin(b, &b->plan->fold, h, b->plan->hdpc_row + i, 0);
        if (!op)
            return;
        for (uint32_t j = 0; j < h; j++)
            if (j != i)
                append(op, b->plan->bucket_row + (i < j ? bc_bucket(i, j) : bc_bucket(j, i)));
        end(&b->plan->fold, op);
    }
}

/* Every inactive column's value, to its place: the free ones are there already. */
static void emit_inactive(struct builder *b) {
    const struct bc_inactive *in = &b->inactive;
    for (uint32_t i = 0; i < in->solved_count; i++) {
        uint16_t *op = begin(b, &b->plan->second, 1 + in->free_count, b->peel.inactive[in->solved[i]], 0);
        if (!op)
            return;
        append(op, b->plan->solved_row + i);
        for (uint32_t f = 0; f < in->free_count; f++)
            if (in->free_part[i] >> f & 1)
                append(op, b->plan->free_columns[f]);
        end(&b->plan->second, op);
    }
}

static void emit_pivot(struct builder *b, const struct bc_pivot *pivot) {
    const struct bc_matrix *m = &b->matrix;
    const uint32_t first = m->row_start[pivot->row], last = m->row_start[pivot->row + 1];
    const uint64_t *combination = b->inactive.combination + (size_t)pivot->column * b->inactive.words;
    const uint32_t row_weight = last - first - 1 + m->pi_count[pivot->row] + (input_of(b, pivot->row) != 0);
    uint32_t weight = 0;
    for (uint32_t i = 0; i < b->inactive.words; i++)
        weight += (uint32_t)__builtin_popcountll(combination[i]);
    if (!weight)
        return; /* the value of the first pass stands */
    if (weight < row_weight) {
        uint16_t *op = begin(b, &b->plan->second, weight + 1, pivot->column, 0);
        if (!op)
            return;
        append(op, pivot->column);
        for (uint32_t i = 0; i < b->inactive.words; i++)
            for (uint64_t word = combination[i]; word; word &= word - 1)
                append(op, b->peel.inactive[64 * i + (uint32_t)__builtin_ctzll(word)]);
        end(&b->plan->second, op);
        return;
    }
    uint16_t *op = begin(b, &b->plan->second, row_weight, pivot->column, input_of(b, pivot->row));
    if (!op)
        return;
    for (uint32_t i = first; i < last; i++)
        if (m->row_column[i] != pivot->column)
            append(op, m->row_column[i]);
    for (uint32_t i = 0; i < m->pi_count[pivot->row]; i++)
        append(op, m->pi[pivot->row][i]);
    end(&b->plan->second, op);
}

static int lay_out_rows(struct builder *b) {
    struct bc_plan *plan = b->plan;
    const struct bc_inactive *in = &b->inactive;
    const uint32_t residuals = b->peel.residual_count;
    b->group = residuals < 160 ? 4 : 5;
    plan->hdpc_columns = plan->params.k_prime + plan->params.s;
    plan->buckets = in->buckets;
    plan->free_count = in->free_count;
    plan->gf_inputs = in->gf_inputs;
    plan->gf_rows = in->gf_rows;
    plan->check_count = in->check_count;
    plan->pair = in->pair;
    plan->gf = in->gf;
    for (uint32_t f = 0; f < in->free_count; f++)
        plan->free_columns[f] = b->peel.inactive[in->free_columns[f]];
    plan->bucket_row = plan->params.l;
    plan->hdpc_row = plan->bucket_row + in->buckets;
    plan->solved_row = plan->hdpc_row + plan->params.h;
    plan->check_row = plan->solved_row + in->solved_count;
    b->residual_row = plan->check_row + in->check_count;
    b->table_row = b->residual_row + residuals;
    plan->work_rows = b->table_row + ((residuals / b->group + 1) << b->group);
    return plan->work_rows <= MAX_WORK_ROWS ? BC_OK : BC_INVALID;
}

static int build(struct builder *b, struct bc_arena *scratch, const uint32_t *isis, uint32_t count) {
    int status = bc_matrix_init(&b->matrix, scratch, &b->plan->params, isis, count);
    if (status == BC_OK)
        status = bc_peel_run(&b->peel, scratch, &b->matrix);
    if (status == BC_OK)
        status = bc_inactive_solve(&b->inactive, scratch, &b->plan->arena, &b->matrix, &b->peel);
    if (status == BC_OK)
        status = lay_out_rows(b);
    if (status != BC_OK)
        return status;
    emit_first(b);
    if (b->plan->gf_rows)
        emit_fold(b);
    emit_inactive(b);
    for (uint32_t i = 0; i < b->peel.pivot_count; i++)
        emit_pivot(b, &b->peel.pivots[i]);
    return b->failed ? BC_NO_MEMORY : BC_OK;
}

int bc_plan_init(struct bc_plan *plan, uint32_t k, const uint32_t *isis, uint32_t count, int with_checks) {
    *plan = (struct bc_plan){.inputs = count};
    struct bc_arena scratch = {NULL};
    struct builder b = {.plan = plan, .inactive = {.with_checks = with_checks}};
    int status = bc_params_init(&plan->params, k);
    if (status == BC_OK && count < k)
        status = BC_DEPENDENT;
    if (status == BC_OK)
        status = build(&b, &scratch, isis, count);
    bc_arena_free(&scratch);
    return status;
}

void bc_plan_free(struct bc_plan *plan) {
    free(plan->first.words);
    free(plan->fold.words);
    free(plan->second.words);
    bc_arena_free(&plan->arena);
    *plan = (struct bc_plan){0};
}
