"""The page's charts as SVG: made here, so that they need no script, follow the page's colours, and can be read aloud.

Every text that comes from a project passes through `escape`.
"""

from collections.abc import Callable, Iterable, Sequence
from urllib.parse import quote

from markupsafe import Markup, escape

from aftertone.page.search import Point
from aftertone.status.document import ClassMetrics, Interval, Measured, RandomShareStatus, RoundStatus
from aftertone_model.evaluation.estimate import TOO_FEW

WIDTH, HEIGHT = 640, 250
Place = Callable[[float], float]  # a figure -> where it is drawn
LEFT, RIGHT, TOP, BOTTOM = 42, 12, 12, 34  # margins of the learning curve


def _picture(kind: str, name: str, width: int, height: int, parts: Iterable[str]) -> Markup:
    return Markup(
        f'<svg class="{kind}" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(name)}">'
        f"{''.join(parts)}</svg>"
    )


def learning_curve(rounds: Sequence[RoundStatus]) -> Markup:
    """UA with its interval and macro-F1 against labels, one point a round; '' before two rounds are measured.

    Beside them UA on the random share, with its interval, a point for as many rounds as it needs.
    """
    points = [(record.labels, *main_figures(record.metrics)) for record in rounds if record.metrics is not None]
    if len(points) < 2:
        return Markup("")
    shares = [(one.labels, main_figures(one.metrics)[0]) for one in random_shares(rounds)]
    most = max(labels for labels, *_ in points)
    least = min(0.0, *(_low(first) for _, first, _ in points), *(_low(first) for _, first in shares))

    def x(labels: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * labels / max(most, 1)

    def y(figure: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (figure - least) / (1 - least))

    def line(kind: str, each: Iterable[tuple[int, float]]) -> str:
        return f'<polyline class="{kind}" points="{" ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in each)}"/>'

    ended = [(labels, first.ends) for labels, first, _ in points if first.ends is not None]
    upper = [(x(labels), y(high)) for labels, (_, high) in ended]
    lower = [(x(labels), y(low)) for labels, (low, _) in reversed(ended)]
    band = " ".join(f"{a:.1f},{b:.1f}" for a, b in [*upper, *lower])
    parts = [*_grid(x, y, least, most), f'<polygon class="band" points="{band}"/>']
    parts.append(line("first", ((labels, first.value) for labels, first, _ in points)))
    seconds = [(labels, second.value) for labels, _, second in points if second is not None]
    if seconds:
        parts.append(line("second", seconds))
    for labels, first, _ in points:
        said = f"{labels} labels: {written(first)}"
        parts.append(
            f'<circle class="first" cx="{x(labels):.1f}" cy="{y(first.value):.1f}" r="4"><title>{said}</title></circle>'
        )
    parts += [_share_point(x(labels), y, labels, figure) for labels, figure in shares]
    names = " and ".join(figure_names(rounds[-1].metrics))
    return _picture("curve", f"Learning curve: {names} on the test set against labels", WIDTH, HEIGHT, parts)


def random_shares(rounds: Sequence[RoundStatus]) -> list[RandomShareStatus]:
    """What rounds know of the random share, oldest first."""
    return [record.random_share for record in rounds if record.random_share is not None]


def _share_point(x: float, y: Place, labels: float, figure: Interval) -> str:
    """A diamond with its interval."""
    said = f"random share, rounds with {labels:.0f} labels on average: {written(figure)}"
    whisker = ""
    if figure.ends is not None:
        low, high = map(y, figure.ends)
        whisker = f'<path class="whisker share" d="M{x - 4:.1f} {high:.1f}h8M{x:.1f} {high:.1f}V{low:.1f}m-4 0h8"/>'
    diamond = f'<path class="share" d="M{x:.1f} {y(figure.value) - 6:.1f}l6 6l-6 6l-6 -6z"><title>{said}</title></path>'
    return whisker + diamond


def _grid(x: Place, y: Place, least: float, most: int) -> Iterable[str]:
    for step in range(5):
        figure = least + (1 - least) * step / 4
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(figure):.1f}" y2="{y(figure):.1f}"/>'
        yield f'<text x="{LEFT - 6}" y="{y(figure) + 4:.1f}" text-anchor="end">{figure:.2f}</text>'
        labels = most * step / 4
        anchor = "end" if step == 4 else "middle"
        yield f'<text x="{x(labels):.1f}" y="{HEIGHT - 14}" text-anchor="{anchor}">{labels:.0f}</text>'
    yield f'<text x="{(LEFT + WIDTH) / 2:.0f}" y="{HEIGHT - 1}" text-anchor="middle">labels</text>'


