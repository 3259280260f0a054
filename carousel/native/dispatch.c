/* Which kernels run here: found once, proven against plain C before they are used. */
#include <stdatomic.h>
#include <string.h>

#include "abi.h"
#include "core.h"
#include "kernels.h"
#include "tables.h"

static const struct bc_kernels *const candidates[] = {
#if defined(__x86_64__)
    &bc_kernels_gfni, &bc_kernels_avx2, &bc_kernels_ssse3,
#elif defined(__aarch64__) || defined(__ARM_NEON)
    &bc_kernels_neon,
#endif
    &bc_kernels_plain,
};
#define CANDIDATES (sizeof candidates / sizeof *candidates)

static int runs_here(const struct bc_kernels *kernels) {
#if defined(__x86_64__)
    if (kernels == &bc_kernels_gfni)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("gfni");
    if (kernels == &bc_kernels_avx2)
        return __builtin_cpu_supports("avx2");
    if (kernels == &bc_kernels_ssse3)
        return __builtin_cpu_supports("ssse3");
#endif
    (void)kernels;
    return 1;
}

/* All 256 coefficients times all 256 octets: a wrong bit in a table or an instruction must not become a wrong image. */
static int multiplies_rightly(const struct bc_kernels *kernels) {
    uint8_t octets[256], products[256];
    const uint8_t *in[1] = {octets};
    uint8_t *out[1] = {products};
    for (unsigned i = 0; i < 256; i++)
        octets[i] = (uint8_t)i;
    for (unsigned c = 0; c < 256; c++) {
        const uint8_t coefficient = (uint8_t)c;
        const struct bc_gf_job job = {1, 1, &coefficient, in, out, 8};
        kernels->gf(&job);
        for (unsigned i = 0; i < 256; i++)
            if (products[i] != (i && c ? bc_oct_exp[bc_oct_log[i] + bc_oct_log[c]] : 0))
                return 0;
    }
    return 1;
}

static _Atomic(const struct bc_kernels *) chosen;

const struct bc_kernels *bc_kernels(void) {
    const struct bc_kernels *kernels = atomic_load_explicit(&chosen, memory_order_acquire);
    for (unsigned i = 0; !kernels && i < CANDIDATES; i++) {
        if (runs_here(candidates[i]) && multiplies_rightly(candidates[i])) {
            kernels = candidates[i];
            atomic_store_explicit(&chosen, kernels, memory_order_release);
        }
    }
    return kernels ? kernels : &bc_kernels_plain;
}

uint32_t bc_abi(void) {
    return BC_ABI;
}

const char *bc_kernels_name(void) {
    return bc_kernels()->name;
}

int bc_use_kernels(const char *name) {
    for (unsigned i = 0; name && i < CANDIDATES; i++) {
        if (strcmp(candidates[i]->name, name) == 0 && runs_here(candidates[i])) {
            atomic_store_explicit(&chosen, candidates[i], memory_order_release);
            return BC_OK;
        }
    }
    return BC_INVALID;
}
