//! `include`: other projects' files loaded on their own, and their resources taken over.

use super::{Context, Model, Outside, Variables, said};
use crate::compose::dotenv;
use crate::compose::files::Kind;
use crate::compose::node::{Map, Node, Path, Value};
use crate::compose::paths::{folder, join, relative};
use crate::compose::sink::Stop;

/// One entry of `include`.
struct Include {
    paths: Vec<String>,
    project_directory: String,
    env_files: Vec<String>,
}

/// Loads what a document includes into it.
pub(super) fn apply(context: &Context<'_>, root: &mut Node, model: &Model<'_>, included: &[String]) -> Result<(), Stop> {
    let Some(include) = root.as_map_mut().and_then(|root| root.remove("include")) else { return Ok(()) };
    let path = Path::of(&["include"]);
    let Value::List(items) = &include.value else {
        if include.is_null() {
            return Ok(());
        }
        return context.sink.fail(&path, include.place, "must be a list of files");
    };
    for (index, item) in items.iter().enumerate() {
        let path = path.item(index);
        let entry = entry(item).or_else(|message| context.sink.fail(&path, item.place, message))?;
        let imported = load(context, entry, model, included, &path, item)?;
        take_over(context, root, imported)?;
    }
    Ok(())
}

fn entry(item: &Node) -> Result<Include, String> {
    let texts = |key: &str| match item.get(key) {
        None => Ok(Vec::new()),
        Some(node) => match &node.value {
            Value::Null => Ok(Vec::new()),
            Value::Text(text) => Ok(vec![text.clone()]),
            Value::List(items) => {
                let text = |item: &Node| item.as_text().map(str::to_owned).ok_or(format!("{key} must be text or a list of it"));
                items.iter().map(text).collect()
            }
            _ => Err(format!("{key} must be text or a list of it, not {}", node.kind())),
        },
    };
    match &item.value {
        Value::Text(text) => Ok(Include { paths: vec![text.clone()], project_directory: String::new(), env_files: Vec::new() }),
        Value::Map(_) => Ok(Include {
            paths: texts("path")?,
            project_directory: item.get("project_directory").and_then(Node::as_text).unwrap_or_default().to_owned(),
            env_files: texts("env_file")?,
        }),
        _ => Err(format!("must be a file or a map with path, not {}", item.kind())),
    }
}

fn load(
    context: &Context<'_>,
    entry: Include,
    model: &Model<'_>,
    included: &[String],
    path: &Path,
    item: &Node,
) -> Result<Node, Stop> {
    let sink = context.sink;
    let absolute = |path: &String| if path.starts_with('/') { path.clone() } else { join(&model.absolute, path) };
    let paths: Vec<String> = entry.paths.iter().map(absolute).collect();
    let Some(main) = paths.first() else { return sink.fail(path, item.place, "is missing path, the file to include") };
    for file in &paths {
        if context.texts.borrow().contains_key(file) {
            continue;
        }
        match context.files.read(file) {
            Ok(text) => drop(context.texts.borrow_mut().insert(file.clone(), text)),
            Err(error) => {
                return sink.fail(path, item.place, format!("the file {file} cannot be read: {}", said(&error)));
            }
        }
    }
    let directory = match entry.project_directory.as_str() {
        "" => folder(main),
        directory if directory.starts_with('/') => directory.to_owned(),
        directory => join(&model.absolute, directory),
    };
    // Relative to the including project's folder, as that resolves all paths once more.
    let seen = if entry.project_directory.starts_with('/') { directory.clone() } else { relative(&model.absolute, &directory) };
    if included.contains(main) {
        let way = [included, std::slice::from_ref(main)].concat().join(" includes ");
        return sink.fail(path, item.place, format!("files include one another in a circle: {way}"));
    }
    let variables = variables(context, &entry, &directory, model, path, item)?;
    let key = (paths.clone(), seen.clone(), directory.clone(), variables.clone());
    if let Some(known) = context.included.borrow().get(&key) {
        return Ok(known.clone());
    }
    let inner = Model { files: paths, folder: seen, absolute: directory, variables: &variables, included: included.to_vec() };
    let loaded = context.model(&inner)?;
    context.included.borrow_mut().insert(key, loaded.clone());
    Ok(loaded)
}

/// The including project's variables, then those of the entry's own files or of the `.env` beside what it includes.
fn variables(
    context: &Context<'_>,
    entry: &Include,
    directory: &str,
    model: &Model<'_>,
    path: &Path,
    item: &Node,
) -> Result<Variables, Stop> {
    let default = join(directory, ".env");
    let files: Vec<String> = match entry.env_files.as_slice() {
        [] if context.files.kind(&default) == Some(Kind::File) => vec![default],
        [] => Vec::new(),
        files => {
            files.iter().map(|file| if file.starts_with('/') { file.clone() } else { join(&model.absolute, file) }).collect()
        }
    };
    let mut read = Variables::new();
    for file in files {
        let fail = |message: String| {
            context.sink.error(&path.key("env_file"), item.place, message);
            Stop
        };
        let text = context.files.read(&file);
        let text = text.map_err(|error| fail(format!("the file {file} cannot be read: {}", said(&error))))?;
        let outside = Outside { variables: model.variables, sink: context.sink };
        dotenv::read(&text, &mut read, &outside).map_err(|(line, why)| fail(format!("{file}, line {line}: {why}")))?;
    }
    read.extend(model.variables.iter().map(|(key, value)| (key.clone(), value.clone())));
    Ok(read)
}

/// Takes an included project's resources; a name that is there already must mean the same.
fn take_over(context: &Context<'_>, root: &mut Node, imported: Node) -> Result<(), Stop> {
    let Value::Map(mut imported) = imported.value else { return Ok(()) };
    let Some(root) = root.as_map_mut() else { return Ok(()) };
    for part in ["services", "volumes", "networks", "secrets", "configs", "models"] {
        let Some(Node { value: Value::Map(resources), place }) = imported.remove(part) else { continue };
        let known = root.entry(part.to_owned()).or_insert(Node { value: Value::Map(Map::new()), place });
        if known.is_null() {
            known.value = Value::Map(Map::new());
        }
        let Some(known) = known.as_map_mut() else { continue };
        for (name, node) in resources {
            if let Some(before) = known.get(&name).filter(|before| **before != node) {
                let message = format!(
                    "is included from {}, line {}, too, and differs: one name cannot mean two things",
                    context.sink.name(node.place.file),
                    node.place.line
                );
                return context.sink.fail(&Path::of(&[part, &name]), before.place, message);
            }
            known.insert(name, node);
        }
    }
    Ok(())
}
