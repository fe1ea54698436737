//! Shells among the programs that are run.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Programs that take text as this reads it behind `-c`.
const SHELLS: [&[u8]; 8] = [
    b"sh", b"ash", b"bash", b"dash", b"ksh", b"mksh", b"rbash", b"zsh",
];

/// Programs that run the program that they are given.
const WRAPPERS: [&[u8]; 17] = [
    b"busybox", b"chroot", b"chrt", b"doas", b"env", b"flock", b"ionice", b"nice", b"nohup",
    b"setsid", b"stdbuf", b"strace", b"sudo", b"taskset", b"time", b"timeout", b"unshare",
];

/// Which word of a command is a script for a shell that it runs.
pub(in crate::run) fn script(words: &[OsString]) -> Option<usize> {
    let base = |word: &OsString| {
        let bytes = word.as_bytes();
        bytes
            .rsplit(|byte| *byte == b'/')
            .next()
            .unwrap_or(bytes)
            .to_vec()
    };
    let is_one_of = |word: &OsString, names: &[&[u8]]| names.contains(&&base(word)[..]);
    match words.first()? {
        first if is_one_of(first, &SHELLS) => script_of_shell(words),
        first if is_one_of(first, &WRAPPERS) => (1..words.len())
            .filter(|at| is_one_of(&words[*at], &SHELLS))
            .find_map(|at| Some(at + script_of_shell(&words[at..])?)),
        _ => None,
    }
}

/// The word behind the options of a shell, if `-c` is one of them.
fn script_of_shell(words: &[OsString]) -> Option<usize> {
    let mut has_script = false;
    let mut at = 1;
    loop {
        let word = words.get(at)?.as_bytes();
        at += match word {
            b"--" | b"-" => return has_script.then_some(at + 1),
            b"--rcfile" | b"--init-file" => 2,
            [b'-', b'-', ..] => 1,
            [b'-' | b'+', options @ ..] => {
                has_script |= word[0] == b'-' && options.contains(&b'c');
                match options.last() {
                    Some(b'o' | b'O') => 2,
                    _ => 1,
                }
            }
            _ => return has_script.then_some(at),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_behind_the_options() {
        let scripts = [
            (Some(2), "sh -c x"),
            (Some(2), "/bin/bash -ec x y"),
            (Some(4), "bash -o pipefail -c x"),
            (Some(3), "bash -co pipefail x"),
            (Some(4), "bash --norc -c -e x"),
            (Some(3), "sh -c -- x"),
            (Some(4), "env A=b sh -c x"),
            (Some(5), "timeout 5 sudo zsh -c x"),
            (None, "sh x -c y"),
            (None, "sh -c"),
            (None, "grep sh -c x"),
            (None, "env A=b"),
            (None, "python3 -c x"),
        ];
        for (script, words) in scripts {
            let split: Vec<OsString> = words.split(' ').map(OsString::from).collect();
            assert_eq!(super::script(&split), script, "{words}");
        }
    }
}
