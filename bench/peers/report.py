"""The report: tables on a terminal and in Markdown, report.json, pictures."""

import json
import math
from pathlib import Path
from typing import Any

__all__ = ["markdown", "plot", "show", "write_json"]

OURS = "bootcast"
COLOURS = {
    "bootcast": "#0b6e4f",
    "UFTP": "#d1495b",
    "udpcast": "#edae49",
    "udpcast --async --fec": "#b07d12",
    "flute-alc": "#30638e",
    "TFTP": "#8d6a9f",
    "HTTP": "#7a7a7a",
}

Rows = list[dict[str, Any]]


def write_json(report: dict[str, Any], path: Path) -> None:
    """Write everything, each run included."""
    path.write_text(json.dumps(report, indent=1) + "\n")


def _ratio(value: float | None, ours: float | None) -> str:
    return f"{value / ours:.2f}" if value and ours else "-"


def _ours(rows: Rows, key: str, **about: Any) -> float | None:
    found = [row for row in rows if row["tool"] == OURS and all(row.get(name) == each for name, each in about.items())]
    return found[0][key] if found else None


def _speed_table(rows: Rows) -> tuple[list[str], list[list[str]]]:
    head = ["tool", "goodput", "of ours", "sender CPU s/GB", "receiver CPU s/GB"]
    ours = _ours(rows, "goodput_bps")
    cells = []
    for row in rows:
        if row["goodput_bps"] is None:
            cells.append([row["tool"], "did not finish", "-", "-", "-"])
            continue
        cpu = [
            f"{row[key]:.2f}" if row[key] else "not seen" for key in ("sender_cpu_s_per_gb", "receiver_cpu_s_per_gb")
        ]
        cells.append([row["tool"], f"{row['goodput_bps'] / 1e9:.2f} Gb/s", _ratio(row["goodput_bps"], ours), *cpu])
    return head, cells


def _cost_table(rows: Rows) -> tuple[list[str], list[list[str]]]:
    head = ["tool", "a box that starts", "sender CPU s/GB", "receiver CPU s/GB", "of UFTP's"]
    rival = next((row["receiver_cpu_s_per_gb"] for row in rows if row["tool"] == "UFTP"), None)
    cells = []
    for row in rows:
        sender, receiver = row["sender_cpu_s_per_gb"], row["receiver_cpu_s_per_gb"]
        told = f"{sender:.2f}" if sender else "-"
        cells.append([row["tool"], row["start"], told, f"{receiver:.2f}", _ratio(receiver, rival)])
    return head, cells


def _overload_table(rows: Rows) -> tuple[list[str], list[list[str]]]:
    head = ["the head-end is told", "on the wire", "goodput, start-up included", "of the best"]
    best = max((row["goodput_bps"] or 0.0 for row in rows), default=0.0)
    cells = []
    for row in rows:
        offered = f"{row['offered_bps'] / 1e9:g} Gb/s"
        if row["goodput_bps"] is None:
            cells.append([offered, "-", "did not finish", "-"])
            continue
        speeds = [f"{row[key] / 1e9:.2f} Gb/s" for key in ("wire_bps", "goodput_bps")]
        cells.append([offered, *speeds, f"{row['goodput_bps'] / best:.0%}"])
    return head, cells


def _loss_table(rows: Rows, boxes: int) -> tuple[list[str], list[list[str]]]:
    shares = sorted({row["loss"] for row in rows if row["boxes"] == boxes})
    head = ["tool", *(f"{share:.0%} loss" for share in shares)]
    cells = []
    for tool in dict.fromkeys(row["tool"] for row in rows):
        line = [tool]
        for share in shares:
            row = next((r for r in rows if (r["tool"], r["boxes"], r["loss"]) == (tool, boxes, share)), None)
            if row is None:  # a run that was ended early
                line.append("")
                continue
            if row["seconds"] is None:
                line.append(f"{row['complete']} of {boxes} complete")
                continue
            ratio = _ratio(row["seconds"], _ours(rows, "seconds", boxes=boxes, loss=share))
            line.append(f"{row['seconds']:.2f} s ({ratio}), {row['wire_bytes'] / 1e6:.0f} MB")
        cells.append(line)
    return head, cells


def _late_table(rows: Rows) -> tuple[list[str], list[list[str]]]:
    head = ["tool", *(f"joins at {float(share):.0%}" for share in rows[0]["late"])]
    shown = [
        [row["tool"], *(f"{s:.2f} s" if s is not None else "missed it" for s in row["late"].values())] for row in rows
    ]
    return head, shown


def _traffic_table(rows: Rows) -> tuple[list[str], list[list[str]]]:
    counts = sorted({row["boxes"] for row in rows})
    head = ["tool", *(f"{count} box{'es' if count > 1 else ''}" for count in counts)]
    cells = []
    for tool in dict.fromkeys(row["tool"] for row in rows):
        line = [tool]
        for count in counts:
            row = next((r for r in rows if (r["tool"], r["boxes"]) == (tool, count)), None)
            if row is None:
                line.append("")
                continue
            missing = "" if row["complete"] == count else f" ({row['complete']} complete)"
            line.append(f"{row['wire_bytes'] / 1e6:.1f} MB{missing}")
        cells.append(line)
    return head, cells


