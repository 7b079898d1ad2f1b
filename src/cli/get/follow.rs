//! `get -w`: the list, then each object again when what is shown of it changes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Columns, GetArgs, Resource, header, row_of};
use crate::cli::client::Api;
use crate::cli::failure::Failure;
use crate::cli::format::{Format, print_next};
use crate::cli::output::{Look, Rows, print};
use crate::cli::watch::{self, Seen};

/// Columns that change by themselves.
const AGES: [&str; 3] = ["AGE", "LAST", "UNTIL"];

/// Follows the list.
pub async fn follow(api: &Api, args: &GetArgs, list: &str, query: &str) -> Result<(), Failure> {
    let columns = Columns { wide: args.output == Format::Wide, namespace: args.all_namespaces };
    let mut shown = Shown { resource: args.resource, format: args.output, columns, rows: None, last: BTreeMap::new() };
    watch::follow(api, list, query, |seen| match seen {
        Seen::List(items) => shown.next(items),
        Seen::Changed(item) => shown.next(vec![item]),
        Seen::Deleted(item) => shown.deleted(item),
    })
    .await
}

/// What is shown, and what was.
struct Shown {
    resource: Resource,
    format: Format,
    columns: Columns,
    rows: Option<Rows>,
    /// The row shown last for each object, without what changes by itself.
    last: BTreeMap<String, Vec<String>>,
}

impl Shown {
    fn next(&mut self, items: Vec<Value>) -> Result<(), Failure> {
        if !self.format.is_table() {
            return items.iter().try_for_each(|item| self.whole(item));
        }
        let look = Look::of_stdout();
        let mut rows = vec![];
        for item in items {
            let key = key(&item);
            let row = row_of(&look, self.resource, item, self.columns)?;
            let lasting = self.lasting(&row);
            if self.last.insert(key, lasting.clone()) != Some(lasting) {
                rows.push(row);
            }
        }
        self.print(&look, rows)
    }

    fn deleted(&mut self, item: Value) -> Result<(), Failure> {
        self.last.remove(&key(&item));
        if !self.format.is_table() {
            return self.whole(&item);
        }
        let look = Look::of_stdout();
        let mut row = row_of(&look, self.resource, item, self.columns)?;
        if let Some(last) = row.last_mut() {
            "deleted".clone_into(last);
        }
        self.print(&look, vec![row])
    }

    fn print(&mut self, look: &Look, rows: Vec<Vec<String>>) -> Result<(), Failure> {
        match &mut self.rows {
            _ if rows.is_empty() => Ok(()),
            Some(shown) => print(&shown.further(look, &rows)),
            None => {
                let (shown, text) = Rows::begin(look, &header(self.resource, self.columns), rows);
                self.rows = Some(shown);
                print(&text)
            }
        }
    }

    fn whole(&self, item: &Value) -> Result<(), Failure> {
        match self.format {
            Format::Name => print(&self.resource.name_line(item)),
            format => print_next(format, item),
        }
    }

    fn lasting(&self, row: &[String]) -> Vec<String> {
        let header = header(self.resource, self.columns);
        row.iter().zip(header).filter(|(_, name)| !AGES.contains(name)).map(|(cell, _)| cell.clone()).collect()
    }
}

fn key(item: &Value) -> String {
    format!("{}/{}", item["metadata"]["namespace"], item["metadata"]["name"])
}
