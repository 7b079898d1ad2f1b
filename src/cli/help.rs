//! Examples that stand below the flags of each command.

/// Of `evenkeel` itself.
pub const MAIN: &str = "\
First steps:
  evenkeel run --manifests ./manifests     start the operator on a folder of manifests
  evenkeel status                          what is declared, and how it is
  evenkeel describe web                    why it is so
  evenkeel logs -f web                     what it writes
  evenkeel stop web --reason 'migration'   stop it; nothing starts it again
  evenkeel start web                       until you say so
  evenkeel incident list                   what went wrong

Exit codes:
  0  done
  1  failed: what and why is on stderr
  2  the command line makes no sense
  3  wait, delete --wait, pull --wait, rebuild --wait, release: it did not come about in time
  4  plan --detailed-exitcode: there is something to do
  diff has codes of its own (0 none, 1 differences, 2 failed); exec exits with the command's

The commands talk to the operator over its unix socket on this host. For another place set
--server or EVENKEEL_SERVER to unix:PATH or https://HOST:PORT. `evenkeel COMMAND --help` has more.";

/// Of `pull`.
pub const PULL: &str = "\
Examples:
  evenkeel pull web                        look for newer versions of all its images
  evenkeel pull web app --wait             of one service's; return when its containers run it
  evenkeel describe web                    what came of it

A container is replaced only if the image changed, one replica at a time. What is stopped stays stopped: its image is pulled,
and used when it is started. Credentials are those that `docker login` wrote for the user that the operator runs as.";

/// Of `rebuild`.
pub const REBUILD: &str = "\
Examples:
  evenkeel rebuild web                     build all its images anew
  evenkeel rebuild web app --no-cache --pull --wait
                                           one service's from the ground up; return when its containers run it

A container is replaced only if another image came of it, one replica at a time. What is stopped stays stopped: its image is
built when it is started. When a build fails the old containers go on, and the last lines of its output are shown.";

/// Of `reconcile`.
pub const RECONCILE: &str = "\
Examples:
  evenkeel reconcile source shop           fetch what is new and put it in force
  evenkeel get sources                     what is in force, and what is wrong
  evenkeel describe source shop            what came of each file";

/// Of `incident` and of what is below it.
pub const INCIDENT: &str = "\
Examples:
  evenkeel incident list                   what is wrong, and what was, newest last
  evenkeel incident list --open -A
  evenkeel incident ack web-crashed-1a2b3 --note 'looking'
  evenkeel incident silence web-crashed-1a2b3 --until 2h
  evenkeel incident close web-crashed-1a2b3 --note 'known, harmless'
  evenkeel describe incident web-crashed-1a2b3";

/// Of `suggestions`, `approve` and `reject`.
pub const SUGGESTIONS: &str = "\
Examples:
  evenkeel suggestions                     what recovery would do, and why
  evenkeel suggestions web -o yaml         with the evidence
  evenkeel approve web                     have all that done
  evenkeel approve web app-1-3f9a          this one alone
  evenkeel reject web app-1-3f9a           do not do it; the next rung may be suggested";

/// Of `notify` and `notify test`.
pub const NOTIFY: &str = "\
Examples:
  evenkeel notify test ops-mail            send a message now, and say whether it was taken
  evenkeel get channels                    what was delivered, and what waits
  evenkeel describe channel ops-mail";

/// Of `run`.
pub const RUN: &str = "\
Examples:
  # All manifests of a folder, deleting what leaves it
  evenkeel run --manifests /etc/evenkeel/manifests --prune

  # The folder hosts/web1 of a repository's branch main
  evenkeel run --git https://git.example/team/hosts.git#main:hosts/web1

  # A first look at a host: report what would be done, do nothing
  evenkeel run --manifests ./manifests --mode Observe

  # The same as variables, or as a file
  EVENKEEL_MANIFESTS=./manifests EVENKEEL_MODE=Observe evenkeel run
  printf 'manifests: ./manifests\\nmode: Observe\\n' > config.yaml
  evenkeel run --config config.yaml

Traces go to an OpenTelemetry collector when the standard variables say so, e.g.
OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 (http/protobuf).";

/// Of `apply`.
pub const APPLY: &str = "\
Examples:
  evenkeel apply -f web.yaml
  evenkeel apply -f manifests/ -f extra.yaml
  generate-manifest | evenkeel apply -f -
  evenkeel apply -f web.yaml --dry-run     checked by the operator too, nothing changed
  evenkeel plan -f web.yaml                what it would do to containers";

