#!/usr/bin/env bash
# Every point of a sweep: .ci/sweep.sh OUT SEED kill|power|full|faults, in ten parts. It can be stopped and goes on where it
# was. At the end the ledger: how often each verb was tried at each kind of file.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$1 seed=$2 sweep=$3
case $sweep in
    kill) test=crash::killed_at_any_call_a_run_ends_where_a_clean_one_ends ;;
    power) test=crash::after_a_power_cut_every_acknowledged_publish_is_whole ;;
    full) test=crash::on_a_full_disk_a_run_says_so_and_the_next_one_goes_on ;;
    faults) test=faulty::one_request_that_fails_harms_nothing ;;
    *) echo "kill, power, full or faults?" >&2; exit 2 ;;
esac
mkdir -p "$out"
for part in $(seq 10); do
    log=$out/$sweep.$part
    [ -f "$log" ] && continue
    RUST_BACKTRACE=0 RCM_CRASH_POINTS=0 RCM_CRASH_SEED=$seed RCM_CRASH_PART=$part/10 \
        cargo test -q -p rcm-cli --test it -- --exact "$test" --nocapture > "$log.running"
    mv "$log.running" "$log"
done
cat "$out/$sweep".? "$out/$sweep".10 | awk '
    / points, 0 divergences, / { points += $(NF - 7); seconds += $(NF - 7) * $(NF - 3) }
    NF >= 3 && $NF ~ /^[0-9]+$/ { n = $NF; kind = $(NF - 1); verb = $1 (NF > 3 ? " of create" : ""); cell[verb " " kind] += n }
    END {
        for (c in cell) { print c, cell[c] | "sort"; blank += !cell[c] }
        close("sort")
        printf "%d points, 0 divergences, %.1f s a point, %d blank cells\n", points, seconds / points, blank
        exit blank > 0
    }'
