"""Who calls: users with their privileges, and the sessions that they have.

Privileges are given on an object and hold below it, as a vCenter permission that propagates does:
https://techdocs.broadcom.com/us/en/vmware-cis/vsphere/vsphere/8-0/vsphere-security.html
"""

import secrets
import time
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from providers.sandbox.vsphere.inventory import Datastore, Network, Node
from providers.sandbox.vsphere.refusals import no_permission, refusal

# Every role has these but the one named "No access".
SYSTEM: Final = frozenset({"System.Anonymous", "System.Read", "System.View"})
EVERYTHING: Final = None

Privileges = Collection[str] | None


@dataclass
class User:
    """A user; `privileges` hold everywhere (None is all of them), `permissions` by managed object id and below it."""

    name: str
    password: str = field(repr=False)
    privileges: Privileges = EVERYTHING
    permissions: dict[str, Privileges] = field(default_factory=dict)

    def may(self, node: Node | None, privilege: str) -> bool:
        """Whether the user has a privilege on an entity, or, with none, on the server."""
        held = self._held(node)
        return held is None or privilege in held

    def _held(self, node: Node | None) -> Privileges:
        if node is not None and self.permissions:
            for above in node.above():
                if above.moid in self.permissions:
                    return self.permissions[above.moid]
        return None if self.privileges is None else {*self.privileges, *SYSTEM}


@dataclass(eq=False)
class Session:
    """One session; its cookie is what a client shows. What it owns ends with it."""

    user: User
    address: str
    agent: str
    cookie: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)
    key: str = field(default_factory=lambda: f"52{uuid.uuid4()}"[:36])
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    active_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    last_used: float = field(default_factory=time.monotonic)
    calls: int = 0
    views: dict[str, Any] = field(default_factory=dict)
    collectors: dict[str, Any] = field(default_factory=dict)
    pages: dict[str, Any] = field(default_factory=dict)

    def check(self, node: Node, privilege: str) -> None:
        """Refuse what the user lacks a privilege on an entity for."""
        if not self.user.may(node, privilege):
            raise no_permission(node.ref, privilege)

    def touch(self) -> None:
        """Note a call."""
        self.calls += 1
        self.last_used, self.active_at = time.monotonic(), datetime.now(UTC)


class Accounts:
    """The users that there are, and the sessions that are open. Not thread-safe."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.logins = 0
        self.failed_logins = 0
        self._users: dict[str, User] = {}

    def add_user(self, name: str, password: str, privileges: Privileges = EVERYTHING) -> None:
        """Add a user, or give one another password or other privileges."""
        self._users[name.lower()] = User(name, password, privileges)

    def user(self, name: str) -> User:
        """A user that there is; raises `KeyError`."""
        return self._users[name.lower()]

    def log_in(self, name: str, password: str, address: str, agent: str) -> Session:
        """A new session; vSphere does not say what was wrong."""
        user = self._users.get(name.lower())
        if user is None or not secrets.compare_digest(user.password.encode(), password.encode()):
            self.failed_logins += 1
            raise refusal("InvalidLogin")
        self.logins += 1
        session = Session(user, address, agent)
        self.sessions[session.cookie] = session
        return session

    def session(self, cookie: str, idle_seconds: float) -> Session | None:
        """The session of a cookie, unless it has been idle for so long."""
        session = self.sessions.get(cookie)
        if session is not None and time.monotonic() - session.last_used >= idle_seconds:
            del self.sessions[cookie]
            return None
        return session

    def end(self, session: Session) -> None:
        """Log out."""
        self.sessions.pop(session.cookie, None)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self.sessions.values()))


# What only `System.View` is needed to read; all else takes `System.Read`.
VIEWED: Final = frozenset({"name", "parent", "effectiveRole", "childEntity", "childType", "vmFolder", "hostFolder"})


def reading_privilege(path: str) -> str:
    """The privilege that reading a property takes."""
    return "System.View" if path.partition(".")[0] in VIEWED else "System.Read"


def check_placement(
    session: Session, pool: Node, datastores: Collection[Datastore], networks: Collection[Network]
) -> None:
    """Refuse to put a VM where the caller may not: pool, datastores and networks each have their privilege."""
    session.check(pool, "Resource.AssignVMToPool")
    for datastore in datastores:
        session.check(datastore, "Datastore.AllocateSpace")
    for network in networks:
        session.check(network, "Network.Assign")
