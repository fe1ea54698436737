use crate::{json, procession, run, stderr, stdout};

pub(crate) fn every_transport_is_listed_with_its_limits() {
    let report = json(&run(&["transports", "--json"]));
    assert_eq!(report["schema"], "procession.transports/2");
    let transports = report["transports"].as_array().unwrap();
    assert_eq!(transports.len(), crate::NAMES.len());
    for transport in transports {
        assert!(
            !transport["limits"].as_array().unwrap().is_empty(),
            "{transport}"
        );
        assert_eq!(
            transport["available"].as_bool().unwrap(),
            transport.get("reason").is_none()
        );
    }
    let named = |name: &str| {
        transports
            .iter()
            .find(|transport| transport["name"] == name)
            .unwrap()
    };
    assert_eq!(named("pipe")["boundaries"], "stream");
    assert_eq!(named("pipe")["named"], false);
    assert_eq!(named("tcp")["reach"], "loopback");
    assert_eq!(named("pipe")["reach"], "machine");
    assert_eq!(named("sysv-mq")["lifetime"], "kernel");
    let most = std::fs::read_to_string("/proc/sys/kernel/msgmax").unwrap();
    assert_eq!(
        named("sysv-mq")["largest_message_bytes"].to_string(),
        most.trim()
    );
    let table = stdout(&run(&["transports"]));
    for transport in transports {
        let name = transport["name"].as_str().unwrap();
        assert!(
            table
                .lines()
                .any(|line| line.trim_start().starts_with(name)),
            "{table}"
        );
    }
}

pub(crate) fn a_transport_that_cannot_run_says_why() {
    let output = procession(&["transports", "--json"])
        .env("PATH", "")
        .output()
        .unwrap();
    let report = json(&output);
    let redis = &report["transports"][12];
    assert_eq!(redis["available"], false);
    assert!(
        redis["reason"].as_str().unwrap().contains("not installed"),
        "{redis}"
    );
}

pub(crate) fn colour_is_asked_for_or_absent() {
    let failing = ["pi", "--via", "redis"];
    let plain = procession(&failing).env("PATH", "").output().unwrap();
    assert!(!stderr(&plain).contains('\u{1b}'));
    let coloured = procession(&failing)
        .args(["--color", "always"])
        .env("PATH", "")
        .output()
        .unwrap();
    assert!(stderr(&coloured).contains('\u{1b}'));
    let never = procession(&failing)
        .args(["--color", "never"])
        .env("PATH", "")
        .output()
        .unwrap();
    assert_eq!(stderr(&never), stderr(&plain));
}
