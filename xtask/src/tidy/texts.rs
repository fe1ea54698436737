//! The files of the published crates, as text.

use std::fs;
use std::path::Path;

use walkdir::WalkDir;

/// A file, by its path from the workspace.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The sources, in the order of their paths.
pub(crate) fn of(root: &Path, crates: impl Iterator<Item = String>) -> Result<Vec<Text>, String> {
    let mut texts = Vec::new();
    for name in crates {
        let directory = root.join("crates").join(name).join("src");
        for entry in WalkDir::new(directory).sort_by_file_name() {
            let entry = entry.map_err(|error| error.to_string())?;
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
            let path = path.strip_prefix(root).map_err(|error| error.to_string())?;
            let path = path.to_string_lossy().into_owned();
            texts.push(Text { path, text });
        }
    }
    Ok(texts)
}
