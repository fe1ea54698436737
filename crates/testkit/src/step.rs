//! Stopping a process at a chosen machine instruction, by ptrace: to kill it
//! there, or to leave it there while others go on.
//!
//! # Safety
//! `unsafe` here is fork and ptrace; the process under trace is a child of
//! ours that asked for it.

use crate::fault::{ARM, DISARM, fork_traced, number_and_argument, ptrace, wait};
use crate::random::Random;

/// A forked child that stands still at an instruction of what its body does
/// inside [`armed`](crate::fault::armed).
#[derive(Debug)]
pub struct Stepper {
    child: i32,
    /// Instructions since the armed part began.
    steps: usize,
    state: State,
    /// Where the calling thread may run when this is over.
    processors: rustix::thread::CpuSet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Armed,
    /// The armed part is over; the child stands still behind it.
    Disarmed,
    Ended(i32),
}

impl Stepper {
    /// Forks a child that runs `body` up to where it calls
    /// [`armed`](crate::fault::armed), and stops it there.
    ///
    /// # Panics
    /// If ptrace is not permitted, or the body never comes there.
    #[must_use]
    pub fn start(body: impl FnOnce()) -> Stepper {
        let processors = share_processor();
        let child = fork_traced(body);
        let (_, status) = wait(child);
        assert!(libc::WIFSTOPPED(status), "ptrace is not permitted here");
        let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL;
        ptrace(libc::PTRACE_SETOPTIONS, child, options as usize);
        let mut stepper = Stepper {
            child,
            steps: 0,
            state: State::Disarmed,
            processors,
        };
        let mut inside = false;
        loop {
            ptrace(libc::PTRACE_SYSCALL, child, 0);
            let signal = stepper.wait_for_stop();
            assert!(
                !matches!(stepper.state, State::Ended(_)),
                "the body ended ({:?}) before it was armed",
                stepper.state
            );
            if signal == libc::SIGTRAP | 0x80 {
                inside = !inside;
                let (number, argument) = number_and_argument(child);
                if !inside && number == libc::SYS_getpgid && argument == ARM {
                    stepper.state = State::Armed;
                    return stepper;
                }
            }
        }
    }

    /// Waits for the child's next stop; the signal that stopped it.
    fn wait_for_stop(&mut self) -> i32 {
        let (_, status) = wait(self.child);
        if libc::WIFEXITED(status) {
            self.state = State::Ended(libc::WEXITSTATUS(status));
        } else if libc::WIFSIGNALED(status) {
            self.state = State::Ended(128 + libc::WTERMSIG(status));
        }
        libc::WSTOPSIG(status)
    }

    /// Lets the child execute so many more instructions, and some less if the
    /// armed part is over before.
    pub fn step(&mut self, instructions: usize) {
        for _ in 0..instructions {
            ptrace(libc::PTRACE_SINGLESTEP, self.child, 0);
            self.wait_for_stop();
            if matches!(self.state, State::Ended(_)) {
                return;
            }
            self.steps += 1;
        }
    }

    /// Whether the child stands in the armed part. It costs more than a step.
    #[must_use]
    pub fn is_inside(&mut self) -> bool {
        // About to ask for DISARM: the call is not made yet.
        let disarms = || crate::fault::is_before_call(self.child, libc::SYS_getpgid, DISARM);
        if self.state == State::Armed && disarms() {
            self.state = State::Disarmed;
        }
        self.state == State::Armed
    }

    /// Steps to the end of the armed part.
    fn step_through(&mut self) {
        while self.is_inside() {
            self.step(1);
        }
    }

    /// Instructions executed since the armed part began.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The child's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.unsigned_abs()
    }

    /// Kills the child where it stands.
    pub fn kill(self) {
        drop(self);
    }

    /// Lets the child go on to its end; its exit code, or 128 and the signal.
    pub fn finish(mut self) -> i32 {
        let mut signal = 0;
        loop {
            if let State::Ended(code) = self.state {
                return code;
            }
            ptrace(libc::PTRACE_CONT, self.child, signal);
            signal = match self.wait_for_stop() {
                libc::SIGTRAP | libc::SIGSTOP => 0,
                other => other.unsigned_abs() as usize,
            };
        }
    }
}

impl Drop for Stepper {
    fn drop(&mut self) {
        if !matches!(self.state, State::Ended(_)) {
            // SAFETY: a child of ours that has not been reaped.
            unsafe { libc::kill(self.child, libc::SIGKILL) };
            while !matches!(self.state, State::Ended(_)) {
                self.wait_for_stop();
            }
        }
        let _ = rustix::thread::sched_setaffinity(None, &self.processors);
    }
}

/// Puts the calling thread on one processor, where its children will be too, and
/// says where it was: to and fro between two, each step would take ten times as
/// long.
///
/// # Panics
/// If the kernel does not say where it may run.
#[must_use]
pub fn share_processor() -> rustix::thread::CpuSet {
    let before = rustix::thread::sched_getaffinity(None).expect("asking for processors");
    let mut one = rustix::thread::CpuSet::new();
    one.set(rustix::thread::sched_getcpu());
    let _ = rustix::thread::sched_setaffinity(None, &one);
    before
}

/// Which instructions to kill at.
#[derive(Debug)]
pub enum Points<'a> {
    /// Before the first, the second, ... and after the last.
    Every,
    /// So many of them, by chance.
    Some(usize, &'a mut Random),
}

/// Runs `body` in a child again and again, killing it at another instruction of
/// its armed part each time; calls `survivor` after each. Returns how many
/// instructions it has, the first time that it is run: where it depends on
/// chance or on time, later runs may have some more.
///
/// # Panics
/// If the body fails when it is not killed.
pub fn kill_at(points: Points<'_>, body: impl Fn(), mut survivor: impl FnMut(usize)) -> usize {
    let instructions = count_instructions(&body);
    survivor(instructions);
    let points: Vec<usize> = match points {
        Points::Some(count, random) if count <= instructions => (0..count)
            .map(|_| random.below(instructions as u64 + 1) as usize)
            .collect(),
        _ => (0..=instructions).collect(),
    };
    for instruction in points {
        let mut stepper = Stepper::start(&body);
        stepper.step(instruction);
        stepper.kill();
        survivor(instruction);
    }
    instructions
}

/// How many instructions the armed part of `body` has.
pub fn count_instructions(body: impl Fn()) -> usize {
    let mut stepper = Stepper::start(&body);
    stepper.step_through();
    let instructions = stepper.steps();
    assert_eq!(
        stepper.finish(),
        0,
        "the body failed where it was not killed"
    );
    instructions
}
