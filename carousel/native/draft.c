/* A draft: a block decoded before its last symbols are there.
 *
 * The code is linear, so the block is a sum of what is there and of the `late` symbols that lack, each times a
 * coefficient. Stand-ins take their place: repair symbols with ESIs that nobody sends. With zeros for them the plan
 * gives what the block is but for them; with the unit vectors, run once over symbols of one octet for each, the
 * coefficients. Whichever symbols come then, each tells how it differs from what the draft makes of it: a dense system
 * in the stand-ins, as small as they are few. So what is left to do at the end is a sum of `late` rows for each one.
 *
 * Drafted rows stand in the block but for their first octets, which are zeros there till the draft is finished: whoever
 * finds the block after a power cut can tell them from symbols that came (settop/store/partfile.py).
 */
#include <stdlib.h>
#include <string.h>

#include "coder.h"
#include "dense.h"
#include "kernels.h"

#define MAX_COMING 4096u
#define MOST_USED 64u    /* late symbols that are looked at: the more there are, the rarer are dependent ones */
#define WIDTH BC_LANE    /* octets of the unit vectors, and so the most symbols that may lack */
#define HEAD 8u          /* octets of a row that are held back */
#define TRIES 3u         /* with other stand-ins, where these depend on what is there */

struct bc_draft {
    struct bc_arena arena;
    size_t symbol_size, padded;   /* T, and T in whole lanes */
    uint32_t k, late;
    uint32_t gone_count;          /* missing source symbols that won't come: they stand in the block */
    uint32_t *gone;
    uint8_t *gone_of;             /* gone_count x late coefficients */
    uint8_t (*heads)[HEAD];       /* gone_count */
    uint32_t coming_count;
    int64_t *coming;              /* ESIs */
    uint8_t *coming_of, *side;    /* coming_count x late coefficients, and x padded octets: what they are as drafted */
};

/* Which symbols a plan is to make, and where. */
struct wanted {
    uint32_t count;
    uint32_t *isis;
    uint8_t **drafted, **coefficients;
};

static int check_coming(const struct bc_decoding *d, const int64_t *coming, size_t count, uint8_t *is_coming) {
    const uint32_t k = d->coder->params.k;
    for (uint32_t i = 0; i < d->missing_count; i++)
        is_coming[d->missing[i]] = 2;
    for (size_t i = 0; i < count; i++) {
        if (coming[i] < 0 || coming[i] > BC_MAX_ESI - TRIES * WIDTH || (coming[i] < k && !is_coming[coming[i]]))
            return BC_INVALID;
        if (coming[i] < k && is_coming[coming[i]] == 1)
            return BC_INVALID; /* twice */
        if (coming[i] < k)
            is_coming[coming[i]] = 1;
    }
    for (uint32_t i = 0; i < d->repair_count; i++)
        if (d->esis[i] > BC_MAX_ESI - TRIES * WIDTH)
            return BC_INVALID;
    return BC_OK;
}

static int lay_out(struct bc_draft *draft, const struct bc_decoding *d, const int64_t *coming, size_t coming_count) {
    const uint32_t k = d->coder->params.k;
    uint8_t *is_coming = calloc(k, 1);
    if (!is_coming)
        return BC_NO_MEMORY;
    int status = check_coming(d, coming, coming_count, is_coming);
    draft->symbol_size = d->symbol_size;
    draft->padded = (d->symbol_size + BC_LANE - 1) / BC_LANE * BC_LANE;
    draft->k = k;
    draft->late = d->missing_count - d->repair_count;
    draft->coming_count = (uint32_t)coming_count;
    for (uint32_t i = 0; status == BC_OK && i < d->missing_count; i++)
        draft->gone_count += is_coming[d->missing[i]] == 2;
    if (status == BC_OK) {
        draft->gone = BC_UNSET_ARRAY(&draft->arena, draft->gone_count, uint32_t);
        draft->gone_of = bc_arena_unset_array(&draft->arena, draft->gone_count, draft->late);
        draft->heads = bc_arena_unset_array(&draft->arena, draft->gone_count, HEAD);
        draft->coming = BC_UNSET_ARRAY(&draft->arena, coming_count, int64_t);
        draft->coming_of = bc_arena_unset_array(&draft->arena, coming_count, draft->late);
        draft->side = bc_arena_array(&draft->arena, coming_count, draft->padded);
        if (!draft->gone || !draft->gone_of || !draft->heads || !draft->coming || !draft->coming_of || !draft->side)
            status = BC_NO_MEMORY;
    }
    for (uint32_t i = 0, at = 0; status == BC_OK && i < d->missing_count; i++)
        if (is_coming[d->missing[i]] == 2)
            draft->gone[at++] = (uint32_t)d->missing[i];
    if (status == BC_OK && coming_count)
        memcpy(draft->coming, coming, coming_count * sizeof *coming);
    free(is_coming);
    return status;
}

