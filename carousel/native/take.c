/* The take of a batch, packet after packet: what costs nothing is judged first, and a duplicate is never read. */
#include <string.h>

#include "core.h"
#include "crc32.h"

#define CAME_AGAIN 2u         /* of a row: carousel/take/landing.py */
#define PREFIX_BYTES 20u
#define CRC_OFFSET 20u
#define PAYLOAD_ID_OFFSET 24u
#define SYMBOL_OFFSET 28u
#define MAX_TARGETS 32u
#define MAX_PACKETS (1 << 24)  /* of one call */

_Static_assert(sizeof((bc_taken *)0)->heard == MAX_TARGETS * sizeof(int64_t), "a count for each target");
_Static_assert(sizeof((bc_target *)0)->prefix == PREFIX_BYTES, "a prefix ends where the CRC begins");

struct take {
    bc_target *targets;
    uint32_t target_count, last;     /* the target of the packet before: most often of the next one, too */
    uint32_t prefix_crc[MAX_TARGETS];
    bc_crc_kernel *crc;
    bc_taken *taken;
};

static uint32_t read_u32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int is_packet_of(const bc_target *target, const uint8_t *packet, size_t size) {
    return size == SYMBOL_OFFSET + (size_t)target->symbol_size && memcmp(packet, target->prefix, PREFIX_BYTES) == 0;
}

static bc_target *find_target(struct take *take, const uint8_t *packet, size_t size) {
    if (size < SYMBOL_OFFSET || !take->target_count)
        return NULL;
    if (is_packet_of(&take->targets[take->last], packet, size))
        return &take->targets[take->last];
    for (uint32_t i = 0; i < take->target_count; i++) {
        if (is_packet_of(&take->targets[i], packet, size)) {
            take->last = i;
            return &take->targets[i];
        }
    }
    return NULL;
}

/* Where a symbol goes: its slot has been found, but not yet taken from the free ones. */
struct place {
    uint32_t sbn, esi;
    int64_t row;
    int32_t slot;      /* -1: a source symbol */
};

static int find_row(const bc_target *t, const uint8_t *packet, struct place *place) {
    const uint32_t id = read_u32(packet + PAYLOAD_ID_OFFSET);
    place->sbn = id >> t->esi_bits;
    place->esi = id & ((1u << t->esi_bits) - 1);
    if (place->sbn >= t->blocks)
        return 0;
    const uint32_t k = (uint32_t)t->block_sizes[place->sbn];
    if (place->esi >= k + t->repair_per_block)
        return 0;
    if (place->esi < k) {
        place->slot = -1;
        place->row = (int64_t)t->first_rows[place->sbn] + place->esi;
        return place->row < t->source_rows;
    }
    place->slot = 0;
    place->row = t->source_rows + (int64_t)place->sbn * t->repair_per_block + place->esi - k;
    return place->row < t->held_rows;
}

static int find_slot(const bc_target *t, struct place *place) {
    const int32_t count = *t->free_count;
    if (count < 1 || count > t->slots)
        return 0;
    place->slot = t->free_slots[count - 1];
    return place->slot >= 0 && place->slot < t->slots;
}

static int crc_is_right(const struct take *take, const bc_target *t, const uint8_t *packet) {
    const uint32_t start = take->prefix_crc[t - take->targets];
    return take->crc(start, packet + PAYLOAD_ID_OFFSET, SYMBOL_OFFSET - PAYLOAD_ID_OFFSET + t->symbol_size) ==
           read_u32(packet + CRC_OFFSET);
}

