//! What is published can stand alone: each package says what it is, carries what
//! belongs to it, and is built from its `.crate` file, without the workspace.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::members::{self, Package, text_of};

/// What a package has to carry.
const FILES: [&str; 4] = ["Cargo.toml", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];

/// Looks at every package that is published; prints what is missing. Returns whether
/// nothing is, and all are built from what they carry.
pub(crate) fn check() -> bool {
    let problems = problems().unwrap_or_else(|error| vec![error]);
    for problem in &problems {
        println!("package: {problem}");
    }
    problems.is_empty() && are_built()
}

fn problems() -> Result<Vec<String>, String> {
    let packages = members::all()?;
    let (published, others): (Vec<&Value>, Vec<&Value>) =
        packages.iter().partition(|it| members::is_published(it));
    let unpublished: Vec<&Value> = others.iter().map(|package| &package["name"]).collect();
    let mut problems = Vec::new();
    for package in published {
        problems.extend(of_manifest(package, &unpublished));
        let name = package["name"].as_str().unwrap_or_default();
        let list = [
            "package",
            "--list",
            "--offline",
            "--allow-dirty",
            "--package",
            name,
        ];
        let list = text_of(&list)?;
        let is_missing = |file: &&str| !list.lines().any(|line| line == *file);
        let missing = FILES.into_iter().filter(is_missing);
        problems.extend(missing.map(|file| format!("{name} does not carry {file}")));
    }
    Ok(problems)
}

/// What the manifest of a package lacks.
fn of_manifest(package: &Value, unpublished: &[&Value]) -> Vec<String> {
    let name = package["name"].as_str().unwrap_or_default();
    let is_said = |key: &&str| match &package[*key] {
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    };
    let keys = ["description", "license", "readme", "keywords", "categories"];
    let missing = keys.into_iter().filter(|key| !is_said(key));
    let mut problems: Vec<String> = missing.map(|key| format!("{name} has no {key}")).collect();
    let docs = &package["metadata"]["docs"]["rs"];
    let arguments = docs["rustdoc-args"].as_array();
    let arguments = arguments.into_iter().flatten().filter_map(Value::as_str);
    if docs["all-features"] != true || !arguments.eq(["--cfg", "docsrs"]) {
        problems.push(format!("{name} does not say how docs.rs is to build it"));
    }
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let what = &dependency["name"];
        let is_tests = dependency["kind"] == "dev";
        if unpublished.contains(&what) && !is_tests {
            problems.push(format!("{name} needs {what}, which is not published"));
        }
        // One with a version has to be published first, whatever needs it in turn.
        if is_tests && !dependency["path"].is_null() && dependency["req"] != "*" {
            problems.push(format!(
                "{name} needs {what} for its tests: by its path only, or it has to be published first"
            ));
        }
    }
    problems
}

/// Builds all packages from their files.
fn are_built() -> bool {
    match unpack("packages", members::published()) {
        Ok(unpacked) => unpacked.run(&["check", "--workspace", "--all-features", "--offline"]),
        Err(error) => {
            println!("package: {error}");
            false
        }
    }
}

/// Packages as they are downloaded, in a workspace of their own.
pub(crate) struct Unpacked {
    directory: PathBuf,
    target: PathBuf,
}

/// Makes the packages and unpacks them into a directory of that name.
pub(crate) fn unpack(name: &str, packages: Vec<Package>) -> Result<Unpacked, String> {
    if packages.is_empty() {
        return Err("nothing is published".to_owned());
    }
    let mut arguments = vec!["package", "--quiet", "--no-verify"];
    arguments.extend(["--offline", "--allow-dirty"]);
    arguments.extend(packages.iter().flat_map(|it| ["--package", &it.name]));
    if !crate::cargo(&arguments) {
        return Err("cargo does not package them".to_owned());
    }
    let at = |error: std::io::Error| error.to_string();
    let root = fs::canonicalize(crate::ROOT).map_err(at)?;
    let target = root.join(crate::target_directory());
    let directory = target.join(name);
    if directory.exists() {
        fs::remove_dir_all(&directory).map_err(at)?;
    }
    fs::create_dir_all(&directory).map_err(at)?;
    let (mut members, mut patches) = (Vec::new(), Vec::new());
    for Package { name, version, .. } in &packages {
        let unpacked = format!("{name}-{version}");
        let status = Command::new("tar")
            // As new, or cargo takes them for what it has built before.
            .args(["--extract", "--gzip", "--touch", "--file"])
            .arg(target.join(format!("package/{unpacked}.crate")))
            .current_dir(&directory)
            .status();
        if !status.is_ok_and(|status| status.success()) {
            return Err(format!("tar does not unpack {unpacked}.crate"));
        }
        patches.push(format!("{name} = {{ path = {unpacked:?} }}"));
        members.push(unpacked);
    }
    let manifest = format!(
        "[workspace]\nresolver = \"3\"\nmembers = {members:?}\n\n[patch.crates-io]\n{}\n",
        patches.join("\n")
    );
    fs::write(directory.join("Cargo.toml"), manifest).map_err(at)?;
    // The same versions of what they depend on.
    fs::copy(root.join("Cargo.lock"), directory.join("Cargo.lock")).map_err(at)?;
    Ok(Unpacked { directory, target })
}

impl Unpacked {
    /// Cargo, in their workspace.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = crate::command_of_cargo();
        command
            .args(arguments)
            .current_dir(&self.directory)
            // What the workspace has compiled need not be compiled again.
            .env("CARGO_TARGET_DIR", &self.target);
        command
    }

    /// Runs cargo in their workspace; returns whether it succeeded.
    pub(crate) fn run(&self, arguments: &[&str]) -> bool {
        let name = self.directory.file_name().unwrap_or_default();
        eprintln!("{} + cargo {}", name.to_string_lossy(), arguments.join(" "));
        let status = self.cargo(arguments).status();
        status.is_ok_and(|status| status.success())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_manifest_says_all() {
        let whole = json!({
            "name": "a", "description": "d", "license": "MIT", "readme": "README.md",
            "keywords": ["k"], "categories": ["c"],
            "metadata": {"docs": {"rs": {"all-features": true, "rustdoc-args": ["--cfg", "docsrs"]}}},
            "dependencies": [
                {"name": "testkit", "kind": "dev", "req": "*", "path": "/testkit"},
                {"name": "b", "kind": "dev", "req": "*", "path": "/b"},
                {"name": "elsewhere", "kind": "dev", "req": "^1.0.0", "path": null},
            ],
        });
        let unpublished = json!("testkit");
        let problems = |package: &Value| of_manifest(package, &[&unpublished]);
        assert_eq!(problems(&whole), [""; 0]);
        for key in [
            "description",
            "license",
            "readme",
            "keywords",
            "categories",
            "metadata",
        ] {
            let mut package = whole.clone();
            package[key] = Value::Null;
            assert_eq!(problems(&package).len(), 1, "{key}");
        }
        let changes = [
            (0, "kind", Value::Null),
            (0, "req", json!("^0.1.0")),
            (1, "req", json!("^0.1.0")),
        ];
        for (which, key, value) in changes {
            let mut package = whole.clone();
            package["dependencies"][which][key] = value;
            assert_eq!(problems(&package).len(), 1, "{which} {key}");
        }
    }
}
