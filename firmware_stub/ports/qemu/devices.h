/* The virt board's devices. */
#ifndef DEVICES_H
#define DEVICES_H

#include "core/flash.h"

enum { RING_BYTES = 1 << 16 };

/* What the line brought while the flash was busy. */
struct ring {
    uint32_t head;
    uint32_t tail;
    uint8_t bytes[RING_BYTES];
};

void uart_pump(struct ring *ring); /* from the FIFO into the ring */
void uart_send(const uint8_t *bytes, uint32_t length);
void uart_set_baud(uint32_t baud);

/* `context` of the flash: the ring to pump while it is busy. */
void cfi_flash(struct flash *flash, struct ring *ring);

/* Runs from RAM: puts bytes over the running program, then resets; comes back if the flash reports a fault. */
void cfi_replace(uint32_t to, uint32_t from, uint32_t length);

void psci_reset(void) __attribute__((noreturn));

#endif
