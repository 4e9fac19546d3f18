#!/bin/sh
# Fuzzes the C frame cursor with libFuzzer under ASan and UBSan for a bounded time.
#   test/fuzz/native.sh [seconds]        CLANG names the compiler; its corpus grows in coverage/fuzz-cursor
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$here/../..
clang=${CLANG:-}
for name in clang clang-20 clang-19 clang-18 clang-17 clang-16 clang-15 clang-14; do
  [ -n "$clang" ] || clang=$(command -v "$name" || true)
done
[ -n "$clang" ] || { echo 'test/fuzz/native.sh needs clang with libFuzzer'; exit 2; }
corpus=$root/coverage/fuzz-cursor
mkdir -p "$corpus"
"$clang" -std=c11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
  -o "$corpus.bin" "$here/cursor-fuzz.c" "$root/src/relay/cursor.c"
# Whole frames to start from: text, masked text, fragments with a ping between, each length form, a Close, lost ones.
printf 'a\201\005Hello' >"$corpus/text"
printf 'b\201\205\067\372\041\075\177\237\115\121\130' >"$corpus/masked"
printf 'c\001\003Hel\211\001x\200\002lo\210\002\003\350' >"$corpus/fragments"
printf 'd\202\176\000\004abcd\202\177\000\000\000\000\000\000\000\003abc' >"$corpus/lengths"
printf 'e\210\202\001\002\003\004\002\352' >"$corpus/close"
printf 'f\202\177\200\000\000\000\000\000\000\000' >"$corpus/lost-length"
printf 'g\211\176\000\176' >"$corpus/lost-control"
printf 'h\011\000' >"$corpus/lost-fragment"
exec "$corpus.bin" -max_total_time="${1:-20}" -max_len=4096 -timeout=5 -print_final_stats=1 -artifact_prefix="$corpus.crash-" "$corpus"
