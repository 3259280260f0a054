#include "coder.h"

#include <stdlib.h>
#include <string.h>

#include "run.h"

#define MAX_SYMBOL_BYTES 65528u
#define SYMBOL_ALIGNMENT 8u
#define MAX_FEW 64u          /* the short way has unit vectors for as many missing symbols */
#define SPARE_SYMBOLS 4u     /* repair symbols used beyond those missing, at first */

int bc_coder_new(uint32_t k, bc_coder **coder) {
    struct bc_params params;
    if (!coder || bc_params_init(&params, k) != BC_OK)
        return BC_INVALID;
    bc_coder *made = malloc(sizeof *made);
    if (!made)
        return BC_NO_MEMORY;
    made->params = params;
    atomic_init(&made->encoding, NULL);
    *coder = made;
    return BC_OK;
}

static void free_encoding(struct bc_encoding *encoding) {
    if (encoding)
        bc_arena_free(&encoding->arena);
    free(encoding);
}

void bc_coder_free(bc_coder *coder) {
    if (coder)
        free_encoding(atomic_load_explicit(&coder->encoding, memory_order_acquire));
    free(coder);
}

static int make_encoding(uint32_t k, struct bc_arena *scratch, struct bc_encoding **made) {
    struct bc_encoding *encoding = *made = calloc(1, sizeof **made);
    uint32_t *isis = BC_UNSET_ARRAY(scratch, k, uint32_t);
    if (!encoding || !isis)
        return BC_NO_MEMORY;
    for (uint32_t i = 0; i < k; i++)
        isis[i] = i;
    return bc_plan_init(&encoding->plan, &encoding->arena, scratch, k, isis, k, 0);
}

/* Two threads that need it at once both make it, and one of them throws its own away: nobody waits. */
int bc_encoding_plan(bc_coder *coder, struct bc_arena *scratch, const struct bc_plan **plan) {
    struct bc_encoding *there = atomic_load_explicit(&coder->encoding, memory_order_acquire), *made = NULL;
    if (!there) {
        const int status = make_encoding(coder->params.k, scratch, &made);
        if (status != BC_OK) {
            free_encoding(made);
            return status;
        }
        if (atomic_compare_exchange_strong_explicit(&coder->encoding, &there, made, memory_order_acq_rel,
                                                    memory_order_acquire))
            there = made;
        else
            free_encoding(made);
    }
    *plan = &there->plan;
    return BC_OK;
}

uint16_t *bc_sum_of_symbol(const struct bc_params *params, uint32_t isi, uint16_t *op, uint32_t to, uint32_t input) {
    struct bc_columns columns;
    bc_columns_of(params, isi, &columns);
    *op++ = (uint16_t)to;
    *op++ = (uint16_t)input;
    *op++ = (uint16_t)(columns.lt_count + columns.pi_count);
    memcpy(op, columns.lt, columns.lt_count * sizeof *op);
    memcpy(op + columns.lt_count, columns.pi, columns.pi_count * sizeof *op);
    return op + columns.lt_count + columns.pi_count;
}

static int fits(bc_coder *coder, const void *block, size_t block_bytes, size_t symbol_size) {
    return coder && block && symbol_size && symbol_size <= MAX_SYMBOL_BYTES && symbol_size % SYMBOL_ALIGNMENT == 0 &&
           block_bytes == coder->params.k * symbol_size;
}

/* What is to be made of a strip's intermediate symbols: a program of sums. */
struct sums {
    const uint16_t *program, *end;
};

static int finish_sums(void *context, const struct bc_strip *strip) {
    const struct sums *sums = context;
    strip->kernels->out[strip->lanes](sums->program, sums->end, strip->work, strip->outputs, strip->offset);
    return BC_OK;
}

int bc_run_sums(const struct bc_plan *plan, struct bc_arena *arena, size_t symbol_size, const uint8_t *const *inputs,
                const uint32_t *isis, uint8_t *const *outputs, uint32_t count) {
    uint16_t *program = BC_UNSET_ARRAY(arena, (size_t)count * BC_SUM_WORDS, uint16_t);
    if (!program)
        return BC_NO_MEMORY;
    uint16_t *end = program;
    for (uint32_t i = 0; i < count; i++)
        end = bc_sum_of_symbol(&plan->params, isis[i], end, i, 0);
    struct sums sums = {program, end};
    const struct bc_job job = {
        .plan = plan,
        .symbol_size = symbol_size,
        .inputs = plan->inputs,
        .input = inputs,
        .outputs = count,
        .output = outputs,
        .finish = finish_sums,
        .context = &sums,
    };
    return bc_run(&job, arena);
}

