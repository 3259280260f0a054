/* A coder: the encoding plan of K source symbols, which encoding and the short way of decoding share. */
#ifndef BC_CODER_H
#define BC_CODER_H

#include <stddef.h>
#include <stdint.h>

#include "core.h"
#include "plan.h"

struct bc_coder {
    struct bc_plan plan;
};

/* A decoding whose numbers have been checked. */
struct bc_decoding {
    const struct bc_coder *coder;
    uint8_t *block;
    size_t symbol_size;
    const int64_t *missing;
    uint32_t missing_count;
    const uint8_t *repair;
    const int64_t *rows, *esis;
    uint32_t repair_count;
};

/* Append the operation that makes the symbol of this ISI of the intermediate symbols; room for BC_SUM_WORDS. */
#define BC_SUM_WORDS (3u + BC_MAX_LT + BC_MAX_PI)
uint16_t *bc_sum_of_symbol(const struct bc_params *params, uint32_t isi, uint16_t *op, uint32_t to, uint32_t input);

/* Decoding by a plan of its own, over the symbols that are there. */
int bc_decode_planned(const struct bc_decoding *decoding);

/* Decoding few missing symbols: the encoding plan with zeros for them, and a small dense system (few.c). */
int bc_decode_few(const struct bc_decoding *decoding);

#endif
