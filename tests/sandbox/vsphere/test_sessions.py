"""The vSphere simulator's door: versions, log-ins, sessions, privileges and what is answered to strangers."""

import http.client
import ssl
import time

import pytest
from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim, vmodl

from providers.sandbox.authority import Authority
from providers.sandbox.vsphere import CLUSTER, DATACENTER, PASSWORD, TEMPLATE, USER, VSphereSandbox
from tests.sandbox.vsphere.client import LEAVES, Client, refusal


def get(vcenter: VSphereSandbox, authority: Authority, path: str) -> tuple[int, bytes]:
    """A page of the server's."""
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    connection = http.client.HTTPSConnection("127.0.0.1", vcenter.server.port, context=context, timeout=10)
    connection.request("GET", path)
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer


def test_versions_are_listed_newest_first(vcenter: VSphereSandbox, authority: Authority) -> None:
    """As clients look for the newest that both know."""
    status, body = get(vcenter, authority, "/sdk/vimServiceVersions.xml")
    assert status == 200
    assert b"<name>urn:vim25</name><version>8.0.3.0</version>" in body
    assert b"<version>6.7</version>" in body
    assert b"9.0.0.0" not in body


@pytest.mark.parametrize(("path", "expected"), [("/", 404), ("/sdk", 405), ("/sdk/vimService.wsdl", 404)])
def test_other_pages_are_not_found(vcenter: VSphereSandbox, authority: Authority, path: str, expected: int) -> None:
    """There is no web client here."""
    assert get(vcenter, authority, path)[0] == expected


def test_smart_connect_negotiates_and_logs_in(vcenter: VSphereSandbox, authority: Authority) -> None:
    """Pyvmomi's own way in."""
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    port = vcenter.server.port
    instance = SmartConnect(host="127.0.0.1", port=port, user=USER, pwd=PASSWORD, sslContext=context)
    assert instance.content.about.apiType == "VirtualCenter"
    assert instance.CurrentTime() is not None
    assert vcenter.sessions() == (USER,)
    stub = instance._stub
    Disconnect(instance)
    stub.DropConnections()
    assert vcenter.sessions() == ()


def test_content_is_told_to_strangers(stranger: Client) -> None:
    """Where everything is, and what kind of server it is."""
    about = stranger.content.about
    assert (about.apiType, about.apiVersion, about.productLineId) == ("VirtualCenter", "8.0.3.0", "vpx")
    assert stranger.content.sessionManager.currentSession is None


def test_call_of_an_older_version_is_answered_in_its_words(vcenter: VSphereSandbox, authority: Authority) -> None:
    """What came later is left out, and cannot be asked for."""
    client = Client(vcenter, authority, version="vim25/5.5").log_in()
    assert client.one(client.vm(TEMPLATE), "config").firmware == "bios"
    with refusal(vmodl.query.InvalidProperty, name="config.sgxInfo"):
        client.read(client.vm(TEMPLATE), "config.sgxInfo")
    client.close()


def test_call_of_a_newer_version_is_taken_for_the_servers_own(vcenter: VSphereSandbox, authority: Authority) -> None:
    """Unless the server is one that refuses it."""
    client = Client(vcenter, authority, version="vim25/9.0.0.0")
    assert client.content.about.apiVersion == "8.0.3.0"
    vcenter.knobs.refuses_newer_versions = True
    with refusal(vmodl.fault.InvalidRequest, 'Unsupported version URI "urn:vim25/9.0.0.0"'):
        client.log_in()
    client.close()


def test_call_without_a_session_is_not_authenticated(vcenter: VSphereSandbox, stranger: Client) -> None:
    """Reading and writing alike."""
    with refusal(vim.fault.NotAuthenticated, "The session is not authenticated."):
        stranger.read(stranger.content.rootFolder, "name")
    with refusal(vim.fault.NotAuthenticated, privilegeId="System.View"):
        stranger.container_view(stranger.content.rootFolder)
    assert [call.status for call in vcenter.calls.list()] == [200, 500, 500]


def test_log_in_opens_a_session_that_log_out_ends(vcenter: VSphereSandbox, stranger: Client) -> None:
    """By the cookie that came with the log-in."""
    stranger.log_in()
    assert stranger.stub.cookie.startswith('vmware_soap_session="')
    current = stranger.content.sessionManager.currentSession
    assert (current.userName, current.ipAddress) == (USER, "127.0.0.1")
    assert (vcenter.logins, vcenter.sessions()) == (1, (USER,))
    stranger.content.sessionManager.Logout()
    assert vcenter.sessions() == ()
    with refusal(vim.fault.NotAuthenticated):
        stranger.content.sessionManager.Logout()


