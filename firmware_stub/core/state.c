#include "state.h"

#include "record.h"
#include "slot.h"
#include "transitions.h"

static bool is_later_version(const struct signed_header *header, const struct signed_header *than)
{
    if (header->version_major != than->version_major) {
        return header->version_major > than->version_major;
    }
    if (header->version_minor != than->version_minor) {
        return header->version_minor > than->version_minor;
    }
    return header->version_patch > than->version_patch;
}

void state_load(const struct stub *stub, struct state_record *record)
{
    struct signed_header headers[2];

    if (record_newest(stub, record)) {
        return;
    }
    record_start_empty(record);
    for (unsigned slot = 0; slot < 2; slot++) {
        if (slot_inspect(stub, slot, 0, &headers[slot]) != FAILURE_NONE) {
            continue;
        }
        unsigned before = record->active;
        record_set_writing(record, slot, &headers[slot]);
        record_set_confirmed(record, slot);
        if (before != NO_SLOT && !is_later_version(&headers[slot], &headers[before])) {
            record->active = (uint8_t)before;
        }
    }
}
