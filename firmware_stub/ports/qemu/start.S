/* Power-on: the CPU starts at address 0 in SVC mode, ARM state, interrupts masked. */
#include "core/version.h"
#include "board.h"

    .syntax unified
    .arch armv7-a
    .arch_extension virt
    .arm

    .section .start, "ax"
    .global _start
_start:
    b       reset
    .rept 7
    b       .                   /* no exception is expected: hang, and let the watchdog reset */
    .endr
    /* struct stub_head, at STUB_HEAD_OFFSET */
    .ascii  "BCSB"
    .word   __stub_bytes
    .word   STUB_VERSION
    .word   BOARD_HARDWARE_OUI
    .short  BOARD_HARDWARE_MODEL
    .short  BOARD_HARDWARE_VERSION
reset:
    ldr     sp, =__stack_top
    ldr     r0, =__data_begin   /* what runs or lies in RAM comes from the flash */
    ldr     r1, =__data_end
    ldr     r2, =__data_from
1:  cmp     r0, r1
    ldrlo   r3, [r2], #4
    strlo   r3, [r0], #4
    blo     1b
    ldr     r1, =__bss_end
    mov     r3, #0
2:  cmp     r0, r1
    strlo   r3, [r0], #4
    blo     2b
    ldr     r0, =board_main
    blx     r0
    b       .

    .global psci_reset
    .section .ramcode, "ax"
    .type psci_reset, %function
psci_reset:
    ldr     r0, =0x84000009
    hvc     #0
    b       .
    .ltorg
