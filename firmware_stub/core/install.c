#include "install.h"

#include <string.h>

#include "record.h"
#include "state.h"
#include "transitions.h"

static int refusal_of(enum failure failure)
{
    switch (failure) {
    case FAILURE_NONE:
        return INSTALL_GOES_ON;
    case FAILURE_SIGNATURE:
        return REFUSAL_WRONG_KEY;
    case FAILURE_HARDWARE:
        return REFUSAL_WRONG_HARDWARE;
    case FAILURE_SECURITY_COUNTER:
        return REFUSAL_SECURITY_COUNTER;
    default:
        return REFUSAL_HEADER_DAMAGED;
    }
}

static bool is_held(const struct stub *stub, const struct slot_record *slot, unsigned place)
{
    struct signed_header header;

    return slot->state == SLOT_STATE_CONFIRMED
        && memcmp(slot->digest, stub->installation.header.image_sha256, sizeof slot->digest) == 0
        && slot_inspect(stub, place, 0, &header) == FAILURE_NONE
        && memcmp(header.image_sha256, stub->installation.header.image_sha256, sizeof header.image_sha256) == 0;
}

/* From here on no record calls the slot bootable. After a reset in mid-transfer the record stands already. */
static bool record_writing(struct stub *stub, struct state_record *record, unsigned slot)
{
    struct state_record begun = *record;

    record_set_writing(&begun, slot, &stub->installation.header);
    if (memcmp(&record->slots[slot], &begun.slots[slot], sizeof begun.slots[slot]) == 0) {
        return true;
    }
    *record = begun;
    return record_append(stub, record);
}

static void open_at(struct stub *stub, unsigned place)
{
    struct installation *it = &stub->installation;

    it->place = (uint8_t)place;
    it->image_offset = slot_image_offset(stub, place);
    it->offset = it->ready_until = it->written_bytes = 0;
    it->is_open = true;
}

static int open_image(struct stub *stub, unsigned place, struct state_record *record)
{
    struct installation *it = &stub->installation;

    if (place == record->active) {
        return REFUSAL_ACTIVE_SLOT;
    }
    if (place != PLACE_EEPROM && !record_writing(stub, record, place)) {
        return REFUSAL_FLASH_FAULT;
    }
    if (!flash_erase_unless_blank(stub->flash, stub->board->map.slots[place].offset)) {
        return REFUSAL_FLASH_FAULT;
    }
    it->image_bytes = (uint32_t)it->header.image_size;
    memcpy(it->sha256, it->header.image_sha256, sizeof it->sha256);
    open_at(stub, place);
    return INSTALL_GOES_ON;
}

int install_begin(struct stub *stub, unsigned place, const struct signed_header *header, bool *held)
{
    struct installation *it = &stub->installation;
    struct state_record record;

    it->is_open = it->is_stub = *held = false;
    it->header = *header;
    state_load(stub, &record);
    int refusal = refusal_of(slot_check_header(stub, header, place == PLACE_EEPROM ? 0 : record.floor));
    if (refusal != INSTALL_GOES_ON) {
        return refusal;
    }
    unsigned holder = place == PLACE_FREE_SLOT ? record.active : place;
    if (holder < 2 && is_held(stub, &record.slots[holder], holder)) {
        it->place = (uint8_t)holder;
        *held = true;
        return INSTALLED;
    }
    if (place == PLACE_FREE_SLOT) {
        place = record_free_slot(&record);
    }
    if (place > PLACE_EEPROM) {
        return REFUSAL_MALFORMED;
    }
    if (header->image_size == 0 || header->image_size > slot_image_capacity(stub, place)) {
        return REFUSAL_TOO_BIG;
    }
    return open_image(stub, place, &record);
}

int install_begin_stub(struct stub *stub, uint32_t size, const uint8_t sha256[32])
{
    struct installation *it = &stub->installation;
    struct state_record record;

    state_load(stub, &record);
    unsigned slot = record_free_slot(&record);
    it->is_open = false;
    if (size == 0 || size > stub->board->map.stub.size || size > slot_image_capacity(stub, slot)) {
        return REFUSAL_TOO_BIG;
    }
    memset(&it->header, 0, sizeof it->header);
    memcpy(it->header.image_sha256, sha256, sizeof it->header.image_sha256);
    memcpy(it->sha256, sha256, sizeof it->sha256);
    if (!record_writing(stub, &record, slot)
        || !flash_erase_unless_blank(stub->flash, stub->board->map.slots[slot].offset)) {
        return REFUSAL_FLASH_FAULT;
    }
    it->image_bytes = size;
    it->is_stub = true;
    open_at(stub, slot);
    return INSTALL_GOES_ON;
}

