#!/bin/sh
# limpid beside VRL (Vector) and Bloblang (Redpanda Connect): the same events, the same rules, one
# thread each, in turns. First every answer is compared, then the time is taken.
#
#   benches/peers/run.sh [--mib N] [--turns N] [--out FILE]
#
# Building VRL takes minutes. FILE gets the raw figures, one JSON object a line.
set -eu
cd "$(dirname "$0")/../.."
mib=32 turns=7 out=
while [ $# -gt 0 ]; do
  case $1 in
    --mib) mib=$2 ;;
    --turns) turns=$2 ;;
    --out) out=$2 ;;
    *) echo "run.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=${out:-$work/figures.jsonl}
: > "$out"

echo "building" >&2
peers=${CARGO_TARGET_DIR:-$PWD/target}/peers
nice cargo build --quiet --release --locked \
  --manifest-path benches/peers/vrl/Cargo.toml --target-dir "$peers"
(cd benches/peers/bloblang && nice go build -o "$peers/peer-bloblang" .)
nice cargo bench --quiet --bench kernel --no-run
kernel() { cargo bench --quiet --bench kernel -- "$@"; }
vrl=$peers/release/peer-vrl
bloblang=$peers/peer-bloblang

kernel --write-corpus "$work" --mib "$mib" >&2

# $1: corpus, $2: the field that holds the pseudonym
agree() {
  kernel --over "$work/$1.ndjson" --policy "$1" --out "$work/$1.limpid"
  "$vrl" "$1" "$work/$1.ndjson" out "$work/$1.vrl"
  "$bloblang" "$1" "$work/$1.ndjson" out "$work/$1.bloblang"
  for peer in vrl bloblang; do
    kernel --agree "$work/$1.limpid" --with "$work/$1.$peer" --but "$2"
  done
}
agree web user.id
agree audit user.username

turn=0
while [ "$turn" -lt "$turns" ]; do
  turn=$((turn + 1))
  echo "turn $turn of $turns" >&2
  for corpus in web audit; do
    kernel --over "$work/$corpus.ndjson" --policy "$corpus" --rounds 5 >> "$out"
    "$vrl" "$corpus" "$work/$corpus.ndjson" 1 >> "$out"
    "$bloblang" "$corpus" "$work/$corpus.ndjson" 1 >> "$out"
  done
done
kernel --summary "$out"
