//! Programs in a row, each reading what the one before writes.

use super::communicate::Output;
use super::{Command, CommandChild, CommandError, ExitStatus, Stdio};
use crate::error::Context;
use crate::{Deadline, Result};
use rustix::pipe::PipeFlags;
use std::fmt;
use std::time::Duration;

/// Programs in a row; made by [`Command::pipe`].
///
/// The first reads what its own [`stdin`](Command::stdin) or
/// [`input`](Command::input) says, the last writes where its
/// [`stdout`](Command::stdout) says; standard errors are each program's own. Where
/// output is collected, so are the standard errors of all programs that say nothing
/// else.
#[derive(Debug)]
pub struct Pipeline {
    commands: Vec<Command>,
    timeout: Option<Duration>,
    output_limit: Option<usize>,
}

impl Pipeline {
    pub(super) fn new(first: Command, second: Command) -> Pipeline {
        let mut pipeline = Pipeline {
            timeout: None,
            output_limit: None,
            commands: Vec::new(),
        };
        for command in [first, second] {
            pipeline = pipeline.pipe(command);
        }
        pipeline
    }

    /// Adds a program at the end.
    ///
    /// # Examples
    /// ```
    /// use procession::process::Command;
    /// let upper = Command::new("echo").arg("a").pipe(Command::new("cat"));
    /// let upper = upper.pipe(Command::new("tr").args(["a-z", "A-Z"]));
    /// assert_eq!(upper.check()?.text(), "A");
    /// # Ok::<(), procession::process::CommandError>(())
    /// ```
    #[must_use]
    pub fn pipe(mut self, next: Command) -> Pipeline {
        self.timeout = self.timeout.max(next.timeout);
        self.output_limit = self.output_limit.max(next.output_limit);
        self.commands.push(next);
        self
    }

    /// Limits how long [`output`](Pipeline::output) and [`check`](Pipeline::check) let the programs
    /// run; then all of them are killed, each with its process group.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, CommandError};
    /// use std::time::Duration;
    /// let slow = Command::new("sleep").arg("60").pipe(Command::new("cat"));
    /// let late = slow.timeout(Duration::from_millis(5)).check();
    /// assert!(matches!(late, Err(CommandError::TimedOut { .. })));
    /// ```
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Pipeline {
        self.timeout = Some(timeout);
        let lead = |command: Command| command.process_group();
        self.commands = self.commands.into_iter().map(lead).collect();
        self
    }

    /// Limits how many bytes each collected stream of the programs may have.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, CommandError};
    /// let endless = Command::new("yes").pipe(Command::new("cat")).output_limit(1000);
    /// assert!(matches!(endless.output(), Err(CommandError::TooMuchOutput { .. })));
    /// ```
    #[must_use]
    pub fn output_limit(mut self, bytes: usize) -> Pipeline {
        self.output_limit = Some(bytes);
        self
    }

    /// Starts all programs.
    ///
    /// # Errors
    /// As [`Command::spawn`]; programs that were started are killed.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, Stdio};
    /// let pipeline = Command::new("echo").arg("a").pipe(Command::new("cat").stdout(Stdio::Null));
    /// let children = pipeline.spawn()?;
    /// assert!(children.wait()?.iter().all(|status| status.success()));
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn spawn(self) -> Result<PipelineChild> {
        let last = self.commands.len() - 1;
        // Killed if a later one cannot be started.
        let mut children = PipelineChild {
            children: Vec::with_capacity(self.commands.len()),
        };
        let mut upstream = None;
        for (place, mut command) in self.commands.into_iter().enumerate() {
            if let Some(reader) = upstream.take() {
                command.stdio[0] = Some(Stdio::Descriptor(reader));
            }
            if place < last {
                let pipe = rustix::pipe::pipe_with(PipeFlags::CLOEXEC);
                let (reader, writer) = pipe.during("creating pipe", "")?;
                command.stdio[1] = Some(Stdio::Descriptor(writer));
                upstream = Some(reader);
            }
            match command.spawn() {
                Ok(child) => children.children.push(child),
                Err(error) => {
                    children.kill();
                    return Err(error);
                }
            }
        }
        Ok(children)
    }

    /// Runs all programs and collects what the last one writes; the status is
    /// that of the last program that failed, or success. Standard error is what the
    /// programs that failed wrote to theirs, one program after the other; if none
    /// failed, what all wrote.
    ///
    /// # Errors
    /// As [`Command::output`].
    ///
    /// # Examples
    /// ```
    /// use procession::process::Command;
    /// let output = Command::shell("echo a; exit 4").pipe(Command::new("cat")).output()?;
    /// assert_eq!((output.text().as_str(), output.status.code()), ("a", Some(4)));
    /// # Ok::<(), procession::process::CommandError>(())
    /// ```
    pub fn output(self) -> std::result::Result<Output, CommandError> {
        self.run().map(|(output, _)| output)
    }

    /// Runs all programs as [`output`](Pipeline::output) does; the failure of any program is an
    /// error.
    ///
    /// # Errors
    /// [`CommandError::Failed`], naming the program and quoting it, and as
    /// [`output`](Pipeline::output).
    ///
    /// # Examples
    /// ```
    /// use procession::process::Command;
    /// let fails = Command::new("sh").args(["-c", "echo no such luck >&2; exit 3"]);
    /// assert_eq!(
    ///     fails.pipe(Command::new("cat")).check().unwrap_err().to_string(),
    ///     "`sh -c 'echo no such luck >&2; exit 3'` exited with code 3: no such luck"
    /// );
    /// ```
    pub fn check(self) -> std::result::Result<Output, CommandError> {
        match self.run()? {
            (output, None) => Ok(output),
            (output, Some(command)) => Err(CommandError::failed(command, output)),
        }
    }

