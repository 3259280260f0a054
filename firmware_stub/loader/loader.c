#include "loader.h"

#include <string.h>

#include "core/crc32.h"
#include "core/install.h"
#include "core/record.h"
#include "core/sha256.h"
#include "core/slot.h"
#include "core/state.h"

static uint32_t now_ms(const struct stub *stub)
{
    return stub->port->now_ms(stub->port->context);
}

/* --- sending ---------------------------------------------------------------------------------------------- */

static void send_escaped(const struct port *port, const uint8_t *bytes, uint32_t length)
{
    uint8_t piece[64];
    uint32_t used = 0;

    for (; length > 0; length--) {
        if (used + 2 > sizeof piece) {
            port->send(port->context, piece, used);
            used = 0;
        }
        used += slip_escape(*bytes++, piece + used);
    }
    port->send(port->context, piece, used);
}

struct answer {
    const struct port *port;
    uint32_t crc;
};

static void answer_add(struct answer *answer, const void *bytes, uint32_t length)
{
    answer->crc = crc32(answer->crc, bytes, length);
    send_escaped(answer->port, bytes, length);
}

static struct answer answer_open(const struct stub *stub, enum message type, uint16_t seq)
{
    static const uint8_t end = SLIP_END;
    struct answer answer = {.port = stub->port};
    struct frame_head head = {.type = (uint8_t)type, .seq = seq};

    answer.port->send(answer.port->context, &end, 1);
    answer_add(&answer, &head, sizeof head);
    return answer;
}

static void answer_close(struct answer *answer)
{
    static const uint8_t end = SLIP_END;
    uint32_t crc = answer->crc;

    send_escaped(answer->port, (const uint8_t *)&crc, sizeof crc);
    answer->port->send(answer->port->context, &end, 1);
}

static void send(const struct stub *stub, enum message type, uint16_t seq, const void *payload, uint32_t length)
{
    struct answer answer = answer_open(stub, type, seq);

    answer_add(&answer, payload, length);
    answer_close(&answer);
}

static void refuse(const struct loader *loader, int refusal)
{
    struct refused refused = {.refusal = (uint8_t)refusal};

    send(loader->stub, MESSAGE_REFUSED, loader->answering, &refused, sizeof refused);
}

static void tell_busy(const struct stub *stub, uint32_t done_bytes, uint32_t total_bytes)
{
    struct busy busy = {.done_bytes = done_bytes, .total_bytes = total_bytes};

    send(stub, MESSAGE_BUSY, 0, &busy, sizeof busy);
}

/* --- announcement ----------------------------------------------------------------------------------------- */

static void describe_stub(const struct stub *stub, struct announce *announce)
{
    const struct flash *flash = stub->flash;
    struct stub_head head;
    uint8_t digest[SHA256_BYTES];

    flash->read(flash->context, stub->board->map.stub.offset + STUB_HEAD_OFFSET, &head, sizeof head);
    if (memcmp(head.magic, STUB_HEAD_MAGIC, sizeof head.magic) != 0 || head.size > stub->board->map.stub.size) {
        return;
    }
    slot_hash(stub, stub->board->map.stub.offset, head.size, digest, 0);
    memcpy(announce->stub_digest, digest, sizeof announce->stub_digest);
}

static void announce(struct loader *loader)
{
    const struct stub *stub = loader->stub;
    const struct board *board = stub->board;
    struct announce says = {
        .protocol = PROTOCOL,
        .hardware_oui = board->hardware.oui,
        .hardware_model = board->hardware.model,
        .hardware_version = board->hardware.version,
        .block_bytes = BLOCK_BYTES,
        .stub_version = STUB_VERSION,
        .session = loader->session,
        .window_bytes = board->window_bytes,
        .sector_bytes = stub->flash->sector_bytes,
        .stub_capacity = board->map.stub.size,
        .max_baud = board->max_baud,
        .erase_ms = board->erase_ms,
        .hash_kib_per_s = board->hash_kib_per_s,
    };
    struct state_record record;

    for (unsigned place = 0; place < 3; place++) {
        says.image_capacity[place] = slot_image_capacity(stub, place);
    }
    memcpy(says.public_key, board->public_key, sizeof says.public_key);
    memset(says.record, 0xFF, sizeof says.record);
    if (record_newest(stub, &record)) {
        memcpy(says.record, &record, sizeof says.record);
    }
    describe_stub(stub, &says);
    loader->announced_ms = now_ms(stub);
    send(stub, MESSAGE_ANNOUNCE, loader->answering, &says, sizeof says);
}

/* --- requests --------------------------------------------------------------------------------------------- */

static void answer_offset(const struct loader *loader, int outcome)
{
    struct offset offset = {.offset = loader->stub->installation.offset, .is_gap = outcome == INSTALL_GAP};

    if (outcome != INSTALL_GOES_ON && outcome != INSTALL_GAP) {
        refuse(loader, outcome);
        return;
    }
    send(loader->stub, MESSAGE_OFFSET, loader->answering, &offset, sizeof offset);
}

