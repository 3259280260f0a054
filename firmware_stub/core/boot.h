/* What to boot: the trial with tries left, the confirmed slot, the one confirmed before, the EEPROM image.
 * The same in Python: settop/store/choice.py and Store.boot, Store.confirm; tests hold them together. */
#ifndef BOOT_H
#define BOOT_H

#include "stub.h"

enum boot_reason { BOOT_REASON_TRIAL, BOOT_REASON_CONFIRMED, BOOT_REASON_CONFIRMED_BEFORE, BOOT_REASON_EEPROM };

enum { MAX_CANDIDATES = 3 };

struct boot_decision {
    uint8_t place; /* enum place */
    uint8_t reason;
    uint8_t tries_left; /* before this boot, if on trial */
    uint8_t passed_over_count;
    struct {
        uint8_t place;
        uint8_t failure;
    } passed_over[MAX_CANDIDATES];
    struct signed_header header;
};

/* Choose and verify; the try is recorded before this returns. False: nothing verifies, the EEPROM image included. */
bool boot_choose(const struct stub *stub, struct boot_decision *decision);

enum confirmation { CONFIRMED_NOW, CONFIRMED_ALREADY, CONFIRM_NOT_BOOTED, CONFIRM_NOTHING, CONFIRM_FLASH_FAULT };

/* For the image itself, once it works. Only here the floor rises. */
enum confirmation boot_confirm(const struct stub *stub);

enum halting { HALTED_NOW, HALT_NOT_ON_TRIAL, HALT_FLASH_FAULT };

/* The roll-out of the image with this SHA-256 was halted (docs/service.md): if it is on trial, it is given up. */
enum halting boot_halt(const struct stub *stub, const uint8_t sha256[32]);

#endif
