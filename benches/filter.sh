#!/bin/sh
# `limpid filter` over a file of 1 GB on all cores, beside the kernel's own speed times the cores.
#
#   benches/filter.sh [--mib N] [--turns N]
#
# Two shares are told. By the clock: bytes per second over kernel speed times cores; right on a quiet
# machine. By CPU: bytes per CPU second over kernel speed; what the cores do for it, whoever else
# is on them. The target is 0.8, in less than 256 MiB of memory.
set -eu
cd "$(dirname "$0")/.."
mib=1024 turns=5
while [ $# -gt 0 ]; do
  case $1 in
    --mib) mib=$2 ;;
    --turns) turns=$2 ;;
    *) echo "filter.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

nice cargo build --quiet --release
nice cargo bench --quiet --bench kernel --no-run
limpid=${CARGO_TARGET_DIR:-$PWD/target}/release/limpid
kernel() { cargo bench --quiet --bench kernel -- "$@"; }

"$limpid" keys new bench > "$work/keyring.yaml" 2>/dev/null
chmod 600 "$work/keyring.yaml"
kernel --write-corpus "$work" --mib 64 >/dev/null
part=0
while [ "$part" -lt "$((mib / 64))" ]; do
  cat "$work/web.ndjson"
  part=$((part + 1))
done > "$work/large.ndjson"
bytes=$(wc -c < "$work/large.ndjson")
cores=$(nproc)
echo "$bytes bytes of web events, $cores cores, $turns turns"

turn=0
while [ "$turn" -lt "$turns" ]; do
  turn=$((turn + 1))
  kernel --over "$work/web.ndjson" --policy web --rounds 5 > "$work/kernel.json"
  /usr/bin/time -f '%e %U %S %M' -o "$work/time" \
    "$limpid" filter --policy benches/policies/web.yaml --keys "$work/keyring.yaml" \
    --timestamp 2026-01-01T00:00:00Z "$work/large.ndjson" > /dev/null 2> "$work/said"
  # `time` puts a line of its own before the figures if the exit code isn't 0.
  tail -n 1 "$work/time" | awk -v bytes="$bytes" -v cores="$cores" -v kernel="$(cat "$work/kernel.json")" '
    {
      part = kernel; sub(/.*"bytes":/, "", part); sub(/,.*/, "", part)
      list = kernel; sub(/.*"seconds":\[/, "", list); sub(/\].*/, "", list)
      count = split(list, seconds, ",")
      # Middle one of five.
      for (i = 1; i <= count; i++) for (j = i + 1; j <= count; j++)
        if (seconds[j] + 0 < seconds[i] + 0) { swap = seconds[i]; seconds[i] = seconds[j]; seconds[j] = swap }
      speed = part / seconds[int((count + 1) / 2)] / 1e6
      printf "kernel %.0f MB/s a core; filter %.0f MB/s, %.2f s user, %.2f s system, %.0f MiB; ", \
        speed, bytes / $1 / 1e6, $2, $3, $4 / 1024
      printf "share by the clock %.2f, by CPU %.2f\n", \
        bytes / $1 / 1e6 / speed / cores, bytes / ($2 + $3) / 1e6 / speed
    }'
done
cat "$work/said"
