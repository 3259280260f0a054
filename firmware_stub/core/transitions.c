#include "transitions.h"

#include <string.h>

void record_set_writing(struct state_record *record, unsigned slot, const struct signed_header *header)
{
    struct slot_record *begun = &record->slots[slot];

    memset(begun, 0, sizeof *begun);
    begun->state = SLOT_STATE_WRITING;
    begun->security_counter = header->security_counter;
    memcpy(begun->digest, header->image_sha256, sizeof begun->digest);
}

void record_set_staged(struct state_record *record, unsigned slot)
{
    record->slots[slot].state = SLOT_STATE_STAGED;
}

void record_set_on_trial(struct state_record *record, unsigned slot)
{
    record->slots[slot].state = SLOT_STATE_TRIAL;
    record->slots[slot].tries_left = TRIES;
}

void record_set_tried(struct state_record *record, unsigned slot)
{
    record->slots[slot].tries_left--;
}

void record_set_confirmed(struct state_record *record, unsigned slot)
{
    struct slot_record *confirmed = &record->slots[slot];

    confirmed->state = SLOT_STATE_CONFIRMED;
    confirmed->tries_left = 0;
    record->active = (uint8_t)slot;
    if (confirmed->security_counter > record->floor) {
        record->floor = confirmed->security_counter;
    }
}

void record_set_failed(struct state_record *record, unsigned slot, enum failure failure)
{
    struct slot_record *failed = &record->slots[slot];

    failed->state = SLOT_STATE_FAILED;
    failed->tries_left = 0;
    failed->failure = (uint8_t)failure;
    record->last_failure = (uint8_t)failure;
    if (record->active == slot) {
        record->active = record->slots[1 - slot].state == SLOT_STATE_CONFIRMED ? (uint8_t)(1 - slot) : NO_SLOT;
    }
}

unsigned record_free_slot(const struct state_record *record)
{
    static const uint8_t order[] = FREE_SLOT_ORDER;

    for (unsigned index = 0; index < sizeof order; index++) {
        for (unsigned slot = 0; slot < 2; slot++) {
            if (slot != record->active && record->slots[slot].state == order[index]) {
                return slot;
            }
        }
    }
    return 0; /* not reached: each slot has one of the states, and one is not active */
}