    /// What was written, and the last one that failed.
    fn run(mut self) -> std::result::Result<(Output, Option<String>), CommandError> {
        let last = self.commands.len() - 1;
        self.commands[0].stdio[0].get_or_insert(Stdio::Null);
        self.commands[last].stdio[1].get_or_insert(Stdio::Piped);
        for command in &mut self.commands {
            command.stdio[2].get_or_insert(Stdio::Piped);
        }
        let lines: Vec<String> = self.commands.iter().map(ToString::to_string).collect();
        let whole = self.to_string();
        let deadline = self.timeout.map_or(Deadline::NEVER, Deadline::after);
        let limit = self.output_limit;
        let mut children = self.spawn().map_err(CommandError::NotStarted)?;
        match children.communicate(&whole, deadline, limit) {
            Ok(ended) => {
                let Ended {
                    mut output,
                    statuses,
                    mut words,
                } = ended;
                let failed = |status: &ExitStatus| !status.success();
                let culprit = statuses.iter().rposition(failed);
                if let Some(place) = culprit {
                    output.status = statuses[place];
                    // What failed first may be why the others did.
                    let mut is_to_blame = statuses.iter().map(failed);
                    words.retain(|_| is_to_blame.next() == Some(true));
                }
                output.stderr = words.concat();
                Ok((output, culprit.map(|place| lines[place].clone())))
            }
            Err(error) => {
                children.kill();
                Err(error)
            }
        }
    }
}

impl fmt::Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, command) in self.commands.iter().enumerate() {
            f.write_str(if place > 0 { " | " } else { "" })?;
            command.fmt(f)?;
        }
        Ok(())
    }
}

/// What came of all programs.
#[derive(Debug)]
struct Ended {
    /// Of the last one, without what it wrote to standard error.
    output: Output,
    statuses: Vec<ExitStatus>,
    /// What each wrote there.
    words: Vec<Vec<u8>>,
}

/// Programs in a row that run.
#[derive(Debug)]
pub struct PipelineChild {
    children: Vec<CommandChild>,
}

impl PipelineChild {
    /// Returns the programs, first to last.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, Signal};
    /// let pipeline = Command::new("sleep").arg("60").pipe(Command::new("cat"));
    /// let mut children = pipeline.spawn()?;
    /// children.children()[0].kill()?;
    /// let statuses = children.wait()?;
    /// assert_eq!(statuses[0].signal(), Some(Signal::KILL));
    /// assert!(statuses[1].success());
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn children(&mut self) -> &mut [CommandChild] {
        &mut self.children
    }

    /// Waits for all programs, and returns how each ended.
    ///
    /// # Errors
    /// As [`CommandChild::wait`].
    ///
    /// # Examples
    /// See [`children`](PipelineChild::children).
    pub fn wait(&self) -> Result<Vec<ExitStatus>> {
        self.wait_deadline(Deadline::NEVER)
    }

    /// Returns how each program ended, and `None` while one of them runs.
    ///
    /// # Errors
    /// As [`CommandChild::try_wait`].
    ///
    /// # Examples
    /// ```
    /// use procession::process::Command;
    /// use std::time::Duration;
    /// let children = Command::new("sleep").arg("60").pipe(Command::new("cat")).spawn()?;
    /// assert_eq!(children.try_wait()?, None);
    /// assert!(children.wait_timeout(Duration::from_millis(2)).unwrap_err().is_timeout());
    /// children.kill();
    /// assert!(children.wait_deadline(procession::Deadline::NOW)?.iter().all(|it| !it.success()));
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn try_wait(&self) -> Result<Option<Vec<ExitStatus>>> {
        self.children.iter().map(CommandChild::try_wait).collect()
    }

    /// Waits for all, at most `timeout` in all, and tells how each ended.
    ///
    /// # Errors
    /// As [`CommandChild::wait_timeout`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Vec<ExitStatus>> {
        self.wait_deadline(Deadline::after(timeout))
    }

    /// Waits for all until `deadline`, and tells how each ended.
    ///
    /// # Errors
    /// As [`CommandChild::wait_deadline`].
    pub fn wait_deadline(&self, deadline: Deadline) -> Result<Vec<ExitStatus>> {
        let children = self.children.iter();
        children
            .map(|child| child.wait_deadline(deadline))
            .collect()
    }

    /// Kills all that run, with their groups, and waits for them.
    pub fn kill(&self) {
        for child in &self.children {
            let _ = child
                .signal_group(super::super::Signal::KILL)
                .or_else(|_| child.kill());
        }
        let _ = self.wait();
    }

    fn communicate(
        &mut self,
        line: &str,
        deadline: Deadline,
        limit: Option<usize>,
    ) -> std::result::Result<Ended, CommandError> {
        let (last, others) = self
            .children
            .split_last_mut()
            .expect("there are two at least");
        // The first one is fed while the last one is read, and the words of all.
        last.take_care_of(others);
        let finished = last.finish(line, deadline, limit);
        let mut words = last.take_words_of_others();
        let mut output = finished.map_err(|error| error.after(&words))?;
        words.push(std::mem::take(&mut output.stderr));
        let mut statuses = Vec::with_capacity(others.len() + 1);
        for child in others {
            let ended = child.wait_deadline(deadline);
            let late = |error: crate::Error| match error.kind() {
                crate::ErrorKind::TimedOut => CommandError::TimedOut {
                    command: line.to_owned(),
                    output: output.clone(),
                }
                .after(&words),
                _ => CommandError::NotStarted(error),
            };
            statuses.push(ended.map_err(late)?);
        }
        statuses.push(output.status);
        Ok(Ended {
            output,
            statuses,
            words,
        })
    }
}
