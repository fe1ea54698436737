//! Commands with places for arguments.
//!
//! | in a command | becomes |
//! |---|---|
//! | `{}` | the argument |
//! | `{.}` | without its extension |
//! | `{/}` | its last component |
//! | `{//}` | its directory |
//! | `{/.}` | its last component without extension |
//! | `{#}` | number of the job, from one |
//! | `{%}` | number of the slot that it runs in, from one |
//! | `{2}`, `{2.}`, … | the same of the argument from the second source |
//!
//! Other words in braces stay as they are. In text for a shell, arguments are quoted for
//! where they stand. A number without a source, and a place where nothing can be quoted,
//! are errors before any job.

use super::parts::{Form, Part, parse, shape};
use super::shell::{self, Place, Reader};
use crate::failure::Failure;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// An argument that is a word as it is.
const WHOLE: Part = Part::Argument(None, Form::Whole, None);

/// A command to be completed with arguments.
#[derive(Clone, Debug)]
pub(super) struct Template {
    words: Vec<Vec<Part>>,
    in_shell: bool,
}

/// A command that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) words: Vec<OsString>,
    /// As a shell would take it.
    pub(super) text: OsString,
}

impl Template {
    /// A program with its arguments; or, if it is one word that only a shell
    /// understands, or `in_shell` says so, text for a shell. Without words, each
    /// argument is text for a shell by itself.
    ///
    /// # Errors
    /// A place for an argument of a source that is none of so many, or where an argument
    /// could become a part of the command.
    pub(super) fn new(
        words: &[OsString],
        in_shell: bool,
        sources: usize,
    ) -> Result<Template, Failure> {
        let needs_shell = match words {
            [] => true,
            [word] => word
                .as_bytes()
                .iter()
                .any(|byte| b" \t\n|&;<>()$`\\\"'*?[#~".contains(byte)),
            _ => false,
        };
        let in_shell = in_shell || needs_shell;
        let script = match in_shell {
            true => Some(0),
            false => shell::script(words),
        };
        let joined = words.join(OsStr::new(" "));
        let words: &[OsString] = match in_shell {
            true => &[joined],
            false => words,
        };
        let words = words.iter().map(|word| parse(word.as_bytes(), sources));
        let mut words: Vec<Vec<Part>> = words.collect::<Result<_, _>>()?;
        let has_argument = |part: &Part| matches!(part, Part::Argument(..));
        if !words.iter().flatten().any(has_argument) {
            match words.last_mut() {
                Some(text) if in_shell => {
                    let is_empty = text.is_empty();
                    text.extend((!is_empty).then(|| Part::Text(b" ".to_vec())));
                    text.push(WHOLE);
                }
                _ => words.push(vec![WHOLE]),
            }
        }
        // What is an argument as a whole is meant to be a script.
        let script = script.and_then(|word| words.get_mut(word));
        if let Some(script) = script.filter(|script| **script != [WHOLE]) {
            find_places(script)?;
        }
        Ok(Template { words, in_shell })
    }

    /// Whether a command depends on the slot that it runs in.
    pub(super) fn has_slot(&self) -> bool {
        self.words.iter().flatten().any(|part| *part == Part::Slot)
    }

    pub(super) fn complete(&self, arguments: &[OsString], job: u64, slot: usize) -> Line {
        if !self.in_shell {
            let mut words = Vec::new();
            for parts in &self.words {
                if *parts == [WHOLE] {
                    words.extend(arguments.iter().cloned());
                } else {
                    words.push(OsString::from_vec(render(parts, arguments, job, slot)));
                }
            }
            let words_in_shell = words.iter().map(|word| shell::word(word.as_bytes()));
            let text: Vec<Vec<u8>> = words_in_shell.collect();
            let text = OsString::from_vec(text.join(&b' '));
            return Line { words, text };
        }
        let parts = self.words.first().map_or(&[][..], Vec::as_slice);
        let text = OsString::from_vec(render(parts, arguments, job, slot));
        let words = vec!["sh".into(), "-c".into(), text.clone()];
        Line { words, text }
    }
}

