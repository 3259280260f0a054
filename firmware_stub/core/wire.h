/* Made by generate.py from the declarations in carousel/ and settop/: change those, then `make wire`. */
#ifndef WIRE_H
#define WIRE_H

#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the formats are little-endian, and so must the CPU be"
#endif

#define TRIES 3u
#define LAST_SLOT_STATE 5u
#define LAST_FAILURE 10u
#define NO_SLOT 255u
#define RECORD_SECTORS 2u
#define ANY_VERSION 65535u
#define HEADER_CRC_OFFSET 188u
#define DIGEST_PREFIX_BYTES 8u
#define PROTOCOL 1u
#define INITIAL_BAUD 115200u
#define BLOCK_BYTES 1024u
#define MAX_SUMS 240u
#define MAX_FRAME_BYTES 1035u
#define STUB_HEAD_OFFSET 32u

enum slot_state {
    SLOT_STATE_EMPTY = 0,
    SLOT_STATE_WRITING = 1,
    SLOT_STATE_STAGED = 2,
    SLOT_STATE_TRIAL = 3,
    SLOT_STATE_CONFIRMED = 4,
    SLOT_STATE_FAILED = 5,
};

enum failure {
    FAILURE_NONE = 0,
    FAILURE_TRIES_USED_UP = 1,
    FAILURE_HEADER_DAMAGED = 2,
    FAILURE_SIGNATURE = 3,
    FAILURE_HARDWARE = 4,
    FAILURE_SECURITY_COUNTER = 5,
    FAILURE_IMAGE_DAMAGED = 6,
    FAILURE_UNRECORDABLE = 7,
    FAILURE_HALTED = 8,
    FAILURE_MARKED_BAD = 9,
    FAILURE_UNREADABLE = 10,
};

enum message {
    MESSAGE_HELLO = 1,
    MESSAGE_BAUD = 2,
    MESSAGE_BEGIN = 3,
    MESSAGE_BEGIN_STUB = 4,
    MESSAGE_SUMS = 5,
    MESSAGE_DATA = 6,
    MESSAGE_SKIP = 7,
    MESSAGE_END = 8,
    MESSAGE_INSPECT = 9,
    MESSAGE_BOOT = 10,
    MESSAGE_ANNOUNCE = 129,
    MESSAGE_OK = 130,
    MESSAGE_BEGUN = 131,
    MESSAGE_SUMS_ARE = 133,
    MESSAGE_OFFSET = 134,
    MESSAGE_DONE = 136,
    MESSAGE_INSPECTED = 137,
    MESSAGE_BUSY = 144,
    MESSAGE_REFUSED = 145,
};

enum place {
    PLACE_SLOT_A = 0,
    PLACE_SLOT_B = 1,
    PLACE_EEPROM = 2,
    PLACE_STUB = 3,
    PLACE_FREE_SLOT = 255,
};

enum refusal {
    REFUSAL_MALFORMED = 1,
    REFUSAL_HEADER_DAMAGED = 2,
    REFUSAL_WRONG_KEY = 3,
    REFUSAL_WRONG_HARDWARE = 4,
    REFUSAL_SECURITY_COUNTER = 5,
    REFUSAL_TOO_BIG = 6,
    REFUSAL_ACTIVE_SLOT = 7,
    REFUSAL_NO_TRANSFER = 8,
    REFUSAL_NOTHING_WRITTEN = 9,
    REFUSAL_INCOMPLETE = 10,
    REFUSAL_FLASH_FAULT = 11,
    REFUSAL_DIGEST_MISMATCH = 12,
    REFUSAL_BAUD_RATE = 13,
};

/* Which slot to install into: the first of these states, the active slot left out. */
#define FREE_SLOT_ORDER {SLOT_STATE_TRIAL, SLOT_STATE_STAGED, SLOT_STATE_WRITING, SLOT_STATE_EMPTY, SLOT_STATE_FAILED, SLOT_STATE_CONFIRMED}

