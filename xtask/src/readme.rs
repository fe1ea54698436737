//! The programs of the README, pasted into a new crate: each builds without a warning
//! and prints what stands below it.

use std::fs;
use std::path::Path;

const OPENING: &str = "```rust\n";
const PRINTED: &str = "```text\n";
const CLOSING: &str = "```\n";

/// A program, and what it prints.
struct Sample<'a> {
    program: &'a str,
    printed: &'a str,
}

/// Builds and runs all; whether all is well.
pub(crate) fn check() -> bool {
    let text = match fs::read_to_string(format!("{}/README.md", super::ROOT)) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("README.md: {error}");
            return false;
        }
    };
    let samples = samples(&text);
    if samples.is_empty() {
        eprintln!("README.md has no program");
    }
    let outcomes: Vec<bool> = (1..)
        .zip(&samples)
        .map(|(number, sample)| {
            let outcome = sample.run();
            match &outcome {
                Ok(()) => println!("README.md, program {number} ... ok"),
                Err(why) => println!("README.md, program {number} ... FAILED\n{why}"),
            }
            outcome.is_ok()
        })
        .collect();
    !outcomes.is_empty() && outcomes.into_iter().all(|ok| ok)
}

/// The programs, each with the listing of what it prints, which follows it.
fn samples(text: &str) -> Vec<Sample<'_>> {
    let listings = text.split(OPENING).skip(1);
    listings
        .map(|listing| {
            let (program, rest) = listing.split_once(CLOSING).unwrap_or((listing, ""));
            let printed = rest.trim_start().strip_prefix(PRINTED);
            let printed = printed.and_then(|printed| printed.split_once(CLOSING));
            Sample {
                program,
                printed: printed.map_or("", |(printed, _)| printed),
            }
        })
        .collect()
}

impl Sample<'_> {
    fn run(&self) -> Result<(), String> {
        if self.printed.is_empty() {
            return Err("README.md does not say what it prints".to_owned());
        }
        let root = fs::canonicalize(super::ROOT).map_err(|error| error.to_string())?;
        let directory = root.join(super::target_directory()).join("readme");
        self.paste(&root, &directory)
            .map_err(|error| format!("{}: {error}", directory.display()))?;
        let output = super::command_of_cargo()
            .args(["run", "--quiet"])
            .current_dir(&directory)
            // What the workspace has compiled need not be compiled again.
            .env("CARGO_TARGET_DIR", root.join(super::target_directory()))
            .output()
            .map_err(|error| error.to_string())?;
        let printed = String::from_utf8_lossy(&output.stdout);
        match output.status.success() && printed == self.printed {
            true => Ok(()),
            false => Err(format!(
                "it printed:\n{printed}and said:\n{}{}",
                String::from_utf8_lossy(&output.stderr),
                output.status
            )),
        }
    }

    /// Makes the crate.
    fn paste(&self, root: &Path, directory: &Path) -> std::io::Result<()> {
        fs::create_dir_all(directory.join("src"))?;
        let manifest = format!(
            "[package]\nname = \"pasted\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
             [dependencies]\nprocession = {{ path = {:?} }}\n\n[workspace]\n",
            root.join("crates/procession")
        );
        fs::write(directory.join("Cargo.toml"), manifest)?;
        // The same versions of what it depends on.
        fs::copy(root.join("Cargo.lock"), directory.join("Cargo.lock"))?;
        // In the first line, so that the others keep their numbers.
        let program = format!("#![deny(warnings)] {}", self.program);
        fs::write(directory.join("src/main.rs"), program)
    }
}
