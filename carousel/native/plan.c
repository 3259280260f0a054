#include "plan.h"

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
};

/* Begin an operation: returns where its rows go. `allocate_programs` has counted how many there may be. */
static uint16_t *begin(const struct bc_program *program, uint32_t to, uint32_t input) {
    uint16_t *op = program->words + program->size;
    op[0] = (uint16_t)to;
    op[1] = (uint16_t)input;
    return op + HEAD;
}

static void end(struct bc_program *program, const uint16_t *rows_end) {
    uint16_t *op = program->words + program->size;
    op[2] = (uint16_t)(rows_end - (op + HEAD));
    program->size += HEAD + op[2];
}

static uint32_t input_of(const struct builder *b, uint32_t row) {
    return row < b->matrix.inputs ? row + 1 : 0;
}

/* to = right side of a sparse row + its pivots' columns (but not `own`), the inactive ones being zero. */
static void emit_without_inactive(struct builder *b, uint32_t row, uint32_t own, uint32_t to) {
    const struct bc_matrix *m = &b->matrix;
    uint16_t *at = begin(&b->plan->first, to, input_of(b, row));
    for (uint32_t i = m->row_start[row]; i < m->row_start[row + 1]; i++) {
        const uint16_t column = *at = m->row_column[i]; /* a jump to skip one could not be foreseen */
        at += (column != own) & (b->peel.inactive_index[column] == BC_NOT_INACTIVE);
    }
    end(&b->plan->first, at);
}

static void emit_zeros(struct builder *b) {
    for (uint32_t i = 0; i < b->peel.inactive_count; i++)
        end(&b->plan->first, begin(&b->plan->first, b->peel.inactive[i], 0));
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
            uint16_t *at = begin(&b->plan->first, table_entry(b, group, entry), 0);
            *at++ = (uint16_t)table_entry(b, group, entry & (entry - 1));
            *at++ = (uint16_t)table_entry(b, group, entry & -entry);
            end(&b->plan->first, at);
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
        uint16_t *at = begin(&b->plan->first, to + i, 0);
        for (uint32_t first = 0; first < residuals; first += b->group) {
            const uint32_t count = residuals - first < b->group ? residuals - first : b->group;
            const uint32_t entry = bits_of(sum, first, count);
            if (entry)
                *at++ = (uint16_t)table_entry(b, first / b->group, entry);
        }
        end(&b->plan->first, at);
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
        uint16_t *at = begin(&b->plan->fold, b->plan->hdpc_row + i, 0);
        for (uint32_t j = 0; j < h; j++)
            if (j != i)
                *at++ = (uint16_t)(b->plan->bucket_row + (i < j ? bc_bucket(i, j) : bc_bucket(j, i)));
        end(&b->plan->fold, at);
    }
}

/* Every inactive column's value, to its place: the free ones are there already. */
static void emit_inactive(struct builder *b) {
    const struct bc_inactive *in = &b->inactive;
    for (uint32_t i = 0; i < in->solved_count; i++) {
        uint16_t *at = begin(&b->plan->second, b->peel.inactive[in->solved[i]], 0);
        *at++ = (uint16_t)(b->plan->solved_row + i);
        for (uint32_t f = 0; f < in->free_count; f++)
            if (in->free_part[i] >> f & 1)
                *at++ = b->plan->free_columns[f];
        end(&b->plan->second, at);
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
        uint16_t *at = begin(&b->plan->second, pivot->column, 0);
        *at++ = pivot->column;
        for (uint32_t i = 0; i < b->inactive.words; i++)
            for (uint64_t word = combination[i]; word; word &= word - 1)
                *at++ = b->peel.inactive[64 * i + (uint32_t)__builtin_ctzll(word)];
        end(&b->plan->second, at);
        return;
    }
    uint16_t *at = begin(&b->plan->second, pivot->column, input_of(b, pivot->row));
    for (uint32_t i = first; i < last; i++) {
        *at = m->row_column[i];
        at += *at != pivot->column;
    }
    for (uint32_t i = 0; i < m->pi_count[pivot->row]; i++)
        *at++ = m->pi[pivot->row][i];
    end(&b->plan->second, at);
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

/* As many words as the operations of each program may have. */
static int allocate_programs(struct builder *b, struct bc_arena *arena) {
    const uint32_t entries = b->matrix.row_start[b->matrix.rows], h = b->plan->params.h;
    const uint32_t groups = b->peel.residual_count / b->group + 1;
    const uint32_t sums = b->inactive.solved_count + b->inactive.check_count;
    const uint32_t first = b->matrix.rows * HEAD + entries + b->peel.inactive_count * HEAD +
                           (groups << b->group) * (HEAD + 2) + sums * (HEAD + groups);
    const uint32_t second = b->inactive.solved_count * (HEAD + 1 + b->inactive.free_count) +
                            b->peel.pivot_count * (HEAD + BC_MAX_PI) + entries;
    b->plan->first.words = BC_UNSET_ARRAY(arena, first, uint16_t);
    b->plan->fold.words = BC_UNSET_ARRAY(arena, h * (HEAD + h), uint16_t);
    b->plan->second.words = BC_UNSET_ARRAY(arena, second, uint16_t);
    return b->plan->first.words && b->plan->fold.words && b->plan->second.words ? BC_OK : BC_NO_MEMORY;
}

static int solve(struct builder *b, struct bc_arena *kept, struct bc_arena *scratch, const uint32_t *isis) {
    int status = bc_matrix_init(&b->matrix, scratch, &b->plan->params, isis, b->plan->inputs);
    if (status == BC_OK)
        status = bc_peel_run(&b->peel, scratch, &b->matrix);
    if (status == BC_OK)
        status = bc_inactive_solve(&b->inactive, scratch, kept, &b->matrix, &b->peel);
    if (status == BC_OK)
        status = lay_out_rows(b);
    return status == BC_OK ? allocate_programs(b, kept) : status;
}

int bc_plan_init(struct bc_plan *plan, struct bc_arena *kept, struct bc_arena *scratch, uint32_t k,
                 const uint32_t *isis, uint32_t count, int with_checks) {
    *plan = (struct bc_plan){.inputs = count};
    struct builder b = {.plan = plan, .inactive = {.with_checks = with_checks}};
    int status = bc_params_init(&plan->params, k);
    if (status == BC_OK)
        status = count < k ? BC_DEPENDENT : solve(&b, kept, scratch, isis);
    if (status != BC_OK)
        return status;
    emit_first(&b);
    if (plan->gf_rows)
        emit_fold(&b);
    emit_inactive(&b);
    for (uint32_t i = 0; i < b.peel.pivot_count; i++)
        emit_pivot(&b, &b.peel.pivots[i]);
    return BC_OK;
}
