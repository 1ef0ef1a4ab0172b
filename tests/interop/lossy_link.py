#!/usr/bin/env python3
"""Two network namespaces joined by a link that loses and delays packets.

    with lossy_link(loss=0.01, delay=0.025, seed=1) as link:
        link.popen("a", [...]); link.popen("b", [...])      # 10.77.0.1 is a, 10.77.0.2 is b

Each namespace has a TUN device, and this process carries packets from one to the other. Needs root and /dev/net/tun.
"""
import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
CLONE_NEWNET = 0x40000000
QUEUE_MAX = 4000  # packets on their way; more are lost, as in a router


class lossy_link:
    address = {"a": "10.77.0.1", "b": "10.77.0.2"}

    def __init__(self, loss=0.0, delay=0.0, seed=1):
        self.loss, self.delay, self.random = loss, delay, random.Random(seed)
        self.names = {side: f"moql-{os.getpid()}-{side}" for side in "ab"}
        self.sent = self.lost = 0

    def __enter__(self):
        self.tun = {}
        try:
            for side, name in self.names.items():
                subprocess.run(["ip", "netns", "add", name], check=True)
                self.tun[side] = self.open_tun(name)
                for command in (["link", "set", "lo", "up"], ["address", "add", self.address[side] + "/24", "dev", "moql0"],
                                ["link", "set", "moql0", "mtu", "1500", "up"]):
                    subprocess.run(["ip", "-n", name, *command], check=True)
        except BaseException:
            self.clean()
            raise
        self.is_over = False
        self.carrier = threading.Thread(target=self.carry, daemon=True)
        self.carrier.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.carrier.join()
        self.clean()

    def clean(self):
        for fd in self.tun.values():
            os.close(fd)
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], capture_output=True)

    def popen(self, side, command, **how):
        return subprocess.Popen(["ip", "netns", "exec", self.names[side], *command], **how)

    @staticmethod
    def open_tun(name):
        """A TUN device made inside a namespace, by a thread that enters it and is gone."""
        out = []

        def inside():
            with open(f"/run/netns/{name}") as there:
                if ctypes.CDLL(None, use_errno=True).setns(there.fileno(), CLONE_NEWNET) != 0:
                    return out.append(OSError(ctypes.get_errno(), "setns"))
            fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"moql0", IFF_TUN | IFF_NO_PI))
            out.append(fd)

        t = threading.Thread(target=inside)
        t.start()
        t.join()
        if not out or isinstance(out[0], OSError):
            raise out[0] if out else OSError("no TUN device")
        return out[0]

    def carry(self):
        waiting, number = [], 0
        other = {self.tun["a"]: self.tun["b"], self.tun["b"]: self.tun["a"]}
        while not self.is_over:
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                _, _, to, packet = heapq.heappop(waiting)
                try:
                    os.write(to, packet)
                except OSError:
                    pass
            pause = min(0.1, max(0.0, waiting[0][0] - now)) if waiting else 0.1
            for fd in select.select(list(other), [], [], pause)[0]:
                for _ in range(64):
                    try:
                        packet = os.read(fd, 2048)
                    except OSError:
                        break
                    self.sent += 1
                    if self.random.random() < self.loss or len(waiting) >= QUEUE_MAX:
                        self.lost += 1
                        continue
                    number += 1
                    heapq.heappush(waiting, (time.monotonic() + self.delay, number, other[fd], packet))
