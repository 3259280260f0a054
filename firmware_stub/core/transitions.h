/* What becomes of a state record: EMPTY → WRITING → STAGED → TRIAL → CONFIRMED, or FAILED. Pure: no flash.
 * The same in Python: settop/store/choice.py; tests hold them together. */
#ifndef TRANSITIONS_H
#define TRANSITIONS_H

#include "wire.h"

/* A slot's content is being replaced: from now on it is not bootable, and an earlier failure is forgotten. */
void record_set_writing(struct state_record *record, unsigned slot, const struct signed_header *header);

/* Its content is whole and checked, its header written. */
void record_set_staged(struct state_record *record, unsigned slot);

/* It gets its tries. */
void record_set_on_trial(struct state_record *record, unsigned slot);

/* One try is used up; to be recorded before the image starts. */
void record_set_tried(struct state_record *record, unsigned slot);

/* It works: it is the one to boot, and only here the floor rises to its counter. */
void record_set_confirmed(struct state_record *record, unsigned slot);

/* It is not to be booted any more. */
void record_set_failed(struct state_record *record, unsigned slot, enum failure failure);

/* Which slot an install takes: never the active one. */
unsigned record_free_slot(const struct state_record *record);

#endif
