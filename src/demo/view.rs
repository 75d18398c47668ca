//! What the terminal shows: a few lines of numbers, and diffs above them. On a terminal the lines
//! are drawn again and again; elsewhere each is one plain line, without colour.

use super::diff::diff;
use super::sample::Sample;
use crate::error::Reason;
use crate::telemetry::Totals;
use anstyle::Style;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

const STRONG: Style = Style::new().bold();

/// Between two drawings on a terminal.
const REDRAW: Duration = Duration::from_millis(250);

/// Between two lines elsewhere.
const LINE: Duration = Duration::from_secs(2);

/// The screen, or the pipe.
pub(super) struct View {
    /// Hidden unless standard output is a terminal.
    bar: ProgressBar,
    terminal: bool,
    colour: bool,
    before: Numbers,
    drawn: Instant,
}

impl View {
    pub(super) fn new() -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        let colour =
            terminal && anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
        let target =
            if terminal { ProgressDrawTarget::stdout() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template("{msg}");
        let bar = ProgressBar::with_draw_target(None, target)
            .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Self { bar, terminal, colour, before: Numbers::default(), drawn: Instant::now() }
    }

    /// Writes lines that stay. False if nobody reads them any more.
    pub(super) fn say(&self, text: &str) -> bool {
        self.bar.suspend(|| {
            let mut stdout = io::stdout().lock();
            writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush()).is_ok()
        })
    }

    /// Shows an event before and after.
    pub(super) fn show(&self, sample: &Sample) -> bool {
        let title = format!("\n{} event of {}: raw → clean", sample.kind.name(), sample.tenant);
        let title = if self.colour { format!("{STRONG}{title}{STRONG:#}") } else { title };
        let after = sample.after.as_deref().unwrap_or_default();
        self.say(&format!("{title}\n{}", diff(&sample.before, after, self.colour)))
    }

    /// Draws the numbers, if it is time.
    pub(super) fn numbers(&mut self, totals: &Totals) -> bool {
        let since = self.drawn.elapsed();
        if since < if self.terminal { REDRAW } else { LINE } {
            return true;
        }
        let now = Numbers::of(totals);
        if now.records_in == 0 {
            self.bar.set_message("waiting for the lane to join its group …");
            self.drawn = Instant::now();
            return true;
        }
        let pace = now.since(&self.before, since);
        let written = if self.terminal {
            self.bar.set_message(block(&now, &pace, totals));
            true
        } else {
            self.say(&line(&now, &pace))
        };
        (self.before, self.drawn) = (now, Instant::now());
        written
    }

    /// Takes the numbers away, for the summary.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Sums over the routes.
#[derive(Debug, Clone, Default, PartialEq)]
struct Numbers {
    records_in: u64,
    bytes_in: u64,
    clean: u64,
    bytes_out: u64,
    withheld: [u64; Reason::ALL.len()],
    delivered: u64,
    delay: Duration,
    kernel: Duration,
}

/// What happened lately.
#[derive(Debug, PartialEq)]
struct Pace {
    /// Per second.
    records_in: f64,
    bytes_in: f64,
    clean: f64,
    bytes_out: f64,
    /// Seconds, on average; none if there was nothing to measure.
    kernel: Option<f64>,
    delay: Option<f64>,
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
impl Numbers {
    fn of(totals: &Totals) -> Self {
        let mut sum = Self { kernel: totals.kernel, ..Self::default() };
        for route in &totals.routes {
            sum.records_in += route.tally.records_in;
            sum.bytes_in += route.tally.bytes_in;
            sum.clean += route.tally.records_out;
            sum.bytes_out += route.tally.bytes_out;
            sum.delivered += route.delivered;
            sum.delay += route.delay;
            for (sum, count) in sum.withheld.iter_mut().zip(route.tally.withheld) {
                *sum += count;
            }
        }
        sum
    }

    fn since(&self, before: &Self, time: Duration) -> Pace {
        let per_second = |now: u64, before: u64| (now - before) as f64 / time.as_secs_f64();
        let mean = |now: Duration, before: Duration, count: u64| {
            (count > 0).then(|| now.saturating_sub(before).as_secs_f64() / count as f64)
        };
        Pace {
            records_in: per_second(self.records_in, before.records_in),
            bytes_in: per_second(self.bytes_in, before.bytes_in),
            clean: per_second(self.clean, before.clean),
            bytes_out: per_second(self.bytes_out, before.bytes_out),
            kernel: mean(self.kernel, before.kernel, self.records_in - before.records_in),
            delay: mean(self.delay, before.delay, self.delivered - before.delivered),
        }
    }