def written(figure: Interval) -> str:
    """A figure and its interval."""
    return f"{figure.value:.3f} {ends(figure)}"


def ends(figure: Interval) -> str:
    """A figure's interval, or why there is none."""
    found = figure.ends
    return f"({TOO_FEW})" if found is None else f"[{found[0]:.3f} to {found[1]:.3f}]"


def _low(figure: Interval) -> float:
    return figure.value if figure.ends is None else figure.ends[0]


def main_figures(metrics: Measured | None) -> tuple[Interval, Interval | None]:
    """UA and macro-F1, or CCC alone."""
    assert metrics is not None
    return (metrics.ua, metrics.macro_f1) if isinstance(metrics, ClassMetrics) else (metrics.ccc, None)


def figure_names(metrics: Measured | None) -> tuple[str, ...]:
    """What `main_figures` gives, for people."""
    return ("UA", "macro-F1") if metrics is None or isinstance(metrics, ClassMetrics) else ("CCC",)


def share_bar(value: float | None, low: float | None = None, high: float | None = None, kind: str = "first") -> Markup:
    """A share of 1 as a bar, with a whisker for its interval; the number itself stands beside it."""
    if value is None:
        return Markup("")
    parts = ['<rect class="track" width="100" height="10" rx="2"/>']
    parts.append(f'<rect class="{kind}" width="{100 * min(max(value, 0), 1):.1f}" height="10" rx="2"/>')
    if low is not None and high is not None:
        parts.append(
            f'<path class="whisker" d="M{100 * low:.1f} 1v8M{100 * low:.1f} 5H{100 * high:.1f}M{100 * high:.1f} 1v8"/>'
        )
    return Markup(
        f'<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{"".join(parts)}</svg>'
    )


def stack(parts: Sequence[tuple[str, str, int]]) -> Markup:
    """Parts of a whole, each (kind, name, count), as one bar."""
    whole, at, drawn = max(1, sum(count for *_, count in parts)), 0.0, []
    for kind, name, count in parts:
        width = 1000 * count / whole
        title = f"<title>{escape(name)}: {count}</title>"
        drawn.append(f'<rect class="{kind}" x="{at:.1f}" width="{width:.1f}" height="14">{title}</rect>')
        at += width
    said = ", ".join(f"{count} {name}" for _, name, count in parts)
    return Markup(
        f'<svg class="stack" viewBox="0 0 1000 14" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(said)}">{"".join(drawn)}</svg>'
    )


def pool_map(project: int, points: Sequence[Point], classes: Sequence[str]) -> Markup:
    """The pool in two dimensions: a dot per clip, which a click plays."""
    parts = []
    for one in points:
        radius = {"asked": 5, "labelled": 4}.get(one.state, 3)
        said = f"task {one.found.task}, {one.state}: {classes[one.column]}"
        source = f"/projects/{project}/clips/{quote(one.found.clip)}.wav"
        parts.append(
            f'<circle class="k{one.column % 10} {one.state}" cx="{10 + 620 * one.x:.1f}" cy="{10 + 380 * one.y:.1f}" '
            f'r="{radius}" data-sound="{escape(source)}" data-said="{escape(said)}"/>'
        )
    name = f"Map of {len(points)} clips of the pool: clips that the model takes for alike lie close to each other"
    return _picture("map", name, 640, 400, parts)


def histogram(counts: Sequence[int]) -> Markup:
    """How many clips lie in each bin from 0 to 1."""
    if not any(counts):
        return Markup("")
    top, step = max(counts), 600 / len(counts)
    parts = []
    for place, count in enumerate(counts):
        height = 120 * count / top
        low, high = place / len(counts), (place + 1) / len(counts)
        parts.append(
            f'<rect class="first" x="{20 + place * step:.1f}" y="{130 - height:.1f}" width="{step - 2:.1f}" '
            f'height="{height:.1f}"><title>{low:.0%} to {high:.0%}: {count} clips</title></rect>'
        )
    parts += [
        f'<text x="{20 + 600 * tick:.0f}" y="148" text-anchor="middle">{tick:.0%}</text>'
        for tick in (0, 0.25, 0.5, 0.75, 1)
    ]
    return _picture(
        "histogram",
        f"Unlabelled clips by the probability of their most likely class; most in one bin: {top}",
        640,
        152,
        parts,
    )
