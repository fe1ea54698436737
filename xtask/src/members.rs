//! The packages of the workspace, as cargo knows them.

use serde_json::Value;

/// A package that is published.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Without `default`.
    pub(crate) features: Vec<String>,
    /// `true` if other packages can depend on it.
    pub(crate) is_library: bool,
}

/// All packages of the workspace, as `cargo metadata` describes them.
pub(crate) fn all() -> Result<Vec<Value>, String> {
    let arguments = [
        "metadata",
        "--no-deps",
        "--offline",
        "--format-version",
        "1",
    ];
    let mut metadata: Value =
        serde_json::from_str(&text_of(&arguments)?).map_err(|error| error.to_string())?;
    match metadata["packages"].take() {
        Value::Array(packages) => Ok(packages),
        _ => Err("cargo metadata names no packages".to_owned()),
    }
}

/// Returns `true` if a package is published.
pub(crate) fn is_published(package: &Value) -> bool {
    package["publish"].is_null()
}

/// The packages that are published; none if cargo does not say, which it prints.
pub(crate) fn published() -> Vec<Package> {
    let packages = all().unwrap_or_else(|error| {
        eprintln!("{error}");
        Vec::new()
    });
    packages
        .iter()
        .filter(|it| is_published(it))
        .map(of)
        .collect()
}

fn of(package: &Value) -> Package {
    let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
    let features = package["features"].as_object().into_iter().flatten();
    let features = features
        .map(|(name, _)| name.clone())
        .filter(|name| name != "default");
    let targets = package["targets"].as_array().into_iter().flatten();
    let mut kinds = targets.flat_map(|target| target["kind"].as_array().into_iter().flatten());
    Package {
        name: text("name"),
        version: text("version"),
        features: features.collect(),
        is_library: kinds.any(|kind| kind == "lib" || kind == "proc-macro"),
    }
}

/// What cargo prints.
pub(crate) fn text_of(arguments: &[&str]) -> Result<String, String> {
    let output = crate::command_of_cargo().args(arguments).output();
    let output = output.map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}
