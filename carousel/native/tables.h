/* The numbers of RFC 6330, and what is computed from them and the CRC's polynomial, as generated into tables.c. */
#ifndef BC_TABLES_H
#define BC_TABLES_H

#include <stdint.h>

#define BC_TABLE2_ROWS 477
#define BC_DEGREES 31

/* Table 2 (5.6): K' and its systematic index J(K'), S(K'), H(K'), W(K'). */
struct bc_table2_row {
    uint16_t k_prime, j, s, h, w;
};

extern const struct bc_table2_row bc_table2[BC_TABLE2_ROWS];
extern const uint32_t bc_v[4 * 256];                /* V0 to V3 (5.5), one behind the other */
extern const uint32_t bc_degrees[BC_DEGREES];       /* f[d] (5.3.5.2) */
extern const uint8_t bc_oct_exp[510];               /* 5.7.3: alpha^i, long enough for the sum of two logarithms */
extern const uint8_t bc_oct_log[256];               /* 5.7.4; the logarithm of 0 reads 0 and means nothing */
extern const uint8_t bc_nibble_products[256 * 32];  /* for each c: c * 0..15, then c * 0x00..0xF0 */
extern const uint32_t bc_crc_tables[8 * 256];       /* table n: the octet that n more octets follow */
extern const uint64_t bc_affine[256];               /* for each c: the bit matrix of x -> c * x (GF2P8AFFINEQB) */

#endif
