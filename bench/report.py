"""Prints results as tables."""


def three(s, digits=1):
    return f"{s['median']:.{digits}f} ({s['min']:.{digits}f} … {s['max']:.{digits}f})"


def http_cell(title, cell):
    print(f"\n{title}\n{'':30} {'requests/s: median (min … max)':34} "
          f"{'p50 us':>8} {'p99 us':>8} {'CPU us/request':>22}")
    for name, r in cell.items():
        print(f"{name:30} {three(r['rps'], 0):34} {r['p50_us']['median']:8.0f} "
              f"{r['p99_us']['median']:8.0f} {three(r['cpu_us']):>22}", flush=True)


def trees(table):
    models = ("rf", "digits", "gb", "lgbm")
    print(f"\n{'ns a row: one at a time / batch':34}" + "".join(f"{m:>18}" for m in models))
    for engine, rows in table.items():
        print(f"{engine:34}" + "".join(
            f"{_pair(rows[m]):>18}" if m in rows else f"{'-':>18}" for m in models), flush=True)


def _pair(r):
    return " / ".join(f"{r[k]['median']:.0f}" if k in r else "-" for k in ("one", "batch"))