static int list_wanted(struct wanted *wanted, const struct bc_draft *draft, const struct bc_decoding *d) {
    const uint32_t count = wanted->count = draft->gone_count + draft->coming_count;
    uint8_t *coefficients = bc_arena_unset_array(d->arena, count, WIDTH);
    wanted->isis = BC_UNSET_ARRAY(d->arena, count, uint32_t);
    wanted->drafted = BC_UNSET_ARRAY(d->arena, count, uint8_t *);
    wanted->coefficients = BC_UNSET_ARRAY(d->arena, count, uint8_t *);
    if (!coefficients || !wanted->isis || !wanted->drafted || !wanted->coefficients)
        return BC_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        const int is_gone = i < draft->gone_count;
        const uint32_t at = is_gone ? i : i - draft->gone_count;
        const uint32_t esi = is_gone ? draft->gone[at] : (uint32_t)draft->coming[at];
        wanted->isis[i] = bc_isi(&d->coder->params, esi);
        wanted->drafted[i] = is_gone ? d->block + esi * d->symbol_size : draft->side + at * draft->padded;
        wanted->coefficients[i] = coefficients + (size_t)i * WIDTH;
    }
    return BC_OK;
}

static int make_plan(struct bc_plan *plan, const struct bc_received *received, const struct bc_draft *draft,
                     const struct bc_decoding *d) {
    int status = BC_DEPENDENT;
    for (uint32_t try = 0; status == BC_DEPENDENT && try < TRIES; try++) {
        for (uint32_t i = 0; i < draft->late; i++)
            received->isis[received->count + i] = bc_isi(&d->coder->params, BC_MAX_ESI - try * WIDTH - i);
        status = bc_plan_init(plan, d->arena, d->arena, draft->k, received->isis, received->count + draft->late, 0);
    }
    return status;
}

static void hold_heads_back(struct bc_draft *draft, uint8_t *block) {
    for (uint32_t i = 0; i < draft->gone_count; i++) {
        uint8_t *row = block + draft->gone[i] * draft->symbol_size;
        memcpy(draft->heads[i], row, HEAD);
        memset(row, 0, HEAD);
    }
}

static int run(struct bc_draft *draft, const struct bc_decoding *d, const struct bc_plan *plan,
               const struct bc_received *received, const struct wanted *wanted) {
    const uint32_t inputs = received->count + draft->late;
    uint8_t *zero = bc_arena_array(d->arena, 1, draft->padded);
    uint8_t(*unit)[WIDTH] = bc_arena_array(d->arena, draft->late, WIDTH);
    if (!zero || !unit)
        return BC_NO_MEMORY;
    for (uint32_t i = received->count; i < inputs; i++)
        received->input[i] = zero;
    int status = bc_run_sums(plan, d->arena, draft->symbol_size, received->input, wanted->isis, wanted->drafted,
                             wanted->count);
    if (status == BC_OK)
        hold_heads_back(draft, d->block);
    for (uint32_t i = 0; i < received->count; i++)
        received->input[i] = zero;
    for (uint32_t i = 0; i < draft->late; i++) {
        unit[i][i] = 1;
        received->input[received->count + i] = unit[i];
    }
    if (status == BC_OK)
        status = bc_run_sums(plan, d->arena, WIDTH, received->input, wanted->isis, wanted->coefficients,
                             wanted->count);
    for (uint32_t i = 0; status == BC_OK && i < wanted->count; i++) {
        uint8_t *to = i < draft->gone_count ? draft->gone_of + (size_t)i * draft->late
                                            : draft->coming_of + (size_t)(i - draft->gone_count) * draft->late;
        memcpy(to, wanted->coefficients[i], draft->late);
    }
    return status;
}

