# What the three stories share: a folder that goes away, a head-end that ends with the script, a box. To be sourced.
set -euo pipefail
: "${GROUP:=239.255.77.1:5077}" "${INTERFACE:=lo}" "${RATE:=40M}"
lab=$(mktemp -d)
pids=()
cleanup() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$lab"
}
trap cleanup EXIT

say() { printf '\n== %s\n' "$*"; }

# make_release NAME VERSION: an "image" that says who it is, and fills a few megabytes; packed and signed.
make_release() {
  { printf '#!/bin/sh\necho "this is %s %s"\nexit 0\n' "$1" "$2"; head -c 3000000 /dev/urandom; } >"$lab/$1-$2.image"
  headend pack "$lab/$1-$2.image" -o "$lab/$1-$2.release" --key "$lab/lab.key" --hardware 00A1B2:7 --version "$2" \
    --name "$1"
}

# cast RELEASE [GROUP]: a head-end in the background.
cast() {
  headend cast "$lab/$1.release" --group "${2:-$GROUP}" --interface "$INTERFACE" --rate "$RATE" >"$lab/headend.log" &
  pids+=($!)
}

make_box() { settop init --store "$lab/box" --hardware 00A1B2:7 --trust "$lab/lab.pub" --eeprom "$lab/factory-0.1.0.release"; }