/// Of `adopt`.
pub const ADOPT: &str = "\
Examples:
  evenkeel adopt                           Compose projects on the engine, and whose they are
  evenkeel adopt shop --dry-run            what would be taken over, and what differs from its files
  evenkeel adopt shop                      take it over as it is: nothing is restarted
  evenkeel adopt shop --recreate           and make anew what differs
  evenkeel adopt shop --start-missing      and start declared services that have no container
  evenkeel adopt shop -f /srv/shop/compose.yaml
  evenkeel adopt --all

`docker compose ps`, `logs` and `exec` go on working. `evenkeel release shop` gives the containers back to Docker, with the
restart policies that they had.";

/// Of `compose` and `compose config`.
pub const COMPOSE: &str = "\
Examples:
  evenkeel compose config                  the project in this folder, or one above it
  evenkeel compose -f a.yaml -f b.yaml config --format json
  evenkeel compose config --profile '*' -q && echo fine
  evenkeel compose config --services

Files are found as docker compose finds them, .env and the COMPOSE_ variables included. What is wrong is told with file,
line, column and field; the exit code is 1 then. docs/compose.md says what is read, and where it is read differently.";

/// Of `get`.
pub const GET: &str = "\
Examples:
  evenkeel get                             deployments of namespace default
  evenkeel get deployments -A -o wide      of all namespaces, with images and sources
  evenkeel get deployments web -o yaml     one, whole
  evenkeel get holds                       what is stopped or suspended, by whom and why
  evenkeel get sources                     where manifests come from, and what is in force
  evenkeel get incidents                   what is wrong, and what was
  evenkeel get channels                    how people are reached
  evenkeel get alerts                      who is told what
  evenkeel get events web                  what happened to one deployment
  evenkeel get deployments -l team=sea -o name
  evenkeel get -w                          and again what changes";

/// Of `status`.
pub const STATUS: &str = "\
Examples:
  evenkeel status                          the host, and all deployments of namespace default
  evenkeel status shop                     one deployment
  evenkeel status -A -o wide               of all namespaces, with ids and digests
  watch --color evenkeel status --color always";

/// Of `events`.
pub const EVENTS: &str = "\
Examples:
  evenkeel events                          of namespace default, the newest last
  evenkeel events shop -w                  of one deployment, and on as they happen
  evenkeel events -A --types Warning --since 30m";

/// Of `logs`.
pub const LOGS: &str = "\
Examples:
  evenkeel logs shop                       of all services, merged by time
  evenkeel logs shop web worker-2 -f       of a service and a replica, and on over restarts
  evenkeel logs shop --tail 20 --since 10m -t
  evenkeel logs shop web-1 --no-prefix > web.log";

/// Of `top`.
pub const TOP: &str = "\
Examples:
  evenkeel top                             deployments of namespace default
  evenkeel top shop                        its containers
  evenkeel top -A --containers --sort-by memory
  evenkeel top shop --since 2h             what they used over the last two hours
  evenkeel top --host                      the machine
  evenkeel top shop -o json";

/// Of `exec`.
pub const EXEC: &str = "\
Examples:
  evenkeel exec shop db -it -- psql        a terminal in the service db
  evenkeel exec shop web-2 -- cat /etc/hosts
  evenkeel exec shop db -i -- psql < dump.sql
  evenkeel exec hello -u root -w /tmp -e DEBUG=1 -- sh -c 'echo $DEBUG; exit 3'";

/// Of `diff`.
pub const DIFF: &str = "\
Examples:
  evenkeel diff -f web.yaml                what applying the file would change in the stored object
  evenkeel plan -f web.yaml                what it would do to containers, and why
  evenkeel diff --source shop --revision next
                                           what another branch of a source would change
  evenkeel diff web                        in what the containers differ from what is declared
  evenkeel diff -f manifests/ || test $? -eq 1";

/// Of `validate`.
pub const VALIDATE: &str = "\
Examples:
  evenkeel validate -f web.yaml
  evenkeel validate -f compose.yaml        a Compose file, with the variables of this shell
  evenkeel validate -f manifests/ -o json  in a pipeline: exit code 1 and all mistakes if there are any";

/// Of `export`.
pub const EXPORT: &str = "\
Examples:
  evenkeel export web > compose.yaml
  evenkeel export web | docker compose -f - config";

/// Of `version`.
pub const VERSION: &str = "\
Examples:
  evenkeel version
  evenkeel version --client
  evenkeel version -o json | jq -r .engine.version";

/// Of `doctor`.
pub const DOCTOR: &str = "\
Examples:
  evenkeel doctor
  evenkeel doctor -o json | jq '.checks[] | select(.result != \"ok\")'
  evenkeel doctor --docker-host unix:///var/run/docker.sock --data-dir /srv/evenkeel";

