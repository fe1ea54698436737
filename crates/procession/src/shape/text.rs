//! A shape as text.

use super::node::{Label, MOST_PARTS, Node};

impl Node {
    /// Writes the shape, as [`shape`](super) describes it.
    pub(super) fn write(&self, text: &mut String) {
        if let Some(own) = &self.own {
            text.push_str(own);
            return;
        }
        if self.forms.is_empty() {
            text.push('…');
        }
        for (index, form) in self.forms.iter().enumerate() {
            if index > 0 {
                text.push_str(" or ");
            }
            form.label.write(&form.parts, text);
        }
    }
}

impl Label {
    fn write(&self, parts: &[Node], text: &mut String) {
        let part = |index: usize, text: &mut String| match parts.get(index) {
            Some(part) => part.write(text),
            None => text.push('…'),
        };
        match *self {
            Label::Scalar(name) | Label::Unit(name) => text.push_str(name),
            Label::Option => {
                part(0, text);
                text.push('?');
            }
            Label::Sequence => {
                text.push('[');
                part(0, text);
                text.push(']');
            }
            Label::Map => {
                text.push('{');
                part(0, text);
                text.push_str(" => ");
                part(1, text);
                text.push('}');
            }
            Label::Newtype(name) => {
                text.push_str(name);
                text.push('(');
                part(0, text);
                text.push(')');
            }
            Label::Tuple(name, length) => {
                text.push_str(name);
                write_tuple(parts, length, text);
            }
            Label::Fields(fields) => {
                text.push('{');
                for (index, field) in fields.iter().enumerate() {
                    text.push_str(if index > 0 { ", " } else { "" });
                    text.push_str(field);
                    text.push_str(": ");
                    part(index, text);
                }
                text.push('}');
            }
            Label::Enum(variants) => {
                text.push('<');
                for (index, variant) in variants.iter().enumerate() {
                    text.push_str(if index > 0 { " | " } else { "" });
                    text.push_str(variant);
                    let mut content = String::new();
                    part(index, &mut content);
                    text.push_str(&content);
                }
                text.push('>');
            }
            Label::Recursion(up) => {
                text.push('^');
                text.push_str(&up.to_string());
            }
        }
    }
}

/// Equal parts side by side are counted: arrays are tuples here.
fn write_tuple(parts: &[Node], length: usize, text: &mut String) {
    let written: Vec<String> = parts
        .iter()
        .map(|part| {
            let mut text = String::new();
            part.write(&mut text);
            text
        })
        .collect();
    text.push('(');
    let mut rest = &written[..];
    while let [first, ..] = rest {
        let mut same = rest.iter().take_while(|part| *part == first).count();
        let seen = written.len() - rest.len() + same;
        rest = &rest[same..];
        if rest.is_empty() && seen == MOST_PARTS {
            same += length.saturating_sub(seen);
        }
        text.push_str(first);
        if same > 1 {
            text.push_str(" × ");
            text.push_str(&same.to_string());
        }
        text.push_str(if rest.is_empty() { "" } else { ", " });
    }
    if parts.len() < length.min(MOST_PARTS) {
        text.push_str(", …");
    }
    text.push(')');
}
