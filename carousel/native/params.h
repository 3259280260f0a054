/* The numbers of a code for K source symbols (RFC 6330 5.3.1, 5.3.3.3), and which columns a symbol is made of. */
#ifndef BC_PARAMS_H
#define BC_PARAMS_H

#include <stdint.h>

#define BC_MAX_K 32000u         /* columns and rows of a plan are numbered in 16 bits */
#define BC_MAX_ESI ((1 << 24) - 1)
#define BC_MAX_LT 30u           /* the largest degree */
#define BC_MAX_PI 3u            /* permanently inactive columns in a row */

struct bc_params {
    uint32_t k;        /* source symbols */
    uint32_t k_prime;  /* K', with padding */
    uint32_t s, h;     /* LDPC and HDPC rows */
    uint32_t w;        /* LT columns 0..W-1; the PI columns follow */
    uint32_t l;        /* intermediate symbols, K' + S + H */
    uint32_t p, p1;    /* PI columns, and the smallest prime not below */
    uint32_t b;        /* LT columns without the LDPC ones, W - S */
    uint32_t a, y0;    /* 5.3.5.4: A, and B, of the systematic index */
};

/* The columns of one row of the constraint matrix. */
struct bc_columns {
    uint32_t lt_count, pi_count;
    uint16_t lt[BC_MAX_LT];
    uint16_t pi[BC_MAX_PI];  /* as columns, W and more */
};

int bc_params_init(struct bc_params *params, uint32_t k);

/* The internal symbol ID of an encoding symbol: padding symbols stand between source and repair (5.3.1). */
static inline uint32_t bc_isi(const struct bc_params *params, uint32_t esi) {
    return esi < params->k ? esi : esi + params->k_prime - params->k;
}

/* Rand[y, i, m] (5.3.5.1) */
uint32_t bc_rand(uint32_t y, uint32_t i, uint32_t m);

/* The columns whose sum is the encoding symbol of this ISI (5.3.5.3, 5.3.5.4). */
void bc_columns_of(const struct bc_params *params, uint32_t isi, struct bc_columns *columns);

#endif