/// Of `completion`.
pub const COMPLETION: &str = "\
Examples:
  evenkeel completion bash > /etc/bash_completion.d/evenkeel
  evenkeel completion zsh > \"${fpath[1]}/_evenkeel\"
  evenkeel completion fish > ~/.config/fish/completions/evenkeel.fish";

/// Of `resume`.
pub const RESUME: &str = "\
Examples:
  evenkeel resume shop                     the whole deployment
  evenkeel resume shop db                  one service";

/// Of `restart`.
pub const RESTART: &str = "\
Examples:
  evenkeel restart shop                    all of it, one replica of a service at a time
  evenkeel restart shop web                one service";

/// Of `recreate`.
pub const RECREATE: &str = "\
Examples:
  evenkeel recreate shop                   all containers, one replica of a service at a time
  evenkeel recreate shop web               one service";

/// Of `retry`.
pub const RETRY: &str = "\
Examples:
  evenkeel retry shop                      attempts are counted from 1 again, at once
  evenkeel retry shop migrate              a job that failed runs again";

/// Of `crd`.
pub const CRD: &str = "\
Examples:
  evenkeel crd > crds.yaml";

/// Of `describe`.
pub const DESCRIBE: &str = "\
Examples:
  evenkeel describe web
  evenkeel describe web -n staging
  evenkeel describe source shop            what is in force of a source, and what came of each file
  evenkeel describe incident web-crashed-1a2b3
  evenkeel describe channel ops-mail

The trace column names the trace of each action in your OpenTelemetry backend.";

/// Of `plan`.
pub const PLAN: &str = "\
Examples:
  evenkeel plan web                        what the operator does next, or what it waits for
  evenkeel plan -f web.yaml                what applying the file would do
  evenkeel plan --source shop --revision next
                                           what another branch, or a commit, of a source would do
  evenkeel plan --source shop -f .         what this checkout would do, and what is gone in it
  evenkeel plan --git https://git.example/shop.git#main:hosts
  evenkeel plan web -o json
  evenkeel plan -f web.yaml --detailed-exitcode || test $? -eq 4";

/// Of `why`.
pub const WHY: &str = "\
Examples:
  evenkeel why web                         from the commit to the last action and its trace
  evenkeel why web app-2                   of one replica
  evenkeel why web -o json";

/// Of `stop`.
pub const STOP: &str = "\
Examples:
  evenkeel stop shop                       the whole deployment
  evenkeel stop shop worker                one service
  evenkeel stop shop web-2                 one replica of service web
  evenkeel stop shop --reason 'disk full, ask Ada'
  evenkeel get holds                       what is stopped, by whom and why";

/// Of `start`.
pub const START: &str = "\
Examples:
  evenkeel start shop                      lift all holds of the deployment
  evenkeel start shop worker               those of one service
  evenkeel start shop web-2                that of one replica";

/// Of `suspend`.
pub const SUSPEND: &str = "\
Examples:
  evenkeel suspend shop --until 2h --reason backup
  evenkeel suspend shop db --until 2026-09-01T06:00:00Z
  evenkeel resume shop";

/// Of `release`.
pub const RELEASE: &str = "\
Examples:
  evenkeel release shop                    Docker alone keeps it running from now on
  evenkeel release --all                   before evenkeel is removed from this host
  evenkeel resume shop                     take it back";

/// Of `delete`.
pub const DELETE: &str = "\
Examples:
  evenkeel delete shop                     containers and networks go, volumes stay
  evenkeel delete shop --volumes --wait    and its volumes, with all data in them
  evenkeel delete shop --orphan            containers run on, unattended
  evenkeel delete -f shop.yaml

A deployment whose manifest is still in the operator's folder comes back at the next look: remove the file instead.";

/// Of `wait`.
pub const WAIT: &str = "\
Examples:
  evenkeel wait web --for condition=Ready --timeout 2m
  evenkeel wait web --for phase=Stopped
  evenkeel wait web --for delete

Phases: Pending, Running, Progressing, Degraded, Stopped, Paused, Suspended, Completed, Failed, Unknown.
A status that speaks of an older version of the manifest does not count.";

/// Of `kubeconfig`.
pub const KUBECONFIG: &str = "\
Examples:
  sudo evenkeel kubeconfig > evenkeel.kubeconfig
  kubectl --kubeconfig evenkeel.kubeconfig get deployments
  sudo evenkeel kubeconfig --server https://dock1:6440 -o /root/dock1.kubeconfig";
