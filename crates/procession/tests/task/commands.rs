use procession::os::pipe;
use procession::process::{
    self, Command, CommandError, LimitedResource, OnDrop, Signal, Stdio, Stop,
};
use procession::{Deadline, ErrorKind, poll};
use std::io::{Read, Seek};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

fn sh(script: &str) -> Command {
    Command::new("sh").args(["-c", script])
}

pub(crate) fn a_status_is_told() {
    assert!(Command::new("true").status().unwrap().success());
    assert_eq!(sh("exit 7").status().unwrap().code(), Some(7));
    let killed = sh("kill -9 $$").status().unwrap();
    assert_eq!(killed.signal(), Some(Signal::KILL));
}

pub(crate) fn output_is_collected() {
    let output = sh("echo out; echo err >&2; exit 2").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        (&output.stdout[..], &output.stderr[..]),
        (&b"out\n"[..], &b"err\n"[..])
    );
    assert_eq!(output.text(), "out");
    let fed = Command::new("cat").input("fed").output().unwrap();
    assert_eq!(fed.text(), "fed");
    // Nothing to read where nothing is given.
    assert_eq!(Command::new("cat").output().unwrap().text(), "");
}

pub(crate) fn a_check_tells_status_and_last_words() {
    assert_eq!(sh("echo fine").check().unwrap().text(), "fine");
    let error = sh("for i in $(seq 5000); do echo line $i; done >&2; exit 9")
        .check()
        .unwrap_err();
    assert_eq!(error.status().unwrap().code(), Some(9));
    let tail = error.stderr_tail();
    assert!(tail.ends_with("line 5000"), "{tail}");
    assert!(tail.starts_with("line ") && tail.len() < 2100, "{tail}");
    let text = error.to_string();
    assert!(
        text.contains("exited with code 9; it said last:\nline"),
        "{text}"
    );
    let general: procession::Error = error.into();
    assert_eq!(general.kind(), ErrorKind::ProcessDied);
}

pub(crate) fn megabytes_in_and_out_do_not_deadlock() {
    let input: Vec<u8> = (0..8_000_000_u32).map(|it| (it % 251) as u8).collect();
    let output = sh("tee /dev/stderr").input(input.clone()).output().unwrap();
    assert!(output.stdout == input && output.stderr == input);
    // A program that does not want it all is no error.
    let head = Command::new("head").args(["-c", "5"]).input(input.clone());
    assert_eq!(head.check().unwrap().stdout, &input[..5]);
}

pub(crate) fn a_program_that_is_not_there_is_an_error() {
    for (command, kind, named) in [
        (
            Command::new("not-a-program"),
            ErrorKind::NotFound,
            "not-a-program",
        ),
        (
            Command::new("/etc/passwd"),
            ErrorKind::PermissionDenied,
            "/etc/passwd",
        ),
        (Command::new("/"), ErrorKind::PermissionDenied, "/"),
        (
            Command::new("true").current_dir("/not/there"),
            ErrorKind::NotFound,
            "/not/there",
        ),
        (
            Command::new("true").env("PATH", "/nowhere"),
            ErrorKind::NotFound,
            "true",
        ),
    ] {
        let error = command.spawn().unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(named), "{error}");
    }
    let error = Command::new("not-a-program").check().unwrap_err();
    assert!(matches!(error, CommandError::NotStarted(_)));
}

pub(crate) fn a_timeout_ends_the_whole_group() {
    let (reader, writer) = pipe::pipe().unwrap();
    let held = writer.into_blocking().unwrap();
    // A shell, what it waits for, and what it has left behind, all deaf.
    let command = sh("trap '' TERM; sleep 3600 & echo begun; echo why >&2; sleep 3600")
        .stdin(held)
        .timeout(Duration::from_millis(100));
    let error = command.check().unwrap_err();
    match &error {
        CommandError::TimedOut { output, .. } => {
            assert_eq!(output.text(), "begun");
            assert_eq!(output.status.signal(), Some(Signal::KILL));
        }
        other => panic!("{other}"),
    }
    assert!(error.to_string().ends_with("was killed: why"), "{error}");
    // Everybody who had the other end is gone.
    assert_eq!(reader.read(&mut [0; 9]).unwrap(), 0);
    let status = Command::new("sleep")
        .arg("3600")
        .timeout(Duration::from_millis(5));
    assert!(matches!(
        status.status(),
        Err(CommandError::TimedOut { .. })
    ));
    let quick = sh("echo quick").timeout(Duration::from_secs(3600)).check();
    assert_eq!(quick.unwrap().text(), "quick");
}

