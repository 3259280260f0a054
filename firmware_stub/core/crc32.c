#include "crc32.h"

#include "wire.h"

static const uint32_t table[256] = CRC32_TABLE;

uint32_t crc32(uint32_t crc, const void *data, uint32_t length)
{
    const uint8_t *byte = data;

    crc = ~crc;
    for (; length > 0; length--) {
        crc = table[(crc ^ *byte++) & 0xFF] ^ (crc >> 8);
    }
    return ~crc;
}