/// Finds out where in text for a shell its arguments are.
fn find_places(parts: &mut [Part]) -> Result<(), Failure> {
    let mut reader = Reader::default();
    for at in 0..parts.len() {
        let behind = parts.get(at + 1).map(|part| match part {
            Part::Text(text) => text.first().copied().unwrap_or(b' '),
            _ => b'{',
        });
        let found = match &mut parts[at] {
            Part::Text(text) => {
                text.iter().for_each(|byte| reader.read(*byte));
                Ok(())
            }
            Part::Argument(_, _, place) => reader.place(behind).map(|found| *place = Some(found)),
            Part::Job | Part::Slot => reader.number(),
        };
        found.map_err(|inside| {
            Failure::Usage(format!(
                "an argument has its place inside, or behind, {inside}, where it cannot be quoted; \
                 try to put it into a variable before, as in: x={{}}; … \"$x\""
            ))
        })?;
    }
    Ok(())
}

fn render(parts: &[Part], arguments: &[OsString], job: u64, slot: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        match part {
            Part::Text(text) => bytes.extend_from_slice(text),
            Part::Job => bytes.extend_from_slice(job.to_string().as_bytes()),
            Part::Slot => bytes.extend_from_slice(slot.to_string().as_bytes()),
            Part::Argument(source, form, place) => {
                let some = match source {
                    Some(source) => &arguments[source - 1..*source],
                    None => arguments,
                };
                let some = some.iter();
                let some = some.map(|argument| shape(argument.as_bytes(), *form));
                match place {
                    None => bytes.extend(some.collect::<Vec<_>>().join(&b' ')),
                    // One word for each.
                    Some(place @ (Place::Word | Place::Part)) => {
                        let some = some.map(|argument| place.quote(&argument));
                        bytes.extend(some.collect::<Vec<_>>().join(&b' '));
                    }
                    Some(place) => {
                        bytes.extend(place.quote(&some.collect::<Vec<_>>().join(&b' ')));
                    }
                }
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(words: &[&str], arguments: &[&str]) -> String {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let template = Template::new(&words, false, arguments.len()).unwrap();
        let line = template.complete(&arguments, 7, 2);
        line.text.into_string().unwrap()
    }

    #[test]
    fn places_become_arguments() {
        assert_eq!(complete(&["echo"], &["a b"]), "echo 'a b'");
        assert_eq!(complete(&["echo", "{}", "x{}y"], &["a"]), "echo a xay");
        assert_eq!(
            complete(&["mv", "{}", "{.}.old"], &["d.d/f.txt"]),
            "mv d.d/f.txt d.d/f.old"
        );
        assert_eq!(
            complete(&["x", "{/} {//} {/.}"], &["d.d/f.txt"]),
            "x 'f.txt d.d f'"
        );
        assert_eq!(
            complete(&["x", "{2}", "{1.}", "{#}", "{%}"], &["a.b", "c"]),
            "x c a 7 2"
        );
        assert_eq!(
            complete(&["x", "{", "}", "{a}", "{-1}"], &["z"]),
            "x '{' '}' '{a}' '{-1}' z"
        );
        assert_eq!(complete(&["x"], &["a", "b"]), "x a b");
    }

    #[test]
    fn text_for_a_shell_has_its_arguments_quoted() {
        assert_eq!(
            complete(&["cat {} | wc"], &["it's; rm -r ~"]),
            "cat 'it'\\''s; rm -r ~' | wc"
        );
        assert_eq!(complete(&["echo a;"], &["b"]), "echo a; b");
        assert_eq!(complete(&[], &["echo a; echo b"]), "echo a; echo b");
    }

    fn refusal(words: &[&str], sources: usize) -> String {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        match Template::new(&words, false, sources) {
            Err(Failure::Usage(text)) => text,
            outcome => panic!("{outcome:?}"),
        }
    }

    #[test]
    fn an_argument_that_there_is_not_is_an_error() {
        assert!(refusal(&["x", "{2}"], 1).contains("from source 2, but there is only one source"));
        assert!(
            refusal(&["x {3.} {1}"], 2).contains("from source 3, but there are only 2 sources")
        );
        assert!(refusal(&["x", "{0}"], 1).contains("source 0"));
        assert!(refusal(&["x", "{18446744073709551616/}"], 1).contains("18446744073709551616"));
    }

    #[test]
    fn a_place_where_nothing_can_be_quoted_is_an_error() {
        assert!(refusal(&["cat <<a\n{}\na"], 1).contains("a here-document"));
        assert!(refusal(&["sh", "-c", "echo ${1}"], 1).contains("a name behind $"));
        // Where it would be added.
        assert!(refusal(&["date # now"], 1).contains("a comment"));
    }

    /// Texts for a shell that print `<`, an argument and `>`, and NUL.
    const PRINTING: [&str; 14] = [
        "printf '<%s>\\0' {}",
        "printf '%s>\\0' \\<{}",
        "printf '<%s\\0' {}\\>",
        "printf '%s\\0' '<{}>'",
        "printf '%s\\0' \"<{}>\"",
        "x=a; xb='<'; printf '%s\\0' \"$xb{}>\"",
        "x='<'; printf '%s\\0' $x{}\\>",
        "x={}; printf '<%s>\\0' \"$x\"",
        "x=\"$(printf '<%s>' {})\"; printf '%s\\0' \"$x\"",
        "x=\"$(printf '<%s>' \"{}\" # \"'\n)\"; printf '%s\\0' \"$x\"",
        "x=\"$(printf \"$(printf '<%%s>')\" '{}')\"; printf '%s\\0' \"$x\"",
        "for x in {}; do printf '<%s>\\0' \"$x\"; done",
        "case {} in '{}') (printf '<%s>\\0' \"\"{}'') ;; esac",
        "f() { printf '<%s>\\0' \"$1\"; }; : `:` ${x%.*} $((1 << 2)); f \"\"'{}'",
    ];

    fn check_in_shells(argument: &[u8]) {
        let expected = [b"<", argument, b">\0"].concat();
        for shell in ["sh", "bash", "dash", "ksh", "zsh"] {
            for text in PRINTING {
                let words: Vec<OsString> = [shell, "-c", text].map(OsString::from).into();
                let template = match Template::new(&words, false, 1) {
                    Ok(template) => template,
                    Err(failure) => panic!("{text}: {failure:?}"),
                };
                let argument = [OsStr::from_bytes(argument).to_owned()];
                let line = template.complete(&argument, 1, 1);
                let mut command = std::process::Command::new(&line.words[0]);
                // A shell that is not there is not tested.
                let Ok(output) = command.args(&line.words[1..]).output() else {
                    break;
                };
                let text = line.text.to_string_lossy();
                assert_eq!(
                    output.stdout.escape_ascii().to_string(),
                    expected.escape_ascii().to_string(),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn an_argument_is_what_it_is_at_every_place() {
        let arguments: [&[u8]; 12] = [
            b"",
            b"'",
            b"\"",
            b"\\",
            b"'; touch x; '",
            b"\"; touch x; \"",
            b"$(touch x) `touch x` ${x} $((1))",
            b"it's \\\"$HOME\\\" !! ~ * [a-z] {a,b} # \\",
            b"a\nb\n\n",
            b"-n",
            b"if",
            b"\xff\xfe'\x80\"",
        ];
        arguments.into_iter().for_each(check_in_shells);
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config {
            cases: 8,
            failure_persistence: None,
            ..Default::default()
        })]

        #[test]
        fn any_argument_is_what_it_is_at_every_place(
            argument in proptest::collection::vec(
                proptest::sample::select(b"'\"$`\\!#;&|<>(){}[]*?~ \t\n=%-^ab1\xff\x80".to_vec()),
                0..24,
            ),
        ) {
            check_in_shells(&argument);
        }
    }
}
