"""The properties of what is no entity: the service, sessions, views, tasks and browsers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from pyVmomi import VmomiSupport, vim, vmodl

from providers.sandbox.vsphere.accounts import Session
from providers.sandbox.vsphere.inventory import Node
from providers.sandbox.vsphere.naming import NAMESPACE, SERVICE_IDS, Kind
from providers.sandbox.vsphere.shapes import Getter, Shape
from providers.sandbox.vsphere.tasks import Task
from providers.sandbox.vsphere.world import World

BUILD: Final = "24022510"
SERVER_UUID: Final = "00000000-0000-4000-8000-0000000000fc"
SERVICE_TYPES: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "sessionManager": vim.SessionManager,
        "propertyCollector": vmodl.query.PropertyCollector,
        "viewManager": vim.view.ViewManager,
        "searchIndex": vim.SearchIndex,
        "fileManager": vim.FileManager,
        "virtualDiskManager": vim.VirtualDiskManager,
        "taskManager": vim.TaskManager,
        "authorizationManager": vim.AuthorizationManager,
        "rootFolder": vim.Folder,
    }
)


@dataclass(frozen=True)
class Service:
    """The server as a caller sees it."""

    world: World
    session: Session | None


@dataclass(frozen=True, eq=False)
class View:
    """A container view: what there is of some types in a container now."""

    ref: Any
    container: Node
    types: tuple[Any, ...]
    is_recursive: bool

    def members(self) -> list[Any]:
        """The references of what is in it."""
        nodes = self.container.below() if self.is_recursive else iter(self.container.children)
        wanted = self.types or (vim.ManagedEntity,)
        return [node.ref for node in nodes if isinstance(node.ref, wanted)]


@dataclass(eq=False)
class ListView:
    """A view of the objects that a client named."""

    ref: Any
    members: list[Any]


def about(world: World) -> Any:
    """What kind of server this is, and of which version."""
    version = world.versions.id
    product = ".".join(version.split(".")[:3])
    common = {"vendor": "VMware, Inc.", "version": product, "build": BUILD, "apiVersion": version}
    if world.kind is Kind.ESXI:
        return vim.AboutInfo(
            name="VMware ESXi",
            fullName=f"VMware ESXi {product} build-{BUILD}",
            osType="vmnix-x86",
            productLineId="embeddedEsx",
            apiType="HostAgent",
            **common,
        )
    return vim.AboutInfo(
        name="VMware vCenter Server",
        fullName=f"VMware vCenter Server {product} build-{BUILD}",
        osType="linux-x64",
        productLineId="vpx",
        apiType="VirtualCenter",
        instanceUuid=SERVER_UUID,
        **common,
    )


def content(world: World) -> Any:
    """Where everything is."""
    refs = {name: SERVICE_TYPES[name](moid) for name, moid in SERVICE_IDS[world.kind].items()}
    return vim.ServiceInstanceContent(about=about(world), **refs)


def user_session(session: Session) -> Any:
    """A session as clients see it."""
    return vim.UserSession(
        key=session.key,
        userName=session.user.name,
        fullName=session.user.name,
        loginTime=session.began_at,
        lastActiveTime=session.active_at,
        locale="en",
        messageLocale="en",
        extensionSession=False,
        ipAddress=session.address,
        userAgent=session.agent,
        callCount=session.calls,
    )


def _current_session(service: Service) -> Any:
    return user_session(service.session) if service.session is not None else None


def _session_list(service: Service) -> list[Any]:
    return [user_session(session) for session in service.world.accounts]


def _recent_tasks(service: Service) -> list[Any]:
    tasks = list(service.world.tasks.all.values())
    return [task.ref for task in tasks if not task.is_over or task in tasks[-10:]]


def _method(task: Task) -> Any:
    return VmomiSupport.GetWsdlMethod(NAMESPACE, task.method)


SERVICE_INSTANCE: Final[Mapping[str, Getter | Shape]] = {
    "serverClock": lambda _: datetime.now(UTC),
    "content": lambda service: content(service.world),
}
SESSION_MANAGER: Final[Mapping[str, Getter | Shape]] = {
    "sessionList": _session_list,
    "currentSession": _current_session,
    "defaultLocale": lambda _: "en",
    "supportedLocaleList": lambda _: ["en"],
    "messageLocaleList": lambda _: ["en"],
}
TASK: Final[Mapping[str, Getter | Shape]] = {
    "info": Shape(
        vim.TaskInfo,
        {
            "key": lambda task: task.moid,
            "task": lambda task: task.ref,
            "name": _method,
            "descriptionId": lambda task: task.description_id,
            "entity": lambda task: task.entity.ref if task.entity else None,
            "entityName": lambda task: task.entity_name,
            "state": lambda task: task.state.value,
            "cancelled": lambda task: task.is_cancelled,
            "cancelable": lambda task: task.is_cancelable,
            "error": lambda task: task.error,
            "result": lambda task: task.result,
            "progress": lambda task: task.progress,
            "reason": lambda task: vim.TaskReasonUser(userName=task.user),
            "queueTime": lambda task: task.queued_at,
            "startTime": lambda task: task.started_at,
            "completeTime": lambda task: task.ended_at,
            "eventChainId": lambda _: 0,
        },
    )
}
VIEW: Final[Mapping[str, Getter | Shape]] = {
    "view": lambda view: view.members(),
    "container": lambda view: view.container.ref,
    "type": lambda view: list(view.types),
    "recursive": lambda view: view.is_recursive,
}
SERVICE_SHAPES: Final[Mapping[Any, Mapping[str, Getter | Shape]]] = MappingProxyType(
    {
        vim.ServiceInstance: SERVICE_INSTANCE,
        vim.SessionManager: SESSION_MANAGER,
        vim.Task: TASK,
        vim.TaskManager: {"recentTask": _recent_tasks, "maxCollector": lambda _: 32},
        vim.view.ViewManager: {
            "viewList": lambda service: [view.ref for view in service.session.views.values()],
        },
        vim.view.ContainerView: VIEW,
        vim.view.ListView: {"view": lambda view: list(view.members)},
        vim.host.DatastoreBrowser: {"datastore": lambda browsed: [browsed.ref]},
    }
)
