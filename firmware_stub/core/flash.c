#include "flash.h"

#include <string.h>

enum { PIECE_BYTES = 128 };

bool flash_is_blank(const struct flash *flash, uint32_t offset, uint32_t length)
{
    uint8_t piece[PIECE_BYTES];

    while (length > 0) {
        uint32_t now = length < PIECE_BYTES ? length : PIECE_BYTES;
        flash->read(flash->context, offset, piece, now);
        for (uint32_t index = 0; index < now; index++) {
            if (piece[index] != 0xFF) {
                return false;
            }
        }
        offset += now;
        length -= now;
    }
    return true;
}

static bool reads_back(const struct flash *flash, uint32_t offset, const uint8_t *data, uint32_t length)
{
    uint8_t piece[PIECE_BYTES];

    while (length > 0) {
        uint32_t now = length < PIECE_BYTES ? length : PIECE_BYTES;
        flash->read(flash->context, offset, piece, now);
        if (memcmp(piece, data, now) != 0) {
            return false;
        }
        offset += now;
        data += now;
        length -= now;
    }
    return true;
}

bool flash_write(const struct flash *flash, uint32_t offset, const void *data, uint32_t length)
{
    uint32_t whole = length - length % PROGRAM_UNIT_BYTES;
    const uint8_t *bytes = data;
    uint8_t last[PROGRAM_UNIT_BYTES];

    if (whole > 0 && !flash->program(flash->context, offset, bytes, whole)) {
        return false;
    }
    if (whole < length) {
        memset(last, 0xFF, sizeof last);
        memcpy(last, bytes + whole, length - whole);
        if (!flash->program(flash->context, offset + whole, last, sizeof last)) {
            return false;
        }
    }
    return reads_back(flash, offset, bytes, length);
}

bool flash_erase_unless_blank(const struct flash *flash, uint32_t offset)
{
    if (flash_is_blank(flash, offset, flash->sector_bytes)) {
        return true;
    }
    return flash->erase(flash->context, offset) && flash_is_blank(flash, offset, flash->sector_bytes);
}
