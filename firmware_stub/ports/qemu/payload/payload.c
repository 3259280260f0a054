/* A small bare-metal image: says who it is, then confirms, hangs or resets, by how it was built. */
#include "core/handoff.h"

void payload_main(const struct handoff *handoff);

static void say(const char *text)
{
    volatile uint32_t *uart = (volatile uint32_t *)0x09000000;

    while (*text) {
        *uart = (uint8_t)*text++;
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
#elif defined(PAYLOAD_resets)
    say("payload: resetting\r\n");
    handoff->reset();
#elif defined(PAYLOAD_hangs)
    say("payload: hanging\r\n");
#else
#error "build with -DPAYLOAD_confirms, _hangs or _resets"
#endif
    for (;;) {
        __asm__ volatile("wfi");
    }
}
