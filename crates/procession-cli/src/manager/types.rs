//! What values look like, read from the text by which a manager describes them.

/// A type, as far as its encoding is concerned.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Type {
    Bool,
    /// Without a sign, of so many bits.
    Unsigned(u32),
    Signed(u32),
    F32,
    F64,
    Char,
    Str,
    Bytes,
    /// `()`, or a structure without fields.
    Unit,
    /// JSON text.
    Json,
    Option(Box<Type>),
    Sequence(Box<Type>),
    Map(Box<(Type, Type)>),
    /// A structure with one field, which has no name.
    Newtype(Box<Type>),
    /// Parts, each so often.
    Tuple(Vec<(Type, usize)>),
    /// The same, of a structure.
    TupleStruct(Vec<(Type, usize)>),
    Struct(Vec<(String, Type)>),
    Enum(Vec<(String, Variant)>),
    /// The structure or enum so many levels up.
    Recursion(usize),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Variant {
    Unit,
    Newtype(Type),
    Tuple(Vec<(Type, usize)>),
    Struct(Vec<(String, Type)>),
}

impl Type {
    /// Reads the text; `None` if values cannot be made or read from outside of the program.
    pub(crate) fn parse(text: &str) -> Option<Type> {
        let mut parser = Parser(text);
        let parsed = parser.any()?;
        parser.0.is_empty().then_some(parsed)
    }

    /// Returns `true` if all JSON values of the type are strings.
    pub(crate) fn is_text(&self) -> bool {
        match self {
            Type::Str | Type::Char => true,
            Type::Newtype(inner) => inner.is_text(),
            _ => false,
        }
    }

    /// Returns `true` if [`Recursion`](Type::Recursion) counts it as a level.
    pub(crate) fn is_level(&self) -> bool {
        matches!(
            self,
            Type::Newtype(_) | Type::TupleStruct(_) | Type::Struct(_) | Type::Enum(_)
        )
    }
}

/// What has not been read yet.
struct Parser<'a>(&'a str);

