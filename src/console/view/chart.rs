//! Lines over time, as SVG that the stylesheet colours: a chart of a few polylines is simpler than what makes charts of all kinds, and has
//! the colours of the viewer's system. Words and numbers stand beside the picture as text, so that they are never stretched.

use std::fmt::Write;

use maud::{Markup, html};

use super::text;

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 120.0;

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What it shows.
    pub label: &'static str,
    /// Values at times in milliseconds, the oldest first.
    pub points: Vec<(u64, f64)>,
}

/// A chart of up to six lines; `write` writes a value.
pub fn chart(id: &str, heading: &str, lines: &[Line], write: impl Fn(f64) -> String) -> Markup {
    let times = || lines.iter().flat_map(|line| line.points.iter().map(|point| point.0));
    let (from, to) = (times().min().unwrap_or_default(), times().max().unwrap_or_default());
    let values = lines.iter().flat_map(|line| line.points.iter().map(|point| point.1));
    let top = ceiling(values.fold(0.0, f64::max));
    html! {
        figure.chart id=(id) data-live {
            figcaption { (heading) }
            ul.legend {
                @for (at, line) in lines.iter().enumerate() {
                    li { span class={ "dot line" (at) } aria-hidden="true" {} (line.label) " "
                        b { (write(line.points.last().map_or(0.0, |point| point.1))) } }
                }
            }
            @if to > from {
                div.plot {
                    svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" role="img" aria-label=(told(heading, lines, &write)) {
                        @for part in 0..=2 {
                            @let y = f64::from(part) * HEIGHT / 2.0;
                            line.rule x1="0" x2=(WIDTH) y1=(y) y2=(y) {}
                        }
                        @for (at, line) in lines.iter().enumerate().rev() {
                            polyline class={ "line" (at) } points=(points(&line.points, from, to, top)) {}
                        }
                    }
                    span.most aria-hidden="true" { (write(top)) }
                    span.half aria-hidden="true" { (write(top / 2.0)) }
                    span.from aria-hidden="true" { (text::span(to - from)) " ago" }
                    span.to aria-hidden="true" { "now" }
                }
            } @else {
                p.quiet { "Nothing has moved yet: the first figures come in a few seconds." }
            }
        }
    }
}

/// What the picture says, for who does not see it.
fn told(heading: &str, lines: &[Line], write: impl Fn(f64) -> String) -> String {
    let mut told = format!("{heading}:");
    for line in lines {
        let most = line.points.iter().map(|point| point.1).fold(0.0, f64::max);
        let now = line.points.last().map_or(0.0, |point| point.1);
        // Writing to a text does not fail.
        let _ = write!(told, " {} now {}, at most {};", line.label, write(now), write(most));
    }
    told
}

fn points(points: &[(u64, f64)], from: u64, to: u64, top: f64) -> String {
    let mut written = String::with_capacity(points.len() * 12);
    for (at, value) in points {
        let x = (at - from) as f64 / (to - from) as f64 * WIDTH;
        let y = HEIGHT - (value / top).clamp(0.0, 1.0) * HEIGHT;
        let _ = write!(written, "{x:.0},{y:.1} ");
    }
    written
}

/// A round number that is no less than the largest value: 1, 2 or 5 and zeros.
fn ceiling(largest: f64) -> f64 {
    if largest <= 1.0 {
        return 1.0;
    }
    let scale = 10f64.powf(largest.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * scale).find(|top| *top >= largest).unwrap_or(largest)
}

/// How fast a counter has risen between samples, the newest of which comes first (as the API tells them).
pub fn rates(samples: &[(f64, u64)]) -> Vec<(u64, f64)> {
    let rate = |pair: &[(f64, u64)]| {
        let ((newer, at), (older, before)) = (pair[0], pair[1]);
        let seconds = at.saturating_sub(before).max(1) as f64 / 1_000.0;
        (at, ((newer - older) / seconds).max(0.0))
    };
    let mut rates: Vec<_> = samples.windows(2).map(rate).collect();
    rates.reverse();
    rates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_of_a_chart_is_a_round_number_above_all_values() {
        for (largest, top) in
            [(0.0, 1.0), (1.0, 1.0), (1.1, 2.0), (3.0, 5.0), (7.0, 10.0), (200.0, 200.0), (4_321.0, 5_000.0)]
        {
            assert!((ceiling(largest) - top).abs() < 1e-9, "{largest}");
        }
    }

    #[test]
    fn rates_are_differences_between_samples_and_never_below_nothing() {
        let samples = [(50.0, 15_000), (40.0, 10_000), (45.0, 5_000), (0.0, 0)];
        assert_eq!(rates(&samples), [(5_000, 9.0), (10_000, 0.0), (15_000, 2.0)]);
        assert_eq!(rates(&[]), []);
    }

    #[test]
    fn a_chart_draws_each_line_within_its_frame_and_says_so_in_words() {
        let line = Line { label: "published", points: vec![(0, 0.0), (5_000, 10.0), (10_000, 5.0)] };
        let shown = chart("c", "Rates", &[line], text::rate).into_string();
        assert!(shown.contains("points=\"0,120.0 300,0.0 600,60.0 \""), "{shown}");
        assert!(shown.contains("Rates: published now 5.0/s, at most 10/s;"), "{shown}");
        let empty = chart("c", "Rates", &[Line { label: "x", points: vec![] }], text::rate).into_string();
        assert!(empty.contains("Nothing has moved yet"), "{empty}");
    }
}
