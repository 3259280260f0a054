/* What the stub gives an image: r0 points here when it is started, at the board's load address, in ARM state. */
#ifndef HANDOFF_H
#define HANDOFF_H

#include "boot.h"

#define HANDOFF_MAGIC 0x4f484342u /* "BCHO" */

struct handoff {
    uint32_t magic;
    uint32_t size_bytes; /* of this struct: later stubs may say more */
    uint32_t place;      /* enum place: where the image came from */
    uint32_t tries_left; /* before this boot; 0 unless on trial */
    enum confirmation (*confirm)(void); /* call once you work; before that, a reset counts as a failed try */
    void (*reset)(void);
    enum halting (*halt)(const uint8_t sha256[32]); /* an image on trial whose roll-out was halted; then reset */
};

#endif
