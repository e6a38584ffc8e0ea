//! The charts, by plotters: bars for tables of peers, lines for what grows.

use std::ops::Range;
use std::path::Path;

use harness::results::Entry;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::pages::{distinct, number};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Failure = Box<dyn std::error::Error>;

const WIDTH: u32 = 960;
const FONT: &str = "sans-serif";
/// Of the peers, in order of appearance (the palette of Okabe and Ito, 2008, for all eyes).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(120, 120, 120),
];
/// How high a bar is, and the room between the bars of two rows.
const BAR: u32 = 12;
const ROOM: u32 = 10;

/// Draws all charts into a folder.
pub(crate) fn draw(entries: &[Entry], folder: &Path) {
    let bars = [
        ("local", "On the loop's own thread: ns per operation (logarithmic)"),
        ("inject", "From other threads: ns per operation (logarithmic)"),
        ("round-trip", "There and back: ns (logarithmic)"),
        ("timers", "Timers: ns per operation (logarithmic)"),
        ("memory", "Memory: bytes per idle task of 64 bytes, and per pending sleep (logarithmic)"),
    ];
    for (name, title) in bars {
        let path = folder.join(format!("{name}.svg"));
        draw_bars(&of(entries, name), title, &path).expect("a chart");
    }
    let lines = [
        ("scale-tasks", "Tasks: ns per operation, as their number grows (logarithmic)"),
        ("scale-timers", "Timers: ns per operation, as their number grows (logarithmic)"),
    ];
    for (name, title) in lines {
        let path = folder.join(format!("{name}.svg"));
        draw_lines(&of(entries, name), title, &path).expect("a chart");
    }
}

fn of<'a>(entries: &'a [Entry], table: &str) -> Vec<&'a Entry> {
    entries.iter().filter(|entry| entry.table == table).collect()
}

/// From below the least value to above the greatest, for a logarithmic axis.
fn range(entries: &[&Entry]) -> Range<f64> {
    let least = entries.iter().map(|entry| entry.least).fold(f64::INFINITY, f64::min);
    least.max(0.1) / 2.0..greatest(entries) * 1.6
}

fn greatest(entries: &[&Entry]) -> f64 {
    entries.iter().map(|entry| entry.least).fold(1.0, f64::max)
}

/// One bar for each peer of each row, from above.
fn draw_bars(entries: &[&Entry], title: &str, path: &Path) -> Result<(), Failure> {
    let rows = distinct(entries.iter().map(|entry| &entry.row)).len() as u32;
    let height = entries.len() as u32 * BAR + rows * ROOM;
    let root = SVGBackend::new(path, (WIDTH, height + 110)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut builder = ChartBuilder::on(&root);
    builder
        .caption(title, (FONT, 18))
        .margin_right(24)
        .margin_bottom(30)
        .x_label_area_size(28)
        .y_label_area_size(210);
    let y = 0.0..f64::from(height);
    let range = range(entries);
    let chart = builder.build_cartesian_2d(range.clone().log_scale(), y)?;
    fill_bars(&root, chart, entries, range.start)?;
    let peers = distinct(entries.iter().map(|entry| &entry.peer));
    let squares: Vec<_> =
        peers.iter().map(|peer| (peer.to_string(), colour(&peers, peer))).collect();
    legend(&root, &squares, true, height as i32 + 90)?;
    Ok(root.present()?)
}

/// Draws the bars, each from `start`, with their names and numbers.
fn fill_bars<'a, X>(
    root: &Area<'a>,
    mut chart: ChartContext<'_, SVGBackend<'a>, Cartesian2d<X, RangedCoordf64>>,
    entries: &[&Entry],
    start: f64,
) -> Result<(), Failure>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&plain)
        .draw()?;
    let peers = distinct(entries.iter().map(|entry| &entry.peer));
    let mut top = chart.y_range().end;
    for row in distinct(entries.iter().map(|entry| &entry.row)) {
        let of_row = || entries.iter().filter(move |entry| entry.row == row);
        top -= f64::from(ROOM);
        let middle = top - (of_row().count() as u32 * BAR) as f64 / 2.0;
        let (x, y) = chart.backend_coord(&(start, middle));
        root.draw(&text(root, row, 13, HPos::Right, (x - 8, y)))?;
        for entry in of_row() {
            let bottom = top - f64::from(BAR);
            let corners = [(start, top), (entry.least, bottom + 1.0)];
            let colour = colour(&peers, &entry.peer).filled();
            chart.draw_series([Rectangle::new(corners, colour)])?;
            let (x, y) = chart.backend_coord(&(entry.least, (top + bottom) / 2.0));
            root.draw(&text(root, &number(entry.least), 10, HPos::Left, (x + 3, y)))?;
            top = bottom;
        }
    }
    Ok(())
}

