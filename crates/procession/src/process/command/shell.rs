//! Scripts for the shell, and how arguments get into them unharmed.

use super::Command;
use std::ffi::OsStr;

impl Command {
    /// Runs a script by the shell: `/bin/sh -c script`.
    ///
    /// # Arguments
    /// Never build the script out of strings that come from elsewhere: whatever they contain
    /// (`;`, `$(…)`, quotes, a newline) the shell executes. Pass them by
    /// [`arg`](Command::arg) instead. The script finds them as `"$1"`, `"$2"` and so on, all of
    /// them as `"$@"`, and the shell does not look into them. The quotes around `"$1"` belong
    /// to the script: without them the shell splits the value at blanks and expands `*` in it.
    /// A value that begins with `-` is still an option to the program that gets it; most
    /// programs take what follows `--` for no option. [`env`](Command::env) is another way.
    ///
    /// A program with arguments needs no shell: [`new`](Command::new) and
    /// [`args`](Command::args) pass them as they are.
    ///
    /// # Status
    /// The status is that of the last command of the script, `127` if that was not found.
    /// In `a | b` it is that of `b`; [`pipe`](Command::pipe) tells of `a` as well. With
    /// `set -e` as the first line, the script ends where a command fails.
    ///
    /// # If a process dies
    /// A signal to the child ends the shell, not what the shell has started. With
    /// [`process_group`](Command::process_group) or [`timeout`](Command::timeout), all of it
    /// is one group, which [`CommandChild::signal_group`](super::CommandChild::signal_group)
    /// reaches.
    ///
    /// # Errors
    /// [`spawn`](Command::spawn) returns [`InvalidInput`](crate::ErrorKind::InvalidInput) if
    /// the script or an argument contains a NUL byte, or if one of them is longer than the
    /// kernel takes (128 KiB on most systems); a longer script can be
    /// [`input`](Command::input) of `sh`.
    ///
    /// # Cost
    /// That of the shell, beside that of the programs that it starts.
    ///
    /// # Examples
    /// ```
    /// use procession::process::Command;
    /// let hostile = "two words; rm -rf /tmp/nothing";
    /// let output = Command::shell(r#"for word in "$@"; do echo "<$word>"; done"#)
    ///     .arg(hostile)
    ///     .arg("$(date)")
    ///     .check()?;
    /// assert_eq!(output.text(), "<two words; rm -rf /tmp/nothing>\n<$(date)>");
    /// # Ok::<(), procession::process::CommandError>(())
    /// ```
    ///
    /// # References
    /// sh(1p), system(3)
    #[doc(alias = "system")]
    #[must_use]
    pub fn shell(script: impl AsRef<OsStr>) -> Command {
        let script = script.as_ref();
        let shell = Command::new("/bin/sh").arg("-c");
        // What looks like an option would be one.
        let shell = match script.as_encoded_bytes().first() {
            Some(b'-' | b'+') => shell.arg("--"),
            _ => shell,
        };
        shell.arg(script).arg("sh")
    }
}
