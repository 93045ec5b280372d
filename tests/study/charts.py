"""The study's charts, as SVG."""
import io
import re

import matplotlib
matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

# The same input gives the same file.
matplotlib.rcParams.update({"svg.hashsalt": "exitstat", "svg.fonttype": "none", "font.size": 9,
                            "axes.spines.top": False, "axes.spines.right": False})
# Paul Tol's "muted", which colour-blind readers can tell apart, too.
COLORS = ("#332288", "#DDCC77", "#CC6677", "#88CCEE", "#117733", "#AA4499", "#44AA99", "#882255",
          "#999933")
REST = "#BBBBBB"
TIMES = {"guest": "#DDDDDD", "handle": "#332288", "user": "#DDCC77", "preempted": "#CC6677",
         "wait": "#88CCEE"}


def save(figure, path):
    text = io.StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
    # A hundredth of a point is finer than any screen.
    path.write_text(re.sub(r"(\d\.\d\d)\d+", r"\1", text.getvalue()))


def over_time(path, steps, layers, stretches, label, top=None):
    """Layers, from the bottom: name, colour and a value for each step, which begins at a time."""
    figure, axes = pyplot.subplots(figsize=(10, 3.6))
    length = steps[1][0] - steps[0][0]
    # A step reaches to the next one's begin, and the last one must reach somewhere, too.
    x = [time for time, _ in steps] + [steps[-1][0] + length]
    axes.stackplot(x, *([*values, values[-1]] for _, _, values in layers), step="post", lw=0,
                   labels=[name for name, _, _ in layers], colors=[c for _, c, _ in layers])
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(0, top)
    axes.set_xlabel("seconds since QEMU was started")
    axes.set_ylabel(label)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    for name, begin, _ in stretches:
        axes.axvline(begin, color="black", lw=0.5, ls=":")
        axes.annotate(name, (begin, 1.01), xycoords=("data", "axes fraction"), rotation=45,
                      ha="left", va="bottom", fontsize=8)
    # From the top, as the layers are.
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc="upper left", bbox_to_anchor=(1, 1),
                frameon=False)
    save(figure, path)


def rates(path, steps, names, stretches):
    """Exits a second over time, by reason."""
    layers = [(name, color, [total.count(name) / total.seconds for _, total in steps])
              for name, color in zip(names, COLORS)]
    layers.append(("all others", REST,
                   [max(0, total.rate - sum(layer[2][i] for layer in layers))
                    for i, (_, total) in enumerate(steps)]))
    over_time(path, steps, layers, stretches, "exits per second")


def times(path, steps, stretches):
    """What the vCPU's time was spent on, over time."""
    layers = [(name, color, [100 * (total.guest if name == "guest" else total.phase(name))
                             / total.seconds for _, total in steps])
              for name, color in TIMES.items()]
    # More than 100 % is possible: a wait that began before is charged when it ends.
    over_time(path, steps, layers, stretches, "% of the vCPU's time", 100)


def shares(path, total):
    """For each reason its share of the exits, and of the time that exits cost the guest."""
    names = [n for n in total.by_lost()
             if total.count(n) >= total.exits / 1000 or total.lost_by(n) >= total.lost / 1000]
    figure, axes = pyplot.subplots(figsize=(8, 0.42 * len(names) + 0.8))
    for offset, color, label, values in (
            (-0.2, COLORS[0], "of all exits", [total.count(n) / total.exits for n in names]),
            (0.2, COLORS[1], "of the time lost", [total.lost_by(n) / total.lost for n in names])):
        places = [i + offset for i in range(len(names))]
        axes.barh(places, [100 * v for v in values], 0.38, color=color, label=label)
        for place, value in zip(places, values):
            axes.annotate(f" {100 * value:.1f}", (100 * value, place), va="center", fontsize=7)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("%")
    axes.legend(loc="lower right", frameon=False)
    save(figure, path)
