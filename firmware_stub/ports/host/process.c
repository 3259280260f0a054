/* The loader as a process on a terminal line, its flash a file: `board FLASH LINE SECTOR_BYTES SLOT_SECTORS`.
 *
 * The map is stub (one sector), records (two), EEPROM, slot A, slot B (SLOT_SECTORS each). It runs from power-on to
 * the jump, says what it would start, and ends. A power cut is SIGKILL: the file is mapped and shared. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "main.h"
#include "nor.h"

struct line {
    int descriptor;
};

static uint32_t line_now_ms(void *context)
{
    struct timespec now;

    (void)context;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static uint32_t line_receive(void *context, uint8_t *into, uint32_t most)
{
    struct line *line = context;
    struct pollfd ready = {.fd = line->descriptor, .events = POLLIN};

    if (poll(&ready, 1, 5) <= 0) {
        return 0;
    }
    ssize_t got = read(line->descriptor, into, most);
    if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) {
        exit(3); /* the other end is gone */
    }
    return got > 0 ? (uint32_t)got : 0;
}

static void line_send(void *context, const uint8_t *bytes, uint32_t length)
{
    struct line *line = context;

    while (length > 0) {
        ssize_t sent = write(line->descriptor, bytes, length);
        if (sent < 0 && errno != EINTR && errno != EAGAIN) {
            exit(3);
        }
        if (sent > 0) {
            bytes += sent;
            length -= (uint32_t)sent;
        }
    }
}

static void line_set_baud(void *context, uint32_t baud)
{
    (void)context;
    (void)baud; /* a pseudo-terminal has none */
}

static void line_replace_stub(void *context, uint32_t from, uint32_t length)
{
    (void)context;
    (void)from;
    (void)length; /* a process can't; the caller says FLASH_FAULT */
}

static int open_line(const char *path)
{
    struct termios raw;
    int descriptor = open(path, O_RDWR | O_NOCTTY);

    if (descriptor < 0 || tcgetattr(descriptor, &raw) != 0) {
        perror(path);
        exit(2);
    }
    cfmakeraw(&raw);
    tcsetattr(descriptor, TCSANOW, &raw);
    return descriptor;
}

static void lay_out(struct flash_map *map, uint32_t sector_bytes, uint32_t slot_sectors)
{
    uint32_t slot_bytes = slot_sectors * sector_bytes;

    map->stub = (struct region){0, sector_bytes};
    map->records = (struct region){sector_bytes, RECORD_SECTORS * sector_bytes};
    map->slots[PLACE_EEPROM] = (struct region){3 * sector_bytes, slot_bytes};
    map->slots[PLACE_SLOT_A] = (struct region){3 * sector_bytes + slot_bytes, slot_bytes};
    map->slots[PLACE_SLOT_B] = (struct region){3 * sector_bytes + 2 * slot_bytes, slot_bytes};
}

int main(int count, char **arguments)
{
    if (count != 5) {
        fprintf(stderr, "usage: board FLASH LINE SECTOR_BYTES SLOT_SECTORS\n");
        return 2;
    }
    struct nor nor = {.sector_bytes = (uint32_t)atoi(arguments[3])};
    uint32_t slot_sectors = (uint32_t)atoi(arguments[4]);
    nor.size = (3 + 3 * slot_sectors) * nor.sector_bytes;
    int file = open(arguments[1], O_RDWR);
    void *mapped = file < 0 ? MAP_FAILED : mmap(0, nor.size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED) {
        perror(arguments[1]);
        return 2;
    }
    nor.bytes = mapped;
    struct line line = {open_line(arguments[2])};
    struct flash flash;
    nor_flash(&nor, &flash);
    struct board board = {
        .hardware = {0x00A1B2, 7, 1},
        .window_bytes = 4096,
        .max_baud = 4000000,
        .erase_ms = 10,
        .hash_kib_per_s = 32768,
    };
    lay_out(&board.map, nor.sector_bytes, slot_sectors);
    struct port port = {&line, line_now_ms, line_receive, line_send, line_set_baud, line_replace_stub};
    struct stub stub = {.board = &board, .flash = &flash, .port = &port};
    struct boot_decision decision;
    static struct loader loader;
    stub_run(&stub, &loader, line_now_ms(0) * 2654435761u, &decision);
    tcdrain(line.descriptor);
    return nor.violations ? 4 : 0;
}
