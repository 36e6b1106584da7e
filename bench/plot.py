"""Small SVG charts that read on light and dark pages."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 200, 40, 48
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]
STYLE = ("text{font:12px sans-serif;fill:#222}.title{font-size:14px;font-weight:bold}"
         ".axis{stroke:#777}.grid{stroke:#ddd}.paper{fill:#fff}")


def _page(title, body):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'role="img" aria-label="{escape(title)}">\n<style>{STYLE}</style>\n'
            f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>\n'
            f'<text class="title" x="{LEFT}" y="22">{escape(title)}</text>\n'
            + "\n".join(body) + "\n</svg>\n")


def _text(x, y, text, anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x1, y1, x2, y2, kind):
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _short(value):
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def lines(title, x_name, y_name, xs, series):
    """Lines over logarithmic axes; series: name -> one positive value for each x."""
    values = [v for ys in series.values() for v in ys if v > 0]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)
    left, right = math.log10(xs[0]), math.log10(xs[-1])

    def px(x):
        return LEFT + (math.log10(x) - left) / (right - left) * (WIDTH - LEFT - RIGHT)

    def py(y):
        return HEIGHT - BOTTOM - (math.log10(y) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    body = []
    for power in range(low, high + 1):
        y = py(10.0 ** power)
        body += [_line(LEFT, y, WIDTH - RIGHT, y, "grid"),
                 _text(LEFT - 6, y + 4, _short(10.0 ** power), "end")]
    for x in xs:
        body += [_line(px(x), HEIGHT - BOTTOM, px(x), HEIGHT - BOTTOM + 5, "axis"),
                 _text(px(x), HEIGHT - BOTTOM + 18, _short(x), "middle")]
    body += [_line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "axis"),
             _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x_name, "middle"),
             _text(LEFT - 50, TOP - 4, y_name)]
    for (name, ys), colour in zip(series.items(), COLOURS):
        points = [(px(x), py(y)) for x, y in zip(xs, ys) if y > 0]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        body.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        body += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        at = TOP + 14 + 20 * list(series).index(name)
        body += [f'<rect x="{WIDTH - RIGHT + 12}" y="{at - 9}" width="10" height="10" fill="{colour}"/>',
                 _text(WIDTH - RIGHT + 28, at, name)]
    return _page(title, body)


def bars(title, unit, values):
    """One horizontal bar for each name; values: name -> number."""
    top, step = TOP + 8, (HEIGHT - TOP - 20) / max(len(values), 5)
    start, longest = 190, max(values.values())
    body = []
    for i, (name, value) in enumerate(values.items()):
        y, width = top + i * step, value / longest * (WIDTH - start - 90)
        body += [_text(start - 8, y + step * 0.45, name, "end"),
                 f'<rect x="{start}" y="{y:.1f}" width="{width:.1f}" height="{step * 0.6:.1f}" '
                 f'fill="{COLOURS[0] if "raceguard" in name else "#999"}"/>',
                 _text(start + width + 6, y + step * 0.45, f"{value:.3g} {unit}")]
    return _page(title, body)
