/* An arena: many arrays that end together.
 *
 * They lie in the workspace that a thread keeps from call to call, so that no call fetches its pages anew; what does
 * not fit there, or all where there is none, is allocated by itself.
 */
#ifndef BC_ARENA_H
#define BC_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct bc_workspace {
    uint8_t *bytes;
    size_t size, used;
};

struct bc_arena {
    struct bc_workspace *space;  /* or null */
    struct bc_arena_chunk *chunks;
};

/* Memory for count items of size bytes, aligned to 64; null when there is none. */
void *bc_arena_array(struct bc_arena *arena, size_t count, size_t size);        /* zeroed */
void *bc_arena_unset_array(struct bc_arena *arena, size_t count, size_t size);  /* to be written before it is read */
void bc_arena_free(struct bc_arena *arena);

#define BC_ARRAY(arena, count, type) ((type *)bc_arena_array((arena), (count), sizeof(type)))
#define BC_UNSET_ARRAY(arena, count, type) ((type *)bc_arena_unset_array((arena), (count), sizeof(type)))

/* Begin work on a block of K symbols: what earlier work left in the workspace is gone. Null: there is no workspace. */
struct bc_arena bc_arena_of(struct bc_workspace *space, uint32_t k);

#endif
