#!/usr/bin/env bash
# An update that never comes up: three tries, and the box is back on the image it had.
source "$(dirname "$0")/lab.sh"

headend keygen "$lab/lab" >/dev/null
make_release factory 0.1.0 >/dev/null
make_release good 1.0.0 >/dev/null
make_release bad 2.0.0 >/dev/null
make_box >/dev/null

say "good 1.0.0 is received, booted and confirmed"
cast good-1.0.0
settop receive --store "$lab/box" --group "$GROUP" --interface "$INTERFACE" --timeout 30
settop boot --store "$lab/box" --command 'sh {image}'
settop confirm --store "$lab/box"

say "The head-end turns over to bad 2.0.0: a release file is replaced by renaming over it"
cp "$lab/bad-2.0.0.release" "$lab/new.release"
mv "$lab/new.release" "$lab/good-1.0.0.release"
settop receive --store "$lab/box" --group "$GROUP" --interface "$INTERFACE" --timeout 30

say "It boots three times and never confirms itself (a board would hang, or reset, here)"
for _ in 1 2 3; do settop boot --store "$lab/box" --command 'sh {image}'; done

say "The fourth time the box gives it up and is back on good 1.0.0; the bad image is not installed again"
settop boot --store "$lab/box" --command 'sh {image}'
settop status --store "$lab/box"
settop receive --store "$lab/box" --group "$GROUP" --interface "$INTERFACE" --timeout 5 || echo "(exit $?: only an image that must be refused is on the air)"