/* At most as many sums as 16 bits number are made in one run. */
#define MAX_SUMS 65535u

static int encode_some(bc_coder *coder, struct bc_arena *arena, const uint8_t *block, size_t symbol_size,
                       const int64_t *esis, size_t count, uint8_t *out) {
    const struct bc_params *p = &coder->params;
    const struct bc_plan *plan = NULL;
    const uint8_t **inputs = BC_UNSET_ARRAY(arena, p->k, const uint8_t *);
    uint8_t **outputs = BC_UNSET_ARRAY(arena, count, uint8_t *);
    uint32_t *isis = BC_UNSET_ARRAY(arena, count, uint32_t);
    uint32_t sums = 0;
    int status = inputs && outputs && isis ? BC_OK : BC_NO_MEMORY;
    for (size_t i = 0; status == BC_OK && i < p->k; i++)
        inputs[i] = block + i * symbol_size;
    for (size_t i = 0; status == BC_OK && i < count; i++) {
        if ((size_t)esis[i] < p->k) {
            memcpy(out + i * symbol_size, block + (size_t)esis[i] * symbol_size, symbol_size);
        } else {
            isis[sums] = bc_isi(p, (uint32_t)esis[i]);
            outputs[sums++] = out + i * symbol_size;
        }
    }
    if (status == BC_OK && sums)
        status = bc_encoding_plan(coder, arena, &plan);
    if (status == BC_OK && sums)
        status = bc_run_sums(plan, arena, symbol_size, inputs, isis, outputs, sums);
    return status;
}

int bc_encode(bc_coder *coder, bc_workspace *space, const uint8_t *block, size_t block_bytes, size_t symbol_size,
              const int64_t *esis, size_t count, uint8_t *out, size_t out_bytes) {
    if (!fits(coder, block, block_bytes, symbol_size) || (count && (!esis || !out)) ||
        count > SIZE_MAX / MAX_SYMBOL_BYTES || out_bytes != count * symbol_size)
        return BC_INVALID;
    for (size_t i = 0; i < count; i++)
        if (esis[i] < 0 || esis[i] > BC_MAX_ESI)
            return BC_INVALID;
    int status = BC_OK;
    for (size_t i = 0; status == BC_OK && i < count; i += MAX_SUMS) {
        struct bc_arena arena = bc_arena_of(space, coder->params.k);
        const size_t some = count - i < MAX_SUMS ? count - i : MAX_SUMS;
        status = encode_some(coder, &arena, block, symbol_size, esis + i, some, out + i * symbol_size);
        bc_arena_free(&arena);
    }
    return status;
}

int bc_list_received(struct bc_received *r, const struct bc_decoding *d, uint32_t more) {
    const struct bc_params *p = &d->coder->params;
    const uint32_t count = p->k - d->missing_count + d->repair_count + more;
    *r = (struct bc_received){.symbol_size = d->symbol_size};
    r->input = BC_UNSET_ARRAY(d->arena, count, const uint8_t *);
    r->isis = BC_UNSET_ARRAY(d->arena, count, uint32_t);
    r->esis = BC_UNSET_ARRAY(d->arena, count, int64_t);
    uint8_t *is_missing = BC_ARRAY(d->arena, p->k, uint8_t);
    if (!r->input || !r->isis || !r->esis || !is_missing)
        return BC_NO_MEMORY;
    for (uint32_t i = 0; i < d->missing_count; i++)
        is_missing[d->missing[i]] = 1;
    for (uint32_t i = 0; i < p->k; i++) {
        if (!is_missing[i]) {
            r->esis[r->count] = i;
            r->input[r->count++] = d->block + i * d->symbol_size;
        }
    }
    for (uint32_t i = 0; i < d->repair_count; i++) {
        r->esis[r->count] = d->esis[i];
        r->input[r->count++] = d->repair + (size_t)d->rows[i] * d->symbol_size;
    }
    for (uint32_t i = 0; i < r->count; i++)
        r->isis[i] = bc_isi(p, (uint32_t)r->esis[i]);
    return BC_OK;
}

int bc_decode_planned(const struct bc_decoding *d) {
    struct bc_received received;
    struct bc_plan plan;
    uint8_t **outputs = BC_UNSET_ARRAY(d->arena, d->missing_count, uint8_t *);
    uint32_t *missing = BC_UNSET_ARRAY(d->arena, d->missing_count, uint32_t);
    int status = outputs && missing ? bc_list_received(&received, d, 0) : BC_NO_MEMORY;
    if (status == BC_OK)
        status = bc_plan_init(&plan, d->arena, d->arena, d->coder->params.k, received.isis, received.count, 0);
    for (uint32_t i = 0; status == BC_OK && i < d->missing_count; i++) {
        missing[i] = (uint32_t)d->missing[i];
        outputs[i] = d->block + missing[i] * d->symbol_size;
    }
    if (status == BC_OK)
        status = bc_run_sums(&plan, d->arena, d->symbol_size, received.input, missing, outputs, d->missing_count);
    return status;
}

