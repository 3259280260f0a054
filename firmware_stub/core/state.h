/* What the board knows of its slots: the newest record, or what the slots themselves show. */
#ifndef STATE_H
#define STATE_H

#include "stub.h"

/* The newest record; without one, what the slots hold: whole images are on trial again, since one that failed is whole,
 * too. (settop/store/marks.py has marks of confirmation besides; the flash map has no place for them.) */
void state_load(const struct stub *stub, struct state_record *record);

#endif
