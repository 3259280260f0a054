#include "boot.h"

#include <string.h>

#include "record.h"
#include "slot.h"
#include "state.h"
#include "transitions.h"

struct candidate {
    uint8_t place;
    uint8_t reason;
};

static unsigned list_candidates(const struct state_record *record, struct candidate *candidates)
{
    unsigned count = 0;

    for (uint8_t slot = 0; slot < 2; slot++) {
        if (record->slots[slot].state == SLOT_STATE_TRIAL && record->slots[slot].tries_left > 0) {
            candidates[count++] = (struct candidate){slot, BOOT_REASON_TRIAL};
        }
    }
    if (record->active != NO_SLOT && record->slots[record->active].state == SLOT_STATE_CONFIRMED) {
        candidates[count++] = (struct candidate){record->active, BOOT_REASON_CONFIRMED};
    }
    for (uint8_t slot = 0; slot < 2; slot++) {
        if (record->slots[slot].state == SLOT_STATE_CONFIRMED && slot != record->active) {
            candidates[count++] = (struct candidate){slot, BOOT_REASON_CONFIRMED_BEFORE};
        }
    }
    candidates[count++] = (struct candidate){PLACE_EEPROM, BOOT_REASON_EEPROM};
    return count;
}

static void retire_spent_trials(const struct stub *stub, struct state_record *record)
{
    for (unsigned slot = 0; slot < 2; slot++) {
        if (record->slots[slot].state == SLOT_STATE_TRIAL && record->slots[slot].tries_left == 0) {
            record_set_failed(record, slot, FAILURE_TRIES_USED_UP);
            record_append(stub, record); /* it is no candidate, recorded or not */
        }
    }
}

/* Count a trial, verify the image, record a failure. */
static enum failure try_candidate(
    const struct stub *stub, const struct candidate *candidate, struct state_record *record,
    struct signed_header *header)
{
    bool is_eeprom = candidate->place == PLACE_EEPROM;

    if (candidate->reason == BOOT_REASON_TRIAL) {
        struct state_record tried = *record;
        record_set_tried(&tried, candidate->place);
        if (!record_append(stub, &tried)) {
            return FAILURE_UNRECORDABLE; /* an uncounted try might never end */
        }
        *record = tried;
    }
    enum failure failure = slot_inspect(stub, candidate->place, is_eeprom ? 0 : record->floor, header);
    if (failure != FAILURE_NONE && !is_eeprom) {
        record_set_failed(record, candidate->place, failure);
        record_append(stub, record); /* found again at the next boot */
    }
    return failure;
}

bool boot_choose(const struct stub *stub, struct boot_decision *decision)
{
    struct candidate candidates[MAX_CANDIDATES];
    struct state_record record;

    state_load(stub, &record);
    retire_spent_trials(stub, &record);
    unsigned count = list_candidates(&record, candidates);
    decision->passed_over_count = 0;
    for (unsigned index = 0; index < count; index++) {
        const struct candidate *candidate = &candidates[index];
        decision->place = candidate->place;
        decision->reason = candidate->reason;
        decision->tries_left = candidate->place < 2 ? record.slots[candidate->place].tries_left : 0;
        enum failure failure = try_candidate(stub, candidate, &record, &decision->header);
        if (failure == FAILURE_NONE) {
            return true;
        }
        decision->passed_over[decision->passed_over_count].place = candidate->place;
        decision->passed_over[decision->passed_over_count++].failure = (uint8_t)failure;
    }
    return false;
}

enum confirmation boot_confirm(const struct stub *stub)
{
    struct state_record record;

    state_load(stub, &record);
    for (unsigned slot = 0; slot < 2; slot++) {
        if (record.slots[slot].state != SLOT_STATE_TRIAL) {
            continue;
        }
        if (record.slots[slot].tries_left == TRIES) {
            return CONFIRM_NOT_BOOTED;
        }
        record_set_confirmed(&record, slot);
        return record_append(stub, &record) ? CONFIRMED_NOW : CONFIRM_FLASH_FAULT;
    }
    return record.active != NO_SLOT ? CONFIRMED_ALREADY : CONFIRM_NOTHING;
}

enum halting boot_halt(const struct stub *stub, const uint8_t sha256[32])
{
    struct state_record record;

    state_load(stub, &record);
    for (unsigned slot = 0; slot < 2; slot++) {
        const struct slot_record *halted = &record.slots[slot];
        if (halted->state == SLOT_STATE_TRIAL && memcmp(halted->digest, sha256, sizeof halted->digest) == 0) {
            record_set_failed(&record, slot, FAILURE_HALTED);
            return record_append(stub, &record) ? HALTED_NOW : HALT_FLASH_FAULT;
        }
    }
    return HALT_NOT_ON_TRIAL;
}
