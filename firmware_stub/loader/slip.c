#include "slip.h"

static uint32_t end_frame(struct slip_decoder *decoder)
{
    uint32_t length = decoder->is_spoilt || decoder->is_escaped ? 0 : decoder->length;

    decoder->length = 0;
    decoder->is_escaped = decoder->is_spoilt = false;
    return length;
}

uint32_t slip_feed(struct slip_decoder *decoder, uint8_t byte)
{
    if (byte == SLIP_END) {
        return end_frame(decoder);
    }
    if (decoder->is_escaped) {
        decoder->is_escaped = false;
        if (byte != SLIP_ESC_END && byte != SLIP_ESC_ESC) {
            decoder->is_spoilt = true;
        }
        byte = byte == SLIP_ESC_END ? SLIP_END : SLIP_ESC;
    } else if (byte == SLIP_ESC) {
        decoder->is_escaped = true;
        return 0;
    }
    if (decoder->length == MAX_FRAME_BYTES) {
        decoder->is_spoilt = true;
        return 0;
    }
    decoder->frame[decoder->length++] = byte;
    return 0;
}

uint32_t slip_escape(uint8_t byte, uint8_t into[2])
{
    if (byte != SLIP_END && byte != SLIP_ESC) {
        into[0] = byte;
        return 1;
    }
    into[0] = SLIP_ESC;
    into[1] = byte == SLIP_END ? SLIP_ESC_END : SLIP_ESC_ESC;
    return 2;
}
