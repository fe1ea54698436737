//! Reading text for a shell.

use super::Place;

fn is_in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// What text is inside of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    /// `(`…`)`
    Group,
    /// `$(`…`)`
    Substitution,
    /// `$((`…`))`, with the parentheses that are open.
    Arithmetic(usize),
    /// `${`…`}`
    Parameter,
    Backquotes,
    Single,
    Double,
    /// `$'`…`'`
    Dollar,
    Comment,
}

/// Reads text for a shell from its beginning.
#[derive(Debug, Default)]
pub(in crate::run) struct Reader {
    frames: Vec<Frame>,
    /// Why nothing behind this is known.
    lost: Option<&'static str>,
    /// The byte before, if it was neither quoted nor the end of anything.
    before: Option<u8>,
    /// Whether it was a backslash that quotes the next byte.
    is_escaped: bool,
    /// What there is of a word, as far as it is neither quoted nor replaced.
    word: Vec<u8>,
    /// `[` behind a name that have no `]` yet.
    subscripts: usize,
}

impl Reader {
    /// Takes a byte of the text.
    pub(in crate::run) fn read(&mut self, byte: u8) {
        if self.lost.is_some() {
            return;
        }
        if std::mem::take(&mut self.is_escaped) {
            // A line that is continued goes on where it was.
            if byte == b'\n' {
                if self.before.is_some_and(|before| b"$(<{".contains(&before)) {
                    self.lose("a sign that goes on in another line");
                }
            } else {
                self.before = None;
                self.put(0);
            }
            return;
        }
        if self.word == b"<<" && byte != b'<' {
            return self.lose("a here-document");
        }
        let before = self.before.take();
        match self.frames.last().copied() {
            Some(Frame::Single) if byte != b'\'' => {}
            Some(Frame::Dollar) => match (before, byte) {
                // Where it ends depends on the shell.
                (Some(b'\\'), b'\'') => self.lose("$'…' with a backslash before a quote"),
                (_, b'\'') => self.leave(),
                _ => self.before = Some(byte),
            },
            Some(Frame::Comment) if byte != b'\n' => {}
            Some(Frame::Single) => self.leave(),
            Some(Frame::Comment) => {
                self.leave();
                self.word.clear();
            }
            Some(Frame::Backquotes) => match byte {
                b'\\' => self.is_escaped = true,
                b'`' => self.leave(),
                _ => {}
            },
            Some(Frame::Parameter) => match byte {
                b'}' => self.leave(),
                b'\'' | b'"' | b'`' | b'\\' | b'{' | b'(' => self.lose("${…} with quotes in it"),
                b' ' | b'\t' | b'\n' | b'|' if before == Some(b'{') => self.lose("${ …; }"),
                _ => {}
            },
            Some(Frame::Arithmetic(open)) => self.read_arithmetic(byte, open),
            Some(Frame::Double) => match (byte, before) {
                (b'\\', _) => self.escape(before),
                (b'"', _) => self.leave(),
                (b'`', _) => self.enter(Frame::Backquotes),
                (b'(' | b'{' | b'[', Some(b'$')) => self.expand(byte),
                // The number of the shell's process.
                (b'$', Some(b'$')) => {}
                _ => self.before = Some(byte),
            },
            None | Some(Frame::Group | Frame::Substitution) => self.read_code(byte, before),
        }
    }

    fn read_arithmetic(&mut self, byte: u8, open: usize) {
        let open = match byte {
            b'(' => open + 1,
            b')' => open - 1,
            _ => open,
        };
        match byte {
            b'(' | b')' if open == 0 => return self.leave(),
            b'(' | b')' | b' ' | b'\t' => self.word.clear(),
            _ if byte.is_ascii_alphanumeric() => self.word.push(byte),
            _ if b"+-*/%<>=!&|^~?:,._$".contains(&byte) => {}
            _ => return self.lose("$((…)) with more than arithmetic in it"),
        }
        if self.word == b"case" {
            return self.lose("case in $(…)");
        }
        if let Some(frame) = self.frames.last_mut() {
            *frame = Frame::Arithmetic(open);
        }
    }

