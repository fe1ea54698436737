//! The oldest versions that the manifests of the libraries allow are new enough: a program that
//! has one of them in its lock file builds.
//!
//! Programs are left out: they are installed with what is newest, or with their
//! own lock file.

use crate::members;
use crate::package::{self, Unpacked};

/// Builds the packages of the libraries with those versions; returns whether that works.
pub(crate) fn check() -> bool {
    let libraries = members::published()
        .into_iter()
        .filter(|it| it.is_library)
        .collect();
    match package::unpack("minimal", libraries) {
        Ok(unpacked) => builds(&unpacked),
        Err(error) => {
            println!("minimal versions: {error}");
            false
        }
    }
}

fn builds(unpacked: &Unpacked) -> bool {
    // Only to choose: an unstable option of cargo, which builds with what is stable.
    let mut choose = unpacked.cargo(&["update", "-Zdirect-minimal-versions"]);
    choose.env("RUSTC_BOOTSTRAP", "1");
    let error = match choose.output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Some(error.to_string()),
    };
    match error {
        Some(error) if error.contains("failed to select a version") => {
            println!(
                "minimal versions: the manifests contradict those of what they need:\n{error}"
            );
            return false;
        }
        Some(error) => {
            eprintln!("NOT TESTED: minimal versions: {error}");
            return true;
        }
        None => {}
    }
    if !unpacked.run(&["fetch"]) {
        eprintln!("NOT TESTED: minimal versions, which could not be downloaded");
        return true;
    }
    unpacked.run(&["check", "--workspace", "--all-features", "--offline"])
}
