//! Ctrl-Z, and what a shell with job control does then.

use super::scene::{Scene, wait_for_state};
use super::stops::Session;

const CTRL_Z: &str = "\x1a";

pub(crate) fn what_ctrl_z_stopped_comes_to_its_end_in_the_background() {
    let scene = Scene::new();
    for gate in ["go", "gate.a", "gate.b"] {
        scene.gate(gate);
    }
    let job = "echo $$ > pid.{}; read x < gate.{}; : > done.{}";
    let script = format!(
        "set -m; \"$0\" run -j2 '{job}' ::: a b; echo $? > stopped; \
        read x < go; bg; wait %1; echo $? > ended"
    );
    let Some(mut session) = Session::begin(&scene, &script) else {
        return;
    };
    let jobs = ["pid.a", "pid.b"].map(|name| scene.number(name));
    session.press(CTRL_Z);
    assert!(scene.number("stopped") > 128, "by a signal");
    for job in jobs {
        wait_for_state(job, &['T']);
    }
    scene.open("go");
    for job in jobs {
        wait_for_state(job, &['S', 'R', 'D']);
    }
    scene.open("gate.a");
    scene.open("gate.b");
    assert_eq!(scene.number("ended"), 0);
    assert!(scene.exists("done.a") && scene.exists("done.b"));
    session.end();
}

/// Waits until a job has the terminal, and waits for keys.
#[track_caller]
fn wait_until_asked(job: u32) {
    testkit::eventually("the job has the terminal", || {
        let stat = std::fs::read_to_string(format!("/proc/{job}/stat")).unwrap();
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        let fields: Vec<&str> = rest.split(' ').collect();
        // Its state, and the group that has its terminal.
        fields[0] == "S" && fields[5] == job.to_string()
    });
}

pub(crate) fn ctrl_z_takes_the_terminal_from_the_job_that_has_it() {
    let scene = Scene::new();
    scene.gate("go");
    let job = "echo $$ > pid.{}; read x < /dev/tty; echo got $x";
    let script = format!(
        "set -m; \"$0\" run '{job}' ::: a; echo $? > stopped; read x < go; fg; echo $? > ended"
    );
    let Some(mut session) = Session::begin(&scene, &script) else {
        return;
    };
    let job = scene.number("pid.a");
    wait_until_asked(job);
    session.press(CTRL_Z);
    assert!(scene.number("stopped") > 128, "by a signal");
    wait_for_state(job, &['T']);
    scene.open("go");
    // In the foreground again, the run has it, until the job asks again.
    wait_until_asked(job);
    session.press("yes\n");
    assert_eq!(scene.number("ended"), 0);
    let screen = session.end();
    assert!(screen.contains("got yes"), "{screen}");
}