static int make(struct bc_draft *draft, const struct bc_decoding *d, const int64_t *coming, size_t coming_count) {
    struct bc_plan plan;
    struct bc_received received;
    struct wanted wanted;
    int status = lay_out(draft, d, coming, coming_count);
    if (status == BC_OK)
        status = bc_list_received(&received, d, draft->late);
    if (status == BC_OK)
        status = list_wanted(&wanted, draft, d);
    if (status == BC_OK)
        status = make_plan(&plan, &received, draft, d);
    if (status == BC_OK)
        status = run(draft, d, &plan, &received, &wanted);
    return status;
}

int bc_draft_new(bc_coder *coder, bc_workspace *space, uint8_t *block, size_t block_bytes, size_t symbol_size,
                 const int64_t *missing, size_t missing_count, const uint8_t *repair, size_t repair_bytes,
                 const int64_t *repair_rows, const int64_t *repair_esis, size_t repair_count, const int64_t *coming,
                 size_t coming_count, bc_draft **draft) {
    struct bc_decoding d = {coder, NULL, block, symbol_size, missing, 0, repair, repair_rows, repair_esis, 0};
    if (!draft || coming_count > MAX_COMING || (coming_count && !coming))
        return BC_INVALID;
    int status = bc_open_decoding(&d, block_bytes, missing_count, repair_bytes, repair_count);
    if (status != BC_OK)
        return status;
    if (repair_count >= missing_count || missing_count - repair_count > WIDTH)
        return BC_INVALID;
    bc_draft *made = calloc(1, sizeof *made);
    if (!made)
        return BC_NO_MEMORY;
    struct bc_arena arena = bc_arena_of(space, coder->params.k);
    d.arena = &arena;
    status = make(made, &d, coming, coming_count);
    bc_arena_free(&arena);
    if (status == BC_OK)
        *draft = made;
    else
        bc_draft_free(made);
    return status;
}

void bc_draft_free(bc_draft *draft) {
    if (draft)
        bc_arena_free(&draft->arena);
    free(draft);
}

/* The symbols that came late: which of `coming` they are; of those that are looked at, where they lie. */
struct late {
    uint8_t *is_there;
    uint32_t count;
    uint32_t place[MOST_USED];
    const uint8_t *symbol[MOST_USED];
};

static int find_late(struct late *late, const bc_draft *draft, const uint8_t *block, const uint8_t *repair,
                     size_t repair_bytes, const int64_t *rows, const int64_t *esis, size_t count) {
    const int64_t repair_rows = (int64_t)(repair_bytes / draft->symbol_size);
    for (size_t i = 0; i < count; i++) {
        uint32_t place = 0;
        while (place < draft->coming_count && draft->coming[place] != esis[i])
            place++;
        const int is_source = esis[i] < (int64_t)draft->k;
        if (place == draft->coming_count || (!is_source && (rows[i] < 0 || rows[i] >= repair_rows)))
            return BC_INVALID;
        late->is_there[place] = 1;
        if (i < MOST_USED) {
            const size_t row = (size_t)(is_source ? esis[i] : rows[i]);
            late->place[late->count] = place;
            late->symbol[late->count++] = (is_source ? block : repair) + row * draft->symbol_size;
        }
    }
    return late->count < draft->late ? BC_DEPENDENT : BC_OK;
}

