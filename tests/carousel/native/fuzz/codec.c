/* libFuzzer: whatever numbers a caller gives, a coder refuses them or does its work inside its memory.
 *
 * An input: K, T / 8, what to do, how many missing and repair symbols; then numbers, a byte each, or 255 and eight
 * bytes. What was encoded is decoded again: where that succeeds, the block must be the same. So must be one that was
 * drafted from some of the repair symbols and finished by the others, or by source symbols.
 */
#include <stdlib.h>
#include <string.h>

#include "core.h"

struct input {
    const uint8_t *at, *end;
};

static uint8_t next(struct input *in) {
    return in->at < in->end ? *in->at++ : 0;
}

static int64_t number(struct input *in, int64_t base) {
    const uint8_t small = next(in);
    int64_t wide;
    if (small != 255 || in->end - in->at < 8)
        return base + small;
    memcpy(&wide, in->at, 8);
    in->at += 8;
    return wide;
}

static int64_t *numbers(struct input *in, size_t count, int64_t base) {
    int64_t *list = malloc(count * 8 + 1);
    for (size_t i = 0; i < count; i++)
        list[i] = number(in, base);
    return list;
}

struct symbols {
    const uint8_t *block, *repair;
    const int64_t *missing, *rows, *esis;
    size_t missing_count, repair_count;
    int are_genuine;
};

static void draft(bc_coder *coder, bc_workspace *space, uint32_t k, size_t size, const struct symbols *s,
                  struct input *in) {
    const size_t bytes = k * size, repair_bytes = s->repair_count * size;
    const size_t held = s->repair_count ? next(in) % s->repair_count : 0, late_count = next(in) % 40;
    const size_t coming_count = s->repair_count - held + next(in) % 20;
    int64_t *coming = numbers(in, coming_count, 0), *late = numbers(in, late_count, 0);
    int64_t *rows = malloc(late_count * 8 + 1);
    uint8_t *holed = malloc(bytes);
    memcpy(holed, s->block, bytes);
    for (size_t i = 0; i < s->missing_count; i++)
        if (s->missing[i] >= 0 && s->missing[i] < k)
            memset(holed + s->missing[i] * size, 0xEE, size);
    for (size_t i = held; i < s->repair_count; i++)
        coming[i - held] = s->esis[i];
    for (size_t i = 0; i < late_count; i++) {
        rows[i] = late[i] < (int64_t)s->repair_count ? late[i] : -1;
        if (rows[i] >= (int64_t)held)
            late[i] = s->esis[rows[i]];
    }
    bc_draft *made = NULL;
    if (bc_draft_new(coder, space, holed, bytes, size, s->missing, s->missing_count, s->repair, repair_bytes, s->rows,
                     s->esis, held, coming, coming_count, &made) == BC_OK) {
        for (size_t i = 0; i < late_count; i++)
            if (late[i] >= 0 && late[i] < k)
                memcpy(holed + late[i] * size, s->block + late[i] * size, size);
        const int finished = bc_draft_finish(made, space, holed, bytes, s->repair, repair_bytes, rows, late,
                                             late_count);
        if (finished == BC_OK && s->are_genuine && memcmp(s->block, holed, bytes) != 0)
            abort();
    }
    bc_draft_free(made);
    free(coming);
    free(late);
    free(rows);
    free(holed);
}

static void run(bc_coder *coder, bc_workspace *space, uint32_t k, size_t size, struct input *in) {
    const size_t missing_count = next(in) % 80, repair_count = next(in) % 90, bytes = k * size;
    int64_t *missing = numbers(in, missing_count, 0), *esis = numbers(in, repair_count, k);
    int64_t *rows = malloc(repair_count * 8 + 1);
    uint8_t *block = malloc(bytes), *holed = malloc(bytes), *repair = malloc(repair_count * size + 1);
    for (size_t i = 0; i < bytes; i++)
        block[i] = (uint8_t)(i * 31 + i / 7);
    memcpy(holed, block, bytes);
    for (size_t i = 0; i < repair_count; i++)
        rows[i] = in->at < in->end ? number(in, 0) : (int64_t)i;
    const int encoded = bc_encode(coder, space, block, bytes, size, esis, repair_count, repair, repair_count * size);
    for (size_t i = 0; i < missing_count; i++)
        if (missing[i] >= 0 && missing[i] < k)
            memset(holed + missing[i] * size, 0xEE, size);
    int64_t suspects[200];
    size_t count;
    bc_find_wrong(coder, space, holed, bytes, size, missing, missing_count, repair, repair_count * size, rows, esis,
                  repair_count, suspects, 200, &count);
    const int decoded = bc_decode(coder, space, holed, bytes, size, missing, missing_count, repair, repair_count * size, rows,
                                  esis, repair_count);
    int in_order = 1;
    for (size_t i = 0; i < repair_count; i++)
        in_order &= rows[i] == (int64_t)i;
    if (encoded == BC_OK && decoded == BC_OK && in_order && memcmp(block, holed, bytes) != 0)
        abort();
    const struct symbols symbols = {block, repair, missing, rows, esis, missing_count, repair_count,
                                    encoded == BC_OK && in_order};
    draft(coder, space, k, size, &symbols, in);
    free(missing);
    free(esis);
    free(rows);
    free(block);
    free(holed);
    free(repair);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, data + size};
    const uint32_t k = next(&in);
    const size_t symbol_size = 8 * (size_t)(1 + next(&in) % 9);
    static bc_workspace *kept;  /* what an input leaves in it is no other's business */
    bc_coder *coder = NULL;
    if (!kept && bc_workspace_new(&kept) != BC_OK)
        return 0;
    if (bc_coder_new(k, &coder) == BC_OK)
        run(coder, size % 4 ? kept : NULL, k, symbol_size, &in);
    bc_coder_free(coder);
    return 0;
}