static void keep(struct take *take, bc_target *t, const uint8_t *packet, const struct place *place) {
    const uint8_t *symbol = packet + SYMBOL_OFFSET;
    bc_taken *taken = take->taken;
    if (place->slot < 0) {
        memcpy(t->source + place->row * t->symbol_size, symbol, t->symbol_size);
        t->source_held[place->sbn]++;
    } else {
        memcpy(t->repair + (int64_t)place->slot * t->symbol_size, symbol, t->symbol_size);
        (*t->free_count)--;
        t->slot_sbn[place->slot] = (int32_t)place->sbn;
        t->slot_esi[place->slot] = (int32_t)place->esi;
        t->repair_held[place->sbn]++;
    }
    t->held[place->row] = 1;
    taken->rows[taken->taken] = place->row;
    taken->owners[taken->taken++] = (uint8_t)(t - take->targets);
    if (--t->wanted[place->sbn] == 0) {
        taken->filled_blocks[2 * taken->filled] = (int32_t)(t - take->targets);
        taken->filled_blocks[2 * taken->filled++ + 1] = (int32_t)place->sbn;
    }
}

static void take_packet(struct take *take, const uint8_t *packet, int64_t offset, size_t size) {
    bc_taken *taken = take->taken;
    bc_target *t = find_target(take, packet, size);
    struct place place;
    if (t)
        taken->heard[t - take->targets]++;
    if (!t) {
        taken->unmatched_packets[2 * taken->unmatched] = offset;
        taken->unmatched_packets[2 * taken->unmatched++ + 1] = (int64_t)size;
    } else if (!find_row(t, packet, &place)) {
        taken->out_of_range++;
    } else if (t->wanted[place.sbn] <= 0) {
        taken->ignored++;
    } else if (t->held[place.row]) {
        t->held[place.row] |= CAME_AGAIN;
        taken->duplicates++;
    } else if (place.slot >= 0 && !find_slot(t, &place)) {
        taken->no_room++;
    } else if (!crc_is_right(take, t, packet)) {
        taken->corrupt++;
    } else {
        keep(take, t, packet, &place);
    }
}

static int pieces_fit(const int64_t *pieces, size_t count, size_t buffer_bytes, int64_t room) {
    int64_t packets = 0;
    for (size_t i = 0; i < count; i++) {
        const int64_t offset = pieces[3 * i], stride = pieces[3 * i + 1], size = pieces[3 * i + 2];
        if (offset < 0 || stride < 1 || size < 0 || (uint64_t)offset > buffer_bytes ||
            (uint64_t)size > buffer_bytes - (uint64_t)offset)
            return 0;
        packets += size / stride + (size % stride != 0);
        if (packets > room)
            return 0;
    }
    return 1;
}

int bc_take(bc_target *targets, size_t target_count, const uint8_t *buffer, size_t buffer_bytes, const int64_t *pieces,
            size_t count, bc_taken *taken) {
    if (!taken || taken->room < 0 || taken->room > MAX_PACKETS || target_count > MAX_TARGETS ||
        (target_count && !targets) || (count && !pieces) || (buffer_bytes && !buffer) ||
        !pieces_fit(pieces, count, buffer_bytes, taken->room))
        return BC_INVALID;
    taken->taken = taken->duplicates = taken->ignored = taken->corrupt = taken->out_of_range = 0;
    taken->no_room = taken->unmatched = taken->filled = 0;
    memset(taken->heard, 0, sizeof(taken->heard));
    struct take take = {.targets = targets, .target_count = (uint32_t)target_count, .taken = taken};
    take.crc = bc_crc_best();
    for (uint32_t i = 0; i < target_count; i++) {
        if (targets[i].esi_bits < 16 || targets[i].esi_bits > 24)
            return BC_INVALID;
        take.prefix_crc[i] = take.crc(0, targets[i].prefix, PREFIX_BYTES);
    }
    for (size_t i = 0; i < count; i++) {
        const int64_t stride = pieces[3 * i + 1], end = pieces[3 * i] + pieces[3 * i + 2];
        for (int64_t at = pieces[3 * i]; at < end; at += stride)
            take_packet(&take, buffer + at, at, (size_t)(end - at < stride ? end - at : stride));
    }
    return BC_OK;
}
