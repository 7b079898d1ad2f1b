#!/usr/bin/env bash
# Builds the image evenkeel:VERSION from a release binary of this machine. Usage: deploy/image.sh BINARY
set -euo pipefail
binary=${1:?usage: deploy/image.sh BINARY}
here=$(cd "$(dirname "$0")" && pwd)
version=$("$binary" --version | awk '{print $2}')
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$here/Dockerfile" "$folder"
install -D --mode=755 --strip "$binary" "$folder/root/usr/local/bin/evenkeel"
mkdir -p "$folder"/root/{etc/evenkeel/manifests,run/evenkeel,var/lib/evenkeel,tmp}
# The loader and the libraries, where the loader looks for them.
ldd "$binary" | grep -oE '/[^ ]+' | while read -r library; do
    install -D --mode=755 "$library" "$folder/root$library"
done
docker build --quiet --tag "evenkeel:$version" --tag evenkeel:latest "$folder"
