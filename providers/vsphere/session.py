"""A session on vCenter or ESXi: logged in once, renewed once when the server dropped it, logged out at the end."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pyVmomi import VmomiSupport, vim, vmodl

from providers.credentials import Credentials
from providers.deadline import unhurried
from providers.domain import Environment
from providers.errors import BackendFailureError, BackendReply, ProviderError
from providers.login_throttle import credentials_accepted
from providers.network import Network
from providers.vsphere.soap import CLOUD_NAME, FaultError, SoapStub

if TYPE_CHECKING:
    from pyVmomi.VmomiSupport import ManagedObject

_logger = logging.getLogger("cloudvm.vsphere")

_COOKIE = re.compile(r'vmware_soap_session="?[^;,"]+"?')
# Not to be repeated in a new session: what belongs to none, and a page, whose token ended with the old one.
_OUTSIDE: Final = frozenset({"RetrieveServiceContent", "Login", "Logout", "ContinueRetrievePropertiesEx"})


class Session(SoapStub):
    """The stub of pyvmomi's managed objects, for one caller.

    The password is kept for the renewal. A renewal that is refused is not tried again by anybody: accounts lock.
    """

    about: vim.AboutInfo
    root: vim.Folder
    collector: vmodl.query.PropertyCollector
    search: vim.SearchIndex
    files: vim.FileManager
    disks: vim.VirtualDiskManager
    tasks: vim.TaskManager | None

    def __init__(self, environment: Environment, credentials: Credentials, network: Network) -> None:
        super().__init__(environment, network)
        self._credentials = credentials
        self._lock = threading.Lock()
        self._cookie = ""
        self._log_ins = 0
        self._refusal: FaultError | None = None

    @classmethod
    def open(cls, environment: Environment, credentials: Credentials, network: Network) -> Session:
        """Log in.

        Raises:
            FaultError: `InvalidLogin`, among others.

        """
        session = cls(environment, credentials, network)
        try:
            session._meet(vim.ServiceInstance("ServiceInstance", session).RetrieveContent())
            session._log_in()
        except BaseException:
            session.hang_up()
            raise
        return session

    def InvokeMethod(self, mo: ManagedObject, info: Any, args: Any) -> Any:  # noqa: N802 # pyvmomi's name
        """Make a call, as pyvmomi's managed objects ask for it."""
        return self.ask(mo, info, args)

    def ask(self, mo: ManagedObject, info: Any, args: Any, read: Callable[[bytes], Any] | None = None) -> Any:
        """Make a call; if the server has dropped the session meanwhile, log in once and repeat it.

        `read` reads the answer where pyvmomi is not to do it; it raises `ValueError` for one that it does not
        understand.
        """
        seen = self._log_ins
        try:
            return self.exchange(mo, info, args, self._cookie, read)[0]
        except FaultError as error:
            if not isinstance(error.fault, vim.fault.NotAuthenticated) or info.wsdlName in _OUTSIDE:
                raise
        self._renew(seen)
        return self.exchange(mo, info, args, self._cookie, read)[0]

    def close(self) -> None:
        """Log out. Raises nothing; what fails is logged."""
        try:
            self._manager.Logout()
        except (ProviderError, FaultError) as error:
            if not isinstance(error, FaultError) or not isinstance(error.fault, vim.fault.NotAuthenticated):
                # Outside of a request no redactor masks what the server says.
                _logger.warning("log-out at %s failed: %s", self.place, type(error).__name__)
        self.hang_up()

    def _meet(self, content: vim.ServiceInstanceContent) -> None:
        """Remember what the server has to offer, and speak its version from now on."""
        manager, search = content.sessionManager, content.searchIndex
        files, disks = content.fileManager, content.virtualDiskManager
        if manager is None or search is None or files is None or disks is None:
            raise BackendFailureError(f"{CLOUD_NAME} at {self.place} is neither a vCenter nor an ESXi host.")
        self._manager, self.search, self.files, self.disks = manager, search, files, disks
        self.tasks = content.taskManager
        self.about, self.root, self.collector = content.about, content.rootFolder, content.propertyCollector
        self.ComputeVersionInfo(newest_version(self.about.apiVersion))  # type: ignore[no-untyped-call] # pyvmomi's own

    @property
    def is_host(self) -> bool:
        """Whether this is a standalone ESXi host, which can clone nothing and knows no templates."""
        return self.about.apiType == "HostAgent"

    @property
    def api_version(self) -> tuple[int, ...]:
        """The version of the server's API, such as (8, 0, 3, 0)."""
        return _numbers(self.about.apiVersion)

    def current_time(self) -> datetime:
        """Return the time by the server's clock."""
        return vim.ServiceInstance("ServiceInstance", self).CurrentTime()

    def _renew(self, seen: int) -> None:
        """Log in anew, unless another thread has done so since this one's log-in number `seen`."""
        with self._lock:
            if self._refusal is not None:
                raise self._refusal
            if self._log_ins == seen:
                try:
                    with unhurried():
                        self._log_in()
                except FaultError as error:
                    # A server that is starting, or busy, has refused nobody.
                    if isinstance(error.fault, vim.fault.InvalidLogin):
                        self._refusal = error
                    raise

    def _log_in(self) -> None:
        # Without a cookie: a session that is logged in already may not do so again (`Login` in the API reference).
        info = vim.SessionManager.Login.info  # type: ignore[attr-defined] # how pyvmomi describes a method
        arguments = (self._credentials.access_key, self._credentials.secret, None)
        _, header = self.exchange(self._manager, info, arguments)
        cookie = _COOKIE.search(header)
        if cookie is None:
            # Each call would find itself without a session, and open one more.
            raise BackendFailureError(
                f"{CLOUD_NAME} at {self.place} logged the user in without the cookie of a session. Is there a proxy "
                "between that takes it away?",
                backend=BackendReply(CLOUD_NAME, info.wsdlName),
            )
        self._cookie = cookie[0]
        self._log_ins += 1
        credentials_accepted()


def newest_version(api_version: str) -> str:
    """The newest version that pyvmomi knows and a server with this `about.apiVersion` (8.0.3.0) speaks."""
    theirs = _numbers(api_version)
    known = VmomiSupport.versionMap.items()
    usable = [
        (_numbers(name.partition("/")[2]), version)
        for name, version in known
        if re.fullmatch(r"vim25/\d+(\.\d+)+", name) and _numbers(name.partition("/")[2]) <= theirs
    ]
    return str(max(usable)[1]) if usable else "vim.version.version10"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))
