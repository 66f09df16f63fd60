#!/bin/bash
# Becomes a systemd of its own: boot.sh FOLDER CHECKOUT LIBRARIES VERSION. Run by box.py in fresh namespaces; everything
# that is mounted here ends with them. FOLDER gets a throw-away overlay of /, in which CHECKOUT is copied to
# /usr/local/src/inspectd, and the system's Python VERSION has the packages in LIBRARIES.
set -euo pipefail
folder=$1 checkout=$2 libraries=$3 version=$4
umask 022

mount -t tmpfs -o mode=755 box "$folder"
mkdir "$folder"/{upper,work,root}
mount -t overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" box "$folder/root"
root=$folder/root
[ -z "$checkout" ] && exit 0 # only asked whether this machine lets us

# Whatever this machine has of inspectd is not to be seen in the box.
rm -rf "$root"/{opt,etc,var/lib}/inspectd "$root"/etc/systemd/system/inspectd.service{,.d} "$root"/usr/local/src/inspectd \
  "$root"/usr/local/bin/inspectd "$root"/usr/local/lib/{sysusers.d,tmpfiles.d,systemd/system}/inspectd*
mkdir -p "$root"/usr/local/src/inspectd "$root"/opt/libraries
cp -r "$checkout"/{Makefile,README.md,config.yaml,inspectd,migrations,pyproject.toml,requirements,systemd,tools} \
  "$root/usr/local/src/inspectd/"
# There is no network in the box, so the system's Python, and with it every virtual environment that it makes, has the
# libraries of the tests' own environment beside its own: pip finds the locked versions there and downloads nothing.
mount --bind "$libraries" "$root/opt/libraries"
mount -o remount,bind,ro "$root/opt/libraries"
rm -f "$root/usr/lib/python$version/sitecustomize.py"
printf 'import sys\n\nsys.path.append("/opt/libraries")\n' >"$root/usr/lib/python$version/sitecustomize.py"

mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro,nosuid,nodev,noexec "$root/proc/sys"
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755,nosuid dev "$root/dev"
for node in null zero full random urandom tty; do
  touch "$root/dev/$node"
  mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root"/dev/{pts,shm}
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
mount -t tmpfs -o mode=755 run "$root/run"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
mkdir -m 700 "$root/run/written" # what was written to the overlay, for the test that looks into it
mount --bind "$folder/upper" "$root/run/written"

# The machine's own services stay out; the journal is kept in memory and hears nothing of the machine's kernel.
tr -d - </proc/sys/kernel/random/uuid >"$folder/id" && rm -f "$root/etc/machine-id" && cp "$folder/id" "$root/etc/machine-id"
rm -rf "$root"/etc/systemd/system/*.{wants,requires}
for unit in getty.target systemd-logind.service systemd-networkd.service systemd-timesyncd.service \
  systemd-resolved.service systemd-udevd.service apt-daily.timer apt-daily-upgrade.timer; do
  ln -sfn /dev/null "$root/etc/systemd/system/$unit"
done
mkdir -p "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=volatile\nReadKMsg=no\nRateLimitBurst=0\n' >"$root/etc/systemd/journald.conf.d/box.conf"

mkdir "$root/run/before"
cd "$root"
pivot_root . run/before
umount -l /run/before
mount --make-rshared /
exec env -i container=inspectd-test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
  /lib/systemd/systemd --system --unit=multi-user.target --log-target=journal --show-status=0
