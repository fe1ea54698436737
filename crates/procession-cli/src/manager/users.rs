//! Methods of objects of types of programs.

use super::request::Call;
use super::types::Type;
use crate::failure::Failure;
use procession::__private::untyped::{self, Encoded};
use procession::manager::CallError;

impl Call<'_> {
    /// Calls a method of an object of a user's type.
    pub(crate) fn users_method(&self) -> Result<String, Failure> {
        let methods = &self.object.methods;
        let Some(method) = methods.iter().find(|method| method.name == self.method) else {
            let known: Vec<&str> = methods.iter().map(|method| &*method.name).collect();
            return Err(self.unknown(&known));
        };
        let types = method.types.as_ref();
        let types = types
            .and_then(|(arguments, result)| Some((Type::parse(arguments)?, Type::parse(result)?)));
        let (arguments, result) = types.ok_or_else(|| self.opaque(&method.text))?;
        let parts = match &arguments {
            Type::Unit => &[][..],
            Type::Tuple(parts) => &parts[..],
            _ => return Err(self.opaque(&method.text)),
        };
        let counts = parts.iter().map(|(_, count)| *count);
        let count = counts.fold(0, usize::saturating_add);
        if count != self.arguments.len() {
            return Err(self.count(&format!("{count} arguments: {}", method.text)));
        }
        let types = parts
            .iter()
            .flat_map(|(part, count)| std::iter::repeat_n(part, *count));
        let mut bytes = Vec::new();
        for (part, text) in types.zip(self.arguments) {
            bytes.extend(self.value(part, text)?.0);
        }
        let call = (self.manager, self.object, self.method);
        let answer = untyped::call(call.0, call.1, call.2, &Encoded(bytes), self.timeout);
        match answer {
            Ok(answer) => self.json(&result, &answer),
            Err(CallError::Failed(error)) => Err(error.into()),
            Err(panicked) => Err(Failure::Method(panicked)),
        }
    }
}
