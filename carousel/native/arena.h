/* An arena: many arrays that end together. A failed allocation is remembered. */
#ifndef BC_ARENA_H
#define BC_ARENA_H

#include <stddef.h>

struct bc_arena {
    struct bc_arena_chunk *chunks;
};

/* Zeroed memory for count items of size bytes, aligned to 64; null when there is none. */
void *bc_arena_array(struct bc_arena *arena, size_t count, size_t size);
void bc_arena_free(struct bc_arena *arena);

#define BC_ARRAY(arena, count, type) ((type *)bc_arena_array((arena), (count), sizeof(type)))

#endif
