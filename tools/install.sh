#!/usr/bin/env bash
# install.sh [gpu]: installs this checkout as a release that systemd runs, or upgrades to it; what is in service stays so
# until the new release stands whole, and never is the configuration or the ledger touched. Writes to $PREFIX
# (/opt/inspectd), /usr/local/bin/inspectd and /usr/local/lib, so that /etc is the site's own; all below $DESTDIR, to make
# a package. $PYTHON (/usr/bin/python3) runs it, and must be one that every user may run.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022 # the service's user reads what root installs
export PYTHON=${PYTHON:-/usr/bin/python3}
gpu=${1:-}
stage=${DESTDIR:-}
prefix=${PREFIX:-/opt/inspectd}
library=$stage/usr/local/lib
systemd=$([ -n "$stage" ] || [ ! -d /run/systemd/system ] || echo yes)
fail() {
  echo "make install: $1" >&2
  exit 1
}

[ -n "$stage" ] || [ "$EUID" = 0 ] || fail "a server installation takes root; 'make venv' sets up .venv for yourself."
[ "$EUID" != 0 ] || runuser -u nobody -- "$PYTHON" -c "" 2>/dev/null ||
  fail "the service's user cannot run $PYTHON: name the system's, as in 'make install PYTHON=/usr/bin/python3.12'."
mkdir -p "$stage$prefix/releases"
exec 9<"$stage$prefix"
flock --nonblock 9 || fail "another installation is at work in $stage$prefix."

# The release is its virtual environment. Until the links below name it, nobody runs it.
name=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' inspectd/__init__.py)-$(date -u +%Y%m%dT%H%M%SZ)
release=$stage$prefix/releases/$name
trap 'rm -rf "$release"; echo "make install: nothing is changed: what was installed stays in service." >&2' EXIT
tools/venv.sh "$release" "${gpu:-run}"
"$release/bin/inspectd" --version >/dev/null
if [ -n "$stage" ]; then # scripts name the folder that they will run from
  grep -lIrF "$stage$prefix" "$release"/{bin,pyvenv.cfg} | xargs -r sed -i "s|$stage$prefix|$prefix|g"
fi
sync --file-system "$release" # a power cut must not leave the link without the files
trap - EXIT

install -D -m 644 systemd/sysusers.conf "$library/sysusers.d/inspectd.conf"
install -D -m 644 systemd/tmpfiles.conf "$library/tmpfiles.d/inspectd.conf"
install -D -m 644 systemd/inspectd.service "$library/systemd/system/inspectd.service"
sed -i "s|/opt/inspectd|$prefix|g" "$library/systemd/system/inspectd.service"
rm -rf "$library/systemd/system/inspectd.service.d"
[ -z "$gpu" ] || install -D -m 644 systemd/gpu.conf "$library/systemd/system/inspectd.service.d/gpu.conf"
if [ "$systemd" ]; then
  systemd-sysusers "$library/sysusers.d/inspectd.conf"
  systemd-tmpfiles --create "$library/tmpfiles.d/inspectd.conf"
fi

# A link is replaced in one step: at every moment there is a whole release behind it.
link() {
  ln -sfn "$1" "$stage$2.new"
  mv -T "$stage$2.new" "$stage$2"
}
mkdir -p "$stage/usr/local/bin"
before=$(readlink "$stage$prefix/current" || true)
[ -z "$before" ] || link "$before" "$prefix/previous"
link "releases/$name" "$prefix/current"
link "$prefix/current/bin/inspectd" /usr/local/bin/inspectd
if [ "$systemd" ]; then
  systemctl daemon-reload
  unit=$(systemctl show --property=FragmentPath --value inspectd.service)
  [ "$unit" = "$library/systemd/system/inspectd.service" ] || echo "Mind: $unit stands in the way of the unit installed."
fi

# The release before is kept to go back to; older ones go, unless a service not restarted yet still runs from one.
for old in "$stage$prefix"/releases/*; do
  case releases/$(basename "$old") in "releases/$name" | "$before") continue ;; esac
  grep -qsF -f <(echo "$old/") /proc/[0-9]*/cmdline || rm -rf "$old"
done

echo "Installed: $release"
[ -n "$before" ] || exit 0
echo "A running service goes on with the release before until it is restarted:"
echo "  inspectd config check -c /etc/inspectd/config.yaml && systemctl restart inspectd"
echo "and this goes back to that release:"
echo "  ln -sfnT $before $prefix/current && systemctl restart inspectd"
