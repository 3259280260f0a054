#include "arena.h"

#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "kernels.h"
#include "params.h"

#define ALIGNMENT 64u
/* What a call takes of a workspace: the rows of a strip, and a plan. Pages that it does not touch take no memory; most
 * decodings touch less than what is prepared, drafts of nearly all symbols touch the rest. */
#define STRIP_BYTES ((size_t)5 << 18)
#define BYTES_A_SYMBOL ((size_t)512)
#define PREPARED_A_SYMBOL ((size_t)256)

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BC_WATCHED 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define BC_WATCHED 1
#endif
#if defined(BC_WATCHED)
#include <sanitizer/asan_interface.h>
#define HIDE(bytes, size) ASAN_POISON_MEMORY_REGION((bytes), (size))
#define SHOW(bytes, size) (ASAN_UNPOISON_MEMORY_REGION((bytes), (size)), memset((bytes), 0xA5, (size)))
#define GAP ALIGNMENT
#else
#define HIDE(bytes, size) ((void)0)
#define SHOW(bytes, size) ((void)0)
#define GAP 0u
#endif

struct bc_arena_chunk {
    struct bc_arena_chunk *next;
};

static void *from_workspace(struct bc_workspace *space, size_t bytes) {
    const size_t whole = (bytes + GAP + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (!space || whole > space->size - space->used)
        return NULL;
    uint8_t *found = space->bytes + space->used;
    space->used += whole;
    SHOW(found, bytes);
    return found;
}

static void *from_system(struct bc_arena *arena, size_t bytes) {
    struct bc_arena_chunk *chunk = malloc(sizeof *chunk + ALIGNMENT + bytes);
    if (!chunk)
        return NULL;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    const uintptr_t first = (uintptr_t)(chunk + 1);
    return (void *)((first + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1));
}

void *bc_arena_unset_array(struct bc_arena *arena, size_t count, size_t size) {
    if (count > (SIZE_MAX / 4) / size)
        return NULL;
    void *found = from_workspace(arena->space, count * size);
    return found ? found : from_system(arena, count * size);
}

void *bc_arena_array(struct bc_arena *arena, size_t count, size_t size) {
    void *found = bc_arena_unset_array(arena, count, size);
    return found ? memset(found, 0, count * size) : NULL;
}

void bc_arena_free(struct bc_arena *arena) {
    while (arena->chunks) {
        struct bc_arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        free(chunk);
    }
}

int bc_workspace_new(bc_workspace **space) {
    if (!space)
        return BC_INVALID;
    *space = calloc(1, sizeof **space);
    return *space ? BC_OK : BC_NO_MEMORY;
}

void bc_workspace_free(bc_workspace *space) {
    if (space)
        free(space->bytes);
    free(space);
}

static void fit(struct bc_workspace *space, uint32_t k) {
    const size_t size = STRIP_BYTES + k * BYTES_A_SYMBOL;
    if (space->size >= size)
        return;
    free(space->bytes);
    space->bytes = aligned_alloc(ALIGNMENT, size);
    space->size = space->bytes ? size : 0;
}

int bc_workspace_prepare(bc_workspace *space, uint32_t k) {
    if (!space || k < 1 || k > BC_MAX_K)
        return BC_INVALID;
    fit(space, k);
    if (!space->size)
        return BC_NO_MEMORY;
    SHOW(space->bytes, space->size);
    memset(space->bytes, 0, STRIP_BYTES + k * PREPARED_A_SYMBOL);
    bc_kernels();
    return BC_OK;
}

struct bc_arena bc_arena_of(struct bc_workspace *space, uint32_t k) {
    if (space) {
        fit(space, k);
        space->used = 0;
        HIDE(space->bytes, space->size);
    }
    return (struct bc_arena){.space = space};
}
