#!/usr/bin/env bash
# Builds the image evenkeel:VERSION from a release binary of this machine, with this machine's git, ssh and gpg beside it, which
# Sources of repositories are read with. Usage: deploy/image.sh BINARY
set -euo pipefail
binary=${1:?usage: deploy/image.sh BINARY}
here=$(cd "$(dirname "$0")" && pwd)
version=$("$binary" --version | awk '{print $2}')
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
root=$folder/root

# A program at a place in the image, and the loader and the libraries it needs, where the loader looks for them.
add() {
    install -D --mode=755 --strip "$1" "$root$2"
    { ldd "$1" || true; } | grep -oE '/[^ ]+' | while read -r library; do
        [[ -e $root$library ]] || install -D --mode=755 "$library" "$root$library"
    done
}

cp "$here/Dockerfile" "$folder"
mkdir -p "$root"/{etc/evenkeel/manifests,run/evenkeel,var/lib/evenkeel,tmp}
add "$binary" /usr/local/bin/evenkeel
if git=$(command -v git); then
    helpers=$(git --exec-path)
    add "$git" "$git"
    add "$helpers/git-remote-http" "$helpers/git-remote-http"
    ln -s git-remote-http "$root$helpers/git-remote-https"
    for name in git git-upload-pack; do ln -s "$git" "$root$helpers/$name"; done
    # git starts ssh, its helpers and the other end of a repository on this host through it.
    add "$(readlink -f /bin/sh)" /bin/sh
    for program in ssh ssh-keygen gpg; do
        if path=$(command -v "$program"); then add "$path" "$path"; else echo "without $program, which is not installed here" >&2; fi
    done
    # Who one is, which ssh asks, and the certificates that https servers are checked with.
    echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
    certificates=/etc/ssl/certs/ca-certificates.crt
    if [[ -e $certificates ]]; then
        install -D --mode=644 "$certificates" "$root$certificates"
    else
        echo "without ca-certificates, which are not installed here: https needs auth.caFile" >&2
    fi
else
    echo "without git, which is not installed here: Sources of repositories will say GitMissing" >&2
fi
docker build --quiet --tag "evenkeel:$version" --tag evenkeel:latest "$folder"
