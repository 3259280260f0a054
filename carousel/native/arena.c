#include "arena.h"

#include <stdint.h>
#include <stdlib.h>

#define ALIGNMENT 64u

struct bc_arena_chunk {
    struct bc_arena_chunk *next;
};

void *bc_arena_array(struct bc_arena *arena, size_t count, size_t size) {
    if (count > (SIZE_MAX / 4) / size)
        return NULL;
    struct bc_arena_chunk *chunk = calloc(1, sizeof *chunk + ALIGNMENT + count * size);
    if (!chunk)
        return NULL;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    const uintptr_t first = (uintptr_t)(chunk + 1);
    return (void *)((first + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1));
}

void bc_arena_free(struct bc_arena *arena) {
    while (arena->chunks) {
        struct bc_arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        free(chunk);
    }
}
