#!/bin/sh
# What limpid, VRL and Bloblang make of sixteen awkward records (corners.ndjson): escapes, numbers that
# no float holds, keys given twice, broken JSON, values of another kind. docs/COMPARISON.md quotes it.
#
#   benches/peers/corners.sh
#
# Building VRL takes minutes.
set -eu
cd "$(dirname "$0")/../.."
peers=${CARGO_TARGET_DIR:-$PWD/target}/peers
nice cargo build --quiet --locked --manifest-path benches/peers/vrl/Cargo.toml --target-dir "$peers"
(cd benches/peers/bloblang && nice go build -o "$peers/peer-bloblang" .)
cargo build --quiet
corners=benches/peers/corners.ndjson
echo "limpid"
cargo run --quiet -- explain --policy benches/peers/corners.yaml --json "$corners" |
  python3 -c 'import json, sys
for number, line in enumerate(sys.stdin, 1):
    event = json.loads(line)
    clean = event["clean"]
    print(f"{number}: {clean['"'value'"'] if clean else '"'withheld: '"' + event['"'withheld'"']}")'
echo "VRL"
"$peers/debug/peer-vrl" corners "$corners" each
echo "Bloblang"
"$peers/peer-bloblang" corners "$corners" each
