//! What `cargo xtask tidy` and `cargo xtask package` ask holds for the project.

use std::process::Command;

#[test]
fn the_project_is_tidy() {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("tidy")
        .output();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.is_empty(), "{text}");
}
