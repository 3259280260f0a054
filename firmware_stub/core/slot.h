/* Is the image in a slot whole, ours, and new enough? */
#ifndef SLOT_H
#define SLOT_H

#include "stub.h"

/* Called while a long read goes on, so that a port can say so; NULL: nobody is told. */
typedef void slot_progress(const struct stub *stub, uint32_t done_bytes, uint32_t total_bytes);

/* Check header, key, hardware, counter against the floor, and the image's SHA-256. `header` is filled in. */
enum failure slot_inspect(const struct stub *stub, unsigned place, uint32_t floor, struct signed_header *header);

/* The same of a header alone. */
enum failure slot_check_header(const struct stub *stub, const struct signed_header *header, uint32_t floor);

void slot_hash(const struct stub *stub, uint32_t offset, uint32_t length, uint8_t digest[32], slot_progress *tell);

uint32_t slot_image_offset(const struct stub *stub, unsigned place);
uint32_t slot_image_capacity(const struct stub *stub, unsigned place);

#endif
