/* The core tried without Python: what the sanitizers watch, and what runs on foreign processors.
 *
 * selftest [rounds]: prints "ok", or the first thing that is wrong.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

#define CHECK(condition)                                                \
    do {                                                                \
        if (!(condition)) {                                             \
            printf("line %d: %s\n", __LINE__, #condition);              \
            exit(1);                                                    \
        }                                                               \
    } while (0)

static uint32_t state = 1;
static bc_workspace *space;  /* null in every other round */

static uint32_t noise(uint32_t below) {
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % below;
}

static void fill(uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)noise(256);
}

struct block {
    uint32_t k;
    size_t size;
    uint8_t *source, *holed, *repair, *again;
    int64_t *missing, *rows, *esis;
};

static struct block new_block(uint32_t k, size_t size) {
    const size_t bytes = k * size, more = bytes + 4 * size, numbers = (k + 4) * sizeof(int64_t);
    struct block b = {k, size, malloc(bytes), malloc(bytes), malloc(more), malloc(more), malloc(numbers),
                      malloc(numbers), malloc(numbers)};
    CHECK(b.source && b.holed && b.repair && b.again && b.missing && b.rows && b.esis);
    fill(b.source, bytes);
    for (uint32_t i = 0; i < k + 4; i++) {
        b.rows[i] = i;
        b.esis[i] = k + 3 * i + noise(3);
    }
    return b;
}

static void free_block(struct block *b) {
    void *all[] = {b->source, b->holed, b->repair, b->again, b->missing, b->rows, b->esis};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static int decode(bc_coder *coder, struct block *b, uint32_t missing, uint32_t repair) {
    const size_t bytes = b->k * b->size;
    return bc_decode(coder, space, b->holed, bytes, b->size, b->missing, missing, b->repair, bytes + 4 * b->size, b->rows,
                     b->esis, repair);
}

static void try_losses(bc_coder *coder, struct block *b, uint32_t missing) {
    const size_t bytes = b->k * b->size;
    memcpy(b->holed, b->source, bytes);
    const uint32_t first = noise(b->k - missing + 1);
    for (uint32_t i = 0; i < missing; i++) {
        b->missing[i] = first + i;
        memset(b->holed + (first + i) * b->size, 0xEE, b->size);
    }
    CHECK(missing == 0 || decode(coder, b, missing, missing - 1) == BC_DEPENDENT);
    int64_t suspects[8];
    size_t count = 9;
    CHECK(bc_find_wrong(coder, space, b->holed, bytes, b->size, b->missing, missing, b->repair, bytes + 4 * b->size, b->rows,
                        b->esis, missing + 4, suspects, 8, &count) == BC_OK && count == 0);
    b->repair[missing * b->size] ^= 1;
    CHECK(bc_find_wrong(coder, space, b->holed, bytes, b->size, b->missing, missing, b->repair, bytes + 4 * b->size, b->rows,
                        b->esis, missing + 4, suspects, 8, &count) == BC_OK);
    int found = 0; /* in some 10,000 tries another symbol has the same direction */
    for (size_t i = 0; i < count; i++)
        found |= suspects[i] == b->esis[missing];
    CHECK(found);
    b->repair[missing * b->size] ^= 1;
    CHECK(decode(coder, b, missing, missing + 3) == BC_OK);
    CHECK(memcmp(b->holed, b->source, bytes) == 0);
}

/* Draft without the last symbols of those that mend `missing`, and finish by them. */
static void try_draft(bc_coder *coder, struct block *b, uint32_t missing, uint32_t lacking) {
    const size_t bytes = b->k * b->size, repair_bytes = bytes + 4 * b->size;
    const uint32_t held = missing - lacking;
    memcpy(b->holed, b->source, bytes);
    for (uint32_t i = 0; i < missing; i++) {
        b->missing[i] = i;
        memset(b->holed + i * b->size, 0xEE, b->size);
    }
    bc_draft *draft = NULL;
    const int made = bc_draft_new(coder, space, b->holed, bytes, b->size, b->missing, missing, b->repair, repair_bytes,
                                  b->rows, b->esis, held, b->esis + held, lacking + 4, &draft);
    CHECK(made == BC_OK || made == BC_DEPENDENT);
    if (made == BC_OK) {
        CHECK(bc_draft_finish(draft, space, b->holed, bytes, b->repair, repair_bytes, b->rows + held, b->esis + held,
                              lacking - 1) == BC_DEPENDENT);
        CHECK(bc_draft_finish(draft, space, b->holed, bytes, b->repair, repair_bytes, b->rows + held, b->esis + held,
                              lacking + 4) == BC_OK);
        CHECK(memcmp(b->holed, b->source, bytes) == 0);
        CHECK(bc_draft_finish(draft, space, b->holed, bytes, b->repair, repair_bytes, b->rows, b->missing, 1) == BC_INVALID);
        CHECK(bc_draft_finish(NULL, space, b->holed, bytes, b->repair, repair_bytes, b->rows, b->esis, 1) == BC_INVALID);
    }
    bc_draft_free(draft);
}

/* Every kind of kernels gives the bytes of plain C, and mends what is missing. */
static void try_codec(uint32_t k, size_t size) {
    static const char *const kinds[] = {"plain", "ssse3", "avx2", "gfni", "neon"};
    struct block b = new_block(k, size);
    const size_t bytes = (k + 4) * size;
    bc_coder *coder = NULL;
    CHECK(bc_coder_new(k, &coder) == BC_OK);
    CHECK(bc_use_kernels("plain") == BC_OK);
    CHECK(bc_encode(coder, space, b.source, k * size, size, b.esis, k + 4, b.repair, bytes) == BC_OK);
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (bc_use_kernels(kinds[i]) != BC_OK)
            continue;
        CHECK(bc_encode(coder, space, b.source, k * size, size, b.esis, k + 4, b.again, bytes) == BC_OK);
        CHECK(memcmp(b.again, b.repair, bytes) == 0);
        for (uint32_t missing = 0; missing <= k; missing = missing * 3 + 1)
            try_losses(coder, &b, missing);
        try_losses(coder, &b, k);
        for (uint32_t lacking = 1; lacking <= k && lacking <= 32; lacking *= 2)
            try_draft(coder, &b, k, lacking);
    }
    bc_coder_free(coder);
    free_block(&b);
}

