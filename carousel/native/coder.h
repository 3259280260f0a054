/* A coder: what K source symbols are worked on by, whatever is done with them. */
#ifndef BC_CODER_H
#define BC_CODER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "core.h"
#include "plan.h"

/* The plan of the ISIs 0 .. K' - 1, which encoding and the short way of decoding share. */
struct bc_encoding {
    struct bc_plan plan;
    struct bc_arena arena;
};

struct bc_coder {
    struct bc_params params;
    _Atomic(struct bc_encoding *) encoding;  /* null until somebody needs it: most decodings don't */
};

int bc_encoding_plan(bc_coder *coder, struct bc_arena *scratch, const struct bc_plan **plan);

/* A decoding whose numbers have been checked. */
struct bc_decoding {
    bc_coder *coder;
    struct bc_arena *arena;
    uint8_t *block;
    size_t symbol_size;
    const int64_t *missing;
    uint32_t missing_count;
    const uint8_t *repair;
    const int64_t *rows, *esis;
    uint32_t repair_count;
};

/* The symbols that are there: source symbols in order, then repair symbols. */
struct bc_received {
    size_t symbol_size;
    uint32_t count;
    const uint8_t **input;
    uint32_t *isis;
    int64_t *esis;
};

/* Fill in the counts of what decoding is given; BC_OK where every number fits. */
int bc_open_decoding(struct bc_decoding *decoding, size_t block_bytes, size_t missing_count, size_t repair_bytes,
                     size_t repair_count);

/* List them; there is room for more behind them. */
int bc_list_received(struct bc_received *received, const struct bc_decoding *decoding, uint32_t more);

/* Run a plan and write the symbols with these ISIs to their places. */
int bc_run_sums(const struct bc_plan *plan, struct bc_arena *arena, size_t symbol_size, const uint8_t *const *inputs,
                const uint32_t *isis, uint8_t *const *outputs, uint32_t count);

/* As bc_find_wrong (wrong.c). */
int bc_judge_received(const struct bc_params *params, struct bc_arena *arena, const struct bc_received *received,
                      int64_t *suspects, size_t room, size_t *count);

/* Append the operation that makes the symbol of this ISI of the intermediate symbols; room for BC_SUM_WORDS. */
#define BC_SUM_WORDS (3u + BC_MAX_LT + BC_MAX_PI)
uint16_t *bc_sum_of_symbol(const struct bc_params *params, uint32_t isi, uint16_t *op, uint32_t to, uint32_t input);

/* Decoding by a plan of its own, over the symbols that are there. */
int bc_decode_planned(const struct bc_decoding *decoding);

/* Decoding few missing symbols: the encoding plan with zeros for them, and a small dense system (few.c). */
int bc_decode_few(const struct bc_decoding *decoding);

#endif
