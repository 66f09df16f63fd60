#!/bin/bash
# Becomes a systemd of its own: boot.sh FOLDER CHECKOUT LIBRARIES VERSION. Run by box.py in fresh namespaces; everything
# that is mounted here ends with them. FOLDER gets a throw-away overlay of /, in which CHECKOUT is copied to
# /opt/inspectd and gets a virtual environment of the system's Python VERSION, whose packages are those in LIBRARIES.
set -euo pipefail
folder=$1 checkout=$2 libraries=$3 version=$4
umask 022

mount -t tmpfs -o mode=755 box "$folder"
mkdir "$folder"/{upper,work,root}
mount -t overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" box "$folder/root"
root=$folder/root
[ -z "$checkout" ] && exit 0 # only asked whether this machine lets us

# Whatever this machine has of inspectd is not to be seen in the box.
rm -rf "$root"/opt/inspectd "$root"/etc/inspectd "$root"/var/lib/inspectd "$root"/etc/systemd/system/inspectd.service{,.d} \
  "$root"/usr/local/bin/inspectd
mkdir -p "$root"/opt/inspectd/.venv/bin "$root/opt/inspectd/.venv/lib/python$version/site-packages" "$root"/opt/libraries
cp -r "$checkout"/{inspectd,migrations,config.yaml,systemd} "$root/opt/inspectd/"
venv=$root/opt/inspectd/.venv
# As pip lays it out, without a download: the package itself first, then the libraries of the tests' own environment.
cp -r "$checkout/inspectd" "$venv/lib/python$version/site-packages/"
cp -r "$checkout"/{migrations,config.yaml} "$venv/lib/python$version/site-packages/inspectd/"
echo /opt/libraries >"$venv/lib/python$version/site-packages/libraries.pth"
printf 'home = /usr/bin\ninclude-system-site-packages = false\n' >"$venv/pyvenv.cfg"
ln -s /usr/bin/python3 "$venv/bin/python"
printf '#!/opt/inspectd/.venv/bin/python\nfrom inspectd.cli.main import main\n\nmain()\n' >"$venv/bin/inspectd"
chmod 755 "$venv/bin/inspectd"
mount --bind "$libraries" "$root/opt/libraries"
mount -o remount,bind,ro "$root/opt/libraries"

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
