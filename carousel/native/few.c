/* Decoding few missing symbols without a plan of their own.
 *
 * The code is linear: repair symbol r is a sum of what it has of the symbols that are there, which the encoding plan
 * gives when zeros stand for the missing ones, and of the missing ones, each times a coefficient. The coefficients come
 * out of the same plan, run once over symbols of one octet for each missing symbol: all zero, and the unit vectors in
 * the places of the missing. So residuals = A * missing, a dense system as small as they are few.
 */
#include <string.h>

#include "coder.h"
#include "dense.h"
#include "run.h"

#define WIDTH 64u  /* octets of the unit vectors: as many symbols as may be missing */

struct few {
    const struct bc_decoding *d;
    const struct bc_plan *plan;
    uint32_t m, r;            /* missing symbols, repair symbols */
    const uint8_t **inputs;   /* K source symbols, zeros where missing, and the repair symbols */
    uint8_t **outputs;
    uint16_t *program, *end;  /* the residuals, to the rows behind the plan's */
    uint8_t (*a)[WIDTH];      /* r x m coefficients */
    uint8_t *solution;        /* m x r octets: the missing of the residuals */
    const uint8_t **residuals;
    uint8_t **missing;
};

static void sum_of_residuals(struct few *few, int with_repair_symbols) {
    const struct bc_plan *plan = few->plan;
    few->end = few->program;
    for (uint32_t i = 0; i < few->r; i++)
        few->end = bc_sum_of_symbol(&plan->params, bc_isi(&plan->params, (uint32_t)few->d->esis[i]), few->end,
                                    plan->work_rows + i, with_repair_symbols ? plan->inputs + i + 1 : 0);
}

static uint8_t *residual(const struct few *few, const struct bc_strip *strip, uint32_t i) {
    return strip->work + (size_t)(few->plan->work_rows + i) * strip->lanes * BC_LANE;
}

static int finish_coefficients(void *context, const struct bc_strip *strip) {
    struct few *few = context;
    strip->kernels->rows[strip->lanes](few->program, few->end, strip->work, strip->inputs, strip->offset);
    for (uint32_t i = 0; i < few->r; i++)
        memcpy(few->a[i], residual(few, strip, i), WIDTH);
    return BC_OK;
}

static int finish_missing(void *context, const struct bc_strip *strip) {
    struct few *few = context;
    strip->kernels->rows[strip->lanes](few->program, few->end, strip->work, strip->inputs, strip->offset);
    for (uint32_t i = 0; i < few->r; i++)
        few->residuals[i] = residual(few, strip, i);
    for (uint32_t i = 0; i < few->m; i++)
        few->missing[i] = strip->outputs[i] + strip->offset;
    const struct bc_gf_job job = {few->m, few->r, few->solution, few->residuals, few->missing, strip->lanes, 0};
    strip->kernels->gf(&job);
    return BC_OK;
}

static int run(struct few *few, size_t symbol_size, uint32_t outputs, int (*finish)(void *, const struct bc_strip *)) {
    const struct bc_job job = {
        .plan = few->plan,
        .symbol_size = symbol_size,
        .inputs = few->plan->inputs + few->r,
        .input = few->inputs,
        .outputs = outputs,
        .output = few->outputs,
        .more_rows = few->r,
        .finish = finish,
        .context = few,
    };
    return bc_run(&job, few->d->arena);
}

static int find_coefficients(struct few *few) {
    const uint32_t k = few->plan->params.k;
    uint8_t *zero = bc_arena_array(few->d->arena, 1, WIDTH);
    uint8_t(*unit)[WIDTH] = bc_arena_array(few->d->arena, few->m, WIDTH);
    if (!zero || !unit)
        return BC_NO_MEMORY;
    for (uint32_t i = 0; i < k + few->r; i++)
        few->inputs[i] = zero;
    for (uint32_t i = 0; i < few->m; i++) {
        unit[i][i] = 1;
        few->inputs[few->d->missing[i]] = unit[i];
    }
    sum_of_residuals(few, 0);
    return run(few, WIDTH, 0, finish_coefficients);
}

static int find_missing(struct few *few) {
    const struct bc_decoding *d = few->d;
    const uint32_t k = few->plan->params.k;
    uint8_t *zero = bc_arena_array(d->arena, 1, d->symbol_size);
    if (!zero)
        return BC_NO_MEMORY;
    for (uint32_t i = 0; i < k; i++)
        few->inputs[i] = d->block + i * d->symbol_size;
    for (uint32_t i = 0; i < few->m; i++) {
        few->inputs[d->missing[i]] = zero;
        few->outputs[i] = d->block + (size_t)d->missing[i] * d->symbol_size;
    }
    for (uint32_t i = 0; i < few->r; i++)
        few->inputs[k + i] = d->repair + (size_t)d->rows[i] * d->symbol_size;
    sum_of_residuals(few, 1);
    return run(few, d->symbol_size, few->m, finish_missing);
}

int bc_decode_few(const struct bc_decoding *d) {
    struct few few = {.d = d, .m = d->missing_count, .r = d->repair_count};
    int status = bc_encoding_plan(d->coder, d->arena, &few.plan);
    if (status != BC_OK)
        return status;
    if (few.plan->work_rows + few.r > UINT16_MAX || few.plan->inputs + few.r > UINT16_MAX)
        return bc_decode_planned(d);
    few.inputs = BC_UNSET_ARRAY(d->arena, few.plan->inputs + few.r, const uint8_t *);
    few.outputs = BC_UNSET_ARRAY(d->arena, few.m, uint8_t *);
    few.program = BC_UNSET_ARRAY(d->arena, (size_t)few.r * BC_SUM_WORDS, uint16_t);
    few.a = bc_arena_unset_array(d->arena, few.r, WIDTH);
    few.solution = bc_arena_unset_array(d->arena, few.m, few.r);
    few.residuals = BC_UNSET_ARRAY(d->arena, few.r, const uint8_t *);
    few.missing = BC_UNSET_ARRAY(d->arena, few.m, uint8_t *);
    if (!few.inputs || !few.outputs || !few.program || !few.a || !few.solution || !few.residuals || !few.missing)
        return BC_NO_MEMORY;
    status = find_coefficients(&few);
    if (status == BC_OK)
        status = bc_solve_dense(d->arena, few.a[0], WIDTH, few.r, few.m, few.solution);
    return status == BC_OK ? find_missing(&few) : status;
}
