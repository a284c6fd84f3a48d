#!/bin/sh
# run.sh TARGET [SECONDS]: fuzzes one target on one core, with 1 GB and 5 seconds for each input; prints a row of README.md's
# table at the end. New inputs stay in fuzz/corpus/TARGET, findings in fuzz/artifacts/TARGET.
set -eu
target=$1
seconds=${2:-600}
cd "$(dirname "$0")/.."
python3 fuzz/make_corpus.py > /dev/null
mkdir -p "fuzz/corpus/$target"
log=$(mktemp)
export RAYON_NUM_THREADS=1
status=0
cargo +nightly fuzz run -s none "$target" "fuzz/corpus/$target" -- \
    -dict=fuzz/dictionaries/checkpoint.dict -max_total_time="$seconds" -rss_limit_mb=1024 -timeout=5 -max_len=16384 \
    -print_final_stats=1 > "$log" 2>&1 || status=$?
tail -n 40 "$log"
last=$(grep -a ' cov: ' "$log" | tail -n 1)
of() { printf '%s' "$last" | sed -n "s/.* $1: \([^ ]*\).*/\1/p"; }
stat() { sed -n "s/^stat::$1: *//p" "$log"; }
printf '| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n' "$target" "$seconds s" \
    "$(stat number_of_executed_units)" "$(stat average_exec_per_sec)" "$(of cov)" "$(of ft)" "$(of corp)" \
    "$(stat peak_rss_mb) MB" "$([ "$status" = 0 ] && echo none || echo found)"
rm -f "$log"
exit "$status"
