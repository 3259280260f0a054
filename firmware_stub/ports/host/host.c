#include "host.h"

#include <stdlib.h>
#include <string.h>

#include "core/crc32.h"
#include "core/install.h"
#include "core/record.h"
#include "core/sha256.h"
#include "core/state.h"
#include "core/transitions.h"

/* Run an action whose flash operations the power may cut; `value` is what it returns otherwise. */
#define UNTIL_POWER_GOES(host, value) (setjmp((host)->power_goes) ? POWER_WENT : (int)(value))

static uint32_t port_now_ms(void *context)
{
    const struct host *host = context;
    return host->now_ms + (uint32_t)(host->nor.busy_us / 1000);
}

static void port_send(void *context, const uint8_t *bytes, uint32_t length)
{
    struct host *host = context;

    for (; length > 0 && host->output_bytes < OUTPUT_BYTES; length--) {
        host->output[host->output_bytes++] = *bytes++;
    }
}

static void port_set_baud(void *context, uint32_t baud)
{
    struct host *host = context;
    host->baud = baud;
}

static void port_replace_stub(void *context, uint32_t from, uint32_t length)
{
    struct host *host = context;
    uint32_t to = host->board.map.stub.offset;

    for (uint32_t done = 0; done < length; done += host->nor.sector_bytes) {
        uint32_t left = length - done;
        uint32_t now = left < host->nor.sector_bytes ? left : host->nor.sector_bytes;
        host->flash.erase(&host->nor, to + done);
        flash_write(&host->flash, to + done, host->nor.bytes + from + done, now);
    }
    host->stub_replacements++;
    longjmp(host->power_goes, 1); /* the new stub starts from reset */
}

/* `regions`: offset and size of stub, records, slot A, slot B, EEPROM. */
EXPORT struct host *host_new(
    uint32_t sector_bytes, uint32_t flash_bytes, const uint32_t regions[10], uint32_t oui, uint16_t model,
    uint16_t version, const uint8_t public_key[32])
{
    struct host *host = calloc(1, sizeof *host);
    struct region *into[] = {
        &host->board.map.stub, &host->board.map.records, &host->board.map.slots[0], &host->board.map.slots[1],
        &host->board.map.slots[2],
    };

    for (unsigned index = 0; index < 5; index++) {
        *into[index] = (struct region){regions[2 * index], regions[2 * index + 1]};
    }
    host->board.hardware = (struct hardware){oui, model, version};
    memcpy(host->board.public_key, public_key, sizeof host->board.public_key);
    host->board.window_bytes = 65536;
    host->board.max_baud = 4000000;
    host->board.erase_ms = 1;
    host->board.hash_kib_per_s = 32768;
    host->nor.bytes = malloc(flash_bytes);
    memset(host->nor.bytes, 0xFF, flash_bytes);
    host->nor.size = flash_bytes;
    host->nor.sector_bytes = sector_bytes;
    host->nor.power_goes = &host->power_goes;
    nor_flash(&host->nor, &host->flash);
    host->port = (struct port){
        .context = host,
        .now_ms = port_now_ms,
        .send = port_send,
        .set_baud = port_set_baud,
        .replace_stub = port_replace_stub,
    };
    host->baud = INITIAL_BAUD;
    host->stub = (struct stub){.board = &host->board, .flash = &host->flash, .port = &host->port};
    return host;
}

EXPORT void host_free(struct host *host)
{
    free(host->nor.bytes);
    free(host);
}

EXPORT uint8_t *host_flash(struct host *host)
{
    return host->nor.bytes;
}

EXPORT void host_arm(struct host *host, uint32_t cut_at, int cut, uint64_t seed)
{
    nor_arm(&host->nor, cut_at, (enum cut)cut, seed);
}

EXPORT void host_arm_fault(
    struct host *host, uint32_t fault_at, int is_worn, int is_silent, int cut, uint64_t seed)
{
    nor_arm_fault(&host->nor, fault_at, is_worn != 0, is_silent != 0, (enum cut)cut, seed);
}

EXPORT uint32_t host_operations(const struct host *host)
{
    return host->nor.operations;
}

EXPORT uint32_t host_violations(const struct host *host)
{
    return host->nor.violations;
}

EXPORT uint32_t host_stub_replacements(const struct host *host)
{
    return host->stub_replacements;
}

