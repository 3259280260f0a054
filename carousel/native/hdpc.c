#include "hdpc.h"

#include <string.h>

#include "core.h"
#include "kernels.h"
#include "tables.h"

#define STRIP 64u  /* inactive columns worked on together: one word of a set becomes 64 octets */

struct hdpc {
    struct bc_inactive *in;
    const struct bc_params *params;
    const struct bc_peel *peel;
    uint32_t columns;    /* K' + S */
    uint32_t width;      /* octets of a row of coefficients, a multiple of STRIP */
    uint8_t *rows;       /* H x width: the coefficient of each inactive column */
    uint8_t *last;       /* width: the last y */
    uint8_t *spread;     /* columns x STRIP octets */
    uint8_t *buckets;    /* buckets x STRIP octets */
};

static uint8_t times(uint8_t a, uint8_t b) {
    return a && b ? bc_oct_exp[bc_oct_log[a] + bc_oct_log[b]] : 0;
}

static uint8_t inverse(uint8_t a) {
    return bc_oct_exp[255 - bc_oct_log[a]];
}

static void find_pairs(struct hdpc *d) {
    const uint32_t h = d->params->h;
    for (uint32_t j = 0; j + 1 < d->columns; j++) {
        const uint32_t first = bc_rand(j + 1, 6, h);
        const uint32_t second = (first + bc_rand(j + 1, 7, h - 1) + 1) % h;
        d->in->pair[j] = (uint8_t)(first < second ? bc_bucket(first, second) : bc_bucket(second, first));
    }
    d->in->pair[d->columns - 1] = (uint8_t)(d->in->buckets - 1);
}

/* Each bit of a word becomes an octet, 0 or 1. */
static void spread_bits(uint8_t *to, uint64_t bits) {
    static const uint64_t ones = 0x0101010101010101u, diagonal = 0x8040201008040201u;
    for (unsigned i = 0; i < 8; i++, bits >>= 8) {
        const uint64_t picked = (bits & 0xff) * ones & diagonal; /* octet k keeps bit k, or is 0 */
        uint64_t octets = (picked + 0x7f * ones) >> 7 & ones;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        octets = __builtin_bswap64(octets);
#endif
        memcpy(to + 8 * i, &octets, 8);
    }
}

static void fold_buckets(struct hdpc *d, uint32_t word) {
    const uint32_t h = d->params->h;
    for (uint32_t j = 1; j < h; j++) {
        for (uint32_t i = 0; i < j; i++) {
            const uint8_t *bucket = d->buckets + (size_t)bc_bucket(i, j) * STRIP;
            uint8_t *row_i = d->rows + (size_t)i * d->width + (size_t)word * STRIP;
            uint8_t *row_j = d->rows + (size_t)j * d->width + (size_t)word * STRIP;
            for (uint32_t k = 0; k < STRIP; k++) {
                row_i[k] ^= bucket[k];
                row_j[k] ^= bucket[k];
            }
        }
    }
    memcpy(d->last + (size_t)word * STRIP, d->buckets + (size_t)(d->in->buckets - 1) * STRIP, STRIP);
}

/* The coefficients of all inactive columns in all HDPC rows: the recurrence, run over sets instead of symbols. */
static void find_coefficients(struct hdpc *d) {
    const struct bc_inactive *in = d->in;
    for (uint32_t word = 0; word < in->words; word++) {
        for (uint32_t j = 0; j < d->columns; j++)
            spread_bits(d->spread + (size_t)j * STRIP, in->combination[(size_t)j * in->words + word]);
        memset(d->buckets, 0, (size_t)in->buckets * STRIP);
        bc_kernels()->hdpc[STRIP / BC_LANE](in->pair, d->columns, d->spread, d->buckets);
        fold_buckets(d, word);
    }
    for (uint32_t i = 0; i < d->params->h; i++) {
        uint8_t *row = d->rows + (size_t)i * d->width;
        for (uint32_t k = 0; k < d->peel->inactive_count; k++)
            row[k] ^= times(bc_oct_exp[i], d->last[k]);
        row[d->peel->inactive_index[d->columns + i]] ^= 1;
    }
}

