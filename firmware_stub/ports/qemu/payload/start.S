/* An image starts here, at the board's load address, ARM state, r0: struct handoff. */
    .syntax unified
    .arm
    .section .start, "ax"
    .global _start
_start:
    ldr     sp, =__stack_top
    ldr     r1, =payload_main
    bx      r1
