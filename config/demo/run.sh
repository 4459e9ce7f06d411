#!/bin/sh
# Runs the tree of demo.toml, breaks it on purpose and shows how it heals. Ends 0 when every part
# of the story went as told, within a minute; kills nothing but what it started.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
bin=${SUPD_BIN_DIR:-$here/../../target/release}
bin=$(cd "$bin" && pwd)
PATH=$bin:$PATH
DEMO=$(mktemp -d "${TMPDIR:-/tmp}/supd-demo.XXXXXX")
export PATH DEMO
socket=$DEMO/supd.sock
daemon=

bold=''; plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$(printf '\033[1m'); plain=$(printf '\033[0m'); fi

clean_up() {
    status=$?
    if [ -n "$daemon" ] && kill -0 "$daemon" 2>/dev/null; then
        kill -TERM "$daemon" 2>/dev/null || true
        wait "$daemon" 2>/dev/null || true
    fi
    rm -rf "$DEMO"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

ctl() { supctl --socket "$socket" "$@"; }
title() { printf '\n%s== %s%s\n' "$bold" "$1" "$plain"; }
shown() { printf '$ supctl %s\n' "$*"; ctl "$@"; }
failed() { printf 'demo: %s\n' "$1" >&2; printf -- '--- supd said:\n' >&2; cat "$DEMO/log" >&2; exit 1; }
# field NODE JSON-KEY: one value of a node's status.
field() { ctl --json status "$1" | sed -n "s/.*\"$2\":\([0-9][0-9]*\).*/\1/p" | head -n 1; }
pid_of() { field "$1" pid; }
last_seq() { ctl --json events | sed -n 's/.*"seq":\([0-9]*\).*/\1/p' | tail -n 1; }
story() { ctl events --since "$1" | sed 's/^/    /'; }
same() { [ "$1" = "$2" ] || failed "$3 ($1, $2)"; }
differs() { [ "$1" != "$2" ] || failed "$3 ($1)"; }

title "A tree of a dozen services"
supd run --config "$here/demo.toml" --socket "$socket" >"$DEMO/log" 2>&1 &
daemon=$!
ctl --quiet --timeout 10s wait --ready root || failed "the tree did not come up"
shown status

title "A crash under one_for_one: shodan dies, ares and justice do not notice"
seq=$(last_seq); ares=$(pid_of ares); shodan=$(pid_of shodan)
shown signal ABRT shodan
ctl --timeout 5s events --since "$seq" --until service.ready:shodan >/dev/null || failed "shodan is not back"
story "$seq"
same "$ares" "$(pid_of ares)" "ares was touched"
differs "$shodan" "$(pid_of shodan)" "shodan was not restarted"

title "one_for_all: the collector dies, the whole pipeline is renewed in order"
seq=$(last_seq); coordinator=$(pid_of coordinator)
shown signal KILL collector
ctl --timeout 5s events --since "$seq" --until service.ready:collector >/dev/null || failed "the pipeline is not back"
story "$seq"
differs "$coordinator" "$(pid_of coordinator)" "the coordinator was not renewed"

title "rest_for_one: the cache dies, api goes with it, the database stays"
seq=$(last_seq); database=$(pid_of database); api=$(pid_of api)
shown signal KILL cache
ctl --timeout 5s events --since "$seq" --until service.ready:api >/dev/null || failed "the stack is not back"
story "$seq"
same "$database" "$(pid_of database)" "the database was touched"
differs "$api" "$(pid_of api)" "the api was not renewed"

title "One restart too many: shaky gives up, the root starts it anew, it heals"
seq=$(last_seq)
echo 3 >"$DEMO/fuse"
shown signal KILL metronome
ctl --timeout 10s events --since "$seq" --until supervisor.escalated:shaky >/dev/null || failed "shaky did not give up"
ctl --timeout 10s wait --ready shaky || failed "shaky did not heal"
story "$seq"
shown status shaky

title "A cause that is known: keeper is killed, its lock is removed before it starts again"
seq=$(last_seq)
shown signal KILL keeper
ctl --timeout 10s events --since "$seq" --until service.ready:keeper >/dev/null || failed "keeper is not back"
story "$seq"

title "A cause that is not: shy fails three times, is held, and tried later; keeper does not notice"
seq=$(last_seq); keeper=$(pid_of keeper)
echo 2 >"$DEMO/shy"
shown signal KILL shy
ctl --timeout 10s events --since "$seq" --until service.held:shy >/dev/null || failed "shy was not held"
shown status healing
shown why shy
ctl --timeout 10s events --since "$seq" --until service.starting:shy >/dev/null
ctl --timeout 20s wait --ready shy || failed "shy was not tried again"
shown status shy
same "$keeper" "$(pid_of keeper)" "keeper was touched"

title "The same on paper: what would happen if shy failed for ever"
shown simulate -c "$here/demo.toml" "shy exits 1 x5" --until 20s

title "And on purpose: is the stack renewed as its file says?"
shown drill cache --yes
[ "$(ctl --json drill api --exit 3 --yes | grep -c '"verdict":"held"')" = 1 ] || failed "the drill deviated"

title "A service that ignores SIGTERM: killed after its second, with its own child"
seq=$(last_seq)
shown --timeout 10s stop mule
story "$seq"

title "The end: everything stops in reverse order"
shown status
kill -TERM "$daemon"
code=0; wait "$daemon" || code=$?
daemon=
grep -E 'stopped|stopping' "$DEMO/log" | tail -n 30
[ "$code" = 0 ] || failed "supd ended with $code"
title "Healed $(grep -c -- '-> restart' "$DEMO/log") times, ended 0"
