//! Addresses of git repositories. Pure.

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TLS.
    Https,
    /// Plain HTTP.
    Http,
    /// ssh.
    Ssh,
    /// git's own protocol, which knows no secrets.
    Git,
    /// A repository or a bundle on this host.
    File,
}

impl Transport {
    /// As git's allow-list of protocols has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::Git => "git",
            Self::File => "file",
        }
    }
}

/// The address of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// How it is reached.
    pub transport: Transport,
    /// The host, empty for a file.
    pub host: String,
}

impl Remote {
    /// Reads an address. What is wrong is told without repeating a password.
    ///
    /// # Errors
    /// It is none of the forms that are taken, or carries credentials.
    pub fn read(url: &str) -> Result<Self, String> {
        if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("has blanks or control characters in it".to_owned());
        }
        if url.starts_with('/') {
            return Ok(Self { transport: Transport::File, host: String::new() });
        }
        let Some((scheme, rest)) = url.split_once("://") else { return scp(url) };
        let transport = match scheme {
            "https" => Transport::Https,
            "http" => Transport::Http,
            "ssh" => Transport::Ssh,
            "git" => Transport::Git,
            "file" if rest.starts_with('/') => return Ok(Self { transport: Transport::File, host: String::new() }),
            "file" => return Err("names no absolute path: write file:///path".to_owned()),
            _ => return Err(FORMS.to_owned()),
        };
        let (authority, path) = rest.split_once('/').ok_or("names a host and no repository on it")?;
        let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        match (transport, user) {
            (_, None) => {}
            (Transport::Ssh, Some(user)) if !user.contains(':') => plain(user)?,
            _ => {
                return Err(
                    "has credentials in it, which everybody who may read objects could read: name them by file in auth".into()
                );
            }
        }
        plain(host)?;
        if path.is_empty() {
            return Err("names a host and no repository on it".to_owned());
        }
        let name =
            host.rsplit_once(':').filter(|(_, port)| port.chars().all(|c| c.is_ascii_digit())).map_or(host, |(name, _)| name);
        Ok(Self { transport, host: name.trim_matches(['[', ']']).to_owned() })
    }

    /// Whether nobody on the way can read what is sent, or change it.
    pub fn is_private(&self) -> bool {
        let loopback = self.host == "localhost" || self.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        loopback || matches!(self.transport, Transport::Https | Transport::Ssh | Transport::File)
    }
}

const FORMS: &str = "is no address of a repository: write https://host/path, ssh://user@host/path, user@host:path, file:///path or an absolute path";

/// `user@host:path`.
fn scp(url: &str) -> Result<Remote, String> {
    let (authority, path) = url.split_once(':').ok_or(FORMS)?;
    let (user, host) = authority.split_once('@').ok_or(FORMS)?;
    if path.is_empty() || path.starts_with('-') || path.starts_with(':') {
        return Err(FORMS.to_owned());
    }
    plain(user)?;
    plain(host)?;
    Ok(Remote { transport: Transport::Ssh, host: host.to_owned() })
}

/// A name that no program takes for an option or a command.
fn plain(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    if !name.is_empty() && !name.starts_with('-') && name.chars().all(fits) { Ok(()) } else { Err(FORMS.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_all_their_forms() {
        for (url, transport, host) in [
            ("https://git.example/team/hosts.git", Transport::Https, "git.example"),
            ("http://127.0.0.1:3000/a.git", Transport::Http, "127.0.0.1"),
            ("ssh://git@git.example:2222/a.git", Transport::Ssh, "git.example"),
            ("git@github.com:team/hosts.git", Transport::Ssh, "github.com"),
            ("git://[::1]:9418/a", Transport::Git, "::1"),
            ("file:///srv/a.git", Transport::File, ""),
            ("/srv/a.bundle", Transport::File, ""),
        ] {
            assert_eq!(Remote::read(url), Ok(Remote { transport, host: host.to_owned() }), "{url}");
        }
    }

    #[test]
    fn what_git_would_run_or_everybody_could_read_is_refused_and_no_secret_is_repeated() {
        for url in [
            "ext::sh -c id",
            "ext::sh",
            "-oProxyCommand=id",
            "ssh://-oProxyCommand=id/a",
            "git@-oProxyCommand=id:a",
            "ssh://git:s3cret@host/a",
            "https://user:s3cret@host/a",
            "https://s3cret@host/a",
            "https://host",
            "https://host/",
            "file://relative",
            "relative/path",
            "",
            "https://host/a\nb",
        ] {
            let error = Remote::read(url).unwrap_err();
            assert!(!error.contains("s3cret"), "{url}: {error}");
        }
    }

    #[test]
    fn a_plain_connection_is_private_on_this_host_only() {
        assert!(Remote::read("http://127.0.0.1/a").unwrap().is_private());
        assert!(!Remote::read("http://git.example/a").unwrap().is_private());
        assert!(!Remote::read("git://git.example/a").unwrap().is_private());
    }
}
