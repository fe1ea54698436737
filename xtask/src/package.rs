//! What is published can stand alone: each package says what it is, and carries
//! what belongs to it.

use serde_json::Value;

/// What a package has to carry.
const FILES: [&str; 4] = ["Cargo.toml", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];

/// Looks at every package that is published; prints what is missing. Whether
/// nothing is.
pub(crate) fn check() -> bool {
    let problems = problems().unwrap_or_else(|error| vec![error]);
    for problem in &problems {
        println!("package: {problem}");
    }
    problems.is_empty()
}

fn problems() -> Result<Vec<String>, String> {
    let metadata = text_of(&[
        "metadata",
        "--no-deps",
        "--offline",
        "--format-version",
        "1",
    ])?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|error| error.to_string())?;
    let packages = metadata["packages"].as_array().ok_or("no packages")?;
    let (published, others): (Vec<&Value>, Vec<&Value>) = packages
        .iter()
        .partition(|package| package["publish"].is_null());
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
        let is_tests = dependency["kind"] == "dev";
        if unpublished.contains(&&dependency["name"]) && (!is_tests || dependency["req"] != "*") {
            let what = &dependency["name"];
            problems.push(format!("{name} needs {what}, which is not published"));
        }
    }
    problems
}

/// What cargo prints.
fn text_of(arguments: &[&str]) -> Result<String, String> {
    let output = super::command_of_cargo().args(arguments).output();
    let output = output.map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
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
            "dependencies": [{"name": "testkit", "kind": "dev", "req": "*"}],
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
        let changes = [("kind", Value::Null), ("req", json!("^0.1.0"))];
        for (key, value) in changes {
            let mut package = whole.clone();
            package["dependencies"][0][key] = value;
            assert_eq!(problems(&package).len(), 1, "{key}");
        }
    }
}
