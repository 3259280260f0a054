/* CRC-32/ISO-HDLC, reflected polynomial 0xEDB88320: by carry-less multiplication, the CRC instructions, or a table. */
#include "core.h"

uint32_t bc_crc32(uint32_t crc, const uint8_t *data, size_t size) {
    crc = ~crc;
    while (size--) {
        crc ^= *data++;
        for (int i = 0; i < 8; i++)
            crc = crc >> 1 ^ (0xEDB88320u & (0u - (crc & 1)));
    }
    return ~crc;
}
