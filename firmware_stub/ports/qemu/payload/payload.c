/* A small bare-metal image: says who it is, then confirms, hangs or resets, by how it was built. */
#include <string.h>

#include "core/crc32.h"
#include "core/handoff.h"
#include "loader/slip.h"

enum {
    UART = 0x09000000,
    DATA_REGISTER = 0x00,
    FLAGS = 0x18,
    INTERRUPT_MASK = 0x38,
    INTERRUPT_CLEAR = 0x44,
    FLAG_RX_EMPTY = 1 << 4,
    RX_INTERRUPTS = 0x50, /* the FIFO is half full, or something has waited in it */

    DISTRIBUTOR = 0x08000000, /* of the GIC */
    CPU_INTERFACE = 0x08010000,
    UART_INTERRUPT = 33,
};

void payload_main(const struct handoff *handoff);

static volatile uint32_t *reg(uint32_t base, uint32_t offset)
{
    return (volatile uint32_t *)(uintptr_t)(base + offset);
}

static void say(const char *text)
{
    while (*text) {
        *reg(UART, DATA_REGISTER) = (uint8_t)*text++;
    }
}

/* Let what the line brings end a `wfi`; the CPU's interrupts stay masked. */
static void wake_at_input(void)
{
    *reg(UART, INTERRUPT_MASK) = RX_INTERRUPTS;
    *reg(DISTRIBUTOR, 0x000) = 1;
    *reg(DISTRIBUTOR, 0x100 + UART_INTERRUPT / 32 * 4) = 1u << UART_INTERRUPT % 32;
    *(volatile uint8_t *)(uintptr_t)(DISTRIBUTOR + 0x800 + UART_INTERRUPT) = 1;
    *reg(CPU_INTERFACE, 0x004) = 0xFF;
    *reg(CPU_INTERFACE, 0x000) = 1;
}

static bool is_hello(const uint8_t *frame, uint32_t length)
{
    uint32_t crc;

    if (length != FRAME_HEAD_BYTES + 2 + FRAME_TAIL_BYTES || frame[0] != MESSAGE_HELLO) {
        return false;
    }
    memcpy(&crc, frame + length - FRAME_TAIL_BYTES, sizeof crc);
    return crc == crc32(0, frame, length - FRAME_TAIL_BYTES);
}

/* `settop flash` says HELLO ten times a second: an image that heeds it resets, and the loader hears the next one. */
static void heed_the_flasher(const struct handoff *handoff)
{
    static struct slip_decoder slip;

    wake_at_input();
    for (;;) {
        while (!(*reg(UART, FLAGS) & FLAG_RX_EMPTY)) {
            uint32_t length = slip_feed(&slip, (uint8_t)*reg(UART, DATA_REGISTER));
            if (length > 0 && is_hello(slip.frame, length)) {
                handoff->reset();
            }
        }
        *reg(UART, INTERRUPT_CLEAR) = RX_INTERRUPTS;
        __asm__ volatile("wfi");
    }
}

void payload_main(const struct handoff *handoff)
{
    static const char *const places[] = {"slot-a", "slot-b", "eeprom"};

    say("payload: running from ");
    say(handoff->magic == HANDOFF_MAGIC ? places[handoff->place] : "nowhere");
    say("\r\n");
#if defined(PAYLOAD_confirms)
    static const char *const outcomes[] = {
        "confirmed", "confirmed already", "not booted", "nothing to confirm", "flash fault",
    };
    say("payload: ");
    say(outcomes[handoff->confirm()]);
    say("\r\n");
    heed_the_flasher(handoff);
#elif defined(PAYLOAD_resets)
    say("payload: resetting\r\n");
    handoff->reset();
#elif defined(PAYLOAD_hangs)
    say("payload: hanging\r\n");
    for (;;) {
        __asm__ volatile("wfi");
    }
#else
#error "build with -DPAYLOAD_confirms, _hangs or _resets"
#endif
}