/// Words, their middle at this height.
fn text<'a>(
    root: &Area<'_>,
    words: &str,
    size: u32,
    side: HPos,
    at: (i32, i32),
) -> Text<'a, (i32, i32), String> {
    let style = (FONT, size).into_text_style(root).pos(Pos::new(side, VPos::Center));
    Text::new(words.to_owned(), at, style)
}

/// A number on an axis.
fn plain(number: &f64) -> String {
    format!("{number}")
}

/// The operation in the name of a row, and how many of them there were.
fn parts(entry: &Entry) -> Option<(String, f64)> {
    let (operation, size) = entry.row.rsplit_once(", ")?;
    Some((operation.to_owned(), size.parse().ok()?))
}

/// The points of a line.
fn points(entries: &[&Entry], peer: &str, operation: &str) -> Vec<(f64, f64)> {
    let of_peer = entries.iter().filter(|entry| entry.peer == peer);
    let point = |entry: &&Entry| {
        let (name, size) = parts(entry)?;
        (name == operation).then_some((size, entry.least))
    };
    of_peer.filter_map(point).collect()
}

/// One line for each peer and operation over the number behind the comma; both axes are logarithmic.
fn draw_lines(entries: &[&Entry], title: &str, path: &Path) -> Result<(), Failure> {
    let names: Vec<String> = entries.iter().filter_map(|entry| Some(parts(entry)?.0)).collect();
    let operations = distinct(names.iter());
    let peers = distinct(entries.iter().map(|entry| &entry.peer));
    let root = SVGBackend::new(path, (WIDTH, 500)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, (FONT, 18))
        .margin_right(24)
        .margin_bottom(50)
        .x_label_area_size(28)
        .y_label_area_size(60)
        .build_cartesian_2d((1.0..1_500_000.0).log_scale(), range(entries).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&plain)
        .y_label_formatter(&plain)
        .draw()?;
    for (at, peer) in peers.iter().enumerate() {
        for (operation, colour) in operations.iter().zip(COLOURS) {
            let points = points(entries, peer, operation);
            let dots = points.iter().map(|point| Circle::new(*point, 3, colour.filled()));
            chart.draw_series(dots)?;
            if at == 0 {
                chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
            } else {
                chart.draw_series(DashedLineSeries::new(points, 5, 5, colour.stroke_width(2)))?;
            }
        }
        let label = |operation: &&str| format!("{peer}: {operation}");
        let labels: Vec<_> = operations.iter().map(label).zip(COLOURS).collect();
        legend(&root, &labels, at == 0, 470 + 20 * at as i32)?;
    }
    Ok(root.present()?)
}

fn colour(peers: &[&str], peer: &str) -> RGBColor {
    let at = peers.iter().position(|other| *other == peer).unwrap_or(0);
    COLOURS[at % COLOURS.len()]
}

/// Names with their colours in a line.
fn legend(root: &Area, names: &[(String, RGBColor)], full: bool, y: i32) -> Result<(), Failure> {
    let mut x = 12;
    for (name, colour) in names {
        let shape = ShapeStyle { color: colour.to_rgba(), filled: full, stroke_width: 2 };
        root.draw(&Rectangle::new([(x, y - 5), (x + 10, y + 5)], shape))?;
        root.draw(&text(root, name, 12, HPos::Left, (x + 15, y)))?;
        x += 24 + 7 * name.len() as i32;
    }
    Ok(())
}
