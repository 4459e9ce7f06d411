#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# supd beside its peers and the physical limit, in one interleaved run.
#
#   SUPD_BENCH=DIR packaging/bench.sh [quick|full]
#
# DIR is the folder of the measuring harness (bench.py, adapters.py, src/). It is not part of this
# repository. What it needs: Python 3, gcc and musl-gcc for its four small programs, util-linux
# (unshare), root for the PID 1 rounds, and 16 000 descriptors (ulimit -n) for 5000 services.
# Peers are measured where they are installed (runit, s6, supervisor, tini, dumb-init, dinit …) and
# skipped where they are not. Nothing is installed here, and nothing is written into DIR.
#
# Results: target/bench/*.jsonl, one line a measurement; at the end a table with the bars, medians of
# the rounds and ratios within a round, and the same as target/bench/result.json
# (packaging/bench-report.py). Never compare absolute times; run it on a machine that does nothing
# else (docs/explanation/performance.md).
set -eu
cd "$(dirname "$0")/.."

how=${1:-quick}
case $how in
quick | full) ;;
*)
    echo "usage: SUPD_BENCH=DIR packaging/bench.sh [quick|full]" >&2
    exit 64
    ;;
esac
if [ ! -f "${SUPD_BENCH:-}/bench.py" ]; then
    echo "bench: \$SUPD_BENCH must name the folder of the measuring harness (the one with bench.py)" >&2
    exit 69
fi
for tool in python3 gcc musl-gcc unshare; do
    if ! command -v "$tool" >/dev/null; then
        echo "bench: \`$tool\` is missing" >&2
        exit 69
    fi
done

out=$PWD/target/bench
report=$PWD/packaging/bench-report.py
mkdir -p "$out/bin"
rm -f "$out"/*.jsonl
cp -r "$SUPD_BENCH/." "$out/harness"
chmod -R u+w "$out/harness"
export BENCH_BIN="$out/bin" PYTHONDONTWRITEBYTECODE=1

if [ ! -x "$BENCH_BIN/benchchild" ] || [ ! -x "$BENCH_BIN/orphans" ]; then
    src=$out/harness/src
    bare="-Os -static -nostdlib -nostartfiles -fno-stack-protector -fno-asynchronous-unwind-tables
        -Wl,--build-id=none -Wl,-z,norelro -Wl,-z,noseparate-code -s"
    arch=/usr/include/$(uname -m)-linux-gnu
    # shellcheck disable=SC2086 # a list of flags
    gcc $bare -o "$BENCH_BIN/benchchild" "$src/child.c"
    musl-gcc -O2 -static -s -idirafter /usr/include -idirafter "$arch" \
        -o "$BENCH_BIN/rawsup" "$src/rawsup.c"
    musl-gcc -Os -static -s -o "$BENCH_BIN/rawctl" "$src/rawctl.c"
    musl-gcc -O2 -static -s -o "$BENCH_BIN/orphans" "$src/orphans.c"
fi

if [ -z "${SUPD_BIN:-}" ] || [ -z "${SUPCTL_BIN:-}" ]; then
    make static
    built=$PWD/target/$(uname -m)-unknown-linux-gnu/release
    SUPD_BIN=$built/supd
    SUPCTL_BIN=$built/supctl
fi
export SUPD_BIN SUPCTL_BIN
ulimit -n "$(ulimit -Hn)"

logf=raw-real-log-clone3f
limits=raw,$logf
peers=runit-bin,runit,dinit,s6,supervisord
inits=tini,dumb-init,catatonit
run() {
    file=$1
    shift
    (cd "$out/harness" && timeout 1200 python3 bench.py "$@" --out "$out/$file.jsonl")
}

[ "$how" = quick ] && { rounds=1 samples=200 sizes=100,1000; }
[ "$how" = full ] && { rounds=3 samples=200 sizes=0,100,1000,5000; }
run size size --peers "raw,supd,$peers,$inits"
run restart-x restart-x --rounds "$rounds" --samples "$samples" --gap 0.006 \
    --peers "$limits,supd,supd-inherit,runit-bin,dinit"
run restart-hot restart-x --rounds "$rounds" --samples "$samples" --gap 0 \
    --peers "$limits,supd,supd-inherit,runit-bin,dinit"
[ "$how" = full ] && run restart-many restart-x --rounds "$rounds" --samples 60 --gap 0.006 \
    --services 5000 --peers "$limits,supd"
run restart restart --rounds "$rounds" --samples 100 --peers "$limits,supd,runit-bin,dinit"
run session session --n "$sizes" --rounds "$rounds" --mass 1 --peers "$limits,supd,$peers"
run start start --rounds 5 --peers "raw,supd,$peers,$inits"
run zombies zombies --rounds "$rounds" --peers "raw,supd,$inits"
run idle idle --n 1000 --secs 30 --peers raw,supd
[ "$how" = full ] && run idle idle --n 5000 --secs 60 --peers raw,supd

# Output: how fast a service that shouts is taken down.
logs() {
    dir=$out/logs
    mkdir -p "$dir"
    cat >"$dir/supd.toml" <<TOML
version = 1
[service.loud]
type = "oneshot"
shell = "yes 'sixty-four bytes of something that looks like a line of a log.' | head -c 1000000000"
TOML
    python3 - "$SUPD_BIN" "$dir" "$1" <<'PY'
import json, subprocess, sys, time
supd, place, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
words = [supd, "run", "-c", place + "/supd.toml", "--socket", place + "/s"]
begun = time.monotonic()
started = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
ended = any(b'"service.exited"' in line for line in started.stderr)
took = time.monotonic() - begun
started.terminate()
started.communicate()
assert ended, "the service has not ended"
print(json.dumps({"m": "logs", "peer": "supd", "round": number, "mb_per_s": 1000 / took}))
PY
}
for number in $(seq 1 "$rounds"); do logs "$number" >>"$out/logs.jsonl"; done

python3 "$report" "$out"
