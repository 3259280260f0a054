/* The serial line: ARM PL011. */
#include "devices.h"

enum {
    UART = 0x09000000,
    DATA_REGISTER = 0x00,
    FLAGS = 0x18,
    INTEGER_BAUD = 0x24,
    FRACTION_BAUD = 0x28,
    LINE_CONTROL = 0x2C,
    CONTROL = 0x30,

    FLAG_BUSY = 1 << 3,
    FLAG_RX_EMPTY = 1 << 4,
    FLAG_TX_FULL = 1 << 5,
    LINE_8N1_FIFO = 0x70,
    CONTROL_ON = 0x301,
    CLOCK_HZ = 24000000,
};

static volatile uint32_t *port(uint32_t offset)
{
    return (volatile uint32_t *)(uintptr_t)(UART + offset);
}

void uart_pump(struct ring *ring)
{
    while (!(*port(FLAGS) & FLAG_RX_EMPTY) && ring->head - ring->tail < RING_BYTES) {
        ring->bytes[ring->head++ % RING_BYTES] = (uint8_t)*port(DATA_REGISTER);
    }
}

void uart_send(const uint8_t *bytes, uint32_t length)
{
    for (; length > 0; length--) {
        while (*port(FLAGS) & FLAG_TX_FULL) {
        }
        *port(DATA_REGISTER) = *bytes++;
    }
}

void uart_set_baud(uint32_t baud)
{
    uint32_t divisor = (CLOCK_HZ * 4u + baud / 2) / baud; /* 64ths of clock / 16 / baud */

    while (*port(FLAGS) & FLAG_BUSY) {
    }
    *port(CONTROL) = 0;
    *port(INTEGER_BAUD) = divisor >> 6;
    *port(FRACTION_BAUD) = divisor & 63;
    *port(LINE_CONTROL) = LINE_8N1_FIFO;
    *port(CONTROL) = CONTROL_ON;
}