/* Each missing source symbol once, each repair symbol a row that is there and a repair ESI. */
static int check(const struct bc_decoding *d, size_t repair_bytes) {
    const uint32_t k = d->coder->params.k;
    const int64_t rows = (int64_t)(repair_bytes / d->symbol_size);
    for (uint32_t i = 0; i < d->repair_count; i++)
        if (d->rows[i] < 0 || d->rows[i] >= rows || d->esis[i] < k || d->esis[i] > BC_MAX_ESI)
            return BC_INVALID;
    uint8_t *seen = calloc(k, 1);
    if (!seen)
        return BC_NO_MEMORY;
    int status = BC_OK;
    for (uint32_t i = 0; status == BC_OK && i < d->missing_count; i++)
        if (d->missing[i] < 0 || d->missing[i] >= k || seen[d->missing[i]]++)
            status = BC_INVALID;
    free(seen);
    return status;
}

static int decode_some(struct bc_decoding d, bc_workspace *space, uint32_t repair_count) {
    struct bc_arena arena = bc_arena_of(space, d.coder->params.k);
    d.arena = &arena;
    d.repair_count = repair_count;
    const uint32_t worth = 10 + d.coder->params.k / 8; /* measured: beyond, a plan of its own is faster */
    const int is_few = d.missing_count <= MAX_FEW && d.missing_count <= worth;
    const int status = is_few ? bc_decode_few(&d) : bc_decode_planned(&d);
    bc_arena_free(&arena);
    return status;
}

int bc_open_decoding(struct bc_decoding *d, size_t block_bytes, size_t missing_count, size_t repair_bytes,
                     size_t repair_count) {
    if (!fits(d->coder, d->block, block_bytes, d->symbol_size) || missing_count > d->coder->params.k ||
        repair_count > UINT16_MAX / 2 || (missing_count && !d->missing) ||
        (repair_count && (!d->repair || !d->rows || !d->esis)))
        return BC_INVALID;
    d->missing_count = (uint32_t)missing_count;
    d->repair_count = (uint32_t)repair_count;
    return check(d, repair_bytes);
}

int bc_decode(bc_coder *coder, bc_workspace *space, uint8_t *block, size_t block_bytes, size_t symbol_size,
              const int64_t *missing, size_t missing_count, const uint8_t *repair, size_t repair_bytes,
              const int64_t *repair_rows, const int64_t *repair_esis, size_t repair_count) {
    struct bc_decoding d = {coder, NULL, block, symbol_size, missing, 0, repair, repair_rows, repair_esis, 0};
    int status = bc_open_decoding(&d, block_bytes, missing_count, repair_bytes, repair_count);
    if (status != BC_OK || missing_count == 0)
        return status;
    if (repair_count < missing_count)
        return BC_DEPENDENT;
    const size_t first = missing_count + SPARE_SYMBOLS < repair_count ? missing_count + SPARE_SYMBOLS : repair_count;
    status = decode_some(d, space, (uint32_t)first);
    if (status == BC_DEPENDENT && first < repair_count)
        status = decode_some(d, space, (uint32_t)repair_count);
    return status;
}

int bc_find_wrong(bc_coder *coder, bc_workspace *space, const uint8_t *block, size_t block_bytes, size_t symbol_size,
                  const int64_t *missing, size_t missing_count, const uint8_t *repair, size_t repair_bytes,
                  const int64_t *repair_rows, const int64_t *repair_esis, size_t repair_count, int64_t *suspects,
                  size_t room, size_t *count) {
    uint8_t *unchanged = (uint8_t *)block; /* only decoding writes to it */
    struct bc_decoding d = {coder, NULL, unchanged, symbol_size, missing, 0, repair, repair_rows, repair_esis, 0};
    int status = count && (suspects || !room) ? BC_OK : BC_INVALID;
    if (status == BC_OK)
        status = bc_open_decoding(&d, block_bytes, missing_count, repair_bytes, repair_count);
    if (status != BC_OK)
        return status;
    *count = 0;
    struct bc_arena arena = bc_arena_of(space, coder->params.k);
    struct bc_received received;
    d.arena = &arena;
    status = bc_list_received(&received, &d, 0);
    if (status == BC_OK)
        status = bc_judge_received(&coder->params, &arena, &received, suspects, room, count);
    bc_arena_free(&arena);
    return status;
}
