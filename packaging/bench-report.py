#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""What packaging/bench.sh has measured, as one table and as result.json.

    packaging/bench-report.py DIR      (DIR: where the *.jsonl of the rounds are)

Each row is the median of the rounds. Ratios are made within a round, against what ran interleaved
with it, and then the median of the ratios is taken: absolute times of a busy machine mean nothing.
Never judges what was not measured: such a row says so.
"""
import json
import statistics
import sys
from pathlib import Path

LOGF = "raw-real-log-clone3f"
NOT_PEERS = {"raw", LOGF, "supd", "supd-inherit"}


def rows_of(folder):
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            if "err" not in row:
                yield {**row, "file": path.stem}


class Measured:
    """Everything of one run, by what it is."""

    def __init__(self, rows):
        self.rows = list(rows)

    def by_round(self, peer, value, **where):
        """A peer's value in each round; several of one round are their median."""
        found = {}
        for row in self.rows:
            fits = row.get("peer") == peer and all(row.get(k) == v for k, v in where.items())
            got = value(row) if fits else None
            if got is not None:
                found.setdefault(row.get("round", 0), []).append(got)
        return {number: statistics.median(values) for number, values in found.items()}

    def median(self, peer, value, **where):
        values = self.by_round(peer, value, **where).values()
        return statistics.median(values) if values else None

    def ratio(self, value, to, **where):
        ours, theirs = (self.by_round(peer, value, **where) for peer in ("supd", to))
        both = [ours[n] / theirs[n] for n in ours if theirs.get(n)]
        return statistics.median(both) if both else None

    def best_peer(self, value, **where):
        names = {row.get("peer") for row in self.rows} - NOT_PEERS - {None}
        found = [(self.median(name, value, **where), name) for name in names]
        found = [(got, name) for got, name in found if got is not None]
        return min(found) if found else None


def at(*keys):
    def look(row):
        for key in keys:
            row = row.get(key) if isinstance(row, dict) else None
        if isinstance(row, list):
            return statistics.median(row) if row else None
        return row

    return look


def row(name, value, unit, ratio=None, bar=None, peer=None):
    met = None if ratio is None or bar is None else ratio <= bar[0]
    return {"what": name, "supd": value, "unit": unit, "ratio": ratio,
            "bar": bar and f"<= {bar[0]:g} {bar[1]}", "met": met, "peer": peer}


def restarts(m):
    here = {"file": "restart-x"}
    p50, p99, cpu = at("us", "p50"), at("us", "p99"), at("own_cpu_us_per_restart")
    yield row("restart, 60 services, p50", m.median("supd", p50, **here), "us",
              m.ratio(p50, LOGF, **here), (1.15, "x logf"), m.best_peer(p50, **here))
    yield row("restart, 60 services, p99", m.median("supd", p99, **here), "us",
              m.ratio(p99, LOGF, **here), (1.25, "x logf"), m.best_peer(p99, **here))
    hot = {"file": "restart-hot"}
    yield row("restart without pauses, p50", m.median("supd", p50, **hot), "us",
              m.ratio(p50, LOGF, **hot), (1.15, "x logf"), m.best_peer(p50, **hot))
    many = {"file": "restart-many"}
    few, lots = m.median("supd", p50, **here), m.median("supd", p50, **many)
    growth = lots / few if few and lots else None
    yield row("restart, 5000 services, p50: growth", lots, "us", growth, (1.2, "x that of 60"))
    yield row("restart, 5000 services, p50", lots, "us", m.ratio(p50, "raw", **many), (1.0, "x raw"))
    yield row("CPU for each restart", m.median("supd", cpu), "us", m.ratio(cpu, "raw"),
              (1.3, "x raw"), m.best_peer(cpu))


