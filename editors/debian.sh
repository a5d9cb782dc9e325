#!/usr/bin/env bash
# debian.sh PLACE SUITE PACKAGE VERSION SHA256 [ELF…]: a package of Debian with all that it needs, its own libc too, in
# PLACE/root. The system stays as it is, and no rights are needed: apt, with lists and a status of its own, works out and
# fetches the closure (whose files it checks against Debian's signatures). SHA256 is that of the package's own file.
set -euo pipefail
place=$1 suite=$2 package=$3 version=$4 sum=$5
shift 5
apt=$place/apt root=$place/root
# The mirror that this machine uses already; the place is asked of apt, or of its sources where it has no lists yet.
mirror=$(apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Created-By: Packages' 2>/dev/null | awk '$2 == "Debian" { print $1; exit }')
[ -n "$mirror" ] ||
  mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -oE 'https?://[^ ]+/debian/?( |$)' | head -1 | tr -d ' ')
[ -n "$mirror" ] || { echo "there is no mirror of Debian among apt's sources" >&2 && exit 1; }
rm -rf "$apt" "$root"
mkdir -p "$apt"/{sources.d,lists/partial,cache/archives/partial} "$root"
: >"$apt/status"
cat >"$apt/sources.d/one.sources" <<S
Types: deb
URIs: $mirror
Suites: $suite
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
S
cat >"$apt/apt.conf" <<C
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$apt/sources.d";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "$apt";
Dir::State::lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "2";
C
export APT_CONFIG=$apt/apt.conf DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q -y --download-only install "$package"
file=$(ls "$apt/cache/archives/${package}"_*.deb)
found=$(dpkg-deb -f "$file" Version)
if [[ $found != *"$version"* ]]; then
  echo "NOTE $package is $found in $suite, and not the pinned $version" >&3
elif [ "$sum" != - ] && ! echo "$sum  $file" | sha256sum --check --quiet; then
  echo "NOTE $package $found in $suite is another build than the pinned one" >&3
fi
sha256sum "$file"
for each in "$apt"/cache/archives/*.deb; do dpkg-deb -x "$each" "$root"; done
rm -rf "$apt"
# Libraries are found by what the program says (DT_RPATH) and not by the environment, so that what it starts, such as
# the server's Python, keeps the system's own.
[ $# = 0 ] && exit
loader=$(find "$root" -name 'ld-linux-x86-64.so.2' | head -1)
libraries=$(find "$root" -name '*.so*' -printf '%h\n' | grep -vE 'gconv|/lua/' | sort -u | paste -sd:)
for elf in "$@"; do
  "${PATCHELF:-patchelf}" --set-interpreter "$loader" --force-rpath --set-rpath "$libraries" "$root/$elf"
done