    /// What is not quoted.
    fn read_code(&mut self, byte: u8, before: Option<u8>) {
        match (byte, before) {
            (b'\\', _) => self.escape(before),
            (b'\'', Some(b'$')) => self.enter(Frame::Dollar),
            (b'\'', _) => self.enter(Frame::Single),
            (b'"', _) => self.enter(Frame::Double),
            (b'`', _) => self.enter(Frame::Backquotes),
            (b'(' | b'{' | b'[', Some(b'$')) => self.expand(byte),
            (b'$', Some(b'$')) => self.put(0),
            (b'#', Some(b')')) => self.lose("# behind )"),
            (b'#', _) if self.word.is_empty() => self.enter(Frame::Comment),
            (b'(', Some(b'(')) => match self.frames.last_mut() {
                Some(frame @ Frame::Substitution) => *frame = Frame::Arithmetic(2),
                _ => self.lose("((…))"),
            },
            (b'(', _) => {
                self.enter(Frame::Group);
                self.word.clear();
                self.before = Some(byte);
            }
            (b')', _) => {
                let ends_word = self.frames.last() == Some(&Frame::Substitution);
                self.leave();
                if !ends_word {
                    self.word.clear();
                    self.before = Some(byte);
                }
            }
            (b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>', _) => {
                // Its patterns have a `)` without a `(`.
                if self.word == b"case" && self.frames.contains(&Frame::Substitution) {
                    return self.lose("case in $(…)");
                }
                match byte {
                    b'<' if !self.word.ends_with(b"<") => self.word = vec![byte],
                    b'<' => self.word.push(byte),
                    _ => self.word.clear(),
                }
                self.before = Some(byte);
            }
            _ => {
                match byte {
                    b'[' if self.subscripts > 0 || before.is_some_and(is_in_name) => {
                        self.subscripts += 1;
                    }
                    b']' => self.subscripts = self.subscripts.saturating_sub(1),
                    _ => {}
                }
                self.put(byte);
                self.before = Some(byte);
            }
        }
    }

    /// Takes the byte behind a `$`.
    fn expand(&mut self, byte: u8) {
        match byte {
            b'(' => {
                self.enter(Frame::Substitution);
                self.word.clear();
            }
            b'{' => self.enter(Frame::Parameter),
            _ => return self.lose("$[…]"),
        }
        self.before = Some(byte);
    }

    fn escape(&mut self, before: Option<u8>) {
        self.is_escaped = true;
        self.before = before;
    }

    fn enter(&mut self, frame: Frame) {
        self.frames.push(frame);
        self.put(0);
    }

    fn leave(&mut self) {
        self.frames.pop();
        self.word.clear();
        self.put(0);
    }

    fn lose(&mut self, why: &'static str) {
        self.lost = Some(why);
    }

    /// Adds to a word.
    fn put(&mut self, byte: u8) {
        if self.word.first() == Some(&b'<') {
            self.word.clear();
        }
        self.word.push(byte);
    }