/* See that what comes next can be programmed. In the middle of a sector that is not blank, go back to its begin. */
static int make_ready(struct stub *stub)
{
    struct installation *it = &stub->installation;
    uint32_t sector_bytes = stub->flash->sector_bytes;
    uint32_t begin = it->offset - it->offset % sector_bytes;

    if (it->offset < it->ready_until) {
        return INSTALL_GOES_ON;
    }
    it->ready_until = begin + sector_bytes;
    if (it->offset > begin
        && flash_is_blank(stub->flash, it->image_offset + it->offset, it->ready_until - it->offset)) {
        return INSTALL_GOES_ON;
    }
    if (!flash_erase_unless_blank(stub->flash, it->image_offset + begin)) {
        it->ready_until = 0;
        return REFUSAL_FLASH_FAULT;
    }
    bool goes_back = it->offset > begin;
    it->offset = begin;
    return goes_back ? INSTALL_GAP : INSTALL_GOES_ON;
}

int install_write(struct stub *stub, uint32_t offset, const uint8_t *data, uint32_t length)
{
    struct installation *it = &stub->installation;

    if (!it->is_open) {
        return REFUSAL_NO_TRANSFER;
    }
    if (offset != it->offset) {
        return offset < it->offset ? INSTALL_GOES_ON : INSTALL_GAP; /* heard twice, or one was lost */
    }
    if (length > it->image_bytes - offset) {
        return REFUSAL_TOO_BIG;
    }
    if (length % PROGRAM_UNIT_BYTES != 0 && offset + length != it->image_bytes) {
        return REFUSAL_MALFORMED;
    }
    while (length > 0) {
        int ready = make_ready(stub);
        if (ready != INSTALL_GOES_ON) {
            return ready;
        }
        uint32_t now = it->ready_until - it->offset;
        now = now < length ? now : length;
        if (!flash_write(stub->flash, it->image_offset + it->offset, data, now)) {
            it->is_open = false;
            return REFUSAL_FLASH_FAULT;
        }
        it->offset += now;
        it->written_bytes += now;
        data += now;
        length -= now;
    }
    return INSTALL_GOES_ON;
}

int install_skip(struct stub *stub, uint32_t offset, uint32_t to)
{
    struct installation *it = &stub->installation;

    if (!it->is_open) {
        return REFUSAL_NO_TRANSFER;
    }
    if (offset != it->offset) {
        return offset < it->offset ? INSTALL_GOES_ON : INSTALL_GAP;
    }
    if (to < offset || to > it->image_bytes || (to % PROGRAM_UNIT_BYTES != 0 && to != it->image_bytes)) {
        return REFUSAL_MALFORMED;
    }
    it->offset = to;
    return INSTALL_GOES_ON;
}

static bool put_on_trial(struct stub *stub)
{
    const struct installation *it = &stub->installation;
    const struct region *region = &stub->board->map.slots[it->place];
    struct state_record record;

    if (!flash_write(stub->flash, region->offset, &it->header, sizeof it->header)) {
        return false;
    }
    if (it->place == PLACE_EEPROM) {
        return true;
    }
    state_load(stub, &record);
    record_set_staged(&record, it->place);
    if (!record_append(stub, &record)) {
        return false;
    }
    record_set_on_trial(&record, it->place);
    return record_append(stub, &record);
}

int install_finish(struct stub *stub, uint8_t digest[32], slot_progress *tell)
{
    struct installation *it = &stub->installation;

    if (!it->is_open) {
        return REFUSAL_NO_TRANSFER;
    }
    if (it->offset < it->image_bytes) {
        return it->offset == 0 ? REFUSAL_NOTHING_WRITTEN : REFUSAL_INCOMPLETE;
    }
    it->is_open = false;
    slot_hash(stub, it->image_offset, it->image_bytes, digest, tell);
    if (memcmp(digest, it->sha256, sizeof it->sha256) != 0) {
        return REFUSAL_DIGEST_MISMATCH;
    }
    if (it->is_stub) {
        return INSTALLED;
    }
    return put_on_trial(stub) ? INSTALLED : REFUSAL_FLASH_FAULT;
}
