#!/usr/bin/env bash
# uninstall.sh: stops the service and takes away what install.sh put there. Images, ledger, models and configuration are
# the site's: they stay, and so does the user that they belong to.
set -euo pipefail
stage=${DESTDIR:-}
prefix=${PREFIX:-/opt/inspectd}
library=$stage/usr/local/lib

[ -n "$stage" ] || [ "$EUID" = 0 ] || {
  echo "make uninstall: this takes root." >&2
  exit 1
}
systemd=$([ -n "$stage" ] || [ ! -d /run/systemd/system ] || echo yes)
if [ "$systemd" ] && [ -e "$library/systemd/system/inspectd.service" ]; then
  systemctl disable --quiet --now inspectd.service
fi
rm -rf "$stage$prefix"/{releases,current,previous} "$library"/systemd/system/inspectd.service{,.d}
rm -f "$library"/{sysusers,tmpfiles}.d/inspectd.conf "$stage/usr/local/bin/inspectd"
rmdir --ignore-fail-on-non-empty "$stage$prefix" 2>/dev/null || true
[ -z "$systemd" ] || systemctl daemon-reload
echo "Uninstalled. /var/lib/inspectd and /etc/inspectd, the user inspectd and your drop-ins are left as they are."