/* The rows of the stand-ins, late x padded octets; null where they don't follow, or there is no memory: see status. */
static uint8_t *stand_ins(const bc_draft *draft, struct bc_arena *arena, const struct late *late, int *status) {
    uint8_t *residuals = bc_arena_array(arena, late->count, draft->padded);
    uint8_t *a = bc_arena_unset_array(arena, late->count, draft->late);
    uint8_t *solution = bc_arena_unset_array(arena, draft->late, late->count);
    uint8_t *rows = bc_arena_unset_array(arena, draft->late, draft->padded);
    const uint8_t *in[MOST_USED];
    uint8_t *out[WIDTH];
    *status = residuals && a && solution && rows ? BC_OK : BC_NO_MEMORY;
    if (*status != BC_OK)
        return NULL;
    for (uint32_t i = 0; i < late->count; i++) {
        uint8_t *residual = residuals + (size_t)i * draft->padded;
        memcpy(residual, late->symbol[i], draft->symbol_size);
        bc_kernels()->add_times(residual, draft->side + (size_t)late->place[i] * draft->padded, 1, draft->padded);
        memcpy(a + (size_t)i * draft->late, draft->coming_of + (size_t)late->place[i] * draft->late, draft->late);
        in[i] = residual;
    }
    *status = bc_solve_dense(arena, a, draft->late, late->count, draft->late, solution);
    if (*status != BC_OK)
        return NULL;
    for (uint32_t i = 0; i < draft->late; i++)
        out[i] = rows + (size_t)i * draft->padded;
    const struct bc_gf_job job = {draft->late, late->count, solution, in, out, (uint32_t)(draft->padded / BC_LANE), 0};
    bc_kernels()->gf(&job);
    return rows;
}

/* Some rows += their coefficients times the stand-ins. Rows that end within a lane are worked on in a copy. */
static void add_stand_ins(const bc_draft *draft, const uint8_t *stand_ins, const uint8_t *coefficients,
                          uint8_t *const *rows, uint32_t count, uint8_t *copy) {
    const uint8_t *in[WIDTH];
    uint8_t *const one[1] = {copy};
    for (uint32_t i = 0; i < draft->late; i++)
        in[i] = stand_ins + (size_t)i * draft->padded;
    struct bc_gf_job job = {count, draft->late, coefficients, in, rows, (uint32_t)(draft->padded / BC_LANE), 1};
    if (draft->padded == draft->symbol_size) {
        bc_kernels()->gf(&job);
        return;
    }
    job.outs = 1;
    job.out = one;
    for (uint32_t i = 0; i < count; i++, job.coefficients += draft->late) {
        memcpy(copy, rows[i], draft->symbol_size);
        bc_kernels()->gf(&job);
        memcpy(rows[i], copy, draft->symbol_size);
    }
}

static int write_rows(const bc_draft *draft, struct bc_arena *arena, const uint8_t *stand_ins, const struct late *late,
                      uint8_t *block) {
    uint8_t **rows = BC_UNSET_ARRAY(arena, draft->gone_count, uint8_t *);
    uint8_t *copy = bc_arena_array(arena, 1, draft->padded);
    if (!rows || !copy)
        return BC_NO_MEMORY;
    for (uint32_t i = 0; i < draft->gone_count; i++) {
        rows[i] = block + draft->gone[i] * draft->symbol_size;
        memcpy(rows[i], draft->heads[i], HEAD);
    }
    add_stand_ins(draft, stand_ins, draft->gone_of, rows, draft->gone_count, copy);
    for (uint32_t i = 0; i < draft->coming_count; i++) {
        if (late->is_there[i] || draft->coming[i] >= (int64_t)draft->k)
            continue;
        uint8_t *row = block + (size_t)draft->coming[i] * draft->symbol_size;
        memcpy(row, draft->side + (size_t)i * draft->padded, draft->symbol_size);
        add_stand_ins(draft, stand_ins, draft->coming_of + (size_t)i * draft->late, &row, 1, copy);
    }
    return BC_OK;
}

int bc_draft_finish(const bc_draft *draft, bc_workspace *space, uint8_t *block, size_t block_bytes,
                    const uint8_t *repair, size_t repair_bytes, const int64_t *late_rows, const int64_t *late_esis,
                    size_t count) {
    if (!draft || !block || block_bytes != draft->k * draft->symbol_size || (count && (!late_rows || !late_esis)) ||
        (repair_bytes && !repair))
        return BC_INVALID;
    struct bc_arena arena = bc_arena_of(space, draft->k);
    struct late late = {.is_there = bc_arena_array(&arena, draft->coming_count, 1)};
    int status = late.is_there ? BC_OK : BC_NO_MEMORY;
    if (status == BC_OK)
        status = find_late(&late, draft, block, repair, repair_bytes, late_rows, late_esis, count);
    const uint8_t *rows = status == BC_OK ? stand_ins(draft, &arena, &late, &status) : NULL;
    if (rows)
        status = write_rows(draft, &arena, rows, &late, block);
    bc_arena_free(&arena);
    return status;
}
