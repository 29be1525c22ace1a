//! What a bench shows on a terminal while it runs: a bar with the time that is left, and under it what is measured right now.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::interrupt::Interrupt;
use crate::result::findings::Limit;
use crate::result::outcome::{Measured, Watch};
use crate::result::units::{count, time};

/// Two lines on a terminal; nothing where standard error is none.
pub struct Progress {
    lines: Option<Lines>,
    interrupt: Interrupt,
}

struct Lines {
    _both: MultiProgress,
    stage: ProgressBar,
    figures: ProgressBar,
}

const INTERVAL: Duration = Duration::from_millis(250);

impl Progress {
    /// Shown where standard error is a terminal, until `interrupt`.
    #[must_use]
    pub fn new(interrupt: Interrupt) -> Self {
        Self { lines: io::stderr().is_terminal().then(Lines::new), interrupt }
    }
}

impl Lines {
    fn new() -> Self {
        let both = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let stage = both.add(ProgressBar::new_spinner());
        stage.set_style(style("{spinner} {wide_msg}"));
        stage.enable_steady_tick(INTERVAL);
        let figures = both.add(ProgressBar::new_spinner());
        figures.set_style(style("  {wide_msg:.dim}"));
        Self { _both: both, stage, figures }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Watch for Progress {
    fn stage(&mut self, what: &str) {
        let Some(lines) = &self.lines else { return };
        lines.stage.set_message(what.to_owned());
        if lines.stage.length().is_some() {
            lines.stage.set_position(u64::try_from(lines.stage.elapsed().as_millis()).unwrap_or(0));
        }
    }

    fn total(&mut self, time: Duration) {
        let Some(lines) = &self.lines else { return };
        lines.stage.reset();
        lines.stage.set_style(style("{spinner} [{bar:20}] {elapsed} of about {prefix}  {wide_msg}"));
        lines.stage.set_length(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        lines.stage.set_prefix(format!("{}s", time.as_secs()));
    }

    fn is_interrupted(&self) -> bool {
        self.interrupt.is_interrupted()
    }

    fn interval(&self) -> Option<Duration> {
        self.lines.as_ref().map(|_| INTERVAL)
    }

    fn tick(&mut self, _subject: &str, so_far: &Measured) {
        let Some(lines) = &self.lines else { return };
        lines.stage.set_position(u64::try_from(lines.stage.elapsed().as_millis()).unwrap_or(0));
        if self.interrupt.is_interrupted() {
            lines.stage.set_message("ending early; a second Ctrl-C ends it at once");
        }
        lines.figures.set_message(figures(so_far));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(lines) = &self.lines {
            lines.figures.finish_and_clear();
            lines.stage.finish_and_clear();
        }
    }
}

/// What has been measured so far, in a line that a terminal of 80 columns has room for.
fn figures(so_far: &Measured) -> String {
    let seconds = so_far.elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
    let [p50, p99] = [0.5, 0.99].map(|quantile| time(so_far.latency.value_at_quantile(quantile)));
    let (server, client) = (so_far.server.busiest.as_secs_f64() / seconds, so_far.client.as_secs_f64() / seconds);
    let kernel =
        (so_far.server.system + so_far.server.softirq).as_secs_f64() / so_far.server.total().as_secs_f64().max(1e-9);
    let faults = if so_far.is_clean() { "" } else { "NOT CLEAN  " };
    let limit = match Limit::from_shares(client, server, kernel) {
        Limit::Client => "  limit: load",
        Limit::Server => "  limit: server",
        Limit::Kernel => "  limit: kernel",
        Limit::None => "",
    };
    format!(
        "{faults}{}/s  p50 {p50}  p99 {p99}  server {:.0} %  load {:.0} %{limit}",
        count(so_far.deliveries as f64 / seconds),
        server * 100.0,
        client * 100.0,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::outcome::CpuTime;

    #[test]
    fn a_line_says_how_fast_and_who_limits() {
        let second = Duration::from_secs(1);
        let server = CpuTime { user: second / 10, system: second * 9 / 10, softirq: Duration::ZERO, busiest: second };
        let mut so_far =
            Measured { deliveries: 123_456, elapsed: second, server, client: second / 2, ..Measured::nothing() };
        so_far.record(Duration::from_micros(150));
        let line = figures(&so_far);
        assert!(line.starts_with("123 k/s  p50 150 µs"), "{line}");
        assert!(line.ends_with("server 100 %  load 50 %  limit: kernel") && line.chars().count() < 78, "{line}");
        so_far.lost = 1;
        so_far.server.busiest = second / 10;
        let line = figures(&so_far);
        assert!(line.starts_with("NOT CLEAN") && line.ends_with("load 50 %"), "{line}");
    }

    #[test]
    fn nothing_is_shown_where_there_is_no_terminal() {
        let mut progress = Progress { lines: None, interrupt: Interrupt::default() };
        progress.stage("joining");
        progress.tick("parlor", &Measured::nothing());
        assert_eq!(progress.interval(), None);
    }
}
