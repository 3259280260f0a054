/* The kernels for strips of BC_LANES * 32 bytes; included once for each width, so that sums stay in registers. */
#define BC_JOIN2(a, b) a##_##b
#define BC_JOIN(a, b) BC_JOIN2(a, b)
#define BC_STRIP (BC_LANES * BC_LANE)
#define BC_VECTORS (BC_STRIP / BC_VECTOR)
/* What is read of an input some operations ahead: symbols lie on more pages than a processor knows by heart. */
#define BC_AHEAD 4
/* The same symbol is read (0) or written (1) again with the next strip: no cache can foresee these jumps by itself. */
#define BC_NEXT_STRIP(symbol, is_written) \
    for (unsigned at = 0; at < BC_STRIP; at += 64) \
    __builtin_prefetch((const uint8_t *)(symbol) + BC_STRIP + at, is_written, 2)
#define BC_EACH(v) _Pragma("GCC unroll 16") for (unsigned v = 0; v < BC_VECTORS; v++)

BC_INLINE const uint16_t *BC_JOIN(add_rows, BC_LANES)(const uint16_t *row, unsigned count, const uint8_t *work,
                                                      bc_vector *sum) {
    for (const uint16_t *end = row + count; row < end; row++) {
        const bc_vector *from = (const bc_vector *)(work + (size_t)*row * BC_STRIP);
        BC_EACH(v) sum[v] ^= from[v];
    }
    return row;
}

/* Fetch the input of this operation, if it has one, for later; returns the next operation. */
BC_INLINE const uint16_t *BC_JOIN(foresee, BC_LANES)(const uint16_t *op, const uint8_t *const *inputs, size_t offset) {
    if (op[1])
        for (unsigned at = 0; at < BC_STRIP; at += 64)
            __builtin_prefetch(inputs[op[1] - 1] + offset + at);
    return op + 3 + op[2];
}

static void BC_JOIN(rows, BC_LANES)(const uint16_t *op, const uint16_t *end, uint8_t *work,
                                    const uint8_t *const *inputs, size_t offset) {
    const uint16_t *ahead = op;
    for (unsigned i = 0; i < BC_AHEAD && ahead < end; i++)
        ahead = BC_JOIN(foresee, BC_LANES)(ahead, inputs, offset);
    while (op < end) {
        if (ahead < end)
            ahead = BC_JOIN(foresee, BC_LANES)(ahead, inputs, offset);
        bc_vector *to = (bc_vector *)(work + (size_t)op[0] * BC_STRIP);
        bc_vector sum[BC_VECTORS];
        if (op[1]) {
            const bc_unaligned *from = (const bc_unaligned *)(inputs[op[1] - 1] + offset);
            BC_EACH(v) sum[v] = from[v];
            BC_NEXT_STRIP(from, 0);
        } else {
            BC_EACH(v) sum[v] = (bc_vector){0};
        }
        op = BC_JOIN(add_rows, BC_LANES)(op + 3, op[2], work, sum);
        BC_EACH(v) to[v] = sum[v];
    }
}

static void BC_JOIN(out, BC_LANES)(const uint16_t *op, const uint16_t *end, const uint8_t *work,
                                   uint8_t *const *outputs, size_t offset) {
    while (op < end) {
        bc_unaligned *to = (bc_unaligned *)(outputs[op[0]] + offset);
        bc_vector sum[BC_VECTORS];
        BC_EACH(v) sum[v] = (bc_vector){0};
        op = BC_JOIN(add_rows, BC_LANES)(op + 3, op[2], work, sum);
        BC_EACH(v) to[v] = sum[v];
        BC_NEXT_STRIP(to, 1);
    }
}

static void BC_JOIN(hdpc, BC_LANES)(const uint8_t *pair, uint32_t count, const uint8_t *work, uint8_t *buckets) {
    bc_vector y[BC_VECTORS];
    BC_EACH(v) y[v] = (bc_vector){0};
    for (uint32_t j = 0; j < count; j++) {
        const bc_vector *from = (const bc_vector *)(work + (size_t)j * BC_STRIP);
        bc_vector *bucket = (bc_vector *)(buckets + (size_t)pair[j] * BC_STRIP);
        BC_EACH(v) {
            y[v] = bc_double(y[v]) ^ from[v];
            bucket[v] ^= y[v];
        }
    }
}

#undef BC_JOIN2
#undef BC_JOIN
#undef BC_STRIP
#undef BC_VECTORS
#undef BC_NEXT_STRIP
#undef BC_AHEAD
#undef BC_EACH
#undef BC_LANES
