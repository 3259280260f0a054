#!/usr/bin/env bash
# A box behind a Wi-Fi link that loses a fifth of all packets, in bursts of eight.
source "$(dirname "$0")/lab.sh"
: "${LOSSY_GROUP:=239.255.78.2:5078}"

headend keygen "$lab/lab" >/dev/null
make_release factory 0.1.0 >/dev/null
make_release image 1.0.0
make_box >/dev/null
cast image-1.0.0

say "Between head-end and box: 50 Mb/s, 10 ms, a fifth of the packets lost in bursts"
bootbench link --from "$GROUP" --interface "$INTERFACE" --to "$LOSSY_GROUP%$INTERFACE" \
  --down 'rate=50M,delay=10ms,loss=20%,burst=8' --seed 7 >"$lab/link.log" &
pids+=($!)

say "The box hears only what is left; any packet it lacks is as good as any other that comes later"
settop receive --store "$lab/box" --group "$LOSSY_GROUP" --interface "$INTERFACE" --timeout 60
settop status --store "$lab/box"
