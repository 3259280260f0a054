/* Which symbol is wrong? The equations that are left over tell, where one is.
 *
 * K + h symbols leave h check equations: sums of symbols that must be zero. A wrong symbol j with the error e shows in
 * them as a syndrome c_j * e, where c_j are its h coefficients: every octet of the syndrome is a multiple of the same h
 * octets, and the symbols whose coefficients are such a multiple are the suspects. With h = 4 that is one among
 * thousands. Nothing is believed on the code's word: the block's digest decides.
 *
 * The coefficients of all symbols come out of the plan run backwards: what is a sum of rows one way is the other way
 * added to each of them.
 */
#include <string.h>

#include "coder.h"
#include "run.h"
#include "tables.h"

#define MAX_CHECKS 32u  /* more tell no more: one lane of octets */

struct wrong {
    const struct bc_plan *plan;
    uint32_t checks;               /* h, at most MAX_CHECKS */
    uint32_t binary;               /* the first of them, which are rows; the others are rows of the plan's gf */
    uint8_t direction[MAX_CHECKS]; /* the syndrome's octets, the first one that is not zero made 1 */
    int seen;                      /* a syndrome that is not zero */
    int many;                      /* two that are not multiples of each other */
    uint8_t *sums;                 /* what the rows of gf give, in a strip */
};

static uint8_t times(uint8_t a, uint8_t b) {
    return a && b ? bc_oct_exp[bc_oct_log[a] + bc_oct_log[b]] : 0;
}

/* Make the first octet that is not zero a 1; returns 0 where all are zero. */
static int normalize(uint8_t *octets, uint32_t count) {
    uint32_t first = 0;
    while (first < count && !octets[first])
        first++;
    if (first == count)
        return 0;
    const uint8_t scale = bc_oct_exp[255 - bc_oct_log[octets[first]]];
    for (uint32_t i = first; i < count; i++)
        octets[i] = times(scale, octets[i]);
    return 1;
}

static const uint8_t *check_row(const struct wrong *w, const struct bc_strip *strip, uint32_t i) {
    const size_t row = (size_t)strip->lanes * BC_LANE;
    return i < w->binary ? strip->work + (w->plan->check_row + i) * row : w->sums + (i - w->binary) * row;
}

static int finish_checks(void *context, const struct bc_strip *strip) {
    struct wrong *w = context;
    const size_t row = (size_t)strip->lanes * BC_LANE;
    uint8_t *out[MAX_CHECKS];
    for (uint32_t i = 0; i < w->checks - w->binary; i++)
        out[i] = w->sums + i * row;
    const struct bc_gf_job job = {
        w->checks - w->binary, w->plan->gf_inputs, w->plan->gf + (size_t)w->plan->free_count * w->plan->gf_inputs,
        strip->gf_in, out, strip->lanes,
    };
    strip->kernels->gf(&job);
    for (size_t at = 0; at < row; at++) {
        uint8_t octets[MAX_CHECKS];
        for (uint32_t i = 0; i < w->checks; i++)
            octets[i] = check_row(w, strip, i)[at];
        if (!normalize(octets, w->checks))
            continue;
        if (!w->seen)
            memcpy(w->direction, octets, w->checks);
        w->many |= w->seen && memcmp(w->direction, octets, w->checks) != 0;
        w->seen = 1;
    }
    return BC_OK;
}

/* The plan backwards, over the checks' coefficients: one lane for each work row and each input. */
struct backwards {
    const struct wrong *w;
    uint8_t (*row)[MAX_CHECKS], (*input)[MAX_CHECKS];
    uint32_t *starts;              /* of the operations of `first` */
};

static void add(uint8_t *to, const uint8_t *from) {
    for (uint32_t i = 0; i < MAX_CHECKS; i++)
        to[i] ^= from[i];
}

static void begin_backwards(struct backwards *back) {
    const struct wrong *w = back->w;
    const struct bc_plan *plan = w->plan;
    const uint32_t h = plan->params.h;
    for (uint32_t i = 0; i < w->binary; i++)
        back->row[plan->check_row + i][i] = 1;
    for (uint32_t i = w->binary; i < w->checks; i++) {
        const uint8_t *gf = plan->gf + (size_t)(plan->free_count + i - w->binary) * plan->gf_inputs;
        for (uint32_t j = 0; j < h; j++)
            back->row[plan->hdpc_row + j][i] = gf[j];
        back->row[plan->bucket_row + plan->buckets - 1][i] = gf[h];
        for (uint32_t j = h + 1; j < plan->gf_inputs; j++)
            back->row[plan->solved_row + j - h - 1][i] = gf[j];
    }
}