static void try_wrong_numbers(void) {
    struct block b = new_block(10, 16);
    bc_coder *coder = NULL;
    CHECK(bc_coder_new(0, &coder) == BC_INVALID && bc_coder_new(1u << 20, &coder) == BC_INVALID);
    CHECK(bc_coder_new(10, NULL) == BC_INVALID && bc_coder_new(10, &coder) == BC_OK);
    b.missing[0] = 3;
    b.missing[1] = 3;
    CHECK(decode(coder, &b, 2, 4) == BC_INVALID);
    b.missing[1] = 10;
    CHECK(decode(coder, &b, 2, 4) == BC_INVALID);
    b.missing[1] = INT64_MIN;
    CHECK(decode(coder, &b, 2, 4) == BC_INVALID);
    b.missing[1] = 4;
    b.rows[2] = INT64_MAX;
    CHECK(decode(coder, &b, 2, 4) == BC_INVALID);
    b.rows[2] = 2;
    b.esis[3] = 9;
    CHECK(decode(coder, &b, 2, 4) == BC_INVALID);
    b.esis[3] = 1 << 24;
    CHECK(decode(coder, &b, 2, 4) == BC_INVALID);
    CHECK(bc_encode(coder, space, b.source, 160, 16, b.esis, 4, b.repair, 64) == BC_INVALID);
    CHECK(bc_encode(coder, space, b.source, 160, 15, b.esis, 1, b.repair, 15) == BC_INVALID);
    CHECK(bc_encode(NULL, space, b.source, 160, 16, b.esis, 1, b.repair, 16) == BC_INVALID);
    bc_coder_free(coder);
    bc_coder_free(NULL);
    free_block(&b);
}

static void try_crc(void) {
    uint8_t data[1500];
    fill(data, sizeof data);
    CHECK(bc_crc32(0, (const uint8_t *)"123456789", 9) == 0xCBF43926u);
    for (size_t cut = 0; cut <= sizeof data; cut += 37)
        CHECK(bc_crc32(bc_crc32(0, data, cut), data + cut, sizeof data - cut) == bc_crc32(0, data, sizeof data));
}

int main(int argc, char **argv) {
    const int rounds = argc > 1 ? atoi(argv[1]) : 1;
    bc_workspace *kept = NULL;
    CHECK(bc_workspace_new(NULL) == BC_INVALID && bc_workspace_new(&kept) == BC_OK);
    CHECK(bc_workspace_prepare(kept, 0) == BC_INVALID && bc_workspace_prepare(kept, 1u << 20) == BC_INVALID);
    CHECK(bc_workspace_prepare(NULL, 10) == BC_INVALID && bc_workspace_prepare(kept, 10) == BC_OK);
    for (int round = 0; round < rounds; round++) {
        space = round % 2 ? NULL : kept;
        const uint32_t sizes[] = {1, 2, 10, 11, 26, 101, 150, 300};
        for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++)
            try_codec(sizes[i], 8 * (1 + noise(40)));
        try_wrong_numbers();
        try_crc();
    }
    bc_workspace_free(kept);
    bc_workspace_free(NULL);
    puts("ok");
    return 0;
}