pub(crate) fn too_much_output_ends_it() {
    let error = Command::new("yes")
        .output_limit(100_000)
        .check()
        .unwrap_err();
    match error {
        CommandError::TooMuchOutput { output, .. } => {
            assert_eq!(output.stdout.len(), 100_000);
        }
        other => panic!("{other}"),
    }
    let exact = sh("printf 12345").output_limit(5).check().unwrap();
    assert_eq!(exact.stdout, b"12345");
}

pub(crate) fn communicating_again_loses_nothing() {
    let mut cat = Command::new("cat")
        .stdin(Stdio::Piped)
        .stdout(Stdio::Piped)
        .spawn()
        .unwrap();
    let keep = cat.take_stdin().unwrap();
    let mut fed = Vec::new();
    for number in 0..20_u8 {
        keep.write_all(&[number; 1000]).unwrap();
        fed.extend([number; 1000]);
        let soon = Deadline::after(Duration::from_millis(1));
        assert!(cat.communicate(b"", soon).unwrap_err().is_timeout());
    }
    drop(keep);
    let output = cat.communicate(b"", Deadline::NEVER).unwrap();
    assert!(output.stdout == fed && output.status.success());
}

pub(crate) fn a_pipeline_is_one_command() {
    let text: String = (0..200_000)
        .map(|number| format!("{}\n", number % 1000))
        .collect();
    let output = Command::new("cat")
        .input(text)
        .pipe(Command::new("sort"))
        .pipe(Command::new("uniq"))
        .pipe(Command::new("wc").arg("-l"))
        .check()
        .unwrap();
    assert_eq!(output.text().trim(), "1000");
    // Any of them may fail, and is named.
    let error = sh("echo x; exit 4")
        .pipe(Command::new("cat"))
        .check()
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("`sh -c 'echo x; exit 4'` exited with code 4")
    );
    let lenient = sh("echo x; exit 4")
        .pipe(Command::new("cat"))
        .output()
        .unwrap();
    assert_eq!(
        (lenient.text().as_str(), lenient.status.code()),
        ("x", Some(4))
    );
    // Whoever fails is quoted, and nobody else; of two, both: one may be why.
    let fails = |code: u8| sh(&format!("echo reason {code} >&2; exit {code}"));
    let warns = || sh("echo a warning >&2; cat");
    for pipeline in [
        fails(3).pipe(warns()),
        warns().pipe(fails(3)),
        warns().pipe(fails(3)).pipe(warns()),
    ] {
        let error = pipeline.check().unwrap_err();
        assert_eq!(error.stderr_tail(), "reason 3", "{error}");
        assert!(error.to_string().ends_with("exited with code 3: reason 3"));
    }
    let error = fails(3).pipe(fails(4)).pipe(warns()).check().unwrap_err();
    assert_eq!(error.stderr_tail(), "reason 3\nreason 4");
    assert_eq!(error.status().unwrap().code(), Some(4));
    let fine = warns().pipe(warns()).check().unwrap();
    assert_eq!(fine.stderr, b"a warning\na warning\n");
    // More of it than a pipe holds, beside an input that waits, and cut at the limit.
    let long = sh("cat >/dev/null; head -c 300000 /dev/zero >&2; exit 5");
    let error = long.input(vec![b'x'; 300_000]).pipe(warns()).check();
    assert!(error.unwrap_err().output().unwrap().stderr.len() > 300_000 - 1);
    let long = sh("head -c 300000 /dev/zero >&2; exit 5").pipe(warns());
    let error = long.output_limit(1000).check();
    assert!(
        matches!(error, Err(CommandError::TooMuchOutput { .. })),
        "{error:?}"
    );
    let late = sh("echo reason >&2; sleep 3600").pipe(warns());
    let late = late
        .timeout(Duration::from_millis(300))
        .check()
        .unwrap_err();
    assert!(late.stderr_tail().contains("reason"), "{late}");
    // What says where its words go has them there.
    let elsewhere = fails(3).stderr(Stdio::Null).pipe(warns()).check();
    assert!(!elsewhere.unwrap_err().stderr_tail().contains("reason"));
    // A consumer that ends early ends its producer.
    let early = Command::new("yes").pipe(Command::new("head").args(["-n", "1"]));
    let early = early.output().unwrap();
    assert_eq!(
        (early.text().as_str(), early.status.signal()),
        ("y", Some(Signal::PIPE))
    );
    let late = Command::new("sleep").arg("3600").pipe(Command::new("cat"));
    let late = late.timeout(Duration::from_millis(20)).check();
    assert!(
        matches!(late, Err(CommandError::TimedOut { .. })),
        "{late:?}"
    );
    let absent = Command::new("sleep")
        .arg("3600")
        .pipe(Command::new("not-a-program"));
    assert!(matches!(absent.check(), Err(CommandError::NotStarted(_))));
}

