//! A bar on standard error that shows how far a call of many arguments has come.

#[cfg(feature = "progress")]
mod bar {
    use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

    /// A bar, if it is wanted and standard error is a terminal.
    #[derive(Debug)]
    pub(in crate::pool) struct Progress(ProgressBar);

    impl Progress {
        pub(in crate::pool) fn new(is_wanted: bool, total: Option<u64>) -> Progress {
            if !is_wanted {
                return Progress(ProgressBar::hidden());
            }
            let template = match total {
                Some(_) => "[{bar:40}] {pos}/{len}  {per_sec}, {elapsed} elapsed, {eta} to go",
                None => "{pos} results  {per_sec}, {elapsed} elapsed",
            };
            let style = ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> ");
            let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
            Progress(bar.with_style(style))
        }

        pub(in crate::pool) fn set(&self, done: u64) {
            self.0.set_position(done);
        }
    }

    impl Drop for Progress {
        fn drop(&mut self) {
            self.0.finish_and_clear();
        }
    }
}

#[cfg(not(feature = "progress"))]
mod bar {
    #[derive(Debug)]
    pub(in crate::pool) struct Progress;

    impl Progress {
        pub(in crate::pool) fn new(_: bool, _: Option<u64>) -> Progress {
            Progress
        }

        pub(in crate::pool) fn set(&self, _: u64) {}
    }
}

pub(super) use bar::Progress;