    fn reasons(&self) -> String {
        let counted = Reason::ALL.into_iter().zip(self.withheld).filter(|&(_, count)| count > 0);
        let counted = counted.map(|(reason, count)| format!("{reason} {}", grouped(count)));
        counted.collect::<Vec<_>>().join(", ")
    }
}

/// For a terminal of 80 columns.
fn block(now: &Numbers, pace: &Pace, totals: &Totals) -> String {
    let row = |name, rate: f64, bytes: f64, count: u64| {
        format!(
            "  {name:<9}{:>9} records/s {:>11}/s {:>15} records\n",
            rounded(rate),
            sized(bytes),
            grouped(count)
        )
    };
    let mut text = String::from("\n");
    text += &row("in", pace.records_in, pace.bytes_in, now.records_in);
    text += &row("clean", pace.clean, pace.bytes_out, now.clean);
    let withheld = now.withheld.iter().sum();
    let _ = writeln!(text, "  withheld {:>47} records", grouped(withheld));
    let _ = writeln!(text, "  reasons  {}", now.reasons());
    let tenants = totals.tenants.iter().map(|(name, count)| format!("{name} {}", grouped(*count)));
    let _ = writeln!(text, "  tenants  {}", tenants.collect::<Vec<_>>().join(" · "));
    let _ = write!(text, "  kernel   {} a record · delay {}", time(pace.kernel), time(pace.delay));
    text
}

/// For a pipe.
fn line(now: &Numbers, pace: &Pace) -> String {
    let reasons = now.reasons();
    let reasons = if reasons.is_empty() { reasons } else { format!(" ({reasons})") };
    format!(
        "{}/s in ({}/s), {}/s clean; so far {} in, {} clean, {} withheld{reasons}; kernel {} a \
         record, delay {}",
        rounded(pace.records_in),
        sized(pace.bytes_in),
        rounded(pace.clean),
        now.records_in,
        now.clean,
        now.withheld.iter().sum::<u64>(),
        time(pace.kernel),
        time(pace.delay)
    )
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates are small")]
fn rounded(rate: f64) -> String {
    grouped(rate.round() as u64)
}

/// 1,234,567
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn sized(bytes: f64) -> String {
    match bytes {
        0.0..1e3 => format!("{bytes:.0} B"),
        1e3..1e6 => format!("{:.1} kB", bytes / 1e3),
        1e6..1e9 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.1} GB", bytes / 1e9),
    }
}

fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => "–".into(),
        Some(seconds) if seconds < 1e-3 => format!("{:.1} µs", seconds * 1e6),
        Some(seconds) if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers() -> Numbers {
        let (delay, kernel) = (Duration::from_secs(20), Duration::from_millis(4));
        Numbers {
            records_in: 2_000,
            bytes_in: 2_400_000,
            clean: 1_990,
            bytes_out: 1_900,
            withheld: [6, 0, 4, 0, 0, 0],
            delivered: 2_000,
            delay,
            kernel,
        }
    }

    #[test]
    fn a_line_for_a_pipe() {
        let now = numbers();
        let pace = now.since(&Numbers::default(), Duration::from_secs(2));
        assert_eq!(
            line(&now, &pace),
            "1,000/s in (1.2 MB/s), 995/s clean; so far 2000 in, 1990 clean, 10 withheld \
             (malformed 6, tenant 4); kernel 2.0 µs a record, delay 10.0 ms"
        );
        let idle = now.since(&now, Duration::from_secs(2));
        assert!(line(&now, &idle).ends_with("kernel – a record, delay –"));
    }

    #[test]
    fn a_block_fits_into_80_columns() {
        let now = numbers();
        let pace = now.since(&Numbers::default(), Duration::from_secs(2));
        let totals = Totals { tenants: vec![("acme".into(), 1_200)], ..Totals::default() };
        let text = block(&now, &pace, &totals);
        assert_eq!(text.lines().count(), 7);
        assert!(text.contains("tenants  acme 1,200\n"), "{text}");
        assert!(text.contains("reasons  malformed 6, tenant 4\n"), "{text}");
        for line in text.lines() {
            assert!(line.chars().count() < 80, "{line}");
        }
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(sized(999.4), "999 B");
        assert_eq!(sized(1_900.0), "1.9 kB");
        assert_eq!(time(Some(0.25)), "250.0 ms");
    }
}
