#!/usr/bin/env bash
# A key, a release, a carousel; a box that tunes in, boots what it heard, and confirms it.
source "$(dirname "$0")/lab.sh"

say "A key: lab.key signs, boxes trust lab.pub"
headend keygen "$lab/lab"

say "Two releases: the factory image in the box's EEPROM, and the one on the air"
make_release factory 0.1.0
make_release image 1.0.0
make_box

say "The carousel turns, for ever, whoever listens"
cast image-1.0.0

say "A box tunes in, verifies and installs; the image is on trial"
settop receive --store "$lab/box" --group "$GROUP" --interface "$INTERFACE" --timeout 30

say "It boots: --command is what a board would do with the image (kexec, a boot loader); here it is run as a script"
settop boot --store "$lab/box" --command 'sh {image}'

say "It works, so it confirms itself: from now on it is the one to boot"
settop confirm --store "$lab/box"
settop status --store "$lab/box"
