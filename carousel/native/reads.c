/* What waits in a socket, in one call: a system call a read, and nothing else. Where a network device coalesces little,
 * a wake-up has a read for each packet. settop/link/reads.py says what is done with it. */
#if defined(__linux__)
#define _GNU_SOURCE  /* struct msghdr's control messages */
#include <string.h>
#include <sys/socket.h>

#include "core.h"

#define SOL_UDP_LEVEL 17       /* linux/udp.h */
#define UDP_GRO_KIND 104
#define SO_RXQ_OVFL_KIND 40    /* asm-generic/socket.h */

union control {
    struct cmsghdr header;     /* for its alignment */
    uint8_t bytes[128];
};

static int64_t number_in(const struct cmsghdr *c) {
    int32_t number;
    if (c->cmsg_len < CMSG_LEN(sizeof number))
        return -1;
    memcpy(&number, CMSG_DATA(c), sizeof number);
    return number;
}

/* Read once. Returns its bytes; -1 if nothing waits, or the link has an error: it says nothing of the next read. */
static int64_t read_once(int descriptor, uint8_t *into, size_t room, int64_t *segment, bc_reads *reads) {
    union control control;
    struct iovec part = {.iov_base = into, .iov_len = room};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    const ssize_t size = recvmsg(descriptor, &message, MSG_DONTWAIT);
    if (size < 0)
        return -1;
    *segment = size;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level == SOL_UDP_LEVEL && c->cmsg_type == UDP_GRO_KIND)
            *segment = number_in(c);
        else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL_KIND)
            reads->drops = number_in(c) & 0xFFFFFFFF;
    }
    if (message.msg_flags & MSG_TRUNC || size == 0 || *segment < 1) {
        reads->unreadable++;
        return 0;
    }
    return size;
}

static void end_piece(bc_reads *reads, int64_t start, int64_t stride, int64_t end) {
    if (end == start)
        return;
    int64_t *piece = reads->pieces + 3 * reads->count++;
    piece[0] = start;
    piece[1] = stride;
    piece[2] = end - start;
}

int bc_read(int descriptor, uint8_t *buffer, size_t buffer_bytes, size_t largest_bytes, bc_reads *reads) {
    if (!reads || reads->room < 0 || !reads->pieces || !buffer || !largest_bytes || buffer_bytes > SIZE_MAX / 2)
        return BC_INVALID;
    int64_t start = 0, used = 0, stride = 0;
    reads->count = 0;
    reads->has_more = 1;
    for (int64_t i = 0; i < reads->room && largest_bytes <= buffer_bytes - (size_t)used; i++) {
        int64_t segment = 0;
        const int64_t size = read_once(descriptor, buffer + used, largest_bytes, &segment, reads);
        if (size < 0) {
            reads->has_more = 0;
            break;
        }
        if (size == 0)
            continue;
        if (segment != stride || (used - start) % stride) {
            end_piece(reads, start, stride, used);
            start = used;
            stride = segment;
        }
        used += size;
    }
    end_piece(reads, start, stride, used);
    return BC_OK;
}
#else
#include "core.h"

int bc_read(int descriptor, uint8_t *buffer, size_t buffer_bytes, size_t largest_bytes, bc_reads *reads) {
    (void)descriptor, (void)buffer, (void)buffer_bytes, (void)largest_bytes, (void)reads;
    return BC_INVALID;
}
#endif
