#include "nor.h"

#include <stdlib.h>
#include <string.h>

static uint32_t next_random(struct nor *nor)
{
    nor->random ^= nor->random << 13;
    nor->random ^= nor->random >> 7;
    nor->random ^= nor->random << 17;
    return (uint32_t)(nor->random >> 16);
}

void nor_arm(struct nor *nor, uint32_t cut_at, enum cut cut, uint64_t seed)
{
    nor->operations = 0;
    nor->fault_at = 0;
    nor->cut_at = cut_at;
    nor->cut = cut;
    nor->random = seed * 0x9e3779b97f4a7c15u + 1;
}

void nor_arm_fault(struct nor *nor, uint32_t fault_at, bool is_worn, bool is_silent, enum cut cut, uint64_t seed)
{
    nor_arm(nor, 0, cut, seed);
    nor->fault_at = fault_at;
    nor->is_worn = is_worn;
    nor->is_silent = is_silent;
}

/* What becomes of one byte of the operation under way, `index` of `length`. */
static uint8_t torn(struct nor *nor, uint8_t old, uint8_t wanted, uint32_t index, uint32_t prefix)
{
    uint8_t changed = old ^ wanted;

    switch (nor->cut) {
    case CUT_BEFORE:
        return old;
    case CUT_TORN_PREFIX:
        return index < prefix ? wanted : old;
    case CUT_RANDOM_BITS:
        return old ^ (changed & (uint8_t)next_random(nor));
    case CUT_PARTIAL:
        return next_random(nor) & 1 ? wanted : old;
    default:
        return wanted;
    }
}

static bool is_faulty(const struct nor *nor)
{
    return nor->operations == nor->fault_at || (nor->is_worn && nor->fault_at && nor->operations > nor->fault_at);
}

/* Change bytes to what is wanted, or lose the power over it; false: a fault. `data` NULL: all ones. */
static bool change(struct nor *nor, uint32_t offset, const uint8_t *data, uint32_t length)
{
    bool is_cut = ++nor->operations == nor->cut_at;
    bool is_torn = is_cut || is_faulty(nor);
    uint32_t prefix = is_torn ? next_random(nor) % (length + 1) : 0;

    for (uint32_t index = 0; index < length; index++) {
        uint8_t *byte = &nor->bytes[offset + index];
        uint8_t wanted = data ? *byte & data[index] : 0xFF;
        *byte = is_torn ? torn(nor, *byte, wanted, index, prefix) : wanted;
    }
    if (is_cut) {
        nor->cut_at = 0;
        longjmp(*nor->power_goes, 1);
    }
    return !is_torn || nor->is_silent;
}

static void nor_read(void *context, uint32_t offset, void *into, uint32_t length)
{
    struct nor *nor = context;

    if (offset > nor->size || length > nor->size - offset) {
        abort();
    }
    memcpy(into, nor->bytes + offset, length);
}

static bool nor_program(void *context, uint32_t offset, const void *data, uint32_t length)
{
    struct nor *nor = context;
    const uint8_t *bytes = data;

    if (offset > nor->size || length > nor->size - offset || length == 0 || offset % PROGRAM_UNIT_BYTES
        || length % PROGRAM_UNIT_BYTES) {
        nor->violations++;
        return false;
    }
    for (uint32_t index = 0; index < length; index++) {
        nor->violations += (bytes[index] & ~nor->bytes[offset + index]) != 0;
    }
    nor->busy_us += (uint64_t)length * nor->program_us_per_kib / 1024;
    return change(nor, offset, bytes, length);
}

static bool nor_erase(void *context, uint32_t offset)
{
    struct nor *nor = context;

    if (offset >= nor->size || offset % nor->sector_bytes) {
        nor->violations++;
        return false;
    }
    nor->busy_us += nor->erase_us;
    return change(nor, offset, 0, nor->sector_bytes);
}

void nor_flash(struct nor *nor, struct flash *flash)
{
    *flash = (struct flash){nor, nor->sector_bytes, nor_read, nor_program, nor_erase};
}