static void change_baud(struct loader *loader, const struct baud *wanted)
{
    if (wanted->baud < 300 || wanted->baud > loader->stub->board->max_baud) {
        refuse(loader, REFUSAL_BAUD_RATE);
        return;
    }
    send(loader->stub, MESSAGE_OK, loader->answering, 0, 0);
    loader->baud = wanted->baud;
    loader->is_baud_on_trial = true;
    loader->stub->port->set_baud(loader->stub->port->context, wanted->baud);
}

static void begin(struct loader *loader, const struct begin *wanted)
{
    struct stub *stub = loader->stub;
    bool is_held;
    int outcome = install_begin(stub, wanted->place, (const struct signed_header *)wanted->header, &is_held);
    struct begun begun = {.place = stub->installation.place, .is_held = is_held};

    if (outcome != INSTALLED && outcome != INSTALL_GOES_ON) {
        refuse(loader, outcome);
        return;
    }
    send(stub, MESSAGE_BEGUN, loader->answering, &begun, sizeof begun);
}

static void begin_stub(struct loader *loader, const struct begin_stub *wanted)
{
    int outcome = install_begin_stub(loader->stub, wanted->size, wanted->sha256);
    struct begun begun = {.place = PLACE_STUB};

    if (outcome != INSTALL_GOES_ON) {
        refuse(loader, outcome);
        return;
    }
    send(loader->stub, MESSAGE_BEGUN, loader->answering, &begun, sizeof begun);
}

static uint32_t crc_of_flash(const struct stub *stub, uint32_t offset, uint32_t length)
{
    uint8_t piece[256];
    uint32_t crc = 0;

    while (length > 0) {
        uint32_t now = length < sizeof piece ? length : (uint32_t)sizeof piece;
        stub->flash->read(stub->flash->context, offset, piece, now);
        crc = crc32(crc, piece, now);
        offset += now;
        length -= now;
    }
    return crc;
}

/* CRCs of what the slot holds already, span by span, so that the host sends only what differs. */
static void sum_up(const struct loader *loader, const struct sums *wanted)
{
    const struct stub *stub = loader->stub;
    const struct installation *it = &stub->installation;
    struct sums_are head = {.offset = wanted->offset};
    uint64_t end = (uint64_t)wanted->offset + (uint64_t)wanted->span_bytes * wanted->count;

    if (!it->is_open) {
        refuse(loader, REFUSAL_NO_TRANSFER);
        return;
    }
    if (wanted->span_bytes == 0 || wanted->count > MAX_SUMS || end >= (uint64_t)it->image_bytes + wanted->span_bytes) {
        refuse(loader, REFUSAL_MALFORMED);
        return;
    }
    struct answer answer = answer_open(stub, MESSAGE_SUMS_ARE, loader->answering);
    answer_add(&answer, &head, sizeof head);
    for (uint32_t index = 0, offset = wanted->offset; index < wanted->count; index++) {
        uint32_t left = it->image_bytes - offset;
        uint32_t length = left < wanted->span_bytes ? left : wanted->span_bytes;
        uint32_t crc = crc_of_flash(stub, it->image_offset + offset, length);
        answer_add(&answer, &crc, sizeof crc);
        offset += length;
    }
    answer_close(&answer);
}

static void finish(struct loader *loader)
{
    struct stub *stub = loader->stub;
    const struct installation *it = &stub->installation;
    struct done done = {.written_bytes = it->written_bytes};
    int outcome = install_finish(stub, done.sha256, tell_busy);

    if (outcome != INSTALLED) {
        refuse(loader, outcome);
        return;
    }
    done.place = it->is_stub ? (uint8_t)PLACE_STUB : it->place;
    send(stub, MESSAGE_DONE, loader->answering, &done, sizeof done);
    if (it->is_stub) {
        stub->port->replace_stub(stub->port->context, it->image_offset, it->image_bytes);
        refuse(loader, REFUSAL_FLASH_FAULT);
    }
}

static void inspect(const struct loader *loader, const struct inspect *wanted)
{
    const struct stub *stub = loader->stub;
    struct inspected says = {.place = wanted->place};
    struct state_record record;
    struct signed_header header;

    if (wanted->place > PLACE_EEPROM) {
        refuse(loader, REFUSAL_MALFORMED);
        return;
    }
    state_load(stub, &record);
    uint32_t floor = wanted->place == PLACE_EEPROM ? 0 : record.floor;
    says.failure = (uint8_t)slot_inspect(stub, wanted->place, floor, &header);
    memcpy(says.header, &header, sizeof says.header);
    send(stub, MESSAGE_INSPECTED, loader->answering, &says, sizeof says);
}

/* --- frames ----------------------------------------------------------------------------------------------- */

