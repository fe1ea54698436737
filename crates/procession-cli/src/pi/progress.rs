//! A bar for runs that take a while.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// How long a run goes on in silence before a bar appears, and how often the
/// bar's clock moves.
pub(super) const TICK: Duration = Duration::from_millis(200);

/// A bar on standard error, if that is a terminal, for runs that take a while.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new(name: &'static str, terms: u64) -> Progress {
        let template = "{msg:>10} [{bar:40}] {percent:>3}%  {elapsed} elapsed, {eta} to go";
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        let bar = ProgressBar::with_draw_target(Some(terms), ProgressDrawTarget::hidden());
        Progress(bar.with_style(style).with_message(name))
    }

    pub(super) fn add(&self, terms: u64) {
        self.0.inc(terms);
        if self.0.is_hidden() && self.0.elapsed() > TICK {
            self.0.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    pub(super) fn tick(&self) {
        self.add(0);
        self.0.tick();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