    /// Takes an argument, with the byte of text behind it: its place, or what it must
    /// not stand in.
    pub(in crate::run) fn place(&mut self, behind: Option<u8>) -> Result<Place, &'static str> {
        let is_apart = |byte: u8| b" \t\n;|&()".contains(&byte);
        let before = self.before.take();
        if let Some(why) = self.lost {
            return Err(why);
        }
        if self.is_escaped {
            return Err("what a backslash quotes");
        }
        if self.word == b"<<" {
            return Err("a here-document");
        }
        match self.frames.last() {
            None | Some(Frame::Group | Frame::Substitution | Frame::Double)
                if before == Some(b'$') =>
            {
                Err("a name behind $")
            }
            None | Some(Frame::Group | Frame::Substitution) => {
                if self.subscripts > 0 {
                    return Err("a subscript");
                }
                let is_word = self.word.is_empty() && behind.is_none_or(is_apart);
                self.put(0);
                Ok(if is_word { Place::Word } else { Place::Part })
            }
            Some(Frame::Single) => Ok(Place::Single),
            Some(Frame::Double) => Ok(match before {
                Some(byte) if is_in_name(byte) => Place::BehindName,
                _ => Place::Double,
            }),
            Some(Frame::Arithmetic(_)) => Err("$((…))"),
            Some(Frame::Parameter) => Err("${…}"),
            Some(Frame::Backquotes) => Err("backquotes"),
            Some(Frame::Dollar) => Err("$'…'"),
            Some(Frame::Comment) => Err("a comment"),
        }
    }

    /// Takes a number, which is harmless everywhere but behind a `$`.
    pub(in crate::run) fn number(&mut self) -> Result<(), &'static str> {
        let quotes = [Frame::Single, Frame::Dollar, Frame::Comment];
        let is_literal = self
            .frames
            .last()
            .is_some_and(|frame| quotes.contains(frame));
        if self.before == Some(b'$') && !is_literal {
            return Err("a name behind $");
        }
        self.read(b'0');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The place of the last `{}` of a text.
    fn last(text: &str) -> Result<Place, &'static str> {
        let mut reader = Reader::default();
        let mut parts = text.split("{}").peekable();
        let mut found = Err("nothing");
        while let Some(part) = parts.next() {
            part.bytes().for_each(|byte| reader.read(byte));
            if let Some(behind) = parts.peek() {
                found = reader.place(behind.bytes().next());
            }
        }
        found
    }

    #[test]
    fn every_place_is_told_by_its_surroundings() {
        let places = [
            (Place::Word, "{}"),
            (Place::Word, "echo {}; echo"),
            (Place::Word, "a $x\"b\"'c'\\' {} | d"),
            (
                Place::Word,
                "echo $(cat {}) $(( (1 + 2) * $x )) ${x%.*} $# {}",
            ),
            (Place::Word, "(a; b) & case x in a) echo {};; esac"),
            (Place::Word, "echo `date` `echo \\`a\\`` {}"),
            (Place::Word, "# it's\n{}"),
            (Place::Word, "cat <<< a{}; echo {}"),
            (Place::Word, "cat < a <(b {}) {}"),
            (Place::Word, "a \\\n {}"),
            (Place::Word, "a >{}"),
            (Place::Word, "echo \"$(echo '$(' \")\" {})\""),
            (Place::Part, "x{}"),
            (Place::Part, "{}x"),
            (Place::Part, "\"a\"{}"),
            (Place::Part, "{}{}"),
            (Place::Part, "$(a){}"),
            (Place::Part, "a\\ {}"),
            (Place::Part, "~{}"),
            (Place::Part, "a#{}"),
            (Place::Single, "'{}'"),
            (Place::Single, "'\"$\\{}'"),
            (Place::Single, "\"$(echo '{}')\""),
            (Place::Double, "\"{}\""),
            (Place::Double, "\"'{}'\""),
            (Place::Double, "\"\\\"$(a \"b\") {}\""),
            (Place::Double, "\"$$({}\""),
            (Place::Double, "\"# {}\""),
            (Place::BehindName, "\"$x{}\""),
        ];
        for (place, text) in places {
            assert_eq!(last(text), Ok(place), "{text}");
        }
    }

    #[test]
    fn where_nothing_can_be_quoted_is_refused() {
        let refused = [
            ("a comment", "a # {}"),
            ("backquotes", "echo `{}`"),
            ("backquotes", "echo \"`echo '{}'`\""),
            ("a here-document", "cat <<{}"),
            ("a here-document", "cat << a\n{}"),
            ("a here-document", "cat <<-a\nb\na\necho {}"),
            ("what a backslash quotes", "\\{}"),
            ("what a backslash quotes", "\"\\{}\""),
            ("$'…'", "$'{}'"),
            ("$'…' with a backslash before a quote", "$'\\'' {}"),
            ("${…}", "${x:-{}}"),
            ("${…}", "\"${x:-{}}\""),
            ("${…} with quotes in it", "${x:-'}'} {}"),
            ("${ …; }", "${ a; } {}"),
            ("$((…))", "$((1 + {}))"),
            ("$((…)) with more than arithmetic in it", "$((a; b) | c {})"),
            ("((…))", "(( {} ))"),
            ("$[…]", "$[{}]"),
            ("a name behind $", "${}"),
            ("a name behind $", "\"${}\""),
            ("a subscript", "a[{}]=1"),
            ("a subscript", "a[b[1]+{}]=1"),
            ("case in $(…)", "\"$(case x in a) echo {};; esac)\""),
            ("case in $(…)", "\"$((case x in a) case y in b) {}\""),
            ("# behind )", "(a)# {}"),
            ("a sign that goes on in another line", "\"$\\\n(a {})\""),
        ];
        for (why, text) in refused {
            assert_eq!(last(text), Err(why), "{text}");
        }
    }

    #[test]
    fn numbers_are_taken_but_behind_a_dollar() {
        let after = |text: &str| {
            let mut reader = Reader::default();
            text.bytes().for_each(|byte| reader.read(byte));
            reader.number()
        };
        for text in ["", "# ", "$((1 + ", "`", "cat <<a\n", "'$", "$$"] {
            assert_eq!(after(text), Ok(()), "{text}");
        }
        assert!(after("$").is_err() && after("\"$").is_err());
    }
}