def _tables(report: dict[str, Any]) -> list[tuple[str, list[str], list[list[str]]]]:
    """Return (title, head, cells) of each table that was measured."""
    tables = []
    large, small = (f"{report[name] / 1e6:g} MB" for name in ("large_bytes", "small_bytes"))
    if report.get("speed"):
        tables.append((f"One box, no rate limit, {large}", *_speed_table(report["speed"])))
    if report.get("cost"):
        title = f"What a box costs, {large} at {report['cost'][0]['rate_bps'] / 1e6:g} Mb/s"
        tables.append((title, *_cost_table(report["cost"])))
    if report.get("overload"):
        tables.append((f"A carousel faster than the box, {large}", *_overload_table(report["overload"])))
    for boxes in sorted({row["boxes"] for row in report.get("loss", [])}):
        title = f"{small} at 100 Mb/s to {boxes} box{'es' if boxes > 1 else ''}: time until all have it (of ours), sent"
        tables.append((title, *_loss_table(report["loss"], boxes)))
    if report.get("late"):
        tables.append((f"Joining late, {small} at 100 Mb/s: time from joining", *_late_table(report["late"])))
    if report.get("traffic"):
        tables.append((f"What the head-end sends, {small} at 100 Mb/s", *_traffic_table(report["traffic"])))
    return tables


def show(report: dict[str, Any]) -> None:
    """Print the tables on the terminal."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    console = Console(width=130)
    for title, head, cells in _tables(report):
        table = Table(*head, title=title, title_justify="left")
        for row in cells:
            table.add_row(*row, style="bold" if row[0] == OURS else None)
        console.print(table)
    for name, reason in report["absent"].items():
        console.print(f"{name} is absent: {reason}; `make bench-setup` installs what can be had")


def markdown(report: dict[str, Any]) -> str:
    """Return the tables for a README."""
    lines = [f"{report['date']}, {report['machine']}, medians of {report['runs_wanted']} runs.", ""]
    for title, head, cells in _tables(report):
        lines += [f"{title}:", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        lines += ["| " + " | ".join(row) + " |" for row in cells]
        lines.append("")
    return "\n".join(lines)


def plot(report: dict[str, Any], folder: Path) -> list[Path]:
    """Draw what was measured; return the pictures' paths."""
    import matplotlib as mpl  # noqa: PLC0415 - heavy, and an extra

    mpl.use("Agg")
    written = []
    if report.get("loss"):
        written.append(_plot_loss(report, folder / "loss.png"))
    if report.get("traffic"):
        written.append(_plot_traffic(report, folder / "traffic.png"))
    return written


def _plain_numbers(panel: Any) -> None:
    """Write 0.5 and 20 on a logarithmic axis, not powers of ten."""
    panel.yaxis.set_major_formatter("{x:g}")
    panel.yaxis.set_minor_formatter("{x:g}")


def _plot_loss(report: dict[str, Any], path: Path) -> Path:
    """Draw time against loss, a panel for each number of boxes."""
    import matplotlib.pyplot as plt  # noqa: PLC0415

    rows = report["loss"]
    counts = sorted({row["boxes"] for row in rows})
    figure, panels = plt.subplots(1, len(counts), figsize=(5.5 * len(counts), 4.2), squeeze=False, layout="constrained")
    for panel, boxes in zip(panels[0], counts, strict=True):
        shares = sorted({row["loss"] for row in rows if row["boxes"] == boxes})
        for tool in dict.fromkeys(row["tool"] for row in rows):
            found = {row["loss"]: row["seconds"] for row in rows if (row["tool"], row["boxes"]) == (tool, boxes)}
            times = [found.get(share) or math.nan for share in shares]  # a gap where it did not finish
            width = 2.5 if tool == OURS else 1.3
            panel.plot(range(len(shares)), times, label=tool, marker="o", linewidth=width, color=COLOURS[tool])
        panel.set_xticks(range(len(shares)), [f"{share:.0%}" for share in shares])
        panel.set_yscale("log")
        _plain_numbers(panel)
        panel.set_xlabel("loss, each box on its own")
        panel.set_ylabel("time until all have the image, s")
        panel.set_title(f"{report['small_bytes'] / 1e6:g} MB at 100 Mb/s, {boxes} box{'es' if boxes > 1 else ''}")
        panel.grid(alpha=0.3, which="both")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return path


def _plot_traffic(report: dict[str, Any], path: Path) -> Path:
    """Draw the head-end's traffic against the number of boxes."""
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, panel = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
    for tool in dict.fromkeys(row["tool"] for row in report["traffic"]):
        rows = [row for row in report["traffic"] if row["tool"] == tool and row["complete"] == row["boxes"]]
        if rows:
            counts, sent = [row["boxes"] for row in rows], [row["wire_bytes"] / 1e6 for row in rows]
            width = 2.5 if tool == OURS else 1.3
            panel.plot(counts, sent, label=tool, marker="o", linewidth=width, color=COLOURS[tool])
    counts = sorted({row["boxes"] for row in report["traffic"]})
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.set_xticks(counts, [str(count) for count in counts])
    _plain_numbers(panel)
    panel.set_xlabel("boxes")
    panel.set_ylabel("sent by the head-end, MB")
    panel.set_title(f"{report['small_bytes'] / 1e6:g} MB image, no loss; tools that completed")
    panel.grid(alpha=0.3, which="both")
    figure.legend(loc="outside right upper", frameon=False)
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return path
