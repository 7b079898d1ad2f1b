//! Keys of `build`.

use super::{FILE_MOUNT, Form, Key, TEXT_OR_TEXTS, TEXTS, ULIMIT, key, refused};

/// Within `build`.
pub const BUILD: &[Key] = &[
    key("args", Form::Mapping, "Values of the Dockerfile's ARGs. One without a value is taken from the operator's environment."),
    key("cache_from", TEXT_OR_TEXTS, "Images whose layers may be used: a reference, or `type=registry,ref=..`."),
    key(
        "additional_contexts",
        Form::Mapping,
        "Images by the names that `FROM` and `--from` of the Dockerfile have for them: `docker-image://` and a reference.",
    ),
    key(
        "context",
        Form::Text,
        "Absolute path of a folder, or the URL of a repository or an archive, which the engine fetches. Absent: nothing but the Dockerfile, given in dockerfile_inline.",
    ),
    key("dockerfile", Form::Text, "Path of the Dockerfile, within the context or absolute. Default `Dockerfile`."),
    key("dockerfile_inline", Form::Text, "The Dockerfile itself, instead of its path."),
    key(
        "extra_hosts",
        Form::Any(&[TEXTS, Form::MapOf(&TEXT_OR_TEXTS)]),
        "Lines of /etc/hosts during the build, as those of the service.",
    ),
    key("labels", Form::Mapping, "Labels of the image."),
    key("network", Form::Text, "Network of RUN steps: `default`, `host`, `none`; the classic builder takes any network's name."),
    key("no_cache", Form::Flag, "Use no cached layer."),
    key("no_cache_filter", TEXT_OR_TEXTS, "As no_cache: the engine's builder leaves out all of its cache, or nothing."),
    key("platforms", TEXTS, "The platform, `os/arch[/variant]`; one. Default: the service's platform, else the engine's."),
    key("pull", Form::Flag, "Pull base images though they are there."),
    key(
        "secrets",
        Form::List(&Form::Any(&[Form::Text, Form::Map(FILE_MOUNT)])),
        "Secrets for `RUN --mount=type=secret`, by their keys under spec.secrets; their id is the target, else the key. BuildKit only.",
    ),
    key("shm_size", Form::Size, "Size of /dev/shm during the build."),
    key(
        "ssh",
        Form::Any(&[TEXTS, Form::MapOf(&Form::Nullable(&Form::Text)), Form::Text]),
        "Agents for `RUN --mount=type=ssh`: `default`, or `id=/path/of/an/agent.sock`. BuildKit only.",
    ),
    key("tags", TEXTS, "Further references the image gets."),
    key("target", Form::Text, "The stage to build. Default: the last."),
    key("ulimits", Form::MapOf(&Form::Any(&[Form::Whole, Form::Map(ULIMIT)])), "Limits of RUN steps, as those of the service."),
    refused("cache_to", "the engine keeps its own cache"),
    refused("entitlements", "the engine's builder has none to give"),
    refused("isolation", "it is for Windows"),
    refused("privileged", "the engine's builder has no privileged steps"),
    refused("provenance", "the engine's builder makes no attestations"),
    refused("sbom", "the engine's builder makes no attestations"),
];
