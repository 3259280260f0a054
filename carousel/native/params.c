#include "params.h"

#include "core.h"
#include "tables.h"

static int is_prime(uint32_t n) {
    if (n % 2 == 0)
        return n == 2;
    for (uint32_t d = 3; d * d <= n; d += 2)
        if (n % d == 0)
            return 0;
    return n > 1;
}

int bc_params_init(struct bc_params *p, uint32_t k) {
    if (k < 1 || k > BC_MAX_K)
        return BC_INVALID;
    uint32_t row = 0;
    while (bc_table2[row].k_prime < k)
        row++;
    const struct bc_table2_row *t = &bc_table2[row];
    p->k = k;
    p->k_prime = t->k_prime;
    p->s = t->s;
    p->h = t->h;
    p->w = t->w;
    p->l = p->k_prime + p->s + p->h;
    p->p = p->l - p->w;
    p->p1 = p->p;
    while (!is_prime(p->p1))
        p->p1++;
    p->b = p->w - p->s;
    p->a = 53591u + t->j * 997u;
    p->a |= 1;
    p->y0 = 10267u * (t->j + 1u);
    return BC_OK;
}

uint32_t bc_rand(uint32_t y, uint32_t i, uint32_t m) {
    return (bc_v[(y + i) & 255] ^ bc_v[256 + (((y >> 8) + i) & 255)] ^ bc_v[512 + (((y >> 16) + i) & 255)] ^
            bc_v[768 + (((y >> 24) + i) & 255)]) % m;
}

static uint32_t degree_of(uint32_t v, uint32_t w) {
    uint32_t d = 1;
    for (uint32_t i = 1; i < BC_MAX_LT; i++) /* all of them: where to stop could not be foreseen */
        d += v >= bc_degrees[i];
    return d < w - 2 ? d : w - 2;
}

/* (b + a) mod m, of numbers below m */
static uint32_t next(uint32_t b, uint32_t a, uint32_t m) {
    return b + a >= m ? b + a - m : b + a;
}

void bc_columns_of(const struct bc_params *p, uint32_t isi, struct bc_columns *c) {
    const uint32_t y = p->y0 + isi * p->a;
    const uint32_t d = degree_of(bc_rand(y, 0, 1u << 20), p->w);
    const uint32_t a = 1 + bc_rand(y, 1, p->w - 1);
    uint32_t b = bc_rand(y, 2, p->w);
    c->lt_count = d;
    for (uint32_t i = 0; i < d; i++) {
        c->lt[i] = (uint16_t)b;
        b = next(b, a, p->w);
    }
    c->pi_count = d < 4 ? 2 + bc_rand(isi, 3, 2) : 2;
    const uint32_t a1 = 1 + bc_rand(isi, 4, p->p1 - 1);
    uint32_t b1 = bc_rand(isi, 5, p->p1);
    for (uint32_t i = 0; i < c->pi_count; i++) {
        while (b1 >= p->p)
            b1 = next(b1, a1, p->p1);
        c->pi[i] = (uint16_t)(p->w + b1);
        b1 = next(b1, a1, p->p1);
    }
}