def test_log_in_again_on_a_session_is_refused(vcenter: VSphereSandbox, user: Client) -> None:
    """A session is of one user."""
    with refusal(vim.fault.InvalidLogin):
        user.log_in()
    assert vcenter.logins == 1


@pytest.mark.parametrize(("name", "password"), [(USER, "wrong"), ("nobody@sandbox", PASSWORD), (USER, "")])
def test_log_in_with_wrong_credentials_is_refused(
    vcenter: VSphereSandbox, stranger: Client, name: str, password: str
) -> None:
    """One answer for all of them, and each is counted."""
    with refusal(vim.fault.InvalidLogin, "Cannot complete login due to an incorrect user name or password."):
        stranger.log_in(name, password)
    assert (vcenter.logins, vcenter.failed_logins, vcenter.sessions()) == (0, 1, ())


def test_dropped_sessions_are_not_authenticated_until_the_next_log_in(vcenter: VSphereSandbox, user: Client) -> None:
    """As after a restart of the server."""
    vcenter.drop_sessions()
    with refusal(vim.fault.NotAuthenticated):
        user.read(user.content.rootFolder, "name")
    assert user.content.sessionManager.currentSession is None
    assert user.log_in().one(user.content.rootFolder, "name") == "Datacenters"


def test_session_that_is_idle_for_too_long_ends(vcenter: VSphereSandbox, user: Client) -> None:
    """Each call makes it young again."""
    manager = user.content.sessionManager
    assert manager.currentSession.lastActiveTime < manager.currentSession.lastActiveTime
    vcenter.knobs.session_seconds = 0.05
    time.sleep(0.1)
    with refusal(vim.fault.NotAuthenticated):
        user.read(user.content.rootFolder, "name")
    assert vcenter.sessions() == ()


def test_session_of_another_cannot_be_ended_without_the_privilege(
    vcenter: VSphereSandbox, authority: Authority, user: Client
) -> None:
    """TerminateSession is for those who may; a session that there is not is not found."""
    vcenter.add_user("low@sandbox", "low", privileges=())
    low = Client(vcenter, authority).log_in("low@sandbox", "low")
    key = user.content.sessionManager.currentSession.key
    with refusal(vim.fault.NoPermission, privilegeId="Sessions.TerminateSession"):
        low.content.sessionManager.TerminateSession([key])
    low_key = low.content.sessionManager.currentSession.key
    user.content.sessionManager.TerminateSession([low_key])
    with refusal(vim.fault.NotFound):
        user.content.sessionManager.TerminateSession([low_key])
    assert vcenter.sessions() == (USER,)
    low.close()


def test_caller_without_a_privilege_is_refused_by_object_and_name(
    vcenter: VSphereSandbox, authority: Authority
) -> None:
    """What it can read, it cannot start."""
    (vm_id,) = vcenter.seed(1, state="stopped")
    vcenter.add_user("low@sandbox", "low", privileges={"VirtualMachine.Interact.PowerOff"})
    low = Client(vcenter, authority).log_in("low@sandbox", "low")
    vm = low.vm("vm-0001")
    with refusal(vim.fault.NoPermission, object=vm, privilegeId="VirtualMachine.Interact.PowerOn"):
        vm.PowerOnVM_Task()
    with refusal(vim.fault.InvalidPowerState):
        low.done(vm.PowerOffVM_Task())
    assert vcenter.vm(vm_id).power_state == "poweredOff"
    low.close()


def test_property_that_may_not_be_read_is_missing_with_the_reason(
    vcenter: VSphereSandbox, authority: Authority
) -> None:
    """The name takes System.View alone; what is unset is no more than absent."""
    vcenter.seed(1)
    vcenter.add_user("low@sandbox", "low", privileges=())
    vcenter.set_permission("low@sandbox", "vm-0001", ["System.View"])
    low = Client(vcenter, authority).log_in("low@sandbox", "low")
    (content,) = [
        found
        for found in low.contents(low.view(vim.VirtualMachine), [(vim.VirtualMachine, LEAVES)])
        if found.propSet[0].val == "vm-0001"
    ]
    assert [changed.name for changed in content.propSet] == ["name"]
    assert [missing.path for missing in content.missingSet] == list(LEAVES[1:])
    fault = content.missingSet[0].fault
    assert (type(fault), fault.privilegeId, fault.object) == (vim.fault.NoPermission, "System.Read", content.obj)
    low.close()


def test_object_that_may_not_be_seen_is_in_no_view(vcenter: VSphereSandbox, authority: Authority) -> None:
    """Nor found by its UUID."""
    (vm_id,) = vcenter.seed(1, folder="Production")
    vcenter.add_user("low@sandbox", "low", privileges=())
    vcenter.set_permission("low@sandbox", "Production", ())
    low = Client(vcenter, authority).log_in("low@sandbox", "low")
    assert set(low.all(vim.VirtualMachine)) == {"debian-12", "golden"}
    assert low.find(vm_id) is None
    low.close()