static bool has_right_length(uint8_t type, uint32_t length)
{
    switch (type) {
    case MESSAGE_HELLO:
        return length == 2;
    case MESSAGE_BAUD:
        return length == sizeof(struct baud);
    case MESSAGE_BEGIN:
        return length == sizeof(struct begin);
    case MESSAGE_BEGIN_STUB:
        return length == sizeof(struct begin_stub);
    case MESSAGE_SUMS:
        return length == sizeof(struct sums);
    case MESSAGE_DATA:
        return length >= sizeof(struct data);
    case MESSAGE_SKIP:
        return length == sizeof(struct skip);
    case MESSAGE_INSPECT:
        return length == sizeof(struct inspect);
    case MESSAGE_END:
    case MESSAGE_BOOT:
        return length == 0;
    default:
        return false;
    }
}

static void answer_request(struct loader *loader, uint8_t type, const uint8_t *payload, uint32_t length)
{
    const struct data *data = (const void *)payload;
    const struct skip *skip = (const void *)payload;

    switch (type) {
    case MESSAGE_HELLO:
        announce(loader);
        break;
    case MESSAGE_BAUD:
        change_baud(loader, (const void *)payload);
        break;
    case MESSAGE_BEGIN:
        begin(loader, (const void *)payload);
        break;
    case MESSAGE_BEGIN_STUB:
        begin_stub(loader, (const void *)payload);
        break;
    case MESSAGE_SUMS:
        sum_up(loader, (const void *)payload);
        break;
    case MESSAGE_DATA:
        answer_offset(
            loader, install_write(loader->stub, data->offset, payload + DATA_BYTES, length - DATA_BYTES));
        break;
    case MESSAGE_SKIP:
        answer_offset(loader, install_skip(loader->stub, skip->offset, skip->to));
        break;
    case MESSAGE_END:
        finish(loader);
        break;
    case MESSAGE_INSPECT:
        inspect(loader, (const void *)payload);
        break;
    default: /* MESSAGE_BOOT */
        send(loader->stub, MESSAGE_OK, loader->answering, 0, 0);
        loader->shall_boot = true;
    }
}

static void take_frame(struct loader *loader, const uint8_t *frame, uint32_t length)
{
    const struct frame_head *head = (const void *)frame;
    uint32_t crc;

    if (length < FRAME_HEAD_BYTES + FRAME_TAIL_BYTES) {
        return;
    }
    length -= FRAME_TAIL_BYTES;
    memcpy(&crc, frame + length, sizeof crc);
    if (crc != crc32(0, frame, length)) {
        return;
    }
    loader->heard_ms = now_ms(loader->stub);
    loader->has_heard = true;
    loader->is_baud_on_trial = false;
    loader->answering = head->seq;
    length -= FRAME_HEAD_BYTES;
    if (!has_right_length(head->type, length)) {
        refuse(loader, REFUSAL_MALFORMED);
        return;
    }
    answer_request(loader, head->type, frame + FRAME_HEAD_BYTES, length);
    loader->heard_ms = now_ms(loader->stub); /* erasing and hashing took time of ours, not of the host's */
}

void loader_start(struct loader *loader, struct stub *stub, uint32_t session, bool is_stranded)
{
    memset(loader, 0, sizeof *loader);
    loader->stub = stub;
    loader->session = session;
    loader->is_stranded = is_stranded;
    loader->baud = INITIAL_BAUD;
    loader->heard_ms = now_ms(stub);
    stub->installation.is_open = false;
    announce(loader);
}

void loader_receive(struct loader *loader, const uint8_t *bytes, uint32_t length)
{
    for (; length > 0 && !loader->shall_boot; length--) {
        uint32_t frame_bytes = slip_feed(&loader->slip, *bytes++);
        if (frame_bytes > 0) {
            take_frame(loader, loader->slip.frame, frame_bytes);
        }
    }
}

static void restore_baud(struct loader *loader)
{
    if (loader->baud != INITIAL_BAUD) {
        loader->stub->port->set_baud(loader->stub->port->context, INITIAL_BAUD);
    }
    loader->baud = INITIAL_BAUD;
    loader->is_baud_on_trial = false;
}

bool loader_tick(struct loader *loader)
{
    uint32_t now = now_ms(loader->stub);
    uint32_t silent_ms = now - loader->heard_ms;

    if (silent_ms > (loader->is_baud_on_trial ? LOADER_BAUD_TRIAL_MS : LOADER_BAUD_IDLE_MS)) {
        restore_baud(loader);
    }
    if (silent_ms > (loader->has_heard ? LOADER_IDLE_MS : LOADER_WAIT_MS) && !loader->is_stranded) {
        loader->shall_boot = true;
    }
    if (loader->shall_boot) {
        restore_baud(loader);
        return false;
    }
    if (loader->is_stranded && silent_ms > LOADER_ANNOUNCE_MS && now - loader->announced_ms > LOADER_ANNOUNCE_MS) {
        loader->answering = 0;
        announce(loader);
    }
    return true;
}
