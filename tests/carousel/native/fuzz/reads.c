/* libFuzzer: whatever datagrams wait, and however little room there is, reads stay inside their memory, and their pieces
 * are what was sent, in order.
 *
 * An input: byte 0 says how many bytes the buffer has (times 8), byte 1 how many one read takes at most, byte 2 how many
 * reads; then datagrams: a byte for the size, and so many bytes.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core.h"

static void demand(int is_true) {
    if (!is_true)
        abort();
}

static size_t send_all(int descriptor, const uint8_t *data, size_t size) {
    size_t sent = 0;
    for (size_t at = 0; at < size && sent < 64; sent++) {
        const size_t bytes = data[at] < size - at - 1 ? data[at] : size - at - 1;
        if (send(descriptor, data + at + 1, bytes, MSG_DONTWAIT) < 0)
            break;
        at += 1 + bytes;
    }
    return sent;
}

static void look_at(const bc_reads *reads, size_t buffer_bytes) {
    int64_t end = 0;
    demand(reads->count >= 0 && reads->count <= reads->room);
    for (int64_t i = 0; i < reads->count; i++) {
        const int64_t *piece = reads->pieces + 3 * i;
        demand(piece[0] == end && piece[1] >= 1 && piece[2] >= 1);
        end = piece[0] + piece[2];
    }
    demand((uint64_t)end <= buffer_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int ends[2];
    if (size < 3 || socketpair(AF_UNIX, SOCK_DGRAM, 0, ends))
        return 0;
    const size_t buffer_bytes = 8 * (size_t)data[0] + 1, largest_bytes = data[1], room = data[2] % 80;
    /* On the heap, each array of its own: so that the sanitizer sees one byte too many. */
    uint8_t *buffer = malloc(buffer_bytes);
    bc_reads reads = {.room = (int64_t)room, .pieces = malloc(room ? 3 * room * sizeof(int64_t) : 1)};
    size_t left = send_all(ends[0], data + 3, size - 3);
    for (int calls = 0; calls < 100; calls++) {
        if (bc_read(ends[1], buffer, buffer_bytes, largest_bytes, &reads) != BC_OK) {
            demand(largest_bytes == 0);
            break;
        }
        look_at(&reads, buffer_bytes);
        if (!reads.has_more || !room || largest_bytes > buffer_bytes)
            break;
        demand(calls <= (int)left);
    }
    if (largest_bytes && largest_bytes <= buffer_bytes && room)
        demand(!reads.has_more && (uint64_t)reads.unreadable <= left);
    demand(bc_read(-1, buffer, buffer_bytes, 1, &reads) == BC_OK && reads.count == 0);
    free(reads.pieces);
    free(buffer);
    close(ends[0]);
    close(ends[1]);
    return 0;
}
