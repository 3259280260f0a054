#include "dense.h"

#include <string.h>

#include "core.h"
#include "kernels.h"
#include "tables.h"

/* One column of Gauss and Jordan over GF(256). */
static int eliminate_column(uint8_t *lines, uint32_t count, size_t width, uint32_t column) {
    const struct bc_kernels *kernels = bc_kernels();
    uint8_t *pivot = lines + column * width;
    uint32_t found = column;
    while (found < count && !lines[found * width + column])
        found++;
    if (found == count)
        return BC_DEPENDENT;
    if (found != column)
        kernels->add_times(pivot, lines + found * width, 1, width); /* its own octet was 0: now it is the other's */
    const uint8_t inverse = bc_oct_exp[255 - bc_oct_log[pivot[column]]];
    if (inverse != 1)
        kernels->add_times(pivot, pivot, inverse ^ 1, width); /* x + (c + 1) x = c x */
    for (uint32_t line = 0; line < count; line++) {
        uint8_t *to = lines + line * width;
        if (line != column && to[column])
            kernels->add_times(to, pivot, to[column], width);
    }
    return BC_OK;
}

/* On [A | 1]: the right half becomes the solution. */
int bc_solve_dense(struct bc_arena *arena, const uint8_t *a, size_t a_width, uint32_t equations, uint32_t unknowns,
                   uint8_t *solution) {
    const size_t width = (unknowns + equations + BC_LANE - 1) / BC_LANE * BC_LANE;
    uint8_t *lines = bc_arena_array(arena, equations, width);
    if (!lines)
        return BC_NO_MEMORY;
    for (uint32_t i = 0; i < equations; i++) {
        memcpy(lines + i * width, a + i * a_width, unknowns);
        lines[i * width + unknowns + i] = 1;
    }
    for (uint32_t column = 0; column < unknowns; column++)
        if (eliminate_column(lines, equations, width, column) != BC_OK)
            return BC_DEPENDENT;
    for (uint32_t i = 0; i < unknowns; i++)
        memcpy(solution + (size_t)i * equations, lines + i * width + unknowns, equations);
    return BC_OK;
}