struct signed_header {
    uint8_t magic[4];
    uint16_t layout;
    uint16_t header_size;
    uint32_t flags;
    uint32_t hardware_oui;
    uint16_t hardware_model;
    uint16_t hardware_version;
    uint32_t security_counter;
    uint16_t version_major;
    uint16_t version_minor;
    uint32_t version_patch;
    uint64_t created_unix_s;
    uint64_t image_size;
    uint16_t symbol_size;
    uint16_t source_blocks;
    uint32_t repair_per_block;
    uint8_t image_sha256[32];
    uint8_t top_sha256[32];
    uint8_t key_id[8];
    uint8_t name[32];
    uint8_t reserved[28];
    uint32_t crc;
    uint8_t signature[64];
} __attribute__((packed));
_Static_assert(sizeof(struct signed_header) == 256, "signed_header");
#define SIGNED_HEADER_BYTES 256u
#define SIGNED_HEADER_MAGIC "BCIH"
#define SIGNED_HEADER_LAYOUT 1u
#define SIGNED_HEADER_HEADER_SIZE 256u

struct slot_record {
    uint8_t state;
    uint8_t tries_left;
    uint8_t failure;
    uint8_t reserved;
    uint32_t security_counter;
    uint8_t digest[8];
} __attribute__((packed));
_Static_assert(sizeof(struct slot_record) == 16, "slot_record");
#define SLOT_RECORD_BYTES 16u

struct state_record {
    uint8_t magic[4];
    uint16_t layout;
    uint16_t record_size;
    uint32_t seq;
    uint32_t floor;
    uint8_t active;
    uint8_t last_failure;
    uint16_t padding;
    struct slot_record slots[2];
    uint8_t reserved[8];
    uint32_t crc;
} __attribute__((packed));
_Static_assert(sizeof(struct state_record) == 64, "state_record");
#define STATE_RECORD_BYTES 64u
#define STATE_RECORD_MAGIC "BCST"
#define STATE_RECORD_LAYOUT 1u
#define STATE_RECORD_RECORD_SIZE 64u

struct frame_head {
    uint8_t type;
    uint16_t seq;
} __attribute__((packed));
_Static_assert(sizeof(struct frame_head) == 3, "frame_head");
#define FRAME_HEAD_BYTES 3u

struct frame_tail {
    uint32_t crc;
} __attribute__((packed));
_Static_assert(sizeof(struct frame_tail) == 4, "frame_tail");
#define FRAME_TAIL_BYTES 4u

struct stub_head {
    uint8_t magic[4];
    uint32_t size;
    uint32_t version;
    uint32_t hardware_oui;
    uint16_t hardware_model;
    uint16_t hardware_version;
} __attribute__((packed));
_Static_assert(sizeof(struct stub_head) == 20, "stub_head");
#define STUB_HEAD_BYTES 20u
#define STUB_HEAD_MAGIC "BCSB"

struct announce {
    uint16_t protocol;
    uint16_t hardware_model;
    uint32_t hardware_oui;
    uint16_t hardware_version;
    uint16_t block_bytes;
    uint32_t stub_version;
    uint8_t stub_digest[8];
    uint32_t session;
    uint32_t window_bytes;
    uint32_t sector_bytes;
    uint32_t image_capacity[3];
    uint32_t stub_capacity;
    uint32_t max_baud;
    uint16_t erase_ms;
    uint16_t hash_kib_per_s;
    uint8_t public_key[32];
    uint8_t record[64];
} __attribute__((packed));
_Static_assert(sizeof(struct announce) == 156, "announce");
#define ANNOUNCE_BYTES 156u

struct baud {
    uint32_t baud;
} __attribute__((packed));
_Static_assert(sizeof(struct baud) == 4, "baud");
#define BAUD_BYTES 4u

struct begin {
    uint8_t place;
    uint8_t header[256];
} __attribute__((packed));
_Static_assert(sizeof(struct begin) == 257, "begin");
#define BEGIN_BYTES 257u

struct begin_stub {
    uint32_t size;
    uint8_t sha256[32];
} __attribute__((packed));
_Static_assert(sizeof(struct begin_stub) == 36, "begin_stub");
#define BEGIN_STUB_BYTES 36u

struct begun {
    uint8_t place;
    uint8_t is_held;
    uint32_t offset;
} __attribute__((packed));
_Static_assert(sizeof(struct begun) == 6, "begun");
#define BEGUN_BYTES 6u

struct sums {
    uint32_t offset;
    uint32_t span_bytes;
    uint16_t count;
} __attribute__((packed));
_Static_assert(sizeof(struct sums) == 10, "sums");
#define SUMS_BYTES 10u

struct sums_are {
    uint32_t offset;
} __attribute__((packed));
_Static_assert(sizeof(struct sums_are) == 4, "sums_are");
#define SUMS_ARE_BYTES 4u

