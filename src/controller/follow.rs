//! Which files of the host count as part of what a Deployment declares: those that its containers have mounted out of the
//! folder of its Source (docs/adr/0013).

use std::path::Path;

use crate::model::{Desired, DesiredService, FollowedFile, MountSource, MountSpec, OnChange};

/// Says of each service which of its mounted files are followed. `source` is the folder of the Source it came from.
pub(super) fn mounted(desired: &mut Desired, source: Option<&Path>) {
    for service in desired.services.values_mut() {
        let followed = service.template.mounts.iter().filter_map(|mount| follow(service, mount, source));
        service.followed = followed.collect();
    }
}

/// Files in the Source are followed, any others where the service says what follows of a change. What a container may write
/// counts only when another file takes its place, and a folder only where that is asked for and nothing can be written: what lies
/// there is most often data.
fn follow(service: &DesiredService, mount: &MountSpec, source: Option<&Path>) -> Option<FollowedFile> {
    let MountSource::Bind { path, .. } = &mount.source else { return None };
    let asked = match service.on_change {
        Some(OnChange::Ignore) => return None,
        on_change => on_change.is_some(),
    };
    let inside = source.is_some_and(|source| Path::new(path).starts_with(source));
    (asked || inside).then(|| FollowedFile {
        path: path.clone(),
        replaced_only: !asked && !mount.read_only,
        folder: asked && mount.read_only,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(on_change: Option<OnChange>, path: &str, read_only: bool) -> Option<(bool, bool)> {
        let mount = MountSpec {
            source: MountSource::Bind { path: path.to_owned(), create: false, propagation: None, selinux: None },
            target: "/etc/app.conf".to_owned(),
            read_only,
        };
        let service = DesiredService { on_change, ..crate::controller::plan::sample_service("app") };
        let file = follow(&service, &mount, Some(Path::new("/srv/shop")))?;
        Some((file.replaced_only, file.folder))
    }

    #[test]
    fn files_of_the_source_count_and_others_where_it_is_asked_for() {
        assert_eq!(followed(None, "/srv/shop/app.conf", true), Some((false, false)));
        assert_eq!(followed(None, "/srv/shop/data.db", false), Some((true, false)));
        assert_eq!(followed(None, "/srv/shopping/app.conf", true), None);
        assert_eq!(followed(Some(OnChange::Restart), "/etc/ssl", true), Some((false, true)));
        assert_eq!(followed(Some(OnChange::Recreate), "/srv/shop/data", false), Some((false, false)));
        assert_eq!(followed(Some(OnChange::Ignore), "/srv/shop/app.conf", true), None);
    }
}
