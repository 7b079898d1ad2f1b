//! `suggestions`, `approve`, `reject`: what recovery would do, and what people say to it.

use clap::Args;
use serde_json::{Value, json};

use super::client::{Connection, deployment_path, list_path, name};
use super::failure::Failure;
use super::format::{Format, print_whole};
use super::get::typed;
use super::help;
use super::output::{Look, plain, print, table, tell};
use crate::crd::{Deployment, SuggestionStatus};

/// Lists what recovery would do where its mode is Suggest, with the diagnosis it rests on.
#[derive(Debug, Args)]
#[command(after_help = help::SUGGESTIONS)]
pub struct SuggestionsArgs {
    /// Only of this deployment
    #[arg(value_parser = name)]
    deployment: Option<String>,
    /// Of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Which suggestions of which deployment.
#[derive(Debug, Args)]
struct Named {
    /// Name of the deployment
    #[arg(value_parser = name)]
    deployment: String,
    /// Which suggestions, as `evenkeel suggestions` lists them. Default: all that it has now
    #[arg(value_name = "SUGGESTION")]
    suggestions: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Has done what recovery suggests.
///
/// The approval is stored with the deployment and holds for this suggestion alone: when the situation changes, there is
/// another one. It counts as experience with this failure.
#[derive(Debug, Args)]
#[command(after_help = help::SUGGESTIONS)]
pub struct ApproveArgs {
    #[command(flatten)]
    named: Named,
}

/// Says that it is not to be done: for this failure it is not suggested again, and the next rung may be.
#[derive(Debug, Args)]
#[command(after_help = help::SUGGESTIONS)]
pub struct RejectArgs {
    #[command(flatten)]
    named: Named,
}

/// `evenkeel suggestions`.
pub async fn suggestions(args: SuggestionsArgs) -> Result<(), Failure> {
    let api = args.connection.open().await?;
    let namespace = (!args.all_namespaces).then_some(args.connection.namespace());
    let items = match &args.deployment {
        Some(name) => vec![api.get(&deployment_path(args.connection.namespace(), name, None)).await?],
        None => api.get(&list_path("deployments", namespace)).await?["items"].as_array().cloned().unwrap_or_default(),
    };
    let found: Vec<(String, String, SuggestionStatus)> = typed::<Deployment>(items)?.into_iter().flat_map(open).collect();
    match args.output {
        Format::Json | Format::Yaml => {
            let whole = found.iter().map(|(namespace, deployment, suggestion)| {
                let mut item = json!(suggestion);
                (item["namespace"], item["deployment"]) = (json!(namespace), json!(deployment));
                item
            });
            print_whole(args.output, &json!({ "items": whole.collect::<Vec<Value>>() }))
        }
        Format::Name => print(&found.iter().map(|(.., suggestion)| format!("{}\n", suggestion.id)).collect::<String>()),
        Format::Table | Format::Wide if found.is_empty() => {
            tell("nothing is suggested");
            Ok(())
        }
        Format::Table | Format::Wide => print(&listed(&Look::of_stdout(), args.all_namespaces, &found)),
    }
}

/// What a deployment suggests.
fn open(deployment: Deployment) -> Vec<(String, String, SuggestionStatus)> {
    let metadata = &deployment.metadata;
    let (namespace, name) = (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default());
    let suggestions = deployment.status.map(|status| status.suggestions).unwrap_or_default();
    suggestions.into_iter().map(|suggestion| (namespace.clone(), name.clone(), suggestion)).collect()
}

fn listed(look: &Look, spaces: bool, found: &[(String, String, SuggestionStatus)]) -> String {
    let columns = ["DEPLOYMENT", "SUGGESTION", "ACTION", "CAUSE", "AGE", "WHY"];
    let header: Vec<&str> = spaces.then_some("NAMESPACE").into_iter().chain(columns).collect();
    let row = |(namespace, deployment, suggestion): &(String, String, SuggestionStatus)| {
        let cells = [
            deployment.clone(),
            suggestion.id.clone(),
            action(suggestion),
            suggestion.cause.clone().unwrap_or_else(|| "-".to_owned()),
            look.age(suggestion.at.as_ref().map(|at| at.0)),
            plain(&suggestion.why),
        ];
        spaces.then(|| namespace.clone()).into_iter().chain(cells).collect()
    };
    table(look, "", &header, found.iter().map(row).collect())
}

/// The rung, or what is done first.
pub(super) fn action(suggestion: &SuggestionStatus) -> String {
    suggestion.rung.clone().or_else(|| suggestion.actions.first().cloned()).unwrap_or_default()
}

/// `evenkeel approve`.
pub async fn approve(args: ApproveArgs) -> Result<(), Failure> {
    answer(&args.named, "approve", "approved").await
}

/// `evenkeel reject`.
pub async fn reject(args: RejectArgs) -> Result<(), Failure> {
    answer(&args.named, "reject", "rejected").await
}

/// What is answered is what stands there now: the ids are sent along, so that nothing else is meant when it changes meanwhile.
async fn answer(named: &Named, verb: &str, word: &str) -> Result<(), Failure> {
    let Named { deployment, suggestions, connection } = named;
    let (api, namespace) = (connection.open().await?, connection.namespace());
    let ids = match suggestions.as_slice() {
        [] => {
            let object = api.get(&deployment_path(namespace, deployment, None)).await?;
            typed::<Deployment>(vec![object])?.into_iter().flat_map(open).map(|(.., suggestion)| suggestion.id).collect()
        }
        named => named.to_vec(),
    };
    if ids.is_empty() {
        return print(&format!("deployment {deployment} suggests nothing\n"));
    }
    api.post(&deployment_path(namespace, deployment, Some(verb)), &json!({ "suggestions": ids })).await?;
    print(&format!("{word}: {}\n", ids.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_are_listed_with_their_cause() {
        let suggestion: SuggestionStatus = serde_json::from_value(json!({
            "id": "app-1-3f9a", "replica": "app-1", "rung": "Recreate", "cause": "ApplicationError",
            "why": "it ended: exit code 1; attempt 3 of 10: Recreate, since nothing less has helped",
            "actions": ["create container c0ffee_web-app-1 from app:1"], "at": "2026-08-21T09:58:00Z",
        }))
        .unwrap();
        let mends = SuggestionStatus { rung: None, cause: None, id: "db-1-0b12".into(), ..suggestion.clone() };
        let look = Look { color: false, width: None, now: "2026-08-21T10:00:00Z".parse().unwrap() };
        let found = [suggestion, mends].map(|suggestion| ("default".to_owned(), "web".to_owned(), suggestion));
        insta::assert_snapshot!("suggestions", listed(&look, true, &found));
    }
}
