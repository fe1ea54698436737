//! Jobs that a log says are done, and that are the same as then.
//!
//! A log knows jobs by their numbers. A file more in a directory, or one line less in a
//! list, gives the same numbers to others: jobs would be passed over that never ran. So
//! the command of a job has to be the one that the log has.

use super::arguments::Arguments;
use super::job::Job;
use super::log::Log;
use super::record::{Record, in_line};
use super::table::shortened;
use super::template::Template;
use crate::failure::Failure;
use std::collections::HashMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Slots that a job may have run in, where its command says in which.
const SLOTS: usize = 4096;

/// The log that options ask for, if it is to be written, and the jobs that need not be
/// run again.
pub(super) fn open(arguments: &Arguments) -> Result<(Option<Log>, Done), Failure> {
    let goes_on = arguments.resume || arguments.resume_failed;
    let mut done = Done::new(arguments);
    let Some(path) = &arguments.joblog else {
        if goes_on {
            let why = "--resume needs the log of the earlier run: name it with --joblog";
            return Err(Failure::Usage(why.to_owned()));
        }
        return Ok((None, done));
    };
    if arguments.dry_run {
        if goes_on && path.exists() {
            let file = File::open(path).map_err(|error| Failure::File(path.clone(), error))?;
            Log::new(path, file)?.read(|record| done.learn(&record))?;
        }
        return Ok((None, done));
    }
    let mut log = Log::open(path)?;
    match goes_on {
        true => {
            let whole = log.read(|record| done.learn(&record))?;
            log.cut(whole)?;
        }
        false => log.cut(0)?,
    }
    log.begin()?;
    Ok((Some(log), done))
}

#[derive(Debug)]
pub(super) struct Done {
    /// The hash of the command of each.
    commands: HashMap<u64, u64>,
    /// Those that have failed are none of them.
    without_failed: bool,
    by_number: bool,
    path: PathBuf,
}

impl Done {
    pub(super) fn new(arguments: &Arguments) -> Done {
        Done {
            commands: HashMap::new(),
            without_failed: arguments.resume_failed,
            by_number: arguments.by_number,
            path: arguments.joblog.clone().unwrap_or_default(),
        }
    }

    /// Takes a record in, of which the last one of a job counts.
    pub(super) fn learn(&mut self, record: &Record<'_>) {
        match self.without_failed && record.has_failed {
            true => self.commands.remove(&record.job),
            false => self.commands.insert(record.job, hash(record.command)),
        };
    }

    /// Whether a job need not be run again.
    ///
    /// # Errors
    /// The job with this number was another one, which `log` tells, if it is open.
    pub(super) fn has(
        &self,
        job: &Job,
        template: &Template,
        log: Option<&Log>,
    ) -> Result<bool, Failure> {
        let Some(recorded) = self.commands.get(&job.number) else {
            return Ok(false);
        };
        let slots = if template.has_slot() { SLOTS } else { 1 };
        let in_slot = |slot| {
            let line = template.complete(&job.arguments, job.number, slot);
            in_line(line.text.as_bytes())
        };
        if self.by_number || (1..=slots).any(|slot| hash(&in_slot(slot)) == *recorded) {
            return Ok(true);
        }
        let text = |command: &[u8]| shortened(&String::from_utf8_lossy(command));
        Err(Failure::Usage(format!(
            "job {} differs from the one in {}: there it is `{}`, now it is `{}`; use the same command \
             and arguments as then, or --by-number to skip jobs by their numbers, or another log",
            job.number,
            self.path.display(),
            text(&self.recorded(job.number, log)?),
            text(&in_slot(1)),
        )))
    }

    /// The command that the log has for a job.
    fn recorded(&self, job: u64, log: Option<&Log>) -> Result<Vec<u8>, Failure> {
        let mut command = Vec::new();
        let look = |record: Record<'_>| {
            if record.job == job {
                command = record.command.to_vec();
            }
        };
        match log {
            // Closing another descriptor of the file would give up its lock.
            Some(log) => log.read(look)?,
            None => {
                let failed = |error| Failure::File(self.path.clone(), error);
                Log::new(&self.path, File::open(&self.path).map_err(failed)?)?.read(look)?
            }
        };
        Ok(command)
    }
}

fn hash(command: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    command.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn done(without_failed: bool, by_number: bool) -> Done {
        let mut done = Done {
            commands: HashMap::new(),
            without_failed,
            by_number,
            path: "/dev/null".into(),
        };
        for (job, has_failed) in [(1, true), (1, false), (2, false), (2, true), (3, false)] {
            done.learn(&Record {
                job,
                has_failed,
                command: format!("echo {job} 7").as_bytes(),
            });
        }
        done
    }

    fn has(done: &Done, command: &str, number: u64) -> Option<bool> {
        let words = command.split(' ').map(OsString::from);
        let template = Template::new(&words.collect::<Vec<_>>(), false, 1).unwrap();
        let job = Job::new(number, vec![number.to_string().into()]);
        done.has(&job, &template, None).ok()
    }

    #[test]
    fn the_last_record_of_a_job_counts() {
        let found = [false, true].map(|without_failed| {
            [1, 2, 3, 4].map(|job| has(&done(without_failed, false), "echo {} 7", job).unwrap())
        });
        assert_eq!(
            found,
            [[true, true, true, false], [true, false, true, false]]
        );
    }

    #[test]
    fn a_job_with_another_command_is_another_job() {
        let by_command = done(true, false);
        assert_eq!(has(&by_command, "echo {} 8", 1), None);
        // What is to be run again may be another one now.
        assert_eq!(has(&by_command, "echo {} 8", 2), Some(false));
        assert_eq!(
            has(&by_command, "echo {} {%}", 1),
            Some(true),
            "in some slot"
        );
        assert_eq!(has(&done(true, true), "echo {} 8", 1), Some(true));
    }
}