def sessions(m):
    up, mass, stop = at("up_s"), at("mass_s"), at("stop_all_s")
    for n in (100, 1000, 5000):
        where = {"m": "session", "n": n}
        yield row(f"bring-up of {n}", m.median("supd", up, **where), "s",
                  m.ratio(up, LOGF, **where), (1.2, "x logf"), m.best_peer(up, **where))
    some, many = (m.median("supd", up, m="session", n=n) for n in (1000, 5000))
    growth = many / some if some and many else None
    yield row("bring-up: 5000 beside 1000", many, "s", growth, (5.2, "x"))
    for n in (1000, 5000):
        where = {"m": "session", "n": n}
        yield row(f"all {n} killed at once until all run", m.median("supd", mass, **where), "s",
                  m.ratio(mass, LOGF, **where), (1.2, "x logf"), m.best_peer(mass, **where))
    where = {"m": "session", "n": 1000}
    yield row("stop of 1000, one after another", m.median("supd", stop, **where), "s",
              m.ratio(stop, LOGF, **where), None, m.best_peer(stop, **where))
    for name, key, bar in (("one status", "ctl_one_ms", 2), ("1000 statuses", "ctl_all_ms", 5)):
        value = at(key, "p50")
        got = m.median("supd", value, **where)
        yield row(f"{name} of 1000 services, whole client", got, "ms", got, (bar, "ms"),
                  m.best_peer(value, **where))


def memory(m):
    pss = at("mem", "pss")
    known = {n: m.median("supd", pss, m="session", n=n) for n in (0, 100, 1000, 5000)}
    base = known[0]
    yield row("memory, no service (PSS)", base, "KB", base, (2048, "KB"))
    low, high = (1000, 5000) if known[5000] else (100, 1000)
    slope = (known[high] - known[low]) / (high - low) if known[high] and known[low] else None
    yield row(f"memory per service, {low} to {high}", slope, "KB", slope, (1, "KB"))


def rest(m):
    for n in (1000, 5000):
        wakes = m.median("supd", at("vol_per_s"), m="idle", n=n)
        yield row(f"idle with {n}: wake-ups", wakes, "/s", wakes, (0, "/s"))
    seconds, cpu = at("s"), at("init_cpu_ms")
    where = {"m": "zombies", "mode": "atonce"}
    yield row("10 000 orphans at once: time", m.median("supd", seconds, **where), "s",
              m.ratio(seconds, "raw", **where), (1.1, "x raw"), m.best_peer(seconds, **where))
    yield row("10 000 orphans at once: CPU", m.median("supd", cpu, **where), "ms",
              m.ratio(cpu, "raw", **where), (1.3, "x raw"), m.best_peer(cpu, **where))
    start = m.median("supd", at("ms"), m="start")
    yield row("start until the first child runs", start, "ms", start, (2, "ms"),
              m.best_peer(at("ms"), m="start"))
    logs = m.median("supd", at("mb_per_s"), m="logs")
    taken = row("output taken from one service", logs, "MB/s")
    yield {**taken, "bar": ">= 300 MB/s", "met": None if logs is None else logs >= 300}
    for found in m.rows:
        if found.get("m") == "size" and found.get("peer") == "supd":
            for path, size in found["files"].items():
                yield row(f"size of {Path(path).name}", size / 1e6, "MB", size / 1e6, (3, "MB"))


def number(value):
    if value is None:
        return "not measured"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def show(rows):
    print(f"{'what':44} {'supd':>14} {'ratio':>7}  {'bar':18} {'':8} best peer")
    for r in rows:
        relative = r["ratio"] is not None and r["ratio"] != r["supd"]
        ratio = f"{r['ratio']:.2f}" if relative else ""
        unit = "" if r["supd"] is None else " " + r["unit"]
        met = {True: "met", False: "MISSED", None: ""}[r["met"]]
        peer = f"{r['peer'][1]} {number(r['peer'][0])}{unit}" if r["peer"] else ""
        line = f"{r['what']:44} {number(r['supd']) + unit:>14} {ratio:>7}"
        print(f"{line}  {r['bar'] or '':18} {met:8} {peer}".rstrip())


def main():
    folder = Path(sys.argv[1])
    measured = Measured(rows_of(folder))
    parts = (restarts, sessions, memory, rest)
    rows = [r for part in parts for r in part(measured)]
    show(rows)
    (folder / "result.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(f"\nmedians of the rounds; ratios within a round. {folder / 'result.json'} has the same.")


main()
