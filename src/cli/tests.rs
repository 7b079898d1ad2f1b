//! The command line as people type and read it.

use clap::{CommandFactory, Parser};

use super::{Cli, ClientCommand, Command};

fn accepts(line: &str) -> bool {
    Cli::try_parse_from(line.split_whitespace()).is_ok()
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn what_the_help_shows_can_be_typed() {
    for line in [
        "evenkeel run --manifests ./m --prune --mode observe --listen none",
        "evenkeel run --insecure-loopback --resync 1m --log-format json --log evenkeel=debug",
        "evenkeel apply -f a.yaml -f b/ -n staging --dry-run",
        "evenkeel apply -f -",
        "evenkeel get",
        "evenkeel get deploy -A -o wide",
        "evenkeel get deployments web -o yaml",
        "evenkeel get events web -l app=web",
        "evenkeel describe deployment.evenkeel.dev/web",
        "evenkeel plan web --detailed-exitcode",
        "evenkeel plan -f web.yaml -o json",
        "evenkeel plan --source shop --revision next --detailed-exitcode",
        "evenkeel plan --source shop -f . -o json",
        "evenkeel plan --git https://git.example/shop.git#main:hosts",
        "evenkeel diff --source shop --revision next",
        "evenkeel why web app-2 -o json",
        "evenkeel adopt",
        "evenkeel adopt shop --dry-run",
        "evenkeel adopt shop -f compose.yaml --recreate",
        "evenkeel adopt --all",
        "evenkeel stop shop web-2 worker --reason x",
        "evenkeel suspend shop --until 2h",
        "evenkeel release --all",
        "evenkeel pull web",
        "evenkeel pull web app --wait --timeout 2m",
        "evenkeel rebuild web",
        "evenkeel rebuild web app --no-cache --pull --wait --timeout 1h",
        "evenkeel delete a b --volumes --wait",
        "evenkeel delete -f a.yaml",
        "evenkeel wait web --for condition=Ready --timeout 2m",
        "evenkeel kubeconfig --server https://dock1:6440 -o k",
        "evenkeel get --server unix:/run/x.sock --namespace a",
        "evenkeel get -w --color never",
        "evenkeel status shop -o wide",
        "evenkeel events shop -w --types warning,Normal --since 30m",
        "evenkeel logs shop web worker-2 -f --tail all --since 10m -t --no-log-prefix",
        "evenkeel top -A --containers --sort-by memory",
        "evenkeel exec shop db -it -- psql -U x",
        "evenkeel exec hello -T -u root -w /tmp -e DEBUG=1 -- sh -c x",
        "evenkeel diff -f manifests/",
        "evenkeel validate -f manifests/ -o json",
        "evenkeel export web",
        "evenkeel diff web",
        "evenkeel doctor --docker-host unix:///x.sock -o json",
        "evenkeel version --client",
        "evenkeel completion fish",
        "evenkeel compose config",
        "evenkeel compose -f a.yaml -p x config --format json web",
        "evenkeel compose config -f a.yaml -f - --env-file e --profile * --project-directory d -q --no-env-resolution",
        "evenkeel compose config --hash * --all-resources",
        "evenkeel suggestions -A -o json",
        "evenkeel approve web app-1-3f9a",
        "evenkeel reject web",
        "evenkeel incident list --open -A -o json",
        "evenkeel incident ack incident.evenkeel.dev/web-crashed-1a2b3 --note x",
        "evenkeel incident silence web-crashed-1a2b3 --until 2h",
        "evenkeel incident close web-crashed-1a2b3",
        "evenkeel describe channel ops",
        "evenkeel describe web -o json",
        "evenkeel describe incidents",
        "evenkeel get incidents -w",
        "evenkeel notify test ops --timeout 10s",
    ] {
        assert!(accepts(line), "{line}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_asked() {
    for line in [
        "evenkeel",
        "evenkeel run --listen localhost",
        "evenkeel run --mode Sometimes",
        "evenkeel plan",
        "evenkeel plan web -f web.yaml",
        "evenkeel describe",
        "evenkeel describe ../web",
        "evenkeel release",
        "evenkeel release web --all",
        "evenkeel delete",
        "evenkeel delete web --orphan --volumes",
        "evenkeel wait web",
        "evenkeel wait web --for ready",
        "evenkeel get pods",
        "evenkeel stop web --until 2h",
        "evenkeel exec shop db",
        "evenkeel exec shop db psql",
        "evenkeel exec shop -e =1 -- ls",
        "evenkeel logs",
        "evenkeel logs shop --tail few",
        "evenkeel diff",
        "evenkeel diff web -f web.yaml",
        "evenkeel completion csh",
        "evenkeel compose",
        "evenkeel incident",
        "evenkeel incident ack",
        "evenkeel notify ops",
        "evenkeel compose config --services --images",
        "evenkeel status --color sometimes",
    ] {
        assert!(!accepts(line), "{line}");
    }
}

#[test]
fn who_writes_a_name_where_a_kind_stands_is_told_how_it_is_shown() {
    let told = Cli::try_parse_from(["evenkeel", "get", "web"]).unwrap_err().to_string();
    assert!(told.contains("evenkeel get deployment web") && told.contains("deployments"), "{told}");
    assert!(Cli::try_parse_from(["evenkeel", "help", "stop"]).unwrap_err().to_string().contains("evenkeel stop"));
}

#[test]
fn no_flag_swallows_the_word_after_it() {
    // `--prune` takes a value only after an equals sign.
    assert!(!accepts("evenkeel run --prune false"));
    assert!(accepts("evenkeel run --prune=false --manifests m"));
    let parsed = Cli::try_parse_from(["evenkeel", "stop", "shop", "web"]).unwrap();
    assert!(matches!(parsed.command, Command::Client(ClientCommand::Stop(_))));
}

#[test]
fn help_is_what_people_should_read() {
    let mut cli = Cli::command().term_width(100);
    insta::assert_snapshot!("evenkeel", cli.render_help().to_string());
    cli.build();
    let names: Vec<String> = cli.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in names {
        let command = cli.find_subcommand_mut(&name).unwrap();
        insta::assert_snapshot!(name.as_str(), command.render_long_help().to_string());
    }
}
