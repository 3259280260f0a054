#include "record.h"

#include <stddef.h>
#include <string.h>

#include "crc32.h"

enum { CRC_OFFSET = offsetof(struct state_record, crc) };

static bool slot_is_valid(const struct slot_record *slot)
{
    return slot->state <= LAST_SLOT_STATE && slot->failure <= LAST_FAILURE && slot->reserved == 0;
}

bool record_is_valid(const struct state_record *record)
{
    static const uint8_t zeros[sizeof record->reserved];

    return memcmp(record->magic, STATE_RECORD_MAGIC, sizeof record->magic) == 0
        && record->layout == STATE_RECORD_LAYOUT && record->record_size == STATE_RECORD_RECORD_SIZE
        && (record->active <= 1 || record->active == NO_SLOT) && record->last_failure <= LAST_FAILURE
        && record->padding == 0 && slot_is_valid(&record->slots[0]) && slot_is_valid(&record->slots[1])
        && memcmp(record->reserved, zeros, sizeof zeros) == 0 && record->crc == crc32(0, record, CRC_OFFSET);
}

/* As serial numbers compare (RFC 1982): half the ring ahead is newer. */
static bool is_newer(uint32_t seq, uint32_t than)
{
    return seq != than && seq - than < 0x80000000u;
}

static bool find_newest(const struct stub *stub, struct state_record *newest, uint32_t *at)
{
    const struct flash *flash = stub->flash;
    const struct region *records = &stub->board->map.records;
    struct state_record record;
    bool found = false;

    for (uint32_t offset = 0; offset < records->size; offset += STATE_RECORD_BYTES) {
        flash->read(flash->context, records->offset + offset, &record, sizeof record);
        if (!record_is_valid(&record) || (found && !is_newer(record.seq, newest->seq))) {
            continue;
        }
        *newest = record;
        *at = offset;
        found = true;
    }
    return found;
}

bool record_newest(const struct stub *stub, struct state_record *record)
{
    uint32_t at;
    return find_newest(stub, record, &at);
}

void record_start_empty(struct state_record *record)
{
    memset(record, 0, sizeof *record);
    memcpy(record->magic, STATE_RECORD_MAGIC, sizeof record->magic);
    record->layout = STATE_RECORD_LAYOUT;
    record->record_size = STATE_RECORD_RECORD_SIZE;
    record->active = NO_SLOT;
}

/* Where a record can go behind the one at `newest`, if it can: all from there to the sector's end must be erased. */
static void find_place_behind(const struct stub *stub, uint32_t newest, uint32_t *place)
{
    uint32_t sector_bytes = stub->flash->sector_bytes;
    uint32_t records = stub->board->map.records.offset;
    uint32_t end = newest - newest % sector_bytes + sector_bytes;

    for (uint32_t at = end - STATE_RECORD_BYTES; at > newest; at -= STATE_RECORD_BYTES) {
        if (!flash_is_blank(stub->flash, records + at, STATE_RECORD_BYTES)) {
            break;
        }
        *place = at;
    }
}

bool record_append(const struct stub *stub, struct state_record *record)
{
    const struct flash *flash = stub->flash;
    uint32_t records = stub->board->map.records.offset;
    struct state_record newest;
    uint32_t at, place;

    if (!find_newest(stub, &newest, &at)) {
        record->seq = 1;
        place = 0;
    } else {
        record->seq = newest.seq + 1;
        place = at < flash->sector_bytes ? flash->sector_bytes : 0; /* the other sector, unless */
        find_place_behind(stub, at, &place);
    }
    record->crc = crc32(0, record, CRC_OFFSET);
    if (place % flash->sector_bytes == 0 && !flash_erase_unless_blank(flash, records + place)) {
        return false;
    }
    return flash_write(flash, records + place, record, sizeof *record);
}
