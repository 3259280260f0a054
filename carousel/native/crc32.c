/* CRC-32/ISO-HDLC (zlib's): by carry-less multiplication, by the CRC instructions of ARMv8, or by tables. */
#include "crc32.h"

#include <stdatomic.h>
#include <string.h>

#include "core.h"
#include "tables.h"
#include "target.h"

static uint32_t step(uint32_t crc, const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++)
        crc = crc >> 8 ^ bc_crc_tables[(crc ^ data[i]) & 0xff];
    return crc;
}

uint32_t bc_crc_plain(uint32_t crc, const uint8_t *data, size_t size) {
    crc = ~crc;
    for (; size >= 8; data += 8, size -= 8) {
        const uint32_t *t = bc_crc_tables;
        const uint32_t next = data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
        const uint32_t first = crc ^ next;
        crc = t[7 * 256 + (first & 0xff)] ^ t[6 * 256 + (first >> 8 & 0xff)] ^ t[5 * 256 + (first >> 16 & 0xff)] ^
              t[4 * 256 + (first >> 24)] ^ t[3 * 256 + data[4]] ^ t[2 * 256 + data[5]] ^ t[256 + data[6]] ^ t[data[7]];
    }
    return ~step(crc, data, size);
}

#if defined(__x86_64__)
#include <immintrin.h>

BC_TARGET_BEGIN("pclmul,sse4.1")

/* x to a power, modulo the polynomial, both reflected: what folding over 64 and over 16 octets multiplies by, and the
 * constants of the reduction (Gopal et al., "Fast CRC Computation Using PCLMULQDQ Instruction", Intel 2009). */
#define FOLD_64_LOW 0x0154442bd4
#define FOLD_64_HIGH 0x01c6e41596
#define FOLD_16_LOW 0x01751997d0
#define FOLD_16_HIGH 0x00ccaa009e
#define FOLD_8 0x0163cd6124
#define POLYNOMIAL 0x01db710641
#define QUOTIENT 0x01f7011641

static inline __m128i fold(__m128i value, __m128i by, __m128i next) {
    return _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(value, by, 0x00), _mm_clmulepi64_si128(value, by, 0x11)),
                         next);
}

static uint32_t reduce(__m128i x) {
    const __m128i low = _mm_setr_epi32(~0, 0, ~0, 0);
    const __m128i by_16 = _mm_set_epi64x(FOLD_16_HIGH, FOLD_16_LOW), by_8 = _mm_set_epi64x(0, FOLD_8);
    const __m128i barrett = _mm_set_epi64x(QUOTIENT, POLYNOMIAL);
    x = _mm_xor_si128(_mm_srli_si128(x, 8), _mm_clmulepi64_si128(x, by_16, 0x10));
    x = _mm_xor_si128(_mm_srli_si128(x, 4), _mm_clmulepi64_si128(_mm_and_si128(x, low), by_8, 0x00));
    __m128i y = _mm_clmulepi64_si128(_mm_and_si128(x, low), barrett, 0x10);
    y = _mm_clmulepi64_si128(_mm_and_si128(y, low), barrett, 0x00);
    return (uint32_t)_mm_extract_epi32(_mm_xor_si128(x, y), 1);
}

static uint32_t crc_pclmul(uint32_t crc, const uint8_t *data, size_t size) {
    if (size < 64)
        return bc_crc_plain(crc, data, size);
    const __m128i by_64 = _mm_set_epi64x(FOLD_64_HIGH, FOLD_64_LOW);
    const __m128i by_16 = _mm_set_epi64x(FOLD_16_HIGH, FOLD_16_LOW);
    const __m128i *from = (const __m128i *)data;
    __m128i a = _mm_xor_si128(_mm_loadu_si128(from), _mm_cvtsi32_si128((int)~crc));
    __m128i b = _mm_loadu_si128(from + 1), c = _mm_loadu_si128(from + 2), d = _mm_loadu_si128(from + 3);
    for (from += 4, size -= 64; size >= 64; from += 4, size -= 64) {
        a = fold(a, by_64, _mm_loadu_si128(from));
        b = fold(b, by_64, _mm_loadu_si128(from + 1));
        c = fold(c, by_64, _mm_loadu_si128(from + 2));
        d = fold(d, by_64, _mm_loadu_si128(from + 3));
    }
    a = fold(fold(fold(a, by_16, b), by_16, c), by_16, d);
    for (; size >= 16; from++, size -= 16)
        a = fold(a, by_16, _mm_loadu_si128(from));
    return bc_crc_plain(~reduce(a), (const uint8_t *)from, size);
}

BC_TARGET_END

static bc_crc_kernel *fast_kernel(void) {
    return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1") ? crc_pclmul : NULL;
}

#elif defined(__aarch64__) && defined(__linux__)
#include <arm_acle.h>
#include <sys/auxv.h>

#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif

#if defined(__clang__)
BC_TARGET_BEGIN("crc")
#else
BC_TARGET_BEGIN("+crc")
#endif

static uint32_t crc_armv8(uint32_t crc, const uint8_t *data, size_t size) {
    crc = ~crc;
    for (; size >= 8; data += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, data, sizeof word);
        crc = __crc32d(crc, word);
    }
    for (; size; size--)
        crc = __crc32b(crc, *data++);
    return ~crc;
}

BC_TARGET_END

static bc_crc_kernel *fast_kernel(void) {
    return getauxval(AT_HWCAP) & HWCAP_CRC32 ? crc_armv8 : NULL;
}
#else
static bc_crc_kernel *fast_kernel(void) {
    return NULL;
}
#endif

/* A wrong constant must not pass silently: judged against the tables, at each length up to two folds. */
static int counts_rightly(bc_crc_kernel *kernel) {
    uint8_t data[200];
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * i + 7 * i);
    for (size_t size = 0; size < sizeof data - 1; size++)
        if (kernel(0x12345678, data + 1, size) != bc_crc_plain(0x12345678, data + 1, size))
            return 0;
    return 1;
}

static _Atomic(bc_crc_kernel *) best;

bc_crc_kernel *bc_crc_best(void) {
    bc_crc_kernel *kernel = atomic_load_explicit(&best, memory_order_acquire);
    if (!kernel) {
        kernel = fast_kernel();
        if (!kernel || !counts_rightly(kernel))
            kernel = bc_crc_plain;
        atomic_store_explicit(&best, kernel, memory_order_release);
    }
    return kernel;
}

uint32_t bc_crc32(uint32_t crc, const uint8_t *data, size_t size) {
    return bc_crc_best()(crc, data, size);
}
