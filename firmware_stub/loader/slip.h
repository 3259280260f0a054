/* SLIP (RFC 1055). */
#ifndef SLIP_H
#define SLIP_H

#include <stdbool.h>
#include <stdint.h>

#include "core/wire.h"

enum { SLIP_END = 0xC0, SLIP_ESC = 0xDB, SLIP_ESC_END = 0xDC, SLIP_ESC_ESC = 0xDD };

struct slip_decoder {
    uint16_t length;
    bool is_escaped;
    bool is_spoilt; /* too long or wrongly escaped: not a frame, whatever comes until END */
    uint8_t frame[MAX_FRAME_BYTES];
};

/* Take one byte; the length of the frame that it ends, in `frame`, or 0. */
uint32_t slip_feed(struct slip_decoder *decoder, uint8_t byte);

/* Write a byte escaped; how many bytes that makes. */
uint32_t slip_escape(uint8_t byte, uint8_t into[2]);

#endif
