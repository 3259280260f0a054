/* The native core as Python sees it. cffi reads the same declarations: keep them plain. */
#ifndef BC_CORE_H
#define BC_CORE_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define BC_API
#else
#define BC_API __attribute__((visibility("default")))
#endif

enum bc_status {
    BC_OK = 0,
    BC_DEPENDENT = 1, /* too few symbols, or dependent ones: more are needed; nothing was written */
    BC_MANY_WRONG = 2, /* no one symbol explains what does not add up */
    BC_INVALID = -1,  /* a number that does not fit; nothing was written */
    BC_NO_MEMORY = -2
};

/* Which declarations it was built with: a library of other sources is refused. */
BC_API uint32_t bc_abi(void);

/* The kernels that this processor runs: "avx2", "neon", "plain" ... bc_use_kernels picks others by name, for tests. */
BC_API const char *bc_kernels_name(void);
BC_API int bc_use_kernels(const char *name);

/* RaptorQ (RFC 6330). A coder serves blocks of K symbols, and any number of threads at once. */
typedef struct bc_coder bc_coder;
BC_API int bc_coder_new(uint32_t k, bc_coder **coder);
BC_API void bc_coder_free(bc_coder *coder);

/* Memory for what comes and goes within a call, kept from one to the next; one call at a time may have it. Where null
 * is given instead, a call gets its memory from the system, and gives it back. */
typedef struct bc_workspace bc_workspace;
BC_API int bc_workspace_new(bc_workspace **space);
/* Fetch the memory now that work on blocks of K symbols is going to need, so that the first block takes no longer. */
BC_API int bc_workspace_prepare(bc_workspace *space, uint32_t k);
BC_API void bc_workspace_free(bc_workspace *space);

/* Write the symbols with these ESIs to out, count * symbol_size bytes. */
BC_API int bc_encode(bc_coder *coder, bc_workspace *space, const uint8_t *block, size_t block_bytes,
                     size_t symbol_size, const int64_t *esis, size_t count, uint8_t *out, size_t out_bytes);

/* Fill in the missing source symbols of a block; row repair_rows[i] of repair is the symbol with ESI repair_esis[i]. */
BC_API int bc_decode(bc_coder *coder, bc_workspace *space, uint8_t *block, size_t block_bytes, size_t symbol_size,
                     const int64_t *missing, size_t missing_count, const uint8_t *repair, size_t repair_bytes,
                     const int64_t *repair_rows, const int64_t *repair_esis, size_t repair_count);

/* Decode a block as far as it goes while some symbols, at most 32, still lack. It is given what bc_decode is given, and
 * `coming`, the ESIs of symbols, source or repair, that may come yet; other missing source symbols are written to the
 * block, and mean nothing before it is finished. bc_draft_finish takes symbols that were coming: source symbols at
 * their places of the block, repair symbols in row late_rows[i] of repair. A draft is never written to;
 * once it has finished a block, that one is done. */
typedef struct bc_draft bc_draft;
BC_API int bc_draft_new(bc_coder *coder, bc_workspace *space, uint8_t *block, size_t block_bytes, size_t symbol_size,
                        const int64_t *missing, size_t missing_count, const uint8_t *repair, size_t repair_bytes,
                        const int64_t *repair_rows, const int64_t *repair_esis, size_t repair_count,
                        const int64_t *coming, size_t coming_count, bc_draft **draft);
BC_API int bc_draft_finish(const bc_draft *draft, bc_workspace *space, uint8_t *block, size_t block_bytes,
                           const uint8_t *repair, size_t repair_bytes, const int64_t *late_rows,
                           const int64_t *late_esis, size_t count);
BC_API void bc_draft_free(bc_draft *draft);

/* Find the symbol that is wrong among more of them than are needed. Writes the ESIs that it may be to suspects, at most
 * room, and how many to *count; none: all symbols agree. BC_DEPENDENT: there are too few to tell. */
BC_API int bc_find_wrong(bc_coder *coder, bc_workspace *space, const uint8_t *block, size_t block_bytes,
                         size_t symbol_size, const int64_t *missing, size_t missing_count, const uint8_t *repair,
                         size_t repair_bytes, const int64_t *repair_rows, const int64_t *repair_esis,
                         size_t repair_count, int64_t *suspects, size_t room, size_t *count);

/* CRC-32/ISO-HDLC (zlib's), to be continued from a previous value; 0 begins. */
BC_API uint32_t bc_crc32(uint32_t crc, const uint8_t *data, size_t size);

/* The take of a batch: carousel/take/landing.py says what a landing is, carousel/take/taker.py what is done. */
typedef struct {
    uint8_t prefix[20];          /* of its packets */
    uint32_t symbol_size;        /* T */
    uint32_t blocks;             /* Z */
    uint32_t repair_per_block;   /* R */
    uint32_t esi_bits;           /* of a payload ID; the SBN has the others */
    const int32_t *block_sizes;  /* Z: K of each block */
    const int32_t *first_rows;   /* Z: the row of each block's first source symbol */
    int64_t source_rows;         /* Kt */
    int64_t held_rows;           /* Kt + Z * R */
    int64_t slots;
    uint8_t *source, *repair;    /* Kt x T, slots x T */
    uint8_t *held;               /* held_rows */
    int32_t *source_held, *repair_held, *wanted;  /* Z */
    int32_t *slot_sbn, *slot_esi, *free_slots;    /* slots */
    int32_t *free_count;         /* 1 */
} bc_target;

typedef struct {
    int64_t taken, duplicates, ignored, corrupt, out_of_range, no_room, unmatched, filled;
    int64_t room;                /* given: packets for which the arrays below have room */
    int64_t *rows;               /* room: of each symbol taken */
    uint8_t *owners;             /* room: and its target */
    int64_t *unmatched_packets;  /* 2 * room: offset and size */
    int32_t *filled_blocks;      /* 2 * room: target and SBN */
    int64_t heard[32];           /* packets of each target, whatever became of them */
} bc_taken;

/* pieces: count times (offset, stride, size). BC_INVALID where one lies outside of the buffer or there is no room. */
BC_API int bc_take(bc_target *targets, size_t target_count, const uint8_t *buffer, size_t buffer_bytes,
                   const int64_t *pieces, size_t count, bc_taken *taken);

/* What waits in a socket, side by side in one buffer. It never waits; Linux alone, BC_INVALID elsewhere. */
typedef struct {
    int64_t room;        /* given: reads of one call, and pieces that fit below */
    int64_t *pieces;     /* 3 * room: offset, stride, size; reads of packets of one size are one piece */
    int64_t count;       /* pieces */
    int64_t has_more;    /* it ended since the room or the buffer did */
    int64_t unreadable;  /* counted on: datagrams without content, or larger than a read */
    int64_t drops;       /* the last count of SO_RXQ_OVFL, if there was one */
} bc_reads;

/* largest_bytes: of one read. A packet's size is a read's, or what UDP_GRO tells. */
BC_API int bc_read(int descriptor, uint8_t *buffer, size_t buffer_bytes, size_t largest_bytes, bc_reads *reads);

#endif
