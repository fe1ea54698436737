use crate::{NAMES, has_redis, json, procession, run, stderr, stdout};
use procession_pi::{error_ulp, exact};

pub(crate) fn one_transport_prints_the_value_alone() {
    for arguments in [
        &["pi"][..],
        &["pi", "--via", "fifo"],
        &["pi", "--via", "none"],
    ] {
        let output = run(arguments);
        assert!(output.status.success());
        assert_eq!(stdout(&output), "3.1415926504066944\n");
        assert!(
            stderr(&output).contains("100000000 terms"),
            "{}",
            stderr(&output)
        );
    }
}

pub(crate) fn every_transport_agrees_and_the_json_is_valid() {
    for start in ["fork", "spawn", "forkserver"] {
        every_transport_agrees(start);
    }
}

fn every_transport_agrees(start: &str) {
    let report = json(&run(&["pi", "--via", "all", "--json", "--start", start]));
    assert_eq!(report["schema"], "procession.pi/1");
    assert_eq!(
        (report["terms"].as_u64(), report["workers"].as_u64()),
        (Some(100_000_000), Some(10))
    );
    let runs = report["runs"].as_array().unwrap();
    let names: Vec<&str> = runs
        .iter()
        .map(|run| run["via"].as_str().unwrap())
        .collect();
    assert_eq!(names, NAMES);
    let redis = has_redis();
    for run in runs {
        assert_eq!(run["start"], start);
        if run["via"] == "redis" && !redis {
            assert_eq!(run["status"], "unavailable");
            continue;
        }
        assert_eq!(run["status"], "ok", "{run}");
        assert_eq!(
            format!("{:.14}", run["value"].as_f64().unwrap()),
            "3.14159265040669"
        );
        assert!(run["error_ulp"].as_f64().unwrap().abs() <= 4.0);
        assert!(run["seconds"].as_f64().unwrap() > 0.0);
    }
}

pub(crate) fn several_transports_make_a_table() {
    let output = run(&[
        "pi",
        "-n",
        "1000",
        "-w",
        "3",
        "--via",
        "pipe,none,pipe,mmap",
    ]);
    let text = stdout(&output);
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines[0],
        ["via", "status", "value", "error", "(ulp)", "seconds"]
    );
    let names: Vec<&str> = lines[1..].iter().map(|line| line[0]).collect();
    assert_eq!(
        names,
        ["pipe", "none", "mmap"],
        "each once, in the order asked for"
    );
    for line in &lines[1..] {
        assert_eq!(
            (line[1], line[2]),
            ("ok", exact(1000).to_f64().to_string().as_str())
        );
    }
}

pub(crate) fn json_is_a_format() {
    let arguments = ["pi", "-n", "10", "--via", "socketpair"];
    let long = json(&run(&[&arguments[..], &["--format", "json"]].concat()));
    let short = json(&run(&[&arguments[..], &["--json"]].concat()));
    assert_eq!(long["runs"][0]["value"], short["runs"][0]["value"]);
    let both = run(&[&arguments[..], &["--json", "--format", "table"]].concat());
    assert_eq!(both.status.code(), Some(2));
}

pub(crate) fn any_number_of_terms_and_workers_is_within_four_ulp() {
    for (terms, workers) in [
        (1, 1),
        (1, 10),
        (2, 3),
        (7, 64),
        (511, 2),
        (513, 5),
        (99_999, 64),
        (12_345_678, 7),
    ] {
        let (n, w) = (terms.to_string(), workers.to_string());
        let output = run(&["pi", "-n", &n, "-w", &w, "--via", "pipe"]);
        assert!(output.status.success(), "{}", stderr(&output));
        let value: f64 = stdout(&output).trim().parse().unwrap();
        let error = error_ulp(value, terms);
        assert!(
            error.abs() <= 4.0,
            "{terms} terms, {workers} workers: {error} ulp"
        );
    }
}

pub(crate) fn bad_input_is_a_usage_error() {
    for arguments in [
        &["pi", "--terms", "0"][..],
        &["pi", "--terms", "-1"],
        &["pi", "--terms", "99999999999999999999"],
        &["pi", "--terms", "2000000000000000"],
        &["pi", "--terms", "many"],
        &["pi", "--workers", "0"],
        &["pi", "--workers", "4097"],
        &["pi", "--via", "carrier-pigeon"],
        &["pi", "--via", ""],
        &["pi", "--via", "pipe,,fifo"],
        &["pi", "--start", "teleport"],
        &["pi", "--format", "xml"],
        &["pie"],
        &[],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
        assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    }
    let unknown = stderr(&run(&["pi", "--via", "carrier-pigeon"]));
    assert!(
        unknown.contains("carrier-pigeon") && unknown.contains("socketpair"),
        "{unknown}"
    );
}

pub(crate) fn an_unavailable_transport_named_is_an_error() {
    let output = procession(&["pi", "--via", "redis"])
        .env("PATH", "")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
    let text = stderr(&output);
    assert!(text.contains("redis-server is not installed"), "{text}");
    assert!(text.contains("try: install it"), "{text}");
    let output = procession(&["pi", "-n", "10", "--via", "pipe,redis"])
        .env("PATH", "")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
}

pub(crate) fn an_unavailable_transport_among_all_is_listed() {
    let output = procession(&["pi", "-n", "10", "--via", "all", "--json"])
        .env("PATH", "")
        .output()
        .unwrap();
    let report = json(&output);
    let redis = &report["runs"][12];
    assert_eq!(
        (&redis["via"], &redis["status"]),
        (&"redis".into(), &"unavailable".into())
    );
    assert!(
        redis["reason"]
            .as_str()
            .unwrap()
            .contains("redis-server is not installed")
    );
    assert!(redis.get("value").is_none());
}

pub(crate) fn too_few_descriptors_is_an_error_that_names_the_limit() {
    let command = format!(
        "ulimit -n 20; exec {} pi -w 40 --via socketpair",
        env!("CARGO_BIN_EXE_procession")
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &command])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", stderr(&output));
    let text = stderr(&output);
    assert!(
        text.contains("EMFILE") && text.contains("try: RLIMIT_NOFILE is 20"),
        "{text}"
    );
}

pub(crate) fn a_pool_computes_the_same() {
    for start in ["fork", "spawn", "forkserver"] {
        let arguments = [
            "pi",
            "--via",
            "pool,none",
            "-n",
            "1000000",
            "--json",
            "--start",
            start,
        ];
        let report = json(&run(&arguments));
        let value = |run: usize| report["runs"][run]["value"].as_f64().unwrap();
        assert!((value(0) - value(1)).abs() < 1e-14);
        assert_ne!(report["runs"][0]["start"], "fork");
    }
}
