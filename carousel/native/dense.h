/* Small dense systems over GF(256). */
#ifndef BC_DENSE_H
#define BC_DENSE_H

#include <stddef.h>
#include <stdint.h>

#include "arena.h"

/* Solve A x = b for any b: x = solution * b, unknowns x equations octets. A has that many equations, `a_width` octets
 * apart. Returns a bc_status: BC_DEPENDENT where A does not determine x. */
int bc_solve_dense(struct bc_arena *arena, const uint8_t *a, size_t a_width, uint32_t equations, uint32_t unknowns,
                   uint8_t *solution);

#endif
