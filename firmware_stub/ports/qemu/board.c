/* The QEMU `virt` board: Cortex-A15, PL011, CFI01 flash, generic timer, PSCI. */
#include "board.h"

#include <string.h>

#include "core/handoff.h"
#include "main.h"
#include "devices.h"

static struct ring ring __attribute__((section(".buffer")));

static struct {
    struct flash flash;
    struct port port;
    struct stub stub;
    struct loader loader;
} state;

static const struct board board = {
    .hardware = {BOARD_HARDWARE_OUI, BOARD_HARDWARE_MODEL, BOARD_HARDWARE_VERSION},
    .public_key = BOARD_PUBLIC_KEY,
    .map = {BOARD_STUB, BOARD_RECORDS, {BOARD_SLOT_A, BOARD_SLOT_B, BOARD_EEPROM}},
    .window_bytes = RING_BYTES,
    .max_baud = 3000000,
    .erase_ms = BOARD_ERASE_MS,
    .hash_kib_per_s = 4096,
};

void board_main(void);

static uint64_t read_counter(void)
{
    uint32_t low, high;

    __asm__ volatile("mrrc p15, 1, %0, %1, c14" : "=r"(low), "=r"(high));
    return (uint64_t)high << 32 | low;
}

static uint32_t counter_hz(void)
{
    uint32_t hz;

    __asm__ volatile("mrc p15, 0, %0, c14, c0, 0" : "=r"(hz));
    return hz;
}

static uint32_t port_now_ms(void *context)
{
    (void)context;
    return (uint32_t)(read_counter() / (counter_hz() / 1000));
}

static uint32_t port_receive(void *context, uint8_t *into, uint32_t most)
{
    uint32_t count = 0;

    (void)context;
    uart_pump(&ring);
    while (count < most && ring.tail != ring.head) {
        into[count++] = ring.bytes[ring.tail++ % RING_BYTES];
    }
    return count;
}

static void port_send(void *context, const uint8_t *bytes, uint32_t length)
{
    (void)context;
    uart_send(bytes, length);
}

static void port_set_baud(void *context, uint32_t baud)
{
    (void)context;
    uart_set_baud(baud);
}

static void port_replace_stub(void *context, uint32_t from, uint32_t length)
{
    (void)context;
    cfi_replace(board.map.stub.offset, from, length);
}

static enum confirmation confirm(void)
{
    return boot_confirm(&state.stub);
}

static enum halting halt(const uint8_t sha256[32])
{
    return boot_halt(&state.stub, sha256);
}

/* Copy the image to where it runs, and go there. The copy is what was verified: nothing else writes the slot. */
static void start(const struct boot_decision *decision)
{
    struct handoff handoff = {
        .magic = HANDOFF_MAGIC,
        .size_bytes = sizeof handoff,
        .place = decision->place,
        .tries_left = decision->tries_left,
        .confirm = confirm,
        .reset = psci_reset,
        .halt = halt,
    };
    uint32_t from = board.map.slots[decision->place].offset + BOARD_SECTOR_BYTES;
    void (*image)(const struct handoff *) = (void (*)(const struct handoff *))BOARD_LOAD_ADDRESS;

    if (decision->header.image_size <= BOARD_LOAD_BYTES) {
        memcpy((void *)BOARD_LOAD_ADDRESS, (const void *)(BOARD_BASE + from), (uint32_t)decision->header.image_size);
        image(&handoff);
    }
    psci_reset(); /* an image that comes back has failed its try */
}

void board_main(void)
{
    struct boot_decision decision;

    ring.head = ring.tail = 0; /* RAM is not clean at power-on, and the buffer is not cleared by start.S */
    cfi_flash(&state.flash, &ring);
    state.port = (struct port){0, port_now_ms, port_receive, port_send, port_set_baud, port_replace_stub};
    state.stub = (struct stub){.board = &board, .flash = &state.flash, .port = &state.port};
    uart_set_baud(INITIAL_BAUD);
    stub_run(&state.stub, &state.loader, (uint32_t)read_counter(), &decision);
    start(&decision);
}
