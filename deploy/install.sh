#!/usr/bin/env bash
# Installs evenkeel as a service of this host. Usage: deploy/install.sh BINARY
# DESTDIR puts everything under another root, for packages; nothing is started then.
set -euo pipefail
binary=${1:?usage: deploy/install.sh BINARY}
here=$(cd "$(dirname "$0")" && pwd)
root=${DESTDIR:-}
[[ $EUID -eq 0 || -n $root ]] || { echo "error: run this as root (sudo make install), or set DESTDIR" >&2; exit 1; }

install -D --mode=755 "$binary" "$root/usr/local/bin/evenkeel"
install -D --mode=644 "$here/evenkeel.service" "$root/etc/systemd/system/evenkeel.service"
install -D --mode=644 "$here/../README.md" "$root/usr/local/share/doc/evenkeel/README.md"
install -d --mode=755 "$root/etc/evenkeel/manifests"
# A configuration that is there is the user's.
[[ -e $root/etc/evenkeel/config.yaml ]] || install --mode=644 "$here/config.yaml" "$root/etc/evenkeel/config.yaml"

if [[ -z $root && -d /run/systemd/system ]]; then
    systemctl daemon-reload
    systemctl enable --quiet evenkeel
    systemctl restart evenkeel
    echo "evenkeel runs. Put manifests into /etc/evenkeel/manifests, then: evenkeel get"
elif [[ -z $root ]]; then
    echo "evenkeel is installed. There is no systemd here to start it: run 'evenkeel run' under your own supervisor"
fi