/* --- what a board does ------------------------------------------------------------------------------------ */

EXPORT int host_boot(struct host *host, struct boot_decision *decision)
{
    return UNTIL_POWER_GOES(host, boot_choose(&host->stub, decision));
}

EXPORT int host_confirm(struct host *host)
{
    return UNTIL_POWER_GOES(host, boot_confirm(&host->stub));
}

EXPORT int host_halt(struct host *host, const uint8_t sha256[32])
{
    return UNTIL_POWER_GOES(host, boot_halt(&host->stub, sha256));
}

EXPORT int host_append(struct host *host, struct state_record *record)
{
    return UNTIL_POWER_GOES(host, record_append(&host->stub, record));
}

EXPORT int host_load(struct host *host, struct state_record *record)
{
    state_load(&host->stub, record);
    return record_newest(&host->stub, record);
}

EXPORT int host_free_slot(const struct state_record *record)
{
    return (int)record_free_slot(record);
}

static int install(struct host *host, unsigned place, const struct signed_header *header, const uint8_t *image)
{
    uint8_t digest[SHA256_BYTES];
    bool is_held;
    uint32_t size = (uint32_t)header->image_size;
    int outcome = install_begin(&host->stub, place, header, &is_held);

    for (uint32_t offset = 0; outcome == INSTALL_GOES_ON && offset < size;) {
        uint32_t now = size - offset < BLOCK_BYTES ? size - offset : BLOCK_BYTES;
        outcome = install_write(&host->stub, offset, image + offset, now);
        offset += now;
    }
    return outcome == INSTALL_GOES_ON ? install_finish(&host->stub, digest, 0) : outcome;
}

EXPORT int host_install(struct host *host, uint32_t place, const struct signed_header *header, const uint8_t *image)
{
    return UNTIL_POWER_GOES(host, install(host, place, header, image));
}

EXPORT uint32_t host_crc32(const uint8_t *data, uint32_t length)
{
    return crc32(0, data, length);
}

EXPORT void host_sha256(const uint8_t *data, uint32_t length, uint8_t digest[32])
{
    struct sha256 sha;

    sha256_init(&sha);
    for (uint32_t step = 1; length > 0; step = step * 2 % 97 + 1) { /* pieces of many sizes */
        uint32_t now = step < length ? step : length;
        sha256_update(&sha, data, now);
        data += now;
        length -= now;
    }
    sha256_final(&sha, digest);
}

/* --- the loader ------------------------------------------------------------------------------------------- */

EXPORT void host_set_now(struct host *host, uint32_t now_ms)
{
    host->now_ms = now_ms;
    host->nor.busy_us = 0;
}

EXPORT uint64_t host_busy_us(const struct host *host)
{
    return host->nor.busy_us;
}

EXPORT void host_set_flash_speed(struct host *host, uint32_t erase_us, uint32_t program_us_per_kib)
{
    host->board.erase_ms = (uint16_t)(erase_us / 1000 + 1);
    host->nor.erase_us = erase_us;
    host->nor.program_us_per_kib = program_us_per_kib;
}

EXPORT void host_set_window(struct host *host, uint32_t window_bytes)
{
    host->board.window_bytes = window_bytes;
}

EXPORT void host_loader_start(struct host *host, uint32_t session, int is_stranded)
{
    host->baud = INITIAL_BAUD;
    loader_start(&host->loader, &host->stub, session, is_stranded != 0);
}

static int receive(struct host *host, const uint8_t *bytes, uint32_t length)
{
    loader_receive(&host->loader, bytes, length);
    return 0;
}

EXPORT int host_loader_receive(struct host *host, const uint8_t *bytes, uint32_t length)
{
    return UNTIL_POWER_GOES(host, receive(host, bytes, length));
}

EXPORT int host_loader_tick(struct host *host)
{
    return loader_tick(&host->loader);
}

EXPORT uint32_t host_baud(const struct host *host)
{
    return host->baud;
}

EXPORT uint32_t host_take_output(struct host *host, uint8_t *into, uint32_t most)
{
    uint32_t taken = host->output_bytes < most ? host->output_bytes : most;

    memcpy(into, host->output, taken);
    memmove(host->output, host->output + taken, host->output_bytes - taken);
    host->output_bytes -= taken;
    return taken;
}
