//! `procession ls ADDRESS`: the objects of a manager that have a name.

use super::address::ManagerAddress;
use crate::failure::Failure;
use crate::output;
use crate::say::say;
use procession::__private::untyped::{self, Described};
use serde::Serialize;
use std::path::Path;

/// The JSON output.
#[derive(Debug, Serialize)]
struct Report {
    schema: &'static str,
    address: String,
    objects: Vec<Entry>,
    statistics: Statistics,
}

#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    kind: String,
    /// `null`: what its values look like is too long to be told.
    types: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    methods: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Statistics {
    objects: u64,
    names: u64,
    clients: u64,
    travelling: u64,
}

impl Entry {
    fn of(object: Described) -> Entry {
        Entry {
            name: object.name,
            kind: object.kind,
            types: object.types,
            methods: object.methods.into_iter().map(|it| it.name).collect(),
        }
    }
}

pub(crate) fn list(
    address: &ManagerAddress,
    key_file: Option<&Path>,
    is_json: bool,
) -> Result<(), Failure> {
    let manager = address.connect(key_file)?;
    let objects = untyped::describe(&manager)?;
    let objects: Vec<Entry> = objects.into_iter().map(Entry::of).collect();
    let counted = manager.statistics()?;
    if is_json {
        return output::print_json(&Report {
            schema: "procession.manager/1",
            address: address.to_string(),
            objects,
            statistics: Statistics {
                objects: counted.objects,
                names: counted.names,
                clients: counted.clients,
                travelling: counted.travelling,
            },
        });
    }
    let mut table = output::table(&["name", "kind", "of"], &[]);
    for object in &objects {
        let of = match (&object.types, object.methods.is_empty()) {
            (Some(types), true) => types.join(", "),
            (None, _) => "…".to_owned(),
            (_, false) => object.methods.join(", "),
        };
        table.add_row([&*object.name, &*object.kind, &*of]);
    }
    output::print(table.trim_fmt())?;
    say!(
        "objects: {}, of them with a name: {}; clients, this one included: {}",
        counted.objects,
        counted.names,
        counted.clients
    );
    Ok(())
}
