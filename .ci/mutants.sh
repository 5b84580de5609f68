#!/usr/bin/env bash
# Mutants of rcm-scd2, file by file: .ci/mutants.sh OUT FILE... (FILE below rcm-scd2/src, such as feed/fold.rs).
# Run it in a clone of its own: the sources there are changed in place. It can be stopped and goes on where it was; two
# clones with different files use two cores. First a few cases of the laws, then for those that survive the other tests
# without the slow ones: more would die by all tests, for ten times the time. At the end a line a file, and who survived.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$1; shift
# One thread a test: with as many as cores, threads that wait for each other take half the time.
export RAYON_NUM_THREADS=1 RUST_BACKTRACE=0
mkdir -p "$out"
slow='"--skip", "pruning", "--skip", "corrections::a_", "--skip", "many::"'
# What a pass found is kept: the next one writes its lists anew.
keep() {
    local list
    for list in caught timeout unviable; do
        [ ! -f "$1/mutants.out/$list.txt" ] || cat "$1/mutants.out/$list.txt" >> "$1.$list"
    done
}
pass() { # FILE NAME LAW-CASES TESTS SECONDS
    local at=$out/${1//\//_}
    [ -f "$at.$2" ] && return
    sed -e "s|^examine_globs.*|examine_globs = [\"rcm-scd2/src/$1\"]|" \
        -e "s|^additional_cargo_test_args.*|additional_cargo_test_args = [$4]|" .cargo/mutants.toml > "$at.toml"
    local iterate=()
    if [ -d "$at/mutants.out" ]; then
        keep "$at"
        # Whoever is in that list is left out: who ran out of time once would do so each time.
        cat "$at/mutants.out/timeout.txt" >> "$at/mutants.out/caught.txt"
        iterate=(--iterate)
    fi
    # 2: some survived; 3: some ran out of time.
    RCM_SCD2_LAW_CASES=$3 cargo mutants --config "$at.toml" -p rcm-scd2 --in-place "${iterate[@]}" --baseline skip \
        --timeout "$5" --build-timeout 300 -o "$at" --colors never > "$at.log.$2" 2>&1 || [[ $? == [23] ]]
    keep "$at"
    touch "$at.$2"
}
count() { [ -f "$1" ] && sort -u "$1" | wc -l || echo 0; }
for file in "$@"; do
    pass "$file" 1 60 '"--test", "laws"' 20
    pass "$file" 2 150 "\"--lib\", \"--test\", \"conformance\", \"--test\", \"it\", \"--\", $slow" 40
done
for file in "$@"; do
    at=$out/${file//\//_}
    survived=$(count "$at/mutants.out/missed.txt")
    killed=$(sort -u "$at.caught" "$at.timeout" | wc -l)
    printf '%-24s %4d viable %4d killed %4d survived %4d not viable\n' "$file" $((killed + survived)) $killed $survived \
        "$(count "$at.unviable")"
done
cat $(for file in "$@"; do echo "$out/${file//\//_}/mutants.out/missed.txt"; done)
