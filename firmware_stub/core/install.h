/* Put an image into a slot so that a power cut at any moment leaves the old or the new one to boot.
 *
 * append WRITING; erase the header; the body, each sector erased just in time; read back and hash; the header last;
 * append STAGED, then TRIAL. The stub itself goes through a free slot's body, which no record calls bootable. */
#ifndef INSTALL_H
#define INSTALL_H

#include "slot.h"
#include "stub.h"

enum { INSTALLED = 0, INSTALL_GOES_ON = 0x100, INSTALL_GAP = 0x101 };

/* Each returns INSTALLED or GOES_ON, GAP (look at `offset`: that is what is wanted), or an enum refusal. */

/* `place` may be PLACE_FREE_SLOT. `is_held`: the very image is confirmed there, nothing was begun. */
int install_begin(struct stub *stub, unsigned place, const struct signed_header *header, bool *is_held);
int install_begin_stub(struct stub *stub, uint32_t size, const uint8_t sha256[32]);

int install_write(struct stub *stub, uint32_t offset, const uint8_t *data, uint32_t length);

/* Take what the flash already holds, from `offset` up to `to`, as written; the hash at the end judges. */
int install_skip(struct stub *stub, uint32_t offset, uint32_t to);

/* Read back, hash, and put on trial. `digest` is what was read. For a stub: it can now be replaced. */
int install_finish(struct stub *stub, uint8_t digest[32], slot_progress *tell);

#endif
