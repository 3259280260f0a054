/* The four functions that a freestanding compiler still calls. */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *to, const void *from, size_t length);
void *memmove(void *to, const void *from, size_t length);
void *memset(void *to, int value, size_t length);
int memcmp(const void *left, const void *right, size_t length);
size_t strlen(const char *text);

void *memcpy(void *to, const void *from, size_t length)
{
    uint8_t *into = to;
    const uint8_t *bytes = from;

    if ((((uintptr_t)to | (uintptr_t)from) & 3) == 0) {
        for (; length >= 4; length -= 4, into += 4, bytes += 4) {
            *(uint32_t *)(void *)into = *(const uint32_t *)(const void *)bytes;
        }
    }
    for (; length > 0; length--) {
        *into++ = *bytes++;
    }
    return to;
}

void *memmove(void *to, const void *from, size_t length)
{
    uint8_t *into = to;
    const uint8_t *bytes = from;

    if (into <= bytes) {
        return memcpy(to, from, length);
    }
    while (length-- > 0) {
        into[length] = bytes[length];
    }
    return to;
}

void *memset(void *to, int value, size_t length)
{
    uint8_t *into = to;

    for (; length > 0; length--) {
        *into++ = (uint8_t)value;
    }
    return to;
}

int memcmp(const void *left, const void *right, size_t length)
{
    const uint8_t *a = left, *b = right;

    for (; length > 0; length--, a++, b++) {
        if (*a != *b) {
            return *a < *b ? -1 : 1;
        }
    }
    return 0;
}

size_t strlen(const char *text)
{
    size_t length = 0;

    while (text[length]) {
        length++;
    }
    return length;
}
