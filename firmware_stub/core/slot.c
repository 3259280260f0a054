#include "slot.h"

#include <string.h>

#include "crc32.h"
#include "sha256.h"

enum { PIECE_BYTES = 256, TELL_EVERY_BYTES = 1 << 16 };

uint32_t slot_image_offset(const struct stub *stub, unsigned place)
{
    return stub->board->map.slots[place].offset + stub->flash->sector_bytes;
}

uint32_t slot_image_capacity(const struct stub *stub, unsigned place)
{
    return stub->board->map.slots[place].size - stub->flash->sector_bytes;
}

void slot_hash(const struct stub *stub, uint32_t offset, uint32_t length, uint8_t digest[32], slot_progress *tell)
{
    struct sha256 sha;
    uint8_t piece[PIECE_BYTES];

    sha256_init(&sha);
    for (uint32_t done = 0; done < length;) {
        uint32_t now = length - done < PIECE_BYTES ? length - done : PIECE_BYTES;
        stub->flash->read(stub->flash->context, offset + done, piece, now);
        sha256_update(&sha, piece, now);
        done += now;
        if (tell && done % TELL_EVERY_BYTES == 0) {
            tell(stub, done, length);
        }
    }
    sha256_final(&sha, digest);
}

static bool is_all_zero(const uint8_t *bytes, uint32_t length)
{
    for (uint32_t index = 0; index < length; index++) {
        if (bytes[index] != 0) {
            return false;
        }
    }
    return true;
}

static bool is_well_formed(const struct signed_header *header)
{
    return memcmp(header->magic, SIGNED_HEADER_MAGIC, sizeof header->magic) == 0
        && header->layout == SIGNED_HEADER_LAYOUT && header->header_size == SIGNED_HEADER_HEADER_SIZE
        && header->flags == 0 && header->hardware_oui >> 24 == 0
        && is_all_zero(header->reserved, sizeof header->reserved)
        && header->crc == crc32(0, header, HEADER_CRC_OFFSET);
}

/* The stub has no room for Ed25519: who flashes checks the signature, the stub the key it was made with. */
static bool is_of_our_key(const struct board *board, const struct signed_header *header)
{
    struct sha256 sha;
    uint8_t digest[SHA256_BYTES];

    if (is_all_zero(board->public_key, sizeof board->public_key)) {
        return true;
    }
    sha256_init(&sha);
    sha256_update(&sha, board->public_key, sizeof board->public_key);
    sha256_final(&sha, digest);
    return memcmp(digest, header->key_id, sizeof header->key_id) == 0;
}

static bool is_for_our_hardware(const struct hardware *ours, const struct signed_header *header)
{
    return header->hardware_oui == ours->oui && header->hardware_model == ours->model
        && (header->hardware_version == ANY_VERSION || header->hardware_version == ours->version);
}

enum failure slot_check_header(const struct stub *stub, const struct signed_header *header, uint32_t floor)
{
    if (!is_well_formed(header)) {
        return FAILURE_HEADER_DAMAGED;
    }
    if (!is_of_our_key(stub->board, header)) {
        return FAILURE_SIGNATURE;
    }
    if (!is_for_our_hardware(&stub->board->hardware, header)) {
        return FAILURE_HARDWARE;
    }
    return header->security_counter < floor ? FAILURE_SECURITY_COUNTER : FAILURE_NONE;
}

enum failure slot_inspect(const struct stub *stub, unsigned place, uint32_t floor, struct signed_header *header)
{
    const struct flash *flash = stub->flash;
    uint8_t digest[SHA256_BYTES];

    flash->read(flash->context, stub->board->map.slots[place].offset, header, sizeof *header);
    enum failure failure = slot_check_header(stub, header, floor);
    if (failure != FAILURE_NONE) {
        return failure;
    }
    if (header->image_size > slot_image_capacity(stub, place)) {
        return FAILURE_IMAGE_DAMAGED;
    }
    slot_hash(stub, slot_image_offset(stub, place), (uint32_t)header->image_size, digest, 0);
    return memcmp(digest, header->image_sha256, sizeof digest) == 0 ? FAILURE_NONE : FAILURE_IMAGE_DAMAGED;
}