pub(crate) fn settings_are_applied() {
    let mut file = tempfile::tempfile().unwrap();
    let status = sh("pwd; echo $PROCESSION_C; ulimit -n; nice; echo $PPID >&2")
        .current_dir("/usr")
        .env("PROCESSION_C", "see")
        .limit(LimitedResource::OpenFiles, Some(99))
        .niceness(3)
        .stdout(file.try_clone().unwrap())
        .stderr(Stdio::Null)
        .status()
        .unwrap();
    assert!(status.success());
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "/usr\nsee\n99\n3\n");
    let bare = sh("env | grep -v ^_= | grep -v ^PWD= | grep -v ^SHLVL=")
        .env_clear()
        .env("ONLY", "1");
    assert_eq!(bare.output().unwrap().text(), "ONLY=1");
    // As a shell would start it: Ctrl-C and broken pipes end it.
    let ignored = sh("grep SigIgn /proc/self/status").check().unwrap().text();
    let ignored = u64::from_str_radix(ignored.split_whitespace().last().unwrap(), 16).unwrap();
    for signal in [Signal::INT, Signal::PIPE] {
        assert_eq!(ignored >> (signal.as_raw() - 1) & 1, 0, "{signal}");
    }
    let open = sh("ls /proc/self/fd").check().unwrap();
    assert_eq!(open.text().lines().count(), 4, "three, and the directory");
}

pub(crate) fn a_program_is_stopped_step_by_step() {
    let obeys = Command::new("sleep").arg("3600").spawn().unwrap();
    let stop = Stop::new().terminate(Duration::from_secs(60));
    assert_eq!(obeys.stop(stop).unwrap().signal(), Some(Signal::TERM));
    let (mut reader, writer) = pipe::pipe().unwrap();
    let deaf = sh("trap '' TERM; echo; while :; do sleep 3600; done")
        .stdout(writer.into_blocking().unwrap())
        .process_group()
        .spawn()
        .unwrap();
    reader.read_exact(&mut [0]).unwrap();
    let stop = Stop::new().terminate(Duration::from_millis(5)).group();
    assert_eq!(deaf.stop(stop).unwrap().signal(), Some(Signal::KILL));
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    let error = obeys.kill().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

pub(crate) fn a_dropped_program_goes_on_or_not() {
    let killed = Command::new("sleep").arg("3600").on_drop(OnDrop::Kill);
    let killed = killed.spawn().unwrap();
    let pidfd = killed.as_fd().try_clone_to_owned().unwrap();
    drop(killed);
    poll::readable(&pidfd, Deadline::NOW).unwrap();
    let (mut reader, writer) = pipe::pipe().unwrap();
    let output = writer.into_blocking().unwrap();
    drop(sh("echo still here").stdout(output).spawn().unwrap());
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "still here\n");
}

