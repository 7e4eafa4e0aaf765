"""A call of the API by somebody: its arguments, what the caller may do, and the task that it may begin."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pyVmomi import vim

from providers.sandbox.vsphere.accounts import Session
from providers.sandbox.vsphere.inventory import AnyNode, Node
from providers.sandbox.vsphere.metadata import moid_of
from providers.sandbox.vsphere.refusals import not_found, refusal
from providers.sandbox.vsphere.tasks import Task, Work
from providers.sandbox.vsphere.world import World

Check = Callable[[], object]


class PendingError(Exception):
    """There is nothing to answer yet: the call is to be made again in a while, until its deadline."""


@dataclass
class Call:
    """One call by somebody: a method of an object, with its arguments."""

    world: World
    method: str
    this: Any
    arguments: Mapping[str, Any] = field(repr=False)
    version: str
    session: Session | None
    cookie: str = field(default="", repr=False)
    address: str = ""
    agent: str = ""
    began: float = field(default_factory=time.monotonic)
    new_cookie: str | None = field(default=None, repr=False)

    def __getitem__(self, name: str) -> Any:
        """An argument; None when it was not given."""
        return self.arguments[name]

    @property
    def caller(self) -> Session:
        """The session; raises NotAuthenticated when there is none."""
        if self.session is None:
            raise refusal("NotAuthenticated", object=self.this, privilegeId="System.View")
        return self.session

    def node(self, kind: type[AnyNode]) -> AnyNode:
        """The entity that the method is of."""
        return self.world.find(self.this, kind)

    def check(self, node: Node, *privileges: str) -> None:
        """Refuse what the caller lacks any of these privileges on an entity for."""
        for privilege in privileges:
            self.caller.check(node, privilege)

    def fork(
        self,
        entity: Node | None,
        work: Work,
        *,
        check: Check | None = None,
        busy: tuple[Node, ...] = (),
        is_cancelable: bool = False,
    ) -> Any:
        """Begin a task of this method, and return its reference; `check` comes before all else that it does."""
        holders = [holder for node in busy if (holder := self.world.tasks.holder(node)) is not None]

        def checked() -> None:
            for holder in holders:
                if not holder.is_over:
                    raise refusal("TaskInProgress", task=holder.ref)
            if check is not None:
                check()

        if self.world.knobs.refuses_at_call:
            checked()
        task = self.world.tasks.fork(
            self.method,
            entity,
            _checked(checked, work),
            user=self.caller.user.name,
            session=self.caller.key,
            delay=self.world.knobs.queue_seconds,
            busy=busy,
            is_cancelable=is_cancelable,
        )
        return task.ref

    def task(self, ref: Any) -> Task:
        """A task; raises ManagedObjectNotFound."""
        task = self.world.tasks.all.get(moid_of(ref))
        if task is None or not isinstance(ref, vim.Task):
            raise not_found(ref)
        return task


def _checked(check: Check, work: Work) -> Work:
    check()
    return (yield from work)
