#!/usr/bin/env bash
# The full forms of what is proven of sources, of which `cargo test` takes samples: .ci/sources.sh OUT. It can be stopped and goes on
# with the part in which it was. At the end the ledger: what each part printed. RCM_SHARED (default ../shared): where the files of
# two hospitals lie; without them their part is left out, and it says so.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$1 shared=$(realpath -m "${RCM_SHARED:-../shared}")
mkdir -p "$out"
part() { # its name, and what `cargo test` is given
    local log=$out/$1.txt
    shift
    [ -f "$log" ] && return
    CI=true RUST_BACKTRACE=0 cargo test "$@" --nocapture > "$log.running"
    mv "$log.running" "$log"
}
connectors=(-p rcm-connectors --all-features --test sources --)
program=(-p rcm-cli --test it --)
part 1-contract "${connectors[@]}" contract
RCM_ROWS=1000000 part 2-watermarks "${connectors[@]}" windows
RCM_DECIMALS=1000000 part 3-types "${connectors[@]}" types
part 4-faults "${connectors[@]}" faults
RCM_UNHARMED=all part 4-unharmed "${program[@]}" unharmed
part 5-names "${connectors[@]}" hostile_names
RCM_CANARIES=all part 6-canaries "${program[@]}" canaries
hospitals=$shared/data/two-hospitals
if [ -d "$hospitals" ]; then export RCM_TWO_HOSPITALS=$hospitals; else echo "no $hospitals: its part is left out"; fi
part 8-every-source "${program[@]}" every_source
cd "$out"
for log in [0-9]-*.txt; do
    echo "== ${log%.txt}"
    # Of tests that pass the number is enough; several run at once, so that lines come in any order.
    grep -vE '^(running [0-9]+ tests?|test .* ok|)$' "$log" | sed 's/; finished in .*//' | sort
done
