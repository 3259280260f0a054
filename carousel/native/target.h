/* Functions between BC_TARGET_BEGIN("avx2") and BC_TARGET_END may use these instructions, whatever the build allows. */
#ifndef BC_TARGET_H
#define BC_TARGET_H

#define BC_PRAGMA(x) _Pragma(#x)
#if defined(__clang__)
#define BC_TARGET_BEGIN(features) \
    BC_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define BC_TARGET_END BC_PRAGMA(clang attribute pop)
#else
#define BC_TARGET_BEGIN(features) BC_PRAGMA(GCC push_options) BC_PRAGMA(GCC target(features))
#define BC_TARGET_END BC_PRAGMA(GCC pop_options)
#endif

#endif
