/* The stub's version: in its head, its announcement, its first line. */
#ifndef VERSION_H
#define VERSION_H

#define STUB_VERSION 1

#endif