/* Gauss and Jordan over GF(256): H lines of free_count octets, then H that say which HDPC rows a line sums. */
static int eliminate(uint8_t lines[BC_MAX_H][2 * BC_MAX_H], uint32_t h, uint32_t free_count) {
    for (uint32_t column = 0; column < free_count; column++) {
        uint32_t found = column;
        while (found < h && !lines[found][column])
            found++;
        if (found == h)
            return BC_DEPENDENT;
        uint8_t pivot[2 * BC_MAX_H];
        const uint8_t scale = inverse(lines[found][column]);
        for (uint32_t k = 0; k < 2 * BC_MAX_H; k++)
            pivot[k] = times(scale, lines[found][k]);
        memcpy(lines[found], lines[column], sizeof pivot);
        memcpy(lines[column], pivot, sizeof pivot);
        for (uint32_t i = 0; i < h; i++) {
            const uint8_t factor = lines[i][column];
            for (uint32_t k = 0; factor && i != column && k < 2 * BC_MAX_H; k++)
                lines[i][k] ^= times(factor, pivot[k]);
        }
    }
    return BC_OK;
}

static void fill_gf(const struct hdpc *d, uint8_t lines[BC_MAX_H][2 * BC_MAX_H]) {
    struct bc_inactive *in = d->in;
    const uint32_t h = d->params->h;
    for (uint32_t f = 0; f < in->gf_rows; f++) {
        uint8_t *out = in->gf + (size_t)f * in->gf_inputs;
        for (uint32_t i = 0; i < h; i++) {
            const uint8_t c = lines[f][BC_MAX_H + i];
            const uint8_t *row = d->rows + (size_t)i * d->width;
            out[i] = c;
            out[h] ^= times(c, bc_oct_exp[i]);
            for (uint32_t k = 0; c && k < in->solved_count; k++)
                out[h + 1 + k] ^= times(c, row[in->solved[k]]);
        }
    }
}

static int solve_free(struct hdpc *d) {
    uint8_t lines[BC_MAX_H][2 * BC_MAX_H] = {{0}};
    struct bc_inactive *in = d->in;
    for (uint32_t i = 0; i < d->params->h; i++) {
        const uint8_t *row = d->rows + (size_t)i * d->width;
        lines[i][BC_MAX_H + i] = 1;
        for (uint32_t f = 0; f < in->free_count; f++) {
            lines[i][f] = row[in->free_columns[f]];
            for (uint32_t k = 0; k < in->solved_count; k++)
                if (in->free_part[k] >> f & 1)
                    lines[i][f] ^= row[in->solved[k]];
        }
    }
    if (eliminate(lines, d->params->h, in->free_count) != BC_OK)
        return BC_DEPENDENT;
    fill_gf(d, lines);
    return BC_OK;
}

int bc_hdpc_solve(struct bc_inactive *in, struct bc_arena *scratch, struct bc_arena *kept, const struct bc_matrix *m,
                  const struct bc_peel *peel) {
    const struct bc_params *p = m->params;
    struct hdpc d = {.in = in, .params = p, .peel = peel, .columns = p->k_prime + p->s, .width = in->words * STRIP};
    in->buckets = p->h * (p->h - 1) / 2 + 1;
    in->gf_inputs = p->h + 1 + in->solved_count;
    in->pair = BC_UNSET_ARRAY(kept, d.columns, uint8_t);
    in->gf_rows = in->with_checks ? p->h : in->free_count;
    in->gf = BC_ARRAY(kept, (size_t)in->gf_rows * in->gf_inputs, uint8_t);
    d.rows = BC_ARRAY(scratch, (size_t)p->h * d.width, uint8_t);
    d.last = BC_UNSET_ARRAY(scratch, d.width, uint8_t);
    d.spread = BC_UNSET_ARRAY(scratch, (size_t)d.columns * STRIP, uint8_t);
    d.buckets = BC_UNSET_ARRAY(scratch, (size_t)in->buckets * STRIP, uint8_t);
    if (!in->pair || !in->gf || !d.rows || !d.last || !d.spread || !d.buckets)
        return BC_NO_MEMORY;
    find_pairs(&d);
    find_coefficients(&d);
    return solve_free(&d);
}
