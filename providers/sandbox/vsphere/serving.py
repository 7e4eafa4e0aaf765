"""ServiceInstance, SessionManager, ViewManager, SearchIndex and AuthorizationManager: who is there, and what."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from pyVmomi import vim, vmodl

from providers.sandbox.vsphere.calls import Call
from providers.sandbox.vsphere.files import DatastorePath
from providers.sandbox.vsphere.inventory import Datacenter, Node
from providers.sandbox.vsphere.lookup import subject
from providers.sandbox.vsphere.machines import Machine
from providers.sandbox.vsphere.metadata import moid_of
from providers.sandbox.vsphere.refusals import not_found, refusal
from providers.sandbox.vsphere.service_views import ListView, View, content, user_session


def retrieve_content(call: Call) -> Any:
    """RetrieveServiceContent."""
    return content(call.world)


def current_time(call: Call) -> Any:
    """CurrentTime."""
    return datetime.now(UTC) + timedelta(seconds=call.world.knobs.clock_seconds)


def log_in(call: Call) -> Any:
    """Login: a session, whose cookie comes with the answer; one that is logged in already is refused."""
    if call.session is not None:
        raise refusal("InvalidLogin")
    session = call.world.accounts.log_in(call["userName"], call["password"], call.address, call.agent)
    call.new_cookie = session.cookie
    return user_session(session)


def log_out(call: Call) -> None:
    """Logout: the session's views and filters go with it."""
    call.world.accounts.end(call.caller)


def session_is_active(call: Call) -> bool:
    """SessionIsActive: whether a session is open, asked by one who may ask."""
    call.check(_root(call), "Sessions.ValidateSession")
    wanted = (call["sessionID"], call["userName"])
    return any((session.key, session.user.name) == wanted for session in call.world.accounts)


def terminate(call: Call) -> None:
    """TerminateSession: end others' sessions."""
    call.check(_root(call), "Sessions.TerminateSession")
    open_sessions = {session.key: session for session in call.world.accounts}
    for key in call["sessionId"]:
        if key not in open_sessions:
            raise refusal("NotFound")
        call.world.accounts.end(open_sessions[key])


def create_container_view(call: Call) -> Any:
    """CreateContainerView."""
    container = subject(call.world, call.caller, call["container"])
    if not isinstance(container, Node):
        raise not_found(call["container"])
    call.check(container, "System.View")
    ref = vim.view.ContainerView(f"session[{call.caller.key}]{uuid.uuid4()}")
    view = View(ref, container, tuple(call["type"] or ()), call["recursive"])
    call.caller.views[moid_of(ref)] = view
    return ref


def create_list_view(call: Call) -> Any:
    """CreateListView."""
    ref = vim.view.ListView(f"session[{call.caller.key}]{uuid.uuid4()}")
    call.caller.views[moid_of(ref)] = ListView(ref, list(call["obj"] or ()))
    return ref


def modify_list_view(call: Call) -> list[Any]:
    """ModifyListView: returns what could not be added, as there is no such object."""
    view, unknown = _list_view(call), _unknown(call, call["add"])
    removed = call["remove"] or ()
    view.members = [member for member in view.members if member not in removed]
    view.members += [ref for ref in call["add"] or () if ref not in [*unknown, *view.members]]
    return unknown


def reset_list_view(call: Call) -> list[Any]:
    """ResetListView: returns what could not be added, as there is no such object."""
    view, unknown = _list_view(call), _unknown(call, call["obj"])
    view.members = [ref for ref in call["obj"] or () if ref not in unknown]
    return unknown


def destroy_view(call: Call) -> None:
    """DestroyView."""
    if call.caller.views.pop(moid_of(call.this), None) is None:
        raise not_found(call.this)


def find_by_uuid(call: Call) -> Any:
    """FindByUuid: a VM by its BIOS or instance UUID; one of them when several have the same."""
    return next((machine.ref for machine in _by_uuid(call)), None)


def find_all_by_uuid(call: Call) -> list[Any]:
    """FindAllByUuid."""
    return [machine.ref for machine in _by_uuid(call)]


def find_by_inventory_path(call: Call) -> Any:
    """FindByInventoryPath: such as `Datacenter/vm/folder/name`; a slash in a name is written `%2f`."""
    node: Node | None = _root(call)
    for name in call["inventoryPath"].strip("/").split("/"):
        node = _child(call, node, unquote(name)) if node is not None else None
    return node.ref if node is not None else None


def find_child(call: Call) -> Any:
    """FindChild."""
    child = _child(call, call.world.find(call["entity"], Node), call["name"])
    return child.ref if child is not None else None


def find_by_datastore_path(call: Call) -> Any:
    """FindByDatastorePath: a VM by its configuration file."""
    path = DatastorePath.parse(call["path"])
    datastore = call.world.datastore(call.world.datacenter(call["datacenter"]), path.datastore)
    found = (machine for machine in call.world.machines() if machine.datastore is datastore)
    return next((machine.ref for machine in found if machine.vmx_path == path.path and _may_see(call, machine)), None)


def has_privileges(call: Call) -> list[Any]:
    """HasPrivilegeOnEntities: what a session's user may do."""
    users = {session.key: session.user for session in call.world.accounts}
    if call["sessionId"] not in users:
        raise refusal("InvalidArgument", invalidProperty="sessionId")
    answers = []
    for entity in call["entity"]:
        node = call.world.find(entity, Node)
        held = [
            vim.AuthorizationManager.PrivilegeAvailability(
                privId=privilege, isGranted=users[call["sessionId"]].may(node, privilege)
            )
            for privilege in call["privId"] or ()
        ]
        answers.append(vim.AuthorizationManager.EntityPrivilege(entity=entity, privAvailability=held))
    return answers


def _list_view(call: Call) -> ListView:
    view = call.caller.views.get(moid_of(call.this))
    if not isinstance(view, ListView):
        raise not_found(call.this)
    return view


def _unknown(call: Call, refs: Any) -> list[Any]:
    unknown = []
    for ref in refs or ():
        try:
            subject(call.world, call.caller, ref)
        except vmodl.fault.ManagedObjectNotFound:
            unknown.append(ref)
    return unknown


def _root(call: Call) -> Node:
    return call.world.find(call.world.service_ref("rootFolder", vim.Folder), Node)


def _by_uuid(call: Call) -> Iterator[Machine]:
    datacenter = call.world.find(call["datacenter"], Datacenter) if call["datacenter"] is not None else None
    wanted = call["uuid"].lower()
    for machine in call.world.machines() if call["vmSearch"] else ():
        found = machine.instance_uuid if call["instanceUuid"] else machine.bios_uuid
        if found == wanted and datacenter in {None, machine.datacenter} and _may_see(call, machine):
            yield machine


def _child(call: Call, parent: Node, name: str) -> Node | None:
    return next((child for child in parent.children if child.name == name and _may_see(call, child)), None)


def _may_see(call: Call, node: Node) -> bool:
    return call.caller.user.may(node, "System.View")
