#!/usr/bin/env bash
# rcm-scd2 as another team takes it: a new package with it alone, and the program of its README. The program (the
# first ```rust block) must print what the README says it prints (the ```text block after it).
# Says how long a cold build takes. Needs no network where the workspace has been built.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
readme=$root/rcm-scd2/README.md
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
fail() { echo "FAILED: $*" >&2; exit 1; }

# The block begins at the fence of that language; a text block counts only after the program.
awk '/^```rust$/ { inside = 1; next } /^```$/ && inside { exit } inside' "$readme" >"$work/src/main.rs"
# One program reads the page to its end: a pipe that is closed early would be an error.
awk '/^```rust$/ { after = 1 } /^```text$/ && after == 1 { after = 2; next } /^```$/ && after == 2 { after = 3 } after == 2' \
    "$readme" >"$work/expected"
[ -s "$work/src/main.rs" ] || fail "rcm-scd2/README.md has no rust block"
[ -s "$work/expected" ] || fail "rcm-scd2/README.md has no text block after its program"

cat >"$work/Cargo.toml" <<EOF
[package]
name = "standalone"
version = "0.0.0"
edition = "2024"

[dependencies]
rcm-scd2 = { path = "$root/rcm-scd2" }

[workspace]
EOF
# The versions that the workspace has; cargo drops what is not needed.
cp Cargo.lock "$work/"
export CARGO_TARGET_DIR=$work/target
started=$SECONDS
cargo build --quiet --manifest-path "$work/Cargo.toml"
seconds=$((SECONDS - started))
tree=$(cargo tree --manifest-path "$work/Cargo.toml" -e normal --prefix none --no-dedupe)
crates=$(sed 's/ (.*//' <<<"$tree" | sort -u | wc -l)
echo "cold build: ${seconds}s for $crates crates, this one among them"
cargo run --quiet --manifest-path "$work/Cargo.toml" >"$work/printed"
diff -u --label "rcm-scd2/README.md" --label "printed" "$work/expected" "$work/printed" \
    || fail "the README's program prints something else"
echo "the README's program prints what the README says"
