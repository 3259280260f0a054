/* CRC-32/ISO-HDLC, zlib's; the table is crcmod's. */
#ifndef CRC32_H
#define CRC32_H

#include <stdint.h>

/* `crc` is what the bytes before gave, 0 at the begin. */
uint32_t crc32(uint32_t crc, const void *data, uint32_t length);

#endif
