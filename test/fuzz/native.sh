#!/bin/sh
# Sanitizers over the native relay's C, without Node and for a bounded time: the frame cursor, ClientHellos and
# TLS under libFuzzer with ASan and UBSan, then random tunnels (relay-stress.c), dials (dial-stress.c), clients
# (listener-stress.c) and processes that pass their descriptors on (fd-passing-stress.c) under ASan with its leak checker, the same where memory is short, under TSan, and under
# valgrind.
#   test/fuzz/native.sh [seconds]        what is not installed is left out, with a line that says so
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$here/../..
seconds=${1:-20}
work=$root/coverage/fuzz-native
corpus=$work/cursor
mkdir -p "$corpus"

clang=${CLANG:-}
for name in clang clang-20 clang-19 clang-18 clang-17 clang-16 clang-15 clang-14; do
  [ -n "$clang" ] || clang=$(command -v "$name" || true)
done
if [ -n "$clang" ]; then
  "$clang" -std=c11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
    -o "$work/cursor-fuzz" "$here/cursor-fuzz.c" "$root/src/relay/native/c/cursor.c"
  # Whole frames to start from: text, masked text, fragments with a ping between, each length form, a Close, lost ones.
  printf 'a\201\005Hello' >"$corpus/text"
  printf 'b\201\205\067\372\041\075\177\237\115\121\130' >"$corpus/masked"
  printf 'c\001\003Hel\211\001x\200\002lo\210\002\003\350' >"$corpus/fragments"
  printf 'd\202\176\000\004abcd\202\177\000\000\000\000\000\000\000\003abc' >"$corpus/lengths"
  printf 'e\210\202\001\002\003\004\002\352' >"$corpus/close"
  printf 'f\202\177\200\000\000\000\000\000\000\000' >"$corpus/lost-length"
  printf 'g\211\176\000\176' >"$corpus/lost-control"
  printf 'h\011\000' >"$corpus/lost-fragment"
  "$clang" -std=c11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
    -o "$work/client-hello-fuzz" "$here/client-hello-fuzz.c" "$root/src/relay/native/c/client-hello.c"
  mkdir -p "$work/client-hello"
  "$work/client-hello-fuzz" -max_total_time="$seconds" -max_len=18000 -timeout=5 -verbosity=0 -print_final_stats=1 \
    -artifact_prefix="$work/crash-hello-" "$work/client-hello" "$root/test/fixtures/corpus/client-hello"
  set -- "$here/tls-fuzz.c"
  for part in tls tls-context client-hello openssl; do set -- "$@" "$root/src/relay/native/c/$part.c"; done
  "$clang" -std=c11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
    -o "$work/tls-fuzz" "$@" -l:libssl.so.3 -l:libcrypto.so.3
  mkdir -p "$work/tls"
  # A whole handshake of each version, and then octets there and back, an update of keys, a change, an end.
  printf '\001\001\001\001\001\001\000\310\002\003\377\004\377\005\011\002\003\377' >"$work/tls/whole"
  printf '\000\001\001\001\001\001\000\310\001\005\003\012\002\003\377' >"$work/tls/pieces"
  printf '\003\001\001\001\001\001\020\002\003\377\004\377\000\020\007\020\001\003\377' >"$work/tls/changed"
  # Answers to updates of keys that a full socket does not take.
  printf '\003\001\001\000\001\001\360\375\000\003\37788\012\000\000\000888888888888\036' >"$work/tls/answers-wait"
  "$work/tls-fuzz" -max_total_time="$seconds" -max_len=600 -timeout=20 -verbosity=0 -print_final_stats=1 \
    -artifact_prefix="$work/crash-tls-" "$work/tls"
  "$work/cursor-fuzz" -max_total_time="$seconds" -max_len=4096 -timeout=5 -verbosity=0 -print_final_stats=1 \
    -artifact_prefix="$work/crash-" "$corpus"
else
  echo 'left out: libFuzzer needs clang'
fi

stress() { # name, how many tunnels, dials or clients, compiler flags
  name=$1 count=$2
  shift 2
  set -- -std=c11 -g -O1 -pthread -Wall -Wextra "$@" -DCLOSE_WAIT_MS=60 -DANY_BOUNDARY_MS=20 -DHALF_CLOSED_MS=100 -DTRIM_HANDSHAKES=5 -DTRIM_QUIET_MS=1
  # Compiled once for all four programs: with sanitizers that takes longer than what they run.
  parts="$work/$name"
  rm -rf "$parts" && mkdir -p "$parts"
  for part in worker tunnel ping ending conn pipe timer-wheel cursor dial listener fd-passing tls tls-context client-hello openssl; do
    "${CC:-cc}" "$@" -c -o "$parts/$part.o" "$root/src/relay/native/c/$part.c"
  done
  for what in relay dial listener fd-passing; do
    "${CC:-cc}" "$@" -o "$work/$what-$name" "$parts"/*.o "$here/$what-stress.c"
    # A tunnel carries much, and its receivers take their time.
    some=$count
    [ "$what" != relay ] || some=$((count / 5))
    for seed in 1 2 3; do
      said=$($runner "$work/$what-$name" "$some" "$seed")
      echo "$name, seed $seed: $said"
    done
  done
  # The clients' side of TLS: the library of openssl, which node does not need. Its clients are OpenSSL's work.
  "${CC:-cc}" "$@" -o "$work/tls-$name" "$parts"/*.o "$here/tls-stress.c" -l:libssl.so.3 -l:libcrypto.so.3
  said=$($runner "$work/tls-$name" "$((count / 25 + 40))" 1)
  echo "$name, TLS: $said"
}
runner=
stress asan 3000 -fsanitize=address,undefined -fno-sanitize-recover=undefined
stress starved 1000 -fsanitize=address,undefined -fno-sanitize-recover=undefined -DSTARVED \
  -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=getrandom
stress tsan 2000 -fsanitize=thread
if command -v valgrind >/dev/null; then
  runner='valgrind -q --leak-check=full --error-exitcode=9'
  stress valgrind 300
else
  echo 'left out: valgrind is not installed'
fi
