/* Running a plan over the bytes of a block, strip by strip (see kernels.h). */
#ifndef BC_RUN_H
#define BC_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "kernels.h"
#include "plan.h"

/* One strip, when its intermediate symbols stand in `work`: what is to be made of them goes to the outputs. */
struct bc_strip {
    const struct bc_kernels *kernels;
    uint32_t lanes;
    uint8_t *work;
    const uint8_t *const *inputs;
    uint8_t *const *outputs;
    size_t offset;            /* of the strip in inputs and outputs */
    const uint8_t *const *gf_in;  /* the rows that a row of the plan's `gf` sums */
};

struct bc_job {
    const struct bc_plan *plan;
    size_t symbol_size;
    uint32_t inputs;          /* the plan's, and what else `finish` reads */
    const uint8_t *const *input;
    uint32_t outputs;
    uint8_t *const *output;
    int only_checks;          /* don't go on to the intermediate symbols: `finish` looks at what must be zero */
    uint32_t more_rows;       /* work rows behind the plan's that `finish` needs */
    int (*finish)(void *context, const struct bc_strip *strip);
    void *context;
};

/* Returns a bc_status. Before the first strip is finished nothing was written. */
int bc_run(const struct bc_job *job, struct bc_arena *arena);

#endif
