/* What ctypes sees of the stub (tests/firmware_stub/stubhost.py): each call ends with -1 if the power went. */
#ifndef HOST_H
#define HOST_H

#include "core/boot.h"
#include "loader/loader.h"
#include "nor.h"

#define EXPORT __attribute__((visibility("default")))

enum { POWER_WENT = -1, OUTPUT_BYTES = 1 << 16 };

struct host {
    struct nor nor;
    struct flash flash;
    struct board board;
    struct port port;
    struct stub stub;
    struct loader loader;
    jmp_buf power_goes;
    uint32_t now_ms;
    uint32_t baud;
    uint32_t output_bytes;
    uint32_t stub_replacements;
    uint8_t output[OUTPUT_BYTES];
};

#endif
