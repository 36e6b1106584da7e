"""Figures as text: the terminal's tables and results.md."""

import history


def ns(value):
    return f"{value:.0f}"


def us(value):
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def ms(value):
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def ratio(value):
    return f"{value:.2f}x" if value < 100 else f"{value:.0f}x"


def grid(header, rows):
    """Rows in aligned columns, the first to the left and the others to the right."""
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]

    def line(cells):
        first, *others = zip(cells, widths)
        return "  ".join([f"{first[0]:<{first[1]}}", *(f"{c:>{w}}" for c, w in others)]).rstrip()

    return "\n".join([line(header), "  ".join("-" * w for w in widths), *map(line, rows)])


def markdown(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def target_cells(target):
    """Bound, measured and met."""
    bound = "at least" if target.at_least else "at most"
    shown = {"x": ratio, "us": lambda v: us(v) + " us", "ms": lambda v: f"{v:.0f} ms",
             "ns": lambda v: f"{v:.1f} ns"}[target.unit]
    return [f"{bound} {shown(target.limit)}", shown(target.measured), "yes" if target.met() else "NO"]


def target_rows(reports):
    return [[t.what, *target_cells(t)] for report in reports for t in report.targets]


def history_rows(past):
    """A line for each release of each target, the target named in its first line."""
    rows, before = [], None
    for what, release, target in history.by_target(past):
        rows.append([what if what != before else "", release, *target_cells(target)])
        before = what
    return rows


TARGET_HEADER = ["target", "bound", "measured", "met"]
HISTORY_HEADER = ["target", "release", "bound", "measured", "met"]


def as_text(reports):
    parts = []
    for report in reports:
        parts.append(f"== {report.title} ==")
        for table in report.tables:
            parts.append(f"{table.title}\n\n{grid(table.header, table.rows)}")
            if table.note:
                parts.append(table.note)
    rows = target_rows(reports)
    if rows:
        parts.append("== Targets ==\n\n" + grid(TARGET_HEADER, rows))
    return "\n\n".join(parts)


def as_markdown(reports, machine, past):
    """results.md; past: the targets of all releases, this one's included."""
    parts = ["# Benchmarks", f"Written by `make bench`. Machine: {machine}.",
             "Times are medians over rounds in alternating order; ratios and differences are taken within "
             "a round and are medians too. The C twins (bench/twins) are hand-written C triggers that do "
             "the same work: the floor."]
    rows = target_rows(reports)
    if rows:
        parts += ["## Targets", markdown(TARGET_HEADER, rows)]
    for report in reports:
        parts.append(f"## {report.title}")
        parts += [f"![{title}](plots/{name})" for name, title, _ in report.plots]
        for table in report.tables:
            parts += [f"### {table.title}", markdown(table.header, table.rows)]
            if table.note:
                parts.append(table.note)
    if past:
        parts += ["## Releases",
                  "What each release measured (`history.csv`); the last line of a target is that of the tables "
                  "above.",
                  markdown(HISTORY_HEADER, history_rows(past)),
                  *(f"{release}: {ran_on}." for release, ran_on in history.machines(past).items())]
    return "\n\n".join(parts) + "\n"
