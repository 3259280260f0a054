/* From power-on to the jump. */
#ifndef MAIN_H
#define MAIN_H

#include "core/boot.h"
#include "loader/loader.h"

/* Listen on the serial line for a moment, choose, say what and why. Comes back with what to start. */
void stub_run(struct stub *stub, struct loader *loader, uint32_t session, struct boot_decision *decision);

#endif
