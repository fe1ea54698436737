//! A campaign: jobs that are to be done, and runs that are killed until they are.
//!
//! The effect of a job is a line that it appends to a file of its own. After each
//! kill the effects are held against the log: a job with a record has had its effect,
//! and has it never again.

use rustix::process::{Pid, Signal};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use testkit::random::Random;

/// Jobs of a campaign.
const JOBS: u64 = 50;

/// Lines that a job writes to its output.
const LINES: u64 = 300;

/// Finds the processes of a campaign.
const MARK: &str = "PROCESSION_CAMPAIGN";

/// What was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) kills: u64,
    /// Jobs that are done.
    pub(crate) jobs: u64,
    /// Effects of jobs whose records the kill came before.
    again: u64,
    /// Logs whose last line was torn.
    torn: u64,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Figures {
            kills,
            jobs,
            again,
            torn,
        } = self;
        write!(
            f,
            "{kills} kills, {jobs} jobs done, {again} effects again, {torn} torn logs"
        )
    }
}

struct Campaign {
    directory: tempfile::TempDir,
    options: Vec<String>,
    has_results: bool,
    mark: String,
    /// Effects of each job that has a record, when it had one first.
    recorded: BTreeMap<u64, usize>,
}

/// Kills runs until one comes to its end.
pub(crate) fn run(random: &mut Random, figures: &mut Figures) {
    let mut campaign = Campaign::new(random);
    let mut longest = Duration::from_millis(400);
    loop {
        let started = Instant::now();
        let mut child = campaign.start();
        let moment = random.moment(longest);
        let was_killed = kill_at(&mut child, started + moment, random);
        let status = child.wait().unwrap();
        campaign.wait_until_alone();
        figures.torn += u64::from(campaign.is_torn());
        campaign.check();
        if !was_killed {
            assert!(status.success(), "{status}: {}", campaign.text("errors"));
            break;
        }
        figures.kills += 1;
        // Later and later, so that it comes to an end.
        longest += longest / 20;
    }
    assert_eq!(campaign.recorded.len() as u64, JOBS, "all have a record");
    figures.jobs += JOBS;
    let effects: usize = (1..=JOBS).map(|job| campaign.effects(job)).sum();
    figures.again += effects as u64 - JOBS;
}

/// Kills a run at a moment, one way or the other, unless it ends before.
fn kill_at(child: &mut Child, moment: Instant, random: &mut Random) -> bool {
    while Instant::now() < moment {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    let pid = Pid::from_child(child);
    let send = |signal| rustix::process::kill_process(pid, signal).unwrap();
    match random.below(10) {
        0 => send(Signal::TERM),
        1 => send(Signal::INT),
        2 | 3 => {
            send(Signal::STOP);
            std::thread::sleep(random.moment(Duration::from_millis(20)));
            send(Signal::KILL);
        }
        _ => send(Signal::KILL),
    }
    // It may have come to its end before the signal.
    !child.wait().unwrap().success()
}

impl Campaign {
    fn new(random: &mut Random) -> Campaign {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("tmp")).unwrap();
        let mut options = vec![format!("-j{}", 1 + random.below(8))];
        if random.below(2) == 0 {
            options.push("-k".to_owned());
        }
        let has_results = random.below(2) == 0;
        if has_results {
            options.extend(["--results", "out"].map(str::to_owned));
        }
        Campaign {
            directory,
            options,
            has_results,
            mark: format!("{}.{}", std::process::id(), random.number()),
            recorded: BTreeMap::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn start(&self) -> Child {
        let job = format!(
            "seq {LINES}; echo x >> effect.{{}}; x={{}}; test $((x % 3)) = 0 || sleep 0.01"
        );
        let file = |name| std::fs::File::create(self.path(name)).unwrap();
        Command::new(env!("CARGO_BIN_EXE_procession"))
            .args(["run", "--joblog", "log", "--resume"])
            .args(&self.options)
            .args([&job, ":::"])
            .args((1..=JOBS).map(|job| job.to_string()))
            .current_dir(self.directory.path())
            .env("TMPDIR", self.path("tmp"))
            .env(MARK, &self.mark)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file("errors"))
            .spawn()
            .unwrap()
    }

    /// Waits for the ends of all processes that the run has begun.
    fn wait_until_alone(&self) {
        let mark = format!("{MARK}={}", self.mark);
        testkit::eventually("no process of a killed run is left", || {
            let processes = std::fs::read_dir("/proc").unwrap().flatten();
            !processes
                .filter_map(|entry| std::fs::read(entry.path().join("environ")).ok())
                .any(|environ| {
                    environ
                        .split(|byte| *byte == 0)
                        .any(|it| it == mark.as_bytes())
                })
        });
    }

    /// How often a job has had its effect.
    fn effects(&self, job: u64) -> usize {
        self.text(&format!("effect.{job}")).lines().count()
    }

    fn is_torn(&self) -> bool {
        let log = self.text("log");
        !log.is_empty() && !log.ends_with('\n')
    }

    /// Holds what is there against what was there before.
    fn check(&mut self) {
        let left = testkit::audit::temporary_files(&self.path("tmp"));
        assert!(left.is_empty(), "temporary files are left: {left:?}");
        let log = self.text("log");
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        let mut seen = BTreeMap::new();
        for line in whole.lines().skip(1) {
            let fields: Vec<&str> = line.split('\t').collect();
            assert_eq!(fields.len(), 9, "a line was repaired wrongly: {line:?}");
            let job: u64 = fields[0].parse().unwrap();
            assert_eq!((fields[6], fields[7]), ("0", "0"), "{line}");
            assert!(seen.insert(job, ()).is_none(), "job {job} has two records");
        }
        for (job, ()) in seen {
            let effects = self.effects(job);
            let first = *self.recorded.entry(job).or_insert(effects);
            assert!(first >= 1, "job {job} has a record and no effect");
            assert_eq!(effects, first, "job {job} was run though it has a record");
            if self.has_results {
                let result = self.path("out/1").join(job.to_string());
                check_result(&result);
            }
        }
        for job in self.recorded.keys() {
            let still = whole
                .lines()
                .any(|line| line.starts_with(&format!("{job}\t")));
            assert!(still, "the record of job {job} has gone");
        }
    }
}

fn check_result(directory: &Path) {
    let expected: String = (1..=LINES).map(|line| format!("{line}\n")).collect();
    let found = std::fs::read_to_string(directory.join("stdout")).unwrap();
    assert!(found == expected, "{} is not whole", directory.display());
}