struct data {
    uint32_t offset;
} __attribute__((packed));
_Static_assert(sizeof(struct data) == 4, "data");
#define DATA_BYTES 4u

struct skip {
    uint32_t offset;
    uint32_t to;
} __attribute__((packed));
_Static_assert(sizeof(struct skip) == 8, "skip");
#define SKIP_BYTES 8u

struct offset {
    uint32_t offset;
    uint8_t is_gap;
} __attribute__((packed));
_Static_assert(sizeof(struct offset) == 5, "offset");
#define OFFSET_BYTES 5u

struct done {
    uint8_t place;
    uint32_t written_bytes;
    uint8_t sha256[32];
} __attribute__((packed));
_Static_assert(sizeof(struct done) == 37, "done");
#define DONE_BYTES 37u

struct inspect {
    uint8_t place;
} __attribute__((packed));
_Static_assert(sizeof(struct inspect) == 1, "inspect");
#define INSPECT_BYTES 1u

struct inspected {
    uint8_t place;
    uint8_t failure;
    uint8_t header[256];
} __attribute__((packed));
_Static_assert(sizeof(struct inspected) == 258, "inspected");
#define INSPECTED_BYTES 258u

struct busy {
    uint32_t done_bytes;
    uint32_t total_bytes;
} __attribute__((packed));
_Static_assert(sizeof(struct busy) == 8, "busy");
#define BUSY_BYTES 8u

struct refused {
    uint8_t refusal;
} __attribute__((packed));
_Static_assert(sizeof(struct refused) == 1, "refused");
#define REFUSED_BYTES 1u

