/* The serial loader: takes bytes, answers in frames (settop/flasher/frames.py), never waits.
 *
 * The board's offset drives a transfer: DATA that is not the next is answered with the offset that is wanted. */
#ifndef LOADER_H
#define LOADER_H

#include "core/stub.h"
#include "slip.h"

enum {
    LOADER_WAIT_MS = 300,        /* after power-on, for somebody to say HELLO */
    LOADER_IDLE_MS = 30000,      /* then, between two frames, before the board boots by itself */
    LOADER_BAUD_TRIAL_MS = 1000, /* at a new rate, for a frame that proves it */
    LOADER_BAUD_IDLE_MS = 3000,  /* at a proven rate: then back, for a host that starts anew */
    LOADER_ANNOUNCE_MS = 1000,   /* while nothing can be booted */
};

struct loader {
    struct stub *stub;
    uint32_t session;  /* another number after each reset, so that the host notices one */
    uint32_t heard_ms; /* when the last frame came */
    uint32_t announced_ms;
    uint32_t baud;
    bool is_baud_on_trial;
    bool has_heard;
    bool is_stranded; /* nothing can be booted: stay */
    bool shall_boot;
    uint16_t answering; /* the seq of the request at hand */
    struct slip_decoder slip;
};

void loader_start(struct loader *loader, struct stub *stub, uint32_t session, bool is_stranded);
void loader_receive(struct loader *loader, const uint8_t *bytes, uint32_t length);

/* Let time pass; false once the loader is done and the board shall boot. */
bool loader_tick(struct loader *loader);

#endif
