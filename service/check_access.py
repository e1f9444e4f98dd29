"""With whose eyes `check` looks: those of the service's user where root asks and that user exists, else our own."""

import grp
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Self

READ, WRITE, SEARCH = 4, 2, 1
SERVICE_USER = "voicemaild"
PBX_GROUP = "asterisk"


@dataclass(frozen=True, slots=True)
class Eyes:
    """A user, and by permission bits and groups what that user may do with a path."""

    user: str
    uid: int
    groups: frozenset[int]

    @classmethod
    def own(cls) -> Self:
        """Those of this process."""
        uid = os.geteuid()
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:  # a container's made-up user
            name = f"uid {uid}"
        return cls(name, uid, frozenset({os.getegid(), *os.getgroups()}))

    @classmethod
    def of(cls, name: str) -> Self | None:
        """Those of another user; None where there is none of this name."""
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            return None
        return cls(name, entry.pw_uid, frozenset(os.getgrouplist(name, entry.pw_gid)))

    def may(self, path: Path, wanted: int) -> bool:
        """Whether READ, WRITE, SEARCH, or a sum of them, is permitted on this path itself; raises OSError."""
        if self.uid == os.geteuid():
            return os.access(path, wanted, effective_ids=True)
        info = path.stat()
        if self.uid == 0 or "system.posix_acl_access" in os.listxattr(path):  # an ACL says more than the bits do
            return True
        shift = 6 if info.st_uid == self.uid else 3 if info.st_gid in self.groups else 0
        return (stat.S_IMODE(info.st_mode) >> shift) & wanted == wanted

    def stopped_at(self, path: Path, wanted: int) -> Path | None:
        """The first part of an absolute path that is in this user's way; None where all of it can be used."""
        for part in reversed(path.parents):
            if not self.may(part, SEARCH):
                return part
        return None if self.may(path, wanted) else path


def whose() -> Eyes:
    """The eyes to look with."""
    own = Eyes.own()
    return (Eyes.of(SERVICE_USER) or own) if own.uid == 0 else own


def group_of(info: os.stat_result) -> str:
    """The name, or else the number, of the group a path belongs to."""
    try:
        return grp.getgrgid(info.st_gid).gr_name
    except KeyError:
        return str(info.st_gid)


def shown(info: os.stat_result) -> str:
    """What stands in the way, as `ls -l` shows it: mode and group."""
    return f"{stat.filemode(info.st_mode)}, group {group_of(info)}"


def letting_in(eyes: Eyes, path: Path, info: os.stat_result) -> str:
    """What an administrator has to do so that this user may read a path which is closed to it."""
    wanted = READ | SEARCH if stat.S_ISDIR(info.st_mode) else READ
    steps = []
    if info.st_gid == 0:  # a member of root's group could read more than it should
        steps.append(f"chgrp {PBX_GROUP} {path}")
    elif info.st_gid not in eyes.groups:
        steps.append(f"usermod -aG {group_of(info)} {eyes.user}")
    if (info.st_mode >> 3) & wanted != wanted:
        steps.append(f"chmod g+rX {path}")
    return ", ".join((*steps, "then restart the service")) if steps else f"look at who may read it: ls -ld {path}"
