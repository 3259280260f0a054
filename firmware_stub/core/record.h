/* The state record: 64 bytes that say what each slot is, appended to two erase sectors.
 *
 * The newest valid seq wins, wraparound included. A full sector is never erased while it holds the newest record:
 * the other one is, and the record goes there. A torn record fails its CRC, and the earlier state holds.
 * The same rules in Python: settop/store/staterecord.py. */
#ifndef RECORD_H
#define RECORD_H

#include "stub.h"

bool record_is_valid(const struct state_record *record);

/* Find the newest record; false if there is none. */
bool record_newest(const struct stub *stub, struct state_record *record);

/* A record that no slot has a part in yet. */
void record_start_empty(struct state_record *record);

/* Append, setting seq and CRC; false if the flash failed, and the record before still holds. */
bool record_append(const struct stub *stub, struct state_record *record);

#endif