impl<'a> Parser<'a> {
    fn skip(&mut self, text: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    /// Takes what stands before the first of these letters.
    fn before(&mut self, ends: impl Fn(char) -> bool) -> &'a str {
        let end = self.0.find(ends).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    fn any(&mut self) -> Option<Type> {
        let mut parsed = self.without_option()?;
        while self.skip("?").is_some() {
            parsed = Type::Option(Box::new(parsed));
        }
        Some(parsed)
    }

    fn without_option(&mut self) -> Option<Type> {
        match self.0.chars().next()? {
            '[' => {
                self.skip("[")?;
                let inner = self.any()?;
                self.skip("]")?;
                Some(Type::Sequence(Box::new(inner)))
            }
            '(' => match self.parts()? {
                parts if parts.is_empty() => Some(Type::Unit),
                parts => Some(Type::Tuple(parts)),
            },
            '{' => {
                let before = self.0;
                if let Some(fields) = self.fields() {
                    return Some(Type::Struct(fields));
                }
                self.0 = before;
                self.skip("{")?;
                let key = self.any()?;
                self.skip(" => ")?;
                let value = self.any()?;
                self.skip("}")?;
                Some(Type::Map(Box::new((key, value))))
            }
            '<' => self.variants().map(Type::Enum),
            '^' => {
                self.skip("^")?;
                let levels = self.before(|letter| !letter.is_ascii_digit());
                levels.parse().ok().map(Type::Recursion)
            }
            _ => self.named(),
        }
    }

    fn named(&mut self) -> Option<Type> {
        let name = self.before(|letter| !letter.is_alphanumeric() && letter != '_');
        if self.0.starts_with('(') {
            let mut parts = self.parts()?;
            return match &parts[..] {
                [(Type::Str, 1)] if name == "Json" => Some(Type::Json),
                [(_, 1)] => parts.pop().map(|(inner, _)| Type::Newtype(Box::new(inner))),
                _ => Some(Type::TupleStruct(parts)),
            };
        }
        Some(match name {
            "" => return None,
            "bool" => Type::Bool,
            "f32" => Type::F32,
            "f64" => Type::F64,
            "char" => Type::Char,
            "str" => Type::Str,
            "bytes" => Type::Bytes,
            // What the system has, which lies in no encoding.
            "descriptor" => return None,
            _ => match (name.split_at(1), name[1..].parse()) {
                (("u", _), Ok(bits @ (8 | 16 | 32 | 64 | 128))) => Type::Unsigned(bits),
                (("i", _), Ok(bits @ (8 | 16 | 32 | 64 | 128))) => Type::Signed(bits),
                _ if name.starts_with(char::is_uppercase) => Type::Unit,
                _ => return None,
            },
        })
    }

    /// `(u8 × 2, str)`
    fn parts(&mut self) -> Option<Vec<(Type, usize)>> {
        self.skip("(")?;
        let mut parts = Vec::new();
        while self.skip(")").is_none() {
            if !parts.is_empty() {
                self.skip(", ")?;
            }
            let part = self.any()?;
            let count = match self.skip(" × ") {
                Some(()) => self
                    .before(|letter| !letter.is_ascii_digit())
                    .parse()
                    .ok()?,
                None => 1,
            };
            parts.push((part, count));
        }
        Some(parts)
    }

    /// `{id: u64, name: str}`
    fn fields(&mut self) -> Option<Vec<(String, Type)>> {
        self.skip("{")?;
        let mut fields = Vec::new();
        while self.skip("}").is_none() {
            if !fields.is_empty() {
                self.skip(", ")?;
            }
            let name = self.before(|letter| ":{}[]()<>|?=".contains(letter));
            self.skip(": ")?;
            fields.push((name.to_owned(), self.any()?));
        }
        Some(fields)
    }

    /// `<Stop | Work(u64) | Move{by: i32}>`
    fn variants(&mut self) -> Option<Vec<(String, Variant)>> {
        self.skip("<")?;
        let mut variants = Vec::new();
        while self.skip(">").is_none() {
            if !variants.is_empty() {
                self.skip(" | ")?;
            }
            let name = self.before(|letter| "({ |>…".contains(letter));
            let variant = match self.0.chars().next()? {
                '(' => {
                    let mut parts = self.parts()?;
                    match &parts[..] {
                        [(_, 1)] => Variant::Newtype(parts.pop()?.0),
                        _ => Variant::Tuple(parts),
                    }
                }
                '{' => Variant::Struct(self.fields()?),
                _ => Variant::Unit,
            };
            variants.push((name.to_owned(), variant));
        }
        Some(variants)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_from_their_descriptions() {
        let number = Type::Unsigned(64);
        assert_eq!(Type::parse("u64"), Some(number.clone()));
        assert_eq!(
            Type::parse("{str => [(u64 × 2, str)?]}"),
            Some(Type::Map(Box::new((
                Type::Str,
                Type::Sequence(Box::new(Type::Option(Box::new(Type::Tuple(vec![
                    (number.clone(), 2),
                    (Type::Str, 1)
                ])))))
            ))))
        );
        let Some(Type::Enum(variants)) = Type::parse("<Stop | Work(u64) | Move{by: i32, to: ^1?}>")
        else {
            panic!("an enum");
        };
        assert_eq!(variants[0], ("Stop".to_owned(), Variant::Unit));
        assert_eq!(variants[1].1, Variant::Newtype(number));
        assert!(matches!(&variants[2].1, Variant::Struct(fields) if fields[1].0 == "to"));
        assert_eq!(Type::parse("Json(str)"), Some(Type::Json));
        assert!(Type::parse("Name(str)").unwrap().is_text());
    }

    #[test]
    fn what_cannot_be_seen_is_no_type() {
        for text in [
            "…",
            "{key: str, lock: …}",
            "u16 or u8",
            "",
            "[u8",
            "u9",
            "descriptor",
            "proxy of a manager",
        ] {
            assert_eq!(Type::parse(text), None, "{text}");
        }
    }
}
