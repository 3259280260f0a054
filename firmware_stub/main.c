#include "main.h"

#include <string.h>

static void say(const struct stub *stub, const char *text)
{
    stub->port->send(stub->port->context, (const uint8_t *)text, (uint32_t)strlen(text));
}

static void say_number(const struct stub *stub, uint32_t number)
{
    char digits[11];
    unsigned at = sizeof digits - 1;

    digits[at] = 0;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    say(stub, digits + at);
}

static const char *const place_names[] = {"slot-a", "slot-b", "eeprom"};

static void say_passed_over(const struct stub *stub, const struct boot_decision *decision)
{
    static const char *const failures[] = {
        "", "its tries are used up", "its header is missing or damaged", "it is signed by another key",
        "it is made for other hardware", "its security counter is below the floor",
        "its image does not match its SHA-256", "its try could not be recorded",
        "its roll-out was halted while it was on trial", "it was marked bad",
        "the medium does not give it",
    };
    _Static_assert(sizeof failures / sizeof *failures == LAST_FAILURE + 1, "each failure has its words");

    for (unsigned index = 0; index < decision->passed_over_count; index++) {
        say(stub, "bootcast: passed over ");
        say(stub, place_names[decision->passed_over[index].place]);
        say(stub, ": ");
        say(stub, failures[decision->passed_over[index].failure]);
        say(stub, "\r\n");
    }
}

static void say_decision(const struct stub *stub, const struct boot_decision *decision)
{
    static const char *const reasons[] = {
        "", "confirmed", "confirmed before", "no slot holds an image to boot",
    };
    char name[sizeof decision->header.name + 1];

    memcpy(name, decision->header.name, sizeof decision->header.name);
    name[sizeof decision->header.name] = 0;
    say(stub, "bootcast: booting ");
    say(stub, name);
    say(stub, " ");
    say_number(stub, decision->header.version_major);
    say(stub, ".");
    say_number(stub, decision->header.version_minor);
    say(stub, ".");
    say_number(stub, decision->header.version_patch);
    say(stub, " from ");
    say(stub, place_names[decision->place]);
    say(stub, ": ");
    if (decision->reason == BOOT_REASON_TRIAL) {
        say(stub, "on trial, ");
        say_number(stub, decision->tries_left);
        say(stub, " of 3 tries left");
    }
    say(stub, reasons[decision->reason]);
    say(stub, "\r\n");
}

static void serve(struct stub *stub, struct loader *loader)
{
    uint8_t bytes[64];

    do {
        uint32_t length = stub->port->receive(stub->port->context, bytes, sizeof bytes);
        loader_receive(loader, bytes, length);
    } while (loader_tick(loader));
}

void stub_run(struct stub *stub, struct loader *loader, uint32_t session, struct boot_decision *decision)
{
    bool is_stranded = false;

    say(stub, "\r\nbootcast stub ");
    say_number(stub, STUB_VERSION);
    say(stub, "\r\n");
    for (;; session++) {
        loader_start(loader, stub, session, is_stranded);
        serve(stub, loader);
        bool found = boot_choose(stub, decision);
        say_passed_over(stub, decision);
        if (found) {
            say_decision(stub, decision);
            return;
        }
        say(stub, "bootcast: nothing here can be booted; waiting for `settop flash`\r\n");
        is_stranded = true;
    }
}