def test_privileges_can_be_asked_for(vcenter: VSphereSandbox, authority: Authority) -> None:
    """HasPrivilegeOnEntities."""
    vcenter.add_user("low@sandbox", "low", privileges={"Datastore.Browse"})
    low = Client(vcenter, authority).log_in("low@sandbox", "low")
    datastore, key = low.first(vim.Datastore), low.content.sessionManager.currentSession.key
    asked = ["Datastore.Browse", "Datastore.FileManagement", "System.Read"]
    (held,) = low.content.authorizationManager.HasPrivilegeOnEntities([datastore], key, asked)
    assert [privilege.isGranted for privilege in held.privAvailability] == [True, False, True]
    low.close()


def test_method_that_is_not_simulated_is_unknown(user: Client) -> None:
    """As vSphere answers a method that it has not."""
    with refusal(vmodl.fault.InvalidRequest, "Unable to resolve WSDL method name QueryChangedDiskAreas"):
        user.vm(TEMPLATE).QueryChangedDiskAreas(None, 2000, 0, "*")


def test_method_of_another_type_of_object_finds_none(user: Client) -> None:
    """A folder cannot be started."""
    folder = vim.VirtualMachine(user.vm_folder()._moId, user.stub)
    with refusal(vmodl.fault.ManagedObjectNotFound, obj=folder):
        folder.PowerOnVM_Task()


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"nonsense", "expat parser"),
        (b"<x/>", "parsing SOAP envelope"),
        (b'<Fly xmlns="urn:vim25"><_this type="Folder">f</_this></Fly>', "method name Fly"),
        (b'<Logout xmlns="urn:vim25"/>', '"_this" is missing'),
        (b'<Logout xmlns="urn:vim25"><_this type="Folder">f</_this><fast>1</fast></Logout>', 'element tag "fast"'),
        (b'<Login xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this></Login>', "userName"),
        (b'<DestroyView xmlns="urn:vim25"><_this type="Nothing">x</_this></DestroyView>', "_this"),
    ],
)
def test_request_that_cannot_be_read_is_invalid(
    vcenter: VSphereSandbox, authority: Authority, body: bytes, complaint: str
) -> None:
    """A fault that says what was wrong, and nothing has happened."""
    if body.startswith(b"<") and b"urn:vim25" in body:
        soap = b"http://schemas.xmlsoap.org/soap/envelope/"
        body = b'<e:Envelope xmlns:e="' + soap + b'"><e:Body>' + body + b"</e:Body></e:Envelope>"
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    connection = http.client.HTTPSConnection("127.0.0.1", vcenter.server.port, context=context, timeout=10)
    connection.request("POST", "/sdk", body, {"SOAPAction": "urn:vim25/8.0.3.0", "Content-Type": "text/xml"})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    assert response.status == 500
    assert response.headers["Content-Type"].startswith("text/xml")
    assert "<faultcode>ServerFaultCode</faultcode>" in text
    assert '<InvalidRequestFault xmlns="urn:vim25" xsi:type="InvalidRequest">' in text
    assert complaint in text


def test_names_of_the_start_are_there(user: Client) -> None:
    """One datacenter with a cluster of two hosts, two datastores, two networks, a nested folder and a pool."""
    assert set(user.all(vim.Datacenter)) == {DATACENTER}
    assert set(user.all(vim.ComputeResource)) == {CLUSTER}
    assert set(user.all(vim.HostSystem)) == {"esx1.sandbox", "esx2.sandbox"}
    assert set(user.all(vim.Datastore)) == {"datastore1", "datastore2"}
    assert {name: type(ref) for name, ref in user.all(vim.Network).items()} == {
        "VM Network": vim.Network,
        "DPortGroup1": vim.dvs.DistributedVirtualPortgroup,
    }
    assert set(user.all(vim.ResourcePool)) == {"Resources", "Pool1"}
    assert {"Production", "Web"} <= set(user.all(vim.Folder))
    assert set(user.all(vim.VirtualMachine)) == {"debian-12", "golden"}


def test_session_ends_with_its_views_and_pages(vcenter: VSphereSandbox, user: Client) -> None:
    """A view is its session's own."""
    start = user.view(vim.VirtualMachine)
    vcenter.drop_sessions()
    user.log_in()
    with refusal(vmodl.fault.ManagedObjectNotFound):
        user.contents(start, [(vim.VirtualMachine, ("name",))])
    with refusal(vmodl.fault.InvalidArgument, invalidProperty="token"):
        user.content.propertyCollector.ContinueRetrievePropertiesEx("0")