pub(crate) fn a_program_does_not_outlive_its_family() {
    let (mut reader, writer) = pipe::pipe().unwrap();
    let parent = match process::fork().unwrap() {
        process::Fork::Parent(child) => child,
        process::Fork::Child => {
            // A shell that has gone, and what it left behind.
            let output = writer.try_clone().unwrap().into_blocking().unwrap();
            let left = sh("setsid sh -c 'echo; sleep 3600' & exit 0").stdout(output);
            left.status().unwrap();
            loop {
                std::thread::park();
            }
        }
    };
    drop(writer);
    reader.read_exact(&mut [0]).unwrap();
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
}

pub(crate) fn output_of_many_programs_at_once() {
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            std::thread::spawn(move || {
                for number in 0..25 {
                    let word = format!("{thread}-{number}");
                    let output = Command::new("echo").arg(&word).check().unwrap();
                    assert_eq!(output.text(), word);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// What a program prints of its descriptors beyond the standard streams.
fn listed(command: Command) -> String {
    command.check().unwrap().text().trim().replace('\n', " ")
}

pub(crate) fn descriptors_have_the_numbers_that_are_given() {
    let said = |number: i32| format!("echo {number} >/proc/self/fd/{number}");
    // Low numbers are those that the server uses itself; and each takes the place of
    // another's source.
    let (mut reader, writer) = std::io::pipe().unwrap();
    let copies: Vec<OwnedFd> = (0..6).map(|_| writer.try_clone().unwrap().into()).collect();
    let numbers: Vec<i32> = copies.iter().rev().map(AsRawFd::as_raw_fd).collect();
    let swapped = numbers.iter().zip(copies);
    let script: Vec<String> = numbers.iter().map(|number| said(*number)).collect();
    let command = swapped.fold(sh(&script.join(";")), |command, (number, copy)| {
        command.fd(*number, copy)
    });
    drop(writer);
    assert!(command.status().unwrap().success());
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let expected: String = numbers.iter().map(|number| format!("{number}\n")).collect();
    assert_eq!(text, expected);
    // A hundred, of which each is itself, and nothing beside; the last of two counts.
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new("cat").fd(3, std::fs::File::open("/dev/null").unwrap());
    for number in 3..103 {
        let path = directory.path().join(number.to_string());
        std::fs::write(&path, format!("{number} ")).unwrap();
        command = command
            .arg(format!("/proc/self/fd/{number}"))
            .fd(number, std::fs::File::open(path).unwrap());
    }
    let expected: String = (3..103).map(|number| format!("{number} ")).collect();
    assert_eq!(listed(command), expected.trim());
    let null = || std::fs::File::open("/dev/null").unwrap();
    let all = Command::new("ls")
        .arg("/proc/self/fd")
        .fd(9, null())
        .fd(5, null());
    // And the directory that it reads.
    assert_eq!(listed(all), "0 1 2 3 5 9");
    // Each member of a pipeline has its own.
    let pipeline = sh("cat <&7").fd(7, std::fs::File::open("/proc/self/comm").unwrap());
    let last = sh("cat; cat <&8; ls /proc/self/fd/7 2>&1 | wc -l");
    let output = pipeline.pipe(last.fd(8, null())).check().unwrap();
    assert_eq!(output.text().lines().count(), 2, "{}", output.text());
}

pub(crate) fn numbers_that_cannot_be_are_refused() {
    let null = || std::fs::File::open("/dev/null").unwrap();
    for (number, kind) in [
        (-1, ErrorKind::InvalidInput),
        (0, ErrorKind::InvalidInput),
        (2, ErrorKind::InvalidInput),
        (i32::MAX, ErrorKind::LimitReached),
    ] {
        let error = Command::new("true").fd(number, null()).spawn().unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(&number.to_string()), "{error}");
    }
    // A limit that the program gets does not refuse what it has.
    let limited = Command::new("true").limit(LimitedResource::OpenFiles, Some(20));
    assert!(limited.fd(500, null()).status().unwrap().success());
}

pub(crate) fn an_error_says_whether_it_passes() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::os::unix::fs::symlink(path("loop"), path("loop")).unwrap();
    std::fs::copy("/bin/true", path("written")).unwrap();
    let written = std::fs::File::options().append(true).open(path("written"));
    let failing = [
        (
            Command::new(path("loop")),
            ErrorKind::InvalidInput,
            libc::ELOOP,
        ),
        (
            Command::new("/bin/true/x"),
            ErrorKind::NotFound,
            libc::ENOTDIR,
        ),
        (
            Command::new("true").arg("x".repeat(1 << 18)),
            ErrorKind::InvalidInput,
            libc::E2BIG,
        ),
        (
            Command::new("true").arg("a\0b"),
            ErrorKind::InvalidInput,
            libc::EINVAL,
        ),
        (
            Command::new("tr\0ue"),
            ErrorKind::InvalidInput,
            libc::EINVAL,
        ),
        (
            Command::new(path("written")),
            ErrorKind::Busy,
            libc::ETXTBSY,
        ),
    ];
    for (command, kind, number) in failing {
        let line: String = command.to_string().chars().take(100).collect();
        let error = command.spawn().unwrap_err();
        let said = (error.kind(), error.raw_os_error());
        assert_eq!(said, (kind, Some(number)), "{line}: {error}");
        assert!(Command::new("true").status().unwrap().success());
    }
    drop(written);
    assert!(Command::new(path("written")).status().unwrap().success());
}

/// The family's server, which exists when something has been started.
fn server() -> rustix::process::Pid {
    assert!(Command::new("true").status().unwrap().success());
    let children = process::children().unwrap();
    let mut servers = children.iter().filter(|it| it.name == "procession-srv");
    rustix::process::Pid::from_raw(servers.next().unwrap().pid.cast_signed()).unwrap()
}

pub(crate) fn a_server_without_descriptors_or_memory_says_so() {
    use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
    let server = Some(server());
    let start = |number: i32| {
        let null = || std::fs::File::open("/dev/null").unwrap();
        let command = Command::new("true")
            .fd(number, null())
            .fd(number + 1, null());
        command.status().map(drop)
    };
    for (resource, limits, kinds) in [
        (Resource::Nofile, 0..24, [ErrorKind::LimitReached; 2]),
        (
            Resource::As,
            0..1,
            [ErrorKind::NoSpace, ErrorKind::LimitReached],
        ),
    ] {
        let before = getrlimit(resource);
        for limit in limits {
            let current = Some(limit);
            let now = Rlimit { current, ..before };
            prlimit(server, resource, now).unwrap();
            match start(3) {
                Ok(()) => {}
                Err(CommandError::NotStarted(error)) => {
                    assert!(kinds.contains(&error.kind()), "{limit}: {error}");
                }
                Err(error) => panic!("{limit}: {error}"),
            }
            prlimit(server, resource, before).unwrap();
            start(3).unwrap();
        }
    }
    assert_eq!(Some(self::server()), server, "it is the same one");
}

pub(crate) fn a_server_without_processes_says_so() {
    use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
    let server = Some(server());
    let before = getrlimit(Resource::Nproc);
    let current = Some(0);
    prlimit(server, Resource::Nproc, Rlimit { current, ..before }).unwrap();
    // The superuser has no such limit.
    if let Err(error) = Command::new("true").spawn() {
        let said = (error.kind(), error.raw_os_error());
        assert_eq!(
            said,
            (ErrorKind::LimitReached, Some(libc::EAGAIN)),
            "{error}"
        );
    } else {
        println!("NOT TESTED: the limit of processes, which the superuser has not");
    }
    prlimit(server, Resource::Nproc, before).unwrap();
    assert!(Command::new("true").status().unwrap().success());
}
