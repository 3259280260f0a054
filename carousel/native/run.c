#include "run.h"

#include <string.h>

#include "core.h"

/* What the rows of a strip may take. Narrow strips stay in the second level of cache, wide ones mispredict less often:
 * where a large third level stands behind, wide ones win up to this; on a board there is none. */
#if defined(__x86_64__)
#define BC_STRIP_BUDGET (1600u * 1024)
#else
#define BC_STRIP_BUDGET (700u * 1024)
#endif
#define MIN_LANES 2u

struct run {
    const struct bc_job *job;
    struct bc_strip strip;
    const uint8_t **gf_in;    /* the rows that the free columns are made of */
    uint8_t *gf_out[BC_MAX_H];
    uint8_t *staged;          /* a last strip of odd size is worked on in copies of whole lanes */
    const uint8_t **staged_in;
    uint8_t **staged_out;
};

static uint8_t *work_row(const struct run *run, uint32_t row) {
    return run->strip.work + (size_t)row * run->strip.lanes * BC_LANE;
}

static void run_program(const struct run *run, const struct bc_program *program) {
    const struct bc_strip *s = &run->strip;
    s->kernels->rows[s->lanes](program->words, program->words + program->size, s->work, s->inputs, s->offset);
}

/* The HDPC rows' right sides, with the free columns zero. */
static void run_hdpc(struct run *run) {
    const struct bc_plan *plan = run->job->plan;
    const struct bc_strip *s = &run->strip;
    uint8_t *buckets = work_row(run, plan->bucket_row);
    memset(buckets, 0, (size_t)plan->buckets * s->lanes * BC_LANE);
    s->kernels->hdpc[s->lanes](plan->pair, plan->hdpc_columns, s->work, buckets);
    run_program(run, &plan->fold);
    const uint32_t h = plan->params.h;
    for (uint32_t i = 0; i < h; i++)
        run->gf_in[i] = work_row(run, plan->hdpc_row + i);
    run->gf_in[h] = work_row(run, plan->bucket_row + plan->buckets - 1);
    for (uint32_t i = h + 1; i < plan->gf_inputs; i++)
        run->gf_in[i] = work_row(run, plan->solved_row + i - h - 1);
    run->strip.gf_in = run->gf_in;
}

static void run_free(struct run *run) {
    const struct bc_plan *plan = run->job->plan;
    const struct bc_strip *s = &run->strip;
    for (uint32_t f = 0; f < plan->free_count; f++)
        run->gf_out[f] = work_row(run, plan->free_columns[f]);
    const struct bc_gf_job job = {plan->free_count, plan->gf_inputs, plan->gf, run->gf_in, run->gf_out, s->lanes, 0};
    s->kernels->gf(&job);
}

static int run_strip(struct run *run) {
    const struct bc_plan *plan = run->job->plan;
    run_program(run, &plan->first);
    if (plan->gf_rows)
        run_hdpc(run);
    if (run->job->only_checks)
        return run->job->finish(run->job->context, &run->strip);
    if (plan->free_count)
        run_free(run);
    run_program(run, &plan->second);
    return run->job->finish(run->job->context, &run->strip);
}

static int run_staged(struct run *run, size_t bytes) {
    const struct bc_job *job = run->job;
    const size_t offset = run->strip.offset, row = (size_t)run->strip.lanes * BC_LANE;
    uint8_t *at = run->staged;
    for (uint32_t i = 0; i < job->inputs; i++, at += row)
        run->staged_in[i] = memcpy(at, job->input[i] + offset, bytes);
    for (uint32_t i = 0; i < job->outputs; i++, at += row)
        run->staged_out[i] = at;
    run->strip.inputs = run->staged_in;
    run->strip.outputs = run->staged_out;
    run->strip.offset = 0;
    const int status = run_strip(run);
    for (uint32_t i = 0; status == BC_OK && i < job->outputs; i++)
        memcpy(job->output[i] + offset, run->staged_out[i], bytes);
    return status;
}

static uint32_t lanes_of(const struct bc_job *job, const struct bc_kernels *kernels) {
    const uint32_t rows = job->plan->work_rows + job->more_rows + job->inputs;
    uint32_t lanes = BC_STRIP_BUDGET / (rows * BC_LANE);
    const uint32_t most = kernels->registers_bytes / BC_LANE;
    lanes = lanes < MIN_LANES ? MIN_LANES : lanes > most ? most : lanes;
    const uint32_t all = (uint32_t)((job->symbol_size + BC_LANE - 1) / BC_LANE);
    const uint32_t strips = (all + lanes - 1) / lanes;
    return (all + strips - 1) / strips; /* strips of about the same width */
}

static int allocate(struct run *run, struct bc_arena *arena, uint32_t lanes) {
    const struct bc_job *job = run->job;
    run->strip.work = bc_arena_unset_array(arena, job->plan->work_rows + job->more_rows, (size_t)lanes * BC_LANE);
    run->gf_in = BC_UNSET_ARRAY(arena, job->plan->gf_inputs, const uint8_t *);
    if (!run->strip.work || !run->gf_in)
        return BC_NO_MEMORY;
    if (job->symbol_size % BC_LANE == 0)
        return BC_OK;
    run->staged = bc_arena_array(arena, (size_t)job->inputs + job->outputs, (size_t)lanes * BC_LANE);
    run->staged_in = BC_UNSET_ARRAY(arena, job->inputs, const uint8_t *);
    run->staged_out = BC_UNSET_ARRAY(arena, job->outputs, uint8_t *);
    return run->staged && run->staged_in && run->staged_out ? BC_OK : BC_NO_MEMORY;
}

int bc_run(const struct bc_job *job, struct bc_arena *arena) {
    struct run run = {.job = job, .strip = {.kernels = bc_kernels(), .inputs = job->input, .outputs = job->output}};
    const uint32_t lanes = lanes_of(job, run.strip.kernels);
    int status = allocate(&run, arena, lanes);
    for (size_t offset = 0; status == BC_OK && offset < job->symbol_size; offset += (size_t)lanes * BC_LANE) {
        const size_t left = job->symbol_size - offset;
        const size_t bytes = left < (size_t)lanes * BC_LANE ? left : (size_t)lanes * BC_LANE;
        run.strip.lanes = (uint32_t)((bytes + BC_LANE - 1) / BC_LANE);
        run.strip.offset = offset;
        status = bytes % BC_LANE ? run_staged(&run, bytes) : run_strip(&run);
    }
    return status;
}
