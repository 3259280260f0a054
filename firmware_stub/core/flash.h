/* NOR flash behind three functions. Programming only clears bits; erasing sets a sector's. */
#ifndef FLASH_H
#define FLASH_H

#include <stdbool.h>
#include <stdint.h>

enum { PROGRAM_UNIT_BYTES = 4 };

struct region {
    uint32_t offset;
    uint32_t size;
};

/* Which part of the flash holds what; whole sectors each. `slots` are A, B and the EEPROM image, as enum place
 * counts them. An image's region begins with a sector for its header. */
struct flash_map {
    struct region stub;
    struct region records;
    struct region slots[3];
};

struct flash {
    void *context;
    uint32_t sector_bytes;
    void (*read)(void *context, uint32_t offset, void *into, uint32_t length);
    /* Offset and length are multiples of PROGRAM_UNIT_BYTES. Both return false if the chip reports a fault. */
    bool (*program)(void *context, uint32_t offset, const void *data, uint32_t length);
    bool (*erase)(void *context, uint32_t offset);
};

bool flash_is_blank(const struct flash *flash, uint32_t offset, uint32_t length);

/* Program, padding with ones to whole units, and read back: false if what stands there is not what was meant. */
bool flash_write(const struct flash *flash, uint32_t offset, const void *data, uint32_t length);

bool flash_erase_unless_blank(const struct flash *flash, uint32_t offset);

#endif
