/* NOR flash with the CFI 01 (Intel) commands: two x16 chips side by side, so each command goes to both halves. */
#include <string.h>

#include "board.h"
#include "devices.h"

#define BOTH(command) ((uint32_t)(command) << 16 | (uint32_t)(command))
#define RAMCODE __attribute__((section(".ramcode"), noinline))

enum {
    ERASE_SETUP = 0x20,
    BUFFERED_PROGRAM = 0xE8,
    CLEAR_STATUS = 0x50,
    READ_ARRAY = 0xFF,
    CONFIRM = 0xD0,
    READY = 0x80,
    FAULTS = 0x3A,
    BUFFER_BYTES = 512, /* chips take more, none less */
};

static volatile uint32_t *word_at(uint32_t offset)
{
    return (volatile uint32_t *)(uintptr_t)(BOARD_BASE + offset);
}

static bool finish(uint32_t offset, struct ring *ring)
{
    volatile uint32_t *word = word_at(offset);
    uint32_t status;

    while (((status = *word) & BOTH(READY)) != BOTH(READY)) {
        uart_pump(ring);
    }
    *word = BOTH(CLEAR_STATUS);
    *word = BOTH(READ_ARRAY);
    uart_pump(ring);
    return (status & BOTH(FAULTS)) == 0;
}

static void cfi_read(void *context, uint32_t offset, void *into, uint32_t length)
{
    (void)context;
    memcpy(into, (const void *)(uintptr_t)(BOARD_BASE + offset), length);
}

static bool program_buffer(struct ring *ring, uint32_t offset, const uint8_t *bytes, uint32_t length)
{
    volatile uint32_t *word = word_at(offset);
    uint32_t data;

    *word = BOTH(BUFFERED_PROGRAM);
    while ((*word & BOTH(READY)) != BOTH(READY)) {
    }
    *word = BOTH(length / 4 - 1);
    for (uint32_t at = 0; at < length; at += 4) {
        memcpy(&data, bytes + at, sizeof data);
        *word_at(offset + at) = data;
    }
    *word = BOTH(CONFIRM);
    return finish(offset, ring);
}

static bool cfi_program(void *context, uint32_t offset, const void *data, uint32_t length)
{
    const uint8_t *bytes = data;

    while (length > 0) {
        uint32_t now = BUFFER_BYTES - offset % BUFFER_BYTES;
        now = now < length ? now : length;
        if (!program_buffer(context, offset, bytes, now)) {
            return false;
        }
        offset += now;
        bytes += now;
        length -= now;
    }
    return true;
}

static bool cfi_erase(void *context, uint32_t offset)
{
    *word_at(offset) = BOTH(ERASE_SETUP);
    *word_at(offset) = BOTH(CONFIRM);
    return finish(offset, context);
}

void cfi_flash(struct flash *flash, struct ring *ring)
{
    *flash = (struct flash){ring, BOARD_SECTOR_BYTES, cfi_read, cfi_program, cfi_erase};
}

/* --- from RAM: nothing in the flash may be called or read while its bank is busy or already replaced --------- */

RAMCODE static uint32_t wait_in_ram(volatile uint32_t *word)
{
    uint32_t status;

    while (((status = *word) & BOTH(READY)) != BOTH(READY)) {
    }
    *word = BOTH(CLEAR_STATUS);
    *word = BOTH(READ_ARRAY);
    return status & BOTH(FAULTS);
}

RAMCODE void cfi_replace(uint32_t to, uint32_t from, uint32_t length)
{
    volatile uint32_t *target = (volatile uint32_t *)(uintptr_t)(BOARD_BASE + to);
    const volatile uint32_t *source = (const volatile uint32_t *)(uintptr_t)(BOARD_BASE + from);

    for (uint32_t at = 0; at < length; at += BOARD_SECTOR_BYTES) {
        target[at / 4] = BOTH(ERASE_SETUP);
        target[at / 4] = BOTH(CONFIRM);
        if (wait_in_ram(&target[at / 4]) && at == 0) {
            return; /* a protected chip: nothing has changed */
        }
    }
    for (uint32_t at = 0; at < length; at += 4) {
        uint32_t word = source[at / 4];
        target[at / 4] = BOTH(0x40);
        target[at / 4] = word;
        wait_in_ram(&target[at / 4]);
    }
    psci_reset();
}
