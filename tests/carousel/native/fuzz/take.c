/* libFuzzer: whatever the network brings, and whatever pieces a wrong caller names, a take stays inside its memory.
 *
 * Byte 0 of an input: bit 0: pieces stand at the beginning, three 64-bit numbers each, bits 4..7 say how many; else the
 * input is one piece. Bit 1: packets get the right CRC, since a fuzzer would not guess it. Bit 2: another symbol size.
 */
#include <stdlib.h>
#include <string.h>

#include "core.h"

#define BLOCKS 3
#define REPAIR 4
#define SLOTS 3
#define SOURCE 11
#define ROOM 512

struct object {
    int32_t block_sizes[BLOCKS], first_rows[BLOCKS], source_held[BLOCKS], repair_held[BLOCKS], wanted[BLOCKS];
    int32_t slot_sbn[SLOTS], slot_esi[SLOTS], free_slots[SLOTS], free_count;
    uint8_t *source, *repair, *held;
};

static void open_object(struct object *o, bc_target *t, uint32_t symbol_size, uint8_t toi) {
    static const uint8_t prefix[20] = {0x10, 0xA0, 6, 6, 0, 0, 0, 0, 0, 0, 0, 77, 0, 0, 0, 1, 120, 2, 0, 0};
    const int32_t sizes[BLOCKS] = {4, 4, 3};
    *o = (struct object){.free_slots = {2, 1, 0}, .free_count = SLOTS};
    for (int i = 0, row = 0; i < BLOCKS; row += sizes[i++]) {
        o->block_sizes[i] = sizes[i];
        o->first_rows[i] = row;
        o->wanted[i] = sizes[i] + 1;
    }
    /* On the heap, each array of its own: so that the sanitizer sees one byte too many. */
    o->source = malloc(SOURCE * symbol_size);
    o->repair = malloc(SLOTS * symbol_size);
    o->held = calloc(SOURCE + BLOCKS * REPAIR, 1);
    *t = (bc_target){
        .symbol_size = symbol_size, .blocks = BLOCKS, .repair_per_block = REPAIR, .esi_bits = 24,
        .block_sizes = o->block_sizes, .first_rows = o->first_rows, .source_rows = SOURCE,
        .held_rows = SOURCE + BLOCKS * REPAIR, .slots = SLOTS, .source = o->source, .repair = o->repair,
        .held = o->held, .source_held = o->source_held, .repair_held = o->repair_held, .wanted = o->wanted,
        .slot_sbn = o->slot_sbn, .slot_esi = o->slot_esi, .free_slots = o->free_slots, .free_count = &o->free_count,
    };
    memcpy(t->prefix, prefix, sizeof prefix);
    t->prefix[15] = toi;
}

static void close_object(struct object *o) {
    int held = 0;
    for (int i = 0; i < SOURCE + BLOCKS * REPAIR; i++)
        held += o->held[i] != 0; /* another bit tells that it came again */
    for (int i = 0; i < BLOCKS; i++)
        held -= o->source_held[i] + o->repair_held[i];
    if (held || o->free_count < 0)
        abort();
    free(o->source);
    free(o->repair);
    free(o->held);
}

static void mend_crcs(uint8_t *packets, size_t size, size_t stride) {
    for (size_t at = 0; at + stride <= size; at += stride) {
        const uint32_t crc = bc_crc32(bc_crc32(0, packets + at, 20), packets + at + 24, stride - 24);
        for (int i = 0; i < 4; i++)
            packets[at + 20 + i] = (uint8_t)(crc >> (24 - 8 * i));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    const uint8_t mode = data[0];
    const uint32_t symbol_size = mode & 4 ? 100 : 16;
    const size_t count = mode & 1 ? mode >> 4 : 1, numbers = mode & 1 ? 24 * count : 0;
    if (size - 1 < numbers)
        return 0;
    struct object objects[2];
    bc_target targets[2];
    open_object(&objects[0], &targets[0], symbol_size, 1);
    open_object(&objects[1], &targets[1], symbol_size, 2);
    const size_t bytes = size - 1 - numbers;
    uint8_t *buffer = malloc(bytes + 1);
    memcpy(buffer, data + 1 + numbers, bytes);
    if (mode & 2)
        mend_crcs(buffer, bytes, symbol_size + 28);
    int64_t pieces[3 * 16] = {0, symbol_size + 28, (int64_t)bytes};
    memcpy(pieces, data + 1, numbers);
    int64_t *rows = malloc(ROOM * 8), *unmatched = malloc(2 * ROOM * 8);
    int32_t *filled = malloc(2 * ROOM * 4);
    uint8_t *owners = malloc(ROOM);
    bc_taken taken = {.room = ROOM, .rows = rows, .owners = owners, .unmatched_packets = unmatched,
                      .filled_blocks = filled};
    bc_take(targets, 2, buffer, bytes, pieces, count, &taken);
    close_object(&objects[0]);
    close_object(&objects[1]);
    free(buffer);
    free(rows);
    free(unmatched);
    free(filled);
    free(owners);
    return 0;
}
