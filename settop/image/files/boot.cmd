# bootcast: start the armed slot while it has tries, else the default, else the receiver (docs/boards.md).
# Two environment files take turns; a torn one fails its CRC-32, and the other holds. Numbers are hexadecimal.
setenv bc_from ${devtype} ${devnum}:${distro_bootpart}
setenv bc_at ${kernel_addr_r}
setenv bc_best 0
setenv bc_newest none
for bc_n in 0 1; do
  if load ${bc_from} ${bc_at} bootcast-${bc_n}.env; then
    if itest 0x${filesize} -eq 0x1000; then
      if env import -c ${bc_at} 0x1000 bc_seq; then
        if itest 0x${bc_seq} -ge 0x${bc_best}; then
          setenv bc_best ${bc_seq}
          setenv bc_newest ${bc_n}
        fi
      fi
    fi
  fi
done
setenv bc_default receiver
setenv bc_slot none
setenv bc_tries 0
if test ${bc_newest} != none; then
  load ${bc_from} ${bc_at} bootcast-${bc_newest}.env
  env import -c ${bc_at} 0x1000 bc_seq bc_default bc_slot bc_tries
fi
setenv bc_start ${bc_default}
if itest 0x${bc_tries} -gt 0; then
  setexpr bc_tries ${bc_tries} - 1
  setexpr bc_seq ${bc_seq} + 1
  setenv bc_other 0
  if test ${bc_newest} = 0; then setenv bc_other 1; fi
  env export -c -s 0x1000 ${bc_at} bc_seq bc_default bc_slot bc_tries
  # counted before it starts; where that fails, an uncounted try might never end
  if fatwrite ${bc_from} ${bc_at} bootcast-${bc_other}.env 0x1000; then
    setenv bc_start ${bc_slot}
  else
    echo bootcast: the try of ${bc_slot} can not be counted, so it does not start
  fi
fi
fdt addr ${fdtcontroladdr}
fdt resize 4096
for bc_file in ${bc_start} receiver; do
  echo bootcast: starting ${bc_file}
  fdt set /chosen bootcast,slot ${bc_file}
  if load ${bc_from} ${bc_at} ${bc_file}.efi; then bootefi ${bc_at} ${fdtcontroladdr}; fi
done