/* CRC-32/ISO-HDLC, reflected, one byte at a time. */
#define CRC32_TABLE { \
    0x00000000u, 0x77073096u, 0xee0e612cu, 0x990951bau, 0x076dc419u, 0x706af48fu, \
    0xe963a535u, 0x9e6495a3u, 0x0edb8832u, 0x79dcb8a4u, 0xe0d5e91eu, 0x97d2d988u, \
    0x09b64c2bu, 0x7eb17cbdu, 0xe7b82d07u, 0x90bf1d91u, 0x1db71064u, 0x6ab020f2u, \
    0xf3b97148u, 0x84be41deu, 0x1adad47du, 0x6ddde4ebu, 0xf4d4b551u, 0x83d385c7u, \
    0x136c9856u, 0x646ba8c0u, 0xfd62f97au, 0x8a65c9ecu, 0x14015c4fu, 0x63066cd9u, \
    0xfa0f3d63u, 0x8d080df5u, 0x3b6e20c8u, 0x4c69105eu, 0xd56041e4u, 0xa2677172u, \
    0x3c03e4d1u, 0x4b04d447u, 0xd20d85fdu, 0xa50ab56bu, 0x35b5a8fau, 0x42b2986cu, \
    0xdbbbc9d6u, 0xacbcf940u, 0x32d86ce3u, 0x45df5c75u, 0xdcd60dcfu, 0xabd13d59u, \
    0x26d930acu, 0x51de003au, 0xc8d75180u, 0xbfd06116u, 0x21b4f4b5u, 0x56b3c423u, \
    0xcfba9599u, 0xb8bda50fu, 0x2802b89eu, 0x5f058808u, 0xc60cd9b2u, 0xb10be924u, \
    0x2f6f7c87u, 0x58684c11u, 0xc1611dabu, 0xb6662d3du, 0x76dc4190u, 0x01db7106u, \
    0x98d220bcu, 0xefd5102au, 0x71b18589u, 0x06b6b51fu, 0x9fbfe4a5u, 0xe8b8d433u, \
    0x7807c9a2u, 0x0f00f934u, 0x9609a88eu, 0xe10e9818u, 0x7f6a0dbbu, 0x086d3d2du, \
    0x91646c97u, 0xe6635c01u, 0x6b6b51f4u, 0x1c6c6162u, 0x856530d8u, 0xf262004eu, \
    0x6c0695edu, 0x1b01a57bu, 0x8208f4c1u, 0xf50fc457u, 0x65b0d9c6u, 0x12b7e950u, \
    0x8bbeb8eau, 0xfcb9887cu, 0x62dd1ddfu, 0x15da2d49u, 0x8cd37cf3u, 0xfbd44c65u, \
    0x4db26158u, 0x3ab551ceu, 0xa3bc0074u, 0xd4bb30e2u, 0x4adfa541u, 0x3dd895d7u, \
    0xa4d1c46du, 0xd3d6f4fbu, 0x4369e96au, 0x346ed9fcu, 0xad678846u, 0xda60b8d0u, \
    0x44042d73u, 0x33031de5u, 0xaa0a4c5fu, 0xdd0d7cc9u, 0x5005713cu, 0x270241aau, \
    0xbe0b1010u, 0xc90c2086u, 0x5768b525u, 0x206f85b3u, 0xb966d409u, 0xce61e49fu, \
    0x5edef90eu, 0x29d9c998u, 0xb0d09822u, 0xc7d7a8b4u, 0x59b33d17u, 0x2eb40d81u, \
    0xb7bd5c3bu, 0xc0ba6cadu, 0xedb88320u, 0x9abfb3b6u, 0x03b6e20cu, 0x74b1d29au, \
    0xead54739u, 0x9dd277afu, 0x04db2615u, 0x73dc1683u, 0xe3630b12u, 0x94643b84u, \
    0x0d6d6a3eu, 0x7a6a5aa8u, 0xe40ecf0bu, 0x9309ff9du, 0x0a00ae27u, 0x7d079eb1u, \
    0xf00f9344u, 0x8708a3d2u, 0x1e01f268u, 0x6906c2feu, 0xf762575du, 0x806567cbu, \
    0x196c3671u, 0x6e6b06e7u, 0xfed41b76u, 0x89d32be0u, 0x10da7a5au, 0x67dd4accu, \
    0xf9b9df6fu, 0x8ebeeff9u, 0x17b7be43u, 0x60b08ed5u, 0xd6d6a3e8u, 0xa1d1937eu, \
    0x38d8c2c4u, 0x4fdff252u, 0xd1bb67f1u, 0xa6bc5767u, 0x3fb506ddu, 0x48b2364bu, \
    0xd80d2bdau, 0xaf0a1b4cu, 0x36034af6u, 0x41047a60u, 0xdf60efc3u, 0xa867df55u, \
    0x316e8eefu, 0x4669be79u, 0xcb61b38cu, 0xbc66831au, 0x256fd2a0u, 0x5268e236u, \
    0xcc0c7795u, 0xbb0b4703u, 0x220216b9u, 0x5505262fu, 0xc5ba3bbeu, 0xb2bd0b28u, \
    0x2bb45a92u, 0x5cb36a04u, 0xc2d7ffa7u, 0xb5d0cf31u, 0x2cd99e8bu, 0x5bdeae1du, \
    0x9b64c2b0u, 0xec63f226u, 0x756aa39cu, 0x026d930au, 0x9c0906a9u, 0xeb0e363fu, \
    0x72076785u, 0x05005713u, 0x95bf4a82u, 0xe2b87a14u, 0x7bb12baeu, 0x0cb61b38u, \
    0x92d28e9bu, 0xe5d5be0du, 0x7cdcefb7u, 0x0bdbdf21u, 0x86d3d2d4u, 0xf1d4e242u, \
    0x68ddb3f8u, 0x1fda836eu, 0x81be16cdu, 0xf6b9265bu, 0x6fb077e1u, 0x18b74777u, \
    0x88085ae6u, 0xff0f6a70u, 0x66063bcau, 0x11010b5cu, 0x8f659effu, 0xf862ae69u, \
    0x616bffd3u, 0x166ccf45u, 0xa00ae278u, 0xd70dd2eeu, 0x4e048354u, 0x3903b3c2u, \
    0xa7672661u, 0xd06016f7u, 0x4969474du, 0x3e6e77dbu, 0xaed16a4au, 0xd9d65adcu, \
    0x40df0b66u, 0x37d83bf0u, 0xa9bcae53u, 0xdebb9ec5u, 0x47b2cf7fu, 0x30b5ffe9u, \
    0xbdbdf21cu, 0xcabac28au, 0x53b39330u, 0x24b4a3a6u, 0xbad03605u, 0xcdd70693u, \
    0x54de5729u, 0x23d967bfu, 0xb3667a2eu, 0xc4614ab8u, 0x5d681b02u, 0x2a6f2b94u, \
    0xb40bbe37u, 0xc30c8ea1u, 0x5a05df1bu, 0x2d02ef8du, \
}

#endif
