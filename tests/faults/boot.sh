#!/bin/sh
# Boots a machine: namespaces of its own, this machine's files below, what is written in a folder of its own, systemd as process 1.
# boot.sh WHERE STAGE   WHERE holds `files` (what lies above this machine's files); STAGE is seen as it is.
set -eu
where=$1 stage=$2
mount --make-rprivate /
mkdir -p "$where/work" "$where/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$where/files,workdir=$where/work" "$where/root"
cd "$where/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs tmpfs run
# It empties its /tmp as it boots, and this machine's may hold a million files.
mount -t tmpfs tmpfs tmp
mount --rbind /dev dev
mkdir -p ".$stage"
mount --bind "$stage" ".$stage"
mount -t tmpfs cgroup sys/fs/cgroup -o mode=755
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  umount sys/fs/cgroup
  mount -t cgroup2 cgroup2 sys/fs/cgroup
else
  for controller in memory pids cpu; do
    mkdir "sys/fs/cgroup/$controller"
    mount -t cgroup cgroup "sys/fs/cgroup/$controller" -o "$controller"
  done
  mkdir sys/fs/cgroup/systemd
  mount -t cgroup cgroup sys/fs/cgroup/systemd -o none,name=systemd
fi
exec chroot . /usr/bin/env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --system --log-target=console --show-status=0
