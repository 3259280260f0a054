/* The stub's one state, and the port beneath it (design: boot.md; for users: docs/board.md).
 *
 *   main.c     what happens from power-on to the jump
 *   loader/    the serial loader, sans I/O: slip.c, loader.c
 *   core/      boot.c         which image to start; confirm      install.c  puts an image into a slot
 *              state.c        what the board knows of its slots  slot.c     is this image whole and ours?
 *              transitions.c  what becomes of a record; pure     record.c   the newest record; append one
 *              flash.c, crc32.c, sha256.c
 *   ports/     host (strict NOR, for tests) and qemu (the ARM `virt` board): flash, line and clock
 *
 * A port knows all, main.c the loader, the loader the core; nothing knows what stands above it.
 */
#ifndef STUB_H
#define STUB_H

#include "flash.h"
#include "version.h"
#include "wire.h"

struct hardware {
    uint32_t oui;
    uint16_t model;
    uint16_t version;
};

/* What a board is. All-zero `public_key`: it takes images of any key. */
struct board {
    struct hardware hardware;
    uint8_t public_key[32];
    struct flash_map map;
    uint32_t window_bytes; /* how much the port can hold while the flash is busy */
    uint32_t max_baud;
    uint16_t erase_ms;
    uint16_t hash_kib_per_s;
};

struct port {
    void *context;
    uint32_t (*now_ms)(void *context);
    uint32_t (*receive)(void *context, uint8_t *into, uint32_t most); /* never waits */
    void (*send)(void *context, const uint8_t *bytes, uint32_t length);
    void (*set_baud)(void *context, uint32_t baud); /* once all that was sent is out */
    /* Put `length` bytes at `from` over the stub and start it; comes back only if the flash fails. */
    void (*replace_stub)(void *context, uint32_t from, uint32_t length);
};

struct installation {
    bool is_open;
    uint8_t place;
    bool is_stub;
    struct signed_header header;
    uint32_t image_offset; /* in the flash */
    uint32_t image_bytes;
    uint8_t sha256[32];
    uint32_t offset;      /* the next byte of the image that is wanted */
    uint32_t ready_until; /* up to here the sector is erased */
    uint32_t written_bytes;
};

struct stub {
    const struct board *board;
    const struct flash *flash;
    const struct port *port;
    struct installation installation;
};

#endif
