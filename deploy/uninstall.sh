#!/usr/bin/env bash
# Removes evenkeel from this host. The containers run on, with their own restart policies given back to Docker first.
# What was declared stays in /etc/evenkeel and /var/lib/evenkeel; --purge removes that too.
set -euo pipefail
[[ $EUID -eq 0 ]] || { echo "error: run this as root (sudo make uninstall)" >&2; exit 1; }

if ! /usr/local/bin/evenkeel release --all; then
    echo "error: the containers could not be given back to Docker, so nothing was removed: start evenkeel" >&2
    echo "       (systemctl start evenkeel) and try again, or pass --force to leave them without a restart policy" >&2
    [[ " $* " == *" --force "* ]] || exit 1
fi
if [[ -d /run/systemd/system ]]; then
    systemctl disable --quiet --now evenkeel || true
fi
rm -f /usr/local/bin/evenkeel /etc/systemd/system/evenkeel.service
rm -rf /usr/local/share/doc/evenkeel
if [[ -d /run/systemd/system ]]; then
    systemctl daemon-reload
fi
if [[ " $* " == *" --purge "* ]]; then
    rm -rf /etc/evenkeel /var/lib/evenkeel
fi
