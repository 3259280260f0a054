/* What ctypes sees of the stub (tests/firmware_stub/stubhost.py): each call ends with -1 if the power went. */
#ifndef HOST_H
#define HOST_H

#include "core/boot.h"
#include "loader/loader.h"
#include "nor.h"

#define EXPORT __attribute__((visibility("default")))

enum { POWER_WENT = -1, OUTPUT_BYTES = 1 << 16 };

struct host {
    struct nor nor;
    struct flash flash;
    struct board board;
    struct port port;
    struct stub stub;
    struct loader loader;
    jmp_buf power_goes;
    uint32_t now_ms;
    uint32_t baud;
    uint32_t output_bytes;
    uint32_t stub_replacements;
    uint8_t output[OUTPUT_BYTES];
};

/* What the fuzz target calls, too. */
struct host *host_new(
    uint32_t sector_bytes, uint32_t flash_bytes, const uint32_t regions[10], uint32_t oui, uint16_t model,
    uint16_t version, const uint8_t public_key[32]);
uint8_t *host_flash(struct host *host);
uint32_t host_violations(const struct host *host);
void host_set_now(struct host *host, uint32_t now_ms);
int host_boot(struct host *host, struct boot_decision *decision);
int host_confirm(struct host *host);
int host_install(struct host *host, uint32_t place, const struct signed_header *header, const uint8_t *image);
void host_loader_start(struct host *host, uint32_t session, int is_stranded);
int host_loader_receive(struct host *host, const uint8_t *bytes, uint32_t length);
int host_loader_tick(struct host *host);
uint32_t host_take_output(struct host *host, uint8_t *into, uint32_t most);

#endif
