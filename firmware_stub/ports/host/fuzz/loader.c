/* libFuzzer: whatever the serial line brings, the confirmed image stays whole and boots (make -C firmware_stub fuzz).
 *
 * An input is a script, so that the fuzzer need not guess CRCs:
 *
 *   00..7F  a frame of this type: length u16, payload; seq and CRC are put right, SLIP around it
 *   80..BF  so many bytes + 1 as they are: noise, torn frames, frames of the fuzzer's own
 *   C0..DF  time passes: 2^n ms
 *   E0..EF  the header of a good image, as BEGIN for place n (15: the free slot)
 *   F0..FE  so many blocks of that image + 1, as DATA from the offset wanted
 *   FF      reset */
#include <stdlib.h>
#include <string.h>

#include "ports/host/host.h"
#include "core/crc32.h"
#include "core/record.h"
#include "core/sha256.h"

enum {
    SECTOR = 512,
    SLOT_SECTORS = 3,
    SLOTS_AT = 34 * SECTOR,
    SLOT = SLOT_SECTORS * SECTOR,
    FLASH = SLOTS_AT + 3 * SLOT,
    IMAGE = 700,
    PIECE = 128,
    MAX_PAYLOAD = 2048,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct host *host;
static uint8_t prepared[FLASH];
static struct signed_header update;
static uint8_t update_image[IMAGE];
static bool was_eeprom_open, was_stub_replaced; /* by this script */

struct script {
    const uint8_t *data;
    size_t left;
};

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static uint8_t take(struct script *script)
{
    return script->left > 0 ? (script->left--, *script->data++) : 0;
}

static void make_image(struct signed_header *header, uint8_t *image, uint8_t fill)
{
    struct sha256 sha;

    memset(image, fill, IMAGE);
    memset(header, 0, sizeof *header);
    memcpy(header->magic, SIGNED_HEADER_MAGIC, sizeof header->magic);
    header->layout = SIGNED_HEADER_LAYOUT;
    header->header_size = SIGNED_HEADER_HEADER_SIZE;
    header->hardware_oui = 0x00A1B2;
    header->hardware_model = 7;
    header->hardware_version = ANY_VERSION;
    header->security_counter = 1;
    header->version_major = fill;
    header->image_size = IMAGE;
    sha256_init(&sha);
    sha256_update(&sha, image, IMAGE);
    sha256_final(&sha, header->image_sha256);
    header->crc = crc32(0, header, HEADER_CRC_OFFSET);
}

/* A board that has confirmed slot A: what must never be lost. */
static void prepare(void)
{
    static const uint32_t regions[10] = {
        0, 32 * SECTOR, 32 * SECTOR, 2 * SECTOR, SLOTS_AT, SLOT, SLOTS_AT + SLOT, SLOT, SLOTS_AT + 2 * SLOT, SLOT,
    };
    static const uint8_t any_key[32];
    struct boot_decision decision;
    struct signed_header confirmed;
    uint8_t image[IMAGE];

    host = host_new(SECTOR, FLASH, regions, 0x00A1B2, 7, 1, any_key);
    make_image(&confirmed, image, 1);
    make_image(&update, update_image, 2);
    check(host_install(host, PLACE_SLOT_A, &confirmed, image) == 0);
    check(host_boot(host, &decision) == 1 && host_confirm(host) == CONFIRMED_NOW);
    memcpy(prepared, host_flash(host), FLASH);
}

static void say(const uint8_t *bytes, uint32_t length)
{
    uint8_t heard[4096];

    if (host_loader_receive(host, bytes, length) == POWER_WENT) {
        host_loader_start(host, 2, 0); /* the stub has replaced itself */
        was_stub_replaced = true;
    }
    was_eeprom_open |= host->stub.installation.is_open && host->stub.installation.place == PLACE_EEPROM;
    while (host_take_output(host, heard, sizeof heard) > 0) {
    }
}

static void say_frame(uint8_t type, const uint8_t *payload, uint32_t length)
{
    static uint16_t seq;
    uint8_t frame[FRAME_HEAD_BYTES + MAX_PAYLOAD + FRAME_TAIL_BYTES], wrapped[2 * sizeof frame + 2];
    struct frame_head head = {.type = type, .seq = ++seq};
    uint32_t used = sizeof head, out = 0;

    memcpy(frame, &head, sizeof head);
    memcpy(frame + used, payload, length);
    used += length;
    uint32_t crc = crc32(0, frame, used);
    memcpy(frame + used, &crc, sizeof crc);
    wrapped[out++] = SLIP_END;
    for (uint32_t index = 0; index < used + sizeof crc; index++) {
        out += slip_escape(frame[index], wrapped + out);
    }
    wrapped[out++] = SLIP_END;
    say(wrapped, out);
}

static void say_scripted(struct script *script, uint8_t type)
{
    uint8_t payload[MAX_PAYLOAD];
    uint32_t length = take(script);

    length = (length | (uint32_t)take(script) << 8) % sizeof payload;
    length = length < script->left ? length : (uint32_t)script->left;
    memcpy(payload, script->data, length);
    script->data += length;
    script->left -= length;
    say_frame(type, payload, length);
}

static void say_noise(struct script *script, uint32_t length)
{
    length = length < script->left ? length : (uint32_t)script->left;
    say(script->data, length);
    script->data += length;
    script->left -= length;
}

static void begin_update(uint8_t place)
{
    struct begin begin = {.place = place == 15 ? PLACE_FREE_SLOT : place};

    memcpy(begin.header, &update, sizeof begin.header);
    say_frame(MESSAGE_BEGIN, (const uint8_t *)&begin, sizeof begin);
}

static void send_update(uint32_t blocks)
{
    for (; blocks > 0 && host->stub.installation.offset < IMAGE; blocks--) {
        uint8_t frame[DATA_BYTES + PIECE];
        struct data data = {.offset = host->stub.installation.offset};
        uint32_t left = IMAGE - data.offset, now = left < PIECE ? left : PIECE;
        memcpy(frame, &data, sizeof data);
        memcpy(frame + sizeof data, update_image + data.offset, now);
        say_frame(MESSAGE_DATA, frame, (uint32_t)sizeof data + now);
    }
}

static void step(struct script *script, uint8_t verb)
{
    if (verb < 0x80) {
        say_scripted(script, verb);
    } else if (verb < 0xC0) {
        say_noise(script, verb - 0x7Fu);
    } else if (verb < 0xE0) {
        host_set_now(host, host->now_ms + (1u << (verb & 0x0F)));
        host_loader_tick(host);
    } else if (verb < 0xF0) {
        begin_update(verb & 0x0F);
    } else if (verb < 0xFF) {
        send_update(verb - 0xEFu);
    } else {
        host_loader_start(host, host->now_ms, 1);
    }
}

static bool is_untouched(const struct region *region)
{
    return memcmp(host_flash(host) + region->offset, prepared + region->offset, region->size) == 0;
}

/* Nothing on the line can confirm: slot A stays the confirmed one, whole, and boots; what nobody opened is as it was. */
static void check_board(void)
{
    const struct flash_map *map = &host->board.map;
    struct state_record record;
    struct boot_decision decision;

    check(host_violations(host) == 0);
    check(is_untouched(&map->slots[PLACE_SLOT_A]));
    check(was_eeprom_open || is_untouched(&map->slots[PLACE_EEPROM]));
    check(was_stub_replaced || is_untouched(&map->stub));
    check(record_newest(&host->stub, &record));
    check(record.active == PLACE_SLOT_A && record.slots[PLACE_SLOT_A].state == SLOT_STATE_CONFIRMED);
    for (unsigned boots = 0; boots <= TRIES; boots++) {
        check(host_boot(host, &decision) == 1);
    }
    check(decision.place == PLACE_SLOT_A);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, size};

    if (host == NULL) {
        prepare();
    }
    memcpy(host_flash(host), prepared, FLASH);
    was_eeprom_open = was_stub_replaced = false;
    host_set_now(host, 0);
    host_loader_start(host, 1, 1);
    say(NULL, 0);
    while (script.left > 0) {
        step(&script, take(&script));
    }
    check_board();
    return 0;
}