static void hdpc_backwards(struct backwards *back) {
    const struct bc_plan *plan = back->w->plan;
    uint8_t y[MAX_CHECKS] = {0};
    for (uint32_t j = 1; j < plan->params.h; j++)
        for (uint32_t i = 0; i < j; i++) {
            add(back->row[plan->bucket_row + bc_bucket(i, j)], back->row[plan->hdpc_row + i]);
            add(back->row[plan->bucket_row + bc_bucket(i, j)], back->row[plan->hdpc_row + j]);
        }
    for (uint32_t j = plan->hdpc_columns; j-- > 0;) {
        for (uint32_t i = 0; i < MAX_CHECKS; i++)
            y[i] = times(2, y[i]);
        add(y, back->row[plan->bucket_row + plan->pair[j]]);
        add(back->row[j], y);
    }
}

static void first_backwards(struct backwards *back) {
    const struct bc_program *first = &back->w->plan->first;
    uint32_t count = 0;
    for (uint32_t at = 0; at < first->size; at += 3u + first->words[at + 2])
        back->starts[count++] = at;
    while (count-- > 0) {
        const uint16_t *op = first->words + back->starts[count];
        uint8_t sum[MAX_CHECKS];
        memcpy(sum, back->row[op[0]], sizeof sum);
        memset(back->row[op[0]], 0, sizeof sum);
        for (uint32_t i = 0; i < op[2]; i++)
            add(back->row[op[3 + i]], sum);
        if (op[1])
            add(back->input[op[1] - 1], sum);
    }
}

static int find_suspects(const struct wrong *w, struct bc_arena *arena, const int64_t *esis, int64_t *suspects,
                         size_t room, size_t *count) {
    struct backwards back = {.w = w};
    back.row = bc_arena_array(arena, w->plan->work_rows, MAX_CHECKS);
    back.input = bc_arena_array(arena, w->plan->inputs, MAX_CHECKS);
    back.starts = BC_UNSET_ARRAY(arena, w->plan->first.size, uint32_t);
    if (!back.row || !back.input || !back.starts)
        return BC_NO_MEMORY;
    begin_backwards(&back);
    hdpc_backwards(&back);
    first_backwards(&back);
    for (uint32_t i = 0; i < w->plan->inputs && *count < room; i++)
        if (normalize(back.input[i], w->checks) && memcmp(back.input[i], w->direction, w->checks) == 0)
            suspects[(*count)++] = esis[i];
    return BC_OK;
}

static int judge(struct wrong *w, struct bc_arena *arena, const struct bc_received *r, int64_t *suspects, size_t room,
                 size_t *count) {
    const uint32_t more = w->plan->gf_rows - w->plan->free_count;
    w->binary = w->plan->check_count < MAX_CHECKS ? w->plan->check_count : MAX_CHECKS;
    w->checks = w->binary + (more < MAX_CHECKS - w->binary ? more : MAX_CHECKS - w->binary);
    if (!w->checks)
        return BC_DEPENDENT;
    w->sums = bc_arena_unset_array(arena, MAX_CHECKS, BC_MAX_LANES * BC_LANE);
    const struct bc_job job = {
        .plan = w->plan,
        .symbol_size = r->symbol_size,
        .inputs = w->plan->inputs,
        .input = r->input,
        .only_checks = 1,
        .finish = finish_checks,
        .context = w,
    };
    int status = w->sums ? bc_run(&job, arena) : BC_NO_MEMORY;
    if (status == BC_OK && w->seen && !w->many)
        status = find_suspects(w, arena, r->esis, suspects, room, count);
    return status == BC_OK && w->seen && !*count ? BC_MANY_WRONG : status;
}

int bc_judge_received(const struct bc_params *params, struct bc_arena *arena, const struct bc_received *r,
                      int64_t *suspects, size_t room, size_t *count) {
    struct bc_plan plan;
    struct wrong w = {.plan = &plan};
    const int status = bc_plan_init(&plan, arena, arena, params->k, r->isis, r->count, 1);
    return status == BC_OK ? judge(&w, arena, r, suspects, room, count) : status;
}
