//! A build as the engine's request.

use serde_json::{Map, Value, json};

use super::environment;
use crate::docker::wire;
use crate::model::{BuildSpec, familiar_reference};

/// The engine's two builders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Builder {
    /// Since 18.09; knows secrets and agents.
    BuildKit,
    /// The first one.
    Classic,
}

impl Builder {
    /// Which one is used.
    ///
    /// `wished` is the user's own word (`DOCKER_BUILDKIT`), `preferred` the engine's (header `Builder-Version` of `/_ping`; an
    /// engine before 23 says nothing and has both). Elsewhere than on Linux there is no BuildKit.
    pub fn choose(wished: Option<bool>, preferred: Option<&str>, os: Option<&str>) -> Self {
        let linux = os.is_none_or(|os| os.eq_ignore_ascii_case("linux"));
        match (wished, preferred) {
            _ if !linux => Self::Classic,
            (Some(true), _) => Self::BuildKit,
            (Some(false), _) | (None, Some("1")) => Self::Classic,
            (None, _) => Self::BuildKit,
        }
    }

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::BuildKit => "BuildKit",
            Self::Classic => "classic",
        }
    }

    /// What this builder cannot do, if the build asks for it.
    pub fn lacks(self, spec: &BuildSpec) -> Option<String> {
        let wanted = match (spec.secrets.is_empty(), spec.ssh.is_empty()) {
            _ if self == Self::BuildKit => return None,
            (true, true) => return None,
            (false, _) => "secrets",
            (true, false) => "ssh",
        };
        Some(format!(
            "build.{wanted} needs BuildKit, and the classic builder is in use; take DOCKER_BUILDKIT=0 out of the operator's \
             environment, or \"buildkit\": false out of the engine's daemon.json"
        ))
    }
}

/// The path of the request, with all that the builder is told. `session` is that of BuildKit.
pub(super) fn path(spec: &BuildSpec, dockerfile: &str, builder: Builder, session: Option<&str>) -> String {
    let mut pairs: Vec<(&str, String)> = Vec::new();
    let references = std::iter::once(&spec.image).chain(&spec.tags);
    pairs.extend(references.map(|reference| ("t", familiar_reference(reference))));
    pairs.push(("dockerfile", dockerfile.to_owned()));
    pairs.push(("version", if builder == Builder::BuildKit { "2" } else { "1" }.to_owned()));
    // Containers of steps go away, also of those that fail.
    pairs.extend(["rm", "forcerm"].map(|flag| (flag, "1".to_owned())));
    pairs.extend(
        [("nocache", spec.no_cache), ("pull", spec.pull)].into_iter().filter(|(_, on)| *on).map(|(k, _)| (k, "1".into())),
    );
    let args: Map<String, Value> = environment::resolved(&spec.args).into_iter().map(|(k, v)| (k, json!(v))).collect();
    pairs.push(("buildargs", Value::Object(args).to_string()));
    pairs.push(("labels", json!(spec.labels).to_string()));
    pairs.push(("cachefrom", json!(spec.cache_from).to_string()));
    let words = [("target", &spec.target), ("networkmode", &spec.network), ("platform", &spec.platform)];
    pairs.extend(words.into_iter().filter_map(|(key, word)| Some((key, word.clone()?))));
    pairs.extend(spec.shm_size.map(|bytes| ("shmsize", bytes.to_string())));
    pairs.extend(spec.extra_hosts.iter().map(|line| ("extrahosts", line.clone())));
    if !spec.ulimits.is_empty() {
        let limits = spec.ulimits.iter().map(|limit| json!({"Name": limit.name, "Soft": limit.soft, "Hard": limit.hard}));
        pairs.push(("ulimits", Value::Array(limits.collect()).to_string()));
    }
    pairs.extend(spec.remote().map(|url| ("remote", url.to_owned())));
    pairs.extend(session.map(|id| ("session", id.to_owned())));
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(key, value)| (*key, value.as_str())).collect();
    format!("/build?{}", wire::query(&pairs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buildkit_is_used_where_the_engine_has_it_and_nobody_says_otherwise() {
        use Builder::{BuildKit, Classic};
        for (wished, preferred, os, builder) in [
            (None, None, Some("linux"), BuildKit),
            (None, Some("2"), Some("linux"), BuildKit),
            (None, Some("1"), Some("linux"), Classic),
            (Some(true), Some("1"), Some("linux"), BuildKit),
            (Some(false), Some("2"), Some("linux"), Classic),
            (Some(true), None, Some("windows"), Classic),
            (None, None, None, BuildKit),
        ] {
            assert_eq!(Builder::choose(wished, preferred, os), builder, "{wished:?} {preferred:?} {os:?}");
        }
    }

    #[test]
    fn what_the_classic_builder_cannot_do_is_told_by_name() {
        let secret = BuildSpec { secrets: [("a".to_owned(), "/a".to_owned())].into(), ..BuildSpec::default() };
        assert_eq!(Builder::BuildKit.lacks(&secret), None);
        assert!(Builder::Classic.lacks(&secret).unwrap().starts_with("build.secrets needs BuildKit"));
        assert_eq!(Builder::Classic.lacks(&BuildSpec::default()), None);
    }

    #[test]
    fn the_request_says_all_that_the_build_says() {
        let spec = BuildSpec {
            image: "web-app".into(),
            tags: vec!["reg:5000/a/b".into()],
            target: Some("run time".into()),
            shm_size: Some(64),
            no_cache: true,
            extra_hosts: vec!["db:10.0.0.1".into()],
            ..BuildSpec::default()
        };
        let path = path(&spec, "deploy/Dockerfile", Builder::BuildKit, Some("s1"));
        for part in [
            "t=web-app%3Alatest&t=reg%3A5000%2Fa%2Fb%3Alatest",
            "dockerfile=deploy%2FDockerfile",
            "version=2",
            "nocache=1",
            "target=run%20time",
            "shmsize=64",
            "extrahosts=db%3A10.0.0.1",
            "session=s1",
            "forcerm=1",
        ] {
            assert!(path.contains(part), "{part} in {path}");
        }
        assert!(!path.contains("pull=1"));
    }
}
