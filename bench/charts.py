"""Line charts as SVG, by hand: steps along x, a logarithmic scale along y, each line named at its end."""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 860, 420
LEFT, RIGHT, TOP, BOTTOM = 76, 260, 44, 52
GAP = 15  # between the names of two lines
COLORS = ("#0b5fff", "#6b7280", "#d97706", "#059669", "#be123c", "#7c3aed", "#0e7490", "#92400e")


def chart(
    title: str, x_name: str, y_name: str, steps: Sequence[float], lines: Mapping[str, Mapping[float, float]]
) -> str:
    """Draw a line chart.

    Parameters
    ----------
    steps : the values along x, at equal distances
    lines : by name, the values by step; the first line is drawn strong
    """
    values = [value for line in lines.values() for value in line.values() if value > 0]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * list(steps).index(step) / max(len(steps) - 1, 1)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (math.log10(value) - low) / (high - low)

    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="12" role="img" aria-label="{escape(title)}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        text(LEFT, 24, title, size=15, weight="bold"),
        text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x_name, anchor="middle"),
        f'<g transform="rotate(-90 18 {(TOP + HEIGHT - BOTTOM) / 2:.0f})">'
        f"{text(18, (TOP + HEIGHT - BOTTOM) / 2, y_name, anchor='middle')}</g>",
    ]
    for power in range(low, high + 1):
        across = y(10.0**power)
        drawn.append(
            f'<path d="M{LEFT} {across:.1f}H{WIDTH - RIGHT}" stroke="#e5e7eb"/>'
            f"{text(LEFT - 8, across + 4, figure(10.0**power), anchor='end')}"
        )
    drawn += [text(x(step), HEIGHT - BOTTOM + 18, figure(step), anchor="middle") for step in steps]
    drawn += named(lines, x, y)
    return "\n".join([*drawn, "</svg>\n"])


def named(
    lines: Mapping[str, Mapping[float, float]], x: Callable[[float], float], y: Callable[[float], float]
) -> list[str]:
    """Draw the lines, their points, and their names beside their ends."""
    drawn = []
    ends = []
    for number, (name, line) in enumerate(lines.items()):
        points = [(x(step), y(value)) for step, value in line.items() if value > 0]
        if not points:
            continue
        color, width = COLORS[number % len(COLORS)], 3 if number == 0 else 1.5
        path = "L".join(f"{across:.1f} {down:.1f}" for across, down in points)
        drawn.append(f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="{width}"/>')
        drawn += [f'<circle cx="{a:.1f}" cy="{d:.1f}" r="{width + 1}" fill="{color}"/>' for a, d in points]
        ends.append((points[-1][1], name, color, "bold" if number == 0 else "normal"))
    below = float(TOP)
    for down, name, color, weight in sorted(ends):
        below = max(down + 4, below + GAP)
        drawn.append(text(WIDTH - RIGHT + 14, below, name, color=color, weight=weight))
    return drawn


def text(
    x: float, y: float, words: str, *, size: int = 12, weight: str = "normal", anchor: str = "start",
    color: str = "#111827",
) -> str:  # fmt: skip
    """Return words at a place."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{color}">{escape(words)}</text>'
    )


def figure(value: float) -> str:
    """Return a number as people write it: 10,000, not 10000.0."""
    return f"{value:,.0f}" if value >= 1 or value == 0 else f"{value:g}"
