#include "state.h"

#include "record.h"
#include "slot.h"
#include "transitions.h"

void state_load(const struct stub *stub, struct state_record *record)
{
    struct signed_header header;

    if (record_newest(stub, record)) {
        return;
    }
    record_start_empty(record);
    for (unsigned slot = 0; slot < 2; slot++) {
        if (slot_inspect(stub, slot, 0, &header) != FAILURE_NONE) {
            continue;
        }
        record_set_writing(record, slot, &header);
        record_set_on_trial(record, slot);
    }
}
