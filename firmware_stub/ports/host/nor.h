/* Strict NOR in memory: programming only clears bits, erasing is by sector; the power may go at any operation, or the
 * chip report a fault. */
#ifndef NOR_H
#define NOR_H

#include <setjmp.h>

#include "core/flash.h"

/* How the operation under way is hit. */
enum cut { CUT_BEFORE, CUT_TORN_PREFIX, CUT_RANDOM_BITS, CUT_PARTIAL, CUT_AFTER };

struct nor {
    uint8_t *bytes;
    uint32_t size;
    uint32_t sector_bytes;
    uint32_t operations; /* programs and erases since the last nor_arm */
    uint32_t cut_at;     /* the operation that the cut hits, from 1 on; 0: none */
    uint32_t fault_at;   /* the operation that fails, and says so; 0: none */
    bool is_worn;        /* so do all after it */
    bool is_silent;      /* they say nothing: only reading back tells */
    enum cut cut;
    uint64_t random;
    uint32_t violations; /* bits that a program would have had to set, or ranges out of bounds */
    uint64_t busy_us;
    uint32_t erase_us;
    uint32_t program_us_per_kib;
    jmp_buf *power_goes; /* where a cut lands */
};

void nor_arm(struct nor *nor, uint32_t cut_at, enum cut cut, uint64_t seed);

/* Let an operation fail, its effect as `cut` says. */
void nor_arm_fault(
    struct nor *nor, uint32_t fault_at, bool is_worn, bool is_silent, enum cut cut, uint64_t seed);

void nor_flash(struct nor *nor, struct flash *flash);

#endif
