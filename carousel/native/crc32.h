/* CRC-32 as bc_take uses it: without a call through the table of implementations for each packet. */
#ifndef BC_CRC32_H
#define BC_CRC32_H

#include <stddef.h>
#include <stdint.h>

typedef uint32_t bc_crc_kernel(uint32_t crc, const uint8_t *data, size_t size);

/* The best of this processor; takes and gives the value as zlib does. */
bc_crc_kernel *bc_crc_best(void);

/* Plain C: eight octets at a time. */
uint32_t bc_crc_plain(uint32_t crc, const uint8_t *data, size_t size);

#endif
